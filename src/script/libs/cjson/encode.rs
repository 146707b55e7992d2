//! Values to JSON.
//!
//! Tables inside of tables are not encoded by recursion, neither Rust's (scripts can allow any depth) nor Lua's: walking
//! over a table counts as a call, and Lua allows 200 of them. So a table is walked over once, which writes all of it
//! but the tables inside. Where those belong is remembered, and they are filled in afterwards, in order.

use std::cell::Cell;

use mlua::{BString, Error, FromLua, Function, Lua, LuaString, Table, Value};

use super::super::call::{DEPTH_MAX, STACK_SLOTS, check_length, each_pair, type_name, work};
use super::config::{Config, InvalidNumbers};
use super::number::push_number;
use super::{ARRAY_MARK, Failure};

/// How many tables are kept at a time to be filled in: what `mlua` keeps them on is a stack of Lua's, with [`STACK_SLOTS`]
/// places for everybody.
const CHILDREN_MAX: usize = 1000;

/// What ends a walk early; nobody gets to see it.
const STOP: Error = Error::CoroutineUnresumable;

/// A buffer larger than this is not kept.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// `value` as JSON. `next` is Lua's function of that name; `buffer` is kept from one call to the next.
pub(super) fn encode(
    lua: &Lua,
    config: &Config,
    next: &Function,
    buffer: &Cell<Vec<u8>>,
    value: &Value,
) -> Result<LuaString, Failure> {
    let mut out = buffer.take();
    out.clear();
    let mut encoder = Encoder { config, next, out, open: Vec::new(), kept: 0, slots: 1, children: 0 };
    let encoded = match value {
        Value::Table(table) => encoder.open(table.clone()).and_then(|()| encoder.fill()),
        scalar => push_scalar(config, &mut encoder.out, scalar),
    };
    let out = encoder.out;
    let text = encoded.and_then(|()| Ok(work(out.len())?)).and_then(|()| Ok(lua.create_string(&out)?));
    if out.capacity() <= KEPT_BYTES_MAX {
        buffer.set(out);
    }
    text
}

struct Encoder<'a> {
    config: &'a Config,
    next: &'a Function,
    out: Vec<u8>,
    /// Tables that are not finished, the outermost first.
    open: Vec<Open>,
    /// How long the texts of all of them are.
    kept: usize,
    /// How many slots of Lua's stack Redis would have in use.
    slots: usize,
    /// How many tables all of `open` keep to be filled in.
    children: usize,
}

enum Open {
    Array {
        table: Table,
        /// The element that is next.
        next: i32,
        last: i32,
    },
    Object {
        /// All of it but the objects and arrays inside.
        text: Vec<u8>,
        /// How much of `text` has been written.
        written: usize,
        /// The tables inside, the last one first, and where in `text` they belong.
        children: Vec<(usize, Table)>,
        /// What was found to be wrong behind the last child.
        failure: Option<Failure>,
    },
    /// An object with a great many tables inside: it is gone through pair by pair.
    Large {
        table: Table,
        /// The last pair that was written, nil before the first.
        key: Value,
    },
}

impl Open {
    /// What it takes of Lua's stack in Redis: an element, or a key and a value.
    fn slots(&self) -> usize {
        match self {
            Open::Array { .. } => 1,
            Open::Object { .. } | Open::Large { .. } => 2,
        }
    }
}

/// What a table is in JSON, as far as is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// With this length.
    Array(i32),
    Object,
    Unknown,
}

/// What came of walking over a table.
struct Walked {
    /// Where it begins in the text.
    start: usize,
    /// The tables inside, in order, and where they belong.
    children: Vec<(usize, Table)>,
    end: End,
}

enum End {
    Done,
    /// A key may be something else than it was taken for.
    Unsure,
    /// There are too many tables inside.
    Large,
    Failed(Failure),
}

/// A key of a table, in one of two forms.
trait Key: FromLua {
    /// Whether it may be an index of an array.
    fn may_be_index(&self) -> bool;

    /// Writes it, or says that it can not tell what to write.
    fn push(self, config: &Config, out: &mut Vec<u8>) -> Result<bool, Failure>;

    /// What it means if a key was not of this form.
    fn mismatch(error: Error) -> End;
}

/// The form of names. A number would be taken for its text; what may be one is left to the other form.
impl Key for BString {
    fn may_be_index(&self) -> bool {
        false
    }

    fn push(self, _: &Config, out: &mut Vec<u8>) -> Result<bool, Failure> {
        if matches!(self.first(), Some(b'-' | b'0'..=b'9')) || self == "inf" || self == "nan" {
            return Ok(false);
        }
        push_string(out, &self);
        out.push(b':');
        Ok(true)
    }

    fn mismatch(_: Error) -> End {
        End::Unsure
    }
}

impl Key for Value {
    fn may_be_index(&self) -> bool {
        matches!(self, Value::Integer(_) | Value::Number(_))
    }

    fn push(self, config: &Config, out: &mut Vec<u8>) -> Result<bool, Failure> {
        push_key(config, out, &self)?;
        Ok(true)
    }

    fn mismatch(error: Error) -> End {
        End::Failed(Failure::Lua(error))
    }
}

impl Encoder<'_> {
    /// Goes on with the tables that are open until none is.
    fn fill(&mut self) -> Result<(), Failure> {
        while let Some(open) = self.open.last_mut() {
            let kept = self.kept;
            check_length(kept + self.out.len())?;
            let child = match open {
                Open::Array { table, next, last } => array(self.config, &mut self.out, kept, table, next, *last)?,
                Open::Large { table, key } => large(self.config, &mut self.out, kept, self.next, table, key)?,
                Open::Object { text, written, children, failure } => match children.pop() {
                    Some((place, child)) => {
                        self.children -= 1;
                        self.out.extend_from_slice(&text[*written..place]);
                        *written = place;
                        Some(child)
                    }
                    None => {
                        if let Some(failure) = failure.take() {
                            return Err(failure);
                        }
                        self.out.extend_from_slice(&text[*written..]);
                        None
                    }
                },
            };
            match child {
                Some(child) => self.open(child)?,
                None => {
                    let done = self.open.pop().expect("one is open");
                    self.slots -= done.slots();
                    if let Open::Object { text, .. } = done {
                        self.kept -= text.len();
                    }
                }
            }
        }
        Ok(())
    }

    /// Begins a table. One that turns out to have no tables inside is finished at once.
    fn open(&mut self, table: Table) -> Result<(), Failure> {
        let depth = self.open.len() + 1;
        if depth as i64 > i64::from(self.config.encode_depth_max) || self.slots + 3 > STACK_SLOTS || depth > DEPTH_MAX {
            return Err(Failure::Text(format!("Cannot serialise, excessive nesting ({depth})")));
        }
        let mut shape = Shape::Unknown;
        if self.config.arrays_were_marked && is_marked(&table) {
            shape = Shape::Array(i32::try_from(table.raw_len()).unwrap_or(i32::MAX));
        } else if table.raw_len() > 0 {
            shape = self.shape(&table)?;
        }
        if let Shape::Array(_) = shape {
            return self.begin_array(table, shape);
        }
        self.object(table, shape)
    }

    fn begin_array(&mut self, table: Table, shape: Shape) -> Result<(), Failure> {
        let Shape::Array(last) = shape else { return self.object(table, shape) };
        self.out.push(b'[');
        let mut next = 1;
        match array(self.config, &mut self.out, self.kept, &table, &mut next, last)? {
            None => Ok(()),
            Some(child) => {
                self.push(Open::Array { table, next, last });
                self.open(child)
            }
        }
    }

    fn push(&mut self, open: Open) {
        self.slots += open.slots();
        self.open.push(open);
    }

    /// Writes a table as an object; `shape` says whether it was found to be one.
    fn object(&mut self, table: Table, shape: Shape) -> Result<(), Failure> {
        // Nearly all objects have names for keys. Taken as bytes right away they cost half.
        let walked = match self.walk::<BString>(&table, shape) {
            Walked { end: End::Unsure, .. } => self.walk::<Value>(&table, shape),
            walked => walked,
        };
        let Walked { start, mut children, end } = walked;
        let failure = match end {
            End::Unsure => {
                return match self.shape(&table)? {
                    array @ Shape::Array(_) => self.begin_array(table, array),
                    _ => self.object(table, Shape::Object),
                };
            }
            End::Large => {
                self.out.push(b'{');
                self.push(Open::Large { table, key: Value::Nil });
                return Ok(());
            }
            End::Failed(failure) => Some(failure),
            End::Done => {
                self.out.push(b'}');
                None
            }
        };
        if children.is_empty() {
            return failure.map_or(Ok(()), Err);
        }
        let text = self.out.split_off(start);
        self.kept += text.len();
        for (place, _) in &mut children {
            *place -= start;
        }
        children.reverse();
        self.children += children.len();
        self.push(Open::Object { text, written: 0, children, failure });
        Ok(())
    }

    /// Writes all pairs but the tables inside. Nothing is written if another way has to be taken.
    fn walk<K: Key>(&mut self, table: &Table, shape: Shape) -> Walked {
        let start = self.out.len();
        self.out.push(b'{');
        let mut children: Vec<(usize, Table)> = Vec::new();
        let mut end = End::Done;
        let (config, kept, out, room) = (self.config, self.kept, &mut self.out, CHILDREN_MAX - self.children);
        let walked = each_pair(table, |key: K, value: Value| {
            if let Err(error) = check_length(kept + out.len()) {
                end = End::Failed(Failure::Lua(error));
                return Err(STOP);
            }
            if out.len() > start + 1 {
                out.push(b',');
            } else if shape == Shape::Unknown && key.may_be_index() {
                end = End::Unsure;
                return Err(STOP);
            }
            let pushed = match key.push(config, out) {
                Ok(true) => match value {
                    Value::Table(child) => {
                        children.push((out.len(), child));
                        if children.len() <= room {
                            return Ok(());
                        }
                        end = End::Large;
                        return Err(STOP);
                    }
                    scalar => push_scalar(config, out, &scalar),
                },
                Ok(false) => {
                    end = End::Unsure;
                    return Err(STOP);
                }
                Err(failure) => Err(failure),
            };
            pushed.map_err(|failure| {
                end = End::Failed(failure);
                STOP
            })
        });
        if let (Err(error), End::Done) = (walked, &end) {
            end = K::mismatch(error);
        }
        if matches!(end, End::Unsure | End::Large) {
            self.out.truncate(start);
            children.clear();
        }
        Walked { start, children, end }
    }

    /// Whether the keys of a table are whole numbers from 1, and not too few for the highest.
    fn shape(&self, table: &Table) -> Result<Shape, Failure> {
        // In 32 bits, and with what becomes of numbers beyond, as in C.
        let (mut highest, mut count, mut other) = (0i32, 0i32, false);
        let walked = each_pair(table, |key: Value, _: bool| {
            let key = match key {
                Value::Integer(n) => n as f64,
                Value::Number(n) => n,
                _ => f64::NAN,
            };
            if key.floor() == key && key >= 1.0 {
                if key > f64::from(highest) {
                    highest = if key <= f64::from(i32::MAX) { key as i32 } else { i32::MIN };
                }
                count = count.wrapping_add(1);
                return Ok(());
            }
            other = true;
            Err(STOP)
        });
        if other {
            return Ok(Shape::Object);
        }
        walked?;
        let Config { sparse_ratio, sparse_safe, sparse_convert, .. } = *self.config;
        if sparse_ratio > 0 && highest > count.wrapping_mul(sparse_ratio) && highest > sparse_safe {
            if !sparse_convert {
                return Err(Failure::Text("Cannot serialise table: excessively sparse array".into()));
            }
            return Ok(Shape::Object);
        }
        Ok(if highest > 0 { Shape::Array(highest) } else { Shape::Object })
    }
}

/// Goes on with an array until a table comes or it ends. `kept`: how much text there is besides.
fn array(
    config: &Config,
    out: &mut Vec<u8>,
    kept: usize,
    table: &Table,
    next: &mut i32,
    last: i32,
) -> Result<Option<Table>, Failure> {
    loop {
        if *next > last || *next <= 0 {
            out.push(b']');
            return Ok(None);
        }
        if *next > 1 {
            out.push(b',');
        }
        check_length(kept + out.len())?;
        let element: Value = table.raw_get(*next)?;
        *next = next.wrapping_add(1);
        match element {
            Value::Table(child) => return Ok(Some(child)),
            scalar => push_scalar(config, out, &scalar)?,
        }
    }
}

/// Goes on with a large object until a table comes or it ends.
fn large(
    config: &Config,
    out: &mut Vec<u8>,
    kept: usize,
    next: &Function,
    table: &Table,
    last: &mut Value,
) -> Result<Option<Table>, Failure> {
    loop {
        check_length(kept + out.len())?;
        let (key, value): (Value, Value) = next.call((table, &*last))?;
        if key.is_nil() {
            out.push(b'}');
            return Ok(None);
        }
        if !last.is_nil() {
            out.push(b',');
        }
        push_key(config, out, &key)?;
        *last = key;
        match value {
            Value::Table(child) => return Ok(Some(child)),
            scalar => push_scalar(config, out, &scalar)?,
        }
    }
}

/// Whether a table was an array when it was decoded.
fn is_marked(table: &Table) -> bool {
    table.metatable().is_some_and(|meta| meta.raw_get::<bool>(ARRAY_MARK).unwrap_or(false))
}

fn push_key(config: &Config, out: &mut Vec<u8>, key: &Value) -> Result<(), Failure> {
    match key {
        Value::String(string) => push_string(out, &string.as_bytes()),
        Value::Integer(_) | Value::Number(_) => {
            out.push(b'"');
            push_scalar(config, out, key)?;
            out.push(b'"');
        }
        other => {
            let kind = type_name(other);
            return Err(Failure::Text(format!("Cannot serialise {kind}: table key must be a number or string")));
        }
    }
    out.push(b':');
    Ok(())
}

#[inline]
fn push_scalar(config: &Config, out: &mut Vec<u8>, value: &Value) -> Result<(), Failure> {
    match value {
        Value::String(string) => push_string(out, &string.as_bytes()),
        Value::Integer(n) => push_number(out, *n as f64, config.precision),
        Value::Number(n) if n.is_finite() => push_number(out, *n, config.precision),
        Value::Number(n) => match config.encode_invalid {
            InvalidNumbers::Refuse => {
                return Err(Failure::Text("Cannot serialise number: must not be NaN or Inf".into()));
            }
            InvalidNumbers::Null => out.extend_from_slice(b"null"),
            InvalidNumbers::Write => out.extend_from_slice(match n {
                n if n.is_nan() => b"nan",
                n if *n > 0.0 => b"inf",
                _ => b"-inf",
            }),
        },
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::Nil => out.extend_from_slice(b"null"),
        Value::LightUserData(pointer) if pointer.0.is_null() => out.extend_from_slice(b"null"),
        other => {
            return Err(Failure::Text(format!("Cannot serialise {}: type not supported", type_name(other))));
        }
    }
    Ok(())
}

/// What a byte is written as: 0 for itself, `u` for its number, or the letter behind the backslash.
const ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    let mut byte = 0;
    while byte < 32 {
        escapes[byte] = b'u';
        byte += 1;
    }
    escapes[8] = b'b';
    escapes[9] = b't';
    escapes[10] = b'n';
    escapes[12] = b'f';
    escapes[13] = b'r';
    escapes[b'"' as usize] = b'"';
    escapes[b'\\' as usize] = b'\\';
    escapes[b'/' as usize] = b'/';
    escapes[127] = b'u';
    escapes
};

fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text;
    while let Some(plain) = rest.iter().position(|byte| ESCAPES[usize::from(*byte)] != 0) {
        out.extend_from_slice(&rest[..plain]);
        let byte = rest[plain];
        match ESCAPES[usize::from(byte)] {
            b'u' => {
                let digits = b"0123456789abcdef";
                let (high, low) = (digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
            letter => out.extend_from_slice(&[b'\\', letter]),
        }
        rest = &rest[plain + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}
