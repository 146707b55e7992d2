//! The set group, in every encoding: members one by one, several sets at once, chance, iterations, files.

use std::collections::BTreeSet;

use crate::support::{Conn, Server, each_proto};

/// How sets of a few short members come to be in each encoding.
const ENCODINGS: [(&str, &[&str]); 3] = [
    ("intset", &["--set-max-intset-entries", "512"]),
    ("listpack", &["--set-max-intset-entries", "0"]),
    ("hashtable", &["--set-max-intset-entries", "0", "--set-max-listpack-entries", "0"]),
];

/// A conversation in every encoding and protocol. Members are integers, which each can hold.
fn each_encoding(conversation: impl Fn(&mut Conn, &str)) {
    for (encoding, args) in ENCODINGS {
        let server = Server::start(args);
        each_proto(&server, |kv| conversation(kv, encoding));
    }
}

#[test]
fn members() {
    each_encoding(|kv, encoding| {
        kv.talk(
            r#"
            SADD s 1 2 3 2             => 3
            SADD s 3 4                 => 1
            SCARD s                    => 4
            SCARD none                 => 0
            SISMEMBER s 4              => 1
            SISMEMBER s 5              => 0
            SISMEMBER s four           => 0
            SISMEMBER none 4           => 0
            SMISMEMBER s 1 5 2         => [1 0 1]
            SMISMEMBER none 1 5        => [0 0]
            SMEMBERS s                 => sorted ["1" "2" "3" "4"]
            SMEMBERS none              => [] || #[]
            SREM s 1 9 1               => 1
            SREM s 9                   => 0
            SREM s nine                => 0
            SREM none 9                => 0
            SMEMBERS s                 => sorted ["2" "3" "4"]
            SREM s 2 3 4 5             => 3
            EXISTS s                   => 0
            SADD a 1 2
            SADD b 3
            SMOVE a b 1                => 1
            SMOVE a b 1                => 0
            SMOVE a a 2                => 1
            SMOVE a a 9                => 0
            SMOVE none b 1             => 0
            SMOVE a c 2                => 1
            EXISTS a                   => 0
            SMEMBERS b                 => sorted ["1" "3"]
            SMEMBERS c                 => sorted ["2"]
            "#,
        );
        kv.expect("OBJECT ENCODING b", &format!("{encoding:?}"));
        kv.talk(
            r#"
            SET t text
            SADD t 1                   => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            SREM t 1                   =~ (error) WRONGTYPE *
            SCARD t                    =~ (error) WRONGTYPE *
            SMEMBERS t                 =~ (error) WRONGTYPE *
            SISMEMBER t 1              =~ (error) WRONGTYPE *
            SMISMEMBER t 1             =~ (error) WRONGTYPE *
            SMOVE t b 1                =~ (error) WRONGTYPE *
            SMOVE b t 1                =~ (error) WRONGTYPE *
            SMOVE b t 9                =~ (error) WRONGTYPE *
            SMOVE none t 1             => 0
            GET b                      =~ (error) WRONGTYPE *
            TYPE b                     => set
            SADD s                     => (error) ERR wrong number of arguments for 'sadd' command
            SREM s                     => (error) ERR wrong number of arguments for 'srem' command
            SMOVE a b                  => (error) ERR wrong number of arguments for 'smove' command
            SMISMEMBER s               => (error) ERR wrong number of arguments for 'smismember' command
            SISMEMBER s                => (error) ERR wrong number of arguments for 'sismember' command
            SCARD                      => (error) ERR wrong number of arguments for 'scard' command
            SMEMBERS                   => (error) ERR wrong number of arguments for 'smembers' command
            "#,
        );
    });
}

#[test]
fn algebra() {
    each_encoding(|kv, encoding| {
        kv.talk(
            r#"
            SADD a 1 2 3 4
            SADD b 3 4 5
            SADD c 4 6
            SINTER a b                 => sorted ["3" "4"]
            SINTER a b c               => sorted ["4"]
            SINTER a                   => sorted ["1" "2" "3" "4"]
            SINTER a none              => [] || #[]
            SUNION a b c               => sorted ["1" "2" "3" "4" "5" "6"]
            SUNION none a              => sorted ["1" "2" "3" "4"]
            SUNION none                => [] || #[]
            SDIFF a b                  => sorted ["1" "2"]
            SDIFF a b c                => sorted ["1" "2"]
            SDIFF a a                  => [] || #[]
            SDIFF a none b             => sorted ["1" "2"]
            SDIFF none a               => [] || #[]
            SDIFF c a b                => sorted ["6"]
            SINTERSTORE d a b          => 2
            SMEMBERS d                 => sorted ["3" "4"]
            SUNIONSTORE d a b          => 5
            SMEMBERS d                 => sorted ["1" "2" "3" "4" "5"]
            SDIFFSTORE d a b           => 2
            SMEMBERS d                 => sorted ["1" "2"]
            SDIFFSTORE a a b           => 2
            SMEMBERS a                 => sorted ["1" "2"]
            SINTERSTORE d a c          => 0
            EXISTS d                   => 0
            SET d text
            SUNIONSTORE d none         => 0
            EXISTS d                   => 0
            SET d text EX 100
            SUNIONSTORE d c            => 2
            TTL d                      => -1
            SINTERCARD 2 b c           => 1
            SINTERCARD 1 b             => 3
            SINTERCARD 1 b LIMIT 2     => 2
            SINTERCARD 1 b LIMIT 0     => 3
            SINTERCARD 2 b none        => 0
            SINTERCARD 0 b             => (error) ERR numkeys should be greater than 0
            SINTERCARD x b             => (error) ERR numkeys should be greater than 0
            SINTERCARD 2 b             => (error) ERR Number of keys can't be greater than number of args
            SINTERCARD 1 b LIMIT -1    => (error) ERR LIMIT can't be negative
            SINTERCARD 1 b LIMIT x     => (error) ERR LIMIT can't be negative
            SINTERCARD 1 b LIMIT       => (error) ERR syntax error
            SINTERCARD 1 b c           => (error) ERR syntax error
            SET t text
            SINTER a t                 =~ (error) WRONGTYPE *
            SINTER none t              =~ (error) WRONGTYPE *
            SUNION a t                 =~ (error) WRONGTYPE *
            SDIFF none t               =~ (error) WRONGTYPE *
            SINTERSTORE d t a          =~ (error) WRONGTYPE *
            SUNIONSTORE d a t          =~ (error) WRONGTYPE *
            SDIFFSTORE d a t           =~ (error) WRONGTYPE *
            SINTERCARD 2 none t        =~ (error) WRONGTYPE *
            SINTER                     => (error) ERR wrong number of arguments for 'sinter' command
            SUNION                     => (error) ERR wrong number of arguments for 'sunion' command
            SDIFF                      => (error) ERR wrong number of arguments for 'sdiff' command
            SINTERSTORE a              => (error) ERR wrong number of arguments for 'sinterstore' command
            SUNIONSTORE a              => (error) ERR wrong number of arguments for 'sunionstore' command
            SDIFFSTORE a               => (error) ERR wrong number of arguments for 'sdiffstore' command
            SINTERCARD 1               => (error) ERR wrong number of arguments for 'sintercard' command
            "#,
        );
        // A result grows from an empty intset, and one that may hold nothing grows into a table.
        let stored = if encoding == "listpack" { "hashtable" } else { encoding };
        for command in ["SUNIONSTORE e b", "SDIFFSTORE e b none"] {
            assert_eq!(kv.int(command), 3);
            kv.expect("OBJECT ENCODING e", &format!("{stored:?}"));
        }
    });
}

#[test]
fn chance() {
    each_encoding(|kv, encoding| {
        kv.talk(
            r#"
            SRANDMEMBER none           => (nil)
            SRANDMEMBER none 3         => []
            SPOP none                  => (nil)
            SPOP none 3                => [] || #[]
            SADD one 7
            SRANDMEMBER one            => "7"
            SRANDMEMBER one 5          => ["7"]
            SRANDMEMBER one -3         => ["7" "7" "7"]
            SRANDMEMBER one 0          => []
            SPOP one 0                 => [] || #[]
            SPOP one                   => "7"
            EXISTS one                 => 0
            SADD two 1 2
            SPOP two 2                 => sorted ["1" "2"]
            EXISTS two                 => 0
            SADD one 1
            SPOP one -1                => (error) ERR value is out of range, must be positive
            SPOP one x                 => (error) ERR value is out of range, must be positive
            SPOP one 1 2               => (error) ERR syntax error
            SRANDMEMBER one x          => (error) ERR value is not an integer or out of range
            SRANDMEMBER one 1 2        => (error) ERR syntax error
            SRANDMEMBER one -9223372036854775808 =~ (error) ERR value is out of range, value must between *
            SPOP                       => (error) ERR wrong number of arguments for 'spop' command
            SRANDMEMBER                => (error) ERR wrong number of arguments for 'srandmember' command
            SET t text
            SPOP t                     =~ (error) WRONGTYPE *
            SPOP t 1                   =~ (error) WRONGTYPE *
            SRANDMEMBER t              =~ (error) WRONGTYPE *
            SRANDMEMBER t 1            =~ (error) WRONGTYPE *
            "#,
        );
        let all: BTreeSet<String> = (1..=100).map(|n| n.to_string()).collect();
        let mut add = vec!["SADD", "many"];
        add.extend(all.iter().map(String::as_str));
        kv.cmd(&add);
        for count in [1usize, 10, 50, 99, 100, 200] {
            let chosen = kv.cmd(&["SRANDMEMBER", "many", &count.to_string()]).sorted();
            let different: BTreeSet<String> = chosen.iter().cloned().collect();
            assert_eq!((chosen.len(), different.len()), (count.min(100), count.min(100)), "{encoding} {count}");
            assert!(different.is_subset(&all));
        }
        assert_eq!(kv.cmd(&["SRANDMEMBER", "many", "-300"]).items().len(), 300);
        let mut left = all;
        for count in [1usize, 9, 30, 55] {
            for popped in kv.cmd(&["SPOP", "many", &count.to_string()]).sorted() {
                assert!(left.remove(&popped), "{encoding}: {popped}");
            }
            assert_eq!(kv.int("SCARD many"), left.len() as i64);
        }
        assert_eq!(kv.cmd(&["SMEMBERS", "many"]).sorted().len(), 5);
        kv.expect("OBJECT ENCODING many", &format!("{encoding:?}"));
    });
}

#[test]
fn encodings() {
    let server = Server::start(&["--set-max-listpack-value", "10"]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            SADD s 1 2 3
            OBJECT ENCODING s          => "intset"
            SADD s word
            OBJECT ENCODING s          => "listpack"
            SREM s word
            OBJECT ENCODING s          => "listpack"
            SADD s "longer than ten"
            OBJECT ENCODING s          => "hashtable"
            SREM s "longer than ten"
            OBJECT ENCODING s          => "hashtable"
            SMEMBERS s                 => sorted ["1" "2" "3"]
            SINTERSTORE s s
            OBJECT ENCODING s          => "intset"
            SADD big 12345678901
            SADD big word
            OBJECT ENCODING big        => "hashtable"
            SADD zero 01
            OBJECT ENCODING zero       => "listpack"
            SADD zero 1
            SMEMBERS zero              => sorted ["01" "1"]
            SADD words a b
            SUNIONSTORE u s words      => 5
            OBJECT ENCODING u          => "listpack"
            SADD last a 1
            SDIFFSTORE u last words    => 1
            OBJECT ENCODING u          => "intset"
            COPY words copy            => 1
            SADD copy c                => 1
            SCARD words                => 2
            RENAME words renamed       => OK
            SMEMBERS renamed           => sorted ["a" "b"]
            "#,
        );
        for (n, encoding) in [(128, "listpack"), (129, "hashtable")] {
            kv.line("DEL s");
            let words: Vec<String> = (0..n).map(|n| format!("m{n}")).collect();
            for word in &words {
                assert_eq!(kv.cmd(&["SADD", "s", word]).int(), 1);
            }
            kv.expect("OBJECT ENCODING s", &format!("{encoding:?}"));
            assert_eq!(kv.int("SCARD s"), n);
        }
        let ints: Vec<String> = (0..513).map(|n| n.to_string()).collect();
        for (n, encoding) in [(512, "intset"), (513, "hashtable")] {
            kv.line("DEL s");
            for int in &ints[..n] {
                kv.cmd(&["SADD", "s", int]);
            }
            kv.expect("OBJECT ENCODING s", &format!("{encoding:?}"));
        }
        // As many arguments as no small encoding takes make a large set at once.
        for (n, encoding) in [(128, "listpack"), (129, "hashtable")] {
            kv.line("DEL s");
            let mut add: Vec<String> = vec!["SADD".into(), "s".into()];
            add.extend((0..n).map(|n| format!("m{}", n % 100)));
            assert_eq!(kv.cmd(&add).int(), 100);
            kv.expect("OBJECT ENCODING s", &format!("{encoding:?}"));
        }
    });
}

#[test]
fn iterations() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            SSCAN none 0               => ["0" []]
            SADD s 1 2 3
            SSCAN s 0                  => ["0" ["1" "2" "3"]]
            SSCAN s 0 MATCH 2          => ["0" ["2"]]
            SSCAN s 0 MATCH [13] COUNT 1 => ["0" ["1" "3"]]
            SSCAN s x                  => (error) ERR invalid cursor
            SSCAN s 0 COUNT 0          => (error) ERR syntax error
            SSCAN s 0 COUNT x          => (error) ERR value is not an integer or out of range
            SSCAN s 0 MATCH            => (error) ERR syntax error
            SSCAN s 0 TYPE set         => (error) ERR syntax error
            SSCAN s 0 NOVALUES         => (error) ERR NOVALUES option can only be used in HSCAN
            SSCAN none 0 BAD           => ["0" []]
            SSCAN none x               => (error) ERR invalid cursor
            SET t text
            SSCAN t 0                  =~ (error) WRONGTYPE *
            SSCAN s                    => (error) ERR wrong number of arguments for 'sscan' command
            "#,
        );
        let all: BTreeSet<String> = (0..2000).map(|n| format!("member:{n}")).collect();
        for chunk in all.iter().collect::<Vec<_>>().chunks(500) {
            let mut add = vec!["SADD", "many"];
            add.extend(chunk.iter().map(|s| s.as_str()));
            kv.cmd(&add);
        }
        for options in [&[][..], &["COUNT", "100"], &["MATCH", "*:1*"], &["COUNT", "1"]] {
            let (mut cursor, mut seen, mut calls) = ("0".to_string(), BTreeSet::new(), 0);
            loop {
                let mut scan = vec!["SSCAN", "many", &cursor];
                scan.extend(options);
                let reply = kv.cmd(&scan);
                seen.extend(reply.items()[1].sorted());
                cursor = reply.items()[0].string();
                calls += 1;
                if cursor == "0" {
                    break;
                }
            }
            let matching = |s: &&String| options.first() != Some(&"MATCH") || s.starts_with("member:1");
            assert_eq!(seen, all.iter().filter(matching).cloned().collect());
            assert!(calls > 5);
        }
    });
}

#[test]
fn files() {
    for (encoding, args) in ENCODINGS {
        let mut server = Server::start(args);
        let mut kv = server.connect();
        kv.line("SADD s 1 2 3");
        kv.line("SADD words a bc 12");
        for n in 0..300 {
            kv.cmd(&["SADD", "many", &format!("member:{n}")]);
        }
        kv.cmd(&[b"SADD".to_vec(), b"many".to_vec(), vec![b'x'; 1000]]);
        let digest = kv.line("DEBUG DIGEST").string();
        let dump = kv.line("DUMP many").bytes().to_vec();
        assert_eq!(kv.cmd(&[b"RESTORE", &b"again"[..], b"0", &dump]).text(), "OK");
        let values = ["many", "again"].map(|key| kv.cmd(&["DEBUG", "DIGEST-VALUE", key]).items()[0].string());
        assert_eq!(values[0], values[1]);
        kv.line("DEL again");
        kv.ok("SAVE");
        server.kill_9();
        server.start_again();
        let mut kv = server.connect();
        assert_eq!(kv.line("DEBUG DIGEST").string(), digest);
        kv.expect("OBJECT ENCODING s", &format!("{encoding:?}"));
        kv.expect("OBJECT ENCODING many", r#""hashtable""#);
        assert_eq!(kv.int("SCARD many"), 301);
    }
}

/// A number is the same member whether a set keeps it as a number or, among long members, as a text.
#[test]
fn numbers_in_sets_of_different_encodings() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        let long = "x".repeat(100);
        kv.expect(&format!("SADD table 11 12 {long}"), "3");
        kv.expect("SADD pack a b 11 12 13", "5");
        kv.talk(
            r#"
            OBJECT ENCODING table      => "hashtable"
            OBJECT ENCODING pack       => "listpack"
            SINTERCARD 2 table pack    => 2
            SINTER table pack          => sorted ["11" "12"]
            SINTERSTORE both table pack => 2
            SDIFF pack table           => sorted ["13" "a" "b"]
            SDIFFSTORE rest pack table table table table => 3
            SMEMBERS rest              => sorted ["13" "a" "b"]
            SDIFF table pack           =~ *xxx*
            "#,
        );
        kv.expect("SDIFFSTORE long table pack", "1");
    });
}
