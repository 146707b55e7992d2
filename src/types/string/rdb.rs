//! Strings in files: integers and compressed texts are the format's affair, so little is left to do.

use super::{BLOB_MAX, Spelling, StringRef, large_payload, payload};
use crate::cow::Epoch;
use crate::dict::Payload;
use crate::rdb::{RdbString, RdbWriter};
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

/// Hands the form in which a string from a file goes into an entry to `store`: as if a client had sent it.
pub(crate) fn with_loaded_payload<R>(
    text: RdbString,
    now: Epoch,
    store: impl FnOnce(Encoding, Payload<'_, Object>) -> R,
) -> R {
    match text {
        RdbString::Int(n) => store(Encoding::Int, Payload::Int(n)),
        RdbString::Bytes(large) if large.len() > BLOB_MAX => store(Encoding::Raw, large_payload(large.into(), now)),
        RdbString::Bytes(text) => {
            let (encoding, payload) = payload(&text, Spelling::Value, now);
            store(encoding, payload)
        }
    }
}
