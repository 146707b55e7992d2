//! A snapshot as commands: the base of an append-only log that is no RDB file (`aof-use-rdb-preamble no`).
//!
//! What each type writes is in its `types/*/rewrite.rs`. Here are the databases, the deadlines, and the lines of groups:
//! whoever reads the file finds out whether it is whole, as in increments.

use super::aof::GroupWriter;
use super::control::SaveControl;
use super::save::{CommandSettings, SaveError, SaveSettings, write_failed};
use super::source::SnapshotSource;
use crate::types::rewrite::{CommandSink, CommandWriter};
use std::io::{self, Write};

/// Writes the commands that make what is in a snapshot, and nothing else. Errors of the sink become
/// [`SaveError::Disk`] on the temporary file.
pub fn write_commands(
    source: &dyn SnapshotSource,
    out: &mut dyn Write,
    form: &CommandSettings,
    settings: &SaveSettings,
    control: &SaveControl,
) -> Result<(), SaveError> {
    let mut sink = Groups { out, writer: form.annotated.then(|| GroupWriter::new(0, 0)) };
    let mut out = CommandWriter::new(&mut sink);
    if let Some(seconds) = form.timestamp {
        out.line(format!("#TS:{seconds}\r\n").as_bytes());
    }
    for code in &settings.functions {
        out.begin("FUNCTION", 2);
        out.arg(b"LOAD");
        out.arg(code);
    }
    for db in source.databases().iter().filter(|db| db.keys > 0) {
        out.begin("SELECT", 1);
        out.arg_uint(db.index.into());
        let visited = source.visit(db.index, &mut |item| {
            if control.aborted() {
                return Err(SaveError::Aborted);
            }
            item.value.rewrite(item.key, &mut out);
            if let Some(deadline) = item.expire_at_ms {
                out.begin("PEXPIREAT", 2);
                out.arg(item.key);
                out.arg_int(deadline);
            }
            control.key_done();
            match out.has_failed() {
                true => Err(SaveError::Aborted), // the reason comes below
                false => Ok(()),
            }
        });
        if out.has_failed() {
            break;
        }
        visited?;
    }
    out.finish().map_err(|fault| write_failed(fault, &settings.temp, control))?;
    if control.aborted() { Err(SaveError::Aborted) } else { Ok(()) }
}

/// What is written between two calls of [`CommandSink::between`] is a group.
struct Groups<'a> {
    out: &'a mut dyn Write,
    writer: Option<GroupWriter>,
}

impl CommandSink for Groups<'_> {
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(writer) = &mut self.writer {
            writer.extend(bytes);
        }
        self.out.write_all(bytes)
    }

    fn between(&mut self) -> io::Result<()> {
        match self.writer.as_mut().and_then(GroupWriter::close) {
            Some(line) => self.out.write_all(line.as_bytes()),
            None => Ok(()),
        }
    }
}
