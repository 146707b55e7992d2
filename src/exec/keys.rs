//! Which arguments of a request are keys, derived from the command's key specs: for COMMAND GETKEYS, for clients that cache
//! what they read, and later for ACL and cluster routing.

#[cfg(debug_assertions)]
use std::collections::HashMap;

#[cfg(debug_assertions)]
use crate::db::Declared;
#[cfg(debug_assertions)]
use crate::exec::spec::Flags;
use crate::exec::spec::{Access, Begin, CommandSpec, Find, KeySpec};
use crate::exec::table::Command;
use crate::resp::Args;
use crate::util::num;

/// One key of a request: its argument's index, and what the command does with it.
pub struct FoundKey {
    /// Index of the argument.
    pub at: usize,
    /// What the command does with it.
    pub access: Access,
}

/// The keys of a request whose arity was checked. `None` when the arguments do not fit the key specs (a count that
/// is no number, or more keys than arguments).
pub fn find(spec: &CommandSpec, args: Args<'_>) -> Option<Vec<FoundKey>> {
    let mut found = Vec::new();
    for keys in spec.keys {
        one(keys, args, &mut found)?;
    }
    Some(found)
}

/// Calls `f` for every key of a request. Nearly always there is one, at a fixed place: nothing is allocated for it.
pub fn each(command: &Command, args: Args<'_>, mut f: impl FnMut(&[u8])) {
    if let [KeySpec { begin: Begin::Index(at), find: Find::Range { last: 0, .. }, access, access_of, .. }] =
        command.spec.keys
        && !access_of.map_or(*access, |access_of| access_of(args)).has(Access::NOT_KEY)
    {
        return args.get(usize::from(*at)).into_iter().for_each(f);
    }
    for key in find(command.spec, args).unwrap_or_default() {
        if !key.access.has(Access::NOT_KEY) {
            f(&args[key.at]);
        }
    }
}

/// What a request's command has declared, for the keyspace to compare with what it does.
#[cfg(debug_assertions)]
pub fn declared(command: &Command, args: Args<'_>) -> Declared {
    let changed = Access::READ_WRITE.or(Access::OVERWRITE).or(Access::REMOVE).or(Access::BOOKKEEPING);
    let flags = command.flags;
    // A request in which no keys can be found will be refused, but perhaps not before one was looked at.
    let found = if flags.has(Flags::UNDECLARED_KEYS) { None } else { find(command.spec, args) };
    let keys = found.map(|found| {
        let mut keys = HashMap::new();
        for key in found {
            *keys.entry(args[key.at].into()).or_insert(false) |= key.access.has(changed);
        }
        keys
    });
    let writes = Flags::WRITE.or(Flags::RUNS_QUEUE).or(Flags::MAY_REPLICATE);
    let is_debug = flags.has(Flags::UNDECLARED_KEYS) && flags.has(Flags::ADMIN);
    Declared { command: command.full_name.clone(), writes: flags.has(writes) || is_debug, keys }
}

fn one(spec: &KeySpec, args: Args<'_>, found: &mut Vec<FoundKey>) -> Option<()> {
    let argc = args.len();
    let access = spec.access_of.map_or(spec.access, |access_of| access_of(args));
    if spec.access_of.is_some() && access.has(Access::NOT_KEY) {
        return Some(()); // with these arguments there is none
    }
    let begin = match spec.begin {
        Begin::Index(at) => usize::from(at),
        Begin::Keyword(word, from) => match keyword(args, word, from) {
            Some(at) => at + 1,
            None => return Some(()),
        },
        Begin::Searched(search) | Begin::Option { search, .. } => match search(args) {
            Some(at) => at,
            None => return Some(()),
        },
    };
    let (first, last, step) = match spec.find {
        Find::Range { last, step, limit } => {
            let last = if last >= 0 {
                begin + usize::from(last.unsigned_abs())
            } else if limit <= 1 {
                (argc + 1).checked_sub(usize::from(last.unsigned_abs()) + 1)?
            } else {
                begin + (argc.checked_sub(begin)? / usize::from(limit)) - usize::from(last.unsigned_abs())
            };
            (begin, last, usize::from(step))
        }
        Find::Counted { count_at, first, step } => {
            let count = num::parse_i64(args.get(begin + usize::from(count_at))?)?;
            let count = usize::try_from(count).ok().filter(|n| *n <= argc)?;
            if count == 0 {
                return Some(()); // most commands refuse that; scripts do not
            }
            let first = begin + usize::from(first);
            let step = usize::from(step);
            (first, first + (count - 1) * step, step)
        }
    };
    if last >= argc {
        return None;
    }
    let places = (first..=last).step_by(step.max(1));
    found.extend(places.map(|at| FoundKey { at, access }));
    Some(())
}

fn keyword(args: Args<'_>, word: &str, from: i16) -> Option<usize> {
    let is_word = |i: &usize| args[*i].eq_ignore_ascii_case(word.as_bytes());
    if from >= 0 {
        (usize::from(from.unsigned_abs())..args.len()).find(is_word)
    } else {
        (1..=args.len().checked_sub(usize::from(from.unsigned_abs()))?).rev().find(is_word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;

    fn at(keys: &'static [KeySpec], request: &str) -> Option<Vec<usize>> {
        let spec = CommandSpec { keys, ..CommandSpec::BASE };
        let args = OwnedArgs::from_parts(request.split(' '));
        find(&spec, args.view()).map(|f| f.iter().map(|k| k.at).collect())
    }

    #[test]
    fn ranges_and_counts() {
        const RW: Access = Access::READ_WRITE;
        static ONE: [KeySpec; 1] = [KeySpec::at(1, RW)];
        static PAIRS: [KeySpec; 1] = [KeySpec::rest(1, 2, RW)];
        static COUNTED: [KeySpec; 1] = [KeySpec::counted(1, 1, RW)];
        assert_eq!(at(&ONE, "get a"), Some(vec![1]));
        assert_eq!(at(&PAIRS, "mset a 1 b 2"), Some(vec![1, 3]));
        assert_eq!(at(&COUNTED, "sintercard 2 a b"), Some(vec![2, 3]));
        assert_eq!(at(&COUNTED, "sintercard 3 a b"), None);
        assert_eq!(at(&COUNTED, "eval 0 a b"), Some(vec![]));
        assert_eq!(at(&COUNTED, "eval -1 a b"), None);
        assert_eq!(at(&COUNTED, "sintercard x a b"), None);
    }
}
