//! Tests of the engine, with a server that knows a few commands.

use super::{Answer, Ended, Engine, Kind, LoadError, LogLevel, Server};
use crate::resp::{Args, OwnedArgs, Proto, Reply};

/// A server that answers what it is told to.
#[derive(Default)]
struct Fake {
    reply: Vec<u8>,
    logged: Vec<String>,
    /// Scripts are stopped when they have been asked so often.
    patience: usize,
    asked: usize,
    counted: Vec<String>,
    seen: Vec<Vec<String>>,
}

impl Server for Fake {
    fn call(&mut self, args: Args<'_>) -> Answer<'_> {
        self.seen.push(args.iter().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect());
        match &args[0] {
            b"unknown" => Answer::Refused(b"ERR Unknown Redis command called from script"),
            b"raw" => {
                self.reply = args[1].to_vec();
                Answer::Reply(&self.reply)
            }
            _ => {
                self.reply = [b"$", args.len().to_string().as_bytes(), b"\r\n"].concat();
                self.reply = b"+OK\r\n".to_vec();
                Answer::Reply(&self.reply)
            }
        }
    }

    fn must_stop(&mut self) -> Option<&'static str> {
        self.patience = self.patience.saturating_sub(1);
        self.asked += 1;
        (self.patience == 0).then_some("Script killed by user with SCRIPT KILL.")
    }

    fn abort(&mut self) -> bool {
        true
    }

    fn log(&mut self, level: LogLevel, text: &[u8]) {
        self.logged.push(format!("{level:?} {}", String::from_utf8_lossy(text)));
    }

    fn may_call(&mut self, args: Args<'_>) -> Option<bool> {
        (&args[0] != b"unknown").then_some(true)
    }

    fn set_protocol(&mut self, _: Proto) {}

    fn set_propagation(&mut self, _: u8) {}

    fn count_error(&mut self, text: &[u8]) {
        self.counted.push(String::from_utf8_lossy(text).into_owned());
    }
}

fn engine() -> Engine {
    Engine::new(Kind::Scripts, ("8.2.3", 0x80203))
}

/// What a script answers: its reply, or its error.
fn eval_in(engine: &mut Engine, fake: &mut Fake, body: &str, keys: &[&str], args: &[&str]) -> String {
    let script = match engine.compile(body.as_bytes()) {
        Ok(script) => script,
        Err(text) => return String::from_utf8(text).expect("the tests know what comes"),
    };
    let (keys, args) = (OwnedArgs::from_parts(keys), OwnedArgs::from_parts(args));
    let mut reply = Reply::new();
    let ended = engine.run(fake, script, keys.view(), args.view(), &mut reply);
    engine.forget(script);
    match ended {
        Ended::Returned => String::from_utf8_lossy(&reply.out.to_vec()).replace("\r\n", " ").trim_end().to_owned(),
        Ended::Error { text, .. } => String::from_utf8(text).expect("the tests know what comes"),
        Ended::Failed { text, place, .. } => {
            let place = place.map(|(source, line)| {
                format!("{}:{line}", String::from_utf8(source).expect("the tests know what comes"))
            });
            format!("{} on {}", String::from_utf8(text).expect("the tests know what comes"), place.unwrap_or_default())
        }
    }
}

fn eval(body: &str) -> String {
    eval_in(&mut engine(), &mut Fake { patience: 5000, ..Fake::default() }, body, &[], &[])
}

#[test]
fn values_become_replies() {
    for (body, reply) in [
        ("return 1", ":1"),
        ("return 1.9", ":1"),
        ("return -1.9", ":-1"),
        ("return 'text'", "$4 text"),
        ("return true", ":1"),
        ("return false", "$-1"),
        ("return nil", "$-1"),
        ("return {}", "*0"),
        ("return {1,2,nil,4}", "*2 :1 :2"),
        ("return {1,{2,'x'},3}", "*3 :1 *2 :2 $1 x :3"),
        ("return {ok='fine'}", "+fine"),
        ("return {ok='fi\\nne'}", "+fi ne"),
        ("return {err='bad thing'}", "bad thing"),
        ("return {1,{err='bad thing'}}", "*2 :1 -bad thing"),
        ("return {double=3.5}", "$3 3.5"),
        ("return {map={a=1}}", "*2 $1 a :1"),
        ("return {set={a=true}}", "*1 $1 a"),
        ("return {big_number='12'}", "$2 12"),
        ("return {verbatim_string={format='txt',string='a'}}", "$1 a"),
        ("return redis.status_reply('ok')", "+ok"),
        ("return redis.status_reply()", "ERR wrong number or type of arguments"),
        ("return redis.error_reply('x')", "ERR x"),
        ("return redis.error_reply('X y')", "X y"),
        ("return redis.error_reply('-X y\\r\\n')", "X y"),
        ("return redis.error_reply('')", "ERR "),
        ("return redis.sha1hex('')", "$40 da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("return redis.REDIS_VERSION", "$5 8.2.3"),
        ("local t = {} t[1] = t return #redis.sha1hex('')", ":40"),
    ] {
        assert_eq!(eval(body), reply, "{body}");
    }
    assert!(eval("local t={} t[1]=t return t").contains("-ERR reached lua stack limit"));
}

#[test]
fn replies_become_values() {
    for (reply, body, expected) in [
        ("$5\\r\\nhello\\r\\n", "return r .. '!'", "$6 hello!"),
        ("$-1\\r\\n", "return tostring(r)", "$5 false"),
        ("*-1\\r\\n", "return tostring(r)", "$5 false"),
        ("_\\r\\n", "return tostring(r)", "$3 nil"),
        (":12\\r\\n", "return r + 1", ":13"),
        ("+OK\\r\\n", "return r.ok", "$2 OK"),
        ("*2\\r\\n:1\\r\\n*1\\r\\n$1\\r\\nx\\r\\n", "return r[2][1]", "$1 x"),
        ("*2\\r\\n:1\\r\\n-ERR no\\r\\n", "return r[2].err", "$6 ERR no"),
        ("%1\\r\\n$1\\r\\na\\r\\n:1\\r\\n", "return r.map.a", ":1"),
        ("~1\\r\\n$1\\r\\na\\r\\n", "return tostring(r.set.a)", "$4 true"),
        (",1.5\\r\\n", "return tostring(r.double)", "$3 1.5"),
        ("#t\\r\\n", "return tostring(r)", "$4 true"),
        ("(123\\r\\n", "return r.big_number", "$3 123"),
        ("=5\\r\\ntxt:a\\r\\n", "return {r.verbatim_string.format, r.verbatim_string.string}", "*2 $3 txt $1 a"),
    ] {
        assert_eq!(eval(&format!("local r = redis.call('raw', '{reply}') {body}")), expected, "{reply}");
    }
}

#[test]
fn errors_say_where() {
    for (body, error) in [
        ("error('x')", "ERR user_script:1: x on @user_script:1"),
        ("\n error({err='x'})", "x on @user_script:2"),
        ("error({})", "ERR unknown error on @user_script:1"),
        ("error()", "ERR nil on @user_script:1"),
        ("return redis.call('unknown')", "ERR Unknown Redis command called from script on @user_script:1"),
        ("return redis.pcall('unknown')", "ERR Unknown Redis command called from script"),
        ("return redis.call('raw','-WRONGTYPE no\\r\\n')", "WRONGTYPE no on @user_script:1"),
        ("return redis.call()", "ERR Please specify at least one argument for this redis lib call on @user_script:1"),
        ("return redis.call({})", "ERR Lua redis lib command arguments must be strings or integers on @user_script:1"),
        ("return redis.log()", "ERR redis.log() requires two arguments or more. on @user_script:1"),
        ("return redis.setresp(5)", "ERR RESP version must be 2 or 3. on @user_script:1"),
        (
            "return redis.acl_check_cmd('unknown')",
            "ERR Invalid command passed to redis.acl_check_cmd() on @user_script:1",
        ),
        ("local ok, e = pcall(redis.call, 'unknown') return e", "$44 ERR Unknown Redis command called from script"),
        ("local ok, e = pcall(error, {err='q'}) return e", "$1 q"),
        ("return select('#', pcall(error, {1}))", ":3"),
        ("return select('#', pcall(error, 'x'))", ":2"),
        ("local ok, e = pcall(function() error('abc') end) return e", "$18 user_script:1: abc"),
        ("return 1 +", "user_script:1: unexpected symbol near '<eof>'"),
        ("local function f() return f() + 1 end return f()", "ERR user_script:1: stack overflow on @user_script:1"),
    ] {
        assert_eq!(eval(body), error, "{body}");
    }
}

#[test]
fn nothing_that_stays_can_be_changed() {
    let read_only = "Attempt to modify a readonly table";
    for body in [
        "x = 1",
        "redis = 1",
        "redis.x = 1",
        "redis.call = 1",
        "string.len = nil",
        "rawset(redis, 'x', 1)",
        "rawset(_G, 'x', 1)",
        "setmetatable(redis, {})",
        "setmetatable(_G, {})",
        "table.insert(redis, 1)",
        "getmetatable('').__index = 1",
        "getmetatable('').__index.len = 1",
        "getmetatable(_G).__index = 1",
        "for name, value in pairs(_G) do if name == 'string' then value.len = nil end end",
        "_G._G.x = 1",
    ] {
        assert!(eval(body).contains(read_only), "{body}: {}", eval(body));
    }
    for (body, reply) in [
        ("local n = 0 for k in pairs(redis) do n = n + 1 end return n > 20", ":1"),
        ("return type(rawget(_G, 'redis'))", "$5 table"),
        ("return tostring(rawget(redis, 'nothing'))", "$3 nil"),
        ("return tostring(getmetatable(redis))", "$3 nil"),
        ("return tostring(getmetatable('').__index == string)", "$4 true"),
        ("return type(next(redis))", "$6 string"),
        ("local t = {} table.insert(t, 1) table.insert(t, 1, 2) return t", "*2 :2 :1"),
        ("local t = setmetatable({}, {__index = function() return 7 end}) return t.x", ":7"),
        ("return loadstring('return 5')()", ":5"),
        ("return tostring(loadstring(string.dump(function() return 1 end)))", "$3 nil"),
        ("local sent return load(function() if not sent then sent = 1 return 'return 6' end end)()", ":6"),
        ("local d = string.dump(function() end) return tostring(load(function() return d end))", "$3 nil"),
        ("return ('x'):rep(3)", "$3 xxx"),
        ("return type(os.clock()) .. tostring(rawget(os, 'execute'))", "$9 numbernil"),
    ] {
        assert_eq!(eval(body), reply, "{body}");
    }
    for name in ["print", "dofile", "loadfile", "require", "debug", "io", "setfenv", "getfenv", "newproxy", "KEYSX"] {
        let text = format!("Script attempted to access nonexistent global variable '{name}'");
        assert!(eval(&format!("return {name}")).contains(&text), "{name}");
    }
}

#[test]
fn keys_and_arguments_come_anew_with_each_run() {
    let (mut engine, mut fake) = (engine(), Fake { patience: 5000, ..Fake::default() });
    let all = "return {#KEYS, #ARGV, KEYS[1], ARGV[2]}";
    assert_eq!(eval_in(&mut engine, &mut fake, all, &["k"], &["a", "b"]), "*4 :1 :2 $1 k $1 b");
    assert_eq!(eval_in(&mut engine, &mut fake, "KEYS.x = 1 ARGV[9] = 1 return KEYS.x", &[], &[]), ":1");
    assert_eq!(
        eval_in(&mut engine, &mut fake, "return {#KEYS, #ARGV, tostring(KEYS.x), tostring(ARGV[9])}", &[], &[]),
        "*4 :0 :0 $3 nil $3 nil"
    );
    let many: Vec<String> = (0..10_000).map(|i| i.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(eval_in(&mut engine, &mut fake, "return {#KEYS, KEYS[10000]}", &many, &[]), "*2 :10000 $4 9999");
}

#[test]
fn arguments_are_spelled_as_redis_spells_them() {
    let (mut engine, mut fake) = (engine(), Fake { patience: 5000, ..Fake::default() });
    let body = "return redis.call('x', 1, 1.5, 0.1, 1e100, 2^53, 0, 1/0, 9223372036854775807, 'text', -3)";
    assert_eq!(eval_in(&mut engine, &mut fake, body, &[], &[]), "+OK");
    let expected = "x 1 1.5 0.1 1e+100 9007199254740992 0 inf 9223372036854776000 text -3";
    assert_eq!(fake.seen[0].join(" "), expected);
}

#[test]
fn a_script_that_runs_wild_is_stopped() {
    for body in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "coroutine.wrap(function() while true do end end)()",
        "while true do pcall(coroutine.wrap(function() while true do pcall(error) end end)) end",
        "while true do redis.pcall('x') end",
        "local f function f() xpcall(function() while true do end end, f) end f()",
    ] {
        let (mut engine, mut fake) = (engine(), Fake { patience: 3, ..Fake::default() });
        let text = eval_in(&mut engine, &mut fake, body, &[], &[]);
        assert!(text.starts_with("ERR Script killed by user with SCRIPT KILL."), "{body}: {text}");
        assert_eq!(fake.asked, 3, "{body}: once told to end it runs nothing more");
        (fake.patience, fake.asked) = (3, 0);
        assert_eq!(eval_in(&mut engine, &mut fake, "return 1", &[], &[]), ":1");
    }
}

#[test]
fn what_is_the_work_of_many_instructions_asks_on_its_own() {
    for (body, asks) in [
        ("for i = 1, 50 do collectgarbage() end return 1", 50),
        ("local n = 0 load(function() n = n + 1 if n < 50 then return ' ' end end) return 1", 50),
        ("for i = 1, 50 do string.rep('x', 1e5) end return 1", 50),
        ("local s = string.rep('x', 1e5) for i = 1, 49 do s:upper() end return 1", 50),
        ("local s = string.rep('x', 1e5) for i = 1, 49 do cjson.encode(s) end return 1", 50),
        ("local s = string.rep('1', 1e5) for i = 1, 49 do cjson.decode(s) end return 1", 50),
        ("local s = string.rep('x', 1e5) for i = 1, 49 do cmsgpack.pack(s) end return 1", 50),
        ("local s = cmsgpack.pack(string.rep('x', 1e5)) for i = 1, 48 do cmsgpack.unpack(s) end return 1", 50),
        ("local s = string.rep('x', 1e5) for i = 1, 49 do struct.pack('s', s) end return 1", 50),
        ("local s = string.rep('x', 1e5) for i = 1, 49 do struct.unpack('c9', s) end return 1", 50),
        ("local s = string.rep('x', 1e5) for i = 1, 49 do s:find('y', 1, true) end return 1", 50),
        ("local s = string.rep('x', 1e5) for i = 1, 49 do redis.sha1hex(s) end return 1", 50),
        ("local s = string.rep('x', 1e5) for i = 1, 49 do redis.call('x', s) end return 1", 50),
        ("local t = {} t[1] = string.rep('x', 1e5) for i = 1, 49 do string.format(t[1]) end return 1", 50),
        ("for i = 1, 50 do string.rep('x', 1e2) end return 1", 0),
        ("for i = 1, 50000 do end return 1", 50),
    ] {
        let (mut engine, mut fake) = (engine(), Fake { patience: 5000, ..Fake::default() });
        assert_eq!(eval_in(&mut engine, &mut fake, body, &[], &[]), ":1");
        let asked = 5000 - fake.patience;
        assert!((asks..asks + 2).contains(&asked), "{body}: asked {asked} times");
    }
}

#[test]
fn memory_has_a_limit() {
    let (mut engine, mut fake) = (engine(), Fake { patience: usize::MAX, ..Fake::default() });
    engine.limit_memory(32 << 20);
    for body in [
        "local t = {} while true do t[#t + 1] = {} end",
        "return #string.rep('x', 1e9)",
        "local s = 'x' while true do s = s .. s end",
        "return redis.call('raw', '$' .. string.rep('9', 5) .. '\\r\\n' .. string.rep('x', 99999) .. '\\r\\n' ) .. string.rep('y', 1e9)",
    ] {
        let text = eval_in(&mut engine, &mut fake, body, &[], &[]);
        assert!(text.contains("not enough memory"), "{body}: {text}");
        assert_eq!(eval_in(&mut engine, &mut fake, "return 1", &[], &[]), ":1");
    }
    engine.collect();
    assert!(engine.memory() < 8 << 20, "{}", engine.memory());
}

/// A table that is in many places of itself.
const MANY: &str = "local t = {string.rep('x', 100)} for i = 1, 25 do t = {t, t} end ";

/// The same, not deep.
const WIDE: &str =
    "local t = string.rep('x', 100) for i = 1, 5 do local u = {} for j = 1, 50 do u[j] = t end t = u end ";

#[test]
fn what_is_put_together_outside_of_lua_has_a_limit_too() {
    let big = "local s = string.rep('x', 4e6) local t = {} for i = 1, 7000 do t[i] = s end ";
    let bombs = [
        (8, MANY, "return t"),
        (8, MANY, "return {map = {t = t}}"),
        (8, MANY, "return cjson.encode(t)"),
        (8, MANY, "return cjson.encode({a = t})"),
        (8, WIDE, "return cmsgpack.pack(t)"),
        (24, big, "return t"),
        (24, big, "return cjson.encode(t)"),
        (24, big, "return cmsgpack.pack(t)"),
        (24, big, "local o = {} for i = 1, 7000 do o['k' .. i] = s end return cjson.encode(o)"),
        (24, big, "t = {s = s} t.t = t return cjson.encode(t)"),
        (24, big, "return struct.pack(string.rep('s', 7000), unpack(t))"),
        (24, big, "return redis.call('x', unpack(t))"),
        (24, big, "return (string.gsub(s, '.', s))"),
        (3, "", "cjson.encode_sparse_array(true, 0, 0) return cjson.encode({[2147483646] = 1})"),
    ];
    for (limit_mb, begin, end) in bombs {
        let body = format!("{begin}{end}");
        let (mut engine, mut fake) = (engine(), Fake { patience: 1_000_000, ..Fake::default() });
        engine.limit_memory(limit_mb << 20);
        let text = eval_in(&mut engine, &mut fake, &body, &[], &[]);
        assert!(text.contains("not enough memory"), "{body}: {text:.200}");
        assert_eq!(eval_in(&mut engine, &mut fake, "return 1", &[], &[]), ":1");
        // Arguments are no more than a script may have.
        if !end.contains("redis.call") && !begin.is_empty() {
            let (mut engine, mut fake) = (self::engine(), Fake { patience: 5, ..Fake::default() });
            let text = eval_in(&mut engine, &mut fake, &body, &[], &[]);
            assert!(text.starts_with("ERR Script killed by user"), "{body}: {text:.200}");
        }
    }
}

#[test]
fn what_an_error_has_ended_takes_no_room() {
    for catch in ["pcall(f)", "xpcall(f, type)", "coroutine.resume(coroutine.create(f))", "load(f)"] {
        let body = format!(
            "local s = string.rep('x', 4e6)
             local function f() return (string.gsub(s .. 'y', 'y', error)) end
             for i = 1, 20 do {catch} end
             return #string.gsub(s, 'y$', '')"
        );
        let (mut engine, mut fake) = (engine(), Fake { patience: 1_000_000, ..Fake::default() });
        engine.limit_memory(48 << 20);
        assert_eq!(eval_in(&mut engine, &mut fake, &body, &[], &[]), ":4000000", "{catch}");
    }
}

#[test]
fn libraries_register_functions() {
    let mut engine = Engine::new(Kind::Functions, ("8.2.3", 0x80203));
    let mut fake = Fake { patience: 5000, ..Fake::default() };
    let code = "\nlocal n = 0
        redis.register_function('f', function(keys, args) n = n + 1 return {n, keys[1], args[1]} end)
        redis.register_function{function_name='g', callback=function() return redis.call('x') end,
            flags={'no-writes'}, description='does x'}";
    let functions = engine.load(&mut fake, code.as_bytes()).expect("the tests know what comes");
    let shown: Vec<_> = functions.iter().map(|f| (&f.name[..], f.description.as_deref(), f.flags)).collect();
    let expected: [(&[u8], Option<&[u8]>, _); 2] = [
        (b"f", None, crate::script::ScriptFlags::NONE),
        (b"g", Some(b"does x"), crate::script::ScriptFlags::NO_WRITES),
    ];
    assert_eq!(shown, expected);
    let taking = "redis.register_function('none', function() return 0 end)
        redis.register_function('one', function(k) return k[1] end)
        redis.register_function('two', function(k, a) return k[1] .. a[1] end)
        redis.register_function('three', function(k, a, x) return k[1] .. a[1] .. tostring(x) end)
        redis.register_function('any', function(...) return #select(1, ...) + #select(2, ...) end)
        redis.register_function('c', redis.log)";
    let taking = engine.load(&mut fake, taking.as_bytes()).expect("the tests know what comes");
    let expected = [(0, ":0"), (1, "$1 k"), (2, "$2 ka"), (2, "$5 kanil"), (2, ":2"), (2, "-")];
    for (function, (lists, text)) in taking.iter().zip(expected) {
        let (keys, args) = (OwnedArgs::from_parts(["k"]), OwnedArgs::from_parts(["a"]));
        let mut reply = Reply::new();
        let ended = engine.run(&mut fake, function.script(), keys.view(), args.view(), &mut reply);
        assert_eq!(function.lists, lists, "{}", String::from_utf8_lossy(&function.name));
        if text == "-" {
            assert!(matches!(ended, Ended::Failed { .. }));
        } else {
            assert_eq!(
                String::from_utf8(reply.out.to_vec())
                    .expect("the tests know what comes")
                    .replace("\r\n", " ")
                    .trim_end(),
                text
            );
        }
    }
    for n in 1..3 {
        let (keys, args) = (OwnedArgs::from_parts(["k"]), OwnedArgs::from_parts(["a"]));
        let mut reply = Reply::new();
        assert_eq!(engine.run(&mut fake, functions[0].script(), keys.view(), args.view(), &mut reply), Ended::Returned);
        assert_eq!(reply.out.to_vec(), format!("*3\r\n:{n}\r\n$1\r\nk\r\n$1\r\na\r\n").into_bytes());
    }
    for (code, error) in [
        ("redis.call('x')", "ERR user_function:1: Script attempted to access nonexistent global variable 'call'"),
        ("local x = pairs", "ERR user_function:1: Script attempted to access nonexistent global variable 'pairs'"),
        ("x = 1", "ERR user_function:1: Attempt to modify a readonly table"),
        (
            "redis.register_function('a')",
            "ERR calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).",
        ),
        (
            "redis.register_function('a-b', redis.log)",
            "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long",
        ),
        (
            "redis.register_function('a', redis.log) redis.register_function('a', redis.log)",
            "ERR Function already exists in the library",
        ),
    ] {
        let found = engine.load(&mut fake, code.as_bytes()).unwrap_err();
        assert_eq!(found, LoadError::Running(error.into()), "{code}");
    }
    assert!(matches!(engine.load(&mut fake, b"1 x"), Err(LoadError::Compiling(_))));
}

/// Our matcher and Lua's own, on anything that looks like a pattern.
#[test]
fn patterns_match_what_they_match_in_lua() {
    let plain = mlua::Lua::new();
    let (mut engine, mut fake) = (engine(), Fake { patience: usize::MAX, ..Fake::default() });
    let body = r#"
        local show = function(...)
            local t = {}
            for i = 1, select('#', ...) do t[i] = tostring((select(i, ...))) end
            return table.concat(t, '|')
        end
        local out = {}
        local try = function(f, ...)
            local n = {pcall(f, ...)}
            out[#out + 1] = show(unpack(n, 1, 6))
        end
        local text, pattern, init = ARGV[1], ARGV[2], tonumber(ARGV[3])
        try(string.find, text, pattern, init)
        try(string.find, text, pattern, init, true)
        try(string.match, text, pattern, init)
        try(string.gsub, text, pattern, '<%1%%%0>')
        try(string.gsub, text, pattern, 'x', init)
        try(string.gsub, text, pattern, {a = 'A', b = false, ab = 3})
        try(string.gsub, text, pattern, function(a, b) if a == 'b' then return nil end return (b or a) .. '!' end)
        try(function() local r = {} for a, b in string.gmatch(text, pattern) do r[#r + 1] = show(a, b) end return unpack(r, 1, 4) end)
        return table.concat(out, '\n')"#;
    let mut rng = crate::util::rng::Rng::from_seed(11);
    let mut pick = |from: &[&str], most: u64| -> String {
        (0..rng.below(most + 1)).map(|_| from[rng.below(from.len() as u64) as usize]).collect()
    };
    let script = engine.compile(body.as_bytes()).expect("the tests know what comes");
    let function = plain.load(body).set_name("@user_script").into_function().expect("the tests know what comes");
    let parts = [
        "a", "b", "1", ".", "%a", "%d", "%s", "%W", "[ab]", "[^a]", "[a-b%d]", "*", "+", "-", "?", "(", ")", "()", "^",
        "$", "%b()", "%f[%a]", "%1", "%", "[", "]", "%%",
    ];
    for round in 0..3000 {
        let (text, pattern) = (pick(&["a", "b", "1", " ", "(", ")", "ab", "%"], 12), pick(&parts, 6));
        let init = ["1", "0", "-1", "3", "99", "-99"][round % 6];
        let argv = [&text[..], &pattern[..], init];
        plain.globals().set("ARGV", argv.to_vec()).expect("the tests know what comes");
        let expected: mlua::LuaString = function.call(()).expect("the tests know what comes");
        let (none, args) = (OwnedArgs::new(), OwnedArgs::from_parts(argv));
        let mut reply = Reply::new();
        let ended = engine.run(&mut fake, script, none.view(), args.view(), &mut reply);
        assert_eq!(ended, Ended::Returned, "{argv:?}");
        let got = reply.out.to_vec();
        let begin = got.iter().position(|byte| *byte == b'\n').expect("the tests know what comes") + 1;
        let (got, expected) = (String::from_utf8_lossy(&got[begin..got.len() - 2]), expected.to_string_lossy());
        assert_eq!(got, expected, "{argv:?}");
    }
}

/// What advisories about scripts were about, by their numbers: see docs/security.md.
#[test]
fn advisories() {
    let huge = "2147483647";
    let cases: Vec<(&str, String, &str)> = vec![
        ("CVE-2015-4335", "return tostring(loadstring(string.dump(function() end)))".into(), "$3 nil"),
        ("CVE-2015-4335", "local s return tostring(load(function() if s then return end s = 1 return '\\27Lua' end))".into(), "$3 nil"),
        ("CVE-2015-8080", format!("return pcall(struct.unpack, 'i{huge}0', 'x')"), "$-1"),
        ("CVE-2018-11218", "return #cmsgpack.pack(unpack({}, 1, 3000)) > 0".into(), ":1"),
        ("CVE-2018-11219", format!("return pcall(struct.pack, '>I{huge}', 10)"), "$-1"),
        ("CVE-2018-11219", "return pcall(struct.unpack, 'c2147483647', 'x')".into(), "$-1"),
        ("CVE-2020-14147", "return pcall(struct.unpack, 'I99999999999999999999', 'x')".into(), "$-1"),
        ("CVE-2021-32626", "local t = {} for i = 1, 300 do t = {t} end return #cjson.encode(t) > 0".into(), ":1"),
        ("CVE-2022-24735", "local ok = pcall(function() getmetatable('').__index = 1 end) return ok".into(), "$-1"),
        ("CVE-2022-24834", "return pcall(cjson.encode, {[1]=1, [1e9]=1})".into(), "$-1"),
        ("CVE-2022-24834", "local t = {} t[1] = t return pcall(cjson.encode, t)".into(), "$-1"),
        ("CVE-2022-24834", "return pcall(cmsgpack.unpack, '\\221\\255\\255\\255\\255')".into(), "$-1"),
        ("CVE-2024-31449", "return bit.tohex(65535, -2147483648)".into(), "$8 0000FFFF"),
        ("CVE-2025-46817", format!("return pcall(unpack, {{1}}, 0, {huge})"), "$-1"),
        ("CVE-2025-46817", format!("return pcall(unpack, {{1}}, -{huge}, {huge})"), "$-1"),
        ("CVE-2025-46818", "return pcall(function() getmetatable('').__add = 1 end)".into(), "$-1"),
        (
            "CVE-2025-46818",
            "local t = {} for _, v in ipairs({1, true, type, coroutine.create(function() end)}) do t[#t + 1] = tostring(getmetatable(v)) end \
             return table.concat(t, ' ') .. tostring(getmetatable(nil))"
                .into(),
            "$18 nil nil nil nilnil",
        ),
        ("CVE-2025-46819", "return pcall(function() return #loadstring('return [' .. string.rep('=', 1e6) .. '[') end)".into(), "$-1"),
        (
            "CVE-2025-49844",
            "local n = 0 local f = load(function() n = n + 1 collectgarbage() if n == 1 then return 'return ' elseif n == 2 \
             then return '7' end end, string.rep('name', 100)) collectgarbage() return f()"
                .into(),
            ":7",
        ),
        ("string.format", "return pcall(string.format, '%99999999d', 1)".into(), "$-1"),
        ("string.rep", "return pcall(string.rep, string.rep('x', 1e6), 1e6)".into(), "$-1"),
        ("gsub", "return pcall(string.gsub, string.rep('a', 1e6), 'a', string.rep('b', 1e6))".into(), "$-1"),
        ("patterns", "return pcall(string.find, string.rep('a', 1e6), string.rep('a?', 1e6))".into(), "$-1"),
        ("coroutines", "return pcall(coroutine.wrap(function() coroutine.yield() end)) and 1".into(), ":1"),
    ];
    for (name, body, reply) in cases {
        let (mut engine, mut fake) = (engine(), Fake { patience: usize::MAX, ..Fake::default() });
        engine.limit_memory(64 << 20);
        let got = eval_in(&mut engine, &mut fake, &body, &[], &[]);
        assert_eq!(got, reply, "{name}: {body}");
        assert_eq!(eval_in(&mut engine, &mut fake, "return 1", &[], &[]), ":1", "{name}");
    }
}
