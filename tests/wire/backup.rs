//! BACKUP: a set of files that is complete and stays as it is, whatever the server does meanwhile and afterwards.

use crate::support::{Conn, Server, TempDir, under_test, wait_for};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

fn start(more: &[&str]) -> Server {
    Server::start(
        &[&["--save", "", "--enable-debug-command", "yes", "--auto-aof-rewrite-percentage", "0"], more].concat(),
    )
}

fn state(kv: &mut Conn) -> String {
    kv.line("BACKUP STATUS").field("state").string()
}

fn error(kv: &mut Conn) -> String {
    kv.line("BACKUP STATUS").field("error").string()
}

fn reach(kv: &mut Conn, wanted: &str) {
    wait_for(wanted, LIMIT, || state(kv) == wanted);
}

fn files(kv: &mut Conn) -> Vec<PathBuf> {
    kv.line("BACKUP LIST").items().iter().map(|file| PathBuf::from(file.string())).collect()
}

fn in_dir(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn digest(kv: &mut Conn) -> String {
    kv.line("DEBUG DIGEST").string()
}

/// What a server finds in a backup that was restored into a new directory.
fn restored(backup: &Path) -> String {
    let dir = TempDir::new();
    let to = dir.path().join("appendonlydir");
    let done = Command::new(under_test()).arg("restore").arg(backup).arg("--to").arg(&to).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = dir.path().to_str().unwrap();
    let server = start(&["--appendonly", "yes", "--dir", text]);
    digest(&mut server.connect())
}

#[test]
fn a_backup_holds_what_was_written_until_it_was_sealed() {
    for appendonly in ["no", "yes"] {
        for policy in ["always", "everysec"] {
            let server = start(&["--appendonly", appendonly, "--appendfsync", policy]);
            let dir = server.dir.path().join("backupdir");
            let mut kv = server.connect();
            kv.talk("SET before 1\n SELECT 3\n RPUSH list a b => 2\n SELECT 0");
            kv.ok("BACKUP START");
            reach(&mut kv, "incrementing");
            assert_eq!(kv.info("backup_in_progress"), "1");
            assert_eq!(kv.info("aof_enabled"), if appendonly == "yes" { "1" } else { "0" });
            let base = files(&mut kv);
            assert_eq!(base.len(), 1, "only the base does not change any more");
            assert!(base[0].starts_with(&dir) && base[0].to_str().unwrap().ends_with(".base.rdb"), "{base:?}");
            kv.talk(
                "SET meanwhile 1\n MULTI\n SET one 1 => QUEUED\n INCR one => QUEUED\n EXEC => [OK 2]\n SELECT 5\n SET five 5\n SELECT 0",
            );
            kv.ok("BACKUP SEAL");
            let sealed = digest(&mut kv);
            assert_eq!(state(&mut kv), "sealed");
            assert_eq!(kv.info("backup_in_progress"), "0");
            let names = in_dir(&dir);
            let listed = files(&mut kv);
            assert_eq!(listed.len(), 3, "{listed:?}");
            assert_eq!(listed[0], base[0]);
            assert!(listed[2].ends_with("appendonly.aof.manifest"));
            assert_eq!(names.len(), 3, "{names:?}");
            let contents: Vec<Vec<u8>> = listed.iter().map(|file| fs::read(file).unwrap()).collect();
            // What comes later, rewrites too, changes nothing of it.
            kv.talk("SET after 1\n DEL before => 1");
            kv.line("BGREWRITEAOF");
            wait_for("the rewrite", LIMIT, || kv.info("aof_rewrite_in_progress") == "0");
            kv.ok("SET after 2");
            for (file, bytes) in listed.iter().zip(&contents) {
                assert_eq!(&fs::read(file).unwrap(), bytes, "{}", file.display());
            }
            assert_eq!(restored(&dir), sealed, "appendonly {appendonly}, {policy}");
            kv.ok("BACKUP CLEANUP");
            assert_eq!(state(&mut kv), "idle");
            assert_eq!(in_dir(&dir), Vec::<String>::new());
            assert!(files(&mut kv).is_empty());
        }
    }
}

/// The log goes on as if nothing had been: what it holds is all there after a crash.
#[test]
fn the_log_itself_loses_nothing() {
    let mut server = start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let mut kv = server.connect();
    kv.talk("SELECT 2\n SET a 1");
    kv.ok("BACKUP START");
    reach(&mut kv, "incrementing");
    kv.ok("SET b 1");
    kv.ok("BACKUP SEAL");
    kv.ok("SET c 1");
    let before = digest(&mut kv);
    server.kill_9();
    server.start_again();
    let mut kv = server.connect();
    assert_eq!(digest(&mut kv), before);
    // The backup outlives the server; a new one does not write over it.
    assert_eq!(state(&mut kv), "idle");
    let refused = kv.line("BACKUP START");
    assert!(refused.is_error() && refused.text().contains("is not empty"), "{refused:?}");
    assert_eq!(in_dir(&server.dir.path().join("backupdir")).len(), 3);
}

/// Where there is no log, nothing is written but the backup, and its trouble is nobody else's.
#[test]
fn a_backup_without_a_log_leaves_the_data_directory_alone() {
    let server = start(&["--appendonly", "no", "--appendfsync", "always"]);
    let mut kv = server.connect();
    kv.ok("SET a 1");
    kv.ok("BACKUP START");
    reach(&mut kv, "incrementing");
    let refused = kv.line("WAITAOF 1 0 0");
    assert!(refused.is_error(), "a start would not read it: {refused:?}");
    assert!(!server.dir.path().join("appendonlydir").exists());
    assert_eq!(kv.line("BGREWRITEAOF").text(), "Background append only file rewriting scheduled");
    assert_eq!(kv.info("aof_rewrite_scheduled"), "1");
    kv.ok("BACKUP SEAL");
    wait_for("the rewrite that waited", LIMIT, || {
        kv.info("aof_rewrite_scheduled") == "0" && kv.info("aof_rewrite_in_progress") == "0"
    });
    assert!(server.dir.path().join("appendonlydir/appendonly.aof.manifest").exists());
    kv.ok("BACKUP CLEANUP");
    kv.ok("BACKUP START");
    reach(&mut kv, "incrementing");
    kv.ok("CONFIG SET appendonly yes");
    assert_eq!(state(&mut kv), "failed");
    assert_eq!(error(&mut kv), "appendonly is started");
    wait_for("the first rewrite", LIMIT, || kv.info("aof_rewrite_in_progress") == "0");
    kv.talk("SET b 1\n WAITAOF 1 0 0 => [1 0]");
}

#[test]
fn commands_that_do_not_fit_are_refused() {
    let server = start(&["--appendonly", "yes"]);
    let dir = server.dir.path().join("backupdir");
    let mut kv = server.connect();
    let refused = |kv: &mut Conn, line: &str, text: &str| {
        let reply = kv.line(line);
        assert!(reply.is_error() && reply.text().contains(text), "{line}: {reply:?}");
    };
    let idle = kv.line("BACKUP STATUS");
    for (name, value) in [("state", "idle"), ("error", ""), ("start_time", "0"), ("end_time", "0")] {
        assert_eq!(idle.field(name).string(), value, "{name}");
    }
    refused(&mut kv, "BACKUP", "wrong number of arguments");
    refused(&mut kv, "BACKUP SEAL", "No backup ready to seal");
    refused(&mut kv, "BACKUP ABORT", "No backup in progress");
    kv.ok("BACKUP CLEANUP");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("other"), "somebody's").unwrap();
    refused(&mut kv, "BACKUP START", "is not empty");
    fs::remove_file(dir.join("other")).unwrap();
    kv.ok("BACKUP START");
    refused(&mut kv, "BACKUP START", "already in progress");
    refused(&mut kv, "BACKUP CLEANUP", "BACKUP ABORT");
    reach(&mut kv, "incrementing");
    fs::write(dir.join("other"), "somebody's").unwrap();
    kv.ok("BACKUP ABORT");
    assert_eq!(state(&mut kv), "failed");
    assert_eq!(error(&mut kv), "aborted by user");
    assert_eq!(kv.info("backup_last_status"), "err");
    assert_eq!(in_dir(&dir), ["other"], "what is somebody else's stays");
    refused(&mut kv, "BACKUP SEAL", "No backup ready to seal");
    refused(&mut kv, "BACKUP ABORT", "No backup in progress");
    fs::remove_file(dir.join("other")).unwrap();
    kv.ok("BACKUP START");
    reach(&mut kv, "incrementing");
    kv.ok("BACKUP SEAL");
    refused(&mut kv, "BACKUP START", "BACKUP CLEANUP");
    kv.ok("BACKUP CLEANUP");
    assert_eq!(kv.info("backup_last_status"), "ok");
}

/// It begins when the snapshot that is being taken is over, and after the transaction that it was asked for in.
#[test]
fn a_backup_waits_until_a_snapshot_can_be_taken() {
    let server = start(&["--appendonly", "no"]);
    let mut kv = server.connect();
    kv.talk("MSET a 1 b 2 c 3");
    kv.ok("CONFIG SET rdb-key-save-delay 2000000");
    kv.line("BGSAVE");
    kv.ok("BACKUP START");
    assert_eq!(state(&mut kv), "pending");
    assert_eq!(kv.info("backup_in_progress"), "1");
    assert!(files(&mut kv).is_empty());
    kv.ok("CONFIG SET rdb-key-save-delay 0");
    reach(&mut kv, "incrementing");
    kv.ok("BACKUP ABORT");
    kv.talk("MULTI\n SET x 1 => QUEUED\n BACKUP START => QUEUED\n SET y 1 => QUEUED\n EXEC => [OK OK OK]");
    reach(&mut kv, "incrementing");
    let sealed = digest(&mut kv);
    kv.ok("BACKUP SEAL");
    assert_eq!(restored(&server.dir.path().join("backupdir")), sealed, "all of the transaction");
    kv.talk("MULTI\n BACKUP CLEANUP => QUEUED\n BACKUP STATUS => QUEUED\n EXEC");
    wait_for("the files to go", LIMIT, || in_dir(&server.dir.path().join("backupdir")).is_empty());
}

#[test]
fn a_rewrite_that_goes_on_already_makes_the_base() {
    let server = start(&["--appendonly", "yes"]);
    let mut kv = server.connect();
    kv.talk("MSET a 1 b 2 c 3");
    kv.ok("CONFIG SET rdb-key-save-delay 2000000");
    kv.line("BGREWRITEAOF");
    kv.ok("SET d 4");
    kv.ok("BACKUP START");
    assert_eq!(state(&mut kv), "snapshotting");
    kv.ok("CONFIG SET rdb-key-save-delay 0");
    reach(&mut kv, "incrementing");
    assert_eq!(kv.info("aof_rewrites"), "1");
    kv.ok("SET e 5");
    kv.ok("BACKUP SEAL");
    let sealed = digest(&mut kv);
    kv.ok("SET f 6");
    assert_eq!(restored(&server.dir.path().join("backupdir")), sealed);
}

#[test]
fn a_backup_ends_with_the_log_it_needs() {
    let server = start(&["--appendonly", "yes"]);
    let dir = server.dir.path().join("backupdir");
    let mut kv = server.connect();
    kv.ok("SET a 1");
    kv.ok("BACKUP START");
    reach(&mut kv, "incrementing");
    kv.ok("CONFIG SET appendonly no");
    assert_eq!(state(&mut kv), "failed");
    assert_eq!(error(&mut kv), "appendonly is stopped");
    wait_for("the files to go", LIMIT, || in_dir(&dir).is_empty());
    // The same while the base is being written, with and without a log.
    kv.talk("MSET b 2 c 3");
    for appendonly in ["yes", "no"] {
        kv.ok(&format!("CONFIG SET appendonly {appendonly}"));
        wait_for("the log", LIMIT, || kv.info("aof_rewrite_in_progress") == "0");
        kv.ok("CONFIG SET rdb-key-save-delay 2000000");
        kv.ok("BACKUP START");
        reach(&mut kv, "snapshotting");
        kv.ok("BACKUP ABORT");
        kv.ok("CONFIG SET rdb-key-save-delay 0");
        assert_eq!(in_dir(&dir), Vec::<String>::new());
        wait_for("the rewrite", LIMIT, || kv.info("aof_rewrite_in_progress") == "0");
        assert_eq!(state(&mut kv), "failed");
        kv.ok("SET d 4");
    }
}

/// A server that stops takes a backup with it that is not sealed, and leaves one that is.
#[test]
fn a_server_that_stops() {
    for seals in [true, false] {
        for appendonly in ["no", "yes"] {
            let mut server = start(&["--appendonly", appendonly]);
            let dir = server.dir.path().join("backupdir");
            let mut kv = server.connect();
            kv.ok("SET a 1");
            kv.ok("BACKUP START");
            reach(&mut kv, "incrementing");
            if seals {
                kv.ok("BACKUP SEAL");
            }
            server.signal("TERM");
            assert!(server.wait_exit(LIMIT).success());
            assert_eq!(in_dir(&dir).len(), if seals { 3 } else { 0 }, "appendonly {appendonly}");
        }
    }
}

#[test]
fn a_sealed_backup_goes_when_its_time_is_over() {
    let server = start(&["--appendonly", "no"]);
    let dir = server.dir.path().join("backupdir");
    let mut kv = server.connect();
    kv.talk("CONFIG GET backup-sealed-ttl => [\"backup-sealed-ttl\" \"0\"]");
    kv.ok("CONFIG SET backup-sealed-ttl 1");
    kv.ok("BACKUP START");
    reach(&mut kv, "incrementing");
    kv.ok("BACKUP SEAL");
    assert_eq!(state(&mut kv), "sealed");
    wait_for("its end", LIMIT, || state(&mut kv) == "idle" && in_dir(&dir).is_empty());
}

/// A directory that cannot be written to ends the backup, and nothing else.
#[test]
fn a_backup_that_cannot_be_written() {
    for appendonly in ["no", "yes"] {
        let server = start(&["--appendonly", appendonly]);
        // A file is in the place of the directory.
        fs::write(server.dir.path().join("backupdir"), "").unwrap();
        let mut kv = server.connect();
        let refused = kv.line("BACKUP START");
        assert!(refused.is_error() && refused.text().contains("can't be read: Not a directory"), "{refused:?}");
        fs::remove_file(server.dir.path().join("backupdir")).unwrap();
        kv.ok("SET a 1");
        kv.ok("CONFIG SET rdb-key-save-delay 300000");
        kv.ok("BACKUP START");
        let dir = server.dir.path().join("backupdir");
        // A log of the backup's own has its directory at once.
        let _ = fs::remove_dir_all(&dir);
        fs::write(&dir, "").unwrap();
        reach(&mut kv, "failed");
        assert!(!error(&mut kv).is_empty());
        kv.ok("SET b 1");
        assert_eq!(kv.info("aof_last_write_status"), "ok");
        assert_eq!(kv.info("aof_enabled"), if appendonly == "yes" { "1" } else { "0" });
    }
}
