//! redis.register_function: what a library offers.

use std::ffi::{c_int, c_void};

use mlua::ffi;

use super::server;
use super::shebang::ScriptFlags;
use super::stack::{State, bytes, raise};

/// A function of a library.
#[derive(Debug)]
pub struct Registered {
    /// By which name FCALL knows it.
    pub name: Vec<u8>,
    /// What it is for, if the library says so.
    pub description: Option<Vec<u8>>,
    /// What it says of itself.
    pub flags: ScriptFlags,
    /// Where its engine keeps it.
    pub(super) reference: c_int,
    /// How many of the two lists, KEYS and ARGV, it takes.
    pub(super) lists: u8,
}

/// Whether this can be the name of a library or of a function.
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// What a library is told that gives a function another name.
pub const BAD_NAME: &str =
    "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";

/// # Safety
/// For Lua to call.
pub(super) unsafe extern "C-unwind" fn register_function(state: State) -> c_int {
    // SAFETY: in a function that Lua has called; what has a destructor is gone when an error is raised.
    unsafe {
        if let Err(text) = register(state) {
            raise(state, text.as_bytes());
        }
    }
    0
}

/// # Safety
/// In a function that Lua has called. May raise an error.
unsafe fn register(state: State) -> Result<(), &'static str> {
    // SAFETY: the caller's promise.
    unsafe {
        let flags = match ffi::lua_gettop(state) {
            1 => named(state)?,
            2 => {
                if bytes(state, 1).is_none() && ffi::lua_type(state, 1) != ffi::LUA_TNUMBER {
                    return Err("first argument to redis.register_function must be a string");
                }
                if ffi::lua_type(state, 2) != ffi::LUA_TFUNCTION {
                    return Err("second argument to redis.register_function must be a function");
                }
                ffi::lua_tolstring(state, 1, std::ptr::null_mut());
                ffi::lua_pushnil(state);
                ffi::lua_insert(state, 2);
                ScriptFlags::NONE
            }
            _ => return Err("wrong number of arguments to redis.register_function"),
        };
        // Now there are the name, the description or nil, the function.
        let name = bytes(state, 1).unwrap_or_default();
        if !is_name(name) {
            return Err(BAD_NAME);
        }
        let is_known = server::with(|lent| {
            let registered = lent.registered.as_ref()?;
            Some(registered.iter().any(|known| known.name == name))
        });
        match is_known.flatten() {
            None => return Err("redis.register_function can only be called on FUNCTION LOAD command"),
            Some(true) => return Err("Function already exists in the library"),
            Some(false) => {}
        }
        let lists = lists_taken(state);
        let reference = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
        server::with(|lent| {
            let description = bytes(state, 2).map(<[u8]>::to_vec);
            let registered = Registered { name: name.to_vec(), description, flags, reference, lists };
            lent.registered.get_or_insert_default().push(registered);
        });
        Ok(())
    }
}

/// How many parameters the function on top of the stack has, at most two. Lua 5.1 tells nobody but in its byte code.
///
/// # Safety
/// As [`register`].
unsafe fn lists_taken(state: State) -> u8 {
    /// Of what `lua_dump` writes, so much is looked at.
    type Head = ([u8; 128], usize);

    unsafe extern "C-unwind" fn write(_: State, bytes: *const c_void, len: usize, head: *mut c_void) -> c_int {
        // SAFETY: Lua hands over its bytes, and the head that `lua_dump` was given.
        let ((head, used), bytes) =
            unsafe { (&mut *head.cast::<Head>(), std::slice::from_raw_parts(bytes.cast::<u8>(), len)) };
        let fits = len.min(head.len() - *used);
        head[*used..*used + fits].copy_from_slice(&bytes[..fits]);
        *used += fits;
        0
    }

    let mut head: Head = ([0; 128], 0);
    // SAFETY: the caller's promise; nothing is pushed.
    if unsafe { ffi::lua_dump_(state, write, (&raw mut head).cast()) } != 0 {
        return 2; // a function of C
    }
    let (head, used) = head;
    // The header; the name of the source behind its length; two numbers of lines; the number of upvalues.
    let source = head[12..20].try_into().map_or(0, u64::from_le_bytes);
    let at = usize::try_from(source).unwrap_or(usize::MAX).saturating_add(12 + 8 + 4 + 4 + 1);
    match head[..used].get(at..at.saturating_add(2)) {
        Some(&[parameters, 0]) => parameters.min(2),
        _ => 2, // it takes any number
    }
}

/// The form with a table; leaves the name, the description or nil, and the function.
///
/// # Safety
/// As [`register`].
unsafe fn named(state: State) -> Result<ScriptFlags, &'static str> {
    // SAFETY: the caller's promise.
    unsafe {
        if ffi::lua_type(state, 1) != ffi::LUA_TTABLE {
            return Err("calling redis.register_function with a single argument is only applicable to Lua table \
                        (representing named arguments).");
        }
        let mut flags = ScriptFlags::NONE;
        // At 2, 3 and 4: name, description, function.
        ffi::lua_settop(state, 4);
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, 1) != 0 {
            let Some(key) = bytes(state, -2) else {
                return Err("named argument key given to redis.register_function is not a string");
            };
            let kind = ffi::lua_type(state, -1);
            if key.eq_ignore_ascii_case(b"function_name") {
                if kind != ffi::LUA_TSTRING && kind != ffi::LUA_TNUMBER {
                    return Err("function_name argument given to redis.register_function must be a string");
                }
                ffi::lua_tolstring(state, -1, std::ptr::null_mut());
                ffi::lua_pushvalue(state, -1);
                ffi::lua_replace(state, 2);
            } else if key.eq_ignore_ascii_case(b"description") {
                if kind != ffi::LUA_TSTRING && kind != ffi::LUA_TNUMBER {
                    return Err("description argument given to redis.register_function must be a string");
                }
                ffi::lua_tolstring(state, -1, std::ptr::null_mut());
                ffi::lua_pushvalue(state, -1);
                ffi::lua_replace(state, 3);
            } else if key.eq_ignore_ascii_case(b"callback") {
                if kind != ffi::LUA_TFUNCTION {
                    return Err("callback argument given to redis.register_function must be a function");
                }
                ffi::lua_pushvalue(state, -1);
                ffi::lua_replace(state, 4);
            } else if key.eq_ignore_ascii_case(b"flags") {
                if kind != ffi::LUA_TTABLE {
                    return Err(
                        "flags argument to redis.register_function must be a table representing function flags",
                    );
                }
                flags = read_flags(state)?;
            } else {
                return Err("unknown argument given to redis.register_function");
            }
            ffi::lua_settop(state, -2);
        }
        if ffi::lua_type(state, 2) == ffi::LUA_TNIL {
            return Err("redis.register_function must get a function name argument");
        }
        if ffi::lua_type(state, 4) == ffi::LUA_TNIL {
            return Err("redis.register_function must get a callback argument");
        }
        ffi::lua_settop(state, 4);
        ffi::lua_remove(state, 1);
        Ok(flags)
    }
}

/// # Safety
/// A table is on top of the stack, with room for a value.
unsafe fn read_flags(state: State) -> Result<ScriptFlags, &'static str> {
    let mut flags = ScriptFlags::NONE;
    for index in 1.. {
        // SAFETY: the caller's promise.
        unsafe {
            ffi::lua_rawgeti_(state, -1, index);
            let kind = ffi::lua_type(state, -1);
            let flag = bytes(state, -1).and_then(ScriptFlags::by_name);
            ffi::lua_settop(state, -2);
            match flag {
                _ if kind == ffi::LUA_TNIL => break,
                Some(flag) => flags = flags.or(flag),
                None => return Err("unknown flag given"),
            }
        }
    }
    Ok(flags)
}
