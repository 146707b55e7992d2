//! The names under which values are logged. One name for one thing, so that logs can be searched.

/// A socket address, of a listener or a peer.
pub const ADDRESS: &str = "address";
/// The allocator and its version.
pub const ALLOCATOR: &str = "allocator";
/// A number of bytes.
pub const BYTES: &str = "bytes";
/// The number of a client (`CLIENT ID`).
pub const CLIENT: &str = "client";
/// A number of connected clients.
pub const CLIENTS: &str = "clients";
/// What reads the time.
pub const CLOCK: &str = "clock";
/// The name of a command.
pub const COMMAND: &str = "command";
/// The file and line that ask for something.
pub const CONFIGURED_AT: &str = "configured_at";
/// The number of a database.
pub const DB: &str = "db";
/// How long something took, in milliseconds.
pub const DURATION_MS: &str = "duration_ms";
/// What went wrong, as the system or a library tells it.
pub const ERROR: &str = "error";
/// A number of expired keys.
pub const EXPIRED: &str = "expired";
/// A key, as text.
pub const KEY: &str = "key";
/// A number of keys.
pub const KEYS: &str = "keys";
/// A line number in a file.
pub const LINE: &str = "line";
/// A bound that was met.
pub const LIMIT: &str = "limit";
/// A kind of operation: open, write, sync, rename.
pub const OPERATION: &str = "operation";
/// An offset in a file or a stream.
pub const OFFSET: &str = "offset";
/// A configuration parameter.
pub const PARAMETER: &str = "parameter";
/// A file or directory.
pub const PATH: &str = "path";
/// A process number.
pub const PID: &str = "pid";
/// A TCP port.
pub const PORT: &str = "port";
/// Why something was decided.
pub const REASON: &str = "reason";
/// A number of replicas.
pub const REPLICAS: &str = "replicas";
/// A number of replies.
pub const REPLIES: &str = "replies";
/// What part a process plays: server, sentinel.
pub const ROLE: &str = "role";
/// A signal's name or number.
pub const SIGNAL: &str = "signal";
/// A value, of a parameter for example.
pub const VALUE: &str = "value";
/// A script: its digest, or the name of a function.
pub const SCRIPT: &str = "script";
/// A version of a program or a format.
pub const VERSION: &str = "version";
