//! The request parser, driven as the server drives it, with the stream cut in every way.
//!
//! What is expected was asked of a real server over a raw socket.

use super::*;
use crate::util::piece::PIECE;

/// A connection: the caller's half of the protocol in `request`'s header.
#[derive(Default)]
struct Conn {
    parser: RequestParser,
    query: Vec<u8>,
    requests: Vec<Vec<Vec<u8>>>,
    error: Option<ProtocolError>,
}

impl Conn {
    /// Bytes arrive.
    fn receive(&mut self, bytes: &[u8], limits: &Limits) {
        if self.error.is_none() {
            self.query.extend_from_slice(bytes);
            self.parse(limits);
        }
    }

    /// Bytes arrive, and go to the large argument without a way through the query buffer where they can.
    fn receive_past(&mut self, bytes: &[u8], limits: &Limits) {
        let mut rest = bytes;
        if self.query.is_empty() && self.parser.large_remaining() > 0 {
            let now = self.parser.receive(|pieces, left| {
                let (now, later) = rest.split_at(left.min(rest.len()));
                pieces.push(now);
                rest = later;
                now.len()
            });
            assert!(now.is_some_and(|now| now > 0));
            self.parse(limits);
        }
        self.receive(rest, limits);
    }

    fn parse(&mut self, limits: &Limits) {
        let (mut spans, mut larges) = (vec![ArgSpan { off: 1, len: 2 }], vec![LargeArg::from(b"other".to_vec())]);
        let mut start = 0;
        loop {
            let query = &self.query[start..];
            let spans_before = spans.len();
            match self.parser.parse(query, limits, &mut spans, &mut larges) {
                Parsed::Request { consumed, argc } => {
                    assert!(argc > 0 && spans.len() == spans_before + argc);
                    let args = Args::last(query, &spans, &larges, argc);
                    self.requests.push(args.iter().map(<[u8]>::to_vec).collect());
                    start += consumed;
                }
                Parsed::Incomplete { consumed } => {
                    assert_eq!(spans.len(), spans_before);
                    start += consumed;
                    break;
                }
                Parsed::Error(error) => {
                    self.error = Some(error);
                    break;
                }
            }
        }
        self.query.drain(..start);
    }
}

/// All at once, byte by byte, and cut in two at every byte (or at some, in long input).
fn run(input: &[u8], limits: &Limits) -> Conn {
    let mut whole = Conn::default();
    whole.receive(input, limits);
    let mut bytewise = Conn::default();
    input.chunks(1).for_each(|byte| bytewise.receive(byte, limits));
    let step = if input.len() > 5000 { input.len() / 50 + 1 } else { 1 };
    let halves = (0..input.len()).step_by(step).map(|cut| {
        let mut conn = Conn::default();
        conn.receive(&input[..cut], limits);
        conn.receive(&input[cut..], limits);
        conn
    });
    for other in halves.chain([bytewise]) {
        assert_eq!(other.requests, whole.requests, "{:?}", input.escape_ascii().to_string());
        assert_eq!(other.error, whole.error, "{:?}", input.escape_ascii().to_string());
        assert!(other.query == whole.query || whole.error.is_some());
    }
    whole
}

/// `input` is these requests (words in brackets, joined by blanks), then perhaps this error.
fn check_limited(input: &[u8], limits: &Limits, requests: &[&[&str]], error: Option<ProtocolError>) {
    let conn = run(input, limits);
    let want: Vec<Vec<Vec<u8>>> = requests.iter().map(|r| r.iter().map(|a| a.as_bytes().to_vec()).collect()).collect();
    assert_eq!((conn.requests, conn.error), (want, error), "{:?}", input.escape_ascii().to_string());
}

fn check(input: &str, requests: &[&[&str]], error: Option<ProtocolError>) {
    check_limited(input.as_bytes(), &Limits::default(), requests, error);
}

const PING: &[&str] = &["PING"];

#[test]
fn requests_of_both_forms() {
    check("*1\r\n$4\r\nPING\r\n", &[PING], None);
    check("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n", &[&["SET", "a", ""], PING], None);
    check("PING\r\n", &[PING], None);
    check("PING\n", &[PING], None);
    check("PING\r\r\n", &[PING], None);
    check(" SET  a \"b c\"\r\n*1\r\n$4\r\nPING\r\nPING\n", &[&["SET", "a", "b c"], PING, PING], None);
    check("\"PING\"\r\n", &[PING], None);
    check("''\r\n", &[&[""]], None);
    check("ECHO a\rb\r\n", &[&["ECHO", "a", "b"]], None);
    check("\x0bECHO a\x0bb\r\n", &[&["ECHO", "a\x0bb"]], None);
    let many = format!("*1000\r\n{}", "$2\r\nab\r\n".repeat(1000));
    check(&many, &[&["ab"; 1000]], None);
    let long = "x".repeat(1234);
    check(&format!("*2\r\n$4\r\nECHO\r\n$1234\r\n{long}\r\n"), &[&["ECHO", &long]], None);
}

#[test]
fn empty_requests_are_swallowed() {
    for empty in ["\r\n", "\n", "  \r\n", "*0\r\n", "*-1\r\n", "*-10\r\n"] {
        check(&format!("{empty}PING\r\n{empty}{empty}*1\r\n$4\r\nPING\r\n{empty}"), &[PING, PING], None);
    }
    let blanks = format!("{}\r\nPING\r\n", " ".repeat(60_000));
    check(&blanks, &[PING], None);
}

/// A header that was cut before its digits was once searched from the wrong place afterwards: the place where the
/// search had stopped belonged to the short way, which had not forgotten it.
#[test]
fn a_cut_header_leaves_no_trace() {
    let mut conn = Conn::default();
    for piece in [format!("*3\r\n$2000\r\n{}\r\n$", "x".repeat(2000)).as_str(), "1\r\na\r\n", "$1\r\nb\r\n"] {
        conn.receive(piece.as_bytes(), &Limits::default());
    }
    assert_eq!(conn.requests.len(), 1);
}

#[test]
fn bytes_redis_does_not_look_at() {
    check("*1\rX$4\rYPINGXY", &[PING], None);
    check("*1\r\n$4\r\nPINGxy*1\r\n$4\r\nPING\r\n", &[PING, PING], None);
}

#[test]
fn incomplete_requests_are_no_errors() {
    for start in
        ["*1\r\nX", "*1\r\n$4\r\nPING\r", "*1\r", "*", "*1", "SET x \"a", "*2147483647\r\n", "*1\r\n$536870912\r\n"]
    {
        check(start, &[], None);
    }
}

#[test]
fn protocol_errors() {
    use ProtocolError::*;
    check("SET x \"a\r\n", &[], Some(UnbalancedQuotes));
    check("PING\r\nECHO 'a'b\r\n", &[PING], Some(UnbalancedQuotes));
    for bad in [
        "*x\r\n",
        "*\r\n",
        "*03\r\n",
        "*+1\r\n",
        "*-0\r\n",
        "* 1\r\n",
        "*1 \r\n",
        "*2147483648\r\n",
        "*20000000000\r\n",
        "*99999999999999999999\r\n",
        "*0001\r\n$4\r\nPING\r\n",
    ] {
        check(bad, &[], Some(InvalidMultibulkLength));
    }
    for bad in [
        "$\r\n",
        "$-10\r\n",
        "$04\r\nPING\r\n",
        "$-0\r\n",
        "$-1\r\n",
        "$blabla\r\n",
        "$4\n\r\n",
        "$536870913\r\n",
        "$99999999999999999999\r\n",
    ] {
        check(&format!("*3\r\n$3\r\nSET\r\n$1\r\nx\r\n{bad}"), &[], Some(InvalidBulkLength));
    }
    check("*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n", &[], Some(ExpectedDollar(b'f')));
    check("*1\r\n\r\n", &[], Some(ExpectedDollar(b'\r')));
    check("*1\r\n:4\r\nPING\r\n", &[], Some(ExpectedDollar(b':')));
}

#[test]
fn lines_have_a_limit() {
    use ProtocolError::*;
    let limits = Limits::default();
    let long = |prefix: &str, n: usize| [prefix.as_bytes(), &vec![b'1'; n]].concat();
    const K64: usize = 64 * 1024;
    for (prefix, error) in [("", TooBigInline), ("*", TooBigMultibulkCount), ("*1\r\n$", TooBigBulkCount)] {
        let header = if prefix.is_empty() { 0 } else { 1 };
        let mut conn = Conn::default();
        conn.receive(&long(prefix, K64 - header), &limits);
        assert_eq!(conn.error, None, "{prefix:?}");
        conn.receive(b"1", &limits);
        assert_eq!(conn.error, Some(error), "{prefix:?}");
    }
    let mut conn = Conn::default();
    conn.receive(&long("", K64), &limits);
    conn.receive(b"\r\n", &limits);
    assert_eq!(conn.requests[0][0].len(), K64);
    assert!(conn.parser.memory() == 0 && !conn.parser.is_partial());
}

#[test]
fn limits_before_authentication() {
    use ProtocolError::*;
    let limits = Limits { authenticated: false, ..Limits::default() };
    check_limited(b"*11\r\n", &limits, &[], Some(UnauthenticatedMultibulkLength));
    check_limited(b"*1\r\n$16385\r\n", &limits, &[], Some(UnauthenticatedBulkLength));
    check_limited(b"*2147483648\r\n", &limits, &[], Some(InvalidMultibulkLength));
    check_limited(b"*1\r\n$536870913\r\n", &limits, &[], Some(InvalidBulkLength));
    check_limited(b"*10\r\n$16384\r\n", &limits, &[], None);
    check_limited(
        b"a b c d e f g h i j k l\r\n",
        &limits,
        &[&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"]],
        None,
    );
    let small = Limits { bulk_bytes_max: 5, ..Limits::default() };
    check_limited(b"*1\r\n$6\r\n", &small, &[], Some(InvalidBulkLength));
    check_limited(b"*1\r\n$5\r\nabcde\r\n", &small, &[&["abcde"]], None);
}

fn multibulk(args: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[test]
fn large_arguments_are_received_in_pieces() {
    let a: Vec<u8> = (0..300_000u32).map(|i| i as u8).collect();
    let b = vec![b'\r'; LARGE_ARG_BYTES];
    let c = vec![b'$'; LARGE_ARG_BYTES - 1];
    let mut input = multibulk(&[b"MSET", b"a", &a, b"", &b, b"c", &c]);
    input.extend(multibulk(&[b"PING"]));
    let want = vec![
        vec![b"MSET".to_vec(), b"a".to_vec(), a.clone(), vec![], b.clone(), b"c".to_vec(), c.clone()],
        vec![b"PING".to_vec()],
    ];
    assert!(Conn::default().parser.receive(|_, _| ()).is_none(), "nothing is expected");
    let chunks = [7, 1000, 1024, 4096, 16 * 1024, 33_000, 100_000, input.len()];
    for (chunk, past) in chunks.into_iter().flat_map(|chunk| [(chunk, false), (chunk, true)]) {
        let mut conn = Conn::default();
        let mut query_max = 0;
        for piece in input.chunks(chunk) {
            match past {
                true => conn.receive_past(piece, &Limits::default()),
                false => conn.receive(piece, &Limits::default()),
            }
            query_max = query_max.max(conn.query.capacity());
        }
        assert!(conn.requests == want, "chunks of {chunk}");
        assert!(conn.query.is_empty() && conn.error.is_none() && conn.parser.memory() == 0);
        if chunk <= 4096 {
            assert!(query_max < 80_000, "the large ones never were in the query buffer: {query_max}");
        }
    }
}

#[test]
fn a_large_argument_can_be_taken_without_copying() {
    let mut parser = RequestParser::new();
    let (mut spans, mut larges) = (Vec::new(), Vec::new());
    let limits = Limits::default();
    let head = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\nxyz";
    assert_eq!(parser.parse(head, &limits, &mut spans, &mut larges), Parsed::Incomplete { consumed: head.len() });
    assert_eq!(parser.large_remaining(), 100_002 - 3);
    let mut parsed = Parsed::Incomplete { consumed: 0 };
    while parser.large_remaining() > 0 {
        let mut more = vec![b'v'; parser.large_remaining().min(1000)];
        let taken = more.len();
        more.extend_from_slice(b"PI");
        let shown = if taken == parser.large_remaining() { &more[..] } else { &more[..taken] };
        parsed = parser.parse(shown, &limits, &mut spans, &mut larges);
        assert!(parsed == Parsed::Incomplete { consumed: taken } || parser.large_remaining() == 0);
    }
    assert!(matches!(parsed, Parsed::Request { argc: 3, .. }) && !parser.is_partial());
    let args = Args::new(b"", &spans, &larges);
    assert_eq!((&args[0], &args[1], args.len_of(2)), (&b"SET"[..], &b"k"[..], 100_000));
    assert!(args.pieces(0).is_none());
    let pieces = args.pieces(2).expect("it came in pieces");
    assert!(pieces.chunks().take(100_000 / PIECE).all(|piece| piece.len() == PIECE));
    assert!(args[2].starts_with(b"xyzvvv") && args[2].ends_with(b"v"));
}

#[test]
fn headers_alone_allocate_nothing() {
    let limits = Limits::default();
    let mut conn = Conn::default();
    conn.receive(b"*1000000000\r\n", &limits);
    assert!(conn.parser.memory() + conn.query.capacity() < 100);
    conn.receive(&b"$1\r\na\r\n".repeat(1000), &limits);
    assert!(conn.parser.memory() + conn.query.capacity() < 40_000);
    let mut conn = Conn::default();
    conn.receive(b"*2\r\n$3\r\nGET\r\n$536870912\r\n", &limits);
    let memory = |conn: &Conn| conn.parser.memory() + conn.query.capacity();
    assert!(memory(&conn) < 70_000, "{}", memory(&conn));
    // What is held stays in proportion to what came.
    let mut came = 0;
    while came < 40_000_000 {
        conn.receive(&[0; 10_000], &limits);
        came += 10_000;
        assert!(memory(&conn) < 70_000 + 4 * came, "{} after {came}", memory(&conn));
    }
}

#[test]
fn long_requests_are_not_scanned_again() {
    // Byte by byte: quadratic work would be 10^10 steps or more in each of these.
    let limits = Limits::default();
    let args: Vec<&[u8]> = vec![b"x"; 20_000];
    let mut conn = Conn::default();
    let mut line = vec![b'a'; 60_000];
    line.extend_from_slice(b"\r\n");
    for byte in multibulk(&args).chunks(1).chain(line.chunks(1)) {
        conn.receive(byte, &limits);
    }
    assert_eq!((conn.requests[0].len(), conn.requests[1][0].len()), (20_000, 60_000));
}

#[test]
fn idle_parsers_are_small() {
    assert!(size_of::<RequestParser>() <= 8);
}
