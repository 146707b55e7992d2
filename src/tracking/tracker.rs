//! One client that tracks keys, and the numbers by which the table of keys knows such clients.
//!
//! A number takes four bytes where the table has one for each key and reader. It belongs to a client from the first
//! CLIENT TRACKING ON to the end of its connection, and to nobody else before the last key that was remembered under it
//! is forgotten: so nobody is told of a key that somebody else has read.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::reactor::ConnId;
use crate::util::bit_set::bit_set;

bit_set! {
    /// How a client tracks.
    Modes: u8 {
        /// It does.
        ON = 0;
        /// Keys by prefix, whoever reads them.
        BCAST = 1;
        /// Only what it reads after CLIENT CACHING YES.
        OPTIN = 2;
        /// All but what it reads after CLIENT CACHING NO.
        OPTOUT = 3;
        /// Not what it changes itself.
        NOLOOP = 4;
        /// The client that is to be told in its place is gone.
        BROKEN_REDIRECT = 5;
    }
}

/// About what a prefix takes on both sides, beside its name.
const PREFIX_BYTES: usize = 160;

/// A client that tracks keys, or did.
#[derive(Debug)]
pub struct Tracker {
    /// Its connection.
    pub conn: ConnId,
    pub(super) number: u32,
    pub(super) modes: Cell<Modes>,
    pub(super) redirect: Cell<u64>,
    pub(super) prefixes: RefCell<BTreeSet<Box<[u8]>>>,
    pub(super) prefix_bytes: Cell<usize>,
    /// How many keys are remembered for it.
    pub(super) items: Cell<u64>,
    /// The connection is closed.
    pub(super) is_gone: Cell<bool>,
}

impl Tracker {
    /// How it tracks.
    #[inline]
    pub fn modes(&self) -> Modes {
        self.modes.get()
    }

    /// It tracks.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.modes.get().has(Modes::ON)
    }

    /// What it reads is remembered, unless it says otherwise with the command.
    #[inline]
    pub fn reads_count(&self) -> bool {
        self.is_on() && !self.modes.get().has(Modes::BCAST)
    }

    /// The CLIENT ID of who is told in its place; 0 for nobody.
    pub fn redirect(&self) -> u64 {
        self.redirect.get()
    }

    /// Who is told in its place is gone.
    pub fn note_broken(&self) {
        let mut modes = self.modes.get();
        modes.put(Modes::BROKEN_REDIRECT, true);
        self.modes.set(modes);
    }

    /// Its prefixes, in order.
    pub fn prefixes(&self) -> Vec<Box<[u8]>> {
        self.prefixes.borrow().iter().cloned().collect()
    }

    /// Memory of it and its prefixes, here and in the tables.
    pub fn memory(&self) -> usize {
        size_of::<Tracker>() + self.prefix_bytes.get() + self.prefixes.borrow().len() * PREFIX_BYTES
    }
}

/// All trackers by their numbers.
#[derive(Debug, Default)]
pub(super) struct Trackers {
    by_number: Vec<Option<Rc<Tracker>>>,
    free: Vec<u32>,
}

impl Trackers {
    /// A tracker that is not on yet.
    pub(super) fn add(&mut self, conn: ConnId) -> Rc<Tracker> {
        let number = self.free.pop().unwrap_or(self.by_number.len() as u32);
        let tracker = Rc::new(Tracker {
            conn,
            number,
            modes: Cell::default(),
            redirect: Cell::default(),
            prefixes: RefCell::default(),
            prefix_bytes: Cell::default(),
            items: Cell::default(),
            is_gone: Cell::default(),
        });
        let at = number as usize;
        if at == self.by_number.len() {
            self.by_number.push(None);
        }
        self.by_number[at] = Some(Rc::clone(&tracker));
        tracker
    }

    /// Who has that number; `None` for who is gone.
    pub(super) fn get(&self, number: u32) -> Option<&Rc<Tracker>> {
        self.by_number[number as usize].as_ref().filter(|tracker| !tracker.is_gone.get())
    }

    /// A key is no longer remembered for that number.
    pub(super) fn lose_item(&mut self, number: u32) {
        let Some(tracker) = &self.by_number[number as usize] else { return };
        tracker.items.set(tracker.items.get() - 1);
        if tracker.items.get() == 0 && tracker.is_gone.get() {
            self.release(number);
        }
    }

    /// Nothing is remembered for anybody any more.
    pub(super) fn lose_all_items(&mut self) {
        for number in 0..self.by_number.len() as u32 {
            let Some(tracker) = &self.by_number[number as usize] else { continue };
            tracker.items.set(0);
            if tracker.is_gone.get() {
                self.release(number);
            }
        }
    }

    /// The connection is closed.
    pub(super) fn leave(&mut self, tracker: &Tracker) {
        tracker.is_gone.set(true);
        if tracker.items.get() == 0 {
            self.release(tracker.number);
        }
    }

    /// Those whose connection is open.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Rc<Tracker>> {
        self.by_number.iter().flatten().filter(|tracker| !tracker.is_gone.get())
    }

    fn release(&mut self, number: u32) {
        self.by_number[number as usize] = None;
        self.free.push(number);
    }
}
