//! The dict beside hashbrown, in one run on one machine: figures are ratios to trust, not absolute times.
//!
//!     cargo run --release --example dict_bench [keys ...]          default: 100000 1000000
//!
//! Keys are 16 bytes ("key:000000000042"), values 32. hashbrown holds `Box<[u8]>` pairs with a capacity that grows as
//! needed, and hashes with the same foldhash. Each figure is the 40th percentile of the means of batches of 1024
//! operations, which resists preemption. "pause" is the longest single operation by the thread's own CPU clock: the
//! machine may be shared, the clock is not. It still counts page faults, the allocator, and on a virtual machine the
//! host's own absences, for which the pause of doing nothing is the measure.

use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;
use std::time::Instant;

use hashbrown::HashMap;
use kvstash::cow::{CowValue, Epoch, Heap};
use kvstash::dict::{Entry, EntryHead, Payload, Slot, Table};
use kvstash::util::hash::HashSeed;
use kvstash::util::rng::Rng;

const BATCH: usize = 1024;
const VALUE: [u8; 32] = [b'v'; 32];

struct Never(std::convert::Infallible);

impl CowValue for Never {
    fn birth(&self) -> Epoch {
        match self.0 {}
    }
    fn fork(&self, _: &mut Heap) -> Never {
        match self.0 {}
    }
    fn memory(&self) -> usize {
        match self.0 {}
    }
}

fn key(n: usize) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    let (mut n, mut at) = (n, 15);
    while n > 0 {
        key[at] += (n % 10) as u8;
        n /= 10;
        at -= 1;
    }
    key
}

fn shuffled(n: usize, seed: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    let mut rng = Rng::from_seed(seed);
    for i in (1..n).rev() {
        order.swap(i, rng.index(i + 1));
    }
    order
}

/// Nanoseconds per operation: the 40th percentile over batches. `f` gets a batch of key numbers.
fn measure(order: &[u32], mut f: impl FnMut(&[u32])) -> f64 {
    let mut times: Vec<f64> = order
        .chunks(BATCH)
        .map(|batch| {
            let begin = Instant::now();
            f(batch);
            begin.elapsed().as_nanos() as f64 / batch.len() as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() * 2 / 5]
}

fn thread_cpu_ns() -> u64 {
    use nix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every thread has a clock");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// The longest of many operations, by this thread's CPU clock; and a few of the next, to tell a habit from an accident.
#[derive(Default)]
struct Pause([u64; 6]);

impl Pause {
    fn time<R>(&mut self, f: impl FnOnce() -> R) -> R {
        let begin = thread_cpu_ns();
        let result = f();
        let time = thread_cpu_ns() - begin;
        if time > self.0[0] {
            self.0[0] = time;
            self.0.sort();
        }
        result
    }
    fn us(&self) -> f64 {
        self.0[5] as f64 / 1e3
    }
    fn row(&self, name: &str, theirs: Option<f64>) {
        row(name, self.us(), theirs);
        let next: Vec<String> = self.0[..5].iter().rev().map(|&ns| format!("{:.0}", ns as f64 / 1e3)).collect();
        println!("    and then {}", next.join(" "));
    }
}

fn allocated() -> usize {
    tikv_jemalloc_ctl::epoch::advance().expect("jemalloc is the allocator");
    tikv_jemalloc_ctl::stats::allocated::read().expect("jemalloc has statistics")
}

/// foldhash quality for hashbrown, by the same seed.
#[derive(Clone, Copy)]
struct SameHash(HashSeed);
struct SameHasher(HashSeed, u64);

impl BuildHasher for SameHash {
    type Hasher = SameHasher;
    fn build_hasher(&self) -> SameHasher {
        SameHasher(self.0, 0)
    }
}

impl Hasher for SameHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.1 = self.0.hash(bytes);
    }
    fn write_usize(&mut self, _: usize) {}
    fn finish(&self) -> u64 {
        self.1
    }
}

struct Ours {
    heap: Heap,
    table: Table<Entry<Never>>,
}

impl Ours {
    fn set(&mut self, key: &[u8], value: &[u8]) {
        let hash = self.table.hash(key);
        let birth = self.heap.epoch();
        match self.table.entry_mut(&mut self.heap, hash, key) {
            Slot::Occupied(mut slot) => drop(slot.set(None, 0, 0, Payload::Bytes(value))),
            Slot::Vacant(slot) => {
                let head = EntryHead { key, hash, expiry_ms: None, type_id: 0, encoding: 0, clock: 0 };
                slot.insert(Entry::build(birth, &head, Payload::Bytes(value)));
            }
        }
    }
    fn replace(&mut self, key: &[u8], value: &[u8]) {
        let hash = self.table.hash(key);
        let birth = self.heap.epoch();
        let head = EntryHead { key, hash, expiry_ms: None, type_id: 0, encoding: 0, clock: 0 };
        if let Slot::Occupied(mut slot) = self.table.entry_mut(&mut self.heap, hash, key) {
            drop(slot.replace(Entry::build(birth, &head, Payload::Bytes(value))));
        }
    }
    fn get(&self, key: &[u8]) -> Option<u8> {
        Some(self.table.find(self.table.hash(key), key)?.bytes()?[0])
    }
    fn remove(&mut self, key: &[u8]) {
        let hash = self.table.hash(key);
        if let Slot::Occupied(slot) = self.table.entry_mut(&mut self.heap, hash, key) {
            drop(slot.remove());
        }
    }
    fn get_batch(&self, keys: &[[u8; 16]; 16]) -> u64 {
        let hashes = keys.map(|key| self.table.hash(&key));
        hashes.iter().for_each(|&hash| self.table.prefetch_bucket(hash));
        hashes.iter().for_each(|&hash| self.table.prefetch_entry(hash));
        let mut sum = 0;
        for (key, hash) in keys.iter().zip(hashes) {
            sum += self.table.find(hash, key).and_then(|entry| entry.bytes()).map_or(0, |bytes| bytes[0] as u64);
        }
        sum
    }
}

fn row(name: &str, ours: f64, theirs: Option<f64>) {
    match theirs {
        Some(theirs) => println!("  {name:<34} {ours:>9.1} {theirs:>9.1}   {:>5.2}x", ours / theirs),
        None => println!("  {name:<34} {ours:>9.1}"),
    }
}

fn bench(n: usize) {
    println!("{n} keys                                 dict    hashbrown   ratio");
    let seed = HashSeed::fixed(42);
    let insert = shuffled(n, 1);
    let orders: Vec<Vec<u32>> = (2..8).map(|s| shuffled(n, s)).collect();

    // hashbrown
    let base = allocated();
    let mut map: HashMap<Box<[u8]>, Box<[u8]>, SameHash> = HashMap::with_hasher(SameHash(seed));
    let their_insert = measure(&insert, |batch| {
        for &i in batch {
            map.insert(Box::from(key(i as usize)), Box::from(VALUE));
        }
    });
    let their_bytes = (allocated() - base) as f64 / n as f64;
    let their_hit = measure(&orders[0], |batch| {
        for &i in batch {
            black_box(map.get(&key(i as usize)[..]).map(|value| value[0]));
        }
    });
    let their_miss = measure(&orders[1], |batch| {
        for &i in batch {
            black_box(map.get(&key(i as usize + n)[..]).map(|value| value[0]));
        }
    });
    let their_set = measure(&orders[2], |batch| {
        for &i in batch {
            *map.get_mut(&key(i as usize)[..]).expect("it is there") = Box::from(VALUE);
        }
    });
    let mut their_pause = Pause::default();
    let their_del = measure(&orders[3], |batch| {
        for &i in batch {
            map.remove(&key(i as usize)[..]);
        }
    });
    drop(map);
    let mut map: HashMap<Box<[u8]>, Box<[u8]>, SameHash> = HashMap::with_hasher(SameHash(seed));
    for &i in &insert {
        their_pause.time(|| map.insert(Box::from(key(i as usize)), Box::from(VALUE)));
    }
    drop(map);

    // ours
    let base = allocated();
    let mut ours = Ours { heap: Heap::new(), table: Table::new(seed) };
    let insert_ns = measure(&insert, |batch| batch.iter().for_each(|&i| ours.set(&key(i as usize), &VALUE)));
    let bytes = (allocated() - base) as f64 / n as f64;
    row("insert, with growth, ns", insert_ns, Some(their_insert));
    let hit = measure(&orders[0], |batch| batch.iter().for_each(|&i| _ = black_box(ours.get(&key(i as usize)))));
    row("GET hit", hit, Some(their_hit));
    let batched = measure(&orders[1], |batch| {
        for part in batch.chunks_exact(16) {
            let keys = std::array::from_fn(|i| key(part[i] as usize));
            black_box(ours.get_batch(&keys));
        }
    });
    row("GET hit, batch of 16 prefetched", batched, Some(their_hit));
    let miss = measure(&orders[1], |batch| batch.iter().for_each(|&i| _ = black_box(ours.get(&key(i as usize + n)))));
    row("GET miss", miss, Some(their_miss));
    let set = measure(&orders[2], |batch| batch.iter().for_each(|&i| ours.set(&key(i as usize), &VALUE)));
    row("SET overwrite, in place", set, Some(their_set));
    let set = measure(&orders[5], |batch| batch.iter().for_each(|&i| ours.replace(&key(i as usize), &VALUE)));
    row("SET overwrite, new entry", set, Some(their_set));
    row("bytes per entry", bytes, Some(their_bytes));

    // a snapshot
    let mut times: Vec<u128> = (0..1001)
        .map(|_| {
            let begin = Instant::now();
            let opening = ours.heap.open_snapshot();
            let snapshot = (ours.table.view(&opening), opening.ticket());
            let time = begin.elapsed().as_nanos();
            drop(snapshot);
            ours.heap.reap();
            time
        })
        .collect();
    times.sort();
    row("snapshot creation, ns", times[times.len() / 2] as f64, None);
    let opening = ours.heap.open_snapshot();
    let view = ours.table.view(&opening);
    let ticket = opening.ticket();
    let mut rates = vec![];
    for _ in 0..3 {
        let begin = Instant::now();
        let bytes: usize = view.iter().map(|entry| entry.bytes().map_or(0, |bytes| bytes[0] as usize)).sum();
        black_box(bytes);
        rates.push(n as f64 / begin.elapsed().as_secs_f64() / 1e6);
    }
    row("iteration, million entries a second", rates.into_iter().fold(0.0, f64::max), None);
    let reader = std::thread::spawn(move || {
        black_box(view.iter().map(|entry| entry.key()[15] as usize).sum::<usize>());
        (view, ticket)
    });
    let set = measure(&orders[4], |batch| batch.iter().for_each(|&i| ours.set(&key(i as usize), &VALUE)));
    row("SET, first after a snapshot", set, None);
    row("  cloned by it, bytes per key", ours.heap.stats().cloned_bytes as f64 / n as f64, None);
    row("  kept for it, bytes per key", ours.heap.stats().retired_bytes as f64 / n as f64, None);
    drop(reader.join().expect("no panic"));
    ours.heap.reap();
    let begin = Instant::now();
    let mut slice = Pause::default();
    while slice.time(|| ours.heap.reclaim(1000)) {}
    row("reclaiming it, ms in all", begin.elapsed().as_secs_f64() * 1e3, None);
    slice.row("  longest slice of 1000, us", None);

    let opening = ours.heap.open_snapshot();
    let held = (ours.table.view(&opening), opening.ticket());
    let mut pause = Pause::default();
    for &i in &orders[0] {
        pause.time(|| ours.set(&key(i as usize), &VALUE));
    }
    pause.row("longest pause of that, us", None);
    drop(held);
    ours.heap.reap();
    while ours.heap.reclaim(100_000) {}

    let mut pause = Pause::default();
    for _ in 0..3 * n {
        pause.time(|| black_box(0));
    }
    pause.row("longest pause of nothing, us", None);
    let del = measure(&orders[3], |batch| batch.iter().for_each(|&i| ours.remove(&key(i as usize))));
    row("DEL, with shrinking", del, Some(their_del));
    let mut pause = Pause::default();
    for &i in &insert {
        pause.time(|| ours.set(&key(i as usize), &VALUE));
    }
    pause.row("longest pause of an insert, us", Some(their_pause.us()));
    let mut pause = Pause::default();
    for &i in &insert {
        pause.time(|| ours.remove(&key(i as usize)));
    }
    pause.row("longest pause of a delete, us", None);
    let begin = thread_cpu_ns();
    drop(ours.table.take_all(&mut ours.heap));
    row("FLUSHALL of what is left, us", (thread_cpu_ns() - begin) as f64 / 1e3, None);
}

fn main() {
    let mut sizes: Vec<usize> = std::env::args().skip(1).map(|arg| arg.parse().expect("a number of keys")).collect();
    if sizes.is_empty() {
        sizes = vec![100_000, 1_000_000];
    }
    sizes.into_iter().for_each(bench);
}
