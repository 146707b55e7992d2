//! What the files of the append-only log are called: all names begin with `appendfilename`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The names that follow from `appendfilename`. File names are bytes, not text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    stem: Vec<u8>,
}

impl Names {
    /// The names for this `appendfilename`.
    pub fn new(append_file_name: &[u8]) -> Names {
        Names { stem: append_file_name.to_vec() }
    }

    /// `appendfilename` itself: before Redis 7 the one file was called so.
    pub fn old_file(&self) -> &[u8] {
        &self.stem
    }

    /// The manifest.
    pub fn manifest(&self) -> Vec<u8> {
        [&self.stem, &b".manifest"[..]].concat()
    }

    /// A manifest that is being written, and will be renamed.
    pub fn temp_manifest(&self) -> Vec<u8> {
        [b"temp-", &self.stem[..], b".manifest"].concat()
    }

    /// A base: in the RDB format, or as commands.
    pub fn base(&self, seq: i64, is_rdb: bool) -> Vec<u8> {
        let format = if is_rdb { "rdb" } else { "aof" };
        [&self.stem, format!(".{seq}.base.{format}").as_bytes()].concat()
    }

    /// An increment.
    pub fn increment(&self, seq: i64) -> Vec<u8> {
        [&self.stem, format!(".{seq}.incr.aof").as_bytes()].concat()
    }

    /// The increment that is written while the first base after `CONFIG SET appendonly yes` is not ready yet.
    pub fn temp_increment(&self) -> Vec<u8> {
        [b"temp-", &self.stem[..], b".incr"].concat()
    }

    /// Whether a file of this name is one of them, or was about to become one.
    pub fn are_of(&self, name: &[u8]) -> bool {
        let name = name.strip_prefix(b"temp-").unwrap_or(name);
        name.strip_prefix(&self.stem[..]).is_some_and(|rest| rest.is_empty() || rest[0] == b'.')
    }
}

/// A name as a path within its directory.
pub fn as_path(name: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(name.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_redis() {
        let names = Names::new(b"appendonly.aof");
        let text = |name: Vec<u8>| String::from_utf8(name).unwrap();
        assert_eq!(text(names.manifest()), "appendonly.aof.manifest");
        assert_eq!(text(names.temp_manifest()), "temp-appendonly.aof.manifest");
        assert_eq!(text(names.base(3, true)), "appendonly.aof.3.base.rdb");
        assert_eq!(text(names.base(12, false)), "appendonly.aof.12.base.aof");
        assert_eq!(text(names.increment(1)), "appendonly.aof.1.incr.aof");
        assert_eq!(text(names.temp_increment()), "temp-appendonly.aof.incr");
        assert_eq!(names.old_file(), b"appendonly.aof");
    }
}
