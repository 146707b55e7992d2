//! CLIENT TRACKING CACHING GETREDIR TRACKINGINFO.

use crate::support::{Conn, Proto, Server, each_proto, wait_for};
use std::time::Duration;

/// Reads one message about keys, as RESP3 has it.
#[track_caller]
fn hears(kv: &mut Conn, keys: &str) {
    assert_eq!(kv.read().text(), format!(r#">["invalidate" {keys}]"#));
}

/// Nothing more was sent.
#[track_caller]
fn hears_nothing(kv: &mut Conn) {
    let more = kv.read_within(Duration::from_millis(50));
    assert!(more.is_none(), "{}", more.unwrap().text());
}

/// A client that tracks, and one that does not.
fn two(server: &Server, options: &str) -> (Conn, Conn) {
    let mut kv = server.connect_with(Proto::Resp3);
    kv.expect(&format!("CLIENT TRACKING ON {options}"), "OK");
    (kv, server.connect())
}

#[test]
fn options() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        let switch = "before disabling tracking for this client, and then re-enabling it with a different mode.";
        let overlap = "Prefixes for a single client must not overlap.";
        let missing = "(error) ERR The client ID you want redirect to does not exist";
        kv.talk(
            r#"
            CLIENT GETREDIR                              => -1
            CLIENT TRACKINGINFO                          => ["flags" ["off"] "redirect" -1 "prefixes" []] || {"flags": #["off"], "redirect": -1, "prefixes": []}
            CLIENT TRACKING                              => (error) ERR wrong number of arguments for 'client|tracking' command
            CLIENT TRACKING x                            => (error) ERR syntax error
            CLIENT TRACKING on x                         => (error) ERR syntax error
            CLIENT TRACKING off PREFIX                   => (error) ERR syntax error
            CLIENT TRACKING on REDIRECT                  => (error) ERR syntax error
            CLIENT TRACKING on REDIRECT x                => (error) ERR value is not an integer or out of range
            CLIENT TRACKING on PREFIX a                  => (error) ERR PREFIX option requires BCAST mode to be enabled
            CLIENT TRACKING on BCAST OPTIN               => (error) ERR OPTIN and OPTOUT are not compatible with BCAST
            CLIENT TRACKING on OPTIN OPTOUT              => (error) ERR You can't specify both OPTIN mode and OPTOUT mode
            CLIENT CACHING YES                           => (error) ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled
            CLIENT CACHING                               => (error) ERR wrong number of arguments for 'client|caching' command
            CLIENT TRACKING on                           => OK
            CLIENT GETREDIR                              => 0
            CLIENT INFO                                  =~ *flags=t *redir=0 *
            CLIENT CACHING YES                           => (error) ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.
            CLIENT CACHING NO                            => (error) ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.
            CLIENT CACHING x                             => (error) ERR syntax error
            CLIENT TRACKING on OPTIN NOLOOP              => OK
            CLIENT CACHING YES                           => OK
            CLIENT TRACKINGINFO                          => ["flags" ["on" "optin" "caching-yes" "noloop"] "redirect" 0 "prefixes" []] || {"flags": #["on" "optin" "caching-yes" "noloop"], "redirect": 0, "prefixes": []}
            PING                                         => PONG
            CLIENT TRACKINGINFO                          => ["flags" ["on" "optin" "noloop"] "redirect" 0 "prefixes" []] || {"flags": #["on" "optin" "noloop"], "redirect": 0, "prefixes": []}
            CLIENT TRACKING off                          => OK
            CLIENT TRACKING on BCAST PREFIX b: PREFIX a: => OK
            CLIENT TRACKINGINFO                          => ["flags" ["on" "bcast"] "redirect" 0 "prefixes" ["a:" "b:"]] || {"flags": #["on" "bcast"], "redirect": 0, "prefixes": ["a:" "b:"]}
            CLIENT INFO                                  =~ *flags=tB *redir=0 *
            CLIENT TRACKING off                          => OK
            CLIENT TRACKING off                          => OK
            CLIENT INFO                                  =~ *flags=N *redir=-1 *
            "#,
        );
        for id in ["0", "-1", "99999"] {
            kv.expect(&format!("CLIENT TRACKING on REDIRECT {id}"), missing);
            kv.expect(&format!("CLIENT TRACKING off REDIRECT {id}"), missing);
        }
        let own = kv.int("CLIENT ID");
        kv.expect(
            &format!("CLIENT TRACKING on REDIRECT {own} REDIRECT {own}"),
            "(error) ERR A client can only redirect to a single other client",
        );
        kv.expect("CLIENT TRACKING on OPTIN", "OK");
        let text = format!("(error) ERR You can't switch OPTIN/OPTOUT mode {switch}");
        kv.expect("CLIENT TRACKING on OPTOUT", &text);
        let text = format!("(error) ERR You can't switch BCAST mode on/off {switch}");
        kv.expect("CLIENT TRACKING on BCAST", &text);
        kv.talk("CLIENT TRACKING off => OK\nCLIENT TRACKING on BCAST PREFIX a => OK");
        kv.expect("CLIENT TRACKING on", &text);
        for (prefixes, text) in [
            ("PREFIX ab", format!("Prefix 'ab' overlaps with an existing prefix 'a'. {overlap}")),
            ("PREFIX x PREFIX xy", format!("Prefix 'x' overlaps with another provided prefix 'xy'. {overlap}")),
        ] {
            kv.expect(&format!("CLIENT TRACKING on BCAST {prefixes}"), &format!("(error) ERR {text}"));
        }
        kv.expect("RESET", "RESET");
        kv.expect("CLIENT TRACKINGINFO", r#"["flags" ["off"] "redirect" -1 "prefixes" []]"#);
    });
}

/// What was read is told of once; who reads it again is told again.
#[test]
fn keys_that_were_read() {
    let server = Server::start(&[]);
    let (mut kv, mut other) = two(&server, "");
    kv.talk("GET a => (nil)\nMGET b c a => [(nil) (nil) (nil)]\nHGETALL h => {}\nTTL a => -2\nEXISTS d => 0");
    assert_eq!((other.info("tracking_total_keys"), other.info("tracking_total_items")), ("5".into(), "5".into()));
    assert_eq!((other.info("tracking_clients"), other.info("tracking_total_prefixes")), ("1".into(), "0".into()));
    other.expect("MSET a 1 x 2 b 3", "OK");
    hears(&mut kv, r#"["a"]"#);
    hears(&mut kv, r#"["b"]"#);
    other.expect("SET a 2", "OK");
    hears_nothing(&mut kv);
    kv.expect("GET a", "\"2\"");
    // A key is known by its name alone, whichever database it is in.
    other.talk("SELECT 3 => OK\nSET a 3 => OK\nSELECT 0 => OK");
    hears(&mut kv, r#"["a"]"#);
    // What a command reads counts even if it fails, and what writes does not read.
    other.expect("SET s v", "OK");
    assert!(kv.line("LRANGE s 0 1").is_error());
    kv.talk("INCR n => 1\nGETSET g 1 => (nil)\nKEYS nothing => []");
    other.talk("SET s 1 => OK\nSET n 1 => OK\nSET g 1 => OK");
    hears(&mut kv, r#"["s"]"#);
    hears_nothing(&mut kv);
    // Off and on again.
    kv.talk("GET a => \"2\"\nGET b => \"3\"\nCLIENT TRACKING off => OK");
    other.expect("SET a 1", "OK");
    kv.expect("CLIENT TRACKING on", "OK");
    other.talk("SET a 2 => OK\nSET b 2 => OK");
    hears(&mut kv, r#"["b"]"#);
    // In RESP2 nothing can be said, and nothing is kept for later.
    kv.line("HELLO 2");
    kv.proto = Proto::Resp2;
    kv.expect("GET a", "\"2\"");
    other.expect("SET a 3", "OK");
    kv.line("HELLO 3");
    kv.proto = Proto::Resp3;
    hears_nothing(&mut kv);
    assert_eq!(other.info("tracking_total_keys"), "3", "c, d and h are left: KEYS has no keys");
}

/// What a client changes itself comes behind the reply, and behind all of EXEC's.
#[test]
fn own_changes() {
    let server = Server::start(&[]);
    let (mut kv, mut other) = two(&server, "");
    kv.talk("GET a => (nil)\nSET a 1 => OK");
    hears(&mut kv, r#"["a"]"#);
    kv.talk("GET a => \"1\"\nMULTI => OK\nSET a 2 => QUEUED\nGET a => QUEUED\nDEL a => QUEUED\nGET a => QUEUED");
    kv.expect("EXEC", r#"[OK "2" 1 (nil)]"#);
    hears(&mut kv, r#"["a"]"#);
    hears(&mut kv, r#"["a"]"#);
    other.expect("SET a 3", "OK");
    hears(&mut kv, r#"["a"]"#);
    kv.talk("GET a => \"3\"\nCLIENT TRACKING on NOLOOP => OK\nSET a 4 => OK\nGET a => \"4\"");
    other.expect("SET a 5", "OK");
    hears(&mut kv, r#"["a"]"#);
    // Its own change has made it forgotten, too.
    kv.talk("GET a => \"5\"\nSET a 6 => OK");
    other.expect("SET a 7", "OK");
    hears_nothing(&mut kv);
    // It is not silenced as replies are.
    kv.expect("CLIENT TRACKING on", "OK");
    kv.expect("GET a", "\"7\"");
    kv.send(&["CLIENT", "REPLY", "SKIP"]);
    kv.send(&["SET", "a", "8"]);
    hears(&mut kv, r#"["a"]"#);
    // Events come before what the client has changed, and after what others have.
    kv.talk("CONFIG SET notify-keyspace-events K$ => OK\nGET a => \"8\"");
    kv.raw(b"SUBSCRIBE __keyspace@0__:a\r\n");
    assert_eq!(kv.read().text(), r#">["subscribe" "__keyspace@0__:a" 1]"#);
    let event = r#">["message" "__keyspace@0__:a" "set"]"#;
    kv.expect("SET a 9", "OK");
    assert_eq!(kv.read().text(), event);
    hears(&mut kv, r#"["a"]"#);
    kv.expect("GET a", "\"9\"");
    other.expect("SET a 10", "OK");
    hears(&mut kv, r#"["a"]"#);
    assert_eq!(kv.read().text(), event);
}

#[test]
fn opting_in_and_out() {
    let server = Server::start(&[]);
    let (mut kv, mut other) = two(&server, "OPTIN");
    let change = |other: &mut Conn| other.expect("MSET a 1 b 1 c 1 d 1", "OK");
    change(&mut other);
    kv.talk("GET a => \"1\"\nCLIENT CACHING YES => OK\nCLIENT GETNAME => (nil)\nGET b => \"1\"\nGET c => \"1\"");
    change(&mut other);
    hears(&mut kv, r#"["b"]"#);
    // Any other request uses it up, whatever becomes of it.
    for line in ["nosuch", "GET", "CLIENT nosuch", "PING"] {
        kv.expect("CLIENT CACHING YES", "OK");
        kv.line(line);
        kv.expect("GET a", "\"1\"");
    }
    // It is for a whole transaction.
    kv.talk("CLIENT CACHING YES => OK\nMULTI => OK\nGET a => QUEUED\nGET b => QUEUED\nEXEC => [\"1\" \"1\"]\nGET c => \"1\"");
    change(&mut other);
    hears(&mut kv, r#"["a"]"#);
    hears(&mut kv, r#"["b"]"#);
    kv.talk("MULTI => OK\nGET a => QUEUED\nCLIENT CACHING YES => QUEUED\nGET b => QUEUED\nEXEC => [\"1\" OK \"1\"]\nGET c => \"1\"");
    change(&mut other);
    hears(&mut kv, r#"["b"]"#);
    kv.talk("CLIENT TRACKING off => OK\nCLIENT TRACKING on OPTOUT => OK\nCLIENT CACHING NO => OK\nGET a => \"1\"\nGET b => \"1\"");
    change(&mut other);
    hears(&mut kv, r#"["b"]"#);
    hears_nothing(&mut kv);
    // A client that waits has not had its command yet.
    kv.talk("CLIENT TRACKING off => OK\nCLIENT TRACKING on OPTIN => OK\nCLIENT CACHING YES => OK");
    kv.send(&["XREAD", "BLOCK", "0", "STREAMS", "s", "$"]);
    wait_for("XREAD to wait", Duration::from_secs(5), || other.info("blocked_clients") == "1");
    other.expect("XADD s 1-1 f v", "\"1-1\"");
    hears(&mut kv, r#"["s"]"#);
    assert_eq!(kv.read().text(), r#"{"s": [["1-1" ["f" "v"]]]}"#);
    kv.expect("GET c", "\"1\"");
    other.expect("XADD s 1-2 f v", "\"1-2\"");
    hears(&mut kv, r#"["s"]"#);
    change(&mut other);
    hears_nothing(&mut kv);
}

/// Prefixes are told of all changes in one message a turn, whoever made them.
#[test]
fn prefixes() {
    let server = Server::start(&[]);
    let (mut kv, mut other) = two(&server, "BCAST PREFIX a: PREFIX b:");
    let (mut all, _) = two(&server, "BCAST NOLOOP");
    assert_eq!((other.info("tracking_total_prefixes"), other.info("tracking_total_keys")), ("3".into(), "0".into()));
    other.expect("MSET a:2 1 x 1 b:1 1 a:1 1 a:2 2", "OK");
    hears(&mut kv, r#"["a:1" "a:2"]"#);
    hears(&mut kv, r#"["b:1"]"#);
    hears(&mut all, r#"["a:1" "a:2" "b:1" "x"]"#);
    kv.expect("SET a:1 x", "OK");
    hears(&mut kv, r#"["a:1"]"#);
    hears(&mut all, r#"["a:1"]"#);
    // Who changed a key last decides.
    all.expect("MSET p 1 q 1", "OK");
    hears_nothing(&mut all);
    kv.talk("CLIENT TRACKING off => OK\nCLIENT TRACKING on BCAST NOLOOP PREFIX c => OK");
    let replies = kv.pipeline(&["SET c1 x", "SET c2 x", "SET d x"]);
    assert!(replies.iter().all(|reply| reply.text() == "OK"));
    hears(&mut all, r#"["c1" "c2" "d"]"#);
    hears_nothing(&mut kv);
    other.talk("DEL c1 => 1\nRENAME c2 c3 => OK");
    hears(&mut kv, r#"["c1"]"#);
    hears(&mut kv, r#"["c2" "c3"]"#);
    // Keys read before are not told of.
    kv.talk("CLIENT TRACKING off => OK\nCLIENT TRACKING on => OK\nGET k => (nil)\nCLIENT TRACKING off => OK");
    kv.expect("CLIENT TRACKING on BCAST PREFIX none", "OK");
    other.expect("SET k 1", "OK");
    hears_nothing(&mut kv);
    // A prefix ends with the last client that named it.
    kv.expect("RESET", "RESET");
    drop(all);
    wait_for("prefixes to end", Duration::from_secs(5), || other.info("tracking_total_prefixes") == "0");
    assert_eq!(other.info("tracking_clients"), "0");
}

/// All keys at once: nothing of what was read is valid.
#[test]
fn flushes() {
    let server = Server::start(&[]);
    let (mut kv, mut other) = two(&server, "");
    let (mut all, _) = two(&server, "BCAST PREFIX x");
    kv.expect("GET a", "(nil)");
    other.expect("FLUSHALL ASYNC", "OK");
    hears(&mut kv, "(nil)");
    hears(&mut all, "(nil)");
    assert_eq!(other.info("tracking_total_keys"), "0");
    kv.expect("FLUSHDB ASYNC", "OK");
    hears(&mut kv, "(nil)");
    hears(&mut all, "(nil)");
    kv.talk("MULTI => OK\nFLUSHDB ASYNC => QUEUED\nPING => QUEUED\nEXEC => [OK PONG]");
    hears(&mut kv, "(nil)");
    hears(&mut all, "(nil)");
    if kv.peer.satisfies("kvstash") {
        other.expect("SWAPDB 0 1", "OK");
        hears(&mut kv, "(nil)");
        hears(&mut all, "(nil)");
    }
    other.expect("SET a 1", "OK");
    hears_nothing(&mut kv);
}

/// Keys that go by themselves have changed, too.
#[test]
fn expired_and_evicted() {
    let server = Server::start(&["--maxmemory-policy", "allkeys-random"]);
    let (mut kv, mut other) = two(&server, "");
    let (mut all, _) = two(&server, "BCAST PREFIX e");
    other.expect("SET e 1 PX 100", "OK");
    hears(&mut all, r#"["e"]"#);
    kv.expect("GET e", "\"1\"");
    hears(&mut kv, r#"["e"]"#);
    hears(&mut all, r#"["e"]"#);
    other.talk("SET e 1 => OK\nSET g 1 EX 100 => OK");
    hears(&mut all, r#"["e"]"#);
    kv.talk("GET e => \"1\"\nGET g => \"1\"");
    other.talk("EXPIREAT e 1 => 1\nPERSIST g => 1");
    hears(&mut kv, r#"["e"]"#);
    hears(&mut kv, r#"["g"]"#);
    hears(&mut all, r#"["e"]"#);
    // What a command makes go is told before its reply.
    other.talk("FLUSHALL ASYNC => OK\nSET only x => OK");
    hears(&mut kv, "(nil)");
    hears(&mut all, "(nil)");
    kv.expect("GET only", "\"x\"");
    other.expect("CONFIG SET maxmemory 1", "OK");
    kv.raw(b"PING\r\n");
    hears(&mut kv, r#"["only"]"#);
    assert_eq!(kv.read().text(), "PONG");
}

/// Another client is told: in RESP3 by a push, in RESP2 by a message if it is subscribed to anything.
#[test]
fn redirection() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let mut other = server.connect();
    let (mut two, mut three) = (server.connect(), server.connect_with(Proto::Resp3));
    let (two_id, three_id) = (two.int("CLIENT ID"), three.int("CLIENT ID"));
    kv.expect(&format!("CLIENT TRACKING on REDIRECT {two_id}"), "OK");
    assert_eq!(kv.int("CLIENT GETREDIR"), two_id);
    assert!(kv.line("CLIENT INFO").text().contains(&format!(" redir={two_id} ")));
    kv.expect("GET a", "(nil)");
    other.expect("SET a 1", "OK");
    hears_nothing(&mut two);
    two.raw(b"SUBSCRIBE __redis__:invalidate\r\n");
    assert_eq!(two.read().text(), r#"["subscribe" "__redis__:invalidate" 1]"#);
    kv.expect("MGET a b", r#"["1" (nil)]"#);
    other.expect("MSET a 1 b 2", "OK");
    for key in ["a", "b"] {
        assert_eq!(two.read().text(), format!(r#"["message" "__redis__:invalidate" ["{key}"]]"#));
    }
    other.expect("FLUSHALL ASYNC", "OK");
    assert_eq!(two.read().text(), r#"["message" "__redis__:invalidate" (nil)]"#);
    kv.expect(&format!("CLIENT TRACKING on REDIRECT {three_id}"), "OK");
    kv.talk("GET a => (nil)\nSET a 1 => OK");
    hears(&mut three, r#"["a"]"#);
    // Who is told hears of its own changes behind its replies, too, and is not the one that NOLOOP means.
    kv.talk("GET a => \"1\"\nGET b => (nil)");
    three.talk("MULTI => OK\nSET a 2 => QUEUED\nPING => QUEUED\nEXEC => [OK PONG]");
    hears(&mut three, r#"["a"]"#);
    // When it is gone the client is told that with each key.
    kv.line("HELLO 3");
    kv.proto = Proto::Resp3;
    kv.expect("GET a", "\"2\"");
    drop(three);
    wait_for("it to be gone", Duration::from_secs(5), || {
        !other.line("CLIENT LIST").text().contains(&format!("id={three_id} "))
    });
    other.expect("MSET a 1 b 1", "OK");
    for _ in 0..2 {
        assert_eq!(kv.read().text(), format!(r#">["tracking-redir-broken" {three_id}]"#));
    }
    let flags = format!(r#"{{"flags": #["on" "broken_redirect"], "redirect": {three_id}, "prefixes": []}}"#);
    kv.expect("CLIENT TRACKINGINFO", &flags);
    assert!(kv.line("CLIENT INFO").text().contains("flags=tR "));
    kv.expect("CLIENT TRACKING on", "OK");
    kv.expect("CLIENT GETREDIR", "0");
    // Prefixes go the same way.
    kv.talk("CLIENT TRACKING off => OK");
    kv.expect(&format!("CLIENT TRACKING on BCAST REDIRECT {two_id}"), "OK");
    other.expect("MSET a 1 b 1", "OK");
    assert_eq!(two.read().text(), r#"["message" "__redis__:invalidate" ["a" "b"]]"#);
    hears_nothing(&mut kv);
}

/// Who is served after waiting hears of its own change behind the reply.
#[test]
fn blocked_clients() {
    let server = Server::start(&[]);
    let (mut kv, mut other) = two(&server, "");
    let (mut third, _) = two(&server, "");
    third.expect("LLEN l", "0");
    kv.expect("LLEN l", "0");
    kv.send(&["BLMOVE", "l", "m", "LEFT", "LEFT", "0"]);
    wait_for("BLMOVE to wait", Duration::from_secs(5), || other.info("blocked_clients") == "1");
    third.expect("LLEN m", "0");
    third.expect("RPUSH l x", "1");
    hears(&mut kv, r#"["l"]"#);
    assert_eq!(kv.read().text(), "\"x\"");
    let mut heard = [third.read().text(), third.read().text()];
    heard.sort();
    assert_eq!(heard, [r#">["invalidate" ["l"]]"#, r#">["invalidate" ["m"]]"#]);
    kv.expect("LLEN m", "1");
    kv.expect("BLMOVE m l LEFT LEFT 0", "\"x\"");
    hears(&mut kv, r#"["m"]"#);
}

#[test]
fn the_table_is_limited() {
    let server = Server::start(&[]);
    let (mut kv, mut other) = two(&server, "");
    if !kv.line("DEBUG PAUSE-CRON 0").text().starts_with("OK") {
        return println!("skipped: DEBUG is not allowed");
    }
    kv.expect("CONFIG SET tracking-table-max-keys 3", "OK");
    for key in 0..3 {
        kv.expect(&format!("GET k{key}"), "(nil)");
    }
    hears_nothing(&mut kv);
    kv.expect("GET k3", "(nil)");
    other.expect("PING", "PONG");
    assert!(kv.read().text().starts_with(r#">["invalidate" ["k"#));
    assert_eq!(other.info("tracking_total_keys"), "3");
    // Any request makes the table shorter, one that is only queued as well, and the client is told before its reply.
    kv.talk("CONFIG SET tracking-table-max-keys 0 => OK\nGET k4 => (nil)\nGET k5 => (nil)\nMULTI => OK");
    other.expect("DEBUG PAUSE-CRON 1", "OK");
    other.expect("CONFIG SET tracking-table-max-keys 4", "OK");
    kv.raw(b"PING\r\n");
    assert!(kv.read().text().starts_with(r#">["invalidate" ["k"#));
    assert_eq!(kv.read().text(), "QUEUED");
    kv.expect("EXEC", "[PONG]");
    other.expect("DEBUG PAUSE-CRON 0", "OK");
    kv.expect("CONFIG SET tracking-table-max-keys 0", "OK");
    let lines: Vec<String> = (10..1500).map(|key| format!("GET k{key}")).collect();
    kv.pipeline(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(other.info("tracking_total_keys"), "1494");
    other.expect("CONFIG SET tracking-table-max-keys 1", "OK");
    wait_for("keys to be forgotten", Duration::from_secs(10), || other.info("tracking_total_keys") == "1");
    for _ in 0..1493 {
        assert!(kv.read().text().starts_with(r#">["invalidate" ["k"#));
    }
    hears_nothing(&mut kv);
}
