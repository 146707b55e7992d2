//! Documents and scripts.

use crate::report;
use crate::source::{files, read, root};
use std::path::Path;

/// Every relative link in a document leads somewhere.
#[test]
fn links_resolve() {
    let mut findings = Vec::new();
    for path in files("", &[".md"]) {
        let text = read(&path);
        let folder = root().join(path.parent().unwrap_or(Path::new("")));
        let mut fenced = false;
        for (i, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            }
            if fenced {
                continue;
            }
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let target = link.split('#').next().unwrap_or("");
                let external = link.contains("://") || link.starts_with("mailto:");
                if !external && !target.is_empty() && !folder.join(target).exists() {
                    findings.push(format!("{}:{}: {link}", path.display(), i + 1));
                }
            }
        }
    }
    report("links that lead nowhere", findings);
}

/// No file names the machine it was written on.
#[test]
fn no_machine_paths() {
    // Written in pieces, or this file would find itself.
    let places = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let mut findings = Vec::new();
    for path in files(
        "",
        &[
            ".rs",
            ".md",
            ".py",
            ".sh",
            ".toml",
            ".yml",
            ".yaml",
            "Makefile",
            "Dockerfile",
            "run",
            ".json",
            ".txt",
            ".conf",
        ],
    ) {
        for (i, line) in read(&path).lines().enumerate() {
            if places.iter().any(|place| line.contains(place)) {
                findings.push(format!("{}:{}: {}", path.display(), i + 1, line.trim()));
            }
        }
    }
    report("paths of some machine", findings);
}

#[test]
fn scripts_are_executable() {
    use std::os::unix::fs::PermissionsExt;
    let mut findings = Vec::new();
    let mut scripts = files("tools", &[".sh"]);
    scripts.extend([".ci/run", ".githooks/pre-commit"].map(Into::into));
    for path in scripts {
        let mode = std::fs::metadata(root().join(&path)).map_or(0, |m| m.permissions().mode());
        if mode & 0o100 == 0 {
            findings.push(format!("{}: not executable", path.display()));
        }
    }
    report("scripts", findings);
}

/// Lines end in a newline and not in blanks; no tabs in Rust.
#[test]
fn whitespace() {
    let mut findings = Vec::new();
    for path in files("", &[".rs", ".py", ".sh", ".toml", ".yml", ".yaml", "Makefile"]) {
        let text = read(&path);
        if !text.is_empty() && !text.ends_with('\n') {
            findings.push(format!("{}: no newline at the end", path.display()));
        }
        let rust = path.extension().is_some_and(|e| e == "rs");
        for (i, line) in text.lines().enumerate() {
            if line.ends_with([' ', '\t']) || (rust && line.contains('\t')) {
                findings.push(format!("{}:{}: trailing blank or tab", path.display(), i + 1));
            }
        }
    }
    report("whitespace", findings);
}
