//! Power failures and failing disks, at every operation of every way in which the append-only file and a save use one.
//!
//! A scenario is run once to count its operations. Then it is run again for each of them, with the power failing there,
//! or with that one failing and the power later. What several seeds make of what was not synced is started, and has to
//! be what the policy promises: all that somebody was told is safe, nothing that was never written, no hole.
//!
//! `KVSTASH_CRASH_SEEDS` is how many outcomes of each crash are looked at.

use crate::disk::CrashDisk;
use crate::log::{Keeping, Ledger, Log, Number, check_backup, number_of, save_settings};
use kvstash::persist::aof::SyncPolicy::{self, *};
use kvstash::persist::{SaveControl, save_file};
use kvstash::util::rng::Rng;
use std::path::Path;

fn seeds() -> u64 {
    std::env::var("KVSTASH_CRASH_SEEDS").map_or(4, |text| text.parse().expect("a number of seeds"))
}

fn keeping(policy: SyncPolicy, annotations: bool) -> Keeping {
    Keeping { policy, annotations, keeps_history: false }
}

/// What is done on an empty disk, and the log at its end.
type Scenario<'a> = &'a dyn Fn(&CrashDisk, &Ledger) -> Option<Log>;

/// Looks at every crash of a scenario, and at every crash after every fault of it.
fn at_every_operation(name: &str, scenario: Scenario<'_>) {
    let whole = CrashDisk::default();
    let mut log = scenario(&whole, &Ledger::default()).expect("without a fault it starts");
    let operations = whole.operations();
    log.recover();
    assert!(log.has_recovered(), "{name}, without any fault: {:?}", log.told);
    assert!(operations > 5, "{name}: {operations} operations are none");
    for stop in 1..=operations {
        let (disk, ledger) = (CrashDisk::default(), Ledger::default());
        disk.stop_at(stop);
        let log = scenario(&disk, &ledger);
        look(name, &disk, log.as_ref(), &ledger, stop);
    }
    let mut dice = Rng::from_seed(1);
    for fault in 1..=operations {
        for round in 0..seeds() {
            let (disk, ledger) = (CrashDisk::default(), Ledger::default());
            disk.fail_at(fault);
            if round > 0 {
                disk.stop_at(fault + 1 + dice.below(operations - fault + 20));
            }
            let mut log = scenario(&disk, &ledger);
            if let Some(log) = &mut log {
                log.recover();
                if !disk.is_stopped() {
                    assert!(log.has_recovered(), "{name}, {}: {:?}", disk.log(), log.told);
                }
            }
            look(name, &disk, log.as_ref(), &ledger, round + 1000 * fault);
        }
    }
}

/// Starts what crashes of a disk leave, goes on, and crashes again.
fn look(name: &str, disk: &CrashDisk, log: Option<&Log>, ledger: &Ledger, first_seed: u64) {
    let told = || log.map_or(String::new(), |log| log.told.join("\n"));
    for seed in first_seed * 100..first_seed * 100 + seeds() {
        let found = disk.after_crash(seed);
        let before = found.listing();
        let what = |problem: String| -> ! {
            panic!("{name}: {}seed {seed}: {problem}\n{}\nfiles:\n{before}", disk.log(), told())
        };
        for has_own_log in [true, false] {
            if name.starts_with(if has_own_log { OWN } else { SHARED })
                && let Err(problem) = check_backup(&found, keeping(Always, true), ledger, has_own_log)
            {
                what(problem);
            }
        }
        let later = Ledger::default();
        later.promise(ledger.promised());
        later.write(ledger.written());
        let mut log = match Log::start(&found, keeping(Always, seed.is_multiple_of(2)), &later) {
            Ok(log) => log,
            Err(error) => what(format!("it does not start: {error}")),
        };
        found.stop_at(found.operations() + 1 + seed % 7);
        log.write(2);
        log.write(1);
        if let Err(error) = Log::start(&found.after_crash(seed), keeping(Always, true), &later) {
            what(format!("then it does not start: {error}"));
        }
    }
}

/// The names of scenarios with a backup that has a log of its own,
const OWN: &str = "a backup alone";
/// and one that shares files with the log.
const SHARED: &str = "a backup beside a log";

/// A file of before there were manifests holds so many.
const OLD: u64 = 5;

fn each_way(name: &str, scenario: impl Fn(&CrashDisk, Keeping, &Ledger) -> Option<Log>) {
    for policy in [Always, EverySecond, Never] {
        for annotations in [true, false] {
            let keeping = keeping(policy, annotations);
            let name = format!("{name}, {policy:?}, annotations: {annotations}");
            at_every_operation(&name, &|disk, ledger| scenario(disk, keeping, ledger));
        }
    }
}

#[test]
fn appends() {
    each_way("appends", |disk, keeping, ledger| {
        let mut log = Log::start(disk, keeping, ledger).ok()?;
        for units in [1, 2, 3, 1, 5] {
            log.write(units);
            log.pass(500);
        }
        log.settle();
        log.write(2);
        Some(log)
    });
}

#[test]
fn rewrites() {
    each_way("rewrites", |disk, keeping, ledger| {
        let mut log = Log::start(disk, keeping, ledger).ok()?;
        log.write(3);
        log.begin_rewrite();
        log.write(2);
        log.pass(1000);
        log.end_rewrite();
        log.write(2);
        log.rewrite();
        log.write(1);
        Some(log)
    });
}

#[test]
fn rewrites_that_fail() {
    each_way("rewrites that fail", |disk, keeping, ledger| {
        let mut log = Log::start(disk, keeping, ledger).ok()?;
        log.write(2);
        log.begin_rewrite();
        log.write(1);
        log.lose_base();
        log.write(1);
        log.begin_rewrite(); // and nothing comes of it
        log.write(1);
        log.pass(1000);
        log.rewrite();
        log.write(2);
        Some(log)
    });
}

#[test]
fn switched_on_and_off_and_on() {
    each_way("on and off", |disk, keeping, ledger| {
        let mut log = Log::off(disk, keeping, ledger);
        log.write(3);
        log.enable();
        log.begin_rewrite();
        log.write(2);
        log.pass(1000);
        log.end_rewrite();
        log.write(2);
        log.disable();
        log.write(1);
        log.rewrite();
        log.enable();
        log.begin_rewrite();
        log.write(1);
        log.end_rewrite();
        log.write(1);
        Some(log)
    });
}

/// Off and on again while a rewrite of the first time is not through.
#[test]
fn switched_off_in_the_middle() {
    each_way("off in the middle", |disk, keeping, ledger| {
        let mut log = Log::start(disk, keeping, ledger).ok()?;
        log.write(3);
        log.begin_rewrite();
        log.write(1);
        log.disable();
        log.write(1);
        log.enable();
        log.begin_rewrite();
        log.write(1);
        log.disable();
        log.enable();
        log.rewrite();
        log.write(1);
        Some(log)
    });
}

#[test]
fn stopped_and_started() {
    each_way("stopped and started", |disk, keeping, ledger| {
        let mut log = Log::start(disk, keeping, ledger).ok()?;
        log.write(3);
        log.close()?;
        let mut log = Log::start(disk, keeping, ledger).ok()?;
        log.write(2);
        log.rewrite();
        log.close()?;
        let mut log = Log::start(disk, keeping, ledger).ok()?;
        log.write(1);
        Some(log)
    });
}

#[test]
fn history_is_collected_late() {
    each_way("history", |disk, keeping, ledger| {
        let mut log = Log::start(disk, Keeping { keeps_history: true, ..keeping }, ledger).ok()?;
        log.write(2);
        log.rewrite();
        log.write(1);
        log.rewrite();
        log.configure(keeping);
        log.write(1);
        log.configure(keeping);
        Some(log)
    });
}

#[test]
fn checksums_come_and_go() {
    each_way("checksums", |disk, keeping, ledger| {
        let mut log = Log::start(disk, keeping, ledger).ok()?;
        for annotations in [false, true, false] {
            log.write(2);
            log.configure(Keeping { annotations, ..keeping });
            log.write(1);
            log.write(1);
        }
        Some(log)
    });
}

/// A single file as before Redis 7 becomes the base.
#[test]
fn an_old_file_is_taken_over() {
    let old: String = (1..=OLD).map(|number| format!("*2\r\n$1\r\nN\r\n$1\r\n{number}\r\n")).collect();
    each_way("an old file", |disk, keeping, ledger| {
        disk.put(Path::new("a"), old.as_bytes());
        ledger.promise(OLD);
        let mut log = Log::start(disk, keeping, ledger).ok()?;
        log.write(2);
        log.rewrite();
        log.write(1);
        Some(log)
    });
}

/// Before it is sealed there is no backup; then there is all of it, and it stays, whatever becomes of the log.
#[test]
fn backups_beside_a_log() {
    each_way(SHARED, |disk, keeping, ledger| {
        let mut log = Log::start(disk, keeping, ledger).ok()?;
        log.write(3);
        log.rewrite();
        log.pin();
        log.write(2);
        log.pass(1000);
        log.seal();
        log.write(1);
        log.rewrite();
        log.write(2);
        Some(log)
    });
}

#[test]
fn backups_without_a_log() {
    each_way(OWN, |disk, keeping, ledger| {
        let mut log = Log::off(disk, keeping, ledger);
        log.write(3);
        log.open_backup();
        log.begin_rewrite();
        log.write(2);
        log.end_rewrite();
        log.write(2);
        log.pass(1000);
        log.write(1);
        log.seal();
        log.write(2);
        Some(log)
    });
}

/// Removed, there is nothing, or all that there was.
#[test]
fn backups_that_are_removed() {
    each_way(SHARED, |disk, keeping, ledger| {
        let mut log = Log::start(disk, keeping, ledger).ok()?;
        log.write(3);
        log.rewrite();
        log.pin();
        log.write(2);
        log.seal();
        log.discard();
        log.write(1);
        log.rewrite();
        log.pin();
        log.write(1);
        log.seal();
        Some(log)
    });
}

/// BGSAVE: the old file or the new one, whole.
#[test]
fn saves() {
    let path = Path::new("dump.rdb");
    let save = |disk: &CrashDisk, number| {
        save_file(disk, &Number(number), &save_settings("dump.rdb"), &SaveControl::default()).is_ok()
    };
    let whole = CrashDisk::default();
    assert!(save(&whole, 1) && save(&whole, 2));
    let operations = whole.operations();
    for at in 1..=operations {
        for fails in [false, true] {
            let disk = CrashDisk::default();
            if fails {
                disk.fail_at(at)
            } else {
                disk.stop_at(at)
            }
            let saved: Vec<u64> = (1..=2).filter(|number| save(&disk, *number)).collect();
            for seed in 0..20 * seeds() {
                let found = disk.after_crash(seed);
                let safe = saved.last().copied().unwrap_or(0);
                let is_there = kvstash::sys::disk::Disk::exists(&found, path);
                let number = if is_there { number_of(&found, path) } else { Ok(0) };
                let number = number.unwrap_or_else(|error| panic!("{}seed {seed}: {error}", disk.log()));
                assert!((safe..=2).contains(&number), "{}seed {seed}: {number}, {safe} was saved", disk.log());
            }
        }
    }
}
