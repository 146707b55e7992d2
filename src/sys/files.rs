//! Small files that are read and written as a whole while the server runs: configuration, the process id, the log.
//!
//! Nothing here may wait: whoever opens a FIFO that has nobody at its other end would wait for ever, and the loop with
//! it. So files are opened without waiting, and what is read must be a regular file: of anything else nobody knows how
//! long reading it takes, or whether it ends.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// The contents of a regular file.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "Not a regular file"));
    }
    let mut contents = Vec::new();
    file.read_to_end(&mut contents)?;
    Ok(contents)
}

/// Makes `contents` those of a file, which is created when it is missing.
pub fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    options.open(path)?.write_all(contents)
}

/// Opens a file to write at its end, and creates it when it is missing. A FIFO must have its reader already; writing to
/// it then waits as writing to a pipe does.
pub fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.append(true).create(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    if !file.metadata()?.file_type().is_file() {
        fcntl(&file, FcntlArg::F_SETFL(OFlag::O_APPEND))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// None of this waits; the test would hang.
    #[test]
    fn what_is_no_regular_file_is_not_read() {
        let dir = std::env::temp_dir().join(format!("kvstash-files-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (fifo, socket, plain) = (dir.join("fifo"), dir.join("socket"), dir.join("plain"));
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        assert_eq!(read(&fifo).unwrap_err().to_string(), "Not a regular file");
        assert!(read(&socket).is_err() && read(&dir.join("none")).is_err());
        assert_eq!(read(Path::new("/dev/zero")).unwrap_err().to_string(), "Not a regular file");
        assert_eq!(read(&dir).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert!(write(&fifo, b"x").is_err() && append(&fifo).is_err(), "nobody reads it");
        write(&plain, b"long ago").unwrap();
        write(&plain, b"new").unwrap();
        append(&plain).unwrap().write_all(b" more").unwrap();
        assert_eq!(read(&plain).unwrap(), b"new more");
        append(Path::new("/dev/null")).unwrap().write_all(b"x").unwrap();
        // With a reader it is a pipe like others.
        let mut reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&fifo).unwrap();
        append(&fifo).unwrap().write_all(b"line").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "line");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
