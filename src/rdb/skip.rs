//! Passing over values of any type, and checking that they are laid out as their type says.
//!
//! This is what lets the checker vouch for files with types that this server does not hold, and lets the loader
//! drop an expired key without building it. Values inside of strings (listpacks, ziplists, ...) are checked by
//! `blobs.rs`.

use std::fmt;

use super::blobs;
use super::error::{RdbError, Why};
use super::opcodes::*;
use super::reader::RdbReader;

/// The identity of a module type: nine characters and ten bits of version in one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleId(pub u64);

impl fmt::Display for ModuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        for place in (0..9).rev() {
            let letter = LETTERS[(self.0 >> (10 + 6 * place)) as usize & 63];
            write!(f, "{}", char::from(letter))?;
        }
        Ok(())
    }
}

/// Reads module data that belongs to no key.
pub(super) fn module_aux(from: &mut RdbReader<'_>) -> Result<ModuleId, RdbError> {
    let module = ModuleId(from.read_len()?);
    let at = from.offset();
    if from.read_len()? != MODULE_UINT {
        return Err(from.error_at(at, Why::Corrupt("bad when_opcode in module aux data")));
    }
    from.read_len()?;
    module_data(from)?;
    Ok(module)
}

fn module_data(from: &mut RdbReader<'_>) -> Result<(), RdbError> {
    loop {
        let at = from.offset();
        match from.read_len()? {
            MODULE_EOF => return Ok(()),
            MODULE_SINT | MODULE_UINT => drop(from.read_len()?),
            MODULE_FLOAT => from.skip_bytes(4)?,
            MODULE_DOUBLE => from.skip_bytes(8)?,
            MODULE_STRING => from.skip_string()?,
            _ => return Err(from.error_at(at, Why::Corrupt("unknown opcode in module data"))),
        }
    }
}

impl RdbReader<'_> {
    /// Checks the layout of a value and passes over it.
    pub fn skip_value(&mut self, kind: TypeOpcode) -> Result<SkippedValue, RdbError> {
        use TypeOpcode as T;
        let mut skipped = SkippedValue::default();
        match kind {
            T::String => self.skip_string()?,
            T::List | T::Set => self.skip_strings(1)?,
            T::Hash => self.skip_strings(2)?,
            T::ZsetText => {
                for _ in 0..self.read_count()? {
                    self.skip_string()?;
                    self.read_f64_text()?;
                }
            }
            T::Zset2 => {
                for _ in 0..self.read_count()? {
                    self.skip_string()?;
                    let at = self.offset();
                    if self.read_f64()?.is_nan() {
                        return Err(self.error_at(at, Why::Corrupt("Zset with NAN score detected")));
                    }
                }
            }
            T::ModulePreGa => return Err(self.error(Why::UnsupportedType(kind))),
            T::Module2 => {
                self.read_len()?;
                module_data(self)?;
            }
            T::HashZipmap => self.skip_blob(blobs::zipmap)?,
            T::ListZiplist => self.skip_blob(|b| blobs::ziplist(b, 1))?,
            T::ZsetZiplist | T::HashZiplist => self.skip_blob(|b| blobs::ziplist(b, 2))?,
            T::SetIntset => self.skip_blob(blobs::intset)?,
            T::SetListpack => self.skip_blob(|b| blobs::listpack(b, 1))?,
            T::HashListpack | T::ZsetListpack => self.skip_blob(|b| blobs::listpack(b, 2))?,
            T::ListQuicklist => {
                for _ in 0..self.read_count()? {
                    self.skip_blob(|b| blobs::ziplist(b, 1))?;
                }
            }
            T::ListQuicklist2 => self.skip_quicklist()?,
            T::StreamListpacks => self.skip_stream(1)?,
            T::StreamListpacks2 => self.skip_stream(2)?,
            T::StreamListpacks3 => self.skip_stream(3)?,
            T::HashMetadata | T::HashMetadataPreGa => {
                if kind == T::HashMetadata {
                    self.read_ms()?;
                }
                for _ in 0..self.read_count()? {
                    skipped.field_expiries += u64::from(self.read_len()? != 0);
                    self.skip_string()?;
                    self.skip_string()?;
                }
            }
            T::HashValkey => {
                for _ in 0..self.read_count()? {
                    self.skip_string()?;
                    self.skip_string()?;
                    skipped.field_expiries += u64::from(self.read_ms()? != VALKEY_NO_EXPIRY);
                }
            }
            T::HashListpackEx | T::HashListpackExPreGa => {
                if kind == T::HashListpackEx {
                    self.read_ms()?;
                }
                self.skip_blob(|b| blobs::listpack_with_expiries(b, &mut skipped.field_expiries))?;
            }
        }
        Ok(skipped)
    }

    fn skip_strings(&mut self, per_item: u32) -> Result<(), RdbError> {
        for _ in 0..self.read_count()? {
            for _ in 0..per_item {
                self.skip_string()?;
            }
        }
        Ok(())
    }

    fn skip_blob(&mut self, check: impl FnOnce(&[u8]) -> Result<(), &'static str>) -> Result<(), RdbError> {
        let at = self.offset();
        let blob = self.read_bytes()?;
        check(&blob).map_err(|what| self.error_at(at, Why::Corrupt(what)))
    }

    fn skip_quicklist(&mut self) -> Result<(), RdbError> {
        const PLAIN: u64 = 1;
        const PACKED: u64 = 2;
        for _ in 0..self.read_count()? {
            let at = self.offset();
            match self.read_len()? {
                PLAIN => self.skip_string()?,
                PACKED => self.skip_blob(|b| blobs::listpack(b, 1))?,
                _ => return Err(self.error_at(at, Why::Corrupt("Quicklist node of unknown container"))),
            }
        }
        Ok(())
    }

    /// A stream in one of its three layouts: the second added ids and counters, the third a time per consumer.
    fn skip_stream(&mut self, layout: u32) -> Result<(), RdbError> {
        const ID_BYTES: u64 = 16;
        for _ in 0..self.read_count()? {
            let at = self.offset();
            if self.read_bytes()?.len() as u64 != ID_BYTES {
                return Err(self.error_at(at, Why::Corrupt("Stream node key entry is not the size of a stream ID")));
            }
            self.skip_blob(|b| blobs::listpack(b, 1))?;
        }
        self.skip_lens(3)?; // number of entries, last id
        if layout >= 2 {
            self.skip_lens(5)?; // first id, greatest deleted id, entries ever added
        }
        for _ in 0..self.read_count()? {
            self.skip_string()?; // group name
            self.skip_lens(2)?; // last delivered id
            if layout >= 2 {
                self.skip_lens(1)?; // entries read
            }
            for _ in 0..self.read_count()? {
                self.skip_bytes(ID_BYTES)?;
                self.read_ms()?; // delivery time
                self.read_len()?; // delivery count
            }
            for _ in 0..self.read_count()? {
                self.skip_string()?; // consumer name
                self.read_ms()?; // seen
                if layout >= 3 {
                    self.read_ms()?; // active
                }
                for _ in 0..self.read_count()? {
                    self.skip_bytes(ID_BYTES)?;
                }
            }
        }
        Ok(())
    }

    fn skip_lens(&mut self, count: u32) -> Result<(), RdbError> {
        for _ in 0..count {
            self.read_len()?;
        }
        Ok(())
    }
}

/// What was noticed about a value in passing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SkippedValue {
    /// Fields of a hash that have an expiry of their own.
    pub field_expiries: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_names_are_spelled_out() {
        assert_eq!(ModuleId(0).to_string(), "AAAAAAAAA");
        let mut id = 0u64;
        for letter in b"hllll_typ".map(|c| match c {
            b'a'..=b'z' => u64::from(c - b'a') + 26,
            _ => 63,
        }) {
            id = id << 6 | letter;
        }
        assert_eq!(ModuleId(id << 10 | 1).to_string(), "hllll_typ");
    }

    #[test]
    fn module_data_is_followed_by_its_opcodes() {
        let data = [5, 2, 1, 1, 7, 2, 9, 3, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 5, 1, b'x', 0];
        let mut from = RdbReader::from_bytes(&data);
        assert_eq!(module_aux(&mut from), Ok(ModuleId(5)));
        assert!(from.at_end().unwrap());
        for at in 0..data.len() {
            assert!(module_aux(&mut RdbReader::from_bytes(&data[..at])).is_err());
        }
        assert!(module_aux(&mut RdbReader::from_bytes(&[5, 1, 1, 0])).is_err());
        assert!(module_aux(&mut RdbReader::from_bytes(&[5, 2, 1, 6, 0])).is_err());
    }

    #[test]
    fn plain_collections() {
        let skip = |kind, bytes: &[u8]| {
            let mut from = RdbReader::from_bytes(bytes);
            from.skip_value(kind).map(|_| from.at_end().unwrap())
        };
        assert_eq!(skip(TypeOpcode::List, b"\x02\x01a\xc0\x05"), Ok(true));
        assert_eq!(skip(TypeOpcode::Hash, b"\x01\x01a\x01b"), Ok(true));
        assert!(skip(TypeOpcode::Hash, b"\x01\x01a").is_err());
        assert_eq!(skip(TypeOpcode::HashValkey, b"\x01\x01a\x01b\0\0\0\0\0\0\0\0"), Ok(true));
        assert!(skip(TypeOpcode::HashValkey, b"\x01\x01a\x01b\0\0\0\0\0\0\0").is_err());
        assert_eq!(skip(TypeOpcode::ZsetText, b"\x01\x01a\x031.5"), Ok(true));
        assert_eq!(skip(TypeOpcode::Zset2, b"\x01\x01a\0\0\0\0\0\0\xf0\x3f"), Ok(true));
        assert!(skip(TypeOpcode::Zset2, b"\x01\x01a\0\0\0\0\0\0\xf8\x7f").is_err());
        assert!(skip(TypeOpcode::ModulePreGa, b"\0\0").is_err());
        assert!(skip(TypeOpcode::ListQuicklist2, b"\x01\x03\x01a").is_err());
        assert_eq!(skip(TypeOpcode::ListQuicklist2, b"\x01\x01\x01a"), Ok(true));
    }
}
