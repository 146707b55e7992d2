//! For tests: a directory of one's own, gone afterwards; and a value for every parameter.

use super::Config;
use super::row::{Kind, Row, Status};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

static COUNT: AtomicU32 = AtomicU32::new(0);

pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new(name: &str) -> Scratch {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("kvstash-config-{name}-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary directory can be written to");
        Scratch(path.canonicalize().expect("it was just made"))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("the directory is ours");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A value that is not the default, as an argument; none for what must keep its default.
pub(super) fn another_value(row: &Row) -> Option<String> {
    if matches!(row.spec.status, Status::Refused(_)) || row.name() == "dir" {
        return None;
    }
    let default = String::from_utf8_lossy(&row.value(&Config::default())).into_owned();
    let other = |words: &[&str]| words.iter().find(|word| **word != default).map(|word| (*word).to_owned());
    match row.spec.kind {
        Kind::Bool => other(&["yes", "no"]),
        Kind::Int { min, max } => other(&[&min.to_string(), &max.to_string()]),
        Kind::Unsigned { min, max } => other(&[&min.to_string(), &max.to_string()]),
        Kind::Octal { max } => Some(format!("{max:o}")),
        Kind::Memory { .. } => Some("3mb".to_owned()),
        Kind::MemoryOrPercent => Some("7%".to_owned()),
        Kind::Choice(words) => other(words),
        Kind::Choices(words) => words.last().map(|word| (*word).to_owned()),
        Kind::Text(check) => {
            let texts = ["a \"quoted\" text", "name", "1.2.3", "127.0.0.1:9121", "C"];
            texts.iter().find(|text| check(text.as_bytes()).is_ok()).map(|text| (*text).to_owned())
        }
        Kind::Special(_) => match row.name() {
            "bind" => Some("127.0.0.1 ::1".to_owned()),
            "save" => Some("1 2 3 4".to_owned()),
            "client-output-buffer-limit" => Some("replica 1 2 3".to_owned()),
            "oom-score-adj-values" => Some("-1 0 1".to_owned()),
            "latency-tracking-info-percentiles" => Some("1 0.000001".to_owned()),
            "notify-keyspace-events" => Some("AKEnm".to_owned()),
            "notify-keyspace-stream" => Some("events MAXLEN 100".to_owned()),
            "replicaof" => Some("127.0.0.1 6380".to_owned()),
            name => panic!("{name} needs a value here"),
        },
    }
}
