//! Sockets, signals, mail from other threads, and deadlines: everything a server waits for, in one place.
//!
//! # What this is
//!
//! An edge-triggered readiness loop over mio. [`Reactor::turn`] waits once and says what happened in a closed enum,
//! [`Event`]; [`Reactor::read`] and [`Reactor::write`] make one system call each. Connections live in a slab and are
//! named by a [`ConnId`] that is never mistaken for a later connection in the same place. Buffers belong to the
//! caller, so an idle connection costs a slab slot here and nothing else.
//!
//! # What it never does
//!
//! * It has never heard of RESP, commands or clients, and never decides to close a connection.
//! * It never logs and reads no clock: what is worth a line is an [`Event`], and `now` is an argument.
//! * It never asks the kernel twice for what one call told it: a short read means drained, a short write means
//!   blocked. A turn with n ready clients is one `epoll_wait`, n `recv` and n `send`.
//!
//! # Map
//!
//! | file | what |
//! | --- | --- |
//! | `event` | [`ConnId`], [`Event`], the outcomes of reading and writing |
//! | `turn` | [`Reactor`]: one wait, and what it means |
//! | `accept` | listeners, accepting within a budget, running out of descriptors |
//! | `conn` | one connection: read, write, options, addresses, connecting out |
//! | `mailbox` | [`Mailbox`]: how other threads reach the loop |
//! | `timers` | [`Timers`]: deadlines with cancellation; stands alone |
//!
//! # Read first
//!
//! `event`, then the header of `conn`, which has the rules of edge-triggered reading that callers must keep.

mod accept;
mod conn;
mod event;
mod mailbox;
#[cfg(test)]
mod tests;
mod timers;
mod turn;

pub use accept::{ACCEPTS_PER_TURN, ListenerId};
pub use event::{ConnId, Event, ReadOutcome, WriteOutcome};
pub use mailbox::Mailbox;
pub use timers::{TimerId, Timers};
pub use turn::Reactor;
