//! EVAL, SCRIPT, FUNCTION, FCALL. What happens is in `exec/script/`.

mod eval;
mod function;
mod script;

use crate::exec::error::{self, CommandError};
use crate::exec::instance::Instance;
use crate::exec::spec::CommandSpec;
use crate::resp::Args;

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

/// The option of SCRIPT FLUSH and FUNCTION FLUSH: whether what goes is freed on another thread.
fn flush_lazily(inst: &Instance, args: Args<'_>, refused: CommandError) -> Result<bool, CommandError> {
    match args.get(2).map(<[u8]>::to_ascii_lowercase).as_deref() {
        None => Ok(inst.config.storage.lazyfree_lazy_user_flush),
        Some(_) if args.len() > 3 => Err(error::wrong_subcommand(&args[0], &args[1])),
        Some(b"sync") => Ok(false),
        Some(b"async") => Ok(true),
        Some(_) => Err(refused),
    }
}
