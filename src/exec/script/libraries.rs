//! Functions and their libraries.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use super::eval::keys_and_args;
use super::run::{self, Task};
use crate::exec::ctx::AdminCtx;
use crate::exec::error::{CommandError, CommandResult};
use crate::resp::Args;
use crate::script::{Kind, Registered, Script, ScriptFlags};
use crate::util::hash::HashSeed;

/// The longest name of a function that is looked up without allocating.
const SHORT_NAME: usize = 64;

/// A function.
#[derive(Clone, Debug)]
pub struct Function {
    /// As its library spells it; FCALL does not tell capital letters from small ones.
    pub name: Rc<[u8]>,
    /// What it is for.
    pub description: Option<Vec<u8>>,
    /// What it says of itself.
    pub flags: ScriptFlags,
    pub(super) script: Script,
}

impl From<Registered> for Function {
    fn from(registered: Registered) -> Function {
        let script = registered.script();
        let Registered { name, description, flags, .. } = registered;
        Function { name: name.into(), description, flags, script }
    }
}

/// A library.
#[derive(Clone, Debug)]
pub struct Library {
    /// Its text, the first line included.
    pub code: Arc<[u8]>,
    /// What it has registered, in order.
    pub functions: Vec<Function>,
}

impl Library {
    fn memory(&self) -> usize {
        let functions = self.functions.iter();
        self.code.len() + functions.map(|function| function.name.len() + size_of::<Function>()).sum::<usize>()
    }
}

/// All of them.
#[derive(Clone)]
pub struct Libraries {
    by_name: BTreeMap<Vec<u8>, Library>,
    /// By the name in small letters.
    functions: HashMap<Box<[u8]>, Function, HashSeed>,
}

impl Default for Libraries {
    fn default() -> Libraries {
        Libraries { by_name: BTreeMap::new(), functions: HashMap::with_hasher(HashSeed::random()) }
    }
}

impl Libraries {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// How many functions there are in all of them.
    pub fn functions(&self) -> usize {
        self.functions.len()
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Library)> {
        self.by_name.iter().map(|(name, library)| (&name[..], library))
    }

    /// The texts of all of them.
    pub fn codes(&self) -> Vec<Arc<[u8]>> {
        self.by_name.values().map(|library| library.code.clone()).collect()
    }

    /// The library of this name.
    pub fn get(&self, name: &[u8]) -> Option<&Library> {
        self.by_name.get(name)
    }

    /// Bytes of their texts and of what keeps them.
    pub fn memory(&self) -> usize {
        self.by_name.iter().map(|(name, library)| name.len() + library.memory()).sum()
    }

    /// The function of this name.
    #[inline]
    pub fn function(&self, name: &[u8]) -> Option<&Function> {
        let mut small = [0; SHORT_NAME];
        match small.get_mut(..name.len()) {
            Some(small) => {
                small.copy_from_slice(name);
                small.make_ascii_lowercase();
                self.functions.get(&*small)
            }
            None => self.functions.get(&name.to_ascii_lowercase()[..]),
        }
    }

    pub(super) fn insert(&mut self, name: Vec<u8>, library: Library) {
        for function in &library.functions {
            self.functions.insert(function.name.to_ascii_lowercase().into(), function.clone());
        }
        self.by_name.insert(name, library);
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Option<Library> {
        let library = self.by_name.remove(name)?;
        for function in &library.functions {
            self.functions.remove(&function.name.to_ascii_lowercase()[..]);
        }
        Some(library)
    }
}

/// FCALL, and FCALL_RO if it must not write.
pub fn fcall(ctx: &mut AdminCtx<'_>, request: Args<'_>, must_not_write: bool) -> CommandResult {
    let Some(function) = ctx.inst.scripts.libraries.function(&request[1]) else {
        return Err(CommandError::fixed("ERR Function not found"));
    };
    let (script, flags, name) = (function.script, function.flags, function.name.clone());
    let (keys, args) = keys_and_args(request).map_err(|error| match error.as_bytes().starts_with(b"ERR value") {
        true => CommandError::fixed("ERR Bad number of keys provided"),
        false => error,
    })?;
    let permission = ctx.inst.may_run(Some(flags), must_not_write)?;
    let is_atomic = flags.has(ScriptFlags::ATOMIC);
    run::run(ctx, &Task { kind: Kind::Functions, script, name: &name, permission, is_atomic, keys, args, request })
}
