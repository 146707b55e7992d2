//! What reading a database takes, whether it is the one that clients change or one that a snapshot shows.
//!
//! A handler that only reads is written once, over [`Readable`]: on the main thread it reads the live database, and a
//! long read does the same on another thread with the database as it was ([`super::PastDb`]).

use std::ops::ControlFlow;

use super::data::DbMut;
use super::entry::{EntryRef, Key};
use super::place::Reading;
use crate::types::place::Maker;

/// A database at one moment, to be read.
pub trait Readable {
    /// The command's moment in unix milliseconds.
    fn now_ms(&self) -> i64;

    /// `bytes` with their hash, for keys that were not hashed with the request.
    fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k>;

    /// The entry, for a command that reads its value.
    fn lookup_read(&mut self, key: Key<'_>) -> Option<EntryRef<'_>>;

    /// The entry, without a trace.
    fn peek(&self, key: Key<'_>) -> Option<EntryRef<'_>>;

    /// The database, beside what it takes to build a value out of what is read.
    fn reading(&mut self) -> (Reading<'_>, Maker<'_>);

    /// Starts fetching what lookups of keys with these hashes will read.
    fn prefetch(&self, hashes: impl Iterator<Item = u64> + Clone);

    /// How many keys there are, those that ran out of time but are still there included.
    fn size(&self) -> usize;

    /// Every entry that has time left, until `f` has had enough.
    fn each(&self, f: impl FnMut(EntryRef<'_>) -> ControlFlow<()>);

    /// A field of a hash for a command that reads it: if its time is over and the hash can be changed, it goes.
    fn forget_if_expired(&mut self, key: Key<'_>, name: &[u8]);
}

impl Readable for DbMut<'_> {
    #[inline]
    fn now_ms(&self) -> i64 {
        DbMut::now_ms(self)
    }

    #[inline]
    fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        DbMut::key(self, bytes)
    }

    #[inline]
    fn lookup_read(&mut self, key: Key<'_>) -> Option<EntryRef<'_>> {
        DbMut::lookup_read(self, key)
    }

    #[inline]
    fn peek(&self, key: Key<'_>) -> Option<EntryRef<'_>> {
        DbMut::peek(self, key)
    }

    #[inline]
    fn reading(&mut self) -> (Reading<'_>, Maker<'_>) {
        DbMut::reading(self)
    }

    #[inline]
    fn prefetch(&self, hashes: impl Iterator<Item = u64> + Clone) {
        DbMut::prefetch(self, hashes);
    }

    #[inline]
    fn size(&self) -> usize {
        DbMut::size(self)
    }

    #[inline]
    fn each(&self, mut f: impl FnMut(EntryRef<'_>) -> ControlFlow<()>) {
        self.for_each(|entry| {
            // Nobody breaks off who keeps all others waiting.
            let _ = f(entry);
        });
    }

    #[inline]
    fn forget_if_expired(&mut self, key: Key<'_>, name: &[u8]) {
        DbMut::forget_if_expired(self, key, name);
    }
}
