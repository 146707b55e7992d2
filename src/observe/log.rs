//! The log: a fixed message, values under names, one line each.
//!
//! ```text
//! 4242:M 24 Nov 2026 01:26:45.123 * Ready to accept connections port=6379
//! {"ts":"2026-11-24T01:26:45.123Z","level":"notice","pid":4242,"role":"primary","msg":"Ready to ...","port":6379}
//! ```
//!
//! The first form is Redis's (process, role, local time, level, message), so that what reads Redis's logs reads
//! these; the second is for collectors, through `slog-json`. Messages are fixed texts and everything variable is a
//! value, so that a message can be searched for and counted.
//!
//! # Nothing is dropped
//!
//! A line is written by the thread that logs it, with one `write` to a file opened for appending. A queue and a
//! thread behind it would be gone with the process, at the one moment when the last lines matter. What is written
//! per second is a matter of the level; the server logs nothing per command above `debug`.
//!
//! # Time
//!
//! This room reads no time zone: where the process starts, it passes a function that makes a [`Stamp`].

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use slog::{Drain, OwnedKVList, Record, Serializer, o};

/// What can be logged as a value: numbers, texts, [`Shown`].
pub use slog::Value;

/// Values under the names they are logged with; the names are in [`super::keys`].
pub type Values<'a> = &'a [(&'static str, &'a dyn Value)];

/// How much a line matters. A logger writes what is at least at its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For those who work on the program.
    Debug,
    /// Rarely useful, and not as much as debug.
    Verbose,
    /// What an operator wants to know.
    Notice,
    /// What an operator must know.
    Warning,
    /// As a logger's level: write nothing. Lines do not have it.
    Nothing,
}

impl Level {
    /// All of them with the names that configuration uses.
    pub const NAMES: [(&'static str, Level); 5] = [
        ("debug", Level::Debug),
        ("verbose", Level::Verbose),
        ("notice", Level::Notice),
        ("warning", Level::Warning),
        ("nothing", Level::Nothing),
    ];

    /// The level called `name`, in any case.
    pub fn parse(name: &str) -> Option<Level> {
        Level::NAMES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|&(_, level)| level)
    }

    /// Its name in configuration.
    pub fn name(self) -> &'static str {
        Level::NAMES[self as usize].0
    }

    fn mark(self) -> char {
        ['.', '-', '*', '#', '#'][self as usize]
    }

    fn from_slog(level: slog::Level) -> Level {
        match level {
            slog::Level::Critical | slog::Level::Error | slog::Level::Warning => Level::Warning,
            slog::Level::Info => Level::Notice,
            slog::Level::Debug => Level::Verbose,
            slog::Level::Trace => Level::Debug,
        }
    }
}

/// On whose behalf a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// An instance that takes writes.
    Primary,
    /// An instance that follows a primary.
    Replica,
    /// A sentinel.
    Sentinel,
    /// A thread that saves or rewrites; where Redis would have a child process.
    Worker,
}

impl Role {
    const ALL: [(Role, char, &'static str); 4] = [
        (Role::Primary, 'M', "primary"),
        (Role::Replica, 'S', "replica"),
        (Role::Sentinel, 'X', "sentinel"),
        (Role::Worker, 'C', "worker"),
    ];
}

/// The two shapes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Redis's.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// The end of a file, which is created when it is missing.
    File(PathBuf),
}

/// A moment, and where local time stands to it.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// Milliseconds since 1970.
    pub wall_ms: i64,
    /// Seconds that local time is ahead of UTC.
    pub utc_offset_seconds: i32,
}

impl Stamp {
    /// The present in UTC, for programs that care for no time zone.
    pub fn utc_now() -> Stamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Stamp { wall_ms: since.as_millis() as i64, utc_offset_seconds: 0 }
    }
}

/// How a log starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// The least level that is written.
    pub level: Level,
    /// The shape of lines.
    pub format: Format,
    /// Where lines go.
    pub output: Output,
    /// The role at first.
    pub role: Role,
    /// Reads the time.
    pub stamp: fn() -> Stamp,
    /// Opens a file to write at its end, when the log starts and when it is opened again: must not wait for anybody.
    pub open: fn(&Path) -> io::Result<File>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            level: Level::Notice,
            format: Format::Text,
            output: Output::Stdout,
            role: Role::Primary,
            stamp: Stamp::utc_now,
            open: open_append,
        }
    }
}

/// A handle on the log. Cheap to clone, usable from every thread; all clones share level, role and output.
#[derive(Clone)]
pub struct Logger {
    slog: slog::Logger,
    root: Arc<Root>,
}

impl Logger {
    /// Opens the log.
    pub fn new(options: Options) -> io::Result<Logger> {
        let sink = Sink::open(options.output, options.open)?;
        let root = Arc::new(Root {
            level: AtomicU8::new(options.level as u8),
            role: AtomicU8::new(options.role as u8),
            format: AtomicU8::new(options.format as u8),
            pid: std::process::id(),
            stamp: options.stamp,
            open: options.open,
            descriptor: AtomicI32::new(sink.descriptor()),
            sink: Mutex::new(sink),
        });
        Ok(Logger { slog: slog::Logger::root(Writer { root: root.clone(), worker: false }, o!()), root })
    }

    /// A log that writes nothing, for tests and tools.
    pub fn silent() -> Logger {
        Logger::new(Options { level: Level::Nothing, ..Options::default() }).expect("standard output opens nothing")
    }

    /// For threads that save or rewrite: lines say [`Role::Worker`].
    pub fn for_worker(&self) -> Logger {
        let writer = Writer { root: self.root.clone(), worker: true };
        Logger { slog: slog::Logger::root(writer, o!()), root: self.root.clone() }
    }

    /// A logger that adds a value to each of its lines: which link, which peer.
    pub fn with(&self, key: &'static str, value: String) -> Logger {
        Logger { slog: self.slog.new(o!(key => value)), root: self.root.clone() }
    }

    /// Whether a line of this level would be written: for values that are expensive to make.
    #[inline]
    pub fn enabled(&self, level: Level) -> bool {
        level as u8 >= self.root.level.load(Relaxed)
    }

    /// Logs for those who work on the program.
    #[inline]
    pub fn debug(&self, message: &'static str, values: Values<'_>) {
        self.log(Level::Debug, message, values);
    }

    /// Logs what is rarely useful.
    #[inline]
    pub fn verbose(&self, message: &'static str, values: Values<'_>) {
        self.log(Level::Verbose, message, values);
    }

    /// Logs what an operator wants to know.
    #[inline]
    pub fn notice(&self, message: &'static str, values: Values<'_>) {
        self.log(Level::Notice, message, values);
    }

    /// Logs what an operator must know.
    #[inline]
    pub fn warning(&self, message: &'static str, values: Values<'_>) {
        self.log(Level::Warning, message, values);
    }

    /// Logs at a level that is known only now.
    #[inline]
    pub fn log(&self, level: Level, message: &str, values: Values<'_>) {
        if self.enabled(level) {
            self.record(level, message, values);
        }
    }

    fn record(&self, level: Level, message: &str, values: Values<'_>) {
        let values = Borrowed(values);
        let pairs = slog::BorrowedKV(&values);
        let text = format_args!("{message}");
        // A record's level is part of its static half, hence one record for each.
        match level {
            Level::Debug => self.slog.log(&slog::record!(slog::Level::Trace, "", &text, pairs)),
            Level::Verbose => self.slog.log(&slog::record!(slog::Level::Debug, "", &text, pairs)),
            Level::Notice => self.slog.log(&slog::record!(slog::Level::Info, "", &text, pairs)),
            Level::Warning => self.slog.log(&slog::record!(slog::Level::Warning, "", &text, pairs)),
            Level::Nothing => {}
        }
    }

    /// Writes text as it is, whatever the level and the format: crash reports.
    pub fn raw(&self, text: &str) {
        // The panic may have come from a thread that holds the output: better a report elsewhere than none.
        match self.root.sink.try_lock() {
            Ok(mut sink) => sink.write(text.as_bytes()),
            Err(_) => eprint!("{text}"),
        }
    }

    /// Where lines go, for who must not wait for the others that write there: crash reports.
    pub fn descriptor(&self) -> i32 {
        self.root.descriptor.load(Relaxed)
    }

    /// The least level that is written.
    pub fn level(&self) -> Level {
        let level = self.root.level.load(Relaxed);
        Level::NAMES[usize::from(level)].1
    }

    /// Changes the level of all clones (`CONFIG SET loglevel`).
    pub fn set_level(&self, level: Level) {
        self.root.level.store(level as u8, Relaxed);
    }

    /// Changes the form of the lines of all clones (`CONFIG SET log-format`).
    pub fn set_format(&self, format: Format) {
        self.root.format.store(format as u8, Relaxed);
    }

    /// Changes the role that lines of all clones show.
    pub fn set_role(&self, role: Role) {
        self.root.role.store(role as u8, Relaxed);
    }

    /// Sends the lines of all clones elsewhere. On an error everything stays as it was.
    pub fn set_output(&self, output: Output) -> io::Result<()> {
        self.root.replace(&mut self.root.sink(), Sink::open(output, self.root.open)?);
        Ok(())
    }

    /// Opens the file again: after it was renamed by whoever rotates logs.
    pub fn reopen(&self) -> io::Result<()> {
        let mut sink = self.root.sink();
        let Sink::File { path, .. } = &*sink else { return Ok(()) };
        let new = Sink::open(Output::File(path.clone()), self.root.open)?;
        self.root.replace(&mut sink, new);
        Ok(())
    }
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logger").field("level", &self.level()).finish_non_exhaustive()
    }
}

/// A value that is logged as it displays: errors, addresses.
pub struct Shown<T>(pub T);

impl<T: fmt::Display> Value for Shown<T> {
    fn serialize(&self, _: &Record<'_>, key: slog::Key, out: &mut dyn Serializer) -> slog::Result {
        out.emit_arguments(key, &format_args!("{}", self.0))
    }
}

/// The pairs of one call, as slog wants them.
struct Borrowed<'a>(Values<'a>);

impl slog::KV for Borrowed<'_> {
    fn serialize(&self, record: &Record<'_>, out: &mut dyn Serializer) -> slog::Result {
        self.0.iter().try_for_each(|(key, value)| value.serialize(record, key, out))
    }
}

/// What all clones share.
struct Root {
    level: AtomicU8,
    role: AtomicU8,
    format: AtomicU8,
    pid: u32,
    stamp: fn() -> Stamp,
    open: fn(&Path) -> io::Result<File>,
    sink: Mutex<Sink>,
    /// That of `sink`.
    descriptor: AtomicI32,
}

impl Root {
    fn replace(&self, sink: &mut Sink, new: Sink) {
        self.descriptor.store(new.descriptor(), Relaxed);
        *sink = new;
    }

    fn sink(&self) -> MutexGuard<'_, Sink> {
        // A panic while a line was written leaves at worst half a line.
        self.sink.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

enum Sink {
    Stdout,
    File { path: PathBuf, file: File },
}

impl Sink {
    fn open(output: Output, open: fn(&Path) -> io::Result<File>) -> io::Result<Sink> {
        match output {
            Output::Stdout => Ok(Sink::Stdout),
            Output::File(path) => Ok(Sink::File { file: open(&path)?, path }),
        }
    }

    fn descriptor(&self) -> i32 {
        match self {
            Sink::Stdout => io::stdout().as_raw_fd(),
            Sink::File { file, .. } => file.as_raw_fd(),
        }
    }

    /// A failure has nowhere to be told: a full disk must not stop the server.
    fn write(&mut self, bytes: &[u8]) {
        let _ = match self {
            Sink::Stdout => io::stdout().lock().write_all(bytes).and_then(|()| io::stdout().flush()),
            Sink::File { file, .. } => file.write_all(bytes),
        };
    }
}

fn open_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// slog's end of the log: makes a line of a record and writes it.
struct Writer {
    root: Arc<Root>,
    worker: bool,
}

impl Drain for Writer {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), slog::Never> {
        let role = if self.worker { Role::Worker as u8 } else { self.root.role.load(Relaxed) };
        let (_, mark, name) = Role::ALL[usize::from(role)];
        let stamp = (self.root.stamp)();
        let line = match self.root.format.load(Relaxed) == Format::Json as u8 {
            false => text_line(self.root.pid, mark, stamp, record, values).into_bytes(),
            true => json_line(self.root.pid, name, stamp, record, values),
        };
        self.root.sink().write(&line);
        Ok(())
    }
}

fn text_line(pid: u32, role: char, stamp: Stamp, record: &Record<'_>, values: &OwnedKVList) -> String {
    use slog::KV as _;
    let date = Date::of(stamp.wall_ms + i64::from(stamp.utc_offset_seconds) * 1000);
    let mark = Level::from_slog(record.level()).mark();
    let mut line = format!("{pid}:{role} {date} {mark} {}", record.msg());
    // The writer below does not fail, and a value that fails to show itself is left out.
    let _ = record.kv().serialize(record, &mut Pairs(&mut line));
    let _ = values.serialize(record, &mut Pairs(&mut line));
    line.push('\n');
    line
}

/// Appends ` key=value`, quoted when it would otherwise not be one word.
struct Pairs<'a>(&'a mut String);

impl Serializer for Pairs<'_> {
    fn emit_arguments(&mut self, key: slog::Key, value: &fmt::Arguments<'_>) -> slog::Result {
        let value = value.to_string();
        let word = !value.is_empty() && value.chars().all(|c| !c.is_control() && !matches!(c, ' ' | '"' | '=' | '\\'));
        if word {
            write!(self.0, " {key}={value}")?;
        } else {
            write!(self.0, " {key}=\"{}\"", value.escape_debug())?;
        }
        Ok(())
    }
}

fn json_line(pid: u32, role: &'static str, stamp: Stamp, record: &Record<'_>, values: &OwnedKVList) -> Vec<u8> {
    let mut line = Vec::with_capacity(256);
    let level = Level::from_slog(record.level()).name();
    let message = slog::PushFnValue(|record: &Record<'_>, out: slog::PushFnValueSerializer<'_>| out.emit(record.msg()));
    let json = slog_json::Json::new(&mut line)
        .add_key_value(o!("ts" => Date::of(stamp.wall_ms).rfc3339()))
        .add_key_value(o!("level" => level))
        .add_key_value(o!("pid" => pid))
        .add_key_value(o!("role" => role))
        .add_key_value(o!("msg" => message))
        .build();
    // Writing to a Vec does not fail.
    let _ = json.log(record, values);
    drop(json);
    line
}

/// A moment in the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Date {
    year: i64,
    month: u32,
    day: u32,
    ms_of_day: u32,
}

impl Date {
    /// From milliseconds since 1970, after Howard Hinnant's "chrono-compatible low-level date algorithms": a year
    /// that begins in March has its leap day at the end, and months of a regular pattern.
    fn of(wall_ms: i64) -> Date {
        const DAY_MS: i64 = 86_400_000;
        const ERA_DAYS: i64 = 146_097; // 400 years
        let days = wall_ms.div_euclid(DAY_MS) + 719_468; // since 1 March of the year 0
        let (era, of_era) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        Date {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: month as u32,
            day: (of_year - (153 * march_month + 2) / 5 + 1) as u32,
            ms_of_day: wall_ms.rem_euclid(DAY_MS) as u32,
        }
    }

    fn clock(&self) -> (u32, u32, u32, u32) {
        let ms = self.ms_of_day;
        (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
    }

    fn rfc3339(&self) -> String {
        let (h, m, s, ms) = self.clock();
        format!("{:04}-{:02}-{:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z", self.year, self.month, self.day)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let (h, m, s, ms) = self.clock();
        let month = MONTHS[self.month as usize - 1];
        write!(f, "{:02} {month} {} {h:02}:{m:02}:{s:02}.{ms:03}", self.day, self.year)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed() -> Stamp {
        Stamp { wall_ms: 1_795_483_605_123, utc_offset_seconds: 3600 }
    }

    fn log_to(name: &str, format: Format, level: Level) -> (Logger, PathBuf) {
        let path = std::env::temp_dir().join(format!("kvstash-log-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let output = Output::File(path.clone());
        (Logger::new(Options { level, format, output, stamp: fixed, ..Options::default() }).unwrap(), path)
    }

    fn take(path: &Path) -> String {
        let text = std::fs::read_to_string(path).unwrap();
        std::fs::remove_file(path).unwrap();
        text.replace(&std::process::id().to_string(), "PID")
    }

    #[test]
    fn text_lines() {
        let (log, path) = log_to("text", Format::Text, Level::Debug);
        log.notice("Ready", &[("port", &6379), ("path", &"/a b"), ("empty", &"")]);
        log.set_role(Role::Replica);
        log.debug("d", &[]);
        log.for_worker().verbose("v", &[("error", &Shown(io::Error::other("line\nbreak")))]);
        log.with("link", "x".to_owned()).warning("w", &[("n", &-1i64)]);
        assert_eq!(
            take(&path),
            "PID:M 24 Nov 2026 02:26:45.123 * Ready port=6379 path=\"/a b\" empty=\"\"\n\
             PID:S 24 Nov 2026 02:26:45.123 . d\n\
             PID:C 24 Nov 2026 02:26:45.123 - v error=\"line\\nbreak\"\n\
             PID:S 24 Nov 2026 02:26:45.123 # w n=-1 link=x\n"
        );
    }

    #[test]
    fn json_lines() {
        let (log, path) = log_to("json", Format::Json, Level::Notice);
        log.verbose("no", &[]);
        log.notice("Ready \"x\"", &[("port", &6379), ("ok", &true)]);
        assert_eq!(
            take(&path),
            "{\"ts\":\"2026-11-24T01:26:45.123Z\",\"level\":\"notice\",\"pid\":PID,\"role\":\"primary\",\
             \"msg\":\"Ready \\\"x\\\"\",\"port\":6379,\"ok\":true}\n"
        );
    }

    #[test]
    fn level_changes_for_all_clones() {
        let (log, path) = log_to("level", Format::Text, Level::Warning);
        let clone = log.with("a", "b".to_owned());
        clone.notice("hidden", &[]);
        log.set_level(Level::parse("NOTICE").unwrap());
        clone.notice("seen", &[]);
        log.set_level(Level::Nothing);
        clone.warning("hidden", &[]);
        log.raw("raw\n");
        let text = take(&path);
        assert!(text.contains("seen") && !text.contains("hidden") && text.ends_with("raw\n"), "{text}");
        assert_eq!(log.level(), Level::Nothing);
        assert!(Level::parse("loud").is_none());
        for (name, level) in Level::NAMES {
            assert_eq!(level.name(), name);
        }
    }

    #[test]
    fn a_rotated_file_is_opened_again() {
        let (log, path) = log_to("rotate", Format::Text, Level::Notice);
        log.notice("one", &[]);
        let old = path.with_extension("1");
        std::fs::rename(&path, &old).unwrap();
        log.notice("two", &[]);
        log.reopen().unwrap();
        log.notice("three", &[]);
        assert!(take(&old).contains("two"));
        assert!(take(&path).contains("three"));
        assert!(log.set_output(Output::File("/nonexistent/dir/log".into())).is_err());
        log.set_output(Output::Stdout).unwrap();
        log.reopen().unwrap();
    }

    #[test]
    fn dates() {
        for (ms, text) in [
            (0, "01 Jan 1970 00:00:00.000"),
            (951_782_399_999, "28 Feb 2000 23:59:59.999"),
            (951_782_400_000, "29 Feb 2000 00:00:00.000"),
            (4_107_542_400_000, "01 Mar 2100 00:00:00.000"),
            (-1, "31 Dec 1969 23:59:59.999"),
        ] {
            assert_eq!(Date::of(ms).to_string(), text);
        }
        assert!(Stamp::utc_now().wall_ms > 1_700_000_000_000);
    }
}
