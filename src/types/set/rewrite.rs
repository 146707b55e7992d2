//! A set as commands: SADD.

use super::SetRef;
use crate::types::rewrite::{CommandWriter, Elements};

impl SetRef<'_> {
    /// Writes what makes this value under a key that is not there.
    pub fn rewrite(self, key: &[u8], out: &mut CommandWriter<'_>) {
        let mut elements = Elements::new(out, "SADD", key, self.len(), 1);
        self.iter().for_each(|member| elements.next().arg_item(member));
    }
}
