//! The keyspace itself as a cache, without sockets and with time of its own; and the policies by which it is judged.

use std::collections::{BTreeSet, HashMap};

use kvstash::db::evict::{Choice, Preference, Scope};
use kvstash::db::{AccessPolicy, ExpiryUpdate, Keyspace, Options};
use kvstash::util::hash::HashSeed;
use kvstash::util::rng::Rng;

const START_MS: i64 = 1_700_000_000_000;
const SAMPLES: [usize; 4] = [1, 5, 10, 64];

/// Something that keeps some keys.
trait Cache {
    /// Asks for a key, and keeps it from then on; says whether it was there.
    fn ask(&mut self, key: u32, now_ms: i64) -> bool;
}

pub fn run(requests: &[u32], room: usize, rate: u64) {
    let lfu = AccessPolicy::Lfu { log_factor: 10, decay_minutes: 1 };
    let print = |name: &str, cache: &mut dyn Cache| {
        println!("{name:32} {:6.2} %", share_of_hits(cache, requests, rate));
    };
    for (name, access) in [("lru", AccessPolicy::Lru), ("lfu", lfu)] {
        for samples in SAMPLES {
            print(&format!("allkeys-{name}, {samples} samples"), &mut Kept::new(room, access, samples));
            print(&format!("  {name} of {samples} samples, as in Redis"), &mut Sampled::new(room, access, samples));
        }
    }
    print("true LRU", &mut TrueLru { room, ..TrueLru::default() });
}

fn share_of_hits(cache: &mut dyn Cache, requests: &[u32], rate: u64) -> f64 {
    let counted = requests.len() / 4;
    let mut hits = 0;
    for (i, &key) in requests.iter().enumerate() {
        let hit = cache.ask(key, START_MS + (i as u64 * 1000 / rate) as i64);
        hits += usize::from(hit && i >= counted);
    }
    100.0 * hits as f64 / (requests.len() - counted) as f64
}

/// The real thing.
struct Kept {
    ks: Keyspace,
    room: usize,
    choice: Choice,
}

impl Kept {
    fn new(room: usize, access: AccessPolicy, samples: usize) -> Kept {
        let options = Options { access, ..Options::default() };
        let choice = Choice { scope: Scope::All, preference: Preference::LeastUsed, samples };
        Kept { ks: Keyspace::new(1, HashSeed::fixed(3), options), room, choice }
    }
}

impl Cache for Kept {
    fn ask(&mut self, key: u32, now_ms: i64) -> bool {
        let name = key.to_string();
        let key = self.ks.key(name.as_bytes());
        if self.ks.db(0, now_ms).lookup_read(key).is_some() {
            return true;
        }
        while self.ks.size(0) >= self.room {
            assert!(self.ks.evict_one(self.choice, now_ms));
        }
        self.ks.db(0, now_ms).set_bytes(key, b"v", ExpiryUpdate::Clear);
        false
    }
}

/// What Redis does: the longest idle, or the lowest counter, of some random keys and of the best of those before.
struct Sampled {
    room: usize,
    access: AccessPolicy,
    samples: usize,
    rng: Rng,
    at: HashMap<u32, usize>,
    kept: Vec<(u32, u32)>,
    pool: BTreeSet<(i64, u32)>,
}

impl Sampled {
    fn new(room: usize, access: AccessPolicy, samples: usize) -> Sampled {
        let rng = Rng::from_seed(1);
        Sampled { room, access, samples, rng, at: HashMap::new(), kept: Vec::new(), pool: BTreeSet::new() }
    }

    fn victim(&mut self, now_ms: i64) -> usize {
        loop {
            for _ in 0..self.samples {
                let (key, bits) = self.kept[self.rng.index(self.kept.len())];
                let rank = match self.access {
                    AccessPolicy::Lru => i64::from(self.access.idle_seconds(bits, now_ms)) - now_ms / 1000,
                    AccessPolicy::Lfu { .. } => -i64::from(self.access.frequency(bits, now_ms)),
                };
                self.pool.retain(|&(_, other)| other != key);
                self.pool.insert((rank, key));
                if self.pool.len() > 16 {
                    self.pool.pop_first();
                }
            }
            while let Some((_, key)) = self.pool.pop_last() {
                if let Some(&at) = self.at.get(&key) {
                    return at;
                }
            }
        }
    }
}

impl Cache for Sampled {
    fn ask(&mut self, key: u32, now_ms: i64) -> bool {
        if let Some(&at) = self.at.get(&key) {
            self.kept[at].1 = self.access.touched(self.kept[at].1, now_ms, &mut self.rng);
            return true;
        }
        let new = (key, self.access.fresh(now_ms));
        if self.kept.len() < self.room {
            self.at.insert(key, self.kept.len());
            self.kept.push(new);
        } else {
            let at = self.victim(now_ms);
            self.at.remove(&self.kept[at].0);
            self.at.insert(key, at);
            self.kept[at] = new;
        }
        false
    }
}

/// The key that was not used for longest, exactly.
#[derive(Default)]
struct TrueLru {
    room: usize,
    asked: u64,
    last: HashMap<u32, u64>,
    order: BTreeSet<(u64, u32)>,
}

impl Cache for TrueLru {
    fn ask(&mut self, key: u32, _: i64) -> bool {
        self.asked += 1;
        let before = self.last.insert(key, self.asked);
        if let Some(before) = before {
            self.order.remove(&(before, key));
        } else if self.last.len() > self.room
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.last.remove(&oldest);
        }
        self.order.insert((self.asked, key));
        before.is_some()
    }
}
