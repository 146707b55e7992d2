//! EVAL and its kin: from the request to the script.

use super::cache::Digest;
use super::run::{self, Task};
use crate::exec::args;
use crate::exec::ctx::AdminCtx;
use crate::exec::error::{CommandError, CommandResult};
use crate::exec::instance::Instance;
use crate::resp::Args;
use crate::script::{Kind, ScriptFlags, Shebang, digest, hex};

const NO_SCRIPT: CommandError = CommandError::fixed("NOSCRIPT No matching script. Please use EVAL.");

/// The digest that a client means, in small letters.
pub(super) fn parse_digest(text: &[u8]) -> Option<Digest> {
    let mut digest: Digest = text.try_into().ok()?;
    digest.make_ascii_lowercase();
    Some(digest)
}

/// The keys and the arguments behind them, of EVAL and of FCALL.
pub(super) fn keys_and_args(request: Args<'_>) -> Result<(Args<'_>, Args<'_>), CommandError> {
    let count = args::int(&request[2])?;
    if count > request.len() as i64 - 3 {
        return Err(CommandError::fixed("ERR Number of keys can't be greater than number of args"));
    }
    let count = usize::try_from(count).map_err(|_| CommandError::fixed("ERR Number of keys can't be negative"))?;
    let rest = request.skip(3);
    Ok((rest.first(count), rest.skip(count)))
}

/// EVAL, or EVALSHA if `by_digest`; the forms that only read.
pub fn eval(ctx: &mut AdminCtx<'_>, request: Args<'_>, by_digest: bool, must_not_write: bool) -> CommandResult {
    let (keys, args) = keys_and_args(request)?;
    let known = match by_digest {
        true => parse_digest(&request[1]).and_then(|digest| ctx.inst.scripts.cache.by_digest(&digest)),
        false => ctx.inst.scripts.cache.by_body(&request[1]),
    };
    let at = match known {
        Some(at) => {
            ctx.inst.scripts.cache.touch(at);
            at
        }
        None if by_digest => return Err(NO_SCRIPT),
        None => ctx.inst.add_script(&request[1], false)?,
    };
    let cached = ctx.inst.scripts.cache.get(at);
    let (script, flags, name) = (cached.script, cached.flags, cached.digest);
    let permission = ctx.inst.may_run(flags, must_not_write)?;
    let is_atomic = flags.is_some_and(|flags| flags.has(ScriptFlags::ATOMIC));
    run::run(ctx, &Task { kind: Kind::Scripts, script, name: &name[..], permission, is_atomic, keys, args, request })
}

impl Instance {
    /// Compiles a script that is not known, and keeps it: for good, if SCRIPT LOAD has brought it.
    fn add_script(&mut self, body: &[u8], is_pinned: bool) -> Result<u32, CommandError> {
        let shebang = Shebang::of_script(body).map_err(CommandError::bytes)?;
        // What follows keeps its lines.
        let code = shebang.as_ref().map_or(body, |shebang| &body[shebang.end..]);
        let mut engine = self.scripts.take_engine(Kind::Scripts, &self.config);
        let result = match engine.compile(code) {
            Ok(script) => {
                let flags = shebang.map(|shebang| shebang.flags);
                let (at, evicted) = self.scripts.cache.insert(hex(&digest(body)), body, script, flags, is_pinned);
                if let Some(evicted) = evicted {
                    engine.forget(evicted);
                }
                Ok(at)
            }
            Err(text) => Err(CommandError::bytes([b"ERR Error compiling script (new function): ", &text[..]].concat())),
        };
        self.scripts.give_back(Kind::Scripts, engine);
        result
    }

    /// SCRIPT LOAD.
    pub fn load_script(&mut self, body: &[u8]) -> Result<Digest, CommandError> {
        let at = match self.scripts.cache.by_body(body) {
            Some(at) => at,
            None => self.add_script(body, true)?,
        };
        self.scripts.cache.pin(at);
        Ok(self.scripts.cache.get(at).digest)
    }

    /// Whether there is a script with this digest.
    pub fn has_script(&self, text: &[u8]) -> bool {
        parse_digest(text).is_some_and(|digest| self.scripts.cache.by_digest(&digest).is_some())
    }

    /// The text of the script with this digest.
    pub fn script_text(&self, text: &[u8]) -> Result<&[u8], CommandError> {
        let at = parse_digest(text).and_then(|digest| self.scripts.cache.by_digest(&digest)).ok_or(NO_SCRIPT)?;
        Ok(&self.scripts.cache.get(at).body)
    }
}
