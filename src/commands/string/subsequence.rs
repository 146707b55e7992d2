//! The longest common subsequence of two texts, 64 positions at a time.
//!
//! # The table, and why one bit a cell is enough
//!
//! Let `L(i, j)` be the length of the longest common subsequence of the first `i` bytes of `a` and the first `j` of
//! `b`. The textbook fills this table row by row and then walks back through it. But along a row `L` grows by 0 or 1
//! from one cell to the next, so a row is a string of bits, the steps; and the walk only ever asks for a step:
//!
//! * The bytes at `(i, j)` are equal: they are part of the result, on to `(i-1, j-1)`.
//! * They differ: `L(i, j)` is the larger of `L(i-1, j)` and `L(i, j-1)`. Redis goes on to `(i-1, j)` if that is the
//!   larger one *strictly*, else to `(i, j-1)`. It is strictly larger just when `L(i, j) > L(i, j-1)`, that is, when
//!   the row steps up at `j`.
//!
//! Which of several longest subsequences is found depends on this rule, and clients see it in the positions that IDX
//! returns. So it is the same rule.
//!
//! # A row in words
//!
//! A whole row follows from the one above by a few operations on words (Crochemore, Iliopoulos, Pinzon and Reid, "A
//! fast and practical bit-vector algorithm for the longest common subsequence problem", 2001). With `flat` the bits
//! where the row does *not* step up, all ones above the first row, and `same` the positions of `b` that hold the byte
//! `a[i]`:
//!
//! ```text
//! flat' = (flat + (flat & same)) | (flat & !same)
//! ```
//!
//! The addition carries from word to word. That is 64 cells for half a dozen instructions, where the textbook takes
//! several for each.

/// A run of equal bytes that both texts contribute to the subsequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Run {
    /// Where it begins in the first text.
    pub(super) a: usize,
    /// Where it begins in the second text.
    pub(super) b: usize,
    pub(super) len: usize,
}

/// A longest common subsequence.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Subsequence {
    pub(super) len: usize,
    /// Its runs, the last one first.
    pub(super) runs: Vec<Run>,
}

const WORD: usize = u64::BITS as usize;

impl Subsequence {
    /// The one that Redis finds.
    pub(super) fn of(a: &[u8], b: &[u8]) -> Subsequence {
        let words = b.len().div_ceil(WORD);
        let mut table = Vec::with_capacity(words * a.len());
        each_row(a, b, |row| table.extend_from_slice(row));
        let steps_up = |i: usize, j: usize| table[i * words + j / WORD] >> (j % WORD) & 1 == 0;

        let mut found = Subsequence { len: 0, runs: Vec::new() };
        let (mut i, mut j) = (a.len(), b.len());
        let mut run = None;
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j) = (i - 1, j - 1);
                let len = run.map_or(0, |run: Run| run.len) + 1;
                run = Some(Run { a: i, b: j, len });
                found.len += 1;
            } else {
                found.runs.extend(run.take());
                if steps_up(i - 1, j - 1) { i -= 1 } else { j -= 1 }
            }
        }
        found.runs.extend(run);
        found
    }

    /// Its length only, which takes one row's memory.
    pub(super) fn len_of(a: &[u8], b: &[u8]) -> usize {
        let mut flat = 0;
        each_row(a, b, |row| flat = row.iter().map(|word| word.count_ones() as usize).sum());
        if a.is_empty() { 0 } else { b.len().div_ceil(WORD) * WORD - flat }
    }

    /// Its bytes, out of the first of the texts it was found in.
    pub(super) fn text(&self, a: &[u8]) -> Vec<u8> {
        self.runs.iter().rev().flat_map(|run| &a[run.a..run.a + run.len]).copied().collect()
    }
}

/// Hands the rows of the table to `f`, one for each byte of `a`. A set bit is a place where the row does not step up;
/// the bits behind the end of `b` are set.
fn each_row(a: &[u8], b: &[u8], mut f: impl FnMut(&[u64])) {
    let words = b.len().div_ceil(WORD);
    let masks = Masks::new(a, b);
    let mut row = vec![u64::MAX; words];
    for byte in a {
        let mut carry = false;
        for (flat, same) in row.iter_mut().zip(masks.of(*byte)) {
            let met = *flat & same;
            let (sum, over_1) = flat.overflowing_add(met);
            let (sum, over_2) = sum.overflowing_add(u64::from(carry));
            carry = over_1 | over_2;
            *flat = sum | (*flat & !same);
        }
        f(&row);
    }
}

/// For each byte that `a` has: where it stands in `b`.
struct Masks {
    words: usize,
    /// Which mask is a byte's.
    index: [usize; 256],
    bits: Vec<u64>,
}

impl Masks {
    fn new(a: &[u8], b: &[u8]) -> Masks {
        const NONE: usize = usize::MAX;
        let words = b.len().div_ceil(WORD);
        let mut index = [NONE; 256];
        let mut kinds = 0;
        for byte in a {
            let index = &mut index[usize::from(*byte)];
            if *index == NONE {
                *index = kinds;
                kinds += 1;
            }
        }
        let mut bits = vec![0; kinds * words];
        for (j, byte) in b.iter().enumerate() {
            let kind = index[usize::from(*byte)];
            if kind != NONE {
                bits[kind * words + j / WORD] |= 1 << (j % WORD);
            }
        }
        Masks { words, index, bits }
    }

    /// The mask of a byte of `a`.
    fn of(&self, byte: u8) -> &[u64] {
        let start = self.index[usize::from(byte)] * self.words;
        &self.bits[start..start + self.words]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    /// The textbook: the whole table, and Redis's way back through it.
    fn textbook(a: &[u8], b: &[u8]) -> Subsequence {
        let mut table = vec![vec![0usize; b.len() + 1]; a.len() + 1];
        for (i, x) in a.iter().enumerate() {
            for (j, y) in b.iter().enumerate() {
                table[i + 1][j + 1] = if x == y { table[i][j] + 1 } else { table[i][j + 1].max(table[i + 1][j]) };
            }
        }
        let (mut i, mut j) = (a.len(), b.len());
        let mut pairs = Vec::new();
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j) = (i - 1, j - 1);
                pairs.push((i, j));
            } else if table[i - 1][j] > table[i][j - 1] {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        let mut runs: Vec<Run> = Vec::new();
        for &(a, b) in &pairs {
            match runs.last_mut() {
                Some(run) if (run.a, run.b) == (a + 1, b + 1) => *run = Run { a, b, len: run.len + 1 },
                _ => runs.push(Run { a, b, len: 1 }),
            }
        }
        assert_eq!(table[a.len()][b.len()], pairs.len());
        Subsequence { len: pairs.len(), runs }
    }

    fn check(a: &[u8], b: &[u8]) {
        let expected = textbook(a, b);
        let found = Subsequence::of(a, b);
        assert_eq!(found, expected, "{a:?} {b:?}");
        assert_eq!(Subsequence::len_of(a, b), expected.len, "{a:?} {b:?}");
        assert_eq!(found.text(a).len(), expected.len);
    }

    #[test]
    fn known_pairs() {
        for (a, b) in [("", ""), ("", "x"), ("x", ""), ("x", "x"), ("ohmytext", "mynewtext"), ("abcabc", "acbacb")] {
            check(a.as_bytes(), b.as_bytes());
        }
        let found = Subsequence::of(b"ohmytext", b"mynewtext");
        assert_eq!(found.text(b"ohmytext"), b"mytext");
        assert_eq!(found.runs, [Run { a: 4, b: 5, len: 4 }, Run { a: 2, b: 0, len: 2 }]);
    }

    #[test]
    fn around_the_width_of_a_word() {
        for len in [1, 63, 64, 65, 127, 128, 129, 200] {
            let a: Vec<u8> = (0..len).map(|i| b"abc"[i * i % 3]).collect();
            let b: Vec<u8> = (0..130).map(|i| b"cab"[(i * i + i / 7) % 3]).collect();
            check(&a, &b);
            check(&b, &a);
            check(&a, &a);
        }
    }

    quickcheck! {
        fn equals_the_textbook(a: Vec<u8>, b: Vec<u8>, letters: u8) -> bool {
            let few = |text: Vec<u8>| -> Vec<u8> { text.iter().map(|x| x % (letters % 5 + 1)).collect() };
            check(&few(a.repeat(3)), &few(b.repeat(3)));
            true
        }
    }
}
