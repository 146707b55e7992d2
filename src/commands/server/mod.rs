//! The server: what operators and client libraries ask of it.
//!
//! | file | commands |
//! | --- | --- |
//! | `command.rs` | COMMAND |
//! | `dataset.rs` | DBSIZE FLUSHALL FLUSHDB SWAPDB TIME |
//! | `lolwut.rs` | LOLWUT |
//! | `observe.rs` | SLOWLOG MONITOR |

mod command;
mod dataset;
mod lolwut;
mod observe;

use crate::exec::spec::CommandSpec;

pub(super) static COMMANDS: &[&CommandSpec] = &[
    &command::COMMAND,
    &dataset::DBSIZE,
    &dataset::FLUSHALL,
    &dataset::FLUSHDB,
    &dataset::SWAPDB,
    &dataset::TIME,
    &lolwut::LOLWUT,
    &observe::SLOWLOG,
    &observe::MONITOR,
];
