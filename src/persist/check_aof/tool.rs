//! The walk over the files, and what is printed on it.

use super::{begins_with_rdb, close_group, salvage};
use crate::persist::aof::{Ending, Entry, FaultKind, Kind, Manifest, Scanner, Step, Why, cut_off};
use crate::persist::check;
use crate::sys::disk::{Disk, DiskFile, os_text};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Only look.
    Check,
    /// Cut off what is damaged, if somebody says yes.
    Fix,
    /// Cut off what was written after this second.
    Truncate(i64),
    /// Write what is good to a new file or, of a manifest, to a new directory.
    Salvage(PathBuf),
}

/// Everything that was to be said was said: the process ends with this code.
pub(super) enum Stop {
    Code(u8),
    /// The output is gone.
    Output(io::Error),
}

impl From<io::Error> for Stop {
    fn from(fault: io::Error) -> Stop {
        Stop::Output(fault)
    }
}

/// Does it, and gives the exit code. `now_ms` tells which keys of an RDB file are past their expiry.
pub fn run(
    disk: &dyn Disk,
    path: &Path,
    task: &Task,
    now_ms: i64,
    input: &mut dyn Read,
    out: &mut dyn Write,
) -> io::Result<u8> {
    let mut tool = Tool { disk, task, now_ms, input, out, lines: 1 };
    let code = match tool.check(path) {
        Ok(()) => 0,
        Err(Stop::Code(code)) => code,
        Err(Stop::Output(fault)) => return Err(fault),
    };
    tool.out.flush()?;
    Ok(code)
}

pub(super) struct Tool<'a> {
    pub disk: &'a dyn Disk,
    task: &'a Task,
    now_ms: i64,
    input: &'a mut dyn Read,
    pub out: &'a mut dyn Write,
    /// As Redis's tool counts: lines that begin requests and arguments, and lines of arguments, in all files so far.
    lines: u64,
}

/// One of the files.
#[derive(Clone, Copy)]
pub(super) struct File<'a> {
    /// What it is called in most lines.
    pub name: &'a str,
    pub path: &'a Path,
    /// Only the last one may be changed.
    is_last: bool,
    /// Whether it begins with an RDB file.
    is_rdb: bool,
}

/// How a check of one file came out.
enum Outcome {
    Valid,
    Empty,
    Fixed,
    Truncated(i64),
}

/// Prints a line and ends.
macro_rules! give_up {
    ($out:expr, $($text:tt)*) => {{
        writeln!($out, $($text)*)?;
        return Err(Stop::Code(1));
    }};
}
pub(super) use give_up;

impl Tool<'_> {
    fn check(&mut self, path: &Path) -> Result<(), Stop> {
        let start = match self.disk.open(path).and_then(|mut file| Start::read(&mut *file)) {
            Ok(start) => start,
            Err(fault) => give_up!(self.out, "Cannot open file {}: {}", path.display(), os_text(&fault)),
        };
        match start {
            Start::Manifest => self.check_manifest(path),
            start => {
                writeln!(self.out, "Start checking Old-Style AOF")?;
                let name = path.display().to_string();
                let file = File { name: &name, path, is_last: true, is_rdb: start == Start::Rdb };
                let outcome = self.check_one(file, |task| match task {
                    Task::Salvage(out) => Some(out.clone()),
                    _ => None,
                })?;
                self.conclude("AOF", &name, outcome)
            }
        }
    }

    fn check_manifest(&mut self, path: &Path) -> Result<(), Stop> {
        writeln!(self.out, "Start checking Multi Part AOF")?;
        let mut bytes = Vec::new();
        if let Err(fault) = self.disk.open(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
            give_up!(self.out, "Cannot open file {}: {}", path.display(), os_text(&fault));
        }
        let manifest = match Manifest::parse(&bytes) {
            Ok(manifest) => manifest,
            Err(error) => {
                for line in error.log_lines() {
                    writeln!(self.out, "{line}")?;
                }
                return Err(Stop::Code(1));
            }
        };
        if let Task::Salvage(to) = self.task {
            salvage::begin(self, to)?;
        }
        // As Redis names them: beside the manifest, even if that is here.
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let last = manifest.files().last().cloned();
        for (index, entry) in manifest.files().enumerate() {
            if entry.kind == Kind::Increment && index == usize::from(manifest.base().is_some()) {
                writeln!(self.out, "Start to check INCR files.")?;
            }
            self.check_entry(dir, entry, last.as_ref() == Some(entry))?;
        }
        if let Task::Salvage(to) = self.task {
            salvage::finish(self, to, &manifest, path)?;
        }
        writeln!(self.out, "All AOF files and manifest are valid")?;
        Ok(())
    }

    fn check_entry(&mut self, dir: &Path, entry: &Entry, is_last: bool) -> Result<(), Stop> {
        let name = String::from_utf8_lossy(&entry.name).into_owned();
        let path = dir.join(entry.path());
        let is_base = entry.kind == Kind::Base;
        let is_rdb = match self.disk.open(&path).and_then(|mut file| Start::read(&mut *file)) {
            Ok(start) => is_base && start == Start::Rdb,
            Err(fault) => {
                let then = if is_base { "" } else { ", aborting..." };
                give_up!(self.out, "Cannot open file {}: {}{then}", path.display(), os_text(&fault))
            }
        };
        if is_base {
            writeln!(self.out, "Start to check BASE AOF ({} format).", if is_rdb { "RDB" } else { "RESP" })?;
        }
        let file = File { name: &name, path: &path, is_last, is_rdb };
        let outcome = self.check_one(file, |task| match task {
            Task::Salvage(to) => Some(to.join(entry.path())),
            _ => None,
        })?;
        self.conclude(if is_base { "BASE AOF" } else { "INCR AOF" }, &name, outcome)
    }

    fn conclude(&mut self, what: &str, name: &str, outcome: Outcome) -> Result<(), Stop> {
        match outcome {
            Outcome::Valid => writeln!(self.out, "{what} {name} is valid")?,
            Outcome::Empty => writeln!(self.out, "{what} {name} is empty")?,
            Outcome::Fixed => writeln!(self.out, "Successfully truncated AOF {name}")?,
            Outcome::Truncated(to) => writeln!(self.out, "Successfully truncated AOF {name} to timestamp {to}")?,
        }
        Ok(())
    }

    fn check_one(&mut self, file: File<'_>, salvaged: impl Fn(&Task) -> Option<PathBuf>) -> Result<Outcome, Stop> {
        let path = file.path.display();
        let opened = self.disk.open(file.path).and_then(|opened| Ok((opened.len()?, opened)));
        let (size, mut opened) = match opened {
            Ok(opened) => opened,
            Err(fault) => give_up!(self.out, "Cannot open file {path}: {}, aborting...", os_text(&fault)),
        };
        let salvaged = salvaged(self.task);
        if size == 0 {
            if let Some(to) = salvaged {
                salvage::write_empty(self, &to)?;
            }
            return Ok(Outcome::Empty);
        }
        let mut start = 0;
        if file.is_rdb {
            match check::preamble(self.disk, file.path, self.now_ms, self.out)? {
                Some(len) => start = len,
                None => give_up!(self.out, "RDB preamble of AOF file is not sane, aborting."),
            }
            writeln!(self.out, "RDB preamble is OK, proceeding with AOF tail...")?;
        }
        if let Err(fault) = opened.seek(SeekFrom::Start(start)) {
            give_up!(self.out, "Failed to fseek in AOF {}: {}", file.name, os_text(&fault));
        }
        let until = if let Task::Truncate(to) = self.task { Some(*to) } else { None };
        let mut scanner = Scanner::new(opened, start, size);
        let mut db = salvage::Database::default();
        let ending = loop {
            match scanner.step() {
                Ok(Step::Batch(batch)) => {
                    if let Some(cut) = until.and_then(|until| batch.first_later(until)) {
                        return self.truncate(file, cut, size);
                    }
                    if salvaged.is_some() {
                        db.follow(&batch);
                    }
                }
                Ok(Step::End(ending)) => break ending,
                Err(_) => give_up!(self.out, "Failed to read from AOF {}, aborting...", file.name),
            }
        };
        self.report(file, &ending)?;
        match salvaged {
            Some(to) => salvage::write(self, file, start, &ending, db, &to).map(|()| Outcome::Valid),
            None if ending.is_clean() => Ok(Outcome::Valid),
            None => self.fix(file, &ending),
        }
    }

    /// What is to be said about a file that was read to its end, or as far as it could be.
    fn report(&mut self, file: File<'_>, ending: &Ending) -> Result<(), Stop> {
        if let Some(fault) = &ending.fault {
            let at = fault.at;
            match fault.why {
                // Redis's tool says nothing of a file that ends where a line begins.
                Why::End => {}
                Why::Prefix { expected: b'*', .. } => writeln!(self.out, "AOF {} format error", file.name)?,
                Why::NestedMulti | Why::LoneExec => {
                    writeln!(self.out, "0x{at:>16x}: {} in AOF {}", fault.why, file.path.display())?
                }
                why => writeln!(self.out, "0x{at:>16x}: {why}")?,
            }
        }
        let (size, diff) = (ending.total, ending.bad_bytes());
        let lines = self.lines + ending.line - 1;
        self.lines = lines;
        if let (Task::Truncate(to), 0) = (self.task, diff) {
            writeln!(self.out, "Truncate nothing in AOF {} to timestamp {to}", file.name)?;
            return Ok(());
        }
        writeln!(
            self.out,
            "AOF analyzed: filename={}, size={size}, ok_up_to={}, ok_up_to_line={lines}, diff={diff}",
            file.name, ending.good_to
        )?;
        self.report_groups(ending)
    }

    /// What Redis's tool does not know.
    fn report_groups(&mut self, ending: &Ending) -> Result<(), Stop> {
        let out = &mut *self.out;
        if ending.fault.is_some_and(|fault| fault.kind == FaultKind::ZeroPadded) {
            writeln!(out, "[zeros] The file ends with zeros, as after a power failure")?;
        }
        if ending.groups == 0 && ending.groups_behind == 0 {
            return Ok(());
        }
        write!(out, "[groups] {} groups with a right checksum, up to offset {}", ending.groups, ending.verified_to)?;
        match ending.plain_commands {
            0 => writeln!(out)?,
            n => writeln!(out, "; {n} commands have none")?,
        }
        if let Some((lines, first)) = ending.damaged_lines {
            writeln!(out, "[groups] {lines} lines are damaged, the first at offset {first}; their groups are whole")?;
        }
        if ending.fault.is_some() {
            writeln!(out, "[groups] Group {}: {ending}", ending.groups + 1)?;
        }
        if let Some(first) = ending.behind.first() {
            writeln!(
                out,
                "[groups] {} groups behind the damage are good, from offset {} on: --salvage writes them, --fix drops them",
                ending.groups_behind, first.bytes.start
            )?;
        }
        Ok(())
    }

    fn fix(&mut self, file: File<'_>, ending: &Ending) -> Result<Outcome, Stop> {
        if *self.task != Task::Fix {
            give_up!(self.out, "AOF {} is not valid. Use the --fix option to try fixing it.", file.name);
        }
        if !file.is_last {
            give_up!(self.out, "Failed to truncate AOF {} because it is not the last file", file.name);
        }
        let (size, diff, good) = (ending.total, ending.bad_bytes(), ending.good_to);
        writeln!(
            self.out,
            "This will shrink the AOF {} from {size} bytes, with {diff} bytes, to {good} bytes",
            file.name
        )?;
        write!(self.out, "Continue? [y/N]: ")?;
        self.out.flush()?;
        let mut answer = [0];
        if !matches!(self.input.read(&mut answer), Ok(1)) || !answer[0].eq_ignore_ascii_case(&b'y') {
            give_up!(self.out, "Aborting...");
        }
        match cut_off(self.disk, file.path, good) {
            Ok(kept) => writeln!(self.out, "What is cut off is kept in {}", kept.display())?,
            Err(_) => give_up!(self.out, "Failed to truncate AOF {}", file.name),
        }
        Ok(Outcome::Fixed)
    }

    fn truncate(&mut self, file: File<'_>, offset: u64, size: u64) -> Result<Outcome, Stop> {
        let Task::Truncate(to) = *self.task else { return Ok(Outcome::Valid) };
        let path = file.path.display();
        if offset == 0 {
            give_up!(self.out, "AOF {path} has nothing before timestamp {to}, aborting...");
        }
        if !file.is_last {
            writeln!(
                self.out,
                "Failed to truncate AOF {path} to timestamp {to} to offset {offset} because it is not the last file."
            )?;
            give_up!(
                self.out,
                "If you insist, please delete all files after this file according to the manifest file and delete the \
                 corresponding records in manifest file manually. Then re-run redis-check-aof."
            );
        }
        debug_assert!(offset < size);
        match cut_off(self.disk, file.path, offset).and_then(|kept| close_group(self.disk, file.path).map(|()| kept)) {
            Ok(kept) => writeln!(self.out, "What is cut off is kept in {}", kept.display())?,
            Err(_) => give_up!(self.out, "Failed to truncate AOF {path} to timestamp {to}"),
        }
        Ok(Outcome::Truncated(to))
    }
}

/// What a file begins as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Manifest,
    Rdb,
    Other,
}

impl Start {
    /// Lines that may be in a manifest are no longer.
    const LINE_BYTES_MAX: u64 = 1024;

    fn read(file: &mut dyn DiskFile) -> io::Result<Start> {
        let size = file.len()?;
        if size >= 8 && begins_with_rdb(file)? {
            return Ok(Start::Rdb);
        }
        let mut file = BufReader::new(file);
        let mut start = Start::Other;
        let mut line = Vec::new();
        loop {
            line.clear();
            (&mut file).take(Start::LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
            match &line[..] {
                [b'#', ..] => {}
                line if line.starts_with(b"file") => start = Start::Manifest,
                _ => return Ok(start),
            }
        }
    }
}
