//! Patterns: the matcher ends soon, and says what the definition of a star says.
#![no_main]

use kvstash::util::glob::matches;
use libfuzzer_sys::fuzz_target;

/// The definition: a star takes nothing, or one byte and again. Everything else is one byte's business, and asked of
/// the matcher itself.
fn tried(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) if tried(rest, text, nocase) => true,
        ([b'*', ..], [_, tail @ ..]) => tried(pattern, tail, nocase),
        ([b'*', ..], []) | (_, []) | ([], _) => false,
        (_, [byte, tail @ ..]) => {
            let len = element(pattern);
            matches(&pattern[..len], &[*byte], nocase) && tried(&pattern[len..], tail, nocase)
        }
    }
}

/// The length of the first element, which is no star.
fn element(pattern: &[u8]) -> usize {
    match pattern {
        [b'\\', _, ..] => 2,
        [b'[', ..] => {
            let mut at = 1 + usize::from(pattern.get(1) == Some(&b'^'));
            loop {
                match &pattern[at.min(pattern.len())..] {
                    [] => return pattern.len(),
                    [b'\\', _, ..] => at += 2,
                    [b']', ..] => return at + 1,
                    [_, b'-', _, ..] => at += 3,
                    _ => at += 1,
                }
            }
        }
        _ => 1,
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((head, rest)) = data.split_first_chunk::<2>() else { return };
    let (pattern, text) = rest.split_at(usize::from(head[0]).min(rest.len()));
    let nocase = head[1] & 1 == 1;
    let found = matches(pattern, text, nocase);
    // Trying everything takes exponential time, so only where that is little.
    let stars = pattern.iter().filter(|byte| **byte == b'*').count();
    if text.is_empty() {
        assert_eq!(found, pattern.is_empty());
    } else if stars <= 3 && text.len() <= 24 {
        assert_eq!(found, tried(pattern, text, nocase));
    }
});
