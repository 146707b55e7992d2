//! Hostile and careless clients: each costs bounded memory, and nobody else waits for them.

use crate::support::{Conn, Proto, Server, Value, wait_for};
use std::time::{Duration, Instant};

fn used_memory(kv: &mut Conn) -> u64 {
    kv.info("used_memory").parse().unwrap()
}

/// The longest GET another client sees while `act` goes on.
fn latency_during(server: &Server, act: impl FnOnce() + Send) -> Duration {
    let mut probe = server.connect();
    probe.ok("SET probe 1");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let prober = scope.spawn(|| {
            let mut worst = Duration::ZERO;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let asked = Instant::now();
                probe.expect("GET probe", "\"1\"");
                worst = worst.max(asked.elapsed());
                std::thread::sleep(Duration::from_millis(1));
            }
            worst
        });
        act();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        prober.join().unwrap()
    })
}

/// Headers promise what never comes: memory follows what arrived, not what was promised.
#[test]
fn promises_cost_nothing() {
    let server = Server::start(&["--proto-max-bulk-len", "2gb"]);
    let mut kv = server.connect();
    let before = used_memory(&mut kv);
    let mut clients: Vec<Conn> = Vec::new();
    let worst = latency_during(&server, || {
        for _ in 0..50 {
            let mut conn = server.connect();
            conn.raw(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1073741824\r\nsome");
            clients.push(conn);
            let mut conn = server.connect();
            conn.raw(b"*1000000000\r\n$3\r\nDEL\r\n$1\r\na\r\n");
            clients.push(conn);
        }
        std::thread::sleep(Duration::from_millis(200));
    });
    let grown = used_memory(&mut kv).saturating_sub(before);
    if server.peer.satisfies("kvstash") && server.peer == crate::support::Peer::Kvstash {
        assert!(grown < 30 << 20, "100 promises cost {grown} bytes");
        assert!(worst < Duration::from_secs(1), "GET took {worst:?}");
    }
    kv.expect("PING", "PONG");
}

/// A thousand clients in the middle of a request.
#[test]
fn half_sent_requests() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let before = used_memory(&mut kv);
    let mut clients = Vec::new();
    for i in 0..1000 {
        let mut conn = server.connect();
        let request = b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$100\r\nvalue";
        conn.raw(&request[..1 + i % (request.len() - 1)]);
        clients.push(conn);
    }
    wait_for("the thousand to be connected", Duration::from_secs(20), || kv.info("connected_clients") == "1001");
    let grown = used_memory(&mut kv).saturating_sub(before);
    assert!(grown < 100 << 20, "a thousand half requests cost {grown} bytes");
    if server.peer == crate::support::Peer::Kvstash {
        // Once it is plain that they stopped there, they cost what they sent.
        wait_for("their buffers to be given back", Duration::from_secs(20), || {
            used_memory(&mut kv).saturating_sub(before) < 4 << 20
        });
        let mut first = clients.swap_remove(999);
        first.raw(&b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$100\r\nvalue"[1 + 999 % 32..]);
        first.raw(&[b'x'; 95]);
        first.raw(b"\r\n");
        assert_eq!(first.read().text(), "OK", "what waited is still there");
    }
    drop(clients);
    wait_for("them to be gone", Duration::from_secs(20), || kv.info("connected_clients") == "1");
}

/// A client that asks and never reads: its replies wait in bounded memory, then it is closed.
#[test]
fn a_client_that_never_reads() {
    let server = Server::start(&["--client-output-buffer-limit", "normal 20mb 0 0"]);
    let mut kv = server.connect();
    let value = vec![b'v'; 100_000];
    kv.cmd_bytes(&[b"SET", b"big", &value]);
    let mut reader = server.connect();
    let worst = latency_during(&server, || {
        for _ in 0..2_000 {
            if reader.try_raw(b"*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n").is_err() {
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(300));
    });
    wait_for("the client to be closed", Duration::from_secs(10), || kv.info("connected_clients") == "1");
    assert!(worst < Duration::from_millis(500), "GET took {worst:?}");
    if server.peer.satisfies("redis>=7.4") {
        assert_eq!(kv.info("client_output_buffer_limit_disconnections"), "1");
    }
    assert!(used_memory(&mut kv) < 60 << 20);
}

/// The same with a soft limit: more than that for so many seconds.
#[test]
fn the_soft_limit() {
    let server = Server::start(&["--client-output-buffer-limit", "normal 0 1mb 1"]);
    let mut kv = server.connect();
    let value = vec![b'v'; 1 << 20];
    kv.cmd_bytes(&[b"SET", b"big", &value]);
    let mut reader = server.connect();
    for _ in 0..30 {
        reader.send(&["GET", "big"]);
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(kv.info("connected_clients"), "2", "the soft limit waits");
    wait_for("the client to be closed", Duration::from_secs(10), || kv.info("connected_clients") == "1");
}

/// A query buffer that only grows is cut off at its limit.
#[test]
fn the_query_buffer_limit() {
    let server = Server::start(&["--client-query-buffer-limit", "1mb"]);
    let mut kv = server.connect();
    let mut conn = server.connect();
    conn.try_raw(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$30000000\r\n").ok();
    let piece = vec![b'x'; 100_000];
    for _ in 0..300 {
        if conn.try_raw(&piece).is_err() {
            break;
        }
    }
    wait_for("the client to be closed", Duration::from_secs(10), || kv.info("connected_clients") == "1");
    kv.expect("EXISTS a", "0");
}

/// What MULTI has queued counts too.
#[test]
fn an_endless_transaction() {
    let server = Server::start(&["--client-query-buffer-limit", "1mb"]);
    let mut kv = server.connect();
    let mut conn = server.connect();
    conn.ok("MULTI");
    let piece = "x".repeat(100_000);
    let request = format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100000\r\n{piece}\r\n");
    for _ in 0..300 {
        if conn.try_raw(request.as_bytes()).is_err() {
            break;
        }
    }
    wait_for("the client to be closed", Duration::from_secs(10), || kv.info("connected_clients") == "1");
    kv.expect("EXISTS a", "0");
}

/// One client's deep pipeline does not keep another waiting for all of it.
#[test]
fn a_deep_pipeline_shares_the_server() {
    let server = Server::start(&[]);
    if server.peer != crate::support::Peer::Kvstash {
        return;
    }
    let mut greedy = server.connect();
    let request = b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n".repeat(2_000);
    let worst = latency_during(&server, || {
        for _ in 0..50 {
            greedy.raw(&request);
            for _ in 0..2_000 {
                assert_eq!(greedy.read().text(), "OK");
            }
        }
    });
    assert!(worst < Duration::from_millis(200), "a PING beside a pipeline took {worst:?}");
}

/// Ten thousand idle connections are the figure to hold; here a thousand, as far as a test's own descriptors go.
#[test]
fn idle_connections_are_cheap() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let before = used_memory(&mut kv);
    let clients: Vec<Conn> = (0..900).map(|_| server.connect()).collect();
    wait_for("the connections", Duration::from_secs(20), || kv.info("connected_clients") == "901");
    let each = used_memory(&mut kv).saturating_sub(before) / 900;
    assert!(each < 25_000, "{each} bytes a connection");
    if server.peer == crate::support::Peer::Kvstash {
        assert!(each < 6_000, "{each} bytes a connection");
    }
    drop(clients);
}

/// Protected mode: without a password, only the loopback may talk. The loopback is all a test can reach, so this looks
/// at the setting alone.
#[test]
fn protected_mode_lets_the_loopback_in() {
    let server = Server::start(&["--protected-mode", "yes"]);
    let mut kv = server.connect();
    kv.talk("PING => PONG\n CONFIG GET protected-mode => [\"protected-mode\" \"yes\"]");
}

/// A reply whose size only its client chooses has a limit by default, and what is beyond is refused before it is made.
#[test]
fn replies_that_nothing_bounds() {
    let server = Server::start(&[]);
    if server.peer != crate::support::Peer::Kvstash {
        return;
    }
    let too_large = "(error) ERR reply exceeds maximum allowed size (reply-max-bytes)";
    let mut kv = server.connect();
    kv.expect("HSET h a b", "1");
    kv.expect("SADD s a b", "2");
    kv.expect("ZADD z 1 a", "1");
    let before = used_memory(&mut kv);
    for count in [-9_223_372_036_854_775_807i64, -4_611_686_018_427_387_903, -999_999_999_999, -100_000_000] {
        for command in ["SRANDMEMBER s", "HRANDFIELD h", "ZRANDMEMBER z"] {
            kv.expect(&format!("{command} {count}"), too_large);
        }
    }
    for command in ["HRANDFIELD h -4611686018427387903 WITHVALUES", "ZRANDMEMBER z -4611686018427387903 WITHSCORES"] {
        kv.expect(command, too_large);
    }
    assert!(used_memory(&mut kv) < before + (1 << 20));
    kv.expect("SRANDMEMBER none -9223372036854775807", "[]");

    // One that is found to be too large on the way is taken back, in a transaction, too.
    kv.ok("CONFIG SET reply-max-bytes 3000");
    kv.ok(&format!("SET w_a {}", "x".repeat(10_000)));
    kv.expect("RPUSH l a a a", "3");
    kv.ok("MULTI");
    kv.expect("SRANDMEMBER s -490", "QUEUED");
    kv.expect("SORT l BY nosort GET w_*", "QUEUED");
    kv.expect("SORT l BY nosort GET w_* GET w_* STORE d", "QUEUED");
    kv.expect("SORT_RO l BY nosort GET # GET #", "QUEUED");
    kv.expect("PING", "QUEUED");
    let all = kv.cmd(&["EXEC"]);
    let told: Vec<String> = all.items().iter().map(Value::text).collect();
    assert_eq!(told, [too_large, too_large, too_large, r#"["a" "a" "a" "a" "a" "a"]"#, "PONG"]);
    kv.expect("EXISTS d", "0");
    kv.expect("SORT l BY nosort GET w_* LIMIT 0 2 STORE d", "2");
    assert_eq!(kv.cmd(&["SRANDMEMBER", "s", "-400"]).items().len(), 400);

    // 0 is no limit.
    kv.ok("CONFIG SET reply-max-bytes 0");
    assert_eq!(kv.cmd(&["SRANDMEMBER", "s", "-90000"]).items().len(), 90_000);
}

/// A client asks for ten million random elements: the reply ends where its limit is, and so does the client.
#[test]
fn replies_as_large_as_a_client_likes() {
    let server = Server::start(&["--client-output-buffer-limit", "normal 100000 0 0"]);
    let mut kv = server.connect();
    kv.expect("HSET h a b", "1");
    kv.expect("SADD s a", "1");
    kv.expect("ZADD z 1 a", "1");
    for command in ["HRANDFIELD h -9999999", "SRANDMEMBER s -9999999", "ZRANDMEMBER z -9999999 WITHSCORES"] {
        let mut greedy = server.connect();
        let asked = Instant::now();
        greedy.send(&command.split(' ').collect::<Vec<_>>());
        wait_for("the client to be cut off", Duration::from_secs(10), || greedy.is_closed());
        assert!(asked.elapsed() < Duration::from_secs(5), "{command} took {:?}", asked.elapsed());
        kv.expect("PING", "PONG");
    }
}

/// A request with very many arguments leaves nothing behind but what it asked for.
#[test]
fn many_arguments_are_forgotten() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let before = used_memory(&mut kv);
    let mut request = vec!["DEL".to_owned()];
    request.extend((0..200_000).map(|n| n.to_string()));
    assert_eq!(kv.cmd(&request.iter().map(String::as_str).collect::<Vec<_>>()), Value::Int(0));
    wait_for("the room to be given back", Duration::from_secs(10), || used_memory(&mut kv) < before + 200_000);
}

/// What a client had much of is worked off later, but it is over at once, and nothing of it stays.
#[test]
fn who_goes_with_much_leaves_nothing() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let before = used_memory(&mut kv);
    let names: Vec<String> = (0..20_000).map(|i| format!("key:{i}")).collect();
    let mut many = server.connect();
    for some in names.chunks(2_000) {
        many.send(&["WATCH"].into_iter().chain(some.iter().map(String::as_str)).collect::<Vec<_>>());
        many.read();
    }
    many.ok("MULTI");
    for some in names.chunks(1_000) {
        some.iter().for_each(|name| many.send(&["SET", name, "v"]));
        some.iter().for_each(|_| assert_eq!(many.read().string(), "QUEUED"));
    }
    assert!(used_memory(&mut kv) > before + 4_000_000);
    assert_eq!((kv.info("watching_clients").as_str(), kv.info("total_watched_keys").as_str()), ("1", "20000"));
    // A key of the first and of the last part.
    kv.ok("SET key:1 w");
    many.expect("EXEC", "(nil array)");
    assert_eq!(kv.info("watching_clients"), "0");
    wait_for("all to be forgotten", Duration::from_secs(10), || kv.info("total_watched_keys") == "0");
    many.ok("MULTI");
    (0..20_000).for_each(|i| many.send(&["SET", &format!("key:{i}"), "v"]));
    (0..20_000).for_each(|_| _ = many.read());
    drop(many);
    wait_for("its memory", Duration::from_secs(10), || used_memory(&mut kv) < before + 1_000_000);
    assert_eq!(kv.int("DBSIZE"), 1);
}

/// A client remembers keys by the thousand, far more than the table may hold for long; then all are forgotten at once, and
/// at last it goes.
#[test]
fn a_client_that_tracks_all_there_is_keeps_nobody_waiting() {
    let server = Server::start(&["--tracking-table-max-keys", "400000"]);
    let mut kv = server.connect();
    let before = used_memory(&mut kv);
    let keys = |kv: &mut Conn| kv.info("tracking_total_keys").parse::<u64>().unwrap();
    let mut greedy = server.connect_with(Proto::Resp3);
    greedy.ok("CLIENT TRACKING ON");
    let track = |greedy: &mut Conn, from: usize, to: usize| {
        for first in (from..to).step_by(1_000) {
            let names: Vec<String> = (first..first + 1_000).map(|i| format!("key:{i:08}")).collect();
            greedy.send(&["EXISTS"].into_iter().chain(names.iter().map(String::as_str)).collect::<Vec<_>>());
            while !matches!(greedy.read(), Value::Int(0)) {}
        }
    };
    let worst = latency_during(&server, || track(&mut greedy, 0, 600_000));
    assert!(worst < Duration::from_millis(500), "while keys were remembered: {worst:?}");
    assert_eq!(keys(&mut kv), 400_000);
    assert!(used_memory(&mut kv) - before < 60_000_000);
    let worst = latency_during(&server, || {
        kv.ok("CONFIG SET tracking-table-max-keys 1000");
        wait_for("most to be forgotten", Duration::from_secs(20), || keys(&mut kv) == 1_000);
    });
    assert!(worst < Duration::from_millis(500), "while keys were forgotten: {worst:?}");
    kv.ok("CONFIG SET tracking-table-max-keys 0");
    track(&mut greedy, 0, 300_000);
    let worst = latency_during(&server, || {
        kv.ok("SELECT 1");
        kv.ok("FLUSHDB");
        assert_eq!(keys(&mut kv), 0);
        track(&mut greedy, 0, 1_000);
        drop(greedy);
        wait_for("the memory", Duration::from_secs(20), || used_memory(&mut kv) < before + 2_000_000);
    });
    assert!(worst < Duration::from_millis(500), "while all was forgotten: {worst:?}");
}
