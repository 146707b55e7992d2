//! The generic group: what is there, what it is called, copying and moving it, walking over it.

use crate::support::{Conn, Server, Value, each_proto};
use std::collections::HashSet;

#[test]
fn presence() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            MSET a 1 b 2 c 3
            EXISTS a                   => 1
            EXISTS a a b none          => 3
            TOUCH a b none             => 2
            TYPE a                     => string
            TYPE none                  => none
            DEL a none                 => 1
            DEL a                      => 0
            UNLINK b c none            => 2
            DBSIZE                     => 0
            SET a 1
            DEL a a                    => 1
            EXISTS                     => (error) ERR wrong number of arguments for 'exists' command
            TOUCH                      => (error) ERR wrong number of arguments for 'touch' command
            DEL                        => (error) ERR wrong number of arguments for 'del' command
            UNLINK                     => (error) ERR wrong number of arguments for 'unlink' command
            TYPE a b                   => (error) ERR wrong number of arguments for 'type' command
            RANDOMKEY                  => (nil)
            SET only 1
            RANDOMKEY                  => "only"
            RANDOMKEY x                => (error) ERR wrong number of arguments for 'randomkey' command
            "#,
        );
    });
}

#[test]
fn rename() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            SET a 1
            RENAME a b                 => OK
            EXISTS a                   => 0
            GET b                      => "1"
            RENAME b b                 => OK
            SET c 2
            RENAME b c                 => OK
            GET c                      => "1"
            DBSIZE                     => 1
            RENAME none x              => (error) ERR no such key
            RENAME none none           => (error) ERR no such key
            RENAMENX none x            => (error) ERR no such key
            SET d 1
            RENAMENX c d               => 0
            RENAMENX c c               => 0
            RENAMENX c e               => 1
            GET e                      => "1"
            RENAME a                   => (error) ERR wrong number of arguments for 'rename' command
            RENAMENX a                 => (error) ERR wrong number of arguments for 'renamenx' command
            "#,
        );
    });
}

#[test]
fn copy_and_move() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            SET a 1
            COPY a b                   => 1
            GET b                      => "1"
            COPY a b                   => 0
            SET a 2
            COPY a b REPLACE           => 1
            GET b                      => "2"
            COPY none b                => 0
            COPY a a                   => (error) ERR source and destination objects are the same
            COPY a a DB 1              => 1
            COPY a a DB 1              => 0
            COPY a a DB 1 REPLACE      => 1
            COPY a z replace db 1      => 1
            COPY a b DB                => (error) ERR syntax error
            COPY a b BAD               => (error) ERR syntax error
            COPY a b DB x              => (error) ERR value is not an integer or out of range
            COPY a b DB 16             => (error) ERR DB index is out of range
            COPY a b DB -1             => (error) ERR DB index is out of range
            SELECT 1                   => OK
            GET a                      => "2"
            GET z                      => "2"
            SELECT 0                   => OK
            MOVE a 1                   => 0
            GET a                      => "2"
            MOVE b 1                   => 1
            EXISTS b                   => 0
            MOVE none 1                => 0
            MOVE a 0                   => (error) ERR source and destination objects are the same
            MOVE a 16                  => (error) ERR DB index is out of range
            MOVE a x                   => (error) ERR value is not an integer or out of range
            MOVE a                     => (error) ERR wrong number of arguments for 'move' command
            COPY a                     => (error) ERR wrong number of arguments for 'copy' command
            "#,
        );
    });
}

#[test]
fn object() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            SET a abc
            OBJECT REFCOUNT a          => 1
            OBJECT IDLETIME a          => 0
            OBJECT ENCODING a          => "embstr"
            OBJECT FREQ a              => (error) ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.
            OBJECT ENCODING none       => (nil)
            OBJECT REFCOUNT none       => (nil)
            OBJECT IDLETIME none       => (nil)
            OBJECT FREQ none           => (nil)
            OBJECT BAD a               => (error) ERR unknown subcommand 'BAD'. Try OBJECT HELP.
            OBJECT ENCODING            => (error) ERR wrong number of arguments for 'object|encoding' command
            OBJECT                     => (error) ERR wrong number of arguments for 'object' command
            OBJECT HELP                =~ [*OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:*
            CONFIG SET maxmemory-policy allkeys-lfu
            SET f text
            OBJECT FREQ f              => 5
            OBJECT IDLETIME f          => (error) ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.
            CONFIG SET maxmemory-policy noeviction
            "#,
        );
    });
}

/// Idle time grows, a read resets it, and CLIENT NO-TOUCH keeps reads from resetting it (TOUCH does all the same).
#[test]
fn idle_time_and_no_touch() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.ok("SET a 1");
    std::thread::sleep(std::time::Duration::from_millis(2200));
    assert!(kv.int("OBJECT IDLETIME a") >= 1);
    if kv.peer.satisfies("redis>=7.2,valkey") {
        kv.ok("CLIENT NO-TOUCH ON");
        kv.expect("GET a", "\"1\"");
        assert!(kv.int("OBJECT IDLETIME a") >= 1, "a read under NO-TOUCH is no access");
        kv.expect("TOUCH a", "1");
        assert!(kv.int("OBJECT IDLETIME a") <= 1, "TOUCH is one all the same");
        kv.ok("CLIENT NO-TOUCH OFF");
    }
    kv.expect("GET a", "\"1\"");
    assert!(kv.int("OBJECT IDLETIME a") <= 1);
}

#[test]
fn keys_and_patterns() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            KEYS *                     => []
            MSET hello 1 hallo 2 hxllo 3 hllo 4 heeeello 5 "h*llo" 6 "a[b" 7 "" 8
            KEYS h?llo                 => sorted ["h*llo" "hallo" "hello" "hxllo"]
            KEYS h*llo                 => sorted ["h*llo" "hallo" "heeeello" "hello" "hllo" "hxllo"]
            KEYS h[ae]llo              => sorted ["hallo" "hello"]
            KEYS h[^e]llo              => sorted ["h*llo" "hallo" "hxllo"]
            KEYS h[a-f]llo             => sorted ["hallo" "hello"]
            KEYS h[f-a]llo             => sorted ["hallo" "hello"]
            KEYS "h\\*llo"             => ["h*llo"]
            KEYS "a\\[b"               => ["a[b"]
            KEYS "h[\\*]llo"           => ["h*llo"]
            KEYS ""                    => [""]
            KEYS hello                 => ["hello"]
            KEYS HELLO                 => []
            KEYS none                  => []
            KEYS "h[ael"               => []
            KEYS                       => (error) ERR wrong number of arguments for 'keys' command
            "#,
        );
        // A pattern that makes a backtracking matcher take forever is answered at once.
        let text = "a".repeat(200);
        kv.cmd(&["SET", &text, "1"]);
        let pattern = format!("{}b", "*a".repeat(60));
        let started = std::time::Instant::now();
        assert_eq!(kv.cmd(&["KEYS", &pattern]).text(), "[]");
        assert!(started.elapsed().as_secs() < 5, "the hostile pattern took {:?}", started.elapsed());
    });
}

/// All keys a complete SCAN returns.
fn scan_all(kv: &mut Conn, options: &[&str]) -> Vec<String> {
    let mut cursor = "0".to_string();
    let mut all = Vec::new();
    for _ in 0..1_000_000 {
        let mut command = vec!["SCAN", cursor.as_str()];
        command.extend(options);
        let reply = kv.cmd(&command);
        let [next, keys] = reply.items() else { panic!("SCAN answered {}", reply.text()) };
        all.extend(keys.items().iter().map(Value::string));
        cursor = next.string();
        if cursor == "0" {
            return all;
        }
    }
    panic!("SCAN does not end");
}

#[test]
fn scan() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        assert!(scan_all(kv, &[]).is_empty());
        kv.ok("DEBUG POPULATE 1000");
        let all = scan_all(kv, &[]);
        let unique: HashSet<&String> = all.iter().collect();
        assert_eq!(unique.len(), 1000);
        assert_eq!(scan_all(kv, &["COUNT", "5000"]).len(), 1000, "a table at rest gives nothing twice");
        assert_eq!(scan_all(kv, &["COUNT", "1"]).iter().collect::<HashSet<_>>().len(), 1000);
        let some = scan_all(kv, &["MATCH", "key:1?", "COUNT", "100"]);
        assert_eq!(some.iter().collect::<HashSet<_>>().len(), 10);
        assert_eq!(scan_all(kv, &["TYPE", "string"]).len(), 1000);
        assert_eq!(scan_all(kv, &["type", "LIST"]).len(), 0);
        assert_eq!(scan_all(kv, &["MATCH", "key:99*", "TYPE", "string", "COUNT", "50"]).len(), 11);
        kv.talk(
            r#"
            SCAN x                     => (error) ERR invalid cursor
            @redis>=7.2,valkey SCAN "" => (error) ERR invalid cursor
            SCAN -1                    =~ *
            SCAN 0 COUNT 0             => (error) ERR syntax error
            SCAN 0 COUNT -1            => (error) ERR syntax error
            SCAN 0 COUNT x             => (error) ERR value is not an integer or out of range
            SCAN 0 COUNT               => (error) ERR syntax error
            SCAN 0 BAD x               => (error) ERR syntax error
            SCAN 0 MATCH               => (error) ERR syntax error
            SCAN 18446744073709551616  => (error) ERR invalid cursor
            SCAN "\x00"                => (error) ERR invalid cursor
            @redis>=7.2 SCAN "0\x00x"  =~ *
            SCAN                       => (error) ERR wrong number of arguments for 'scan' command
            "#,
        );
    });
}

/// The guarantee of SCAN: what is there from beginning to end is returned, however the table grows and shrinks.
#[test]
fn scan_over_a_changing_table() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    for round in 0..4 {
        kv.ok("FLUSHALL");
        kv.ok("DEBUG POPULATE 2000 stay 0");
        kv.ok("DEBUG POPULATE 3000 go 0");
        let mut seen = HashSet::new();
        let mut cursor = "0".to_string();
        let mut step = 0;
        loop {
            let reply = kv.cmd(&["SCAN", &cursor, "COUNT", "37"]);
            cursor = reply.items()[0].string();
            seen.extend(reply.items()[1].items().iter().map(Value::string));
            if cursor == "0" {
                break;
            }
            // Grow for two rounds, shrink for two.
            let lines: Vec<String> = (0..60)
                .map(|i| match round % 2 {
                    0 => format!("SET new:{step}:{i} x"),
                    _ => format!("DEL go:{}", step * 60 + i),
                })
                .collect();
            kv.pipeline(&lines.iter().map(String::as_str).collect::<Vec<_>>());
            step += 1;
        }
        let missing = (0..2000).filter(|i| !seen.contains(&format!("stay:{i}"))).count();
        assert_eq!(missing, 0, "keys lost in round {round}");
    }
}

/// Every key comes up, and none unreasonably often.
#[test]
fn randomkey_is_fair() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.ok("DEBUG POPULATE 50");
    let mut counts = std::collections::HashMap::new();
    for _ in 0..50 {
        for key in kv.pipeline(&["RANDOMKEY"; 100]) {
            *counts.entry(key.string()).or_insert(0) += 1;
        }
    }
    assert_eq!(counts.len(), 50, "some keys never came");
    // 100 each on average. Redis picks a bucket first, then from its chain, hence the width.
    assert!(counts.values().all(|&n| n > 10 && n < 400), "{counts:?}");
}

#[test]
fn expired_keys_are_not_seen() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.ok("DEBUG SET-ACTIVE-EXPIRE 0");
    kv.ok("SET stay 1");
    kv.ok("SET go 1 PX 1");
    std::thread::sleep(std::time::Duration::from_millis(20));
    kv.talk(
        r#"
        KEYS *                         => ["stay"]
        EXISTS go                      => 0
        TYPE go                        => none
        TTL go                         => -2
        OBJECT ENCODING go             => (nil)
        SET go 1 PX 1
        "#,
    );
    std::thread::sleep(std::time::Duration::from_millis(20));
    kv.talk(
        r#"
        RENAME go x                    => (error) ERR no such key
        COPY go x                      => 0
        GETDEL go                      => (nil)
        RANDOMKEY                      => "stay"
        DUMP go                        => (nil)
        DBSIZE                         => 1
        "#,
    );
}
