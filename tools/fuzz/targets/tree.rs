//! The counted tree: the operations of its model tests (tests/props/tree.rs), chosen by the fuzzer.
#![no_main]

#[path = "../numbers.rs"]
mod numbers;
#[path = "../../../tests/props/tree.rs"]
mod tree;

use libfuzzer_sys::fuzz_target;
use tree::{Edit, Op, ordered, sequence};

fuzz_target!(|data: &[u8]| {
    let Some((which, data)) = data.split_first() else { return };
    match which % 2 {
        0 => ordered(numbers::operations(data, Op::draw).take(50).collect(), 8),
        _ => sequence(numbers::operations(data, Edit::draw).take(50).collect(), 8),
    }
});
