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
mod ending;
mod frame;
mod lines;
mod survey;

pub use batch::{Batch, Behind, Command, Ending, Fault, FaultKind, Item, Stamp, Why, is_open_behind};

use super::annotation::{GROUP_BYTES_MAX, Group};
use crate::collections::simd::crc64::crc64;
use crate::resp::ArgSpan;
use batch::{Framed, Frames};
use bytes::Bytes;
use frame::{Header, header};
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

    /// Scans from some place between units on; `crc` is the checksum there.
    pub fn resume(source: R, offset: u64, total: u64, crc: u64) -> Scanner<R> {
        Scanner { crc, base_crc: crc, verified: (offset, crc), ..Scanner::new(source, offset, total) }
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
            let Ok(len) = u64::try_from(len) else {
                self.ending.line += 1;
                return bad(self.pos, FaultKind::BadFormat, Why::Length(len));
            };
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
            let (multi, exec) = (name.eq_ignore_ascii_case(b"multi"), name.eq_ignore_ascii_case(b"exec"));
            if (multi && self.multi) || (exec && !self.multi) {
                let why = if multi { Why::NestedMulti } else { Why::LoneExec };
                return Some(Stop::Fault(Fault { kind: FaultKind::BadFormat, at: self.argument(command.spans), why }));
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

    /// Where an argument begins in the file.
    fn argument(&self, span: usize) -> u64 {
        match self.frames.spans[span] {
            ArgSpan { off: ArgSpan::OUTSIDE, .. } => self.offset(self.pos),
            ArgSpan { off, .. } => self.offset(off as usize),
        }
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
}

#[cfg(test)]
mod tests;
