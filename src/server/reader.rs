//! The thread that answers long reads (`exec/long_read.rs`): one at a time, in order of arrival.
//!
//! It starts with the first read, and works for as long as the server runs. It reads a snapshot and allocates what it
//! replies, and touches nothing else. Where there are no more processors than busy threads it keeps the main thread
//! waiting for half a millisecond at most (`sys/priority.rs`).

use std::sync::mpsc::{Sender, channel};

use super::host::Mail;
use crate::exec::long_read::{ReadDone, ReadJob};
use crate::reactor::Mailbox;
use crate::sys::clock::Clock;
use crate::sys::priority;

/// The way to the thread.
#[derive(Default)]
pub(super) struct Reader {
    queue: Option<Sender<ReadJob>>,
}

/// What came of a read, and how long it took.
#[derive(Debug)]
pub struct Report {
    pub(super) done: ReadDone,
    pub(super) duration_ns: u64,
}

impl Reader {
    /// Gives a job to the thread; does it here if there can be no thread.
    pub(super) fn take(&mut self, job: ReadJob, mailbox: Mailbox<Mail>, clock: Clock) {
        if self.queue.is_none() {
            self.queue = start(mailbox.clone(), clock);
        }
        let refused = match &self.queue {
            Some(queue) => queue.send(job).err().map(|refused| refused.0),
            None => Some(job),
        };
        if let Some(job) = refused {
            run(job, &mailbox, clock);
        }
    }
}

fn run(job: ReadJob, mailbox: &Mailbox<Mail>, clock: Clock) {
    let began_ns = clock.mono_ns();
    let done = job.run();
    let duration_ns = clock.mono_ns().saturating_sub(began_ns);
    // Nobody takes mail any more only when the process is about to end.
    let _ = mailbox.send(Mail::Read(Box::new(Report { done, duration_ns })));
}

fn start(mailbox: Mailbox<Mail>, clock: Clock) -> Option<Sender<ReadJob>> {
    let (queue, arriving) = channel::<ReadJob>();
    let read_all = move || {
        priority::begin_steady();
        arriving.into_iter().for_each(|job| run(job, &mailbox, clock));
    };
    std::thread::Builder::new().name("reader".to_owned()).spawn(read_all).ok()?;
    Some(queue)
}
