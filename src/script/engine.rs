//! One Lua state: compiling and running.
//!
//! ```text
//!   run -> lua_cpcall(enter) -> lua_pcall(the script, with the handler of errors) -> redis.call -> Server
//! ```
//!
//! Whatever is raised ends at the inner call, or, when even the arguments did not find memory, at the outer one.

use std::ffi::{CStr, c_char, c_int, c_void};

use mlua::ffi;
use mlua::{Lua, LuaOptions, StdLib, Table};

use super::register::Registered;
use super::returned::{self, Raised, ReturnedError};
use super::sandbox::{self, Sandbox};
use super::server::{self, Lent, Server};
use super::stack::{State, bytes, push};
use super::texts::{OUT_OF_MEMORY, Texts};
use super::{api, errors, libs};
use crate::resp::{Args, OwnedArgs, Proto, Reply};

/// After so many instructions of Lua the server is asked whether to go on. Some work for a long time: it is not many.
const INSTRUCTIONS: c_int = 1_000;

/// How large what is kept for arguments may be between two calls.
const ARGS_KEPT: usize = 64 << 10;

/// What an engine is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// EVAL.
    Scripts,
    /// FCALL.
    Functions,
}

impl Kind {
    /// How Lua names what it compiles; `@` marks the name of a file.
    fn chunk(self) -> &'static CStr {
        match self {
            Kind::Scripts => c"@user_script",
            Kind::Functions => c"@user_function",
        }
    }
}

/// A compiled script, or a function of a library. It belongs to its engine, which has to be told to forget it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Script {
    reference: c_int,
    /// How many of the two lists a function takes: it is not given what it would drop.
    lists: u8,
}

impl Registered {
    /// What there is to be run.
    pub fn script(&self) -> Script {
        Script { reference: self.reference, lists: self.lists }
    }
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// It returned: that is encoded.
    Returned,
    /// It returned an error as a whole.
    Error {
        /// The error, with its code.
        text: Vec<u8>,
        /// The command that failed was counted already.
        is_counted: bool,
    },
    /// It failed.
    Failed {
        /// Why, with a code.
        text: Vec<u8>,
        /// Where: a file, as Lua names it, and a line; none if that is not known.
        place: Option<(Vec<u8>, i64)>,
        /// The command that failed was counted already.
        is_counted: bool,
    },
}

/// See the module's header.
pub struct Engine {
    lua: Lua,
    kind: Kind,
    state: State,
    handler: c_int,
    /// KEYS and ARGV of scripts, and how long they are.
    keys: List,
    argv: List,
    sandbox: Sandbox,
    /// The globals while a library is loaded.
    loading: Option<Table>,
    args: OwnedArgs,
    /// `limit_memory`, for what is kept outside of the state.
    text_limit: Option<usize>,
}

impl Engine {
    /// A state with everything that scripts may use. `version`: of Redis, as a text and as a number.
    pub fn new(kind: Kind, version: (&str, i64)) -> Engine {
        Self::build(kind, version).expect("Lua starts with the memory that a small program needs")
    }

    fn build(kind: Kind, version: (&str, i64)) -> mlua::Result<Engine> {
        let libs = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::OS;
        let lua = Lua::new_with(libs, LuaOptions::new().catch_rust_panics(false))?;
        let mut tables = libs::install(&lua)?;
        libs::install_random(&lua, &lua.globals().raw_get("math")?)?;
        let redis = api::build(&lua, kind, version)?;
        tables.push(("server", redis.clone()));
        tables.push(("redis", redis));
        let sandbox = sandbox::build(&lua, tables)?;
        let loading = match kind {
            Kind::Scripts => None,
            Kind::Functions => Some(api::build_for_loading(&lua, version)?),
        };
        let (keys, argv) = (lua.create_table()?, lua.create_table()?);
        if kind == Kind::Scripts {
            sandbox.globals.raw_set("KEYS", &keys)?;
            sandbox.globals.raw_set("ARGV", &argv)?;
        }
        let (mut state, mut handler) = (std::ptr::null_mut(), 0);
        let (mut keys_at, mut argv_at) = (0, 0);
        // SAFETY: the stack is left as it was; the state lives as long as `lua`.
        unsafe {
            lua.exec_raw::<()>((keys, argv), |running| {
                argv_at = ffi::luaL_ref(running, ffi::LUA_REGISTRYINDEX);
                keys_at = ffi::luaL_ref(running, ffi::LUA_REGISTRYINDEX);
                ffi::lua_pushcclosure(running, errors::handler, 0);
                handler = ffi::luaL_ref(running, ffi::LUA_REGISTRYINDEX);
                ffi::lua_sethook(running, Some(hook), ffi::LUA_MASKCOUNT, INSTRUCTIONS);
                state = running;
            })?;
        }
        let keys = List { name: c"KEYS", reference: keys_at, len: 0 };
        let argv = List { name: c"ARGV", reference: argv_at, len: 0 };
        Ok(Engine { lua, kind, state, handler, keys, argv, sandbox, loading, args: OwnedArgs::new(), text_limit: None })
    }

    /// Bytes that the state takes.
    pub fn memory(&self) -> usize {
        self.lua.used_memory() + self.args.memory()
    }

    /// It may take so many bytes; 0: as many as it wants. What it has already it keeps.
    pub fn limit_memory(&mut self, bytes: usize) {
        self.text_limit = (bytes > 0).then_some(bytes);
        self.lua.set_memory_limit(bytes).expect("memory is counted by the allocator of every state");
    }

    /// Collects what nobody needs any more.
    pub fn collect(&self) {
        // A finalizer of a library could fail; there are none that do.
        let _ = self.lua.gc_collect();
    }

    /// Compiles a script. The error is what Lua says.
    pub fn compile(&mut self, body: &[u8]) -> Result<Script, Vec<u8>> {
        let mut job = Compile { body, chunk: self.kind.chunk(), compiled: 0 };
        // SAFETY: `compile` is given what it expects; the stack is left as it was.
        unsafe {
            let status = ffi::lua_cpcall(self.state, compile, (&raw mut job).cast());
            self.taken(status).map(|()| Script { reference: job.compiled, lists: 0 })
        }
    }

    /// It will not be run any more.
    pub fn forget(&mut self, script: Script) {
        // SAFETY: a reference of this state is given back; nothing is allocated, so nothing is raised.
        unsafe { ffi::luaL_unref(self.state, ffi::LUA_REGISTRYINDEX, script.reference) };
    }

    /// Runs what was compiled, or a function of a library. What it returns is encoded.
    pub fn run(
        &mut self,
        server: &mut dyn Server,
        script: Script,
        keys: Args<'_>,
        args: Args<'_>,
        reply: &mut Reply,
    ) -> Ended {
        let mut lent = self.lent(server);
        let before = reply.out.mark();
        let lists = (self.kind == Kind::Scripts).then_some([&raw mut self.keys, &raw mut self.argv]);
        let (taken, outcome) = self.enter(&mut lent, script, lists, [keys, args], reply);
        self.take_back(lent);
        let failure = match (&taken, &outcome) {
            (Err(text), _) => &text[..],
            (_, Some(Outcome::Raised(raised))) => &raised.text,
            _ => b"",
        };
        if failure.ends_with(OUT_OF_MEMORY.as_bytes()) {
            // What it had is garbage now, which Lua would look for only when more is taken.
            self.collect();
        }
        let ended = match (taken, outcome) {
            (Ok(()), None) => return Ended::Returned,
            (Ok(()), Some(Outcome::Returned(ReturnedError { text, is_counted }))) => Ended::Error { text, is_counted },
            (Ok(()), Some(Outcome::Raised(Raised { text, source, line, is_counted }))) => {
                Ended::Failed { text, place: (!source.is_empty()).then_some((source, line)), is_counted }
            }
            (Err(text), _) => Ended::Failed { text: [b"ERR ", &text[..]].concat(), place: None, is_counted: false },
        };
        reply.out.truncate_to(before);
        ended
    }

    /// Runs the code of a library, which registers functions. The error says what failed: compiling, or the rest.
    pub fn load(&mut self, server: &mut dyn Server, code: &[u8]) -> Result<Vec<Registered>, LoadError> {
        let script = self.compile(code).map_err(LoadError::Compiling)?;
        let loading = self.loading.clone().expect("libraries are loaded by the engine of functions");
        let show = |table: &Table| sandbox::show(&self.sandbox.proxy, table).map_err(|error| error.to_string());
        let mut reply = Reply::new();
        let none = OwnedArgs::new();
        let globals = self.sandbox.globals.clone();
        show(&loading).map_err(|text| LoadError::Running(text.into_bytes()))?;
        let mut lent = self.lent(server);
        lent.registered = Some(Vec::new());
        let (taken, outcome) = self.enter(&mut lent, script, None, [none.view(); 2], &mut reply);
        let registered = lent.registered.take().unwrap_or_default();
        self.take_back(lent);
        self.forget(script);
        let failure = match (taken, outcome) {
            (Ok(()), Some(Outcome::Raised(raised))) => Some(raised.text),
            (Ok(()), _) => None,
            (Err(text), _) => Some(text),
        };
        let shown = sandbox::show(&self.sandbox.proxy, &globals);
        if let Some(text) = failure.or_else(|| shown.err().map(|error| error.to_string().into_bytes())) {
            registered.iter().for_each(|function| self.forget(function.script()));
            return Err(LoadError::Running(text));
        }
        Ok(registered)
    }

    /// Runs what was compiled. What the outermost call has raised, if anything, and what came of it otherwise.
    fn enter(
        &mut self,
        lent: &mut Lent<'_>,
        script: Script,
        lists: Option<[*mut List; 2]>,
        [keys, args]: [Args<'_>; 2],
        reply: &mut Reply,
    ) -> (Result<(), Vec<u8>>, Option<Outcome>) {
        let mut run = Run { handler: self.handler, lists, script, keys, args, reply, outcome: None };
        // SAFETY: `enter` is given what it expects; the stack is left as it was.
        let status = unsafe {
            let run = (&raw mut run).cast::<c_void>();
            let state = self.state;
            server::lend(lent, || ffi::lua_cpcall(state, enter, run))
        };
        let outcome = run.outcome;
        (self.taken(status), outcome)
    }

    fn lent<'s>(&mut self, server: &'s mut dyn Server) -> Lent<'s> {
        Lent {
            server,
            args: std::mem::take(&mut self.args),
            proto: Proto::Resp2,
            registered: None,
            texts: Texts::new(self.text_limit),
            is_stopped: false,
        }
    }

    fn take_back(&mut self, lent: Lent<'_>) {
        self.args = if lent.args.memory() > ARGS_KEPT { OwnedArgs::new() } else { lent.args };
    }

    /// Takes the error of the outermost call off the stack, if there was one.
    fn taken(&mut self, status: c_int) -> Result<(), Vec<u8>> {
        if status == ffi::LUA_OK {
            return Ok(());
        }
        // SAFETY: an error is on top of the stack; it is a text, or what has not become one.
        unsafe {
            let text = bytes(self.state, -1).unwrap_or(OUT_OF_MEMORY.as_bytes()).to_vec();
            ffi::lua_settop(self.state, -2);
            Err(text)
        }
    }
}

/// An engine that runs nothing any more: another thread may drop it.
pub struct Retired(#[expect(dead_code, reason = "kept to be dropped")] Box<Engine>);

// SAFETY: all that is counted without atomics within an engine (the state, and tables of it) is reached by its fields and by
// nothing else, so that it moves as a whole; nobody uses it after that.
unsafe impl Send for Retired {}

impl Retired {
    /// See the type.
    pub fn new(engine: Box<Engine>) -> Retired {
        Retired(engine)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("kind", &self.kind).field("memory", &self.memory()).finish_non_exhaustive()
    }
}

/// Why a library was not loaded.
#[derive(Debug, PartialEq, Eq)]
pub enum LoadError {
    /// It does not compile.
    Compiling(Vec<u8>),
    /// It failed, or took too long, when it ran.
    Running(Vec<u8>),
}

struct Compile<'a> {
    body: &'a [u8],
    chunk: &'static CStr,
    compiled: c_int,
}

/// # Safety
/// Called by `lua_cpcall` with a [`Compile`].
unsafe extern "C-unwind" fn compile(state: State) -> c_int {
    // SAFETY: see above; nothing here has a destructor.
    unsafe {
        let job = &mut *ffi::lua_touserdata(state, 1).cast::<Compile<'_>>();
        if job.body.first() == Some(&ffi::LUA_SIGNATURE[0]) {
            push(state, b"byte code is not taken");
            ffi::lua_error(state);
        }
        let body = job.body.as_ptr().cast::<c_char>();
        if ffi::luaL_loadbuffer(state, body, job.body.len(), job.chunk.as_ptr()) != ffi::LUA_OK {
            ffi::lua_error(state);
        }
        job.compiled = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
        // Compiling leaves garbage, which Lua would let lie until there is as much of it as of everything else.
        ffi::lua_gc(state, ffi::LUA_GCSTEP, (job.body.len() / 256 + 4) as c_int);
        0
    }
}

struct Run<'a> {
    handler: c_int,
    /// What becomes KEYS and ARGV; a function is given them as arguments.
    lists: Option<[*mut List; 2]>,
    script: Script,
    keys: Args<'a>,
    args: Args<'a>,
    reply: &'a mut Reply,
    outcome: Option<Outcome>,
}

enum Outcome {
    Returned(ReturnedError),
    Raised(Raised),
}

/// # Safety
/// Called by `lua_cpcall` with a [`Run`].
unsafe extern "C-unwind" fn enter(state: State) -> c_int {
    // SAFETY: see above; nothing here has a destructor while something can be raised: the outcome is `None` until the end.
    unsafe {
        let run = &mut *ffi::lua_touserdata(state, 1).cast::<Run<'_>>();
        ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, run.handler);
        ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, run.script.reference);
        let mut args = 0;
        if let Some([keys, argv]) = run.lists {
            fill(state, &mut *keys, run.keys);
            fill(state, &mut *argv, run.args);
        } else {
            args = c_int::from(run.script.lists);
            if args > 0 {
                push_list(state, run.keys);
            }
            if args > 1 {
                push_list(state, run.args);
            }
        }
        if ffi::lua_pcall(state, args, 1, 2) != ffi::LUA_OK {
            run.outcome = Some(Outcome::Raised(returned::read_raised(state)));
            return 0;
        }
        let proto = server::with(|lent| lent.proto).unwrap_or_default();
        run.outcome = returned::encode_returned(state, proto, run.reply).map(Outcome::Returned);
        0
    }
}

/// A global list whose table is used again.
struct List {
    name: &'static CStr,
    /// Where the registry has it.
    reference: c_int,
    /// How many elements the last script was given.
    len: c_int,
}

/// Tables of more elements are made anew.
const LIST_KEPT: c_int = 32;

/// Gives a script its list. The table of the last one is taken if it is as that was given it.
///
/// # Safety
/// In a function that Lua has called; room for four values. May raise an error.
unsafe fn fill(state: State, list: &mut List, values: Args<'_>) {
    // SAFETY: the caller's promise.
    unsafe {
        let len = values.len() as c_int;
        ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, list.reference);
        if len <= LIST_KEPT && is_untouched(state, list.len) {
            for at in 0..values.len() {
                push(state, &values[at]);
                ffi::lua_rawseti_(state, -2, at as c_int + 1);
            }
            for at in len..list.len {
                ffi::lua_pushnil(state);
                ffi::lua_rawseti_(state, -2, at + 1);
            }
            ffi::lua_settop(state, -2);
            list.len = len;
            return;
        }
        ffi::lua_settop(state, -2);
        push_list(state, values);
        ffi::lua_pushvalue(state, -1);
        ffi::lua_rawseti_(state, ffi::LUA_REGISTRYINDEX, list.reference);
        // The globals that scripts see lead to the table in which it is.
        ffi::lua_getmetatable(state, ffi::LUA_GLOBALSINDEX);
        super::stack::raw_field(state, -1, c"__index");
        push(state, list.name.to_bytes());
        ffi::lua_pushvalue(state, -4);
        ffi::lua_rawset(state, -3);
        ffi::lua_settop(state, -4);
        list.len = len;
    }
}

/// Whether the table on top of the stack has no metatable, and no elements but those from 1 to `len`.
///
/// # Safety
/// As above.
unsafe fn is_untouched(state: State, len: c_int) -> bool {
    // SAFETY: the caller's promise; each key that `lua_next` is given is the one that it gave.
    unsafe {
        if ffi::lua_getmetatable(state, -1) != 0 {
            ffi::lua_settop(state, -2);
            return false;
        }
        ffi::lua_pushnil(state);
        let mut count = 0;
        while ffi::lua_next(state, -2) != 0 {
            count += 1;
            ffi::lua_settop(state, -2);
            if count > len
                || ffi::lua_type(state, -1) != ffi::LUA_TNUMBER
                || ffi::lua_tonumber(state, -1) != f64::from(count)
            {
                ffi::lua_settop(state, -2);
                return false;
            }
        }
        true
    }
}

/// # Safety
/// In a function that Lua has called; room for two values. May raise an error.
unsafe fn push_list(state: State, list: Args<'_>) {
    // SAFETY: the caller's promise.
    unsafe {
        ffi::lua_createtable(state, list.len() as c_int, 0);
        for at in 0..list.len() {
            push(state, &list[at]);
            ffi::lua_rawseti_(state, -2, at as c_int + 1);
        }
    }
}

/// Called now and then while a script runs. What it raises is caught by nobody: see `errors.rs`.
///
/// # Safety
/// For Lua to call.
unsafe extern "C-unwind" fn hook(state: State, _: *mut ffi::lua_Debug) {
    // SAFETY: for Lua, which does not jump over anything here.
    unsafe { errors::stop_if_must(state) }
}
