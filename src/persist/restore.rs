//! `restore`: a directory of the append-only log as it was at some moment, in a new directory that a server starts from.
//!
//! The files are those that the manifest names, in order, up to the first time stamp that is later than the moment asked
//! for: there the file is cut, and later ones are left out. A transaction is kept or left out as a whole, and a group that
//! was cut gets a line of its own. Without a moment everything is taken.
//!
//! The old directory is only read. What is damaged before the moment is not passed over in silence: nothing is made
//! then. But the last file may be cut off, as a server that was killed leaves it; that is said.

use super::aof::{Entry, FaultKind, Kind, Manifest, Scanner, Step};
use super::check;
use super::check_aof::{begins_with_rdb, close_group};
use crate::rdb::{Event, FileReader, RdbReader, ReadOptions};
use crate::sys::disk::{Disk, DiskFile, os_text};
use crate::util::num::parse_i64;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Why nothing was restored.
#[derive(Debug)]
pub enum RestoreError {
    /// The file system refused.
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// How it failed.
        fault: io::Error,
    },
    /// Something else, in words.
    Refused(String),
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoreError::Disk { path, fault } => write!(f, "{}: {}", path.display(), os_text(fault)),
            RestoreError::Refused(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for RestoreError {}

fn on<T>(path: &Path, result: io::Result<T>) -> Result<T, RestoreError> {
    result.map_err(|fault| RestoreError::Disk { path: path.to_owned(), fault })
}

fn refuse<T>(why: String) -> Result<T, RestoreError> {
    Err(RestoreError::Refused(why))
}

/// What was restored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// The name of the manifest.
    pub manifest: PathBuf,
    /// Files in the new directory, beside the manifest.
    pub files: usize,
    /// Requests in them that were executed after the base was written, or in it if it is made of requests.
    pub commands: u64,
    /// The last second of which something is there, as far as there are time stamps.
    pub last_second: Option<i64>,
    /// Bytes at the end of the last file that are left out, for they are no whole group or command.
    pub torn_bytes: u64,
    /// Something later was left out.
    pub is_cut: bool,
}

impl Restored {
    /// What is to be said about it, with how a server starts from it.
    pub fn report(&self, from: &Path, to: &Path, until: Option<i64>) -> String {
        let (files, commands) = (self.files, self.commands);
        let mut text = format!(
            "Restored {files} files and their manifest from {} to {}: the base, and {commands} commands.\n",
            from.display(),
            to.display()
        );
        match self.last_second {
            Some(second) => text += &format!("The last time stamp in them is {second}.\n"),
            None if until.is_some() => text += "They have no time stamps: all is there.\n",
            None => {}
        }
        if self.is_cut {
            text += "What was executed later is left out.\n";
        }
        if self.torn_bytes > 0 {
            text += &format!("The last {} bytes are left out: they are no whole group or command.\n", self.torn_bytes);
        }
        let stem = self.manifest.with_extension("");
        let place = to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        text += &format!(
            "A server starts with: --dir {} --appenddirname {} --appendfilename {} --appendonly yes\n",
            place.display(),
            to.file_name().unwrap_or_default().display(),
            stem.display()
        );
        text
    }
}

/// How much of a file is taken.
struct Part {
    bytes: u64,
    /// The rest is later than the moment.
    is_cut: bool,
    torn_bytes: u64,
}

/// Makes `to` out of `from`: a directory with a manifest. `until` is a second of unix time; `now_ms` matters to nothing
/// that is kept.
pub fn restore(
    disk: &dyn Disk,
    from: &Path,
    to: &Path,
    until: Option<i64>,
    now_ms: i64,
) -> Result<Restored, RestoreError> {
    let (name, manifest) = find_manifest(disk, from)?;
    if disk.exists(to) {
        return refuse(format!("{} exists already", to.display()));
    }
    let files: Vec<&Entry> = manifest.files().collect();
    let mut restored = Restored { manifest: name.clone(), ..Restored::default() };
    let mut parts = Vec::new();
    for (index, entry) in files.iter().enumerate() {
        let is_last = index + 1 == files.len();
        let part = measure(disk, &from.join(entry.path()), entry, is_last, until, now_ms, &mut restored)?;
        restored.torn_bytes += part.torn_bytes;
        restored.is_cut = part.is_cut;
        let is_cut = part.is_cut;
        parts.push((*entry, part));
        if is_cut {
            break;
        }
    }
    restored.files = parts.len();
    on(to, disk.create_dir(to))?;
    for (entry, part) in &parts {
        copy(disk, from, to, entry, part)?;
    }
    let path = to.join(&name);
    let written = disk.create(&path).and_then(|mut file| {
        file.write_all(&manifest.of_first(parts.len()).to_bytes())?;
        file.sync()?;
        disk.sync_dir(to)
    });
    on(&path, written)?;
    Ok(restored)
}

fn find_manifest(disk: &dyn Disk, dir: &Path) -> Result<(PathBuf, Manifest), RestoreError> {
    let mut names = on(dir, disk.list(dir))?;
    names.retain(|name| name.ends_with(".manifest") && !name.starts_with("temp-"));
    let name = match &names[..] {
        [one] => PathBuf::from(one),
        [] => return refuse(format!("{} has no manifest", dir.display())),
        several => return refuse(format!("{} has several manifests: {}", dir.display(), several.join(", "))),
    };
    let path = dir.join(&name);
    let mut bytes = Vec::new();
    on(&path, disk.open(&path).and_then(|mut file| file.read_to_end(&mut bytes)))?;
    match Manifest::parse(&bytes) {
        Ok(manifest) if manifest.is_empty() => refuse(format!("{} names no file", path.display())),
        Ok(manifest) => Ok((name, manifest)),
        Err(error) => refuse(format!("{}: {error}", path.display())),
    }
}

/// Reads a file and says how much of it is to be taken.
fn measure(
    disk: &dyn Disk,
    path: &Path,
    entry: &Entry,
    is_last: bool,
    until: Option<i64>,
    now_ms: i64,
    restored: &mut Restored,
) -> Result<Part, RestoreError> {
    let mut file = on(path, disk.open(path))?;
    let size = on(path, file.len())?;
    let is_base = entry.kind == Kind::Base;
    let mut start = 0;
    if is_base && on(path, begins_with_rdb(&mut *file))? {
        let written = written_at(on(path, disk.open(path))?);
        if let Some(second) = written.filter(|&second| until.is_some_and(|until| second > until)) {
            return refuse(format!("{}, the base, is of {second}, later than that", path.display()));
        }
        match on(path, check::preamble(disk, path, now_ms, &mut io::sink()))? {
            Some(len) => start = len,
            None => return refuse(format!("{} is damaged; kvstash check-rdb says where", path.display())),
        }
    }
    on(path, file.seek(SeekFrom::Start(start)))?;
    let mut scanner = Scanner::new(file, start, size);
    loop {
        match on(path, scanner.step())? {
            Step::Batch(batch) => {
                let later = until.and_then(|until| batch.first_later(until));
                let is_taken = |offset: u64| later.is_none_or(|later| offset < later);
                restored.commands += batch.commands().filter(|command| is_taken(command.offset)).count() as u64;
                let stamps = batch.stamps().iter().filter(|stamp| is_taken(stamp.offset));
                restored.last_second = stamps.map(|stamp| stamp.seconds).next_back().or(restored.last_second);
                if let Some(bytes) = later {
                    return match bytes == start && is_base {
                        true => refuse(format!("{}, the base, is later than that", path.display())),
                        false => Ok(Part { bytes, is_cut: true, torn_bytes: 0 }),
                    };
                }
            }
            Step::End(ending) if ending.is_clean() => {
                return Ok(Part { bytes: size, is_cut: false, torn_bytes: 0 });
            }
            Step::End(ending) => {
                let is_cut_off = ending
                    .fault
                    .is_some_and(|fault| matches!(fault.kind, FaultKind::Truncated | FaultKind::ZeroPadded));
                if !is_last || !is_cut_off || ending.in_the_middle() {
                    return refuse(format!(
                        "{} is damaged: {ending}. kvstash check-aof tells more, and can save what is good",
                        path.display()
                    ));
                }
                return Ok(Part { bytes: ending.good_to, is_cut: false, torn_bytes: ending.bad_bytes() });
            }
        }
    }
}

/// When an RDB file says that it was written.
fn written_at(file: Box<dyn DiskFile>) -> Option<i64> {
    let mut file = FileReader::open(RdbReader::new(file, ReadOptions::default())).ok()?;
    while let Event::Aux { key, value } = file.next_event().ok()? {
        if key == b"ctime" {
            return parse_i64(&value);
        }
    }
    None
}

fn copy(disk: &dyn Disk, from: &Path, to: &Path, entry: &Entry, part: &Part) -> Result<(), RestoreError> {
    let (source, target) = (from.join(entry.path()), to.join(entry.path()));
    let copied = disk.create(&target).and_then(|mut file| {
        let mut source = disk.open(&source)?.take(part.bytes);
        let copied = io::copy(&mut source, &mut file)?;
        if copied < part.bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.sync()
    });
    on(&target, copied)?;
    if part.is_cut {
        on(&target, close_group(disk, &target))?;
    }
    Ok(())
}
