//! GEOADD, GEOPOS, GEODIST, GEOHASH: places by their names.

use super::{UNIT, place, place_of, push_distance, unit};
use crate::db::{KeyEvent, KeySlot};
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::{Args, Reply};
use crate::types::value::{NewValue, ValueRef};
use crate::types::zset::{self, AddRule, Added, NewZset, ZsetRef};
use crate::util::geohash::Place;

pub(super) static GEOADD: CommandSpec = CommandSpec {
    name: "geoadd",
    summary: "Adds places to a sorted set, or moves them.",
    complexity: "O(log(N)) for each place",
    since: "3.2.0",
    group: Group::Geo,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::UPDATE))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::one_of("condition", &[ArgSpec::word("nx", "NX"), ArgSpec::word("xx", "XX")]).optional().since("6.2.0"),
        ArgSpec::word("change", "CH").optional().since("6.2.0"),
        ArgSpec::block("data", &[ArgSpec::double("longitude"), ArgSpec::double("latitude"), ArgSpec::string("member")])
            .multiple(),
    ],
    element: 4,
    handler: Handler::Data(geoadd),
    ..CommandSpec::BASE
};

pub(super) static GEOPOS: CommandSpec = CommandSpec {
    name: "geopos",
    summary: "Returns longitude and latitude of places.",
    complexity: "O(1) for each place",
    since: "3.2.0",
    group: Group::Geo,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key"), ArgSpec::string("member").multiple().optional()],
    handler: Handler::Data(geopos),
    ..CommandSpec::BASE
};

pub(super) static GEODIST: CommandSpec = CommandSpec {
    name: "geodist",
    summary: "Returns the distance between two places.",
    since: "3.2.0",
    group: Group::Geo,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key"), ArgSpec::string("member1"), ArgSpec::string("member2"), UNIT.optional()],
    handler: Handler::Data(geodist),
    ..CommandSpec::BASE
};

pub(super) static GEOHASH: CommandSpec = CommandSpec {
    name: "geohash",
    summary: "Returns places as geohash strings.",
    complexity: "O(1) for each place",
    since: "3.2.0",
    group: Group::Geo,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key"), ArgSpec::string("member").multiple().optional()],
    handler: Handler::Data(geohash),
    ..CommandSpec::BASE
};

/// Elsewhere the places are members of a sorted set, and come there as such.
fn propagate(ctx: &mut DataCtx<'_>, args: Args<'_>, first: usize) {
    let scores = (first..args.len()).step_by(3).map(|at| place(&args[at], &args[at + 1]).map_or(0, Place::encode));
    let scores: Vec<String> = scores.map(|score| score.to_string()).collect();
    let mut command: Vec<&[u8]> = vec![b"ZADD", &args[1]];
    command.extend((2..first).map(|at| &args[at]));
    for (score, at) in scores.iter().zip((first + 2..).step_by(3)) {
        command.extend([score.as_bytes(), &args[at]]);
    }
    ctx.db.propagate(&command);
}

fn geoadd(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let mut rule = AddRule::default();
    let mut count_moved = false;
    let mut first = 2;
    while let Some(word) = args.get(first) {
        match word {
            _ if word.eq_ignore_ascii_case(b"nx") => rule.new_only = true,
            _ if word.eq_ignore_ascii_case(b"xx") => rule.known_only = true,
            _ if word.eq_ignore_ascii_case(b"ch") => count_moved = true,
            _ => break,
        }
        first += 1;
    }
    let given = args.len() - first;
    if !given.is_multiple_of(3) || (rule.new_only && rule.known_only) || given == 0 {
        return Err(error::SYNTAX);
    }
    let mut places = Vec::with_capacity(given / 3);
    for at in (first..args.len()).step_by(3) {
        places.push((place(&args[at], &args[at + 1])?.encode() as f64, at + 2));
    }
    let longest = places.iter().map(|(_, at)| args.len_of(*at)).max().unwrap_or(0);
    let key = ctx.key(args, 1);
    let mut entry = match ctx.db.entry(key) {
        KeySlot::Occupied(entry) => match entry.get().value() {
            ValueRef::Zset(_) => entry,
            _ => return Err(error::WRONG_TYPE),
        },
        KeySlot::Vacant(_) if rule.known_only => {
            ctx.reply.int(0);
            return Ok(());
        }
        KeySlot::Vacant(mut place) => {
            let set = NewZset::empty(&place.maker(), places.len(), longest);
            place.insert_value(NewValue::Zset(set))
        }
    };
    let (mut new, mut moved) = (0, 0);
    for (score, at) in places {
        // No score is a NaN here, so adding always leads to a number.
        match zset::add(&mut entry, rule, score, args.text(at)) {
            Ok(Added::New(_)) => new += 1,
            Ok(Added::Moved(_)) => moved += 1,
            Ok(Added::Same(_) | Added::Refused) | Err(_) => {}
        }
    }
    if new + moved > 0 {
        entry.changed(new + moved, KeyEvent::zset("zadd"));
    }
    if new + moved > 0 && ctx.db.propagates() {
        propagate(ctx, args, first);
    }
    ctx.reply.int((new + if count_moved { moved } else { 0 }) as i64);
    Ok(())
}

/// The sorted set of a key that is read.
pub(super) fn lookup<'c>(
    ctx: &'c mut DataCtx<'_>,
    args: Args<'_>,
    at: usize,
) -> Result<Option<ZsetRef<'c>>, CommandError> {
    let key = ctx.key(args, at);
    match ctx.db.lookup_read(key).map(|entry| entry.value()) {
        None => Ok(None),
        Some(ValueRef::Zset(set)) => Ok(Some(set)),
        Some(_) => Err(error::WRONG_TYPE),
    }
}

/// Where the members are that a request names from argument 2 on.
fn places(ctx: &mut DataCtx<'_>, args: Args<'_>) -> Result<Vec<Option<Place>>, CommandError> {
    let set = lookup(ctx, args, 1)?;
    Ok(args.iter().skip(2).map(|member| place_of(set?, member)).collect())
}

fn geopos(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let places = places(ctx, args)?;
    ctx.reply.array(places.len());
    for place in places {
        match place {
            Some(place) => reply_place(ctx.reply, place),
            None => ctx.reply.null_array(),
        }
    }
    Ok(())
}

/// A pair of coordinates.
pub(super) fn reply_place(reply: &mut Reply, place: Place) {
    reply.array(2);
    reply.double(place.longitude);
    reply.double(place.latitude);
}

fn geodist(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let metres = match args.len() {
        4 => 1.0,
        5 => unit(&args[4])?,
        _ => return Err(error::SYNTAX),
    };
    let set = lookup(ctx, args, 1)?;
    let both = set.and_then(|set| Some((place_of(set, &args[2])?, place_of(set, &args[3])?)));
    match both {
        Some((one, other)) => {
            let mut text = Vec::new();
            push_distance(&mut text, one.distance(other) / metres);
            ctx.reply.bulk(&text);
        }
        None => ctx.reply.null(),
    }
    Ok(())
}

fn geohash(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let places = places(ctx, args)?;
    ctx.reply.array(places.len());
    for place in places {
        match place {
            Some(place) => ctx.reply.bulk(&place.text()),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}
