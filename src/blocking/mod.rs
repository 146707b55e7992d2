//! Blocking: clients whose command waits for keys to change.
//!
//! # What this is
//!
//! A handler that cannot be served asks to wait ([`Wait`]: for which keys, for what kind of value, how long). Its
//! request is kept ([`BlockedClient`]) and the client stands in a queue for each key ([`BlockedClients`]). When a write changes a
//! waited key, that key is put on the ready list of `db/blocking_keys.rs`; once the command, transaction or script that did
//! it is over, `exec/blocked.rs` works the list off: keys in the order in which they became ready, clients in the order
//! in which they came, each by running its kept request again. One that cannot be served even then goes on waiting,
//! at its old place. Serving one client may make another key ready (BLMOVE): so it goes on until no key is.
//!
//! # What it never does
//!
//! **Architecture Invariant:** no command runs here, no reply is written, no clock is read. Deadlines are numbers that
//! somebody compares with the time.
//!
//! **Architecture Invariant:** nobody polls. A client that waits costs nothing until its key changes or its time is
//! over.
//!
//! # Map
//!
//! | file | what |
//! | --- | --- |
//! | `wait.rs` | what a handler asks for |
//! | `clients.rs` | who waits: queues by key, deadlines in order |
//!
//! # Read first
//!
//! `wait.rs`; then `exec/blocked.rs`, which uses all of it.

mod clients;
mod wait;

pub use clients::{BlockedClient, BlockedClients, Next, Totals};
pub use wait::{Null, Progress, Wait, WaitFor};
