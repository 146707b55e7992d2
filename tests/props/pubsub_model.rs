//! The tables of publish/subscribe against a set of (client, kind, name), with clients that come and go.

use kvstash::pubsub::{Kind, PubSub, Subscriptions};
use kvstash::reactor::ConnId;
use kvstash::util::glob;
use quickcheck::{Arbitrary, Gen, quickcheck};
use std::collections::BTreeSet;

const CLIENTS: usize = 5;
const NAMES: [&str; 9] = ["", "a", "ab", "abc", "a*", "a*c", "*", "[ab]*", "b"];

#[derive(Clone, Debug)]
enum Op {
    Subscribe(usize, usize, usize),
    Unsubscribe(usize, usize, usize),
    UnsubscribeFirst(usize, usize),
    Leave(usize),
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Op {
        let mut below = |n: usize| usize::arbitrary(g) % n;
        let (who, kind, name) = (below(CLIENTS), below(3), below(NAMES.len()));
        match below(12) {
            0 => Op::UnsubscribeFirst(who, kind),
            1 => Op::Leave(who),
            2..=4 => Op::Unsubscribe(who, kind, name),
            _ => Op::Subscribe(who, kind, name),
        }
    }
}

fn conn(who: usize) -> ConnId {
    ConnId { index: who as u32, generation: 3 }
}

quickcheck! {
    fn everybody_is_found_and_nobody_else(ops: Vec<Op>) -> bool {
        let mut tables = PubSub::default();
        let mut clients: Vec<Subscriptions> = (0..CLIENTS).map(|_| Subscriptions::default()).collect();
        // (kind, name, client)
        let mut model: BTreeSet<(usize, &str, usize)> = BTreeSet::new();
        let mut stamps = BTreeSet::new();
        for op in ops {
            match op {
                Op::Subscribe(who, kind, name) => {
                    let added = tables.subscribe(&mut clients[who], conn(who), Kind::ALL[kind], NAMES[name].as_bytes());
                    assert_eq!(added, model.insert((kind, NAMES[name], who)));
                    let topic = tables.find(Kind::ALL[kind], NAMES[name].as_bytes()).expect("it has a subscriber");
                    assert!(!added || stamps.insert(topic.receivers().stamp()), "no two lists have one stamp");
                }
                Op::Unsubscribe(who, kind, name) => {
                    let mine = &mut clients[who];
                    let removed = tables.unsubscribe(mine, conn(who), Kind::ALL[kind], NAMES[name].as_bytes());
                    assert_eq!(removed, model.remove(&(kind, NAMES[name], who)));
                }
                Op::UnsubscribeFirst(who, kind) => {
                    let left = tables.unsubscribe_first(&mut clients[who], conn(who), Kind::ALL[kind]);
                    let first = model.iter().find(|(k, _, w)| (*k, *w) == (kind, who)).copied();
                    assert_eq!(left.map(|topic| topic.name().to_vec()), first.map(|(_, name, _)| name.as_bytes().to_vec()));
                    first.map(|first| model.remove(&first));
                }
                Op::Leave(who) => {
                    tables.leave(std::mem::take(&mut clients[who]), conn(who));
                    tables.leave_all();
                    model.retain(|(_, _, w)| *w != who);
                }
            }
            check(&tables, &clients, &model);
        }
        true
    }
}

fn check(tables: &PubSub, clients: &[Subscriptions], model: &BTreeSet<(usize, &str, usize)>) {
    for (number, kind) in Kind::ALL.into_iter().enumerate() {
        let expected: BTreeSet<&str> = model.iter().filter(|(k, ..)| *k == number).map(|(_, name, _)| *name).collect();
        assert!(tables.all(kind).map(|topic| topic.name()).eq(expected.iter().map(|name| name.as_bytes())));
        assert_eq!(tables.count(kind), expected.len());
        for topic in tables.all(kind) {
            let receivers: BTreeSet<ConnId> = topic.receivers().iter().collect();
            let of_model = model.iter().filter(|(k, name, _)| *k == number && name.as_bytes() == topic.name());
            assert_eq!(receivers, of_model.map(|(.., who)| conn(*who)).collect());
            assert_eq!(receivers.len(), topic.receivers().len());
        }
    }
    for (who, mine) in clients.iter().enumerate() {
        let count = |number| model.iter().filter(|(k, _, w)| (*k, *w) == (number, who)).count();
        assert!(Kind::ALL.into_iter().enumerate().all(|(number, kind)| mine.count(kind) == count(number)));
        assert_eq!(mine.told(Kind::Pattern), count(0) + count(1));
    }
    let subscribers: BTreeSet<usize> = model.iter().map(|(.., who)| *who).collect();
    assert_eq!(tables.clients(), subscribers.len());
    for channel in NAMES {
        let mut found = BTreeSet::new();
        tables.matching(channel.as_bytes(), |topic| assert!(found.insert(topic.name().to_vec()), "each pattern once"));
        let patterns = model.iter().filter(|(kind, ..)| *kind == 1).map(|(_, pattern, _)| pattern.as_bytes());
        let expected: BTreeSet<Vec<u8>> =
            patterns.filter(|p| glob::matches(p, channel.as_bytes(), false)).map(<[u8]>::to_vec).collect();
        assert_eq!(found, expected, "{channel}");
    }
}
