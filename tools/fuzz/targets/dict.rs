//! The dict: the operations of its model test (tests/props/dict_model.rs), chosen by the fuzzer.
#![no_main]

#[path = "../../../tests/props/dict_model.rs"]
mod dict_model;
#[path = "../numbers.rs"]
mod numbers;

use dict_model::{Op, run};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    run(numbers::operations(data, Op::draw).take(100), 32);
});
