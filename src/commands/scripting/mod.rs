//! EVAL, SCRIPT, FUNCTION, FCALL. What happens is in `exec/script/`.

mod eval;
mod function;
mod script;

use crate::exec::spec::CommandSpec;

pub(super) static COMMANDS: &[&CommandSpec] = &[
    &eval::EVAL,
    &eval::EVAL_RO,
    &eval::EVALSHA,
    &eval::EVALSHA_RO,
    &eval::FCALL,
    &eval::FCALL_RO,
    &function::FUNCTION,
    &script::SCRIPT,
];
