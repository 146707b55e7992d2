//! Text round trips: numbers, quoting, patterns against a matcher that tries everything.

use kvstash::util::long_double::LongDouble;
use kvstash::util::{glob, num, quote};
use quickcheck::{Arbitrary, Gen, quickcheck};

quickcheck! {
    fn integers_print_and_parse(value: i64) -> bool {
        let mut text = Vec::new();
        num::push_i64(&mut text, value);
        text == value.to_string().as_bytes() && num::parse_i64(&text) == Some(value)
    }

    fn accepted_integers_print_back(text: Vec<u8>) -> bool {
        let Some(value) = num::parse_i64(&text) else { return true };
        value.to_string().as_bytes() == text
    }

    fn doubles_print_and_parse(bits: u64) -> bool {
        let value = f64::from_bits(bits);
        let mut text = Vec::new();
        num::push_f64(&mut text, value);
        value.is_nan() || num::parse_f64(&text).map(f64::to_bits) == Some(bits)
    }

    fn long_doubles_add_integers_as_integers(a: i64, b: i64) -> bool {
        let mut text = Vec::new();
        LongDouble::from_i64(a / 2).add(LongDouble::from_i64(b / 2)).push_human(&mut text);
        text == (a / 2 + b / 2).to_string().as_bytes()
    }

    fn long_double_text_is_a_fixed_point(a: i64, places: u8) -> bool {
        // What INCRBYFLOAT stores, it reads and stores again unchanged.
        let text = format!("{}e-{}", a, places % 24);
        let mut first = Vec::new();
        LongDouble::parse(text.as_bytes()).expect("a number").push_human(&mut first);
        let mut second = Vec::new();
        LongDouble::parse(&first).expect("what was printed is a number").push_human(&mut second);
        first == second
    }

    fn number_readers_take_any_bytes(text: Vec<u8>) -> bool {
        let known = |v: Option<f64>| v.is_none_or(|v| !v.is_nan());
        LongDouble::parse(&text).is_none_or(|v| !v.is_nan()) && known(num::parse_f64(&text))
    }

    fn repr_splits_back(args: Vec<Vec<u8>>) -> bool {
        let mut line = Vec::new();
        for arg in &args {
            quote::push_repr(&mut line, arg);
            line.push(b' ');
        }
        quote::split_args(&line) == Some(args)
    }

    fn split_takes_any_bytes(line: Vec<u8>) -> bool {
        quote::split_args(&line).is_none_or(|args| args.iter().map(Vec::len).sum::<usize>() <= line.len())
    }

    fn patterns_match_as_if_everything_was_tried(pattern: Pattern, text: Text) -> bool {
        glob::matches(&pattern.0, &text.0, false) == tried(&pattern.0, &text.0)
    }
}

#[derive(Clone, Debug)]
struct Pattern(Vec<u8>);

#[derive(Clone, Debug)]
struct Text(Vec<u8>);

impl Arbitrary for Pattern {
    fn arbitrary(g: &mut Gen) -> Self {
        let len = u8::arbitrary(g) % 12;
        Pattern((0..len).map(|_| *g.choose(b"ab*?*a").expect("not empty")).collect())
    }
}

impl Arbitrary for Text {
    fn arbitrary(g: &mut Gen) -> Self {
        let len = 1 + u8::arbitrary(g) % 12;
        Text((0..len).map(|_| *g.choose(b"aab").expect("not empty")).collect())
    }
}

/// The definition: a star takes nothing, or one byte and again.
fn tried(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) if tried(rest, text) => true,
        ([b'*', ..], [_, tail @ ..]) => tried(pattern, tail),
        ([b'?', rest @ ..], [_, tail @ ..]) => tried(rest, tail),
        ([a, rest @ ..], [b, tail @ ..]) => a == b && tried(rest, tail),
        _ => false,
    }
}
