//! The parameters, one file a group.
//!
//! Adding one is one row in the group's file: a doc comment (which becomes the documentation), the field with its type
//! and default, and the [`Spec`](super::row::Spec). The `group!` macro makes of it the field of the group's struct,
//! its default, and the [`Row`](super::row::Row).

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
        #[derive(Clone, Debug, PartialEq)]
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
