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
            return Err(from.corrupt("a list without elements"));
        }
        Ok(Some(list))
    }
}

fn elements(from: &mut RdbReader<'_>, maker: &mut Maker<'_>) -> Result<NewList, RdbError> {
    let mut list = Quicklist::new(maker.epoch(), quicklist_shape(&maker.limits));
    for _ in 0..from.read_count()? {
        match from.read_string() {
            Ok(RdbString::Int(n)) => list.push(maker.heap, Side::Tail, Item::Int(n)),
            Ok(RdbString::Bytes(text)) => list.push(maker.heap, Side::Tail, Item::of(&text)),
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
        PLAIN => Ok(SavedNode::Plain(from.read_bytes()?)),
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
