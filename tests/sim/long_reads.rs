//! Long reads: a reply that another thread makes is the one of the moment at which the command came, byte for byte,
//! whatever is written meanwhile, and however many are under way.

use std::thread;

use kvstash::client::Attention;
use kvstash::exec::long_read::ReadJob;
use kvstash::util::rng::Rng;

use crate::world::World;

/// Clients: one asks in a transaction, which is answered at once; one writes; the others read.
const JUDGE: u32 = 1;
const WRITER: u32 = 2;
const READERS: std::ops::RangeInclusive<u32> = 3..=7;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn read(rng: &mut Rng) -> String {
    let mut name = || NAMES[rng.index(NAMES.len())];
    let (one, other, third) = (name(), name(), name());
    match rng.below(36) {
        0 => "keys *".to_owned(),
        1 => "keys s*[a-m]*".to_owned(),
        2 | 3 => format!("smembers set:{one}"),
        4 | 5 => format!("hgetall hash:{one}"),
        6 => format!("hkeys hash:{one}"),
        7 => format!("hvals hash:{one}"),
        8 => format!("lrange list:{one} 0 -1"),
        9 => format!("lrange list:{one} 3 -4"),
        10 => format!("zrange zset:{one} 0 -1 withscores"),
        11 => format!("zrange zset:{one} 9 2 byscore rev limit 1 40"),
        12 => format!("zrangebyscore zset:{one} -inf (6"),
        13 => format!("zrevrange zset:{one} 0 -1"),
        14 => format!("zrangebylex zset:{one} - + limit 2 100"),
        15 => format!("sort list:{one}"),
        16 => format!("sort list:{one} desc limit 2 9"),
        17 => format!("sort set:{one} alpha"),
        18 => format!("sort set:{one} by nosort"),
        19 => format!("sort list:{one} by string:* get # get string:*"),
        20 => format!("sort_ro zset:{one} alpha get hash:*->f1"),
        21 => format!("sinter set:{one} set:{other}"),
        22 => format!("sunion set:{one} set:{other} set:{third}"),
        23 => format!("sdiff set:{one} set:{other}"),
        24 => format!("sintercard 2 set:{one} set:{other}"),
        25 => format!("zunion 3 zset:{one} zset:{other} set:{third} weights 1 2 3 withscores"),
        26 => format!("zinter 2 zset:{one} zset:{other} aggregate min withscores"),
        27 => format!("zdiff 2 zset:{one} zset:{other}"),
        28 => format!("zintercard 2 zset:{one} zset:{other}"),
        29 => format!("xrange stream:{one} - +"),
        30 => format!("xrange stream:{one} 5 90 count 20"),
        31 => format!("xrevrange stream:{one} + -"),
        32 => "debug digest".to_owned(),
        33 => format!("sunion set:{one} list:{other}"),
        34 => format!("smembers zset:{one}"),
        _ => format!("lrange list:{one} 1 x"),
    }
}

fn write(rng: &mut Rng, serial: &mut u64) -> String {
    *serial += 1;
    let (name, other) = (NAMES[rng.index(NAMES.len())], NAMES[rng.index(NAMES.len())]);
    let (n, score, id) = (rng.below(60), rng.below(12), *serial);
    match rng.below(30) {
        0..=2 => format!("sadd set:{name} m{n} m{} {n}", n + 1),
        3 => format!("srem set:{name} m{n} {n}"),
        4 => format!("sadd set:{name} {n} {}", n * 7),
        5..=7 => format!("hset hash:{name} f{n} {id} g{n} text-{id}"),
        8 => format!("hdel hash:{name} f{n} g{n}"),
        9 => format!("hpexpire hash:{name} {} fields 2 f{n} g{n}", 1 + n),
        10..=12 => format!("rpush list:{name} {n} {score}"),
        13 => format!("lset list:{name} 0 {n}"),
        14 => format!("lpop list:{name} 2"),
        15..=17 => format!("zadd zset:{name} {score} m{n} {} {n}", n % 7),
        18 => format!("zrem zset:{name} m{n} {n}"),
        19..=21 => format!("xadd stream:{name} {id} field {n} other text-{id}"),
        22 => format!("xtrim stream:{name} maxlen {}", 10 + n),
        23 => format!("set string:{n} {score}"),
        24 => format!("set string:m{n} {id} px {}", 1 + n),
        25 => format!("del set:{name} list:{name}"),
        26 => format!("unlink zset:{name} hash:{other}"),
        27 => format!("pexpire set:{name} {}", 1 + n),
        28 => format!("copy set:{name} set:{other} replace"),
        _ if n == 0 => "flushall async".to_owned(),
        _ => format!("append string:{n} {id}"),
    }
}

/// What a request is answered at once, in a transaction.
fn judged(world: &mut World, request: &str) -> String {
    for line in ["multi", request, "exec"] {
        world.say(JUDGE, &words(line));
    }
    let text = world.received(JUDGE);
    text.strip_prefix("+OK\r\n+QUEUED\r\n*1\r\n").unwrap_or_else(|| panic!("{request}: {text}")).to_owned()
}

fn is_reading(world: &World, id: u32) -> bool {
    world.inst.clients.at(id - 1).expect("a client").session.attention.has(Attention::ELSEWHERE)
}

/// Runs one seed; returns how many replies another thread has made.
fn run(seed: u64) -> usize {
    let mut rng = Rng::from_seed(seed);
    let mut world = World::new(seed, *READERS.end());
    world.inst.config.limits.snapshot_reads_above = 1;
    world.inst.config.server.enable_debug_command = kvstash::config::choice::Allowed::Yes;
    world.inst.config_changed();
    let (mut serial, mut away) = (0, 0);
    let mut expected = vec![None; 1 + *READERS.end() as usize];
    for _ in 0..200 {
        world.say(WRITER, &words(&write(&mut rng, &mut serial)));
    }
    for _ in 0..60 {
        // Reads come in, with writes between them.
        for reader in READERS {
            if !is_reading(&world, reader) && rng.below(3) > 0 {
                let request = read(&mut rng);
                let reply = judged(&mut world, &request);
                world.say(reader, &words(&request));
                if is_reading(&world, reader) {
                    expected[reader as usize] = Some((request, reply));
                } else {
                    assert_eq!(world.received(reader), reply, "seed {seed}: {request}");
                }
            }
            (0..rng.below(4)).for_each(|_| world.say(WRITER, &words(&write(&mut rng, &mut serial))));
        }
        // Some of them are done while more is written.
        let (mut jobs, mut waits): (Vec<ReadJob>, Vec<ReadJob>) = (Vec::new(), Vec::new());
        for job in std::mem::take(&mut world.host.reads) {
            if rng.below(3) > 0 { jobs.push(job) } else { waits.push(job) }
        }
        world.host.reads = waits;
        let threads: Vec<_> = jobs.into_iter().map(|job| thread::spawn(|| job.run())).collect();
        for _ in 0..rng.below(40) {
            world.say(WRITER, &words(&write(&mut rng, &mut serial)));
        }
        world.pass(rng.below(20) as i64);
        world.settle();
        world.inst.keyspace.reap_snapshots();
        for done in threads {
            world.inst.read_is_done(&mut world.host, done.join().expect("no panic"), 1000);
            away += 1;
        }
        world.inst.asks.clear();
        for reader in READERS {
            if !is_reading(&world, reader)
                && let Some((request, reply)) = expected[reader as usize].take()
            {
                assert_eq!(world.received(reader), reply, "seed {seed}: {request}");
            }
        }
        world.received(WRITER);
    }
    for job in std::mem::take(&mut world.host.reads) {
        world.inst.read_is_done(&mut world.host, job.run(), 1000);
    }
    assert!(READERS.into_iter().all(|reader| !is_reading(&world, reader)));
    world.inst.keyspace.reap_snapshots();
    assert!(!world.inst.keyspace.has_snapshot());
    world.inst.keyspace.check_invariants();
    away
}

#[test]
fn replies_are_of_the_moment_at_which_the_command_came() {
    let away: usize = (0..20).map(run).sum();
    assert!(away > 20 * 50, "only {away} reads were long");
}

/// Sixteen snapshots are alive at most; who comes later waits, and is answered in its turn.
#[test]
fn who_comes_too_late_waits() {
    let mut world = World::new(1, 40);
    world.inst.config.limits.snapshot_reads_above = 1;
    world.inst.config_changed();
    world.say(1, &words("sadd s a b c"));
    (2..=40).for_each(|id| world.say(id, &words("smembers s")));
    assert_eq!((world.host.reads.len(), world.inst.readers.waiting()), (16, 23));
    assert_eq!(world.inst.blocked_clients(), 0);
    world.say(1, &words("sadd s d"));
    // One goes while it waits, one while it is read for.
    for id in [30, 5] {
        let mut client = world.inst.clients.take(id - 1).expect("a client");
        world.inst.forget(&mut client, kvstash::exec::instance::CloseReason::Killed);
        world.inst.clients.put_back(client);
    }
    assert_eq!((world.inst.readers.running(), world.inst.readers.waiting()), (16, 22));
    let mut done = Vec::new();
    while !world.host.reads.is_empty() {
        let job = world.host.reads.remove(0);
        world.inst.read_is_done(&mut world.host, job.run(), 1000);
        done.extend((2..=40).filter(|id| {
            let news = world.received(*id);
            assert!(news.is_empty() || news.starts_with(if *id <= 17 { "*3" } else { "*4" }), "{id}: {news}");
            !news.is_empty()
        }));
    }
    let all: Vec<u32> = (2..=40).filter(|id| ![5, 30].contains(id)).collect();
    assert_eq!(done, all, "in order of arrival");
    assert_eq!((world.inst.readers.counts.done, world.inst.readers.counts.cancelled), (37, 1));
    world.inst.keyspace.reap_snapshots();
    assert!(!world.inst.keyspace.has_snapshot());
}
