//! Snapshots: SAVE, BGSAVE, restarts, files exchanged with a real Redis, damaged files.

use crate::support::{Conn, Peer, Server, TempDir, each_proto, real_redis, wait_for};
use std::fs;
use std::path::Path;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

/// Strings of every encoding and length class, with and without expiry, in two databases.
fn fill(kv: &mut Conn) {
    kv.talk(
        r#"
        MSET empty "" int 12345 negative -1 int8 7 int32 100000 min -9223372036854775808 text hello bytes "\x00\xff\r\n"
        SET far v EXAT 4102444800
        SET farms v PXAT 4102444800123
        SELECT 5
        SET five 5
        SELECT 0
        "#,
    );
    for len in [44, 45, 63, 64, 127, 128, 1_000, 16_383, 16_384, 40_000, 200_000] {
        let same = vec![b'a'; len];
        kv.cmd_bytes(&[b"SET", format!("same:{len}").as_bytes(), &same]);
        let noise: Vec<u8> = (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        kv.cmd_bytes(&[b"SET", format!("noise:{len}").as_bytes(), &noise]);
    }
}

fn digest(server: &Server) -> String {
    server.connect().line("DEBUG DIGEST").string()
}

#[test]
fn save_and_restart() {
    for args in [&[][..], &["--rdbcompression", "no"], &["--rdbchecksum", "no"]] {
        let mut server = Server::start(args);
        let mut kv = server.connect();
        fill(&mut kv);
        let before = digest(&server);
        kv.ok("SAVE");
        assert!(kv.int("LASTSAVE") > 1_600_000_000);
        assert_eq!(kv.info("rdb_changes_since_last_save"), "0");
        kv.ok("SET after-the-save 1");
        server.kill_9();
        server.start_again();
        assert_eq!(digest(&server), before);
        let mut kv = server.connect();
        kv.talk("EXISTS after-the-save => 0\n PEXPIRETIME farms => 4102444800123\n SELECT 5\n GET five => \"5\"");
        assert!(server.log().contains("DB loaded from disk"), "{}", server.log());
    }
}

#[test]
fn bgsave() {
    let mut server = Server::start(&[]);
    let mut kv = server.connect();
    fill(&mut kv);
    let before = digest(&server);
    assert_eq!(kv.line("BGSAVE").text(), "Background saving started");
    wait_for("the save", LIMIT, || kv.info("rdb_bgsave_in_progress") == "0");
    assert_eq!(kv.info("rdb_last_bgsave_status"), "ok");
    assert_eq!(kv.info("rdb_changes_since_last_save"), "0");
    server.kill_9();
    server.start_again();
    assert_eq!(digest(&server), before);
}

#[test]
fn while_a_save_is_running() {
    let server = Server::start(&["--rdb-key-save-delay", "2000"]);
    each_proto(&server, |kv| {
        kv.ok("CONFIG SET rdb-key-save-delay 2000");
        kv.ok("DEBUG POPULATE 5000");
        let last = kv.int("LASTSAVE");
        kv.talk(
            r#"
            BGSAVE                     => Background saving started
            BGSAVE                     => (error) ERR Background save already in progress
            BGSAVE SCHEDULE            =~ *
            SAVE                       => (error) ERR Background save already in progress
            BGSAVE BAD                 => (error) ERR syntax error
            SAVE x                     => (error) ERR wrong number of arguments for 'save' command
            LASTSAVE x                 => (error) ERR wrong number of arguments for 'lastsave' command
            "#,
        );
        assert_eq!(kv.info("rdb_bgsave_in_progress"), "1");
        // The snapshot is of the moment BGSAVE was said: what changes now is not in it.
        kv.ok("SET key:1 changed");
        kv.line("DEL key:2");
        kv.ok("SET new 1");
        // Setting the delay to 0 ends the wait at once, in a thread; a forked child never learns of it.
        kv.ok("CONFIG SET rdb-key-save-delay 0");
        if kv.peer == Peer::Kvstash {
            wait_for("the save to hurry up", Duration::from_secs(5), || kv.info("rdb_bgsave_in_progress") == "0");
            assert!(kv.int("LASTSAVE") >= last);
            assert_eq!(kv.info("rdb_last_bgsave_status"), "ok");
        } else {
            kv.ok("FLUSHALL");
            wait_for("the aborted save", LIMIT, || kv.info("rdb_bgsave_in_progress") == "0");
        }
    });
}

/// A snapshot is a point in time, whatever is written meanwhile.
#[test]
fn a_snapshot_is_of_one_moment() {
    let mut server = Server::start(&["--rdb-key-save-delay", "100"]);
    let mut kv = server.connect();
    kv.ok("DEBUG POPULATE 3000 key 30");
    for i in 0..20 {
        kv.ok(&format!("SET ttl:{i} v EXAT 4102444800"));
    }
    let before = digest(&server);
    kv.line("BGSAVE");
    let mut n = 0;
    while kv.info("rdb_bgsave_in_progress") == "1" {
        for _ in 0..20 {
            n += 1;
            let key = n * 7 % 3000;
            kv.pipeline(&[
                &format!("SET key:{key} changed"),
                &format!("DEL key:{}", (key + 1) % 3000),
                &format!("SET new:{n} 1"),
                &format!("APPEND key:{} x", (key + 2) % 3000),
                &format!("EXPIRE key:{} 1000", (key + 3) % 3000),
                &format!("PERSIST ttl:{}", n % 20),
                &format!("RENAME key:{} moved:{n}", (key + 4) % 3000),
            ]);
        }
    }
    assert!(n > 0, "the save was over before anything could be written");
    assert_ne!(digest(&server), before);
    server.kill_9();
    server.start_again();
    assert_eq!(digest(&server), before);
}

/// What INFO tells of a snapshot while it is written, and after.
#[test]
fn a_save_in_numbers() {
    let server = Server::start(&["--rdb-key-save-delay", "20000"]);
    let mut kv = server.connect();
    kv.ok("DEBUG POPULATE 2000 key 500");
    kv.talk("MULTI\n SET key:1 x\n BGSAVE\n SET key:1 y\n EXEC => [OK Background saving scheduled OK]");
    wait_for("the save of the transaction", LIMIT, || kv.info("rdb_bgsave_in_progress") == "1");
    assert_eq!(kv.info("total_forks"), "1");
    for i in 0..1000 {
        kv.ok(&format!("SET key:{i} changed"));
    }
    if kv.peer == Peer::Kvstash {
        let copied: u64 = kv.info("current_cow_size").parse().unwrap();
        assert!(copied > 1000, "{copied} bytes were copied");
        wait_for("keys to be written", LIMIT, || kv.info("current_save_keys_processed") != "0");
        assert_eq!(kv.info("current_save_keys_total"), "2000");
        kv.ok("CONFIG SET rdb-key-save-delay 0");
        wait_for("the end of the save", LIMIT, || kv.info("rdb_bgsave_in_progress") == "0");
        assert!(kv.info("rdb_last_cow_size").parse::<u64>().unwrap() >= copied);
        assert_eq!((kv.info("current_cow_size"), kv.info("rdb_saves")), ("0".to_owned(), "1".to_owned()));
        kv.ok("CONFIG RESETSTAT");
        assert_eq!((kv.info("total_forks"), kv.info("rdb_saves")), ("0".to_owned(), "0".to_owned()));
    } else {
        kv.ok("FLUSHALL");
    }
}

#[test]
fn save_points() {
    let server = Server::start(&["--save", "1 5"]);
    let mut kv = server.connect();
    kv.ok("MSET a 1 b 2 c 3 d 4");
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!server.dir.join("dump.rdb").exists(), "four changes are not five");
    kv.ok("SET e 5");
    wait_for("the save point", LIMIT, || server.dir.join("dump.rdb").exists());
    wait_for("its end", LIMIT, || kv.info("rdb_changes_since_last_save") == "0");
}

#[test]
fn flushall_saves_an_empty_file() {
    let mut server = Server::start(&["--save", "900 1"]);
    let mut kv = server.connect();
    kv.ok("SET a 1");
    kv.ok("SAVE");
    kv.ok("FLUSHALL");
    server.kill_9();
    server.start_again();
    server.connect().expect("DBSIZE", "0");
}

/// Writes are refused after a failed save, until one succeeds or the parameter says no.
#[test]
fn a_failed_save_stops_writes() {
    let server = Server::start(&["--save", "900 1", "--dbfilename", "in-the-way"]);
    let mut kv = server.connect();
    kv.ok("SET a 1");
    fs::create_dir(server.dir.join("in-the-way")).unwrap();
    kv.line("BGSAVE");
    wait_for("the failure", LIMIT, || kv.info("rdb_last_bgsave_status") == "err");
    kv.talk(
        r#"
        SET a 2                        =~ (error) MISCONF *
        GET a                          => "1"
        PING                           =~ *
        CONFIG SET stop-writes-on-bgsave-error no
        SET a 2                        => OK
        CONFIG SET stop-writes-on-bgsave-error yes
        SET a 3                        =~ (error) MISCONF *
        "#,
    );
    fs::remove_dir(server.dir.join("in-the-way")).unwrap();
    kv.line("BGSAVE");
    wait_for("a save that succeeds", LIMIT, || kv.info("rdb_last_bgsave_status") == "ok");
    kv.ok("SET a 4");
}

/// Keys that expired while the server was down are not loaded.
#[test]
fn expired_keys_are_left_out_when_loading() {
    let mut server = Server::start(&[]);
    let mut kv = server.connect();
    kv.ok("SET gone 1 PX 400");
    kv.ok("SET stays 1 EX 1000");
    kv.ok("SAVE");
    server.kill_9();
    std::thread::sleep(Duration::from_millis(500));
    server.start_again();
    let mut kv = server.connect();
    kv.expect("DBSIZE", "1");
    assert_eq!(kv.info("rdb_last_load_keys_loaded"), "1");
    assert_eq!(kv.info("rdb_last_load_keys_expired"), "1");
}

/// kvstash writes version 10 on request, and a real Redis 7 reads it; the digests agree.
#[test]
fn real_redis_loads_our_file() {
    let Some(redis) = real_redis() else { return eprintln!("skipped: no redis-server") };
    let ours: &[&str] = &["--rdb-version", "10"];
    let server = Server::start(if is_kvstash() { ours } else { &[] });
    let mut kv = server.connect();
    fill(&mut kv);
    kv.ok("SAVE");
    let file = server.dir.join("dump.rdb");
    if is_kvstash() {
        assert_eq!(&fs::read(&file).unwrap()[..9], b"REDIS0010");
    }
    if server.peer.satisfies("kvstash,redis<7.2") {
        let theirs = start_with_file(&redis, &file);
        assert_eq!(digest(&theirs), digest(&server));
        theirs.connect().talk("PEXPIRETIME farms => 4102444800123\n TTL text => -1");
    }
    // And redis-check-rdb finds nothing to complain of.
    if let Some(check) = redis.parent().map(|dir| dir.join("redis-check-rdb")).filter(|path| path.exists()) {
        let output = std::process::Command::new(check).arg(&file).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        if server.peer.satisfies("kvstash,redis<7.2") {
            assert!(output.status.success() && text.contains("RDB looks OK!"), "{text}");
        }
    }
}

#[test]
fn we_load_the_file_of_real_redis() {
    let Some(redis) = real_redis() else { return eprintln!("skipped: no redis-server") };
    for args in [
        &[][..],
        &["--rdbcompression", "no"],
        &["--maxmemory-policy", "allkeys-lfu"],
        &["--maxmemory-policy", "allkeys-lru"],
    ] {
        let theirs = Server::start_binary(&redis, args);
        let mut kv = theirs.connect();
        fill(&mut kv);
        kv.ok("SAVE");
        let ours = start_with_file(&crate::support::under_test(), &theirs.dir.join("dump.rdb"));
        assert_eq!(digest(&ours), digest(&theirs), "{args:?}");
    }
}

fn start_with_file(binary: &Path, file: &Path) -> Server {
    let dir = TempDir::new();
    fs::copy(file, dir.join("dump.rdb")).unwrap();
    Server::start_in(dir, binary, &[])
}

fn is_kvstash() -> bool {
    std::env::var_os("KVSTASH_TEST_SERVER").is_none_or(|binary| binary.to_string_lossy().contains("kvstash"))
}

/// A file with any byte changed or any end cut off stops the start, and is left as it is.
#[test]
fn damaged_files_are_refused() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.talk("SET a hello\n SET n 12345\n SET t v EXAT 4102444800");
    kv.ok("SAVE");
    let good = fs::read(server.dir.join("dump.rdb")).unwrap();
    drop(server);
    // Every tenth byte through a real start; the unit tests of rdb/ flip every bit.
    let mut damaged: Vec<(String, Vec<u8>)> = Vec::new();
    for at in (0..good.len()).step_by(good.len() / 10) {
        let mut file = good.clone();
        file[at] ^= 0x40;
        damaged.push((format!("byte {at} flipped"), file));
        if at > 0 {
            damaged.push((format!("cut to {at} bytes"), good[..at].to_vec()));
        }
    }
    for (what, file) in damaged {
        let dir = TempDir::new();
        fs::write(dir.join("dump.rdb"), &file).unwrap();
        let (status, log) = Server::refuse(dir.path(), &[]);
        assert!(!status.success(), "{what}");
        assert!(!log.contains("panicked"), "{what}: {log}");
        assert_eq!(fs::read(dir.join("dump.rdb")).unwrap(), file, "{what}: the file was touched");
    }
}

/// DEBUG RELOAD and its options.
#[test]
fn reload() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    fill(&mut kv);
    let before = digest(&server);
    kv.ok("DEBUG RELOAD");
    assert_eq!(digest(&server), before);
    kv.talk(
        r#"
        SET later 1
        DEBUG RELOAD NOSAVE            => OK
        EXISTS later                   => 0
        SET later 1
        DEBUG RELOAD NOSAVE NOFLUSH MERGE => OK
        EXISTS later                   => 1
        DEBUG RELOAD BAD               =~ (error) *
        "#,
    );
}

/// The checker by both its names, for a good file and a bad one.
#[test]
fn check_rdb() {
    if !is_kvstash() {
        return;
    }
    let server = Server::start(&[]);
    let mut kv = server.connect();
    fill(&mut kv);
    kv.ok("SAVE");
    let good = server.dir.join("dump.rdb");
    let bad = server.dir.join("bad.rdb");
    let mut bytes = fs::read(&good).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&bad, bytes).unwrap();
    let link = server.dir.join("redis-check-rdb");
    std::os::unix::fs::symlink(crate::support::under_test(), &link).unwrap();
    let run = |command: &mut std::process::Command| {
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for (file, fine) in [(&good, true), (&bad, false)] {
        let by_word = run(std::process::Command::new(crate::support::under_test()).arg("check-rdb").arg(file));
        let by_name = run(std::process::Command::new(&link).arg(file));
        assert_eq!(by_word.0, fine, "{}", by_word.1);
        assert_eq!(by_name.0, fine, "{}", by_name.1);
        assert_eq!(by_word.1.contains("RDB looks OK!"), fine, "{}", by_word.1);
    }
}

/// While DEBUG RELOAD loads its file, others are told so, and go on afterwards.
#[test]
fn others_are_answered_during_a_reload() {
    let slowly = ["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"];
    let server = Server::start(&[&slowly[..], &["--enable-debug-command", "yes"]].concat());
    let (mut kv, mut other) = (server.connect(), server.connect());
    kv.ok("DEBUG POPULATE 1000");
    kv.raw(b"DEBUG RELOAD\r\nPING\r\n");
    wait_for("the load", LIMIT, || other.info("loading") == "1");
    other.talk(
        "GET key:1    => (error) LOADING Redis is loading the dataset in memory
         PING         => (error) LOADING Redis is loading the dataset in memory
         SELECT 0     => OK",
    );
    if server.peer == Peer::Kvstash {
        // Where Redis begins a second one, and crashes.
        other.expect("DEBUG RELOAD NOSAVE", "(error) LOADING Redis is loading the dataset in memory");
    }
    let mut late = server.connect();
    late.expect("GET key:1", "(error) LOADING Redis is loading the dataset in memory");
    kv.read_within(LIMIT).expect("the end of the load");
    assert_eq!(kv.read().string(), "PONG");
    other.expect("GET key:1", "\"value:1\"");
    late.expect("DBSIZE", "1000");
    late.expect("DEBUG SLEEP 0", "OK");
    assert_eq!(late.info("loading"), "0");
}
