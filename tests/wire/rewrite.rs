//! What is saved, written as commands (`aof-use-rdb-preamble no`): whoever executes them has the same data.
//!
//! A server is filled at random and saves; the file is read here, a snapshot of it is written as commands, and kvstash
//! and real servers start with that as the base of their append-only file.

use crate::replay::commands::Generator;
use crate::replay::{contents, number};
use crate::support::{Conn, Server, TempDir, encode, under_test};
use kvstash::db::{Keyspace, Options};
use kvstash::persist::aof::{Batch, Scanner, Step};
use kvstash::persist::{
    CommandSettings, KeyspaceSource, LoadEntry, LoadSettings, LoadSink, Loader, SaveControl, SaveSettings, Saved,
    Step as LoadStep, Stored, load_entry, save_file,
};
use kvstash::rdb::{RdbError, RdbReader};
use kvstash::sys::disk::RealDisk;
use kvstash::types::{Limits, Vetting};
use kvstash::util::hash::HashSeed;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const DATABASES: usize = 16;

struct Sink {
    keyspace: Keyspace,
    now_ms: i64,
}

impl LoadSink for Sink {
    fn entry(&mut self, entry: &LoadEntry<'_>, from: &mut RdbReader<'_>) -> Result<Stored, RdbError> {
        load_entry(&mut self.keyspace, entry, from, Vetting::Trusted, self.now_ms)
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// Writes what an RDB file holds as commands.
fn rewrite(rdb: &Path, to: &Path, commands: CommandSettings) -> Saved {
    let limits = Limits { hash_entries: 6, set_entries: 6, zset_entries: 6, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let mut sink = Sink { keyspace: Keyspace::new(DATABASES, HashSeed::fixed(1), options), now_ms: now_ms() };
    let mut loader = Loader::open_file(&RealDisk, rdb, &LoadSettings::default()).unwrap().unwrap();
    while loader.step(&mut sink).unwrap() == LoadStep::More {}
    let source = KeyspaceSource::new(sink.keyspace.snapshot(), None, sink.now_ms);
    let settings = SaveSettings {
        path: to.to_owned(),
        temp: to.with_extension("temp"),
        version: None,
        compression: true,
        checksum: true,
        incremental_sync: true,
        aux: Vec::new(),
        functions: Vec::new(),
        commands: Some(commands),
        stream: None,
    };
    let saved = save_file(&RealDisk, &source, &settings, &SaveControl::default()).unwrap();
    drop(source);
    saved
}

/// The commands of a file, which is in order.
fn commands(path: &Path) -> (Vec<Vec<Vec<u8>>>, u64) {
    let bytes = fs::read(path).unwrap();
    let mut scanner = Scanner::new(&bytes[..], 0, bytes.len() as u64);
    let mut commands = Vec::new();
    let mut push = |batch: &Batch| {
        commands.extend(batch.commands().map(|command| command.args.iter().map(<[u8]>::to_vec).collect::<Vec<_>>()));
    };
    loop {
        match scanner.step().unwrap() {
            Step::Batch(batch) => push(&batch),
            Step::End(ending) => {
                assert!(ending.is_clean(), "{ending}");
                return (commands, ending.groups);
            }
        }
    }
}

/// A directory with this as the base of an append-only file.
fn directory(base: &Path) -> TempDir {
    let dir = TempDir::new();
    let aof = dir.join("appendonlydir");
    fs::create_dir(&aof).unwrap();
    fs::copy(base, aof.join("appendonly.aof.1.base.aof")).unwrap();
    fs::write(aof.join("appendonly.aof.manifest"), "file appendonly.aof.1.base.aof seq 1 type b\n").unwrap();
    dir
}

/// As many elements as make values convert.
const SETTINGS: [&str; 8] = [
    "--enable-debug-command",
    "yes",
    "--hash-max-listpack-entries",
    "6",
    "--set-max-listpack-entries",
    "6",
    "--zset-max-listpack-entries",
    "6",
];

/// Who starts with the file: kvstash, and a Redis that knows all that kvstash has.
fn starters() -> Vec<PathBuf> {
    [under_test()].into_iter().chain(std::env::var_os("BENCH_REDIS8").map(PathBuf::from)).collect()
}

fn is_kvstash() -> bool {
    under_test().to_string_lossy().contains("kvstash")
}

/// What the server has now, is what those have that start with its data as commands.
#[track_caller]
fn compare(kv: &mut Conn, server: &Server, annotated: bool) -> Vec<Vec<Vec<u8>>> {
    kv.ok("SAVE");
    // In a file a value has the encoding that its size asks for.
    kv.ok("DEBUG RELOAD");
    let base = server.dir.join("base.aof");
    let saved = rewrite(&server.dir.join("dump.rdb"), &base, CommandSettings { annotated, timestamp: Some(5) });
    assert!(fs::read(&base).unwrap().starts_with(b"#TS:5\r\n") && !server.dir.join("base.temp").exists());
    assert_eq!((saved.bytes, saved.version), (fs::metadata(&base).unwrap().len(), 0));
    let (commands, groups) = commands(&base);
    assert_eq!(groups > 0, annotated);
    let ours = contents(kv);
    for binary in starters() {
        let started = Server::start_in(directory(&base), &binary, &[&SETTINGS[..], &["--appendonly", "yes"]].concat());
        let theirs = contents(&mut started.connect());
        for (key, value) in &ours {
            assert_eq!(theirs.get(key), Some(value), "{key} in {}", binary.display());
        }
        assert_eq!(theirs.len(), ours.len());
    }
    commands
}

#[test]
fn random_data_as_commands() {
    if !is_kvstash() {
        return;
    }
    let (units, seed) = (number("REPLAY_UNITS", 3000), number("REPLAY_SEED", 1));
    let (server, elsewhere) = (Server::start(&SETTINGS), Server::start(&[]));
    let mut kv = server.connect();
    let mut generator = Generator::new(seed, elsewhere.port, now_ms() as u64 / 1000);
    for round in 0..3 {
        let bytes: Vec<u8> = (0..units).flat_map(|_| encode(&generator.command())).collect();
        kv.raw(&bytes);
        (0..units).for_each(|_| drop(kv.read()));
        // What expires within milliseconds does.
        std::thread::sleep(std::time::Duration::from_millis(50));
        compare(&mut kv, &server, round % 2 == 0);
        kv.line("SELECT 0");
    }
}

/// Values that random commands do not make: many elements, long ones, of every encoding.
#[test]
fn large_values_as_commands() {
    if !is_kvstash() {
        return;
    }
    let server = Server::start(&SETTINGS);
    let mut kv = server.connect();
    let long = "x".repeat(300_000);
    kv.ok(&format!("SET long {long}"));
    kv.line("SETRANGE gaps 3000000 end");
    kv.line("SETBIT bits 100000 1");
    kv.line(&format!("RPUSH longs {long} a {long} -5 b"));
    kv.line("ZADD scores inf a -inf b 0.1 c -0 d 1e300 e 3 f 4503599627370497.5 g 1e-320 h 9007199254740993 i");
    let mut lines = Vec::new();
    for n in 0..1000 {
        lines.push(format!("RPUSH list {n} item-{n}"));
        lines.push(format!("SADD set member-{n}"));
        lines.push(format!("SADD ints {n}"));
        lines.push(format!("ZADD zset {}.5 member-{n}", n * 37 % 101));
        lines.push(format!("HSET hash field-{n} {n}"));
        lines.push(format!("XADD stream {}-{} n {n} field value", 1 + n / 3, n % 3));
        lines.push(format!("SET key-{n} {n} PX {}", 100_000_000 + n));
    }
    kv.pipeline(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    kv.line("HPEXPIRE hash 100000000 FIELDS 3 field-1 field-2 field-999");
    kv.line("XSETID stream 900-5 ENTRIESADDED 5000 MAXDELETEDID 7-1");
    let commands = compare(&mut kv, &server, true);
    let count = |name: &str, key: &str, args: usize| {
        let is_one = |command: &&Vec<Vec<u8>>| {
            command[0] == name.as_bytes() && command[1] == key.as_bytes() && command.len() == args
        };
        commands.iter().filter(is_one).count()
    };
    assert_eq!((count("RPUSH", "list", 66), count("RPUSH", "list", 2 + 2000 % 64)), (2000 / 64, 1));
    assert_eq!((count("SADD", "ints", 66), count("ZADD", "zset", 130)), (1000 / 64, 1000 / 64));
    assert_eq!(
        (count("HMSET", "hash", 4), count("HPEXPIREAT", "hash", 6), count("XADD", "stream", 7)),
        (1000, 3, 1000)
    );
}

/// Entries that were deleted or trimmed while they were pending stay pending, which they do not in Redis.
#[test]
fn streams_as_commands() {
    if !is_kvstash() {
        return;
    }
    let server = Server::start(&SETTINGS);
    let mut kv = server.connect();
    kv.talk(
        r#"
        XGROUP CREATE made g $ MKSTREAM => OK
        XADD emptied 5-1 a 1 => "5-1"
        XDEL emptied 5-1 => 1
        XADD s 1-1 a 1 => "1-1"
        XADD s 1-2 a 2 b 3 => "1-2"
        XADD s 2-0 a 4 => "2-0"
        XADD s 3-0 c 5 => "3-0"
        XADD s 4-0 c 6 => "4-0"
        XGROUP CREATE s g 0 => OK
        XGROUP CREATE s idle 3-0 ENTRIESREAD 4 => OK
        XGROUP CREATECONSUMER s idle nobody => 1
        XREADGROUP GROUP g one COUNT 3 STREAMS s > =~ *
        XREADGROUP GROUP g two COUNT 2 STREAMS s > =~ *
        XCLAIM s g one 0 4-0 TIME 1700000000123 RETRYCOUNT 7 JUSTID => ["4-0"]
        XDEL s 2-0 => 1
        XTRIM s MINID = 1-2 => 1
        XADD trimmed 1-0 a 1 => "1-0"
        XADD trimmed 2-0 a 2 => "2-0"
        XGROUP CREATE trimmed g 0 => OK
        XREADGROUP GROUP g one STREAMS trimmed > =~ *
        XTRIM trimmed MAXLEN = 0 => 2
        "#,
    );
    let commands = compare(&mut kv, &server, false);
    let said: Vec<String> = commands.iter().map(|words| String::from_utf8(words.join(&b' ')).unwrap()).collect();
    for line in [
        "XADD made MAXLEN 0 0-1 x x",
        "XSETID made 0-0 ENTRIESADDED 0 MAXDELETEDID 0-0",
        "XADD emptied MAXLEN 0 0-1 x x",
        "XSETID emptied 5-1 ENTRIESADDED 1 MAXDELETEDID 5-1",
        "XADD s 1-1 x x",
        "XADD s 1-2 a 2 b 3",
        "XADD s 2-0 x x",
        "XGROUP CREATE s idle 3-0 ENTRIESREAD 4",
        "XGROUP CREATECONSUMER s idle nobody",
        "XCLAIM s g one 0 4-0 TIME 1700000000123 RETRYCOUNT 7 JUSTID FORCE",
        "XDEL s 2-0",
        "XTRIM trimmed MINID = 2-1",
    ] {
        assert!(said.iter().any(|command| command == line), "{line}: {said:#?}");
    }
}
