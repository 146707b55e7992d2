//! Replication: what an instance does for its replicas, and with what its primary sends.
//!
//! | file | what |
//! | --- | --- |
//! | `replicas.rs` | as a primary: who reads the feed, and from where |
//! | `sending.rs` | as a primary: copies for replicas |
//! | `channels.rs` | as a primary: copies on a connection of their own |
//! | `replies.rs` | as a primary: replicas are not answered |
//! | `spilling.rs` | as a primary: what replicas may leave unread, in memory and on the disk |
//! | `failover.rs` | FAILOVER |
//! | `lease.rs` | as a primary: whether replicas have answered lately |
//! | `quorum.rs` | as a primary: replies that wait for replicas |
//! | `own_keys.rs` | keys that were written on a replica |
//! | `shutdown.rs` | a shutdown waits for replicas |
//! | `role.rs` | from primary to replica, and back |
//! | `upstream.rs` | as a replica: the line to the primary, and what comes over it |
//! | `copy.rs` | a full resync |
//! | `apply.rs` | the primary's stream is applied |

mod apply;
mod channels;
mod copy;
mod failover;
mod lease;
mod own_keys;
pub(in crate::exec) mod quorum;
mod replicas;
mod replies;
mod role;
mod sending;
mod shutdown;
mod spilling;
mod upstream;

pub use failover::FailoverPlan;
pub use quorum::{Ends, Quorum, QuorumCounts, Told};
pub use replicas::{Replica, Replication, State, StreamMemory, SyncCounts};
pub use upstream::Upstream;
