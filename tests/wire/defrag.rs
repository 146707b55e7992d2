//! Memory that the system sees: active defragmentation, and pages given back after a flush.
//!
//! What is expected are bounds: how memory lies is not the same in two runs.

use crate::support::{Conn, Peer, Server, wait_for};
use std::time::Duration;

const KEYS: usize = 60_000;

fn number(kv: &mut Conn, field: &str) -> f64 {
    kv.info(field).parse().unwrap()
}

fn send_all(kv: &mut Conn, requests: impl Iterator<Item = Vec<String>>) {
    let requests: Vec<_> = requests.collect();
    for chunk in requests.chunks(500) {
        chunk.iter().for_each(|request| kv.send(request));
        chunk.iter().for_each(|_| assert!(!kv.read().is_error()));
    }
}

fn request(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| word.to_string()).collect()
}

/// Strings of a hundred bytes, a large value of each type, and little ones; then most of all of it deleted at random.
fn fill_and_thin_out(kv: &mut Conn) {
    let value = "v".repeat(100);
    send_all(kv, (0..KEYS).map(|n| request(&["SET", &format!("key:{n}"), &value])));
    let some = |n: usize| !n.is_multiple_of(4);
    let member = |n: usize| format!("member:{n}");
    send_all(kv, (0..KEYS).map(|n| request(&["SADD", "set", &member(n)])));
    send_all(kv, (0..KEYS).map(|n| request(&["HSET", "hash", &member(n), &value[..n % 90]])));
    send_all(kv, (0..KEYS).map(|n| request(&["ZADD", "zset", &(n * 7919 % KEYS).to_string(), &member(n)])));
    send_all(kv, (0..KEYS).map(|n| request(&["RPUSH", "list", &member(n)])));
    send_all(kv, (0..KEYS).map(|n| request(&["XADD", "stream", &format!("{}-1", n + 1), "f", &member(n)])));
    send_all(kv, (0..KEYS).map(|n| request(&["HSET", &format!("small:{}", n / 10), &member(n), &value[..40]])));
    send_all(kv, (0..KEYS).map(|n| request(&["SET", &format!("volatile:{n}"), "v", "EX", &(10_000 + n).to_string()])));
    send_all(kv, (0..KEYS).filter(|n| some(*n)).map(|n| request(&["DEL", &format!("key:{n}")])));
    send_all(kv, (0..KEYS).filter(|n| some(*n)).map(|n| request(&["SREM", "set", &member(n)])));
    send_all(kv, (0..KEYS).filter(|n| some(*n)).map(|n| request(&["HDEL", "hash", &member(n)])));
    send_all(kv, (0..KEYS).filter(|n| some(*n)).map(|n| request(&["ZREM", "zset", &member(n)])));
    send_all(kv, (0..KEYS).filter(|n| n % 500 > 20).map(|n| request(&["XDEL", "stream", &format!("{}-1", n + 1)])));
    send_all(kv, (0..KEYS).filter(|n| some(*n)).map(|n| request(&["DEL", &format!("volatile:{n}")])));
    kv.int("LREM list 0 member:77");
}

/// Moving memory is off, and may be in a server whose allocator cannot.
fn can_defrag(kv: &mut Conn) -> bool {
    let cannot = kv.line("CONFIG SET activedefrag yes").is_error();
    kv.ok("CONFIG SET activedefrag no");
    !cannot
}

#[test]
fn sparse_memory_is_moved_together_and_data_stay_what_they_are() {
    let server = Server::start(&["--activedefrag", "no", "--enable-debug-command", "yes"]);
    let mut kv = server.connect();
    if !can_defrag(&mut kv) {
        return;
    }
    kv.ok("CONFIG SET active-defrag-ignore-bytes 1mb active-defrag-threshold-lower 5 active-defrag-cycle-min 50 active-defrag-cycle-max 75");
    fill_and_thin_out(&mut kv);
    let digest = kv.line("DEBUG DIGEST").text();
    let before = number(&mut kv, "allocator_frag_ratio");
    assert!(before > 1.3, "{before}");
    assert_eq!(kv.info("active_defrag_hits"), "0");
    kv.ok("CONFIG SET activedefrag yes");
    wait_for("less fragmentation", Duration::from_secs(60), || number(&mut kv, "allocator_frag_ratio") < 1.08);
    wait_for("the end of the pass", Duration::from_secs(60), || kv.info("active_defrag_running") == "0");
    for field in ["active_defrag_hits", "active_defrag_misses", "active_defrag_key_hits", "total_active_defrag_time"] {
        assert!(number(&mut kv, field) > 0.0, "{field}");
    }
    assert_eq!(kv.info("current_active_defrag_time"), "0");
    assert_eq!(kv.line("DEBUG DIGEST").text(), digest);
    kv.talk(
        "
        SCARD set              => 15000
        SISMEMBER set member:4 => 1
        HSTRLEN hash member:44 => 44
        ZRANK zset member:0    => 0
        LINDEX list -1         => \"member:59999\"
        XLEN stream            => 2520
        CONFIG RESETSTAT
        ",
    );
    assert_eq!(kv.info("active_defrag_hits"), "0");
    // Everything can still be changed, and freed.
    send_all(&mut kv, (0..KEYS).map(|n| request(&["SADD", "set", &format!("again:{n}")])));
    kv.ok("FLUSHALL");
}

#[test]
fn small_fragmentation_is_left_alone() {
    let server = Server::start(&["--activedefrag", "no", "--enable-debug-command", "yes"]);
    let mut kv = server.connect();
    if !can_defrag(&mut kv) {
        return;
    }
    kv.ok("CONFIG SET active-defrag-ignore-bytes 1gb active-defrag-threshold-lower 5");
    fill_and_thin_out(&mut kv);
    kv.ok("CONFIG SET activedefrag yes");
    let stays = |kv: &mut Conn| {
        std::thread::sleep(Duration::from_millis(500));
        (kv.info("active_defrag_running"), kv.info("active_defrag_hits")) == ("0".to_owned(), "0".to_owned())
    };
    assert!(stays(&mut kv), "fewer bytes than active-defrag-ignore-bytes");
    kv.ok("CONFIG SET active-defrag-ignore-bytes 1mb active-defrag-threshold-lower 900 active-defrag-threshold-upper 1000");
    assert!(stays(&mut kv), "fewer percent than active-defrag-threshold-lower");
    kv.ok("CONFIG SET active-defrag-threshold-lower 5 active-defrag-threshold-upper 10 active-defrag-cycle-max 7");
    wait_for("the greatest effort", Duration::from_secs(10), || kv.info("active_defrag_running") == "7");
    kv.ok("CONFIG SET activedefrag no");
    wait_for("the end", Duration::from_secs(10), || kv.info("active_defrag_running") == "0");
}

/// Ours alone: Redis leaves it to its allocator, which takes ten seconds and more.
#[test]
fn memory_goes_back_soon_after_a_flush() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let mut kv = server.connect();
    if server.peer != Peer::Kvstash {
        return;
    }
    let empty = number(&mut kv, "used_memory_rss");
    kv.ok("DEBUG POPULATE 400000 key 100");
    let full = number(&mut kv, "used_memory_rss");
    assert!(full > empty + 40e6, "{empty} {full}");
    kv.ok("FLUSHALL");
    wait_for("pages", Duration::from_secs(5), || number(&mut kv, "used_memory_rss") < empty + (full - empty) / 4.0);
}
