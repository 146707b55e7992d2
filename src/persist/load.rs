//! Reading a file into the keyspace, when the server starts or DEBUG RELOAD asks for it.
//!
//! The loader owns the order of things and the rules that concern the file as a whole: which keys are left out,
//! that no key comes twice, that the checksum is right, that nothing is left over. A [`LoadSink`] gets the keys, each
//! with a reader placed at its value. A [`Loader`] goes a step at a time, so that the loop can answer clients in between.
//!
//! A fault ends the load with an error that says where the file is damaged. What was stored until then is the
//! caller's to throw away: a server that starts stops instead, and does not touch the file.

use super::status::{LoadCounts, LoadProgress};
use crate::rdb::{
    Access, Checksum, Event, FileReader, ModuleId, Printable, RdbError, RdbReader, ReadOptions, TypeOpcode, Why,
};
use crate::sys::disk::Disk;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// How a file is read.
#[derive(Clone, Copy, Debug)]
pub struct LoadSettings {
    /// Number of databases; a key in a higher one is an error.
    pub databases: u32,
    /// Keys whose expiry lies before this unix time are left out. `None` keeps them (replicas, AOF preambles).
    pub expired_before_ms: Option<i64>,
    /// `rdbchecksum`.
    pub checksum: bool,
    /// What a step reads (`loading-process-events-interval-bytes`).
    pub step_bytes: u64,
    /// The longest string accepted, if that is more than 512 MB: `proto-max-bulk-len`, which may have been higher
    /// when the file was written than it is now.
    pub string_bytes_max: u64,
}

impl Default for LoadSettings {
    fn default() -> Self {
        LoadSettings {
            databases: 16,
            expired_before_ms: None,
            checksum: true,
            step_bytes: 2 << 20,
            string_bytes_max: 512 << 20,
        }
    }
}

/// A key to be stored. Its value is read from the reader that comes with it.
#[derive(Clone, Copy, Debug)]
pub struct LoadEntry<'a> {
    /// The number of its database.
    pub db: u32,
    /// Its name.
    pub key: &'a [u8],
    /// How its value is laid out.
    pub kind: TypeOpcode,
    /// Unix time in milliseconds.
    pub expire_at_ms: Option<i64>,
    /// When or how often it was used.
    pub access: Access,
}

/// What a sink did with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is there now.
    Yes,
    /// It was there before: the file is damaged.
    Duplicate,
}

/// So many keys without elements are named in the log.
const EMPTY_NAMED_MAX: u64 = 10;

/// Something worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadNote {
    /// The file says which version wrote it.
    ProducedBy(String),
    /// How old the file is, as its `ctime` field has it.
    CreatedAt {
        /// Unix seconds.
        seconds: i64,
    },
    /// How much memory the data took where the file was written.
    UsedMemory {
        /// Bytes.
        bytes: u64,
    },
    /// An AUX field that nobody here knows.
    UnknownAux {
        /// Its name.
        name: String,
    },
    /// A function library was left out.
    FunctionSkipped {
        /// Its first line, which has its engine and name.
        library: String,
    },
    /// Data of a module was left out.
    ModuleAuxSkipped {
        /// The module's type.
        module: ModuleId,
    },
    /// A key was left out, for its value has no elements.
    EmptyKeySkipped {
        /// Its name.
        key: String,
    },
    /// The file has no checksum.
    NoChecksum(Checksum),
    /// Bytes follow the end of the file.
    Surplus {
        /// How many.
        bytes: u64,
    },
}

impl fmt::Display for LoadNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadNote::ProducedBy(version) => write!(f, "Loading RDB produced by version {version}"),
            LoadNote::CreatedAt { seconds } => write!(f, "RDB was created at unix time {seconds}"),
            LoadNote::UsedMemory { bytes } => {
                write!(f, "RDB memory usage when created {:.2} Mb", *bytes as f64 / (1 << 20) as f64)
            }
            LoadNote::UnknownAux { name } => write!(f, "Unrecognized RDB AUX field: '{name}'"),
            LoadNote::FunctionSkipped { library } => {
                write!(f, "Function library in RDB skipped, functions are not supported: {library}")
            }
            LoadNote::ModuleAuxSkipped { module } => {
                write!(f, "Module data in RDB skipped, modules are not supported: '{module}'")
            }
            LoadNote::EmptyKeySkipped { key } => write!(f, "rdbLoadObject skipping empty key: {key}"),
            LoadNote::NoChecksum(Checksum::Ignored) => f.write_str("RDB checksum not looked at, rdbchecksum is off"),
            LoadNote::NoChecksum(_) => f.write_str("RDB file was saved with checksum disabled: no check performed."),
            LoadNote::Surplus { bytes } => write!(f, "{bytes} bytes after the end of the RDB file were ignored"),
        }
    }
}

/// Where the keys of a file go.
pub trait LoadSink {
    /// Reads the value of a key, all of it, and stores both.
    fn entry(&mut self, entry: &LoadEntry<'_>, from: &mut RdbReader<'_>) -> Result<Stored, RdbError>;

    /// A key of this name will come soon, if all is well.
    fn soon(&mut self, _db: u32, _key: &[u8]) {}

    /// Size hints for a database, from the file: not to be trusted.
    fn resize(&mut self, _db: u32, _keys: u64, _expiring: u64) {}

    /// A key was left out, because its time is over.
    fn expired(&mut self, _db: u32, _key: &[u8]) {}

    /// An AUX field with meaning for somebody else (`repl-id`, `aof-base`, ...). False: nobody knows it.
    fn aux(&mut self, _name: &[u8], _value: &[u8]) -> bool {
        false
    }

    /// The source text of a function library. False: functions cannot be used, and it is skipped with a note.
    fn function(&mut self, _source: &[u8]) -> Result<bool, String> {
        Ok(false)
    }

    /// A line for the log.
    fn note(&mut self, _note: LoadNote) {}
}

/// A file was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The version of its format.
    pub version: u32,
    /// What it says about its integrity.
    pub checksum: Checksum,
    /// Its keys.
    pub counts: LoadCounts,
    /// Its size.
    pub bytes: u64,
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LoadCounts { loaded, expired, empty } = self.counts;
        write!(f, "Done loading RDB, keys loaded: {loaded}, keys expired: {expired}, empty keys skipped: {empty}.")
    }
}

/// A file was not loaded, or only in part.
#[derive(Debug)]
pub enum LoadError {
    /// The file system refused.
    Disk {
        /// The file.
        path: PathBuf,
        /// How it failed.
        fault: io::Error,
    },
    /// The file is damaged, or holds what this server cannot.
    File {
        /// The file.
        path: PathBuf,
        /// Where and why.
        fault: RdbError,
    },
}

impl LoadError {
    /// A file that cannot be used.
    pub fn file(path: &Path, fault: RdbError) -> LoadError {
        LoadError::File { path: path.to_owned(), fault }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Disk { path, fault } => {
                write!(f, "Fatal error loading the DB, cannot read {}: {fault}", path.display())
            }
            LoadError::File { path, fault } => {
                write!(f, "Fatal error loading the DB, {}: {fault}", path.display())
            }
        }
    }
}

impl std::error::Error for LoadError {}

/// Loads from any source that holds nothing but one file, all of it before anything else happens.
pub fn load_stream(
    source: impl Read,
    total: Option<u64>,
    settings: &LoadSettings,
    sink: &mut dyn LoadSink,
) -> Result<Loaded, RdbError> {
    let mut loader = Loader::open(source, total, settings)?;
    loop {
        if let Step::Done(loaded) = loader.step(sink)? {
            return Ok(loaded);
        }
    }
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more to read.
    More,
    /// That was all.
    Done(Loaded),
}

/// A load, a step at a time: whoever drives it decides what happens between the steps.
pub struct Loader<'r> {
    file: FileReader<'r>,
    settings: LoadSettings,
    progress: LoadProgress,
    db: u32,
}

impl Loader<'static> {
    /// Opens a file; `Ok(None)` when there is none.
    pub fn open_file(disk: &dyn Disk, path: &Path, settings: &LoadSettings) -> Result<Option<Self>, LoadError> {
        let failed = |fault| LoadError::Disk { path: path.to_owned(), fault };
        let file = match disk.open(path) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let total = file.len().map_err(failed)?;
        Loader::open(file, Some(total), settings).map(Some).map_err(|fault| LoadError::file(path, fault))
    }
}

impl<'r> Loader<'r> {
    /// Reads the header of a file of `total` bytes, where that is known.
    pub fn open(source: impl Read + 'r, total: Option<u64>, settings: &LoadSettings) -> Result<Loader<'r>, RdbError> {
        let options = ReadOptions {
            input_bytes: total,
            string_bytes_max: settings.string_bytes_max.max(ReadOptions::default().string_bytes_max),
            checksum: settings.checksum,
        };
        let file = FileReader::open(RdbReader::new(source, options))?;
        let progress = LoadProgress { total_bytes: total.unwrap_or(0), ..LoadProgress::default() };
        Ok(Loader { file, settings: *settings, progress, db: 0 })
    }

    /// Whether there is any key, or function, in the file; a damaged one counts as one that has.
    pub fn has_keys(&mut self) -> bool {
        loop {
            match self.file.next_event() {
                Ok(Event::Key(_) | Event::Function(_)) | Err(_) => return true,
                Ok(Event::Eof(_)) => return false,
                Ok(_) => {}
            }
        }
    }

    /// How far it is.
    pub fn progress(&self) -> &LoadProgress {
        &self.progress
    }

    /// Reads on for [`LoadSettings::step_bytes`], to the end of the key that they end in.
    pub fn step(&mut self, sink: &mut dyn LoadSink) -> Result<Step, RdbError> {
        let until = self.file.offset().saturating_add(self.settings.step_bytes.max(1));
        while self.file.offset() < until {
            if let Some(loaded) = self.event(sink)? {
                return Ok(Step::Done(loaded));
            }
        }
        self.progress.bytes = self.file.offset();
        Ok(Step::More)
    }

    /// As [`Loader::step`], from a source that may have no more just now ([`io::ErrorKind::WouldBlock`]): then the record
    /// that is cut is read again from its beginning, [`Loader::offset`], and `None` returned.
    pub fn step_while_there_is(&mut self, sink: &mut dyn LoadSink) -> Result<Option<Step>, RdbError> {
        let until = self.file.offset().saturating_add(self.settings.step_bytes.max(1));
        while self.file.offset() < until {
            self.file.set_mark();
            match self.event(sink) {
                Ok(None) => {}
                Ok(Some(loaded)) => return Ok(Some(Step::Done(loaded))),
                Err(RdbError { why: Why::Io(io::ErrorKind::WouldBlock, _), .. }) => {
                    self.file.rewind();
                    self.progress.bytes = self.file.offset();
                    return Ok(None);
                }
                Err(fault) => return Err(fault),
            }
        }
        self.progress.bytes = self.file.offset();
        Ok(Some(Step::More))
    }

    /// What lies before was read, and will not be read again.
    pub fn offset(&self) -> u64 {
        self.file.offset()
    }

    /// One record of the file; what was loaded, if it was the last.
    fn event(&mut self, sink: &mut dyn LoadSink) -> Result<Option<Loaded>, RdbError> {
        let Loader { file, settings, progress, db } = self;
        file.look_ahead(&mut |key| sink.soon(*db, key));
        match file.next_event()? {
            Event::Key(info) => {
                if info.expire_at_ms.zip(settings.expired_before_ms).is_some_and(|(at, now)| at < now) {
                    file.skip_value(info.kind)?;
                    sink.expired(*db, file.key());
                    progress.counts.expired += 1;
                    return Ok(None);
                }
                let (key, body) = file.key_and_body();
                let entry =
                    LoadEntry { db: *db, key, kind: info.kind, expire_at_ms: info.expire_at_ms, access: info.access };
                match sink.entry(&entry, body) {
                    Ok(Stored::Yes) => progress.counts.loaded += 1,
                    Ok(Stored::Duplicate) => return Err(file.error(Why::DuplicateKey)),
                    Err(fault) if fault.why == Why::EmptyValue => {
                        progress.counts.empty += 1;
                        if progress.counts.empty <= EMPTY_NAMED_MAX {
                            sink.note(LoadNote::EmptyKeySkipped { key: Printable(key).to_string() });
                        }
                    }
                    Err(fault) => return Err(fault.in_key(key)),
                }
            }
            Event::SelectDb(index) => {
                let known = u32::try_from(index).ok().filter(|&index| index < settings.databases);
                *db = known.ok_or_else(|| {
                    file.error(Why::Refused(format!(
                        "Data file was created with a Redis server configured to handle more than {} databases.",
                        settings.databases
                    )))
                })?;
            }
            Event::ResizeDb { keys, expiring } => sink.resize(*db, keys, expiring),
            Event::SlotInfo { .. } => {}
            Event::Aux { key, value } => aux(&key, &value, progress, sink),
            Event::Function(source) => {
                if !sink.function(&source).map_err(|why| file.error(Why::Refused(why)))? {
                    let first_line = source.split(|&byte| byte == b'\n').next().unwrap_or_default();
                    sink.note(LoadNote::FunctionSkipped { library: Printable(first_line).to_string() });
                }
            }
            Event::ModuleAux { module } => sink.note(LoadNote::ModuleAuxSkipped { module }),
            Event::Eof(checksum) => {
                let bytes = file.offset();
                let surplus = file.check_end(checksum)?;
                if surplus > 0 {
                    sink.note(LoadNote::Surplus { bytes: surplus });
                }
                if checksum != Checksum::Verified {
                    sink.note(LoadNote::NoChecksum(checksum));
                }
                return Ok(Some(Loaded { version: file.version(), checksum, counts: progress.counts, bytes }));
            }
        }
        Ok(None)
    }
}

fn aux(name: &[u8], value: &[u8], progress: &mut LoadProgress, sink: &mut dyn LoadSink) {
    let text = || Printable(value).to_string();
    let number = || std::str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    match name {
        // By convention the names that begin with a percent sign are for people who read the file.
        [b'%', ..] | b"redis-bits" => {}
        b"redis-ver" | b"valkey-ver" => sink.note(LoadNote::ProducedBy(text())),
        b"ctime" => sink.note(LoadNote::CreatedAt { seconds: number() as i64 }),
        b"used-mem" => {
            progress.used_memory = number();
            sink.note(LoadNote::UsedMemory { bytes: progress.used_memory });
        }
        _ => {
            let known = sink.aux(name, value)
                || matches!(
                    name,
                    b"repl-stream-db" | b"repl-id" | b"repl-offset" | b"lua" | b"aof-base" | b"aof-preamble"
                );
            if !known {
                sink.note(LoadNote::UnknownAux { name: Printable(name).to_string() });
            }
        }
    }
}
