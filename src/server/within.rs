//! A turn within a command: one that takes long lets the other clients be answered meanwhile.
//!
//! The session of the calling client is out of the collection, so nothing of that client is read, executed, sent or
//! closed; all that has become of its connection is found when the command is over. What the loop was in the middle of
//! is brought to an end first: the rest of the batch is executed, since its requests point into query buffers that are
//! to be read into, and its group is left. Then the turn has a batch and a group of its own, and only those of the
//! calling client are there again afterwards.
//!
//! The command is one step for others all the same: what it has changed is told, and those who wait for a key are
//! served, when it is over. Who may run what meanwhile is for the gates to say.
//!
//! What is done here is what others cannot wait for: bytes in, requests, replies out. Keys expire, memory is evicted and
//! the cron runs when the command is over.

use std::time::Duration;

use super::batch::Group;
use super::{Server, notes};
use crate::exec::instance::{Alert, Instance};

impl Server {
    /// One turn without waiting, from within a command.
    pub(super) fn turn_within(&mut self, inst: &mut Instance) {
        let (began_ms, began_ns) = (inst.now_ms, inst.stamp_ns);
        let unit = inst.keyspace.set_unit_aside();
        self.execute(inst);
        self.settle(inst);
        let group = self.leave_all_but_callers(inst);
        let batch = std::mem::take(&mut self.batch);

        let mut events = std::mem::take(&mut self.events);
        let now_ns = self.now_ns();
        if let Err(error) = self.reactor.turn(now_ns, Some(Duration::ZERO), &mut events) {
            notes::poll_failed(inst, &error);
        }
        self.tell_time(inst);
        // The loop is alive, however long the command takes.
        inst.metrics.turn_started_us.set(inst.now_ms as u64 * 1000);
        self.route(inst, &mut events);
        self.events = events;
        self.serve_ready(inst);
        self.settle(inst);
        self.flush_all(inst);
        self.settle(inst);

        if inst.alert.has(Alert::BUSY_SCRIPT) {
            self.end_amid_script(inst);
        }

        self.executed = batch.len();
        (self.batch, self.group) = (batch, group);
        inst.keyspace.take_unit_back(unit);
        // The command goes on in the time in which it began.
        (inst.now_ms, inst.stamp_ns) = (began_ms, began_ns);
    }

    /// Leaves the group at hand; what remains are clients that are in the middle of a command.
    fn leave_all_but_callers(&mut self, inst: &mut Instance) -> Group {
        let mut group = std::mem::take(&mut self.group);
        let is_calling = |inst: &Instance, slot| inst.clients.at(slot).is_none();
        group.active.retain(|&slot| is_calling(inst, slot));
        group.slots.retain(|&slot| {
            let calling = is_calling(inst, slot);
            if !calling {
                self.leave_group(inst, slot);
            }
            calling
        });
        group
    }
}
