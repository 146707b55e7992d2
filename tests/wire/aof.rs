//! The append-only file: what survives, in which files, and what happens when the disk does not do its part.

use crate::support::{Conn, Server, TempDir, under_test, wait_for};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

const ON: &[&str] = &["--appendonly", "yes", "--save", "", "--enable-debug-command", "yes"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [ON, more].concat()
}

fn digest(server: &Server) -> String {
    server.connect().line("DEBUG DIGEST").string()
}

fn manifest(dir: &Path) -> String {
    fs::read_to_string(dir.join("appendonlydir/appendonly.aof.manifest")).unwrap()
}

fn increment(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("appendonlydir/appendonly.aof.{number}.incr.aof"))
}

/// Waits until all that was written is in the file.
fn written(kv: &mut Conn) {
    kv.talk("WAITAOF 1 0 0 => [1 0]");
}

fn rewrite(kv: &mut Conn) {
    assert_eq!(kv.line("BGREWRITEAOF").text(), "Background append only file rewriting started");
    wait_for("the rewrite", LIMIT, || kv.info("aof_rewrite_in_progress") == "0");
    assert_eq!(kv.info("aof_last_bgrewrite_status"), "ok");
}

fn fill(kv: &mut Conn) {
    kv.talk(
        r#"
        SET a 1
        INCR a => 2
        RPUSH list 1 2 3
        BLPOP list 0 => ["list" "1"]
        SET later x PX 100000000
        HSET hash f v g w
        HPEXPIREAT hash 4102444800123 FIELDS 1 f => [1]
        MULTI
        SADD set a b c => QUEUED
        SELECT 3 => QUEUED
        ZADD zset 1.5 m => QUEUED
        EXEC => [3 OK 1]
        XADD stream 1-1 k v => "1-1"
        PUBLISH nobody hears => 0
        SELECT 0
        "#,
    );
}

#[test]
fn what_was_written_comes_back() {
    for policy in ["always", "everysec", "no"] {
        let mut server = Server::start(&with(&["--appendfsync", policy]));
        let mut kv = server.connect();
        fill(&mut kv);
        if policy == "everysec" {
            written(&mut kv);
        }
        let before = digest(&server);
        if policy == "no" {
            server.signal("TERM");
            assert!(server.wait_exit(LIMIT).success());
        } else {
            server.kill_9();
        }
        server.start_again();
        assert_eq!(digest(&server), before, "{policy}");
        let mut kv = server.connect();
        kv.talk("SELECT 3\n ZSCORE zset m => \"1.5\"\n SELECT 0\n HPEXPIRETIME hash FIELDS 1 f => [4102444800123]");
        assert!(kv.int("PTTL later") > 99_000_000);
        let file = fs::read(increment(server.dir.path(), 1)).unwrap();
        assert!(file.starts_with(b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"), "a file names its database first");
        assert!(!file.windows(7).any(|bytes| bytes == b"PUBLISH"), "messages are not kept");
    }
}

#[test]
fn a_rewrite_takes_the_place_of_what_was_there() {
    let mut server = Server::start(&with(&["--auto-aof-rewrite-percentage", "0"]));
    let mut kv = server.connect();
    fill(&mut kv);
    for i in 0..1000 {
        kv.cmd(&["SET", "same", &i.to_string()]);
    }
    written(&mut kv);
    let large = kv.info("aof_current_size").parse::<u64>().unwrap();
    rewrite(&mut kv);
    let lines = manifest(server.dir.path());
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0], "file appendonly.aof.2.base.rdb seq 2 type b");
    assert!(lines[1].starts_with("file appendonly.aof.2.incr.aof seq 2 type i startoffset "), "{lines:?}");
    let files = fs::read_dir(server.dir.path().join("appendonlydir")).unwrap().count();
    assert_eq!(files, 3, "the old files are gone");
    assert!(kv.info("aof_current_size").parse::<u64>().unwrap() < large / 10);
    kv.ok("SET behind 1");
    let before = digest(&server);
    written(&mut kv);
    server.kill_9();
    server.start_again();
    assert_eq!(digest(&server), before);
}

#[test]
fn it_can_be_switched_on_and_off() {
    let mut server = Server::start(&["--save", "", "--enable-debug-command", "yes"]);
    let mut kv = server.connect();
    fill(&mut kv);
    assert_eq!(kv.info("aof_enabled"), "0");
    kv.ok("CONFIG SET appendonly yes");
    wait_for("the first rewrite", LIMIT, || kv.info("aof_rewrite_in_progress") == "0");
    kv.ok("SET while-on 1");
    let before = digest(&server);
    kv.ok("CONFIG SET appendonly no");
    let lines = manifest(server.dir.path());
    assert!(lines.contains("appendonly.aof.1.base.rdb") && lines.contains(" endoffset "), "{lines}");
    kv.ok("SET while-off 1");
    kv.ok("DEBUG LOADAOF");
    assert_eq!(digest(&server), before);
    kv.ok("CONFIG SET appendonly yes");
    wait_for("the next rewrite", LIMIT, || kv.info("aof_rewrite_in_progress") == "0");
    assert!(manifest(server.dir.path()).contains("appendonly.aof.2.base.rdb"));
    server.kill_9();
    server.start_again();
    assert_eq!(server.connect().int("EXISTS while-on"), 0, "it starts without the file");
}

#[test]
fn data_of_an_rdb_file_is_not_lost_in_silence() {
    let server = Server::start(&["--save", "", "--enable-debug-command", "yes"]);
    let mut kv = server.connect();
    fill(&mut kv);
    kv.ok("SAVE");
    let before = digest(&server);
    let rdb = fs::read(server.dir.path().join("dump.rdb")).unwrap();
    drop(server);
    let dir = TempDir::new();
    fs::write(dir.path().join("dump.rdb"), &rdb).unwrap();
    let (status, log) = Server::refuse(dir.path(), ON);
    assert!(!status.success() && log.contains("aof-load-rdb-on-startup"), "{log}");
    assert!(!dir.path().join("appendonlydir").exists(), "nothing was begun");

    let empty = Server::start_in(dir, &under_test(), &with(&["--aof-load-rdb-on-startup", "no"]));
    assert_eq!(empty.connect().int("DBSIZE"), 0);
    drop(empty);

    let dir = TempDir::new();
    fs::write(dir.path().join("dump.rdb"), &rdb).unwrap();
    let mut seeded = Server::start_in(dir, &under_test(), &with(&["--aof-load-rdb-on-startup", "yes"]));
    assert_eq!(digest(&seeded), before);
    assert!(manifest(seeded.dir.path()).starts_with("file appendonly.aof.1.base.rdb seq 1 type b\n"));
    seeded.kill_9();
    fs::remove_file(seeded.dir.path().join("dump.rdb")).unwrap();
    seeded.start_again();
    assert_eq!(digest(&seeded), before, "the first base has it");
}

/// A server that was killed in the middle of a write.
fn torn(tail: &[u8]) -> (Server, PathBuf, u64) {
    let mut server = Server::start(&with(&["--appendfsync", "always"]));
    server.connect().ok("SET kept 1");
    server.kill_9();
    let file = increment(server.dir.path(), 1);
    let whole = fs::metadata(&file).unwrap().len();
    OpenOptions::new().append(true).open(&file).unwrap().write_all(tail).unwrap();
    (server, file, whole)
}

#[test]
fn a_torn_end_is_cut_off_and_kept() {
    let tail = b"*3\r\n$3\r\nSET\r\n$4\r\nlost\r\n$1";
    let (mut server, file, whole) = torn(tail);
    server.start_again();
    let mut kv = server.connect();
    kv.talk("GET kept => \"1\"\n EXISTS lost => 0\n SET more 2 => OK");
    assert!(server.log().contains("!!! Warning: short read while loading the AOF file appendonly.aof.1.incr.aof!!!"));
    let kept = PathBuf::from(format!("{}.cut-{whole}", file.display()));
    assert_eq!(fs::read(kept).unwrap(), tail);
    server.kill_9();
    server.start_again();
    server.connect().talk("GET kept => \"1\"\n GET more => \"2\"");
}

#[test]
fn what_was_cut_off_before_is_not_overwritten() {
    let (mut server, file, whole) = torn(b"*3\r\n$3\r\nSET\r\n$5\r\nfirst");
    server.start_again();
    server.kill_9();
    OpenOptions::new().append(true).open(&file).unwrap().write_all(b"*3\r\n$3\r\nSET\r\n$6\r\nsecond").unwrap();
    server.start_again();
    let kept = |suffix: &str| fs::read_to_string(format!("{}.cut-{whole}{suffix}", file.display())).unwrap();
    assert!(kept("").ends_with("first") && kept(".2").ends_with("second"));
}

/// A length that is damaged in the middle looks like an end; what follows says that it is none.
#[test]
fn damage_that_looks_like_an_end_is_not_cut_off() {
    let mut server = Server::start(&with(&["--appendfsync", "always"]));
    let mut kv = server.connect();
    let value = "x".repeat(100);
    for i in 0..10 {
        kv.ok(&format!("SET key:{i} {value}"));
    }
    server.kill_9();
    let file = increment(server.dir.path(), 1);
    let mut bytes = fs::read(&file).unwrap();
    // From 100 to 900 bytes, which are more than the file has.
    let at = bytes.windows(5).position(|bytes| bytes == b"key:7").unwrap();
    assert_eq!(&bytes[at + 7..at + 11], b"$100");
    bytes[at + 8] = b'9';
    fs::write(&file, &bytes).unwrap();
    let (status, log) = Server::refuse(server.dir.path(), ON);
    assert!(!status.success() && log.contains("2 groups behind it are good"), "{log}");
    assert_eq!(fs::read(&file).unwrap(), bytes, "nothing was changed");
}

#[test]
fn zeros_at_the_end_are_nothing() {
    let (mut server, file, whole) = torn(&[0; 5000]);
    server.start_again();
    server.connect().talk("GET kept => \"1\"");
    assert_eq!(fs::metadata(&file).unwrap().len(), whole);
}

#[test]
fn where_an_end_may_not_be_cut_off_the_server_does_not_start() {
    let (server, file, whole) = torn(b"*3\r\n$3\r\nSET\r\n");
    let before = fs::read(&file).unwrap();
    let (status, log) = Server::refuse(server.dir.path(), &with(&["--aof-load-truncated", "no"]));
    assert!(!status.success() && log.contains("Unexpected end of file reading the append only file"), "{log}");
    // In the middle nothing helps.
    let mut bytes = before.clone();
    bytes.truncate(whole as usize);
    let at = bytes.windows(4).position(|bytes| bytes == b"kept").unwrap();
    bytes[at] ^= 1;
    bytes.extend_from_slice(&before[..0]);
    fs::write(&file, &bytes).unwrap();
    let (status, log) = Server::refuse(server.dir.path(), ON);
    assert!(!status.success() && log.contains("Bad file format reading the append only file"), "{log}");
    assert_eq!(fs::read(&file).unwrap(), bytes, "nothing was changed");
    // Unless it is said that so much may be lost.
    let dir = TempDir::new();
    copy_dir(&server.dir.path().join("appendonlydir"), &dir.path().join("appendonlydir"));
    let server = Server::start_in(dir, &under_test(), &with(&["--aof-load-corrupt-tail-max-size", "4096"]));
    assert_eq!(server.connect().int("DBSIZE"), 0);
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn waitaof() {
    let server = Server::start(&with(&[]));
    let mut kv = server.connect();
    kv.talk(
        r#"
        WAITAOF 0 0 0 => [1 0]
        SET k v
        WAITAOF 1 0 5000 => [1 0]
        WAITAOF 1 1 10 => [1 0]
        WAITAOF 2 0 0 => (error) ERR value is out of range, must be between 0 and 1
        WAITAOF 1 -1 0 => (error) ERR value is out of range, must be positive
        WAITAOF 1 0 -1 => (error) ERR timeout is negative
        WAIT 0 0 => 0
        WAIT 1 10 => 0
        MULTI
        SET k w => QUEUED
        WAITAOF 1 1 0 => QUEUED
        WAIT 1 0 => QUEUED
        "#,
    );
    kv.line("EXEC");
    kv.ok("CONFIG SET appendonly no");
    kv.talk(
        "WAITAOF 1 0 0 => (error) ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.\n\
         WAITAOF 0 0 0 => [0 0]",
    );
}

/// Under `always` nobody is told what is not on the disk, and nobody else sees it; the loop goes on.
#[test]
fn replies_wait_for_the_disk() {
    let server = Server::start(&with(&["--appendfsync", "always"]));
    let mut kv = server.connect();
    kv.ok("SET k 0");
    kv.ok("DEBUG AOF-FLUSH-SLEEP 300000");
    let began = std::time::Instant::now();
    kv.ok("SET k 1");
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    let mut other = server.connect();
    kv.send(&["SET", "k", "2"]);
    std::thread::sleep(Duration::from_millis(50));
    let began = std::time::Instant::now();
    assert_eq!(other.line("GET k").string(), "2");
    assert!(began.elapsed() >= Duration::from_millis(150), "what it has seen is on the disk");
    assert_eq!(kv.read().text(), "OK");
}

/// A base may be commands, too, in groups that carry checksums.
#[test]
fn a_base_of_commands() {
    let more = ["--aof-use-rdb-preamble", "no", "--auto-aof-rewrite-percentage", "0", "--aof-timestamp-enabled", "yes"];
    let mut server = Server::start(&with(&more));
    let mut kv = server.connect();
    fill(&mut kv);
    rewrite(&mut kv);
    kv.ok("SET behind 1");
    let before = digest(&server);
    written(&mut kv);
    let base = fs::read(server.dir.path().join("appendonlydir/appendonly.aof.2.base.aof")).unwrap();
    assert!(base.starts_with(b"#TS:"), "{}", String::from_utf8_lossy(&base));
    assert!(base.windows(7).any(|bytes| bytes == b"#GROUP:"));
    server.kill_9();
    server.start_again();
    assert_eq!(digest(&server), before);
}
