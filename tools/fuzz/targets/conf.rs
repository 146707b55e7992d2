//! Configuration in redis.conf syntax: any text is read or refused; what was read can be written, and read again.
#![no_main]

#[path = "../config.rs"]
mod config;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    // Other files are not part of the input.
    if text.to_ascii_lowercase().windows(7).any(|word| word == b"include") {
        return;
    }
    config::round_trip("conf", text);
});
