//! What a script returns, as a reply to its client.

use std::ffi::{CStr, c_int};

use mlua::ffi;

use super::server;
use super::stack::{State, bytes, push_error, raise_plain, raw_field};
use super::texts;
use crate::resp::{Proto, Reply, push_bulk_header};

/// So deep may tables be nested: no client reads more.
const DEPTH_MAX: usize = 1000;

/// An error that a script has returned as its whole value.
pub(super) struct ReturnedError {
    pub text: Vec<u8>,
    /// The command that failed was counted already.
    pub is_counted: bool,
}

/// How a value is encoded.
#[derive(Clone, Copy)]
struct Form {
    /// What the script has set for itself.
    proto: Proto,
    /// Where it begins among what its client is owed.
    begin: usize,
}

/// Encodes the value on top of the stack, and takes it off. If it is an error as a whole, nothing is encoded, and the error
/// is returned. `proto`: what the script has set for itself.
///
/// # Safety
/// In a function that Lua has called. May raise an error, with a part of the value encoded.
pub(super) unsafe fn encode_returned(state: State, proto: Proto, reply: &mut Reply) -> Option<ReturnedError> {
    // SAFETY: the caller's promise.
    unsafe {
        if ffi::lua_type(state, -1) == ffi::LUA_TTABLE {
            if raw_field(state, -1, c"err") == ffi::LUA_TSTRING {
                let is_counted = raw_field(state, -2, c"ignore_error_stats_update") == ffi::LUA_TBOOLEAN;
                let text = bytes(state, -2).unwrap_or_default().to_vec();
                ffi::lua_settop(state, -4);
                return Some(ReturnedError { text, is_counted });
            }
            ffi::lua_settop(state, -2);
        }
        let form = Form { proto, begin: reply.out.len() };
        encode(state, form, reply, 0);
        None
    }
}

/// Encodes the value on top of the stack, and takes it off.
///
/// # Safety
/// As above. Nothing here has a destructor.
unsafe fn encode(state: State, form: Form, reply: &mut Reply, depth: usize) {
    // SAFETY: the caller's promise; every value is read while it is on the stack.
    unsafe {
        if let Err(why) = texts::check(reply.out.len() - form.begin) {
            raise_plain(state, why);
        }
        if depth > DEPTH_MAX || ffi::lua_checkstack(state, 5) == 0 {
            server::with(|lent| lent.server.count_error(b"ERR reached lua stack limit"));
            reply.error("ERR reached lua stack limit");
            ffi::lua_settop(state, -2);
            return;
        }
        match ffi::lua_type(state, -1) {
            ffi::LUA_TSTRING => reply.bulk(bytes(state, -1).unwrap_or_default()),
            ffi::LUA_TBOOLEAN => {
                let is_true = ffi::lua_toboolean(state, -1) != 0;
                match form.proto {
                    Proto::Resp2 if is_true => reply.int(1),
                    Proto::Resp2 => reply.null(),
                    Proto::Resp3 => reply.boolean(is_true),
                }
            }
            ffi::LUA_TNUMBER => reply.int(ffi::lua_tonumber(state, -1) as i64),
            ffi::LUA_TTABLE => encode_table(state, form, reply, depth),
            _ => reply.null(),
        }
        ffi::lua_settop(state, -2);
    }
}

/// # Safety
/// As [`encode`]; the table stays.
unsafe fn encode_table(state: State, form: Form, reply: &mut Reply, depth: usize) {
    // SAFETY: the caller's promise; five values at most are pushed before the next `encode` asks for more.
    unsafe {
        if field_is(state, c"err", ffi::LUA_TSTRING) {
            let text = bytes(state, -1).unwrap_or_default();
            let is_counted = raw_field(state, -2, c"ignore_error_stats_update") == ffi::LUA_TBOOLEAN;
            if !is_counted {
                server::with(|lent| lent.server.count_error(text));
            }
            reply.error_bytes(text);
            ffi::lua_settop(state, -3);
        } else if field_is(state, c"ok", ffi::LUA_TSTRING) {
            push_line(reply, b'+', bytes(state, -1).unwrap_or_default());
            ffi::lua_settop(state, -2);
        } else if field_is(state, c"double", ffi::LUA_TNUMBER) {
            reply.double(ffi::lua_tonumber(state, -1));
            ffi::lua_settop(state, -2);
        } else if field_is(state, c"map", ffi::LUA_TTABLE) {
            let at = reply.map_deferred();
            let count = encode_pairs(state, form, reply, depth, true);
            reply.set_map_len(at, count);
        } else if field_is(state, c"set", ffi::LUA_TTABLE) {
            let at = reply.set_deferred();
            let count = encode_pairs(state, form, reply, depth, false);
            reply.set_set_len(at, count);
        } else if field_is(state, c"big_number", ffi::LUA_TSTRING) {
            let digits = bytes(state, -1).unwrap_or_default();
            match reply.proto {
                Proto::Resp3 => push_line(reply, b'(', digits),
                Proto::Resp2 => {
                    push_bulk_header(reply.out.bytes_mut(), digits.len());
                    extend_line(reply.out.bytes_mut(), digits);
                }
            }
            ffi::lua_settop(state, -2);
        } else if field_is(state, c"verbatim_string", ffi::LUA_TTABLE) && encode_verbatim(state, reply) {
        } else {
            encode_array(state, form, reply, depth);
        }
    }
}

/// Pushes the field if it is of this type.
///
/// # Safety
/// As [`raw_field`].
unsafe fn field_is(state: State, name: &CStr, kind: c_int) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let is = raw_field(state, -1, name) == kind;
        if !is {
            ffi::lua_settop(state, -2);
        }
        is
    }
}

/// The table on top of the stack as pairs, or as its keys; takes it off.
///
/// # Safety
/// As [`encode`].
unsafe fn encode_pairs(state: State, form: Form, reply: &mut Reply, depth: usize, with_values: bool) -> usize {
    // SAFETY: the key that `lua_next` is given is the one that it gave.
    unsafe {
        let mut count = 0;
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, -2) != 0 {
            // The key is needed twice.
            ffi::lua_pushvalue(state, -2);
            encode(state, form, reply, depth + 1);
            if with_values {
                encode(state, form, reply, depth + 1);
            } else {
                ffi::lua_settop(state, -2);
            }
            count += 1;
        }
        ffi::lua_settop(state, -2);
        count
    }
}

/// The table on top of the stack as a verbatim string. It is taken off; false if it is none.
///
/// # Safety
/// As [`encode`].
unsafe fn encode_verbatim(state: State, reply: &mut Reply) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let format = raw_field(state, -1, c"format");
        let string = raw_field(state, -2, c"string");
        let is_one = format == ffi::LUA_TSTRING && string == ffi::LUA_TSTRING;
        if is_one {
            let mut letters = [b' '; 3];
            let format = bytes(state, -2).unwrap_or_default();
            let len = format.len().min(3);
            letters[..len].copy_from_slice(&format[..len]);
            let format = std::str::from_utf8(&letters).unwrap_or("txt");
            reply.verbatim(format, bytes(state, -1).unwrap_or_default());
        }
        ffi::lua_settop(state, -4);
        is_one
    }
}

/// # Safety
/// As [`encode`].
unsafe fn encode_array(state: State, form: Form, reply: &mut Reply, depth: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let at = reply.array_deferred();
        let mut count = 0;
        loop {
            ffi::lua_rawgeti_(state, -1, count + 1);
            if ffi::lua_type(state, -1) == ffi::LUA_TNIL {
                ffi::lua_settop(state, -2);
                break;
            }
            encode(state, form, reply, depth + 1);
            count += 1;
        }
        reply.set_array_len(at, count as usize);
    }
}

/// A line, in which there are no line ends.
fn push_line(reply: &mut Reply, kind: u8, text: &[u8]) {
    let out = reply.out.bytes_mut();
    out.push(kind);
    extend_line(out, text);
}

fn extend_line(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
    out.extend_from_slice(b"\r\n");
}

/// What a script has failed with, out of what the handler has made of it.
pub(super) struct Raised {
    pub text: Vec<u8>,
    pub source: Vec<u8>,
    pub line: i64,
    pub is_counted: bool,
}

/// Reads the error on top of the stack.
///
/// # Safety
/// In a function that Lua has called. May raise an error, and then something is not freed.
pub(super) unsafe fn read_raised(state: State) -> Raised {
    // SAFETY: the caller's promise.
    unsafe {
        if ffi::lua_type(state, -1) != ffi::LUA_TTABLE {
            // Memory was full, or the handler failed.
            push_error(state, bytes(state, -1).unwrap_or(b"unknown error"));
        }
        let kind = raw_field(state, -1, c"err");
        let line = raw_field(state, -2, c"line");
        let source = raw_field(state, -3, c"source");
        let is_counted = raw_field(state, -4, c"ignore_error_stats_update") == ffi::LUA_TBOOLEAN;
        let _ = (kind, source);
        Raised {
            text: bytes(state, -4).unwrap_or(b"ERR unknown error").to_vec(),
            line: if line == ffi::LUA_TNUMBER { ffi::lua_tonumber(state, -3) as i64 } else { -1 },
            source: bytes(state, -2).unwrap_or_default().to_vec(),
            is_counted,
        }
    }
}
