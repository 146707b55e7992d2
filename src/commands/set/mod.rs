//! The group `set`: members without order.
//!
//! # What this is
//!
//! One `static` and one function per command. What a set *is*, and when it changes its encoding, is decided in
//! [`crate::types::set`].
//!
//! # What it never does
//!
//! **Architecture Invariant:** no handler asks for a set's encoding, but for what must come out as Redis has it.
//!
//! # Map
//!
//! | file | commands |
//! | --- | --- |
//! | `members.rs` | SADD, SREM, SMOVE, SCARD, SISMEMBER, SMISMEMBER, SMEMBERS, SSCAN |
//! | `random.rs` | SPOP, SRANDMEMBER |
//! | `algebra.rs` | SINTER, SUNION, SDIFF, and their kin that store or count |
//!
//! # Read first
//!
//! `members.rs`.

mod algebra;
mod members;
mod random;

use crate::collections::listpack::Item;
use crate::exec::long_read::Pace;
use crate::exec::spec::CommandSpec;
use crate::resp::Reply;
use crate::types::set::SetRef;

pub(super) static COMMANDS: &[&CommandSpec] = &[
    &members::SADD,
    &members::SREM,
    &members::SMOVE,
    &members::SCARD,
    &members::SISMEMBER,
    &members::SMISMEMBER,
    &members::SMEMBERS,
    &members::SSCAN,
    &random::SPOP,
    &random::SRANDMEMBER,
    &algebra::SINTER,
    &algebra::SINTERCARD,
    &algebra::SINTERSTORE,
    &algebra::SUNION,
    &algebra::SUNIONSTORE,
    &algebra::SDIFF,
    &algebra::SDIFFSTORE,
];

/// All members of a set.
#[inline]
fn reply_set(reply: &mut Reply, set: SetRef<'_>, pace: &mut impl Pace) {
    reply.set(set.len());
    for member in set.iter() {
        reply_member(reply, member);
        if !pace.goes_on(reply) {
            break;
        }
    }
}

#[inline]
fn reply_member(reply: &mut Reply, member: Item<'_>) {
    match member {
        Item::Int(n) => reply.bulk_int(n),
        Item::Bytes(text) => reply.bulk(text),
    }
}
