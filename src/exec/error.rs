//! The errors a client can be told, with the texts that clients match on.
//!
//! A handler returns `Err(CommandError)`; the call path writes it as an error reply and counts it under its first
//! word (INFO errorstats). Fixed texts are constants, so that an error costs no allocation.

use std::borrow::Cow;

use crate::types::contract::WrongType;

/// What a handler returns. `Ok` means that the reply was written.
pub type CommandResult = Result<(), CommandError>;

/// An error reply: a text that starts with its code (`ERR`, `WRONGTYPE`, ...), without the leading `-`.
///
/// Bytes rather than text, because some repeat what the client said, and clients say anything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommandError(Cow<'static, [u8]>);

impl CommandError {
    /// An error with a fixed text.
    pub const fn fixed(text: &'static str) -> CommandError {
        CommandError(Cow::Borrowed(text.as_bytes()))
    }

    /// An error whose text was made for the occasion.
    pub fn text(text: impl Into<String>) -> CommandError {
        CommandError::bytes(text.into().into_bytes())
    }

    /// An error that repeats what a client said: its bytes as they are, up to a NUL as Redis's formats do.
    pub fn quoting(before: &str, said: &[u8], after: &str) -> CommandError {
        CommandError::bytes([before.as_bytes(), until_nul(said), after.as_bytes()].concat())
    }

    /// Line breaks would break the protocol: those inside become blanks, those at the end go.
    pub fn bytes(mut text: Vec<u8>) -> CommandError {
        while matches!(text.last(), Some(b'\r' | b'\n')) {
            text.pop();
        }
        for byte in text.iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n')) {
            *byte = b' ';
        }
        CommandError(Cow::Owned(text))
    }

    /// The whole text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The whole text, for people.
    pub fn to_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The code: everything up to the first blank.
    pub fn code(&self) -> &str {
        let end = self.0.iter().position(|&byte| byte == b' ').unwrap_or(self.0.len());
        std::str::from_utf8(&self.0[..end]).unwrap_or("ERR")
    }
}

/// The bytes up to the first NUL.
pub fn until_nul(said: &[u8]) -> &[u8] {
    &said[..said.iter().position(|&byte| byte == 0).unwrap_or(said.len())]
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
    /// A reply whose size the client chose would exceed reply-max-bytes.
    REPLY_TOO_LARGE = "ERR reply exceeds maximum allowed size (reply-max-bytes)";
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
    /// There are fewer replicas than min-replicas-to-write.
    NO_REPLICAS = "NOREPLICAS Not enough good replicas to write.";
    /// `primary-lease-ms`.
    NO_LEASE = "NOREPLICAS Not enough replicas have answered within primary-lease-ms: there may be another primary.";
    /// Quorum writes: too few replicas, or too late.
    NO_QUORUM = "NOQUORUM Not enough replicas have acknowledged the write in time: it may be lost, the outcome is unknown.";
    /// The same for a reply that shows what others have written.
    NO_QUORUM_READ = "NOQUORUM Not enough replicas have acknowledged in time what the reply would show.";
    /// A quorum write, of which this instance will not hear any more.
    NO_QUORUM_ANY_MORE = "NOQUORUM This instance is no primary any more: the write may be lost, the outcome is unknown.";
    /// The same for a reply that shows what others have written.
    NO_QUORUM_ANY_MORE_READ = "NOQUORUM This instance is no primary any more: what the reply would show may be lost.";
    /// A write on a replica.
    READ_ONLY = "READONLY You can't write against a read only replica.";
    /// A replica without its primary, where replica-serve-stale-data is off.
    PRIMARY_DOWN = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
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

/// A command that a subscriber may not use while it speaks RESP2.
#[cold]
pub fn not_for_subscribers(full_name: &str) -> CommandError {
    CommandError::text(format!(
        "ERR Can't execute '{full_name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
         this context"
    ))
}

/// A subcommand that the container does not have.
pub fn unknown_subcommand(container: &str, given: &[u8]) -> CommandError {
    let after = format!("'. Try {} HELP.", container.to_uppercase());
    CommandError::quoting("ERR unknown subcommand '", &given[..given.len().min(128)], &after)
}

/// A subcommand with arguments that are none.
pub fn wrong_subcommand(container: &[u8], given: &[u8]) -> CommandError {
    let container = String::from_utf8_lossy(container).to_uppercase();
    let before = "ERR unknown subcommand or wrong number of arguments for '";
    CommandError::quoting(before, &given[..given.len().min(128)], &format!("'. Try {container} HELP."))
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
        assert_eq!(CommandError::text("ERR a\r\nb\n").to_text(), "ERR a  b");
    }

    #[test]
    fn what_a_client_said_is_repeated_as_it_is() {
        assert_eq!(CommandError::quoting("ERR '", b"a\xff\0b", "'").as_bytes(), b"ERR 'a\xff'");
    }
}
