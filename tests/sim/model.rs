//! Redis as one would write it for a blackboard: strings, lists, deadlines, blocked clients, transactions.

use std::collections::{BTreeMap, VecDeque};

pub type ClientId = u32;
pub type Name = &'static str;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
const NULL_ARRAY: &str = "*-1\r\n";
const NULL_BULK: &str = "$-1\r\n";

/// A request of the simulation.
#[derive(Clone, Debug)]
pub enum Step {
    Set { key: Name, value: u32, ttl_ms: Option<i64> },
    Get(Name),
    Del(Name),
    Expire { key: Name, ttl_ms: i64 },
    Push { key: Name, value: u32 },
    Pop(Name),
    BlockingPop { keys: Vec<Name>, timeout_ms: i64 },
    BlockingMove { from: Name, to: Name, timeout_ms: i64 },
    Unblock(ClientId),
    Multi,
    Exec,
    Discard,
    Watch(Name),
}

impl Step {
    pub fn words(&self) -> Vec<String> {
        let seconds = |ms: &i64| format!("{:.3}", *ms as f64 / 1000.0);
        let line = match self {
            Step::Set { key, value, ttl_ms: None } => format!("SET {key} {value}"),
            Step::Set { key, value, ttl_ms: Some(ttl) } => format!("SET {key} {value} PX {ttl}"),
            Step::Get(key) => format!("GET {key}"),
            Step::Del(key) => format!("DEL {key}"),
            Step::Expire { key, ttl_ms } => format!("PEXPIRE {key} {ttl_ms}"),
            Step::Push { key, value } => format!("RPUSH {key} {value}"),
            Step::Pop(key) => format!("LPOP {key}"),
            Step::BlockingPop { keys, timeout_ms } => format!("BLPOP {} {}", keys.join(" "), seconds(timeout_ms)),
            Step::BlockingMove { from, to, timeout_ms } => {
                format!("BLMOVE {from} {to} LEFT RIGHT {}", seconds(timeout_ms))
            }
            Step::Unblock(id) => format!("CLIENT UNBLOCK {id}"),
            Step::Multi => "MULTI".to_owned(),
            Step::Exec => "EXEC".to_owned(),
            Step::Discard => "DISCARD".to_owned(),
            Step::Watch(key) => format!("WATCH {key}"),
        };
        line.split(' ').map(str::to_owned).collect()
    }
}

enum Value {
    String(u32),
    List(VecDeque<u32>),
}

struct Entry {
    value: Value,
    deadline_ms: Option<i64>,
}

struct BlockedClient {
    client: ClientId,
    step: Step,
    deadline_ms: Option<i64>,
}

#[derive(Default)]
struct Session {
    queue: Option<Vec<Step>>,
    /// Watched keys: whether they were there, and whether they were written to since.
    watched: BTreeMap<Name, (bool, bool)>,
}

#[derive(Default)]
pub struct Model {
    pub now_ms: i64,
    keys: BTreeMap<Name, Entry>,
    /// In order of arrival.
    waiting: Vec<BlockedClient>,
    ready: VecDeque<Name>,
    sessions: BTreeMap<ClientId, Session>,
    /// What each client is to be sent.
    sent: BTreeMap<ClientId, String>,
}

impl Model {
    pub fn is_blocked(&self, id: ClientId) -> bool {
        self.waiting.iter().any(|blocked| blocked.client == id)
    }

    pub fn is_in_multi(&self, id: ClientId) -> bool {
        self.sessions.get(&id).is_some_and(|session| session.queue.is_some())
    }

    pub fn received(&mut self, id: ClientId) -> String {
        self.sent.remove(&id).unwrap_or_default()
    }

    pub fn say(&mut self, id: ClientId, step: &Step) {
        let session = self.sessions.entry(id).or_default();
        let steers = matches!(step, Step::Multi | Step::Exec | Step::Discard | Step::Watch(_));
        if let (Some(queue), false) = (&mut session.queue, steers) {
            queue.push(step.clone());
            return self.send(id, "+QUEUED\r\n");
        }
        match self.run(id, step, true) {
            Some(reply) => self.send(id, &reply),
            None => self.block(id, step),
        }
        self.serve();
    }

    /// Whoever has waited for long enough is told.
    pub fn end_waits(&mut self) {
        let now_ms = self.now_ms;
        let mut over: Vec<_> = self.waiting.iter().filter_map(|w| Some((w.deadline_ms?, w.client))).collect();
        over.retain(|(deadline, _)| *deadline <= now_ms);
        over.sort();
        for (_, id) in over {
            self.waiting.retain(|blocked| blocked.client != id);
            self.send(id, NULL_ARRAY);
        }
    }

    fn send(&mut self, id: ClientId, reply: &str) {
        self.sent.entry(id).or_default().push_str(reply);
    }

    fn block(&mut self, id: ClientId, step: &Step) {
        let (Step::BlockingPop { timeout_ms, .. } | Step::BlockingMove { timeout_ms, .. }) = step else {
            panic!("{step:?} does not block")
        };
        let deadline_ms = (*timeout_ms > 0).then(|| self.now_ms + timeout_ms);
        self.waiting.push(BlockedClient { client: id, step: step.clone(), deadline_ms });
    }

    fn serve(&mut self) {
        while let Some(key) = self.ready.pop_front() {
            let clients: Vec<_> = self.waiting.iter().map(|blocked| blocked.client).collect();
            for id in clients {
                if !matches!(self.value(key), Some(Value::List(_))) {
                    continue;
                }
                let Some(blocked) = self.waiting.iter().find(|blocked| blocked.client == id) else { continue };
                let waits = match &blocked.step {
                    Step::BlockingPop { keys, .. } => keys.contains(&key),
                    Step::BlockingMove { from, .. } => *from == key,
                    other => panic!("{other:?} does not block"),
                };
                let step = blocked.step.clone();
                if waits && let Some(reply) = self.run(id, &step, true) {
                    self.waiting.retain(|blocked| blocked.client != id);
                    self.send(id, &reply);
                }
            }
        }
    }

    /// The value of a key that has time left.
    fn value(&mut self, key: Name) -> Option<&mut Value> {
        let now_ms = self.now_ms;
        if self.keys.get(key)?.deadline_ms.is_some_and(|deadline| deadline < now_ms) {
            self.keys.remove(key);
            // It was there for those who watch it, and is not any more.
            self.sessions
                .values_mut()
                .filter_map(|s| s.watched.get_mut(key))
                .for_each(|(there, written)| *written |= *there);
        }
        self.keys.get_mut(key).map(|entry| &mut entry.value)
    }

    fn touch(&mut self, key: Name) {
        for session in self.sessions.values_mut() {
            session.watched.entry(key).and_modify(|(_, written)| *written = true);
        }
        if !self.ready.contains(&key) {
            self.ready.push_back(key);
        }
    }

    /// The reply; none when there is nothing to answer yet.
    fn run(&mut self, id: ClientId, step: &Step, may_block: bool) -> Option<String> {
        Some(match step {
            Step::Set { key, value, ttl_ms } => {
                let deadline_ms = ttl_ms.map(|ttl| self.now_ms + ttl);
                self.value(key);
                self.keys.insert(key, Entry { value: Value::String(*value), deadline_ms });
                self.touch(key);
                "+OK\r\n".to_owned()
            }
            Step::Get(key) => match self.value(key) {
                None => NULL_BULK.to_owned(),
                Some(Value::String(value)) => bulk(*value),
                Some(Value::List(_)) => WRONG_TYPE.to_owned(),
            },
            Step::Del(key) => {
                let there = self.value(key).is_some();
                if there {
                    self.keys.remove(key);
                    self.touch(key);
                }
                format!(":{}\r\n", u8::from(there))
            }
            Step::Expire { key, ttl_ms } => {
                let there = self.value(key).is_some();
                if there {
                    let deadline_ms = self.now_ms + ttl_ms;
                    self.keys.get_mut(key).expect("it is there").deadline_ms = Some(deadline_ms);
                    self.touch(key);
                }
                format!(":{}\r\n", u8::from(there))
            }
            Step::Push { key, value } => match self.push(key, *value) {
                Some(len) => format!(":{len}\r\n"),
                None => WRONG_TYPE.to_owned(),
            },
            Step::Pop(key) => match self.value(key) {
                None => NULL_BULK.to_owned(),
                Some(Value::String(_)) => WRONG_TYPE.to_owned(),
                Some(Value::List(_)) => bulk(self.pop(key)),
            },
            Step::BlockingPop { keys, .. } => {
                for key in keys {
                    match self.value(key) {
                        None => continue,
                        Some(Value::String(_)) => return Some(WRONG_TYPE.to_owned()),
                        Some(Value::List(_)) => {
                            let value = self.pop(key);
                            return Some(format!("*2\r\n${}\r\n{key}\r\n{}", key.len(), bulk(value)));
                        }
                    }
                }
                return (!may_block).then(|| NULL_ARRAY.to_owned());
            }
            Step::BlockingMove { from, to, .. } => {
                let onto_string = matches!(self.value(to), Some(Value::String(_)));
                match self.value(from) {
                    None => return (!may_block).then(|| NULL_BULK.to_owned()),
                    Some(Value::String(_)) => WRONG_TYPE.to_owned(),
                    Some(Value::List(_)) if onto_string => WRONG_TYPE.to_owned(),
                    Some(Value::List(_)) if from == to => bulk(self.turn(from)),
                    Some(Value::List(_)) => {
                        let value = self.pop(from);
                        self.push(to, value);
                        bulk(value)
                    }
                }
            }
            Step::Unblock(other) => {
                let blocked = self.is_blocked(*other);
                if blocked {
                    self.waiting.retain(|blocked| blocked.client != *other);
                    self.send(*other, NULL_ARRAY);
                }
                format!(":{}\r\n", u8::from(blocked))
            }
            Step::Multi => {
                self.session(id).queue = Some(Vec::new());
                "+OK\r\n".to_owned()
            }
            Step::Discard => {
                let session = self.session(id);
                (session.queue, session.watched) = (None, BTreeMap::new());
                "+OK\r\n".to_owned()
            }
            Step::Watch(key) => {
                let there = self.value(key).is_some();
                self.session(id).watched.entry(key).or_insert((there, false));
                "+OK\r\n".to_owned()
            }
            Step::Exec => {
                let watched: Vec<Name> = self.session(id).watched.keys().copied().collect();
                // Looking at them deletes those whose time is over, and notes it.
                for key in watched {
                    self.value(key);
                }
                let session = self.session(id);
                let queue = session.queue.take().expect("only said inside MULTI");
                let watched = std::mem::take(&mut session.watched);
                if watched.values().any(|(_, written)| *written) {
                    return Some(NULL_ARRAY.to_owned());
                }
                let replies = queue.iter().map(|step| self.run(id, step, false).expect("nothing blocks in EXEC"));
                let replies: Vec<String> = replies.collect();
                format!("*{}\r\n{}", replies.len(), replies.concat())
            }
        })
    }

    fn session(&mut self, id: ClientId) -> &mut Session {
        self.sessions.entry(id).or_default()
    }

    /// The new length; none if the key holds a string.
    fn push(&mut self, key: Name, value: u32) -> Option<usize> {
        let len = match self.value(key) {
            Some(Value::String(_)) => return None,
            Some(Value::List(list)) => {
                list.push_back(value);
                list.len()
            }
            None => {
                self.keys.insert(key, Entry { value: Value::List(VecDeque::from([value])), deadline_ms: None });
                1
            }
        };
        self.touch(key);
        Some(len)
    }

    fn pop(&mut self, key: Name) -> u32 {
        let Some(Value::List(list)) = self.value(key) else { panic!("it was just seen to be a list") };
        let value = list.pop_front().expect("an empty list does not exist");
        if list.is_empty() {
            self.keys.remove(key);
        }
        self.touch(key);
        value
    }

    fn turn(&mut self, key: Name) -> u32 {
        let Some(Value::List(list)) = self.value(key) else { panic!("it was just seen to be a list") };
        let value = list.pop_front().expect("an empty list does not exist");
        list.push_back(value);
        self.touch(key);
        value
    }
}

fn bulk(value: u32) -> String {
    let text = value.to_string();
    format!("${}\r\n{text}\r\n", text.len())
}
