//! One request, from its arguments to its reply: gates, handler, what it leaves behind, statistics.
//!
//! # One way to run
//!
//! [`execute`] is the only way to a handler, for every [`Origin`]: a client's request, a request of a transaction, the
//! request of a blocked client whose key has changed. It says whether the command is done or its client is blocked.
//!
//! # The gates cost one branch
//!
//! Nearly every request meets an instance without an alert and a client without anything special about it. Both are
//! bit sets, so one branch leads to [`execute`]. Otherwise [`gated`] asks the gates.
//!
//! # Time
//!
//! A command's duration is the distance between two readings of the monotonic clock, and the reading after one
//! command is the one before the next: one reading a command.

use crate::blocking::{BlockedClient, Progress};
use crate::client::{Attention, Session};
use crate::db::REPLAYED_MS;
use crate::exec::blocked;
use crate::exec::ctx::{AdminCtx, DataCtx, Host};
use crate::exec::error::{self, CommandError, CommandResult, until_nul};
use crate::exec::gate::{self, Verdict};
use crate::exec::instance::{Alert, CloseReason, Instance};
#[cfg(debug_assertions)]
use crate::exec::keys;
use crate::exec::long_read::Here;
use crate::exec::monitor;
use crate::exec::spec::{Flags, Handler};
use crate::exec::table::{Command, Lookup};
use crate::resp::Args;
use crate::util::output_buffer::Mark;

/// A request whose command is known.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// What is to run.
    pub command: &'static Command,
    /// Its arguments, the name included.
    pub args: Args<'a>,
    /// Hash of the first key, when it was computed already.
    pub first_key_hash: Option<u64>,
}

/// Who has a command run. It decides which gates the request passes, whether it may block, and what is counted.
#[derive(Clone, Copy)]
pub enum Origin<'a> {
    /// A client's own request.
    Client,
    /// EXEC: the request passed the gates when it was queued.
    Exec,
    /// An append-only file that is being loaded.
    File,
    /// The stream of our primary.
    Primary,
    /// A script: what it calls has gates of its own.
    Script,
    /// A blocked client, one of whose keys has changed. The client keeps what it asked for and what earlier tries cost.
    Unblocked(&'a BlockedClient),
}

impl Origin<'_> {
    /// Whether a command may keep its client waiting; where it may not, it answers as if its time were over.
    #[inline]
    pub fn may_block(self) -> bool {
        matches!(self, Origin::Client | Origin::Unblocked(_))
    }

    /// It repeats what has happened elsewhere, and is not refused.
    pub fn must_be_obeyed(self) -> bool {
        matches!(self, Origin::Primary | Origin::File)
    }

    /// The primary decides what time it is: what has expired here is there until it says otherwise.
    #[inline(always)]
    fn is_timeless(self) -> bool {
        matches!(self, Origin::Primary)
    }

    /// The command is one of a transaction, or of a script: what must not happen in the middle of one has to wait.
    pub fn is_exec(self) -> bool {
        matches!(self, Origin::Exec | Origin::Script)
    }
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was executed, queued or refused; the answer is in its client's reply.
    Done,
    /// Its client is blocked: the answer comes when a key changes or the time is over.
    Blocked,
    /// It may not run now: keep it, and what follows it, until CLIENT PAUSE or a shutdown is over.
    Postponed,
}

/// Executes one request of `session`, and then those of blocked clients that it makes possible.
#[inline]
pub fn request(
    inst: &mut Instance,
    session: &mut Session,
    host: &mut dyn Host,
    found: Lookup<'static>,
    args: Args<'_>,
    first_key_hash: Option<u64>,
) -> Outcome {
    let outcome = if let Lookup::Found(command) = found
        && (inst.alert.is_empty() || !gate::concerns(inst, command.flags))
        && session.attention.is_empty()
        && command.arity.accepts(args.len())
    {
        execute_here(inst, session, host, &Request { command, args, first_key_hash }, Origin::Client)
    } else {
        gated(inst, session, host, found, args, first_key_hash)
    };
    inst.end_unit();
    if inst.keyspace.blocking_keys().has_ready() {
        blocked::serve(inst, host, Some(session));
    }
    if !inst.outbox.is_empty() && (session.receives || inst.outbox.is_full()) {
        inst.deliver(Some(session));
    }
    outcome
}

impl Instance {
    /// A request, or all those at hand, is over: what it pushes goes to its receivers. `calling` is the session that is out
    /// of the collection, if one is.
    pub fn deliver(&mut self, calling: Option<&mut Session>) {
        if !self.outbox.is_empty() {
            self.outbox.deliver(&mut self.clients, calling, &mut self.stats.pushes);
        }
    }
}

/// Something about the request, the client or the instance needs a look.
#[inline(never)]
fn gated(
    inst: &mut Instance,
    session: &mut Session,
    host: &mut dyn Host,
    found: Lookup<'static>,
    args: Args<'_>,
    first_key_hash: Option<u64>,
) -> Outcome {
    if session.attention.has(Attention::AWAITS_SHUTDOWN) {
        return Outcome::Postponed;
    }
    let skip = session.attention.has(Attention::REPLY_SKIP_NEXT);
    session.attention.put(Attention::REPLY_SKIP, skip);
    session.attention.put(Attention::REPLY_SKIP_NEXT, false);
    inst.shorten_tracking();
    let mut before = session.reply.out.mark();
    let was_replica = session.is_replica();
    let mut outcome = Outcome::Done;
    let mut told = None;
    match found {
        Lookup::Unknown => unknown(inst, session, args),
        Lookup::UnknownSubcommand(container) => {
            refuse(inst, session, None, error::unknown_subcommand(container.spec.name, &args[1]));
        }
        Lookup::Found(command) => {
            let request = Request { command, args, first_key_hash };
            let verdict = if command.arity.accepts(args.len()) {
                gate::check(inst, session, host, &request, Origin::Client)
            } else {
                Verdict::Refuse(error::wrong_arity(&command.full_name))
            };
            if !inst.outbox.is_empty() && session.receives {
                // Keys had to go, or to be forgotten, before this command: whoever caches them hears of it before the reply.
                inst.deliver(Some(session));
                before = session.reply.out.mark();
            }
            match verdict {
                Verdict::Postpone => {
                    session.attention.put(Attention::REPLY_SKIP_NEXT, skip);
                    return Outcome::Postponed;
                }
                Verdict::Refuse(error) => refuse(inst, session, Some(command), error),
                Verdict::Queue => {
                    if let Some(transaction) = &mut session.transaction {
                        transaction.push(command.id, args);
                    }
                    session.reply.simple("QUEUED");
                }
                Verdict::Run => {
                    told = inst.tells(session, command);
                    outcome = execute(inst, session, host, &request, Origin::Client);
                }
            }
        }
    }
    if inst.alert.has(Alert::SIZES_ASSERTED) {
        assert!(inst.keyspace.sizes_are_right(), "INFO keysizes says what a look at all keys finds");
    }
    if session.attention.has(Attention::CACHING) && outcome == Outcome::Done {
        end_caching(session, found);
    }
    // CLIENT REPLY ON is answered even when it was to be skipped: so this is asked only now. The reply of a client that
    // is blocked now is sent, or not, when that is over.
    if outcome == Outcome::Done {
        apply_reply_rules(session, before);
        if let Some(told) = told {
            inst.end_unit();
            inst.note_reply(session, before, told);
        }
        if was_replica {
            let name = if let Lookup::Found(command) = found { &*command.full_name } else { "unknown" };
            inst.silence_replica(session, before, name);
        }
    }
    outcome
}

/// Runs a request that has passed its gates: the handler, its error, its statistics.
#[inline(never)]
pub fn execute(
    inst: &mut Instance,
    session: &mut Session,
    host: &mut dyn Host,
    request: &Request<'_>,
    origin: Origin<'_>,
) -> Outcome {
    execute_here(inst, session, host, request, origin)
}

/// [`execute`], compiled into its caller: for the way that nearly every request takes.
#[inline(always)]
fn execute_here(
    inst: &mut Instance,
    session: &mut Session,
    host: &mut dyn Host,
    request: &Request<'_>,
    origin: Origin<'_>,
) -> Outcome {
    let began_ns = inst.stamp_ns;
    // Before the call, because CLIENT INFO shows itself; after it again, because EXEC calls others.
    session.last_command = request.command.id;
    if request.args.has_large() {
        release(inst, session, request, origin);
    }
    let (is_followed, db) = (!inst.keyspace.trace().is_idle(), session.db);
    if is_followed {
        inst.keyspace.begin_command();
    }
    let now_ms = inst.now_ms;
    if origin.is_timeless() {
        inst.now_ms = REPLAYED_MS;
    }
    let handled = handle(inst, session, host, request, origin);
    if origin.is_timeless() {
        inst.now_ms = now_ms;
    }
    let (result, wait) = match handled {
        Ok(Progress::Done) => (Ok(()), None),
        Ok(Progress::Blocked(wait)) if origin.may_block() => (Ok(()), Some(wait)),
        Ok(Progress::Blocked(wait)) => {
            wait.null.write(&mut session.reply);
            (Ok(()), None)
        }
        Err(error) => (Err(error), None),
    };
    if is_followed && wait.is_none() {
        follow(inst, session, request, db);
    }
    inst.stamp_ns = host.now_ns();
    session.last_command = request.command.id;
    if inst.alert.has(Alert::MONITORED.or(Alert::WRITABLE_REPLICA)) {
        if inst.alert.has(Alert::MONITORED) && !matches!(origin, Origin::Unblocked(_)) {
            // One that waits is shown when it is first tried.
            monitor::feed(inst, session, request, origin, host.wall_us());
        }
        if inst.alert.has(Alert::WRITABLE_REPLICA) && !matches!(origin, Origin::Primary) {
            inst.remember_own_deadlines(request, session.db);
        }
    }
    let spent_ns = inst.stamp_ns.saturating_sub(began_ns);
    if let Some(wait) = wait {
        if is_followed {
            tell(inst, session, request);
        }
        blocked::block(inst, session, host, request, origin, *wait, spent_ns);
        return Outcome::Blocked;
    }
    finish(inst, session, request, origin, result, spent_ns);
    Outcome::Done
}

/// Runs a command of a file: past the gates, and counted nowhere. Its reply is for nobody.
pub fn replay(inst: &mut Instance, session: &mut Session, host: &mut dyn Host, request: &Request<'_>) -> CommandResult {
    let now_ms = std::mem::replace(&mut inst.now_ms, REPLAYED_MS);
    let result = handle(inst, session, host, request, Origin::File);
    inst.now_ms = now_ms;
    result.map(|_| ())
}

/// What every request that is over needs, however it came about: its error reply, its statistics. A blocked client's
/// request counts once, with the time of all its tries and none of the time between.
#[inline(always)]
pub(super) fn finish(
    inst: &mut Instance,
    session: &mut Session,
    request: &Request<'_>,
    origin: Origin<'_>,
    result: CommandResult,
    duration_ns: u64,
) {
    let Request { command, args, .. } = *request;
    let failed = result.is_err();
    if let Err(error) = result {
        reply_error(inst, session, &error);
    }
    if let Origin::Unblocked(blocked) = origin {
        return inst.account(session, command, blocked.request.view(), blocked.spent_ns.get() + duration_ns, failed);
    }
    inst.account(session, command, args, duration_ns, failed);
}

/// The command is over, and somebody follows. It is repeated elsewhere if it changed something, as it came or as its
/// handler says; and what it did is told. `db` is the one that was selected when it began.
#[cold]
#[inline(never)]
fn follow(inst: &mut Instance, session: &mut Session, request: &Request<'_>, db: u32) {
    if inst.keyspace.trace().propagates() {
        if request.command.flags.is_repeated() {
            inst.keyspace.end_command(db as usize, request.args);
            if inst.keyspace.trace().ops().len() > 0 {
                // Units are synced and acknowledged as a whole: more than what was there before is all of this one.
                session.about.wrote_offset = inst.replication.feed.end() + 1;
            }
        } else {
            inst.keyspace.end_silent_command();
        }
    }
    if inst.keyspace.has_undo() {
        // What may be taken back is told when it is certain that it stays.
        if inst.keyspace.trace().tracks() {
            inst.track(session, request);
        }
        return;
    }
    tell(inst, session, request);
    if request.command.flags.has(Flags::EXPIRES_APART) && !inst.runs_transaction {
        inst.end_units();
    }
}

/// Subscribers of events and caches hear of what a command did, and what it read is remembered for its client.
#[inline]
fn tell(inst: &mut Instance, session: &Session, request: &Request<'_>) {
    inst.tell(session.conn);
    if inst.keyspace.trace().tracks() {
        inst.track(session, request);
    }
}

/// Lets the handler have long arguments to itself, if nobody reads them after it: monitors are shown them when the command
/// has run, replicas are sent them, the keys among them may be remembered for the client, and a blocked client's request may be tried again. The slow log wants no more than their first bytes.
#[cold]
fn release(inst: &Instance, session: &Session, request: &Request<'_>, origin: Origin<'_>) {
    let is_read_again =
        inst.alert.has(Alert::MONITORED) || inst.keyspace.trace().propagates() || session.tracker.is_some();
    if !is_read_again && !matches!(origin, Origin::Unblocked(_)) {
        request.args.release();
    }
}

#[inline(never)]
pub(super) fn reply_error(inst: &mut Instance, session: &mut Session, error: &CommandError) {
    session.reply.error_bytes(error.as_bytes());
    inst.stats.errors.count(error.code());
    if let Some(dropped) = inst.stats.errors.take_dropped() {
        inst.drop_error_codes(dropped);
    }
}

#[inline(always)]
fn handle(
    inst: &mut Instance,
    session: &mut Session,
    host: &mut dyn Host,
    request: &Request<'_>,
    origin: Origin<'_>,
) -> Result<Progress, CommandError> {
    let Request { command, args, first_key_hash } = *request;
    #[cfg(debug_assertions)]
    let before = inst.keyspace.declare(Some(keys::declared(command, args)));
    let result = match command.handler {
        Handler::Data(handler) => {
            let pace = Here::ANYTHING;
            handler(&mut data_ctx(inst, session, command, pace, first_key_hash), args).map(|()| Progress::Done)
        }
        Handler::Blocking(handler) => {
            handler(&mut data_ctx(inst, session, command, Here::ANYTHING, first_key_hash), args)
        }
        Handler::Read { now, .. } => {
            let pace = inst.read_pace(origin.may_block());
            now(&mut data_ctx(inst, session, command, pace, first_key_hash), args)
        }
        Handler::Admin(handler) => {
            handler(&mut AdminCtx { inst, session, host, command, origin }, args).map(|()| Progress::Done)
        }
        Handler::AdminBlocking(handler) | Handler::AdminRead { now: handler, .. } => {
            handler(&mut AdminCtx { inst, session, host, command, origin }, args)
        }
        Handler::Container => Err(error::wrong_arity(&command.full_name)),
    };
    #[cfg(debug_assertions)]
    inst.keyspace.declare(before);
    result
}

#[inline(always)]
fn data_ctx<'a>(
    inst: &'a mut Instance,
    session: &'a mut Session,
    command: &'static Command,
    pace: Here,
    first_key_hash: Option<u64>,
) -> DataCtx<'a> {
    let mut db = inst.keyspace.db(session.db as usize, inst.now_ms);
    if session.attention.has(Attention::NO_TOUCH) && !command.flags.has(Flags::ALWAYS_TOUCHES) {
        db.set_touch(false);
    }
    let in_script = session.attention.has(Attention::SCRIPT);
    let (reply, config, log) = (&mut session.reply, &inst.config, &inst.log);
    DataCtx { db, reply, config, log, command, in_script, pace, first_key_hash }
}

/// CLIENT CACHING is about one command, or one transaction, other subcommands of CLIENT in between not counted.
#[cold]
fn end_caching(session: &mut Session, found: Lookup<'_>) {
    let keeps = |command: &Command| command.container.is_some_and(|it| it.flags.has(Flags::KEEPS_CACHING));
    let goes_on =
        session.attention.has(Attention::IN_MULTI) || matches!(found, Lookup::Found(command) if keeps(command));
    session.attention.put(Attention::CACHING, goes_on);
}

/// CLIENT REPLY OFF and SKIP: drops what a request was answered, everything since `before`.
pub(super) fn apply_reply_rules(session: &mut Session, before: Mark) {
    if session.attention.has(Attention::REPLY_OFF.or(Attention::REPLY_SKIP)) {
        session.reply.out.truncate_to(before);
    }
    session.attention.put(Attention::REPLY_SKIP, false);
}

fn unknown(inst: &mut Instance, session: &mut Session, args: Args<'_>) {
    if is_http(&args[0]) {
        inst.log.warning("A web browser is made to send requests here; its connection is closed", &[]);
        inst.close_session(session, CloseReason::Killed);
    } else {
        refuse(inst, session, None, unknown_command(args));
    }
}

/// Answers that a request did not run. That also spoils a transaction it was meant for; where it was EXEC, the
/// transaction ends all the same.
fn refuse(inst: &mut Instance, session: &mut Session, command: Option<&Command>, mut error: CommandError) {
    if command.is_some_and(|command| command.flags.has(Flags::RUNS_QUEUE)) {
        inst.end_transaction(session);
        let text = error.as_bytes();
        let text = text.strip_prefix(b"ERR ").unwrap_or(text);
        error = CommandError::bytes([b"EXECABORT Transaction discarded because of: ", text].concat());
    }
    if let Some(transaction) = &mut session.transaction {
        transaction.fail();
    }
    if let Some(command) = command {
        inst.metrics.commands[usize::from(command.id)].rejected.inc();
    }
    reply_error(inst, session, &error);
}

/// The first words of the lines of an HTTP request. A page can make a browser post to any port of its own machine, with
/// commands as the body; such a connection ends before they are reached.
fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

/// The text for a name that is no command: it repeats the name and the first arguments, shortened.
fn unknown_command(args: Args<'_>) -> CommandError {
    let shorten = |bytes: &'_ [u8], max: usize| until_nul(&bytes[..bytes.len().min(max)]).to_vec();
    let mut shown = Vec::new();
    for i in 1..args.len() {
        if shown.len() >= 128 {
            break;
        }
        let arg = shorten(&args.start_of(i, 128), 128 - shown.len());
        shown.extend([b"'", &arg[..], b"' "].concat());
    }
    let name = shorten(&args[0], 128);
    CommandError::bytes([b"ERR unknown command '", &name[..], b"', with args beginning with: ", &shown].concat())
}
