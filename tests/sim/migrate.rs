//! MIGRATE between two instances over a network that cuts, delays and breaks, while another client writes.
//!
//! A write that was acknowledged is never lost: as long as the source has a key, it has the last value that was written;
//! once it has it no more, the target has that value. Nobody changes a key that is on its way, whoever asked for it may
//! go, and when it is over nothing is held.

use std::collections::BTreeMap;

use kvstash::client::{Attention, Endpoint};
use kvstash::exec::call::Outcome;
use kvstash::exec::instance::{Alert, CloseReason};
use kvstash::exec::link::{Kept, Link, Lost, Step, Time};
use kvstash::reactor::ConnId;
use kvstash::resp::{Args, Limits, OwnedArgs, Parsed, RequestParser};
use kvstash::util::output_buffer::OutputBuffer;
use kvstash::util::rng::Rng;

use crate::world::{World, seeds};

const MOVER: u32 = 1;
const WRITER: u32 = 2;
const KEYS: usize = 6;

/// The database of the target.
const DB: usize = 1;

/// A connection, as both ends see it.
struct Wire {
    out: OutputBuffer,
    up: Vec<u8>,
    down: Vec<u8>,
    parser: RequestParser,
}

impl Wire {
    fn new() -> Wire {
        Wire { out: OutputBuffer::new(), up: Vec::new(), down: Vec::new(), parser: RequestParser::new() }
    }

    /// The target executes what has come.
    fn serve(&mut self, target: &mut World) {
        let (mut spans, mut larges) = (Vec::new(), Vec::new());
        loop {
            spans.clear();
            match self.parser.parse(&self.up, &Limits::default(), &mut spans, &mut larges) {
                Parsed::Request { consumed, argc } => {
                    let request = OwnedArgs::from(&Args::new(&self.up, &spans[..argc], &larges));
                    self.up.drain(..consumed);
                    assert_eq!(target.ask(MOVER, &request), Outcome::Done);
                }
                Parsed::Incomplete { consumed } => {
                    self.up.drain(..consumed);
                    break;
                }
                Parsed::Error(_) => panic!("the link says nothing that is no request"),
            }
        }
        self.down.extend_from_slice(target.received(MOVER).as_bytes());
    }
}

/// Takes some of the bytes.
fn some(rng: &mut Rng, bytes: &mut Vec<u8>) -> Vec<u8> {
    let n = 1 + rng.index(bytes.len());
    bytes.drain(..if rng.index(2) == 0 { bytes.len() } else { n }).collect()
}

/// The client of a world goes, and another one comes in its place.
fn replace_client(world: &mut World, id: u32) {
    let conn = world.inst.clients.at(id - 1).expect("a client").connection.conn;
    let (mut session, _) = world.inst.clients.remove(conn).expect("its session is there");
    world.inst.forget(&mut session, CloseReason::Broken);
    let conn = ConnId { generation: conn.generation + 1, ..conn };
    world.inst.clients.add(conn, Endpoint::default(), 0);
}

struct Run {
    rng: Rng,
    source: World,
    target: World,
    /// What was written last.
    written: BTreeMap<String, String>,
    writes: u64,
    kept: Option<Kept>,
}

impl Run {
    fn time(&self) -> Time {
        Time { mono_ns: self.source.inst.stamp_ns, wall_ms: self.source.inst.now_ms }
    }

    fn key(&mut self) -> String {
        format!("k{}", self.rng.index(KEYS))
    }

    /// The other client writes a key, unless it has to wait.
    fn write(&mut self, on_their_way: &[String]) {
        self.writes += 1;
        let key = self.key();
        let value = format!("{}{}", self.writes, "x".repeat(self.rng.index(3000)));
        let outcome = self.source.ask(WRITER, &OwnedArgs::from_parts(["SET", &key, &value]));
        let waits = on_their_way.contains(&key);
        assert_eq!(outcome, if waits { Outcome::Postponed } else { Outcome::Done }, "SET {key}");
        if !waits {
            assert_eq!(self.source.received(WRITER), "+OK\r\n");
            self.written.insert(key, value);
        }
    }

    /// The values of a key at both ends.
    fn values(&mut self, key: &str) -> (Option<String>, Option<String>) {
        let get = |world: &mut World, db: usize| {
            let now_ms = world.inst.now_ms;
            let mut db = world.inst.keyspace.db(db, now_ms);
            let key = db.key(key.as_bytes());
            let entry = db.lookup_read(key)?;
            Some(String::from_utf8_lossy(&entry.string().expect("a string").to_vec()).into_owned())
        };
        (get(&mut self.source, 0), get(&mut self.target, DB))
    }

    /// One MIGRATE, from the request to the answer.
    fn migrate(&mut self) {
        for _ in 0..self.rng.index(4) {
            self.write(&[]);
        }
        let keys: Vec<String> = (0..1 + self.rng.index(3)).map(|_| self.key()).collect();
        let (copies, replaces) = (self.rng.index(4) == 0, self.rng.index(4) > 0);
        let db = DB.to_string();
        let options = [(copies, "COPY"), (replaces, "REPLACE"), (true, "KEYS")];
        let options = options.iter().filter(|(wanted, _)| *wanted).map(|(_, word)| *word);
        let words = ["MIGRATE", "other", "1", "", &db, "1000"].into_iter().chain(options);
        let request = OwnedArgs::from_parts(words.chain(keys.iter().map(String::as_str)));
        let outcome = self.source.ask(MOVER, &request);
        let Some(mut link) = self.source.host.links.pop() else {
            assert_eq!((outcome, self.source.received(MOVER).as_str()), (Outcome::Done, "+NOKEY\r\n"));
            return;
        };
        assert_eq!(outcome, Outcome::Blocked);
        let asked = self.written.clone();
        let is_alone = self.drive(&mut *link, if copies { &[] } else { &keys });
        link.finish(&mut self.source.inst, &mut self.source.host);
        self.source.inst.asks.clear();
        assert!(!self.source.inst.alert.has(Alert::KEYS_ON_THEIR_WAY) && self.source.inst.migrations.is_empty());
        let session = self.source.inst.clients.at(MOVER - 1).expect("a client").session;
        assert!(!session.attention.has(Attention::HELD) && self.source.inst.blocked.is_empty());
        let answer = self.source.received(MOVER);
        let is_done = answer == "+OK\r\n";
        assert!(is_alone || is_done || answer.starts_with("-IOERR ") || answer.starts_with("-ERR Target "), "{answer}");
        assert!(!is_alone || answer.is_empty(), "{answer}");
        for key in &keys {
            let Some(last) = self.written.get(key).cloned() else { continue };
            match self.values(key) {
                (Some(here), there) => {
                    assert!(copies || !is_done, "{key} is still here");
                    assert_eq!(here, last);
                    let sent = asked.get(key).cloned();
                    assert!(!is_done || sent.is_none() || there == sent, "a copy of {key} is of when it was asked for");
                }
                (None, there) => {
                    assert_eq!(there.as_ref(), Some(&last), "{key} is nowhere");
                    self.written.remove(key); // it lives there now, and may be written here anew
                }
            }
        }
    }

    /// Drives a link to its end. True if the client that had asked for it went meanwhile.
    fn drive(&mut self, link: &mut dyn Link, on_their_way: &[String]) -> bool {
        let mut is_alone = false;
        let mut step = Step::Reconnect;
        let mut wire = Wire::new();
        loop {
            match step {
                Step::Wait => {}
                Step::HangUp => panic!("MIGRATE has nothing to wait for without a connection"),
                Step::Reconnect if self.rng.index(8) == 0 => {
                    let lost = if self.rng.index(2) == 0 { Lost::Refused } else { Lost::Unreachable };
                    step = link.on_close(self.time(), lost);
                    continue;
                }
                Step::Reconnect => {
                    let kept = self.kept.take().filter(|kept| link.shares() == Some(&kept.key));
                    if kept.is_none() {
                        replace_client(&mut self.target, MOVER);
                    }
                    wire = Wire::new();
                    step = link.on_open(self.time(), kept.as_ref(), &mut wire.out);
                    continue;
                }
                Step::Over => {
                    self.kept = link.keeps();
                    return is_alone;
                }
            }
            let time = self.time();
            step = match self.rng.index(16) {
                0..=3 if !wire.out.is_empty() => {
                    let mut bytes = wire.out.to_vec();
                    let taken = some(&mut self.rng, &mut bytes);
                    wire.out.advance(taken.len());
                    wire.up.extend_from_slice(&taken);
                    link.on_sent(time, wire.out.len());
                    Step::Wait
                }
                4..=6 => {
                    wire.serve(&mut self.target);
                    Step::Wait
                }
                7..=9 if !wire.down.is_empty() => {
                    let bytes = some(&mut self.rng, &mut wire.down);
                    link.on_bytes(time, &bytes, &mut wire.out)
                }
                10 | 11 => {
                    self.write(on_their_way);
                    Step::Wait
                }
                12 if self.rng.index(4) == 0 => {
                    wire.serve(&mut self.target); // it may have come, or not
                    link.on_close(time, Lost::Closed)
                }
                13 if !is_alone && self.rng.index(8) == 0 => {
                    replace_client(&mut self.source, MOVER);
                    is_alone = true;
                    Step::Wait
                }
                14 => {
                    let ms = self.rng.index(300) as i64;
                    self.source.pass(ms);
                    let time = self.time();
                    if link.next_deadline() <= time.mono_ns { link.on_timer(time, &mut wire.out) } else { Step::Wait }
                }
                _ => Step::Wait,
            };
        }
    }
}

#[test]
fn no_write_is_lost() {
    for seed in seeds(300) {
        eprintln!("seed {seed}");
        let mut run = Run {
            rng: Rng::from_seed(seed),
            source: World::new(seed, 2),
            target: World::new(seed + 1, 1),
            written: BTreeMap::new(),
            writes: 0,
            kept: None,
        };
        for _ in 0..30 {
            run.migrate();
        }
    }
}
