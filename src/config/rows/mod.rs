//! The parameters, one file a group.
//!
//! Adding one is one row in the group's file: a doc comment (which becomes the documentation), the field with its type
//! and default, and the [`Spec`](super::row::Spec). The `group!` macro makes of it the field of the group's struct,
//! its default, and the [`Row`].

use super::row::{Group, Row};
use std::sync::LazyLock;

pub mod cluster;
pub mod limits;
pub mod observability;
pub mod persistence;
pub mod replication;
pub mod server;
pub mod storage;
pub mod ttl;

/// See the head of this file.
macro_rules! group {
    (
        $(#[$about:meta])*
        $name:ident in $field:ident of $group:ident {
            $( $(#[doc = $doc:literal])+ $f:ident: $ty:ty = $default:expr => $spec:expr; )*
        }
    ) => {
        $(#[$about])*
        // Not Debug: there are secrets in it. Config shows itself row by row.
        #[derive(Clone, PartialEq)]
        pub struct $name {
            $( $(#[doc = $doc])+ pub $f: $ty, )*
        }

        impl Default for $name {
            fn default() -> $name {
                $name { $( $f: $default, )* }
            }
        }

        pub(super) static ROWS: &[crate::config::row::Row] = &[
            $( crate::config::row::Row {
                spec: $spec.doc(concat!($($doc),+)),
                group: crate::config::row::Group::$group,
                write: |config, spec, args, how| crate::config::value::Field::set(&mut config.$field.$f, spec, args, how),
                read: |config, spec| crate::config::value::Field::show(&config.$field.$f, spec),
                lines: |config, spec| crate::config::value::Field::lines(&config.$field.$f, spec),
                items: |config, spec| crate::config::value::Field::items(&config.$field.$f, spec),
                same: |one, other| one.$field.$f == other.$field.$f,
                copy: |from, to| to.$field.$f = from.$field.$f.clone(),
                keep: |from, to, said| crate::config::value::Field::keep(&mut to.$field.$f, &from.$field.$f, said),
            }, )*
        ];
    };
}
pub(super) use group;

/// A signed 32-bit word's upper bound, which many of Redis's parameters have.
pub(super) const I32: i64 = i32::MAX as i64;
/// The same of 64 bits.
pub(super) const I64: i64 = i64::MAX;
/// As an upper bound for what Redis keeps in an unsigned word.
pub(super) const U63: u64 = i64::MAX as u64;

static ALL: LazyLock<Vec<&'static Row>> = LazyLock::new(|| {
    let groups = [
        server::ROWS,
        limits::ROWS,
        storage::ROWS,
        ttl::ROWS,
        persistence::ROWS,
        replication::ROWS,
        cluster::ROWS,
        observability::ROWS,
    ];
    groups.into_iter().flatten().collect()
});

/// Every row, by group.
pub fn all() -> &'static [&'static Row] {
    &ALL
}

/// The row that answers to this name, in any case.
pub fn find(name: &[u8]) -> Option<&'static Row> {
    let name = std::str::from_utf8(name).ok()?;
    all().iter().copied().find(|row| row.answers_to(name))
}

/// The row of a group by its key in the TOML file, or by any of its names, with `_` or `-`.
pub fn find_in(group: Group, key: &str) -> Option<&'static Row> {
    let dashed = key.replace('_', "-");
    let of_group = || all().iter().copied().filter(|row| row.group == group);
    of_group()
        .find(|row| row.toml_key().replace('_', "-").eq_ignore_ascii_case(&dashed))
        .or_else(|| of_group().find(|row| row.answers_to(&dashed)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::choice::Allowed;
    use crate::config::row::Kind;
    use crate::config::{Caller, Config, Status};
    use std::collections::BTreeSet;

    /// `CONFIG GET *` of a running Redis 8.2.
    const DEFAULTS: &str = include_str!("../../../tests/data/config-redis-8.2.txt");
    /// What it answers to CONFIG SET of various values: name, value, `OK` or the reason.
    const ANSWERS: &str = include_str!("../../../tests/data/config-set-redis-8.2.txt");

    /// Where the default is another one: moving memory costs little here (src/exec/defrag.rs).
    const OURS: [(&str, &str); 2] = [("activedefrag", "yes"), ("active-defrag-ignore-bytes", "1048576")];

    #[test]
    fn every_parameter_of_redis_is_known_with_its_default() {
        let config = Config::default();
        for line in DEFAULTS.lines() {
            let (name, expected) = line.split_once(' ').unwrap_or((line, ""));
            let ours = OURS.iter().find(|(ours, _)| *ours == name);
            assert!(ours.is_none_or(|(_, value)| *value != expected), "{name}: no difference");
            let expected = ours.map_or(expected, |(_, value)| value);
            let Some(row) = find(name.as_bytes()) else { panic!("{name} is missing") };
            assert!(!row.is(crate::config::Flags::HIDDEN), "{name} is shown by Redis");
            assert_eq!(String::from_utf8_lossy(&row.value(&config)), expected, "{name}");
        }
    }

    #[test]
    fn values_are_judged_as_redis_judges_them() {
        let mut config = Config::default();
        config.server.enable_protected_configs = Allowed::Yes;
        for line in ANSWERS.lines() {
            let mut parts = line.splitn(3, ' ');
            let mut next = || parts.next().expect("a line has three parts");
            let (name, value, expected) = (next(), next(), next());
            let result = config.clone().set(&[(name.as_bytes(), value.as_bytes())], Caller::default());
            let got = match result {
                Ok(_) => "OK".to_owned(),
                Err(error) => error.to_string().split_once(" - ").map_or_else(String::new, |(_, why)| why.to_owned()),
            };
            // A word of Valkey's is taken, too.
            let more = if name == "repl-diskless-load" { ", flush-before-load" } else { "" };
            assert_eq!(got, format!("{expected}{more}"), "CONFIG SET {name} {value}");
        }
    }

    #[test]
    fn names_keys_and_variables_are_unique() {
        let mut names = BTreeSet::new();
        let mut variables = BTreeSet::new();
        for row in all() {
            for name in std::iter::once(&row.spec.name).chain(row.spec.aliases) {
                assert!(names.insert(*name), "{name} is there twice");
                assert_eq!(find(name.to_uppercase().as_bytes()), Some(*row));
                assert_eq!(find_in(row.group, name), Some(*row), "{name}");
            }
            assert!(variables.insert(row.env_name()), "{} is there twice", row.env_name());
            assert_eq!(find_in(row.group, &row.toml_key()), Some(*row), "{}", row.toml_key());
        }
        assert_eq!(find(b"cluster-enabled").unwrap().env_name(), "KVSTASH_CLUSTER_ENABLED");
        assert_eq!(find(b"port").unwrap().env_name(), "KVSTASH_SERVER_PORT");
        assert_eq!(find(b""), None);
        assert_eq!(find(b"\xff"), None);
    }

    #[test]
    fn every_row_is_documented_in_sentences() {
        for row in all() {
            assert!(row.doc().ends_with('.'), "{}: {}", row.name(), row.doc());
            if let Status::NoEffect(why) = row.spec.status {
                assert!(!why.is_empty() && !why.ends_with('.'), "{}: {why}", row.name());
            }
        }
    }

    /// The documentation promises an effect of every parameter that is not marked otherwise, so somebody has to look at
    /// its field. (A name that means something else as well can deceive this; it is a net, not a proof.)
    #[test]
    fn what_is_called_live_is_read_by_somebody() {
        /// Read in this room.
        const HERE: [&str; 4] = ["enable-protected-configs", "reload-may-unprotect", "masterauth", "masteruser"];
        let mut sources = String::new();
        let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                match entry.is_dir() {
                    true if entry.ends_with("src/config") => {}
                    true => folders.push(entry),
                    false => sources.push_str(&std::fs::read_to_string(entry).unwrap()),
                }
            }
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let read = |field: &str| {
            let field = format!(".{field}");
            let mut places = sources.match_indices(&field).map(|(at, _)| at + field.len());
            places.any(|end| sources.as_bytes().get(end).is_none_or(|&next| !is_name(next) && next != b'('))
        };
        let unread = all().iter().filter(|row| row.spec.status == Status::Live && !HERE.contains(&row.name()));
        let unread: Vec<_> = unread.filter(|row| !read(&row.toml_key())).map(|row| row.name()).collect();
        assert!(unread.is_empty(), "nobody reads {unread:?}: say waits(..) or no_effect(..) in the row");
    }

    #[test]
    fn bounds_fit_the_fields() {
        for row in all() {
            let ends: Vec<String> = match row.spec.kind {
                Kind::Int { min, max } => vec![min.to_string(), max.to_string()],
                Kind::Unsigned { min, max } => vec![min.to_string(), max.to_string()],
                Kind::Octal { max } => vec!["0".to_owned(), format!("{max:o}")],
                Kind::Memory { min, .. } => vec![min.to_string(), i64::MAX.to_string()],
                Kind::Bool
                | Kind::MemoryOrPercent
                | Kind::Choice(_)
                | Kind::Choices(_)
                | Kind::Text(_)
                | Kind::Special(_) => continue,
            };
            for end in ends {
                let mut config = Config::default();
                config.take_whole(row, &[end.clone().into_bytes()]).unwrap();
                if row.spec.clamp.is_none() {
                    assert_eq!(String::from_utf8_lossy(&row.value(&config)), end, "{}", row.name());
                }
            }
        }
    }

    #[test]
    fn words_of_every_list_are_taken_and_shown() {
        for row in all() {
            if let Kind::Choice(words) | Kind::Choices(words) = row.spec.kind {
                for word in words {
                    let mut config = Config::default();
                    config.take_whole(row, &[word.to_uppercase().into_bytes()]).unwrap();
                    assert_eq!(row.value(&config), word.as_bytes(), "{}", row.name());
                }
            }
        }
    }
}
