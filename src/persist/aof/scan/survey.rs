//! What follows where a scan could not go on: zeros, or groups that are good.
//!
//! A group behind the damage is good if the line before it and its own fit together: the checksum goes from the one to
//! the other. Only lines count that stand where they say; a value that happens to contain such a line is passed over,
//! unless somebody made it for its very place. So these groups are a hint for whoever looks at the damage, and nothing
//! that a server loads by itself.

use super::*;
use crate::persist::aof::annotation::{GROUP, GROUP_LINE_BYTES_MAX};
use memchr::{memchr, memmem};

/// So few zeros at the end of a file that is cut off may belong to a value.
const ZEROS_MIN: u64 = 16;

impl<R: Read> Scanner<R> {
    /// Looks through the rest, from [`Scanner::pos`] on. The checksum is that of what the last group's line covers, or
    /// of what the damaged one says that it covers.
    pub(super) fn survey(&mut self) -> io::Result<()> {
        let mut at = self.pos.max(self.crc_to);
        // After the last byte that is not zero.
        let mut data_end = self.base;
        loop {
            let next = self.groups_in_chunk(&mut at);
            let chunk = &self.chunk[..next];
            if let Some(last) = chunk.iter().rposition(|&byte| byte != 0) {
                data_end = self.offset(last + 1);
            }
            if self.crc_to < next {
                self.crc = crc64(self.crc, &chunk[self.crc_to..]);
                self.crc_to = next;
            }
            if self.exhausted {
                break;
            }
            self.chunk.drain(..next);
            self.base += next as u64;
            self.crc_to -= next;
            at = at.saturating_sub(next);
            self.fill()?;
        }
        let zeros = self.total - data_end;
        self.ending.zeros = zeros;
        let in_the_middle = self.ending.in_the_middle();
        let fault = self.ending.fault.as_mut().expect("only a file with a fault is looked through");
        if in_the_middle && fault.kind == FaultKind::Truncated {
            // A length that leads beyond the end is damaged, if something good stands before the end.
            fault.kind = FaultKind::BadFormat;
        }
        let padded = match (fault.kind, fault.why) {
            (FaultKind::BadFormat, Why::Prefix { got: 0, .. }) => fault.at >= data_end,
            (FaultKind::BadFormat, Why::LineEnd { got: [_, 0] | [0, _] }) => zeros > 0,
            (FaultKind::Truncated, _) => zeros >= ZEROS_MIN,
            _ => false,
        };
        if padded && !in_the_middle {
            fault.kind = FaultKind::ZeroPadded;
        }
        Ok(())
    }

    /// Finds the lines of groups in the chunk from a place on, which moves. Says how much of the chunk is not needed any
    /// more.
    fn groups_in_chunk(&mut self, at: &mut usize) -> usize {
        while let Some(found) = memmem::find(&self.chunk[*at..], GROUP) {
            let start = *at + found;
            let rest = &self.chunk[start..];
            let end = memchr(b'\n', &rest[..rest.len().min(GROUP_LINE_BYTES_MAX)]);
            if end.is_none() && rest.len() < GROUP_LINE_BYTES_MAX && !self.exhausted {
                *at = start;
                return start;
            }
            *at = start + 1;
            let Some(group) = end.and_then(|end| Group::parse(&rest[..=end])) else { continue };
            if group.offset.checked_add(group.len) != Some(self.offset(start)) {
                continue;
            }
            *at = start + end.map_or(0, |end| end + 1);
            let line_end = self.offset(*at);
            if group.offset >= self.verified.0 && crc64(self.crc, &self.chunk[self.crc_to..start]) == group.crc {
                self.ending.groups_behind += 1;
                match self.ending.behind.last_mut() {
                    Some(last) if last.bytes.end == self.verified.0 => last.bytes.end = line_end,
                    _ => self.ending.behind.push(Behind { bytes: self.verified.0..line_end, crc: self.verified.1 }),
                }
            }
            (self.crc, self.crc_to, self.verified) = (group.crc, *at, (line_end, group.crc));
        }
        match self.exhausted {
            true => self.chunk.len(),
            false => self.chunk.len().saturating_sub(GROUP.len() - 1).max(*at),
        }
    }
}
