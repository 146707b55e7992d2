//! HyperLogLogs: PFADD PFCOUNT PFMERGE PFDEBUG PFSELFTEST.

use crate::support::{Server, each_proto};

#[test]
fn counting_what_is_distinct() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            PFADD h                                  => 1
            PFADD h                                  => 0
            PFADD h a b c                            => 1
            PFADD h a b c                            => 0
            PFCOUNT h                                => 3
            PFCOUNT none                             => 0
            PFCOUNT none h                           => 3
            PFDEBUG ENCODING h                       => sparse
            PFDEBUG DECODE h                         => "Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603"
            STRLEN h                                 => 27
            TYPE h                                   => string
            OBJECT ENCODING h                        => "raw"
            PFADD h2 1 2 3 4                         => 1
            PFMERGE d h h2                           => OK
            PFCOUNT d h h2                           => 7
            PFDEBUG DECODE d                         => "Z:495 v:2,1 Z:7031 v:1,1 Z:908 v:1,1 Z:2536 v:1,1 Z:1737 v:2,1 Z:2659 v:4,1 Z:408 v:1,1 Z:603"
            PFMERGE e                                => OK
            PFCOUNT e                                => 0
            PFDEBUG TODENSE h                        => 1
            PFDEBUG TODENSE h                        => 0
            PFDEBUG ENCODING h                       => dense
            PFDEBUG DECODE h                         => (error) ERR HLL encoding is not sparse
            STRLEN h                                 => 12304
            PFCOUNT h                                => 3
            PFADD h a b c                            => 0
            PFADD h d                                => 1
            PFCOUNT h                                => 4
            PFMERGE d h                              => OK
            PFDEBUG ENCODING d                       => dense
            PFCOUNT d                                => 8
            EXPIRE d 100                             => 1
            PFADD d more                             => 1
            TTL d                                    => 100
            PFDEBUG ENCODING none                    => (error) ERR The specified key does not exist
            PFDEBUG FOO h                            => (error) ERR Unknown PFDEBUG subcommand 'FOO'
            PFDEBUG ENCODING                         => (error) ERR wrong number of arguments for 'pfdebug' command
            SET s foo                                => OK
            PFADD s a                                => (error) WRONGTYPE Key is not a valid HyperLogLog string value.
            PFCOUNT s                                => (error) WRONGTYPE Key is not a valid HyperLogLog string value.
            PFCOUNT h s                              => (error) WRONGTYPE Key is not a valid HyperLogLog string value.
            PFMERGE s h                              => (error) WRONGTYPE Key is not a valid HyperLogLog string value.
            PFMERGE x s                              => (error) WRONGTYPE Key is not a valid HyperLogLog string value.
            EXISTS x                                 => 0
            PFDEBUG ENCODING s                       => (error) WRONGTYPE Key is not a valid HyperLogLog string value.
            SET i 12345                              => OK
            PFCOUNT i                                => (error) WRONGTYPE Key is not a valid HyperLogLog string value.
            APPEND h2 x                              => 31
            PFCOUNT h2                               => (error) INVALIDOBJ Corrupted HLL object detected
            PFCOUNT h2 h                             => (error) INVALIDOBJ Corrupted HLL object detected
            PFMERGE x h2                             => (error) INVALIDOBJ Corrupted HLL object detected
            PFADD                                    => (error) ERR wrong number of arguments for 'pfadd' command
            PFCOUNT                                  => (error) ERR wrong number of arguments for 'pfcount' command
            PFMERGE                                  => (error) ERR wrong number of arguments for 'pfmerge' command
            PFSELFTEST                               => OK
            "#,
        );
    });
}

#[test]
fn when_it_becomes_dense() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            CONFIG SET hll-sparse-max-bytes 40       => OK
            PFADD h 1 2 3 4                          => 1
            PFDEBUG ENCODING h                       => sparse
            PFADD h 5 6 7 8                          => 1
            PFDEBUG ENCODING h                       => dense
            PFADD h 9 10 11 12                       => 1
            PFDEBUG ENCODING h                       => dense
            PFCOUNT h                                => 12
            CONFIG SET hll-sparse-max-bytes 3000     => OK
            "#,
        );
    });
}

/// The count of one key is remembered in its value, so PFCOUNT may write.
#[test]
fn the_count_is_remembered_and_forgotten() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        assert_eq!(kv.int("PFADD h a b c"), 1);
        assert_eq!(kv.cmd(&["GETRANGE", "h", "15", "15"]).bytes(), b"\x80");
        assert_eq!(kv.int("PFCOUNT h"), 3);
        assert_eq!(kv.cmd(&["GETRANGE", "h", "8", "15"]).bytes(), b"\x03\0\0\0\0\0\0\0");
        assert_eq!(kv.int("PFADD h a"), 0);
        assert_eq!(kv.cmd(&["GETRANGE", "h", "8", "15"]).bytes(), b"\x03\0\0\0\0\0\0\0");
        assert_eq!(kv.int("PFADD h d"), 1);
        assert_eq!(kv.cmd(&["GETRANGE", "h", "8", "15"]).bytes(), b"\x03\0\0\0\0\0\0\x80");
        assert_eq!(kv.int("PFCOUNT h"), 4);
    });
}

#[test]
fn estimates_of_many() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        for batch in 0..100 {
            let elements: Vec<String> = (0..100).map(|i| format!("ele:{}", batch * 100 + i)).collect();
            let mut request = vec!["PFADD", "h"];
            request.extend(elements.iter().map(String::as_str));
            kv.cmd(&request);
        }
        kv.talk(
            r#"
            PFCOUNT h                                => 10087
            PFDEBUG ENCODING h                       => dense
            "#,
        );
    });
}
