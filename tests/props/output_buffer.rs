//! The gathering queue against one plain vector of bytes.

use bytes::Bytes;
use kvstash::util::output_buffer::OutputBuffer;
use quickcheck::{Arbitrary, Gen, quickcheck};

#[derive(Clone, Debug)]
enum Op {
    Append(u8, u16),
    Share(u8, u16),
    /// So many 256ths of what waits were written.
    Written(u8),
    /// Append and share, then undo all of it.
    Undone(u16),
    /// Append and share, then put a head in before it.
    Headed(u16, u8),
    /// Another queue's contents.
    Joined(u16),
    Recycled,
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Self {
        let n = u16::arbitrary(g) % 5000;
        match u8::arbitrary(g) % 12 {
            0..=2 => Op::Append(u8::arbitrary(g), n),
            3 | 4 => Op::Share(u8::arbitrary(g), n),
            5..=7 => Op::Written(u8::arbitrary(g)),
            8 => Op::Undone(n),
            9 => Op::Headed(n, u8::arbitrary(g)),
            10 => Op::Joined(n),
            _ => Op::Recycled,
        }
    }
}

fn fill(queue: &mut OutputBuffer, byte: u8, n: u16) -> Vec<u8> {
    let n = usize::from(n);
    queue.bytes_mut().push(byte);
    queue.share(Bytes::from(vec![!byte; n]));
    queue.bytes_mut().push(byte);
    [vec![byte], vec![!byte; n], vec![byte]].concat()
}

quickcheck! {
    fn the_same_bytes_as_a_vector(ops: Vec<Op>) -> bool {
        let (mut queue, mut model) = (OutputBuffer::new(), Vec::new());
        for op in ops {
            match op {
                Op::Append(byte, n) => {
                    queue.bytes_mut().extend(std::iter::repeat_n(byte, usize::from(n)));
                    model.resize(model.len() + usize::from(n), byte);
                }
                Op::Share(byte, n) => {
                    queue.share(Bytes::from(vec![byte; usize::from(n)]));
                    model.resize(model.len() + usize::from(n), byte);
                }
                Op::Written(part) => {
                    let n = queue.len() * usize::from(part) / 255;
                    queue.advance(n);
                    model.drain(..n);
                }
                Op::Undone(n) => {
                    let mark = queue.mark();
                    let added = fill(&mut queue, 7, n);
                    assert_eq!(queue.len_since(mark), added.len());
                    queue.truncate_to(mark);
                }
                Op::Headed(n, head) => {
                    let mark = queue.mark();
                    let added = fill(&mut queue, 9, n);
                    queue.insert_at(mark, &vec![head; usize::from(head)]);
                    model.resize(model.len() + usize::from(head), head);
                    model.extend(added);
                }
                Op::Joined(n) => {
                    let mut other = OutputBuffer::new();
                    model.extend(&fill(&mut other, 11, n)[1..]);
                    other.advance(1);
                    queue.append(other);
                }
                Op::Recycled => {
                    queue.advance(queue.len());
                    model.clear();
                    queue = OutputBuffer::with_buffer(queue.take_buffer());
                }
            }
            if queue.len() != model.len() || queue.to_vec() != model || queue.is_empty() != model.is_empty() {
                return false;
            }
            if queue.chunks().any(<[u8]>::is_empty) || queue.as_one().is_some_and(|one| one != model) {
                return false;
            }
        }
        true
    }
}
