//! The list group, in every encoding: ends, positions, texts, moves, waiting, the change of encodings, files.

use crate::support::{Conn, Server, each_proto};

/// How short lists come to be in each encoding: as one listpack; as nodes of two elements; as such, compressed.
const ENCODINGS: [&[&str]; 3] =
    [&[], &["--list-max-listpack-size", "2"], &["--list-max-listpack-size", "2", "--list-compress-depth", "1"]];

/// A conversation in every encoding and protocol.
fn each_encoding(conversation: impl Fn(&mut Conn)) {
    for args in ENCODINGS {
        let server = Server::start(args);
        each_proto(&server, &conversation);
    }
}

#[test]
fn ends() {
    each_encoding(|kv| {
        kv.talk(
            r#"
            LPUSH l c b a              => 3
            RPUSH l 1 2                => 5
            LRANGE l 0 -1              => ["a" "b" "c" "1" "2"]
            LLEN l                     => 5
            LLEN none                  => 0
            LPUSHX l z                 => 6
            RPUSHX l -3 x              => 8
            LPUSHX none z              => 0
            RPUSHX none z              => 0
            EXISTS none                => 0
            LPOP l                     => "z"
            RPOP l                     => "x"
            RPOP l                     => "-3"
            LPOP l 2                   => ["a" "b"]
            RPOP l 2                   => ["2" "1"]
            LPOP l 0                   => []
            LPOP l 9                   => ["c"]
            EXISTS l                   => 0
            LPOP l                     => (nil)
            RPOP l                     => (nil)
            LPOP l 0                   => (nil array) || (nil)
            LPOP l 1                   => (nil array) || (nil)
            RPOP l 1                   => (nil array) || (nil)
            RPUSH l one
            RPOP l                     => "one"
            EXISTS l                   => 0
            RPUSH l 1 2 3 4 5 6 7 8 9
            RPOP l 9                   => ["9" "8" "7" "6" "5" "4" "3" "2" "1"]
            EXISTS l                   => 0
            LPOP l -1                  => (error) ERR value is out of range, must be positive
            LPOP l x                   => (error) ERR value is out of range, must be positive
            RPOP l 1 2                 => (error) ERR wrong number of arguments for 'rpop' command
            LPUSH l                    => (error) ERR wrong number of arguments for 'lpush' command
            RPUSH l                    => (error) ERR wrong number of arguments for 'rpush' command
            LPUSHX l                   => (error) ERR wrong number of arguments for 'lpushx' command
            RPUSHX l                   => (error) ERR wrong number of arguments for 'rpushx' command
            LLEN                       => (error) ERR wrong number of arguments for 'llen' command
            LPOP                       => (error) ERR wrong number of arguments for 'lpop' command
            SET s text
            LPUSH s a                  => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            RPUSH s a                  =~ (error) WRONGTYPE *
            LPUSHX s a                 =~ (error) WRONGTYPE *
            RPUSHX s a                 =~ (error) WRONGTYPE *
            LPOP s                     =~ (error) WRONGTYPE *
            RPOP s 0                   =~ (error) WRONGTYPE *
            LLEN s                     =~ (error) WRONGTYPE *
            RPUSH l a
            GET l                      =~ (error) WRONGTYPE *
            TYPE l                     => list
            "#,
        );
    });
}

#[test]
fn several_lists() {
    each_encoding(|kv| {
        kv.talk(
            r#"
            RPUSH a 1 2 3
            RPUSH b 4 5
            LMPOP 2 none a LEFT        => ["a" ["1"]]
            LMPOP 3 none b a RIGHT COUNT 9 => ["b" ["5" "4"]]
            EXISTS b                   => 0
            LMPOP 2 b a right count 1  => ["a" ["3"]]
            LMPOP 1 a LEFT COUNT 5     => ["a" ["2"]]
            LMPOP 2 a b LEFT           => (nil array) || (nil)
            SET s text
            LMPOP 2 none s LEFT        =~ (error) WRONGTYPE *
            LMPOP 0 a LEFT             => (error) ERR numkeys should be greater than 0
            LMPOP x a LEFT             => (error) ERR numkeys should be greater than 0
            LMPOP 9 a LEFT             => (error) ERR syntax error
            LMPOP 1 a UP               => (error) ERR syntax error
            LMPOP 1 a LEFT COUNT 0     => (error) ERR count should be greater than 0
            LMPOP 1 a LEFT COUNT x     => (error) ERR count should be greater than 0
            LMPOP 1 a LEFT COUNT       => (error) ERR syntax error
            LMPOP 1 a LEFT COUNT 1 COUNT 1 => (error) ERR syntax error
            LMPOP 1 a LEFT FOO 1       => (error) ERR syntax error
            LMPOP 1 a                  => (error) ERR wrong number of arguments for 'lmpop' command
            "#,
        );
    });
}

#[test]
fn positions() {
    each_encoding(|kv| {
        kv.talk(
            r#"
            RPUSH l a b c 10 11 12
            LINDEX l 0                 => "a"
            LINDEX l 3                 => "10"
            LINDEX l -1                => "12"
            LINDEX l -6                => "a"
            LINDEX l 6                 => (nil)
            LINDEX l -7                => (nil)
            LINDEX none 0              => (nil)
            LINDEX none x              => (nil)
            LINDEX l x                 => (error) ERR value is not an integer or out of range
            LRANGE l 0 0               => ["a"]
            LRANGE l -2 9              => ["11" "12"]
            LRANGE l 1 3               => ["b" "c" "10"]
            LRANGE l 4 3               => []
            LRANGE l 6 9               => []
            LRANGE l -100 1            => ["a" "b"]
            LRANGE l -9223372036854775808 9223372036854775807 => ["a" "b" "c" "10" "11" "12"]
            LRANGE none 0 -1           => []
            LRANGE l x 1               => (error) ERR value is not an integer or out of range
            LRANGE none 0 x            => (error) ERR value is not an integer or out of range
            LSET l 0 A                 => OK
            LSET l -1 twelve           => OK
            LSET l 3 -10               => OK
            LRANGE l 0 -1              => ["A" "b" "c" "-10" "11" "twelve"]
            LSET l 6 x                 => (error) ERR index out of range
            LSET l -7 x                => (error) ERR index out of range
            LSET l x x                 => (error) ERR value is not an integer or out of range
            LSET none 0 x              => (error) ERR no such key
            LSET l 4294967296 A        => OK
            LTRIM l 1 -2               => OK
            LRANGE l 0 -1              => ["b" "c" "-10" "11"]
            LTRIM l 0 99               => OK
            LLEN l                     => 4
            LTRIM l -3 -1              => OK
            LRANGE l 0 -1              => ["c" "-10" "11"]
            LTRIM l 5 9                => OK
            EXISTS l                   => 0
            LTRIM l 0 1                => OK
            LTRIM l x 1                => (error) ERR value is not an integer or out of range
            SET s text
            LINDEX s 0                 =~ (error) WRONGTYPE *
            LRANGE s 0 1               =~ (error) WRONGTYPE *
            LSET s 0 x                 =~ (error) WRONGTYPE *
            LTRIM s 0 1                =~ (error) WRONGTYPE *
            "#,
        );
    });
}

#[test]
fn texts() {
    each_encoding(|kv| {
        kv.talk(
            r#"
            RPUSH l a b 5 a c 5 a
            LPOS l a                   => 0
            LPOS l 5                   => 2
            LPOS l x                   => (nil)
            LPOS l a RANK 2            => 3
            LPOS l a RANK -1           => 6
            LPOS l a RANK -3           => 0
            LPOS l a RANK 4            => (nil)
            LPOS l a COUNT 2           => [0 3]
            LPOS l a COUNT 0           => [0 3 6]
            LPOS l a COUNT 0 RANK -2   => [3 0]
            LPOS l a COUNT 0 MAXLEN 4  => [0 3]
            LPOS l a COUNT 0 MAXLEN 3 RANK -1 => [6]
            LPOS l a MAXLEN 2 RANK 2   => (nil)
            LPOS l x COUNT 1           => []
            LPOS none a                => (nil)
            LPOS none a COUNT 1        => []
            LPOS l a RANK 0            => (error) ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list
            LPOS l a RANK -9223372036854775808 => (error) ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
            LPOS l a RANK x            => (error) ERR value is not an integer or out of range
            LPOS l a COUNT -1          => (error) ERR COUNT can't be negative
            LPOS l a MAXLEN -1         => (error) ERR MAXLEN can't be negative
            LPOS l a COUNT             => (error) ERR syntax error
            LPOS l a FOO 1             => (error) ERR syntax error
            LINSERT l BEFORE 5 four    => 8
            LINSERT l after a A        => 9
            LINSERT l AFTER x y        => -1
            LINSERT none AFTER x y     => 0
            LINSERT l BESIDE a b       => (error) ERR syntax error
            LINSERT none BESIDE a b    => (error) ERR syntax error
            LRANGE l 0 -1              => ["a" "A" "b" "four" "5" "a" "c" "5" "a"]
            LREM l 1 5                 => 1
            LREM l -2 a                => 2
            LREM l 0 x                 => 0
            LREM none 0 x              => 0
            LRANGE l 0 -1              => ["a" "A" "b" "four" "c" "5"]
            LREM l -9223372036854775808 a => (error) ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
            LREM l x a                 => (error) ERR value is not an integer or out of range
            LREM l 5 a                 => 1
            RPUSH m 7 7 7 7 7
            LREM m -1 7                => 1
            LREM m 0 7                 => 4
            EXISTS m                   => 0
            SET s text
            LPOS s a                   =~ (error) WRONGTYPE *
            LINSERT s AFTER a b        =~ (error) WRONGTYPE *
            LREM s 0 a                 =~ (error) WRONGTYPE *
            "#,
        );
    });
}

#[test]
fn moves() {
    each_encoding(|kv| {
        kv.talk(
            r#"
            RPUSH a 1 2 3 four
            LMOVE a b RIGHT LEFT       => "four"
            LMOVE a b left right       => "1"
            LRANGE b 0 -1              => ["four" "1"]
            RPOPLPUSH a b              => "3"
            LRANGE b 0 -1              => ["3" "four" "1"]
            LMOVE a b LEFT LEFT        => "2"
            EXISTS a                   => 0
            LMOVE a b LEFT LEFT        => (nil)
            RPOPLPUSH a b              => (nil)
            LMOVE b b LEFT RIGHT       => "2"
            LMOVE b b LEFT LEFT        => "3"
            RPOPLPUSH b b              => "2"
            LRANGE b 0 -1              => ["2" "3" "four" "1"]
            RPUSH c x
            LMOVE c c LEFT RIGHT       => "x"
            LLEN c                     => 1
            LMOVE a b UP LEFT          => (error) ERR syntax error
            LMOVE a b LEFT             => (error) ERR wrong number of arguments for 'lmove' command
            RPOPLPUSH a                => (error) ERR wrong number of arguments for 'rpoplpush' command
            SET s text
            LMOVE s b LEFT LEFT        =~ (error) WRONGTYPE *
            LMOVE b s LEFT LEFT        =~ (error) WRONGTYPE *
            RPOPLPUSH b s              =~ (error) WRONGTYPE *
            LMOVE none s LEFT LEFT     => (nil)
            LLEN b                     => 4
            "#,
        );
    });
}

#[test]
fn waiting() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            RPUSH b 1 2 3 4 5 6
            BLPOP a b 0                => ["b" "1"]
            BRPOP a b 0                => ["b" "6"]
            BLMPOP 0 2 a b LEFT COUNT 2 => ["b" ["2" "3"]]
            BLMOVE b c RIGHT LEFT 0    => "5"
            BRPOPLPUSH b c 0           => "4"
            LRANGE c 0 -1              => ["4" "5"]
            BLPOP a b 0.01             => (nil array) || (nil)
            BRPOP a b 0.01             => (nil array) || (nil)
            BLMPOP 0.01 1 a RIGHT      => (nil array) || (nil)
            BLMOVE a b LEFT LEFT 0.01  => (nil array) || (nil)
            BRPOPLPUSH a b 0.01        => (nil array) || (nil)
            BLPOP a x                  => (error) ERR timeout is not a float or out of range
            BRPOP a -1                 => (error) ERR timeout is negative
            BLMPOP x 1 a LEFT          => (error) ERR timeout is not a float or out of range
            BLMPOP -1 0 a LEFT         => (error) ERR numkeys should be greater than 0
            BLMPOP 0 0 a LEFT          => (error) ERR numkeys should be greater than 0
            BLMPOP 0 1 a UP            => (error) ERR syntax error
            BLMOVE a b UP LEFT 0       => (error) ERR syntax error
            BLMOVE a b LEFT LEFT x     => (error) ERR timeout is not a float or out of range
            BRPOPLPUSH a b -1          => (error) ERR timeout is negative
            SET s text
            BLPOP s 0                  =~ (error) WRONGTYPE *
            BRPOP none s 0             =~ (error) WRONGTYPE *
            BLMOVE s b LEFT LEFT 0     =~ (error) WRONGTYPE *
            BLPOP a                    => (error) ERR wrong number of arguments for 'blpop' command
            BRPOP a                    => (error) ERR wrong number of arguments for 'brpop' command
            MULTI
            BLPOP a 0                  => QUEUED
            BLMOVE a b LEFT LEFT 0     => QUEUED
            EXEC                       => [(nil array) (nil)] || [(nil) (nil)]
            "#,
        );
    });
    let mut waiter = server.connect();
    let mut other = server.connect();
    waiter.send(&["BLMOVE", "from", "to", "LEFT", "RIGHT", "0"]);
    other.expect("RPUSH from 1 2", "2");
    assert_eq!(waiter.read().text(), "\"1\"");
    other.expect("LRANGE to 0 -1", "[\"1\"]");
    other.expect("LRANGE from 0 -1", "[\"2\"]");
}

/// Encodings, as Redis changes them: large at the limit, and compact again at half of it.
#[test]
fn encodings() {
    let server = Server::start(&["--list-max-listpack-size", "4"]);
    let mut kv = server.connect();
    kv.talk(
        r#"
        RPUSH l 1 2 3 4
        OBJECT ENCODING l          => "listpack"
        RPUSH l 5
        OBJECT ENCODING l          => "quicklist"
        LPOP l                     => "1"
        OBJECT ENCODING l          => "quicklist"
        LPOP l                     => "2"
        OBJECT ENCODING l          => "quicklist"
        RPOP l                     => "5"
        OBJECT ENCODING l          => "listpack"
        RPUSH l a b
        LINSERT l AFTER none x     => -1
        OBJECT ENCODING l          => "quicklist"
        DEL l
        RPUSH l 1 2 3 4 5 6 7 8 9
        LTRIM l 3 4
        OBJECT ENCODING l          => "quicklist"
        LREM l 1 4                 => 1
        OBJECT ENCODING l          => "listpack"
        CONFIG SET list-max-listpack-size -1
        DEL l
        RPUSH l a
        "#,
    );
    let large = "x".repeat(5000);
    kv.cmd(&["LSET", "l", "0", &large]);
    kv.expect("OBJECT ENCODING l", "\"quicklist\"");
    kv.cmd(&["LSET", "l", "0", "small"]);
    kv.expect("OBJECT ENCODING l", "\"listpack\"");
    for n in 0..500 {
        kv.cmd(&["RPUSH", "l", &format!("element {n}")]);
    }
    kv.expect("OBJECT ENCODING l", "\"quicklist\"");
    kv.expect("LINDEX l 250", "\"element 249\"");
}

/// What a file and a payload keep, whatever the settings of the server that reads them.
#[test]
fn files() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let large = "y".repeat(20_000);
    kv.talk("RPUSH short 1 two -3\nRPUSH one x");
    for n in 0..3000 {
        kv.cmd(&["RPUSH", "long", &format!("element number {n}")]);
    }
    kv.cmd(&["RPUSH", "mixed", "a", &large, "b"]);
    let digest = kv.line("DEBUG DIGEST").text();
    for size in ["2", "-5", "-2"] {
        kv.cmd(&["CONFIG", "SET", "list-max-listpack-size", size]);
        kv.talk("DEBUG RELOAD => OK");
        assert_eq!(kv.line("DEBUG DIGEST").text(), digest);
        for key in ["short", "one", "long", "mixed"] {
            kv.talk(&format!("COPY {key} copy => 1"));
            let shown = kv.line(&format!("LRANGE {key} 0 -1")).text();
            kv.expect("LRANGE copy 0 -1", &shown);
            let payload = kv.line("DUMP copy").bytes().to_vec();
            kv.talk("DEL copy => 1");
            kv.cmd_bytes(&[b"RESTORE", b"copy", b"0", &payload]);
            kv.expect("LRANGE copy 0 -1", &shown);
            kv.talk("DEL copy => 1");
        }
    }
    kv.expect("LINDEX long 2999", "\"element number 2999\"");
    kv.expect("LLEN mixed", "3");
}

/// A small element in the place of a large one joins its neighbours, and the list is small again.
#[test]
fn a_list_without_its_large_element_is_small_again() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.expect(&format!("RPUSH l {} ab", "v".repeat(40_000)), "2");
        kv.talk(
            r#"
            OBJECT ENCODING l          => "quicklist"
            LSET l 0 12                => OK
            OBJECT ENCODING l          => "listpack"
            LRANGE l 0 -1              => ["12" "ab"]
            "#,
        );
    });
}
