//! A disk that is full, with a real server on a real file system: a tmpfs of its own, where one can be had.

use crate::support::{Conn, TempDir, under_test, wait_for};
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// A server in a mount namespace of its own, in whose directory a small tmpfs is mounted. What happens in it is seen
/// through `/proc/<pid>/root`.
struct Small {
    child: Child,
    port: u16,
    dir: TempDir,
}

impl Small {
    /// None, with the reason printed, where no such namespace can be had.
    fn start(kb: u32, args: &str) -> Option<Small> {
        let can =
            Command::new("unshare").args(["-m", "sh", "-c", "mount -t tmpfs none /mnt"]).stderr(Stdio::null()).status();
        if !can.is_ok_and(|status| status.success()) {
            eprintln!("skipped: no tmpfs in a mount namespace of one's own can be had here");
            return None;
        }
        let (dir, port) = (TempDir::new(), crate::support::free_port());
        let script = format!(
            "mount -t tmpfs -o size={kb}k none \"$1\" && cd \"$1\" && exec \"$0\" --port {port} --bind 127.0.0.1 --save '' \
             --enable-debug-command yes --dir \"$1\" --appendonly yes {args}"
        );
        let log = fs::File::create(std::env::temp_dir().join(format!("kvstash-small-{port}.log"))).unwrap();
        let child = Command::new("unshare")
            .args(["-m", "sh", "-c", &script])
            .arg(under_test())
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let small = Small { child, port, dir };
        wait_for("the start", LIMIT, || small.log().contains("Ready to accept connections"));
        Some(small)
    }

    fn log(&self) -> String {
        fs::read_to_string(std::env::temp_dir().join(format!("kvstash-small-{}.log", self.port))).unwrap_or_default()
    }

    fn connect(&self) -> Conn {
        Conn::open(self.port, crate::support::Proto::Resp2, crate::support::Peer::Kvstash)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        let dir = self.dir.path().strip_prefix("/").unwrap();
        std::path::PathBuf::from(format!("/proc/{}/root", self.child.id())).join(dir).join(name)
    }

    /// Takes all the room there is.
    fn fill(&self) {
        let mut bytes = 1 << 20;
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.path("ballast")).unwrap();
        while bytes > 0 {
            if std::io::Write::write_all(&mut file, &vec![1; bytes]).is_err() {
                bytes /= 2;
            }
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.path("ballast")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the server's log ---\n{}", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(std::env::temp_dir().join(format!("kvstash-small-{}.log", self.port)));
    }
}

const FULL: &str = "MISCONF Errors writing to the AOF file: No space left on device";

/// Writes until one is refused.
fn write_until_refused(kv: &mut Conn) {
    wait_for("the refusal", LIMIT, || {
        let reply = kv.cmd(&["SET", "filler", &"x".repeat(9000)]);
        reply.is_error() && reply.text().contains(FULL)
    });
}

#[test]
fn a_full_disk_refuses_writes_and_is_forgiven() {
    let Some(server) = Small::start(2048, "--appendfsync everysec --auto-aof-rewrite-percentage 0") else { return };
    let mut kv = server.connect();
    kv.ok("SET before 1");
    server.fill();
    write_until_refused(&mut kv);
    kv.talk("GET before => \"1\"");
    assert_eq!(kv.info("aof_last_write_status"), "err");
    // A rewrite has no room either, and leaves none taken.
    kv.line("BGREWRITEAOF");
    wait_for("the rewrite to fail", LIMIT, || kv.info("aof_last_bgrewrite_status") == "err");
    server.make_room();
    wait_for("the recovery", LIMIT, || !kv.line("SET after 1").is_error());
    assert_eq!(kv.info("aof_last_write_status"), "ok");
    kv.talk("WAITAOF 1 0 0 => [1 0]");
    kv.line("BGREWRITEAOF");
    wait_for("the rewrite", LIMIT, || kv.info("aof_rewrite_in_progress") == "0");
    assert_eq!(kv.info("aof_last_bgrewrite_status"), "ok");
    let before = kv.line("DEBUG DIGEST").string();
    kv.ok("DEBUG LOADAOF");
    assert_eq!(kv.line("DEBUG DIGEST").string(), before);
}

/// Under `always` nobody is told OK of what is not there; who is owed an answer gets it when there is room again.
#[test]
fn a_full_disk_keeps_back_answers_under_always() {
    let Some(server) = Small::start(2048, "--appendfsync always --auto-aof-rewrite-percentage 0") else { return };
    let mut kv = server.connect();
    kv.ok("SET before 1");
    server.fill();
    let mut waiting = server.connect();
    let value = "x".repeat(9000);
    let mut held = None;
    for _ in 0..100 {
        waiting.send(&["SET", "held", &value]);
        held = waiting.read_within(Duration::from_millis(500));
        if held.is_none() {
            break;
        }
    }
    assert!(held.is_none(), "an answer although there is no room: {held:?}");
    server.make_room();
    assert_eq!(waiting.read_within(LIMIT).expect("an answer, when there is room").text(), "OK");
    kv.ok("SET after 1");
}

/// Who switches the log off because its disk is full takes away the reason to wait.
#[test]
fn switching_off_lets_go_what_waits_for_a_full_disk() {
    let Some(server) = Small::start(2048, "--appendfsync always --auto-aof-rewrite-percentage 0") else { return };
    let mut kv = server.connect();
    server.fill();
    let mut waiting = server.connect();
    let value = "x".repeat(9000);
    let mut held = None;
    for _ in 0..100 {
        waiting.send(&["SET", "held", &value]);
        held = waiting.read_within(Duration::from_millis(500));
        if held.is_none() {
            break;
        }
    }
    assert!(held.is_none(), "an answer although there is no room: {held:?}");
    kv.send(&["CONFIG", "SET", "appendonly", "no"]);
    assert_eq!(kv.read_within(LIMIT).expect("an answer").text(), "OK");
    assert_eq!(waiting.read_within(LIMIT).expect("an answer, when nothing is kept any more").text(), "OK");
    server.make_room();
    kv.ok("CONFIG SET appendonly yes");
    wait_for("the first rewrite", LIMIT, || kv.info("aof_rewrite_in_progress") == "0");
    assert_eq!(kv.info("aof_last_write_status"), "ok");
    kv.ok("SET after 1");
}

/// The directory is taken away under a running server: a rewrite makes it again, with all the data.
#[test]
fn a_directory_that_is_gone_is_made_again() {
    let mut server = crate::support::Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let mut kv = server.connect();
    kv.ok("SET before 1");
    fs::remove_dir_all(server.dir.path().join("appendonlydir")).unwrap();
    kv.ok("SET meanwhile 1");
    kv.line("BGREWRITEAOF");
    wait_for("the rewrite", LIMIT, || kv.info("aof_rewrite_in_progress") == "0");
    assert_eq!(kv.info("aof_last_bgrewrite_status"), "ok");
    kv.ok("SET after 1");
    server.kill_9();
    server.start_again();
    server.connect().talk("EXISTS before meanwhile after => 3");
}
