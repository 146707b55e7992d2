//! Streams in files: three layouts, of which the second added ids and counters, and the third a time per consumer.
//!
//! ```text
//! chunks: id 16, listpack | length | last id | [first id | max deleted id | entries added]
//! groups: name | last id | [entries read] | pending: id 16, ms 8, count
//!         consumers: name | seen ms 8 | [active ms 8] | ids 16 of what is pending
//! ```
//!
//! Chunks lie in memory as they lie in files, so both ways are copies, with a check on the way in: of chunks to the last
//! element, of their order, of lengths, and that each pending entry belongs to one consumer.

use super::chunk::{self, Checked};
use super::entries;
use super::groups::{LoadedConsumer, LoadedGroup, LoadedPending, NewGroups};
use super::id::StreamId;
use super::{Facts, NewStream, StreamObject, StreamRef};
use crate::rdb::{RdbError, RdbReader, RdbWriter, TypeOpcode, Why};
use crate::types::place::Maker;
use crate::types::value::Vetting;
use std::collections::HashSet;
use std::io;

/// The layout of files of Redis 7.2 and later.
const VERSION_OF_ACTIVE: u32 = 11;

impl StreamRef<'_> {
    /// How [`Self::save`] lays it out in a file of this version.
    pub fn rdb_opcode(self, version: u32) -> TypeOpcode {
        if version >= VERSION_OF_ACTIVE { TypeOpcode::StreamListpacks3 } else { TypeOpcode::StreamListpacks2 }
    }

    /// Writes the value, without its opcode.
    pub fn save(self, out: &mut RdbWriter<'_>) -> io::Result<()> {
        let stream: &StreamObject = self.get();
        out.write_len(stream.entries().chunks_len() as u64)?;
        for chunk in stream.entries().chunks() {
            out.write_string(&chunk.id().to_bytes())?;
            out.write_string(chunk.bytes())?;
        }
        let facts = stream.facts();
        out.write_len(stream.entries().len())?;
        for id in [facts.last_id, facts.first_id, facts.max_deleted_id] {
            write_id(out, id)?;
        }
        out.write_len(facts.entries_added)?;
        let Some(groups) = stream.groups() else { return out.write_len(0) };
        let has_active = out.version() >= VERSION_OF_ACTIVE;
        out.write_len(groups.len() as u64)?;
        for (name, group) in groups.iter() {
            out.write_string(name)?;
            write_id(out, group.last_id)?;
            out.write_len(group.entries_read.unwrap_or(u64::MAX))?;
            out.write_len(groups.pending_len(&group) as u64)?;
            for pending in groups.pending_from(&group, StreamId::MIN) {
                out.write_raw(&pending.id.to_bytes())?;
                out.write_ms(pending.delivered_ms)?;
                out.write_len(pending.deliveries)?;
            }
            out.write_len(groups.consumers_len(&group) as u64)?;
            for (name, consumer) in groups.consumers(&group) {
                out.write_string(name)?;
                out.write_ms(consumer.seen_ms)?;
                if has_active {
                    out.write_ms(consumer.active_ms)?;
                }
                out.write_len(groups.owned_len(&consumer) as u64)?;
                for id in groups.owned_by(&consumer, StreamId::MIN) {
                    out.write_raw(&id.to_bytes())?;
                }
            }
        }
        Ok(())
    }
}

fn write_id(out: &mut RdbWriter<'_>, id: StreamId) -> io::Result<()> {
    out.write_len(id.ms)?;
    out.write_len(id.seq)
}

fn read_id(from: &mut RdbReader<'_>) -> Result<StreamId, RdbError> {
    Ok(StreamId::new(from.read_len()?, from.read_len()?))
}

fn read_raw_id(from: &mut RdbReader<'_>) -> Result<StreamId, RdbError> {
    let mut bytes = [0; 16];
    from.read_exact(&mut bytes)?;
    Ok(StreamId::from_bytes(bytes))
}

impl NewStream {
    /// Reads a value laid out as `kind`; None if that is not a layout of streams.
    pub fn load(
        kind: TypeOpcode,
        from: &mut RdbReader<'_>,
        _vetting: Vetting,
        maker: &mut Maker<'_>,
    ) -> Result<Option<NewStream>, RdbError> {
        let layout = match kind {
            TypeOpcode::StreamListpacks => 1,
            TypeOpcode::StreamListpacks2 => 2,
            TypeOpcode::StreamListpacks3 => 3,
            _ => return Ok(None),
        };
        let (chunks, live, highest) = read_chunks(from)?;
        let at = from.offset();
        let len = from.read_len()?;
        if len != live {
            return Err(from.error_at(at, Why::Corrupt("Stream length inconsistent with rax entries")));
        }
        let at = from.offset();
        let mut facts = Facts { last_id: read_id(from)?, ..Facts::default() };
        if highest.is_some_and(|highest| highest > facts.last_id) {
            return Err(from.error_at(at, Why::Corrupt("Stream entry behind the stream's last id")));
        }
        let mut stream = NewStream { birth: maker.epoch(), facts, chunks, groups: NewGroups::default() };
        let first_id = stream.first_id();
        if layout >= 2 {
            let at = from.offset();
            facts.first_id = read_id(from)?;
            facts.max_deleted_id = read_id(from)?;
            facts.entries_added = from.read_len()?;
            if facts.entries_added < len {
                return Err(from.error_at(at, Why::Corrupt("Stream with fewer entries added than there are")));
            }
        } else {
            facts.entries_added = len;
        }
        // It follows from the entries; what the file says is not needed.
        facts.first_id = first_id;
        stream.facts = facts;
        stream.groups = NewGroups::of(read_groups(from, layout, &stream)?);
        Ok(Some(stream))
    }

    /// The id of the first live entry.
    fn first_id(&self) -> StreamId {
        let first = self.chunks.iter().find_map(|leaf| entries::chunk_of(leaf).first());
        first.map_or(StreamId::MIN, |e| e.id)
    }

    /// How many entries were added up to `id`, for a layout that does not say; see [`StreamObject::added_up_to`]. No
    /// deletions are known then.
    fn added_up_to(&self, id: StreamId) -> Option<u64> {
        let Facts { last_id, first_id, entries_added, .. } = self.facts;
        match () {
            () if entries_added == 0 => Some(0),
            () if id == last_id => Some(entries_added),
            () if id > last_id => None,
            () if id < first_id => Some(0),
            () if id == first_id => Some(1),
            () => None,
        }
    }
}

/// The chunks as leaves, the number of live entries in them, and the highest id.
type Chunks = (Vec<Vec<u8>>, u64, Option<StreamId>);

fn read_chunks(from: &mut RdbReader<'_>) -> Result<Chunks, RdbError> {
    let (mut leaves, mut live, mut highest) = (vec![], 0u64, None);
    for _ in 0..from.read_count()? {
        let at = from.offset();
        let Ok(id) = <[u8; 16]>::try_from(from.read_bytes()?) else {
            return Err(from.error_at(at, Why::Corrupt("Stream node key entry is not the size of a stream ID")));
        };
        let id = StreamId::from_bytes(id);
        if highest.is_some_and(|highest| id <= highest) {
            return Err(from.error_at(at, Why::Corrupt("Stream listpacks out of order")));
        }
        let at = from.offset();
        let bytes = from.read_bytes()?;
        let checked = chunk::check(id, &bytes).map_err(|what| from.error_at(at, Why::Corrupt(what)))?;
        let Checked { live: here, last_id } = checked;
        highest = Some(last_id);
        // A chunk whose entries are all deleted says nothing.
        if here > 0 {
            live += here;
            leaves.push(entries::leaf(id, bytes));
        }
    }
    Ok((leaves, live, highest))
}

fn read_groups(from: &mut RdbReader<'_>, layout: u32, stream: &NewStream) -> Result<Vec<LoadedGroup>, RdbError> {
    let (mut groups, mut names) = (vec![], HashSet::new());
    for _ in 0..from.read_count()? {
        let at = from.offset();
        let name = from.read_bytes()?;
        if !names.insert(name.clone()) {
            return Err(from.error_at(at, Why::Corrupt("Duplicated consumer group name")));
        }
        let last_id = read_id(from)?;
        let entries_read = if layout >= 2 {
            let read = from.read_len()?;
            (read != u64::MAX).then_some(read)
        } else {
            stream.added_up_to(last_id)
        };
        let mut pending = read_pending(from)?;
        let mut consumers: Vec<LoadedConsumer> = vec![];
        let mut known = HashSet::new();
        for place in 0..from.read_count()? as usize {
            let at = from.offset();
            let name = from.read_bytes()?;
            if !known.insert(name.clone()) {
                return Err(from.error_at(at, Why::Corrupt("Duplicate stream consumer detected")));
            }
            let seen_ms = from.read_ms()?;
            let active_ms = if layout >= 3 { from.read_ms()? } else { seen_ms };
            let owned = read_owned(from, &mut pending, place)?;
            consumers.push(LoadedConsumer { name, seen_ms, active_ms, owned });
        }
        if pending.iter().any(|p| p.consumer.is_none()) {
            return Err(from.corrupt("Stream CG PEL entry without consumer"));
        }
        groups.push(LoadedGroup { name, last_id, entries_read, pending, consumers });
    }
    Ok(groups)
}

/// What is pending in a group, by id.
fn read_pending(from: &mut RdbReader<'_>) -> Result<Vec<LoadedPending>, RdbError> {
    let mut pending = vec![];
    for _ in 0..from.read_count()? {
        let id = read_raw_id(from)?;
        pending.push(LoadedPending { id, delivered_ms: from.read_ms()?, deliveries: from.read_len()?, consumer: None });
    }
    pending.sort_by_key(|p| p.id);
    if pending.windows(2).any(|pair| pair[0].id == pair[1].id) {
        return Err(from.corrupt("Duplicated global PEL entry loading stream consumer group"));
    }
    Ok(pending)
}

/// What is pending for the consumer that stands at `place`.
fn read_owned(
    from: &mut RdbReader<'_>,
    pending: &mut [LoadedPending],
    place: usize,
) -> Result<Vec<StreamId>, RdbError> {
    let mut owned = vec![];
    for _ in 0..from.read_count()? {
        let id = read_raw_id(from)?;
        let Ok(found) = pending.binary_search_by_key(&id, |p| p.id) else {
            return Err(from.corrupt("Consumer entry not found in group global PEL"));
        };
        if pending[found].consumer.replace(place).is_some() {
            return Err(from.corrupt("Duplicated consumer PEL entry loading a stream consumer group"));
        }
        owned.push(id);
    }
    owned.sort_unstable();
    Ok(owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collections::listpack::EMPTY;
    use crate::cow::Heap;
    use crate::rdb::WriteOptions;
    use crate::types::Limits;
    use crate::util::hash::HashSeed;

    fn chunk_at(ms: u64) -> Vec<u8> {
        let mut bytes = EMPTY.to_vec();
        let texts = ["field", "value"].map(str::as_bytes);
        chunk::begin(&mut bytes, texts.into_iter());
        chunk::append(&mut bytes, StreamId::new(ms, 1), StreamId::new(ms + 1, 0), texts.into_iter());
        bytes
    }

    fn load(kind: TypeOpcode, write: impl FnOnce(&mut RdbWriter<'_>) -> io::Result<()>) -> Result<NewStream, String> {
        let mut out = RdbWriter::in_memory(WriteOptions::default());
        write(&mut out).expect("memory takes everything");
        let bytes = out.take_bytes();
        let mut maker = Maker { heap: &mut Heap::new(), limits: Limits::default(), seed: HashSeed::fixed(1) };
        let read = NewStream::load(kind, &mut RdbReader::from_bytes(&bytes), Vetting::Hostile, &mut maker);
        read.map(|stream| stream.expect("a layout of streams")).map_err(|e| e.why.to_string())
    }

    /// Two chunks and what stands behind them in the first layout.
    fn first_layout(out: &mut RdbWriter<'_>, len: u64, last_id: StreamId) -> io::Result<()> {
        out.write_len(2)?;
        for ms in [5, 9] {
            out.write_string(&StreamId::new(ms, 1).to_bytes())?;
            out.write_string(&chunk_at(ms))?;
        }
        out.write_len(len)?;
        write_id(out, last_id)
    }

    fn group(out: &mut RdbWriter<'_>, pending: &[u64], owners: &[(&str, &[u64])]) -> io::Result<()> {
        out.write_string(b"group")?;
        write_id(out, StreamId::new(5, 1))?;
        out.write_len(pending.len() as u64)?;
        for ms in pending {
            out.write_raw(&StreamId::new(*ms, 1).to_bytes())?;
            out.write_ms(1000)?;
            out.write_len(3)?;
        }
        out.write_len(owners.len() as u64)?;
        for (name, owned) in owners {
            out.write_string(name.as_bytes())?;
            out.write_ms(2000)?;
            out.write_len(owned.len() as u64)?;
            for ms in *owned {
                out.write_raw(&StreamId::new(*ms, 1).to_bytes())?;
            }
        }
        Ok(())
    }

    #[test]
    fn streams_of_redis_5() {
        let stream = load(TypeOpcode::StreamListpacks, |out| {
            first_layout(out, 4, StreamId::new(20, 0))?;
            out.write_len(1)?;
            group(out, &[9, 5], &[("b", &[5]), ("a", &[9])])
        });
        let stream = stream.expect("it is one").build();
        let facts = Facts {
            last_id: StreamId::new(20, 0),
            first_id: StreamId::new(5, 1),
            entries_added: 4,
            ..Facts::default()
        };
        assert_eq!(*stream.facts(), facts);
        let groups = stream.groups().expect("one");
        let group = groups.group(b"group").expect("of this name");
        assert_eq!(group.entries_read, Some(1));
        let owner = |name: &str| {
            let consumer = groups.consumer(&group, name.as_bytes()).expect("there");
            assert_eq!((consumer.seen_ms, consumer.active_ms), (2000, 2000));
            groups.owned_by(&consumer, StreamId::MIN).map(|id| id.ms).collect::<Vec<_>>()
        };
        assert_eq!((owner("a"), owner("b")), (vec![9], vec![5]));
        assert_eq!(groups.pending(&group, StreamId::new(9, 1)).map(|p| p.deliveries), Some(3));
    }

    #[test]
    fn what_does_not_hold_together_is_refused() {
        type Parts<'a> = (u64, u64, &'a [u64], &'a [(&'a str, &'a [u64])], &'a str);
        let cases: [Parts<'_>; 8] = [
            (3, 20, &[], &[], "Stream length inconsistent with rax entries"),
            (4, 9, &[], &[], "Stream entry behind the stream's last id"),
            (4, 20, &[5, 5], &[], "Duplicated global PEL entry loading stream consumer group"),
            (4, 20, &[5], &[], "Stream CG PEL entry without consumer"),
            (4, 20, &[5], &[("a", &[9])], "Consumer entry not found in group global PEL"),
            (4, 20, &[5], &[("a", &[5, 5])], "Duplicated consumer PEL entry loading a stream consumer group"),
            (4, 20, &[5], &[("a", &[5]), ("b", &[5])], "Duplicated consumer PEL entry loading a stream consumer group"),
            (4, 20, &[5], &[("a", &[5]), ("a", &[])], "Duplicate stream consumer detected"),
        ];
        for (len, last_ms, pending, owners, expected) in cases {
            let told = load(TypeOpcode::StreamListpacks, |out| {
                first_layout(out, len, StreamId::new(last_ms, 9))?;
                out.write_len(1)?;
                group(out, pending, owners)
            });
            assert_eq!(told.expect_err("refused"), expected);
        }
        let twice = load(TypeOpcode::StreamListpacks, |out| {
            first_layout(out, 4, StreamId::new(20, 0))?;
            out.write_len(2)?;
            group(out, &[], &[])?;
            group(out, &[], &[])
        });
        assert_eq!(twice.expect_err("refused"), "Duplicated consumer group name");
    }
}
