//! `struct`: values as the bytes of C structures, and back.
//!
//! A format is a row of options, each a letter and perhaps a size. It is read like a C string: a zero byte ends it.

use mlua::{Lua, MultiValue, Result, Table, Value};

use super::call::{Call, RESULTS_MAX, STACK_SLOTS, check_length, function, number_of, to_i64, to_u64, work};

/// The largest integer, in bytes.
const INTEGER_BYTES_MAX: usize = 32;

/// What `!` without a number aligns to.
const NATURAL_ALIGNMENT: i32 = 8;

pub(super) fn table(lua: &Lua) -> Result<Table> {
    let table = lua.create_table_with_capacity(0, 3)?;
    table.raw_set("pack", function(lua, pack)?)?;
    table.raw_set("unpack", function(lua, unpack)?)?;
    table.raw_set("size", function(lua, size)?)?;
    Ok(table)
}

/// A format, how far it was read, and what it has set.
struct Format<'a> {
    call: &'a Call<'a>,
    text: &'a [u8],
    big_endian: bool,
    align: i32,
}

impl<'a> Format<'a> {
    fn new(call: &'a Call<'a>, text: &'a [u8]) -> Self {
        let end = memchr::memchr(0, text).unwrap_or(text.len());
        Format { call, text: &text[..end], big_endian: false, align: 1 }
    }

    /// The next option and how many bytes it takes; 0 when the value says it, or when there are none.
    fn next(&mut self) -> Result<Option<(u8, usize)>> {
        let Some((&option, rest)) = self.text.split_first() else { return Ok(None) };
        self.text = rest;
        let size = match option {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'f' => 4,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'c' => self.number(1)? as usize,
            b'i' | b'I' => {
                let size = self.number(4)? as usize;
                if size > INTEGER_BYTES_MAX {
                    let text = format!("integral size {size} is larger than limit of {INTEGER_BYTES_MAX}");
                    return Err(self.call.raise(text));
                }
                size
            }
            _ => 0,
        };
        Ok(Some((option, size)))
    }

    /// The number that stands here, or `default`.
    fn number(&mut self, default: i32) -> Result<i32> {
        let digits = self.text.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 {
            return Ok(default);
        }
        let mut number = 0i32;
        for digit in &self.text[..digits] {
            number = number
                .checked_mul(10)
                .and_then(|n| n.checked_add(i32::from(digit - b'0')))
                .ok_or_else(|| self.call.raise("integral size overflow"))?;
        }
        self.text = &self.text[digits..];
        Ok(number)
    }

    /// How many bytes stand before a value of `size` at `offset`.
    fn padding(&self, offset: usize, option: u8, size: usize) -> usize {
        if size == 0 || option == b'c' {
            return 0;
        }
        // An alignment is a power of two, and a size need not be: then this aligns to nothing, as it does in Redis.
        let size = size.min(self.align as usize);
        (size.wrapping_sub(offset & size.wrapping_sub(1))) & size.wrapping_sub(1)
    }

    /// An option that is no value: it changes how the ones after it are laid out.
    fn control(&mut self, option: u8) -> Result<()> {
        match option {
            b' ' => {}
            b'>' => self.big_endian = true,
            b'<' => self.big_endian = false,
            b'!' => {
                let align = self.number(NATURAL_ALIGNMENT)?;
                if align <= 0 || align & (align - 1) != 0 {
                    return Err(self.call.raise(format!("alignment {align} is not a power of 2")));
                }
                self.align = align;
            }
            _ => {
                let mut text = b"invalid format option '".to_vec();
                // Lua's formatting stops at a zero, but no option is one.
                text.extend_from_slice(&[option, b'\'']);
                return Err(self.call.refuse(1, text));
            }
        }
        Ok(())
    }
}

fn pack(call: &Call<'_>) -> Result<mlua::LuaString> {
    let text = call.bytes(1)?;
    let mut format = Format::new(call, &text);
    let mut out = Vec::new();
    let mut position = 2;
    // What is aligned is the sum of sizes.
    while let Some((option, size)) = format.next()? {
        let padding = format.padding(out.len(), option, size);
        out.resize(out.len() + padding, 0);
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let number = packed_number(call, position)?;
                let value = if number < 0.0 { to_i64(number) as u64 } else { to_u64(number) };
                let mut bytes = [0; INTEGER_BYTES_MAX];
                // Beyond the eight bytes of the value there are zeros, also for a negative one.
                bytes[..8].copy_from_slice(&value.to_le_bytes());
                let bytes = &mut bytes[..size];
                if format.big_endian {
                    bytes.reverse();
                }
                out.extend_from_slice(bytes);
                position += 1;
            }
            b'x' => out.push(0),
            b'f' => {
                let bytes = (packed_number(call, position)? as f32).to_bits();
                out.extend_from_slice(&if format.big_endian { bytes.to_be_bytes() } else { bytes.to_le_bytes() });
                position += 1;
            }
            b'd' => {
                let bytes = packed_number(call, position)?.to_bits();
                out.extend_from_slice(&if format.big_endian { bytes.to_be_bytes() } else { bytes.to_le_bytes() });
                position += 1;
            }
            b'c' | b's' => {
                if position > call.count() {
                    return Err(missing(call, position, "string"));
                }
                let string = call.bytes(position)?;
                position += 1;
                let size = if size == 0 { string.len() } else { size };
                if string.len() < size {
                    return Err(call.refuse(position, "string too short"));
                }
                check_length(out.len() + size)?;
                out.extend_from_slice(&string[..size]);
                if option == b's' {
                    out.push(0);
                }
            }
            _ => format.control(option)?,
        }
    }
    work(out.len())?;
    call.lua.create_string(out)
}

fn packed_number(call: &Call<'_>, position: usize) -> Result<f64> {
    if position > call.count() { Err(missing(call, position, "number")) } else { call.number(position) }
}

/// Redis keeps a nil behind the arguments, and that is what is found in the place of a missing one.
#[cold]
fn missing(call: &Call<'_>, position: usize, wanted: &str) -> mlua::Error {
    call.refuse(position, format!("{wanted} expected, got nil"))
}

fn unpack(call: &Call<'_>) -> Result<MultiValue> {
    let text = call.bytes(1)?;
    let data = call.bytes(2)?;
    work(data.len())?;
    let start = call.integer_or(3, 1)?;
    // A negative one is as good as one behind the end.
    if start == 0 {
        return Err(call.refuse(3, "offset must be 1 or greater"));
    }
    let mut offset = (start as usize).wrapping_sub(1);
    let mut format = Format::new(call, &text);
    let mut values: Vec<Value> = Vec::new();
    let too_short = || call.refuse(2, "data string too short");
    while let Some((option, size)) = format.next()? {
        offset = offset.wrapping_add(format.padding(offset, option, size));
        if size > data.len() || offset > data.len() - size {
            return Err(too_short());
        }
        if call.count() + values.len() + 2 > STACK_SLOTS || values.len() == RESULTS_MAX {
            return Err(call.raise("stack overflow (too many results)"));
        }
        let mut size = size;
        let bytes = &data[offset..offset + size];
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                values.push(integer(bytes, format.big_endian, option.is_ascii_lowercase()));
            }
            b'x' => {}
            b'f' => {
                let bytes = bytes.try_into().expect("an f takes four bytes");
                let bits = if format.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
                values.push(Value::Number(f64::from(f32::from_bits(bits))));
            }
            b'd' => {
                let bytes = bytes.try_into().expect("a d takes eight bytes");
                let bits = if format.big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) };
                values.push(Value::Number(f64::from_bits(bits)));
            }
            b'c' => {
                if size == 0 {
                    // The result before it is the length.
                    let Some(length) = values.last().and_then(|last| number_of(call.lua, last)) else {
                        return Err(call.raise("format 'c0' needs a previous size"));
                    };
                    values.pop();
                    size = to_u64(length) as usize;
                    if size > data.len() || offset > data.len() - size {
                        return Err(too_short());
                    }
                }
                values.push(Value::String(call.lua.create_string(&data[offset..offset + size])?));
            }
            b's' => {
                let Some(length) = memchr::memchr(0, &data[offset..]) else {
                    return Err(call.raise("unfinished string in data"));
                };
                values.push(Value::String(call.lua.create_string(&data[offset..offset + length])?));
                size = length + 1;
            }
            _ => format.control(option)?,
        }
        offset += size;
    }
    values.push(Value::Number(offset.wrapping_add(1) as i64 as f64));
    Ok(MultiValue::from_vec(values))
}

/// The number that `bytes` spell, of which only eight can count.
fn integer(bytes: &[u8], big_endian: bool, signed: bool) -> Value {
    let join = |all: u64, byte: &u8| all << 8 | u64::from(*byte);
    let value = if big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) };
    if !signed {
        return Value::Number(value as f64);
    }
    // Of more than eight bytes the sign is looked for where the processor finds it: it counts places modulo 64.
    let sign = u64::MAX.wrapping_shl((bytes.len() as u32).wrapping_mul(8).wrapping_sub(1));
    let value = if value & sign != 0 { value | sign } else { value };
    Value::Number(value as i64 as f64)
}

fn size(call: &Call<'_>) -> Result<f64> {
    let text = call.bytes(1)?;
    let mut format = Format::new(call, &text);
    let mut offset = 0usize;
    while let Some((option, size)) = format.next()? {
        offset = offset.saturating_add(format.padding(offset, option, size));
        match (option, size) {
            (b's', _) => return Err(call.refuse(1, "option 's' has no fixed size")),
            (b'c', 0) => return Err(call.refuse(1, "option 'c0' has no fixed size")),
            (letter, _) if letter.is_ascii_alphanumeric() => {}
            _ => format.control(option)?,
        }
        offset = offset.saturating_add(size);
    }
    Ok(offset as f64)
}
