//! How good eviction is: the share of requests that find their key, in a cache that has no room for all of them.
//!
//! ```text
//! eviction load PORT TRACE KEYS REQUESTS ALPHA SEED LIFETIME   gets each key from a server, and sets it if it is
//!                                                              missing, for so many seconds; 0 for ever
//! eviction sim TRACE KEYS REQUESTS ALPHA SEED RATE             the same without a server, with time that passes as if
//!                                                              RATE requests came in a second; beside it what others get
//! ```
//!
//! `TRACE` is drift, scan, still, sessions, or fresh. The first quarter of the requests fills the cache and does not
//! count. `tools/bench/eviction.py` runs the first beside other servers.

mod load;
mod sim;
mod trace;

use trace::{Kind, trace};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["load", port, kind, keys, requests, alpha, seed, lifetime] => {
            let requests = requests_of(kind, keys, requests, alpha, seed);
            load::run(number(port) as u16, &requests, number(lifetime));
        }
        ["sim", kind, keys, requests, alpha, seed, rate] => {
            let requests = requests_of(kind, keys, requests, alpha, seed);
            sim::run(&requests, number(keys) as usize / 10, number(rate));
        }
        _ => {
            eprintln!("usage: eviction load PORT TRACE KEYS REQUESTS ALPHA SEED LIFETIME");
            eprintln!("       eviction sim TRACE KEYS REQUESTS ALPHA SEED RATE");
            std::process::exit(2);
        }
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

fn requests_of(kind: &str, keys: &str, requests: &str, alpha: &str, seed: &str) -> Vec<u32> {
    let kind = Kind::of(kind).expect("a trace: drift, scan, still, sessions, fresh");
    let alpha = alpha.parse().expect("an exponent");
    trace(kind, number(keys) as usize, number(requests) as usize, alpha, number(seed))
}
