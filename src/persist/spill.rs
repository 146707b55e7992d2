//! What the write stream keeps on the disk for slow replicas: a thread of its own writes and reads it.
//!
//! What is to be done is decided in `stream/spill.rs`. The files have no names: they go with the process.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::stream::{SpillJob, SpillReport};
use crate::sys::disk::{Disk, DiskFile};

/// The thread. It ends when this is dropped.
pub struct SpillThread(Sender<(SpillJob, PathBuf)>);

impl SpillThread {
    /// Starts it. `tell` is called with what became of each job.
    pub fn start(disk: Arc<dyn Disk>, tell: Box<dyn Fn(SpillReport) + Send>) -> io::Result<SpillThread> {
        let (jobs, received) = channel();
        std::thread::Builder::new().name("spill".to_owned()).spawn(move || work(&*disk, &received, &*tell))?;
        Ok(SpillThread(jobs))
    }

    /// Has a job done, after all that were asked for before. A file that is needed is made at `path`.
    pub fn ask(&self, job: SpillJob, path: PathBuf) {
        // The thread ends only after this.
        let _ = self.0.send((job, path));
    }
}

type Segments = HashMap<u64, Box<dyn DiskFile>>;

fn work(disk: &dyn Disk, jobs: &Receiver<(SpillJob, PathBuf)>, tell: &dyn Fn(SpillReport)) {
    let mut segments = Segments::new();
    while let Ok((job, path)) = jobs.recv() {
        match job {
            SpillJob::Write { segment, at, parts } => {
                let result = open(disk, &mut segments, segment, &path).and_then(|file| {
                    file.seek(SeekFrom::Start(at))?;
                    parts.iter().try_for_each(|part| file.write_all(part))
                });
                tell(SpillReport::Written(result));
            }
            SpillJob::Read { segment, at, len, offset } => {
                let result = segments.get_mut(&segment).ok_or_else(|| io::Error::other("the file is gone"));
                let result = result.and_then(|file| {
                    let mut bytes = vec![0; len];
                    file.seek(SeekFrom::Start(at))?;
                    file.read_exact(&mut bytes)?;
                    Ok(bytes.into())
                });
                tell(SpillReport::Read { offset, result });
            }
            SpillJob::Drop(segment) => drop(segments.remove(&segment)),
        }
    }
}

fn open<'a>(
    disk: &dyn Disk,
    segments: &'a mut Segments,
    segment: u64,
    path: &Path,
) -> io::Result<&'a mut Box<dyn DiskFile>> {
    Ok(match segments.entry(segment) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => {
            drop(disk.create(path)?);
            let opened = disk.edit(path);
            // It goes with the handle.
            disk.remove(path)?;
            entry.insert(opened?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::disk::RealDisk;
    use bytes::Bytes;
    use std::time::Duration;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("kvstash-spill-{}-{name}", std::process::id()))
    }

    fn thread() -> (SpillThread, Receiver<SpillReport>) {
        let (sender, reports) = channel();
        let tell = Box::new(move |report| _ = sender.send(report));
        (SpillThread::start(Arc::new(RealDisk), tell).unwrap(), reports)
    }

    fn write(segment: u64, at: u64, text: &'static str) -> SpillJob {
        SpillJob::Write { segment, at, parts: text.split(' ').map(|part| Bytes::from(part.as_bytes())).collect() }
    }

    #[test]
    fn segments_keep_what_was_written_until_they_are_dropped() {
        let (thread, reports) = thread();
        let next = || reports.recv_timeout(Duration::from_secs(20)).unwrap();
        thread.ask(write(1, 0, "ab cde"), path("one"));
        thread.ask(write(2, 0, "xy"), path("one"));
        thread.ask(write(1, 5, "f"), path("one"));
        for _ in 0..3 {
            assert!(matches!(next(), SpillReport::Written(Ok(()))));
        }
        assert!(!path("one").exists());
        thread.ask(SpillJob::Read { segment: 1, at: 1, len: 5, offset: 77 }, path("one"));
        let SpillReport::Read { offset: 77, result: Ok(bytes) } = next() else { panic!("what was asked for") };
        assert_eq!(bytes, "bcdef");
        thread.ask(SpillJob::Drop(1), path("one"));
        for segment in [1, 2] {
            thread.ask(SpillJob::Read { segment, at: 0, len: 2, offset: 0 }, path("one"));
            let SpillReport::Read { result, .. } = next() else { panic!("what was asked for") };
            assert_eq!(result.is_ok(), segment == 2);
        }
    }

    #[test]
    fn a_disk_that_refuses_is_reported() {
        let (thread, reports) = thread();
        thread.ask(write(1, 0, "x"), path("missing").join("file"));
        assert!(matches!(reports.recv_timeout(Duration::from_secs(20)).unwrap(), SpillReport::Written(Err(_))));
    }
}
