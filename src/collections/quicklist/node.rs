//! What a node of a list is made of, and how large Redis lets it grow.
//!
//! ```text
//! packed      a listpack: its first four bytes are its length, the next two the number of elements
//! plain       FFFFFFFF, 1u16, the text of one large element
//! compressed  FFFFFFFE, elements u16, length of the listpack u32, the listpack compressed by LZF
//! ```
//!
//! No listpack is as long as the marks of the other two say. All three have their number of elements in the same place.

use crate::collections::listpack::{Item, ListpackMut, ListpackRef};
use crate::collections::text;
use crate::util::lzf::{self, Compressor};
use crate::util::text::Source;
use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const PLAIN: [u8; 4] = [0xFF; 4];
/// What comes before the text of a plain node.
const PLAIN_HEAD: [u8; MARK] = [0xFF, 0xFF, 0xFF, 0xFF, 1, 0];
const COMPRESSED: [u8; 4] = [0xFE, 0xFF, 0xFF, 0xFF];
const MARK: usize = 6;
const COMPRESSED_HEADER: usize = 10;

/// No node that is made here is larger, but for one large element alone in its own, and what LSET makes grow in place.
pub const NODE_MAX: usize = 8192;
/// A smaller listpack is never compressed.
const COMPRESSED_MIN: usize = 48;
/// Compression has to save this much.
const SAVED_MIN: usize = 8;
/// What Redis adds to a text when it asks whether it fits into a node.
const ENTRY_ESTIMATE: usize = 8;

/// When a listpack of elements is full: `list-max-listpack-size`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fill {
    /// So many bytes.
    Bytes(usize),
    /// So many elements, and no more than [`NODE_MAX`] bytes.
    Count(usize),
    /// Never: the list is one listpack for as long as whoever asked for this wants it to be.
    Unbounded,
}

impl Fill {
    /// The largest listpack, in bytes, that any value of the parameter allows.
    pub const LARGEST: usize = 64 << 10;

    /// What the parameter means for a list that is one listpack.
    pub fn of(parameter: i32) -> Fill {
        match parameter {
            0 => Fill::Count(1),
            1.. => Fill::Count(parameter as usize),
            ..0 => Fill::Bytes(4096 << (-1 - parameter.max(-5))),
        }
    }

    /// What it means for the nodes of a list: no more than [`NODE_MAX`] bytes, whatever it says, because a write to a
    /// node that a snapshot shares copies it.
    pub fn of_node(parameter: i32) -> Fill {
        match Fill::of(parameter.min(i32::from(i16::MAX))) {
            Fill::Bytes(bytes) => Fill::Bytes(bytes.min(NODE_MAX)),
            fill => fill,
        }
    }

    /// Whether a listpack of so many bytes and elements would be too large.
    pub fn is_exceeded(self, bytes: usize, count: usize) -> bool {
        match self {
            Fill::Bytes(max) => bytes > max,
            Fill::Count(max) => bytes > NODE_MAX || count > max,
            Fill::Unbounded => false,
        }
    }

    /// Whether a list that has been made of nodes is small enough to be one listpack again: half of what is allowed,
    /// lest one element more or less makes it change its form each time.
    pub fn allows_return(self, bytes: usize, count: usize) -> bool {
        match self {
            Fill::Bytes(max) => bytes <= max / 2,
            Fill::Count(max) => count <= max / 2,
            Fill::Unbounded => true,
        }
    }

    /// Whether it is small enough to be one listpack when it was just made.
    pub fn allows(self, bytes: usize, count: usize) -> bool {
        match self {
            Fill::Bytes(max) => bytes <= max,
            Fill::Count(max) => count <= max,
            Fill::Unbounded => true,
        }
    }

    /// Whether a text has to be alone in its node.
    #[inline]
    pub(super) fn is_large(self, len: usize) -> bool {
        let lowered = LARGE_FROM.load(Relaxed);
        if lowered != 0 && self != Fill::Unbounded {
            return len >= lowered;
        }
        match self {
            Fill::Bytes(max) => len > max,
            Fill::Count(_) => len > NODE_MAX,
            Fill::Unbounded => false,
        }
    }

    /// Whether a node takes another element with a text of `len` bytes.
    #[inline]
    pub(super) fn admits(self, node: &[u8], len: usize) -> bool {
        match self {
            Fill::Unbounded => true,
            _ if node.is_empty() || is_plain(node) || self.is_large(len) => false,
            fill => !fill.is_exceeded(size(node) + len + ENTRY_ESTIMATE, count(node) + 1),
        }
    }

    /// Whether two nodes fit into one.
    pub(super) fn admits_both(self, left: &[u8], right: &[u8]) -> bool {
        if left.is_empty() || right.is_empty() || is_plain(left) || is_plain(right) {
            return false;
        }
        !self.is_exceeded(size(left) + size(right) - 7, count(left) + count(right))
    }
}

/// From how many bytes on a text is large; 0: where its limit says.
static LARGE_FROM: AtomicUsize = AtomicUsize::new(0);

/// Makes texts of so many bytes large in all lists of the process, and shorter ones not; 0 undoes it. For tests of
/// large elements that would otherwise take much memory (DEBUG QUICKLIST-PACKED-THRESHOLD). Nodes stay as they are.
pub fn set_large_from(bytes: usize) {
    LARGE_FROM.store(bytes, Relaxed);
}

/// A node as it is read.
pub(super) enum Node<'a> {
    Packed(Cow<'a, [u8]>),
    Plain(&'a [u8]),
}

/// How many elements a node has. No bytes are no node: none.
#[inline]
pub(super) fn count(node: &[u8]) -> usize {
    match node {
        [_, _, _, _, low, high, ..] => usize::from(u16::from_le_bytes([*low, *high])),
        _ => 0,
    }
}

#[inline]
pub(super) fn is_plain(node: &[u8]) -> bool {
    node.starts_with(&PLAIN)
}

#[inline]
pub(super) fn is_compressed(node: &[u8]) -> bool {
    node.starts_with(&COMPRESSED)
}

/// Bytes of the listpack that a node is, or of the text if it is plain.
#[inline]
pub(super) fn size(node: &[u8]) -> usize {
    match node {
        [0xFF, 0xFF, 0xFF, 0xFF, ..] => node.len() - MARK,
        [0xFE, 0xFF, 0xFF, 0xFF, _, _, a, b, c, d, ..] => u32::from_le_bytes([*a, *b, *c, *d]) as usize,
        _ => node.len(),
    }
}

#[inline]
pub(super) fn read(node: &[u8]) -> Node<'_> {
    if is_plain(node) {
        Node::Plain(&node[MARK..])
    } else if is_compressed(node) {
        Node::Packed(Cow::Owned(inflated(node)))
    } else {
        Node::Packed(Cow::Borrowed(node))
    }
}

/// A node of one large element.
pub(super) fn plain(text: Source<'_>) -> Vec<u8> {
    let mut node = Vec::with_capacity((MARK + text.len()).next_multiple_of(8));
    node.extend_from_slice(&PLAIN_HEAD);
    text::append(&mut node, text);
    node
}

/// A node of one element that is not large.
pub(super) fn packed(item: Item<'_>) -> Vec<u8> {
    let mut node = crate::collections::listpack::new(item.entry_len() + 7);
    ListpackMut::new(&mut node).push_back(item);
    node
}

/// The listpack inside a compressed node.
fn inflated(node: &[u8]) -> Vec<u8> {
    let listpack = lzf::decompress(&node[COMPRESSED_HEADER..], size(node));
    listpack.expect("what was compressed here comes out as it was")
}

/// Makes a compressed node a packed one. Says whether it was compressed.
pub(super) fn inflate(node: &mut Vec<u8>) -> bool {
    let compressed = is_compressed(node);
    if compressed {
        *node = inflated(node);
    }
    compressed
}

/// The compressed form of a packed node, if that saves enough.
pub(super) fn deflated(node: &[u8]) -> Option<Vec<u8>> {
    if is_plain(node) || is_compressed(node) || node.len() < COMPRESSED_MIN {
        return None;
    }
    let mut out = Vec::with_capacity(node.len());
    out.extend_from_slice(&COMPRESSED);
    out.extend_from_slice(&(count(node) as u16).to_le_bytes());
    out.extend_from_slice(&(node.len() as u32).to_le_bytes());
    let mut compressor = Compressor::borrow();
    let fitted = compressor.compress(node, &mut out, node.len() - SAVED_MIN);
    compressor.give_back();
    fitted.then(|| {
        out.shrink_to_fit();
        out
    })
}

/// A listpack in pieces that are small enough for nodes; itself, if it is. Their headers tell their number of elements,
/// as a node's has to.
pub(super) fn pieces(listpack: Vec<u8>) -> Vec<Vec<u8>> {
    let mut done = Vec::new();
    let mut rest = listpack;
    while rest.len() > 2 * NODE_MAX {
        let lp = ListpackRef::new(&rest);
        let mut at = lp.first().expect("a listpack of this size has elements");
        while at < NODE_MAX {
            at = lp.behind(at);
        }
        if at >= lp.end() {
            break;
        }
        let tail = ListpackMut::new(&mut rest).split_off(at);
        rest.shrink_to_fit();
        done.push(std::mem::replace(&mut rest, tail));
    }
    ListpackMut::new(&mut rest).recount();
    done.push(rest);
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collections::listpack;

    #[test]
    fn limits_are_those_of_the_parameter() {
        let sizes = [-5, -4, -3, -2, -1, 0, 1, 128].map(Fill::of);
        let kib = |n: usize| Fill::Bytes(n << 10);
        assert_eq!(
            sizes,
            [kib(64), kib(32), kib(16), kib(8), kib(4), Fill::Count(1), Fill::Count(1), Fill::Count(128)]
        );
        assert_eq!((Fill::of(i32::MIN), Fill::of_node(i32::MIN)), (kib(64), kib(8)));
        assert_eq!(Fill::of_node(i32::MAX), Fill::Count(32767));
        assert!(!Fill::Count(2).is_exceeded(8192, 2) && Fill::Count(2).is_exceeded(8193, 1));
        assert!(Fill::Count(5).allows_return(8000, 2) && !Fill::Count(5).allows_return(10, 3));
    }

    #[test]
    fn nodes_of_each_kind() {
        let text = vec![b'x'; 10_000];
        let plain = plain(Source::Lent(&text));
        assert!(matches!(read(&plain), Node::Plain(t) if t == text));
        assert_eq!((count(&plain), size(&plain), count(&[])), (1, 10_000, 0));
        let packed = listpack::collect((0..500i64).map(|n| Item::Int(n % 7)));
        let mut compressed = deflated(&packed).expect("it repeats");
        assert!(compressed.len() < packed.len() / 4);
        assert_eq!((count(&compressed), size(&compressed)), (500, packed.len()));
        assert!(matches!(read(&compressed), Node::Packed(lp) if *lp == packed));
        assert!(deflated(&compressed).is_none() && deflated(&plain).is_none());
        assert!(inflate(&mut compressed) && compressed == packed && !inflate(&mut compressed));
    }

    #[test]
    fn large_listpacks_come_in_pieces() {
        let count = if cfg!(miri) { 5_000 } else { 50_000i64 };
        let all = listpack::collect((0..count).map(Item::Int));
        let parts = pieces(all);
        assert!(parts.iter().all(|part| part.len() <= 2 * NODE_MAX));
        let joined = parts.iter().flat_map(|part| ListpackRef::new(part).iter().map(|item| item.as_i64()));
        assert!(joined.eq((0..count).map(Some)));
        let huge = vec![b'y'; 100_000];
        let parts = pieces(listpack::collect([&huge[..], b"a", &huge, b"b"]));
        assert_eq!(parts.len(), 3);
    }
}
