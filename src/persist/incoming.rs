//! A file that is loaded as it arrives: what came of it, and a loader that goes as far as that.
//!
//! A record that is not all here is begun again when more has come, after twice as much each time: so however long a value
//! is, reading it again and again costs no more than reading it once.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::rc::Rc;

use super::load::{LoadSettings, LoadSink, Loaded, Loader, Step};
use super::status::LoadProgress;
use crate::rdb::{RdbError, Section, Why};

/// The header, and something after it.
const HEADER_BYTES: u64 = 16;

/// What came, from the first byte that may be read again.
#[derive(Default)]
struct Arrived {
    parts: VecDeque<Vec<u8>>,
    /// Where the first part begins.
    start: u64,
    end: u64,
    /// What the loader reads next, and the part and place in it where that is.
    at: u64,
    part: usize,
    offset: usize,
    is_whole: bool,
}

impl Arrived {
    /// Everything before is done with, and reading goes on here.
    fn release(&mut self, to: u64) {
        while let Some(first) = self.parts.front() {
            let end = self.start + first.len() as u64;
            if end > to {
                break;
            }
            self.start = end;
            self.parts.pop_front();
        }
        (self.at, self.part, self.offset) = (to, 0, (to - self.start) as usize);
    }
}

/// The source that the loader reads from.
struct Source(Rc<RefCell<Arrived>>);

impl Read for Source {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut arrived = self.0.borrow_mut();
        let Arrived { parts, part, offset, at, is_whole, .. } = &mut *arrived;
        let Some(bytes) = parts.get(*part) else {
            return if *is_whole { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        };
        let n = buf.len().min(bytes.len() - *offset);
        buf[..n].copy_from_slice(&bytes[*offset..*offset + n]);
        *at += n as u64;
        *offset += n;
        if *offset == bytes.len() {
            (*part, *offset) = (*part + 1, 0);
        }
        Ok(n)
    }
}

/// How far a load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// There is more to be read.
    More,
    /// More has to come first.
    Waits,
    /// That was all.
    Done(Loaded),
}

/// See the module's header.
pub struct IncomingLoad {
    arrived: Rc<RefCell<Arrived>>,
    loader: Option<Loader<'static>>,
    settings: LoadSettings,
    /// It goes on when so much has come.
    needed: u64,
}

impl IncomingLoad {
    /// Nothing has come yet.
    pub fn new(settings: LoadSettings) -> IncomingLoad {
        IncomingLoad { arrived: Rc::default(), loader: None, settings, needed: HEADER_BYTES }
    }

    /// A part of it came.
    pub fn push(&mut self, bytes: Vec<u8>) {
        let mut arrived = self.arrived.borrow_mut();
        arrived.end += bytes.len() as u64;
        if !bytes.is_empty() {
            arrived.parts.push_back(bytes);
        }
    }

    /// All of it has come.
    pub fn finish(&mut self) {
        self.arrived.borrow_mut().is_whole = true;
    }

    /// Whether all of it has come.
    pub fn is_whole(&self) -> bool {
        self.arrived.borrow().is_whole
    }

    /// Bytes that came.
    pub fn received(&self) -> u64 {
        self.arrived.borrow().end
    }

    /// Bytes that came and are still held.
    pub fn held(&self) -> u64 {
        let arrived = self.arrived.borrow();
        arrived.end - arrived.start
    }

    /// Whether a step would get anywhere.
    pub fn can_go_on(&self) -> bool {
        let arrived = self.arrived.borrow();
        arrived.is_whole || arrived.end >= self.needed
    }

    /// How far it is.
    pub fn progress(&self) -> LoadProgress {
        self.loader.as_ref().map_or_else(LoadProgress::default, |loader| *loader.progress())
    }

    /// What is wrong with it if nothing more comes.
    pub fn cut_short(&self) -> RdbError {
        let (section, why) =
            (if self.loader.is_some() { Section::Opcode } else { Section::Header }, Why::UnexpectedEof);
        RdbError { offset: self.received(), section, key: None, why }
    }

    /// Reads on, as far as there is something.
    pub fn step(&mut self, sink: &mut dyn LoadSink) -> Result<Arrival, RdbError> {
        if !self.can_go_on() {
            return Ok(Arrival::Waits);
        }
        let loader = match &mut self.loader {
            Some(loader) => loader,
            none => none.insert(Loader::open(Source(Rc::clone(&self.arrived)), None, &self.settings)?),
        };
        match loader.step_while_there_is(sink)? {
            Some(Step::Done(loaded)) => Ok(Arrival::Done(loaded)),
            Some(Step::More) => Ok(Arrival::More),
            None => {
                let mut arrived = self.arrived.borrow_mut();
                arrived.release(loader.offset());
                let held = arrived.end - arrived.at;
                self.needed = arrived.end + held.max(1);
                Ok(Arrival::Waits)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::persist::{LoadEntry, Stored};
    use crate::rdb::{Access, RdbReader, RdbWriter, TypeOpcode, WriteOptions};
    use crate::util::rng::Rng;

    #[derive(Default)]
    struct Kept(Vec<(Vec<u8>, usize)>);

    impl LoadSink for Kept {
        fn entry(&mut self, entry: &LoadEntry<'_>, from: &mut RdbReader<'_>) -> Result<Stored, RdbError> {
            let value = from.read_bytes()?;
            assert!(value.iter().all(|&byte| byte == b'v'));
            self.0.push((entry.key.to_vec(), value.len()));
            Ok(Stored::Yes)
        }
    }

    fn file(sizes: &[usize]) -> Vec<u8> {
        let options = WriteOptions { compression: false, ..WriteOptions::default() };
        let mut out = RdbWriter::in_memory(options);
        out.write_header().unwrap();
        out.write_aux(b"redis-ver", b"8.2.0").unwrap();
        out.write_select_db(0).unwrap();
        for (n, size) in sizes.iter().enumerate() {
            out.write_key_header(TypeOpcode::String, format!("key:{n}").as_bytes(), None, Access::Unknown).unwrap();
            out.write_string(&vec![b'v'; *size]).unwrap();
        }
        out.write_end().unwrap();
        out.take_bytes()
    }

    #[test]
    fn however_it_arrives_it_is_the_same() {
        let mut rng = Rng::from_seed(11);
        for round in 0..60 {
            let sizes: Vec<usize> = (0..40)
                .map(|_| match rng.index(10) {
                    0 => 300_000 + rng.index(300_000),
                    1 => 60_000 + rng.index(10_000),
                    _ => rng.index(300),
                })
                .collect();
            let file = file(&sizes);
            let settings = LoadSettings { step_bytes: 1 + rng.index(200_000) as u64, ..LoadSettings::default() };
            let (mut load, mut kept, mut sent) = (IncomingLoad::new(settings), Kept::default(), 0);
            let largest = 1 + rng.index(if round % 2 == 0 { 3_000 } else { 400_000 });
            let loaded = loop {
                match load.step(&mut kept).unwrap() {
                    Arrival::Done(loaded) => break loaded,
                    Arrival::More => continue,
                    Arrival::Waits => {}
                }
                let n = (1 + rng.index(largest)).min(file.len() - sent);
                load.push(file[sent..sent + n].to_vec());
                sent += n;
                if sent == file.len() {
                    load.finish();
                }
                assert!(load.held() < 2_000_000, "what was read is let go");
            };
            assert_eq!(loaded.bytes, file.len() as u64);
            assert_eq!(loaded.checksum, crate::rdb::Checksum::Verified);
            let expected: Vec<_> =
                sizes.iter().enumerate().map(|(n, size)| (format!("key:{n}").into_bytes(), *size)).collect();
            assert_eq!(kept.0, expected);
        }
    }

    #[test]
    fn a_file_that_ends_too_soon_is_an_error() {
        let file = file(&[10, 100_000, 10]);
        for cut in [0, 5, 15, 30, 50_000, file.len() - 1] {
            let (mut load, mut kept) = (IncomingLoad::new(LoadSettings::default()), Kept::default());
            load.push(file[..cut].to_vec());
            assert!(matches!(load.step(&mut kept), Ok(Arrival::Waits)));
            load.finish();
            assert!(load.step(&mut kept).is_err(), "{cut}");
        }
        let (mut load, mut kept) = (IncomingLoad::new(LoadSettings::default()), Kept::default());
        let mut wrong = file.clone();
        *wrong.last_mut().unwrap() ^= 1;
        load.push(wrong);
        load.finish();
        assert!(load.step(&mut kept).unwrap_err().to_string().contains("checksum"));
    }
}
