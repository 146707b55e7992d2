//! The group `geo`: sorted sets of places.

use crate::exec::spec::CommandSpec;

pub(super) static COMMANDS: &[&CommandSpec] = &[];
