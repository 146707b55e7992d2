//! The server: what operators and client libraries ask of it.
//!
//! | file | commands |
//! | --- | --- |
//! | `backup.rs` | BACKUP |
//! | `command.rs` | COMMAND |
//! | `config.rs` | CONFIG |
//! | `dataset.rs` | DBSIZE FLUSHALL FLUSHDB SWAPDB TIME |
//! | `debug/` | DEBUG |
//! | `failover.rs` | FAILOVER |
//! | `info/` | INFO |
//! | `latency.rs` | LATENCY |
//! | `lolwut.rs` | LOLWUT |
//! | `memory.rs` | MEMORY |
//! | `observe.rs` | SLOWLOG MONITOR |
//! | `persistence.rs` | SAVE BGSAVE LASTSAVE SHUTDOWN |
//! | `replicaof.rs` | REPLICAOF SLAVEOF |
//! | `replication.rs` | SYNC PSYNC REPLCONF |
//! | `role.rs` | ROLE |

mod backup;
mod command;
mod config;
mod dataset;
mod debug;
mod failover;
pub mod info;
mod latency;
mod lolwut;
mod memory;
mod observe;
mod persistence;
mod replicaof;
mod replication;
mod role;

use crate::exec::spec::CommandSpec;

pub(super) static COMMANDS: &[&CommandSpec] = &[
    &backup::BACKUP,
    &command::COMMAND,
    &config::CONFIG,
    &dataset::DBSIZE,
    &dataset::FLUSHALL,
    &dataset::FLUSHDB,
    &dataset::SWAPDB,
    &dataset::TIME,
    &debug::DEBUG,
    &info::INFO,
    &latency::LATENCY,
    &lolwut::LOLWUT,
    &memory::MEMORY,
    &observe::SLOWLOG,
    &observe::MONITOR,
    &persistence::SAVE,
    &persistence::BGSAVE,
    &persistence::BGREWRITEAOF,
    &persistence::LASTSAVE,
    &persistence::SHUTDOWN,
    &failover::FAILOVER,
    &replicaof::REPLICAOF,
    &replicaof::REPLICAOF_OLD_NAME,
    &role::ROLE,
    &replication::SYNC,
    &replication::PSYNC,
    &replication::REPLCONF,
];
