//! Splits the command line as Redis does.
//!
//! `kvstash [FILE] [-] [--name value ...]`. The options are turned into the text of configuration lines, one line an
//! option, so that they go through the one reader:
//!
//! * the first argument is a file unless it begins with `-`;
//! * a lone `-`, as the first or the last argument, means standard input;
//! * `--name` begins a line, every other argument is quoted and added to it;
//! * the argument right after `--name` is always a value, even if it begins with `--`;
//! * `"--name value"` in one argument is a whole line;
//! * `--save` without a value means `--save ""`.

use crate::util::quote;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What the program is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Serve.
    Serve,
    /// Serve as a Sentinel: `--sentinel`.
    Sentinel,
    /// Print the version: `-v`, `--version`.
    Version,
    /// Print help: `-h`, `--help`.
    Help,
    /// Look for trouble in the system's settings: `--check-system`.
    CheckSystem,
    /// Test so many megabytes of memory: `--test-memory N`.
    TestMemory(Option<u64>),
}

/// A command line, split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// What to do.
    pub mode: Mode,
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// Whether to read configuration from standard input.
    pub stdin: bool,
    /// The options, as lines of a classic configuration file.
    pub options: Vec<u8>,
}

/// Splits the arguments, which do not include the program's name.
pub fn split(args: &[OsString]) -> Invocation {
    let words: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
    let mut out = Invocation { mode: Mode::Serve, file: None, stdin: false, options: Vec::new() };
    match words.as_slice() {
        [b"-v" | b"--version", ..] => out.mode = Mode::Version,
        [b"-h" | b"--help", ..] => out.mode = Mode::Help,
        [b"--check-system"] => out.mode = Mode::CheckSystem,
        [b"--test-memory", rest @ ..] => {
            let megabytes = rest.first().and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
            out.mode = Mode::TestMemory(megabytes);
        }
        _ if words.contains(&b"--sentinel".as_slice()) => out.mode = Mode::Sentinel,
        _ => {}
    }
    if !matches!(out.mode, Mode::Serve | Mode::Sentinel) {
        return out;
    }
    let mut first = 0;
    if let Some(word) = words.first()
        && !word.starts_with(b"-")
    {
        out.file = Some(PathBuf::from(&args[0]));
        first = 1;
    }
    // Whether the last option has its value, so that another option may begin.
    let mut complete = true;
    for (index, word) in words.iter().enumerate().skip(first) {
        let last = index + 1 == words.len();
        if *word == b"-" && (index == 0 || last) {
            out.stdin = true;
            continue;
        }
        match word.strip_prefix(b"--") {
            Some(option) if complete => {
                if !out.options.is_empty() {
                    out.options.push(b'\n');
                }
                if option.eq_ignore_ascii_case(b"sentinel") {
                    continue;
                }
                out.options.extend_from_slice(option);
                let alone = quote::split_args(option).is_some_and(|words| words.len() == 1);
                let option_follows = words.get(index + 1).is_none_or(|next| next.starts_with(b"--"));
                if option.eq_ignore_ascii_case(b"save") && option_follows {
                    out.options.extend_from_slice(b" \"\"");
                } else {
                    complete = !alone;
                }
            }
            _ => {
                out.options.push(b' ');
                quote::push_repr(&mut out.options, word);
                complete = true;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(args: &[&str], file: Option<&str>, stdin: bool, options: &str) {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let got = split(&args);
        assert_eq!(got.file, file.map(PathBuf::from), "{args:?}");
        assert_eq!(got.stdin, stdin, "{args:?}");
        assert_eq!(String::from_utf8_lossy(&got.options), options, "{args:?}");
    }

    #[test]
    fn options_are_lines() {
        check(&[], None, false, "");
        check(&["a.conf"], Some("a.conf"), false, "");
        check(&["--port", "7000"], None, false, "port \"7000\"");
        check(&["a.conf", "--port", "7000", "--hz", "5"], Some("a.conf"), false, "port \"7000\"\nhz \"5\"");
        check(&["--bind", "127.0.0.1", "::1", "--hz", "5"], None, false, "bind \"127.0.0.1\" \"::1\"\nhz \"5\"");
        check(&["--maxmemory 10mb", "--hz", "5"], None, false, "maxmemory 10mb\nhz \"5\"");
        check(&["--hz=30"], None, false, "hz=30");
        check(&["a.conf", "stray"], Some("a.conf"), false, " \"stray\"");
    }

    #[test]
    fn a_value_may_look_like_an_option() {
        check(&["--requirepass", "--foo", "--hz", "5"], None, false, "requirepass \"--foo\"\nhz \"5\"");
        check(&["--loglevel", "--port", "5"], None, false, "loglevel \"--port\" \"5\"");
    }

    #[test]
    fn save_without_a_value_saves_never() {
        check(&["--save", "--hz", "5"], None, false, "save \"\"\nhz \"5\"");
        check(&["--hz", "5", "--save"], None, false, "hz \"5\"\nsave \"\"");
        check(&["--save", ""], None, false, "save \"\"");
        check(&["--save", "60", "1"], None, false, "save \"60\" \"1\"");
    }

    #[test]
    fn a_dash_is_standard_input() {
        check(&["-"], None, true, "");
        check(&["-", "--hz", "5"], None, true, "hz \"5\"");
        check(&["--hz", "5", "-"], None, true, "hz \"5\"");
        check(&["a.conf", "-"], Some("a.conf"), true, "");
        check(&["--hz", "-", "--port", "1"], None, false, "hz \"-\"\nport \"1\"");
    }

    #[test]
    fn modes() {
        let mode = |args: &[&str]| split(&args.iter().map(OsString::from).collect::<Vec<_>>()).mode;
        assert_eq!(mode(&["-v"]), Mode::Version);
        assert_eq!(mode(&["--version", "x"]), Mode::Version);
        assert_eq!(mode(&["--help"]), Mode::Help);
        assert_eq!(mode(&["--test-memory", "5"]), Mode::TestMemory(Some(5)));
        assert_eq!(mode(&["--check-system"]), Mode::CheckSystem);
        assert_eq!(mode(&["s.conf", "--sentinel"]), Mode::Sentinel);
        assert_eq!(mode(&["--port", "1"]), Mode::Serve);
    }
}
