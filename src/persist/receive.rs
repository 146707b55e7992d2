//! A file that comes over the network, written by a thread of its own.
//!
//! It is written under a temporary name, synced as it grows, and takes its place when it is complete; until then nothing
//! has changed, and when it never is, nothing is left of it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::sys::disk::Disk;

/// Bytes after which the file is synced, so that the last sync has little to do.
const SYNC_BYTES: u64 = 8 << 20;

/// What the thread says.
#[derive(Debug)]
pub struct Received {
    /// Which file: the number it was given.
    pub ticket: u64,
    /// Its length, if it is in its place; or why it is not. `None`: somebody waits for room, and there is some now.
    pub outcome: Option<io::Result<u64>>,
}

enum Part {
    Bytes(Vec<u8>),
    End,
}

/// A file on its way. Dropped before it is complete, it is removed.
pub struct FileReceiver {
    parts: Sender<Part>,
    waiting: Arc<AtomicU64>,
    wants_room: Arc<AtomicBool>,
    is_given_up: Arc<AtomicBool>,
}

/// Nobody waits for it any more. Once it is in its place that changes nothing.
impl Drop for FileReceiver {
    fn drop(&mut self) {
        self.is_given_up.store(true, Ordering::Release);
    }
}

impl FileReceiver {
    /// Starts the thread. `path` is where the file goes, `report` is told how it went.
    pub fn start(
        disk: Arc<dyn Disk>,
        temp: PathBuf,
        path: PathBuf,
        ticket: u64,
        report: Box<dyn Fn(Received) + Send>,
    ) -> io::Result<FileReceiver> {
        let (parts, received) = channel();
        let (waiting, wants_room) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let is_given_up = Arc::new(AtomicBool::new(false));
        let receiver = FileReceiver {
            parts,
            waiting: Arc::clone(&waiting),
            wants_room: Arc::clone(&wants_room),
            is_given_up: Arc::clone(&is_given_up),
        };
        let write = move || {
            let mut room = |bytes: u64| {
                let left = waiting.fetch_sub(bytes, Ordering::AcqRel) - bytes;
                if left == 0 && wants_room.swap(false, Ordering::AcqRel) {
                    report(Received { ticket, outcome: None });
                }
            };
            let outcome = write_parts(&*disk, (&temp, &path), &received, &is_given_up, &mut room);
            if !matches!(outcome, Ok(Some(_))) {
                let _ = disk.remove(&temp); // it may not have come to be
            }
            if let Some(outcome) = outcome.transpose() {
                report(Received { ticket, outcome: Some(outcome) });
            }
        };
        std::thread::Builder::new().name("copy-receiver".to_owned()).spawn(write)?;
        Ok(receiver)
    }

    /// A part of it came.
    pub fn push(&self, bytes: Vec<u8>) {
        self.waiting.fetch_add(bytes.len() as u64, Ordering::AcqRel);
        // When the thread has given up it has said so.
        let _ = self.parts.send(Part::Bytes(bytes));
    }

    /// That was all.
    pub fn finish(&self) {
        let _ = self.parts.send(Part::End);
    }

    /// Bytes that are not written yet.
    pub fn waiting_bytes(&self) -> u64 {
        self.waiting.load(Ordering::Acquire)
    }

    /// Has it reported when nothing waits to be written any more.
    pub fn ask_for_room(&self) -> bool {
        self.wants_room.store(true, Ordering::Release);
        // It may have been written just now, and then nobody reports.
        self.waiting_bytes() > 0
    }
}

/// Writes what comes. The length of the whole; `None` if it was given up.
fn write_parts(
    disk: &dyn Disk,
    (temp, path): (&Path, &Path),
    received: &Receiver<Part>,
    is_given_up: &AtomicBool,
    room: &mut dyn FnMut(u64),
) -> io::Result<Option<u64>> {
    let mut file = disk.create(temp)?;
    let (mut written, mut synced) = (0, 0);
    loop {
        match received.recv() {
            Ok(Part::Bytes(bytes)) => {
                file.write_all(&bytes)?;
                written += bytes.len() as u64;
                if written - synced >= SYNC_BYTES {
                    file.sync()?;
                    synced = written;
                }
                room(bytes.len() as u64);
            }
            Ok(Part::End) => break,
            Err(_) => return Ok(None),
        }
    }
    file.sync()?;
    drop(file);
    if is_given_up.load(Ordering::Acquire) {
        return Ok(None);
    }
    disk.rename(temp, path)?;
    disk.sync_dir(path.parent().unwrap_or(Path::new(".")))?;
    Ok(Some(written))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::disk::RealDisk;
    use std::sync::mpsc::Receiver as Reports;
    use std::time::Duration;

    fn start(dir: &Path) -> (FileReceiver, Reports<Received>) {
        let (sender, reports) = channel();
        let report = Box::new(move |received| drop(sender.send(received)));
        let (temp, path) = (dir.join("temp"), dir.join("copy"));
        (FileReceiver::start(Arc::new(RealDisk), temp, path, 7, report).unwrap(), reports)
    }

    fn directory(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("kvstash-receive-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn it_takes_its_place_when_it_is_complete() {
        let dir = directory("whole");
        let (receiver, reports) = start(&dir);
        receiver.push(b"one ".to_vec());
        receiver.push(b"two".to_vec());
        if receiver.ask_for_room() {
            assert!(reports.recv().unwrap().outcome.is_none());
        }
        assert!(!dir.join("copy").exists());
        receiver.finish();
        let done = reports.iter().find_map(|report| report.outcome).unwrap();
        assert_eq!(done.unwrap(), 7);
        assert_eq!(std::fs::read(dir.join("copy")).unwrap(), b"one two");
        assert!(!dir.join("temp").exists());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn one_that_is_given_up_takes_no_place_though_it_is_whole() {
        let dir = directory("late");
        std::fs::write(dir.join("copy"), "mine").unwrap();
        let (received, parts) = {
            let (sender, receiver) = channel();
            (receiver, sender)
        };
        parts.send(Part::Bytes(b"theirs".to_vec())).unwrap();
        parts.send(Part::End).unwrap();
        let (temp, path) = (dir.join("temp"), dir.join("copy"));
        let written = write_parts(&RealDisk, (&temp, &path), &received, &AtomicBool::new(true), &mut |_| ());
        assert!(matches!(written, Ok(None)));
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn nothing_is_left_of_one_that_is_given_up() {
        let dir = directory("half");
        let (receiver, reports) = start(&dir);
        receiver.push(b"one ".to_vec());
        drop(receiver);
        assert!(reports.recv_timeout(Duration::from_secs(10)).is_err(), "nobody wants to hear of it");
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
        std::fs::remove_dir_all(&dir).unwrap();
        let (receiver, reports) = start(&dir);
        receiver.push(b"one ".to_vec());
        let report = reports.recv().unwrap();
        assert!(report.ticket == 7 && report.outcome.unwrap().is_err(), "there is no such directory");
    }
}
