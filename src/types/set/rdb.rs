//! Sets in files: a count and members, an intset, or (since version 11) a listpack.

use super::{NewSet, SetRef};
use crate::collections::intset::IntsetRef;
use crate::collections::listpack::{Depth, Item, ListpackRef};
use crate::rdb::{RdbError, RdbReader, RdbString, RdbWriter, TypeOpcode, Why};
use crate::types::contract::Encoding;
use crate::types::place::Maker;
use crate::types::value::Vetting;
use std::collections::HashSet;
use std::io;

impl SetRef<'_> {
    /// How [`Self::save`] lays it out in a file of this version.
    pub fn rdb_opcode(self, version: u32) -> TypeOpcode {
        match self {
            SetRef::Intset(_) => TypeOpcode::SetIntset,
            SetRef::Listpack(_) if version >= TypeOpcode::SetListpack.since_version() => TypeOpcode::SetListpack,
            SetRef::Listpack(_) | SetRef::Table(_) => TypeOpcode::Set,
        }
    }

    /// Writes the value, without its opcode.
    pub fn save(self, out: &mut RdbWriter<'_>) -> io::Result<()> {
        match self {
            SetRef::Intset(ints) => return out.write_string(ints.bytes()),
            SetRef::Listpack(lp) if self.rdb_opcode(out.version()) == TypeOpcode::SetListpack => {
                return out.write_string(lp.bytes());
            }
            _ => {}
        }
        out.write_len(self.len() as u64)?;
        for member in self.iter() {
            match member {
                Item::Int(n) => out.write_integer(n)?,
                Item::Bytes(text) => out.write_string(text)?,
            }
        }
        Ok(())
    }
}

impl NewSet {
    /// Reads a value laid out as `kind`; None if that is not a layout of sets.
    pub fn load(
        kind: TypeOpcode,
        from: &mut RdbReader<'_>,
        vetting: Vetting,
        maker: &mut Maker<'_>,
    ) -> Result<Option<NewSet>, RdbError> {
        let set = match kind {
            TypeOpcode::Set => members(from, maker)?,
            TypeOpcode::SetIntset => {
                let bytes = from.read_bytes()?;
                IntsetRef::validate(&bytes, true).map_err(|_| from.corrupt("Intset integrity check failed."))?;
                let set = NewSet::Intset(bytes);
                let most = maker.limits.intset_entries;
                within(set, most, maker)
            }
            TypeOpcode::SetListpack => {
                let bytes = from.read_bytes()?;
                listpack(&bytes, vetting).map_err(|what| from.corrupt(what))?;
                let set = NewSet::Listpack(bytes);
                let most = maker.limits.set_entries;
                within(set, most, maker)
            }
            _ => return Ok(None),
        };
        if set.view().is_empty() {
            return Err(from.error(Why::EmptyValue));
        }
        Ok(Some(set))
    }
}

fn members(from: &mut RdbReader<'_>, maker: &mut Maker<'_>) -> Result<NewSet, RdbError> {
    let count = from.read_count()?;
    let mut set = if count > maker.limits.intset_entries { NewSet::table(maker) } else { NewSet::new() };
    for _ in 0..count {
        let added = match from.read_string()? {
            RdbString::Int(n) => set.add(Item::Int(n), maker),
            RdbString::Bytes(text) => set.add_text(text, maker),
        };
        if !added {
            return Err(from.corrupt("a member stands twice in its set"));
        }
    }
    Ok(set)
}

/// Checks a listpack: its form, and if it comes from anybody, that no member stands in it twice.
fn listpack(bytes: &[u8], vetting: Vetting) -> Result<(), &'static str> {
    // Walked even in files of our own: a damaged one must not stop the server much later.
    let lp = ListpackRef::validate(bytes, Depth::Deep).map_err(|_| "Set listpack integrity check failed.")?;
    if vetting == Vetting::Hostile {
        let mut seen = HashSet::with_capacity(lp.len());
        if !lp.iter().all(|member| seen.insert(member.to_vec())) {
            return Err("a member stands twice in its set");
        }
    }
    Ok(())
}

/// The set, or a table of it if it has more members than this configuration allows its encoding.
fn within(set: NewSet, most: u64, maker: &mut Maker<'_>) -> NewSet {
    if set.view().len() as u64 > most { NewSet::converted(set.view(), Encoding::Hashtable, maker) } else { set }
}
