//! What the command at hand has said of itself, and whether it keeps to it: in builds with debug assertions.
//!
//! Permissions, redirection in a cluster and replication rely on what a command declares: which keys it touches, what it
//! does with them, and whether it writes at all. So every lookup and every change of the keyspace is compared with the
//! declaration while a command runs, in every test. In other builds none of this exists.

#[cfg(debug_assertions)]
use std::collections::HashMap;

/// What a command has declared for its arguments.
#[cfg(debug_assertions)]
#[derive(Debug)]
pub struct Declared {
    /// Its full name.
    pub command: String,
    /// It may change data.
    pub writes: bool,
    /// The keys that it names, each with whether it may be written; `None` for a command whose keys cannot be told from
    /// its arguments.
    pub keys: Option<HashMap<Box<[u8]>, bool>>,
}

/// The declaration of the command at hand; none between commands.
#[derive(Default)]
pub struct Checked {
    #[cfg(debug_assertions)]
    declared: Option<Declared>,
}

impl Checked {
    /// From now on that is the command at hand; returns the one before.
    #[cfg(debug_assertions)]
    pub fn replace(&mut self, declared: Option<Declared>) -> Option<Declared> {
        std::mem::replace(&mut self.declared, declared)
    }

    /// The command looks a key up.
    #[inline]
    #[cfg_attr(not(debug_assertions), expect(unused_variables, reason = "checked in debug builds only"))]
    pub fn reads(&self, key: &[u8]) {
        #[cfg(debug_assertions)]
        if let Some(Declared { command, keys: Some(keys), .. }) = &self.declared {
            assert!(
                keys.contains_key(key),
                "{command} touches the key \"{}\", which its key specs do not name",
                key.escape_ascii()
            );
        }
    }

    /// The command changes a key.
    #[inline]
    #[cfg_attr(not(debug_assertions), expect(unused_variables, reason = "checked in debug builds only"))]
    pub fn writes(&self, key: &[u8]) {
        #[cfg(debug_assertions)]
        if let Some(Declared { command, writes, keys }) = &self.declared {
            assert!(*writes, "{command} changes the key \"{}\" without the flag WRITE", key.escape_ascii());
            let named = keys.as_ref().is_none_or(|keys| keys.get(key) == Some(&true));
            assert!(named, "{command} changes the key \"{}\", which its key specs do not let it", key.escape_ascii());
        }
    }

    /// The command changes a database as a whole.
    #[inline]
    pub fn writes_all(&self) {
        #[cfg(debug_assertions)]
        if let Some(Declared { command, writes, .. }) = &self.declared {
            assert!(*writes, "{command} changes a database without the flag WRITE");
        }
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    fn checked(writes: bool, keys: Option<&[(&str, bool)]>) -> Checked {
        let keys = keys.map(|keys| keys.iter().map(|(name, may)| (name.as_bytes().into(), *may)).collect());
        Checked { declared: Some(Declared { command: "test".to_owned(), writes, keys }) }
    }

    #[test]
    fn what_was_not_declared_is_found() {
        let fails = |f: &(dyn Fn() + std::panic::RefUnwindSafe)| catch_unwind(f).is_err();
        assert!(!fails(&|| Checked::default().writes(b"k")), "between commands everything is allowed");
        assert!(!fails(&|| checked(false, Some(&[("k", false)])).reads(b"k")));
        assert!(fails(&|| checked(false, Some(&[("k", false)])).reads(b"other")));
        assert!(fails(&|| checked(false, Some(&[("k", true)])).writes(b"k")), "WRITE is missing");
        assert!(fails(&|| checked(true, Some(&[("k", false)])).writes(b"k")), "the key spec only reads");
        assert!(!fails(&|| checked(true, Some(&[("a", false), ("k", true)])).writes(b"k")));
        assert!(!fails(&|| checked(true, None).writes(b"k")));
        assert!(fails(&|| checked(false, None).writes_all()));
    }
}
