//! Bitmaps: GETBIT SETBIT BITCOUNT BITPOS BITOP BITFIELD BITFIELD_RO.

use crate::support::{Server, each_proto};

#[test]
fn one_bit() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            SETBIT k -1 1                            => (error) ERR bit offset is not an integer or out of range
            SETBIT k 4294967296 1                    => (error) ERR bit offset is not an integer or out of range
            SETBIT k x 1                             => (error) ERR bit offset is not an integer or out of range
            SETBIT k 0 2                             => (error) ERR bit is not an integer or out of range
            SETBIT k 0 x                             => (error) ERR bit is not an integer or out of range
            SETBIT k 0 01                            => (error) ERR bit is not an integer or out of range
            EXISTS k                                 => 0
            SETBIT k 7 1                             => 0
            SETBIT k 7 1                             => 1
            SETBIT k 6 0                             => 0
            GET k                                    => "\x01"
            SETBIT k 20 1                            => 0
            STRLEN k                                 => 3
            GETBIT k 20                              => 1
            GETBIT k 21                              => 0
            GETBIT k 4294967295                      => 0
            GETBIT k 4294967296                      => (error) ERR bit offset is not an integer or out of range
            GETBIT k -1                              => (error) ERR bit offset is not an integer or out of range
            GETBIT none 5                            => 0
            SETBIT far 4294967295 1                  => 0
            STRLEN far                               => 536870912
            BITCOUNT far                             => 1
            BITPOS far 1                             => 4294967295
            GETBIT far 4294967295                    => 1
            SETBIT far 4294967295 0                  => 1
            BITCOUNT far                             => 0
            DEL far                                  => 1
            SET n 15                                 => OK
            GETBIT n 2                               => 1
            OBJECT ENCODING n                        => "int"
            SETBIT n 2 1                             => 1
            OBJECT ENCODING n                        => "raw"
            SETBIT n 7 0                             => 1
            GET n                                    => "05"
            SETBIT k 7                               => (error) ERR wrong number of arguments for 'setbit' command
            GETBIT k                                 => (error) ERR wrong number of arguments for 'getbit' command
            "#,
        );
    });
}

#[test]
fn counting_and_finding() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            SET s foobar                             => OK
            BITCOUNT s                               => 26
            BITCOUNT s 0 0                           => 4
            BITCOUNT s 1 1                           => 6
            BITCOUNT s -2 -1                         => 7
            BITCOUNT s 0 -1 BYTE                     => 26
            BITCOUNT s 5 30 BIT                      => 17
            BITCOUNT s -100 -200                     => 0
            BITCOUNT s -1 -2                         => 0
            BITCOUNT s 0 -100                        => 4
            BITCOUNT s 9 10                          => 0
            BITCOUNT s -9223372036854775808 9223372036854775807 BIT => 26
            BITCOUNT s 0                             => (error) ERR syntax error
            BITCOUNT s 0 x                           => (error) ERR value is not an integer or out of range
            BITCOUNT s 0 1 foo                       => (error) ERR syntax error
            BITCOUNT s 0 1 bit x                     => (error) ERR syntax error
            BITCOUNT none                            => 0
            BITCOUNT none 0 x                        => (error) ERR value is not an integer or out of range
            BITCOUNT                                 => (error) ERR wrong number of arguments for 'bitcount' command
            SET n 15                                 => OK
            BITCOUNT n                               => 7
            SET e ""                                 => OK
            BITCOUNT e 0 -1                          => 0
            BITPOS s 1                               => 1
            BITPOS s 0                               => 0
            BITPOS s 1 2 -1                          => 17
            BITPOS s 1 2 1                           => -1
            BITPOS s 0 7 15 BIT                      => 7
            BITPOS s 1 7 15 bit                      => 9
            BITPOS s 2                               => (error) ERR The bit argument must be 1 or 0.
            BITPOS s x                               => (error) ERR value is not an integer or out of range
            BITPOS s 1 x                             => (error) ERR value is not an integer or out of range
            BITPOS s 1 0 x                           => (error) ERR value is not an integer or out of range
            BITPOS s 1 7 15 foo                      => (error) ERR syntax error
            BITPOS s 1 7 15 bit x                    => (error) ERR syntax error
            SET f "\xff\xff"                         => OK
            BITPOS f 0                               => 16
            BITPOS f 0 1                             => 16
            BITPOS f 0 2                             => -1
            BITPOS f 0 0 -1                          => -1
            BITPOS f 0 9 15 BIT                      => -1
            BITPOS none 0                            => 0
            BITPOS none 1                            => -1
            BITPOS none 0 5                          => 0
            BITPOS none 2                            => (error) ERR The bit argument must be 1 or 0.
            BITPOS e 0                               => -1
            BITPOS e 1                               => -1
            BITPOS f                                 => (error) ERR wrong number of arguments for 'bitpos' command
            "#,
        );
    });
}

#[test]
fn combining() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            SET a "foobar"                           => OK
            SET b "abc"                              => OK
            SET c "\x00\x0f\xff\x55"                 => OK
            BITOP AND d a b                          => 6
            GET d                                    => "`bc\x00\x00\x00"
            BITOP OR d a b                           => 6
            GET d                                    => "goobar"
            BITOP XOR d a b                          => 6
            BITCOUNT d                               => 18
            BITOP NOT d b                            => 3
            BITCOUNT d                               => 14
            BITOP and d a none                       => 6
            BITCOUNT d                               => 0
            BITOP or d a                             => 6
            GET d                                    => "foobar"
            OBJECT ENCODING d                        => "raw"
            EXPIRE d 100                             => 1
            BITOP OR d a b                           => 6
            TTL d                                    => -1
            BITOP OR d none other                    => 0
            EXISTS d                                 => 0
            BITOP NOT d a b                          => (error) ERR BITOP NOT must be called with a single source key.
            BITOP AND d                              => (error) ERR wrong number of arguments for 'bitop' command
            BITOP FOO d a                            => (error) ERR syntax error
            BITOP XOR a a a                          => 6
            BITCOUNT a                               => 0
            STRLEN a                                 => 6
            "#,
        );
    });
}

#[test]
fn combining_in_the_ways_of_redis_8() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            SET x "\xf0"                             => OK
            SET y "\xcc"                             => OK
            SET z "\xaa"                             => OK
            @redis>=8.2 BITOP DIFF d x y z                       => 1
            @redis>=8.2 BITPOS d 1                               => 3
            @redis>=8.2 BITCOUNT d                               => 1
            @redis>=8.2 BITOP DIFF1 d x y z                      => 1
            @redis>=8.2 BITCOUNT d                               => 3
            @redis>=8.2 BITOP ANDOR d x y z                      => 1
            @redis>=8.2 BITCOUNT d                               => 3
            @redis>=8.2 BITOP ONE d x y z                        => 1
            @redis>=8.2 BITCOUNT d                               => 3
            @redis>=8.2 BITPOS d 1                               => 3
            @redis>=8.2 BITOP ONE d x                            => 1
            @redis>=8.2 BITOP DIFF d x                           => (error) ERR BITOP DIFF must be called with at least two source keys.
            @redis>=8.2 BITOP DIFF1 d x                          => (error) ERR BITOP DIFF1 must be called with at least two source keys.
            @redis>=8.2 BITOP ANDOR d x                          => (error) ERR BITOP ANDOR must be called with at least two source keys.
            "#,
        );
    });
}

#[test]
fn integers_inside_a_string() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            BITFIELD k                               => []
            BITFIELD k GET u8 0                      => [0]
            EXISTS k                                 => 0
            BITFIELD k SET u8 0 255 GET i8 0 GET u4 #1 => [0 -1 15]
            BITFIELD k SET u8 0 256                  => [255]
            BITFIELD k OVERFLOW FAIL SET u8 0 256    => [(nil)]
            BITFIELD k OVERFLOW SAT SET u8 0 256 GET u8 0 => [0 255]
            BITFIELD k OVERFLOW wrap INCRBY u8 0 1 overflow sat INCRBY u8 0 -5 => [0 0]
            BITFIELD k OVERFLOW FAIL INCRBY u8 0 -1 INCRBY u8 0 1 => [(nil) 1]
            BITFIELD k SET i64 0 9223372036854775807 => [72057594037927936]
            BITFIELD k OVERFLOW SAT INCRBY i64 0 9223372036854775807 => [9223372036854775807]
            BITFIELD k INCRBY i64 0 9223372036854775807 => [-2]
            BITFIELD k OVERFLOW FAIL INCRBY i64 0 -9223372036854775808 => [(nil)]
            BITFIELD k INCRBY u63 3 -1               => [9223372036854775799]
            BITFIELD k INCRBY i5 3 17 SET i8 #2 -129 OVERFLOW SAT SET i8 #2 -129 GET i8 #2 => [-16 -1 127 -128]
            STRLEN k                                 => 9
            BITFIELD k OVERFLOW FAIL SET u8 100 300  => [(nil)]
            STRLEN k                                 => 14
            BITFIELD k GET u8 4294967288 GET u8 #536870911 => [0 0]
            BITFIELD k GET                           => (error) ERR syntax error
            BITFIELD k GET u8                        => (error) ERR syntax error
            BITFIELD k SET u8 0                      => (error) ERR syntax error
            BITFIELD k FOO u8 0                      => (error) ERR syntax error
            BITFIELD k OVERFLOW                      => (error) ERR syntax error
            BITFIELD k OVERFLOW foo                  => (error) ERR Invalid OVERFLOW type specified
            BITFIELD k SET u8 0 x                    => (error) ERR value is not an integer or out of range
            BITFIELD k GET u64 0                     => (error) ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.
            BITFIELD k GET i65 0                     => (error) ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.
            BITFIELD k GET x8 0                      => (error) ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.
            BITFIELD k GET u8 -1                     => (error) ERR bit offset is not an integer or out of range
            BITFIELD k GET u8 #x                     => (error) ERR bit offset is not an integer or out of range
            BITFIELD k GET u8 #536870912             => (error) ERR bit offset is not an integer or out of range
            BITFIELD k GET u8 4294967296             => (error) ERR bit offset is not an integer or out of range
            BITFIELD k GET u8 #9223372036854775807   => (error) ERR bit offset is not an integer or out of range
            BITFIELD                                 => (error) ERR wrong number of arguments for 'bitfield' command
            BITFIELD_RO k GET u8 0 GET u8 1          => [240 225]
            BITFIELD_RO none GET i8 0                => [0]
            BITFIELD_RO k OVERFLOW SAT GET u8 0      => [240]
            BITFIELD_RO k SET u8 0 1                 => (error) ERR BITFIELD_RO only supports the GET subcommand
            BITFIELD_RO k FOO                        => (error) ERR syntax error
            BITFIELD_RO k                            => []
            SET n 15                                 => OK
            BITFIELD n GET u8 0 SET u8 0 49          => [49 49]
            OBJECT ENCODING n                        => "raw"
            BITFIELD n INCRBY u8 8 1                 => [54]
            GET n                                    => "16"
            "#,
        );
    });
}

/// What has gaps is combined without filling them, and what results share is nobody's to write.
#[test]
fn long_strings_with_gaps() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            FLUSHALL                                 => OK
            SETBIT p 8000000 1                       => 0
            SETBIT q 3999999 1                       => 0
            BITOP OR d p q                           => 1000001
            BITCOUNT d                               => 2
            BITPOS d 1                               => 3999999
            BITPOS d 1 4000000 -1 BIT                => 8000000
            BITOP AND d p q                          => 1000001
            BITCOUNT d                               => 0
            BITOP NOT d p                            => 1000001
            BITCOUNT d                               => 8000007
            BITPOS d 0                               => 8000000
            SETBIT d 5 0                             => 1
            SETBIT d 7000000 0                       => 1
            BITCOUNT d                               => 8000005
            BITOP NOT e q                            => 500000
            BITCOUNT e                               => 3999999
            BITCOUNT p                               => 1
            BITOP XOR d q p q                        => 1000001
            BITCOUNT d                               => 1
            SETBIT d 9 1                             => 0
            BITCOUNT p                               => 1
            BITCOUNT q                               => 1
            BITOP DIFF d p q                         => 1000001
            BITCOUNT d                               => 1
            BITOP DIFF1 d p q                        => 1000001
            BITPOS d 1                               => 3999999
            BITOP ONE d p q p                        => 1000001
            BITPOS d 1                               => 3999999
            BITOP ANDOR d p q p                      => 1000001
            BITPOS d 1                               => 8000000
            "#,
        );
    });
}
