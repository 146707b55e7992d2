//! What MULTI has queued. The commands were looked up and gated when they were queued; EXEC runs them as they are.

use crate::resp::{Args, OwnedArgs};

/// A queued request.
pub struct Queued {
    /// Number of the command in the command table.
    pub command: u16,
    /// Its arguments, copied out of the query buffer.
    pub args: OwnedArgs,
}

/// So many requests are dropped at once.
const REQUESTS_AT_ONCE: usize = 512;

/// A transaction between MULTI and EXEC.
#[derive(Default)]
pub struct Transaction {
    queue: Vec<Queued>,
    failed: bool,
    memory: usize,
    large_bytes: usize,
}

impl Transaction {
    /// Queues a request.
    pub fn push(&mut self, command: u16, args: Args<'_>) {
        let args = OwnedArgs::from(&args);
        self.memory += args.memory();
        self.large_bytes += args.view().large_bytes();
        self.queue.push(Queued { command, args });
    }

    /// Remembers that queueing a request failed: EXEC will refuse to run the rest.
    pub fn fail(&mut self) {
        self.failed = true;
    }

    /// Whether queueing a request failed.
    pub fn is_failed(&self) -> bool {
        self.failed
    }

    /// How many requests are queued.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The requests, in order.
    pub fn queue(&self) -> &[Queued] {
        &self.queue
    }

    /// Bytes of the queued arguments that are outside of buffers: what long strings may be made of.
    pub fn large_bytes(&self) -> usize {
        self.large_bytes
    }

    /// Drops some of the requests from the end. Whether there is nothing more.
    pub fn drop_some(&mut self) -> bool {
        self.queue.truncate(self.queue.len().saturating_sub(REQUESTS_AT_ONCE));
        self.queue.is_empty()
    }

    /// Memory held, in bytes.
    pub fn memory(&self) -> usize {
        self.memory + self.queue.capacity() * size_of::<Queued>()
    }
}
