//! The line to a primary: a conversation that is begun again whenever it breaks, what has come of it and is not followed
//! yet, and what is said in return now and then.
//!
//! ```text
//!   away --(time to try)--> connecting --> talking --(what comes is put in the queue)--> ... --(lost)--> away
//! ```
//!
//! It is told of its connection and of the time by whoever drives it, and its queue is worked off by the instance
//! (`exec/replication/upstream.rs`) between commands. More is not taken in than the instance keeps up with.

use std::collections::VecDeque;

use super::dialogue::{Dialogue, Greeting, Length, Refusal, Said};
use super::history::HistoryId;
use crate::resp::push_command;

/// So much of the stream, or of a copy, is taken in before the instance has followed it.
const UNFOLLOWED_BYTES_MAX: usize = 1 << 20;

/// Time between two attempts, and between two signs of life.
const SECOND_NS: u64 = 1_000_000_000;

/// Something that has come, in the order in which it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// The primary answers.
    Answers,
    /// It declines something that is no obstacle: what, and its words.
    Declined(&'static str, String),
    /// It knows nothing but copies, or cannot say more: its words.
    Old(String),
    /// A copy will come that stands for this offset of this history; unknown: no PSYNC there.
    FullResync(Option<(HistoryId, u64)>),
    /// What comes next follows what we have; the history has this name now.
    Continue(Option<HistoryId>),
    /// The copy begins.
    CopyBegins(Length),
    /// A part of it.
    Copy(Vec<u8>),
    /// All of it has come.
    CopyEnds,
    /// Writes.
    Stream(Vec<u8>),
    /// The connection is over, for this reason; it will be tried again.
    Lost(Loss),
}

/// Why a connection is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Loss {
    /// There is no way to the primary, or nobody there.
    NotReached,
    /// The primary has closed it, or it broke.
    Closed,
    /// Nothing was heard for `repl-timeout`.
    Silent(Stage),
    /// The primary refuses, or speaks in riddles.
    Refused(Refusal),
}

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// There is no connection: one will be tried.
    Away,
    /// One is being opened.
    Connecting,
    /// It is told who we are.
    Handshake,
    /// A copy is on its way.
    Transfer,
    /// The stream is followed.
    Streaming,
}

/// What we say while the stream is followed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Progress {
    /// The offset up to which everything is applied.
    pub applied: u64,
    /// The offset up to which it is on the disk, if it goes there.
    pub synced: Option<u64>,
    /// The copy is being loaded: nothing can be said of offsets, only that we live.
    pub loads: bool,
}

/// What to do with the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Nothing.
    Wait,
    /// Open one.
    Connect,
    /// Close it.
    HangUp,
}

/// See the module's header.
pub struct Line {
    stage: Stage,
    dialogue: Option<Dialogue>,
    greeting: Greeting,
    timeout_ns: u64,
    progress: Progress,
    queue: VecDeque<News>,
    /// Bytes in the queue.
    queued: usize,
    /// Bytes of the stream that the instance has taken and not applied yet.
    taken: usize,
    /// There was too much: whoever reads from the connection has stopped, and has to be told when to go on.
    has_stopped: bool,
    /// What the instance wants said.
    to_say: Vec<u8>,
    wants_hang_up: bool,
    last_heard_ns: u64,
    /// When something was last heard, ms since 1970.
    last_heard_ms: i64,
    next_try_ns: u64,
    next_word_ns: u64,
    /// The last attempt failed at once: the next one is made after a second.
    is_retry: bool,
}

impl Line {
    /// A line that has yet to connect.
    pub fn new(greeting: Greeting, timeout_s: u32) -> Line {
        let mut line = Line {
            stage: Stage::Connecting,
            dialogue: None,
            greeting,
            timeout_ns: 0,
            progress: Progress::default(),
            queue: VecDeque::new(),
            queued: 0,
            taken: 0,
            has_stopped: false,
            to_say: Vec::new(),
            wants_hang_up: false,
            last_heard_ns: 0,
            last_heard_ms: 0,
            next_try_ns: 0,
            next_word_ns: 0,
            is_retry: false,
        };
        line.set_timeout(timeout_s);
        line
    }

    /// `repl-timeout`.
    pub fn set_timeout(&mut self, seconds: u32) {
        self.timeout_ns = u64::from(seconds).saturating_mul(SECOND_NS);
    }

    /// What is said of us at the next attempt.
    pub fn set_greeting(&mut self, greeting: Greeting) {
        self.greeting = greeting;
    }

    /// How far we are.
    pub fn set_progress(&mut self, progress: Progress) {
        self.progress = progress;
    }

    /// How much of the stream the instance has taken and not applied.
    pub fn set_taken(&mut self, bytes: usize) {
        self.taken = bytes;
        self.has_stopped |= !self.wants_bytes();
    }

    /// How far it is.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// When something was last heard, ms since 1970.
    pub fn last_heard_ms(&self) -> i64 {
        self.last_heard_ms
    }

    /// Says at once how far we are: after GETACK, or a copy.
    pub fn acknowledge(&mut self) {
        if self.stage == Stage::Streaming {
            let progress = self.progress;
            say_progress(&progress, &mut self.to_say);
        }
    }

    /// Has the connection closed, and another one opened.
    pub fn hang_up(&mut self) {
        self.wants_hang_up = true;
    }

    /// Whether something is to be followed.
    pub fn has_news(&self) -> bool {
        !self.queue.is_empty()
    }

    /// What has come next.
    pub fn take_news(&mut self) -> Option<News> {
        let news = self.queue.pop_front();
        if let Some(News::Copy(bytes) | News::Stream(bytes)) = &news {
            self.queued -= bytes.len();
        }
        news
    }

    /// Whether more can be taken in.
    pub fn wants_bytes(&self) -> bool {
        self.queued + self.taken < UNFOLLOWED_BYTES_MAX
    }

    /// Whether there was no room for more, and is again: said once.
    pub fn has_room_again(&mut self) -> bool {
        let is_so = self.has_stopped && self.wants_bytes();
        self.has_stopped &= !is_so;
        is_so
    }

    fn push(&mut self, news: News) {
        if let News::Copy(bytes) | News::Stream(bytes) = &news {
            self.queued += bytes.len();
            self.has_stopped |= !self.wants_bytes();
        }
        self.queue.push_back(news);
    }

    fn heard(&mut self, now_ns: u64, now_ms: i64) {
        (self.last_heard_ns, self.last_heard_ms) = (now_ns, now_ms);
    }

    /// The connection is there.
    pub fn on_open(&mut self, now_ns: u64, now_ms: i64, out: &mut Vec<u8>) {
        self.heard(now_ns, now_ms);
        self.stage = Stage::Handshake;
        self.next_word_ns = now_ns + SECOND_NS;
        self.to_say.clear();
        self.dialogue = Some(Dialogue::begin(self.greeting.clone(), out));
    }

    /// These bytes came.
    pub fn on_bytes(&mut self, now_ns: u64, now_ms: i64, bytes: &[u8], out: &mut Vec<u8>) -> Next {
        self.heard(now_ns, now_ms);
        let Some(mut dialogue) = self.dialogue.take() else { return Next::HangUp };
        let result = dialogue.on_bytes(bytes, out, &mut |said| {
            let news = match said {
                Said::Answers => News::Answers,
                Said::Declined(what, words) => News::Declined(what, words.to_owned()),
                Said::Old(words) => News::Old(words.to_owned()),
                Said::FullResync(of) => News::FullResync(of),
                Said::Continue(id) => News::Continue(id),
                Said::CopyBegins(length) => News::CopyBegins(length),
                Said::Copy(bytes) => News::Copy(bytes.to_vec()),
                Said::CopyEnds => News::CopyEnds,
                Said::Stream(bytes) => News::Stream(bytes.to_vec()),
            };
            self.push(news);
        });
        if let Err(refusal) = result {
            self.is_retry = true;
            return self.lose(now_ns, Loss::Refused(refusal));
        }
        self.stage = match (dialogue.is_handshake(), dialogue.streams()) {
            (true, _) => Stage::Handshake,
            (_, true) => Stage::Streaming,
            _ => Stage::Transfer,
        };
        self.is_retry = false;
        self.dialogue = Some(dialogue);
        Next::Wait
    }

    /// There is no connection, or none any more.
    pub fn on_close(&mut self, now_ns: u64, is_reached: bool) {
        let loss = if is_reached { Loss::Closed } else { Loss::NotReached };
        self.is_retry |= !is_reached;
        self.lose(now_ns, loss);
    }

    /// One that was good is tried again at once, before what follows is forgotten there.
    fn lose(&mut self, now_ns: u64, loss: Loss) -> Next {
        self.next_try_ns = now_ns + if self.is_retry { SECOND_NS } else { 0 };
        self.is_retry = true;
        (self.stage, self.dialogue) = (Stage::Away, None);
        self.wants_hang_up = false;
        self.push(News::Lost(loss));
        Next::HangUp
    }

    /// The instance had it woken.
    pub fn on_wake(&mut self, now_ns: u64, out: &mut Vec<u8>) -> Next {
        if std::mem::take(&mut self.wants_hang_up) && self.stage != Stage::Away {
            return self.lose(now_ns, Loss::Closed);
        }
        out.append(&mut self.to_say);
        Next::Wait
    }

    /// When it wants to hear of time.
    pub fn next_deadline(&self) -> u64 {
        match self.stage {
            // What has come must be followed first: it decides what we have.
            Stage::Away if !self.queue.is_empty() => u64::MAX,
            Stage::Away => self.next_try_ns,
            // Only with the first look at the clock is it known when the attempt began.
            Stage::Connecting if self.last_heard_ns == 0 => 0,
            Stage::Connecting => self.silent_ns(),
            Stage::Handshake | Stage::Transfer | Stage::Streaming => self.silent_ns().min(self.next_word_ns),
        }
    }

    fn silent_ns(&self) -> u64 {
        // While nothing is taken in, nothing can be heard.
        if self.wants_bytes() { self.last_heard_ns.saturating_add(self.timeout_ns) } else { u64::MAX }
    }

    /// Its deadline is over, or time has passed.
    pub fn on_timer(&mut self, now_ns: u64, out: &mut Vec<u8>) -> Next {
        match self.stage {
            Stage::Away if self.queue.is_empty() && now_ns >= self.next_try_ns => {
                self.stage = Stage::Connecting;
                self.last_heard_ns = now_ns;
                return Next::Connect;
            }
            Stage::Connecting if self.last_heard_ns == 0 => {
                self.last_heard_ns = now_ns;
                return Next::Wait;
            }
            Stage::Away => return Next::Wait,
            Stage::Connecting | Stage::Handshake | Stage::Transfer | Stage::Streaming => {}
        }
        if !self.wants_bytes() {
            self.last_heard_ns = now_ns;
        }
        if now_ns >= self.silent_ns() {
            return self.lose(now_ns, Loss::Silent(self.stage));
        }
        if now_ns >= self.next_word_ns {
            self.next_word_ns = now_ns + SECOND_NS;
            match self.progress.loads {
                true => out.push(b'\n'),
                false if self.stage == Stage::Streaming => say_progress(&self.progress, out),
                false => {}
            }
        }
        Next::Wait
    }
}

fn say_progress(progress: &Progress, out: &mut Vec<u8>) {
    let applied = progress.applied.to_string();
    match progress.synced {
        None => push_command(out, [&b"REPLCONF"[..], b"ACK", applied.as_bytes()].into_iter()),
        Some(synced) => {
            let synced = synced.to_string();
            let words = [&b"REPLCONF"[..], b"ACK", applied.as_bytes(), b"FACK", synced.as_bytes()];
            push_command(out, words.into_iter());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = SECOND_NS;

    fn line() -> Line {
        Line::new(Greeting::default(), 10)
    }

    fn said(out: &mut Vec<u8>) -> String {
        let text = String::from_utf8(std::mem::take(out)).unwrap();
        text.split("\r\n").filter(|part| !part.starts_with(['*', '$'])).collect::<Vec<_>>().join(" ").trim().to_owned()
    }

    fn follow(line: &mut Line) -> Vec<News> {
        std::iter::from_fn(|| line.take_news()).collect()
    }

    fn streaming(out: &mut Vec<u8>) -> Line {
        let mut line = line();
        line.on_open(S, 5, out);
        let said = format!("+PONG\r\n+OK\r\n+OK\r\n+FULLRESYNC {} 9\r\n$1\r\nx", "a".repeat(40));
        assert_eq!(line.on_bytes(S, 6, said.as_bytes(), out), Next::Wait);
        out.clear();
        line
    }

    #[test]
    fn it_tries_again_after_a_second() {
        let (mut line, mut out) = (line(), Vec::new());
        assert_eq!(line.stage(), Stage::Connecting);
        line.on_close(3 * S, false);
        assert_eq!((line.stage(), line.next_deadline()), (Stage::Away, u64::MAX));
        assert_eq!(line.on_timer(9 * S, &mut out), Next::Wait, "what has come is followed first");
        assert_eq!(follow(&mut line), [News::Lost(Loss::NotReached)]);
        assert_eq!(line.next_deadline(), 4 * S);
        assert_eq!(line.on_timer(4 * S, &mut out), Next::Connect);
        line.on_open(4 * S, 1, &mut out);
        assert_eq!((line.stage(), said(&mut out)), (Stage::Handshake, "PING".to_owned()));
        assert_eq!(line.on_bytes(4 * S, 1, b"-LOADING\r\n", &mut out), Next::HangUp);
        assert!(matches!(&follow(&mut line)[..], [News::Lost(Loss::Refused(Refusal::Later(_)))]));
        assert_eq!(line.next_deadline(), 5 * S);
    }

    #[test]
    fn an_attempt_that_nobody_answers_is_given_up() {
        let (mut line, mut out) = (line(), Vec::new());
        assert_eq!(line.next_deadline(), 0);
        assert_eq!(line.on_timer(5 * S, &mut out), Next::Wait);
        assert_eq!(line.next_deadline(), 15 * S);
        assert_eq!(line.on_timer(14 * S, &mut out), Next::Wait);
        assert_eq!(line.on_timer(15 * S, &mut out), Next::HangUp);
        assert_eq!(follow(&mut line), [News::Lost(Loss::Silent(Stage::Connecting))]);
        assert_eq!(line.next_deadline(), 15 * S, "one that only waited is tried again at once");
    }

    #[test]
    fn one_that_was_good_is_tried_again_at_once() {
        let mut out = Vec::new();
        let mut line = streaming(&mut out);
        assert_eq!(line.stage(), Stage::Streaming);
        line.on_close(20 * S, true);
        assert_eq!(follow(&mut line).last(), Some(&News::Lost(Loss::Closed)));
        assert_eq!(line.next_deadline(), 20 * S);
        assert_eq!(line.on_timer(20 * S, &mut out), Next::Connect);
        line.on_close(20 * S, false);
        follow(&mut line);
        assert_eq!(line.next_deadline(), 21 * S);
    }

    #[test]
    fn signs_of_life() {
        let mut out = Vec::new();
        let mut line = streaming(&mut out);
        line.set_progress(Progress { applied: 77, synced: None, loads: false });
        assert_eq!(line.next_deadline(), 2 * S);
        assert_eq!(line.on_timer(2 * S, &mut out), Next::Wait);
        assert_eq!(said(&mut out), "REPLCONF ACK 77");
        line.set_progress(Progress { applied: 80, synced: Some(79), loads: false });
        line.acknowledge();
        assert_eq!(line.on_wake(2 * S, &mut out), Next::Wait);
        assert_eq!(said(&mut out), "REPLCONF ACK 80 FACK 79");
        line.set_progress(Progress { loads: true, ..Progress::default() });
        assert_eq!(line.on_timer(3 * S, &mut out), Next::Wait);
        assert_eq!(out, b"\n");
        assert_eq!(line.on_timer(11 * S, &mut out), Next::HangUp);
        assert_eq!(follow(&mut line).last(), Some(&News::Lost(Loss::Silent(Stage::Streaming))));
    }

    #[test]
    fn no_more_is_taken_in_than_is_followed() {
        let mut out = Vec::new();
        let mut line = streaming(&mut out);
        line.on_bytes(S, 1, &vec![b'x'; UNFOLLOWED_BYTES_MAX], &mut out);
        assert!(!line.wants_bytes());
        assert_eq!(line.next_deadline(), 2 * S, "silence is our own doing");
        assert_eq!(line.on_timer(100 * S, &mut out), Next::Wait);
        assert!(!line.has_room_again());
        follow(&mut line);
        assert!(line.has_room_again(), "what was in the queue has left it: nobody else would say so");
        assert!(!line.has_room_again());
        line.set_taken(UNFOLLOWED_BYTES_MAX);
        assert!(!line.wants_bytes());
        line.set_taken(0);
        assert!(line.wants_bytes() && line.has_room_again());
        line.hang_up();
        assert_eq!(line.on_wake(100 * S, &mut out), Next::HangUp);
    }
}
