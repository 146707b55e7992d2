//! BITOP's result: several strings become one, piece by piece.
//!
//! All sources are read at the same place, and what becomes of it is written where it stays: no long string is put
//! together, filled with zeros first or copied afterwards. Where a source has ended, or has a gap, its bytes are zero,
//! and often that says what the result is without looking at the others: zeros again, which are a gap of the result;
//! ones; or one source unchanged, whose piece the result shares.

use super::rope::{PIECE, Rope};
use super::simd::combine::{Combine, combine};
use super::simd::prefetch_start;
use crate::sys::block::Empty;
use crate::util::piece::{self, Piece};
use std::mem::MaybeUninit;

/// One of the strings.
#[derive(Clone, Copy)]
pub enum Source<'s> {
    Flat(&'s [u8]),
    Rope(&'s Rope),
}

impl<'s> Source<'s> {
    pub fn len(self) -> usize {
        match self {
            Source::Flat(text) => text.len(),
            Source::Rope(rope) => rope.len(),
        }
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// What it has of piece `i`; nothing, if that is a gap.
    fn part(self, i: usize) -> &'s [u8] {
        match self {
            Source::Flat(text) => &text[(i * PIECE).min(text.len())..((i + 1) * PIECE).min(text.len())],
            Source::Rope(rope) => rope.piece(i).unwrap_or_default(),
        }
    }

    /// The rope that has this piece, to share it.
    fn rope(self) -> Option<&'s Rope> {
        match self {
            Source::Flat(_) => None,
            Source::Rope(rope) => Some(rope),
        }
    }
}

/// What becomes of a part of the sources.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Zeros,
    Ones,
    /// The only one that is there.
    Unchanged,
    /// Those that are there, combined like this.
    Combined(Combine),
}

/// `there` of `all` sources are no zeros here, and whether the first is among them.
fn outcome(how: Combine, all: usize, there: usize, has_first: bool) -> Outcome {
    use Combine::{And, AndOr, Diff, Diff1, Not, One, Or, Xor};
    match (how, there) {
        (Not, 0) => Outcome::Ones,
        (Not, _) => Outcome::Combined(Not),
        (_, 0) => Outcome::Zeros,
        (And, _) if there < all => Outcome::Zeros,
        (Diff | AndOr, _) if !has_first => Outcome::Zeros,
        (Diff1, _) if !has_first && there > 1 => Outcome::Combined(Or),
        (AndOr, 1) => Outcome::Zeros,
        (Diff1, 1) if has_first => Outcome::Zeros,
        (And | Or | Xor | One | Diff | Diff1, 1) => Outcome::Unchanged,
        (how, _) => Outcome::Combined(how),
    }
}

/// The result as a rope.
pub fn combined_rope(how: Combine, sources: &[Source<'_>]) -> Rope {
    let len = longest(sources);
    let mut out = Rope::default();
    let mut work = Work::new(how, sources);
    // A full piece of ones, once one is needed: all of them are this one.
    let mut ones: Option<Rope> = None;
    for i in 0..len.div_ceil(PIECE) {
        let n = PIECE.min(len - i * PIECE);
        work.look(i);
        match work.outcome_of_all(n) {
            Some((Outcome::Zeros, _)) => out.resize_zero(out.len() + n),
            Some((Outcome::Ones, _)) if n == PIECE => {
                out.push_shared(ones.get_or_insert_with(|| Rope::from(&[u8::MAX; PIECE][..])), 0);
            }
            Some((Outcome::Unchanged, Some(rope))) => out.push_shared(rope, i),
            _ => {
                let mut block = Empty::new(piece::room(n));
                work.write(&mut block.room()[..n]);
                // SAFETY: so many bytes were written.
                out.push_piece(Piece::from(unsafe { block.filled(n) }), n);
            }
        }
    }
    out
}

/// The result in one piece: for short ones.
pub fn combined_flat(how: Combine, sources: &[Source<'_>]) -> Vec<u8> {
    let len = longest(sources);
    let mut out = Vec::with_capacity(len);
    let mut work = Work::new(how, sources);
    for i in 0..len.div_ceil(PIECE) {
        work.look(i);
        let n = PIECE.min(len - i * PIECE);
        work.write(&mut out.spare_capacity_mut()[..n]);
        // SAFETY: so many bytes were written behind those that were there.
        unsafe { out.set_len(out.len() + n) };
    }
    out
}

fn longest(sources: &[Source<'_>]) -> usize {
    sources.iter().map(|source| source.len()).max().unwrap_or(0)
}

/// One piece of all sources.
struct Work<'s> {
    how: Combine,
    sources: &'s [Source<'s>],
    /// Which piece.
    i: usize,
    /// What each source has of it.
    parts: Vec<&'s [u8]>,
    /// What those that are there have of a stretch in which none of them ends.
    there: Vec<&'s [u8]>,
}

impl<'s> Work<'s> {
    fn new(how: Combine, sources: &'s [Source<'s>]) -> Work<'s> {
        Work { how, sources, i: 0, parts: Vec::with_capacity(sources.len()), there: Vec::with_capacity(sources.len()) }
    }

    fn look(&mut self, i: usize) {
        self.i = i;
        self.parts.clear();
        self.parts.extend(self.sources.iter().map(|source| source.part(i)));
        self.sources.iter().for_each(|source| prefetch_start(source.part(i + 1)));
    }

    fn outcome(&self, there: usize, has_first: bool) -> Outcome {
        outcome(self.how, self.parts.len(), there, has_first)
    }

    /// What becomes of the whole piece of `n` bytes, if none of the sources ends within it; and the first source that
    /// is there, if that is a rope and its piece is as long.
    fn outcome_of_all(&self, n: usize) -> Option<(Outcome, Option<&'s Rope>)> {
        if self.parts.iter().any(|part| !part.is_empty() && part.len() < n) {
            return None;
        }
        let is_there = |part: &[u8]| !part.is_empty();
        let there = self.parts.iter().filter(|part| is_there(part)).count();
        let first = self.parts.iter().position(|part| is_there(part));
        let rope = first.filter(|&first| self.parts[first].len() == n).and_then(|first| self.sources[first].rope());
        Some((self.outcome(there, first == Some(0)), rope))
    }

    /// Writes all of `out`: so many bytes of the result.
    fn write(&mut self, out: &mut [MaybeUninit<u8>]) {
        let mut from = 0;
        while from < out.len() {
            // To where the next of them ends.
            let ends = self.parts.iter().map(|part| part.len()).filter(|end| *end > from);
            let to = ends.min().unwrap_or(out.len());
            self.there.clear();
            self.there.extend(self.parts.iter().filter(|part| part.len() > from).map(|part| &part[from..to]));
            match self.outcome(self.there.len(), self.parts[0].len() > from) {
                Outcome::Zeros => out[from..to].fill(MaybeUninit::new(0)),
                Outcome::Ones => out[from..to].fill(MaybeUninit::new(u8::MAX)),
                Outcome::Unchanged => _ = out[from..to].write_copy_of_slice(self.there[0]),
                Outcome::Combined(how) => combine(how, &self.there, &mut out[from..to]),
            }
            from = to;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::rng::Rng;

    const ALL: [Combine; 8] = [
        Combine::And,
        Combine::Or,
        Combine::Xor,
        Combine::Not,
        Combine::Diff,
        Combine::Diff1,
        Combine::AndOr,
        Combine::One,
    ];

    fn text(rope: &Rope) -> Vec<u8> {
        let mut out = Vec::new();
        rope.read(0..rope.len(), &mut out);
        out
    }

    /// Bit by bit, each string going on with zeros.
    fn expected(how: Combine, texts: &[Vec<u8>]) -> Vec<u8> {
        let byte = |text: &Vec<u8>, at: usize| text.get(at).copied().unwrap_or(0);
        let len = texts.iter().map(Vec::len).max().unwrap_or(0);
        let result = (0..len).map(|at| {
            let first = byte(&texts[0], at);
            let any = texts[1..].iter().fold(0, |any, text| any | byte(text, at));
            let (once, twice) = texts.iter().fold((0, 0), |(once, twice), text| {
                let byte = byte(text, at);
                (once | byte, twice | once & byte)
            });
            match how {
                Combine::And => texts.iter().fold(0xff, |all, text| all & byte(text, at)),
                Combine::Or => first | any,
                Combine::Xor => texts.iter().fold(0, |odd, text| odd ^ byte(text, at)),
                Combine::Not => !first,
                Combine::Diff => first & !any,
                Combine::Diff1 => any & !first,
                Combine::AndOr => first & any,
                Combine::One => once & !twice,
            }
        });
        result.collect()
    }

    /// A string with gaps here and there.
    fn sparse(rng: &mut Rng) -> Rope {
        let mut rope = Rope::default();
        let mut len = 0;
        for _ in 0..rng.below(6) {
            len += rng.below(2 * PIECE as u64) as usize;
            rope.resize_zero(len);
            let more: Vec<u8> = (0..rng.below(40)).map(|_| rng.below(256) as u8).collect();
            rope.append(&more);
            len = rope.len();
        }
        rope
    }

    #[test]
    fn results_are_those_of_the_definition_whatever_the_lengths_and_gaps() {
        let mut rng = Rng::from_seed(1);
        for round in 0..if cfg!(miri) { 3 } else { 60 } {
            let ropes: Vec<Rope> = (0..1 + round % 5).map(|_| sparse(&mut rng)).collect();
            let texts: Vec<Vec<u8>> = ropes.iter().map(text).collect();
            for how in ALL {
                // NOT has one source.
                let ways = if how == Combine::Not { 1 } else { ropes.len() };
                let (ropes, texts) = (&ropes[..ways], &texts[..ways]);
                let expected = expected(how, texts);
                let of_ropes: Vec<Source<'_>> = ropes.iter().map(Source::Rope).collect();
                let of_texts: Vec<Source<'_>> = texts.iter().map(|text| Source::Flat(text)).collect();
                let rope = combined_rope(how, &of_ropes);
                assert!(text(&rope) == expected, "{how:?}, round {round}");
                assert_eq!(rope.len(), expected.len());
                assert!(text(&combined_rope(how, &of_texts)) == expected, "{how:?}, round {round}");
                assert!(combined_flat(how, &of_ropes) == expected && combined_flat(how, &of_texts) == expected);
            }
        }
    }

    #[test]
    fn gaps_stay_gaps_and_what_is_unchanged_is_shared() {
        let mut sparse = Rope::default();
        sparse.resize_zero(9 * PIECE);
        sparse.write_at(4 * PIECE + 3, b"x");
        let full = Rope::from(&(0..9 * PIECE).map(|i| (i % 251) as u8).collect::<Vec<u8>>()[..]);
        let both = [Source::Rope(&sparse), Source::Rope(&full)];
        let and = combined_rope(Combine::And, &both);
        let or = combined_rope(Combine::Or, &both);
        let not = combined_rope(Combine::Not, &both[..1]);
        for i in (0..9).filter(|i| *i != 4) {
            let place = |rope: &Rope| rope.piece(i).map(|piece| piece.as_ptr());
            assert!(and.piece(i).is_none(), "piece {i} is a gap");
            assert_eq!(place(&or), place(&full), "piece {i} is shared");
            assert_eq!(place(&not), not.piece(0).map(|piece| piece.as_ptr()), "all of them are the same");
        }
        assert!(and.piece(4).is_some());
        let mut changed = or.clone();
        changed.write_at(0, b"changed");
        assert_eq!(full.piece(0).unwrap()[..3], [0, 1, 2]);
    }
}
