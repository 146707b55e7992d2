//! What a write leaves behind beside the data: commands to be repeated elsewhere, events, names of keys.
//!
//! Everything that follows a write (files, replicas, subscribers of keyspace events, caches of clients) reads this trace.
//! It is collected here, because only here is it known what changed and when, and worked off by `exec/unit.rs` when the
//! unit is over: a command, a transaction, one served blocked client, one step of expiry or eviction.
//!
//! # Who says what
//!
//! * The write handles note the keys they change and the events of a key's life (`new`, `overwritten`, `del`, `expire`,
//!   `expired`, ...); a handler names the event of its command with the change ([`KeyEvent`]).
//! * A command that changed something is propagated as it came, unless its handler names others that make the same
//!   change ([`DbMut::propagate`]).
//!
//! While nobody listens, each of these is one branch.

use std::ops::Range;

use super::data::DbMut;
use super::entry::Key;
use super::keyspace::{Cause, Keyspace, Side};
use super::slot::Occupied;
use crate::config::KeyspaceEvents;
use crate::resp::{Args, push_command, push_request};
use crate::util::bit_set::bit_set;

bit_set! {
    /// Who wants to know of writes. A write asks whether there is anybody, once.
    Listeners: u8 {
        /// Files and replicas: commands that repeat the change.
        PROPAGATION = 0;
        /// Subscribers of keyspace events.
        EVENTS = 1;
        /// Clients that cache what they read: names of keys.
        TRACKING = 2;
        /// Clients that watch keys, at once.
        WATCH = 3;
        /// Clients that wait for keys, at once.
        BLOCKED = 4;
    }
}

impl Listeners {
    /// Those who hear of it when the unit is over.
    const OF_UNITS: Listeners = Listeners::PROPAGATION.or(Listeners::EVENTS).or(Listeners::TRACKING);
}

/// Something that happens to a key, by the name under which it is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEvent {
    /// Its class: one member of the set.
    pub class: KeyspaceEvents,
    /// `lpush`, `del`, ...
    pub name: &'static str,
    /// Its subscribers hear of it before those do who cache the key. With most it is the other way round.
    pub first: bool,
}

macro_rules! classes {
    ($($(#[$doc:meta])* $function:ident = $class:ident;)*) => {
        impl KeyEvent {
            $($(#[$doc])* pub const fn $function(name: &'static str) -> KeyEvent {
                KeyEvent { class: KeyspaceEvents::$class, name, first: false }
            })*
        }
    };
}

classes! {
    /// Of any type: DEL, EXPIRE, RENAME and the like.
    generic = GENERIC;
    /// Of strings, bitmaps and HyperLogLogs.
    string = STRING;
    /// Of lists.
    list = LIST;
    /// Of sets.
    set = SET;
    /// Of hashes.
    hash = HASH;
    /// Of sorted sets.
    zset = ZSET;
    /// Of streams.
    stream = STREAM;
}

impl KeyEvent {
    /// The same, told before the change is told to caches.
    pub const fn first(self) -> KeyEvent {
        KeyEvent { first: true, ..self }
    }

    /// The key was deleted by a command.
    pub const DEL: KeyEvent = KeyEvent::generic("del");
    /// It has a deadline, or another one.
    pub const EXPIRE: KeyEvent = KeyEvent::generic("expire");
    /// It has no deadline any more.
    pub const PERSIST: KeyEvent = KeyEvent::generic("persist");
    /// SET and its kin.
    pub const SET: KeyEvent = KeyEvent::string("set");
    /// Its time was over.
    pub const EXPIRED: KeyEvent = KeyEvent { class: KeyspaceEvents::EXPIRED, name: "expired", first: true };
    /// It had to go because memory was full.
    pub const EVICTED: KeyEvent = KeyEvent { class: KeyspaceEvents::EVICTED, name: "evicted", first: false };
    /// A reader did not find it.
    pub const MISS: KeyEvent = KeyEvent { class: KeyspaceEvents::KEY_MISS, name: "keymiss", first: false };
    /// It came into being.
    pub const NEW: KeyEvent = KeyEvent { class: KeyspaceEvents::NEW, name: "new", first: true };
    /// Its value was replaced as a whole.
    pub const OVERWRITTEN: KeyEvent =
        KeyEvent { class: KeyspaceEvents::OVERWRITTEN, name: "overwritten", first: false };
    /// Its value was replaced by one of another type.
    pub const TYPE_CHANGED: KeyEvent =
        KeyEvent { class: KeyspaceEvents::TYPE_CHANGED, name: "type_changed", first: false };
}

/// An event that was noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// What.
    pub name: &'static str,
    /// The key's database.
    pub db: u32,
    /// The key.
    pub key: &'a [u8],
    /// How many keys had been changed before it: those who cache them hear of that first.
    pub touched: usize,
}

/// Events in the order in which they happened.
#[derive(Default)]
pub struct Events {
    /// All keys, one behind the other.
    keys: Vec<u8>,
    noted: Vec<Noted>,
}

struct Noted {
    name: &'static str,
    db: u32,
    /// Where its key ends.
    end: usize,
    touched: usize,
    first: bool,
}

impl Events {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.noted.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Event<'_>> {
        (0..self.noted.len()).map(|at| {
            let begin = at.checked_sub(1).map_or(0, |before| self.noted[before].end);
            let Noted { name, db, end, touched, .. } = self.noted[at];
            Event { name, db, key: &self.keys[begin..end], touched }
        })
    }

    fn last(&self) -> Option<(&Noted, &[u8])> {
        let (last, before) = self.noted.split_last()?;
        Some((last, &self.keys[before.last().map_or(0, |before| before.end)..]))
    }

    fn clear(&mut self) {
        self.keys.clear();
        self.keys.shrink_to(REQUESTS_KEPT);
        self.noted.clear();
        self.noted.shrink_to(REQUESTS_KEPT / size_of::<Noted>());
    }
}

/// A key that was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched<'a> {
    /// One key, of whichever database: caches know keys by their names alone.
    Key(&'a [u8]),
    /// One key that no client changed: it expired or was evicted.
    Gone(&'a [u8]),
    /// Every key there was.
    All,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Touch {
    Key,
    Gone,
    All,
}

/// Keys that were changed, each as often as it was, in order.
#[derive(Default)]
pub struct TouchedKeys {
    /// All names, one behind the other.
    names: Vec<u8>,
    /// Of each, where its name ends.
    keys: Vec<(Touch, usize)>,
}

impl TouchedKeys {
    /// How many they are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Some of them.
    pub fn range(&self, range: Range<usize>) -> impl Iterator<Item = Touched<'_>> {
        range.map(|at| {
            let begin = at.checked_sub(1).map_or(0, |before| self.keys[before].1);
            let (touch, end) = self.keys[at];
            let name = &self.names[begin..end];
            match touch {
                Touch::Key => Touched::Key(name),
                Touch::Gone => Touched::Gone(name),
                Touch::All => Touched::All,
            }
        })
    }

    /// How often, at the end and at most back to index `from`, just this key was changed.
    fn names_at_end(&self, from: usize, key: &[u8]) -> usize {
        let is_key = |touch: Touched<'_>| matches!(touch, Touched::Key(name) | Touched::Gone(name) if name == key);
        (from..self.len()).rev().take_while(|&at| self.range(at..at + 1).all(is_key)).count()
    }

    fn push(&mut self, touch: Touch, name: &[u8]) {
        self.names.extend_from_slice(name);
        self.keys.push((touch, self.names.len()));
    }

    fn clear(&mut self) {
        self.names.clear();
        self.names.shrink_to(REQUESTS_KEPT);
        self.keys.clear();
        self.keys.shrink_to(REQUESTS_KEPT / 16);
    }
}

/// Who is to repeat a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// Replicas, and whoever loads the append-only file.
    #[default]
    All,
    /// Replicas: PUBLISH changes nothing that a file could keep.
    Replicas,
    /// Whoever loads the append-only file: DEBUG REPLICATE AOF.
    File,
}

/// One command to be repeated elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op<'a> {
    /// The database it is meant for.
    pub db: u32,
    /// Where.
    pub target: Target,
    /// The command as a RESP request.
    pub request: &'a [u8],
}

/// What was noted since it was last taken.
#[derive(Default)]
pub struct Trace {
    listeners: Listeners,
    /// The classes that are wanted; none unless there is a channel to publish them on.
    classes: KeyspaceEvents,
    /// The requests of all ops, one behind the other.
    requests: Vec<u8>,
    /// Of each op, its database, where its request ends, and who is to repeat it.
    ops: Vec<(u32, usize, Target)>,
    /// The command at hand has named what is to be propagated: not itself.
    is_replaced: bool,
    /// Nobody is to repeat the commands of a script, or only these: redis.set_repl.
    narrowed: Option<Option<Target>>,
    /// Who listened before nobody was to be told.
    muted: Option<Listeners>,
    muted_classes: KeyspaceEvents,
    /// What `dirty` was when the command at hand began.
    dirty: u64,
    events: Events,
    touched: TouchedKeys,
}

impl Trace {
    /// Whether nobody listens who hears of writes when their command or their unit is over.
    #[inline]
    pub fn is_idle(&self) -> bool {
        !self.listeners.has(Listeners::OF_UNITS)
    }

    /// Whether anybody at all listens.
    #[inline]
    pub(super) fn has_listeners(&self) -> bool {
        !self.listeners.is_empty()
    }

    /// Whether there are clients that watch keys, and such that wait for one.
    pub(super) fn set_waiting(&mut self, watch: bool, blocked: bool) {
        self.listeners.put(Listeners::WATCH, watch);
        self.listeners.put(Listeners::BLOCKED, blocked);
    }

    /// Files or replicas listen.
    #[inline]
    pub fn propagates(&self) -> bool {
        self.listeners.has(Listeners::PROPAGATION)
    }

    /// The ops, in order.
    pub fn ops(&self) -> impl ExactSizeIterator<Item = Op<'_>> + Clone {
        (0..self.ops.len()).map(|at| {
            let begin = at.checked_sub(1).map_or(0, |before| self.ops[before].1);
            let (db, end, target) = self.ops[at];
            Op { db, target, request: &self.requests[begin..end] }
        })
    }

    /// The op, if there is one and no other.
    #[inline]
    pub fn only_op(&self) -> Option<Op<'_>> {
        let [(db, _, target)] = self.ops[..] else { return None };
        Some(Op { db, target, request: &self.requests })
    }

    /// The ops are emitted.
    pub fn clear_ops(&mut self) {
        self.ops.clear();
        // One large command is no reason to keep that much for ever.
        if self.requests.capacity() > REQUESTS_KEPT {
            self.requests = Vec::new();
        }
        self.requests.clear();
    }

    /// Whether events were noted.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// The events. To be given back, so that their room is used again.
    pub fn take_events(&mut self) -> Events {
        std::mem::take(&mut self.events)
    }

    /// These events are worked off.
    pub fn give_back_events(&mut self, mut events: Events) {
        events.clear();
        self.events = events;
    }

    /// Clients that cache listen.
    #[inline]
    pub fn tracks(&self) -> bool {
        self.listeners.has(Listeners::TRACKING)
    }

    /// Whether changed keys were noted.
    #[inline]
    pub fn has_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// The keys that were changed. To be given back, so that their room is used again.
    pub fn take_touched(&mut self) -> TouchedKeys {
        std::mem::take(&mut self.touched)
    }

    /// What `dirty` was when the command at hand began.
    pub(super) fn dirty(&self) -> u64 {
        self.dirty
    }

    /// Takes all that was noted; the same listen on. See `aside.rs`.
    pub(super) fn set_aside(&mut self, dirty: u64) -> Trace {
        let fresh = Trace { listeners: self.listeners, classes: self.classes, dirty, ..Trace::default() };
        std::mem::replace(self, fresh)
    }

    /// Ends what [`Trace::set_aside`] began. Whoever began to listen meanwhile, or no longer does, counts.
    pub(super) fn take_back(&mut self, aside: Trace, dirty: u64) {
        *self = Trace { listeners: self.listeners, classes: self.classes, dirty, ..aside };
    }

    /// These keys are worked off.
    pub fn give_back_touched(&mut self, mut touched: TouchedKeys) {
        touched.clear();
        self.touched = touched;
    }

    /// Nobody hears of what is done until [`Trace::unmute`].
    pub(super) fn mute(&mut self) {
        debug_assert!(self.muted.is_none(), "it is done once");
        self.muted = Some(std::mem::take(&mut self.listeners));
        self.muted_classes = std::mem::replace(&mut self.classes, KeyspaceEvents::NONE);
    }

    /// Whether nobody is told.
    pub(super) fn is_muted(&self) -> bool {
        self.muted.is_some()
    }

    /// Everybody hears again. Of what was noted, the first `ops` commands are left, and no event and no key.
    pub(super) fn unmute(&mut self, ops: usize, dirty: u64) {
        self.listeners = self.muted.take().unwrap_or_default();
        self.classes = self.muted_classes;
        self.ops.truncate(ops);
        self.requests.truncate(self.ops.last().map_or(0, |(_, end, _)| *end));
        self.events.clear();
        self.touched.clear();
        (self.dirty, self.is_replaced) = (dirty, false);
    }

    /// Who is to repeat what follows: bit 0 for files, bit 1 for replicas.
    pub fn set_targets(&mut self, targets: u8) {
        self.narrowed = match targets {
            0 => Some(None),
            1 => Some(Some(Target::File)),
            2 => Some(Some(Target::Replicas)),
            _ => None,
        };
    }

    /// Who is left of those whom a command is for; none: nobody.
    #[inline]
    fn narrow(&self, target: Target) -> Option<Target> {
        match (self.narrowed, target) {
            (None, target) => Some(target),
            (Some(to), Target::All) => to,
            (Some(Some(to)), target) if to == target => Some(to),
            (Some(_), _) => None,
        }
    }

    pub(super) fn push<'a>(&mut self, db: usize, args: impl ExactSizeIterator<Item = &'a [u8]>) {
        self.push_for(Target::All, db, args);
    }

    fn push_for<'a>(&mut self, target: Target, db: usize, args: impl ExactSizeIterator<Item = &'a [u8]>) {
        let Some(target) = self.narrow(target) else { return };
        push_command(&mut self.requests, args);
        self.ops.push((db as u32, self.requests.len(), target));
    }

    #[inline]
    pub(super) fn note(&mut self, db: usize, key: &[u8], event: KeyEvent) {
        if self.classes.has(event.class) {
            self.note_event(db, key, event);
        }
    }

    #[cold]
    #[inline(never)]
    fn note_event(&mut self, db: usize, key: &[u8], event: KeyEvent) {
        let last = self.events.last();
        let told = last.map_or(0, |(last, _)| last.touched);
        // The end of a key whose last element was taken goes with that.
        let first = match event {
            KeyEvent::DEL => last.is_some_and(|(last, of)| last.first && of == key),
            _ => event.first,
        };
        let mut touched = self.touched.len();
        if first {
            touched -= self.touched.names_at_end(told, key);
        }
        let Events { keys, noted } = &mut self.events;
        keys.extend_from_slice(key);
        noted.push(Noted { name: event.name, db: db as u32, end: keys.len(), touched, first });
    }

    /// A key was changed by a command.
    #[inline]
    pub(super) fn touch(&mut self, key: &[u8]) {
        if self.listeners.has(Listeners::TRACKING) {
            self.touched.push(Touch::Key, key);
        }
    }

    /// Every key was changed. All databases one after the other are all keys once.
    pub(super) fn touch_all(&mut self) {
        let known = self.touched.keys.last().is_some_and(|(touch, _)| *touch == Touch::All);
        if self.listeners.has(Listeners::TRACKING) && !known {
            self.touched.push(Touch::All, &[]);
        }
    }

    /// A key went without a command.
    pub(super) fn note_gone(&mut self, db: usize, key: &[u8], cause: Cause, lazily: bool) {
        if self.listeners.has(Listeners::TRACKING) {
            self.touched.push(Touch::Gone, key);
        }
        self.note(db, key, if cause == Cause::Expired { KeyEvent::EXPIRED } else { KeyEvent::EVICTED });
        if self.propagates() {
            let name: &[u8] = if lazily { b"UNLINK" } else { b"DEL" };
            self.push(db, [name, key].into_iter());
        }
    }
}

/// Capacity for requests that is kept from one unit to the next, bytes.
const REQUESTS_KEPT: usize = 64 << 10;

impl Keyspace {
    /// What was left behind.
    #[inline]
    pub fn trace(&self) -> &Trace {
        &self.side.trace
    }

    /// What was left behind, to be worked off.
    pub fn trace_mut(&mut self) -> &mut Trace {
        &mut self.side.trace
    }

    /// Whether commands that repeat changes are wanted, by files or replicas.
    pub fn set_propagation(&mut self, on: bool) {
        self.side.trace.listeners.put(Listeners::PROPAGATION, on);
        self.side.trace.dirty = self.side.stats.dirty;
    }

    /// Whether names of changed keys are wanted, by clients that cache.
    pub fn set_tracking(&mut self, on: bool) {
        self.side.trace.listeners.put(Listeners::TRACKING, on);
    }

    /// Which events are wanted; none without a channel to publish them on, unless they are `kept` in a stream.
    pub fn set_events(&mut self, wanted: KeyspaceEvents, kept: bool) {
        let channels = KeyspaceEvents::KEYSPACE.or(KeyspaceEvents::KEYEVENT);
        let wanted = if kept || wanted.has(channels) { wanted } else { KeyspaceEvents::NONE };
        self.side.trace.classes = wanted;
        self.side.trace.listeners.put(Listeners::EVENTS, !wanted.is_empty());
    }

    /// Notes no events while `f` runs: what it writes is about events.
    pub fn without_events<R>(&mut self, f: impl FnOnce(&mut Keyspace) -> R) -> R {
        let classes = std::mem::replace(&mut self.side.trace.classes, KeyspaceEvents::NONE);
        let result = f(self);
        self.side.trace.classes = classes;
        result
    }

    /// A command begins: what it changes is its own. Only while files or replicas listen.
    pub fn begin_command(&mut self) {
        self.side.trace.is_replaced = false;
        self.side.trace.dirty = self.side.stats.dirty;
    }

    /// A command is over that was called with these arguments on this database. It is propagated if it has changed
    /// something and has not named others in its place.
    pub fn end_command(&mut self, db: usize, args: Args<'_>) {
        let Side { trace, stats, .. } = &mut self.side;
        if !std::mem::take(&mut trace.is_replaced)
            && stats.dirty != trace.dirty
            && let Some(target) = trace.narrow(Target::All)
        {
            push_request(&mut trace.requests, args);
            trace.ops.push((db as u32, trace.requests.len(), target));
        }
        // EXEC comes here after the commands inside it, which have told of their own changes.
        trace.dirty = stats.dirty;
    }

    /// A command is over that is not repeated, whatever it changed: DEBUG, EXEC itself.
    pub fn end_silent_command(&mut self) {
        let Side { trace, stats, .. } = &mut self.side;
        trace.is_replaced = false;
        trace.dirty = stats.dirty;
    }

    /// Has a command propagated whether it changed anything or not: FLUSHALL of an empty data set, PUBLISH.
    pub fn propagate_always<'a>(&mut self, target: Target, db: usize, args: impl ExactSizeIterator<Item = &'a [u8]>) {
        if self.side.trace.propagates() {
            self.side.trace.is_replaced = true;
            self.side.trace.push_for(target, db, args);
        }
    }
}

impl DbMut<'_> {
    /// Whether files or replicas listen: what is only said for them need not be worked out otherwise.
    #[inline]
    pub fn propagates(&self) -> bool {
        self.ks.side.trace.propagates()
    }

    /// Has this command propagated in place of the one at hand. May be called several times.
    pub fn propagate(&mut self, args: &[&[u8]]) {
        let at = self.at;
        let trace = &mut self.ks.side.trace;
        if trace.propagates() {
            trace.is_replaced = true;
            trace.push(at, args.iter().copied());
        }
    }

    /// Has the key's deadline propagated, as a point in time, in place of the command at hand.
    pub fn propagate_deadline(&mut self, key: Key<'_>, deadline_ms: i64) {
        if self.propagates() {
            let text = deadline_ms.to_string();
            self.propagate(&[b"PEXPIREAT", key.bytes, text.as_bytes()]);
        }
    }

    /// Has the deletion of a key propagated in place of the command at hand, which found its deadline in the past.
    pub fn propagate_expiry(&mut self, key: Key<'_>) {
        let name: &[u8] = if self.ks.side.options.lazy_expire { b"UNLINK" } else { b"DEL" };
        self.propagate(&[name, key.bytes]);
    }

    /// Has the deletion of a key propagated in place of the command at hand, which took all that was in it.
    pub fn propagate_removal(&mut self, key: Key<'_>) {
        let name: &[u8] = if self.ks.side.options.lazy_server_del { b"UNLINK" } else { b"DEL" };
        self.propagate(&[name, key.bytes]);
    }

    /// Something happened to a key.
    #[inline]
    pub fn notify(&mut self, key: Key<'_>, event: KeyEvent) {
        self.ks.side.trace.note(self.at, key.bytes, event);
    }
}

impl Occupied<'_> {
    /// As [`DbMut::propagates`].
    #[inline]
    pub fn propagates(&self) -> bool {
        self.with.side.trace.propagates()
    }

    /// Something happened to this key.
    #[inline]
    pub fn notify(&mut self, event: KeyEvent) {
        self.with.side.trace.note(self.with.db, self.with.key.bytes, event);
    }
}
