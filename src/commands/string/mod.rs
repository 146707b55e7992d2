//! The group `string`.

use crate::exec::spec::CommandSpec;

pub(super) static COMMANDS: &[&CommandSpec] = &[];
