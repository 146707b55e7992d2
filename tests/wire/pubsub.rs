//! SUBSCRIBE UNSUBSCRIBE PSUBSCRIBE PUNSUBSCRIBE SSUBSCRIBE SUNSUBSCRIBE PUBLISH SPUBLISH PUBSUB.

use crate::support::{Conn, Peer, Proto, Server, each_proto, wait_for};
use std::time::Duration;

/// Reads one message, which is a push in RESP3 and an array in RESP2.
#[track_caller]
fn hears(kv: &mut Conn, text: &str) {
    let mark = if kv.proto == Proto::Resp3 { ">" } else { "" };
    assert_eq!(kv.read().text(), format!("{mark}{text}"), "over {:?}", kv.proto);
}

/// Sends a request and reads what each of its names is confirmed with.
#[track_caller]
fn confirmed(kv: &mut Conn, line: &str, texts: &[&str]) {
    kv.raw(format!("{line}\r\n").as_bytes());
    texts.iter().for_each(|text| hears(kv, text));
}

/// Nothing more was sent.
#[track_caller]
fn hears_nothing(kv: &mut Conn) {
    let more = kv.read_within(Duration::from_millis(50));
    assert!(more.is_none(), "{}", more.unwrap().text());
}

#[test]
fn channels() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        let mut other = kv.another();
        confirmed(
            kv,
            "SUBSCRIBE a b a",
            &[r#"["subscribe" "a" 1]"#, r#"["subscribe" "b" 2]"#, r#"["subscribe" "a" 2]"#],
        );
        other.expect("PUBLISH a one", "1");
        other.expect("PUBLISH b two", "1");
        other.expect("PUBLISH c three", "0");
        hears(kv, r#"["message" "a" "one"]"#);
        hears(kv, r#"["message" "b" "two"]"#);
        confirmed(kv, "UNSUBSCRIBE b none", &[r#"["unsubscribe" "b" 1]"#, r#"["unsubscribe" "none" 1]"#]);
        other.expect("PUBLISH b x", "0");
        confirmed(kv, "UNSUBSCRIBE", &[r#"["unsubscribe" "a" 0]"#]);
        confirmed(kv, "UNSUBSCRIBE", &[r#"["unsubscribe" (nil) 0]"#]);
        other.expect("PUBLISH a x", "0");
        kv.talk(
            r#"
            PING                     => PONG
            SUBSCRIBE                => (error) ERR wrong number of arguments for 'subscribe' command
            PUBLISH a                => (error) ERR wrong number of arguments for 'publish' command
            SPUBLISH a b c           => (error) ERR wrong number of arguments for 'spublish' command
            PSUBSCRIBE               => (error) ERR wrong number of arguments for 'psubscribe' command
            "#,
        );
    });
}

#[test]
fn patterns() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        let mut other = kv.another();
        confirmed(kv, "PSUBSCRIBE news.* *", &[r#"["psubscribe" "news.*" 1]"#, r#"["psubscribe" "*" 2]"#]);
        confirmed(kv, "SUBSCRIBE news.art", &[r#"["subscribe" "news.art" 3]"#]);
        other.expect("PUBLISH news.art x", "3");
        hears(kv, r#"["message" "news.art" "x"]"#);
        let mut both = [kv.read().text(), kv.read().text()];
        both.sort();
        assert!(both[0].ends_with(r#"["pmessage" "*" "news.art" "x"]"#), "{both:?}");
        assert!(both[1].ends_with(r#"["pmessage" "news.*" "news.art" "x"]"#), "{both:?}");
        other.expect("PUBLISH news x", "1");
        hears(kv, r#"["pmessage" "*" "news" "x"]"#);
        // an empty name matches the empty pattern alone
        other.expect("PUBLISH '' x", "0");
        confirmed(kv, "PUNSUBSCRIBE *", &[r#"["punsubscribe" "*" 2]"#]);
        confirmed(kv, "PUNSUBSCRIBE", &[r#"["punsubscribe" "news.*" 1]"#]);
        confirmed(kv, "PUNSUBSCRIBE", &[r#"["punsubscribe" (nil) 1]"#]);
        other.expect("PUBLISH news.art y", "1");
        hears(kv, r#"["message" "news.art" "y"]"#);
        // Of many patterns, those that match; escaped wildcards are letters.
        for i in 0..100 {
            confirmed(kv, &format!("PSUBSCRIBE k:{i}:[ab]"), &[&format!(r#"["psubscribe" "k:{i}:[ab]" {}]"#, i + 2)]);
        }
        confirmed(kv, r#"PSUBSCRIBE "k\\*:*""#, &[r#"["psubscribe" "k\\*:*" 102]"#]);
        other.expect("PUBLISH k:77:a z", "1");
        other.expect("PUBLISH k:77:c z", "0");
        other.expect("PUBLISH k*:x z", "1");
        hears(kv, r#"["pmessage" "k:77:[ab]" "k:77:a" "z"]"#);
        hears(kv, r#"["pmessage" "k\\*:*" "k*:x" "z"]"#);
        kv.expect("RESET", "RESET");
    });
}

/// Shard channels have a count of their own, no patterns, and never mix with channels.
#[test]
fn shard_channels() {
    let server = Server::start(&[]);
    if !server.peer.satisfies("redis>=7.0,valkey") {
        return;
    }
    each_proto(&server, |kv| {
        let mut other = kv.another();
        confirmed(kv, "SUBSCRIBE a", &[r#"["subscribe" "a" 1]"#]);
        confirmed(kv, "PSUBSCRIBE s*", &[r#"["psubscribe" "s*" 2]"#]);
        confirmed(kv, "SSUBSCRIBE a s", &[r#"["ssubscribe" "a" 1]"#, r#"["ssubscribe" "s" 2]"#]);
        other.expect("SPUBLISH s one", "1");
        hears(kv, r#"["smessage" "s" "one"]"#);
        other.expect("PUBLISH s two", "1");
        hears(kv, r#"["pmessage" "s*" "s" "two"]"#);
        other.expect("SPUBLISH a three", "1");
        hears(kv, r#"["smessage" "a" "three"]"#);
        other.expect("PUBLISH a four", "1");
        hears(kv, r#"["message" "a" "four"]"#);
        other.talk(
            r#"
            PUBSUB CHANNELS          => ["a"]
            PUBSUB SHARDCHANNELS     => sorted ["a" "s"]
            PUBSUB SHARDCHANNELS s*  => ["s"]
            PUBSUB SHARDNUMSUB a s x => ["a" 1 "s" 1 "x" 0]
            PUBSUB SHARDNUMSUB       => []
            "#,
        );
        confirmed(kv, "UNSUBSCRIBE s", &[r#"["unsubscribe" "s" 2]"#]);
        confirmed(kv, "SUNSUBSCRIBE s", &[r#"["sunsubscribe" "s" 1]"#]);
        confirmed(kv, "SUNSUBSCRIBE", &[r#"["sunsubscribe" "a" 0]"#]);
        confirmed(kv, "SUNSUBSCRIBE", &[r#"["sunsubscribe" (nil) 0]"#]);
        other.expect("SPUBLISH a x", "0");
        kv.expect("RESET", "RESET");
    });
}

#[test]
fn introspection() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        let mut one = kv.another();
        let mut two = kv.another();
        confirmed(&mut one, "SUBSCRIBE aa", &[r#"["subscribe" "aa" 1]"#]);
        confirmed(&mut one, "PSUBSCRIBE p*", &[r#"["psubscribe" "p*" 2]"#]);
        confirmed(
            &mut two,
            "SUBSCRIBE aa ab b",
            &[r#"["subscribe" "aa" 1]"#, r#"["subscribe" "ab" 2]"#, r#"["subscribe" "b" 3]"#],
        );
        confirmed(&mut two, "PSUBSCRIBE p* q", &[r#"["psubscribe" "p*" 4]"#, r#"["psubscribe" "q" 5]"#]);
        kv.talk(
            r#"
            PUBSUB CHANNELS          => sorted ["aa" "ab" "b"]
            PUBSUB CHANNELS a*       => sorted ["aa" "ab"]
            PUBSUB CHANNELS x        => []
            PUBSUB NUMSUB aa b c p*  => ["aa" 2 "b" 1 "c" 0 "p*" 0]
            PUBSUB NUMSUB            => []
            PUBSUB NUMPAT            => 2
            PUBSUB CHANNELS a b      => (error) ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP.
            @redis>=7 PUBSUB SHARDCHANNELS a b => (error) ERR unknown subcommand or wrong number of arguments for 'SHARDCHANNELS'. Try PUBSUB HELP.
            PUBSUB bad               => (error) ERR unknown subcommand 'bad'. Try PUBSUB HELP.
            PUBSUB                   => (error) ERR wrong number of arguments for 'pubsub' command
            PUBSUB NUMPAT x          => (error) ERR wrong number of arguments for 'pubsub|numpat' command
            PUBSUB HELP              =~ [PUBSUB <subcommand> *
            CLIENT LIST TYPE pubsub  =~ *flags=P db=0 sub=1 psub=1 *flags=P db=0 sub=3 psub=2 *
            CLIENT LIST TYPE normal  =~ *flags=N *
            "#,
        );
        assert_eq!((kv.info("pubsub_channels"), kv.info("pubsub_patterns")), ("3".into(), "2".into()));
        if kv.peer.satisfies("redis>=7.4") {
            assert_eq!(kv.info("pubsub_clients"), "2");
        }
        // Only subscribers are meant, and what they were subscribed to ends with them.
        kv.expect("CLIENT KILL TYPE pubsub", "2");
        assert!(one.is_closed() && two.is_closed());
        wait_for("subscriptions to end", Duration::from_secs(5), || kv.int("PUBSUB NUMPAT") == 0);
        kv.expect("PUBSUB CHANNELS", "[]");
        assert_eq!(kv.info("pubsub_channels"), "0");
        kv.expect("PUBLISH aa x", "0");
    });
}

/// In RESP2 a message looks like a reply, so a subscriber has few commands left; in RESP3 it has all of them.
#[test]
fn subscriber_mode() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        let only = "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context";
        confirmed(kv, "SUBSCRIBE a", &[r#"["subscribe" "a" 1]"#]);
        if kv.proto == Proto::Resp3 {
            kv.talk("PING => PONG\nPING x => \"x\"\nGET none => (nil)");
            // The mode is the protocol's.
            kv.line("HELLO 2");
        }
        kv.proto = Proto::Resp2;
        kv.talk(
            r#"
            PING                     => ["pong" ""]
            PING x                   => ["pong" "x"]
            PING x y                 => (error) ERR wrong number of arguments for 'ping' command
            nosuch                   =~ (error) ERR unknown command 'nosuch'*
            GET                      => (error) ERR wrong number of arguments for 'get' command
            CLIENT nosuch            =~ (error) ERR unknown subcommand*
            "#,
        );
        for name in ["get a", "config|get x", "multi", "hello 3", "monitor", "publish a x", "info"] {
            let line = name.replace('|', " ");
            let name = name.split(' ').next().unwrap();
            let text = format!("(error) ERR Can't execute '{name}': {only}");
            if kv.peer.satisfies("redis>=7.0") {
                kv.expect(&line, &text);
            }
        }
        if kv.peer.satisfies("redis>=7.0") {
            let text = format!("(error) EXECABORT Transaction discarded because of: Can't execute 'exec': {only}");
            kv.expect("EXEC", &text);
        }
        confirmed(kv, "PSUBSCRIBE p", &[r#"["psubscribe" "p" 2]"#]);
        confirmed(kv, "UNSUBSCRIBE a", &[r#"["unsubscribe" "a" 1]"#]);
        assert!(kv.line("GET a").is_error());
        confirmed(kv, "PUNSUBSCRIBE p", &[r#"["punsubscribe" "p" 0]"#]);
        kv.expect("GET a", "(nil)");
        // RESET ends subscriptions without a word, and QUIT the connection.
        confirmed(kv, "SUBSCRIBE b", &[r#"["subscribe" "b" 1]"#]);
        kv.expect("RESET", "RESET");
        kv.expect("PUBSUB CHANNELS", "[]");
        confirmed(kv, "SUBSCRIBE b", &[r#"["subscribe" "b" 1]"#]);
        kv.expect("QUIT", "OK");
        assert!(kv.is_closed());
    });
}

/// A message that a client sends to itself follows the reply of what caused it, whole transactions included.
#[test]
fn to_oneself() {
    let server = Server::start(&[]);
    let mut kv = server.connect_with(Proto::Resp3);
    confirmed(&mut kv, "SUBSCRIBE a", &[r#"["subscribe" "a" 1]"#]);
    confirmed(&mut kv, "PSUBSCRIBE *", &[r#"["psubscribe" "*" 2]"#]);
    kv.expect("PUBLISH a x", "2");
    hears(&mut kv, r#"["message" "a" "x"]"#);
    hears(&mut kv, r#"["pmessage" "*" "a" "x"]"#);
    let pipelined = kv.pipeline(&["PUBLISH b 1", "PUBLISH b 2", "PING"]);
    assert_eq!([pipelined[0].text(), pipelined[2].text()], ["1", "1"]);
    assert_eq!(pipelined[1].text(), r#">["pmessage" "*" "b" "1"]"#);
    hears(&mut kv, r#"["pmessage" "*" "b" "2"]"#);
    assert_eq!(kv.read().text(), "PONG");
    kv.talk("MULTI => OK\nPUBLISH a 1 => QUEUED\nECHO between => QUEUED\nPUBLISH c 2 => QUEUED");
    kv.expect("EXEC", r#"[2 "between" 1]"#);
    for text in [r#"["message" "a" "1"]"#, r#"["pmessage" "*" "a" "1"]"#, r#"["pmessage" "*" "c" "2"]"#] {
        hears(&mut kv, text);
    }
    // It was subscribed when it published.
    kv.talk("MULTI => OK\nPUBLISH a 1 => QUEUED\nRESET => RESET\nHELLO 3");
    confirmed(&mut kv, "SUBSCRIBE a", &[r#"["subscribe" "a" 1]"#]);
    kv.raw(b"MULTI\r\nPUBLISH a gone\r\nUNSUBSCRIBE a\r\nEXEC\r\nPUBLISH a x\r\n");
    let texts: Vec<String> = (0..4).map(|_| kv.read().text()).collect();
    assert_eq!(texts[3], r#"[1 >["unsubscribe" "a" 0]]"#);
    hears(&mut kv, r#"["message" "a" "gone"]"#);
    assert_eq!(kv.read().text(), "0");
}

/// Confirmations stand in the reply of EXEC; several names in one request break it, in Redis as here.
#[test]
fn in_transactions() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.talk(
        "MULTI\nSUBSCRIBE a => QUEUED\nPUBLISH a x => QUEUED\nGET q => QUEUED\nPING => QUEUED\nUNSUBSCRIBE => QUEUED",
    );
    kv.expect("EXEC", r#"[["subscribe" "a" 1] 1 (nil) ["pong" ""] ["unsubscribe" "a" 0]]"#);
    hears(&mut kv, r#"["message" "a" "x"]"#);
    kv.talk("MULTI\nPUBLISH a => (error) ERR wrong number of arguments for 'publish' command");
    kv.expect("EXEC", "(error) EXECABORT Transaction discarded because of previous errors.");
    if kv.peer.satisfies("redis>=7.0") {
        kv.talk("MULTI\nSSUBSCRIBE s => QUEUED\nPSUBSCRIBE p => QUEUED");
        let denied = "(error) ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client";
        kv.expect("EXEC", &format!(r#"[{denied} ["psubscribe" "p" 1]]"#));
    }
    hears_nothing(&mut kv);
}

/// CLIENT REPLY silences replies; confirmations and messages are none.
#[test]
fn clients_that_want_no_replies() {
    let server = Server::start(&[]);
    let mut kv = server.connect_with(Proto::Resp3);
    kv.send(&["CLIENT", "REPLY", "OFF"]);
    confirmed(&mut kv, "SUBSCRIBE n", &[r#"["subscribe" "n" 1]"#]);
    kv.send(&["PUBLISH", "n", "x"]);
    hears(&mut kv, r#"["message" "n" "x"]"#);
    kv.send(&["GET", "a"]);
    kv.expect("CLIENT REPLY ON", "OK");
    kv.send(&["CLIENT", "REPLY", "SKIP"]);
    confirmed(&mut kv, "SUBSCRIBE m", &[r#"["subscribe" "m" 2]"#]);
    kv.expect("GET a", "(nil)");
    kv.send(&["CLIENT", "REPLY", "SKIP"]);
    confirmed(&mut kv, "UNSUBSCRIBE m n", &[r#"["unsubscribe" "m" 1]"#, r#"["unsubscribe" "n" 0]"#]);
    kv.send(&["CLIENT", "REPLY", "SKIP"]);
    confirmed(&mut kv, "UNSUBSCRIBE", &[r#"["unsubscribe" (nil) 0]"#]);
    kv.expect("PING", "PONG");
}

/// What a client is sent comes in the order in which it was caused, whoever causes it.
#[test]
fn order() {
    let server = Server::start(&[]);
    let mut waiting = server.connect_with(Proto::Resp3);
    let mut kv = server.connect();
    confirmed(&mut waiting, "SUBSCRIBE a b", &[r#"["subscribe" "a" 1]"#, r#"["subscribe" "b" 2]"#]);
    waiting.send(&["BLPOP", "list", "0"]);
    wait_for("BLPOP to wait", Duration::from_secs(5), || kv.info("blocked_clients") == "1");
    kv.pipeline(&["PUBLISH a 1", "RPUSH list v", "PUBLISH a 2", "PUBLISH b 3", "PUBLISH a 4"]);
    hears(&mut waiting, r#"["message" "a" "1"]"#);
    assert_eq!(waiting.read().text(), r#"["list" "v"]"#);
    for text in [r#"["message" "a" "2"]"#, r#"["message" "b" "3"]"#, r#"["message" "a" "4"]"#] {
        hears(&mut waiting, text);
    }
    let id = waiting.int("CLIENT ID");
    waiting.send(&["BLPOP", "list", "0"]);
    wait_for("BLPOP to wait", Duration::from_secs(5), || kv.info("blocked_clients") == "1");
    let replies = kv.pipeline(&["PUBLISH a 5", &format!("CLIENT UNBLOCK {id}"), "PUBLISH a 6"]);
    assert_eq!(replies.iter().map(|r| r.text()).collect::<Vec<_>>(), ["1", "1", "1"]);
    hears(&mut waiting, r#"["message" "a" "5"]"#);
    assert_eq!(waiting.read().text(), "(nil)");
    hears(&mut waiting, r#"["message" "a" "6"]"#);
    // A monitor is shown what it publishes before it hears it or after, but each line once and in order.
    let mut both = server.connect_with(Proto::Resp3);
    confirmed(&mut both, "SUBSCRIBE z", &[r#"["subscribe" "z" 1]"#]);
    both.ok("MONITOR");
    kv.pipeline(&["PUBLISH z 1", "PUBLISH z 2"]);
    hears(&mut both, r#"["message" "z" "1"]"#);
    assert!(both.read().text().contains(r#""PUBLISH" "z" "1""#));
    hears(&mut both, r#"["message" "z" "2"]"#);
    assert!(both.read().text().contains(r#""PUBLISH" "z" "2""#));
}

/// Many subscribers in both protocols, messages of every length, in pipelines: everybody gets all of them, in order.
#[test]
fn many_receivers() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let mut subscribers: Vec<Conn> =
        (0..60).map(|i| server.connect_with(if i % 2 == 0 { Proto::Resp2 } else { Proto::Resp3 })).collect();
    for subscriber in &mut subscribers {
        confirmed(subscriber, "SUBSCRIBE c", &[r#"["subscribe" "c" 1]"#]);
    }
    let lengths = [0, 1, 40, 900, 1100, 4000, 5000, 17_000, 33_000, 100_000];
    let bodies: Vec<String> = (0..100).map(|i| format!("{i}:{}", "x".repeat(lengths[i % lengths.len()]))).collect();
    for some in bodies.chunks(20) {
        some.iter().for_each(|body| kv.send(&["PUBLISH", "c", body]));
        some.iter().for_each(|_| assert_eq!(kv.read().int(), 60));
    }
    for subscriber in &mut subscribers {
        for body in &bodies {
            let heard = subscriber.read();
            assert!(heard.items()[2].string() == *body, "over {:?}: {:.40}", subscriber.proto, heard.text());
        }
    }
    // A shared message is not kept once for each.
    let body = "y".repeat(4 << 20);
    let before: u64 = kv.info("used_memory").parse().unwrap();
    kv.cmd(&["PUBLISH", "c", &body]);
    let after: u64 = kv.info("used_memory").parse().unwrap();
    if server.peer == Peer::Kvstash {
        assert!(after.saturating_sub(before) < 20 << 20, "{before} -> {after}");
    }
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.read().items()[2].string().len(), body.len());
    }
}

/// A subscriber that does not read is closed by the limit of its class; who publishes and who reads does not notice.
#[test]
fn slow_consumers_are_cut() {
    let server = Server::start(&["--client-output-buffer-limit", "pubsub 2mb 0 0", "--timeout", "1"]);
    let mut kv = server.connect();
    let mut slow = server.connect();
    let mut quick = server.connect();
    confirmed(&mut slow, "SUBSCRIBE c", &[r#"["subscribe" "c" 1]"#]);
    confirmed(&mut quick, "PSUBSCRIBE c*", &[r#"["psubscribe" "c*" 1]"#]);
    // A subscriber has nothing to say for as long as it likes.
    std::thread::sleep(Duration::from_millis(2_500));
    let mut kv = if kv.is_closed() { server.connect() } else { kv };
    let body = "x".repeat(100_000);
    let mut sent = 0;
    while kv.cmd(&["PUBLISH", "c", &body]).int() == 2 {
        sent += 1;
        quick.read();
        assert!(sent < 1_000, "100 MB were published, and it is still there");
    }
    quick.read();
    assert!(sent > 10, "{sent}");
    assert_eq!(kv.info("client_output_buffer_limit_disconnections"), "1");
    if server.peer == Peer::Kvstash {
        assert_eq!(kv.info("pubsub_output_limit_disconnections"), "1");
        let log = server.log();
        assert_eq!(log.matches("Closing client for overcoming of output buffer limits").count(), 1, "{log}");
        assert!(log.contains("pubsub"), "{log}");
    }
    // Other clients have other limits, and the soft one needs time.
    kv.ok("CONFIG SET client-output-buffer-limit 'pubsub 0 1mb 1'");
    let mut slow = server.connect();
    confirmed(&mut slow, "SSUBSCRIBE c", &[r#"["ssubscribe" "c" 1]"#]);
    for _ in 0..60 {
        assert_eq!(kv.cmd(&["SPUBLISH", "c", &body]).int(), 1);
    }
    wait_for("the soft limit", Duration::from_secs(10), || kv.int("SPUBLISH c x") == 0);
}

/// What a client is subscribed to counts as its memory, and goes with it.
#[test]
fn subscriptions_are_memory() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let mut greedy = server.connect();
    let memory = |kv: &mut Conn, id: i64| -> u64 {
        let line = kv.line(&format!("CLIENT LIST ID {id}")).string();
        let field = line.split(' ').find_map(|field| field.strip_prefix("tot-mem="));
        field.expect("tot-mem").parse().unwrap()
    };
    let id = greedy.int("CLIENT ID");
    let before = memory(&mut kv, id);
    let name = "n".repeat(1_000);
    for from in (0..2_000).step_by(100) {
        for i in from..from + 100 {
            greedy.send(&[if i % 2 == 0 { "SUBSCRIBE" } else { "PSUBSCRIBE" }, &format!("{name}{i}")]);
        }
        (0..100).for_each(|_| _ = greedy.read());
    }
    let with = memory(&mut kv, id);
    if server.peer == Peer::Kvstash {
        assert!(with > before + 2_000_000, "{before} -> {with}");
    }
    if server.peer == Peer::Kvstash {
        // Redis counts less: not the names.
        kv.ok("CONFIG SET maxmemory-clients 1500000");
        wait_for("the greedy client to be closed", Duration::from_secs(10), || kv.int("PUBSUB NUMPAT") == 0);
        assert_eq!(kv.info("pubsub_channels"), "0");
        assert!(kv.info("evicted_clients") == "1");
    }
}

/// Long patterns, many wildcards, and a hundred thousand subscriptions: nobody waits for long.
#[test]
fn hostile_subscriptions() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let mut bad = server.connect();
    let stars = "a*".repeat(2_000) + "b";
    let long = "p".repeat(64 << 10) + "*";
    for pattern in [&stars, &long, &"[".repeat(5_000), &"\\".repeat(5_001), &"?".repeat(9_999)] {
        assert_eq!(bad.cmd(&["PSUBSCRIBE", pattern]).items()[1].string(), *pattern);
    }
    let began = std::time::Instant::now();
    assert_eq!(kv.cmd(&["PUBLISH", &"a".repeat(10_000), "x"]).int(), 0);
    assert_eq!(kv.cmd(&["PUBLISH", &"p".repeat(64 << 10), "x"]).int(), 1);
    assert_eq!(kv.cmd(&["PUBLISH", &"p".repeat(9_999), "x"]).int(), 1);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(bad.read().items()[1].string(), long);
    assert_eq!(bad.read().items()[1].string().len(), 9_999);
    let mut many = server.connect();
    for from in (0..100_000).step_by(1_000) {
        let names: Vec<String> = (from..from + 1_000).map(|i| format!("channel:{i}")).collect();
        let words: Vec<&str> = std::iter::once("SUBSCRIBE").chain(names.iter().map(String::as_str)).collect();
        many.send(&words);
        (0..1_000).for_each(|_| _ = many.read());
    }
    assert_eq!(kv.info("pubsub_channels"), "100000");
    kv.expect("PUBLISH channel:77777 x", "1");
    hears(&mut many, r#"["message" "channel:77777" "x"]"#);
    drop(many);
    wait_for("its subscriptions to end", Duration::from_secs(10), || kv.info("pubsub_channels") == "0");
    kv.expect("PUBLISH channel:77777 x", "0");
}

/// A publisher waits for the end of CLIENT PAUSE WRITE: replicas would be told of the message.
#[test]
fn publishers_pause() {
    let server = Server::start(&[]);
    if !server.peer.satisfies("redis>=7.0,valkey") {
        return;
    }
    let mut kv = server.connect();
    let mut publisher = server.connect();
    let mut subscriber = server.connect();
    confirmed(&mut subscriber, "SUBSCRIBE c", &[r#"["subscribe" "c" 1]"#]);
    kv.ok("CLIENT PAUSE 10000 WRITE");
    publisher.send(&["PUBLISH", "c", "x"]);
    hears_nothing(&mut subscriber);
    kv.ok("CLIENT UNPAUSE");
    assert_eq!(publisher.read().int(), 1);
    hears(&mut subscriber, r#"["message" "c" "x"]"#);
}

/// It has many channels to leave, which is done between other work; nobody sees that.
#[test]
fn who_is_gone_receives_nothing_however_much_it_was_subscribed_to() {
    let server = Server::start(&[]);
    let (mut kv, mut many, mut other) = (server.connect(), server.connect(), server.connect());
    let names: Vec<String> = (0..50_000).map(|i| format!("c:{i}")).collect();
    for some in names.chunks(5_000) {
        let request = ["SUBSCRIBE"].into_iter().chain(some.iter().map(String::as_str)).collect::<Vec<_>>();
        many.send(&request);
        some.iter().for_each(|_| _ = many.read());
    }
    other.line("SUBSCRIBE c:7");
    other.line("PSUBSCRIBE *:8");
    drop(many);
    wait_for("it to be gone", Duration::from_secs(10), || kv.info("connected_clients") == "2");
    for name in ["c:0", "c:7", "c:30000", "c:49999"] {
        let here = i64::from(name == "c:7");
        assert_eq!(kv.int(&format!("PUBLISH {name} x")), here, "{name}");
        kv.expect(&format!("PUBSUB NUMSUB {name}"), &format!("[\"{name}\" {here}]"));
    }
    assert_eq!(kv.int("PUBLISH c:8 x"), 1, "of the pattern");
    kv.expect("PUBSUB CHANNELS", "[\"c:7\"]");
    kv.expect("PUBSUB NUMPAT", "1");
    assert_eq!(other.read().text(), r#"["message" "c:7" "x"]"#);
}
