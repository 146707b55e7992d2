//! What a command declares about itself: one `static CommandSpec` beside its handler.
//!
//! Everything else that the world asks about a command is derived from this one declaration: how it is found and
//! gated, which keys it touches, its ACL categories, the replies of COMMAND, COMMAND DOCS and COMMAND INFO, the
//! labels of its metrics. A fact that is derivable is not a field here: categories follow from flags and group,
//! the first/last/step triple follows from the key specs.

use crate::blocking::Progress;
use crate::config::Config;
use crate::config::choice::Allowed;
use crate::exec::ctx::{AdminCtx, Ctx, DataCtx, ReadResult};
use crate::exec::error::{CommandError, CommandResult};
use crate::exec::long_read::{Now, Past};
use crate::resp::Args;
use crate::util::bit_set::named_bit_set;

/// Stands for a secret argument.
const REDACTED: &[u8] = b"(redacted)";

/// A command's declaration. Subcommands are declarations of their own, listed by their container.
pub struct CommandSpec {
    /// Lower-case name; of a subcommand, its own word only (`"kill"`, not `"client|kill"`).
    pub name: &'static str,
    /// One sentence for COMMAND DOCS.
    pub summary: &'static str,
    /// Cost in O-notation.
    pub complexity: &'static str,
    /// First version of Redis (or of the peer it comes from) that had the command.
    pub since: &'static str,
    /// Group in COMMAND DOCS.
    pub group: Group,
    /// Number of arguments, the command's own name (and the subcommand's) included.
    pub arity: Arity,
    /// Behaviour flags.
    pub flags: Flags,
    /// ACL categories beyond those that flags and group imply.
    pub categories: Categories,
    /// Where the keys are among the arguments.
    pub keys: &'static [KeySpec],
    /// The arguments, for COMMAND DOCS and for fuzzers that learn from it.
    pub args: &'static [ArgSpec],
    /// Version notes: (version, what changed).
    pub history: &'static [(&'static str, &'static str)],
    /// Hints for clients and proxies (`nondeterministic_output`, `request_policy:...`).
    pub tips: &'static [&'static str],
    /// Set when the command is kept for old clients only: (since, what replaces it).
    pub deprecated: Option<(&'static str, &'static str)>,
    /// The argument that names an element of the first key's value, for prefetching; 0 where there is none.
    pub element: u16,
    /// What the configuration says of who may call it; `None` where it says nothing.
    pub allowed: Option<Permission>,
    /// Whether argument `i` of a request is a secret, which MONITOR and the slow log must not show; `None` where none is.
    pub secret: Option<fn(Args<'_>, usize) -> bool>,
    /// Which script its first argument names; `None` where it names none.
    pub script: Option<ScriptName>,
    /// What runs.
    pub handler: Handler,
    /// Subcommands, for a container.
    pub subcommands: &'static [&'static CommandSpec],
}

impl CommandSpec {
    /// The defaults that a declaration completes with `..CommandSpec::BASE`.
    pub const BASE: CommandSpec = CommandSpec {
        name: "",
        summary: "",
        complexity: "O(1)",
        since: "1.0.0",
        group: Group::Generic,
        arity: Arity::AtLeast(1),
        flags: Flags::NONE,
        categories: Categories::NONE,
        keys: &[],
        args: &[],
        history: &[],
        tips: &[],
        deprecated: None,
        element: 0,
        allowed: None,
        secret: None,
        script: None,
        handler: Handler::Container,
        subcommands: &[],
    };

    /// The categories that ACL and COMMAND know: declared ones and those that flags and group imply.
    pub fn all_categories(&self) -> Categories {
        let mut c = self.categories;
        // SORT is generic, and yet of certain types; WAIT is generic, and about no key.
        let others = Categories::LIST.or(Categories::SET).or(Categories::SORTEDSET).or(Categories::CONNECTION);
        let typed = self.group == Group::Generic && c.has(others);
        if !matches!(self.handler, Handler::Container) && !typed {
            c = c.or(self.group.category());
        }
        let f = self.flags;
        if f.has(Flags::WRITE) {
            c = c.or(Categories::WRITE);
        }
        if f.has(Flags::READONLY) && !c.has(Categories::SCRIPTING) {
            c = c.or(Categories::READ);
        }
        if f.has(Flags::ADMIN) {
            c = c.or(Categories::ADMIN).or(Categories::DANGEROUS);
        }
        if f.has(Flags::PUBSUB) {
            c = c.or(Categories::PUBSUB);
        }
        if f.has(Flags::BLOCKING) {
            c = c.or(Categories::BLOCKING);
        }
        c.or(if f.has(Flags::FAST) { Categories::FAST } else { Categories::SLOW })
    }

    /// Argument `i` as operators may see it.
    pub fn shown<'a>(&self, args: Args<'a>, i: usize) -> &'a [u8] {
        if self.is_secret(args, i) { REDACTED } else { args.get(i).unwrap_or_default() }
    }

    /// Whether argument `i` is not to be shown.
    pub fn is_secret(&self, args: Args<'_>, i: usize) -> bool {
        self.secret.is_some_and(|is_secret| is_secret(args, i))
    }

    /// True when this is only the head of subcommands.
    pub fn is_container(&self) -> bool {
        !self.subcommands.is_empty()
    }
}

/// What names a script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScriptName {
    /// Its text.
    Text,
    /// The digest of its text.
    Digest,
    /// It is a function, and has a name.
    Function,
}

/// A parameter that decides who may call a command.
#[derive(Clone, Copy)]
pub struct Permission {
    /// Its name.
    pub parameter: &'static str,
    /// Its value.
    pub value: fn(&Config) -> Allowed,
}

/// What runs when the command is called.
#[derive(Clone, Copy)]
pub enum Handler {
    /// Works on the data of the selected database: sees the narrow context, is safe in MULTI and (later) scripts.
    Data(fn(&mut DataCtx<'_>, Args<'_>) -> CommandResult),
    /// As `Data`, and may ask for its client to be blocked instead of answering.
    Blocking(fn(&mut DataCtx<'_>, Args<'_>) -> Result<Progress, CommandError>),
    /// Only reads, perhaps much: the same handler on the live database and on that of a snapshot.
    Read { now: fn(&mut Ctx<'_, Now>, Args<'_>) -> ReadResult, past: fn(&mut Ctx<'_, Past>, Args<'_>) -> ReadResult },
    /// Works on the instance: clients, configuration, persistence.
    Admin(fn(&mut AdminCtx<'_>, Args<'_>) -> CommandResult),
    /// As `Admin`, and may ask for its client to be blocked instead of answering.
    AdminBlocking(fn(&mut AdminCtx<'_>, Args<'_>) -> Result<Progress, CommandError>),
    /// As `AdminBlocking`, and what it may find to be too much is read from a snapshot.
    AdminRead {
        now: fn(&mut AdminCtx<'_>, Args<'_>) -> ReadResult,
        past: fn(&mut Ctx<'_, Past>, Args<'_>) -> ReadResult,
    },
    /// Has subcommands only.
    Container,
}

/// How many arguments a command takes, its name included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arity {
    /// Exactly this many.
    Exactly(u16),
    /// This many or more.
    AtLeast(u16),
}

impl Arity {
    /// Whether `argc` arguments (name included) are acceptable.
    #[inline]
    pub fn accepts(self, argc: usize) -> bool {
        match self {
            Arity::Exactly(n) => argc == usize::from(n),
            Arity::AtLeast(n) => argc >= usize::from(n),
        }
    }

    /// The number as COMMAND reports it: negative for "at least".
    pub fn number(self) -> i64 {
        match self {
            Arity::Exactly(n) => i64::from(n),
            Arity::AtLeast(n) => -i64::from(n),
        }
    }
}

/// COMMAND DOCS groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// Keys of any type.
    Generic,
    /// Strings.
    String,
    /// The connection itself.
    Connection,
    /// The server.
    Server,
    /// MULTI and its kin.
    Transactions,
    /// Lists.
    List,
    /// Sets.
    Set,
    /// Sorted sets.
    SortedSet,
    /// Hashes.
    Hash,
    /// Streams.
    Stream,
    /// Strings as arrays of bits.
    Bitmap,
    /// HyperLogLogs.
    Hyperloglog,
    /// Sorted sets of places on earth.
    Geo,
    /// Publish/subscribe.
    PubSub,
    /// Scripts and functions.
    Scripting,
}

impl Group {
    /// The name COMMAND DOCS uses.
    pub fn name(self) -> &'static str {
        match self {
            Group::Generic => "generic",
            Group::String => "string",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Transactions => "transactions",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Hash => "hash",
            Group::Stream => "stream",
            Group::Bitmap => "bitmap",
            Group::Hyperloglog => "hyperloglog",
            Group::Geo => "geo",
            Group::PubSub => "pubsub",
            Group::Scripting => "scripting",
        }
    }

    fn category(self) -> Categories {
        match self {
            Group::Generic => Categories::KEYSPACE,
            Group::String => Categories::STRING,
            Group::Connection => Categories::CONNECTION,
            Group::Server => Categories::NONE,
            Group::Transactions => Categories::TRANSACTION,
            Group::List => Categories::LIST,
            Group::Set => Categories::SET,
            Group::SortedSet => Categories::SORTEDSET,
            Group::Hash => Categories::HASH,
            Group::Stream => Categories::STREAM,
            Group::Bitmap => Categories::BITMAP,
            Group::Hyperloglog => Categories::HYPERLOGLOG,
            Group::Geo => Categories::GEO,
            // The flag says it: HELP is not of it.
            Group::PubSub => Categories::NONE,
            Group::Scripting => Categories::SCRIPTING,
        }
    }
}

named_bit_set! {
    /// What a command does and where it may run. The names are those of COMMAND INFO.
    Flags: u32 {
        /// May change data.
        WRITE = 0, "write";
        /// Only reads data.
        READONLY = 1, "readonly";
        /// Refused when memory is over `maxmemory` and nothing can be evicted.
        DENYOOM = 2, "denyoom";
        /// For operators.
        ADMIN = 4, "admin";
        /// Publish/subscribe.
        PUBSUB = 5, "pubsub";
        /// Not from scripts.
        NOSCRIPT = 6, "noscript";
        /// Where keys are expected there may be none.
        NO_MANDATORY_KEYS = 19, "no_mandatory_keys";
        /// May block the client.
        BLOCKING = 8, "blocking";
        /// Allowed while the data set is loading.
        LOADING = 9, "loading";
        /// Allowed on a replica with stale data.
        STALE = 10, "stale";
        /// Not shown to MONITOR.
        SKIP_MONITOR = 11, "skip_monitor";
        /// Not in the slow log.
        SKIP_SLOWLOG = 12, "skip_slowlog";
        /// Accepted on an importing slot after ASKING.
        ASKING = 13, "asking";
        /// Constant or logarithmic time.
        FAST = 14, "fast";
        /// Allowed before authentication.
        NO_AUTH = 15, "no_auth";
        /// Not while the data set is loading asynchronously.
        NO_ASYNC_LOADING = 17, "no_async_loading";
        /// Not inside MULTI.
        NO_MULTI = 18, "no_multi";
        /// Allowed while a script overruns its time.
        ALLOW_BUSY = 21, "allow_busy";
    }
}

/// Facts that COMMAND INFO does not report.
impl Access {
    /// Changes what a value keeps about its readers, and counts as reading all the same.
    pub const BOOKKEEPING: Access = Access(1 << 15);
}

/// Facts that COMMAND INFO does not report.
impl Flags {
    /// Reads for its client, and yet leaves something for replicas. CLIENT PAUSE WRITE holds it back.
    pub const MAY_REPLICATE: Flags = Flags(1 << 30);
    /// Steers or ends a transaction: runs inside MULTI instead of being queued.
    pub const NOT_QUEUED: Flags = Flags(1 << 29);
    /// Runs what MULTI has queued: the gates look at the queue's flags, and being refused ends the transaction.
    pub const RUNS_QUEUE: Flags = Flags(1 << 28);
    /// What is left without those of another set.
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// What both have.
    pub const fn and(self, other: Flags) -> Flags {
        Flags(self.0 & other.0)
    }

    /// Keys whose time is over that it meets have nothing to do with each other.
    pub const EXPIRES_APART: Flags = Flags(1 << 31);
    /// Changes nothing, and yet comes in the stream of a primary: it says which database is meant, that the primary lives,
    /// what it asks.
    pub const FROM_PRIMARY: Flags = Flags(1 << 20);
    /// Runs a script: what that calls is repeated elsewhere, and not the command itself.
    pub const RUNS_SCRIPT: Flags = Flags(1 << 16);
    /// Whether a command with these is repeated elsewhere, if it has changed something.
    #[inline]
    pub const fn is_repeated(self) -> bool {
        self.has(Flags::WRITE.or(Flags::MAY_REPLICATE)) && !self.has(Flags::RUNS_SCRIPT)
    }

    /// May write to other databases than the selected one.
    pub const OTHER_DBS: Flags = Flags(1 << 7);
    /// Begins a transaction.
    pub const BEGINS_QUEUE: Flags = Flags(1 << 22);
    /// Refused with MISCONF as writes are, so that a client that only asks for health learns of the disk.
    pub const REPORTS_DISK_ERROR: Flags = Flags(1 << 27);
    /// Touches keys that its arguments do not name, or not as keys.
    pub const UNDECLARED_KEYS: Flags = Flags(1 << 25);
    /// Left to a subscriber that speaks RESP2.
    pub const SUBSCRIBER_MODE: Flags = Flags(1 << 24);
    /// Of a container: its subcommands are not the command that CLIENT CACHING is about.
    pub const KEEPS_CACHING: Flags = Flags(1 << 23);
    /// Counts as an access even for a client that said CLIENT NO-TOUCH.
    pub const ALWAYS_TOUCHES: Flags = Flags(1 << 26);
}

named_bit_set! {
    /// ACL categories, without the `@`.
    Categories: u32 {
        /// Keys of any type.
        KEYSPACE = 0, "keyspace";
        /// Reads.
        READ = 1, "read";
        /// Writes.
        WRITE = 2, "write";
        /// Sets.
        SET = 3, "set";
        /// Sorted sets.
        SORTEDSET = 4, "sortedset";
        /// Lists.
        LIST = 5, "list";
        /// Hashes.
        HASH = 6, "hash";
        /// Strings.
        STRING = 7, "string";
        /// Bitmaps.
        BITMAP = 8, "bitmap";
        /// HyperLogLogs.
        HYPERLOGLOG = 9, "hyperloglog";
        /// Geospatial indexes.
        GEO = 10, "geo";
        /// Streams.
        STREAM = 11, "stream";
        /// Publish/subscribe.
        PUBSUB = 12, "pubsub";
        /// For operators.
        ADMIN = 13, "admin";
        /// Constant or logarithmic time.
        FAST = 14, "fast";
        /// Everything not fast.
        SLOW = 15, "slow";
        /// May block.
        BLOCKING = 16, "blocking";
        /// Can do harm.
        DANGEROUS = 17, "dangerous";
        /// The connection itself.
        CONNECTION = 18, "connection";
        /// MULTI and its kin.
        TRANSACTION = 19, "transaction";
        /// Scripts and functions.
        SCRIPTING = 20, "scripting";
    }
}

named_bit_set! {
    /// What a command does with the keys of one key spec. The names are those of COMMAND INFO's key specs.
    Access: u16 {
        /// Reads and writes the value.
        READ_WRITE = 0, "RW";
        /// Reads the value only.
        READ_ONLY = 1, "RO";
        /// Overwrites without looking.
        OVERWRITE = 2, "OW";
        /// Removes.
        REMOVE = 3, "RM";
        /// Returns or copies the user's data.
        ACCESS = 4, "access";
        /// Changes data that depends on what was there.
        UPDATE = 5, "update";
        /// Adds data without looking at what is there.
        INSERT = 6, "insert";
        /// Deletes data explicitly.
        DELETE = 7, "delete";
        /// Looks like a key and is none.
        NOT_KEY = 8, "not_key";
        /// The spec may miss keys.
        INCOMPLETE = 9, "incomplete";
        /// The flags depend on the arguments.
        VARIABLE_FLAGS = 10, "variable_flags";
    }
}

/// Where some of a command's keys are, in the terms of Redis's key specifications.
pub struct KeySpec {
    /// What the command does with them; the most that it may do, where that depends on the arguments.
    pub access: Access,
    /// What a request with these arguments does with them, where that depends on the arguments.
    pub access_of: Option<fn(Args<'_>) -> Access>,
    /// Where the search begins.
    pub begin: Begin,
    /// How it goes on from there.
    pub find: Find,
    /// A remark for COMMAND INFO.
    pub notes: &'static str,
}

/// Where the search for keys begins.
#[derive(Clone, Copy)]
pub enum Begin {
    /// At this argument.
    Index(u16),
    /// After this word, looked for from an argument on (negative: from the end).
    Keyword(&'static str, i16),
    /// After this word, as clients are told; an argument before it may happen to be the same word, and this finds the first
    /// key all the same.
    Option {
        /// The word.
        word: &'static str,
        /// From which argument on (negative: from the end) a client looks for it.
        from: i16,
        /// Finds the first key.
        search: fn(Args<'_>) -> Option<usize>,
    },
    /// At the argument that this finds, if any: to clients, who cannot call it, the place is unknown.
    Searched(fn(Args<'_>) -> Option<usize>),
}

/// How keys follow one another.
#[derive(Clone, Copy)]
pub enum Find {
    /// From the begin up to `last` (negative: counted from the end; 0: the begin itself), every `step`-th.
    Range {
        /// Index of the last key, relative to the begin when not negative.
        last: i16,
        /// Distance between keys.
        step: u16,
        /// When `last` is negative: the fraction of the arguments to look at (0 and 1: all).
        limit: u16,
    },
    /// A count of keys stands at `count_at`, the first key at `first` (both relative to the begin).
    Counted {
        /// Where the count stands.
        count_at: u16,
        /// Where the first key stands.
        first: u16,
        /// Distance between keys.
        step: u16,
    },
}

impl KeySpec {
    /// One key, at argument `index`.
    pub const fn at(index: u16, access: Access) -> KeySpec {
        KeySpec {
            access,
            access_of: None,
            begin: Begin::Index(index),
            find: Find::Range { last: 0, step: 1, limit: 0 },
            notes: "",
        }
    }

    /// All arguments from `index` to the end, every `step`-th a key.
    pub const fn rest(index: u16, step: u16, access: Access) -> KeySpec {
        KeySpec {
            access,
            access_of: None,
            begin: Begin::Index(index),
            find: Find::Range { last: -1, step, limit: 0 },
            notes: "",
        }
    }

    /// A key count at `index`, the keys right after it.
    pub const fn counted(index: u16, step: u16, access: Access) -> KeySpec {
        KeySpec {
            access,
            access_of: None,
            begin: Begin::Index(index),
            find: Find::Counted { count_at: 0, first: 1, step },
            notes: "",
        }
    }

    /// One key, where `search` finds it.
    pub const fn searched(search: fn(Args<'_>) -> Option<usize>, access: Access) -> KeySpec {
        KeySpec {
            access,
            access_of: None,
            begin: Begin::Searched(search),
            find: Find::Range { last: 0, step: 1, limit: 0 },
            notes: "",
        }
    }

    /// The same, with an access that depends on the arguments.
    pub const fn varying(self, access_of: fn(Args<'_>) -> Access) -> KeySpec {
        KeySpec { access: self.access.or(Access::VARIABLE_FLAGS), access_of: Some(access_of), ..self }
    }

    /// The same with a remark.
    pub const fn note(self, notes: &'static str) -> KeySpec {
        KeySpec { notes, ..self }
    }
}

/// What an argument is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArgKind {
    /// Bytes.
    String,
    /// A signed 64-bit number.
    Integer,
    /// A floating-point number.
    Double,
    /// A key name.
    Key,
    /// A glob pattern.
    Pattern,
    /// Seconds or milliseconds since 1970.
    UnixTime,
    /// A fixed word.
    PureToken,
    /// One of the nested arguments.
    OneOf,
    /// All of the nested arguments, together.
    Block,
}

impl ArgKind {
    /// The name COMMAND DOCS uses.
    pub fn name(self) -> &'static str {
        match self {
            ArgKind::String => "string",
            ArgKind::Integer => "integer",
            ArgKind::Double => "double",
            ArgKind::Key => "key",
            ArgKind::Pattern => "pattern",
            ArgKind::UnixTime => "unix-time",
            ArgKind::PureToken => "pure-token",
            ArgKind::OneOf => "oneof",
            ArgKind::Block => "block",
        }
    }
}

/// One argument of a command.
pub struct ArgSpec {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: ArgKind,
    /// The word that goes before it (or that it is).
    pub token: Option<&'static str>,
    /// May be left out.
    pub optional: bool,
    /// May be repeated.
    pub multiple: bool,
    /// The token is repeated with it.
    pub multiple_token: bool,
    /// Which key spec this key belongs to.
    pub key_spec: Option<u8>,
    /// First version that had it, when later than the command.
    pub since: Option<&'static str>,
    /// Version that deprecated it.
    pub deprecated_since: Option<&'static str>,
    /// How to show it, when not by its name.
    pub display: Option<&'static str>,
    /// Nested arguments.
    pub args: &'static [ArgSpec],
}

impl ArgSpec {
    const fn new(name: &'static str, kind: ArgKind) -> ArgSpec {
        ArgSpec {
            name,
            kind,
            token: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            key_spec: None,
            since: None,
            deprecated_since: None,
            display: None,
            args: &[],
        }
    }

    /// A key of the first key spec.
    pub const fn key(name: &'static str) -> ArgSpec {
        ArgSpec { key_spec: Some(0), ..ArgSpec::new(name, ArgKind::Key) }
    }

    /// A key of the given key spec.
    pub const fn key_of(name: &'static str, spec: u8) -> ArgSpec {
        ArgSpec { key_spec: Some(spec), ..ArgSpec::new(name, ArgKind::Key) }
    }

    /// Bytes.
    pub const fn string(name: &'static str) -> ArgSpec {
        ArgSpec::new(name, ArgKind::String)
    }

    /// An integer.
    pub const fn integer(name: &'static str) -> ArgSpec {
        ArgSpec::new(name, ArgKind::Integer)
    }

    /// A floating-point number.
    pub const fn double(name: &'static str) -> ArgSpec {
        ArgSpec::new(name, ArgKind::Double)
    }

    /// A glob pattern.
    pub const fn pattern(name: &'static str) -> ArgSpec {
        ArgSpec::new(name, ArgKind::Pattern)
    }

    /// A point in time.
    pub const fn unix_time(name: &'static str) -> ArgSpec {
        ArgSpec::new(name, ArgKind::UnixTime)
    }

    /// A fixed word.
    pub const fn word(name: &'static str, token: &'static str) -> ArgSpec {
        ArgSpec { token: Some(token), ..ArgSpec::new(name, ArgKind::PureToken) }
    }

    /// One of several.
    pub const fn one_of(name: &'static str, args: &'static [ArgSpec]) -> ArgSpec {
        ArgSpec { args, ..ArgSpec::new(name, ArgKind::OneOf) }
    }

    /// Several together.
    pub const fn block(name: &'static str, args: &'static [ArgSpec]) -> ArgSpec {
        ArgSpec { args, ..ArgSpec::new(name, ArgKind::Block) }
    }

    /// Preceded by a word.
    pub const fn token(self, token: &'static str) -> ArgSpec {
        ArgSpec { token: Some(token), ..self }
    }

    /// May be left out.
    pub const fn optional(self) -> ArgSpec {
        ArgSpec { optional: true, ..self }
    }

    /// May be repeated.
    pub const fn multiple(self) -> ArgSpec {
        ArgSpec { multiple: true, ..self }
    }

    /// May be repeated, its token with it.
    pub const fn multiple_token(self) -> ArgSpec {
        ArgSpec { multiple: true, multiple_token: true, ..self }
    }

    /// First version that had it.
    pub const fn since(self, version: &'static str) -> ArgSpec {
        ArgSpec { since: Some(version), ..self }
    }

    /// Version that deprecated it.
    pub const fn deprecated(self, version: &'static str) -> ArgSpec {
        ArgSpec { deprecated_since: Some(version), ..self }
    }

    /// Shown under another name.
    pub const fn display(self, text: &'static str) -> ArgSpec {
        ArgSpec { display: Some(text), ..self }
    }
}
