//! The words between the reactor and its caller.

use std::io;

use super::accept::ListenerId;

/// A connection. The generation tells it from earlier and later ones in the same slot, so a stale id is harmless:
/// every operation on it says that there is no such connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId {
    /// The slot. Small and dense: fit for a table of the caller's own.
    pub index: u32,
    /// Which of the connections that have been in the slot.
    pub generation: u32,
}

/// What a turn found. In one turn a connection has at most one `Readable` and one `Writable`.
#[derive(Debug)]
pub enum Event<M> {
    /// Somebody connected. Readable is announced separately once there is something to read.
    Accepted {
        /// The new connection.
        conn: ConnId,
        /// Where it came in.
        listener: ListenerId,
    },
    /// There may be bytes, an end of stream or an error to read. Said once: read until drained.
    Readable(ConnId),
    /// A connection whose last write was blocked can be written to again.
    Writable(ConnId),
    /// A connect that [`Reactor::connect_tcp`](super::Reactor::connect_tcp) began has been decided. Said once; a
    /// connection that failed is still to be closed.
    Connected {
        /// The connection.
        conn: ConnId,
        /// Whether the other end is there.
        outcome: io::Result<()>,
    },
    /// Nobody can be accepted for want of descriptors or memory; accepting rests for a moment. Said at most once a
    /// second, however long it lasts.
    AcceptFailed {
        /// The listener that failed.
        listener: ListenerId,
        /// The operating system's reason.
        error: io::Error,
        /// How many failures were not reported since the last report.
        suppressed: u64,
    },
    /// A watched signal arrived (once or more often).
    Signal(i32),
    /// Another thread sent something.
    Mail(M),
}

/// What one read did.
#[derive(Debug)]
pub enum ReadOutcome {
    /// `n` bytes (at least 1) were appended.
    Data {
        /// How many.
        n: usize,
        /// True: nothing is left, wait for the next `Readable`. False: there may be more, read again when it suits.
        drained: bool,
    },
    /// The other end has finished sending. It may still be reading: answer what it asked before closing.
    Eof,
    /// Nothing there; wait for the next `Readable`.
    WouldBlock,
    /// The connection is broken, or there is no such connection (`NotConnected`).
    Failed(io::Error),
}

/// What one write did.
#[derive(Debug)]
pub enum WriteOutcome {
    /// Nothing is left to be written.
    Drained,
    /// As much was written as was allowed. Nothing will be said when more can be: the caller comes back by itself.
    More,
    /// The rest must wait for the `Writable` that is now certain to come.
    Blocked,
    /// The connection is broken, or there is no such connection (`NotConnected`).
    Failed(io::Error),
}
