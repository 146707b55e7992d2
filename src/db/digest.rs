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
        self.digest_while(|| true)
    }

    /// The same, asking before every key whether to go on.
    pub fn digest_while(&self, mut goes_on: impl FnMut() -> bool) -> Digest {
        let mut total = Digest::ZERO;
        for db in self.dbs() {
            add_db(&mut total, db.index(), |f| db.iter().take_while(|_| goes_on()).for_each(f));
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;

    /// What redis-server 8.2.3 replied to the same commands.
    #[test]
    fn agrees_with_redis() {
        let mut w = World::with(&[("a", "hello"), ("n", "12345"), ("n2", "012"), ("big", &"x".repeat(100))]);
        let value = |w: &mut World, key| w.on(key, |db, k| db.digest_value(k)).to_string();
        assert_eq!(value(&mut w, "a"), "36b23a1456b2dce2c3ed252c456761301dba8060");
        assert_eq!(value(&mut w, "n"), "e1cf90774e995ae03de66e8109dc5cb9d9c2dc83");
        assert_eq!(value(&mut w, "n2"), "baf361afd23f2728edc67cf49c8002712883a1ec");
        assert_eq!(value(&mut w, "big"), "6942b9b71aaff9a398b7a2f898756f5e28dd3cd1");
        assert_eq!(value(&mut w, "missing"), "0".repeat(40));
        assert_eq!(w.ks.digest().to_string(), "11c58a1a69ba132c06419fe63d2f0e0c101553f7");
        w.on("a", |db, k| db.expire_at(k, i64::MAX));
        assert_eq!(value(&mut w, "a"), "d037c4eb8a8b36b602fbced4000daeab0714c1e3");
        assert_eq!(w.ks.digest().to_string(), "8d6a93791fac0e15ba13c740ef17e68947faadf3");
        assert_eq!(w.ks.snapshot().digest(), w.ks.digest());
    }
}
