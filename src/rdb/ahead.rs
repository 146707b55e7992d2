//! Looking ahead: the names of keys that come soon, so that the places where they will go can be fetched meanwhile.
//!
//! Nothing depends on it. It looks at bytes that are read ahead and neither consumes nor judges them: what it does not
//! understand it leaves alone until the reader has passed it.

use super::opcodes::*;
use super::read_file::FileReader;
use super::reader::Head;

/// So many keys lie between the reader and where it looks: enough for memory to answer, few enough to stay in the cache.
const KEYS_AHEAD: usize = 12;

/// How far somebody has looked.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Offset of the first record that nobody has looked at.
    to: u64,
    /// Keys in front of it that are still to be read.
    keys: usize,
}

impl Ahead {
    /// A key was read.
    #[inline]
    pub fn key_read(&mut self) {
        self.keys = self.keys.saturating_sub(1);
    }
}

impl FileReader<'_> {
    /// Hands the names of keys that come soon to `soon`, each once. To be called where a record begins.
    pub fn look_ahead(&mut self, soon: &mut dyn FnMut(&[u8])) {
        let (body, ahead) = (&self.body, &mut self.ahead);
        let here = body.offset();
        if ahead.to < here {
            *ahead = Ahead { to: here, keys: 0 };
        }
        let Some(mut rest) = usize::try_from(ahead.to - here).ok().and_then(|at| body.buffered().get(at..)) else {
            return;
        };
        while ahead.keys < KEYS_AHEAD {
            let before = rest.len();
            let mut record = Record(rest);
            let Some(key) = record.key(body.dialect()) else { return };
            rest = record.0;
            ahead.to += (before - rest.len()) as u64;
            ahead.keys += 1;
            match key {
                Text::Bytes(bytes) => soon(bytes),
                Text::Int(number) => soon(itoa::Buffer::new().format(number).as_bytes()),
                Text::Packed => {}
            }
        }
    }
}

/// A string, as far as it can be read where it lies.
enum Text<'a> {
    Bytes(&'a [u8]),
    Int(i32),
    Packed,
}

/// The bytes of a record that are still to be looked at, and what follows.
struct Record<'a>(&'a [u8]);

impl<'a> Record<'a> {
    fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn head(&mut self) -> Option<Head> {
        let [first] = self.array()?;
        Some(match first >> 6 {
            LEN_6BIT => Head::Len(u64::from(first & 0x3F)),
            LEN_14BIT => Head::Len(u64::from(first & 0x3F) << 8 | u64::from(self.array::<1>()?[0])),
            LEN_ENCODED => Head::Encoded(first & 0x3F),
            _ if first == LEN_32BIT => Head::Len(u64::from(u32::from_be_bytes(self.array()?))),
            _ => return None,
        })
    }

    fn len(&mut self) -> Option<u64> {
        match self.head()? {
            Head::Len(len) => Some(len),
            Head::Encoded(_) => None,
        }
    }

    fn text(&mut self) -> Option<Text<'a>> {
        Some(match self.head()? {
            Head::Len(len) => Text::Bytes(self.take(len)?),
            Head::Encoded(ENC_INT8) => Text::Int(i32::from(i8::from_le_bytes(self.array()?))),
            Head::Encoded(ENC_INT16) => Text::Int(i32::from(i16::from_le_bytes(self.array()?))),
            Head::Encoded(ENC_INT32) => Text::Int(i32::from_le_bytes(self.array()?)),
            Head::Encoded(ENC_LZF) => {
                let packed = self.len()?;
                self.len()?;
                self.take(packed)?;
                Text::Packed
            }
            Head::Encoded(_) => return None,
        })
    }

    /// The name of the key whose record begins here, if its value is one string.
    fn key(&mut self, dialect: Dialect) -> Option<Text<'a>> {
        use TypeOpcode as T;
        loop {
            match self.array::<1>()?[0] {
                EXPIRE_MS => drop(self.take(8)?),
                EXPIRE_SECONDS => drop(self.take(4)?),
                IDLE => drop(self.len()?),
                FREQ => drop(self.take(1)?),
                opcode => match TypeOpcode::from_byte(opcode, dialect)? {
                    T::String | T::HashListpack | T::SetListpack | T::ZsetListpack | T::SetIntset => break,
                    T::HashZipmap | T::HashZiplist | T::ListZiplist | T::ZsetZiplist => break,
                    _ => return None,
                },
            }
        }
        let key = self.text()?;
        self.text()?;
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rdb::{Access, Event, RdbReader, RdbWriter, ReadOptions, WriteOptions};

    /// Reads a file, and gives the keys that were announced before each was read.
    fn announced(file: &[u8], options: ReadOptions) -> Vec<(Vec<u8>, Vec<Vec<u8>>)> {
        let mut reader = FileReader::open(RdbReader::new(file, options)).unwrap();
        let mut read = Vec::new();
        loop {
            let mut names = Vec::new();
            reader.look_ahead(&mut |key| names.push(key.to_vec()));
            match reader.next_event().unwrap() {
                Event::Key(info) => {
                    reader.skip_value(info.kind).unwrap();
                    read.push((reader.key().to_vec(), names));
                }
                Event::Eof(_) => return read,
                _ => assert!(names.is_empty(), "only keys are announced"),
            }
        }
    }

    fn file(count: usize, write: impl Fn(&mut RdbWriter<'_>, usize)) -> Vec<u8> {
        let mut out = RdbWriter::in_memory(WriteOptions::default());
        out.write_header().unwrap();
        out.write_select_db(0).unwrap();
        (0..count).for_each(|i| write(&mut out, i));
        out.write_end().unwrap();
        out.take_bytes()
    }

    #[test]
    fn every_key_is_announced_once_before_it_is_read() {
        let file = file(3000, |out, i| {
            let expiry = (i % 3 == 0).then_some(1_700_000_000_000);
            let access = [Access::Unknown, Access::IdleSeconds(70), Access::Frequency(9)][i % 3];
            let key = if i % 2 == 0 { format!("{}", i * 40) } else { format!("key:{i}") };
            out.write_key_header(TypeOpcode::String, key.as_bytes(), expiry, access).unwrap();
            out.write_string(
                ["short", "1234", "a text that is long enough to be compressed, compressed"][i % 3].as_bytes(),
            )
            .unwrap();
        });
        let read = announced(&file, ReadOptions::default());
        let told: Vec<&Vec<u8>> = read.iter().flat_map(|(_, names)| names).collect();
        // Records that the end of a buffer cut are read without having been announced.
        assert!(told.len() > read.len() - 40, "{} of {}", told.len(), read.len());
        let mut keys = read.iter().enumerate();
        for name in &told {
            assert!(keys.any(|(_, (key, _))| key == *name), "in the order of the file");
        }
        let at = |name: &Vec<u8>| read.iter().position(|(key, _)| key == name).unwrap();
        for (now, (_, names)) in read.iter().enumerate() {
            assert!(names.iter().all(|name| (now..now + KEYS_AHEAD).contains(&at(name))));
        }
    }

    #[test]
    fn what_is_not_understood_is_left_to_the_reader() {
        let file = file(40, |out, i| {
            let (kind, name) = if i % 10 == 5 { (TypeOpcode::Set, "set") } else { (TypeOpcode::String, "text") };
            out.write_key_header(kind, format!("{name}:{i}").as_bytes(), None, Access::Unknown).unwrap();
            if i % 10 == 5 {
                out.write_len(2).unwrap();
                out.write_string(b"one").unwrap();
            }
            out.write_string(b"two").unwrap();
        });
        let read = announced(&file, ReadOptions::default());
        let told: Vec<&Vec<u8>> = read.iter().flat_map(|(_, names)| names).collect();
        let texts: Vec<&Vec<u8>> = read.iter().map(|(key, _)| key).filter(|key| key.starts_with(b"text")).collect();
        assert_eq!((read.len(), told), (40, texts));
    }
}
