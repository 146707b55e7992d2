//! What a replica says to its primary, and what it is answered, up to the stream of writes.
//!
//! ```text
//!   replica                                  primary
//!   PING                                     +PONG, or that it wants a password
//!   AUTH, REPLCONF listening-port,
//!     ip-address, capa                       +OK to each
//!   PSYNC id offset                          +CONTINUE        then the stream
//!                                            +FULLRESYNC id offset
//!                                            $length, or $EOF:mark
//!                                            the copy (and the mark), then the stream
//! ```
//!
//! A line without anything in it is a sign of life. Every line and every length is the primary's word and is not
//! trusted: lines are short, a copy has the length that was announced, a mark is 40 bytes long.

use memchr::memmem;

use super::history::{HistoryId, parse_offset};
use crate::resp::push_command;

/// The longest line of an answer.
const LINE_BYTES_MAX: usize = 1024;

/// The bytes at the end of a copy whose length is not known at its beginning.
const MARK_BYTES: usize = 40;

/// What a replica says of itself.
#[derive(Clone, Debug, Default)]
pub struct Greeting {
    /// `masteruser`; empty for the default user.
    pub user: Vec<u8>,
    /// `masterauth`; empty if there is none.
    pub password: Vec<u8>,
    /// The port to be named to others.
    pub port: u16,
    /// The address to be named to others, if it is not the one the connection comes from.
    pub ip: Vec<u8>,
    /// The history it has, and the first offset that it does not have.
    pub has: Option<(HistoryId, u64)>,
    /// The primary is to become a replica of this one's (FAILOVER).
    pub takes_over: bool,
}

/// How long a copy is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Length {
    /// So many bytes.
    Bytes(u64),
    /// It ends where a mark comes.
    Marked,
}

/// Something the primary has said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said<'a> {
    /// It answers, and is being told who asks.
    Answers,
    /// Something that is worth a line in the log and is no obstacle: what was said, and the answer.
    Declined(&'static str, &'a str),
    /// It knows nothing but copies, or cannot say more: its words.
    Old(&'a str),
    /// It will send a copy, which stands for this offset of this history. Unknown: it does not know PSYNC.
    FullResync(Option<(HistoryId, u64)>),
    /// It goes on from where we are, under this name, if it names one.
    Continue(Option<HistoryId>),
    /// The copy begins.
    CopyBegins(Length),
    /// A part of it.
    Copy(&'a [u8]),
    /// That was all of it.
    CopyEnds,
    /// Writes.
    Stream(&'a [u8]),
}

/// Why the conversation is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The primary cannot serve us now: later, perhaps.
    Later(String),
    /// It does not let us in.
    Unwelcome(String),
    /// What it says makes no sense.
    Nonsense(String),
    /// It has begun and cannot go on.
    Aborted(String),
}

/// What is awaited next.
#[derive(Debug)]
enum State {
    Pong,
    /// The answers to what is listed, the next one last.
    Replies(Vec<Sent>),
    Psync,
    /// The line before the copy.
    CopyHead,
    CopyBytes(u64),
    /// The copy's end is this mark. Held back: the beginning of what may be it.
    CopyMark {
        mark: [u8; MARK_BYTES],
        held: Vec<u8>,
    },
    Stream,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sent {
    Auth,
    Port,
    Ip,
    Capa,
}

/// The conversation.
#[derive(Debug)]
pub struct Dialogue {
    greeting: Greeting,
    state: State,
    line: Vec<u8>,
}

fn say(out: &mut Vec<u8>, words: &[&[u8]]) {
    push_command(out, words.iter().copied());
}

impl Dialogue {
    /// Begins it, on a connection that is open.
    pub fn begin(greeting: Greeting, out: &mut Vec<u8>) -> Dialogue {
        say(out, &[b"PING"]);
        Dialogue { greeting, state: State::Pong, line: Vec::new() }
    }

    /// Whether the primary has not said yet how it goes on.
    pub fn is_handshake(&self) -> bool {
        matches!(self.state, State::Pong | State::Replies(_) | State::Psync)
    }

    /// Whether writes are what comes.
    pub fn streams(&self) -> bool {
        matches!(self.state, State::Stream)
    }

    /// These bytes came. What they mean is told in order.
    pub fn on_bytes(
        &mut self,
        mut bytes: &[u8],
        out: &mut Vec<u8>,
        on: &mut dyn FnMut(Said<'_>),
    ) -> Result<(), Refusal> {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Stream => {
                    on(Said::Stream(bytes));
                    return Ok(());
                }
                State::CopyBytes(left) => {
                    let now = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= now as u64;
                    let is_over = *left == 0;
                    on(Said::Copy(&bytes[..now]));
                    bytes = &bytes[now..];
                    if is_over {
                        self.end_copy(on);
                    }
                }
                State::CopyMark { mark, held } => {
                    let mark = *mark;
                    let joined = (!held.is_empty()).then(|| [std::mem::take(held).as_slice(), bytes].concat());
                    let all = joined.as_deref().unwrap_or(bytes);
                    let Some(at) = memmem::find(all, &mark) else {
                        let longest = (1..MARK_BYTES).rev().find(|&n| all.ends_with(&mark[..n])).unwrap_or(0);
                        let (copy, kept) = all.split_at(all.len() - longest);
                        if !copy.is_empty() {
                            on(Said::Copy(copy));
                        }
                        *held = kept.to_vec();
                        return Ok(());
                    };
                    if at > 0 {
                        on(Said::Copy(&all[..at]));
                    }
                    // What was held back is a part of the mark at most.
                    let behind = all.len() - at - MARK_BYTES;
                    bytes = &bytes[bytes.len() - behind..];
                    self.end_copy(on);
                }
                _ => {
                    let Some(end) = memchr::memchr(b'\n', bytes) else {
                        return self.keep_line(bytes);
                    };
                    self.keep_line(&bytes[..end])?;
                    bytes = &bytes[end + 1..];
                    let line = std::mem::take(&mut self.line);
                    let line = line.strip_suffix(b"\r").unwrap_or(&line);
                    if !line.is_empty() {
                        self.on_line(line, out, on)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn keep_line(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if self.line.len() + bytes.len() > LINE_BYTES_MAX {
            return Err(Refusal::Nonsense("a line that is too long".to_owned()));
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_copy(&mut self, on: &mut dyn FnMut(Said<'_>)) {
        self.state = State::Stream;
        on(Said::CopyEnds);
    }

    fn on_line(&mut self, line: &[u8], out: &mut Vec<u8>, on: &mut dyn FnMut(Said<'_>)) -> Result<(), Refusal> {
        let text = String::from_utf8_lossy(line);
        let error = text.strip_prefix('-');
        match &mut self.state {
            State::Pong => {
                // Who wants a password says so to PING already.
                let goes_on = text.starts_with('+')
                    || error.is_some_and(|error| {
                        ["NOAUTH", "NOPERM", "ERR operation not permitted"].iter().any(|it| error.starts_with(it))
                    });
                if !goes_on {
                    return Err(Refusal::Later(format!("Error reply to PING from master: '{text}'")));
                }
                on(Said::Answers);
                let sent = self.introduce(out);
                self.state = State::Replies(sent);
            }
            State::Replies(sent) => {
                let last = sent.pop().expect("the state is left when none is left");
                let is_last = sent.is_empty();
                match (last, error) {
                    (Sent::Auth, Some(_)) => {
                        return Err(Refusal::Unwelcome(format!("Unable to AUTH to MASTER: {text}")));
                    }
                    (Sent::Port, Some(_)) => on(Said::Declined("REPLCONF listening-port", &text)),
                    (Sent::Ip, Some(_)) => on(Said::Declined("REPLCONF ip-address", &text)),
                    (Sent::Capa, Some(_)) => on(Said::Declined("REPLCONF capa", &text)),
                    (_, None) => {}
                }
                if is_last {
                    self.ask(out);
                }
            }
            State::Psync => return self.on_psync(&text, out, on),
            State::CopyHead => match (line, error) {
                (_, Some(error)) => {
                    return Err(Refusal::Aborted(format!("MASTER aborted replication with an error: {error}")));
                }
                ([b'$', b'E', b'O', b'F', b':', mark @ ..], _) => {
                    let Ok(mark) = mark.try_into() else {
                        return Err(Refusal::Nonsense(format!("a mark of {} bytes", mark.len())));
                    };
                    self.state = State::CopyMark { mark, held: Vec::new() };
                    on(Said::CopyBegins(Length::Marked));
                }
                ([b'$', digits @ ..], _) => {
                    let length = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
                    let Some(length @ 1..) = length else {
                        return Err(Refusal::Nonsense(format!("a copy of length '{text}'")));
                    };
                    self.state = State::CopyBytes(length);
                    on(Said::CopyBegins(Length::Bytes(length)));
                }
                _ => return Err(Refusal::Nonsense(bad_protocol(&text))),
            },
            State::CopyBytes(_) | State::CopyMark { .. } | State::Stream => unreachable!("these have no lines"),
        }
        Ok(())
    }

    /// Says who we are; what is answered first is last.
    fn introduce(&self, out: &mut Vec<u8>) -> Vec<Sent> {
        let Greeting { user, password, port, ip, .. } = &self.greeting;
        let mut sent = Vec::new();
        if !password.is_empty() {
            match user.is_empty() {
                true => say(out, &[b"AUTH", password]),
                false => say(out, &[b"AUTH", user, password]),
            }
            sent.push(Sent::Auth);
        }
        say(out, &[b"REPLCONF", b"listening-port", port.to_string().as_bytes()]);
        sent.push(Sent::Port);
        if !ip.is_empty() {
            say(out, &[b"REPLCONF", b"ip-address", ip]);
            sent.push(Sent::Ip);
        }
        say(out, &[b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"]);
        sent.push(Sent::Capa);
        sent.reverse();
        sent
    }

    fn ask(&mut self, out: &mut Vec<u8>) {
        let (id, offset) = match &self.greeting.has {
            Some((id, next)) => (id.to_string(), next.to_string()),
            None => ("?".to_owned(), "-1".to_owned()),
        };
        match self.greeting.takes_over {
            true => say(out, &[b"PSYNC", id.as_bytes(), offset.as_bytes(), b"FAILOVER"]),
            false => say(out, &[b"PSYNC", id.as_bytes(), offset.as_bytes()]),
        }
        self.state = State::Psync;
    }

    fn on_psync(&mut self, text: &str, out: &mut Vec<u8>, on: &mut dyn FnMut(Said<'_>)) -> Result<(), Refusal> {
        let mut words = text.split_ascii_whitespace();
        match words.next() {
            Some("+FULLRESYNC") => {
                let id = words.next().and_then(|id| HistoryId::parse(id.as_bytes()));
                let offset = words.next().and_then(parse_offset);
                let Some(known) = id.zip(offset) else {
                    return Err(Refusal::Nonsense(format!("Master replied with wrong +FULLRESYNC syntax: {text}")));
                };
                self.state = State::CopyHead;
                on(Said::FullResync(Some(known)));
            }
            Some("+CONTINUE") => {
                let id = words.next().map(|id| HistoryId::parse(id.as_bytes()));
                if id == Some(None) || self.greeting.has.is_none() {
                    return Err(Refusal::Nonsense(bad_protocol(text)));
                }
                self.state = State::Stream;
                on(Said::Continue(id.flatten()));
            }
            Some("-NOMASTERLINK" | "-LOADING") => {
                return Err(Refusal::Later(format!(
                    "Master is currently unable to PSYNC but should be in the future: {text}"
                )));
            }
            _ if self.greeting.takes_over => {
                return Err(Refusal::Unwelcome(format!("Failover target rejected psync request: {text}")));
            }
            _ => {
                on(Said::Old(text));
                say(out, &[b"SYNC"]);
                self.state = State::CopyHead;
                on(Said::FullResync(None));
            }
        }
        Ok(())
    }
}

fn bad_protocol(text: &str) -> String {
    format!(
        "Bad protocol from MASTER, the first byte is not '$' (we received '{text}'), are you sure the host and port are right?"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    fn id() -> HistoryId {
        HistoryId::parse(ID.as_bytes()).unwrap()
    }

    /// A conversation that the primary holds in pieces of this size: what we said, what it came to.
    fn converse(greeting: Greeting, said: &[u8], piece: usize) -> (String, Vec<String>, Result<(), Refusal>) {
        let (mut out, mut events) = (Vec::new(), Vec::<String>::new());
        let mut dialogue = Dialogue::begin(greeting, &mut out);
        let mut result = Ok(());
        for part in said.chunks(piece) {
            result = dialogue.on_bytes(part, &mut out, &mut |event| {
                let (kind, bytes) = match event {
                    Said::Copy(bytes) => ("copy ", bytes),
                    Said::Stream(bytes) => ("stream ", bytes),
                    event => return events.push(format!("{event:?}")),
                };
                assert!(!bytes.is_empty());
                let text = String::from_utf8_lossy(bytes);
                match events.last_mut().filter(|last| last.starts_with(kind)) {
                    Some(last) => last.push_str(&text),
                    None => events.push(format!("{kind}{text}")),
                }
            });
            if result.is_err() {
                break;
            }
        }
        let out = String::from_utf8(out).unwrap();
        let words = out.split("\r\n").filter(|line| !line.starts_with(['*', '$']));
        (words.collect::<Vec<_>>().join(" "), events, result)
    }

    fn has() -> Greeting {
        Greeting { port: 6380, has: Some((id(), 11)), ..Greeting::default() }
    }

    #[test]
    fn it_goes_on_where_it_was() {
        for piece in 1..60 {
            let said = b"+PONG\r\n+OK\r\n+OK\r\n+CONTINUE\r\n*1\r\n$4\r\nPING\r\n";
            let (words, events, result) = converse(has(), said, piece);
            let hello = "PING REPLCONF listening-port 6380 REPLCONF capa eof capa psync2";
            assert_eq!(words.trim_end(), format!("{hello} PSYNC {ID} 11"));
            assert_eq!(events, ["Answers", "Continue(None)", "stream *1\r\n$4\r\nPING\r\n"]);
            assert_eq!(result, Ok(()));
        }
        let (_, events, _) = converse(has(), format!("+PONG\n+OK\n\n+OK\n+CONTINUE {ID}\n").as_bytes(), 7);
        assert_eq!(events[1], format!("Continue(Some({ID}))"));
    }

    #[test]
    fn a_copy_of_known_length() {
        for piece in 1..80 {
            let said = format!("+PONG\r\n-ERR what\r\n+OK\r\n+OK\r\n\n\n+FULLRESYNC {ID} 77\r\n\n\n$5\r\nabcdeSTREAM");
            let greeting = Greeting { ip: b"1.2.3.4".to_vec(), port: 1, ..Greeting::default() };
            let (words, events, result) = converse(greeting, said.as_bytes(), piece);
            assert!(words.contains("REPLCONF ip-address 1.2.3.4 REPLCONF capa"), "{words}");
            assert!(words.ends_with("PSYNC ? -1 "), "{words}");
            let expected = [
                "Answers".to_owned(),
                "Declined(\"REPLCONF listening-port\", \"-ERR what\")".to_owned(),
                format!("FullResync(Some(({ID}, 77)))"),
                "CopyBegins(Bytes(5))".to_owned(),
                "copy abcde".to_owned(),
                "CopyEnds".to_owned(),
                "stream STREAM".to_owned(),
            ];
            assert_eq!((events.as_slice(), result), (&expected[..], Ok(())));
        }
    }

    #[test]
    fn a_copy_up_to_a_mark() {
        let mark = "abababababababababababababababababababac";
        let copy = "REDIS ab abab abababababababababababababababababababababababab end";
        for piece in 1..150 {
            let said = format!("+PONG\r\n+OK\r\n+OK\r\n+FULLRESYNC {ID} 0\r\n$EOF:{mark}\r\n{copy}{mark}after");
            let (_, events, result) = converse(Greeting::default(), said.as_bytes(), piece);
            assert_eq!(result, Ok(()));
            let expected =
                ["CopyBegins(Marked)".into(), format!("copy {copy}"), "CopyEnds".into(), "stream after".into()];
            assert_eq!(events[2..], expected);
        }
    }

    #[test]
    fn passwords() {
        let greeting = Greeting { user: b"me".to_vec(), password: b"secret".to_vec(), ..has() };
        let (words, ..) = converse(greeting.clone(), b"-NOAUTH who are you\r\n", 100);
        assert!(words.contains("AUTH me secret REPLCONF"), "{words}");
        let (words, ..) = converse(Greeting { user: Vec::new(), ..greeting.clone() }, b"-NOPERM no\r\n", 100);
        assert!(words.contains("AUTH secret REPLCONF"), "{words}");
        let (.., result) = converse(greeting, b"-NOAUTH who are you\r\n-WRONGPASS no\r\n", 100);
        assert_eq!(result, Err(Refusal::Unwelcome("Unable to AUTH to MASTER: -WRONGPASS no".to_owned())));
    }

    #[test]
    fn what_a_primary_may_refuse() {
        let later = |said: &str| {
            let (words, _, result) = converse(has(), said.as_bytes(), 1000);
            (words, result)
        };
        assert!(matches!(later("-LOADING soon\r\n").1, Err(Refusal::Later(_))));
        let psync = "+PONG\r\n+OK\r\n+OK\r\n";
        assert!(matches!(later(&format!("{psync}-NOMASTERLINK soon\r\n")).1, Err(Refusal::Later(_))));
        assert!(later(&format!("{psync}-ERR unknown command\r\n$3\r\nabc")).0.ends_with("SYNC "));
        let aborted = later(&format!("{psync}+FULLRESYNC {ID} 5\r\n-ERR no disk\r\n")).1;
        assert_eq!(aborted, Err(Refusal::Aborted("MASTER aborted replication with an error: ERR no disk".to_owned())));
        for nonsense in [
            "+FULLRESYNC short 5\r\n".to_owned(),
            format!("+FULLRESYNC {ID}\r\n"),
            format!("+FULLRESYNC {ID} x\r\n"),
            format!("+FULLRESYNC {ID} 18446744073709551615\r\n"),
            "+CONTINUE short\r\n".to_owned(),
            format!("+FULLRESYNC {ID} 5\r\n$-1\r\n"),
            format!("+FULLRESYNC {ID} 5\r\n$0\r\n"),
            format!("+FULLRESYNC {ID} 5\r\n$99999999999999999999999\r\n"),
            format!("+FULLRESYNC {ID} 5\r\n$EOF:short\r\n"),
            format!("+FULLRESYNC {ID} 5\r\nHTTP/1.1 400\r\n"),
            "x".repeat(LINE_BYTES_MAX + 1),
        ] {
            let (_, result) = later(&format!("{psync}{nonsense}"));
            assert!(matches!(result, Err(Refusal::Nonsense(_))), "{nonsense}: {result:?}");
        }
        let nothing = Greeting { has: None, ..has() };
        let (.., result) = converse(nothing, format!("{psync}+CONTINUE {ID}\r\n").as_bytes(), 1000);
        assert!(matches!(result, Err(Refusal::Nonsense(_))), "there is nothing to go on from");
        let takes_over = Greeting { takes_over: true, ..has() };
        let (words, _, result) = converse(takes_over, format!("{psync}-ERR no\r\n").as_bytes(), 1000);
        assert!(words.ends_with("11 FAILOVER ") && matches!(result, Err(Refusal::Unwelcome(_))), "{words}");
    }
}
