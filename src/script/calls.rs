//! redis.call and redis.pcall: arguments out of Lua, replies into it.

use std::ffi::c_int;

use mlua::ffi;

use super::errors::stop_before_work;
use super::server::{self, Answer};
use super::stack::{State, push, push_error, raise};
use super::texts::OUT_OF_MEMORY;
use crate::resp::OwnedArgs;
use crate::util::num;

const WRONG_ARGUMENT: &str = "Lua redis lib command arguments must be strings or integers";

/// # Safety
/// For Lua to call.
pub(super) unsafe extern "C-unwind" fn call(state: State) -> c_int {
    // SAFETY: nothing here has a destructor when an error is raised.
    unsafe {
        if run(state) {
            ffi::lua_error(state);
        }
        1
    }
}

/// # Safety
/// For Lua to call.
pub(super) unsafe extern "C-unwind" fn pcall(state: State) -> c_int {
    // SAFETY: as above.
    unsafe { run(state) };
    1
}

/// redis.acl_check_cmd.
///
/// # Safety
/// For Lua to call.
pub(super) unsafe extern "C-unwind" fn acl_check_cmd(state: State) -> c_int {
    // SAFETY: as above.
    unsafe {
        if let Err(text) = take_args(state) {
            raise(state, text.as_bytes());
        }
        match server::with(|lent| lent.server.may_call(lent.args.view())).flatten() {
            Some(may) => ffi::lua_pushboolean(state, may.into()),
            None => raise(state, b"Invalid command passed to redis.acl_check_cmd()"),
        }
        1
    }
}

/// Runs the command that the arguments on the stack are, and pushes what comes of it. True if that is an error.
///
/// # Safety
/// In a function that Lua has called. May raise an error.
unsafe fn run(state: State) -> bool {
    // SAFETY: the answer lies in the server, which does nothing before it is called again; so these pointers outlive the
    // pushes, which are made when nothing is borrowed any more, because they can raise an error.
    unsafe {
        match take_args(state) {
            Ok(len) => stop_before_work(state, len),
            Err(text) => {
                push_error(state, text.as_bytes());
                return true;
            }
        }
        let answer = server::with(|lent| match lent.server.call(lent.args.view()) {
            Answer::Reply(reply) => (true, std::ptr::from_ref(reply)),
            Answer::Refused(text) => (false, std::ptr::from_ref(text)),
        });
        let Some((has_run, text)) = answer else {
            push_error(state, b"redis.call can only be called inside a script invocation");
            return true;
        };
        let text = &*text;
        match text.first() {
            Some(b'-') if has_run => {
                push_counted_error(state, &text[1..text.len() - 2]);
                true
            }
            _ if has_run => {
                push_reply(state, text);
                false
            }
            _ => {
                push_counted_error(state, text);
                true
            }
        }
    }
}

/// # Safety
/// As [`push_error`].
unsafe fn push_counted_error(state: State, text: &[u8]) {
    // SAFETY: the caller's promise.
    unsafe {
        ffi::lua_createtable(state, 0, 2);
        push(state, text);
        ffi::lua_setfield(state, -2, c"err".as_ptr());
        ffi::lua_pushboolean(state, 1);
        ffi::lua_setfield(state, -2, c"ignore_error_stats_update".as_ptr());
    }
}

/// Takes the arguments from the stack; how long they are.
///
/// # Safety
/// In a function that Lua has called.
unsafe fn take_args(state: State) -> Result<usize, &'static str> {
    // SAFETY: only what is there is looked at, and nothing is converted in place.
    unsafe {
        let count = ffi::lua_gettop(state);
        if count == 0 {
            return Err("Please specify at least one argument for this redis lib call");
        }
        let taken = server::with(|lent| {
            lent.args.clear();
            let mut len = 0;
            for at in 1..=count {
                len += take_arg(state, at, &mut lent.args).ok_or(WRONG_ARGUMENT)?;
                if !lent.texts.fits(len) {
                    return Err(OUT_OF_MEMORY);
                }
            }
            Ok(len)
        });
        taken.unwrap_or(Ok(0))
    }
}

/// How long the argument is; none if it cannot be one.
///
/// # Safety
/// As above.
#[inline]
unsafe fn take_arg(state: State, at: c_int, args: &mut OwnedArgs) -> Option<usize> {
    // SAFETY: the caller's promise; the bytes are copied before anything else happens.
    unsafe {
        if let Some(bytes) = super::stack::bytes(state, at) {
            args.push(bytes);
            return Some(bytes.len());
        }
        if ffi::lua_type(state, at) != ffi::LUA_TNUMBER {
            return None;
        }
        push_number(args, ffi::lua_tonumber(state, at));
        Some(0)
    }
}

/// Whole numbers as such, others as short as they can be told from their neighbours.
fn push_number(args: &mut OwnedArgs, value: f64) {
    let limit = (i64::MAX / 2) as f64;
    let whole = value as i64;
    if value >= -limit && value <= limit && whole as f64 == value {
        args.push(itoa::Buffer::new().format(whole).as_bytes());
    } else {
        let mut text = Vec::with_capacity(32);
        num::push_f64_by_digits(&mut text, value);
        args.push(&text);
    }
}

/// Pushes an encoded reply as a value of Lua. How long it was is returned.
///
/// # Safety
/// `reply` is one whole reply of our own encoder; room for three values. May raise an error.
pub(super) unsafe fn push_reply(state: State, reply: &[u8]) -> usize {
    // SAFETY: the caller's promise.
    unsafe {
        let kind = reply[0];
        if matches!(kind, b'$' | b'*' | b'>' | b'%' | b'~' | b'=' | b'|') && reply[1] != b'-' {
            let (count, end) = count_and_end(reply);
            return push_counted(state, reply, (kind, count), end);
        }
        let line_end = memchr::memchr(b'\r', reply).expect("a reply has a line");
        let line = &reply[1..line_end];
        match kind {
            b':' => ffi::lua_pushnumber(state, num::parse_i64(line).unwrap_or_default() as f64),
            b'+' => push_in_table(state, c"ok", |state| push(state, line)),
            b'-' => push_counted_error(state, line),
            // Nothing, as RESP2 has it.
            b'$' | b'*' => ffi::lua_pushboolean(state, 0),
            b'#' => ffi::lua_pushboolean(state, (line == b"t").into()),
            b',' => {
                let value = num::parse_f64(line).unwrap_or(f64::NAN);
                push_in_table(state, c"double", |state| ffi::lua_pushnumber(state, value));
            }
            b'(' => push_in_table(state, c"big_number", |state| push(state, line)),
            _ => ffi::lua_pushnil(state),
        }
        line_end + 2
    }
}

/// A reply that begins with a count, of bytes or of replies, behind which it goes on at `at`.
///
/// # Safety
/// As [`push_reply`].
unsafe fn push_counted(state: State, reply: &[u8], (kind, count): (u8, usize), mut at: usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe {
        match kind {
            b'$' => {
                push(state, &reply[at..at + count]);
                at += count + 2;
            }
            b'*' | b'>' => {
                room(state);
                ffi::lua_createtable(state, c_int::try_from(count).unwrap_or(c_int::MAX), 0);
                for index in 1..=count {
                    at += push_reply(state, &reply[at..]);
                    ffi::lua_rawseti_(state, -2, index as c_int);
                }
            }
            b'%' | b'~' => {
                room(state);
                ffi::lua_createtable(state, 0, 1);
                ffi::lua_createtable(state, 0, c_int::try_from(count).unwrap_or(c_int::MAX));
                for _ in 0..count {
                    at += push_reply(state, &reply[at..]);
                    match kind {
                        b'%' => at += push_reply(state, &reply[at..]),
                        _ => ffi::lua_pushboolean(state, 1),
                    }
                    ffi::lua_rawset(state, -3);
                }
                ffi::lua_setfield(state, -2, if kind == b'%' { c"map" } else { c"set" }.as_ptr());
            }
            b'=' => {
                let text = &reply[at..at + count];
                ffi::lua_createtable(state, 0, 1);
                ffi::lua_createtable(state, 0, 2);
                push(state, &text[4..]);
                ffi::lua_setfield(state, -2, c"string".as_ptr());
                push(state, &text[..3]);
                ffi::lua_setfield(state, -2, c"format".as_ptr());
                ffi::lua_setfield(state, -2, c"verbatim_string".as_ptr());
                at += count + 2;
            }
            _ => {
                // What is said about a reply is not for scripts.
                for _ in 0..2 * count {
                    at += push_reply(state, &reply[at..]);
                    ffi::lua_settop(state, -2);
                }
                at += push_reply(state, &reply[at..]);
            }
        }
        at
    }
}

/// # Safety
/// Room for two values. May raise an error.
unsafe fn push_in_table(state: State, name: &std::ffi::CStr, push_value: impl FnOnce(State)) {
    // SAFETY: the caller's promise.
    unsafe {
        ffi::lua_createtable(state, 0, 1);
        push_value(state);
        ffi::lua_setfield(state, -2, name.as_ptr());
    }
}

/// # Safety
/// In a function that Lua has called. May raise an error.
unsafe fn room(state: State) {
    // SAFETY: the caller's promise.
    unsafe { ffi::luaL_checkstack(state, 6, c"reply nested too deep".as_ptr()) };
}

/// The count in the first line of a reply, and where that line ends. It is a short one, and the encoder writes digits.
#[inline]
fn count_and_end(reply: &[u8]) -> (usize, usize) {
    let (mut count, mut at) = (0usize, 1);
    while reply[at] != b'\r' {
        count = count * 10 + usize::from(reply[at] - b'0');
        at += 1;
    }
    (count, at + 2)
}
