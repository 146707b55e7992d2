//! The writer of the log: does, one after the other, what the loop asks of it ([`Job`]), syncs when the policy says so,
//! and says what came of it ([`Report`]).
//!
//! [`Writer`] is the state machine: it knows a disk, and is told the time. The thread around it is in `thread.rs`.
//!
//! # When the disk fails
//!
//! * **A write fails** (the disk is full): what was written of the group is cut off, the group is kept and tried again
//!   every second. Nothing behind it is written meanwhile, and no set is changed.
//! * **A sync fails**: the system may have dropped what it could not write, so that another sync would succeed and mean
//!   nothing. The increment is not trusted any more: what comes for it is dropped, until a rewrite has begun a temporary
//!   increment. The base that the rewrite writes from memory holds all that was dropped.

use super::directory::{AofDirectory, AofSettings, AofSizes, discard};
use super::names::Names;
use crate::sys::disk::Disk;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// When what was written is synced: `appendfsync`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before anybody is told of it.
    Always,
    /// Once a second.
    #[default]
    EverySecond,
    /// When the system thinks it right.
    Never,
}

/// Positions: how far the log is in bytes of the append buffer, and what that is in the replication stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Bytes of the append buffer since the start of the process.
    pub end: u64,
    /// Offset in the replication stream.
    pub replication: u64,
}

/// What the loop asks for, to be done in order.
pub enum Job {
    /// Write to the files of this directory from now on.
    Adopt(Box<AofDirectory>),
    /// The same, with the set that is on the disk now.
    Open(Arc<dyn Disk>, Box<AofSettings>),
    /// Append these units, up to this position.
    Write(Vec<u8>, Position),
    /// Begin a new increment.
    Switch {
        /// Of which rewrite: the report says it again.
        ticket: u64,
        /// Where, in the replication stream.
        start_offset: u64,
        /// In no manifest, until a base is installed.
        is_temporary: bool,
    },
    /// The file is complete: it becomes the base.
    Install {
        /// Of which rewrite: the report says it again.
        ticket: u64,
        /// The file.
        temp: PathBuf,
        /// In the RDB format, not as commands.
        is_rdb: bool,
        /// Where the increment after it begins, if that is a temporary one.
        start_offset: u64,
    },
    /// Takes over what may change while the log is open.
    Configure {
        /// See [`super::AofSettings`].
        annotations: bool,
        /// See [`super::AofSettings`].
        keeps_history: bool,
    },
    /// The base has to stay, in this directory, too: a backup begins with it.
    Pin(PathBuf),
    /// The backup in this directory ends here: see [`AofDirectory::seal`]. A set that is nothing but the backup is closed.
    Seal {
        /// The directory.
        into: PathBuf,
        /// Where, in the replication stream.
        offset: u64,
    },
    /// Remove the files of a backup.
    Discard {
        /// Where the directory is.
        disk: Arc<dyn Disk>,
        /// The directory.
        dir: PathBuf,
        /// What its files are called.
        names: Names,
    },
    /// Sync what was written, whatever the policy, and say so.
    Settle(Sender<io::Result<()>>),
    /// The log ends here in good order, at this offset of the replication stream; none: it may go on elsewhere.
    Close(Option<u64>),
}

impl Job {
    /// Whether it stays behind the groups before it even if these cannot be written.
    pub fn waits_for_writes(&self) -> bool {
        matches!(self, Job::Write(..) | Job::Configure { .. })
    }
}

/// What came of a job.
#[derive(Debug)]
pub enum Report {
    /// The set on the disk cannot be read, so nothing was opened.
    Opened(io::Error),
    /// All up to here is on the disk.
    Synced,
    /// A write has failed; it is tried again.
    WriteFailed(io::Error),
    /// What had failed is written.
    WriteRecovered,
    /// A sync has failed: see the module's header.
    SyncFailed(io::Error),
    /// A new increment was begun, or was not: for the rewrite with this ticket.
    Switched(u64, io::Result<()>),
    /// A base was installed, or was not: for the rewrite with this ticket.
    Installed(u64, io::Result<AofSizes>),
    /// The base of a backup is where it stays.
    Pinned(io::Result<PathBuf>),
    /// A backup is complete; its files.
    Sealed(io::Result<Vec<PathBuf>>),
    /// The files of a backup are gone.
    Discarded(io::Result<()>),
    /// The log is closed.
    Closed(io::Result<()>),
}

/// After a failure the next try is so much later, ns.
const RETRY_NS: u64 = 1_000_000_000;

/// A second, ns.
const SYNC_PERIOD_NS: u64 = 1_000_000_000;

/// See the module's header.
#[derive(Default)]
pub struct Writer {
    directory: Option<Box<AofDirectory>>,
    policy: SyncPolicy,
    /// Syncs that nobody waits for are held back: `no-appendfsync-on-rewrite`, while a snapshot is written.
    is_held_back: bool,
    written: Position,
    /// What was synced, be it in a temporary increment.
    flushed: Position,
    /// What is on the disk and would be loaded.
    synced: Position,
    next_sync_ns: u64,
    /// A group that could not be written, and when to try again.
    stuck: Option<(Vec<u8>, Position, u64)>,
    /// A sync has failed: the increment is not trusted.
    is_broken: bool,
    /// The increment is in no manifest yet.
    is_temporary: bool,
}

impl Writer {
    /// What is on the disk for sure.
    pub fn synced(&self) -> Position {
        self.synced
    }

    /// How large the set is.
    pub fn sizes(&self) -> AofSizes {
        self.directory.as_ref().map_or(AofSizes::default(), |directory| directory.sizes())
    }

    /// Takes over the policy, and whether syncs that nobody waits for are held back.
    pub fn set_policy(&mut self, policy: SyncPolicy, is_held_back: bool) {
        (self.policy, self.is_held_back) = (policy, is_held_back);
    }

    /// Whether a group waits to be tried again: until it is written, nothing that [`Job::waits_for_writes`] is to be given.
    pub fn is_stuck(&self) -> bool {
        self.stuck.is_some()
    }

    /// When there is something to be done although nobody asks for it.
    pub fn next_deadline_ns(&self) -> Option<u64> {
        let retry_ns = self.stuck.as_ref().map(|(_, _, retry_ns)| *retry_ns);
        let sync_ns = self.has_to_sync().then_some(self.next_sync_ns);
        retry_ns.into_iter().chain(sync_ns).min()
    }

    fn has_to_sync(&self) -> bool {
        let is_open = self.directory.as_ref().is_some_and(|directory| directory.is_open());
        let wants = self.policy != SyncPolicy::Never && !self.is_held_back && is_open;
        wants && !self.is_broken && self.flushed != self.written
    }

    /// Does a job, and adds what came of it to `reports`. The buffer that comes back was emptied: it may be used again.
    pub fn run(&mut self, job: Job, now_ns: u64, reports: &mut Vec<Report>) -> Vec<u8> {
        match job {
            Job::Adopt(directory) => {
                self.open(directory);
                self.all_is_synced();
            }
            // What was written before is in a log that is closed, or in none: nothing is safe yet that was not.
            Job::Open(disk, settings) => match AofDirectory::load(disk, *settings) {
                Ok(directory) => self.open(Box::new(directory)),
                Err(error) => reports.push(Report::Opened(error)),
            },
            Job::Write(bytes, position) => return self.write(bytes, position, now_ns, reports),
            Job::Switch { ticket, start_offset, is_temporary } => {
                let switched = self.switch(start_offset, is_temporary, reports);
                reports.push(Report::Switched(ticket, switched));
            }
            Job::Install { ticket, temp, is_rdb, start_offset } => {
                let installed = self.install(&temp, is_rdb, start_offset, reports);
                reports.push(Report::Installed(ticket, installed.map(|()| self.sizes())));
            }
            Job::Configure { annotations, keeps_history } => {
                if let Some(directory) = &mut self.directory {
                    directory.configure(annotations, keeps_history);
                    directory.collect();
                }
            }
            Job::Pin(into) => {
                let pinned = self.directory.as_ref().ok_or_else(not_open).and_then(|it| it.pin_base(&into));
                reports.push(Report::Pinned(pinned));
            }
            Job::Seal { into, offset } => {
                let sealed = self.seal(&into, offset, reports);
                reports.push(Report::Sealed(sealed));
            }
            Job::Discard { disk, dir, names } => reports.push(Report::Discarded(discard(&*disk, &dir, &names))),
            Job::Settle(answer) => {
                let settled = match self.stuck {
                    Some(_) => Err(writes_fail()),
                    None if self.is_broken => Err(broken()),
                    None => self.sync().inspect_err(|error| reports.push(Report::SyncFailed(same(error)))),
                };
                let _ = answer.send(settled); // nobody waits any more: nothing to say
            }
            Job::Close(end_offset) => {
                let was_stuck = self.is_stuck();
                let closed = self.close(end_offset);
                if was_stuck {
                    reports.push(Report::WriteRecovered); // nobody wants it any more
                }
                reports.push(Report::Closed(closed));
            }
        }
        Vec::new()
    }

    fn switch(&mut self, start_offset: u64, is_temporary: bool, reports: &mut Vec<Report>) -> io::Result<()> {
        if self.stuck.is_some() {
            return Err(writes_fail());
        }
        if !is_temporary {
            // Whoever asked may not have heard of the failure yet.
            if self.is_broken || self.is_temporary {
                return Err(begins_anew());
            }
            // What the new increment continues is on the disk before there is one.
            self.sync_or_tell(reports)?;
        }
        let switched = match &mut self.directory {
            Some(directory) => directory.switch(start_offset, is_temporary),
            None => Err(not_open()),
        };
        match switched {
            Ok(()) => {
                (self.is_broken, self.is_temporary) = (false, is_temporary);
                // The data set may be of another history than what was written before.
                self.written.replication = start_offset;
                self.flushed = self.written;
            }
            // There is none that could be continued.
            Err(_) if is_temporary => self.is_broken = true,
            Err(_) => {}
        }
        switched
    }

    fn install(&mut self, temp: &Path, is_rdb: bool, start: u64, reports: &mut Vec<Report>) -> io::Result<()> {
        if self.is_broken {
            // The base does not hold what was dropped since.
            return Err(broken());
        }
        if self.is_temporary {
            self.sync_or_tell(reports)?;
        }
        let directory = self.directory.as_mut().ok_or_else(not_open)?;
        directory.install(temp, is_rdb, start)?;
        if std::mem::take(&mut self.is_temporary) {
            // What was dropped is in the base, and the temporary increment was synced.
            self.all_is_synced();
        }
        Ok(())
    }

    fn seal(&mut self, into: &Path, offset: u64, reports: &mut Vec<Report>) -> io::Result<Vec<PathBuf>> {
        if self.stuck.is_some() {
            return Err(writes_fail());
        }
        if self.is_broken || self.is_temporary {
            return Err(begins_anew());
        }
        self.sync_or_tell(reports)?;
        let directory = self.directory.as_mut().ok_or_else(not_open)?;
        let files = directory.seal(into, offset)?;
        if directory.is_in(into) {
            self.close(Some(offset))?;
        }
        Ok(files)
    }

    fn close(&mut self, end_offset: Option<u64>) -> io::Result<()> {
        let synced = if self.directory.is_some() && !self.is_temporary { self.sync() } else { Ok(()) };
        let is_whole = synced.is_ok() && self.stuck.is_none();
        let closed = self.directory.take().map_or(Ok(()), |mut it| it.close(end_offset.filter(|_| is_whole)));
        if let Some((_, position, _)) = self.stuck.take() {
            self.written = position; // it is in the base of whatever log comes next
        }
        (self.is_broken, self.is_temporary) = (false, false);
        self.flushed = self.written; // there is nothing to sync any more
        synced.and(closed)
    }

    fn write(&mut self, mut bytes: Vec<u8>, position: Position, now_ns: u64, reports: &mut Vec<Report>) -> Vec<u8> {
        let is_broken = self.is_broken;
        let Some(directory) = self.directory.as_mut().filter(|it| !is_broken && it.is_open()) else {
            // It is in the base that will be installed, or nobody wants it.
            self.written = position;
            bytes.clear();
            return bytes;
        };
        match directory.append(&mut bytes) {
            Ok(()) => {
                self.written = position;
                bytes.clear();
                bytes
            }
            Err(error) => {
                self.stuck = Some((bytes, position, now_ns + RETRY_NS));
                reports.push(Report::WriteFailed(error));
                Vec::new()
            }
        }
    }

    /// Does what is due: another try, a sync. True if that was a sync.
    pub fn do_what_is_due(&mut self, now_ns: u64, reports: &mut Vec<Report>) -> bool {
        if let Some((bytes, position, retry_ns)) = self.stuck.take() {
            if now_ns < retry_ns {
                self.stuck = Some((bytes, position, retry_ns));
            } else {
                self.write(bytes, position, now_ns, &mut Vec::new()); // it was said that it fails
                if self.stuck.is_none() {
                    reports.push(Report::WriteRecovered);
                }
            }
        }
        // What was written before a group that is stuck does not wait for it.
        let is_due = self.policy == SyncPolicy::Always || now_ns >= self.next_sync_ns;
        if !self.has_to_sync() || !is_due {
            return false;
        }
        self.next_sync_ns = now_ns + SYNC_PERIOD_NS;
        if self.sync_or_tell(reports).is_ok() {
            reports.push(Report::Synced);
        }
        true
    }

    /// A sync that is somebody's step: what is said of its failure is a report of its own, for more follows from it.
    fn sync_or_tell(&mut self, reports: &mut Vec<Report>) -> io::Result<()> {
        self.sync().map_err(|error| {
            reports.push(Report::SyncFailed(error));
            broken()
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.is_broken {
            return Err(broken());
        }
        let Some(directory) = self.directory.as_mut().filter(|directory| directory.is_open()) else {
            return Ok(()); // what is written goes nowhere
        };
        let synced = directory.sync();
        match synced {
            Ok(()) => {
                self.flushed = self.written;
                if !self.is_temporary {
                    self.all_is_synced();
                }
            }
            Err(_) => self.is_broken = true,
        }
        synced
    }

    fn open(&mut self, directory: Box<AofDirectory>) {
        self.directory = Some(directory);
        (self.is_broken, self.is_temporary) = (false, false);
        self.flushed = self.written;
    }

    fn all_is_synced(&mut self) {
        (self.flushed, self.synced) = (self.written, self.written);
    }
}

/// Two have to be told.
fn same(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error)
}

fn writes_fail() -> io::Error {
    io::Error::other("writes are failing")
}

fn begins_anew() -> io::Error {
    io::Error::other("the log has to be begun anew")
}

fn broken() -> io::Error {
    io::Error::other("a sync has failed")
}

fn not_open() -> io::Error {
    io::Error::other("the append-only file is not open")
}
