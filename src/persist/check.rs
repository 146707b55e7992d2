//! `check-rdb`: is this file in order? Also what `redis-check-rdb` does.
//!
//! Reads the whole file as the loader would, with every length and the checksum, but builds nothing: values of all
//! types are passed over with their layout checked, those that the server cannot hold included. The lines are those
//! of Redis's tool, because scripts read them; the exit code is 0 for a good file and 1 for anything else.

use crate::rdb::{Checksum, Event, FileReader, Printable, RdbError, RdbReader, ReadOptions, Section, Why};
use crate::sys::disk::{Disk, os_text};
use std::io::{self, Write};
use std::path::Path;

#[derive(Default)]
struct Counts {
    keys: u64,
    expires: u64,
    expired: u64,
    field_expires: u64,
}

/// What follows an RDB file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behind {
    /// Nothing.
    Nothing,
    /// Commands, of an append-only file.
    Commands,
}

/// Checks a file and prints what it finds; gives the exit code. `now_ms` tells which keys are past their expiry.
pub fn run(disk: &dyn Disk, path: &Path, now_ms: i64, out: &mut dyn Write) -> io::Result<u8> {
    Ok(u8::from(check_file(disk, path, now_ms, Behind::Nothing, out)?.is_none()))
}

/// Checks the RDB file that an append-only file begins with, in the same way; gives its length if it is in order.
pub(super) fn preamble(disk: &dyn Disk, path: &Path, now_ms: i64, out: &mut dyn Write) -> io::Result<Option<u64>> {
    check_file(disk, path, now_ms, Behind::Commands, out)
}

fn check_file(
    disk: &dyn Disk,
    path: &Path,
    now_ms: i64,
    behind: Behind,
    out: &mut dyn Write,
) -> io::Result<Option<u64>> {
    writeln!(out, "[offset 0] Checking RDB file {}", path.display())?;
    let opened = disk.open(path).and_then(|file| Ok((file.len()?, file)));
    let (total, file) = match opened {
        Ok(opened) => opened,
        Err(fault) => {
            writeln!(out, "Cannot open file {}: {}", path.display(), os_text(&fault))?;
            out.flush()?;
            return Ok(None);
        }
    };
    let options = ReadOptions { input_bytes: Some(total), ..ReadOptions::default() };
    let mut counts = Counts::default();
    let len = match check(RdbReader::new(file, options), now_ms, behind, &mut counts, out)? {
        Ok(len) => Some(len),
        Err(fault) => {
            print_fault(&fault, out)?;
            None
        }
    };
    writeln!(out, "[info] {} keys read", counts.keys)?;
    writeln!(out, "[info] {} expires", counts.expires)?;
    writeln!(out, "[info] {} already expired", counts.expired)?;
    writeln!(out, "[info] {} subexpires", counts.field_expires)?;
    out.flush()?;
    Ok(len)
}

/// The outer result is about the output, the inner one about the file.
fn check(
    body: RdbReader<'_>,
    now_ms: i64,
    behind: Behind,
    counts: &mut Counts,
    out: &mut dyn Write,
) -> io::Result<Result<u64, RdbError>> {
    let mut file = match FileReader::open(body) {
        Ok(file) => file,
        Err(fault) => return Ok(Err(fault)),
    };
    loop {
        let event = match file.next_event() {
            Ok(event) => event,
            Err(fault) => return Ok(Err(fault)),
        };
        let at = file.offset();
        match event {
            Event::Aux { key, value } => {
                writeln!(out, "[offset {at}] AUX FIELD {} = '{}'", Printable(&key), Printable(&value))?;
            }
            Event::SelectDb(index) => writeln!(out, "[offset {at}] Selecting DB ID {index}")?,
            Event::ResizeDb { .. } | Event::SlotInfo { .. } => {}
            Event::Function(source) => {
                let first_line = source.split(|&byte| byte == b'\n').next().unwrap_or_default();
                writeln!(out, "[offset {at}] FUNCTION LIBRARY {}", Printable(first_line))?;
            }
            Event::ModuleAux { module } => writeln!(out, "[offset {at}] MODULE AUX for: {module}")?,
            Event::Key(info) => {
                // As in Redis, a key counts when its name was read, its expiry when its value was.
                counts.keys += 1;
                match file.skip_value(info.kind) {
                    Ok(skipped) => counts.field_expires += skipped.field_expiries,
                    Err(fault) => return Ok(Err(fault)),
                }
                counts.expires += u64::from(info.expire_at_ms.is_some());
                counts.expired += u64::from(info.expire_at_ms.is_some_and(|ms| ms < now_ms));
            }
            Event::Eof(checksum) => {
                let surplus = match behind {
                    Behind::Nothing => file.check_end(checksum),
                    Behind::Commands => Ok(0),
                };
                let surplus = match surplus {
                    Ok(surplus) => surplus,
                    Err(fault) => return Ok(Err(fault)),
                };
                match checksum {
                    Checksum::Verified => writeln!(out, "[offset {at}] Checksum OK")?,
                    Checksum::Disabled | Checksum::Ignored => {
                        writeln!(out, "[offset {at}] RDB file was saved with checksum disabled: no check performed.")?
                    }
                    Checksum::Absent => {}
                }
                if surplus > 0 {
                    writeln!(out, "[offset {at}] {surplus} bytes after the end of the file")?;
                }
                writeln!(out, "[offset {at}] \\o/ RDB looks OK! \\o/")?;
                return Ok(Ok(at));
            }
        }
    }
}

fn print_fault(fault: &RdbError, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "--- RDB ERROR DETECTED ---")?;
    match &fault.why {
        // What Redis's tool says without ceremony; everything else is, there too, an internal error with its place.
        Why::UnexpectedEof
        | Why::WrongSignature
        | Why::Version(_)
        | Why::ValkeyVersion(_)
        | Why::UnknownOpcode(_)
        | Why::Checksum { .. } => {
            writeln!(out, "[offset {}] {}", fault.offset, fault.why)?;
        }
        _ => writeln!(out, "[offset {}] {fault}", fault.offset)?,
    }
    writeln!(out, "[additional info] While doing: {}", doing(fault.section))?;
    if let Some(key) = &fault.key {
        writeln!(out, "[additional info] Reading key '{}'", Printable(key))?;
    }
    if let Section::Key(kind) | Section::Value(kind) = fault.section {
        writeln!(out, "[additional info] Reading type {} ({})", kind.byte(), kind.name())?;
    }
    Ok(())
}

/// Redis's words for what was being done.
fn doing(section: Section) -> &'static str {
    match section {
        Section::Header => "start",
        Section::Opcode => "read-type",
        Section::Expiry => "read-expire",
        Section::Access | Section::SelectDb | Section::ResizeDb | Section::SlotInfo => "read-len",
        Section::Aux => "read-aux",
        Section::Function => "read-function",
        Section::ModuleAux => "read-module-aux",
        Section::Key(_) => "read-key",
        Section::Value(_) => "read-object-value",
        Section::Checksum | Section::Footer => "check-sum",
    }
}
