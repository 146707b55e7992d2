//! string.find, match, gmatch and gsub, over `patterns.rs`.
//!
//! What gsub puts together lies in what is lent, not on the stack of the function, because the functions and tables that it
//! asks may raise an error.

use std::ffi::c_int;

use memchr::memmem;
use mlua::ffi;

use super::errors::{push_text, stop_before_work};
use super::patterns::{Capture, Fault, Matcher, is_plain};
use super::server;
use super::stack::{State, bytes, push, raise, raise_here, raise_plain};
use super::texts;

/// # Safety
/// As [`raise`].
unsafe fn raise_fault(state: State, fault: Fault) -> ! {
    // SAFETY: the caller's promise.
    unsafe {
        match fault {
            Fault::Malformed(text) => raise_here(state, text.as_bytes()),
            Fault::Stopped(text) => raise(state, text.as_bytes()),
        }
    }
}

/// The text at `at`, of which a number is one.
///
/// # Safety
/// In a function that Lua has called; the value stays on the stack. May raise an error.
unsafe fn check_text<'a>(state: State, at: c_int) -> &'a [u8] {
    // SAFETY: the caller's promise; a number was made a string in its place.
    unsafe {
        ffi::luaL_checklstring(state, at, std::ptr::null_mut());
        bytes(state, at).unwrap_or_default()
    }
}

/// Where to begin, from an optional argument that counts from 1, or from the end if it is negative.
///
/// # Safety
/// As above.
unsafe fn check_begin(state: State, at: c_int, len: usize) -> usize {
    // SAFETY: the caller's promise.
    let begin = unsafe { ffi::luaL_optinteger(state, at, 1) };
    let begin = if begin < 0 { begin.saturating_add(len as i64 + 1).max(0) } else { begin };
    usize::try_from(begin.saturating_sub(1)).unwrap_or(0).min(len)
}

/// Pushes what a match gives; says how many values that are.
///
/// # Safety
/// In a function that Lua has called. May raise an error.
unsafe fn push_values<F: FnMut() -> Option<&'static str>>(
    state: State,
    text: &[u8],
    matcher: &Matcher<'_, F>,
    (begin, end): (usize, usize),
    count: usize,
) -> c_int {
    // SAFETY: the caller's promise; nothing here has a destructor.
    unsafe {
        ffi::luaL_checkstack(state, count as c_int + 4, c"too many captures".as_ptr());
        for index in 0..count {
            match matcher.capture(index, begin, end) {
                Ok(Capture::Text(from, len)) => push(state, &text[from..from + len]),
                Ok(Capture::Place(at)) => ffi::lua_pushinteger(state, at as i64 + 1),
                Ok(Capture::Open(_)) => raise_here(state, b"unfinished capture"),
                Err(fault) => raise_fault(state, fault),
            }
        }
        count as c_int
    }
}

/// # Safety
/// For Lua to call.
pub(super) unsafe extern "C-unwind" fn find(state: State) -> c_int {
    // SAFETY: see `search`.
    unsafe { search(state, true) }
}

/// # Safety
/// For Lua to call.
pub(super) unsafe extern "C-unwind" fn match_(state: State) -> c_int {
    // SAFETY: see `search`.
    unsafe { search(state, false) }
}

/// # Safety
/// In a function that Lua has called. Nothing here has a destructor.
unsafe fn search(state: State, finds: bool) -> c_int {
    // SAFETY: the caller's promise; text and pattern stay on the stack.
    unsafe {
        let (text, pattern) = (check_text(state, 1), check_text(state, 2));
        let begin = check_begin(state, 3, text.len());
        stop_before_work(state, text.len() - begin);
        if finds && (ffi::lua_toboolean(state, 4) != 0 || is_plain(pattern)) {
            return match memmem::find(&text[begin..], pattern) {
                Some(at) => {
                    ffi::lua_pushinteger(state, (begin + at + 1) as i64);
                    ffi::lua_pushinteger(state, (begin + at + pattern.len()) as i64);
                    2
                }
                None => {
                    ffi::lua_pushnil(state);
                    1
                }
            };
        }
        let from = usize::from(pattern.first() == Some(&b'^'));
        let mut matcher = Matcher::new(text, pattern, server::must_stop);
        let last = if from == 1 { begin } else { text.len() };
        for at in begin..=last {
            match matcher.match_at(at, from) {
                Err(fault) => raise_fault(state, fault),
                Ok(None) => {}
                Ok(Some(end)) if finds => {
                    ffi::lua_pushinteger(state, at as i64 + 1);
                    ffi::lua_pushinteger(state, end as i64);
                    return push_values(state, text, &matcher, (at, end), matcher.captures()) + 2;
                }
                Ok(Some(end)) => return push_values(state, text, &matcher, (at, end), matcher.values()),
            }
        }
        ffi::lua_pushnil(state);
        1
    }
}

/// The iterator has the text, the pattern, and where it goes on.
///
/// # Safety
/// For Lua to call.
pub(super) unsafe extern "C-unwind" fn gmatch(state: State) -> c_int {
    // SAFETY: nothing here has a destructor.
    unsafe {
        check_text(state, 1);
        check_text(state, 2);
        ffi::lua_settop(state, 2);
        ffi::lua_pushinteger(state, 0);
        ffi::lua_pushcclosure(state, next_match, 3);
        1
    }
}

/// # Safety
/// For Lua to call, with the upvalues that `gmatch` has given it.
unsafe extern "C-unwind" fn next_match(state: State) -> c_int {
    let upvalue = |n: c_int| ffi::LUA_GLOBALSINDEX - n;
    // SAFETY: text and pattern are upvalues of the function that runs; nothing here has a destructor.
    unsafe {
        let text = bytes(state, upvalue(1)).unwrap_or_default();
        let pattern = bytes(state, upvalue(2)).unwrap_or_default();
        let begin = ffi::lua_tonumber(state, upvalue(3)) as usize;
        let mut matcher = Matcher::new(text, pattern, server::must_stop);
        for at in begin..text.len() + 1 {
            match matcher.match_at(at, 0) {
                Err(fault) => raise_fault(state, fault),
                Ok(None) => {}
                Ok(Some(end)) => {
                    // Behind an empty match the next one begins a byte further.
                    ffi::lua_pushinteger(state, (if end == at { end + 1 } else { end }) as i64);
                    ffi::lua_replace(state, upvalue(3));
                    return push_values(state, text, &matcher, (at, end), matcher.values());
                }
            }
        }
        0
    }
}

/// # Safety
/// For Lua to call.
pub(super) unsafe extern "C-unwind" fn gsub(state: State) -> c_int {
    // SAFETY: text, pattern and replacement stay on the stack; what is put together is lent; nothing here has a destructor.
    unsafe {
        let (text, pattern) = (check_text(state, 1), check_text(state, 2));
        let kind = ffi::lua_type(state, 3);
        if !matches!(kind, ffi::LUA_TNUMBER | ffi::LUA_TSTRING | ffi::LUA_TTABLE | ffi::LUA_TFUNCTION) {
            ffi::luaL_argerror(state, 3, c"string/function/table expected".as_ptr());
        }
        let most = ffi::luaL_optinteger(state, 4, text.len() as i64 + 1);
        if kind == ffi::LUA_TNUMBER {
            check_text(state, 3);
        }
        let from = usize::from(pattern.first() == Some(&b'^'));
        let Some(place) = server::with(|lent| lent.texts.begin()) else { raise_here(state, b"nothing runs") };
        let mut matcher = Matcher::new(text, pattern, server::must_stop);
        // What no match has taken and is not appended yet begins there.
        let mut kept = 0;
        let (mut at, mut count) = (0, 0);
        while count < most {
            match matcher.match_at(at, from) {
                Err(fault) => raise_fault(state, fault),
                Ok(Some(end)) => {
                    count += 1;
                    append(state, place, &text[kept..at]);
                    replace(state, text, &matcher, (at, end), place);
                    kept = end;
                    if end > at {
                        at = end;
                    } else if at < text.len() {
                        at += 1;
                    } else {
                        break;
                    }
                }
                Ok(None) if at < text.len() => at += 1,
                Ok(None) => break,
            }
            if from == 1 {
                break;
            }
        }
        append(state, place, &text[kept..]);
        // The text is not moved while it is pushed, which may raise an error.
        let whole = server::with(|lent| std::ptr::from_ref(lent.texts.text(place)));
        if let Some(whole) = whole {
            push(state, &*whole);
        }
        texts::keep(place);
        ffi::lua_pushinteger(state, count);
        2
    }
}

/// Appends to what gsub puts together.
///
/// # Safety
/// As [`raise`].
unsafe fn append(state: State, place: usize, bytes: &[u8]) {
    let len = server::with(|lent| lent.texts.append(place, bytes)).unwrap_or_default();
    if let Err(why) = texts::check(len) {
        // SAFETY: the caller's promise.
        unsafe { raise_plain(state, why) };
    }
}

/// Appends what takes the place of a match.
///
/// # Safety
/// In a function that Lua has called, with the replacement at 3. Nothing here has a destructor. May raise an error.
unsafe fn replace<F: FnMut() -> Option<&'static str>>(
    state: State,
    text: &[u8],
    matcher: &Matcher<'_, F>,
    (begin, end): (usize, usize),
    place: usize,
) {
    // SAFETY: the caller's promise; values that are read are on the stack.
    unsafe {
        match ffi::lua_type(state, 3) {
            ffi::LUA_TFUNCTION => {
                ffi::lua_pushvalue(state, 3);
                let count = push_values(state, text, matcher, (begin, end), matcher.values());
                ffi::lua_call(state, count, 1);
            }
            ffi::LUA_TTABLE => {
                push_values(state, text, matcher, (begin, end), 1);
                ffi::lua_gettable_(state, 3);
            }
            _ => return fill_in(state, text, matcher, (begin, end), place),
        }
        if ffi::lua_toboolean(state, -1) == 0 {
            append(state, place, &text[begin..end]);
        } else if ffi::lua_isstring(state, -1) == 0 {
            ffi::luaL_where(state, 1);
            push(state, b"invalid replacement value (a ");
            ffi::lua_pushstring_(state, ffi::lua_typename(state, ffi::lua_type(state, -3)));
            push(state, b")");
            ffi::lua_concat(state, 4);
            ffi::lua_error(state);
        } else {
            push_text(state, -1);
            append(state, place, bytes(state, -1).unwrap_or_default());
            ffi::lua_settop(state, -2);
        }
        ffi::lua_settop(state, -2);
    }
}

/// A replacement that is a text: `%1` stands for a capture, `%0` for all of the match.
///
/// # Safety
/// As [`replace`].
unsafe fn fill_in<F: FnMut() -> Option<&'static str>>(
    state: State,
    text: &[u8],
    matcher: &Matcher<'_, F>,
    (begin, end): (usize, usize),
    place: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut rest = bytes(state, 3).unwrap_or_default();
        while let Some(escape) = memchr::memchr(b'%', rest) {
            append(state, place, &rest[..escape]);
            let said = rest.get(escape + 1).copied();
            match said {
                Some(b'0') => append(state, place, &text[begin..end]),
                Some(digit @ b'1'..=b'9') => match matcher.capture(usize::from(digit - b'1'), begin, end) {
                    Ok(Capture::Text(from, len)) => append(state, place, &text[from..from + len]),
                    Ok(Capture::Place(at)) => append(state, place, itoa::Buffer::new().format(at + 1).as_bytes()),
                    Ok(Capture::Open(_)) => raise_here(state, b"unfinished capture"),
                    Err(fault) => raise_fault(state, fault),
                },
                Some(_) => append(state, place, &rest[escape + 1..escape + 2]),
                // C's text ends with a NUL.
                None => append(state, place, b"\0"),
            }
            rest = rest.get(escape + 2..).unwrap_or_default();
        }
        append(state, place, rest);
    }
}
