//! The files of the log as its writer changes them: an increment that grows, and the steps from one set of files to the
//! next. Each step is a few operations on the disk, in an order that leaves a set that can be loaded, whichever of them
//! is the last before the power fails.
//!
//! ```text
//!   switch      a new increment; the manifest names it before anything is written to it
//!   install     a new base takes the place of the old one and of all increments but the newest
//!   collect     what was replaced is removed
//! ```
//!
//! A *temporary* increment is in no manifest. It is written while no set on the disk can be continued: after `CONFIG SET
//! appendonly yes`, and after a failed sync. The base that follows makes it a part of the set; after a crash before that
//! the old set is loaded, as if the temporary one had never been.

use super::annotation::GroupWriter;
use super::manifest::{Entry, Manifest};
use super::names::{Names, as_path};
use crate::sys::disk::{Disk, DiskFile};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How the log is kept.
#[derive(Clone, Debug)]
pub struct AofSettings {
    /// The directory of the log.
    pub dir: PathBuf,
    /// The names of its files.
    pub names: Names,
    /// Each group of writes is followed by a line with its checksum.
    pub annotations: bool,
    /// What a rewrite has replaced stays: `aof-disable-auto-gc`.
    pub keeps_history: bool,
}

/// The end of an increment, where writing goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// Its length, bytes.
    pub bytes: u64,
    /// The checksum of its last group: 0 if there is none.
    pub crc: u64,
    /// Groups have lines, and what follows the last of these has none, although it is whole.
    pub lacks_line: bool,
}

/// The increment that is written to.
struct Increment {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    tail: Tail,
    /// It is in no manifest.
    is_temporary: bool,
    /// A write failed half-way, and its beginning could not be cut off yet.
    is_torn: bool,
}

/// Sizes of the set, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AofSizes {
    /// All that would be loaded.
    pub total: u64,
    /// What of it was there when it was last rewritten, or loaded at the start.
    pub base: u64,
}

/// The files of the log.
pub struct AofDirectory {
    disk: Arc<dyn Disk>,
    settings: AofSettings,
    manifest: Manifest,
    /// The manifest is in its place, but it is not known whether it would survive a power failure.
    is_unsure: bool,
    increment: Option<Increment>,
    sizes: AofSizes,
}

impl AofDirectory {
    /// The set of files that this manifest names. Nothing is written yet, and there is no increment to write to.
    pub fn new(disk: Arc<dyn Disk>, settings: AofSettings, manifest: Manifest) -> AofDirectory {
        let (increment, sizes) = (None, AofSizes::default());
        let mut directory = AofDirectory { disk, settings, manifest, is_unsure: false, increment, sizes };
        directory.measure();
        directory
    }

    /// The set that the manifest on the disk names; an empty one if there is none.
    pub fn load(disk: Arc<dyn Disk>, settings: AofSettings) -> io::Result<AofDirectory> {
        let manifest = read_manifest(&*disk, &settings)?.unwrap_or_default();
        Ok(AofDirectory::new(disk, settings, manifest))
    }

    /// The set.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// How large it is.
    pub fn sizes(&self) -> AofSizes {
        self.sizes
    }

    /// Takes over what may change while it is open.
    pub fn configure(&mut self, annotations: bool, keeps_history: bool) {
        (self.settings.annotations, self.settings.keeps_history) = (annotations, keeps_history);
    }

    /// Whether there is an increment to write to.
    pub fn is_open(&self) -> bool {
        self.increment.is_some()
    }

    /// Where in the replication stream the log ends, as far as that is known, if its newest increment ends as `tail` says:
    /// after an orderly stop exactly, else not before what clients were told.
    pub fn last_offset(&self, tail: Tail) -> u64 {
        let Some(last) = self.manifest.last_increment() else { return 0 };
        let known = last.end_offset.and_then(|end| u64::try_from(end).ok());
        known.unwrap_or_else(|| {
            let start = last.start_offset.and_then(|start| u64::try_from(start).ok()).unwrap_or(0);
            start.saturating_add(tail.bytes)
        })
    }

    /// Goes on in the newest increment, which ends as `tail` says, and is synced. Where it ended after an orderly stop is forgotten,
    /// on the disk too, before anything is written. False if there is no increment.
    pub fn reopen(&mut self, tail: Tail) -> io::Result<bool> {
        let Some(path) = self.manifest.last_increment().map(|last| self.path(&last.name)) else { return Ok(false) };
        let mut manifest = self.manifest.clone();
        if manifest.take_end_offset().is_some() {
            self.persist(manifest)?;
        }
        let mut file = self.disk.append(&path)?;
        let mut tail = tail;
        if tail.lacks_line {
            // Where more follows that is cut off, nobody could tell any more that this was whole.
            let mut writer = GroupWriter::new(tail.bytes, tail.crc);
            file.write_all(writer.annotate([]).as_bytes())?;
            tail = Tail { bytes: writer.offset(), crc: writer.crc(), lacks_line: false };
        }
        // What was loaded may never have been synced: the server before was killed.
        file.sync()?;
        self.increment = Some(Increment { file, path, tail, is_temporary: false, is_torn: false });
        Ok(true)
    }

    /// Appends a group: whole units, complete or not at all. `bytes` gets a line more, if groups are annotated.
    pub fn append(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let increment = self.increment.as_mut().ok_or_else(not_open)?;
        let Increment { file, tail, is_torn, is_temporary, .. } = increment;
        if *is_torn {
            file.set_len(tail.bytes)?;
            *is_torn = false;
        }
        let (length, mut crc) = (bytes.len(), tail.crc);
        if self.settings.annotations {
            let mut writer = GroupWriter::new(tail.bytes, crc);
            let line = writer.annotate([&bytes[..]]);
            bytes.extend_from_slice(line.as_bytes());
            crc = writer.crc();
        } else {
            let mut writer = GroupWriter::new(tail.bytes, crc);
            writer.plain([&bytes[..]]);
            crc = writer.crc();
        }
        if let Err(error) = file.write_all(bytes) {
            bytes.truncate(length);
            *is_torn = file.set_len(tail.bytes).is_err();
            return Err(error);
        }
        *tail = Tail { bytes: tail.bytes + bytes.len() as u64, crc, lacks_line: false };
        if !*is_temporary {
            self.sizes.total += bytes.len() as u64;
        }
        Ok(())
    }

    /// What was appended survives a power failure from now on. After an error nobody knows what of it does, and asking
    /// again would not help: the system may have given up what it could not write.
    pub fn sync(&mut self) -> io::Result<()> {
        self.increment.as_mut().map_or(Ok(()), |increment| increment.file.sync())
    }

    /// Begins a new increment at this offset of the replication stream; what the one before holds is synced, unless the
    /// new one is temporary. On an error everything is as before, but for a temporary increment before: it is gone.
    pub fn switch(&mut self, start_offset: u64, is_temporary: bool) -> io::Result<()> {
        if self.increment.as_ref().is_some_and(|increment| is_temporary && increment.is_temporary) {
            self.increment = None; // the new one has its name
        }
        let mut manifest = self.manifest.clone();
        let name = match is_temporary {
            true => self.settings.names.temp_increment(),
            false => manifest.add_increment(&self.settings.names, i64::try_from(start_offset).ok()).name.clone(),
        };
        let path = self.path(&name);
        make_dir(&*self.disk, &self.settings.dir)?;
        // An empty file of this name would be one that a failed attempt has left.
        let mut file = self.disk.append(&path)?;
        let begun = file.set_len(0).and_then(|()| file.sync()).and_then(|()| match is_temporary {
            true => self.disk.sync_dir(&self.settings.dir),
            false => self.persist(manifest),
        });
        if let Err(error) = begun {
            // The manifest may be in place already, if only it is not known to stay there: then it names an empty file
            // more, and writing goes on in the one before.
            if is_temporary || self.manifest.last_increment().is_none_or(|last| last.name != name) {
                let _ = self.disk.remove(&path); // best effort: the next attempt empties it
            }
            return Err(error);
        }
        self.increment = Some(Increment { file, path, tail: Tail::default(), is_temporary, is_torn: false });
        Ok(())
    }

    /// The file at `temp`, complete and synced, becomes the base: it holds what was written before the newest increment
    /// was begun, which is synced if it is a temporary one. On an error the set is as before, and `temp` may be gone.
    pub fn install(&mut self, temp: &Path, is_rdb: bool, start_offset: u64) -> io::Result<()> {
        let mut manifest = self.manifest.clone();
        let names = &self.settings.names;
        let path = self.path(&manifest.next_base_name(names, is_rdb));
        make_dir(&*self.disk, &self.settings.dir)?;
        self.disk.rename(temp, &path)?;
        let temporary = self.increment.as_ref().filter(|increment| increment.is_temporary).map(|it| it.path.clone());
        let mut becomes = None;
        if let Some(temporary) = &temporary {
            let name = manifest.add_increment(names, i64::try_from(start_offset).ok()).name.clone();
            let real = self.path(&name);
            if let Err(error) = self.disk.rename(temporary, &real) {
                let _ = self.disk.remove(&path); // it takes up room that may be what is missing
                return Err(error);
            }
            becomes = Some(real);
        }
        let keep = usize::from(self.increment.is_some());
        let base = manifest.replace_base(names, is_rdb, keep).name.clone();
        let installed = self.disk.sync_dir(&self.settings.dir).and_then(|()| self.persist(manifest));
        if installed.is_err() && self.manifest.base().is_none_or(|it| it.name != base) {
            let _ = self.disk.remove(&path);
            if let (Some(temporary), Some(real)) = (&temporary, &becomes) {
                // It keeps being written to, under whichever name.
                let _ = self.disk.rename(real, temporary);
            }
            return installed;
        }
        if let (Some(increment), Some(real)) = (&mut self.increment, becomes) {
            (increment.path, increment.is_temporary) = (real, false);
        }
        // Not known to stay in place: the old set may be what is there after a power failure, and nothing of it is gone.
        installed?;
        self.measure();
        self.sizes.base = self.sizes.total;
        self.collect();
        Ok(())
    }

    /// Removes what was replaced. What cannot be removed stays in the manifest, and is tried again.
    pub fn collect(&mut self) {
        if self.settings.keeps_history || self.manifest.history().is_empty() {
            return;
        }
        if self.is_unsure && self.persist(self.manifest.clone()).is_err() {
            return; // after a power failure the one before may be in its place, which names these files
        }
        let mut manifest = self.manifest.clone();
        let gone = manifest.take_history();
        let removed = gone.iter().all(|entry| match self.disk.remove(&self.path(&entry.name)) {
            Err(error) => error.kind() == io::ErrorKind::NotFound,
            Ok(()) => true,
        });
        if removed {
            // If the manifest cannot be written, it names files that are gone: nobody loads those.
            let _ = self.persist(manifest);
        }
    }

    /// An orderly end: everything is synced, and the manifest says at which offset the log ends.
    pub fn close(&mut self, end_offset: Option<u64>) -> io::Result<()> {
        let Some(increment) = self.increment.take() else { return Ok(()) };
        if increment.is_temporary {
            return self.disk.remove(&increment.path);
        }
        let Some(end_offset) = end_offset.and_then(|offset| i64::try_from(offset).ok()) else { return Ok(()) };
        let mut manifest = self.manifest.clone();
        manifest.set_end_offset(end_offset);
        self.persist(manifest)
    }

    /// Gives the base a name in the directory `into`, too, where it stays whatever becomes of this set. The increment that
    /// is written to continues it.
    pub fn pin_base(&self, into: &Path) -> io::Result<PathBuf> {
        let (base, _) = self.continued_base()?;
        let path = into.join(base.path());
        if !self.is_in(into) {
            make_dir(&*self.disk, into)?;
            self.disk.link(&self.path(&base.name), &path)?;
            self.disk.sync_dir(into)?;
        }
        Ok(path)
    }

    /// Ends a backup, at this offset of the replication stream: the increment, which is synced, is joined to the base that
    /// was pinned in `into`, and a manifest says that they belong together. Writing goes on in a new increment, unless the
    /// whole set is in `into`. The files of the backup come back, none of which changes any more.
    pub fn seal(&mut self, into: &Path, offset: u64) -> io::Result<Vec<PathBuf>> {
        let (base, increment) = self.continued_base()?;
        let (base, increment) = (into.join(base.path()), increment.clone());
        let pinned = into.join(increment.path());
        if !self.disk.exists(&base) {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("{} is gone", base.display())));
        }
        if !self.is_in(into) {
            let manifest = self.manifest.of_first(2);
            let path = self.path(&increment.name);
            self.switch(offset, false)?;
            self.disk.link(&path, &pinned)?;
            self.disk.sync_dir(into)?;
            // Only what is complete has a manifest.
            write_manifest(&*self.disk, into, &self.settings.names, &manifest)?;
            self.disk.sync_dir(into)?;
        }
        Ok(vec![base, pinned, into.join(as_path(&self.settings.names.manifest()))])
    }

    /// Whether the set is in this directory.
    pub fn is_in(&self, dir: &Path) -> bool {
        self.settings.dir == dir
    }

    /// The base, and the only increment since then.
    fn continued_base(&self) -> io::Result<(&Entry, &Entry)> {
        match (self.manifest.base(), self.manifest.increments()) {
            (Some(base), [increment]) => Ok((base, increment)),
            _ => Err(io::Error::other("the append-only file was begun anew since the base was written")),
        }
    }

    /// Writes a manifest for a set that is taken over from before there was one, and moves the old file `from` into it.
    pub fn upgrade(&mut self, manifest: Manifest, from: &Path) -> io::Result<()> {
        self.disk.create_dir(&self.settings.dir)?;
        self.disk.sync_dir(self.settings.dir.parent().unwrap_or(Path::new("")))?;
        self.persist(manifest)?;
        self.disk.rename(from, &self.path(self.settings.names.old_file()))?;
        self.disk.sync_dir(&self.settings.dir)?;
        self.measure();
        Ok(())
    }

    /// Replaces the manifest, in one step.
    fn persist(&mut self, manifest: Manifest) -> io::Result<()> {
        write_manifest(&*self.disk, &self.settings.dir, &self.settings.names, &manifest)?;
        (self.manifest, self.is_unsure) = (manifest, true);
        self.disk.sync_dir(&self.settings.dir)?;
        self.is_unsure = false;
        Ok(())
    }

    /// Looks how large the files are.
    fn measure(&mut self) {
        let size = |path: PathBuf| self.disk.open(&path).and_then(|file| file.len()).unwrap_or(0);
        let total = self.manifest.files().map(|entry| size(self.path(&entry.name))).sum();
        self.sizes = AofSizes { total, base: total };
    }

    fn path(&self, name: &[u8]) -> PathBuf {
        self.settings.dir.join(as_path(name))
    }
}

/// A manifest beyond this size is none.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;

/// Reads the manifest of a directory, if there is one. What is wrong with it is in the error, a
/// [`ManifestError`](super::manifest::ManifestError).
pub fn read_manifest(disk: &dyn Disk, settings: &AofSettings) -> io::Result<Option<Manifest>> {
    let path = settings.dir.join(as_path(&settings.names.manifest()));
    let file = match disk.open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    file.take(MANIFEST_BYTES_MAX).read_to_end(&mut bytes)?;
    Manifest::parse(&bytes).map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Replaces the manifest of a directory. It survives a power failure once the directory is synced.
fn write_manifest(disk: &dyn Disk, dir: &Path, names: &Names, manifest: &Manifest) -> io::Result<()> {
    let temp = dir.join(as_path(&names.temp_manifest()));
    let mut file = disk.create(&temp)?;
    file.write_all(&manifest.to_bytes())?;
    file.sync()?;
    drop(file);
    disk.rename(&temp, &dir.join(as_path(&names.manifest())))
}

fn make_dir(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    if disk.exists(dir) {
        return Ok(());
    }
    disk.create_dir(dir)?;
    disk.sync_dir(dir.parent().unwrap_or(Path::new("")))
}

/// Removes the files of a backup, its manifest first: what has one is whole. Files with other names stay.
pub fn discard(disk: &dyn Disk, dir: &Path, names: &Names) -> io::Result<()> {
    let mut found = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    found.retain(|name| names.are_of(name.as_bytes()));
    if found.is_empty() {
        return Ok(());
    }
    let manifest = names.manifest();
    found.sort_by_key(|name| name.as_bytes() != manifest);
    for name in found {
        let is_manifest = name.as_bytes() == manifest;
        disk.remove(&dir.join(name))?;
        if is_manifest {
            disk.sync_dir(dir)?;
        }
    }
    disk.sync_dir(dir)
}

fn not_open() -> io::Error {
    io::Error::other("there is no increment to write to")
}
