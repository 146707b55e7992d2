//! What is derived from the rows for people: `docs/config.md`, the sample file `configs/kvstash.toml`, and `--help`.
//!
//! The files are kept in the repository so that they can be read there; a test here fails when they are stale, and
//! `make config-docs` writes them.

use super::row::{Flags, Group, Guard, Kind, Needs, Row, Status};
use super::{Config, rewrite_toml, rows};
use std::fmt::Write;

const PREAMBLE: &str = "\
# Configuration

<!-- Derived from the rows in src/config/rows: edit those, then
     make config-docs -->

`kvstash [FILE] [-] [--name value ...]`

Values come from, the later winning over the earlier:

1. the defaults below;
2. FILE: TOML if its name ends in `.toml`, otherwise the syntax of redis.conf;
3. standard input, in the syntax of redis.conf, if `-` is the first or the last argument;
4. environment variables: `KVSTASH_<GROUP>_<KEY>`, for example `KVSTASH_SERVER_PORT=7000`;
5. the command line: `--port 7000 --save \"\" --bind 127.0.0.1 ::1`.

An unknown parameter or a bad value stops the start, with file, line and reason. A variable that begins with `KVSTASH_`
but whose second part is no group is none of the server's business and is ignored.

**TOML.** Parameters stand in the table of their group; the key is Redis's name with `_` for `-`, without the group's
name in front (`cluster-node-timeout` is `node_timeout` in `[cluster]`; its full name is understood too). Lists may be
written as arrays. `configs/kvstash.toml` has every parameter with its default.

**redis.conf.** Every name, alias and quoting rule of Redis's own files. `include FILE` reads other files, with
wildcards; relative names start at the directory the server was started in. `rename-command FROM TO` renames a command,
or removes it if TO is `\"\"` (in TOML: the table `rename_command` in `[server]`). `user` lines other than an unrestricted
default user, `loadmodule` and `sentinel` lines stop the start: what they ask for does not exist here yet.

**Amounts of memory** are bytes, or have a unit: `1k` is 1000, `1kb` 1024, and so on with m, mb, g, gb, in any case.

**At run time.** `CONFIG SET name value [name value ...]` changes all of the parameters or none. `CONFIG REWRITE` writes
the running values to the file, in either syntax, and keeps comments, order and whatever else stands there. SIGHUP reads
the file again, applies what has changed in it since it was last read, and logs what needs a restart; what CONFIG SET has
changed meanwhile stays, unless the file has changed there too. A file that looks as if it were not written to its end
(empty, with a NUL, shorter and without its last line end) is refused, and so is what is no regular file. What *protects*
gets weaker only by a line that says so: when no line sets it any more, its value stays, and the log says which, unless
`reload-may-unprotect yes` stands in the file or was set. [security.md](security.md) has more.

**Messages** about a mistake name the file, the line and the parameter. They quote a value only where it can hardly be a
secret: of known parameters that take numbers, words or lists.

In the tables, *start* marks parameters that cannot change at run time, *protected* those that CONFIG SET refuses unless
`enable-protected-configs` allows it, *secret* those that are never logged, *hidden* those that `CONFIG GET *` does not
show, and *protects* those that a reload keeps when their line vanishes.
";

impl Kind {
    /// What values it takes, in words.
    fn describe(&self) -> String {
        match self {
            Kind::Bool => "`yes` or `no`".to_owned(),
            Kind::Int { min, max } => bounds(&min.to_string(), *max >= i64::from(i32::MAX), &max.to_string()),
            Kind::Unsigned { min, max } => bounds(&min.to_string(), *max >= u64::from(u32::MAX), &max.to_string()),
            Kind::Octal { max } => format!("octal, up to {max:o}"),
            Kind::Memory { min: 0, .. } => "memory".to_owned(),
            Kind::Memory { min, .. } => format!("memory, at least {min}"),
            Kind::MemoryOrPercent => "memory, or a percentage of maxmemory".to_owned(),
            Kind::Choice(words) => format!("`{}`", words.join("`, `")),
            Kind::Choices(words) => format!("any of `{}`", words.join("`, `")),
            Kind::Text(_) => "text".to_owned(),
            Kind::Special(syntax) => (*syntax).to_owned(),
        }
    }
}

/// The bounds of an integer; an upper one that is only the size of a word says nothing to anybody.
fn bounds(min: &str, unbounded: bool, max: &str) -> String {
    match (min.starts_with("-2147"), unbounded) {
        (true, _) => "integer".to_owned(),
        (false, true) => format!("integer, at least {min}"),
        (false, false) => format!("integer, {min} to {max}"),
    }
}

impl Row {
    /// The sentences of documentation.
    pub fn doc(&self) -> &'static str {
        self.spec.doc.trim()
    }

    /// What values it takes, in words.
    fn values(&self) -> String {
        match self.spec.clamp {
            Some((low, high)) => format!("integer, moved into {low} to {high}"),
            None => self.spec.kind.describe(),
        }
    }

    fn marks(&self) -> String {
        let marks = [
            (Flags::IMMUTABLE, "start"),
            (Flags::PROTECTED, "protected"),
            (Flags::SENSITIVE, "secret"),
            (Flags::HIDDEN, "hidden"),
        ];
        let mut set: Vec<_> = marks.iter().filter(|(flag, _)| self.is(*flag)).map(|(_, word)| *word).collect();
        if self.spec.guard == Guard::Chosen {
            set.push("protects");
        }
        set.join(", ")
    }
}

/// The default as CONFIG GET shows it, in a table's cell.
fn default_cell(row: &Row, default: &Config) -> String {
    match String::from_utf8_lossy(&row.value(default)).into_owned() {
        empty if empty.is_empty() => "none".to_owned(),
        value => format!("`{value}`"),
    }
}

fn in_cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The contents of `docs/config.md`.
pub fn markdown() -> String {
    let default = Config::default();
    let mut out = PREAMBLE.to_owned();
    for group in Group::ALL {
        let _ = write!(out, "\n## {}\n\n{}\n", group.name(), group.about());
        let live: Vec<_> =
            rows::all().iter().filter(|row| row.group == group && row.spec.status == Status::Live).collect();
        if live.is_empty() {
            continue;
        }
        out.push_str("\n| parameter | key | values | default | | |\n| --- | --- | --- | --- | --- | --- |\n");
        for row in live {
            let aliases: String = row.spec.aliases.iter().map(|alias| format!(", `{alias}`")).collect();
            let cells = [
                format!("`{}`{aliases}", row.name()),
                format!("`{}`", row.toml_key()),
                row.values(),
                default_cell(row, &default),
                row.marks(),
                row.doc().to_owned(),
            ];
            let _ = writeln!(out, "| {} |", cells.map(|cell| in_cell(&cell)).join(" | "));
        }
    }
    waiting(&mut out, &default);
    without_effect(&mut out, &default);
    out
}

/// The parameters of subsystems that do not exist yet.
fn waiting(out: &mut String, default: &Config) {
    out.push_str(
        "\n## Kept, takes effect when the subsystem exists\n\n\
         These are accepted, validated, shown and rewritten as Redis does, and read by nothing yet. Those marked \
         *refused* must keep their default until then: the server does not start with another value, because it would \
         promise what it does not do.\n",
    );
    for needs in Needs::ALL {
        let of_it = |row: &&&Row| matches!(row.spec.status, Status::Waits(n) | Status::Refused(n) if n == needs);
        let rows: Vec<_> = rows::all().iter().filter(of_it).collect();
        if rows.is_empty() {
            continue;
        }
        let _ = write!(out, "\n### Waiting for {}\n\n", needs.name());
        out.push_str("| parameter | group, key | values | default | | |\n| --- | --- | --- | --- | --- | --- |\n");
        for row in rows {
            let aliases: String = row.spec.aliases.iter().map(|alias| format!(", `{alias}`")).collect();
            let refused = matches!(row.spec.status, Status::Refused(_)).then(|| "refused".to_owned());
            let marks = [refused, Some(row.marks()).filter(|marks| !marks.is_empty())];
            let cells = [
                format!("`{}`{aliases}", row.name()),
                format!("{}, `{}`", row.group.name(), row.toml_key()),
                row.values(),
                default_cell(row, default),
                marks.into_iter().flatten().collect::<Vec<_>>().join(", "),
                row.doc().to_owned(),
            ];
            let _ = writeln!(out, "| {} |", cells.map(|cell| in_cell(&cell)).join(" | "));
        }
    }
}

/// The parameters that mean nothing here.
fn without_effect(out: &mut String, default: &Config) {
    out.push_str(
        "\n## Accepted without effect\n\n\
         Parameters of Redis about things that this server does not have, mostly fork and threads for sockets. They are \
         accepted, kept and shown, so that files and tools work unchanged.\n\n\
         | parameter | group, key | default | why it has no effect |\n| --- | --- | --- | --- |\n",
    );
    for row in rows::all() {
        if let Status::NoEffect(why) = row.spec.status {
            let aliases: String = row.spec.aliases.iter().map(|alias| format!(", `{alias}`")).collect();
            let _ = writeln!(
                out,
                "| `{}`{aliases} | {}, `{}` | {} | {why} |",
                row.name(),
                row.group.name(),
                row.toml_key(),
                default_cell(row, default),
            );
        }
    }
}

/// Breaks text into comment lines.
fn comment(out: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > 100 {
            let _ = writeln!(out, "{line}");
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(out, "{line}");
}

/// The contents of `configs/kvstash.toml`: every parameter that `CONFIG GET *` shows, commented out, with its default.
pub fn sample_toml() -> String {
    let default = Config::default();
    let mut out = String::new();
    comment(&mut out, "Every parameter of kvstash with its default. Start with: kvstash kvstash.toml");
    comment(&mut out, "Derived from the rows in src/config/rows; docs/config.md explains sources and syntax.");
    for group in Group::ALL {
        let _ = writeln!(out, "\n[{}]", group.name());
        comment(&mut out, group.about());
        for row in rows::all().iter().filter(|row| row.group == group && !row.is(Flags::HIDDEN)) {
            out.push('\n');
            comment(&mut out, row.doc());
            match row.spec.status {
                Status::Live => {}
                Status::Waits(needs) => comment(&mut out, &format!("(Waits for {}.)", needs.name())),
                Status::NoEffect(why) => comment(&mut out, &format!("(No effect: {why}.)")),
                Status::Refused(needs) => {
                    comment(&mut out, &format!("(Must stay so: this server does not have {} yet.)", needs.name()));
                }
            }
            if let Some(value) = rewrite_toml::value_of(row, &default) {
                let _ = writeln!(out, "# {} = {value}", row.toml_key());
            }
        }
    }
    out
}

/// The text of `--help`.
pub fn help(program: &str) -> String {
    let mut out = format!(
        "Usage: {program} [FILE] [-] [--name value ...]\n\n\
         FILE is TOML if its name ends in .toml, otherwise a redis.conf. `-` reads a redis.conf from standard input.\n\
         Environment variables KVSTASH_<GROUP>_<KEY> override the file, options override both.\n\n\
         {program} -v, --version        the version\n\
         {program} -h, --help           this text\n\
         {program} check-rdb FILE       is this RDB file in order?\n\
         {program} check-aof FILE       are these files of an append-only file in order?\n\
         {program} restore DIR          an append-only file's directory as it was at some moment\n\n\
         Examples:\n  {program}\n  {program} /etc/kvstash/kvstash.toml\n  {program} /etc/redis/redis.conf --port 7000\n  \
         {program} --port 7000 --save \"\" --maxmemory 1gb --loglevel verbose\n  \
         echo 'maxmemory 128mb' | {program} -\n\nParameters, with their defaults:\n",
    );
    let default = Config::default();
    for group in Group::ALL {
        let live = |row: &&&Row| row.group == group && row.spec.status == Status::Live && !row.is(Flags::HIDDEN);
        let rows: Vec<_> = rows::all().iter().filter(live).collect();
        if !rows.is_empty() {
            let _ = writeln!(out, "\n  {}", group.name());
        }
        for row in rows {
            let value = String::from_utf8_lossy(&row.value(&default)).into_owned();
            let _ = writeln!(out, "    --{} {}", row.name(), if value.is_empty() { "\"\"" } else { &value });
            let first = row.doc().split_inclusive(". ").next().unwrap_or_default().trim();
            let _ = writeln!(out, "        {first}");
        }
    }
    out.push_str("\nThe rest, with all explanations: docs/config.md.\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::error::Source;
    use crate::config::load::Loader;
    use std::path::Path;

    fn fresh(file: &str, text: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        if std::env::var_os("KVSTASH_WRITE_DOCS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
        }
        let have = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(have == text, "{file} is stale: run make config-docs");
    }

    #[test]
    fn the_documentation_is_fresh() {
        fresh("docs/config.md", &markdown());
    }

    #[test]
    fn the_sample_file_is_fresh() {
        fresh("configs/kvstash.toml", &sample_toml());
    }

    #[test]
    fn the_sample_file_says_the_defaults_commented_out_or_not() {
        let sample = sample_toml();
        let setting = |line: &str| line.strip_prefix("# ").is_some_and(|l| l.split(' ').nth(1) == Some("="));
        let active: Vec<String> =
            sample.lines().map(|line| if setting(line) { line[2..].to_owned() } else { line.to_owned() }).collect();
        assert!(active.iter().filter(|line| !line.starts_with('#') && line.contains('=')).count() > 180);
        for text in [sample, active.join("\n")] {
            let mut loader = Loader::new(Path::new("."));
            loader.read_toml(&Source::Stdin, text.as_bytes()).unwrap();
            let mut expected = Config::default();
            expected.persistence.dir = loader.config.persistence.dir.clone();
            assert_eq!(loader.config, expected);
        }
    }

    #[test]
    fn help_names_every_live_parameter_and_no_secret_values() {
        let help = help("kvstash");
        assert!(help.contains("    --loglevel notice\n"));
        assert!(help.contains("    --requirepass \"\"\n"));
        assert!(help.lines().all(|line| line.len() <= 160), "{help}");
    }
}
