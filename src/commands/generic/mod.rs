//! The group `generic`: keys of any type.
//!
//! # What this is
//!
//! What can be done with a key without knowing what it holds: whether it is there, when it goes, what it is called,
//! where it is, and walking over all of them.
//!
//! # What it never does
//!
//! **Architecture Invariant:** nothing here switches over types, but for SORT. What differs from type to type is asked
//! of the entry.
//!
//! # Map
//!
//! | file | commands |
//! | --- | --- |
//! | `keys.rs` | DEL, UNLINK, EXISTS, TOUCH, TYPE |
//! | `expire.rs` | EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT, PERSIST |
//! | `ttl.rs` | TTL, PTTL, EXPIRETIME, PEXPIRETIME |
//! | `scan.rs` | SCAN, KEYS, RANDOMKEY |
//! | `rename.rs` | RENAME, RENAMENX, MOVE, COPY |
//! | `object.rs` | OBJECT and its subcommands |
//! | `dump.rs` | DUMP, RESTORE |
//! | `migrate.rs` | MIGRATE |
//! | `sort.rs` | SORT, SORT_RO; `sorting.rs` is how |
//!
//! # Read first
//!
//! `keys.rs`, then `expire.rs`.

mod dump;
mod expire;
mod keys;
mod migrate;
mod object;
mod rename;
mod scan;
mod sort;
mod sorting;
mod ttl;
mod wait;

use crate::exec::spec::CommandSpec;

pub(super) static COMMANDS: &[&CommandSpec] = &[
    &keys::DEL,
    &keys::UNLINK,
    &keys::EXISTS,
    &keys::TOUCH,
    &keys::TYPE,
    &expire::EXPIRE,
    &expire::PEXPIRE,
    &expire::EXPIREAT,
    &expire::PEXPIREAT,
    &expire::PERSIST,
    &ttl::TTL,
    &ttl::PTTL,
    &ttl::EXPIRETIME,
    &ttl::PEXPIRETIME,
    &scan::SCAN,
    &scan::KEYS,
    &scan::RANDOMKEY,
    &rename::RENAME,
    &rename::RENAMENX,
    &rename::MOVE,
    &rename::COPY,
    &object::OBJECT,
    &dump::DUMP,
    &dump::RESTORE,
    &migrate::MIGRATE,
    &sort::SORT,
    &sort::SORT_RO,
    &wait::WAIT,
    &wait::WAITAOF,
];
