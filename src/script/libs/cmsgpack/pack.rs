//! Values to MessagePack. Numbers that are whole are integers, in the fewest bytes; tables are arrays if their keys are
//! 1, 2, 3 and so on, and maps otherwise; what has no form, and what is nested too deep, is nil.

use mlua::{LuaString, Result, Table, Value};

use super::super::call::{Call, STACK_SLOTS, check_length, each_pair, work};

/// Tables inside of tables, at most; the next one is packed as nil.
const NESTING_MAX: usize = 16;

pub(super) fn pack(call: &Call<'_>) -> Result<LuaString> {
    if call.count() == 0 {
        return Err(call.refuse(0, "MessagePack pack needs input."));
    }
    if 2 * call.count() > STACK_SLOTS {
        return Err(call.refuse(0, "Too many arguments for MessagePack pack."));
    }
    let mut out = Vec::new();
    for value in call.values() {
        push_value(&mut out, value, 0)?;
    }
    work(out.len())?;
    call.lua.create_string(out)
}

fn push_value(out: &mut Vec<u8>, value: &Value, nesting: usize) -> Result<()> {
    match value {
        Value::Integer(n) => push_integer(out, *n),
        Value::Number(n) => push_number(out, *n),
        Value::String(string) => {
            let bytes = string.as_bytes();
            check_length(out.len() + bytes.len())?;
            push_head(out, bytes.len(), (0xa0, 31), &[0xd9, 0xda, 0xdb]);
            out.extend_from_slice(&bytes);
        }
        Value::Boolean(yes) => out.push(if *yes { 0xc3 } else { 0xc2 }),
        Value::Table(table) if nesting < NESTING_MAX => push_table(out, table, nesting)?,
        _ => out.push(0xc0),
    }
    Ok(())
}

/// The first bytes of something that has a length: one byte, if there is room in it, or a mark (for lengths of one, two
/// and four bytes, from the last one backwards) and the length.
fn push_head(out: &mut Vec<u8>, length: usize, (short, short_max): (u8, usize), marks: &[u8]) {
    let mark = |place: usize| marks[place + marks.len() - 3];
    if length <= short_max {
        out.push(short | length as u8);
    } else if length <= 0xff && marks.len() == 3 {
        out.extend_from_slice(&[mark(0), length as u8]);
    } else if length <= 0xffff {
        out.push(mark(1));
        out.extend_from_slice(&(length as u16).to_be_bytes());
    } else {
        out.push(mark(2));
        out.extend_from_slice(&(length as u32).to_be_bytes());
    }
}

fn push_integer(out: &mut Vec<u8>, n: i64) {
    match n {
        0..=0x7f => out.push(n as u8),
        0x80..=0xff => out.extend_from_slice(&[0xcc, n as u8]),
        0x100..=0xffff => push_marked(out, 0xcd, &(n as u16).to_be_bytes()),
        0x1_0000..=0xffff_ffff => push_marked(out, 0xce, &(n as u32).to_be_bytes()),
        0x1_0000_0000.. => push_marked(out, 0xcf, &n.to_be_bytes()),
        -32..=-1 => out.push(n as u8),
        -0x80..=-33 => out.extend_from_slice(&[0xd0, n as u8]),
        -0x8000..=-0x81 => push_marked(out, 0xd1, &(n as i16).to_be_bytes()),
        -0x8000_0000..=-0x8001 => push_marked(out, 0xd2, &(n as i32).to_be_bytes()),
        _ => push_marked(out, 0xd3, &n.to_be_bytes()),
    }
}

fn push_number(out: &mut Vec<u8>, n: f64) {
    // The only whole number that is not an integer of Rust's yet is -0.
    if n == 0.0 {
        return push_integer(out, 0);
    }
    if f64::from(n as f32) == n {
        push_marked(out, 0xca, &(n as f32).to_be_bytes());
    } else {
        push_marked(out, 0xcb, &n.to_be_bytes());
    }
}

fn push_marked(out: &mut Vec<u8>, mark: u8, bytes: &[u8]) {
    out.push(mark);
    out.extend_from_slice(bytes);
}

fn push_table(out: &mut Vec<u8>, table: &Table, nesting: usize) -> Result<()> {
    check_length(out.len())?;
    match shape(table)? {
        Shape::Array => {
            let length = table.raw_len();
            push_head(out, length, (0x90, 15), &[0xdc, 0xdd]);
            for position in 1..=length {
                // Redis reads the elements through metatables, but their number without.
                push_value(out, &table.get(position)?, nesting + 1)?;
            }
        }
        Shape::Map(length) => {
            push_head(out, length, (0x80, 15), &[0xde, 0xdf]);
            each_pair(table, |key: Value, value: Value| {
                push_value(out, &key, nesting + 1)?;
                push_value(out, &value, nesting + 1)
            })?;
        }
    }
    Ok(())
}

enum Shape {
    Array,
    /// With so many pairs.
    Map(usize),
}

/// Whether the keys of `table` are 1, 2, 3 and so on, each once.
fn shape(table: &Table) -> Result<Shape> {
    let (mut count, mut highest, mut other) = (0usize, 0i64, false);
    each_pair(table, |key: Value, _: bool| {
        count += 1;
        match key {
            Value::Integer(n) if n > 0 => highest = highest.max(n),
            _ => other = true,
        }
        Ok(())
    })?;
    Ok(if !other && highest as usize == count { Shape::Array } else { Shape::Map(count) })
}
