//! Replies that wait until what they speak of is on the disk: `appendfsync always`.
//!
//! Everything that is owed to clients at the end of a turn gets a barrier at the end of the append-only file as it is
//! then: a reply to a write must not come before the write is safe, and no other client may see the write either. The
//! loop goes on meanwhile, and so do the pipelines of these clients; one sync lets go the replies of all turns before it.
//!
//! The room knows no file: positions of the file only grow, and somebody says how far it is safe.

use std::collections::VecDeque;

use crate::reactor::ConnId;

/// Output of a client, up to a position, waits for a position in the file.
struct Barrier {
    /// In the file.
    at: u64,
    conn: ConnId,
    /// In the client's output since it connected.
    output: u64,
}

/// What may be sent to a client that waits.
#[derive(Clone, Copy, Default)]
struct Held {
    conn: Option<ConnId>,
    /// Barriers that are not passed.
    pending: u32,
    /// Output up to here may be sent.
    allowed: u64,
    /// Output up to here has a barrier.
    guarded: u64,
}

/// All barriers, the oldest first.
#[derive(Default)]
pub(super) struct Barriers {
    barriers: VecDeque<Barrier>,
    /// By the index of the connection.
    held: Vec<Held>,
}

impl Barriers {
    /// The output of a client from `sent` on up to `output` waits until the file is safe up to `at`.
    pub(super) fn hold(&mut self, conn: ConnId, sent: u64, output: u64, at: u64) {
        let index = conn.index as usize;
        if self.held.len() <= index {
            self.held.resize(index + 1, Held::default());
        }
        let held = &mut self.held[index];
        if held.conn != Some(conn) {
            *held = Held { conn: Some(conn), pending: 0, allowed: sent, guarded: sent };
        } else if held.pending == 0 {
            held.guarded = held.guarded.max(sent);
            held.allowed = held.guarded;
        }
        if output > held.guarded {
            held.guarded = output;
            held.pending += 1;
            self.barriers.push_back(Barrier { at, conn, output });
        }
    }

    /// The output of a client up to `output` has waited for what it speaks of, in another place.
    pub(super) fn set_free(&mut self, conn: ConnId, output: u64) {
        if self.held.len() <= conn.index as usize {
            self.held.resize(conn.index as usize + 1, Held::default());
        }
        let held = &mut self.held[conn.index as usize];
        if held.conn != Some(conn) || held.pending == 0 {
            *held = Held { conn: Some(conn), pending: 0, allowed: output, guarded: output };
        }
        held.guarded = output;
    }

    /// Up to where the output of a client may be sent; none: all of it.
    pub(super) fn allowed(&self, conn: ConnId) -> Option<u64> {
        let held = self.held.get(conn.index as usize)?;
        (held.conn == Some(conn) && held.pending > 0).then_some(held.allowed)
    }

    /// The file is safe up to `at`: names the clients that have something to be sent now.
    pub(super) fn pass(&mut self, at: u64, mut on: impl FnMut(ConnId)) {
        while let Some(barrier) = self.barriers.front().filter(|barrier| barrier.at <= at) {
            let held = &mut self.held[barrier.conn.index as usize];
            if held.conn == Some(barrier.conn) {
                held.pending -= 1;
                held.allowed = barrier.output;
                on(barrier.conn);
            }
            self.barriers.pop_front();
        }
        if self.barriers.is_empty() {
            self.barriers.shrink_to(BARRIERS_KEPT);
        }
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.barriers.is_empty()
    }
}

/// Room for so many is kept.
const BARRIERS_KEPT: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(index: u32, generation: u32) -> ConnId {
        ConnId { index, generation }
    }

    fn passed(barriers: &mut Barriers, at: u64) -> Vec<u32> {
        let mut told = Vec::new();
        barriers.pass(at, |conn| told.push(conn.index));
        told
    }

    #[test]
    fn output_is_let_go_as_the_file_gets_safe() {
        let mut b = Barriers::default();
        assert_eq!(b.allowed(conn(1, 0)), None);
        b.hold(conn(1, 0), 100, 150, 10);
        b.hold(conn(2, 0), 0, 5, 10);
        b.hold(conn(1, 0), 100, 150, 20); // nothing new is owed
        b.hold(conn(1, 0), 100, 170, 20);
        assert_eq!((b.allowed(conn(1, 0)), b.allowed(conn(2, 0))), (Some(100), Some(0)));
        assert!(passed(&mut b, 9).is_empty());
        assert_eq!(passed(&mut b, 15), [1, 2]);
        assert_eq!((b.allowed(conn(1, 0)), b.allowed(conn(2, 0))), (Some(150), None));
        assert_eq!(passed(&mut b, 20), [1]);
        assert_eq!(b.allowed(conn(1, 0)), None);
        assert!(b.is_empty());
    }

    #[test]
    fn what_has_waited_elsewhere_does_not_wait_again() {
        let mut b = Barriers::default();
        b.set_free(conn(1, 0), 50);
        b.hold(conn(1, 0), 20, 50, 10);
        assert_eq!(b.allowed(conn(1, 0)), None);
        b.hold(conn(1, 0), 20, 60, 10);
        assert_eq!(b.allowed(conn(1, 0)), Some(50));
        b.set_free(conn(1, 0), 70);
        b.hold(conn(1, 0), 20, 70, 20);
        assert_eq!(b.allowed(conn(1, 0)), Some(50), "but it comes behind what waits");
        assert_eq!(passed(&mut b, 10), [1]);
        assert_eq!(b.allowed(conn(1, 0)), None);
        b.hold(conn(1, 0), 70, 80, 30);
        assert_eq!(b.allowed(conn(1, 0)), Some(70));
    }

    #[test]
    fn a_new_client_in_the_same_place_waits_for_itself_alone() {
        let mut b = Barriers::default();
        b.hold(conn(1, 0), 0, 9, 10);
        assert_eq!(b.allowed(conn(1, 1)), None);
        b.hold(conn(1, 1), 0, 3, 20);
        assert_eq!(passed(&mut b, 10), Vec::<u32>::new());
        assert_eq!(b.allowed(conn(1, 1)), Some(0));
        assert_eq!(passed(&mut b, 20), [1]);
        assert_eq!(b.allowed(conn(1, 1)), None);
    }
}
