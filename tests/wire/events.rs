//! Keyspace events: what each command publishes is what Redis 8.2 publishes (tests/data/events-redis-8.2.txt).
//!
//! A line of the file is `command | key=event ...`, several commands are separated by `;`, an empty line begins anew
//! with an empty data set. To record it again, or after lines were added:
//!
//! ```text
//! KVSTASH_TEST_SERVER=/path/to/redis-server EVENTS_RECORD=1 cargo test --test wire events::
//! ```

use crate::support::{Conn, Peer, Server};
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

const PREFIX: &str = "__keyspace@";

/// What was published since it was last asked.
fn published(kv: &mut Conn, subscriber: &mut Conn) -> String {
    kv.cmd(&["PUBLISH", "__keyspace@end", "."]);
    let mut events = String::new();
    loop {
        let message = subscriber.read();
        let [_, _, channel, event] = message.items() else { panic!("no message: {}", message.text()) };
        let channel = channel.string();
        let Some((db, key)) = channel[PREFIX.len()..].split_once("__:") else { return events };
        let db = if db == "0" { String::new() } else { format!("{db}:") };
        write!(events, " {db}{key}={}", event.string()).expect("memory");
    }
}

#[test]
fn as_redis_publishes_them() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/events-redis-8.2.txt");
    let table = std::fs::read_to_string(&path).unwrap();
    let server = Server::start(&["--enable-debug-command", "yes"]);
    if !server.peer.satisfies("redis>=8.2") {
        return;
    }
    let (mut kv, mut subscriber) = (server.connect(), server.connect());
    kv.ok("CONFIG SET notify-keyspace-events KEAmnoc");
    subscriber.line("PSUBSCRIBE __keyspace@*");
    let records = std::env::var_os("EVENTS_RECORD").is_some();
    let (mut recorded, mut wrong) = (String::new(), Vec::new());
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
        for command in commands.split(';').map(str::trim) {
            match command.strip_prefix("WAIT-MS ") {
                Some(ms) => std::thread::sleep(Duration::from_millis(ms.parse().unwrap())),
                None => drop(kv.line(command)),
            }
        }
        let got = published(&mut kv, &mut subscriber);
        writeln!(recorded, "{commands}|{got}").expect("memory");
        if got != expected {
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
