//! EVAL EVALSHA SCRIPT FCALL FUNCTION: over the wire, and what files, replicas and others see of what scripts do.

use crate::support::{Conn, Proto, Server, Stream, each_proto, wait_for};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

fn eval(kv: &mut Conn, script: &str) -> String {
    kv.cmd(&["EVAL", script, "0"]).text()
}

fn digest(kv: &mut Conn) -> String {
    kv.line("DEBUG DIGEST").string()
}

#[test]
fn scripts_and_their_errors() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            EVAL "return {KEYS[1], ARGV[1], #ARGV}" 1 k a b => ["k" "a" 2]
            EVAL "return redis.call('SET', KEYS[1], ARGV[1])" 1 k v => OK
            EVAL "return redis.call('GET', 'k')" 0 => "v"
            EVAL_RO "return redis.call('SET', 'k', 'x')" 0 => (error) ERR Write commands are not allowed from read-only scripts. script: c6b4ba46ae4a5a4e4b9d7b1d4b0e4ad8d9bd6b8a, on @user_script:1.
            "#
            .replace("c6b4ba46ae4a5a4e4b9d7b1d4b0e4ad8d9bd6b8a", &sha("return redis.call('SET', 'k', 'x')"))
            .as_str(),
        );
        kv.talk(
            r#"
            SCRIPT LOAD "return 1" => "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
            SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db none => [1 0]
            EVALSHA E0E1F9FABFC9D4800C877A703B823AC0578FF8DB 0 => 1
            SCRIPT SHOW e0e1f9fabfc9d4800c877a703b823ac0578ff8db => "return 1"
            SCRIPT FLUSH => OK
            EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0 => (error) NOSCRIPT No matching script. Please use EVAL.
            EVAL "return 1" 2 k => (error) ERR Number of keys can't be greater than number of args
            EVAL "return 1" -1 => (error) ERR Number of keys can't be negative
            SCRIPT KILL => (error) NOTBUSY No scripts in execution right now.
            SCRIPT DEBUG YES => (error) ERR The debugger of scripts is not supported
            EVAL "return redis.call('EVAL', 'return 1', 0)" 0 => (error) ERR This Redis command is not allowed from script script: 9ff40f9a2d1d3a8c2b5b2b2d2b5b2b2d2b5b2b2d, on @user_script:1.
            "#
            .replace("9ff40f9a2d1d3a8c2b5b2b2d2b5b2b2d2b5b2b2d", &sha("return redis.call('EVAL', 'return 1', 0)"))
            .as_str(),
        );
    });
}

fn sha(text: &str) -> String {
    String::from_utf8(kvstash::script::hex(&kvstash::script::digest(text.as_bytes())).to_vec()).unwrap()
}

#[test]
fn functions_and_their_errors() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let code = "#!lua name=lib\nredis.register_function{function_name='f', flags={'no-writes'}, callback=function(k) return k[1] end}";
    assert_eq!(kv.cmd(&["FUNCTION", "LOAD", code]).text(), "\"lib\"");
    kv.talk(
        r##"
        FCALL f 1 key => "key"
        FCALL_RO F 1 key => "key"
        FCALL g 0 => (error) ERR Function not found
        FCALL f x => (error) ERR Bad number of keys provided
        FUNCTION LIST => [["library_name" "lib" "engine" "LUA" "functions" [["name" "f" "description" (nil) "flags" [no-writes]]]]]
        FUNCTION LIST LIBRARYNAME "x*" => []
        FUNCTION STATS => ["running_script" (nil) "engines" ["LUA" ["libraries_count" 1 "functions_count" 1]]]
        FUNCTION LOAD "return 1" => (error) ERR Missing library metadata
        FUNCTION LOAD "#!lua name=x" => (error) ERR Invalid library metadata
        FUNCTION KILL => (error) NOTBUSY No scripts in execution right now.
        FUNCTION RESTORE x => (error) ERR DUMP payload version or checksum are wrong
        FUNCTION DELETE none => (error) ERR Library not found
        FUNCTION DELETE lib => OK
        EVALSHA_RO none 0 => (error) NOSCRIPT No matching script. Please use EVAL.
        EVAL_RO "return 1" 0 => 1
        "##,
    );
    assert!(kv.cmd(&["FUNCTION", "LOAD", "#!lua name=x\nreturn 1"]).text().contains("No functions registered"));
    assert!(kv.cmd(&["FUNCTION", "LOAD", "#!lua name=x\nwhile true do end"]).text().contains("FUNCTION LOAD timeout"));
}

#[test]
fn an_error_is_counted_once() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.talk("SET s text");
    kv.ok("CONFIG RESETSTAT");
    assert!(eval(&mut kv, "return redis.call('LPUSH', 's', 'x')").contains("WRONGTYPE"));
    assert_eq!(kv.info("errorstat_WRONGTYPE"), "count=1");
    assert_eq!(kv.info("total_error_replies"), "1");
    assert!(eval(&mut kv, "return redis.pcall('LPUSH', 's', 'x')").contains("WRONGTYPE"));
    assert_eq!(kv.info("total_error_replies"), "2");
    assert!(eval(&mut kv, "error('mine')").contains("mine"));
    assert_eq!(kv.info("errorstat_ERR"), "count=1");
}

#[test]
fn a_script_is_one_unit() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let mut stream = Stream::attach(&kv);
    kv.talk("EVAL \"redis.call('SET', 'a', 1) redis.call('SET', 'b', 2) return 3\" 0 => 3");
    kv.talk("EVAL \"return redis.call('INCR', 'a')\" 0 => 2");
    kv.talk("EVAL \"return redis.call('GET', 'a')\" 0 => \"2\"");
    kv.talk("EVAL \"redis.set_repl(redis.REPL_NONE) redis.call('SET', 'c', 1) return 4\" 0 => 4");
    assert_eq!(stream.so_far(&mut kv), ["MULTI", "SET a 1", "SET b 2", "EXEC", "INCR a"]);
}

#[test]
fn functions_survive_restarts_and_travel() {
    let library = "#!lua name=lib\nredis.register_function('f', function(keys, args) return args[1] .. '!' end)";
    for appendonly in ["no", "yes"] {
        for preamble in ["yes", "no"] {
            let mut server = Server::start(&[
                "--appendonly",
                appendonly,
                "--aof-use-rdb-preamble",
                preamble,
                "--enable-debug-command",
                "yes",
            ]);
            let mut kv = server.connect();
            assert_eq!(kv.cmd(&["FUNCTION", "LOAD", library]).text(), "\"lib\"");
            if appendonly == "yes" {
                kv.line("BGREWRITEAOF");
                wait_for("the rewrite", LIMIT, || {
                    kv.info("aof_rewrite_in_progress") == "0" && kv.info("aof_rewrite_scheduled") == "0"
                });
            } else {
                kv.ok("SAVE");
            }
            server.signal("TERM");
            server.wait_exit(LIMIT);
            server.start_again();
            let mut kv = server.connect();
            kv.talk("FCALL f 0 x => \"x!\"\n FCALL F 0 y => \"y!\"");
            let dump = kv.line("FUNCTION DUMP").bytes().to_vec();
            let replica = Server::start(&["--replicaof", &format!("127.0.0.1 {}", server.port)]);
            let mut other = replica.connect();
            wait_for("the replica", LIMIT, || other.info("master_link_status") == "up");
            other.talk("FCALL_RO f 0 z => (error) READONLY You can't write against a read only replica.");
            kv.talk("FUNCTION FLUSH => OK\n FCALL f 0 x => (error) ERR Function not found");
            wait_for("FUNCTION FLUSH at the replica", LIMIT, || other.info("number_of_libraries") == "0");
            assert_eq!(kv.cmd_bytes(&[b"FUNCTION", b"RESTORE", &dump]).text(), "OK");
            kv.talk("FCALL f 0 x => \"x!\"");
            wait_for("FUNCTION RESTORE at the replica", LIMIT, || other.info("number_of_functions") == "1");
        }
    }
}

/// A script that has written all kinds of things is stopped: nothing is left of it, and nobody has seen anything.
#[test]
fn a_script_that_is_stopped_leaves_nothing_behind() {
    let server = Server::start(&["--busy-reply-threshold", "10", "--enable-debug-command", "yes"]);
    let (mut kv, mut other) = (server.connect(), server.connect());
    for i in 0..200 {
        kv.line(&format!("SET s:{i} {i}"));
        kv.line(&format!("RPUSH l:{i} a b c"));
        kv.line(&format!("HSET h:{i} f {i} g 2"));
        kv.line(&format!("ZADD z:{i} 1 a 2 b"));
        kv.line(&format!("SADD t:{i} 1 2 x"));
        kv.line(&format!("XADD x:{i} 1-1 f v"));
        kv.line(&format!("EXPIRE s:{i} 1000"));
    }
    kv.line("SETRANGE long 300000 x");
    let (before, size, dirty) = (digest(&mut kv), kv.line("DBSIZE").text(), kv.info("rdb_changes_since_last_save"));
    let mut watcher = server.connect();
    watcher.talk("WATCH s:1\n MULTI\n SET watched 1 => QUEUED");
    let mut tracking = server.connect_with(Proto::Resp3);
    tracking.talk("CLIENT TRACKING ON\n GET s:2 => \"2\"");
    let mut blocked = server.connect();
    blocked.raw(b"BLPOP new:list 0\r\n");
    let mut subscriber = server.connect();
    subscriber.line("SUBSCRIBE news");
    let mut stream = Stream::attach(&kv);
    let script = "
        for i = 0, 199 do
            redis.call('SET', 's:' .. i, 'changed') redis.call('INCR', 'n:' .. i) redis.call('LPUSH', 'l:' .. i, 'more')
            redis.call('HSET', 'h:' .. i, 'f', 'x', 'new', 1) redis.call('ZINCRBY', 'z:' .. i, 5, 'a')
            redis.call('SREM', 't:' .. i, 'x') redis.call('XADD', 'x:' .. i, '*', 'f', 'w')
            redis.call('EXPIRE', 'h:' .. i, 10) redis.call('PERSIST', 's:' .. i)
        end
        redis.call('APPEND', 'long', 'more') redis.call('RENAME', 's:3', 's:4') redis.call('DEL', 'l:5')
        redis.call('COPY', 'h:1', 'h:1', 'DB', 3) redis.call('MOVE', 'z:1', 2)
        redis.call('RPUSH', 'new:list', 'x') redis.call('PUBLISH', 'news', 'never')
        FLUSH
        while true do end";
    for flush in ["", "redis.call('FLUSHALL') redis.call('SET', 'only', 1)", "redis.call('SWAPDB', 0, 5)"] {
        let script = script.replace("FLUSH", flush);
        kv.send(&["EVAL", &script, "0"]);
        wait_for("the script to be slow", LIMIT, || other.line("GET s:1").text().contains("BUSY"));
        other.ok("SCRIPT KILL");
        let told = kv.read().text();
        assert!(told.starts_with("(error) ERR Script killed by user with SCRIPT KILL."), "{told}");
        assert_eq!(digest(&mut kv), before);
        assert_eq!(kv.line("DBSIZE").text(), size);
        assert_eq!(kv.info("rdb_changes_since_last_save"), dirty);
    }
    assert_eq!(kv.info("scripts_rolled_back"), "3");
    assert!(blocked.read_within(Duration::from_millis(50)).is_none());
    assert!(subscriber.read_within(Duration::from_millis(1)).is_none());
    assert!(tracking.read_within(Duration::from_millis(1)).is_none());
    watcher.talk("EXEC => [OK]");
    assert_eq!(stream.so_far(&mut kv), ["SET watched 1"]);
}

#[test]
fn abort_and_atomic_take_back_what_was_written() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let mut kv = server.connect();
    kv.talk("SET k v");
    assert!(
        eval(&mut kv, "redis.call('SET', 'k', 'w') pcall(redis.abort, 'no') return 1").starts_with("(error) ERR no")
    );
    assert!(eval(&mut kv, "#!lua flags=atomic\nredis.call('SET', 'k', 'w') error('x')").contains("user_script:2: x"));
    assert!(eval(&mut kv, "redis.call('SET', 'k2', 'w') error('x')").contains("user_script:1: x"));
    kv.talk("GET k => \"v\"\n GET k2 => \"w\"");
    kv.talk("CONFIG SET lua-rollback-on-kill no");
    assert!(eval(&mut kv, "redis.call('SET', 'k', 'w') redis.abort('no')").contains("needs lua-rollback-on-kill yes"));
    assert!(
        eval(&mut kv, "#!lua flags=atomic\nredis.call('SET', 'k2', 'x') redis.abort('no')")
            .starts_with("(error) ERR no")
    );
    kv.talk("GET k => \"w\"\n GET k2 => \"w\"");
    // Within a transaction the commands before it stay.
    kv.talk("CONFIG SET lua-rollback-on-kill yes\n MULTI\n SET m 1 => QUEUED");
    assert_eq!(kv.cmd(&["EVAL", "redis.call('SET', 'm', 2) redis.abort('no')", "0"]).text(), "QUEUED");
    assert!(kv.line("EXEC").text().starts_with("[OK (error) ERR no"));
    kv.talk("GET m => \"1\"");
}

#[test]
fn transactions_can_be_taken_back_too() {
    let server = Server::start(&["--transaction-rollback", "yes", "--notify-keyspace-events", "KEA"]);
    let (mut kv, mut subscriber) = (server.connect(), server.connect());
    kv.talk("SET s text\n RPUSH l a => 1");
    subscriber.line("PSUBSCRIBE *");
    let mut stream = Stream::attach(&kv);
    kv.talk("MULTI\n SET a 1 => QUEUED\n RPUSH l b => QUEUED\n INCR s => QUEUED\n SET c 1 => QUEUED");
    assert_eq!(kv.line("EXEC").text(), "(error) EXECABORT Transaction taken back because 'incr' failed");
    kv.talk("EXISTS a c => 0\n LLEN l => 1");
    assert!(subscriber.read_within(Duration::from_millis(30)).is_none());
    kv.talk("MULTI\n SET a 1 => QUEUED");
    assert_eq!(kv.cmd(&["EVAL", "redis.call('SET', 'b', 1) redis.abort('no')", "0"]).text(), "QUEUED");
    assert_eq!(kv.line("EXEC").text(), "(error) EXECABORT Transaction taken back because 'eval' failed");
    kv.talk("EXISTS a b => 0\n MULTI\n SET a 1 => QUEUED\n INCR a => QUEUED\n EXEC => [OK 2]");
    assert_eq!(stream.so_far(&mut kv), ["MULTI", "SET a 1", "INCR a", "EXEC"]);
    assert!(subscriber.read_within(Duration::from_secs(5)).is_some());
}

#[test]
fn scripts_that_take_too_long_are_stopped_by_themselves() {
    let server = Server::start(&["--lua-timeout-kill", "30", "--lua-memory-limit", "16mb"]);
    let mut kv = server.connect();
    let told = eval(&mut kv, "redis.call('SET', 'k', 1) while true do end");
    assert!(told.starts_with("(error) ERR Script killed: it ran for longer than lua-timeout-kill allows."), "{told}");
    kv.talk("EXISTS k => 0\n CONFIG SET lua-timeout-kill 0");
    assert!(eval(&mut kv, "local t = {} while true do t[#t + 1] = {} end").contains("not enough memory"));
    kv.talk("EVAL \"return 1\" 0 => 1");
}

/// As in Redis.
#[test]
fn without_a_threshold_no_script_is_busy() {
    let server = Server::start(&["--busy-reply-threshold", "0", "--lua-timeout-kill", "100"]);
    let (mut kv, mut other) = (server.connect(), server.connect());
    kv.send(&["EVAL", "while true do end", "0"]);
    other.send(&["PING"]);
    assert!(kv.read().text().contains("ran for longer than lua-timeout-kill"));
    assert_eq!(other.read().text(), "PONG");
}

#[test]
fn without_rollback_a_script_that_has_written_cannot_be_stopped() {
    let mut server = Server::start(&["--busy-reply-threshold", "10", "--lua-rollback-on-kill", "no"]);
    let (mut kv, mut other) = (server.connect(), server.connect());
    kv.send(&["EVAL", "redis.call('SET', 'k', 1) while true do end", "0"]);
    wait_for("the script to be slow", LIMIT, || other.line("GET k").text().contains("BUSY"));
    assert!(other.line("SCRIPT KILL").text().contains("UNKILLABLE"));
    assert!(other.line("FUNCTION KILL").text().contains("BUSY"));
    assert!(other.line("SHUTDOWN").text().contains("BUSY"));
    other.raw(b"SHUTDOWN NOSAVE\r\n");
    server.wait_exit(LIMIT);
}

/// How widely used libraries go about locks, limits and queues: with scripts of our own that make the same calls.
#[test]
fn what_client_libraries_do_with_scripts() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    // A lock of several resources; only who has it extends and releases it.
    let lock = "for _, key in ipairs(KEYS) do if redis.call('exists', key) == 1 then return 0 end end
        for _, key in ipairs(KEYS) do redis.call('set', key, ARGV[1], 'PX', ARGV[2]) end return #KEYS";
    let extend = "for _, key in ipairs(KEYS) do if redis.call('get', key) ~= ARGV[1] then return 0 end end
        for _, key in ipairs(KEYS) do redis.call('pexpire', key, ARGV[2]) end return #KEYS";
    let release = "local n = 0 for _, key in ipairs(KEYS) do
        if redis.call('get', key) == ARGV[1] then n = n + redis.call('del', key) end end return n";
    for (script, owner, answer) in [
        (lock, "a", "2"),
        (lock, "b", "0"),
        (extend, "b", "0"),
        (extend, "a", "2"),
        (release, "b", "0"),
        (release, "a", "2"),
    ] {
        // As clients do it: by the digest, and with the text only when the server does not know it.
        let by_digest = ["EVALSHA", &sha(script), "2", "r:1", "r:2", owner, "30000"];
        let mut told = kv.cmd(&by_digest).text();
        if told.starts_with("(error) NOSCRIPT ") {
            assert_eq!(kv.cmd(&["SCRIPT", "LOAD", script]).text(), format!("{:?}", sha(script)));
            told = kv.cmd(&by_digest).text();
        }
        assert_eq!(told, answer, "{script} by {owner}");
    }
    // A window that slides, by the server's clock; a bucket with fractions of tokens.
    let window = "local time = redis.call('TIME') local now = time[1] * 1000 + math.floor(time[2] / 1000)
        redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, now - ARGV[1]) local n = redis.call('ZCARD', KEYS[1])
        if n >= tonumber(ARGV[2]) then return {0, n} end
        redis.call('ZADD', KEYS[1], now, now .. '-' .. n) redis.call('PEXPIRE', KEYS[1], ARGV[1]) return {1, n + 1}";
    for answer in ["[1 1]", "[1 2]", "[0 2]"] {
        assert_eq!(kv.cmd(&["EVAL", window, "1", "window", "60000", "2"]).text(), answer);
    }
    let bucket = "local had = redis.call('HMGET', KEYS[1], 'tokens', 'at') local tokens = tonumber(had[1] or ARGV[1])
        local allowed = tokens >= 1.5 if allowed then tokens = tokens - 1.5 end
        redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', ARGV[2]) redis.call('EXPIRE', KEYS[1], 60)
        return {allowed and 1 or 0, tostring(tokens)}";
    for answer in ["[1 \"2.5\"]", "[1 \"1\"]", "[0 \"1\"]"] {
        assert_eq!(kv.cmd(&["EVAL", bucket, "1", "bucket", "4", "1"]).text(), answer);
    }
    // A queue: packed arguments, names of keys that are made up in the script, a stream of what happened.
    let add = "local o = cmsgpack.unpack(ARGV[1]) local prefix = KEYS[1] local id = redis.call('INCR', prefix .. 'id')
        redis.call('HMSET', prefix .. id, 'name', o.name, 'data', cjson.encode(o.data), 'delay', o.delay or 0)
        if o.delay then redis.call('ZADD', prefix .. 'delayed', o.delay, id) else redis.call('LPUSH', prefix .. 'wait', id) end
        redis.call('XADD', prefix .. 'events', 'MAXLEN', '~', 100, '*', 'event', 'added', 'id', id) return id .. ''";
    let take = "for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1] .. 'delayed', 0, ARGV[1], 'LIMIT', 0, 1000)) do
            redis.call('LPUSH', KEYS[1] .. 'wait', id) redis.call('ZREM', KEYS[1] .. 'delayed', id) end
        local id = redis.call('RPOPLPUSH', KEYS[1] .. 'wait', KEYS[1] .. 'active') if not id then return nil end
        redis.call('HSET', KEYS[1] .. id, 'at', ARGV[1]) return {redis.call('HGETALL', KEYS[1] .. id), id}";
    let done = "if redis.call('LREM', KEYS[1] .. 'active', -1, ARGV[1]) == 0 then
            return redis.error_reply('MISSING job ' .. ARGV[1]) end
        redis.call('ZADD', KEYS[1] .. 'completed', ARGV[2], ARGV[1]) return redis.status_reply('DONE')";
    let job = kv.cmd(&["EVAL", "return cmsgpack.pack({name = 'mail', data = {to = 'x'}, delay = 5})", "0"]);
    let added = kv.cmd_bytes(&[b"EVAL", add.as_bytes(), b"1", b"q:", job.bytes()]);
    assert_eq!(added.text(), "\"1\"");
    let run =
        |kv: &mut Conn, script: &str, args: &[&str]| kv.cmd(&[&["EVAL", script, "1", "q:"], args].concat()).text();
    assert_eq!(run(&mut kv, take, &["4"]), "(nil)");
    let taken = r#"[["name" "mail" "data" "{\"to\":\"x\"}" "delay" "5" "at" "6"] "1"]"#;
    assert_eq!(run(&mut kv, take, &["6"]), taken);
    assert_eq!(run(&mut kv, done, &["1", "7"]), "DONE");
    assert_eq!(run(&mut kv, done, &["1", "7"]), "(error) MISSING job 1");
    kv.talk("XLEN q:events => 1\n ZSCORE q:completed 1 => \"7\"");
    // What is due, one after another.
    let due = "local jobs = redis.call('zrange', KEYS[1], '-inf', ARGV[1], 'byscore', 'limit', 0, 1)
        if jobs[1] then redis.call('zrem', KEYS[1], jobs[1]) return jobs[1] end";
    kv.talk("ZADD schedule 1 a 2 b 9 c => 3");
    for answer in ["\"a\"", "\"b\"", "(nil)"] {
        assert_eq!(kv.cmd(&["EVAL", due, "1", "schedule", "5"]).text(), answer);
    }
}
