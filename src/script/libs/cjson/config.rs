//! What scripts can set in `cjson`: each function sets what it is given, and answers what is set then. It stays set for
//! the scripts that follow.

use std::cell::Cell;
use std::rc::Rc;

use mlua::{Lua, MultiValue, Result, Table, Value};

use super::super::call::{Call, function};

/// What to do with numbers that JSON has no form for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum InvalidNumbers {
    Refuse,
    Write,
    Null,
}

#[derive(Clone, Copy)]
pub(super) struct Config {
    /// Write arrays with too many holes as objects, and do not refuse them.
    pub(super) sparse_convert: bool,
    /// An array has too many holes if it has fewer elements than its length divided by this; 0 for never.
    pub(super) sparse_ratio: i32,
    /// But up to this length it has not.
    pub(super) sparse_safe: i32,
    pub(super) encode_depth_max: i32,
    pub(super) decode_depth_max: i32,
    /// Significant digits.
    pub(super) precision: i32,
    pub(super) encode_invalid: InvalidNumbers,
    pub(super) decode_invalid: bool,
    /// Nothing depends on it here: the buffer is given back always.
    keep_buffer: bool,
    /// Mark tables that were arrays, so that they become arrays again, also when they are empty.
    pub(super) mark_arrays: bool,
    /// Whether they ever were to be marked: else no table need be looked at for it.
    pub(super) arrays_were_marked: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth_max: 1000,
            decode_depth_max: 1000,
            precision: 14,
            encode_invalid: InvalidNumbers::Refuse,
            decode_invalid: true,
            keep_buffer: true,
            mark_arrays: false,
            arrays_were_marked: false,
        }
    }
}

/// Puts the functions that set `config` into `table`.
pub(super) fn install(lua: &Lua, table: &Table, config: &Rc<Cell<Config>>) -> Result<()> {
    let add = |name: &str, set: fn(&Call<'_>, &mut Config) -> Result<MultiValue>| {
        let config = Rc::clone(config);
        let setter = function(lua, move |call| {
            // What was set before an argument that is no good stays set.
            let mut changed = config.get();
            let answer = set(call, &mut changed);
            config.set(changed);
            answer
        })?;
        table.raw_set(name, setter)
    };
    add("encode_sparse_array", |call, config| {
        arguments_max(call, 3)?;
        let convert = switch(call, 1, &mut config.sparse_convert)?;
        let ratio = integer(call, 2, &mut config.sparse_ratio, 0, i32::MAX)?;
        let safe = integer(call, 3, &mut config.sparse_safe, 0, i32::MAX)?;
        Ok([convert, ratio, safe].into_iter().collect())
    })?;
    add("encode_max_depth", |call, config| one_integer(call, &mut config.encode_depth_max, i32::MAX))?;
    add("decode_max_depth", |call, config| one_integer(call, &mut config.decode_depth_max, i32::MAX))?;
    add("encode_number_precision", |call, config| one_integer(call, &mut config.precision, 14))?;
    add("encode_keep_buffer", |call, config| one_switch(call, &mut config.keep_buffer))?;
    add("decode_invalid_numbers", |call, config| one_switch(call, &mut config.decode_invalid))?;
    add("decode_array_with_array_mt", |call, config| {
        let answer = one_switch(call, &mut config.mark_arrays);
        config.arrays_were_marked |= config.mark_arrays;
        answer
    })?;
    add("encode_invalid_numbers", |call, config| {
        arguments_max(call, 1)?;
        let choice = &mut config.encode_invalid;
        match call.value(1) {
            Value::Nil => {}
            Value::Boolean(yes) => *choice = if *yes { InvalidNumbers::Write } else { InvalidNumbers::Refuse },
            _ => {
                *choice = match option(call, 1, &["off", "on", "null"])? {
                    0 => InvalidNumbers::Refuse,
                    1 => InvalidNumbers::Write,
                    _ => InvalidNumbers::Null,
                }
            }
        }
        let answer = match choice {
            InvalidNumbers::Refuse => Value::Boolean(false),
            InvalidNumbers::Write => Value::Boolean(true),
            InvalidNumbers::Null => Value::String(call.lua.create_string("null")?),
        };
        Ok([answer].into_iter().collect())
    })
}

fn arguments_max(call: &Call<'_>, count: usize) -> Result<()> {
    if call.count() > count { Err(call.refuse(count + 1, "found too many arguments")) } else { Ok(()) }
}

fn one_integer(call: &Call<'_>, setting: &mut i32, max: i32) -> Result<MultiValue> {
    arguments_max(call, 1)?;
    Ok([integer(call, 1, setting, 1, max)?].into_iter().collect())
}

fn one_switch(call: &Call<'_>, setting: &mut bool) -> Result<MultiValue> {
    arguments_max(call, 1)?;
    Ok([switch(call, 1, setting)?].into_iter().collect())
}

fn integer(call: &Call<'_>, position: usize, setting: &mut i32, min: i32, max: i32) -> Result<Value> {
    if !call.is_nil(position) {
        let value = call.int(position)?;
        if !(min..=max).contains(&value) {
            // Whichever argument it is, Redis says the first.
            return Err(call.refuse(1, format!("expected integer between {min} and {max}")));
        }
        *setting = value;
    }
    Ok(Value::Integer(i64::from(*setting)))
}

fn switch(call: &Call<'_>, position: usize, setting: &mut bool) -> Result<Value> {
    match call.value(position) {
        Value::Nil => {}
        Value::Boolean(yes) => *setting = *yes,
        _ => *setting = option(call, position, &["off", "on"])? == 1,
    }
    Ok(Value::Boolean(*setting))
}

/// Which of `options` the argument at `position` is.
fn option(call: &Call<'_>, position: usize, options: &[&str]) -> Result<usize> {
    let text = call.bytes(position)?;
    // C strings are compared, up to the first zero byte.
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    options.iter().position(|option| option.as_bytes() == text).ok_or_else(|| {
        let mut why = b"invalid option '".to_vec();
        why.extend_from_slice(text);
        why.push(b'\'');
        call.refuse(position, why)
    })
}
