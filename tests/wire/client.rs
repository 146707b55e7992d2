//! CLIENT and its subcommands.

use crate::support::{Conn, Peer, Server, Value, each_proto, wait_for};
use std::collections::HashMap;
use std::time::Duration;

/// The lines of CLIENT LIST as maps.
fn list(kv: &mut Conn, options: &str) -> Vec<HashMap<String, String>> {
    let text = kv.line(&format!("CLIENT LIST {options}")).string();
    assert!(text.ends_with('\n'), "every client is a line: {text:?}");
    text.lines().map(fields).collect()
}

fn fields(line: &str) -> HashMap<String, String> {
    line.split(' ').map(|f| f.split_once('=').expect("name=value")).map(|(k, v)| (k.into(), v.into())).collect()
}

/// CLIENT REPLY SKIP drops one reply, and ON takes it back, even as the very command that would be dropped.
#[test]
fn reply_skip_and_on() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.send(&["CLIENT", "REPLY", "SKIP"]);
        kv.expect("CLIENT REPLY ON", "OK");
        kv.expect("ECHO 1", "\"1\"");
        for _ in 0..2 {
            kv.send(&["CLIENT", "REPLY", "SKIP"]);
        }
        kv.send(&["ECHO", "skipped"]);
        kv.expect("ECHO 2", "\"2\"");
    });
}

/// The query buffer is what was received, and stays whole until the requests in it have run.
#[test]
fn a_pipeline_sees_its_whole_query_buffer() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.raw(&[&b"*2\r\n$6\r\nCLIENT\r\n$4\r\nINFO\r\n".repeat(3)[..], b"*2\r\n$6\r\nCLI"].concat());
    for _ in 0..3 {
        let info = kv.read().string();
        assert!(info.contains(" qbuf=89 "), "{info}");
    }
}

/// Who is held back by CLIENT PAUSE is a blocked client, until it is served or gone.
#[test]
fn held_back_clients_are_counted() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let (mut one, mut two) = (server.connect(), server.connect());
    kv.ok("CLIENT PAUSE 60000 WRITE");
    one.send(&["SET", "a", "1"]);
    two.send(&["SET", "a", "2"]);
    let limit = Duration::from_secs(5);
    wait_for("two to be blocked", limit, || kv.info("blocked_clients") == "2");
    assert_eq!(list(&mut kv, "").iter().filter(|client| client["flags"] == "b").count(), 2);
    drop(two);
    wait_for("one to be gone", limit, || kv.info("blocked_clients") == "1");
    kv.ok("CLIENT UNPAUSE");
    one.read();
    wait_for("none to be blocked", limit, || kv.info("blocked_clients") == "0");
    kv.expect("GET a", "\"1\"");
}

/// Nothing expires during a pause, though no reader sees a key whose time is over.
#[test]
fn a_pause_holds_expiry_too() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.ok("SET stays x");
    for line in ["MULTI", "SET a 1 PX 10", "SET b 2 PX 10", "CLIENT PAUSE 60000 WRITE", "EXEC"] {
        kv.line(line);
    }
    std::thread::sleep(Duration::from_millis(150));
    kv.talk("GET a => (nil)\n EXISTS b => 0\n DBSIZE => 3\n RANDOMKEY =~ *");
    assert_eq!(kv.info("expired_keys"), "0");
    kv.ok("CLIENT UNPAUSE");
    wait_for("the two to expire", Duration::from_secs(5), || kv.info("expired_keys") == "2");
    kv.expect("RANDOMKEY", "\"stays\"");
}

/// What a client sees of its own request, as Redis counts it.
#[test]
fn a_line_about_oneself() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let line = kv.line("CLIENT LIST").string();
    assert!(line.contains(" qbuf=26 ") && line.contains(" omem=0 ") && line.contains(" events=r "), "{line}");
}

/// Before it has said who it is, a client may not make us keep replies for it.
#[test]
fn unread_replies_of_strangers() {
    let server = Server::start(&["--requirepass", "secret"]);
    let mut stranger = server.connect();
    let requests = b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$1\r\n5\r\n".repeat(1000);
    let sent = (0..2000).take_while(|_| stranger.try_raw(&requests).is_ok()).count();
    assert!(sent < 2000, "not disconnected");
}

#[test]
fn names_and_ids() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            CLIENT GETNAME             => (nil)
            CLIENT SETNAME me          => OK
            CLIENT GETNAME             => "me"
            CLIENT SETNAME "a b"       => (error) ERR Client names cannot contain spaces, newlines or special characters.
            CLIENT SETNAME "a\nb"      => (error) ERR Client names cannot contain spaces, newlines or special characters.
            CLIENT GETNAME             => "me"
            CLIENT SETNAME ""          => OK
            CLIENT GETNAME             => (nil)
            CLIENT BAD                 => (error) ERR unknown subcommand 'BAD'. Try CLIENT HELP.
            CLIENT                     => (error) ERR wrong number of arguments for 'client' command
            CLIENT SETNAME             => (error) ERR wrong number of arguments for 'client|setname' command
            CLIENT ID x                => (error) ERR wrong number of arguments for 'client|id' command
            CLIENT HELP                =~ [*CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:*
            "#,
        );
        let id = kv.int("CLIENT ID");
        let next = kv.another().int("CLIENT ID");
        assert!(next > id, "ids only grow: {id} {next}");
    });
}

#[test]
fn setinfo() {
    let server = Server::start(&[]);
    if !server.peer.satisfies("redis>=7.2,valkey") {
        return;
    }
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            CLIENT SETINFO lib-name lib => OK
            CLIENT SETINFO LIB-VER 1.2  => OK
            CLIENT SETINFO bad 1        => (error) ERR Unrecognized option 'bad'
            CLIENT SETINFO lib-name "a b" => (error) ERR lib-name cannot contain spaces, newlines or special characters.
            CLIENT SETINFO lib-ver "a b" => (error) ERR lib-ver cannot contain spaces, newlines or special characters.
            CLIENT SETINFO lib-name     => (error) ERR wrong number of arguments for 'client|setinfo' command
            "#,
        );
        let me = fields(kv.line("CLIENT INFO").string().trim_end());
        assert_eq!((me["lib-name"].as_str(), me["lib-ver"].as_str()), ("lib", "1.2"));
        kv.line("RESET");
    });
}

#[test]
fn info_and_list() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.ok("CLIENT SETNAME one");
        kv.ok("SELECT 3");
        let info = kv.line("CLIENT INFO");
        let me = fields(info.string().trim_end());
        for field in [
            "id",
            "addr",
            "laddr",
            "fd",
            "name",
            "age",
            "idle",
            "flags",
            "db",
            "sub",
            "psub",
            "ssub",
            "multi",
            "qbuf",
            "qbuf-free",
            "argv-mem",
            "multi-mem",
            "rbs",
            "rbp",
            "obl",
            "oll",
            "omem",
            "tot-mem",
            "events",
            "cmd",
            "user",
            "redir",
            "resp",
        ] {
            assert!(me.contains_key(field), "no {field} in {}", info.text());
        }
        if kv.peer.satisfies("redis>=7.4,valkey") {
            for field in ["watch", "lib-name", "lib-ver"] {
                assert!(me.contains_key(field), "no {field} in {}", info.text());
            }
        }
        assert_eq!(me["name"], "one");
        assert_eq!(me["db"], "3");
        assert_eq!(me["flags"], "N");
        assert_eq!(me["cmd"], "client|info");
        assert_eq!(me["user"], "default");
        assert_eq!(me["multi"], "-1");
        assert_eq!(me["addr"], kv.addr());
        assert_eq!(me["resp"], if kv.proto == crate::support::Proto::Resp3 { "3" } else { "2" });
        let text = matches!(info, Value::Verbatim(..));
        assert_eq!(text, kv.proto == crate::support::Proto::Resp3, "RESP3 marks text as text");

        let mut other = kv.another();
        other.ok("CLIENT SETNAME two");
        let other_id = other.int("CLIENT ID");
        let named = |clients: &[HashMap<String, String>], name: &str| clients.iter().any(|c| c["name"] == name);
        let all = list(kv, "");
        assert!(named(&all, "one") && named(&all, "two"));
        assert_eq!(all.iter().filter(|c| c["cmd"] == "client|list").count(), 1);
        let some = list(kv, &format!("ID {other_id}"));
        assert!(some.len() == 1 && some[0]["name"] == "two");
        let mine = kv.int("CLIENT ID");
        assert_eq!(list(kv, &format!("ID {other_id} {mine} 99999")).len(), 2);
        assert!(list(kv, "TYPE normal").len() >= 2);
        kv.talk(
            r#"
            CLIENT LIST TYPE pubsub    =~ *""
            CLIENT LIST TYPE bad       => (error) ERR Unknown client type 'bad'
            @redis CLIENT LIST ID x    => (error) ERR Invalid client ID
            @redis CLIENT LIST ID 1 9223372036854775808 => (error) ERR Invalid client ID
            @redis CLIENT LIST ID -1 999999 => "" || (txt) ""
            CLIENT LIST BAD            => (error) ERR syntax error
            CLIENT LIST ID             => (error) ERR syntax error
            CLIENT INFO x              => (error) ERR wrong number of arguments for 'client|info' command
            SELECT 0
            "#,
        );
        kv.ok("CLIENT SETNAME \"\"");
    });
}

#[test]
fn kill() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        let mut victim = kv.another();
        let id = victim.int("CLIENT ID");
        kv.expect(&format!("CLIENT KILL ID {id}"), "1");
        assert!(victim.is_closed());
        kv.expect(&format!("CLIENT KILL ID {id}"), "0");

        let mut victim = kv.another();
        victim.line("PING");
        kv.ok(&format!("CLIENT KILL {}", victim.addr()));
        assert!(victim.is_closed());

        let mut victim = kv.another();
        victim.line("PING");
        kv.expect(&format!("CLIENT KILL ADDR {} SKIPME yes", victim.addr()), "1");
        assert!(victim.is_closed());

        let mut victims = [kv.another(), kv.another()];
        for victim in &mut victims {
            victim.line("PING");
        }
        kv.expect("CLIENT KILL TYPE normal", "2");
        assert!(victims.iter_mut().all(Conn::is_closed));

        let mut victim = kv.another();
        victim.line("PING");
        kv.expect("CLIENT KILL USER default", "1");
        assert!(victim.is_closed());
        if kv.peer.satisfies("redis>=7.4,valkey") {
            kv.expect("CLIENT KILL MAXAGE 1000", "0");
        }
        kv.talk(
            r#"
            CLIENT KILL 1.2.3.4:5      => (error) ERR No such client
            @redis CLIENT KILL ID x    => (error) ERR client-id should be greater than 0
            CLIENT KILL ID 0           => (error) ERR client-id should be greater than 0
            CLIENT KILL TYPE bad       => (error) ERR Unknown client type 'bad'
            CLIENT KILL USER nobody    => (error) ERR No such user 'nobody'
            CLIENT KILL SKIPME maybe   => (error) ERR syntax error
            CLIENT KILL ID 1 BAD       => (error) ERR syntax error
            CLIENT KILL BAD x          => (error) ERR syntax error
            CLIENT KILL ADDR 1.2.3.4:5 => 0
            CLIENT KILL LADDR 1.2.3.4:5 => 0
            CLIENT KILL                => (error) ERR wrong number of arguments for 'client|kill' command
            "#,
        );
    });
    // Killing oneself: the reply comes first.
    let mut kv = server.connect();
    let id = kv.int("CLIENT ID");
    kv.expect(&format!("CLIENT KILL ID {id} SKIPME no"), "1");
    assert!(kv.is_closed());
}

#[test]
fn reply_modes() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.send(&["CLIENT", "REPLY", "OFF"]);
        kv.send(&["SET", "a", "1"]);
        kv.send(&["foo"]);
        kv.expect("CLIENT REPLY ON", "OK");
        kv.expect("GET a", "\"1\"");
        kv.send(&["CLIENT", "REPLY", "SKIP"]);
        kv.send(&["SET", "a", "2"]);
        kv.expect("GET a", "\"2\"");
        // SKIP after SKIP skips the reply to what follows the second; ON is answered all the same, RESET is not.
        for name in ["SKIP", "SKIP"] {
            kv.send(&["CLIENT", "REPLY", name]);
        }
        kv.send(&["ECHO", "dropped"]);
        kv.expect("ECHO shown", "\"shown\"");
        kv.send(&["CLIENT", "REPLY", "SKIP"]);
        kv.expect("CLIENT REPLY ON", "OK");
        kv.send(&["CLIENT", "REPLY", "SKIP"]);
        kv.send(&["RESET"]);
        kv.expect("CLIENT REPLY bad", "(error) ERR syntax error");
        kv.expect("CLIENT REPLY", "(error) ERR wrong number of arguments for 'client|reply' command");
    });
}

/// Whoever wants no replies gets none when its connection ends, and it ends. In Redis it stays open for ever, as it is
/// closed only after a reply.
#[test]
fn the_end_without_replies() {
    let server = Server::start(&[]);
    if server.peer != Peer::Kvstash {
        return;
    }
    let mut kv = server.connect();
    for (before, last) in [
        (&b"CLIENT REPLY OFF\r\nSET a 1\r\n"[..], &b"QUIT\r\n"[..]),
        (b"CLIENT REPLY OFF\r\n", b"*x\r\n"),
        (b"CLIENT REPLY OFF\r\n", b"SET a \"open\r\n"),
        (b"CLIENT REPLY SKIP\r\n", b"QUIT\r\n"),
        (b"CLIENT REPLY SKIP\r\n", b"*1\r\n!\r\n"),
    ] {
        let mut conn = server.connect();
        conn.raw(&[before, last, b"SET after 1\r\n"].concat());
        assert!(conn.try_read().is_err(), "no reply to {}", last.escape_ascii());
        assert!(conn.is_closed(), "after {}", last.escape_ascii());
        kv.expect("EXISTS after", "0");
    }
    let mut conn = server.connect();
    conn.raw(b"CLIENT REPLY SKIP\r\nPING\r\n*x\r\n");
    assert_eq!(conn.read().text(), "(error) ERR Protocol error: invalid multibulk length", "only one is skipped");
    assert!(conn.is_closed());
}

#[test]
fn pause() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let mut other = server.connect();
    kv.ok("SET a 1");
    other.line("PING");

    // WRITE lets reads through and holds writes until the end.
    kv.ok("CLIENT PAUSE 100000 WRITE");
    other.expect("GET a", "\"1\"");
    other.send(&["SET", "a", "2"]);
    assert!(other.read_within(Duration::from_millis(150)).is_none(), "a write during the pause");
    kv.expect("GET a", "\"1\"");
    kv.ok("CLIENT UNPAUSE");
    assert_eq!(other.read().text(), "OK");
    kv.expect("GET a", "\"2\"");

    // ALL holds everything but CLIENT itself; the pause ends by itself.
    kv.ok("CLIENT PAUSE 200");
    let started = std::time::Instant::now();
    other.expect("GET a", "\"2\"");
    assert!(started.elapsed() >= Duration::from_millis(100), "the pause lasted {:?}", started.elapsed());

    // A transaction with a write in it is held at EXEC.
    other.ok("MULTI");
    other.expect("SET a 3", "QUEUED");
    kv.ok("CLIENT PAUSE 100000 write");
    other.send(&["EXEC"]);
    assert!(other.read_within(Duration::from_millis(150)).is_none());
    kv.ok("CLIENT UNPAUSE");
    assert_eq!(other.read().text(), "[OK]");
    kv.talk(
        r#"
        CLIENT PAUSE x                 => (error) ERR timeout is not an integer or out of range
        CLIENT PAUSE -1                => (error) ERR timeout is negative
        @redis>=7.4 CLIENT PAUSE 9223372036854775807 => (error) ERR timeout is out of range
        CLIENT PAUSE -1 BAD            => (error) ERR CLIENT PAUSE mode must be WRITE or ALL
        CLIENT PAUSE 1 ALL x           => (error) ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.
        CLIENT UNBLOCK 1 ERROR x       => (error) ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP.
        @redis>=7.4 CLIENT KILL MAXAGE x => (error) ERR maxage is not an integer or out of range
        @redis>=7.4 CLIENT KILL MAXAGE 0 => (error) ERR maxage should be greater than 0
        CLIENT PAUSE 1 BAD             =~ (error) ERR *
        CLIENT PAUSE                   => (error) ERR wrong number of arguments for 'client|pause' command
        CLIENT UNPAUSE                 => OK
        "#,
    );
}

#[test]
fn switches_and_unblock() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            CLIENT NO-EVICT ON         => OK
            CLIENT NO-EVICT off        => OK
            CLIENT NO-EVICT bad        => (error) ERR syntax error
            @redis>=7.2,valkey CLIENT NO-TOUCH ON  => OK
            @redis>=7.2,valkey CLIENT NO-TOUCH off => OK
            @redis>=7.2,valkey CLIENT NO-TOUCH bad => (error) ERR syntax error
            CLIENT UNBLOCK 999999      => 0
            CLIENT UNBLOCK 999999 TIMEOUT => 0
            CLIENT UNBLOCK 999999 ERROR => 0
            CLIENT UNBLOCK x           => (error) ERR value is not an integer or out of range
            CLIENT UNBLOCK 1 BAD       => (error) ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR
            "#,
        );
        kv.ok("CLIENT NO-EVICT ON");
        let me = fields(kv.line("CLIENT INFO").string().trim_end());
        assert!(me["flags"].contains('e'), "flags {}", me["flags"]);
        kv.ok("CLIENT NO-EVICT OFF");
    });
}

#[test]
fn maxclients() {
    let server = Server::start(&["--maxclients", "5"]);
    let mut kv = server.connect();
    kv.line("PING");
    let mut crowd: Vec<Conn> = (0..4).map(|_| server.connect()).collect();
    for conn in &mut crowd {
        conn.expect("PING", "PONG");
    }
    let mut late = server.connect();
    assert_eq!(late.read().text(), "(error) ERR max number of clients reached");
    assert!(late.is_closed());
    assert_eq!(kv.info("rejected_connections"), "1");
    drop(crowd);
    wait_for("room for a client", Duration::from_secs(5), || {
        let mut again = server.connect();
        again.send(&["PING"]);
        again.read().text() == "PONG"
    });
}

#[test]
fn idle_clients_time_out() {
    let server = Server::start(&["--timeout", "1"]);
    let mut idle = server.connect();
    idle.line("PING");
    let started = std::time::Instant::now();
    assert!(idle.is_closed());
    let waited = started.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(10)).contains(&waited), "closed after {waited:?}");
}
