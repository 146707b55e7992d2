//! DEBUG DIGEST and DEBUG DIGEST-VALUE: one number for the contents of a keyspace, the same as Redis's for the same
//! contents. Replicas, reloads and crash tests are compared by it.

use super::data::DbMut;
use super::entry::{EntryRef, Key};
use super::keyspace::Keyspace;
use super::snapshot::KeyspaceSnapshot;
use crate::types::digest::Digest;

impl EntryRef<'_> {
    /// Of the value and whether it expires, not of the key.
    pub fn digest_value(self) -> Digest {
        let mut digest = Digest::ZERO;
        self.digest_onto(&mut digest);
        digest
    }

    fn digest_onto(self, digest: &mut Digest) {
        digest.mix(&u32::from(self.type_name() as u8).to_be_bytes());
        self.value().digest(digest);
        if self.expiry_ms().is_some() {
            digest.xor(b"!!expire!!");
        }
    }
}

/// Adds one database to the digest of a keyspace.
fn add_db(total: &mut Digest, index: usize, entries: impl FnOnce(&mut dyn FnMut(EntryRef<'_>))) {
    total.mix(&(index as u32).to_be_bytes());
    entries(&mut |e| {
        let mut digest = Digest::ZERO;
        digest.mix(e.key());
        e.digest_onto(&mut digest);
        total.xor_digest(&digest);
    });
}

impl DbMut<'_> {
    /// DEBUG DIGEST-VALUE of one key; all zero if it is missing.
    pub fn digest_value(&self, key: Key<'_>) -> Digest {
        self.peek(key).map_or(Digest::ZERO, EntryRef::digest_value)
    }
}

impl Keyspace {
    /// DEBUG DIGEST.
    pub fn digest(&self) -> Digest {
        let mut total = Digest::ZERO;
        for (index, db) in self.dbs.iter().enumerate().filter(|(_, db)| !db.table.is_empty()) {
            add_db(&mut total, index, |f| db.table.for_each(|e| f(EntryRef(e))));
        }
        total
    }
}

impl KeyspaceSnapshot {
    /// What DEBUG DIGEST said when the snapshot was taken.
    pub fn digest(&self) -> Digest {
        let mut total = Digest::ZERO;
        for db in self.dbs() {
            add_db(&mut total, db.index(), |f| db.iter().for_each(|e| f(e)));
        }
        total
    }
}
