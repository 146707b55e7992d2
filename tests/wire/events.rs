//! Keyspace events: what each command publishes is what Redis 8.2 publishes (tests/data/events-redis-8.2.txt), and so is
//! where among the events a client hears that a key which it caches has changed.
//!
//! A line of the file is `command | key=event !key ...`, where `!key` is such a change; several commands are separated by
//! `;`, an empty line begins anew with an empty data set. To record it again, or after lines were added:
//!
//! ```text
//! KVSTASH_TEST_SERVER=/path/to/redis-server EVENTS_RECORD=1 cargo test --test wire events::
//! ```

use crate::support::{Conn, Peer, Proto, Server, Value};
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

const PREFIX: &str = "__keyspace@";

/// What was published since it was last asked, and which of the cached keys were changed.
fn published(kv: &mut Conn, subscriber: &mut Conn) -> String {
    kv.cmd(&["PUBLISH", "__keyspace@end", "."]);
    let mut events = String::new();
    loop {
        let message = subscriber.read();
        match message.items() {
            [kind, keys] if kind.string() == "invalidate" => match keys {
                Value::Null => events.push_str(" !*"),
                keys => keys.items().iter().for_each(|key| write!(events, " !{}", key.string()).expect("memory")),
            },
            [_, _, channel, event] => {
                let channel = channel.string();
                let Some((db, key)) = channel[PREFIX.len()..].split_once("__:") else { return events };
                let db = if db == "0" { String::new() } else { format!("{db}:") };
                write!(events, " {db}{key}={}", event.string()).expect("memory");
            }
            _ => panic!("no message: {}", message.text()),
        }
    }
}

/// From now on the subscriber caches every word that these commands may mean a key by.
fn cache_all(kv: &mut Conn, subscriber: &mut Conn, commands: &str) {
    let words = commands.split(';').flat_map(|command| command.split_whitespace().skip(1));
    let mut read = vec!["EXISTS"];
    read.extend(words.map(|word| word.trim_matches('"')));
    if read.len() > 1 {
        subscriber.send(&read);
        while !matches!(subscriber.read(), Value::Int(_)) {}
        published(kv, subscriber);
    }
}

/// Two keys are involved, or several events: caches are told the same, but elsewhere among the events.
const ELSEWHERE: &[&str] = &["LMOVE", "RPOPLPUSH", "BLMOVE", "BRPOPLPUSH", "SMOVE", "RENAME", "RENAMENX"];

/// Caches are told although Redis does not tell them.
const TOLD_MORE: &[&str] =
    &["XGROUP", "XREADGROUP", "XCLAIM", "XAUTOCLAIM", "XACK", "XACKDEL", "XSETID", "SWAPDB", "PFDEBUG"];

/// What of this is to be the same everywhere.
fn comparable(commands: &str, published: &str) -> String {
    let name = commands.split_whitespace().next().unwrap_or_default();
    let is_change = |word: &&str| word.starts_with('!');
    let (mut changes, events): (Vec<&str>, Vec<&str>) = published.split_whitespace().partition(is_change);
    if TOLD_MORE.contains(&name) {
        changes.clear();
    } else if !ELSEWHERE.contains(&name) {
        return published.to_owned();
    }
    changes.sort_unstable();
    format!(" {}", [events, changes].concat().join(" "))
}

#[test]
fn as_redis_publishes_them() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/events-redis-8.2.txt");
    let table = std::fs::read_to_string(&path).unwrap();
    let server = Server::start(&["--enable-debug-command", "yes"]);
    if !server.peer.satisfies("redis>=8.2") {
        return;
    }
    let (mut kv, mut subscriber) = (server.connect(), server.connect_with(Proto::Resp3));
    kv.ok("CONFIG SET notify-keyspace-events KEAmnoc");
    subscriber.ok("CLIENT TRACKING ON");
    subscriber.line("PSUBSCRIBE __keyspace@*");
    let records = std::env::var_os("EVENTS_RECORD").is_some();
    let (mut recorded, mut wrong, mut is_over) = (String::new(), Vec::new(), false);
    for line in table.lines() {
        if line.is_empty() {
            kv.line("SELECT 0");
            kv.line("FLUSHALL");
            published(&mut kv, &mut subscriber);
        }
        let Some((commands, expected)) = line.split_once('|').filter(|_| !line.starts_with('#')) else {
            writeln!(recorded, "{line}").expect("memory");
            continue;
        };
        // Looking whether a key is there would be the end of one whose time is over.
        if !is_over {
            cache_all(&mut kv, &mut subscriber, commands);
        }
        is_over = commands.contains("DEBUG SLEEP");
        for command in commands.split(';').map(str::trim) {
            match command.strip_prefix("WAIT-MS ") {
                Some(ms) => std::thread::sleep(Duration::from_millis(ms.parse().unwrap())),
                None => drop(kv.line(command)),
            }
        }
        let got = published(&mut kv, &mut subscriber);
        writeln!(recorded, "{commands}|{got}").expect("memory");
        if comparable(commands, &got) != comparable(commands, expected) {
            wrong.push(format!("{commands}:{got}, not{expected}"));
        }
    }
    match records {
        true => {
            assert_ne!(kv.peer, Peer::Kvstash, "the file says what Redis does");
            std::fs::write(path, recorded).unwrap();
        }
        false => assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n")),
    }
}
