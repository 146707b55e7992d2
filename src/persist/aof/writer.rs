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

use super::directory::{AofDirectory, AofSettings, AofSizes};
use crate::sys::disk::Disk;
use std::io;
use std::path::PathBuf;
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
        /// Where, in the replication stream.
        start_offset: u64,
        /// In no manifest, until a base is installed.
        is_temporary: bool,
    },
    /// The file is complete: it becomes the base.
    Install {
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
    /// Sync what was written, whatever the policy, and say so.
    Settle(Sender<io::Result<()>>),
    /// The log ends here in good order, at this offset of the replication stream; none: it may go on elsewhere.
    Close(Option<u64>),
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
    /// A new increment was begun, or was not.
    Switched(io::Result<()>),
    /// A base was installed, or was not.
    Installed(io::Result<AofSizes>),
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

    /// Whether a group waits to be tried again: until it is written, no other job is to be given.
    pub fn is_stuck(&self) -> bool {
        self.stuck.is_some()
    }

    /// When there is something to be done although nobody asks for it.
    pub fn next_deadline_ns(&self) -> Option<u64> {
        if let Some((_, _, retry_ns)) = self.stuck {
            return Some(retry_ns);
        }
        self.has_to_sync().then_some(self.next_sync_ns)
    }

    fn has_to_sync(&self) -> bool {
        self.policy != SyncPolicy::Never && !self.is_held_back && !self.is_broken && self.flushed != self.written
    }

    /// Does a job, and adds what came of it to `reports`. The buffer that comes back was emptied: it may be used again.
    pub fn run(&mut self, job: Job, now_ns: u64, reports: &mut Vec<Report>) -> Vec<u8> {
        match job {
            Job::Adopt(directory) => self.adopt(directory),
            Job::Open(disk, settings) => match AofDirectory::load(disk, *settings) {
                Ok(directory) => self.adopt(Box::new(directory)),
                Err(error) => reports.push(Report::Opened(error)),
            },
            Job::Write(bytes, position) => return self.write(bytes, position, now_ns, reports),
            Job::Switch { start_offset, is_temporary } => {
                let switched = match (&mut self.directory, &self.stuck) {
                    (Some(directory), None) => directory.switch(start_offset, is_temporary),
                    (_, Some(_)) => Err(io::Error::other("writes are failing")),
                    (None, _) => Err(not_open()),
                };
                if switched.is_ok() {
                    (self.is_broken, self.is_temporary) = (false, is_temporary);
                    self.flushed = self.written;
                    if !is_temporary {
                        self.all_is_synced(); // a switch syncs what it leaves
                    }
                }
                reports.push(Report::Switched(switched));
            }
            Job::Install { temp, is_rdb, start_offset } => {
                let installed = match &mut self.directory {
                    Some(directory) => directory.install(&temp, is_rdb, start_offset),
                    None => Err(not_open()),
                };
                if installed.is_ok() && std::mem::take(&mut self.is_temporary) {
                    // What was dropped is in the base, and the temporary increment was synced.
                    self.all_is_synced();
                }
                reports.push(Report::Installed(installed.map(|()| self.sizes())));
            }
            Job::Configure { annotations, keeps_history } => {
                if let Some(directory) = &mut self.directory {
                    directory.configure(annotations, keeps_history);
                    directory.collect();
                }
            }
            Job::Settle(answer) => {
                let settled = match self.stuck {
                    Some(_) => Err(io::Error::other("writes are failing")),
                    None => self.sync(),
                };
                let _ = answer.send(settled); // nobody waits any more: nothing to say
            }
            Job::Close(end_offset) => {
                let closed = self.directory.take().map_or(Ok(()), |mut directory| {
                    let end_offset = end_offset.filter(|_| self.stuck.is_none() && !self.is_broken);
                    directory.close(end_offset)
                });
                self.stuck = None;
                self.is_temporary = false;
                self.all_is_synced();
                reports.push(Report::Closed(closed));
            }
        }
        Vec::new()
    }

    fn write(&mut self, mut bytes: Vec<u8>, position: Position, now_ns: u64, reports: &mut Vec<Report>) -> Vec<u8> {
        let Some(directory) = self.directory.as_mut().filter(|_| !self.is_broken) else {
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
                return false;
            }
            self.write(bytes, position, now_ns, &mut Vec::new()); // it was said that it fails
            if self.stuck.is_some() {
                return false;
            }
            reports.push(Report::WriteRecovered);
        }
        let is_due = self.policy == SyncPolicy::Always || now_ns >= self.next_sync_ns;
        if !self.has_to_sync() || !is_due {
            return false;
        }
        self.next_sync_ns = now_ns + SYNC_PERIOD_NS;
        match self.sync() {
            Ok(()) => reports.push(Report::Synced),
            Err(error) => reports.push(Report::SyncFailed(error)),
        }
        true
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.is_broken {
            return Err(io::Error::other("a sync has failed before"));
        }
        let synced = self.directory.as_mut().map_or(Ok(()), |directory| directory.sync());
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

    fn adopt(&mut self, directory: Box<AofDirectory>) {
        self.directory = Some(directory);
        (self.is_broken, self.is_temporary) = (false, false);
        self.all_is_synced();
    }

    fn all_is_synced(&mut self) {
        (self.flushed, self.synced) = (self.written, self.written);
    }
}

fn not_open() -> io::Error {
    io::Error::other("the append-only file is not open")
}
