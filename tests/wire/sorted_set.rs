//! Sorted sets: ZADD to ZRANDMEMBER.

use crate::support::{Server, each_proto};

#[test]
fn members_and_scores() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            ZADD z 1 a 2 b 3 c                       => 3
            ZADD z 1 a 5 b 4 d                       => 1
            ZADD z CH 1 a 6 b 5 e                    => 2
            ZADD z NX 9 a 7 f                        => 1
            ZADD z XX CH 9 a 8 nope                  => 1
            ZADD z GT CH 5 a 10 b                    => 1
            ZADD z LT CH 1 a 99 b                    => 1
            ZADD z INCR 2 a                          => "3" || (double) 3
            ZADD z NX INCR 2 a                       => (nil)
            ZADD z XX INCR 2 nope                    => (nil)
            ZADD none XX 1 a                         => 0
            ZADD none XX INCR 1 a                    => (nil)
            EXISTS none                              => 0
            ZADD z NX XX 1 a                         => (error) ERR XX and NX options at the same time are not compatible
            ZADD z GT LT 1 a                         => (error) ERR GT, LT, and/or NX options at the same time are not compatible
            ZADD z GT NX 1 a                         => (error) ERR GT, LT, and/or NX options at the same time are not compatible
            ZADD z INCR 1 a 2 b                      => (error) ERR INCR option supports a single increment-element pair
            ZADD z 1                                 => (error) ERR wrong number of arguments for 'zadd' command
            ZADD z 1 a 2                             => (error) ERR syntax error
            ZADD z x a                               => (error) ERR value is not a valid float
            ZADD z nan a                             => (error) ERR value is not a valid float
            ZADD z inf a -inf b                      => 0
            ZINCRBY z -inf a                         => (error) ERR resulting score is not a number (NaN)
            ZINCRBY z 1.5 c                          => "4.5" || (double) 4.5
            ZINCRBY z x c                            => (error) ERR value is not a valid float
            ZINCRBY z 1 new                          => "1" || (double) 1
            ZCARD z                                  => 7
            ZCARD none                               => 0
            ZSCORE z c                               => "4.5" || (double) 4.5
            ZSCORE z nope                            => (nil)
            ZSCORE none a                            => (nil)
            ZMSCORE z c nope b                       => ["4.5" (nil) "-inf"] || [(double) 4.5 (nil) (double) -inf]
            ZMSCORE none a b                         => [(nil) (nil)]
            ZRANK z c                                => 3
            ZREVRANK z c                             => 3
            ZRANK z c WITHSCORE                      => [3 "4.5"] || [3 (double) 4.5]
            ZREVRANK z b WITHSCORE                   => [6 "-inf"] || [6 (double) -inf]
            ZRANK z nope                             => (nil)
            ZRANK z nope WITHSCORE                   => (nil array) || (nil)
            ZRANK none a                             => (nil)
            ZRANK z c FOO                            => (error) ERR syntax error
            ZRANK z c WITHSCORE x                    => (error) ERR wrong number of arguments for 'zrank' command
            ZREM z c nope d                          => 2
            ZREM none a                              => 0
            ZREM z a b e f new                       => 5
            EXISTS z                                 => 0
            TYPE z                                   => none
            ZADD z 1 a 2 b                           => 2
            OBJECT ENCODING z                        => "listpack"
            ZADD z 3 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa => 1
            OBJECT ENCODING z                        => "skiplist"
            ZSCAN z 0 MATCH a COUNT 100              => ["0" ["a" "1"]]
            ZSCAN none 0                             => ["0" []]
            ZSCAN z x                                => (error) ERR invalid cursor
            ZSCAN z 0 FOO                            => (error) ERR syntax error
            SET s x                                  => OK
            ZADD s 1 a                               => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            ZCARD s                                  => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            ZSCORE s a                               => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            ZRANK s a                                => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            ZREM s a                                 => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            ZSCAN s 0                                => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            "#,
        );
    });
}

#[test]
fn ranges() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            ZADD z 1 a 2 b 3 c 4 d 5 e               => 5
            ZRANGE z 0 -1                            => ["a" "b" "c" "d" "e"]
            ZRANGE z 1 2 WITHSCORES                  => ["b" "2" "c" "3"] || [["b" (double) 2] ["c" (double) 3]]
            ZRANGE z -2 -1 REV                       => ["b" "a"]
            ZRANGE z 9 10                            => []
            ZRANGE z 0 -1 REV WITHSCORES             => ["e" "5" "d" "4" "c" "3" "b" "2" "a" "1"] || [["e" (double) 5] ["d" (double) 4] ["c" (double) 3] ["b" (double) 2] ["a" (double) 1]]
            ZRANGE z (1 3 BYSCORE                    => ["b" "c"]
            ZRANGE z 3 (1 BYSCORE REV                => ["c" "b"]
            ZRANGE z -inf +inf BYSCORE LIMIT 1 2     => ["b" "c"]
            ZRANGE z +inf -inf BYSCORE REV LIMIT 1 2 => ["d" "c"]
            ZRANGE z -inf +inf BYSCORE LIMIT -1 2    => []
            ZRANGE z -inf +inf BYSCORE LIMIT 1 -5    => ["b" "c" "d" "e"]
            ZRANGE z 0 -1 LIMIT 1 2                  => (error) ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX
            ZRANGE z 0 -1 BYLEX WITHSCORES           => (error) ERR syntax error, WITHSCORES not supported in combination with BYLEX
            ZRANGE z x 1                             => (error) ERR value is not an integer or out of range
            ZRANGE z x 1 BYSCORE                     => (error) ERR min or max is not a float
            ZRANGE z x 1 BYLEX                       => (error) ERR min or max not valid string range item
            ZRANGE z 0 1 FOO                         => (error) ERR syntax error
            ZRANGE none 0 -1                         => []
            ZREVRANGE z 0 1                          => ["e" "d"]
            ZREVRANGE z 0 1 WITHSCORES               => ["e" "5" "d" "4"] || [["e" (double) 5] ["d" (double) 4]]
            ZRANGEBYSCORE z 2 4                      => ["b" "c" "d"]
            ZRANGEBYSCORE z (2 +inf WITHSCORES LIMIT 0 2 => ["c" "3" "d" "4"] || [["c" (double) 3] ["d" (double) 4]]
            ZREVRANGEBYSCORE z 4 2 WITHSCORES        => ["d" "4" "c" "3" "b" "2"] || [["d" (double) 4] ["c" (double) 3] ["b" (double) 2]]
            ZREVRANGEBYSCORE z (4 (2                 => ["c"]
            ZRANGEBYSCORE z a b                      => (error) ERR min or max is not a float
            ZCOUNT z 2 4                             => 3
            ZCOUNT z (2 +inf                         => 3
            ZCOUNT z x y                             => (error) ERR min or max is not a float
            ZCOUNT none 1 2                          => 0
            ZADD l 0 a 0 b 0 c 0 d                   => 4
            ZRANGEBYLEX l - +                        => ["a" "b" "c" "d"]
            ZRANGEBYLEX l [b (d                      => ["b" "c"]
            ZRANGEBYLEX l - + LIMIT 1 2              => ["b" "c"]
            ZREVRANGEBYLEX l + [b                    => ["d" "c" "b"]
            ZREVRANGEBYLEX l [c - LIMIT 0 1          => ["c"]
            ZRANGE l [b + BYLEX                      => ["b" "c" "d"]
            ZRANGE l + (b BYLEX REV                  => ["d" "c"]
            ZRANGEBYLEX l b d                        => (error) ERR min or max not valid string range item
            ZLEXCOUNT l - +                          => 4
            ZLEXCOUNT l [b (d                        => 2
            ZLEXCOUNT l b d                          => (error) ERR min or max not valid string range item
            ZRANGESTORE d z 1 3                      => 3
            ZRANGE d 0 -1 WITHSCORES                 => ["b" "2" "c" "3" "d" "4"] || [["b" (double) 2] ["c" (double) 3] ["d" (double) 4]]
            ZRANGESTORE d z 9 10                     => 0
            EXISTS d                                 => 0
            ZRANGESTORE d l [b + BYLEX LIMIT 0 1     => 1
            ZRANGE d 0 -1                            => ["b"]
            ZREMRANGEBYRANK z 0 0                    => 1
            ZREMRANGEBYSCORE z (4 +inf               => 1
            ZREMRANGEBYLEX l [b [c                   => 2
            ZRANGE z 0 -1                            => ["b" "c" "d"]
            ZRANGE l 0 -1                            => ["a" "d"]
            ZREMRANGEBYRANK z 0 -1                   => 3
            EXISTS z                                 => 0
            ZREMRANGEBYRANK z x 1                    => (error) ERR value is not an integer or out of range
            ZREMRANGEBYSCORE z x 1                   => (error) ERR min or max is not a float
            ZREMRANGEBYLEX z x 1                     => (error) ERR min or max not valid string range item
            "#,
        );
    });
}

#[test]
fn taking_joining_choosing() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            ZADD z 1 a 2 b 3 c 4 d 5 e 6 f           => 6
            ZPOPMIN z                                => ["a" "1"] || ["a" (double) 1]
            ZPOPMAX z                                => ["f" "6"] || ["f" (double) 6]
            ZPOPMIN z 2                              => ["b" "2" "c" "3"] || [["b" (double) 2] ["c" (double) 3]]
            ZPOPMAX z 0                              => []
            ZPOPMIN z -1                             => (error) ERR value is out of range, must be positive
            ZPOPMIN z 1 2                            => (error) ERR syntax error
            ZPOPMIN none                             => []
            ZPOPMIN none 2                           => []
            ZMPOP 2 none z MIN                       => ["z" [["d" "4"]]] || ["z" [["d" (double) 4]]]
            ZMPOP 1 z MAX COUNT 10                   => ["z" [["e" "5"]]] || ["z" [["e" (double) 5]]]
            EXISTS z                                 => 0
            ZMPOP 1 z MIN                            => (nil array) || (nil)
            ZMPOP 0 z MIN                            => (error) ERR numkeys should be greater than 0
            ZMPOP 1 z FOO                            => (error) ERR syntax error
            ZMPOP 1 z MIN COUNT 0                    => (error) ERR count should be greater than 0
            ZMPOP 3 z MIN                            => (error) ERR syntax error
            ZADD z 1 a 2 b 3 c 4 d                   => 4
            BZPOPMIN z 0                             => ["z" "a" "1"] || ["z" "a" (double) 1]
            BZPOPMAX none z 0                        => ["z" "d" "4"] || ["z" "d" (double) 4]
            BZMPOP 0 2 none z MIN COUNT 5            => ["z" [["b" "2"] ["c" "3"]]] || ["z" [["b" (double) 2] ["c" (double) 3]]]
            BZPOPMIN z 0.01                          => (nil array) || (nil)
            BZPOPMAX z 0.01                          => (nil array) || (nil)
            BZMPOP 0.01 1 z MIN                      => (nil array) || (nil)
            BZPOPMIN z x                             => (error) ERR timeout is not a float or out of range
            BZPOPMIN z -1                            => (error) ERR timeout is negative
            BZMPOP x 1 z MIN                         => (error) ERR timeout is not a float or out of range
            SET s x                                  => OK
            BZPOPMIN s 0                             => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            ZPOPMIN s                                => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            ZMPOP 1 s MIN                            => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            ZADD a 1 x 2 y 3 w                       => 3
            ZADD b 10 y 20 w 30 v                    => 3
            SADD t y v                               => 2
            ZUNION 2 a b                             => ["x" "y" "w" "v"]
            ZUNION 2 a b WITHSCORES                  => ["x" "1" "y" "12" "w" "23" "v" "30"] || [["x" (double) 1] ["y" (double) 12] ["w" (double) 23] ["v" (double) 30]]
            ZUNION 2 a b WEIGHTS 2 0.5 AGGREGATE MAX WITHSCORES => ["x" "2" "y" "5" "w" "10" "v" "15"] || [["x" (double) 2] ["y" (double) 5] ["w" (double) 10] ["v" (double) 15]]
            ZINTER 2 a b WITHSCORES                  => ["y" "12" "w" "23"] || [["y" (double) 12] ["w" (double) 23]]
            ZINTER 2 a t WITHSCORES AGGREGATE MIN    => ["y" "1"] || [["y" (double) 1]]
            ZDIFF 2 a b WITHSCORES                   => ["x" "1"] || [["x" (double) 1]]
            ZDIFF 1 none                             => []
            ZUNIONSTORE d 3 a b t                    => 4
            ZRANGE d 0 -1 WITHSCORES                 => ["x" "1" "y" "13" "w" "23" "v" "31"] || [["x" (double) 1] ["y" (double) 13] ["w" (double) 23] ["v" (double) 31]]
            ZINTERSTORE d 2 a b WEIGHTS 1 10         => 2
            ZRANGE d 0 -1 WITHSCORES                 => ["y" "102" "w" "203"] || [["y" (double) 102] ["w" (double) 203]]
            ZDIFFSTORE d 2 b a                       => 1
            ZRANGE d 0 -1                            => ["v"]
            ZINTERSTORE d 2 a none                   => 0
            EXISTS d                                 => 0
            ZINTERCARD 2 a b                         => 2
            ZINTERCARD 2 a b LIMIT 1                 => 1
            ZINTERCARD 2 a b LIMIT -1                => (error) ERR LIMIT can't be negative
            ZINTERCARD 0 a                           => (error) ERR at least 1 input key is needed for 'zintercard' command
            ZUNION 0 a                               => (error) ERR at least 1 input key is needed for 'zunion' command
            ZUNION 3 a b                             => (error) ERR syntax error
            ZUNION 2 a b WEIGHTS 1                   => (error) ERR syntax error
            ZUNION 2 a b WEIGHTS 1 x                 => (error) ERR weight value is not a float
            ZUNION 2 a b AGGREGATE FOO               => (error) ERR syntax error
            ZUNIONSTORE d 1 a WITHSCORES             => (error) ERR syntax error
            ZDIFF 2 a b WEIGHTS 1 1                  => (error) ERR syntax error
            ZUNION 1 s                               => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            ZADD r 1 only                            => 1
            ZRANDMEMBER r                            => "only"
            ZRANDMEMBER r 5                          => ["only"]
            ZRANDMEMBER r -2 WITHSCORES              => ["only" "1" "only" "1"] || [["only" (double) 1] ["only" (double) 1]]
            ZRANDMEMBER r 0                          => []
            ZRANDMEMBER none                         => (nil)
            ZRANDMEMBER none 2                       => []
            ZRANDMEMBER r x                          => (error) ERR value is not an integer or out of range
            ZRANDMEMBER r 1 FOO                      => (error) ERR syntax error
            "#,
        );
    });
}

#[test]
fn those_who_wait() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        let mut first = kv.another();
        let mut second = kv.another();
        first.send(&["BZPOPMIN", "z", "y", "0"]);
        second.send(&["BZMPOP", "0", "1", "z", "MAX", "COUNT", "2"]);
        crate::support::wait_for("two to wait", std::time::Duration::from_secs(5), || {
            kv.info("blocked_clients") == "2"
        });
        kv.ok("SET y 1");
        kv.line("DEL y");
        assert_eq!(kv.int("ZADD z 1 a 2 b 3 c"), 3);
        let (one, other) = (first.read().text(), second.read().text());
        assert!(one.starts_with("[\"z\" \"a\"") || other.contains("\"a\""), "{one} {other}");
        assert_eq!(kv.int("EXISTS z"), 0);
    });
}

/// The digits are those that Redis's algorithm finds, and not always the fewest, or the nearest.
#[test]
fn digits_of_scores() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let many: String = (0..200).map(|i| format!(" 0 member:{i}")).collect();
    each_proto(&server, |kv| {
        for encoding in ["listpack", "skiplist"] {
            kv.line("DEL z");
            if encoding == "skiplist" {
                kv.line(&format!("ZADD z{many}"));
            }
            kv.talk(
                r#"
                ZADD z 1501200421007884.75 a 1e23 b 123456789012345678901 c -1152921504606846976 d 4611686018427440000 f => 5
                ZMSCORE z a b                            => ["1501200421007884.7" "99999999999999990000000"] || [(double) 1501200421007884.7 (double) 99999999999999990000000]
                ZMSCORE z c d                            => ["123456789012345680000" "-1152921504606846976"] || [(double) 123456789012345680000 (double) -1152921504606846976]
                ZINCRBY z 1e22 b                         => "109999999999999990000000" || (double) 109999999999999990000000
                ZSCORE z f                               => "4611686018427440000" || (double) 4611686018427440000
                "#,
            );
            assert_eq!(kv.line("OBJECT ENCODING z").text(), format!("\"{encoding}\""));
        }
        kv.talk(
            r#"
            ZADD digest 1501200421007884.75 a 1e23 b 123456789012345678901 c -1152921504606846976 d 0.3 e 4611686018427440000 f => 6
            DEBUG DIGEST-VALUE digest                => [6dd1bc3f4c74dbbd9288bf242f7d7b8c4a49390b]
            "#,
        );
    });
}

/// ZSCAN writes scores of large sets with seventeen digits, and those of small ones as they are stored.
#[test]
fn scores_in_iterations() {
    for (entries, shown) in [("128", ["0.1", "100000000000000000"]), ("0", ["0.10000000000000001", "1e+17"])] {
        let server = Server::start(&["--zset-max-listpack-entries", entries]);
        each_proto(&server, |kv| {
            kv.expect("ZADD z 0.1 a", "1");
            kv.expect("ZADD y 1e17 a", "1");
            kv.expect("ZSCAN z 0", &format!(r#"["0" ["a" "{}"]]"#, shown[0]));
            kv.expect("ZSCAN y 0", &format!(r#"["0" ["a" "{}"]]"#, shown[1]));
        });
    }
}

/// Ends of ranges are read up to a NUL; members of unequal scores are looked for from the end where reading begins.
#[test]
fn ends_of_ranges() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            ZADD z 0 a 1 b
            ZRANGEBYSCORE z 0 "\x00"    => ["a"]
            ZADD m -1 a 4 foo 9 aa 10 ab
            ZREVRANGEBYLEX m (c [A      => ["ab" "aa" "foo" "a"]
            ZRANGEBYLEX m [A (c         => ["a"]
            ZRANGEBYLEX m [aaa (z       => ["foo" "aa" "ab"]
            ZLEXCOUNT m [A (c           => 1
            ZRANGEBYLEX m [d [b         => []
            ZRANDMEMBER z -9223372036854775808 what =~ (error) ERR value is out of range, value must between *
            ZADD d -45035996273704952 3.5
            DEBUG DIGEST-VALUE d        => [faf1ba8b13d41d597c7815cbde71c89fde13aaac]
            "#,
        );
    });
}
