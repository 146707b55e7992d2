//! Replication, from both ends: kvstash as the replica of any server, and as the primary of any; restarts, promotions,
//! chains, and a primary that lies.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{Conn, Server, Value, real_servers, under_test, wait_for};

/// Copies begin at once, and nothing is kept on the disk.
const FAST: &[&str] = &["--repl-diskless-sync-delay", "0", "--save", ""];

pub fn start(binary: &Path, more: &[&str]) -> Server {
    let allowed = ["--enable-debug-command", "yes"];
    Server::start_binary(binary, &[FAST, &allowed, more].concat())
}

pub fn kvstash(more: &[&str]) -> Server {
    start(&under_test(), more)
}

/// Every server that is here, kvstash first.
fn all_servers() -> Vec<PathBuf> {
    std::iter::once(under_test()).chain(real_servers()).collect()
}

fn follow(replica: &mut Conn, primary: &Server) {
    replica.ok(&format!("REPLICAOF 127.0.0.1 {}", primary.port));
    wait_for("the link", Duration::from_secs(30), || replica.info("master_link_status") == "up");
}

pub fn in_step(primary: &mut Conn, replica: &mut Conn) {
    wait_for("both to be in step", Duration::from_secs(20), || {
        primary.info("master_repl_offset") == replica.info("slave_repl_offset")
    });
    let digests = [primary, replica].map(|conn| conn.line("DEBUG DIGEST").string());
    assert_eq!(digests[0], digests[1]);
}

/// Some of every type.
pub fn fill(conn: &mut Conn) {
    conn.ok("DEBUG POPULATE 2000");
    for line in [
        "RPUSH list a b c 1 2 3",
        "SADD set a b c",
        "SADD ints 1 2 3",
        "HSET hash f v g w",
        "ZADD zset 1 a 2.5 b",
        "XADD stream 5-1 f v",
        "XGROUP CREATE stream group 0",
        "SET volatile v EX 1000",
        "SETRANGE long 70000 x",
        "PFADD hll a b c",
    ] {
        assert!(!conn.line(line).is_error(), "{line}");
    }
    let words: Vec<String> = (0..3000).flat_map(|i| [format!("field{i}"), format!("value{i}")]).collect();
    conn.cmd(&["HSET", "large"].into_iter().chain(words.iter().map(String::as_str)).collect::<Vec<_>>());
}

/// Writes on, of every kind, in several databases and in transactions.
pub fn write_on(conn: &mut Conn) {
    conn.ok("SELECT 3");
    conn.ok("SET elsewhere 1");
    conn.pipeline(&["MULTI", "SET a 1", "INCR a", "SELECT 1", "LPUSH l x y", "EXEC"]);
    for line in ["SELECT 0", "DEL set", "SPOP ints", "EXPIRE list 500", "ZINCRBY zset 0.5 a", "INCRBYFLOAT x 1.5"] {
        assert!(!conn.line(line).is_error(), "{line}");
    }
}

#[test]
fn it_follows_any_server_in_every_way() {
    for binary in all_servers() {
        let primary = start(&binary, &[]);
        let mut up = primary.connect();
        fill(&mut up);
        for how in ["disabled", "on-empty-db", "swapdb", "flush-before-load"] {
            let replica = kvstash(&["--repl-diskless-load", how]);
            let mut down = replica.connect();
            if how != "on-empty-db" {
                down.ok("SET mine 1");
            }
            follow(&mut down, &primary);
            write_on(&mut up);
            in_step(&mut up, &mut down);
            assert_eq!(down.info("role"), "slave");
            assert_eq!(down.line("ROLE").items()[0].string(), "slave");
            down.expect("SET k v", "(error) READONLY You can't write against a read only replica.");
            down.expect("GET mine", "(nil)");
        }
    }
}

#[test]
fn any_server_follows_it() {
    for diskless in ["yes", "no"] {
        // What the oldest of them can read.
        let primary = kvstash(&["--repl-diskless-sync", diskless, "--rdb-version", "10"]);
        let mut up = primary.connect();
        fill(&mut up);
        let replicas: Vec<Server> = all_servers().iter().map(|binary| start(binary, &[])).collect();
        for replica in &replicas {
            replica.connect().ok(&format!("REPLICAOF 127.0.0.1 {}", primary.port));
        }
        for replica in &replicas {
            let mut down = replica.connect();
            wait_for("the link", Duration::from_secs(30), || down.info("master_link_status") == "up");
        }
        write_on(&mut up);
        for replica in &replicas {
            in_step(&mut up, &mut replica.connect());
        }
        assert_eq!(up.int(&format!("WAIT {} 5000", replicas.len())), replicas.len() as i64);
        assert_eq!(up.info("connected_clients"), "1", "replicas are not counted among them");
    }
}

#[test]
fn a_line_that_breaks_is_taken_up_where_it_was() {
    let (primary, replica) = (kvstash(&[]), kvstash(&[]));
    let (mut up, mut down) = (primary.connect(), replica.connect());
    follow(&mut down, &primary);
    assert_eq!(down.int("CLIENT KILL TYPE master"), 1);
    write_on(&mut up);
    wait_for("the link", Duration::from_secs(10), || down.info("master_link_status") == "up");
    in_step(&mut up, &mut down);
    assert_eq!((up.info("sync_full"), up.info("sync_partial_ok")), ("1".to_owned(), "1".to_owned()));
    // And from the other end.
    assert_eq!(up.int("CLIENT KILL TYPE replica"), 1);
    write_on(&mut up);
    wait_for("another resync", Duration::from_secs(10), || up.info("sync_partial_ok") == "2");
    in_step(&mut up, &mut down);
}

#[test]
fn a_promoted_replica_is_followed_by_the_old_primary_and_its_replicas() {
    let servers = [kvstash(&[]), kvstash(&[]), kvstash(&[])];
    let [mut a, mut b, mut c] = servers.each_ref().map(Server::connect);
    follow(&mut b, &servers[0]);
    follow(&mut c, &servers[0]);
    write_on(&mut a);
    in_step(&mut a, &mut b);
    in_step(&mut a, &mut c);
    let old = a.info("master_replid");
    b.ok("REPLICAOF NO ONE");
    assert_eq!((b.info("role"), b.info("master_replid2")), ("master".to_owned(), old));
    b.ok("SET new 1");
    follow(&mut a, &servers[1]);
    follow(&mut c, &servers[1]);
    in_step(&mut b, &mut a);
    in_step(&mut b, &mut c);
    assert_eq!((b.info("sync_full"), b.info("sync_partial_ok")), ("0".to_owned(), "2".to_owned()));
    assert_eq!(c.line("GET new").string(), "1");
}

#[test]
fn chains_pass_on_what_came() {
    let servers = [kvstash(&[]), kvstash(&[]), kvstash(&[])];
    let [mut a, mut b, mut c] = servers.each_ref().map(Server::connect);
    fill(&mut a);
    follow(&mut b, &servers[0]);
    follow(&mut c, &servers[1]);
    write_on(&mut a);
    in_step(&mut a, &mut b);
    in_step(&mut b, &mut c);
    assert_eq!(a.info("master_replid"), c.info("master_replid"));
    assert_eq!(a.info("master_repl_offset"), c.info("master_repl_offset"));
}

#[test]
fn a_restart_of_either_end_needs_no_copy() {
    let saves = ["--save", "3600 1000"];
    let (mut primary, mut replica) = (kvstash(&saves), kvstash(&saves));
    let mut up = primary.connect();
    follow(&mut replica.connect(), &primary);
    write_on(&mut up);
    up.ok("SET soon gone PX 300");
    in_step(&mut up, &mut replica.connect());
    replica.connect().send(&["SHUTDOWN", "SAVE"]);
    replica.wait_exit(Duration::from_secs(10));
    write_on(&mut up);
    replica.start_again();
    follow(&mut replica.connect(), &primary);
    in_step(&mut up, &mut replica.connect());
    // It was told again by hand, so what it had is offered as a primary's own.
    up.send(&["SHUTDOWN", "SAVE"]);
    let port = primary.port;
    primary.wait_exit(Duration::from_secs(10));
    std::thread::sleep(Duration::from_millis(400));
    primary.start_again();
    let (mut up, mut down) = (primary.connect(), replica.connect());
    if primary.port != port {
        down.ok(&format!("REPLICAOF 127.0.0.1 {}", primary.port));
    }
    wait_for("the link", Duration::from_secs(10), || down.info("master_link_status") == "up");
    in_step(&mut up, &mut down);
    assert_eq!((up.info("sync_full"), up.info("sync_partial_ok")), ("0".to_owned(), "1".to_owned()));
    down.expect("GET soon", "(nil)");
    assert_eq!(down.int("DBSIZE"), up.int("DBSIZE"), "it was told of what expired meanwhile");
}

#[test]
fn without_its_primary_it_serves_what_may_be_old_or_refuses() {
    let (mut primary, replica) = (kvstash(&[]), kvstash(&[]));
    let mut down = replica.connect();
    follow(&mut down, &primary);
    primary.connect().ok("SET k v");
    wait_for("the write", Duration::from_secs(5), || down.line("GET k").text() == "\"v\"");
    primary.kill_9();
    wait_for("the end of the link", Duration::from_secs(5), || down.info("master_link_status") == "down");
    down.expect("GET k", "\"v\"");
    down.ok("CONFIG SET replica-serve-stale-data no");
    down.expect("GET k", "(error) MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.");
    let mut queued = down.another();
    down.ok("CONFIG SET replica-serve-stale-data yes");
    queued.pipeline(&["MULTI", "GET k"]);
    down.ok("CONFIG SET replica-serve-stale-data no");
    assert!(queued.line("EXEC").text().contains("EXECABORT Transaction discarded because of: MASTERDOWN"));
    down.expect("SLAVEOF NO ONE", "OK");
    down.expect("GET k", "\"v\"");
    down.ok("SET k w");
}

#[test]
fn a_replica_that_takes_writes_expires_its_own() {
    let (primary, replica) = (kvstash(&[]), kvstash(&["--replica-read-only", "no"]));
    let (mut up, mut down) = (primary.connect(), replica.connect());
    follow(&mut down, &primary);
    up.ok("DEBUG SET-ACTIVE-EXPIRE 0");
    up.ok("SET theirs v PX 50");
    down.ok("SET mine v PX 50");
    down.ok("SET lasting v EX 100");
    wait_for("its own key to go", Duration::from_secs(5), || down.int("DBSIZE") == 2);
    down.expect("GET theirs", "(nil)");
    down.expect("EXISTS lasting", "1");
}

#[test]
fn too_few_replicas() {
    let (primary, replica) = (kvstash(&["--min-replicas-to-write", "1"]), kvstash(&[]));
    let mut up = primary.connect();
    up.expect("SET k v", "(error) NOREPLICAS Not enough good replicas to write.");
    follow(&mut replica.connect(), &primary);
    wait_for("a good replica", Duration::from_secs(5), || up.info("min_slaves_good_slaves") == "1");
    up.ok("SET k v");
    drop(replica);
    wait_for("that it is missed", Duration::from_secs(5), || up.line("SET k v").is_error());
}

#[test]
fn the_same_primary_again_and_ports_that_are_none() {
    let (primary, replica) = (kvstash(&[]), kvstash(&[]));
    let mut down = replica.connect();
    follow(&mut down, &primary);
    down.expect(&format!("REPLICAOF 127.0.0.1 {}", primary.port), "OK Already connected to specified master");
    down.expect("REPLICAOF 127.0.0.1 65536", "(error) ERR Invalid master port");
    down.expect("REPLICAOF 127.0.0.1 x", "(error) ERR Invalid master port");
    // Who waits for a write waits in vain.
    let mut waits = primary.connect();
    waits.send(&["BLPOP", "l", "0"]);
    let mut up = primary.connect();
    wait_for("the client to wait", Duration::from_secs(5), || up.info("blocked_clients") == "1");
    up.ok("REPLICAOF 127.0.0.1 1");
    assert!(waits.read().text().contains("UNBLOCKED force unblock"));
    assert!(waits.is_closed());
}

#[test]
fn a_primary_hands_over_and_loses_nothing() {
    for binary in all_servers() {
        let (primary, replica) = (kvstash(&["--rdb-version", "10"]), start(&binary, &[]));
        let (mut up, mut down) = (primary.connect(), replica.connect());
        up.expect("FAILOVER", "(error) ERR FAILOVER requires connected replicas.");
        up.expect("FAILOVER ABORT", "(error) ERR No failover in progress.");
        up.expect("FAILOVER TIMEOUT 0", "(error) ERR FAILOVER timeout must be greater than 0");
        follow(&mut down, &primary);
        up.ok("SET before 1");
        in_step(&mut up, &mut down);
        up.expect("FAILOVER TO 127.0.0.1 1", "(error) ERR FAILOVER target HOST and PORT is not a replica.");
        up.ok(&format!("FAILOVER TO 127.0.0.1 {} TIMEOUT 10000", replica.port));
        wait_for("the change of parts", Duration::from_secs(10), || down.info("role") == "master");
        wait_for("the link", Duration::from_secs(10), || up.info("master_link_status") == "up");
        assert_eq!((up.info("role"), up.info("master_failover_state")), ("slave".to_owned(), "no-failover".to_owned()));
        up.expect("SET after 1", "(error) READONLY You can't write against a read only replica.");
        down.ok("SET after 1");
        in_step(&mut down, &mut up);
        assert_eq!(down.info("sync_full"), "0");
        // And back.
        wait_for("its word", Duration::from_secs(5), || down.info("slave0").contains("state=online"));
        down.ok("FAILOVER TIMEOUT 10000");
        wait_for("the change of parts", Duration::from_secs(10), || up.info("role") == "master");
        wait_for("the link", Duration::from_secs(10), || down.info("master_link_status") == "up");
        up.ok("SET again 1");
        in_step(&mut up, &mut down);
    }
}

#[test]
fn a_failover_that_nobody_follows_is_given_up() {
    let (primary, replica) = (kvstash(&[]), kvstash(&[]));
    let (mut up, mut down) = (primary.connect(), replica.connect());
    follow(&mut down, &primary);
    // It says nothing more.
    std::process::Command::new("kill").args(["-STOP", &replica.pid().to_string()]).status().unwrap();
    up.ok("SET k v");
    up.ok("FAILOVER TIMEOUT 300");
    assert_eq!(up.info("master_failover_state"), "waiting-for-sync");
    up.expect("FAILOVER", "(error) ERR FAILOVER already in progress.");
    let mut writer = primary.connect();
    writer.send(&["SET", "k", "w"]);
    assert!(writer.read_within(Duration::from_millis(100)).is_none(), "writes wait");
    assert_eq!(writer.read().text(), "OK");
    assert_eq!((up.info("role"), up.info("master_failover_state")), ("master".to_owned(), "no-failover".to_owned()));
    up.ok("FAILOVER");
    up.ok("FAILOVER ABORT");
    up.ok("SET k x");
    std::process::Command::new("kill").args(["-CONT", &replica.pid().to_string()]).status().unwrap();
    in_step(&mut up, &mut down);
}

#[test]
fn what_is_on_a_replicas_disk_is_of_the_primary_that_it_follows() {
    let (first, second) = (kvstash(&[]), kvstash(&[]));
    let replica = kvstash(&["--appendonly", "yes", "--appendfsync", "no"]);
    let (mut one, mut two, mut down) = (first.connect(), second.connect(), replica.connect());
    follow(&mut down, &first);
    one.cmd(&["SET", "long", &"x".repeat(5000)]);
    in_step(&mut one, &mut down);
    // The base of the log has all that came with the copy.
    two.ok("SET k 1");
    follow(&mut down, &second);
    wait_for("the new base", Duration::from_secs(10), || down.info("aof_rewrite_in_progress") == "0");
    two.ok("SET k 2");
    in_step(&mut two, &mut down);
    two.expect("WAITAOF 0 1 1500", "[0 0]"); // what came since is not synced, though less than there was before
    down.ok("CONFIG SET appendfsync always");
    two.ok("SET k 3");
    two.expect("WAITAOF 0 1 10000", "[0 1]");
    // What is in no file, but in the stream, keeps nobody waiting.
    two.expect("PUBLISH channel message", "0");
    two.expect("WAITAOF 0 1 10000", "[0 1]");
    // A copy is as good as the writes that are in it.
    down.ok("CONFIG SET appendfsync no");
    one.cmd(&["SET", "long", &"y".repeat(50_000)]);
    follow(&mut down, &first);
    one.expect("WAITAOF 0 1 10000", "[0 1]");
}

#[test]
fn a_shutdown_waits_for_replicas() {
    let (mut primary, replica) = (kvstash(&[]), kvstash(&[]));
    let (mut up, mut down) = (primary.connect(), replica.connect());
    follow(&mut down, &primary);
    let pid = replica.pid().to_string();
    std::process::Command::new("kill").args(["-STOP", &pid]).status().unwrap();
    up.ok("SET k v");
    let mut asks = primary.connect();
    asks.send(&["SHUTDOWN"]);
    wait_for("the shutdown", Duration::from_secs(5), || up.line("INFO server").string().contains("shutdown_in_milli"));
    assert_eq!(up.info("blocked_clients"), "1");
    let mut writer = primary.connect();
    writer.send(&["SET", "k", "w"]);
    assert!(writer.read_within(Duration::from_millis(100)).is_none(), "writes wait");
    assert_eq!(up.info("blocked_clients"), "2");
    up.ok("SHUTDOWN ABORT");
    assert_eq!(up.info("blocked_clients"), "0");
    assert_eq!(asks.read().text(), "(error) ERR Errors trying to SHUTDOWN. Check logs.");
    assert_eq!(writer.read().text(), "OK");
    asks.send(&["SHUTDOWN"]);
    wait_for("the shutdown", Duration::from_secs(5), || up.line("INFO server").string().contains("shutdown_in_milli"));
    std::process::Command::new("kill").args(["-CONT", &pid]).status().unwrap();
    primary.wait_exit(Duration::from_secs(10));
    assert_eq!(down.line("GET k").string(), "w");
    assert!(primary.log().contains("1 of 1 replicas are in sync when shutting down."));
}

/// As Redis shows it: a copy is a save in progress, and who waits for its end waits for a save.
#[test]
fn a_copy_that_is_being_made_is_shown() {
    for (how, target) in [("yes", "RDB transfer"), ("no", "saving")] {
        let primary = kvstash(&["--repl-diskless-sync", how, "--rdb-key-save-delay", "20000000"]);
        let replica = kvstash(&[]);
        let (mut up, mut down) = (primary.connect(), replica.connect());
        up.ok("DEBUG POPULATE 10");
        assert_eq!((up.info("rdb_bgsave_in_progress"), up.info("total_forks")), ("0".to_owned(), "0".to_owned()));
        down.ok(&format!("REPLICAOF 127.0.0.1 {}", primary.port));
        wait_for("the copy", Duration::from_secs(5), || up.info("rdb_bgsave_in_progress") == "1");
        assert_eq!((up.info("current_save_keys_total"), up.info("total_forks")), ("10".to_owned(), "1".to_owned()));
        assert!(up.info("slave0").contains("state=wait_bgsave,"), "{}", up.info("slave0"));
        let started = format!("Background {target} started by pid {}", primary.pid());
        assert!(primary.log().contains(&started), "{}", primary.log());
        down.ok("REPLICAOF NO ONE");
        wait_for("its end", Duration::from_secs(5), || up.info("rdb_bgsave_in_progress") == "0");
    }
}

#[test]
fn the_link_comes_from_the_address_that_is_wanted() {
    let primary = kvstash(&["--protected-mode", "no"]);
    let replica = kvstash(&["--bind-source-addr", "127.0.0.2"]);
    let (mut up, mut down) = (primary.connect(), replica.connect());
    follow(&mut down, &primary);
    assert!(up.info("slave0").contains("ip=127.0.0.2,"), "{}", up.info("slave0"));
    // One that is none, or not ours, is no obstacle.
    for other in ["192.0.2.1", "nonsense", ""] {
        down.cmd(&["CONFIG", "SET", "bind-source-addr", other]);
        up.expect("CLIENT KILL TYPE replica", "1");
        wait_for("the link", Duration::from_secs(5), || {
            up.line("INFO replication").string().contains("slave0:ip=127.0.0.1,")
        });
    }
}

#[test]
fn a_pause_holds_the_primary_back_too() {
    let (primary, replica) = (kvstash(&[]), kvstash(&[]));
    let (mut up, mut down) = (primary.connect(), replica.connect());
    follow(&mut down, &primary);
    down.ok("CLIENT PAUSE 400 WRITE");
    up.ok("SET k v");
    std::thread::sleep(Duration::from_millis(100));
    down.expect("EXISTS k", "0");
    wait_for("the end of the pause", Duration::from_secs(5), || down.int("EXISTS k") == 1);
}

/// A primary that says what a test wants.
struct Liar(TcpListener);

impl Liar {
    fn new() -> Liar {
        Liar(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    /// Takes the replica's next call, and answers its handshake up to PSYNC.
    fn accept(&self) -> TcpStream {
        let (mut stream, _) = self.0.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut heard = Vec::new();
        let mut answered = 0;
        while !heard.windows(5).any(|word| word == b"PSYNC") {
            let mut buffer = [0; 1024];
            let n = stream.read(&mut buffer).unwrap();
            assert!(n > 0, "it hung up: {}", String::from_utf8_lossy(&heard));
            heard.extend_from_slice(&buffer[..n]);
            let asked = heard.iter().filter(|&&byte| byte == b'*').count();
            while answered < asked {
                let answer: &[u8] = if answered == 0 { b"+PONG\r\n" } else { b"+OK\r\n" };
                if !heard.windows(5).any(|word| word == b"PSYNC") {
                    stream.write_all(answer).unwrap();
                }
                answered += 1;
            }
        }
        stream
    }
}

const ID: &str = "0123456789abcdef0123456789abcdef01234567";

#[test]
fn a_primary_that_lies_costs_nothing_but_the_link() {
    let liar = Liar::new();
    let port = liar.0.local_addr().unwrap().port();
    for load in ["disabled", "swapdb"] {
        let replica = kvstash(&["--repl-diskless-load", load, "--repl-timeout", "2"]);
        let mut down = replica.connect();
        down.ok("SET k v");
        down.ok(&format!("REPLICAOF 127.0.0.1 {port}"));
        for lie in [
            "+FULLRESYNC\r\n".to_owned(),
            format!("+FULLRESYNC {ID} -5\r\n"),
            format!("+FULLRESYNC {ID} 5\r\n$18446744073709551615\r\nREDIS0011"),
            format!("+FULLRESYNC {ID} 5\r\n$9\r\nNOTREDIS!"),
            format!("+FULLRESYNC {ID} 5\r\n$40\r\nREDIS0011\u{0}\u{1}k\u{5}short"),
            format!("+FULLRESYNC {ID} 5\r\n$EOF:short\r\n"),
            format!("+FULLRESYNC {ID} 5\r\n${}\r\n", "9".repeat(2000)),
            "x".repeat(100_000),
        ] {
            let mut stream = liar.accept();
            let _ = stream.write_all(lie.as_bytes()); // it may hang up in the middle
            if lie.contains("short") && lie.contains("$40") {
                drop(stream); // what was announced never comes
            } else {
                std::thread::sleep(Duration::from_millis(20));
            }
            // While a copy comes that is of another history nothing is served; then all that was there is.
            wait_for("the data", Duration::from_secs(5), || down.line("GET k").text() == "\"v\"");
        }
        assert_eq!(down.info("role"), "slave");
        // In the words that people search for.
        if load == "swapdb" {
            let log = replica.log();
            assert!(log.contains("Internal error in RDB reading offset 18, record type -> Unexpected EOF"), "{log}");
        }
    }
}

#[test]
fn what_is_here_is_good_until_a_copy_takes_its_place() {
    for load in ["disabled", "swapdb"] {
        let (primary, liar) = (kvstash(&[]), Liar::new());
        let replica = kvstash(&["--repl-diskless-load", load]);
        let (mut up, mut down) = (primary.connect(), replica.connect());
        up.ok("SELECT 3");
        up.ok("SET k v");
        follow(&mut down, &primary);
        up.ok("SET k w");
        down.ok(&format!("REPLICAOF 127.0.0.1 {}", liar.0.local_addr().unwrap().port()));
        let mut stream = liar.accept();
        stream.write_all(format!("+FULLRESYNC {ID} 5\r\n$1000\r\nREDIS0011").as_bytes()).unwrap();
        wait_for("the copy", Duration::from_secs(5), || down.info("master_sync_in_progress") == "1");
        drop(stream);
        wait_for("its end", Duration::from_secs(5), || down.info("loading") == "0");
        follow(&mut down, &primary);
        up.ok("SET l x");
        in_step(&mut up, &mut down);
        assert_eq!((up.info("sync_full"), up.info("sync_partial_ok")), ("1".to_owned(), "1".to_owned()), "{load}");
    }
}

#[test]
fn a_transaction_of_which_the_end_never_comes_leaves_nothing() {
    let liar = Liar::new();
    let replica = kvstash(&[]);
    let mut down = replica.connect();
    down.ok(&format!("REPLICAOF 127.0.0.1 {}", liar.0.local_addr().unwrap().port()));
    let mut stream = liar.accept();
    // A data set without keys, and no checksum.
    let empty = [b"REDIS0011\xff".as_slice(), &[0; 8]].concat();
    stream.write_all(format!("+FULLRESYNC {ID} 100\r\n${}\r\n", empty.len()).as_bytes()).unwrap();
    stream.write_all(&empty).unwrap();
    stream
        .write_all(
            b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\n1\r\n",
        )
        .unwrap();
    wait_for("the first write", Duration::from_secs(10), || down.line("GET a").text() == "\"1\"");
    down.expect("GET b", "(nil)");
    assert_eq!(down.info("slave_repl_offset"), "127", "what is not whole does not count");
    drop(stream);
    // It comes again, from where it was whole.
    let (mut stream, _) = liar.0.accept().unwrap();
    stream.write_all(b"+PONG\r\n+OK\r\n+OK\r\n").unwrap();
    let mut heard = String::new();
    while !heard.contains("PSYNC") || !heard.ends_with("\r\n") {
        let mut buffer = [0; 1024];
        let n = stream.read(&mut buffer).unwrap();
        heard.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    assert!(heard.contains(ID) && heard.ends_with("$3\r\n128\r\n"), "{heard}");
    stream
        .write_all(b"+CONTINUE\r\n*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\n1\r\n*1\r\n$4\r\nEXEC\r\n")
        .unwrap();
    wait_for("the transaction", Duration::from_secs(10), || down.line("GET b").text() == "\"1\"");
    assert!(matches!(down.line("GET a"), Value::Bulk(_)));
}

/// What a primary sends is run past the gates: so it must be what primaries send.
#[test]
fn a_primary_is_no_operator() {
    let liar = Liar::new();
    let replica = kvstash(&[]);
    let mut down = replica.connect();
    down.ok(&format!("REPLICAOF 127.0.0.1 {}", liar.0.local_addr().unwrap().port()));
    let mut stream = liar.accept();
    let empty = [b"REDIS0011\xff".as_slice(), &[0; 8]].concat();
    stream.write_all(format!("+FULLRESYNC {ID} 100\r\n${}\r\n", empty.len()).as_bytes()).unwrap();
    stream.write_all(&empty).unwrap();
    let orders = [
        "REPLICAOF NO ONE",
        "SHUTDOWN NOSAVE",
        "CONFIG SET requirepass x",
        "DEBUG SEGFAULT",
        "MONITOR",
        "SUBSCRIBE c",
        "CLIENT KILL TYPE normal",
        "SYNC",
        "QUIT",
        "WAIT 1 0",
        "BLPOP nothing 0",
        "NOSUCHCOMMAND",
    ];
    let mut all: Vec<&str> = vec!["SET a 1"];
    all.extend(orders);
    all.extend(["PING", "SELECT 0", "SET b 1"]);
    for order in all {
        let words: Vec<&str> = order.split(' ').collect();
        stream.write_all(&crate::support::encode(&words)).unwrap();
    }
    // Until the copy is loaded it says so.
    wait_for("the last write", Duration::from_secs(10), || down.line("EXISTS a b").text() == "2");
    assert_eq!((down.info("role"), down.info("master_link_status")), ("slave".to_owned(), "up".to_owned()));
    // BLPOP writes, if there is something to be taken: it is run, and does not wait.
    assert_eq!(down.info("unexpected_error_replies"), (orders.len() - 1).to_string());
    assert_eq!(down.line("CONFIG GET requirepass").items()[1].string(), "");
}

#[test]
fn one_slow_replica_holds_nobody() {
    let primary = kvstash(&["--client-output-buffer-limit", "replica", "0", "0", "0"]);
    let mut up = primary.connect();
    up.ok("DEBUG POPULATE 200000 key 200");
    // It asks, and reads nothing.
    let mut slow = TcpStream::connect(("127.0.0.1", primary.port)).unwrap();
    slow.write_all(b"REPLCONF capa eof capa psync2\r\n").unwrap();
    slow.read_exact(&mut [0; 5]).unwrap();
    slow.write_all(b"PSYNC ? -1\r\n").unwrap();
    let replica = kvstash(&["--repl-diskless-load", "swapdb"]);
    let mut down = replica.connect();
    follow(&mut down, &primary);
    write_on(&mut up);
    in_step(&mut up, &mut down);
    let state = up.info("slave0");
    assert!(state.contains("state=send_bulk"), "{state}");
    drop(slow);
    wait_for("it to be forgotten", Duration::from_secs(5), || up.info("connected_slaves") == "1");
}
