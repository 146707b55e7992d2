//! `check-aof`: are these files in order? And what `redis-check-aof` does about it if they are not.
//!
//! A manifest, or one file: an old one, a base, an increment. The lines and the exit codes are those of Redis's tool,
//! because scripts read them; where groups have checksums there are more lines, which begin with `[groups]`.
//!
//! # What it changes
//!
//! Nothing without being asked, and only the last file: `--fix` cuts off what is damaged, `--truncate-to-timestamp` what
//! is later. What is cut off is in a file beside it before it is. `--salvage` reads what is good, before the damage and
//! behind it, and writes that to new files.

mod salvage;
mod tool;

pub use tool::{Task, run};

use super::aof::{Scanner, Step};
use super::check;
use crate::sys::disk::{Disk, DiskFile};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Whether a file begins as an RDB file does. It stands at its beginning afterwards.
pub(super) fn begins_with_rdb(file: &mut dyn DiskFile) -> io::Result<bool> {
    let mut magic = Vec::new();
    (&mut *file).take(6).read_to_end(&mut magic)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(magic.starts_with(b"REDIS") || magic == b"VALKEY")
}

/// Gives what stands at the end of a file without a checksum, because the file was cut there, a line of its own.
pub(super) fn close_group(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let mut file = disk.edit(path)?;
    let size = file.len()?;
    let start = match begins_with_rdb(&mut *file)? {
        true => check::preamble(disk, path, 0, &mut io::sink())?.unwrap_or(size),
        false => 0,
    };
    file.seek(SeekFrom::Start(start))?;
    let mut scanner = Scanner::new(&mut file, start, size);
    let ending = loop {
        if let Step::End(ending) = scanner.step()? {
            break ending;
        }
    };
    if let Some(line) = ending.closing_line().filter(|_| ending.is_clean()) {
        file.seek(SeekFrom::Start(size))?;
        file.write_all(line.as_bytes())?;
        file.sync()?;
    }
    Ok(())
}
