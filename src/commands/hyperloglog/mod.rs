//! The group `hyperloglog`: estimates of how many distinct elements there were.

use crate::exec::spec::CommandSpec;

pub(super) static COMMANDS: &[&CommandSpec] = &[];
