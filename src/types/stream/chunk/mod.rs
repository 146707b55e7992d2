//! A chunk of a stream: some entries in one listpack, laid out as Redis lays them out, so that files need no conversion.
//!
//! ```text
//! head   | live | deleted | number of fields n | field 1 | ... | field n | 0 |
//! entry  | flags | ms | seq | value 1 | ... | value n | pieces |                            the fields of the head
//! entry  | flags | ms | seq | m | field 1 | value 1 | ... | field m | value m | pieces |    fields of its own
//! ```
//!
//! A chunk has an id, that of its first entry; `ms` and `seq` say how far each part of an entry's id is behind the
//! chunk's. `pieces` counts the elements of the entry before it, which is how a chunk is walked backwards; the 0 at the
//! end of the head ends that walk. A deleted entry stays where it is with a flag set: only when the last live one goes
//! does the chunk go.
//!
//! Bytes from outside go through [`check()`] once. After that every reader here takes them at their word.
//!
//! | file | holds |
//! | --- | --- |
//! | this | reading: [`Chunk`], [`Entry`] |
//! | `write` | making a chunk, appending, deleting |
//! | `check` | bytes from outside |

mod check;
mod write;

pub use check::{Checked, check};
pub use write::{ChunkLimits, Fate, append, begin, begin_long, bytes_alone, cut_deleted_tail, delete, delete_front};

use super::id::StreamId;
use crate::collections::listpack::{self, HEADER, Item, ListpackRef};

/// A chunk's bytes are at most these.
pub const BYTES_MAX: usize = listpack::LIMIT;

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;
/// Flags, ms and seq.
const PIECES_MIN: i64 = 3;

/// A chunk to be read.
#[derive(Clone, Copy)]
pub struct Chunk<'a> {
    id: StreamId,
    bytes: ListpackRef<'a>,
}

/// What the head says.
#[derive(Clone, Copy, Debug)]
struct Head {
    live: i64,
    deleted: i64,
    fields: i64,
    /// Position of the first field.
    fields_at: usize,
}

/// An entry of a chunk.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its id.
    pub id: StreamId,
    /// Whether it was deleted.
    pub deleted: bool,
    /// How many fields it has.
    pub len: usize,
    /// Position of the flags.
    at: usize,
    /// Position of the next field's name: in the head, or before its value.
    name_at: usize,
    /// Position of the first value, or of its name.
    value_at: usize,
    bytes: ListpackRef<'a>,
    own_fields: bool,
}

/// The fields of an entry with their values.
#[derive(Clone)]
pub struct Fields<'a> {
    bytes: ListpackRef<'a>,
    name_at: usize,
    value_at: usize,
    left: usize,
    own_fields: bool,
}

/// An integer of the layout.
#[inline]
fn int(bytes: ListpackRef<'_>, at: usize) -> (i64, usize) {
    let (item, behind) = bytes.read(at);
    (item.as_i64().unwrap_or(0), behind)
}

impl<'a> Chunk<'a> {
    /// Trusts the bytes.
    #[inline]
    pub fn new(id: StreamId, bytes: &'a [u8]) -> Chunk<'a> {
        Chunk { id, bytes: ListpackRef::new(bytes) }
    }

    /// The id that its entries' ids are relative to.
    #[inline]
    pub fn id(self) -> StreamId {
        self.id
    }

    /// All bytes.
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        self.bytes.bytes()
    }

    #[inline]
    fn head(self) -> Head {
        let (live, at) = int(self.bytes, HEADER);
        let (deleted, at) = int(self.bytes, at);
        let (fields, fields_at) = int(self.bytes, at);
        Head { live, deleted, fields, fields_at }
    }

    /// How many entries were not deleted.
    #[inline]
    pub fn live(self) -> u64 {
        int(self.bytes, HEADER).0 as u64
    }

    /// How many entries there are, deleted ones and all.
    #[inline]
    pub fn slots(self) -> u64 {
        let (live, at) = int(self.bytes, HEADER);
        (live + int(self.bytes, at).0) as u64
    }

    /// All entries, deleted ones and all.
    #[inline]
    pub fn entries(self) -> Entries<'a> {
        let head = self.head();
        // The terminator of the head is passed too.
        let front = (0..=head.fields).fold(head.fields_at, |at, _| self.bytes.behind(at));
        Entries { chunk: self, head, front, back: self.bytes.end() }
    }

    /// The live entry with the lowest id.
    pub fn first(self) -> Option<Entry<'a>> {
        self.entries().find(|e| !e.deleted)
    }

    /// The live entry with the highest id.
    pub fn last(self) -> Option<Entry<'a>> {
        self.entries().rev().find(|e| !e.deleted)
    }

    /// The highest id, be its entry deleted or not.
    pub fn last_id(self) -> StreamId {
        self.entries().next_back().map_or(self.id, |e| e.id)
    }

    /// The live entry with this id.
    pub fn find(self, id: StreamId) -> Option<Entry<'a>> {
        // The nearer side is not known, but whoever asks for one entry asks for a new one rather than for an old one.
        let mut entries = self.entries();
        if id == self.id {
            return entries.next().filter(|e| e.id == id && !e.deleted);
        }
        entries.rev().find(|e| e.id <= id).filter(|e| e.id == id && !e.deleted)
    }

    /// The entry whose flags are at `at`, and the position behind it.
    #[inline]
    fn read(self, at: usize, head: &Head) -> (Entry<'a>, usize) {
        let (flags, ms_at) = int(self.bytes, at);
        let (ms, seq_at) = int(self.bytes, ms_at);
        let (seq, body) = int(self.bytes, seq_at);
        let own_fields = flags & SAME_FIELDS == 0;
        let (len, value_at) = if own_fields { int(self.bytes, body) } else { (head.fields, body) };
        let pieces = if own_fields { 2 * len } else { len };
        // The last one is the count of pieces itself.
        let behind = (0..=pieces).fold(value_at, |at, _| self.bytes.behind(at));
        let entry = Entry {
            id: self.id.offset(ms, seq),
            deleted: flags & DELETED != 0,
            len: len as usize,
            at,
            name_at: if own_fields { value_at } else { head.fields_at },
            value_at,
            bytes: self.bytes,
            own_fields,
        };
        (entry, behind)
    }
}

impl<'a> Entry<'a> {
    /// The fields with their values.
    #[inline]
    pub fn fields(&self) -> Fields<'a> {
        Fields {
            bytes: self.bytes,
            name_at: self.name_at,
            value_at: self.value_at,
            left: self.len,
            own_fields: self.own_fields,
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Item<'a>, Item<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        if self.own_fields {
            let (name, at) = self.bytes.read(self.value_at);
            let (value, behind) = self.bytes.read(at);
            self.value_at = behind;
            return Some((name, value));
        }
        let (name, next_name) = self.bytes.read(self.name_at);
        let (value, next_value) = self.bytes.read(self.value_at);
        (self.name_at, self.value_at) = (next_name, next_value);
        Some((name, value))
    }
}

/// The entries of a chunk, from both sides.
#[derive(Clone)]
pub struct Entries<'a> {
    chunk: Chunk<'a>,
    head: Head,
    front: usize,
    back: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        if self.front >= self.back {
            return None;
        }
        let (entry, behind) = self.chunk.read(self.front, &self.head);
        self.front = behind;
        Some(entry)
    }
}

impl DoubleEndedIterator for Entries<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        let bytes = self.chunk.bytes;
        let count_at = bytes.prev(self.back)?;
        let pieces = int(bytes, count_at).0;
        self.back = (0..pieces).try_fold(count_at, |at, _| bytes.prev(at))?;
        Some(self.chunk.read(self.back, &self.head).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collections::listpack::EMPTY;
    use crate::util::text::Source;

    const ID: StreamId = StreamId::new(1000, 5);

    fn texts<'a>(texts: &'a [&'a str]) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone {
        texts.iter().map(|t| t.as_bytes())
    }

    #[test]
    fn long_texts_make_the_same_chunk() {
        let long = "x".repeat(70_000);
        for case in [&["field", "value"][..], &["f", &long, "g", "7"], &[&long, "1", "f", &long]] {
            let mut expected = EMPTY.to_vec();
            begin(&mut expected, texts(case));
            for given in [false, true] {
                let texts =
                    texts(case).map(|text| if given { Source::Whole(text.to_vec()) } else { Source::Lent(text) });
                let made = begin_long(texts.collect(), 16);
                assert!(made == expected && made.capacity() >= made.len() + 16);
            }
        }
    }

    fn below(id: StreamId, end: StreamId) -> Fate {
        if id < end { Fate::Goes } else { Fate::Ends }
    }

    fn shown(bytes: &[u8]) -> Vec<String> {
        let show = |e: Entry<'_>| {
            let fields: Vec<_> = e.fields().map(|(f, v)| format!("{f:?}={v:?}")).collect();
            format!("{}{} {}", if e.deleted { "-" } else { "" }, e.id, fields.join(" "))
        };
        let chunk = Chunk::new(ID, bytes);
        let forth: Vec<_> = chunk.entries().map(show).collect();
        let mut back: Vec<_> = chunk.entries().rev().map(show).collect();
        back.reverse();
        assert_eq!(forth, back);
        forth
    }

    fn sample() -> Vec<u8> {
        let mut bytes = listpack::new(0);
        begin(&mut bytes, texts(&["name", "ann", "age", "7"]));
        append(&mut bytes, ID, StreamId::new(1000, 6), texts(&["name", "bob", "age", "-1"]));
        append(&mut bytes, ID, StreamId::new(1001, 0), texts(&["name", "bob", "size", "99999999999999999999"]));
        append(&mut bytes, ID, StreamId::new(1001, 1), texts(&["x", ""]));
        bytes
    }

    #[test]
    fn entries_come_back() {
        let bytes = sample();
        assert_eq!(
            shown(&bytes),
            [
                "1000-5 \"name\"=\"ann\" \"age\"=7",
                "1000-6 \"name\"=\"bob\" \"age\"=-1",
                "1001-0 \"name\"=\"bob\" \"size\"=\"99999999999999999999\"",
                "1001-1 \"x\"=\"\"",
            ]
        );
        assert_eq!(check(ID, &bytes), Ok(Checked { live: 4, last_id: StreamId::new(1001, 1) }));
    }

    #[test]
    fn deleted_entries_stay_where_they_are() {
        let mut bytes = sample();
        assert!(delete(&mut bytes, ID, StreamId::new(1001, 0)));
        assert!(delete(&mut bytes, ID, ID));
        assert!(!delete(&mut bytes, ID, ID));
        let chunk = Chunk::new(ID, &bytes);
        assert_eq!((chunk.live(), chunk.slots()), (2, 4));
        assert_eq!(chunk.first().map(|e| e.id), Some(StreamId::new(1000, 6)));
        assert_eq!(chunk.last().map(|e| e.id), Some(StreamId::new(1001, 1)));
        assert!(chunk.find(ID).is_none() && chunk.find(StreamId::new(1001, 1)).is_some());
        assert!(chunk.find(StreamId::new(1000, 7)).is_none());
        assert_eq!(delete_front(&mut bytes, ID, |id| below(id, StreamId::new(1001, 0))), 1);
        assert!(delete(&mut bytes, ID, StreamId::new(1001, 1)), "the last one");
        assert_eq!(check(ID, &bytes).map(|c| c.live), Ok(0));
    }

    #[test]
    fn a_deleted_tail_makes_room() {
        let mut bytes = sample();
        for id in [StreamId::new(1001, 0), StreamId::new(1001, 1)] {
            assert!(delete(&mut bytes, ID, id));
        }
        let last = StreamId::new(1000, 9);
        cut_deleted_tail(&mut bytes, ID, last);
        cut_deleted_tail(&mut bytes, ID, last);
        append(&mut bytes, ID, StreamId::new(1001, 0), texts(&["x", "1"]));
        assert_eq!(check(ID, &bytes), Ok(Checked { live: 3, last_id: StreamId::new(1001, 0) }));
        assert_eq!(Chunk::new(ID, &bytes).slots(), 3);
    }

    #[test]
    fn counts_may_outgrow_their_bytes() {
        let mut bytes = listpack::new(0);
        begin(&mut bytes, texts(&["f", "0"]));
        for n in 1..300u64 {
            append(&mut bytes, ID, StreamId::new(1000 + n, 0), texts(&["f", &n.to_string()]));
        }
        assert_eq!(check(ID, &bytes).map(|c| c.live), Ok(300));
        assert_eq!(delete_front(&mut bytes, ID, |id| below(id, StreamId::new(1200, 0))), 200);
        assert_eq!(check(ID, &bytes).map(|c| c.live), Ok(100));
        assert_eq!(shown(&bytes)[299], "1299-0 \"f\"=299");
    }

    #[test]
    fn hostile_bytes_are_refused_or_harmless() {
        let good = sample();
        for at in 0..good.len() {
            assert!(check(ID, &good[..at]).is_err());
            for change in [1, 2, 0x7F, 0x80, 0xFF] {
                let mut bad = good.clone();
                bad[at] ^= change;
                if check(ID, &bad).is_ok() {
                    shown(&bad);
                }
            }
        }
    }
}
