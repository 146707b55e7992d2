//! Files behind a trait, so that the rooms which must survive a power failure can be tested against one.
//!
//! Durability is a sequence of small steps (write, sync the file, rename, sync the directory), and each of them can
//! be the last one before the lights go out. A test can not switch off the machine, but it can hand out a [`Disk`]
//! that keeps two images, what was written and what was synced, and stops at the n-th step. That is why the steps
//! are visible here: [`DiskFile::sync`] and [`Disk::sync_dir`] are separate, and nothing syncs by itself.
//!
//! [`RealDisk`] is the file system itself.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

/// An open file.
pub trait DiskFile: Read + Write + Seek + Send {
    /// Makes what was written survive a power failure: contents and length.
    fn sync(&mut self) -> io::Result<()>;

    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts the file, or extends it with zeros.
    fn set_len(&mut self, len: u64) -> io::Result<()>;

    /// A second handle on the same open file, for a thread that syncs while another writes.
    fn try_clone(&self) -> io::Result<Box<dyn DiskFile>>;

    /// Starts writing back `len` bytes from `offset`, and lets the system forget the pages: a hint, so that a
    /// large file is not synced in one long stall at its end, nor pushes everything else out of memory.
    fn write_back(&self, offset: u64, len: u64);
}

/// A file system: the few things persistence does to one.
pub trait Disk: Send + Sync {
    /// Creates a file for writing, empty; one that is there is emptied.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file for writing at its end, and creates it when it is missing.
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens an existing file for reading and writing: repairs.
    fn edit(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Puts `from` at the place of `to`, in one step. Survives a power failure only after [`Disk::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name, on the same file system. It must not be taken. Survives a power failure only after
    /// [`Disk::sync_dir`].
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in a directory survive a power failure.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Creates a directory and those above it; one that is there is fine.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// The names in a directory, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Whether a file or directory is there.
    fn exists(&self, path: &Path) -> bool;
}

/// The file system of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::open(path)?))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().append(true).create(true).open(path)?))
    }

    fn edit(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(this_dir_if_empty(dir))?.sync_all()
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(this_dir_if_empty(dir))? {
            // A name that is not text was not written by us, so nobody here looks for it.
            names.extend(entry?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
}

/// `Path::parent` of a bare file name is the empty path, which the system calls do not take.
fn this_dir_if_empty(dir: &Path) -> &Path {
    if dir.as_os_str().is_empty() { Path::new(".") } else { dir }
}

impl DiskFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data() // contents and length; not the time of the last change, which nobody needs
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn try_clone(&self) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::try_clone(self)?))
    }

    fn write_back(&self, offset: u64, len: u64) {
        let fd = self.as_raw_fd();
        let (Ok(offset), Ok(len)) = (i64::try_from(offset), i64::try_from(len)) else { return };
        #[cfg(target_os = "linux")]
        // SAFETY: both calls take a descriptor that `self` keeps open, and numbers; they touch no memory of ours.
        // They are hints, so their results do not matter.
        unsafe {
            libc::sync_file_range(fd, offset, len, libc::SYNC_FILE_RANGE_WRITE);
            libc::posix_fadvise(fd, offset, len, libc::POSIX_FADV_DONTNEED);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (fd, offset, len);
    }
}

/// The operating system's sentence, without the number that std adds to it.
pub fn os_text(error: &io::Error) -> String {
    let text = match error.raw_os_error() {
        Some(_) => error.to_string(),
        None if error.kind() == io::ErrorKind::NotADirectory => "Not a directory".to_owned(),
        None => error.to_string(),
    };
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_of_a_safe_replacement() {
        let dir = std::env::temp_dir().join(format!("kvstash-disk-{}", std::process::id()));
        let disk: &dyn Disk = &RealDisk;
        disk.create_dir(&dir).unwrap();
        let (temp, path) = (dir.join("temp"), dir.join("data"));
        let mut file = disk.create(&temp).unwrap();
        assert!(file.is_empty().unwrap());
        file.write_all(b"hello").unwrap();
        file.write_back(0, 5);
        file.sync().unwrap();
        disk.rename(&temp, &path).unwrap();
        disk.sync_dir(&dir).unwrap();
        assert_eq!(disk.list(&dir).unwrap(), ["data"]);

        let mut file = disk.append(&path).unwrap();
        let mut other = file.try_clone().unwrap();
        file.write_all(b" world").unwrap();
        other.sync().unwrap();
        assert_eq!(file.len().unwrap(), 11);

        let mut file = disk.edit(&path).unwrap();
        file.set_len(4).unwrap();
        let mut text = String::new();
        disk.open(&path).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "hell");
        assert!(disk.exists(&path));
        disk.remove(&path).unwrap();
        assert!(!disk.exists(&path));
        assert!(disk.open(&path).is_err());
        std::fs::remove_dir(&dir).unwrap();
    }

    #[test]
    fn the_parent_of_a_bare_name() {
        RealDisk.sync_dir(Path::new("dump.rdb").parent().unwrap()).unwrap();
        assert!(!RealDisk.list(Path::new("")).unwrap().is_empty());
    }
}
