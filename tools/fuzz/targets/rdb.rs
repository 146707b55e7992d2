//! RDB files: any bytes are loaded or refused, as one's own and as a stranger's; what was loaded can be saved and loaded
//! again, and is the same then.
#![no_main]

#[path = "../values.rs"]
mod values;

use kvstash::types::Vetting;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, file)) = data.split_first() else { return };
    let vetting = if first & 1 == 0 { Vetting::Hostile } else { Vetting::Trusted };
    let mut world = values::World::new();
    if world.load_file(file, vetting, first & 2 == 2) {
        world.save_and_load();
    }
});
