//! The reply encoder: results in, RESP2 or RESP3 out.
//!
//! Handlers say what a result *is* (a map, a double, nothing) and the connection's protocol decides how it is
//! spelled. RESP2 lacks most types, and Redis fixed long ago what stands in for each:
//!
//! | | RESP2 | RESP3 |
//! | --- | --- | --- |
//! | [`Reply::map`] of n pairs | `*2n` | `%n` |
//! | [`Reply::set`], [`Reply::push`] | `*n` | `~n`, `>n` |
//! | [`Reply::attribute`] | left out | `\|n` |
//! | [`Reply::null`], [`Reply::null_array`] | `$-1`, `*-1` | `_` |
//! | [`Reply::double`], [`Reply::big_number`] | bulk string | `,1.5`, `(123` |
//! | [`Reply::boolean`] | `:1`, `:0` | `#t`, `#f` |
//! | [`Reply::verbatim`] | bulk string | `=15 txt:...` |
//!
//! # Lengths that are not known yet
//!
//! A scan does not know how many elements it will return. [`Reply::array_deferred`] writes a header with one digit
//! and remembers the place; [`Reply::set_array_len`] fills the digit in, and makes room when one is not enough.
//! Deferred headers nest, but must be settled from the inside out or in the order they were begun, before anything
//! of the queue is sent: a place that moved is lost. (Settling an outer one first moves the inner ones.)
//!
//! # Speed
//!
//! Headers and integers of up to three digits are put together in registers and appended as eight bytes of which
//! the surplus is cut off again; this is what Redis keeps its shared header objects for.

use bytes::Bytes;

use super::Args;
use crate::util::num::{push_f64, push_i64};
use crate::util::output_buffer::{Mark, OutputBuffer};

/// A blob shared into the reply is only worth it from this size on.
const SHARED_BULK_BYTES_MIN: usize = 16 * 1024;

/// Appends a request to `out`: an array of bulk strings, as clients send commands.
pub fn push_command<'a>(out: &mut Vec<u8>, args: impl ExactSizeIterator<Item = &'a [u8]>) {
    push_array_header(out, args.len());
    args.for_each(|arg| push_bulk(out, arg));
}

/// Appends a request as [`push_command`] would: most lie in the query buffer just so.
#[inline]
pub fn push_request(out: &mut Vec<u8>, args: Args<'_>) {
    match args.as_encoded() {
        Some(bytes) => {
            debug_assert!(
                {
                    let mut anew = Vec::new();
                    push_command(&mut anew, args.iter());
                    anew == bytes
                },
                "it is what encoding it would give"
            );
            out.extend_from_slice(bytes);
        }
        None => push_command(out, args.iter()),
    }
}

/// The protocol version a connection speaks, chosen by `HELLO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Proto {
    /// RESP2, which every connection starts with.
    #[default]
    Resp2,
    /// RESP3.
    Resp3,
}

impl Proto {
    /// 2 or 3, as `HELLO` and `CLIENT LIST` write it.
    pub fn number(self) -> i64 {
        match self {
            Self::Resp2 => 2,
            Self::Resp3 => 3,
        }
    }
}

/// The place of an aggregate header whose length is still open. Give it to the `set_*_len` of the same kind.
#[derive(Debug, Clone, Copy)]
#[must_use = "a deferred header is wrong until its length is set"]
pub struct Deferred {
    /// Index of the one digit in the queue's buffer.
    digit: usize,
    after_digit: Mark,
}

/// The encoder of one connection and the queue of what it still has to be sent.
#[derive(Debug, Default)]
pub struct Reply {
    /// Encoded replies not yet written.
    pub out: OutputBuffer,
    /// The form they are encoded in.
    pub proto: Proto,
}

impl Reply {
    /// An empty queue in RESP2.
    pub const fn new() -> Self {
        Self::with_proto(Proto::Resp2)
    }

    /// An empty queue in the given protocol.
    pub const fn with_proto(proto: Proto) -> Self {
        Self { out: OutputBuffer::new(), proto }
    }

    #[inline(always)]
    fn resp3(&self) -> bool {
        self.proto == Proto::Resp3
    }

    /// `+OK`
    #[inline]
    pub fn ok(&mut self) {
        self.out.bytes_mut().extend_from_slice(b"+OK\r\n");
    }

    /// A simple string. It must not hold a line end.
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']));
        self.line(b'+', text.as_bytes());
    }

    /// An error, with its code and without the dash: `ERR no such key`. Line ends become blanks.
    pub fn error(&mut self, text: &str) {
        self.error_bytes(text.as_bytes());
    }

    /// An error whose text quotes bytes that need not be UTF-8.
    #[cold]
    pub fn error_bytes(&mut self, text: &[u8]) {
        let text = text.trim_suffix_crlf();
        let out = self.out.bytes_mut();
        out.push(b'-');
        out.extend(text.iter().map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { *b }));
        out.extend_from_slice(b"\r\n");
    }

    /// An integer.
    #[inline]
    pub fn int(&mut self, n: i64) {
        push_header(self.out.bytes_mut(), b':', n);
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        push_bulk(self.out.bytes_mut(), bytes);
    }

    /// An integer as a bulk string.
    pub fn bulk_int(&mut self, n: i64) {
        let mut digits = itoa::Buffer::new();
        self.bulk(digits.format(n).as_bytes());
    }

    /// A float as a bulk string in both protocols.
    pub fn bulk_f64(&mut self, x: f64) {
        // The text goes straight behind a header with one digit, and moves over when its length has two.
        let out = self.out.bytes_mut();
        let start = out.len();
        out.extend_from_slice(b"$0\r\n");
        push_f64(out, x);
        let len = out.len() - start - 4;
        debug_assert!(len < 100, "no double is that long");
        if len >= 10 {
            out.push(0);
            out.copy_within(start + 4..start + 4 + len, start + 5);
            out[start..start + 5].copy_from_slice(&[
                b'$',
                b'0' + (len / 10) as u8,
                b'0' + (len % 10) as u8,
                b'\r',
                b'\n',
            ]);
        } else {
            out[start + 1] = b'0' + len as u8;
        }
        out.extend_from_slice(b"\r\n");
    }

    /// A bulk string of `len` bytes that lies in memory as shared pieces; large ones are not copied.
    pub fn shared_bulk(&mut self, len: usize, pieces: impl IntoIterator<Item = Bytes>) {
        push_header(self.out.bytes_mut(), b'$', len as i64);
        let before = self.out.len();
        for piece in pieces {
            if len < SHARED_BULK_BYTES_MIN {
                self.out.bytes_mut().extend_from_slice(&piece);
            } else {
                self.out.share(piece);
            }
        }
        assert_eq!(self.out.len() - before, len, "a bulk string has the length its header says");
        self.out.bytes_mut().extend_from_slice(b"\r\n");
    }

    /// Nothing, where a bulk string could be.
    #[inline]
    pub fn null(&mut self) {
        // Two calls rather than a choice of slices: each copies a length the compiler knows.
        if self.resp3() {
            self.out.bytes_mut().extend_from_slice(b"_\r\n");
        } else {
            self.out.bytes_mut().extend_from_slice(b"$-1\r\n");
        }
    }

    /// Nothing, where an array could be.
    #[inline]
    pub fn null_array(&mut self) {
        if self.resp3() {
            self.out.bytes_mut().extend_from_slice(b"_\r\n");
        } else {
            self.out.bytes_mut().extend_from_slice(b"*-1\r\n");
        }
    }

    /// The header of an array of `n` elements, which follow.
    #[inline]
    pub fn array(&mut self, n: usize) {
        push_header(self.out.bytes_mut(), b'*', n as i64);
    }

    /// The header of a map of `n` pairs; keys and values follow in turn.
    #[inline]
    pub fn map(&mut self, n: usize) {
        let (kind, n) = if self.resp3() { (b'%', n) } else { (b'*', 2 * n) };
        push_header(self.out.bytes_mut(), kind, n as i64);
    }

    /// The header of a set of `n` elements.
    #[inline]
    pub fn set(&mut self, n: usize) {
        let kind = if self.resp3() { b'~' } else { b'*' };
        push_header(self.out.bytes_mut(), kind, n as i64);
    }

    /// The header of a push of `n` elements.
    #[inline]
    pub fn push(&mut self, n: usize) {
        let kind = if self.resp3() { b'>' } else { b'*' };
        push_header(self.out.bytes_mut(), kind, n as i64);
    }

    /// The header of an attribute of `n` pairs. False, and nothing written, in RESP2: then leave the pairs out too.
    pub fn attribute(&mut self, n: usize) -> bool {
        if self.resp3() {
            push_header(self.out.bytes_mut(), b'|', n as i64);
        }
        self.resp3()
    }

    /// A double; a bulk string in RESP2.
    pub fn double(&mut self, x: f64) {
        if self.resp3() {
            let out = self.out.bytes_mut();
            out.push(b',');
            push_f64(out, x);
            out.extend_from_slice(b"\r\n");
        } else {
            self.bulk_f64(x);
        }
    }

    /// True or false; 1 or 0 in RESP2.
    pub fn boolean(&mut self, yes: bool) {
        let text: &[u8] = match (self.proto, yes) {
            (Proto::Resp2, true) => b":1\r\n",
            (Proto::Resp2, false) => b":0\r\n",
            (Proto::Resp3, true) => b"#t\r\n",
            (Proto::Resp3, false) => b"#f\r\n",
        };
        self.out.bytes_mut().extend_from_slice(text);
    }

    /// Text for people, with a three-letter format such as `txt`; a bulk string in RESP2.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        assert_eq!(format.len(), 3, "RESP3 wants three letters");
        if !self.resp3() {
            return self.bulk(text);
        }
        let out = self.out.bytes_mut();
        push_header(out, b'=', text.len() as i64 + 4);
        out.extend_from_slice(format.as_bytes());
        out.push(b':');
        out.extend_from_slice(text);
        out.extend_from_slice(b"\r\n");
    }

    /// An integer of any size, in decimal; a bulk string in RESP2.
    pub fn big_number(&mut self, digits: &str) {
        if self.resp3() {
            self.line(b'(', digits.as_bytes());
        } else {
            self.bulk(digits.as_bytes());
        }
    }

    /// Bytes that are encoded already.
    #[inline]
    pub fn raw(&mut self, encoded: &[u8]) {
        self.out.bytes_mut().extend_from_slice(encoded);
    }

    /// An array whose length comes later, with [`Reply::set_array_len`].
    pub fn array_deferred(&mut self) -> Deferred {
        self.deferred(b'*')
    }

    /// A map whose length comes later, with [`Reply::set_map_len`].
    pub fn map_deferred(&mut self) -> Deferred {
        self.deferred(if self.resp3() { b'%' } else { b'*' })
    }

    /// A set whose length comes later, with [`Reply::set_set_len`].
    pub fn set_deferred(&mut self) -> Deferred {
        self.deferred(if self.resp3() { b'~' } else { b'*' })
    }

    /// Settles an [`Reply::array_deferred`]: `n` elements were written.
    pub fn set_array_len(&mut self, at: Deferred, n: usize) {
        self.settle(at, n);
    }

    /// Settles a [`Reply::map_deferred`]: `n` pairs were written.
    pub fn set_map_len(&mut self, at: Deferred, n: usize) {
        let n = if self.resp3() { n } else { 2 * n };
        self.settle(at, n);
    }

    /// Settles a [`Reply::set_deferred`]: `n` elements were written.
    pub fn set_set_len(&mut self, at: Deferred, n: usize) {
        self.settle(at, n);
    }

    fn deferred(&mut self, kind: u8) -> Deferred {
        self.out.bytes_mut().extend_from_slice(&[kind, b'0']);
        let deferred = Deferred { digit: self.out.bytes_mut().len() - 1, after_digit: self.out.mark() };
        self.out.bytes_mut().extend_from_slice(b"\r\n");
        deferred
    }

    fn settle(&mut self, at: Deferred, n: usize) {
        let mut digits = itoa::Buffer::new();
        let (first, rest) = digits.format(n).as_bytes().split_at(1);
        let digit = &mut self.out.bytes_mut()[at.digit];
        debug_assert_eq!(*digit, b'0', "a deferred length is set once, and before anything is sent");
        *digit = first[0];
        if !rest.is_empty() {
            self.out.insert_at(at.after_digit, rest);
        }
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        let out = self.out.bytes_mut();
        out.reserve(text.len() + 3);
        out.push(kind);
        out.extend_from_slice(text);
        out.extend_from_slice(b"\r\n");
    }
}

/// A bulk string, for who encodes without a [`Reply`].
#[inline]
pub fn push_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + 32);
    push_bulk_header(out, bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// What goes before the `n` bulk strings of a request.
#[inline]
pub fn push_array_header(out: &mut Vec<u8>, n: usize) {
    push_header(out, b'*', n as i64);
}

/// What goes before the `len` bytes of a bulk string.
#[inline]
pub fn push_bulk_header(out: &mut Vec<u8>, len: usize) {
    push_header(out, b'$', len as i64);
}

/// `kind`, `n`, CR LF.
#[inline(always)]
fn push_header(out: &mut Vec<u8>, kind: u8, n: i64) {
    let digit = |d: i64| b'0' + d as u8;
    let (line, len) = match n {
        0..=9 => ([kind, digit(n), b'\r', b'\n', 0, 0, 0, 0], 4),
        10..=99 => ([kind, digit(n / 10), digit(n % 10), b'\r', b'\n', 0, 0, 0], 5),
        100..=999 => ([kind, digit(n / 100), digit(n / 10 % 10), digit(n % 10), b'\r', b'\n', 0, 0], 6),
        _ => return push_long_header(out, kind, n),
    };
    let end = out.len() + len;
    out.extend_from_slice(&line);
    out.truncate(end);
}

#[inline(never)]
fn push_long_header(out: &mut Vec<u8>, kind: u8, n: i64) {
    out.reserve(24);
    out.push(kind);
    push_i64(out, n);
    out.extend_from_slice(b"\r\n");
}

/// Error texts sometimes come with a line end of their own.
trait TrimLineEnd {
    fn trim_suffix_crlf(&self) -> &[u8];
}

impl TrimLineEnd for [u8] {
    fn trim_suffix_crlf(&self) -> &[u8] {
        let end = self.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |i| i + 1);
        &self[..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `f` in both protocols and compares what was written.
    fn check(f: impl Fn(&mut Reply), resp2: &str, resp3: &str) {
        for (proto, want) in [(Proto::Resp2, resp2), (Proto::Resp3, resp3)] {
            let mut reply = Reply::with_proto(proto);
            f(&mut reply);
            assert_eq!(String::from_utf8_lossy(&reply.out.to_vec()), want, "{proto:?}");
        }
    }

    fn same(f: impl Fn(&mut Reply), want: &str) {
        check(f, want, want);
    }

    #[test]
    fn the_types_both_protocols_have() {
        same(|r| r.ok(), "+OK\r\n");
        same(|r| r.simple("QUEUED"), "+QUEUED\r\n");
        same(|r| r.error("ERR a\r\nb\r\n"), "-ERR a  b\r\n");
        same(|r| r.error_bytes(b""), "-\r\n");
        same(|r| r.bulk(b""), "$0\r\n\r\n");
        same(|r| r.bulk(b"hello"), "$5\r\nhello\r\n");
        same(|r| r.bulk_int(-12), "$3\r\n-12\r\n");
        same(|r| r.bulk_f64(3.0), "$1\r\n3\r\n");
        same(|r| r.bulk_f64(-1.2345678), "$10\r\n-1.2345678\r\n");
        same(|r| r.bulk_f64(0.1234567), "$9\r\n0.1234567\r\n");
        same(|r| r.array(0), "*0\r\n");
        same(|r| r.raw(b":1\r\n"), ":1\r\n");
    }

    #[test]
    fn the_types_resp2_lacks() {
        check(|r| r.null(), "$-1\r\n", "_\r\n");
        check(|r| r.null_array(), "*-1\r\n", "_\r\n");
        check(|r| r.map(3), "*6\r\n", "%3\r\n");
        check(|r| r.set(3), "*3\r\n", "~3\r\n");
        check(|r| r.push(3), "*3\r\n", ">3\r\n");
        check(|r| _ = r.attribute(3), "", "|3\r\n");
        check(|r| r.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n");
        check(|r| r.double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
        check(|r| r.boolean(true), ":1\r\n", "#t\r\n");
        check(|r| r.boolean(false), ":0\r\n", "#f\r\n");
        check(|r| r.verbatim("txt", b"hi"), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n");
        check(
            |r| r.big_number("-99999999999999999999"),
            "$21\r\n-99999999999999999999\r\n",
            "(-99999999999999999999\r\n",
        );
    }

    #[test]
    fn integers_of_every_width() {
        for n in (-1100..=1100).chain([9999, 10_000, i64::MAX, i64::MIN, 12_345_678]) {
            same(|r| r.int(n), &format!(":{n}\r\n"));
        }
        for n in [0, 9, 10, 99, 100, 999, 1000, 70_000] {
            same(|r| r.array(n), &format!("*{n}\r\n"));
            let text = "x".repeat(n);
            same(|r| r.bulk(text.as_bytes()), &format!("${n}\r\n{text}\r\n"));
        }
    }

    #[test]
    fn deferred_lengths_of_every_width() {
        for n in [0, 1, 9, 10, 123, 4567] {
            check(
                |r| {
                    r.ok();
                    let map = r.map_deferred();
                    for i in 0..n {
                        r.int(i);
                        let inner = r.array_deferred();
                        for _ in 0..12 {
                            r.null();
                        }
                        r.set_array_len(inner, 12);
                    }
                    let empty = r.set_deferred();
                    r.set_set_len(empty, 0);
                    r.set_map_len(map, n as usize);
                    r.ok();
                },
                &format!("+OK\r\n*{}\r\n{}*0\r\n+OK\r\n", 2 * n, body(n, "$-1\r\n")),
                &format!("+OK\r\n%{n}\r\n{}~0\r\n+OK\r\n", body(n, "_\r\n")),
            );
        }
        fn body(n: i64, null: &str) -> String {
            (0..n).map(|i| format!(":{i}\r\n*12\r\n{}", null.repeat(12))).collect()
        }
    }

    #[test]
    fn shared_pieces_are_in_their_place_and_not_copied() {
        let pieces = [Bytes::from(vec![b'a'; 65536]), Bytes::from(vec![b'b'; 100])];
        let mut reply = Reply::new();
        let outer = reply.array_deferred();
        reply.shared_bulk(65636, pieces.iter().cloned());
        reply.shared_bulk(2, [Bytes::from_static(b"xy")]);
        reply.set_array_len(outer, 10);
        let want = format!("*10\r\n$65636\r\n{}{}\r\n$2\r\nxy\r\n", "a".repeat(65536), "b".repeat(100)).into_bytes();
        assert_eq!(reply.out.to_vec(), want);
        assert!(reply.out.chunks().any(|c| c.as_ptr() == pieces[0].as_ptr()));
    }
}
