//! Reads redis.conf syntax: one directive a line, its arguments quoted as in redis-cli, `#` for comments.
//!
//! The command line is read by the same code: `--port 7000 --save ""` is the text of two lines.
//!
//! `include` reads other files in place, with wildcards; relative names are relative to the working directory, as in
//! Redis. A file that includes itself is stopped at a depth that nobody needs.

use super::error::{ConfigError, Place, Source};
use super::load::Loader;
use super::{RenamedCommand, files, rows, shown};
use crate::sys::disk::os_text;
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
            if line.contains(&0) {
                let place = Place { source: source.clone(), line: index + 1, text: shown::REDACTED.to_owned() };
                return Err(place.error("there is a NUL in it: this is no text, or it was not written to its end"));
            }
            let line = trim(line);
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let place = Place { source: source.clone(), line: index + 1, text: shown::directive(line) };
            let Some(words) = quote::split_args(line) else {
                return Err(place.error("Unbalanced quotes in configuration line"));
            };
            let Some((name, args)) = words.split_first() else { continue };
            if name.eq_ignore_ascii_case(b"include") && args.len() == 1 {
                self.include(&args[0], depth, &place)?;
                continue;
            }
            match rows::find(name) {
                Some(row) => {
                    self.config.take_line(row, &self.located(row, args)).map_err(|why| place.error(why))?;
                    self.note(row, place);
                }
                None => self.directive(name, args, &place).map_err(|why| place.error(why))?,
            }
        }
        Ok(())
    }

    /// What is not a parameter.
    fn directive(&mut self, name: &[u8], args: &[Vec<u8>], place: &Place) -> Result<(), String> {
        match name.to_ascii_lowercase().as_slice() {
            b"rename-command" => {
                let [from, to] = args else { return Err("wrong number of arguments".to_owned()) };
                self.rename(RenamedCommand { from: from.clone(), to: to.clone() }, place.clone());
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

    fn include(&mut self, pattern: &[u8], depth: usize, place: &Place) -> Result<(), ConfigError> {
        if depth >= INCLUDE_DEPTH_MAX {
            return Err(place.error("files include each other too deeply"));
        }
        for path in files::expand(&self.start_dir, pattern) {
            self.read_file(&path, depth + 1)?;
        }
        Ok(())
    }

    /// Reads a file of classic syntax.
    pub(super) fn read_file(&mut self, path: &Path, depth: usize) -> Result<(), ConfigError> {
        let source = Source::File(path.to_owned());
        match self.contents(path, depth) {
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

/// Whether the rule is the one that real Redis writes for a default user who may do everything: what is so here
/// anyway.
fn is_open_default_user(args: &[Vec<u8>]) -> bool {
    const OPEN: [&[u8]; 9] =
        [b"on", b"nopass", b"sanitize-payload", b"~*", b"&*", b"+@all", b"allkeys", b"allchannels", b"allcommands"];
    matches!(args.split_first(), Some((name, rules)) if name.as_slice() == b"default"
        && rules.iter().any(|r| r.as_slice() == b"nopass")
        && rules.iter().all(|r| OPEN.contains(&r.as_slice())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::scratch::Scratch;
    use crate::config::{Config, Row};

    fn read(text: &[u8]) -> Result<Config, ConfigError> {
        let mut loader = Loader::new(Path::new("/"));
        loader.read(&Source::Stdin, text, 0)?;
        Ok(loader.config)
    }

    fn value(config: &Config, name: &str) -> String {
        let row: &Row = rows::find(name.as_bytes()).unwrap();
        String::from_utf8_lossy(&row.value(config)).into_owned()
    }

    /// What a file with this one line is refused for.
    fn why(line: &str) -> String {
        match read(format!("# first\n{line}\n").as_bytes()) {
            Ok(_) => "fine".to_owned(),
            Err(error) => {
                assert_eq!(error.line, Some(2), "{line}");
                error.why
            }
        }
    }

    #[test]
    fn lines() {
        let text = b"# comment\r\n\r\n  hz 20  \r\n\t# another\nTIMEOUT \"5\"\nbind 127.0.0.1 '::1'\n\
            requirepass \"a\\x41\\n\\\"\"\nsave\t60 1\nmaxmemory 1gb";
        let config = read(text).unwrap();
        for (name, expected) in [
            ("hz", "20"),
            ("timeout", "5"),
            ("bind", "127.0.0.1 ::1"),
            ("requirepass", "aA\n\""),
            ("save", "60 1"),
            ("maxmemory", "1073741824"),
        ] {
            assert_eq!(value(&config, name), expected, "{name}");
        }
    }

    #[test]
    fn reasons() {
        let bad = "Bad directive or wrong number of arguments";
        let wrong = "wrong number of arguments";
        for (line, expected) in [
            ("port", wrong),
            ("port 1 2", wrong),
            ("requirepass a b", wrong),
            ("maxmemory 1 2", wrong),
            ("loglevel", wrong),
            ("notify-keyspace-events", wrong),
            ("oom-score-adj-values 1 2", wrong),
            ("replicaof", wrong),
            ("replicaof a", wrong),
            ("slaveof a 1 2", wrong),
            ("replicaof a x", "Invalid master port"),
            ("replicaof a 99999", "Invalid master port"),
            ("nope", bad),
            ("nope 1", bad),
            ("nope 1 2", bad),
            ("\"\"", bad),
            ("include", bad),
            ("user", bad),
            ("loadmodule", bad),
            ("list-max-ziplist-value", bad),
            ("gopher-enabled yes", bad),
            ("save 60", "Invalid save parameters"),
            ("save 60 1 2", "Invalid save parameters"),
            ("port \"0", "Unbalanced quotes in configuration line"),
            ("port \"0\"x", "Unbalanced quotes in configuration line"),
            ("port zzz", "argument couldn't be parsed into an integer"),
            ("unixsocketperm 888", "argument couldn't be parsed as an octal number"),
            ("unixsocketperm 1000", "argument must be between 0 and 777 inclusive"),
            ("unixsocketperm -1", "argument must be greater or equal to 0"),
            ("client-output-buffer-limit normal 1 2", "Wrong number of arguments in buffer limit configuration."),
            ("appendfilename \"\"", "appendfilename can't be empty"),
            ("appenddirname a/b", "appenddirname can't be a path, just a dirname"),
            ("dir /nope", "No such file or directory"),
            ("dir \"\"", "No such file or directory"),
            ("sentinel monitor a", "sentinel directive while not in sentinel mode"),
            ("shutdown-on-sigterm", "argument(s) must be one of the following: default, save, nosave, now, force"),
            ("redis-version 8", "argument must be a version of three numbers, like 7.4.2"),
        ] {
            assert_eq!(why(line), expected, "{line}");
        }
        for line in [
            "save",
            "save \"\"",
            "bind",
            "bind \"\"",
            "bind a b",
            "client-output-buffer-limit",
            "client-output-buffer-limit normal 1 2 3 slave 1 2 3",
            "latency-tracking-info-percentiles",
            "latency-tracking-info-percentiles 1 2",
            "shutdown-on-sigterm now force",
            "unixsocketperm 0777",
            "port \"\\x30\"",
            "rename-command FLUSHALL \"\"",
            "io-threads-do-reads yes",
            "sanitize-dump-payload clients",
        ] {
            assert_eq!(why(line), "fine", "{line}");
        }
    }

    #[test]
    fn commands_are_renamed_in_order() {
        let config = read(b"rename-command CONFIG secret\nrename-command flushall \"\"\n").unwrap();
        let renamed: Vec<_> = config.renamed_commands.iter().map(|r| (&r.from[..], &r.to[..])).collect();
        assert_eq!(renamed, [(&b"CONFIG"[..], &b"secret"[..]), (b"flushall", b"")]);
    }

    #[test]
    fn files_include_others_in_place() {
        let dir = Scratch::new("include");
        let main = dir.write("main.conf", "hz 20\ninclude parts/*.conf\ninclude none*.conf\ntimeout 7\n");
        std::fs::create_dir(dir.path().join("parts")).unwrap();
        dir.write("parts/1.conf", "hz 30\ntimeout 5\n");
        dir.write("parts/2.conf", "hz 40\n");
        let mut loader = Loader::new(dir.path());
        loader.read_file(&main, 0).unwrap();
        assert_eq!((value(&loader.config, "hz"), value(&loader.config, "timeout")), ("40".into(), "7".into()));
        // An error is in the file that has it.
        let part = dir.write("parts/2.conf", "\n\nhz x\n");
        let error = Loader::new(dir.path()).read_file(&main, 0).unwrap_err();
        assert_eq!((error.source, error.line), (Source::File(part), Some(3)));
        // Missing without a wildcard, and going round in circles.
        dir.write("main.conf", "include missing.conf\n");
        let error = Loader::new(dir.path()).read_file(&main, 0).unwrap_err();
        assert_eq!((error.line, error.why.as_str()), (None, "No such file or directory"));
        dir.write("main.conf", "include main.conf\n");
        let error = Loader::new(dir.path()).read_file(&main, 0).unwrap_err();
        assert_eq!(error.why, "files include each other too deeply");
    }
}
