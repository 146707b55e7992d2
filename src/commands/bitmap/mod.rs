//! The group `bitmap`: strings as arrays of bits.

use crate::exec::spec::CommandSpec;

pub(super) static COMMANDS: &[&CommandSpec] = &[];
