//! Links: conversations with other instances, over connections that this one opens.
//!
//! A link is a state machine without socket and clock: it is told of its connection, given the bytes that came and the
//! time, and appends what it has to say. The world drives it ([`Host::open_link`], [`Host::drive_link`]) by four verbs,
//! [`Link::on_bytes`], [`Link::on_timer`], [`Link::next_deadline`], [`Link::on_close`], besides the beginning and the end.
//! What the end means for the data is done between commands ([`Link::finish`]), and never while one runs.
//!
//! [`Host::open_link`]: crate::exec::ctx::Host::open_link
//! [`Host::drive_link`]: crate::exec::ctx::Host::drive_link

use std::net::IpAddr;

use crate::exec::ctx::Host;
use crate::exec::instance::Instance;
use crate::util::output_buffer::OutputBuffer;

/// Names a link to the world that drives it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LinkId(pub u64);

/// Where another instance listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// A number or a name.
    pub host: Box<[u8]>,
    /// The port.
    pub port: u16,
}

/// The time, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    /// The monotonic one, ns.
    pub mono_ns: u64,
    /// The wall's, ms since 1970.
    pub wall_ms: i64,
}

/// How a link goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// It waits for bytes, or for its deadline.
    Wait,
    /// It wants another connection.
    Reconnect,
    /// It wants no connection, for now. Nothing more is said to it of the one it had.
    HangUp,
    /// It is over.
    Over,
}

/// What became of a connection that the link has not ended itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lost {
    /// Nobody has that name, or there is no way to it.
    Unreachable,
    /// The other end did not take it.
    Refused,
    /// It broke, or the other end has closed it.
    Closed,
}

/// A connection that other conversations may go on with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Which conversations: those with the same [`Link::shares`].
    pub key: Box<[u8]>,
    /// The database that is selected there.
    pub db: i64,
}

/// A conversation.
pub trait Link {
    /// With whom.
    fn address(&self) -> &Address;

    /// From which of our addresses, if that can be had.
    fn source(&self) -> Option<IpAddr> {
        None
    }

    /// Which connections that others have left it may go on with; `None` for none.
    fn shares(&self) -> Option<&[u8]>;

    /// The connection is there. `kept` is what another conversation has left, if it is not a new one.
    fn on_open(&mut self, now: Time, kept: Option<&Kept>, out: &mut OutputBuffer) -> Step;

    /// Some of what it had to say was taken, and so much is left.
    fn on_sent(&mut self, now: Time, left: usize);

    /// These bytes came.
    fn on_bytes(&mut self, now: Time, bytes: &[u8], out: &mut OutputBuffer) -> Step;

    /// Whether it can take more bytes just now. Until [`Host::wake_link`] nothing is
    /// read for it.
    fn wants_bytes(&self) -> bool {
        true
    }

    /// The instance had it woken: it may have something to say, or be ready for more.
    fn on_wake(&mut self, _now: Time, _out: &mut OutputBuffer) -> Step {
        Step::Wait
    }

    /// When it wants to hear of time, on the monotonic clock; `u64::MAX` for never.
    fn next_deadline(&self) -> u64;

    /// Its deadline is over.
    fn on_timer(&mut self, now: Time, out: &mut OutputBuffer) -> Step;

    /// There is no connection, or none any more.
    fn on_close(&mut self, now: Time, lost: Lost) -> Step;

    /// It is over: whether its connection is good for others.
    fn keeps(&self) -> Option<Kept>;

    /// It is over, and no command is running: what follows for the instance.
    fn finish(self: Box<Self>, inst: &mut Instance, host: &mut dyn Host);
}
