//! Every write replayed elsewhere gives the same data.
//!
//! Random commands are given to a server, and what it propagates to another kvstash and to a real Redis 8.2 (where
//! `BENCH_REDIS8` names one), or a real Redis follows as a replica. Then all must have the same: DEBUG DIGEST,
//! deadlines of keys and of fields to the millisecond, streams with their groups.
//!
//! `make replay` does it for longer: `REPLAY_UNITS` is the number of commands and transactions, `REPLAY_SEED` their seed.
//!
//! The copies but for that one are no replicas: they let keys expire when they think it is time. So what expires within
//! milliseconds has keys of its own, for which nothing is done that could not be done a moment later (PERSIST, RENAME).

pub mod commands;

use crate::support::{Conn, Peer, Server, Stream, Value, encode, under_test, wait_for};
use commands::Generator;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

/// Databases in which the commands write.
const DATABASES: usize = 3;
/// Commands and transactions that are sent at once.
const BATCH: usize = 100;
/// How many there are between two comparisons.
const UNITS_BETWEEN: usize = 500;
/// A replica that needs longer for what it is sent has lost it.
const LINK_LIMIT: Duration = Duration::from_secs(30);
/// What must not be equal: when a consumer was seen is not propagated, and how a stream is stored is its server's affair.
const NOT_COMPARED: [&[u8]; 4] = [b"seen-time", b"active-time", b"radix-tree-keys", b"radix-tree-nodes"];

/// A server that is given what another one propagates.
struct Replayed {
    conn: Conn,
    /// It reads the stream itself.
    is_replica: bool,
    _server: Server,
}

impl Replayed {
    fn of(server: Server) -> Replayed {
        Replayed { conn: server.connect(), is_replica: false, _server: server }
    }

    /// A server that follows the one at this port by itself.
    fn replica_of(port: u16, server: Server) -> Replayed {
        let mut replica = Replayed { is_replica: true, ..Replayed::of(server) };
        replica.conn.ok(&format!("REPLICAOF 127.0.0.1 {port}"));
        wait_for("the link", LINK_LIMIT, || replica.conn.info("master_link_status") == "up");
        replica
    }

    /// Waits until a replica has what comes before this offset.
    fn reaches(&mut self, offset: u64) {
        if self.is_replica {
            wait_for("the replica", LINK_LIMIT, || {
                self.conn.info("slave_repl_offset").parse().is_ok_and(|at: u64| at >= offset)
            });
        }
    }

    /// Runs these commands; none of them may be refused.
    fn run(&mut self, commands: &[Vec<Vec<u8>>]) {
        if self.is_replica {
            return;
        }
        let is_redis = self.conn.peer != Peer::Kvstash;
        let known: Vec<_> = match is_redis {
            true => commands.iter().flat_map(|command| for_redis_8_2(command)).collect(),
            false => commands.to_vec(),
        };
        let bytes: Vec<u8> = known.iter().flat_map(|command| encode(command)).collect();
        self.conn.raw(&bytes);
        for command in &known {
            let reply = self.conn.read();
            let refused = has_error(&reply);
            assert!(!refused, "{:?}: {} answered {}", self.conn.peer, shown(command), reply.text());
        }
    }
}

/// The same change in words that Redis 8.2 knows.
fn for_redis_8_2(command: &[Vec<u8>]) -> Vec<Vec<Vec<u8>>> {
    match command[0].to_ascii_uppercase().as_slice() {
        b"DELIFEQ" => vec![vec![b"DEL".to_vec(), command[1].clone()]],
        b"MSETEX" => {
            let count: usize = std::str::from_utf8(&command[1]).unwrap().parse().unwrap();
            let (pairs, options) = command[2..].split_at(2 * count);
            let is_condition = |word: &Vec<u8>| word == b"NX" || word == b"XX";
            let options = options.iter().filter(|word| !is_condition(word));
            let set = |pair: &[Vec<u8>]| {
                let set = [b"SET".to_vec()].into_iter().chain(pair.iter().cloned());
                set.chain(options.clone().cloned()).collect()
            };
            pairs.chunks(2).map(set).collect()
        }
        _ => vec![command.to_vec()],
    }
}

fn has_error(reply: &Value) -> bool {
    match reply {
        Value::Array(items) => items.iter().any(has_error),
        other => other.is_error(),
    }
}

fn shown(command: &[Vec<u8>]) -> String {
    command.iter().map(|arg| arg.escape_ascii().to_string()).collect::<Vec<_>>().join(" ")
}

/// All that is propagated up to a write that nothing else does.
fn propagated(stream: &mut Stream, kv: &mut Conn, mark: usize) -> Vec<Vec<Vec<u8>>> {
    let mark = mark.to_string();
    kv.cmd(&["SET", "mark", &mark]);
    let mut commands = Vec::new();
    loop {
        let command: Vec<Vec<u8>> = stream.conn().read().items().iter().map(|arg| arg.bytes().to_vec()).collect();
        let is_mark = command.len() == 3 && command[1] == b"mark" && command[2] == mark.as_bytes();
        if command[0] != b"PING" {
            commands.push(command);
        }
        if is_mark {
            return commands;
        }
    }
}

/// What a server has, in lines that can be compared.
pub fn contents(kv: &mut Conn) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    for db in 0..DATABASES {
        kv.line(&format!("SELECT {db}"));
        let keys: Vec<Vec<u8>> = kv.line("KEYS *").items().iter().map(|key| key.bytes().to_vec()).collect();
        for key in keys {
            let mut ask = |command: &[&[u8]]| kv.cmd(command);
            let kind = ask(&[b"TYPE", &key]).text();
            let deadline = ask(&[b"PEXPIRETIME", &key]).text();
            let digest = ask(&[b"DEBUG", b"DIGEST-VALUE", &key]).text();
            let more = match &*kind {
                "hash" => {
                    let mut fields: Vec<Vec<u8>> =
                        ask(&[b"HKEYS", &key]).items().iter().map(|field| field.bytes().to_vec()).collect();
                    fields.sort();
                    let count = fields.len().to_string();
                    let mut command: Vec<&[u8]> = vec![b"HPEXPIRETIME", &key, b"FIELDS", count.as_bytes()];
                    command.extend(fields.iter().map(|field| &field[..]));
                    ask(&command).text()
                }
                "stream" => compared(&ask(&[b"XINFO", b"STREAM", &key, b"FULL", b"COUNT", b"0"])),
                _ => String::new(),
            };
            lines.insert(format!("{db} {}", key.escape_ascii()), format!("{kind} {deadline} {digest} {more}"));
        }
    }
    lines.insert("digest".into(), kv.line("DEBUG DIGEST").text());
    lines
}

/// A reply without what need not be equal.
fn compared(reply: &Value) -> String {
    let Value::Array(items) = reply else { return reply.text() };
    let mut out = String::from("[");
    let mut skips = false;
    for item in items {
        if !std::mem::take(&mut skips) {
            out += &compared(item);
            out.push(' ');
        }
        skips = matches!(item, Value::Bulk(text) if NOT_COMPARED.contains(&&text[..]));
    }
    out + "]"
}

/// A server with commands that write, and those that are given what it propagates.
struct Run {
    kv: Conn,
    waiting: Vec<Conn>,
    stream: Stream,
    copies: Vec<Replayed>,
    generator: Generator,
    marks: usize,
    /// What was propagated since the last comparison.
    recent: Vec<Vec<Vec<u8>>>,
    server: Server,
    /// Where keys go that MIGRATE moves.
    _elsewhere: Server,
}

impl Run {
    /// With a real Redis beside the other kvstash, if there is one: as a replica, or given what the stream says.
    fn start(seed: u64, as_replica: bool) -> Run {
        // Values convert early, and streams are stored otherwise here than there: what is propagated must not depend on
        // it. (The digest of a sorted set depends on its encoding.)
        let common = [
            ["--enable-debug-command", "yes"],
            ["--hash-max-listpack-entries", "6"],
            ["--set-max-listpack-entries", "6"],
            ["--zset-max-listpack-entries", "6"],
        ];
        let here = [["--list-max-listpack-size", "4"], ["--stream-node-max-entries", "5"]];
        let elsewhere = Server::start_binary(&under_test(), &[]);
        let server = Server::start(&[common.as_flattened(), here.as_flattened()].concat());
        let mut copies = vec![Replayed::of(Server::start_binary(&under_test(), common.as_flattened()))];
        if let Some(binary) = std::env::var_os("BENCH_REDIS8") {
            let redis = Server::start_binary(binary.as_ref(), common.as_flattened());
            assert!(redis.peer.satisfies("redis>=8.2"), "BENCH_REDIS8 is {:?}", redis.peer);
            copies.push(if as_replica { Replayed::replica_of(server.port, redis) } else { Replayed::of(redis) });
        } else {
            eprintln!("no BENCH_REDIS8: what is propagated is replayed into kvstash alone");
        }
        let kv = server.connect();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let mut generator = Generator::new(seed, elsewhere.port, now.as_secs());
        // Redis leaves pending what was deleted before the trim: docs/compatibility.md.
        generator.delref = copies.len() == 1;
        generator.redis_8_2 = as_replica;
        Run {
            waiting: (0..3).map(|_| kv.another()).collect(),
            stream: Stream::attach(&kv),
            kv,
            copies,
            generator,
            marks: 0,
            recent: Vec::new(),
            server,
            _elsewhere: elsewhere,
        }
    }

    /// Some commands, one of eight in a transaction of several.
    fn batch(&mut self, units: usize) {
        for waiting in &mut self.waiting {
            waiting.send(&self.generator.waiting());
        }
        let (mut bytes, mut count) = (Vec::new(), 0);
        let mut push = |command: &[Vec<u8>]| {
            bytes.extend(encode(command));
            count += 1;
        };
        for _ in 0..units {
            if self.generator.rng.index(8) > 0 {
                push(&self.generator.command());
                continue;
            }
            push(&[b"MULTI".to_vec()]);
            (0..2 + self.generator.rng.index(5)).for_each(|_| push(&self.generator.command()));
            push(&[b"EXEC".to_vec()]);
        }
        self.kv.raw(&bytes);
        (0..count).for_each(|_| drop(self.kv.read()));
        self.waiting.iter_mut().for_each(|waiting| drop(waiting.read()));
    }

    fn all(&mut self, units: usize) {
        for done in (BATCH..=units).step_by(BATCH) {
            self.batch(BATCH);
            self.replay();
            if done.is_multiple_of(UNITS_BETWEEN) || done + BATCH > units {
                self.compare();
            }
        }
    }

    fn replay(&mut self) {
        self.marks += 1;
        let commands = propagated(&mut self.stream, &mut self.kv, self.marks);
        self.copies.iter_mut().for_each(|copy| copy.run(&commands));
        self.recent.extend(commands);
    }

    /// After what expires within milliseconds is gone, all have the same.
    #[track_caller]
    fn compare(&mut self) {
        std::thread::sleep(Duration::from_millis(50));
        // A server that was kept from running has let it expire before it answers.
        self.kv.line("PING");
        self.replay();
        let offset = self.kv.info("master_repl_offset").parse().expect("a number");
        let ours = contents(&mut self.kv.another());
        for copy in &mut self.copies {
            copy.reaches(offset);
            let theirs = contents(&mut copy.conn.another());
            let keys: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
            for key in keys {
                let (theirs, ours) = (theirs.get(key), ours.get(key));
                if theirs != ours {
                    let name = key.split(' ').next_back().expect("a key follows its database").as_bytes();
                    let is_of_key = |command: &&Vec<Vec<u8>>| command.iter().any(|arg| arg == name || arg == b"SELECT");
                    let told: Vec<String> =
                        self.recent.iter().filter(is_of_key).map(|command| shown(command)).collect();
                    panic!("{key} after\n{}\nin {:?}: {theirs:?}\nhere: {ours:?}", told.join("\n"), copy.conn.peer);
                }
            }
        }
        self.recent.clear();
    }
}

pub fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn random_units() {
    if !under_test().to_string_lossy().contains("kvstash") {
        return; // Redis does not propagate everything: see docs/propagation.md
    }
    let (units, seed) = (number("REPLAY_UNITS", 4000) as usize, number("REPLAY_SEED", 1));
    let mut run = Run::start(seed, false);
    run.all(units);
    // A command that always fails would be compared by nobody.
    let stats = run.kv.line("INFO commandstats").string();
    let failed_only = |name: &String| {
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:")));
        let number = |field: &str| line.and_then(|l| l.split(',').find_map(|f| f.strip_prefix(field)?.parse().ok()));
        let (calls, failed): (Option<u64>, Option<u64>) = (number("calls="), number("failed_calls="));
        calls.unwrap_or(0) <= failed.unwrap_or(0)
    };
    let unused: Vec<String> = commands::names().into_iter().filter(failed_only).collect();
    assert!(unused.is_empty() || units < 50_000, "never succeeded: {unused:?}");
    eprintln!("seed {seed}: {units} units, {} bytes of stream", run.server.info("master_repl_offset"));
}

#[test]
fn random_units_with_a_real_replica() {
    if std::env::var_os("BENCH_REDIS8").is_none() || !under_test().to_string_lossy().contains("kvstash") {
        eprintln!("skipped: no BENCH_REDIS8");
        return;
    }
    let (units, seed) = (number("REPLAY_UNITS", 4000) as usize, number("REPLAY_SEED", 1));
    let mut run = Run::start(seed, true);
    run.all(units);
    eprintln!("seed {seed}: {units} units, followed by a replica");
}

#[test]
fn every_command_that_writes_is_made() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    if kv.peer != Peer::Kvstash {
        return;
    }
    fn writers(commands: &[Value], found: &mut BTreeSet<String>) {
        for command in commands {
            let fields = command.items();
            if fields[2].sorted().iter().any(|flag| flag == "write") {
                found.insert(fields[0].string());
            }
            writers(fields[9].items(), found);
        }
    }
    let mut wanted = BTreeSet::new();
    writers(kv.line("COMMAND").items(), &mut wanted);
    assert!(wanted.len() > 100 && wanted.contains("xgroup|create"), "{wanted:?}");
    let made: BTreeSet<String> = commands::names().into_iter().collect();
    // Functions have a test of their own: their texts are no words.
    let missing: Vec<&String> = wanted.difference(&made).filter(|name| !name.starts_with("function|")).collect();
    assert!(missing.is_empty(), "tests/wire/replay/commands.rs never makes {missing:?}");
}
