//! The keyspace against a `HashMap` with a clock: every write, expiry both ways, databases swapped and flushed, while
//! snapshots are taken, kept, compared on another thread, and dropped.

use kvstash::config::KeyspaceEvents;
use kvstash::db::{
    AccessPolicy, EntryRef, ExpiryUpdate, FlushMode, IncrError, KeyEvent, KeySlot, Keyspace, KeyspaceSnapshot, Options,
    Transfer,
};
use kvstash::util::hash::HashSeed;
use quickcheck::{Arbitrary, Gen, QuickCheck};
use std::collections::{BTreeMap, HashMap};

const DBS: usize = 3;
const START: i64 = 1_700_000_000_000;

#[derive(Clone, Debug)]
enum Op {
    Set {
        db: usize,
        key: u8,
        value: Value,
        expiry: Expiry,
    },
    SetNx {
        db: usize,
        key: u8,
        value: Value,
    },
    GetDel {
        db: usize,
        key: u8,
    },
    Incr {
        db: usize,
        key: u8,
        by: i64,
    },
    Append {
        db: usize,
        key: u8,
        value: Value,
    },
    WriteAt {
        db: usize,
        key: u8,
        at: u32,
        value: Value,
    },
    Remove {
        db: usize,
        key: u8,
        unlink: bool,
    },
    ExpireAt {
        db: usize,
        key: u8,
        after: i16,
    },
    Persist {
        db: usize,
        key: u8,
    },
    Rename {
        db: usize,
        from: u8,
        to: u8,
    },
    Move {
        db: usize,
        key: u8,
        to: usize,
    },
    Copy {
        db: usize,
        from: u8,
        to_db: usize,
        to: u8,
        replace: bool,
    },
    Swap(usize, usize),
    Flush(usize, bool),
    /// Many keys at once, so that the table grows: first number, how many, with a deadline or without.
    Fill {
        db: usize,
        from: u16,
        count: u16,
        expires: bool,
    },
    Advance(u16),
    ActiveExpire(u8),
    Get {
        db: usize,
        key: u8,
    },
    RandomKey(usize),
    ScanAll {
        db: usize,
        count: u8,
    },
    OpenSnapshot,
    CloseSnapshot(usize),
    Reap,
}

#[derive(Clone, Debug)]
enum Value {
    Int(i64),
    Text(u8, u8),
    /// 64 KiB, give or take: blobs and ropes.
    Large(u8, u32),
}

#[derive(Clone, Copy, Debug)]
enum Expiry {
    Clear,
    Keep,
    After(i16),
}

impl Value {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Value::Int(n) => n.to_string().into_bytes(),
            Value::Text(byte, len) => vec![b'a' + byte % 26; usize::from(*len)],
            Value::Large(byte, len) => vec![b'A' + byte % 26; *len as usize],
        }
    }
}

impl Arbitrary for Value {
    fn arbitrary(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 16 {
            0..=4 => Value::Int(i64::arbitrary(g) >> (u8::arbitrary(g) % 64)),
            5 => Value::Large(u8::arbitrary(g), 65_500 + u32::arbitrary(g) % 80),
            6 => Value::Large(u8::arbitrary(g), u32::arbitrary(g) % 200_000),
            _ => Value::Text(u8::arbitrary(g), u8::arbitrary(g)),
        }
    }
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Self {
        let db = usize::arbitrary(g) % DBS;
        let other = usize::arbitrary(g) % DBS;
        let (key, second) = (u8::arbitrary(g) % 24, u8::arbitrary(g) % 24);
        let value = Value::arbitrary(g);
        let expiry = match u8::arbitrary(g) % 4 {
            0 => Expiry::Keep,
            1 => Expiry::After(i16::arbitrary(g)),
            _ => Expiry::Clear,
        };
        match u8::arbitrary(g) % 40 {
            0..=6 => Op::Set { db, key, value, expiry },
            7 => Op::SetNx { db, key, value },
            8 => Op::GetDel { db, key },
            9 | 10 => Op::Incr { db, key, by: i64::arbitrary(g) >> (u8::arbitrary(g) % 64) },
            11 | 12 => Op::Append { db, key, value },
            13 | 14 => Op::WriteAt { db, key, at: u32::arbitrary(g) % 400 * (u32::arbitrary(g) % 300), value },
            15 | 16 => Op::Remove { db, key, unlink: bool::arbitrary(g) },
            17 | 18 => Op::ExpireAt { db, key, after: i16::arbitrary(g) },
            19 => Op::Persist { db, key },
            20 | 21 => Op::Rename { db, from: key, to: second },
            22 | 23 => Op::Move { db, key, to: other },
            24 | 25 => Op::Copy { db, from: key, to_db: other, to: second, replace: bool::arbitrary(g) },
            26 => Op::Swap(db, other),
            27 if u8::arbitrary(g) % 3 == 0 => Op::Flush(db, bool::arbitrary(g)),
            27 | 28 => Op::Fill {
                db,
                from: u16::arbitrary(g) % 2000,
                count: u16::arbitrary(g) % 600,
                expires: bool::arbitrary(g),
            },
            29 | 30 => Op::Advance(u16::arbitrary(g) % 9000),
            31 | 32 => Op::ActiveExpire(u8::arbitrary(g)),
            33 => Op::Get { db, key },
            34 => Op::RandomKey(db),
            35 => Op::ScanAll { db, count: u8::arbitrary(g) },
            36 | 37 => Op::OpenSnapshot,
            38 => Op::CloseSnapshot(usize::arbitrary(g)),
            _ => Op::Reap,
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
struct Stored {
    bytes: Vec<u8>,
    encoding: &'static str,
    expiry: Option<i64>,
}

type Contents = Vec<BTreeMap<Vec<u8>, Stored>>;

fn encoding_of(bytes: &[u8]) -> &'static str {
    let as_int = std::str::from_utf8(bytes).ok().and_then(|s| s.parse::<i64>().ok());
    match as_int {
        Some(n) if n.to_string().as_bytes() == bytes => "int",
        _ if bytes.len() <= 44 => "embstr",
        _ => "raw",
    }
}

fn stored(e: EntryRef<'_>) -> (Vec<u8>, Stored) {
    let bytes = e.string().expect("only strings are stored").to_vec();
    (e.key().to_vec(), Stored { bytes, encoding: e.encoding().name(), expiry: e.expiry_ms() })
}

fn contents(snapshot: &KeyspaceSnapshot) -> Contents {
    let mut all = vec![BTreeMap::new(); DBS];
    for db in snapshot.dbs() {
        all[db.index()] = db.iter().map(stored).collect();
        assert_eq!(all[db.index()].len(), db.keys());
        assert_eq!(all[db.index()].values().filter(|s| s.expiry.is_some()).count(), db.expires());
    }
    all
}

struct Pair {
    real: Keyspace,
    model: Contents,
    now: i64,
    snapshots: Vec<(KeyspaceSnapshot, Contents)>,
    /// Keys that the model has deleted for their time, and the real one has not been asked about yet.
    expired: HashMap<(u32, Vec<u8>), usize>,
}

fn name(key: u8) -> Vec<u8> {
    // Short ones, and ones that outgrow an entry's one-byte length.
    if key % 8 == 7 { vec![key; 100 + usize::from(key) * 20] } else { format!("key:{key}").into_bytes() }
}

impl Pair {
    fn new() -> Self {
        let options = Options { access: AccessPolicy::Lru, ..Options::default() };
        let mut real = Keyspace::new(DBS, HashSeed::fixed(7), options);
        real.set_events(KeyspaceEvents::KEYSPACE.or(KeyspaceEvents::EXPIRED), false);
        Pair { real, model: vec![BTreeMap::new(); DBS], now: START, snapshots: vec![], expired: HashMap::new() }
    }

    /// The model's lazy expiry.
    fn expired(&mut self, db: usize, key: &[u8]) {
        if self.model[db].get(key).is_some_and(|s| s.expiry.is_some_and(|t| t < self.now)) {
            self.model[db].remove(key);
            *self.expired.entry((db as u32, key.to_vec())).or_default() += 1;
        }
    }

    fn put(&mut self, db: usize, key: &[u8], bytes: Vec<u8>, encoding: &'static str, expiry: Option<i64>) {
        self.model[db].insert(key.to_vec(), Stored { bytes, encoding, expiry });
    }

    fn step(&mut self, op: &Op) {
        let now = self.now;
        match op {
            Op::Set { db, key, value, expiry } => {
                let (key, bytes) = (name(*key), value.bytes());
                self.expired(*db, &key);
                let kept = self.model[*db].get(&key).and_then(|s| s.expiry);
                let (update, deadline) = match expiry {
                    Expiry::Clear => (ExpiryUpdate::Clear, None),
                    Expiry::Keep => (ExpiryUpdate::Keep, kept),
                    Expiry::After(ms) => (ExpiryUpdate::At(now + i64::from(*ms)), Some(now + i64::from(*ms))),
                };
                let mut d = self.real.db(*db, now);
                let k = d.key(&key);
                match bytes.len() % 2 {
                    0 => d.set_bytes(k, &bytes, update),
                    _ => d.set_rope(k, bytes[..].into(), update),
                }
                let encoding = encoding_of(&bytes);
                self.put(*db, &key, bytes, encoding, deadline);
            }
            Op::SetNx { db, key, value } => {
                let (key, bytes) = (name(*key), value.bytes());
                self.expired(*db, &key);
                let mut d = self.real.db(*db, now);
                let k = d.key(&key);
                match d.entry(k) {
                    KeySlot::Occupied(o) => {
                        assert_eq!(stored(o.get()).1, self.model[*db][&key]);
                    }
                    KeySlot::Vacant(v) => {
                        v.insert_bytes(
                            &bytes,
                            kvstash::types::string::Spelling::Value,
                            ExpiryUpdate::Keep,
                            KeyEvent::SET,
                        );
                        assert!(!self.model[*db].contains_key(&key));
                        let encoding = encoding_of(&bytes);
                        self.put(*db, &key, bytes, encoding, None);
                    }
                }
            }
            Op::GetDel { db, key } => {
                let key = name(*key);
                self.expired(*db, &key);
                let mut d = self.real.db(*db, now);
                let k = d.key(&key);
                let taken = match d.entry(k) {
                    KeySlot::Occupied(o) => {
                        let was = stored(o.get()).1;
                        o.remove();
                        Some(was)
                    }
                    KeySlot::Vacant(_) => None,
                };
                assert_eq!(taken, self.model[*db].remove(&key));
            }
            Op::Incr { db, key, by } => {
                let key = name(*key);
                self.expired(*db, &key);
                let mut d = self.real.db(*db, now);
                let k = d.key(&key);
                let got = d.incr(k, *by);
                let old = self.model[*db].get(&key).cloned();
                let number = match &old {
                    None => Some(0),
                    Some(s) if encoding_of(&s.bytes) == "int" => std::str::from_utf8(&s.bytes).unwrap().parse().ok(),
                    Some(_) => None,
                };
                let expected = match number {
                    None => Err(IncrError::NotAnInteger),
                    Some(n) => i64::checked_add(n, *by).ok_or(IncrError::Overflow),
                };
                assert_eq!(got, expected);
                if let Ok(n) = got {
                    self.put(*db, &key, n.to_string().into_bytes(), "int", old.and_then(|s| s.expiry));
                }
            }
            Op::Append { db, key, value } => {
                let (key, more) = (name(*key), value.bytes());
                self.expired(*db, &key);
                let mut d = self.real.db(*db, now);
                let k = d.key(&key);
                let len = d.append(k, &more).unwrap();
                match self.model[*db].get_mut(&key) {
                    Some(s) => {
                        s.bytes.extend_from_slice(&more);
                        s.encoding = "raw";
                    }
                    None => {
                        let encoding = encoding_of(&more);
                        self.put(*db, &key, more, encoding, None);
                    }
                }
                assert_eq!(len, self.model[*db][&key].bytes.len());
            }
            Op::WriteAt { db, key, at, value } => {
                let (key, bytes, at) = (name(*key), value.bytes(), *at as usize);
                self.expired(*db, &key);
                let mut d = self.real.db(*db, now);
                let k = d.key(&key);
                let len = match d.entry(k) {
                    KeySlot::Occupied(mut o) => o.write_at(at, &bytes, KeyEvent::SET).unwrap(),
                    KeySlot::Vacant(v) => v.insert_at(at, &bytes, KeyEvent::SET),
                };
                let fresh = Stored { bytes: vec![], encoding: "raw", expiry: None };
                let s = self.model[*db].entry(key).or_insert(fresh);
                s.bytes.resize(s.bytes.len().max(at + bytes.len()), 0);
                s.bytes[at..at + bytes.len()].copy_from_slice(&bytes);
                s.encoding = "raw";
                assert_eq!(len, s.bytes.len());
            }
            Op::Remove { db, key, unlink } => {
                let key = name(*key);
                self.expired(*db, &key);
                let mut d = self.real.db(*db, now);
                let k = d.key(&key);
                let was = if *unlink { d.unlink(k) } else { d.remove(k) };
                assert_eq!(was, self.model[*db].remove(&key).is_some());
            }
            Op::ExpireAt { db, key, after } => {
                let (key, deadline) = (name(*key), now + i64::from(*after));
                self.expired(*db, &key);
                let mut d = self.real.db(*db, now);
                let k = d.key(&key);
                let there = d.expire_at(k, deadline);
                let s = self.model[*db].get_mut(&key);
                assert_eq!(there, s.is_some());
                if let Some(s) = s {
                    s.expiry = Some(deadline);
                }
            }
            Op::Persist { db, key } => {
                let key = name(*key);
                self.expired(*db, &key);
                let mut d = self.real.db(*db, now);
                let k = d.key(&key);
                let done = d.persist(k);
                let had = self.model[*db].get_mut(&key).and_then(|s| s.expiry.take());
                assert_eq!(done, had.is_some());
            }
            Op::Rename { db, from, to } => {
                let (from, to) = (name(*from), name(*to));
                self.expired(*db, &from);
                self.expired(*db, &to);
                let mut d = self.real.db(*db, now);
                let (f, t) = (d.key(&from), d.key(&to));
                let done = d.rename(f, t);
                let value = self.model[*db].remove(&from);
                assert_eq!(done, value.is_some());
                if let Some(value) = value {
                    self.model[*db].insert(to, value);
                }
            }
            Op::Move { db, key, to } => {
                let key = name(*key);
                if db == to {
                    return; // the command refuses that
                }
                self.expired(*db, &key);
                let missing = !self.model[*db].contains_key(&key);
                if !missing {
                    self.expired(*to, &key);
                }
                let mut d = self.real.db(*db, now);
                let k = d.key(&key);
                let outcome = d.move_to(k, *to);
                if missing {
                    assert_eq!(outcome, Transfer::Missing);
                } else if self.model[*to].contains_key(&key) {
                    assert_eq!(outcome, Transfer::Occupied);
                } else {
                    assert_eq!(outcome, Transfer::Done);
                    let value = self.model[*db].remove(&key).unwrap();
                    self.model[*to].insert(key, value);
                }
            }
            Op::Copy { db, from, to_db, to, replace } => {
                let (from, to) = (name(*from), name(*to));
                if db == to_db && from == to {
                    return; // the command refuses that
                }
                self.expired(*db, &from);
                let value = self.model[*db].get(&from).cloned();
                if value.is_some() {
                    self.expired(*to_db, &to);
                }
                let mut d = self.real.db(*db, now);
                let (f, t) = (d.key(&from), d.key(&to));
                let outcome = d.copy_to(f, *to_db, t, *replace);
                match value {
                    None => assert_eq!(outcome, Transfer::Missing),
                    Some(_) if self.model[*to_db].contains_key(&to) && !replace => {
                        assert_eq!(outcome, Transfer::Occupied)
                    }
                    Some(value) => {
                        assert_eq!(outcome, Transfer::Done);
                        self.model[*to_db].insert(to, value);
                    }
                }
            }
            Op::Swap(a, b) => {
                self.real.swap_dbs(*a, *b, now);
                self.model.swap(*a, *b);
            }
            Op::Flush(db, lazily) => {
                let mode = if *lazily { FlushMode::Async } else { FlushMode::Sync };
                assert_eq!(self.real.flush_db(*db, mode, now), self.model[*db].len());
                self.model[*db].clear();
            }
            Op::Fill { db, from, count, expires } => {
                for i in *from..from + count {
                    let key = format!("fill:{i}").into_bytes();
                    let deadline = expires.then(|| now + i64::from(i) * 5);
                    self.expired(*db, &key);
                    let mut d = self.real.db(*db, now);
                    let k = d.key(&key);
                    d.set_bytes(k, &key, deadline.map_or(ExpiryUpdate::Clear, ExpiryUpdate::At));
                    self.put(*db, &key, key.clone(), "embstr", deadline);
                }
            }
            Op::Advance(ms) => self.now += i64::from(*ms),
            Op::ActiveExpire(max) => {
                let before: usize = self.model.iter().map(BTreeMap::len).sum();
                let n = self.real.expire_due(now, usize::from(*max));
                // Which keys go first is known only up to equal deadlines: the names tell.
                self.adopt_expired();
                assert_eq!(before - self.model.iter().map(BTreeMap::len).sum::<usize>(), n);
                let left = self.model.iter().flat_map(BTreeMap::values).any(|s| s.expiry.is_some_and(|t| t < now));
                assert!(n <= usize::from(*max) && (!left || n == usize::from(*max)));
            }
            Op::Get { db, key } => {
                let key = name(*key);
                self.expired(*db, &key);
                let mut d = self.real.db(*db, now);
                let k = d.key(&key);
                let got = d.lookup_read(k).map(|e| stored(e).1);
                assert_eq!(got.as_ref(), self.model[*db].get(&key));
            }
            Op::RandomKey(db) => {
                let chosen = self.real.db(*db, now).random_key();
                self.adopt_expired();
                match chosen {
                    Some(key) => assert!(self.model[*db].contains_key(&key)),
                    None => assert!(self.model[*db].is_empty()),
                }
            }
            Op::ScanAll { db, count } => {
                let mut seen = BTreeMap::new();
                let mut cursor = 0;
                loop {
                    let emit = |e: EntryRef<'_>| {
                        let (key, value) = stored(e);
                        seen.insert(key, value);
                    };
                    cursor = self.real.db(*db, now).scan(cursor, usize::from(*count), |_| true, emit);
                    if cursor == 0 {
                        break;
                    }
                }
                self.adopt_expired();
                assert_eq!(seen, self.model[*db], "a scan of an idle database sees all of it");
            }
            Op::OpenSnapshot => {
                if self.snapshots.len() < 4 {
                    self.snapshots.push((self.real.snapshot(), self.model.clone()));
                }
            }
            Op::CloseSnapshot(n) => {
                if !self.snapshots.is_empty() {
                    let (snapshot, expected) = self.snapshots.swap_remove(n % self.snapshots.len());
                    let same = std::thread::spawn(move || contents(&snapshot) == expected).join().unwrap();
                    assert!(same, "a snapshot shows the keyspace as it was");
                }
            }
            Op::Reap => {
                self.real.reap_snapshots();
            }
        }
    }

    /// Takes the names of the keys that the real one deleted for their time. What the model had not deleted yet goes
    /// now, if it was due.
    fn adopt_expired(&mut self) {
        for k in self.real.trace_mut().take_events().iter() {
            let k = (k.db, k.key.to_vec());
            match self.expired.get_mut(&k) {
                Some(n) if *n > 0 => *n -= 1,
                _ => {
                    let gone = self.model[k.0 as usize].remove(&k.1).expect("only keys that exist run out of time");
                    assert!(gone.expiry.unwrap() < self.now);
                }
            }
        }
        assert!(self.expired.values().all(|&n| n == 0), "the real one deleted what the model did");
    }

    fn compare(&mut self) {
        let before: usize = self.model.iter().map(BTreeMap::len).sum();
        self.adopt_expired();
        assert_eq!(self.model.iter().map(BTreeMap::len).sum::<usize>(), before, "nothing was deleted unasked");
        for (db, expected) in self.model.iter().enumerate() {
            assert_eq!(self.real.size(db), expected.len());
            let info = self.real.info(db, self.now);
            assert_eq!(info.expires, expected.values().filter(|s| s.expiry.is_some()).count());
            let d = self.real.db(db, self.now);
            for (key, value) in expected {
                let found = d.peek(d.key(key)).map(|e| stored(e).1);
                let expected = Some(value).filter(|s| s.expiry.is_none_or(|t| t >= self.now));
                assert_eq!(found.as_ref(), expected);
            }
        }
        self.real.check_invariants();
    }
}

fn equals_a_map_with_a_clock(ops: Vec<Op>) -> bool {
    let mut pair = Pair::new();
    for (i, op) in ops.iter().enumerate() {
        pair.step(op);
        if i % 16 == 0 {
            pair.compare();
        }
    }
    pair.compare();
    for n in (0..pair.snapshots.len()).rev() {
        pair.step(&Op::CloseSnapshot(n));
    }
    pair.real.reap_snapshots();
    assert!(!pair.real.has_snapshot());
    true
}

#[test]
fn keyspace_equals_a_map_with_a_clock() {
    QuickCheck::new().rng(Gen::new(300)).quickcheck(equals_a_map_with_a_clock as fn(Vec<Op>) -> bool);
}
