//! Streams: entries, ranges, trimming, consumer groups; who waits for entries, and what a stream is in a dump.

use crate::support::{Conn, Peer, Proto, Server, each_proto, wait_for};
use std::time::Duration;

/// Ids that are given, half given and wrong.
#[test]
fn adding() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            XADD s 1-1 f v                           => "1-1"
            XADD s 1-* f v                           => "1-2"
            XADD s 1-* f v                           => "1-3"
            XADD s 2 f v                             => "2-0"
            XADD s 2-* f v g w                       => "2-1"
            XADD s 2-1 f v                           => (error) ERR The ID specified in XADD is equal or smaller than the target stream top item
            XADD s 1 f v                             => (error) ERR The ID specified in XADD is equal or smaller than the target stream top item
            XADD s 0-0 f v                           => (error) ERR The ID specified in XADD must be greater than 0-0
            XADD s 0 f v                             => (error) ERR The ID specified in XADD must be greater than 0-0
            XADD s x f v                             => (error) ERR Invalid stream ID specified as stream command argument
            XADD s - f v                             => (error) ERR Invalid stream ID specified as stream command argument
            XADD s + f v                             => (error) ERR Invalid stream ID specified as stream command argument
            XADD s 3--1 f v                          => (error) ERR Invalid stream ID specified as stream command argument
            XADD s 3-1-1 f v                         => (error) ERR Invalid stream ID specified as stream command argument
            XADD s 3-18446744073709551616 f v        => (error) ERR Invalid stream ID specified as stream command argument
            XADD s 3 f                               => (error) ERR wrong number of arguments for 'xadd' command
            XADD s 3 f v g                           => (error) ERR wrong number of arguments for 'xadd' command
            XADD s * f                               => (error) ERR wrong number of arguments for 'xadd' command
            XADD s                                   => (error) ERR wrong number of arguments for 'xadd' command
            XADD none NOMKSTREAM 1-1 f v             => (nil)
            EXISTS none                              => 0
            XADD s NOMKSTREAM 3-0 f v                => "3-0"
            XLEN s                                   => 6
            XLEN none                                => 0
            TYPE s                                   => stream
            OBJECT ENCODING s                        => "stream"
            XADD zero 0-* f v                        => "0-1"
            XADD max 18446744073709551615-18446744073709551615 f v => "18446744073709551615-18446744073709551615"
            XADD max 18446744073709551615-* f v      => (error) ERR The stream has exhausted the last possible ID, unable to add more items
            XADD max * f v                           => (error) ERR The stream has exhausted the last possible ID, unable to add more items
            XADD seq 5-18446744073709551615 f v      => "5-18446744073709551615"
            XADD seq 5-* f v                         => (error) ERR The ID specified in XADD is equal or smaller than the target stream top item
            XADD seq 6-* f v                         => "6-0"
            SET str x                                => OK
            XADD str 1-1 f v                         => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            XLEN str                                 => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            XLEN                                     => (error) ERR wrong number of arguments for 'xlen' command
            "#,
        );
    });
}

/// XRANGE and XREVRANGE.
#[test]
fn ranges() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            XADD s 1-1 a 1                           => "1-1"
            XADD s 1-2 a 2 b -5                      => "1-2"
            XADD s 2-0 c "" 007 x                    => "2-0"
            XADD s 3-0 a 3                           => "3-0"
            XRANGE s - +                             => [["1-1" ["a" "1"]] ["1-2" ["a" "2" "b" "-5"]] ["2-0" ["c" "" "007" "x"]] ["3-0" ["a" "3"]]]
            XREVRANGE s + -                          => [["3-0" ["a" "3"]] ["2-0" ["c" "" "007" "x"]] ["1-2" ["a" "2" "b" "-5"]] ["1-1" ["a" "1"]]]
            XRANGE s 1 1                             => [["1-1" ["a" "1"]] ["1-2" ["a" "2" "b" "-5"]]]
            XRANGE s (1-1 (3                         => [["1-2" ["a" "2" "b" "-5"]] ["2-0" ["c" "" "007" "x"]] ["3-0" ["a" "3"]]]
            XRANGE s 2 +                             => [["2-0" ["c" "" "007" "x"]] ["3-0" ["a" "3"]]]
            XREVRANGE s 1 -                          => [["1-2" ["a" "2" "b" "-5"]] ["1-1" ["a" "1"]]]
            XREVRANGE s (3-0 (1-1                    => [["2-0" ["c" "" "007" "x"]] ["1-2" ["a" "2" "b" "-5"]]]
            XRANGE s - + COUNT 2                     => [["1-1" ["a" "1"]] ["1-2" ["a" "2" "b" "-5"]]]
            XREVRANGE s + - COUNT 1                  => [["3-0" ["a" "3"]]]
            XRANGE s - + COUNT 0                     => (nil array) || (nil)
            XRANGE s - + COUNT -1                    => (nil array) || (nil)
            XRANGE s - + COUNT                       => (error) ERR syntax error
            XRANGE s - + COUNT x                     => (error) ERR value is not an integer or out of range
            XRANGE s - + FOO 1                       => (error) ERR syntax error
            XRANGE s + -                             => []
            XRANGE s 4 +                             => []
            XRANGE s x +                             => (error) ERR Invalid stream ID specified as stream command argument
            XRANGE s - x                             => (error) ERR Invalid stream ID specified as stream command argument
            XRANGE s (- +                            => (error) ERR Invalid stream ID specified as stream command argument
            XRANGE s - (+                            => (error) ERR Invalid stream ID specified as stream command argument
            XRANGE s ( +                             => (error) ERR Invalid stream ID specified as stream command argument
            XRANGE s (18446744073709551615-18446744073709551615 + => (error) ERR invalid start ID for the interval
            XRANGE s - (0-0                          => (error) ERR invalid end ID for the interval
            XRANGE none - +                          => []
            XRANGE none x +                          => (error) ERR Invalid stream ID specified as stream command argument
            SET str x                                => OK
            XRANGE str - +                           => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            XRANGE s -                               => (error) ERR wrong number of arguments for 'xrange' command
            XREVRANGE s +                            => (error) ERR wrong number of arguments for 'xrevrange' command
            "#,
        );
    });
}

/// XDEL; a stream that has become empty stays.
#[test]
fn deleting() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            XADD s 1-1 a 1                           => "1-1"
            XADD s 2-1 a 2                           => "2-1"
            XADD s 3-1 b 3                           => "3-1"
            XDEL s 2-1 2-1 9-9                       => 1
            XDEL s x                                 => (error) ERR Invalid stream ID specified as stream command argument
            XDEL s 1-1 x                             => (error) ERR Invalid stream ID specified as stream command argument
            XDEL none 1-1                            => 0
            XDEL none x                              => 0
            XRANGE s - +                             => [["1-1" ["a" "1"]] ["3-1" ["b" "3"]]]
            XINFO STREAM s                           =~ ["length" 2 "radix-tree-keys" 1 "radix-tree-nodes" * "last-generated-id" "3-1" "max-deleted-entry-id" "2-1" "entries-added" 3 "recorded-first-entry-id" "1-1" "groups" 0 "first-entry" ["1-1" ["a" "1"]] "last-entry" ["3-1" ["b" "3"]]] || {"length": 2, "radix-tree-keys": 1, "radix-tree-nodes": *, "last-generated-id": "3-1", "max-deleted-entry-id": "2-1", "entries-added": 3, "recorded-first-entry-id": "1-1", "groups": 0, "first-entry": ["1-1" ["a" "1"]], "last-entry": ["3-1" ["b" "3"]]}
            XDEL s 1-1 3-1                           => 2
            XLEN s                                   => 0
            EXISTS s                                 => 1
            XADD s 3-1 c 4                           => (error) ERR The ID specified in XADD is equal or smaller than the target stream top item
            XADD s 4-1 c 4                           => "4-1"
            XRANGE s - +                             => [["4-1" ["c" "4"]]]
            SET str x                                => OK
            XDEL str 1-1                             => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            XDEL s                                   => (error) ERR wrong number of arguments for 'xdel' command
            "#,
        );
    });
}

/// XTRIM, and what XADD trims.
#[test]
fn trimming() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            CONFIG SET stream-node-max-entries 3     => OK
            XADD s 1-0 f 1                           => "1-0"
            XADD s 2-0 f 2                           => "2-0"
            XADD s 3-0 f 3                           => "3-0"
            XADD s 4-0 f 4                           => "4-0"
            XADD s 5-0 f 5                           => "5-0"
            XADD s 6-0 f 6                           => "6-0"
            XADD s 7-0 f 7                           => "7-0"
            XTRIM s MAXLEN ~ 5                       => 0
            XTRIM s MAXLEN ~ 4                       => 3
            XTRIM s MAXLEN = 3                       => 1
            XTRIM s MAXLEN 3                         => 0
            XRANGE s - +                             => [["5-0" ["f" "5"]] ["6-0" ["f" "6"]] ["7-0" ["f" "7"]]]
            XTRIM s MINID 6-1                        => 2
            XTRIM s MINID ~ 8                        => 1
            XTRIM s MINID = 8                        => 0
            XLEN s                                   => 0
            XADD s MAXLEN 2 8-0 f 8                  => "8-0"
            XADD s MAXLEN 2 9-0 f 9                  => "9-0"
            XADD s MAXLEN 2 10-0 f 10                => "10-0"
            XADD s MINID ~ 9 11-0 f 11               => "11-0"
            XADD s MINID 10 12-0 f 12                => "12-0"
            XRANGE s - +                             => [["10-0" ["f" "10"]] ["11-0" ["f" "11"]] ["12-0" ["f" "12"]]]
            XINFO STREAM s                           =~ ["length" 3 "radix-tree-keys" 2 "radix-tree-nodes" * "last-generated-id" "12-0" "max-deleted-entry-id" "0-0" "entries-added" 12 "recorded-first-entry-id" "10-0" "groups" 0 "first-entry" ["10-0" ["f" "10"]] "last-entry" ["12-0" ["f" "12"]]] || {"length": 3, "radix-tree-keys": 2, "radix-tree-nodes": *, "last-generated-id": "12-0", "max-deleted-entry-id": "0-0", "entries-added": 12, "recorded-first-entry-id": "10-0", "groups": 0, "first-entry": ["10-0" ["f" "10"]], "last-entry": ["12-0" ["f" "12"]]}
            XTRIM s MAXLEN ~ 0 LIMIT 2               => 1
            XTRIM s MAXLEN ~ 0 LIMIT 3               => 2
            XTRIM s MAXLEN ~ 0 LIMIT 0               => 0
            XTRIM s MAXLEN 5 LIMIT 1                 => (error) ERR syntax error, LIMIT cannot be used without the special ~ option
            XTRIM s MAXLEN = 5 LIMIT 1               => (error) ERR syntax error, LIMIT cannot be used without the special ~ option
            XTRIM s MAXLEN -1                        => (error) ERR The MAXLEN argument must be >= 0.
            XTRIM s MAXLEN x                         => (error) ERR value is not an integer or out of range
            XTRIM s MAXLEN                           => (error) ERR wrong number of arguments for 'xtrim' command
            XTRIM s MINID x                          => (error) ERR Invalid stream ID specified as stream command argument
            XTRIM s MAXLEN 1 MINID 2                 => (error) ERR syntax error, MAXLEN and MINID options at the same time are not compatible
            XTRIM s MAXLEN ~ 1 LIMIT -1              => (error) ERR The LIMIT argument must be >= 0.
            XTRIM s LIMIT 1                          => (error) ERR syntax error, LIMIT cannot be used without specifying a trimming strategy
            XTRIM s FOO 1                            => (error) ERR syntax error
            XTRIM s NOMKSTREAM MAXLEN 1              => (error) ERR syntax error
            XADD s LIMIT 1 * f v                     => (error) ERR syntax error, LIMIT cannot be used without specifying a trimming strategy
            XADD s MAXLEN 1 MINID 2 * f v            => (error) ERR syntax error, MAXLEN and MINID options at the same time are not compatible
            XADD s MAXLEN 1 LIMIT 5 * f v            => (error) ERR syntax error, LIMIT cannot be used without the special ~ option
            XTRIM none MAXLEN 1                      => 0
            SET str x                                => OK
            XTRIM str MAXLEN 1                       => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            XTRIM s                                  => (error) ERR wrong number of arguments for 'xtrim' command
            CONFIG SET stream-node-max-entries 100   => OK
            "#,
        );
    });
}

/// XSETID.
#[test]
fn setid() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            XADD s 5-5 f v                           => "5-5"
            XADD s 6-6 f v                           => "6-6"
            XSETID s 5-6                             => (error) ERR The ID specified in XSETID is smaller than the target stream top item
            XSETID s 6-6                             => OK
            XSETID s 7-0 ENTRIESADDED 1              => (error) ERR The entries_added specified in XSETID is smaller than the target stream length
            XSETID s 7-0 ENTRIESADDED -1             => (error) ERR entries_added must be positive
            XSETID s 7-0 ENTRIESADDED x              => (error) ERR value is not an integer or out of range
            XSETID s 7-0 MAXDELETEDID 8-0            => (error) ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id
            XSETID s 7-0 ENTRIESADDED 10 MAXDELETEDID 6-0 => OK
            XSETID s 5-0                             => (error) ERR The ID specified in XSETID is smaller than current max_deleted_entry_id
            XINFO STREAM s                           =~ ["length" 2 "radix-tree-keys" 1 "radix-tree-nodes" * "last-generated-id" "7-0" "max-deleted-entry-id" "6-0" "entries-added" 10 "recorded-first-entry-id" "5-5" "groups" 0 "first-entry" ["5-5" ["f" "v"]] "last-entry" ["6-6" ["f" "v"]]] || {"length": 2, "radix-tree-keys": 1, "radix-tree-nodes": *, "last-generated-id": "7-0", "max-deleted-entry-id": "6-0", "entries-added": 10, "recorded-first-entry-id": "5-5", "groups": 0, "first-entry": ["5-5" ["f" "v"]], "last-entry": ["6-6" ["f" "v"]]}
            XADD s 7-0 f v                           => (error) ERR The ID specified in XADD is equal or smaller than the target stream top item
            XADD s 7-1 f v                           => "7-1"
            XSETID s 8-0 ENTRIESADDED                => (error) ERR syntax error
            XSETID s 8-0 FOO 1                       => (error) ERR syntax error
            XSETID s x                               => (error) ERR Invalid stream ID specified as stream command argument
            XSETID none 1-1                          => (error) ERR no such key
            SET str x                                => OK
            XSETID str 1-1                           => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            XSETID s                                 => (error) ERR wrong number of arguments for 'xsetid' command
            "#,
        );
    });
}

/// XREAD without waiting.
#[test]
fn reading() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            XADD s 1-1 a 1                           => "1-1"
            XADD s 1-2 a 2                           => "1-2"
            XADD s 2-1 a 3                           => "2-1"
            XADD t 5-5 b 1                           => "5-5"
            XREAD STREAMS s 0                        => [["s" [["1-1" ["a" "1"]] ["1-2" ["a" "2"]] ["2-1" ["a" "3"]]]]] || {"s": [["1-1" ["a" "1"]] ["1-2" ["a" "2"]] ["2-1" ["a" "3"]]]}
            XREAD COUNT 1 STREAMS s t 1-1 0          => [["s" [["1-2" ["a" "2"]]]] ["t" [["5-5" ["b" "1"]]]]] || {"s": [["1-2" ["a" "2"]]], "t": [["5-5" ["b" "1"]]]}
            XREAD COUNT 0 STREAMS s 1-2              => [["s" [["2-1" ["a" "3"]]]]] || {"s": [["2-1" ["a" "3"]]]}
            XREAD COUNT -1 STREAMS s 1-2             => [["s" [["2-1" ["a" "3"]]]]] || {"s": [["2-1" ["a" "3"]]]}
            XREAD STREAMS s t 2-1 5                  => [["t" [["5-5" ["b" "1"]]]]] || {"t": [["5-5" ["b" "1"]]]}
            XREAD STREAMS s t none $ $ $             => (nil array) || (nil)
            XREAD STREAMS s t none + + +             => [["s" [["2-1" ["a" "3"]]]] ["t" [["5-5" ["b" "1"]]]]] || {"s": [["2-1" ["a" "3"]]], "t": [["5-5" ["b" "1"]]]}
            XDEL s 2-1                               => 1
            XREAD STREAMS s +                        => [["s" [["1-2" ["a" "2"]]]]] || {"s": [["1-2" ["a" "2"]]]}
            XREAD STREAMS s 1-2                      => (nil array) || (nil)
            XREAD STREAMS s 18446744073709551615-18446744073709551615 => (nil array) || (nil)
            XREAD STREAMS none 0                     => (nil array) || (nil)
            XREAD STREAMS s >                        => (error) ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.
            XREAD STREAMS s x                        => (error) ERR Invalid stream ID specified as stream command argument
            XREAD STREAMS s -                        => (error) ERR Invalid stream ID specified as stream command argument
            XREAD STREAMS s t 0                      => (error) ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified.
            XREAD STREAMS s                          => (error) ERR wrong number of arguments for 'xread' command
            XREAD COUNT 1 s 0                        => (error) ERR syntax error
            XREAD COUNT x STREAMS s 0                => (error) ERR value is not an integer or out of range
            XREAD BLOCK x STREAMS s 0                => (error) ERR timeout is not an integer or out of range
            XREAD BLOCK -1 STREAMS s 0               => (error) ERR timeout is negative
            XREAD NOACK STREAMS s 0                  => (error) ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.
            XREAD GROUP g c STREAMS s 0              => (error) ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.
            XREAD FOO STREAMS s 0                    => (error) ERR syntax error
            SET str x                                => OK
            XREAD STREAMS str 0                      => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            XREAD STREAMS s str 0 0                  => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            XREAD s 0                                => (error) ERR wrong number of arguments for 'xread' command
            MULTI                                    => OK
            XREAD BLOCK 0 STREAMS s $                => QUEUED
            XREAD STREAMS s 0                        => QUEUED
            EXEC                                     => [(nil array) [["s" [["1-1" ["a" "1"]] ["1-2" ["a" "2"]]]]]] || [(nil) {"s": [["1-1" ["a" "1"]] ["1-2" ["a" "2"]]]}]
            "#,
        );
    });
}

/// XGROUP.
#[test]
fn groups() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            XGROUP CREATE s g 0                      => (error) ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.
            XGROUP CREATE s g 0 MKSTREAM             => OK
            XINFO STREAM s                           =~ ["length" 0 "radix-tree-keys" 0 "radix-tree-nodes" * "last-generated-id" "0-0" "max-deleted-entry-id" "0-0" "entries-added" 0 "recorded-first-entry-id" "0-0" "groups" 1 "first-entry" (nil) "last-entry" (nil)] || {"length": 0, "radix-tree-keys": 0, "radix-tree-nodes": *, "last-generated-id": "0-0", "max-deleted-entry-id": "0-0", "entries-added": 0, "recorded-first-entry-id": "0-0", "groups": 1, "first-entry": (nil), "last-entry": (nil)}
            XADD s 1-1 a 1                           => "1-1"
            XADD s 2-1 a 2                           => "2-1"
            XGROUP CREATE s g 0                      => (error) BUSYGROUP Consumer Group name already exists
            XGROUP CREATE s h $                      => OK
            XGROUP CREATE s i 1-1 ENTRIESREAD 1      => OK
            XGROUP CREATE s j 1 ENTRIESREAD 9        => OK
            XGROUP CREATE s k 1 ENTRIESREAD -2       => (error) ERR value for ENTRIESREAD must be positive or -1
            XGROUP CREATE s k x                      => (error) ERR Invalid stream ID specified as stream command argument
            XGROUP CREATE s k -                      => (error) ERR Invalid stream ID specified as stream command argument
            XGROUP CREATE s k 0 FOO                  => (error) ERR unknown subcommand or wrong number of arguments for 'CREATE'. Try XGROUP HELP.
            XGROUP CREATE s k 0 ENTRIESREAD          => (error) ERR unknown subcommand or wrong number of arguments for 'CREATE'. Try XGROUP HELP.
            XINFO GROUPS s                           => [["name" "g" "consumers" 0 "pending" 0 "last-delivered-id" "0-0" "entries-read" (nil) "lag" 2] ["name" "h" "consumers" 0 "pending" 0 "last-delivered-id" "2-1" "entries-read" (nil) "lag" 0] ["name" "i" "consumers" 0 "pending" 0 "last-delivered-id" "1-1" "entries-read" 1 "lag" 1] ["name" "j" "consumers" 0 "pending" 0 "last-delivered-id" "1-0" "entries-read" 2 "lag" 2]] || [{"name": "g", "consumers": 0, "pending": 0, "last-delivered-id": "0-0", "entries-read": (nil), "lag": 2} {"name": "h", "consumers": 0, "pending": 0, "last-delivered-id": "2-1", "entries-read": (nil), "lag": 0} {"name": "i", "consumers": 0, "pending": 0, "last-delivered-id": "1-1", "entries-read": 1, "lag": 1} {"name": "j", "consumers": 0, "pending": 0, "last-delivered-id": "1-0", "entries-read": 2, "lag": 2}]
            XGROUP SETID s h 1-1                     => OK
            XGROUP SETID s h $                       => OK
            XGROUP SETID s h + ENTRIESREAD 1         => OK
            XGROUP SETID s h - ENTRIESREAD 7         => OK
            XGROUP SETID s none 0                    => (error) NOGROUP No such consumer group 'none' for key name 's'
            XGROUP SETID none g 0                    => (error) ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.
            XGROUP SETID s h x                       => (error) ERR Invalid stream ID specified as stream command argument
            XGROUP SETID s h 0 MKSTREAM              => (error) ERR unknown subcommand or wrong number of arguments for 'SETID'. Try XGROUP HELP.
            XINFO GROUPS s                           => [["name" "g" "consumers" 0 "pending" 0 "last-delivered-id" "0-0" "entries-read" (nil) "lag" 2] ["name" "h" "consumers" 0 "pending" 0 "last-delivered-id" "0-0" "entries-read" 2 "lag" 2] ["name" "i" "consumers" 0 "pending" 0 "last-delivered-id" "1-1" "entries-read" 1 "lag" 1] ["name" "j" "consumers" 0 "pending" 0 "last-delivered-id" "1-0" "entries-read" 2 "lag" 2]] || [{"name": "g", "consumers": 0, "pending": 0, "last-delivered-id": "0-0", "entries-read": (nil), "lag": 2} {"name": "h", "consumers": 0, "pending": 0, "last-delivered-id": "0-0", "entries-read": 2, "lag": 2} {"name": "i", "consumers": 0, "pending": 0, "last-delivered-id": "1-1", "entries-read": 1, "lag": 1} {"name": "j", "consumers": 0, "pending": 0, "last-delivered-id": "1-0", "entries-read": 2, "lag": 2}]
            XGROUP CREATECONSUMER s g ann            => 1
            XGROUP CREATECONSUMER s g ann            => 0
            XGROUP CREATECONSUMER s g ""             => 1
            XGROUP CREATECONSUMER s none ann         => (error) NOGROUP No such consumer group 'none' for key name 's'
            XGROUP CREATECONSUMER none g ann         => (error) ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.
            XREADGROUP GROUP g ann COUNT 1 STREAMS s > => [["s" [["1-1" ["a" "1"]]]]] || {"s": [["1-1" ["a" "1"]]]}
            XGROUP DELCONSUMER s g ann               => 1
            XGROUP DELCONSUMER s g ann               => 0
            XGROUP DELCONSUMER s none ann            => (error) NOGROUP No such consumer group 'none' for key name 's'
            XPENDING s g                             => [0 (nil) (nil) (nil array)] || [0 (nil) (nil) (nil)]
            XGROUP DESTROY s h                       => 1
            XGROUP DESTROY s h                       => 0
            XGROUP DESTROY none h                    => (error) ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.
            XGROUP DESTROY s i                       => 1
            XINFO GROUPS s                           => [["name" "g" "consumers" 1 "pending" 0 "last-delivered-id" "1-1" "entries-read" 1 "lag" 1] ["name" "j" "consumers" 0 "pending" 0 "last-delivered-id" "1-0" "entries-read" 2 "lag" 2]] || [{"name": "g", "consumers": 1, "pending": 0, "last-delivered-id": "1-1", "entries-read": 1, "lag": 1} {"name": "j", "consumers": 0, "pending": 0, "last-delivered-id": "1-0", "entries-read": 2, "lag": 2}]
            SET str x                                => OK
            XGROUP CREATE str g 0                    => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            XGROUP DESTROY str g                     => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            XGROUP CREATE s g                        => (error) ERR wrong number of arguments for 'xgroup|create' command
            XGROUP FOO s g                           => (error) ERR unknown subcommand 'FOO'. Try XGROUP HELP.
            XGROUP                                   => (error) ERR wrong number of arguments for 'xgroup' command
            "#,
        );
    });
}

/// XREADGROUP without waiting.
#[test]
fn delivering() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            XADD s 1-1 a 1                           => "1-1"
            XADD s 2-1 a 2                           => "2-1"
            XADD s 3-1 a 3                           => "3-1"
            XADD s 4-1 a 4                           => "4-1"
            XGROUP CREATE s g 0                      => OK
            XREADGROUP GROUP g ann COUNT 1 STREAMS s > => [["s" [["1-1" ["a" "1"]]]]] || {"s": [["1-1" ["a" "1"]]]}
            XREADGROUP GROUP g bob COUNT 1 STREAMS s > => [["s" [["2-1" ["a" "2"]]]]] || {"s": [["2-1" ["a" "2"]]]}
            XREADGROUP GROUP g ann COUNT 1 NOACK STREAMS s > => [["s" [["3-1" ["a" "3"]]]]] || {"s": [["3-1" ["a" "3"]]]}
            XREADGROUP GROUP g ann STREAMS s 0       => [["s" [["1-1" ["a" "1"]]]]] || {"s": [["1-1" ["a" "1"]]]}
            XREADGROUP GROUP g bob STREAMS s 2-1     => [["s" []]] || {"s": []}
            XDEL s 1-1                               => 1
            XREADGROUP GROUP g ann STREAMS s 0       => [["s" [["1-1" (nil array)]]]] || {"s": [["1-1" (nil)]]}
            XREADGROUP GROUP g ann STREAMS s >       => [["s" [["4-1" ["a" "4"]]]]] || {"s": [["4-1" ["a" "4"]]]}
            XREADGROUP GROUP g ann STREAMS s >       => (nil array) || (nil)
            XREADGROUP GROUP g cid COUNT 2 STREAMS s 0 => [["s" []]] || {"s": []}
            XPENDING s g                             => [3 "1-1" "4-1" [["ann" "2"] ["bob" "1"]]]
            XPENDING s g - + 10 cid                  => []
            XINFO GROUPS s                           => [["name" "g" "consumers" 3 "pending" 3 "last-delivered-id" "4-1" "entries-read" 4 "lag" 0]] || [{"name": "g", "consumers": 3, "pending": 3, "last-delivered-id": "4-1", "entries-read": 4, "lag": 0}]
            XGROUP SETID s g 0                       => OK
            XREADGROUP GROUP g bob COUNT 1 STREAMS s > => [["s" [["2-1" ["a" "2"]]]]] || {"s": [["2-1" ["a" "2"]]]}
            XREADGROUP GROUP g bob STREAMS s 0       => [["s" [["2-1" ["a" "2"]]]]] || {"s": [["2-1" ["a" "2"]]]}
            XREADGROUP GROUP g ann STREAMS s $       => (error) ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.
            XREADGROUP GROUP g ann STREAMS s +       => (error) ERR The + ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The + ID would just return an empty result set.
            XREADGROUP GROUP g ann STREAMS s x       => (error) ERR Invalid stream ID specified as stream command argument
            XREADGROUP GROUP none ann STREAMS s >    => (error) NOGROUP No such key 's' or consumer group 'none' in XREADGROUP with GROUP option
            XREADGROUP GROUP g ann STREAMS none >    => (error) NOGROUP No such key 'none' or consumer group 'g' in XREADGROUP with GROUP option
            XREADGROUP GROUP g ann STREAMS s none > > => (error) NOGROUP No such key 'none' or consumer group 'g' in XREADGROUP with GROUP option
            XREADGROUP STREAMS s s s > > >           => (error) ERR Missing GROUP option for XREADGROUP
            XREADGROUP COUNT 1 COUNT 2 STREAMS s >   => (error) ERR Missing GROUP option for XREADGROUP
            XREADGROUP GROUP g ann STREAMS s s >     => (error) ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.
            XREADGROUP GROUP g ann COUNT 1 FOO STREAMS s > => (error) ERR syntax error
            XREADGROUP GROUP g ann COUNT 1 s >       => (error) ERR syntax error
            SET str x                                => OK
            XREADGROUP GROUP g ann STREAMS str >     => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            XREADGROUP GROUP g ann STREAMS s         => (error) ERR wrong number of arguments for 'xreadgroup' command
            "#,
        );
    });
}

/// XACK and XPENDING.
#[test]
fn pending() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            XADD s 1-1 a 1                           => "1-1"
            XADD s 2-1 a 2                           => "2-1"
            XADD s 3-1 a 3                           => "3-1"
            XGROUP CREATE s g 0                      => OK
            XPENDING s g                             => [0 (nil) (nil) (nil array)] || [0 (nil) (nil) (nil)]
            XREADGROUP GROUP g ann COUNT 2 STREAMS s > => [["s" [["1-1" ["a" "1"]] ["2-1" ["a" "2"]]]]] || {"s": [["1-1" ["a" "1"]] ["2-1" ["a" "2"]]]}
            XREADGROUP GROUP g bob STREAMS s >       => [["s" [["3-1" ["a" "3"]]]]] || {"s": [["3-1" ["a" "3"]]]}
            XPENDING s g                             => [3 "1-1" "3-1" [["ann" "2"] ["bob" "1"]]]
            XPENDING s g - + 10 nobody               => []
            XPENDING s g - + 0                       => []
            XPENDING s g - + -1                      => []
            XPENDING s g IDLE 1000000 - + 10         => []
            XPENDING s g IDLE 1000000 - + 10 ann     => []
            XACK s g 1-1 1-1 9-9                     => 1
            XACK s g 1-1                             => 0
            XACK s none 2-1                          => 0
            XACK none g 2-1                          => 0
            XACK s g x                               => (error) ERR Invalid stream ID specified as stream command argument
            XACK s g 2-1 x                           => (error) ERR Invalid stream ID specified as stream command argument
            XPENDING s g                             => [2 "2-1" "3-1" [["ann" "1"] ["bob" "1"]]]
            XACK s g 2-1 3-1                         => 2
            XPENDING s g                             => [0 (nil) (nil) (nil array)] || [0 (nil) (nil) (nil)]
            XPENDING s none                          => (error) NOGROUP No such key 's' or consumer group 'none'
            XPENDING none g                          => (error) NOGROUP No such key 'none' or consumer group 'g'
            XPENDING s g x + 1                       => (error) ERR Invalid stream ID specified as stream command argument
            XPENDING s g - + x                       => (error) ERR value is not an integer or out of range
            XPENDING s g - (0-0 1                    => (error) ERR invalid end ID for the interval
            XPENDING s g - +                         => (error) ERR syntax error
            XPENDING s g IDLE 1 - +                  => (error) ERR syntax error
            XPENDING s g IDLE x - + 1                => (error) ERR value is not an integer or out of range
            XPENDING s g - + 1 ann more              => []
            XPENDING s g IDLE 1 - + 1 ann more       => (error) ERR syntax error
            SET str x                                => OK
            XACK str g 1-1                           => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            XPENDING str g                           => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            XACK s g                                 => (error) ERR wrong number of arguments for 'xack' command
            XPENDING s                               => (error) ERR wrong number of arguments for 'xpending' command
            "#,
        );
    });
}

/// XCLAIM and XAUTOCLAIM.
#[test]
fn claiming() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            XADD s 1-1 a 1                           => "1-1"
            XADD s 2-1 a 2                           => "2-1"
            XADD s 3-1 a 3                           => "3-1"
            XADD s 4-1 a 4                           => "4-1"
            XGROUP CREATE s g 0                      => OK
            XREADGROUP GROUP g ann COUNT 3 STREAMS s > => [["s" [["1-1" ["a" "1"]] ["2-1" ["a" "2"]] ["3-1" ["a" "3"]]]]] || {"s": [["1-1" ["a" "1"]] ["2-1" ["a" "2"]] ["3-1" ["a" "3"]]]}
            XCLAIM s g bob 0 1-1 2-1 9-9             => [["1-1" ["a" "1"]] ["2-1" ["a" "2"]]]
            XCLAIM s g bob 1000000 3-1               => []
            XCLAIM s g cid 0 1-1 JUSTID              => ["1-1"]
            XCLAIM s g cid 0 2-1 RETRYCOUNT 7 IDLE 10 => [["2-1" ["a" "2"]]]
            XCLAIM s g cid 0 4-1                     => []
            XCLAIM s g cid 0 4-1 FORCE JUSTID        => ["4-1"]
            XCLAIM s g cid 0 4-1 LASTID 4-1 TIME 5   => [["4-1" ["a" "4"]]]
            XPENDING s g                             => [4 "1-1" "4-1" [["ann" "1"] ["cid" "3"]]]
            XDEL s 2-1                               => 1
            XCLAIM s g ann 0 1-1 2-1 3-1 JUSTID      => ["1-1" "3-1"]
            XPENDING s g                             => [3 "1-1" "4-1" [["ann" "2"] ["cid" "1"]]]
            XINFO GROUPS s                           => [["name" "g" "consumers" 3 "pending" 3 "last-delivered-id" "4-1" "entries-read" 3 "lag" 1]] || [{"name": "g", "consumers": 3, "pending": 3, "last-delivered-id": "4-1", "entries-read": 3, "lag": 1}]
            XCLAIM s g ann x 1-1                     => (error) ERR Invalid min-idle-time argument for XCLAIM
            XCLAIM s g ann 0 x                       => (error) ERR Unrecognized XCLAIM option 'x'
            XCLAIM s g ann 0 1-1 FOO                 => (error) ERR Unrecognized XCLAIM option 'FOO'
            XCLAIM s g ann 0 1-1 IDLE                => (error) ERR Unrecognized XCLAIM option 'IDLE'
            XCLAIM s g ann 0 1-1 IDLE x              => (error) ERR Invalid IDLE option argument for XCLAIM
            XCLAIM s g ann 0 1-1 TIME x              => (error) ERR Invalid TIME option argument for XCLAIM
            XCLAIM s g ann 0 1-1 RETRYCOUNT x        => (error) ERR Invalid RETRYCOUNT option argument for XCLAIM
            XCLAIM s g ann 0 1-1 LASTID x            => (error) ERR Invalid stream ID specified as stream command argument
            XCLAIM s none ann 0 1-1                  => (error) NOGROUP No such key 's' or consumer group 'none'
            XCLAIM none g ann 0 1-1                  => (error) NOGROUP No such key 'none' or consumer group 'g'
            XAUTOCLAIM s g dan 0 0 COUNT 1           => ["3-1" [["1-1" ["a" "1"]]] []]
            XAUTOCLAIM s g dan 0 (1-1 COUNT 1 JUSTID => ["4-1" ["3-1"] []]
            XAUTOCLAIM s g dan 1000000 -             => ["0-0" [["4-1" ["a" "4"]]] []]
            XAUTOCLAIM s g dan 0 3-1                 => ["0-0" [["3-1" ["a" "3"]] ["4-1" ["a" "4"]]] []]
            XDEL s 1-1 3-1                           => 2
            XAUTOCLAIM s g dan 0 0                   => ["0-0" [["4-1" ["a" "4"]]] ["1-1" "3-1"]]
            XPENDING s g                             => [1 "4-1" "4-1" [["dan" "1"]]]
            XAUTOCLAIM s g dan x 0                   => (error) ERR Invalid min-idle-time argument for XAUTOCLAIM
            XAUTOCLAIM s g dan 0 x                   => (error) ERR Invalid stream ID specified as stream command argument
            XAUTOCLAIM s g dan 0 0 COUNT 0           => (error) ERR COUNT must be > 0
            XAUTOCLAIM s g dan 0 0 COUNT x           => (error) ERR COUNT must be > 0
            XAUTOCLAIM s g dan 0 0 COUNT             => (error) ERR syntax error
            XAUTOCLAIM s g dan 0 0 FOO               => (error) ERR syntax error
            XAUTOCLAIM s none dan 0 0                => (error) NOGROUP No such key 's' or consumer group 'none'
            XAUTOCLAIM none g dan 0 0                => (error) NOGROUP No such key 'none' or consumer group 'g'
            SET str x                                => OK
            XCLAIM str g ann 0 1-1                   => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            XAUTOCLAIM str g ann 0 0                 => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            XCLAIM s g ann 0                         => (error) ERR wrong number of arguments for 'xclaim' command
            XAUTOCLAIM s g ann 0                     => (error) ERR wrong number of arguments for 'xautoclaim' command
            "#,
        );
    });
}

/// XINFO.
#[test]
fn information() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            XADD s 1-1 a 1                           => "1-1"
            XADD s 2-1 a 2                           => "2-1"
            XGROUP CREATE s g 0                      => OK
            XGROUP CREATE s h 2-1                    => OK
            XGROUP CREATECONSUMER s g bob            => 1
            XREADGROUP GROUP g ann COUNT 1 STREAMS s > => [["s" [["1-1" ["a" "1"]]]]] || {"s": [["1-1" ["a" "1"]]]}
            XINFO STREAM s                           =~ ["length" 2 "radix-tree-keys" 1 "radix-tree-nodes" * "last-generated-id" "2-1" "max-deleted-entry-id" "0-0" "entries-added" 2 "recorded-first-entry-id" "1-1" "groups" 2 "first-entry" ["1-1" ["a" "1"]] "last-entry" ["2-1" ["a" "2"]]] || {"length": 2, "radix-tree-keys": 1, "radix-tree-nodes": *, "last-generated-id": "2-1", "max-deleted-entry-id": "0-0", "entries-added": 2, "recorded-first-entry-id": "1-1", "groups": 2, "first-entry": ["1-1" ["a" "1"]], "last-entry": ["2-1" ["a" "2"]]}
            XINFO GROUPS s                           => [["name" "g" "consumers" 2 "pending" 1 "last-delivered-id" "1-1" "entries-read" 1 "lag" 1] ["name" "h" "consumers" 0 "pending" 0 "last-delivered-id" "2-1" "entries-read" (nil) "lag" 0]] || [{"name": "g", "consumers": 2, "pending": 1, "last-delivered-id": "1-1", "entries-read": 1, "lag": 1} {"name": "h", "consumers": 0, "pending": 0, "last-delivered-id": "2-1", "entries-read": (nil), "lag": 0}]
            XINFO STREAM s FULL                      =~ ["length" 2 "radix-tree-keys" 1 "radix-tree-nodes" * "last-generated-id" "2-1" "max-deleted-entry-id" "0-0" "entries-added" 2 "recorded-first-entry-id" "1-1" "entries" [["1-1" ["a" "1"]] ["2-1" ["a" "2"]]] "groups" [["name" "g" "last-delivered-id" "1-1" "entries-read" 1 "lag" 1 "pel-count" 1 "pending" [["1-1" "ann" * 1]] "consumers" [["name" "ann" "seen-time" * "active-time" * "pel-count" 1 "pending" [["1-1" * 1]]] ["name" "bob" "seen-time" * "active-time" -1 "pel-count" 0 "pending" []]]] ["name" "h" "last-delivered-id" "2-1" "entries-read" (nil) "lag" 0 "pel-count" 0 "pending" [] "consumers" []]]] || {"length": 2, "radix-tree-keys": 1, "radix-tree-nodes": *, "last-generated-id": "2-1", "max-deleted-entry-id": "0-0", "entries-added": 2, "recorded-first-entry-id": "1-1", "entries": [["1-1" ["a" "1"]] ["2-1" ["a" "2"]]], "groups": [{"name": "g", "last-delivered-id": "1-1", "entries-read": 1, "lag": 1, "pel-count": 1, "pending": [["1-1" "ann" * 1]], "consumers": [{"name": "ann", "seen-time": *, "active-time": *, "pel-count": 1, "pending": [["1-1" * 1]]} {"name": "bob", "seen-time": *, "active-time": -1, "pel-count": 0, "pending": []}]} {"name": "h", "last-delivered-id": "2-1", "entries-read": (nil), "lag": 0, "pel-count": 0, "pending": [], "consumers": []}]}
            XINFO STREAM s FULL COUNT 1              =~ ["length" 2 "radix-tree-keys" 1 "radix-tree-nodes" * "last-generated-id" "2-1" "max-deleted-entry-id" "0-0" "entries-added" 2 "recorded-first-entry-id" "1-1" "entries" [["1-1" ["a" "1"]]] "groups" [["name" "g" "last-delivered-id" "1-1" "entries-read" 1 "lag" 1 "pel-count" 1 "pending" [["1-1" "ann" * 1]] "consumers" [["name" "ann" "seen-time" * "active-time" * "pel-count" 1 "pending" [["1-1" * 1]]] ["name" "bob" "seen-time" * "active-time" -1 "pel-count" 0 "pending" []]]] ["name" "h" "last-delivered-id" "2-1" "entries-read" (nil) "lag" 0 "pel-count" 0 "pending" [] "consumers" []]]] || {"length": 2, "radix-tree-keys": 1, "radix-tree-nodes": *, "last-generated-id": "2-1", "max-deleted-entry-id": "0-0", "entries-added": 2, "recorded-first-entry-id": "1-1", "entries": [["1-1" ["a" "1"]]], "groups": [{"name": "g", "last-delivered-id": "1-1", "entries-read": 1, "lag": 1, "pel-count": 1, "pending": [["1-1" "ann" * 1]], "consumers": [{"name": "ann", "seen-time": *, "active-time": *, "pel-count": 1, "pending": [["1-1" * 1]]} {"name": "bob", "seen-time": *, "active-time": -1, "pel-count": 0, "pending": []}]} {"name": "h", "last-delivered-id": "2-1", "entries-read": (nil), "lag": 0, "pel-count": 0, "pending": [], "consumers": []}]}
            XINFO STREAM s FULL COUNT x              => (error) ERR value is not an integer or out of range
            XINFO STREAM s FULL COUNT                => (error) ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.
            XINFO STREAM s FULL FOO 1                => (error) ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.
            XINFO STREAM s COUNT 1                   => (error) ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.
            XINFO STREAM none                        => (error) ERR no such key
            XINFO GROUPS none                        => (error) ERR no such key
            XINFO CONSUMERS none g                   => (error) ERR no such key
            XINFO CONSUMERS s none                   => (error) NOGROUP No such consumer group 'none' for key name 's'
            SET str x                                => OK
            XINFO STREAM str                         => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            XINFO GROUPS str                         => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            XINFO CONSUMERS str g                    => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            XINFO CONSUMERS s                        => (error) ERR wrong number of arguments for 'xinfo|consumers' command
            XINFO FOO s                              => (error) ERR unknown subcommand 'FOO'. Try XINFO HELP.
            "#,
        );
    });
}

/// How far a group is behind, as far as that can be told.
#[test]
fn lag() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            XADD s 1-1 a 1                           => "1-1"
            XADD s 2-1 a 1                           => "2-1"
            XADD s 3-1 a 1                           => "3-1"
            XADD s 4-1 a 1                           => "4-1"
            XADD s 5-1 a 1                           => "5-1"
            XGROUP CREATE s g 0                      => OK
            XINFO GROUPS s                           => [["name" "g" "consumers" 0 "pending" 0 "last-delivered-id" "0-0" "entries-read" (nil) "lag" 5]] || [{"name": "g", "consumers": 0, "pending": 0, "last-delivered-id": "0-0", "entries-read": (nil), "lag": 5}]
            XREADGROUP GROUP g ann COUNT 2 STREAMS s > => [["s" [["1-1" ["a" "1"]] ["2-1" ["a" "1"]]]]] || {"s": [["1-1" ["a" "1"]] ["2-1" ["a" "1"]]]}
            XINFO GROUPS s                           => [["name" "g" "consumers" 1 "pending" 2 "last-delivered-id" "2-1" "entries-read" 2 "lag" 3]] || [{"name": "g", "consumers": 1, "pending": 2, "last-delivered-id": "2-1", "entries-read": 2, "lag": 3}]
            XDEL s 4-1                               => 1
            XINFO GROUPS s                           => [["name" "g" "consumers" 1 "pending" 2 "last-delivered-id" "2-1" "entries-read" 2 "lag" (nil)]] || [{"name": "g", "consumers": 1, "pending": 2, "last-delivered-id": "2-1", "entries-read": 2, "lag": (nil)}]
            XREADGROUP GROUP g ann COUNT 1 STREAMS s > => [["s" [["3-1" ["a" "1"]]]]] || {"s": [["3-1" ["a" "1"]]]}
            XINFO GROUPS s                           => [["name" "g" "consumers" 1 "pending" 3 "last-delivered-id" "3-1" "entries-read" (nil) "lag" (nil)]] || [{"name": "g", "consumers": 1, "pending": 3, "last-delivered-id": "3-1", "entries-read": (nil), "lag": (nil)}]
            XREADGROUP GROUP g ann COUNT 1 STREAMS s > => [["s" [["5-1" ["a" "1"]]]]] || {"s": [["5-1" ["a" "1"]]]}
            XINFO GROUPS s                           => [["name" "g" "consumers" 1 "pending" 4 "last-delivered-id" "5-1" "entries-read" 5 "lag" 0]] || [{"name": "g", "consumers": 1, "pending": 4, "last-delivered-id": "5-1", "entries-read": 5, "lag": 0}]
            XADD s 6-1 a 1                           => "6-1"
            XINFO GROUPS s                           => [["name" "g" "consumers" 1 "pending" 4 "last-delivered-id" "5-1" "entries-read" 5 "lag" 1]] || [{"name": "g", "consumers": 1, "pending": 4, "last-delivered-id": "5-1", "entries-read": 5, "lag": 1}]
            XTRIM s MAXLEN 1                         => 4
            XINFO GROUPS s                           => [["name" "g" "consumers" 1 "pending" 4 "last-delivered-id" "5-1" "entries-read" 5 "lag" 1]] || [{"name": "g", "consumers": 1, "pending": 4, "last-delivered-id": "5-1", "entries-read": 5, "lag": 1}]
            XTRIM s MAXLEN 0                         => 1
            XINFO GROUPS s                           => [["name" "g" "consumers" 1 "pending" 4 "last-delivered-id" "5-1" "entries-read" 5 "lag" 0]] || [{"name": "g", "consumers": 1, "pending": 4, "last-delivered-id": "5-1", "entries-read": 5, "lag": 0}]
            "#,
        );
    });
}

/// What becomes of pending entries when entries are deleted: XDELEX, XACKDEL, and what XADD and XTRIM are told.
#[test]
fn references() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            CONFIG SET stream-node-max-entries 3     => OK
            XADD s 1-0 f 1                           => "1-0"
            XADD s 2-0 f 2                           => "2-0"
            XADD s 3-0 f 3                           => "3-0"
            XADD s 4-0 f 4                           => "4-0"
            XADD s 5-0 f 5                           => "5-0"
            XADD s 6-0 f 6                           => "6-0"
            XADD s 7-0 f 7                           => "7-0"
            XGROUP CREATE s g 0                      => OK
            XGROUP CREATE s h 0                      => OK
            XREADGROUP GROUP g ann COUNT 5 STREAMS s > => [["s" [["1-0" ["f" "1"]] ["2-0" ["f" "2"]] ["3-0" ["f" "3"]] ["4-0" ["f" "4"]] ["5-0" ["f" "5"]]]]] || {"s": [["1-0" ["f" "1"]] ["2-0" ["f" "2"]] ["3-0" ["f" "3"]] ["4-0" ["f" "4"]] ["5-0" ["f" "5"]]]}
            XREADGROUP GROUP h bob COUNT 5 STREAMS s > => [["s" [["1-0" ["f" "1"]] ["2-0" ["f" "2"]] ["3-0" ["f" "3"]] ["4-0" ["f" "4"]] ["5-0" ["f" "5"]]]]] || {"s": [["1-0" ["f" "1"]] ["2-0" ["f" "2"]] ["3-0" ["f" "3"]] ["4-0" ["f" "4"]] ["5-0" ["f" "5"]]]}
            XACK s g 1-0 4-0                         => 2
            XACK s h 1-0 4-0 5-0                     => 3
            COPY s t                                 => 1
            XDELEX s ACKED IDS 6 1-0 2-0 5-0 7-0 9-9 1-0 => [1 2 2 2 2 -1]
            XDELEX s DELREF IDS 2 2-0 2-0            => [1 -1]
            XDELEX s IDS 1 3-0                       => [1]
            XPENDING s g                             => [2 "3-0" "5-0" [["ann" "2"]]]
            XPENDING s h                             => [1 "3-0" "3-0" [["bob" "1"]]]
            XACKDEL s g ACKED IDS 4 3-0 5-0 6-0 9-9  => [2 1 -1 -1]
            XACKDEL s h IDS 2 3-0 3-0                => [1 -1]
            XRANGE s - +                             => [["4-0" ["f" "4"]] ["6-0" ["f" "6"]] ["7-0" ["f" "7"]]]
            XPENDING s g                             => [0 (nil) (nil) (nil array)] || [0 (nil) (nil) (nil)]
            XPENDING s h                             => [0 (nil) (nil) (nil array)] || [0 (nil) (nil) (nil)]
            XTRIM t MAXLEN 5 ACKED                   => 1
            XTRIM t MAXLEN 3 ACKED                   => 1
            XTRIM t DELREF MINID 4-0                 => 2
            XPENDING t g                             => [1 "5-0" "5-0" [["ann" "1"]]]
            XPENDING t h                             => [0 (nil) (nil) (nil array)] || [0 (nil) (nil) (nil)]
            XADD t KEEPREF MAXLEN 2 8-0 f 8          => "8-0"
            XADD t MAXLEN 2 ACKED 9-0 f 9            => "9-0"
            XRANGE t - +                             => [["7-0" ["f" "7"]] ["8-0" ["f" "8"]] ["9-0" ["f" "9"]]]
            XPENDING t g                             => [1 "5-0" "5-0" [["ann" "1"]]]
            XTRIM t MAXLEN 1 ACKED DELREF            => (error) ERR syntax error
            XTRIM t ACKED                            => (error) ERR wrong number of arguments for 'xtrim' command
            XDELEX none IDS 2 1-0 x                  => [-1 -1]
            XACKDEL none g IDS 1 1-0                 => [-1]
            XACKDEL s none IDS 2 1-0 2-0             => [-1 -1]
            XDELEX s IDS 1 x                         => (error) ERR Invalid stream ID specified as stream command argument
            XDELEX s IDS 2 1-0                       => (error) ERR The `numids` parameter must match the number of arguments
            XDELEX s IDS 1 1-0 2-0                   => (error) ERR syntax error
            XDELEX s IDS x 1-0                       => (error) ERR Number of IDs must be a positive integer
            XDELEX s IDS -1 1-0                      => (error) ERR Number of IDs must be a positive integer
            XDELEX s FOO IDS 1 1-0                   => (error) ERR syntax error
            XDELEX s ACKED DELREF IDS 1 1-0          => (error) ERR syntax error
            XDELEX s IDS 1 1-0 ACKED                 => [-1]
            XACKDEL s g IDS 2 1-0                    => (error) ERR The `numids` parameter must match the number of arguments
            XACKDEL s g FOO 1 1-0                    => (error) ERR syntax error
            XDELEX s IDS 1                           => (error) ERR wrong number of arguments for 'xdelex' command
            SET str x                                => OK
            XDELEX str IDS 1 1-0                     => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            XACKDEL str g IDS 1 1-0                  => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            CONFIG SET stream-node-max-entries 100   => OK
            "#,
        );
    });
}

/// `~` with DELREF and ACKED: chunks that may go as a whole are gone through entry by entry. In Redis before 8.2.7
/// nothing went, so that a stream that was trimmed by every XADD grew for ever.
#[test]
fn approximate_trimming_with_references() {
    let server = Server::start(&[]);
    if server.peer != Peer::Kvstash {
        return;
    }
    each_proto(&server, |kv| {
        for how in ["KEEPREF", "DELREF", "ACKED"] {
            kv.ok("FLUSHALL");
            for n in 1..=1000 {
                kv.line(&format!("XADD s MAXLEN ~ 100 {how} {n}-0 f v"));
            }
            assert_eq!(kv.int("XLEN s"), 100, "without groups nothing is needed: {how}");
            for (trim, gone) in [("MAXLEN ~ 20", 200), ("MINID ~ 235", 200), ("MAXLEN ~ 0 LIMIT 150", 100)] {
                acknowledged(kv, 250);
                assert_eq!(kv.int(&format!("XTRIM s {trim} {how}")), gone, "{trim} {how}");
                assert_eq!(kv.int("XLEN s"), 250 - gone);
                kv.expect("XTRIM s MAXLEN ~ 60", "0");
            }
        }
        // What is pending stays, and what is acknowledged behind it goes; what was not delivered ends it.
        acknowledged(kv, 450);
        kv.line("XCLAIM s g ann 0 7-0 FORCE");
        kv.expect("XGROUP SETID s g 260", "OK");
        kv.expect("XTRIM s MAXLEN ~ 0 ACKED", "259");
        kv.expect("XRANGE s - + COUNT 2", r#"[["7-0" ["f" "v"]] ["261-0" ["f" "v"]]]"#);
        kv.expect("XADD s MAXLEN ~ 0 ACKED 451-0 f v", "\"451-0\"");
        kv.expect("XLEN s", "192");
        kv.expect("XTRIM s MAXLEN ~ 0 DELREF", "192");
        kv.talk("XPENDING s g => [0 (nil) (nil) (nil array)] || [0 (nil) (nil) (nil)]");
    });
}

/// A stream `s` of so many entries, which group `g` was given and has acknowledged.
fn acknowledged(kv: &mut Conn, len: usize) {
    kv.line("DEL s");
    for n in 1..=len {
        kv.line(&format!("XADD s {n}-0 f v"));
    }
    kv.ok("XGROUP CREATE s g 0");
    kv.line("XREADGROUP GROUP g ann NOACK STREAMS s >");
}

/// DELREF leaves nothing pending in the range it trims, entries that were deleted before included.
#[test]
fn trimming_forgets_what_was_deleted_before() {
    let server = Server::start(&[]);
    if server.peer != Peer::Kvstash {
        return;
    }
    each_proto(&server, |kv| {
        kv.ok("CONFIG SET stream-node-max-entries 5");
        for (trim, gone, pending) in [
            // 1 to 5 have left with their chunk, 8 and 12 are marked as deleted.
            ("MINID = 13", 5, r#"[8 "13-0" "20-0" [["ann" "8"]]]"#),
            ("MINID ~ 13", 4, r#"[10 "11-0" "20-0" [["ann" "10"]]]"#),
            ("MAXLEN = 8", 5, r#"[8 "13-0" "20-0" [["ann" "8"]]]"#),
            ("MAXLEN ~ 8", 4, r#"[10 "11-0" "20-0" [["ann" "10"]]]"#),
            ("MAXLEN = 13", 0, r#"[20 "1-0" "20-0" [["ann" "20"]]]"#),
            ("MAXLEN = 0", 13, "[0 (nil) (nil) (nil array)]"),
        ] {
            kv.line("DEL s");
            for n in 1..=20 {
                kv.line(&format!("XADD s {n}-0 f v"));
            }
            kv.ok("XGROUP CREATE s g 0");
            kv.line("XREADGROUP GROUP g ann STREAMS s >");
            kv.expect("XDEL s 1-0 2-0 3-0 4-0 5-0 8-0 12-0", "7");
            assert_eq!(kv.int(&format!("XTRIM s {trim} DELREF")), gone, "{trim}");
            let pending =
                if kv.proto == Proto::Resp3 { pending.replace("nil array", "nil") } else { pending.to_owned() };
            kv.expect("XPENDING s g", &pending);
        }
        kv.ok("CONFIG SET stream-node-max-entries 100");
    });
}

const SOON: Duration = Duration::from_millis(3000);

fn sleeps_until(kv: &mut Conn, blocked: usize) {
    wait_for("clients to wait", SOON, || kv.info("blocked_clients") == blocked.to_string());
}

#[test]
fn xread_waits() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        let map = |text: &str, kv: &Conn| if kv.proto == Proto::Resp3 { format!("{{{text}}}") } else { String::new() };
        kv.talk("XADD s 1-1 a 1");
        let mut one = kv.another();
        let mut two = kv.another();
        one.send(&["XREAD", "BLOCK", "0", "STREAMS", "none", "s", "$", "$"]);
        two.send(&["XREAD", "COUNT", "1", "BLOCK", "10000", "STREAMS", "s", "1-1"]);
        sleeps_until(kv, 2);
        kv.talk("MULTI\nXADD s 2-1 a 2\nXADD s 3-1 a 3\nEXEC");
        let (first, second) = (one.read_within(SOON).unwrap().text(), two.read_within(SOON).unwrap().text());
        if kv.proto == Proto::Resp3 {
            assert_eq!(first, map(r#""s": [["2-1" ["a" "2"]] ["3-1" ["a" "3"]]]"#, kv));
            assert_eq!(second, map(r#""s": [["2-1" ["a" "2"]]]"#, kv));
        } else {
            assert_eq!(first, r#"[["s" [["2-1" ["a" "2"]] ["3-1" ["a" "3"]]]]]"#);
            assert_eq!(second, r#"[["s" [["2-1" ["a" "2"]]]]]"#);
        }
        // Nothing came.
        let none = kv.line("XREAD BLOCK 20 STREAMS s $").text();
        assert!(none == "(nil array)" || none == "(nil)", "{none}");
        // Another type is no stream, and a list does not serve anybody.
        one.send(&["XREAD", "BLOCK", "0", "STREAMS", "new", "0"]);
        sleeps_until(kv, 1);
        kv.talk("SET new x");
        kv.talk("DEL new");
        kv.talk("XADD new 1-1 a 1");
        assert!(one.read_within(SOON).unwrap().text().contains("1-1"));
    });
}

#[test]
fn xreadgroup_waits_and_is_told_when_there_is_nothing_to_wait_for() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk("XGROUP CREATE s g $ MKSTREAM");
        let mut one = kv.another();
        one.send(&["XREADGROUP", "GROUP", "g", "ann", "BLOCK", "0", "STREAMS", "s", ">"]);
        sleeps_until(kv, 1);
        kv.talk("XADD s 1-1 a 1");
        assert!(one.read_within(SOON).unwrap().text().contains("1-1"));
        kv.talk(r#"XPENDING s g => [1 "1-1" "1-1" [["ann" "1"]]]"#);
        let gone = "(error) NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option";
        for (end, told) in [
            ("XGROUP DESTROY s g", gone),
            ("DEL s", gone),
            ("SET s x", "(error) WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("FLUSHALL", gone),
        ] {
            kv.talk("DEL s");
            kv.talk("XGROUP CREATE s g $ MKSTREAM");
            one.send(&["XREADGROUP", "GROUP", "g", "ann", "BLOCK", "0", "STREAMS", "s", ">"]);
            sleeps_until(kv, 1);
            kv.talk(end);
            assert_eq!(one.read_within(SOON).unwrap().text(), told, "{end}");
        }
    });
}

/// A dump carries entries, groups, consumers and what is pending.
#[test]
fn dumps_carry_everything() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        for n in 1..=250 {
            kv.talk(&format!("XADD s {n}-1 name value{n} n {n}"));
        }
        for line in ["XGROUP CREATE s g 0", "XGROUP CREATE s h $", "XGROUP CREATECONSUMER s g idle"] {
            kv.talk(line);
        }
        kv.talk("XREADGROUP GROUP g ann COUNT 60 STREAMS s >");
        kv.talk("XREADGROUP GROUP g bob COUNT 60 STREAMS s >");
        kv.talk("XDEL s 5-1 100-1");
        kv.talk("XTRIM s MAXLEN 240");
        let payload = kv.line("DUMP s").bytes().to_vec();
        assert_eq!(kv.cmd_bytes(&[b"RESTORE", b"t", b"0", &payload]).text(), "OK");
        kv.talk("COPY s u");
        let shown = |kv: &mut Conn, key: &str| {
            ["XRANGE K - +", "XINFO STREAM K FULL COUNT 0", "XINFO GROUPS K", "XPENDING K g", "XLEN K"]
                .map(|line| kv.line(&line.replace('K', key)).text())
        };
        let expected = shown(kv, "s");
        assert!(shown(kv, "t") == expected && shown(kv, "u") == expected);
        kv.talk("XADD t 251-1 a 1");
        kv.talk("XACK u g 7-1");
        assert!(shown(kv, "s") == expected);
        // Cut or changed anywhere, a payload is refused: its checksum sees to that, and behind it the format's checks.
        let mut bad = payload.clone();
        bad[20] ^= 1;
        assert!(kv.cmd_bytes(&[b"RESTORE", b"bad", b"0", &bad]).is_error());
    });
}
