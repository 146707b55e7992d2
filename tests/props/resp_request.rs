//! The request parser against the obvious one: any requests, cut anywhere, are the requests that were written; any
//! bytes at all end in requests or an error, and never in a panic.

use kvstash::resp::{Args, LARGE_ARG_BYTES, Limits, OwnedArgs, Parsed, RequestParser};
use quickcheck::{Arbitrary, Gen, quickcheck};

/// One argument, by its length and its first byte: so a failing case can be read. Most are short, some around the
/// sizes where the parser changes its mind.
#[derive(Clone, Debug)]
struct Arg(usize, u8);

impl Arg {
    fn bytes(&self) -> Vec<u8> {
        (0..self.0).map(|i| if i % 3 == 0 { self.1 } else { b"\r\n$*1"[i % 5] }).collect()
    }
}

impl Arbitrary for Arg {
    fn arbitrary(g: &mut Gen) -> Self {
        let len = match u8::arbitrary(g) % 128 {
            0 => 0,
            1..=110 => usize::arbitrary(g) % 30,
            111..=125 => 90 + usize::arbitrary(g) % 2000,
            _ => LARGE_ARG_BYTES - 4 + usize::arbitrary(g) % 8 + (usize::arbitrary(g) % 3) * 40_000,
        };
        Arg(len, u8::arbitrary(g))
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let first = self.1;
        Box::new(self.0.shrink().map(move |len| Arg(len, first)))
    }
}

/// A request in one of its two forms, or nothing in one of its forms.
#[derive(Clone, Debug)]
enum Item {
    Multibulk(Vec<Arg>),
    Inline(Vec<Arg>),
    Empty(u8),
}

impl Arbitrary for Item {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut args: Vec<Arg> = Vec::arbitrary(g);
        args.truncate(8);
        args.push(Arg::arbitrary(g));
        match u8::arbitrary(g) % 8 {
            0 => Item::Empty(u8::arbitrary(g)),
            1 | 2 => Item::Inline(args.into_iter().filter(|a| a.0 < 3000).take(5).collect()),
            _ => Item::Multibulk(args),
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        match self {
            Item::Multibulk(args) => Box::new(args.shrink().filter(|a| !a.is_empty()).map(Item::Multibulk)),
            Item::Inline(args) => Box::new(args.shrink().map(Item::Inline)),
            Item::Empty(_) => Box::new(std::iter::empty()),
        }
    }
}

impl Item {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Item::Multibulk(args) => {
                out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
                for arg in args.iter().map(Arg::bytes) {
                    out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
                    out.extend_from_slice(&arg);
                    out.extend_from_slice(b"\r\n");
                }
            }
            Item::Inline(args) => {
                for arg in args.iter().map(Arg::bytes) {
                    out.extend_from_slice(b" ");
                    match arg.iter().all(u8::is_ascii_alphanumeric) && !arg.is_empty() {
                        true => out.extend_from_slice(&arg),
                        false => kvstash::util::quote::push_repr(out, &arg),
                    }
                }
                out.extend_from_slice(b"\r\n");
            }
            Item::Empty(form) => {
                out.extend_from_slice([&b"\r\n"[..], b"*0\r\n", b"*-1\r\n", b"\n"][usize::from(form % 4)])
            }
        }
    }

    fn args(&self) -> Option<Vec<Vec<u8>>> {
        match self {
            Item::Multibulk(args) | Item::Inline(args) => {
                (!args.is_empty()).then(|| args.iter().map(Arg::bytes).collect())
            }
            Item::Empty(_) => None,
        }
    }
}

/// Reads `input` in pieces of the given sizes (in turn). The requests, and whether they ended in an error.
fn read(input: &[u8], pieces: &[u16]) -> (Vec<Vec<Vec<u8>>>, bool) {
    let (mut parser, limits) = (RequestParser::new(), Limits::default());
    let (mut spans, mut larges, mut query, mut requests) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut rest = input;
    let sizes = pieces.iter().map(|p| usize::from(*p) + 1).chain([usize::MAX]).cycle();
    for size in sizes {
        let (now, later) = rest.split_at(size.min(rest.len()));
        query.extend_from_slice(now);
        rest = later;
        let mut start = 0;
        loop {
            spans.clear();
            larges.clear();
            match parser.parse(&query[start..], &limits, &mut spans, &mut larges) {
                Parsed::Request { consumed, argc } => {
                    let args = Args::last(&query[start..], &spans, &larges, argc);
                    let owned = OwnedArgs::from(args);
                    assert!(owned.view().iter().eq(args.iter()) && args.iter().rev().count() == argc);
                    requests.push(args.iter().map(<[u8]>::to_vec).collect());
                    start += consumed;
                }
                Parsed::Incomplete { consumed } => {
                    start += consumed;
                    break;
                }
                Parsed::Error(_) => return (requests, true),
            }
        }
        query.drain(..start);
        if rest.is_empty() {
            return (requests, false);
        }
    }
    unreachable!("the sizes go on for ever")
}

quickcheck! {
    fn requests_survive_any_cutting(items: Vec<Item>, pieces: Vec<u16>) -> bool {
        let mut input = Vec::new();
        items.iter().for_each(|item| item.write(&mut input));
        let want: Vec<_> = items.iter().filter_map(Item::args).collect();
        let small: Vec<u16> = pieces.iter().map(|p| p % 500).collect();
        read(&input, &[]) == (want.clone(), false)
            && read(&input, &pieces) == (want.clone(), false)
            && read(&input, &small) == (want, false)
    }

    fn broken_requests_are_broken_alike(items: Vec<Item>, pieces: Vec<u16>, at: usize, byte: u8, cut: bool) -> bool {
        let mut input = Vec::new();
        items.iter().for_each(|item| item.write(&mut input));
        if input.is_empty() {
            return true;
        }
        let at = at % input.len();
        input[at] = byte;
        if cut {
            input.remove(at / 2);
        }
        // A line that is too long is an error only if its end is not there yet, so where it is cut matters.
        let longest = input.split(|b| *b == b'\n').map(<[u8]>::len).max().unwrap_or(0);
        longest > 60_000 || read(&input, &pieces) == read(&input, &[])
    }

    fn any_bytes_are_safe(bytes: Vec<u8>, pieces: Vec<u16>, star: bool) -> bool {
        let alphabet = b"*$\r\n0123456789-\"' ab";
        let input: Vec<u8> = star.then_some(b'*').into_iter()
            .chain(bytes.iter().map(|b| alphabet[usize::from(*b) % alphabet.len()]))
            .collect();
        read(&input, &pieces) == read(&input, &[])
    }
}
