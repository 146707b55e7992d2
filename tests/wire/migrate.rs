//! MIGRATE: keys that go from one server to another, and what happens when the other one is not there, is silent, or goes.

use crate::support::{Conn, Server, Value, free_port, wait_for};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(10);
const A_WHILE: Duration = Duration::from_millis(100);

/// Two servers, and a client of each.
struct Pair {
    from: Conn,
    to: Conn,
    servers: [Server; 2],
}

impl Pair {
    fn start(args: &[&str]) -> Pair {
        let servers = [Server::start(&[]), Server::start(args)];
        Pair { from: servers[0].connect(), to: servers[1].connect(), servers }
    }

    fn port(&self) -> u16 {
        self.servers[1].port
    }

    /// A transcript in which `PORT` is the other server's.
    #[track_caller]
    fn talk(&mut self, script: &str) {
        let port = self.port().to_string();
        self.from.talk(&script.replace("PORT", &port));
    }

    #[track_caller]
    fn migrate(&mut self, rest: &str) -> String {
        let line = format!("MIGRATE 127.0.0.1 {} {rest}", self.port());
        self.from.line(&line).text()
    }
}

/// Somebody who takes connections and is no server.
fn stranger() -> (TcpListener, u16) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Reads what was sent until `end` was.
fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    stream.set_read_timeout(Some(SOON)).unwrap();
    while !String::from_utf8_lossy(&all).contains(end) {
        let n = stream.read(&mut piece).unwrap();
        assert!(n > 0, "the end came before {end}");
        all.extend_from_slice(&piece[..n]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// A stranger's side of MIGRATE: SELECT is answered, and RESTORE waited for.
fn accept_and_select(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    let first = read_until(&mut stream, "SELECT");
    stream.write_all(b"+OK\r\n").unwrap();
    // Redis does not wait for the answer.
    if !first.contains("RESTORE") {
        read_until(&mut stream, "RESTORE");
    }
    stream
}

#[test]
fn a_key_goes_over() {
    let mut pair = Pair::start(&[]);
    pair.talk(
        "
        SET a 1                                             => OK
        MIGRATE 127.0.0.1 PORT none 0 1000                  => NOKEY
        MIGRATE 127.0.0.1 PORT a 0 1000                     => OK
        GET a                                               => (nil)
        MIGRATE 127.0.0.1 PORT a 0 1000                     => NOKEY
        SET a 2                                             => OK
        MIGRATE 127.0.0.1 PORT a 0 1000                     => (error) ERR Target instance replied with error: BUSYKEY Target key name already exists.
        GET a                                               => \"2\"
        MIGRATE 127.0.0.1 PORT a 16 1000                    => (error) ERR Target instance replied with error: ERR DB index is out of range
        @kvstash MIGRATE 127.0.0.1 PORT a -1 1000           => (error) ERR Target instance replied with error: ERR DB index is out of range
        MIGRATE 127.0.0.1 PORT a 9 1000 COPY                => OK
        MIGRATE 127.0.0.1 PORT a 9 1000 COPY                => (error) ERR Target instance replied with error: BUSYKEY Target key name already exists.
        MIGRATE 127.0.0.1 PORT a 9 1000 copy replace        => OK
        MIGRATE 127.0.0.1 PORT a 0 -5 REPLACE               => OK
        EXISTS a                                            => 0
        ",
    );
    pair.to.talk("GET a => \"2\"\nSELECT 9 => OK\nGET a => \"2\"\nDBSIZE => 1");
}

#[test]
fn what_is_refused_at_once() {
    let mut pair = Pair::start(&[]);
    pair.talk(
        "
        SET a 1                                             => OK
        MIGRATE 127.0.0.1 PORT a 0                          => (error) ERR wrong number of arguments for 'migrate' command
        MIGRATE 127.0.0.1 PORT a x 100                      => (error) ERR value is not an integer or out of range
        MIGRATE 127.0.0.1 PORT a 0 x                        => (error) ERR value is not an integer or out of range
        MIGRATE 127.0.0.1 PORT a 0 100 FOO                  => (error) ERR syntax error
        MIGRATE 127.0.0.1 PORT a 0 x AUTH                   => (error) ERR syntax error
        MIGRATE 127.0.0.1 PORT a 0 100 AUTH2 one            => (error) ERR syntax error
        MIGRATE 127.0.0.1 PORT a 0 100 KEYS a b             => (error) ERR When using MIGRATE KEYS option, the key argument must be set to the empty string
        MIGRATE 127.0.0.1 PORT a 0 100 FOO KEYS a b         => (error) ERR syntax error
        MIGRATE 127.0.0.1 PORT a 0 x KEYS a b               => (error) ERR When using MIGRATE KEYS option, the key argument must be set to the empty string
        MIGRATE 127.0.0.1 PORT \"\" 0 100 KEYS              => NOKEY
        MIGRATE 127.0.0.1 PORT \"\" 0 100 KEYS none nothing => NOKEY
        COMMAND GETKEYS MIGRATE h 1 k 0 1                   => [\"k\"]
        COMMAND GETKEYS MIGRATE h 1 \"\" 0 1 COPY KEYS a b  => [\"a\" \"b\"]
        COMMAND GETKEYS MIGRATE h 1 \"\" 0 1 FOO KEYS a b   => [\"a\" \"b\"]
        COMMAND GETKEYS MIGRATE h 1 \"\" 0 1 AUTH KEYS KEYS b KEYS => [\"b\" \"KEYS\"]
        COMMAND GETKEYS MIGRATE h 1 x 0 1 KEYS a b          => (error) ERR Invalid arguments specified for command
        COMMAND GETKEYS MIGRATE h 1 \"\" 0 1 KEYS           => [\"\"]
        ",
    );
    assert_eq!(pair.from.int("EXISTS a"), 1);
}

#[test]
fn values_arrive_as_they_were() {
    let mut pair = Pair::start(&[]);
    let kv = &mut pair.from;
    kv.talk("SET int 12345\nSET short abc\nRPUSH list a b 3\nSADD set a b\nSADD ints 1 2 3\nZADD zset 1 a 2.5 b");
    kv.talk(
        "HSET hash f v\n@redis>=7.4 HEXPIRE hash 1000 FIELDS 1 f => [1]\nXADD stream 1-1 a b\nXGROUP CREATE stream g 0",
    );
    kv.cmd(&["SET", "long", &"z".repeat(3_000_000)]);
    let many: Vec<String> = (0..20_000).map(|i| format!("member:{i}")).collect();
    for name in ["SADD bigset", "RPUSH biglist"] {
        let words = name.split(' ').map(str::to_owned).chain(many.iter().cloned());
        kv.cmd(&words.collect::<Vec<_>>());
    }
    kv.int("PEXPIRE short 500000");
    let names = "int short list set ints zset hash stream long bigset biglist";
    let digests = |kv: &mut Conn| kv.line(&format!("DEBUG DIGEST-VALUE {names}")).text();
    let before = digests(&mut pair.from);
    assert_eq!(pair.migrate(&format!("\"\" 0 10000 COPY KEYS {names}")), "OK");
    assert_eq!(digests(&mut pair.to), before);
    assert_eq!(pair.from.int("DBSIZE"), 11);
    let left_ms = pair.to.int("PTTL short");
    assert!((400_000..=500_000).contains(&left_ms), "{left_ms}");
    assert_eq!(pair.to.int("TTL int"), -1);
    assert_eq!(pair.migrate(&format!("\"\" 0 10000 REPLACE KEYS {names} none")), "OK");
    assert_eq!((pair.from.int("DBSIZE"), pair.to.int("DBSIZE")), (0, 11));
    assert_eq!(digests(&mut pair.to), before);
}

#[test]
fn only_what_the_other_one_has_is_deleted() {
    let mut pair = Pair::start(&[]);
    pair.from.ok("MSET a 1 b 2 c 3");
    pair.to.ok("SET b other");
    let error = "(error) ERR Target instance replied with error: BUSYKEY Target key name already exists.";
    assert_eq!(pair.migrate("\"\" 0 1000 KEYS a b none c"), error);
    pair.from.talk("EXISTS a => 0\nGET b => \"2\"\nEXISTS c => 0");
    pair.to.talk("GET a => \"1\"\nGET b => \"other\"\nGET c => \"3\"");
}

#[test]
fn passwords() {
    let mut pair = Pair::start(&["--requirepass", "secret"]);
    pair.from.ok("SET a 1");
    assert_eq!(pair.to.cmd(&["AUTH", "secret"]).text(), "OK");
    let refused = |why: &str| format!("(error) ERR Target instance replied with error: {why}");
    let wrong = refused("WRONGPASS invalid username-password pair or user is disabled.");
    assert_eq!(pair.migrate("a 0 1000"), refused("NOAUTH Authentication required."));
    assert_eq!(pair.migrate("a 0 1000 AUTH wrong"), wrong);
    assert_eq!(pair.migrate("a 0 1000 AUTH2 nobody secret"), wrong);
    assert_eq!((pair.from.int("EXISTS a"), pair.to.int("EXISTS a")), (1, 0));
    assert_eq!(pair.migrate("a 0 1000 COPY AUTH secret"), "OK");
    assert_eq!(pair.migrate("a 0 1000 REPLACE AUTH2 default secret"), "OK");
    assert_eq!((pair.from.int("EXISTS a"), pair.to.int("EXISTS a")), (0, 1));
    // One that was right is asked for again, over whatever connection.
    pair.from.ok("SET a 1");
    pair.to.ok("CONFIG SET requirepass another");
    assert_eq!(pair.migrate("a 0 1000 REPLACE AUTH secret"), wrong);
    assert_eq!(pair.migrate("a 0 1000 REPLACE AUTH another"), "OK");
}

#[test]
fn passwords_are_not_shown() {
    let mut pair = Pair::start(&[]);
    pair.talk(
        "
        CONFIG SET slowlog-log-slower-than 0                     => OK
        MIGRATE 127.0.0.1 PORT none 0 1000 AUTH2 me mypass COPY  => NOKEY
        ",
    );
    let seen = pair.from.line("SLOWLOG GET 1").text();
    assert!(seen.contains("AUTH2") && !seen.contains("mypass"), "{seen}");
}

#[test]
fn nobody_is_there() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.ok("SET a 1");
    let port = free_port();
    kv.talk(&format!(
        "
        MIGRATE 127.0.0.1 {port} a 0 1000             => (error) IOERR error or timeout writing to target instance
        MIGRATE 127.0.0.1 none a 0 1000               => (error) IOERR error or timeout writing to target instance
        MIGRATE no.such.name.invalid {port} a 0 20000 => (error) IOERR error or timeout connecting to the client
        GET a                                         => \"1\"
        "
    ));
}

#[test]
fn a_name_will_do() {
    let mut pair = Pair::start(&[]);
    pair.talk("SET a 1 => OK\nMIGRATE localhost PORT a 0 5000 => OK\nEXISTS a => 0");
    pair.to.talk("GET a => \"1\"");
}

#[test]
fn one_that_is_silent() {
    let server = Server::start(&[]);
    let (mut kv, mut other) = (server.connect(), server.connect());
    let (_listener, port) = stranger();
    kv.ok("MSET a 1 b 2");
    let began = Instant::now();
    kv.send(&["MIGRATE", "127.0.0.1", &port.to_string(), "a", "0", "500"]);
    other.ok("SET b 3");
    assert!(began.elapsed() < Duration::from_millis(400) || !is_kvstash(&other), "others are served meanwhile");
    assert_eq!(kv.read().text(), "(error) IOERR error or timeout reading to target instance");
    assert!(began.elapsed() >= Duration::from_millis(500));
    kv.talk("GET a => \"1\"");
}

fn is_kvstash(kv: &Conn) -> bool {
    kv.peer == crate::support::Peer::Kvstash
}

#[test]
fn one_that_hangs_up_is_tried_twice() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let (listener, port) = stranger();
    kv.ok("SET a 1");
    kv.send(&["MIGRATE", "127.0.0.1", &port.to_string(), "a", "0", "5000"]);
    for _ in 0..2 {
        let (mut stream, _) = listener.accept().unwrap();
        read_until(&mut stream, "SELECT");
    }
    assert_eq!(kv.read().text(), "(error) IOERR error or timeout reading to target instance");
    // Some of it was taken: what is known is done, and the rest stays.
    kv.ok("MSET a 1 b 2");
    kv.send(&["MIGRATE", "127.0.0.1", &port.to_string(), "", "0", "5000", "KEYS", "a", "b"]);
    let mut stream = accept_and_select(&listener);
    stream.write_all(b"+OK\r\n").unwrap();
    drop(stream);
    assert_eq!(kv.read().text(), "(error) IOERR error or timeout reading to target instance");
    kv.talk("EXISTS a => 0\nEXISTS b => 1");
    // That is no server.
    kv.send(&["MIGRATE", "127.0.0.1", &port.to_string(), "b", "0", "1000"]);
    let (mut stream, _) = listener.accept().unwrap();
    read_until(&mut stream, "SELECT");
    stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    let answer = kv.read().text();
    assert!(answer.starts_with("(error) IOERR") || !is_kvstash(&kv), "{answer}");
}

#[test]
fn who_names_a_key_on_its_way_waits() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    if !is_kvstash(&kv) {
        return; // it serves nobody meanwhile
    }
    let (listener, port) = stranger();
    kv.ok("MSET a 1 b 2 c 3");
    kv.send(&["MIGRATE", "127.0.0.1", &port.to_string(), "", "0", "10000", "KEYS", "a", "b"]);
    let mut stream = accept_and_select(&listener);
    let mut waiting: Vec<(Conn, &str)> = Vec::new();
    let requests = [
        ("GET a", "(nil)"),
        ("SET b new", "OK"),
        ("RENAME a d", "(error) ERR no such key"),
        ("SWAPDB 5 6", "OK"),
        ("EXISTS c b a", "2"),
        ("WATCH b", "OK"),
    ];
    for (line, answer) in requests {
        let mut conn = server.connect();
        conn.send(&line.split(' ').collect::<Vec<_>>());
        waiting.push((conn, answer));
    }
    let mut transaction = server.connect();
    transaction.talk("MULTI => OK\nGET a => QUEUED\nGET c => QUEUED");
    transaction.send(&["EXEC"]);
    waiting.push((transaction, "[(nil) \"3\"]"));
    waiting.iter_mut().for_each(|(conn, _)| assert!(conn.read_within(A_WHILE).is_none()));
    let mut other = server.connect();
    other.talk("GET c => \"3\"\nDBSIZE => 3\nKEYS none => []\nMULTI => OK\nGET c => QUEUED\nEXEC => [\"3\"]");
    assert_eq!(other.info("blocked_clients"), "8");
    stream.write_all(b"+OK\r\n-BUSYKEY it is here\r\n").unwrap();
    let told = kv.read_within(SOON).map(|reply| reply.text());
    assert_eq!(told.as_deref(), Some("(error) ERR Target instance replied with error: BUSYKEY it is here"));
    for (conn, answer) in &mut waiting {
        assert_eq!(conn.read_within(SOON).map(|reply| reply.text()).as_deref(), Some(*answer));
    }
    wait_for("nobody to be blocked", SOON, || other.info("blocked_clients") == "0");
    other.talk("GET b => \"new\"\nEXISTS a => 0\nSET a 5 => OK");
}

#[test]
fn a_copy_keeps_nobody_waiting() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    if !is_kvstash(&kv) {
        return;
    }
    let (listener, port) = stranger();
    kv.ok("SET a 1");
    kv.send(&["MIGRATE", "127.0.0.1", &port.to_string(), "a", "0", "10000", "COPY"]);
    let mut stream = accept_and_select(&listener);
    let mut other = server.connect();
    other.talk("SET a 2 => OK\nGET a => \"2\"");
    stream.write_all(b"+OK\r\n").unwrap();
    assert_eq!(kv.read().text(), "OK");
    kv.talk("GET a => \"2\"");
}

#[test]
fn a_client_that_goes_changes_nothing() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let (listener, port) = stranger();
    let mut kept = None;
    for is_killed in [false, is_kvstash(&kv)] {
        kv.ok("SET a 1");
        let mut gone = server.connect();
        let id = gone.int("CLIENT ID");
        gone.send(&["MIGRATE", "127.0.0.1", &port.to_string(), "a", "0", "10000"]);
        let mut stream = match kept.take() {
            None => accept_and_select(&listener),
            Some(mut stream) => {
                read_until(&mut stream, "RESTORE");
                stream
            }
        };
        if is_killed {
            kv.line(&format!("CLIENT KILL ID {id}"));
            assert_eq!(kv.info("connected_clients"), "1");
        }
        drop(gone);
        stream.write_all(b"+OK\r\n").unwrap();
        wait_for("the key to be deleted", SOON, || kv.int("EXISTS a") == 0);
        kept = Some(stream);
    }
    // One that only says no more is answered.
    kv.ok("SET a 1");
    let mut ending = server.connect();
    ending.send(&["MIGRATE", "127.0.0.1", &port.to_string(), "a", "0", "10000"]);
    ending.say_no_more();
    let mut stream = kept.expect("it was kept");
    read_until(&mut stream, "RESTORE");
    stream.write_all(b"+OK\r\n").unwrap();
    assert_eq!(ending.read_within(SOON).map(|reply| reply.text()).as_deref(), Some("OK"));
}

#[test]
fn nothing_is_deleted_during_a_pause() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    if !is_kvstash(&kv) {
        return;
    }
    let (listener, port) = stranger();
    kv.ok("SET a 1");
    let mut mover = server.connect();
    mover.send(&["MIGRATE", "127.0.0.1", &port.to_string(), "a", "0", "10000"]);
    let mut stream = accept_and_select(&listener);
    kv.ok("CLIENT PAUSE 60000 WRITE");
    stream.write_all(b"+OK\r\n").unwrap();
    assert!(mover.read_within(A_WHILE).is_none());
    assert_eq!(kv.int("DBSIZE"), 1);
    kv.ok("CLIENT UNPAUSE");
    assert_eq!(mover.read_within(SOON).map(|reply| reply.text()).as_deref(), Some("OK"));
    assert_eq!(kv.int("DBSIZE"), 0);
}

#[test]
fn unblock_does_not_concern_it() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    if !is_kvstash(&kv) {
        return;
    }
    let (listener, port) = stranger();
    kv.ok("SET a 1");
    let mut mover = server.connect();
    let id = mover.int("CLIENT ID");
    mover.send(&["MIGRATE", "127.0.0.1", &port.to_string(), "a", "0", "10000"]);
    let mut stream = accept_and_select(&listener);
    assert_eq!(kv.int(&format!("CLIENT UNBLOCK {id}")), 0);
    stream.write_all(b"+OK\r\n").unwrap();
    assert_eq!(mover.read().text(), "OK");
}

#[test]
fn in_a_transaction() {
    let mut pair = Pair::start(&[]);
    let port = free_port();
    pair.talk(&format!(
        "
        MSET a 1 b 2                               => OK
        MULTI                                      => OK
        SET c 3                                    => QUEUED
        MIGRATE 127.0.0.1 PORT \"\" 3 1000 KEYS a c none => QUEUED
        MIGRATE 127.0.0.1 {port} b 0 1000          => QUEUED
        EXISTS a b c                               => QUEUED
        EXEC                                       => [OK OK (error) IOERR error or timeout writing to target instance 1]
        "
    ));
    pair.to.talk("SELECT 3 => OK\nGET a => \"1\"\nGET c => \"3\"");
    let (_listener, silent) = stranger();
    pair.talk(&format!(
        "
        MULTI                              => OK
        MIGRATE 127.0.0.1 {silent} b 0 100 => QUEUED
        EXEC                               => [(error) IOERR error or timeout reading to target instance]
        GET b                              => \"2\"
        "
    ));
}

#[test]
fn connections_are_kept() {
    let mut pair = Pair::start(&[]);
    assert_eq!(pair.from.info("migrate_cached_sockets"), "0");
    let mut connections = Vec::new();
    for round in 0..4 {
        pair.from.ok("SET a 1");
        if round == 3 {
            pair.to.line("CLIENT KILL TYPE normal");
        }
        assert_eq!(pair.migrate("a 2 5000 REPLACE"), "OK");
        assert_eq!(pair.from.info("migrate_cached_sockets"), "1");
        connections.push(pair.to.info("total_connections_received"));
    }
    assert!(connections[0] == connections[1] && connections[1] == connections[2], "{connections:?}");
    assert_ne!(connections[2], connections[3], "it was killed, and that is nobody's trouble");
    pair.to.talk("SELECT 2 => OK\nGET a => \"1\"");
    // Another database over the same connection.
    pair.from.ok("SET a 2");
    assert_eq!(pair.migrate("a 4 5000"), "OK");
    pair.to.talk("SELECT 4 => OK\nGET a => \"2\"");
    // One that the other end closes is not kept.
    pair.to.line("CLIENT KILL TYPE normal");
    wait_for("it to be noticed", SOON, || pair.from.info("migrate_cached_sockets") == "0" || !is_kvstash(&pair.from));
}

#[test]
fn many_at_once() {
    let mut pair = Pair::start(&[]);
    let mut movers: Vec<Conn> = (0..50).map(|_| pair.servers[0].connect()).collect();
    for (i, mover) in movers.iter_mut().enumerate() {
        mover.cmd(&["SET", &format!("k{i}"), &"x".repeat(i * 5000)]);
    }
    let port = pair.port().to_string();
    for (i, mover) in movers.iter_mut().enumerate() {
        mover.send(&["MIGRATE", "127.0.0.1", &port, &format!("k{i}"), "0", "20000"]);
        mover.send(&["PING"]);
    }
    for mover in &mut movers {
        assert_eq!((mover.read(), mover.read().text()), (Value::Simple("OK".into()), "PONG".to_owned()));
    }
    assert_eq!((pair.from.int("DBSIZE"), pair.to.int("DBSIZE")), (0, 50));
    for (i, length) in (0..50).map(|i| (i, i * 5000)) {
        assert_eq!(pair.to.int(&format!("STRLEN k{i}")), length);
    }
}
