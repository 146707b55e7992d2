//! Histories of writes: which offsets of which history an instance can go on from.
//!
//! A history has a name, and its bytes have offsets. An instance that is promoted begins a history of its own, which goes
//! on where the old one ended; it keeps the old name, so that the other replicas of the old primary may go on with it
//! (`master_replid2` and `second_repl_offset` of INFO).

use std::fmt;

/// The name of a history: 40 characters, by custom hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct HistoryId([u8; HistoryId::LEN]);

impl HistoryId {
    /// How long a name is.
    pub const LEN: usize = 40;

    /// What INFO shows where there is none.
    pub const NONE: HistoryId = HistoryId([b'0'; HistoryId::LEN]);

    /// A name as it was received; `None` if it is none.
    pub fn parse(text: &[u8]) -> Option<HistoryId> {
        let bytes: [u8; HistoryId::LEN] = text.try_into().ok()?;
        bytes.iter().all(u8::is_ascii_graphic).then_some(HistoryId(bytes))
    }

    /// A new name, made of random numbers below 16.
    pub fn random(mut digit: impl FnMut() -> u8) -> HistoryId {
        HistoryId(std::array::from_fn(|_| b"0123456789abcdef"[usize::from(digit() & 15)]))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("its characters are ASCII")
    }

    /// Whether somebody means this one: names are compared without case.
    pub fn is(&self, text: &[u8]) -> bool {
        self.0.eq_ignore_ascii_case(text)
    }
}

impl fmt::Display for HistoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for HistoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No history gets so far. An offset beyond it is somebody's mistake, or malice, and must not be counted on from.
const OFFSET_MAX: u64 = 1 << 62;

/// An offset as somebody else has written it.
pub fn parse_offset(text: &str) -> Option<u64> {
    text.parse().ok().filter(|offset| *offset <= OFFSET_MAX)
}

/// The history that an instance is in, and the one that it came from.
#[derive(Clone, Debug)]
pub struct History {
    id: HistoryId,
    before: Option<Before>,
}

/// The history before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Before {
    /// Its name.
    pub id: HistoryId,
    /// The first offset that it does not have in common with the present one.
    pub until: u64,
}

impl History {
    /// A history that comes from no other.
    pub fn new(id: HistoryId) -> History {
        History { id, before: None }
    }

    /// Its name.
    pub fn id(&self) -> HistoryId {
        self.id
    }

    /// The one before.
    pub fn before(&self) -> Option<Before> {
        self.before
    }

    /// Whether a reader that has everything of the history `id` in front of the offset `next` can go on here, as far as
    /// names go: whether those bytes are still there is another question.
    pub fn continues(&self, id: &[u8], next: u64) -> bool {
        self.id.is(id) || self.before.is_some_and(|before| before.id.is(id) && next <= before.until)
    }

    /// The instance goes on under another name, with all it has up to the offset `end`: it was promoted, or its primary
    /// was.
    pub fn go_on_as(&mut self, id: HistoryId, end: u64) {
        self.before = Some(Before { id: self.id, until: end + 1 });
        self.id = id;
    }

    /// The instance was restarted with what it had of another history up to the offset `end`, and has a name of its own.
    pub fn came_from(&mut self, id: HistoryId, end: u64) {
        self.before = Some(Before { id, until: end + 1 });
    }

    /// Another data set has come, and nothing is left of what was.
    pub fn replace(&mut self, id: HistoryId) {
        *self = History::new(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(c: u8) -> HistoryId {
        HistoryId::random(|| c)
    }

    #[test]
    fn who_can_go_on() {
        let mut history = History::new(id(10));
        assert!(history.continues(&[b'A'; 40], u64::MAX) && !history.continues(&[b'b'; 40], 5));
        history.go_on_as(id(11), 100);
        assert!(history.continues(&[b'b'; 40], 1000));
        assert!(history.continues(&[b'a'; 40], 101) && !history.continues(&[b'a'; 40], 102));
        history.go_on_as(id(12), 200);
        assert!(!history.continues(&[b'a'; 40], 1), "only one is remembered");
        assert_eq!(history.before(), Some(Before { id: id(11), until: 201 }));
        history.replace(id(13));
        assert_eq!((history.id(), history.before()), (id(13), None));
        history.came_from(id(14), 7);
        assert!(history.continues(&[b'e'; 40], 8) && !history.continues(&[b'e'; 40], 9));
    }

    #[test]
    fn offsets() {
        assert_eq!((parse_offset("0"), parse_offset("4611686018427387904")), (Some(0), Some(OFFSET_MAX)));
        for wrong in ["", "-1", "x", "4611686018427387905", "18446744073709551615", "99999999999999999999999"] {
            assert_eq!(parse_offset(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names() {
        assert_eq!(HistoryId::parse(id(3).as_str().as_bytes()), Some(id(3)));
        for wrong in [&b""[..], &[b'a'; 39], &[b'a'; 41], &[b' '; 40], &[0xe9; 40]] {
            assert_eq!(HistoryId::parse(wrong), None);
        }
        assert_eq!(HistoryId::NONE.to_string(), "0".repeat(40));
    }
}
