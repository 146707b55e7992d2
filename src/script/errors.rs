//! Errors of scripts: the handler that notes where they come from, and the functions that catch them.
//!
//! A script that is stopped is told so by an error. Whatever could catch it (`pcall`, `xpcall`, `coroutine.resume`) is ours,
//! and lets it pass.

use std::ffi::{CStr, c_int};
use std::mem::MaybeUninit;

use mlua::ffi;

use super::sandbox::{PLAIN, originals};
use super::server::{is_stopped, must_stop};
use super::stack::{State, push, raise};
use super::texts;

/// Called with whatever was raised, while the stack is as it was there: makes it a table with the fields `err`, `source` and
/// `line`.
///
/// # Safety
/// For Lua to call.
pub(super) unsafe extern "C-unwind" fn handler(state: State) -> c_int {
    // SAFETY: one argument is on the stack; fewer than 20 values are pushed, and nothing here has a destructor.
    unsafe {
        ffi::lua_settop(state, 1);
        if ffi::lua_type(state, 1) != ffi::LUA_TTABLE {
            ffi::lua_createtable(state, 0, 3);
            push(state, b"ERR ");
            push_text(state, 1);
            ffi::lua_concat(state, 2);
            ffi::lua_setfield(state, -2, c"err".as_ptr());
            ffi::lua_replace(state, 1);
        }
        let mut debug = MaybeUninit::<ffi::lua_Debug>::zeroed();
        let debug = debug.as_mut_ptr();
        // The first function that is not one of C.
        for level in 1..4 {
            if ffi::lua_getstack(state, level, debug) == 0 {
                break;
            }
            ffi::lua_getinfo(state, c"Sl".as_ptr(), debug);
            if CStr::from_ptr((*debug).what) == c"C" {
                continue;
            }
            ffi::lua_pushstring_(state, (*debug).source);
            ffi::lua_setfield(state, 1, c"source".as_ptr());
            ffi::lua_pushinteger(state, (*debug).currentline.into());
            ffi::lua_setfield(state, 1, c"line".as_ptr());
            break;
        }
        1
    }
}

/// Ends the script if it has to, by an error that nobody may catch.
///
/// # Safety
/// In a function that Lua has called, where nothing has a destructor.
pub(super) unsafe fn stop_if_must(state: State) {
    if let Some(why) = must_stop() {
        // SAFETY: the caller's promise.
        unsafe { raise(state, why.as_bytes()) };
    }
}

/// The same if there is so much text to work on that it takes long.
///
/// # Safety
/// As [`stop_if_must`].
#[inline]
pub(super) unsafe fn stop_before_work(state: State, len: usize) {
    if let Err(why) = texts::work(len) {
        // SAFETY: the caller's promise.
        unsafe { raise(state, why.as_bytes()) };
    }
}

/// Pushes what tostring says of a value, as far as that takes no call of a script.
///
/// # Safety
/// Room for three values. May raise an error.
pub(super) unsafe fn push_text(state: State, at: c_int) {
    // SAFETY: the caller's promise.
    unsafe {
        match ffi::lua_type(state, at) {
            ffi::LUA_TSTRING | ffi::LUA_TNUMBER => {
                ffi::lua_pushvalue(state, at);
                ffi::lua_tolstring(state, -1, std::ptr::null_mut());
            }
            ffi::LUA_TBOOLEAN if ffi::lua_toboolean(state, at) != 0 => push(state, b"true"),
            ffi::LUA_TBOOLEAN => push(state, b"false"),
            ffi::LUA_TNIL => push(state, b"nil"),
            // What the libraries raise.
            ffi::LUA_TUSERDATA => {
                ffi::lua_pushvalue(state, at);
                make_plain(state);
            }
            _ => ffi::lua_pushstring_(state, ffi::lua_typename(state, ffi::lua_type(state, at))),
        }
    }
}

/// Makes a text of the value on top of the stack, if it is what a library has raised.
///
/// # Safety
/// In a function that Lua has called, with room for two values. May raise an error.
unsafe fn make_plain(state: State) {
    // SAFETY: the caller's promise; the function in the registry takes one value and returns one.
    unsafe {
        if ffi::lua_type(state, -1) == ffi::LUA_TUSERDATA {
            PLAIN.push(state);
            ffi::lua_insert(state, -2);
            ffi::lua_call(state, 1, 1);
        }
    }
}

/// The handler of a script, which is not given what a library has raised, but the text. Nor does it run when the script is
/// stopped: it could go on for as long again, and have handlers of its own.
unsafe extern "C-unwind" fn plain_handler(state: State) -> c_int {
    // SAFETY: one argument, and the script's handler as the upvalue.
    unsafe {
        ffi::lua_settop(state, 1);
        if is_stopped() {
            return 1;
        }
        make_plain(state);
        ffi::lua_pushvalue(state, ffi::LUA_GLOBALSINDEX - 1);
        ffi::lua_insert(state, 1);
        ffi::lua_call(state, 1, 1);
        1
    }
}

/// pcall as Redis has it: what it returns of an error that is a table with the field `err` is that field.
///
/// # Safety
/// For Lua to call.
pub(super) unsafe extern "C-unwind" fn pcall(state: State) -> c_int {
    // SAFETY: the stack has room for a value more than its arguments; nothing here has a destructor.
    unsafe {
        ffi::luaL_checkany(state, 1);
        ffi::lua_pushboolean(state, 1);
        ffi::lua_insert(state, 1);
        let args = ffi::lua_gettop(state) - 2;
        let begun = texts::count();
        if ffi::lua_pcall(state, args, ffi::LUA_MULTRET, 0) == ffi::LUA_OK {
            return ffi::lua_gettop(state);
        }
        texts::keep(begun);
        if is_stopped() {
            ffi::lua_error(state);
        }
        ffi::lua_remove(state, 1);
        if ffi::lua_type(state, -1) == ffi::LUA_TTABLE {
            ffi::lua_getfield_(state, -1, c"err".as_ptr());
            // As in Redis, what is no text stays behind the table.
            if ffi::lua_isstring(state, -1) != 0 {
                ffi::lua_replace(state, -2);
            }
        } else {
            make_plain(state);
        }
        ffi::lua_pushboolean(state, 0);
        ffi::lua_insert(state, 1);
        ffi::lua_gettop(state)
    }
}

/// xpcall, which does not catch that the script is stopped.
///
/// # Safety
/// For Lua to call.
pub(super) unsafe extern "C-unwind" fn xpcall(state: State) -> c_int {
    // SAFETY: fewer than 20 values are pushed; nothing here has a destructor.
    unsafe {
        ffi::luaL_checkany(state, 2);
        ffi::lua_settop(state, 2);
        ffi::lua_pushcclosure(state, plain_handler, 1);
        // The handler comes to lie below the function.
        ffi::lua_insert(state, 1);
        let begun = texts::count();
        let status = ffi::lua_pcall(state, 0, ffi::LUA_MULTRET, 1);
        texts::keep(begun);
        if status != ffi::LUA_OK && is_stopped() {
            ffi::lua_error(state);
        }
        ffi::lua_pushboolean(state, (status == ffi::LUA_OK).into());
        ffi::lua_replace(state, 1);
        ffi::lua_gettop(state)
    }
}

/// coroutine.resume, which does not catch that the script is stopped.
///
/// # Safety
/// For Lua to call.
pub(super) unsafe extern "C-unwind" fn resume(state: State) -> c_int {
    // SAFETY: the original is given the stack as it came; nothing here has a destructor.
    unsafe {
        let begun = texts::count();
        let results = (originals().resume)(state);
        texts::keep(begun);
        if is_stopped() {
            ffi::lua_error(state);
        }
        make_plain(state);
        results
    }
}
