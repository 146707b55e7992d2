//! Command line -> role -> run. What the roles are stands in `server/roles.rs`.

use std::process::ExitCode;

use kvstash::server::Role;

fn main() -> ExitCode {
    ExitCode::from(Role::of(std::env::args_os()).run())
}
