//! DUMP and RESTORE: payloads that travel between servers, and hostile ones.

use crate::support::{Server, Value, each_proto};

#[test]
fn round_trip() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        for value in ["", "x", "12345", "-1", "2147483648", &"abc".repeat(100), &"z".repeat(100_000)] {
            kv.ok("FLUSHALL");
            kv.cmd(&["SET", "a", value]);
            let payload = kv.line("DUMP a");
            assert_eq!(kv.cmd_bytes(&[b"RESTORE", b"b", b"0", payload.bytes()]).text(), "OK");
            assert_eq!(kv.line("GET b").string(), value);
            assert_eq!(kv.line("TTL b").int(), -1);
            let (a, b) = (kv.line("OBJECT ENCODING a").text(), kv.line("OBJECT ENCODING b").text());
            assert!(a == b || value == "-1", "{value}: {a} {b}");
        }
    });
}

#[test]
fn options() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.ok("SET a value");
        let payload = kv.line("DUMP a").bytes().to_vec();
        let mut restore = |args: &[&str]| -> String {
            let mut all: Vec<&[u8]> = vec![b"RESTORE"];
            all.extend(args[..2].iter().map(|a| a.as_bytes()));
            all.push(&payload);
            all.extend(args[2..].iter().map(|a| a.as_bytes()));
            kv.cmd_bytes(&all).text()
        };
        assert_eq!(restore(&["a", "0"]), "(error) BUSYKEY Target key name already exists.");
        assert_eq!(restore(&["a", "0", "REPLACE"]), "OK");
        assert_eq!(restore(&["b", "100000"]), "OK");
        assert_eq!(restore(&["c", "4102444800123", "ABSTTL"]), "OK");
        assert_eq!(restore(&["d", "1", "ABSTTL"]), "OK");
        assert_eq!(restore(&["e", "0", "IDLETIME", "1000"]), "OK");
        assert_eq!(restore(&["e", "0", "replace", "freq", "5"]), "OK");
        assert_eq!(restore(&["f", "-1"]), "(error) ERR Invalid TTL value, must be >= 0");
        assert_eq!(restore(&["f", "x"]), "(error) ERR value is not an integer or out of range");
        assert_eq!(restore(&["f", "0", "BAD"]), "(error) ERR syntax error");
        assert_eq!(restore(&["f", "0", "IDLETIME", "-1"]), "(error) ERR Invalid IDLETIME value, must be >= 0");
        assert_eq!(restore(&["f", "0", "FREQ", "256"]), "(error) ERR Invalid FREQ value, must be >= 0 and <= 255");
        assert_eq!(restore(&["f", "0", "FREQ", "1", "IDLETIME", "1"]), "(error) ERR syntax error");
        kv.talk(
            r#"
            TTL b                      => 100
            PEXPIRETIME c              => 4102444800123
            EXISTS d                   => 0
            EXISTS f                   => 0
            DUMP none                  => (nil)
            RESTORE x 0 junk           => (error) ERR DUMP payload version or checksum are wrong
            RESTORE x 0 ""             => (error) ERR DUMP payload version or checksum are wrong
            RESTORE x 0                => (error) ERR wrong number of arguments for 'restore' command
            DUMP                       => (error) ERR wrong number of arguments for 'dump' command
            "#,
        );
    });
    let mut kv = server.connect();
    kv.ok("FLUSHALL");
    kv.ok("SET a 1");
    let payload = kv.line("DUMP a").bytes().to_vec();
    kv.cmd_bytes(&[b"RESTORE", b"old", b"0", &payload, b"IDLETIME", b"1000"]);
    assert!((999..=1002).contains(&kv.int("OBJECT IDLETIME old")));
}

/// Every byte changed, every cut: an error or, where the checksum is not looked at, at worst another value; never a
/// crash. The server answers afterwards.
#[test]
fn damaged_payloads() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    for value in
        ["123456789", "some text that is long enough to be compressed aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
    {
        kv.cmd(&["SET", "a", value]);
        let payload = kv.line("DUMP a").bytes().to_vec();
        for cut in 0..payload.len() {
            let reply = kv.cmd_bytes(&[b"RESTORE", b"x", b"0", &payload[..cut], b"REPLACE"]);
            assert!(reply.is_error(), "cut to {cut} bytes");
        }
        for at in 0..payload.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = payload.clone();
                damaged[at] ^= flip;
                let reply = kv.cmd_bytes(&[b"RESTORE", b"x", b"0", &damaged, b"REPLACE"]);
                assert!(reply.is_error(), "byte {at} xor {flip:#x} was accepted");
            }
        }
        // The same without the checksum in the way: the structure itself is vetted.
        kv.ok("DEBUG SET-SKIP-CHECKSUM-VALIDATION 1");
        for at in 0..payload.len() - 10 {
            for flip in 1..=255u8 {
                let mut damaged = payload.clone();
                damaged[at] ^= flip;
                kv.cmd_bytes(&[b"RESTORE", b"x", b"0", &damaged, b"REPLACE"]);
                // A type of another kind may have been built; only its absence of a crash matters here.
                assert!(matches!(kv.line("DEL x"), Value::Int(_)));
            }
        }
        kv.ok("DEBUG SET-SKIP-CHECKSUM-VALIDATION 0");
    }
    kv.expect("PING", "PONG");
}

/// Payloads as Redis 7 writes them.
#[test]
fn payloads_of_redis_7() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    // Strings as int8, int16, int32, raw and LZF, RDB version 10.
    let payloads: &[(&str, &[u8])] = &PAYLOADS;
    for (value, payload) in payloads {
        assert_eq!(kv.cmd_bytes(&[b"RESTORE", b"k", b"0", payload, b"REPLACE"]).text(), "OK", "{value}");
        assert_eq!(kv.line("GET k").string(), *value);
    }
}

const PAYLOADS: [(&str, &[u8]); 5] = [
    ("7", b"\x00\xc0\x07\x0a\x00t\xcdH\xa2\x83\xab\xce\x92"),
    ("300", b"\x00\xc1,\x01\x0a\x00\x95Ba\xf2e\x82\x5c\x10"),
    ("100000", b"\x00\xc2\xa0\x86\x01\x00\x0a\x00\xf1$\x03Po/\xa6t"),
    ("hello", b"\x00\x05hello\x0a\x00cr\xdfve4 \x0a"),
    (
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        b"\x00\xc3\x09(\x01aa\xe0\x1b\x00\x01aa\x0a\x00\xcf\x09/\xaa\xae%\x83\x1d",
    ),
];
