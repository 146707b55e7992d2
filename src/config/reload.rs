//! The reload on SIGHUP: everything is read once more, and what is different goes into the running configuration.
//!
//! A file is believed only as far as somebody can have meant it. One that looks as if it were not written to its end
//! changes nothing. One in which a line is missing changes nothing that protects: a password does not go because an
//! editor lost a line ([`Guard`]). What a line says is followed, whatever it says.

use super::access::Changes;
use super::error::{ConfigError, Source};
use super::load::{Places, Read, Shapes, Sources};
use super::row::{Flags, Guard, Row};
use super::{Config, rows};

/// What a reload changed.
#[derive(Debug)]
pub struct Reload {
    /// What is in force now. Apply it, or roll it back.
    pub changes: Changes,
    /// What is another value in the file than in the running server, and can only change at a start.
    pub needs_restart: Vec<&'static Row>,
    /// What protects and is set by no line any more, so that its value stays.
    pub kept: Vec<&'static Row>,
    /// The same, but `reload-may-unprotect` allowed to give it up.
    pub given_up: Vec<&'static Row>,
    /// `rename-command` lines have changed, which also needs a restart.
    pub renamed_commands_changed: bool,
    /// To be handed to [`Sources::applied`] once the changes are.
    pub seen: Seen,
}

/// What a reload has read, for [`Sources::applied`].
#[derive(Clone)]
pub struct Seen {
    baseline: Config,
    places: Places,
    shapes: Shapes,
}

/// There are secrets in it.
impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seen").finish_non_exhaustive()
    }
}

impl Sources {
    /// Reads everything again. What the file now says differently goes into `running`, except what needs a restart.
    /// When the file is wrong, nothing has changed.
    ///
    /// A value that CONFIG SET has changed stays, unless the file's value has changed too. So does one that protects
    /// and that nobody sets any more ([`Guard`]). A file that looks half written is wrong.
    pub fn reload(&self, running: &mut Config) -> Result<Reload, ConfigError> {
        let Read { config: fresh, places, shapes } = self.read(false)?;
        for (path, shape) in &shapes {
            if let Some(why) = self.shapes.get(path).and_then(|before| shape.is_torn(before)) {
                return Err(ConfigError::unreadable(Source::File(path.clone()), why));
            }
        }
        let may_unprotect = fresh.server.reload_may_unprotect || running.server.reload_may_unprotect;
        let before = running.clone();
        let mut baseline = fresh.clone();
        let (mut needs_restart, mut kept, mut given_up) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows::all() {
            if (row.same)(&fresh, running) {
                continue;
            }
            if row.is(Flags::IMMUTABLE) {
                needs_restart.push(*row);
            } else if !(row.same)(&fresh, &self.baseline) {
                let mut wanted = fresh.clone();
                if row.spec.guard == Guard::Chosen {
                    (row.keep)(running, &mut wanted, places.last_set.contains_key(row.name()));
                }
                match (row.same)(&wanted, &fresh) {
                    true => {}
                    false if may_unprotect => {
                        wanted = fresh.clone();
                        given_up.push(*row);
                    }
                    false => {
                        // The next reload finds it changed again, and says so again.
                        (row.copy)(&wanted, &mut baseline);
                        kept.push(*row);
                    }
                }
                (row.copy)(&wanted, running);
            }
        }
        let renamed_commands_changed = fresh.renamed_commands != running.renamed_commands;
        let changes = Changes::between(before, running);
        let seen = Seen { baseline, places, shapes };
        Ok(Reload { changes, needs_restart, kept, given_up, renamed_commands_changed, seen })
    }

    /// What a reload has changed is in force: the next one starts from there. Without this the next one finds the same
    /// changes.
    pub fn applied(&mut self, seen: Seen) {
        (self.baseline, self.places, self.shapes) = (seen.baseline, seen.places, seen.shapes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::access::whole_value;
    use crate::config::scratch::{Scratch, another_value};
    use crate::config::{Caller, Loaded, argv, load};
    use std::ffi::OsString;

    fn start(args: &[&str]) -> Result<Loaded, ConfigError> {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        load(&argv::split(&args), [], || Ok(Vec::new()))
    }

    fn value(config: &Config, name: &str) -> String {
        String::from_utf8_lossy(&rows::find(name.as_bytes()).unwrap().value(config)).into_owned()
    }

    #[test]
    fn a_reload_applies_what_changed_in_the_file() {
        let dir = Scratch::new("reload");
        let file = dir.write("a.conf", "timeout 1\nhz 20\nport 7000\ndatabases 4\n");
        let args = [file.to_str().unwrap(), "--port", "7001"];
        let Loaded { mut config, mut sources } = start(&args).unwrap();
        // Changed by a client, and not in the file: stays.
        config.set(&[(b"maxclients", b"7"), (b"hz", b"30")], Caller::default()).unwrap();
        dir.write("a.conf", "timeout 2\nhz 20\nport 7002\ndatabases 5\nrename-command keys \"\"\n");
        let reload = sources.reload(&mut config).unwrap();
        let names = |rows: &[&Row]| rows.iter().map(|row| row.name()).collect::<Vec<_>>();
        assert_eq!(names(reload.changes.rows()), ["timeout"]);
        assert_eq!(names(&reload.needs_restart), ["databases"]);
        assert!(reload.renamed_commands_changed);
        for (name, expected) in
            [("timeout", "2"), ("hz", "30"), ("maxclients", "7"), ("port", "7001"), ("databases", "4")]
        {
            assert_eq!(value(&config, name), expected, "{name}");
        }
        // What could not be applied is found again.
        config.roll_back(reload.changes);
        assert_eq!(value(&config, "timeout"), "1");
        let reload = sources.reload(&mut config).unwrap();
        assert_eq!((names(reload.changes.rows()), value(&config, "timeout")), (vec!["timeout"], "2".into()));
        sources.applied(reload.seen);
        // A wrong file changes nothing.
        dir.write("a.conf", "timeout 3\nhz x\n");
        assert_eq!(sources.reload(&mut config).unwrap_err().line, Some(2));
        assert_eq!(value(&config, "timeout"), "2");
        // Back at the default, since the line is gone.
        dir.write("a.conf", "databases 4\n");
        let reload = sources.reload(&mut config).unwrap();
        sources.applied(reload.seen);
        assert_eq!(value(&config, "timeout"), "0");
        assert_eq!(value(&config, "hz"), "10");
    }

    /// Starts with a file that has `before`, writes `after` into it and reloads; gives the running configuration.
    fn reloaded(name: &str, before: &str, after: &str) -> Result<(Config, Reload), ConfigError> {
        let dir = Scratch::new("torn");
        let file = dir.write(name, before);
        let Loaded { mut config, sources } = start(&[file.to_str().unwrap()])?;
        dir.write(name, after);
        let reload = sources.reload(&mut config)?;
        Ok((config, reload))
    }

    #[test]
    fn a_file_that_looks_half_written_is_refused() {
        let before = "# mine\nrequirepass a\nmaxmemory 100mb\n";
        for (after, why) in [
            ("", "says nothing any more, and had 2 lines"),
            ("# mine\n", "says nothing any more"),
            ("\0\0\0\0\0\0", "there is a NUL in it"),
            ("# mine\nrequirepass a\n\0\0\0\0", "there is a NUL in it"),
            ("# mine\nrequirepass a\nmaxmemory 10", "its last line has no end"),
            ("reload-may-unprotect yes", "its last line has no end"),
        ] {
            let error = reloaded("a.conf", before, after).expect_err(after);
            assert!(error.to_string().contains(why), "{after:?}: {error}");
        }
        for after in ["requirepass a\n", "requirepass a\nmaxmemory 100mb\nhz 20\nloglevel notice", "hz 10\n"] {
            assert!(reloaded("a.conf", before, after).is_ok(), "{after:?}");
        }
        // Who never ends the last line may make it shorter, and who says nothing may go on to.
        assert!(reloaded("a.conf", "hz 20\ntimeout 1", "hz 20").is_ok());
        assert!(reloaded("a.conf", "# nothing\n\n", "").is_ok());
        let toml = "[server]\nrequirepass = \"a\"\n";
        for after in ["", "[server]\nrequirepass = ", "\0\0", "# mine\n"] {
            assert!(reloaded("a.toml", toml, after).is_err(), "{after:?}");
        }
        assert!(reloaded("a.toml", toml, "[server]\n").is_ok_and(|(_, reload)| reload.kept.len() == 1));
    }

    /// An included file is as good as the one that includes it.
    #[test]
    fn an_included_file_is_looked_at_as_well() {
        let dir = Scratch::new("torn-include");
        let part = dir.write("part.conf", "requirepass a\n");
        let file = dir.write("a.conf", &format!("hz 20\ninclude {}\n", part.display()));
        let Loaded { mut config, sources } = start(&[file.to_str().unwrap()]).unwrap();
        dir.write("part.conf", "");
        assert!(sources.reload(&mut config).is_err_and(|error| error.source == Source::File(part)));
        dir.write("a.conf", "hz 20\n");
        let reload = sources.reload(&mut config).unwrap();
        assert_eq!(reload.kept.iter().map(|row| row.name()).collect::<Vec<_>>(), ["requirepass"]);
    }

    #[test]
    fn what_protects_stays_when_its_line_vanishes() {
        let chosen = || rows::all().iter().filter(|row| row.spec.guard == Guard::Chosen && !row.is(Flags::IMMUTABLE));
        let all: Vec<&str> = chosen().map(|row| row.name()).collect();
        for name in ["bind", "port", "requirepass", "maxmemory", "maxclients", "client-output-buffer-limit"] {
            assert!(all.contains(&name), "{name}");
        }
        let names = |rows: &[&Row]| rows.iter().map(|row| row.name()).collect::<Vec<_>>();
        for row in chosen() {
            let name = row.name();
            let Some(chosen) = another_value(row) else { continue };
            let mut config = Config::default();
            config.take_whole(row, &whole_value(row, chosen.as_bytes())).unwrap();
            let lines = |config: &Config| (row.lines)(config, &row.spec).join(&b'\n');
            let (chosen, line) = (row.value(&config), String::from_utf8(lines(&config)).unwrap());
            let default = row.value(&Config::default());
            let default_line = String::from_utf8(lines(&Config::default())).unwrap();
            assert_ne!(chosen, default, "{name}");

            let dir = Scratch::new("kept");
            let file = dir.write("a.conf", &format!("hz 20\n{line}\n"));
            let Loaded { mut config, mut sources } = start(&[file.to_str().unwrap()]).unwrap();
            // Said again and again, until somebody does something about it.
            for hz in ["30", "40"] {
                dir.write("a.conf", &format!("hz {hz}\n"));
                let reload = sources.reload(&mut config).unwrap();
                assert_eq!((names(&reload.kept), names(&reload.given_up)), (vec![name], vec![]), "{name}");
                assert_eq!(row.value(&config), chosen, "{name}");
                assert_eq!(value(&config, "hz"), hz, "the rest is followed");
                sources.applied(reload.seen);
            }
            // A line that says the default is followed.
            let mut copy = (config.clone(), sources.clone());
            dir.write("a.conf", &format!("hz 20\n{default_line}\n"));
            let reload = copy.1.reload(&mut copy.0).unwrap();
            assert!(reload.kept.is_empty(), "{name}");
            assert_eq!(row.value(&copy.0), default, "{name}");
            copy.1.applied(reload.seen);
            // So is absence, if the file says that it may.
            let mut copy = (config.clone(), sources.clone());
            dir.write("a.conf", "reload-may-unprotect yes\n");
            let reload = copy.1.reload(&mut copy.0).unwrap();
            assert_eq!((names(&reload.kept), names(&reload.given_up)), (vec![], vec![name]), "{name}");
            assert_eq!(row.value(&copy.0), default, "{name}");
            // Or if the running server does.
            config.set(&[(b"reload-may-unprotect", b"yes")], Caller::default()).unwrap();
            dir.write("a.conf", "hz 30\n");
            let reload = sources.reload(&mut config).unwrap();
            assert_eq!((names(&reload.given_up), row.value(&config)), (vec![name], default), "{name}");
        }
    }

    #[test]
    fn what_is_safest_by_default_may_go_back_to_it() {
        let mut seen = 0;
        for row in rows::all().iter().filter(|row| row.spec.guard == Guard::Default && !row.is(Flags::IMMUTABLE)) {
            let line = format!("{} {}\n", row.name(), another_value(row).unwrap());
            let (config, reload) = reloaded("a.conf", &format!("hz 20\n{line}"), "hz 20\n").unwrap();
            assert!(reload.kept.is_empty() && row.is_default(&config, &Config::default()), "{}", row.name());
            seen += 1;
        }
        assert!(seen >= 3);
    }

    /// A line about one class says nothing about the others.
    #[test]
    fn classes_of_output_limits_are_kept_one_by_one() {
        let limits = |config: &Config| value(config, "client-output-buffer-limit");
        let before = "client-output-buffer-limit normal 1 1 1\nclient-output-buffer-limit pubsub 2 2 2\n";
        let (config, reload) = reloaded("a.conf", before, "client-output-buffer-limit pubsub 0 0 0\n").unwrap();
        assert_eq!(limits(&config), "normal 1 1 1 slave 268435456 67108864 60 pubsub 0 0 0");
        assert_eq!(reload.kept.len(), 1);
        let after = "client-output-buffer-limit pubsub 0 0 0\nreload-may-unprotect yes\n";
        let (config, _) = reloaded("a.conf", before, after).unwrap();
        assert_eq!(limits(&config), "normal 0 0 0 slave 268435456 67108864 60 pubsub 0 0 0");
    }

    /// A pipe is read at the start; while the server runs nothing waits for one.
    #[test]
    fn a_reload_reads_regular_files_only() {
        let dir = Scratch::new("fifo");
        let file = dir.write("a.conf", "hz 20\n");
        let Loaded { mut config, mut sources } = start(&[file.to_str().unwrap()]).unwrap();
        std::fs::remove_file(&file).unwrap();
        for kind in [["mkfifo"].as_slice(), &["mkdir"], &["ln", "-s", "/dev/zero"]] {
            let made = std::process::Command::new(kind[0]).args(&kind[1..]).arg(&file).status().unwrap();
            assert!(made.success());
            assert!(sources.reload(&mut config).is_err_and(|error| error.line.is_none()), "{kind:?}");
            assert!(sources.rewrite(&config).is_err(), "{kind:?}");
            std::fs::remove_file(&file).or_else(|_| std::fs::remove_dir(&file)).unwrap();
        }
        let made = std::process::Command::new("mkfifo").arg(&file).status().unwrap();
        assert!(made.success());
        let main = dir.write("main.conf", &format!("include {}\n", file.display()));
        assert_eq!(start(&[main.to_str().unwrap()]).unwrap_err().why, "Not a regular file");
        let writer = std::thread::spawn({
            let file = file.clone();
            move || std::fs::write(file, "hz 40\n").unwrap()
        });
        assert_eq!(value(&start(&[file.to_str().unwrap()]).unwrap().config, "hz"), "40");
        writer.join().unwrap();
    }
}
