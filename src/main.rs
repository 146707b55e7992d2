//! Command line -> configuration -> role -> run.

use std::io::Read;
use std::process::ExitCode;

use kvstash::config::{self, Mode};
use kvstash::server;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let invocation = config::argv::split(&args);
    match invocation.mode {
        Mode::Serve => {}
        other => {
            eprintln!("kvstash: this mode is not there yet: {other:?}");
            return ExitCode::FAILURE;
        }
    }
    let stdin = || {
        let mut text = Vec::new();
        std::io::stdin().read_to_end(&mut text).map(|_| text)
    };
    match config::load(&invocation, std::env::vars_os(), stdin) {
        Ok(loaded) => ExitCode::from(server::run(loaded) as u8),
        Err(error) => {
            eprint!("{error}");
            ExitCode::FAILURE
        }
    }
}
