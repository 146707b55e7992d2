//! When the loop has to wake up though nothing happens: the server's own deadlines, in one place.
//!
//! The instance has deadlines of its own (clients that wait, keys that expire), and says which is the next of them
//! ([`Instance::next_deadline_ns`](crate::exec::instance::Instance::next_deadline_ns)).

use crate::reactor::{TimerId, Timers};

/// What is to be done when a deadline is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    /// What is done `hz` times a second.
    Cron,
    /// A link's deadline is over.
    Link(u64),
}

/// All that is to be done at some time.
pub(super) struct Deadlines {
    timers: Timers<Due>,
    /// The earliest of them; `u64::MAX` when there is none. Every turn asks for it.
    next_ns: u64,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        Deadlines { timers: Timers::new(), next_ns: u64::MAX }
    }
}

impl Deadlines {
    /// Has something done at `at_ns`.
    pub(super) fn set(&mut self, at_ns: u64, what: Due) -> TimerId {
        self.next_ns = self.next_ns.min(at_ns);
        self.timers.set(at_ns, what)
    }

    /// The earliest deadline; `u64::MAX` when there is none.
    #[inline]
    pub(super) fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// Something whose time has come; call until `None`.
    #[inline]
    pub(super) fn take_due(&mut self, now_ns: u64) -> Option<Due> {
        if now_ns < self.next_ns {
            return None;
        }
        let due = self.timers.pop_due(now_ns);
        self.note_next();
        due.map(|(_, what)| what)
    }

    /// Takes something back that was to be done.
    pub(super) fn cancel(&mut self, id: TimerId) {
        self.timers.cancel(id);
        self.note_next();
    }

    fn note_next(&mut self) {
        self.next_ns = self.timers.next_deadline().unwrap_or(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_one_is_known_whatever_is_set_and_cancelled() {
        let mut deadlines = Deadlines::default();
        assert_eq!((deadlines.next_ns(), deadlines.take_due(u64::MAX - 1)), (u64::MAX, None));
        deadlines.set(30, Due::Cron);
        let first = deadlines.set(10, Due::Link(1));
        deadlines.set(20, Due::Link(2));
        assert_eq!(deadlines.next_ns(), 10);
        deadlines.cancel(first);
        assert_eq!((deadlines.next_ns(), deadlines.take_due(19)), (20, None));
        assert_eq!((deadlines.take_due(20), deadlines.next_ns()), (Some(Due::Link(2)), 30));
        assert_eq!(
            (deadlines.take_due(29), deadlines.take_due(40), deadlines.take_due(40)),
            (None, Some(Due::Cron), None)
        );
        assert_eq!(deadlines.next_ns(), u64::MAX);
    }
}
