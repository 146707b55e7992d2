//! Long reads: a command that reads much, and only reads, is answered by another thread from a snapshot.
//!
//! # How a handler runs in two places
//!
//! Such a handler is written once, over the moment at which its database is read ([`When`]). [`Now`] is the live
//! database on the main thread: lookups count and touch, and before the long part the handler asks its pace
//! ([`Pace::is_long`]) whether so many elements are too many. If so it answers nothing and asks for its client to be
//! blocked ([`crate::blocking::Progress::long_read`]). Then a snapshot is taken, and the same handler runs again with
//! the same arguments on another thread, where its database is that of the snapshot ([`Past`]): it finds what it found
//! before, and nothing is too much.
//!
//! So everything that a request may be refused for without reading much (its syntax, the type of its keys) is refused
//! at once, and the rest of it is what it would have been: the snapshot is of the same moment.
//!
//! # What comes back
//!
//! The reply is made in pieces ([`crate::util::output_buffer::OutputBuffer::seal`]) and comes back as a whole, with
//! what lookups have counted. `readers.rs` puts it where it belongs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::client::ClientId;
use crate::config::Config;
use crate::db::{DbMut, KeyspaceSnapshot, Lookups, PastDb, Readable};
use crate::exec::ctx::Ctx;
use crate::exec::error::CommandResult;
#[cfg(debug_assertions)]
use crate::exec::keys;
use crate::exec::room::ReplyRoom;
use crate::exec::spec::Handler;
use crate::exec::table::Command;
use crate::observe::log::Logger;
use crate::resp::{OwnedArgs, Proto, Reply};
use crate::sys::allocator::ThreadBalance;
use crate::sys::priority;
use crate::util::output_buffer::OutputBuffer;

/// The moment at which a handler's database is read.
pub trait When {
    /// The database.
    type Db<'a>: Readable;
    /// What there is to be asked between elements.
    type Pace<'a>: Pace;
}

/// The live database, on the main thread.
pub enum Now {}

impl When for Now {
    type Db<'a> = DbMut<'a>;
    type Pace<'a> = Here;
}

/// The database of a snapshot, on another thread.
pub enum Past {}

impl When for Past {
    type Db<'a> = PastDb<'a>;
    type Pace<'a> = Away<'a>;
}

/// What a handler that may read much asks before and while it does so.
pub trait Pace {
    /// So many elements are too many to be read here: nothing was replied yet, and nothing is to be.
    fn is_long(&self, elements: usize) -> bool;

    /// After an element was looked at: whether to look at the next one.
    fn works_on(&mut self) -> bool;

    /// After an element was written to the reply: whether to write the next one.
    fn goes_on(&mut self, reply: &mut Reply) -> bool;

    /// The room for a reply that begins now and whose size the client chooses.
    fn room(&self, reply: &Reply, config: &Config) -> ReplyRoom;
}

/// On the main thread nothing comes in between.
pub struct Here {
    /// More elements than this are too many.
    above: u64,
}

impl Here {
    /// Where nothing is too much: in a transaction, and for commands that do not ask.
    pub const ANYTHING: Here = Here { above: u64::MAX };

    /// More than so many elements are too many; 0 for none.
    pub fn up_to(elements: u64) -> Here {
        Here { above: if elements == 0 { u64::MAX } else { elements } }
    }
}

impl Pace for Here {
    #[inline]
    fn is_long(&self, elements: usize) -> bool {
        elements as u64 > self.above
    }

    #[inline]
    fn works_on(&mut self) -> bool {
        true
    }

    #[inline]
    fn goes_on(&mut self, _reply: &mut Reply) -> bool {
        true
    }

    #[inline]
    fn room(&self, reply: &Reply, config: &Config) -> ReplyRoom {
        ReplyRoom::new(reply, config)
    }
}

/// What the main thread shares with the thread that reads.
#[derive(Debug, Default)]
pub struct ReadControl {
    cancelled: AtomicBool,
    /// Bytes that the thread has allocated for this read and not freed.
    bytes: AtomicU64,
}

impl ReadControl {
    /// Nobody waits for the reply any more.
    pub fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
    }

    /// Whether nobody waits.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Relaxed)
    }

    /// Bytes that the read takes, as of some hundred elements ago.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
}

/// Elements between two looks at what the main thread says.
const LOOK_EVERY: u32 = 256;

/// A reply is moved into a piece of its own when it has grown by so much.
const PIECE_BYTES: usize = 64 << 10;

/// On another thread: whether somebody still waits, and pieces of the reply.
pub struct Away<'a> {
    control: &'a ReadControl,
    room: ReplyRoom,
    looked_at: u32,
    /// Bytes of the reply that stay in its buffer: the header, whose length may come last, and the first element.
    kept: Option<usize>,
    /// What the thread has allocated and not freed, and what of that was before.
    balance: ThreadBalance,
    before: u64,
}

impl<'a> Away<'a> {
    fn new(control: &'a ReadControl, room: ReplyRoom) -> Away<'a> {
        let balance = ThreadBalance::new();
        Away { control, room, looked_at: 0, kept: None, before: balance.bytes(), balance }
    }

    #[cold]
    fn look(&self) -> bool {
        self.tell();
        priority::pace();
        !self.control.is_cancelled()
    }

    /// Tells the main thread what this read takes.
    fn tell(&self) {
        let bytes = self.balance.bytes().wrapping_sub(self.before);
        // Less than nothing, when something of before was freed.
        self.control.bytes.store(if bytes > i64::MAX as u64 { 0 } else { bytes }, Relaxed);
    }
}

impl Pace for Away<'_> {
    fn is_long(&self, _elements: usize) -> bool {
        false
    }

    #[inline]
    fn works_on(&mut self) -> bool {
        self.looked_at += 1;
        if self.looked_at < LOOK_EVERY {
            return true;
        }
        self.looked_at = 0;
        self.look()
    }

    #[inline]
    fn goes_on(&mut self, reply: &mut Reply) -> bool {
        let kept = *self.kept.get_or_insert_with(|| reply.out.bytes_mut().len());
        if reply.out.unsealed(kept) >= PIECE_BYTES {
            reply.out.seal(kept);
            if self.room.is_exceeded(reply) {
                return false;
            }
        }
        self.works_on()
    }

    fn room(&self, _reply: &Reply, _config: &Config) -> ReplyRoom {
        self.room
    }
}

/// A read for another thread.
pub struct ReadJob {
    pub(super) number: u64,
    pub(super) client: ClientId,
    pub(super) command: &'static Command,
    pub(super) request: OwnedArgs,
    pub(super) snapshot: KeyspaceSnapshot,
    pub(super) db: usize,
    pub(super) now_ms: i64,
    pub(super) proto: Proto,
    pub(super) room: ReplyRoom,
    pub(super) config: Arc<Config>,
    pub(super) log: Logger,
    pub(super) control: Arc<ReadControl>,
}

/// What came of it; hand it to [`crate::exec::instance::Instance::read_is_done`].
pub struct ReadDone {
    pub(super) number: u64,
    pub(super) client: ClientId,
    pub(super) result: CommandResult,
    pub(super) reply: OutputBuffer,
    pub(super) counts: Lookups,
    /// It may have parts that the main thread counts, so that is where it ends.
    pub(super) _request: OwnedArgs,
}

impl std::fmt::Debug for ReadDone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "read {} of {} bytes for client {}", self.number, self.reply.len(), self.client)
    }
}

impl ReadJob {
    /// Reads. The snapshot has ended when this returns.
    pub fn run(self) -> ReadDone {
        let ReadJob { number, client, command, request, snapshot, proto, control, .. } = self;
        let (mut reply, args) = (Reply::with_proto(proto), request.view());
        #[cfg_attr(not(debug_assertions), expect(unused_mut, reason = "declared in debug builds only"))]
        let mut db = snapshot.db(self.db, self.now_ms);
        #[cfg(debug_assertions)]
        db.declare(keys::declared(command, args));
        let mut ctx = Ctx {
            db,
            reply: &mut reply,
            config: &self.config,
            log: &self.log,
            command,
            in_script: false,
            pace: Away::new(&control, self.room),
            first_key_hash: None,
        };
        let result = match command.handler {
            _ if control.is_cancelled() => Ok(()),
            Handler::Read { past, .. } | Handler::AdminRead { past, .. } => past(&mut ctx, args).map(drop),
            Handler::Data(_) | Handler::Blocking(_) | Handler::Admin(_) | Handler::AdminBlocking(_) => Ok(()),
            Handler::Container => Ok(()),
        };
        let Ctx { db, pace, .. } = ctx;
        let counts = db.counts();
        drop(db);
        // What is left is the reply, which the main thread does not have yet.
        pace.tell();
        drop(snapshot);
        ReadDone { number, client, result, reply: reply.out, counts, _request: request }
    }
}
