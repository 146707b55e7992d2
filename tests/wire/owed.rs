//! Clients that ask for more than they read, or send more than is executed: what they are owed stays bounded, evicts no
//! key, and is theirs when they read at last.

use crate::support::{Conn, Peer, Server, wait_for};
use std::time::Duration;

const MB: u64 = 1 << 20;

fn number(kv: &mut Conn, field: &str) -> u64 {
    kv.info(field).parse().unwrap()
}

/// 20,000 keys whose names make a reply of 2 MB.
fn fill(kv: &mut Conn) {
    let long = "n".repeat(90);
    for from in (0..20_000).step_by(1_000) {
        let lines: Vec<String> = (from..from + 1_000).map(|i| format!("SET {long}:{i:06} v")).collect();
        kv.pipeline(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn what_a_client_is_owed_evicts_nothing() {
    let server = Server::start(&["--snapshot-reads-above", "0"]);
    let mut kv = server.connect();
    fill(&mut kv);
    let max = number(&mut kv, "used_memory") + 3 * MB;
    kv.ok(&format!("CONFIG SET maxmemory-policy allkeys-lru maxmemory {max}"));
    let mut deaf = server.connect();
    for request in ["KEYS *", "LRANGE none 0 -1", "PING"] {
        deaf.raw(format!("{request}\r\n").repeat(30).as_bytes());
    }
    // One that asks for much in one request, and many that ask for a little less than is too much.
    let mut transaction = server.connect();
    transaction.raw(format!("MULTI\r\n{}EXEC\r\n", "KEYS *\r\n".repeat(5)).as_bytes());
    let mut others: Vec<Conn> = (0..20).map(|_| server.connect()).collect();
    others.iter_mut().for_each(|other| other.raw(b"KEYS *\r\nKEYS *\r\n"));
    let mut worst = 0;
    for i in 0..200 {
        kv.expect(&format!("SET new:{} v", i % 10), "OK");
        worst = worst.max(number(&mut kv, "used_memory"));
    }
    if server.peer != Peer::Kvstash {
        return; // Redis keeps all replies, and evicts keys for them
    }
    assert_eq!(kv.info("evicted_keys"), "0");
    assert_eq!(kv.int("DBSIZE"), 20_010);
    assert!(number(&mut kv, "mem_not_counted_for_evict") > 5 * MB);
    // At most one reply each above a megabyte, in buffers that grew by doubling.
    assert!(worst < max + 25 * 8 * MB, "{worst} with a limit of {max}");
    // Another thread makes the replies.
    wait_for("the replies", Duration::from_secs(20), || {
        number(&mut kv, "snapshot_reads_running") + number(&mut kv, "snapshot_reads_waiting") == 0
    });
    drop(others);
    // 31 replies of 2 MB were asked for by one.
    wait_for("the others' to be forgotten", Duration::from_secs(10), || number(&mut kv, "used_memory") < max + 60 * MB);
    for _ in 0..30 {
        assert!(deaf.read().items().len() >= 20_000);
    }
    assert!((0..30).all(|_| deaf.read().items().is_empty()));
    assert!((0..30).all(|_| deaf.read().string() == "PONG"));
    assert_eq!((transaction.read().string(), (0..5).map(|_| transaction.read().string()).count()), ("OK".into(), 5));
    assert_eq!(transaction.read().items().len(), 5);
    deaf.expect("PING", "PONG");
}

/// The same where another thread makes the replies: what it makes, and what is finished and waits in pieces, is no data.
#[test]
fn what_another_thread_makes_for_clients_evicts_nothing() {
    let server = Server::start(&["--snapshot-reads-above", "1000"]);
    let mut kv = server.connect();
    fill(&mut kv);
    let max = number(&mut kv, "used_memory") + MB;
    kv.ok(&format!("CONFIG SET maxmemory-policy allkeys-lru maxmemory {max}"));
    let mut deaf: Vec<Conn> = (0..20).map(|_| server.connect()).collect();
    deaf.iter_mut().for_each(|client| client.raw("KEYS *\r\n".repeat(8).as_bytes()));
    if server.peer != Peer::Kvstash {
        return; // Redis evicts keys for the replies
    }
    wait_for("one reply for each", Duration::from_secs(60), || {
        kv.expect("SET new v", "OK");
        let going_on = number(&mut kv, "snapshot_reads_running") + number(&mut kv, "snapshot_reads_waiting");
        number(&mut kv, "snapshot_reads") >= 20 && going_on == 0
    });
    (0..200).for_each(|_| kv.expect("SET new v", "OK"));
    // The replies are in use, as the client list says, and the data is all there.
    assert!(number(&mut kv, "mem_clients_normal") > 20 * MB);
    assert_eq!(kv.info("evicted_keys"), "0");
    // Half of them read, one piece after the other: what is sent in part counts in full.
    let mut half = deaf.split_off(10);
    for _ in 0..8 {
        half.iter_mut().for_each(|client| assert!(client.read().items().len() >= 20_000));
        kv.expect("SET new v", "OK");
    }
    assert_eq!(kv.info("evicted_keys"), "0");
    assert_eq!(kv.int("DBSIZE"), 20_001);
}

/// Many clients write all their requests before they read the first reply.
#[test]
fn who_reads_late_gets_everything_in_order() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.cmd(&["SET", "value", &"v".repeat(1_000)]);
    let mut late = server.connect();
    let requests: Vec<u8> = (0..60_000).flat_map(|i| format!("GET value\r\nECHO {i}\r\n").into_bytes()).collect();
    late.raw(&requests);
    kv.expect("PING", "PONG");
    if server.peer == Peer::Kvstash {
        let used = number(&mut kv, "used_memory");
        assert!(used < 20 * MB, "60 MB were asked for, {used} bytes are used");
    }
    for i in 0..60_000 {
        assert_eq!(late.read().string().len(), 1_000);
        assert_eq!(late.read().string(), i.to_string());
    }
    late.expect("PING", "PONG");
}

#[test]
fn who_has_said_all_is_still_told_all() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.cmd(&["SET", "value", &"v".repeat(300_000)]);
    for requests in [1, 5, 63, 64, 65, 300] {
        let mut late = server.connect();
        late.raw(format!("{}ECHO end\r\n", "GET value\r\n".repeat(requests)).as_bytes());
        std::thread::sleep(Duration::from_millis(50));
        late.say_no_more();
        if server.peer != Peer::Kvstash {
            continue; // Redis forgets what it owes to a client that has said all
        }
        assert!((0..requests).all(|_| late.read().string().len() == 300_000), "of {requests}");
        assert_eq!(late.read().string(), "end");
        assert!(late.is_closed());
    }
    wait_for("all to be gone", Duration::from_secs(10), || kv.info("connected_clients") == "1");
}

/// What holds requests back for other reasons comes between.
#[test]
fn waits_and_pauses_among_what_waits() {
    let server = Server::start(&["--maxmemory", "4gb"]);
    let mut kv = server.connect();
    kv.cmd(&["SET", "value", &"v".repeat(300_000)]);
    let mut late = server.connect();
    let many = "GET value\r\n".repeat(40);
    late.raw(format!("{many}BLPOP list 0\r\n{many}INCR n\r\n{many}QUIT\r\nINCR n\r\n").as_bytes());
    (0..40).for_each(|_| assert_eq!(late.read().string().len(), 300_000));
    wait_for("it to wait", Duration::from_secs(10), || kv.info("blocked_clients") == "1");
    kv.ok("CLIENT PAUSE 100000 WRITE");
    kv.line("CLIENT UNPAUSE");
    kv.int("RPUSH list element");
    assert_eq!(late.read().items().len(), 2);
    kv.ok("CLIENT PAUSE 100000 WRITE");
    (0..40).for_each(|_| assert_eq!(late.read().string().len(), 300_000));
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(kv.int("EXISTS n"), 0);
    kv.ok("CLIENT UNPAUSE");
    assert_eq!(late.read().int(), 1);
    (0..40).for_each(|_| assert_eq!(late.read().string().len(), 300_000));
    assert_eq!(late.read().string(), "OK");
    assert!(late.is_closed());
    assert_eq!(kv.int("INCR n"), 2);
    // One that goes away while it is owed, or is killed, leaves nothing.
    let mut gone = server.connect();
    gone.ok("CLIENT SETNAME gone");
    gone.raw(many.repeat(5).as_bytes());
    let mut killed = server.connect();
    let id = killed.int("CLIENT ID");
    killed.raw(many.repeat(5).as_bytes());
    std::thread::sleep(Duration::from_millis(50));
    drop(gone);
    assert_eq!(kv.int(&format!("CLIENT KILL ID {id}")), 1);
    wait_for("both to be gone", Duration::from_secs(10), || kv.info("connected_clients") == "1");
}

/// What clients have sent of requests that are not whole yet is theirs as well.
#[test]
fn half_sent_values_evict_nothing_but_whole_ones_count_before_they_are_stored() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    fill(&mut kv);
    let max = number(&mut kv, "used_memory") + 3 * MB;
    kv.ok(&format!("CONFIG SET maxmemory-policy allkeys-lru maxmemory {max}"));
    let mut halves: Vec<Conn> = (0..10).map(|_| server.connect()).collect();
    for half in &mut halves {
        half.raw(b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$2000000\r\n");
        half.raw(&vec![b'v'; 1_900_000]);
    }
    wait_for("all to be received", Duration::from_secs(10), || {
        kv.line("CLIENT LIST").string().lines().filter(|line| line.contains(" qbuf=1900000 ")).count() == 10
    });
    kv.expect("SET new v", "OK");
    if server.peer == Peer::Kvstash {
        assert_eq!(kv.info("evicted_keys"), "0");
    }
    // Without eviction, a value for which there is no room is refused: it is not stored first and regretted later.
    kv.ok("CONFIG SET maxmemory-policy noeviction");
    let value = "v".repeat(5_000_000);
    let oom = "(error) OOM command not allowed when used memory > 'maxmemory'.";
    for request in [vec!["SET", "large", &value], vec!["APPEND", "large", &value], vec!["LPUSH", "large", &value]] {
        assert_eq!(kv.cmd(&request).text(), oom);
    }
    kv.ok("MULTI");
    let queued = kv.cmd(&["SET", "large", &value]).text();
    if queued == "QUEUED" {
        assert_eq!(
            kv.line("EXEC").text(),
            format!("(error) EXECABORT Transaction discarded because of: {}", &oom[8..])
        );
    } else {
        assert_eq!(queued, oom);
        kv.line("EXEC");
    }
    assert_eq!(kv.int("EXISTS large"), 0);
    halves.iter_mut().for_each(|half| half.raw(&vec![b'v'; 100_000]));
}
