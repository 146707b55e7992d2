//! What eviction keeps, on seeded requests: more than exact LRU where keys are popular for long, through scans and
//! drift, under either policy; and keys of small databases beside large ones.

use std::collections::{BTreeSet, HashMap};

use kvstash::db::evict::{Choice, Preference, Scope};
use kvstash::db::{AccessPolicy, ExpiryUpdate, Keyspace, Options};
use kvstash::util::hash::HashSeed;
use kvstash::util::rng::Rng;

const LFU: AccessPolicy = AccessPolicy::Lfu { log_factor: 10, decay_minutes: 1 };
const START_MS: i64 = 1_700_000_000_000;
/// Requests are this far apart: the room below is used up several times a second.
const REQUESTS_PER_MS: usize = 20;

/// A cache of so many keys, in one database, all with a deadline or none.
struct Cache {
    ks: Keyspace,
    room: usize,
    choice: Choice,
    now_ms: i64,
}

impl Cache {
    fn new(room: usize, access: AccessPolicy, scope: Scope) -> Cache {
        let options = Options { access, ..Options::default() };
        let choice = Choice { scope, preference: Preference::LeastUsed, samples: 5 };
        Cache { ks: Keyspace::new(2, HashSeed::fixed(7), options), room, choice, now_ms: START_MS }
    }

    fn ask(&mut self, db: usize, key: u32) -> bool {
        let name = format!("key:{key}");
        let key = self.ks.key(name.as_bytes());
        if self.ks.db(db, self.now_ms).lookup_read(key).is_some() {
            return true;
        }
        while self.ks.size(0) + self.ks.size(1) >= self.room {
            assert!(self.ks.evict_one(self.choice, self.now_ms));
        }
        let expiry = match self.choice.scope {
            Scope::All => ExpiryUpdate::Clear,
            Scope::Volatile => ExpiryUpdate::At(START_MS + 1_000_000_000),
        };
        self.ks.db(db, self.now_ms).set_bytes(key, b"v", expiry);
        false
    }

    fn hits(&mut self, requests: &[u32]) -> usize {
        let mut hits = 0;
        for (i, &key) in requests.iter().enumerate() {
            self.now_ms = START_MS + (i / REQUESTS_PER_MS) as i64;
            hits += usize::from(self.ask(0, key));
        }
        hits
    }
}

/// Zipf's law over `keys` numbers; the ranks move on by one in `drift` requests. With scans of numbers above.
fn requests(keys: usize, n: usize, drift: usize, scans: bool) -> Vec<u32> {
    let mut rng = Rng::from_seed(5);
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=keys)
        .map(|rank| {
            sum += (rank as f64).powf(-0.9);
            sum
        })
        .collect();
    let mut out = Vec::new();
    let mut cold = keys as u32;
    for i in 0..n {
        let at = rng.unit() * sum;
        out.push(((sums.partition_point(|&s| s < at) + i / drift) % keys) as u32);
        if scans && i % (n / 8) == n / 16 {
            out.extend(cold..cold + keys as u32 / 10);
            cold += keys as u32 / 10;
        }
    }
    out
}

fn hits_of_exact_lru(requests: &[u32], room: usize) -> usize {
    let (mut last, mut order, mut hits) = (HashMap::new(), BTreeSet::new(), 0);
    for (i, &key) in requests.iter().enumerate() {
        match last.insert(key, i) {
            Some(before) => {
                hits += 1;
                order.remove(&(before, key));
            }
            None if last.len() > room => {
                let (_, oldest) = order.pop_first().expect("there are keys");
                last.remove(&oldest);
            }
            None => {}
        }
        order.insert((i, key));
    }
    hits
}

#[test]
fn more_requests_find_their_key_than_under_exact_lru() {
    for (drift, scans) in [(2_000, false), (300, false), (300, true)] {
        let requests = requests(20_000, 200_000, drift, scans);
        let lru = hits_of_exact_lru(&requests, 2_000);
        for access in [AccessPolicy::Lru, LFU] {
            for scope in [Scope::All, Scope::Volatile] {
                let hits = Cache::new(2_000, access, scope).hits(&requests);
                let gain = 100.0 * (hits as f64 - lru as f64) / requests.len() as f64;
                assert!(
                    gain > 2.0,
                    "{access:?}, {scope:?}, drift {drift}, scans {scans}: {gain:.2} points more than LRU"
                );
            }
        }
    }
}

#[test]
fn a_small_database_keeps_what_is_used() {
    for access in [AccessPolicy::Lru, LFU] {
        let mut cache = Cache::new(5_000, access, Scope::All);
        assert!((0..10).all(|key| !cache.ask(1, key)));
        let (mut asked, mut found) = (0, 0);
        for i in 0..60_000 {
            cache.now_ms = START_MS + i64::from(i / 20);
            cache.ask(0, i);
            if i % 50 == 0 {
                asked += 1;
                found += u32::from(cache.ask(1, i / 50 % 10));
            }
        }
        assert!(
            found * 10 > asked * 9,
            "{access:?}: {found} of {asked}, and each is used ten times while a turn lasts"
        );
    }
}

#[test]
fn what_nobody_asks_for_again_goes_in_the_order_it_came_nearly() {
    let mut cache = Cache::new(2_000, AccessPolicy::Lru, Scope::All);
    for i in 0..20_000 {
        cache.now_ms += 10;
        cache.ask(0, i);
    }
    let now = cache.now_ms;
    let mut ages = Vec::new();
    for key in 0..20_000u32 {
        let name = format!("key:{key}");
        let key_of = cache.ks.key(name.as_bytes());
        if cache.ks.db(0, now).peek(key_of).is_some() {
            ages.push(20_000 - key);
        }
    }
    ages.sort_unstable();
    assert_eq!(ages.len(), 2_000);
    let (median, oldest) = (ages[1_000], ages[1_999]);
    assert!(median < 1_500 && oldest < 10_000, "median age {median}, oldest {oldest}, of 2000 kept");
}
