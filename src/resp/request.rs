//! The request parser: one request at a time out of a query buffer.
//!
//! # How a turn calls it
//!
//! ```text
//!   query buffer   | consumed | request 1 | request 2 | half of request 3
//!                             ^ start
//!   parse(&query[start..])  -> Request { consumed, argc }      start += consumed, spans grew by argc
//!   parse(&query[start..])  -> Request { consumed, argc }      ...
//!   parse(&query[start..])  -> Incomplete { consumed }         start += consumed (nearly always 0); read more
//! ```
//!
//! Spans are offsets into the slice *that call* was given. The bytes of a request stay in the query buffer until it
//! has been executed; the caller then drops everything before `start`. After `Incomplete` the bytes from `start` on
//! must be shown again, with more behind them. Empty lines, `*0` and `*-1` are swallowed on the way, as Redis does.
//!
//! # What it remembers
//!
//! Nothing, most of the time: the parser is one null pointer between requests. A request that is cut within its
//! first [`RESCAN_BYTES`] is simply read again from its start, which is cheaper than remembering anything. A longer
//! one gets a [`Partial`]: the spans so far, and how far the buffer has been understood or searched for a line end.
//! So a client that sends a long request byte by byte costs at most that many bytes of work per byte.
//!
//! # Large arguments
//!
//! An argument of at least [`LARGE_ARG_BYTES`] that is not wholly in the slice is collected in pieces. From then on the
//! request no longer lives in the query buffer: the earlier arguments are copied out (they are few and small beside
//! it), and `Incomplete` consumes the whole slice, so that the buffer never holds more than one read of it. There are
//! as many pieces as have arrived, whatever the header says; what a long value is made of are these very pieces. Whoever
//! has the socket may receive into them without a way through the query buffer ([`RequestParser::receive`]).
//!
//! # Lenience
//!
//! Like Redis, the byte after a carriage return in a header and the two bytes after an argument are skipped
//! unseen, and an error in a header is reported only when its line is complete.

use memchr::memchr;

use super::args::{ArgSpan, Args};
use super::inline;
use super::large::LargeArg;
use super::protocol_error::ProtocolError;
use crate::util::num::parse_i64;
use crate::util::piece::PieceBuf;

/// From this length on an argument may get an allocation of its own.
pub const LARGE_ARG_BYTES: usize = 32 * 1024;

/// A request cut within its first so many bytes is parsed again from its start.
const RESCAN_BYTES: usize = 1024;

/// When the small arguments of an unfinished request fill this much, they are moved out of the query buffer, since
/// spans are 32-bit offsets.
const SPANNED_BYTES_MAX: usize = 1 << 30;

/// How far a number may be from its `*` or `$`, and a line end from the start of an inline request.
const INLINE_BYTES_MAX: usize = 64 * 1024;

const UNAUTHENTICATED_ARGS_MAX: i64 = 10;
const UNAUTHENTICATED_BULK_BYTES_MAX: i64 = 16 * 1024;

/// What this connection may send.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// `proto-max-bulk-len`; `i64::MAX as u64` for a primary's link, which has no limit.
    pub bulk_bytes_max: u64,
    /// Line ends must come within so many bytes, in inline requests and in headers.
    pub inline_bytes_max: usize,
    /// The largest number after `*`.
    pub multibulk_max: i64,
    /// False while the connection must still authenticate: then 10 arguments of 16 KiB are the limit.
    pub authenticated: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bulk_bytes_max: 512 * 1024 * 1024,
            inline_bytes_max: INLINE_BYTES_MAX,
            multibulk_max: i64::from(i32::MAX),
            authenticated: true,
        }
    }
}

/// What a call of [`RequestParser::parse`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// A whole request: `argc` spans (at least one) were appended.
    Request {
        /// Bytes of the slice that are done with once the request has been executed.
        consumed: usize,
        /// How many spans were appended.
        argc: usize,
    },
    /// More bytes are needed; nothing was appended.
    Incomplete {
        /// Bytes of the slice that are not to be shown again. Not 0 only after empty lines or with a large argument.
        consumed: usize,
    },
    /// The stream is not RESP: answer and close. The parser must not be used again.
    Error(ProtocolError),
}

/// The parser of one connection. Small when idle: one pointer.
#[derive(Debug, Default)]
pub struct RequestParser {
    partial: Option<Box<Partial>>,
}

/// An unfinished request.
#[derive(Debug, Default)]
struct Partial {
    at: Position,
    /// Arguments found so far. Offsets count from the first byte the next call will be shown.
    spans: Vec<ArgSpan>,
    larges: Vec<LargeArg>,
    large: Option<Large>,
}

#[derive(Debug)]
struct Large {
    pieces: PieceBuf,
    /// The length announced, with the closing CR LF.
    total: usize,
}

/// How far a request is understood.
#[derive(Debug, Default, Clone, Copy)]
struct Position {
    /// Everything before is understood.
    pos: usize,
    /// So many bytes from `pos` on hold no line end.
    searched: usize,
    /// Arguments still to come; 0 before the `*` header was read.
    args_left: usize,
    /// The argument at `pos` has this length (its header was read).
    bulk: Option<usize>,
}

/// Why the walk through a request stopped.
enum Stop {
    Done,
    NeedMore,
    Error(ProtocolError),
}

impl RequestParser {
    /// A parser between requests.
    pub const fn new() -> Self {
        Self { partial: None }
    }

    /// Takes the next request off the front of `query`, the connection's unconsumed bytes. See the module's header
    /// for the protocol between caller and parser.
    #[inline]
    pub fn parse(
        &mut self,
        query: &[u8],
        limits: &Limits,
        spans: &mut Vec<ArgSpan>,
        larges: &mut Vec<LargeArg>,
    ) -> Parsed {
        if self.partial.is_some() {
            return self.resume(query, limits, spans, larges);
        }
        let mut start = 0;
        loop {
            let first_span = spans.len();
            let mut at = Position { pos: start, ..Position::default() };
            let stop = match query.get(start) {
                None => return Parsed::Incomplete { consumed: start },
                Some(b'*') => walk(query, &mut at, limits, spans),
                Some(_) => line(query, &mut at, limits, spans, larges),
            };
            match stop {
                Stop::Done if spans.len() > first_span => {
                    return Parsed::Request { consumed: at.pos, argc: spans.len() - first_span };
                }
                Stop::Done => start = at.pos,
                Stop::Error(error) => return Parsed::Error(error),
                Stop::NeedMore => return self.suspend(query, start, at, spans, first_span),
            }
        }
    }

    /// How many bytes of a large argument are still expected, its CR LF included; 0 when none is being received.
    pub fn large_remaining(&self) -> usize {
        self.partial.as_ref().and_then(|p| p.large.as_ref()).map_or(0, |large| large.total - large.pieces.len())
    }

    /// Lets `f` append bytes of the large argument that is being received, of which so many are still expected; `None` if
    /// none is. What it appends is not to be shown to [`RequestParser::parse`] again.
    pub fn receive<R>(&mut self, f: impl FnOnce(&mut PieceBuf, usize) -> R) -> Option<R> {
        let large = self.partial.as_mut()?.large.as_mut()?;
        let left = large.total - large.pieces.len();
        let result = f(&mut large.pieces, left);
        debug_assert!(large.pieces.len() <= large.total, "no more than is expected");
        Some(result)
    }

    /// True in the middle of a request that is longer than a kilobyte or so (shorter ones leave no trace here).
    pub fn is_partial(&self) -> bool {
        self.partial.is_some()
    }

    /// Bytes of memory held beside the query buffer.
    pub fn memory(&self) -> usize {
        self.partial.as_ref().map_or(0, |p| p.memory())
    }

    /// Length of the large argument that is being received, and what its pieces take.
    pub fn large_buffer(&self) -> (usize, usize) {
        let large = self.partial.as_ref().and_then(|partial| partial.large.as_ref());
        large.map_or((0, 0), |large| (large.pieces.len(), large.pieces.memory().max(large.pieces.len())))
    }

    /// Bytes received of the unfinished request that are not in the query buffer any more.
    pub fn held_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |p| {
            p.larges.iter().map(LargeArg::len).sum::<usize>() + p.large.as_ref().map_or(0, |large| large.pieces.len())
        })
    }

    /// A request that was not understood to its end: remember as little as possible.
    #[cold]
    fn suspend(
        &mut self,
        query: &[u8],
        start: usize,
        at: Position,
        spans: &mut Vec<ArgSpan>,
        first_span: usize,
    ) -> Parsed {
        let large = at.bulk.is_some_and(|len| len >= LARGE_ARG_BYTES);
        if query.len() - start <= RESCAN_BYTES && !large {
            spans.truncate(first_span);
            return Parsed::Incomplete { consumed: start };
        }
        let partial = Partial { at, spans: spans.split_off(first_span), ..Partial::default() };
        self.partial.insert(Box::new(partial)).keep(query, start)
    }

    fn resume(
        &mut self,
        query: &[u8],
        limits: &Limits,
        spans: &mut Vec<ArgSpan>,
        larges: &mut Vec<LargeArg>,
    ) -> Parsed {
        let partial = self.partial.as_mut().expect("the caller looked");
        let Some(fed) = partial.feed_large(query) else {
            return Parsed::Incomplete { consumed: query.len() };
        };
        // Before the first header of a request there are only two reasons to remember it: a very long line, or a
        // very long number after `*`. Both start at 0.
        let stop = if partial.at.args_left == 0 && partial.at.bulk.is_none() && partial.spans.is_empty() {
            match query.first() {
                Some(b'*') => walk(query, &mut partial.at, limits, &mut partial.spans),
                Some(_) => line(query, &mut partial.at, limits, &mut partial.spans, &mut partial.larges),
                None => Stop::NeedMore,
            }
        } else {
            walk_args(query, &mut partial.at, limits, &mut partial.spans)
        };
        match stop {
            Stop::Done => {
                let partial = *self.partial.take().expect("still there");
                let consumed = partial.at.pos;
                let argc = partial.finish(spans, larges);
                if argc == 0 {
                    // A line of 64 KiB of blanks. Go on behind it.
                    let next = self.parse(&query[consumed..], limits, spans, larges);
                    return next.shifted(consumed, spans);
                }
                Parsed::Request { consumed, argc }
            }
            Stop::NeedMore => partial.keep(query, fed),
            Stop::Error(error) => Parsed::Error(error),
        }
    }
}

impl Parsed {
    /// The same result as seen from `by` bytes earlier.
    fn shifted(self, by: usize, spans: &mut [ArgSpan]) -> Self {
        match self {
            Self::Request { consumed, argc } => {
                let first = spans.len() - argc;
                shift(&mut spans[first..], by as i64);
                Self::Request { consumed: consumed + by, argc }
            }
            Self::Incomplete { consumed } => Self::Incomplete { consumed: consumed + by },
            Self::Error(error) => Self::Error(error),
        }
    }
}

fn shift(spans: &mut [ArgSpan], by: i64) {
    for span in spans.iter_mut().filter(|span| span.off != ArgSpan::OUTSIDE) {
        span.off = (i64::from(span.off) + by) as u32;
    }
}

impl Partial {
    /// Settles what the caller must show again, given that `query[..start]` need not be shown in any case.
    fn keep(&mut self, query: &[u8], start: usize) -> Parsed {
        let large = self.at.bulk.filter(|len| *len >= LARGE_ARG_BYTES);
        if large.is_none() && self.at.pos - start < SPANNED_BYTES_MAX {
            if start > 0 {
                // Once per request, or per large argument: a loop over the spans at every call would be quadratic.
                shift(&mut self.spans, -(start as i64));
                self.at.pos -= start;
            }
            return Parsed::Incomplete { consumed: start };
        }
        self.detach(query);
        let consumed = match large {
            Some(len) => {
                let mut pieces = PieceBuf::default();
                pieces.push(&query[self.at.pos..]);
                self.large = Some(Large { pieces, total: len + 2 });
                query.len()
            }
            None => self.at.pos,
        };
        self.at.pos = 0;
        self.at.searched = 0;
        Parsed::Incomplete { consumed }
    }

    /// Copies the arguments that lie in the query buffer out of it.
    fn detach(&mut self, query: &[u8]) {
        for span in self.spans.iter_mut().filter(|span| span.off != ArgSpan::OUTSIDE) {
            let off = span.off as usize;
            self.larges.push(query[off..off + span.len as usize].to_vec().into());
            *span = ArgSpan::outside(self.larges.len() - 1);
        }
    }

    /// Gives the large argument, if there is one, its share of `query`. `None`: it took everything and wants more.
    /// Otherwise how many bytes it took; the rest of the request goes on from there.
    fn feed_large(&mut self, query: &[u8]) -> Option<usize> {
        let Some(large) = &mut self.large else { return Some(0) };
        let take = query.len().min(large.total - large.pieces.len());
        large.pieces.push(&query[..take]);
        if large.pieces.len() < large.total {
            return None;
        }
        let Large { mut pieces, total } = self.large.take().expect("matched above");
        pieces.truncate(total - 2);
        self.spans.push(ArgSpan::outside(self.larges.len()));
        self.larges.push(pieces.into());
        self.at.bulk = None;
        self.at.args_left -= 1;
        self.at.pos = take;
        Some(take)
    }

    /// Moves the arguments to the caller's vectors.
    fn finish(self, spans: &mut Vec<ArgSpan>, larges: &mut Vec<LargeArg>) -> usize {
        let first_large = larges.len() as u32;
        spans.extend(self.spans.iter().map(|span| match span.off {
            ArgSpan::OUTSIDE => ArgSpan { len: span.len + first_large, ..*span },
            _ => *span,
        }));
        larges.extend(self.larges);
        self.spans.len()
    }

    fn memory(&self) -> usize {
        size_of::<Self>()
            + self.spans.capacity() * size_of::<ArgSpan>()
            + self.larges.capacity() * size_of::<LargeArg>()
            + self.larges.iter().map(LargeArg::memory).sum::<usize>()
            + self.large.as_ref().map_or(0, |large| large.pieces.memory())
    }
}

/// A multibulk request from its `*`. `Done` without any new span is an empty request.
#[inline(always)]
fn walk(query: &[u8], at: &mut Position, limits: &Limits, spans: &mut Vec<ArgSpan>) -> Stop {
    let argc = match short_header(query, at.pos) {
        Some((n, next)) => {
            at.pos = next;
            at.searched = 0;
            n as i64
        }
        None => match long_header(query, at, limits) {
            Header::Number(n) => n.unwrap_or(i64::MAX),
            Header::NeedMore => return Stop::NeedMore,
            Header::TooLong => return Stop::Error(ProtocolError::TooBigMultibulkCount),
        },
    };
    if argc > UNAUTHENTICATED_ARGS_MAX {
        if argc > limits.multibulk_max {
            return Stop::Error(ProtocolError::InvalidMultibulkLength);
        }
        if !limits.authenticated {
            return Stop::Error(ProtocolError::UnauthenticatedMultibulkLength);
        }
    }
    if argc <= 0 {
        return Stop::Done;
    }
    at.args_left = argc as usize;
    walk_args(query, at, limits, spans)
}

/// The arguments still to come.
#[inline(always)]
fn walk_args(query: &[u8], at: &mut Position, limits: &Limits, spans: &mut Vec<ArgSpan>) -> Stop {
    while at.args_left > 0 {
        let len = match at.bulk {
            Some(len) => len,
            None => match bulk_header(query, at, limits) {
                Ok(len) => len,
                Err(stop) => return stop,
            },
        };
        let end = at.pos.saturating_add(len).saturating_add(2);
        if end > query.len() {
            at.bulk = Some(len);
            return Stop::NeedMore;
        }
        spans.push(ArgSpan::inside(at.pos, len));
        at.pos = end;
        at.bulk = None;
        at.args_left -= 1;
    }
    Stop::Done
}

/// The length after a `$`.
#[inline(always)]
fn bulk_header(query: &[u8], at: &mut Position, limits: &Limits) -> Result<usize, Stop> {
    // Up to three digits cannot break a sane limit; a limit that small takes the long way.
    if query.get(at.pos) == Some(&b'$')
        && let Some((n, next)) = short_header(query, at.pos)
        && n as u64 <= limits.bulk_bytes_max
    {
        at.pos = next;
        at.searched = 0;
        return Ok(n);
    }
    long_bulk_header(query, at, limits)
}

#[inline(never)]
fn long_bulk_header(query: &[u8], at: &mut Position, limits: &Limits) -> Result<usize, Stop> {
    let first = at.pos;
    match long_header(query, at, limits) {
        Header::NeedMore => Err(Stop::NeedMore),
        Header::TooLong => Err(Stop::Error(ProtocolError::TooBigBulkCount)),
        Header::Number(_) if query[first] != b'$' => Err(Stop::Error(ProtocolError::ExpectedDollar(query[first]))),
        Header::Number(n) => match n {
            Some(n) if n >= 0 && n as u64 <= limits.bulk_bytes_max => {
                if n > UNAUTHENTICATED_BULK_BYTES_MAX && !limits.authenticated {
                    return Err(Stop::Error(ProtocolError::UnauthenticatedBulkLength));
                }
                Ok(n as usize)
            }
            _ => Err(Stop::Error(ProtocolError::InvalidBulkLength)),
        },
    }
}

/// The common header: one to three digits between the type byte at `at` and CR LF. Says the number and where the
/// line ends. Six bytes are looked at, which a whole argument always has: `$0 CR LF CR LF`.
#[inline(always)]
fn short_header(query: &[u8], at: usize) -> Option<(usize, usize)> {
    let window: &[u8; 6] = query.get(at..)?.first_chunk()?;
    let digit = |i: usize| usize::from(window[i].wrapping_sub(b'0'));
    let (a, b, c) = (digit(1), digit(2), digit(3));
    if a > 9 {
        return None;
    }
    if window[2] == b'\r' {
        return Some((a, at + 4));
    }
    if a == 0 || b > 9 {
        return None;
    }
    if window[3] == b'\r' {
        return Some((a * 10 + b, at + 5));
    }
    if c > 9 || window[4] != b'\r' {
        return None;
    }
    Some((a * 100 + b * 10 + c, at + 6))
}

enum Header {
    /// The line is complete; `None` if it holds no number.
    Number(Option<i64>),
    NeedMore,
    TooLong,
}

/// Any header. Moves `at` behind it when it is complete.
#[inline(never)]
fn long_header(query: &[u8], at: &mut Position, limits: &Limits) -> Header {
    let rest = query.get(at.pos..).unwrap_or(&[]);
    // A number of at most ten digits that is all there: values of a kilobyte and more, counts above a thousand.
    let mut n = 0;
    for (i, byte) in rest.iter().enumerate().skip(1).take(11) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            if *byte == b'\r' && rest.len() > i + 1 && rest[1] != b'0' && i > 1 {
                at.pos += i + 2;
                at.searched = 0;
                return Header::Number(Some(n));
            }
            break;
        }
        n = n * 10 + i64::from(digit);
    }
    let Some(found) = memchr(b'\r', &rest[at.searched..]) else {
        if rest.len() > limits.inline_bytes_max {
            return Header::TooLong;
        }
        at.searched = rest.len();
        return Header::NeedMore;
    };
    let end = at.searched + found;
    if end + 2 > rest.len() {
        at.searched = end;
        return Header::NeedMore;
    }
    at.pos += end + 2;
    at.searched = 0;
    Header::Number(parse_i64(rest.get(1..end).unwrap_or(&[])))
}

/// An inline request. `Done` without any new span is an empty line.
#[inline(never)]
fn line(
    query: &[u8],
    at: &mut Position,
    limits: &Limits,
    spans: &mut Vec<ArgSpan>,
    larges: &mut Vec<LargeArg>,
) -> Stop {
    let rest = &query[at.pos..];
    let Some(found) = memchr(b'\n', &rest[at.searched..]) else {
        if rest.len() > limits.inline_bytes_max {
            return Stop::Error(ProtocolError::TooBigInline);
        }
        at.searched = rest.len();
        return Stop::NeedMore;
    };
    let end = at.searched + found;
    let words = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
    if let Err(error) = inline::words(words, at.pos, spans, larges) {
        return Stop::Error(error);
    }
    at.pos += end + 1;
    at.searched = 0;
    Stop::Done
}

impl<'a> Args<'a> {
    /// The view of the last `argc` spans appended, right after [`Parsed::Request`].
    #[inline]
    pub fn last(query: &'a [u8], spans: &'a [ArgSpan], larges: &'a [LargeArg], argc: usize) -> Self {
        Self::new(query, &spans[spans.len() - argc..], larges)
    }
}
