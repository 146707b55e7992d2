//! What a scan gives: requests that may be executed, framed already, and at last how the file ended.

use crate::persist::aof::annotation::{Group, GroupLine};
use crate::persist::aof::directory::Tail;
use crate::resp::{ArgSpan, Args, LargeArg};
use bytes::Bytes;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A request: where it begins in its chunk, and its first argument among all spans.
#[derive(Clone, Copy, Debug)]
pub(super) struct Framed {
    pub at: usize,
    pub spans: usize,
}

/// A time stamp of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Where its line begins.
    pub offset: u64,
    /// Unix time: what follows was executed then, or later.
    pub seconds: i64,
}

/// The requests of a chunk. Spans are places in the chunk.
#[derive(Debug, Default)]
pub(super) struct Frames {
    pub commands: Vec<Framed>,
    pub spans: Vec<ArgSpan>,
    pub larges: Vec<LargeArg>,
    pub stamps: Vec<Stamp>,
}

impl Frames {
    /// Adds an argument. A place that a span cannot tell gets a copy of its own.
    #[inline]
    pub fn push(&mut self, chunk: &[u8], at: usize, len: usize) {
        match u32::try_from(at + len) {
            Ok(end) if end < ArgSpan::OUTSIDE => self.spans.push(ArgSpan { off: at as u32, len: len as u32 }),
            _ => {
                let index = u32::try_from(self.larges.len()).expect("each is longer than a chunk of four gigabytes");
                self.spans.push(ArgSpan { off: ArgSpan::OUTSIDE, len: index });
                self.larges.push(LargeArg::from(chunk[at..at + len].to_vec()));
            }
        }
    }

    /// The name of a command.
    #[inline]
    pub fn name<'a>(&'a self, chunk: &'a [u8], command: &Framed) -> &'a [u8] {
        match self.spans[command.spans] {
            ArgSpan { off: ArgSpan::OUTSIDE, len: index } => self.larges[index as usize].bytes(),
            ArgSpan { off, len } => &chunk[off as usize..][..len as usize],
        }
    }

    fn spans_of(&self, command: usize) -> &[ArgSpan] {
        let end = self.commands.get(command + 1).map_or(self.spans.len(), |next| next.spans);
        &self.spans[self.commands[command].spans..end]
    }

    /// Takes off what comes after so many requests and time stamps, for a chunk that begins `by` bytes further on.
    pub fn split_off(&mut self, commands: usize, stamps: usize, by: usize) -> Frames {
        let from = self.commands.get(commands).map_or(self.spans.len(), |next| next.spans);
        let mut rest = Frames {
            commands: self.commands.split_off(commands),
            spans: self.spans.split_off(from),
            larges: Vec::new(),
            stamps: self.stamps.split_off(stamps),
        };
        for command in &mut rest.commands {
            command.at -= by;
            command.spans -= from;
        }
        let mut outside = self.spans.iter().filter(|span| span.off == ArgSpan::OUTSIDE).count();
        rest.larges = self.larges.split_off(outside);
        outside = 0;
        for span in &mut rest.spans {
            if span.off == ArgSpan::OUTSIDE {
                span.len = outside as u32;
                outside += 1;
            } else {
                span.off -= by as u32;
            }
        }
        rest
    }
}

/// Whole commands and transactions, in order.
#[derive(Clone)]
pub struct Batch {
    /// Where it begins in the file.
    pub offset: u64,
    /// All of its bytes, the lines that are no commands among them.
    pub bytes: Bytes,
    /// Its checksum was there, and is right.
    pub annotated: bool,
    pub(super) base: u64,
    pub(super) chunk: Bytes,
    pub(super) frames: Arc<Frames>,
    pub(super) commands: Range<usize>,
    pub(super) stamps: Range<usize>,
}

/// One request of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Command<'a> {
    /// Where it begins in the file.
    pub offset: u64,
    /// Its arguments, its name first.
    pub args: Args<'a>,
}

/// Whether a transaction is open behind a command of this name, if one was open before it or not.
pub fn is_open_behind(name: &[u8], is_open: bool) -> bool {
    name.eq_ignore_ascii_case(b"multi") || (is_open && !name.eq_ignore_ascii_case(b"exec"))
}

/// What a file is made of.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// A request.
    Command(Command<'a>),
    /// A time stamp.
    Stamp(Stamp),
}

impl Batch {
    /// Where it ends in the file.
    pub fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    /// How many requests; MULTI and EXEC are some.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether there is no request: lines only.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// The requests, in order.
    pub fn commands(&self) -> impl ExactSizeIterator<Item = Command<'_>> {
        (0..self.len()).map(|at| self.command(at))
    }

    /// One of the requests, the first of which is 0.
    pub fn command(&self, at: usize) -> Command<'_> {
        let index = self.commands.start + at;
        Command {
            offset: self.base + self.frames.commands[index].at as u64,
            args: Args::new(&self.chunk, self.frames.spans_of(index), &self.frames.larges),
        }
    }

    /// Requests and time stamps as they follow one another.
    pub fn items(&self) -> impl Iterator<Item = Item<'_>> {
        let (mut commands, mut stamps) = (self.commands().peekable(), self.stamps().iter().copied().peekable());
        std::iter::from_fn(move || match (commands.peek(), stamps.peek()) {
            (Some(command), Some(stamp)) if stamp.offset > command.offset => commands.next().map(Item::Command),
            (_, Some(_)) => stamps.next().map(Item::Stamp),
            (_, None) => commands.next().map(Item::Command),
        })
    }

    /// Where the file has to be cut so that nothing is left that was executed after this second; `None` if that is not
    /// in this batch. A transaction is not cut: what is later within it, is all of it.
    pub fn first_later(&self, until: i64) -> Option<u64> {
        let (mut unit, mut is_open) = (self.offset, false);
        for item in self.items() {
            match item {
                Item::Stamp(stamp) if stamp.seconds > until => return Some(if is_open { unit } else { stamp.offset }),
                Item::Stamp(_) => {}
                Item::Command(command) => {
                    unit = if is_open { unit } else { command.offset };
                    is_open = is_open_behind(&command.args[0], is_open);
                }
            }
        }
        None
    }

    /// The time stamps, in order.
    pub fn stamps(&self) -> &[Stamp] {
        &self.frames.stamps[self.stamps.clone()]
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Batch { offset, annotated, .. } = self;
        write!(f, "Batch {{ {offset}..{}, {} commands, annotated: {annotated} }}", self.end(), self.len())
    }
}

/// What was found wrong in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It ends within a command, a transaction or a line: what a server leaves that was killed while it wrote.
    Truncated,
    /// From some place on it is nothing but zeros: what a file system may leave after a power failure.
    ZeroPadded,
    /// There is something that is no command.
    BadFormat,
    /// The checksum of a group is wrong.
    BadChecksum,
    /// A group stands where it was not written.
    WrongPlace,
}

/// What exactly, in the terms of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The file ends where a line should begin.
    End,
    /// The file ends before this command of a transaction.
    NoExec,
    /// A line that begins with the wrong byte.
    Prefix {
        /// What it should be: `*` or `$`; `#` would have done, too, in place of `*`.
        expected: u8,
        /// What it is.
        got: u8,
    },
    /// No end of a line where it should be. Bytes that are not there are zero.
    LineEnd {
        /// What is there.
        got: [u8; 2],
    },
    /// A command without arguments, or with too many.
    Count(i64),
    /// An argument with a length that none has.
    Length(i64),
    /// The file ends within an argument.
    Short {
        /// So many bytes should follow, the end of the line among them.
        expected: u64,
        /// So many do.
        got: u64,
    },
    /// A transaction within a transaction.
    NestedMulti,
    /// The end of a transaction that did not begin.
    LoneExec,
    /// A line that begins with `#` and does not end.
    LongLine,
    /// The line of a group within a transaction.
    GroupInMulti,
    /// The file ends within a line that begins with `#`.
    TornLine,
    /// The line of a group says something else than its bytes.
    Group {
        /// Where it says that the group begins.
        offset: u64,
        /// How long it says that the group is.
        len: u64,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The first are those of redis-check-aof, because people and tools search for them.
        match self {
            Why::End => f.write_str("Unexpected end of file"),
            Why::NoExec => f.write_str("Reached EOF before reading EXEC for MULTI"),
            Why::Prefix { expected, got } => {
                write!(f, "Expected prefix '{}', got: '{}'", char::from(*expected), got.escape_ascii())
            }
            Why::LineEnd { got: [a, b] } => write!(f, "Expected \\r\\n, got: {a:02x}{b:02x}"),
            Why::Length(len) => {
                write!(f, "Expected to read string of {len} bytes, which is not in the suitable range")
            }
            Why::Short { expected, got } => write!(f, "Expected to read {expected} bytes, got {got} bytes"),
            Why::NestedMulti => f.write_str("Unexpected MULTI"),
            Why::LoneExec => f.write_str("Unexpected EXEC"),
            Why::Count(count) => write!(f, "Expected a number of arguments, got: {count}"),
            Why::LongLine => f.write_str("An annotation of more than 1023 bytes"),
            Why::GroupInMulti => f.write_str("The annotation of a group within a transaction"),
            Why::TornLine => f.write_str("An annotation is cut off"),
            Why::Group { offset, len } => {
                write!(f, "The annotation of a group of {len} bytes at offset {offset} does not fit what stands there")
            }
        }
    }
}

/// Where and why a scan could not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What a caller decides by.
    pub kind: FaultKind,
    /// Where the file is not what it should be: the line or argument that was being read.
    pub at: u64,
    /// In the terms of the format.
    pub why: Why,
}

/// How a file ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// What is wrong; `None` if the file could be read to its end.
    pub fault: Option<Fault>,
    /// Everything before may be kept: the end of the last whole command, or, where groups have checksums, of the last
    /// whole group.
    pub good_to: u64,
    /// The checksum of the file up to `good_to`, for the next group ([`super::super::GroupWriter::new`]).
    pub crc: u64,
    /// The end of the last group with a checksum that is right; the start, if there is none.
    pub verified_to: u64,
    /// The end of the last batch that was given out. It is beyond `good_to` only if a checksum turned out to be wrong
    /// long after: in a file that had none for a while.
    pub delivered_to: u64,
    /// Where the file ends.
    pub total: u64,
    /// Groups with a checksum that is right.
    pub groups: u64,
    /// Requests given out without one.
    pub plain_commands: u64,
    /// Groups that are whole although their lines are damaged, and where the first of these lines begins.
    pub damaged_lines: Option<(u64, u64)>,
    /// Zeros at the end of the file, of what cannot be kept.
    pub zeros: u64,
    /// The place of the damage as redis-check-aof counts lines.
    pub line: u64,
    /// Groups behind the damage with a checksum that is right.
    pub groups_behind: u64,
    /// Where those are.
    pub behind: Vec<Behind>,
}

/// Groups behind a damage that touch one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// From the first to the line of the last.
    pub bytes: Range<u64>,
    /// The checksum before the first, for [`super::Scanner::resume`].
    pub crc: u64,
}

impl Ending {
    /// Whether all of the file could be read.
    pub fn is_clean(&self) -> bool {
        self.fault.is_none()
    }

    /// Bytes that cannot be kept.
    pub fn bad_bytes(&self) -> u64 {
        self.total - self.good_to
    }

    /// The line that is missing behind what stands at the end without one, if other lines are there: so that it has a
    /// checksum from now on. To be written at `good_to`, for a file without a fault or whose rest was cut off.
    pub fn closing_line(&self) -> Option<GroupLine> {
        let group = Group { offset: self.verified_to, len: self.good_to - self.verified_to, crc: self.crc };
        (self.groups > 0 && group.len > 0).then(|| group.line())
    }

    /// The end of what is kept of the file, for whoever goes on there.
    pub fn tail(&self) -> Tail {
        let lacks_line = self.groups > 0 && self.verified_to < self.good_to;
        Tail { bytes: self.good_to, crc: self.crc, lacks_line }
    }

    /// Whether the damage is certainly no matter of the tail: something good follows.
    pub fn in_the_middle(&self) -> bool {
        self.groups_behind > 0
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Fault { kind, at, why }) = &self.fault else { return f.write_str("the file is whole") };
        f.write_str(match kind {
            FaultKind::Truncated => "the file is cut off",
            FaultKind::ZeroPadded => "the file ends with zeros",
            FaultKind::BadFormat => "there is something that is no command",
            FaultKind::BadChecksum => "a checksum is wrong",
            FaultKind::WrongPlace => "a group stands where it was not written",
        })?;
        write!(f, ": {why}, at offset {at}")?;
        if self.groups > 0 || self.groups_behind > 0 {
            write!(f, " in group {}", self.groups + 1)?;
        }
        write!(f, "; good up to offset {}, {} bytes follow", self.good_to, self.bad_bytes())?;
        match self.groups_behind {
            0 => Ok(()),
            1 => f.write_str(", 1 good group among them"),
            n => write!(f, ", {n} good groups among them"),
        }
    }
}
