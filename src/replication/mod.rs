//! Replication: the conversation between an instance and its primary, as far as it is about bytes.
//!
//! # What this is
//!
//! What a replica and its primary say to each other, as state machines: they are given bytes and the time, and say what
//! is to be sent and what has come of it. What that means for the data is done in `exec/replication/`.
//!
//! # What it never does
//!
//! **Architecture Invariant:** no socket, no file, no clock. The simulation in tests/sim runs the same code.
//!
//! # Map
//!
//! | file | what |
//! | --- | --- |
//! | `dialogue.rs` | from the first PING to the stream of writes |
//! | `inbox.rs` | the part of the stream that is not applied yet |
//! | `line.rs` | a conversation that is begun again whenever it breaks, and what has come of it |
//! | `history.rs` | names of histories, and who can go on from where |
//!
//! # Read first
//!
//! The drawing at the head of `dialogue.rs`.

mod dialogue;
mod history;
mod inbox;
mod line;

pub use dialogue::{Dialogue, Greeting, Length, Refusal, Said};
pub use history::{Before, History, HistoryId, parse_offset};
pub use inbox::Inbox;
pub use line::{Line, Loss, News, Next, Progress, Stage};
