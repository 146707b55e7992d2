//! MONITOR: every executed command is shown to the clients that asked to see it.

use std::fmt::Write;

use crate::client::{PushKind, Session};
use crate::exec::call::{Origin, Request};
use crate::exec::instance::Instance;
use crate::exec::spec::Flags;
use crate::exec::table::Command;
use crate::resp::Args;
use crate::util::quote;

/// Sends `args`, just executed for `session`, to all monitors. Commands for operators are not shown, and of the others
/// not the passwords. Being shown after they ran puts EXEC behind what it ran, and shows the database SELECT went to.
#[cold]
pub fn feed(inst: &mut Instance, session: &Session, request: &Request<'_>, origin: Origin<'_>, wall_us: i64) {
    if !request.command.flags.has(Flags::SKIP_MONITOR.or(Flags::ADMIN)) {
        feed_now(inst, session, request.command, request.args, origin, wall_us);
    }
}

/// As [`feed`], of what is not shown behind what it does: a script is shown before what it calls.
#[cold]
pub fn feed_now(
    inst: &mut Instance,
    session: &Session,
    command: &Command,
    args: Args<'_>,
    origin: Origin<'_>,
    wall_us: i64,
) {
    let mut head = String::new();
    let addr = if matches!(origin, Origin::Script) { "lua" } else { inst.clients.addr_of(session) };
    let db = session.db;
    let _ = write!(head, "+{}.{:06} [{db} {addr}]", wall_us / 1_000_000, wall_us % 1_000_000);
    let mut line = head.into_bytes();
    for i in 0..args.len() {
        line.push(b' ');
        quote::push_repr(&mut line, command.spec.shown(args, i));
    }
    line.extend_from_slice(b"\r\n");
    inst.outbox.send(PushKind::Line, 0, inst.monitors.iter().copied(), |out| out.extend_from_slice(&line));
}
