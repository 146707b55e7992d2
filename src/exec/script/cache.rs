//! Scripts that were compiled, by their digest.
//!
//! What EVAL brings is kept for 500 scripts, those that were run last; what SCRIPT LOAD brings is kept until SCRIPT FLUSH.

use std::collections::HashMap;

use crate::script::{Script, ScriptFlags};
use crate::util::hash::HashSeed;

/// So many scripts of EVAL are kept.
const EVAL_SCRIPTS_MAX: usize = 500;

const NONE: u32 = u32::MAX;

/// The SHA1 of a text as clients write it, in small letters.
pub type Digest = [u8; 40];

/// A script.
pub struct CachedScript {
    /// The SHA1 of its text, in hexadecimal.
    pub digest: Digest,
    /// Its text.
    pub body: Box<[u8]>,
    /// Compiled.
    pub script: Script,
    /// What its first line says; none if it has no such line.
    pub flags: Option<ScriptFlags>,
    /// SCRIPT LOAD has brought it: it stays.
    is_pinned: bool,
    /// In the order in which those that may go were run.
    before: u32,
    behind: u32,
}

/// All of them.
pub struct ScriptCache {
    scripts: Vec<Option<CachedScript>>,
    free: Vec<u32>,
    by_digest: HashMap<Digest, u32, HashSeed>,
    by_body: HashMap<Box<[u8]>, u32, HashSeed>,
    /// Those that may go: who was run last, and who was not for longest.
    last: Option<u32>,
    first: Option<u32>,
    unpinned: usize,
    bytes: usize,
    /// How many had to go.
    pub evicted: u64,
}

impl Default for ScriptCache {
    fn default() -> ScriptCache {
        let seed = HashSeed::random();
        ScriptCache {
            scripts: Vec::new(),
            free: Vec::new(),
            by_digest: HashMap::with_hasher(seed),
            by_body: HashMap::with_hasher(seed),
            last: None,
            first: None,
            unpinned: 0,
            bytes: 0,
            evicted: 0,
        }
    }
}

impl ScriptCache {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_digest.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_digest.is_empty()
    }

    /// Bytes of their texts, and of what keeps them.
    pub fn memory(&self) -> usize {
        self.bytes
    }

    /// The script with this digest.
    pub fn by_digest(&self, digest: &Digest) -> Option<u32> {
        self.by_digest.get(digest).copied()
    }

    /// The script with this text: the digest need not be computed.
    pub fn by_body(&self, body: &[u8]) -> Option<u32> {
        self.by_body.get(body).copied()
    }

    /// The script with this number.
    pub fn get(&self, at: u32) -> &CachedScript {
        self.scripts[at as usize].as_ref().expect("the number of a script that is there")
    }

    /// It is run.
    #[inline]
    pub fn touch(&mut self, at: u32) {
        if self.last != Some(at) && !self.get(at).is_pinned {
            self.unlink(at);
            self.link(at);
        }
    }

    /// It stays.
    pub fn pin(&mut self, at: u32) {
        if !self.get(at).is_pinned {
            self.unlink(at);
            self.unpinned -= 1;
            self.get_mut(at).is_pinned = true;
        }
    }

    /// Adds a script that is not there. If another had to go for it, that comes back, to be forgotten by the engine.
    pub fn insert(
        &mut self,
        digest: Digest,
        body: &[u8],
        script: Script,
        flags: Option<ScriptFlags>,
        is_pinned: bool,
    ) -> (u32, Option<Script>) {
        let evicted = (!is_pinned && self.unpinned >= EVAL_SCRIPTS_MAX).then(|| self.evict()).flatten();
        let cached = CachedScript { digest, body: body.into(), script, flags, is_pinned, before: NONE, behind: NONE };
        self.bytes += Self::cost(&cached);
        let at = self.free.pop().unwrap_or_else(|| {
            self.scripts.push(None);
            self.scripts.len() as u32 - 1
        });
        self.scripts[at as usize] = Some(cached);
        self.by_digest.insert(digest, at);
        self.by_body.insert(body.into(), at);
        if !is_pinned {
            self.unpinned += 1;
            self.link(at);
        }
        (at, evicted)
    }

    fn evict(&mut self) -> Option<Script> {
        let at = self.first?;
        self.unlink(at);
        self.unpinned -= 1;
        let cached = self.scripts[at as usize].take()?;
        self.free.push(at);
        self.by_digest.remove(&cached.digest);
        self.by_body.remove(&cached.body);
        self.bytes -= Self::cost(&cached);
        self.evicted += 1;
        Some(cached.script)
    }

    /// What a script takes: its text is there twice.
    fn cost(cached: &CachedScript) -> usize {
        2 * cached.body.len() + size_of::<Option<CachedScript>>() + size_of::<(Digest, u32)>() + 32
    }

    fn get_mut(&mut self, at: u32) -> &mut CachedScript {
        self.scripts[at as usize].as_mut().expect("the number of a script that is there")
    }

    fn link(&mut self, at: u32) {
        let before = self.last.replace(at);
        let script = self.get_mut(at);
        (script.before, script.behind) = (before.unwrap_or(NONE), NONE);
        match before {
            Some(before) => self.get_mut(before).behind = at,
            None => self.first = Some(at),
        }
    }

    fn unlink(&mut self, at: u32) {
        let (before, behind) = (self.get(at).before, self.get(at).behind);
        let some = |at: u32| (at != NONE).then_some(at);
        match some(before) {
            Some(before) => self.get_mut(before).behind = behind,
            None => self.first = some(behind),
        }
        match some(behind) {
            Some(behind) => self.get_mut(behind).before = before,
            None => self.last = some(before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Engine, Kind, digest, hex};

    #[test]
    fn those_that_were_run_last_are_kept() {
        let mut engine = Engine::new(Kind::Scripts, ("8.2.3", 1));
        let script = engine.compile(b"return 1").unwrap();
        let mut cache = ScriptCache::default();
        let body = |n: usize| format!("return {n}").into_bytes();
        let insert = |cache: &mut ScriptCache, n: usize, pinned: bool| {
            cache.insert(hex(&digest(&body(n))), &body(n), script, None, pinned).1.is_some()
        };
        assert!(!insert(&mut cache, 0, true));
        for n in 1..=EVAL_SCRIPTS_MAX {
            assert!(!insert(&mut cache, n, false));
        }
        let first = cache.by_body(&body(1)).unwrap();
        cache.touch(first);
        let third = cache.by_digest(&hex(&digest(&body(3)))).unwrap();
        cache.pin(third);
        assert!(!insert(&mut cache, 1001, false), "there is room for one more");
        assert!(insert(&mut cache, 1002, false));
        assert!(insert(&mut cache, 1003, false));
        assert_eq!((cache.len(), cache.evicted), (EVAL_SCRIPTS_MAX + 2, 2));
        let is_there: Vec<bool> = (0..6).map(|n| cache.by_body(&body(n)).is_some()).collect();
        assert_eq!(is_there, [true, true, false, true, false, true]);
        assert!(cache.memory() > 500 * 16);
    }
}
