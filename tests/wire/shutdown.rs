//! SHUTDOWN with its options, and the signals that mean the same.

use crate::support::{Server, wait_for};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn save_and_nosave() {
    for (args, command, saved) in [
        (&["--save", "900 1"][..], "SHUTDOWN", true),
        (&["--save", ""], "SHUTDOWN", false),
        (&["--save", ""], "SHUTDOWN SAVE", true),
        (&["--save", "900 1"], "SHUTDOWN NOSAVE", false),
        (&["--save", "900 1"], "SHUTDOWN NOW FORCE", true),
    ] {
        let mut server = Server::start(args);
        let mut kv = server.connect();
        kv.ok("SET a 1");
        kv.send(&command.split(' ').collect::<Vec<_>>());
        assert!(kv.is_closed(), "{command} closes without a reply");
        let status = server.wait_exit(LIMIT);
        assert!(status.success(), "{command}: {status}");
        assert_eq!(server.dir.join("dump.rdb").exists(), saved, "{command} with {args:?}");
        assert!(server.log().contains("ready to exit, bye bye"), "{}", server.log());
        if saved {
            server.start_again();
            server.connect().expect("GET a", "\"1\"");
        }
    }
}

#[test]
fn errors() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.talk(
        r#"
        SHUTDOWN BAD                   => (error) ERR syntax error
        SHUTDOWN SAVE NOSAVE           => (error) ERR syntax error
        SHUTDOWN ABORT                 => (error) ERR No shutdown in progress.
        SHUTDOWN ABORT NOW             => (error) ERR syntax error
        @redis MULTI                   => OK
        @redis SHUTDOWN                => (error) ERR Command not allowed inside a transaction
        @redis DISCARD                 => OK
        PING                           => PONG
        "#,
    );
}

#[test]
fn signals() {
    for (signal, args, saved) in [
        ("TERM", &["--save", "900 1"][..], true),
        ("INT", &["--save", "900 1"], true),
        ("TERM", &["--save", ""], false),
    ] {
        let mut server = Server::start(args);
        let mut kv = server.connect();
        kv.ok("SET a 1");
        server.signal(signal);
        let status = server.wait_exit(LIMIT);
        assert!(status.success(), "SIG{signal}: {status}");
        assert_eq!(server.dir.join("dump.rdb").exists(), saved, "SIG{signal} with {args:?}");
        assert!(kv.is_closed());
    }
}

/// A signal is looked at by what is done periodically; until then it can be taken back.
#[test]
fn a_signal_can_be_taken_back() {
    let mut server = Server::start(&["--save", "900 1", "--enable-debug-command", "yes"]);
    let mut kv = server.connect();
    kv.ok("DEBUG PAUSE-CRON 1");
    server.signal("TERM");
    wait_for("the signal", LIMIT, || server.log().contains("Received signal scheduling shutdown"));
    kv.ok("SHUTDOWN ABORT");
    kv.ok("DEBUG PAUSE-CRON 0");
    kv.expect("PING", "PONG");
    assert!(server.log().contains("Shutdown manually aborted"), "{}", server.log());
    kv.ok("DEBUG PAUSE-CRON 1"); // which makes it wait, and no more
    server.signal("TERM");
    assert!(server.wait_exit(LIMIT).success());
}

/// Who sends SIGINT again does not want to wait for the end of the save.
#[test]
fn a_second_interrupt_ends_the_last_save() {
    let mut server = Server::start(&["--save", "900 1", "--enable-debug-command", "yes"]);
    let mut kv = server.connect();
    kv.ok("DEBUG POPULATE 1000000");
    server.signal("INT");
    wait_for("the save", LIMIT, || server.log().contains("Saving the final RDB snapshot"));
    server.signal("INT");
    assert_eq!(server.wait_exit(LIMIT).code(), Some(1));
    assert!(server.log().contains("You insist"), "{}", server.log());
    let left: Vec<_> = std::fs::read_dir(server.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".rdb")), "{left:?}");
}

/// What is loaded so far is not the data set, and must not replace it on disk.
#[test]
fn a_shutdown_while_loading_saves_nothing() {
    let slowly = ["--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024", "--save", "900 1"];
    for by_signal in [false, true] {
        let mut server = Server::start(&slowly);
        let mut kv = server.connect();
        for i in 0..5000 {
            kv.send(&["SET", &format!("key:{i}"), &format!("value:{i}")]);
        }
        for _ in 0..5000 {
            kv.read();
        }
        kv.ok("SAVE");
        let file = std::fs::read(server.dir.join("dump.rdb")).unwrap();
        server.kill_9();
        server.start_loading();
        let mut kv = server.connect();
        kv.expect("GET key:1", "(error) LOADING Redis is loading the dataset in memory");
        assert_eq!(kv.info("loading"), "1");
        assert_eq!(kv.info("loading_total_bytes"), file.len().to_string());
        if by_signal {
            server.signal("TERM");
        } else {
            kv.send(&["SHUTDOWN", "SAVE"]);
        }
        assert!(kv.is_closed());
        assert!(server.wait_exit(LIMIT).success());
        assert!(std::fs::read(server.dir.join("dump.rdb")).unwrap() == file, "the file was touched");
    }
}

/// A snapshot under way is given up, with its file.
#[test]
fn a_shutdown_ends_a_running_save() {
    for command in ["SHUTDOWN NOSAVE", "SHUTDOWN SAVE"] {
        let mut server = Server::start(&["--rdb-key-save-delay", "1000000"]);
        let mut kv = server.connect();
        kv.ok("DEBUG POPULATE 100");
        assert_eq!(kv.line("BGSAVE").text(), "Background saving started");
        // What the shutdown itself saves is not slow.
        kv.ok("CONFIG SET rdb-key-save-delay 0");
        kv.send(&command.split(' ').collect::<Vec<_>>());
        assert!(kv.is_closed());
        assert!(server.wait_exit(LIMIT).success());
        let names =
            std::fs::read_dir(server.dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let left: Vec<String> = names.filter(|name| name.ends_with(".rdb")).collect();
        if command == "SHUTDOWN SAVE" {
            assert_eq!(left, ["dump.rdb"]);
        } else {
            assert!(left.iter().all(|name| name == "dump.rdb"), "{left:?}");
        }
    }
}

/// A save that cannot be done keeps the server up, unless forced.
#[test]
fn a_failing_save_stops_the_shutdown() {
    let mut server = Server::start(&["--dbfilename", "in-the-way", "--save", "900 1"]);
    let mut kv = server.connect();
    kv.ok("SET a 1");
    // A directory of that name: the rename at the end of a save fails, whoever runs the test.
    std::fs::create_dir(server.dir.join("in-the-way")).unwrap();
    kv.expect("SHUTDOWN", "(error) ERR Errors trying to SHUTDOWN. Check logs.");
    // Replies keep their order, whoever asked together with whom.
    let mut other = server.connect();
    for conn in [&mut kv, &mut other] {
        conn.send(&["SHUTDOWN"]);
        conn.send(&["GET", "a"]);
    }
    for conn in [&mut kv, &mut other] {
        assert_eq!(conn.read().text(), "(error) ERR Errors trying to SHUTDOWN. Check logs.");
        assert_eq!(conn.read().text(), "\"1\"");
    }
    kv.expect("GET a", "\"1\"");
    assert!(server.log().contains("Error trying to save the DB, can't exit"), "{}", server.log());
    let refusals = || server.log().matches("Error trying to save the DB, can't exit").count();
    let before = refusals();
    server.signal("TERM");
    wait_for("another refusal", LIMIT, || refusals() > before);
    kv.expect("PING", "PONG");
    kv.send(&["SHUTDOWN", "FORCE"]);
    assert!(kv.is_closed());
    assert!(server.wait_exit(LIMIT).success());
}
