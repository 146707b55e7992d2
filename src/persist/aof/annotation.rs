//! What is added to Redis's format: a line behind every group of writes that says whether the group is whole.
//!
//! ```text
//! #TS:1700000000\r\n                         Redis's own: the second in which what follows was executed
//! *3\r\n$3\r\nSET\r\n...                     a group: what was written at once
//! #GROUP:0:1234:9ae16a3b2f90404f\r\n         where it begins in this file, how long it is, and a checksum
//! ```
//!
//! Redis skips lines that begin with `#`, so its tools and servers read the file. A group is one or more whole commands
//! or transactions, with the time stamps among them; nothing is put between MULTI and EXEC.
//!
//! The checksum is the CRC-64 of RDB files, and it is a chain: over all bytes of the file up to this line, but for the
//! lines of this kind. So a group that stands at its place by its offset, but comes from another file or from an older
//! version of this one, is found out; and commands that somebody appended without such a line are covered by the next one.

use crate::collections::simd::crc64::crc64;
use crate::util::num::{parse_i64, parse_u64};
use std::fmt;
use std::io::Write;

/// How a line of groups begins.
pub(super) const GROUP: &[u8] = b"#GROUP:";

/// How a time stamp begins.
pub(super) const TIME: &[u8] = b"#TS:";

/// No line that begins with `#` is longer, its end included: Redis reads it into a buffer of 1,024 bytes.
pub(super) const LINE_BYTES_MAX: usize = 1023;

/// The longest line of a group.
pub(super) const GROUP_LINE_BYTES_MAX: usize = 7 + 20 + 1 + 20 + 1 + 16 + 2;

/// A group of more than one command or transaction is not longer than this: whoever reads has to hold it until its line
/// comes, and holds no more for files that have no such lines. Who has more to write makes several groups.
pub const GROUP_BYTES_MAX: usize = 8 << 20;

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Where the group begins in the file.
    pub offset: u64,
    /// Its bytes, without the line.
    pub len: u64,
    /// The checksum of the file up to its end.
    pub crc: u64,
}

impl Group {
    /// Reads a line, with its end.
    pub fn parse(line: &[u8]) -> Option<Group> {
        let mut fields = line.strip_suffix(b"\r\n")?.strip_prefix(GROUP)?.split(|&byte| byte == b':');
        let (offset, len, crc) = (fields.next()?, fields.next()?, fields.next()?);
        let lowercase = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        if fields.next().is_some() || crc.len() != 16 || !crc.iter().all(lowercase) {
            return None;
        }
        let crc = u64::from_str_radix(std::str::from_utf8(crc).ok()?, 16).ok()?;
        Some(Group { offset: parse_u64(offset)?, len: parse_u64(len)?, crc })
    }

    /// The line.
    pub fn line(&self) -> GroupLine {
        let mut line = GroupLine { bytes: [0; GROUP_LINE_BYTES_MAX], len: 0 };
        let mut room = &mut line.bytes[..];
        write!(room, "#GROUP:{}:{}:{:016x}\r\n", self.offset, self.len, self.crc).expect("the longest line has room");
        line.len = GROUP_LINE_BYTES_MAX - room.len();
        line
    }
}

/// Reads a time stamp: unix seconds.
pub(super) fn time_of(line: &[u8]) -> Option<i64> {
    parse_i64(line.strip_prefix(TIME)?.strip_suffix(b"\r\n")?)
}

/// The line behind a group.
#[derive(Clone, Copy)]
pub struct GroupLine {
    bytes: [u8; GROUP_LINE_BYTES_MAX],
    len: usize,
}

impl GroupLine {
    /// What is written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl fmt::Debug for GroupLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}

/// Makes the lines of a file, one group after the other. A copy remembers a place that one may have to come back to,
/// when a write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupWriter {
    /// Where the group that is being written begins.
    start: u64,
    offset: u64,
    crc: u64,
}

impl GroupWriter {
    /// For a file that goes on at `offset`. `crc` is that of what is in it ([`super::Ending::crc`]), 0 if it has no
    /// commands yet: what stands before them, an RDB file, has a checksum of its own.
    pub fn new(offset: u64, crc: u64) -> GroupWriter {
        GroupWriter { start: offset, offset, crc }
    }

    /// Where what comes next is written.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The checksum of the file up to here.
    pub fn crc(&self) -> u64 {
        self.crc
    }

    /// The line for a group of these bytes, which stand one after the other; it follows them.
    pub fn annotate<'a>(&mut self, slices: impl IntoIterator<Item = &'a [u8]>) -> GroupLine {
        slices.into_iter().for_each(|slice| self.extend(slice));
        self.line()
    }

    /// More bytes of a group.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.crc = crc64(self.crc, bytes);
        self.offset += bytes.len() as u64;
    }

    /// Ends the group: the line that follows it, unless it has no bytes.
    pub fn close(&mut self) -> Option<GroupLine> {
        (self.offset > self.start).then(|| self.line())
    }

    fn line(&mut self) -> GroupLine {
        let line = Group { offset: self.start, len: self.offset - self.start, crc: self.crc }.line();
        self.offset += line.as_bytes().len() as u64;
        self.start = self.offset;
        line
    }

    /// These bytes are written without a line: the next one covers them.
    pub fn plain<'a>(&mut self, slices: impl IntoIterator<Item = &'a [u8]>) {
        slices.into_iter().for_each(|slice| self.extend(slice));
        self.start = self.offset;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_chain() {
        let mut writer = GroupWriter::new(100, 0);
        let first = writer.annotate([&b"1234"[..], b"56789"]);
        assert_eq!(format!("{first:?}"), "#GROUP:100:9:e9c6d914c4b8d9ca\\r\\n");
        let next = 109 + first.as_bytes().len() as u64;
        assert_eq!((writer.offset(), writer.crc()), (next, 0xe9c6_d914_c4b8_d9ca));
        let remembered = writer;
        let second = writer.annotate([&b"x"[..]]);
        let group = Group::parse(second.as_bytes()).unwrap();
        assert_eq!(group, Group { offset: next, len: 1, crc: crc64(0, b"123456789x") });
        let mut writer = remembered;
        writer.extend(b"x");
        assert_eq!(writer.close().map(|line| line.as_bytes().to_vec()), Some(second.as_bytes().to_vec()));
        assert!(writer.close().is_none());
        let mut writer = remembered;
        writer.plain([&b"x"[..]]);
        let third = Group::parse(writer.annotate([]).as_bytes()).unwrap();
        assert_eq!(third, Group { offset: next + 1, len: 0, crc: group.crc });
    }

    #[test]
    fn the_longest_line() {
        let group = Group { offset: u64::MAX, len: u64::MAX, crc: u64::MAX };
        assert_eq!(group.line().as_bytes().len(), GROUP_LINE_BYTES_MAX);
        assert_eq!(Group::parse(group.line().as_bytes()), Some(group));
    }

    #[test]
    fn other_lines() {
        for line in [
            "#GROUP:1:2:0123456789abcde\r\n",
            "#GROUP:1:2:0123456789abcdef0\r\n",
            "#GROUP:1:2:0123456789ABCDEF\r\n",
            "#GROUP:1:2:+123456789abcdef\r\n",
            "#GROUP:01:2:0123456789abcdef\r\n",
            "#GROUP:-1:2:0123456789abcdef\r\n",
            "#GROUP:1::0123456789abcdef\r\n",
            "#GROUP:1:2:0123456789abcdef:\r\n",
            "#GROUP:1:2:0123456789abcdef\n",
            "#GROUP:1:99999999999999999999:0123456789abcdef\r\n",
            "#TS:1700000000\r\n",
        ] {
            assert_eq!(Group::parse(line.as_bytes()), None, "{line:?}");
        }
        assert_eq!(time_of(b"#TS:1700000000\r\n"), Some(1_700_000_000));
        assert_eq!(time_of(b"#TS:17x\r\n"), None);
        assert_eq!(time_of(b"#TS:17\n"), None);
    }
}
