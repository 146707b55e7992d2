//! GEOSEARCH and GEORADIUS, with all their forms: what a request asks for.
//!
//! The older commands name the centre and the radius in fixed places; the newer ones have options for both. From there
//! on they are one. The order in which mistakes are told is Redis's, and depends on whether the key exists.

use super::find::{self, Order, Wish};
use super::places::lookup;
use super::{UNIT, place, place_of, unit};
use crate::exec::args::int;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, Begin, CommandSpec, Find, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::util::geohash::{Area, Place, Shape};
use crate::util::num;

const COMPLEXITY: &str = "O(N+log(M)), N the places in the boxes around, M those found";

const FROM: ArgSpec = ArgSpec::one_of(
    "from",
    &[
        ArgSpec::string("member").token("FROMMEMBER"),
        ArgSpec::block("fromlonlat", &[ArgSpec::double("longitude"), ArgSpec::double("latitude")]).token("FROMLONLAT"),
    ],
);
const BY: ArgSpec = ArgSpec::one_of(
    "by",
    &[
        ArgSpec::block("circle", &[ArgSpec::double("radius").token("BYRADIUS"), UNIT]),
        ArgSpec::block("box", &[ArgSpec::double("width").token("BYBOX"), ArgSpec::double("height"), UNIT]),
    ],
);
const ORDER: ArgSpec =
    ArgSpec::one_of("order", &[ArgSpec::word("asc", "ASC"), ArgSpec::word("desc", "DESC")]).optional();
const COUNT: ArgSpec =
    ArgSpec::block("count-block", &[ArgSpec::integer("count").token("COUNT"), ArgSpec::word("any", "ANY").optional()])
        .optional();
const COUNT_OLD: ArgSpec = ArgSpec::block(
    "count-block",
    &[ArgSpec::integer("count").token("COUNT"), ArgSpec::word("any", "ANY").optional().since("6.2.0")],
)
.optional();
const WITHCOORD: ArgSpec = ArgSpec::word("withcoord", "WITHCOORD").optional();
const WITHDIST: ArgSpec = ArgSpec::word("withdist", "WITHDIST").optional();
const WITHHASH: ArgSpec = ArgSpec::word("withhash", "WITHHASH").optional();
const STORE: ArgSpec = ArgSpec::one_of(
    "store",
    &[
        ArgSpec::key_of("storekey", 1).token("STORE").display("key"),
        ArgSpec::key_of("storedistkey", 2).token("STOREDIST").display("key"),
    ],
)
.optional();

const READS: KeySpec = KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS));

const fn stores(word: &'static str, from: i16) -> KeySpec {
    KeySpec {
        access: Access::OVERWRITE.or(Access::UPDATE),
        access_of: None,
        begin: Begin::Keyword(word, from),
        find: Find::Range { last: 0, step: 1, limit: 0 },
        notes: "",
    }
}

pub(super) static GEOSEARCH: CommandSpec = CommandSpec {
    name: "geosearch",
    summary: "Finds places within a circle or a box.",
    complexity: COMPLEXITY,
    since: "6.2.0",
    group: Group::Geo,
    arity: Arity::AtLeast(7),
    flags: Flags::READONLY,
    keys: &[READS],
    args: &[ArgSpec::key("key"), FROM, BY, ORDER, COUNT, WITHCOORD, WITHDIST, WITHHASH],
    handler: Handler::Data(geosearch),
    ..CommandSpec::BASE
};

pub(super) static GEOSEARCHSTORE: CommandSpec = CommandSpec {
    name: "geosearchstore",
    summary: "Stores the places found within a circle or a box.",
    complexity: COMPLEXITY,
    since: "6.2.0",
    group: Group::Geo,
    arity: Arity::AtLeast(8),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::at(1, Access::OVERWRITE.or(Access::UPDATE)), KeySpec::at(2, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::key("destination"),
        ArgSpec::key_of("source", 1),
        FROM,
        BY,
        ORDER,
        COUNT,
        ArgSpec::word("storedist", "STOREDIST").optional(),
    ],
    handler: Handler::Data(geosearchstore),
    ..CommandSpec::BASE
};

pub(super) static GEORADIUS: CommandSpec = CommandSpec {
    name: "georadius",
    summary: "Finds places within a distance from a point, and may store them.",
    complexity: COMPLEXITY,
    since: "3.2.0",
    group: Group::Geo,
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[READS, stores("STORE", 6), stores("STOREDIST", 6)],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::double("longitude"),
        ArgSpec::double("latitude"),
        ArgSpec::double("radius"),
        UNIT,
        WITHCOORD,
        WITHDIST,
        WITHHASH,
        COUNT_OLD,
        ORDER,
        STORE,
    ],
    deprecated: Some(("6.2.0", "GEOSEARCH and GEOSEARCHSTORE with the BYRADIUS argument")),
    handler: Handler::Data(georadius),
    ..CommandSpec::BASE
};

pub(super) static GEORADIUS_RO: CommandSpec = CommandSpec {
    name: "georadius_ro",
    summary: "Finds places within a distance from a point.",
    complexity: COMPLEXITY,
    since: "3.2.10",
    group: Group::Geo,
    arity: Arity::AtLeast(6),
    flags: Flags::READONLY,
    keys: &[READS],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::double("longitude"),
        ArgSpec::double("latitude"),
        ArgSpec::double("radius"),
        UNIT,
        WITHCOORD,
        WITHDIST,
        WITHHASH,
        COUNT_OLD,
        ORDER,
    ],
    deprecated: Some(("6.2.0", "GEOSEARCH with the BYRADIUS argument")),
    handler: Handler::Data(georadius_ro),
    ..CommandSpec::BASE
};

pub(super) static GEORADIUSBYMEMBER: CommandSpec = CommandSpec {
    name: "georadiusbymember",
    summary: "Finds places within a distance from another, and may store them.",
    complexity: COMPLEXITY,
    since: "3.2.0",
    group: Group::Geo,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[READS, stores("STORE", 5), stores("STOREDIST", 5)],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::string("member"),
        ArgSpec::double("radius"),
        UNIT,
        WITHCOORD,
        WITHDIST,
        WITHHASH,
        COUNT,
        ORDER,
        STORE,
    ],
    deprecated: Some(("6.2.0", "GEOSEARCH and GEOSEARCHSTORE with the BYRADIUS and FROMMEMBER arguments")),
    handler: Handler::Data(georadiusbymember),
    ..CommandSpec::BASE
};

pub(super) static GEORADIUSBYMEMBER_RO: CommandSpec = CommandSpec {
    name: "georadiusbymember_ro",
    summary: "Finds places within a distance from another.",
    complexity: COMPLEXITY,
    since: "3.2.10",
    group: Group::Geo,
    arity: Arity::AtLeast(5),
    flags: Flags::READONLY,
    keys: &[READS],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::string("member"),
        ArgSpec::double("radius"),
        UNIT,
        WITHCOORD,
        WITHDIST,
        WITHHASH,
        COUNT,
        ORDER,
    ],
    deprecated: Some(("6.2.0", "GEOSEARCH with the BYRADIUS and FROMMEMBER arguments")),
    handler: Handler::Data(georadiusbymember_ro),
    ..CommandSpec::BASE
};

const NO_MEMBER: CommandError = CommandError::fixed("ERR could not decode requested zset member");

/// Which of the commands it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// GEORADIUS key longitude latitude radius unit.
    Radius { stores: bool },
    /// GEORADIUSBYMEMBER key member radius unit.
    RadiusByMember { stores: bool },
    /// GEOSEARCH key.
    Search,
    /// GEOSEARCHSTORE destination key.
    SearchStore,
}

impl Form {
    fn is_search(self) -> bool {
        matches!(self, Form::Search | Form::SearchStore)
    }

    /// Index of the first option.
    fn options_at(self) -> usize {
        match self {
            Form::Radius { .. } => 6,
            Form::RadiusByMember { .. } => 5,
            Form::Search => 2,
            Form::SearchStore => 3,
        }
    }

    fn source_at(self) -> usize {
        if self == Form::SearchStore { 2 } else { 1 }
    }

    fn may_store(self) -> bool {
        matches!(self, Form::Radius { stores: true } | Form::RadiusByMember { stores: true })
    }
}

fn geosearch(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    run(ctx, args, Form::Search)
}

fn geosearchstore(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    run(ctx, args, Form::SearchStore)
}

fn georadius(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    run(ctx, args, Form::Radius { stores: true })
}

fn georadius_ro(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    run(ctx, args, Form::Radius { stores: false })
}

fn georadiusbymember(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    run(ctx, args, Form::RadiusByMember { stores: true })
}

fn georadiusbymember_ro(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    run(ctx, args, Form::RadiusByMember { stores: false })
}

fn length(text: &[u8], mistake: &'static str) -> Result<f64, CommandError> {
    num::parse_f64(text).ok_or(CommandError::fixed(mistake))
}

/// A radius in metres, and the metres of its unit.
fn circle(radius: &[u8], unit_name: &[u8]) -> Result<(Shape, f64), CommandError> {
    let radius = length(radius, "ERR need numeric radius")?;
    if radius < 0.0 {
        return Err(CommandError::fixed("ERR radius cannot be negative"));
    }
    let metres = unit(unit_name)?;
    Ok((Shape::Circle { radius: radius * metres }, metres))
}

fn rectangle(width: &[u8], height: &[u8], unit_name: &[u8]) -> Result<(Shape, f64), CommandError> {
    let (width, height) = (length(width, "ERR need numeric width")?, length(height, "ERR need numeric height")?);
    if width < 0.0 || height < 0.0 {
        return Err(CommandError::fixed("ERR height or width cannot be negative"));
    }
    let metres = unit(unit_name)?;
    Ok((Shape::Box { width: width * metres, height: height * metres }, metres))
}

/// What has been understood so far.
#[derive(Default)]
struct Asked {
    /// FROMMEMBER or FROMLONLAT was given; the place is known unless the key is missing.
    has_centre: bool,
    by_member: bool,
    centre: Option<Place>,
    shape: Option<(Shape, f64)>,
    wish: Wish,
    count: i64,
    any: bool,
    store_at: Option<usize>,
}

fn run(ctx: &mut DataCtx<'_>, args: Args<'_>, form: Form) -> CommandResult {
    let mut asked = Asked::default();
    let exists = {
        let set = lookup(ctx, args, form.source_at())?;
        let member_place = |member: &[u8]| match set {
            Some(set) => place_of(set, member).ok_or(NO_MEMBER).map(Some),
            None => Ok(None),
        };
        match form {
            Form::Radius { .. } => {
                asked.centre = Some(place(&args[2], &args[3])?);
                asked.shape = Some(circle(&args[4], &args[5])?);
            }
            Form::RadiusByMember { .. } if set.is_some() => {
                asked.centre = member_place(&args[2])?;
                asked.shape = Some(circle(&args[3], &args[4])?);
            }
            Form::RadiusByMember { .. } | Form::Search => {}
            Form::SearchStore => asked.store_at = Some(1),
        }
        options(&mut asked, args, form, member_place)?;
        set.is_some()
    };
    let name = || String::from_utf8_lossy(error::until_nul(&args[0])).into_owned();
    if asked.store_at.is_some() && asked.wish.has_extras() {
        let what = if form == Form::SearchStore { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
        let rest = "is not compatible with WITHDIST, WITHHASH and WITHCOORD options";
        return Err(CommandError::text(format!("ERR {what} {rest}")));
    }
    if form.is_search() && !asked.has_centre {
        let rest = "exactly one of FROMMEMBER or FROMLONLAT can be specified for";
        return Err(CommandError::text(format!("ERR {rest} {}", name())));
    }
    if form.is_search() && asked.shape.is_none() {
        let rest = "exactly one of BYRADIUS and BYBOX can be specified for";
        return Err(CommandError::text(format!("ERR {rest} {}", name())));
    }
    if asked.any && asked.count == 0 {
        return Err(CommandError::fixed("ERR the ANY argument requires COUNT argument"));
    }
    let mut wish = asked.wish;
    wish.event = if form == Form::SearchStore { "geosearchstore" } else { "georadiusstore" };
    wish.count = (asked.count > 0).then_some(asked.count as usize);
    wish.stop_early = asked.any;
    if wish.count.is_some() && wish.order == Order::None && !asked.any {
        wish.order = Order::Nearest;
    }
    let found = match (asked.centre, asked.shape) {
        (Some(centre), Some((shape, metres))) if exists => {
            wish.metres = metres;
            match lookup_again(ctx, args, form.source_at()) {
                Some(set) => find::find(set, &Area { centre, shape }, &wish),
                None => Vec::new(),
            }
        }
        _ => Vec::new(),
    };
    match asked.store_at {
        Some(at) => find::store(ctx, &args[at], found, &wish),
        None => find::reply(ctx.reply, &found, &wish),
    }
    Ok(())
}

/// The set that [`lookup`] has found and counted before.
fn lookup_again<'c>(ctx: &'c DataCtx<'_>, args: Args<'_>, at: usize) -> Option<crate::types::zset::ZsetRef<'c>> {
    match ctx.db.peek(ctx.key(args, at)).map(|entry| entry.value()) {
        Some(crate::types::value::ValueRef::Zset(set)) => Some(set),
        _ => None,
    }
}

fn options(
    asked: &mut Asked,
    args: Args<'_>,
    form: Form,
    member_place: impl Fn(&[u8]) -> Result<Option<Place>, CommandError>,
) -> Result<(), CommandError> {
    let mut at = form.options_at();
    while let Some(word) = args.get(at) {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        let more = args.len() - at - 1;
        let search = form.is_search();
        let from_place = asked.has_centre && !asked.by_member;
        if is("withdist") {
            asked.wish.distances = true;
        } else if is("withhash") {
            asked.wish.numbers = true;
        } else if is("withcoord") {
            asked.wish.places = true;
        } else if is("any") {
            asked.any = true;
        } else if is("asc") {
            asked.wish.order = Order::Nearest;
        } else if is("desc") {
            asked.wish.order = Order::Farthest;
        } else if is("count") && more >= 1 {
            asked.count = int(&args[at + 1])?;
            if asked.count <= 0 {
                return Err(CommandError::fixed("ERR COUNT must be > 0"));
            }
            at += 1;
        } else if form.may_store() && (is("store") || is("storedist")) && more >= 1 {
            asked.store_at = Some(at + 1);
            asked.wish.store_distances = is("storedist");
            at += 1;
        } else if search && is("frommember") && more >= 1 && !from_place {
            asked.centre = member_place(&args[at + 1])?;
            (asked.has_centre, asked.by_member) = (true, true);
            at += 1;
        } else if search && is("fromlonlat") && more >= 2 && !asked.by_member {
            asked.centre = Some(place(&args[at + 1], &args[at + 2])?);
            asked.has_centre = true;
            at += 2;
        } else if search && is("byradius") && more >= 2 && !matches!(asked.shape, Some((Shape::Box { .. }, _))) {
            asked.shape = Some(circle(&args[at + 1], &args[at + 2])?);
            at += 2;
        } else if search && is("bybox") && more >= 3 && !matches!(asked.shape, Some((Shape::Circle { .. }, _))) {
            asked.shape = Some(rectangle(&args[at + 1], &args[at + 2], &args[at + 3])?);
            at += 3;
        } else if form == Form::SearchStore && is("storedist") {
            asked.wish.store_distances = true;
        } else {
            return Err(error::SYNTAX);
        }
        at += 1;
    }
    Ok(())
}
