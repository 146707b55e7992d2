//! One wait, and what it means.
//!
//! Every source has a token that says what it is: the upper half of a connection's is its generation, the lower its
//! slot; a lower half of all ones marks the few other sources. Readiness for a connection that was closed since, or
//! for a later one in its slot, is told apart by the generation and dropped.
//!
//! A connection is registered once, for both directions (unix sockets: see `conn`). The kernel reports "writable"
//! along with nearly every "readable"; it becomes an [`Event::Writable`] only for a connection whose last write was
//! blocked.

use std::io;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token, Waker};
use signal_hook_mio::v1_0::Signals;
use slab::Slab;

use super::accept::Listeners;
use super::conn::Conn;
use super::event::{ConnId, Event};
use super::mailbox::{Letterbox, Mailbox};

/// The lower half of the token of everything that is no connection.
const NO_CONN: u32 = u32::MAX;
const MAIL: Token = special(0);
const SIGNALS: Token = special(1);
const FIRST_LISTENER: u32 = 2;

/// Readiness taken from the kernel in one wait; more waits for the next turn.
const EVENTS_PER_TURN: usize = 1024;

/// Sockets, signals and mail. `M` is what other threads may send.
pub struct Reactor<M> {
    pub(super) poll: Poll,
    events: Events,
    pub(super) conns: Slab<Conn>,
    pub(super) next_generation: u32,
    pub(super) listeners: Listeners,
    signals: Option<Signals>,
    letterbox: Letterbox<M>,
}

impl<M> Reactor<M> {
    /// A reactor that waits for nothing but mail yet.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), MAIL)?;
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_PER_TURN),
            conns: Slab::new(),
            next_generation: 0,
            listeners: Listeners::default(),
            signals: None,
            letterbox: Letterbox::new(waker),
        })
    }

    /// The sending end of the mailbox.
    pub fn mailbox(&self) -> Mailbox<M> {
        self.letterbox.mailbox()
    }

    /// Watches these signals, which become events and lose their usual effect. Call once, before other threads use
    /// signals of their own.
    pub fn watch_signals(&mut self, numbers: &[i32]) -> io::Result<()> {
        let mut signals = Signals::new(numbers)?;
        self.poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
        self.signals = Some(signals);
        Ok(())
    }

    /// Waits until something happens, at most `wait_max` (`None`: for ever), and appends what it was to `out`.
    /// Returns early, perhaps with nothing, when interrupted. `now_ns` is a clock that never goes back.
    pub fn turn(&mut self, now_ns: u64, wait_max: Option<Duration>, out: &mut Vec<Event<M>>) -> io::Result<()> {
        let wait = self.listeners.bound_wait(now_ns, wait_max);
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        for ready in &self.events {
            let token = ready.token();
            match token {
                MAIL => out.extend(self.letterbox.take_all().map(Event::Mail)),
                SIGNALS => {
                    if let Some(signals) = &mut self.signals {
                        out.extend(signals.pending().map(Event::Signal));
                    }
                }
                _ => match conn_of(token) {
                    Some(id) => {
                        if let Some(conn) = find(&mut self.conns, id) {
                            conn.notice(ready, id, out);
                        }
                    }
                    None => self.listeners.notice((token.0 >> 32) as u32 - FIRST_LISTENER),
                },
            }
        }
        self.accept_all(now_ns, out);
        Ok(())
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.conns.len()
    }

    /// True without any connection.
    pub fn is_empty(&self) -> bool {
        self.conns.is_empty()
    }

    /// True while the connection has not been closed by [`Reactor::close`].
    pub fn contains(&self, id: ConnId) -> bool {
        self.conn(id).is_some()
    }

    pub(super) fn conn(&self, id: ConnId) -> Option<&Conn> {
        self.conns.get(id.index as usize).filter(|conn| conn.generation == id.generation)
    }
}

pub(super) fn find(conns: &mut Slab<Conn>, id: ConnId) -> Option<&mut Conn> {
    conns.get_mut(id.index as usize).filter(|conn| conn.generation == id.generation)
}

const fn special(number: u32) -> Token {
    Token((number as usize) << 32 | NO_CONN as usize)
}

pub(super) fn listener_token(index: u32) -> Token {
    special(index + FIRST_LISTENER)
}

pub(super) fn conn_token(id: ConnId) -> Token {
    Token((id.generation as usize) << 32 | id.index as usize)
}

fn conn_of(token: Token) -> Option<ConnId> {
    let index = token.0 as u32;
    (index != NO_CONN).then_some(ConnId { index, generation: (token.0 >> 32) as u32 })
}
