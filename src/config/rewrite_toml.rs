//! CONFIG REWRITE of a TOML file. The same rules as for a classic one; comments, order and spacing are kept by editing
//! the document in place, and a value that is replaced keeps what stands around it (a comment at the end of its line).

use super::document;
use super::error::Source;
use super::load::Loader;
use super::rewrite::{Extent, RewriteError, SIGNATURE, differing};
use super::row::{Flags, Group, Kind, Row};
use super::{Config, rows};
use crate::util::num;
use std::path::Path;
use toml_edit::{Array, DocumentMut, Item, Table, TableLike, Value};

/// The new text of a TOML file.
pub(super) fn text(
    old: &[u8],
    running: &Config,
    extent: Extent,
    path: &Path,
    start_dir: &Path,
) -> Result<Vec<u8>, RewriteError> {
    let unusable = |why: String| RewriteError::Unusable(why);
    let old = std::str::from_utf8(old).map_err(|_| unusable("the file is not text in UTF-8".to_owned()))?;
    let mut document: DocumentMut =
        old.parse().map_err(|error: toml_edit::TomlError| unusable(error.message().to_owned()))?;
    let default = Config::default();
    let mut sign = !old.contains(SIGNATURE);
    for row in rows::all() {
        let missing = || unusable(format!("the value of '{}' cannot be written to the file", row.name()));
        if let Some(value) = place_of(&mut document, row) {
            if !says(value, row, running, start_dir) {
                let mut new = value_of(row, running).ok_or_else(missing)?;
                *new.decor_mut() = value.decor().clone();
                *value = new;
            }
        } else if extent.wants(row, running, &default) {
            let new = value_of(row, running).ok_or_else(missing)?;
            let table = table_of(&mut document, row.group)
                .ok_or_else(|| unusable(format!("'{}' is not a table", row.group.name())))?;
            table.insert(&row.toml_key(), Item::Value(new));
            if sign && let Some(mut key) = table.key_mut(&row.toml_key()) {
                key.leaf_decor_mut().set_prefix(format!("{SIGNATURE}\n"));
                sign = false;
            }
        }
    }
    let new = document.to_string();
    let mut loader = Loader::new(start_dir);
    loader.read_toml(&Source::File(path.to_owned()), new.as_bytes()).map_err(|error| unusable(error.to_string()))?;
    match differing(&loader.config, running).first() {
        None => Ok(new.into_bytes()),
        Some(row) => Err(unusable(format!("the value of '{}' cannot be written to the file", row.name()))),
    }
}

/// Where the file sets the parameter.
fn place_of<'d>(document: &'d mut DocumentMut, row: &Row) -> Option<&'d mut Value> {
    let table = document.get_mut(row.group.name())?.as_table_like_mut()?;
    let key = table.iter().map(|(key, _)| key.to_owned()).find(|key| rows::find_in(row.group, key) == Some(row))?;
    table.get_mut(&key)?.as_value_mut()
}

/// The table of a group, made if there is none.
fn table_of(document: &mut DocumentMut, group: Group) -> Option<&mut dyn TableLike> {
    let first = document.is_empty();
    let item = document.entry(group.name()).or_insert_with(|| {
        let mut table = Table::new();
        table.decor_mut().set_prefix(if first { "" } else { "\n" });
        Item::Table(table)
    });
    item.as_table_like_mut()
}

/// Whether the value in the file is the one that is running.
fn says(value: &Value, row: &Row, running: &Config, start_dir: &Path) -> bool {
    let mut loader = Loader::new(start_dir);
    let Ok(args) = document::arguments(row, value) else { return false };
    let args = loader.located(row, &args);
    loader.config.take_whole(row, &args).is_ok() && (row.same)(&loader.config, running)
}

/// The value as TOML writes it. None for bytes that are not UTF-8: TOML has no way to write them.
pub(super) fn value_of(row: &Row, config: &Config) -> Option<Value> {
    let text = String::from_utf8(row.value(config)).ok()?;
    let number = |text: &str| num::parse_i64(text.as_bytes());
    Some(match row.spec.kind {
        Kind::Bool => Value::from(text == "yes"),
        Kind::Int { .. } | Kind::Unsigned { .. } => number(&text).map_or_else(|| Value::from(text), Value::from),
        Kind::Special(_) if row.is(Flags::MULTI) => {
            let mut array = Array::new();
            for item in (row.items)(config, &row.spec) {
                let item = String::from_utf8(item).ok()?;
                match (number(&item), item.parse::<f64>()) {
                    (Some(number), _) => array.push(number),
                    (None, Ok(number)) => array.push(number),
                    (None, Err(_)) => array.push(item),
                }
            }
            Value::Array(array)
        }
        Kind::Memory { .. } | Kind::MemoryOrPercent => {
            // The classic line has the amount with its unit.
            let line = (row.lines)(config, &row.spec).concat();
            let shown = String::from_utf8(line.get(row.name().len() + 1..)?.to_vec()).ok()?;
            number(&shown).map_or_else(|| Value::from(shown.as_str()), Value::from)
        }
        Kind::Octal { .. } | Kind::Choice(_) | Kind::Choices(_) | Kind::Text(_) | Kind::Special(_) => Value::from(text),
    })
}
