//! From the command line to a configuration: defaults, then the file, standard input, the environment, the command
//! line.

use super::access::{refusal, whole_value};
use super::argv::Invocation;
use super::error::{ConfigError, Place, Source};
use super::files::Shape;
use super::row::{Apply, Group, Row};
use super::{Config, RenamedCommand, rows, shown};
use crate::sys::disk::os_text;
use crate::sys::files;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The beginning of the names of environment variables that override parameters.
const ENV_PREFIX: &str = "KVSTASH_";

/// A configuration, and where it came from.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What SIGHUP and CONFIG REWRITE need.
    pub sources: Sources,
}

/// Everything a configuration was read from, to read it again.
#[derive(Clone)]
pub struct Sources {
    file: Option<PathBuf>,
    stdin: Option<Vec<u8>>,
    environment: Vec<(String, Vec<u8>)>,
    options: Vec<u8>,
    start_dir: PathBuf,
    /// What the last reading gave. A reload applies what is different from this, and leaves alone what CONFIG SET has
    /// changed since.
    pub(super) baseline: Config,
    pub(super) places: Places,
    pub(super) shapes: Shapes,
}

/// Reads the configuration that the arguments, without the program's name, ask for.
///
/// `environment` is the whole environment; `stdin` is called when the arguments ask for standard input.
pub fn load(
    invocation: &Invocation,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    stdin: impl FnOnce() -> io::Result<Vec<u8>>,
) -> Result<Loaded, ConfigError> {
    let start_dir = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let stdin = match invocation.stdin {
        true => Some(stdin().map_err(|e| ConfigError::unreadable(Source::Stdin, os_text(&e)))?),
        false => None,
    };
    let environment = environment.into_iter().filter_map(|(name, value)| {
        let name = name.into_string().ok().filter(|name| name.starts_with(ENV_PREFIX))?;
        Some((name, value.into_vec()))
    });
    let mut environment: Vec<_> = environment.collect();
    environment.sort();
    let mut sources = Sources {
        file: invocation.file.as_ref().map(|file| start_dir.join(file)),
        stdin,
        environment,
        options: invocation.options.clone(),
        start_dir,
        baseline: Config::default(),
        places: Places::default(),
        shapes: Shapes::default(),
    };
    let read = sources.read(true)?;
    sources.baseline = read.config.clone();
    (sources.places, sources.shapes) = (read.places, read.shapes);
    Ok(Loaded { config: read.config, sources })
}

/// Only the file: secrets may stand in the rest.
impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Sources {
    /// The configuration file, by its absolute path.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    pub(super) fn start_dir(&self) -> &Path {
        &self.start_dir
    }

    /// The file now says what is running, with this text.
    pub(super) fn rewritten(&mut self, running: &Config, text: &[u8]) {
        self.baseline = running.clone();
        if let Some(path) = &self.file {
            self.shapes.insert(path.clone(), Shape::of(text));
        }
    }

    /// The place that set this parameter, for what goes wrong with it after everything has been read; none if nobody
    /// has set it.
    pub fn place_of(&self, name: &str) -> Option<&Place> {
        self.places.last_set.get(name)
    }

    /// The place of [`Config::renamed_commands`]`[index]`.
    pub fn place_of_rename(&self, index: usize) -> Option<&Place> {
        self.places.renames.get(index)
    }

    pub(super) fn read(&self, at_start: bool) -> Result<Read, ConfigError> {
        let mut loader = Loader::new(&self.start_dir);
        loader.at_start = at_start;
        if let Some(path) = &self.file {
            if is_toml(path) {
                loader.read_toml_file(path)?;
            } else {
                loader.read_file(path, 0)?;
            }
        }
        if let Some(text) = &self.stdin {
            loader.read(&Source::Stdin, text, 0)?;
        }
        for (name, value) in &self.environment {
            loader.take_variable(name, value)?;
        }
        loader.read(&Source::CommandLine, &self.options, 0)?;
        loader.finish()
    }
}

/// Whether the file is TOML: its name says so.
pub(super) fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
}

/// Reads sources one after the other into one configuration, and remembers where each value came from. How each syntax
/// is read stands in `classic` and `document`.
pub(super) struct Loader {
    pub(super) config: Config,
    /// Where relative names start: the directory the program was started in, even if it has gone elsewhere.
    pub(super) start_dir: PathBuf,
    places: Places,
    /// The main file may be anything that can be read to its end: standard input by its name, a process's output.
    /// While the server runs nothing may be read that could make it wait.
    at_start: bool,
    shapes: Shapes,
}

/// What reading everything gives.
pub(super) struct Read {
    pub(super) config: Config,
    pub(super) places: Places,
    pub(super) shapes: Shapes,
}

pub(super) type Shapes = HashMap<PathBuf, Shape>;

/// Where everything that was read stands.
#[derive(Clone, Default)]
pub(super) struct Places {
    /// The place that last set a parameter, by the parameter's name. Only the end result counts: `--cluster-enabled
    /// no` makes a file with `cluster-enabled yes` acceptable.
    pub(super) last_set: HashMap<&'static str, Place>,
    /// The places of [`Config::renamed_commands`].
    renames: Vec<Place>,
}

impl Loader {
    pub(super) fn new(start_dir: &Path) -> Loader {
        Loader {
            config: Config::default(),
            start_dir: start_dir.to_owned(),
            places: Places::default(),
            at_start: false,
            shapes: Shapes::default(),
        }
    }

    /// What is in a file; the main one has the depth 0.
    pub(super) fn contents(&mut self, path: &Path, depth: usize) -> io::Result<Vec<u8>> {
        let text = match self.at_start && depth == 0 {
            true => std::fs::read(path),
            false => files::read(path),
        }?;
        self.shapes.insert(path.to_owned(), Shape::of(&text));
        Ok(text)
    }

    /// Remembers the place: what is wrong with a value may be found much later.
    pub(super) fn note(&mut self, row: &Row, place: Place) {
        self.places.last_set.insert(row.name(), place);
    }

    /// Takes a `rename-command` over. Whether there is such a command is not known here.
    pub(super) fn rename(&mut self, renamed: RenamedCommand, place: Place) {
        self.config.renamed_commands.push(renamed);
        self.places.renames.push(place);
    }

    /// The arguments, with a relative working directory made absolute.
    pub(super) fn located(&self, row: &Row, args: &[Vec<u8>]) -> Vec<Vec<u8>> {
        match args {
            [dir] if row.spec.apply == Apply::Directory && !dir.is_empty() => {
                vec![self.start_dir.join(OsStr::from_bytes(dir)).into_os_string().into_vec()]
            }
            args => args.to_vec(),
        }
    }

    /// Takes an environment variable over, whose name begins as ours do. A name whose second part is no group belongs
    /// to somebody else; one whose second part is a group must be right.
    pub(super) fn take_variable(&mut self, name: &str, value: &[u8]) -> Result<(), ConfigError> {
        let rest = name[ENV_PREFIX.len()..].to_ascii_lowercase();
        let split =
            Group::ALL.iter().find_map(|group| Some((group, rest.strip_prefix(group.name())?.strip_prefix('_')?)));
        let Some((group, key)) = split else { return Ok(()) };
        let row = rows::find_in(*group, key);
        let source = Source::Environment(name.to_owned());
        let place = Place { source, line: 1, text: shown::variable(row, name, value) };
        let row =
            row.ok_or_else(|| place.error(format!("There is no parameter '{key}' in the group '{}'", group.name())))?;
        let args = self.located(row, &whole_value(row, value));
        self.config.take_whole(row, &args).map_err(|why| place.error(why))?;
        self.note(row, place);
        Ok(())
    }

    /// The configuration, unless it promises what this server does not do.
    fn finish(mut self) -> Result<Read, ConfigError> {
        for row in rows::all() {
            if let Some(why) = refusal(row, &self.config) {
                let place = self.places.last_set.get(row.name());
                return Err(place.expect("a value that is not the default has been set").error(why));
            }
        }
        if let Ok(dir) = self.config.persistence.dir.absolute() {
            self.config.persistence.dir = dir;
        }
        Ok(Read { config: self.config, places: self.places, shapes: self.shapes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::argv;
    use crate::config::scratch::Scratch;

    fn words(args: &[&str]) -> Vec<OsString> {
        args.iter().map(OsString::from).collect()
    }

    fn start(args: &[&str], environment: &[(&str, &str)], stdin: &str) -> Result<Loaded, ConfigError> {
        let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        load(&argv::split(&words(args)), environment, || Ok(stdin.as_bytes().to_vec()))
    }

    fn value(config: &Config, name: &str) -> String {
        String::from_utf8_lossy(&rows::find(name.as_bytes()).unwrap().value(config)).into_owned()
    }

    fn refused(args: &[&str]) -> String {
        start(args, &[], "").unwrap_err().to_string()
    }

    #[test]
    fn a_later_source_wins() {
        let dir = Scratch::new("order");
        let file = dir.write("a.conf", "hz 20\ntimeout 1\nmaxclients 1\ndatabases 1\n");
        let file = file.to_str().unwrap();
        let environment = [("KVSTASH_SERVER_TIMEOUT", "3"), ("KVSTASH_LIMITS_MAXCLIENTS", "3"), ("HOME", "/")];
        let loaded = start(&[file, "--maxclients", "4", "-"], &environment, "timeout 2\ndatabases 2\n").unwrap();
        let config = loaded.config;
        assert_eq!(value(&config, "hz"), "20");
        assert_eq!(value(&config, "databases"), "2");
        assert_eq!(value(&config, "timeout"), "3");
        assert_eq!(value(&config, "maxclients"), "4");
        assert_eq!(loaded.sources.file(), Some(Path::new(file)));
        assert!(config.persistence.dir.as_path().is_absolute());
    }

    #[test]
    fn save_points_add_up_as_in_redis() {
        let dir = Scratch::new("save");
        let save = |text: &str, args: &[&str]| {
            let file = dir.write("a.conf", text);
            let args: Vec<&str> = std::iter::once(file.to_str().unwrap()).chain(args.iter().copied()).collect();
            value(&start(&args, &[], "").unwrap().config, "save")
        };
        assert_eq!(save("", &[]), "3600 1 300 100 60 10000");
        assert_eq!(save("save 100 1\n", &[]), "100 1");
        assert_eq!(save("save 100 1\n", &["--save", "60", "1"]), "100 1 60 1");
        assert_eq!(save("save 100 1\nsave \"\"\nsave 60 1 70 2\n", &[]), "60 1 70 2");
        assert_eq!(save("save \"100 1\"\n", &[]), "100 1");
        assert_eq!(save("save 100 1\nsave\n", &[]), "100 1");
        assert_eq!(save("save\n", &[]), "");
        assert_eq!(save("save\nsave 100 1\n", &[]), "100 1");
        assert_eq!(save("save 100 1\n", &["--save"]), "");
        assert_eq!(save("", &["--save", "60 1", "--save", "70 1"]), "60 1 70 1");
    }

    #[test]
    fn environment_variables_must_be_right_if_they_are_ours() {
        let fails = |name: &str, value: &str| start(&[], &[(name, value)], "").unwrap_err().to_string();
        assert_eq!(
            fails("KVSTASH_SERVER_PROT", "1"),
            "the environment variable KVSTASH_SERVER_PROT, line 1: 'KVSTASH_SERVER_PROT=(redacted)': \
             There is no parameter 'prot' in the group 'server'"
        );
        assert!(fails("KVSTASH_SERVER_PORT", "x").ends_with("argument couldn't be parsed into an integer"));
        assert!(fails("KVSTASH_SERVER_PORT", "").ends_with("argument couldn't be parsed into an integer"));
        assert!(fails("KVSTASH_CLUSTER_ENABLED", "yes").contains("not supported yet"));
        let fine = [
            ("KVSTASH_TEST_SERVER", "x"),
            ("KVSTASH", "x"),
            ("KVSTASH_SERVER_BIND", "127.0.0.1 ::1"),
            ("KVSTASH_SERVER_REQUIREPASS", "two words"),
            ("KVSTASH_CLUSTER_NODE_TIMEOUT", "5"),
            ("KVSTASH_PERSISTENCE_SAVE", ""),
        ];
        let config = start(&[], &fine, "").unwrap().config;
        assert_eq!(config.server.bind.0, ["127.0.0.1", "::1"].map(crate::config::value::Text::from));
        assert_eq!(config.server.requirepass.as_bytes(), b"two words");
        assert_eq!(config.cluster.node_timeout, 5);
        assert!(config.persistence.save.is_empty());
    }

    #[test]
    fn promises_are_refused_with_their_place_unless_taken_back() {
        let dir = Scratch::new("refuse");
        let file = dir.write("a.conf", "# mine\ncluster-enabled yes\n");
        let file = file.to_str().unwrap();
        let error = start(&[file], &[], "").unwrap_err();
        assert_eq!((error.line, error.text.as_str()), (Some(2), "cluster-enabled yes"));
        assert!(error.why.starts_with("not supported yet"), "{}", error.why);
        assert!(start(&[file, "--cluster-enabled", "no"], &[], "").is_ok());
        for args in [
            &["--cluster-enabled", "yes"][..],
            &["--tls-port", "6380"],
            &["--aclfile", "users.acl"],
            &["--user", "alice", "on"],
            &["--user", "default", "on", ">secret", "~*", "+@all"],
        ] {
            assert!(refused(args).contains("not supported yet"), "{args:?}: {}", refused(args));
        }
        assert!(refused(&["--loadmodule", "x.so"]).contains("modules are not supported"));
        for args in [
            &["--replicaof", "no", "one"][..],
            &["--user", "default", "on", "nopass", "sanitize-payload", "~*", "&*", "+@all"],
            &["--list-max-ziplist-entries", "5"],
        ] {
            assert!(start(args, &[], "").is_ok(), "{args:?}");
        }
    }

    #[test]
    fn the_report_is_redis_s_with_the_source() {
        let error = start(&["--databases", "zzz"], &[], "").unwrap_err();
        assert_eq!(
            error.report("7.4.2"),
            "\n*** FATAL CONFIG FILE ERROR (Redis 7.4.2) ***\n\
             Reading the configuration file, at line 1 of the command line\n\
             >>> 'databases \"zzz\"'\nargument couldn't be parsed into an integer\n"
        );
        let error = start(&["/no/such.conf"], &[], "").unwrap_err();
        assert_eq!(
            error.report("7.4.2"),
            "Fatal error, can't open config file '/no/such.conf': No such file or directory\n"
        );
        let error = start(&["--requirepass", "hunter2", "extra"], &[], "").unwrap_err();
        assert!(!error.report("7.4.2").contains("hunter2"), "{error}");
    }

    #[test]
    fn what_fails_later_can_be_placed() {
        let dir = Scratch::new("places");
        let file = dir.write("a.conf", "# mine\nlogfile a.log\nrename-command GET secret\nlogfile b.log\n");
        let sources = start(&[file.to_str().unwrap(), "--hz", "20"], &[], "").unwrap().sources;
        let shown = |place: Option<&Place>| place.map(|place| format!("{}: {}", place.line, place.text));
        assert_eq!(shown(sources.place_of("logfile")).as_deref(), Some("4: logfile (redacted)"));
        assert_eq!(shown(sources.place_of_rename(0)).as_deref(), Some("3: rename-command (redacted)"));
        assert_eq!(sources.place_of("hz").map(|place| place.source.clone()), Some(Source::CommandLine));
        assert_eq!((sources.place_of("dir"), sources.place_of_rename(1)), (None, None));
    }

    #[test]
    fn the_configuration_of_an_installed_redis_loads() {
        let path = "/etc/redis/redis.conf";
        if std::fs::File::open(path).is_err() {
            return;
        }
        // Its directory may not be there for the user who runs the tests.
        let loaded = start(&[path], &[], "");
        match loaded {
            Ok(loaded) => assert_eq!(value(&loaded.config, "appendonly"), "no"),
            Err(error) => assert!(error.text.starts_with("dir "), "{error}"),
        }
    }
}
