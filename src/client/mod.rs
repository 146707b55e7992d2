//! Clients: the state of each connection that speaks to us as a client.
//!
//! # What this is
//!
//! A client is a [`Session`] and a [`Connection`]. The session is what commands are run for: who it is, which db it
//! uses, whether it is in a transaction, what it is owed. The connection is what the server knows beside its socket:
//! what was received and not yet executed. [`Clients`] holds them all, by the slot of their connection and by CLIENT ID.
//!
//! # What it never does
//!
//! **Architecture Invariant:** no socket, no clock, no command is run here. While a client's requests are executed its
//! session is *taken out* of [`Clients`], so that a handler can hold it and the collection at once; whoever walks over
//! all clients then must count that one in ([`Clients::with`]).
//!
//! # Map
//!
//! | file | what |
//! | --- | --- |
//! | `session.rs` | `Session`, and why its next request may need a look |
//! | `connection.rs` | `Connection`: the query buffer, readiness, where it comes from |
//! | `clients.rs` | all of them |
//! | `address.rs` | which addresses are of this machine |
//! | `held.rs` | replies that wait for replicas |
//! | `line.rs` | the line of CLIENT LIST |
//! | `outbox.rs` | what clients are sent without having asked just now |
//! | `pool.rs` | buffers between uses |
//! | `replica.rs` | what a client says before it becomes a replica |
//! | `recent.rs` | the largest buffers of the recent past |
//! | `transaction.rs` | what MULTI has queued |
//!
//! # Read first
//!
//! [`Attention`]: how one branch decides whether a request may take the short way.

mod address;
mod clients;
mod connection;
mod held;
mod line;
mod outbox;
mod pool;
mod recent;
mod replica;
mod session;
mod transaction;

pub use address::is_loopback;
pub use clients::{Client, ClientMut, Clients};
pub use connection::{ClientFlags, Connection, Endpoint};
pub use held::{Condition, Demand, Fate, Held, Released, What};
pub use outbox::{INVALIDATE, Outbox, OutboxMark, PushCounts, PushKind};
pub use pool::{BUFFER_BYTES, BufferPools};
pub use recent::RecentBuffers;
pub use replica::ReplicaFacts;
pub use session::{About, Attention, Session};
pub use transaction::{Queued, Transaction};

/// The number CLIENT ID replies with. Never reused.
pub type ClientId = u64;
