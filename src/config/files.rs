//! What the configuration wants of the file system: the files that a pattern names, to replace a file so that at every
//! moment there is either the old one or the new one, and to notice one that somebody else did not write to its end.

use crate::util::glob;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Permissions of a file that was not there: there may be passwords in it.
const MODE_NEW: u32 = 0o600;

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
    let Ok(entries) = fs::read_dir(base) else { return Vec::new() };
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    let mut names: Vec<_> = names
        .filter(|name| pattern.starts_with(b".") || !name.as_bytes().starts_with(b"."))
        .filter(|name| glob::matches(pattern, name.as_bytes(), false))
        .collect();
    names.sort();
    names.into_iter().map(|name| base.join(name)).collect()
}

/// Replaces the contents of a file: all of it or nothing, also across a loss of power. The file keeps its permissions,
/// and a symbolic link stays one.
pub(super) fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mode = fs::metadata(&path).map_or(MODE_NEW, |old| old.permissions().mode() & 0o7777);
    let mut temporary = path.clone().into_os_string();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let write = || -> io::Result<()> {
        let _ = fs::remove_file(&temporary); // what a process of the same number has left, or a link of somebody's
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(contents)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&temporary, &path)
    };
    if let Err(error) = write() {
        // What is left of the attempt is of no use to anybody; that it cannot be removed either is not the news.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => File::open(dir)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// What is remembered of a file's text, to tell next time whether it was written to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    bytes: usize,
    /// Lines that are neither blank nor comments.
    lines: usize,
    ends_its_last_line: bool,
}

impl Shape {
    pub(super) fn of(text: &[u8]) -> Shape {
        let says_something = |line: &&[u8]| line.trim_ascii().first().is_some_and(|&first| first != b'#');
        let lines = text.split(|&b| b == b'\n').filter(says_something).count();
        Shape { bytes: text.len(), lines, ends_its_last_line: text.ends_with(b"\n") }
    }

    /// Why it cannot be believed that somebody meant to write this, if so.
    pub(super) fn is_torn(self, before: &Shape) -> Option<String> {
        if self.lines == 0 && before.lines > 0 {
            return Some(format!(
                "the file says nothing any more, and had {} lines: was it written to its end?",
                before.lines
            ));
        }
        if !self.ends_its_last_line && before.ends_its_last_line && self.bytes < before.bytes && before.lines > 0 {
            return Some(
                "the file is shorter than it was and its last line has no end: was it written to its end?".to_owned(),
            );
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::scratch::Scratch;

    #[test]
    fn patterns_name_files_in_order() {
        let dir = Scratch::new("expand");
        for name in ["b.conf", "a.conf", ".hidden.conf", "c.txt"] {
            dir.write(name, "");
        }
        fs::create_dir(dir.path().join("sub")).unwrap();
        dir.write("sub/d.conf", "");
        let names = |pattern: &str| -> Vec<String> {
            let strip = |path: PathBuf| path.strip_prefix(dir.path()).unwrap().display().to_string();
            expand(dir.path(), pattern.as_bytes()).into_iter().map(strip).collect()
        };
        assert_eq!(names("*.conf"), ["a.conf", "b.conf"]);
        assert_eq!(names("s*/*.conf"), ["sub/d.conf"]);
        assert_eq!(names("*/*.conf"), ["sub/d.conf"]);
        assert_eq!(names("[bc].*"), ["b.conf", "c.txt"]);
        assert_eq!(names("nope*"), [""; 0]);
        assert_eq!(names("nope.conf"), ["nope.conf"]);
        let absolute = format!("{}/*.txt", dir.path().display());
        assert_eq!(names(&absolute), ["c.txt"]);
    }

    #[test]
    fn a_replaced_file_keeps_permissions_and_links() {
        let dir = Scratch::new("replace");
        dir.write("real.conf", "old");
        let (real, link) = (dir.path().join("real.conf"), dir.path().join("link.conf"));
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        replace(&link, b"new").unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"new");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o7777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().file_type().is_symlink());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left behind");
        assert!(replace(&dir.path().join("no/such/dir.conf"), b"x").is_err());
    }
}
