//! CLIENT LIST, KILL, PAUSE, UNPAUSE, UNBLOCK: what one connection may know of the others and do to them.

use crate::client::{Attention, Client, ClientId};
use crate::exec::blocked::WaitEnd;
use crate::exec::ctx::AdminCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::instance::{Ask, CloseReason, Instance, Pause};
use crate::exec::spec::{ArgSpec, Arity, CommandSpec, Flags, Group, Handler};
use crate::resp::Args;
use crate::util::num;
use std::collections::HashSet;

pub(super) static CLIENT_LIST: CommandSpec = CommandSpec {
    name: "list",
    summary: "Describes the open connections.",
    complexity: "O(N), N the connections",
    since: "2.4.0",
    group: Group::Connection,
    arity: Arity::AtLeast(2),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    args: &[
        ArgSpec::one_of(
            "client-type",
            &[
                ArgSpec::word("normal", "NORMAL"),
                ArgSpec::word("master", "MASTER"),
                ArgSpec::word("replica", "REPLICA"),
                ArgSpec::word("pubsub", "PUBSUB"),
            ],
        )
        .token("TYPE")
        .optional()
        .since("5.0.0"),
        ArgSpec::integer("client-id").token("ID").multiple().optional().since("6.2.0"),
    ],
    tips: &["nondeterministic_output"],
    handler: Handler::Admin(client_list),
    ..CommandSpec::BASE
};

pub(super) static CLIENT_KILL: CommandSpec = CommandSpec {
    name: "kill",
    summary: "Closes connections.",
    complexity: "O(N), N the connections",
    since: "2.4.0",
    group: Group::Connection,
    arity: Arity::AtLeast(3),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    args: &[ArgSpec::one_of(
        "filter",
        &[
            ArgSpec::string("old-format").deprecated("2.8.12").display("ip:port"),
            ArgSpec::one_of(
                "new-format",
                &[
                    ArgSpec::integer("client-id").token("ID").optional().since("2.8.12"),
                    ArgSpec::one_of(
                        "client-type",
                        &[
                            ArgSpec::word("normal", "NORMAL"),
                            ArgSpec::word("master", "MASTER").since("3.2.0"),
                            ArgSpec::word("slave", "SLAVE"),
                            ArgSpec::word("replica", "REPLICA").since("5.0.0"),
                            ArgSpec::word("pubsub", "PUBSUB"),
                        ],
                    )
                    .token("TYPE")
                    .optional()
                    .since("2.8.12"),
                    ArgSpec::string("username").token("USER").optional(),
                    ArgSpec::string("addr").token("ADDR").optional().display("ip:port"),
                    ArgSpec::string("laddr").token("LADDR").optional().since("6.2.0").display("ip:port"),
                    ArgSpec::one_of("skipme", &[ArgSpec::word("yes", "YES"), ArgSpec::word("no", "NO")])
                        .token("SKIPME")
                        .optional(),
                    ArgSpec::integer("maxage").token("MAXAGE").optional().since("7.4.0"),
                ],
            )
            .multiple(),
        ],
    )],
    handler: Handler::Admin(client_kill),
    ..CommandSpec::BASE
};

pub(super) static CLIENT_PAUSE: CommandSpec = CommandSpec {
    name: "pause",
    summary: "Holds back the commands of all clients for a while.",
    since: "3.0.0",
    group: Group::Connection,
    arity: Arity::AtLeast(3),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    args: &[
        ArgSpec::integer("timeout"),
        ArgSpec::one_of("mode", &[ArgSpec::word("write", "WRITE"), ArgSpec::word("all", "ALL")])
            .optional()
            .since("6.2.0"),
    ],
    handler: Handler::Admin(client_pause),
    ..CommandSpec::BASE
};

pub(super) static CLIENT_UNPAUSE: CommandSpec = CommandSpec {
    name: "unpause",
    summary: "Ends CLIENT PAUSE.",
    since: "6.2.0",
    group: Group::Connection,
    arity: Arity::Exactly(2),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    handler: Handler::Admin(client_unpause),
    ..CommandSpec::BASE
};

pub(super) static CLIENT_UNBLOCK: CommandSpec = CommandSpec {
    name: "unblock",
    summary: "Wakes a client that waits in a blocking command.",
    since: "5.0.0",
    group: Group::Connection,
    arity: Arity::AtLeast(3),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    args: &[
        ArgSpec::integer("client-id"),
        ArgSpec::one_of("unblock-type", &[ArgSpec::word("timeout", "TIMEOUT"), ArgSpec::word("error", "ERROR")])
            .optional(),
    ],
    handler: Handler::Admin(client_unblock),
    ..CommandSpec::BASE
};

/// Appends a client's line and a line break.
pub(super) fn push_line(inst: &Instance, client: Client<'_>, out: &mut String) {
    let command = inst.table.name_of(client.session.last_command).unwrap_or("NULL");
    client.push_line(out, inst.now_ms, command);
    out.push('\n');
}

/// What CLIENT LIST TYPE and CLIENT KILL TYPE distinguish.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Primary,
    Replica,
    Pubsub,
}

impl Kind {
    fn has(self, client: Client<'_>) -> bool {
        let is_replica = client.session.attention.has(Attention::REPLICA);
        let is_primary = client.session.attention.has(Attention::PRIMARY);
        match self {
            Kind::Normal => !is_replica && !is_primary && !client.session.is_subscriber(),
            Kind::Pubsub => !is_replica && client.session.is_subscriber(),
            Kind::Replica => is_replica,
            Kind::Primary => is_primary,
        }
    }
}

fn kind(word: &[u8]) -> Result<Kind, CommandError> {
    for (name, kind) in [
        ("normal", Kind::Normal),
        ("master", Kind::Primary),
        ("primary", Kind::Primary),
        ("slave", Kind::Replica),
        ("replica", Kind::Replica),
        ("pubsub", Kind::Pubsub),
    ] {
        if word.eq_ignore_ascii_case(name.as_bytes()) {
            return Ok(kind);
        }
    }
    Err(CommandError::quoting("ERR Unknown client type '", word, "'"))
}

fn client_list(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let mut only: Option<HashSet<ClientId>> = None;
    let mut of_kind = None;
    match args.get(2) {
        None => {}
        Some(word) if args.len() == 4 && word.eq_ignore_ascii_case(b"type") => of_kind = Some(kind(&args[3])?),
        Some(word) if args.len() > 3 && word.eq_ignore_ascii_case(b"id") => {
            let ids: Option<Vec<i64>> = args.iter().skip(3).map(num::parse_i64).collect();
            let ids = ids.ok_or(CommandError::fixed("ERR Invalid client ID"))?;
            // No client has a negative one.
            only = Some(ids.into_iter().filter_map(|id| ClientId::try_from(id).ok()).collect());
        }
        Some(_) => return Err(error::SYNTAX),
    }
    let mut lines = String::new();
    let primary = ctx.inst.primary_connection();
    let primary = primary.as_ref().map(|(session, connection)| Client { session, connection });
    let mut all: Vec<Client<'_>> = ctx.inst.clients.iter().chain(ctx.caller()).chain(primary).collect();
    all.sort_by_key(|client| client.session.id);
    all.retain(|client| only.as_ref().is_none_or(|ids| ids.contains(&client.session.id)));
    all.retain(|client| of_kind.is_none_or(|kind| kind.has(*client)));
    for client in all {
        push_line(ctx.inst, client, &mut lines);
    }
    ctx.reply().verbatim("txt", lines.as_bytes());
    Ok(())
}

/// Which clients CLIENT KILL means.
struct Filter<'a> {
    ids: Option<HashSet<ClientId>>,
    addr: Option<&'a [u8]>,
    laddr: Option<&'a [u8]>,
    user: Option<&'a [u8]>,
    kind: Option<Kind>,
    older_than_s: Option<i64>,
    skip_me: bool,
}

impl<'a> Filter<'a> {
    fn parse(args: Args<'a>) -> Result<Filter<'a>, CommandError> {
        let mut filter =
            Filter { ids: None, addr: None, laddr: None, user: None, kind: None, older_than_s: None, skip_me: true };
        let mut at = 2;
        while at < args.len() {
            let option = args.get(at).expect("the loop's condition");
            let Some(value) = args.get(at + 1) else { return Err(error::SYNTAX) };
            let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
            if is("id") {
                let id = num::parse_i64(value).filter(|n| *n > 0);
                let id = id.ok_or(CommandError::fixed("ERR client-id should be greater than 0"))?;
                filter.ids.get_or_insert_default().insert(id as ClientId);
            } else if is("maxage") {
                let age = num::parse_i64(value);
                let age = age.ok_or(CommandError::fixed("ERR maxage is not an integer or out of range"))?;
                if age <= 0 {
                    return Err(CommandError::fixed("ERR maxage should be greater than 0"));
                }
                filter.older_than_s = Some(age);
            } else if is("type") {
                filter.kind = Some(kind(value)?);
            } else if is("addr") {
                filter.addr = Some(value);
            } else if is("laddr") {
                filter.laddr = Some(value);
            } else if is("user") {
                if value != b"default" {
                    return Err(CommandError::quoting("ERR No such user '", value, "'"));
                }
                filter.user = Some(value);
            } else if is("skipme") {
                filter.skip_me = match value {
                    v if v.eq_ignore_ascii_case(b"yes") => true,
                    v if v.eq_ignore_ascii_case(b"no") => false,
                    _ => return Err(error::SYNTAX),
                };
            } else {
                return Err(error::SYNTAX);
            }
            at += 2;
        }
        Ok(filter)
    }

    fn matches(&self, client: Client<'_>, now_ms: i64) -> bool {
        let Client { session, connection } = client;
        self.ids.as_ref().is_none_or(|ids| ids.contains(&session.id))
            && self.addr.is_none_or(|a| connection.addr.as_bytes() == a)
            && self.laddr.is_none_or(|a| connection.laddr.as_bytes() == a)
            && self.user.is_none_or(|u| session.about.user == u)
            && self.kind.is_none_or(|kind| kind.has(client))
            && self.older_than_s.is_none_or(|s| (now_ms - connection.created_ms) / 1000 >= s)
    }
}

fn client_kill(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    if args.len() == 3 {
        // The old form: one address, an error when nobody has it, and it may be our own.
        let killed = kill(ctx, |client, _| client.connection.addr.as_bytes() == &args[2]);
        if killed == 0 {
            return Err(CommandError::fixed("ERR No such client"));
        }
        ctx.reply().ok();
        return Ok(());
    }
    let filter = Filter::parse(args)?;
    let me = ctx.session.id;
    let killed =
        kill(ctx, |client, now_ms| filter.matches(client, now_ms) && !(filter.skip_me && client.session.id == me));
    ctx.reply().int(killed);
    Ok(())
}

/// Closes the clients that `wanted` names. The one that asked is closed after its reply.
fn kill(ctx: &mut AdminCtx<'_>, wanted: impl Fn(Client<'_>, i64) -> bool) -> i64 {
    let now_ms = ctx.inst.now_ms;
    let mut killed = 0;
    for client in ctx.inst.clients.iter_mut().filter(|client| wanted(client.as_ref(), now_ms)) {
        client.session.attention.put(Attention::CLOSE_NOW, true);
        ctx.inst.asks.push(Ask::Close(client.connection.conn, CloseReason::Killed));
        killed += 1;
    }
    let primary = ctx.inst.primary_connection();
    let wants_primary =
        primary.as_ref().is_some_and(|(session, connection)| wanted(Client { session, connection }, now_ms));
    if wants_primary && ctx.inst.hang_up_on_primary(ctx.host) {
        killed += 1;
    }
    if ctx.caller().is_some_and(|caller| wanted(caller, now_ms)) {
        ctx.session.close_after_reply();
        killed += 1;
    }
    killed
}

/// The answer to a subcommand with optional arguments and one too many.
fn too_many(args: Args<'_>) -> CommandError {
    let before = "ERR unknown subcommand or wrong number of arguments for '";
    CommandError::quoting(before, &args[1], "'. Try CLIENT HELP.")
}

fn client_pause(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    if args.len() > 4 {
        return Err(too_many(args));
    }
    let writes_only = match args.get(3) {
        None => false,
        Some(mode) if mode.eq_ignore_ascii_case(b"write") => true,
        Some(mode) if mode.eq_ignore_ascii_case(b"all") => false,
        Some(_) => return Err(CommandError::fixed("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let timeout_ms = num::parse_i64(&args[2]).ok_or(error::TIMEOUT_NOT_INTEGER)?;
    if timeout_ms < 0 {
        return Err(error::TIMEOUT_NEGATIVE);
    }
    let now_ms = ctx.inst.now_ms;
    let until_ms = now_ms.checked_add(timeout_ms).ok_or(CommandError::fixed("ERR timeout is out of range"))?;
    // A second pause may make the first one longer or stricter, never shorter or milder.
    let pause = &mut ctx.inst.pause;
    if writes_only && pause.all_until_ms <= now_ms {
        pause.writes_until_ms = pause.writes_until_ms.max(until_ms);
    } else {
        pause.all_until_ms = pause.all_until_ms.max(pause.writes_until_ms).max(until_ms);
    }
    ctx.inst.refresh_pause();
    ctx.reply().ok();
    Ok(())
}

fn client_unpause(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    // FAILOVER and SHUTDOWN decide for themselves when writes go on.
    let Pause { for_failover, for_shutdown, .. } = ctx.inst.pause;
    ctx.inst.pause = Pause { for_failover, for_shutdown, ..Pause::default() };
    ctx.inst.asks.push(Ask::Resume);
    ctx.reply().ok();
    Ok(())
}

fn client_unblock(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    if args.len() > 4 {
        return Err(too_many(args));
    }
    let end = match args.get(3) {
        None => WaitEnd::Timeout,
        Some(reason) if reason.eq_ignore_ascii_case(b"timeout") => WaitEnd::Timeout,
        Some(reason) if reason.eq_ignore_ascii_case(b"error") => WaitEnd::Error,
        Some(_) => return Err(CommandError::fixed("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
    };
    let id = num::parse_i64(&args[2]).ok_or(error::NOT_INTEGER)?;
    // What was published before goes before the answer to the client that waits.
    if !ctx.origin.is_exec() {
        ctx.inst.deliver(Some(ctx.session));
    }
    let woken = u64::try_from(id).is_ok_and(|id| ctx.inst.end_wait(id, end));
    ctx.reply().int(i64::from(woken));
    Ok(())
}
