//! `bit`: operations on the low 32 bits of numbers, with signed results.

use mlua::{Lua, Result, Table, Value};

use super::call::{Call, function, number_of};

pub(super) fn table(lua: &Lua) -> Result<Table> {
    let table = lua.create_table_with_capacity(0, 12)?;
    let one =
        |name: &str, run: fn(i32) -> i32| table.raw_set(name, function(lua, move |call| Ok(run(bits(call, 1)?)))?);
    one("tobit", |a| a)?;
    one("bnot", |a| !a)?;
    one("bswap", i32::swap_bytes)?;
    let all = |name: &str, run: fn(i32, i32) -> i32| {
        let fold = function(lua, move |call| {
            (2..=call.count()).try_fold(bits(call, 1)?, |all, position| Ok(run(all, bits(call, position)?)))
        })?;
        table.raw_set(name, fold)
    };
    all("band", |a, b| a & b)?;
    all("bor", |a, b| a | b)?;
    all("bxor", |a, b| a ^ b)?;
    let shift = |name: &str, run: fn(i32, u32) -> i32| {
        table.raw_set(name, function(lua, move |call| Ok(run(bits(call, 1)?, bits(call, 2)? as u32)))?)
    };
    // Of the distance only the low five bits count.
    shift("lshift", i32::wrapping_shl)?;
    shift("rshift", |a, by| (a as u32).wrapping_shr(by) as i32)?;
    shift("arshift", i32::wrapping_shr)?;
    shift("rol", |a, by| a.rotate_left(by & 31))?;
    shift("ror", |a, by| a.rotate_right(by & 31))?;
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
