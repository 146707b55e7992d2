//! Streams: a log of entries by id, and groups of consumers that read it.
//!
//! A stream is never compact: its root is a node of its own from the first entry on. The root has a tree of entries,
//! in chunks of Redis's layout, and once there is a group the four trees of [`groups`]. All of them are copied on write
//! leaf by leaf, so a write costs a snapshot the same however long the stream is and however much is pending.
//!
//! A stream may be empty and stay: its last id, and its groups, are worth keeping.
//!
//! | file | holds |
//! | --- | --- |
//! | [`id`] | ids and their texts |
//! | [`chunk`] | the layout of some entries in a listpack |
//! | [`entries`] | the tree of chunks: ranges, appending, deleting, trimming |
//! | [`groups`] | groups, consumers, pending entries |
//! | [`records`] | records of one size in order |
//! | [`lag`] | how far a group is behind |
//! | `rdb` | streams in files |

pub mod chunk;
pub mod entries;
pub mod groups;
pub mod id;
mod lag;
mod rdb;
mod records;
mod rewrite;

use super::contract::{DataType, Encoding, TypeName};
use super::digest::Digest;
use super::object::Object;
use super::value::Stored;
use crate::cow::{CowValue, Defrag, Epoch, Heap, Progress, Unshared};
use crate::dict::Payload;
use crate::util::text::Source;
use chunk::ChunkLimits;
use entries::{Entries, References, Threshold, Trim};
use groups::{Groups, NewGroups};
use id::{Seq, StreamId, Written};
use std::fmt;

/// What a stream remembers beside its entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// The highest id there ever was.
    pub last_id: StreamId,
    /// The lowest id there is; `0-0` if there is none.
    pub first_id: StreamId,
    /// The highest id that was deleted by itself, not by trimming.
    pub max_deleted_id: StreamId,
    /// How many entries were ever added.
    pub entries_added: u64,
}

/// A stream.
pub struct StreamObject {
    birth: Epoch,
    facts: Facts,
    entries: Entries,
    /// None until the first group.
    groups: Option<Box<Groups>>,
}

/// Why an entry cannot be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddError {
    /// There is no higher id than the last one.
    Exhausted,
    /// The wanted id is not higher than the last one.
    NotHigher,
}

/// What came of deleting an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deletion {
    /// It is gone.
    Done,
    /// There was none.
    Absent,
    /// Some group has not acknowledged it, or was not given it yet.
    Needed,
    /// It was not there, but still pending somewhere, and is no more.
    Forgotten,
}

/// What a trim did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trimmed {
    /// How many entries it removed.
    pub gone: u64,
    /// Whether anything is pending no more.
    pub forgot: bool,
}

impl StreamObject {
    /// A stream without entries.
    pub fn new(now: Epoch) -> StreamObject {
        StreamObject { birth: now, facts: Facts::default(), entries: Entries::new(now), groups: None }
    }

    /// What it remembers.
    #[inline]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// XSETID: the caller has checked that it makes sense.
    pub fn set_facts(&mut self, heap: &mut Heap, facts: Facts) {
        if facts.last_id < self.facts.last_id {
            self.entries.rewind(heap, facts.last_id);
        }
        self.facts = facts;
    }

    /// Its entries.
    #[inline]
    pub fn entries(&self) -> &Entries {
        &self.entries
    }

    /// Its groups, if it ever had one.
    pub fn groups(&self) -> Option<&Groups> {
        self.groups.as_deref()
    }

    /// Its groups, to be changed.
    pub fn groups_mut(&mut self, heap: &Heap) -> &mut Groups {
        self.groups.get_or_insert_with(|| Box::new(Groups::new(heap.epoch())))
    }

    /// Its entries, and its groups to be changed.
    pub fn entries_and_groups(&mut self, heap: &Heap) -> (&Entries, &mut Groups) {
        let groups = self.groups.get_or_insert_with(|| Box::new(Groups::new(heap.epoch())));
        (&self.entries, groups)
    }

    /// The id a new entry gets: the one that was wanted, or else one behind the last, at `now_ms` if possible.
    #[inline]
    pub fn choose_id(&self, wanted: Option<Written>, now_ms: i64) -> Result<StreamId, AddError> {
        let last = self.facts.last_id;
        let Some(wanted) = wanted else {
            let now = StreamId::new(now_ms as u64, 0);
            return if now > last { Ok(now) } else { last.next().ok_or(AddError::Exhausted) };
        };
        if last == StreamId::MAX {
            return Err(AddError::Exhausted);
        }
        let id = match wanted.seq {
            Seq::Given(seq) => StreamId::new(wanted.ms, seq),
            Seq::Missing => StreamId::new(wanted.ms, 0),
            Seq::Any if wanted.ms == last.ms => {
                StreamId::new(wanted.ms, last.seq.checked_add(1).ok_or(AddError::NotHigher)?)
            }
            Seq::Any => StreamId::new(wanted.ms, 0),
        };
        if id > last { Ok(id) } else { Err(AddError::NotHigher) }
    }

    /// Appends an entry under an id of [`StreamObject::choose_id`]. `texts` are fields and values in turn.
    #[inline]
    pub fn add<'a, T>(&mut self, heap: &mut Heap, limits: ChunkLimits, id: StreamId, texts: T)
    where
        T: ExactSizeIterator<Item = &'a [u8]> + Clone,
    {
        self.entries.append(heap, limits, id, texts);
        self.count_added(id);
    }

    /// The same of texts some of which are long, and may be given away.
    pub fn add_long(&mut self, heap: &mut Heap, limits: ChunkLimits, id: StreamId, texts: Vec<Source<'_>>) {
        self.entries.append_long(heap, limits, id, texts);
        self.count_added(id);
    }

    #[inline]
    fn count_added(&mut self, id: StreamId) {
        self.facts.last_id = id;
        self.facts.entries_added = self.facts.entries_added.wrapping_add(1);
        if self.entries.len() == 1 {
            self.facts.first_id = id;
        }
    }

    /// Deletes one entry; false if it is not there. To be followed by [`StreamObject::find_first`].
    pub fn delete(&mut self, heap: &mut Heap, id: StreamId) -> bool {
        if !self.entries.delete(heap, id) {
            return false;
        }
        self.facts.max_deleted_id = self.facts.max_deleted_id.max(id);
        true
    }

    /// Deletes one entry, as far as groups let it. To be followed by [`StreamObject::find_first`].
    pub fn delete_with(&mut self, heap: &mut Heap, id: StreamId, references: References) -> Deletion {
        match references {
            References::Acked if self.groups.as_ref().is_some_and(|groups| groups.is_needed(id)) => {
                return Deletion::Needed;
            }
            References::Delete => {
                let forgotten = self.groups.as_mut().is_some_and(|groups| groups.forget(heap, id));
                if !self.delete(heap, id) {
                    return if forgotten { Deletion::Forgotten } else { Deletion::Absent };
                }
                return Deletion::Done;
            }
            _ => {}
        }
        if self.delete(heap, id) { Deletion::Done } else { Deletion::Absent }
    }

    /// After entries were deleted: which is the first one now?
    pub fn find_first(&mut self) {
        self.facts.first_id = self.entries.first().map_or(StreamId::MIN, |e| e.id);
    }

    /// Removes entries from the front.
    pub fn trim(&mut self, heap: &mut Heap, how: Trim) -> Trimmed {
        // Groups that need nothing cost nothing: then chunks go as a whole.
        let groups = self.groups.as_deref().filter(|groups| !groups.is_empty());
        let gone = match groups.filter(|_| how.references == References::Acked) {
            Some(groups) if self.entries.reaches(how) => self.entries.trim_sparing(heap, how, &mut groups.needs()),
            Some(_) => 0,
            None => self.entries.trim(heap, how),
        };
        if gone > 0 {
            self.find_first();
        }
        let forgot = how.references == References::Delete && self.forget_trimmed(heap, how, gone);
        Trimmed { gone, forgot }
    }

    /// After a trim: nothing is pending any more of what lay in its range, whether the trim removed it or somebody
    /// before, who let it be pending.
    fn forget_trimmed(&mut self, heap: &mut Heap, how: Trim, gone: u64) -> bool {
        let Some(groups) = self.groups.as_mut().filter(|groups| groups.is_any_pending()) else { return false };
        let left = self.entries.first().map(|entry| entry.id);
        match how.to {
            Threshold::Id(keep) => groups.forget_below(heap, left.map_or(keep, |left| left.min(keep))),
            Threshold::Length(_) if gone > 0 => groups.forget_below(heap, left.unwrap_or(StreamId::MAX)),
            Threshold::Length(_) => false,
        }
    }

    /// An independent stream with the same contents.
    pub fn duplicate(&self, heap: &Heap) -> StreamObject {
        let now = heap.epoch();
        StreamObject {
            birth: now,
            facts: self.facts,
            entries: self.entries.duplicate(now),
            groups: self.groups.as_ref().map(|groups| Box::new(groups.duplicate(now))),
        }
    }
}

impl CowValue for StreamObject {
    fn birth(&self) -> Epoch {
        self.birth
    }

    fn origin(&self) -> Epoch {
        let oldest = self.birth.min(self.entries.origin());
        self.groups.as_ref().map_or(oldest, |groups| oldest.min(groups.origin()))
    }

    fn fork(&self, heap: &mut Heap) -> StreamObject {
        StreamObject {
            birth: heap.epoch(),
            facts: self.facts,
            entries: self.entries.fork(),
            groups: self.groups.as_ref().map(|groups| Box::new(groups.fork())),
        }
    }

    fn destroy_some(&mut self, budget: &mut usize, proof: &Unshared) -> bool {
        self.entries.destroy_some(budget, proof)
            && self.groups.as_mut().is_none_or(|groups| groups.destroy_some(budget, proof))
    }

    fn destroy(self, proof: &Unshared) {
        self.entries.destroy(proof);
        if let Some(groups) = self.groups {
            groups.destroy(proof);
        }
    }

    fn free_effort(&self) -> usize {
        self.entries.chunks_len() + self.groups.as_ref().map_or(0, |groups| groups.free_effort()) + 1
    }

    fn memory(&self) -> usize {
        let groups = self.groups.as_ref().map_or(0, |groups| size_of::<Groups>() + groups.memory());
        self.entries.memory() + groups
    }

    fn elements(&self) -> usize {
        self.entries.len() as usize
    }

    fn defrag(&mut self, defrag: &mut Defrag<'_>, progress: &mut Progress) -> bool {
        defrag.in_parts(1 + Groups::PARTS, progress, |defrag, part, at| match (part, &mut self.groups) {
            (0, _) => self.entries.defrag(defrag, at),
            (_, None) => true,
            (part, Some(groups)) => {
                if (part, *at) == (1, 0) {
                    defrag.settle_box(groups);
                }
                groups.defrag(defrag, part - 1, at)
            }
        })
    }
}

/// A stream to be read.
#[derive(Clone, Copy)]
pub struct StreamRef<'a>(&'a StreamObject);

impl<'a> StreamRef<'a> {
    /// The value that an entry stores.
    #[inline]
    pub fn of(_encoding: Encoding, stored: Stored<'a>) -> StreamRef<'a> {
        match stored {
            Stored::Node(Object::Stream(stream)) => StreamRef(stream),
            _ => unreachable!("the entry says that it is a stream"),
        }
    }

    /// The stream, for as long as its entry may be read.
    #[inline]
    pub fn get(self) -> &'a StreamObject {
        self.0
    }
}

impl std::ops::Deref for StreamRef<'_> {
    type Target = StreamObject;

    #[inline]
    fn deref(&self) -> &StreamObject {
        self.0
    }
}

impl fmt::Debug for StreamRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({} entries, {:?})", self.0.entries.len(), self.0.facts)
    }
}

impl DataType for StreamRef<'_> {
    const NAME: TypeName = TypeName::Stream;

    fn encoding(&self) -> Encoding {
        Encoding::Stream
    }

    fn len(&self) -> usize {
        self.0.entries.len() as usize
    }

    fn memory_usage(&self, _samples: usize) -> usize {
        size_of::<Object>() + self.0.memory()
    }

    fn free_effort(&self) -> usize {
        CowValue::free_effort(self.0)
    }

    /// Ids and fields; groups are not part of it.
    fn digest(&self, into: &mut Digest) {
        let mut digits = itoa::Buffer::new();
        let mut text = Vec::new();
        for entry in self.0.entries.range(StreamId::MIN, StreamId::MAX) {
            text.clear();
            text.extend_from_slice(digits.format(entry.id.ms).as_bytes());
            text.push(b'.');
            text.extend_from_slice(digits.format(entry.id.seq).as_bytes());
            into.mix(&text);
            for (field, value) in entry.fields() {
                into.mix(field.text(&mut digits));
                into.mix(value.text(&mut digits));
            }
        }
    }
}

/// A stream that is not stored yet: all its trees as leaves.
#[derive(Debug)]
pub struct NewStream {
    birth: Epoch,
    facts: Facts,
    chunks: Vec<Vec<u8>>,
    groups: NewGroups,
}

impl NewStream {
    /// One without entries.
    pub fn empty(now: Epoch) -> NewStream {
        NewStream { birth: now, facts: Facts::default(), chunks: vec![], groups: NewGroups::default() }
    }

    /// The stream.
    fn build(self) -> StreamObject {
        let now = self.birth;
        StreamObject {
            birth: now,
            facts: self.facts,
            entries: Entries::from_leaves(now, self.chunks),
            groups: (!self.groups.is_empty()).then(|| Box::new(self.groups.build(now))),
        }
    }

    /// Hands the form in which the value goes into an entry to `store`.
    pub(crate) fn with_payload<R>(self, store: impl FnOnce(Encoding, Payload<'_, Object>) -> R) -> R {
        store(Encoding::Stream, Payload::Node(Box::new(Object::Stream(self.build()))))
    }
}
