//! CONFIG, configuration files and arguments.

use crate::support::{Proto, Server, TempDir, Value, each_proto};
use std::fs;
use std::time::Duration;

#[test]
fn get() {
    let server = Server::start(&["--maxmemory", "100mb"]);
    each_proto(&server, |kv| {
        let port = server.port;
        kv.expect(
            "CONFIG GET port",
            &match kv.proto {
                Proto::Resp2 => format!(r#"["port" "{port}"]"#),
                Proto::Resp3 => format!(r#"{{"port": "{port}"}}"#),
            },
        );
        kv.talk(
            r#"
            CONFIG GET maxmemory       => ["maxmemory" "104857600"] || {"maxmemory": "104857600"}
            CONFIG GET MAXMEMORY       => ["MAXMEMORY" "104857600"] || {"MAXMEMORY": "104857600"}
            CONFIG GET nosuch          => [] || {}
            CONFIG GET save            => ["save" ""] || {"save": ""}
            CONFIG GET                 => (error) ERR wrong number of arguments for 'config|get' command
            CONFIG BAD                 => (error) ERR unknown subcommand 'BAD'. Try CONFIG HELP.
            CONFIG                     => (error) ERR wrong number of arguments for 'config' command
            CONFIG HELP                =~ [*CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:*
            "#,
        );
        let several = kv.line("CONFIG GET maxmemory* timeout");
        assert_eq!(several.field("timeout").string(), "0");
        assert_eq!(several.field("maxmemory-policy").string(), "noeviction");
        let all = kv.line("CONFIG GET *");
        let count = match &all {
            Value::Map(pairs) => pairs.len(),
            other => other.items().len() / 2,
        };
        assert!(count > 100, "{count} parameters");
        for (name, value) in [
            ("databases", "16"),
            ("hz", "10"),
            ("tcp-keepalive", "300"),
            ("tcp-backlog", "511"),
            ("timeout", "0"),
            ("maxclients", "10000"),
            ("dbfilename", "dump.rdb"),
            ("rdbcompression", "yes"),
            ("rdbchecksum", "yes"),
            ("stop-writes-on-bgsave-error", "yes"),
            ("appendonly", "no"),
            ("slowlog-log-slower-than", "10000"),
            ("slowlog-max-len", "128"),
            ("latency-monitor-threshold", "0"),
            ("proto-max-bulk-len", "536870912"),
            ("client-query-buffer-limit", "1073741824"),
            ("client-output-buffer-limit", "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"),
            ("active-expire-effort", "1"),
            ("maxmemory-samples", "5"),
            ("lfu-log-factor", "10"),
            ("lfu-decay-time", "1"),
            ("notify-keyspace-events", ""),
            ("loglevel", "notice"),
            ("daemonize", "no"),
            ("unixsocketperm", "0"),
            ("shutdown-timeout", "10"),
            ("rdb-key-save-delay", "0"),
            ("busy-reply-threshold", "5000"),
            ("lazyfree-lazy-eviction", "no"),
            ("io-threads", "1"),
            ("hash-max-listpack-entries", "512"),
        ] {
            // Valkey counts some of these differently.
            if kv.peer.satisfies("redis") {
                assert_eq!(kv.line(&format!("CONFIG GET {name}")).field(name).string(), value, "{name}");
            }
        }
    });
}

#[test]
fn set() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            CONFIG SET maxmemory 1gb   => OK
            CONFIG GET maxmemory       => ["maxmemory" "1073741824"] || {"maxmemory": "1073741824"}
            CONFIG SET maxmemory 0     => OK
            CONFIG SET TIMEOUT 100 maxmemory-samples 7 => OK
            CONFIG GET timeout         => ["timeout" "100"] || {"timeout": "100"}
            CONFIG GET maxmemory-samples => ["maxmemory-samples" "7"] || {"maxmemory-samples": "7"}
            CONFIG SET save "900 1 300 10" => OK
            CONFIG GET save            => ["save" "900 1 300 10"] || {"save": "900 1 300 10"}
            CONFIG SET save ""         => OK
            CONFIG SET client-output-buffer-limit "normal 1mb 0 0" => OK
            CONFIG SET client-output-buffer-limit "normal 0 0 0" => OK
            CONFIG SET                 => (error) ERR wrong number of arguments for 'config|set' command
            CONFIG SET timeout         => (error) ERR wrong number of arguments for 'config|set' command
            CONFIG SET timeout 1 hz    =~ (error) ERR *
            CONFIG SET nosuch 1        => (error) ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'
            CONFIG SET timeout x       => (error) ERR CONFIG SET failed (possibly related to argument 'timeout') - argument couldn't be parsed into an integer
            CONFIG SET timeout -1      => (error) ERR CONFIG SET failed (possibly related to argument 'timeout') - argument must be between 0 and 2147483647 inclusive
            CONFIG SET timeout 1 timeout 2 => (error) ERR CONFIG SET failed (possibly related to argument 'timeout') - duplicate parameter
            CONFIG SET maxmemory x     => (error) ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value
            CONFIG SET maxmemory-policy bad =~ (error) ERR CONFIG SET failed (possibly related to argument 'maxmemory-policy') - argument(s) must be one of the following: *
            CONFIG SET appendonly maybe => (error) ERR CONFIG SET failed (possibly related to argument 'appendonly') - argument must be 'yes' or 'no'
            CONFIG SET databases 4     => (error) ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config
            CONFIG SET daemonize yes   => (error) ERR CONFIG SET failed (possibly related to argument 'daemonize') - can't set immutable config
            CONFIG SET save "x"        =~ (error) ERR CONFIG SET failed (possibly related to argument 'save') - *
            CONFIG SET client-output-buffer-limit "bad 1 1 1" =~ (error) ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - *
            CONFIG SET notify-keyspace-events KEA => OK
            CONFIG GET notify-keyspace-events => ["notify-keyspace-events" "AKE"] || {"notify-keyspace-events": "AKE"}
            CONFIG SET notify-keyspace-events "" => OK
            CONFIG SET dbfilename a/b  =~ (error) ERR CONFIG SET failed (possibly related to argument 'dbfilename') - *
            CONFIG RESETSTAT           => OK
            CONFIG RESETSTAT x         => (error) ERR wrong number of arguments for 'config|resetstat' command
            CONFIG REWRITE             => (error) ERR The server is running without a config file
            "#,
        );
    });
}

/// All of several parameters, or none.
#[test]
fn set_is_atomic() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.talk(
        r#"
        CONFIG SET timeout 5 maxmemory-samples 9
        CONFIG SET timeout 50 maxmemory-samples bad maxclients 100 =~ (error) ERR CONFIG SET failed (possibly related to argument 'maxmemory-samples') - *
        CONFIG GET timeout             => ["timeout" "5"]
        CONFIG GET maxmemory-samples   => ["maxmemory-samples" "9"]
        CONFIG SET timeout 50 nosuch 1 =~ (error) ERR Unknown option*
        CONFIG GET timeout             => ["timeout" "5"]
        # fails only when applied: the directory does not exist
        CONFIG SET timeout 50 dir /nosuch/directory =~ (error) ERR *
        CONFIG GET timeout             => ["timeout" "5"]
        "#,
    );
}

/// Values that are multiplied when they are used.
#[test]
fn the_largest_values() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.talk(
        r#"
        CONFIG SET latency-monitor-threshold 9223372036854775807 => OK
        @kvstash CONFIG SET client-output-buffer-limit "normal 0 1000 9223372036854775807" => OK
        SETRANGE large 8000000 x       => 8000001
        "#,
    );
    // A client that takes nothing is over the soft limit, and may be so for all time.
    let mut lazy = server.connect();
    for _ in 0..4 {
        lazy.send(&["GET", "large"]);
    }
    std::thread::sleep(Duration::from_millis(100));
    kv.expect("PING", "PONG");
    for _ in 0..4 {
        assert_eq!(lazy.read().string().len(), 8_000_001);
    }
}

#[test]
fn protected_configs_stay() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    // dir and dbfilename are protected unless enable-protected-configs says otherwise.
    kv.talk(
        r#"
        CONFIG SET dbfilename other.rdb => (error) ERR CONFIG SET failed (possibly related to argument 'dbfilename') - can't set protected config
        CONFIG SET dir /tmp             => (error) ERR CONFIG SET failed (possibly related to argument 'dir') - can't set protected config
        "#,
    );
    let server = Server::start(&["--enable-protected-configs", "yes"]);
    let mut kv = server.connect();
    kv.ok("CONFIG SET dbfilename other.rdb");
    kv.ok("SET a 1");
    kv.ok("SAVE");
    assert!(server.dir.join("other.rdb").exists());
}

#[test]
fn file_in_classic_syntax() {
    let dir = TempDir::new();
    let file = dir.join("redis.conf");
    fs::write(
        &file,
        "# a comment\n\ntimeout 77\nmaxmemory   10mb\n  maxmemory-policy \"allkeys-lru\"\nsave 900 1\nsave 300 10\n\
         client-output-buffer-limit normal 1 2 3\nrename-command KEYS \"\"\nrename-command DBSIZE size\n",
    )
    .unwrap();
    let mut server = Server::start_in(dir, &crate::support::under_test(), &[file.to_str().unwrap(), "--timeout", "88"]);
    let mut kv = server.connect();
    kv.talk(
        r#"
        CONFIG GET timeout             => ["timeout" "88"]
        CONFIG GET maxmemory           => ["maxmemory" "10485760"]
        CONFIG GET maxmemory-policy    => ["maxmemory-policy" "allkeys-lru"]
        KEYS *                         =~ (error) ERR unknown command 'KEYS'*
        DBSIZE                         =~ (error) ERR unknown command 'DBSIZE'*
        SIZE                           => 0
        CONFIG SET maxmemory 20mb maxmemory-samples 3
        CONFIG REWRITE                 => OK
        "#,
    );
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("# a comment\n"), "comments stay:\n{text}");
    assert!(text.contains("maxmemory 20mb") || text.contains("maxmemory 20971520"), "{text}");
    assert!(text.contains("maxmemory-samples 3"), "{text}");
    assert!(!text.contains("10mb"), "{text}");
    // What was written is what a new start reads.
    server.kill_9();
    server.start_again();
    let mut kv = server.connect();
    kv.talk(
        r#"
        CONFIG GET maxmemory           => ["maxmemory" "20971520"]
        CONFIG GET maxmemory-samples   => ["maxmemory-samples" "3"]
        SIZE                           => 0
        "#,
    );
}

/// Bad parameters stop the start, with the line and the reason.
#[test]
fn bad_files_and_arguments_refuse_to_start() {
    for (text, reason) in [
        ("port 1\nnosuchdirective 1\n", "nosuchdirective"),
        ("timeout x\n", "timeout x"),
        ("maxmemory-policy bad\n", "maxmemory-policy bad"),
        ("save 1\n", "save 1"),
        ("port 70000\n", "port 70000"),
        ("timeout \"5\n", "timeout"),
    ] {
        let dir = TempDir::new();
        let file = dir.join("redis.conf");
        fs::write(&file, text).unwrap();
        let (status, log) = Server::refuse(dir.path(), &[file.to_str().unwrap()]);
        assert!(!status.success(), "{text}");
        assert!(log.contains(reason), "{text}: {log}");
        // Redis 8 keeps unknown directives for modules and refuses them at the end, without a place.
        if !log.contains("Module Configuration detected") {
            assert!(log.contains("*** FATAL CONFIG FILE ERROR") && log.contains("at line"), "{text}: {log}");
        }
    }
    for args in [&["--nosuch", "1"][..], &["--timeout", "x"], &["nosuch.conf"]] {
        let dir = TempDir::new();
        let (status, log) = Server::refuse(dir.path(), args);
        assert!(!status.success(), "{args:?}");
        assert!(!log.trim().is_empty(), "{args:?}");
    }
}

/// SIGHUP is kvstash's own: the file is read again, what changed is applied.
#[test]
fn toml_and_reload() {
    let dir = TempDir::new();
    let file = dir.join("kvstash.toml");
    let write = |timeout: u32| {
        fs::write(
            &file,
            format!("# mine\n[server]\ntimeout = {timeout} # seconds\n\n[storage]\nmaxmemory = \"10mb\"\n"),
        )
        .unwrap();
    };
    write(60);
    if std::env::var_os("KVSTASH_TEST_SERVER").is_some_and(|binary| !binary.to_string_lossy().contains("kvstash")) {
        return;
    }
    let server = Server::start_in(dir, &crate::support::under_test(), &[file.to_str().unwrap()]);
    let mut kv = server.connect();
    kv.talk("CONFIG GET timeout => [\"timeout\" \"60\"]\n CONFIG GET maxmemory => [\"maxmemory\" \"10485760\"]");
    write(61);
    server.signal("HUP");
    crate::support::wait_for("the reload", Duration::from_secs(5), || {
        kv.line("CONFIG GET timeout").field("timeout").string() == "61"
    });
    kv.talk("CONFIG SET timeout 62\n CONFIG REWRITE => OK");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("# mine") && text.contains("# seconds"), "comments stay:\n{text}");
    assert!(text.contains("timeout = 62"), "{text}");
}

#[test]
fn requests_over_a_unix_socket() {
    use std::io::{Read, Write};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;
    let dir = TempDir::new();
    let path = dir.join("kv.sock");
    let server = Server::start_in(
        dir,
        &crate::support::under_test(),
        &["--unixsocket", path.to_str().unwrap(), "--unixsocketperm", "700"],
    );
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"CLIENT INFO\r\n").unwrap();
    let mut bytes = [0; 4096];
    let n = stream.read(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes[..n]);
    assert!(text.contains("kv.sock:0") && text.contains("flags=U"), "{text}");
    drop(server);
}

/// What is told to the system rather than to clients.
#[test]
fn pid_file_and_oom_score() {
    let dir = TempDir::new();
    let path = dir.join("kv.pid");
    let arguments =
        ["--pidfile", path.to_str().unwrap(), "--oom-score-adj", "absolute", "--oom-score-adj-values", "500 600 700"];
    let server = Server::start_in(dir, &crate::support::under_test(), &arguments);
    let mut kv = server.connect();
    let pid = server.pid();
    assert_eq!(fs::read_to_string(&path).unwrap().trim(), pid.to_string());
    let score = || fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap().trim().to_owned();
    assert_eq!(score(), "500");
    kv.ok("CONFIG SET oom-score-adj-values \"600 700 800\"");
    assert_eq!(score(), "600");
    kv.ok("REPLICAOF 127.0.0.1 1");
    assert_eq!(score(), "700", "a replica's own");
    kv.ok("REPLICAOF NO ONE");
    assert_eq!(score(), "600");
    kv.ok("CONFIG SET oom-score-adj-values \"100 200 300\" oom-score-adj relative");
    kv.ok("CONFIG SET oom-score-adj no");
    let before = fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    assert_eq!(score(), before.trim());
    // While it is off nothing is touched, and what is found when it is turned on is what counts.
    let found = before.trim().parse::<i32>().unwrap() + 3;
    fs::write(format!("/proc/{pid}/oom_score_adj"), found.to_string()).unwrap();
    kv.ok("CONFIG SET oom-score-adj-values \"7 8 9\"");
    assert_eq!(score(), found.to_string());
    kv.ok("CONFIG SET oom-score-adj yes");
    assert_eq!(score(), (found + 7).to_string());
    kv.ok("CONFIG SET oom-score-adj no");
    assert_eq!(score(), found.to_string());
}

/// Tools that try ports until one is free know a taken one by this text.
#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let dir = TempDir::new();
    let (status, log) = Server::refuse(dir.path(), &["--port", &port]);
    assert!(!status.success());
    assert!(log.contains(&format!("Failed listening on port {port}")), "{log}");
}
