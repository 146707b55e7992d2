//! Scripts that are ended after any of their writes: the data are as they were, and nobody has seen anything.

use kvstash::db::DbInfo;
use kvstash::resp::OwnedArgs;
use kvstash::util::rng::Rng;

use crate::world::{World, seeds};

/// Writes, ends scripts, watches, is subscribed, has a cache, waits for an element, and looks.
const WRITER: u32 = 1;
const KILLER: u32 = 2;
const WATCHER: u32 = 3;
const SUBSCRIBER: u32 = 4;
const CACHE: u32 = 5;
const WAITER: u32 = 6;
const LOOKS: u32 = 7;

const DBS: usize = 2;
const KEYS: [&str; 12] = ["s1", "s2", "n", "l1", "l2", "waited", "t1", "t2", "z", "h", "x", "geo"];

/// How a script ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// SCRIPT KILL.
    Killed,
    /// redis.abort.
    Aborts,
    /// An error, and the flag `atomic`.
    Fails,
}

/// All that has to be as it was.
#[derive(PartialEq, Eq, Debug)]
struct State {
    digest: String,
    dbs: Vec<DbInfo>,
    /// Encoding, deadline and content, of every key.
    keys: Vec<String>,
    changes: u64,
    stream: u64,
}

fn pick<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.index(of.len())]
}

/// A command that writes something of any type, or fails.
fn command(rng: &mut Rng) -> Vec<String> {
    let (key, other) = (pick(rng, &KEYS), pick(rng, &KEYS));
    let number = rng.below(50);
    let long = "x".repeat(3000);
    let (s, l, t) = (pick(rng, &["s1", "s2"]), pick(rng, &["l1", "l2", "waited"]), pick(rng, &["t1", "t2"]));
    let text = match rng.below(58) {
        0..=2 => format!("SET {s} {number}"),
        3 => format!("SET {s} {long}"),
        4 => format!("SET {s} v PX {}", 1000 + number),
        5 => format!("APPEND {s} more"),
        6 => format!("SETRANGE {s} {} zz", number * 40),
        7 => format!("SETBIT {s} {number} 1"),
        8 => format!("BITFIELD {s} INCRBY u8 {number} 7"),
        9 => format!("INCRBY n {number}"),
        10 => format!("GETDEL {s}"),
        11 => format!("GETEX {s} PX {}", 500 + number),
        12 => "MSET s1 a s2 b n 5".to_owned(),
        13 => "BITOP NOT s1 s2".to_owned(),
        14 => format!("PFADD s2 {number}"),
        15..=17 => format!("RPUSH {l} a b {number}"),
        18 => format!("LPUSH {l} {long} {number}"),
        19 => format!("LPOP {l} 2"),
        20 => format!("LMOVE {l} l1 LEFT RIGHT"),
        21 => format!("LINSERT {l} BEFORE b {number}"),
        22 => format!("LTRIM {l} 1 -2"),
        23 => format!("LREM {l} 0 a"),
        24 => format!("LSET {l} 0 {number}"),
        25..=26 => format!("SADD {t} {number} 7"),
        27 => format!("SADD {t} word {number}"),
        28 => format!("SREM {t} 7 {number}"),
        29 => "SMOVE t1 t2 7".to_owned(),
        30 => "SUNIONSTORE t1 t1 t2".to_owned(),
        31..=32 => format!("ZADD z {number} a {number} m{number}"),
        33 => format!("ZADD z 1 {long}"),
        34 => "ZINCRBY z 3 a".to_owned(),
        35 => "ZPOPMIN z".to_owned(),
        36 => format!("ZREMRANGEBYSCORE z 0 {number}"),
        37 => "ZUNIONSTORE z 2 z t1".to_owned(),
        38..=39 => format!("HSET h f{number} v g {number}"),
        40 => format!("HSET h big {long}"),
        41 => "HINCRBY h g 3".to_owned(),
        42 => format!("HDEL h f{number} g"),
        43 => format!("HPEXPIRE h {} FIELDS 1 g", 2000 + number),
        44 => format!("XADD x * f {number}"),
        45 => format!("XADD x MAXLEN 3 * f {number}"),
        46 => "XGROUP CREATE x group 0 MKSTREAM".to_owned(),
        47 => "XREADGROUP GROUP group me COUNT 2 STREAMS x >".to_owned(),
        48 => format!("GEOADD geo 13.3 {number}.5 m{number}"),
        49 => format!("DEL {key} {other}"),
        50 => format!("UNLINK {key}"),
        51 => format!("RENAME {key} {other}"),
        52 => format!("COPY {key} {other} DB {} REPLACE", rng.below(DBS as u64)),
        53 => format!("MOVE {key} 1"),
        54 => format!("PEXPIRE {key} {}", 1000 + number),
        55 => format!("PERSIST {key}"),
        56 => "SORT l1 ALPHA STORE l2".to_owned(),
        _ => match rng.below(6) {
            0 => "FLUSHDB".to_owned(),
            1 => "FLUSHALL".to_owned(),
            2 => "SWAPDB 0 1".to_owned(),
            3 => "PUBLISH news text".to_owned(),
            _ => "SELECT 1".to_owned(),
        },
    };
    text.split(' ').map(str::to_owned).collect()
}

/// A script of these commands that ends in this way; or as scripts usually do.
fn script(commands: &[Vec<String>], end: Option<End>) -> String {
    let mut text = String::new();
    if matches!(end, Some(End::Fails)) {
        text.push_str("#!lua flags=atomic\n");
    }
    for words in commands {
        let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        text.push_str(&format!("redis.pcall({}) ", words.join(", ")));
    }
    text.push_str(match end {
        None => "return 'done'",
        Some(End::Killed) => "while true do end",
        Some(End::Aborts) => "redis.abort('enough')",
        Some(End::Fails) => "error('enough')",
    });
    text
}

struct Run {
    world: World,
    rng: Rng,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut run = Run { world: World::new(seed, LOOKS), rng: Rng::from_seed(seed) };
        run.world.pass(1000);
        for (name, value) in [("notify-keyspace-events", "KEA"), ("busy-reply-threshold", "5")] {
            assert_eq!(run.ask(WRITER, &["CONFIG", "SET", name, value]), "+OK\r\n");
        }
        run.ask(SUBSCRIBER, &["PSUBSCRIBE", "*"]);
        run.ask(CACHE, &["HELLO", "3"]);
        run.ask(CACHE, &["CLIENT", "TRACKING", "ON"]);
        run.world.inst.replication.feed.activate();
        run
    }

    fn ask(&mut self, id: u32, words: &[&str]) -> String {
        self.world.ask(id, &OwnedArgs::from_parts(words));
        self.received(id)
    }

    fn received(&mut self, id: u32) -> String {
        let out = &mut self.world.inst.clients.at_mut(id - 1).expect("a client").session.reply.out;
        let text = String::from_utf8_lossy(&out.to_vec()).into_owned();
        out.clear();
        text
    }

    fn eval(&mut self, text: &str) -> String {
        let reply = self.ask(WRITER, &["EVAL", text, "0"]);
        self.world.inst.keyspace.reap_snapshots();
        reply
    }

    fn state(&mut self) -> State {
        let mut keys = Vec::new();
        for db in 0..DBS {
            self.ask(LOOKS, &["SELECT", &db.to_string()]);
            for key in KEYS {
                let encoding = self.ask(LOOKS, &["OBJECT", "ENCODING", key]);
                let deadline = self.ask(LOOKS, &["PEXPIRETIME", key]);
                keys.push(format!("{db} {key} {encoding} {deadline} {}", self.ask(LOOKS, &["DUMP", key])));
            }
        }
        let inst = &self.world.inst;
        State {
            digest: format!("{:?}", inst.keyspace.digest()),
            dbs: (0..DBS).map(|db| inst.keyspace.info(db, inst.now_ms)).collect(),
            keys,
            changes: inst.keyspace.stats().dirty,
            stream: inst.replication.feed.end(),
        }
    }

    /// Runs a script that ends early, and looks that nothing has become of it.
    fn end_early(&mut self, commands: &[Vec<String>], end: End) {
        if !self.world.is_blocked(WAITER) {
            self.ask(WAITER, &["BLPOP", "never", "waited", "0"]);
        }
        for key in KEYS {
            self.ask(WATCHER, &["WATCH", key]);
            self.ask(CACHE, &["EXISTS", key]);
        }
        let waits = self.world.is_blocked(WAITER);
        let before = self.state();
        for id in [SUBSCRIBER, CACHE, WAITER] {
            self.received(id);
        }
        let text = script(commands, Some(end));
        if matches!(end, End::Killed) {
            self.world.host.within = Some((KILLER, OwnedArgs::from_parts(["SCRIPT", "KILL"])));
            self.world.host.hurries.set(true);
        }
        let reply = self.eval(&text);
        self.world.host.hurries.set(false);
        let expected = if matches!(end, End::Killed) { "killed by user" } else { "enough" };
        assert!(reply.starts_with('-') && reply.contains(expected), "{text}: {reply}");
        assert_eq!(self.state(), before, "{text}");
        self.world.settle();
        for id in [SUBSCRIBER, CACHE] {
            assert_eq!(self.received(id), "", "client {id} has heard of {text}");
        }
        assert_eq!(self.world.is_blocked(WAITER), waits, "{text}");
        self.ask(WATCHER, &["MULTI"]);
        assert_eq!(self.ask(WATCHER, &["EXEC"]), "*0\r\n", "{text}");
    }
}

#[test]
fn whenever_a_script_is_ended_nothing_is_left_of_it() {
    let mut written = 0;
    for seed in seeds(60) {
        eprintln!("seed {seed}");
        let mut run = Run::new(seed);
        for _ in 0..run.rng.index(60) {
            let words = command(&mut run.rng);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            run.ask(WRITER, &words);
        }
        run.ask(WRITER, &["SELECT", "0"]);
        for _ in 0..4 {
            let commands: Vec<Vec<String>> = (0..1 + run.rng.index(12)).map(|_| command(&mut run.rng)).collect();
            for upto in 0..=commands.len() {
                let end = [End::Killed, End::Aborts, End::Fails][run.rng.index(3)];
                run.end_early(&commands[..upto], end);
            }
            let before = run.state();
            assert_eq!(run.eval(&script(&commands, None)), "$4\r\ndone\r\n");
            written += u32::from(run.state().changes > before.changes);
            let ms = run.rng.index(300) as i64;
            run.world.pass(ms);
            run.world.settle();
        }
        run.world.inst.keyspace.check_invariants();
    }
    assert!(written > 0, "no script has written anything");
}
