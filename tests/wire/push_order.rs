//! In which order a client gets what it did not ask for just now: messages, keyspace events, names of changed keys, and
//! between them the reply of a request that has waited.
//!
//! What each line says was seen with Redis 8.2; run this against it with `KVSTASH_TEST_SERVER`.

use crate::support::{Conn, Peer, Proto, Server, Value};
use std::time::Duration;

/// All that was sent to a client, in short: `ch:x` a message, `k=set` an event, `!k` a changed key; replies as they are.
fn sent(kv: &mut Conn) -> String {
    let mut all = Vec::new();
    while let Some(value) = kv.read_within(Duration::from_millis(100)) {
        let words: Vec<String> = match &value {
            Value::Push(items) => items.iter().map(Value::text).map(|text| text.trim_matches('"').to_owned()).collect(),
            _ => Vec::new(),
        };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        all.push(match words[..] {
            ["message", channel, message] => format!("{channel}:{message}"),
            ["pmessage", _, channel, event] => {
                format!("{}={event}", channel.split_once("__:").map_or(channel, |(_, key)| key))
            }
            ["invalidate", keys] => format!("!{}", keys.trim_matches(['[', ']', '"'])),
            _ => value.text(),
        });
    }
    all.join(" ")
}

/// A client that hears everything: messages of a channel, events, changes of these keys.
fn listener(server: &Server, keys: &str) -> Conn {
    let mut kv = server.connect_with(Proto::Resp3);
    kv.raw(
        format!("SUBSCRIBE ch\r\nPSUBSCRIBE __keyspace@0__:*\r\nCLIENT TRACKING ON\r\nEXISTS {keys}\r\n").as_bytes(),
    );
    sent(&mut kv);
    kv
}

fn start() -> Server {
    Server::start(&["--notify-keyspace-events", "KEA", "--enable-debug-command", "yes"])
}

fn all(kv: &mut Conn, lines: &[&str]) {
    lines.iter().for_each(|line| _ = kv.line(line));
}

#[test]
fn what_commands_of_a_transaction_cause_comes_in_their_order() {
    let server = start();
    let (mut kv, mut other) = (listener(&server, "a b l"), listener(&server, "a b l"));
    kv.raw(b"MULTI\r\nSET a 1\r\nPUBLISH ch x\r\nSET b 1\r\nLPUSH l 1\r\nFLUSHDB\r\nPUBLISH ch y\r\nEXEC\r\nPING\r\n");
    let caused = "a=set ch:x !b b=set !l l=lpush !(nil) ch:y";
    assert_eq!(sent(&mut other), format!("!a {caused}"));
    // Whoever has it done is told behind the reply, of its own changes at last.
    let events = "a=set ch:x b=set l=lpush ch:y !a !b !l !(nil)";
    let queued = "QUEUED ".repeat(6);
    assert_eq!(sent(&mut kv), format!("OK {queued}[OK 2 OK 1 OK 2] {events} PONG"));
}

#[test]
fn who_is_unblocked_has_heard_what_was_said_before() {
    let server = start();
    let mut kv = server.connect();
    for (how, reply) in [("", "(nil)"), (" ERROR", "(error) UNBLOCKED client unblocked via CLIENT UNBLOCK")] {
        let mut waits = server.connect_with(Proto::Resp3);
        let id = waits.int("CLIENT ID");
        waits.raw(b"SUBSCRIBE ch\r\nBLPOP nothing 0\r\n");
        sent(&mut waits);
        all(&mut kv, &["MULTI", "PUBLISH ch x", &format!("CLIENT UNBLOCK {id}{how}"), "PUBLISH ch y", "EXEC"]);
        assert_eq!(sent(&mut waits), format!("ch:x {reply} ch:y"));
    }
}

#[test]
fn who_is_served_has_heard_what_happened_before() {
    let server = start();
    let mut kv = server.connect();
    let mut waiting: Vec<Conn> = (0..2).map(|_| listener(&server, "l m")).collect();
    for client in &mut waiting {
        client.raw(b"BLPOP l 0\r\n");
        assert_eq!(sent(client), "");
    }
    all(&mut kv, &["MULTI", "SET m 1", "RPUSH l e f", "PUBLISH ch x", "EXEC"]);
    let pushed = "!m m=set !l l=rpush ch:x";
    let popped = "l=lpop l=lpop l=del";
    assert_eq!(sent(&mut waiting[0]), format!(r#"{pushed} ["l" "e"] {popped}"#));
    assert_eq!(sent(&mut waiting[1]), format!(r#"{pushed} l=lpop ["l" "f"] l=lpop l=del"#));
}

#[test]
fn who_waits_for_a_key_that_expires_hears_of_that_first() {
    let server = start();
    let mut kv = server.connect();
    all(&mut kv, &["XADD s 1-1 f v", "XGROUP CREATE s g $"]);
    let mut waits = listener(&server, "s");
    waits.raw(b"XREADGROUP GROUP g c BLOCK 0 STREAMS s >\r\n");
    sent(&mut waits);
    all(&mut kv, &["PEXPIRE s 50"]);
    std::thread::sleep(Duration::from_millis(300));
    let heard = sent(&mut waits);
    let (before, after) = heard.split_once("s=expired").expect("an event");
    assert!(!before.contains("(error)") && after.contains("(error) "), "{heard}");
}

/// Events are noted only while somebody could hear of them: nobody misses one for that.
#[test]
fn events_begin_and_end_with_their_subscriber() {
    let server = start();
    let mut kv = server.connect_with(Proto::Resp3);
    let noted = |kv: &mut Conn| match server.peer {
        Peer::Kvstash => kv.info("keyspace_events").parse().unwrap(),
        _ => 0,
    };
    let mut other = server.connect();
    all(&mut other, &["SET a 1", "SUBSCRIBE news"]);
    assert_eq!(noted(&mut kv), 0);
    for (subscribe, unsubscribe) in [
        ("PSUBSCRIBE __keyspace@0__:*", "PUNSUBSCRIBE"),
        ("SUBSCRIBE __keyspace@0__:b", "UNSUBSCRIBE"),
        ("PSUBSCRIBE *space*b", "RESET"),
    ] {
        kv.raw(
            format!("MULTI\r\nSET a 1\r\n{subscribe}\r\nSET b 1\r\nPING\r\nEXEC\r\n{unsubscribe}\r\nSET c 1\r\n")
                .as_bytes(),
        );
        let heard = sent(&mut kv);
        let count = |what: &str| heard.matches(what).count();
        assert_eq!((count("=set") + count("b:set"), count("a=set") + count("c=set")), (1, 0), "{subscribe}: {heard}");
        kv.line("HELLO 3");
    }
    all(&mut kv, &["SET a 1"]);
    assert!(noted(&mut kv) <= 3);
}
