//! Replies: a small parser of its own (the server's would agree with its own mistakes), and their text form.
//!
//! | reply | text |
//! | --- | --- |
//! | simple string | `OK` |
//! | error | `(error) ERR no such key` |
//! | integer | `1` |
//! | bulk | `"a\r\n"` |
//! | null, null array of RESP2 | `(nil)`, `(nil array)` |
//! | array, set, push | `["a" 1]`, `#["a" "b"]`, `>["pubsub"]` |
//! | map | `{"a": 1, "b": 2}` |
//! | double, boolean | `(double) 3.5`, `(true)` |
//! | verbatim, big number | `(txt) "text"`, `(big) 123` |
//! | attributes before a reply | `\|{"a": 1} "reply"` |

use std::io::{self, BufRead, Read};

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Simple(String),
    Error(String),
    Int(i64),
    Bulk(Vec<u8>),
    Null,
    NullArray,
    Array(Vec<Value>),
    Set(Vec<Value>),
    Push(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Double(String),
    Bool(bool),
    Verbatim(String, Vec<u8>),
    Big(String),
    Attribute(Vec<(Value, Value)>, Box<Value>),
}

fn bad(what: &str, line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} in reply line {line:?}"))
}

impl Value {
    /// Reads one reply.
    pub fn read(from: &mut impl BufRead) -> io::Result<Value> {
        let line = read_line(from)?;
        let (kind, rest) = line.split_at_checked(1).ok_or_else(|| bad("empty line", &line))?;
        let number = || rest.parse::<i64>().map_err(|_| bad("bad number", &line));
        let many = |from: &mut _, n: i64| (0..n).map(|_| Value::read(from)).collect::<io::Result<Vec<_>>>();
        Ok(match kind {
            "+" => Value::Simple(rest.to_string()),
            "-" => Value::Error(rest.to_string()),
            ":" => Value::Int(number()?),
            "$" if rest == "-1" => Value::Null,
            "$" => Value::Bulk(read_bulk(from, number()?)?),
            "*" if rest == "-1" => Value::NullArray,
            "*" => Value::Array(many(from, number()?)?),
            "~" => Value::Set(many(from, number()?)?),
            ">" => Value::Push(many(from, number()?)?),
            "%" => {
                let mut pairs = Vec::new();
                for _ in 0..number()? {
                    pairs.push((Value::read(from)?, Value::read(from)?));
                }
                Value::Map(pairs)
            }
            "_" => Value::Null,
            "," => Value::Double(rest.to_string()),
            "#" => Value::Bool(rest == "t"),
            "|" => {
                let mut pairs = Vec::new();
                for _ in 0..number()? {
                    pairs.push((Value::read(from)?, Value::read(from)?));
                }
                Value::Attribute(pairs, Box::new(Value::read(from)?))
            }
            "(" => Value::Big(rest.to_string()),
            "=" => {
                let bytes = read_bulk(from, number()?)?;
                let (format, text) = bytes.split_at(4);
                Value::Verbatim(String::from_utf8_lossy(&format[..3]).into_owned(), text.to_vec())
            }
            _ => return Err(bad("unknown type", &line)),
        })
    }

    /// The one-line form that transcripts compare.
    pub fn text(&self) -> String {
        let pairs = |pairs: &[(Value, Value)]| {
            let pairs: Vec<_> = pairs.iter().map(|(k, v)| format!("{}: {}", k.text(), v.text())).collect();
            format!("{{{}}}", pairs.join(", "))
        };
        let join = |items: &[Value]| items.iter().map(Value::text).collect::<Vec<_>>().join(" ");
        match self {
            Value::Simple(text) => text.clone(),
            Value::Error(text) => format!("(error) {text}"),
            Value::Int(n) => n.to_string(),
            Value::Bulk(bytes) => quoted(bytes),
            Value::Null => "(nil)".into(),
            Value::NullArray => "(nil array)".into(),
            Value::Array(items) => format!("[{}]", join(items)),
            Value::Set(items) => format!("#[{}]", join(items)),
            Value::Push(items) => format!(">[{}]", join(items)),
            Value::Map(all) => pairs(all),
            Value::Attribute(all, reply) => format!("|{} {}", pairs(all), reply.text()),
            Value::Double(text) => format!("(double) {text}"),
            Value::Bool(yes) => format!("({yes})"),
            Value::Verbatim(format, text) => format!("({format}) {}", quoted(text)),
            Value::Big(text) => format!("(big) {text}"),
        }
    }

    /// The bytes of a bulk, verbatim or simple string.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Value::Bulk(bytes) | Value::Verbatim(_, bytes) => bytes,
            Value::Simple(text) => text.as_bytes(),
            other => panic!("not a string: {}", other.text()),
        }
    }

    pub fn string(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    pub fn int(&self) -> i64 {
        match self {
            Value::Int(n) => *n,
            other => panic!("not an integer: {}", other.text()),
        }
    }

    /// The elements of an array, set or push.
    pub fn items(&self) -> &[Value] {
        match self {
            Value::Array(items) | Value::Set(items) | Value::Push(items) => items,
            other => panic!("not an array: {}", other.text()),
        }
    }

    /// The elements as strings, sorted: for replies without an order.
    pub fn sorted(&self) -> Vec<String> {
        let mut all: Vec<String> = self.items().iter().map(Value::string).collect();
        all.sort();
        all
    }

    /// The value of `field` in a map, or in the flat array that stands for a map in RESP2.
    pub fn field(&self, field: &str) -> &Value {
        let found = match self {
            Value::Map(pairs) => pairs.iter().find(|(k, _)| k.string() == field).map(|(_, v)| v),
            Value::Array(items) => {
                items.chunks(2).find(|pair| pair.len() == 2 && pair[0].string() == field).map(|pair| &pair[1])
            }
            other => panic!("not a map: {}", other.text()),
        };
        found.unwrap_or_else(|| panic!("no field {field} in {}", self.text()))
    }

    pub fn is_error(&self) -> bool {
        matches!(self, Value::Error(_))
    }
}

fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line)?;
    if !line.ends_with(b"\r\n") {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "connection closed inside a reply line"));
    }
    line.truncate(line.len() - 2);
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn read_bulk(from: &mut impl BufRead, len: i64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.by_ref().take(len as u64 + 2).read_to_end(&mut bytes)?;
    if bytes.len() != len as usize + 2 || !bytes.ends_with(b"\r\n") {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "bulk without its line end"));
    }
    bytes.truncate(len as usize);
    Ok(bytes)
}

/// A byte string as redis-cli shows it.
pub fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for &byte in bytes {
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x20..=0x7e => out.push(byte as char),
            other => out.push_str(&format!("\\x{other:02x}")),
        }
    }
    out.push('"');
    out
}

/// Splits a command line as redis-cli does: blanks, `"..."` with escapes, `'...'`.
pub fn words(line: &str) -> Vec<Vec<u8>> {
    let mut rest = line.as_bytes();
    let mut out = Vec::new();
    loop {
        rest = rest.trim_ascii_start();
        let Some(&first) = rest.first() else { return out };
        let mut word = Vec::new();
        match first {
            b'"' => {
                rest = &rest[1..];
                while rest[0] != b'"' {
                    if rest[0] == b'\\' {
                        let (byte, used) = match rest[1] {
                            b'n' => (b'\n', 2),
                            b'r' => (b'\r', 2),
                            b't' => (b'\t', 2),
                            b'x' => {
                                let hex = std::str::from_utf8(&rest[2..4]).unwrap();
                                (u8::from_str_radix(hex, 16).unwrap(), 4)
                            }
                            other => (other, 2),
                        };
                        word.push(byte);
                        rest = &rest[used..];
                    } else {
                        word.push(rest[0]);
                        rest = &rest[1..];
                    }
                }
                rest = &rest[1..];
            }
            b'\'' => {
                let end = rest[1..].iter().position(|&b| b == b'\'').expect("closing quote") + 1;
                word.extend_from_slice(&rest[1..end]);
                rest = &rest[end + 1..];
            }
            _ => {
                let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
                word.extend_from_slice(&rest[..end]);
                rest = &rest[end..];
            }
        }
        out.push(word);
    }
}
