//! Replies that are not sent before enough replicas have what they speak of: quorum writes.
//!
//! When a request is over, what it has to wait for is noted, with the place of its reply. Before what the client is owed is
//! sent, everything from the first reply on that must wait is moved here, so that it stays in order. It is let go from the
//! front. A reply that has waited for too long is dropped, and an error stands in its place.
//!
//! Here is no clock and no replica: somebody says which conditions are met, and what time it is.

use std::collections::VecDeque;

use crate::util::output_buffer::{Mark, OutputBuffer};

/// How many replicas must have what a client has written before it is told so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Demand {
    /// So many replicas. 0: none.
    pub acks: u32,
    /// On their disks.
    pub fsync: bool,
    /// It is told that the outcome is unknown after so many milliseconds. 0: never.
    pub timeout_ms: u64,
}

impl Demand {
    /// What satisfies both. The time is this one's.
    pub fn with(self, other: Demand) -> Demand {
        Demand { acks: self.acks.max(other.acks), fsync: self.fsync || other.fsync, timeout_ms: self.timeout_ms }
    }
}

/// What it is that waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// The reply to a write.
    Write,
    /// A reply that may show what others have written.
    Read,
    /// What the client has not asked for, and cannot be told an error instead of.
    Push,
    /// Nothing of its own: it comes behind something that waits.
    Rest,
}

/// When something may be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Condition {
    /// What it is.
    pub what: What,
    /// So many replicas must have
    pub acks: u32,
    /// on their disks
    pub fsync: bool,
    /// everything up to this offset,
    pub offset: u64,
    /// and the append-only file must be safe up to here.
    pub file: u64,
    /// That is demanded by the configuration, and not by the client.
    pub is_common: bool,
    /// When it has waited for too long; `u64::MAX` for never.
    pub deadline_ns: u64,
}

impl Condition {
    /// Of what has to wait for nothing but what stands before it.
    pub const NONE: Condition = Condition {
        what: What::Rest,
        acks: 0,
        fsync: false,
        offset: 0,
        file: 0,
        is_common: false,
        deadline_ns: u64::MAX,
    };

    fn is_answer(&self) -> bool {
        matches!(self.what, What::Write | What::Read)
    }

    /// Whether two replies behind each other can wait as one.
    fn is_like(&self, other: &Condition) -> bool {
        (self.what, self.acks, self.fsync, self.is_common) == (other.what, other.acks, other.fsync, other.is_common)
    }
}

/// Bytes behind each other with one condition.
struct Piece {
    bytes: usize,
    /// How many replies it is.
    replies: u32,
    until: Condition,
}

/// A reply that is still among what the client is owed: from where to where.
struct Note {
    begin: usize,
    end: usize,
    replies: u32,
    until: Condition,
}

/// What became of what waited.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Released {
    /// Something may be sent now.
    pub some: bool,
    /// So many replies were let go that had waited for a write.
    pub writes: u32,
    /// In the place of so many replies stands an error.
    pub refused: u32,
    /// A reply has waited for too long behind something that cannot be replaced: the client is to be closed.
    pub is_stuck: bool,
}

/// What waits of one client.
#[derive(Default)]
pub struct Held {
    notes: Vec<Note>,
    pieces: VecDeque<Piece>,
    out: OutputBuffer,
}

impl Held {
    /// What was appended to `out` since `before` is a reply that has to wait.
    pub fn note(&mut self, out: &OutputBuffer, before: Mark, until: Condition) {
        let end = out.len();
        let begin = end - out.len_since(before);
        if begin == end {
            return;
        }
        match self.notes.last_mut() {
            Some(last) if last.end == begin && last.until.is_like(&until) => {
                (last.end, last.replies, last.until.offset) = (end, last.replies + 1, until.offset);
            }
            _ => self.notes.push(Note { begin, end, replies: 1, until }),
        }
    }

    /// Whether nothing waits, or will.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.notes.is_empty()
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Memory of what waits, without shared blobs.
    pub fn buffer_memory(&self) -> usize {
        self.out.buffer_memory() + self.list_memory()
    }

    /// Memory of what waits.
    pub fn memory(&self) -> usize {
        self.out.memory() + self.list_memory()
    }

    fn list_memory(&self) -> usize {
        self.pieces.capacity() * size_of::<Piece>() + self.notes.capacity() * size_of::<Note>()
    }

    /// When the first of it has waited for too long; `u64::MAX` for never.
    pub fn deadline_ns(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.until.deadline_ns).find(|at| *at < u64::MAX).unwrap_or(u64::MAX)
    }

    /// Takes what must wait off what a client is owed. What was not noted waits for `rest`; all of it for the append-only
    /// file to be safe up to `file`.
    pub fn take(
        &mut self,
        owed: &mut OutputBuffer,
        rest: Condition,
        file: u64,
        is_met: impl Fn(&Condition) -> bool,
    ) {
        let all = owed.len();
        let mut kept = 0;
        let mut at = 0;
        let mut add = |bytes: usize, replies: u32, until: Condition| {
            let until = Condition { file: until.file.max(file), ..until };
            // The file is waited for in another place, by those that wait for nothing else.
            let is_free = is_met(&Condition { file: 0, ..until });
            match self.pieces.back_mut() {
                _ if bytes == 0 => {}
                None if is_free => kept += bytes,
                Some(last) if until.what == What::Rest && last.until == until => last.bytes += bytes,
                _ => self.pieces.push_back(Piece { bytes, replies, until }),
            }
        };
        for note in self.notes.drain(..) {
            add(note.begin - at, 0, rest);
            add(note.end - note.begin, note.replies, note.until);
            at = note.end;
        }
        add(all - at, 0, rest);
        if kept == 0 {
            self.out.append(std::mem::take(owed));
        } else if kept < all {
            let mut waits = std::mem::take(owed);
            waits.give(kept, owed);
            self.out.append(waits);
        }
    }

    /// Appends to `to` what has waited long enough, or, by `refuse`, what is to be said instead.
    pub fn release(
        &mut self,
        to: &mut OutputBuffer,
        now_ns: u64,
        is_met: impl Fn(&Condition) -> bool,
        mut refuse: impl FnMut(What, &mut OutputBuffer),
    ) -> Released {
        let mut released = Released::default();
        let mut free = 0;
        while let Some(piece) = self.pieces.front() {
            let until = piece.until;
            if is_met(&until) {
                free += piece.bytes;
                released.writes += if until.what == What::Write { piece.replies } else { 0 };
            } else if until.is_answer() && until.deadline_ns <= now_ns {
                self.out.give(std::mem::take(&mut free), to);
                self.out.advance(piece.bytes);
                (0..piece.replies).for_each(|_| refuse(until.what, to));
                released.refused += piece.replies;
            } else {
                released.is_stuck = until.what == What::Push && self.deadline_ns() <= now_ns;
                break;
            }
            released.some = true;
            self.pieces.pop_front();
        }
        self.out.give(free, to);
        released
    }

    /// What waits for replicas waits in vain: answers are due, and pushes stay away.
    pub fn give_up(&mut self) {
        let notes = self.notes.iter_mut().map(|note| &mut note.until);
        let all = notes.chain(self.pieces.iter_mut().map(|piece| &mut piece.until));
        for until in all.filter(|until| until.acks > 0) {
            (until.acks, until.is_common, until.deadline_ns) = (u32::MAX, false, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One client, and replicas that have everything up to `have`.
    #[derive(Default)]
    struct World {
        owed: OutputBuffer,
        held: Held,
        have: u64,
        synced: u64,
        now_ns: u64,
        released: Released,
    }

    fn until(what: What, offset: u64, deadline_ns: u64) -> Condition {
        Condition { what, acks: 1, offset, deadline_ns, ..Condition::NONE }
    }

    impl World {
        fn say(&mut self, text: &str) {
            self.owed.bytes_mut().extend_from_slice(text.as_bytes());
        }

        fn reply(&mut self, text: &str, until: Condition) {
            let before = self.owed.mark();
            self.say(text);
            self.held.note(&self.owed, before, until);
        }

        /// What is sent at the end of a turn.
        fn sent(&mut self, rest: Condition, file: u64) -> String {
            let (have, synced) = (self.have, self.synced);
            let is_met = |c: &Condition| (c.acks == 0 || c.acks == 1 && c.offset <= have) && c.file <= synced;
            let refuse = |what: What, to: &mut OutputBuffer| to.bytes_mut().extend(format!("<{what:?}>").bytes());
            let mut all = OutputBuffer::new();
            self.released = self.held.release(&mut all, self.now_ns, is_met, refuse);
            self.held.take(&mut self.owed, rest, file, is_met);
            all.append(std::mem::take(&mut self.owed));
            String::from_utf8(all.to_vec()).expect("text")
        }

        fn turn(&mut self) -> String {
            self.sent(Condition::NONE, 0)
        }
    }

    #[test]
    fn replies_wait_for_their_offset_and_stay_in_order() {
        let mut w = World::default();
        w.say("a");
        w.reply("B", until(What::Write, 10, 100));
        w.say("c");
        assert_eq!(w.turn(), "a");
        w.say("d");
        w.reply("E", until(What::Write, 20, 200));
        assert_eq!(w.turn(), "");
        assert_eq!((w.held.len(), w.held.deadline_ns()), (4, 100));
        w.have = 10;
        assert_eq!(w.turn(), "Bcd");
        assert_eq!((w.released.writes, w.held.deadline_ns()), (1, 200));
        w.say("f");
        w.have = 25;
        assert_eq!(w.turn(), "Ef");
        assert!(w.held.is_empty() && w.held.len() == 0);
        w.reply("G", until(What::Write, 25, 300));
        assert_eq!(w.turn(), "G", "they have it already");
    }

    #[test]
    fn a_late_reply_is_replaced_and_the_others_are_not() {
        let mut w = World::default();
        w.reply("A", until(What::Write, 10, 100));
        w.reply("B", until(What::Write, 11, 100)); // together with the first
        w.say("c");
        w.reply("D", until(What::Read, 11, 100));
        assert_eq!(w.turn(), "");
        w.reply("E", until(What::Write, 12, 200));
        w.say("f");
        assert_eq!(w.turn(), "");
        (w.now_ns, w.have) = (99, 10);
        assert_eq!(w.turn(), "", "both of them, or none");
        w.now_ns = 100;
        assert_eq!(w.turn(), "<Write><Write>c<Read>");
        assert_eq!(w.released, Released { some: true, writes: 0, refused: 3, is_stuck: false });
        w.have = 12;
        assert_eq!(w.turn(), "Ef");
    }

    #[test]
    fn pushes_wait_and_cannot_be_replaced() {
        let mut w = World::default();
        let rest = until(What::Push, 5, u64::MAX);
        w.say("p");
        assert_eq!(w.sent(rest, 0), "");
        w.now_ns = 1_000_000;
        assert_eq!((w.sent(rest, 0), w.released.is_stuck), (String::new(), false));
        w.reply("A", until(What::Write, 6, 1_000_001));
        assert_eq!((w.sent(rest, 0), w.released.is_stuck), (String::new(), false));
        w.now_ns += 1;
        assert_eq!((w.sent(rest, 0), w.released.is_stuck), (String::new(), true));
        w.have = 5;
        assert_eq!((w.sent(rest, 0), w.released.is_stuck), ("p<Write>".to_owned(), false));
    }

    #[test]
    fn the_file_is_waited_for_too() {
        let mut w = World::default();
        w.reply("A", until(What::Write, 10, 100));
        assert_eq!(w.turn(), "");
        w.say("b");
        assert_eq!(w.sent(Condition::NONE, 7), "");
        w.have = 10;
        assert_eq!(w.turn(), "A");
        w.now_ns = 1_000_000;
        assert_eq!(w.turn(), "", "nobody waits for the disk for too long");
        w.synced = 7;
        assert_eq!(w.turn(), "b");
        w.say("c");
        assert_eq!(w.sent(Condition::NONE, 8), "c", "that is not the affair of this room");
    }

    #[test]
    fn what_waits_in_vain_is_answered_at_once() {
        let mut w = World::default();
        w.say("a");
        w.reply("B", until(What::Write, 10, u64::MAX));
        assert_eq!(w.turn(), "a");
        w.reply("C", until(What::Write, 11, u64::MAX));
        w.say("d");
        w.held.give_up();
        w.have = 1000; // of another history
        assert_eq!(w.turn(), "<Write>");
        assert_eq!(w.turn(), "<Write>d");
        assert!(w.held.is_empty());
    }
}
