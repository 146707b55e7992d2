//! Steps on Lua's stack that several files take.

use std::ffi::{CStr, c_char, c_int};

use mlua::ffi::{self, lua_State};

/// A Lua state, as its C functions are given it.
pub(super) type State = *mut lua_State;

/// Pushes a string.
///
/// # Safety
/// Room for one value. May raise an error.
#[inline]
pub(super) unsafe fn push(state: State, bytes: &[u8]) {
    // SAFETY: the caller's promise; Lua copies the bytes.
    unsafe { ffi::lua_pushlstring_(state, bytes.as_ptr().cast::<c_char>(), bytes.len()) };
}

/// The bytes of a value that is a string, not a number.
///
/// # Safety
/// The value stays on the stack, or in something that does, for as long as the slice is used.
#[inline]
pub(super) unsafe fn bytes<'a>(state: State, at: c_int) -> Option<&'a [u8]> {
    // SAFETY: a string is not converted, so nothing is allocated; Lua's strings do not move.
    unsafe {
        if ffi::lua_type(state, at) != ffi::LUA_TSTRING {
            return None;
        }
        let mut len = 0;
        let start = ffi::lua_tolstring(state, at, &raw mut len);
        Some(std::slice::from_raw_parts(start.cast::<u8>(), len))
    }
}

/// Raises a table with the field `err`, as Redis's own functions do.
///
/// # Safety
/// In a function that Lua has called, of whose frames none has anything to drop.
pub(super) unsafe fn raise(state: State, text: &[u8]) -> ! {
    // SAFETY: the caller's promise.
    unsafe {
        push_error(state, text);
        ffi::lua_error(state)
    }
}

/// Pushes a table whose field `err` is a text with a code: the first word behind a `-`, else ERR.
///
/// # Safety
/// Room for three values. May raise an error.
pub(super) unsafe fn push_error(state: State, text: &[u8]) {
    let (code, text) = match text.strip_prefix(b"-") {
        Some(text) => match text.iter().position(|byte| *byte == b' ') {
            Some(blank) => text.split_at(blank),
            None => (&b"ERR"[..], text),
        },
        None => (&b"ERR"[..], text),
    };
    let text = text.strip_prefix(b" ").unwrap_or(text).trim_ascii_line();
    // SAFETY: the caller's promise.
    unsafe {
        ffi::lua_createtable(state, 0, 2);
        push(state, code);
        push(state, b" ");
        push(state, text);
        ffi::lua_concat(state, 3);
        ffi::lua_setfield(state, -2, c"err".as_ptr());
    }
}

/// Raises a text as it is.
///
/// # Safety
/// As [`raise`].
pub(super) unsafe fn raise_plain(state: State, text: &str) -> ! {
    // SAFETY: the caller's promise.
    unsafe {
        push(state, text.as_bytes());
        ffi::lua_error(state)
    }
}

/// Raises an error of Lua: a text behind the place of whoever called.
///
/// # Safety
/// As [`raise`].
pub(super) unsafe fn raise_here(state: State, text: &[u8]) -> ! {
    // SAFETY: the caller's promise.
    unsafe {
        ffi::luaL_where(state, 1);
        push(state, text);
        ffi::lua_concat(state, 2);
        ffi::lua_error(state)
    }
}

/// Gets a field without metamethods; pushes it.
///
/// # Safety
/// The value at `at` is a table; room for two values. May raise an error.
#[inline]
pub(super) unsafe fn raw_field(state: State, at: c_int, name: &CStr) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        let table = if at < 0 && at > ffi::LUA_REGISTRYINDEX { at - 1 } else { at };
        push(state, name.to_bytes());
        ffi::lua_rawget_(state, table);
        ffi::lua_type(state, -1)
    }
}

/// Texts without the line ends around them.
pub(super) trait TrimLines {
    /// See the trait.
    fn trim_ascii_line(&self) -> &[u8];
}

impl TrimLines for [u8] {
    fn trim_ascii_line(&self) -> &[u8] {
        let mut text = self;
        while let [b'\r' | b'\n', rest @ ..] | [rest @ .., b'\r' | b'\n'] = text {
            text = rest;
        }
        text
    }
}
