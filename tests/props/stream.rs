//! Streams against maps of the standard library: entries, groups, consumers and what is pending, while snapshots are
//! taken, kept, compared on another thread, and dropped; and while streams go through files and back.

use kvstash::cow::{CowValue, Heap};
use kvstash::db::defrag::DefragPass;
use kvstash::db::{KeySlot, Keyspace, KeyspaceSnapshot, Options};
use kvstash::rdb::{Access, RdbReader, RdbWriter, WriteOptions};
use kvstash::sys::defrag::Mover;
use kvstash::types::Object;
use kvstash::types::place::Place;
use kvstash::types::stream::chunk::ChunkLimits;
use kvstash::types::stream::entries::{References, Threshold, Trim};
use kvstash::types::stream::id::StreamId;
use kvstash::types::stream::{NewStream, StreamObject};
use kvstash::types::value::{NewValue, Vetting};
use kvstash::util::hash::HashSeed;
use quickcheck::{Arbitrary, Gen, QuickCheck};
use std::collections::BTreeMap;

const NOW: i64 = 1_700_000_000_000;
const KEY: &[u8] = b"stream";

#[derive(Clone, Debug)]
enum Op {
    /// So many entries, with fields of this kind.
    Add(u8, u8),
    Delete(u8),
    Trim(u8, u8),
    /// Below the entry at this place; how.
    TrimBelow(u8, u8),
    CreateGroup(u8, u8),
    DestroyGroup(u8),
    CreateConsumer(u8, u8),
    DeleteConsumer(u8, u8),
    /// Group, consumer, how many.
    Deliver(u8, u8, u8),
    Acknowledge(u8, u8),
    Claim(u8, u8, u8),
    Remove,
    Copy,
    Reload(bool),
    OpenSnapshot,
    CloseSnapshot(usize),
    Reap,
    Defrag(u8),
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Op {
        let mut byte = || u8::arbitrary(g);
        let (a, b, c) = (byte(), byte(), byte());
        match byte() % 66 {
            0..16 => Op::Add(a, b),
            16..22 => Op::Delete(a),
            22..24 => Op::Trim(a, b),
            24..26 => Op::TrimBelow(a, b),
            26..29 => Op::CreateGroup(a, b),
            29 => Op::DestroyGroup(a),
            30..33 => Op::CreateConsumer(a, b),
            33..35 => Op::DeleteConsumer(a, b),
            35..43 => Op::Deliver(a, b, c),
            43..47 => Op::Acknowledge(a, b),
            47..50 => Op::Claim(a, b, c),
            50 => Op::Remove,
            51 => Op::Copy,
            52..54 => Op::Reload(a % 2 == 0),
            54..57 => Op::OpenSnapshot,
            57..61 => Op::CloseSnapshot(a.into()),
            61..64 => Op::Reap,
            _ => Op::Defrag(a),
        }
    }
}

/// All there is to know of a stream.
#[derive(Clone, PartialEq, Debug, Default)]
struct Contents {
    entries: BTreeMap<StreamId, Vec<(String, String)>>,
    last_id: StreamId,
    added: u64,
    groups: BTreeMap<String, Group>,
}

#[derive(Clone, PartialEq, Debug, Default)]
struct Group {
    last_id: StreamId,
    consumers: Vec<String>,
    /// Consumer, how often delivered.
    pending: BTreeMap<StreamId, (String, u64)>,
}

fn contents(stream: &StreamObject) -> Contents {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut all =
        Contents { last_id: stream.facts().last_id, added: stream.facts().entries_added, ..Contents::default() };
    for entry in stream.entries().range(StreamId::MIN, StreamId::MAX) {
        let fields = entry.fields().map(|(f, v)| (text(&f.to_vec()), text(&v.to_vec()))).collect();
        all.entries.insert(entry.id, fields);
        assert_eq!(stream.entries().get(entry.id).map(|e| e.id), Some(entry.id));
    }
    let back = stream.entries().range_back(StreamId::MIN, StreamId::MAX).map(|e| e.id);
    assert!(back.eq(all.entries.keys().rev().copied()));
    assert_eq!(stream.entries().len() as usize, all.entries.len());
    assert_eq!(stream.facts().first_id, all.entries.keys().next().copied().unwrap_or(StreamId::MIN));
    for (name, group) in stream.groups().into_iter().flat_map(|groups| groups.iter()) {
        let groups = stream.groups().expect("it has one");
        let mut here = Group { last_id: group.last_id, ..Group::default() };
        for pending in groups.pending_from(&group, StreamId::MIN) {
            here.pending.insert(pending.id, (String::new(), pending.deliveries));
        }
        for (name, consumer) in groups.consumers(&group) {
            here.consumers.push(text(name));
            let owned: Vec<_> = groups.owned_by(&consumer, StreamId::MIN).collect();
            assert_eq!(owned.len(), groups.owned_len(&consumer));
            for id in owned {
                assert_eq!(groups.pending(&group, id).map(|p| p.consumer()), Some(consumer.number()));
                here.pending.get_mut(&id).expect("what is owned is pending").0 = text(name);
            }
        }
        assert_eq!(groups.consumers_len(&group), here.consumers.len());
        assert_eq!(groups.pending_len(&group), here.pending.len());
        assert_eq!(groups.pending_last(&group).map(|p| p.id), here.pending.keys().next_back().copied());
        all.groups.insert(text(name), here);
    }
    all
}

struct Pair {
    real: Keyspace,
    model: Option<Contents>,
    snapshots: Vec<(KeyspaceSnapshot, Option<Contents>)>,
}

fn group_name(n: u8) -> String {
    ["", "g", "group", "group-1", "group-2"][n as usize % 5].to_owned()
}

fn consumer_name(n: u8) -> String {
    ["", "a", "consumer1", "consumer2", "consumer22", "z\0"][n as usize % 6].to_owned()
}

impl Pair {
    /// Changes the stream, and makes it if need be.
    fn write(&mut self, f: impl FnOnce(&mut StreamObject, &mut Heap)) {
        let mut db = self.real.db(0, NOW);
        let key = db.key(KEY);
        let mut place = match db.entry(key) {
            KeySlot::Occupied(place) => place,
            KeySlot::Vacant(mut vacant) => {
                let new = NewStream::empty(vacant.maker().epoch());
                vacant.insert_value(NewValue::Stream(new))
            }
        };
        match place.node_mut() {
            Some((Object::Stream(stream), heap)) => f(stream, heap),
            _ => panic!("a stream"),
        }
        place.changed_quietly(1);
        self.model.get_or_insert_default();
    }

    /// Changes both, if there are streams.
    fn both(&mut self, f: impl FnOnce(&mut StreamObject, &mut Heap, &mut Contents)) {
        if let Some(mut model) = self.model.take() {
            self.write(|stream, heap| f(stream, heap, &mut model));
            self.model = Some(model);
        }
    }

    fn add(&mut self, count: u8, kind: u8) {
        let mut model = self.model.take().unwrap_or_default();
        let limits = ChunkLimits { bytes: 300, entries: 7 };
        self.write(|stream, heap| {
            for n in 0..count as u64 % 24 {
                let id = StreamId::new(model.last_id.ms + n % 3, if n % 3 == 0 { model.last_id.seq + 1 } else { n });
                let value = match kind % 4 {
                    0 => n.to_string(),
                    1 => "x".repeat(n as usize * 7),
                    2 => (i64::MAX - n as i64).to_string(),
                    _ => format!("value {n}"),
                };
                let fields =
                    if kind.is_multiple_of(5) { vec![("f", value)] } else { vec![("f", value.clone()), ("5", value)] };
                let texts: Vec<&[u8]> = fields.iter().flat_map(|(f, v)| [f.as_bytes(), v.as_bytes()]).collect();
                stream.add(heap, limits, id, texts.iter().copied());
                model.entries.insert(id, fields.into_iter().map(|(f, v)| (f.to_owned(), v)).collect());
                model.last_id = id;
                model.added += 1;
            }
        });
        self.model = Some(model);
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Add(count, kind) => self.add(count, kind),
            Op::Delete(at) => self.both(|stream, heap, model| {
                let some: Vec<StreamId> = model.entries.keys().copied().collect();
                if let Some(id) = some.get(at as usize % some.len().max(1)) {
                    assert!(stream.delete(heap, *id) && !stream.delete(heap, *id));
                    stream.find_first();
                    model.entries.remove(id);
                }
            }),
            Op::Trim(keep, how) => self.both(|stream, heap, model| {
                let keep = model.entries.len().saturating_sub(keep as usize % 40);
                let approximate = how % 2 == 0;
                let references = if how % 4 < 2 { References::Keep } else { References::Delete };
                let to = Threshold::Length(keep as u64);
                let gone = stream.trim(heap, Trim { to, approximate, limit: 0, references }).gone;
                let left = model.entries.len() - gone as usize;
                assert!(left >= keep.min(model.entries.len()) && (approximate || left == keep));
                while model.entries.len() > left {
                    model.entries.pop_first();
                }
                if gone > 0 && references == References::Delete {
                    let first = model.entries.keys().next().copied().unwrap_or(StreamId::MAX);
                    model.groups.values_mut().for_each(|g| g.pending.retain(|pending, _| *pending >= first));
                }
            }),
            Op::TrimBelow(at, how) => self.both(|stream, heap, model| {
                let id = model.entries.keys().nth(at as usize % 40).copied().unwrap_or(StreamId::MIN);
                let (forget, approximate) = (how % 2 == 0, how % 4 < 2);
                let references = if forget { References::Delete } else { References::Acked };
                // Approximately: only chunks of which every entry is below.
                let end = match stream.entries().chunks().find(|chunk| chunk.last_id() >= id) {
                    Some(chunk) if approximate => chunk.id().min(id),
                    _ => id,
                };
                let gone = stream.trim(heap, Trim { to: Threshold::Id(id), approximate, limit: 0, references }).gone;
                let before = model.entries.len();
                let groups = &model.groups;
                model.entries.retain(|entry, _| {
                    let needed = |g: &Group| g.last_id < *entry || g.pending.contains_key(entry);
                    *entry >= end || (!forget && groups.values().any(needed))
                });
                assert_eq!(gone as usize, before - model.entries.len());
                if forget {
                    let left = model.entries.keys().next().map_or(id, |first| id.min(*first));
                    model.groups.values_mut().for_each(|g| g.pending.retain(|pending, _| *pending >= left));
                }
            }),
            Op::CreateGroup(name, at) => self.both(|stream, heap, model| {
                let name = group_name(name);
                let last_id = model.entries.keys().nth(at as usize % 50).copied().unwrap_or(StreamId::MIN);
                let is_new = stream.groups_mut(heap).create(heap, name.as_bytes(), last_id, None);
                assert_eq!(is_new, !model.groups.contains_key(&name));
                model.groups.entry(name).or_insert(Group { last_id, ..Group::default() });
            }),
            Op::DestroyGroup(name) => self.both(|stream, heap, model| {
                let name = group_name(name);
                let gone = stream.groups_mut(heap).destroy_group(heap, name.as_bytes());
                assert_eq!(gone, model.groups.remove(&name).is_some());
            }),
            Op::CreateConsumer(group, name) => self.both(|stream, heap, model| {
                let (group, name) = (group_name(group), consumer_name(name));
                let groups = stream.groups_mut(heap);
                let (Some(real), Some(model)) = (groups.group(group.as_bytes()), model.groups.get_mut(&group)) else {
                    return;
                };
                let is_new = groups.create_consumer(heap, &real, name.as_bytes(), NOW);
                assert_eq!(is_new, !model.consumers.contains(&name));
                if is_new {
                    model.consumers.push(name);
                    model.consumers.sort();
                }
            }),
            Op::DeleteConsumer(group, name) => self.both(|stream, heap, model| {
                let (group, name) = (group_name(group), consumer_name(name));
                let groups = stream.groups_mut(heap);
                let (Some(real), Some(model)) = (groups.group(group.as_bytes()), model.groups.get_mut(&group)) else {
                    return;
                };
                let owned = groups.delete_consumer(heap, &real, name.as_bytes());
                let before = model.pending.len();
                model.pending.retain(|_, (owner, _)| *owner != name);
                let expected = model.consumers.contains(&name).then_some(before - model.pending.len());
                assert_eq!(owned, expected);
                model.consumers.retain(|other| *other != name);
            }),
            Op::Deliver(group, name, count) => self.both(|stream, heap, model| {
                let (group, name) = (group_name(group), consumer_name(name));
                let next = model.groups.get(&group).map_or(StreamId::MIN, |g| g.last_id);
                let ids: Vec<StreamId> = model
                    .entries
                    .range(next..)
                    .map(|(id, _)| *id)
                    .filter(|id| *id > next)
                    .take(count as usize)
                    .collect();
                deliver(stream, heap, model, (&group, &name), &ids, true);
            }),
            Op::Claim(group, name, every) => self.both(|stream, heap, model| {
                let (group, name) = (group_name(group), consumer_name(name));
                let pending = model.groups.get(&group).map(|g| g.pending.keys().copied().collect::<Vec<_>>());
                let ids: Vec<StreamId> =
                    pending.unwrap_or_default().into_iter().step_by(every as usize % 9 + 1).collect();
                deliver(stream, heap, model, (&group, &name), &ids, false);
            }),
            Op::Acknowledge(group, every) => self.both(|stream, heap, model| {
                let group = group_name(group);
                let groups = stream.groups_mut(heap);
                let (Some(real), Some(model)) = (groups.group(group.as_bytes()), model.groups.get_mut(&group)) else {
                    return;
                };
                let ids: Vec<StreamId> = model.pending.keys().copied().step_by(every as usize % 9 + 1).collect();
                for id in ids {
                    assert!(groups.acknowledge(heap, &real, id) && !groups.acknowledge(heap, &real, id));
                    model.pending.remove(&id);
                }
            }),
            Op::Remove => {
                let mut db = self.real.db(0, NOW);
                let key = db.key(KEY);
                assert_eq!(db.unlink(key), self.model.take().is_some());
            }
            Op::Copy => self.both(|stream, heap, model| {
                let copy = stream.duplicate(heap);
                assert_eq!(contents(&copy), *model);
                assert!(copy.memory() > 0 || model.entries.is_empty() && model.groups.is_empty());
                let old = std::mem::replace(stream, copy);
                // A copy shares nothing: forgetting one of the two is a leak, and no more.
                std::mem::forget(old);
            }),
            Op::Reload(old_layout) => self.reload(if old_layout { 10 } else { 12 }),
            Op::OpenSnapshot => {
                if self.snapshots.len() < 4 {
                    self.snapshots.push((self.real.snapshot(), self.model.clone()));
                }
            }
            Op::CloseSnapshot(n) => {
                if !self.snapshots.is_empty() {
                    let (snapshot, expected) = self.snapshots.swap_remove(n % self.snapshots.len());
                    std::thread::spawn(move || {
                        let entry = snapshot.dbs().iter().flat_map(|db| db.iter()).next();
                        assert_eq!(entry.map(|e| contents(e.stream().expect("a stream").get())), expected);
                    })
                    .join()
                    .expect("a snapshot shows the stream as it was");
                }
            }
            Op::Reap => drop(self.real.reap_snapshots()),
            Op::Defrag(step) => {
                // One entry after which everything goes on in parts; or all of it at once.
                let (mut pass, elements_max) = (DefragPass::default(), usize::from(step) % 2 * 1000);
                while !self.real.has_snapshot()
                    && !self.real.defrag(&mut pass, &mut Mover::of_all(usize::from(step) + 1), elements_max)
                {
                }
            }
        }
    }

    /// Through a file and back, onto the same key.
    fn reload(&mut self, version: u32) {
        if self.model.is_none() {
            return;
        }
        let mut db = self.real.db(0, NOW);
        let key = db.key(KEY);
        let value = db.peek(key).expect("the model has one").value();
        let mut out = RdbWriter::in_memory(WriteOptions { version, ..WriteOptions::default() });
        let kind = value.rdb_opcode(version);
        value.save(&mut out).expect("memory takes everything");
        let bytes = out.take_bytes();
        let mut from = RdbReader::from_bytes(&bytes);
        let read = NewValue::load(kind, &mut from, Vetting::Hostile, &mut db.maker()).expect("what was just written");
        assert!(from.at_end().unwrap());
        db.entry(key).restore(read.expect("a stream"), None, Access::Unknown);
    }

    fn check(&mut self) {
        let db = self.real.db(0, NOW);
        let key = db.key(KEY);
        let real = db.peek(key).map(|e| contents(e.stream().expect("a stream").get()));
        assert_eq!(real, self.model);
    }
}

fn deliver(
    stream: &mut StreamObject,
    heap: &mut Heap,
    model: &mut Contents,
    (group, name): (&str, &str),
    ids: &[StreamId],
    new: bool,
) {
    let Some(mut real) = stream.groups().and_then(|groups| groups.group(group.as_bytes())) else { return };
    let Some(consumer) = stream.groups().and_then(|groups| groups.consumer(&real, name.as_bytes())) else { return };
    let model = model.groups.get_mut(group).expect("both have it");
    for id in ids {
        let deliveries = if new { 1 } else { model.pending[id].1 + 1 };
        if new {
            stream.advance(&mut real, *id);
            model.last_id = *id;
        }
        stream.groups_mut(heap).deliver(heap, &consumer, *id, NOW, deliveries);
        model.pending.insert(*id, (name.to_owned(), deliveries));
    }
    stream.groups_mut(heap).update(heap, group.as_bytes(), &real);
}

fn equals_maps(ops: Vec<Op>) -> bool {
    let real = Keyspace::new(1, HashSeed::fixed(3), Options::default());
    let mut pair = Pair { real, model: None, snapshots: vec![] };
    for op in &ops {
        pair.step(op);
        pair.check();
    }
    for n in (0..pair.snapshots.len()).rev() {
        pair.step(&Op::CloseSnapshot(n));
    }
    pair.real.reap_snapshots();
    assert!(!pair.real.has_snapshot());
    pair.real.check_invariants();
    true
}

#[test]
fn a_stream_equals_maps() {
    QuickCheck::new().rng(Gen::new(150)).quickcheck(equals_maps as fn(Vec<Op>) -> bool);
}

/// Whatever is done to the bytes of a stream: a value that holds together, or an error.
#[test]
fn hostile_streams_are_refused_or_whole() {
    let mut pair =
        Pair { real: Keyspace::new(1, HashSeed::fixed(3), Options::default()), model: None, snapshots: vec![] };
    for op in
        [Op::Add(23, 1), Op::Add(20, 0), Op::CreateGroup(1, 0), Op::CreateConsumer(1, 1), Op::CreateConsumer(1, 2)]
    {
        pair.step(&op);
    }
    for op in [Op::Deliver(1, 1, 6), Op::Deliver(1, 2, 5), Op::Delete(3), Op::Delete(9), Op::CreateGroup(2, 9)] {
        pair.step(&op);
    }
    let db = pair.real.db(0, NOW);
    let value = db.peek(db.key(KEY)).expect("it was made").value();
    let options = WriteOptions { compression: false, ..WriteOptions::default() };
    let mut out = RdbWriter::in_memory(options);
    value.save(&mut out).unwrap();
    let (kind, good) = (value.rdb_opcode(12), out.take_bytes());
    let mut accepted = 0;
    for at in 0..good.len() {
        for change in [1u8, 2, 0x10, 0x7F, 0x80, 0xFF] {
            let mut bad = good.clone();
            bad[at] ^= change;
            let mut ks = Keyspace::new(1, HashSeed::fixed(3), Options::default());
            let mut db = ks.db(0, NOW);
            let key = db.key(KEY);
            let read = NewValue::load(kind, &mut RdbReader::from_bytes(&bad), Vetting::Hostile, &mut db.maker());
            if let Ok(Some(read)) = read {
                db.entry(key).restore(read, None, Access::Unknown);
                contents(db.peek(key).expect("it was stored").stream().expect("a stream").get());
                accepted += 1;
            }
        }
        let mut ks = Keyspace::new(1, HashSeed::fixed(3), Options::default());
        let mut from = RdbReader::from_bytes(&good[..at]);
        let cut = NewValue::load(kind, &mut from, Vetting::Hostile, &mut ks.maker());
        assert!(cut.is_err(), "cut at {at}");
    }
    assert!(accepted > 0, "a change of a value's letter harms nobody");
}
