//! BlockedClients, with two commands of this test's own: `take KEY TIMEOUT` takes a string away or waits for it, and
//! `pass FROM TO` moves one. The world is a vector of clients; time is a number.

use std::cell::Cell;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::blocking::{Progress, Wait, WaitFor};
use crate::client::{Attention, Endpoint};
use crate::config::Config;
use crate::exec::args;
use crate::exec::blocked::WaitEnd;
use crate::exec::call::{self, Outcome};
use crate::exec::ctx::{DataCtx, Host};
use crate::exec::error::{CommandError, CommandResult};
use crate::exec::instance::{Ask, Instance};
use crate::exec::link::{Link, LinkId};
use crate::exec::long_read::ReadJob;
use crate::exec::spec::{Access, Arity, CommandSpec, Flags, Handler, KeySpec};
use crate::exec::table::CommandTable;
use crate::exec::testing;
use crate::observe::log::Logger;
use crate::observe::metrics::Metrics;
use crate::persist::{Received, SaveOutcome};
use crate::reactor::ConnId;
use crate::resp::{Args, OwnedArgs};
use crate::sys::process::Process;

static TAKE: CommandSpec = CommandSpec {
    name: "take",
    arity: Arity::Exactly(3),
    flags: Flags::WRITE,
    keys: &[KeySpec::at(1, Access::READ_WRITE)],
    handler: Handler::Blocking(take),
    ..CommandSpec::BASE
};

static PASS: CommandSpec = CommandSpec {
    name: "pass",
    arity: Arity::Exactly(3),
    flags: Flags::WRITE,
    keys: &[KeySpec::rest(1, 1, Access::READ_WRITE)],
    handler: Handler::Blocking(pass),
    ..CommandSpec::BASE
};

static PUT: CommandSpec = CommandSpec {
    name: "put",
    arity: Arity::Exactly(3),
    flags: Flags::WRITE,
    keys: &[KeySpec::at(1, Access::OVERWRITE)],
    handler: Handler::Data(put),
    ..CommandSpec::BASE
};

static TABLE: LazyLock<CommandTable> = LazyLock::new(|| CommandTable::new([&TAKE, &PASS, &PUT]));

fn take(ctx: &mut DataCtx<'_>, args: Args<'_>) -> Result<Progress, CommandError> {
    let timeout = args::timeout_seconds(&args[2], ctx.db.now_ms())?;
    let Some(value) = take_from(ctx, &args[1]) else { return Ok(wait_for(&args[1], timeout)) };
    ctx.reply.bulk(&value);
    Ok(Progress::Done)
}

fn take_from(ctx: &mut DataCtx<'_>, key: &[u8]) -> Option<Vec<u8>> {
    let found = ctx.db.key(key);
    let value = ctx.db.lookup_write(found).map(|e| e.string().expect("a string").to_vec())?;
    ctx.db.remove(found);
    Some(value)
}

fn wait_for(key: &[u8], timeout: Option<Duration>) -> Progress {
    Wait::on(WaitFor::StreamGroup, [key], timeout).blocked()
}

fn pass(ctx: &mut DataCtx<'_>, args: Args<'_>) -> Result<Progress, CommandError> {
    let Some(value) = take_from(ctx, &args[1]) else { return Ok(wait_for(&args[1], None)) };
    let to = ctx.db.key(&args[2]);
    ctx.db.set_bytes(to, &value, crate::db::ExpiryUpdate::Clear);
    ctx.reply.ok();
    Ok(Progress::Done)
}

fn put(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.db.key(&args[1]);
    ctx.db.set_bytes(key, &args[2], crate::db::ExpiryUpdate::Clear);
    ctx.reply.ok();
    Ok(())
}

#[derive(Default)]
struct TestHost {
    now_ns: Cell<u64>,
    reads: Vec<ReadJob>,
}

impl Host for TestHost {
    fn relisten(&mut self, _config: &Config) -> Result<(), String> {
        Ok(())
    }

    fn observe(&mut self, _config: &Config, _metrics: &Arc<Metrics>, _log: &Logger) -> Result<(), String> {
        Ok(())
    }

    fn process(&self) -> &dyn Process {
        unreachable!("no command of these asks for it")
    }

    fn now_ns(&self) -> u64 {
        self.now_ns.set(self.now_ns.get() + 1000);
        self.now_ns.get()
    }

    fn wall_us(&self) -> i64 {
        0
    }

    fn clock_name(&self) -> String {
        "a number".to_owned()
    }

    fn when_saved(&self) -> Box<dyn FnOnce(SaveOutcome) + Send> {
        Box::new(drop)
    }

    fn when_copied(&self) -> Box<dyn FnOnce(SaveOutcome) + Send> {
        Box::new(drop)
    }

    fn when_copy_grows(&self) -> Box<dyn Fn() + Send + Sync> {
        Box::new(|| ())
    }

    fn when_spilled(&self) -> Box<dyn Fn(crate::stream::SpillReport) + Send> {
        Box::new(drop)
    }

    fn when_received(&self) -> Box<dyn Fn(Received) + Send> {
        Box::new(drop)
    }

    fn when_rewritten(&self) -> Box<dyn FnOnce(SaveOutcome) + Send> {
        Box::new(drop)
    }

    fn start_aof_thread(&self) -> std::io::Result<crate::persist::aof::AofThread> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    fn when_freed(&self, _client: u64) -> Box<dyn FnOnce() + Send> {
        Box::new(|| ())
    }

    fn read_elsewhere(&mut self, job: ReadJob) {
        self.reads.push(job);
    }

    fn open_link(&mut self, _link: Box<dyn Link>) -> LinkId {
        LinkId(0)
    }

    fn wake_link(&mut self, _id: LinkId) {}

    fn drop_link(&mut self, _id: LinkId) {}

    fn drive_link(&mut self, _link: &mut dyn Link) {}

    fn sleep(&self, _duration: Duration) {}

    fn serve_others(&mut self, _inst: &mut Instance) {}

    fn allow_clients(&mut self, _maxclients: u64) -> Result<(), String> {
        Ok(())
    }
}

struct World {
    inst: Instance,
    host: TestHost,
}

impl World {
    fn with_clients(count: u32) -> World {
        let mut inst = testing::instance(&TABLE, Vec::new());
        for index in 0..count {
            inst.clients.add(ConnId { index, generation: 1 }, Endpoint::default(), 0);
        }
        World { inst, host: TestHost::default() }
    }

    /// Client `n`, from 1 on, says this; what it was told at once.
    fn say(&mut self, n: u32, request: &str) -> String {
        let owned = OwnedArgs::from_parts(request.split(' '));
        let mut session = self.inst.clients.take(n - 1).expect("a client");
        assert!(!session.attention.has(Attention::HELD), "the server does not let it speak");
        let found = self.inst.table.lookup(owned.view());
        let ran = call::request(&mut self.inst, &mut session, &mut self.host, found, owned.view(), None);
        assert_ne!(ran, Outcome::Postponed);
        self.inst.clients.put_back(session);
        self.told(n)
    }

    fn told(&mut self, n: u32) -> String {
        let out = &mut self.inst.clients.at_mut(n - 1).expect("a client").session.reply.out;
        let text = String::from_utf8(out.to_vec()).expect("text");
        out.clear();
        text.replace("\r\n", " ").trim_end().to_owned()
    }

    fn is_blocked(&self, n: u32) -> bool {
        self.inst.clients.at(n - 1).expect("a client").session.attention.has(Attention::BLOCKED)
    }

    fn going_on(&mut self) -> Vec<u32> {
        let asks = std::mem::take(&mut self.inst.asks).into_iter();
        asks.filter_map(|ask| if let Ask::GoOn(conn) = ask { Some(conn.index + 1) } else { None }).collect()
    }
}

#[test]
fn who_waited_longest_is_served_first() {
    let mut w = World::with_clients(4);
    assert_eq!(w.say(1, "take k 0"), "");
    assert_eq!(w.say(2, "take k 0"), "");
    assert!(w.is_blocked(1) && w.is_blocked(2));
    assert_eq!(w.inst.blocked_clients(), 2);
    assert_eq!(w.inst.stats.commands, 0, "neither is over");
    assert_eq!(w.say(4, "put k v"), "+OK");
    assert_eq!((w.told(1), w.told(2)), ("$1 v".to_owned(), String::new()));
    assert!(!w.is_blocked(1) && w.is_blocked(2));
    assert_eq!(w.going_on(), [1]);
    assert_eq!(w.inst.stats.commands, 2);
    // The first one comes back, behind the second.
    assert_eq!(w.say(1, "take k 0"), "");
    w.say(4, "put k w");
    assert_eq!((w.told(1), w.told(2)), (String::new(), "$1 w".to_owned()));
}

#[test]
fn one_thing_leads_to_another() {
    let mut w = World::with_clients(4);
    w.say(1, "take c 0");
    w.say(2, "pass b c");
    w.say(3, "pass a b");
    w.say(4, "put a v");
    assert_eq!([w.told(3), w.told(2), w.told(1)], ["+OK", "+OK", "$1 v"]);
    assert_eq!(w.going_on(), [3, 2, 1]);
    assert_eq!(w.inst.keyspace.size(0), 0);
    assert!(w.inst.keyspace.blocking_keys().is_idle());
}

#[test]
fn time_runs_out() {
    let mut w = World::with_clients(3);
    w.say(1, "take k 0.5");
    w.say(2, "take k 0.1");
    w.say(3, "take k 0");
    w.host.now_ns.set(150_000_000);
    w.inst.serve_waits(&mut w.host);
    assert_eq!([w.told(1), w.told(2), w.told(3)], ["", "*-1", ""]);
    w.host.now_ns.set(60_000_000_000);
    w.inst.serve_waits(&mut w.host);
    assert_eq!([w.told(1), w.told(2), w.told(3)], ["*-1", "", ""]);
    assert!(w.is_blocked(3));
    assert_eq!(w.inst.stats.commands, 2);
}

#[test]
fn woken_by_another_client() {
    let mut w = World::with_clients(2);
    w.say(1, "take k 0");
    w.say(2, "take k 0");
    assert!(w.inst.end_wait(1, WaitEnd::Timeout));
    assert!(w.inst.end_wait(2, WaitEnd::Error));
    assert!(!w.inst.end_wait(2, WaitEnd::Error), "it does not wait any more");
    assert!(!w.inst.end_wait(77, WaitEnd::Error));
    assert_eq!([w.told(1), w.told(2)], ["*-1", "-UNBLOCKED client unblocked via CLIENT UNBLOCK"]);
    let stats = w.inst.metrics.commands.iter().map(|s| (s.calls.get(), s.failed.get())).max();
    assert_eq!(stats, Some((2, 1)));
}

#[test]
fn a_client_that_goes_is_forgotten() {
    let mut w = World::with_clients(2);
    w.say(1, "take k 0");
    let (mut gone, _) = w.inst.clients.remove(ConnId { index: 0, generation: 1 }).expect("there");
    w.inst.forget(&mut gone, crate::exec::instance::CloseReason::Broken);
    assert!(w.inst.blocked.is_empty() && w.inst.keyspace.blocking_keys().is_idle());
    assert_eq!(w.inst.blocked_clients(), 0);
    w.say(2, "put k v");
    assert_eq!(w.inst.keyspace.size(0), 1);
}

#[test]
fn replies_that_are_not_wanted() {
    let mut w = World::with_clients(2);
    w.inst.clients.at_mut(0).expect("there").session.attention.put(Attention::REPLY_SKIP_NEXT, true);
    w.say(1, "take k 0");
    w.say(2, "put k v");
    assert_eq!(w.told(1), "", "CLIENT REPLY SKIP");
    w.say(1, "take k 0");
    w.say(2, "put k v");
    assert_eq!(w.told(1), "$1 v");
}

#[test]
fn a_pause_comes_first() {
    let mut w = World::with_clients(2);
    w.say(1, "take k 0");
    w.inst.pause.writes_until_ms = w.inst.now_ms + 1000;
    w.inst.refresh_pause();
    // A write from nowhere: a client's would be held back, too.
    let mut db = w.inst.keyspace.db(0, w.inst.now_ms);
    let key = db.key(b"k");
    db.set_bytes(key, b"v", crate::db::ExpiryUpdate::Clear);
    w.inst.serve_waits(&mut w.host);
    let client = w.inst.clients.at(0).expect("there");
    assert!(client.session.attention.has(Attention::PAUSED) && !client.session.attention.has(Attention::BLOCKED));
    assert_eq!(client.connection.deferred.len(), 1);
    assert!(w.inst.asks.iter().any(|ask| matches!(ask, Ask::HoldBack(_))));
    assert!(w.inst.blocked.is_empty());
}
