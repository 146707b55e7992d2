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

/// How much more the process takes at its worst while it runs a command than before it.
fn peak_of(server: &Server, kv: &mut Conn, command: &[&[u8]]) -> usize {
    let proc = format!("/proc/{}", server.pid());
    let kib = |name: &str| -> usize {
        let status = std::fs::read_to_string(format!("{proc}/status")).expect("the server runs");
        let line = status.lines().find(|line| line.starts_with(name)).expect("a line of the file");
        line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
    };
    kv.ok("MEMORY PURGE");
    std::fs::write(format!("{proc}/clear_refs"), "5").expect("the peak begins anew");
    let before = kib("VmRSS");
    let reply = kv.cmd_bytes(command).text();
    assert!(!reply.starts_with("(error)"), "{reply}");
    (kib("VmHWM") - before.min(kib("VmHWM"))) << 10
}

/// A long argument becomes the value, or ends as it is copied: a command takes no more than the value and a part of it.
#[test]
fn what_is_stored_is_not_there_twice() {
    const LEN: usize = 48 << 20;
    // What ends goes back to the system in steps.
    const BESIDE: usize = 36 << 20;
    let server = Server::start(&["--save", "", "--rdbcompression", "no"]);
    if server.peer != Peer::Kvstash {
        return;
    }
    let mut kv = server.connect();
    let long = text(1, LEN);
    let commands: [&[&[u8]]; 19] = [
        &[b"SET", b"k", &long],
        &[b"LPUSH", b"k", &long],
        &[b"RPUSH", b"list", &long],
        &[b"RPUSHX", b"list", &long],
        &[b"LSET", b"list", b"0", &long],
        &[b"LINSERT", b"list", b"BEFORE", b"b", &long],
        &[b"SADD", b"k", &long],
        &[b"SADD", b"set", &long],
        &[b"SMOVE", b"other", b"k", &long],
        &[b"HSET", b"k", b"f", &long],
        &[b"HSET", b"hash", b"f", &long],
        &[b"HSET", b"k", &long, b"v"],
        &[b"HSETNX", b"hash", &long, b"v"],
        &[b"HSETEX", b"k", b"EX", b"1000", b"FIELDS", b"1", b"f", &long],
        &[b"HINCRBY", b"k", &long, b"1"],
        &[b"HINCRBYFLOAT", b"k", &long, b"1"],
        &[b"XADD", b"k", b"*", b"f", &long],
        // A sorted set has a member twice.
        &[b"ZADD", b"k", b"1", &long],
        &[b"GEOADD", b"k", b"1", b"1", &long],
    ];
    for command in commands {
        kv.ok("FLUSHALL SYNC");
        kv.line("RPUSH list a b c");
        kv.line("SADD set a b c");
        kv.line("HSET hash a b");
        if command[0] == b"SMOVE" {
            kv.cmd_bytes(&[b"SADD", b"other", &long]);
        }
        let peak = peak_of(&server, &mut kv, command);
        let name = String::from_utf8_lossy(command[0]).into_owned();
        let copies = if name == "ZADD" || name == "GEOADD" { 2 } else { 1 };
        assert!(peak < copies * LEN + BESIDE, "{name} {} takes {peak}", command[1].escape_ascii());
        if command[1] == b"k" && ["LPUSH", "SADD", "HSET", "XADD", "ZADD"].contains(&&name[..]) {
            let payload = kv.cmd(&["DUMP", "k"]).bytes().to_vec();
            kv.ok("FLUSHALL SYNC");
            let peak = peak_of(&server, &mut kv, &[b"RESTORE", b"copy", b"0", &payload]);
            assert!(peak < copies * LEN + BESIDE, "RESTORE of what {name} made takes {peak}");
            assert_eq!(kv.cmd(&["DUMP", "copy"]).bytes(), payload);
        }
    }
}

/// What stands next to a large element of a list can be pushed and popped without the large one being copied.
#[test]
fn large_elements_change_places_whole() {
    const LEN: usize = 32 << 20;
    let server = Server::start(&["--save", ""]);
    if server.peer != Peer::Kvstash {
        return;
    }
    let mut kv = server.connect();
    let long = text(2, LEN);
    kv.cmd_bytes(&[b"RPUSH", b"list", b"first", &long]);
    for command in
        [&[&b"RPUSH"[..], b"list", b"last"][..], &[b"RPUSH", b"list", &long[..9000], b"x"], &[b"RPOP", b"list", b"3"]]
    {
        assert!(peak_of(&server, &mut kv, command) < LEN / 2, "{}", command[0].escape_ascii());
    }
    assert!(kv.line("RPOP list").bytes() == long);
    assert_eq!(kv.line("LRANGE list 0 -1").text(), "[\"first\"]");
}
