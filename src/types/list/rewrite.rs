//! A list as commands: RPUSH.

use super::ListRef;
use crate::types::rewrite::{CommandWriter, Elements};

impl ListRef<'_> {
    /// Writes what makes this value under a key that is not there.
    pub fn rewrite(self, key: &[u8], out: &mut CommandWriter<'_>) {
        let mut elements = Elements::new(out, "RPUSH", key, self.len(), 1);
        self.each(|item| elements.next().arg_item(item));
    }
}
