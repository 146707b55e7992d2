//! Which program this is: the server, or one of the tools that come with it, chosen by the first argument or by the
//! name the program was called by, as Redis's own binaries are.
//!
//! What Redis has and this program does not do yet is named and refused, so that nobody takes a server for a
//! sentinel.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Arg, Command, value_parser};

use crate::config::{self, Config, Invocation, Mode};
use crate::persist::check;
use crate::persist::check_aof::{self, Task};
use crate::persist::restore;
use crate::sys::clock::Clock;
use crate::sys::disk::RealDisk;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Role {
    /// Serve, with this configuration.
    Server(Invocation),
    /// `check-rdb FILE`, `redis-check-rdb FILE`: how it was called, and with what.
    CheckRdb(String, Vec<OsString>),
    /// `check-aof FILE`, `redis-check-aof FILE`, with what is to be done.
    CheckAof(String, Vec<OsString>),
    /// `restore DIR`, with where to, and until when.
    Restore(Vec<OsString>),
    /// `-v`, `--version`.
    Version,
    /// `-h`, `--help`.
    Help,
    /// Something of Redis's that does not exist here yet.
    Missing(&'static str),
}

impl Role {
    /// Reads the command line; the first word is the name the program was called by.
    pub fn of(args: impl IntoIterator<Item = OsString>) -> Role {
        let mut args = args.into_iter();
        let program = args.next().unwrap_or_default();
        let mut args: Vec<OsString> = args.collect();
        let called = Path::new(&program).file_name().and_then(OsStr::to_str).unwrap_or_default();
        match called {
            "redis-check-rdb" => return Role::CheckRdb(program.to_string_lossy().into_owned(), args),
            "redis-check-aof" => return Role::CheckAof(program.to_string_lossy().into_owned(), args),
            "redis-sentinel" => return Role::Missing("Sentinel mode"),
            _ => {}
        }
        let by_word = |word: &str| format!("{} {word}", program.display());
        match args.first().and_then(|first| first.to_str()) {
            Some(word @ "check-rdb") => return Role::CheckRdb(by_word(word), args.split_off(1)),
            Some("restore") => return Role::Restore(args.split_off(1)),
            Some(word @ "check-aof") => return Role::CheckAof(by_word(word), args.split_off(1)),
            _ => {}
        }
        let invocation = config::argv::split(&args);
        match invocation.mode {
            Mode::Serve => Role::Server(invocation),
            Mode::Version => Role::Version,
            Mode::Help => Role::Help,
            Mode::Sentinel => Role::Missing("Sentinel mode"),
            Mode::CheckSystem => Role::Missing("--check-system"),
            Mode::TestMemory(_) => Role::Missing("--test-memory"),
        }
    }

    /// Does it. Returns the exit code of the process.
    pub fn run(self) -> u8 {
        match self {
            Role::Server(invocation) => serve(&invocation),
            Role::CheckRdb(called, args) => check_rdb(&called, &args),
            Role::CheckAof(called, args) => check_aof(&called, &args),
            Role::Restore(args) => restore(args),
            Role::Version => say(&version()),
            Role::Help => say(&config::docs::help("kvstash")),
            Role::Missing(what) => {
                eprintln!("kvstash: {what} is not supported yet");
                1
            }
        }
    }
}

/// The version of Redis that this program claims to be unless it is configured otherwise.
fn speaks() -> String {
    Config::default().server.redis_version.to_lossy()
}

fn version() -> String {
    format!("kvstash v={} (speaks Redis {}) bits=64\n", env!("CARGO_PKG_VERSION"), speaks())
}

fn serve(invocation: &Invocation) -> u8 {
    let stdin = || {
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text).map(|_| text)
    };
    match config::load(invocation, std::env::vars_os(), stdin) {
        Ok(loaded) => u8::try_from(super::run(loaded)).unwrap_or(1),
        Err(error) => {
            eprint!("{}", error.report(&speaks()));
            1
        }
    }
}

/// One word is the name of a file, as for Redis's tools, unless it asks for the version or for help.
fn check_rdb(called: &str, args: &[OsString]) -> u8 {
    let usage = |called| format!("Usage: {called} <rdb-file-name>\n");
    match args {
        [word] if asks_version(word) => say(&version()),
        [word] if asks_help(word) => say(&usage(called)),
        [file] => {
            let now_ms = Clock::system().wall_ms();
            check::run(&RealDisk, Path::new(file), now_ms, &mut io::stdout().lock()).unwrap_or(1)
        }
        _ => {
            say(&usage(called));
            1
        }
    }
}

fn check_aof(called: &str, args: &[OsString]) -> u8 {
    const TASKS: &str = "[--fix|--truncate-to-timestamp $timestamp|--salvage $new]";
    let usage = format!("Usage: {called} {TASKS} <file.manifest|file.aof>\n");
    let (task, file) = match args {
        [word] if asks_version(word) => return say(&version()),
        [word] if asks_help(word) => return say(&usage),
        [file] => (Task::Check, file),
        [word, file] if word == "--fix" => (Task::Fix, file),
        [word, timestamp, file] if word == "--truncate-to-timestamp" => {
            match timestamp.to_str().and_then(|seconds| seconds.parse().ok()) {
                // As in Redis's tool, this is the word for no time stamp.
                Some(0) => (Task::Check, file),
                Some(seconds) => (Task::Truncate(seconds), file),
                None => {
                    say("Invalid timestamp, aborting...\n");
                    return 1;
                }
            }
        }
        [word, to, file] if word == "--salvage" => (Task::Salvage(PathBuf::from(to)), file),
        _ => {
            say(&usage);
            return 1;
        }
    };
    let (now_ms, path) = (Clock::system().wall_ms(), Path::new(file));
    let mut out = io::stdout().lock();
    check_aof::run(&RealDisk, path, &task, now_ms, &mut io::stdin().lock(), &mut out).unwrap_or(1)
}

/// Says what was restored, and how a server is started with it.
fn restore(args: Vec<OsString>) -> u8 {
    let file = |name, help| Arg::new(name).value_parser(value_parser!(PathBuf)).help(help);
    let command = Command::new("kvstash restore")
        .about("Copies the directory of an append-only file, or a backup, as it was at some moment. It is only read.")
        .arg(file("DIR", "The directory, which has a manifest").required(true))
        .arg(file("to", "The new directory").long("to").value_name("NEW").default_value("appendonlydir"))
        .arg(
            Arg::new("until")
                .long("until")
                .value_name("TIMESTAMP")
                .value_parser(value_parser!(i64))
                .help("Leave out what was executed after this second of unix time; needs aof-timestamp-enabled"),
        )
        .no_binary_name(true);
    let matches = match command.try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print(); // nobody is left to be told that it failed
            return u8::from(error.use_stderr());
        }
    };
    let path = |name| matches.get_one::<PathBuf>(name).expect("it is required, or has a default");
    let (from, to, until) = (path("DIR"), path("to"), matches.get_one::<i64>("until").copied());
    match restore::restore(&RealDisk, from, to, until, Clock::system().wall_ms()) {
        Ok(restored) => say(&restored.report(from, to, until)),
        Err(error) => {
            eprintln!("kvstash: nothing was restored: {error}");
            1
        }
    }
}

fn asks_version(word: &OsStr) -> bool {
    word == "-v" || word == "--version"
}

fn asks_help(word: &OsStr) -> bool {
    word == "-h" || word == "--help"
}

/// Prints, unless whoever reads has gone away.
fn say(text: &str) -> u8 {
    u8::from(io::stdout().write_all(text.as_bytes()).is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(words: &str) -> Role {
        Role::of(words.split(' ').map(OsString::from))
    }

    #[test]
    fn by_name_and_by_argument() {
        for program in ["kvstash", "/usr/bin/redis-server", "./redis-server"] {
            assert!(matches!(role(&format!("{program} a.conf --port 7000")), Role::Server(_)), "{program}");
            assert_eq!(role(&format!("{program} --version")), Role::Version);
            assert_eq!(role(&format!("{program} -h")), Role::Help);
            assert_eq!(role(&format!("{program} s.conf --sentinel")), Role::Missing("Sentinel mode"));
            assert_eq!(role(&format!("{program} --test-memory 10")), Role::Missing("--test-memory"));
        }
        let file = || vec![OsString::from("x")];
        assert_eq!(role("kvstash check-rdb x"), Role::CheckRdb("kvstash check-rdb".to_owned(), file()));
        assert_eq!(role("/usr/bin/redis-check-rdb x"), Role::CheckRdb("/usr/bin/redis-check-rdb".to_owned(), file()));
        assert_eq!(role("kvstash check-aof x"), Role::CheckAof("kvstash check-aof".to_owned(), file()));
        assert_eq!(role("./redis-check-aof x"), Role::CheckAof("./redis-check-aof".to_owned(), file()));
        assert_eq!(role("kvstash restore x"), Role::Restore(file()));
        assert_eq!(role("redis-sentinel s.conf"), Role::Missing("Sentinel mode"));
    }

    #[test]
    fn wrong_arguments_of_tools_fail() {
        assert_eq!(role("kvstash check-rdb").run(), 1);
        assert_eq!(role("kvstash check-rdb a b").run(), 1);
        assert_eq!(role("kvstash check-rdb /does/not/exist").run(), 1);
        for word in ["-v", "--version", "-h", "--help"] {
            assert_eq!(role(&format!("kvstash check-rdb {word}")).run(), 0);
            assert_eq!(role(&format!("redis-check-aof {word}")).run(), 0);
        }
        for args in ["", " --fix", " --fix a b", " a b", " --truncate-to-timestamp 5", " --salvage a", " --nonsense a"]
        {
            assert_eq!(role(&format!("kvstash check-aof{args}")).run(), 1, "{args}");
        }
        assert_eq!(role("kvstash check-aof --truncate-to-timestamp 5x /does/not/exist").run(), 1);
        assert_eq!(role("kvstash check-aof /does/not/exist").run(), 1);
        for args in ["", " a b", " /does/not/exist", " a --until noon"] {
            assert_eq!(role(&format!("kvstash restore{args}")).run(), 1, "{args}");
        }
        assert_eq!(role("kvstash restore --help").run(), 0);
        assert_eq!(role("redis-sentinel").run(), 1);
    }
}
