//! What commands that give entries to consumers become elsewhere: the state they led to, entry by entry.
//!
//! Who is given what depends on the clock and on what others were given before. So each entry is propagated as an XCLAIM
//! that leaves nothing open: whose it is, when it was delivered, how often.

use crate::db::{DbMut, Key};
use crate::types::stream::groups;
use crate::types::stream::id::StreamId;

/// A group of a stream, by name.
#[derive(Clone, Copy)]
pub(super) struct GroupName<'a> {
    pub key: Key<'a>,
    pub group: &'a [u8],
}

/// An entry that is pending for a consumer from now on, or was until now: where the entry is gone, the claim removes
/// what is pending of it.
#[derive(Clone)]
pub(super) struct Claimed {
    pub id: StreamId,
    pub delivered_ms: i64,
    pub deliveries: u64,
    /// The number of the consumer it was pending for, if that is not the one at hand.
    pub owner: Option<u64>,
}

impl GroupName<'_> {
    /// One entry belongs to a consumer.
    pub fn propagate_claim(self, db: &mut DbMut<'_>, consumer: &[u8], claimed: &Claimed, last_id: StreamId) {
        let GroupName { key, group } = self;
        let (id, last_id) = (claimed.id.to_string(), last_id.to_string());
        let (time, count) = (claimed.delivered_ms.to_string(), claimed.deliveries.to_string());
        db.propagate(&[
            b"XCLAIM",
            key.bytes,
            group,
            consumer,
            b"0",
            id.as_bytes(),
            b"TIME",
            time.as_bytes(),
            b"RETRYCOUNT",
            count.as_bytes(),
            b"FORCE",
            b"JUSTID",
            b"LASTID",
            last_id.as_bytes(),
        ]);
    }

    /// The group is where it is.
    pub fn propagate_position(self, db: &mut DbMut<'_>, group: &groups::Group) {
        let id = group.last_id.to_string();
        let read = group.entries_read.map_or("-1".to_owned(), |read| read.to_string());
        db.propagate(&[
            b"XGROUP",
            b"SETID",
            self.key.bytes,
            self.group,
            id.as_bytes(),
            b"ENTRIESREAD",
            read.as_bytes(),
        ]);
    }

    /// A consumer came to be that was given nothing: no claim makes it elsewhere.
    pub fn propagate_consumer(self, db: &mut DbMut<'_>, consumer: &[u8]) {
        db.propagate(&[b"XGROUP", b"CREATECONSUMER", self.key.bytes, self.group, consumer]);
    }

    /// What XCLAIM and XAUTOCLAIM did. `owners` are the names of consumers by number.
    pub fn propagate_claims(
        self,
        db: &mut DbMut<'_>,
        (consumer, is_new): (&[u8], bool),
        claims: &[Claimed],
        owners: &[(u64, Vec<u8>)],
        last_id: StreamId,
    ) {
        if is_new && claims.iter().all(|claimed| claimed.owner.is_some()) {
            self.propagate_consumer(db, consumer);
        }
        for claimed in claims {
            let owner = claimed.owner.and_then(|number| owners.iter().find(|(other, _)| *other == number));
            self.propagate_claim(db, owner.map_or(consumer, |(_, name)| name), claimed, last_id);
        }
    }
}

/// The names of the consumers that `claims` name by number.
pub(super) fn owners(groups: &groups::Groups, group: &groups::Group, claims: &[Claimed]) -> Vec<(u64, Vec<u8>)> {
    if claims.iter().all(|claimed| claimed.owner.is_none()) {
        return Vec::new();
    }
    let consumers = groups.consumers(group);
    consumers.map(|(name, consumer)| (consumer.number(), name.to_vec())).collect()
}
