//! The manifest: a small text file that names the files of the log, in Redis's format.
//!
//! ```text
//! file appendonly.aof.2.base.rdb seq 2 type b
//! file appendonly.aof.1.incr.aof seq 1 type h startoffset 0
//! file appendonly.aof.2.incr.aof seq 2 type i startoffset 8765 endoffset 9876
//! ```
//!
//! The base and the increments are what is loaded, in this order; files of type `h` have been rewritten and may go. The
//! offsets are positions in the replication stream: where an increment begins, and, after an orderly stop, where it ends.
//!
//! Reading is as strict as Redis is, with its words: a manifest that is misread loses data. Pairs with unknown keys are
//! passed over, for later versions add some.
//!
//! A change is made to a copy, the copy is written to the disk, and then it takes the place of the old one: so nothing
//! here goes to the disk by itself, and a change whose write failed is simply dropped.

use super::names::{Names, as_path};
use crate::util::quote::{push_repr, split_args};
use std::fmt;
use std::path::PathBuf;

/// Longest line, its end included.
const LINE_BYTES_MAX: usize = 1024;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The data at one moment.
    Base,
    /// Was rewritten; nobody needs it.
    History,
    /// The writes since the base, or since the increment before it.
    Increment,
}

impl Kind {
    /// What the names of such files, and lines of the log about them, have.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Base => "base",
            Kind::History => "hist",
            Kind::Increment => "incr",
        }
    }

    fn letter(self) -> u8 {
        match self {
            Kind::Base => b'b',
            Kind::History => b'h',
            Kind::Increment => b'i',
        }
    }
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name within the directory of the log.
    pub name: Vec<u8>,
    /// Its number: bases are counted, and increments are.
    pub seq: i64,
    /// What it is for.
    pub kind: Kind,
    /// The replication offset at its beginning.
    pub start_offset: Option<i64>,
    /// The replication offset at its end, if the server was stopped in good order.
    pub end_offset: Option<i64>,
}

impl Entry {
    /// The name as a path within the directory of the log.
    pub fn path(&self) -> PathBuf {
        as_path(&self.name)
    }

    fn push_line(&self, out: &mut Vec<u8>) {
        out.extend(b"file ");
        if self.name.iter().all(|&byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'\'')) {
            out.extend(&self.name);
        } else {
            push_repr(out, &self.name);
        }
        out.extend(format!(" seq {} type {}", self.seq, char::from(self.kind.letter())).into_bytes());
        // As in Redis, an end says nothing without a start.
        if let Some(start) = self.start_offset {
            out.extend(format!(" startoffset {start}").into_bytes());
            if let Some(end) = self.end_offset {
                out.extend(format!(" endoffset {end}").into_bytes());
            }
        }
        out.push(b'\n');
    }

    fn parse(line: &[u8]) -> Result<Entry, ManifestFault> {
        let words = split_args(line).filter(|words| words.len() >= 6 && words.len().is_multiple_of(2));
        let words = words.ok_or(ManifestFault::Format)?;
        let (mut name, mut seq, mut kind) = (None, 0, None);
        let (mut start_offset, mut end_offset) = (None, None);
        for pair in words.chunks_exact(2) {
            let value = &pair[1][..];
            match pair[0].to_ascii_lowercase().as_slice() {
                b"file" => name = Some(file_name(value)?),
                b"seq" => seq = leading_integer(value),
                b"type" => kind = value.first().copied().filter(|&letter| letter != 0),
                b"startoffset" => start_offset = Some(leading_integer(value)),
                b"endoffset" => end_offset = Some(leading_integer(value)),
                _ => {}
            }
        }
        // The last number leaves none for the next file.
        let (Some(name), Some(kind), true) = (name, kind, seq != 0 && seq != i64::MAX) else {
            return Err(ManifestFault::Format);
        };
        let kind = [Kind::Base, Kind::History, Kind::Increment].into_iter().find(|known| known.letter() == kind);
        let kind = kind.ok_or(ManifestFault::UnknownType)?;
        let known = |offset: Option<i64>| offset.filter(|&offset| offset >= 0);
        Ok(Entry { name, seq, kind, start_offset: known(start_offset), end_offset: known(end_offset) })
    }
}

/// The name of a file as a manifest has it: what follows a NUL is no part of it, and no other directory is named.
fn file_name(value: &[u8]) -> Result<Vec<u8>, ManifestFault> {
    let name = value.split(|&byte| byte == 0).next().unwrap_or_default();
    if matches!(name, b"" | b"." | b"..") || name.iter().any(|byte| matches!(byte, b'/' | b'\\')) {
        return Err(ManifestFault::Path);
    }
    Ok(name.to_vec())
}

/// The number that a text begins with, as C reads it: blanks before it and anything behind it do not matter, one that is
/// too large is the largest.
fn leading_integer(text: &[u8]) -> i64 {
    let start = text.iter().position(|byte| !matches!(byte, b' ' | b'\t'..=b'\r')).unwrap_or(text.len());
    let (negative, digits) = match &text[start..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let digits = digits.iter().take_while(|digit| digit.is_ascii_digit());
    digits.fold(0i64, |number, digit| {
        let digit = i64::from(digit - b'0');
        number.saturating_mul(10).saturating_add(if negative { -digit } else { digit })
    })
}

/// What is wrong with a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestFault {
    /// It has not even a comment.
    Empty,
    /// A line of more than 1,024 bytes, or a last one that does not end.
    LongLine,
    /// A line that is not made of pairs, or lacks one.
    Format,
    /// A file in another directory.
    Path,
    /// Two bases.
    TwoBases,
    /// Increments that are not in ascending order.
    Order,
    /// A letter that means nothing.
    UnknownType,
}

impl fmt::Display for ManifestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ManifestFault::Empty => "Found an empty AOF manifest",
            ManifestFault::LongLine => "The AOF manifest file contains too long line",
            ManifestFault::Format => "Invalid AOF manifest file format",
            ManifestFault::Path => "File can't be a path, just a filename",
            ManifestFault::TwoBases => "Found duplicate base file information",
            ManifestFault::Order => "Found a non-monotonic sequence number",
            ManifestFault::UnknownType => "Unknown AOF file type",
        })
    }
}

/// A manifest that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// Why.
    pub fault: ManifestFault,
    /// Number and text of the line, where it is one.
    pub line: Option<(usize, Vec<u8>)>,
}

impl ManifestError {
    /// What Redis logs, entry by entry.
    pub fn log_lines(&self) -> Vec<String> {
        let mut lines = vec!["*** FATAL AOF MANIFEST FILE ERROR ***".to_owned()];
        if let Some((number, text)) = &self.line {
            lines.push(format!("Reading the manifest file, at line {number}"));
            lines.push(format!(">>> '{}'", String::from_utf8_lossy(text)));
        }
        lines.push(self.fault.to_string());
        lines
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fault)?;
        match &self.line {
            Some((number, text)) => write!(f, ", at line {number}: '{}'", text.escape_ascii()),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ManifestError {}

/// What is to be done about a file of the name `appendfilename`, which is where Redis before 7 kept its whole log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OldFile {
    /// Nothing: there is none, or the manifest names other files.
    Leave,
    /// It becomes the base: write this manifest first, then move the file into the directory. If the server stops in
    /// between, the next start comes to the same answer.
    Move(Manifest),
    /// It would have to be moved, but the directory has a file of that name, which no manifest knows.
    InTheWay,
}

/// Which files there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    base: Option<Entry>,
    history: Vec<Entry>,
    increments: Vec<Entry>,
    /// The highest numbers used, so that no name comes again while this server runs.
    base_seq: i64,
    increment_seq: i64,
}

impl Manifest {
    /// Reads a manifest.
    pub fn parse(mut bytes: &[u8]) -> Result<Manifest, ManifestError> {
        if bytes.is_empty() {
            return Err(ManifestError { fault: ManifestFault::Empty, line: None });
        }
        let mut manifest = Manifest::default();
        let mut number = 0;
        while !bytes.is_empty() {
            number += 1;
            let end = bytes.iter().take(LINE_BYTES_MAX).position(|&byte| byte == b'\n');
            let (line, rest) = bytes.split_at(end.map_or(bytes.len().min(LINE_BYTES_MAX), |end| end + 1));
            bytes = rest;
            if line[0] == b'#' {
                continue;
            }
            // Redis's line ends at a NUL, and so does not end.
            if end.is_none() || line.contains(&0) {
                return Err(ManifestError { fault: ManifestFault::LongLine, line: None });
            }
            let line = line.trim_ascii();
            let added = Entry::parse(line).and_then(|entry| manifest.add(entry));
            added.map_err(|fault| ManifestError { fault, line: Some((number, line.to_vec())) })?;
        }
        Ok(manifest)
    }

    fn add(&mut self, entry: Entry) -> Result<(), ManifestFault> {
        match entry.kind {
            Kind::Base if self.base.is_some() => return Err(ManifestFault::TwoBases),
            Kind::Base => {
                self.base_seq = self.base_seq.max(entry.seq);
                self.base = Some(entry);
            }
            Kind::Increment => {
                let before = self.increments.last().map_or(0, |before| before.seq);
                if entry.seq <= before {
                    return Err(ManifestFault::Order);
                }
                self.increment_seq = self.increment_seq.max(entry.seq);
                self.increments.push(entry);
            }
            Kind::History => {
                // A new file must not meet an old one of its name.
                let of_its_kind = match entry.name.ends_with(b".incr.aof") {
                    true => &mut self.increment_seq,
                    false => &mut self.base_seq,
                };
                *of_its_kind = entry.seq.max(*of_its_kind);
                self.history.push(entry);
            }
        }
        Ok(())
    }

    /// The text of the file: base, history, increments.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for entry in self.base.iter().chain(&self.history).chain(&self.increments) {
            entry.push_line(&mut out);
        }
        out
    }

    /// The base.
    pub fn base(&self) -> Option<&Entry> {
        self.base.as_ref()
    }

    /// Files that may be removed.
    pub fn history(&self) -> &[Entry] {
        &self.history
    }

    /// The increments, oldest first.
    pub fn increments(&self) -> &[Entry] {
        &self.increments
    }

    /// The increment that is written to.
    pub fn last_increment(&self) -> Option<&Entry> {
        self.increments.last()
    }

    /// What is loaded, in order.
    pub fn files(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.base.iter().chain(&self.increments)
    }

    /// Whether there is nothing to load.
    pub fn is_empty(&self) -> bool {
        self.base.is_none() && self.increments.is_empty()
    }

    /// What [`Manifest::replace_base`] will call its base.
    pub fn next_base_name(&self, names: &Names, is_rdb: bool) -> Vec<u8> {
        names.base(self.base_seq + 1, is_rdb)
    }

    /// What [`Manifest::add_increment`] will call its increment.
    pub fn next_increment_name(&self, names: &Names) -> Vec<u8> {
        names.increment(self.increment_seq + 1)
    }

    /// Begins a new increment, at this offset of the replication stream.
    pub fn add_increment(&mut self, names: &Names, start_offset: Option<i64>) -> &Entry {
        let name = self.next_increment_name(names);
        self.increment_seq += 1;
        self.increments.push(Entry {
            name,
            seq: self.increment_seq,
            kind: Kind::Increment,
            start_offset,
            end_offset: None,
        });
        self.increments.last().expect("one was just added")
    }

    /// A new base, which holds everything but the writes of the newest `keep` increments: the old base and the other
    /// increments become history.
    pub fn replace_base(&mut self, names: &Names, is_rdb: bool, keep: usize) -> &Entry {
        let name = self.next_base_name(names, is_rdb);
        self.base_seq += 1;
        let rewritten = self.increments.len().saturating_sub(keep);
        // In Redis's order: the newest first, of one rewrite the increments before the base.
        let gone = self.increments.drain(..rewritten).chain(self.base.take());
        let gone: Vec<Entry> = gone.map(|entry| Entry { kind: Kind::History, ..entry }).collect();
        self.history.splice(..0, gone);
        self.base.insert(Entry { name, seq: self.base_seq, kind: Kind::Base, start_offset: None, end_offset: None })
    }

    /// Forgets the history: its files are to be removed once this manifest is on the disk.
    pub fn take_history(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.history)
    }

    /// Notes that the server stops in good order, and at which replication offset.
    pub fn set_end_offset(&mut self, offset: i64) {
        if let Some(last) = self.increments.last_mut() {
            last.end_offset = Some(offset);
        }
    }

    /// Forgets where the last increment ended, and says it: for it goes on now, and after a crash nobody may believe that
    /// it ended there.
    pub fn take_end_offset(&mut self) -> Option<i64> {
        self.increments.last_mut().and_then(|last| last.end_offset.take())
    }

    /// The manifest of a copy that has the first so many files. Where they stood in the replication stream means nothing
    /// there.
    pub fn of_first(&self, files: usize) -> Manifest {
        let mut copy = Manifest::default();
        for entry in self.files().take(files) {
            let entry = Entry { start_offset: None, end_offset: None, ..entry.clone() };
            copy.add(entry).expect("some files of a manifest are one, too");
        }
        copy
    }

    /// The manifest of a single old file: it keeps its name.
    pub fn upgraded(names: &Names) -> Manifest {
        let name = names.old_file().to_vec();
        let base = Entry { name, seq: 1, kind: Kind::Base, start_offset: None, end_offset: None };
        Manifest { base: Some(base), base_seq: 1, ..Manifest::default() }
    }

    /// What to do about an old file. `manifest` is the one of the directory, empty if there is none;
    /// `old_exists`: there is a file `appendfilename` beside the directory; `moved_exists`: there is one in it.
    pub fn old_file(&self, names: &Names, old_exists: bool, moved_exists: bool) -> OldFile {
        let moving = match &self.base {
            Some(base) => self.increments.is_empty() && base.name == names.old_file() && !moved_exists,
            None => self.increments.is_empty(),
        };
        match old_exists && moving {
            false => OldFile::Leave,
            true if moved_exists => OldFile::InTheWay,
            true => OldFile::Move(Manifest { history: self.history.clone(), ..Manifest::upgraded(names) }),
        }
    }
}

#[cfg(test)]
mod tests;
