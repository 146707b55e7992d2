//! Parameters whose value is one word of a few, or several of them. Each list is an enum, so that the code that acts on
//! it is a full match.

use super::row::{Kind, Spec};
use super::value::{Field, How, only};

/// The error for a word that is not in the list.
fn not_among(spec: &Spec) -> String {
    let words = match spec.kind {
        Kind::Choice(words) | Kind::Choices(words) => words,
        Kind::Bool
        | Kind::Int { .. }
        | Kind::Unsigned { .. }
        | Kind::Octal { .. }
        | Kind::Memory { .. }
        | Kind::MemoryOrPercent
        | Kind::Text(_)
        | Kind::Special(_) => unreachable!("{} has a list of words for a field", spec.name),
    };
    format!("argument(s) must be one of the following: {}", words.join(", "))
}

macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// The words, in Redis's order.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word for this choice.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }

        impl Field for $name {
            fn set(&mut self, spec: &Spec, args: &[Vec<u8>], _: How) -> Result<(), String> {
                let word = only(args)?;
                $(if word.eq_ignore_ascii_case($word.as_bytes()) { *self = $name::$variant; return Ok(()); })+
                Err(not_among(spec))
            }

            fn show(&self, _: &Spec) -> Vec<u8> {
                self.word().as_bytes().to_vec()
            }
        }
    )+};
}

choices! {
    /// Whether an append-only file that begins takes over the data of an RDB file.
    LoadRdb {
        /// Nobody has said: the server does not start.
        Ask = "ask",
        /// It does.
        Yes = "yes",
        /// It begins empty.
        No = "no",
    }

    /// How much is logged.
    LogLevel {
        /// Everything, for development.
        Debug = "debug",
        /// Much, without the noise of debug.
        Verbose = "verbose",
        /// What an operator wants to know.
        Notice = "notice",
        /// What an operator must know.
        Warning = "warning",
        /// Nothing.
        Nothing = "nothing",
    }

    /// The form of a log line.
    LogFormat {
        /// Redis's line.
        Line = "line",
        /// One JSON object a line.
        Json = "json",
    }

    /// Which keys go when memory is full.
    MaxmemoryPolicy {
        /// Least recently used among keys with an expiry.
        VolatileLru = "volatile-lru",
        /// Least frequently used among keys with an expiry.
        VolatileLfu = "volatile-lfu",
        /// Any key with an expiry.
        VolatileRandom = "volatile-random",
        /// The key nearest to its expiry.
        VolatileTtl = "volatile-ttl",
        /// Least recently used.
        AllkeysLru = "allkeys-lru",
        /// Least frequently used.
        AllkeysLfu = "allkeys-lfu",
        /// Any key.
        AllkeysRandom = "allkeys-random",
        /// None: writes are refused.
        Noeviction = "noeviction",
    }

    /// Who may use a dangerous command or parameter.
    Allowed {
        /// Nobody.
        No = "no",
        /// Everybody.
        Yes = "yes",
        /// Clients on this machine.
        Local = "local",
    }

    /// The init system to report to.
    Supervised {
        /// Upstart.
        Upstart = "upstart",
        /// systemd.
        Systemd = "systemd",
        /// Whichever the environment shows.
        Auto = "auto",
        /// None.
        No = "no",
    }

    /// The syslog facility.
    SyslogFacility {
        /// `user`.
        User = "user",
        /// `local0`.
        Local0 = "local0",
        /// `local1`.
        Local1 = "local1",
        /// `local2`.
        Local2 = "local2",
        /// `local3`.
        Local3 = "local3",
        /// `local4`.
        Local4 = "local4",
        /// `local5`.
        Local5 = "local5",
        /// `local6`.
        Local6 = "local6",
        /// `local7`.
        Local7 = "local7",
    }

    /// How a replica takes a data set that arrives without a file.
    DisklessLoad {
        /// It goes through a file.
        Disabled = "disabled",
        /// Directly, when there is nothing to lose.
        OnEmptyDb = "on-empty-db",
        /// Directly, beside the old data set.
        Swapdb = "swapdb",
        /// Directly, when what is there was removed.
        FlushBeforeLoad = "flush-before-load",
    }

    /// When the append-only file is forced to the disk.
    AppendFsync {
        /// Once a second.
        Everysec = "everysec",
        /// Before a reply.
        Always = "always",
        /// When the kernel likes.
        No = "no",
    }

    /// Whether to set the out-of-memory score, and relative to what.
    OomScoreAdj {
        /// Leave it alone.
        No = "no",
        /// Relative to the value at start.
        Yes = "yes",
        /// The same as `yes`.
        Relative = "relative",
        /// The values are the score.
        Absolute = "absolute",
    }

    /// What new users may subscribe to.
    AclPubsubDefault {
        /// Everything.
        Allchannels = "allchannels",
        /// Nothing.
        Resetchannels = "resetchannels",
    }

    /// Whether payloads are validated deeply.
    SanitizeDumpPayload {
        /// Never.
        No = "no",
        /// Always.
        Yes = "yes",
        /// When a client sent them.
        Clients = "clients",
    }

    /// What to do about a command from the primary that fails.
    PropagationErrorBehavior {
        /// Carry on.
        Ignore = "ignore",
        /// Stop.
        Panic = "panic",
        /// Stop if this is a replica.
        PanicOnReplicas = "panic-on-replicas",
    }

    /// What a node calls itself to clients.
    EndpointType {
        /// Its address.
        Ip = "ip",
        /// Its host name.
        Hostname = "hostname",
        /// Nothing: clients use the address they came by.
        UnknownEndpoint = "unknown-endpoint",
    }

    /// Whether TLS clients must show a certificate.
    TlsAuthClients {
        /// No.
        No = "no",
        /// Yes.
        Yes = "yes",
        /// It is checked when shown.
        Optional = "optional",
    }
}

/// What a signal's shutdown does, as SHUTDOWN's options do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownOptions {
    /// Save even if no save points are configured.
    pub save: bool,
    /// Do not save even if they are.
    pub nosave: bool,
    /// Do not wait for replicas.
    pub now: bool,
    /// Go even if saving failed.
    pub force: bool,
}

impl ShutdownOptions {
    /// The words, in Redis's order.
    pub const WORDS: &'static [&'static str] = &["default", "save", "nosave", "now", "force"];
}

impl Field for ShutdownOptions {
    fn set(&mut self, spec: &Spec, args: &[Vec<u8>], _: How) -> Result<(), String> {
        if args.is_empty() {
            return Err(not_among(spec));
        }
        let mut options = ShutdownOptions::default();
        for word in args {
            match word.to_ascii_lowercase().as_slice() {
                b"default" => {}
                b"save" => options.save = true,
                b"nosave" => options.nosave = true,
                b"now" => options.now = true,
                b"force" => options.force = true,
                _ => return Err(not_among(spec)),
            }
        }
        if options.save && options.nosave {
            return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".to_owned());
        }
        *self = options;
        Ok(())
    }

    fn show(&self, _: &Spec) -> Vec<u8> {
        let set = [(self.save, "save"), (self.nosave, "nosave"), (self.now, "now"), (self.force, "force")];
        let words: Vec<&str> = set.iter().filter(|(set, _)| *set).map(|(_, word)| *word).collect();
        if words.is_empty() { b"default".to_vec() } else { words.join(" ").into_bytes() }
    }
}
