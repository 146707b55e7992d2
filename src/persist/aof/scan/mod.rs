//! Reading a file of the append-only log: whole commands and transactions in batches, and at last how it ended.
//!
//! ```text
//!  chunk   | given out |  whole groups, whole commands  | group without its line yet | half a command |
//!          0          taken                          verified                      whole           pos
//! ```
//!
//! A chunk is a megabyte, or as much as a group or transaction needs. What can be given out of it is given out as slices,
//! with the places of all arguments: nothing is copied but the rest, which begins the next chunk.
//!
//! # What waits for its checksum
//!
//! Where groups have lines behind them ([`super::annotation`]), their commands are given out when the line was found and
//! is right. Commands without a line have to be given out, too: Redis writes none. So whatever is longer than a group can
//! be ([`GROUP_BYTES_MAX`]) is none, and from there on nothing waits, until a line comes again.
//!
//! # The end
//!
//! A file is read up to the first thing that does not fit. What may be kept then depends on who wrote it:
//!
//! * A group without its line is not known to be whole, even those of its commands that are. The server that wrote it
//!   did not survive it, and nobody was told that it is safe. It is not given out.
//! * Commands without lines behind groups may be Redis's, which was started on our file. They are given out if they begin
//!   as Redis begins, with SELECT; or if nothing is wrong with them.
//! * A file without any line is read as Redis reads it: up to the last whole command or transaction.
//!
//! A line that is damaged in one or two bytes is still told from what it should be, and its checksum is still one.
//!
//! Then the rest is looked through: for zeros, and for lines of later groups. Those that are right say that the damage is
//! none of the tail.

mod batch;
mod frame;
mod survey;

pub use batch::{Batch, Command, Ending, Fault, FaultKind, Stamp, Why};

use super::annotation::{self, GROUP_BYTES_MAX, Group, LINE_BYTES_MAX, TIME};
use crate::collections::simd::crc64::crc64;
use batch::{Framed, Frames};
use bytes::Bytes;
use frame::{Header, cut_header, header};
use memchr::memchr;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;

/// How much at once.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    /// Is read.
    read: usize,
    /// Ends a batch.
    batch: usize,
    /// A group can be, unless it is one command or transaction.
    group: usize,
}

const SIZES: Sizes = Sizes { read: 1 << 20, batch: 256 << 10, group: GROUP_BYTES_MAX };

/// A line that differs from what it should be in no more bytes than this is that line, damaged.
const DAMAGED_BYTES_MAX: usize = 2;

/// What a scan came to.
#[derive(Debug)]
pub enum Step {
    /// These can be executed.
    Batch(Batch),
    /// That was all. From here on it is the same again and again.
    End(Ending),
}

/// A place between commands: bytes, commands and time stamps before it in the chunk.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    at: usize,
    commands: usize,
    stamps: usize,
}

/// A batch of the chunk that is still being read.
#[derive(Debug)]
struct Cut {
    from: Mark,
    to: Mark,
    /// The checksum at its end, if that is a verified one.
    crc: Option<u64>,
}

/// See the module's header.
pub struct Scanner<R> {
    sizes: Sizes,
    source: R,
    /// Where the file ends.
    total: u64,
    /// Nothing can be read any more.
    exhausted: bool,
    chunk: Vec<u8>,
    /// Where the chunk begins in the file.
    base: u64,
    frames: Frames,
    /// Everything before was understood.
    pos: usize,
    /// Of the command at `pos`.
    args_left: i64,
    multi: bool,
    /// The end of the last whole command, transaction or line.
    whole: Mark,
    /// The end of the last cut.
    taken: Mark,
    cuts: Vec<Cut>,
    ready: VecDeque<Batch>,
    /// The checksum, and up to which place of the chunk.
    crc: u64,
    crc_to: usize,
    /// The checksum where the chunk begins.
    base_crc: u64,
    /// The end of the last group in the file, and the checksum there.
    verified: (u64, u64),
    /// Whether commands wait for the line of their group.
    holding: bool,
    /// Commands and transactions since the last line.
    units: u64,
    /// Commands since the last line that begin as Redis begins.
    foreign: bool,
    ending: Ending,
    ended: bool,
}

/// Why the parser stopped.
enum Stop {
    /// It needs more bytes.
    More,
    Fault(Fault),
    /// The line of a group, of so many bytes, is well-formed and wrong.
    Group(Fault, Group, usize),
}

impl<R: Read> Scanner<R> {
    /// Scans a file of `total` bytes; `source` stands at `offset`, where the first command begins.
    pub fn new(source: R, offset: u64, total: u64) -> Scanner<R> {
        Scanner::with_sizes(source, offset, total, SIZES)
    }

    fn with_sizes(source: R, offset: u64, total: u64, sizes: Sizes) -> Scanner<R> {
        Scanner {
            sizes,
            source,
            total,
            exhausted: false,
            chunk: Vec::new(),
            base: offset,
            frames: Frames::default(),
            pos: 0,
            args_left: 0,
            multi: false,
            whole: Mark::default(),
            taken: Mark::default(),
            cuts: Vec::new(),
            ready: VecDeque::new(),
            crc: 0,
            crc_to: 0,
            base_crc: 0,
            verified: (offset, 0),
            holding: true,
            units: 0,
            foreign: false,
            ending: Ending {
                total,
                delivered_to: offset,
                verified_to: offset,
                good_to: offset,
                line: 1,
                ..Ending::default()
            },
            ended: false,
        }
    }

    /// The next batch, or the end.
    pub fn step(&mut self) -> io::Result<Step> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Step::Batch(batch));
            }
            if self.ended {
                return Ok(Step::End(self.ending.clone()));
            }
            match self.parse() {
                Stop::More if !self.exhausted => {
                    if !self.holding {
                        self.take(self.whole, false);
                    }
                    self.give_out();
                    self.fill()?;
                }
                Stop::More => match self.cut_off() {
                    None => self.end(None, None)?,
                    Some(fault) => self.end(Some(fault), None)?,
                },
                Stop::Fault(fault) => self.end(Some(fault), None)?,
                Stop::Group(fault, group, line) => self.end(Some(fault), Some((group, line)))?,
            }
        }
    }

    fn offset(&self, at: usize) -> u64 {
        self.base + at as u64
    }

    /// Reads on.
    fn fill(&mut self) -> io::Result<()> {
        let left = self.total.saturating_sub(self.offset(self.chunk.len()));
        let want = left.min(self.sizes.read as u64);
        self.chunk.reserve(want as usize);
        let got = (&mut self.source).take(want).read_to_end(&mut self.chunk)? as u64;
        if got < want {
            self.total = self.offset(self.chunk.len()); // somebody has made it shorter
        }
        self.exhausted = self.offset(self.chunk.len()) >= self.total;
        Ok(())
    }

    /// Goes through the chunk as far as it can be understood.
    fn parse(&mut self) -> Stop {
        loop {
            if self.args_left == 0 {
                match self.begin() {
                    None => {}
                    Some(stop) => return stop,
                }
            } else if let Some(stop) = self.args() {
                return stop;
            }
        }
    }

    /// At the beginning of a command or of another line.
    #[inline]
    fn begin(&mut self) -> Option<Stop> {
        match header(&self.chunk[self.pos..], b'*') {
            Header::Done(count, len) => {
                if !(1..=i64::from(i32::MAX)).contains(&count) {
                    return self.no_command(Why::Count(count));
                }
                self.frames.commands.push(Framed { at: self.pos, spans: self.frames.spans.len() });
                self.args_left = count;
                self.pos += len;
                self.ending.line += 1;
                None
            }
            Header::More => Some(Stop::More),
            Header::Bad(Why::Prefix { got: b'#', .. }) => self.line(),
            Header::Bad(why) => self.no_command(why),
        }
    }

    /// The arguments of a command, as many as are there.
    #[inline]
    fn args(&mut self) -> Option<Stop> {
        let chunk = &self.chunk[..];
        while self.args_left > 0 {
            let bad = |at: usize, kind, why| Some(Stop::Fault(Fault { kind, at: self.base + at as u64, why }));
            let (len, start) = match header(&chunk[self.pos..], b'$') {
                Header::Done(len, header) => (len, self.pos + header),
                Header::More => return Some(Stop::More),
                Header::Bad(why) => return bad(self.pos, FaultKind::BadFormat, why),
            };
            let Ok(len) = u64::try_from(len) else { return bad(self.pos, FaultKind::BadFormat, Why::Length(len)) };
            let (expected, left) = (len.saturating_add(2), self.total - (self.base + start as u64));
            if expected > left {
                // No need to read what cannot be enough.
                self.ending.line += 1;
                return bad(start, FaultKind::Truncated, Why::Short { expected, got: left });
            }
            let end = start + len as usize;
            match chunk.get(end..end + 2) {
                Some(b"\r\n") => {}
                Some(&[a, b]) => {
                    self.ending.line += 1;
                    return bad(start, FaultKind::BadFormat, Why::LineEnd { got: [a, b] });
                }
                _ => return Some(Stop::More),
            }
            self.frames.push(chunk, start, len as usize);
            self.pos = end + 2;
            self.args_left -= 1;
            self.ending.line += 2;
        }
        self.command_done()
    }

    /// A command is whole.
    #[inline]
    fn command_done(&mut self) -> Option<Stop> {
        let command = self.frames.commands.last().expect("one has just been read");
        let name = self.frames.name(&self.chunk, command);
        if matches!(name.len(), 4 | 5) {
            let at = command.at;
            let (multi, exec) = (name.eq_ignore_ascii_case(b"multi"), name.eq_ignore_ascii_case(b"exec"));
            if (multi && self.multi) || (exec && !self.multi) {
                let why = if multi { Why::NestedMulti } else { Why::LoneExec };
                return Some(Stop::Fault(Fault { kind: FaultKind::BadFormat, at: self.offset(at), why }));
            }
            self.multi = multi || (self.multi && !exec);
        }
        if !self.multi {
            self.units += 1;
            if self.units == 1 {
                self.foreign = self.begins_as_redis();
            }
            self.boundary();
            if self.holding && self.units > 1 && self.offset(self.pos) - self.verified.0 > self.sizes.group as u64 {
                self.holding = false;
            }
            if !self.holding && self.pos - self.taken.at >= self.sizes.batch {
                self.take(self.whole, false);
            }
        }
        None
    }

    /// Whether the first unit since the last group is, or begins with, SELECT: as every server writes first into a file
    /// that it opens.
    fn begins_as_redis(&self) -> bool {
        let named = |command: &Framed, name: &[u8]| self.frames.name(&self.chunk, command) == name;
        match &self.frames.commands[self.whole.commands..] {
            [multi, first, ..] if named(multi, b"MULTI") => named(first, b"SELECT"),
            [first, ..] => named(first, b"SELECT"),
            [] => false,
        }
    }

    /// Everything up to here is whole.
    #[inline]
    fn boundary(&mut self) {
        self.whole = Mark { at: self.pos, commands: self.frames.commands.len(), stamps: self.frames.stamps.len() };
    }

    /// A line that begins with `#`.
    fn line(&mut self) -> Option<Stop> {
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
        if let Some(seconds) = annotation::time_of(&rest[..len]) {
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
    fn no_command(&mut self, why: Why) -> Option<Stop> {
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
    fn crc_here(&mut self) -> u64 {
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

    /// Up to this place everything can be given out.
    fn take(&mut self, to: Mark, annotated: bool) {
        if to.at == self.taken.at {
            return;
        }
        let crc = annotated.then_some(self.verified.1);
        match self.cuts.last_mut() {
            Some(last) if last.crc.is_some() == annotated && last.to.at - last.from.at < self.sizes.batch => {
                (last.to, last.crc) = (to, crc);
            }
            _ => self.cuts.push(Cut { from: self.taken, to, crc }),
        }
        if !annotated {
            self.ending.plain_commands += (to.commands - self.taken.commands) as u64;
        }
        self.taken = to;
    }

    /// Makes batches of what was taken, and begins a new chunk with the rest.
    fn give_out(&mut self) {
        if self.cuts.is_empty() {
            return;
        }
        let Mark { at: by, commands, stamps } = self.taken;
        let rest = self.frames.split_off(commands, stamps, by);
        let frames = Arc::new(std::mem::replace(&mut self.frames, rest));
        let mut carried = Vec::with_capacity(self.chunk.len() - by + self.sizes.read);
        carried.extend_from_slice(&self.chunk[by..]);
        let chunk = Bytes::from(std::mem::replace(&mut self.chunk, carried));
        for Cut { from, to, crc } in self.cuts.drain(..) {
            let bytes = chunk.slice(from.at..to.at);
            self.base_crc = crc.unwrap_or_else(|| crc64(self.base_crc, &bytes));
            self.ready.push_back(Batch {
                offset: self.base + from.at as u64,
                bytes,
                annotated: crc.is_some(),
                base: self.base,
                chunk: chunk.clone(),
                frames: Arc::clone(&frames),
                commands: from.commands..to.commands,
                stamps: from.stamps..to.stamps,
            });
        }
        if self.crc_to <= by {
            (self.crc, self.crc_to) = (self.base_crc, by);
        }
        self.base += by as u64;
        self.pos -= by;
        self.crc_to -= by;
        self.taken = Mark::default();
        self.whole.at -= by;
        self.whole.commands -= commands;
        self.whole.stamps -= stamps;
    }

    /// The file ends here: what is missing, if anything is.
    fn cut_off(&mut self) -> Option<Fault> {
        let rest = &self.chunk[self.pos..];
        let why = match rest {
            [] if self.args_left == 0 && !self.multi => return None,
            [] if self.args_left == 0 => Why::NoExec,
            _ if self.args_left == 0 && rest.starts_with(b"#") => Why::TornLine,
            // The length of an argument was looked at: it is all there, but for a header.
            _ => cut_header(rest),
        };
        Some(Fault { kind: FaultKind::Truncated, at: self.offset(self.pos), why })
    }

    /// Decides what may be kept, gives it out, and looks through the rest.
    #[cold]
    fn end(&mut self, fault: Option<Fault>, group: Option<(Group, usize)>) -> io::Result<()> {
        let unsure = self.ending.groups > 0 && !self.foreign && self.holding;
        match group {
            None if fault.is_none() || !unsure => self.take(self.whole, false),
            // Commands without a line before a group that is not what it should be.
            Some((group, _)) if !unsure => self.take(self.mark_before(group), false),
            _ => {}
        }
        self.give_out();
        let started = group.map(|(group, _)| self.start_of(group));
        let ending = &mut self.ending;
        (ending.fault, ending.verified_to, ending.delivered_to) = (fault, self.verified.0, self.base);
        (ending.good_to, ending.crc) = (self.base, self.base_crc);
        if let Some((group, line)) = group {
            if started.is_some_and(|start| start < self.base) {
                (ending.good_to, ending.crc) = self.verified;
            }
            (self.crc, self.crc_to) = (group.crc, self.pos + line);
            self.verified.0 = self.offset(self.crc_to);
        }
        self.ended = true;
        if fault.is_some() {
            self.survey()?;
        }
        self.ending.total = self.total;
        Ok(())
    }

    /// Where a group begins whose line stands here.
    fn start_of(&self, group: Group) -> u64 {
        self.offset(self.pos).saturating_sub(group.len).max(self.verified.0)
    }

    /// The place before a group whose line stands here, if that is one between units; else there is nothing before it.
    fn mark_before(&self, group: Group) -> Mark {
        let (mut mark, mut multi) = (self.taken, false);
        let Some(start) = self.start_of(group).checked_sub(self.base) else { return mark };
        let before = |stamp: &Stamp| stamp.offset - self.base < start;
        for command in &self.frames.commands[self.taken.commands..] {
            if !multi && command.at as u64 >= start {
                let stamps = self.frames.stamps.iter().take_while(|stamp| before(stamp)).count();
                let stamp = self.frames.stamps.get(stamps).is_some_and(|stamp| stamp.offset - self.base == start);
                if command.at as u64 == start || stamp {
                    mark.at = start as usize;
                    mark.stamps = stamps;
                    return mark;
                }
                break;
            }
            mark.commands += 1;
            let name = self.frames.name(&self.chunk, command);
            multi = name.eq_ignore_ascii_case(b"multi") || (multi && !name.eq_ignore_ascii_case(b"exec"));
        }
        self.taken
    }
}

/// What [`Scanner::damaged_line`] found.
enum Damaged {
    /// It is that line, of so many bytes.
    Yes(usize),
    /// It cannot be told yet.
    More,
    /// It is something else.
    No,
}

#[cfg(test)]
mod tests;
