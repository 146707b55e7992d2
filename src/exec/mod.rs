//! Execution: from a request's arguments to its reply.
//!
//! # What this is
//!
//! A command declares itself ([`spec`]); the table ([`table`]) finds it by name and derives what is asked about it; a
//! request passes the gates ([`gate`]) and is called ([`call`]) with a context ([`ctx`]) that shows its handler no
//! more than it needs.
//!
//! # What it never does
//!
//! **Architecture Invariant:** no socket, no clock. Time, and what has to happen outside, come through
//! [`ctx::Host`] and [`instance::Ask`]; so the same code runs in a simulation.
//!
//! **Architecture Invariant:** no command is named here: what is special about one stands in its declaration.
//!
//! # Map
//!
//! | file | what |
//! | --- | --- |
//! | `spec.rs` | what a command declares |
//! | `table.rs` | name -> command |
//! | `call.rs` | one request, whoever has it run: gates, handler, statistics |
//! | `gate.rs` | what a request must pass, in order |
//! | `ctx.rs` | what a handler sees |
//! | `configure.rs` | a changed configuration takes effect |
//! | `defrag.rs` | when memory is moved |
//! | `eviction.rs` | memory at its limit |
//! | `debug.rs` | what DEBUG reaches into |
//! | `instance.rs` | `Instance`, and what it asks of the server |
//! | `aof/` | the append-only file: what it keeps, when it is rewritten, how it is loaded |
//! | `account.rs` | what is noted of each command and turn |
//! | `args.rs` | arguments that several families share |
//! | `copies.rs` | on how many disks and replicas a write is |
//! | `cursor.rs` | what SCAN and its kin have in common |
//! | `error.rs`, `help.rs` | error texts; HELP subcommands |
//! | `identity.rs` | the names of the run and its history |
//! | `keys.rs` | which arguments are keys, from key specs |
//! | `link.rs`, `migrate.rs` | conversations with other instances; keys on their way to one |
//! | `long_read.rs`, `readers.rs` | what reads much is read by another thread; whose reply that becomes |
//! | `leftovers.rs` | what clients leave that have had much |
//! | `memory.rs` | where memory goes |
//! | `load.rs` | a file is loaded, others are served in between |
//! | `persistence.rs` | saving, as the instance sees it |
//! | `slowlog.rs`, `monitor.rs`, `rates.rs` | what operators see of calls |
//! | `publish.rs` | messages from publisher to subscribers |
//! | `invalidate.rs` | changed keys to clients that cache them |
//! | `script/` | scripts and functions: who may run them, what they call, how they are stopped |
//! | `room.rs` | how large a reply may grow whose size the client chooses |
//! | `stats.rs` | what is counted, and CONFIG RESETSTAT |
//! | `blocked.rs` | commands that wait |
//! | `upkeep.rs` | what is done between commands |
//!
//! # Read first
//!
//! `call.rs`, then any file of `commands/string`.

mod account;
pub mod aof;
pub mod args;
pub mod blocked;
#[cfg(test)]
mod blocked_tests;
pub mod call;
pub mod configure;
mod copies;
pub mod ctx;
pub mod cursor;
pub mod debug;
pub mod defrag;
pub mod error;
mod event_stream;
pub mod eviction;
pub mod gate;
pub mod help;
pub mod identity;
pub mod instance;
mod invalidate;
pub mod keys;
mod leftovers;
pub mod link;
pub mod load;
pub mod long_read;
pub mod memory;
pub mod migrate;
pub mod monitor;
pub mod persistence;
pub mod publish;
pub mod rates;
pub mod readers;
pub mod replication;
pub mod room;
pub mod script;
pub mod slowlog;
pub mod spec;
pub mod stats;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;
mod unit;
mod upkeep;
