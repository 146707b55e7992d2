//! What a client has said of itself by REPLCONF, before it asks for the stream of writes.

/// See the module's header.
#[derive(Clone, Debug, Default)]
pub struct ReplicaFacts {
    /// Where it listens; 0: it has not said.
    pub port: u16,
    /// The address under which it wants to be known; empty: the one it comes from.
    pub ip: Vec<u8>,
    /// It wants the copy of the data set and nothing after it.
    pub rdb_only: bool,
    /// Of the copy it wants functions and no keys.
    pub functions_only: bool,
    /// It can take a copy whose length is not known at its beginning.
    pub eof: bool,
    /// The version of the format that it can read, as far as it has said which server it is.
    pub rdb_version: Option<u32>,
    /// It understands an id behind `+CONTINUE`.
    pub psync2: bool,
}
