//! Listpack and intset against `VecDeque` and `BTreeSet`, checked to the last byte after every step.

use kvstash::collections::intset::{self, IntsetMut, IntsetRef};
use kvstash::collections::listpack::{self, Depth, Item, ListpackMut, ListpackRef};
use quickcheck::{Arbitrary, Gen, quickcheck};
use std::collections::BTreeSet;

/// An element: numbers of all sizes, texts around the limits of the heads.
#[derive(Clone, Debug)]
struct Text(Vec<u8>);

impl Arbitrary for Text {
    fn arbitrary(g: &mut Gen) -> Text {
        let shift = u32::arbitrary(g) % 64;
        Text(match u8::arbitrary(g) % 8 {
            0..=2 => (i64::arbitrary(g) >> shift).to_string().into_bytes(),
            3 => vec![b'x'; *g.choose(&[0, 1, 63, 64, 125, 126, 127, 128, 4095, 4096]).unwrap()],
            4 => vec![u8::arbitrary(g); usize::from(u16::arbitrary(g)) % 20_000],
            5 => format!("{}", u8::arbitrary(g) % 4).into_bytes(),
            _ => Vec::arbitrary(g),
        })
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u8, Text),
    InsertAll(u8, Vec<Text>),
    Replace(u8, Text),
    RemoveRun(u8, u8),
    RemoveIndices(u8, u8),
    PopBack,
    PopFront,
    Retain(u8),
    SplitOff(u8, bool),
    Find(Text, u8),
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Op {
        let (at, n) = (u8::arbitrary(g), u8::arbitrary(g));
        match u8::arbitrary(g) % 16 {
            0..=4 => Op::Insert(at, Text::arbitrary(g)),
            5 => Op::InsertAll(at, Vec::arbitrary(g)),
            6 | 7 => Op::Replace(at, Text::arbitrary(g)),
            8 => Op::RemoveRun(at, n % 4),
            9 => Op::RemoveIndices(at, n % 4),
            10 => Op::PopBack,
            11 => Op::PopFront,
            12 => Op::Retain(n),
            13 => Op::SplitOff(at, n % 2 == 0),
            _ => Op::Find(Text::arbitrary(g), n % 4),
        }
    }
}

/// The position of the element with an index, or the end.
fn position(lp: ListpackRef<'_>, index: usize) -> usize {
    lp.seek(index).unwrap_or(lp.end())
}

fn wanted(text: &[u8], salt: u8) -> bool {
    (text.iter().fold(salt, |sum, b| sum.wrapping_mul(31).wrapping_add(*b))) % 3 != 0
}

fn apply(op: &Op, bytes: &mut Vec<u8>, model: &mut Vec<Vec<u8>>) {
    let mut lp = ListpackMut::new(bytes);
    let index = |at: u8| usize::from(at) % (model.len() + 1);
    match op {
        Op::Insert(at, text) => {
            let index = index(*at);
            let behind = lp.insert(position(lp.view(), index), text.0.as_slice());
            model.insert(index, text.0.clone());
            assert_eq!(behind, position(lp.view(), index + 1));
        }
        Op::InsertAll(at, texts) => {
            let index = index(*at);
            lp.insert_all(position(lp.view(), index), texts.iter().map(|text| Item::of(&text.0)));
            model.splice(index..index, texts.iter().map(|text| text.0.clone()));
        }
        Op::Replace(at, text) => {
            let index = index(*at);
            if let Some(at) = lp.view().seek(index) {
                lp.replace(at, text.0.as_slice());
                model[index] = text.0.clone();
            }
        }
        Op::RemoveRun(at, n) => {
            let index = index(*at);
            let removed = lp.remove_run(position(lp.view(), index), usize::from(*n));
            assert_eq!(removed, model.drain(index..(index + usize::from(*n)).min(model.len())).count());
        }
        Op::RemoveIndices(at, n) => {
            let (start, end) = (usize::from(*at), usize::from(*at) + usize::from(*n));
            let removed = lp.remove_indices(start..end);
            let len = model.len();
            assert_eq!(removed, model.drain(start.min(len)..end.min(len)).count());
        }
        Op::PopBack => assert_eq!(lp.pop_back(), model.pop()),
        Op::PopFront => assert_eq!(lp.pop_front(), (!model.is_empty()).then(|| model.remove(0))),
        Op::Retain(salt) => {
            let gone = lp.retain(1, |item| wanted(&item.to_vec(), *salt));
            let before = model.len();
            model.retain(|text| wanted(text, *salt));
            assert_eq!(gone, before - model.len());
        }
        Op::SplitOff(at, keep_head) => {
            let index = index(*at);
            let tail = lp.split_off(position(lp.view(), index));
            let tail_model = model.split_off(index);
            if !keep_head {
                (*bytes, *model) = (tail, tail_model);
            } else if index % 2 == 0 {
                lp.append(ListpackRef::new(&tail));
                model.extend(tail_model);
            }
        }
        Op::Find(text, skip) => {
            let stride = usize::from(*skip) + 1;
            let expected = model.iter().step_by(stride).position(|other| *other == text.0).map(|n| n * stride);
            assert_eq!(lp.view().find(text.0.as_slice(), usize::from(*skip)), expected.and_then(|n| lp.view().seek(n)));
        }
    }
}

quickcheck! {
    fn a_listpack_is_a_sequence(ops: Vec<Op>) -> bool {
        let (mut bytes, mut model) = (listpack::new(0), vec![]);
        for op in &ops {
            apply(op, &mut bytes, &mut model);
            let lp = ListpackRef::validate(&bytes, Depth::Deep).unwrap_or_else(|why| panic!("{op:?}: {why}"));
            assert_eq!(lp.len(), model.len());
            assert!(lp.iter().map(Item::to_vec).eq(model.iter().cloned()), "{op:?}");
            assert!(lp.iter().rev().map(Item::to_vec).eq(model.iter().rev().cloned()), "{op:?}");
        }
        true
    }

    fn no_bytes_are_too_strange(bytes: Vec<u8>, good: Vec<Text>, damage: Vec<(usize, u8)>) -> bool {
        let mut bad = listpack::collect(good.iter().map(|text| text.0.as_slice()));
        for (at, byte) in damage.iter().take(3) {
            let at = at % bad.len();
            bad[at] = *byte;
        }
        let mut framed = ((bytes.len() + 7) as u32).to_le_bytes().to_vec();
        framed.extend([0xFF, 0xFF]);
        framed.extend(&bytes);
        framed.push(0xFF);
        [bad, framed, bytes].iter().all(|bytes| match ListpackRef::validate(bytes, Depth::Deep) {
            Ok(lp) => lp.iter().count() == lp.len() && lp.iter().rev().count() == lp.len(),
            Err(_) => true,
        })
    }

    fn an_intset_is_a_set(ops: Vec<(i64, u8, bool)>) -> bool {
        let (mut bytes, mut model) = (intset::new(0), BTreeSet::new());
        ops.into_iter().all(|(n, shift, insert)| {
            // Small numbers come often, and come again.
            let n = n >> (u32::from(shift) % 64).max(if shift > 50 { 60 } else { 0 });
            let mut set = IntsetMut::new(&mut bytes);
            assert_eq!(set.view().contains(n), model.contains(&n));
            assert_eq!(set.view().rank(n), model.range(..n).count());
            if insert {
                assert_eq!(set.insert(n), model.insert(n));
            } else {
                assert_eq!(set.remove(n), model.remove(&n));
            }
            let set = IntsetRef::validate(&bytes, true).expect("an intset");
            assert_eq!((set.first(), set.last()), (model.first().copied(), model.last().copied()));
            set.len() == model.len() && set.iter().eq(model.iter().copied())
        })
    }
}
