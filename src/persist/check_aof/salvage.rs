//! `--salvage`: what is good of a damaged file, before the damage and behind it, in a new file.
//!
//! What stands before the damage is copied as it is. What stands behind it is written anew, in groups of its own, for its
//! offsets and checksums are others now. It may depend on what was lost: on keys, which nobody can help, and on the
//! database that was selected. That is looked for in the damaged part; if it is not found there, it is the one from
//! before.

use super::tool::{File, Stop, Tool, give_up};
use crate::persist::aof::{Batch, Behind, Ending, GroupWriter, Item, Manifest, Scanner, Step, is_open_behind};
use crate::resp::{Args, push_command};
use crate::sys::disk::{DiskFile, os_text};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// So much is written as one group.
const GROUP_BYTES: usize = 256 << 10;

/// What is looked at of a damaged part at once.
const WINDOW_BYTES: usize = 1 << 20;

/// Which database is selected.
#[derive(Clone, Debug)]
pub(super) struct Database(Vec<u8>);

impl Default for Database {
    fn default() -> Self {
        Database(b"0".to_vec())
    }
}

impl Database {
    /// What the last SELECT of a batch says.
    pub fn follow(&mut self, batch: &Batch) {
        for command in batch.commands() {
            if let Some(index) = selected(&command.args) {
                self.0 = index.to_vec();
            }
        }
    }

    /// Looks for a SELECT among damaged bytes.
    fn follow_damaged(&mut self, source: &mut dyn Read, len: u64) -> io::Result<()> {
        const NAME: &[u8] = b"\r\nSELECT\r\n";
        const LINES_MAX: usize = NAME.len() + 30;
        let mut source = source.take(len);
        let mut window = Vec::new();
        loop {
            let got = (&mut source).take(WINDOW_BYTES as u64).read_to_end(&mut window)?;
            for at in memchr::memchr_iter(b'\r', &window) {
                let Some(name) = window.get(at..at + NAME.len()) else { break };
                if name.eq_ignore_ascii_case(NAME)
                    && let Some(index) = argument(&window[at + NAME.len()..])
                {
                    self.0 = index.to_vec();
                }
            }
            if got == 0 {
                return Ok(());
            }
            window.drain(..window.len().saturating_sub(LINES_MAX));
        }
    }
}

/// The database that a request selects.
fn selected<'a>(args: &Args<'a>) -> Option<&'a [u8]> {
    args.get(1).filter(|_| args.len() == 2 && args[0].eq_ignore_ascii_case(b"select"))
}

/// A small number that stands here as an argument.
fn argument(bytes: &[u8]) -> Option<&[u8]> {
    let mut lines = bytes.splitn(3, |&byte| byte == b'\n');
    let (len, number) = (lines.next()?.strip_prefix(b"$")?.strip_suffix(b"\r")?, lines.next()?.strip_suffix(b"\r")?);
    let len = crate::util::num::parse_u64(len)?;
    (len == number.len() as u64 && crate::util::num::parse_u64(number).is_some()).then_some(number)
}

/// Makes the directory for the files of a manifest.
pub(super) fn begin(tool: &mut Tool<'_>, dir: &Path) -> Result<(), Stop> {
    if tool.disk.exists(dir) {
        give_up!(tool.out, "{} exists already, aborting...", dir.display());
    }
    let made = tool.disk.create_dir(dir);
    done(tool, dir, made)
}

/// Writes the manifest of what was written.
pub(super) fn finish(tool: &mut Tool<'_>, dir: &Path, manifest: &Manifest, path: &Path) -> Result<(), Stop> {
    let manifest = manifest.of_first(usize::MAX);
    let to = dir.join(path.file_name().unwrap_or(path.as_os_str()));
    let written = tool.disk.create(&to).and_then(|mut file| {
        file.write_all(&manifest.to_bytes())?;
        file.sync()?;
        tool.disk.sync_dir(dir)
    });
    done(tool, &to, written)
}

/// A file that was empty.
pub(super) fn write_empty(tool: &mut Tool<'_>, to: &Path) -> Result<(), Stop> {
    let made = tool.disk.create(to).map(|_| ());
    done(tool, to, made)
}

/// Writes what is good of a file, which has commands from `start` on.
pub(super) fn write(
    tool: &mut Tool<'_>,
    file: File<'_>,
    start: u64,
    ending: &Ending,
    db: Database,
    to: &Path,
) -> Result<(), Stop> {
    if tool.disk.exists(to) {
        give_up!(tool.out, "{} exists already, aborting...", to.display());
    }
    let copied = || -> io::Result<Vec<(Behind, Database, u64)>> {
        let mut source = tool.disk.open(file.path)?;
        let mut target = tool.disk.create(to)?;
        io::copy(&mut (&mut source).take(ending.good_to.max(start)), &mut target)?;
        let mut salvage =
            Salvage { target, writer: GroupWriter::new(ending.good_to, ending.crc), gathered: Vec::new() };
        let (mut db, mut end, mut done) = (db, ending.good_to, Vec::new());
        for behind in &ending.behind {
            source.seek(SeekFrom::Start(end))?;
            db.follow_damaged(&mut source, behind.bytes.start - end)?;
            let from = db.clone();
            source.seek(SeekFrom::Start(behind.bytes.start))?;
            let commands = salvage.groups(&mut *source, behind, &mut db)?;
            end = behind.bytes.end;
            done.push((behind.clone(), from, commands));
        }
        salvage.target.sync()?;
        tool.disk.sync_dir(to.parent().unwrap_or(Path::new("")))?;
        Ok(done)
    };
    match copied() {
        Ok(behind) => {
            for (Behind { bytes, .. }, Database(db), commands) in behind {
                let db = String::from_utf8_lossy(&db).into_owned();
                let (from, to) = (bytes.start, bytes.end);
                writeln!(
                    tool.out,
                    "Salvaged {commands} commands from offset {from} to {to}, the first in database {db}"
                )?;
            }
            let kept: u64 = ending.good_to + ending.behind.iter().map(|b| b.bytes.end - b.bytes.start).sum::<u64>();
            writeln!(
                tool.out,
                "Salvaged AOF {} to {}, without {} bytes",
                file.name,
                to.display(),
                ending.total - kept
            )?;
            Ok(())
        }
        Err(fault) => give_up!(tool.out, "Cannot write {}: {}, aborting...", to.display(), os_text(&fault)),
    }
}

struct Salvage {
    target: Box<dyn DiskFile>,
    writer: GroupWriter,
    gathered: Vec<u8>,
}

impl Salvage {
    /// Writes the commands of groups behind a damage; says how many.
    fn groups(&mut self, source: &mut dyn DiskFile, behind: &Behind, db: &mut Database) -> io::Result<u64> {
        let mut scanner = Scanner::resume(source, behind.bytes.start, behind.bytes.end, behind.crc);
        let (mut commands, mut multi) = (0, false);
        push_command(&mut self.gathered, [&b"SELECT"[..], &db.0].into_iter());
        while let Step::Batch(batch) = scanner.step()? {
            for item in batch.items() {
                match item {
                    Item::Stamp(stamp) => write!(self.gathered, "#TS:{}\r\n", stamp.seconds)?,
                    Item::Command(command) => {
                        multi = is_open_behind(&command.args[0], multi);
                        push_command(&mut self.gathered, command.args.iter());
                        commands += 1;
                    }
                }
                if self.gathered.len() >= GROUP_BYTES && !multi {
                    self.flush()?;
                }
            }
            db.follow(&batch);
        }
        self.flush()?;
        Ok(commands)
    }

    fn flush(&mut self) -> io::Result<()> {
        let line = self.writer.annotate([&self.gathered[..]]);
        self.target.write_all(&self.gathered)?;
        self.target.write_all(line.as_bytes())?;
        self.gathered.clear();
        Ok(())
    }
}

fn done(tool: &mut Tool<'_>, path: &Path, result: io::Result<()>) -> Result<(), Stop> {
    match result {
        Ok(()) => Ok(()),
        Err(fault) => give_up!(tool.out, "Cannot write {}: {}, aborting...", path.display(), os_text(&fault)),
    }
}
