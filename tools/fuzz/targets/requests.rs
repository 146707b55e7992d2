//! Requests, split anywhere: the parser finds the same requests however the bytes arrive.
//!
//! The first bytes of the input say how it is cut, the rest is what a client sends.
#![no_main]

use kvstash::resp::{Args, Limits, OwnedArgs, Parsed, RequestParser};
use libfuzzer_sys::fuzz_target;

/// The requests, and the error they ended in.
type Outcome = (Vec<Vec<Vec<u8>>>, Option<String>);

/// Reads `input` in parts of the given sizes, in turn.
fn read(input: &[u8], sizes: &[usize], limits: &Limits) -> Outcome {
    let mut parser = RequestParser::new();
    let (mut spans, mut larges, mut query, mut requests) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut rest = input;
    for size in sizes.iter().cycle() {
        let (now, later) = rest.split_at((*size).min(rest.len()));
        query.extend_from_slice(now);
        rest = later;
        let mut start = 0;
        loop {
            spans.clear();
            larges.clear();
            match parser.parse(&query[start..], limits, &mut spans, &mut larges) {
                Parsed::Request { consumed, argc } => {
                    assert!(argc > 0);
                    let args = Args::last(&query[start..], &spans, &larges, argc);
                    let owned = OwnedArgs::from(args);
                    assert!(owned.view().iter().eq(args.iter()));
                    requests.push(args.iter().map(<[u8]>::to_vec).collect());
                    start += consumed;
                }
                Parsed::Incomplete { consumed } => {
                    start += consumed;
                    break;
                }
                Parsed::Error(error) => return (requests, Some(format!("{error:?}"))),
            }
        }
        query.drain(..start);
        if rest.is_empty() {
            break;
        }
    }
    (requests, None)
}

fuzz_target!(|data: &[u8]| {
    let Some((head, input)) = data.split_first_chunk::<5>() else { return };
    let sizes: Vec<usize> = head[..4].iter().map(|size| 1 + usize::from(*size) * usize::from(*size) / 8).collect();
    let limits = Limits {
        authenticated: head[4] & 1 == 0,
        bulk_bytes_max: if head[4] & 2 == 0 { Limits::default().bulk_bytes_max } else { 40 },
        ..Limits::default()
    };
    let whole = read(input, &[usize::MAX], &limits);
    // A line that is too long is an error only while its end is not there, so where it is cut may matter.
    let longest = input.split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap_or(0);
    if longest <= 60_000 {
        assert_eq!(read(input, &sizes, &limits), whole);
        if input.len() <= 2000 {
            assert_eq!(read(input, &[1], &limits), whole);
        }
    }
});
