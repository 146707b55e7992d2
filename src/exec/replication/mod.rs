//! Replication: what an instance does for its replicas, and with what its primary sends.
//!
//! | file | what |
//! | --- | --- |
//! | `replicas.rs` | as a primary: who reads the feed, and from where |

mod replicas;

pub use replicas::{Replica, Replication, State, StreamMemory, SyncCounts};
