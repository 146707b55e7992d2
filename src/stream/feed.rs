//! The feed: bytes in shared parts, from the oldest that somebody may still ask for to the newest.
//!
//! ```text
//!   start                                                            end
//!     | part (shared) | part (shared) | part (shared) |  tail (grows) |
//!     ^ backlog, or the oldest hold                    ^ `frozen`
//! ```
//!
//! Commands are appended to the tail. What readers are given must not move any more, so a tail is *frozen* when somebody
//! reads it, or when it is full: from then on it is a part, with a reference count, shared by the backlog and by the
//! output buffers of all replicas. While nobody reads, nothing is frozen before it is 16 KiB.
//!
//! With `repl-backlog-spill-size` the oldest parts that are held for somebody slow may lie on the disk (`spill.rs`).

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::encode::encode;
use super::spill::{Spill, SpillJob, WRITE_BYTES};
use crate::db::{Op, Target};

/// Bytes after which a tail becomes a part.
pub const PART_BYTES: usize = 16 * 1024;

/// A part, and where it begins.
struct Part {
    offset: u64,
    bytes: Bytes,
}

/// A promise that nothing from an offset on is given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hold(u32);

/// See the module's header.
pub struct Feed {
    parts: VecDeque<Part>,
    tail: BytesMut,
    /// The offset of the first byte that is still there.
    start: u64,
    /// The offset of the tail's first byte.
    frozen: u64,
    /// The offset behind the last command that is one: what only keeps readers awake comes behind it.
    written: u64,
    /// The database that the last command was for; none when the next one must name its own.
    db: Option<u32>,
    /// Somebody has read it once: from then on it advances.
    is_active: bool,
    /// How much of it is kept in any case, bytes.
    backlog: u64,
    /// The offsets that are held, by number of the hold.
    holds: Vec<Option<u64>>,
    /// What lies on the disk: its beginning.
    spill: Spill,
}

impl Feed {
    /// An empty feed that ends at offset 0 and keeps `backlog` bytes.
    pub fn new(backlog: u64) -> Feed {
        Feed {
            parts: VecDeque::new(),
            tail: BytesMut::new(),
            start: 0,
            frozen: 0,
            written: 0,
            db: None,
            is_active: false,
            backlog,
            holds: Vec::new(),
            spill: Spill::default(),
        }
    }

    /// Whether there is a backlog: since the first reader came.
    pub fn is_active(&self) -> bool {
        self.is_active
    }

    /// A first reader has come. False if it was not the first one. The first byte it will see begins a new command.
    pub fn activate(&mut self) -> bool {
        if std::mem::replace(&mut self.is_active, true) {
            return false;
        }
        self.start = self.frozen;
        self.db = None;
        true
    }

    /// As [`Feed::activate`], where the offset is what a primary says, or what was offered to one.
    pub fn activate_at(&mut self, offset: u64) -> bool {
        let begins = !std::mem::replace(&mut self.is_active, true);
        if begins {
            (self.start, self.frozen, self.written, self.db) = (offset, offset, offset, None);
        }
        begins
    }

    /// Nobody reads any more, and nobody will come back: everything is given up, the offset stays.
    pub fn deactivate(&mut self) {
        (self.start, self.frozen) = (self.end(), self.end());
        self.spill.clear();
        self.parts.clear();
        self.tail = BytesMut::new();
        self.is_active = false;
        self.db = None;
    }

    /// The offset behind the last byte: `master_repl_offset`.
    pub fn end(&self) -> u64 {
        self.frozen + self.tail.len() as u64
    }

    /// The offset behind the last command, without the PINGs and questions to replicas that came after it.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The offset of the oldest byte that is there.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The backlog's size, and from now on how much is kept.
    pub fn backlog(&self) -> u64 {
        self.backlog
    }

    /// Sets `repl-backlog-size`.
    pub fn set_backlog(&mut self, bytes: u64) {
        self.backlog = bytes;
        self.trim();
    }

    /// Bytes of memory that it takes.
    pub fn memory(&self) -> usize {
        let parts: usize = self.parts.iter().map(|part| part.bytes.len() + size_of::<Part>()).sum();
        parts + self.tail.capacity()
    }

    /// How many parts it consists of.
    pub fn parts(&self) -> usize {
        self.parts.len() + usize::from(!self.tail.is_empty())
    }

    /// The next command names its database, whatever the last one did: a reader begins here.
    pub fn forget_db(&mut self) {
        self.db = None;
    }

    /// Appends what one unit of work has done, as far as replicas are to repeat it: see [`encode`].
    pub fn emit<'a>(&mut self, ops: impl Iterator<Item = Op<'a>> + Clone) {
        let mut db = self.db;
        encode(ops.filter(|op| op.target != Target::File), &mut db, |bytes| self.append(bytes));
        self.db = db;
        self.written = self.end();
        self.trim();
    }

    /// What a primary has sent is passed on as it came.
    pub fn pass_on(&mut self, bytes: &[u8]) {
        self.append(bytes);
        self.written = self.end();
        self.trim();
    }

    /// Another history begins, whose first byte to come has this offset. Nobody may be reading.
    pub fn replace(&mut self, offset: u64) {
        debug_assert!(self.oldest_hold().is_none(), "readers of the old one are gone");
        self.spill.clear();
        self.parts.clear();
        self.tail = BytesMut::new();
        (self.start, self.frozen, self.written) = (offset, offset, offset);
        (self.is_active, self.db) = (true, None);
    }

    /// The database that the last command was for, if the next one need not name its own.
    pub fn db(&self) -> Option<u32> {
        self.db
    }

    /// The history goes on at this offset, of which nothing is known but that.
    pub fn begin_at(&mut self, offset: u64) {
        debug_assert!(!self.is_active && self.parts.is_empty(), "nobody has read anything yet");
        (self.start, self.frozen, self.written) = (offset, offset, offset);
    }

    /// Nobody reads, but offsets advance: a file is written, and clients may ask how far it is. One for each unit.
    pub fn count_unit(&mut self) {
        debug_assert!(!self.is_active, "what is read is not skipped");
        self.frozen += 1;
        (self.start, self.written) = (self.frozen, self.end());
    }

    /// Appends a PING, which belongs to no database: readers see that the link lives.
    pub fn emit_ping(&mut self) {
        self.append(b"*1\r\n$4\r\nPING\r\n");
        self.trim();
    }

    /// Appends the question how far replicas are.
    pub fn emit_getack(&mut self) {
        self.append(b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n");
        self.trim();
    }

    fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.tail.len() >= PART_BYTES {
                self.freeze();
            }
            if self.tail.capacity() == 0 {
                self.tail.reserve(PART_BYTES);
            }
            let now = bytes.len().min(PART_BYTES - self.tail.len());
            self.tail.extend_from_slice(&bytes[..now]);
            bytes = &bytes[now..];
        }
    }

    /// What is in the tail does not move any more.
    fn freeze(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        let offset = self.frozen;
        self.frozen = self.end();
        self.parts.push_back(Part { offset, bytes: self.tail.split().freeze() });
        // The rest of the allocation is used up before another one is made.
    }

    /// Hands out what comes at `offset`, in order, until it is at least `most` bytes, and says what comes next. None if
    /// there is no such offset any more, or not yet. What lies on the disk has to be fetched first: it is asked for, and
    /// nothing is handed out ([`Feed::next_spill_job`], [`Feed::is_fetched`]).
    pub fn read(&mut self, offset: u64, most: usize, mut take: impl FnMut(Bytes)) -> Option<u64> {
        if offset < self.start || offset > self.end() {
            return None;
        }
        if offset < self.memory_start() {
            self.spill.fetch(offset);
            return Some(offset);
        }
        self.freeze();
        let first = self.parts.partition_point(|part| part.offset + part.bytes.len() as u64 <= offset);
        let mut next = offset;
        for part in self.parts.range(first..) {
            if next - offset >= most as u64 {
                break;
            }
            let skipped = next - part.offset;
            take(part.bytes.slice(skipped as usize..));
            next = part.offset + part.bytes.len() as u64;
        }
        Some(next)
    }

    /// The offset of the oldest byte that is in memory.
    pub fn memory_start(&self) -> u64 {
        self.parts.front().map_or(self.frozen, |part| part.offset)
    }

    /// Sets `repl-backlog-spill-size`. What is on the disk stays there until it was read.
    pub fn set_spill(&mut self, bytes: u64) {
        self.spill.limit = bytes;
    }

    /// Bytes of the disk that it takes.
    pub fn spilled(&self) -> u64 {
        self.spill.bytes()
    }

    /// What is in memory beyond the backlog and `beyond` more bytes is to be written to the disk, if there is room for it.
    pub fn spill(&mut self, beyond: u64) {
        let excess = (self.end() - self.memory_start()).saturating_sub(self.backlog.saturating_add(beyond));
        if excess < WRITE_BYTES || !self.spill.has_room(WRITE_BYTES) {
            return;
        }
        let (mut bytes, mut parts) = (0, Vec::new());
        for part in &self.parts {
            bytes += part.bytes.len() as u64;
            if bytes > WRITE_BYTES {
                break;
            }
            parts.push(part.bytes.clone());
        }
        self.spill.write(self.memory_start(), parts);
    }

    /// Whether the disk has something to do.
    pub fn has_spill_jobs(&self) -> bool {
        self.spill.has_jobs()
    }

    /// What the disk has to do next: see [`SpillJob`].
    pub fn next_spill_job(&mut self) -> Option<SpillJob> {
        self.spill.next_job()
    }

    /// What was to be written to the disk is there, or is not.
    pub fn is_spilled(&mut self, is_ok: bool) {
        if !self.spill.is_written(is_ok) {
            return;
        }
        let end = self.spill.end().expect("something is there");
        if self.memory_start() > end {
            // Nobody needed it any more, and what came behind it was given up, too.
            return self.spill.clear();
        }
        while self.parts.front().is_some_and(|part| part.offset < end) {
            self.parts.pop_front();
        }
        self.trim();
    }

    /// What was asked for at an offset was read from the disk, or could not be.
    pub fn is_fetched(&mut self, offset: u64) {
        self.spill.is_fetched(offset);
    }

    /// From now on nothing from `offset` on is given up. It must be there.
    pub fn hold(&mut self, offset: u64) -> Hold {
        debug_assert!((self.start..=self.end()).contains(&offset), "what is held is there");
        let free = self.holds.iter().position(Option::is_none).unwrap_or_else(|| {
            self.holds.push(None);
            self.holds.len() - 1
        });
        self.holds[free] = Some(offset);
        Hold(free as u32)
    }

    /// From now on only what comes from this offset on is held: what lies before it was read.
    pub fn advance(&mut self, hold: Hold, offset: u64) {
        self.holds[hold.0 as usize] = Some(offset);
        self.trim();
    }

    /// Ends a hold.
    pub fn release(&mut self, hold: Hold) {
        self.holds[hold.0 as usize] = None;
        self.trim();
    }

    /// The oldest offset that is held.
    pub fn oldest_hold(&self) -> Option<u64> {
        self.holds.iter().flatten().min().copied()
    }

    /// Gives up parts that lie before the backlog and before what is held.
    fn trim(&mut self) {
        let backlog = self.end().saturating_sub(self.backlog);
        let needed = self.oldest_hold().map_or(backlog, |held| held.min(backlog));
        if !self.spill.is_empty() {
            self.spill.trim(needed);
            if let Some(start) = self.spill.start() {
                self.start = start;
                return;
            }
            self.start = self.memory_start();
        }
        while let Some(part) = self.parts.front() {
            let end = part.offset + part.bytes.len() as u64;
            if end > needed {
                break;
            }
            self.start = end;
            self.parts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::QuickCheck;

    fn op(db: u32, text: &'static str) -> Op<'static> {
        Op { db, target: Target::All, request: text.as_bytes() }
    }

    fn text(feed: &mut Feed, offset: u64) -> String {
        let mut all = Vec::new();
        assert_eq!(feed.read(offset, usize::MAX, |bytes| all.extend_from_slice(&bytes)), Some(feed.end()));
        String::from_utf8(all).unwrap().replace("\r\n", " ")
    }

    #[test]
    fn one_command_is_bare_and_more_are_a_transaction() {
        let mut feed = Feed::new(1 << 20);
        assert!(feed.activate() && !feed.activate());
        let start = feed.end();
        feed.emit([op(0, "A ")].into_iter());
        feed.emit([op(0, "B ")].into_iter());
        assert_eq!(text(&mut feed, start), "*2 $6 SELECT $1 0 A B ");
        let at = feed.end();
        feed.emit([].into_iter());
        assert_eq!(feed.end(), at, "nothing was done, nothing is said");
        feed.emit([op(0, "C "), op(3, "D "), op(3, "E ")].into_iter());
        assert_eq!(text(&mut feed, at), "*1 $5 MULTI C *2 $6 SELECT $1 3 D E *1 $4 EXEC ");
        let at = feed.end();
        feed.forget_db();
        feed.emit_ping();
        feed.emit([op(3, "F ")].into_iter());
        assert_eq!(text(&mut feed, at), "*1 $4 PING *2 $6 SELECT $1 3 F ");
    }

    #[test]
    fn any_cut_of_any_feed_reads_as_it_was_written() {
        fn property(steps: Vec<(u16, u8)>) -> bool {
            let mut feed = Feed::new(40_000);
            feed.activate();
            let (start, mut written) = (feed.end(), Vec::new());
            let mut held: Option<(Hold, u64)> = None;
            for (n, what) in steps {
                let request: Vec<u8> = (0..usize::from(n)).map(|i| (i ^ usize::from(n)) as u8).collect();
                feed.db = Some(0);
                feed.emit([Op { db: 0, target: Target::All, request: &request }].into_iter());
                written.extend_from_slice(&request);
                match what % 4 {
                    0 => held = held.or_else(|| Some((feed.hold(feed.end()), feed.end()))),
                    1 => {
                        if let Some((hold, _)) = held.take() {
                            feed.release(hold);
                        }
                    }
                    _ => {}
                }
                let offset = feed.start() + u64::from(what) * (feed.end() - feed.start()) / 255;
                let mut got = Vec::new();
                assert!(feed.read(offset, usize::MAX, |bytes| got.extend_from_slice(&bytes)).is_some());
                let kept = feed.end() - feed.start();
                let whole = feed.end() - start;
                assert!(kept >= whole.min(40_000), "the backlog is there");
                assert!(held.is_none_or(|(_, offset)| feed.start() <= offset), "what is held is there");
                assert!(held.is_some() || kept <= 40_000 + PART_BYTES as u64, "and not much more");
                if got != written[(offset - start) as usize..] {
                    return false;
                }
            }
            let (before, behind) = (feed.start().checked_sub(1), feed.end() + 1);
            assert_eq!(feed.read(behind, 1, |_| ()), None);
            before.is_none_or(|before| before < start || feed.read(before, 1, |_| ()).is_none())
        }
        QuickCheck::new().tests(200).quickcheck(property as fn(Vec<(u16, u8)>) -> bool);
    }

    #[test]
    fn readers_share_the_bytes() {
        let mut feed = Feed::new(1 << 20);
        feed.activate();
        let start = feed.end();
        feed.emit([op(0, "shared")].into_iter());
        let (mut one, mut other) = (Bytes::new(), Bytes::new());
        feed.read(start, 1, |bytes| one = bytes);
        feed.read(start, 1, |bytes| other = bytes);
        assert_eq!(one.as_ptr(), other.as_ptr());
    }

    #[test]
    fn an_inactive_feed_keeps_its_offset() {
        let mut feed = Feed::new(100);
        feed.activate();
        feed.emit([op(0, "SET")].into_iter());
        let end = feed.end();
        feed.deactivate();
        assert_eq!((feed.end(), feed.start(), feed.memory(), feed.is_active()), (end, end, 0, false));
    }
}
