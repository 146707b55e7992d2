//! Parameters with a syntax of their own: save points, event classes, percentiles, addresses,
//! the working directory, the primary.
//!
//! Each type is what the code wants to have (a list of points, a set of bits), and knows how Redis
//! writes it.

use super::row::Spec;
use super::value::{Field, How, Text, only};
use crate::sys::disk::os_text;
use crate::util::bit_set::bit_set;
use crate::util::num;
use crate::util::quote;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Joins with blanks.
pub(super) fn joined(words: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    words.into_iter().collect::<Vec<_>>().join(&b' ')
}

/// Appends a word of a line: an address is plain, only a strange one needs quotes.
fn push_word(line: &mut Vec<u8>, word: &[u8]) {
    let plain = !word.is_empty() && word.iter().all(|&b| b.is_ascii_graphic() && b != b'"' && b != b'\'');
    if plain {
        line.extend_from_slice(word);
    } else {
        quote::push_repr(line, word);
    }
}

/// No arguments, or one empty one: how "none" is written in the various places.
pub(super) fn nothing(args: &[Vec<u8>]) -> bool {
    matches!(args, []) || matches!(args, [one] if one.is_empty())
}

/// Save when `seconds` have passed since the last save and there were at least `changes` changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    /// How long after the last save.
    pub seconds: u64,
    /// How many changes it takes.
    pub changes: u64,
}

/// When the data set is saved without being asked. Several points: any of them suffices.
#[derive(Clone, Debug)]
pub struct SavePoints {
    points: Vec<SavePoint>,
    /// No line has been read yet: the first one replaces the default, later ones add to it.
    untouched: bool,
}

impl SavePoints {
    /// These points.
    pub fn new(points: &[(u64, u64)]) -> SavePoints {
        let points = points.iter().map(|&(seconds, changes)| SavePoint { seconds, changes }).collect();
        SavePoints { points, untouched: true }
    }

    /// The points, in the order given.
    pub fn points(&self) -> &[SavePoint] {
        &self.points
    }

    /// Whether nothing is saved without being asked.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}

impl PartialEq for SavePoints {
    fn eq(&self, other: &SavePoints) -> bool {
        self.points == other.points
    }
}

impl Field for SavePoints {
    fn set(&mut self, _: &Spec, args: &[Vec<u8>], how: How) -> Result<(), String> {
        let wrong = || "Invalid save parameters".to_owned();
        if how == How::Line && args.is_empty() {
            // The word alone: no points, unless a line before has given some.
            if std::mem::take(&mut self.untouched) {
                self.points.clear();
            }
            return Ok(());
        }
        if how == How::Whole || self.untouched || nothing(args) {
            self.points.clear();
        }
        self.untouched = false;
        if nothing(args) {
            return Ok(());
        }
        if !args.len().is_multiple_of(2) {
            return Err(wrong());
        }
        for pair in args.chunks_exact(2) {
            let seconds = num::parse_u64(&pair[0]).filter(|&s| s >= 1).ok_or_else(wrong)?;
            let changes = num::parse_u64(&pair[1]).ok_or_else(wrong)?;
            self.points.push(SavePoint { seconds, changes });
        }
        Ok(())
    }

    fn show(&self, _: &Spec) -> Vec<u8> {
        joined(self.points.iter().map(|p| format!("{} {}", p.seconds, p.changes).into_bytes()))
    }

    fn items(&self, _: &Spec) -> Vec<Vec<u8>> {
        self.points.iter().map(|p| format!("{} {}", p.seconds, p.changes).into_bytes()).collect()
    }

    fn lines(&self, spec: &Spec) -> Vec<Vec<u8>> {
        let line = |value: &[u8]| [spec.name.as_bytes(), b" ", value].concat();
        if self.points.is_empty() {
            return vec![line(b"\"\"")];
        }
        self.items(spec).iter().map(|point| line(point)).collect()
    }
}

/// Out-of-memory scores: of a primary, of a replica, of a child process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OomScores(pub [i32; 3]);

impl Field for OomScores {
    fn set(&mut self, _: &Spec, args: &[Vec<u8>], _: How) -> Result<(), String> {
        let [primary, replica, child] = args else { return Err("wrong number of arguments".to_owned()) };
        let score = |text: &Vec<u8>| {
            let score = num::parse_i64(text).filter(|s| (-2000..=2000).contains(s));
            score
                .and_then(|s| i32::try_from(s).ok())
                .ok_or_else(|| "Invalid oom-score-adj-values, elements must be between -2000 and 2000.".to_owned())
        };
        self.0 = [score(primary)?, score(replica)?, score(child)?];
        Ok(())
    }

    fn show(&self, _: &Spec) -> Vec<u8> {
        joined(self.0.iter().map(|s| s.to_string().into_bytes()))
    }

    fn lines(&self, spec: &Spec) -> Vec<Vec<u8>> {
        vec![[spec.name.as_bytes(), b" ", &self.show(spec)].concat()]
    }
}

/// The percentiles that INFO latencystats shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Percentiles(pub Vec<f64>);

impl Field for Percentiles {
    fn set(&mut self, _: &Spec, args: &[Vec<u8>], _: How) -> Result<(), String> {
        self.0.clear();
        if nothing(args) {
            return Ok(());
        }
        for text in args {
            let value: Option<f64> = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
            match value {
                None => return Err("Invalid latency-tracking-info-percentiles parameters".to_owned()),
                Some(v) if v.is_nan() => {
                    return Err("Invalid latency-tracking-info-percentiles parameters".to_owned());
                }
                Some(v) if !(0.0..=100.0).contains(&v) => {
                    return Err(
                        "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".to_owned()
                    );
                }
                // What is shown is what is kept, so that a rewritten file gives the same list.
                Some(v) => self.0.push((v * 1e6).round() / 1e6),
            }
        }
        Ok(())
    }

    fn show(&self, _: &Spec) -> Vec<u8> {
        joined(self.0.iter().map(|v| {
            let text = format!("{v:.6}");
            text.trim_end_matches('0').trim_end_matches('.').as_bytes().to_vec()
        }))
    }

    fn lines(&self, spec: &Spec) -> Vec<Vec<u8>> {
        let value = self.show(spec);
        let value = if value.is_empty() { b"\"\"".to_vec() } else { value };
        vec![[spec.name.as_bytes(), b" ", &value].concat()]
    }
}

bit_set! {
    /// Which keyspace events are published: a set of classes and of channels.
    KeyspaceEvents: u32 {
        /// Publish on `__keyspace@db__:key`.
        KEYSPACE = 0;
        /// Publish on `__keyevent@db__:event`.
        KEYEVENT = 1;
        /// DEL, EXPIRE, RENAME and the like.
        GENERIC = 2;
        /// Strings.
        STRING = 3;
        /// Lists.
        LIST = 4;
        /// Sets.
        SET = 5;
        /// Hashes.
        HASH = 6;
        /// Sorted sets.
        ZSET = 7;
        /// Keys that expired.
        EXPIRED = 8;
        /// Keys that were evicted.
        EVICTED = 9;
        /// Streams.
        STREAM = 10;
        /// Keys that were looked for and not found.
        KEY_MISS = 11;
        /// Values of modules.
        MODULE = 13;
        /// Keys that came into being.
        NEW = 14;
        /// Values that were replaced.
        OVERWRITTEN = 15;
        /// Values that were replaced by one of another type.
        TYPE_CHANGED = 16;
    }
}

/// Letter and bit of each class, in the order in which they are shown. `A` stands for the first ten.
const EVENT_LETTERS: [(u8, KeyspaceEvents); 15] = [
    (b'g', KeyspaceEvents::GENERIC),
    (b'$', KeyspaceEvents::STRING),
    (b'l', KeyspaceEvents::LIST),
    (b's', KeyspaceEvents::SET),
    (b'h', KeyspaceEvents::HASH),
    (b'z', KeyspaceEvents::ZSET),
    (b'x', KeyspaceEvents::EXPIRED),
    (b'e', KeyspaceEvents::EVICTED),
    (b't', KeyspaceEvents::STREAM),
    (b'd', KeyspaceEvents::MODULE),
    (b'n', KeyspaceEvents::NEW),
    (b'K', KeyspaceEvents::KEYSPACE),
    (b'E', KeyspaceEvents::KEYEVENT),
    (b'm', KeyspaceEvents::KEY_MISS),
    (b'o', KeyspaceEvents::OVERWRITTEN),
];

impl KeyspaceEvents {
    /// What `A` stands for.
    pub const ALL: KeyspaceEvents = KeyspaceEvents(0b10_0111_1111_1100);

    /// The set that the letters spell.
    pub fn parse(letters: &[u8]) -> Option<KeyspaceEvents> {
        let mut set = 0;
        for letter in letters {
            set |= match letter {
                b'A' => KeyspaceEvents::ALL.0,
                b'c' => KeyspaceEvents::TYPE_CHANGED.0,
                other => EVENT_LETTERS.iter().find(|(l, _)| l == other)?.1.0,
            };
        }
        Some(KeyspaceEvents(set))
    }

    /// The letters, as CONFIG GET shows them. Redis forgets `n`, `o` and `c` beside `A`; they are shown here, because
    /// CONFIG REWRITE writes what this returns.
    pub fn letters(self) -> Vec<u8> {
        let all = self.0 & KeyspaceEvents::ALL.0 == KeyspaceEvents::ALL.0;
        let mut out = if all { b"A".to_vec() } else { Vec::new() };
        for (letter, bit) in EVENT_LETTERS {
            let within_all = KeyspaceEvents::ALL.has(bit);
            if self.has(bit) && !(all && within_all) {
                out.push(letter);
            }
        }
        if self.has(KeyspaceEvents::TYPE_CHANGED) {
            out.push(b'c');
        }
        out
    }
}

impl Field for KeyspaceEvents {
    fn set(&mut self, _: &Spec, args: &[Vec<u8>], _: How) -> Result<(), String> {
        *self = KeyspaceEvents::parse(only(args)?)
            .ok_or_else(|| "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".to_owned())?;
        Ok(())
    }

    fn show(&self, _: &Spec) -> Vec<u8> {
        self.letters()
    }
}

/// Where keyspace events are kept: a stream, and how long it may become.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventStream {
    /// The key of the stream, in database 0; empty: events are kept nowhere.
    pub key: Text,
    /// About so many entries are kept; 0 for all.
    pub max_len: u64,
}

impl Field for EventStream {
    fn set(&mut self, _: &Spec, args: &[Vec<u8>], _: How) -> Result<(), String> {
        let wrong = || "give the name of a key, and perhaps MAXLEN and a number above 0".to_owned();
        *self = match args {
            _ if nothing(args) => EventStream::default(),
            [key] => EventStream { key: Text::from(key.as_slice()), max_len: 0 },
            [key, word, number] if word.eq_ignore_ascii_case(b"MAXLEN") => {
                let max_len = num::parse_i64(number).and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
                EventStream { key: Text::from(key.as_slice()), max_len: max_len.ok_or_else(wrong)? }
            }
            _ => return Err(wrong()),
        };
        Ok(())
    }

    fn show(&self, _: &Spec) -> Vec<u8> {
        let mut words = vec![self.key.as_bytes().to_vec()];
        if self.max_len > 0 {
            words.extend([b"MAXLEN".to_vec(), self.max_len.to_string().into_bytes()]);
        }
        joined(words)
    }
}

/// The addresses to listen on: at most 16. A leading `-` makes an address optional, `*` is every address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindAddresses(pub Vec<Text>);

impl Field for BindAddresses {
    fn set(&mut self, _: &Spec, args: &[Vec<u8>], _: How) -> Result<(), String> {
        if nothing(args) {
            self.0.clear();
            return Ok(());
        }
        if args.len() > 16 {
            return Err("Too many bind addresses specified.".to_owned());
        }
        self.0 = args.iter().map(|address| Text::from(address.as_slice())).collect();
        Ok(())
    }

    fn show(&self, _: &Spec) -> Vec<u8> {
        joined(self.0.iter().map(|address| address.as_bytes().to_vec()))
    }

    fn lines(&self, spec: &Spec) -> Vec<Vec<u8>> {
        let mut line = spec.name.as_bytes().to_vec();
        if self.0.is_empty() {
            line.extend_from_slice(b" \"\"");
        }
        for address in &self.0 {
            line.push(b' ');
            push_word(&mut line, address.as_bytes());
        }
        vec![line]
    }
}

/// The working directory: where files are written.
///
/// A value must name a directory that exists, and is kept as its absolute path, as Redis shows it. Going there is the
/// server's business ([`Apply::Directory`](super::row::Apply)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory(PathBuf);

impl Directory {
    /// Wherever the program was started.
    pub fn here() -> Directory {
        Directory(PathBuf::from("."))
    }

    /// The path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// The same directory by its absolute path.
    pub(super) fn absolute(&self) -> io::Result<Directory> {
        let path = self.0.canonicalize()?;
        if path.is_dir() { Ok(Directory(path)) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }
}

impl Field for Directory {
    fn set(&mut self, _: &Spec, args: &[Vec<u8>], _: How) -> Result<(), String> {
        let path = PathBuf::from(std::ffi::OsString::from_vec(only(args)?.to_vec()));
        if path.as_os_str().as_bytes().contains(&0) {
            return Err("No such file or directory".to_owned());
        }
        *self = Directory(path).absolute().map_err(|e| os_text(&e))?;
        Ok(())
    }

    fn show(&self, _: &Spec) -> Vec<u8> {
        self.0.as_os_str().as_bytes().to_vec()
    }
}

/// The primary to copy from, if this is a replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Primary(pub Option<(Text, u16)>);

impl Field for Primary {
    fn set(&mut self, _: &Spec, args: &[Vec<u8>], how: How) -> Result<(), String> {
        if how == How::Whole && nothing(args) {
            self.0 = None;
            return Ok(());
        }
        let [host, port] = args else { return Err("wrong number of arguments".to_owned()) };
        if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
            self.0 = None;
            return Ok(());
        }
        let port = num::parse_i64(port).and_then(|p| u16::try_from(p).ok());
        self.0 = Some((Text::from(host.as_slice()), port.ok_or_else(|| "Invalid master port".to_owned())?));
        Ok(())
    }

    fn show(&self, _: &Spec) -> Vec<u8> {
        match &self.0 {
            None => Vec::new(),
            Some((host, port)) => joined([host.as_bytes().to_vec(), port.to_string().into_bytes()]),
        }
    }

    fn lines(&self, spec: &Spec) -> Vec<Vec<u8>> {
        let mut line = [spec.name.as_bytes(), b" "].concat();
        match &self.0 {
            None => line.extend_from_slice(b"no one"),
            Some((host, port)) => {
                push_word(&mut line, host.as_bytes());
                line.extend_from_slice(format!(" {port}").as_bytes());
            }
        }
        vec![line]
    }
}
