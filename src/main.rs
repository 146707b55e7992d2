//! Command line -> configuration -> role -> run.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use kvstash::config::{self, Config, Mode};
use kvstash::persist::check;
use kvstash::server;
use kvstash::sys::clock::Clock;
use kvstash::sys::disk::RealDisk;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let program = args.next().map(PathBuf::from).unwrap_or_default();
    let args: Vec<OsString> = args.collect();
    // A tool by the name it was called by, or by its first argument.
    if program.file_name().is_some_and(|name| name == "redis-check-rdb") {
        return check_rdb(&args);
    }
    if args.first().is_some_and(|first| first == "check-rdb") {
        return check_rdb(&args[1..]);
    }

    let invocation = config::argv::split(&args);
    match invocation.mode {
        Mode::Serve => serve(&invocation),
        Mode::Version => {
            let speaks = Config::default().server.redis_version.to_lossy();
            say(&format!("kvstash v={} (speaks Redis {speaks})\n", env!("CARGO_PKG_VERSION")))
        }
        Mode::Help => say(&config::docs::help("kvstash")),
        Mode::Sentinel | Mode::CheckSystem | Mode::TestMemory(_) => {
            eprintln!("kvstash: {:?} is not supported", invocation.mode);
            ExitCode::FAILURE
        }
    }
}

fn serve(invocation: &config::Invocation) -> ExitCode {
    let stdin = || {
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text).map(|_| text)
    };
    match config::load(invocation, std::env::vars_os(), stdin) {
        Ok(loaded) => ExitCode::from(server::run(loaded) as u8),
        Err(error) => {
            eprint!("{}", error.report(&Config::default().server.redis_version.to_lossy()));
            ExitCode::FAILURE
        }
    }
}

/// `kvstash check-rdb FILE`, also called `redis-check-rdb`.
fn check_rdb(args: &[OsString]) -> ExitCode {
    let [file] = args else {
        eprintln!("Usage: kvstash check-rdb <rdb-file-name>");
        return ExitCode::FAILURE;
    };
    match check::run(&RealDisk, Path::new(file), Clock::system().wall_ms(), &mut io::stdout().lock()) {
        Ok(code) => ExitCode::from(code),
        Err(_) => ExitCode::FAILURE,
    }
}

/// Prints, unless whoever reads has gone away.
fn say(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
