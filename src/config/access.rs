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
        let add = |out: &mut Vec<(String, Vec<u8>)>, name: &str, row: &Row| {
            if !out.iter().any(|(have, _)| have.eq_ignore_ascii_case(name)) {
                out.push((name.to_owned(), row.value(self)));
            }
        };
        for pattern in patterns {
            if !pattern.iter().any(|b| matches!(b, b'*' | b'?' | b'[')) {
                if let (Some(row), Ok(name)) = (rows::find(pattern), std::str::from_utf8(pattern)) {
                    add(&mut out, name, row);
                }
                continue;
            }
            for row in rows::all().iter().filter(|row| !row.is(Flags::HIDDEN)) {
                for name in std::iter::once(&row.spec.name).chain(row.spec.aliases) {
                    if glob::matches(pattern, name.as_bytes(), true) {
                        add(&mut out, name, row);
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
                return fail("Config is not allowed during loading");
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
