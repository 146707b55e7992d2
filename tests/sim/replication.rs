//! A chain of instances that replicate over a network that cuts, delays and breaks, while clients write and parts change.
//!
//! Whatever happens, when all is quiet the data are the same everywhere: nothing is lost, nothing is applied twice. And as
//! long as the backlog reaches far enough nobody is sent a second copy.

use kvstash::client::{Attention, Endpoint};
use kvstash::config::choice::{Allowed, DisklessLoad};
use kvstash::exec::instance::{Alert, Ask, CloseReason};
use kvstash::exec::link::{Address, Link, LinkId, Lost, Step, Time};
use kvstash::reactor::ConnId;
use kvstash::resp::{Args, Limits, OwnedArgs, Parsed, RequestParser};
use kvstash::util::output_buffer::OutputBuffer;
use kvstash::util::rng::Rng;

use crate::world::{World, seeds};

/// Instances.
pub const NODES: usize = 3;

/// The client that writes, at each of them; those after it are the others' links.
pub const WRITER: u32 = 1;

/// And one that reads, and another one.
pub const READER: u32 = 2 + NODES as u32;

/// How many there are at each of them.
const CLIENTS: u32 = READER + 1;

/// The link of an instance to its primary, and the connection that it has.
pub struct Wire {
    id: LinkId,
    link: Box<dyn Link>,
    /// To which instance it leads.
    to: usize,
    pub is_open: bool,
    wants_open: bool,
    out: OutputBuffer,
    up: Vec<u8>,
    down: Vec<u8>,
    parser: RequestParser,
}

pub struct Net {
    pub rng: Rng,
    pub nodes: Vec<World>,
    pub wires: Vec<Option<Wire>>,
    /// Who is the primary.
    pub primary: usize,
    writes: u64,
}

fn port(node: usize) -> u16 {
    7000 + node as u16
}

/// The slot at the other end that the link of `node` has there.
fn slot(node: usize) -> u32 {
    1 + node as u32
}

impl Net {
    pub fn new(seed: u64) -> Net {
        let mut rng = Rng::from_seed(seed);
        let nodes = (0..NODES)
            .map(|at| {
                let mut world = World::new(seed * 10 + at as u64, CLIENTS);
                let config = &mut world.inst.config;
                config.server.enable_debug_command = Allowed::Yes;
                config.server.port = port(at);
                config.replication.repl_diskless_sync_delay = 0;
                config.replication.repl_backlog_size = if rng.index(3) == 0 { 300 } else { 1 << 20 };
                // Without a file.
                let ways = [DisklessLoad::Swapdb, DisklessLoad::FlushBeforeLoad];
                config.replication.repl_diskless_load = ways[rng.index(2)];
                world.inst.config_changed();
                world
            })
            .collect();
        Net { rng, nodes, wires: (0..NODES).map(|_| None).collect(), primary: 0, writes: 0 }
    }

    fn time(&self, node: usize) -> Time {
        let inst = &self.nodes[node].inst;
        Time { mono_ns: inst.stamp_ns, wall_ms: inst.now_ms }
    }

    /// The request of a client; what it is answered is thrown away, unless it is a link.
    pub fn ask(&mut self, node: usize, id: u32, words: &[&str]) {
        self.nodes[node].ask(id, &OwnedArgs::from_parts(words));
        self.nodes[node].received(id);
        self.collect(node);
    }

    /// What the instance wants of its links is done.
    pub fn collect(&mut self, node: usize) {
        let host = &mut self.nodes[node].host;
        let (opened, links) = (host.opened, std::mem::take(&mut host.links));
        let (dropped, woken) = (std::mem::take(&mut host.dropped), std::mem::take(&mut host.woken));
        if self.wires[node].as_ref().is_some_and(|wire| dropped.contains(&wire.id)) {
            self.hang_up(node);
            self.wires[node] = None;
        }
        if let Some(link) = links.into_iter().last() {
            assert!(self.wires[node].is_none(), "one primary at a time");
            let to = usize::from(link.address().port - 7000);
            self.wires[node] = Some(Wire {
                id: LinkId(opened),
                link,
                to,
                is_open: false,
                wants_open: true,
                out: OutputBuffer::new(),
                up: Vec::new(),
                down: Vec::new(),
                parser: RequestParser::new(),
            });
        }
        let time = self.time(node);
        if let Some(wire) = self.wires[node].as_mut().filter(|wire| woken.contains(&wire.id)) {
            let step = wire.link.on_wake(time, &mut wire.out);
            self.take_step(node, step);
        }
        // Connections that the instance has closed.
        let asks = std::mem::take(&mut self.nodes[node].inst.asks);
        for ask in asks {
            let Ask::Close(conn, _) = ask else { continue };
            let other = conn.index as usize - 1;
            let is_its = self.nodes[node].inst.clients.of(conn).is_some();
            if is_its && self.wires[other].as_ref().is_some_and(|wire| wire.is_open && wire.to == node) {
                self.lose(other);
            }
        }
    }

    fn take_step(&mut self, node: usize, step: Step) {
        match step {
            Step::Wait => {}
            Step::Reconnect => {
                self.hang_up(node);
                self.wires[node].as_mut().expect("it speaks").wants_open = true;
            }
            Step::HangUp => self.hang_up(node),
            Step::Over => panic!("a replica never gives up"),
        }
    }

    /// The connection is gone, with what was on its way.
    fn hang_up(&mut self, node: usize) {
        let Some(wire) = &mut self.wires[node] else { return };
        let (was_open, to) = (wire.is_open, wire.to);
        (wire.is_open, wire.wants_open) = (false, false);
        wire.out.clear();
        wire.up.clear();
        wire.down.clear();
        wire.parser = RequestParser::new();
        if was_open {
            // At the other end a client goes, and there is room for another.
            let world = &mut self.nodes[to];
            let conn = world.inst.clients.at(slot(node)).expect("a client").connection.conn;
            let (mut session, _) = world.inst.clients.remove(conn).expect("its session is there");
            world.inst.forget(&mut session, CloseReason::Broken);
            let conn = ConnId { generation: conn.generation + 1, ..conn };
            world.inst.clients.add(conn, Endpoint::default(), 0);
        }
    }

    /// The connection breaks.
    pub fn lose(&mut self, node: usize) {
        self.hang_up(node);
        let time = self.time(node);
        let step = self.wires[node].as_mut().expect("it has a link").link.on_close(time, Lost::Closed);
        self.take_step(node, step);
    }

    /// The other end executes what has come.
    fn serve(&mut self, node: usize) {
        loop {
            let Some(wire) = self.wires[node].as_mut().filter(|wire| wire.is_open) else { return };
            let (mut spans, mut larges) = (Vec::new(), Vec::new());
            match wire.parser.parse(&wire.up, &Limits::default(), &mut spans, &mut larges) {
                Parsed::Request { consumed, argc } => {
                    let request = OwnedArgs::from(&Args::new(&wire.up, &spans[..argc], &larges));
                    wire.up.drain(..consumed);
                    let to = wire.to;
                    let session = self.nodes[to].inst.clients.at(slot(node)).expect("a client").session;
                    if session.attention.has(Attention::CLOSING) {
                        return self.lose(node);
                    }
                    self.nodes[to].ask(slot(node) + 1, &request);
                    self.collect(to);
                }
                Parsed::Incomplete { consumed } => {
                    wire.up.drain(..consumed);
                    return;
                }
                Parsed::Error(_) => panic!("a replica says nothing that is no request"),
            }
        }
    }

    /// A turn of an instance's loop, as the server has it.
    pub fn turn(&mut self, node: usize) {
        let World { inst, host } = &mut self.nodes[node];
        inst.follow_primary(host);
        inst.expire_due(|| true);
        inst.replication_cron(host);
        inst.feed_replicas(host);
        while inst.copier.is_running() && !inst.replication.replicas.is_empty() {
            // The snapshot thread is as fast as it likes to be; here it is done at once.
            let outcome = host.copied.1.recv().expect("the thread reports");
            inst.copy_is_made(&outcome);
            inst.feed_replicas(host);
        }
        while let Ok(outcome) = host.copied.1.try_recv() {
            inst.copy_is_made(&outcome);
        }
        for other in 0..NODES {
            let Some(wire) = self.wires[other].as_mut().filter(|wire| wire.is_open && wire.to == node) else {
                continue;
            };
            let out = &mut self.nodes[node].inst.clients.at_mut(slot(other)).expect("a client").session.reply.out;
            wire.down.extend_from_slice(&out.to_vec());
            out.clear();
        }
        self.check_transactions(node);
        self.collect(node);
    }

    /// Nobody sees the half of a transaction: what is only counted in pairs is equal at all times, but while a copy is loaded.
    fn check_transactions(&mut self, node: usize) {
        let inst = &mut self.nodes[node].inst;
        if inst.alert.has(Alert::LOADING) {
            return;
        }
        for at in 0..2 {
            let db = inst.keyspace.db(at, inst.now_ms);
            let [a, b] = ["a", "b"].map(|name| db.digest_value(db.key(name.as_bytes())));
            assert_eq!(a, b, "node {node} has the half of a transaction");
        }
    }

    /// A client writes at the primary.
    fn write(&mut self) {
        self.writes += 1;
        let (n, key) = (self.writes.to_string(), format!("k{}", self.rng.index(8)));
        let key = key.as_str();
        let primary = self.primary;
        match self.rng.index(10) {
            0 => self.ask(primary, WRITER, &["SET", "s", &n]),
            1 => self.ask(primary, WRITER, &["INCR", "counter"]),
            2 => self.ask(primary, WRITER, &["APPEND", "text", "x"]),
            3 => self.ask(primary, WRITER, &["RPUSH", "list", &n]),
            4 => self.ask(primary, WRITER, &["SELECT", if self.writes.is_multiple_of(2) { "0" } else { "1" }]),
            5 => {
                for words in [&["MULTI"][..], &["INCR", "a"], &["INCR", "b"], &["RPUSH", "list", &n], &["EXEC"]] {
                    self.ask(primary, WRITER, words);
                }
            }
            6 => self.ask(primary, WRITER, &["SET", key, &n, "PX", "40"]),
            7 => self.ask(primary, WRITER, &["SPOP", "set"]),
            8 => self.ask(primary, WRITER, &["SADD", "set", &n]),
            _ => self.ask(primary, WRITER, &["SETRANGE", "long", &n, &"y".repeat(1 + self.writes as usize % 3000)]),
        }
    }

    /// Bytes move, one way or the other.
    pub fn carry(&mut self, node: usize, all: bool) {
        let time = self.time(node);
        let Some(wire) = &mut self.wires[node] else { return };
        if wire.wants_open {
            (wire.wants_open, wire.is_open) = (false, true);
            let step = wire.link.on_open(time, None, &mut wire.out);
            return self.take_step(node, step);
        }
        if !wire.is_open {
            return;
        }
        let part = |rng: &mut Rng, len: usize| if all || rng.index(2) == 0 { len } else { 1 + rng.index(len) };
        if !wire.out.is_empty() {
            let bytes = wire.out.to_vec();
            let n = part(&mut self.rng, bytes.len());
            wire.out.advance(n);
            wire.up.extend_from_slice(&bytes[..n]);
            wire.link.on_sent(time, wire.out.len());
        }
        if !wire.down.is_empty() && wire.link.wants_bytes() {
            let n = part(&mut self.rng, wire.down.len());
            let bytes: Vec<u8> = wire.down.drain(..n).collect();
            let step = wire.link.on_bytes(time, &bytes, &mut wire.out);
            self.take_step(node, step);
        }
        self.serve(node);
    }

    pub fn tick(&mut self, ms: i64) {
        for node in 0..NODES {
            self.nodes[node].pass(ms);
            let time = self.time(node);
            if let Some(wire) = self.wires[node].as_mut().filter(|wire| wire.link.next_deadline() <= time.mono_ns) {
                let step = wire.link.on_timer(time, &mut wire.out);
                self.take_step(node, step);
            }
        }
    }

    pub fn follow(&mut self, node: usize, primary: usize) {
        let World { inst, host } = &mut self.nodes[node];
        let address = Address { host: b"node".as_slice().into(), port: port(primary) };
        inst.replicate(address, "the test", host);
        self.collect(node);
    }

    /// Nothing breaks any more, until all are in step.
    pub fn settle(&mut self) {
        for round in 0.. {
            for node in 0..NODES {
                self.turn(node);
                self.carry(node, true);
            }
            self.tick(50);
            let end = |net: &Net, node: usize| net.nodes[node].inst.replication.feed.end();
            let are_up = (0..NODES).all(|node| {
                let upstream = &self.nodes[node].inst.replication.upstream;
                node == self.primary || upstream.as_ref().is_some_and(|upstream| upstream.is_up())
            });
            if are_up && (0..NODES).all(|node| end(self, node) == end(self, self.primary)) && round > 40 {
                return;
            }
            assert!(round < 2000, "they never come together");
        }
    }

    /// What an instance has, for whoever looks at a difference.
    fn show(&mut self, node: usize) {
        let World { inst, .. } = &mut self.nodes[node];
        let (replication, now_ms) = (&inst.replication, inst.now_ms);
        let counts = replication.counts;
        eprintln!("node {node}: {:?} ends at {}, {counts:?}", replication.history, replication.feed.end());
        for at in 0..2 {
            let db = inst.keyspace.db(at, now_ms);
            for name in ["s", "counter", "text", "list", "a", "b", "set", "long", "k0", "k1", "k2", "k3"] {
                let key = db.key(name.as_bytes());
                eprintln!(
                    "  {at} {name}: {} {:?}",
                    db.digest_value(key),
                    db.peek(key).and_then(|entry| entry.expiry_ms())
                );
            }
        }
    }

    /// An instance ends without a word, and begins anew, with nothing.
    pub fn crash(&mut self, node: usize, begin: impl FnOnce(&mut World)) {
        for other in 0..NODES {
            if self.wires[other].as_ref().is_some_and(|wire| wire.is_open && wire.to == node) {
                self.lose(other);
            }
        }
        self.hang_up(node);
        self.wires[node] = None;
        let now_ms = self.nodes[node].host.now_ms();
        let mut world = World::new(self.rng.next_u64(), CLIENTS);
        world.pass(now_ms - world.host.now_ms());
        world.inst.config = self.nodes[node].inst.config.clone();
        world.inst.config.replication.replicaof = Default::default();
        begin(&mut world);
        world.inst.config_changed();
        self.nodes[node] = world;
    }

    fn digest(&self, node: usize) -> String {
        format!("{:?}", self.nodes[node].inst.keyspace.digest())
    }
}

/// One life of the network.
fn run(seed: u64) {
    let mut net = Net::new(seed);
    for _ in 0..net.rng.index(20) {
        net.write();
    }
    net.follow(1, 0);
    let of = net.rng.index(2);
    net.follow(2, of);
    let mut copies = None;
    for _ in 0..2 + net.rng.index(3) {
        for _ in 0..net.rng.index(400) {
            let node = net.rng.index(NODES);
            match net.rng.index(20) {
                0..=6 => net.write(),
                7..=11 => net.turn(node),
                12..=16 => net.carry(node, false),
                17 => {
                    let ms = net.rng.index(300) as i64;
                    net.tick(ms);
                }
                18 if net.rng.index(3) == 0 && net.wires[node].as_ref().is_some_and(|wire| wire.is_open) => {
                    net.lose(node)
                }
                _ => {}
            }
        }
        net.settle();
        let sent: u64 = net.nodes.iter().map(|world| world.inst.replication.counts.full).sum();
        let reaches_far = net.nodes.iter().all(|world| world.inst.config.replication.repl_backlog_size > 300);
        let before = *copies.get_or_insert(sent);
        assert!(!reaches_far || sent == before, "seed {seed}: what was missing was still there, and a copy was sent");
        let digests: Vec<String> = (0..NODES).map(|node| net.digest(node)).collect();
        if digests.iter().any(|digest| *digest != digests[0]) {
            for node in 0..NODES {
                net.show(node);
            }
            panic!("seed {seed}: {digests:?}");
        }
        if net.rng.index(2) == 0 {
            // Another one takes over, and the others follow it.
            let next = net.rng.index(NODES);
            let World { inst, host } = &mut net.nodes[next];
            inst.promote("the test", host);
            net.collect(next);
            net.primary = next;
            for node in (0..NODES).filter(|node| *node != next) {
                net.follow(node, next);
            }
        }
    }
}

#[test]
fn all_come_to_the_same() {
    for seed in seeds(200) {
        eprintln!("seed {seed}");
        run(seed);
    }
}
