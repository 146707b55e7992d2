//! The table `redis` (and `server`): all but redis.call.

use std::ffi::c_int;

use mlua::ffi::{self, lua_CFunction};
use mlua::{Lua, Table};
use sha1::{Digest, Sha1};

use super::engine::Kind;
use super::sandbox::{c_function, strict};
use super::server::{self, LogLevel};
use super::stack::{State, bytes, push, push_error, raise};
use super::{calls, errors, register};
use crate::resp::Proto;

const NUMBERS: [(&str, i64); 4] = [("LOG_DEBUG", 0), ("LOG_VERBOSE", 1), ("LOG_NOTICE", 2), ("LOG_WARNING", 3)];

const TARGETS: [(&str, i64); 5] =
    [("REPL_NONE", 0), ("REPL_AOF", 1), ("REPL_SLAVE", 2), ("REPL_REPLICA", 2), ("REPL_ALL", 3)];

/// The table. `version`: of Redis, as a text and as a number.
pub(super) fn build(lua: &Lua, kind: Kind, version: (&str, i64)) -> mlua::Result<Table> {
    let table = constants(lua, version)?;
    for (name, value) in TARGETS {
        table.raw_set(name, value)?;
    }
    let functions: [(&str, lua_CFunction); 10] = [
        ("abort", abort),
        ("call", calls::call),
        ("pcall", calls::pcall),
        ("acl_check_cmd", calls::acl_check_cmd),
        ("log", log),
        ("setresp", setresp),
        ("set_repl", set_repl),
        ("error_reply", error_reply),
        ("status_reply", status_reply),
        ("sha1hex", sha1hex),
    ];
    for (name, function) in functions {
        table.raw_set(name, c_function(lua, function)?)?;
    }
    if kind == Kind::Scripts {
        for (name, function) in
            [("replicate_commands", yes as lua_CFunction), ("breakpoint", no as lua_CFunction), ("debug", nothing)]
        {
            table.raw_set(name, c_function(lua, function)?)?;
        }
    }
    Ok(table)
}

/// The globals while a library is loaded.
pub(super) fn build_for_loading(lua: &Lua, version: (&str, i64)) -> mlua::Result<Table> {
    let redis = constants(lua, version)?;
    redis.raw_set("log", c_function(lua, log)?)?;
    redis.raw_set("register_function", c_function(lua, register::register_function)?)?;
    let redis = strict(lua, redis)?;
    let globals = lua.create_table_from([("redis", &redis), ("server", &redis)])?;
    strict(lua, globals)
}

fn constants(lua: &Lua, (text, number): (&str, i64)) -> mlua::Result<Table> {
    let table = lua.create_table_from(NUMBERS)?;
    table.raw_set("REDIS_VERSION", text)?;
    table.raw_set("REDIS_VERSION_NUM", number)?;
    Ok(table)
}

// Each of these is called by Lua with its arguments on the stack and room for 20 more values; none has a destructor when an
// error is raised.

unsafe extern "C-unwind" fn log(state: State) -> c_int {
    // SAFETY: see above; the text stays on the stack.
    unsafe {
        let count = ffi::lua_gettop(state);
        if count < 2 {
            raise(state, b"redis.log() requires two arguments or more.");
        }
        if ffi::lua_type(state, 1) != ffi::LUA_TNUMBER {
            raise(state, b"First argument must be a number (log level).");
        }
        let level = match ffi::lua_tonumber(state, 1) as i64 {
            0 => LogLevel::Debug,
            1 => LogLevel::Verbose,
            2 => LogLevel::Notice,
            3 => LogLevel::Warning,
            _ => raise(state, b"Invalid log level."),
        };
        // All that are strings or numbers, with blanks between them.
        ffi::luaL_checkstack(state, 4, c"too many arguments".as_ptr());
        push(state, b"");
        for at in 2..=count {
            if ffi::lua_isstring(state, at) != 0 {
                let has_one = bytes(state, -1).is_some_and(|text| !text.is_empty());
                push(state, if has_one { b" " } else { b"" });
                ffi::lua_pushvalue(state, at);
                ffi::lua_concat(state, 3);
            }
        }
        let text = bytes(state, -1).unwrap_or_default();
        server::with(|lent| lent.server.log(level, text));
        0
    }
}

unsafe extern "C-unwind" fn abort(state: State) -> c_int {
    // SAFETY: see above; the text stays on the stack.
    unsafe {
        let Some(text) = bytes(state, 1).filter(|_| ffi::lua_gettop(state) == 1) else {
            raise(state, b"redis.abort() requires one argument, a text.");
        };
        let may = server::with(|lent| {
            lent.is_stopped = lent.server.abort();
            lent.is_stopped
        });
        match may {
            Some(true) => raise(state, text),
            _ => raise(state, b"redis.abort() needs lua-rollback-on-kill yes, or the flag atomic."),
        }
    }
}

unsafe extern "C-unwind" fn setresp(state: State) -> c_int {
    // SAFETY: see above.
    unsafe {
        if ffi::lua_gettop(state) != 1 {
            raise(state, b"redis.setresp() requires one argument.");
        }
        let proto = match ffi::lua_tonumber(state, 1) as i64 {
            2 => Proto::Resp2,
            3 => Proto::Resp3,
            _ => raise(state, b"RESP version must be 2 or 3."),
        };
        server::with(|lent| {
            lent.proto = proto;
            lent.server.set_protocol(proto);
        });
        0
    }
}

unsafe extern "C-unwind" fn set_repl(state: State) -> c_int {
    // SAFETY: see above.
    unsafe {
        if ffi::lua_gettop(state) != 1 {
            raise(state, b"redis.set_repl() requires one argument.");
        }
        match ffi::lua_tonumber(state, 1) as i64 {
            targets @ 0..=3 => server::with(|lent| lent.server.set_propagation(targets as u8)),
            _ => raise(state, b"Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE."),
        };
        0
    }
}

unsafe extern "C-unwind" fn error_reply(state: State) -> c_int {
    // SAFETY: see above; the text stays on the stack.
    unsafe {
        match bytes(state, 1).filter(|_| ffi::lua_gettop(state) == 1) {
            None => push_error(state, b"wrong number or type of arguments"),
            Some(text) if text.first() == Some(&b'-') => push_error(state, text),
            Some(text) => {
                push(state, b"-");
                push(state, text);
                ffi::lua_concat(state, 2);
                push_error(state, bytes(state, -1).unwrap_or_default());
            }
        }
        1
    }
}

unsafe extern "C-unwind" fn status_reply(state: State) -> c_int {
    // SAFETY: see above.
    unsafe {
        if bytes(state, 1).is_none() || ffi::lua_gettop(state) != 1 {
            push_error(state, b"wrong number or type of arguments");
        } else {
            ffi::lua_createtable(state, 0, 1);
            ffi::lua_pushvalue(state, 1);
            ffi::lua_setfield(state, -2, c"ok".as_ptr());
        }
        1
    }
}

unsafe extern "C-unwind" fn sha1hex(state: State) -> c_int {
    // SAFETY: see above; the text stays on the stack, and the digest is an array.
    unsafe {
        if ffi::lua_gettop(state) != 1 {
            raise(state, b"wrong number of arguments");
        }
        if ffi::lua_isstring(state, 1) != 0 {
            ffi::lua_tolstring(state, 1, std::ptr::null_mut());
        }
        let text = bytes(state, 1).unwrap_or_default();
        errors::stop_before_work(state, text.len());
        push(state, &hex(&digest(text)));
        1
    }
}

unsafe extern "C-unwind" fn yes(state: State) -> c_int {
    // SAFETY: see above.
    unsafe { ffi::lua_pushboolean(state, 1) };
    1
}

unsafe extern "C-unwind" fn no(state: State) -> c_int {
    // SAFETY: see above.
    unsafe { ffi::lua_pushboolean(state, 0) };
    1
}

unsafe extern "C-unwind" fn nothing(_state: State) -> c_int {
    0
}

/// The SHA1 of a text.
pub fn digest(text: &[u8]) -> [u8; 20] {
    Sha1::digest(text).into()
}

/// Hexadecimal, in small letters.
pub fn hex(digest: &[u8; 20]) -> [u8; 40] {
    let mut text = [0; 40];
    for (at, byte) in digest.iter().enumerate() {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        text[2 * at] = DIGITS[usize::from(byte >> 4)];
        text[2 * at + 1] = DIGITS[usize::from(byte & 15)];
    }
    text
}
