//! Lines that are no requests: time stamps, other comments, and the lines of groups, whole, damaged and wrong.

use super::*;
use crate::persist::aof::annotation::{LINE_BYTES_MAX, TIME, time_of};
use memchr::memchr;

/// A line that differs from what it should be in no more bytes than this is that line, damaged.
const DAMAGED_BYTES_MAX: usize = 2;

/// What [`Scanner::damaged_line`] found.
enum Damaged {
    /// It is that line, of so many bytes.
    Yes(usize),
    /// It cannot be told yet.
    More,
    /// It is something else.
    No,
}

impl<R: Read> Scanner<R> {
    /// A line that begins with `#`.
    pub(super) fn line(&mut self) -> Option<Stop> {
        let rest = &self.chunk[self.pos..];
        let len = memchr(b'\n', &rest[..rest.len().min(LINE_BYTES_MAX)]).map(|end| end + 1);
        let (is_time, group) = (rest.starts_with(TIME), len.and_then(|len| Group::parse(&rest[..len])));
        if let (Some(len), Some(group)) = (len, group)
            && self.is_right(group)
        {
            return self.group_done(len);
        }
        if !is_time {
            match self.damaged_line() {
                Damaged::Yes(len) => return self.group_done(len),
                Damaged::More => return Some(Stop::More),
                Damaged::No => {}
            }
        }
        let rest = &self.chunk[self.pos..];
        let Some(len) = len else {
            return match rest.len() < LINE_BYTES_MAX {
                true => Some(Stop::More),
                false => Some(self.fault(FaultKind::BadFormat, Why::LongLine)),
            };
        };
        if let Some(group) = group {
            return Some(self.wrong(group, len));
        }
        if let Some(seconds) = time_of(&rest[..len]) {
            self.frames.stamps.push(Stamp { offset: self.offset(self.pos), seconds });
        }
        self.pos += len;
        if !self.multi {
            self.boundary();
        }
        None
    }

    /// Something that begins neither a command nor another line: perhaps a group's line that is damaged.
    #[cold]
    pub(super) fn no_command(&mut self, why: Why) -> Option<Stop> {
        match self.damaged_line() {
            Damaged::Yes(len) => self.group_done(len),
            Damaged::More => Some(Stop::More),
            Damaged::No => Some(self.fault(FaultKind::BadFormat, why)),
        }
    }

    fn fault(&self, kind: FaultKind, why: Why) -> Stop {
        Stop::Fault(Fault { kind, at: self.offset(self.pos), why })
    }

    /// The checksum up to here.
    pub(super) fn crc_here(&mut self) -> u64 {
        self.crc = crc64(self.crc, &self.chunk[self.crc_to..self.pos]);
        self.crc_to = self.pos;
        self.crc
    }

    /// Whether the line of this group belongs here. Commands without a line may stand before the group.
    fn is_right(&mut self, group: Group) -> bool {
        !self.multi && self.is_placed(group) && self.crc_here() == group.crc
    }

    fn is_placed(&self, group: Group) -> bool {
        let here = self.offset(self.pos);
        group.offset >= self.verified.0 && group.offset.checked_add(group.len) == Some(here)
    }

    /// Compares what stands here with the line that the group since the last line should have.
    fn damaged_line(&mut self) -> Damaged {
        let here = self.offset(self.pos);
        if self.multi || here == self.verified.0 {
            return Damaged::No;
        }
        let group = Group { offset: self.verified.0, len: here - self.verified.0, crc: self.crc_here() };
        let (line, rest) = (group.line(), &self.chunk[self.pos..]);
        let line = line.as_bytes();
        if rest.len() < line.len() {
            return if self.exhausted { Damaged::No } else { Damaged::More };
        }
        if line.iter().zip(rest).filter(|(a, b)| a != b).count() > DAMAGED_BYTES_MAX {
            return Damaged::No;
        }
        self.ending.damaged_lines.get_or_insert((0, here)).0 += 1;
        Damaged::Yes(line.len())
    }

    /// The line of a group, of so many bytes, that does not belong here.
    fn wrong(&self, group: Group, line: usize) -> Stop {
        if self.multi {
            return self.fault(FaultKind::BadFormat, Why::GroupInMulti);
        }
        let kind = if self.is_placed(group) { FaultKind::BadChecksum } else { FaultKind::WrongPlace };
        let why = Why::Group { offset: group.offset, len: group.len };
        Stop::Group(Fault { kind, at: self.offset(self.pos), why }, group, line)
    }

    /// A group is whole, and its line has so many bytes.
    fn group_done(&mut self, len: usize) -> Option<Stop> {
        self.pos += len;
        self.crc_to = self.pos;
        self.verified = (self.offset(self.pos), self.crc);
        self.ending.groups += 1;
        self.units = 0;
        self.foreign = false;
        self.holding = true;
        self.boundary();
        self.take(self.whole, true);
        None
    }
}
