//! The group `generic`.

use crate::exec::spec::CommandSpec;

pub(super) static COMMANDS: &[&CommandSpec] = &[];
