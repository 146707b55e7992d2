//! How other threads reach the loop: a queue and a wake-up.
//!
//! A thousand messages sent while the loop is busy wake it once. The flag says that a wake-up is on its way; the
//! loop lowers it *before* it empties the queue, so a message sent after that raises it again and cannot be missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use mio::Waker;

/// The sending end. Clone it freely.
#[derive(Debug)]
pub struct Mailbox<M> {
    queue: Sender<M>,
    bell: Arc<Bell>,
}

#[derive(Debug)]
struct Bell {
    waker: Waker,
    rung: AtomicBool,
}

/// The loop's end.
#[derive(Debug)]
pub(super) struct Letterbox<M> {
    queue: Receiver<M>,
    mailbox: Mailbox<M>,
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), bell: Arc::clone(&self.bell) }
    }
}

impl<M> Mailbox<M> {
    /// Sends, and wakes the loop. Gives the message back when the loop is gone.
    pub fn send(&self, message: M) -> Result<(), M> {
        self.queue.send(message).map_err(|refused| refused.0)?;
        if !self.bell.rung.swap(true, Ordering::AcqRel) {
            // Waking fails only when the kernel is out of memory; the message then waits for the next turn.
            let _ = self.bell.waker.wake();
        }
        Ok(())
    }
}

impl<M> Letterbox<M> {
    pub(super) fn new(waker: Waker) -> Self {
        let (sender, queue) = channel();
        let bell = Arc::new(Bell { waker, rung: AtomicBool::new(false) });
        Self { queue, mailbox: Mailbox { queue: sender, bell } }
    }

    pub(super) fn mailbox(&self) -> Mailbox<M> {
        self.mailbox.clone()
    }

    /// Everything sent so far, in order.
    pub(super) fn take_all(&self) -> impl Iterator<Item = M> + '_ {
        self.mailbox.bell.rung.swap(false, Ordering::AcqRel);
        self.queue.try_iter()
    }
}
