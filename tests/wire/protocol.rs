//! Requests as bytes: inline, cut at every place, pipelined, malformed.

use crate::support::{Conn, Peer, Proto, Server, Value};

#[test]
fn inline_commands() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let mut check = |request: &[u8], reply: &str| {
        kv.raw(request);
        assert_eq!(kv.read().text(), reply, "to {:?}", String::from_utf8_lossy(request));
    };
    check(b"PING\r\n", "PONG");
    check(b"PING\n", "PONG");
    check(b"  PING  \r\n", "PONG");
    check(b"\r\n\r\nPING\r\n", "PONG");
    check(b"SET a 1\r\n", "OK");
    check(b"SET a \"x y\"\r\n", "OK");
    check(b"GET a\r\n", "\"x y\"");
    check(b"SET a 'x \\' y'\r\n", "OK");
    check(b"GET a\r\n", "\"x ' y\"");
    check(b"SET a \"\\x41\\n\\\"\"\r\n", "OK");
    check(b"GET a\r\n", "\"A\\n\\\"\"");
    check(b"SET a \"\"\r\n", "OK");
    check(b"GET a\r\n", "\"\"");
    check(b"\tGET\ta\t\r\n", "\"\"");
    check(b"*0\r\nPING\r\n", "PONG");
    check(b"*-1\r\nPING\r\n", "PONG");
    check(b"*-10\r\nPING\r\n", "PONG");
}

/// Errors of the protocol: the text, then the connection is closed, and nothing after them is carried out.
#[test]
fn malformed_requests_close_the_connection() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    for (request, text) in [
        (&b"*x\r\n"[..], "invalid multibulk length"),
        (b"*1000000000000\r\n", "invalid multibulk length"),
        (b"*2147483648\r\n", "invalid multibulk length"),
        (b"*1\r\nPING\r\n", "expected '$', got 'P'"),
        (b"*2\r\n$3\r\nGET\r\n:1\r\n", "expected '$', got ':'"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*1\r\n$9223372036854775808\r\n", "invalid bulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"*+1\r\n$4\r\nPING\r\n", "invalid multibulk length"),
        (b"*1\r\n$\r\n", "invalid bulk length"),
        (b"*1\r\n$+4\r\nPING\r\n", "invalid bulk length"),
        (b"*1\r\n$ 4\r\nPING\r\n", "invalid bulk length"),
        (b"*1\r\n$04\r\nPING\r\n", "invalid bulk length"),
        (b"SET a \"unbalanced\r\n", "unbalanced quotes in request"),
        (b"SET a \"x\"y\r\n", "unbalanced quotes in request"),
    ] {
        if request.ends_with(b"\"y\r\n") && !kv.peer.satisfies("redis") {
            continue;
        }
        let mut conn = server.connect();
        conn.raw(request);
        conn.try_raw(b"SET after-error 1\r\n").ok();
        let expected = format!("(error) ERR Protocol error: {text}");
        assert_eq!(conn.read().text(), expected, "to {:?}", String::from_utf8_lossy(request));
        assert!(conn.is_closed(), "after {:?}", String::from_utf8_lossy(request));
    }
    kv.expect("EXISTS after-error", "0");
}

/// A line with a NUL is no request: what stands before the NUL is not run. Redis waits for the end of such a line.
#[test]
fn inline_requests_with_a_nul() {
    let server = Server::start(&[]);
    if server.peer != Peer::Kvstash {
        return;
    }
    let mut kv = server.connect();
    kv.ok("SET a 1");
    for request in [
        &b"DEL a\0b\r\n"[..],
        b"FLUSHALL\0 NOT\r\n",
        b"SET a new\0tail\r\n",
        b"DEL a \0\r\n",
        b"\0DEL a\r\n",
        b"SET a \"\0\"\r\n",
        b"DEL a\r\0\n",
        b"DEL a\0",
    ] {
        let mut conn = server.connect();
        conn.raw(request);
        conn.try_raw(b"\r\nDEL a\r\n").ok();
        let shown = request.escape_ascii();
        assert_eq!(conn.read().text(), "(error) ERR Protocol error: NUL byte in inline request", "to {shown}");
        assert!(conn.is_closed(), "after {shown}");
        kv.expect("GET a", "\"1\"");
    }
    let mut conn = server.connect();
    conn.raw(b"SET a \"x\\x00y\"\r\n");
    assert_eq!(conn.read().text(), "OK", "one that is written as an escape is a byte like others");
    assert_eq!(kv.cmd(&["GET", "a"]).bytes(), b"x\0y");
}

/// What has nothing in it has the type in RESP3 that it has with something in it, and is null only where Redis says so.
#[test]
fn empty_replies_have_types() {
    let server = Server::start(&[]);
    let mut kv = server.connect_with(Proto::Resp3);
    for line in [
        "RPUSH l a",
        "SADD s a",
        "ZADD z 1 a",
        "HSET h f v",
        "XADD em 1-0 f v",
        "XDEL em 1-0",
        "XGROUP CREATE em g $",
        "GEOADD geo 1 1 a",
    ] {
        kv.line(line);
    }
    for (kind, lines) in [
        ('%', &["HGETALL none", "CONFIG GET none", "COMMAND DOCS none", "LATENCY HISTOGRAM none"][..]),
        ('~', &["SMEMBERS none", "SINTER s none", "SUNION none", "SDIFF s s", "SPOP none 2", "SPOP s 0"]),
        (
            '*',
            &[
                "SRANDMEMBER none 2",
                "SRANDMEMBER s 0",
                "HRANDFIELD none 2 WITHVALUES",
                "HRANDFIELD h 0 WITHVALUES",
                "ZRANDMEMBER none 2 WITHSCORES",
                "ZRANGE none 0 -1 WITHSCORES",
                "ZDIFF 2 z z WITHSCORES",
                "ZINTER 2 z none",
                "ZUNION 1 none",
                "ZPOPMIN none",
                "ZPOPMAX z 0",
                "LPOP l 0",
                "LPOS l x COUNT 0",
                "LRANGE none 0 -1",
                "HKEYS none",
                "HVALS none",
                "SORT none",
                "KEYS none",
                "XRANGE em - +",
                "XPENDING em g - + 10",
                "XINFO CONSUMERS em g",
                "XCLAIM em g c 0 1-0",
                "GEOSEARCH none FROMLONLAT 1 1 BYRADIUS 5 m",
                "GEOPOS geo",
                "GEOHASH geo",
                "BITFIELD none",
                "COMMAND LIST FILTERBY PATTERN none",
                "LATENCY HISTORY none",
                "LATENCY LATEST",
                "SLOWLOG GET 0",
            ],
        ),
        (
            '_',
            &["ZMPOP 1 none MIN", "LMPOP 1 none LEFT", "LPOP none 2", "XREAD STREAMS em 0", "ZRANK z none WITHSCORE"],
        ),
    ] {
        for line in lines {
            let reply = kv.line(line);
            let right = match (kind, &reply) {
                ('%', Value::Map(pairs)) => pairs.is_empty(),
                ('~', Value::Set(items)) | ('*', Value::Array(items)) => items.is_empty(),
                ('_', reply) => *reply == Value::Null,
                _ => false,
            };
            assert!(right, "{line}: {kind} expected, not {reply:?}");
        }
    }
}

/// What came before the malformed request is answered.
#[test]
fn replies_before_a_protocol_error() {
    let server = Server::start(&[]);
    let mut conn = server.connect();
    conn.raw(b"PING\r\n*1\r\n$4\r\nPING\r\n*x\r\n");
    assert_eq!(conn.read().text(), "PONG");
    assert_eq!(conn.read().text(), "PONG");
    assert_eq!(conn.read().text(), "(error) ERR Protocol error: invalid multibulk length");
    assert!(conn.is_closed());
}

/// A browser tricked into posting to this port gets nothing: such requests end the connection without a word.
#[test]
fn http_requests_are_cut_off() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    for request in [&b"POST / HTTP/1.1\r\nSET http 1\r\n"[..], b"GET / HTTP/1.1\r\nHost: example\r\nSET http 1\r\n"] {
        let mut conn = server.connect();
        conn.raw(request);
        let mut replies = Vec::new();
        while let Ok(reply) = conn.try_read() {
            replies.push(reply.text());
        }
        assert!(!replies.iter().any(|r| r == "OK"), "{replies:?}");
    }
    kv.expect("EXISTS http", "0");
}

/// Before authentication, big requests are refused from the header alone.
#[test]
fn limits_before_authentication() {
    let server = Server::start(&["--requirepass", "secret"]);
    for (request, text) in
        [(&b"*11\r\n"[..], "unauthenticated multibulk length"), (b"*1\r\n$16385\r\n", "unauthenticated bulk length")]
    {
        let mut conn = server.connect();
        conn.raw(request);
        assert_eq!(conn.read().text(), format!("(error) ERR Protocol error: {text}"));
        assert!(conn.is_closed());
    }
}

#[test]
fn endless_inline_line() {
    let server = Server::start(&[]);
    let mut conn = server.connect();
    let junk = vec![b'x'; 70_000];
    conn.try_raw(&junk).ok();
    match conn.try_read() {
        Ok(reply) => assert_eq!(reply.text(), "(error) ERR Protocol error: too big inline request"),
        Err(_) => assert!(server.peer.satisfies("kvstash"), "closed without a word"),
    }
    let mut conn = server.connect();
    conn.try_raw(&[b"*".as_slice(), &junk].concat()).ok();
    assert_eq!(conn.read().text(), "(error) ERR Protocol error: too big mbulk count string");
    let mut conn = server.connect();
    conn.try_raw(&[b"*1\r\n$".as_slice(), &junk].concat()).ok();
    assert_eq!(conn.read().text(), "(error) ERR Protocol error: too big bulk count string");
}

fn session() -> (Vec<u8>, Vec<&'static str>) {
    let requests = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nx\r\ny \r\n\
        *2\r\n$3\r\nGET\r\n$1\r\na\r\nPING\r\n*0\r\n\r\nECHO \"q w\"\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n\
        *1\r\n$4\r\nPING\r\nfoo\r\nSET \"k y\" v\n*2\r\n$3\r\nGET\r\n$3\r\nk y\r\n";
    let replies = vec![
        "OK",
        "\"x\\r\\ny \"",
        "PONG",
        "\"q w\"",
        "1",
        "PONG",
        "(error) ERR unknown command 'foo', with args beginning with: ",
        "OK",
        "\"v\"",
    ];
    (requests.to_vec(), replies)
}

fn read_session(conn: &mut Conn, replies: &[&str], how: &str) {
    for expected in replies {
        assert_eq!(conn.read().text(), *expected, "{how}");
    }
}

/// The same conversation cut in two at every byte.
#[test]
fn split_at_every_byte() {
    let server = Server::start(&[]);
    let (requests, replies) = session();
    let mut kv = server.connect();
    let mut conn = server.connect();
    for at in 0..=requests.len() {
        kv.ok("FLUSHALL");
        conn.raw(&requests[..at]);
        // A command on another connection in between makes the server read the first part by itself.
        kv.expect("PING", "PONG");
        conn.raw(&requests[at..]);
        read_session(&mut conn, &replies, &format!("cut at {at}"));
    }
}

/// And in pieces of a few bytes each.
#[test]
fn trickled() {
    let server = Server::start(&[]);
    let (requests, replies) = session();
    let mut kv = server.connect();
    for step in [1, 2, 3, 7] {
        kv.ok("FLUSHALL");
        let mut conn = server.connect();
        for piece in requests.chunks(step) {
            conn.raw(piece);
            kv.expect("PING", "PONG");
        }
        read_session(&mut conn, &replies, &format!("in pieces of {step}"));
    }
}

/// A large bulk in awkward pieces: around the 32 KiB where it gets a buffer of its own.
#[test]
fn large_bulks_in_pieces() {
    let server = Server::start(&[]);
    let mut conn = server.connect();
    let mut kv = server.connect();
    for len in [32_767usize, 32_768, 32_769, 100_000, 1_000_000] {
        let value: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        let head = format!("*3\r\n$3\r\nSET\r\n$1\r\nv\r\n${len}\r\n");
        let request = [head.as_bytes(), &value, b"\r\nPING\r\n"].concat();
        for cut in [
            1,
            10,
            head.len() - 1,
            head.len(),
            head.len() + 1,
            head.len() + 5_000,
            head.len() + len,
            head.len() + len + 1,
        ] {
            conn.raw(&request[..cut]);
            kv.expect("PING", "PONG");
            conn.raw(&request[cut..]);
            assert_eq!(conn.read().text(), "OK", "{len} bytes cut at {cut}");
            assert_eq!(conn.read().text(), "PONG");
            assert_eq!(kv.line("GET v").bytes(), value, "{len} bytes cut at {cut}");
            kv.ok("SET v 0");
        }
    }
}

#[test]
fn deep_pipelines() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    for depth in [1usize, 16, 64, 1_000, 20_000] {
        let lines: Vec<String> = (0..depth).map(|i| format!("SET key:{i} {i}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert!(kv.pipeline(&lines).iter().all(|r| r.text() == "OK"));
        let lines: Vec<String> = (0..depth).map(|i| format!("GET key:{i}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        for (i, reply) in kv.pipeline(&lines).iter().enumerate() {
            assert_eq!(reply.string(), i.to_string());
        }
    }
}

/// Replies that do not fit the socket: the client sends everything before it reads anything.
#[test]
fn replies_larger_than_the_socket() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let value = vec![b'v'; 1 << 20];
    kv.cmd_bytes(&[b"SET", b"big", &value]);
    for i in 0..40 {
        kv.send(&["GET", "big"]);
        kv.send(&["ECHO", &i.to_string()]);
    }
    for i in 0..40 {
        assert_eq!(kv.read().bytes(), value);
        assert_eq!(kv.read().string(), i.to_string());
    }
}

/// A client that is gone with replies on the way, or in the middle of a request, leaves nothing behind.
#[test]
fn clients_that_vanish() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let value = vec![b'v'; 1 << 20];
    kv.cmd_bytes(&[b"SET", b"big", &value]);
    for _ in 0..20 {
        let mut conn = server.connect();
        for _ in 0..20 {
            conn.send(&["GET", "big"]);
        }
        drop(conn);
        let mut conn = server.connect();
        conn.raw(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100000\r\nabc");
    }
    super::support::wait_for("the clients to be gone", std::time::Duration::from_secs(10), || {
        kv.info("connected_clients") == "1"
    });
    kv.expect("EXISTS a", "0");
}

#[test]
fn proto_max_bulk_len() {
    let server = Server::start(&["--proto-max-bulk-len", "1mb"]);
    let mut kv = server.connect();
    let value = vec![b'v'; 1 << 20];
    assert_eq!(kv.cmd_bytes(&[b"SET", b"a", &value]).text(), "OK");
    let reply = kv.cmd_bytes(&[b"APPEND", b"a", b"x"]);
    assert_eq!(reply.text(), "(error) ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    let mut conn = server.connect();
    conn.raw(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1048577\r\n");
    assert_eq!(conn.read().text(), "(error) ERR Protocol error: invalid bulk length");
    assert!(conn.is_closed());
}

/// Booleans, nulls and maps have their own types in RESP3 only.
#[test]
fn types_by_protocol() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    assert!(matches!(kv.line("CONFIG GET port"), Value::Array(_)));
    assert!(matches!(kv.line("GET none"), Value::Null));
    kv.line("HELLO 3");
    assert!(matches!(kv.line("CONFIG GET port"), Value::Map(_)));
    assert!(matches!(kv.line("GET none"), Value::Null));
    assert!(matches!(kv.line("INFO server"), Value::Verbatim(..)));
    kv.line("HELLO 2");
    assert!(matches!(kv.line("INFO server"), Value::Bulk(_)));
}
