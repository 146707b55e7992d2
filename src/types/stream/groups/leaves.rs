//! The bytes of the four trees: records, and leaves that are one thing with a name.

use super::{Consumer, Group, Owned, Pending};
use crate::collections::tree::Items;
use crate::types::stream::id::StreamId;
use crate::types::stream::records::Record;

fn word(bytes: &[u8], index: usize) -> u64 {
    u64::from_le_bytes(*bytes[index * 8..].first_chunk().expect("as many words as the layout has"))
}

fn push_words(out: &mut Vec<u8>, words: impl IntoIterator<Item = u64>) {
    words.into_iter().for_each(|w| out.extend_from_slice(&w.to_le_bytes()));
}

impl Record for Pending {
    type Key = (u64, StreamId);
    const BYTES: usize = 48;

    #[inline]
    fn key(&self) -> Self::Key {
        (self.group, self.id)
    }

    #[inline]
    fn read(bytes: &[u8]) -> Pending {
        Pending {
            group: word(bytes, 0),
            id: StreamId::new(word(bytes, 1), word(bytes, 2)),
            consumer: word(bytes, 3),
            delivered_ms: word(bytes, 4) as i64,
            deliveries: word(bytes, 5),
        }
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        let (id, ms) = (self.id, self.delivered_ms as u64);
        push_words(out, [self.group, id.ms, id.seq, self.consumer, ms, self.deliveries]);
    }
}

impl Record for Owned {
    type Key = (u64, StreamId);
    const BYTES: usize = 24;

    #[inline]
    fn key(&self) -> Self::Key {
        (self.consumer, self.id)
    }

    #[inline]
    fn read(bytes: &[u8]) -> Owned {
        Owned { consumer: word(bytes, 0), id: StreamId::new(word(bytes, 1), word(bytes, 2)) }
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        push_words(out, [self.consumer, self.id.ms, self.id.seq]);
    }
}

/// Words of a leaf before the name.
const WORDS: usize = 4;

/// A leaf that is one thing with a name.
pub(super) trait Named: Copy {
    fn words(&self) -> [u64; WORDS];
    fn from_words(words: [u64; WORDS]) -> Self;

    fn of(leaf: &[u8]) -> Self {
        Self::from_words(std::array::from_fn(|i| word(leaf, i)))
    }

    fn leaf(&self, name: &[u8]) -> Vec<u8> {
        let mut leaf = Vec::with_capacity(WORDS * 8 + name.len());
        push_words(&mut leaf, self.words());
        leaf.extend_from_slice(name);
        leaf
    }

    fn overwrite(&self, leaf: &mut [u8]) {
        for (place, word) in leaf.chunks_exact_mut(8).zip(self.words()) {
            place.copy_from_slice(&word.to_le_bytes());
        }
    }
}

/// As files have it, too.
const UNKNOWN: u64 = u64::MAX;

impl Named for Group {
    fn words(&self) -> [u64; WORDS] {
        [self.number, self.last_id.ms, self.last_id.seq, self.entries_read.unwrap_or(UNKNOWN)]
    }

    fn from_words([number, ms, seq, read]: [u64; WORDS]) -> Group {
        Group { number, last_id: StreamId::new(ms, seq), entries_read: (read != UNKNOWN).then_some(read) }
    }
}

impl Named for Consumer {
    fn words(&self) -> [u64; WORDS] {
        [self.group, self.number, self.seen_ms as u64, self.active_ms as u64]
    }

    fn from_words([group, number, seen, active]: [u64; WORDS]) -> Consumer {
        Consumer { group, number, seen_ms: seen as i64, active_ms: active as i64 }
    }
}

pub(super) fn name(leaf: &[u8]) -> &[u8] {
    &leaf[WORDS * 8..]
}

/// The first bytes of a name as a number that is in the order of names.
pub(super) fn prefix(name: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let len = name.len().min(8);
    bytes[..len].copy_from_slice(&name[..len]);
    u64::from_be_bytes(bytes)
}

pub(super) struct GroupLeaf;
pub(super) struct ConsumerLeaf;

impl Items for GroupLeaf {
    type Bound = u64;
    fn bound(leaf: &[u8]) -> u64 {
        prefix(name(leaf))
    }
    fn count(_leaf: &[u8]) -> usize {
        1
    }
}

impl Items for ConsumerLeaf {
    type Bound = (u64, u64);
    fn bound(leaf: &[u8]) -> (u64, u64) {
        (word(leaf, 0), prefix(name(leaf)))
    }
    fn count(_leaf: &[u8]) -> usize {
        1
    }
}
