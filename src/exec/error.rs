//! The errors a client can be told, with the texts that clients match on.
//!
//! A handler returns `Err(CommandError)`; the call path writes it as an error reply and counts it under its first
//! word (INFO errorstats). Fixed texts are constants, so that an error costs no allocation.

use std::borrow::Cow;

use crate::types::contract::WrongType;

/// What a handler returns. `Ok` means that the reply was written.
pub type CommandResult = Result<(), CommandError>;

/// An error reply: a text that starts with its code (`ERR`, `WRONGTYPE`, ...), without the leading `-`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommandError(Cow<'static, str>);

impl CommandError {
    /// An error with a fixed text.
    pub const fn fixed(text: &'static str) -> CommandError {
        CommandError(Cow::Borrowed(text))
    }

    /// An error whose text was made for the occasion. Line breaks, which would break the protocol, become blanks.
    pub fn text(text: impl Into<String>) -> CommandError {
        let mut text: String = text.into();
        if text.contains(['\r', '\n']) {
            text = text.replace(['\r', '\n'], " ");
        }
        CommandError(Cow::Owned(text))
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The code: everything up to the first blank.
    pub fn code(&self) -> &str {
        self.0.split(' ').next().unwrap_or("ERR")
    }
}

impl From<WrongType> for CommandError {
    fn from(_: WrongType) -> CommandError {
        WRONG_TYPE
    }
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $text:expr;)*) => {
        $($(#[$doc])* pub const $name: CommandError = CommandError::fixed($text);)*
    };
}

texts! {
    /// Options do not parse.
    SYNTAX = "ERR syntax error";
    /// The key holds another type.
    WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";
    /// An argument or value is no signed 64-bit integer.
    NOT_INTEGER = "ERR value is not an integer or out of range";
    /// An argument or value is no float.
    NOT_FLOAT = "ERR value is not a valid float";
    /// A number is outside of what the command allows.
    OUT_OF_RANGE = "ERR value is out of range";
    /// A number must be positive.
    MUST_BE_POSITIVE = "ERR value is out of range, must be positive";
    /// An INCR-like operation would leave the 64-bit range.
    OVERFLOW = "ERR increment or decrement would overflow";
    /// An INCRBYFLOAT result is no number.
    NAN_OR_INFINITY = "ERR increment would produce NaN or Infinity";
    /// The key does not exist.
    NO_SUCH_KEY = "ERR no such key";
    /// Source and destination are the same.
    SAME_OBJECT = "ERR source and destination objects are the same";
    /// SELECT and its kin.
    DB_OUT_OF_RANGE = "ERR DB index is out of range";
    /// An offset beyond the limit.
    OFFSET_OUT_OF_RANGE = "ERR offset is out of range";
    /// A string would exceed proto-max-bulk-len.
    STRING_TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    /// SCAN with a bad cursor.
    INVALID_CURSOR = "ERR invalid cursor";
    /// RESTORE onto an existing key.
    BUSY_KEY = "BUSYKEY Target key name already exists.";
    /// RESTORE with a bad payload.
    BAD_PAYLOAD = "ERR DUMP payload version or checksum are wrong";
    /// Not authenticated.
    NO_AUTH = "NOAUTH Authentication required.";
    /// Memory is over maxmemory.
    OOM = "OOM command not allowed when used memory > 'maxmemory'.";
    /// The data set is loading.
    LOADING = "LOADING Redis is loading the dataset in memory";
    /// Snapshots fail and stop-writes-on-bgsave-error is on.
    MISCONF = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. \
               Commands that may modify the data set are disabled, because this instance is configured to report \
               errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the \
               Redis logs for details about the RDB error.";
    /// EXEC after a queueing error.
    EXEC_ABORT = "EXECABORT Transaction discarded because of previous errors.";
    /// A command on keys from a client in MONITOR mode.
    MONITOR_AND_KEYS = "ERR Replica can't interact with the keyspace";
    /// A command that MULTI does not take.
    NOT_IN_MULTI = "ERR Command not allowed inside a transaction";
    /// MULTI within MULTI.
    NESTED_MULTI = "ERR MULTI calls can not be nested";
    /// EXEC without MULTI.
    EXEC_WITHOUT_MULTI = "ERR EXEC without MULTI";
    /// DISCARD without MULTI.
    DISCARD_WITHOUT_MULTI = "ERR DISCARD without MULTI";
    /// WATCH within MULTI.
    WATCH_IN_MULTI = "ERR WATCH inside MULTI is not allowed";
    /// Timeouts.
    TIMEOUT_NOT_INTEGER = "ERR timeout is not an integer or out of range";
    /// Timeouts.
    TIMEOUT_NOT_FLOAT = "ERR timeout is not a float or out of range";
    /// Timeouts.
    TIMEOUT_OUT_OF_RANGE = "ERR timeout is out of range";
    /// Timeouts.
    TIMEOUT_NEGATIVE = "ERR timeout is negative";
}

/// Too few or too many arguments for `full_name` (`set`, `client|kill`).
pub fn wrong_arity(full_name: &str) -> CommandError {
    CommandError::text(format!("ERR wrong number of arguments for '{full_name}' command"))
}

/// An expiry that is not positive or leaves the representable range.
pub fn invalid_expire(full_name: &str) -> CommandError {
    CommandError::text(format!("ERR invalid expire time in '{full_name}' command"))
}

/// A subcommand that the container does not have.
pub fn unknown_subcommand(container: &str, given: &[u8]) -> CommandError {
    let given: String = String::from_utf8_lossy(&given[..given.len().min(128)]).into_owned();
    CommandError::text(format!("ERR unknown subcommand '{given}'. Try {} HELP.", container.to_uppercase()))
}

/// A command that the configuration keeps from this client.
pub fn not_allowed(command: &str, parameter: &str) -> CommandError {
    let command = command.to_uppercase();
    CommandError::text(format!(
        "ERR {command} command not allowed. If the {parameter} option is set to \"local\", you can run it from a local \
         connection, otherwise you need to set this option in the configuration file, and then restart the server."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_the_first_word() {
        assert_eq!(WRONG_TYPE.code(), "WRONGTYPE");
        assert_eq!(SYNTAX.code(), "ERR");
    }

    #[test]
    fn line_breaks_never_reach_the_wire() {
        assert_eq!(CommandError::text("ERR a\r\nb").as_str(), "ERR a  b");
    }
}
