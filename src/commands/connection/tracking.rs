//! CLIENT TRACKING, CACHING, GETREDIR, TRACKINGINFO: a client that caches what it reads.

use crate::client::Attention;
use crate::exec::args;
use crate::exec::ctx::AdminCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{ArgSpec, Arity, CommandSpec, Flags, Group, Handler};
use crate::resp::Args;
use crate::tracking::{Modes, Overlap, Wanted};

pub(super) static CLIENT_TRACKING: CommandSpec = CommandSpec {
    name: "tracking",
    summary: "Tells this connection, or another one, when keys change that it has read.",
    complexity: "O(1); some options may introduce additional complexity",
    since: "6.0.0",
    group: Group::Connection,
    arity: Arity::AtLeast(3),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
    args: &[
        ArgSpec::one_of("status", &[ArgSpec::word("on", "ON"), ArgSpec::word("off", "OFF")]),
        ArgSpec::integer("client-id").token("REDIRECT").optional(),
        ArgSpec::string("prefix").token("PREFIX").optional().multiple_token(),
        ArgSpec::word("bcast", "BCAST").optional(),
        ArgSpec::word("optin", "OPTIN").optional(),
        ArgSpec::word("optout", "OPTOUT").optional(),
        ArgSpec::word("noloop", "NOLOOP").optional(),
    ],
    handler: Handler::Admin(client_tracking),
    ..CommandSpec::BASE
};

pub(super) static CLIENT_CACHING: CommandSpec = CommandSpec {
    name: "caching",
    summary: "Says whether keys that the next command reads are tracked.",
    since: "6.0.0",
    group: Group::Connection,
    arity: Arity::Exactly(3),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
    args: &[ArgSpec::one_of("mode", &[ArgSpec::word("yes", "YES"), ArgSpec::word("no", "NO")])],
    handler: Handler::Admin(client_caching),
    ..CommandSpec::BASE
};

pub(super) static CLIENT_GETREDIR: CommandSpec = CommandSpec {
    name: "getredir",
    summary: "Returns the id of the connection that is told in place of this one.",
    since: "6.0.0",
    group: Group::Connection,
    arity: Arity::Exactly(2),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
    handler: Handler::Admin(client_getredir),
    ..CommandSpec::BASE
};

pub(super) static CLIENT_TRACKINGINFO: CommandSpec = CommandSpec {
    name: "trackinginfo",
    summary: "Describes how this connection tracks keys.",
    since: "6.2.0",
    group: Group::Connection,
    arity: Arity::Exactly(2),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
    handler: Handler::Admin(client_trackinginfo),
    ..CommandSpec::BASE
};

/// REDIRECT and the client's own modes change with every CLIENT TRACKING ON; what must not change does so only after OFF.
fn client_tracking(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let wanted = options(ctx, args)?;
    if args[2].eq_ignore_ascii_case(b"on") {
        check(ctx, &wanted)?;
        ctx.inst.track_keys(ctx.session, wanted);
    } else if args[2].eq_ignore_ascii_case(b"off") {
        ctx.inst.end_tracking(ctx.session);
    } else {
        return Err(error::SYNTAX);
    }
    ctx.reply().ok();
    Ok(())
}

fn options(ctx: &AdminCtx<'_>, args: Args<'_>) -> Result<Wanted, CommandError> {
    let mut wanted = Wanted::default();
    let mut at = 3;
    while let Some(option) = args.get(at) {
        let value = args.get(at + 1);
        at += 1;
        match (option.to_ascii_lowercase().as_slice(), value) {
            (b"redirect", Some(id)) => {
                if wanted.redirect != 0 {
                    return Err(CommandError::fixed("ERR A client can only redirect to a single other client"));
                }
                let id = args::int(id)?;
                wanted.redirect = u64::try_from(id)
                    .ok()
                    .filter(|id| ctx.inst.clients.conn_of(*id).is_some())
                    .ok_or(CommandError::fixed("ERR The client ID you want redirect to does not exist"))?;
                at += 1;
            }
            (b"prefix", Some(prefix)) => {
                wanted.prefixes.push(prefix.into());
                at += 1;
            }
            (b"bcast", _) => wanted.modes.put(Modes::BCAST, true),
            (b"optin", _) => wanted.modes.put(Modes::OPTIN, true),
            (b"optout", _) => wanted.modes.put(Modes::OPTOUT, true),
            (b"noloop", _) => wanted.modes.put(Modes::NOLOOP, true),
            _ => return Err(error::SYNTAX),
        }
    }
    Ok(wanted)
}

/// Whether the options go together, and with how the client tracks already.
fn check(ctx: &AdminCtx<'_>, wanted: &Wanted) -> CommandResult {
    let tracker = ctx.session.tracker.as_deref();
    let (modes, before) = (wanted.modes, tracker.map_or(Modes::NONE, |tracker| tracker.modes()));
    let bcast = modes.has(Modes::BCAST);
    let changes_choice = (modes.has(Modes::OPTIN) && before.has(Modes::OPTOUT))
        || (modes.has(Modes::OPTOUT) && before.has(Modes::OPTIN));
    let wrong = if !bcast && !wanted.prefixes.is_empty() {
        "ERR PREFIX option requires BCAST mode to be enabled"
    } else if before.has(Modes::ON) && before.has(Modes::BCAST) != bcast {
        "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a \
         different mode."
    } else if bcast && modes.has(Modes::OPTIN.or(Modes::OPTOUT)) {
        "ERR OPTIN and OPTOUT are not compatible with BCAST"
    } else if modes.has(Modes::OPTIN) && modes.has(Modes::OPTOUT) {
        "ERR You can't specify both OPTIN mode and OPTOUT mode"
    } else if changes_choice {
        "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with \
         a different mode."
    } else {
        return wanted.check_prefixes(tracker).map_err(overlap);
    };
    Err(CommandError::fixed(wrong))
}

fn overlap(overlap: Overlap) -> CommandError {
    let (new, which, other): (_, &[u8], _) = match &overlap {
        Overlap::Existing(new, old) => (new, b"an existing", old),
        Overlap::Provided(new, other) => (new, b"another provided", other),
    };
    let end = b"'. Prefixes for a single client must not overlap.";
    CommandError::bytes([b"ERR Prefix '", &new[..], b"' overlaps with ", which, b" prefix '", other, end].concat())
}

fn client_caching(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let modes = ctx.session.tracker.as_ref().map_or(Modes::NONE, |tracker| tracker.modes());
    if !modes.has(Modes::ON) {
        return Err(CommandError::fixed(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        ));
    }
    let (mode, refusal) = if args[2].eq_ignore_ascii_case(b"yes") {
        (Modes::OPTIN, "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
    } else if args[2].eq_ignore_ascii_case(b"no") {
        (Modes::OPTOUT, "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
    } else {
        return Err(error::SYNTAX);
    };
    if !modes.has(mode) {
        return Err(CommandError::fixed(refusal));
    }
    ctx.session.attention.put(Attention::CACHING, true);
    ctx.reply().ok();
    Ok(())
}

fn client_getredir(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let redirect = ctx.session.redirect();
    ctx.reply().int(redirect);
    Ok(())
}

fn client_trackinginfo(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let tracker = ctx.session.tracker.as_ref();
    let modes = tracker.map_or(Modes::NONE, |tracker| tracker.modes());
    let prefixes = tracker.map(|tracker| tracker.prefixes()).unwrap_or_default();
    let (said, redirect) = (ctx.session.attention.has(Attention::CACHING), ctx.session.redirect());
    let flags: Vec<&str> = [
        (true, if modes.has(Modes::ON) { "on" } else { "off" }),
        (modes.has(Modes::BCAST), "bcast"),
        (modes.has(Modes::OPTIN), "optin"),
        (modes.has(Modes::OPTIN) && said, "caching-yes"),
        (modes.has(Modes::OPTOUT), "optout"),
        (modes.has(Modes::OPTOUT) && said, "caching-no"),
        (modes.has(Modes::NOLOOP), "noloop"),
        (modes.has(Modes::BROKEN_REDIRECT), "broken_redirect"),
    ]
    .into_iter()
    .filter_map(|(shown, name)| shown.then_some(name))
    .collect();
    let reply = ctx.reply();
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"redirect");
    reply.int(redirect);
    reply.bulk(b"prefixes");
    reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| reply.bulk(prefix));
    Ok(())
}
