//! Rooms stand on floors, and vendor crates live in the rooms that own them.

use crate::report;
use crate::source::{self, Source, line_of, words};

const FLOORS: &[&[&str]] = &[
    &["sys", "observe", "util"],
    &["reactor", "resp", "cow", "dict", "collections", "rdb"],
    &["types", "config"],
    &[
        "db",
        "acl",
        "client",
        "pubsub",
        "blocking",
        "tracking",
        "stream",
        "persist",
        "replication",
        "cluster",
        "sentinel",
        "script",
        "http",
    ],
    &["exec"],
    &["commands"],
    &["server"],
];

/// Within a floor: who may import whom.
const BESIDE: &[(&str, &str)] = &[
    // The copy-on-write mechanism is what the structures are built on.
    ("dict", "cow"),
    ("collections", "cow"),
    // Passing over a value means checking the formats inside of its strings.
    ("rdb", "collections"),
    // db is the ground of floor 3.
    ("acl", "db"),
    ("client", "db"),
    // What a client is subscribed to is part of what is known of it.
    ("client", "pubsub"),
    // And so is what it tracks.
    ("client", "tracking"),
    ("pubsub", "db"),
    ("blocking", "db"),
    ("blocking", "client"),
    ("tracking", "db"),
    ("stream", "db"),
    ("persist", "db"),
    ("replication", "db"),
    ("cluster", "db"),
    ("sentinel", "db"),
    ("script", "db"),
    ("http", "db"),
];

/// Exceptions to the floors: (file, room it imports, reason).
const FLOOR_EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// Vendor crates and the rooms that may name them.
const VENDORS: &[(&str, &[&str])] = &[
    ("mio", &["reactor"]),
    ("slab", &["reactor"]),
    ("signal_hook", &["reactor", "sys"]),
    ("signal_hook_mio", &["reactor"]),
    ("prometheus", &["observe"]),
    ("slog", &["observe"]),
    ("slog_json", &["observe"]),
    ("nix", &["sys"]),
    ("libc", &["sys"]),
    ("tikv_jemallocator", &["sys"]),
    ("tikv_jemalloc_ctl", &["sys"]),
    ("tikv_jemalloc_sys", &["sys"]),
    ("clap", &["server"]),
    ("toml", &["config"]),
    ("toml_edit", &["config"]),
    ("serde", &["config"]),
    ("httparse", &["http"]),
    ("crc64", &["util"]),
    ("foldhash", &["util"]),
    ("rustc_apfloat", &["util"]),
    ("fast_float2", &["util", "resp"]),
    ("getrandom", &["util"]),
];

/// Exceptions to the vendors: (file, crate, reason).
const VENDOR_EXCEPTIONS: &[(&str, &str, &str)] =
    &[("reactor/accept.rs", "libc", "accept(2) names its passing errors by errno, and std has no names for them")];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// The first path segments after `crate::` in code, with their offsets; groups in braces are looked into.
fn imports(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in words(code, "crate").chain(words(code, "kvstash")) {
        let Some(rest) = code[at..].trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').strip_prefix("::")
        else {
            continue;
        };
        let start = code.len() - rest.len();
        let trimmed = rest.trim_start();
        if let Some(group) = trimmed.strip_prefix('{') {
            let mut depth = 0;
            let mut segment = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 && c == ',' {
                    found.push((start, first_name(&segment)));
                    segment.clear();
                } else {
                    segment.push(c);
                }
            }
            found.push((start, first_name(&segment)));
        } else {
            found.push((start, first_name(trimmed)));
        }
    }
    found
}

fn first_name(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn rooms_import_only_downward() {
    let mut findings = Vec::new();
    for file in source::sources() {
        let Some(room) = file.room() else { continue };
        let Some(mine) = floor(&room) else {
            findings.push(file.at(1, format!("the room {room} stands on no floor (tests/tidy/floors.rs)")));
            continue;
        };
        for (at, target) in imports(&file.code) {
            let Some(theirs) = floor(&target) else { continue };
            let allowed = target == room
                || theirs < mine
                || BESIDE.contains(&(room.as_str(), target.as_str()))
                || FLOOR_EXCEPTIONS.iter().any(|(path, to, _)| file.path.ends_with(path) && *to == target);
            if !allowed {
                let what = format!("{room} (floor {mine}) imports {target} (floor {theirs})");
                findings.push(file.at(line_of(&file.code, at), what));
            }
        }
    }
    report("imports that do not go downward", findings);
}

#[test]
fn vendor_crates_stay_in_their_rooms() {
    let mut findings = Vec::new();
    for file in source::sources() {
        let place = file.room().unwrap_or_else(|| file.path.file_name().unwrap().to_string_lossy().into_owned());
        for (vendor, rooms) in VENDORS {
            if rooms.contains(&place.as_str())
                || VENDOR_EXCEPTIONS.iter().any(|(path, name, _)| file.path.ends_with(path) && name == vendor)
            {
                continue;
            }
            for at in words(&file.code, vendor) {
                if names_a_crate(file, at, vendor) {
                    findings.push(file.at(line_of(&file.code, at), format!("{vendor} is for {rooms:?} alone")));
                }
            }
        }
    }
    report("vendor crates outside their rooms", findings);
}

/// `mio::x` or `use mio;`, and not `crate::mio`, `self.mio` or a name of one's own.
fn names_a_crate(file: &Source, at: usize, vendor: &str) -> bool {
    let before = file.code[..at].trim_end();
    let after = &file.code[at + vendor.len()..];
    let path_start = after.starts_with("::") && (!before.ends_with("::") || before.ends_with("(::"));
    let imported = before.ends_with("use") || (before.ends_with("extern crate"));
    path_start || imported
}

#[test]
fn exceptions_have_files() {
    let named = FLOOR_EXCEPTIONS.iter().chain(VENDOR_EXCEPTIONS).map(|(path, _, reason)| (path, reason));
    let findings = named
        .filter(|(path, reason)| !source::root().join("src").join(path).exists() || reason.is_empty())
        .map(|(path, _)| format!("src/{path}: no such file, or no reason"))
        .collect();
    report("stale exceptions", findings);
}

#[test]
fn imports_are_found() {
    let code = "use crate::db::Key; fn f() { crate::exec::run() } use crate::{types, config::{a, b}, util::num};";
    let names: Vec<String> = imports(code).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["db", "exec", "types", "config", "util"]);
}
