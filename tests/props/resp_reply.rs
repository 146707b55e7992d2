//! What the encoder writes, the reply parser reads back, in both protocols and cut anywhere.

use bytes::Bytes;
use kvstash::resp::{Proto, Reply, ReplyParser, Value};
use quickcheck::{Arbitrary, Gen, quickcheck};

/// A result as handlers see it.
#[derive(Clone, Debug)]
enum Result {
    Simple(u8),
    Error(u8),
    Int(i64),
    Bulk(Vec<u8>),
    Shared(Vec<u16>),
    Null,
    NullArray,
    Double(i32),
    Boolean(bool),
    Verbatim(Vec<u8>),
    BigNumber(u64),
    /// The flag: with a deferred length.
    Array(Vec<Result>, bool),
    Set(Vec<Result>, bool),
    Map(Vec<(Result, Result)>, bool),
    Push(Vec<Result>),
}

fn result(g: &mut Gen, depth: u8) -> Result {
    let many = |g: &mut Gen, depth: u8| {
        let n = if depth > 1 { u8::arbitrary(g) % 15 } else { u8::arbitrary(g) % 4 };
        (0..n).map(|_| result(g, depth - 1)).collect::<Vec<_>>()
    };
    match u8::arbitrary(g) % if depth == 0 { 11 } else { 18 } {
        0 => Result::Simple(u8::arbitrary(g)),
        1 => Result::Error(u8::arbitrary(g)),
        2 => Result::Int(if bool::arbitrary(g) { i64::arbitrary(g) } else { i64::from(i16::arbitrary(g)) }),
        3 => Result::Bulk(Vec::arbitrary(g)),
        4 => Result::Shared(Vec::arbitrary(g)),
        5 => Result::Null,
        6 => Result::NullArray,
        7 => Result::Double(i32::arbitrary(g)),
        8 => Result::Boolean(bool::arbitrary(g)),
        9 => Result::Verbatim(Vec::arbitrary(g)),
        10 => Result::BigNumber(u64::arbitrary(g)),
        11 | 12 => Result::Array(many(g, depth), bool::arbitrary(g)),
        13 => Result::Set(many(g, depth), bool::arbitrary(g)),
        14 | 15 => {
            let values = many(g, depth);
            Result::Map(values.into_iter().map(|v| (result(g, 0), v)).collect(), bool::arbitrary(g))
        }
        _ => Result::Push(many(g, depth)),
    }
}

impl Arbitrary for Result {
    fn arbitrary(g: &mut Gen) -> Self {
        result(g, 2)
    }
}

fn double(n: i32) -> f64 {
    f64::from(n) / 1024.0
}

fn blobs(sizes: &[u16]) -> Vec<Bytes> {
    sizes.iter().map(|n| Bytes::from(vec![*n as u8; usize::from(*n)])).collect()
}

impl Result {
    fn write(&self, r: &mut Reply) {
        match self {
            Result::Simple(n) => r.simple(&format!("S{n}")),
            Result::Error(n) => r.error(&format!("ERR {n}")),
            Result::Int(n) => r.int(*n),
            Result::Bulk(bytes) => r.bulk(bytes),
            Result::Shared(sizes) => r.shared_bulk(sizes.iter().map(|n| usize::from(*n)).sum(), blobs(sizes)),
            Result::Null => r.null(),
            Result::NullArray => r.null_array(),
            Result::Double(n) => r.double(double(*n)),
            Result::Boolean(yes) => r.boolean(*yes),
            Result::Verbatim(text) => r.verbatim("txt", text),
            Result::BigNumber(n) => r.big_number(&format!("{n}0000000000000")),
            Result::Array(values, false) => {
                r.array(values.len());
                values.iter().for_each(|v| v.write(r));
            }
            Result::Array(values, true) => {
                let at = r.array_deferred();
                values.iter().for_each(|v| v.write(r));
                r.set_array_len(at, values.len());
            }
            Result::Set(values, false) => {
                r.set(values.len());
                values.iter().for_each(|v| v.write(r));
            }
            Result::Set(values, true) => {
                let at = r.set_deferred();
                values.iter().for_each(|v| v.write(r));
                r.set_set_len(at, values.len());
            }
            Result::Map(pairs, deferred) => {
                let at = deferred.then(|| r.map_deferred());
                if at.is_none() {
                    r.map(pairs.len());
                }
                for (key, value) in pairs {
                    key.write(r);
                    value.write(r);
                }
                if let Some(at) = at {
                    r.set_map_len(at, pairs.len());
                }
            }
            Result::Push(values) => {
                r.push(values.len());
                values.iter().for_each(|v| v.write(r));
            }
        }
    }

    fn value(&self, proto: Proto) -> Value {
        let resp3 = proto == Proto::Resp3;
        let all = |values: &[Result]| values.iter().map(|v| v.value(proto)).collect::<Vec<_>>();
        match self {
            Result::Simple(n) => Value::Simple(format!("S{n}").into()),
            Result::Error(n) => Value::Error(format!("ERR {n}").into()),
            Result::Int(n) => Value::Int(*n),
            Result::Bulk(bytes) => Value::Bulk(bytes.clone()),
            Result::Shared(sizes) => Value::Bulk(blobs(sizes).concat()),
            Result::Null | Result::NullArray => Value::Null,
            Result::Double(n) if resp3 => Value::Double(double(*n)),
            Result::Double(n) => {
                let mut text = Vec::new();
                kvstash::util::num::push_f64(&mut text, double(*n));
                Value::Bulk(text)
            }
            Result::Boolean(yes) if resp3 => Value::Boolean(*yes),
            Result::Boolean(yes) => Value::Int(i64::from(*yes)),
            Result::Verbatim(text) if resp3 => Value::Verbatim { format: *b"txt", text: text.clone() },
            Result::Verbatim(text) => Value::Bulk(text.clone()),
            Result::BigNumber(n) if resp3 => Value::BigNumber(format!("{n}0000000000000").into()),
            Result::BigNumber(n) => Value::Bulk(format!("{n}0000000000000").into()),
            Result::Array(values, _) => Value::Array(all(values)),
            Result::Set(values, _) if resp3 => Value::Set(all(values)),
            Result::Push(values) if resp3 => Value::Push(all(values)),
            Result::Set(values, _) | Result::Push(values) => Value::Array(all(values)),
            Result::Map(pairs, _) if resp3 => {
                Value::Map(pairs.iter().map(|(k, v)| (k.value(proto), v.value(proto))).collect())
            }
            Result::Map(pairs, _) => {
                Value::Array(pairs.iter().flat_map(|(k, v)| [k.value(proto), v.value(proto)]).collect())
            }
        }
    }
}

quickcheck! {
    fn what_is_written_is_read(results: Vec<Result>, resp3: bool, pieces: Vec<u16>) -> bool {
        let proto = if resp3 { Proto::Resp3 } else { Proto::Resp2 };
        let mut reply = Reply::with_proto(proto);
        results.iter().for_each(|result| result.write(&mut reply));
        let bytes = reply.out.to_vec();
        let want: Vec<Value> = results.iter().map(|result| result.value(proto)).collect();

        let (mut parser, mut got, mut pending, mut rest) = (ReplyParser::default(), Vec::new(), Vec::new(), &bytes[..]);
        let mut sizes = pieces.iter().map(|p| usize::from(p % 50) + 1).chain([usize::MAX]).cycle();
        while !rest.is_empty() {
            let n = sizes.next().expect("for ever").min(rest.len());
            pending.extend_from_slice(&rest[..n]);
            rest = &rest[n..];
            loop {
                let (used, value) = parser.feed(&pending).expect("well-formed");
                pending.drain(..used);
                match value {
                    Some(value) => got.push(value),
                    None => break,
                }
            }
        }
        got == want && pending.is_empty() && parser.is_idle()
    }

    fn any_bytes_are_safe(bytes: Vec<u8>) -> bool {
        let alphabet = b"*$\r\n\r\n0123-+:_#,t=!%~>|(";
        let input: Vec<u8> = bytes.iter().map(|b| alphabet[usize::from(*b) % alphabet.len()]).collect();
        let (mut parser, mut at) = (ReplyParser::default(), 0);
        while let Ok((used, Some(_))) = parser.feed(&input[at..]) {
            assert!(used > 0);
            at += used;
        }
        at <= input.len()
    }
}
