//! kill -9 of a primary under load, with two replicas, `write-acks 1` and `read-uncommitted no`; the replica that is furthest
//! is promoted. No write that was acknowledged is lost, and what clients were told of lists that they appended to and read,
//! before and after, can have happened at one moment each (`appends.rs`).
//!
//! `KVSTASH_QUORUM_ROUNDS` is how many rounds there are (`make quorum`), `KVSTASH_CRASH_SEED` the first seed.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::aof::from_env;
use crate::appends::{Operation, UNKNOWN, What, check};
use crate::support::{Conn, Server, Value, wait_for};
use kvstash::util::rng::Rng;

const ARGS: &[&str] = &[
    "--write-acks",
    "1",
    "--read-uncommitted",
    "no",
    "--write-acks-timeout",
    "5000",
    "--repl-diskless-sync-delay",
    "0",
    // What a replica has stays there until the copy is whole.
    "--repl-diskless-load",
    "swapdb",
    "--repl-backlog-size",
    "64mb",
];

/// Clients that append and read at the same time.
const CLIENTS: usize = 4;

/// Lists of one round.
const LISTS: usize = 3;

type History = BTreeMap<String, Vec<Operation>>;

struct Clock {
    begin: Instant,
    /// What makes values different.
    next: AtomicU64,
    acknowledged: AtomicU64,
}

impl Clock {
    fn now(&self) -> u64 {
        self.begin.elapsed().as_nanos() as u64
    }
}

fn strings(reply: &Value) -> Vec<String> {
    reply.items().iter().map(Value::string).collect()
}

/// Asks until the server is gone, or it is time to stop. What it did.
fn client(server: &Server, clock: &Arc<Clock>, ends: &Arc<AtomicBool>, round: u64, seed: u64) -> JoinHandle<History> {
    let mut kv = server.connect();
    let (clock, ends) = (clock.clone(), ends.clone());
    std::thread::spawn(move || {
        let (mut history, mut dice) = (History::new(), Rng::from_seed(seed));
        while !ends.load(SeqCst) {
            // Several requests at once, now and then.
            let several: Vec<(String, Option<String>)> = (0..1 + dice.index(4))
                .map(|_| {
                    let list = format!("{round}:{}", dice.index(LISTS));
                    let value = (dice.index(2) == 0).then(|| clock.next.fetch_add(1, SeqCst).to_string());
                    (list, value)
                })
                .collect();
            let asked = clock.now();
            let text: String = several
                .iter()
                .map(|(list, value)| match value {
                    Some(value) => format!("RPUSH {list} {value}\r\n"),
                    None => format!("LRANGE {list} 0 -1\r\n"),
                })
                .collect();
            let mut is_gone = kv.try_raw(text.as_bytes()).is_err();
            for (list, value) in several {
                let reply = if is_gone { Err(io::ErrorKind::BrokenPipe.into()) } else { kv.try_read() };
                is_gone |= reply.is_err();
                let answered = clock.now();
                let (answered, what) = match (value, reply) {
                    (Some(value), Ok(Value::Int(length))) => {
                        clock.acknowledged.fetch_add(1, SeqCst);
                        (answered, What::Append { value, length: Some(length as usize) })
                    }
                    (Some(value), Err(_)) => (UNKNOWN, What::Append { value, length: None }),
                    (Some(value), Ok(reply)) => {
                        assert!(reply.text().contains("NOQUORUM"), "{}", reply.text());
                        (UNKNOWN, What::Append { value, length: None })
                    }
                    (None, Ok(reply)) if !reply.is_error() => (answered, What::Read { list: strings(&reply) }),
                    (None, _) => continue,
                };
                history.entry(list).or_default().push(Operation { asked, answered, what });
            }
            if is_gone {
                break;
            }
        }
        history
    })
}

fn offset(conn: &mut Conn, field: &str) -> u64 {
    conn.info(field).parse().unwrap()
}

/// Three servers, one of which is the primary.
struct Three {
    servers: Vec<Server>,
    primary: usize,
}

impl Three {
    fn start() -> Three {
        let servers: Vec<Server> = (0..3).map(|_| Server::start(ARGS)).collect();
        let three = Three { servers, primary: 0 };
        (1..3).for_each(|at| three.follow(at));
        three
    }

    fn follow(&self, at: usize) {
        self.servers[at].connect().ok(&format!("REPLICAOF 127.0.0.1 {}", self.servers[self.primary].port));
    }

    /// Both replicas have all that the primary began with: as many may be lost again as have to acknowledge.
    fn are_complete(&self) {
        let mut up = self.servers[self.primary].connect();
        let end = offset(&mut up, "master_repl_offset");
        for at in (0..3).filter(|at| *at != self.primary) {
            let mut down = self.servers[at].connect();
            wait_for("a replica to have everything", Duration::from_secs(30), || {
                down.info("master_link_status") == "up" && offset(&mut down, "slave_repl_offset") >= end
            });
        }
    }

    /// The primary ends without a word; of its replicas the one that is further goes on, the others follow it.
    fn take_over(&mut self) {
        let old = self.primary;
        self.servers[old].kill_9();
        let replicas = (0..3).filter(|at| *at != old);
        let next = replicas.max_by_key(|at| offset(&mut self.servers[*at].connect(), "slave_repl_offset"));
        self.primary = next.expect("there are two");
        self.servers[self.primary].connect().ok("REPLICAOF NO ONE");
        (0..3).filter(|at| *at != old && *at != self.primary).for_each(|at| self.follow(at));
        self.servers[old].start_again();
        self.follow(old);
    }

    /// What a list is now, and when that was so.
    fn list(&self, clock: &Clock, name: &str) -> (Vec<String>, Operation) {
        let mut kv = self.servers[self.primary].connect();
        let mut read = None;
        wait_for("a reply", Duration::from_secs(30), || {
            let asked = clock.now();
            let reply = kv.line(&format!("LRANGE {name} 0 -1"));
            if !reply.is_error() {
                let list = strings(&reply);
                let what = What::Read { list: list.clone() };
                read = Some((list, Operation { asked, answered: clock.now(), what }));
            }
            read.is_some()
        });
        read.expect("just now")
    }
}

#[test]
fn what_was_acknowledged_outlives_kill_9_of_the_primary() {
    let (rounds, seed) = (from_env("KVSTASH_QUORUM_ROUNDS", 10), from_env("KVSTASH_CRASH_SEED", 1));
    let clock = Arc::new(Clock { begin: Instant::now(), next: AtomicU64::new(0), acknowledged: AtomicU64::new(0) });
    let mut dice = Rng::from_seed(seed);
    let mut three = Three::start();
    let mut before: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut operations, mut unknown) = (0, 0);
    for round in 0..rounds {
        three.are_complete();
        let ends = Arc::new(AtomicBool::new(false));
        let primary = &three.servers[three.primary];
        let clients: Vec<_> = (0..CLIENTS).map(|_| client(primary, &clock, &ends, round, dice.next_u64())).collect();
        std::thread::sleep(Duration::from_micros(5_000 + dice.below(60_000)));
        three.take_over();
        ends.store(true, SeqCst);
        let mut history = History::new();
        for client in clients {
            let did = client.join().unwrap_or_else(|_| panic!("round {round}: a client was told something wrong"));
            did.into_iter().for_each(|(list, did)| history.entry(list).or_default().extend(did));
        }
        for (name, was) in std::mem::take(&mut before) {
            assert_eq!(three.list(&clock, &name).0, was, "seed {seed}, round {round}: {name} is not what it was");
        }
        for (name, mut did) in history {
            let (last, read) = three.list(&clock, &name);
            did.push(read);
            operations += did.len();
            unknown += did.iter().filter(|operation| operation.answered == UNKNOWN).count();
            if let Err(why) = check(&did, &last) {
                panic!("seed {seed}, round {round}, list {name}: {why}");
            }
            before.insert(name, last);
        }
        for server in &three.servers {
            assert!(!server.log().contains("panicked"), "seed {seed}, round {round}");
        }
    }
    let acknowledged = clock.acknowledged.load(SeqCst);
    eprintln!("{rounds} rounds: {operations} operations, {acknowledged} writes acknowledged, {unknown} unknown");
    assert!(acknowledged > rounds && unknown > 0, "{acknowledged} acknowledged, {unknown} unknown: nothing was tried");
}
