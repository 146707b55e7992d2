//! Conversations as text.
//!
//! ```text
//! SET a 1                => OK
//! GET a                  => "1"                    one command, one reply
//! GET none               => (nil)
//! COMMAND INFO none      => [(nil array)] || [(nil)]   RESP2 || RESP3, where they differ
//! SET a                  =~ (error) ERR wrong*     `*` stands for anything
//! @redis>=8 GETEX a EX 1 => "1"                    only where the guard holds (always for kvstash)
//! KEYS *                 => sorted ["a" "b"]       the elements in sorted order
//! SET a 1                                          whatever it answers, but not an error
//! # a remark
//! ```
//!
//! All lines run; the mismatches are reported together, so that one run shows all of what differs.

use super::resp::{Value, words};
use super::{Conn, Proto};

#[track_caller]
pub fn run(kv: &mut Conn, script: &str) {
    let mut wrong = Vec::new();
    for (number, line) in script.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut line = line;
        if let Some(guarded) = line.strip_prefix('@') {
            let (guard, rest) = guarded.split_once(' ').expect("a command after the guard");
            if !kv.peer.satisfies(guard) {
                continue;
            }
            line = rest.trim_start();
        }
        let (command, expected) = match (line.split_once(" => "), line.split_once(" =~ ")) {
            (Some((command, text)), _) => (command.trim(), Some(Expected::Exactly(by_proto(kv.proto, text)))),
            (None, Some((command, pattern))) => (command.trim(), Some(Expected::Like(by_proto(kv.proto, pattern)))),
            (None, None) => (line, None),
        };
        let reply = kv.cmd(&words(command));
        let shown = reply.text();
        let right = match &expected {
            None => !reply.is_error(),
            Some(Expected::Exactly(text)) => match text.strip_prefix("sorted ") {
                Some(text) => sorted_text(&reply) == text,
                None => shown == *text,
            },
            Some(Expected::Like(pattern)) => like(pattern, &shown),
        };
        if !right {
            let expected = match expected {
                None => "anything but an error".to_string(),
                Some(Expected::Exactly(text)) => text,
                Some(Expected::Like(pattern)) => format!("like {pattern}"),
            };
            wrong.push(format!("  line {number}: {command}\n    expected {expected}\n    got      {shown}"));
        }
    }
    assert!(wrong.is_empty(), "over {:?} with {:?}, {} differ:\n{}", kv.proto, kv.peer, wrong.len(), wrong.join("\n"));
}

enum Expected {
    Exactly(String),
    Like(String),
}

fn by_proto(proto: Proto, text: &str) -> String {
    let text = match (text.split_once(" || "), proto) {
        (Some((resp2, _)), Proto::Resp2) => resp2,
        (Some((_, resp3)), Proto::Resp3) => resp3,
        (None, _) => text,
    };
    text.trim().to_string()
}

fn sorted_text(reply: &Value) -> String {
    match reply {
        Value::Array(items) | Value::Set(items) => {
            let mut texts: Vec<String> = items.iter().map(Value::text).collect();
            texts.sort();
            format!("[{}]", texts.join(" "))
        }
        other => other.text(),
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any run of characters.
fn like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or("")) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(last)
}
