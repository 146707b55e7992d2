//! MULTI EXEC DISCARD WATCH UNWATCH.

use crate::support::{Server, Value, each_proto};

#[test]
fn queue_and_run() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            EXEC                       => (error) ERR EXEC without MULTI
            DISCARD                    => (error) ERR DISCARD without MULTI
            MULTI                      => OK
            @redis MULTI               => (error) ERR MULTI calls can not be nested
            SET a 1                    => QUEUED
            INCR a                     => QUEUED
            GET none                   => QUEUED
            INCRBYFLOAT a 0.5          => QUEUED
            LCS a a LEN                => QUEUED
            EXEC                       => [OK 2 (nil) "2.5" 3]
            MULTI                      => OK
            EXEC                       => []
            MULTI                      => OK
            SET a 9                    => QUEUED
            DISCARD                    => OK
            GET a                      => "2.5"
            # an error while it runs does not stop the others
            MULTI                      => OK
            SET a text                 => QUEUED
            INCR a                     => QUEUED
            SET b 1                    => QUEUED
            EXEC                       => [OK (error) ERR value is not an integer or out of range OK]
            GET b                      => "1"
            # SELECT inside holds afterwards
            MULTI
            SELECT 4
            SET s 4
            EXEC                       => [OK OK]
            GET s                      => "4"
            SELECT 0
            EXISTS s                   => 0
            # subcommands named as commands that are not queued
            MULTI
            SLOWLOG RESET              => QUEUED
            LATENCY RESET              => QUEUED
            EXEC                       => [OK 0]
            MULTI x                    => (error) ERR wrong number of arguments for 'multi' command
            EXEC x                     => (error) EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command
            "#,
        );
    });
}

/// An error while queueing discards the whole.
#[test]
fn abort_while_queueing() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        for bad in ["foo", "SET a", "GET a b", "CLIENT BAD", "CONFIG"] {
            kv.ok("MULTI");
            kv.expect("SET a 1", "QUEUED");
            assert!(kv.line(bad).is_error(), "{bad}");
            kv.talk(
                r#"
                EXEC                   => (error) EXECABORT Transaction discarded because of previous errors.
                EXISTS a               => 0
                EXEC                   => (error) ERR EXEC without MULTI
                "#,
            );
        }
        // Discarding after an error is a clean start.
        kv.ok("MULTI");
        assert!(kv.line("foo").is_error());
        kv.talk("DISCARD => OK\n MULTI => OK\n PING => QUEUED\n EXEC => [PONG]");
        kv.talk(
            r#"
            MULTI
            @redis WATCH a             => (error) ERR WATCH inside MULTI is not allowed
            PING                       => QUEUED
            EXEC                       =~ *
            MULTI
            UNWATCH                    => QUEUED
            EXEC                       => [OK]
            "#,
        );
        kv.ok("MULTI");
        let reply = kv.line("MONITOR");
        assert!(reply.text() == "QUEUED" || reply.is_error());
        kv.ok("DISCARD");
    });
}

/// What is done to a stream's groups does not change the stream; a list that is trimmed to itself has changed.
#[test]
fn watched_streams_and_lists() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        let mut other = kv.another();
        for (change, aborts) in [
            ("XREADGROUP GROUP g c STREAMS x >", true),
            ("XCLAIM x g d 0 1-1", true),
            ("XAUTOCLAIM x g d 0 0", true),
            ("XACK x g 1-1", true),
            ("XSETID x 100-1", true),
            ("XGROUP CREATE x g2 0", true),
            ("XGROUP SETID x g 0", true),
            ("XGROUP CREATECONSUMER x g d", true),
            ("XGROUP DELCONSUMER x g c", true),
            ("XGROUP DESTROY x g", true),
            ("XGROUP CREATE none g 0 MKSTREAM", true),
            ("XADD x * f v", true),
            ("XDEL x 1-1", true),
            ("XDEL x 9-9", false),
            ("XTRIM x MAXLEN 1", true),
            ("LTRIM l 0 -1", true),
            ("LTRIM l 0 0", true),
            ("LREM l 0 none", false),
        ] {
            kv.talk(
                r#"
                FLUSHALL
                RPUSH l a b
                XADD x 1-1 f v
                XADD x 1-2 f v
                XGROUP CREATE x g 0
                XREADGROUP GROUP g c COUNT 1 STREAMS x >
                WATCH x l none
                "#,
            );
            assert!(!other.line(change).is_error(), "{change}");
            kv.ok("MULTI");
            kv.line("PING");
            let aborted = matches!(kv.line("EXEC"), Value::NullArray | Value::Null);
            assert_eq!(aborted, aborts, "{change}");
        }
    });
}

#[test]
fn watch() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        let mut other = kv.another();
        let aborted = |reply: Value| matches!(reply, Value::NullArray | Value::Null);
        // What counts as a change of a watched key, and what does not.
        for (change, aborts) in [
            ("SET k 2", true),
            ("SET k 1", true),
            ("APPEND k x", true),
            ("INCR k", true),
            ("DEL k", true),
            ("UNLINK k", true),
            ("EXPIRE k 100", true),
            ("RENAME k moved", true),
            ("RENAME from k", true),
            ("COPY from k REPLACE", true),
            ("MOVE k 1", true),
            ("GETSET k 1", true),
            ("GETDEL k", true),
            ("GETEX k EX 100", true),
            ("SETRANGE k 0 x", true),
            ("MSET x 1 k 2", true),
            ("FLUSHDB", true),
            ("FLUSHALL ASYNC", true),
            ("SWAPDB 0 1", true),
            ("GET k", false),
            ("TOUCH k", false),
            ("GETEX k", false),
            ("SETNX k 1", false),
            ("SET k 1 NX", false),
            ("PERSIST k", false),
            ("SETRANGE k 0 \"\"", false),
            ("DEL none", false),
            ("SET other 1", false),
            ("EXPIRE k 100 XX", false),
        ] {
            kv.ok("FLUSHALL");
            kv.ok("MSET k 1 from 1");
            kv.ok("WATCH k none");
            assert!(!other.line(change).is_error(), "{change}");
            kv.ok("MULTI");
            kv.expect("PING", "QUEUED");
            let reply = kv.line("EXEC");
            if aborts {
                let expected = if kv.proto == crate::support::Proto::Resp2 { "(nil array)" } else { "(nil)" };
                assert_eq!(reply.text(), expected, "after {change}");
                assert!(aborted(reply));
            } else {
                assert_eq!(reply.text(), "[PONG]", "after {change}");
            }
        }
    });
}

#[test]
fn watch_is_over_after_exec_discard_unwatch() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        let mut other = kv.another();
        for end in ["UNWATCH", "MULTI+EXEC", "MULTI+DISCARD", "RESET"] {
            kv.ok("SET k 1");
            kv.ok("WATCH k");
            for step in end.split('+') {
                assert!(!kv.line(step).is_error());
            }
            if end == "RESET" && kv.proto == crate::support::Proto::Resp3 {
                kv.line("HELLO 3");
            }
            other.ok("SET k 2");
            kv.talk("MULTI => OK\n PING => QUEUED\n EXEC => [PONG]");
        }
        // The watching client's own writes count too.
        kv.talk("WATCH k\n SET k 3\n MULTI\n PING\n EXEC => (nil array) || (nil)");
        // A key of another database with the same name is another key.
        kv.ok("WATCH k");
        other.talk("SELECT 1\n SET k 1\n SELECT 0");
        kv.talk("MULTI\n PING\n EXEC => [PONG]");
        // Watched in one database, changed after SELECT elsewhere.
        kv.talk("WATCH k\n SELECT 1");
        other.ok("SET k 5");
        kv.talk("MULTI\n PING\n EXEC => (nil array) || (nil)\n SELECT 0");
        kv.expect("WATCH", "(error) ERR wrong number of arguments for 'watch' command");
        // A watched key that creation or deletion changed, in a flush of an empty database: no change.
        kv.talk("FLUSHALL\n WATCH absent");
        other.ok("FLUSHALL");
        kv.talk("MULTI\n PING\n EXEC => [PONG]");
        kv.ok("WATCH absent");
        other.ok("SET absent 1");
        kv.talk("MULTI\n PING\n EXEC => (nil array) || (nil)");
    });
}

/// A watched key whose time came counts as changed; one that was expired already when watched does not.
#[test]
fn watch_and_expiry() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.ok("SET k 1 PX 30");
    kv.ok("WATCH k");
    std::thread::sleep(std::time::Duration::from_millis(200));
    kv.talk("MULTI\n PING\n EXEC => (nil array)");

    kv.ok("DEBUG SET-ACTIVE-EXPIRE 0");
    kv.ok("SET k 1 PX 1");
    std::thread::sleep(std::time::Duration::from_millis(20));
    kv.talk("WATCH k\n MULTI\n PING\n EXEC => [PONG]");
}

/// Nothing comes between the commands of a transaction.
#[test]
fn transactions_are_atomic() {
    let server = Server::start(&[]);
    let port_of = server.connect();
    let mut kv = port_of.another();
    kv.ok("MSET a 0 b 0");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mut conn = port_of.another();
            scope.spawn(move || {
                for _ in 0..200 {
                    conn.pipeline(&["MULTI", "INCR a", "INCR b", "EXEC"]);
                }
            });
        }
        for _ in 0..200 {
            let reply = kv.line("MGET a b");
            assert_eq!(reply.items()[0], reply.items()[1]);
        }
    });
    kv.expect("MGET a b", r#"["800" "800"]"#);
}

/// A large transaction: ten thousand commands, one reply.
#[test]
fn many_commands() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let mut lines = vec!["MULTI"];
    lines.extend(vec!["INCR n"; 10_000]);
    let replies = kv.pipeline(&lines);
    assert!(replies[1..].iter().all(|r| r.text() == "QUEUED"));
    let reply = kv.line("EXEC");
    assert_eq!(reply.items().len(), 10_000);
    assert_eq!(reply.items()[9_999].int(), 10_000);
}

/// Without replicas nobody gets what min-replicas-to-write promises, in a transaction or outside one.
#[test]
fn too_few_replicas() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            CONFIG SET min-replicas-to-write 1
            SET k v                    => (error) NOREPLICAS Not enough good replicas to write.
            GET k                      => (nil)
            MULTI                      => OK
            GET k                      => QUEUED
            SET k v                    =~ (error) NOREPLICAS *
            EXEC                       =~ (error) EXECABORT *
            MULTI                      => OK
            GET k                      => QUEUED
            EXEC                       => [(nil)]
            CONFIG SET min-replicas-max-lag 0
            SET k v                    => OK
            DEL k                      => 1
            CONFIG SET min-replicas-max-lag 10 min-replicas-to-write 0
            "#,
        );
    });
}
