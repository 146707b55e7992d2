//! Replication: what an instance does for its replicas, and with what its primary sends.
//!
//! | file | what |
//! | --- | --- |
//! | `replicas.rs` | as a primary: who reads the feed, and from where |
//! | `sending.rs` | as a primary: copies for replicas |
//! | `failover.rs` | FAILOVER |
//! | `own_keys.rs` | keys that were written on a replica |
//! | `shutdown.rs` | a shutdown waits for replicas |
//! | `role.rs` | from primary to replica, and back |
//! | `upstream.rs` | as a replica: the line to the primary, and what comes over it |
//! | `copy.rs` | a full resync |
//! | `apply.rs` | the primary's stream is applied |

mod apply;
mod copy;
mod failover;
mod own_keys;
mod replicas;
mod role;
mod sending;
mod shutdown;
mod upstream;

pub use failover::FailoverPlan;
pub use replicas::{Replica, Replication, State, StreamMemory, SyncCounts};
pub use upstream::Upstream;
