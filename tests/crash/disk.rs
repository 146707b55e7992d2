//! A disk in memory that loses power: what was written and what was synced are two things, and any operation can be the
//! last one before the lights go out, or fail.
//!
//! Contents and length of a file are safe after `sync`, names after `sync_dir`. Of what was not synced a crash leaves what
//! a seed says: of each file nothing, everything, or a beginning, the last write cut anywhere, and zeros behind it where
//! the file was already longer; of each directory the first few operations. A rename from one directory to another happens
//! in both or in none.
//!
//! A sync that fails is worse than one that did not happen: what it should have written is forgotten, so that a later one
//! succeeds and does not bring it back. That is what Linux does.

use kvstash::sys::disk::{Disk, DiskFile};
use kvstash::util::rng::Rng;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// Something that was done to a file since it was last synced.
#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>, limit: usize) {
        match self {
            Change::Write(at, new) => {
                let new = &new[..new.len().min(limit)];
                if new.is_empty() {
                    return;
                }
                bytes.resize(bytes.len().max(at + new.len()), 0);
                bytes[*at..at + new.len()].copy_from_slice(new);
            }
            Change::Length(len) => bytes.resize(*len, 0),
        }
    }
}

/// What the system knows about a change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waits,
    /// A sync of it has failed.
    Forgotten,
    Safe,
}

#[derive(Clone, Default)]
struct Inode {
    live: Vec<u8>,
    safe: Vec<u8>,
    changes: Vec<(Change, Fate)>,
}

impl Inode {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.live, usize::MAX);
        self.changes.push((change, Fate::Waits));
    }

    fn sync(&mut self, fails: bool) {
        let fate = if fails { Fate::Forgotten } else { Fate::Safe };
        self.changes.iter_mut().filter(|(_, was)| *was == Fate::Waits).for_each(|(_, was)| *was = fate);
        if self.changes.iter().all(|(_, fate)| *fate == Fate::Safe) {
            self.changes.clear();
            self.safe.clone_from(&self.live);
        }
    }

    /// What is there after a crash.
    fn survivors(&self, dice: &mut Rng) -> Vec<u8> {
        let mut bytes = self.safe.clone();
        let mut reach = |fate: Fate| {
            let there = self.changes.iter().filter(|(_, it)| *it == fate).count();
            match dice.below(3) {
                0 => 0,
                1 => there,
                _ => dice.index(there + 1),
            }
        };
        let (mut waits, mut forgotten) = (reach(Fate::Waits), reach(Fate::Forgotten));
        let pads = dice.below(3) == 0;
        for (change, fate) in &self.changes {
            let left = match fate {
                Fate::Safe => {
                    change.apply(&mut bytes, usize::MAX);
                    continue;
                }
                Fate::Waits => &mut waits,
                Fate::Forgotten => &mut forgotten,
            };
            if *left > 1 {
                change.apply(&mut bytes, usize::MAX);
                *left -= 1;
            } else if *left == 1 {
                *left = 0;
                let len = if let Change::Write(_, new) = change { new.len() } else { 0 };
                let cut = if dice.below(2) == 0 { len } else { dice.index(len + 1) };
                change.apply(&mut bytes, cut);
            }
        }
        if pads && bytes.len() < self.live.len() {
            bytes.resize(self.live.len(), 0);
        }
        bytes
    }
}

/// An entry of a directory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Dir,
    File(usize),
}

#[derive(Clone)]
enum NameChange {
    Added(PathBuf, Node),
    Renamed(PathBuf, PathBuf),
    Removed(PathBuf),
}

impl NameChange {
    fn dirs(&self) -> Vec<&Path> {
        match self {
            NameChange::Added(path, _) | NameChange::Removed(path) => vec![parent(path)],
            NameChange::Renamed(from, to) => vec![parent(from), parent(to)],
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            NameChange::Added(path, node) => {
                names.insert(path.clone(), *node);
            }
            NameChange::Renamed(from, to) => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
            NameChange::Removed(path) => {
                names.remove(path);
            }
        }
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

#[derive(Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, Node>,
    safe_names: BTreeMap<PathBuf, Node>,
    changes: Vec<NameChange>,
    /// Operations so far.
    operations: u64,
    stops_at: Option<u64>,
    fails_at: Option<u64>,
    is_stopped: bool,
    /// What happened at the place that was asked for.
    log: String,
}

/// How an operation goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    /// It may have happened or not, and nothing happens afterwards.
    Stops,
    Fails,
}

impl State {
    fn begin(&mut self, what: &str, path: &Path) -> io::Result<Outcome> {
        if self.is_stopped {
            return Err(no_power());
        }
        self.operations += 1;
        let at = Some(self.operations);
        let outcome = match (at == self.stops_at, at == self.fails_at) {
            (true, _) => Outcome::Stops,
            (false, true) => Outcome::Fails,
            _ => Outcome::Done,
        };
        if outcome != Outcome::Done {
            let verb = if outcome == Outcome::Stops { "stops at" } else { "fails:" };
            self.log += &format!("{verb} {what} {} (operation {}); ", path.display(), self.operations);
            self.is_stopped = outcome == Outcome::Stops;
        }
        Ok(outcome)
    }

    fn rename(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    fn add_file(&mut self, path: &Path) -> usize {
        self.inodes.push(Inode::default());
        let file = self.inodes.len() - 1;
        self.rename(NameChange::Added(path.to_owned(), Node::File(file)));
        file
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        if self.is_stopped {
            return Err(no_power());
        }
        match self.names.get(path) {
            Some(Node::File(file)) => Ok(*file),
            Some(Node::Dir) => Err(io::Error::other("is a directory")),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// A name can only be where a directory is.
    fn look_for_dir(&self, path: &Path) -> io::Result<()> {
        let dir = parent(path);
        match dir.as_os_str().is_empty() || self.names.get(dir) == Some(&Node::Dir) {
            true => Ok(()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn no_power() -> io::Error {
    io::Error::other("the disk has no power")
}

fn result(outcome: Outcome, fault: i32) -> io::Result<()> {
    match outcome {
        Outcome::Done => Ok(()),
        Outcome::Stops => Err(no_power()),
        Outcome::Fails => Err(io::Error::from_raw_os_error(fault)),
    }
}

const ENOSPC: i32 = 28;
const EIO: i32 = 5;

/// See the module's header. A clone is the same disk.
#[derive(Clone, Default)]
pub struct CrashDisk(Arc<Mutex<State>>);

impl CrashDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Has the power fail at this operation from the start, the first of which is 1.
    pub fn stop_at(&self, operation: u64) {
        self.state().stops_at = Some(operation);
    }

    /// Has one operation fail.
    pub fn fail_at(&self, operation: u64) {
        self.state().fails_at = Some(operation);
    }

    /// Operations so far.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Whether the power has failed.
    pub fn is_stopped(&self) -> bool {
        self.state().is_stopped
    }

    /// What happened at the places that were asked for.
    pub fn log(&self) -> String {
        self.state().log.clone()
    }

    /// Names and lengths, for who has to find out what went wrong.
    pub fn listing(&self) -> String {
        let state = self.state();
        let mut text = String::new();
        for (path, node) in &state.names {
            if let Node::File(file) = node {
                let bytes = &state.inodes[*file].live;
                text += &format!("{} ({} bytes)\n", path.display(), bytes.len());
                if !path.to_string_lossy().contains(".rdb") {
                    text += &format!("    {}\n", bytes.escape_ascii());
                }
            }
        }
        text
    }

    /// Puts a file there that is safe.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let file = state.inodes.len();
        state.inodes.push(Inode { live: bytes.to_vec(), safe: bytes.to_vec(), changes: Vec::new() });
        state.names.insert(path.to_owned(), Node::File(file));
        state.safe_names.insert(path.to_owned(), Node::File(file));
    }

    /// The disk as it is found after a crash.
    pub fn after_crash(&self, seed: u64) -> CrashDisk {
        let state = self.state();
        let mut dice = Rng::from_seed(seed);
        let mut names = state.safe_names.clone();
        let mut ended: Vec<&Path> = Vec::new();
        let (all, none) = (dice.below(3) == 0, dice.below(3) == 0);
        for change in &state.changes {
            let dirs = change.dirs();
            let is_over = dirs.iter().any(|dir| ended.contains(dir)) || (!all && (none || dice.below(3) == 0));
            match is_over {
                true => ended.extend(dirs),
                false => change.apply(&mut names),
            }
        }
        let dirs: Vec<PathBuf> =
            names.iter().filter(|(_, node)| **node == Node::Dir).map(|(path, _)| path.clone()).collect();
        names.retain(|path, _| parent(path).as_os_str().is_empty() || dirs.iter().any(|dir| dir == parent(path)));
        let inodes = state.inodes.iter().map(|inode| {
            let bytes = inode.survivors(&mut dice);
            Inode { live: bytes.clone(), safe: bytes, changes: Vec::new() }
        });
        let found = State { inodes: inodes.collect(), names: names.clone(), safe_names: names, ..State::default() };
        CrashDisk(Arc::new(Mutex::new(found)))
    }

    fn handle(&self, path: &Path, file: usize, appends: bool) -> Box<dyn DiskFile> {
        Box::new(CrashFile { disk: self.clone(), path: path.to_owned(), file, at: 0, appends })
    }
}

impl Disk for CrashDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.look_for_dir(path)?;
        let outcome = state.begin("create", path)?;
        let mut opened = 0;
        if outcome != Outcome::Fails {
            opened = match state.file(path) {
                Ok(file) => {
                    state.inodes[file].change(Change::Length(0));
                    file
                }
                Err(_) => state.add_file(path),
            };
        }
        result(outcome, ENOSPC)?;
        Ok(self.handle(path, opened, false))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = self.state().file(path)?;
        Ok(self.handle(path, file, false))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.look_for_dir(path)?;
        let file = match state.file(path) {
            Ok(file) => file,
            Err(_) => {
                let outcome = state.begin("create", path)?;
                let file = if outcome == Outcome::Fails { 0 } else { state.add_file(path) };
                result(outcome, ENOSPC)?;
                file
            }
        };
        Ok(self.handle(path, file, true))
    }

    fn edit(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.file(from)?;
        state.look_for_dir(to)?;
        let outcome = state.begin("rename", from)?;
        if outcome != Outcome::Fails {
            state.rename(NameChange::Renamed(from.to_owned(), to.to_owned()));
        }
        result(outcome, EIO)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let file = state.file(from)?;
        state.look_for_dir(to)?;
        if state.file(to).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let outcome = state.begin("link", to)?;
        if outcome != Outcome::Fails {
            state.rename(NameChange::Added(to.to_owned(), Node::File(file)));
        }
        result(outcome, EIO)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.file(path)?;
        let outcome = state.begin("remove", path)?;
        if outcome != Outcome::Fails {
            state.rename(NameChange::Removed(path.to_owned()));
        }
        result(outcome, EIO)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        let outcome = state.begin("sync of directory", dir)?;
        if outcome == Outcome::Done {
            // What comes before in a directory that one of these changes touches goes with it.
            let mut dirs = vec![dir.to_owned()];
            let mut safe = Vec::new();
            let mut rest = Vec::new();
            for change in state.changes.drain(..).rev().collect::<Vec<_>>() {
                if change.dirs().iter().any(|it| dirs.iter().any(|dir| dir == it)) {
                    dirs.extend(change.dirs().into_iter().map(Path::to_owned));
                    safe.push(change);
                } else {
                    rest.push(change);
                }
            }
            rest.reverse();
            state.changes = rest;
            for change in safe.iter().rev() {
                change.apply(&mut state.safe_names);
            }
        }
        result(outcome, EIO)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.names.contains_key(dir) {
            return Ok(());
        }
        let outcome = state.begin("create directory", dir)?;
        if outcome != Outcome::Fails {
            state.rename(NameChange::Added(dir.to_owned(), Node::Dir));
        }
        result(outcome, ENOSPC)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let names = state.names.keys().filter(|path| parent(path) == dir);
        Ok(names.map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned()).collect())
    }

    fn exists(&self, path: &Path) -> bool {
        self.state().names.contains_key(path)
    }
}

struct CrashFile {
    disk: CrashDisk,
    path: PathBuf,
    file: usize,
    at: u64,
    appends: bool,
}

impl Read for CrashFile {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.state();
        if state.is_stopped {
            return Err(no_power());
        }
        let bytes = &state.inodes[self.file].live;
        let rest = &bytes[bytes.len().min(self.at as usize)..];
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Write for CrashFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.state();
        let outcome = state.begin("write", &self.path)?;
        let inode = &mut state.inodes[self.file];
        if self.appends {
            self.at = inode.live.len() as u64;
        }
        // A full disk takes what there is room for.
        let len = if outcome == Outcome::Fails { bytes.len() / 2 } else { bytes.len() };
        inode.change(Change::Write(self.at as usize, bytes[..len].to_vec()));
        self.at += len as u64;
        result(outcome, ENOSPC)?;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for CrashFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
            SeekFrom::End(by) => (self.disk.state().inodes[self.file].live.len() as u64).saturating_add_signed(by),
        };
        Ok(self.at)
    }
}

impl DiskFile for CrashFile {
    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        let outcome = state.begin("sync", &self.path)?;
        if outcome != Outcome::Stops {
            state.inodes[self.file].sync(outcome == Outcome::Fails);
        }
        result(outcome, EIO)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().inodes[self.file].live.len() as u64)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let outcome = state.begin("cut", &self.path)?;
        if outcome != Outcome::Fails {
            state.inodes[self.file].change(Change::Length(len as usize));
        }
        result(outcome, EIO)
    }

    fn try_clone(&self) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.disk.handle(&self.path, self.file, self.appends))
    }

    fn write_back(&self, _offset: u64, _len: u64) {}
}

#[test]
fn what_a_crash_leaves() {
    let disk = CrashDisk::default();
    let path = Path::new("a");
    let mut file = disk.create(path).unwrap();
    file.write_all(b"safe").unwrap();
    file.sync().unwrap();
    disk.sync_dir(Path::new("")).unwrap();
    file.write_all(b"unsafe").unwrap();
    disk.rename(path, Path::new("b")).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..500 {
        let found = disk.after_crash(seed);
        let names = found.list(Path::new("")).unwrap();
        let mut text = String::new();
        found.open(Path::new(&names[0])).unwrap().read_to_string(&mut text).unwrap();
        assert!(text.starts_with("safe") && text.len() <= 10, "{text:?}");
        let rest = text[4..].trim_end_matches('\0');
        assert!("unsafe".starts_with(rest), "{text:?}");
        seen.insert((names, text));
    }
    for (name, text) in [("a", "safe"), ("b", "safe"), ("a", "safeunsafe"), ("b", "safeun"), ("a", "safeuns\0\0\0")] {
        assert!(seen.contains(&(vec![name.to_owned()], text.to_owned())), "{name} {text:?} never happens");
    }
}

/// What a failed sync has forgotten does not come back with the next one.
#[test]
fn what_a_failed_sync_forgets() {
    let disk = CrashDisk::default();
    let path = Path::new("a");
    let mut file = disk.append(path).unwrap();
    disk.sync_dir(Path::new("")).unwrap();
    file.write_all(b"one").unwrap();
    disk.fail_at(disk.operations() + 1);
    assert!(file.sync().is_err());
    file.write_all(b"two").unwrap();
    file.sync().unwrap();
    let found = (0..50).map(|seed| {
        let mut bytes = Vec::new();
        disk.after_crash(seed).open(path).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    });
    let found: Vec<_> = found.collect();
    assert!(found.iter().all(|bytes| bytes.ends_with(b"two")));
    assert!(found.iter().any(|bytes| bytes.starts_with(b"\0\0\0")));
    assert!(found.iter().any(|bytes| bytes.starts_with(b"one")));
}
