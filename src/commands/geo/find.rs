//! What lies within an area: found, brought into order, replied or stored.

use crate::db::KeyEvent;
use std::ops::ControlFlow;

use super::places::reply_place;
use super::push_distance;
use crate::exec::ctx::DataCtx;
use crate::resp::Reply;
use crate::types::value::NewValue;
use crate::types::zset::spec::ScoreRange;
use crate::types::zset::{NewZset, ZsetRef};
use crate::util::geohash::{self, Area, Place};

/// In which order places are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Order {
    #[default]
    None,
    Nearest,
    Farthest,
}

/// What is wanted of what is found.
#[derive(Default)]
pub(super) struct Wish {
    pub order: Order,
    pub count: Option<usize>,
    /// Any `count` places will do.
    pub stop_early: bool,
    pub distances: bool,
    pub numbers: bool,
    pub places: bool,
    /// What subscribers are told of a stored result.
    pub event: &'static str,
    /// The stored scores are distances.
    pub store_distances: bool,
    /// Metres of the unit that distances are told in.
    pub metres: f64,
}

impl Wish {
    pub(super) fn has_extras(&self) -> bool {
        self.distances || self.numbers || self.places
    }
}

/// A place found.
pub(super) struct Found {
    member: Vec<u8>,
    score: f64,
    place: Place,
    metres: f64,
}

/// The places of `set` in `area`: at most as many as wanted, in the order wanted.
pub(super) fn find(set: ZsetRef<'_>, area: &Area, wish: &Wish) -> Vec<Found> {
    let enough = wish.count.filter(|_| wish.stop_early).unwrap_or(usize::MAX);
    let mut found: Vec<Found> = Vec::new();
    for cell in area.cells() {
        if found.len() >= enough {
            break;
        }
        let numbers = cell.numbers();
        let range =
            ScoreRange { min: numbers.start as f64, max: numbers.end as f64, above_min: false, below_max: true };
        let mut flow = ControlFlow::Continue(());
        set.walk(set.ranks_of_scores(&range), false, |member, score| {
            if flow.is_break() {
                return;
            }
            let place = Place::decode(geohash::number_of(score));
            if let Some(metres) = area.distance_within(place) {
                let mut name = Vec::new();
                member.push_to(&mut name);
                found.push(Found { member: name, score, place, metres });
                if found.len() >= enough {
                    flow = ControlFlow::Break(());
                }
            }
        });
    }
    match wish.order {
        Order::None => {}
        Order::Nearest => found.sort_by(|a, b| a.metres.total_cmp(&b.metres)),
        Order::Farthest => found.sort_by(|a, b| b.metres.total_cmp(&a.metres)),
    }
    found.truncate(wish.count.unwrap_or(usize::MAX));
    found
}

pub(super) fn reply(reply: &mut Reply, found: &[Found], wish: &Wish) {
    let extras = usize::from(wish.distances) + usize::from(wish.numbers) + usize::from(wish.places);
    reply.array(found.len());
    for one in found {
        if extras > 0 {
            reply.array(1 + extras);
        }
        reply.bulk(&one.member);
        if wish.distances {
            let mut text = Vec::new();
            push_distance(&mut text, one.metres / wish.metres);
            reply.bulk(&text);
        }
        if wish.numbers {
            reply.int(geohash::truncated(one.score));
        }
        if wish.places {
            reply_place(reply, one.place);
        }
    }
}

/// The places become a sorted set, or the destination goes when there are none.
pub(super) fn store(ctx: &mut DataCtx<'_>, to: &[u8], found: Vec<Found>, wish: &Wish) {
    let count = found.len();
    let to = ctx.db.key(to);
    if count == 0 {
        ctx.db.remove(to);
    } else {
        let score = |one: &Found| if wish.store_distances { one.metres / wish.metres } else { one.score };
        let mut pairs: Vec<(f64, Vec<u8>)> = found.into_iter().map(|one| (score(&one), one.member)).collect();
        let set = NewZset::of(&mut ctx.db.maker(), &mut pairs);
        ctx.db.entry(to).set_value(NewValue::Zset(set), KeyEvent::zset(wish.event));
    }
    ctx.reply.int(count as i64);
}
