//! The rope against a `Vec<u8>`, with clones (snapshots, copies) and borrowed pieces (replies) kept across writes.

use bytes::Bytes;
use kvstash::collections::rope::{PIECE, Rope};
use quickcheck::{Arbitrary, Gen, quickcheck};

#[derive(Clone, Debug)]
enum Op {
    WriteAt(u32, u16, u8),
    Append(u32, u8),
    ResizeZero(u32),
    Clone,
    Send(u32, u16),
    DropOldest,
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Op {
        let (at, n, byte) = (u32::arbitrary(g), u16::arbitrary(g), u8::arbitrary(g));
        match u8::arbitrary(g) % 8 {
            0 | 1 => Op::WriteAt(at, n, byte),
            2 => Op::Append(at % 100, byte),
            3 => Op::Append(at % (3 * PIECE as u32), byte),
            4 => Op::ResizeZero(at % (6 * PIECE as u32)),
            5 => Op::Clone,
            6 => Op::Send(at, n),
            _ => Op::DropOldest,
        }
    }
}

fn text(rope: &Rope) -> Vec<u8> {
    let mut out = vec![];
    rope.read(0..rope.len(), &mut out);
    out
}

quickcheck! {
    fn a_rope_is_a_buffer(start: u32, ops: Vec<Op>) -> bool {
        let mut model = vec![7; start as usize % (4 * PIECE)];
        let mut rope = Rope::from(&model[..]);
        let mut clones: Vec<(Rope, Vec<u8>)> = vec![];
        let mut sent: Vec<(Vec<Bytes>, Vec<u8>)> = vec![];
        for op in ops.into_iter().take(25) {
            match op {
                Op::WriteAt(at, n, byte) => {
                    let at = at as usize % (model.len() + 1);
                    let n = (n as usize * 3).min(model.len() - at);
                    rope.write_at(at, &vec![byte; n]);
                    model[at..at + n].fill(byte);
                }
                Op::Append(n, byte) if model.len() < 8 * PIECE => {
                    rope.append(&vec![byte; n as usize]);
                    model.resize(model.len() + n as usize, byte);
                }
                Op::Append(..) => {}
                Op::ResizeZero(len) => {
                    rope.resize_zero(len as usize);
                    model.resize(model.len().max(len as usize), 0);
                }
                Op::Clone => clones.push((rope.clone(), model.clone())),
                Op::Send(at, n) => {
                    let at = at as usize % (model.len() + 1);
                    let end = (at + n as usize * 5).min(model.len());
                    sent.push((rope.pieces(at..end).collect(), model[at..end].to_vec()));
                }
                Op::DropOldest => {
                    clones.drain(..clones.len().min(1));
                    sent.drain(..sent.len().min(1));
                }
            }
            assert_eq!(rope.len(), model.len());
        }
        text(&rope) == model
            && clones.iter().all(|(clone, model)| text(clone) == *model)
            && sent.iter().all(|(pieces, model)| pieces.concat() == *model)
    }
}
