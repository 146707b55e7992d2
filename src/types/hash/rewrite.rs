//! A hash as commands: HMSET, and HPEXPIREAT for fields with a deadline.

use super::HashRef;
use crate::types::rewrite::{CommandWriter, Elements};

impl HashRef<'_> {
    /// Writes what makes this value under a key that is not there.
    pub fn rewrite(self, key: &[u8], out: &mut CommandWriter<'_>) {
        if self.next_deadline().is_none() {
            let mut elements = Elements::new(out, "HMSET", key, self.len(), 2);
            return self.for_each(|field| {
                let out = elements.next();
                out.arg_item(field.name);
                out.arg_item(field.value);
            });
        }
        // As in Redis, field by field: a command for many deadlines does not exist.
        self.for_each(|field| {
            out.begin("HMSET", 3);
            out.arg(key);
            out.arg_item(field.name);
            out.arg_item(field.value);
            if let Some(deadline) = field.deadline {
                out.begin("HPEXPIREAT", 5);
                out.arg(key);
                out.arg_int(deadline);
                out.arg(b"FIELDS");
                out.arg(b"1");
                out.arg_item(field.name);
            }
        });
    }
}
