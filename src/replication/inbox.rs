//! What a primary has sent of its stream and is not applied yet: the requests, and the bytes they came in.
//!
//! Replicas of this replica are sent the same bytes, and offsets count them: so they are kept until the requests that
//! they make up are applied.

use std::collections::VecDeque;

use crate::resp::{ArgSpan, Args, LargeArg, Limits, Parsed, ProtocolError, RequestParser};

/// Room that is kept when all is applied.
const KEPT_BYTES: usize = 1 << 20;

/// A request that is whole.
#[derive(Clone, Copy, Debug)]
struct Whole {
    first_span: usize,
    argc: usize,
    /// Where its spans count from.
    base: usize,
    /// Where it ends.
    end: usize,
}

/// See the module's header.
#[derive(Default)]
pub struct Inbox {
    buffer: Vec<u8>,
    /// What lies before is applied.
    start: usize,
    /// What lies before is understood.
    parsed: usize,
    parser: RequestParser,
    spans: Vec<ArgSpan>,
    larges: Vec<LargeArg>,
    requests: VecDeque<Whole>,
}

impl Inbox {
    /// These bytes came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.compact();
        self.buffer.extend_from_slice(bytes);
    }

    /// Forgets what is applied.
    fn compact(&mut self) {
        if self.start < self.buffer.len() - self.start {
            return;
        }
        self.buffer.drain(..self.start);
        for request in &mut self.requests {
            request.base -= self.start;
            request.end -= self.start;
        }
        self.parsed -= self.start;
        self.start = 0;
        if self.buffer.is_empty() {
            self.buffer.shrink_to(KEPT_BYTES);
        }
    }

    /// Reads on, up to `max` requests that are not applied. The error is the end: the primary does not speak RESP.
    pub fn parse(&mut self, max: usize) -> Result<(), ProtocolError> {
        // There are no limits for a primary: what it has accepted must be applied.
        let limits = Limits { bulk_bytes_max: i64::MAX as u64, ..Limits::default() };
        while self.requests.len() < max && self.parsed < self.buffer.len() {
            let (base, first_span) = (self.parsed, self.spans.len());
            match self.parser.parse(&self.buffer[base..], &limits, &mut self.spans, &mut self.larges) {
                Parsed::Request { consumed, argc } => {
                    self.parsed = base + consumed;
                    self.requests.push_back(Whole { first_span, argc, base, end: self.parsed });
                }
                Parsed::Incomplete { consumed } => {
                    self.parsed = base + consumed;
                    break;
                }
                Parsed::Error(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// How many requests are whole and not applied.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Bytes that nobody has looked at; what follows a request that is not whole yet is none of them.
    pub fn unparsed(&self) -> usize {
        self.buffer.len() - self.parsed
    }

    /// The arguments of a request.
    pub fn request(&self, at: usize) -> Args<'_> {
        let Whole { first_span, argc, base, .. } = self.requests[at];
        Args::new(&self.buffer[base..], &self.spans[first_span..first_span + argc], &self.larges)
    }

    /// The bytes of the first `n` requests.
    pub fn bytes(&self, n: usize) -> &[u8] {
        let end = n.checked_sub(1).map_or(self.start, |last| self.requests[last].end);
        &self.buffer[self.start..end]
    }

    /// The first `n` requests are applied.
    pub fn applied(&mut self, n: usize) {
        self.start += self.bytes(n).len();
        self.requests.drain(..n);
        if self.requests.is_empty() {
            self.spans.clear();
            self.larges.clear();
        }
    }

    /// Bytes that are not applied.
    pub fn waiting(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Memory that it takes.
    pub fn memory(&self) -> usize {
        self.buffer.capacity() + self.parser.memory() + self.spans.capacity() * size_of::<ArgSpan>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::push_command;
    use crate::util::rng::Rng;

    /// However the bytes are cut and however few requests are applied at a time, they are what was sent.
    #[test]
    fn what_is_applied_is_what_was_sent() {
        let mut rng = Rng::from_seed(7);
        for _ in 0..200 {
            let (mut sent, mut requests) = (Vec::new(), Vec::new());
            for n in 0..30 {
                let long = if rng.index(10) == 0 { 40_000 + rng.index(40_000) } else { rng.index(200) };
                let args = [format!("C{n}"), "x".repeat(long)];
                push_command(&mut sent, args.iter().map(String::as_bytes));
                if rng.index(8) == 0 {
                    sent.extend_from_slice(b"\r\n");
                }
                requests.push(args);
            }
            let (mut inbox, mut at, mut seen, mut bytes) = (Inbox::default(), 0, 0, Vec::new());
            while seen < requests.len() {
                let n = (1 + rng.index(50_000)).min(sent.len() - at);
                inbox.push(&sent[at..at + n]);
                at += n;
                inbox.parse(1 + rng.index(40)).unwrap();
                let now = rng.index(inbox.len() + 1);
                for i in 0..now {
                    let args: Vec<&[u8]> = inbox.request(i).iter().collect();
                    assert_eq!(args, requests[seen + i].each_ref().map(String::as_bytes));
                }
                bytes.extend_from_slice(inbox.bytes(now));
                inbox.applied(now);
                seen += now;
            }
            assert_eq!(bytes, sent[..bytes.len()]);
            assert!(sent.len() - bytes.len() <= 2, "an empty line belongs to the request after it");
            assert!(inbox.is_empty() && inbox.spans.is_empty() && inbox.larges.is_empty());
        }
    }

    #[test]
    fn nonsense_ends_it() {
        let mut inbox = Inbox::default();
        inbox.push(b"*1\r\n$4\r\nPING\r\n*1\r\n!nonsense\r\n");
        assert!(inbox.parse(1).is_ok() && inbox.len() == 1);
        assert!(inbox.parse(9).is_err());
    }
}
