//! Checking bytes from outside.

use super::{DELETED, PIECES_MIN, SAME_FIELDS};
use crate::collections::listpack::{Depth, HEADER, ListpackRef};
use crate::types::stream::id::StreamId;

/// What [`check`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checked {
    /// Live entries.
    pub live: u64,
    /// The highest id, be its entry deleted or not.
    pub last_id: StreamId,
}

/// Checks bytes from outside to the last one: a listpack, with this structure, whose ids rise and whose counts are true.
pub fn check(id: StreamId, bytes: &[u8]) -> Result<Checked, &'static str> {
    const WRONG: &str = "Stream listpack integrity check failed.";
    let bytes = ListpackRef::validate(bytes, Depth::Deep).map_err(|_| WRONG)?;
    if bytes.is_empty() {
        return Err("Empty listpack inside stream");
    }
    let mut walk = Walk { bytes, at: HEADER };
    let (live, deleted, fields) = (walk.int()?, walk.int()?, walk.int()?);
    if live < 0 || deleted < 0 {
        return Err(WRONG);
    }
    walk.skip(fields)?;
    if walk.int()? != 0 {
        return Err(WRONG);
    }
    let (mut alive, mut dead, mut last) = (0, 0, None);
    while walk.at < bytes.end() {
        let (flags, ms, seq) = (walk.int()?, walk.int()?, walk.int()?);
        let entry = id.offset(ms, seq);
        // The first entry may have been deleted, but then it is still there.
        if entry < id || last.is_some_and(|last| entry <= last) {
            return Err("Stream listpack with ids out of order");
        }
        last = Some(entry);
        let pieces = if flags & SAME_FIELDS != 0 {
            walk.skip(fields)?;
            PIECES_MIN + fields
        } else {
            let own = walk.int()?;
            let twice = own.checked_mul(2).ok_or(WRONG)?;
            walk.skip(twice)?;
            PIECES_MIN + 1 + twice
        };
        if walk.int()? != pieces {
            return Err(WRONG);
        }
        *(if flags & DELETED != 0 { &mut dead } else { &mut alive }) += 1;
    }
    let last_id = last.ok_or(WRONG)?;
    if (alive, dead) != (live, deleted) {
        return Err(WRONG);
    }
    Ok(Checked { live: live as u64, last_id })
}

/// A walk over a valid listpack that may end anywhere.
struct Walk<'a> {
    bytes: ListpackRef<'a>,
    at: usize,
}

const SHORT: &str = "Stream listpack integrity check failed.";

impl Walk<'_> {
    fn int(&mut self) -> Result<i64, &'static str> {
        if self.at >= self.bytes.end() {
            return Err(SHORT);
        }
        let (item, behind) = self.bytes.read(self.at);
        self.at = behind;
        item.as_i64().ok_or(SHORT)
    }

    fn skip(&mut self, count: i64) -> Result<(), &'static str> {
        if count < 0 {
            return Err(SHORT);
        }
        for _ in 0..count {
            if self.at >= self.bytes.end() {
                return Err(SHORT);
            }
            self.at = self.bytes.behind(self.at);
        }
        Ok(())
    }
}
