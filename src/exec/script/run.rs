//! A run of a script: what it asks of the server, and what is left when it is over.

use super::busy::Busy;
use super::permission::Permission;
use crate::client::{Attention, ClientId, Session};
use crate::exec::call::{self, Origin, Request};
use crate::exec::ctx::{AdminCtx, Host};
use crate::exec::error::{CommandError, CommandResult};
use crate::exec::instance::Instance;
use crate::exec::spec::Flags;
use crate::exec::table::Lookup;
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
    pub name: &'a dyn std::fmt::Display,
    pub permission: Permission,
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
    busy: Busy<'a>,
    /// A reply that does not lie in one piece.
    whole: Vec<u8>,
    /// Why the last call was refused.
    refused: CommandError,
}

/// Runs a script, and answers the client that called it.
pub(super) fn run(ctx: &mut AdminCtx<'_>, task: &Task<'_>) -> CommandResult {
    let AdminCtx { inst, session: caller, host, .. } = ctx;
    let inst = &mut **inst;
    let mut engine = inst.scripts.take_engine(task.kind, &inst.config);
    let session = stand_in(inst.scripts.session.take(), caller);
    let (began_ns, was_in_transaction) = (inst.stamp_ns, std::mem::replace(&mut inst.runs_transaction, true));
    let Task { permission, script, keys, args, .. } = *task;
    let busy = Busy::new(task, host.now_ns());
    let refused = CommandError::fixed("");
    let mut run =
        Run { inst, host: &mut **host, session, permission, has_written: false, busy, whole: Vec::new(), refused };
    let ended = engine.run(&mut run, script, keys, args, &mut caller.reply);
    let Run { inst, mut session, busy, .. } = run;
    busy.end(inst);
    inst.runs_transaction = was_in_transaction;
    inst.keyspace.trace_mut().set_targets(ALL_TARGETS);
    inst.stats.turns.nested_ns += inst.stamp_ns.saturating_sub(began_ns);
    caller.about.wrote_offset = caller.about.wrote_offset.max(session.about.wrote_offset);
    if session.reply.out.memory() > REPLY_KEPT {
        session.reply = Reply::new();
    }
    session.tracker = None;
    inst.scripts.session = Some(session);
    inst.scripts.give_back(task.kind, engine);
    match ended {
        Ended::Returned => Ok(()),
        Ended::Error { text, is_counted } => Err(error_of(inst, text, is_counted)),
        Ended::Failed { mut text, place, is_counted } => {
            if let Some((source, line)) = place {
                text.extend_from_slice(format!(" script: {}, on ", task.name).as_bytes());
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
    session.attention = Attention::NONE;
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
        self.has_written |= command.flags.has(Flags::WRITE);
        session.reply.out.clear();
        let request = Request { command, args, first_key_hash: None };
        call::execute(inst, session, *host, &request, Origin::Script);
        true
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
        self.busy.look(self.inst, self.host, self.has_written)
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
