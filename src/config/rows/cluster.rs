//! The group `cluster`: every row waits for cluster mode.

use super::{I32, I64, group};
use crate::config::choice::EndpointType;
use crate::config::row::{Needs, Spec};
use crate::config::value::Text;

fn host_name(text: &[u8]) -> Result<(), String> {
    if text.len() >= 256 {
        return Err("Hostnames must be less than 256 characters".to_owned());
    }
    if text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.')) {
        return Ok(());
    }
    Err("Hostnames may only contain alphanumeric characters, hyphens or dots".to_owned())
}

fn node_name(text: &[u8]) -> Result<(), String> {
    if text.len() >= 256 {
        return Err("Nodename must be less than 256 characters".to_owned());
    }
    if text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')) {
        return Ok(());
    }
    Err("Announced human node name contained invalid character".to_owned())
}

group! {
    /// Cluster mode.
    Cluster in cluster of Cluster {
        /// Be a node of a cluster.
        enabled: bool = false => Spec::bool("cluster-enabled").at_start().refused(Needs::Cluster);

        /// The file in which a node keeps what it knows of the cluster.
        config_file: Text = Text::from("nodes.conf") => Spec::file("cluster-config-file").at_start().waits(Needs::Cluster);

        /// The port of the cluster bus. 0: the TCP port plus 10000.
        port: u16 = 0 => Spec::int("cluster-port", 0, 65535).at_start().waits(Needs::Cluster);

        /// Milliseconds of silence after which a node is suspected.
        node_timeout: i64 = 15000 => Spec::int("cluster-node-timeout", 0, I64).waits(Needs::Cluster);

        /// Milliseconds between pings; 0 derives them. For tests.
        ping_interval: i64 = 0 => Spec::int("cluster-ping-interval", 0, I64).hidden().waits(Needs::Cluster);

        /// How stale a replica may be, in node timeouts, and still be promoted.
        replica_validity_factor: u32 = 10
            => Spec::int("cluster-replica-validity-factor", 0, I32).alias(&["cluster-slave-validity-factor"])
                .waits(Needs::Cluster);

        /// How many replicas a primary keeps when another has none.
        migration_barrier: u32 = 1 => Spec::int("cluster-migration-barrier", 0, I32).waits(Needs::Cluster);

        /// Let replicas move to primaries that have none.
        allow_replica_migration: bool = true => Spec::bool("cluster-allow-replica-migration").waits(Needs::Cluster);

        /// Refuse everything while a slot has no primary.
        require_full_coverage: bool = true => Spec::bool("cluster-require-full-coverage").waits(Needs::Cluster);

        /// Never promote this replica.
        replica_no_failover: bool = false
            => Spec::bool("cluster-replica-no-failover").alias(&["cluster-slave-no-failover"]).waits(Needs::Cluster);

        /// Answer reads while the cluster is down.
        allow_reads_when_down: bool = false => Spec::bool("cluster-allow-reads-when-down").waits(Needs::Cluster);

        /// Carry on with sharded channels while the cluster is down.
        allow_pubsubshard_when_down: bool = true
            => Spec::bool("cluster-allow-pubsubshard-when-down").waits(Needs::Cluster);

        /// The address that other nodes and clients are given.
        announce_ip: Text = Text::default() => Spec::text("cluster-announce-ip").waits(Needs::Cluster);

        /// The port that they are given.
        announce_port: u16 = 0 => Spec::int("cluster-announce-port", 0, 65535).waits(Needs::Cluster);

        /// The TLS port that they are given.
        announce_tls_port: u16 = 0 => Spec::int("cluster-announce-tls-port", 0, 65535).waits(Needs::Cluster);

        /// The bus port that other nodes are given.
        announce_bus_port: u16 = 0 => Spec::int("cluster-announce-bus-port", 0, 65535).waits(Needs::Cluster);

        /// The host name that they are given.
        announce_hostname: Text = Text::default()
            => Spec::checked_text("cluster-announce-hostname", host_name).waits(Needs::Cluster);

        /// A name for people, shown in logs.
        announce_human_nodename: Text = Text::default()
            => Spec::checked_text("cluster-announce-human-nodename", node_name).waits(Needs::Cluster);

        /// By what clients are told to reach a node.
        preferred_endpoint_type: EndpointType = EndpointType::Ip
            => Spec::choice("cluster-preferred-endpoint-type", EndpointType::WORDS).waits(Needs::Cluster);

        /// How much may wait to be sent on one link of the bus. 0 sets no limit.
        link_sendbuf_limit: u64 = 0 => Spec::memory("cluster-link-sendbuf-limit", 0).waits(Needs::Cluster);

        /// Count the use of each slot.
        slot_stats_enabled: bool = false => Spec::bool("cluster-slot-stats-enabled").waits(Needs::Cluster);

        /// In percent of commands, check whether they would work in a cluster.
        compatibility_sample_ratio: u32 = 0
            => Spec::int("cluster-compatibility-sample-ratio", 0, 100).waits(Needs::Cluster);
    }
}
