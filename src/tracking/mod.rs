//! Client-side caching: which client has read which key, and who wants to hear of which keys.
//!
//! # What this is
//!
//! A client that said CLIENT TRACKING ON is a [`Tracker`]. Of most, the keys they read are remembered ([`Keys`]); when
//! one changes, those who have read it are told, and it is forgotten. Others (BCAST) have named prefixes of keys
//! ([`Prefixes`]); what changes of these is collected and told once a turn of the loop. [`Tracking`] is all of it.
//!
//! # What it never does
//!
//! **Architecture Invariant:** nothing is sent here, and no client is known but by the name of its connection. Who is
//! told what is decided in `exec/invalidate.rs`.
//!
//! **Architecture Invariant:** nothing is table-sized: the table of keys grows a small part at a time, and when all of
//! it is forgotten it is freed in such parts, too.
//!
//! # Map
//!
//! | file | what |
//! | --- | --- |
//! | `tracker.rs` | one client, and the numbers by which the table of keys knows them |
//! | `keys.rs` | keys and who has read them |
//! | `prefixes.rs` | prefixes, who named them, and what has changed since they were last told |
//! | `tables.rs` | [`Tracking`]: who comes and goes |
//!
//! # Read first
//!
//! `tables.rs`, then the header of `keys.rs`.

mod keys;
mod prefixes;
mod tables;
mod tracker;

pub use keys::Keys;
pub use prefixes::{Collected, Prefixes};
pub use tables::{Overlap, OwnChange, Tracking, Wanted};
pub use tracker::{Modes, Tracker};
