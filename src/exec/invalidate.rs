//! Keys that have changed, to the clients that cache them; and what they read, into the table.
//!
//! Others hear of a change when the command that made it is over, between the events of that command (`exec/unit.rs`), and
//! whoever made it at the end of its unit, behind its reply and behind the events. A command's changes are worked off
//! before what it has read is remembered, so that a key which it found expired is remembered after all.
//!
//! What is collected for prefixes is told before the loop sleeps ([`Instance::broadcast_invalidations`]).

use std::ops::Range;
use std::rc::Rc;

use crate::client::{Attention, Clients, INVALIDATE, Outbox, PushKind, Session};
use crate::db::{Touched, TouchedKeys};
use crate::exec::call::Request;
use crate::exec::instance::{Alert, Instance};
use crate::exec::keys;
use crate::exec::spec::Flags;
use crate::reactor::ConnId;
use crate::resp::push_bulk;
use crate::tracking::{Modes, Tracker, Wanted};
use crate::util::num;

/// Whether the user of a client may read a key, and so hear its name. Everybody may read everything yet.
fn may_read(_clients: &Clients, _who: &Tracker, _key: &[u8]) -> bool {
    true
}

impl Instance {
    /// CLIENT TRACKING ON. A session without connection cannot be told anything.
    pub fn track_keys(&mut self, session: &mut Session, wanted: Wanted) {
        let Some(conn) = session.conn else { return };
        session.receives = true;
        if let Some(target) = self.clients.conn_of(wanted.redirect).and_then(|conn| self.clients.of_mut(conn)) {
            target.session.receives = true;
        }
        self.tracking.turn_on(&mut session.tracker, conn, wanted);
        self.listen_for_caches();
    }

    /// CLIENT TRACKING OFF.
    pub fn end_tracking(&mut self, session: &mut Session) {
        if let Some(tracker) = &session.tracker {
            self.tracking.turn_off(tracker);
            session.attention.put(Attention::CACHING, false);
            self.listen_for_caches();
        }
    }

    /// The client is gone.
    pub(super) fn forget_tracker(&mut self, session: &mut Session) {
        if let Some(tracker) = session.tracker.take() {
            self.tracking.leave(&tracker);
            self.listen_for_caches();
        }
    }

    fn listen_for_caches(&mut self) {
        self.keyspace.set_tracking(self.tracking.must_listen());
    }

    /// A command is over: what it has read is remembered for its client, if that tracks.
    pub(super) fn track(&mut self, session: &Session, request: &Request<'_>) {
        if let Some(tracker) = &session.tracker
            && tracker.reads_count()
            && request.command.flags.has(Flags::READONLY)
            && !request.command.flags.has(Flags::PUBSUB)
        {
            let (modes, said) = (tracker.modes(), session.attention.has(Attention::CACHING));
            if (modes.has(Modes::OPTIN) && !said) || (modes.has(Modes::OPTOUT) && said) {
                return;
            }
            keys::each(request.command, request.args, |key| self.tracking.remember(tracker, key));
            self.check_tracking_table();
        }
    }

    /// Whether there are too many keys: then some are forgotten before the next command, and before the loop sleeps.
    pub(super) fn check_tracking_table(&mut self) {
        let full = self.tracking.is_too_long(self.config.limits.tracking_table_max_keys);
        self.alert.put(Alert::TRACKING_TABLE_FULL, full);
    }

    /// Forgets keys while there are more than `tracking-table-max-keys`. Whoever has read them cannot be told of their
    /// next change, and so is told now.
    pub(super) fn shorten_tracking(&mut self) {
        if self.alert.has(Alert::TRACKING_TABLE_FULL) {
            let keys_max = self.config.limits.tracking_table_max_keys;
            let Instance { tracking, clients, outbox, rng, .. } = self;
            tracking.shorten(keys_max, rng, |key, tracker| tell(clients, outbox, tracker, Some(key)));
            self.check_tracking_table();
        }
    }

    /// Tells of some of the keys that were changed, by `calling` unless they went by themselves.
    pub(super) fn invalidate(&mut self, touched: &TouchedKeys, some: Range<usize>, calling: Option<ConnId>) {
        if some.is_empty() {
            return;
        }
        let Instance { tracking, clients, outbox, .. } = self;
        let mut own = std::mem::take(&mut tracking.own);
        for touch in touched.range(some) {
            let (key, writer) = match touch {
                Touched::Key(key) => (Some(key), calling),
                Touched::Gone(key) => (Some(key), None),
                Touched::All => (None, None),
            };
            let to_one = |tracker: &Rc<Tracker>| {
                if calling != Some(tracker.conn) {
                    tell(clients, outbox, tracker, key);
                } else if writer.is_none() || !tracker.modes().has(Modes::NOLOOP) {
                    own.push((Rc::clone(tracker), key.map(Box::from)));
                }
            };
            match key {
                Some(key) => tracking.changed(key, writer, to_one),
                None => tracking.all_changed(to_one),
            }
        }
        self.tracking.own = own;
        if self.tracking.clients() == 0 {
            self.listen_for_caches();
        }
    }

    /// The unit is over: its client hears of the keys that it has changed and caches itself.
    pub(super) fn tell_own_changes(&mut self) {
        let Instance { tracking, clients, outbox, .. } = self;
        for (tracker, key) in tracking.own.drain(..) {
            tell(clients, outbox, &tracker, key.as_deref());
        }
    }

    /// Tells what has changed of the prefixes that clients have named: each message is made once for all who get the same.
    /// Before the loop sleeps.
    pub fn broadcast_invalidations(&mut self) {
        if !self.tracking.prefixes().has_pending() {
            return;
        }
        let Instance { tracking, clients, outbox, .. } = self;
        let (mut direct, mut redirected) = (Vec::new(), Vec::new());
        tracking.prefixes_mut().tell(|changed, receivers| {
            let keys = changed.sorted();
            for tracker in receivers {
                let Some((kind, to)) = receiver(clients, outbox, tracker) else { continue };
                let ignores_own = tracker.modes().has(Modes::NOLOOP);
                let hears = |&(key, writer): &(&[u8], Option<ConnId>)| {
                    !(ignores_own && writer == Some(tracker.conn)) && may_read(clients, tracker, key)
                };
                if !keys.iter().all(hears) {
                    let heard = || keys.iter().filter(|key| hears(key)).map(|(key, _)| *key);
                    if heard().next().is_some() {
                        outbox.send(kind, 0, [to], |out| push_keys(out, heard()));
                    }
                } else if kind == PushKind::Redirected {
                    redirected.push(to);
                } else {
                    direct.push(to);
                }
            }
            for (kind, to) in [(PushKind::Invalidation, &mut direct), (PushKind::Redirected, &mut redirected)] {
                if !to.is_empty() {
                    outbox.send(kind, 0, to.drain(..), |out| push_keys(out, keys.iter().map(|(key, _)| *key)));
                }
            }
        });
    }
}

/// Who is told in the place of a client, or that client itself. If the one in its place is gone, the client is told that.
fn receiver(clients: &Clients, outbox: &mut Outbox, tracker: &Tracker) -> Option<(PushKind, ConnId)> {
    let id = tracker.redirect();
    if id == 0 {
        return Some((PushKind::Invalidation, tracker.conn));
    }
    let found = clients.conn_of(id).map(|conn| (PushKind::Redirected, conn));
    if found.is_none() {
        tracker.note_broken();
        outbox.send(PushKind::Invalidation, 0, [tracker.conn], |out| {
            out.extend_from_slice(b">2\r\n$21\r\ntracking-redir-broken\r\n:");
            num::push_u64(out, id);
            out.extend_from_slice(b"\r\n");
        });
    }
    found
}

/// Tells one client, or who stands in its place, of one key, or of all.
fn tell(clients: &Clients, outbox: &mut Outbox, tracker: &Tracker, key: Option<&[u8]>) {
    if let Some((kind, to)) = receiver(clients, outbox, tracker) {
        outbox.send(kind, 0, [to], |out| match key {
            Some(key) => push_keys(out, std::iter::once(key)),
            None => {
                out.extend_from_slice(INVALIDATE);
                out.extend_from_slice(b"_\r\n");
            }
        });
    }
}

fn push_keys<'a>(out: &mut Vec<u8>, keys: impl Iterator<Item = &'a [u8]> + Clone) {
    out.extend_from_slice(INVALIDATE);
    out.push(b'*');
    num::push_u64(out, keys.clone().count() as u64);
    out.extend_from_slice(b"\r\n");
    keys.for_each(|key| push_bulk(out, key));
}
