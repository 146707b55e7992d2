//! The ways a request can be malformed, in the words Redis uses for them.
//!
//! Clients and test suites match on these texts. After any of them the stream has no known position any more: the
//! server answers with [`ProtocolError::reply_text`] and closes the connection.

use std::fmt;

/// What the client sent that is not RESP, or is beyond its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolError {
    /// An inline request with a quote that is not closed, or a closing quote not followed by a space.
    UnbalancedQuotes,
    /// An inline request with a NUL byte. Where C looks for the end of a line it ends at a NUL, so that such requests
    /// never got to the end of theirs in Redis; to run what stands before the NUL would be to run another request.
    NulInInline,
    /// More than the limit of bytes without a line end.
    TooBigInline,
    /// `*` and then more than the limit of bytes without a line end.
    TooBigMultibulkCount,
    /// `$` and then more than the limit of bytes without a line end.
    TooBigBulkCount,
    /// The number after `*` is no number, or too large.
    InvalidMultibulkLength,
    /// An argument starts with this byte instead of `$`.
    ExpectedDollar(u8),
    /// The number after `$` is no number, negative, or above `proto-max-bulk-len`.
    InvalidBulkLength,
    /// More arguments than a client may send before it has authenticated.
    UnauthenticatedMultibulkLength,
    /// A longer argument than a client may send before it has authenticated.
    UnauthenticatedBulkLength,
}

impl ProtocolError {
    /// The words after "Protocol error: ", as Redis also logs them.
    fn reason(self) -> &'static str {
        match self {
            Self::UnbalancedQuotes => "unbalanced quotes in request",
            Self::NulInInline => "NUL byte in inline request",
            Self::TooBigInline => "too big inline request",
            Self::TooBigMultibulkCount => "too big mbulk count string",
            Self::TooBigBulkCount => "too big bulk count string",
            Self::InvalidMultibulkLength => "invalid multibulk length",
            Self::ExpectedDollar(_) => "expected '$', got '",
            Self::InvalidBulkLength => "invalid bulk length",
            Self::UnauthenticatedMultibulkLength => "unauthenticated multibulk length",
            Self::UnauthenticatedBulkLength => "unauthenticated bulk length",
        }
    }

    /// The error reply without its leading `-`, as bytes because the offending byte is quoted raw:
    /// `ERR Protocol error: expected '$', got 'x'`.
    pub fn reply_text(self) -> Vec<u8> {
        let mut text = b"ERR Protocol error: ".to_vec();
        text.extend_from_slice(self.reason().as_bytes());
        if let Self::ExpectedDollar(got) = self {
            // Redis formats this with "%c'" into a C string, so a NUL byte ends the text early.
            if got != 0 {
                text.extend_from_slice(&[got, b'\'']);
            }
        }
        text
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Protocol error: {}", self.reason())?;
        match self {
            Self::ExpectedDollar(got) => write!(f, "{}'", got.escape_ascii()),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ProtocolError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offending_byte_is_quoted() {
        assert_eq!(ProtocolError::ExpectedDollar(b'x').reply_text(), b"ERR Protocol error: expected '$', got 'x'");
        assert_eq!(ProtocolError::ExpectedDollar(0).reply_text(), b"ERR Protocol error: expected '$', got '");
        assert_eq!(ProtocolError::ExpectedDollar(b'\r').to_string(), "Protocol error: expected '$', got '\\r'");
        assert_eq!(ProtocolError::TooBigInline.reply_text(), b"ERR Protocol error: too big inline request");
    }
}
