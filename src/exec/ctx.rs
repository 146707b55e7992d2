//! What a handler sees.
//!
//! A data handler sees the selected db, its reply and the configuration, and nothing else: that is what makes it
//! safe inside MULTI and, later, inside scripts. An administrative handler sees the whole instance. Neither sees a
//! socket: what must happen outside is asked of the [`Host`] or left in [`Instance::asks`] for the server to settle.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::blocking::Progress;
use crate::client::{Client, ClientId, Session};
use crate::config::Config;
use crate::db::{DbMut, Key, Readable};
use crate::exec::call::Origin;
use crate::exec::error::CommandError;
use crate::exec::instance::Instance;
use crate::exec::link::{Link, LinkId};
use crate::exec::long_read::{Here, Now, Pace, ReadJob, When};
use crate::exec::room::ReplyRoom;
use crate::exec::table::Command;
use crate::observe::log::Logger;
use crate::observe::metrics::Metrics;
use crate::persist::aof::AofThread;
use crate::persist::{Received, SaveOutcome};
use crate::resp::{Args, Reply};
use crate::stream::SpillReport;
use crate::sys::process::Process;

/// Context of a command that works on data.
pub type DataCtx<'a> = Ctx<'a, Now>;

/// What came of a handler that may read much.
pub type ReadResult = Result<Progress, CommandError>;

/// Context of a command that works on data, or reads it as it was: see [`crate::exec::long_read`].
pub struct Ctx<'a, W: When> {
    /// The selected db, with its clock and statistics.
    pub db: W::Db<'a>,
    /// Where the reply goes.
    pub reply: &'a mut Reply,
    /// The running configuration.
    pub config: &'a Config,
    /// For what an operator should know of data that was refused.
    pub log: &'a Logger,
    /// The command being executed.
    pub command: &'static Command,
    /// A script calls: what has no order of its own comes in one that does not depend on how it lies in memory.
    pub in_script: bool,
    /// How much is too much, and whether to go on.
    pub pace: W::Pace<'a>,
    /// Hash of the first key, computed when the batch was prefetched.
    pub(super) first_key_hash: Option<u64>,
}

impl<W: When> Ctx<'_, W> {
    /// Argument `i` as a key. The first key's hash is known from the prefetch of the batch.
    #[inline]
    pub fn key<'k>(&self, args: Args<'k>, i: usize) -> Key<'k> {
        let bytes = args.get(i).expect("the arity was checked, and handlers look at existing arguments");
        match self.first_key_hash {
            Some(hash) if i == usize::from(self.command.first_key) => Key { bytes, hash },
            _ => self.db.key(bytes),
        }
    }

    /// The room for a reply whose size the client chooses.
    pub fn reply_room(&self) -> ReplyRoom {
        self.pace.room(self.reply, self.config)
    }
}

/// Context of a command that works on the instance.
pub struct AdminCtx<'a> {
    /// Redis without sockets.
    pub inst: &'a mut Instance,
    /// Who called; it is out of `inst.clients` meanwhile, and its connection in it.
    pub session: &'a mut Session,
    /// The outside.
    pub host: &'a mut dyn Host,
    /// The command being executed.
    pub command: &'static Command,
    /// Who has it run.
    pub origin: Origin<'a>,
}

impl AdminCtx<'_> {
    /// Where the reply goes.
    pub fn reply(&mut self) -> &mut Reply {
        &mut self.session.reply
    }

    /// How much is too much to be read here.
    pub fn pace(&self) -> Here {
        self.inst.read_pace(self.origin.may_block())
    }

    /// The db this session has selected.
    pub fn db(&mut self) -> DbMut<'_> {
        self.inst.keyspace.db(self.session.db as usize, self.inst.now_ms)
    }

    /// The client that called, with its connection; a session without one is none.
    pub fn caller(&self) -> Option<Client<'_>> {
        self.inst.clients.with(self.session)
    }
}

/// What the instance needs from the world it runs in. The server implements it over the reactor; a simulation over
/// memory.
pub trait Host {
    /// Listens where the configuration now says, and stops listening elsewhere. On error nothing has changed.
    fn relisten(&mut self, config: &Config) -> Result<(), String>;

    /// Serves metrics and health where the configuration now says, and no longer elsewhere. On error nothing has
    /// changed.
    fn observe(&mut self, config: &Config, metrics: &Arc<Metrics>, log: &Logger) -> Result<(), String>;

    /// The process that the instance is in.
    fn process(&self) -> &dyn Process;

    /// The latest monotonic time, ns.
    fn now_ns(&self) -> u64;

    /// Wall clock, µs since 1970: read now, not cached.
    fn wall_us(&self) -> i64;

    /// What the monotonic clock is, in a few words.
    fn clock_name(&self) -> String;

    /// What the snapshot thread calls with its outcome: brings it to [`Instance::saved`].
    fn when_saved(&self) -> Box<dyn FnOnce(SaveOutcome) + Send>;

    /// The same for a copy of the data set that replicas wait for: brings the outcome to [`Instance::copy_is_made`].
    fn when_copied(&self) -> Box<dyn FnOnce(SaveOutcome) + Send>;

    /// The same for the base of an append-only file: brings the outcome to [`Instance::rewritten`].
    fn when_rewritten(&self) -> Box<dyn FnOnce(SaveOutcome) + Send>;

    /// What the snapshot thread calls when there is more of a copy for replicas that wait for it: has a turn begin.
    fn when_copy_grows(&self) -> Box<dyn Fn() + Send + Sync>;

    /// What the thread calls that keeps a part of the feed on the disk: brings it to [`Instance::spill_reports`].
    fn when_spilled(&self) -> Box<dyn Fn(SpillReport) + Send>;

    /// What the thread that writes a copy of a primary's data set calls: brings it to [`Instance::copy_is_received`].
    fn when_received(&self) -> Box<dyn Fn(Received) + Send>;

    /// Starts the thread that writes the append-only file; its reports are brought to [`Instance::aof_reports`].
    fn start_aof_thread(&self) -> io::Result<AofThread>;

    /// What the thread that frees calls when it is done with what a client waits for: brings it to
    /// [`Instance::memory_is_freed`].
    fn when_freed(&self, client: ClientId) -> Box<dyn FnOnce() + Send>;

    /// Has another thread run the job, and brings what comes of it to [`Instance::read_is_done`].
    fn read_elsewhere(&mut self, job: ReadJob);

    /// Connects, and drives the link until it is over; then has [`Link::finish`] called between commands.
    fn open_link(&mut self, link: Box<dyn Link>) -> LinkId;

    /// Has [`Link::on_wake`] called soon, if there is such a link.
    fn wake_link(&mut self, id: LinkId);

    /// Closes a link, if there is one, without a word to it.
    fn drop_link(&mut self, id: LinkId);

    /// The same here and now: everybody waits until the link is over, and nothing is called then.
    fn drive_link(&mut self, link: &mut dyn Link);

    /// Does nothing for so long, and keeps everybody waiting: DEBUG SLEEP.
    fn sleep(&self, duration: Duration);

    /// Lets the other clients have a turn, in the middle of a command. Whatever they may do now can have happened
    /// afterwards: an alert ([`Alert`](crate::exec::instance::Alert)) keeps them from what the command must not meet.
    fn serve_others(&mut self, inst: &mut Instance);

    /// Raises the limit of open files for `maxclients` clients. The error says how many are possible.
    fn allow_clients(&mut self, maxclients: u64) -> Result<(), String>;
}
