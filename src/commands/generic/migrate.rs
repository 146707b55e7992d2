//! MIGRATE: keys go to another instance, as RESTORE there and DEL here.
//!
//! How they travel, and who waits meanwhile, is in `exec/migrate.rs`. The request runs twice: to send the keys, and when
//! the other instance has answered, to delete those that it has. In a transaction everybody waits in between, as Redis
//! does always.
//!
//! The order in which it refuses is Redis's: options, numbers, then the keys.

use super::dump;
use crate::blocking::Progress;
use crate::exec::args::int;
use crate::exec::ctx::AdminCtx;
use crate::exec::error::{self, CommandError};
use crate::exec::link::Address;
use crate::exec::migrate::{Delivery, Parcel, Plan};
use crate::exec::spec::{Access, ArgSpec, Arity, Begin, Categories, CommandSpec, Find, Flags, Group, Handler, KeySpec};
use crate::resp::Args;

/// What is done with the keys, wherever they stand.
const MOVED: Access = Access::READ_WRITE.or(Access::ACCESS).or(Access::DELETE);

const KEY_AT: usize = 3;
const OPTIONS_AT: usize = 6;

/// How long the other instance may be silent if the request does not say, ms.
const TIMEOUT_MS: u64 = 1000;

pub(super) static MIGRATE: CommandSpec = CommandSpec {
    name: "migrate",
    summary: "Moves keys to another instance.",
    complexity: "O(N) here to dump and delete, O(N) there to restore, N bytes of values",
    since: "2.6.0",
    group: Group::Generic,
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE,
    categories: Categories::DANGEROUS,
    keys: &[
        KeySpec { begin: Begin::Index(KEY_AT as u16), access_of: Some(access_of_single), ..KeySpec::at(0, MOVED) },
        KeySpec {
            begin: Begin::Option { word: "KEYS", from: -2, search: first_of_keys },
            find: Find::Range { last: -1, step: 1, limit: 0 },
            ..KeySpec::at(0, MOVED.or(Access::INCOMPLETE))
        },
    ],
    args: &[
        ArgSpec::string("host"),
        ArgSpec::integer("port"),
        ArgSpec::one_of("key-selector", &[ArgSpec::key("key"), ArgSpec::word("empty-string", "")]),
        ArgSpec::integer("destination-db"),
        ArgSpec::integer("timeout"),
        ArgSpec::word("copy", "COPY").optional().since("3.0.0"),
        ArgSpec::word("replace", "REPLACE").optional().since("3.0.0"),
        ArgSpec::one_of(
            "authentication",
            &[
                ArgSpec::string("auth").token("AUTH").display("password").since("4.0.7"),
                ArgSpec::block("auth2", &[ArgSpec::string("username"), ArgSpec::string("password")])
                    .token("AUTH2")
                    .since("6.0.0"),
            ],
        )
        .optional(),
        ArgSpec::key_of("keys", 1).token("KEYS").display("key").optional().multiple().since("3.0.6"),
    ],
    history: &[
        ("3.0.0", "Added the `COPY` and `REPLACE` options."),
        ("3.0.6", "Added the `KEYS` option."),
        ("4.0.7", "Added the `AUTH` option."),
        ("6.0.0", "Added the `AUTH2` option."),
    ],
    tips: &["nondeterministic_output"],
    secret: Some(is_secret),
    handler: Handler::AdminBlocking(migrate),
    ..CommandSpec::BASE
};

const KEY_AND_KEYS: CommandError =
    CommandError::fixed("ERR When using MIGRATE KEYS option, the key argument must be set to the empty string");

#[derive(Default)]
struct Options {
    copy: bool,
    replace: bool,
    /// Where the words after AUTH are, and how many.
    auth: Option<(usize, usize)>,
    /// Where the first of KEYS is.
    keys: Option<usize>,
}

impl Options {
    /// Reads them, and says whether all of them make sense. What does not is passed over, so that keys are found, and
    /// secrets hidden, of a request that will be refused.
    fn read(args: Args<'_>) -> (Options, bool) {
        let mut options = Options::default();
        let (mut at, mut is_whole) = (OPTIONS_AT, true);
        while let Some(word) = args.get(at) {
            let credentials = match word {
                _ if word.eq_ignore_ascii_case(b"COPY") => {
                    options.copy = true;
                    0
                }
                _ if word.eq_ignore_ascii_case(b"REPLACE") => {
                    options.replace = true;
                    0
                }
                _ if word.eq_ignore_ascii_case(b"AUTH") => 1,
                _ if word.eq_ignore_ascii_case(b"AUTH2") => 2,
                _ if word.eq_ignore_ascii_case(b"KEYS") => {
                    options.keys = Some(at + 1);
                    return (options, is_whole);
                }
                _ => {
                    is_whole = false;
                    0
                }
            };
            if credentials > 0 {
                if at + credentials >= args.len() {
                    return (options, false);
                }
                options.auth = Some((at + 1, credentials));
            }
            at += 1 + credentials;
        }
        (options, is_whole)
    }
}

/// The key argument is one, unless it is there to be empty.
fn access_of_single(args: Args<'_>) -> Access {
    let others = Options::read(args).0.keys.filter(|at| *at < args.len() || !args[KEY_AT].is_empty());
    if others.is_some() { Access::NOT_KEY } else { MOVED }
}

/// The first of those after KEYS.
fn first_of_keys(args: Args<'_>) -> Option<usize> {
    Options::read(args).0.keys.filter(|at| args.get(KEY_AT).is_some_and(<[u8]>::is_empty) && *at < args.len())
}

fn is_secret(args: Args<'_>, i: usize) -> bool {
    let (options, _) = Options::read(args);
    options.auth.is_some_and(|(at, count)| (at..at + count).contains(&i))
}

fn migrate(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> Result<Progress, CommandError> {
    if let Some(delivery) = ctx.inst.migrations.delivery.take() {
        return conclude(ctx, delivery);
    }
    let (options, is_whole) = Options::read(args);
    if !is_whole {
        return Err(error::SYNTAX);
    }
    if options.keys.is_some() && !args[KEY_AT].is_empty() {
        return Err(KEY_AND_KEYS);
    }
    let timeout = int(&args[5])?;
    let db = int(&args[4])?;
    let keys = options.keys.map_or(KEY_AT..KEY_AT + 1, |first| first..args.len());
    let parcels: Vec<Parcel> = keys.filter_map(|at| parcel(ctx, &args[at])).collect();
    if parcels.is_empty() {
        ctx.reply().simple("NOKEY");
        return Ok(Progress::Done);
    }
    let plan = Plan {
        target: Address { host: args[1].into(), port: port(&args[2]) },
        db,
        timeout_ms: u64::try_from(timeout).ok().filter(|ms| *ms > 0).unwrap_or(TIMEOUT_MS),
        auth: options.auth.map_or_else(Vec::new, |(at, count)| (at..at + count).map(|i| args[i].into()).collect()),
        copy: options.copy,
        replace: options.replace,
        parcels,
    };
    if ctx.origin.may_block() {
        ctx.inst.begin_migration(ctx.host, ctx.session, ctx.command, args, plan);
        return Ok(Progress::sent_elsewhere());
    }
    let delivery = ctx.inst.migrate_now(ctx.host, plan);
    conclude(ctx, delivery)
}

/// A port as Redis reads it: the digits at the beginning, of which the low 16 bits count.
fn port(text: &[u8]) -> u16 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |port: u16, digit| port.wrapping_mul(10).wrapping_add(u16::from(digit - b'0')))
}

fn parcel(ctx: &mut AdminCtx<'_>, key: &[u8]) -> Option<Parcel> {
    let config = &ctx.inst.config;
    let mut db = ctx.inst.keyspace.db(ctx.session.db as usize, ctx.inst.now_ms);
    let entry = db.lookup_read(db.key(key))?;
    let payload = dump::serialised(entry.value(), config).into();
    Some(Parcel { key: key.into(), payload, expiry_ms: entry.expiry_ms() })
}

/// Deletes what the other instance has, and says how it went.
fn conclude(ctx: &mut AdminCtx<'_>, delivery: Delivery) -> Result<Progress, CommandError> {
    let mut db = ctx.db();
    let mut deleted: Vec<&[u8]> = vec![b"DEL"];
    for name in &delivery.taken {
        let key = db.key(name);
        if db.remove(key) {
            deleted.push(name);
        }
    }
    if deleted.len() > 1 {
        db.propagate(&deleted);
    }
    match delivery.error {
        Some(error) => Err(error),
        None => {
            ctx.reply().ok();
            Ok(Progress::Done)
        }
    }
}
