//! Reads TOML: a table for each group, in it a key for each parameter.
//!
//! A value may be written as what it is (`port = 6379`, `rdbcompression = true`, `save = ["3600 1", "300 100"]`) or as
//! the text that redis.conf would have (`maxmemory = "2gb"`, `save = "3600 1 300 100"`). Keys are written with `_` or
//! `-`; a parameter may also be called by its full name in Redis.

use super::access::whole_value;
use super::error::{ConfigError, Place, Source};
use super::load::Loader;
use super::row::{Flags, Group, Row};
use super::{RenamedCommand, rows, shown};
use crate::sys::disk::os_text;
use std::ops::Range;
use std::path::Path;
use toml_edit::{Document, TableLike, Value};

/// A text, with what is needed to say where in it something stands.
struct Page<'t> {
    source: &'t Source,
    text: &'t str,
}

/// What stands at a place in the page, as far as it matters for what may be shown of it.
#[derive(Clone, Copy)]
enum What<'k> {
    /// A key, and the parameter that it sets if there is one.
    Key(&'k str, Option<&'static Row>),
    /// Something that is no TOML.
    Unclear,
}

impl Page<'_> {
    fn place(&self, span: Option<Range<usize>>, what: What<'_>) -> Place {
        let at = span.map_or(0, |span| span.start).min(self.text.len());
        let start = self.text.as_bytes()[..at].iter().rposition(|&b| b == b'\n').map_or(0, |newline| newline + 1);
        let line = self.text.as_bytes()[..start].iter().filter(|&&b| b == b'\n').count() + 1;
        let whole = self.text[start..].lines().next().unwrap_or_default().trim();
        let text = match what {
            What::Key(key, row) => shown::setting(row, key, whole),
            What::Unclear => shown::unclear(whole),
        };
        Place { source: self.source.clone(), line, text }
    }
}

impl Loader {
    /// Reads a TOML file.
    pub(super) fn read_toml_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let source = Source::File(path.to_owned());
        match self.contents(path, 0) {
            Ok(text) => self.read_toml(&source, &text),
            Err(error) => Err(ConfigError::unreadable(source, os_text(&error))),
        }
    }

    /// Reads the text of a TOML file.
    pub(super) fn read_toml(&mut self, source: &Source, text: &[u8]) -> Result<(), ConfigError> {
        let text = std::str::from_utf8(text).map_err(|error| {
            let line = text[..error.valid_up_to()].iter().filter(|&&b| b == b'\n').count() + 1;
            let why = "TOML is text in UTF-8, and this is not".to_owned();
            ConfigError { source: source.clone(), line: Some(line), text: String::new(), why }
        })?;
        let page = Page { source, text };
        let document =
            Document::parse(text).map_err(|error| page.place(error.span(), What::Unclear).error(error.message()))?;
        for (name, item) in document.iter() {
            let place = || page.place(document.as_table().key(name).and_then(|key| key.span()), What::Key(name, None));
            let Some(group) = Group::ALL.into_iter().find(|group| group.name() == name) else {
                let names: Vec<_> = Group::ALL.iter().map(|group| group.name()).collect();
                let why = format!("'{name}' is not a group: parameters stand in tables, of {}", names.join(", "));
                return Err(place().error(why));
            };
            let Some(table) = item.as_table_like() else {
                return Err(place().error(format!("'{name}' is a group: it takes a table")));
            };
            self.read_group(&page, group, table)?;
        }
        Ok(())
    }

    fn read_group(&mut self, page: &Page<'_>, group: Group, table: &dyn TableLike) -> Result<(), ConfigError> {
        let mut seen: Vec<&'static Row> = Vec::new();
        for (name, item) in table.iter() {
            let row = rows::find_in(group, name);
            let place = || page.place(table.get_key_value(name).and_then(|(key, _)| key.span()), What::Key(name, row));
            if group == Group::Server && matches!(name, "rename_command" | "rename-command") {
                let renames = item
                    .as_table_like()
                    .ok_or_else(|| place().error("rename_command takes a table of old and new names"))?;
                for (from, to) in renames.iter() {
                    let span = renames.get_key_value(from).and_then(|(key, _)| key.span());
                    let place = page.place(span, What::Key(name, None));
                    let to = to.as_str().ok_or_else(|| place.error("the new name of a command is a text"))?;
                    self.rename(RenamedCommand { from: from.into(), to: to.into() }, place);
                }
                continue;
            }
            let Some(row) = row else {
                return Err(place().error(unknown(group, name)));
            };
            if seen.contains(&row) {
                return Err(place().error(format!("'{}' is given twice", row.name())));
            }
            seen.push(row);
            let value = item.as_value().ok_or_else(|| "this parameter takes a value, not a table".to_owned());
            let taken = value
                .and_then(|value| arguments(row, value))
                .and_then(|args| self.config.take_whole(row, &self.located(row, &args)));
            taken.map_err(|why| place().error(why))?;
            self.note(row, place());
        }
        Ok(())
    }
}

/// What to say of a key that is no parameter of its group.
fn unknown(group: Group, name: &str) -> String {
    match rows::find(name.replace('_', "-").as_bytes()) {
        Some(row) => format!("'{name}' belongs to the group '{}', as '{}'", row.group.name(), row.toml_key()),
        None if group == Group::Sentinel => "sentinel mode is not supported yet".to_owned(),
        None => format!("There is no parameter '{name}' in the group '{}'", group.name()),
    }
}

/// The arguments that a value stands for.
pub(super) fn arguments(row: &Row, value: &Value) -> Result<Vec<Vec<u8>>, String> {
    if let Value::Array(array) = value {
        if !row.is(Flags::MULTI) {
            return Err("this parameter takes one value, not a list".to_owned());
        }
        let mut args = Vec::new();
        for element in array {
            args.extend(scalar(element)?.split(' ').filter(|word| !word.is_empty()).map(|w| w.as_bytes().to_vec()));
        }
        return Ok(args);
    }
    Ok(whole_value(row, scalar(value)?.as_bytes()))
}

/// A value that is not a list, as redis.conf would write it.
fn scalar(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.value().clone()),
        Value::Integer(number) => Ok(number.value().to_string()),
        Value::Float(number) => Ok(number.value().to_string()),
        Value::Boolean(yes) => Ok(if *yes.value() { "yes" } else { "no" }.to_owned()),
        Value::Datetime(_) => Err("no parameter takes a date".to_owned()),
        Value::Array(_) => Err("a list of lists means nothing here".to_owned()),
        Value::InlineTable(_) => Err("this parameter takes a value, not a table".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::value::Text;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let mut loader = Loader::new(Path::new("/"));
        loader.read_toml(&Source::Stdin, text.as_bytes())?;
        Ok(loader.config)
    }

    #[test]
    fn values_may_be_what_they_are_or_text() {
        let text = r#"
            storage.maxmemory = "2gb"
            [server]
            port = 7000
            bind = ["127.0.0.1", "-::1"]
            protected-mode = false
            requirepass = 1234
            shutdown_on_sigterm = "now force"
            [server.rename_command]
            FLUSHALL = ""
            [limits]
            client_output_buffer_limit = ["normal 1mb 0 0", "pubsub 2mb 0 0"]
            maxmemory_clients = "5%"
            [persistence]
            save = ["900 1", "300 10"]
            appendfsync = false
            [cluster]
            node_timeout = 5000
            cluster-port = 1
            [observability]
            latency_tracking_info_percentiles = [50, 99.9]
            [sentinel]
        "#;
        let config = read(text).unwrap();
        assert_eq!(config.server.port, 7000);
        assert_eq!(config.server.bind.0, ["127.0.0.1", "-::1"].map(Text::from));
        assert!(!config.server.protected_mode);
        assert_eq!(config.server.requirepass.as_bytes(), b"1234");
        assert!(config.server.shutdown_on_sigterm.now && config.server.shutdown_on_sigterm.force);
        assert_eq!(config.renamed_commands[0].from, b"FLUSHALL");
        assert_eq!(config.limits.client_output_buffer_limit.pubsub.hard_bytes, 2 << 20);
        assert_eq!(config.limits.client_output_buffer_limit.replica.hard_bytes, 256 << 20);
        assert_eq!(config.storage.maxmemory, 2 << 30);
        assert_eq!(config.persistence.save.points().len(), 2);
        assert_eq!(config.persistence.appendfsync.word(), "no");
        assert_eq!((config.cluster.node_timeout, config.cluster.port), (5000, 1));
        assert_eq!(config.observability.latency_tracking_info_percentiles.0, [50.0, 99.9]);
        assert_eq!(read("").unwrap(), Config::default());
        assert!(read("persistence.save = []").unwrap().persistence.save.is_empty());
        assert!(read("persistence.save = \"\"").unwrap().persistence.save.is_empty());
    }

    #[test]
    fn errors_have_a_line_and_a_reason() {
        for (text, line, shown, why) in [
            ("[server]\nport = 70000\n", 2, "port = 70000", "argument must be between 0 and 65535 inclusive"),
            ("[server]\n\nport = [1, 2]", 3, "port = [1, 2]", "this parameter takes one value, not a list"),
            ("[server]\nprot = 1", 2, "prot = (redacted)", "There is no parameter 'prot' in the group 'server'"),
            (
                "[server]\nmaxclients = 1",
                2,
                "maxclients = (redacted)",
                "'maxclients' belongs to the group 'limits', as 'maxclients'",
            ),
            (
                "[server]\ncluster_enabled = 1",
                2,
                "cluster_enabled = (redacted)",
                "'cluster_enabled' belongs to the group 'cluster', as 'enabled'",
            ),
            ("[sentinel]\nport = 1", 2, "port = (redacted)", "'port' belongs to the group 'server', as 'port'"),
            ("[sentinel]\nmonitor = 1", 2, "monitor = (redacted)", "sentinel mode is not supported yet"),
            ("server = 1", 1, "server = (redacted)", "'server' is a group: it takes a table"),
            (
                "[ttl]\nactive_expire_effort = 1979-05-27",
                2,
                "active_expire_effort = 1979-05-27",
                "no parameter takes a date",
            ),
            (
                "[server]\nport = 1\n'port-' = 1",
                3,
                "port- = (redacted)",
                "There is no parameter 'port-' in the group 'server'",
            ),
            (
                "[replication]\nreplica-priority = 1\nslave_priority = 2",
                3,
                "slave_priority = 2",
                "'replica-priority' is given twice",
            ),
            (
                "[server]\nrequirepass = [1]\n",
                2,
                "requirepass = (redacted)",
                "this parameter takes one value, not a list",
            ),
            ("[server.port]\nx = 1", 1, "[server.port]", "this parameter takes a value, not a table"),
            ("[server]\nport = {}", 2, "port = {}", "this parameter takes a value, not a table"),
            ("[server]\nbind = [[1]]", 2, "bind = [[1]]", "a list of lists means nothing here"),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!((error.line, error.text.as_str(), error.why.as_str()), (Some(line), shown, why), "{text}");
        }
        let error = read("port = 1").unwrap_err();
        assert!(error.why.starts_with("'port' is not a group"), "{error}");
        let error = read("[server]\nport = \nhz = 1").unwrap_err();
        assert_eq!(error.line, Some(2), "{error}");
        let error = read("[server]\nport = 1\nport = 2").unwrap_err();
        assert_eq!(error.line, Some(3), "{error}");
        let error = Loader::new(Path::new("/")).read_toml(&Source::Stdin, b"[server]\nport = '\xff'").unwrap_err();
        assert_eq!(error.line, Some(2), "{error}");
    }
}
