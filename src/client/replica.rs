//! What a client has said of itself by REPLCONF, before it asks for the stream of writes.

use super::ClientId;

/// See the module's header.
#[derive(Clone, Debug, Default)]
pub struct ReplicaFacts {
    /// Where it listens; 0: it has not said.
    pub port: i32,
    /// The address under which it wants to be known; empty: the one it comes from.
    pub ip: Vec<u8>,
    /// It wants the copy of the data set and nothing after it.
    pub rdb_only: bool,
    /// In the copy it wants no keys.
    pub without_keys: bool,
    /// It can take a copy whose length is not known at its beginning.
    pub eof: bool,
    /// The version of the format that it can read, as far as it has said which server it is.
    pub rdb_version: Option<u32>,
    /// It can receive the copy on a connection of its own, as Redis does it,
    pub rdb_channel_repl: bool,
    /// or as Valkey does it.
    pub dual_channel: bool,
    /// This is such a connection.
    pub is_copy_channel: bool,
    /// The replica that this connection receives a copy for, if it has said so.
    pub main_client: Option<ClientId>,
    /// The connection that receives the copy for this replica, if it has said so.
    pub copy_client: Option<ClientId>,
    /// It understands an id behind `+CONTINUE`.
    pub psync2: bool,
}
