//! `math.random` and `math.randomseed`: the same numbers after the same seed on every platform, and others in every run
//! of the server until a script seeds.
//!
//! The generator is the one of `lrand48`: a linear congruence in 48 bits, of which the upper 31 are given out.

use std::cell::Cell;
use std::rc::Rc;

use mlua::{Lua, Result, Table};

use super::call::{Call, function};
use crate::util::rng::Rng;

/// Results are divided by it, so that they lie below 1.
const RANGE: u64 = i32::MAX as u64;

#[derive(Clone, Copy)]
struct Generator {
    state: u64,
}

impl Generator {
    fn seeded(seed: i32) -> Generator {
        Generator { state: u64::from(seed as u32) << 16 | 0x330e }
    }

    /// The next number, from 0 up to but without 1.
    fn next(&mut self) -> f64 {
        self.state = self.state.wrapping_mul(0x5_deec_e66d).wrapping_add(0xb) & ((1 << 48) - 1);
        ((self.state >> 17) % RANGE) as f64 / RANGE as f64
    }
}

/// Puts `random` and `randomseed` into `math`; both share one generator, seeded by chance.
pub fn install_random(lua: &Lua, math: &Table) -> Result<()> {
    let generator = Rc::new(Cell::new(Generator::seeded(Rng::from_os().next_u64() as i32)));
    let shared = Rc::clone(&generator);
    math.raw_set("random", function(lua, move |call| random(call, &shared))?)?;
    math.raw_set(
        "randomseed",
        function(lua, move |call| {
            generator.set(Generator::seeded(call.int(1)?));
            Ok(())
        })?,
    )
}

fn random(call: &Call<'_>, generator: &Cell<Generator>) -> Result<f64> {
    let mut next = generator.get();
    let part = next.next();
    generator.set(next);
    match call.count() {
        0 => Ok(part),
        1 => {
            let last = call.int(1)?;
            if last < 1 {
                return Err(call.refuse(1, "interval is empty"));
            }
            Ok((part * f64::from(last)).floor() + 1.0)
        }
        2 => {
            let (first, last) = (call.int(1)?, call.int(2)?);
            if first > last {
                return Err(call.refuse(2, "interval is empty"));
            }
            // The width is counted in 32 bits, and wraps.
            let width = last.wrapping_sub(first).wrapping_add(1);
            Ok((part * f64::from(width)).floor() + f64::from(first))
        }
        _ => Err(call.raise("wrong number of arguments")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_seed_every_interpreter_has_its_own_sequence() {
        let first = || {
            let lua = Lua::new();
            let math: Table = lua.globals().get("math").unwrap();
            install_random(&lua, &math).unwrap();
            lua.load("return math.random() .. ' ' .. math.random()").eval::<String>().unwrap()
        };
        assert_ne!(first(), first());
    }
}
