//! Keys with a deadline that clients have written on a replica that takes writes.
//!
//! A replica removes nothing by itself, since its primary says what has expired. But of these the primary knows nothing.

use std::collections::HashSet;

use crate::exec::call::Request;
use crate::exec::instance::Instance;
use crate::exec::keys;
use crate::exec::spec::Flags;

/// So many are looked at each time.
const LOOKS: usize = 200;

/// Which they are: database and name.
pub(super) type OwnKeys = HashSet<(u32, Box<[u8]>)>;

impl Instance {
    /// A client's command has run that may have written keys with a deadline.
    #[cold]
    pub(in crate::exec) fn remember_own_deadlines(&mut self, request: &Request<'_>, db: u32) {
        if !request.command.flags.has(Flags::WRITE) {
            return;
        }
        let Instance { keyspace, replication, .. } = self;
        keys::each(request.command, request.args, |name| {
            if keyspace.deadline_of(db as usize, name).is_some() {
                replication.own_keys.insert((db, name.into()));
            }
        });
    }

    /// Now and then: removes those whose time is over, and forgets those that have no deadline any more.
    pub(super) fn expire_own_keys(&mut self) {
        if self.replication.own_keys.is_empty() {
            return;
        }
        let some: Vec<_> = self.replication.own_keys.iter().take(LOOKS).cloned().collect();
        for (db, name) in some {
            let deadline = self.keyspace.deadline_of(db as usize, &name);
            if deadline.is_some_and(|deadline| deadline >= self.now_ms) {
                continue;
            }
            if deadline.is_some() {
                let mut db = self.keyspace.db(db as usize, self.now_ms);
                let key = db.key(&name);
                db.expire_now(key);
            }
            self.replication.own_keys.remove(&(db, name));
        }
        self.end_units();
    }
}
