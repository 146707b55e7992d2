//! The connection group without CLIENT: PING ECHO SELECT QUIT RESET HELLO AUTH.

use crate::support::{Server, Value, each_proto};

#[test]
fn ping_echo_select() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            PING                       => PONG
            PING hello                 => "hello"
            PING a b                   => (error) ERR wrong number of arguments for 'ping' command
            ECHO "x y"                 => "x y"
            ECHO                       => (error) ERR wrong number of arguments for 'echo' command
            SELECT 15                  => OK
            SET a 15
            SELECT 0                   => OK
            GET a                      => (nil)
            SELECT 16                  => (error) ERR DB index is out of range
            SELECT 2147483648          => (error) ERR value is out of range, value must between -2147483648 and 2147483647
            SELECT -1                  => (error) ERR DB index is out of range
            SELECT x                   => (error) ERR value is not an integer or out of range
            SELECT                     => (error) ERR wrong number of arguments for 'select' command
            SELECT 015                 =~ (error) ERR *
            "#,
        );
    });
}

#[test]
fn unknown_commands() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        // The texts end with a blank.
        for (line, name, args) in [
            ("foo", "foo", ""),
            ("foo a", "foo", "'a' "),
            ("FOO a \"b c\" d", "FOO", "'a' 'b c' 'd' "),
            ("\"\" a", "", "'a' "),
            ("\"fo\\r\\no\" \"a\\nb\"", "fo  o", "'a b' "),
        ] {
            kv.expect(line, &format!("(error) ERR unknown command '{name}', with args beginning with: {args}"));
        }
        // Long names and arguments are cut to 128 bytes in all.
        let long = "x".repeat(300);
        let cut = "x".repeat(128);
        assert_eq!(kv.cmd(&[&long]).text(), format!("(error) ERR unknown command '{cut}', with args beginning with: "));
        assert_eq!(
            kv.cmd(&["nope", &long, "next"]).text(),
            format!("(error) ERR unknown command 'nope', with args beginning with: '{cut}' ")
        );
    });
}

#[test]
fn hello() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let reply = kv.line("HELLO");
    assert!(matches!(reply, Value::Array(_)), "without a version the protocol stays: {}", reply.text());
    assert_eq!(reply.field("proto").int(), 2);
    assert_eq!(reply.field("mode").string(), "standalone");
    assert_eq!(reply.field("role").string(), "master");
    assert_eq!(reply.field("id").int(), kv.int("CLIENT ID"));
    assert!(matches!(reply.field("modules"), Value::Array(_)));
    assert!(!reply.field("server").string().is_empty());
    assert!(reply.field("version").string().contains('.'));

    let reply = kv.line("HELLO 3 SETNAME tester");
    assert!(matches!(reply, Value::Map(_)), "the reply is in the new protocol already");
    assert_eq!(reply.field("proto").int(), 3);
    kv.talk(
        r#"
        CLIENT GETNAME                 => "tester"
        GET none                       => (nil)
        HELLO 4                        => (error) NOPROTO unsupported protocol version
        HELLO 1                        => (error) NOPROTO unsupported protocol version
        HELLO x                        => (error) ERR Protocol version is not an integer or out of range
        HELLO 3 AUTH a                 => (error) ERR Syntax error in HELLO option 'AUTH'
        HELLO 3 SETNAME                => (error) ERR Syntax error in HELLO option 'SETNAME'
        HELLO 3 BAD                    => (error) ERR Syntax error in HELLO option 'BAD'
        HELLO 3 SETNAME "a b"          => (error) ERR Client names cannot contain spaces, newlines or special characters.
        HELLO 3 AUTH default wrong     =~ *
        CLIENT GETNAME                 => "tester"
        "#,
    );
    let reply = kv.line("HELLO 2");
    assert!(matches!(reply, Value::Array(_)));
    assert_eq!(kv.line("CONFIG GET port").text().chars().next(), Some('['));
}

#[test]
fn quit_and_reset() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        let mut other = kv.another();
        let replies = other.pipeline(&["PING", "QUIT"]);
        assert_eq!(replies[1].text(), "OK");
        assert!(other.is_closed());

        // What is pipelined behind QUIT is not carried out.
        let mut other = kv.another();
        other.raw(b"QUIT\r\nSET after-quit 1\r\n");
        assert_eq!(other.read().text(), "OK");
        assert!(other.is_closed());
        kv.expect("EXISTS after-quit", "0");

        kv.talk(
            r#"
            SELECT 3
            CLIENT SETNAME me
            MULTI                      => OK
            RESET                      => RESET
            CLIENT GETNAME             => (nil)
            EXEC                       => (error) ERR EXEC without MULTI
            SET a 1
            SELECT 0
            EXISTS a                   => 1
            RESET x                    => (error) ERR wrong number of arguments for 'reset' command
            "#,
        );
        // RESET goes back to RESP2.
        assert!(matches!(kv.line("HELLO"), Value::Array(_)));
    });
}

#[test]
fn auth() {
    let server = Server::start(&["--requirepass", "secret"]);
    let mut kv = server.connect();
    kv.talk(
        r#"
        PING                           => (error) NOAUTH Authentication required.
        GET a                          => (error) NOAUTH Authentication required.
        foo                            =~ (error) *
        GET                            =~ (error) *
        HELLO                          =~ (error) NOAUTH *
        @redis>=7.2,valkey HELLO 3     => (error) NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time
        AUTH wrong                     => (error) WRONGPASS invalid username-password pair or user is disabled.
        AUTH default wrong             => (error) WRONGPASS invalid username-password pair or user is disabled.
        AUTH nobody secret             => (error) WRONGPASS invalid username-password pair or user is disabled.
        AUTH a b c                     => (error) ERR syntax error
        AUTH                           => (error) ERR wrong number of arguments for 'auth' command
        PING                           => (error) NOAUTH Authentication required.
        RESET                          => RESET
        AUTH secret                    => OK
        PING                           => PONG
        RESET                          => RESET
        PING                           => (error) NOAUTH Authentication required.
        AUTH default secret            => OK
        PING                           => PONG
        CONFIG GET requirepass         => ["requirepass" "secret"]
        "#,
    );
    let mut kv = server.connect();
    assert!(kv.line("HELLO 3 AUTH default wrong").text().starts_with("(error) WRONGPASS"));
    let reply = kv.line("HELLO 3 AUTH default secret SETNAME x");
    assert!(matches!(reply, Value::Map(_)), "{}", reply.text());
    kv.expect("CLIENT GETNAME", "\"x\"");

    // A password set at run time asks newcomers for it and leaves those who are in alone.
    kv.ok("CONFIG SET requirepass other");
    kv.expect("PING", "PONG");
    let mut kv2 = server.connect();
    kv2.expect("AUTH secret", "(error) WRONGPASS invalid username-password pair or user is disabled.");
    kv2.ok("AUTH other");
    kv2.ok("CONFIG SET requirepass \"\"");
    let mut kv3 = server.connect();
    kv3.expect("PING", "PONG");
    kv3.expect(
        "AUTH other",
        "(error) ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
    );
}
