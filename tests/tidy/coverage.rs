//! What a command declares, and what it owes: a wire test, an entry in its family's list, keys that its flags go with.
//!
//! The declarations are read as text, so that nothing need be compiled to be told of an omission.

use std::collections::HashMap;

use crate::report;
use crate::source::{self, Source, files, line_of, read, words};

/// One `static NAME: CommandSpec` of src/commands.
struct Declaration<'s> {
    file: &'s Source,
    line: usize,
    ident: String,
    name: String,
    /// The text between its braces.
    body: &'s str,
    /// Idents of its subcommands.
    subcommands: Vec<String>,
}

/// All declarations of src/commands, in order of files.
fn declarations() -> Vec<Declaration<'static>> {
    let mut found = Vec::new();
    for file in source::sources().iter().filter(|file| file.path.starts_with("src/commands")) {
        for at in words(&file.code, "static") {
            let rest = &file.code[at + "static".len()..];
            let Some((ident, after)) = rest.split_once(':') else { continue };
            if !after.trim_start().starts_with("CommandSpec") {
                continue;
            }
            let body = body(file, at);
            let Some(name) = literal_after(body, "name:") else { continue };
            let subcommands =
                body.split_once("subcommands: &[").map_or("", |(_, rest)| rest.split(']').next().unwrap_or(""));
            found.push(Declaration {
                file,
                line: line_of(&file.text, at),
                ident: ident.trim().to_owned(),
                name,
                body,
                subcommands: subcommands.split(',').filter_map(ident_of_path).collect(),
            });
        }
    }
    assert!(found.len() > 250, "only {} declarations found: how commands are declared has changed", found.len());
    found
}

/// The text of the item that starts at `at`, up to the brace that closes it.
fn body(file: &'static Source, at: usize) -> &'static str {
    let mut depth = 0usize;
    for (i, c) in file.bare[at..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth <= 1 => return &file.text[at..at + i],
            '}' => depth -= 1,
            _ => {}
        }
    }
    &file.text[at..]
}

fn literal_after(body: &str, field: &str) -> Option<String> {
    let rest = body.split_once(field)?.1.trim_start().strip_prefix('"')?;
    Some(rest.split('"').next()?.to_owned())
}

/// `&module::IDENT` -> `IDENT`.
fn ident_of_path(path: &str) -> Option<String> {
    let ident = path.trim().trim_start_matches('&').rsplit("::").next()?.trim();
    (!ident.is_empty()).then(|| ident.to_owned())
}

/// Full names of all commands with their declarations: a subcommand's as `config get`.
fn commands(all: &[Declaration<'static>]) -> Vec<(String, usize)> {
    let folder = |d: &Declaration<'_>| d.file.path.components().nth(2).map(|part| part.as_os_str().to_owned());
    let mut by_ident: HashMap<_, Vec<usize>> = HashMap::new();
    for (i, d) in all.iter().enumerate() {
        by_ident.entry((folder(d), d.ident.as_str())).or_default().push(i);
    }
    let mut heads = HashMap::new();
    for (i, d) in all.iter().enumerate() {
        for ident in &d.subcommands {
            for &sub in by_ident.get(&(folder(d), ident.as_str())).map_or(&[][..], Vec::as_slice) {
                // The same ident in another file of the folder is another command's.
                let same_file = all[sub].file.path == d.file.path;
                if same_file || by_ident[&(folder(d), ident.as_str())].len() == 1 {
                    heads.insert(sub, i);
                }
            }
        }
    }
    let name = |i: usize| match heads.get(&i) {
        Some(&head) => format!("{} {}", all[head].name, all[i].name),
        None => all[i].name.clone(),
    };
    (0..all.len()).map(|i| (name(i), i)).collect()
}

#[test]
fn every_command_has_a_wire_test() {
    let transcripts: String = files("tests/wire", &[".rs"]).iter().map(|p| read(p).to_lowercase()).collect();
    let words: Vec<&str> = transcripts.split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_')).collect();
    let mentioned = |name: &str| {
        let parts: Vec<&str> = name.split(' ').collect();
        words.windows(parts.len()).any(|window| window == parts)
    };
    let all = declarations();
    let mut findings = Vec::new();
    for (name, i) in commands(&all) {
        // Every container's HELP is the same derived text; one of them is tested as all.
        if !name.ends_with(" help") && !mentioned(&name) {
            findings.push(all[i].file.at(all[i].line, format!("{name}: no transcript in tests/wire says its name")));
        }
    }
    report("commands without a wire test", findings);
}

/// A command that reads or writes data says where its keys are; one that writes says WRITE.
#[test]
fn flags_and_keys_go_together() {
    /// Work on databases as wholes, on functions, on keys that no declaration can name, or (LOLWUT) count as reads for no reason.
    const WITHOUT_KEYS: &[&str] = &[
        "dbsize",
        "flushall",
        "flushdb",
        "keys",
        "lolwut",
        "randomkey",
        "scan",
        "swapdb",
        "function delete",
        "function flush",
        "function load",
        "function restore",
    ];
    let all = declarations();
    let mut findings = Vec::new();
    for (name, i) in commands(&all) {
        let body = all[i].body;
        let has = |flag: &str| words(body, flag).next().is_some();
        let data = has("Flags::WRITE") || has("Flags::READONLY");
        let keys = body.contains("keys: &[");
        let mut say = |what: &str| findings.push(all[i].file.at(all[i].line, format!("{name}: {what}")));
        if data && !keys && !WITHOUT_KEYS.contains(&name.as_str()) {
            say("reads or writes data, and no key spec says where");
        }
        // What a HyperLogLog estimates is kept in it.
        let writes = name != "pfcount"
            && ["Access::READ_WRITE", "Access::OVERWRITE", "Access::REMOVE"].iter().any(|a| body.contains(a));
        if writes && !has("WRITE") {
            say("a key spec says that it writes, its flags do not");
        }
        if has("DENYOOM") && !has("WRITE") {
            say("DENYOOM without WRITE");
        }
        // What may block on another thread's account is not called so by Redis.
        let blocks = body.contains("Handler::Blocking") || (body.contains("Handler::AdminBlocking") && has("BLOCKING"));
        if blocks != has("BLOCKING") {
            say("the flag BLOCKING and the kind of its handler disagree");
        }
    }
    report("flags that contradict a declaration", findings);
}

/// `exec/` runs every command the same way: what is special about one stands in its declaration.
#[test]
fn exec_names_no_command() {
    /// Literals that happen to be a command's name: (file, literal, what it is).
    const OTHERS: &[(&str, &str, &str)] = &[
        ("src/exec/account.rs", "command", "an event of the latency monitor"),
        ("src/exec/event_stream.rs", "XADD", "what replicas are sent"),
        ("src/exec/replication/role.rs", "DEL", "what replicas are sent"),
        ("src/exec/replication/upstream.rs", "sync", "how ROLE calls a state"),
        ("src/exec/identity.rs", "role", "a label of a series"),
        ("src/exec/cursor.rs", "COUNT", "an option of SCAN"),
        ("src/exec/cursor.rs", "TYPE", "an option of SCAN"),
        ("src/exec/spec.rs", "delete", "what is done with a key"),
        ("src/exec/spec.rs", "list", "a group and a category"),
        ("src/exec/spec.rs", "pubsub", "a flag, a group and a category"),
        ("src/exec/spec.rs", "set", "a group and a category"),
        ("src/exec/spec.rs", "stream", "a group and a category"),
    ];
    let names: Vec<String> = declarations().into_iter().map(|d| d.name).collect();
    let mut findings = Vec::new();
    for file in source::sources().iter().filter(|file| file.path.starts_with("src/exec")) {
        let tests = file.path.to_string_lossy().ends_with("_tests.rs");
        for (at, literal) in file.literals().filter(|_| !tests) {
            let excused = OTHERS.iter().any(|(path, text, _)| file.path.ends_with(path) && literal == *text);
            if !excused && names.iter().any(|name| literal.eq_ignore_ascii_case(name)) {
                findings.push(file.at(line_of(&file.text, at), format!("names the command \"{literal}\"")));
            }
        }
    }
    report("commands named in exec/", findings);
}

/// What a handler reads as an option stands among its family's arguments, so that COMMAND DOCS has it.
#[test]
fn every_option_is_documented() {
    /// For developers: their arguments are left out of COMMAND DOCS in Redis, too; their HELP has them.
    // Commands for tests and between servers, whose arguments Redis does not document either.
    const UNDOCUMENTED: &[&str] =
        &["src/commands/hyperloglog/inspect.rs", "src/commands/server/debug", "src/commands/server/replication.rs"];
    let is_token = |text: &str| text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || "_-".contains(c));
    let all: Vec<&Source> = source::sources().iter().filter(|file| file.path.starts_with("src/commands")).collect();
    let mut findings = Vec::new();
    for file in all.iter().filter(|file| !UNDOCUMENTED.iter().any(|path| file.path.starts_with(path))) {
        let family = all.iter().filter(|other| other.path.parent() == file.path.parent());
        let declared: Vec<&str> =
            family.flat_map(|other| other.literals().map(|(_, text)| text)).filter(|text| is_token(text)).collect();
        for (at, word) in file.literals() {
            let before = file.text[..at].trim_end_matches('b');
            let is_read = before.ends_with("eq_ignore_ascii_case(") || before.ends_with("is(");
            if is_read && !declared.iter().any(|token| token.eq_ignore_ascii_case(word)) {
                findings
                    .push(file.at(line_of(&file.text, at), format!("reads \"{word}\", which no argument declares")));
            }
        }
    }
    report("options without documentation", findings);
}
