//! Reads redis.conf syntax: one directive a line, its arguments quoted as in redis-cli, `#` for comments.
//!
//! The command line is read by the same code: `--port 7000 --save ""` is the text of two lines.
//!
//! `include` reads other files in place, with wildcards; relative names are relative to the working directory, as in
//! Redis. A file that includes itself is stopped at a depth that nobody needs.

use super::error::{ConfigError, Source};
use super::load::Loader;
use super::special::os_text;
use super::{RenamedCommand, files, rows};
use crate::util::quote;
use std::path::Path;

/// How deep `include` may go.
const INCLUDE_DEPTH_MAX: usize = 16;

/// Directives of Redis's past that its current versions read and ignore.
const FORGOTTEN: [&str; 2] = ["list-max-ziplist-entries", "list-max-ziplist-value"];

impl Loader {
    /// Reads all of `text`.
    pub(super) fn read(&mut self, source: &Source, text: &[u8], depth: usize) -> Result<(), ConfigError> {
        for (index, line) in text.split(|&b| b == b'\n').enumerate() {
            let line = trim(line);
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let place =
                |why: String| ConfigError { source: source.clone(), line: Some(index + 1), text: redacted(line), why };
            let Some(words) = quote::split_args(line) else {
                return Err(place("Unbalanced quotes in configuration line".to_owned()));
            };
            let Some((name, args)) = words.split_first() else { continue };
            if name.eq_ignore_ascii_case(b"include") && args.len() == 1 {
                self.include(&args[0], depth, &place)?;
                continue;
            }
            match rows::find(name) {
                Some(row) => {
                    self.config.take_line(row, &self.located(row, args)).map_err(place)?;
                    self.note(row, place(String::new()));
                }
                None => self.directive(name, args).map_err(place)?,
            }
        }
        Ok(())
    }

    /// What is not a parameter.
    fn directive(&mut self, name: &[u8], args: &[Vec<u8>]) -> Result<(), String> {
        match name.to_ascii_lowercase().as_slice() {
            b"rename-command" => {
                let [from, to] = args else { return Err("wrong number of arguments".to_owned()) };
                let text = |word: &Vec<u8>| String::from_utf8_lossy(word).into_owned();
                self.config.renamed_commands.push(RenamedCommand { from: text(from), to: text(to) });
                Ok(())
            }
            b"user" if is_open_default_user(args) => Ok(()),
            b"user" if args.len() >= 2 => Err("not supported yet: this server does not have ACL users".to_owned()),
            b"loadmodule" if !args.is_empty() => Err("modules are not supported".to_owned()),
            b"sentinel" => Err("sentinel directive while not in sentinel mode".to_owned()),
            name if args.len() == 1 && FORGOTTEN.iter().any(|f| f.as_bytes() == name) => Ok(()),
            _ => Err("Bad directive or wrong number of arguments".to_owned()),
        }
    }

    fn include(
        &mut self,
        pattern: &[u8],
        depth: usize,
        place: &dyn Fn(String) -> ConfigError,
    ) -> Result<(), ConfigError> {
        if depth >= INCLUDE_DEPTH_MAX {
            return Err(place("files include each other too deeply".to_owned()));
        }
        for path in files::expand(&self.start_dir, pattern) {
            self.read_file(&path, depth + 1)?;
        }
        Ok(())
    }

    /// Reads a file of classic syntax.
    pub(super) fn read_file(&mut self, path: &Path, depth: usize) -> Result<(), ConfigError> {
        let source = Source::File(path.to_owned());
        match std::fs::read(path) {
            Ok(text) => self.read(&source, &text, depth),
            Err(error) => Err(ConfigError::unreadable(source, os_text(&error))),
        }
    }
}

/// A line without the blanks around it.
pub(super) fn trim(line: &[u8]) -> &[u8] {
    let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n');
    let start = line.iter().position(|b| !blank(b)).unwrap_or(line.len());
    let end = line.iter().rposition(|b| !blank(b)).map_or(start, |last| last + 1);
    &line[start..end]
}

/// The line for a message: a secret's value is left out.
fn redacted(line: &[u8]) -> String {
    let name_end = line.iter().position(|b| b.is_ascii_whitespace()).unwrap_or(line.len());
    match rows::find(&line[..name_end]) {
        Some(row) if row.is(super::Flags::SENSITIVE) => format!("{} (redacted)", row.name()),
        _ => String::from_utf8_lossy(line).into_owned(),
    }
}

/// Whether the rule is the one that real Redis writes for a default user who may do everything: what is so here
/// anyway.
fn is_open_default_user(args: &[Vec<u8>]) -> bool {
    const OPEN: [&[u8]; 9] =
        [b"on", b"nopass", b"sanitize-payload", b"~*", b"&*", b"+@all", b"allkeys", b"allchannels", b"allcommands"];
    matches!(args.split_first(), Some((name, rules)) if name.as_slice() == b"default"
        && rules.iter().any(|r| r.as_slice() == b"nopass")
        && rules.iter().all(|r| OPEN.contains(&r.as_slice())))
}
