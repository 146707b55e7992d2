//! Configuration in TOML: any text is read or refused; what was read can be written, and read again.
#![no_main]

#[path = "../config.rs"]
mod config;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| config::round_trip("toml", text));
