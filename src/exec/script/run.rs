//! A run of a script: what it asks of the server, and what is left when it is over.

use super::busy::Busy;
use super::permission::Permission;
use crate::client::{Attention, ClientId, OutboxMark, Session};
use crate::exec::call::{self, Origin, Request};
use crate::exec::ctx::{AdminCtx, Host};
use crate::exec::error::{CommandError, CommandResult};
use crate::exec::instance::{Alert, Instance};
use crate::exec::keys as command_keys;
use crate::exec::monitor;
use crate::exec::spec::Flags;
use crate::exec::table::{Command, Lookup};
use crate::observe::keys;
use crate::resp::{Args, Proto, Reply};
use crate::script::{Answer, Ended, Kind, LogLevel, Script, Server};

/// How large the room for replies may be between two runs.
const REPLY_KEPT: usize = 64 << 10;

/// Files and replicas repeat what a script does.
const ALL_TARGETS: u8 = 3;

/// What is run.
pub(super) struct Task<'a> {
    pub kind: Kind,
    pub script: Script,
    /// How errors name it: a digest, or the name of a function.
    pub name: &'a [u8],
    pub permission: Permission,
    /// What it writes is taken back if it fails.
    pub is_atomic: bool,
    pub keys: Args<'a>,
    pub args: Args<'a>,
    /// The request that runs it, for FUNCTION STATS.
    pub request: Args<'a>,
}

/// See the module's header.
struct Run<'a> {
    inst: &'a mut Instance,
    host: &'a mut dyn Host,
    /// Whom its commands are run for.
    session: Box<Session>,
    permission: Permission,
    has_written: bool,
    /// What it writes can be taken back.
    is_undoable: bool,
    /// It was stopped: what it has written goes.
    is_stopped: bool,
    /// What had been sent before its first write.
    sent: OutboxMark,
    busy: Busy<'a>,
    /// A reply that does not lie in one piece.
    whole: Vec<u8>,
    /// Why the last call was refused.
    refused: CommandError,
}

/// Runs a script, and answers the client that called it.
pub(super) fn run(ctx: &mut AdminCtx<'_>, task: &Task<'_>) -> CommandResult {
    let AdminCtx { inst, session: caller, host, command, origin } = ctx;
    let inst = &mut **inst;
    if inst.alert.has(Alert::MONITORED) {
        monitor::feed_now(inst, caller, command, task.request, *origin, host.wall_us());
    }
    let mut engine = inst.scripts.take_engine(task.kind, &inst.config);
    inst.scripts.began_us.get_or_insert(host.wall_us());
    let session = stand_in(inst.scripts.session.take(), caller);
    let (began_ns, was_in_transaction) = (inst.stamp_ns, std::mem::replace(&mut inst.runs_transaction, true));
    let Task { permission, script, keys, args, .. } = *task;
    let busy = Busy::new(task, host.now_ns());
    let refused = CommandError::fixed("");
    // A transaction that is taken back as a whole takes back what is run in it.
    let is_part = inst.keyspace.has_undo();
    let mut run = Run {
        is_undoable: inst.config.limits.lua_rollback_on_kill || task.is_atomic,
        inst,
        host: &mut **host,
        session,
        permission,
        has_written: false,
        is_stopped: false,
        sent: OutboxMark::default(),
        busy,
        whole: Vec::new(),
        refused,
    };
    let ended = engine.run(&mut run, script, keys, args, &mut caller.reply);
    let Run { inst, host, mut session, busy, is_stopped, sent, .. } = run;
    busy.end(inst);
    let is_taken_back = is_stopped || (task.is_atomic && matches!(ended, Ended::Failed { .. }));
    if !is_part && inst.keyspace.has_undo() {
        if is_taken_back {
            let began_ns = host.now_ns();
            inst.keyspace.take_changes_back();
            let duration_us = host.now_ns().saturating_sub(began_ns) / 1000;
            inst.outbox.truncate_to(&sent);
            session.about.wrote_offset = 0;
            inst.stats.rollbacks += 1;
            inst.log.notice(
                "What a script has written was taken back",
                &[(keys::SCRIPT, &String::from_utf8_lossy(task.name)), ("duration_us", &duration_us)],
            );
        } else {
            inst.keyspace.keep_changes();
        }
    }
    if !is_part {
        inst.tell(caller.conn);
    }
    inst.runs_transaction = was_in_transaction;
    inst.keyspace.trace_mut().set_targets(ALL_TARGETS);
    inst.stats.turns.nested_ns += inst.stamp_ns.saturating_sub(began_ns);
    caller.about.wrote_offset = caller.about.wrote_offset.max(session.about.wrote_offset);
    if session.reply.out.memory() > REPLY_KEPT {
        session.reply = Reply::new();
    }
    session.tracker = None;
    inst.scripts.began_us = None;
    inst.scripts.session = Some(session);
    inst.scripts.give_back(task.kind, engine);
    match ended {
        Ended::Returned => Ok(()),
        Ended::Error { text, is_counted } => Err(error_of(inst, text, is_counted)),
        Ended::Failed { mut text, place, is_counted } => {
            if let Some((source, line)) = place {
                text.extend_from_slice(b" script: ");
                text.extend_from_slice(task.name);
                text.extend_from_slice(b", on ");
                text.extend_from_slice(&source);
                text.extend_from_slice(format!(":{line}.").as_bytes());
            }
            Err(error_of(inst, text, is_counted))
        }
    }
}

/// An error of a script. Whoever answers with it counts it: one that was counted when a command failed is counted once.
fn error_of(inst: &mut Instance, text: Vec<u8>, is_counted: bool) -> CommandError {
    let error = CommandError::bytes(text);
    if is_counted {
        inst.stats.errors.uncount(error.code());
    }
    error
}

/// The session that stands for the caller: it has no connection of its own, and reads and writes as the caller would.
fn stand_in(kept: Option<Box<Session>>, caller: &Session) -> Box<Session> {
    let mut session = kept.unwrap_or_else(|| Box::new(Session::new(ClientId::default(), None, true)));
    (session.id, session.conn, session.db) = (caller.id, caller.conn, caller.db);
    session.attention = Attention::SCRIPT;
    for kept in [Attention::NO_TOUCH, Attention::CACHING] {
        session.attention.put(kept, caller.attention.has(kept));
    }
    session.tracker.clone_from(&caller.tracker);
    (session.is_local, session.receives) = (caller.is_local, caller.receives);
    session.about.wrote_offset = 0;
    session.reply.proto = Proto::Resp2;
    session
}

impl Run<'_> {
    /// Runs a command; false if it is refused.
    #[inline]
    fn execute(&mut self, args: Args<'_>) -> bool {
        let Run { inst, session, host, permission, .. } = self;
        let command = match inst.table.lookup(args) {
            Lookup::Found(command) => command,
            Lookup::Unknown | Lookup::UnknownSubcommand(_) => {
                self.refused = CommandError::fixed("ERR Unknown Redis command called from script");
                inst.stats.errors.count("ERR");
                return false;
            }
        };
        let allowed = match command.arity.accepts(args.len()) {
            true => inst.may_call(command, *permission, self.has_written),
            false => Err(CommandError::fixed("ERR Wrong number of args calling Redis command from script")),
        };
        if let Err(error) = allowed {
            inst.stats.errors.count(error.code());
            inst.metrics.commands[usize::from(command.id)].rejected.inc();
            self.refused = error;
            return false;
        }
        let mut first_key_hash = None;
        if command.flags.has(Flags::WRITE.or(Flags::MAY_REPLICATE)) {
            self.has_written |= command.flags.has(Flags::WRITE);
            if self.is_undoable {
                if !inst.keyspace.has_undo() {
                    inst.keyspace.begin_undo();
                    self.sent = inst.outbox.mark();
                }
                first_key_hash = inst.before_write(command, args, session.db as usize);
            }
            if command.flags.has(Flags::MAY_REPLICATE) {
                // Messages and what was done before them are told in the order in which they came.
                inst.tell(session.conn);
            }
        }
        session.reply.out.clear();
        let request = Request { command, args, first_key_hash };
        call::execute(inst, session, *host, &request, Origin::Script);
        true
    }
}

impl Instance {
    /// A command is about to write within something that may be taken back: the hash of its first key, if it was needed.
    pub fn before_write(&mut self, command: &Command, args: Args<'_>, db: usize) -> Option<u64> {
        let (mut first_hash, mut has_keys) = (None, false);
        let is_first =
            |key: &[u8]| args.get(usize::from(command.first_key)).is_some_and(|first| std::ptr::eq(first, key));
        command_keys::each(command, args, |key| {
            let key = self.keyspace.key(key);
            if command.first_key > 0 && is_first(key.bytes) {
                first_hash = Some(key.hash);
            }
            has_keys = true;
            if command.flags.has(Flags::OTHER_DBS) {
                (0..self.keyspace.databases()).for_each(|db| self.keyspace.before_write(db, key));
            } else {
                self.keyspace.before_write(db, key);
            }
        });
        if !has_keys && command.flags.has(Flags::WRITE) {
            self.keyspace.before_all();
        }
        first_hash
    }
}

impl Server for Run<'_> {
    fn call(&mut self, args: Args<'_>) -> Answer<'_> {
        if !self.execute(args) {
            return Answer::Refused(self.refused.as_bytes());
        }
        match self.session.reply.out.as_one() {
            Some(reply) => Answer::Reply(reply),
            None => {
                self.whole = self.session.reply.out.to_vec();
                Answer::Reply(&self.whole)
            }
        }
    }

    fn must_stop(&mut self) -> Option<&'static str> {
        let is_unkillable = self.has_written && !self.is_undoable;
        let why = self.busy.look(self.inst, self.host, is_unkillable);
        self.is_stopped |= why.is_some();
        why
    }

    fn abort(&mut self) -> bool {
        self.is_stopped = self.is_undoable;
        self.is_stopped
    }

    fn log(&mut self, level: LogLevel, text: &[u8]) {
        self.inst.log_script(level, text);
    }

    fn may_call(&mut self, args: Args<'_>) -> Option<bool> {
        match self.inst.table.lookup(args) {
            Lookup::Found(_) => Some(true),
            _ => None,
        }
    }

    fn set_protocol(&mut self, proto: Proto) {
        self.session.reply.proto = proto;
    }

    fn set_propagation(&mut self, targets: u8) {
        self.inst.keyspace.trace_mut().set_targets(targets);
    }

    fn count_error(&mut self, text: &[u8]) {
        self.inst.stats.errors.count(CommandError::bytes(text.to_vec()).code());
    }
}
