//! The expiry index against a `BTreeMap` of counts.

use kvstash::db::expiry::ExpiryIndex;
use quickcheck::{Arbitrary, Gen, quickcheck};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Op {
    Insert(i64, u32),
    /// Many at once, so that blocks split: first deadline, step, how many.
    Run(i64, i64, u16),
    /// The n-th of the records present.
    RemoveNth(usize),
    /// Every n-th record away, so that blocks join.
    Thin(u8),
    RemoveAbsent(i64, u32),
    PopDue(i64, u16),
}

fn deadline(g: &mut Gen) -> i64 {
    match u8::arbitrary(g) % 8 {
        0 => i64::arbitrary(g),
        1 => i64::from(u8::arbitrary(g)) << 30,
        2 => i64::from(i32::arbitrary(g)) * 4,
        _ => 1_000_000 + i64::from(u16::arbitrary(g)),
    }
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 12 {
            0..=2 => Op::Insert(deadline(g), u32::arbitrary(g) % 8),
            3..=5 => Op::Run(deadline(g), i64::from(i8::arbitrary(g)), u16::arbitrary(g) % 700),
            6 | 7 => Op::RemoveNth(usize::arbitrary(g)),
            8 => Op::Thin(u8::arbitrary(g) % 9 + 1),
            9 => Op::RemoveAbsent(deadline(g), u32::arbitrary(g)),
            _ => Op::PopDue(deadline(g), u16::arbitrary(g) % 500),
        }
    }
}

#[derive(Default)]
struct Model(BTreeMap<(i64, u32), usize>);

impl Model {
    fn insert(&mut self, r: (i64, u32)) {
        *self.0.entry(r).or_default() += 1;
    }
    fn remove(&mut self, r: (i64, u32)) -> bool {
        let Some(n) = self.0.get_mut(&r) else { return false };
        *n -= 1;
        if *n == 0 {
            self.0.remove(&r);
        }
        true
    }
    fn records(&self) -> Vec<(i64, u32)> {
        self.0.iter().flat_map(|(&r, &n)| std::iter::repeat_n(r, n)).collect()
    }
}

quickcheck! {
    fn equals_a_sorted_multiset(ops: Vec<Op>) -> bool {
        let (mut index, mut model) = (ExpiryIndex::new(), Model::default());
        let add = |index: &mut ExpiryIndex, model: &mut Model, r: (i64, u32)| {
            index.insert(r.0, r.1);
            model.insert(r);
        };
        for op in ops {
            match op {
                Op::Insert(d, h) => add(&mut index, &mut model, (d, h)),
                Op::Run(first, step, n) => {
                    for i in 0..i64::from(n) {
                        let d = first.saturating_add(i * step);
                        add(&mut index, &mut model, (d, (i as u32).wrapping_mul(2_654_435_761)));
                    }
                }
                Op::RemoveNth(n) => {
                    let all = model.records();
                    if !all.is_empty() {
                        let r = all[n % all.len()];
                        assert!(index.remove(r.0, r.1) && model.remove(r));
                    }
                }
                Op::Thin(n) => {
                    for (i, r) in model.records().into_iter().enumerate() {
                        if i % usize::from(n) == 0 {
                            assert!(index.remove(r.0, r.1) && model.remove(r));
                        }
                    }
                }
                Op::RemoveAbsent(d, h) => assert_eq!(index.remove(d, h), model.remove((d, h))),
                Op::PopDue(now, max) => {
                    let mut popped = vec![];
                    index.pop_due(now, usize::from(max), |d, h| popped.push((d, h)));
                    let due: Vec<_> =
                        model.records().into_iter().take_while(|r| r.0 < now).take(usize::from(max)).collect();
                    assert_eq!(popped, due);
                    for r in due {
                        model.remove(r);
                    }
                }
            }
            index.check_invariants();
            assert_eq!(index.next_deadline(), model.0.keys().next().map(|r| r.0));
        }
        index.iter().eq(model.records())
    }
}
