//! `kvstash restore`: a directory of an append-only file as it was at some moment, which servers start from.

use crate::support::{Server, TempDir, encode, real_servers, under_test};
use kvstash::persist::aof::GroupWriter;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Groups of requests; requests are separated by `;`, what begins with `#` is a line.
fn groups(groups: &[&str]) -> Vec<u8> {
    let (mut out, mut writer) = (Vec::new(), GroupWriter::new(0, 0));
    for group in groups {
        let item = |item: &str| match item.starts_with('#') {
            true => format!("{item}\r\n").into_bytes(),
            false => encode(&item.split(' ').collect::<Vec<_>>()),
        };
        let bytes: Vec<u8> = group.split(';').flat_map(item).collect();
        out.extend(&bytes);
        out.extend(writer.annotate([&bytes[..]]).as_bytes());
    }
    out
}

fn is_kvstash() -> bool {
    under_test().to_string_lossy().contains("kvstash")
}

/// What is in a directory, to see that nothing was changed.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

fn restore(dir: &TempDir, args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(under_test()).arg("restore").args(args).current_dir(dir.path()).output().unwrap();
    let said = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

/// Starts kvstash and others with a restored directory; each has these values of the keys a to e.
#[track_caller]
fn starts_with(dir: &Path, values: &str, others: &[PathBuf]) {
    for binary in [under_test()].iter().chain(others) {
        let own = TempDir::new();
        fs::create_dir(own.join("appendonlydir")).unwrap();
        for (path, bytes) in contents(dir) {
            fs::write(own.join("appendonlydir").join(path.file_name().unwrap()), bytes).unwrap();
        }
        let server = Server::start_in(own, binary, &["--appendonly", "yes", "--save", ""]);
        let got = server.connect().line("MGET a b c d e").text();
        assert_eq!(got, values, "{}", binary.display());
    }
}

#[test]
fn a_moment_in_the_past() {
    if !is_kvstash() {
        return;
    }
    let dir = TempDir::new();
    fs::create_dir(dir.join("from")).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(dir.join("from").join(name), bytes).unwrap();
    write("appendonly.aof.1.base.aof", &groups(&["#TS:100;SELECT 0;SET a 1"]));
    write(
        "appendonly.aof.1.incr.aof",
        &groups(&["#TS:110;SELECT 0;SET b 1;#TS:120;SET b 2", "MULTI;SET c 1;#TS:130;SET d 1;EXEC"]),
    );
    write("appendonly.aof.2.incr.aof", &groups(&["#TS:140;SELECT 0;SET e 1", "SET e 2"]));
    write("appendonly.aof.9.incr.aof", b"of nobody");
    let manifest = concat!(
        "file appendonly.aof.1.base.aof seq 1 type b\n",
        "file old seq 1 type h\n",
        "file appendonly.aof.1.incr.aof seq 1 type i startoffset 0\n",
        "file appendonly.aof.2.incr.aof seq 2 type i startoffset 500 endoffset 700\n",
    );
    write("appendonly.aof.manifest", manifest.as_bytes());
    let before = contents(&dir.join("from"));
    for (until, values, files, second) in [
        (Some("100"), r#"["1" (nil) (nil) (nil) (nil)]"#, 2, 100),
        (Some("110"), r#"["1" "1" (nil) (nil) (nil)]"#, 2, 110),
        (Some("119"), r#"["1" "1" (nil) (nil) (nil)]"#, 2, 110),
        (Some("120"), r#"["1" "2" (nil) (nil) (nil)]"#, 2, 120),
        (Some("130"), r#"["1" "2" "1" "1" (nil)]"#, 3, 130),
        (Some("150"), r#"["1" "2" "1" "1" "2"]"#, 3, 140),
        (None, r#"["1" "2" "1" "1" "2"]"#, 3, 140),
    ] {
        let to = format!("to-{}", until.unwrap_or("end"));
        let mut args = vec!["from", "--to", &to];
        args.extend(until.iter().flat_map(|until| ["--until", until]));
        let (code, said) = restore(&dir, &args);
        assert!(code == Some(0) && said.contains(&format!("Restored {files} files")), "{said}");
        assert!(said.contains(&format!("The last time stamp in them is {second}.")), "{said}");
        assert!(
            said.contains(&format!("--dir . --appenddirname {to} --appendfilename appendonly.aof --appendonly yes")),
            "{said}"
        );
        let made = contents(&dir.join(&to));
        assert_eq!(made.len(), files + 1);
        let text = String::from_utf8(made[&dir.join(&to).join("appendonly.aof.manifest")].clone()).unwrap();
        assert!(text.lines().count() == files && !text.contains("offset") && !text.contains("old"), "{text}");
        // All of it has a checksum, where the file was cut, too.
        let (_, checked) = check(&dir.join(&to));
        assert!(
            checked.contains("All AOF files and manifest are valid") && !checked.contains("commands have none"),
            "{checked}"
        );
        starts_with(&dir.join(&to), values, &real_servers());
    }
    for (args, why) in [
        (&["from", "--to", "x", "--until", "99"][..], "the base, is later than that"),
        (&["from", "--to", "to-100"], "to-100 exists already"),
        (&["to", "--to", "x"], "to: No such file or directory"),
        (&["from/old", "--to", "x"], "No such file or directory"),
        (&[".", "--to", "x"], ". has no manifest"),
    ] {
        let (code, said) = restore(&dir, args);
        assert!(code == Some(1) && said.contains(why) && !dir.join("x").exists(), "{args:?}: {said}");
    }
    assert_eq!(contents(&dir.join("from")), before);
}

fn check(dir: &Path) -> (Option<i32>, String) {
    let output = Command::new(under_test()).arg("check-aof").arg(dir.join("appendonly.aof.manifest")).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// From a directory of a real server, which has an RDB file as its base and a time in it.
#[test]
fn a_directory_of_redis() {
    if !is_kvstash() {
        return;
    }
    for redis in real_servers() {
        let dir = TempDir::new();
        let mut server = Command::new(&redis)
            .args(["--port", "0", "--save", "", "--appendonly", "yes", "--unixsocket", "s", "--dir"])
            .arg(dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        crate::support::wait_for("its files", std::time::Duration::from_secs(20), || {
            fs::read(dir.join("appendonlydir/appendonly.aof.manifest")).is_ok()
        });
        server.kill().unwrap();
        server.wait().unwrap();
        let incr = dir.join("appendonlydir/appendonly.aof.1.incr.aof");
        let whole = [encode(&["SELECT", "0"]), encode(&["SET", "a", "1"])].concat();
        fs::write(&incr, [&whole[..], b"*3\r\n$3\r\nSE"].concat()).unwrap();
        let (code, said) = restore(&dir, &["appendonlydir", "--to", "new"]);
        assert!(code == Some(0) && said.contains("The last 10 bytes are left out"), "{said}");
        starts_with(&dir.join("new"), r#"["1" (nil) (nil) (nil) (nil)]"#, std::slice::from_ref(&redis));
        let (code, said) = restore(&dir, &["appendonlydir", "--to", "new2", "--until", "99999999999"]);
        assert!(code == Some(0) && said.contains("They have no time stamps: all is there."), "{said}");
        let (code, said) = restore(&dir, &["appendonlydir", "--to", "x", "--until", "1000000000"]);
        assert!(code == Some(1) && said.contains("the base, is of 1") && said.contains("later than that"), "{said}");
        // What is damaged is not passed over.
        fs::write(&incr, [&whole[..16], b"!", &whole[17..]].concat()).unwrap();
        let (code, said) = restore(&dir, &["appendonlydir", "--to", "x"]);
        assert!(code == Some(1) && said.contains("is damaged: there is something that is no command"), "{said}");
        let base = dir.join("appendonlydir/appendonly.aof.1.base.rdb");
        let mut bytes = fs::read(&base).unwrap();
        let at = bytes.len() - 3;
        bytes[at] ^= 1;
        fs::write(&base, &bytes).unwrap();
        let (code, said) = restore(&dir, &["appendonlydir", "--to", "x"]);
        assert!(code == Some(1) && said.contains("is damaged; kvstash check-rdb says where"), "{said}");
    }
}

#[test]
fn damage_is_not_passed_over() {
    if !is_kvstash() {
        return;
    }
    let dir = TempDir::new();
    fs::create_dir(dir.join("from")).unwrap();
    let mut bytes = groups(&["#TS:100;SELECT 0;SET a 1", "SET b 1", "#TS:110;SET c 1"]);
    let middle = groups(&["#TS:100;SELECT 0;SET a 1"]).len() + 25;
    bytes[middle] ^= 1;
    fs::write(dir.join("from/i"), &bytes).unwrap();
    fs::write(dir.join("from/appendonly.aof.manifest"), "file i seq 1 type i\n").unwrap();
    let (code, said) = restore(&dir, &["from", "--to", "x"]);
    assert!(code == Some(1) && said.contains("is damaged") && said.contains("1 good group among them"), "{said}");
    assert!(!dir.join("x").exists());
}
