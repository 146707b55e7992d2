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
    // Pieces of long strings are blocks that are counted by hand.
    ("util", "sys"),
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
    // What is too much of the stream for memory goes to the disk.
    ("persist", "stream"),
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
    ("mlua", &["script"]),
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

/// Modules of `sys` that touch the world: between floors 3 and 6 the world is asked through the host, so that a simulation
/// can be one. Their traits and plain values may be named, the real ones may not.
const ASKED_OF_THE_HOST: [&str; 7] = ["clock", "files", "process", "signals", "sockets", "supervisor", "disk"];

/// The same of the standard library.
const ASKED_OF_THE_HOST_STD: [&str; 4] = ["env", "fs", "net", "process"];

/// Exceptions to that: (file, module, reason).
const HOST_EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("exec/load.rs", "disk", "DEBUG RELOAD reads the file that was just saved"),
    ("exec/testing.rs", "disk", "an instance for unit tests"),
];

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

/// What is named below `module::` in code, with its offset: `a::B` and `a::c` of `sys::{a::{B, c}}`.
fn named_below(code: &str, module: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in words(code, module) {
        if let Some(rest) = code[at + module.len()..].strip_prefix("::") {
            collect(at, "", rest, &mut found);
        }
    }
    found
}

/// One path, or a group of them; returns what follows.
fn collect<'c>(at: usize, before: &str, rest: &'c str, found: &mut Vec<(usize, String)>) -> &'c str {
    let rest = rest.trim_start();
    if let Some(mut rest) = rest.strip_prefix('{') {
        loop {
            rest = rest.trim_start();
            match rest.as_bytes().first() {
                Some(b',') => rest = &rest[1..],
                Some(b'}') => return &rest[1..],
                None => return rest,
                Some(_) => {
                    let behind = collect(at, before, rest, found);
                    if behind.len() == rest.len() {
                        return rest; // that is no list of names
                    }
                    rest = behind;
                }
            }
        }
    }
    let name = first_name(rest);
    let path = if before.is_empty() { name.clone() } else { format!("{before}::{name}") };
    let behind = &rest[name.len()..];
    match behind.strip_prefix("::") {
        Some(inner) => collect(at, &path, inner, found),
        None => {
            found.push((at, path));
            behind
        }
    }
}

/// A module, or something in it that is not a trait or a plain value.
fn is_the_world(path: &str, modules: &[&str]) -> bool {
    let mut parts = path.split("::");
    let module = parts.next().unwrap_or_default();
    let item = parts.next().unwrap_or("self");
    modules.contains(&module) && (!item.starts_with(char::is_uppercase) || item.starts_with("Real"))
}

#[test]
fn the_world_is_asked_through_the_host() {
    let mut findings = Vec::new();
    for file in source::sources() {
        let Some(room) = file.room().filter(|room| room == "exec" || room == "commands") else { continue };
        let of_sys =
            named_below(&file.code, "sys").into_iter().filter(|(_, path)| is_the_world(path, &ASKED_OF_THE_HOST));
        let of_std = named_below(&file.code, "std");
        let of_std = of_std.into_iter().filter(|(_, path)| is_the_world(path, &ASKED_OF_THE_HOST_STD));
        for (at, path) in of_sys.chain(of_std) {
            let is_exempt = |(exempt, module, _): &(&str, &str, &str)| {
                file.path.ends_with(exempt) && path.split("::").next() == Some(*module)
            };
            if !HOST_EXCEPTIONS.iter().any(is_exempt) {
                let what = format!("{room} names {path}: ask the host (exec/ctx.rs)");
                findings.push(file.at(line_of(&file.code, at), what));
            }
        }
    }
    report("the world, not asked through the host", findings);
}

#[test]
fn names_below_a_module_are_found() {
    let code = "use crate::sys::{allocator, process::{self, CpuTime}}; fn f() { sys::clock::now(); }";
    let names: Vec<String> = named_below(code, "sys").into_iter().map(|(_, path)| path).collect();
    assert_eq!(names, ["allocator", "process::self", "process::CpuTime", "clock::now"]);
    let worldly: Vec<&String> = names.iter().filter(|path| is_the_world(path, &ASKED_OF_THE_HOST)).collect();
    assert_eq!(worldly, ["process::self", "clock::now"]);
    assert!(is_the_world("disk::RealDisk", &ASKED_OF_THE_HOST) && is_the_world("process", &ASKED_OF_THE_HOST));
}

#[test]
fn exceptions_have_files() {
    let named =
        FLOOR_EXCEPTIONS.iter().chain(VENDOR_EXCEPTIONS).chain(HOST_EXCEPTIONS).map(|(path, _, reason)| (path, reason));
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
