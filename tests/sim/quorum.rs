//! Quorum writes, while primaries crash, are cut off or hand over: what a client was told of is never lost, and with
//! `read-uncommitted no` nobody was shown what is lost afterwards.
//!
//! Clients append numbers to a list, and read it. When a primary goes, of those that follow it the one with the furthest
//! offset takes over. What was acknowledged must be in its list, once each, in the order of the acknowledgements; and every
//! list that was ever shown must be its beginning.

use std::collections::VecDeque;

use kvstash::config::choice::DisklessLoad;
use kvstash::exec::ctx::Host;
use kvstash::resp::OwnedArgs;

use crate::replication::{NODES, Net, READER, WRITER};
use crate::world::{World, seeds};

/// What a client is owed an answer to.
#[derive(Debug)]
enum Asked {
    Append(String),
    Read,
}

struct Clients {
    net: Net,
    acks: u32,
    /// Where the history of the primary begins.
    began: u64,
    next: u64,
    /// By primary and client.
    asked: Vec<[VecDeque<Asked>; 2]>,
    acknowledged: Vec<String>,
    unknown: u64,
    /// The longest list that anybody was shown.
    shown: Vec<String>,
}

const CLIENTS: [u32; 2] = [WRITER, READER];

/// The client that looks what there is.
const LOOKS: u32 = READER + 1;

impl Clients {
    fn new(seed: u64) -> Clients {
        let mut net = Net::new(seed);
        let acks = 1 + net.rng.index(2) as u32;
        for world in &mut net.nodes {
            set(world, acks);
        }
        let asked = (0..NODES).map(|_| Default::default()).collect();
        Clients { net, acks, began: 0, next: 0, asked, acknowledged: Vec::new(), unknown: 0, shown: Vec::new() }
    }

    /// One that a client of `node` has asked.
    fn ask(&mut self, node: usize) {
        let client = self.net.rng.index(2);
        let (asked, words) = match self.net.rng.index(3) {
            0 => (Asked::Read, vec!["LRANGE", "list", "0", "-1"]),
            _ => {
                self.next += 1;
                (Asked::Append(self.next.to_string()), vec!["RPUSH", "list"])
            }
        };
        let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        if let Asked::Append(value) = &asked {
            words.push(value.clone());
        }
        self.asked[node][client].push_back(asked);
        self.net.nodes[node].ask(CLIENTS[client], &OwnedArgs::from_parts(&words));
        self.net.collect(node);
    }

    /// A turn of the loop; clients read what they are sent at its end.
    fn turn(&mut self, node: usize) {
        self.net.turn(node);
        let World { inst, host } = &mut self.net.nodes[node];
        let (ends, now_ns) = (inst.ends(None), host.now_ns());
        inst.release_held(now_ns, ends, |_| ());
        for (at, id) in CLIENTS.into_iter().enumerate() {
            let World { inst, .. } = &mut self.net.nodes[node];
            inst.replication.quorum.hold(inst.clients.at_mut(id - 1).expect("a client"), ends);
            let client = inst.clients.at_mut(id - 1).expect("a client");
            client.connection.output_bytes += client.session.reply.out.len() as u64;
            let text = self.net.nodes[node].received(id);
            self.read(node, at, &text);
        }
    }

    fn read(&mut self, node: usize, client: usize, text: &str) {
        let mut lines = text.split_terminator("\r\n");
        while let Some(line) = lines.next() {
            let asked = self.asked[node][client].pop_front().expect("an answer to something");
            match (asked, line.split_at(1)) {
                (_, ("-", error)) => {
                    assert!(error.starts_with("NOQUORUM ") || error.starts_with("READONLY "), "{error}");
                    self.unknown += 1;
                }
                (Asked::Append(value), (":", _)) => self.acknowledged.push(value),
                (Asked::Read, ("*", n)) => {
                    let n: usize = n.parse().expect("a length");
                    let list: Vec<String> =
                        (0..n).map(|_| lines.by_ref().nth(1).expect("all of it").to_owned()).collect();
                    let (short, long) =
                        if list.len() < self.shown.len() { (&list, &self.shown) } else { (&self.shown, &list) };
                    assert!(long.starts_with(short), "two were shown different lists: {short:?}, {long:?}");
                    if list.len() > self.shown.len() {
                        self.shown = list;
                    }
                }
                (asked, _) => panic!("{asked:?} was answered {line}"),
            }
        }
    }

    /// What the primary has is all that anybody knows of.
    fn check(&mut self) {
        let primary = self.net.primary;
        let world = &mut self.net.nodes[primary];
        // One that waits for nothing.
        world.inst.config.replication.write_acks = 0;
        world.inst.config_changed();
        world.ask(LOOKS, &OwnedArgs::from_parts(["LRANGE", "list", "0", "-1"]));
        let text = world.received(LOOKS);
        set(world, self.acks);
        let list: Vec<&str> = text.split_terminator("\r\n").skip(2).step_by(2).collect();
        let mut at = list.iter();
        for value in &self.acknowledged {
            let copies = list.iter().filter(|other| **other == value.as_str()).count();
            assert_eq!(copies, 1, "{value} was acknowledged: {list:?}");
        }
        for shown in &self.shown {
            assert_eq!(at.next(), Some(&shown.as_str()), "{:?} was shown, and now it is {list:?}", self.shown);
        }
    }

    /// The primary's history goes on at one of its replicas: at the one that is furthest, or at any, where all of them have
    /// to acknowledge. False if none could.
    fn take_over(&mut self) -> bool {
        let old = self.net.primary;
        let replication = |node: usize| &self.net.nodes[node].inst.replication;
        let id = replication(old).history.id();
        // What was acknowledged before the last time must be there, too: as many may be lost as have acknowledged, until
        // the others have it.
        let may = |node: &usize| {
            let (history, end) = (&replication(*node).history, replication(*node).feed.end());
            *node != old && history.id() == id && end >= self.began
        };
        let mut others: Vec<usize> = (0..NODES).filter(may).collect();
        others.sort_by_key(|node| replication(*node).feed.end());
        if self.acks as usize == others.len() && others.len() == NODES - 1 {
            let at = self.net.rng.index(others.len());
            others.truncate(at + 1);
        }
        let Some(next) = others.pop() else { return false };
        self.began = self.net.nodes[next].inst.replication.feed.end();
        let is_cut_off = self.net.rng.index(2) == 0;
        if !is_cut_off {
            self.net.crash(old, |_| ());
            set(&mut self.net.nodes[old], self.acks);
            self.asked[old] = Default::default();
        }
        let World { inst, host } = &mut self.net.nodes[next];
        inst.promote("the test", host);
        self.net.collect(next);
        self.net.primary = next;
        for node in (0..NODES).filter(|node| *node != next && *node != old) {
            self.net.follow(node, next);
        }
        // The old one goes on for a while, and does not know.
        if is_cut_off {
            for _ in 0..self.net.rng.index(30) {
                match self.net.rng.index(4) {
                    0 => self.ask(old),
                    1 => self.ask(next),
                    2 => self.net.tick(60),
                    _ => {
                        let node = self.net.rng.index(NODES);
                        self.turn(node);
                        self.net.carry(node, false);
                    }
                }
            }
        }
        self.net.follow(old, next);
        true
    }
}

/// What a replica loads takes the place of what it has only when all of it is there.
fn set(world: &mut World, acks: u32) {
    let config = &mut world.inst.config.replication;
    config.write_acks = acks;
    config.write_acks_timeout = 500;
    config.read_uncommitted = false;
    config.repl_diskless_load = DisklessLoad::Swapdb;
    config.repl_backlog_size = 1 << 20;
    world.inst.config_changed();
}

/// One life of the network. How many writes were acknowledged, and of how many nobody knows.
fn run(seed: u64) -> (usize, u64) {
    let mut all = Clients::new(seed);
    all.net.follow(1, 0);
    let of = all.net.rng.index(2);
    all.net.follow(2, of);
    for _ in 0..3 + all.net.rng.index(3) {
        for _ in 0..all.net.rng.index(300) {
            let node = all.net.rng.index(NODES);
            match all.net.rng.index(20) {
                0..=4 => all.ask(all.net.primary),
                5..=10 => all.turn(node),
                11..=16 => all.net.carry(node, false),
                17 => {
                    let ms = all.net.rng.index(200) as i64;
                    all.net.tick(ms);
                }
                18 if all.net.rng.index(6) == 0 && all.net.wires[node].as_ref().is_some_and(|wire| wire.is_open) => {
                    all.net.lose(node);
                }
                _ => {}
            }
        }
        if all.net.rng.index(4) > 0 {
            all.take_over();
        }
        all.check();
    }
    all.net.settle();
    all.check();
    (all.acknowledged.len(), all.unknown)
}

#[test]
fn what_was_acknowledged_outlives_its_primary() {
    let (mut acknowledged, mut unknown) = (0, 0);
    for seed in seeds(200) {
        eprintln!("seed {seed}");
        let (told, not_told) = run(seed);
        (acknowledged, unknown) = (acknowledged + told, unknown + not_told);
    }
    assert!(acknowledged > 0 && unknown > 0, "{acknowledged} acknowledged, {unknown} unknown: nothing was tried");
}
