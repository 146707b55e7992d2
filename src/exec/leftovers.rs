//! What clients leave that have had much: it is worked off a part at a time, between other work.
//!
//! A client may be subscribed to a million channels, watch a million keys, cache as many, and have queued as many requests.
//! When it goes, or gives up one of these, everybody else would wait until each of them is taken out of its table. So what
//! it had is over at once, for all to see, and the tables are tidied later.

use crate::client::Transaction;
use crate::exec::instance::{Alert, Instance};
use crate::util::output_buffer::OutputBuffer;

/// A reply of so many bytes is in many pieces.
const LARGE_REPLY_BYTES: usize = 1 << 20;

/// What is in no table.
#[derive(Default)]
pub(super) struct Leftovers {
    /// Transactions that were given up.
    pub transactions: Vec<Transaction>,
}

impl Instance {
    /// Whether there is something to be done by [`Instance::tidy_some`].
    #[inline]
    pub fn has_leftovers(&self) -> bool {
        self.tracking.keys().has_garbage()
            || self.alert.has(Alert::TRACKING_TABLE_FULL)
            || self.pubsub.has_gone()
            || self.keyspace.watch().has_gone()
            || !self.leftovers.transactions.is_empty()
    }

    /// Works off some of what clients have left: a tenth of a millisecond's worth of each kind. Before the loop sleeps.
    #[inline]
    pub fn tidy_some(&mut self) {
        if self.has_leftovers() {
            self.tidy();
        }
    }

    #[inline(never)]
    fn tidy(&mut self) {
        self.tracking.keys_mut().free_some();
        self.shorten_tracking();
        self.leave_topics(false);
        self.keyspace.forget_watched();
        let transactions = &mut self.leftovers.transactions;
        if transactions.last_mut().is_some_and(|last| last.drop_some()) {
            transactions.pop();
        }
    }

    /// This is owed to nobody any more. What is large is dropped by another thread.
    pub fn discard_reply(&mut self, mut reply: OutputBuffer) {
        if reply.memory() > LARGE_REPLY_BYTES {
            return self.keyspace.free_elsewhere(reply);
        }
        reply.clear();
        self.pools.replies.put(reply.take_buffer());
    }
}
