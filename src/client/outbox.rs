//! The outbox: what clients are sent without having asked for it just now.
//!
//! A push never goes into a reply while that is being made: the client may be in the middle of an array. It waits here
//! until the request at hand is over, for whoever it is, the calling client included; then it is appended to its
//! receiver's output. So the order is: the reply, then what the request has caused. Who sends a push need not know
//! whether its receiver's box is in the collection or out of it.
//!
//! A push is encoded once for each protocol and shared by all its receivers.

use std::rc::Rc;

use bytes::Bytes;

use super::{Attention, Session};
use crate::reactor::ConnId;
use crate::resp::Proto;

/// Bytes for any number of clients.
#[derive(Debug)]
pub struct Push {
    resp2: Bytes,
    resp3: Bytes,
    /// Not sent to a client that said CLIENT REPLY OFF.
    is_reply: bool,
}

impl Push {
    /// What MONITOR shows: a line of the same form in both protocols. It counts as a reply to MONITOR, so that CLIENT
    /// REPLY OFF silences it.
    pub fn line(bytes: Vec<u8>) -> Push {
        let bytes = Bytes::from(bytes);
        Push { resp2: bytes.clone(), resp3: bytes, is_reply: true }
    }

    /// Appends it to what `session` is owed; false if it does not want it.
    pub fn deliver(&self, session: &mut Session) -> bool {
        if self.is_reply && session.attention.has(Attention::REPLY_OFF) {
            return false;
        }
        let bytes = match session.reply.proto {
            Proto::Resp2 => &self.resp2,
            Proto::Resp3 => &self.resp3,
        };
        session.reply.out.share(bytes.clone());
        true
    }
}

/// Pushes that wait for the end of the request that caused them.
#[derive(Default)]
pub struct Outbox {
    waiting: Vec<(ConnId, Rc<Push>)>,
}

impl Outbox {
    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Sends `push` to all of `receivers`, in this order, behind whatever was sent before.
    pub fn send(&mut self, push: Push, receivers: impl IntoIterator<Item = ConnId>) {
        let push = Rc::new(push);
        self.waiting.extend(receivers.into_iter().map(|to| (to, Rc::clone(&push))));
    }

    /// All that waits, in the order in which it was sent.
    pub fn take(&mut self) -> Vec<(ConnId, Rc<Push>)> {
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Clients, Endpoint};

    #[test]
    fn in_order_and_silenced_by_reply_off() {
        let conn = |index| ConnId { index, generation: 1 };
        let mut clients = Clients::default();
        for index in 0..2 {
            clients.add(conn(index), Endpoint::default(), 0);
        }
        clients.at_mut(1).expect("just added").session.attention.put(Attention::REPLY_OFF, true);
        let mut outbox = Outbox::default();
        outbox.send(Push::line(b"+a\r\n".to_vec()), [conn(0), conn(1)]);
        outbox.send(Push::line(b"+b\r\n".to_vec()), [conn(0)]);
        let mut delivered = Vec::new();
        for (to, push) in outbox.take() {
            delivered.push(push.deliver(clients.of_mut(to).expect("just added").session));
        }
        assert!(outbox.is_empty());
        assert_eq!(delivered, [true, false, true]);
        assert_eq!(clients.at(0).expect("just added").session.reply.out.to_vec(), b"+a\r\n+b\r\n");
        assert!(clients.at(1).expect("just added").session.reply.out.is_empty());
    }
}
