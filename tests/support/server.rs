//! A server process for one test: free port, temporary directory, log to a file, ended when dropped.
//!
//! Only the process started here is ever signalled, by its id. "Up" is what Redis's own tools wait for: the log line
//! `Ready to accept connections`, read from this process's own output, so that another server which grabbed the port
//! first cannot be mistaken for this one.

use super::{Conn, Peer, Proto, TempDir};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub struct Server {
    child: Child,
    pub port: u16,
    pub dir: TempDir,
    binary: PathBuf,
    args: Vec<String>,
    pub peer: Peer,
}

/// How long a start may take: generous, for a debug build on a machine that is busy compiling.
const START_LIMIT: Duration = Duration::from_secs(30);

impl Server {
    /// Starts the server under test with `args` after the defaults of every test.
    pub fn start(args: &[&str]) -> Server {
        Self::start_binary(&under_test(), args)
    }

    /// Starts a given binary, for tests with two kinds of server.
    pub fn start_binary(binary: &Path, args: &[&str]) -> Server {
        Self::start_in(TempDir::new(), binary, args)
    }

    /// Starts in a directory that already has files in it.
    pub fn start_in(dir: TempDir, binary: &Path, args: &[&str]) -> Server {
        let args: Vec<String> = args.iter().map(|a| a.to_string()).collect();
        let (child, port) = launch(binary, dir.path(), &args);
        let mut server = Server { child, port, dir, binary: binary.into(), args, peer: Peer::Kvstash };
        if let Some(info) = server.try_info() {
            server.peer = Peer::from_info(&info);
        }
        server
    }

    /// Starts a server that must refuse to start; returns how it ended and what it said.
    pub fn refuse(dir: &Path, args: &[&str]) -> (ExitStatus, String) {
        let args: Vec<String> = args.iter().map(|a| a.to_string()).collect();
        let mut child = spawn(&under_test(), dir, free_port(), &args);
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return (status, fs::read_to_string(dir.join("log")).unwrap());
            }
            if Instant::now() > deadline {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("the server started although it should have refused; log:\n{}", read_log(dir));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn connect(&self) -> Conn {
        self.connect_with(Proto::Resp2)
    }

    pub fn connect_with(&self, proto: Proto) -> Conn {
        Conn::open(self.port, proto, self.peer)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The log so far.
    pub fn log(&self) -> String {
        read_log(self.dir.path())
    }

    /// One field of INFO.
    pub fn info(&self, field: &str) -> String {
        self.connect().info(field)
    }

    /// SIGKILL, as in a power cut for the process: no handler runs.
    pub fn kill_9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by name (`TERM`, `INT`, `HUP`).
    pub fn signal(&self, name: &str) {
        // The shell's own kill: a small machine may have no other.
        let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.pid())).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the process to end by itself.
    pub fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "still running after {limit:?}; log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts the same server again in the same directory, after it ended.
    pub fn start_again(&mut self) {
        assert!(self.child.try_wait().unwrap().is_some(), "the server is still running");
        let (child, port) = launch(&self.binary, self.dir.path(), &self.args);
        self.child = child;
        self.port = port;
    }

    /// Like [`Server::start_again`], but returns while the data set is still being loaded.
    pub fn start_loading(&mut self) {
        assert!(self.child.try_wait().unwrap().is_some(), "the server is still running");
        self.port = free_port();
        self.child = spawn(&self.binary, self.dir.path(), self.port, &self.args);
        let deadline = Instant::now() + START_LIMIT;
        while !self.log().contains("Loading DB in memory") {
            assert!(Instant::now() < deadline, "not loading after {START_LIMIT:?}; log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    fn try_info(&self) -> Option<String> {
        let mut conn = Conn::open(self.port, Proto::Resp2, Peer::Kvstash);
        if let Some(at) = self.args.iter().position(|arg| arg == "--requirepass") {
            conn.cmd(&["AUTH", &self.args[at + 1]]);
        }
        match conn.cmd(&["INFO", "server"]) {
            reply if reply.is_error() => None,
            reply => Some(reply.string()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            eprintln!("--- the end of the server's log ---");
            for line in tail.iter().rev() {
                eprintln!("{line}");
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary the tests are about.
pub fn under_test() -> PathBuf {
    std::env::var_os("KVSTASH_TEST_SERVER").unwrap_or_else(|| env!("CARGO_BIN_EXE_kvstash").into()).into()
}

/// A port nobody listens on at this moment.
pub fn free_port() -> u16 {
    // Below the range the kernel hands out for outgoing connections, so that no client's own port collides.
    loop {
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
        let port =
            11_000 + ((nanos / 7).wrapping_mul(2_654_435_761).wrapping_add(std::process::id() * 977) % 20_000) as u16;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn spawn(binary: &Path, dir: &Path, port: u16, args: &[String]) -> Child {
    let log = File::create(dir.join("log")).unwrap();
    // A configuration file as first argument keeps its place.
    let (file, rest) = match args.first() {
        Some(first) if !first.starts_with("--") => (Some(first), &args[1..]),
        _ => (None, args),
    };
    let mut command = Command::new(binary);
    command.args(file);
    for (name, value) in [
        ("--port", port.to_string().as_str()),
        ("--bind", "127.0.0.1"),
        ("--dir", &dir.display().to_string()),
        ("--save", ""),
        ("--enable-debug-command", "yes"),
        ("--daemonize", "no"),
    ] {
        command.args([name, value]);
    }
    command
        .args(rest)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|e| panic!("cannot start {}: {e}", binary.display()))
}

fn launch(binary: &Path, dir: &Path, args: &[String]) -> (Child, u16) {
    let mut last = String::new();
    for _ in 0..5 {
        let port = free_port();
        let mut child = spawn(binary, dir, port, args);
        let deadline = Instant::now() + START_LIMIT;
        loop {
            last = read_log(dir);
            if last.contains("Ready to accept connections") {
                return (child, port);
            }
            if child.try_wait().unwrap().is_some() {
                last = read_log(dir);
                break;
            }
            if Instant::now() > deadline {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("not ready after {START_LIMIT:?}; log:\n{last}");
            }
            std::thread::sleep(Duration::from_millis(3));
        }
        // Somebody took the port in between: another one. Everything else is final.
        if !last.contains("Address already in use") && !last.contains("Failed listening on port") {
            break;
        }
    }
    panic!("the server ended at start-up; log:\n{last}");
}

fn read_log(dir: &Path) -> String {
    fs::read(dir.join("log")).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
