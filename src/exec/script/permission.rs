//! What must hold before a script runs, and before each of its calls.
//!
//! The order is Redis's: whoever breaks two rules is told of the first.

use super::eval::parse_digest;
use crate::exec::error::{self, CommandError};
use crate::exec::gate;
use crate::exec::instance::{Alert, Instance};
use crate::exec::spec::{Flags, Group, ScriptName};
use crate::exec::table::Command;
use crate::resp::Args;
use crate::script::{ScriptFlags, Shebang};

const STALE: CommandError = CommandError::fixed(
    "MASTERDOWN Link with MASTER is down, replica-serve-stale-data is set to 'no' and 'allow-stale' flag is not set on \
     the script.",
);
const READ_ONLY: CommandError =
    CommandError::fixed("READONLY You can not run script with write flag on readonly replica.");
const NO_WRITES: CommandError = CommandError::fixed("ERR Can not execute a script with write flag using *_ro command.");
const OOM: CommandError =
    CommandError::fixed("OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'");
const DISK_ERROR: CommandError = CommandError::fixed(
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Writable scripts \
     are blocked. Use 'no-writes' flag for read only scripts.",
);

/// What a run may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Permission {
    /// It may not write.
    pub is_read_only: bool,
    /// Memory does not matter.
    pub may_exceed_memory: bool,
    /// Memory was full when it began.
    pub is_memory_full: bool,
}

impl Instance {
    /// The flags of a request: those of the command, and of one that runs a script what the script says of itself.
    #[inline]
    pub fn flags_of(&self, command: &Command, args: Args<'_>) -> Flags {
        match command.flags.has(Flags::RUNS_SCRIPT) {
            true => self.flags_of_script(command, args),
            false => command.flags,
        }
    }

    #[cold]
    fn flags_of_script(&self, command: &Command, args: Args<'_>) -> Flags {
        let Some(said) = self.script_flags_of(command, args) else { return command.flags };
        let writes = !said.has(ScriptFlags::NO_WRITES);
        let mut flags =
            command.flags.without(Flags::STALE.or(Flags::DENYOOM).or(Flags::WRITE).or(Flags::MAY_REPLICATE));
        if writes && !said.has(ScriptFlags::ALLOW_OOM) {
            flags = flags.or(Flags::DENYOOM);
        }
        if writes {
            flags = flags.or(Flags::WRITE);
        }
        if said.has(ScriptFlags::ALLOW_STALE) {
            flags = flags.or(Flags::STALE);
        }
        flags
    }

    /// What the script that a request would run says of itself, if it says anything.
    fn script_flags_of(&self, command: &Command, args: Args<'_>) -> Option<ScriptFlags> {
        let name = args.get(1)?;
        let cache = &self.scripts.cache;
        match command.spec.script? {
            ScriptName::Function => Some(self.scripts.libraries.function(name)?.flags),
            ScriptName::Digest => cache.get(cache.by_digest(&parse_digest(name)?)?).flags,
            ScriptName::Text => match cache.by_body(name) {
                Some(at) => cache.get(at).flags,
                None => Shebang::of_script(name).ok().flatten().map(|shebang| shebang.flags),
            },
        }
    }

    /// Whether a script may run. `flags`: what it says of itself, none if it says nothing. `must_not_write`: it was called
    /// by one of the commands that only read.
    pub(super) fn may_run(
        &mut self,
        flags: Option<ScriptFlags>,
        must_not_write: bool,
    ) -> Result<Permission, CommandError> {
        let is_stale = self.alert.has(Alert::STALE);
        let is_memory_full = self.alert.has(Alert::LIMITED_MEMORY) && !self.is_within_memory();
        let Some(flags) = flags else {
            if is_stale {
                return Err(error::PRIMARY_DOWN);
            }
            return Ok(Permission { is_read_only: must_not_write, may_exceed_memory: false, is_memory_full });
        };
        if is_stale && !flags.has(ScriptFlags::ALLOW_STALE) {
            return Err(STALE);
        }
        if !flags.has(ScriptFlags::NO_WRITES) {
            if self.alert.has(Alert::READ_ONLY) {
                return Err(READ_ONLY);
            }
            if self.alert.has(Alert::AOF_ERROR) {
                return Err(self.aof_refusal_of_scripts());
            }
            if self.alert.has(Alert::DISK_ERROR) {
                return Err(DISK_ERROR);
            }
            if must_not_write {
                return Err(NO_WRITES);
            }
            gate::replicas(self, Flags::WRITE).map_or(Ok(()), Err)?;
        }
        if is_memory_full && !flags.has(ScriptFlags::ALLOW_OOM.or(ScriptFlags::NO_WRITES)) {
            return Err(OOM);
        }
        Ok(Permission {
            is_read_only: must_not_write || flags.has(ScriptFlags::NO_WRITES),
            may_exceed_memory: flags.has(ScriptFlags::ALLOW_OOM),
            is_memory_full,
        })
    }

    /// Whether a script may call a command. `has_written`: then what could change for the worse in the
    /// middle of a script does not matter any more.
    #[inline]
    pub(super) fn may_call(
        &self,
        command: &Command,
        permission: Permission,
        has_written: bool,
    ) -> Result<(), CommandError> {
        let flags = command.flags;
        let is_tested = self.debug.scripts_may_call_anything && command.spec.group != Group::Scripting;
        if flags.has(Flags::NOSCRIPT) && !is_tested {
            return Err(CommandError::fixed("ERR This Redis command is not allowed from script"));
        }
        let is_trouble = !self.alert.is_empty() && self.alert != Alert::LIMITED_MEMORY;
        if is_trouble && self.alert.has(Alert::STALE) && !flags.has(Flags::STALE) {
            return Err(CommandError::fixed("ERR Can not execute the command on a stale replica"));
        }
        if permission.is_read_only && flags.has(Flags::WRITE.or(Flags::MAY_REPLICATE)) {
            return Err(CommandError::fixed("ERR Write commands are not allowed from read-only scripts."));
        }
        if has_written {
            return Ok(());
        }
        if is_trouble && flags.has(Flags::WRITE) {
            let refusal = gate::read_only(self, flags)
                .or_else(|| gate::disk(self, flags))
                .or_else(|| gate::replicas(self, flags));
            if let Some(error) = refusal {
                return Err(error);
            }
        }
        if permission.is_memory_full && !permission.may_exceed_memory && flags.has(Flags::DENYOOM) {
            return Err(error::OOM);
        }
        Ok(())
    }
}
