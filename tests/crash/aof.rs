//! kill -9 of a server that keeps an append-only file under `appendfsync always`, with clients that note what they were
//! told: none of it may be lost, what is there is what was sent up to some point, transactions are whole.
//!
//! Two clients write: one pipelines, one sends transactions. Meanwhile the file is rewritten, by command or because it
//! has grown, or the log is switched off and on. `KVSTASH_CRASH_ROUNDS` is how many rounds there are (`make crash-aof`),
//! `KVSTASH_CRASH_SEED` the first.

use crate::support::{Conn, Server, TempDir, wait_for};
use kvstash::util::rng::Rng;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::Duration;

pub fn from_env(name: &str, or: u64) -> u64 {
    std::env::var(name).map_or(or, |text| text.parse().expect("a number"))
}

/// What a client does: appends numbers, each behind the last.
#[derive(Clone, Copy)]
enum Way {
    /// RPUSH, sixteen at a time.
    Pipeline,
    /// MULTI, INCR, RPUSH, EXEC.
    Transactions,
}

impl Way {
    fn list(self) -> &'static str {
        match self {
            Way::Pipeline => "pipelined",
            Way::Transactions => "transactions",
        }
    }
}

struct Writer {
    way: Way,
    acknowledged: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Writes from `from` on until the server is gone.
    fn start(port: u16, way: Way, from: u64, ends: &Arc<AtomicBool>, begins: &Arc<Barrier>) -> Writer {
        let (acknowledged, sent) = (Arc::new(AtomicU64::new(from)), Arc::new(AtomicU64::new(from)));
        let (ack, out, ends, begins) = (acknowledged.clone(), sent.clone(), ends.clone(), begins.clone());
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let thread = std::thread::spawn(move || {
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            begins.wait();
            let mut next = from;
            while !ends.load(SeqCst) {
                let (text, count) = match way {
                    Way::Pipeline => {
                        let list = way.list();
                        ((1..=16).map(|i| format!("RPUSH {list} {}\r\n", next + i)).collect::<String>(), 16)
                    }
                    Way::Transactions => {
                        let list = way.list();
                        (format!("MULTI\r\nINCR counter\r\nRPUSH {list} {}\r\nEXEC\r\n", next + 1), 1)
                    }
                };
                out.store(next + count, SeqCst);
                if stream.write_all(text.as_bytes()).is_err() {
                    return;
                }
                for _ in 0..count {
                    // After a kill there is no answer; an answer that is no number is one that must not be there.
                    let Ok(number) = answer(&mut lines, way) else { return };
                    next += 1;
                    assert_eq!(number, next, "{}", way.list());
                    ack.store(next, SeqCst);
                }
            }
        });
        Writer { way, acknowledged, sent, thread }
    }
}

fn line(lines: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    match lines.read_line(&mut line)? {
        _ if line.ends_with("\r\n") => Ok(line),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn answer(lines: &mut impl BufRead, way: Way) -> io::Result<u64> {
    if matches!(way, Way::Transactions) {
        for expected in ["+OK", "+QUEUED", "+QUEUED", "*2", ":"] {
            let line = line(lines)?;
            assert!(line.starts_with(expected), "{line:?} instead of {expected}");
        }
    }
    let line = line(lines)?;
    Ok(line.trim_end().strip_prefix(':').unwrap_or_else(|| panic!("{line:?} is no number")).parse().unwrap())
}

/// How many numbers are in a list, which has to be all from 1 on.
fn length(kv: &mut Conn, list: &str, what: &str) -> u64 {
    let reply = kv.cmd(&["LRANGE", list, "0", "-1"]);
    let numbers = reply.items();
    for (at, number) in numbers.iter().enumerate() {
        assert_eq!(number.string(), (at + 1).to_string(), "{what}: {list} has a hole");
    }
    numbers.len() as u64
}

fn rounds_of_one_server(seed: u64, rounds: u64) {
    // Redis 7.0 is to read it, too.
    const ARGS: &[&str] = &["--appendonly", "yes", "--appendfsync", "always", "--rdb-version", "10"];
    let mut dice = Rng::from_seed(seed);
    let grown: &[&str] = match dice.below(3) {
        0 => &["--auto-aof-rewrite-percentage", "20", "--auto-aof-rewrite-min-size", "2kb"],
        _ => &["--auto-aof-rewrite-percentage", "0"],
    };
    let annotations = ["--aof-annotations", if dice.below(4) == 0 { "no" } else { "yes" }];
    let mut server = Server::start(&[ARGS, grown, &annotations].concat());
    let mut there = [0, 0];
    for round in 0..rounds {
        let what = format!("seed {seed}, round {round}");
        let (ends, begins) = (Arc::new(AtomicBool::new(false)), Arc::new(Barrier::new(3)));
        let writers = [(Way::Pipeline, there[0]), (Way::Transactions, there[1])]
            .map(|(way, from)| Writer::start(server.port, way, from, &ends, &begins));
        let mut kv = server.connect();
        begins.wait();
        let pause = |dice: &mut Rng| std::thread::sleep(Duration::from_micros(dice.below(60_000)));
        pause(&mut dice);
        let acknowledged = || [0, 1].map(|at| writers[at].acknowledged.load(SeqCst));
        // Where the log is switched off, only what was there before is promised.
        let mut promised = None;
        match dice.below(4) {
            0 => {
                kv.line("BGREWRITEAOF");
            }
            1 => {
                promised = Some(acknowledged());
                kv.ok("CONFIG SET appendonly no");
                pause(&mut dice);
                kv.ok("CONFIG SET appendonly yes");
                if dice.below(2) == 0 {
                    wait_for("the first rewrite", Duration::from_secs(20), || {
                        kv.info("aof_rewrite_in_progress") == "0"
                    });
                    assert_eq!(kv.info("aof_last_bgrewrite_status"), "ok", "{what}");
                    promised = None;
                }
            }
            _ => {}
        }
        pause(&mut dice);
        server.kill_9();
        ends.store(true, SeqCst);
        let promised = promised.unwrap_or_else(acknowledged);
        let sent = [0, 1].map(|at| writers[at].sent.load(SeqCst));
        let ways = [0, 1].map(|at| writers[at].way);
        for writer in writers {
            writer.thread.join().unwrap_or_else(|_| panic!("{what}: a client was told something wrong"));
        }
        server.start_again();
        let mut kv = server.connect();
        there = [0, 1].map(|at| length(&mut kv, ways[at].list(), &what));
        for at in [0, 1] {
            let list = ways[at].list();
            assert!(there[at] >= promised[at], "{what}: {list}: {} of {} acknowledged", there[at], promised[at]);
            assert!(there[at] <= sent[at], "{what}: {list}: {} of {} sent", there[at], sent[at]);
        }
        let counter = kv.line("GET counter");
        let counter = if there[1] == 0 { 0 } else { counter.string().parse().unwrap() };
        assert_eq!(counter, there[1], "{what}: a transaction is torn");
        assert!(!server.log().contains("panicked"), "{what}");
        if round % 8 == 7 {
            let digest = kv.line("DEBUG DIGEST").string();
            read_by_redis(&server, &digest, &what);
        }
    }
}

/// The files as they are can be read by Redis, where there is one.
fn read_by_redis(server: &Server, digest: &str, what: &str) {
    let newest = std::env::var_os("BENCH_REDIS8").map(std::path::PathBuf::from);
    for binary in [Some(Path::new("/usr/bin/redis-server").to_owned()), newest].into_iter().flatten() {
        if !binary.is_file() {
            eprintln!("{} is not there: not asked to read the files", binary.display());
            continue;
        }
        let dir = TempDir::new();
        fs::create_dir(dir.join("appendonlydir")).unwrap();
        for entry in fs::read_dir(server.dir.path().join("appendonlydir")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), dir.path().join("appendonlydir").join(entry.file_name())).unwrap();
        }
        let theirs = Server::start_in(dir, &binary, &["--appendonly", "yes"]);
        assert_eq!(theirs.connect().line("DEBUG DIGEST").string(), digest, "{what}: {}", binary.display());
    }
}

#[test]
fn kill_9_under_always() {
    let (rounds, first) = (from_env("KVSTASH_CRASH_ROUNDS", 30), from_env("KVSTASH_CRASH_SEED", 1));
    const OF_ONE: u64 = 10;
    for at in 0..rounds.div_ceil(OF_ONE) {
        eprintln!("seed {}: rounds {}..{}", first + at, at * OF_ONE, rounds.min((at + 1) * OF_ONE));
        rounds_of_one_server(first + at, OF_ONE.min(rounds - at * OF_ONE));
    }
}

/// A server that was stopped in its tracks and goes on has lost nothing, and was given up by nobody.
#[test]
fn stopped_and_continued() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let (ends, begins) = (Arc::new(AtomicBool::new(false)), Arc::new(Barrier::new(2)));
    let writer = Writer::start(server.port, Way::Transactions, 0, &ends, &begins);
    begins.wait();
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(30));
        server.signal("STOP");
        std::thread::sleep(Duration::from_millis(100));
        let before = writer.acknowledged.load(SeqCst);
        server.signal("CONT");
        wait_for("the next answer", Duration::from_secs(10), || writer.acknowledged.load(SeqCst) > before);
    }
    ends.store(true, SeqCst);
    let acknowledged = writer.acknowledged.clone();
    writer.thread.join().unwrap();
    server.kill_9();
    server.start_again();
    assert_eq!(length(&mut server.connect(), "transactions", "stopped"), acknowledged.load(SeqCst));
}

/// SIGTERM in the middle of a rewrite: the server ends at once, and everything is there.
#[test]
fn terminated_during_a_rewrite() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "no"]);
    let mut kv = server.connect();
    kv.line("DEBUG POPULATE 2000 key 20");
    kv.ok("CONFIG SET rdb-key-save-delay 10000");
    kv.line("BGREWRITEAOF");
    kv.ok("SET during the-rewrite");
    assert_eq!(kv.info("aof_rewrite_in_progress"), "1");
    server.signal("TERM");
    assert!(server.wait_exit(Duration::from_secs(10)).success());
    let left = fs::read_dir(server.dir.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("temp-"));
    assert_eq!(left.count(), 0, "what was written of the base is gone");
    server.start_again();
    let mut kv = server.connect();
    kv.talk("GET during => \"the-rewrite\"");
}
