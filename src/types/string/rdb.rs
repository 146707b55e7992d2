//! Strings in files: integers and compressed texts are the format's affair, so little is left to do.

use super::{BLOB_MAX, Rope, RopeBuilder, Spelling, StringRef, payload, rope_payload};
use crate::cow::Epoch;
use crate::dict::Payload;
use crate::rdb::{RdbError, RdbReader, RdbString, RdbWriter};
use crate::types::contract::Encoding;
use crate::types::object::Object;
use std::io;

impl StringRef<'_> {
    /// Writes the value, without its opcode. A rope is never put together.
    pub fn save(self, out: &mut RdbWriter<'_>) -> io::Result<()> {
        match self {
            StringRef::Int(n) => out.write_integer(n),
            StringRef::Bytes(text) => out.write_string(text),
            StringRef::Rope(rope) => out.write_pieces(rope.len() as u64, || rope.slices(0..rope.len())),
        }
    }
}

/// A string that was read from a file and is not stored yet.
#[derive(Debug)]
pub enum NewString {
    /// Up to [`BLOB_MAX`] bytes.
    Text(RdbString),
    /// More. It was never in one piece, not even a compressed one, and its zeros take no memory.
    Long(Rope),
}

impl NewString {
    /// Reads a string.
    pub fn load(from: &mut RdbReader<'_>) -> Result<NewString, RdbError> {
        let mut long = RopeBuilder::default();
        Ok(match from.read_string_or_parts(BLOB_MAX as u64, &mut |part| long.push(part))? {
            Some(text) => NewString::Text(text),
            None => NewString::Long(long.finish()),
        })
    }

    /// The bytes of the string, a number as text.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            NewString::Text(text) => text.into_bytes(),
            NewString::Long(rope) => StringRef::Rope(&rope).to_vec(),
        }
    }

    /// Hands the form in which the string goes into an entry to `store`: as if a client had sent it.
    pub(crate) fn with_payload<R>(self, now: Epoch, store: impl FnOnce(Encoding, Payload<'_, Object>) -> R) -> R {
        match self {
            NewString::Text(RdbString::Int(n)) => store(Encoding::Int, Payload::Int(n)),
            NewString::Text(RdbString::Bytes(text)) => {
                let (encoding, payload) = payload(&text, Spelling::Value, now);
                store(encoding, payload)
            }
            NewString::Long(rope) => store(Encoding::Raw, rope_payload(rope, now)),
        }
    }
}
