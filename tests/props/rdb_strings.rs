//! Strings, keys and records: what the writer writes is what the reader reads, and LZF undoes itself.

use kvstash::rdb::{Access, Checksum, Event, FileReader, RdbReader, RdbWriter, TypeOpcode, WriteOptions};
use kvstash::util::lzf;
use quickcheck::{Arbitrary, Gen, quickcheck};

/// Strings as they occur: numbers and near-numbers, repetitive text, noise, and lengths about the thresholds.
#[derive(Clone, Debug)]
struct Text(Vec<u8>);

impl Arbitrary for Text {
    fn arbitrary(g: &mut Gen) -> Self {
        let bytes = match u8::arbitrary(g) % 5 {
            0 => i64::arbitrary(g).to_string().into_bytes(),
            1 => i64::from(i16::arbitrary(g)).to_string().into_bytes(),
            2 => Vec::<u8>::arbitrary(g),
            3 => {
                let unit = Vec::<u8>::arbitrary(g);
                unit.repeat(usize::from(u8::arbitrary(g)))
            }
            _ => {
                let lens = [19, 20, 21, 22, 63, 64, 500, 1000, 2000, 4000, 8192, 8193, 16_383, 16_384, 66_000, 140_000];
                let len = *g.choose(&lens).expect("not empty");
                let alphabet = *g.choose(&[1u8, 2, 4, 255]).expect("not empty");
                let mut x = u32::arbitrary(g) | 1;
                let mut next = || {
                    x ^= x << 13;
                    x ^= x >> 17;
                    x ^= x << 5;
                    x as u8 % alphabet
                };
                (0..len).map(|_| next()).collect()
            }
        };
        Text(bytes)
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        Box::new(self.0.shrink().map(Text))
    }
}

#[derive(Clone, Debug)]
struct Entry {
    key: Text,
    value: Text,
    expire_at_ms: Option<i64>,
    access: Access,
}

impl Arbitrary for Entry {
    fn arbitrary(g: &mut Gen) -> Self {
        Entry {
            key: Text::arbitrary(g),
            value: Text::arbitrary(g),
            expire_at_ms: Option::arbitrary(g),
            access: match u8::arbitrary(g) % 3 {
                0 => Access::Unknown,
                1 => Access::IdleSeconds(u64::arbitrary(g)),
                _ => Access::Frequency(u8::arbitrary(g)),
            },
        }
    }
}

fn options(compression: bool) -> WriteOptions {
    WriteOptions { compression, ..WriteOptions::default() }
}

quickcheck! {
    fn lzf_undoes_itself(texts: Vec<Text>) -> bool {
        let mut compressor = lzf::Compressor::new();
        texts.iter().all(|Text(text)| {
            let mut packed = Vec::new();
            compressor.compress(text, &mut packed, usize::MAX)
                && packed.len() as u64 * lzf::RATIO_MAX >= text.len() as u64
                && lzf::decompress(&packed, text.len()).as_ref() == Ok(text)
                && (text.is_empty() || ::lzf::decompress(&packed, text.len()).as_ref() == Ok(text))
        })
    }

    fn any_bytes_decompress_or_fail(bytes: Vec<u8>, len: u16) -> bool {
        lzf::decompress(&bytes, usize::from(len)).map_or(true, |out| out.len() == usize::from(len))
    }

    fn strings_come_back(texts: Vec<Text>, compression: bool) -> bool {
        let mut writer = RdbWriter::in_memory(options(compression));
        for Text(text) in &texts {
            writer.write_string(text).unwrap();
            writer.write_pieces(text.len() as u64, || text.chunks(1000)).unwrap();
        }
        let bytes = writer.take_bytes();
        let mut reader = RdbReader::from_bytes(&bytes);
        texts.iter().all(|Text(text)| {
            reader.read_bytes().as_ref() == Ok(text) && reader.read_bytes().as_ref() == Ok(text)
        }) && reader.at_end() == Ok(true)
    }

    fn integers_come_back(numbers: Vec<i64>) -> bool {
        let mut writer = RdbWriter::in_memory(options(true));
        numbers.iter().for_each(|&number| writer.write_integer(number).unwrap());
        let bytes = writer.take_bytes();
        let mut reader = RdbReader::from_bytes(&bytes);
        numbers.iter().all(|number| reader.read_bytes() == Ok(number.to_string().into_bytes()))
    }

    fn files_come_back(entries: Vec<Entry>, compression: bool) -> bool {
        let mut file = Vec::new();
        let mut writer = RdbWriter::new(&mut file, options(compression));
        writer.write_header().unwrap();
        writer.write_select_db(3).unwrap();
        for entry in &entries {
            writer.write_key_header(TypeOpcode::String, &entry.key.0, entry.expire_at_ms, entry.access).unwrap();
            writer.write_string(&entry.value.0).unwrap();
        }
        writer.write_end().unwrap();
        drop(writer);
        let mut reader = FileReader::open(RdbReader::from_bytes(&file)).unwrap();
        assert_eq!(reader.next_event(), Ok(Event::SelectDb(3)));
        for entry in &entries {
            let Ok(Event::Key(info)) = reader.next_event() else { return false };
            assert_eq!((info.expire_at_ms, info.access), (entry.expire_at_ms, entry.access));
            assert_eq!(reader.key(), entry.key.0);
            assert_eq!(reader.body().read_bytes().as_ref(), Ok(&entry.value.0));
        }
        reader.next_event() == Ok(Event::Eof(Checksum::Verified)) && reader.check_end(Checksum::Verified) == Ok(0)
    }

    fn any_bytes_skip_or_fail(kind: u8, bytes: Vec<u8>) -> bool {
        let kind = TypeOpcode::ALL[usize::from(kind) % TypeOpcode::ALL.len()];
        let _ = RdbReader::from_bytes(&bytes).skip_value(kind);
        true
    }
}
