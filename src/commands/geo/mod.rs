//! The group `geo`: sorted sets of places on earth.
//!
//! A place's score is the number that [`crate::util::geohash`] makes of its longitude and latitude; everything else is
//! a sorted set, and all its commands work on it.
//!
//! | file | commands |
//! | --- | --- |
//! | `places.rs` | GEOADD, GEOPOS, GEODIST, GEOHASH |
//! | `search.rs` | GEOSEARCH, GEOSEARCHSTORE, GEORADIUS, GEORADIUSBYMEMBER and their read-only forms: what is asked |
//! | `find.rs` | what is found, replied and stored |

mod find;
mod places;
mod search;

use crate::exec::error::CommandError;
use crate::exec::spec::{ArgSpec, CommandSpec};
use crate::types::zset::ZsetRef;
use crate::util::geohash::{self, Place};
use crate::util::num;

pub(super) static COMMANDS: &[&CommandSpec] = &[
    &places::GEOADD,
    &places::GEOPOS,
    &places::GEODIST,
    &places::GEOHASH,
    &search::GEOSEARCH,
    &search::GEOSEARCHSTORE,
    &search::GEORADIUS,
    &search::GEORADIUS_RO,
    &search::GEORADIUSBYMEMBER,
    &search::GEORADIUSBYMEMBER_RO,
];

const UNIT: ArgSpec = ArgSpec::one_of(
    "unit",
    &[ArgSpec::word("m", "M"), ArgSpec::word("km", "KM"), ArgSpec::word("ft", "FT"), ArgSpec::word("mi", "MI")],
);

/// Metres in a unit of length.
fn unit(name: &[u8]) -> Result<f64, CommandError> {
    for (word, metres) in [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)] {
        if name.eq_ignore_ascii_case(word.as_bytes()) {
            return Ok(metres);
        }
    }
    Err(CommandError::fixed("ERR unsupported unit provided. please use M, KM, FT, MI"))
}

/// A place that a request names by longitude and latitude.
fn place(longitude: &[u8], latitude: &[u8]) -> Result<Place, CommandError> {
    let number = |text| num::parse_f64(text).ok_or(crate::exec::error::NOT_FLOAT);
    let (longitude, latitude) = (number(longitude)?, number(latitude)?);
    Place::new(longitude, latitude).ok_or_else(|| {
        let pair = format!("{},{}", six_places(longitude), six_places(latitude));
        CommandError::text(format!("ERR invalid longitude,latitude pair {pair}"))
    })
}

/// As C's `%f`.
fn six_places(number: f64) -> String {
    if number.is_infinite() { format!("{number:?}") } else { format!("{number:.6}") }
}

/// Where a member is.
fn place_of(set: ZsetRef<'_>, member: &[u8]) -> Option<Place> {
    set.score(member).map(|score| Place::decode(geohash::number_of(score)))
}

/// A distance as replies show it.
fn push_distance(out: &mut Vec<u8>, distance: f64) {
    let scaled = (distance * 10_000.0).round_ties_even() as i64;
    out.extend_from_slice(format!("{}.{:04}", scaled / 10_000, scaled % 10_000).as_bytes());
}
