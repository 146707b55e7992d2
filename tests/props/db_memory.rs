//! What a key costs: bytes measured at the allocator, and which writes allocate at all.

use kvstash::db::{ExpiryUpdate, Keyspace, Options};
use kvstash::util::hash::HashSeed;
use tikv_jemalloc_ctl::thread;

const NOW: i64 = 1_700_000_000_000;

fn allocated() -> u64 {
    thread::allocatedp::read().expect("the library's allocator counts by thread").get()
}

fn freed() -> u64 {
    thread::deallocatedp::read().expect("the library's allocator counts by thread").get()
}

fn bytes_a_key(n: i64, expiry: impl Fn(i64) -> ExpiryUpdate) -> f64 {
    let mut ks = Keyspace::new(1, HashSeed::fixed(1), Options::default());
    let before = allocated() - freed();
    for i in 0..n {
        let name = format!("key:{i}");
        let key = ks.key(name.as_bytes());
        ks.db(0, NOW).set_bytes(key, b"sixteen bytes...", expiry(i));
    }
    ((allocated() - freed()) - before) as f64 / n as f64
}

#[test]
fn a_small_key_costs_what_the_layout_promises() {
    // The table fills up in step, from 10.5 bytes a key just before its segments split to 21 just after: the promise is
    // about the mean, so two sizes a factor of the square root of two apart are measured.
    let mean =
        |expiry: &dyn Fn(i64) -> ExpiryUpdate| (bytes_a_key(140_000, expiry) + bytes_a_key(198_000, expiry)) / 2.0;
    let plain = mean(&|_| ExpiryUpdate::Clear);
    assert!(plain < 40.0 + 17.5, "{plain} bytes a key");
    let rising = mean(&|i| ExpiryUpdate::At(NOW + 60_000 + i));
    assert!(rising < 48.0 + 17.5 + 9.0, "{rising} bytes a key with rising deadlines");
    let scattered = mean(&|i| ExpiryUpdate::At(NOW + i * 7_919 % 3_600_000));
    assert!(scattered < 48.0 + 17.5 + 12.0, "{scattered} bytes a key with scattered deadlines");
}

#[test]
fn writing_over_a_value_of_the_same_size_class_allocates_nothing() {
    let mut ks = Keyspace::new(1, HashSeed::fixed(1), Options::default());
    let (key, missing) = (ks.key(b"key"), ks.key(b"missing"));
    let mut write = |value: &[u8], expiry| ks.db(0, NOW).set_bytes(key, value, expiry);
    write(b"sixteen bytes...", ExpiryUpdate::Clear);
    let before = (allocated(), freed());
    write(b"SIXTEEN BYTES...", ExpiryUpdate::Clear);
    write(b"fifteen bytes..", ExpiryUpdate::Clear);
    write(b"fourteen bytes", ExpiryUpdate::Keep);
    assert_eq!((allocated(), freed()), before);
    write(b"1", ExpiryUpdate::Clear);
    let before = (allocated(), freed());
    for _ in 0..100 {
        ks.db(0, NOW).incr(key, 1).unwrap();
    }
    assert_eq!((allocated(), freed()), before, "INCR");
    let before = (allocated(), freed());
    for _ in 0..100 {
        assert!(ks.db(0, NOW).lookup_read(key).is_some());
        assert!(ks.db(0, NOW).lookup_read(missing).is_none());
    }
    assert_eq!((allocated(), freed()), before, "GET");
}

#[test]
fn an_ended_snapshot_holds_nothing_back() {
    let mut ks = Keyspace::new(2, HashSeed::fixed(1), Options::default());
    let mut table_bytes = vec![];
    for _ in 0..6 {
        // Every entry and segment of the round before is shared with its snapshot, and replaced here.
        for i in 0..20_000 {
            let name = format!("key:{i}");
            let key = ks.key(name.as_bytes());
            ks.db(0, NOW).set_bytes(key, name.as_bytes(), ExpiryUpdate::At(NOW + i));
        }
        while ks.has_snapshot() || ks.heap_stats().retired_nodes > 0 {
            ks.reap_snapshots();
        }
        table_bytes.push(ks.table_stats(0).bytes);
        drop(ks.snapshot());
    }
    assert!(table_bytes.windows(2).all(|w| w[0] == w[1]), "{table_bytes:?}");
    ks.check_invariants();
}
