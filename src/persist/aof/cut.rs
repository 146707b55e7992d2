//! Cutting a file off: what is cut is in a file beside it before it is.

use crate::sys::disk::Disk;
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Cuts a file off at `offset`, and names the file that has the rest from then on: a new one, whatever is there already.
pub fn cut_off(disk: &dyn Disk, path: &Path, offset: u64) -> io::Result<PathBuf> {
    let kept = beside(disk, path, offset);
    let mut source = disk.edit(path)?;
    source.seek(SeekFrom::Start(offset))?;
    let mut copy = disk.create(&kept)?;
    io::copy(&mut source, &mut copy)?;
    copy.sync()?;
    disk.sync_dir(kept.parent().unwrap_or(Path::new("")))?;
    source.set_len(offset)?;
    source.sync()?;
    Ok(kept)
}

/// A name that nothing has yet.
fn beside(disk: &dyn Disk, path: &Path, offset: u64) -> PathBuf {
    let name = |suffix: String| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".cut-{offset}{suffix}"));
        PathBuf::from(name)
    };
    let mut kept = name(String::new());
    let mut next = 2;
    while disk.exists(&kept) {
        kept = name(format!(".{next}"));
        next += 1;
    }
    kept
}
