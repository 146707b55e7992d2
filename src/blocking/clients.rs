//! Who waits: a queue for each key, and all deadlines in order.
//!
//! A client's *arrival* is a number that rises with every client that begins to wait. It is the client's place in every
//! queue it stands in, and stays the same while its request is tried in vain, so nobody overtakes.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use super::wait::{Wait, WaitFor};
use crate::client::ClientId;
use crate::db::blocking_keys::BlockingKeys;
use crate::resp::OwnedArgs;

/// A client that waits, and its request.
#[derive(Debug)]
pub struct BlockedClient {
    /// What it waits for.
    pub wait: Wait,
    /// The db it had selected.
    pub db: u32,
    /// Number of the command in the command table.
    pub command: u16,
    /// The request as it was sent.
    pub request: OwnedArgs,
    /// What running it has cost so far, ns.
    pub spent_ns: Cell<u64>,
    /// When the wait is over, on the monotonic clock; `None` for never.
    pub deadline_ns: Option<u64>,
}

impl BlockedClient {
    /// What is run when a key is ready.
    pub fn again(&self) -> &OwnedArgs {
        self.wait.again.as_ref().unwrap_or(&self.request)
    }
}

/// A client in a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Next {
    /// Its place.
    pub arrival: u64,
    /// Who.
    pub client: ClientId,
    /// What it waits for.
    pub what: WaitFor,
}

/// The clients that wait for one key, in order of arrival.
#[derive(Default)]
struct Queue {
    clients: BTreeMap<u64, (ClientId, WaitFor)>,
    /// How many of them the end of the key concerns.
    absence: usize,
}

/// What INFO tells of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Clients that wait.
    pub clients: usize,
    /// Of those, clients that wait for a limited time.
    pub with_timeout: usize,
    /// Keys that are waited for.
    pub keys: usize,
    /// Of those, keys whose end concerns somebody.
    pub keys_on_absence: usize,
}

/// All clients that wait.
#[derive(Default)]
pub struct BlockedClients {
    queues: HashMap<u32, HashMap<Box<[u8]>, Queue>>,
    blocked_clients: HashMap<ClientId, (u64, Rc<BlockedClient>)>,
    deadlines: BTreeSet<(u64, ClientId)>,
    arrivals: u64,
    /// Keys whose end concerns somebody.
    keys_on_absence: usize,
}

impl BlockedClients {
    /// Puts a client at the end of the queue of every key it waits for.
    pub fn add(&mut self, blocking_keys: &mut BlockingKeys, client: ClientId, blocked: BlockedClient) {
        self.arrivals += 1;
        let arrival = self.arrivals;
        let what = blocked.wait.what;
        for key in &blocked.wait.keys {
            let queue = self.queues.entry(blocked.db).or_default().entry(key.clone()).or_default();
            let first_time = queue.clients.insert(arrival, (client, what)).is_none();
            if first_time && what.is_met_by_absence() {
                queue.absence += 1;
                self.keys_on_absence += usize::from(queue.absence == 1);
            }
            blocking_keys.want(blocked.db, key);
        }
        self.deadlines.extend(blocked.deadline_ns.map(|at| (at, client)));
        self.blocked_clients.insert(client, (arrival, Rc::new(blocked)));
    }

    /// Takes a client out of all queues.
    pub fn remove(&mut self, blocking_keys: &mut BlockingKeys, client: ClientId) -> Option<Rc<BlockedClient>> {
        let (arrival, blocked) = self.blocked_clients.remove(&client)?;
        let what = blocked.wait.what;
        if let Some(queues) = self.queues.get_mut(&blocked.db) {
            for key in &blocked.wait.keys {
                let Some(queue) = queues.get_mut(key) else { continue };
                let was_there = queue.clients.remove(&arrival).is_some();
                if was_there && what.is_met_by_absence() {
                    queue.absence -= 1;
                    self.keys_on_absence -= usize::from(queue.absence == 0);
                }
                if queue.clients.is_empty() {
                    queues.remove(key);
                    blocking_keys.unwant(blocked.db, key);
                }
            }
            if queues.is_empty() {
                self.queues.remove(&blocked.db);
            }
        }
        if let Some(at) = blocked.deadline_ns {
            self.deadlines.remove(&(at, client));
        }
        Some(blocked)
    }

    /// All of them, in the order in which they came.
    pub fn ids(&self) -> Vec<ClientId> {
        let mut all: Vec<_> = self.blocked_clients.iter().map(|(id, (arrival, _))| (*arrival, *id)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, id)| id).collect()
    }

    /// What a client waits for. Shared, so that its request can run while it keeps its place in the queues.
    pub fn client(&self, client: ClientId) -> Option<Rc<BlockedClient>> {
        self.blocked_clients.get(&client).map(|(_, blocked)| Rc::clone(blocked))
    }

    /// Whether a client waits.
    pub fn has(&self, client: ClientId) -> bool {
        self.blocked_clients.contains_key(&client)
    }

    /// How many clients wait.
    pub fn len(&self) -> usize {
        self.blocked_clients.len()
    }

    /// Nobody waits.
    pub fn is_empty(&self) -> bool {
        self.blocked_clients.is_empty()
    }

    /// The place of whoever came last.
    pub fn latest_arrival(&self) -> u64 {
        self.arrivals
    }

    /// The first client in a key's queue whose place is after `arrival` (0 is before everybody's).
    pub fn next_after(&self, db: u32, key: &[u8], arrival: u64) -> Option<Next> {
        let queue = self.queues.get(&db)?.get(key)?;
        let (&arrival, &(client, what)) = queue.clients.range(arrival + 1..).next()?;
        Some(Next { arrival, client, what })
    }

    /// Whether the end of this key concerns anybody.
    pub fn concerns_absence(&self, db: u32, key: &[u8]) -> bool {
        self.queues.get(&db).and_then(|queues| queues.get(key)).is_some_and(|queue| queue.absence > 0)
    }

    /// When the next client has waited for long enough.
    #[inline]
    pub fn next_deadline_ns(&self) -> Option<u64> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// A client whose time is over; the same one again until it is removed.
    pub fn due(&self, now_ns: u64) -> Option<ClientId> {
        self.deadlines.first().filter(|(at, _)| *at <= now_ns).map(|(_, client)| *client)
    }

    /// Counts, over all databases.
    pub fn totals(&self) -> Totals {
        Totals {
            clients: self.blocked_clients.len(),
            with_timeout: self.deadlines.len(),
            keys: self.queues.values().map(HashMap::len).sum(),
            keys_on_absence: self.keys_on_absence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::contract::TypeName;
    use std::time::Duration;

    /// A world of lists in which `pop` and `move` wait: the room with a fake command.
    #[derive(Default)]
    struct World {
        blocked: BlockedClients,
        blocking_keys: BlockingKeys,
        lists: BTreeMap<String, Vec<u64>>,
        told: Vec<(ClientId, Option<u64>)>,
    }

    impl World {
        /// BLPOP keys, or BLMOVE key to.
        fn pop(&mut self, client: ClientId, keys: &str, to: Option<&str>, timeout_ns: Option<u64>) {
            let request = OwnedArgs::from_parts(keys.split(' ').chain(to.map(|to| ["to", to]).into_iter().flatten()));
            if self.try_pop(client, &request) {
                return;
            }
            let timeout = timeout_ns.map(Duration::from_nanos);
            let wait = Wait::on(WaitFor::List, keys.split(' ').map(str::as_bytes), timeout);
            let blocked =
                BlockedClient { wait, db: 0, command: 0, request, spent_ns: Cell::new(0), deadline_ns: timeout_ns };
            self.blocked.add(&mut self.blocking_keys, client, blocked);
        }

        fn try_pop(&mut self, client: ClientId, request: &OwnedArgs) -> bool {
            let words: Vec<String> =
                request.view().iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
            let (keys, to) = match words.iter().position(|word| word == "to") {
                Some(at) => (&words[..at], Some(&words[at + 1])),
                None => (&words[..], None),
            };
            let Some(key) = keys.iter().find(|key| self.lists.contains_key(*key)) else { return false };
            let list = self.lists.get_mut(key).expect("just found");
            let value = list.remove(0);
            if list.is_empty() {
                self.lists.remove(key);
            }
            self.blocking_keys.touch(0, key.as_bytes());
            if let Some(to) = to {
                self.push_raw(to, value);
            }
            self.told.push((client, Some(value)));
            true
        }

        fn push_raw(&mut self, key: &str, value: u64) {
            self.lists.entry(key.to_owned()).or_default().push(value);
            self.blocking_keys.touch(0, key.as_bytes());
        }

        fn push(&mut self, key: &str, value: u64) {
            self.push_raw(key, value);
            self.serve();
        }

        fn serve(&mut self) {
            while let Some((db, key)) = self.blocking_keys.take_ready() {
                let (mut after, latest) = (0, self.blocked.latest_arrival());
                while let Some(next) = self.blocked.next_after(db, &key, after).filter(|n| n.arrival <= latest) {
                    after = next.arrival;
                    let there = self.lists.contains_key(&*String::from_utf8_lossy(&key));
                    if next.what.is_met_by(there.then_some(TypeName::List)) {
                        let request = self.blocked.client(next.client).expect("it is in a queue");
                        if self.try_pop(next.client, request.again()) {
                            self.blocked.remove(&mut self.blocking_keys, next.client);
                        }
                    }
                }
            }
        }

        fn pass_time(&mut self, now_ns: u64) {
            while let Some(client) = self.blocked.due(now_ns) {
                self.blocked.remove(&mut self.blocking_keys, client);
                self.told.push((client, None));
            }
        }
    }

    #[test]
    fn first_come_first_served() {
        let mut w = World::default();
        w.pop(1, "a b", None, None);
        w.pop(2, "b", None, None);
        w.pop(3, "b a a", None, None);
        assert_eq!(w.blocked.totals(), Totals { clients: 3, with_timeout: 0, keys: 2, keys_on_absence: 0 });
        w.push("b", 10);
        w.push("b", 11);
        w.push("b", 12);
        w.push("b", 13);
        assert_eq!(w.told, [(1, Some(10)), (2, Some(11)), (3, Some(12))]);
        assert!(w.blocked.is_empty() && w.blocking_keys.is_idle());
        assert_eq!(w.lists["b"], [13]);
    }

    #[test]
    fn several_at_once_go_to_several() {
        let mut w = World::default();
        (1..=3).for_each(|client| w.pop(client, "a", None, None));
        w.push_raw("a", 10);
        w.push_raw("a", 11);
        w.serve();
        assert_eq!(w.told, [(1, Some(10)), (2, Some(11))]);
        assert_eq!(w.blocked.totals().keys, 1);
    }

    #[test]
    fn moves_chain_until_nothing_is_ready() {
        let mut w = World::default();
        w.pop(3, "c", None, None);
        w.pop(1, "a", Some("b"), None);
        w.pop(2, "b", Some("c"), None);
        w.push("a", 7);
        assert_eq!(w.told, [(1, Some(7)), (2, Some(7)), (3, Some(7))]);
        assert!(w.lists.is_empty() && w.blocking_keys.is_idle());
    }

    #[test]
    fn a_move_onto_its_own_key_ends() {
        let mut w = World::default();
        w.pop(1, "a", Some("a"), None);
        w.pop(2, "a", None, None);
        w.push("a", 7);
        assert_eq!(w.told, [(1, Some(7)), (2, Some(7))]);
        assert!(w.blocked.is_empty());
    }

    #[test]
    fn deadlines_come_in_their_order() {
        let mut w = World::default();
        w.pop(1, "a", None, Some(300));
        w.pop(2, "a", None, Some(100));
        w.pop(3, "a", None, None);
        w.pop(4, "a", None, Some(100));
        assert_eq!(w.blocked.next_deadline_ns(), Some(100));
        assert_eq!(w.blocked.totals().with_timeout, 3);
        w.pass_time(99);
        assert!(w.told.is_empty());
        w.pass_time(100);
        assert_eq!(w.told, [(2, None), (4, None)]);
        w.push("a", 1);
        w.pass_time(1000);
        assert_eq!(w.told[2..], [(1, Some(1))], "who was served is not timed out");
        assert_eq!((w.blocked.len(), w.blocked.next_deadline_ns()), (1, None));
    }

    #[test]
    fn some_care_for_the_end_of_a_key() {
        let mut waiting = BlockedClients::default();
        let mut blocking_keys = BlockingKeys::default();
        let blocked = |what| BlockedClient {
            wait: Wait::on(what, [&b"s"[..], b"s"], None),
            db: 5,
            command: 0,
            request: OwnedArgs::new(),
            spent_ns: Cell::new(0),
            deadline_ns: None,
        };
        waiting.add(&mut blocking_keys, 1, blocked(WaitFor::Stream));
        assert!(!waiting.concerns_absence(5, b"s"));
        waiting.add(&mut blocking_keys, 2, blocked(WaitFor::StreamGroup));
        assert!(waiting.concerns_absence(5, b"s"));
        assert_eq!(waiting.totals().keys_on_absence, 1);
        waiting.remove(&mut blocking_keys, 2);
        assert!(!waiting.concerns_absence(5, b"s"));
        assert_eq!(waiting.totals().keys_on_absence, 0);
        assert!(waiting.remove(&mut blocking_keys, 2).is_none());
        assert!(waiting.has(1) && !waiting.has(2));
        waiting.remove(&mut blocking_keys, 1);
        assert!(blocking_keys.is_idle());
    }
}
