//! MessagePack to values. What a length claims is believed only as far as there are bytes.
//!
//! Redis keeps unfinished tables on Lua's stack, whose size bounds how deep data may be nested and how many values one
//! call returns. Here they lie on the heap, and the slots are counted.

use mlua::{Error, IntoLua, Lua, MultiValue, Table, Value};

use super::super::call::{Call, DEPTH_MAX, RESULTS_MAX, STACK_SLOTS, raise, raise_bare, text_of, work};

/// All values in a string.
pub(super) fn unpack(call: &Call<'_>) -> mlua::Result<MultiValue> {
    read(call, 0, 0, call.count())
}

/// One value, and where the next one starts, or -1.
pub(super) fn unpack_one(call: &Call<'_>) -> mlua::Result<MultiValue> {
    let offset = call.integer_or(2, 0)?;
    // What was passed besides the string is taken from the stack first.
    read(call, 1, offset, 1)
}

/// So many values at most, and where the next one starts, or -1.
pub(super) fn unpack_limit(call: &Call<'_>) -> mlua::Result<MultiValue> {
    let limit = call.integer(2)?;
    let offset = call.integer_or(3, 0)?;
    read(call, limit, offset, 1)
}

fn read(call: &Call<'_>, limit: i64, offset: i64, slots: usize) -> mlua::Result<MultiValue> {
    let text = call.bytes(1)?;
    work(text.len())?;
    if offset < 0 || limit < 0 {
        // Redis passes the length where the text says limit.
        let (offset, limit) = (offset as i32, text.len() as i32);
        return Err(call.raise(format!("Invalid request to unpack with offset of {offset} and limit of {limit}.")));
    }
    if offset as u64 > text.len() as u64 {
        let (offset, length) = (offset as i32, text.len() as i32);
        return Err(call.raise(format!("Start offset {offset} greater than input length {length}.")));
    }
    let whole = limit == 0 && offset == 0;
    let limit = if whole { i64::from(i32::MAX) } else { limit };
    let mut reader = Reader { lua: call.lua, rest: &text[offset as usize..], slots, open: Vec::new() };
    let mut values = Vec::new();
    if !whole {
        values.push(Value::Nil);
    }
    let mut count = 0;
    while !reader.rest.is_empty() && count < limit {
        if values.len() == RESULTS_MAX {
            return Err(TOO_MANY.raise(call.lua));
        }
        values.push(reader.value().map_err(|failure| failure.raise(call.lua))?);
        reader.slots += 1;
        count += 1;
    }
    if !whole {
        let next = if reader.rest.is_empty() { -1 } else { (text.len() - reader.rest.len()) as i64 };
        if reader.slots + 1 > STACK_SLOTS {
            return Err(call.raise("stack overflow (in function mp_unpack_full)"));
        }
        values[0] = Value::Integer(next);
    }
    Ok(MultiValue::from_vec(values))
}

/// Why a value could not be read.
enum Failure {
    /// With the position in the script.
    Raise(&'static str),
    /// Without.
    Bare(&'static str),
    Lua(Error),
}

impl Failure {
    #[cold]
    fn raise(self, lua: &Lua) -> Error {
        match self {
            Failure::Raise(text) => raise(lua, text),
            Failure::Bare(text) => raise_bare(text),
            Failure::Lua(error) => error,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Lua(error)
    }
}

const TOO_MANY: Failure =
    Failure::Raise("stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)");
const MISSING: Failure = Failure::Raise("Missing bytes in input.");

struct Reader<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
    /// How many slots Redis would have in use.
    slots: usize,
    /// Tables that are not finished, the outermost first.
    open: Vec<Open<'a>>,
}

struct Open<'a> {
    table: Table,
    /// Elements or pairs that are still to come.
    left: u32,
    part: Part<'a>,
}

enum Part<'a> {
    /// The element with this index is next.
    Element(i64),
    Key,
    /// The value of this key is next.
    Pair(Item<'a>),
}

/// What one head says.
enum Item<'a> {
    Text(&'a [u8]),
    Value(Value),
    Array(u32),
    Map(u32),
}

impl Item<'_> {
    fn store(self, table: &Table, key: impl IntoLua) -> mlua::Result<()> {
        match self {
            Item::Text(text) => table.raw_set(key, text_of(text)),
            Item::Value(value) => table.raw_set(key, value),
            Item::Array(_) | Item::Map(_) => unreachable!("tables were begun"),
        }
    }
}

impl<'a> Reader<'a> {
    /// The next value, whole.
    fn value(&mut self) -> Result<Value, Failure> {
        loop {
            let mut item = match self.item()? {
                Item::Array(length) => match self.begin(length, Part::Element(1))? {
                    Some(empty) => Item::Value(empty),
                    None => continue,
                },
                Item::Map(length) => match self.begin(length, Part::Key)? {
                    Some(empty) => Item::Value(empty),
                    None => continue,
                },
                scalar => scalar,
            };
            // The value goes into the table that is open, which may finish it, and so on outwards.
            loop {
                let Some(open) = self.open.last_mut() else {
                    return Ok(match item {
                        Item::Text(text) => Value::String(self.lua.create_string(text)?),
                        Item::Value(value) => value,
                        Item::Array(_) | Item::Map(_) => unreachable!("tables were begun"),
                    });
                };
                match std::mem::replace(&mut open.part, Part::Key) {
                    Part::Key => {
                        open.part = Part::Pair(item);
                        self.slots += 1;
                        break;
                    }
                    Part::Element(index) => {
                        item.store(&open.table, index)?;
                        open.part = Part::Element(index + 1);
                    }
                    Part::Pair(Item::Value(Value::Nil)) => return Err(Failure::Bare("table index is nil")),
                    Part::Pair(Item::Value(Value::Number(n))) if n.is_nan() => {
                        return Err(Failure::Bare("table index is NaN"));
                    }
                    Part::Pair(Item::Text(key)) => item.store(&open.table, text_of(key))?,
                    Part::Pair(Item::Value(key)) => item.store(&open.table, key)?,
                    Part::Pair(_) => unreachable!("tables were begun"),
                }
                // The slot of the index or key.
                self.slots -= 1;
                open.left -= 1;
                if open.left > 0 {
                    if let Part::Element(_) = open.part {
                        self.slots += 1;
                    }
                    break;
                }
                let closed = self.open.pop().expect("one is open");
                self.slots -= 1;
                item = Item::Value(Value::Table(closed.table));
            }
        }
    }

    /// Opens a table, unless it is empty: then it is finished.
    fn begin(&mut self, length: u32, part: Part<'a>) -> Result<Option<Value>, Failure> {
        let array = matches!(part, Part::Element(_));
        if array && self.slots + 2 > STACK_SLOTS {
            return Err(Failure::Raise("stack overflow (in function mp_decode_to_lua_array)"));
        }
        let table = self.lua.create_table()?;
        if length == 0 {
            return Ok(Some(Value::Table(table)));
        }
        self.slots += if array { 2 } else { 1 };
        self.open.push(Open { table, left: length, part });
        Ok(None)
    }

    fn item(&mut self) -> Result<Item<'a>, Failure> {
        let Some((&head, rest)) = self.rest.split_first() else { return Err(MISSING) };
        if self.slots + 1 > STACK_SLOTS || self.open.len() == DEPTH_MAX {
            return Err(TOO_MANY);
        }
        self.rest = rest;
        let number = |n: f64| Ok(Item::Value(Value::Number(n)));
        match head {
            0..=0x7f => number(f64::from(head)),
            0xe0..=0xff => number(f64::from(head as i8)),
            0x80..=0x8f => Ok(Item::Map(u32::from(head & 15))),
            0x90..=0x9f => Ok(Item::Array(u32::from(head & 15))),
            0xa0..=0xbf => self.string(usize::from(head & 31)),
            0xc0 => Ok(Item::Value(Value::Nil)),
            0xc2 | 0xc3 => Ok(Item::Value(Value::Boolean(head == 0xc3))),
            0xca => number(f64::from(f32::from_be_bytes(self.take()?))),
            0xcb => number(f64::from_be_bytes(self.take()?)),
            0xcc => number(f64::from(u8::from_be_bytes(self.take()?))),
            0xcd => number(f64::from(u16::from_be_bytes(self.take()?))),
            0xce => number(f64::from(u32::from_be_bytes(self.take()?))),
            // Redis reads them as signed, both.
            0xcf | 0xd3 => number(i64::from_be_bytes(self.take()?) as f64),
            0xd0 => number(f64::from(i8::from_be_bytes(self.take()?))),
            0xd1 => number(f64::from(i16::from_be_bytes(self.take()?))),
            0xd2 => number(f64::from(i32::from_be_bytes(self.take()?))),
            0xd9 => {
                let [length] = self.take()?;
                self.string(usize::from(length))
            }
            0xda => {
                let length = u16::from_be_bytes(self.take()?);
                self.string(usize::from(length))
            }
            0xdb => {
                let length = u32::from_be_bytes(self.take()?);
                self.string(length as usize)
            }
            0xdc => Ok(Item::Array(u32::from(u16::from_be_bytes(self.take()?)))),
            0xdd => Ok(Item::Array(u32::from_be_bytes(self.take()?))),
            0xde => Ok(Item::Map(u32::from(u16::from_be_bytes(self.take()?)))),
            0xdf => Ok(Item::Map(u32::from_be_bytes(self.take()?))),
            _ => Err(Failure::Raise("Bad data format in input.")),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(MISSING)?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn string(&mut self, length: usize) -> Result<Item<'a>, Failure> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(MISSING)?;
        self.rest = rest;
        Ok(Item::Text(bytes))
    }
}
