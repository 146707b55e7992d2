//! The lease of a primary (`primary-lease-ms`): it takes writes only while it knows that enough replicas still followed it a
//! moment ago. One that is cut off, or was stopped and goes on, finds out by itself, and before it has taken a write.
//!
//! That a replica has said something lately does not prove it: its words may have lain in a socket for a minute. So it counts
//! from when it was *asked*. Where the stream ended when the question was in it is remembered with the time; a replica that
//! has that much has read the question.

use std::collections::VecDeque;

use crate::exec::instance::{Alert, Instance};

/// In the time of a lease replicas are asked so often.
const ASKED_TIMES: u64 = 8;

/// Of more questions than that, in the same time, only some are remembered.
const REMEMBERED_TIMES: u64 = 64;

/// See the module's header.
#[derive(Default)]
pub(super) struct Lease {
    /// Where questions ended in the stream, and when they were asked. The oldest first.
    questions: VecDeque<(u64, u64)>,
    /// Writes are taken before that, on the monotonic clock.
    until_ns: u64,
    /// For how long, and from how many replicas, that was promised.
    terms: (u64, usize),
}

impl Lease {
    /// Replicas were asked now: they have read that when they have everything up to `end`.
    pub(super) fn asked(&mut self, end: u64, now_ns: u64, lease_ms: u32) {
        if lease_ms == 0 {
            return;
        }
        let lease_ns = u64::from(lease_ms) * 1_000_000;
        let last_ns = self.questions.back().map(|question| question.1);
        if last_ns.is_some_and(|last_ns| now_ns < last_ns + lease_ns / REMEMBERED_TIMES) {
            return;
        }
        while self.questions.front().is_some_and(|question| question.1 + lease_ns < now_ns) {
            self.questions.pop_front();
        }
        self.questions.push_back((end, now_ns));
    }

    /// When the last question was asked that a replica with so much has read.
    pub(super) fn asked_before(&self, acknowledged: u64) -> Option<u64> {
        let read = self.questions.partition_point(|question| question.0 <= acknowledged);
        Some(self.questions.get(read.checked_sub(1)?)?.1)
    }

    /// What replicas of another time have said counts no more.
    pub(super) fn forget(&mut self) {
        *self = Lease::default();
    }
}

impl Instance {
    fn lease_ns(&self) -> u64 {
        u64::from(self.config.replication.primary_lease_ms) * 1_000_000
    }

    /// A replica has said something, or is there no more.
    pub(super) fn extend_lease(&mut self) {
        let lease_ns = self.lease_ns();
        if lease_ns == 0 || self.is_replica() {
            return self.replication.lease.forget();
        }
        let wanted = self.config.replication.write_acks.max(1) as usize;
        if std::mem::replace(&mut self.replication.lease.terms, (lease_ns, wanted)) != (lease_ns, wanted) {
            self.replication.lease.until_ns = 0;
        }
        let follow = self.replication.replicas.iter().filter(|replica| replica.follows());
        let mut heard: Vec<u64> = follow.filter_map(|replica| replica.heard_ns).collect();
        heard.sort_unstable_by(|a, b| b.cmp(a));
        if let Some(heard_ns) = heard.get(wanted - 1) {
            // What was promised once stays promised when a replica goes.
            let lease = &mut self.replication.lease;
            lease.until_ns = lease.until_ns.max(heard_ns + lease_ns);
        }
    }

    /// Several times a second: replicas are asked as often as the lease needs it.
    pub(super) fn ask_for_lease(&mut self) {
        let (lease_ns, last) = (self.lease_ns(), self.replication.lease.questions.back());
        let is_due = last.is_none_or(|last| self.stamp_ns >= last.1 + lease_ns / ASKED_TIMES);
        if lease_ns > 0 && is_due && !self.replication.replicas.is_empty() {
            self.replication.asks_how_far = true;
        }
    }

    /// For INFO: whether writes are taken, where that depends on replicas.
    pub fn lease_is_held(&self) -> Option<bool> {
        self.alert.has(Alert::LEASE).then(|| self.has_lease())
    }

    /// Whether enough replicas have answered lately: none may have been promoted yet.
    pub fn has_lease(&self) -> bool {
        self.stamp_ns < self.replication.lease.until_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_replica_is_heard_when_it_has_read_the_question() {
        let mut lease = Lease::default();
        assert_eq!(lease.asked_before(1000), None);
        lease.asked(100, 10 * MS, 1000);
        lease.asked(200, 200 * MS, 1000);
        lease.asked(300, 400 * MS, 1000);
        assert_eq!(lease.asked_before(99), None, "words from before the question");
        assert_eq!(lease.asked_before(100), Some(10 * MS));
        assert_eq!(lease.asked_before(299), Some(200 * MS));
        assert_eq!(lease.asked_before(5000), Some(400 * MS));
        // What is older than a lease helps nobody.
        lease.asked(400, 1300 * MS, 1000);
        assert_eq!((lease.questions.len(), lease.asked_before(250)), (2, None));
    }

    #[test]
    fn of_many_questions_some_are_remembered() {
        let mut lease = Lease::default();
        (0..100_000).for_each(|at| lease.asked(at, at * MS / 50, 1000));
        assert!((32..80).contains(&lease.questions.len()), "{}", lease.questions.len());
        let none = &mut Lease::default();
        none.asked(1, MS, 0);
        assert!(none.questions.is_empty());
    }
}
