//! Whole instances under a seed: no socket, no clock, no file; time is a number, and so is chance.
//!
//! | module | what |
//! | --- | --- |
//! | `host` | the world an instance runs in, in memory |
//! | `world` | an instance with clients that speak to it directly |
//! | `model` | what Redis says it should answer, written in the most obvious way |
//! | `blocked` | blocked clients, expiry and transactions, against the model |
//! | `info` | the rows of INFO, and what CONFIG RESETSTAT does to them |
//! | `long_reads` | replies that another thread makes, against those of the same moment |
//! | `migrate` | keys that go to another instance over a bad network |
//! | `quorum` | writes that replicas have acknowledged outlive their primary |
//! | `replication` | replicas, over a bad network |
//! | `scripts` | scripts that are ended after any of their writes leave nothing behind |
//!
//! A failing seed is printed with its last steps; `SIM_SEED=n` runs it alone, `SIM_SEEDS=n` runs more of them.

mod blocked;
mod host;
mod info;
mod long_reads;
mod migrate;
mod model;
mod quorum;
mod replication;
mod scripts;
mod world;
