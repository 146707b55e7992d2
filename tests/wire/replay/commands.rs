//! Random commands: every one that writes, of every type, with arguments that mostly fit.
//!
//! A line of [`COMMANDS`] is one or more commands with choices `[a|b|]` and places `{x}` to be filled in:
//!
//! | place | what |
//! | --- | --- |
//! | `{s}` `{l}` `{S}` `{h}` `{z}` `{y}` `{x}` `{g}` `{p}` | a key that mostly holds a string, list, set, hash, sorted set, stream with rising ids, stream with ids from the clock, places, HyperLogLog |
//! | `{k}` | any of these |
//! | `{L}` | a sorted set whose scores are all 0 |
//! | `{N}` `{H}` | a key, a hash, of those that expire within milliseconds |
//! | `{f}` `{m}` `{v}` `{n}` `{r}` | a field, a member, a value, a small number, a fraction |
//! | `{f*}` `{m*}` `{v*}` `{fv*}` `{sv*}` | one to five of them; pairs |
//! | `{d}` `{D}` `{T}` `{U}` | a deadline far away: seconds, milliseconds; since 1970 |
//! | `{q}` | a few milliseconds |
//! | `{i}` `{i+}` | an id of a stream, of one that was used lately or of the next one |
//! | `{a}` | a number of entries ever added, higher than those before |
//! | `{G}` `{C}` | a group, a consumer |
//! | `{db}` | a database |
//! | `{port}` | where another server listens |

use kvstash::util::rng::Rng;

/// How often of a thousand, and what.
pub const COMMANDS: &[(u32, &str)] = &[
    (14, "SET {s} {v} [|NX|XX] [|GET] [|EX {d}|PX {D}|EXAT {T}|PXAT {U}|KEEPTTL]"),
    (3, "SETEX {s} {d} {v}"),
    (3, "PSETEX {s} {D} {v}"),
    (3, "SETNX {s} {v}"),
    (3, "GETSET {s} {v}"),
    (4, "GETEX {s} [|EX {d}|PX {D}|EXAT {T}|PXAT {U}|PERSIST|EXAT 1]"),
    (2, "GETDEL {s}"),
    (2, "DELIFEQ {s} {n}"),
    (3, "MSET {sv*}"),
    (2, "MSETNX {sv*}"),
    (3, "MSETEX 2 {s} {v} {s} {v} [|NX|XX] [|EX {d}|PXAT {U}|KEEPTTL]"),
    (4, "APPEND {s} {v}"),
    (3, "SETRANGE {s} {n} {v}"),
    (4, "SETBIT {s} {n} [0|1]"),
    (4, "BITFIELD {s} SET u8 {n} {n} [|INCRBY i16 #1 {n}] [|OVERFLOW SAT INCRBY u2 4 3]"),
    (4, "BITOP [AND|OR|XOR|DIFF|ONE] {s} {s} {s}"),
    (1, "BITOP NOT {s} {s}"),
    (3, "INCR {s}"),
    (3, "DECR {s}"),
    (3, "INCRBY {s} {n}"),
    (3, "DECRBY {s} {n}"),
    (4, "INCRBYFLOAT {s} {r}"),
    (6, "PFADD {p} {m*}"),
    (3, "PFMERGE {p} {p} {p}"),
    (2, "PFCOUNT {p}"),
    (1, "PFDEBUG TODENSE {p}"),
    (10, "RPUSH {l} {v*}"),
    (8, "LPUSH {l} {v*}"),
    (2, "LPUSHX {l} {v}"),
    (2, "RPUSHX {l} {v}"),
    (3, "LINSERT {l} [BEFORE|AFTER] {n} {v}"),
    (3, "LSET {l} {n} {v}"),
    (3, "LREM {l} [0|1|-1] {n}"),
    (2, "LTRIM {l} {n} -{n}"),
    (3, "LPOP {l} [|{n}]"),
    (3, "RPOP {l} [|{n}]"),
    (3, "LMOVE {l} {l} [LEFT|RIGHT] [LEFT|RIGHT]"),
    (2, "RPOPLPUSH {l} {l}"),
    (2, "BLMOVE {l} {l} [LEFT|RIGHT] [LEFT|RIGHT] 0.001"),
    (1, "BRPOPLPUSH {l} {l} 0.001"),
    (2, "BLPOP {l} {l} 0.001"),
    (2, "BRPOP {l} {l} 0.001"),
    (2, "LMPOP 2 {l} {l} [LEFT|RIGHT] [|COUNT {n}]"),
    (2, "BLMPOP 0.001 2 {l} {l} [LEFT|RIGHT] [|COUNT {n}]"),
    (14, "SADD {S} {m*}"),
    (4, "SREM {S} {m*}"),
    (4, "SPOP {S} [|{n}]"),
    (3, "SMOVE {S} {S} {m}"),
    (2, "SUNIONSTORE {S} {S} {S}"),
    (2, "SINTERSTORE {S} {S} {S}"),
    (2, "SDIFFSTORE {S} {S} {S}"),
    (14, "HSET {h} {fv*}"),
    (2, "HMSET {h} {fv*}"),
    (3, "HSETNX {h} {f} {v}"),
    (4, "HDEL {h} {f*}"),
    (4, "HINCRBY {h} {f} {n}"),
    (5, "HINCRBYFLOAT {h} {f} {r}"),
    (5, "HEXPIRE {h} {d} [|NX|XX|GT|LT] FIELDS 2 {f} {f}"),
    (4, "HPEXPIRE {h} [{D}|0] [|NX|XX|GT|LT] FIELDS 2 {f} {f}"),
    (4, "HEXPIREAT {h} [{T}|1] [|NX|XX|GT|LT] FIELDS 1 {f}"),
    (4, "HPEXPIREAT {h} {U} [|NX|XX|GT|LT] FIELDS 3 {f} {f} {f}"),
    (4, "HPERSIST {h} FIELDS 2 {f} {f}"),
    (5, "HGETEX {h} [|EX {d}|PX {D}|EXAT {T}|PXAT {U}|PERSIST|EXAT 1] FIELDS 2 {f} {f}"),
    (7, "HSETEX {h} [|FNX|FXX] [|EX {d}|PX {D}|EXAT {T}|PXAT {U}|KEEPTTL|PXAT 1] FIELDS 2 {f} {v} {f} {v}"),
    (3, "HGETDEL {h} FIELDS 2 {f} {f}"),
    (14, "ZADD {z} [|NX|XX|GT|LT] [|CH] {r} {m} {n} {m} {r} {m}"),
    (3, "ZADD {z} INCR {r} {m}"),
    (4, "ZINCRBY {z} {r} {m}"),
    (3, "ZREM {z} {m*}"),
    (2, "ZREMRANGEBYRANK {z} {n} {n}"),
    (2, "ZREMRANGEBYSCORE {z} {n} (50"),
    (3, "ZADD {L} 0 {m} 0 {m} 0 {m}"),
    (1, "ZREMRANGEBYLEX {L} [m1 [m3"),
    (2, "ZPOPMIN {z} [|{n}]"),
    (2, "ZPOPMAX {z} [|{n}]"),
    (2, "ZMPOP 2 {z} {z} [MIN|MAX] [|COUNT {n}]"),
    (2, "BZPOPMIN {z} {z} 0.001"),
    (2, "BZPOPMAX {z} {z} 0.001"),
    (2, "BZMPOP 0.001 2 {z} {z} [MIN|MAX] [|COUNT {n}]"),
    (2, "ZUNIONSTORE {z} 2 {z} [{z}|{S}] [|WEIGHTS 2 {r}] [|AGGREGATE MIN|AGGREGATE MAX]"),
    (2, "ZINTERSTORE {z} 2 {z} {z} [|WEIGHTS 2 {r}] [|AGGREGATE MIN]"),
    (2, "ZDIFFSTORE {z} 2 {z} {z}"),
    (2, "ZRANGESTORE {z} {z} {n} -{n} [|REV]"),
    (7, "GEOADD {g} [|NX|XX] [|CH] {n}.5 {n}.25 {m} {n}.125 {n} {m}"),
    (2, "GEOSEARCHSTORE {z} {g} FROMLONLAT {n} {n} BYRADIUS 5000 km [|STOREDIST]"),
    (2, "GEORADIUS {g} {n} {n} 5000 km [STORE|STOREDIST] {z}"),
    (2, "GEORADIUSBYMEMBER {g} {m} 3000 km [STORE|STOREDIST] {z}"),
    (8, "XADD {x} [|NOMKSTREAM] [|MAXLEN ~ {n}|MAXLEN {n}|MAXLEN ~ {n} LIMIT {n}] [*|9999999999999-*] {fv*}"),
    (22, "XADD {y} [|NOMKSTREAM] {i+} {fv*}"),
    (7, "XADD {y} [|KEEPREF|DELREF|ACKED] [MAXLEN|MAXLEN ~|MAXLEN =] {n} {i+} {fv*}"),
    (5, "XADD {y} [|DELREF|ACKED] [MINID|MINID ~] {i} [|KEEPREF] {i+} {fv*}"),
    (3, "XADD {y} MINID ~ {i} LIMIT {n} {i+} {fv*}"),
    (4, "XTRIM {y} [MAXLEN|MAXLEN ~] {n} [|KEEPREF|DELREF|ACKED]"),
    (3, "XTRIM {y} [MINID|MINID ~] {i} [|KEEPREF|DELREF|ACKED]"),
    (2, "XTRIM {y} MINID ~ {i} LIMIT {n}"),
    (4, "XDEL {y} {i} {i} {i}"),
    (3, "XDELEX {y} [|KEEPREF|DELREF|ACKED] IDS 3 {i} {i} {i}"),
    (4, "XACKDEL {y} {G} [|KEEPREF|DELREF|ACKED] IDS 3 {i} {i} {i}"),
    (1, "XSETID {y} {i+} [|ENTRIESADDED {a} MAXDELETEDID {i}]"),
    (4, "XGROUP CREATE {y} {G} [0|$|{i}] [|MKSTREAM] [|ENTRIESREAD 0]"),
    (1, "XGROUP CREATE {x} {G} 0 MKSTREAM"),
    (2, "XGROUP SETID {y} {G} [0|$|{i}] [|ENTRIESREAD 0]"),
    (1, "XGROUP DESTROY {y} {G}"),
    (3, "XGROUP CREATECONSUMER {y} {G} {C}"),
    (2, "XGROUP DELCONSUMER {y} {G} {C}"),
    (12, "XREADGROUP GROUP {G} {C} [|COUNT {n}] [|NOACK] STREAMS {y} >"),
    (3, "XREADGROUP GROUP g1 {C} COUNT {n} BLOCK 1 STREAMS {y} {y} > >"),
    (2, "XREADGROUP GROUP {G} {C} STREAMS {x} >"),
    (5, "XACK {y} {G} {i} {i} {i}"),
    (8, "XCLAIM {y} {G} {C} 0 {i} {i} {i} [|FORCE] [|JUSTID] [|IDLE {n}|TIME 1000] [|RETRYCOUNT {n}] [|LASTID {i}]"),
    (2, "XCLAIM {y} {G} {C} 100000 {i} [|LASTID {i}]"),
    (5, "XAUTOCLAIM {y} {G} {C} [0|100000] 0 [|COUNT {n}] [|JUSTID]"),
    (2, "XAUTOCLAIM {x} {G} {C} 0 0 COUNT {n}"),
    (4, "DEL {k} [|{k}]"),
    (2, "UNLINK {k} {k}"),
    (4, "EXPIRE {k} {d} [|NX|XX|GT|LT]"),
    (3, "PEXPIRE {k} {D} [|NX|XX|GT|LT]"),
    (2, "EXPIREAT {k} [{T}|1] [|NX|XX|GT|LT]"),
    (2, "PEXPIREAT {k} {U} [|NX|XX|GT|LT]"),
    (1, "EXPIRE {k} -1"),
    (4, "PERSIST {k}"),
    (3, "RENAME {k} {k}"),
    (2, "RENAMENX {k} {k}"),
    (4, "COPY {k} {k} [|DB {db}] [|REPLACE]"),
    (2, "MOVE {k} {db}"),
    (2, "MIGRATE 127.0.0.1 {port} [{k}|{N}|{H}] {db} 20000 [|COPY] [|REPLACE]"),
    (1, "MIGRATE 127.0.0.1 {port} \"\" 0 20000 [|REPLACE] KEYS {k} {N} {k}"),
    (3, "SORT [{l}|{S}] ALPHA [|LIMIT 0 {n}] [|DESC] STORE {l}"),
    (1, "SORT {S} BY nosort STORE {l}"),
    (4, "RESTORE {k} [0|{D}] \"\\x00\\xc0\\x01\\x0c\\x00\\xed\\x0e\\xd3v++\\x8f\\xb5\" [|REPLACE]"),
    (2, "SWAPDB {db} {db}"),
    (30, "SELECT {db}"),
    (6, "SET {N} {n} PX {q}"),
    (2, "PSETEX {N} {q} {n}"),
    (3, "APPEND {N} {n}"),
    (3, "INCR {N}"),
    (3, "PEXPIRE {N} {q}"),
    (2, "GETEX {N} PX {q}"),
    (2, "GET {N}"),
    (6, "HSET {H} stays 1 {f} {n} {f} {n}"),
    (6, "HPEXPIRE {H} {q} FIELDS 2 {f} {f}"),
    (3, "HSETEX {H} PX {q} FIELDS 2 {f} {n} {f} {n}"),
    (2, "HGETEX {H} PX {q} FIELDS 2 {f} {f}"),
    (3, "HINCRBY {H} {f} 1"),
    (3, "HINCRBYFLOAT {H} {f} 1.5"),
    (2, "HSETNX {H} {f} {n}"),
    (2, "HGETDEL {H} FIELDS 2 {f} {f}"),
    (2, "HDEL {H} {f} {f}"),
    (2, "HMGET {H} {f} {f} {f}"),
    (1, "HRANDFIELD {H} 5"),
];

/// What Redis 8.2 does not know.
const LATER: [&str; 2] = ["DELIFEQ", "MSETEX"];

/// These come a few times in a run: they leave little to be compared.
pub const RARE: &[&str] = &["FLUSHALL [|ASYNC|SYNC]", "FLUSHDB [|ASYNC|SYNC]"];

/// Clients wait with these while others write.
pub const WAITING: &[&str] = &[
    "BLPOP {l} {l} 0.05",
    "BLMOVE {l} {l} LEFT RIGHT 0.05",
    "BLMPOP 0.05 2 {l} {l} RIGHT COUNT 2",
    "BZPOPMIN {z} {z} 0.05",
    "XREADGROUP GROUP {G} {C} COUNT 2 BLOCK 50 STREAMS {y} >",
];

const ANY_KEY: &[u8] = b"slShzyxgp";

/// Makes commands out of chance alone: the same seed makes the same commands.
pub struct Generator {
    pub rng: Rng,
    weights: u32,
    /// Ids of streams rise all through the run.
    next_id: u64,
    /// Of another server, which nobody looks at.
    port: u16,
    now_s: u64,
    /// Whether trims with DELREF are made.
    pub delref: bool,
    /// Only what Redis 8.2 knows.
    pub redis_8_2: bool,
}

impl Generator {
    pub fn new(seed: u64, port: u16, now_s: u64) -> Generator {
        let weights = COMMANDS.iter().map(|(weight, _)| weight).sum();
        Generator { rng: Rng::from_seed(seed), weights, next_id: 1, port, now_s, delref: true, redis_8_2: false }
    }

    /// One command.
    pub fn command(&mut self) -> Vec<Vec<u8>> {
        if self.rng.index(4000) == 0 {
            let at = self.rng.index(RARE.len());
            return self.expand(RARE[at]);
        }
        let mut at = self.rng.index(self.weights as usize) as u32;
        let line = COMMANDS.iter().find(|(weight, _)| match at.checked_sub(*weight) {
            Some(rest) => {
                at = rest;
                false
            }
            None => true,
        });
        match line.expect("it is below the sum").1 {
            line if self.redis_8_2 && LATER.iter().any(|name| line.starts_with(name)) => self.command(),
            line => self.expand(line),
        }
    }

    /// One that waits.
    pub fn waiting(&mut self) -> Vec<Vec<u8>> {
        let at = self.rng.index(WAITING.len());
        self.expand(WAITING[at])
    }

    fn expand(&mut self, line: &str) -> Vec<Vec<u8>> {
        let mut args = Vec::new();
        for word in crate::support::words(&self.choose(line)) {
            match std::str::from_utf8(&word).ok().filter(|word| word.contains('{')) {
                Some(place) => self.fill(place, &mut args),
                None => args.push(word),
            }
        }
        args
    }

    /// Decides between what stands in brackets. A bracket that nothing closes is a word of its own.
    fn choose(&mut self, line: &str) -> String {
        let mut out = String::new();
        let mut rest = line;
        while let Some((before, after)) = rest.split_once('[') {
            out += before;
            let choice = after.split_once(']').filter(|(inside, _)| inside.contains('|'));
            let Some((inside, behind)) = choice else {
                out.push('[');
                rest = after;
                continue;
            };
            let is_trim = line.starts_with("XADD") || line.starts_with("XTRIM");
            let is_made = |choice: &&str| self.delref || !is_trim || *choice != "DELREF";
            let choices: Vec<&str> = inside.split('|').filter(is_made).collect();
            out += choices[self.rng.index(choices.len())];
            rest = behind;
        }
        out + rest
    }

    fn fill(&mut self, word: &str, args: &mut Vec<Vec<u8>>) {
        let (before, rest) = word.split_once('{').expect("it has a place");
        let (place, after) = rest.split_once('}').expect("a place ends");
        if let Some(kind) = place.strip_suffix('*') {
            for _ in 0..=self.rng.index(5) {
                kind.chars().for_each(|kind| args.push(self.value(&kind.to_string())));
            }
            return;
        }
        let text = [before.as_bytes(), &self.value(place), after.as_bytes()].concat();
        match after.contains('{') {
            true => self.fill(std::str::from_utf8(&text).expect("numbers only"), args),
            false => args.push(text),
        }
    }

    fn value(&mut self, place: &str) -> Vec<u8> {
        let mut n = |below: u64| self.rng.below(below);
        let text = match place {
            "k" => {
                let kind = ANY_KEY[n(ANY_KEY.len() as u64) as usize] as char;
                format!("{kind}{}", n(5))
            }
            "L" => format!("lex{}", n(3)),
            "N" => format!("near{}", n(4)),
            "H" => format!("nearhash{}", n(3)),
            // One of twenty is of another type.
            _ if place.len() == 1 && ANY_KEY.contains(&place.as_bytes()[0]) => match n(20) {
                0 => return self.value("k"),
                _ => format!("{place}{}", n(5)),
            },
            "f" => format!("f{}", n(12)),
            "m" => format!("m{}", n(30)),
            "n" => n(40).to_string(),
            "r" => format!("{}{}.{}", if n(4) == 0 { "-" } else { "" }, n(100), n(1000)),
            "v" => match n(10) {
                0 => String::new(),
                1 => "x".repeat(n(200) as usize),
                2 => return vec![0xff, 0, b'\r', b'\n', n(256) as u8],
                3 => format!("{}.5", n(100)),
                _ => n(1000).to_string(),
            },
            "d" => (1000 + n(100_000)).to_string(),
            "D" => (1_000_000 + n(100_000_000)).to_string(),
            "T" => (self.now_s + 1000 + n(100_000)).to_string(),
            "U" => ((self.now_s + 1000) * 1000 + n(100_000_000)).to_string(),
            "q" => (1 + n(10)).to_string(),
            "i" => format!("{}-0", self.next_id.saturating_sub(n(60))),
            "i+" => {
                let seq = if n(4) == 0 { "*" } else { "0" };
                self.next_id += 1;
                format!("{}-{seq}", self.next_id)
            }
            // A group that has read more than was ever added cannot be told to elsewhere: docs/propagation.md.
            "a" => (1_000_000 + 10 * self.next_id).to_string(),
            "G" => format!("g{}", n(3)),
            "C" => format!("c{}", n(4)),
            "port" => self.port.to_string(),
            "db" => n(3).to_string(),
            other => panic!("no place is called {other}"),
        };
        text.into_bytes()
    }
}

/// The names of all commands that can be made, containers with their subcommands.
pub fn names() -> Vec<String> {
    let lines = COMMANDS.iter().map(|(_, line)| *line).chain(RARE.iter().copied());
    let name = |line: &str| {
        let mut words = line.split(' ');
        let name = words.next().expect("a line begins with a name").to_lowercase();
        let subcommand = words.next().filter(|_| name == "xgroup");
        subcommand.map_or(name.clone(), |subcommand| format!("{name}|{}", subcommand.to_lowercase()))
    };
    lines.map(name).collect()
}
