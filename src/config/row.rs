//! What a parameter is: the one row from which parsing, CONFIG GET, SET and REWRITE, the documentation and the sample
//! files are derived.
//!
//! A row has two halves. [`Spec`] is what a person decides (name, kind and bounds, flags, status, what must be told
//! about a change, the sentence of documentation); it is written with the small `const` builder below. The other half
//! is four function pointers onto one typed field of [`Config`], which the `group!` macro in `rows/`
//! fills in from the field's name. A row therefore cannot exist without a field, nor a field without a row.

use super::value::How;
use super::{Config, names};
use crate::util::bit_set::bit_set;

/// The part of the configuration a parameter belongs to: a struct in [`Config`], a table in the TOML
/// file, a prefix of environment variables and a heading in the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// Listening, connections, identity, authentication, the process itself.
    Server,
    /// What one client, or all of them, may use.
    Limits,
    /// Databases, memory and eviction, encodings.
    Storage,
    /// How keys expire.
    Ttl,
    /// The RDB file and the append-only file.
    Persistence,
    /// Links to a primary and to replicas.
    Replication,
    /// Sentinel mode.
    Sentinel,
    /// Cluster mode.
    Cluster,
    /// Logs, slow log, latency, metrics.
    Observability,
}

impl Group {
    /// Every group, in the order of the documentation.
    pub const ALL: [Group; 9] = [
        Group::Server,
        Group::Limits,
        Group::Storage,
        Group::Ttl,
        Group::Persistence,
        Group::Replication,
        Group::Sentinel,
        Group::Cluster,
        Group::Observability,
    ];

    /// The name of the TOML table.
    pub fn name(self) -> &'static str {
        match self {
            Group::Server => "server",
            Group::Limits => "limits",
            Group::Storage => "storage",
            Group::Ttl => "ttl",
            Group::Persistence => "persistence",
            Group::Replication => "replication",
            Group::Sentinel => "sentinel",
            Group::Cluster => "cluster",
            Group::Observability => "observability",
        }
    }

    /// One line for the documentation.
    pub fn about(self) -> &'static str {
        match self {
            Group::Server => "Listening, connections, identity, authentication, the process itself.",
            Group::Limits => "What one client, or all of them together, may use.",
            Group::Storage => "Databases, memory and eviction, the encodings of small values.",
            Group::Ttl => "How keys expire.",
            Group::Persistence => "The RDB file and the append-only file.",
            Group::Replication => "Links to a primary and to replicas.",
            Group::Sentinel => "Sentinel mode has no parameters of its own yet.",
            Group::Cluster => "Cluster mode.",
            Group::Observability => "Logs, the slow log, latency, metrics.",
        }
    }
}

/// What values a parameter takes. The error texts of a bad value follow from it, and they are Redis's.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// A signed integer.
    Int { min: i64, max: i64 },
    /// An integer that Redis keeps in an unsigned type: negative values have an error text of their own.
    Unsigned { min: u64, max: u64 },
    /// Octal digits: file permissions.
    Octal { max: u64 },
    /// Bytes, with the units k, kb, m, mb, g, gb; at most `i64::MAX`. What is said of a larger amount depends on
    /// whether Redis keeps it in a signed type.
    Memory { min: u64, signed: bool },
    /// Bytes, or a percentage of maxmemory.
    MemoryOrPercent,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any number of these words.
    Choices(&'static [&'static str]),
    /// Any text that the function accepts.
    Text(fn(&[u8]) -> Result<(), String>),
    /// A syntax of its own, explained by the sentence.
    Special(&'static str),
}

bit_set! {
    /// Properties of a parameter that are either there or not.
    Flags: u8 {
        /// Only at start; CONFIG SET refuses it.
        IMMUTABLE = 0;
        /// CONFIG GET names it only when asked for it by its exact name.
        HIDDEN = 1;
        /// A secret: never logged.
        SENSITIVE = 2;
        /// CONFIG SET refuses it unless enable-protected-configs allows it.
        PROTECTED = 3;
        /// Takes several arguments; a single one is split at blanks.
        MULTI = 4;
        /// CONFIG SET refuses it while a data set is being loaded.
        NOT_WHILE_LOADING = 5;
    }
}

/// What a part of the server would have to exist for a parameter to mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Users and rules.
    Acl,
    /// The append-only file.
    Aof,
    /// Cluster mode.
    Cluster,
    /// Primaries and replicas.
    Replication,
    /// Encrypted connections.
    Tls,
}

impl Needs {
    /// Every part, in alphabetic order of their names.
    pub const ALL: [Needs; 5] = [Needs::Acl, Needs::Cluster, Needs::Replication, Needs::Aof, Needs::Tls];

    /// What the documentation calls it.
    pub fn name(self) -> &'static str {
        match self {
            Needs::Acl => "ACL users",
            Needs::Aof => "the append-only file",
            Needs::Cluster => "cluster mode",
            Needs::Replication => "replication",
            Needs::Tls => "TLS",
        }
    }
}

/// Whether anybody reads the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The server does what it says.
    Live,
    /// Kept and shown; takes effect when that part exists.
    Waits(Needs),
    /// Kept and shown so that Redis's files and tools work; there is nothing here that it could change, for this
    /// reason.
    NoEffect(&'static str),
    /// Like `Waits`, but accepting any value other than the default would deceive: a server told to append to a file
    /// that does not would lose data. Such a value stops the start, and CONFIG SET refuses it.
    Refused(Needs),
}

/// Who must be told when the value of a running server changes. Most readers look at the field each time they need it
/// and need not be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Apply {
    /// Nobody: the field is read when it is needed.
    Nothing,
    /// The listening TCP sockets: bind, port.
    Listeners,
    /// The number of descriptors, and the table of connections.
    MaxClients,
    /// The default user's password.
    Password,
    /// The working directory.
    Directory,
    /// The logger's threshold, and the form of its lines.
    Log,
    /// Where metrics and health are served.
    Observer,
    /// What the metrics say this server is.
    Identity,
    /// maxmemory: evict now, and say so when the new limit is below what is used.
    Memory,
    /// How often cron runs.
    Hz,
    /// Time between keys of a running snapshot.
    SnapshotPace,
    /// Histograms of command latency: latency-tracking was switched.
    LatencyTracking,
    /// The allocator's background threads.
    Allocator,
    /// The score that the kernel's out-of-memory killer goes by.
    OomScore,
    /// The title of the process.
    ProcessTitle,
    /// The append-only file: on, with a rewrite, or off.
    AppendOnly,
}

/// Whether a parameter protects the server, its data or the machine from somebody or something, and what it means for
/// that when nobody sets it. A reload goes by it: what protects does not get weaker because a line has vanished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// It does not.
    Nothing,
    /// By a value that somebody chose: a password, addresses, a limit. The default protects less, or nobody can say
    /// which of the two does. A reload keeps the value when no line sets it any more.
    Chosen,
    /// Unless somebody chose otherwise: the default is the safest value, and a reload may go back to it.
    Default,
}

/// The half of a row that is written by hand. Built with the `const` functions below.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Redis's name of the parameter.
    pub name: &'static str,
    /// Other names that mean the same.
    pub aliases: &'static [&'static str],
    /// What values it takes.
    pub kind: Kind,
    /// Its properties.
    pub flags: Flags,
    /// Whether the value has an effect.
    pub status: Status,
    /// Who must be told of a change.
    pub apply: Apply,
    /// Whether it protects.
    pub guard: Guard,
    /// Values outside are moved to the nearest end instead of refused.
    pub clamp: Option<(i64, i64)>,
    /// What it does, for the documentation.
    pub doc: &'static str,
}

fn any_text(_: &[u8]) -> Result<(), String> {
    Ok(())
}

impl Spec {
    const fn of(name: &'static str, kind: Kind) -> Spec {
        Spec {
            name,
            aliases: &[],
            kind,
            flags: Flags::NONE,
            status: Status::Live,
            apply: Apply::Nothing,
            guard: Guard::Nothing,
            clamp: None,
            doc: "",
        }
    }

    pub(super) const fn bool(name: &'static str) -> Spec {
        Spec::of(name, Kind::Bool)
    }

    pub(super) const fn int(name: &'static str, min: i64, max: i64) -> Spec {
        Spec::of(name, Kind::Int { min, max })
    }

    pub(super) const fn unsigned(name: &'static str, min: u64, max: u64) -> Spec {
        Spec::of(name, Kind::Unsigned { min, max })
    }

    pub(super) const fn octal(name: &'static str, max: u64) -> Spec {
        Spec::of(name, Kind::Octal { max })
    }

    pub(super) const fn memory(name: &'static str, min: u64) -> Spec {
        Spec::of(name, Kind::Memory { min, signed: false })
    }

    pub(super) const fn signed_memory(name: &'static str, min: u64) -> Spec {
        Spec::of(name, Kind::Memory { min, signed: true })
    }

    pub(super) const fn memory_or_percent(name: &'static str) -> Spec {
        Spec::of(name, Kind::MemoryOrPercent)
    }

    pub(super) const fn choice(name: &'static str, words: &'static [&'static str]) -> Spec {
        Spec::of(name, Kind::Choice(words))
    }

    pub(super) const fn choices(name: &'static str, words: &'static [&'static str]) -> Spec {
        Spec::of(name, Kind::Choices(words)).flag(Flags::MULTI)
    }

    pub(super) const fn text(name: &'static str) -> Spec {
        Spec::of(name, Kind::Text(any_text))
    }

    pub(super) const fn checked_text(name: &'static str, check: fn(&[u8]) -> Result<(), String>) -> Spec {
        Spec::of(name, Kind::Text(check))
    }

    /// The path of a file, or nothing.
    pub(super) const fn file(name: &'static str) -> Spec {
        Spec::of(name, Kind::Text(names::path))
    }

    pub(super) const fn special(name: &'static str, syntax: &'static str) -> Spec {
        Spec::of(name, Kind::Special(syntax))
    }

    pub(super) const fn alias(mut self, aliases: &'static [&'static str]) -> Spec {
        self.aliases = aliases;
        self
    }

    pub(super) const fn flag(mut self, flags: Flags) -> Spec {
        self.flags = self.flags.or(flags);
        self
    }

    pub(super) const fn at_start(self) -> Spec {
        self.flag(Flags::IMMUTABLE)
    }

    pub(super) const fn hidden(self) -> Spec {
        self.flag(Flags::HIDDEN)
    }

    pub(super) const fn secret(self) -> Spec {
        self.flag(Flags::SENSITIVE)
    }

    pub(super) const fn multi(self) -> Spec {
        self.flag(Flags::MULTI)
    }

    pub(super) const fn waits(mut self, needs: Needs) -> Spec {
        self.status = Status::Waits(needs);
        self
    }

    pub(super) const fn refused(mut self, needs: Needs) -> Spec {
        self.status = Status::Refused(needs);
        self
    }

    pub(super) const fn no_effect(mut self, why: &'static str) -> Spec {
        self.status = Status::NoEffect(why);
        self
    }

    pub(super) const fn apply(mut self, apply: Apply) -> Spec {
        self.apply = apply;
        self
    }

    pub(super) const fn protects(mut self) -> Spec {
        self.guard = Guard::Chosen;
        self
    }

    pub(super) const fn protects_by_default(mut self) -> Spec {
        self.guard = Guard::Default;
        self
    }

    pub(super) const fn clamped(mut self, low: i64, high: i64) -> Spec {
        self.clamp = Some((low, high));
        self
    }

    pub(super) const fn doc(mut self, doc: &'static str) -> Spec {
        self.doc = doc;
        self
    }
}

/// Takes arguments over into the field, or says why not.
type Write = fn(&mut Config, &Spec, &[Vec<u8>], How) -> Result<(), String>;

/// One parameter.
pub struct Row {
    /// What was decided about it.
    pub spec: Spec,
    /// Where it belongs.
    pub group: Group,
    pub(super) write: Write,
    pub(super) read: fn(&Config, &Spec) -> Vec<u8>,
    pub(super) lines: fn(&Config, &Spec) -> Vec<Vec<u8>>,
    pub(super) items: fn(&Config, &Spec) -> Vec<Vec<u8>>,
    pub(super) same: fn(&Config, &Config) -> bool,
    pub(super) copy: fn(&Config, &mut Config),
    /// [`Field::keep`](super::value::Field::keep), from the first to the second.
    pub(super) keep: fn(&Config, &mut Config, bool),
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Row({})", self.spec.name)
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Row) -> bool {
        self.spec.name == other.spec.name
    }
}

impl Eq for Row {}

impl Row {
    /// Redis's name of the parameter.
    pub fn name(&self) -> &'static str {
        self.spec.name
    }

    /// Whether the parameter has this property.
    pub fn is(&self, flags: Flags) -> bool {
        self.spec.flags.has(flags)
    }

    /// The value as CONFIG GET shows it.
    pub fn value(&self, config: &Config) -> Vec<u8> {
        (self.read)(config, &self.spec)
    }

    /// The value as a log line may show it: secrets are redacted, and odd bytes replaced.
    pub fn loggable(&self, config: &Config) -> String {
        let value = self.value(config);
        if self.is(Flags::SENSITIVE) && !value.is_empty() {
            return "(redacted)".to_owned();
        }
        String::from_utf8_lossy(&value).into_owned()
    }

    /// The key in the TOML table: the name without the group's own name in front, `_` for `-`.
    pub fn toml_key(&self) -> String {
        let name = self.spec.name;
        let short = name.strip_prefix(self.group.name()).and_then(|rest| rest.strip_prefix('-')).unwrap_or(name);
        short.replace('-', "_")
    }

    /// The environment variable that overrides it.
    pub fn env_name(&self) -> String {
        format!("KVSTASH_{}_{}", self.group.name(), self.toml_key()).to_uppercase()
    }

    /// Whether `name` means this parameter, in any case.
    pub fn answers_to(&self, name: &str) -> bool {
        self.spec.name.eq_ignore_ascii_case(name) || self.spec.aliases.iter().any(|a| a.eq_ignore_ascii_case(name))
    }

    /// Whether the value is the default.
    pub fn is_default(&self, config: &Config, default: &Config) -> bool {
        (self.same)(config, default)
    }
}
