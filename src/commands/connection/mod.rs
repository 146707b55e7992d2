//! The connection itself: PING, HELLO, AUTH, SELECT, RESET, CLIENT.
//!
//! | file | commands |
//! | --- | --- |
//! | `basic.rs` | PING ECHO SELECT QUIT RESET |
//! | `hello.rs` | HELLO AUTH |
//! | `client.rs` | CLIENT and the subcommands about this connection |
//! | `tracking.rs` | CLIENT TRACKING CACHING GETREDIR TRACKINGINFO |
//! | `acks.rs` | CLIENT WRITEACKS |
//! | `clients.rs` | CLIENT LIST KILL PAUSE UNPAUSE UNBLOCK: about other connections |

mod acks;
mod basic;
mod client;
mod clients;
mod hello;
mod tracking;

use crate::exec::spec::CommandSpec;

pub(super) static COMMANDS: &[&CommandSpec] = &[
    &basic::PING,
    &basic::ECHO,
    &basic::SELECT,
    &basic::QUIT,
    &basic::RESET,
    &hello::HELLO,
    &hello::AUTH,
    &client::CLIENT,
];
