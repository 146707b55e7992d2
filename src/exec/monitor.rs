//! MONITOR: every executed command is shown to the clients that asked to see it.

use std::fmt::Write;

use crate::client::{Attention, Client};
use crate::exec::instance::{Ask, Instance};
use crate::exec::secrets::{self, REDACTED};
use crate::exec::spec::Flags;
use crate::exec::table::Command;
use crate::resp::Args;
use crate::util::quote;

/// Sends `args`, just executed for `client`, to all monitors. Commands for operators are not shown, and of the others
/// not the passwords. Telling it afterwards puts EXEC behind what it ran, and shows the database SELECT went to.
#[cold]
pub fn feed(inst: &mut Instance, client: &mut Client, command: &Command, args: Args<'_>, wall_us: i64) {
    if command.flags.has(Flags::SKIP_MONITOR.or(Flags::ADMIN)) {
        return;
    }
    let mut head = String::new();
    let _ = write!(head, "+{}.{:06} [{} {}]", wall_us / 1_000_000, wall_us % 1_000_000, client.db, client.about.addr);
    let mut line = head.into_bytes();
    for (i, arg) in args.iter().enumerate() {
        line.push(b' ');
        quote::push_repr(&mut line, if secrets::is_secret(&command.full_name, args, i) { REDACTED } else { arg });
    }
    line.extend_from_slice(b"\r\n");
    if client.attention.has(Attention::MONITOR) {
        client.reply.raw(&line);
    }
    let mut fed = Vec::new();
    let watches = |c: &&mut Client| c.attention.has(Attention::MONITOR) && !c.attention.has(Attention::REPLY_OFF);
    for other in inst.clients.iter_mut().filter(watches) {
        other.reply.raw(&line);
        fed.push(other.conn);
    }
    inst.asks.extend(fed.into_iter().map(Ask::Flush));
}
