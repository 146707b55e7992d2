//! HyperLogLog: how many distinct elements were there? In Redis's bytes, with Redis's answers.
//!
//! 16384 registers each remember the longest run of zero bits among the hashes that fell to them. They are kept in a
//! plain string, which clients may GET, SET and send to other servers, so every byte of it is part of the contract,
//! and with it the order of steps in which the sparse form is edited.
//!
//! ```text
//! "HYLL"  form: 1  0 0 0  count: 8, little-endian; its highest bit says that the count is out of date   registers
//!
//! dense    16384 registers of 6 bits, lowest bits first: 12288 bytes
//! sparse   runs:  00nnnnnn            n+1 registers (up to 64) are 0         ZERO
//!                 01nnnnnn nnnnnnnn   n+1 registers (up to 16384) are 0      XZERO
//!                 1vvvvvnn            n+1 registers (up to 4) are v+1 (≤ 32) VAL
//! ```
//!
//! # Estimating
//!
//! Otmar Ertl's estimator ("New cardinality estimation algorithms for HyperLogLog sketches", 2017) looks at nothing but
//! how many registers have which value, and is right over the whole range without corrections.

use crate::collections::simd::registers;

/// Bits of a hash that choose the register.
const INDEX_BITS: u32 = 14;

/// Registers.
pub const REGISTERS: usize = 1 << INDEX_BITS;

/// Bits of a hash that are left to count zeros in.
const RANK_BITS: u32 = 64 - INDEX_BITS;

const REGISTER_BITS: usize = 6;
const REGISTER_MAX: u8 = (1 << REGISTER_BITS) - 1;

/// Bytes before the registers.
pub const HEADER: usize = 16;

/// Bytes of the dense form.
pub const DENSE: usize = HEADER + REGISTERS * REGISTER_BITS / 8;

const MAGIC: &[u8; 4] = b"HYLL";
const FORM_AT: usize = 4;
const COUNT_AT: usize = 8;
const STALE: u8 = 0x80;

const ZERO_MAX: usize = 64;
const VAL_MAX: u8 = 32;
const VAL_LEN_MAX: usize = 4;

/// Every register on its own: what is merged into.
pub type Registers = [u8; REGISTERS];

/// The form of the registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    Dense,
    Sparse,
}

/// The header is right, but what follows is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Corrupt;

/// A HyperLogLog that has seen nothing.
pub fn empty() -> Vec<u8> {
    let mut text = Vec::with_capacity(HEADER + 2);
    text.extend_from_slice(MAGIC);
    text.extend_from_slice(&[1, 0, 0, 0]);
    text.extend_from_slice(&[0; 8]);
    push_zeros(&mut text, REGISTERS);
    text
}

/// The form of `text`, if it begins as a HyperLogLog does.
pub fn form(text: &[u8]) -> Option<Form> {
    let head = text.get(..HEADER)?;
    match head[FORM_AT] {
        _ if &head[..MAGIC.len()] != MAGIC => None,
        0 => (text.len() == DENSE).then_some(Form::Dense),
        1 => Some(Form::Sparse),
        _ => None,
    }
}

/// The count that was last computed, unless it is out of date.
pub fn cached_count(text: &[u8]) -> Option<u64> {
    let count: [u8; 8] = text.get(COUNT_AT..HEADER)?.try_into().ok()?;
    (count[7] & STALE == 0).then(|| u64::from_le_bytes(count))
}

/// Remembers a count.
pub fn cache_count(text: &mut [u8], count: u64) {
    text[COUNT_AT..HEADER].copy_from_slice(&count.to_le_bytes());
}

/// The remembered count is out of date.
pub fn forget_count(text: &mut [u8]) {
    text[HEADER - 1] |= STALE;
}

/// The register an element falls to, and the value it asks of it.
pub fn observe(element: &[u8]) -> (usize, u8) {
    let hash = murmur64a(element, 0xadc8_3b19);
    let index = hash as usize & (REGISTERS - 1);
    let rank = ((hash >> INDEX_BITS) | 1 << RANK_BITS).trailing_zeros() + 1;
    (index, rank as u8)
}

/// MurmurHash64A (Austin Appleby, public domain), reading little-endian words.
fn murmur64a(bytes: &[u8], seed: u64) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(M);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mut k = u64::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = (hash ^ k.wrapping_mul(M)).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(M);
    }
    hash = (hash ^ hash >> R).wrapping_mul(M);
    hash ^ hash >> R
}

/// Adds what was observed; true if that changed a register. The sparse form becomes dense when it would need more than
/// `sparse_bytes_max` bytes, or a value it cannot express.
pub fn add(text: &mut Vec<u8>, (index, rank): (usize, u8), sparse_bytes_max: u64) -> Result<bool, Corrupt> {
    match form(text) {
        Some(Form::Dense) => Ok(add_dense(text, (index, rank))),
        Some(Form::Sparse) => add_sparse(text, &mut Place::default(), (index, rank), sparse_bytes_max),
        None => Err(Corrupt),
    }
}

// ---- dense

fn dense_at(index: usize) -> (usize, usize) {
    let bit = index * REGISTER_BITS;
    (HEADER + bit / 8, bit % 8)
}

fn dense_get(text: &[u8], index: usize) -> u8 {
    let (at, shift) = dense_at(index);
    let word = u16::from_le_bytes([text[at], text.get(at + 1).copied().unwrap_or(0)]);
    (word >> shift) as u8 & REGISTER_MAX
}

fn dense_set(text: &mut [u8], index: usize, value: u8) {
    let (at, shift) = dense_at(index);
    let mask = u16::from(REGISTER_MAX) << shift;
    let word = u16::from_le_bytes([text[at], text.get(at + 1).copied().unwrap_or(0)]);
    let [low, high] = ((word & !mask) | u16::from(value) << shift).to_le_bytes();
    text[at] = low;
    if let Some(next) = text.get_mut(at + 1) {
        *next = high;
    }
}

/// Whether adding this to what is known to be dense would change a register.
pub fn would_grow(text: &[u8], (index, rank): (usize, u8)) -> bool {
    dense_get(text, index) < rank
}

/// [`add`] for what is known to be dense, in place.
pub fn add_dense(text: &mut [u8], (index, rank): (usize, u8)) -> bool {
    let grows = would_grow(text, (index, rank));
    if grows {
        dense_set(text, index, rank);
    }
    grows
}

// ---- sparse

/// A run of equal registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    value: u8,
    len: usize,
    /// How many bytes say so.
    bytes: usize,
}

impl Run {
    /// The run at the beginning of `code`.
    fn at(code: &[u8]) -> Option<Run> {
        let first = *code.first()?;
        Some(match first >> 6 {
            0 => Run { value: 0, len: usize::from(first) + 1, bytes: 1 },
            1 => {
                let len = usize::from(first & 0x3f) << 8 | usize::from(*code.get(1)?);
                Run { value: 0, len: len + 1, bytes: 2 }
            }
            _ => Run { value: (first >> 2 & 0x1f) + 1, len: usize::from(first & 3) + 1, bytes: 1 },
        })
    }
}

/// All runs, or an error at the first that cannot be, or when they do not make up all registers.
fn runs(code: &[u8]) -> impl Iterator<Item = Result<Run, Corrupt>> + '_ {
    let (mut rest, mut covered, mut broken) = (code, 0, false);
    std::iter::from_fn(move || {
        if broken || (rest.is_empty() && covered == REGISTERS) {
            return None;
        }
        let run = Run::at(rest).filter(|run| covered + run.len <= REGISTERS);
        match run {
            Some(run) => {
                covered += run.len;
                rest = &rest[run.bytes..];
            }
            None => broken = true,
        }
        Some(run.ok_or(Corrupt))
    })
}

fn push_zeros(code: &mut Vec<u8>, len: usize) {
    let n = len - 1;
    if len > ZERO_MAX {
        code.extend_from_slice(&[0x40 | (n >> 8) as u8, n as u8]);
    } else {
        code.push(n as u8);
    }
}

fn val(value: u8, len: usize) -> u8 {
    0x80 | (value - 1) << 2 | (len - 1) as u8
}

/// Where looking for a register begins: at a run that lies before it, and the register which that run begins with.
#[derive(Clone, Copy)]
struct Place {
    at: usize,
    first: usize,
}

impl Default for Place {
    fn default() -> Place {
        Place { at: HEADER, first: 0 }
    }
}

/// Looks from `from` on, and leaves there a place that is early enough for the registers from this one on.
fn add_sparse(
    text: &mut Vec<u8>,
    from: &mut Place,
    (index, rank): (usize, u8),
    bytes_max: u64,
) -> Result<bool, Corrupt> {
    if rank > VAL_MAX {
        return promote(text, index, rank);
    }
    // The run that has the register, and the run before it: what is joined begins there, so the one before that stays
    // as it is, whatever becomes of these.
    let (mut before, mut place) = (*from, *from);
    let run = loop {
        let run = Run::at(&text[place.at..]).ok_or(Corrupt)?;
        if index < place.first + run.len {
            break run;
        }
        (*from, before) = (before, place);
        place = Place { at: place.at + run.bytes, first: place.first + run.len };
    };
    let (Place { at, first }, before) = (place, before.at);
    if run.value >= rank {
        return Ok(false);
    }
    if run.len == 1 && run.bytes == 1 {
        text[at] = val(rank, 1);
    } else {
        // The run is cut in up to three.
        let mut parts = Vec::with_capacity(5);
        let mut push = |value: u8, len: usize| match (value, len) {
            (_, 0) => {}
            (0, _) => push_zeros(&mut parts, len),
            _ => parts.push(val(value, len)),
        };
        push(run.value, index - first);
        push(rank, 1);
        push(run.value, first + run.len - index - 1);
        let len = text.len() - run.bytes + parts.len();
        if parts.len() > run.bytes && len as u64 > bytes_max {
            return promote(text, index, rank);
        }
        text.splice(at..at + run.bytes, parts);
    }
    join_values(text, before);
    forget_count(text);
    Ok(true)
}

/// Makes one of neighbouring VAL runs of the same value, for a few runs from `at` on.
fn join_values(text: &mut Vec<u8>, mut at: usize) {
    for _ in 0..5 {
        let Some(run) = Run::at(text.get(at..).unwrap_or(b"")) else { break };
        if run.value > 0
            && let Some(next) = Run::at(&text[at + 1..]).filter(|next| next.value == run.value)
            && run.len + next.len <= VAL_LEN_MAX
        {
            text[at] = val(run.value, run.len + next.len);
            text.remove(at + 1);
            continue;
        }
        at += run.bytes;
    }
}

/// Raises the registers of `text` to what `union` has, register by register in their order, as [`add`] does it.
/// `union` becomes what `text` has then.
pub fn raise(text: &mut Vec<u8>, union: &mut Registers, sparse_bytes_max: u64) -> Result<(), Corrupt> {
    merge(union, text)?;
    if form(text) == Some(Form::Sparse) {
        let mut place = Place::default();
        for (i, ranks) in union.as_chunks::<8>().0.iter().enumerate() {
            if u64::from_ne_bytes(*ranks) == 0 {
                continue;
            }
            for (j, rank) in ranks.iter().enumerate().filter(|(_, rank)| **rank > 0) {
                add_sparse(text, &mut place, (i * 8 + j, *rank), sparse_bytes_max)?;
                if form(text) == Some(Form::Dense) {
                    registers::pack(&mut text[HEADER..], union);
                    return Ok(());
                }
            }
        }
        return Ok(());
    }
    registers::pack(&mut text[HEADER..], union);
    Ok(())
}

fn promote(text: &mut Vec<u8>, index: usize, rank: u8) -> Result<bool, Corrupt> {
    to_dense(text)?;
    Ok(add_dense(text, (index, rank)))
}

/// Makes it dense; false if it was.
pub fn to_dense(text: &mut Vec<u8>) -> Result<bool, Corrupt> {
    if form(text) == Some(Form::Dense) {
        return Ok(false);
    }
    let mut dense = Vec::with_capacity(DENSE);
    dense.extend_from_slice(text.get(..HEADER).ok_or(Corrupt)?);
    dense[FORM_AT] = 0;
    dense.resize(DENSE, 0);
    let mut index = 0;
    for run in runs(&text[HEADER..]) {
        let run = run?;
        if run.value > 0 {
            (index..index + run.len).for_each(|i| dense_set(&mut dense, i, run.value));
        }
        index += run.len;
    }
    *text = dense;
    Ok(true)
}

// ---- counting and merging

/// Raises each of `into` to what `text` has.
pub fn merge(into: &mut Registers, text: &[u8]) -> Result<(), Corrupt> {
    match form(text).ok_or(Corrupt)? {
        Form::Dense => {
            registers::merge(into, &text[HEADER..]);
        }
        Form::Sparse => {
            let mut index = 0;
            for run in runs(&text[HEADER..]) {
                let run = run?;
                if run.value > 0 {
                    into[index..index + run.len].iter_mut().for_each(|r| *r = (*r).max(run.value));
                }
                index += run.len;
            }
        }
    }
    Ok(())
}

/// How many registers have which value.
type Histogram = [u32; REGISTER_MAX as usize + 1];

/// The estimate for one HyperLogLog.
pub fn count(text: &[u8]) -> Result<u64, Corrupt> {
    if form(text) == Some(Form::Sparse) {
        let mut histogram: Histogram = [0; 64];
        for run in runs(&text[HEADER..]) {
            let run = run?;
            histogram[usize::from(run.value)] += run.len as u32;
        }
        return Ok(estimate(&histogram));
    }
    let mut registers = [0; REGISTERS];
    merge(&mut registers, text)?;
    Ok(count_registers(&registers))
}

/// The estimate for registers that were merged.
pub fn count_registers(registers: &Registers) -> u64 {
    estimate(&registers::histogram(registers))
}

fn estimate(histogram: &Histogram) -> u64 {
    const ALPHA_INFINITE: f64 = 0.721_347_520_444_481_7;
    let m = REGISTERS as f64;
    let share = |value: usize| f64::from(histogram[value]) / m;
    let full = RANK_BITS as usize + 1;
    let mut z = m * tau((m - f64::from(histogram[full])) / m);
    for value in (1..full).rev() {
        z = (z + f64::from(histogram[value])) * 0.5;
    }
    z += m * sigma(share(0));
    (ALPHA_INFINITE * m * m / z).round() as u64
}

/// What the empty registers contribute.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// What the full registers contribute.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

// ---- looking inside

/// The registers, one by one.
pub fn registers(text: &[u8]) -> Result<Box<Registers>, Corrupt> {
    let mut all = Box::new([0; REGISTERS]);
    merge(&mut all, text)?;
    Ok(all)
}

/// The runs of the sparse form as text: `z:len`, `Z:len`, `v:value,len`.
pub fn describe_sparse(text: &[u8]) -> Result<String, Corrupt> {
    let mut out = Vec::new();
    for run in runs(&text[HEADER..]) {
        out.push(match run? {
            Run { value: 0, len, bytes: 1 } => format!("z:{len}"),
            Run { value: 0, len, .. } => format!("Z:{len}"),
            Run { value, len, .. } => format!("v:{value},{len}"),
        });
    }
    Ok(out.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::rng::Rng;

    fn filled(n: u64, sparse_bytes_max: u64) -> Vec<u8> {
        let mut text = empty();
        for i in 0..n {
            add(&mut text, observe(format!("element:{i}").as_bytes()), sparse_bytes_max).unwrap();
        }
        text
    }

    /// What Redis 8.2 says to `PFADD h a b c` and `PFADD h 1 2 3 4`.
    #[test]
    fn hashes_and_bytes_are_those_of_redis() {
        let mut text = empty();
        assert_eq!(text, b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff");
        for element in ["a", "b", "c"] {
            assert_eq!(add(&mut text, observe(element.as_bytes()), 3000), Ok(true));
        }
        assert_eq!(describe_sparse(&text).unwrap(), "Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603");
        assert_eq!(count(&text), Ok(3));
        assert_eq!(text.len(), HEADER + 11);
        let mut text = empty();
        for element in ["1", "2", "3", "4"] {
            add(&mut text, observe(element.as_bytes()), 3000).unwrap();
        }
        assert_eq!(describe_sparse(&text).unwrap(), "Z:495 v:2,1 Z:7031 v:1,1 Z:3445 v:1,1 Z:4397 v:4,1 Z:1012");
    }

    #[test]
    fn both_forms_have_the_same_registers() {
        let mut rng = Rng::from_seed(5);
        let (mut sparse, mut dense) = (empty(), empty());
        to_dense(&mut dense).unwrap();
        let mut model = vec![0; REGISTERS];
        for step in 0..3000 {
            // Near each other, so that runs are cut and joined in every way.
            let index = (rng.below(40) * 400 + rng.below(12)) as usize;
            let rank = 1 + rng.below(if step % 3 == 0 { 32 } else { 3 }) as u8;
            let grows = model[index] < rank;
            model[index] = model[index].max(rank);
            assert_eq!(add(&mut sparse, (index, rank), u64::MAX), Ok(grows));
            assert_eq!(add(&mut dense, (index, rank), 0), Ok(grows));
            if step % 100 == 0 {
                assert!(registers(&sparse).unwrap()[..] == model && registers(&dense).unwrap()[..] == model);
                assert_eq!(count(&sparse), count(&dense));
            }
        }
        assert_eq!(form(&sparse), Some(Form::Sparse));
        assert_eq!(to_dense(&mut sparse), Ok(true));
        forget_count(&mut dense);
        assert!(sparse == dense);
        assert_eq!(to_dense(&mut sparse), Ok(false));
    }

    #[test]
    fn what_the_sparse_form_cannot_say_makes_it_dense() {
        let mut text = filled(10, 3000);
        assert_eq!(add(&mut text, (5, 33), 3000), Ok(true));
        assert_eq!((form(&text), text.len()), (Some(Form::Dense), DENSE));
        assert_eq!(dense_get(&text, 5), 33);
        let text = filled(2000, 3000);
        assert_eq!(form(&text), Some(Form::Dense));
        assert_eq!(form(&filled(100, 40)), Some(Form::Dense));
    }

    #[test]
    fn estimates_are_near_the_truth() {
        for (n, most) in [(0, 0.0), (1, 0.0), (10, 0.0), (1000, 0.02), (100_000, 0.03), (400_000, 0.03)] {
            let count = count(&filled(n, 3000)).unwrap();
            assert!((count as f64 - n as f64).abs() <= n as f64 * most, "{count} for {n}");
        }
        assert_eq!(count_registers(&[0; REGISTERS]), 0);
        assert!(count_registers(&[51; REGISTERS]) > 1 << 60, "all full");
    }

    #[test]
    fn unions() {
        let (a, b) = (filled(100, 3000), filled(5000, 3000));
        let mut all = [0; REGISTERS];
        merge(&mut all, &b).unwrap();
        let of_b = count_registers(&all);
        merge(&mut all, &a).unwrap();
        assert_eq!(count_registers(&all), of_b, "a is part of b");
        assert_eq!(count(&b), Ok(of_b));
    }

    /// Both forms, and the sparse one that becomes dense on the way, byte for byte as if registers were added one by one.
    #[test]
    fn raising_is_adding_one_by_one() {
        let mut rng = Rng::from_seed(6);
        for round in 0..60 {
            let filled_sparsely = |rng: &mut Rng, n: u64| {
                let mut text = empty();
                for _ in 0..n {
                    // Near each other, so that runs are cut and joined in every way.
                    let index = (rng.below(40) * 400 + rng.below(12)) as usize;
                    add(&mut text, (index, 1 + rng.below(3) as u8), u64::MAX).unwrap();
                }
                text
            };
            let (n, m) = (rng.below(300), rng.below(300));
            let (mut text, other) = (filled_sparsely(&mut rng, n), filled_sparsely(&mut rng, m));
            if round % 5 == 0 {
                to_dense(&mut text).unwrap();
            }
            let most = if round % 3 == 0 { text.len() as u64 + rng.below(20) } else { 3000 };
            let mut union = [0; REGISTERS];
            merge(&mut union, &other).unwrap();
            if round % 7 == 0 {
                union[5000] = 40;
            }
            let mut expected = text.clone();
            let ranks: Vec<_> = registers(&text).unwrap().iter().zip(&union).map(|(a, b)| *a.max(b)).collect();
            for (index, rank) in ranks.iter().enumerate().filter(|(_, rank)| **rank > 0) {
                add(&mut expected, (index, *rank), most).unwrap();
            }
            raise(&mut text, &mut union, most).unwrap();
            assert!(union[..] == ranks, "the union is what the text has");
            for text in [&mut text, &mut expected] {
                forget_count(text);
            }
            assert!(text == expected, "round {round}");
        }
    }

    #[test]
    fn remembered_counts() {
        let mut text = filled(10, 3000);
        assert_eq!(cached_count(&text), None);
        cache_count(&mut text, 10);
        assert_eq!(cached_count(&text), Some(10));
        forget_count(&mut text);
        assert_eq!(cached_count(&text), None);
    }

    #[test]
    fn hostile_bytes() {
        for text in [&b""[..], b"HYLL", b"HYLX\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff", &[b'H'; 16]] {
            assert_eq!(form(text), None);
        }
        let mut long = empty();
        long[FORM_AT] = 0;
        assert_eq!(form(&long), None, "dense, and too short");
        let head = &empty()[..HEADER];
        for code in [
            &b""[..],
            b"\x7f",
            b"\x7f\xff\x00",
            b"\x7f\xfe",
            b"\x80",
            b"\x40",
            b"\x7f\xff\x7f\xff",
            b"\xff\xff\x7f\xff",
        ] {
            let mut text = [head, code].concat();
            assert_eq!(count(&text), Err(Corrupt), "{code:?}");
            assert_eq!(merge(&mut [0; REGISTERS], &text), Err(Corrupt));
            assert_eq!(describe_sparse(&text), Err(Corrupt));
            assert_eq!(to_dense(&mut text.clone()), Err(Corrupt));
            // Adding looks no further than it must; it may succeed, but must not go astray.
            let _ = add(&mut text, (16383, 3), 3000);
            let _ = add(&mut text, (0, 60), 3000);
        }
        let mut rng = Rng::from_seed(9);
        for _ in 0..3000 {
            let mut text = filled(20, 3000);
            for _ in 0..1 + rng.below(3) {
                let at = HEADER + rng.below((text.len() - HEADER) as u64) as usize;
                text[at] = rng.below(256) as u8;
            }
            let _ = (count(&text), to_dense(&mut text.clone()));
            for i in 0..20 {
                let _ = add(&mut text, observe(&[i]), 60);
            }
        }
    }
}
