//! What can be wrong with RDB bytes, and where.
//!
//! An error names the offset, the section of the file that was being read and, inside a value, the key and its
//! type: that is what somebody who stares at a server that will not start needs to find the damage. The text
//! begins as Redis's own does, because people and tools search logs for it.

use std::fmt;
use std::io;

use super::opcodes::TypeOpcode;
use crate::util::lzf::LzfError;

/// A part of an RDB file or payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The signature and version at the start.
    Header,
    /// The byte that says which record follows.
    Opcode,
    /// An AUX field.
    Aux,
    /// A SELECTDB record.
    SelectDb,
    /// A RESIZEDB record.
    ResizeDb,
    /// A SLOT_INFO record.
    SlotInfo,
    /// The expiry of the next key.
    Expiry,
    /// The idle time or access frequency of the next key.
    Access,
    /// A function library.
    Function,
    /// Module data outside of keys.
    ModuleAux,
    /// The name of a key whose value has this type.
    Key(TypeOpcode),
    /// A value of this type.
    Value(TypeOpcode),
    /// The checksum at the end.
    Checksum,
    /// The version and checksum at the end of a DUMP payload.
    Footer,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Section::Header => f.write_str("header"),
            Section::Opcode => f.write_str("record type"),
            Section::Aux => f.write_str("AUX field"),
            Section::SelectDb => f.write_str("SELECTDB"),
            Section::ResizeDb => f.write_str("RESIZEDB"),
            Section::SlotInfo => f.write_str("SLOT_INFO"),
            Section::Expiry => f.write_str("key expiry"),
            Section::Access => f.write_str("key access data"),
            Section::Function => f.write_str("function library"),
            Section::ModuleAux => f.write_str("module aux data"),
            Section::Key(kind) => write!(f, "key name (type {} {})", kind.byte(), kind.name()),
            Section::Value(kind) => write!(f, "value (type {} {})", kind.byte(), kind.name()),
            Section::Checksum => f.write_str("checksum"),
            Section::Footer => f.write_str("payload footer"),
        }
    }
}

/// The reason of an [`RdbError`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The operating system could not give the bytes.
    Io(io::ErrorKind, String),
    /// The input ends too early.
    UnexpectedEof,
    /// The input does not begin as an RDB file.
    WrongSignature,
    /// A version that this reader does not know.
    Version(u32),
    /// A version of Valkey's format that this reader does not know.
    ValkeyVersion(u32),
    /// A byte that opens no known record.
    UnknownOpcode(u8),
    /// A byte that is not the beginning of a length.
    LengthEncoding(u8),
    /// A length stands where only a string can, or the other way round.
    NotALength,
    /// A special string encoding that does not exist.
    StringEncoding(u8),
    /// A string longer than a value may be.
    StringTooLong(u64),
    /// More items than the rest of the input has bytes.
    CountTooLarge(u64),
    /// A compressed string cannot be decompressed.
    Lzf(LzfError),
    /// The checksum differs: what the file says, what its bytes give.
    Checksum {
        /// The checksum in the file.
        expected: u64,
        /// The checksum of the bytes read.
        actual: u64,
    },
    /// A well-formed value of a type that this server does not hold (yet).
    UnsupportedType(TypeOpcode),
    /// A well-formed record of a kind that this server cannot make anything of.
    Unsupported(&'static str),
    /// The key was there before, in the same database.
    DuplicateKey,
    /// A value without elements, which no key can have. It was read to its end: a file can be read on.
    EmptyValue,
    /// Bytes that cannot mean anything.
    Corrupt(&'static str),
    /// The receiver of the data refused it, in its own words.
    Refused(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Io(_, text) => write!(f, "read error: {text}"),
            Why::UnexpectedEof => f.write_str("Unexpected EOF reading RDB file"),
            Why::WrongSignature => f.write_str("Wrong signature trying to load DB from file"),
            Why::Version(version) => write!(f, "Can't handle RDB format version {version}"),
            Why::ValkeyVersion(version) => write!(f, "Can't handle Valkey's RDB format version {version}"),
            Why::UnknownOpcode(byte) => write!(f, "Invalid object type: {byte}"),
            Why::LengthEncoding(byte) => write!(f, "Unknown length encoding {byte}"),
            Why::NotALength => f.write_str("a specially encoded string where a length belongs"),
            Why::StringEncoding(encoding) => write!(f, "Unknown RDB string encoding type {encoding}"),
            Why::StringTooLong(len) => write!(f, "a string of {len} bytes is longer than the limit"),
            Why::CountTooLarge(count) => write!(f, "{count} items announced, more than bytes are left"),
            Why::Lzf(LzfError::Truncated) => f.write_str("Invalid LZF compressed string: truncated"),
            Why::Lzf(LzfError::OffsetTooFar) => f.write_str("Invalid LZF compressed string: offset too far"),
            Why::Lzf(LzfError::WrongLength) => f.write_str("Invalid LZF compressed string: wrong length"),
            Why::Checksum { expected, actual } => {
                write!(f, "RDB CRC error: checksum is {expected:016x} in the file but {actual:016x} in fact")
            }
            Why::UnsupportedType(kind) => {
                write!(f, "values of type {} ({}) are not supported", kind.byte(), kind.name())
            }
            Why::Unsupported(what) => write!(f, "not supported: {what}"),
            Why::EmptyValue => f.write_str("a value without elements"),
            Why::DuplicateKey => f.write_str("RDB has duplicated key"),
            Why::Corrupt(what) => f.write_str(what),
            Why::Refused(what) => f.write_str(what),
        }
    }
}

/// A fault in RDB bytes: where, in what, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RdbError {
    /// Bytes from the start of the file to the fault (or to the end, when the input ends too early).
    pub offset: u64,
    /// What was being read.
    pub section: Section,
    /// The key that was being read, once its name is known.
    pub key: Option<Vec<u8>>,
    /// What is wrong.
    pub why: Why,
}

impl RdbError {
    /// The same error, naming the key it happened in.
    pub fn in_key(mut self, key: &[u8]) -> RdbError {
        if matches!(self.section, Section::Value(_)) {
            self.key.get_or_insert_with(|| key.to_vec());
        }
        self
    }
}

impl fmt::Display for RdbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Internal error in RDB reading offset {}, {}", self.offset, self.section)?;
        if let Some(key) = &self.key {
            write!(f, " of key '{}'", Printable(key))?;
        }
        write!(f, " -> {}", self.why)
    }
}

impl std::error::Error for RdbError {}

/// Bytes of a key or an AUX field in a log line: escaped where they are no plain text, cut when long.
pub struct Printable<'a>(pub &'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_MAX: usize = 512;
        let shown = &self.0[..self.0.len().min(SHOWN_MAX)];
        write!(f, "{}", shown.escape_ascii())?;
        if shown.len() < self.0.len() {
            write!(f, "... ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}
