//! An append-only file on a [`CrashDisk`], with just enough around its writer to be one: what the instance asks for, what
//! the thread around the writer does, and how a start reads what it finds.
//!
//! The data is a number that only grows. A unit of work appends the next one, a base holds the number it goes up to. So
//! what is loaded says by itself whether something is missing in the middle, or was taken for what it does not continue.

use crate::disk::CrashDisk;
use kvstash::cow::Heap;
use kvstash::persist::aof::{
    AofDirectory, AofSettings, Batch, FaultKind, Job, Kind, Manifest, Names, OldFile, Position, Report, Scanner,
    SyncPolicy, Tail, Writer, as_path, read_manifest,
};
use kvstash::persist::{
    DatabaseSize, Item, LoadEntry, LoadNote, LoadSettings, LoadSink, Loader, SaveControl, SaveError, SaveSettings,
    SnapshotSource, Step, Stored, aof, load_value, save_file,
};
use kvstash::rdb::{Access, RdbError, RdbReader};
use kvstash::sys::disk::Disk;
use kvstash::types::Limits;
use kvstash::types::place::Maker;
use kvstash::types::string::StringRef;
use kvstash::types::value::{ValueRef, Vetting};
use kvstash::util::hash::HashSeed;
use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

const SECOND: u64 = 1_000_000_000;
/// Where a rewrite puts the base.
const BASE: &str = "temp-rewriteaof-bg-1.aof";

/// Where backups are made.
const BACKUP: &str = "backup";

/// How the file is kept.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    pub policy: SyncPolicy,
    pub annotations: bool,
    pub keeps_history: bool,
}

impl Keeping {
    fn settings(self) -> AofSettings {
        AofSettings {
            dir: PathBuf::from("aof"),
            names: Names::new(b"a"),
            annotations: self.annotations,
            keeps_history: self.keeps_history,
        }
    }
}

/// What is saved: a number, and a few keys so that there is something to tear.
pub struct Number(pub u64);

impl SnapshotSource for Number {
    fn databases(&self) -> Vec<DatabaseSize> {
        vec![DatabaseSize { index: 0, keys: 3, expiring: 0 }]
    }

    fn visit(&self, _: u32, each: &mut dyn FnMut(Item<'_>) -> Result<(), SaveError>) -> Result<(), SaveError> {
        (0..3).try_for_each(|i| {
            each(Item {
                key: format!("{i}:{}", self.0).as_bytes(),
                expire_at_ms: None,
                access: Access::Unknown,
                value: ValueRef::String(StringRef::Bytes(b"some text")),
            })
        })
    }
}

#[derive(Default)]
struct Numbers(Vec<u64>);

impl LoadSink for Numbers {
    fn entry(&mut self, entry: &LoadEntry<'_>, from: &mut RdbReader<'_>) -> Result<Stored, RdbError> {
        let mut heap = Heap::new();
        let mut maker = Maker { heap: &mut heap, limits: Limits::default(), seed: HashSeed::fixed(1) };
        load_value(entry.kind, from, Vetting::Hostile, &mut maker)?;
        let key = std::str::from_utf8(entry.key).unwrap();
        self.0.push(key.split_once(':').unwrap().1.parse().unwrap());
        Ok(Stored::Yes)
    }

    fn note(&mut self, _: LoadNote) {}
}

/// The number in an RDB file, which has to be whole.
pub fn number_of(disk: &dyn Disk, path: &Path) -> Result<u64, String> {
    let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut loader = Loader::open_file(disk, path, &LoadSettings::default())
        .map_err(|error| fault(&error))?
        .ok_or_else(|| fault(&"is not there"))?;
    let mut sink = Numbers::default();
    while !matches!(loader.step(&mut sink).map_err(|error| fault(&error))?, Step::Done(_)) {}
    match sink.0[..] {
        [a, b, c] if a == b && b == c => Ok(a),
        _ => Err(fault(&format!("holds {:?}", sink.0))),
    }
}

pub fn save_settings(path: &str) -> SaveSettings {
    SaveSettings {
        path: path.into(),
        temp: format!("temp-{path}").into(),
        version: None,
        compression: true,
        checksum: true,
        incremental_sync: false,
        aux: Vec::new(),
        functions: Vec::new(),
        commands: None,
        stream: None,
    }
}

/// What was written, and what of it somebody was told is safe, through all starts on a disk.
#[derive(Clone, Default)]
pub struct Ledger(Rc<Cell<(u64, u64)>>, Rc<Cell<Sealing>>);

/// A backup, as far as somebody was told of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sealing {
    /// Nobody has asked for its end.
    #[default]
    Open,
    /// It is to end with this number.
    Asked(u64),
    /// It is said to be safe, with this number.
    Done(u64),
}

impl Ledger {
    pub fn promised(&self) -> u64 {
        self.0.get().0
    }

    pub fn written(&self) -> u64 {
        self.0.get().1
    }

    pub fn sealing(&self) -> Sealing {
        self.1.get()
    }

    pub fn promise(&self, number: u64) {
        self.0.set((self.promised().max(number), self.written().max(number)));
    }

    pub fn write(&self, number: u64) {
        self.0.set((self.promised(), self.written().max(number)));
    }
}

/// The instance and the thread.
pub struct Log {
    pub disk: CrashDisk,
    pub keeping: Keeping,
    writer: Writer,
    queue: VecDeque<Job>,
    now_ns: u64,
    /// What is in memory.
    pub number: u64,
    /// Bytes appended so far.
    end: u64,
    /// Which number each place in them is.
    marks: Vec<(u64, u64)>,
    pub ledger: Ledger,
    /// There is a log, or will be when a base is installed.
    is_on: bool,
    pub awaits_rewrite: bool,
    /// What the base that is being written goes up to.
    rewrite: Option<Rewrite>,
    ticket: u64,
    /// The next command names its database, as the first of a file does.
    begins: bool,
    /// The log is nothing but a backup: no start reads it, so nothing of it is promised.
    is_backup: bool,
    /// Reports, for who has to find out what went wrong.
    pub told: Vec<String>,
}

#[derive(Clone, Copy)]
struct Rewrite {
    number: u64,
    ticket: u64,
    start_offset: u64,
    has_switched: bool,
}

impl Log {
    /// A server that does not keep a log yet.
    pub fn off(disk: &CrashDisk, keeping: Keeping, ledger: &Ledger) -> Log {
        let mut writer = Writer::default();
        writer.set_policy(keeping.policy, false);
        Log {
            disk: disk.clone(),
            keeping,
            writer,
            queue: VecDeque::new(),
            now_ns: SECOND,
            number: 0,
            end: 0,
            marks: Vec::new(),
            ledger: ledger.clone(),
            is_on: false,
            awaits_rewrite: false,
            rewrite: None,
            ticket: 0,
            begins: true,
            is_backup: false,
            told: Vec::new(),
        }
    }

    /// A server that starts and keeps one. What went wrong is the reason why it does not start.
    pub fn start(disk: &CrashDisk, keeping: Keeping, ledger: &Ledger) -> Result<Log, String> {
        let mut log = Log::off(disk, keeping, ledger);
        log.load().map(|()| log)
    }

    fn load(&mut self) -> Result<(), String> {
        let text = |error: io::Error| error.to_string();
        let (shared, settings) = (Arc::new(self.disk.clone()), self.keeping.settings());
        let manifest = read_manifest(&self.disk, &settings).map_err(text)?.unwrap_or_default();
        for name in [settings.names.temp_increment(), settings.names.temp_manifest()] {
            let _ = self.disk.remove(&settings.dir.join(as_path(&name)));
        }
        let mut directory = AofDirectory::new(shared, settings.clone(), manifest);
        let (old, moved) = (Path::new("a"), Path::new("aof/a"));
        match directory.manifest().old_file(&settings.names, self.disk.exists(old), self.disk.exists(moved)) {
            OldFile::Leave => {}
            OldFile::InTheWay => return Err("an old file is in the way".into()),
            OldFile::Move(manifest) => directory.upgrade(manifest, old).map_err(text)?,
        }
        let found = read(&self.disk, &settings, directory.manifest())?;
        self.number = found.number;
        if !(self.ledger.promised()..=self.ledger.written()).contains(&self.number) {
            let (promised, written) = self.ledger.0.get();
            return Err(format!("{} is there, of {promised} that were promised and {written} written", self.number));
        }
        if directory.manifest().is_empty() {
            save_file(&self.disk, &Number(0), &save_settings(BASE), &SaveControl::default())
                .map_err(|error| error.to_string())?;
            directory.install(Path::new(BASE), true, 0).map_err(text)?;
        }
        if !directory.reopen(found.tail).map_err(text)? {
            directory.switch(0, false).map_err(text)?;
        }
        self.is_on = true;
        self.give(Job::Adopt(Box::new(directory)));
        Ok(())
    }

    /// Nothing more can happen.
    pub fn is_over(&self) -> bool {
        self.disk.is_stopped()
    }

    /// Appends so many units, in one group.
    pub fn write(&mut self, units: u64) {
        let mut bytes = Vec::new();
        for _ in 0..units {
            self.number += 1;
            if !self.is_on {
                continue;
            }
            let begins = std::mem::take(&mut self.begins);
            let command = |number: u64| format!("*2\r\n$1\r\nN\r\n${}\r\n{number}\r\n", number.to_string().len());
            let select: &[u8] = if begins { b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n" } else { b"" };
            if self.number.is_multiple_of(3) {
                // Two in one transaction.
                bytes.extend_from_slice(b"*1\r\n$5\r\nMULTI\r\n");
                bytes.extend_from_slice(select);
                bytes.extend_from_slice(command(self.number).as_bytes());
                self.number += 1;
                bytes.extend_from_slice(command(self.number).as_bytes());
                bytes.extend_from_slice(b"*1\r\n$4\r\nEXEC\r\n");
            } else {
                bytes.extend_from_slice(select);
                bytes.extend_from_slice(command(self.number).as_bytes());
            }
            self.marks.push((self.end + bytes.len() as u64, self.number));
        }
        self.ledger.write(self.number);
        if !bytes.is_empty() {
            self.end += bytes.len() as u64;
            let position = Position { end: self.end, replication: self.end };
            self.give(Job::Write(bytes, position));
        }
    }

    /// Time goes by, a little at a time.
    pub fn pass(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(250) {
            self.now_ns += 250_000_000;
            self.pump();
        }
    }

    pub fn settle(&mut self) {
        let (sender, receiver) = std::sync::mpsc::channel();
        self.give(Job::Settle(sender));
        if let Ok(Ok(())) = receiver.try_recv()
            && self.is_on
            && !self.is_backup
            && !self.awaits_rewrite
        {
            self.ledger.promise(self.number);
        }
    }

    /// Begins a rewrite: a snapshot, and an increment from here on.
    pub fn begin_rewrite(&mut self) {
        self.ticket += 1;
        let (ticket, start_offset) = (self.ticket, self.end);
        self.rewrite = Some(Rewrite { number: self.number, ticket, start_offset, has_switched: !self.is_on });
        if self.is_on {
            self.give(Job::Switch { ticket, start_offset, is_temporary: self.awaits_rewrite });
            self.begins = true;
        }
    }

    /// Writes the base, and has it installed.
    pub fn end_rewrite(&mut self) {
        let Some(Rewrite { number, ticket, start_offset, has_switched }) = self.rewrite else { return };
        let saved = save_file(&self.disk, &Number(number), &save_settings(BASE), &SaveControl::default());
        if saved.is_err() || !has_switched {
            self.told.push(format!("no base: {saved:?}"));
            self.rewrite = None;
            if self.is_backup {
                self.give_up_backup();
            }
            return;
        }
        let install = Job::Install { ticket, temp: BASE.into(), is_rdb: true, start_offset };
        if !self.is_on {
            self.give(Job::Open(Arc::new(self.disk.clone()), Box::new(self.keeping.settings())));
            self.give(install);
            self.give(Job::Close(None));
            return;
        }
        self.give(install);
    }

    pub fn rewrite(&mut self) {
        self.begin_rewrite();
        self.write(2);
        self.end_rewrite();
    }

    /// The file of the base vanishes before it is installed.
    pub fn lose_base(&mut self) {
        let _ = self.disk.remove(Path::new(BASE));
        let Some(Rewrite { ticket, start_offset, .. }) = self.rewrite else { return };
        self.give(Job::Install { ticket, temp: BASE.into(), is_rdb: true, start_offset });
    }

    pub fn enable(&mut self) {
        self.give(Job::Open(Arc::new(self.disk.clone()), Box::new(self.keeping.settings())));
        (self.is_on, self.awaits_rewrite) = (true, true);
    }

    /// A backup that begins with the base that was installed last.
    pub fn pin(&mut self) {
        self.give(Job::Pin(BACKUP.into()));
    }

    /// A backup where there is no log: one of its own.
    pub fn open_backup(&mut self) {
        let settings = AofSettings { dir: BACKUP.into(), annotations: true, ..self.keeping.settings() };
        self.give(Job::Open(Arc::new(self.disk.clone()), Box::new(settings)));
        (self.is_on, self.awaits_rewrite, self.is_backup) = (true, true, true);
    }

    pub fn seal(&mut self) {
        self.ledger.1.set(Sealing::Asked(self.number));
        self.give(Job::Seal { into: BACKUP.into(), offset: self.end });
        self.begins = true;
        self.is_on &= !self.is_backup;
    }

    pub fn discard(&mut self) {
        self.ledger.1.set(Sealing::Open);
        let names = self.keeping.settings().names;
        self.give(Job::Discard { disk: Arc::new(self.disk.clone()), dir: BACKUP.into(), names });
    }

    fn give_up_backup(&mut self) {
        if self.is_backup {
            self.rewrite = None;
            (self.is_on, self.awaits_rewrite) = (false, false);
            self.give(Job::Close(None));
        }
        self.discard();
    }

    pub fn disable(&mut self) {
        self.rewrite = None;
        self.give(Job::Close(Some(self.end)));
        (self.is_on, self.awaits_rewrite) = (false, false);
    }

    pub fn configure(&mut self, keeping: Keeping) {
        self.begins |= keeping.annotations != self.keeping.annotations;
        self.keeping = keeping;
        self.writer.set_policy(keeping.policy, false);
        self.give(Job::Configure { annotations: keeping.annotations, keeps_history: keeping.keeps_history });
    }

    /// An orderly stop. Nothing is said of one that was not: whoever starts a server again on a disk whose sync has
    /// failed reads what the system still has in memory.
    #[must_use]
    pub fn close(mut self) -> Option<()> {
        self.settle();
        self.disable();
        self.told.iter().all(|report| !report.contains("SyncFailed")).then_some(())
    }

    /// What an operator waits for after a fault: the log is what it was.
    pub fn recover(&mut self) {
        for _ in 0..4 {
            self.pass(1000);
            if self.awaits_rewrite && !self.is_over() {
                self.rewrite();
            }
        }
        self.pass(3000);
    }

    /// Whether all is well, and everything is on the disk if the policy sees to that.
    pub fn has_recovered(&self) -> bool {
        let is_safe = self.keeping.policy == SyncPolicy::Never || !self.is_on || self.writer.synced().end == self.end;
        !self.awaits_rewrite && !self.writer.is_stuck() && is_safe
    }

    fn give(&mut self, job: Job) {
        self.queue.push_back(job);
        self.pump();
    }

    /// What the thread does with its queue.
    fn pump(&mut self) {
        loop {
            let at = match self.writer.is_stuck() {
                true => self.queue.iter().position(|job| !job.waits_for_writes()),
                false => (!self.queue.is_empty()).then_some(0),
            };
            let mut reports = Vec::new();
            let job = at.and_then(|at| self.queue.remove(at));
            let is_idle = job.is_none();
            if let Some(job) = job {
                self.writer.run(job, self.now_ns, &mut reports);
            }
            self.writer.do_what_is_due(self.now_ns, &mut reports);
            let is_idle = is_idle && reports.is_empty();
            for report in reports {
                self.told.push(format!("{report:?}"));
                self.hear(&report);
            }
            self.promise();
            if is_idle {
                return;
            }
        }
    }

    fn promise(&mut self) {
        // A crash is the end of promises: what could be reported is not heard any more.
        if self.is_over() || self.is_backup {
            return;
        }
        let safe = self.writer.synced().end;
        let number = self.marks.iter().rev().find(|(end, _)| *end <= safe).map_or(0, |mark| mark.1);
        self.ledger.promise(number);
    }

    fn hear(&mut self, report: &Report) {
        match report {
            Report::SyncFailed(_) | Report::WriteFailed(_) | Report::Opened(_) if self.is_backup && self.is_on => {
                self.give_up_backup();
            }
            Report::Pinned(Err(_)) | Report::Sealed(Err(_)) => self.give_up_backup(),
            Report::Sealed(Ok(_)) if !self.is_over() => {
                if let Sealing::Asked(number) = self.ledger.sealing() {
                    self.ledger.1.set(Sealing::Done(number));
                }
            }
            Report::SyncFailed(_) if self.is_on => (self.awaits_rewrite, self.rewrite) = (true, None),
            Report::Switched(ticket, result) => {
                if let Some(rewrite) = self.rewrite.as_mut().filter(|it| it.ticket == *ticket) {
                    rewrite.has_switched = result.is_ok();
                    if result.is_err() {
                        self.rewrite = None;
                        if self.is_backup {
                            self.give_up_backup();
                        }
                    }
                }
            }
            Report::Installed(_, Err(_)) if self.is_backup => self.give_up_backup(),
            Report::Installed(ticket, result) => {
                if let Some(rewrite) = self.rewrite.take_if(|it| it.ticket == *ticket)
                    && result.is_ok()
                    && !self.is_over()
                {
                    if !self.is_backup {
                        self.ledger.promise(rewrite.number);
                    }
                    self.awaits_rewrite = false;
                }
            }
            _ => {}
        }
    }
}

/// What a crash has left of a backup: nothing, if nobody was told that it is complete; or all of it. One that has its own
/// log is one from its base on, and ends somewhere before it is sealed.
pub fn check_backup(disk: &CrashDisk, keeping: Keeping, ledger: &Ledger, has_own_log: bool) -> Result<(), String> {
    let settings = AofSettings { dir: BACKUP.into(), ..keeping.settings() };
    let manifest = read_manifest(disk, &settings).map_err(|error| format!("the backup: {error}"))?;
    let sealing = ledger.sealing();
    let Some(manifest) = manifest else {
        return match sealing {
            Sealing::Done(_) => Err("the sealed backup has no manifest".into()),
            _ => Ok(()),
        };
    };
    let number = read(disk, &settings, &manifest).map_err(|error| format!("the backup: {error}"))?.number;
    let is_right = match sealing {
        Sealing::Done(sealed) => number == sealed,
        Sealing::Asked(sealed) if !has_own_log => number == sealed,
        _ => number <= ledger.written(),
    };
    if is_right { Ok(()) } else { Err(format!("the backup holds {number}, {sealing:?}")) }
}

/// What was found.
struct Found {
    number: u64,
    tail: Tail,
}

/// Reads what a manifest names, as `exec/aof_load.rs` does, and cuts off what is torn.
fn read(disk: &CrashDisk, settings: &AofSettings, manifest: &Manifest) -> Result<Found, String> {
    let mut files = Vec::new();
    for entry in manifest.files() {
        let path = settings.dir.join(entry.path());
        let bytes = disk.open(&path).and_then(|file| file.len()).map_err(|error| format!("{path:?}: {error}"))?;
        files.push((entry.clone(), path, bytes));
    }
    let last = files.iter().rposition(|file| file.2 > 0);
    let mut found = Found { number: 0, tail: Tail::default() };
    for (at, (entry, path, bytes)) in files.iter().enumerate() {
        let fault = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
        if entry.kind == Kind::Increment {
            found.tail = Tail::default();
        }
        let mut magic = Vec::new();
        let mut source = disk.open(path).map_err(|error| fault(&error))?;
        (&mut source).take(5).read_to_end(&mut magic).map_err(|error| fault(&error))?;
        if magic == b"REDIS" {
            found.number = number_of(disk, path)?;
            continue;
        }
        source.seek(SeekFrom::Start(0)).map_err(|error| fault(&error))?;
        let mut scanner = Scanner::new(source, 0, *bytes);
        let ending = loop {
            match scanner.step().map_err(|error| fault(&error))? {
                aof::Step::Batch(batch) => follow(&mut found.number, &batch).map_err(|e| fault(&e))?,
                aof::Step::End(ending) => break ending,
            }
        };
        if let Some(torn) = &ending.fault {
            let is_cut = matches!(torn.kind, FaultKind::Truncated | FaultKind::ZeroPadded);
            if !is_cut || last.is_some_and(|last| at < last) || ending.in_the_middle() {
                return Err(fault(&ending));
            }
            let cut = disk.edit(path).and_then(|mut it| it.set_len(ending.good_to).and_then(|()| it.sync()));
            cut.map_err(|error| fault(&error))?;
        }
        found.tail = ending.tail();
    }
    Ok(found)
}

/// Each number is the one behind the last.
fn follow(number: &mut u64, batch: &Batch) -> Result<(), String> {
    for command in batch.commands() {
        let args = command.args;
        if &args[0] != b"N" {
            continue; // SELECT, MULTI, EXEC
        }
        let next: u64 = std::str::from_utf8(&args[1]).unwrap().parse().unwrap();
        if next != *number + 1 {
            return Err(format!("{next} follows {number}"));
        }
        *number = next;
    }
    Ok(())
}
