//! Turns within a command, over real sockets: `wait N` lets others have turns until `count` has been called N times.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::Server;
use crate::commands::info;
use crate::db::ExpiryUpdate;
use crate::exec::args;
use crate::exec::ctx::AdminCtx;
use crate::exec::error::CommandResult;
use crate::exec::instance::Instance;
use crate::exec::spec::{Arity, CommandSpec, Flags, Handler};
use crate::exec::table::CommandTable;
use crate::exec::testing;
use crate::reactor::Reactor;
use crate::resp::Args;
use crate::sys::clock::Clock;

static WAIT: CommandSpec =
    CommandSpec { name: "wait", arity: Arity::Exactly(2), handler: Handler::Admin(wait), ..COMMAND };
static COUNT: CommandSpec =
    CommandSpec { name: "count", arity: Arity::Exactly(1), handler: Handler::Admin(count), ..COMMAND };

const COMMAND: CommandSpec = CommandSpec { flags: Flags::WRITE.or(Flags::UNDECLARED_KEYS), ..CommandSpec::BASE };

static TABLE: LazyLock<CommandTable> = LazyLock::new(|| CommandTable::new([&WAIT, &COUNT]));

const LIMIT: Duration = Duration::from_secs(20);

fn counted(ctx: &mut AdminCtx<'_>) -> i64 {
    let mut db = ctx.db();
    let key = db.key(b"counted");
    let text = db.lookup_write(key).map(|entry| entry.string().expect("a string").to_vec());
    text.map_or(0, |text| String::from_utf8(text).expect("digits").parse().expect("digits"))
}

fn count(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let now = counted(ctx) + 1;
    let mut db = ctx.db();
    let key = db.key(b"counted");
    db.set_bytes(key, now.to_string().as_bytes(), ExpiryUpdate::Clear);
    ctx.reply().int(now);
    Ok(())
}

fn wait(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let until = args::int(&args[1])?;
    let (began, now_ms) = (Instant::now(), ctx.inst.now_ms);
    while counted(ctx) < until && began.elapsed() < LIMIT {
        ctx.host.serve_others(ctx.inst);
        assert_eq!(ctx.inst.now_ms, now_ms, "to the command no time passes");
    }
    let reached = counted(ctx);
    ctx.reply().int(reached);
    Ok(())
}

struct World {
    server: Server,
    inst: Instance,
    address: SocketAddr,
}

impl World {
    fn new() -> World {
        let mut server = Server::new(Reactor::new().expect("a reactor"), Clock::system());
        let listener = server.reactor.listen_tcp("127.0.0.1:0".parse().expect("an address"), 16).expect("a free port");
        let address = server.reactor.listener_address(listener).expect("it listens");
        World { server, inst: testing::instance(&TABLE, info::series()), address }
    }

    /// Turns until `done`.
    fn run(&mut self, done: impl Fn(&World) -> bool) {
        let began = Instant::now();
        while !done(self) {
            assert!(began.elapsed() < LIMIT, "it takes too long");
            assert!(self.server.turn(&mut self.inst).is_none());
        }
    }

    /// Turns until so many commands have run and nobody is owed anything.
    fn run_commands(&mut self, count: u64) {
        let owes_nobody = |world: &World| world.inst.clients.iter().all(|client| client.session.reply.out.is_empty());
        self.run(|world| world.inst.stats.commands >= count && owes_nobody(world));
    }

    /// A connection that was accepted.
    fn connect(&mut self) -> Peer {
        let before = self.inst.clients.len();
        let peer = Peer::connect(self.address);
        self.run(|world| world.inst.clients.len() > before);
        peer
    }
}

struct Peer(TcpStream);

impl Peer {
    fn connect(address: SocketAddr) -> Peer {
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_read_timeout(Some(LIMIT)).expect("it is more than nothing");
        Peer(stream)
    }

    fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).expect("the server reads");
    }

    fn hears(&mut self, text: &str) {
        let mut heard = vec![0; text.len()];
        self.0.read_exact(&mut heard).expect("an answer");
        assert_eq!(String::from_utf8_lossy(&heard), text);
    }
}

/// The others of the batch, of the next turn, and those who connect only then are all answered, each request once and
/// in order; what the calling client sent after its command waits for that.
#[test]
fn others_are_served_in_the_middle_of_a_command() {
    let mut w = World::new();
    let mut caller = w.connect();
    let mut neighbour = w.connect();
    let address = w.address;
    // Both are ready in one turn, so both are parsed before the first of them runs.
    caller.say("wait 5\r\ncount\r\n");
    neighbour.say("count\r\ncount\r\n");
    let others = std::thread::spawn(move || {
        neighbour.hears(":1\r\n:2\r\n");
        neighbour.say("count\r\n");
        neighbour.hears(":3\r\n");
        let mut stranger = Peer::connect(address);
        stranger.say("count\r\ncou");
        stranger.hears(":4\r\n");
        stranger.say("nt\r\n");
        stranger.hears(":5\r\n");
        (neighbour, stranger)
    });
    std::thread::sleep(Duration::from_millis(50));
    w.run_commands(7);
    caller.hears(":5\r\n:6\r\n");
    let (mut neighbour, mut stranger) = others.join().expect("the others were answered");
    // Nothing is left over, and everybody goes on.
    for peer in [&mut caller, &mut neighbour, &mut stranger] {
        peer.say("count\r\n");
    }
    w.run_commands(10);
    assert_eq!(w.inst.clients.iter().map(|client| client.connection.unread().len()).sum::<usize>(), 0);
    assert_eq!(w.inst.clients.len(), 3);
}

/// What the calling client sends in the middle of its command is executed afterwards, though nothing announces it again.
#[test]
fn what_the_caller_sends_meanwhile_is_not_forgotten() {
    let mut w = World::new();
    let (mut caller, mut neighbour) = (w.connect(), w.connect());
    caller.say("wait 1\r\n");
    let others = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        caller.say("count\r\n");
        std::thread::sleep(Duration::from_millis(50));
        neighbour.say("count\r\n");
        neighbour.hears(":1\r\n");
        caller
    });
    w.run_commands(3);
    others.join().expect("the other was answered").hears(":1\r\n:2\r\n");
}

/// A client that goes away meanwhile is gone; one that is in the middle of its command is found gone afterwards.
#[test]
fn who_goes_away_meanwhile() {
    let mut w = World::new();
    let (mut caller, neighbour, mut last) = (w.connect(), w.connect(), w.connect());
    caller.say("wait 1\r\n");
    let others = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        drop(neighbour);
        drop(caller);
        std::thread::sleep(Duration::from_millis(50));
        last.say("count\r\n");
        last.hears(":1\r\n");
        last
    });
    w.run_commands(2);
    let _last = others.join().expect("it was answered");
    w.run(|world| world.inst.clients.len() == 1);
}

/// A command that was kept while its client waited lets others have a turn, too.
#[test]
fn a_deferred_command_serves_others() {
    let mut w = World::new();
    let (mut caller, mut neighbour) = (w.connect(), w.connect());
    w.inst.pause.all_until_ms = i64::MAX;
    w.inst.refresh_pause();
    caller.say("wait 2\r\ncount\r\n");
    neighbour.say("count\r\n");
    w.run(|world| world.inst.held_back == 2);
    w.inst.pause = Default::default();
    let others = std::thread::spawn(move || {
        neighbour.hears(":1\r\n");
        neighbour.say("count\r\n");
        neighbour.hears(":2\r\n");
        neighbour
    });
    w.run_commands(4);
    caller.hears(":2\r\n:3\r\n");
    others.join().expect("the other was answered");
}
