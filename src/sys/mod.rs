//! The operating system: clock, processor, memory, files, sockets, signals.
//!
//! # What this is
//!
//! The one room that names `nix`, `libc` and the allocator's C interface. Each file turns one corner of the system
//! into a few plain functions, so that the rooms above say *what* they want (a listener with this backlog, the
//! resident size) and never which call gives it.
//!
//! # What it never does
//!
//! It keeps no state of the server's and makes no decisions: no retry policies, no logging, no configuration. It
//! knows no Redis. Nothing here blocks for long except what says so (`sync`, name resolution).
//!
//! # Map
//!
//! | file | holds |
//! | --- | --- |
//! | [`allocator`] | jemalloc: its configuration, statistics, `used_memory` without atomics, purge |
//! | [`block`] | bytes that several owners share, counted |
//! | [`clock`] | [`clock::Clock`]: wall time, and a monotonic clock read in a few nanoseconds |
//! | [`defrag`] | moving allocations out of sparse slabs |
//! | [`disk`] | [`disk::Disk`]: files behind a trait, so that a crash can be simulated |
//! | [`files`] | small files as a whole, without waiting for anybody |
//! | [`fault`] | a report before a fatal signal ends the process |
//! | [`priority`] | background threads that give way |
//! | [`process`] | resident size, processor time, limits, names |
//! | `reserve` | memory set aside for the report of a crash |
//! | [`signals`] | what to do about signals that nobody waits for |
//! | [`sockets`] | listeners and socket options |
//! | [`supervisor`] | systemd's notification socket |
//!
//! # Read first
//!
//! [`disk`] for the one abstraction; [`allocator`] for the one trick.
#![allow(unsafe_code)] // one of the four rooms where `unsafe` may live

pub mod allocator;
pub mod block;
pub mod clock;
pub mod defrag;
pub mod disk;
pub mod fault;
pub mod files;
pub mod priority;
pub mod process;
mod reserve;
pub mod signals;
pub mod sockets;
pub mod supervisor;
