//! SORT and SORT_RO.

use crate::support::{Server, each_proto};

#[test]
fn orders_limits_and_destinations() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            RPUSH l 3 1 10 2 1.5                     => 5
            SORT l                                   => ["1" "1.5" "2" "3" "10"]
            SORT l DESC                              => ["10" "3" "2" "1.5" "1"]
            SORT l ALPHA                             => ["1" "1.5" "10" "2" "3"]
            SORT l ALPHA DESC                        => ["3" "2" "10" "1.5" "1"]
            SORT l LIMIT 1 2                         => ["1.5" "2"]
            SORT l LIMIT 0 -1 DESC                   => ["10" "3" "2" "1.5" "1"]
            SORT l LIMIT -5 2                        => ["1" "1.5"]
            SORT l LIMIT 2 0                         => []
            SORT l LIMIT 10 5                        => []
            SORT l LIMIT 1 x                         => (error) ERR value is not an integer or out of range
            SORT l LIMIT 1                           => (error) ERR syntax error
            SORT l BY nosort                         => ["3" "1" "10" "2" "1.5"]
            SORT l BY nosort DESC                    => ["1.5" "2" "10" "1" "3"]
            SORT l BY nosort LIMIT 1 2               => ["1" "10"]
            SORT l BY nosort DESC LIMIT 1 2          => ["2" "10"]
            SORT l BY nosort GET # GET nothing       => ["3" (nil) "1" (nil) "10" (nil) "2" (nil) "1.5" (nil)]
            SORT_RO l DESC LIMIT 0 2                 => ["10" "3"]
            SORT_RO l STORE d                        => (error) ERR syntax error
            SORT l STORE d                           => 5
            LRANGE d 0 -1                            => ["1" "1.5" "2" "3" "10"]
            OBJECT ENCODING d                        => "listpack"
            TYPE d                                   => list
            EXPIRE d 100                             => 1
            SORT l LIMIT 0 2 STORE d                 => 2
            TTL d                                    => -1
            SORT none STORE d                        => 0
            EXISTS d                                 => 0
            SORT none                                => []
            SORT none LIMIT 0 2 GET #                => []
            SET str x                                => OK
            SORT str                                 => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            SORT str FOO                             => (error) ERR syntax error
            SORT l FOO                               => (error) ERR syntax error
            SORT l GET                               => (error) ERR syntax error
            SORT l BY                                => (error) ERR syntax error
            SORT l STORE                             => (error) ERR syntax error
            SORT l ASC DESC ASC                      => ["1" "1.5" "2" "3" "10"]
            SORT                                     => (error) ERR wrong number of arguments for 'sort' command
            RPUSH w b a c ""                         => 4
            SORT w                                   => (error) ERR One or more scores can't be converted into double
            SORT w ALPHA                             => ["" "a" "b" "c"]
            RPUSH empty "" 2 -1                      => 3
            SORT empty                               => ["-1" "" "2"]
            RPUSH odd "1 " 2                         => 2
            SORT odd                                 => (error) ERR One or more scores can't be converted into double
            RPUSH odd2 +1 .5 1. 1e400                => 4
            SORT odd2                                => [".5" "+1" "1." "1e400"]
            RPUSH hex 0x10                           => 1
            SORT hex                                 => (error) ERR One or more scores can't be converted into double
            RPUSH blank " 1"                         => 1
            SORT blank                               => (error) ERR One or more scores can't be converted into double
            RPUSH inf inf -inf 0 1e5                 => 4
            SORT inf                                 => ["-inf" "0" "1e5" "inf"]
            "#,
        );
    });
}

#[test]
fn by_and_get() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            RPUSH ids 1 2 3 4                        => 4
            MSET weight_1 30 weight_2 10 weight_3 20 name_1 one name_2 two name_4 four w_1x 5 w_2x 9 => OK
            SORT ids BY weight_*                     => ["4" "2" "3" "1"]
            SORT ids BY weight_* DESC                => ["1" "3" "2" "4"]
            SORT ids BY weight_* GET name_*          => ["four" "two" (nil) "one"]
            SORT ids BY weight_* GET # GET name_* GET weight_* => ["4" "four" (nil) "2" "two" "10" "3" (nil) "20" "1" "one" "30"]
            SORT ids BY weight_* GET name_* STORE d  => 4
            LRANGE d 0 -1                            => ["four" "two" "" "one"]
            SORT ids BY w_*x GET w_*x DESC           => ["9" "5" (nil) (nil)]
            SORT ids BY name_* ALPHA                 => ["3" "4" "1" "2"]
            SORT ids BY name_* ALPHA DESC            => ["2" "1" "4" "3"]
            SORT ids BY name_*                       => (error) ERR One or more scores can't be converted into double
            SORT ids BY weight_* LIMIT 1 2           => ["2" "3"]
            SORT ids GET name GET *                  => [(nil) (nil) (nil) (nil) (nil) (nil) (nil) (nil)]
            SORT ids BY * DESC                       => ["4" "3" "2" "1"]
            SORT ids BY user_*                       => ["1" "2" "3" "4"]
            RPUSH d2 x                               => 1
            SORT ids BY weight_* GET * STORE d2      => 4
            EXISTS d2                                => 1
            LRANGE d2 0 -1                           => ["" "" "" ""]
            SORT ids BY weight_* STORE ids           => 4
            LRANGE ids 0 -1                          => ["4" "2" "3" "1"]
            "#,
        );
    });
}

#[test]
fn sets_and_sorted_sets() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            SADD s 3 1 2 10                          => 4
            SORT s                                   => ["1" "2" "3" "10"]
            SORT s DESC LIMIT 0 2                    => ["10" "3"]
            SADD words pear apple fig                => 3
            SORT words ALPHA                         => ["apple" "fig" "pear"]
            SORT words                               => (error) ERR One or more scores can't be converted into double
            SORT words BY nosort STORE d             => 3
            LRANGE d 0 -1                            => ["apple" "fig" "pear"]
            SORT words BY nosort DESC STORE d        => 3
            LRANGE d 0 -1                            => ["pear" "fig" "apple"]
            ZADD z 3 a 1 b 2 c                       => 3
            SORT z ALPHA                             => ["a" "b" "c"]
            SORT z ALPHA DESC                        => ["c" "b" "a"]
            SORT z BY nosort                         => ["b" "c" "a"]
            SORT z BY nosort DESC                    => ["a" "c" "b"]
            SORT z BY nosort LIMIT 1 1               => ["c"]
            SORT z BY nosort DESC LIMIT 0 2          => ["a" "c"]
            SORT z BY nosort DESC LIMIT 1 5 STORE d  => 2
            LRANGE d 0 -1                            => ["c" "b"]
            SORT z                                   => (error) ERR One or more scores can't be converted into double
            ZADD n 1 10 2 9 3 8                      => 3
            SORT n                                   => ["8" "9" "10"]
            SORT n DESC                              => ["10" "9" "8"]
            SORT n LIMIT 1 1                         => ["9"]
            "#,
        );
    });
}

#[test]
fn fields_of_hashes() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            RPUSH l 1 2 3
            HSET w_1 weight 30 name one
            HSET w_2 weight 10 name two
            HSET w_3 weight 20
            SORT l BY w_*->weight      => ["2" "3" "1"]
            SORT l BY w_*->weight GET # GET w_*->name => ["2" "two" "3" (nil) "1" "one"]
            SORT l BY w_*->weight DESC STORE out => 3
            LRANGE out 0 -1            => ["1" "3" "2"]
            SORT l BY w_*-> GET w_*->name => ["one" "two" (nil)]
            SORT l BY nosort GET w_*   => [(nil) (nil) (nil)]
            "#,
        );
    });
}
