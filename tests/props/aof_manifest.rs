//! Manifests of the append-only log: what was written is read back, and any bytes are read without harm.

use kvstash::persist::aof::{Entry, Manifest, Names};
use quickcheck::{Arbitrary, Gen, quickcheck};

#[derive(Clone, Debug)]
enum Op {
    Increment(Option<u32>),
    Base { is_rdb: bool, keep: usize },
    Collect,
    Stop(u32),
    Start,
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Op {
        match u8::arbitrary(g) % 8 {
            0..=2 => Op::Increment(Option::arbitrary(g)),
            3 | 4 => Op::Base { is_rdb: bool::arbitrary(g), keep: usize::arbitrary(g) % 3 },
            5 => Op::Collect,
            6 => Op::Stop(u32::arbitrary(g)),
            _ => Op::Start,
        }
    }
}

quickcheck! {
    fn what_was_written_is_read_back(stem: Vec<u8>, ops: Vec<Op>) -> bool {
        let stem: Vec<u8> = stem.into_iter().filter(|byte| !matches!(byte, 0 | b'/' | b'\\')).take(150).collect();
        let names = Names::new(&stem);
        let mut manifest = Manifest::default();
        let mut used = std::collections::HashSet::new();
        for op in ops {
            match op {
                Op::Increment(at) => assert!(used.insert(manifest.add_increment(&names, at.map(i64::from)).name.clone())),
                Op::Base { is_rdb, keep } => {
                    let before = manifest.increments().len();
                    assert!(used.insert(manifest.replace_base(&names, is_rdb, keep).name.clone()));
                    assert_eq!(manifest.increments().len(), before.min(keep));
                }
                Op::Collect => {
                    manifest.take_history();
                }
                Op::Stop(at) => manifest.set_end_offset(i64::from(at)),
                Op::Start => {
                    manifest.take_end_offset();
                }
            }
            let text = manifest.to_bytes();
            let read = match text.is_empty() {
                true => Manifest::default(),
                false => Manifest::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", text.escape_ascii())),
            };
            // Offsets of an increment without a start are not written.
            assert_eq!(read.to_bytes(), text);
            assert!(read.files().map(|entry| &entry.name).eq(manifest.files().map(|entry| &entry.name)));
            let same = |a: &Entry, b: &Entry| (&a.name, a.seq, a.start_offset) == (&b.name, b.seq, b.start_offset);
            assert!(read.history().len() == manifest.history().len());
            assert!(read.history().iter().zip(manifest.history()).all(|(a, b)| same(a, b)));
        }
        true
    }

    fn any_bytes_are_read_without_harm(bytes: Vec<u8>, words: Vec<u8>) -> bool {
        let _ = Manifest::parse(&bytes);
        const WORDS: [&[u8]; 14] = [
            b"file ", b"seq ", b"type ", b"b ", b"i\n", b"h ", b"1 ", b"2 ", b"\n", b"#", b"\"", b"startoffset ", b"x ", b"9999999999999999999 ",
        ];
        let text: Vec<u8> = words.iter().flat_map(|&word| WORDS[usize::from(word) % WORDS.len()]).copied().collect();
        match Manifest::parse(&text) {
            Ok(manifest) => Manifest::parse(&[&b"#\n"[..], &manifest.to_bytes()].concat()).unwrap().to_bytes() == manifest.to_bytes(),
            Err(_) => true,
        }
    }
}
