//! What code may not say, and how long a file may be.

use crate::report;
use crate::source::{self, files, line_of, read, words};

/// Rooms with `unsafe` in them. Each block there says `// SAFETY:`.
const UNSAFE_ROOMS: [&str; 5] = ["cow", "dict", "collections", "sys", "script"];

/// Longer than this is for splitting.
const LINES_MAX: usize = 900;

/// Longer than [`LINES_MAX`] for a reason: (file, reason).
const LONG_FILES: &[(&str, &str)] = &[];

#[test]
fn no_unwrap_outside_tests() {
    let mut findings = Vec::new();
    for file in source::sources() {
        for (at, _) in file.code.match_indices(".unwrap()") {
            findings.push(file.at(line_of(&file.code, at), "unwrap(): say with expect(\"..\") why it cannot happen"));
        }
    }
    report("unwrap outside tests", findings);
}

#[test]
fn no_stubs() {
    let mut findings = Vec::new();
    for file in source::sources() {
        for word in ["todo", "unimplemented", "dbg"] {
            for at in words(&file.code, word).filter(|&at| file.code[at + word.len()..].starts_with('!')) {
                findings.push(file.at(line_of(&file.code, at), format!("{word}!")));
            }
        }
        for (i, line) in file.text.lines().enumerate() {
            if ["TODO", "FIXME", "XXX", "HACK"].iter().any(|word| words(line, word).next().is_some()) {
                findings.push(file.at(i + 1, "a note to self: do it, or file it"));
            }
        }
    }
    report("stubs", findings);
}

#[test]
fn unsafe_stays_in_five_rooms_and_says_why() {
    let mut findings = Vec::new();
    for file in source::sources() {
        let room = file.room().unwrap_or_default();
        let lines: Vec<&str> = file.text.lines().collect();
        for at in words(&file.bare, "unsafe") {
            let line = line_of(&file.bare, at);
            if !UNSAFE_ROOMS.contains(&room.as_str()) {
                findings.push(file.at(line, "unsafe outside cow/ dict/ collections/ sys/ script/"));
                continue;
            }
            // A block, or an impl of an unsafe trait, is explained just above; an unsafe fn has a # Safety section.
            let after = file.bare[at + "unsafe".len()..].trim_start();
            if after.starts_with('{') || after.starts_with("impl") {
                let explained = lines[line.saturating_sub(8)..line].iter().any(|l| l.contains("SAFETY:"));
                if !explained {
                    findings.push(file.at(line, "unsafe without a // SAFETY: above it"));
                }
            }
        }
    }
    report("unsafe", findings);
}

#[test]
fn allow_says_why() {
    let mut findings = Vec::new();
    for file in source::sources() {
        let lines: Vec<&str> = file.text.lines().collect();
        for (i, line) in lines.iter().enumerate() {
            let trimmed = line.trim_start();
            if (trimmed.starts_with("#[allow(") || trimmed.starts_with("#![allow(")) && !trimmed.contains("unsafe_code")
            {
                let reasoned = trimmed.contains("reason") || trimmed.contains("//");
                let above = i.checked_sub(1).is_some_and(|j| lines[j].trim_start().starts_with("//"));
                if !reasoned && !above {
                    findings.push(file.at(i + 1, "allow without a reason"));
                }
            }
        }
    }
    report("allow attributes without a reason", findings);
}

#[test]
fn files_are_of_a_size_to_read() {
    let mut findings = Vec::new();
    for folder in ["src", "tests", "tools"] {
        for path in files(folder, &[".rs", ".py"]) {
            let lines = read(&path).lines().count();
            if lines > LINES_MAX && !LONG_FILES.iter().any(|(long, _)| path.ends_with(long)) {
                findings.push(format!("{}: {lines} lines (at most {LINES_MAX})", path.display()));
            }
        }
    }
    report("files too long", findings);
}

/// One word per thing: the table of names in docs/ARCHITECTURE.md.
#[test]
fn names_follow_the_table() {
    let mut findings = Vec::new();
    for file in source::sources() {
        for kind in ["struct", "enum", "trait"] {
            for at in words(&file.code, kind) {
                let name: String =
                    file.code[at + kind.len()..].trim_start().chars().take_while(|c| c.is_alphanumeric()).collect();
                if ["Manager", "Helper", "Util", "Utils"].iter().any(|end| name.ends_with(end)) {
                    findings.push(file.at(line_of(&file.code, at), format!("{kind} {name}: name it by what it is")));
                }
            }
        }
        // Primary and replica; the wire's own words are string constants, which are blanked here. A field of the
        // configuration is named as its parameter is.
        if file.room().as_deref() == Some("config") {
            continue;
        }
        let lower = file.code.to_lowercase();
        for word in ["master", "slave"] {
            for (at, _) in lower.match_indices(word) {
                findings.push(file.at(line_of(&lower, at), format!("{word}: kvstash says primary and replica")));
            }
        }
    }
    report("names", findings);
}
