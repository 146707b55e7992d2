//! Replies that are not sent before enough replicas have what they speak of: quorum writes.
//!
//! When a request is over, what it has to wait for is noted, with the place of its reply. Before what the client is owed is
//! sent, everything from the first reply on that must wait is moved here, so that it stays in order. It is let go from the
//! front. A reply that has waited for too long is dropped, and an error stands in its place.
//!
//! Here is no clock and no replica: somebody says which conditions are met, and which come too late.

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
    /// Since this instance was last a replica, or is to end: what is left of earlier times waits in vain.
    pub term: u32,
}

/// What is to become of something that waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It may be sent.
    Met,
    /// It goes on waiting.
    Waits,
    /// It has waited for too long, or in vain.
    Late,
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
        term: 0,
    };

    fn is_answer(&self) -> bool {
        matches!(self.what, What::Write | What::Read)
    }

    /// Whether two replies behind each other can wait as one.
    fn is_like(&self, other: &Condition) -> bool {
        (self.what, self.acks, self.fsync) == (other.what, other.acks, other.fsync)
            && (self.is_common, self.term) == (other.is_common, other.term)
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
    /// Of all that the client was ever owed, what comes before this may be sent.
    passed: u64,
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

    /// Whether something waits.
    pub fn waits(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// What was noted in an earlier term waits in vain: that is to be seen at once.
    pub fn begin_term(&mut self, term: u32) {
        for note in self.notes.iter_mut().filter(|note| note.until.term != term) {
            note.until.deadline_ns = 0;
        }
    }

    /// Whether something was noted that was not taken yet.
    pub fn has_notes(&self) -> bool {
        !self.notes.is_empty()
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

    /// Takes what must wait off what a client is owed, behind the `sent` bytes that it was ever sent. What was not noted
    /// waits for `rest`; all of it for the append-only file to be safe up to `file`.
    pub fn take(
        &mut self,
        owed: &mut OutputBuffer,
        sent: u64,
        rest: Condition,
        file: u64,
        fate: impl Fn(&Condition) -> Fate,
    ) {
        let all = owed.len();
        // Once let go it does not wait again.
        let passed = usize::try_from(self.passed.saturating_sub(sent)).map_or(all, |passed| passed.min(all));
        let (mut kept, mut at) = (passed, passed);
        let mut add = |bytes: usize, replies: u32, until: Condition| match self.pieces.back_mut() {
            _ if bytes == 0 => {}
            // For the file alone it waits elsewhere.
            None if fate(&until) == Fate::Met => kept += bytes,
            Some(last) if until.what == What::Rest && last.until == (Condition { file, ..until }) => {
                last.bytes += bytes
            }
            _ => self.pieces.push_back(Piece { bytes, replies, until: Condition { file, ..until } }),
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
        self.passed = sent + owed.len() as u64;
    }

    /// Appends to `to`, of which everything else was taken, what may be sent now, and in the place of answers that come too
    /// late what `refuse` says.
    pub fn release(
        &mut self,
        to: &mut OutputBuffer,
        sent: u64,
        fate: impl Fn(&Condition) -> Fate,
        mut refuse: impl FnMut(&Condition, &mut OutputBuffer),
    ) -> Released {
        let mut released = Released::default();
        let mut free = 0;
        while let Some(piece) = self.pieces.front() {
            let until = piece.until;
            match fate(&until) {
                Fate::Met => {
                    free += piece.bytes;
                    released.writes += if until.what == What::Write { piece.replies } else { 0 };
                }
                Fate::Late if until.is_answer() => {
                    self.out.give(std::mem::take(&mut free), to);
                    self.out.advance(piece.bytes);
                    (0..piece.replies).for_each(|_| refuse(&until, to));
                    released.refused += piece.replies;
                }
                Fate::Late | Fate::Waits => {
                    let mut all = self.pieces.iter().map(|piece| piece.until);
                    released.is_stuck = until.what == What::Push && all.any(|until| fate(&until) == Fate::Late);
                    break;
                }
            }
            released.some = true;
            self.pieces.pop_front();
        }
        self.out.give(free, to);
        self.passed = sent + to.len() as u64;
        released
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One client, and replicas that have everything up to `have`.
    struct World {
        sent: u64,
        /// As many bytes are taken at once.
        socket: usize,
        owed: OutputBuffer,
        held: Held,
        have: u64,
        synced: u64,
        now_ns: u64,
        term: u32,
        released: Released,
    }

    impl Default for World {
        fn default() -> World {
            World {
                sent: 0,
                socket: usize::MAX,
                owed: OutputBuffer::new(),
                held: Held::default(),
                have: 0,
                synced: 0,
                now_ns: 0,
                term: 0,
                released: Released::default(),
            }
        }
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
            let (have, synced, now_ns, term) = (self.have, self.synced, self.now_ns, self.term);
            let fate = |c: &Condition| match c.term == term || c.acks == 0 {
                true if (c.acks == 0 || c.offset <= have) && c.file <= synced => Fate::Met,
                true if c.deadline_ns > now_ns => Fate::Waits,
                _ => Fate::Late,
            };
            let refuse = |until: &Condition, to: &mut OutputBuffer| {
                to.bytes_mut().extend(format!("<{:?}>", until.what).bytes());
            };
            self.held.take(&mut self.owed, self.sent, rest, file, fate);
            self.released = self.held.release(&mut self.owed, self.sent, fate, refuse);
            let text = String::from_utf8(self.owed.to_vec()).expect("text");
            let n = text.len().min(self.socket);
            self.sent += n as u64;
            self.owed.advance(n);
            text[..n].to_owned()
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
        w.say("f");
        assert_eq!(w.turn(), "Bcd");
        assert_eq!((w.released.writes, w.held.deadline_ns()), (1, 200));
        w.have = 25;
        assert_eq!(w.turn(), "Ef");
        assert_eq!((w.held.is_empty(), w.held.len()), (true, 0));
        w.reply("G", until(What::Write, 25, 300));
        assert_eq!(w.turn(), "G", "they have it already");
    }

    #[test]
    fn what_was_let_go_and_is_not_sent_yet_does_not_wait_again() {
        let mut w = World { socket: 2, ..World::default() };
        w.say("abcd");
        w.reply("E", until(What::Write, 10, 100));
        assert_eq!(w.turn(), "ab");
        w.say("f");
        w.reply("GH", until(What::Write, 20, 100));
        assert_eq!(w.turn(), "cd");
        w.have = 10;
        w.socket = 1;
        assert_eq!(w.turn(), "E");
        w.say("i");
        assert_eq!(w.turn(), "f");
        w.have = 20;
        let all = [w.turn(), w.turn(), w.turn(), w.turn()];
        assert_eq!(all, ["G", "H", "i", ""]);
        // The same for pushes, which are all that is not noted.
        w.say("pq");
        let rest = |offset| until(What::Push, offset, u64::MAX);
        assert_eq!(w.sent(rest(20), 0), "p");
        assert_eq!(w.sent(rest(30), 0), "q");
        w.say("r");
        assert_eq!(w.sent(rest(30), 0), "");
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
        w.term += 1;
        w.have = 1000; // of another history
        assert_eq!(w.turn(), "<Write><Write>d");
        assert!(w.held.is_empty());
        w.say("p");
        assert_eq!(w.sent(until(What::Push, 2000, u64::MAX), 0), "");
        assert!(w.released.is_stuck, "the client is closed");
    }
}
