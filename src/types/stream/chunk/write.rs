//! Writing chunks, wherever their bytes lie: each change is one edit of a listpack, or a few.

use super::{BYTES_MAX, Chunk, DELETED, Entry, PIECES_MIN, SAME_FIELDS, int};
use crate::collections::listpack::{self, Buffer, HEADER, Item, ListpackMut, ListpackRef};
use crate::types::stream::id::StreamId;
use crate::util::text::Source;

/// How large chunks may grow: `stream-node-max-bytes` and `stream-node-max-entries`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChunkLimits {
    /// Bytes; 0 for no limit but [`BYTES_MAX`].
    pub bytes: usize,
    /// Entries, deleted ones and all; 0 for no limit.
    pub entries: u64,
}

impl Default for ChunkLimits {
    fn default() -> Self {
        ChunkLimits { bytes: 4096, entries: 100 }
    }
}

impl ChunkLimits {
    /// Whether an entry with texts of these lengths goes into a chunk that is there.
    pub fn admit(self, chunk: Chunk<'_>, lens: impl ExactSizeIterator<Item = usize>) -> bool {
        let there = chunk.bytes().len();
        let around = lens.len() * AROUND_TEXT + AROUND_ENTRY;
        let with_texts = lens.fold(there, |sum, len| sum.saturating_add(len));
        // A limit counts texts only, but the last one is one of bytes.
        let below = self.bytes == 0 || with_texts < self.bytes;
        below && with_texts.saturating_add(around) <= BYTES_MAX && (self.entries == 0 || chunk.slots() < self.entries)
    }
}

/// No text has more than this around it in a listpack.
const AROUND_TEXT: usize = 10;
/// Numbers in the head and the entry, none of which takes more than 11 bytes.
const AROUND_ENTRY: usize = 10 * 11;

/// The elements that an entry is in a listpack. `texts` are fields and values in turn.
fn pieces<'a, T>(flags: i64, distance: (i64, i64), texts: T) -> impl Iterator<Item = Item<'a>> + Clone
where
    T: ExactSizeIterator<Item = &'a [u8]> + Clone,
{
    let own_fields = flags & SAME_FIELDS == 0;
    let fields = texts.len() as i64 / 2;
    let count = PIECES_MIN + if own_fields { 1 + 2 * fields } else { fields };
    let front = [flags, distance.0, distance.1].into_iter().map(Item::Int);
    let values = texts.enumerate().filter(move |(i, _)| own_fields || i % 2 == 1).map(|(_, text)| Item::of(text));
    front.chain(own_fields.then_some(Item::Int(fields))).chain(values).chain([Item::Int(count)])
}

/// How many bytes a chunk with texts of these lengths as its only entry would have; at least as many as the entry takes in another.
pub fn bytes_alone(lens: impl Iterator<Item = usize>) -> usize {
    lens.fold(HEADER + 1 + AROUND_ENTRY, |sum, len| sum.saturating_add(len + AROUND_TEXT))
}

/// A new chunk with one entry.
pub fn begin<'a, T>(out: &mut impl Buffer, texts: T)
where
    T: ExactSizeIterator<Item = &'a [u8]> + Clone,
{
    let numbers = [1, 0, texts.len() as i64 / 2].into_iter().map(Item::Int);
    let names = texts.clone().step_by(2).map(Item::of);
    let head = numbers.chain(names).chain([Item::Int(0)]);
    let mut bytes = ListpackMut::new(out);
    bytes.extend_back(head.chain(pieces(SAME_FIELDS, (0, 0), texts)));
}

/// A new chunk with one entry some of whose texts are long, and may be given away. It has `room` to spare.
pub fn begin_long(texts: Vec<Source<'_>>, room: usize) -> Vec<u8> {
    let fields = texts.len() as i64 / 2;
    let mut bytes = listpack::new(bytes_alone(texts.iter().map(|text| text.len())) + room);
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for (i, text) in texts.into_iter().enumerate() {
        if i % 2 == 0 { names.push(text) } else { values.push(text) }
    }
    ListpackMut::new(&mut bytes).extend_back([1, 0, fields].into_iter().map(Item::Int));
    names.into_iter().for_each(|name| listpack::push_text(&mut bytes, name));
    ListpackMut::new(&mut bytes).extend_back([0, SAME_FIELDS, 0, 0].into_iter().map(Item::Int));
    values.into_iter().for_each(|value| listpack::push_text(&mut bytes, value));
    ListpackMut::new(&mut bytes).push_back(PIECES_MIN + fields);
    bytes
}

/// Appends an entry with the id `entry`, which is higher than all others, to the chunk `id`.
pub fn append<'a, T>(out: &mut impl Buffer, id: StreamId, entry: StreamId, texts: T)
where
    T: ExactSizeIterator<Item = &'a [u8]> + Clone,
{
    let chunk = Chunk::new(id, out.bytes());
    let head = chunk.head();
    let same = texts.len() as i64 == 2 * head.fields && {
        let mut at = head.fields_at;
        texts.clone().step_by(2).all(|name| {
            let (field, behind) = chunk.bytes.read(at);
            at = behind;
            field.is_text(name)
        })
    };
    let flags = if same { SAME_FIELDS } else { 0 };
    let mut bytes = ListpackMut::new(out);
    bytes.extend_back(pieces(flags, id.distance(entry), texts));
    bytes.replace(HEADER, head.live + 1);
}

/// Marks an entry of the chunk as deleted; false if there is no such entry alive.
pub fn delete(out: &mut impl Buffer, id: StreamId, entry: StreamId) -> bool {
    let chunk = Chunk::new(id, out.bytes());
    let Some(Entry { at, .. }) = chunk.find(entry) else { return false };
    let head = chunk.head();
    mark(out, at);
    count(out, head.live - 1, head.deleted + 1);
    true
}

/// What [`delete_front`] does with an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It is deleted.
    Goes,
    /// It is passed over.
    Stays,
    /// It stays, and so do all behind it.
    Ends,
}

/// Marks live entries as deleted, from the first on, as `fate` says. Returns how many.
pub fn delete_front(out: &mut impl Buffer, id: StreamId, mut fate: impl FnMut(StreamId) -> Fate) -> u64 {
    let head = Chunk::new(id, out.bytes()).head();
    let mut walk = Chunk::new(id, out.bytes()).entries().front;
    let mut gone = 0;
    while walk < out.bytes().len() - 1 {
        let (Entry { id: entry, at, deleted, .. }, behind) = Chunk::new(id, out.bytes()).read(walk, &head);
        walk = behind;
        if deleted {
            continue;
        }
        match fate(entry) {
            Fate::Goes => {
                mark(out, at);
                gone += 1;
            }
            Fate::Stays => {}
            Fate::Ends => break,
        }
    }
    count(out, head.live - gone, head.deleted + gone);
    gone as u64
}

/// Removes the entries behind `last`, all of them deleted, so that others may come there.
pub fn cut_deleted_tail(out: &mut impl Buffer, id: StreamId, last: StreamId) {
    let chunk = Chunk::new(id, out.bytes());
    let (head, end) = (chunk.head(), chunk.bytes.end());
    let Some(from) = chunk.entries().find(|e| e.id > last).map(|e| e.at) else { return };
    let gone = chunk.entries().filter(|e| e.at >= from).count() as i64;
    let pieces = chunk.bytes.iter_from(from).count();
    ListpackMut::new(out).remove_between(from..end, pieces);
    count(out, head.live, head.deleted - gone);
}

/// Sets the flag. Flags take one byte with it and without.
fn mark(out: &mut impl Buffer, at: usize) {
    let flags = int(ListpackRef::new(out.bytes()), at).0;
    ListpackMut::new(out).replace(at, flags | DELETED);
}

fn count(out: &mut impl Buffer, live: i64, deleted: i64) {
    let mut bytes = ListpackMut::new(out);
    let at = bytes.replace(HEADER, live);
    bytes.replace(at, deleted);
}
