//! JSON to values, by a grammar that is a little wider than JSON's: numbers may be written as C writes them, and text
//! need not be UTF-8. A zero byte between values ends the text.

use std::borrow::Cow;

use mlua::{Either, IntoLua, Lua, Table, Value};

use super::super::call::{DEPTH_MAX, STACK_SLOTS, text_of};
use super::config::Config;
use super::number::leading_number;
use super::{ARRAY_MARK, Failure};

/// The value that `text` spells.
pub(super) fn decode(lua: &Lua, config: &Config, text: &[u8]) -> Result<Value, Failure> {
    if let [0, _, ..] | [_, 0, ..] = text {
        return Err(Failure::Text("JSON parser does not support UTF-16 or UTF-32".into()));
    }
    let mark = match config.mark_arrays {
        true => {
            let mark = lua.create_table()?;
            mark.raw_set(ARRAY_MARK, true)?;
            Some(mark)
        }
        false => None,
    };
    let mut decoder =
        Decoder { lua, config, text, at: 0, open: Vec::new(), elements: Vec::new(), pairs: Vec::new(), slots: 1, mark };
    let value = decoder.value()?;
    let (end, place) = decoder.token();
    match end {
        Token::End => Ok(value),
        other => Err(other.unexpected("the end", place)),
    }
}

enum Token<'a> {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    Colon,
    Comma,
    String(Cow<'a, [u8]>),
    Number(f64),
    Boolean(bool),
    Null,
    End,
    Error(&'static str),
}

impl Token<'_> {
    #[cold]
    fn unexpected(&self, wanted: &str, place: usize) -> Failure {
        let found = match self {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::String(_) => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Boolean(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::End => "T_END",
            Token::Error(what) => what,
        };
        Failure::Text(format!("Expected {wanted} but found {found} at character {}", place + 1))
    }
}

/// A table that is not finished. What it has up to the first table inside of it is gathered first, and becomes a table
/// at once; what follows is put in one by one.
enum Open<'a> {
    Array {
        table: Option<Table>,
        /// How many elements `table` has.
        count: i64,
    },
    Object {
        table: Option<Table>,
        /// Of the pair whose value comes.
        key: Cow<'a, [u8]>,
    },
}

/// A value that is no table.
enum Scalar<'a> {
    Text(Cow<'a, [u8]>),
    Number(f64),
    Boolean(bool),
    Null,
}

impl Scalar<'_> {
    fn to_lua(&self) -> Either<Either<impl IntoLua + '_, f64>, Value> {
        match self {
            Scalar::Text(text) => Either::Left(Either::Left(text_of(text))),
            Scalar::Number(n) => Either::Left(Either::Right(*n)),
            Scalar::Boolean(yes) => Either::Right(Value::Boolean(*yes)),
            Scalar::Null => Either::Right(Value::NULL),
        }
    }
}

/// For how many values there is room at first.
const GATHERED_FIRST: usize = 16;

/// How many values are gathered at most.
const GATHERED_MAX: usize = 1 << 16;

/// What was read.
enum Item {
    /// The one value there is.
    Alone(Value),
    /// A value, which is in the table that is open.
    Stored,
    /// A table without elements.
    Empty(Table),
    /// The beginning of a table, which is open now.
    Opened,
}

struct Decoder<'a> {
    lua: &'a Lua,
    config: &'a Config,
    text: &'a [u8],
    at: usize,
    /// The outermost first.
    open: Vec<Open<'a>>,
    /// What was gathered of the innermost, if it is an array.
    elements: Vec<Scalar<'a>>,
    /// Likewise, if it is an object.
    pairs: Vec<(Cow<'a, [u8]>, Scalar<'a>)>,
    /// How many slots of Lua's stack Redis would have in use.
    slots: usize,
    /// What marks arrays, if they are to be marked.
    mark: Option<Table>,
}

impl<'a> Decoder<'a> {
    /// The value that comes, whole.
    fn value(&mut self) -> Result<Value, Failure> {
        loop {
            let mut done = match self.item()? {
                Item::Alone(value) => return Ok(value),
                Item::Opened => continue,
                Item::Stored => self.behind()?,
                Item::Empty(table) => Some(table),
            };
            // A table is finished: it goes into the one around it, which may be finished by that.
            while let Some(table) = done {
                match self.open.last_mut() {
                    None => return Ok(Value::Table(table)),
                    Some(Open::Array { table: Some(around), count }) => {
                        *count += 1;
                        around.raw_set(*count, table)?;
                    }
                    Some(Open::Object { table: Some(around), key }) => around.raw_set(text_of(key), table)?,
                    Some(_) => unreachable!("a table is made before one inside of it"),
                }
                done = self.behind()?;
            }
        }
    }

    /// Reads what is next up to where a table begins.
    fn item(&mut self) -> Result<Item, Failure> {
        // The usual case, without blanks and escapes.
        if let Some([b'"', rest @ ..]) = self.text.get(self.at..)
            && !self.open.is_empty()
            && let Some(length) = plain_length(rest)
        {
            self.at += length + 2;
            self.store(Scalar::Text(Cow::Borrowed(&rest[..length])))?;
            return Ok(Item::Stored);
        }
        let (token, place) = self.token();
        match token {
            Token::ArrayBegin => {
                self.descend(2)?;
                // The token behind it decides; if it is not the end, it is read again.
                let before = self.at;
                if let (Token::ArrayEnd, _) = self.token() {
                    return Ok(Item::Empty(self.array()?));
                }
                self.at = before;
                self.slots += 1;
                self.open.push(Open::Array { table: None, count: 0 });
                Ok(Item::Opened)
            }
            Token::ObjectBegin => {
                self.descend(3)?;
                let (token, place) = self.token();
                if let Token::ObjectEnd = token {
                    return Ok(Item::Empty(self.lua.create_table()?));
                }
                let key = self.key(token, place)?;
                self.slots += 2;
                self.open.push(Open::Object { table: None, key });
                Ok(Item::Opened)
            }
            Token::String(text) => self.scalar(Scalar::Text(text)),
            Token::Number(n) => self.scalar(Scalar::Number(n)),
            Token::Boolean(yes) => self.scalar(Scalar::Boolean(yes)),
            Token::Null => self.scalar(Scalar::Null),
            other => Err(other.unexpected("value", place)),
        }
    }

    /// One level deeper, if the depth and Lua's stack allow it.
    fn descend(&mut self, slots: usize) -> Result<(), Failure> {
        let depth = self.open.len() + 1;
        if depth as i64 > i64::from(self.config.decode_depth_max)
            || self.slots + slots > STACK_SLOTS
            || depth > DEPTH_MAX
        {
            let place = self.at;
            return Err(Failure::Text(format!("Found too many nested data structures ({depth}) at character {place}")));
        }
        self.settle()
    }

    /// Makes a table of what was gathered.
    fn settle(&mut self) -> Result<(), Failure> {
        match self.open.last() {
            Some(Open::Array { table: None, .. }) => {
                let made = self.array()?;
                if let Some(Open::Array { table, .. }) = self.open.last_mut() {
                    *table = Some(made);
                }
            }
            Some(Open::Object { table: None, .. }) => {
                // Without a number in advance, the table grows as it does in Redis; the order of its pairs depends on it.
                let pairs = self.pairs.iter().filter(|_| true);
                let made = self.lua.create_table_from(pairs.map(|(key, value)| (text_of(key), value.to_lua())))?;
                self.pairs.clear();
                if let Some(Open::Object { table, .. }) = self.open.last_mut() {
                    *table = Some(made);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The elements that were gathered as a table.
    fn array(&mut self) -> Result<Table, Failure> {
        let table = self.lua.create_sequence_from(self.elements.iter().map(Scalar::to_lua))?;
        if let Some(mark) = &self.mark {
            table.set_metatable(Some(mark.clone()))?;
        }
        if let Some(Open::Array { count, table: None }) = self.open.last_mut() {
            *count = self.elements.len() as i64;
        }
        self.elements.clear();
        Ok(table)
    }

    /// What is behind a value in a table: a comma, and in an object the next key; or the end, which gives the table.
    fn behind(&mut self) -> Result<Option<Table>, Failure> {
        // The usual case, without blanks and escapes.
        if let Some(Open::Object { key, .. }) = self.open.last_mut()
            && let Some([b',', b'"', rest @ ..]) = self.text.get(self.at..)
            && let Some(length) = plain_length(rest)
            && rest.get(length..length + 2) == Some(b"\":")
        {
            *key = Cow::Borrowed(&rest[..length]);
            self.at += length + 4;
            return Ok(None);
        }
        let (token, place) = self.token();
        let object = matches!(self.open.last(), Some(Open::Object { .. }));
        match (token, object) {
            (Token::Comma, false) => Ok(None),
            (Token::Comma, true) => {
                let (token, place) = self.token();
                let next = self.key(token, place)?;
                if let Some(Open::Object { key, .. }) = self.open.last_mut() {
                    *key = next;
                }
                Ok(None)
            }
            (Token::ArrayEnd, false) | (Token::ObjectEnd, true) => {
                self.settle()?;
                self.slots -= if object { 2 } else { 1 };
                match self.open.pop() {
                    Some(Open::Array { table, .. } | Open::Object { table, .. }) => Ok(table),
                    None => Ok(None),
                }
            }
            (other, true) => Err(other.unexpected("comma or object end", place)),
            (other, false) => Err(other.unexpected("comma or array end", place)),
        }
    }

    /// A key, and the colon behind it.
    fn key(&mut self, token: Token<'a>, place: usize) -> Result<Cow<'a, [u8]>, Failure> {
        let Token::String(key) = token else { return Err(token.unexpected("object key string", place)) };
        match self.token() {
            (Token::Colon, _) => Ok(key),
            (other, place) => Err(other.unexpected("colon", place)),
        }
    }

    /// A value that is no table: it is all there is, or goes into the table that is open.
    fn scalar(&mut self, scalar: Scalar<'a>) -> Result<Item, Failure> {
        if self.open.is_empty() {
            return Ok(Item::Alone(scalar.to_lua().into_lua(self.lua)?));
        }
        self.store(scalar)?;
        Ok(Item::Stored)
    }

    #[inline]
    fn store(&mut self, scalar: Scalar<'a>) -> Result<(), Failure> {
        match self.open.last_mut() {
            Some(Open::Array { table: Some(table), count }) => {
                *count += 1;
                table.raw_set(*count, scalar.to_lua())?;
            }
            Some(Open::Array { table: None, .. }) => {
                if self.elements.capacity() == 0 {
                    self.elements.reserve(GATHERED_FIRST);
                }
                self.elements.push(scalar);
                if self.elements.len() == GATHERED_MAX {
                    self.settle()?;
                }
            }
            Some(Open::Object { table: Some(table), key }) => table.raw_set(text_of(key), scalar.to_lua())?,
            Some(Open::Object { table: None, key }) => {
                if self.pairs.capacity() == 0 {
                    self.pairs.reserve(GATHERED_FIRST);
                }
                self.pairs.push((std::mem::take(key), scalar));
                if self.pairs.len() == GATHERED_MAX {
                    self.settle()?;
                }
            }
            None => {}
        }
        Ok(())
    }

    /// The next token, and where it is, or where it went wrong.
    fn token(&mut self) -> (Token<'a>, usize) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
        let place = self.at;
        let Some(&byte) = self.text.get(place) else { return (Token::End, place) };
        let token = match byte {
            0 => return (Token::End, place),
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b':' => Token::Colon,
            b',' => Token::Comma,
            b'"' => return self.string(),
            b'-' | b'0'..=b'9' => return (self.number(), place),
            _ => return (self.word(), place),
        };
        self.at += 1;
        (token, place)
    }

    fn number(&mut self) -> Token<'a> {
        let rest = &self.text[self.at..];
        if !self.config.decode_invalid && is_invalid_number(rest) {
            return Token::Error("invalid number");
        }
        match leading_number(rest) {
            Some((value, length)) => {
                self.at += length;
                Token::Number(value)
            }
            None => Token::Error("invalid number"),
        }
    }

    fn word(&mut self) -> Token<'a> {
        let rest = &self.text[self.at..];
        let (token, length) = match rest {
            [b't', b'r', b'u', b'e', ..] => (Token::Boolean(true), 4),
            [b'f', b'a', b'l', b's', b'e', ..] => (Token::Boolean(false), 5),
            [b'n', b'u', b'l', b'l', ..] => (Token::Null, 4),
            [b'+' | b'i' | b'I' | b'n' | b'N', ..] if self.config.decode_invalid && is_invalid_number(rest) => {
                return self.number();
            }
            _ => return Token::Error("invalid token"),
        };
        self.at += length;
        token
    }

    /// A string. What goes wrong in it is where it went wrong.
    fn string(&mut self) -> (Token<'a>, usize) {
        let start = self.at;
        let mut changed: Option<Vec<u8>> = None;
        let mut from = start + 1;
        loop {
            let rest = &self.text[from..];
            let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0)).unwrap_or(rest.len());
            let (chunk, stop) = (&rest[..plain], from + plain);
            match self.text.get(stop) {
                Some(b'"') => {
                    self.at = stop + 1;
                    let text = match changed {
                        None => Cow::Borrowed(chunk),
                        Some(mut text) => {
                            text.extend_from_slice(chunk);
                            Cow::Owned(text)
                        }
                    };
                    return (Token::String(text), start);
                }
                Some(b'\\') => {}
                _ => return (Token::Error("unexpected end of string"), stop),
            }
            let out = changed.get_or_insert_default();
            out.extend_from_slice(chunk);
            match escape(&self.text[stop + 1..], out) {
                Ok(length) => from = stop + 1 + length,
                Err(what) => return (Token::Error(what), stop),
            }
        }
    }
}

/// How long a string is that has no escapes in it.
fn plain_length(text: &[u8]) -> Option<usize> {
    let length = text.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0))?;
    (text[length] == b'"').then_some(length)
}

/// What is no number in JSON, though C would read it.
fn is_invalid_number(text: &[u8]) -> bool {
    if text.first() == Some(&b'+') {
        return true;
    }
    let body = text.strip_prefix(b"-").unwrap_or(text);
    let starts = |name: &[u8]| body.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(name));
    match body.first() {
        Some(b'0') => matches!(body.get(1), Some(b'x' | b'X' | b'0'..=b'9')),
        Some(0..=b'9') => false,
        _ => starts(b"inf") || starts(b"nan"),
    }
}

/// Reads what follows a backslash: appends what it stands for, and says how long it is.
fn escape(text: &[u8], out: &mut Vec<u8>) -> Result<usize, &'static str> {
    out.push(match text.first() {
        Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
        Some(b'b') => 8,
        Some(b't') => b'\t',
        Some(b'n') => b'\n',
        Some(b'f') => 12,
        Some(b'r') => b'\r',
        Some(b'u') => {
            let (point, length) = unicode(&text[1..]).ok_or("invalid unicode escape code")?;
            out.extend_from_slice(point.encode_utf8(&mut [0; 4]).as_bytes());
            return Ok(1 + length);
        }
        _ => return Err("invalid escape code"),
    });
    Ok(1)
}

/// A character by its number in UTF-16, in one escape or two.
fn unicode(text: &[u8]) -> Option<(char, usize)> {
    let high = hexadecimal(text)?;
    if let Some(point) = char::from_u32(high) {
        return Some((point, 4));
    }
    let low = hexadecimal(text[4..].strip_prefix(b"\\u")?)?;
    if high & 0x400 != 0 || low & 0xfc00 != 0xdc00 {
        return None;
    }
    Some((char::from_u32(0x1_0000 + ((high & 0x3ff) << 10 | low & 0x3ff))?, 10))
}

fn hexadecimal(text: &[u8]) -> Option<u32> {
    text.get(..4)?.iter().try_fold(0, |number, digit| Some(number << 4 | char::from(*digit).to_digit(16)?))
}
