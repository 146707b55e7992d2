//! FAILOVER: a primary hands its part over to a replica that has everything, without losing a write.
//!
//! ```text
//!   no-failover --> waiting-for-sync: writes wait, until a replica has all of them
//!                        |
//!                        v
//!                   failover-in-progress: we follow that replica, and ask it to be the primary
//!                        |
//!        it accepts -----+----- it refuses, or somebody says ABORT: we are the primary again
//! ```

use crate::exec::ctx::Host;
use crate::exec::error::CommandError;
use crate::exec::instance::{Ask, Instance};
use crate::exec::link::Address;
use crate::exec::replication::Replica;
use crate::observe::log::Level;

/// What FAILOVER asks for.
#[derive(Clone, Debug, Default)]
pub struct FailoverPlan {
    /// To which replica; none: to the first that has everything.
    pub target: Option<Address>,
    /// When the time is over, it is done though the replica lacks something.
    pub force: bool,
    /// How long to wait, ms.
    pub timeout_ms: Option<i64>,
}

/// One that goes on.
pub(super) struct Failover {
    target: Option<Address>,
    force: bool,
    /// When the waiting is over, ms since 1970.
    until_ms: Option<i64>,
    /// A replica was asked.
    is_asked: bool,
}

fn refused(why: &str) -> CommandError {
    CommandError::text(format!("ERR {why}"))
}

impl Instance {
    /// `master_failover_state`.
    pub fn failover_state(&self) -> &'static str {
        match &self.replication.failover {
            None => "no-failover",
            Some(failover) if failover.is_asked => "failover-in-progress",
            Some(_) => "waiting-for-sync",
        }
    }

    /// Whether one goes on.
    pub fn fails_over(&self) -> bool {
        self.replication.failover.is_some()
    }

    fn replica_at(&self, address: &Address) -> Option<&Replica> {
        self.replication.replicas.iter().find(|replica| {
            replica.facts.port == i32::from(address.port) && replica.address(&self.clients) == *address.host
        })
    }

    /// FAILOVER.
    pub fn fail_over(&mut self, plan: FailoverPlan) -> Result<(), CommandError> {
        if self.fails_over() {
            return Err(refused("FAILOVER already in progress."));
        }
        if self.is_replica() {
            return Err(refused("FAILOVER is not valid when server is a replica."));
        }
        if self.replication.replicas.is_empty() {
            return Err(refused("FAILOVER requires connected replicas."));
        }
        if plan.force && (plan.timeout_ms.is_none() || plan.target.is_none()) {
            return Err(refused(
                "FAILOVER with force option requires both a timeout and target HOST and IP to be set.",
            ));
        }
        if let Some(target) = &plan.target {
            let replica = self.replica_at(target);
            let replica = replica.ok_or_else(|| refused("FAILOVER target HOST and PORT is not a replica."))?;
            if !replica.follows() {
                return Err(refused("FAILOVER target replica is not online."));
            }
            let text = format!("FAILOVER requested to {}:{}.", target.host.escape_ascii(), target.port);
            self.log.log(Level::Notice, &text, &[]);
        } else {
            self.log.notice("FAILOVER requested.", &[]);
        }
        let until_ms = plan.timeout_ms.map(|ms| self.now_ms.saturating_add(ms));
        self.replication.failover =
            Some(Failover { target: plan.target, force: plan.force, until_ms, is_asked: false });
        self.pause.for_failover = true;
        self.refresh_pause();
        Ok(())
    }

    /// FAILOVER ABORT.
    pub fn abort_failover(&mut self, host: &mut dyn Host) -> Result<(), CommandError> {
        if !self.fails_over() {
            return Err(refused("No failover in progress."));
        }
        self.give_up_failover("Failover manually aborted", host);
        Ok(())
    }

    /// We stay the primary, or are it again.
    pub(super) fn give_up_failover(&mut self, why: &str, host: &mut dyn Host) {
        let Some(failover) = self.replication.failover.take() else { return };
        self.log.log(Level::Notice, &format!("Aborting failover: {why}"), &[]);
        if failover.is_asked {
            self.promote("the failover", host);
        }
        self.end_failover();
    }

    /// Writes wait no more: they run, or learn that this is a replica.
    pub(super) fn end_failover(&mut self) {
        self.replication.failover = None;
        self.pause.for_failover = false;
        self.refresh_pause();
        self.asks.push(Ask::Resume);
    }

    /// Now and then, and when a replica says how far it is: looks whether one has everything.
    pub(super) fn continue_failover(&mut self, host: &mut dyn Host) {
        let Some(failover) = self.replication.failover.as_ref().filter(|failover| !failover.is_asked) else { return };
        let end = self.replication.feed.end();
        let has_all = |replica: &&Replica| replica.follows() && replica.acknowledged == end;
        let target = match &failover.target {
            Some(target) => self.replica_at(target).filter(has_all),
            None => self.replication.replicas.iter().find(has_all),
        };
        let synced = target.map(|replica| Address {
            host: replica.address(&self.clients).into(),
            port: u16::try_from(replica.facts.port).unwrap_or(0),
        });
        let is_over = failover.until_ms.is_some_and(|until_ms| self.now_ms >= until_ms);
        let (target, why) = match (synced, &failover.target) {
            (Some(target), _) => (target, "is synced, failing over."),
            (None, Some(target)) if is_over && failover.force => (target.clone(), "time out exceeded, failing over."),
            (None, _) if is_over => {
                return self.give_up_failover("Replica never caught up before timeout", host);
            }
            _ => return,
        };
        let text = format!("Failover target {}:{} {why}", target.host.escape_ascii(), target.port);
        self.log.log(Level::Notice, &text, &[]);
        if let Some(failover) = &mut self.replication.failover {
            failover.is_asked = true;
        }
        self.replicate(target, "the failover", host);
    }

    /// Whether the replica that we follow now is asked to be the primary.
    pub(super) fn asks_to_take_over(&self) -> bool {
        self.replication.failover.as_ref().is_some_and(|failover| failover.is_asked)
    }

    /// PSYNC with FAILOVER: our primary asks us to take its part.
    pub fn take_over(&mut self, id: &[u8], asker: &str, host: &mut dyn Host) -> Result<(), CommandError> {
        self.log.log(Level::Notice, &format!("Failover request received for replid {}.", id.escape_ascii()), &[]);
        if !self.is_replica() {
            return Err(refused("PSYNC FAILOVER can't be sent to a master."));
        }
        if !self.replication.history.id().is(id) {
            return Err(refused("PSYNC FAILOVER replid must match my replid."));
        }
        self.promote(asker, host);
        Ok(())
    }
}
