//! How large a reply may grow whose size the client chooses: the one of SRANDMEMBER with a negative count, which nothing
//! in the data and little in the request bounds, and the one of SORT, where patterns multiply elements.
//!
//! A handler writes such a reply piece by piece and asks after each. What is beyond `reply-max-bytes` is refused as a
//! whole: nothing of it was sent yet, so that the client is told in the reply's place. What is beyond the hard limit of
//! the output buffer just ends, because its client is closed without having seen it.

use crate::config::Config;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::resp::Reply;
use crate::util::output_buffer::Mark;

/// So many times as much as of what chance chooses SORT may make of its patterns.
const PATTERNS: usize = 8;
/// A reply may always have so much, whatever its client has not read yet.
const ALWAYS: usize = 1 << 20;
/// No element of a reply takes less: `_` in RESP3.
pub const ELEMENT_BYTES_MIN: usize = 3;
/// No bulk string takes less: an empty one.
pub const BULK_BYTES_MIN: usize = 6;

/// The room for one reply.
#[derive(Clone, Copy)]
pub struct ReplyRoom {
    from: Mark,
    bytes_max: usize,
    owed_max: usize,
}

impl ReplyRoom {
    /// For the reply that begins now. What its client is owed already counts, so that many such replies of one
    /// transaction have no more room than one.
    pub(super) fn new(reply: &Reply, config: &Config) -> ReplyRoom {
        let bytes = |limit: u64| if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
        let bytes_max = bytes(config.limits.reply_max_bytes);
        ReplyRoom {
            from: reply.out.mark(),
            bytes_max: bytes_max.saturating_sub(reply.out.len()).max(ALWAYS.min(bytes_max)),
            owed_max: bytes(config.limits.client_output_buffer_limit.normal.hard_bytes),
        }
    }

    /// The same for what patterns find in the data: elements and values are there, so that a reply of many times that is
    /// likely to be meant, and what is made of much is made on another thread.
    pub fn of_patterns(self) -> ReplyRoom {
        ReplyRoom { bytes_max: self.bytes_max.saturating_mul(PATTERNS), ..self }
    }

    /// For the same reply, made in a buffer of its own.
    pub(super) fn elsewhere(reply: &Reply, config: &Config) -> ReplyRoom {
        let here = ReplyRoom::new(reply, config);
        let owed_max = here.owed_max.saturating_sub(reply.out.len());
        ReplyRoom { from: Reply::new().out.mark(), owed_max, ..here }
    }

    /// Refuses what cannot have room, before anything of it is made: so many elements of at least so many bytes.
    pub fn admit(&self, elements: usize, bytes_min: usize) -> CommandResult {
        self.admit_bytes(elements.saturating_mul(bytes_min))
    }

    /// Refuses what is larger.
    pub fn admit_bytes(&self, bytes: usize) -> CommandResult {
        if bytes > self.bytes_max { Err(error::REPLY_TOO_LARGE) } else { Ok(()) }
    }

    /// Whether the client is closed for what it is owed already, so that more would be for nobody.
    pub(super) fn is_exceeded(&self, reply: &Reply) -> bool {
        reply.out.len() > self.owed_max
    }

    /// After a piece was written: whether more should be. A reply that is refused is taken back.
    #[inline]
    pub fn goes_on(&self, reply: &mut Reply) -> Result<bool, CommandError> {
        let refused = self.admit_bytes(reply.out.len_since(self.from));
        if refused.is_err() {
            reply.out.truncate_to(self.from);
        }
        refused.map(|()| !self.is_exceeded(reply))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(limit: u64, reply: &Reply) -> ReplyRoom {
        let mut config = Config::default();
        config.limits.reply_max_bytes = limit;
        config.limits.client_output_buffer_limit.normal.hard_bytes = 3 << 20;
        ReplyRoom::new(reply, &config)
    }

    #[test]
    fn a_reply_that_is_too_large_is_taken_back() {
        let mut reply = Reply::new();
        reply.ok();
        let room = room(100, &reply);
        assert_eq!((room.admit(10, 10), room.admit(101, 1)), (Ok(()), Err(error::REPLY_TOO_LARGE)));
        assert_eq!(room.admit(usize::MAX, 7), Err(error::REPLY_TOO_LARGE));
        let room_of_patterns = room.of_patterns();
        assert_eq!(room_of_patterns.admit_bytes(800), Ok(()));
        assert_eq!(room_of_patterns.admit_bytes(801), Err(error::REPLY_TOO_LARGE));
        reply.bulk(&[b'x'; 50]);
        assert_eq!(room.goes_on(&mut reply), Ok(true));
        reply.bulk(&[b'x'; 50]);
        assert_eq!(room.goes_on(&mut reply), Err(error::REPLY_TOO_LARGE));
        assert_eq!(reply.out.to_vec(), b"+OK\r\n");
    }

    #[test]
    fn what_is_owed_counts_but_a_little_is_always_granted() {
        let mut reply = Reply::new();
        reply.bulk(&vec![b'x'; 2 << 20]);
        let room = room(2 << 20, &reply);
        assert_eq!(room.admit_bytes(ALWAYS), Ok(()));
        assert_eq!(room.admit_bytes(ALWAYS + 1), Err(error::REPLY_TOO_LARGE));
    }

    #[test]
    fn a_client_that_will_be_closed_gets_no_more() {
        let mut reply = Reply::new();
        let room = room(0, &reply);
        assert_eq!(room.admit(usize::MAX, 7), Ok(()), "no limit");
        reply.bulk(&vec![b'x'; 4 << 20]);
        assert_eq!(room.goes_on(&mut reply), Ok(false));
    }
}
