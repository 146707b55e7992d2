//! The vocabulary of the tests that talk to a running server.
//!
//! * [`Server`]: a server process on a free port with a temporary directory; dropping it ends that process alone.
//! * [`Conn`]: a client in RESP2 or RESP3, from `kv.ok("SET a 1")` down to raw bytes.
//! * [`Conn::talk`]: a transcript, one `command => reply` a line. Most wire tests are nothing else.
//! * [`Value`]: a reply, and its one-line text form that transcripts compare.
//!
//! Which server is tested: `KVSTASH_TEST_SERVER` names a binary; without it, the kvstash that cargo just built. The
//! tests were written against real Redis servers and hold kvstash to what those answered:
//!
//! ```text
//! KVSTASH_TEST_SERVER=/usr/bin/redis-server cargo test --test wire
//! ```
// Every test binary includes this room and uses a part of it.
#![allow(dead_code, unused_imports)]

mod conn;
mod peer;
mod resp;
mod server;
mod stream;
mod temp;
mod transcript;

pub use conn::{Conn, Proto, encode};
pub use peer::{Peer, real_redis, real_servers, real_valkey};
pub use resp::{Value, words};
pub use server::{Server, free_port, under_test};
pub use stream::Stream;
pub use temp::TempDir;

use std::time::{Duration, Instant};

/// Runs the same conversation over RESP2 and RESP3, each time with an empty keyspace.
pub fn each_proto(server: &Server, conversation: impl Fn(&mut Conn)) {
    for proto in [Proto::Resp2, Proto::Resp3] {
        let mut kv = server.connect_with(proto);
        kv.ok("FLUSHALL");
        conversation(&mut kv);
    }
}

/// Polls until `condition` holds; panics with `what` after `limit`.
pub fn wait_for(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {limit:?} in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
