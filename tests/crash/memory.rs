//! Data that fits in memory can be loaded again: whatever commands made it, under the same limits, from a file or from
//! DUMP payloads, and in little more memory than the limit.
//!
//! A round is a list of steps that depends on a seed. One that fails is shortened as far as it goes on failing, and
//! printed. `KVSTASH_MEMORY_SEED` is the first seed, `KVSTASH_MEMORY_ROUNDS` how many there are.

use crate::support::{Conn, Server, TempDir, under_test, wait_for};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Duration;

const MB: u64 = 1 << 20;
/// Twice this has room for what a process maps before it has any data.
const LIMIT: u64 = 160 * MB;

/// Chance by number.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Bytes that do not repeat, that repeat, or zeros.
fn text(dice: &mut Dice, len: u64) -> String {
    let noise = dice.below(3);
    let mut x = dice.below(1 << 30);
    let byte = |i: u64| match noise {
        0 => {
            x = x.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7FFF_FFFF;
            (b'0' + (x >> 16) as u8 % 64) as char
        }
        1 => (b'a' + (i % 26) as u8) as char,
        _ => '\0',
    };
    (0..len).map(byte).collect()
}

fn steps(seed: u64, count: usize) -> Vec<Vec<String>> {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEECE66D);
    (0..count).map(|_| step(&mut dice)).collect()
}

fn step(dice: &mut Dice) -> Vec<String> {
    let key = |dice: &mut Dice| format!("s:{}", dice.below(40));
    let command = |words: &[&str]| words.iter().map(|word| (*word).to_string()).collect::<Vec<_>>();
    let (a, b, c) = (key(dice), key(dice), key(dice));
    let at = |dice: &mut Dice| (1u64 << dice.below(23)).saturating_add(dice.below(100_000)).to_string();
    let words = |dice: &mut Dice| {
        let bits = 2 + dice.below(18);
        let len = dice.below(1 << bits);
        text(dice, len)
    };
    match dice.below(20) {
        0 | 1 => command(&["SETRANGE", &a, &at(dice), &words(dice)]),
        2 => command(&["SETBIT", &a, &(8 * (1 << dice.below(24))).to_string(), "1"]),
        3 | 4 => command(&["COPY", &a, &b, "REPLACE"]),
        5 => command(&["APPEND", &a, &words(dice)]),
        6 | 7 => command(&["SET", &a, &words(dice)]),
        8 => command(&["BITOP", ["AND", "OR", "XOR"][dice.below(3) as usize], &c, &a, &b]),
        9 => command(&["BITOP", "NOT", &c, &a]),
        10 => command(&["RENAME", &a, &b]),
        11 => command(&["SET", &a, "short"]),
        12 => command(&["DEL", &a]),
        kind => {
            // Collections grow by many elements of one length, and lose some.
            let key = format!("{kind}:{}", dice.below(6));
            let (n, long, first) = (1 + dice.below(300), 1 + dice.below(80), dice.below(5_000));
            let elements = (first..first + n).map(|i| format!("{i}{}", "e".repeat(long as usize)));
            let mut words = match kind {
                13 => command(&["RPUSH", &key]),
                14 => command(&["SADD", &key]),
                15 => command(&["HSET", &key]),
                16 => command(&["ZADD", &key]),
                17 => command(&["XADD", &key, "*"]),
                18 => command(&["LTRIM", &format!("13:{}", dice.below(6)), &n.to_string(), "-1"]),
                _ => command(&["SREM", &format!("14:{}", dice.below(6))]),
            };
            for (i, element) in elements.enumerate() {
                match kind {
                    15 | 17 => words.extend([element, "value".into()]),
                    16 => words.extend([i.to_string(), element]),
                    18 => {}
                    _ => words.push(element),
                }
            }
            words
        }
    }
}

fn number(kv: &mut Conn, field: &str) -> u64 {
    kv.info(field).parse().unwrap()
}

fn used(kv: &mut Conn) -> u64 {
    kv.ok("MEMORY PURGE");
    number(kv, "used_memory") - number(kv, "mem_not_counted_for_evict")
}

/// A server in a process that may map no more than twice the limit.
fn confined() -> (TempDir, PathBuf) {
    let dir = TempDir::new();
    let path = dir.path().join("confined");
    let binary = under_test();
    let script = format!("#!/bin/sh\nulimit -v {}\nexec '{}' \"$@\"\n", 2 * LIMIT / 1024, binary.display());
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    (dir, path)
}

fn alike(what: &str, before: u64, after: u64) {
    let (most, least) = (before + before / 10 + MB, before.saturating_sub(before / 10 + MB));
    assert!((least..=most).contains(&after), "{what}: {before} bytes before, {after} after");
}

/// The same data in another process.
fn same(what: &str, kv: &mut Conn, digest: &str, keys: i64, before: u64) {
    kv.line("PING");
    assert_eq!((kv.int("DBSIZE"), kv.info("evicted_keys").as_str()), (keys, "0"), "{what}");
    assert_eq!(kv.line("DEBUG DIGEST").string(), digest, "{what}");
    alike(what, before, used(kv));
}

fn round(steps: &[Vec<String>], policy: &str) {
    let args = ["--maxmemory", &LIMIT.to_string(), "--maxmemory-policy", policy];
    let mut server = Server::start(&args);
    let mut kv = server.connect();
    for chunk in steps.chunks(20) {
        chunk.iter().for_each(|step| kv.send(step));
        chunk.iter().for_each(|_| _ = kv.read()); // some are refused: wrong types, no room, no such key
    }
    // What is above the limit by one command, or by a hair after a table was laid out anew, may go.
    while used(&mut kv) > LIMIT - LIMIT / 50 {
        let name = kv.line("RANDOMKEY").string();
        kv.int(&format!("DEL {name}"));
    }
    let (before, keys, digest) = (used(&mut kv), kv.int("DBSIZE"), kv.line("DEBUG DIGEST").string());
    kv.ok("SAVE");
    let names = kv.line("KEYS *").items().iter().map(|name| name.string()).collect::<Vec<_>>();
    let payloads: Vec<(String, Vec<u8>)> =
        names.into_iter().map(|name| (name.clone(), kv.cmd(&["DUMP", &name]).bytes().to_vec())).collect();
    let usage: Vec<i64> = payloads.iter().map(|(name, _)| kv.int(&format!("MEMORY USAGE {name}"))).collect();
    server.kill_9();
    server.start_again();
    let mut kv = server.connect();
    same("restart", &mut kv, &digest, keys, before);
    for ((name, _), before) in payloads.iter().zip(usage).filter(|(_, usage)| *usage > 100_000) {
        alike(&format!("MEMORY USAGE {name}"), before as u64, kv.int(&format!("MEMORY USAGE {name}")) as u64);
    }
    let (_script, path) = confined();
    for (kind, binary) in [("restart", under_test()), ("confined restart", path.clone())] {
        let dir = TempDir::new();
        fs::copy(server.dir.path().join("dump.rdb"), dir.path().join("dump.rdb")).unwrap();
        same(kind, &mut Server::start_in(dir, &binary, &args).connect(), &digest, keys, before);
    }
    for (kind, binary) in [("restore", under_test()), ("confined restore", path)] {
        let other = Server::start_in(TempDir::new(), &binary, &args);
        let mut kv = other.connect();
        for (name, payload) in &payloads {
            let reply = kv.cmd_bytes(&[b"RESTORE", name.as_bytes(), b"0", payload]);
            assert_eq!(reply.text(), "OK", "{kind} of {name}, {} bytes", payload.len());
        }
        same(kind, &mut kv, &digest, keys, before);
    }
}

fn holds(steps: &[Vec<String>], policy: &str) -> bool {
    catch_unwind(AssertUnwindSafe(|| round(steps, policy))).is_ok()
}

/// Fewer steps that fail as well.
fn shortened(mut steps: Vec<Vec<String>>, policy: &str) -> Vec<Vec<String>> {
    let mut part = steps.len() / 2;
    while part > 0 {
        let mut at = 0;
        while at < steps.len() {
            let fewer = [&steps[..at], &steps[(at + part).min(steps.len())..]].concat();
            if holds(&fewer, policy) { at += part } else { steps = fewer }
        }
        part /= 2;
    }
    steps
}

#[test]
fn what_fits_in_memory_can_be_loaded_again() {
    let number = |name: &str, default: u64| std::env::var(name).ok().map_or(default, |text| text.parse().unwrap());
    let first = number("KVSTASH_MEMORY_SEED", 1);
    for seed in first..first + number("KVSTASH_MEMORY_ROUNDS", 3) {
        let policy = ["noeviction", "allkeys-lru", "allkeys-random"][seed as usize % 3];
        let steps = steps(seed, 150 + 100 * (seed as usize % 4));
        if !holds(&steps, policy) {
            let shown = |word: &String| if word.len() > 60 { format!("({} bytes)", word.len()) } else { word.clone() };
            for step in shortened(steps, policy) {
                eprintln!("  {}", step.iter().take(6).map(shown).collect::<Vec<_>>().join(" "));
            }
            panic!("seed {seed}, policy {policy}: these steps fail (words beyond the sixth are not shown)");
        }
    }
}

/// The two ways in which sharing was once free: gaps, and copies.
#[test]
fn gaps_and_copies_are_paid_for() {
    let args = ["--maxmemory", "100mb"];
    let mut server = Server::start(&args);
    let mut kv = server.connect();
    let made = (0..30).filter(|i| !kv.line(&format!("SETBIT b{i} 4294967295 1")).is_error()).count();
    assert_eq!(made, 1, "the first goes beyond the limit, as it does in Redis, and there is no room for another");
    assert!(number(&mut kv, "used_memory") > 512 * MB);
    kv.int("DEL b0");
    kv.int("SETRANGE long 10000000 x");
    let made = (0..30).filter(|i| kv.line(&format!("COPY long copy:{i}")).text() == "1").count();
    assert_eq!(made, 10, "ten of 10 MB are as many as there may be, and the last goes beyond the limit");
    kv.int("DEL long");
    let (before, digest) = (used(&mut kv), kv.line("DEBUG DIGEST").string());
    kv.ok("SAVE");
    server.kill_9();
    server.start_again();
    let mut kv = server.connect();
    same("restart", &mut kv, &digest, 10, before);
    assert!(number(&mut kv, "used_memory_rss") < 60 * MB, "zeros and copies take no memory for real");
}

/// Snapshots share everything for a while, and that is no memory either.
#[test]
fn a_save_does_not_change_what_is_used() {
    let server =
        Server::start(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru", "--rdb-key-save-delay", "200000"]);
    let mut kv = server.connect();
    for i in 0..8 {
        kv.cmd(&["SET", &format!("long:{i}"), &"v".repeat(10_000_000)]);
    }
    let before = used(&mut kv);
    kv.line("BGSAVE");
    for i in 0..8 {
        for at in (0..10_000_000).step_by(100_000) {
            kv.send(&["SETRANGE", &format!("long:{i}"), &at.to_string(), "changed"]);
        }
        (0..100).for_each(|_| _ = kv.read());
    }
    kv.cmd(&["SET", "long:0", "short"]);
    assert_eq!(kv.info("rdb_bgsave_in_progress"), "1");
    alike("during a save", before - 10_000_000, used(&mut kv));
    assert_eq!(kv.info("evicted_keys"), "0");
    kv.ok("CONFIG SET rdb-key-save-delay 0");
    wait_for("the save to end", Duration::from_secs(30), || kv.info("rdb_bgsave_in_progress") == "0");
    alike("after a save", before - 10_000_000, used(&mut kv));
    assert_eq!(kv.info("evicted_keys"), "0");
}
