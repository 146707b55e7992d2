//! The string group: GET, SET with every option, ranges, several keys at once, LCS.

use crate::support::{Conn, Server, each_proto};

/// Deadlines far enough that no slow machine reaches them.
const FAR: &str = "4102444800";
const FAR_MS: &str = "4102444800000";

#[test]
fn get_and_set() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            GET a                      => (nil)
            SET a 1                    => OK
            GET a                      => "1"
            set A "x y\x00\xff"        => OK
            gEt A                      => "x y\x00\xff"
            SET "" empty-key           => OK
            GET ""                     => "empty-key"
            SET a ""                   => OK
            GET a                      => ""
            STRLEN a                   => 0
            STRLEN none                => 0
            STRLEN A                   => 5
            SET n 12345
            STRLEN n                   => 5
            GET                        => (error) ERR wrong number of arguments for 'get' command
            GET a b                    => (error) ERR wrong number of arguments for 'get' command
            SET a                      => (error) ERR wrong number of arguments for 'set' command
            STRLEN                     => (error) ERR wrong number of arguments for 'strlen' command
            "#,
        );
    });
}

#[test]
fn set_conditions() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            SET a 1 XX                 => (nil)
            EXISTS a                   => 0
            SET a 1 NX                 => OK
            SET a 2 NX                 => (nil)
            SET a 2 xx                 => OK
            GET a                      => "2"
            SET a 3 GET                => "2"
            SET b 3 GET                => (nil)
            GET b                      => "3"
            SET c 3 XX GET             => (nil)
            EXISTS c                   => 0
            SET c 3 NX GET             => (nil)
            GET c                      => "3"
            SET c 4 NX GET             => "3"
            GET c                      => "3"
            SET c 4 XX GET             => "3"
            GET c                      => "4"
            SET a 1 NX XX              => (error) ERR syntax error
            SET a 1 BAD                => (error) ERR syntax error
            SET a 1 GET GET            =~ *
            "#,
        );
    });
}

#[test]
fn set_expiry_options() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            SET a 1 EX 100             => OK
            TTL a                      => 100
            SET a 1 PX 100000          => OK
            TTL a                      => 100
            SET a 1 EXAT 4102444800    => OK
            EXPIRETIME a               => 4102444800
            SET a 1 PXAT 4102444800123 => OK
            PEXPIRETIME a              => 4102444800123
            SET a 2 KEEPTTL            => OK
            PEXPIRETIME a              => 4102444800123
            SET a 3                    => OK
            TTL a                      => -1
            SET b 1 KEEPTTL            => OK
            TTL b                      => -1
            SET a 1 GET EX 100         => "3"
            SET a 1 ex 100 nx          => (nil)
            SET a 1 EXAT 1             => OK
            EXISTS a                   => 0
            SET a 1 PXAT 1             => OK
            GET a                      => (nil)
            SET a 1 EX 0               => (error) ERR invalid expire time in 'set' command
            SET a 1 EX -1              => (error) ERR invalid expire time in 'set' command
            SET a 1 PX -1              => (error) ERR invalid expire time in 'set' command
            SET a 1 EXAT 0             => (error) ERR invalid expire time in 'set' command
            SET a 1 EX 9223372036854775807 => (error) ERR invalid expire time in 'set' command
            SET a 1 EX 9223372036854776 => (error) ERR invalid expire time in 'set' command
            SET a 1 PX 9223372036854775807 => (error) ERR invalid expire time in 'set' command
            SET a 1 EX x               => (error) ERR value is not an integer or out of range
            SET a 1 EX 1.5             => (error) ERR value is not an integer or out of range
            SET a 1 EX                 => (error) ERR syntax error
            SET a 1 EX 1 PX 1          => (error) ERR syntax error
            SET a 1 EX 1 KEEPTTL       => (error) ERR syntax error
            SET a 1 KEEPTTL EX 1       => (error) ERR syntax error
            SET a 1 EXAT 1 PXAT 1      => (error) ERR syntax error
            EXISTS a                   => 0
            "#,
        );
    });
}

#[test]
fn set_if_equal() {
    let server = Server::start(&[]);
    if !server.peer.satisfies("kvstash,valkey>=9") {
        return;
    }
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            SET a 2 IFEQ 1             => (nil)
            EXISTS a                   => 0
            SET a 1
            SET a 2 IFEQ 1             => OK
            SET a 3 IFEQ 1             => (nil)
            GET a                      => "2"
            SET a 3 IFEQ 2 GET         => "2"
            GET a                      => "3"
            SET a 4 IFEQ 2 GET         => "3"
            GET a                      => "3"
            SET none 4 IFEQ 2 GET      => (nil)
            SET a 5 IFEQ 3 EX 100      => OK
            TTL a                      => 100
            SET a 6 IFEQ 5 KEEPTTL     => OK
            TTL a                      => 100
            SET a text
            SET a 7 IFEQ text          => OK
            SET a 7 NX IFEQ 7          => (error) ERR syntax error
            SET a 7 XX IFEQ 7          => (error) ERR syntax error
            SET a 7 IFEQ 7 NX          => (error) ERR syntax error
            SET a 7 IFEQ               => (error) ERR syntax error
            DELIFEQ a 6                => 0
            GET a                      => "7"
            DELIFEQ a 7                => 1
            EXISTS a                   => 0
            DELIFEQ a 7                => 0
            SET a text
            DELIFEQ a tex              => 0
            DELIFEQ a text             => 1
            DELIFEQ a                  => (error) ERR wrong number of arguments for 'delifeq' command
            "#,
        );
    });
}

#[test]
fn setnx_setex_getset_getdel() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            SETNX a 1                  => 1
            SETNX a 2                  => 0
            GET a                      => "1"
            SETEX a 100 v              => OK
            TTL a                      => 100
            GET a                      => "v"
            PSETEX a 100000 w          => OK
            TTL a                      => 100
            SETNX a x                  => 0
            TTL a                      => 100
            SETEX a 0 v                => (error) ERR invalid expire time in 'setex' command
            SETEX a -10 v              => (error) ERR invalid expire time in 'setex' command
            SETEX a x v                => (error) ERR value is not an integer or out of range
            PSETEX a 0 v               => (error) ERR invalid expire time in 'psetex' command
            PSETEX a 9223372036854775807 v => (error) ERR invalid expire time in 'psetex' command
            SETEX a 1                  => (error) ERR wrong number of arguments for 'setex' command
            GETSET a 5                 => "w"
            TTL a                      => -1
            GETSET b 5                 => (nil)
            GET b                      => "5"
            GETDEL b                   => "5"
            GETDEL b                   => (nil)
            EXISTS b                   => 0
            GETDEL                     => (error) ERR wrong number of arguments for 'getdel' command
            "#,
        );
    });
}

#[test]
fn getex() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(&format!(
            r#"
            GETEX a                    => (nil)
            SET a v
            GETEX a                    => "v"
            TTL a                      => -1
            GETEX a EX 100             => "v"
            TTL a                      => 100
            GETEX a                    => "v"
            TTL a                      => 100
            GETEX a PX 200000          => "v"
            TTL a                      => 200
            GETEX a EXAT {FAR}         => "v"
            EXPIRETIME a               => {FAR}
            GETEX a PXAT {FAR_MS}      => "v"
            PEXPIRETIME a              => {FAR_MS}
            GETEX a PERSIST            => "v"
            TTL a                      => -1
            GETEX none EX 100          => (nil)
            EXISTS none                => 0
            GETEX a EX 0               => (error) ERR invalid expire time in 'getex' command
            GETEX a EX x               => (error) ERR value is not an integer or out of range
            GETEX a EX                 => (error) ERR syntax error
            GETEX a EX 1 PERSIST       => (error) ERR syntax error
            GETEX a PERSIST EX 1       => (error) ERR syntax error
            GETEX a EX 1 PX 1          => (error) ERR syntax error
            GETEX a NX                 => (error) ERR syntax error
            GETEX a KEEPTTL            => (error) ERR syntax error
            GETEX a PXAT 1             => "v"
            EXISTS a                   => 0
            GETEX                      => (error) ERR wrong number of arguments for 'getex' command
            "#
        ));
    });
}

#[test]
fn append_and_ranges() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            APPEND a foo               => 3
            APPEND a bar               => 6
            GET a                      => "foobar"
            APPEND a ""                => 6
            SET n 12
            APPEND n 34                => 4
            INCR n                     => 1235
            SET t v EX 100
            APPEND t w                 => 2
            TTL t                      => 100

            SET s "Hello World"
            GETRANGE s 0 4             => "Hello"
            GETRANGE s 0 -1            => "Hello World"
            GETRANGE s -5 -1           => "World"
            GETRANGE s 6 1000          => "World"
            GETRANGE s 5 4             => ""
            GETRANGE s -1 -5           => ""
            GETRANGE s 11 20           => ""
            GETRANGE s -100 3          => "Hell"
            GETRANGE s -100 -200       => ""
            GETRANGE s 0 -100          => "H"
            GETRANGE none 0 -1         => ""
            GETRANGE n 1 2             => "23"
            GETRANGE s -9223372036854775808 9223372036854775807 => "Hello World"
            GETRANGE s x 1             => (error) ERR value is not an integer or out of range
            GETRANGE s 0 1.0           => (error) ERR value is not an integer or out of range
            SUBSTR s 0 4               => "Hello"
            SUBSTR s -5 -1             => "World"
            SUBSTR s 0                 => (error) ERR wrong number of arguments for 'substr' command

            SETRANGE s 6 Redis         => 11
            GET s                      => "Hello Redis"
            SETRANGE s 11 !            => 12
            SETRANGE pad 3 x           => 4
            GET pad                    => "\x00\x00\x00x"
            SETRANGE none2 5 ""        => 0
            EXISTS none2               => 0
            SETRANGE s 100 ""          => 12
            SETRANGE n 1 99            => 4
            GET n                      => "1995"
            INCR n                     => 1996
            SETRANGE t 0 W             => 2
            TTL t                      => 100
            SETRANGE s -1 x            => (error) ERR offset is out of range
            SETRANGE s x x             => (error) ERR value is not an integer or out of range
            SETRANGE s 536870911 xy    => (error) ERR string exceeds maximum allowed size (proto-max-bulk-len)
            SETRANGE s 9223372036854775807 x => (error) ERR string exceeds maximum allowed size (proto-max-bulk-len)
            SETRANGE none2 536870912 x => (error) ERR string exceeds maximum allowed size (proto-max-bulk-len)
            EXISTS none2               => 0
            "#,
        );
    });
}

#[test]
fn several_keys() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            MSET a 1 b 2 c three       => OK
            MGET a b c none            => ["1" "2" "three" (nil)]
            MGET a a                   => ["1" "1"]
            MSET a 1 a 2               => OK
            GET a                      => "2"
            EXPIRE a 100
            MSET a 3
            TTL a                      => -1
            MSETNX x 1 y 2             => 1
            MSETNX z 1 y 3             => 0
            EXISTS z                   => 0
            GET y                      => "2"
            MSETNX q 1 q 2             => 1
            GET q                      => "2"
            MSET                       => (error) ERR wrong number of arguments for 'mset' command
            MSET a                     => (error) ERR wrong number of arguments for 'mset' command
            MSET a 1 b                 => (error) ERR wrong number of arguments for 'mset' command
            MSETNX a 1 b               => (error) ERR wrong number of arguments for 'msetnx' command
            MGET                       => (error) ERR wrong number of arguments for 'mget' command
            "#,
        );
    });
}

#[test]
fn msetex() {
    let server = Server::start(&[]);
    if !server.peer.satisfies("kvstash,valkey>=9.1,redis>=8.4") {
        return;
    }
    each_proto(&server, |kv| {
        kv.talk(&format!(
            r#"
            MSETEX 2 a 1 b 2           => 1
            MGET a b                   => ["1" "2"]
            TTL a                      => -1
            MSETEX 2 a 1 b 2 EX 100    => 1
            TTL a                      => 100
            TTL b                      => 100
            MSETEX 1 a 3 KEEPTTL       => 1
            TTL a                      => 100
            MSETEX 1 a 3               => 1
            TTL a                      => -1
            MSETEX 1 a 3 PX 100000     => 1
            TTL a                      => 100
            MSETEX 1 a 3 EXAT {FAR}    => 1
            EXPIRETIME a               => {FAR}
            MSETEX 1 a 3 PXAT {FAR_MS} => 1
            PEXPIRETIME a              => {FAR_MS}
            MSETEX 2 a 4 c 4 NX        => 0
            GET a                      => "3"
            EXISTS c                   => 0
            MSETEX 2 a 4 c 4 XX        => 0
            EXISTS c                   => 0
            MSETEX 2 a 4 b 4 XX EX 50  => 1
            MGET a b                   => ["4" "4"]
            TTL b                      => 50
            MSETEX 2 d 1 e 2 NX        => 1
            MSETEX 2 d 1 d 2           => 1
            GET d                      => "2"
            MSETEX 1 a 1 NX XX         => (error) ERR syntax error
            MSETEX 1 a 1 EX 1 PX 1     => (error) ERR syntax error
            MSETEX 1 a 1 EX            => (error) ERR syntax error
            MSETEX 1 a 1 BAD           => (error) ERR syntax error
            MSETEX 1 a 1 EX 0          => (error) ERR invalid expire time in 'msetex' command
            MSETEX 1 a 1 EX x          => (error) ERR value is not an integer or out of range
            MSETEX 0 a 1               =~ (error) ERR *
            MSETEX -1 a 1              =~ (error) ERR *
            MSETEX x a 1               =~ (error) ERR *
            MSETEX 2 a 1 b             =~ (error) ERR *
            MSETEX 2147483648 a 1      =~ (error) ERR *
            MSETEX 1 a                 => (error) ERR wrong number of arguments for 'msetex' command
            "#
        ));
    });
}

#[test]
fn lcs() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            MSET k1 ohmytext k2 mynewtext
            LCS k1 k2                  => "mytext"
            LCS k1 k2 LEN              => 6
            LCS k1 k2 IDX              => ["matches" [[[4 7] [5 8]] [[2 3] [0 1]]] "len" 6] || {"matches": [[[4 7] [5 8]] [[2 3] [0 1]]], "len": 6}
            LCS k1 k2 IDX MINMATCHLEN 4 => ["matches" [[[4 7] [5 8]]] "len" 6] || {"matches": [[[4 7] [5 8]]], "len": 6}
            LCS k1 k2 IDX WITHMATCHLEN => ["matches" [[[4 7] [5 8] 4] [[2 3] [0 1] 2]] "len" 6] || {"matches": [[[4 7] [5 8] 4] [[2 3] [0 1] 2]], "len": 6}
            LCS k1 k2 idx minmatchlen 4 withmatchlen => ["matches" [[[4 7] [5 8] 4]] "len" 6] || {"matches": [[[4 7] [5 8] 4]], "len": 6}
            LCS k1 k2 IDX MINMATCHLEN -5 => ["matches" [[[4 7] [5 8]] [[2 3] [0 1]]] "len" 6] || {"matches": [[[4 7] [5 8]] [[2 3] [0 1]]], "len": 6}
            LCS k1 none                => ""
            LCS none none2 LEN         => 0
            LCS none none2 IDX         => ["matches" [] "len" 0] || {"matches": [], "len": 0}
            LCS k1 k1                  => "ohmytext"
            LCS k1 k1 IDX              => ["matches" [[[0 7] [0 7]]] "len" 8] || {"matches": [[[0 7] [0 7]]], "len": 8}
            LCS k1 k2 LEN IDX          => (error) ERR If you want both the length and indexes, please just use IDX.
            LCS k1 k2 BAD              => (error) ERR syntax error
            LCS k1 k2 MINMATCHLEN      => (error) ERR syntax error
            LCS k1 k2 IDX MINMATCHLEN x => (error) ERR value is not an integer or out of range
            LCS k1                     => (error) ERR wrong number of arguments for 'lcs' command
            "#,
        );
    });
}

/// Requests with more keys than are looked up at once, around the sizes where a block of them ends.
#[test]
fn many_keys() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        for count in [1, 2, 15, 16, 17, 31, 32, 33, 100, 1000] {
            kv.ok("FLUSHALL");
            let keys: Vec<String> = (0..count).map(|i| format!("key:{i}")).collect();
            let with = |command: &str, values: bool| -> Vec<String> {
                let pairs = keys.iter().enumerate().flat_map(|(i, k)| [k.clone(), format!("v{i}")]);
                let pairs = pairs.enumerate().filter(|(at, _)| values || at % 2 == 0).map(|(_, word)| word);
                std::iter::once(command.to_owned()).chain(pairs).collect()
            };
            let mut run = |command: &str, values: bool| {
                let words = with(command, values);
                kv.cmd(&words.iter().map(String::as_str).collect::<Vec<_>>())
            };
            assert_eq!(run("MSETNX", true).int(), 1);
            assert_eq!(run("MSETNX", true).int(), 0);
            assert_eq!(run("MSET", true).text(), "OK");
            let values = run("MGET", false);
            assert_eq!(values.items().len(), count);
            assert!(values.items().iter().enumerate().all(|(i, v)| v.string() == format!("v{i}")), "{count} keys");
            for (command, expected) in [("EXISTS", count), ("TOUCH", count), ("DEL", count), ("UNLINK", 0)] {
                assert_eq!(run(command, false).int(), expected as i64, "{command} of {count} keys");
            }
        }
    });
}

/// The encodings of strings and where one turns into another.
#[test]
fn encodings() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            SET k 1
            OBJECT ENCODING k          => "int"
            SET k -9223372036854775808
            OBJECT ENCODING k          => "int"
            SET k 9223372036854775807
            OBJECT ENCODING k          => "int"
            SET k 9223372036854775808
            OBJECT ENCODING k          => "embstr"
            SET k 01
            OBJECT ENCODING k          => "embstr"
            SET k -0
            OBJECT ENCODING k          => "embstr"
            SET k " 1"
            OBJECT ENCODING k          => "embstr"
            SET k ""
            OBJECT ENCODING k          => "embstr"
            SET k aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
            @redis<8.2,valkey OBJECT ENCODING k => "embstr"
            SET k aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
            @redis OBJECT ENCODING k   => "raw"
            SET k abc
            APPEND k d
            OBJECT ENCODING k          => "raw"
            SET k 1
            APPEND k 2
            OBJECT ENCODING k          => "raw"
            GET k                      => "12"
            INCR k                     => 13
            OBJECT ENCODING k          => "int"
            SETRANGE k 0 2
            OBJECT ENCODING k          => "raw"
            APPEND fresh 5
            OBJECT ENCODING fresh      => "int"
            GETSET fresh 7
            OBJECT ENCODING fresh      => "int"
            MSET m 5 l abc
            OBJECT ENCODING m          => "int"
            SET f 1.5
            INCRBYFLOAT f 1
            OBJECT ENCODING f          => "embstr"
            "#,
        );
    });
}

/// Values from nothing to several megabytes survive unchanged, through every way in and out.
#[test]
fn sizes() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        for len in [
            0,
            1,
            43,
            44,
            45,
            127,
            128,
            129,
            511,
            1 << 10,
            16383,
            16384,
            32767,
            32768,
            32769,
            65535,
            65536,
            65537,
            3 << 20,
        ] {
            let value: Vec<u8> = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
            check_value(kv, &value);
        }
    });
}

fn check_value(kv: &mut Conn, value: &[u8]) {
    let len = value.len();
    kv.ok("FLUSHALL");
    assert_eq!(kv.cmd_bytes(&[b"SET", b"v", value]).text(), "OK");
    assert_eq!(kv.line("GET v").bytes(), value, "GET of {len} bytes");
    assert_eq!(kv.int("STRLEN v"), len as i64);
    assert_eq!(kv.cmd_bytes(&[b"SET", b"v", value, b"GET"]).bytes(), value, "SET GET of {len} bytes");
    assert_eq!(kv.cmd_bytes(&[b"APPEND", b"v", value]).int(), 2 * len as i64);
    let second = kv.cmd(&["GETRANGE", "v", &len.to_string(), "-1"]);
    assert_eq!(second.bytes(), value, "second half of {} bytes", 2 * len);
    let middle = (len / 2).to_string();
    kv.cmd_bytes(&[b"SETRANGE", b"v", middle.as_bytes(), b"|middle|"]);
    let mut model = [value, value].concat();
    let at = len / 2;
    model.resize(model.len().max(at + 8), 0);
    model[at..at + 8].copy_from_slice(b"|middle|");
    assert_eq!(kv.line("GET v").bytes(), model, "SETRANGE in {} bytes", 2 * len);
    assert_eq!(kv.line("COPY v w").int(), 1);
    kv.cmd(&["APPEND", "w", "x"]);
    assert_eq!(kv.line("GET v").bytes(), model, "a copy is independent, {} bytes", 2 * len);
    assert_eq!(kv.line("MGET w v").items()[1].bytes(), model);
    assert_eq!(kv.line("GETDEL v").bytes(), model, "GETDEL of {} bytes", 2 * len);
}
