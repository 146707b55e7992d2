//! Scripts: any program, from pieces that touch what a sandbox must hold, ends, and leaves everything as it was.
#![no_main]

use std::cell::RefCell;
use std::time::{Duration, Instant};

use kvstash::resp::{Args, OwnedArgs, Proto, Reply};
use kvstash::script::{Answer, Engine, Kind, LogLevel, Server};
use libfuzzer_sys::fuzz_target;

/// For so long a script may run. It is looked at when the server is asked: whoever asks too seldom hangs.
const PATIENCE: Duration = Duration::from_millis(30);

/// A server that answers anything, and loses patience soon.
struct Fake {
    reply: Vec<u8>,
    ends: Instant,
}

impl Server for Fake {
    fn call(&mut self, args: Args<'_>) -> Answer<'_> {
        const REPLIES: [&[u8]; 9] = [
            b"+OK\r\n",
            b":-7\r\n",
            b"$-1\r\n",
            b"*2\r\n$1\r\nx\r\n*1\r\n-ERR inner\r\n",
            b"-WRONGTYPE no\r\n",
            b"%1\r\n+k\r\n~1\r\n,1.5\r\n",
            b"=5\r\ntxt:x\r\n",
            b"(123\r\n",
            b"_\r\n",
        ];
        let at = args.iter().map(|arg| arg.len()).sum::<usize>() % (REPLIES.len() + 1);
        match REPLIES.get(at) {
            Some(reply) => self.reply = reply.to_vec(),
            None => return Answer::Refused(b"ERR refused"),
        }
        Answer::Reply(&self.reply)
    }

    fn must_stop(&mut self) -> Option<&'static str> {
        (Instant::now() > self.ends).then_some("enough")
    }

    fn abort(&mut self) -> bool {
        true
    }

    fn log(&mut self, _: LogLevel, _: &[u8]) {}

    fn may_call(&mut self, args: Args<'_>) -> Option<bool> {
        (args.len() > 1).then_some(true)
    }

    fn set_protocol(&mut self, _: Proto) {}

    fn set_propagation(&mut self, _: u8) {}

    fn count_error(&mut self, _: &[u8]) {}
}

/// Names of everything there is, deep, with types: it must be the same after any script.
const FINGERPRINT: &str = "
    local seen, out = {}, {}
    local function walk(name, value)
        out[#out + 1] = name .. ':' .. type(value)
        if type(value) ~= 'table' or seen[value] then return end
        seen[value] = true
        for k, v in pairs(value) do
            if k ~= 'KEYS' and k ~= 'ARGV' then walk(name .. '.' .. tostring(k), v) end
        end
    end
    walk('_G', _G) walk('string', getmetatable('')) walk('meta', getmetatable(_G))
    out[#out + 1] = tostring(getmetatable(redis)) .. tostring(getmetatable(nil)) .. tostring(getmetatable(1))
    out[#out + 1] = tostring(string.len('abc')) .. tostring(('x'):rep(2)) .. redis.sha1hex('a') .. tostring(getmetatable('').__index == string)
    table.sort(out)
    return table.concat(out, ' ')";

const PIECES: &[&str] = &[
    "redis", "redis.call('x', a)", "redis.pcall('yy', b, 1.5)", "_G", "string", "table", "math", "cjson", "cmsgpack", "bit", "struct",
    "getmetatable('')", "getmetatable(_G)", "getmetatable(a)", "setmetatable(a, b)", "setmetatable(_G, a)", "rawset(a, b, c)",
    "rawset(_G, 'x', a)", "rawget(_G, a)", "rawequal(a, b)", "next(a)", "next(_G, a)", "pairs(a)", "ipairs(a)", "unpack(a)",
    "unpack(a, n, m)", "select(n, a, b)", "tostring(a)", "tonumber(a)", "type(a)", "pcall(f, a, b)", "xpcall(f, g)", "error(a)",
    "error({err = b})", "assert(a, b)", "loadstring(a)", "loadstring('return ' .. tostring(a))", "load(f)", "string.dump(f)",
    "load(function() collectgarbage() return a end, b)", "collectgarbage()", "collectgarbage(a, n)", "coroutine.wrap(f)",
    "coroutine.create(f)", "coroutine.resume(a, b)", "coroutine.yield(a)", "coroutine.running()", "string.rep(a, n)",
    "string.format(a, b, c)", "string.format('%s %d %q', a, n, b)", "string.find(a, b, n)", "string.match(a, b)", "string.gsub(a, b, c)",
    "string.gsub(a, b, f, n)", "string.gmatch(a, b)", "string.byte(a, n, m)", "string.char(n, m)", "string.sub(a, n, m)",
    "string.len(a)", "string.upper(a)", "string.reverse(a)", "table.concat(a, b, n, m)", "table.insert(a, b)", "table.insert(a, n, b)",
    "table.remove(a, n)", "table.sort(a)", "table.sort(a, f)", "table.maxn(a)", "table.getn(a)", "table.foreach(a, f)", "math.random(n)",
    "math.random(n, m)", "math.randomseed(n)", "math.ldexp(n, m)", "math.fmod(n, m)", "cjson.encode(a)", "cjson.decode(a)",
    "cjson.decode('[[[[1,{\"a\":null}]]]]')", "cjson.new()", "cjson.encode_max_depth(n)", "cjson.encode_sparse_array(true, n, m)",
    "cjson.encode_number_precision(n)", "cmsgpack.pack(a, b)", "cmsgpack.unpack(a)", "cmsgpack.unpack_limit(a, n, m)",
    "cmsgpack.unpack_one(a, n)", "struct.pack(a, b, c)", "struct.pack('>I8!4s', n, b)", "struct.unpack(a, b, n)", "struct.size(a)",
    "bit.tohex(n, m)", "bit.lshift(n, m)", "bit.bor(n, m)", "redis.error_reply(a)", "redis.status_reply(a)", "redis.sha1hex(a)",
    "redis.log(n, a)", "redis.setresp(3)", "redis.set_repl(n)", "redis.acl_check_cmd(a, b)", "redis.abort(a)", "KEYS", "ARGV",
    "os.clock()", "a.b", "a[b]", "a .. b", "#a", "n + m", "a == b", "not a", "-n", "{a, b, c}", "{[a] = b}", "{err = a}", "{ok = a}",
    "{map = a}", "{set = a}", "{double = n}", "{big_number = a}", "{verbatim_string = {format = a, string = b}}", "f", "g", "'text'",
    "'%d'", "'(.-)%1'", "'\\27Lua'", "2147483647", "-2147483648", "1e308", "0/0", "1/0", "nil", "true", "3", "0", "-1", "1e9", "100",
];

const STATEMENTS: &[&str] = &[
    "a = E", "b = E", "c = E", "n = tonumber(E) or n", "m = tonumber(E) or m", "f = function(x) a = x return E end",
    "g = function(x, y) E2 return x end", "if E then S end", "for i = 1, 20 do S end", "for k, v in pairs(T) do c = v S end",
    "while true do S end", "local ok, e = pcall(function() S end) c = e", "a.x = E", "_G.x = E", "redis.x = E", "getmetatable('').__index = E",
    "string.x = E", "KEYS[1] = E", "setmetatable(KEYS, {__index = function() return a end})", "a = coroutine.wrap(function() S end)", "return E",
    "repeat S until true", "a = setmetatable({}, {__index = function() S return b end, __gc = f, __call = g, __tostring = f, __concat = g})",
];

/// A program out of bytes.
fn program(data: &[u8]) -> String {
    struct Source<'a>(std::slice::Iter<'a, u8>);
    impl Source<'_> {
        fn next(&mut self) -> usize {
            self.0.next().copied().map_or(0, usize::from)
        }
        fn expression(&mut self) -> &'static str {
            PIECES[self.next() % PIECES.len()]
        }
        fn statement(&mut self, depth: usize) -> String {
            let mut text = STATEMENTS[self.next() % STATEMENTS.len()].to_owned();
            while let Some(at) = text.find("E2") {
                text.replace_range(at..at + 2, &format!("c = {}", self.expression()));
            }
            let names: Vec<usize> = text
                .char_indices()
                .filter(|(at, c)| {
                    let beside = |at: Option<usize>| {
                        at.and_then(|at| text.as_bytes().get(at)).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
                    };
                    matches!(c, 'E' | 'S' | 'T') && !beside(at.checked_sub(1)) && !beside(Some(at + 1))
                })
                .map(|(at, _)| at)
                .collect();
            for at in names.into_iter().rev() {
                let piece = match text.as_bytes()[at] {
                    b'S' if depth < 4 => self.statement(depth + 1),
                    b'S' => "n = n + 1".to_owned(),
                    b'T' => "type(a) == 'table' and a or {}".to_owned(),
                    _ => self.expression().to_owned(),
                };
                text.replace_range(at..=at, &piece);
            }
            // Nothing may follow a return.
            if text.starts_with("return") { format!("do {text} end") } else { text }
        }
    }
    let mut source = Source(data.iter());
    let mut text = "local a, b, c, n, m = 'text', {1, 2, 3}, nil, 3, 5 local f = function(x) return x end local g = f ".to_owned();
    while source.0.len() > 0 && text.len() < 20_000 {
        text.push_str(&source.statement(0));
        text.push_str("; ");
    }
    text
}

fn run(engine: &mut Engine, body: &[u8], patience: Duration) -> Option<Vec<u8>> {
    let script = engine.compile(body).ok()?;
    let mut reply = Reply::new();
    let (keys, args) = (OwnedArgs::from_parts(["k1", "k2"]), OwnedArgs::from_parts(["a", "b", "c"]));
    let mut fake = Fake { reply: Vec::new(), ends: Instant::now() + patience };
    engine.run(&mut fake, script, keys.view(), args.view(), &mut reply);
    engine.forget(script);
    Some(reply.out.to_vec())
}

thread_local! {
    static ENGINE: RefCell<Option<(Engine, Vec<u8>)>> = const { RefCell::new(None) };
}

fuzz_target!(|data: &[u8]| {
    ENGINE.with_borrow_mut(|kept| {
        let (engine, expected) = kept.get_or_insert_with(|| {
            let mut engine = Engine::new(Kind::Scripts, ("8.2.3", 0x80203));
            engine.limit_memory(8 << 20);
            let expected = run(&mut engine, FINGERPRINT.as_bytes(), Duration::from_secs(60)).expect("it compiles");
            (engine, expected)
        });
        match data.split_first() {
            Some((0, source)) => _ = run(engine, source, PATIENCE),
            Some((_, choices)) => _ = run(engine, program(choices).as_bytes(), PATIENCE),
            None => return,
        }
        let left = run(engine, FINGERPRINT.as_bytes(), Duration::from_secs(60));
        assert_eq!(left.as_deref(), Some(&expected[..]), "{}", program(&data[1..]));
    });
});
