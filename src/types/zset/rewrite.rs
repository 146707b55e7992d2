//! A sorted set as commands: ZADD.

use super::ZsetRef;
use crate::types::contract::DataType;
use crate::types::rewrite::{CommandWriter, Elements};

impl ZsetRef<'_> {
    /// Writes what makes this value under a key that is not there.
    pub fn rewrite(self, key: &[u8], out: &mut CommandWriter<'_>) {
        let mut elements = Elements::new(out, "ZADD", key, self.len(), 2);
        self.for_each(|member, score| {
            let out = elements.next();
            out.arg_f64(score);
            out.arg_item(member);
        });
    }
}
