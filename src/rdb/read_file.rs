//! Reading the records of a file: one [`Event`] at a time, the caller decodes the values.
//!
//! After [`Event::Key`] the value lies next in the input. The caller reads all of it, with the methods of
//! [`FileReader::body`] or with [`FileReader::skip_value`], and then asks for the next event.
//!
//! Stricter than Redis in two places, where it costs nothing and finds damage in files without checksum: an
//! expiry or access record must be followed by a key, and [`FileReader::check_end`] refuses surplus bytes.

use super::access::Access;
use super::ahead::Ahead;
use super::error::{RdbError, Section, Why};
use super::opcodes::*;
use super::reader::RdbReader;
use super::skip;

/// What the file says about a key, beside its name and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// How the value is laid out.
    pub kind: TypeOpcode,
    /// Unix time in milliseconds.
    pub expire_at_ms: Option<i64>,
    /// When or how often it was used.
    pub access: Access,
}

/// What the end of a file says about its integrity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// There is one and it is right.
    Verified,
    /// There is one, and the options said not to look at it.
    Ignored,
    /// The writer had checksums switched off.
    Disabled,
    /// The file is older than checksums.
    Absent,
}

/// A record of the file.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A name and a value about the file as a whole.
    Aux {
        /// Its name, as `redis-ver`.
        key: Vec<u8>,
        /// Its value as text.
        value: Vec<u8>,
    },
    /// The following keys belong to this database.
    SelectDb(u64),
    /// Size hints for the selected database. Not to be trusted.
    ResizeDb {
        /// Number of keys.
        keys: u64,
        /// How many of them have an expiry.
        expiring: u64,
    },
    /// Size hints for a cluster slot. Not to be trusted.
    SlotInfo {
        /// The slot.
        slot: u64,
        /// Number of keys.
        keys: u64,
        /// How many of them have an expiry.
        expiring: u64,
    },
    /// A key, whose name is [`FileReader::key`] and whose value must be read next.
    Key(KeyInfo),
    /// The source text of a function library.
    Function(Vec<u8>),
    /// Module data outside of keys; it was checked and passed over.
    ModuleAux {
        /// The module type, by name and encoding version.
        module: skip::ModuleId,
    },
    /// The end of the file.
    Eof(Checksum),
}

/// Reads a file record by record.
pub struct FileReader<'r> {
    pub(super) body: RdbReader<'r>,
    version: u32,
    key: Vec<u8>,
    pub(super) ahead: Ahead,
}

impl<'r> FileReader<'r> {
    /// Reads the header.
    pub fn open(mut body: RdbReader<'r>) -> Result<FileReader<'r>, RdbError> {
        body.enter(Section::Header);
        let mut header = [0; 9];
        body.read_exact(&mut header)?;
        let (dialect, digits) = match &header {
            [b'R', b'E', b'D', b'I', b'S', digits @ ..] => (Dialect::Redis, &digits[..]),
            [b'V', b'A', b'L', b'K', b'E', b'Y', digits @ ..] => (Dialect::Valkey, &digits[..]),
            _ => return Err(body.error_at(0, Why::WrongSignature)),
        };
        let digits_at = (header.len() - digits.len()) as u64;
        let mut version = 0;
        for &digit in digits {
            if !digit.is_ascii_digit() {
                return Err(body.error_at(digits_at, Why::WrongSignature));
            }
            version = version * 10 + u32::from(digit - b'0');
        }
        if Dialect::of_version(version) != Some(dialect) {
            let why = match dialect {
                Dialect::Redis => Why::Version(version),
                Dialect::Valkey => Why::ValkeyVersion(version),
            };
            return Err(body.error_at(digits_at, why));
        }
        body.set_dialect(dialect);
        Ok(FileReader { body, version, key: Vec::new(), ahead: Ahead::default() })
    }

    /// The version of the format that the file says it has.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Bytes consumed so far.
    pub fn offset(&self) -> u64 {
        self.body.offset()
    }

    /// The name of the last key.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The reader, placed at the value of the last key.
    pub fn body(&mut self) -> &mut RdbReader<'r> {
        &mut self.body
    }

    /// The name of the last key, and the reader placed at its value.
    pub fn key_and_body(&mut self) -> (&[u8], &mut RdbReader<'r>) {
        (&self.key, &mut self.body)
    }

    /// An error at the present place, naming the key if that is in its value.
    pub fn error(&self, why: Why) -> RdbError {
        self.body.error(why).in_key(&self.key)
    }

    /// Checks the layout of the last key's value and passes over it.
    pub fn skip_value(&mut self, kind: TypeOpcode) -> Result<skip::SkippedValue, RdbError> {
        self.body.skip_value(kind).map_err(|fault| fault.in_key(&self.key))
    }

    /// Remembers this place, where a record begins, so that [`FileReader::rewind`] comes back to it.
    pub fn set_mark(&mut self) {
        self.body.set_mark();
    }

    /// Goes back to the mark, when the source has no more just now. It must begin anew there.
    pub fn rewind(&mut self) {
        self.body.rewind();
    }

    /// Checks that nothing follows the end, for inputs that hold nothing but one RDB file.
    ///
    /// Behind a right checksum, surplus bytes are harmless and only counted. Without one they are an error: they
    /// can be the rest of a file in which a damaged byte was taken for the end.
    pub fn check_end(&mut self, checksum: Checksum) -> Result<u64, RdbError> {
        let at = self.body.offset();
        let mut surplus = 0;
        while !self.body.at_end()? {
            surplus += self.body.skip_buffered();
        }
        if surplus > 0 && checksum != Checksum::Verified {
            return Err(self.body.error_at(at, Why::Corrupt("bytes after the end of the file")));
        }
        Ok(surplus)
    }

    /// The next record. After [`Event::Eof`] it must not be called again.
    pub fn next_event(&mut self) -> Result<Event, RdbError> {
        let mut expire_at_ms = None;
        let mut access = Access::Unknown;
        loop {
            let announced = expire_at_ms.is_some() || access != Access::Unknown;
            let body = &mut self.body;
            body.enter(Section::Opcode);
            let at = body.offset();
            let opcode = body.read_u8()?;
            match opcode {
                EXPIRE_MS => {
                    body.enter(Section::Expiry);
                    expire_at_ms = Some(body.read_ms()?);
                }
                EXPIRE_SECONDS => {
                    body.enter(Section::Expiry);
                    let seconds = body.read_u32_le()? as i32;
                    expire_at_ms = Some(i64::from(seconds) * 1000);
                }
                IDLE => {
                    body.enter(Section::Access);
                    access = Access::IdleSeconds(body.read_len()?);
                }
                FREQ => {
                    body.enter(Section::Access);
                    access = Access::Frequency(body.read_u8()?);
                }
                _ => {
                    if let Some(kind) = TypeOpcode::from_byte(opcode, body.dialect()) {
                        body.enter(Section::Key(kind));
                        body.read_bytes_into(&mut self.key)?;
                        self.ahead.key_read();
                        body.enter(Section::Value(kind));
                        return Ok(Event::Key(KeyInfo { kind, expire_at_ms, access }));
                    }
                    if announced {
                        return Err(body.error_at(at, Why::Corrupt("an expiry or access record without a key")));
                    }
                    return self.record(at, opcode);
                }
            }
        }
    }

    fn record(&mut self, at: u64, opcode: u8) -> Result<Event, RdbError> {
        let body = &mut self.body;
        match opcode {
            AUX => {
                body.enter(Section::Aux);
                Ok(Event::Aux { key: body.read_bytes()?, value: body.read_bytes()? })
            }
            SELECT_DB => {
                body.enter(Section::SelectDb);
                Ok(Event::SelectDb(body.read_len()?))
            }
            RESIZE_DB => {
                body.enter(Section::ResizeDb);
                Ok(Event::ResizeDb { keys: body.read_len()?, expiring: body.read_len()? })
            }
            SLOT_INFO => {
                body.enter(Section::SlotInfo);
                Ok(Event::SlotInfo { slot: body.read_len()?, keys: body.read_len()?, expiring: body.read_len()? })
            }
            FUNCTION2 => {
                body.enter(Section::Function);
                Ok(Event::Function(body.read_bytes()?))
            }
            FUNCTION_PRE_GA => {
                body.enter(Section::Function);
                Err(body.error_at(at, Why::Corrupt("Pre-release function format not supported.")))
            }
            MODULE_AUX => {
                body.enter(Section::ModuleAux);
                Ok(Event::ModuleAux { module: skip::module_aux(body)? })
            }
            EOF => self.end(),
            VALKEY_SLOT_IMPORT if body.dialect() == Dialect::Valkey => {
                Err(body.error_at(at, Why::Unsupported("Valkey's SLOT_IMPORT: a migration of slots was going on")))
            }
            _ => Err(body.error_at(at, Why::UnknownOpcode(opcode))),
        }
    }

    fn end(&mut self) -> Result<Event, RdbError> {
        let body = &mut self.body;
        if self.version < VERSION_WITH_CHECKSUM {
            return Ok(Event::Eof(Checksum::Absent));
        }
        let actual = body.checksum();
        body.enter(Section::Checksum);
        let at = body.offset();
        let expected = body.read_u64_le()?;
        if !body.options().checksum {
            return Ok(Event::Eof(Checksum::Ignored));
        }
        match expected {
            0 => Ok(Event::Eof(Checksum::Disabled)),
            _ if expected == actual => Ok(Event::Eof(Checksum::Verified)),
            _ => Err(body.error_at(at, Why::Checksum { expected, actual })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::writer::{RdbWriter, WriteOptions};
    use super::*;

    fn sample(options: WriteOptions) -> Vec<u8> {
        let mut w = RdbWriter::in_memory(options);
        w.write_header().unwrap();
        w.write_aux(b"redis-ver", b"7.4.2").unwrap();
        w.write_aux(b"redis-bits", b"64").unwrap();
        w.write_function(b"#!lua name=x").unwrap();
        w.write_select_db(9).unwrap();
        w.write_resize_db(2, 1).unwrap();
        w.write_key_header(TypeOpcode::String, b"a", Some(-5), Access::IdleSeconds(70)).unwrap();
        w.write_string(b"value").unwrap();
        w.write_key_header(TypeOpcode::String, b"12", None, Access::Frequency(200)).unwrap();
        w.write_integer(i64::MIN).unwrap();
        w.write_end().unwrap();
        w.take_bytes()
    }

    type Keys = Vec<(Vec<u8>, Vec<u8>)>;

    fn events(file: &[u8]) -> Result<(Vec<Event>, Keys), RdbError> {
        let mut reader = FileReader::open(RdbReader::from_bytes(file))?;
        let (mut events, mut keys) = (Vec::new(), Vec::new());
        loop {
            let event = reader.next_event()?;
            if let Event::Key(info) = event {
                if info.kind == TypeOpcode::String {
                    let (key, body) = reader.key_and_body();
                    let value = body.read_bytes().map_err(|fault| fault.in_key(key))?;
                    keys.push((key.to_vec(), value));
                } else {
                    reader.skip_value(info.kind)?;
                }
            }
            let ended = matches!(event, Event::Eof(_));
            if let Event::Eof(checksum) = event {
                reader.check_end(checksum)?;
            }
            events.push(event);
            if ended {
                return Ok((events, keys));
            }
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let (events, keys) = events(&sample(WriteOptions::default())).unwrap();
        let kind = TypeOpcode::String;
        assert_eq!(
            events,
            [
                Event::Aux { key: b"redis-ver".to_vec(), value: b"7.4.2".to_vec() },
                Event::Aux { key: b"redis-bits".to_vec(), value: b"64".to_vec() },
                Event::Function(b"#!lua name=x".to_vec()),
                Event::SelectDb(9),
                Event::ResizeDb { keys: 2, expiring: 1 },
                Event::Key(KeyInfo { kind, expire_at_ms: Some(-5), access: Access::IdleSeconds(70) }),
                Event::Key(KeyInfo { kind, expire_at_ms: None, access: Access::Frequency(200) }),
                Event::Eof(Checksum::Verified),
            ]
        );
        assert_eq!(keys[0], (b"a".to_vec(), b"value".to_vec()));
        assert_eq!(keys[1], (b"12".to_vec(), b"-9223372036854775808".to_vec()));
    }

    #[test]
    fn every_damaged_byte_and_every_cut_is_found() {
        let file = sample(WriteOptions::default());
        for at in 0..file.len() {
            assert!(events(&file[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut damaged = file.clone();
                damaged[at] ^= 1 << bit;
                assert!(events(&damaged).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn a_file_without_checksum_is_marked_so() {
        let file = sample(WriteOptions { checksum: false, ..WriteOptions::default() });
        assert_eq!(file[file.len() - 8..], [0; 8]);
        assert_eq!(events(&file).unwrap().0.pop(), Some(Event::Eof(Checksum::Disabled)));
        for at in 0..file.len() {
            assert!(events(&file[..at]).is_err(), "cut at {at}");
            for change in 1..=255 {
                let mut damaged = file.clone();
                damaged[at] ^= change;
                let _ = events(&damaged);
            }
        }
    }

    /// As Valkey 9.1.2 wrote it: two hashes, one of them with a field that has a deadline, a string and a list.
    const OF_VALKEY: [&[u8]; 6] = [
        b"VALKEY080\xfa\x0avalkey-ver\x059.1.2\xfa\x0ar",
        b"edis-bits\xc0@\xfa\x05ctime\xc2\xfd\xe7\x0dk\xfa\x08used-",
        b"mem\xc28\x05\x11\x00\xfa\x08aof-base\xc0\x00\xfe\x00\xfb\x04\x01\x16\x01h\x02\x01",
        b"a\xc0\x01\x00\xd8\xc3,\xbb\x03\x00\x00\x01b\xc0\x02\xff\xff\xff\xff\xff\xff\xff\xff\x10\x02h2\x0c\x0c\x00",
        b"\x00\x00\x02\x00\x81a\x02\x01\x01\xff\xfc\x89ya.\xa2\x01\x00\x00\x00\x01s\x01v\x12\x01l\x01\x02\x0b",
        b"\x0b\x00\x00\x00\x02\x00\x01\x01\x02\x01\xff\xff\xd5\xe0\xc5\x01\xd0\xdc\xcdf",
    ];

    #[test]
    fn a_file_of_valkey() {
        let file = OF_VALKEY.concat();
        let (events, keys) = events(&file).unwrap();
        let kinds = events.iter().filter_map(|event| match event {
            Event::Key(info) => Some(info.kind),
            _ => None,
        });
        let kinds: Vec<_> = kinds.collect();
        use TypeOpcode as T;
        for kind in [T::HashValkey, T::HashListpack, T::String, T::ListQuicklist2] {
            assert!(kinds.contains(&kind), "{kind:?}");
        }
        assert_eq!((kinds.len(), keys), (4, vec![(b"s".to_vec(), b"v".to_vec())]));
        assert_eq!(events.last(), Some(&Event::Eof(Checksum::Verified)));
        for at in 0..file.len() {
            assert!(self::events(&file[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut damaged = file.clone();
                damaged[at] ^= 1 << bit;
                assert!(self::events(&damaged).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn what_is_not_read_of_valkeys_is_named() {
        for (file, offset, why) in [
            (&b"VALKEY081"[..], 6, Why::ValkeyVersion(81)),
            (b"VALKEY011", 6, Why::ValkeyVersion(11)),
            (b"VALKEY000", 6, Why::ValkeyVersion(0)),
            (b"VALKEY08x", 6, Why::WrongSignature),
            (b"REDIS0080", 5, Why::Version(80)),
            (b"VALKEYS80", 6, Why::WrongSignature),
            (b"VALKEY080\x17\x01k", 9, Why::UnknownOpcode(23)),
            (b"REDIS0012\xf3", 9, Why::UnknownOpcode(243)),
        ] {
            let fault = events(file).unwrap_err();
            assert_eq!((fault.offset, fault.why), (offset, why), "{}", file.escape_ascii());
        }
        let fault = events(b"VALKEY080\xf3\x28").unwrap_err();
        assert!(fault.to_string().contains("SLOT_IMPORT"), "{fault}");
        assert_eq!(fault.offset, 9);
    }

    #[test]
    fn errors_name_the_place() {
        let fault = events(b"REDIS0013").unwrap_err();
        assert_eq!((fault.offset, fault.why), (5, Why::Version(13)));
        assert_eq!(events(b"REDIX0011").unwrap_err().why, Why::WrongSignature);
        assert_eq!(events(b"REDIS0000").unwrap_err().why, Why::Version(0));
        let fault = events(b"REDIS0011\xfe\x00\xc8").unwrap_err();
        assert_eq!((fault.offset, fault.section, fault.why), (11, Section::Opcode, Why::UnknownOpcode(200)));
        let fault = events(b"REDIS0011\x00\x02kk\x09abc").unwrap_err();
        assert_eq!(
            fault.to_string(),
            "Internal error in RDB reading offset 17, value (type 0 string) of key 'kk' -> \
             Unexpected EOF reading RDB file"
        );
        let fault = events(b"REDIS0011\xfc\0\0\0\0\0\0\0\0\xff").unwrap_err();
        assert_eq!((fault.offset, fault.section), (18, Section::Opcode));
        assert!(events(b"REDIS0003\xff").is_ok());
        assert!(events(b"REDIS0003\xff\0").is_err());
    }
}
