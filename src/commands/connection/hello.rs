//! HELLO and AUTH. There is one user, `default`, with the password of `requirepass` (or none).

use crate::client::Attention;
use crate::exec::ctx::AdminCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{ArgSpec, Arity, CommandSpec, Flags, Group, Handler};
use crate::resp::{Args, Proto};
use crate::util::num;

pub(super) static HELLO: CommandSpec = CommandSpec {
    name: "hello",
    summary: "Switches the protocol version and describes the server; can authenticate and name the connection.",
    since: "6.0.0",
    group: Group::Connection,
    arity: Arity::AtLeast(1),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST).or(Flags::NO_AUTH).or(Flags::ALLOW_BUSY),
    args: &[ArgSpec::block(
        "arguments",
        &[
            ArgSpec::integer("protover"),
            ArgSpec::block("auth", &[ArgSpec::string("username"), ArgSpec::string("password")])
                .token("AUTH")
                .optional(),
            ArgSpec::string("clientname").token("SETNAME").optional(),
        ],
    )
    .optional()],
    secret: Some(hello_secret),
    handler: Handler::Admin(hello),
    ..CommandSpec::BASE
};

pub(super) static AUTH: CommandSpec = CommandSpec {
    name: "auth",
    summary: "Authenticates the connection.",
    group: Group::Connection,
    arity: Arity::AtLeast(2),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST).or(Flags::NO_AUTH).or(Flags::ALLOW_BUSY),
    args: &[ArgSpec::string("username").optional().since("6.0.0"), ArgSpec::string("password")],
    secret: Some(|_, i| i >= 1),
    handler: Handler::Admin(auth),
    ..CommandSpec::BASE
};

const WRONG_PASS: CommandError = CommandError::fixed("WRONGPASS invalid username-password pair or user is disabled.");

const NO_PASSWORD_SET: CommandError = CommandError::fixed(
    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration \
     is correct?",
);

const NO_PROTO: CommandError = CommandError::fixed("NOPROTO unsupported protocol version");

const HELLO_UNAUTHENTICATED: CommandError = CommandError::fixed(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> \
     option can be used to authenticate the client and select the RESP protocol version at the same time",
);

/// User and password, wherever AUTH stands.
fn hello_secret(args: Args<'_>, i: usize) -> bool {
    let auth = (2..args.len()).find(|&at| args[at].eq_ignore_ascii_case(b"auth"));
    auth.is_some_and(|at| i == at + 1 || i == at + 2)
}

fn auth(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    match args.len() {
        2 => {
            if ctx.inst.config.server.requirepass.is_empty() {
                return Err(NO_PASSWORD_SET);
            }
            authenticate(ctx, b"default", &args[1])?;
        }
        3 => authenticate(ctx, &args[1], &args[2])?,
        _ => return Err(error::SYNTAX),
    }
    ctx.reply().ok();
    Ok(())
}

fn authenticate(ctx: &mut AdminCtx<'_>, user: &[u8], password: &[u8]) -> CommandResult {
    let wanted = ctx.inst.config.server.requirepass.as_bytes();
    if user != b"default" || !(wanted.is_empty() || same(wanted, password)) {
        return Err(WRONG_PASS);
    }
    ctx.session.attention.put(Attention::UNAUTHENTICATED, false);
    ctx.session.about.user = user.to_vec();
    Ok(())
}

/// Compares in a time that depends on the lengths alone.
fn same(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b.iter().chain(std::iter::repeat(&0))).fold(0u8, |d, (x, y)| d | (x ^ y));
    a.len() == b.len() && differing == 0
}

fn hello(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let mut at = 1;
    let mut proto = ctx.session.reply.proto;
    if let Some(version) = args.get(1) {
        proto = match num::parse_i64(version) {
            Some(2) => Proto::Resp2,
            Some(3) => Proto::Resp3,
            Some(_) => return Err(NO_PROTO),
            None => return Err(CommandError::fixed("ERR Protocol version is not an integer or out of range")),
        };
        at = 2;
    }
    let mut credentials = None;
    let mut name = None;
    while let Some(option) = args.get(at) {
        let left = args.len() - at - 1;
        if option.eq_ignore_ascii_case(b"auth") && left >= 2 {
            credentials = Some((&args[at + 1], &args[at + 2]));
            at += 3;
        } else if option.eq_ignore_ascii_case(b"setname") && left >= 1 {
            super::client::check_name(&args[at + 1])?;
            name = Some(&args[at + 1]);
            at += 2;
        } else {
            return Err(CommandError::quoting("ERR Syntax error in HELLO option '", option, "'"));
        }
    }
    if let Some((user, password)) = credentials {
        authenticate(ctx, user, password)?;
    }
    if ctx.session.attention.has(Attention::UNAUTHENTICATED) {
        return Err(HELLO_UNAUTHENTICATED);
    }
    if let Some(name) = name {
        ctx.session.about.name = name.to_vec();
    }
    ctx.session.set_protocol(proto);
    let id = ctx.session.id as i64;
    let version = ctx.inst.config.server.redis_version.clone();
    let reply = ctx.reply();
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(version.as_bytes());
    reply.bulk(b"proto");
    reply.int(proto.number());
    reply.bulk(b"id");
    reply.int(id);
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    reply.bulk(b"master");
    reply.bulk(b"modules");
    reply.array(0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn passwords_are_compared_whole() {
        assert!(same(b"secret", b"secret"));
        assert!(!same(b"secret", b"secre"));
        assert!(!same(b"secret", b"secret2"));
        assert!(!same(b"secret", b"Secret"));
        assert!(!same(b"secret", b""));
    }
}
