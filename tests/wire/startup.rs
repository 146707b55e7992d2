//! From the command line to `Ready to accept connections`, the tools beside the server, and crashes: what service
//! managers, test suites and operators see of the process.

use crate::support::{Server, TempDir, each_proto, free_port, under_test, wait_for};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};
use std::time::Duration;

/// Some of this is kvstash's own: its tools, its crash reports, what it tells systemd.
fn is_kvstash() -> bool {
    under_test().file_name().is_some_and(|name| name == "kvstash")
}

fn run(program: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = Command::new(under_test()).arg0(program).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (status.code(), text(&stdout), text(&stderr))
}

#[test]
fn tools() {
    if !is_kvstash() {
        return;
    }
    let (code, out, _) = run("kvstash", &["--version"]);
    assert!(code == Some(0) && out.starts_with("kvstash v=") && out.lines().count() == 1, "{out}");
    let (code, out, _) = run("redis-server", &["--help"]);
    assert!(code == Some(0) && out.starts_with("Usage: ") && out.contains("--maxmemory-policy"), "{out}");
    for (program, args, word) in [
        ("redis-sentinel", &["s.conf"][..], "Sentinel"),
        ("kvstash", &["s.conf", "--sentinel"], "Sentinel"),
        ("kvstash", &["--test-memory", "1"], "--test-memory"),
        ("kvstash", &["--check-system"], "--check-system"),
    ] {
        let (code, _, err) = run(program, args);
        assert!(code == Some(1) && err.contains(word) && err.contains("not supported yet"), "{program}: {err}");
    }
    for tool in ["check-rdb", "check-aof"] {
        let by_name = format!("redis-{tool}");
        for (program, args) in [(&by_name[..], &["/none"][..]), ("kvstash", &[tool, "/none"])] {
            let (code, out, _) = run(program, args);
            assert!(code == Some(1) && out.contains("Cannot open file /none: No such file or directory\n"), "{out}");
        }
        let (code, out, _) = run("kvstash", &[tool]);
        assert!(code == Some(1) && out.starts_with("Usage: ") && out.contains(&format!("{tool} ")), "{out}");
        let (code, out, _) = run(&by_name, &["-v"]);
        assert!(code == Some(0) && out.contains("v="), "{out}");
    }
}

#[test]
fn a_wrong_configuration() {
    for (args, line) in [
        (&["--port", "abc"][..], ">>> 'port \"abc\"'"),
        (&["--nonsense", "1"], if is_kvstash() { ">>> 'nonsense (redacted)'" } else { ">>> 'nonsense \"1\"'" }),
        (&["--dir", "/does/not/exist"], ">>> 'dir \"/does/not/exist\"'"),
    ] {
        let (code, _, err) = run("redis-server", args);
        assert_eq!(code, Some(1));
        assert!(err.contains("*** FATAL CONFIG FILE ERROR (Redis ") && err.contains(line), "{err}");
    }
    let (code, _, err) = run("redis-server", &["/does/not/exist.conf"]);
    assert!(code == Some(1) && err.contains("can't open config file '/does/not/exist.conf'"), "{err}");
}

/// Writes a configuration file and starts with it, which must fail; gives what was said.
fn refused(dir: &TempDir, text: &str) -> String {
    let file = dir.join("kv.conf");
    std::fs::write(&file, text).unwrap();
    let (status, log) = Server::refuse(dir.path(), &[file.to_str().unwrap()]);
    assert_eq!(status.code(), Some(1), "{text}: {log}");
    log
}

/// What is found out only after everything has been read is reported with its file and line as well.
#[test]
fn what_is_wrong_has_a_place() {
    for (text, line, reason) in [
        ("# one\nrename-command NOSUCH x\n", 2, "No such command in rename-command"),
        ("rename-command GET a\n\nrename-command GET b\n", 3, "No such command in rename-command"),
        ("hz 20\nrename-command GET set\n", 2, "Target command name already exists"),
        ("hz 20\nlogfile /tmp\n", 2, "Can't open the log file: Is a directory"),
        ("logfile /no/such/directory/log\n", 1, "Can't open the log file: No such file or directory"),
        ("hz 20\nappendfilename \"\"\n", 2, "appendfilename can't be empty"),
    ] {
        let log = refused(&TempDir::new(), text);
        assert!(log.contains("*** FATAL CONFIG FILE ERROR (Redis ") && log.contains(reason), "{text}: {log}");
        if is_kvstash() {
            assert!(log.contains(&format!("at line {line} of ")) && log.contains("kv.conf"), "{text}: {log}");
        }
    }
    if !is_kvstash() {
        return;
    }
    for (text, line, reason) in [
        ("hz 20\ndbfilename ..\n", 2, "dbfilename can't be a path, just a filename"),
        ("pidfile /tmp/\n", 1, "argument must be the name of a file"),
        ("hz 20\nunixsocket /no/such/directory/sock\n", 2, "Failed opening Unix socket: bind: "),
        ("\nhttp-listen 192.0.2.1:1\n", 2, "can't listen for metrics"),
    ] {
        let log = refused(&TempDir::new(), text);
        assert!(log.contains(reason) && log.contains(&format!("line {line}")), "{text}: {log}");
    }
    let server = Server::start(&["--pidfile", "/does/not/exist/kv.pid"]);
    assert!(server.log().contains("the command line, line "), "{}", server.log());
}

/// Passwords are in no message: not at the start, not at a reload, not after a change.
#[test]
fn secrets_stay_out_of_messages() {
    if !is_kvstash() {
        return;
    }
    for text in [
        "requirepass \"hunter2\n",
        "requirepas hunter2\n",
        "requirepass hunter2 extra\n",
        "user default on >hunter2\n",
        "rename-command CONFIG hunter2\nrename-command CONFIG hunter2\n",
        "port 1 requirepass hunter2\n",
    ] {
        let log = refused(&TempDir::new(), text);
        assert!(log.contains("line 1 of") || log.contains("line 2 of"), "{log}");
        assert!(!log.contains("hunter2"), "{text}: {log}");
    }
    let dir = TempDir::new();
    let file = dir.join("kv.conf");
    std::fs::write(&file, "requirepass hunter2\nmasterauth hunter2\nloglevel debug\n").unwrap();
    let server = Server::start_in(dir, &under_test(), &[file.to_str().unwrap(), "--requirepass", "hunter2"]);
    let mut kv = server.connect();
    kv.ok("AUTH hunter2");
    for (text, told) in [
        ("requirepass \"hunter2\n", "the file is wrong"),
        ("requirepas hunter2\n", "the file is wrong"),
        ("masterauth hunter23\n", "Configuration reloaded"),
    ] {
        let before = server.log().matches(told).count();
        std::fs::write(&file, text).unwrap();
        server.signal("HUP");
        wait_for(told, Duration::from_secs(10), || server.log().matches(told).count() > before);
    }
    kv.ok("CONFIG SET requirepass hunter24 slowlog-log-slower-than 0");
    kv.line("CONFIG SET requirepas hunter2");
    kv.line("CONFIG SET requirepass");
    kv.line("CONFIG SET maxmemory 1 masterauth hunter2");
    kv.line("AUTH default hunter2");
    kv.line("AUTH a b hunter2");
    kv.line("HELLO 3 AUTH default hunter2");
    kv.line("HELLO 3 AUTH hunter2");
    let shown = format!("{:?}{:?}", kv.line("SLOWLOG GET -1"), kv.line("CLIENT LIST"));
    assert!(!shown.contains("hunter2"), "{shown}");
    kv.send(&["DEBUG", "SEGFAULT"]);
    wait_for("the report", Duration::from_secs(60), || server.log().contains("BUG REPORT END"));
    assert!(!server.log().contains("hunter2"), "{}", server.log());
}

/// A reload takes no protection away because a line has gone, and a file that is not whole changes nothing.
#[test]
fn a_reload_keeps_what_protects() {
    if !is_kvstash() {
        return;
    }
    let dir = TempDir::new();
    let file = dir.join("kv.conf");
    let whole = "requirepass secret\nmaxmemory 100mb\ntimeout 300\n";
    std::fs::write(&file, whole).unwrap();
    let server = Server::start_in(dir, &under_test(), &[file.to_str().unwrap()]);
    let mut kv = server.connect();
    kv.ok("AUTH secret");
    let reload = |text: &[u8], told: &str| {
        let before = server.log().matches(told).count();
        std::fs::write(&file, text).unwrap();
        server.signal("HUP");
        wait_for(told, Duration::from_secs(10), || server.log().matches(told).count() > before);
        server.connect().line("PING").text().contains("NOAUTH")
    };
    for torn in [&b""[..], b"# all gone\n", &[0; 80], b"requirepass secret\nmaxmem"] {
        assert!(reload(torn, "The configuration stays as it is: the file is wrong"));
        kv.talk("CONFIG GET maxmemory => [\"maxmemory\" \"104857600\"]\n CONFIG GET timeout => [\"timeout\" \"300\"]");
    }
    assert!(reload(b"timeout 200\n", "its value stays, unless reload-may-unprotect"));
    assert!(server.log().contains("parameter=requirepass") && server.log().contains("parameter=maxmemory"));
    kv.talk("CONFIG GET maxmemory => [\"maxmemory\" \"104857600\"]\n CONFIG GET timeout => [\"timeout\" \"200\"]");
    assert!(reload(b"maxmemory 0\nrequirepass other\n", "Configuration reloaded"));
    kv.talk("CONFIG GET maxmemory => [\"maxmemory\" \"0\"]");
    assert!(!reload(b"reload-may-unprotect yes\n", "it is given up"));
}

/// The configuration may come from a process's output; a pipe in its place later does not stop the server.
#[test]
fn a_configuration_from_a_pipe() {
    let dir = TempDir::new();
    let file = dir.join("kv.conf");
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    let writer = std::thread::spawn({
        let file = file.clone();
        move || std::fs::write(file, "timeout 77\n").unwrap()
    });
    let server = Server::start_in(dir, &under_test(), &[file.to_str().unwrap()]);
    writer.join().unwrap();
    let mut kv = server.connect();
    kv.talk("CONFIG GET timeout => [\"timeout\" \"77\"]");
    if is_kvstash() {
        server.signal("HUP");
        wait_for("a word", Duration::from_secs(10), || server.log().contains("Not a regular file"));
        kv.talk("CONFIG REWRITE =~ (error) *Not a regular file*\n PING => PONG");
    }
}

/// What the system lets us open bounds the clients; below the server's own needs it does not start.
#[test]
fn few_descriptors() {
    // Who may raise the limit does, and serves: not a machine to test this on.
    if Command::new("sh").arg("-c").arg("ulimit -n 12; ulimit -n 64 2> /dev/null").status().unwrap().success() {
        return;
    }
    let dir = TempDir::new();
    let start = |limit: u32| {
        let port = free_port().to_string();
        let command = format!("ulimit -n {limit}; exec \"$0\" --save '' --bind 127.0.0.1 --port {port} --dir \"$1\"");
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command).arg(under_test()).arg(dir.path()).stdin(std::process::Stdio::null());
        (shell, port)
    };
    for limit in [12, 32] {
        let out = start(limit).0.output().unwrap();
        let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        assert_eq!(out.status.code(), Some(1), "{text}");
        let told = format!(
            "Your current 'ulimit -n' of {limit} is not enough for the server to start. Please increase your open file \
             limit to at least 10032. Exiting."
        );
        assert!(text.contains(&told), "{text}");
    }
    let log = dir.join("out");
    let (mut shell, _) = start(35);
    let mut child = shell.stdout(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let read = || std::fs::read_to_string(&log).unwrap();
    wait_for("the start", Duration::from_secs(30), || read().contains("Ready to accept connections"));
    child.kill().unwrap();
    child.wait().unwrap();
    let told = "Current maximum open files is 35. maxclients has been reduced to 3 to compensate for low ulimit.";
    assert!(read().contains(told), "{}", read());
}

#[test]
fn a_port_that_is_taken() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let dir = TempDir::new();
    let (status, log) = Server::refuse(dir.path(), &["--port", &port]);
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(&format!("Failed listening on port {port} (tcp), aborting.")), "{log}");
    assert!(log.contains("Address already in use"), "{log}");
}

#[test]
fn the_banner_and_the_process_id() {
    let dir = TempDir::new();
    let pidfile = dir.path().join("kv.pid");
    let args = ["--always-show-logo", "yes", "--pidfile", pidfile.to_str().unwrap()];
    let mut server = Server::start(&args);
    let log = server.log();
    let banner = log.find(&format!(" PID: {}\n", server.pid())).expect("the banner");
    assert!(banner < log.find("Server initialized").expect("the line"), "{log}");
    assert_eq!(std::fs::read_to_string(&pidfile).unwrap().trim(), server.pid().to_string());
    server.signal("TERM");
    assert!(server.wait_exit(Duration::from_secs(10)).success());
    assert!(!pidfile.exists());
    // Not writable is no reason not to serve.
    let server = Server::start(&["--pidfile", "/does/not/exist/kv.pid"]);
    assert!(server.log().contains("Failed to write PID file"));
}

/// Files with relative names are in `dir`, and the unix socket's file does not outlive the server.
#[test]
fn the_working_directory() {
    let mut server = Server::start(&["--unixsocket", "kv.sock"]);
    let socket = server.dir.path().join("kv.sock");
    assert!(socket.exists());
    let mut kv = server.connect();
    kv.talk("SET a 1\n SAVE => OK");
    assert!(server.dir.path().join("dump.rdb").exists());
    server.signal("TERM");
    server.wait_exit(Duration::from_secs(10));
    assert!(!socket.exists());
}

#[test]
fn systemd_is_told() {
    if !is_kvstash() {
        return;
    }
    let dir = TempDir::new();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut child = Command::new(under_test())
        .args(["--port", &free_port().to_string(), "--bind", "127.0.0.1", "--save", "", "--supervised", "systemd"])
        .arg("--dir")
        .arg(dir.path())
        .arg("--pidfile")
        .arg(dir.path().join("pid"))
        .env("NOTIFY_SOCKET", &path)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut told = String::new();
    let mut wait_until_told = |what: &str| {
        while !told.contains(what) {
            let mut buffer = [0; 256];
            let n = socket.recv(&mut buffer).unwrap();
            told.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
    };
    wait_until_told("READY=1\n");
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    wait_until_told("STOPPING=1\n");
    assert!(child.wait().unwrap().success());
}

#[test]
fn debug_is_allowed_or_not() {
    let text = "(error) ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can \
                run it from a local connection, otherwise you need to set this option in the configuration file, and \
                then restart the server.";
    let server = Server::start(&["--enable-debug-command", "no"]);
    each_proto(&server, |kv| {
        kv.expect("DEBUG SLEEP 0", text);
        kv.expect("DEBUG NONSENSE", text);
        kv.ok("MULTI");
        kv.expect("DEBUG SLEEP 0", text);
        kv.expect("EXEC", "(error) EXECABORT Transaction discarded because of previous errors.");
    });
    let server = Server::start(&["--enable-debug-command", "local"]);
    each_proto(&server, |kv| kv.ok("DEBUG SLEEP 0"));
}

#[test]
fn crashes_leave_a_report() {
    if !is_kvstash() {
        return;
    }
    for (line, told) in [
        ("DEBUG SEGFAULT", "crashed by signal: 11"),
        ("DEBUG PANIC", "Guru Meditation: "),
        ("DEBUG ASSERT", "DEBUG ASSERT"),
    ] {
        let mut server = Server::start(&[]);
        let mut kv = server.connect();
        kv.send(&line.split(' ').collect::<Vec<_>>());
        assert!(kv.is_closed());
        assert!(!server.wait_exit(Duration::from_secs(60)).success());
        let log = server.log();
        let place = |what: &str| log.find(what).unwrap_or_else(|| panic!("{line}: no {what:?} in\n{log}"));
        assert!(place("=== REDIS BUG REPORT START") < place(told));
        assert!(place(told) < place("used_memory:"));
        assert!(place("used_memory:") < place("STACK TRACE"));
        assert!(place("STACK TRACE") < place("=== REDIS BUG REPORT END"));
    }
    // A hanging server is ended this way by those who want to know where it hangs.
    let mut server = Server::start(&[]);
    server.signal("ABRT");
    assert!(!server.wait_exit(Duration::from_secs(60)).success());
    wait_for("the report", Duration::from_secs(5), || server.log().contains("crashed by signal: 6"));
}

#[test]
fn debug_reload() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.talk(
        r#"
        MSET a 1 b 2
        SET gone x PX 1
        DEBUG SLEEP 0.01
        DEBUG RELOAD                     => OK
        KEYS *                           => sorted ["a" "b"]
        SET a changed
        SET c 3
        @kvstash DEBUG RELOAD NOSAVE NOFLUSH => (error) ERR Error trying to load the RDB dump, check server logs
        GET a                            => "changed"
        DEBUG RELOAD NOSAVE NOFLUSH MERGE => OK
        MGET a b c                       => ["1" "2" "3"]
        DEBUG RELOAD NOSAVE              => OK
        MGET a b c                       => ["1" "2" (nil)]
        DEBUG RELOAD NONSENSE            => (error) ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.
        @kvstash DEBUG CONFIG-REWRITE-FORCE-ALL => (error) ERR CONFIG-REWRITE-FORCE-ALL failed: The server is running without a config file
        "#,
    );
    let file = server.dir.path().join("kv.conf");
    std::fs::write(&file, "# mine\nmaxclients 100\n").unwrap();
    let server = Server::start(&[file.to_str().unwrap()]);
    server.connect().ok("DEBUG CONFIG-REWRITE-FORCE-ALL");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("# mine\nmaxclients 100\n") && text.contains("\nmaxmemory-policy noeviction\n"), "{text}");
    let _again = Server::start(&[file.to_str().unwrap()]);
}
