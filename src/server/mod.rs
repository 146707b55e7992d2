//! The front desk: the loop that turns what arrives on sockets into commands, and replies into what is sent.
//!
//! # What this is
//!
//! [`Server`] is the world around an [`Instance`] (Redis without sockets): the reactor, the clock, and what one turn
//! leaves for the next. It is the instance's [`Host`](crate::exec::ctx::Host), so a command that takes long can let
//! others have a turn meanwhile. [`turn`] does the work of one wake-up in phases over *all* ready connections: read, parse, prefetch,
//! execute, before sleep. That is what makes one thread fast: cache misses are paid in parallel, each connection gets
//! one read and one write.
//!
//! # What it never does
//!
//! **Architecture Invariant:** nothing here knows what a command means. It asks the table what a name is, and it
//! settles what the instance asks for ([`Ask`]).
//!
//! **Architecture Invariant:** nothing here waits, but for the one wait of the turn. Files are written by other
//! threads, which send mail.
//!
//! # Map
//!
//! | file | what |
//! | --- | --- |
//! | `mod.rs` | `Server` |
//! | `turn.rs` | the phases of a turn |
//! | `route.rs` | events, and whom they concern |
//! | `peer.rs` | what is at the other end of a connection |
//! | `link.rs` | connections that we open |
//! | `drive.rs` | one that everybody waits for |
//! | `resolver.rs` | the thread that looks up names |
//! | `deadlines.rs` | when the loop has to wake up |
//! | `within.rs` | a turn within a command that takes long |
//! | `batch.rs` | parse, prefetch, execute |
//! | `barriers.rs` | replies that wait for the disk |
//! | `busy_poll.rs` | whether to look once more before the loop sleeps |
//! | `flush.rs` | replies out, buffers back to their pool, closing |
//! | `evict.rs` | maxmemory-clients: the greediest clients are closed |
//! | `accept.rs` | new connections: limits, protected mode |
//! | `host.rs` | what the instance may ask of the world: listeners, clock, process |
//! | `reader.rs` | the thread that answers long reads |
//! | `notes.rs` | log lines |
//! | `replicas.rs` | what replicas are sent goes to their connections |
//! | `settle.rs` | what the instance asked for while a command ran |
//! | `cron.rs` | what is done ten times a second |
//! | `roles.rs` | what the command line asks for: the server, or a tool |
//! | `start.rs` | start-up, in order |
//! | `facts.rs` | what is told to the world at the start, and in a crash |
//! | `loading.rs` | the data set, at the start |
//! | `shutdown.rs` | signals, the last save, goodbye |
//!
//! # Read first
//!
//! `turn.rs`, then `batch.rs`.

mod accept;
mod barriers;
mod batch;
mod busy_poll;
mod cron;
mod deadlines;
mod drive;
mod evict;
mod facts;
mod flush;
mod host;
mod link;
mod loading;
mod notes;
mod peer;
mod reader;
mod replicas;
mod resolver;
mod roles;
mod route;
mod settle;
mod shutdown;
mod start;
mod turn;
mod within;
#[cfg(test)]
mod within_tests;

use std::collections::VecDeque;
use std::rc::Rc;

use crate::exec::instance::{Ask, Instance};
use crate::reactor::{ConnId, Event, Reactor};
use crate::sys::clock::Clock;
use barriers::Barriers;
use batch::{Batch, Group};
use busy_poll::BusyPoll;
use deadlines::{Deadlines, Due};
pub use host::Mail;
use host::{Listening, Observer};
use link::Links;
use loading::Loading;
use reader::Reader;
pub use roles::Role;
pub use start::run;

/// The world around an instance, and what one turn leaves for the next.
pub struct Server {
    reactor: Reactor<Mail>,
    clock: Clock,
    listening: Listening,
    observer: Option<Observer>,
    reader: Reader,
    /// Clients that may have bytes to read or requests to parse. Each is listed once ([`ClientFlags::READY`]).
    ///
    /// [`ClientFlags::READY`]: crate::client::ClientFlags::READY
    ready: VecDeque<u32>,
    /// Those whose turn it is now.
    group: Group,
    /// Clients with replies to be sent, each listed once.
    to_flush: VecDeque<ConnId>,
    /// What of that must wait for the append-only file.
    barriers: Barriers,
    /// Clients held back by CLIENT PAUSE.
    postponed: Vec<ConnId>,
    /// What the instance has asked for and is not done yet.
    asks: VecDeque<Ask>,
    batch: Rc<Batch>,
    /// Requests of the batch before this one have been executed, or are just now.
    executed: usize,
    events: Vec<Event<Mail>>,
    busy_poll: BusyPoll,
    deadlines: Deadlines,
    /// The slot where the cron's walk over all clients goes on.
    cron_slot: usize,
    /// Connections that we open.
    links: Links,
    shutdown: shutdown::Progress,
    /// While the data set is read.
    loading: Option<Loading>,
}

impl Server {
    /// A server that has not begun to listen.
    fn new(reactor: Reactor<Mail>, clock: Clock) -> Server {
        let mut deadlines = Deadlines::default();
        deadlines.set(0, Due::Cron);
        Server {
            reactor,
            clock,
            listening: Listening::default(),
            observer: None,
            reader: Reader::default(),
            ready: VecDeque::new(),
            group: Group::default(),
            to_flush: VecDeque::new(),
            barriers: Barriers::default(),
            postponed: Vec::new(),
            asks: VecDeque::new(),
            batch: Rc::default(),
            executed: 0,
            events: Vec::new(),
            busy_poll: BusyPoll::default(),
            deadlines,
            cron_slot: 0,
            links: Links::default(),
            shutdown: shutdown::Progress::default(),
            loading: None,
        }
    }

    /// Serves until a shutdown is complete; returns the exit code.
    fn serve(mut self, mut inst: Instance) -> i32 {
        loop {
            if let Some(code) = self.turn(&mut inst) {
                // The system takes the memory back at once; freeing millions of keys one by one would only take time.
                std::mem::forget((self, inst));
                return code;
            }
        }
    }
}
