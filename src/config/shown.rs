//! What a message may show of a directive: the log, standard error and replies are read by more people than the file is.
//!
//! A value is shown only where it helps and can hardly be a secret: the parameter is known, is not a secret itself and
//! does not take just any text, and the line does not mention a secret's name (two lines that lost the line end between
//! them). Everything else is shown by its name: a secret, a path, a name that nobody knows (a secret's misspelt?), a
//! line whose quotes do not close, `user` and `rename-command` lines. A lone word that is no name of ours is not shown
//! at all: it may be the second half of a password.

use super::row::{Flags, Kind, Row};
use super::rows;

/// Stands for what is not shown.
pub(super) const REDACTED: &str = "(redacted)";

/// Directives that are no parameters; only the first may be shown with its argument.
const DIRECTIVES: [&str; 5] = ["include", "user", "rename-command", "loadmodule", "sentinel"];

impl Row {
    /// Whether a message may show a value that was given for it.
    pub(super) fn is_showable(&self) -> bool {
        !self.is(Flags::SENSITIVE) && !matches!(self.spec.kind, Kind::Text(_))
    }
}

/// A line of redis.conf.
pub(super) fn directive(line: &[u8]) -> String {
    let start = usize::from(matches!(line.first(), Some(b'"' | b'\'')));
    let length = line[start..].iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')).count();
    let name = &line[start..start + length];
    let rest = &line[start + length..];
    let alone = rest.iter().all(|b| matches!(b, b'"' | b'\''));
    let row = rows::find(name);
    let includes = name.eq_ignore_ascii_case(b"include");
    let known = row.is_some() || DIRECTIVES.iter().any(|d| d.as_bytes().eq_ignore_ascii_case(name));
    if known && alone || (includes || row.is_some_and(Row::is_showable)) && !mentions_a_secret(rest) {
        return String::from_utf8_lossy(line).into_owned();
    }
    // An unknown name is shown up to a blank or a sign that follows it: a lone word, or a quoted one, may be anything.
    match known || !name.is_empty() && !alone && start == 0 {
        true => format!("{} {REDACTED}", String::from_utf8_lossy(name)),
        false => REDACTED.to_owned(),
    }
}

/// A line of a TOML file that sets `key`.
pub(super) fn setting(row: Option<&Row>, key: &str, line: &str) -> String {
    match (row.is_some_and(Row::is_showable), line.split_once('=')) {
        (true, Some((_, value))) if !mentions_a_secret(value.as_bytes()) => line.to_owned(),
        (_, None) if line.starts_with('[') && line.ends_with(']') => line.to_owned(),
        _ => format!("{key} = {REDACTED}"),
    }
}

/// A line that is no TOML: the parameter's name if it begins with one, for it may be anything.
pub(super) fn unclear(line: &str) -> String {
    let name = line.split(['=', ' ', '\t', ':']).next().unwrap_or_default();
    match rows::find(name.replace('_', "-").as_bytes()) {
        Some(_) => format!("{name} {REDACTED}"),
        None => REDACTED.to_owned(),
    }
}

/// An environment variable.
pub(super) fn variable(row: Option<&Row>, name: &str, value: &[u8]) -> String {
    match row.is_some_and(Row::is_showable) && !mentions_a_secret(value) {
        true => format!("{name}={}", String::from_utf8_lossy(value)),
        false => format!("{name}={REDACTED}"),
    }
}

/// Whether the name of a secret parameter stands in it.
fn mentions_a_secret(text: &[u8]) -> bool {
    let text = text.to_ascii_lowercase();
    let names = rows::all().iter().filter(|row| row.is(Flags::SENSITIVE));
    names.flat_map(|row| std::iter::once(&row.spec.name).chain(row.spec.aliases)).any(|name| {
        let underscored = name.replace('-', "_");
        [name.as_bytes(), underscored.as_bytes()].iter().any(|name| memchr::memmem::find(&text, name).is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::error::{ConfigError, Source};
    use crate::config::load::Loader;
    use crate::config::scratch::Scratch;
    use std::path::Path;

    #[test]
    fn what_is_shown_of_a_line() {
        for (line, shown) in [
            ("port x", "port x"),
            ("PORT \"--bla\"", "PORT \"--bla\""),
            ("port", "port"),
            ("include a.conf", "include a.conf"),
            ("requirepass", "requirepass"),
            ("requirepass a", "requirepass (redacted)"),
            ("\"requirepass\" a", "requirepass (redacted)"),
            ("'requirepass a", "requirepass (redacted)"),
            ("requirepass=a", "requirepass (redacted)"),
            ("requirepass\"a", "requirepass (redacted)"),
            ("requirepas a", "requirepas (redacted)"),
            ("hunter2", "(redacted)"),
            ("\"hunter2\"", "(redacted)"),
            (">hunter2 a", "(redacted)"),
            ("user a on >hunter2", "user (redacted)"),
            ("rename-command CONFIG hunter2", "rename-command (redacted)"),
            ("port 1requirepass a", "port (redacted)"),
            ("port 1 MASTERAUTH a", "port (redacted)"),
            ("logfile a b", "logfile (redacted)"),
            ("masteruser bob hunter2", "masteruser (redacted)"),
            ("", "(redacted)"),
        ] {
            assert_eq!(directive(line.as_bytes()), shown, "{line}");
        }
    }

    /// Every mistake that can be made about a line with a secret, in every syntax: the value is in no message.
    #[test]
    fn no_message_has_a_secret() {
        const SECRET: &str = "hunter2";
        let dir = Scratch::new("secrets");
        let mut messages = Vec::new();
        let mut check = |what: &str, result: Result<(), ConfigError>| {
            let error = result.map(|()| what.to_owned()).expect_err("a mistake");
            for text in [error.to_string(), error.report("8.0.0"), format!("{error:?}")] {
                assert!(!text.contains(SECRET), "{what}\ngives\n{text}");
            }
            messages.push(error);
        };
        let secrets = || rows::all().iter().filter(|row| row.is(Flags::SENSITIVE));
        assert!(secrets().count() >= 4);
        for row in secrets() {
            for name in std::iter::once(&row.spec.name).chain(row.spec.aliases) {
                let misspelt = &name[..name.len() - 1];
                for line in [
                    format!("{name} \"{SECRET}"),
                    format!("{name} \"{SECRET}\"x"),
                    format!("{name} {SECRET} junk"),
                    format!("{name} junk {SECRET}"),
                    format!("{name}={SECRET}"),
                    format!("{name}:{SECRET}"),
                    format!("\"{name}\" {SECRET} junk"),
                    format!("\"{name} {SECRET}"),
                    format!("{} {SECRET} junk", name.to_uppercase()),
                    format!("{misspelt} {SECRET}"),
                    format!("{misspelt} \"{SECRET}"),
                    format!("{misspelt}={SECRET}"),
                    format!("port 1{name} {SECRET}"),
                    format!("timeout 1 {name} {SECRET}"),
                    format!("--{name} {SECRET}"),
                ] {
                    let mut loader = Loader::new(dir.path());
                    check(&line, loader.read(&Source::Stdin, line.as_bytes(), 0));
                }
                let (group, key) = (row.group.name(), row.toml_key());
                for text in [
                    format!("[{group}]\n{key} = {SECRET}\n"),
                    format!("[{group}]\n{key} = \"{SECRET}\n"),
                    format!("[{group}]\n{key} = '{SECRET}\n"),
                    format!("[{group}]\n{key} = \"{SECRET}\\q\"\n"),
                    format!("[{group}]\n{key} = \"{SECRET}\" junk\n"),
                    format!("[{group}]\n{key} {SECRET}\n"),
                    format!("[{group}]\n{key}: {SECRET}\n"),
                    format!("[{group}]\n{key} = [\"{SECRET}\"]\n"),
                    format!("[{group}]\n{key} = {{ a = \"{SECRET}\" }}\n"),
                    format!("[{group}]\n{key} = \"\"\"a\n{SECRET}\n"),
                    format!("[{group}]\n{key} = \"\"\"a\nb = {SECRET}\\q\n\"\"\"\n"),
                    format!("[{group}]\n{key} = \"{SECRET}\"\n{key} = \"{SECRET}\"\n"),
                    format!("[{group}]\n{key}x = \"{SECRET}\"\n"),
                    format!("[{group}]\n{key} = \"{SECRET}\"; port = 1\n"),
                    format!("{key} = \"{SECRET}\"\n"),
                    format!("[limits]\n{key} = \"{SECRET}\"\n[server"),
                    format!("[ttl]\n{key} = \"{SECRET}\"\n"),
                    format!("{group} = \"{SECRET}\"\n"),
                    format!("[server]\nport = 1, {key} = \"{SECRET}\"\n"),
                    format!("[server]\nport = \"1 {key} = {SECRET}\"\n"),
                ] {
                    let mut loader = Loader::new(dir.path());
                    check(&text, loader.read_toml(&Source::Stdin, text.as_bytes()));
                }
                let prefix = format!("KVSTASH_{}", group.to_uppercase());
                for (variable, value) in [
                    (format!("{prefix}_{}X", key.to_uppercase()), SECRET.to_owned()),
                    ("KVSTASH_SERVER_PORT".to_owned(), format!("1 {name} {SECRET}")),
                ] {
                    let mut loader = Loader::new(dir.path());
                    check(&variable, loader.take_variable(&variable, value.as_bytes()));
                }
            }
        }
        for line in
            ["hunter2", "\"hunter2\"", "user bob on >hunter2 +@all", "user \"bob on >hunter2", "rename-command hunter2"]
        {
            check(line, Loader::new(Path::new("/")).read(&Source::Stdin, line.as_bytes(), 0));
        }
        // The place is always there.
        assert!(messages.len() > 100 && messages.iter().all(|error| error.line.is_some()));
    }
}
