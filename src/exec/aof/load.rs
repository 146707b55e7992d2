//! The append-only file is loaded: its base, then its increments, a step at a time, with others served in between.
//!
//! A thread of its own reads ahead: it finds the commands and checks the groups (`persist/aof/scan`). Here they are
//! executed, for a session without a connection, past all gates: what was once accepted is not refused now because of
//! memory or a disk. No time passes: keys whose deadline is over go when all is loaded, as the file itself says.
//!
//! What is wrong with a file decides what happens, as `docs/aof.md` says: a tail that was cut off or that holds nothing
//! is no reason not to start; damage anywhere else is.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use crate::client::Session;
use crate::db::FlushMode;
use crate::exec::call::{self, Request};
use crate::exec::ctx::Host;
use crate::exec::instance::{Alert, Instance};
use crate::exec::load::FileSink;
use crate::exec::spec::Flags;
use crate::exec::table::{Command, Lookup};
use crate::observe::keys;
use crate::observe::log::{Level, Shown};
use crate::persist::aof::{Batch, Ending, FaultKind, Kind, Scanner, Step as ScanStep, Tail, cut_off, read_manifest};
use crate::persist::{LoadError, Loader, Step};
use crate::rdb::RdbError;
use crate::sys::disk::{Disk, DiskFile};
use crate::types::value::Vetting;

/// Batches that are read ahead.
const AHEAD: usize = 8;

/// Commands whose keys are looked up ahead.
const PREFETCH: usize = 16;

/// Commands of a step.
const STEP_COMMANDS: usize = 1024;

/// A step waits for the thread that reads for so long.
const PATIENCE: Duration = Duration::from_millis(2);

/// So many failed commands are named in the log.
const NAMED_MAX: u64 = 10;

/// Why the log was not loaded. Each line goes to the log.
#[derive(Debug)]
pub struct AofLoadError {
    lines: Vec<String>,
}

impl AofLoadError {
    fn new(line: String) -> AofLoadError {
        AofLoadError { lines: vec![line] }
    }

    /// What is to be said.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

impl fmt::Display for AofLoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("; "))
    }
}

impl std::error::Error for AofLoadError {}

/// A file to be loaded.
struct File {
    path: PathBuf,
    name: String,
    bytes: u64,
    /// An increment that is continued.
    is_increment: bool,
    /// Nothing follows it.
    is_last: bool,
}

/// What the thread that reads sends.
enum Message {
    Batch(Batch),
    End(Ending),
    Failed(io::Error),
}

/// The file at hand.
enum Current {
    Rdb(Box<Loader<'static>>),
    Commands { messages: Receiver<Message>, batch: Option<Batch>, next: usize },
}

/// What was loaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct AofLoaded {
    /// Where the last increment ends, if there is one.
    pub tail: Tail,
    /// Commands that were executed.
    pub commands: u64,
    /// Of those, how many failed.
    pub failed: u64,
}

/// A load, a step at a time.
pub struct AofLoad {
    disk: Arc<dyn Disk>,
    files: VecDeque<File>,
    current: Option<(File, Current)>,
    session: Session,
    /// Keys so far, for `key-load-delay`.
    keys: u64,
    /// Of the files before the one at hand.
    done_bytes: u64,
    began_ns: u64,
    file_began_ns: u64,
    loaded: AofLoaded,
}

impl AofLoad {
    /// Begins to load these files, in order: their paths, and whether each is an increment. One that is missing is an
    /// error. None if there is nothing in them.
    pub fn open(
        disk: Arc<dyn Disk>,
        files: impl Iterator<Item = (PathBuf, bool)>,
        now_ns: u64,
    ) -> Result<Option<AofLoad>, AofLoadError> {
        let mut found = VecDeque::new();
        for (path, is_increment) in files {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let bytes = disk.open(&path).and_then(|file| file.len()).map_err(|error| {
                AofLoadError::new(format!("Unable to obtain the AOF file {name} length. stat: {error}"))
            })?;
            found.push_back(File { path, name, bytes, is_increment, is_last: false });
        }
        // Behind an empty file nothing can be missing: it may have been begun just when the server was killed.
        let last = found.iter().rposition(|file| file.bytes > 0);
        for (at, file) in found.iter_mut().enumerate() {
            file.is_last = last.is_none_or(|last| at >= last);
        }
        let load = AofLoad {
            disk,
            files: found,
            current: None,
            session: Session::new(0, None, true),
            keys: 0,
            done_bytes: 0,
            began_ns: now_ns,
            file_began_ns: now_ns,
            loaded: AofLoaded::default(),
        };
        Ok(last.map(|_| load))
    }

    /// Bytes of all files.
    pub fn total_bytes(&self) -> u64 {
        let current = self.current.as_ref().map_or(0, |(file, _)| file.bytes);
        self.done_bytes + current + self.files.iter().map(|file| file.bytes).sum::<u64>()
    }

    /// Goes on for a moment. What was loaded, if that was all.
    pub fn step(&mut self, inst: &mut Instance, host: &mut dyn Host) -> Result<Option<AofLoaded>, AofLoadError> {
        let Some((file, mut current)) = self.current.take() else {
            let Some(file) = self.files.pop_front() else {
                let seconds = host.now_ns().saturating_sub(self.began_ns) as f64 / 1e9;
                inst.log.log(Level::Notice, &format!("DB loaded from append only file: {seconds:.3} seconds"), &[]);
                return Ok(Some(self.loaded));
            };
            self.file_began_ns = host.now_ns();
            let current = self.begin(&file, inst)?;
            self.current = Some((file, current));
            return Ok(None);
        };
        let is_over = match &mut current {
            Current::Rdb(loader) => {
                let done = self.load_keys(&file, loader, inst, host)?;
                inst.load.progress.bytes = self.done_bytes + loader.progress().bytes;
                match done {
                    // The rest of an old file, which is one of both kinds.
                    Some(end) if end < file.bytes => {
                        current = self.read_commands(&file, end)?;
                        false
                    }
                    done => done.is_some(),
                }
            }
            Current::Commands { messages, batch, next } => self.execute(&file, messages, batch, next, inst, host)?,
        };
        if is_over {
            self.done_bytes += file.bytes;
            let seconds = host.now_ns().saturating_sub(self.file_began_ns) as f64 / 1e9;
            let kind = if file.is_increment { Kind::Increment } else { Kind::Base }.word();
            let text = format!("DB loaded from {kind} file {}: {seconds:.3} seconds", file.name);
            inst.log.log(Level::Notice, &text, &[]);
        } else {
            self.current = Some((file, current));
        }
        Ok(None)
    }

    fn begin(&mut self, file: &File, inst: &mut Instance) -> Result<Current, AofLoadError> {
        if file.is_increment {
            self.loaded.tail = Tail::default();
        }
        let mut magic = Vec::new();
        let opened = self.disk.open(&file.path).and_then(|it| it.take(6).read_to_end(&mut magic));
        opened.map_err(|error| cannot_read(file, &error))?;
        if !magic.starts_with(b"REDIS") && !magic.starts_with(b"VALKEY") {
            return self.read_commands(file, 0);
        }
        let mut settings = inst.load_settings();
        settings.expired_before_ms = None;
        if !file.is_increment {
            inst.log.notice("Reading RDB base file on AOF loading...", &[]);
        }
        match Loader::open_file(&*self.disk, &file.path, &settings) {
            Ok(Some(loader)) => {
                inst.keyspace.begin_load();
                Ok(Current::Rdb(Box::new(loader)))
            }
            Ok(None) => Err(cannot_read(file, &io::ErrorKind::NotFound.into())),
            Err(LoadError::File { fault, .. }) => Err(bad_preamble(file, &fault)),
            Err(LoadError::Disk { fault, .. }) => Err(cannot_read(file, &fault)),
        }
    }

    /// Has a thread read the commands of a file from `offset` on.
    fn read_commands(&self, file: &File, offset: u64) -> Result<Current, AofLoadError> {
        let mut source: Box<dyn DiskFile> = self.disk.open(&file.path).map_err(|error| cannot_read(file, &error))?;
        source.seek(SeekFrom::Start(offset)).map_err(|error| cannot_read(file, &error))?;
        let (sender, messages) = sync_channel(AHEAD);
        let total = file.bytes;
        let read = move || {
            let mut scanner = Scanner::new(source, offset, total);
            loop {
                let (message, is_last) = match scanner.step() {
                    Ok(ScanStep::Batch(batch)) => (Message::Batch(batch), false),
                    Ok(ScanStep::End(ending)) => (Message::End(ending), true),
                    Err(error) => (Message::Failed(error), true),
                };
                // Nobody wants it any more when the load was given up.
                if sender.send(message).is_err() || is_last {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("aof-reader".to_owned()).spawn(read);
        thread.map_err(|error| cannot_read(file, &error))?;
        Ok(Current::Commands { messages, batch: None, next: 0 })
    }

    /// The end of the RDB part, if it is reached.
    fn load_keys(
        &mut self,
        file: &File,
        loader: &mut Loader<'static>,
        inst: &mut Instance,
        host: &mut dyn Host,
    ) -> Result<Option<u64>, AofLoadError> {
        let mut sink =
            FileSink { inst, host, replaces: false, keys: self.keys, is_part: true, vetting: Vetting::Trusted };
        let step = loader.step(&mut sink);
        self.keys = sink.keys;
        match step.map_err(|fault| bad_preamble(file, &fault))? {
            Step::More => Ok(None),
            Step::Done(loaded) => {
                inst.keyspace.end_load();
                inst.load.counts = loaded.counts;
                inst.log.log(Level::Notice, &loaded.to_string(), &[]);
                Ok(Some(loaded.bytes))
            }
        }
    }

    /// Executes what was read. True at the end of the file.
    fn execute(
        &mut self,
        file: &File,
        messages: &Receiver<Message>,
        batch: &mut Option<Batch>,
        next: &mut usize,
        inst: &mut Instance,
        host: &mut dyn Host,
    ) -> Result<bool, AofLoadError> {
        let mut budget = STEP_COMMANDS;
        while budget > 0 {
            if let Some(at_hand) = batch {
                let to = at_hand.len().min(*next + budget);
                budget -= to - *next;
                self.run(file, at_hand, *next..to, inst, host)?;
                *next = to;
                inst.load.progress.bytes = self.done_bytes + at_hand.end();
                if to < at_hand.len() {
                    return Ok(false);
                }
            }
            match messages.recv_timeout(PATIENCE) {
                Ok(Message::Batch(read)) => (*batch, *next) = (Some(read), 0),
                Ok(Message::End(ending)) => {
                    self.end(file, &ending, inst)?;
                    return Ok(true);
                }
                Ok(Message::Failed(error)) => return Err(cannot_read(file, &error)),
                Err(RecvTimeoutError::Timeout) => {
                    *batch = None;
                    return Ok(false);
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(cannot_read(file, &io::Error::other("the thread that reads it has ended")));
                }
            }
        }
        Ok(false)
    }

    fn run(
        &mut self,
        file: &File,
        batch: &Batch,
        range: std::ops::Range<usize>,
        inst: &mut Instance,
        host: &mut dyn Host,
    ) -> Result<(), AofLoadError> {
        let mut found: [Option<(&'static Command, Option<u64>)>; PREFETCH] = [None; PREFETCH];
        let mut from = range.start;
        while from < range.end {
            let to = range.end.min(from + PREFETCH);
            for (at, command) in (from..to).map(|at| (at - from, batch.command(at))) {
                let Lookup::Found(known) = inst.table.lookup(command.args) else {
                    let name = command.args[0].to_vec();
                    return Err(AofLoadError::new(format!(
                        "Unknown command '{}' reading the append only file {} at offset {}",
                        name.escape_ascii(),
                        file.name,
                        command.offset
                    )));
                };
                let key = (known.first_key != 0).then(|| command.args.get(usize::from(known.first_key))).flatten();
                let hash = key.map(|key| inst.keyspace.key(key).hash);
                if let Some(hash) = hash {
                    inst.keyspace.prefetch_bucket(self.session.db as usize, hash);
                }
                found[at] = Some((known, hash));
            }
            for (_, hash) in found.iter().take(to - from).flatten() {
                if let Some(hash) = hash {
                    inst.keyspace.prefetch_entry(self.session.db as usize, *hash);
                }
            }
            for at in from..to {
                let command = batch.command(at);
                let (known, first_key_hash) = found[at - from].expect("it was just looked up");
                self.run_one(
                    &Request { command: known, args: command.args, first_key_hash },
                    command.offset,
                    inst,
                    host,
                )
                .map_err(|why| AofLoadError::new(format!("{why} (append only file {})", file.name)))?;
            }
            from = to;
        }
        inst.end_unit();
        Ok(())
    }

    fn run_one(
        &mut self,
        request: &Request<'_>,
        offset: u64,
        inst: &mut Instance,
        host: &mut dyn Host,
    ) -> Result<(), String> {
        let command = request.command;
        // What stands between MULTI and EXEC is whole: that was seen before it came here.
        if command.flags.has(Flags::RUNS_QUEUE) {
            inst.end_transaction(&mut self.session);
            return Ok(());
        }
        self.loaded.commands += 1;
        if inst.config.persistence.key_load_delay != 0 {
            self.keys += 1;
            inst.delay_key(host, self.keys);
        }
        let result = match command.arity.accepts(request.args.len()) {
            true => call::replay(inst, &mut self.session, host, request),
            false => Err(crate::exec::error::wrong_arity(&command.full_name)),
        };
        self.session.reply.out.clear();
        let Err(error) = result else { return Ok(()) };
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        if command.first_key == 0 {
            // Of these, all that follows depends on SELECT.
            return Err(format!("'{}' at offset {offset} has failed: {}", command.full_name, text.escape_debug()));
        }
        self.loaded.failed += 1;
        if self.loaded.failed <= NAMED_MAX {
            inst.log.warning(
                "A command of the append only file has failed",
                &[(keys::COMMAND, &command.full_name), ("offset", &offset), (keys::ERROR, &Shown(&text))],
            );
        }
        Ok(())
    }

    /// A file is at its end. What is wrong with it is mended, or is why the server cannot start.
    fn end(&mut self, file: &File, ending: &Ending, inst: &mut Instance) -> Result<(), AofLoadError> {
        if let Some((count, offset)) = ending.damaged_lines {
            inst.log.warning(
                "Lines with checksums are damaged; the commands before them are whole",
                &[(keys::PATH, &file.name), ("lines", &count), ("offset", &offset)],
            );
        }
        if ending.groups > 0 && ending.plain_commands > 0 {
            inst.log.notice(
                "Some commands have no checksum: they were not appended by this server",
                &[(keys::PATH, &file.name), ("commands", &ending.plain_commands)],
            );
        }
        if let Some(fault) = &ending.fault {
            let persistence = &inst.config.persistence;
            // A length that is damaged may look like an end.
            let is_cut_off =
                matches!(fault.kind, FaultKind::Truncated | FaultKind::ZeroPadded) && !ending.in_the_middle();
            let may_go = match is_cut_off {
                true => persistence.aof_load_truncated,
                false => ending.bad_bytes() <= persistence.aof_load_corrupt_tail_max_size,
            };
            if !file.is_last || !may_go || ending.in_the_middle() || ending.delivered_to > ending.good_to {
                return Err(unusable(file, ending, is_cut_off));
            }
            inst.log.log(
                Level::Warning,
                &format!("!!! Warning: short read while loading the AOF file {}!!!", file.name),
                &[],
            );
            self.cut(file, ending, inst)?;
            let why = if is_cut_off { "aof-load-truncated" } else { "aof-load-corrupt-tail-max-size" };
            inst.log.log(
                Level::Warning,
                &format!("AOF {} loaded anyway because {why} is enabled", file.name),
                &[(keys::REASON, &ending.to_string()), ("offset", &ending.good_to), (keys::BYTES, &ending.bad_bytes())],
            );
        }
        if file.is_increment {
            self.loaded.tail = ending.tail();
        }
        Ok(())
    }

    /// Cuts a file off behind what is good. What is cut off is kept beside it, unless it is nothing but zeros.
    fn cut(&self, file: &File, ending: &Ending, inst: &Instance) -> Result<(), AofLoadError> {
        let bytes = ending.bad_bytes();
        let cut = match ending.zeros == bytes {
            true => self.disk.edit(&file.path).and_then(|mut it| {
                it.set_len(ending.good_to)?;
                it.sync()
            }),
            false => cut_off(&*self.disk, &file.path, ending.good_to).map(|kept| {
                let kept = kept.display().to_string();
                inst.log.warning("What is cut off is kept", &[(keys::PATH, &kept), (keys::BYTES, &bytes)]);
            }),
        };
        cut.map_err(|error| AofLoadError::new(format!("Error truncating the AOF file {}: {error}", file.name)))
    }
}

fn cannot_read(file: &File, error: &io::Error) -> AofLoadError {
    AofLoadError::new(format!("Unrecoverable error reading the append only file {}: {error}", file.name))
}

fn bad_preamble(file: &File, fault: &RdbError) -> AofLoadError {
    AofLoadError {
        lines: vec![
            fault.to_string(),
            format!("Error reading the RDB preamble of the AOF file {}, AOF loading aborted", file.name),
        ],
    }
}

fn unusable(file: &File, ending: &Ending, is_cut_off: bool) -> AofLoadError {
    let mut lines = vec![format!(
        "{}: {ending}; {} bytes from offset {} on cannot be used, {} groups before it and {} groups behind it are good",
        file.name,
        ending.bad_bytes(),
        ending.good_to,
        ending.groups,
        ending.groups_behind
    )];
    if !is_cut_off {
        lines.push(format!(
            "Bad file format reading the append only file {}: make a backup of your AOF file, then use \
             ./redis-check-aof --fix <filename.manifest>. Alternatively you can set the 'aof-load-corrupt-tail-max-size' \
             configuration option to {} and restart the server, if nothing good follows.",
            file.name,
            ending.bad_bytes()
        ));
    } else if file.is_last {
        lines.push(format!(
            "Unexpected end of file reading the append only file {}. You can: 1) Make a backup of your AOF file, then use \
             ./redis-check-aof --fix <filename.manifest>. 2) Alternatively you can set the 'aof-load-truncated' \
             configuration option to yes and restart the server.",
            file.name
        ));
    } else {
        lines.push(format!("Unexpected end of file reading the append only file {}.", file.name));
        lines.push("Fatal error: the truncated file is not the last file".to_owned());
    }
    AofLoadError { lines }
}

impl Instance {
    /// What is in memory is about to come from the log: nothing is repeated elsewhere, and no time passes.
    pub fn begin_aof_load(&mut self, load: &AofLoad) {
        self.load.progress = Default::default();
        self.load.progress.total_bytes = load.total_bytes();
        self.load.started_ms = self.now_ms;
        self.alert.put(Alert::LOADING, true);
        self.keyspace.set_propagation(false);
        self.keyspace.options_mut().keep_expired = true;
        self.keyspace.begin_replay(self.now_ms);
    }

    /// The log is loaded, or not.
    pub fn end_aof_load(&mut self) {
        self.keyspace.end_load();
        self.alert.put(Alert::LOADING, false);
        self.refresh_pause();
        self.follow_propagation();
    }
}

impl Instance {
    /// DEBUG LOADAOF: what is in memory is removed, and comes back from the log. Others are told meanwhile that it is
    /// being loaded.
    pub fn reload_aof(&mut self, host: &mut dyn Host) -> Result<(), AofLoadError> {
        self.settle_aof().map_err(AofLoadError::new)?;
        let (disk, settings) = (self.saver.disk(), self.aof_settings());
        let manifest = read_manifest(&*disk, &settings).map_err(|error| AofLoadError::new(error.to_string()))?;
        let manifest = manifest.unwrap_or_default();
        let files = manifest.files().map(|entry| (settings.dir.join(entry.path()), entry.kind == Kind::Increment));
        let load = AofLoad::open(disk, files, host.now_ns())?;
        self.keyspace.flush_all(FlushMode::Sync, self.now_ms);
        self.flush_functions();
        if let Some(mut load) = load {
            self.begin_aof_load(&load);
            let loaded = loop {
                match load.step(self, host) {
                    Ok(None) => host.serve_others(self),
                    loaded => break loaded,
                }
            };
            self.end_aof_load();
            loaded?;
        }
        self.loaded_from_disk();
        self.log.warning("Append Only File loaded by DEBUG LOADAOF", &[]);
        Ok(())
    }
}
