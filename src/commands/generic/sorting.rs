//! What SORT works with: texts, the keys that patterns name for them, and an order by weight.
//!
//! A million elements are three buffers: their texts, where each ends, and a pair of weight and number for each, which
//! is all that sorting moves. Keys that patterns name are looked for some at a time, so that what looking for one reads
//! is on its way while another is looked at.

use std::cmp::Ordering;
use std::ops::{ControlFlow, Range};

use crate::collections::listpack::Item;
use crate::db::{Key, Readable};
use crate::exec::error;
use crate::exec::long_read::Pace;
use crate::types::string::StringRef;
use crate::types::value::ValueRef;
use crate::util::num;

/// Goes on as long as the pace allows it.
pub(super) fn while_it(goes_on: bool) -> ControlFlow<()> {
    if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

/// Keys that are asked for ahead.
const AHEAD: usize = 16;

/// Where fewer than one element in so many is wanted, they are selected first, and only they are sorted.
const SELECT_BELOW: usize = 4;

/// Texts one after the other in one buffer.
#[derive(Default)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn push(&mut self, item: Item<'_>) {
        self.push_with(|bytes| item.push_to(bytes));
    }

    /// A text that `write` appends.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// Empty texts, until there are so many.
    fn fill(&mut self, len: usize) {
        self.ends.resize(len, self.bytes.len());
    }

    /// Bytes taken.
    pub fn memory(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<usize>()
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    #[inline]
    pub fn text(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[start..self.ends[at]]
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        (0..self.len()).map(|at| self.text(at))
    }
}

/// What BY and GET name for each element.
#[derive(Clone, Copy)]
pub(super) enum Pattern<'a> {
    /// `#`: the element itself.
    Itself,
    /// Without a place for the element: nothing.
    Nothing,
    /// A key whose name has the element in the middle; of a hash, a field of it.
    Key { before: &'a [u8], after: &'a [u8], field: Option<&'a [u8]> },
}

impl<'a> Pattern<'a> {
    pub fn of(pattern: &'a [u8]) -> Pattern<'a> {
        if pattern == b"#" {
            return Pattern::Itself;
        }
        let Some(star) = pattern.iter().position(|byte| *byte == b'*') else { return Pattern::Nothing };
        let (before, rest) = (&pattern[..star], &pattern[star + 1..]);
        let arrow = rest.windows(2).position(|two| two == b"->").filter(|at| at + 2 < rest.len());
        match arrow {
            Some(at) => Pattern::Key { before, after: &rest[..at], field: Some(&rest[at + 2..]) },
            None => Pattern::Key { before, after: rest, field: None },
        }
    }
}

/// What a pattern named for an element: a string, or a field's value.
#[derive(Clone, Copy)]
pub(super) enum Named<'a> {
    String(StringRef<'a>),
    Field(Item<'a>),
}

impl Named<'_> {
    pub fn push_to(self, out: &mut Vec<u8>) {
        match self {
            Named::String(text) => text.push_to(out),
            Named::Field(item) => item.push_to(out),
        }
    }

    /// As a weight.
    fn number(self) -> Option<f64> {
        match self {
            Named::String(StringRef::Int(n)) | Named::Field(Item::Int(n)) => Some(n as f64),
            Named::String(StringRef::Bytes(text)) | Named::Field(Item::Bytes(text)) => number(text),
            Named::String(text @ StringRef::Rope(_)) => number(&text.to_vec()),
        }
    }
}

/// A text as a weight; no text at all is 0.
pub(super) fn number(text: &[u8]) -> Option<f64> {
    let text = error::until_nul(text);
    if text.is_empty() { Some(0.0) } else { num::parse_decimal_f64(text) }
}

/// Shows what each of these patterns names for each of these elements: all of the first element, then all of the next,
/// until `f` has had enough.
pub(super) fn each_named<'e, B>(
    db: &mut impl Readable,
    patterns: &[Pattern<'_>],
    mut elements: impl Iterator<Item = &'e [u8]>,
    mut f: impl FnMut(Option<Named<'_>>) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let at_once = AHEAD.div_ceil(patterns.len().max(1));
    let (mut names, mut hashes, mut batch) = (Texts::default(), Vec::new(), Vec::with_capacity(at_once));
    loop {
        batch.clear();
        batch.extend(elements.by_ref().take(at_once));
        if batch.is_empty() {
            return ControlFlow::Continue(());
        }
        names.clear();
        hashes.clear();
        for element in &batch {
            for pattern in patterns {
                if let Pattern::Key { before, after, .. } = *pattern {
                    names.push_with(|bytes| {
                        [before, element, after].iter().for_each(|part| bytes.extend_from_slice(part))
                    });
                    hashes.push(db.key(names.text(names.len() - 1)).hash);
                }
            }
        }
        db.prefetch(hashes.iter().copied());
        let mut keys = names.iter().zip(&hashes).map(|(bytes, &hash)| Key { bytes, hash });
        for element in &batch {
            for pattern in patterns {
                match *pattern {
                    Pattern::Itself => f(Some(Named::Field(Item::Bytes(element))))?,
                    Pattern::Nothing => f(None)?,
                    Pattern::Key { field, .. } => {
                        f(named(db, keys.next().expect("one for each pattern with a key"), field))?;
                    }
                }
            }
        }
    }
}

/// The string at a key, or a field of the hash there.
#[inline]
fn named<'d>(db: &'d mut impl Readable, key: Key<'_>, field: Option<&[u8]>) -> Option<Named<'d>> {
    let now_ms = db.now_ms();
    if let Some(field) = field {
        db.forget_if_expired(key, field);
    }
    match (db.lookup_read(key)?.value(), field) {
        (ValueRef::String(text), None) => Some(Named::String(text)),
        (ValueRef::Hash(hash), Some(field)) => hash.get(field, now_ms).map(|field| Named::Field(field.value)),
        _ => None,
    }
}

/// What elements are sorted by.
pub(super) enum Weights {
    /// Their own texts.
    Themselves,
    /// A number each; equal ones by text.
    Numbers(Vec<f64>),
    /// Another text each; those without one come first, and equal ones stay in the order they had.
    Others(Texts, Vec<bool>),
}

impl Weights {
    /// Finds out what each element is sorted by. None when one that should be a number is none.
    pub fn of(
        db: &mut impl Readable,
        pace: &mut impl Pace,
        elements: &Texts,
        by: Option<Pattern<'_>>,
        alpha: bool,
    ) -> Option<Weights> {
        match (by, alpha) {
            (None, true) => Some(Weights::Themselves),
            (None, false) => elements.iter().map(number).collect::<Option<Vec<f64>>>().map(Weights::Numbers),
            (Some(by), true) => {
                let (mut texts, mut there) = (Texts::default(), Vec::with_capacity(elements.len()));
                let _ = each_named(db, &[by], elements.iter(), |found| {
                    there.push(found.is_some());
                    texts.push_with(|bytes| found.into_iter().for_each(|found| found.push_to(bytes)));
                    while_it(pace.works_on())
                });
                // For nobody, if that was broken off.
                (there.len() < elements.len()).then(|| texts.fill(elements.len()));
                there.resize(elements.len(), false);
                Some(Weights::Others(texts, there))
            }
            (Some(by), false) => {
                let (mut numbers, mut all) = (Vec::with_capacity(elements.len()), true);
                let _ = each_named(db, &[by], elements.iter(), |found| {
                    let number = found.map_or(Some(0.0), Named::number);
                    all &= number.is_some();
                    numbers.push(number.unwrap_or(0.0));
                    while_it(pace.works_on())
                });
                numbers.resize(elements.len(), 0.0);
                all.then_some(Weights::Numbers(numbers))
            }
        }
    }

    /// The numbers of the elements that are at these places when all are in order.
    pub fn order(&self, pace: &mut impl Pace, elements: &Texts, descending: bool, places: Range<usize>) -> Vec<usize> {
        // Sorting cannot be broken off, but the thread can rest in between.
        let mut paced = |order: Ordering| {
            pace.works_on();
            order
        };
        let directed = |order: Ordering| if descending { order.reverse() } else { order };
        let flip = if descending { u64::MAX } else { 0 };
        let mut pairs: Vec<(u64, usize)> = match self {
            Weights::Themselves => elements.iter().map(prefix).zip(0..).collect(),
            Weights::Numbers(numbers) => numbers.iter().map(|number| rank(*number)).zip(0..).collect(),
            Weights::Others(texts, there) => {
                let mut all: Vec<usize> = (0..elements.len()).collect();
                all.sort_by(|&a, &b| paced(directed((there[a], texts.text(a)).cmp(&(there[b], texts.text(b))))));
                return all[places].to_vec();
            }
        };
        pairs.iter_mut().for_each(|pair| pair.0 ^= flip);
        let by_text = |a: usize, b: usize| directed(elements.text(a).cmp(elements.text(b)));
        if places.len() < pairs.len() / SELECT_BELOW {
            let mut by_both = |a: &(u64, usize), b: &(u64, usize)| paced(a.0.cmp(&b.0).then_with(|| by_text(a.1, b.1)));
            if places.end < pairs.len() {
                pairs.select_nth_unstable_by(places.end, &mut by_both);
                pairs.truncate(places.end);
            }
            if places.start > 0 && !places.is_empty() {
                pairs.select_nth_unstable_by(places.start, &mut by_both);
            }
            pairs[places.clone()].sort_unstable_by(by_both);
        } else {
            pairs.sort_unstable_by(|a, b| paced(a.0.cmp(&b.0)));
            for equal in pairs.chunk_by_mut(|a, b| a.0 == b.0).filter(|equal| equal.len() > 1) {
                equal.sort_unstable_by(|a, b| paced(by_text(a.1, b.1)));
            }
        }
        pairs[places].iter().map(|pair| pair.1).collect()
    }
}

/// A number that is in the order of these numbers, among which is no NaN. Both zeros are equal.
#[inline]
fn rank(number: f64) -> u64 {
    let bits = (number + 0.0).to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

/// The first eight bytes as a number that is in the order of texts, as far as these bytes decide.
#[inline]
fn prefix(text: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let len = text.len().min(8);
    bytes[..len].copy_from_slice(&text[..len]);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::long_read::Here;
    use crate::util::rng::Rng;

    fn texts<T: AsRef<[u8]>>(all: &[T]) -> Texts {
        let mut texts = Texts::default();
        all.iter().for_each(|text| texts.push(Item::Bytes(text.as_ref())));
        texts
    }

    #[test]
    fn numbers() {
        for (text, expected) in [
            ("", 0.0),
            ("+5", 5.0),
            ("1e3", 1e3),
            (".5", 0.5),
            ("1.", 1.0),
            ("-inf", f64::NEG_INFINITY),
            ("1e400", f64::INFINITY),
        ] {
            assert_eq!(number(text.as_bytes()), Some(expected), "{text:?}");
        }
        for text in ["5 ", " 5", "x", "nan", " ", "0x10", "+-5", "-", "."] {
            assert_eq!(number(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn patterns() {
        let of = |pattern: &'static str| Pattern::of(pattern.as_bytes());
        assert!(matches!(of("#"), Pattern::Itself) && matches!(of("no star"), Pattern::Nothing));
        assert!(matches!(of("a*b"), Pattern::Key { before: b"a", after: b"b", field: None }));
        assert!(matches!(of("a*b->c"), Pattern::Key { before: b"a", after: b"b", field: Some(b"c") }));
        assert!(matches!(of("*->"), Pattern::Key { before: b"", after: b"->", field: None }), "no field: a name");
        assert!(matches!(of("a->*"), Pattern::Key { before: b"a->", after: b"", field: None }));
    }

    #[test]
    fn every_part_of_every_order_is_that_of_a_plain_sort() {
        let mut rng = Rng::from_seed(4);
        let special = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, -1.5, 1e-300];
        for round in 0..if cfg!(miri) { 6 } else { 200 } {
            let len = rng.index(60);
            let names: Vec<String> =
                (0..len).map(|_| format!("{}{}", "prefix: ".repeat(rng.index(2)), rng.below(30))).collect();
            let numbers: Vec<f64> = (0..len)
                .map(|_| if round % 2 == 0 { rng.below(10) as f64 - 5.0 } else { special[rng.index(special.len())] })
                .collect();
            let elements = texts(&names);
            let others: Vec<Option<String>> =
                (0..len).map(|_| (rng.index(3) > 0).then(|| rng.below(5).to_string())).collect();
            let there = others.iter().map(Option::is_some).collect();
            let other_texts: Vec<String> = others.iter().map(|text| text.clone().unwrap_or_default()).collect();
            for (kind, weights) in
                [Weights::Themselves, Weights::Numbers(numbers.clone()), Weights::Others(texts(&other_texts), there)]
                    .into_iter()
                    .enumerate()
            {
                for descending in [false, true] {
                    let mut all: Vec<usize> = (0..len).collect();
                    all.sort_by(|&a, &b| {
                        let order = match kind {
                            0 => names[a].cmp(&names[b]),
                            1 => numbers[a].partial_cmp(&numbers[b]).unwrap().then(names[a].cmp(&names[b])),
                            _ => others[a].cmp(&others[b]),
                        };
                        if descending { order.reverse() } else { order }
                    });
                    let start = rng.index(len + 1);
                    let end = start + rng.index(len - start + 1);
                    for places in [0..len, start..end, start..start] {
                        let mut pace = Here::ANYTHING;
                        let found = weights.order(&mut pace, &elements, descending, places.clone());
                        let shown = |order: &[usize]| {
                            order.iter().map(|at| (&names[*at], (kind == 2).then_some(*at))).collect::<Vec<_>>()
                        };
                        assert_eq!(shown(&found), shown(&all[places]), "{kind} {descending}");
                    }
                }
            }
        }
    }
}
