//! Writing the records of a file: header, AUX fields, databases, keys, the end.
//!
//! The order of calls is the order of the file, and is the caller's business:
//! `header`, `aux`..., `function`..., then per database `select_db`, `resize_db`, (`key_header`, value)...,
//! and at last `end`.

use std::io;

use super::access::Access;
use super::opcodes::*;
use super::writer::RdbWriter;

impl RdbWriter<'_> {
    /// The signature and the version.
    pub fn write_header(&mut self) -> io::Result<()> {
        let version = self.version();
        self.write_raw(format!("REDIS{version:04}").as_bytes())
    }

    /// A name and a value about the file as a whole.
    pub fn write_aux(&mut self, name: &[u8], value: &[u8]) -> io::Result<()> {
        self.write_u8(AUX)?;
        self.write_string(name)?;
        self.write_string(value)
    }

    /// The source text of a function library.
    pub fn write_function(&mut self, source: &[u8]) -> io::Result<()> {
        self.write_u8(FUNCTION2)?;
        self.write_string(source)
    }

    /// The following keys belong to this database.
    pub fn write_select_db(&mut self, index: u32) -> io::Result<()> {
        self.write_u8(SELECT_DB)?;
        self.write_len(u64::from(index))
    }

    /// A hint for the reader's tables.
    pub fn write_resize_db(&mut self, keys: u64, expiring: u64) -> io::Result<()> {
        self.write_u8(RESIZE_DB)?;
        self.write_len(keys)?;
        self.write_len(expiring)
    }

    /// Everything about a key but its value, which must follow in the layout that `kind` names.
    pub fn write_key_header(
        &mut self,
        kind: TypeOpcode,
        key: &[u8],
        expire_at_ms: Option<i64>,
        access: Access,
    ) -> io::Result<()> {
        debug_assert!(kind.since_version() <= self.version(), "{} in version {}", kind.name(), self.version());
        if let Some(ms) = expire_at_ms {
            self.write_u8(EXPIRE_MS)?;
            self.write_ms(ms)?;
        }
        match access {
            Access::Unknown => {}
            Access::IdleSeconds(seconds) => {
                self.write_u8(IDLE)?;
                self.write_len(seconds)?;
            }
            Access::Frequency(frequency) => {
                self.write_u8(FREQ)?;
                self.write_u8(frequency)?;
            }
        }
        self.write_type(kind)?;
        self.write_string(key)
    }

    /// The byte that says how the value is laid out; in a file, `write_key_header` does this.
    pub fn write_type(&mut self, kind: TypeOpcode) -> io::Result<()> {
        self.write_u8(kind.byte())
    }

    /// The end of the file with its checksum. Hands everything to the sink.
    pub fn write_end(&mut self) -> io::Result<()> {
        self.write_u8(EOF)?;
        let checksum = self.checksum();
        self.write_raw(&checksum.to_le_bytes())?;
        self.flush()
    }
}
