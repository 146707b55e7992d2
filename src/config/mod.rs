//! Configuration: every parameter of the server, where its value comes from, and how it changes.
//!
//! # What this is
//!
//! One row per parameter ([`row::Row`], in the files of [`rows`]): its names, kind and bounds, default, whether it has
//! an effect yet, who must be told when it changes, and its documentation. From the rows come the readers of TOML, of
//! classic redis.conf, of environment variables and of the command line; CONFIG GET, SET and REWRITE; the reload on
//! SIGHUP; `docs/config.md`; and the sample file `configs/kvstash.toml`. The code that acts on a parameter reads a
//! typed field: `config.limits.maxclients`.
//!
//! A later source wins over an earlier one: defaults, file, standard input, environment, command line.
//!
//! # What it never does
//!
//! * It applies nothing. Sockets, loggers and the working directory belong to others: a change comes back as a list of
//!   [`row::Apply`], and the caller can roll it back.
//! * It reads no clock and opens no socket. Of the operating system it wants configuration files and whether a
//!   directory exists; the environment and standard input are handed in.
//! * It never accepts what it does not understand. An unknown parameter, a bad value, a parameter whose acceptance
//!   would promise something this server does not do: each stops the start, with file, line and reason.
//!
//! # Map
//!
//! | file | holds |
//! | --- | --- |
//! | [`row`] | [`row::Row`]: what a parameter is |
//! | [`rows`] | the parameters, a file for each group |
//! | [`value`] | yes/no, integers, memory sizes, text |
//! | [`choice`] | words of a list |
//! | [`special`] | save points, event classes, addresses |
//! | [`output_limits`] | `client-output-buffer-limit` |
//! | [`access`] | CONFIG GET and SET: patterns, atomic changes, rollback |
//! | `names` | names of files and directories |
//! | [`argv`] | splits the command line |
//! | [`mod@load`] | reads all sources in their order |
//! | [`reload`] | reads them again on SIGHUP; what protects stays |
//! | `classic` | reads redis.conf syntax, with `include` |
//! | `document` | reads TOML |
//! | [`rewrite`], `rewrite_toml` | CONFIG REWRITE, in both syntaxes |
//! | [`docs`] | docs/config.md, the sample file, --help |
//! | [`error`] | what stops the start, and how it is printed |
//! | `shown` | what a message may show of a line: names, no secrets |
//!
//! # Read first
//!
//! [`row`], then a file of [`rows`], then [`access`].

pub mod access;
pub mod argv;
pub mod choice;
mod classic;
pub mod docs;
mod document;
pub mod error;
mod files;
pub mod load;
mod names;
pub mod output_limits;
pub mod reload;
pub mod rewrite;
mod rewrite_toml;
pub mod row;
pub mod rows;
#[cfg(test)]
mod scratch;
mod shown;
pub mod special;
pub mod value;

pub use access::{Caller, Changes, SetError};
pub use argv::{Invocation, Mode};
pub use error::{ConfigError, Place, Source};
pub use load::{Loaded, Sources, load};
pub use output_limits::OutputLimit;
pub use reload::Reload;
pub use rewrite::RewriteError;
pub use row::{Apply, Flags, Group, Row, Status};
pub use special::KeyspaceEvents;

/// The value of every parameter.
#[derive(Clone, Default, PartialEq)]
pub struct Config {
    /// Listening, connections, identity, authentication, the process itself.
    pub server: rows::server::Server,
    /// What one client, or all of them together, may use.
    pub limits: rows::limits::Limits,
    /// Databases, memory and eviction, the encodings of small values.
    pub storage: rows::storage::Storage,
    /// How keys expire.
    pub ttl: rows::ttl::Ttl,
    /// The RDB file and the append-only file.
    pub persistence: rows::persistence::Persistence,
    /// Links to a primary and to replicas.
    pub replication: rows::replication::Replication,
    /// Cluster mode.
    pub cluster: rows::cluster::Cluster,
    /// Logs, the slow log, latency, metrics.
    pub observability: rows::observability::Observability,
    /// Commands that are to be known by another name, or by none: `rename-command FROM TO`, in the order given. Not a
    /// parameter: CONFIG does not show it.
    pub renamed_commands: Vec<RenamedCommand>,
}

/// One `rename-command` line.
///
/// Not Debug: the new name may be kept secret.
#[derive(Clone, PartialEq, Eq)]
pub struct RenamedCommand {
    /// What it is called until then.
    pub from: Vec<u8>,
    /// Its new name, any bytes. Empty: the command cannot be called.
    pub to: Vec<u8>,
}

/// What is not the default, without secrets.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let default = Config::default();
        let changed = rows::all().iter().filter(|row| !row.is_default(self, &default));
        f.debug_map()
            .entries(changed.map(|row| (row.name(), row.loggable(self))))
            .entry(&"rename-command", &self.renamed_commands.len())
            .finish()
    }
}
