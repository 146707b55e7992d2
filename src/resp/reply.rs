//! The reply parser: RESP2 and RESP3 from another instance into a [`Value`].
//!
//! Used by links (what a primary, a sentinel or a cluster node answers) and by tests; not on the path of requests.
//!
//! [`ReplyParser::feed`] takes bytes as they come and says how many it has used up: all but an unfinished line. It
//! keeps the open aggregates on a stack of its own, so a reply that arrives in many pieces is walked once, and a
//! deeply nested one cannot overflow the call stack. The other end is not trusted: depth, size and memory are
//! limited by [`ReplyLimits`], and nothing is allocated on the word of a header.
//!
//! Streamed strings and aggregates (`$?`, `*?`) are in the RESP3 specification but no Redis sends them; they are
//! errors here.

use memchr::memchr;

use crate::util::num::parse_i64;

/// A reply.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `+OK`
    Simple(Vec<u8>),
    /// `-ERR text`, also RESP3's `!`; without the dash.
    Error(Vec<u8>),
    /// `:1`
    Int(i64),
    /// `$5 hello`
    Bulk(Vec<u8>),
    /// `$-1`, `*-1` or `_`
    Null,
    /// `*2 ...`
    Array(Vec<Value>),
    /// `%1 ...`
    Map(Vec<(Value, Value)>),
    /// `~2 ...`
    Set(Vec<Value>),
    /// `>2 ...`: not an answer to a request.
    Push(Vec<Value>),
    /// `,1.5`
    Double(f64),
    /// `#t`
    Boolean(bool),
    /// `(123`: the digits.
    BigNumber(Vec<u8>),
    /// `=15 txt:...`
    Verbatim {
        /// The three letters.
        format: [u8; 3],
        /// The text behind the colon.
        text: Vec<u8>,
    },
    /// `|1 ...` and the reply it belongs to.
    Attributed {
        /// The attributes.
        attributes: Vec<(Value, Value)>,
        /// The reply.
        value: Box<Value>,
    },
}

impl Value {
    /// The bytes of a simple, bulk or verbatim string.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Simple(bytes) | Self::Bulk(bytes) | Self::Verbatim { text: bytes, .. } => Some(bytes),
            _ => None,
        }
    }

    /// The elements of an array, set or push.
    pub fn as_elements(&self) -> Option<&[Value]> {
        match self {
            Self::Array(elements) | Self::Set(elements) | Self::Push(elements) => Some(elements),
            _ => None,
        }
    }
}

/// What the other end may send.
#[derive(Debug, Clone, Copy)]
pub struct ReplyLimits {
    /// How deep aggregates may nest.
    pub depth_max: usize,
    /// The longest string.
    pub bulk_bytes_max: usize,
    /// Bytes of one whole reply on the wire.
    pub reply_bytes_max: usize,
    /// The longest line: simple strings, errors, headers.
    pub line_bytes_max: usize,
}

impl Default for ReplyLimits {
    fn default() -> Self {
        Self { depth_max: 64, bulk_bytes_max: 512 * 1024 * 1024, reply_bytes_max: 1 << 30, line_bytes_max: 64 * 1024 }
    }
}

/// What is wrong with a reply. The link should be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyError {
    /// No reply starts with this byte.
    UnknownType(u8),
    /// A number, boolean or length does not read as one.
    InvalidNumber,
    /// A string is not followed by CR LF, or a line's CR by LF.
    MissingLineEnd,
    /// A verbatim string without its format.
    InvalidVerbatim,
    /// Beyond [`ReplyLimits`].
    TooDeep,
    /// Beyond [`ReplyLimits`].
    TooLong,
}

impl std::fmt::Display for ReplyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownType(byte) => write!(f, "no reply starts with '{}'", byte.escape_ascii()),
            Self::InvalidNumber => f.write_str("a number that is none"),
            Self::MissingLineEnd => f.write_str("no line end where one belongs"),
            Self::InvalidVerbatim => f.write_str("a verbatim string without a format"),
            Self::TooDeep => f.write_str("nested too deep"),
            Self::TooLong => f.write_str("too long"),
        }
    }
}

impl std::error::Error for ReplyError {}

/// The parser of one link.
#[derive(Debug, Default)]
pub struct ReplyParser {
    limits: ReplyLimits,
    open: Vec<Open>,
    string: Option<PartialString>,
    /// So many bytes at the front of the input hold no line end.
    searched: usize,
    /// Bytes of this reply used up so far.
    used: usize,
}

/// An aggregate still waiting for elements.
#[derive(Debug)]
struct Open {
    kind: Kind,
    /// Elements still to come; both of a pair count.
    left: u64,
    got: Vec<Value>,
    attributes: Vec<(Value, Value)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Array,
    Map,
    Set,
    Push,
    Attribute,
    /// The reply that follows an attribute.
    Attributed,
}

#[derive(Debug)]
struct PartialString {
    kind: u8,
    bytes: Vec<u8>,
    /// With CR LF.
    total: usize,
}

impl ReplyParser {
    /// A parser between replies.
    pub fn new(limits: ReplyLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Reads on. Says how many bytes of `input` are used up, and the reply if it is complete. Call again with the
    /// rest after a reply; after `None`, with the unused rest and more.
    pub fn feed(&mut self, input: &[u8]) -> Result<(usize, Option<Value>), ReplyError> {
        let mut at = 0;
        loop {
            let before = at;
            let token = self.token(input, &mut at);
            self.used += at - before;
            if self.used > self.limits.reply_bytes_max {
                return Err(ReplyError::TooLong);
            }
            let Some(value) = token? else { return Ok((at, None)) };
            if let Some(value) = value.and_then(|value| self.close(value)) {
                self.used = 0;
                return Ok((at, Some(value)));
            }
        }
    }

    /// True between replies.
    pub fn is_idle(&self) -> bool {
        self.open.is_empty() && self.string.is_none() && self.searched == 0
    }

    /// The next line or string. Outer `None`: more input is needed. Inner `None`: an aggregate was opened.
    fn token(&mut self, input: &[u8], at: &mut usize) -> Result<Option<Option<Value>>, ReplyError> {
        if self.string.is_some() {
            return Ok(self.string_bytes(input, at)?.map(Some));
        }
        let rest = &input[*at..];
        let Some(found) = memchr(b'\r', &rest[self.searched.min(rest.len())..]) else {
            self.searched = rest.len();
            return if rest.len() > self.limits.line_bytes_max { Err(ReplyError::TooLong) } else { Ok(None) };
        };
        let end = self.searched + found;
        match rest.get(end + 1) {
            None => {
                self.searched = end;
                return Ok(None);
            }
            Some(b'\n') => (),
            Some(_) => return Err(ReplyError::MissingLineEnd),
        }
        self.searched = 0;
        *at += end + 2;
        let Some((kind, text)) = rest[..end].split_first() else {
            return Err(ReplyError::UnknownType(b'\r'));
        };
        let value = match kind {
            b'+' => Value::Simple(text.to_vec()),
            b'-' => Value::Error(text.to_vec()),
            b':' => Value::Int(number(text.strip_prefix(b"+").unwrap_or(text))?),
            b'(' => Value::BigNumber(text.to_vec()),
            b',' => Value::Double(double(text)?),
            b'#' => match text {
                b"t" => Value::Boolean(true),
                b"f" => Value::Boolean(false),
                _ => return Err(ReplyError::InvalidNumber),
            },
            b'_' => Value::Null,
            b'$' | b'=' | b'!' => return self.open_string(*kind, number(text)?, input, at),
            b'*' => return self.open(Kind::Array, number(text)?, 1),
            b'~' => return self.open(Kind::Set, number(text)?, 1),
            b'>' => return self.open(Kind::Push, number(text)?, 1),
            b'%' => return self.open(Kind::Map, number(text)?, 2),
            b'|' => return self.open(Kind::Attribute, number(text)?, 2),
            other => return Err(ReplyError::UnknownType(*other)),
        };
        Ok(Some(Some(value)))
    }

    fn open_string(
        &mut self,
        kind: u8,
        len: i64,
        input: &[u8],
        at: &mut usize,
    ) -> Result<Option<Option<Value>>, ReplyError> {
        if len == -1 && kind == b'$' {
            return Ok(Some(Some(Value::Null)));
        }
        let len = usize::try_from(len).map_err(|_| ReplyError::InvalidNumber)?;
        if len > self.limits.bulk_bytes_max {
            return Err(ReplyError::TooLong);
        }
        self.string = Some(PartialString { kind, bytes: Vec::new(), total: len + 2 });
        Ok(self.string_bytes(input, at)?.map(Some))
    }

    fn string_bytes(&mut self, input: &[u8], at: &mut usize) -> Result<Option<Value>, ReplyError> {
        let string = self.string.as_mut().expect("the caller saw it");
        let take = (input.len() - *at).min(string.total - string.bytes.len());
        string.bytes.extend_from_slice(&input[*at..*at + take]);
        *at += take;
        if string.bytes.len() < string.total {
            return Ok(None);
        }
        let PartialString { kind, mut bytes, .. } = self.string.take().expect("seen above");
        if !bytes.ends_with(b"\r\n") {
            return Err(ReplyError::MissingLineEnd);
        }
        bytes.truncate(bytes.len() - 2);
        Ok(Some(match kind {
            b'$' => Value::Bulk(bytes),
            b'!' => Value::Error(bytes),
            _ => match bytes.split_first_chunk::<4>() {
                Some((&[a, b, c, b':'], text)) => Value::Verbatim { format: [a, b, c], text: text.to_vec() },
                _ => return Err(ReplyError::InvalidVerbatim),
            },
        }))
    }

    fn open(&mut self, kind: Kind, len: i64, per_element: u64) -> Result<Option<Option<Value>>, ReplyError> {
        if len == -1 && kind == Kind::Array {
            return Ok(Some(Some(Value::Null)));
        }
        let left = u64::try_from(len).map_err(|_| ReplyError::InvalidNumber)?.saturating_mul(per_element);
        if left == 0 && kind != Kind::Attribute {
            return Ok(Some(Some(built(kind, Vec::new(), Vec::new()))));
        }
        if self.open.len() >= self.limits.depth_max {
            return Err(ReplyError::TooDeep);
        }
        let (kind, left) = if left == 0 { (Kind::Attributed, 1) } else { (kind, left) };
        self.open.push(Open { kind, left, got: Vec::new(), attributes: Vec::new() });
        Ok(Some(None))
    }

    /// Puts a finished value into the innermost open aggregate, and closes those that it completes. Some: the reply.
    fn close(&mut self, mut value: Value) -> Option<Value> {
        loop {
            let Some(top) = self.open.last_mut() else { return Some(value) };
            top.got.push(value);
            top.left -= 1;
            if top.left > 0 {
                return None;
            }
            if top.kind == Kind::Attribute {
                top.attributes = pairs(std::mem::take(&mut top.got));
                (top.kind, top.left) = (Kind::Attributed, 1);
                return None;
            }
            let top = self.open.pop().expect("seen above");
            value = built(top.kind, top.got, top.attributes);
        }
    }
}

fn built(kind: Kind, got: Vec<Value>, attributes: Vec<(Value, Value)>) -> Value {
    match kind {
        Kind::Array => Value::Array(got),
        Kind::Set => Value::Set(got),
        Kind::Push => Value::Push(got),
        Kind::Map => Value::Map(pairs(got)),
        Kind::Attribute | Kind::Attributed => Value::Attributed {
            attributes,
            value: Box::new(got.into_iter().next().expect("an attribute is closed by the one reply behind it")),
        },
    }
}

fn pairs(got: Vec<Value>) -> Vec<(Value, Value)> {
    let mut pairs = Vec::with_capacity(got.len() / 2);
    let mut got = got.into_iter();
    while let (Some(key), Some(value)) = (got.next(), got.next()) {
        pairs.push((key, value));
    }
    pairs
}

fn number(text: &[u8]) -> Result<i64, ReplyError> {
    parse_i64(text).ok_or(ReplyError::InvalidNumber)
}

fn double(text: &[u8]) -> Result<f64, ReplyError> {
    // Some libcs print nan with a sign or a payload.
    match text {
        b"inf" | b"+inf" => Ok(f64::INFINITY),
        b"-inf" => Ok(f64::NEG_INFINITY),
        _ if text.starts_with(b"nan") || text.starts_with(b"-nan") => Ok(f64::NAN),
        _ => fast_float2::parse(text).map_err(|_| ReplyError::InvalidNumber),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<Value>, ReplyError> {
        let whole = ReplyParser::default().feed(text.as_bytes());
        // Byte by byte must give the same.
        let mut parser = ReplyParser::default();
        let (mut pending, mut value) = (Vec::new(), None);
        for (i, byte) in text.bytes().enumerate() {
            pending.push(byte);
            match parser.feed(&pending) {
                Ok((used, None)) => drop(pending.drain(..used)),
                Ok((used, Some(v))) => {
                    assert_eq!(used, pending.len(), "{text:?}");
                    assert_eq!(whole, Ok((i + 1, Some(v.clone()))), "{text:?}");
                    assert!(parser.is_idle());
                    value = Some(v);
                    break;
                }
                Err(error) => {
                    assert_eq!(whole, Err(error), "{text:?}");
                    break;
                }
            }
        }
        let whole = whole.map(|(_, v)| v);
        if let Ok(v) = &whole {
            assert_eq!(*v, value, "{text:?}");
        }
        whole
    }

    fn check(text: &str, want: Value) {
        assert_eq!(parse(text), Ok(Some(want)), "{text:?}");
    }

    fn bulk(text: &str) -> Value {
        Value::Bulk(text.into())
    }

    #[test]
    fn every_type() {
        check("+OK\r\n", Value::Simple(b"OK".into()));
        check("-ERR x\r\n", Value::Error(b"ERR x".into()));
        check("!5\r\nERR x\r\n", Value::Error(b"ERR x".into()));
        check(":-5\r\n", Value::Int(-5));
        check("$5\r\na\r\nbc\r\n", bulk("a\r\nbc"));
        check("$0\r\n\r\n", bulk(""));
        for null in ["$-1\r\n", "*-1\r\n", "_\r\n"] {
            check(null, Value::Null);
        }
        check(",1.5\r\n", Value::Double(1.5));
        check(",-inf\r\n", Value::Double(f64::NEG_INFINITY));
        check("#t\r\n", Value::Boolean(true));
        check("(123\r\n", Value::BigNumber(b"123".into()));
        check("=6\r\ntxt:hi\r\n", Value::Verbatim { format: *b"txt", text: b"hi".into() });
        check("*0\r\n", Value::Array(vec![]));
        check(
            "*2\r\n*1\r\n:1\r\n~1\r\n+a\r\n",
            Value::Array(vec![Value::Array(vec![Value::Int(1)]), Value::Set(vec![Value::Simple(b"a".into())])]),
        );
        check("%1\r\n$1\r\na\r\n*0\r\n", Value::Map(vec![(bulk("a"), Value::Array(vec![]))]));
        check(">1\r\n:1\r\n", Value::Push(vec![Value::Int(1)]));
        check(
            "|1\r\n+a\r\n:1\r\n*1\r\n:2\r\n",
            Value::Attributed {
                attributes: vec![(Value::Simple(b"a".into()), Value::Int(1))],
                value: Box::new(Value::Array(vec![Value::Int(2)])),
            },
        );
        check(
            "*1\r\n|0\r\n:2\r\n",
            Value::Array(vec![Value::Attributed { attributes: vec![], value: Box::new(Value::Int(2)) }]),
        );
        assert!(matches!(ReplyParser::default().feed(b",nan\r\n"), Ok((6, Some(Value::Double(x)))) if x.is_nan()));
    }

    #[test]
    fn hostile_replies() {
        assert_eq!(parse("hello\r\n"), Err(ReplyError::UnknownType(b'h')));
        assert_eq!(parse("\r\n"), Err(ReplyError::UnknownType(b'\r')));
        assert_eq!(parse(":x\r\n"), Err(ReplyError::InvalidNumber));
        assert_eq!(parse("*-2\r\n"), Err(ReplyError::InvalidNumber));
        assert_eq!(parse("%-1\r\n"), Err(ReplyError::InvalidNumber));
        assert_eq!(parse("$?\r\n"), Err(ReplyError::InvalidNumber));
        assert_eq!(parse("+a\rb\r\n"), Err(ReplyError::MissingLineEnd));
        assert_eq!(parse("$1\r\nabc"), Err(ReplyError::MissingLineEnd));
        assert_eq!(parse("=2\r\nab\r\n"), Err(ReplyError::InvalidVerbatim));
        assert_eq!(parse(&"*1\r\n".repeat(65)), Err(ReplyError::TooDeep));
        assert_eq!(parse("$9223372036854775807\r\n"), Err(ReplyError::TooLong));
        assert_eq!(parse(&"+".repeat(65 * 1024 + 1)), Err(ReplyError::TooLong));
        assert_eq!(parse("%9223372036854775807\r\n:1\r\n"), Ok(None));
        let mut small = ReplyParser::new(ReplyLimits { reply_bytes_max: 20, ..ReplyLimits::default() });
        assert_eq!(small.feed(b"*9\r\n+aaaaaaaa\r\n"), Ok((15, None)));
        assert_eq!(small.feed(b"+aaaaaaaa\r\n"), Err(ReplyError::TooLong));
    }

    #[test]
    fn replies_follow_each_other() {
        let mut parser = ReplyParser::default();
        let input = b"+a\r\n:1\r\n$1\r\nb\r\n";
        let (used, a) = parser.feed(input).expect("valid");
        assert_eq!((used, a), (4, Some(Value::Simple(b"a".into()))));
        let (more, b) = parser.feed(&input[used..]).expect("valid");
        assert_eq!((more, b), (4, Some(Value::Int(1))));
        assert_eq!(parser.feed(&input[8..]), Ok((7, Some(bulk("b")))));
    }
}
