//! The group `bitmap`: strings as arrays of bits.
//!
//! There is no type of its own behind it: bit 0 is the highest bit of a string's first byte. A string of half a gigabyte
//! lies in pieces of 8 KiB ([`crate::collections::rope`]), and nothing here puts them together: what reads walks over
//! them, what writes touches those that it changes.
//!
//! | file | commands |
//! | --- | --- |
//! | `single.rs` | GETBIT, SETBIT |
//! | `count.rs` | BITCOUNT, BITPOS |
//! | `combine.rs` | BITOP |
//! | `field.rs` | BITFIELD, BITFIELD_RO |

mod combine;
mod count;
mod field;
mod single;

use crate::config::Config;
use crate::db::{KeyEvent, Occupied};
use crate::exec::error::CommandError;
use crate::exec::spec::CommandSpec;
use crate::types::contract::Encoding;
use crate::types::place::Place;
use crate::types::string::{Flat, StringRef};
use crate::util::num;

pub(super) static COMMANDS: &[&CommandSpec] = &[
    &single::GETBIT,
    &single::SETBIT,
    &count::BITCOUNT,
    &count::BITPOS,
    &combine::BITOP,
    &field::BITFIELD,
    &field::BITFIELD_RO,
];

const BAD_OFFSET: CommandError = CommandError::fixed("ERR bit offset is not an integer or out of range");

/// The offset of a bit: within the longest string allowed. `#` before it counts in units of `width` bits.
fn bit_offset(text: &[u8], config: &Config, width: Option<u32>) -> Result<u64, CommandError> {
    let (text, unit) = match (text, width) {
        ([b'#', rest @ ..], Some(width)) => (rest, u64::from(width)),
        _ => (text, 1),
    };
    let count = num::parse_i64(text).and_then(|n| u64::try_from(n).ok());
    let offset = count.and_then(|n| n.checked_mul(unit));
    offset.filter(|offset| offset / 8 < config.limits.proto_max_bulk_len).ok_or(BAD_OFFSET)
}

/// Copies what the string has at `at` into `into`; beyond the end there are zero bytes.
fn read_at<const N: usize>(value: StringRef<'_>, at: u64) -> [u8; N] {
    let mut into = [0; N];
    let Some(at) = usize::try_from(at).ok().filter(|at| *at < value.len()) else { return into };
    let range = at..value.len().min(at + N);
    match value {
        StringRef::Rope(rope) => {
            let mut to = 0;
            for slice in rope.slices(range) {
                into[to..to + slice.len()].copy_from_slice(slice);
                to += slice.len();
            }
        }
        flat => into[..range.len()].copy_from_slice(&flat.flat(&mut Flat::default())[range]),
    }
    into
}

/// A string that was to be written is kept as plain bytes from then on, even when nothing in it changes.
fn keep_raw(entry: &mut Occupied<'_>) {
    if entry.encoding() == Encoding::Raw {
        return;
    }
    match entry.string() {
        Ok(StringRef::Int(n)) => {
            let text = itoa::Buffer::new().format(n).as_bytes().to_vec();
            entry.store(Encoding::Raw, crate::dict::Payload::Bytes(&text));
        }
        Ok(_) => entry.set_encoding(Encoding::Raw),
        Err(_) => {}
    }
}

const SETBIT_EVENT: KeyEvent = KeyEvent::string("setbit");
