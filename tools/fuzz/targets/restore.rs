//! RESTORE payloads: the first byte says the type, the rest is the value. Whatever is accepted can be stored, digested,
//! written and read again, is the same then, and the checker for files vouches for it too.
#![no_main]

#[path = "../values.rs"]
mod values;

use kvstash::rdb::{Dialect, RdbReader, TypeOpcode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, body)) = data.split_first() else { return };
    // Valkey's layouts are asked for by the highest bit.
    let dialect = if first & 128 == 0 { Dialect::Redis } else { Dialect::Valkey };
    let Some(kind) = TypeOpcode::from_byte(first & 127, dialect) else { return };
    let mut reader = RdbReader::from_bytes(body);
    let mut world = values::World::new();
    let Ok(Some(value)) = world.load(kind, &mut reader) else { return };
    let mut skipping = RdbReader::from_bytes(body);
    let skipped = skipping.skip_value(kind);
    assert!(skipped.is_ok(), "loaded, but the checker says {skipped:?}");
    assert_eq!(skipping.offset(), reader.offset());
    let digest = world.restore(value);
    world.dump_and_restore(digest);
});
