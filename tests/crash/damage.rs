//! Files that are damaged: every truncation, and random bit flips, of an append-only file with all kinds of commands and
//! of an RDB file. Nothing crashes; what is given out of a file with checksums is what was written, up to some place; and
//! a place that is not in the last group is never taken for the end.
//!
//! `KVSTASH_FLIPS` is how many bits are flipped (`make damage` has 10,000).

use crate::support::{Server, wait_for};
use kvstash::cow::Heap;
use kvstash::persist::aof::{Ending, FaultKind, Scanner, Step};
use kvstash::persist::{LoadEntry, LoadNote, LoadSettings, LoadSink, Loader, Step as LoadStep, Stored, load_value};
use kvstash::rdb::{RdbError, RdbReader};
use kvstash::types::Limits;
use kvstash::types::place::Maker;
use kvstash::types::value::Vetting;
use kvstash::util::hash::HashSeed;
use kvstash::util::rng::Rng;
use std::fs;
use std::time::Duration;

fn flips() -> u64 {
    std::env::var("KVSTASH_FLIPS").map_or(500, |text| text.parse().expect("a number of flips"))
}

/// An append-only file and the RDB file of its base, with commands of all kinds.
fn sample(annotations: &str) -> (Vec<u8>, Vec<u8>) {
    let args = ["--appendonly", "yes", "--appendfsync", "always", "--aof-timestamp-enabled", "yes"];
    let server = Server::start(&[&args[..], &["--aof-annotations", annotations]].concat());
    let mut kv = server.connect();
    for round in 0..2 {
        if round == 1 {
            kv.line("BGREWRITEAOF");
            wait_for("the rewrite", Duration::from_secs(20), || kv.info("aof_rewrite_in_progress") == "0");
            kv.line("XGROUP DESTROY stream group");
        }
        kv.talk(
            r#"
            SET a 1
            INCRBY a 100
            APPEND text "some text, \r\n and more"
            RPUSH list 1 2 3
            LPOP list 2
            SET later x PX 100000000
            DEL hash
            HSET hash f v g w
            HPEXPIREAT hash 4102444800123 FIELDS 1 f
            MULTI
            SADD set a b c
            SELECT 3
            ZADD zset 1.5 m 2.5 n
            EXEC
            SELECT 0
            XADD stream * k v
            XGROUP CREATE stream group 0
            XREADGROUP GROUP group me COUNT 1 STREAMS stream >
            PFADD hll a b c
            GEOADD geo 13.361389 38.115556 Palermo
            SETBIT bits 100 1
            "#,
        );
    }
    kv.talk("SET b 1\n MULTI\n INCR b\n LPUSH list x y\n EXEC\n SET c 2\n RPUSH list 7");
    let dir = server.dir.path().join("appendonlydir");
    let read = |name: &str| fs::read(dir.join(name)).unwrap();
    // The base holds what the first round has made, the increment all commands of the second.
    (read("appendonly.aof.2.incr.aof"), read("appendonly.aof.2.base.rdb"))
}

/// What is given out, and how it ends.
fn scan(bytes: &[u8]) -> (Vec<Vec<Vec<u8>>>, Ending) {
    let mut scanner = Scanner::new(bytes, 0, bytes.len() as u64);
    let mut commands = Vec::new();
    loop {
        match scanner.step().unwrap() {
            Step::Batch(batch) => commands
                .extend(batch.commands().map(|it| (0..it.args.len()).map(|i| it.args[i].to_vec()).collect::<Vec<_>>())),
            Step::End(ending) => return (commands, ending),
        }
    }
}

/// Whether a start goes on without the rest, with the configuration that comes along.
fn is_cut_off(ending: &Ending) -> bool {
    let looks_so =
        ending.fault.as_ref().is_some_and(|it| matches!(it.kind, FaultKind::Truncated | FaultKind::ZeroPadded));
    looks_so && !ending.in_the_middle()
}

/// Where the last group begins.
fn last_group(bytes: &[u8]) -> usize {
    let lines: Vec<usize> =
        bytes.windows(7).enumerate().filter(|(_, it)| *it == b"#GROUP:").map(|(at, _)| at).collect();
    let before = lines[lines.len() - 2];
    before + bytes[before..].iter().position(|byte| *byte == b'\n').unwrap() + 1
}

#[test]
fn every_truncation_of_an_append_only_file() {
    for annotations in ["yes", "no"] {
        let (file, _) = sample(annotations);
        let (all, ending) = scan(&file);
        assert!(ending.is_clean() && all.len() > 20, "{annotations}: {ending}");
        for len in 0..file.len() {
            let (commands, ending) = scan(&file[..len]);
            assert!(all.starts_with(&commands), "{annotations}, {len} bytes: what was not written");
            assert!(ending.is_clean() || is_cut_off(&ending), "{annotations}, {len} bytes: {ending}");
            assert!(ending.good_to <= len as u64);
            // What is kept is whole.
            let (kept, ending) = scan(&file[..ending.good_to as usize]);
            assert!(ending.is_clean() && kept == commands, "{annotations}, {len} bytes: {ending}");
        }
    }
}

#[test]
fn bits_of_an_append_only_file_are_flipped() {
    let (file, _) = sample("yes");
    let (all, _) = scan(&file);
    let last = last_group(&file);
    let mut dice = Rng::from_seed(7);
    let (mut refused, mut cut, mut whole) = (0, 0, 0);
    // Every bit of the last group, and any others.
    let bits = (last * 8..file.len() * 8).chain((0..flips()).map(|_| dice.index(file.len() * 8)));
    for bit in bits {
        let mut bytes = file.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let (commands, ending) = scan(&bytes);
        assert!(all.starts_with(&commands), "bit {bit}: {ending}: something else is executed");
        match &ending.fault {
            None => {
                assert!(commands == all, "bit {bit}: commands are lost in silence");
                assert!(ending.damaged_lines.is_some(), "bit {bit} was not noticed");
                whole += 1;
            }
            Some(_) if is_cut_off(&ending) => {
                assert!(bit / 8 >= last, "bit {bit}: {ending}: damage in the middle is taken for the end");
                cut += 1;
            }
            Some(_) => refused += 1,
        }
    }
    eprintln!("{refused} refused, {cut} cut off, {whole} with a damaged line");
    assert!(refused > 0 && whole > 0);
}

/// Without checksums a flip in a value is not seen, as in Redis; but nothing crashes, and no bytes are made up.
#[test]
fn bits_of_a_file_without_checksums_are_flipped() {
    let (file, _) = sample("no");
    let mut dice = Rng::from_seed(8);
    for _ in 0..flips() {
        let bit = dice.index(file.len() * 8);
        let mut bytes = file.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let (commands, ending) = scan(&bytes);
        assert!(ending.good_to <= bytes.len() as u64 && commands.len() <= file.len() / 4, "bit {bit}: {ending}");
    }
}

struct Anything(u64);

impl LoadSink for Anything {
    fn entry(&mut self, entry: &LoadEntry<'_>, from: &mut RdbReader<'_>) -> Result<Stored, RdbError> {
        let mut heap = Heap::new();
        let mut maker = Maker { heap: &mut heap, limits: Limits::default(), seed: HashSeed::fixed(1) };
        load_value(entry.kind, from, Vetting::Hostile, &mut maker)?;
        self.0 += 1;
        Ok(Stored::Yes)
    }

    fn note(&mut self, _: LoadNote) {}
}

fn load(bytes: &[u8]) -> Result<u64, RdbError> {
    let mut sink = Anything(0);
    let mut loader = Loader::open(bytes, Some(bytes.len() as u64), &LoadSettings::default())?;
    while !matches!(loader.step(&mut sink)?, LoadStep::Done(_)) {}
    Ok(sink.0)
}

#[test]
fn every_truncation_and_flips_of_an_rdb_file() {
    let (_, file) = sample("yes");
    assert!(load(&file).unwrap() >= 8);
    for len in 0..file.len() {
        assert!(load(&file[..len]).is_err(), "{len} of {} bytes are loaded", file.len());
    }
    let mut dice = Rng::from_seed(9);
    for _ in 0..flips() {
        let bit = dice.index(file.len() * 8);
        let mut bytes = file.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(load(&bytes).is_err(), "bit {bit} was not noticed");
    }
}
