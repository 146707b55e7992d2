//! What the configuration wants of the file system: the files that a pattern names.

use crate::util::glob;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

fn has_wildcard(part: &[u8]) -> bool {
    part.iter().any(|b| matches!(b, b'*' | b'?' | b'['))
}

/// The files that `pattern` names, in alphabetic order; a relative one is looked for in `start`. Without wildcards it is
/// the name itself, existing or not; with wildcards there may be none. A wildcard matches within one directory, and no
/// hidden names.
pub(super) fn expand(start: &Path, pattern: &[u8]) -> Vec<PathBuf> {
    if !has_wildcard(pattern) {
        return vec![start.join(OsStr::from_bytes(pattern))];
    }
    let mut found = vec![if pattern.starts_with(b"/") { PathBuf::from("/") } else { start.to_owned() }];
    for part in pattern.split(|&b| b == b'/').filter(|part| !part.is_empty()) {
        let below = |base: PathBuf| match has_wildcard(part) {
            true => matching(&base, part),
            false => vec![base.join(OsStr::from_bytes(part))],
        };
        found = found.into_iter().flat_map(below).collect();
    }
    found.retain(|path| path.exists());
    found
}

/// The entries of a directory that match.
fn matching(base: &Path, pattern: &[u8]) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(base) else { return Vec::new() };
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    let mut names: Vec<_> = names
        .filter(|name| pattern.starts_with(b".") || !name.as_bytes().starts_with(b"."))
        .filter(|name| glob::matches(pattern, name.as_bytes(), false))
        .collect();
    names.sort();
    names.into_iter().map(|name| base.join(name)).collect()
}
