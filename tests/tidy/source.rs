//! The repository's files, and Rust text with everything blanked that is not code.
//!
//! Blanking keeps line numbers: comments, string and character literals become blanks, and so do items under
//! `#[cfg(test)]` in [`Source::code`]. A rule that looks for `unwrap()` then cannot stumble over a doc comment.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The repository: this package is two folders below it.
pub fn root() -> &'static Path {
    const HERE: &str = env!("CARGO_MANIFEST_DIR");
    Path::new(HERE).ancestors().nth(2).expect("tests/tidy is in the repository")
}

/// Files below `folder` with one of these endings, by path from the root.
pub fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && name != ".git" {
                    folders.push(path);
                }
            } else if endings.iter().any(|e| name.ends_with(e)) {
                found.push(path.strip_prefix(root()).unwrap().to_path_buf());
            }
        }
    }
    found.sort();
    found
}

pub fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_default()
}

/// A Rust file.
pub struct Source {
    pub path: PathBuf,
    pub text: String,
    /// Without comments and literals.
    pub bare: String,
    /// Without these and without test items.
    pub code: String,
}

impl Source {
    pub fn load(path: PathBuf) -> Source {
        let text = read(&path);
        let bare = blank_text(&text);
        let is_test = path.file_name().is_some_and(|name| name == "tests.rs");
        let code = if is_test { "\n".repeat(text.lines().count()) } else { blank_tests(&bare) };
        Source { path, text, bare, code }
    }

    /// The room this file of src/ is in; none for main.rs and lib.rs.
    pub fn room(&self) -> Option<String> {
        let mut parts = self.path.iter().skip(1);
        let first = parts.next()?.to_string_lossy().into_owned();
        parts.next().is_some().then_some(first)
    }

    /// The string literals outside of comments and test items, with the offset of their opening quote.
    pub fn literals(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_code = |at: usize| self.tests_end(at).is_none();
        let mut at = 0;
        std::iter::from_fn(move || {
            loop {
                let open = at + self.text.get(at..)?.find(['"', '/', '\''])?;
                let rest = &self.text[open..];
                if rest.starts_with("//") {
                    at = open + rest.find('\n').unwrap_or(rest.len());
                } else if let Some(inside) = rest.strip_prefix('"') {
                    let mut end = 0;
                    while let Some(byte) = inside.as_bytes().get(end).filter(|byte| **byte != b'"') {
                        end += if *byte == b'\\' { 2 } else { 1 };
                    }
                    let end = end.min(inside.len());
                    at = open + 1 + end + 1;
                    if is_code(open) {
                        return Some((open, &inside[..end]));
                    }
                } else if rest.starts_with("'\"'") {
                    at = open + 3;
                } else {
                    at = open + 1;
                }
            }
        })
    }

    /// The end of the test item that `at` lies in, if it lies in one.
    fn tests_end(&self, at: usize) -> Option<usize> {
        test_items(&self.bare).find(|item| item.contains(&at)).map(|item| item.end)
    }

    pub fn at(&self, line: usize, what: impl std::fmt::Display) -> String {
        format!("{}:{line}: {what}", self.path.display())
    }
}

/// All Rust files of src/, read once.
pub fn sources() -> &'static [Source] {
    static ALL: OnceLock<Vec<Source>> = OnceLock::new();
    ALL.get_or_init(|| files("src", &[".rs"]).into_iter().map(Source::load).collect())
}

/// The line number of a byte offset.
pub fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

/// Offsets of `word` where it stands alone, not as a part of a longer name.
pub fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_name = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    text.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let before = at.checked_sub(1).and_then(|i| text.as_bytes().get(i));
        !is_name(before) && !is_name(text.as_bytes().get(at + word.len()))
    })
}

fn blank_text(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let blank = |out: &mut Vec<u8>, from: usize, to: usize| {
        for byte in &mut out[from..to.min(bytes.len())] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    };
    let mut i = 0;
    while i < bytes.len() {
        let rest = &bytes[i..];
        if rest.starts_with(b"//") {
            let end = rest.iter().position(|&b| b == b'\n').map_or(bytes.len(), |n| i + n);
            blank(&mut out, i, end);
            i = end;
        } else if rest.starts_with(b"/*") {
            let mut depth = 0;
            let start = i;
            while i < bytes.len() {
                if bytes[i..].starts_with(b"/*") {
                    depth += 1;
                    i += 2;
                } else if bytes[i..].starts_with(b"*/") {
                    depth -= 1;
                    i += 2;
                    if depth == 0 {
                        break;
                    }
                } else {
                    i += 1;
                }
            }
            blank(&mut out, start, i);
        } else if let Some(hashes) = raw_string(bytes, i) {
            let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
            let open = i + bytes[i..].iter().position(|&b| b == b'"').unwrap() + 1;
            let end = find(bytes, open, &close).map_or(bytes.len(), |n| n + close.len());
            blank(&mut out, i, end);
            i = end;
        } else if bytes[i] == b'"' {
            let mut end = i + 1;
            while end < bytes.len() && bytes[end] != b'"' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            blank(&mut out, i, end + 1);
            i = end + 1;
        } else if bytes[i] == b'\'' {
            // A character literal, unless it is a lifetime.
            let len = match rest.get(1) {
                Some(b'\\') => rest.iter().skip(3).position(|&b| b == b'\'').map(|n| n + 4),
                Some(_) => {
                    (2..=5).find(|&n| rest.get(n) == Some(&b'\'')).filter(|&n| n == 2 || rest[1] >= 0x80).map(|n| n + 1)
                }
                None => None,
            };
            let len = len.unwrap_or(1);
            if len > 1 {
                blank(&mut out, i, i + len);
            }
            i += len;
        } else {
            i += 1;
        }
    }
    String::from_utf8(out).expect("blanked at character borders")
}

/// The number of `#` of a raw string that starts here.
fn raw_string(bytes: &[u8], at: usize) -> Option<usize> {
    let before = at.checked_sub(1).map(|i| bytes[i]);
    if before.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return None;
    }
    let rest = &bytes[at..];
    let rest = rest.strip_prefix(b"br").or_else(|| rest.strip_prefix(b"r"))?;
    let hashes = rest.iter().take_while(|&&b| b == b'#').count();
    (rest.get(hashes) == Some(&b'"')).then_some(hashes)
}

fn find(bytes: &[u8], from: usize, needle: &[u8]) -> Option<usize> {
    bytes[from..].windows(needle.len()).position(|w| w == needle).map(|n| n + from)
}

/// The items under `#[cfg(test)]`.
fn test_items(bare: &str) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    bare.match_indices("#[cfg(test)]").map(|(at, _)| {
        // The item ends with its braces, or with a semicolon before any.
        let rest = &bare[at..];
        let mut depth = 0usize;
        let mut end = rest.len();
        for (i, c) in rest.char_indices().skip("#[cfg(test)]".len()) {
            match c {
                '{' => depth += 1,
                '}' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        end = i + 1;
                        break;
                    }
                }
                ';' if depth == 0 => {
                    end = i + 1;
                    break;
                }
                _ => {}
            }
        }
        at..at + end
    })
}

fn blank_tests(bare: &str) -> String {
    let mut out = bare.as_bytes().to_vec();
    for item in test_items(bare) {
        for byte in &mut out[item] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    String::from_utf8(out).expect("blanked at character borders")
}

#[test]
fn blanking_keeps_code_and_lines() {
    let text = "a(); // unwrap()\nlet s = \"unwrap()\\\"\"; let c = '\"'; let l: &'a str = r#\"x\"y\"#;\nb();\n#[cfg(test)]\nmod tests {\n  fn t() { x.unwrap() }\n}\nc();\n";
    let bare = blank_text(text);
    let code = blank_tests(&bare);
    assert_eq!(text.lines().count(), code.lines().count());
    assert!(!code.contains("unwrap") && code.contains("a();") && code.contains("b();") && code.contains("c();"));
    assert!(bare.contains("x.unwrap()") && bare.contains("&'a str"));
    assert_eq!(words("unwrap unwrap_or my_unwrap", "unwrap").count(), 1);
}
