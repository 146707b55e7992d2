//! The hash group, in every encoding: fields by name, all at once, counters, chance, deadlines of fields, files.

use std::time::Duration;

use crate::support::{Conn, Server, each_proto};

/// How hashes of a few short fields come to be in each encoding.
const ENCODINGS: [(&str, &[&str]); 2] = [("listpack", &[]), ("hashtable", &["--hash-max-listpack-entries", "0"])];

/// A conversation in every encoding and protocol.
fn each_encoding(conversation: impl Fn(&mut Conn, &str)) {
    for (encoding, args) in ENCODINGS {
        let server = Server::start(args);
        each_proto(&server, |kv| conversation(kv, encoding));
    }
}

#[test]
fn fields() {
    each_encoding(|kv, encoding| {
        kv.talk(
            r#"
            HSET h a 1 b two a 3       => 2
            HSET h b 2 c 9             => 1
            HLEN h                     => 3
            HLEN none                  => 0
            HGET h a                   => "3"
            HGET h d                   => (nil)
            HGET none a                => (nil)
            HMGET h a d b              => ["3" (nil) "2"]
            HMGET none a b             => [(nil) (nil)]
            HMSET h d 4 e 5            => OK
            HEXISTS h d                => 1
            HEXISTS h f                => 0
            HEXISTS none d             => 0
            HSTRLEN h d                => 1
            HSTRLEN h f                => 0
            HSTRLEN none d             => 0
            HSETNX h d 7               => 0
            HSETNX h f 7               => 1
            HSETNX new f 7             => 1
            HGET h f                   => "7"
            HKEYS h                    => sorted ["a" "b" "c" "d" "e" "f"]
            HVALS h                    => sorted ["2" "3" "4" "5" "7" "9"]
            HKEYS none                 => []
            HVALS none                 => []
            HGETALL none               => [] || {}
            HGETALL new                => ["f" "7"] || {"f": "7"}
            HDEL h a zz b a            => 2
            HDEL h zz                  => 0
            HDEL none zz               => 0
            HDEL h c d e f zz          => 4
            EXISTS h                   => 0
            HSET i 12 12 -5 -5         => 2
            HGET i 12                  => "12"
            HSTRLEN i -5               => 2
            "#,
        );
        kv.expect("OBJECT ENCODING i", &format!("{encoding:?}"));
        kv.talk(
            r#"
            SET t text
            HSET t a 1                 => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            HMSET t a 1                =~ (error) WRONGTYPE *
            HSETNX t a 1               =~ (error) WRONGTYPE *
            HGET t a                   =~ (error) WRONGTYPE *
            HMGET t a                  =~ (error) WRONGTYPE *
            HDEL t a                   =~ (error) WRONGTYPE *
            HLEN t                     =~ (error) WRONGTYPE *
            HEXISTS t a                =~ (error) WRONGTYPE *
            HSTRLEN t a                =~ (error) WRONGTYPE *
            HGETALL t                  =~ (error) WRONGTYPE *
            HKEYS t                    =~ (error) WRONGTYPE *
            HVALS t                    =~ (error) WRONGTYPE *
            HSCAN t 0                  =~ (error) WRONGTYPE *
            GET i                      =~ (error) WRONGTYPE *
            TYPE i                     => hash
            HSET h a                   => (error) ERR wrong number of arguments for 'hset' command
            HSET h a 1 b               => (error) ERR wrong number of arguments for 'hset' command
            HMSET h a 1 b              => (error) ERR wrong number of arguments for 'hmset' command
            HGET h                     => (error) ERR wrong number of arguments for 'hget' command
            EXISTS h                   => 0
            "#,
        );
    });
}

#[test]
fn counters() {
    each_encoding(|kv, _| {
        kv.talk(
            r#"
            HINCRBY h n 5              => 5
            HINCRBY h n -7             => -2
            HGET h n                   => "-2"
            HSET h t text big 9223372036854775807
            HINCRBY h t 1              => (error) ERR hash value is not an integer
            HINCRBY h big 1            => (error) ERR increment or decrement would overflow
            HINCRBY h n x              => (error) ERR value is not an integer or out of range
            HINCRBYFLOAT h n 1.5       => "-0.5"
            HINCRBYFLOAT h new 10.50   => "10.5"
            HINCRBYFLOAT h new 1e2     => "110.5"
            HINCRBYFLOAT h t 1         => (error) ERR hash value is not a float
            HINCRBYFLOAT h n x         => (error) ERR value is not a valid float
            HINCRBYFLOAT h n inf       => (error) ERR value is NaN or Infinity
            HINCRBY h new 1            => (error) ERR hash value is not an integer
            SET s 1
            HINCRBY s n 1              =~ (error) WRONGTYPE *
            HINCRBYFLOAT s n 1         =~ (error) WRONGTYPE *
            HPEXPIRE h 100000 FIELDS 1 n
            HINCRBYFLOAT h n 0.5       => "0"
            HINCRBY h n 1              => 1
            HTTL h FIELDS 1 n          => [100]
            "#,
        );
    });
}

#[test]
fn chance() {
    each_encoding(|kv, _| {
        kv.talk(
            r#"
            HRANDFIELD none            => (nil)
            HRANDFIELD none 3          => []
            HRANDFIELD none -3         => []
            HSET h a 1
            HRANDFIELD h               => "a"
            HRANDFIELD h 5             => ["a"]
            HRANDFIELD h -3            => ["a" "a" "a"]
            HRANDFIELD h 1 WITHVALUES  => ["a" "1"] || [["a" "1"]]
            HRANDFIELD h -2 WITHVALUES => ["a" "1" "a" "1"] || [["a" "1"] ["a" "1"]]
            HRANDFIELD h 0             => []
            HRANDFIELD h x             => (error) ERR value is not an integer or out of range
            HRANDFIELD h 1 values      => (error) ERR syntax error
            HRANDFIELD h 1 withvalues x => (error) ERR syntax error
            HRANDFIELD h -9223372036854775808 =~ (error) ERR value is out of range, value must between *
            HRANDFIELD h -4611686018427387904 WITHVALUES => (error) ERR value is out of range
            HRANDFIELD h 9223372036854775807 WITHVALUES => (error) ERR value is out of range
            HRANDFIELD h -9223372036854775808 what =~ (error) ERR value is out of range, value must between *
            "#,
        );
        kv.cmd(&["HSET", "many", "a", "1", "b", "2", "c", "3", "d", "4"]);
        let fields = kv.cmd(&["HRANDFIELD", "many", "3"]);
        let mut names: Vec<String> = fields.items().iter().map(|name| name.text()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 3, "different fields");
    });
}

#[test]
fn deadlines() {
    each_encoding(|kv, encoding| {
        kv.talk(
            r#"
            DEBUG SET-ACTIVE-EXPIRE 0
            HSET h a 1 b 2 c 3
            HEXPIRE h 100 FIELDS 2 a zz    => [1 -2]
            HTTL h FIELDS 3 a b zz         => [100 -1 -2]
            HPEXPIRE h 50000 GT FIELDS 2 a b => [0 0]
            HPEXPIRE h 50000 LT FIELDS 2 a b => [1 1]
            HEXPIRE h 60 NX FIELDS 2 a c   => [0 1]
            HEXPIRE h 70 XX FIELDS 2 a zz  => [1 -2]
            HPEXPIREAT h 70368744177663 FIELDS 1 c => [1]
            HPEXPIRETIME h FIELDS 1 c      => [70368744177663]
            HEXPIRETIME h FIELDS 1 c       => [70368744178]
            HPERSIST h FIELDS 3 a a zz     => [1 -1 -2]
            HTTL h FIELDS 1 a              => [-1]
            HSET h b 7                     => 0
            HTTL h FIELDS 1 b              => [-1]
            HEXPIREAT h 1 FIELDS 1 b       => [2]
            HEXISTS h b                    => 0
            HPEXPIRE h 0 FIELDS 1 a        => [2]
            HKEYS h                        => ["c"]
            HPEXPIRE h 0 FIELDS 1 c        => [2]
            EXISTS h                       => 0
            HEXPIRE none 10 FIELDS 2 a b   => [-2 -2]
            HTTL none FIELDS 2 a b         => [-2 -2]
            HPTTL none FIELDS 1 a          => [-2]
            HPERSIST none FIELDS 1 a       => [-2]
            HEXPIRE none x FIELDS 1 a      => (error) ERR value is not an integer or out of range
            HEXPIRE none -1 FIELDS 1 a     => (error) ERR invalid expire time, must be >= 0
            HEXPIRE none 10000000000000 FIELDS 1 a => (error) ERR invalid expire time in 'hexpire' command
            HPEXPIREAT none 70368744177664 FIELDS 1 a => (error) ERR invalid expire time in 'hpexpireat' command
            HEXPIRE none 1 FIELDS 0 a      => (error) ERR Parameter `numFields` should be greater than 0
            HEXPIRE none 1 NX FIELDS a     => (error) ERR Parameter `numFields` should be greater than 0
            HEXPIRE none 1 NX FIELDS 1     => (error) ERR The `numfields` parameter must match the number of arguments
            HEXPIRE none 1 FIELDS 2 a      => (error) ERR The `numfields` parameter must match the number of arguments
            HEXPIRE none 1 FIELD 1 a       =~ (error) ERR Mandatory argument FIELDS is missing *
            HEXPIRE none 1 NX XX FIELDS 1 a =~ (error) ERR Mandatory argument FIELDS is missing *
            HTTL none FIELDS 0 a           => (error) ERR Number of fields must be a positive integer
            HTTL none FIELDS 2 a           => (error) ERR The `numfields` parameter must match the number of arguments
            SET s 1
            HEXPIRE s x FIELDS 1 a         =~ (error) WRONGTYPE *
            HTTL s FIELDS 1 a              =~ (error) WRONGTYPE *
            HPERSIST s FIELDS 1 a          =~ (error) WRONGTYPE *
            "#,
        );
        kv.talk("HSET e a 1 b 2\n HEXPIRE e 100 FIELDS 1 a => [1]");
        let with_deadlines = if encoding == "listpack" { "listpackex" } else { encoding };
        kv.expect("OBJECT ENCODING e", &format!("{with_deadlines:?}"));
    });
}

#[test]
fn values_with_deadlines() {
    each_encoding(|kv, _| {
        kv.talk(
            r#"
            HSET h a 1 b 2 c 3
            HGETEX h FIELDS 2 a zz         => ["1" (nil)]
            HGETEX h EX 100 FIELDS 2 a b   => ["1" "2"]
            HTTL h FIELDS 3 a b c          => [100 100 -1]
            HGETEX h PERSIST FIELDS 2 a c  => ["1" "3"]
            HTTL h FIELDS 2 a b            => [-1 100]
            HGETEX h PXAT 1 FIELDS 1 a     => ["1"]
            HEXISTS h a                    => 0
            HGETEX none FIELDS 1 a         => [(nil)]
            HGETEX none EX -1 FIELDS 1 a   => (error) ERR invalid expire time, must be >= 0
            HGETEX h EX 1 PX 1 FIELDS 1 a  =~ (error) ERR Mandatory argument FIELDS is missing *
            HGETEX h FIELDS 1 a EX 1       => (error) ERR The `numfields` parameter must match the number of arguments
            HGETDEL h FIELDS 3 b b zz      => ["2" (nil) (nil)]
            HGETDEL none FIELDS 2 a b      => [(nil) (nil)]
            HGETDEL none FIELDS 0 a        => (error) ERR Number of fields must be a positive integer
            HGETDEL h FIELDS 1 c           => ["3"]
            EXISTS h                       => 0
            HSETEX h FIELDS 1 f v          => 1
            HSETEX h FNX FIELDS 2 f v g w  => 0
            HSETEX h FXX FIELDS 2 f v g w  => 0
            HEXISTS h g                    => 0
            HSETEX h FNX EX 10 FIELDS 1 g w => 1
            HSETEX h FXX KEEPTTL FIELDS 1 g x => 1
            HTTL h FIELDS 1 g              => [10]
            HSETEX h FIELDS 1 g y          => 1
            HTTL h FIELDS 1 g              => [-1]
            HSETEX h PXAT 1 FIELDS 2 f y g z => 1
            EXISTS h                       => 0
            HSETEX h PXAT 1 FIELDS 1 f y   => 1
            EXISTS h                       => 0
            HSETEX h FXX FIELDS 1 f y      => 0
            HSETEX h FXX FNX FIELDS 1 f w  => (error) ERR Only one of FXX or FNX arguments can be specified
            HSETEX h EX 10 KEEPTTL FIELDS 1 f y =~ (error) ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL *
            HSETEX h PERSIST FIELDS 1 f y  => (error) ERR unknown argument: PERSIST
            HSETEX h FIELDS 2 f y          => (error) ERR wrong number of arguments for 'hsetex' command
            HSETEX h FIELDS 0 f y          => (error) ERR invalid number of fields
            HSETEX h FIELDS -1 f y         => (error) ERR invalid number of fields
            HSETEX h FIELDS 2147483647 f y => (error) ERR wrong number of arguments for 'hsetex' command
            HSETEX h FIELDS 2147483648 f y => (error) ERR invalid number of fields
            HSETEX h FIELDS 4294967297 f y => (error) ERR invalid number of fields
            HSETEX h FIELDS 9223372036854775807 f y => (error) ERR invalid number of fields
            HSETEX h FIELDS 9223372036854775808 f y => (error) ERR invalid number of fields
            SET s 1
            HSETEX s FIELDS 1 f y          =~ (error) WRONGTYPE *
            HGETEX s FIELDZ 1 f            =~ (error) WRONGTYPE *
            HGETDEL s FIELDZ 1 f           =~ (error) WRONGTYPE *
            "#,
        );
    });
}

/// What is over is not shown, and is gone soon.
#[test]
fn time_goes_by() {
    each_encoding(|kv, _| {
        kv.talk(
            r#"
            CONFIG RESETSTAT
            DEBUG SET-ACTIVE-EXPIRE 0
            HSET h a 1 b 2 c 3 d 4
            HPEXPIRE h 1 FIELDS 3 a b c    => [1 1 1]
            DEBUG SLEEP 0.01
            HLEN h                         => 4
            HGETALL h                      => ["d" "4"] || {"d": "4"}
            HKEYS h                        => ["d"]
            HVALS h                        => ["4"]
            HSCAN h 0                      => ["0" ["d" "4"]]
            HRANDFIELD h 10                => ["d"]
            HRANDFIELD h                   => "d"
            HTTL h FIELDS 1 a              => [-2]
            HEXISTS h a                    => 0
            HMGET h b d                    => [(nil) "4"]
            HINCRBY h c 5                  => 5
            HTTL h FIELDS 1 c              => [-1]
            HSET all x 1
            HPEXPIRE all 1 FIELDS 1 x
            DEBUG SLEEP 0.01
            EXISTS all                     => 1
            HGETALL all                    => [] || {}
            HGET all x                     => (nil)
            EXISTS all                     => 0
            DEBUG SET-ACTIVE-EXPIRE 1
            HSET soon x 1 y 2
            HPEXPIRE soon 20 FIELDS 1 y    => [1]
            HSET sooner x 1
            HPEXPIRE sooner 20 FIELDS 1 x  => [1]
            COPY soon copied               => 1
            RENAME soon renamed            => OK
            "#,
        );
        std::thread::sleep(Duration::from_millis(200));
        kv.talk(
            r#"
            HLEN renamed                   => 1
            HLEN copied                    => 1
            EXISTS sooner                  => 0
            "#,
        );
        let info = kv.cmd(&["INFO"]).text();
        assert!(info.contains("expired_subkeys:7"), "{info}");
        assert!(info.contains("subexpiry=0"), "{info}");
    });
}

#[test]
fn encodings() {
    let server = Server::start(&["--hash-max-listpack-entries", "4", "--hash-max-listpack-value", "8"]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            HSET h a 1 b 2 c 3 d 4
            OBJECT ENCODING h          => "listpack"
            HSET h a 5
            OBJECT ENCODING h          => "listpack"
            HSET h e 5
            OBJECT ENCODING h          => "hashtable"
            HDEL h a b c d
            OBJECT ENCODING h          => "hashtable"
            HSET v a 12345678
            OBJECT ENCODING v          => "listpack"
            HSET v a 123456789
            OBJECT ENCODING v          => "hashtable"
            HSET f 123456789 1
            OBJECT ENCODING f          => "hashtable"
            HSET many a 1 b 2 c 3 d 4 a 5
            OBJECT ENCODING many       => "hashtable"
            HSET x a 1 b 2
            HEXPIRE x 100 FIELDS 1 b   => [1]
            OBJECT ENCODING x          => "listpackex"
            HKEYS x                    => ["b" "a"]
            HPERSIST x FIELDS 1 b      => [1]
            OBJECT ENCODING x          => "listpackex"
            HEXPIRE x 100 FIELDS 1 a   => [1]
            HSET x c 3 d 4 e 5
            OBJECT ENCODING x          => "hashtable"
            HTTL x FIELDS 2 a b        => [100 -1]
            HSET p a 1
            HPERSIST p FIELDS 1 a      => [-1]
            OBJECT ENCODING p          => "listpack"
            HPEXPIREAT p 4 FIELDS 1 zz => [-2]
            OBJECT ENCODING p          => "listpackex"
            HSET q a 1
            HGETEX q EX 9 FIELDS 1 zz  => [(nil)]
            OBJECT ENCODING q          => "listpackex"
            "#,
        );
    });
}

#[test]
fn iterations() {
    each_encoding(|kv, _| {
        for n in 0..200 {
            kv.cmd(&["HSET", "h", &format!("field:{n}"), &n.to_string()]);
        }
        let (mut cursor, mut seen) = ("0".to_string(), std::collections::BTreeSet::new());
        loop {
            let reply = kv.cmd(&["HSCAN", "h", &cursor, "COUNT", "10"]);
            let parts = reply.items();
            for pair in parts[1].items().chunks(2) {
                let (field, value) = (pair[0].text(), pair[1].text());
                assert_eq!(field.trim_matches('"'), format!("field:{}", value.trim_matches('"')));
                seen.insert(field);
            }
            cursor = parts[0].text().trim_matches('"').to_string();
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen.len(), 200);
        kv.talk(
            r#"
            HSCAN h 0 MATCH field:17 COUNT 1000          => ["0" ["field:17" "17"]]
            HSCAN h 0 MATCH field:17 COUNT 1000 NOVALUES => ["0" ["field:17"]]
            HSCAN h 0 COUNT 0          => (error) ERR syntax error
            HSCAN h x                  => (error) ERR invalid cursor
            HSCAN none 0               => ["0" []]
            "#,
        );
    });
}

/// A hash survives DUMP and RESTORE, a restart, and DEBUG DIGEST tells it from no copy of it.
#[test]
fn files() {
    each_encoding(|kv, encoding| {
        kv.talk(
            r#"
            HSET h a 1 b two 3 -12345
            HSET x a 1 b two 3 -12345
            HPEXPIREAT x 70368744177663 FIELDS 1 b
            HPEXPIREAT x 70368744170000 FIELDS 1 3
            "#,
        );
        for key in ["h", "x"] {
            let dumped = kv.cmd(&["DUMP", key]);
            let payload = dumped.bytes().to_vec();
            kv.talk("DEL copy");
            let reply = kv.cmd(&[&b"RESTORE"[..], b"copy", b"0", &payload]);
            assert_eq!(reply.text(), "OK");
            assert_eq!(kv.cmd(&["DEBUG", "DIGEST-VALUE", "copy"]), kv.cmd(&["DEBUG", "DIGEST-VALUE", key]));
            assert_eq!(kv.cmd(&["OBJECT", "ENCODING", "copy"]), kv.cmd(&["OBJECT", "ENCODING", key]));
        }
        let encoding = if encoding == "listpack" { "listpackex" } else { encoding };
        kv.expect("OBJECT ENCODING copy", &format!("{encoding:?}"));
        kv.talk(
            r#"
            DEBUG RELOAD
            HPEXPIRETIME x FIELDS 3 a b 3  => [-1 70368744177663 70368744170000]
            HGET x 3                       => "-12345"
            HMGET h a b 3                  => ["1" "two" "-12345"]
            "#,
        );
    });
}
