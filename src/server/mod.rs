//! The front desk: the loop that turns what arrives on sockets into commands, and replies into what is sent.
//!
//! # What this is
//!
//! [`Server`] is an [`Instance`] (Redis without sockets) with a reactor around it.
//! Its [`turn`] does the work of one wake-up in phases over *all* ready connections: read, parse, prefetch,
//! execute, before sleep. That is what makes one thread fast: cache misses are paid in parallel, each connection gets
//! one read and one write.
//!
//! # What it never does
//!
//! **Architecture Invariant:** nothing here knows what a command means. It asks the table what a name is, and it
//! settles what the instance asks for ([`Ask`](crate::exec::instance::Ask)).
//!
//! **Architecture Invariant:** nothing here waits, but for the one wait of the turn. Files are written by other
//! threads, which send mail.
//!
//! # Map
//!
//! | file | what |
//! | --- | --- |
//! | `mod.rs` | `Server`, the loop |
//! | `turn.rs` | events, and the phases of a turn |
//! | `batch.rs` | parse, prefetch, execute |
//! | `busy_poll.rs` | whether to look once more before the loop sleeps |
//! | `flush.rs` | replies out, buffers back to their pool, closing |
//! | `evict.rs` | maxmemory-clients: the greediest clients are closed |
//! | `accept.rs` | new connections: limits, protected mode |
//! | `host.rs` | what the instance may ask of the world: listeners, clock |
//! | `reader.rs` | the thread that answers long reads |
//! | `notes.rs` | log lines |
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
mod batch;
mod busy_poll;
mod cron;
mod evict;
mod facts;
mod flush;
mod host;
mod loading;
mod notes;
mod pool;
mod reader;
mod roles;
mod settle;
mod shutdown;
mod start;
mod turn;

use crate::exec::instance::Instance;
use crate::reactor::{ConnId, Event};
use batch::Batch;
use busy_poll::BusyPoll;
pub use host::Mail;
use host::SystemHost;
use loading::Loading;
use pool::BufferPool;
pub use roles::Role;
pub use start::run;

/// The server: an instance, the world around it, and what one turn leaves for the next.
pub struct Server {
    inst: Instance,
    host: SystemHost,
    /// Clients that may have bytes to read or requests to parse. Each is listed once ([`ClientFlags::READY`]).
    ///
    /// [`ClientFlags::READY`]: crate::client::ClientFlags::READY
    ready: Vec<u32>,
    /// Clients with replies to be sent, each listed once.
    to_flush: Vec<ConnId>,
    /// Clients held back by CLIENT PAUSE.
    postponed: Vec<ConnId>,
    batch: Batch,
    queries: BufferPool,
    replies: BufferPool,
    events: Vec<Event<Mail>>,
    busy_poll: BusyPoll,
    next_cron_ns: u64,
    /// The slot where the cron's walk over all clients goes on.
    cron_slot: usize,
    shutdown: shutdown::Progress,
    /// While the data set is read.
    loading: Option<Loading>,
}

impl Server {
    /// Serves until a shutdown is complete; returns the exit code.
    fn serve(mut self) -> i32 {
        loop {
            if let Some(code) = self.turn() {
                // The system takes the memory back at once; freeing millions of keys one by one would only take time.
                std::mem::forget(self);
                return code;
            }
        }
    }
}
