//! Whole instances under a seed: no socket, no clock, no file; time is a number, and so is chance.
//!
//! | module | what |
//! | --- | --- |
//! | `host` | the world an instance runs in, in memory |
//! | `world` | an instance with clients that speak to it directly |
//! | `model` | what Redis says it should answer, written in the most obvious way |
//! | `blocked` | blocked clients, expiry and transactions, against the model |
//!
//! A failing seed is printed with its last steps; `SIM_SEED=n` runs it alone, `SIM_SEEDS=n` runs more of them.

mod blocked;
mod host;
mod model;
mod world;
