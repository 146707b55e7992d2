//! A file that is sent while it is written: the snapshot thread appends parts, and any number of readers take them, each
//! at its own pace.
//!
//! ```text
//!   parts:   [ spilled | spilled | in memory | in memory ]  <- the writer appends here
//!                 ^ a slow reader        ^ the fastest
//! ```
//!
//! A part is in memory once, whoever reads it, and is let go when the slowest has taken it. The writer stays at most
//! [`AHEAD_BYTES`] ahead of the *fastest* reader, so that nobody waits for a slow one; what a slow one keeps beyond
//! [`HELD_BYTES`] goes to a file that has no name any more. While all keep pace there is no file.

use std::collections::VecDeque;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::sys::disk::{Disk, DiskFile};

/// Bytes of a part.
const PART_BYTES: usize = 128 * 1024;

/// A reader that waits is given as little as this.
const SMALL_PART_BYTES: usize = 16 * 1024;

/// The writer may be so far ahead of the fastest reader.
const AHEAD_BYTES: u64 = 8 << 20;

/// So much is held in memory for slower ones.
const HELD_BYTES: u64 = 32 << 20;

/// Bytes of the copy, and where they are.
enum Part {
    Memory(Bytes),
    Spilled { at: u64, len: usize },
}

impl Part {
    fn len(&self) -> u64 {
        match self {
            Part::Memory(bytes) => bytes.len() as u64,
            Part::Spilled { len, .. } => *len as u64,
        }
    }
}

#[derive(Default)]
struct State {
    parts: VecDeque<Part>,
    /// Where the first part begins.
    start: u64,
    /// Where the last one ends.
    end: u64,
    /// How much is in memory.
    held: u64,
    /// How much was taken by the fastest reader.
    fastest: u64,
    /// Nobody reads any more.
    is_abandoned: bool,
    /// Somebody waits for more, and wants to be told.
    wants_more: bool,
    /// What readers read spilled parts from.
    spilled: Option<Box<dyn DiskFile>>,
}

struct Shared {
    state: Mutex<State>,
    moved: Condvar,
    disk: Arc<dyn Disk>,
    /// Where a file for slow readers is made.
    spill_path: PathBuf,
    /// Called by the writer when somebody who waits can go on.
    more: Box<dyn Fn() + Send + Sync>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What readers have of it. See the module's header.
#[derive(Clone)]
pub struct Outgoing(Arc<Shared>);

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outgoing").finish_non_exhaustive()
    }
}

/// What a reader gets.
#[derive(Debug)]
pub enum Taken {
    /// What comes next.
    Bytes(Bytes),
    /// There is no more yet.
    Waits,
}

impl Outgoing {
    /// An empty one. `more` is called, on the writer's thread, when a reader that had to wait can go on.
    pub fn new(disk: Arc<dyn Disk>, spill_path: PathBuf, more: Box<dyn Fn() + Send + Sync>) -> Outgoing {
        let (state, moved) = (Mutex::default(), Condvar::new());
        Outgoing(Arc::new(Shared { state, moved, disk, spill_path, more }))
    }

    /// The end that writes.
    pub fn writer(&self) -> OutgoingWriter {
        OutgoingWriter { shared: Arc::clone(&self.0), buffer: Vec::with_capacity(PART_BYTES), spill: None }
    }

    /// The part that begins at `at`, where the reader has read up to.
    pub fn take(&self, at: u64) -> io::Result<Taken> {
        let mut state = self.0.state();
        if at > state.fastest {
            state.fastest = at;
            self.0.moved.notify_one();
        }
        if at == state.end {
            state.wants_more = true;
            return Ok(Taken::Waits);
        }
        let mut from = state.start;
        let State { parts, spilled, .. } = &mut *state;
        for part in parts {
            if from == at {
                return Ok(Taken::Bytes(match part {
                    Part::Memory(bytes) => bytes.clone(),
                    Part::Spilled { at, len } => {
                        let file = spilled.as_mut().ok_or_else(|| io::Error::other("the file is gone"))?;
                        let mut bytes = vec![0; *len];
                        file.seek(SeekFrom::Start(*at))?;
                        file.read_exact(&mut bytes)?;
                        bytes.into()
                    }
                }));
            }
            from += part.len();
        }
        Err(io::Error::other("a part that was let go"))
    }

    /// The slowest reader has read up to here: what lies before is let go.
    pub fn release(&self, to: u64) {
        let mut state = self.0.state();
        while let Some(first) = state.parts.front() {
            let len = first.len();
            if state.start + len > to {
                break;
            }
            if let Some(Part::Memory(_)) = state.parts.pop_front() {
                state.held -= len;
            }
            state.start += len;
        }
    }

    /// Whether both are the same copy.
    pub fn is(&self, other: &Outgoing) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Nobody reads it any more.
    pub fn abandon(&self) {
        self.0.state().is_abandoned = true;
        self.0.moved.notify_one();
    }

    /// Bytes that were written so far.
    pub fn written(&self) -> u64 {
        self.0.state().end
    }

    /// Memory that it takes.
    pub fn memory(&self) -> u64 {
        self.0.state().held
    }
}

/// The end that the snapshot thread writes to.
pub struct OutgoingWriter {
    shared: Arc<Shared>,
    buffer: Vec<u8>,
    /// The file for slow readers, and how long it is.
    spill: Option<(Box<dyn DiskFile>, u64)>,
}

impl OutgoingWriter {
    /// Hands over what is written. Waits while the fastest reader is too far behind.
    fn hand_over(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let part = Bytes::from(std::mem::replace(&mut self.buffer, Vec::with_capacity(PART_BYTES)));
        let mut state = self.shared.state();
        while state.end - state.fastest > AHEAD_BYTES && !state.is_abandoned {
            state = self.shared.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_abandoned {
            return Err(io::Error::other("nobody reads it any more"));
        }
        state.end += part.len() as u64;
        state.held += part.len() as u64;
        state.parts.push_back(Part::Memory(part));
        let tells = std::mem::take(&mut state.wants_more);
        let spills = state.held > HELD_BYTES;
        drop(state);
        if tells {
            (self.shared.more)();
        }
        if spills { self.spill() } else { Ok(()) }
    }

    /// The file for slow readers, which is made when it is first needed.
    fn spill_file(&mut self) -> io::Result<&mut (Box<dyn DiskFile>, u64)> {
        if self.spill.is_none() {
            let Shared { disk, spill_path: path, .. } = &*self.shared;
            drop(disk.create(path)?);
            let opened = disk.edit(path).and_then(|writes| Ok((writes, disk.open(path)?)));
            // It goes with whoever has it open.
            disk.remove(path)?;
            let (writes, reads) = opened?;
            self.shared.state().spilled = Some(reads);
            self.spill = Some((writes, 0));
        }
        Ok(self.spill.as_mut().expect("it was just made"))
    }

    /// Writes the oldest parts in memory to a file, without keeping readers waiting for that.
    fn spill(&mut self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        loop {
            let oldest = shared.state().oldest_to_spill();
            let Some((from, bytes)) = oldest else { return Ok(()) };
            let (file, end) = self.spill_file()?;
            let at = *end;
            file.write_all(&bytes)?;
            *end += bytes.len() as u64;
            shared.state().is_spilled(from, at, bytes.len());
        }
    }
}

impl State {
    /// The oldest part in memory, and where it begins, while there is too much in memory.
    fn oldest_to_spill(&self) -> Option<(u64, Bytes)> {
        let mut from = self.start;
        for part in self.parts.iter().take_while(|_| self.held > HELD_BYTES) {
            if let Part::Memory(bytes) = part {
                return Some((from, bytes.clone()));
            }
            from += part.len();
        }
        None
    }

    /// The part that begins at `from` is in the file, if nobody has let it go meanwhile.
    fn is_spilled(&mut self, from: u64, at: u64, len: usize) {
        let mut place = self.start;
        for part in &mut self.parts {
            if place == from {
                *part = Part::Spilled { at, len };
                self.held -= len as u64;
                return;
            }
            place += part.len();
        }
    }
}

impl Write for OutgoingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(PART_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..n]);
        let small = self.buffer.len() / SMALL_PART_BYTES;
        let is_enough = small > (self.buffer.len() - n) / SMALL_PART_BYTES && self.shared.state().wants_more;
        if is_enough || self.buffer.len() >= PART_BYTES {
            self.hand_over()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hand_over()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::disk::RealDisk;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("kvstash-outgoing-{}-{name}", std::process::id()))
    }

    fn byte(at: u64) -> u8 {
        (at / 7 % 251) as u8
    }

    /// Writes `total` bytes on a thread; what it is told is counted.
    fn write(out: &Outgoing, total: u64) -> std::thread::JoinHandle<io::Result<()>> {
        let mut writer = out.writer();
        std::thread::spawn(move || {
            let all: Vec<u8> = (0..total).map(byte).collect();
            for part in all.chunks(10_000) {
                writer.write_all(part)?;
            }
            writer.flush()
        })
    }

    fn take(out: &Outgoing, at: &mut u64) -> bool {
        match out.take(*at).unwrap() {
            Taken::Waits => false,
            Taken::Bytes(bytes) => {
                assert!(bytes.iter().zip(*at..).all(|(&got, at)| got == byte(at)));
                *at += bytes.len() as u64;
                true
            }
        }
    }

    #[test]
    fn a_slow_reader_holds_nobody_and_gets_everything() {
        let path = path("slow");
        let (sender, more) = channel();
        let out = Outgoing::new(Arc::new(RealDisk), path.clone(), Box::new(move || _ = sender.send(())));
        let total = 3 * HELD_BYTES;
        let writer = write(&out, total);
        let (mut fast, mut slow) = (0, 0);
        while fast < total {
            if !take(&out, &mut fast) {
                more.recv_timeout(Duration::from_secs(20)).expect("the writer tells when there is more");
            }
            if fast > total / 2 && slow == 0 {
                take(&out, &mut slow);
            }
            out.release(fast.min(slow));
            assert!(out.memory() <= HELD_BYTES + AHEAD_BYTES, "{}", out.memory());
        }
        writer.join().unwrap().unwrap();
        assert!(!path.exists(), "the file has no name");
        while slow < total {
            assert!(take(&out, &mut slow), "all of it is there");
            out.release(slow);
        }
        assert_eq!((out.memory(), out.written()), (0, total));
        assert!(out.take(0).is_err(), "what was let go is gone");
    }

    #[test]
    fn the_writer_waits_for_the_fastest_and_ends_when_nobody_reads() {
        let out = Outgoing::new(Arc::new(RealDisk), path("nobody"), Box::new(|| ()));
        let writer = write(&out, 4 * AHEAD_BYTES);
        while out.written() <= AHEAD_BYTES {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(20));
        assert!(out.written() <= AHEAD_BYTES + PART_BYTES as u64);
        out.abandon();
        assert!(writer.join().unwrap().is_err());
    }

    #[test]
    fn a_disk_that_fails_ends_it_only_when_it_is_needed() {
        let nowhere = path("no-such-directory").join("spill");
        let out = Outgoing::new(Arc::new(RealDisk), nowhere, Box::new(|| ()));
        let writer = write(&out, HELD_BYTES + (4 << 20));
        let (mut fast, mut error) = (0, None);
        while error.is_none() {
            take(&out, &mut fast);
            if writer.is_finished() {
                error = Some(());
            }
        }
        assert!(writer.join().unwrap().is_err(), "the slow one's part could not be put away");
    }
}
