//! Arguments that mean the same in several families: integers, deadlines, runs of keys.
//!
//! A refusal here is worded as Redis words it, because clients match on it. Which of two refusals a client is told
//! when an argument is wrong in two ways depends on the order of the checks, so the order is part of the contract too:
//! first the shape of the whole request, then (where the command wants it) the key, then the values of options.

use std::time::Duration;

use crate::db::{DbMut, Key, Readable};
use crate::exec::ctx::Ctx;
use crate::exec::error::{self, CommandError};
use crate::exec::long_read::When;
use crate::resp::Args;
use crate::util::long_double::LongDouble;
use crate::util::num;

/// A signed 64-bit integer, spelled the one right way.
#[inline]
pub fn int(text: &[u8]) -> Result<i64, CommandError> {
    num::parse_i64(text).ok_or(error::NOT_INTEGER)
}

/// A signed 32-bit integer: the numbers of databases.
pub fn int32(text: &[u8]) -> Result<i32, CommandError> {
    let wide = int(text)?;
    i32::try_from(wide).map_err(|_| {
        CommandError::text(format!("ERR value is out of range, value must between {} and {}", i32::MIN, i32::MAX))
    })
}

/// The number of a database that exists.
pub fn db_index(text: &[u8], db: &DbMut<'_>) -> Result<usize, CommandError> {
    let index = usize::try_from(int32(text)?).map_err(|_| error::DB_OUT_OF_RANGE)?;
    if index < db.keyspace().databases() { Ok(index) } else { Err(error::DB_OUT_OF_RANGE) }
}

/// What a number that says when a key expires counts, and from when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExpiryUnit {
    /// EX: seconds from now.
    Seconds,
    /// PX: milliseconds from now.
    Millis,
    /// EXAT: seconds since 1970.
    UnixSeconds,
    /// PXAT: milliseconds since 1970.
    UnixMillis,
}

impl ExpiryUnit {
    /// Counted from now, not from 1970.
    #[inline]
    pub fn is_relative(self) -> bool {
        matches!(self, ExpiryUnit::Seconds | ExpiryUnit::Millis)
    }

    #[inline]
    fn is_seconds(self) -> bool {
        matches!(self, ExpiryUnit::Seconds | ExpiryUnit::UnixSeconds)
    }

    /// The deadline in unix milliseconds; none when it cannot be represented. It may lie in the past.
    #[inline]
    pub fn deadline_ms(self, count: i64, now_ms: i64) -> Option<i64> {
        let millis = if self.is_seconds() { count.checked_mul(1000)? } else { count };
        if self.is_relative() { millis.checked_add(now_ms) } else { Some(millis) }
    }
}

/// The deadline that an option of SET, GETEX and their kin asks for: a positive number, or the command is refused.
#[inline]
pub fn deadline_ms(unit: ExpiryUnit, text: &[u8], now_ms: i64, full_name: &str) -> Result<i64, CommandError> {
    let count = int(text)?;
    let deadline = unit.deadline_ms(count, now_ms).filter(|_| count > 0);
    deadline.ok_or_else(|| error::invalid_expire(full_name))
}

/// The timeout of a blocking command: seconds with a fraction, as long as the moment when it ends can be told in
/// milliseconds. `None` for 0, which is for ever.
pub fn timeout_seconds(text: &[u8], now_ms: i64) -> Result<Option<Duration>, CommandError> {
    let Some(seconds) = num::parse_f64(text) else {
        // A `long double` holds more than a double does.
        let too_large = LongDouble::parse(text).is_some_and(|_| !text.starts_with(b"-"));
        return Err(if too_large { error::TIMEOUT_OUT_OF_RANGE } else { error::TIMEOUT_NOT_FLOAT });
    };
    let ms = (seconds * 1000.0).ceil();
    if ms >= i64::MAX as f64 {
        return Err(error::TIMEOUT_OUT_OF_RANGE);
    }
    timeout_ms(ms as i64, now_ms)
}

/// The timeout of a blocking command in whole milliseconds.
pub fn timeout_millis(text: &[u8], now_ms: i64) -> Result<Option<Duration>, CommandError> {
    timeout_ms(num::parse_i64(text).ok_or(error::TIMEOUT_NOT_INTEGER)?, now_ms)
}

fn timeout_ms(ms: i64, now_ms: i64) -> Result<Option<Duration>, CommandError> {
    let length = u64::try_from(ms).map_err(|_| error::TIMEOUT_NEGATIVE)?;
    if ms.checked_add(now_ms).is_none() {
        return Err(error::TIMEOUT_OUT_OF_RANGE);
    }
    Ok((length > 0).then(|| Duration::from_millis(length)))
}

/// Keys whose memory is fetched at once: enough to hide the latency of one miss behind the others, few enough that
/// none is gone from the cache again when its turn comes.
const KEYS_AT_ONCE: usize = 16;

/// How far ahead of the element that it looks for a command that names many asks for what it will look for then
/// ([`Occupied::prefetch`](crate::db::Occupied::prefetch)).
pub const ELEMENTS_AHEAD: usize = 8;

/// Calls `f` for every `step`-th argument from `first` up to `end` as a key, with its index.
///
/// A key costs two dependent cache misses, its bucket's and its entry's. The keys of one request are known together,
/// so they are hashed in blocks and all misses of a block are under way before the first is waited for.
#[inline]
pub fn each_key<'a, 'k, W: When>(
    ctx: &mut Ctx<'a, W>,
    args: Args<'k>,
    first: usize,
    end: usize,
    step: usize,
    mut f: impl FnMut(&mut Ctx<'a, W>, Key<'k>, usize),
) {
    debug_assert!(step > 0 && end <= args.len());
    if first + step >= end {
        // One key: the server fetched it with its batch.
        if first < end {
            let key = ctx.key(args, first);
            f(ctx, key, first);
        }
        return;
    }
    let mut at = first;
    while at < end {
        let mut block = [Key { bytes: b"", hash: 0 }; KEYS_AT_ONCE];
        let mut n = 0;
        let from = at;
        while at < end && n < KEYS_AT_ONCE {
            block[n] = ctx.key(args, at);
            n += 1;
            at += step;
        }
        ctx.db.prefetch(block[..n].iter().map(|key| key.hash));
        for (i, key) in block[..n].iter().enumerate() {
            f(ctx, *key, from + i * step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told<T: std::fmt::Debug>(result: Result<T, CommandError>) -> String {
        result.expect_err("a refusal").to_text().into_owned()
    }

    #[test]
    fn integers() {
        assert_eq!(int(b"-9223372036854775808"), Ok(i64::MIN));
        for text in ["", " 1", "1 ", "01", "+1", "1.0", "-0", "9223372036854775808"] {
            assert_eq!(told(int(text.as_bytes())), "ERR value is not an integer or out of range", "{text}");
        }
        assert_eq!(int32(b"-2147483648"), Ok(i32::MIN));
        assert_eq!(
            told(int32(b"2147483648")),
            "ERR value is out of range, value must between -2147483648 and 2147483647"
        );
        assert_eq!(told(int32(b"x")), "ERR value is not an integer or out of range");
    }

    #[test]
    fn timeouts() {
        let now = 1_700_000_000_000;
        let at = |text: &str| timeout_seconds(text.as_bytes(), now);
        let ms = |ms| Ok(Some(Duration::from_millis(ms)));
        assert_eq!(at("0"), Ok(None));
        assert_eq!(at("-0.0001"), Ok(None), "rounded up");
        assert_eq!((at("0.001"), at("0.0001"), at("1.5"), at("0x10")), (ms(1), ms(1), ms(1500), ms(16_000)));
        for text in ["x", "nan", "", " 1", "1 "] {
            assert_eq!(told(at(text)), "ERR timeout is not a float or out of range", "{text}");
        }
        for text in ["1e300", "1e400", "inf", "1e18", "9223372036854775", "9223372036854776"] {
            assert_eq!(told(at(text)), "ERR timeout is out of range", "{text}");
        }
        for text in ["-1", "-inf", "-1e300"] {
            assert_eq!(told(at(text)), "ERR timeout is negative", "{text}");
        }
        assert_eq!(timeout_millis(b"15", now), ms(15));
        assert_eq!(told(timeout_millis(b"1.5", now)), "ERR timeout is not an integer or out of range");
        assert_eq!(told(timeout_millis(b"-1", now)), "ERR timeout is negative");
        assert_eq!(told(timeout_millis(b"9223372036854775807", now)), "ERR timeout is out of range");
    }

    #[test]
    fn deadlines() {
        let now = 1_700_000_000_000;
        let at = |unit, text: &str| deadline_ms(unit, text.as_bytes(), now, "set");
        assert_eq!(at(ExpiryUnit::Seconds, "10"), Ok(now + 10_000));
        assert_eq!(at(ExpiryUnit::Millis, "10"), Ok(now + 10));
        assert_eq!(at(ExpiryUnit::UnixSeconds, "10"), Ok(10_000));
        assert_eq!(at(ExpiryUnit::UnixMillis, "9223372036854775807"), Ok(i64::MAX));
        let invalid = [
            (ExpiryUnit::Seconds, "0"),
            (ExpiryUnit::UnixMillis, "-1"),
            (ExpiryUnit::Seconds, "9223372036854776"),
            (ExpiryUnit::Seconds, "9223372036854775"),
            (ExpiryUnit::UnixSeconds, "9223372036854776"),
            (ExpiryUnit::Millis, "9223372036854775807"),
        ];
        for (unit, text) in invalid {
            assert_eq!(told(at(unit, text)), "ERR invalid expire time in 'set' command", "{unit:?} {text}");
        }
        assert_eq!(told(at(ExpiryUnit::Seconds, "x")), "ERR value is not an integer or out of range");
    }
}
