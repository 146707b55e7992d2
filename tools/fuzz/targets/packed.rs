//! The packed table: the operations of its model test (tests/props/packed_model.rs), chosen by the fuzzer.
#![no_main]

#[path = "../numbers.rs"]
mod numbers;
#[path = "../../../tests/props/packed_model.rs"]
#[allow(unused_imports)] // its tests use more of it
mod packed_model;

use kvstash::collections::packed::{Keys, KeysWithValues, KeysWithWords};
use libfuzzer_sys::fuzz_target;
use packed_model::{Op, run};

fuzz_target!(|data: &[u8]| {
    let Some((shape, data)) = data.split_first() else { return };
    let ops: Vec<Op> = numbers::operations(data, Op::draw).take(50).collect();
    match shape % 3 {
        0 => run::<Keys>(&ops, 16),
        1 => run::<KeysWithWords>(&ops, 16),
        _ => run::<KeysWithValues>(&ops, 16),
    }
});
