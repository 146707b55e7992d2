//! What the two targets for configuration files do with a text.

use kvstash::config::argv::split;
use kvstash::config::{Loaded, RewriteError, load};
use std::path::PathBuf;
use std::sync::OnceLock;

/// A file in memory, if the system has such a place.
fn file(extension: &str) -> &'static PathBuf {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let shared = PathBuf::from("/dev/shm");
        let dir = if shared.is_dir() { shared } else { std::env::temp_dir() };
        let dir = dir.join(format!("kvstash-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a place for the file");
        dir.join(format!("fuzzed.{extension}"))
    })
}

pub fn round_trip(extension: &str, text: &[u8]) {
    let path = file(extension);
    std::fs::write(path, text).expect("writing the file");
    let read = || load(&split(&[path.as_os_str().to_owned()]), [], || Ok(Vec::new()));
    let Ok(Loaded { config, mut sources }) = read() else { return };
    match sources.rewrite(&config) {
        Ok(()) => {
            let again = read().expect("what was written can be read");
            assert!(again.config == config, "{config:?} became {:?}", again.config);
        }
        // A value that the syntax cannot say. The file must be as it was.
        Err(RewriteError::Unusable(_)) => assert_eq!(std::fs::read(path).expect("it is there"), text),
        Err(fault) => panic!("{fault}"),
    }
}
