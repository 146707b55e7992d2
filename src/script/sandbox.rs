//! What a script finds: its globals, and functions of Lua that Redis has changed.
//!
//! Redis has changed Lua itself so that a table can be read-only. Here a read-only table is an empty one (a *proxy*) whose
//! metatable leads to the one that it stands for. Functions that look at tables without metamethods (`next`, `rawget`, ...)
//! know the mark in that metatable, and look at the table behind it.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use mlua::ffi::{self, lua_CFunction};
use mlua::{Function, LightUserData, Lua, Table, Value};

use super::stack::{State, bytes, push, raise_here};
use super::{errors, libs, strings, texts};

/// What is left of Lua's own globals.
const GLOBALS: [&str; 27] = [
    "_VERSION",
    "assert",
    "collectgarbage",
    "coroutine",
    "error",
    "gcinfo",
    "getmetatable",
    "ipairs",
    "load",
    "loadstring",
    "math",
    "next",
    "pairs",
    "pcall",
    "rawequal",
    "rawget",
    "rawset",
    "select",
    "setmetatable",
    "string",
    "table",
    "tonumber",
    "tostring",
    "type",
    "unpack",
    "xpcall",
    "os",
];

const READ_ONLY: &[u8] = b"Attempt to modify a readonly table";

/// An address that no script can name.
/// Something is kept under it in the registry of a state.
pub(super) struct Address(UnsafeCell<u8>);
// SAFETY: nobody looks at what is there.
unsafe impl Sync for Address {}

static MARK: Address = Address(UnsafeCell::new(0));
static STRING_META: Address = Address(UnsafeCell::new(1));
static GLOBAL_META: Address = Address(UnsafeCell::new(2));
/// The function that makes texts of what libraries raise.
pub(super) static PLAIN: Address = Address(UnsafeCell::new(3));

impl Address {
    fn pointer(&self) -> *mut c_void {
        self.0.get().cast()
    }

    fn key(&self) -> LightUserData {
        LightUserData(self.pointer())
    }

    /// Pushes what the registry has under it.
    ///
    /// # Safety
    /// Room for one value.
    pub unsafe fn push(&self, state: State) {
        // SAFETY: the caller's promise.
        unsafe {
            ffi::lua_pushlightuserdata(state, self.pointer());
            ffi::lua_rawget_(state, ffi::LUA_REGISTRYINDEX);
        }
    }
}

/// Functions of Lua that ours call, the same in every state.
pub(super) struct Originals {
    collectgarbage: lua_CFunction,
    getmetatable: lua_CFunction,
    setmetatable: lua_CFunction,
    insert: lua_CFunction,
    loadstring: lua_CFunction,
    pub resume: lua_CFunction,
}

static ORIGINALS: OnceLock<Originals> = OnceLock::new();

/// See [`Originals`].
pub(super) fn originals() -> &'static Originals {
    ORIGINALS.get().expect("a sandbox was built before anything ran in it")
}

/// The globals of a state.
pub(super) struct Sandbox {
    /// What is behind them: KEYS and ARGV are put here.
    pub globals: Table,
    /// What scripts see.
    pub proxy: Table,
}

/// Builds the globals, of Lua's own and of these tables.
pub(super) fn build(lua: &Lua, tables: Vec<(&'static str, Table)>) -> mlua::Result<Sandbox> {
    let all = lua.globals();
    let original = |table: &Table, name: &str| -> mlua::Result<lua_CFunction> {
        let function: Function = table.raw_get(name)?;
        // SAFETY: looks at its argument.
        let address = unsafe {
            let mut address = None;
            lua.exec_raw::<()>(function, |state| {
                address = ffi::lua_tocfunction(state, -1);
                ffi::lua_settop(state, 0);
            })?;
            address
        };
        address.ok_or_else(|| mlua::Error::runtime(format!("{name} is no function of C")))
    };
    let table: Table = all.raw_get("table")?;
    let coroutine: Table = all.raw_get("coroutine")?;
    let string: Table = all.raw_get("string")?;
    if ORIGINALS.get().is_none() {
        let originals = Originals {
            collectgarbage: original(&all, "collectgarbage")?,
            getmetatable: original(&all, "getmetatable")?,
            setmetatable: original(&all, "setmetatable")?,
            insert: original(&table, "insert")?,
            loadstring: original(&all, "loadstring")?,
            resume: original(&coroutine, "resume")?,
        };
        // Another thread may have been faster, with the same.
        let _ = ORIGINALS.set(originals);
    }
    let globals = lua.create_table()?;
    for name in GLOBALS {
        globals.raw_set(name, all.raw_get::<Value>(name)?)?;
    }
    let clock: Value = all.raw_get::<Table>("os")?.raw_get("clock")?;
    let os = lua.create_table_from([("clock", clock)])?;
    globals.raw_set("os", os)?;
    for (name, table) in tables {
        globals.raw_set(name, table)?;
    }
    coroutine.raw_set("resume", c_function(lua, errors::resume)?)?;
    let ours: [(&str, lua_CFunction); 12] = [
        ("collectgarbage", collectgarbage),
        ("unpack", unpack),
        ("getmetatable", getmetatable),
        ("setmetatable", setmetatable),
        ("next", next),
        ("pairs", pairs),
        ("rawget", rawget),
        ("rawset", rawset),
        ("load", load),
        ("loadstring", loadstring),
        ("pcall", errors::pcall),
        ("xpcall", errors::xpcall),
    ];
    for (name, function) in ours {
        globals.raw_set(name, c_function(lua, function)?)?;
    }
    table.raw_set("insert", c_function(lua, insert)?)?;
    for (name, function) in [
        ("find", strings::find as lua_CFunction),
        ("match", strings::match_),
        ("gmatch", strings::gmatch),
        ("gfind", strings::gmatch),
        ("gsub", strings::gsub),
    ] {
        string.raw_set(name, c_function(lua, function)?)?;
    }
    for (table, name) in [
        (&string, "rep"),
        (&string, "sub"),
        (&string, "upper"),
        (&string, "lower"),
        (&string, "reverse"),
        (&string, "format"),
        (&table, "concat"),
        (&table, "insert"),
        (&table, "remove"),
        (&table, "sort"),
    ] {
        table.raw_set(name, before_long_work(lua, table.raw_get(name)?)?)?;
    }
    for pair in globals.pairs::<String, Value>() {
        let (name, value) = pair?;
        if let Value::Table(table) = value {
            globals.raw_set(name, read_only(lua, &table)?)?;
        }
    }
    let missing = c_function(lua, missing_global)?;
    globals.set_metatable(Some(lua.create_table_from([("__index", missing.clone())])?))?;
    let proxy = read_only(lua, &globals)?;
    globals.raw_set("_G", &proxy)?;
    let string: Table = globals.raw_get("string")?;
    let string_meta = read_only(lua, &lua.create_table_from([("__index", Value::Table(string))])?)?;
    let global_meta = read_only(lua, &lua.create_table_from([("__index", missing)])?)?;
    let kept = [
        (&STRING_META, Value::Table(string_meta)),
        (&GLOBAL_META, Value::Table(global_meta)),
        (&PLAIN, Value::Function(libs::plain(lua)?)),
    ];
    for (address, value) in kept {
        // SAFETY: two values are taken off, and the registry is a table.
        unsafe {
            lua.exec_raw::<()>((address.key(), value), |state| ffi::lua_rawset(state, ffi::LUA_REGISTRYINDEX))?;
        }
    }
    // SAFETY: the globals of the main thread are replaced by a table; coroutines take over theirs.
    unsafe { lua.exec_raw::<()>(&proxy, |state| ffi::lua_replace(state, ffi::LUA_GLOBALSINDEX))? };
    Ok(Sandbox { globals, proxy })
}

/// A function of C as a value.
pub(super) fn c_function(lua: &Lua, function: lua_CFunction) -> mlua::Result<Function> {
    // SAFETY: all of ours keep the rules of this room.
    unsafe { lua.create_c_function(function) }
}

/// `function`, before which the script is asked to end if it has much to do.
fn before_long_work(lua: &Lua, function: Function) -> mlua::Result<Function> {
    // SAFETY: takes the function off the stack, and pushes another one.
    unsafe { lua.exec_raw(function, |state| ffi::lua_pushcclosure(state, long_work, 1)) }
}

/// A table that shows another one, and cannot be changed.
pub(super) fn read_only(lua: &Lua, table: &Table) -> mlua::Result<Table> {
    let meta = lua.create_table()?;
    meta.raw_set("__index", table)?;
    meta.raw_set("__newindex", c_function(lua, refuse_change)?)?;
    meta.raw_set(MARK.key(), table)?;
    let proxy = lua.create_table()?;
    proxy.set_metatable(Some(meta))?;
    Ok(proxy)
}

/// A read-only table of which nothing else can be asked: what is not there is an error.
pub(super) fn strict(lua: &Lua, table: Table) -> mlua::Result<Table> {
    let missing = c_function(lua, missing_global)?;
    table.set_metatable(Some(lua.create_table_from([("__index", missing)])?))?;
    read_only(lua, &table)
}

/// Has a read-only table show another one.
pub(super) fn show(proxy: &Table, table: &Table) -> mlua::Result<()> {
    match proxy.metatable() {
        Some(meta) => meta.raw_set("__index", table).and_then(|()| meta.raw_set(MARK.key(), table)),
        None => Ok(()),
    }
}

/// Pushes the table that the one at `at` stands for, if it is a read-only one.
///
/// # Safety
/// Room for two values. May raise no error.
#[inline]
unsafe fn push_real(state: State, at: c_int) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        if ffi::lua_type(state, at) != ffi::LUA_TTABLE || ffi::lua_getmetatable(state, at) == 0 {
            return false;
        }
        ffi::lua_pushlightuserdata(state, MARK.pointer());
        ffi::lua_rawget_(state, -2);
        if ffi::lua_type(state, -1) == ffi::LUA_TTABLE {
            ffi::lua_remove(state, -2);
            return true;
        }
        ffi::lua_settop(state, -3);
        false
    }
}

/// Whether the value at `at` is a read-only table.
///
/// # Safety
/// As [`push_real`].
#[inline]
unsafe fn is_read_only(state: State, at: c_int) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let is = push_real(state, at);
        if is {
            ffi::lua_settop(state, -2);
        }
        is
    }
}

// Each of these is called by Lua with its arguments on the stack and room for 20 more values; none has a destructor.

unsafe extern "C-unwind" fn refuse_change(state: State) -> c_int {
    // SAFETY: see above.
    unsafe { raise_here(state, READ_ONLY) }
}

unsafe extern "C-unwind" fn missing_global(state: State) -> c_int {
    // SAFETY: see above.
    unsafe {
        ffi::luaL_where(state, 1);
        push(state, b"Script attempted to access nonexistent global variable '");
        errors::push_text(state, 2);
        push(state, b"'");
        ffi::lua_concat(state, 4);
        ffi::lua_error(state)
    }
}

unsafe extern "C-unwind" fn getmetatable(state: State) -> c_int {
    // SAFETY: see above.
    unsafe {
        if ffi::lua_type(state, 1) == ffi::LUA_TSTRING {
            STRING_META.push(state);
            return 1;
        }
        if !is_read_only(state, 1) {
            return (originals().getmetatable)(state);
        }
        // Of the read-only ones, the globals alone have one that scripts know of.
        ffi::lua_pushvalue(state, ffi::LUA_GLOBALSINDEX);
        if ffi::lua_rawequal(state, 1, -1) != 0 {
            GLOBAL_META.push(state);
        } else {
            ffi::lua_pushnil(state);
        }
        1
    }
}

unsafe extern "C-unwind" fn setmetatable(state: State) -> c_int {
    // SAFETY: see above.
    unsafe {
        if is_read_only(state, 1) {
            push(state, READ_ONLY);
            ffi::lua_error(state);
        }
        (originals().setmetatable)(state)
    }
}

unsafe extern "C-unwind" fn next(state: State) -> c_int {
    // SAFETY: see above.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        ffi::lua_settop(state, 2);
        if push_real(state, 1) {
            ffi::lua_replace(state, 1);
        }
        if ffi::lua_next(state, 1) != 0 {
            return 2;
        }
        ffi::lua_pushnil(state);
        1
    }
}

unsafe extern "C-unwind" fn pairs(state: State) -> c_int {
    // SAFETY: see above.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        ffi::lua_pushcclosure(state, next, 0);
        ffi::lua_pushvalue(state, 1);
        ffi::lua_pushnil(state);
        3
    }
}

unsafe extern "C-unwind" fn rawget(state: State) -> c_int {
    // SAFETY: see above.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        ffi::luaL_checkany(state, 2);
        ffi::lua_settop(state, 2);
        if push_real(state, 1) {
            ffi::lua_replace(state, 1);
        }
        ffi::lua_rawget_(state, 1);
        1
    }
}

unsafe extern "C-unwind" fn rawset(state: State) -> c_int {
    // SAFETY: see above.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        ffi::luaL_checkany(state, 2);
        ffi::luaL_checkany(state, 3);
        ffi::lua_settop(state, 3);
        if is_read_only(state, 1) {
            push(state, READ_ONLY);
            ffi::lua_error(state);
        }
        ffi::lua_rawset(state, 1);
        1
    }
}

unsafe extern "C-unwind" fn insert(state: State) -> c_int {
    // SAFETY: see above.
    unsafe {
        if is_read_only(state, 1) {
            push(state, READ_ONLY);
            ffi::lua_error(state);
        }
        (originals().insert)(state)
    }
}

/// The work of millions of instructions, by one.
unsafe extern "C-unwind" fn collectgarbage(state: State) -> c_int {
    // SAFETY: see above.
    unsafe {
        errors::stop_if_must(state);
        (originals().collectgarbage)(state)
    }
}

/// Stands before a function of Lua, its upvalue, whose work is that of many instructions if what it is given is long.
unsafe extern "C-unwind" fn long_work(state: State) -> c_int {
    // SAFETY: see above; the function finds the stack as it would without this one.
    unsafe {
        let len = match ffi::lua_type(state, 1) {
            ffi::LUA_TSTRING | ffi::LUA_TTABLE => ffi::lua_objlen(state, 1),
            _ => 0,
        };
        errors::stop_before_work(state, len.max(ffi::lua_tonumber(state, 2) as usize));
        match ffi::lua_tocfunction(state, ffi::LUA_GLOBALSINDEX - 1) {
            Some(function) => function(state),
            None => 0,
        }
    }
}

/// Lua's own computes the number of results in 32 bits, and gets a small one for a large range.
unsafe extern "C-unwind" fn unpack(state: State) -> c_int {
    // SAFETY: see above; there is room for as many values as are pushed.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        let begin = ffi::luaL_optinteger(state, 2, 1) as c_int;
        let end = match ffi::lua_type(state, 3) {
            ffi::LUA_TNONE | ffi::LUA_TNIL => ffi::lua_objlen(state, 1) as c_int,
            _ => ffi::luaL_checkinteger(state, 3) as c_int,
        };
        let count = i64::from(end) - i64::from(begin) + 1;
        if count <= 0 {
            return 0;
        }
        let count = c_int::try_from(count).unwrap_or(c_int::MAX);
        if count >= RESULTS_MAX || ffi::lua_checkstack(state, count) == 0 {
            raise_here(state, b"too many results to unpack");
        }
        for at in begin..=end {
            ffi::lua_rawgeti_(state, 1, at);
        }
        count
    }
}

/// More values than this a function cannot return.
const RESULTS_MAX: c_int = 8000;

/// How byte code begins. It can do what no source can, so it is never loaded.
const BYTE_CODE: u8 = ffi::LUA_SIGNATURE[0];

/// # Safety
/// In a function that Lua has called.
unsafe fn refuse_byte_code(state: State) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        ffi::lua_pushnil(state);
        push(state, b"attempt to load chunk with wrong mode");
        2
    }
}

unsafe extern "C-unwind" fn loadstring(state: State) -> c_int {
    // SAFETY: see above.
    unsafe {
        if bytes(state, 1).is_some_and(|source| source.first() == Some(&BYTE_CODE)) {
            return refuse_byte_code(state);
        }
        (originals().loadstring)(state)
    }
}

/// The pieces are asked for before anything is compiled: within the compiler of Lua 5.1 a script must not run, because what it
/// has in hand then is known to no collector.
unsafe extern "C-unwind" fn load(state: State) -> c_int {
    // SAFETY: see above; each piece is joined to what there is, so that the stack does not grow.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TFUNCTION);
        ffi::lua_settop(state, 2);
        push(state, b"");
        loop {
            // What there is of the text is copied for each piece.
            errors::stop_if_must(state);
            ffi::lua_pushvalue(state, 1);
            let begun = texts::count();
            if ffi::lua_pcall(state, 0, 1, 0) != ffi::LUA_OK {
                texts::keep(begun);
                if super::server::is_stopped() {
                    ffi::lua_error(state);
                }
                ffi::lua_pushnil(state);
                ffi::lua_insert(state, -2);
                return 2;
            }
            match ffi::lua_type(state, -1) {
                ffi::LUA_TNIL => break,
                ffi::LUA_TSTRING if bytes(state, -1).is_none_or(<[u8]>::is_empty) => break,
                ffi::LUA_TSTRING | ffi::LUA_TNUMBER => {
                    ffi::lua_concat(state, 2);
                    if bytes(state, 3).is_some_and(|source| source[0] == BYTE_CODE) {
                        return refuse_byte_code(state);
                    }
                }
                _ => {
                    ffi::lua_pushnil(state);
                    push(state, b"reader function must return a string");
                    return 2;
                }
            }
        }
        ffi::lua_settop(state, -2);
        let source = bytes(state, 3).unwrap_or_default();
        let name = ffi::luaL_optlstring(state, 2, c"=(load)".as_ptr(), std::ptr::null_mut());
        let status = ffi::luaL_loadbuffer(state, source.as_ptr().cast(), source.len(), name);
        if status != ffi::LUA_OK {
            ffi::lua_pushnil(state);
            ffi::lua_insert(state, -2);
            return 2;
        }
        1
    }
}
