//! What parsing a request and encoding a reply cost: `cargo run --release --example resp_bench [filter]`.
//!
//! Each line is the best of several runs, in nanoseconds per request or reply, over a pipeline of 16 KiB that is in
//! the cache, as a turn of the server sees it.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use kvstash::resp::{Args, Limits, Parsed, Proto, Reply, RequestParser};

fn main() {
    let filter = std::env::args().nth(1).unwrap_or_default();
    for (name, args) in [
        ("parse *1 PING", &["PING"][..]),
        ("parse *2 GET key", &["GET", "key:000000001234"]),
        ("parse *3 SET key 10 bytes", &["SET", "key:000000001234", "0123456789"]),
        ("parse *3 SET key 64 bytes", &["SET", "key:000000001234", &"v".repeat(64)]),
        ("parse *3 SET key 1024 bytes", &["SET", "key:000000001234", &"v".repeat(1024)]),
        ("parse *5 SET key value EX n", &["SET", "key:000000001234", "0123456789", "EX", "3600"]),
        (
            "parse *21 MSET",
            &["MSET"]
                .into_iter()
                .chain(["key:000000001234", "0123456789"].into_iter().cycle().take(20))
                .collect::<Vec<_>>(),
        ),
    ] {
        let mut request = format!("*{}\r\n", args.len());
        args.iter().for_each(|arg| request.push_str(&format!("${}\r\n{arg}\r\n", arg.len())));
        parse(name, &filter, request.as_bytes());
    }
    parse("parse inline PING", &filter, b"PING\r\n");
    parse("parse inline SET", &filter, b"SET key:000000001234 0123456789\r\n");

    let value = [b'v'; 64];
    for (name, proto) in [("RESP2", Proto::Resp2), ("RESP3", Proto::Resp3)] {
        encode(&format!("{name} ok"), &filter, proto, |r| r.ok());
        encode(&format!("{name} int 7"), &filter, proto, |r| r.int(black_box(7)));
        encode(&format!("{name} int 123456789"), &filter, proto, |r| r.int(black_box(123_456_789)));
        encode(&format!("{name} null"), &filter, proto, |r| r.null());
        encode(&format!("{name} bulk 3 bytes"), &filter, proto, |r| r.bulk(black_box(&value[..3])));
        encode(&format!("{name} bulk 64 bytes"), &filter, proto, |r| r.bulk(black_box(&value)));
        encode(&format!("{name} double"), &filter, proto, |r| r.double(black_box(3.25)));
        encode(&format!("{name} map of 2, bulk and int"), &filter, proto, |r| {
            r.map(2);
            r.bulk(b"first");
            r.int(1);
            r.bulk(b"second");
            r.int(2);
        });
        encode(&format!("{name} deferred array of 12 bulks"), &filter, proto, |r| {
            let at = r.array_deferred();
            (0..12).for_each(|_| r.bulk(black_box(&value[..10])));
            r.set_array_len(at, 12);
        });
    }
}

/// Best of many runs of `f`, which does `n` things.
fn report(name: &str, n: usize, mut f: impl FnMut()) {
    let mut best = f64::MAX;
    for _ in 0..200 {
        let began = Instant::now();
        (0..10).for_each(|_| f());
        best = best.min(began.elapsed().as_nanos() as f64 / (10 * n) as f64);
    }
    println!("{name:<36} {best:8.1} ns");
}

fn parse(name: &str, filter: &str, request: &[u8]) {
    if !name.contains(filter) {
        return;
    }
    let n = (16 * 1024 / request.len()).max(1);
    let query = request.repeat(n);
    let limits = Limits::default();
    let mut parser = RequestParser::new();
    let (mut spans, mut larges) = (Vec::new(), Vec::<Bytes>::new());
    report(name, n, || {
        spans.clear();
        let (mut start, mut seen) = (0, 0);
        while let Parsed::Request { consumed, argc } = parser.parse(&query[start..], &limits, &mut spans, &mut larges) {
            black_box(Args::last(&query[start..], &spans, &larges, argc).get(0));
            start += consumed;
            seen += 1;
        }
        assert_eq!(seen, n);
        larges.clear();
    });
}

fn encode(name: &str, filter: &str, proto: Proto, mut f: impl FnMut(&mut Reply)) {
    if !name.contains(filter) {
        return;
    }
    let mut reply = Reply::with_proto(proto);
    report(name, 500, || {
        reply.out.clear();
        (0..500).for_each(|_| f(&mut reply));
        black_box(reply.out.len());
    });
}
