//! The part of the feed that lies on the disk: what slow replicas have still to get, and what is too much for memory.
//!
//! ```text
//!   start                                                             end
//!     | extent | extent | being written |  parts in memory  |  tail  |
//!     ^ the slowest     ^ `memory_start`
//! ```
//!
//! The oldest parts go first, so what is on the disk is always the beginning of the feed. Here is only what is where, and
//! what is to be done next: the jobs are done by a thread (`persist/spill.rs`), which reports. One write is under way at a
//! time, and until it is done its bytes are in memory, too.
//!
//! The disk is used in segments, so that what was read by all is given back before everything is.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;

/// A write takes at most so much.
pub(super) const WRITE_BYTES: u64 = 1 << 20;

/// A read brings at most so much.
const READ_BYTES: u64 = 1 << 20;

/// After so many bytes another segment begins.
const SEGMENT_BYTES: u64 = 64 << 20;

/// Something to be done with the disk.
#[derive(Debug)]
pub enum SpillJob {
    /// Append to a segment, which is made if it is not there.
    Write {
        /// The number of the segment.
        segment: u64,
        /// Where in it.
        at: u64,
        /// What.
        parts: Vec<Bytes>,
    },
    /// Read from a segment.
    Read {
        /// The number of the segment.
        segment: u64,
        /// Where in it.
        at: u64,
        /// How much.
        len: usize,
        /// The offset in the feed.
        offset: u64,
    },
    /// Nobody needs the segment any more.
    Drop(u64),
}

/// What became of a job.
#[derive(Debug)]
pub enum SpillReport {
    /// What was to be written is, or is not.
    Written(io::Result<()>),
    /// What was to be read.
    Read {
        /// Its offset in the feed.
        offset: u64,
        /// The bytes.
        result: io::Result<Bytes>,
    },
}

/// Bytes of the feed in a segment.
#[derive(Debug)]
struct Extent {
    offset: u64,
    len: u64,
    segment: u64,
    at: u64,
}

impl Extent {
    fn end(&self) -> u64 {
        self.offset + self.len
    }
}

/// See the module's header.
#[derive(Default)]
pub(super) struct Spill {
    /// `repl-backlog-spill-size`: at most so much is on the disk.
    pub limit: u64,
    extents: VecDeque<Extent>,
    /// It is an extent when it is done,
    writing: Option<Extent>,
    /// unless everything was given up meanwhile.
    is_void: bool,
    /// Offsets that are being read.
    reading: Vec<u64>,
    /// The segment that is written to, and how long it is.
    segment: u64,
    segment_len: u64,
    /// Bytes of the segments before it that are still there.
    full_bytes: VecDeque<(u64, u64)>,
    jobs: VecDeque<SpillJob>,
}

impl Spill {
    /// Whether anything is there, or on its way.
    pub fn is_empty(&self) -> bool {
        self.extents.is_empty() && self.writing.is_none()
    }

    /// The offset behind the last byte that is nowhere but on the disk.
    pub fn end(&self) -> Option<u64> {
        self.extents.back().map(Extent::end)
    }

    /// Bytes on the disk, those included that nobody needs any more but that cannot be given back yet.
    pub fn bytes(&self) -> u64 {
        self.segment_len + self.full_bytes.iter().map(|(_, bytes)| bytes).sum::<u64>()
    }

    /// Whether so many more bytes may be written now.
    pub fn has_room(&self, bytes: u64) -> bool {
        self.writing.is_none() && self.bytes() + bytes <= self.limit
    }

    /// Has bytes of the feed written.
    pub fn write(&mut self, offset: u64, parts: Vec<Bytes>) {
        let len: u64 = parts.iter().map(|part| part.len() as u64).sum();
        // A small limit is used in small segments, else most of it would wait for its last byte.
        if self.segment_len >= SEGMENT_BYTES.min(self.limit / 8) {
            self.full_bytes.push_back((self.segment, self.segment_len));
            (self.segment, self.segment_len) = (self.segment + 1, 0);
        }
        let (segment, at) = (self.segment, self.segment_len);
        self.segment_len += len;
        self.writing = Some(Extent { offset, len, segment, at });
        self.jobs.push_back(SpillJob::Write { segment, at, parts });
    }

    /// The write is done. True if what was written is on the disk.
    pub fn is_written(&mut self, is_ok: bool) -> bool {
        let Some(extent) = self.writing.take() else { return false };
        let is_kept = is_ok && !std::mem::take(&mut self.is_void);
        if is_kept {
            self.extents.push_back(extent);
        } else {
            self.drop_segments();
            // What is there of it is overwritten.
            self.segment_len = self.segment_len.min(extent.at);
        }
        is_kept
    }

    /// Has the bytes from an offset on read, if they are on the disk. The report names that offset.
    pub fn fetch(&mut self, offset: u64) {
        let at = self.extents.partition_point(|extent| extent.end() <= offset);
        let Some(extent) = self.extents.get(at) else { return };
        if self.reading.contains(&offset) {
            return;
        }
        let skipped = offset - extent.offset;
        let len = READ_BYTES.min(extent.len - skipped) as usize;
        self.reading.push(offset);
        self.jobs.push_back(SpillJob::Read { segment: extent.segment, at: extent.at + skipped, len, offset });
    }

    /// What was to be read at an offset is there, or cannot be read.
    pub fn is_fetched(&mut self, offset: u64) {
        self.reading.retain(|other| *other != offset);
    }

    /// Gives up what lies before an offset.
    pub fn trim(&mut self, needed: u64) {
        while self.extents.front().is_some_and(|extent| extent.end() <= needed) {
            self.extents.pop_front();
        }
        self.drop_segments();
    }

    /// The offset of the first byte on the disk.
    pub fn start(&self) -> Option<u64> {
        self.extents.front().map(|extent| extent.offset)
    }

    /// Gives everything up.
    pub fn clear(&mut self) {
        self.extents.clear();
        self.is_void = self.writing.is_some();
        self.drop_segments();
    }

    /// Segments that nothing is in any more are given back.
    fn drop_segments(&mut self) {
        let oldest = self.extents.front().or(self.writing.as_ref()).map(|extent| extent.segment);
        while let Some(&(segment, _)) = self.full_bytes.front() {
            if oldest.is_some_and(|oldest| oldest <= segment) {
                return;
            }
            self.full_bytes.pop_front();
            self.jobs.push_back(SpillJob::Drop(segment));
        }
        if oldest.is_none() && self.segment_len > 0 {
            self.jobs.push_back(SpillJob::Drop(self.segment));
            (self.segment, self.segment_len) = (self.segment + 1, 0);
        }
    }

    /// Whether there is something to be done.
    pub fn has_jobs(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// The next thing to be done.
    pub fn next_job(&mut self) -> Option<SpillJob> {
        self.jobs.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{Op, Target};
    use crate::stream::{Feed, Hold};
    use std::collections::HashMap;

    /// A disk that does one job when it is told to.
    #[derive(Default)]
    struct Disk {
        segments: HashMap<u64, Vec<u8>>,
        jobs: VecDeque<SpillJob>,
        fails: bool,
    }

    /// Somebody who reads slowly.
    struct Reader {
        hold: Hold,
        next: u64,
        got: Vec<u8>,
    }

    impl Disk {
        /// Does the next job, and gives what it has read to whoever waits for it.
        fn work(&mut self, feed: &mut Feed, readers: &mut [Reader]) -> bool {
            self.jobs.extend(std::iter::from_fn(|| feed.next_spill_job()));
            match self.jobs.pop_front() {
                None => return false,
                Some(SpillJob::Write { segment, at, parts }) => {
                    let file = self.segments.entry(segment).or_default();
                    if self.fails {
                        file.extend_from_slice(b"half of it");
                    } else {
                        assert!(file.len() as u64 >= at);
                        file.truncate(at as usize);
                        parts.iter().for_each(|part| file.extend_from_slice(part));
                    }
                    feed.is_spilled(!self.fails);
                }
                Some(SpillJob::Read { segment, at, len, offset }) => {
                    let bytes = Bytes::copy_from_slice(&self.segments[&segment][at as usize..][..len]);
                    feed.is_fetched(offset);
                    for reader in readers.iter_mut().filter(|reader| reader.next == offset) {
                        reader.got.extend_from_slice(&bytes);
                        reader.next += bytes.len() as u64;
                        feed.advance(reader.hold, reader.next);
                    }
                }
                Some(SpillJob::Drop(segment)) => assert!(self.segments.remove(&segment).is_some(), "{segment}"),
            }
            true
        }

        fn bytes(&self) -> u64 {
            self.segments.values().map(|file| file.len() as u64).sum()
        }
    }

    impl Reader {
        fn new(feed: &mut Feed) -> Reader {
            Reader { hold: feed.hold(feed.end()), next: feed.end(), got: Vec::new() }
        }

        fn read(&mut self, feed: &mut Feed, most: usize) {
            let Reader { hold, next, got } = self;
            *next = feed.read(*next, most, |bytes| got.extend_from_slice(&bytes)).expect("it is held");
            feed.advance(*hold, *next);
        }
    }

    const BACKLOG: u64 = 100_000;
    const BEYOND: u64 = 200_000;

    fn write(feed: &mut Feed, written: &mut Vec<u8>, n: u64, bytes: usize) {
        let request: Vec<u8> = (0..bytes).map(|at| (at as u64 ^ n) as u8).collect();
        let before = feed.end();
        feed.emit([Op { db: 0, target: Target::All, request: &request }].into_iter());
        let prefix = (feed.end() - before) as usize - bytes;
        written.extend_from_slice(&b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"[..prefix]);
        written.extend_from_slice(&request);
    }

    /// Readers of any pace, a disk that is slow and fails now and then: everyone gets what was written.
    fn run(seed: u64) {
        let mut rng = fastrand(seed);
        let limit = 2 * WRITE_BYTES + rng() % (20 * WRITE_BYTES);
        let (mut feed, mut disk, mut written) = (Feed::new(BACKLOG), Disk::default(), Vec::new());
        feed.set_spill(limit);
        feed.activate();
        let start = feed.end();
        let mut readers = Vec::new();
        for n in 0..1000 {
            write(&mut feed, &mut written, n, (rng() % 40_000) as usize);
            match rng() % 16 {
                0 if readers.len() < 3 => readers.push(Reader::new(&mut feed)),
                1 if readers.len() > 1 => feed.release(readers.swap_remove(0).hold),
                2 => disk.fails = rng().is_multiple_of(8),
                _ => {}
            }
            for (at, reader) in readers.iter_mut().enumerate() {
                if rng() % 4 >= at as u64 {
                    reader.read(&mut feed, (rng() % 100_000) as usize);
                }
            }
            feed.spill(BEYOND);
            for _ in 0..rng() % 4 {
                disk.work(&mut feed, &mut readers);
            }
            assert!(disk.bytes() <= limit + 1000, "{} of {limit}", disk.bytes());
            for reader in readers.iter().filter(|_| n % 100 == 0) {
                let from = (reader.next - start) as usize - reader.got.len();
                assert!(written[from..].starts_with(&reader.got), "seed {seed}, step {n}");
            }
        }
        disk.fails = false;
        while readers.iter().any(|reader| reader.next < feed.end()) {
            readers.iter_mut().for_each(|reader| reader.read(&mut feed, 1 << 20));
            disk.work(&mut feed, &mut readers);
        }
        for reader in readers {
            assert!(written.ends_with(&reader.got), "seed {seed}");
            feed.release(reader.hold);
        }
        while disk.work(&mut feed, &mut []) {}
        assert_eq!((disk.bytes(), feed.spilled()), (0, 0), "seed {seed}: what nobody needs is given back");
        assert!(feed.end() - feed.start() <= BACKLOG + 40_000);
    }

    /// A generator good enough for a test: xorshift.
    fn fastrand(seed: u64) -> impl FnMut() -> u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state >> 11
        }
    }

    #[test]
    fn any_reader_gets_everything_however_slow() {
        (1..=8).for_each(run);
    }

    #[test]
    fn memory_stays_small_while_there_is_room_on_the_disk() {
        let (mut feed, mut disk, mut written) = (Feed::new(BACKLOG), Disk::default(), Vec::new());
        feed.set_spill(64 * WRITE_BYTES);
        feed.activate();
        let mut readers = [Reader::new(&mut feed)];
        for n in 0..3000 {
            write(&mut feed, &mut written, n, 10_000);
            feed.spill(BEYOND);
            while disk.work(&mut feed, &mut readers) {}
            assert!(feed.end() - feed.memory_start() < BACKLOG + BEYOND + WRITE_BYTES + 20_000);
        }
        assert!(feed.spilled() > 25 * WRITE_BYTES, "{}", feed.spilled());
        // The feed is another one: a write that is under way is for nothing.
        feed.release(readers[0].hold);
        let _held = feed.hold(feed.end());
        for n in 0..200 {
            write(&mut feed, &mut written, n, 10_000);
        }
        feed.spill(BEYOND);
        feed.deactivate();
        while disk.work(&mut feed, &mut []) {}
        assert_eq!((disk.bytes(), feed.spilled(), feed.start()), (0, 0, feed.end()));
    }
}
