//! kvstash: an in-memory key-value server that speaks Redis's protocols and file formats.
//!
//! # The map of the house
//!
//! Rooms stand on floors; a room imports only from floors below its own (`tests/tidy` keeps it so).
//!
//! | floor | rooms |
//! | --- | --- |
//! | 0 ground | [`sys`] [`observe`] [`util`] |
//! | 1 parts | [`reactor`] [`resp`] [`cow`] [`dict`] [`collections`] [`rdb`] |
//! | 2 data | [`types`] [`config`] |
//! | 3 keyspace and subsystems | [`db`] [`client`] [`blocking`] [`pubsub`] [`tracking`] [`script`] [`persist`] [`http`] |
//! | 4 execution | [`exec`] |
//! | 5 commands | [`commands`] |
//! | 6 front desk | [`server`] |
//!
//! # I want to ... -> go to ...
//!
//! | I want to | go to |
//! | --- | --- |
//! | add a command | the family's file in [`commands`], one `static` and one function |
//! | add a configuration parameter | one row in [`config`] |
//! | change how memory is laid out | [`dict`], and the rules in [`cow`] |
//! | change the order of a turn | [`server`] |
//! | read or write a file format | [`rdb`] |

#![deny(unsafe_code)]

pub mod blocking;
pub mod client;
pub mod collections;
pub mod commands;
pub mod config;
pub mod cow;
pub mod db;
pub mod dict;
pub mod exec;
pub mod http;
pub mod observe;
pub mod persist;
pub mod pubsub;
pub mod rdb;
pub mod reactor;
pub mod replication;
pub mod resp;
pub mod script;
pub mod server;
pub mod stream;
pub mod sys;
pub mod tracking;
pub mod types;
pub mod util;

/// Here and not in `main.rs`, so that the tests and every tool count memory with the same allocator.
///
/// Not where somebody looks over every access: Miri cannot call out to C, and sanitizers (`--cfg system_allocator`, see
/// `make asan`, `make fuzz`) know the system's allocator.
#[cfg(not(any(miri, system_allocator)))]
#[global_allocator]
static ALLOCATOR: sys::allocator::Jemalloc = sys::allocator::Jemalloc;
