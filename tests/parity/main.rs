//! Is the table what the world expects? What real servers report of themselves, compared with what kvstash reports.
//!
//! `tests/data/` has the facts, written by `tools/facts.py` from running servers: command arities, flags, key
//! positions, categories, key specifications and tips; INFO fields; parameters and their defaults. `differences` lists
//! where kvstash differs, each with its reason; a difference that is not listed fails, and so does a listed one that
//! is no more.

#[path = "../support/mod.rs"]
mod support;

mod differences;

use differences::{COMMANDS, INFO, PARAMETERS};
use std::collections::BTreeMap;
use support::{Conn, Peer, Server, Value};

const REDIS_COMMANDS: &str = include_str!("../data/commands-redis-8.2.txt");
const VALKEY_COMMANDS: &str = include_str!("../data/commands-valkey-9.1.txt");
const REDIS_INFO: &str = include_str!("../data/info-redis-8.2.txt");
const REDIS_PARAMETERS: &str = include_str!("../data/config-redis-8.2.txt");

/// Headed lists: a line at the margin, and the indented lines below it.
fn headed(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut head = String::new();
    for line in text.lines() {
        match line.strip_prefix("  ") {
            Some(fact) => all.entry(head.clone()).or_default().push(fact.to_string()),
            None => {
                head = line.to_string();
                all.entry(head.clone()).or_default();
            }
        }
    }
    all
}

fn words(values: &Value) -> String {
    values.sorted().join(" ")
}

/// A key specification in the form of the fact files.
fn spec_fact(spec: &Value) -> String {
    let part = |side: &Value| {
        let mut text = side.field("type").string();
        let inner = side.field("spec");
        let pairs: Vec<(String, String)> = match inner {
            Value::Map(pairs) => pairs.iter().map(|(k, v)| (k.string(), shown(v))).collect(),
            other => other.items().chunks(2).map(|pair| (pair[0].string(), shown(&pair[1]))).collect(),
        };
        for (name, value) in pairs {
            text.push_str(&format!(":{name}={value}"));
        }
        text
    };
    let flags = spec.field("flags").sorted().join(",");
    format!("spec flags={flags} begin={} find={}", part(spec.field("begin_search")), part(spec.field("find_keys")))
}

fn shown(value: &Value) -> String {
    match value {
        Value::Int(n) => n.to_string(),
        other => other.string(),
    }
}

/// What the server under test reports of a command, in the order of the fact files, subcommands included.
fn facts_of(kv: &mut Conn, name: &str) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    let reply = kv.cmd(&["COMMAND", "INFO", name]);
    let Value::Array(fields) = &reply.items()[0] else { return all };
    let docs = kv.cmd(&["COMMAND", "DOCS", name]);
    let docs = docs.field(name);
    let mut main = command_facts(fields);
    main.push(format!("group {}", docs.field("group").string()));
    main.push(format!("since {}", docs.field("since").string()));
    all.insert(name.to_string(), main);
    for sub in fields[9].items() {
        let fields = sub.items();
        let sub_name = fields[0].string();
        let mut facts = command_facts(fields);
        facts.push(format!("since {}", docs.field("subcommands").field(&sub_name).field("since").string()));
        all.insert(sub_name, facts);
    }
    all
}

fn command_facts(fields: &[Value]) -> Vec<String> {
    let mut facts = vec![
        format!("arity {}", fields[1].int()),
        format!("flags {}", words(&fields[2])),
        format!("keys {} {} {}", fields[3].int(), fields[4].int(), fields[5].int()),
        format!("categories {}", words(&fields[6])),
    ];
    facts.extend(fields[7].sorted().iter().map(|tip| format!("tip {tip}")));
    facts.extend(fields[8].items().iter().map(spec_fact));
    facts
}

/// Collects differences and sets them against the list of the known ones.
struct Comparison {
    known: &'static [(&'static str, &'static str)],
    used: Vec<bool>,
    unknown: Vec<String>,
}

impl Comparison {
    fn new(known: &'static [(&'static str, &'static str)]) -> Self {
        Self { known, used: vec![false; known.len()], unknown: Vec::new() }
    }

    /// A difference, by the text that the list knows it by; `*` at the end of a list's entry stands for anything.
    fn differs(&mut self, what: String) {
        let found = self.known.iter().position(|(known, _)| match known.strip_suffix('*') {
            Some(start) => what.starts_with(start),
            None => what == *known,
        });
        match found {
            Some(i) => self.used[i] = true,
            None => self.unknown.push(what),
        }
    }

    fn finish(self, peer: Peer) {
        // A real server is held to the facts alone: its versions differ, and the list is not about it.
        if peer != Peer::Kvstash {
            eprintln!(
                "{peer:?}: {} differences, none of them compared\n  {}",
                self.unknown.len(),
                self.unknown.join("\n  ")
            );
            return;
        }
        let stale = self.known.iter().zip(&self.used).filter(|(_, used)| !**used);
        let stale: Vec<String> = stale.map(|((what, _), _)| format!("listed, but no difference: {what}")).collect();
        let all = [self.unknown, stale].concat();
        assert!(all.is_empty(), "{} differences:\n  {}", all.len(), all.join("\n  "));
    }
}

#[test]
fn commands() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let mut comparison = Comparison::new(COMMANDS);
    let mut expected = headed(REDIS_COMMANDS);
    expected.extend(headed(VALKEY_COMMANDS));
    let mut actual = BTreeMap::new();
    for name in expected.keys().filter(|name| !name.contains('|')) {
        actual.extend(facts_of(&mut kv, name));
    }
    for (name, facts) in &expected {
        let Some(ours) = actual.get(name) else {
            comparison.differs(format!("{name}: missing"));
            continue;
        };
        for fact in facts.iter().filter(|fact| !ours.contains(fact)) {
            comparison.differs(format!("{name}: lacks {fact}"));
        }
        for fact in ours.iter().filter(|fact| !facts.contains(fact)) {
            comparison.differs(format!("{name}: has {fact}"));
        }
    }
    for name in actual.keys().filter(|name| !expected.contains_key(*name)) {
        comparison.differs(format!("{name}: is extra"));
    }
    // Commands that are not in the facts at all.
    for name in kv.line("COMMAND LIST").sorted() {
        if !name.contains('|') && !expected.contains_key(&name) {
            comparison.differs(format!("{name}: is extra"));
        }
    }
    comparison.finish(server.peer);
}

#[test]
fn info_fields() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let mut comparison = Comparison::new(INFO);
    let expected = headed(REDIS_INFO);
    let text = kv.line("INFO everything").string();
    let as_facts: Vec<String> = text
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| match line.strip_prefix("# ") {
            Some(section) => section.to_string(),
            None => format!("  {}", line.split(':').next().unwrap_or("")),
        })
        .collect();
    let actual = headed(&as_facts.join("\n"));
    for (section, fields) in &expected {
        let Some(ours) = actual.get(section) else {
            comparison.differs(format!("section {section}"));
            continue;
        };
        for field in fields.iter().filter(|field| !ours.contains(field)) {
            comparison.differs(format!("{section}: {field}"));
        }
    }
    comparison.finish(server.peer);
}

/// Every parameter of Redis is known, with Redis's default.
#[test]
fn parameters() {
    // Without the arguments tests usually have, as far as they change what is compared.
    let server =
        Server::start(&["--save", "3600 1 300 100 60 10000", "--bind", "* -::*", "--enable-debug-command", "no"]);
    let mut kv = server.connect();
    let mut comparison = Comparison::new(PARAMETERS);
    for line in REDIS_PARAMETERS.lines() {
        let (name, default) = line.split_once(' ').unwrap_or((line, ""));
        let reply = kv.cmd(&["CONFIG", "GET", name]);
        match reply.items() {
            [] => comparison.differs(format!("{name}: missing")),
            [_, value] if value.string() == default => {}
            [_, value] => comparison.differs(format!("{name}: {:?}, not {default:?}", value.string())),
            _ => comparison.differs(format!("{name}: {}", reply.text())),
        }
    }
    comparison.finish(server.peer);
}
