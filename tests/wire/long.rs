//! Long arguments, which are received in pieces: what becomes of them in every kind of command, and who else sees them.

use crate::support::{Conn, Peer, Server};

/// More than one piece, and no whole number of them.
const LONG: usize = 3 * 8192 + 40_001;

fn text(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|i| b'a' + ((i / 7 + usize::from(seed) * 5) % 26) as u8).collect()
}

fn value(kv: &mut Conn, key: &str) -> Vec<u8> {
    kv.cmd(&["GET", key]).bytes().to_vec()
}

#[test]
fn strings_are_made_of_what_was_received() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    for len in [32_768, LONG, 65_536, 65_537, 8 * 8176, 500_000] {
        let (a, b) = (text(1, len), text(2, len));
        for (key, before) in [("none", 0), ("short", 10), ("blob", 5_000), ("full", 10 * 8176), ("rope", 100_000)] {
            let old = text(3, before);
            let set = |kv: &mut Conn| match before {
                0 => _ = kv.cmd(&["DEL", key]),
                _ => _ = kv.cmd_bytes(&[b"SET", key.as_bytes(), &old]),
            };
            set(&mut kv);
            assert_eq!(kv.cmd_bytes(&[b"APPEND", key.as_bytes(), &a]).int() as usize, before + len);
            assert_eq!(kv.cmd_bytes(&[b"APPEND", key.as_bytes(), &b]).int() as usize, before + 2 * len);
            assert!(value(&mut kv, key) == [&old[..], &a, &b].concat(), "APPEND of {len} to {before}");
            for at in [0, 5, 8176, before / 2, before, before + 3, 300_000] {
                set(&mut kv);
                let mut expected = old.clone();
                expected.resize(before.max(at + len), 0);
                expected[at..at + len].copy_from_slice(&a);
                let reply = kv.cmd_bytes(&[b"SETRANGE", key.as_bytes(), at.to_string().as_bytes(), &a]);
                assert_eq!(reply.int() as usize, expected.len());
                assert!(value(&mut kv, key) == expected, "SETRANGE of {len} at {at} of {before}");
                // What was taken over can be written to.
                kv.cmd(&["SETRANGE", key, &(at + len / 2).to_string(), "!"]);
                expected[at + len / 2] = b'!';
                assert!(value(&mut kv, key) == expected);
            }
        }
        kv.cmd_bytes(&[b"MSET", b"x", &a, b"y", &b, b"z", b"short"]);
        assert!(value(&mut kv, "x") == a && value(&mut kv, "y") == b && value(&mut kv, "z") == b"short");
        assert_eq!(kv.cmd_bytes(&[b"GETSET", b"x", &b]).bytes(), a);
        assert!(value(&mut kv, "x") == b);
        let payload = kv.cmd(&["DUMP", "x"]).bytes().to_vec();
        kv.ok("CONFIG SET rdbcompression no");
        let plain = kv.cmd(&["DUMP", "x"]).bytes().to_vec();
        kv.ok("CONFIG SET rdbcompression yes");
        for payload in [payload, plain] {
            assert_eq!(kv.cmd_bytes(&[b"RESTORE", b"copy", b"0", &payload, b"REPLACE"]).text(), "OK");
            assert!(value(&mut kv, "copy") == b);
            let mut damaged = payload.clone();
            let middle = damaged.len() / 2;
            damaged[middle] ^= 1;
            let reply = kv.cmd_bytes(&[b"RESTORE", b"copy", b"0", &damaged, b"REPLACE"]).text();
            assert_eq!(reply, "(error) ERR DUMP payload version or checksum are wrong");
        }
    }
}

#[test]
fn collections_take_long_elements() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let (a, b) = (text(1, LONG), text(2, 300_000));
    for round in 0..2 {
        assert_eq!(kv.cmd_bytes(&[b"LPUSH", b"list", &a, b"short", &b]).int(), 3 * (round + 1));
        assert_eq!(kv.cmd_bytes(&[b"RPUSH", b"tail", &b, &a]).int(), 2 * (round + 1));
        assert_eq!(kv.line("LINDEX list 0").bytes(), b);
        assert_eq!(kv.line("LINDEX list 2").bytes(), a);
        assert_eq!(kv.line("LINDEX tail -1").bytes(), a);
    }
    kv.cmd_bytes(&[b"HSET", b"hash", &a, &b, b"f", &a]);
    assert_eq!(kv.cmd_bytes(&[b"HGET", b"hash", &a]).bytes(), b);
    kv.cmd_bytes(&[b"SADD", b"set", &a, &b, &a]);
    assert_eq!(kv.cmd_bytes(&[b"SMISMEMBER", b"set", &a, &b, b"c"]).text(), "[1 1 0]");
    kv.cmd_bytes(&[b"SET", &a, &a]);
    assert_eq!(kv.cmd_bytes(&[b"GET", &a]).bytes(), a);
    assert_eq!(kv.cmd_bytes(&[b"ECHO", &b]).bytes(), b);
}

/// A request's arguments may be wanted after it ran, or long before.
#[test]
fn others_see_long_arguments_too() {
    let server = Server::start(&["--slowlog-log-slower-than", "0"]);
    let mut kv = server.connect();
    let long = text(1, LONG);
    kv.cmd_bytes(&[b"SET", b"k", &long]);
    let log = kv.line("SLOWLOG GET 2").text();
    let start = format!("{}... ({} more bytes)", String::from_utf8_lossy(&long[..128]), LONG - 128);
    assert!(log.contains(&start), "{log}");
    let mut monitor = server.connect();
    monitor.ok("MONITOR");
    for command in [&b"SET"[..], b"APPEND"] {
        kv.cmd_bytes(&[command, b"k", &long]);
        assert!(monitor.read().string().contains(std::str::from_utf8(&long).unwrap()));
    }
    drop(monitor);
    // In a transaction, in one that is thrown away, behind a command that waits, while nothing may be written.
    kv.ok("MULTI");
    assert_eq!(kv.cmd_bytes(&[b"SET", b"k", &long]).text(), "QUEUED");
    assert_eq!(kv.cmd_bytes(&[b"APPEND", b"k", &long]).text(), "QUEUED");
    assert_eq!(kv.line("EXEC").text(), format!("[OK {}]", 2 * LONG));
    kv.ok("MULTI");
    kv.cmd_bytes(&[b"SET", b"k", b"other"]);
    kv.cmd_bytes(&[b"SET", b"k", &long]);
    kv.ok("DISCARD");
    assert_eq!(kv.int("STRLEN k") as usize, 2 * LONG);
    let mut waiting = server.connect();
    waiting.send(&["BLPOP", "list", "0"]);
    waiting.send(&[&b"SET"[..], b"w", &long]);
    kv.cmd_bytes(&[b"LPUSH", b"list", &long]);
    assert_eq!(waiting.read().items()[1].bytes(), long);
    assert_eq!(waiting.read().text(), "OK");
    kv.ok("CLIENT PAUSE 100000 WRITE");
    waiting.send(&[&b"APPEND"[..], b"w", &long]);
    std::thread::sleep(std::time::Duration::from_millis(50));
    kv.ok("CLIENT UNPAUSE");
    assert_eq!(waiting.read().int() as usize, 2 * LONG);
    assert!(value(&mut kv, "w") == [&long[..], &long].concat());
    // The name of a command, or of none.
    let reply = kv.cmd_bytes(&[&long, &long]).text();
    let shown = String::from_utf8_lossy(&long[..128]).into_owned();
    if server.peer == Peer::Kvstash {
        assert!(reply.starts_with(&format!("(error) ERR unknown command '{shown}'")), "{reply}");
    }
    kv.expect("PING", "PONG");
}
