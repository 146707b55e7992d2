//! CONFIG GET and CONFIG SET.
//!
//! SET takes any number of pairs and is atomic: first every name is checked, then every value, on a copy; only then
//! does the copy become the configuration. What has to be done about the change is the caller's business, and when
//! that fails (an address that cannot be bound), [`Config::roll_back`] restores everything.

use super::Config;
use super::choice::Allowed;
use super::row::{Apply, Flags, Row, Status};
use super::rows;
use super::value::How;
use crate::util::glob;
use std::fmt;

/// What CONFIG SET needs to know about the moment and the client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller {
    /// A data set is being loaded.
    pub loading: bool,
    /// The client is on this machine: it came by the loopback interface or the Unix socket.
    pub local: bool,
}

/// What a successful change has changed. Keep it until the change is applied: it can undo it.
#[derive(Debug)]
pub struct Changes {
    rows: Vec<&'static Row>,
    before: Box<Config>,
}

impl Changes {
    /// The difference of two configurations, of which the newer is in force.
    pub(super) fn between(before: Config, after: &Config) -> Changes {
        let rows = rows::all().iter().copied().filter(|row| !(row.same)(&before, after)).collect();
        Changes { rows, before: Box::new(before) }
    }

    /// The parameters whose value is now another.
    pub fn rows(&self) -> &[&'static Row] {
        &self.rows
    }

    /// Who must be told, each once, with the first parameter that asks for it.
    pub fn applies(&self) -> Vec<(Apply, &'static Row)> {
        let mut out: Vec<(Apply, &'static Row)> = Vec::new();
        for row in &self.rows {
            if row.spec.apply != Apply::Nothing && !out.iter().any(|(apply, _)| *apply == row.spec.apply) {
                out.push((row.spec.apply, row));
            }
        }
        out
    }

    /// The configuration as it was.
    pub fn before(&self) -> &Config {
        &self.before
    }
}

/// Why a CONFIG SET changed nothing. Displayed as the error reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// There is no such parameter.
    Unknown(String),
    /// It cannot change while a data set is loaded: to be tried again, and so an error of its own.
    Loading,
    /// The parameter, and the reason.
    Failed(String, String),
}

impl SetError {
    /// The error for a change that was in order, but could not be applied.
    pub fn apply_failed(row: &Row, why: impl Into<String>) -> SetError {
        SetError::Failed(row.name().to_owned(), why.into())
    }
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::Unknown(name) => {
                write!(f, "ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
            }
            SetError::Loading => f.write_str("LOADING Redis is loading the dataset in memory"),
            SetError::Failed(name, why) => {
                write!(f, "ERR CONFIG SET failed (possibly related to argument '{name}') - {why}")
            }
        }
    }
}

impl std::error::Error for SetError {}

/// The arguments that a single text stands for: for parameters that take several, it is split at every blank.
pub(super) fn whole_value(row: &Row, text: &[u8]) -> Vec<Vec<u8>> {
    match (row.is(Flags::MULTI), text) {
        (true, b"") => Vec::new(),
        (true, text) => text.split(|&b| b == b' ').map(<[u8]>::to_vec).collect(),
        (false, text) => vec![text.to_vec()],
    }
}

/// Why this value of this parameter must not be accepted, if so.
pub(super) fn refusal(row: &Row, config: &Config) -> Option<String> {
    let Status::Refused(needs) = row.spec.status else { return None };
    if (row.same)(config, &Config::default()) {
        return None;
    }
    Some(format!("not supported yet: this server does not have {}, so this value would promise too much", needs.name()))
}

impl Config {
    /// Names and values of the parameters that match any of the patterns, each once. A pattern without wildcards is a
    /// name, also of a hidden parameter, and comes back in the case in which it was asked for.
    pub fn get<'p>(&self, patterns: impl IntoIterator<Item = &'p [u8]>) -> Vec<(String, Vec<u8>)> {
        let mut out: Vec<(String, Vec<u8>)> = Vec::new();
        for pattern in patterns {
            // One pattern never finds a name twice; only what earlier ones have found has to be looked through.
            let earlier = out.len();
            let mut add = |name: &str, row: &Row| {
                if !out[..earlier].iter().any(|(have, _)| have.eq_ignore_ascii_case(name)) {
                    out.push((name.to_owned(), row.value(self)));
                }
            };
            if !pattern.iter().any(|b| matches!(b, b'*' | b'?' | b'[')) {
                if let (Some(row), Ok(name)) = (rows::find(pattern), std::str::from_utf8(pattern)) {
                    add(name, row);
                }
                continue;
            }
            for row in rows::all().iter().filter(|row| !row.is(Flags::HIDDEN)) {
                for name in std::iter::once(&row.spec.name).chain(row.spec.aliases) {
                    if glob::matches(pattern, name.as_bytes(), true) {
                        add(name, row);
                    }
                }
            }
        }
        out
    }

    /// Sets all the parameters, or none.
    pub fn set(&mut self, pairs: &[(&[u8], &[u8])], caller: Caller) -> Result<Changes, SetError> {
        let mut chosen: Vec<(String, &'static Row)> = Vec::with_capacity(pairs.len());
        for (name, _) in pairs {
            let shown = String::from_utf8_lossy(name).into_owned();
            let Some(row) = rows::find(name) else { return Err(SetError::Unknown(shown)) };
            let fail = |why: &str| Err(SetError::Failed(shown.clone(), why.to_owned()));
            if row.is(Flags::IMMUTABLE) {
                return fail("can't set immutable config");
            }
            let protected = match self.server.enable_protected_configs {
                Allowed::Yes => false,
                Allowed::Local => !caller.local,
                Allowed::No => true,
            };
            if row.is(Flags::PROTECTED) && protected {
                return fail("can't set protected config");
            }
            if row.is(Flags::NOT_WHILE_LOADING) && caller.loading {
                return Err(SetError::Loading);
            }
            if chosen.iter().any(|(have, _)| have.eq_ignore_ascii_case(&shown)) {
                return fail("duplicate parameter");
            }
            chosen.push((shown, row));
        }
        let mut after = self.clone();
        for ((shown, row), (_, value)) in chosen.iter().zip(pairs) {
            let result = (row.write)(&mut after, &row.spec, &whole_value(row, value), How::Whole);
            let result = result.and_then(|()| refusal(row, &after).map_or(Ok(()), Err));
            result.map_err(|why| SetError::Failed(shown.clone(), why))?;
        }
        let before = std::mem::replace(self, after);
        Ok(Changes::between(before, self))
    }

    /// Undoes a change. What was applied of it has to be applied again, with the values that are back.
    pub fn roll_back(&mut self, changes: Changes) {
        for row in &changes.rows {
            (row.copy)(&changes.before, self);
        }
    }

    /// Takes one directive over: a name and its arguments, as a line of a classic file has them.
    pub(super) fn take_line(&mut self, row: &Row, args: &[Vec<u8>]) -> Result<(), String> {
        if !row.is(Flags::MULTI) && args.len() != 1 {
            return Err("wrong number of arguments".to_owned());
        }
        let split;
        let args = match args {
            [one] if row.is(Flags::MULTI) && !one.is_empty() => {
                split = whole_value(row, one);
                &split
            }
            other => other,
        };
        (row.write)(self, &row.spec, args, How::Line)
    }

    /// Takes a whole value over, as CONFIG SET would, but also of parameters that are fixed at start.
    pub(super) fn take_whole(&mut self, row: &Row, args: &[Vec<u8>]) -> Result<(), String> {
        (row.write)(self, &row.spec, args, How::Whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(config: &mut Config, words: &[&str]) -> String {
        let pairs: Vec<(&[u8], &[u8])> = words.chunks(2).map(|p| (p[0].as_bytes(), p[1].as_bytes())).collect();
        match config.set(&pairs, Caller::default()) {
            Ok(changes) => changes.rows().iter().map(|row| row.name()).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        }
    }

    fn get(config: &Config, patterns: &[&str]) -> String {
        let found = config.get(patterns.iter().map(|p| p.as_bytes()));
        let shown = found.iter().map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)));
        shown.collect::<Vec<_>>().join(" ")
    }

    /// Sets a parameter and gets it back, or the reason against it.
    fn round(name: &str, value: &str) -> String {
        let mut config = Config::default();
        config.server.enable_protected_configs = Allowed::Yes;
        match config.set(&[(name.as_bytes(), value.as_bytes())], Caller::default()) {
            Ok(_) => get(&config, &[name])[name.len() + 1..].to_owned(),
            Err(SetError::Failed(_, why)) => format!("({why})"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn get_by_name_and_by_pattern() {
        let config = Config::default();
        assert_eq!(get(&config, &["hz"]), "hz=10");
        assert_eq!(get(&config, &["HZ"]), "HZ=10");
        assert_eq!(get(&config, &["hz", "HZ", "h?", "hz"]), "hz=10");
        assert_eq!(get(&config, &["nosuch", ""]), "");
        assert_eq!(get(&config, &["repl-ping*"]), "repl-ping-replica-period=10 repl-ping-slave-period=10");
        assert_eq!(get(&config, &["slave-priority"]), "slave-priority=100");
        assert_eq!(get(&config, &["*MEMORY-pol*"]), "maxmemory-policy=noeviction");
        assert_eq!(get(&config, &["key-load-*"]), "", "hidden parameters match no pattern");
        assert_eq!(get(&config, &["key-load-delay"]), "key-load-delay=0");
        assert!(config.get([b"*".as_slice()]).len() > 200);
        assert_eq!(config.get([b"\xff".as_slice(), b"\xff*"]), []);
    }

    #[test]
    fn set_names_what_changed() {
        let mut config = Config::default();
        assert_eq!(set(&mut config, &["timeout", "5", "hz", "10"]), "timeout");
        assert_eq!(set(&mut config, &["timeout", "5"]), "");
        assert_eq!(set(&mut config, &["SLAVE-priority", "1", "replica-priority", "2"]), "replica-priority");
        assert_eq!(get(&config, &["slave-priority"]), "slave-priority=2");
        let pairs: [(&[u8], &[u8]); 3] = [(b"port", b"1"), (b"bind", b"::1"), (b"loglevel", b"debug")];
        let changes = config.set(&pairs, Caller::default()).unwrap();
        let applies: Vec<_> = changes.applies().iter().map(|(apply, row)| (*apply, row.name())).collect();
        assert_eq!(applies, [(Apply::Listeners, "bind"), (Apply::Log, "loglevel")]);
        assert_eq!(changes.before().server.port, 6379);
        config.roll_back(changes);
        assert_eq!(get(&config, &["port", "bind", "loglevel"]), "port=6379 bind=* -::* loglevel=notice");
    }

    #[test]
    fn set_is_all_or_nothing_and_the_first_bad_name_comes_before_any_bad_value() {
        let mut config = Config::default();
        let unknown = "ERR Unknown option or number of arguments for CONFIG SET - 'nope'";
        assert_eq!(set(&mut config, &["nope", "1"]), unknown);
        assert_eq!(set(&mut config, &["nope", "1", "databases", "3"]), unknown);
        assert_eq!(set(&mut config, &["hz", "zzz", "nope", "1"]), unknown);
        let failed =
            |name: &str, why: &str| format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}");
        assert_eq!(
            set(&mut config, &["databases", "3", "nope", "1"]),
            failed("databases", "can't set immutable config")
        );
        assert_eq!(set(&mut config, &["port", "1", "PORT", "2"]), failed("PORT", "duplicate parameter"));
        assert_eq!(
            set(&mut config, &["hz", "20", "maxclients", "zzz"]),
            failed("maxclients", "argument couldn't be parsed into an integer")
        );
        assert_eq!(set(&mut config, &["dir", "/"]), failed("dir", "can't set protected config"));
        assert_eq!(config, Config::default());
    }

    #[test]
    fn who_may_set_what_and_when() {
        let mut config = Config::default();
        config.server.enable_protected_configs = Allowed::Local;
        let pair: [(&[u8], &[u8]); 1] = [(b"dir", b"/")];
        let remote = config.set(&pair, Caller { local: false, loading: false }).unwrap_err();
        assert!(remote.to_string().ends_with("can't set protected config"));
        let loading = config.set(&pair, Caller { local: true, loading: true }).unwrap_err();
        assert_eq!(loading, SetError::Loading);
        assert!(config.set(&pair, Caller { local: true, loading: false }).is_ok());
        assert_eq!(get(&config, &["dir"]), "dir=/");
    }

    #[test]
    fn what_would_promise_too_much_is_refused() {
        assert!(round("tls-port", "7000").starts_with("(not supported yet"));
        assert_eq!(round("tls-port", "0"), "0");
    }

    #[test]
    fn numbers_and_memory() {
        let not_integer = "(argument couldn't be parsed into an integer)";
        for bad in ["", " 10", "10 ", "+5", "00005", "0x10", "1.0", "-0", "99999999999999999999"] {
            assert_eq!(round("timeout", bad), not_integer, "{bad:?}");
        }
        assert_eq!(round("timeout", "2147483647"), "2147483647");
        assert_eq!(round("hz", "0"), "1");
        assert_eq!(round("hz", "501"), "500");
        let not_memory = "(argument must be a memory value)";
        for bad in ["-1", "1.5gb", "1x", "1t", "1tb", "+5", " 5", "5 mb", "5%"] {
            assert_eq!(round("maxmemory", bad), not_memory, "{bad:?}");
        }
        let memory = [("", "0"), ("kb", "0"), ("1k", "1000"), ("1Kb", "1024"), ("5G", "5000000000"), ("1b", "1")];
        for (text, bytes) in memory {
            assert_eq!(round("maxmemory", text), bytes, "{text:?}");
        }
        for (text, shown) in [("5%", "5%"), ("0%", "0"), ("100mb", "104857600"), ("100%", "100%")] {
            assert_eq!(round("maxmemory-clients", text), shown);
        }
        assert_eq!(round("maxmemory-clients", "101%"), "(percentage argument must be less or equal to 100)");
        for bad in ["-1%", "5.5%", "5kb%", "-5", "%"] {
            assert_eq!(round("maxmemory-clients", bad), "(argument must be a memory or percent value)", "{bad:?}");
        }
    }

    #[test]
    fn lists() {
        assert_eq!(round("save", "100 1 200 2"), "100 1 200 2");
        assert_eq!(round("save", ""), "");
        assert_eq!(round("save", "1 0"), "1 0");
        for bad in ["100", "0 1", "1 -1", "1 a", "1 1 ", " 1   1", "1 1 1", " "] {
            assert_eq!(round("save", bad), "(Invalid save parameters)", "{bad:?}");
        }
        let limits = "client-output-buffer-limit";
        assert_eq!(
            round(limits, "normal 1mb 2kb 3 slave 1 1 1"),
            "normal 1048576 2048 3 slave 1 1 1 pubsub 33554432 8388608 60"
        );
        assert_eq!(round(limits, "replica 2 0 0 slave 3 0 0"), "normal 0 0 0 slave 3 0 0 pubsub 33554432 8388608 60");
        assert_eq!(round(limits, ""), "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60");
        assert_eq!(round(limits, "master 5 5 5"), "(Invalid client class specified in buffer limit configuration.)");
        assert_eq!(round(limits, "normal 5 5"), "(Wrong number of arguments in buffer limit configuration.)");
        for bad in
            ["normal x 5 5", "normal 1 1 -5", "normal -1 1 5", "normal 1 1 1.5", "normal 1 1 99999999999999999999"]
        {
            assert_eq!(
                round(limits, bad),
                "(Error in hard, soft or soft_seconds setting in buffer limit configuration.)",
                "{bad:?}"
            );
        }
        assert_eq!(round("oom-score-adj-values", "-2000 2 2000"), "-2000 2 2000");
        assert_eq!(round("oom-score-adj-values", "1 2"), "(wrong number of arguments)");
        let out_of_bounds = "(Invalid oom-score-adj-values, elements must be between -2000 and 2000.)";
        assert_eq!(round("oom-score-adj-values", "1 2 2001"), out_of_bounds);
        assert_eq!(round("oom-score-adj-values", "1 2 x"), out_of_bounds);
        let percentiles = "latency-tracking-info-percentiles";
        assert_eq!(round(percentiles, "0 100 33.333333333 1e1"), "0 100 33.333333 10");
        assert_eq!(round(percentiles, ""), "");
        assert_eq!(
            round(percentiles, "101"),
            "(latency-tracking-info-percentiles parameters should sit between [0.0,100.0])"
        );
        assert_eq!(round(percentiles, "nan"), "(Invalid latency-tracking-info-percentiles parameters)");
        assert_eq!(round("bind", "* -::*"), "* -::*");
        assert_eq!(round("bind", ""), "");
        assert_eq!(round("bind", &"1 ".repeat(17)), "(Too many bind addresses specified.)");
    }

    #[test]
    fn words_and_letters() {
        for (text, shown) in [
            ("now force", "now force"),
            ("force now", "now force"),
            ("default force", "force"),
            ("SAVE Now", "save now"),
            ("default", "default"),
            ("save nosave", "(shutdown options SAVE and NOSAVE can't be used simultaneously)"),
            ("", "(argument(s) must be one of the following: default, save, nosave, now, force)"),
            ("save x", "(argument(s) must be one of the following: default, save, nosave, now, force)"),
        ] {
            assert_eq!(round("shutdown-on-sigterm", text), shown, "{text:?}");
        }
        for (text, shown) in [
            ("KEA", "AKE"),
            ("Kg$", "g$K"),
            ("AKEm", "AKEm"),
            ("KEg$lshzxetd", "AKE"),
            ("KEg$lshzxet", "g$lshzxetKE"),
            ("", ""),
            ("An", "An"),
            ("oc", "oc"),
            ("q", "(Invalid event class character. Use 'Ag$lshzxeKEtmdn'.)"),
        ] {
            assert_eq!(round("notify-keyspace-events", text), shown, "{text:?}");
        }
    }

    #[test]
    fn texts() {
        assert_eq!(round("dbfilename", "a/b"), "(dbfilename can't be a path, just a filename)");
        assert_eq!(round("dbfilename", "a b"), "a b");
        assert_eq!(round("dir", "/nonexistent"), "(No such file or directory)");
        assert_eq!(round("dir", ""), "(No such file or directory)");
        assert_eq!(round("dir", "/dev/null"), "(Not a directory)");
        assert_eq!(round("dir", "/tmp/../"), "/");
        let template = "(template format is invalid or contains unknown variables)";
        assert_eq!(round("proc-title-template", "{x}"), template);
        assert_eq!(round("proc-title-template", "{title"), template);
        for wrong in ["", "  ", "{}", "x{", "{ title}", "{{{title", "{title}{"] {
            assert_eq!(round("proc-title-template", wrong), template, "{wrong:?}");
        }
        for fine in ["{title} {port}", "{{", "{{x", "a{{b}", "{title}}", "{{{port}"] {
            assert_eq!(round("proc-title-template", fine), fine);
        }
        assert_eq!(
            round("cluster-announce-hostname", "a_b"),
            "(Hostnames may only contain alphanumeric characters, hyphens or dots)"
        );
    }

    #[test]
    fn secrets_are_not_for_the_log() {
        let mut config = Config::default();
        let row = rows::find(b"requirepass").unwrap();
        assert_eq!(row.loggable(&config), "");
        assert_eq!(set(&mut config, &["requirepass", "hunter2"]), "requirepass");
        assert_eq!(row.loggable(&config), "(redacted)");
        assert_eq!(rows::find(b"hz").unwrap().loggable(&config), "10");
        let shown = format!("{config:?}");
        assert!(shown.contains("requirepass") && !shown.contains("hunter2"), "{shown}");
    }
}
