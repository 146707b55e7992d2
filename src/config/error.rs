//! What stops the start: a parameter that is unknown, a value that is wrong, a file that cannot be read. Printed as
//! Redis prints it, because people and test suites look for that text, with the name of the file added.

use std::fmt;
use std::path::PathBuf;

/// Where a directive was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Standard input, asked for with `-`.
    Stdin,
    /// The options of the command line. Each is a line.
    CommandLine,
    /// An environment variable.
    Environment(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => write!(f, "{}", path.display()),
            Source::Stdin => f.write_str("standard input"),
            Source::CommandLine => f.write_str("the command line"),
            Source::Environment(name) => write!(f, "the environment variable {name}"),
        }
    }
}

/// Where a directive stands, and what may be shown of it. Kept for every parameter that has been set, so that what fails
/// later (a file that cannot be opened, an address that cannot be bound) is reported with its place, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where it was read.
    pub source: Source,
    /// The line, counted from 1.
    pub line: usize,
    /// The directive without what may be a secret.
    pub text: String,
}

impl Place {
    /// What is wrong there.
    pub fn error(&self, why: impl Into<String>) -> ConfigError {
        ConfigError { source: self.source.clone(), line: Some(self.line), text: self.text.clone(), why: why.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}", self.source, self.line)
    }
}

/// Why the server cannot start with this configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where.
    pub source: Source,
    /// In which line, counted from 1; none when the whole source could not be read.
    pub line: Option<usize>,
    /// The directive as it stands there, without what may be a secret: see `shown`.
    pub text: String,
    /// The reason. Names and bounds, never a value that was given.
    pub why: String,
}

impl ConfigError {
    pub(super) fn unreadable(source: Source, why: String) -> ConfigError {
        ConfigError { source, line: None, text: String::new(), why }
    }

    /// The message for standard error, with the version that the server claims to be.
    pub fn report(&self, redis_version: &str) -> String {
        let Some(line) = self.line else {
            return format!("Fatal error, can't open config file '{}': {}\n", self.source, self.why);
        };
        format!(
            "\n*** FATAL CONFIG FILE ERROR (Redis {redis_version}) ***\n\
             Reading the configuration file, at line {line} of {}\n>>> '{}'\n{}\n",
            self.source, self.text, self.why
        )
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}, line {line}: '{}': {}", self.source, self.text, self.why),
            None => write!(f, "{}: {}", self.source, self.why),
        }
    }
}

impl std::error::Error for ConfigError {}
