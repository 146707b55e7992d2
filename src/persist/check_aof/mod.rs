//! `check-aof`: are these files in order? And what `redis-check-aof` does about it if they are not.
//!
//! A manifest, or one file: an old one, a base, an increment. The lines and the exit codes are those of Redis's tool,
//! because scripts read them; where groups have checksums there are more lines, which begin with `[groups]`.
//!
//! # What it changes
//!
//! Nothing without being asked, and only the last file: `--fix` cuts off what is damaged, `--truncate-to-timestamp` what
//! is later. What is cut off is in a file beside it before it is. `--salvage` reads what is good, before the damage and
//! behind it, and writes that to new files.

mod salvage;
mod tool;

pub use tool::{Task, run};
