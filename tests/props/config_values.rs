//! Configuration: changes against a map of what was set; files rewritten against what people wrote in them; hostile
//! bytes at every door.

use kvstash::config::{Caller, Config, Flags, Invocation, Loaded, Mode, Row, argv, load, rows};
use quickcheck::{Arbitrary, Gen, quickcheck};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A parameter's name, or nearly one.
#[derive(Clone, Debug)]
struct Name(String);

/// A value that might suit some parameter.
#[derive(Clone, Debug)]
struct Value(Vec<u8>);

/// Parameters that say nothing about the machine the test runs on.
fn settable() -> Vec<&'static Row> {
    rows::all().iter().copied().filter(|row| !row.is(Flags::IMMUTABLE) && row.name() != "dir").collect()
}

impl Arbitrary for Name {
    fn arbitrary(g: &mut Gen) -> Name {
        let row = *g.choose(&settable()).expect("there are parameters");
        Name(match u8::arbitrary(g) % 16 {
            0 => row.name().to_uppercase(),
            1 => format!("{}x", row.name()),
            2 => (*g.choose(rows::all()).expect("there are parameters")).name().to_owned(),
            3..=5 => row.spec.aliases.first().copied().unwrap_or(row.name()).to_owned(),
            _ => row.name().to_owned(),
        })
    }
}

impl Arbitrary for Value {
    fn arbitrary(g: &mut Gen) -> Value {
        let words: [&str; 40] = [
            "yes",
            "no",
            "0",
            "1",
            "-1",
            "5",
            "10",
            "60",
            "100",
            "1000",
            "65535",
            "2147483648",
            "1kb",
            "3mb",
            "2gb",
            "50%",
            "always",
            "debug",
            "warning",
            "allkeys-lru",
            "noeviction",
            "swapdb",
            "clients",
            "ip",
            "hostname",
            "relative",
            "panic",
            "optional",
            "allchannels",
            "now force",
            "900 1 300 10",
            "normal 1mb 2mb 3",
            "1 2 3",
            "50 99.9",
            "KEA",
            "g$K",
            "127.0.0.1 ::1",
            "two words",
            "",
            "a.b-c",
        ];
        match u8::arbitrary(g) % 8 {
            0 => Value(Vec::arbitrary(g)),
            1 => Value(i64::arbitrary(g).to_string().into_bytes()),
            _ => Value(g.choose(&words).expect("there are words").as_bytes().to_vec()),
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Value>> {
        Box::new(self.0.shrink().map(Value))
    }
}

fn shown(config: &Config) -> BTreeMap<String, Vec<u8>> {
    let all = config.get([b"*".as_slice()]).into_iter();
    let hidden = rows::all().iter().filter(|row| row.is(Flags::HIDDEN));
    all.chain(hidden.map(|row| (row.name().to_owned(), row.value(config)))).collect()
}

quickcheck! {
    /// All of the pairs are in force, or everything is as before; what is named as changed is what is another value.
    fn changes_are_whole_and_can_be_undone(commands: Vec<Vec<(Name, Value)>>) -> bool {
        let mut config = Config::default();
        commands.iter().take(12).all(|pairs| {
            let before = (config.clone(), shown(&config));
            let pairs: Vec<(&[u8], &[u8])> =
                pairs.iter().take(6).map(|(name, value)| (name.0.as_bytes(), value.0.as_slice())).collect();
            match config.set(&pairs, Caller { loading: false, local: true }) {
                Err(_) => config == before.0,
                Ok(changes) => {
                    let now = shown(&config);
                    let different: Vec<_> =
                        rows::all().iter().filter(|r| now[r.name()] != before.1[r.name()]).map(|r| r.name()).collect();
                    let named: Vec<_> = changes.rows().iter().map(|row| row.name()).collect();
                    let kept = config.clone();
                    config.roll_back(changes);
                    let undone = config == before.0;
                    config = kept;
                    different == named && undone
                }
            }
        })
    }

    /// What GET shows, SET takes, and it means the same.
    fn a_shown_value_is_a_value(pairs: Vec<(Name, Value)>) -> bool {
        let mut config = Config::default();
        for (name, value) in &pairs {
            let _ = config.set(&[(name.0.as_bytes(), &value.0)], Caller::default());
        }
        settable().iter().filter(|row| !row.is(Flags::PROTECTED)).all(|row| {
            let value = row.value(&config);
            let mut copy = Config::default();
            let set = copy.set(&[(row.name().as_bytes(), &value)], Caller::default());
            assert!(set.is_ok() && row.value(&copy) == value, "{}: {:?}", row.name(), String::from_utf8_lossy(&value));
            true
        })
    }
}

/// A directory of one's own, gone afterwards.
struct Folder(PathBuf);

static FOLDERS: AtomicU32 = AtomicU32::new(0);

impl Folder {
    fn new() -> Folder {
        let count = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("kvstash-props-config-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn start(file: &Path) -> Result<Loaded, kvstash::config::ConfigError> {
    load(&argv::split(&[file.as_os_str().to_owned()]), [], || Ok(Vec::new()))
}

/// What somebody might have in a file.
#[derive(Clone, Debug)]
enum Line {
    Comment(u8),
    Blank,
    Setting(Name, Value),
    Rename(u8),
}

impl Arbitrary for Line {
    fn arbitrary(g: &mut Gen) -> Line {
        match u8::arbitrary(g) % 8 {
            0 => Line::Comment(u8::arbitrary(g)),
            1 => Line::Blank,
            2 => Line::Rename(u8::arbitrary(g)),
            _ => Line::Setting(Name::arbitrary(g), Value::arbitrary(g)),
        }
    }
}

/// Only lines that a start accepts, as the text of a classic file.
fn classic(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        let line = match line {
            Line::Comment(n) => format!("  # comment {n}\n"),
            Line::Blank => "\n".to_owned(),
            Line::Rename(n) => format!("rename-command c{n} \"\"\n"),
            Line::Setting(name, value) => {
                let mut quoted = Vec::new();
                kvstash::util::quote::push_repr(&mut quoted, &value.0);
                let line = format!("{}   {}\n", name.0, String::from_utf8_lossy(&quoted));
                let stdin = Invocation { mode: Mode::Serve, file: None, stdin: true, options: Vec::new() };
                let whole = format!("{text}{line}");
                if load(&stdin, [], || Ok(whole.into_bytes())).is_err() {
                    continue;
                }
                line
            }
        };
        text.push_str(&line);
    }
    text
}

/// What CONFIG REWRITE must leave alone. A comment behind a value is here without the value.
fn remarks(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| match line.find("# comment") {
            Some(at) => Some(&line[at..]),
            None => line.starts_with("rename-command").then_some(line),
        })
        .collect()
}

/// Starts, changes, rewrites, starts again: the same configuration, and every remark in its place.
fn survives(folder: &Folder, name: &str, text: &str, changes: &[(Name, Value)]) -> bool {
    let file = folder.0.join(name);
    std::fs::write(&file, text).unwrap();
    let Loaded { mut config, mut sources } = start(&file).unwrap();
    for (name, value) in changes {
        // TOML is text; bytes that are not would be refused, which has a test of its own.
        if std::str::from_utf8(&value.0).is_ok() {
            let _ = config.set(&[(name.0.as_bytes(), &value.0)], Caller::default());
        }
    }
    sources.rewrite(&config).unwrap();
    let new = std::fs::read_to_string(&file).unwrap();
    let again = start(&file).unwrap().config;
    assert_eq!(remarks(&new), remarks(text), "{new}");
    assert_eq!(shown(&again), shown(&config), "{new}");
    again.renamed_commands == config.renamed_commands
}

#[test]
fn a_rewritten_file_says_what_is_running() {
    fn classic_file(lines: Vec<Line>, changes: Vec<(Name, Value)>) -> bool {
        survives(&Folder::new(), "a.conf", &classic(&lines), &changes)
    }
    fn toml_file(lines: Vec<Line>, before: Vec<(Name, Value)>, changes: Vec<(Name, Value)>) -> bool {
        let folder = Folder::new();
        // A file with values, made by rewriting an empty one; then remarks of people between its lines.
        let file = folder.0.join("a.toml");
        std::fs::write(&file, "").unwrap();
        assert!(survives(&folder, "a.toml", "", &before));
        let mut lines = lines.iter();
        let mut text = String::new();
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            if let Some(Line::Comment(n)) = lines.next() {
                text.push_str(&format!("# comment {n}\n"));
            }
            text.push_str(&format!("{line}   # comment behind\n"));
        }
        survives(&folder, "a.toml", &text, &changes)
    }
    quickcheck::QuickCheck::new().tests(30).quickcheck(classic_file as fn(_, _) -> bool);
    quickcheck::QuickCheck::new().tests(30).quickcheck(toml_file as fn(_, _, _) -> bool);
}

/// A file as people write them, with some bytes changed, taken out, doubled.
#[derive(Clone, Debug)]
struct Damage(Vec<(usize, u8, u8)>);

impl Arbitrary for Damage {
    fn arbitrary(g: &mut Gen) -> Damage {
        let mut damage = Vec::arbitrary(g);
        damage.truncate(12);
        Damage(damage)
    }
}

fn damaged(text: &str, damage: &Damage) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for &(at, how, byte) in &damage.0 {
        if bytes.is_empty() {
            break;
        }
        let at = at % bytes.len();
        match how % 4 {
            0 => bytes[at] = byte,
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, byte),
            _ => {
                let piece = bytes[at..(at + usize::from(byte)).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    // Another file is not part of the question.
    String::from_utf8_lossy(&bytes).contains("include").then(Vec::new).unwrap_or(bytes)
}

const CLASSIC: &str = include_str!("../../configs/redis.conf");
const TOML: &str = "[server]\nport = 7000 # here\nbind = [\"127.0.0.1\", '::1']\nrename_command = { a = \"b\" }\n\
    [persistence]\nsave = \"900 1\"\n[limits]\nmaxmemory_clients = \"5%\"\nproto_max_bulk_len = 1_048_576\n\
    [observability]\nlatency_tracking_info_percentiles = [50, 99.9]\nlatency_tracking = true\n";

/// Accepted, or refused with a place in the text.
fn judged(result: Result<Loaded, kvstash::config::ConfigError>, text: &[u8]) -> bool {
    let lines = text.iter().filter(|&&b| b == b'\n').count() + 1;
    match result {
        Ok(_) => true,
        Err(error) => {
            let report = error.report("7.4.2");
            error.line.is_some_and(|line| (1..=lines).contains(&line)) && report.ends_with('\n')
        }
    }
}

#[test]
fn hostile_bytes_are_judged_at_every_door() {
    fn standard_input(damage: Damage, noise: Vec<u8>) -> bool {
        let invocation = Invocation { mode: Mode::Serve, file: None, stdin: true, options: Vec::new() };
        [damaged(CLASSIC, &damage), noise].into_iter().all(|text| {
            let copy = text.clone();
            judged(load(&invocation, [], || Ok(copy)), &text)
        })
    }
    fn toml(damage: Damage, noise: Vec<u8>) -> bool {
        let folder = Folder::new();
        let file = folder.0.join("a.toml");
        [damaged(TOML, &damage), noise].into_iter().all(|text| {
            std::fs::write(&file, &text).unwrap();
            judged(start(&file), &text)
        })
    }
    fn arguments(args: Vec<Vec<u8>>, names: Vec<(Name, Value)>) -> bool {
        let named = names.into_iter().flat_map(|(name, value)| [format!("--{}", name.0).into_bytes(), value.0]);
        let args: Vec<OsString> = named.chain(args).map(OsString::from_vec).collect();
        let invocation = argv::split(&args);
        invocation.file.is_some() || judged(load(&invocation, [], || Ok(Vec::new())), &invocation.options)
    }
    fn environment(pairs: Vec<(Name, Value)>) -> bool {
        let pairs: Vec<_> = pairs
            .into_iter()
            .map(|(name, value)| {
                let name = rows::find(name.0.as_bytes()).map_or("KVSTASH_SERVER_X".to_owned(), |row| row.env_name());
                (OsString::from(name), OsString::from_vec(value.0))
            })
            .collect();
        judged(load(&argv::split(&[]), pairs, || Ok(Vec::new())), b"")
    }
    let tests = || quickcheck::QuickCheck::new().tests(200);
    tests().quickcheck(standard_input as fn(_, _) -> bool);
    tests().quickcheck(toml as fn(_, _) -> bool);
    tests().quickcheck(arguments as fn(_, _) -> bool);
    tests().quickcheck(environment as fn(_) -> bool);
}
