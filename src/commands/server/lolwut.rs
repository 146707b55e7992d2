//! LOLWUT: a strip of a one-dimensional cellular automaton, grown from a random row, and the version.
//!
//! The art of `LOLWUT VERSION n` does not depend on `n`: there is one piece.

use std::fmt::Write;

use crate::exec::ctx::AdminCtx;
use crate::exec::error::{self, CommandResult};
use crate::exec::spec::{ArgSpec, Arity, CommandSpec, Flags, Group, Handler};
use crate::resp::Args;
use crate::util::num;

const COLUMNS_DEFAULT: usize = 64;
const COLUMNS_MAX: usize = 256;
const ROWS: usize = 24;

/// Wolfram codes of rules that draw something.
const RULES: [u8; 6] = [30, 45, 73, 90, 110, 150];

pub(super) static LOLWUT: CommandSpec = CommandSpec {
    name: "lolwut",
    summary: "Draws a piece of art, and tells the version.",
    since: "5.0.0",
    group: Group::Server,
    arity: Arity::AtLeast(1),
    flags: Flags::READONLY.or(Flags::FAST),
    args: &[ArgSpec::integer("version").token("VERSION").optional()],
    handler: Handler::Admin(lolwut),
    ..CommandSpec::BASE
};

fn lolwut(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let mut at = 1;
    if args.get(1).is_some_and(|word| word.eq_ignore_ascii_case(b"version")) && args.len() > 2 {
        num::parse_i64(&args[2]).ok_or(error::NOT_INTEGER)?;
        at = 3;
    }
    let mut columns = COLUMNS_DEFAULT;
    if let Some(text) = args.get(at) {
        let asked = num::parse_i64(text).ok_or(error::NOT_INTEGER)?;
        columns = usize::try_from(asked).unwrap_or(1).clamp(1, COLUMNS_MAX);
    }
    let rule = RULES[ctx.inst.rng.below(RULES.len() as u64) as usize];
    let first = (0..columns).map(|_| ctx.inst.rng.below(4) == 0).collect();
    let mut text = draw(rule, first);
    let _ = write!(
        text,
        "\nRule {rule}, {ROWS} generations. Redis ver. {} kvstash {}\n",
        ctx.inst.config.server.redis_version.to_lossy(),
        env!("CARGO_PKG_VERSION")
    );
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

/// Two generations to a line, as half blocks.
fn draw(rule: u8, first: Vec<bool>) -> String {
    let mut out = String::new();
    let mut row = first;
    for _ in 0..ROWS / 2 {
        let below = next(rule, &row);
        for (upper, lower) in row.iter().zip(&below) {
            out.push(match (upper, lower) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        out.push('\n');
        row = next(rule, &below);
    }
    out
}

fn next(rule: u8, row: &[bool]) -> Vec<bool> {
    let n = row.len();
    let cell = |i: usize| u8::from(row[i % n]);
    (0..n).map(|i| rule >> (cell(i + n - 1) << 2 | cell(i) << 1 | cell(i + 1)) & 1 == 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_90_is_the_exclusive_or_of_the_neighbours() {
        let row = [false, false, true, false, false];
        assert_eq!(next(90, &row), [false, true, false, true, false]);
    }
}
