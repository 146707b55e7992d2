//! Headers, headings, forgotten files.

use crate::report;
use crate::source::{self, files, read};

const HEADINGS: [&str; 4] = ["What this is", "What it never does", "Map", "Read first"];

#[test]
fn every_room_says_what_it_is() {
    let mut findings = Vec::new();
    for file in source::sources() {
        let is_room = file.path.iter().count() == 3 && file.path.ends_with("mod.rs");
        if !is_room {
            continue;
        }
        let header: String = file.text.lines().take_while(|l| l.starts_with("//!")).collect::<Vec<_>>().join("\n");
        for heading in HEADINGS {
            if !header.lines().any(|l| l.trim_start_matches("//!").trim().trim_start_matches('#').trim() == heading) {
                findings.push(file.at(1, format!("no heading \"{heading}\"")));
            }
        }
    }
    report("rooms without their four headings", findings);
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    let mut findings = Vec::new();
    for folder in ["src", "tests", "tools", "benches", "examples"] {
        for path in files(folder, &[".rs"]) {
            let text = read(&path);
            let first = text.lines().next().unwrap_or("");
            if !first.starts_with("//! ") || first.len() < 10 {
                findings.push(format!("{}:1: {first:?} is no header", path.display()));
            }
        }
    }
    for path in files("tools", &[".py", ".sh"]) {
        let text = read(&path);
        let second = text.lines().nth(1).unwrap_or("");
        if !second.starts_with("# ") && !second.starts_with("\"\"\"") {
            findings.push(format!("{}:2: {second:?} is no header", path.display()));
        }
    }
    report("files without a header", findings);
}

/// A file nobody declares is not compiled, and nobody notices.
#[test]
fn no_file_is_forgotten() {
    let all = source::sources();
    let mut findings = Vec::new();
    for file in all {
        let stem = file.path.file_stem().unwrap().to_string_lossy().into_owned();
        let folder = file.path.parent().unwrap();
        if folder.ends_with("src") && (stem == "main" || stem == "lib") {
            continue;
        }
        // mod.rs is declared one level up, by the name of its folder.
        let (name, folder) = if stem == "mod" {
            (folder.file_name().unwrap().to_string_lossy().into_owned(), folder.parent().unwrap())
        } else {
            (stem, folder)
        };
        let mut parents = vec![folder.join("mod.rs"), folder.join("lib.rs"), folder.join("main.rs")];
        parents.push(folder.with_extension("rs"));
        let declared = all
            .iter()
            .filter(|f| parents.contains(&f.path))
            .any(|f| f.bare.contains(&format!("mod {name};")) || f.text.contains(&format!("\"{name}.rs\"")));
        if !declared {
            findings.push(file.at(1, "no `mod` line declares this file"));
        }
    }
    report("files nobody compiles", findings);
}
