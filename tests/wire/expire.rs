//! EXPIRE and its family: conditions, reading deadlines back, errors.

use crate::support::{Server, each_proto};

#[test]
fn set_read_and_clear() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            TTL none                   => -2
            PTTL none                  => -2
            EXPIRETIME none            => -2
            PEXPIRETIME none           => -2
            EXPIRE none 10             => 0
            PERSIST none               => 0
            SET a 1
            TTL a                      => -1
            PTTL a                     => -1
            EXPIRETIME a               => -1
            PEXPIRETIME a              => -1
            PERSIST a                  => 0
            EXPIRE a 100               => 1
            TTL a                      => 100
            PERSIST a                  => 1
            TTL a                      => -1
            PEXPIRE a 100000           => 1
            TTL a                      => 100
            EXPIREAT a 4102444800      => 1
            EXPIRETIME a               => 4102444800
            PEXPIRETIME a              => 4102444800000
            PEXPIREAT a 4102444800567  => 1
            PEXPIRETIME a              => 4102444800567
            EXPIRETIME a               => 4102444801
            # times of the past delete at once
            EXPIRE a 0                 => 1
            EXISTS a                   => 0
            SET a 1
            EXPIRE a -1                => 1
            EXISTS a                   => 0
            SET a 1
            EXPIREAT a 1               => 1
            EXISTS a                   => 0
            SET a 1
            PEXPIREAT a -5             => 1
            EXISTS a                   => 0
            "#,
        );
        kv.ok("SET b 1 PX 5000");
        let left = kv.int("PTTL b");
        assert!((4000..=5000).contains(&left), "PTTL {left}");
    });
}

#[test]
fn conditions() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            SET a 1
            EXPIRE a 100 XX            => 0
            EXPIRE a 100 GT            => 0
            TTL a                      => -1
            EXPIRE a 100 NX            => 1
            EXPIRE a 200 NX            => 0
            EXPIRE a 200 XX            => 1
            TTL a                      => 200
            EXPIRE a 100 GT            => 0
            EXPIRE a 300 gt            => 1
            TTL a                      => 300
            EXPIRE a 400 LT            => 0
            EXPIRE a 50 LT             => 1
            TTL a                      => 50
            EXPIRE a 500 XX GT         => 1
            EXPIRE a 40 XX LT          => 1
            TTL a                      => 40
            PERSIST a
            EXPIRE a 100 LT            => 1
            PEXPIRE a 200000 GT        => 1
            EXPIREAT a 4102444800 GT   => 1
            PEXPIREAT a 4102444800000 GT => 0
            PEXPIREAT a 4102444800000 XX => 1
            SET b 1
            EXPIRE b 100 XX LT         => 0
            EXPIRE a 1 NX XX           => (error) ERR NX and XX, GT or LT options at the same time are not compatible
            EXPIRE a 1 NX GT           => (error) ERR NX and XX, GT or LT options at the same time are not compatible
            EXPIRE a 1 NX LT           => (error) ERR NX and XX, GT or LT options at the same time are not compatible
            EXPIRE a 1 GT LT           => (error) ERR GT and LT options at the same time are not compatible
            EXPIRE a 1 BAD             => (error) ERR Unsupported option BAD
            EXPIRE a 1 NX bad          => (error) ERR Unsupported option bad
            # what is repeated ends at a NUL, line breaks at the end go, others become blanks
            EXPIRE a 1 "b\x00d"        => (error) ERR Unsupported option b
            EXPIRE a 1 "b\r\nd\n"      => (error) ERR Unsupported option b  d
            "#,
        );
    });
}

#[test]
fn errors() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            SET a 1
            EXPIRE a x                 => (error) ERR value is not an integer or out of range
            EXPIRE a 1.5               => (error) ERR value is not an integer or out of range
            EXPIRE a 9223372036854775807 => (error) ERR invalid expire time in 'expire' command
            EXPIRE a -9223372036854775808 => (error) ERR invalid expire time in 'expire' command
            EXPIRE a 9223372036854776  => (error) ERR invalid expire time in 'expire' command
            PEXPIRE a 9223372036854775807 => (error) ERR invalid expire time in 'pexpire' command
            EXPIREAT a 9223372036854775807 => (error) ERR invalid expire time in 'expireat' command
            PEXPIREAT a 9223372036854775807 => 1
            TTL a                      =~ 92233*
            EXPIRE a                   => (error) ERR wrong number of arguments for 'expire' command
            TTL                        => (error) ERR wrong number of arguments for 'ttl' command
            PERSIST a b                => (error) ERR wrong number of arguments for 'persist' command
            EXISTS a                   => 1
            "#,
        );
    });
}

/// Which commands keep a key's deadline, and which clear it.
#[test]
fn what_keeps_a_deadline() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            SET a 1 EX 100
            INCR a
            APPEND a 1
            SETRANGE a 0 5
            GETRANGE a 0 0
            TTL a                      => 100
            RENAME a b                 => OK
            TTL b                      => 100
            SET c 1
            RENAME c b                 => OK
            TTL b                      => -1
            SET a 1 EX 100
            COPY a c                   => 1
            TTL c                      => 100
            SET a 2
            TTL a                      => -1
            EXPIRE a 100
            GETSET a 3
            TTL a                      => -1
            EXPIRE a 100
            MOVE a 1                   => 1
            SELECT 1                   => OK
            TTL a                      => 100
            SELECT 0
            "#,
        );
    });
}
