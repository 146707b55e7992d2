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
use crate::sys::clock::Clock;
use crate::sys::disk::RealDisk;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Role {
    /// Serve, with this configuration.
    Server(Invocation),
    /// `check-rdb FILE`, `redis-check-rdb FILE`.
    CheckRdb(Vec<OsString>),
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
            "redis-check-rdb" => return Role::CheckRdb(args),
            "redis-check-aof" => return Role::Missing("check-aof"),
            "redis-sentinel" => return Role::Missing("Sentinel mode"),
            _ => {}
        }
        match args.first().and_then(|first| first.to_str()) {
            Some("check-rdb") => return Role::CheckRdb(args.split_off(1)),
            Some("check-aof") => return Role::Missing("check-aof"),
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
            Role::CheckRdb(args) => check_rdb(args),
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

fn check_rdb(args: Vec<OsString>) -> u8 {
    let command = Command::new("kvstash check-rdb")
        .about("Says whether an RDB file is in order: 0 if it is, 1 if it is not or cannot be read.")
        .arg(Arg::new("FILE").required(true).value_parser(value_parser!(PathBuf)).help("The file"))
        .no_binary_name(true);
    let matches = match command.try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print(); // nobody is left to be told that it failed
            return u8::from(error.use_stderr());
        }
    };
    let file = matches.get_one::<PathBuf>("FILE").expect("clap requires it");
    check::run(&RealDisk, file, Clock::system().wall_ms(), &mut io::stdout().lock()).unwrap_or(1)
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
        let file = || vec![OsString::from("dump.rdb")];
        assert_eq!(role("kvstash check-rdb dump.rdb"), Role::CheckRdb(file()));
        assert_eq!(role("/usr/bin/redis-check-rdb dump.rdb"), Role::CheckRdb(file()));
        assert_eq!(role("redis-check-aof x"), Role::Missing("check-aof"));
        assert_eq!(role("redis-sentinel s.conf"), Role::Missing("Sentinel mode"));
        assert_eq!(role("kvstash check-aof x"), Role::Missing("check-aof"));
    }

    #[test]
    fn wrong_arguments_of_tools_fail() {
        assert_eq!(role("kvstash check-rdb").run(), 1);
        assert_eq!(role("kvstash check-rdb a b").run(), 1);
        assert_eq!(role("kvstash check-rdb /does/not/exist").run(), 1);
        assert_eq!(role("kvstash check-rdb --help").run(), 0);
        assert_eq!(role("redis-sentinel").run(), 1);
    }
}
