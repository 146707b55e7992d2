//! Writing a snapshot: the stream of records, and the steps that make it a file one can trust.
//!
//! # The steps
//!
//! 1. create `temp-<pid>.rdb` beside the target;
//! 2. write it, and start writing it back to the device in windows as it grows, so that step 3 has little to do;
//! 3. sync it;
//! 4. rename it over the target;
//! 5. sync the directory.
//!
//! Whatever fails, or stops it, before step 4 leaves the old file as it was and removes the temporary one. There is
//! no moment at which the target is not a complete file.

use super::control::SaveControl;
use super::outgoing::{Outgoing, OutgoingWriter};
use super::rewrite::write_commands;
use super::source::SnapshotSource;
use crate::rdb::opcodes::VERSION_DEFAULT;
use crate::rdb::{RdbWriter, WriteOptions};
use crate::sys::disk::{Disk, DiskFile};
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most bytes handed to the system at once. A write of a long compressed string could keep its processor in the
/// kernel for many milliseconds, and whoever wants that processor, the main thread perhaps, waiting.
const WRITE_MAX: usize = 256 << 10;

/// A file is handed to the device in pieces of this size.
const WINDOW_BYTES: u64 = 4 << 20;

/// What a save is to do, beside the data.
#[derive(Clone, Debug)]
pub struct SaveSettings {
    /// The file to replace.
    pub path: PathBuf,
    /// The file to write first; [`temp_path`] names it.
    pub temp: PathBuf,
    /// The version of the format that a parameter forces, or the oldest that all readers of the day know.
    pub version: Option<u32>,
    /// `rdbcompression`.
    pub compression: bool,
    /// `rdbchecksum`.
    pub checksum: bool,
    /// `rdb-save-incremental-fsync`: see step 2.
    pub incremental_sync: bool,
    /// AUX fields, in order.
    pub aux: Vec<(String, String)>,
    /// The texts of function libraries.
    pub functions: Vec<Arc<[u8]>>,
    /// Not an RDB file, but the commands that make the data: a base of the append-only log.
    pub commands: Option<CommandSettings>,
    /// Not to a file at all, but to those who take it as it is written.
    pub stream: Option<Outgoing>,
}

/// How commands are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommandSettings {
    /// With a checksum behind each group.
    pub annotated: bool,
    /// With this unix time, in seconds, at the beginning.
    pub timestamp: Option<i64>,
}

/// The temporary file for a save to `path`: in the same directory, for a rename cannot leave it. `who` keeps the
/// files of the main thread (`"fg-"`) and of the snapshot thread (`""`) apart.
pub fn temp_path(path: &Path, who: &str) -> PathBuf {
    path.with_file_name(format!("temp-{who}{}.rdb", crate::sys::process::pid()))
}

/// The process whose save, or whose base of an append-only file, this temporary file is.
fn written_by(name: &str) -> Option<u32> {
    let who = name.strip_prefix("temp-")?;
    let pid = match who.strip_prefix("rewriteaof-") {
        Some(who) => {
            let who = who.strip_suffix(".aof")?;
            // A base that was complete has the number of its rewrite behind it.
            who.strip_prefix("bg-").map_or(Some(who), |who| who.split('.').next())?
        }
        None => {
            let who = who.strip_suffix(".rdb")?;
            ["fg-", "copy-", "replica-", "spill-"].iter().find_map(|by| who.strip_prefix(by)).unwrap_or(who)
        }
    };
    // No sign, no zeros in front: such names are somebody else's.
    let own = pid.bytes().all(|byte| byte.is_ascii_digit()) && !pid.starts_with('0');
    pid.parse().ok().filter(|_| own)
}

/// Removes what killed processes left of their saves in a directory, and gives the names. For the start: `pid`, which is
/// ours, saves nothing yet, so that a file of that name is a former process's. `lives` says of other processes whether
/// they may still be writing.
pub fn remove_stale_temps(disk: &dyn Disk, dir: &Path, pid: u32, lives: impl Fn(u32) -> bool) -> Vec<String> {
    let mut names = disk.list(dir).unwrap_or_default();
    names.retain(|name| {
        let stale = written_by(name).is_some_and(|writer| writer == pid || !lives(writer));
        stale && disk.remove(&dir.join(name)).is_ok()
    });
    names
}

/// A file was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Keys in it.
    pub keys: u64,
    /// Its size.
    pub bytes: u64,
    /// Its version; 0 if it is made of commands.
    pub version: u32,
}

/// No file was written.
#[derive(Debug)]
pub enum SaveError {
    /// Somebody asked for it.
    Aborted,
    /// The file system refused.
    Disk {
        /// What was tried: "create", "write", "sync", "rename", "sync directory".
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// How it failed.
        fault: io::Error,
    },
    /// The data cannot be written in the version that a parameter forces.
    Version {
        /// The oldest that can express it.
        needed: u32,
        /// The one asked for.
        forced: u32,
    },
    /// The thread that saved came to an unexpected end.
    Thread,
}

impl fmt::Display for SaveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SaveError::Aborted => f.write_str("aborted"),
            SaveError::Disk { operation, path, fault } => {
                write!(f, "cannot {operation} {}: {fault}", path.display())
            }
            SaveError::Version { needed, forced } => {
                write!(f, "the data needs RDB version {needed}, but rdb-version is {forced}")
            }
            SaveError::Thread => f.write_str("the snapshot thread died"),
        }
    }
}

impl std::error::Error for SaveError {}

/// Writes all records of a file, from header to checksum.
///
/// Errors of the sink become [`SaveError::Disk`] on `target`, a name for messages.
pub fn write_snapshot(
    source: &dyn SnapshotSource,
    out: &mut RdbWriter<'_>,
    settings: &SaveSettings,
    target: &Path,
    control: &SaveControl,
) -> Result<(), SaveError> {
    let failed = |fault| write_failed(fault, target, control);
    let databases = source.databases();
    out.write_header().map_err(failed)?;
    for (name, value) in &settings.aux {
        out.write_aux(name.as_bytes(), value.as_bytes()).map_err(failed)?;
    }
    for code in &settings.functions {
        out.write_function(code).map_err(failed)?;
    }
    for db in databases.iter().filter(|db| db.keys > 0) {
        out.write_select_db(db.index).map_err(failed)?;
        out.write_resize_db(db.keys, db.expiring).map_err(failed)?;
        source.visit(db.index, &mut |item| {
            if control.aborted() {
                return Err(SaveError::Aborted);
            }
            let kind = item.value.rdb_opcode(out.version());
            out.write_key_header(kind, item.key, item.expire_at_ms, item.access).map_err(failed)?;
            item.value.save(out).map_err(failed)?;
            control.key_done();
            Ok(())
        })?;
    }
    if control.aborted() {
        return Err(SaveError::Aborted);
    }
    out.write_end().map_err(failed)
}

/// What an error of the sink means.
pub(super) fn write_failed(fault: io::Error, target: &Path, control: &SaveControl) -> SaveError {
    match control.aborted() {
        true => SaveError::Aborted,
        false => SaveError::Disk { operation: "write", path: target.to_owned(), fault },
    }
}

/// Takes a save through its steps.
pub fn save_file(
    disk: &dyn Disk,
    source: &dyn SnapshotSource,
    settings: &SaveSettings,
    control: &SaveControl,
) -> Result<Saved, SaveError> {
    let version = match settings.commands {
        Some(_) => 0,
        None => version(source, settings)?,
    };
    if let Some(stream) = &settings.stream {
        let mut sink = StreamSink { out: stream.writer(), written: 0, control };
        let options = WriteOptions { version, compression: settings.compression, checksum: settings.checksum };
        let mut out = RdbWriter::new(&mut sink, options);
        write_snapshot(source, &mut out, settings, &settings.path, control)?;
        drop(out);
        sink.flush().map_err(|fault| write_failed(fault, &settings.path, control))?;
        return Ok(Saved { keys: control.keys(), bytes: sink.written, version });
    }
    let bytes = write_temp(disk, source, settings, version, control)
        .and_then(|bytes| {
            if !control.commit() {
                return Err(SaveError::Aborted);
            }
            let (temp, path) = (&settings.temp, &settings.path);
            disk.rename(temp, path).map_err(|fault| on("rename", temp, fault))?;
            Ok(bytes)
        })
        .inspect_err(|_| {
            // If it cannot be removed there is nothing better to do: the error that brought us here is what counts.
            let _ = disk.remove(&settings.temp);
        })?;
    let dir = settings.path.parent().unwrap_or(Path::new(""));
    disk.sync_dir(dir).map_err(|fault| on("sync directory", dir, fault))?;
    Ok(Saved { keys: control.keys(), bytes, version })
}

/// The version of the format that is written.
fn version(source: &dyn SnapshotSource, settings: &SaveSettings) -> Result<u32, SaveError> {
    let needed = source.rdb_version_needed();
    let version = settings.version.unwrap_or(VERSION_DEFAULT.max(needed));
    if version < needed {
        return Err(SaveError::Version { needed, forced: version });
    }
    Ok(version)
}

fn on(operation: &'static str, path: &Path, fault: io::Error) -> SaveError {
    SaveError::Disk { operation, path: path.to_owned(), fault }
}

fn write_temp(
    disk: &dyn Disk,
    source: &dyn SnapshotSource,
    settings: &SaveSettings,
    version: u32,
    control: &SaveControl,
) -> Result<u64, SaveError> {
    let temp = &settings.temp;
    let file = disk.create(temp).map_err(|fault| on("create", temp, fault))?;
    let mut sink = Sink { file, written: 0, handed_over: 0, incremental: settings.incremental_sync, control };
    if let Some(commands) = &settings.commands {
        write_commands(source, &mut sink, commands, settings, control)?;
    } else {
        let options = WriteOptions { version, compression: settings.compression, checksum: settings.checksum };
        let mut out = RdbWriter::new(&mut sink, options);
        write_snapshot(source, &mut out, settings, temp, control)?;
    }
    sink.file.sync().map_err(|fault| on("sync", temp, fault))?;
    Ok(sink.written)
}

/// A copy on its way to those who take it: counts, and stops when asked.
struct StreamSink<'a> {
    out: OutgoingWriter,
    written: u64,
    control: &'a SaveControl,
}

impl Write for StreamSink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.control.aborted() {
            return Err(io::Error::other("aborted"));
        }
        let n = self.out.write(bytes)?;
        self.written += n as u64;
        self.control.set_bytes(self.written);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The file on its way: counts, stops when asked, and keeps the device busy.
struct Sink<'a> {
    file: Box<dyn DiskFile>,
    written: u64,
    handed_over: u64,
    incremental: bool,
    control: &'a SaveControl,
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.control.aborted() {
            return Err(io::Error::other("aborted"));
        }
        let n = self.file.write(&bytes[..bytes.len().min(WRITE_MAX)])?;
        self.written += n as u64;
        self.control.set_bytes(self.written);
        if self.incremental && self.written - self.handed_over >= WINDOW_BYTES {
            // The window before this one is on the device by now: name it again, and its pages can be forgotten.
            let from = self.handed_over.saturating_sub(WINDOW_BYTES);
            self.file.write_back(from, self.written - from);
            self.handed_over = self.written;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::disk::RealDisk;

    #[test]
    fn what_killed_processes_left_is_removed() {
        let dir = std::env::temp_dir().join(format!("kvstash-leftovers-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let stale = [
            "temp-100.rdb",
            "temp-7.rdb",
            "temp-copy-100.rdb",
            "temp-fg-100.rdb",
            "temp-replica-7.rdb",
            "temp-rewriteaof-100.aof",
            "temp-rewriteaof-bg-100.aof",
            "temp-rewriteaof-bg-7.12.aof",
            "temp-spill-7.rdb",
        ];
        let others = [
            "dump.rdb",
            "temp-.rdb",
            "temp-007.rdb",
            "temp-100.rdb.bak",
            "temp-100a.rdb",
            "temp-99999999999.rdb",
            "temp-bg-100.rdb",
            "temp-fg-200.rdb",
            "temp-200.rdb",
            "temp-rewriteaof-200.aof",
            "temp-rewriteaof-bg-.aof",
            "temp-rewriteaof-bg-100.rdb",
            "xtemp-100.rdb",
        ];
        for name in stale.iter().chain(&others) {
            std::fs::write(dir.join(name), "").unwrap();
        }
        std::fs::create_dir_all(dir.join("temp-300.rdb")).unwrap();
        // 7 is ours now, whoever had it before; 200 lives; 300 is a directory.
        assert_eq!(remove_stale_temps(&RealDisk, &dir, 7, |pid| [7, 200].contains(&pid)), stale);
        let mut kept: Vec<&str> = others.iter().copied().chain(["temp-300.rdb"]).collect();
        kept.sort_unstable();
        assert_eq!(RealDisk.list(&dir).unwrap(), kept);
        assert!(remove_stale_temps(&RealDisk, &dir.join("nowhere"), 7, |_| false).is_empty());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
