//! Looking at a running server: SLOWLOG, LATENCY, MONITOR, MEMORY, metrics over HTTP, the form of the log.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::support::{Conn, Server, Value, each_proto, free_port, wait_for};

#[test]
fn slowlog() {
    let server = Server::start(&["--slowlog-log-slower-than", "0"]);
    each_proto(&server, |kv| {
        kv.ok("CLIENT SETNAME slow");
        kv.ok("CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 128");
        kv.ok("SLOWLOG RESET");
        kv.ok("SET a 1");
        let log = kv.line("SLOWLOG GET 10");
        let entry = log.items().iter().find(|e| e.items()[3].items()[0].string() == "SET").expect("the SET").items();
        assert_eq!(entry.len(), 6);
        assert!(entry[0].int() >= 0 && entry[1].int() > 1_600_000_000 && entry[2].int() >= 0);
        assert_eq!(entry[3].text(), r#"["SET" "a" "1"]"#);
        assert_eq!(entry[4].string(), kv.addr());
        assert_eq!(entry[5].string(), "slow");
        // Long arguments and long argument lists are cut.
        let long = "x".repeat(300);
        kv.cmd(&["SET", "a", &long]);
        let mut many = vec!["MGET"];
        many.extend(vec!["k"; 100]);
        kv.cmd(&many);
        let log = kv.line("SLOWLOG GET 2");
        let argv = log.items()[0].items()[3].items().to_vec();
        assert_eq!(argv.len(), 32);
        assert_eq!(argv[31].string(), "... (70 more arguments)");
        let argv = log.items()[1].items()[3].items().to_vec();
        assert_eq!(argv[2].string(), format!("{}... (172 more bytes)", "x".repeat(128)));
        assert_eq!(kv.line("SLOWLOG GET 1").items().len(), 1);
        assert!(kv.line("SLOWLOG GET -1").items().len() > 3);
        assert!(kv.int("SLOWLOG LEN") > 3);
        // Newest first, and no more than the limit.
        kv.ok("CONFIG SET slowlog-max-len 2");
        kv.talk("PING\n PING\n PING");
        assert_eq!(kv.int("SLOWLOG LEN"), 2);
        kv.ok("CONFIG SET slowlog-log-slower-than -1");
        kv.ok("SLOWLOG RESET");
        kv.talk(
            r#"
            PING
            SLOWLOG LEN                => 0
            SLOWLOG GET                => []
            SLOWLOG GET -2             => (error) ERR count should be greater than or equal to -1
            SLOWLOG GET x              => (error) ERR count should be greater than or equal to -1
            SLOWLOG BAD                => (error) ERR unknown subcommand 'BAD'. Try SLOWLOG HELP.
            SLOWLOG                    => (error) ERR wrong number of arguments for 'slowlog' command
            SLOWLOG LEN x              => (error) ERR wrong number of arguments for 'slowlog|len' command
            SLOWLOG HELP               =~ [*SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:*
            "#,
        );
    });
    // Only what is slow enough.
    let mut kv = server.connect();
    kv.ok("CONFIG SET slowlog-log-slower-than 20000");
    kv.ok("PING_".strip_suffix('_').map(|_| "SET a 1").unwrap());
    kv.ok("DEBUG SLEEP 0.05");
    let log = kv.line("SLOWLOG GET");
    assert_eq!(log.items().len(), 1);
    assert!(log.items()[0].items()[2].int() >= 50_000);
    // Secrets do not show.
    kv.ok("CONFIG SET slowlog-log-slower-than 0");
    kv.line("AUTH user secret-word");
    kv.ok("CONFIG SET requirepass \"\"");
    let text = kv.line("SLOWLOG GET -1").text();
    assert!(!text.contains("secret-word"), "{text}");
}

#[test]
fn latency() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.ok("CONFIG SET latency-monitor-threshold 20");
        kv.line("LATENCY RESET");
        kv.ok("DEBUG SLEEP 0.04");
        kv.ok("DEBUG SLEEP 0.03");
        let latest = kv.line("LATENCY LATEST");
        let event = latest.items().iter().find(|e| e.items()[0].string() == "command").expect("the sleep").items();
        assert!(event[1].int() > 1_600_000_000);
        assert!((29..200).contains(&event[2].int()), "{}", latest.text());
        assert!((39..200).contains(&event[3].int()), "{}", latest.text());
        let history = kv.line("LATENCY HISTORY command");
        let worst = history.items().iter().map(|sample| sample.items()[1].int()).max();
        assert!(worst >= Some(39), "{}", history.text());
        let graph = kv.line("LATENCY GRAPH command").string();
        assert!(graph.starts_with("command - high "), "{graph}");
        assert!(!kv.line("LATENCY DOCTOR").string().is_empty());
        kv.talk(
            r#"
            LATENCY HISTORY none       => []
            LATENCY GRAPH none         => (error) ERR No samples available for event 'none'
            LATENCY RESET none         => 0
            LATENCY RESET command      => 1
            LATENCY HISTORY command    => []
            LATENCY BAD                => (error) ERR unknown subcommand 'BAD'. Try LATENCY HELP.
            LATENCY HISTORY            => (error) ERR wrong number of arguments for 'latency|history' command
            LATENCY HELP               =~ [*LATENCY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:*
            CONFIG SET latency-monitor-threshold 0
            LATENCY LATEST             => []
            LATENCY DOCTOR             =~ *latency-monitor-threshold*
            "#,
        );
    });
}

#[test]
fn latency_histogram() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.ok("CONFIG RESETSTAT");
        kv.talk("SET a 1\n SET a 1\n GET a\n CONFIG GET port");
        let reply = kv.line("LATENCY HISTOGRAM set get nosuch");
        let set = reply.field("set");
        assert_eq!(set.field("calls").int(), 2);
        let histogram = set.field("histogram_usec");
        let last = match histogram {
            Value::Map(pairs) => pairs.last().unwrap().1.int(),
            other => other.items().last().unwrap().int(),
        };
        assert_eq!(last, 2, "counts are cumulative: {}", histogram.text());
        assert_eq!(reply.field("get").field("calls").int(), 1);
        assert!(!reply.text().contains("nosuch"));
        let config = kv.line("LATENCY HISTOGRAM config");
        assert_eq!(config.field("config|get").field("calls").int(), 1);
        assert!(kv.line("LATENCY HISTOGRAM").text().contains("\"set\""));
    });
}

#[test]
fn monitor() {
    let server = Server::start(&["--requirepass", "hidden"]);
    let mut watcher = server.connect();
    watcher.ok("AUTH hidden");
    watcher.ok("MONITOR");
    let mut kv = server.connect();
    kv.ok("AUTH hidden");
    kv.talk("SELECT 2\n SET a \"x\\r\\n\\x00\"\n MULTI\n GET a\n EXEC");
    kv.line("foo");
    kv.line("CLIENT SETNAME me");
    let mut lines = Vec::new();
    while let Some(reply) = watcher.read_within(Duration::from_millis(300)) {
        lines.push(reply.string());
    }
    let text = lines.join("\n");
    let shape = |line: &str, tail: &str| {
        let (time, rest) = line.split_once(' ').unwrap();
        time.split_once('.').is_some_and(|(s, us)| s.len() == 10 && us.len() == 6) && rest == tail
    };
    let addr = kv.addr();
    assert!(lines.iter().any(|l| shape(l, &format!("[2 {addr}] \"SET\" \"a\" \"x\\r\\n\\x00\""))), "{text}");
    assert!(lines.iter().any(|l| shape(l, &format!("[2 {addr}] \"SELECT\" \"2\""))), "{text}");
    let position =
        |needle: &str| lines.iter().position(|l| l.contains(needle)).unwrap_or_else(|| panic!("{needle}: {text}"));
    assert!(position("\"MULTI\"") < position("\"GET\" \"a\""), "{text}");
    assert!(!text.contains("hidden") && !text.contains("foo"), "{text}");
    // RESET ends it.
    watcher.expect("RESET", "RESET");
    watcher.ok("AUTH hidden");
    kv.ok("SET a 1");
    assert!(watcher.read_within(Duration::from_millis(100)).is_none());
    assert!(kv.line("MONITOR x").is_error());
}

/// What a monitor is shown never comes into the middle of its own replies: its transaction's array is whole, and the
/// lines of what ran stand behind it.
#[test]
fn lines_stand_behind_the_replies_of_the_monitor_itself() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.ok("MONITOR");
        let replies: Vec<String> =
            kv.pipeline(&["MULTI", "PING a", "PING b", "EXEC"]).iter().map(Value::string).collect();
        let line = |reply: &String, words: &str| reply.ends_with(words);
        assert!(replies[0] == "OK" && line(&replies[1], "\"MULTI\""), "{replies:?}");
        assert!(replies[2] == "QUEUED" && replies[3] == "QUEUED", "{replies:?}");
        assert_eq!(kv.read().text(), r#"["a" "b"]"#);
        for words in [r#""PING" "a""#, r#""PING" "b""#, "\"EXEC\""] {
            let shown = kv.read().string();
            assert!(line(&shown, words), "{shown} is not {words}");
        }
        kv.line("RESET");
    });
}

/// A client in MONITOR mode keeps away from keys, and gets no lines when it wants no replies.
#[test]
fn what_a_monitor_may_do() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.talk("MULTI\n MONITOR => QUEUED\n EXEC => [(error) ERR MONITOR isn't allowed for DENY BLOCKING client]\n GET a => (nil)");
    let mut watcher = server.connect();
    watcher.ok("MONITOR");
    watcher.expect("GET a", "(error) ERR Replica can't interact with the keyspace");
    watcher.expect("SET a 1", "(error) ERR Replica can't interact with the keyspace");
    watcher.send(&["CLIENT", "REPLY", "OFF"]);
    kv.line("ECHO before");
    std::thread::sleep(Duration::from_millis(50));
    kv.line("ECHO unseen");
    assert!(!watcher.read_within(Duration::from_millis(100)).is_some_and(|line| line.string().contains("unseen")));
    watcher.expect("RESET", "RESET");
    watcher.expect("GET a", "(nil)");
}

#[test]
fn memory() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            MEMORY USAGE none          => (nil)
            SET a 1
            MEMORY USAGE a BAD         => (error) ERR syntax error
            MEMORY USAGE a SAMPLES     => (error) ERR syntax error
            MEMORY USAGE a SAMPLES -1  => (error) ERR syntax error
            MEMORY USAGE               => (error) ERR wrong number of arguments for 'memory|usage' command
            MEMORY BAD                 => (error) ERR unknown subcommand 'BAD'. Try MEMORY HELP.
            MEMORY PURGE               => OK
            MEMORY DOCTOR              =~ "*"  || (txt) "*"
            MEMORY HELP                =~ [*MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:*
            "#,
        );
        assert!((16..200).contains(&kv.int("MEMORY USAGE a SAMPLES 0")));
        kv.cmd(&["SET", "big", &"x".repeat(100_000)]);
        assert!((100_000..140_000).contains(&kv.int("MEMORY USAGE big")));
        let stats = kv.line("MEMORY STATS");
        for field in [
            "peak.allocated",
            "total.allocated",
            "startup.allocated",
            "replication.backlog",
            "clients.slaves",
            "clients.normal",
            "aof.buffer",
            "db.0",
            "overhead.total",
            "keys.count",
            "keys.bytes-per-key",
            "dataset.bytes",
            "dataset.percentage",
            "peak.percentage",
            "allocator.allocated",
            "allocator.active",
            "allocator.resident",
            "fragmentation",
            "fragmentation.bytes",
        ] {
            stats.field(field);
        }
        assert_eq!(stats.field("keys.count").int(), 2);
        assert!(stats.field("db.0").field("overhead.hashtable.main").int() > 0);
        assert!(!kv.line("MEMORY MALLOC-STATS").is_error());
    });
    // used_memory follows the data.
    let mut kv = server.connect();
    let before: i64 = kv.info("used_memory").parse().unwrap();
    kv.ok("DEBUG POPULATE 10000 m 1000");
    wait_for("used_memory to follow", Duration::from_secs(5), || {
        kv.info("used_memory").parse::<i64>().unwrap() > before + 9_000_000
    });
}

/// One request over HTTP; the whole answer.
fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Metrics are switched on, moved and switched off while the server runs.
#[test]
fn metrics_move() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let (first, second) = (free_port(), free_port());
    kv.ok(&format!("CONFIG SET http-listen 127.0.0.1:{first}"));
    let answer = get(first, "/metrics").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\nredis_up 1\n"), "{answer}");
    assert!(answer.contains("redis_version=\"7.4.2\""), "{answer}");
    kv.ok("CONFIG SET redis-version 7.2.4");
    assert_eq!(kv.info("redis_version"), "7.2.4");
    assert!(get(first, "/metrics").unwrap().contains("redis_version=\"7.2.4\""));
    kv.ok(&format!("CONFIG SET http-listen 127.0.0.1:{second}"));
    assert!(get(first, "/healthz").is_err());
    assert!(get(second, "/healthz").unwrap().starts_with("HTTP/1.1 200 "));
    // One that is taken: everything is as before, also what was set along with it.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = taken.local_addr().unwrap().port();
    kv.talk(&format!(
        "CONFIG SET timeout 77 http-listen 127.0.0.1:{busy}  =~ (error) ERR CONFIG SET failed*http-listen*"
    ));
    assert_eq!(kv.cmd(&["CONFIG", "GET", "timeout"]).items()[1].string(), "0");
    assert!(get(second, "/healthz").unwrap().starts_with("HTTP/1.1 200 "));
    kv.cmd(&["CONFIG", "SET", "http-listen", ""]);
    assert!(get(second, "/healthz").is_err());
}

/// INFO's fields.
fn info_fields(kv: &mut Conn) -> HashMap<String, String> {
    let text = kv.line("INFO everything").string();
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// INFO as a number; `ok` and `err` are 1 and 0.
fn number(text: &str) -> f64 {
    match text {
        "ok" => 1.0,
        "err" => 0.0,
        text => text.parse().unwrap(),
    }
}

/// Every row that is shown by both has one value: between what INFO says before and after. What is asked for changes
/// what is said, so memory is given some room; the rest is exact.
#[test]
fn info_and_metrics_agree() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let mut blocked = server.connect();
    let port = free_port();
    kv.ok(&format!("CONFIG SET http-listen 127.0.0.1:{port} maxmemory 4gb"));
    kv.ok("DEBUG POPULATE 10000 key 1000");
    kv.line("SET a 1 PX 1");
    kv.talk("GET b => (nil)\n WATCH w => OK\n INCRBY c x =~ (error) ERR*\n SET c 3\n GET c => \"3\"");
    kv.cmd(&["RPUSH", "many", "1", "2"]);
    blocked.send(&["BLPOP", "nothing", "0"]);
    wait_for("a key to expire", Duration::from_secs(5), || kv.info("expired_keys") == "1");
    let before = info_fields(&mut kv);
    std::thread::sleep(Duration::from_millis(300));
    let page = get(port, "/metrics").unwrap();
    let after = info_fields(&mut kv);
    let mut compared = 0;
    for series in kvstash::commands::info::series() {
        let shown = page.lines().find_map(|line| line.strip_prefix(series.name)?.strip_prefix(' '));
        let shown: f64 = shown.unwrap_or_else(|| panic!("{} is missing", series.name)).parse().unwrap();
        // What there is none of just now has no field.
        let of =
            |fields: &HashMap<String, String>| fields.get(series.info).map_or(0.0, |text| number(text)) * series.scale;
        let (low, high) = (of(&before).min(of(&after)), of(&before).max(of(&after)));
        let is_memory = ["used_memory", "allocator_", "mem_fragmentation", "mem_clients", "mem_not"]
            .iter()
            .any(|start| series.info.starts_with(start));
        let agrees = match is_memory {
            true => (shown > 0.0 && shown < high * 1.5) || (shown, high) == (0.0, 0.0),
            false => shown >= low - 1e-6 && shown <= high + 1e-6,
        };
        assert!(agrees, "{}: {shown}, {}: {low} to {high}", series.name, series.info);
        compared += u32::from(!is_memory && high > 0.0);
    }
    assert!(compared > 15, "only {compared} were not zero");
}

/// A busy loop is watched all the same.
#[test]
fn metrics_of_a_busy_loop() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let port = free_port();
    kv.ok(&format!("CONFIG SET http-listen 127.0.0.1:{port}"));
    std::thread::sleep(Duration::from_millis(300));
    kv.send(&["DEBUG", "SLEEP", "1"]);
    wait_for("a turn to last", Duration::from_secs(5), || {
        let page = get(port, "/metrics").unwrap();
        let seconds = page.lines().find_map(|line| line.strip_prefix("kvstash_eventloop_turn_seconds ")).unwrap();
        assert!(page.contains("\nredis_connected_clients 1\n"), "{page}");
        seconds.parse::<f64>().unwrap() > 0.3
    });
    assert!(get(port, "/readyz").unwrap().starts_with("HTTP/1.1 200 "));
    assert_eq!(kv.read().text(), "OK");
}

/// A server that loads is alive and not ready, and what it publishes says so.
#[test]
fn not_ready_while_loading() {
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let slowly = ["--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024"];
    let mut server = Server::start(&[&slowly[..], &["--http-listen", &listen]].concat());
    let answers = |path: &str, status: &str| get(port, path).unwrap().starts_with(&format!("HTTP/1.1 {status} "));
    let shows = |line: &str| get(port, "/metrics").unwrap().lines().any(|shown| shown == line);
    assert!(answers("/readyz", "200"));
    let mut kv = server.connect();
    kv.ok("DEBUG POPULATE 5000 key 100");
    kv.ok("SAVE");
    server.kill_9();
    server.start_loading();
    let mut kv = server.connect();
    assert!(answers("/readyz", "503") && answers("/healthz", "200"));
    wait_for("the load to be published", Duration::from_secs(5), || shows("redis_loading_dump_file 1"));
    assert!(answers("/readyz", "503"));
    kv.ok("CONFIG SET key-load-delay 0");
    wait_for("the server to be ready", Duration::from_secs(10), || answers("/readyz", "200"));
    wait_for("that to be published", Duration::from_secs(5), || shows("redis_loading_dump_file 0"));
    assert!(shows("redis_db_keys{db=\"db0\"} 5000"));
}

/// The form of the log changes from one line to the next.
#[test]
fn log_format_changes() {
    let server = Server::start(&["--loglevel", "verbose"]);
    let mut kv = server.connect();
    kv.ok("CONFIG SET log-format json");
    kv.ok("CONFIG SET timeout 5");
    kv.ok("CONFIG SET log-format line");
    kv.ok("CONFIG SET timeout 6");
    let log = server.log();
    let changes: Vec<&str> = log.lines().filter(|line| line.contains("Configuration changed")).collect();
    let in_json: Vec<bool> = changes.iter().map(|line| line.starts_with('{') && line.ends_with('}')).collect();
    assert_eq!(in_json, [true, true, false, false], "{changes:#?}");
}
