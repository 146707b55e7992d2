//! What a handler asks for when it cannot be served yet.

use std::time::Duration;

use crate::resp::{OwnedArgs, Reply};
use crate::types::contract::TypeName;

/// The change a client waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitFor {
    /// One of the keys holds a list.
    List,
    /// One of the keys holds a sorted set.
    Zset,
    /// One of the keys holds a stream, and something happened to it.
    Stream,
    /// As [`WaitFor::Stream`], and the client also wants to know when the key is deleted or holds another type: a
    /// consumer group that is gone will not deliver anything.
    StreamGroup,
    /// What was taken out of the data set is freed: no key has to do with it.
    Memory,
    /// What the client has written is on replicas: no key has to do with it.
    Replicas,
    /// The same for disks, here and there.
    Disks,
    /// The thread that writes the append-only file has done what the request asks for: no key has to do with it.
    Backup,
    /// Another thread has read what the request asks for, or has time to: no key has to do with it either.
    Reader,
    /// Another instance has been sent what the request says, and has answered: nor has this.
    Target,
}

impl WaitFor {
    /// Whether running the request again may help, now that a key holds this type, or nothing.
    #[inline]
    pub fn is_met_by(self, now: Option<TypeName>) -> bool {
        match self {
            WaitFor::List => now == Some(TypeName::List),
            WaitFor::Zset => now == Some(TypeName::Zset),
            WaitFor::Stream => now == Some(TypeName::Stream),
            WaitFor::StreamGroup => true,
            WaitFor::Memory | WaitFor::Replicas | WaitFor::Disks => false,
            WaitFor::Backup | WaitFor::Reader | WaitFor::Target => false,
        }
    }

    /// The request is being carried out, by somebody else; nothing but the end of that ends the wait.
    pub fn is_elsewhere(self) -> bool {
        matches!(self, WaitFor::Backup | WaitFor::Reader | WaitFor::Target)
    }

    /// Whether the end of a key concerns the client.
    pub fn is_met_by_absence(self) -> bool {
        self.is_met_by(None)
    }
}

/// How a command answers that there is nothing, where it may not block (in a transaction). A timeout is always answered
/// by a null array.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Null {
    Array,
    Bulk,
}

impl Null {
    /// Writes the reply.
    pub fn write(self, reply: &mut Reply) {
        match self {
            Null::Array => reply.null_array(),
            Null::Bulk => reply.null(),
        }
    }
}

/// How far a command that may block has come.
pub enum Progress {
    /// Its reply is written.
    Done,
    /// There is nothing yet: the request is to be run again when one of the keys may serve it. Nothing was replied or
    /// changed.
    Blocked(Box<Wait>),
}

impl Progress {
    /// The request is on its way to another instance.
    pub fn sent_elsewhere() -> Progress {
        Wait::on(WaitFor::Target, [], None).blocked()
    }

    /// What the request asks for is much, and is to be read by another thread.
    #[cold]
    pub fn long_read() -> Progress {
        Wait::on(WaitFor::Reader, [], None).blocked()
    }
}

/// What a handler waits for.
#[derive(Debug)]
pub struct Wait {
    /// What for.
    pub what: WaitFor,
    /// The keys, any of them; the same one twice is fine.
    pub keys: Vec<Box<[u8]>>,
    /// How long, `None` for ever.
    pub timeout: Option<Duration>,
    /// What is replied where waiting is not possible.
    pub null: Null,
    /// What to run instead of the request itself when a key is ready: `XREAD ... $` waits for what comes after the
    /// entry that was the last one when it was asked.
    pub again: Option<OwnedArgs>,
}

impl Wait {
    /// For one of `keys`, at most so long.
    pub fn on<'k>(what: WaitFor, keys: impl IntoIterator<Item = &'k [u8]>, timeout: Option<Duration>) -> Wait {
        let keys = keys.into_iter().map(Box::from).collect();
        Wait { what, keys, timeout, null: Null::Array, again: None }
    }

    /// For what was taken out of the data set to be freed. `+OK` is the reply, however the wait ends.
    pub fn for_memory() -> Wait {
        Wait::on(WaitFor::Memory, [], None)
    }

    /// Spells nothing as a null bulk.
    pub fn or_null_bulk(mut self) -> Wait {
        self.null = Null::Bulk;
        self
    }

    /// Runs this when a key is ready.
    pub fn then(mut self, again: OwnedArgs) -> Wait {
        self.again = Some(again);
        self
    }

    /// The handler's answer that its client is to be blocked for this.
    pub fn blocked(self) -> Progress {
        Progress::Blocked(Box::new(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_met_by_what() {
        assert!(WaitFor::List.is_met_by(Some(TypeName::List)));
        assert!(!WaitFor::List.is_met_by(Some(TypeName::Zset)));
        assert!(!WaitFor::Stream.is_met_by(None));
        assert!(WaitFor::StreamGroup.is_met_by(Some(TypeName::String)));
        assert!(WaitFor::StreamGroup.is_met_by_absence() && !WaitFor::Zset.is_met_by_absence());
    }
}
