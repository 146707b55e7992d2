//! The group `replication`: links to a primary and to replicas. Every row waits for that subsystem; the old names with
//! `slave` and `master` are aliases.

use super::{I32, I64, group};
use crate::config::choice::{DisklessLoad, PropagationErrorBehavior};
use crate::config::row::{Flags, Needs, Spec};
use crate::config::special::Primary;
use crate::config::value::Text;

group! {
    /// Links to a primary and to replicas.
    Replication in replication of Replication {
        /// The primary to copy from: address and port.
        replicaof: Primary = Primary::default()
            => Spec::special("replicaof", "`HOST PORT`, or `no one`").alias(&["slaveof"]).multi().at_start();

        /// The password for the primary.
        masterauth: Text = Text::default()
            => Spec::text("masterauth").alias(&["primaryauth"]).secret();

        /// The user name for the primary.
        masteruser: Text = Text::default()
            => Spec::text("masteruser").alias(&["primaryuser"]);

        /// Answer reads while the link is down or the first copy has not arrived.
        replica_serve_stale_data: bool = true
            => Spec::bool("replica-serve-stale-data").alias(&["slave-serve-stale-data"]);

        /// Refuse writes on a replica.
        replica_read_only: bool = true
            => Spec::bool("replica-read-only").alias(&["slave-read-only"]).protects_by_default();

        /// Whether Sentinel shows this replica.
        replica_announced: bool = true => Spec::bool("replica-announced");

        /// The address that a replica gives to its primary.
        replica_announce_ip: Text = Text::default()
            => Spec::text("replica-announce-ip").alias(&["slave-announce-ip"]);

        /// The port that a replica gives to its primary.
        replica_announce_port: u16 = 0
            => Spec::int("replica-announce-port", 0, 65535).alias(&["slave-announce-port"]);

        /// Which replica Sentinel prefers: the lowest. 0 is never promoted.
        replica_priority: u32 = 100
            => Spec::int("replica-priority", 0, I32).alias(&["slave-priority"]);

        /// A replica does not evict: its primary does.
        replica_ignore_maxmemory: bool = true
            => Spec::bool("replica-ignore-maxmemory").alias(&["slave-ignore-maxmemory"]);

        /// A replica that cannot write to its disk carries on.
        replica_ignore_disk_write_errors: bool = false
            => Spec::bool("replica-ignore-disk-write-errors");

        /// Free the old data set on another thread when a new one arrives.
        replica_lazy_flush: bool = false
            => Spec::bool("replica-lazy-flush").alias(&["slave-lazy-flush"]);

        /// How much of the stream a replica keeps in memory while it loads a copy. 0: as its output limit says.
        replica_full_sync_buffer_limit: u64 = 0
            => Spec::signed_memory("replica-full-sync-buffer-limit", 0).waits(Needs::Replication);

        /// How many replicas must be there for writes to be taken.
        min_replicas_to_write: u32 = 0
            => Spec::int("min-replicas-to-write", 0, I32).alias(&["min-slaves-to-write"]).protects();

        /// How many seconds a replica may lag and still count.
        min_replicas_max_lag: u32 = 10
            => Spec::int("min-replicas-max-lag", 0, I32).alias(&["min-slaves-max-lag"]).protects();

        /// How many replicas must have a write before it is answered. 0 answers at once. Where they do not have it in
        /// time the answer is NOQUORUM: its outcome is unknown. A client can say for itself: CLIENT WRITEACKS.
        write_acks: u32 = 0 => Spec::int("write-acks", 0, 1000).protects();

        /// They must have it on their disks, which takes append-only files there.
        write_acks_fsync: bool = false => Spec::bool("write-acks-fsync").protects();

        /// For how many milliseconds a write waits for that. 0 waits for ever.
        write_acks_timeout: u64 = 1000 => Spec::int("write-acks-timeout", 0, I32);

        /// Show readers, subscribers and caches what is not on so many replicas yet.
        read_uncommitted: bool = true => Spec::bool("read-uncommitted");

        /// Refuse writes when replicas have not answered for so many milliseconds. 0 does not look. As many must have answered
        /// as write-acks asks for, at least one; with read-uncommitted no reads are refused, too. Who turns away the replicas
        /// and waits for as long before promoting one has never two primaries that take writes.
        primary_lease_ms: u32 = 0 => Spec::int("primary-lease-ms", 0, I32).protects();

        /// How much of the stream is kept for replicas that come back.
        repl_backlog_size: u64 = 1 << 20 => Spec::signed_memory("repl-backlog-size", 1);

        /// How much more of it is kept on the disk for replicas that are slow. 0 keeps none there.
        repl_backlog_spill_size: u64 = 0 => Spec::memory("repl-backlog-spill-size", 0);

        /// For how many seconds without replicas it is kept. 0 keeps it.
        repl_backlog_ttl: i64 = 3600 => Spec::int("repl-backlog-ttl", 0, I64);

        /// Let small packets wait for each other on links to replicas.
        repl_disable_tcp_nodelay: bool = false => Spec::bool("repl-disable-tcp-nodelay").waits(Needs::Replication);

        /// Send a full copy without a file in between.
        repl_diskless_sync: bool = true => Spec::bool("repl-diskless-sync");

        /// How many seconds to wait for further replicas before it is sent.
        repl_diskless_sync_delay: u32 = 5
            => Spec::int("repl-diskless-sync-delay", 0, I32);

        /// Do not wait once there are so many. 0 always waits.
        repl_diskless_sync_max_replicas: u32 = 0
            => Spec::int("repl-diskless-sync-max-replicas", 0, I32);

        /// How a replica takes a full copy.
        repl_diskless_load: DisklessLoad = DisklessLoad::Disabled
            => Spec::choice("repl-diskless-load", DisklessLoad::WORDS).flag(Flags::NOT_WHILE_LOADING);

        /// Send the copy and the stream on two connections.
        repl_rdb_channel: bool = true => Spec::bool("repl-rdb-channel").hidden();

        /// Seconds between the primary's pings.
        repl_ping_replica_period: u32 = 10
            => Spec::int("repl-ping-replica-period", 1, I32).alias(&["repl-ping-slave-period"]);

        /// Seconds of silence after which a link is given up.
        repl_timeout: u32 = 60 => Spec::int("repl-timeout", 1, I32);

        /// What to do when a command from the primary fails.
        propagation_error_behavior: PropagationErrorBehavior = PropagationErrorBehavior::Ignore
            => Spec::choice("propagation-error-behavior", PropagationErrorBehavior::WORDS);
    }
}

impl Replication {
    /// The user name for the primary; empty for the default one.
    pub fn user(&self) -> &Text {
        &self.masteruser
    }

    /// The password for the primary; empty if there is none.
    pub fn password(&self) -> &Text {
        &self.masterauth
    }
}
