//! Lists in files: nodes of a quicklist since version 10; before that ziplists, one or many; at first a count and
//! elements.

use super::{ListRef, NewList, Side, quicklist_shape};
use crate::collections::listpack::{self, Depth, Item, ListpackMut, ListpackRef};
use crate::collections::quicklist::{Fill, NodeRef, Quicklist, SavedNode};
use crate::collections::ziplist::ZiplistRef;
use crate::rdb::{RdbError, RdbReader, RdbString, RdbWriter, TypeOpcode, Why};
use crate::types::contract::Encoding;
use crate::types::place::Maker;
use crate::types::value::Vetting;
use crate::util::text::Source;
use std::io;

const PLAIN: u64 = 1;
const PACKED: u64 = 2;

impl ListRef<'_> {
    /// How [`Self::save`] lays it out in a file of this version.
    pub fn rdb_opcode(self, version: u32) -> TypeOpcode {
        if version >= TypeOpcode::ListQuicklist2.since_version() {
            TypeOpcode::ListQuicklist2
        } else {
            TypeOpcode::List
        }
    }

    /// Writes the value, without its opcode.
    pub fn save(self, out: &mut RdbWriter<'_>) -> io::Result<()> {
        if self.rdb_opcode(out.version()) == TypeOpcode::List {
            return self.save_elements(out);
        }
        match self {
            ListRef::Compact(lp) => {
                out.write_len(1)?;
                out.write_len(PACKED)?;
                out.write_string(lp.bytes())
            }
            ListRef::Large(list, _) => {
                out.write_len(list.nodes() as u64)?;
                list.saved_nodes().try_for_each(|node| match node {
                    NodeRef::Packed(lp) => {
                        out.write_len(PACKED)?;
                        out.write_string(&lp)
                    }
                    NodeRef::Plain(text) => {
                        out.write_len(PLAIN)?;
                        out.write_string(text)
                    }
                })
            }
        }
    }

    fn save_elements(self, out: &mut RdbWriter<'_>) -> io::Result<()> {
        out.write_len(self.len() as u64)?;
        let mut result = Ok(());
        self.each(|item| {
            if result.is_ok() {
                result = match item {
                    Item::Int(n) => out.write_integer(n),
                    Item::Bytes(text) => out.write_string(text),
                };
            }
        });
        result
    }
}

impl NewList {
    /// Reads a value laid out as `kind`; None if that is not a layout of lists.
    pub fn load(
        kind: TypeOpcode,
        from: &mut RdbReader<'_>,
        _vetting: Vetting,
        maker: &mut Maker<'_>,
    ) -> Result<Option<NewList>, RdbError> {
        let list = match kind {
            TypeOpcode::List => elements(from, maker)?,
            TypeOpcode::ListZiplist => {
                let node = ziplist(from)?;
                of_nodes(vec![node], maker)
            }
            TypeOpcode::ListQuicklist => {
                let mut nodes = Vec::new();
                for _ in 0..from.read_count()? {
                    nodes.push(ziplist(from)?);
                }
                of_nodes(nodes, maker)
            }
            TypeOpcode::ListQuicklist2 => {
                let mut nodes = Vec::new();
                for _ in 0..from.read_count()? {
                    nodes.push(node(from)?);
                }
                of_nodes(nodes, maker)
            }
            _ => return Ok(None),
        };
        if list.view().is_empty() {
            return Err(from.error(Why::EmptyValue));
        }
        Ok(Some(list))
    }
}

fn elements(from: &mut RdbReader<'_>, maker: &mut Maker<'_>) -> Result<NewList, RdbError> {
    let mut list = Quicklist::new(maker.epoch(), quicklist_shape(&maker.limits));
    for _ in 0..from.read_count()? {
        match from.read_string() {
            Ok(RdbString::Int(n)) => list.push(maker.heap, Side::Tail, Item::Int(n)),
            Ok(RdbString::Bytes(text)) => list.push_text(maker.heap, Side::Tail, Source::Whole(text)),
            Err(why) => {
                list.discard(maker.heap);
                return Err(why);
            }
        }
    }
    Ok(settled(list, maker))
}

/// One node as version 10 has it. Listpacks are walked even in files of our own: one that is damaged must not stop the
/// server much later.
fn node(from: &mut RdbReader<'_>) -> Result<SavedNode, RdbError> {
    let at = from.offset();
    match from.read_len()? {
        PLAIN => match from.read_bytes()? {
            bytes if bytes.is_empty() => Err(from.error_at(at, Why::Corrupt("Quicklist integrity check failed."))),
            bytes => Ok(SavedNode::Plain(bytes)),
        },
        PACKED => {
            let at = from.offset();
            let bytes = from.read_bytes()?;
            match ListpackRef::validate(&bytes, Depth::Deep) {
                Ok(_) => Ok(SavedNode::Packed(bytes)),
                Err(_) => Err(from.error_at(at, Why::Corrupt("Listpack integrity check failed."))),
            }
        }
        _ => Err(from.error_at(at, Why::Corrupt("Quicklist integrity check failed."))),
    }
}

/// A ziplist as a listpack.
fn ziplist(from: &mut RdbReader<'_>) -> Result<SavedNode, RdbError> {
    let at = from.offset();
    let bytes = from.read_bytes()?;
    let Ok(list) = ZiplistRef::validate(&bytes) else {
        return Err(from.error_at(at, Why::Corrupt("Ziplist integrity check failed.")));
    };
    let mut listpack = listpack::new(bytes.len());
    ListpackMut::new(&mut listpack).extend_back(list.iter());
    Ok(SavedNode::Packed(listpack))
}

fn of_nodes(nodes: Vec<SavedNode>, maker: &mut Maker<'_>) -> NewList {
    settled(Quicklist::from_nodes(maker.epoch(), quicklist_shape(&maker.limits), nodes), maker)
}

/// A quicklist out of a file that is small enough becomes a listpack.
fn settled(list: Quicklist, maker: &mut Maker<'_>) -> NewList {
    if let Some(bytes) = list.as_listpack()
        && Fill::of(maker.limits.list_size).allows(bytes.len(), list.len())
    {
        let bytes = bytes.to_vec();
        list.discard(maker.heap);
        return NewList::of_listpack(bytes, maker);
    }
    NewList::Large(list, Encoding::Quicklist)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cow::{CowValue, Heap};
    use crate::dict::Payload;
    use crate::rdb::WriteOptions;
    use crate::types::list::{COMPACT_MAX, Limits};
    use crate::types::object::Object;
    use crate::util::hash::HashSeed;

    fn load(kind: TypeOpcode, bytes: &[u8], heap: &mut Heap) -> Result<NewList, RdbError> {
        let mut maker = Maker { heap, limits: Limits::default(), seed: HashSeed::fixed(1) };
        let mut reader = RdbReader::from_bytes(bytes);
        let list = NewList::load(kind, &mut reader, Vetting::Hostile, &mut maker)?.expect("a layout of lists");
        assert!(reader.at_end().unwrap());
        Ok(list)
    }

    fn texts(list: &NewList) -> Vec<String> {
        let mut all = vec![];
        list.view().each(|item| all.push(String::from_utf8_lossy(&item.to_vec()).into_owned()));
        all
    }

    /// Stores it as an entry would, and frees it.
    fn free(list: NewList, heap: &mut Heap) {
        list.with_payload(|_, payload| {
            if let Payload::Node(object) = payload {
                assert!(object.memory() > 0);
                let Object::List(list) = *object else { panic!("a list") };
                list.0.check_invariants(heap);
                list.0.discard(heap);
            }
        });
    }

    /// `RPUSH l a 5 b` as each version of Redis has written it.
    #[test]
    fn every_layout_is_read() {
        const ZIPLIST: &[u8] = &[18, 0, 0, 0, 15, 0, 0, 0, 3, 0, 0, 1, b'a', 3, 0xF6, 2, 1, b'b'];
        let ziplist = [&[ZIPLIST.len() as u8 + 1][..], &[19], &ZIPLIST[1..], &[0xFF]].concat();
        let listpack = listpack::collect([&b"a"[..], b"5", b"b"]);
        let listpack = [&[listpack.len() as u8][..], &listpack].concat();
        let cases: [(TypeOpcode, Vec<u8>); 5] = [
            (TypeOpcode::List, b"\x03\x01a\xC0\x05\x01b".to_vec()),
            (TypeOpcode::ListZiplist, ziplist.clone()),
            (TypeOpcode::ListQuicklist, [&[1][..], &ziplist].concat()),
            (TypeOpcode::ListQuicklist2, [&[1, 2][..], &listpack].concat()),
            (TypeOpcode::ListQuicklist2, b"\x03\x01\x01a\x01\x015\x01\x01b".to_vec()),
        ];
        let mut heap = Heap::new();
        for (kind, bytes) in cases {
            let list = load(kind, &bytes, &mut heap).unwrap_or_else(|why| panic!("{kind:?}: {why}"));
            assert_eq!(texts(&list), ["a", "5", "b"], "{kind:?}");
            free(list, &mut heap);
            for at in 0..bytes.len() {
                assert!(load(kind, &bytes[..at], &mut heap).is_err(), "{kind:?} cut at {at}");
                for change in 1..=255 {
                    let mut bad = bytes.clone();
                    bad[at] ^= change;
                    let mut maker = Maker { heap: &mut heap, limits: Limits::default(), seed: HashSeed::fixed(1) };
                    let mut reader = RdbReader::from_bytes(&bad);
                    if let Ok(list) = NewList::load(kind, &mut reader, Vetting::Hostile, &mut maker) {
                        free(list.expect("a layout of lists"), &mut heap);
                    }
                }
            }
        }
        assert_eq!(heap.stats(), Default::default());
    }

    #[test]
    fn lists_of_every_form_survive_a_file() {
        let mut heap = Heap::new();
        let large = vec![b'x'; 10_000];
        let mut cases: Vec<Vec<Vec<u8>>> = vec![vec![b"one".to_vec()], vec![b"a".to_vec(), large, b"7".to_vec()]];
        for count in [COMPACT_MAX / 10, 600, 5000] {
            cases.push((0..count).map(|n| format!("element {n}").into_bytes()).collect());
        }
        for version in [9, 12] {
            for case in &cases {
                let items = case.iter().map(|text| Item::of(text));
                let mut maker = Maker { heap: &mut heap, limits: Limits::default(), seed: HashSeed::fixed(1) };
                let list = NewList::pushed(items, Side::Tail, &mut maker);
                let mut writer = RdbWriter::in_memory(WriteOptions { version, ..WriteOptions::default() });
                list.view().save(&mut writer).unwrap();
                let kind = list.view().rdb_opcode(version);
                assert_eq!(kind == TypeOpcode::List, version < 10);
                let read = load(kind, &writer.take_bytes(), &mut heap).unwrap();
                assert!(texts(&read).iter().map(String::as_bytes).eq(case.iter().map(Vec::as_slice)));
                let (made, loaded) = (format!("{:?}", list), format!("{read:?}"));
                assert_eq!(made, loaded, "the same form");
                free(list, &mut heap);
                free(read, &mut heap);
            }
        }
        assert_eq!(heap.stats(), Default::default());
    }

    #[test]
    fn no_list_is_empty() {
        let mut heap = Heap::new();
        for bytes in [&b"\x00"[..], b"\x01\x02\x07\x07\x00\x00\x00\x00\x00\xFF"] {
            assert!(load(TypeOpcode::ListQuicklist2, bytes, &mut heap).is_err());
        }
        assert!(load(TypeOpcode::List, b"\x00", &mut heap).is_err());
        assert!(load(TypeOpcode::ListQuicklist2, b"\x01\x03\x01a", &mut heap).is_err(), "an unknown container");
    }
}
