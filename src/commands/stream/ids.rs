//! Ids among arguments.

use crate::exec::error::CommandError;
use crate::exec::spec::ArgSpec;
use crate::resp::Args;
use crate::types::stream::entries::References;
use crate::types::stream::id::StreamId;

/// A text that is no id.
pub(super) const INVALID_ID: CommandError =
    CommandError::fixed("ERR Invalid stream ID specified as stream command argument");
const INVALID_START: CommandError = CommandError::fixed("ERR invalid start ID for the interval");
const INVALID_END: CommandError = CommandError::fixed("ERR invalid end ID for the interval");

/// An id of an entry; one without a second part means its entry 0.
#[inline]
pub(super) fn id(text: &[u8]) -> Result<StreamId, CommandError> {
    StreamId::parse(text, 0).ok_or(INVALID_ID)
}

/// The ids from argument `first` on: all of them, before anything is done with one.
pub(super) fn ids(args: Args<'_>, first: usize) -> Result<Vec<StreamId>, CommandError> {
    args.skip(first).iter().map(id).collect()
}

/// An id where `-` and `+` mean the lowest and the highest.
pub(super) fn id_or_edge(text: &[u8], missing_seq: u64) -> Result<StreamId, CommandError> {
    match text {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => StreamId::parse(text, missing_seq).ok_or(INVALID_ID),
    }
}

/// Where a range begins: `(` leaves the id itself out.
pub(super) fn start(text: &[u8]) -> Result<StreamId, CommandError> {
    match text {
        [b'(', rest @ ..] if !rest.is_empty() => id(rest)?.next().ok_or(INVALID_START),
        _ => id_or_edge(text, 0),
    }
}

/// Where a range ends.
pub(super) fn end(text: &[u8]) -> Result<StreamId, CommandError> {
    match text {
        [b'(', rest @ ..] if !rest.is_empty() => {
            StreamId::parse(rest, u64::MAX).ok_or(INVALID_ID)?.previous().ok_or(INVALID_END)
        }
        _ => id_or_edge(text, u64::MAX),
    }
}

/// How [`references`] is declared.
pub(super) const CONDITION: ArgSpec = ArgSpec::one_of(
    "condition",
    &[ArgSpec::word("keepref", "KEEPREF"), ArgSpec::word("delref", "DELREF"), ArgSpec::word("acked", "ACKED")],
)
.optional();

/// KEEPREF, DELREF or ACKED.
pub(super) fn references(word: &[u8]) -> Option<References> {
    let words = [("KEEPREF", References::Keep), ("DELREF", References::Delete), ("ACKED", References::Acked)];
    words.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes())).map(|(_, references)| references)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_range() {
        let told = |r: Result<StreamId, CommandError>| r.map_or_else(|e| e.to_text().into_owned(), |id| id.to_string());
        let [bad_id, bad_start, bad_end] = [INVALID_ID, INVALID_START, INVALID_END].map(|e| e.to_text().into_owned());
        let cases = [
            ("5", "5-0", "5-18446744073709551615"),
            ("(5", "5-1", "5-18446744073709551614"),
            ("-", "0-0", "0-0"),
            ("(0-0", "0-1", &*bad_end),
            ("(-", &*bad_id, &*bad_id),
            ("(", &*bad_id, &*bad_id),
            ("(18446744073709551615-18446744073709551615", &*bad_start, "18446744073709551615-18446744073709551614"),
        ];
        for (text, at_start, at_end) in cases {
            assert_eq!(told(start(text.as_bytes())), at_start, "{text}");
            assert_eq!(told(end(text.as_bytes())), at_end, "{text}");
        }
    }
}
