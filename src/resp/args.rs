//! The arguments of one request.
//!
//! [`Args`] is a view: the query buffer, the spans the parser found in it, and the few arguments that live outside it.
//! It is `Copy` and three pointers wide, so it is passed by value everywhere. It must not outlive the turn, because
//! the next read moves the query buffer; what has to live longer (a `MULTI` queue, a blocked client) is an
//! [`OwnedArgs`].
//!
//! Arguments outside the buffer ("larges") are [`LargeArg`]s: a value of 32 KiB or more that did not arrive at once was
//! received into pieces, and [`Args::pieces`] hands these on without copying. They are shared rather than moved, because
//! the view promises `&'a [u8]` for every argument for as long as it lives.

use super::large::LargeArg;
use super::request::LARGE_ARG_BYTES;
use crate::util::piece::PieceBuf;
use crate::util::text::Source;
use std::borrow::Cow;

/// Spans are 32-bit: an [`OwnedArgs`] with so many bytes of small arguments keeps further ones outside.
const SMALL_BYTES_MAX: usize = 1 << 31;

/// Where one argument lies: `len` bytes at `off` of the query slice, or, when `off` is [`ArgSpan::OUTSIDE`], the
/// large argument number `len`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArgSpan {
    /// Offset in the query slice, or [`ArgSpan::OUTSIDE`].
    pub off: u32,
    /// Length, or index into the larges.
    pub len: u32,
}

impl ArgSpan {
    /// The `off` of an argument that is not in the query buffer.
    pub const OUTSIDE: u32 = u32::MAX;

    #[inline]
    pub(super) fn inside(off: usize, len: usize) -> Self {
        debug_assert!(off + len < Self::OUTSIDE as usize);
        Self { off: off as u32, len: len as u32 }
    }

    #[inline]
    pub(super) fn outside(index: usize) -> Self {
        Self { off: Self::OUTSIDE, len: index as u32 }
    }
}

/// How many digits a number has.
#[inline]
fn digits(number: u32) -> usize {
    if number < 10 { 1 } else { number.ilog10() as usize + 1 }
}

/// The arguments of a request, command name first. A view: copy it freely.
#[derive(Debug, Clone, Copy)]
pub struct Args<'a> {
    query: &'a [u8],
    spans: &'a [ArgSpan],
    larges: &'a [LargeArg],
}

impl<'a> Args<'a> {
    /// The view of `spans` in `query`, the slice the parser was given when it found them. `larges` is the whole
    /// vector the parser appended to, since spans hold indices into it.
    #[inline]
    pub fn new(query: &'a [u8], spans: &'a [ArgSpan], larges: &'a [LargeArg]) -> Self {
        Self { query, spans, larges }
    }

    /// How many arguments, the command name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// True for a view without any argument, which the parser never yields.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `i`, `None` past the end.
    #[inline]
    pub fn get(&self, i: usize) -> Option<&'a [u8]> {
        self.spans.get(i).map(|span| self.at(*span))
    }

    /// Argument `i`, if there is one that lies in the query buffer.
    #[inline]
    pub fn get_short(&self, i: usize) -> Option<&'a [u8]> {
        self.spans.get(i).filter(|span| span.off != ArgSpan::OUTSIDE).map(|span| self.at(*span))
    }

    #[inline]
    fn at(&self, span: ArgSpan) -> &'a [u8] {
        if span.off == ArgSpan::OUTSIDE {
            self.larges[span.len as usize].bytes()
        } else {
            let off = span.off as usize;
            &self.query[off..off + span.len as usize]
        }
    }

    /// All arguments in order.
    #[inline]
    pub fn iter(&self) -> ArgsIter<'a> {
        ArgsIter { args: *self, next: 0, end: self.len() }
    }

    /// The request as it arrived, if that is the form in which it would be encoded anew: it lies in the query buffer as a
    /// whole, and every number is written as short as it can be.
    #[inline]
    pub fn as_encoded(&self) -> Option<&'a [u8]> {
        let first = self.spans.first()?;
        // `*`, the count, and of the first argument `$`, its length, each ended by two bytes.
        let head = 1 + digits(self.spans.len() as u32) + 2 + 1 + digits(first.len) + 2;
        let start = (first.off as usize).checked_sub(head)?;
        if first.off == ArgSpan::OUTSIDE || self.query[start] != b'*' {
            return None;
        }
        let mut end = start + head - 1 - digits(first.len) - 2;
        for span in self.spans {
            let off = end + 1 + digits(span.len) + 2;
            // An argument outside the buffer is nowhere near.
            if span.off as usize != off || self.query[end] != b'$' {
                return None;
            }
            end = off + span.len as usize + 2;
            if self.query.get(end - 2..end) != Some(b"\r\n") || self.query[off - 2..off] != *b"\r\n" {
                return None;
            }
        }
        Some(&self.query[start..end])
    }

    /// The view without the first `n` arguments (a subcommand's view of its own arguments).
    #[inline]
    pub fn skip(&self, n: usize) -> Args<'a> {
        Args { spans: self.spans.get(n..).unwrap_or(&[]), ..*self }
    }

    /// The view of the first `n` arguments.
    #[inline]
    pub fn first(&self, n: usize) -> Args<'a> {
        Args { spans: &self.spans[..n.min(self.spans.len())], ..*self }
    }

    /// Argument `i`, when it lives outside the query buffer.
    #[inline]
    fn large(&self, i: usize) -> Option<&'a LargeArg> {
        let span = self.spans.get(i)?;
        (span.off == ArgSpan::OUTSIDE).then(|| &self.larges[span.len as usize])
    }

    /// Argument `i` in the pieces it was received in: at least [`LARGE_ARG_BYTES`]. Nothing is copied. `None` means:
    /// copy from `args[i]`.
    #[inline]
    pub fn pieces(&self, i: usize) -> Option<PieceBuf> {
        self.large(i).filter(|large| large.len() >= LARGE_ARG_BYTES)?.pieces()
    }

    /// Argument `i` as a text that is stored: given away if it is long and nobody reads it later (and then not to be
    /// read again), else lent. Panics past the end.
    #[inline]
    pub fn text(&self, i: usize) -> Source<'a> {
        let span = self.spans[i];
        if span.off == ArgSpan::OUTSIDE
            && let Some(whole) = self.larges[span.len as usize].take()
        {
            return Source::Received(whole);
        }
        Source::Lent(self.at(span))
    }

    /// All arguments, as [`Args::text`] says.
    pub fn texts(&self) -> impl Iterator<Item = Source<'a>> {
        let args = *self;
        (0..args.len()).map(move |i| args.text(i))
    }

    /// Whether one of them was received in pieces, and can be given away.
    #[inline]
    pub fn has_long(&self) -> bool {
        self.has_large() && self.large_bytes() > 0
    }

    /// False when none of them was received in pieces.
    #[inline]
    pub fn has_large(&self) -> bool {
        !self.larges.is_empty() // perhaps another request's of the batch
    }

    /// Nobody reads the arguments after the handler that they are given to now: see [`LargeArg::release`].
    pub fn release(&self) {
        (0..self.len()).filter_map(|i| self.large(i)).for_each(LargeArg::release);
    }

    /// The length of argument `i`, which is not put together for it. Panics past the end.
    #[inline]
    pub fn len_of(&self, i: usize) -> usize {
        self.large(i).map_or_else(|| self.spans[i].len as usize, LargeArg::len)
    }

    /// The first bytes of argument `i`, at most `max`; it is not put together for it. Panics past the end.
    pub fn start_of(&self, i: usize, max: usize) -> Cow<'a, [u8]> {
        match self.large(i) {
            Some(large) => Cow::Owned(large.start(max)),
            None => Cow::Borrowed(&self.at(self.spans[i])[..max.min(self.len_of(i))]),
        }
    }

    /// Bytes of the arguments that were received in pieces.
    #[inline]
    pub fn large_bytes(&self) -> usize {
        if !self.has_large() {
            return 0;
        }
        (0..self.len()).filter_map(|i| self.large(i)).map(LargeArg::len).sum()
    }
}

impl std::ops::Index<usize> for Args<'_> {
    type Output = [u8];

    /// Argument `i`. Panics past the end: arity is checked before a handler runs.
    #[inline]
    fn index(&self, i: usize) -> &[u8] {
        self.at(self.spans[i])
    }
}

impl<'a> IntoIterator for Args<'a> {
    type Item = &'a [u8];
    type IntoIter = ArgsIter<'a>;

    fn into_iter(self) -> ArgsIter<'a> {
        self.iter()
    }
}

/// Iterator over the arguments of an [`Args`].
#[derive(Debug, Clone)]
pub struct ArgsIter<'a> {
    args: Args<'a>,
    next: usize,
    end: usize,
}

impl<'a> Iterator for ArgsIter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.next >= self.end {
            return None;
        }
        self.next += 1;
        self.args.get(self.next - 1)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }
}

impl DoubleEndedIterator for ArgsIter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        self.end -= 1;
        self.args.get(self.end)
    }
}

impl ExactSizeIterator for ArgsIter<'_> {}

/// Arguments that own their bytes: a queued or blocked command, a command built by the server itself.
///
/// Small arguments stand one after the other in one buffer; large ones keep the allocation they were received in.
#[derive(Debug, Clone, Default)]
pub struct OwnedArgs {
    bytes: Vec<u8>,
    spans: Vec<ArgSpan>,
    larges: Vec<LargeArg>,
}

impl OwnedArgs {
    /// No argument yet; see [`OwnedArgs::push`].
    pub fn new() -> Self {
        Self::default()
    }

    /// A command from its parts.
    pub fn from_parts<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> Self {
        let mut owned = Self::new();
        for part in parts {
            owned.push(part.as_ref());
        }
        owned
    }

    /// Appends one argument.
    pub fn push(&mut self, arg: &[u8]) {
        if arg.len() >= LARGE_ARG_BYTES || self.bytes.len() >= SMALL_BYTES_MAX {
            return self.push_large(arg.to_vec().into());
        }
        self.spans.push(ArgSpan::inside(self.bytes.len(), arg.len()));
        self.bytes.extend_from_slice(arg);
    }

    /// Appends one argument that is an allocation of its own already.
    pub fn push_large(&mut self, arg: LargeArg) {
        self.spans.push(ArgSpan::outside(self.larges.len()));
        self.larges.push(arg);
    }

    /// No argument any more; the room is kept.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.larges.clear();
    }

    /// How many arguments.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// True before the first push.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The view that handlers take.
    #[inline]
    pub fn view(&self) -> Args<'_> {
        Args { query: &self.bytes, spans: &self.spans, larges: &self.larges }
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.small_memory() + self.large_memory()
    }

    /// Of that, what is not in pieces of long arguments.
    pub fn small_memory(&self) -> usize {
        self.bytes.capacity()
            + self.spans.capacity() * size_of::<ArgSpan>()
            + self.larges.capacity() * size_of::<LargeArg>()
    }

    /// The rest: pieces of long arguments, which may be others' too.
    pub fn large_memory(&self) -> usize {
        self.larges.iter().map(LargeArg::memory).sum()
    }
}

impl From<&Args<'_>> for OwnedArgs {
    fn from(args: &Args<'_>) -> Self {
        let mut owned = OwnedArgs {
            bytes: Vec::with_capacity((0..args.len()).map(|i| args.len_of(i)).filter(|n| *n < LARGE_ARG_BYTES).sum()),
            spans: Vec::with_capacity(args.len()),
            larges: Vec::new(),
        };
        for i in 0..args.len() {
            match args.large(i).filter(|large| large.len() >= LARGE_ARG_BYTES) {
                Some(large) => owned.push_large(large.clone()),
                None => owned.push(&args[i]),
            }
        }
        owned
    }
}

impl From<Args<'_>> for OwnedArgs {
    fn from(args: Args<'_>) -> Self {
        (&args).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_reads_inside_and_outside() {
        let query = b"..SET.key";
        let mut received = PieceBuf::default();
        received.push(&[7; LARGE_ARG_BYTES]);
        let larges = [LargeArg::from(received), LargeArg::from(b"small".to_vec())];
        let spans = [ArgSpan::inside(2, 3), ArgSpan::inside(6, 3), ArgSpan::outside(0), ArgSpan::outside(1)];
        let args = Args::new(query, &spans, &larges);
        assert_eq!(args.len(), 4);
        assert_eq!([0, 2, 9].map(|i| args.get_short(i)), [Some(&b"SET"[..]), None, None]);
        assert_eq!((&args[0], args.len_of(2), &args.start_of(2, 3)[..]), (&b"SET"[..], LARGE_ARG_BYTES, &[7; 3][..]));
        assert_eq!(
            (args.len_of(1), &args.start_of(1, 2)[..], args.large_bytes()),
            (3, &b"ke"[..], LARGE_ARG_BYTES + 5)
        );
        assert!(args.pieces(1).is_none());
        assert!(args.pieces(3).is_none(), "not large, whatever its place");
        assert_eq!(args.pieces(2).map(|pieces| pieces.len()), Some(LARGE_ARG_BYTES));
        assert_eq!(args.get(1), Some(&b"key"[..]));
        assert_eq!(args.get(2).map(<[u8]>::len), Some(LARGE_ARG_BYTES));
        assert_eq!(&args[3], b"small");
        assert_eq!(args.get(4), None);
        assert_eq!(args.skip(3).iter().collect::<Vec<_>>(), [b"small"]);
        assert_eq!(args.skip(9).len(), 0);
        assert_eq!(args.iter().next_back(), Some(&b"small"[..]));
        assert!(args.pieces(2).is_none(), "it was put together");
        let mut received = PieceBuf::default();
        received.push(&[7; LARGE_ARG_BYTES]);
        let larges = [LargeArg::from(received), larges[1].clone()];
        let args = Args::new(query, &spans, &larges);
        args.release();
        assert!(matches!(args.text(0), Source::Lent(b"SET")));
        assert!(matches!(args.text(2), Source::Received(text) if text.as_ref() == [7; LARGE_ARG_BYTES]));
        assert!(matches!(args.text(3), Source::Lent(b"small")));
        assert_eq!((args.len_of(2), &args.start_of(2, 2)[..]), (LARGE_ARG_BYTES, &[7; 2][..]));
    }

    #[test]
    fn a_request_that_is_encoded_already_is_found() {
        use crate::resp::{Limits, Parsed, RequestParser, push_command};
        let long = [&b"*2\r\n$4\r\nECHO\r\n$100\r\n"[..], &[b'x'; 100], b"\r\n"].concat();
        let as_encoded = |query: &[u8]| {
            let (mut spans, mut larges) = (Vec::new(), Vec::new());
            let parsed = RequestParser::new().parse(query, &Limits::default(), &mut spans, &mut larges);
            let Parsed::Request { .. } = parsed else { panic!("{parsed:?}") };
            let args = Args::new(query, &spans, &larges);
            let found = args.as_encoded().map(<[u8]>::to_vec);
            let mut anew = Vec::new();
            push_command(&mut anew, args.iter());
            assert!(found.as_ref().is_none_or(|found| *found == anew));
            found.is_some()
        };
        assert!(as_encoded(b"*1\r\n$4\r\nPING\r\n"));
        assert!(as_encoded(b"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$2\r\n\r\n\r\nrest"));
        assert!(as_encoded(&long));
        assert!(as_encoded(b"\r\n*1\r\n$4\r\nPING\r\n"));
        assert!(!as_encoded(b"SET a b\r\n"));
        let owned = OwnedArgs::from_parts(["SET", "a", "b"]);
        assert!(owned.view().as_encoded().is_none());
        let [one, two] = [ArgSpan::inside(8, 3), ArgSpan::inside(8, 3)];
        assert!(Args::new(b"*2\r\n$3\r\nSET\r\n", &[one, two], &[]).as_encoded().is_none());
    }

    #[test]
    fn owned_args_equal_their_view_and_share_the_large_ones() {
        let larges = [LargeArg::from(vec![7; LARGE_ARG_BYTES])];
        let spans = [ArgSpan::inside(0, 3), ArgSpan::outside(0), ArgSpan::inside(3, 0)];
        let args = Args::new(b"SET", &spans, &larges);
        let owned = OwnedArgs::from(&args);
        assert!(args.iter().eq(owned.view().iter()));
        assert_eq!(owned.view()[1].as_ptr(), larges[0].bytes().as_ptr());
        assert!(owned.memory() >= LARGE_ARG_BYTES + 3);
        let built = OwnedArgs::from_parts([&b"SET"[..], larges[0].bytes(), b""]);
        assert!(built.view().iter().eq(args.iter()));
    }
}
