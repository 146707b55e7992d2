//! What survives kill -9: during a background save, during a load of SETs, at start-up.
//!
//! The promise: what loads afterwards is the last save that was completed, and the file in place is never torn. Each
//! round kills the server at another moment, so that over the rounds the kill falls before, into and after the
//! writing, the fsync and the rename.

#[path = "../support/mod.rs"]
mod support;

mod aof; // kill -9 of a server that keeps an append-only file
mod appends; // whether what clients saw of growing lists can have happened
mod damage; // truncated files, flipped bits
mod disk; // a disk that loses power
mod faults; // a disk that is full
mod log; // an append-only file on it
mod memory; // what fits in memory can be loaded again
mod power; // the append-only file, and a save, at every operation
mod quorum; // kill -9 of a primary whose replicas have acknowledged

use std::fs;
use std::time::{Duration, Instant};
use support::{Conn, Server, TempDir, under_test, wait_for};

fn digest(kv: &mut Conn) -> String {
    kv.line("DEBUG DIGEST").string()
}

/// A generator small enough to read: the rounds differ, and a failing one can be run again by its number.
fn noise(round: u64) -> u64 {
    let mut x = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d;
    x ^= x >> 29;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^ (x >> 32)
}

/// Keys whose values say which generation wrote them: a file that mixes two generations shows.
fn write_generation(kv: &mut Conn, generation: u64, keys: u64) {
    for from in (0..keys).step_by(1000) {
        let lines: Vec<String> = (from..from + 1000)
            .map(|i| format!("SET key:{i} {generation}:{}", "x".repeat((i % 90) as usize)))
            .collect();
        kv.pipeline(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// The generation of the dataset, if all keys agree on it.
fn generation_of(kv: &mut Conn, keys: u64) -> u64 {
    assert_eq!(kv.int("DBSIZE") as u64, keys);
    let generation = |text: String| text.split(':').next().unwrap().parse::<u64>().unwrap();
    let first = generation(kv.line("GET key:0").string());
    for from in (0..keys).step_by(1000) {
        let lines: Vec<String> = (from..from + 1000).map(|i| format!("GET key:{i}")).collect();
        for reply in kv.pipeline(&lines.iter().map(String::as_str).collect::<Vec<_>>()) {
            assert_eq!(generation(reply.string()), first, "a torn snapshot");
        }
    }
    first
}

/// BGSAVE of one generation after another, killed at some moment: what loads is one whole generation, the last one
/// that was completed or the one whose rename was just done.
#[test]
fn kill_9_during_bgsave() {
    const KEYS: u64 = 20_000;
    let mut server = Server::start(&[]);
    let mut generation = 1;
    write_generation(&mut server.connect(), generation, KEYS);
    server.connect().ok("SAVE");
    for round in 0..12 {
        let mut kv = server.connect();
        let completed = generation_of(&mut kv, KEYS);
        generation = completed + 1;
        write_generation(&mut kv, generation, KEYS);
        // A slow save in half of the rounds, so that the kill falls into the writing.
        let delay = if round % 2 == 0 { 5 } else { 0 };
        kv.ok(&format!("CONFIG SET rdb-key-save-delay {delay}"));
        kv.line("BGSAVE");
        let until = Instant::now() + Duration::from_micros(noise(round) % 120_000);
        // Writes go on meanwhile; they are in no file.
        while Instant::now() < until {
            kv.line("SET key:0 999999:unsaved");
        }
        server.kill_9();
        server.start_again();
        let mut kv = server.connect();
        let loaded = generation_of(&mut kv, KEYS);
        assert!(loaded == completed || loaded == generation, "round {round}: generation {loaded}");
        assert!(!server.log().contains("panicked"), "round {round}");
    }
}

/// What a kill leaves of a save is gone after the next start, and nothing else is.
#[test]
fn what_kills_leave_is_removed() {
    let mut server = Server::start(&[]);
    let mut kv = server.connect();
    write_generation(&mut kv, 1, 1000);
    kv.ok("SAVE");
    kv.ok("CONFIG SET rdb-key-save-delay 10000");
    let temporary = |server: &Server| {
        let names =
            fs::read_dir(server.dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.starts_with("temp-")).collect();
        names.sort();
        names
    };
    // Files of a process that lives, and of nobody, stay.
    let others = [format!("temp-{}.rdb", std::process::id()), "temp-mine.rdb".to_owned()];
    for name in &others {
        fs::write(server.dir.join(name), "").unwrap();
    }
    kv.line("BGSAVE");
    wait_for("the save to begin", Duration::from_secs(10), || temporary(&server).len() == 3);
    server.kill_9();
    assert_eq!(temporary(&server).len(), 3);
    server.start_again();
    assert_eq!(temporary(&server), others);
    assert!(server.log().contains("Removed what a killed process left of a save"));
    assert_eq!(generation_of(&mut server.connect(), 1000), 1);
}

/// The same with foreground saves and a client that writes all the time.
#[test]
fn kill_9_during_set_load() {
    let mut server = Server::start(&[]);
    // How many keys the last completed save had: maybe that of a round before.
    let mut last_saved = 0u64;
    for round in 0..6 {
        let mut kv = server.connect();
        kv.ok("FLUSHALL");
        let mut next = 1u64;
        let until = Instant::now() + Duration::from_millis(100 + noise(round) % 300);
        let mut saving = None;
        while Instant::now() < until {
            let lines: Vec<String> = (next..next + 50).map(|n| format!("SET n:{n} {n}")).collect();
            kv.pipeline(&lines.iter().map(String::as_str).collect::<Vec<_>>());
            next += 50;
            match saving {
                None => {
                    if kv.line("BGSAVE").text() == "Background saving started" {
                        saving = Some(next - 1);
                    }
                }
                Some(upto) if kv.info("rdb_bgsave_in_progress") == "0" => {
                    assert_eq!(kv.info("rdb_last_bgsave_status"), "ok");
                    last_saved = upto;
                    saving = None;
                }
                Some(_) => {}
            }
        }
        server.kill_9();
        server.start_again();
        let mut kv = server.connect();
        let size = kv.int("DBSIZE") as u64;
        // Keys are written in order: a prefix of them, at least what the last completed save had.
        let allowed = [last_saved, saving.unwrap_or(last_saved)];
        assert!(allowed.contains(&size), "round {round}: {size} keys, saves were of {allowed:?}");
        for n in 1..=size {
            assert_eq!(kv.line(&format!("GET n:{n}")).string(), n.to_string(), "round {round}");
        }
        last_saved = size;
    }
}

/// The file in place is whole at every moment of a save: it is replaced by a rename.
#[test]
fn the_file_in_place_is_never_torn() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    write_generation(&mut kv, 1, 5_000);
    kv.ok("SAVE");
    let file = server.dir.join("dump.rdb");
    let whole = |bytes: &[u8]| bytes.starts_with(b"REDIS") && bytes[bytes.len() - 9] == 0xff;
    for generation in 2..8 {
        write_generation(&mut kv, generation, 5_000);
        kv.ok(&format!("CONFIG SET rdb-key-save-delay {}", if generation % 2 == 0 { 10 } else { 0 }));
        kv.line("BGSAVE");
        let mut looks = 0;
        while kv.info("rdb_bgsave_in_progress") == "1" {
            let bytes = fs::read(&file).unwrap();
            assert!(whole(&bytes), "generation {generation}: torn after {looks} looks");
            looks += 1;
        }
        assert!(whole(&fs::read(&file).unwrap()));
        assert_eq!(kv.info("rdb_last_bgsave_status"), "ok");
    }
}

/// What a killed save leaves behind does not stay for ever, does not stop the next start and is never loaded.
#[test]
fn leftovers_of_a_killed_save() {
    let mut server = Server::start(&["--rdb-key-save-delay", "1000"]);
    let mut kv = server.connect();
    write_generation(&mut kv, 1, 5_000);
    kv.line("BGSAVE");
    std::thread::sleep(Duration::from_millis(300));
    server.kill_9();
    assert!(!server.dir.join("dump.rdb").exists());
    server.start_again();
    let mut kv = server.connect();
    kv.expect("DBSIZE", "0");
    kv.ok("CONFIG SET rdb-key-save-delay 0");
    write_generation(&mut kv, 2, 1_000);
    kv.line("BGSAVE");
    wait_for("the save", Duration::from_secs(20), || kv.info("rdb_bgsave_in_progress") == "0");
    let before = digest(&mut kv);
    server.kill_9();
    server.start_again();
    assert_eq!(digest(&mut server.connect()), before);
}

/// A start that is killed while loading changes nothing: the next one loads the same.
#[test]
fn kill_9_while_loading() {
    let mut server = Server::start(&[]);
    let mut kv = server.connect();
    write_generation(&mut kv, 1, 50_000);
    kv.ok("SAVE");
    let before = digest(&mut kv);
    server.kill_9();
    let bytes = fs::read(server.dir.join("dump.rdb")).unwrap();
    for round in 0..5 {
        let dir = TempDir::new();
        fs::write(dir.join("dump.rdb"), &bytes).unwrap();
        let mut child = std::process::Command::new(under_test())
            .args(["--port", &support::free_port().to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(dir.path())
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(noise(round) % 60));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(fs::read(dir.join("dump.rdb")).unwrap(), bytes, "round {round}");
    }
    server.start_again();
    assert_eq!(digest(&mut server.connect()), before);
}

/// Memory ends: the process says so and is gone within a second, every time, also when somebody has asked for
/// backtraces, which want memory and a lock.
#[test]
fn the_end_of_memory_is_the_end_of_the_process() {
    let dir = TempDir::new();
    let mut ended = 0;
    // KVSTASH_TEST_ROUNDS=20 for a longer look.
    let rounds = std::env::var("KVSTASH_TEST_ROUNDS").map_or(6, |text| text.parse().expect("a number of rounds"));
    for round in 0..rounds {
        let (port, log) = (support::free_port(), dir.join(&format!("log.{round}")));
        // Address space for the program itself and a little more, never the same.
        let limit_kb = 150_000 + noise(round) % 60_000;
        let mut child = std::process::Command::new("sh")
            .arg("-c")
            .arg(format!(
                "ulimit -v {limit_kb}; exec \"$0\" --port {port} --bind 127.0.0.1 --save '' --enable-debug-command yes \
                 --dir \"$1\" --logfile \"$2\""
            ))
            .arg(under_test())
            .arg(dir.path())
            .arg(&log)
            .env("RUST_BACKTRACE", if round % 4 == 3 { "0" } else { "1" })
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let read = || fs::read_to_string(&log).unwrap_or_default();
        wait_for("the start", Duration::from_secs(20), || {
            read().contains("Ready to accept connections") || child.try_wait().unwrap().is_some()
        });
        assert!(child.try_wait().unwrap().is_none(), "round {round}: {limit_kb} kb are too few:\n{}", read());
        // Large values, many small ones, a large table: memory ends in different places.
        let lines: &[&str] = match round % 3 {
            0 => &["DEBUG POPULATE 100000 a 3000"],
            1 => &["DEBUG POPULATE 10000000 b 10"],
            _ => &["SETRANGE c 20000000 x", "DEBUG POPULATE 100000 d 20000"],
        };
        let mut client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        for line in lines {
            use std::io::Write;
            client.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        }
        wait_for("the report", Duration::from_secs(60), || {
            read().contains("BUG REPORT START") || child.try_wait().unwrap().is_some()
        });
        let since = Instant::now();
        wait_for("the end", Duration::from_secs(5), || child.try_wait().unwrap().is_some());
        assert!(since.elapsed() < Duration::from_secs(1), "round {round}: {:?}\n{}", since.elapsed(), read());
        let (status, log) = (child.wait().unwrap(), read());
        assert!(!status.success(), "round {round}");
        assert!(log.contains("OUT OF MEMORY. Allocating ") && log.contains("BUG REPORT END"), "round {round}:\n{log}");
        assert!(log.contains("used_memory:"), "round {round}:\n{log}");
        ended += 1;
    }
    assert_eq!(ended, rounds);
}
