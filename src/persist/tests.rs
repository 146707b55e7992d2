//! Saving and loading as a whole, with a list as the keyspace and a disk that fails when told to.

use super::*;
use crate::config::special::SavePoint;
use crate::cow::Heap;
use crate::rdb::{Access, Checksum, RdbError, RdbReader, Why};
use crate::sys::disk::{Disk, DiskFile, RealDisk};
use crate::types::Limits;
use crate::types::place::Maker;
use crate::types::string::StringRef;
use crate::types::value::{NewValue, ValueRef, Vetting};
use crate::util::hash::HashSeed;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stashed {
    value: Vec<u8>,
    expire_at_ms: Option<i64>,
    access: Access,
}

/// Databases as maps, and the sink and source of themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Maps(BTreeMap<u32, BTreeMap<Vec<u8>, Stashed>>);

impl Maps {
    fn sample(keys: u32) -> Maps {
        let mut maps = Maps::default();
        for i in 0..keys {
            let stashed = Stashed {
                value: if i % 2 == 0 { i.to_string().into_bytes() } else { b"text ".repeat(i as usize % 50) },
                expire_at_ms: (i % 3 == 0).then_some(4_000_000_000_000 + i64::from(i)),
                access: if i % 5 == 0 { Access::IdleSeconds(u64::from(i)) } else { Access::Unknown },
            };
            maps.0.entry(i % 4).or_default().insert(format!("key:{i}").into_bytes(), stashed);
        }
        maps
    }
}

impl SnapshotSource for Maps {
    fn databases(&self) -> Vec<DatabaseSize> {
        let size = |(&index, db): (&u32, &BTreeMap<_, Stashed>)| DatabaseSize {
            index,
            keys: db.len() as u64,
            expiring: db.values().filter(|stashed| stashed.expire_at_ms.is_some()).count() as u64,
        };
        self.0.iter().map(size).collect()
    }

    fn visit(&self, index: u32, each: &mut dyn FnMut(Item<'_>) -> Result<(), SaveError>) -> Result<(), SaveError> {
        self.0[&index].iter().try_for_each(|(key, stashed)| {
            each(Item {
                key,
                expire_at_ms: stashed.expire_at_ms,
                access: stashed.access,
                value: ValueRef::String(StringRef::Bytes(&stashed.value)),
            })
        })
    }
}

#[derive(Default)]
struct MapSink {
    maps: Maps,
    notes: Vec<String>,
}

impl LoadSink for MapSink {
    fn entry(&mut self, entry: &LoadEntry<'_>, from: &mut RdbReader<'_>) -> Result<Stored, RdbError> {
        let mut heap = Heap::new();
        let mut maker = Maker { heap: &mut heap, limits: Limits::default(), seed: HashSeed::fixed(1) };
        let NewValue::String(value) = load_value(entry.kind, from, Vetting::Hostile, &mut maker)? else {
            panic!("these files hold strings")
        };
        let value = value.into_bytes();
        let stashed = Stashed { value, expire_at_ms: entry.expire_at_ms, access: entry.access };
        match self.maps.0.entry(entry.db).or_default().insert(entry.key.to_vec(), stashed) {
            None => Ok(Stored::Yes),
            Some(_) => Ok(Stored::Duplicate),
        }
    }

    fn note(&mut self, note: LoadNote) {
        self.notes.push(note.to_string());
    }
}

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = std::env::temp_dir().join(format!("kvstash-persist-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("dump.rdb")
    }

    fn names(&self) -> Vec<String> {
        RealDisk.list(&self.0).unwrap()
    }

    fn settings(&self) -> SaveSettings {
        SaveSettings {
            path: self.file(),
            temp: temp_path(&self.file(), ""),
            version: None,
            compression: true,
            checksum: true,
            incremental_sync: true,
            aux: vec![("redis-ver".to_owned(), "7.4.2".to_owned()), ("odd".to_owned(), "1".to_owned())],
            functions: Vec::new(),
            commands: None,
            stream: None,
        }
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Loads a file, all of it before anything else happens. `Ok(None)`: there is none, which is how an empty server starts.
fn load_file(
    disk: &dyn Disk,
    path: &Path,
    settings: &LoadSettings,
    sink: &mut dyn LoadSink,
) -> Result<Option<Loaded>, LoadError> {
    let Some(mut loader) = Loader::open_file(disk, path, settings)? else { return Ok(None) };
    loop {
        if let Step::Done(loaded) = loader.step(sink).map_err(|fault| LoadError::file(path, fault))? {
            return Ok(Some(loaded));
        }
    }
}

fn load(path: &Path, settings: &LoadSettings) -> Result<(Maps, Loaded, Vec<String>), LoadError> {
    let mut sink = MapSink::default();
    let loaded = load_file(&RealDisk, path, settings, &mut sink)?.expect("the file is there");
    Ok((sink.maps, loaded, sink.notes))
}

fn at(now_ms: i64, dirty: u64) -> Moment {
    Moment { now_ms, dirty }
}

#[test]
fn what_is_saved_is_loaded() {
    let dir = Dir::new("round");
    let maps = Maps::sample(1000);
    for (version, checksum, compression) in [(None, true, true), (Some(10), false, false), (Some(12), true, false)] {
        let settings = SaveSettings { version, checksum, compression, ..dir.settings() };
        let mut saver = Saver::new(Arc::new(RealDisk), 1000);
        let saved = saver.save_now(&maps, &settings, at(5000, 9)).unwrap();
        assert_eq!((saved.keys, saved.version), (1000, version.unwrap_or(11)));
        assert_eq!(saved.bytes, std::fs::metadata(dir.file()).unwrap().len());
        assert_eq!(dir.names(), ["dump.rdb"]);
        let (back, loaded, notes) = load(&dir.file(), &LoadSettings::default()).unwrap();
        assert_eq!(back, maps);
        assert_eq!(loaded.counts, LoadCounts { loaded: 1000, expired: 0, empty: 0 });
        assert_eq!(loaded.checksum, if checksum { Checksum::Verified } else { Checksum::Disabled });
        assert_eq!(notes[..2], ["Loading RDB produced by version 7.4.2", "Unrecognized RDB AUX field: 'odd'"]);
        assert_eq!(saver.changes(12), 3);
        assert_eq!(saver.last_save_ms(), 5000);
    }
}

#[test]
fn the_thread_saves_and_reports() {
    let dir = Dir::new("thread");
    let mut saver = Saver::new(Arc::new(RealDisk), 0);
    let (tell, told) = mpsc::channel();
    let start = |saver: &mut Saver, dirty| {
        let tell = tell.clone();
        let done = move |outcome| tell.send(outcome).unwrap();
        saver.start(Box::new(Maps::sample(100)), dir.settings(), at(10_000, dirty), done)
    };
    start(&mut saver, 7).unwrap();
    assert!(matches!(start(&mut saver, 8), Err(StartError::AlreadyRunning)));
    assert!(saver.status(at(12_500, 7), 0).bgsave_in_progress);
    assert_eq!(saver.status(at(12_500, 7), 0).current_bgsave_seconds, 2);
    saver.note_preserved(77);
    saver.note_preserved(60);
    assert_eq!(
        (saver.status(at(12_500, 7), 60).current_cow_bytes, saver.status(at(12_500, 7), 60).peak_cow_bytes),
        (60, 77)
    );
    let outcome = told.recv_timeout(LIMIT).unwrap();
    assert!(saver.finish(&outcome, 13_000, 0), "the snapshot was gone when the report came");
    assert_eq!(outcome.result.unwrap().keys, 100);
    let status = saver.status(at(14_000, 9), 0);
    assert_eq!((status.changes_since_last_save, status.last_save_time, status.saves), (2, 13, 1));
    assert_eq!((status.last_bgsave_seconds, status.current_bgsave_seconds), (3, -1));
    assert_eq!((status.last_bgsave_ok, status.bgsave_in_progress, status.last_cow_bytes), (true, false, 77));
    saver.reset_count();
    assert_eq!(saver.status(at(14_000, 9), 0).saves, 0);
    assert_eq!(load(&dir.file(), &LoadSettings::default()).unwrap().0, Maps::sample(100));
}

#[test]
fn an_abort_leaves_the_old_file_and_no_other() {
    let dir = Dir::new("abort");
    let mut saver = Saver::new(Arc::new(RealDisk), 0);
    saver.save_now(&Maps::sample(3), &dir.settings(), at(0, 0)).unwrap();
    for wait in [false, true] {
        saver.set_key_delay(10_000_000);
        let (tell, told) = mpsc::channel();
        let done = move |outcome| drop(tell.send(outcome));
        saver.start(Box::new(Maps::sample(50)), dir.settings(), at(1000, 5), done).unwrap();
        while saver.status(at(1000, 5), 0).keys_processed == 0 {
            std::thread::yield_now();
        }
        let status = saver.status(at(1000, 5), 0);
        assert_eq!((status.keys_processed, status.keys_total), (1, 50));
        assert_eq!(status.percent(), 2.0);
        assert_eq!(dir.names().len(), 2);
        if wait {
            saver.abort_and_wait();
        } else {
            assert!(saver.abort());
        }
        let outcome = told.recv_timeout(LIMIT).unwrap();
        assert!(matches!(outcome.result, Err(SaveError::Aborted)));
        assert_eq!(saver.finish(&outcome, 2000, 0), !wait);
        assert!(!saver.is_running());
        assert!(saver.last_ok(), "an abort is no failure");
        assert_eq!(saver.changes(5), 5);
        assert_eq!(dir.names(), ["dump.rdb"]);
    }
    assert_eq!(load(&dir.file(), &LoadSettings::default()).unwrap().0, Maps::sample(3));
}

#[test]
fn a_delay_that_ends_ends_the_save_at_once() {
    let dir = Dir::new("delay");
    let mut saver = Saver::new(Arc::new(RealDisk), 0);
    saver.set_key_delay(60_000_000);
    let (tell, told) = mpsc::channel();
    saver.start(Box::new(Maps::sample(50)), dir.settings(), at(0, 0), move |o| tell.send(o).unwrap()).unwrap();
    assert!(told.recv_timeout(Duration::from_millis(50)).is_err());
    saver.set_key_delay(0);
    assert_eq!(told.recv_timeout(LIMIT).unwrap().result.unwrap().keys, 50);
}

#[test]
fn a_save_on_the_main_thread_ends_an_older_one() {
    let dir = Dir::new("overtaken");
    let mut saver = Saver::new(Arc::new(RealDisk), 0);
    saver.set_key_delay(10_000_000);
    let (tell, told) = mpsc::channel();
    let old = Maps::sample(50);
    saver.start(Box::new(old), dir.settings(), at(1000, 5), move |r| tell.send(r).unwrap()).unwrap();
    let now = SaveSettings { temp: temp_path(&dir.file(), "fg-"), ..dir.settings() };
    saver.save_now(&Maps::default(), &now, at(2000, 9)).unwrap();
    let outcome = told.recv_timeout(LIMIT).unwrap();
    assert!(matches!(outcome.result, Err(SaveError::Aborted)));
    assert!(saver.finish(&outcome, 3000, 0));
    assert_eq!((saver.changes(9), saver.last_save_ms()), (0, 2000));
    assert_eq!(dir.names(), ["dump.rdb"]);
    assert_eq!(load(&dir.file(), &LoadSettings::default()).unwrap().0, Maps::default());
}

#[test]
fn save_points_and_retries() {
    let points = [SavePoint { seconds: 900, changes: 1 }, SavePoint { seconds: 60, changes: 100 }];
    let mut saver = Saver::new(Arc::new(RealDisk), 0);
    assert_eq!(saver.due_point(&points, at(60_000, 100)), None);
    assert_eq!(saver.due_point(&points, at(61_000, 99)), None);
    assert_eq!(saver.due_point(&points, at(61_000, 100)), Some(points[1]));
    assert_eq!(saver.due_point(&points, at(901_000, 0)), None);
    assert_eq!(saver.due_point(&points, at(901_000, 1)), Some(points[0]));

    let (tell, told) = mpsc::channel();
    let missing = Dir::new("missing").settings();
    saver.start(Box::new(Maps::sample(1)), missing, at(901_000, 1), move |o| tell.send(o).unwrap()).unwrap();
    saver.schedule();
    assert!(!saver.scheduled_is_due(902_000));
    let outcome = told.recv_timeout(LIMIT).unwrap();
    assert!(matches!(&outcome.result, Err(SaveError::Disk { operation: "create", .. })), "{outcome:?}");
    saver.finish(&outcome, 902_000, 0);
    assert!(!saver.last_ok());
    assert_eq!(saver.due_point(&points, at(906_000, 1)), None);
    assert!(!saver.scheduled_is_due(906_000));
    assert_eq!(saver.due_point(&points, at(906_001, 1)), Some(points[0]));
    assert!(saver.scheduled_is_due(906_001));
}

/// Fails at the n-th step, and from then on.
struct FailingDisk {
    left: Arc<AtomicI64>,
}

struct FailingFile {
    inner: Box<dyn DiskFile>,
    left: Arc<AtomicI64>,
}

fn step(left: &AtomicI64) -> io::Result<()> {
    if left.fetch_sub(1, SeqCst) <= 0 { Err(io::Error::other("out of steps")) } else { Ok(()) }
}

impl Disk for FailingDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        step(&self.left)?;
        Ok(Box::new(FailingFile { inner: RealDisk.create(path)?, left: Arc::clone(&self.left) }))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.open(path)
    }
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.append(path)
    }
    fn edit(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.edit(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        step(&self.left)?;
        RealDisk.rename(from, to)
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        step(&self.left)?;
        RealDisk.link(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        step(&self.left)?;
        RealDisk.sync_dir(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.create_dir(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }
    fn exists(&self, path: &Path) -> bool {
        RealDisk.exists(path)
    }
}

impl io::Read for FailingFile {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.inner.read(out)
    }
}

impl io::Write for FailingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        step(&self.left)?;
        self.inner.write(&bytes[..bytes.len().min(3000)])
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Seek for FailingFile {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

impl DiskFile for FailingFile {
    fn sync(&mut self) -> io::Result<()> {
        step(&self.left)?;
        self.inner.sync()
    }
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }
    fn try_clone(&self) -> io::Result<Box<dyn DiskFile>> {
        self.inner.try_clone()
    }
    fn write_back(&self, offset: u64, len: u64) {
        self.inner.write_back(offset, len);
    }
}

#[test]
fn a_disk_that_fails_at_any_step_leaves_a_complete_file() {
    let dir = Dir::new("failing");
    let (old, new) = (Maps::sample(3), Maps::sample(400));
    let mut failures = Vec::new();
    for steps in 0.. {
        Saver::new(Arc::new(RealDisk), 0).save_now(&old, &dir.settings(), at(0, 0)).unwrap();
        let mut saver = Saver::new(Arc::new(FailingDisk { left: Arc::new(AtomicI64::new(steps)) }), 0);
        let outcome = saver.save_now(&new, &dir.settings(), at(1000, 1));
        assert_eq!(dir.names(), ["dump.rdb"], "after {steps} steps");
        let found = load(&dir.file(), &LoadSettings::default()).unwrap().0;
        match outcome {
            Err(SaveError::Disk { operation, .. }) => {
                // The directory is synced after the rename: the new file is there, though not for certain.
                assert_eq!(found, if operation == "sync directory" { new.clone() } else { old.clone() });
                failures.push(operation);
                assert_eq!(saver.changes(1), 1);
            }
            Err(other) => panic!("{other}"),
            Ok(_) => {
                assert_eq!(found, new);
                break;
            }
        }
    }
    failures.dedup();
    assert_eq!(failures, ["create", "write", "sync", "rename", "sync directory"]);
}

#[test]
fn loading_keeps_the_rules() {
    let dir = Dir::new("rules");
    assert!(load_file(&RealDisk, &dir.file(), &LoadSettings::default(), &mut MapSink::default()).unwrap().is_none());

    let maps = Maps::sample(300);
    Saver::new(Arc::new(RealDisk), 0).save_now(&maps, &dir.settings(), at(0, 0)).unwrap();
    let late = LoadSettings { expired_before_ms: Some(4_000_000_000_100), ..LoadSettings::default() };
    let (back, loaded, _) = load(&dir.file(), &late).unwrap();
    assert_eq!(loaded.counts, LoadCounts { loaded: 266, expired: 34, empty: 0 });
    assert!(!back.0[&0].contains_key(&b"key:96"[..]) && back.0[&2].contains_key(&b"key:102"[..]));

    let few = LoadSettings { databases: 3, ..LoadSettings::default() };
    let fault = load(&dir.file(), &few).unwrap_err().to_string();
    assert!(fault.contains("configured to handle more than 3 databases"), "{fault}");

    // A step at a time: each ends with the key that its bytes end in, and all of them come to the same.
    let small = LoadSettings { step_bytes: 100, ..LoadSettings::default() };
    let mut loader = Loader::open_file(&RealDisk, &dir.file(), &small).unwrap().expect("the file is there");
    let (mut sink, mut before, mut steps) = (MapSink::default(), 0, 0);
    while loader.step(&mut sink).unwrap() == Step::More {
        let progress = loader.progress();
        assert!(progress.bytes >= before + 100 && progress.bytes <= progress.total_bytes);
        (before, steps) = (progress.bytes, steps + 1);
    }
    assert!(steps > 50, "{steps} steps");
    assert_eq!(loader.progress().counts.loaded, 300);
}

fn load_bytes(bytes: &[u8]) -> Result<(Loaded, MapSink), RdbError> {
    let mut sink = MapSink::default();
    let loaded = load_stream(bytes, Some(bytes.len() as u64), &LoadSettings::default(), &mut sink)?;
    Ok((loaded, sink))
}

#[test]
fn what_cannot_be_used_is_skipped_or_named() {
    let fault = load_bytes(b"REDIS0011\xfe\x00\x00\x01k\x01v\x00\x01k\x01w\xff\0\0\0\0\0\0\0\0").err().unwrap();
    assert_eq!((fault.key.as_deref(), &fault.why), (Some(&b"k"[..]), &Why::DuplicateKey));

    let fault = load_bytes(b"REDIS0011\xfe\x00\x07\x04data\x01\x01\x01a").err().unwrap();
    assert_eq!(
        fault.to_string(),
        "Internal error in RDB reading offset 17, value (type 7 module-value) of key 'data' -> \
         values of type 7 (module-value) are not supported"
    );

    let file = b"REDIS0011\xf5\x1b#!lua name=mylib\nreturn 'x'\
        \xf7\x81\x00\x00\x00\x00\x00\x00\x04\x00\x02\x01\x05\x02hi\x00\
        \xfa\x03%me\x01x\xfa\x07repl-id\x01x\xff\0\0\0\0\0\0\0\0";
    let (loaded, sink) = load_bytes(file).unwrap();
    assert_eq!(loaded.counts, LoadCounts::default());
    assert_eq!(
        sink.notes,
        [
            "Function library in RDB skipped, functions are not supported: #!lua name=mylib",
            "Module data in RDB skipped, modules are not supported: 'AAAAAAAAB'",
            "RDB file was saved with checksum disabled: no check performed.",
        ]
    );
}

fn check_lines(bytes: &[u8]) -> (u8, String) {
    let dir = Dir::new(&format!("check-{}", crate::util::crc64::crc64(0, bytes)));
    std::fs::write(dir.file(), bytes).unwrap();
    let mut out = Vec::new();
    let code = check::run(&RealDisk, &dir.file(), 4_000_000_000_004, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    (code, text.replace(dir.file().to_str().unwrap(), "FILE"))
}

#[test]
fn the_checker_speaks_as_its_model() {
    let dir = Dir::new("checked");
    Saver::new(Arc::new(RealDisk), 0).save_now(&Maps::sample(9), &dir.settings(), at(0, 0)).unwrap();
    let good = std::fs::read(dir.file()).unwrap();
    let (code, text) = check_lines(&good);
    assert_eq!(code, 0);
    let end = good.len();
    assert_eq!(
        text,
        format!(
            "[offset 0] Checking RDB file FILE\n\
             [offset 26] AUX FIELD redis-ver = '7.4.2'\n\
             [offset 33] AUX FIELD odd = '1'\n\
             [offset 35] Selecting DB ID 0\n\
             [offset 78] Selecting DB ID 1\n\
             [offset 117] Selecting DB ID 2\n\
             [offset 149] Selecting DB ID 3\n\
             [offset {end}] Checksum OK\n\
             [offset {end}] \\o/ RDB looks OK! \\o/\n\
             [info] 9 keys read\n[info] 3 expires\n[info] 2 already expired\n[info] 0 subexpires\n"
        )
    );

    let mut bad = good.clone();
    bad[end - 1] ^= 1;
    let (code, text) = check_lines(&bad);
    assert_eq!(code, 1);
    assert!(text.contains(&format!("--- RDB ERROR DETECTED ---\n[offset {}] RDB CRC error", end - 8)), "{text}");
    assert!(text.contains("[additional info] While doing: check-sum\n[info] 9 keys read\n"), "{text}");

    let (code, text) = check_lines(b"REDIS0011\xfe\x00\x00\x02kk\x09abc");
    assert_eq!(code, 1);
    assert!(
        text.ends_with(
            "[offset 11] Selecting DB ID 0\n--- RDB ERROR DETECTED ---\n\
             [offset 19] Unexpected EOF reading RDB file\n\
             [additional info] While doing: read-object-value\n[additional info] Reading key 'kk'\n\
             [additional info] Reading type 0 (string)\n\
             [info] 1 keys read\n[info] 0 expires\n[info] 0 already expired\n[info] 0 subexpires\n"
        ),
        "{text}"
    );

    let mut out = Vec::new();
    assert_eq!(check::run(&RealDisk, &dir.0.join("none"), 0, &mut out).unwrap(), 1);
}
