//! The unit at hand is set aside while others are served in the middle of it: what it has changed so far is neither told
//! nor seen by those who wait until it is over.

use std::collections::VecDeque;

use super::blocking_keys::BlockingKey;
use super::keyspace::{Keyspace, Side};
use super::trace::Trace;

/// What a unit has left behind so far.
pub struct UnitAside {
    /// Keys that it changed and somebody waits for.
    ready: VecDeque<BlockingKey>,
    /// What others are to be told.
    trace: Trace,
    /// How much the command at hand has changed.
    changed: u64,
}

impl Keyspace {
    /// Sets the unit at hand aside.
    pub fn set_unit_aside(&mut self) -> UnitAside {
        let Side { trace, stats, blocking_keys, .. } = &mut self.side;
        let aside = UnitAside {
            ready: blocking_keys.set_ready_aside(),
            changed: stats.dirty.wrapping_sub(trace.dirty()),
            trace: trace.set_aside(stats.dirty),
        };
        self.side.note_waiting();
        aside
    }

    /// Goes on with it.
    pub fn take_unit_back(&mut self, aside: UnitAside) {
        let Side { trace, stats, blocking_keys, .. } = &mut self.side;
        blocking_keys.take_back(aside.ready);
        trace.take_back(aside.trace, stats.dirty.wrapping_sub(aside.changed));
        self.side.note_waiting();
    }
}

#[cfg(test)]
mod tests {
    use crate::db::testing::World;
    use crate::resp::OwnedArgs;

    /// Two commands, the second of them in the middle of the first: each is repeated once, for its own changes.
    #[test]
    fn a_unit_within_a_unit_has_a_trace_of_its_own() {
        let mut w = World::with(&[]);
        let ops = |w: &World| {
            w.ks.trace().ops().map(|op| String::from_utf8_lossy(op.request).into_owned()).collect::<Vec<_>>()
        };
        w.ks.set_propagation(true);
        w.ks.begin_command();
        w.on("a", |db, k| db.append(k, b"1").unwrap());
        let aside = w.ks.set_unit_aside();
        w.ks.begin_command();
        w.ks.end_command(0, OwnedArgs::from_parts(["PING"]).view());
        assert!(ops(&w).is_empty(), "it changed nothing");
        w.ks.begin_command();
        w.on("b", |db, k| db.append(k, b"2").unwrap());
        w.ks.end_command(0, OwnedArgs::from_parts(["INNER"]).view());
        assert_eq!(ops(&w), ["*1\r\n$5\r\nINNER\r\n"]);
        w.ks.trace_mut().clear_ops();
        w.ks.take_unit_back(aside);
        w.ks.end_command(0, OwnedArgs::from_parts(["OUTER"]).view());
        assert_eq!(ops(&w), ["*1\r\n$5\r\nOUTER\r\n"]);
    }
}
