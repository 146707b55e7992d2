//! The group `hash`: fields with values, and deadlines of their own.
//!
//! # What this is
//!
//! One `static` and one function per command. What a hash *is*, when it changes its encoding and where its deadlines
//! are, is decided in [`crate::types::hash`].
//!
//! # What it never does
//!
//! **Architecture Invariant:** a hash is changed inside [`Occupied::edit_hash`] alone, so that the keyspace's index of
//! deadlines hears of it.
//!
//! # Map
//!
//! | file | commands |
//! | --- | --- |
//! | `fields.rs` | HSET, HMSET, HSETNX, HGET, HMGET, HDEL, HEXISTS, HSTRLEN, HLEN |
//! | `all.rs` | HGETALL, HKEYS, HVALS, HSCAN |
//! | `counters.rs` | HINCRBY, HINCRBYFLOAT |
//! | `random.rs` | HRANDFIELD |
//! | `expire.rs` | HEXPIRE, HPEXPIRE, HEXPIREAT, HPEXPIREAT, HPERSIST |
//! | `ttl.rs` | HTTL, HPTTL, HEXPIRETIME, HPEXPIRETIME |
//! | `expiring.rs` | HGETDEL, HGETEX, HSETEX |
//!
//! # Read first
//!
//! `fields.rs`.

mod all;
mod counters;
mod expire;
mod expiring;
mod fields;
mod random;
mod ttl;

use crate::collections::listpack::Item;
use crate::db::{KeyEvent, Occupied};
use crate::exec::error::CommandError;
use crate::exec::spec::CommandSpec;
use crate::resp::{Args, Reply};
use crate::util::num;

pub(super) static COMMANDS: &[&CommandSpec] = &[
    &fields::HSET,
    &fields::HMSET,
    &fields::HSETNX,
    &fields::HGET,
    &fields::HMGET,
    &fields::HDEL,
    &fields::HEXISTS,
    &fields::HSTRLEN,
    &fields::HLEN,
    &all::HGETALL,
    &all::HKEYS,
    &all::HVALS,
    &all::HSCAN,
    &counters::HINCRBY,
    &counters::HINCRBYFLOAT,
    &random::HRANDFIELD,
    &expire::HEXPIRE,
    &expire::HPEXPIRE,
    &expire::HEXPIREAT,
    &expire::HPEXPIREAT,
    &expire::HPERSIST,
    &ttl::HTTL,
    &ttl::HPTTL,
    &ttl::HEXPIRETIME,
    &ttl::HPEXPIRETIME,
    &expiring::HGETDEL,
    &expiring::HGETEX,
    &expiring::HSETEX,
];

#[inline]
fn reply_item(reply: &mut Reply, item: Item<'_>) {
    match item {
        Item::Int(n) => reply.bulk_int(n),
        Item::Bytes(text) => reply.bulk(text),
    }
}

/// Removes the key if its hash has no fields left.
fn remove_if_empty(place: Occupied<'_>) {
    if place.get().hash().is_ok_and(|hash| hash.is_empty()) {
        place.remove();
    }
}

const HSET_EVENT: KeyEvent = KeyEvent::hash("hset");
const HDEL_EVENT: KeyEvent = KeyEvent::hash("hdel");
const HEXPIRE_EVENT: KeyEvent = KeyEvent::hash("hexpire");
const HPERSIST_EVENT: KeyEvent = KeyEvent::hash("hpersist");

const NO_FIELDS_WORD: CommandError =
    CommandError::fixed("ERR Mandatory argument FIELDS is missing or not at the right position");
const FIELD_COUNT: CommandError =
    CommandError::fixed("ERR The `numfields` parameter must match the number of arguments");
const COUNT_NOT_POSITIVE: CommandError = CommandError::fixed("ERR Number of fields must be a positive integer");

/// `FIELDS number field ...`, which begins at argument `at` and ends the request.
fn named_fields<'a>(args: Args<'a>, at: usize, bad_count: CommandError) -> Result<Args<'a>, CommandError> {
    match args.get(at) {
        Some(word) if word.eq_ignore_ascii_case(b"fields") => {}
        _ => return Err(NO_FIELDS_WORD),
    }
    let count = args.get(at + 1).and_then(num::parse_i64).filter(|&count| count > 0).ok_or(bad_count)?;
    let given = args.len().saturating_sub(at + 2);
    if count as u64 != given as u64 {
        return Err(FIELD_COUNT);
    }
    Ok(args.skip(at + 2))
}
