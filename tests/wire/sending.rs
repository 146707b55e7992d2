//! What a primary sends: streams of replicas that are slow, copies on connections of their own, and nothing that a replica
//! was not to be told.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::replicas::{fill, in_step, kvstash, start, write_on};
use crate::support::{Conn, Server, real_servers, wait_for};

/// A replica of which we take what we like, when we like.
pub struct Puppet {
    stream: TcpStream,
    got: Vec<u8>,
}

impl Puppet {
    /// Asks for a copy, and takes it.
    pub fn attach(primary: &Server) -> Puppet {
        let mut stream = TcpStream::connect(("127.0.0.1", primary.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(b"REPLCONF capa eof capa psync2\r\n").unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
        stream.write_all(b"PSYNC ? -1\r\n").unwrap();
        let mut puppet = Puppet { stream, got: Vec::new() };
        puppet.until(|got| got.windows(5).any(|five| five == b"$EOF:"));
        let at = puppet.got.windows(5).position(|five| five == b"$EOF:").unwrap() + 5;
        puppet.until(|got| got.len() >= at + 42);
        let mark = puppet.got[at..at + 40].to_vec();
        puppet.until(|got| got.len() > at + 82 && got.ends_with(&mark));
        puppet.got.clear();
        puppet.stream.write_all(b"REPLCONF ACK 0\r\n").unwrap();
        puppet
    }

    /// Says that it has all before an offset, and on its disk.
    pub fn acknowledge(&mut self, offset: &str, synced: Option<&str>) {
        let synced = synced.map_or(String::new(), |synced| format!(" FACK {synced}"));
        self.stream.write_all(format!("REPLCONF ACK {offset}{synced}\r\n").as_bytes()).unwrap();
    }

    /// What it was sent and has not looked at.
    pub fn take(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.got)).into_owned()
    }

    pub fn until(&mut self, is_enough: impl Fn(&[u8]) -> bool) {
        let mut buffer = vec![0; 1 << 18];
        while !is_enough(&self.got) {
            let n = self.stream.read(&mut buffer).expect("more");
            assert_ne!(n, 0, "closed after {} bytes", self.got.len());
            self.got.extend_from_slice(&buffer[..n]);
        }
    }
}

#[test]
fn a_slow_replica_catches_up_from_the_disk_and_memory_stays_small() {
    let limit = ["--client-output-buffer-limit", "replica", "8mb", "0", "0"];
    let primary = kvstash(&[&limit[..], &["--repl-backlog-spill-size", "100mb", "--loglevel", "verbose"]].concat());
    let mut up = primary.connect();
    let mut slow = Puppet::attach(&primary);
    wait_for("it to be there", Duration::from_secs(5), || up.info("slave0").contains("state=online"));
    let value = "v".repeat(100_000);
    for i in 0..600 {
        up.ok(&format!("SET key{} {value}", i % 10));
        assert!(up.info("mem_clients_slaves").parse::<u64>().unwrap() < 8 << 20);
    }
    let spilled: u64 = up.info("repl_backlog_spilled_bytes").parse().unwrap();
    assert!(spilled > 30 << 20, "{spilled}");
    up.ok("SET the end");
    slow.until(|got| got.ends_with(b"$3\r\nend\r\n"));
    let sets = slow.got.windows(6).filter(|six| *six == b"\r\nSET\r").count();
    assert_eq!(sets, 601, "each of them, once");
    wait_for("the disk to be free", Duration::from_secs(5), || {
        // Bytes that were sent are given up when others are.
        up.ok("SET more 1");
        up.info("repl_backlog_spilled_bytes") == "0"
    });
    // Another one, for which there is no room.
    up.ok("CONFIG SET repl-backlog-spill-size 4mb");
    for i in 0..300 {
        up.ok(&format!("SET key{} {value}", i % 10));
    }
    wait_for("it to be closed", Duration::from_secs(5), || up.info("connected_slaves") == "0");
    wait_for("the disk to be free", Duration::from_secs(5), || up.info("repl_backlog_spilled_bytes") == "0");
    assert_eq!(up.info("client_output_buffer_limit_disconnections"), "1");
}

#[test]
fn the_output_limit_of_replicas_is_never_below_the_backlog() {
    let limit = ["--client-output-buffer-limit", "replica", "1mb", "0", "0", "--repl-backlog-size", "8mb"];
    let primary = kvstash(&limit);
    let mut up = primary.connect();
    let mut slow = Puppet::attach(&primary);
    let value = "v".repeat(100_000);
    let write = |up: &mut Conn, n: usize| (0..n).for_each(|_| up.ok(&format!("SET key {value}")));
    write(&mut up, 70);
    slow.until(|got| got.len() > 7_000_000);
    write(&mut up, 70);
    assert_eq!(up.info("connected_slaves"), "1");
    write(&mut up, 100);
    wait_for("it to be closed", Duration::from_secs(5), || up.info("connected_slaves") == "0");
}

/// Two connections of a replica that takes the copy on one and the stream on the other.
struct TwoChannels {
    main: Conn,
    copy: Conn,
}

/// The main connection of one that does it as Redis 8 does, told to have the copy sent on another.
fn main_channel(kv: &Conn) -> (Conn, String) {
    let mut main = kv.another_plain();
    main.ok("REPLCONF capa eof capa psync2 capa rdb-channel-repl");
    main.send(&["PSYNC", "?", "-1"]);
    let answer = main.read().string();
    let id = answer.strip_prefix("RDBCHANNELSYNC ").expect("the id of the client").to_owned();
    (main, id)
}

impl TwoChannels {
    /// As Redis 8 does it. The copy is asked for, and not there yet.
    fn redis(kv: &Conn) -> TwoChannels {
        let (main, id) = main_channel(kv);
        let mut copy = kv.another_plain();
        copy.ok(&format!("REPLCONF capa eof rdb-only 1 rdb-channel 1 main-ch-client-id {id} listening-port 7"));
        copy.send(&["PSYNC", "?", "-1"]);
        TwoChannels { main, copy }
    }

    /// As Valkey does it.
    fn valkey(kv: &Conn) -> TwoChannels {
        let (mut main, mut copy) = (kv.another_plain(), kv.another_plain());
        main.ok("REPLCONF capa eof capa psync2 capa dual-channel version 9.1.2");
        main.send(&["PSYNC", "?", "-1"]);
        assert_eq!(main.read().string(), "DUALCHANNELSYNC");
        copy.ok("REPLCONF capa eof rdb-only 1 rdb-channel 1 listening-port 7 version 9.1.2");
        copy.raw(b"SYNC\r\n");
        TwoChannels { main, copy }
    }
}

/// So slow that a copy of a few keys takes its time.
const SLOW_COPY: &[&str] = &["--rdb-key-save-delay", "30000"];

#[test]
fn a_copy_on_a_connection_of_its_own_in_redis_way() {
    let primary = kvstash(SLOW_COPY);
    let mut up = primary.connect();
    up.ok("DEBUG POPULATE 100");
    let mut replica = TwoChannels::redis(&up);
    let answer = replica.copy.read().string();
    let offset = answer.strip_prefix("FULLRESYNC ").unwrap().split_once(' ').unwrap().1.to_owned();
    assert_eq!(offset, up.info("master_repl_offset"));
    up.ok("SET meanwhile 1");
    assert_eq!(replica.main.read().text(), r#"["SELECT" "0"]"#);
    assert_eq!(replica.main.read().text(), r#"["SET" "meanwhile" "1"]"#);
    assert_eq!(up.info("connected_slaves"), "1", "the second connection is none of its own");
    assert!(up.info("slave0").contains("state=send_bulk_and_stream,"), "{}", up.info("slave0"));
    let clients = up.line("CLIENT LIST TYPE replica").string();
    assert!(clients.contains("flags=S ") && clients.contains("flags=SC "), "{clients}");
    assert_eq!(up.line("ROLE").items()[2].items().len(), 0);
    assert_eq!(up.int("WAIT 1 10"), 0);
    assert!(replica.copy.read_copy().starts_with(b"REDIS"));
    wait_for("it to be in step", Duration::from_secs(5), || up.info("slave0").contains("state=online,"));
    assert!(replica.copy.is_closed());
    up.ok("SET after 1");
    while replica.main.read().text() != r#"["SET" "after" "1"]"# {}
    assert_eq!(up.info("sync_full"), "1");
}

#[test]
fn a_copy_on_a_connection_of_its_own_in_valkeys_way() {
    for late in [false, true] {
        let primary = kvstash(if late { &["--repl-backlog-size", "16kb"] } else { SLOW_COPY });
        let mut up = primary.connect();
        up.ok("DEBUG POPULATE 100");
        let mut replica = TwoChannels::valkey(&up);
        let head = replica.copy.copy_line();
        let words: Vec<&str> = head.split(' ').collect();
        let [offset, id, "-1", client] = words[..] else { panic!("{head}") };
        let offset: u64 = offset.strip_prefix("$ENDOFF:").unwrap().parse().unwrap();
        if late {
            // All of the copy is there, and so much was written that the backlog alone would not do.
            assert!(replica.copy.read_copy().starts_with(b"REDIS"));
            (0..100).for_each(|_| up.ok(&format!("SET large {}", "x".repeat(1000))));
        }
        up.ok("SET meanwhile 1");
        replica.main.ok(&format!("REPLCONF set-rdb-client-id {client}"));
        replica.main.send(&["PSYNC", id, &(offset + 1).to_string()]);
        assert_eq!(replica.main.read().string(), format!("CONTINUE {id}"));
        assert_eq!(replica.main.read().text(), r#"["SELECT" "0"]"#);
        while replica.main.read().text() != r#"["SET" "meanwhile" "1"]"# {}
        if !late {
            assert!(up.info("slave0").contains("state=send_bulk_and_stream,"), "{}", up.info("slave0"));
            assert!(replica.copy.read_copy().starts_with(b"REDIS"));
        }
        wait_for("it to be in step", Duration::from_secs(5), || up.info("slave0").contains("state=online,"));
        assert_eq!((up.info("sync_full"), up.info("sync_partial_ok")), ("1".to_owned(), "1".to_owned()));
    }
}

#[test]
fn of_two_connections_neither_is_left_alone() {
    let primary = kvstash(&[SLOW_COPY, &["--repl-timeout", "1"]].concat());
    let mut up = primary.connect();
    up.ok("DEBUG POPULATE 100");
    // Without the copy the stream is of no use.
    let TwoChannels { mut main, mut copy } = TwoChannels::redis(&up);
    copy.read();
    drop(copy);
    assert!(main.is_closed());
    // The copy may be of use without the stream, which can be had later.
    let TwoChannels { main, mut copy } = TwoChannels::redis(&up);
    assert!(copy.read().string().starts_with("FULLRESYNC"));
    drop(main);
    wait_for("it to be forgotten", Duration::from_secs(5), || up.info("connected_slaves") == "0");
    assert!(copy.read_copy().starts_with(b"REDIS"));
    // One whose other connection never comes.
    let (mut main, _) = main_channel(&up);
    assert!(main.is_closed());
    up.expect("REPLCONF main-ch-client-id 1", "(error) ERR Unrecognized RDB client id: 1");
    // Where a copy goes to a file there is nothing to gain.
    up.ok("CONFIG SET repl-diskless-sync no");
    let mut main = up.another_plain();
    main.ok("REPLCONF capa eof capa psync2 capa rdb-channel-repl");
    main.send(&["PSYNC", "?", "-1"]);
    assert!(main.read().string().starts_with("FULLRESYNC"));
}

#[test]
fn real_servers_take_a_copy_on_a_connection_of_its_own() {
    for binary in real_servers() {
        let primary = kvstash(&["--rdb-version", "10", "--rdb-key-save-delay", "200"]);
        let mut up = primary.connect();
        fill(&mut up);
        let replica = start(&binary, &[]);
        let mut down = replica.connect();
        let options = ["repl-rdb-channel", "dual-channel-replication-enabled"];
        if !options.iter().any(|option| down.line(&format!("CONFIG SET {option} yes")).text() == "OK") {
            continue; // it is too old for that
        }
        down.ok(&format!("REPLICAOF 127.0.0.1 {}", primary.port));
        wait_for("the copy to begin", Duration::from_secs(20), || {
            up.line("INFO replication").string().contains("state=send_bulk_and_stream,")
        });
        (0..200).for_each(|i| up.ok(&format!("SET meanwhile{i} 1")));
        write_on(&mut up);
        wait_for("the link", Duration::from_secs(30), || down.info("master_link_status") == "up");
        assert_eq!(up.info("sync_full"), "1");
        in_step(&mut up, &mut down);
        up.ok("SET after 1");
        in_step(&mut up, &mut down);
    }
}

#[test]
fn replicas_are_not_answered() {
    let primary = kvstash(&[]);
    let mut up = primary.connect();
    for (request, name) in [("PING", "ping"), ("NONSENSE", "unknown"), ("REPLCONF capa eof", "replconf")] {
        let mut puppet = Puppet::attach(&primary);
        puppet.stream.write_all(format!("REPLCONF ACK 0\r\n{request}\r\n").as_bytes()).unwrap();
        wait_for("it to be closed", Duration::from_secs(5), || up.info("connected_slaves") == "0");
        let mut rest = String::new();
        puppet.stream.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "{request}");
        assert!(primary.log().contains(&format!("Replica generated a reply to command '{name}', disconnecting it")));
    }
    assert!(primary.log().contains("This master is sending an error to its replica: 'unknown command"));
}

#[test]
fn what_replicas_say_of_themselves() {
    let primary = kvstash(&[]);
    let mut kv = primary.connect();
    for (line, answer) in [
        ("REPLCONF rdb-filter-only functions", "OK"),
        ("REPLCONF rdb-filter-only \"functions FUNCTIONS\"", "OK"),
        ("REPLCONF rdb-filter-only \"functions fish\"", "(error) ERR Unsupported rdb-filter-only option: fish"),
        ("REPLCONF rdb-only 2", "(error) ERR value is out of range, value must between 0 and 1"),
        ("REPLCONF rdb-channel x", "(error) ERR value is not an integer or out of range"),
        ("REPLCONF listening-port 99999", "OK"),
        ("REPLCONF a b c", "(error) ERR syntax error"),
        ("SYNC", "(error) ERR Filtered replica requires EOF capability"),
        ("PSYNC ? -1", "(error) ERR Filtered replica requires EOF capability"),
    ] {
        kv.expect(line, answer);
    }
    // Neither functions nor keys.
    kv.ok("SET k v");
    let mut filtered = kv.another_plain();
    filtered.ok("REPLCONF capa eof rdb-filter-only \"\"");
    filtered.raw(b"SYNC\r\n");
    let copy = filtered.read_copy();
    // The bytes of times and of the checksum can be any.
    let begins_database = |bytes: &[u8]| bytes == [0xfe, 0, 0xfb];
    assert!(copy.starts_with(b"REDIS") && !copy.windows(3).any(begins_database), "no database is in it");
}

/// A replica is exempt from much that others must keep to: pauses, limits. So it keeps away from keys.
#[test]
fn a_replica_asks_for_no_keys() {
    let server = kvstash(&[]);
    for command in ["GET k", "SET k v", "PUBLISH channel x", "EVAL x 0"] {
        let mut replica = server.connect();
        replica.send(&["PSYNC", "?", "-1"]);
        assert!(replica.read().string().starts_with("FULLRESYNC "));
        replica.send(&command.split(' ').collect::<Vec<_>>());
        let name = command.split(' ').next().unwrap().to_lowercase();
        let error = format!(
            "== CRITICAL == This master is sending an error to its replica: 'Replica can't interact with the keyspace' \
             after processing the command '{name}'"
        );
        wait_for(command, Duration::from_secs(5), || server.log().contains(&error));
    }
    let mut kv = server.connect();
    kv.expect("PSYNC ? offset", "(error) ERR value is not an integer or out of range");
    assert!(server.log().contains("asks for synchronization but with a wrong offset"), "{}", server.log());
}
