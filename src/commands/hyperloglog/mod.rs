//! The group `hyperloglog`: estimates of how many distinct elements there were.
//!
//! A HyperLogLog is a string with a header ([`crate::collections::hyperloglog`]); anybody may GET and SET it, so every
//! command here looks at the header first. The dense form is changed in place, a register at a time; the sparse form,
//! which is short, is edited in a copy and stored again.
//!
//! | file | commands |
//! | --- | --- |
//! | `estimate.rs` | PFADD, PFCOUNT, PFMERGE |
//! | `inspect.rs` | PFDEBUG, PFSELFTEST |

mod estimate;
mod inspect;

use crate::collections::hyperloglog::{self, Corrupt, Form};
use crate::db::KeyEvent;
use crate::dict::Payload;
use crate::exec::error::CommandError;
use crate::exec::spec::CommandSpec;
use crate::types::contract::Encoding;
use crate::types::place::Place;
use crate::types::string::{BLOB_MAX, StringRef};

pub(super) static COMMANDS: &[&CommandSpec] =
    &[&estimate::PFADD, &estimate::PFCOUNT, &estimate::PFMERGE, &inspect::PFDEBUG, &inspect::PFSELFTEST];

const NOT_ONE: CommandError = CommandError::fixed("WRONGTYPE Key is not a valid HyperLogLog string value.");
const CORRUPT: CommandError = CommandError::fixed("INVALIDOBJ Corrupted HLL object detected");

impl From<Corrupt> for CommandError {
    fn from(_: Corrupt) -> CommandError {
        CORRUPT
    }
}

/// The bytes and the form of the HyperLogLog that a string holds.
fn read(value: StringRef<'_>) -> Result<(&[u8], Form), CommandError> {
    match value {
        StringRef::Bytes(text) => Ok((text, hyperloglog::form(text).ok_or(NOT_ONE)?)),
        StringRef::Int(_) => Err(NOT_ONE),
        StringRef::Rope(rope) => {
            // Longer than any that is well formed.
            debug_assert!(rope.len() > BLOB_MAX);
            let mut head = Vec::new();
            rope.read(0..hyperloglog::HEADER, &mut head);
            Err(if hyperloglog::form(&head) == Some(Form::Sparse) { CORRUPT } else { NOT_ONE })
        }
    }
}

/// Replaces the HyperLogLog of a key; counting the change is the caller's.
fn store(entry: &mut impl Place, text: &[u8]) {
    entry.store(Encoding::Raw, Payload::Bytes(text));
}

const PFADD_EVENT: KeyEvent = KeyEvent::string("pfadd");
