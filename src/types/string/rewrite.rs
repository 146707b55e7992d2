//! A string as a command: SET.

use super::StringRef;
use crate::types::rewrite::CommandWriter;

impl StringRef<'_> {
    /// Writes what makes this value under a key that is not there. A rope is never put together.
    pub fn rewrite(self, key: &[u8], out: &mut CommandWriter<'_>) {
        out.begin("SET", 2);
        out.arg(key);
        match self {
            StringRef::Int(n) => out.arg_int(n),
            StringRef::Bytes(text) => out.arg(text),
            StringRef::Rope(rope) => out.arg_in_pieces(rope.len(), rope.slices(0..rope.len())),
        }
    }
}
