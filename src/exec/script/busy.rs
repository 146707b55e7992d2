//! A run that takes long. From `busy-reply-threshold` on the loop has turns in the middle of it: other clients are answered
//! that something runs, and may ask for it to be stopped.

use super::run::Task;
use crate::exec::ctx::Host;
use crate::exec::error::CommandError;
use crate::exec::instance::{Alert, Instance};
use crate::observe::keys;
use crate::observe::log::Level;
use crate::resp::{Args, OwnedArgs};
use crate::script::Kind;

/// What runs, for those who ask meanwhile.
pub struct Running {
    /// What it is.
    pub kind: Kind,
    /// A digest, or the name of a function.
    pub name: String,
    /// The request that runs it.
    pub request: OwnedArgs,
    /// When it began, monotonic ns.
    pub began_ns: u64,
    /// It has written, and that cannot be taken back.
    pub is_unkillable: bool,
    /// Somebody wants it to be stopped.
    is_to_stop: bool,
}

/// A busy script runs for so long between two turns of the others.
const BETWEEN_TURNS_NS: u64 = 300_000;

/// The time of a run.
pub(super) struct Busy<'a> {
    kind: Kind,
    name: &'a [u8],
    request: Args<'a>,
    began_ns: u64,
    /// Others have had a turn.
    is_busy: bool,
    /// When they had the last one.
    served_ns: u64,
}

impl<'a> Busy<'a> {
    pub fn new(task: &Task<'a>, began_ns: u64) -> Busy<'a> {
        let Task { kind, name, request, .. } = *task;
        Busy { kind, name, request, began_ns, is_busy: false, served_ns: 0 }
    }

    /// Looks at the time, and lets others have a turn if it is theirs. Why the run has to end, if it has.
    pub fn look(&mut self, inst: &mut Instance, host: &mut dyn Host, is_unkillable: bool) -> Option<&'static str> {
        let now_ns = host.now_ns();
        let spent_ms = now_ns.saturating_sub(self.began_ns) / 1_000_000;
        let (threshold_ms, limit_ms) = (inst.config.limits.busy_reply_threshold, inst.config.limits.lua_timeout_kill);
        let (threshold_ms, limit_ms) = (threshold_ms as u64, limit_ms as u64);
        if limit_ms > 0 && spent_ms >= limit_ms && !is_unkillable {
            let name = String::from_utf8_lossy(self.name).into_owned();
            inst.log.warning("Script stopped after lua-timeout-kill", &[(keys::SCRIPT, &name)]);
            return Some("Script killed: it ran for longer than lua-timeout-kill allows.");
        }
        if threshold_ms == 0 || spent_ms < threshold_ms || now_ns.saturating_sub(self.served_ns) < BETWEEN_TURNS_NS {
            return None;
        }
        if !self.is_busy {
            self.is_busy = true;
            let command = match self.kind {
                Kind::Scripts => "SCRIPT KILL",
                Kind::Functions => "FUNCTION KILL",
            };
            inst.log.log(
                Level::Warning,
                &format!(
                    "Slow script detected: still in execution after {spent_ms} milliseconds. You can try killing the \
                     script using the {command} command. Script name is: {}.",
                    String::from_utf8_lossy(self.name)
                ),
                &[],
            );
            inst.alert.put(Alert::BUSY_SCRIPT, true);
            inst.scripts.running = Some(Running {
                kind: self.kind,
                name: String::from_utf8_lossy(self.name).into_owned(),
                request: self.request.into(),
                began_ns: self.began_ns,
                is_unkillable,
                is_to_stop: false,
            });
        }
        if let Some(running) = &mut inst.scripts.running {
            running.is_unkillable = is_unkillable;
        }
        self.served_ns = now_ns;
        // What it sends is not certain yet.
        let outbox = std::mem::take(&mut inst.outbox);
        host.serve_others(inst);
        inst.deliver(None);
        inst.outbox.take_back(outbox);
        let is_to_stop = inst.scripts.running.as_ref().is_some_and(|running| running.is_to_stop);
        if !is_to_stop {
            return None;
        }
        let why = match self.kind {
            Kind::Scripts => "Script killed by user with SCRIPT KILL.",
            Kind::Functions => "Script killed by user with FUNCTION KILL.",
        };
        inst.log.notice(why, &[(keys::SCRIPT, &String::from_utf8_lossy(self.name).into_owned())]);
        Some(why)
    }

    /// It is over.
    pub fn end(self, inst: &mut Instance) {
        if self.is_busy {
            inst.alert.put(Alert::BUSY_SCRIPT, false);
            inst.scripts.running = None;
        }
    }
}

const NOT_BUSY: CommandError = CommandError::fixed("NOTBUSY No scripts in execution right now.");
const UNKILLABLE: CommandError = CommandError::fixed(
    "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script \
     termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
);

/// What who may not run now is told.
pub(crate) const BUSY_SCRIPT: CommandError =
    CommandError::fixed("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.");
const BUSY_FUNCTION: CommandError =
    CommandError::fixed("BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.");

impl Instance {
    /// What a client is told that may not run its command while a script runs.
    pub fn busy_error(&self) -> CommandError {
        match &self.scripts.running {
            Some(running) if running.kind == Kind::Functions => BUSY_FUNCTION,
            _ => BUSY_SCRIPT,
        }
    }

    /// SCRIPT KILL and FUNCTION KILL.
    pub fn stop_script(&mut self, kind: Kind) -> Result<(), CommandError> {
        let busy = self.busy_error();
        let Some(running) = &mut self.scripts.running else { return Err(NOT_BUSY) };
        if running.kind != kind {
            return Err(busy);
        }
        if running.is_unkillable {
            return Err(UNKILLABLE);
        }
        running.is_to_stop = true;
        Ok(())
    }
}
