//! Publish/subscribe: who is subscribed to what.
//!
//! # What this is
//!
//! [`PubSub`] holds three tables of topics: channels, patterns, and shard channels, which never mix. A [`Topic`] is a
//! name and its [`Receivers`]; it exists while it has any. The client's side is [`Subscriptions`]: the same topics, by
//! name, so that leaving them all does not search the tables.
//!
//! # What it never does
//!
//! **Architecture Invariant:** no message is sent here, and no socket is known: a receiver is the name of a connection.
//! Whoever publishes asks for the receivers and puts the message into the outbox (`exec/publish.rs`).
//!
//! # Map
//!
//! | file | what |
//! | --- | --- |
//! | `tables.rs` | [`PubSub`]: subscribing, leaving, asking |
//! | `topic.rs` | a name and its receivers, and sets of topics by name |
//! | `patterns.rs` | patterns by their literal prefix |
//! | `subscriptions.rs` | what one client is subscribed to |
//!
//! # Read first
//!
//! `tables.rs`, then the header of `patterns.rs`.

mod patterns;
mod subscriptions;
mod tables;
mod topic;

pub use subscriptions::Subscriptions;
pub use tables::{Kind, PubSub};
pub use topic::{Receivers, Topic};
