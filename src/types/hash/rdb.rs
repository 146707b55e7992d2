//! Hashes in files: every form that Redis wrote, from the first to the newest.
//!
//! | opcode | form | written by |
//! | --- | --- | --- |
//! | 4 | a count, fields and values | large hashes |
//! | 9 | a zipmap | Redis up to 2.4 |
//! | 13 | a ziplist | Redis up to 6 |
//! | 16 | a listpack of pairs | small hashes since Redis 7 |
//! | 24 | the earliest deadline, a count, then deadlines (relative to that, 0 for none), fields, values | large hashes with deadlines |
//! | 25 | the earliest deadline, a listpack of triples | small hashes with deadlines |
//! | 22, 23 | as 24 and 25, without the earliest deadline; deadlines are absolute | candidates of Redis 7.4 |
//! | 22 in Valkey's files | a count, then fields, values, deadlines (absolute, -1 for none) | Valkey 9, with deadlines |

use super::{COMPACT_BYTES_MAX, DEADLINE_MAX, Field, HashObject, HashRef, NewHash, compact};
use crate::collections::listpack::{self, Depth, Item, ListpackRef};
use crate::collections::ziplist::ZiplistRef;
use crate::collections::zipmap::ZipmapRef;
use crate::cow::Fresh;
use crate::rdb::opcodes::VALKEY_NO_EXPIRY;
use crate::rdb::{RdbError, RdbReader, RdbString, RdbWriter, TypeOpcode, Why};
use crate::types::object::Object;
use crate::types::place::Maker;
use crate::types::value::Vetting;
use crate::util::text::Text;
use std::borrow::Cow;
use std::collections::HashSet;
use std::io;

const TWICE: &str = "Hash integrity check failed: listpack with dup elements";
const NO_VALUE: &str = "Hash listpack integrity check failed: a field has no value";
const BAD_DEADLINE: &str = "a deadline of a hash's field is none";

impl HashRef<'_> {
    /// How [`Self::save`] lays it out in a file of this version.
    pub fn rdb_opcode(self, _version: u32) -> TypeOpcode {
        match self {
            HashRef::Pairs(_) => TypeOpcode::HashListpack,
            HashRef::Triples(_) => TypeOpcode::HashListpackEx,
            HashRef::Large(hash) if hash.next_deadline().is_some() => TypeOpcode::HashMetadata,
            HashRef::Large(_) => TypeOpcode::Hash,
        }
    }

    /// Writes the value, without its opcode.
    pub fn save(self, out: &mut RdbWriter<'_>) -> io::Result<()> {
        let earliest = self.next_deadline();
        match self {
            HashRef::Pairs(lp) => out.write_string(lp.bytes()),
            HashRef::Triples(lp) => {
                out.write_ms(earliest.unwrap_or(0))?;
                out.write_string(lp.bytes())
            }
            HashRef::Large(hash) => {
                if let Some(earliest) = earliest {
                    out.write_ms(earliest)?;
                }
                out.write_len(hash.len() as u64)?;
                let mut room = itoa::Buffer::new();
                let mut result = Ok(());
                hash.iter().for_each(|field| {
                    if result.is_ok() {
                        result = save_field(out, earliest, field, &mut room);
                    }
                });
                result
            }
        }
    }
}

fn save_field(
    out: &mut RdbWriter<'_>,
    earliest: Option<i64>,
    field: Field<'_>,
    room: &mut itoa::Buffer,
) -> io::Result<()> {
    if let Some(earliest) = earliest {
        out.write_len(field.deadline.map_or(0, |deadline| (deadline - earliest) as u64 + 1))?;
    }
    out.write_string(field.name.text(room))?;
    out.write_string(field.value.text(room))
}

impl NewHash {
    /// Reads a value laid out as `kind`; None if that is not a layout of hashes.
    pub fn load(
        kind: TypeOpcode,
        from: &mut RdbReader<'_>,
        vetting: Vetting,
        maker: &mut Maker<'_>,
    ) -> Result<Option<NewHash>, RdbError> {
        let hash = match kind {
            TypeOpcode::Hash => load_counted(from, Deadlines::None, maker)?,
            TypeOpcode::HashMetadata => {
                let earliest = from.read_ms()?;
                load_counted(from, Deadlines::Since(earliest), maker)?
            }
            TypeOpcode::HashMetadataPreGa => load_counted(from, Deadlines::Absolute, maker)?,
            TypeOpcode::HashValkey => load_counted(from, Deadlines::Behind, maker)?,
            TypeOpcode::HashListpack => load_listpack(from, 2, vetting, maker)?,
            TypeOpcode::HashListpackEx => {
                from.read_ms()?;
                load_listpack(from, 3, vetting, maker)?
            }
            TypeOpcode::HashListpackExPreGa => load_listpack(from, 3, vetting, maker)?,
            TypeOpcode::HashZiplist => load_ziplist(from, maker)?,
            TypeOpcode::HashZipmap => load_zipmap(from, maker)?,
            _ => return Ok(None),
        };
        Ok(Some(hash))
    }
}

/// How deadlines are written.
#[derive(Clone, Copy)]
enum Deadlines {
    None,
    /// 0 for none, or one more than the milliseconds since then.
    Since(i64),
    /// 0 for none.
    Absolute,
    /// Behind the value, in eight bytes.
    Behind,
}

impl Deadlines {
    fn read_before(self, from: &mut RdbReader<'_>) -> Result<Option<i64>, RdbError> {
        let (base, number) = match self {
            Deadlines::None | Deadlines::Behind => return Ok(None),
            Deadlines::Since(earliest) => (earliest, from.read_len()?),
            Deadlines::Absolute => (1, from.read_len()?),
        };
        if number == 0 {
            return Ok(None);
        }
        let deadline = i64::try_from(number - 1).ok().and_then(|more| base.checked_add(more));
        match deadline {
            Some(deadline) if (1..=DEADLINE_MAX).contains(&deadline) => Ok(Some(deadline)),
            _ => Err(from.corrupt(BAD_DEADLINE)),
        }
    }

    fn read_behind(self, from: &mut RdbReader<'_>) -> Result<Option<i64>, RdbError> {
        if !matches!(self, Deadlines::Behind) {
            return Ok(None);
        }
        match from.read_ms()? {
            VALKEY_NO_EXPIRY => Ok(None),
            // Valkey takes deadlines that Redis has no bits for, thousands of years from now.
            deadline @ 0.. => Ok(Some(deadline.clamp(1, DEADLINE_MAX))),
            _ => Err(from.corrupt(BAD_DEADLINE)),
        }
    }
}

/// A hash that is being read: compact while it may be.
enum Growing {
    /// The listpack, its width, and the names in it.
    Compact(Vec<u8>, usize, HashSet<Vec<u8>>),
    Large(Fresh<Object>),
}

impl Growing {
    fn new(count: u64, width: usize, maker: &Maker<'_>) -> Growing {
        if count <= maker.limits.hash_entries {
            return Growing::Compact(listpack::new(0), width, HashSet::new());
        }
        Growing::Large(Fresh::new(Object::Hash(HashObject::new(maker.seed, maker.epoch())), maker.heap))
    }

    /// False if the field is there already.
    fn push<'n, 'v>(
        &mut self,
        name: impl Text<'n>,
        value: impl Text<'v>,
        deadline: Option<i64>,
        maker: &mut Maker<'_>,
    ) -> bool {
        if let Growing::Compact(bytes, width, names) = self {
            let longest = name.text_len().max(value.text_len()) as u64;
            let all = bytes.len() + name.text_len() + value.text_len();
            if longest <= maker.limits.hash_value && all < COMPACT_BYTES_MAX {
                let (name, value) = (name.as_ref(), value.as_ref());
                if !names.insert(name.to_vec()) {
                    return false;
                }
                match width {
                    3 => compact::insert(bytes, Item::of(name), Item::of(value), deadline),
                    _ => compact::push(bytes, 2, Item::of(name), Item::of(value)),
                }
                return true;
            }
            let (bytes, width) = (std::mem::take(bytes), *width);
            *self = Growing::Large(enlarged(ListpackRef::new(&bytes), width, maker));
        }
        let Growing::Large(object) = self else { unreachable!("what was compact became large above") };
        let Object::Hash(hash) = object.value_mut() else { unreachable!("that is what it was made with") };
        if deadline.is_none() {
            return hash.set(maker.heap, name, value, false);
        }
        let is_new = hash.set(maker.heap, name.as_ref(), value, false);
        if is_new {
            hash.set_deadline(maker.heap, name.as_ref(), deadline);
        }
        is_new
    }

    fn finish(self) -> NewHash {
        match self {
            Growing::Compact(bytes, 3, _) => NewHash::Triples(bytes),
            Growing::Compact(bytes, _, _) => NewHash::Pairs(bytes),
            Growing::Large(hash) => NewHash::Large(hash),
        }
    }
}

/// The large form of a compact hash.
fn enlarged(lp: ListpackRef<'_>, width: usize, maker: &mut Maker<'_>) -> Fresh<Object> {
    let mut hash = HashObject::new(maker.seed, maker.epoch());
    let (mut name_room, mut value_room) = (itoa::Buffer::new(), itoa::Buffer::new());
    for field in compact::iter(lp, width) {
        let name = field.name.text(&mut name_room);
        hash.set(maker.heap, name, field.value.text(&mut value_room), false);
        if field.deadline.is_some() {
            hash.set_deadline(maker.heap, name, field.deadline);
        }
    }
    Fresh::new(Object::Hash(hash), maker.heap)
}

fn load_counted(from: &mut RdbReader<'_>, deadlines: Deadlines, maker: &mut Maker<'_>) -> Result<NewHash, RdbError> {
    let count = from.read_count()?;
    if count == 0 {
        return Err(from.error(Why::EmptyValue));
    }
    let width = if matches!(deadlines, Deadlines::None) { 2 } else { 3 };
    let mut hash = Growing::new(count, width, maker);
    let (mut name_room, mut value_room) = (itoa::Buffer::new(), itoa::Buffer::new());
    for _ in 0..count {
        let before = deadlines.read_before(from)?;
        let (name, value) = (from.read_string()?, from.read_string()?);
        let deadline = before.or(deadlines.read_behind(from)?);
        let (name, value) = (text(name, &mut name_room), text(value, &mut value_room));
        if !hash.push(name, value, deadline, maker) {
            return Err(from.corrupt(TWICE));
        }
    }
    Ok(hash.finish())
}

fn text(string: RdbString, room: &mut itoa::Buffer) -> Cow<'_, [u8]> {
    match string {
        RdbString::Int(n) => room.format(n).as_bytes().into(),
        RdbString::Bytes(bytes) => bytes.into(),
    }
}

fn load_listpack(
    from: &mut RdbReader<'_>,
    width: usize,
    vetting: Vetting,
    maker: &mut Maker<'_>,
) -> Result<NewHash, RdbError> {
    let bytes = from.read_bytes()?;
    // Walked even in files of our own: a damaged one must not stop the server much later.
    let lp = ListpackRef::validate(&bytes, Depth::Deep)
        .map_err(|_| from.corrupt("Hash listpack integrity check failed."))?;
    if lp.is_empty() {
        return Err(from.error(Why::EmptyValue));
    }
    if vetting == Vetting::Hostile {
        vet(lp, width).map_err(|what| from.corrupt(what))?;
    }
    if (lp.len() / width) as u64 > maker.limits.hash_entries {
        return Ok(NewHash::Large(enlarged(lp, width, maker)));
    }
    Ok(if width == 3 { NewHash::Triples(bytes) } else { NewHash::Pairs(bytes) })
}

/// Looks for fields that stand twice, and for deadlines that are none or out of order.
fn vet(lp: ListpackRef<'_>, width: usize) -> Result<(), &'static str> {
    if !lp.len().is_multiple_of(width) {
        return Err(NO_VALUE);
    }
    let mut names = HashSet::with_capacity(lp.len() / width);
    let mut items = lp.iter();
    let mut last = 0;
    while let (Some(name), Some(_)) = (items.next(), items.next()) {
        if !names.insert(name.to_vec()) {
            return Err(TWICE);
        }
        if width == 3 {
            let deadline = items.next().and_then(Item::as_i64).ok_or(BAD_DEADLINE)?;
            if !(0..=DEADLINE_MAX).contains(&deadline) {
                return Err(BAD_DEADLINE);
            }
            // Those without come last.
            let rank = if deadline == 0 { i64::MAX } else { deadline };
            if rank < last {
                return Err("the deadlines of a hash's fields are out of order");
            }
            last = rank;
        }
    }
    Ok(())
}

fn load_ziplist(from: &mut RdbReader<'_>, maker: &mut Maker<'_>) -> Result<NewHash, RdbError> {
    let bytes = from.read_bytes()?;
    let zl = ZiplistRef::validate(&bytes).map_err(|_| from.corrupt("Hash ziplist integrity check failed."))?;
    let mut items = zl.iter();
    let mut fields = Vec::with_capacity(zl.len() / 2);
    while let Some(name) = items.next() {
        let value = items.next().ok_or_else(|| from.corrupt(NO_VALUE))?;
        fields.push((name.to_vec(), value.to_vec()));
    }
    of_pairs(fields, from, maker)
}

fn load_zipmap(from: &mut RdbReader<'_>, maker: &mut Maker<'_>) -> Result<NewHash, RdbError> {
    let bytes = from.read_bytes()?;
    let map = ZipmapRef::validate(&bytes).map_err(|_| from.corrupt("Zipmap integrity check failed."))?;
    if map.is_empty() {
        return Err(from.corrupt("Zipmap integrity check failed."));
    }
    let fields = map.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    of_pairs(fields, from, maker)
}

fn of_pairs(fields: Vec<(Vec<u8>, Vec<u8>)>, from: &RdbReader<'_>, maker: &mut Maker<'_>) -> Result<NewHash, RdbError> {
    if fields.is_empty() {
        return Err(from.error(Why::EmptyValue));
    }
    let mut hash = Growing::new(fields.len() as u64, 2, maker);
    for (name, value) in fields {
        if !hash.push(name, value, None, maker) {
            return Err(from.corrupt(TWICE));
        }
    }
    Ok(hash.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cow::Heap;
    use crate::rdb::WriteOptions;
    use crate::types::Limits;
    use crate::util::hash::HashSeed;

    type Fields = Vec<(String, String, Option<i64>)>;

    fn with_maker<R>(entries: u64, f: impl FnOnce(&mut Maker<'_>) -> R) -> R {
        let limits = Limits { hash_entries: entries, ..Limits::default() };
        f(&mut Maker { heap: &mut Heap::new(), limits, seed: HashSeed::fixed(1) })
    }

    fn load(kind: TypeOpcode, bytes: &[u8], maker: &mut Maker<'_>) -> Result<NewHash, String> {
        let mut reader = RdbReader::from_bytes(bytes);
        let hash = NewHash::load(kind, &mut reader, Vetting::Hostile, maker).map_err(|e| e.to_string())?;
        assert!(reader.at_end().unwrap());
        Ok(hash.expect("a hash's opcode"))
    }

    fn view(hash: &NewHash) -> HashRef<'_> {
        match hash {
            NewHash::Pairs(bytes) => HashRef::Pairs(ListpackRef::new(bytes)),
            NewHash::Triples(bytes) => HashRef::Triples(ListpackRef::new(bytes)),
            NewHash::Large(object) => match object.value() {
                Object::Hash(hash) => HashRef::Large(hash),
                _ => unreachable!(),
            },
        }
    }

    fn all(hash: &NewHash) -> Fields {
        let mut all = vec![];
        let text = |item: Item<'_>| String::from_utf8(item.to_vec()).unwrap();
        view(hash).for_each(|field| all.push((text(field.name), text(field.value), field.deadline)));
        all.sort();
        all
    }

    fn saved(hash: &NewHash) -> (TypeOpcode, Vec<u8>) {
        let mut out = RdbWriter::in_memory(WriteOptions { version: 12, ..WriteOptions::default() });
        view(hash).save(&mut out).unwrap();
        (view(hash).rdb_opcode(12), out.take_bytes())
    }

    fn fields(deadlines: bool) -> Fields {
        let field = |n: i64| {
            let deadline = (deadlines && n % 3 == 0).then_some(1_700_000_000_000 + n * 7);
            (format!("field:{n}"), if n % 2 == 0 { n.to_string() } else { format!("value {n}") }, deadline)
        };
        let mut fields: Fields = (0..40).map(field).collect();
        fields.sort();
        fields
    }

    fn counted(fields: &Fields, earliest: Option<i64>, absolute: bool) -> Vec<u8> {
        let mut out = RdbWriter::in_memory(WriteOptions::default());
        if let Some(earliest) = earliest {
            out.write_ms(earliest).unwrap();
        }
        out.write_len(fields.len() as u64).unwrap();
        for (name, value, deadline) in fields {
            match (earliest, deadline) {
                (Some(earliest), Some(deadline)) => out.write_len((deadline - earliest) as u64 + 1).unwrap(),
                (None, Some(deadline)) if absolute => out.write_len(*deadline as u64).unwrap(),
                _ if earliest.is_some() || absolute => out.write_len(0).unwrap(),
                _ => {}
            }
            out.write_string(name.as_bytes()).unwrap();
            out.write_string(value.as_bytes()).unwrap();
        }
        out.take_bytes()
    }

    fn of_valkey(fields: &Fields) -> Vec<u8> {
        let mut out = RdbWriter::in_memory(WriteOptions::default());
        out.write_len(fields.len() as u64).unwrap();
        for (name, value, deadline) in fields {
            out.write_string(name.as_bytes()).unwrap();
            out.write_string(value.as_bytes()).unwrap();
            out.write_ms(deadline.unwrap_or(VALKEY_NO_EXPIRY)).unwrap();
        }
        out.take_bytes()
    }

    #[test]
    fn deadlines_of_valkey() {
        let of = |deadline| vec![("f".to_string(), "v".to_string(), deadline)];
        with_maker(100, |maker| {
            for (written, read) in [
                (Some(1), Some(1)),
                (Some(0), Some(1)),
                (Some(DEADLINE_MAX), Some(DEADLINE_MAX)),
                (Some(i64::MAX), Some(DEADLINE_MAX)),
                (None, None),
            ] {
                let hash = load(TypeOpcode::HashValkey, &of_valkey(&of(written)), maker).unwrap();
                assert_eq!(all(&hash), of(read), "{written:?}");
            }
            for written in [-2, i64::MIN] {
                assert!(load(TypeOpcode::HashValkey, &of_valkey(&of(Some(written))), maker).is_err());
            }
            let twice = [of(None), of(Some(5))].concat();
            assert!(load(TypeOpcode::HashValkey, &of_valkey(&twice), maker).is_err());
            assert!(load(TypeOpcode::HashValkey, b"\0", maker).is_err());
        });
    }

    fn string(bytes: &[u8]) -> Vec<u8> {
        let mut out = RdbWriter::in_memory(WriteOptions::default());
        out.write_string(bytes).unwrap();
        out.take_bytes()
    }

    fn listpack(items: &[&str]) -> Vec<u8> {
        string(&crate::collections::listpack::collect(items.iter().map(|item| item.as_bytes())))
    }

    #[test]
    fn every_form_is_read_and_written_back() {
        for entries in [0, 100] {
            with_maker(entries, |maker| {
                let plain = fields(false);
                let hash = load(TypeOpcode::Hash, &counted(&plain, None, false), maker).unwrap();
                assert_eq!(matches!(hash, NewHash::Pairs(_)), entries > 0);
                assert_eq!(all(&hash), plain);
                let (kind, bytes) = saved(&hash);
                assert_eq!(all(&load(kind, &bytes, maker).unwrap()), plain);

                let timed = fields(true);
                let earliest = timed.iter().filter_map(|field| field.2).min();
                let hash = load(TypeOpcode::HashMetadata, &counted(&timed, earliest, false), maker).unwrap();
                assert_eq!(matches!(hash, NewHash::Triples(_)), entries > 0);
                assert_eq!((all(&hash), view(&hash).next_deadline()), (timed.clone(), earliest));
                let (kind, bytes) = saved(&hash);
                let again = load(kind, &bytes, maker).unwrap();
                assert_eq!((all(&again), view(&again).next_deadline()), (timed.clone(), earliest));
                let old = load(TypeOpcode::HashMetadataPreGa, &counted(&timed, None, true), maker).unwrap();
                assert_eq!(all(&old), timed);
                let other = load(TypeOpcode::HashValkey, &of_valkey(&timed), maker).unwrap();
                assert_eq!((all(&other), view(&other).next_deadline()), (timed.clone(), earliest));
            });
        }
    }

    #[test]
    fn long_texts_make_a_hash_large() {
        with_maker(100, |maker| {
            let mut long = fields(true);
            long.push(("long".to_string(), "x".repeat(65), Some(1_700_000_000_001)));
            long.sort();
            let earliest = long.iter().filter_map(|field| field.2).min();
            let hash = load(TypeOpcode::HashMetadata, &counted(&long, earliest, false), maker).unwrap();
            assert!(matches!(hash, NewHash::Large(_)));
            assert_eq!(all(&hash), long);
        });
    }

    #[test]
    fn hostile_bytes_are_refused() {
        with_maker(100, |maker| {
            let mut refused = |kind, bytes: &[u8]| assert!(load(kind, bytes, maker).is_err(), "{kind:?} {bytes:?}");
            for items in [&["a"][..], &["a", "1", "a", "2"], &[]] {
                refused(TypeOpcode::HashListpack, &listpack(items));
            }
            let with_earliest = |items: &[&str]| [&7i64.to_le_bytes()[..], &listpack(items)].concat();
            for items in [
                &["a", "1"][..],
                &["a", "1", "x"],
                &["a", "1", "-1"],
                &["a", "1", "70368744177664"],
                &["a", "1", "20", "b", "2", "10"],
                &["a", "1", "0", "b", "2", "10"],
                &["a", "1", "10", "a", "2", "20"],
            ] {
                refused(TypeOpcode::HashListpackEx, &with_earliest(items));
                refused(TypeOpcode::HashListpackExPreGa, &listpack(items));
            }
            refused(TypeOpcode::HashListpack, &string(b"\x07\0\0\0"));
            refused(TypeOpcode::HashZiplist, &string(b"\x07\0\0\0"));
            refused(TypeOpcode::HashZipmap, &string(b"\x07"));
            refused(TypeOpcode::Hash, &counted(&vec![], None, false));
            let twice = vec![("a".into(), "1".into(), None), ("a".into(), "2".into(), None)];
            refused(TypeOpcode::Hash, &counted(&twice, None, false));
            let late = vec![("a".into(), "1".into(), Some(i64::MAX))];
            refused(TypeOpcode::HashMetadata, &counted(&late, Some(2), false));
            refused(TypeOpcode::HashMetadataPreGa, &counted(&late, None, true));
        });
    }
}
