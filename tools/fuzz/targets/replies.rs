//! Replies of another server, split anywhere: the parser finds the same values, and stops at the same error.
#![no_main]

use kvstash::resp::{ReplyError, ReplyLimits, ReplyParser, Value};
use libfuzzer_sys::fuzz_target;

fn read(input: &[u8], sizes: &[usize]) -> (Vec<Value>, Option<ReplyError>) {
    let limits = ReplyLimits { depth_max: 16, ..ReplyLimits::default() };
    let (mut parser, mut pending, mut values) = (ReplyParser::new(limits), Vec::new(), Vec::new());
    let mut rest = input;
    for size in sizes.iter().cycle() {
        let n = (*size).min(rest.len());
        pending.extend_from_slice(&rest[..n]);
        rest = &rest[n..];
        loop {
            match parser.feed(&pending) {
                Err(error) => return (values, Some(error)),
                Ok((used, value)) => {
                    pending.drain(..used);
                    match value {
                        Some(value) => values.push(value),
                        None => break,
                    }
                }
            }
        }
        if rest.is_empty() {
            break;
        }
    }
    (values, None)
}

fuzz_target!(|data: &[u8]| {
    let Some((head, input)) = data.split_first_chunk::<3>() else { return };
    let sizes = head.map(|size| 1 + usize::from(size) / 2);
    // NaN is not equal to itself, so the comparison is of what they look like.
    let whole = format!("{:?}", read(input, &[usize::MAX]));
    assert_eq!(format!("{:?}", read(input, &sizes)), whole);
    assert_eq!(format!("{:?}", read(input, &[1])), whole);
});
