//! The simple values: yes/no, integers, memory sizes, words, text. How each is read, shown and written back.
//!
//! Everything enters as byte strings, from whichever door (a file, an argument, CONFIG SET), and through one function,
//! [`Field::set`], so that a bound or an error text exists once. The texts are Redis's, because clients and test
//! suites match on them.

use super::row::{Kind, Spec};
use crate::util::num;
use crate::util::quote;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Where a value comes from, for the few parameters that add up over several lines of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A line of a configuration file or of the command line: `save` adds a point to those of earlier lines.
    Line,
    /// CONFIG SET, TOML or the environment: the value is the whole value.
    Whole,
}

/// A type that a parameter's field may have.
pub trait Field: Clone + PartialEq {
    /// Takes the value over, or says in Redis's words why not. On an error the field may be half changed: callers
    /// work on a copy.
    fn set(&mut self, spec: &Spec, args: &[Vec<u8>], how: How) -> Result<(), String>;

    /// The value as CONFIG GET shows it.
    fn show(&self, spec: &Spec) -> Vec<u8>;

    /// Takes over from `running` what was not said when this value was read: all of it, unless the parameter was
    /// `said`. A value of several parts, each of which may be left out, knows which were.
    fn keep(&mut self, running: &Self, said: bool) {
        if !said {
            *self = running.clone();
        }
    }

    /// The elements of a value that is a list.
    fn items(&self, spec: &Spec) -> Vec<Vec<u8>> {
        self.show(spec).split(|&b| b == b' ').filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect()
    }

    /// The lines of a classic file that give this value, without their ends.
    fn lines(&self, spec: &Spec) -> Vec<Vec<u8>> {
        let mut line = spec.name.as_bytes().to_vec();
        line.push(b' ');
        let value = self.show(spec);
        match spec.kind {
            Kind::Text(_) | Kind::Special(_) => quote::push_repr(&mut line, &value),
            Kind::Memory { .. } | Kind::MemoryOrPercent => line.extend_from_slice(&with_unit(value)),
            Kind::Bool
            | Kind::Int { .. }
            | Kind::Unsigned { .. }
            | Kind::Octal { .. }
            | Kind::Choice(_)
            | Kind::Choices(_) => line.extend_from_slice(&value),
        }
        vec![line]
    }
}

/// `1048576` as `1mb`, when it is a whole number of the unit.
fn with_unit(value: Vec<u8>) -> Vec<u8> {
    let Some(bytes) = num::parse_u64(&value) else { return value };
    for (unit, text) in [(1 << 30, "gb"), (1 << 20, "mb"), (1 << 10, "kb")] {
        if bytes != 0 && bytes % unit == 0 {
            return format!("{}{text}", bytes / unit).into_bytes();
        }
    }
    value
}

/// The bytes that `text` means. Redis is generous here: no digits at all are zero.
pub(super) fn memory(text: &[u8]) -> Option<u64> {
    num::parse_memory(&[b"0", text].concat())
}

/// The one argument of a parameter that takes one.
pub(super) fn only(args: &[Vec<u8>]) -> Result<&[u8], String> {
    match args {
        [one] => Ok(one),
        _ => Err("wrong number of arguments".to_owned()),
    }
}

/// The number that `text` means under the rules and bounds of `spec`.
fn number(spec: &Spec, text: &[u8]) -> Result<i128, String> {
    let not_an_integer = || "argument couldn't be parsed into an integer".to_owned();
    let value = match spec.kind {
        Kind::Int { .. } | Kind::Unsigned { .. } => i128::from(num::parse_i64(text).ok_or_else(not_an_integer)?),
        Kind::Octal { .. } => octal(text).ok_or_else(|| "argument couldn't be parsed as an octal number".to_owned())?,
        Kind::Memory { .. } => i128::from(memory(text).ok_or_else(|| "argument must be a memory value".to_owned())?),
        Kind::Bool | Kind::MemoryOrPercent | Kind::Choice(_) | Kind::Choices(_) | Kind::Text(_) | Kind::Special(_) => {
            unreachable!("{} has a number for a field, so its kind is a number", spec.name)
        }
    };
    let (min, max) = match spec.kind {
        Kind::Unsigned { .. } | Kind::Octal { .. } if value < 0 => {
            return Err("argument must be greater or equal to 0".to_owned());
        }
        // An unsigned amount that does not fit a signed word has wrapped to a negative one on its way through Redis.
        Kind::Memory { signed: false, .. } if value > i128::from(i64::MAX) => {
            return Err("argument must be greater or equal to 0".to_owned());
        }
        Kind::Int { min, max } => (i128::from(min), i128::from(max)),
        Kind::Unsigned { min, max } => (i128::from(min), i128::from(max)),
        Kind::Memory { min, .. } => (i128::from(min), i128::from(i64::MAX)),
        Kind::Octal { max } => (0, i128::from(max)),
        Kind::Bool | Kind::MemoryOrPercent | Kind::Choice(_) | Kind::Choices(_) | Kind::Text(_) | Kind::Special(_) => {
            unreachable!("refused above")
        }
    };
    if (min..=max).contains(&value) {
        return Ok(match spec.clamp {
            Some((low, high)) => value.clamp(i128::from(low), i128::from(high)),
            None => value,
        });
    }
    Err(match spec.kind {
        Kind::Octal { max } => format!("argument must be between 0 and {max:o} inclusive"),
        _ => format!("argument must be between {min} and {max} inclusive"),
    })
}

fn octal(text: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?;
    if text.strip_prefix('-').unwrap_or(text).starts_with('+') {
        return None;
    }
    i128::from_str_radix(text, 8).ok()
}

macro_rules! integer_fields {
    ($($int:ty),*) => {$(
        impl Field for $int {
            fn set(&mut self, spec: &Spec, args: &[Vec<u8>], _: How) -> Result<(), String> {
                let value = number(spec, only(args)?)?;
                *self = <$int>::try_from(value).expect("a row's bounds fit its field: a test goes through all of them");
                Ok(())
            }

            fn show(&self, spec: &Spec) -> Vec<u8> {
                match spec.kind {
                    Kind::Octal { .. } => format!("{self:o}"),
                    _ => self.to_string(),
                }
                .into_bytes()
            }
        }
    )*};
}

integer_fields!(u16, u32, i32, u64, i64, usize);

impl Field for bool {
    fn set(&mut self, _: &Spec, args: &[Vec<u8>], _: How) -> Result<(), String> {
        *self = match only(args)?.to_ascii_lowercase().as_slice() {
            b"yes" => true,
            b"no" => false,
            _ => return Err("argument must be 'yes' or 'no'".to_owned()),
        };
        Ok(())
    }

    fn show(&self, _: &Spec) -> Vec<u8> {
        if *self { b"yes".to_vec() } else { b"no".to_vec() }
    }
}

/// Text as it was given: any bytes. Paths, passwords and addresses are Texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(Vec<u8>);

impl Text {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as the name of a file.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// Whether nothing was given, which for most parameters means "none".
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For messages.
    pub fn to_lossy(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text(text.as_bytes().to_vec())
    }
}

impl From<&[u8]> for Text {
    fn from(text: &[u8]) -> Text {
        Text(text.to_vec())
    }
}

impl Field for Text {
    fn set(&mut self, spec: &Spec, args: &[Vec<u8>], _: How) -> Result<(), String> {
        let text = only(args)?;
        if let Kind::Text(check) = spec.kind {
            check(text)?;
        }
        self.0 = text.to_vec();
        Ok(())
    }

    fn show(&self, _: &Spec) -> Vec<u8> {
        self.0.clone()
    }
}

/// An amount of memory: absolute, or relative to maxmemory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryOrPercent {
    /// So many bytes; 0 means no limit.
    Bytes(u64),
    /// So many hundredths of maxmemory.
    Percent(u8),
}

impl MemoryOrPercent {
    /// The limit in bytes, none when there is none.
    pub fn bytes_of(self, maxmemory: u64) -> Option<u64> {
        let bytes = match self {
            MemoryOrPercent::Bytes(bytes) => bytes,
            MemoryOrPercent::Percent(percent) => {
                u64::try_from(u128::from(maxmemory) * u128::from(percent) / 100).unwrap_or(u64::MAX)
            }
        };
        (bytes != 0).then_some(bytes)
    }
}

impl Field for MemoryOrPercent {
    fn set(&mut self, _: &Spec, args: &[Vec<u8>], _: How) -> Result<(), String> {
        let text = only(args)?;
        let wrong = || "argument must be a memory or percent value".to_owned();
        *self = match text.strip_suffix(b"%") {
            Some(percent) => {
                let percent = num::parse_i64(percent).filter(|&p| p >= 0).ok_or_else(wrong)?;
                match u8::try_from(percent) {
                    Ok(0) => MemoryOrPercent::Bytes(0),
                    Ok(percent) if percent <= 100 => MemoryOrPercent::Percent(percent),
                    _ => return Err("percentage argument must be less or equal to 100".to_owned()),
                }
            }
            None => {
                let bytes = memory(text).ok_or_else(wrong)?;
                if bytes > i64::MAX as u64 {
                    return Err("argument must be greater or equal to 0".to_owned());
                }
                MemoryOrPercent::Bytes(bytes)
            }
        };
        Ok(())
    }

    fn show(&self, _: &Spec) -> Vec<u8> {
        match self {
            MemoryOrPercent::Bytes(bytes) => bytes.to_string().into_bytes(),
            MemoryOrPercent::Percent(percent) => format!("{percent}%").into_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::scratch::Scratch;
    use crate::config::{Caller, Config, Flags, Loaded, Row, Status, argv, load, rows};
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    /// Those whose values are words of a kind of their own, with ASCII for letters.
    const RESTRICTED: [&str; 6] = [
        "info-mem-allocator",
        "redis-version",
        "locale-collate",
        "http-listen",
        "cluster-announce-hostname",
        "cluster-announce-human-nodename",
    ];

    /// Rows that take text: of kind text, and those with a text in their own syntax.
    fn rows_of_text() -> Vec<&'static Row> {
        let is_text = |row: &&Row| matches!(row.spec.kind, Kind::Text(_)) || row.name() == "bind";
        let rows: Vec<_> = rows::all().iter().copied().filter(is_text).collect();
        for name in RESTRICTED {
            assert!(rows.iter().any(|row| row.name() == name), "{name}");
        }
        rows.into_iter().filter(|row| !RESTRICTED.contains(&row.name())).collect()
    }

    fn start(args: Vec<OsString>) -> Loaded {
        load(&argv::split(&args), [], || Ok(Vec::new())).unwrap()
    }

    /// Text is bytes: in files with and without quotes, on the command line, in CONFIG SET, GET and REWRITE.
    #[test]
    fn text_takes_any_bytes_everywhere() {
        let every: Vec<u8> = (1..=255).filter(|b| *b != b'{' && *b != b'/').collect();
        for row in rows_of_text() {
            let name = row.name();
            // A name has at most 255 bytes, a socket's path 107, and bind splits at blanks.
            let pieces = every.split(|&b| name == "bind" && b == b' ').flat_map(|part| part.chunks(90));
            let pieces: Vec<&[u8]> = pieces.chain([&b"caf\xe9"[..], b"\xff", b"\xc3\xa9", b"\"'\\x00"]).collect();
            for text in pieces {
                let mut quoted = format!("{name} ").into_bytes();
                quote::push_repr(&mut quoted, text);
                let plain = [name.as_bytes(), b" ", text].concat();
                let is_word = text.iter().all(|b| !b.is_ascii_whitespace() && !matches!(b, b'"' | b'\'' | 11));
                let dir = Scratch::new("bytes");
                let mut ways = vec![vec![OsString::from(format!("--{name}")), OsString::from_vec(text.to_vec())]];
                for (line, file) in [(&quoted, "quoted.conf"), (&plain, "plain.conf")] {
                    if file == "quoted.conf" || is_word {
                        let path = dir.path().join(file);
                        std::fs::write(&path, line).unwrap();
                        ways.push(vec![path.into_os_string()]);
                    }
                }
                for way in ways {
                    if !matches!(row.spec.status, Status::Refused(_)) {
                        assert_eq!(row.value(&start(way).config), text, "{name}");
                    }
                }
                if row.is(Flags::IMMUTABLE) {
                    continue;
                }
                let path = dir.write("rewritten.conf", "");
                let Loaded { mut config, mut sources } = start(vec![path.clone().into_os_string()]);
                config.server.enable_protected_configs = crate::config::choice::Allowed::Yes;
                config.set(&[(name.as_bytes(), text)], Caller::default()).unwrap();
                assert_eq!(config.get([name.as_bytes()]), [(name.to_owned(), text.to_vec())]);
                sources.rewrite(&config).unwrap();
                assert_eq!(row.value(&start(vec![path.into_os_string()]).config), text, "{name}");
            }
        }
        // A host name, too, though replicas are not there yet.
        let row = rows::find(b"replicaof").unwrap();
        let mut config = Config::default();
        config.take_line(row, &[b"caf\xe9 \"x".to_vec(), b"1".to_vec()]).unwrap();
        assert_eq!((row.lines)(&config, &row.spec), [b"replicaof \"caf\\xe9 \\\"x\" 1".to_vec()]);
    }

    #[test]
    fn restricted_texts_refuse_bytes_with_their_reason() {
        for name in RESTRICTED {
            let row = rows::find(name.as_bytes()).unwrap();
            assert!(Config::default().take_whole(row, &[b"caf\xe9".to_vec()]).is_err(), "{name}");
        }
    }
}
