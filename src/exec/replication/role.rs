//! Being a primary, being a replica, and the way from one to the other.
//!
//! A primary that is told to follow another one offers what it has as a beginning: if the new primary was its replica,
//! they have their history in common, and only what differs must come. A replica that becomes a primary begins a
//! history of its own, which others may still enter from the old one.

use super::upstream::Shown;
use crate::client::ClientId;
use crate::config::special::Primary;
use crate::config::value::Text;
use crate::db::Target;
use crate::exec::blocked::WaitEnd;
use crate::exec::ctx::Host;
use crate::exec::instance::Instance;
use crate::exec::link::Address;
use crate::observe::log::Level;

impl Instance {
    /// REPLICAOF, with the words that the log has for who asked. False if that primary is followed already.
    pub fn replicate(&mut self, primary: Address, asker: &str, host: &mut dyn Host) -> bool {
        let followed = self.replication.upstream.as_ref().map(|upstream| &upstream.primary);
        if followed
            .is_some_and(|followed| followed.port == primary.port && followed.host.eq_ignore_ascii_case(&primary.host))
        {
            return false;
        }
        let text = format!("REPLICAOF {} enabled (user request from '{asker}')", Shown(&primary));
        // What is followed next may go on in the middle of what was followed last.
        let mut has_history = true;
        let mut stream_db = self.replication.feed.db();
        if self.is_replica() {
            self.close_upstream(host);
            (has_history, stream_db) =
                (self.replication.last_primary.has_history, Some(self.replication.last_primary.stream_db));
        } else {
            self.demote();
        }
        self.log.log(Level::Notice, &text, &[]);
        self.config.replication.replicaof = Primary(Some((Text::from(&*primary.host), primary.port)));
        self.open_upstream(primary, host, has_history, stream_db.unwrap_or(0));
        self.follow_role();
        self.quorum_config_changed();
        self.tell_identity(host);
        true
    }

    /// What follows from being a primary no more.
    fn demote(&mut self) {
        self.log.notice(
            "Before turning into a replica, using my own master parameters to synthesize a cached master: I may be able \
             to synchronize with the new master with just a partial transfer.",
            &[],
        );
        let end = self.replication.feed.end();
        self.replication.feed.activate_at(end);
        let waiting: Vec<ClientId> = self.blocked.ids();
        for id in waiting {
            self.end_wait(id, WaitEnd::RoleChanged);
        }
        self.give_up_quorum();
    }

    /// The server was started, and its data are loaded: it goes on from where the file says that they come from.
    pub fn start_in_role(&mut self, host: &mut dyn Host) {
        let Primary(Some((name, port))) = &self.config.replication.replicaof else { return self.start_as_primary() };
        let primary = Address { host: name.as_bytes().into(), port: *port };
        let lineage = std::mem::take(&mut self.load.lineage);
        let known = lineage.end();
        match known {
            Some((id, offset)) => {
                self.replication.history.replace(id);
                self.replication.feed.activate_at(offset);
            }
            None => {
                let end = self.replication.feed.end();
                self.replication.feed.activate_at(end);
            }
        }
        self.open_upstream(primary, host, known.is_some(), lineage.stream_db);
        self.follow_role();
        self.quorum_config_changed();
        self.tell_identity(host);
    }

    /// Those who followed before the restart may go on, under the old name, and hear of keys whose time was over
    /// meanwhile.
    fn start_as_primary(&mut self) {
        let lineage = std::mem::take(&mut self.load.lineage);
        let Some((id, offset)) = lineage.end() else { return };
        if !self.replication.feed.activate_at(offset) {
            return;
        }
        self.replication.history.came_from(id, offset);
        self.replication.now_alone(self.now_ms);
        self.follow_propagation();
        for (db, key) in lineage.expired {
            let del = [&b"DEL"[..], &key];
            self.keyspace.propagate_always(Target::All, db as usize, del.into_iter());
        }
        self.end_units();
    }

    /// Primaries and replicas may have different scores for the out-of-memory killer.
    pub(super) fn score_of_role(&mut self, host: &dyn Host) {
        // A failure is logged where it happens, and is no reason to stay what we were.
        let _ = self.set_oom_score(host);
    }

    /// REPLICAOF NO ONE.
    pub fn promote(&mut self, asker: &str, host: &mut dyn Host) {
        self.config.replication.replicaof = Primary(None);
        if self.replication.upstream.is_none() {
            return;
        }
        self.close_upstream(host);
        let end = self.replication.feed.end();
        let id = self.new_history_id();
        self.replication.history.go_on_as(id, end);
        let before = self.replication.history.before().map_or(id, |before| before.id);
        self.log.log(
            Level::Notice,
            &format!(
                "Setting secondary replication ID to {before}, valid up to offset: {}. New replication ID is {id}",
                end + 1
            ),
            &[],
        );
        self.replication.own_keys.clear();
        // They come back, and learn the new name.
        self.drop_replicas();
        self.replication.feed.forget_db();
        self.replication.now_alone(self.now_ms);
        self.replication.lease.forget();
        self.follow_role();
        self.quorum_config_changed();
        // A copy that never came to its end has left it off.
        self.resume_aof(host);
        self.tell_identity(host);
        self.score_of_role(host);
        self.log.log(Level::Notice, &format!("MASTER MODE enabled (user request from '{asker}')"), &[]);
    }
}
