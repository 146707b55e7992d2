//! The entries of a stream: a tree of chunks.
//!
//! A leaf is the id of a chunk in 16 bytes and the chunk ([`super::chunk`]); the tree counts live entries, so the
//! length of the stream is that of the tree, and a chunk without live entries goes by itself.

use super::chunk::{self, Chunk, ChunkLimits, Entry, Fate};
use super::groups::Needs;
use super::id::StreamId;
use crate::collections::listpack::{Buffer, EMPTY};
use crate::collections::text;
use crate::collections::tree::{CowTree, Cursor, Items, Path, Place};
use crate::cow::{Defrag, Epoch, Heap, Unshared};
use crate::util::text::{Source, Text};

const ID: usize = 16;

/// Chunks as leaves.
struct Chunks;

impl Items for Chunks {
    type Bound = StreamId;

    #[inline]
    fn bound(leaf: &[u8]) -> StreamId {
        id_of(leaf)
    }

    #[inline]
    fn count(leaf: &[u8]) -> usize {
        chunk_of(leaf).live() as usize
    }
}

#[inline]
fn id_of(leaf: &[u8]) -> StreamId {
    StreamId::from_bytes(*leaf.first_chunk().expect("a leaf begins with an id"))
}

/// The chunk that a leaf is.
#[inline]
pub(super) fn chunk_of(leaf: &[u8]) -> Chunk<'_> {
    Chunk::new(id_of(leaf), &leaf[ID..])
}

/// A leaf from the parts that files have.
pub fn leaf<'t>(id: StreamId, chunk: impl Text<'t>) -> Vec<u8> {
    let chunk = chunk.into_source();
    let mut leaf = Vec::with_capacity((ID + chunk.len()).next_multiple_of(8));
    leaf.extend_from_slice(&id.to_bytes());
    text::append(&mut leaf, chunk);
    leaf
}

/// The chunk inside a leaf, to be edited.
struct Inside<'a>(&'a mut Vec<u8>);

impl Buffer for Inside<'_> {
    #[inline]
    fn bytes(&self) -> &[u8] {
        &self.0[ID..]
    }

    #[inline]
    fn in_place(&mut self) -> &mut [u8] {
        &mut self.0[ID..]
    }

    #[inline]
    fn reshape(&mut self, at: usize, removed: usize, added: usize) -> &mut [u8] {
        &mut self.0.reshape(ID + at, removed, added)[ID..]
    }
}

/// What goes when a stream is trimmed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Threshold {
    /// MAXLEN: all but so many.
    Length(u64),
    /// MINID: what is below.
    Id(StreamId),
}

/// What becomes of an entry's places in the pending lists of groups when the entry is deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum References {
    /// KEEPREF: they stay.
    #[default]
    Keep,
    /// DELREF: they go, too.
    Delete,
    /// ACKED: an entry that some group has not acknowledged is not deleted.
    Acked,
}

/// How a stream is trimmed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trim {
    /// What goes.
    pub to: Threshold,
    /// `~`: whole chunks only.
    pub approximate: bool,
    /// At most about so many entries; 0 for any number.
    pub limit: u64,
    /// What of groups that know them.
    pub references: References,
}

impl Trim {
    /// Whether a stream of this length is short enough.
    fn is_done(&self, len: u64) -> bool {
        matches!(self.to, Threshold::Length(keep) if len <= keep)
    }

    /// Whether nothing of the first chunk is kept, in a stream of this length.
    fn takes_whole(&self, chunk: Chunk<'_>, len: u64) -> bool {
        match self.to {
            Threshold::Length(keep) => len.saturating_sub(chunk.live()) >= keep,
            Threshold::Id(keep) => chunk.last_id() < keep,
        }
    }
}

/// The entries of a stream, by id.
pub struct Entries(CowTree<Chunks>);

impl Entries {
    /// None yet.
    pub fn new(now: Epoch) -> Entries {
        Entries(CowTree::new(now))
    }

    /// Out of [`leaf`]s, by rising id.
    pub fn from_leaves(now: Epoch, leaves: Vec<Vec<u8>>) -> Entries {
        Entries(CowTree::from_leaves(now, leaves))
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many chunks there are.
    pub fn chunks_len(&self) -> usize {
        self.0.leaves()
    }

    /// The chunks in order.
    pub fn chunks(&self) -> impl Iterator<Item = Chunk<'_>> {
        self.0.iter().map(chunk_of)
    }

    /// The entry with the lowest id.
    pub fn first(&self) -> Option<Entry<'_>> {
        chunk_of(self.0.first()?.leaf()).first()
    }

    /// The entry with the highest id.
    pub fn last(&self) -> Option<Entry<'_>> {
        chunk_of(self.0.last()?.leaf()).last()
    }

    #[inline]
    fn seek(&self, id: StreamId) -> Option<Cursor<'_, Chunks>> {
        self.0.seek(|edge| edge.bound() <= id)
    }

    /// The entry with this id.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        chunk_of(self.seek(id)?.leaf()).find(id)
    }

    /// For looking for many entries, one after the other: cheap if their ids rise.
    pub fn finder(&self) -> Finder<'_> {
        Finder { entries: self, at: None }
    }

    /// How many entries there can be from `start` to `end`: the chunks at both ends count as a whole.
    pub fn at_most(&self, start: StreamId, end: StreamId) -> usize {
        if start > end {
            return 0;
        }
        let Some(last) = self.seek(end) else { return 0 };
        let before = self.seek(start).map_or(0, |first| first.rank());
        (last.rank() + last.count()).saturating_sub(before)
    }

    /// Those from `start` to `end`, lowest first.
    pub fn range(&self, start: StreamId, end: StreamId) -> Range<'_> {
        let cursor = if start <= end { self.seek(start) } else { None };
        let entries = cursor.as_ref().map(|c| chunk_of(c.leaf()).entries());
        Range { cursor, entries, start, end, reverse: false }
    }

    /// Those from `end` down to `start`, highest first.
    pub fn range_back(&self, start: StreamId, end: StreamId) -> Range<'_> {
        let cursor = if start <= end { self.seek(end) } else { None };
        let entries = cursor.as_ref().map(|c| chunk_of(c.leaf()).entries());
        Range { cursor, entries, start, end, reverse: true }
    }

    /// Appends an entry, whose id is higher than any that was ever here. `texts` are fields and values in turn.
    #[inline]
    pub fn append<'a, T>(&mut self, heap: &mut Heap, limits: ChunkLimits, id: StreamId, texts: T)
    where
        T: ExactSizeIterator<Item = &'a [u8]> + Clone,
    {
        if let Some((path, chunk)) = self.last_for(heap, limits, texts.clone().map(|text| text.len())) {
            return self.0.edit(heap, path, |leaf| chunk::append(&mut Inside(leaf), chunk, id, texts));
        }
        let mut leaf = leaf(id, &EMPTY);
        chunk::begin(&mut Inside(&mut leaf), texts);
        self.0.insert(heap, Place::Last, leaf);
    }

    /// The same of texts some of which are long, and may be given away.
    pub fn append_long(&mut self, heap: &mut Heap, limits: ChunkLimits, id: StreamId, texts: Vec<Source<'_>>) {
        let lens = texts.iter().map(|text| text.len());
        if let Some((path, chunk)) = self.last_for(heap, limits, lens) {
            let lent = texts.iter().map(|text| text.as_ref());
            return self.0.edit(heap, path, |leaf| chunk::append(&mut Inside(leaf), chunk, id, lent));
        }
        let mut leaf = chunk::begin_long(texts, ID);
        leaf.splice(0..0, id.to_bytes());
        self.0.insert(heap, Place::Last, leaf);
    }

    /// The last chunk, if an entry with texts of these lengths goes into it.
    #[inline]
    fn last_for(
        &mut self,
        heap: &mut Heap,
        limits: ChunkLimits,
        lens: impl ExactSizeIterator<Item = usize>,
    ) -> Option<(Path, StreamId)> {
        let last = self.0.last()?;
        let (path, chunk) = (last.path(), chunk_of(last.leaf()));
        if limits.admit(chunk, lens) {
            return Some((path, chunk.id()));
        }
        // Nothing is added to this one any more. One that never grew has no room to give back.
        if chunk.slots() > 1 {
            self.0.edit(heap, path, |leaf| leaf.shrink_to(leaf.len().next_multiple_of(8)));
        }
        None
    }

    /// Deletes an entry; false if there is none with this id.
    pub fn delete(&mut self, heap: &mut Heap, id: StreamId) -> bool {
        let Some(cursor) = self.seek(id) else { return false };
        let (path, chunk) = (cursor.path(), chunk_of(cursor.leaf()));
        if chunk.find(id).is_none() {
            return false;
        }
        if chunk.live() == 1 {
            self.0.remove(heap, path);
            return true;
        }
        let chunk_id = chunk.id();
        self.0.edit(heap, path, |leaf| chunk::delete(&mut Inside(leaf), chunk_id, id))
    }

    /// From now on ids right behind `last`, which is not below any entry, may be given again: no deleted entry stands
    /// in their way.
    pub fn rewind(&mut self, heap: &mut Heap, last: StreamId) {
        let Some(cursor) = self.0.last() else { return };
        let (path, chunk) = (cursor.path(), chunk_of(cursor.leaf()));
        if chunk.last_id() > last {
            let chunk_id = chunk.id();
            self.0.edit(heap, path, |leaf| chunk::cut_deleted_tail(&mut Inside(leaf), chunk_id, last));
        }
    }

    /// Removes entries from the front, whatever groups know of them. Returns how many.
    pub fn trim(&mut self, heap: &mut Heap, how: Trim) -> u64 {
        let mut gone = 0;
        while let Some(first) = self.0.first() {
            let (path, chunk) = (first.path(), chunk_of(first.leaf()));
            let live = chunk.live();
            if how.is_done(self.len()) || (how.limit > 0 && gone + live > how.limit) {
                break;
            }
            if how.takes_whole(chunk, self.len()) {
                self.0.remove(heap, path);
                gone += live;
                continue;
            }
            if !how.approximate {
                gone += self.trim_chunk(heap, path, how, |_| false);
            }
            break;
        }
        gone
    }

    /// Whether [`Entries::trim`] would look at more than the first chunk's head.
    pub fn reaches(&self, how: Trim) -> bool {
        !how.is_done(self.len())
            && self
                .0
                .first()
                .is_some_and(|first| !how.approximate || how.takes_whole(chunk_of(first.leaf()), self.len()))
    }

    /// Removes entries from the front one by one, but for those that groups need. Returns how many.
    ///
    /// Chunks that `~` may not remove whole end it, those of which some entries are needed do not: what is acknowledged
    /// behind an entry that nobody acknowledges goes all the same.
    pub fn trim_sparing(&mut self, heap: &mut Heap, how: Trim, needs: &mut Needs<'_>) -> u64 {
        let (mut gone, mut next) = (0, StreamId::MIN);
        while !how.is_done(self.len()) {
            // A chunk may be gone after it was trimmed: so they are found by their ids.
            let Some(mut at) = self.seek(next) else { break };
            if id_of(at.leaf()) < next && !at.next() {
                break;
            }
            let (path, chunk) = (at.path(), chunk_of(at.leaf()));
            let (whole, behind) = (how.takes_whole(chunk, self.len()), chunk.id().next());
            if (how.limit > 0 && gone + chunk.live() > how.limit)
                || (how.approximate && !whole)
                || chunk.id() > needs.all_behind()
            {
                break;
            }
            gone += self.trim_chunk(heap, path, how, |id| needs.covers(id));
            let (Some(behind), true) = (behind, whole) else { break };
            next = behind;
        }
        gone
    }

    /// Removes from one chunk what is to go and not needed.
    fn trim_chunk(&mut self, heap: &mut Heap, path: Path, how: Trim, mut needed: impl FnMut(StreamId) -> bool) -> u64 {
        let mut left = self.len();
        self.0.edit(heap, path, |leaf| {
            let chunk_id = id_of(leaf);
            chunk::delete_front(&mut Inside(leaf), chunk_id, |id| {
                if how.is_done(left) || matches!(how.to, Threshold::Id(keep) if id >= keep) {
                    return Fate::Ends;
                }
                if needed(id) {
                    return Fate::Stays;
                }
                left -= 1;
                Fate::Goes
            })
        })
    }

    pub(super) fn origin(&self) -> Epoch {
        self.0.origin()
    }

    pub(super) fn fork(&self) -> Entries {
        Entries(self.0.fork())
    }

    pub(super) fn duplicate(&self, now: Epoch) -> Entries {
        Entries(self.0.duplicate(now))
    }

    pub(super) fn defrag(&mut self, defrag: &mut Defrag<'_>, at: &mut usize) -> bool {
        self.0.defrag(defrag, at)
    }

    pub(super) fn destroy_some(&mut self, budget: &mut usize, proof: &Unshared) -> bool {
        self.0.destroy_some(budget, proof)
    }

    pub(super) fn destroy(self, proof: &Unshared) {
        self.0.destroy(proof);
    }

    pub(super) fn memory(&self) -> usize {
        self.0.memory()
    }
}

/// Finds entries by their ids, from where the last one was.
pub struct Finder<'a> {
    entries: &'a Entries,
    at: Option<Spot<'a>>,
}

/// Where a [`Finder`] is.
struct Spot<'a> {
    chunk: StreamId,
    /// The last entry that was looked at.
    here: Entry<'a>,
    behind: chunk::Entries<'a>,
}

impl<'a> Finder<'a> {
    /// The entry with this id.
    pub fn find(&mut self, id: StreamId) -> Option<Entry<'a>> {
        if self.at.as_ref().is_none_or(|at| id < at.here.id) {
            self.at = self.chunk_with(id);
        }
        loop {
            let at = self.at.as_mut()?;
            if at.here.id >= id {
                return Some(at.here).filter(|here| here.id == id && !here.deleted);
            }
            match at.behind.next() {
                Some(next) => at.here = next,
                None => {
                    let before = at.chunk;
                    self.at = self.chunk_with(id).filter(|at| at.chunk != before);
                }
            }
        }
    }

    /// The beginning of the chunk in which an entry with this id would be.
    fn chunk_with(&self, id: StreamId) -> Option<Spot<'a>> {
        let chunk = chunk_of(self.entries.seek(id)?.leaf());
        let mut behind = chunk.entries();
        Some(Spot { chunk: chunk.id(), here: behind.next()?, behind })
    }
}

/// Entries of a range of ids, in either direction.
pub struct Range<'a> {
    cursor: Option<Cursor<'a, Chunks>>,
    entries: Option<chunk::Entries<'a>>,
    start: StreamId,
    end: StreamId,
    reverse: bool,
}

impl<'a> Iterator for Range<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let entries = self.entries.as_mut()?;
            let next = if self.reverse { entries.next_back() } else { entries.next() };
            match next {
                Some(entry) => {
                    let (before, behind) = (entry.id < self.start, entry.id > self.end);
                    if if self.reverse { before } else { behind } {
                        self.entries = None;
                    } else if !before && !behind && !entry.deleted {
                        return Some(entry);
                    }
                }
                None => {
                    let cursor = self.cursor.as_mut()?;
                    let more = if self.reverse { cursor.prev() } else { cursor.next() };
                    self.entries = more.then(|| chunk_of(cursor.leaf()).entries());
                }
            }
        }
    }
}
