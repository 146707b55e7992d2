//! JSON to values, by a grammar that is a little wider than JSON's: numbers may be written as C writes them, and text
//! need not be UTF-8. A zero byte between values ends the text.

use std::borrow::Cow;

use mlua::{Either, IntoLua, Lua, LuaString, Table, Value};

use super::super::call::{DEPTH_MAX, STACK_SLOTS};
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
    let mut decoder = Decoder { lua, config, text, at: 0, open: Vec::new(), slots: 1, mark };
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

/// A table that is not finished.
enum Open<'a> {
    Array {
        table: Table,
        /// How many elements it has.
        count: i64,
    },
    Object {
        table: Table,
        /// Of the pair whose value comes.
        key: Cow<'a, [u8]>,
    },
}

struct Decoder<'a> {
    lua: &'a Lua,
    config: &'a Config,
    text: &'a [u8],
    at: usize,
    /// The outermost first.
    open: Vec<Open<'a>>,
    /// How many slots of Lua's stack Redis would have in use.
    slots: usize,
    /// What marks arrays, if they are to be marked.
    mark: Option<Table>,
}

impl<'a> Decoder<'a> {
    /// The value that comes, whole.
    fn value(&mut self) -> Result<Value, Failure> {
        loop {
            let (token, place) = self.token();
            let mut done = match token {
                Token::ArrayBegin => {
                    let table = self.descend(2)?;
                    if let Some(mark) = &self.mark {
                        table.set_metatable(Some(mark.clone()))?;
                    }
                    // The token behind it decides; if it is not the end, it is read again.
                    let before = self.at;
                    if let (Token::ArrayEnd, _) = self.token() {
                        Value::Table(table)
                    } else {
                        self.at = before;
                        self.slots += 1;
                        self.open.push(Open::Array { table, count: 0 });
                        continue;
                    }
                }
                Token::ObjectBegin => {
                    let table = self.descend(3)?;
                    match self.token() {
                        (Token::ObjectEnd, _) => Value::Table(table),
                        (key, place) => {
                            let key = self.key(key, place)?;
                            self.slots += 2;
                            self.open.push(Open::Object { table, key });
                            continue;
                        }
                    }
                }
                scalar => match self.open.last_mut() {
                    None => return self.scalar(scalar, place),
                    Some(_) => {
                        self.store_scalar(scalar, place)?;
                        match self.behind()? {
                            None => continue,
                            Some(closed) => closed,
                        }
                    }
                },
            };
            // A table is finished: it goes into the one around it, which may be finished by that.
            loop {
                match self.open.last_mut() {
                    None => return Ok(done),
                    Some(Open::Array { table, count }) => {
                        *count += 1;
                        table.raw_set(*count, done)?;
                    }
                    Some(Open::Object { table, key }) => table.raw_set(text_of(key), done)?,
                }
                match self.behind()? {
                    None => break,
                    Some(closed) => done = closed,
                }
            }
        }
    }

    /// One level deeper: a table, if the depth and Lua's stack allow it.
    fn descend(&mut self, slots: usize) -> Result<Table, Failure> {
        let depth = self.open.len() + 1;
        if depth as i64 > i64::from(self.config.decode_depth_max)
            || self.slots + slots > STACK_SLOTS
            || depth > DEPTH_MAX
        {
            let place = self.at;
            return Err(Failure::Text(format!("Found too many nested data structures ({depth}) at character {place}")));
        }
        Ok(self.lua.create_table()?)
    }

    /// What is behind a value in a table: a comma, and in an object the next key; or the end, which gives the table.
    fn behind(&mut self) -> Result<Option<Value>, Failure> {
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
                let (Open::Array { table, .. } | Open::Object { table, .. }) =
                    self.open.pop().expect("something is open");
                self.slots -= if object { 2 } else { 1 };
                Ok(Some(Value::Table(table)))
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

    /// The value that stands alone.
    fn scalar(&self, token: Token<'a>, place: usize) -> Result<Value, Failure> {
        Ok(match token {
            Token::String(text) => Value::String(self.lua.create_string(text)?),
            Token::Number(n) => Value::Number(n),
            Token::Boolean(yes) => Value::Boolean(yes),
            Token::Null => Value::NULL,
            other => return Err(other.unexpected("value", place)),
        })
    }

    /// Puts what is no table into the table that is open, without a reference to it in between.
    fn store_scalar(&mut self, token: Token<'a>, place: usize) -> Result<(), Failure> {
        let open = self.open.last_mut().expect("something is open");
        match token {
            Token::String(text) => store(open, text_of(&text)),
            Token::Number(n) => store(open, n),
            Token::Boolean(yes) => store(open, yes),
            Token::Null => store(open, Value::NULL),
            other => Err(other.unexpected("value", place)),
        }
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

/// Text for Lua: what is UTF-8 takes a shorter way.
fn text_of(text: &[u8]) -> Either<&str, impl IntoLua + '_> {
    match std::str::from_utf8(text) {
        Ok(text) => Either::Left(text),
        Err(_) => Either::Right(LuaString::wrap(text)),
    }
}

#[inline]
fn store(open: &mut Open<'_>, value: impl IntoLua) -> Result<(), Failure> {
    match open {
        Open::Array { table, count } => {
            *count += 1;
            table.raw_set(*count, value)?;
        }
        Open::Object { table, key } => table.raw_set(text_of(key), value)?,
    }
    Ok(())
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
