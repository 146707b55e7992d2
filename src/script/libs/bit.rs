//! `bit`: operations on the low 32 bits of numbers, with signed results.

use mlua::{Lua, Result, Table, Value};

/// Functions, and what scripts call them.
type Unary = [(&'static str, fn(i32) -> i32); 3];
type Folds = [(&'static str, fn(i32, i32) -> i32); 3];
type Shifts = [(&'static str, fn(i32, u32) -> i32); 5];

use super::call::{Call, function, number_of};

pub(super) fn table(lua: &Lua) -> Result<Table> {
    let table = lua.create_table_with_capacity(0, 12)?;
    let unary: Unary = [("tobit", |a| a), ("bnot", |a| !a), ("bswap", i32::swap_bytes)];
    for (name, run) in unary {
        table.raw_set(name, function(lua, move |call| Ok(run(bits(call, 1)?)))?)?;
    }
    let folds: Folds = [("band", |a, b| a & b), ("bor", |a, b| a | b), ("bxor", |a, b| a ^ b)];
    for (name, run) in folds {
        table.raw_set(
            name,
            function(lua, move |call| {
                let mut all = bits(call, 1)?;
                for position in 2..=call.count() {
                    all = run(all, bits(call, position)?);
                }
                Ok(all)
            })?,
        )?;
    }
    // Of the distance only the low five bits count.
    let shifts: Shifts = [
        ("lshift", i32::wrapping_shl),
        ("rshift", |a, by| (a as u32).wrapping_shr(by) as i32),
        ("arshift", i32::wrapping_shr),
        ("rol", |a, by| a.rotate_left(by & 31)),
        ("ror", |a, by| a.rotate_right(by & 31)),
    ];
    for (name, run) in shifts {
        table.raw_set(name, function(lua, move |call| Ok(run(bits(call, 1)?, bits(call, 2)? as u32)))?)?;
    }
    table.raw_set("tohex", function(lua, to_hex)?)?;
    Ok(table)
}

/// The low 32 bits of the number at `position`, rounded to the nearest whole one.
///
/// Adding this constant moves the units of a double to the end of its mantissa. Numbers beyond 2^51 do not fit there,
/// and what they give has no meaning, but it is what Redis gives.
#[inline]
fn bits(call: &Call<'_>, position: usize) -> Result<i32> {
    const UNITS_LAST: f64 = 6_755_399_441_055_744.0;
    let number = match call.value(position) {
        Value::Integer(n) if i32::try_from(*n).is_ok() => return Ok(*n as i32),
        Value::Integer(n) => *n as f64,
        Value::Number(n) => *n,
        other => number_of(call.lua, other).ok_or_else(|| call.wrong_type(position, "number"))?,
    };
    Ok((number + UNITS_LAST).to_bits() as i32)
}

/// The hexadecimal digits of a number: the last 8, or as many as the second argument says, in capitals if it is
/// negative.
fn to_hex(call: &Call<'_>) -> Result<mlua::LuaString> {
    let number = bits(call, 1)?;
    let count = if call.count() < 2 { 8 } else { bits(call, 2)? };
    let digits: &[u8; 16] = if count < 0 { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    let mut text = [0; 8];
    for (place, byte) in text.iter_mut().enumerate() {
        *byte = digits[(number >> (28 - 4 * place)) as usize & 15];
    }
    call.lua.create_string(&text[8 - count.unsigned_abs().min(8) as usize..])
}
