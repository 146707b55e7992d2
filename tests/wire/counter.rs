//! INCR, DECR, INCRBY, DECRBY and the 80-bit INCRBYFLOAT.

use crate::support::{Server, each_proto};

#[test]
fn integers() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            INCR a                     => 1
            INCR a                     => 2
            INCRBY a 40                => 42
            INCRBY a -2                => 40
            DECR a                     => 39
            DECRBY a 9                 => 30
            DECRBY a -5                => 35
            DECR b                     => -1
            DECRBY c 3                 => -3
            GET a                      => "35"
            EXPIRE a 100
            INCR a                     => 36
            TTL a                      => 100
            SET a 9223372036854775807
            INCR a                     => (error) ERR increment or decrement would overflow
            GET a                      => "9223372036854775807"
            SET a -9223372036854775808
            DECR a                     => (error) ERR increment or decrement would overflow
            INCRBY a -1                => (error) ERR increment or decrement would overflow
            DECRBY a -9223372036854775808 => (error) ERR decrement would overflow
            SET a 10
            INCRBY a 9223372036854775807 => (error) ERR increment or decrement would overflow
            SET a text
            INCR a                     => (error) ERR value is not an integer or out of range
            SET a " 1"
            INCR a                     => (error) ERR value is not an integer or out of range
            SET a "1 "
            INCR a                     => (error) ERR value is not an integer or out of range
            SET a 01
            INCR a                     => (error) ERR value is not an integer or out of range
            SET a +1
            INCR a                     => (error) ERR value is not an integer or out of range
            SET a 1.0
            INCR a                     => (error) ERR value is not an integer or out of range
            SET a ""
            INCR a                     => (error) ERR value is not an integer or out of range
            SET a 9223372036854775808
            INCR a                     => (error) ERR value is not an integer or out of range
            SET a -0
            INCR a                     => (error) ERR value is not an integer or out of range
            INCRBY b x                 => (error) ERR value is not an integer or out of range
            INCRBY b 1.5               => (error) ERR value is not an integer or out of range
            INCRBY b                   => (error) ERR wrong number of arguments for 'incrby' command
            INCR                       => (error) ERR wrong number of arguments for 'incr' command
            DECRBY b x                 => (error) ERR value is not an integer or out of range
            "#,
        );
    });
}

#[test]
fn floats() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            INCRBYFLOAT a 1            => "1"
            INCRBYFLOAT a 0.25         => "1.25"
            GET a                      => "1.25"
            INCRBYFLOAT a -1.25        => "0"
            SET a 10.50
            INCRBYFLOAT a 0.1          => "10.6"
            SET a 5.0e3
            INCRBYFLOAT a 2.0e2        => "5200"
            SET a 3
            INCRBYFLOAT a 1.1          => "4.1"
            SET a 0
            INCRBYFLOAT a 0.1          => "0.1"
            INCRBYFLOAT a 0.2          => "0.3"
            SET a 1e10
            INCRBYFLOAT a 0.00001      => "10000000000.00000999961048365"
            SET a 3.0e-5
            INCRBYFLOAT a 1e-10        => "0.0000300001"
            SET a 1
            INCRBYFLOAT a 1e-17        => "1.00000000000000001"
            SET a 9007199254740993
            INCRBYFLOAT a 0            => "9007199254740993"
            INCRBYFLOAT a 9223372036854775807 => "9232379236109516800"
            SET a 17179869184
            INCRBYFLOAT a 1.5          => "17179869185.5"
            SET a 1
            INCRBYFLOAT a 1e30         => "1000000000000000000024696061952"
            SET a -0
            INCRBYFLOAT a -0           => "0"
            EXPIRE a 100
            INCRBYFLOAT a 1            => "1"
            TTL a                      => 100
            SET a text
            INCRBYFLOAT a 1            => (error) ERR value is not a valid float
            SET a " 1"
            INCRBYFLOAT a 1            => (error) ERR value is not a valid float
            SET a "1 "
            INCRBYFLOAT a 1            => (error) ERR value is not a valid float
            SET a ""
            INCRBYFLOAT a 1            => (error) ERR value is not a valid float
            SET a 1
            INCRBYFLOAT a text         => (error) ERR value is not a valid float
            INCRBYFLOAT a nan          => (error) ERR value is not a valid float
            INCRBYFLOAT a inf          => (error) ERR increment would produce NaN or Infinity
            INCRBYFLOAT a -inf         => (error) ERR increment would produce NaN or Infinity
            INCRBYFLOAT a 0x10         => "17"
            INCRBYFLOAT a 1e5000       => (error) ERR value is not a valid float
            GET a                      => "17"
            INCRBYFLOAT a              => (error) ERR wrong number of arguments for 'incrbyfloat' command
            "#,
        );
    });
}
