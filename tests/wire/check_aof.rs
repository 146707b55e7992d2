//! `check-aof`, line by line and byte by byte beside the tool of a real Redis (its server is its tool, if it is called
//! so); and what it does where groups have checksums, which Redis's tool passes over.

use crate::support::{TempDir, real_servers, under_test};
use kvstash::persist::aof::GroupWriter;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn resp(words: &str) -> Vec<u8> {
    let words: Vec<&str> = words.split(' ').collect();
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
    }
    out
}

/// A file of requests, separated by `;`; what begins with `#` is a line.
fn file(text: &str) -> Vec<u8> {
    let line = |text: &str| if text.starts_with('#') { format!("{text}\r\n").into_bytes() } else { resp(text) };
    text.split(';').flat_map(line).collect()
}

/// A file with a checksum behind each of these groups.
fn groups(groups: &[&str]) -> Vec<u8> {
    let (mut out, mut writer) = (Vec::new(), GroupWriter::new(0, 0));
    for group in groups {
        let bytes = file(group);
        out.extend(&bytes);
        out.extend(writer.annotate([&bytes[..]]).as_bytes());
    }
    out
}

fn tool(binary: &Path, dir: &Path, args: &[&str], input: &str) -> (Option<i32>, String) {
    let mut child = Command::new(binary)
        .arg0("redis-check-aof")
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes()); // who asks nothing does not read
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn ours(dir: &Path, args: &[&str], input: &str) -> (Option<i32>, String) {
    tool(&under_test(), dir, args, input)
}

/// What is the same whoever says it, without ends of lines: a question has none.
fn common(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        // Redis logs what is wrong with a manifest, with process and time in front.
        let line = match line.split_once(" # ") {
            Some((front, text)) if front.contains(":C ") => text,
            _ => line,
        };
        let own = ["[groups]", "[zeros]", "What is cut off is kept in "].iter().any(|start| line.starts_with(start));
        // Redis 7.0 does not say that the directory is this one.
        let line = line.replace("RDB file ./", "RDB file ");
        let answered = line.split_once("What is cut off").map_or(&line[..], |(question, _)| question);
        if own || answered.is_empty() || line.starts_with("[info]") || line.starts_with("Usage") {
            continue;
        }
        // Redis's tool prints a byte that nobody wrote behind a line that is cut off.
        let unsure = line.find("got: 00").filter(|_| line.contains("Expected \\r\\n"));
        lines.push(unsure.map_or(answered.to_owned(), |at| line[..at + 7].to_owned()));
    }
    lines.concat()
}

/// Tools to compare with. (Valkey's does not know its own files.)
fn tools() -> impl Iterator<Item = PathBuf> {
    real_servers().into_iter().filter(|path| !path.to_string_lossy().contains("valkey"))
}

/// Runs both tools on the same files; what they say, how they end and what they leave is the same.
fn compare(redis: &Path, files: &[(&str, &[u8])], args: &[&str], input: &str) -> String {
    let (a, b) = (TempDir::new(), TempDir::new());
    for dir in [&a, &b] {
        files.iter().for_each(|(name, bytes)| fs::write(dir.join(name), bytes).unwrap());
    }
    let (theirs, own) = (tool(redis, a.path(), args, input), ours(b.path(), args, input));
    let what = format!("{args:?} of {:?}\n{}\n{}", files.iter().map(|f| f.0).collect::<Vec<_>>(), theirs.1, own.1);
    assert_eq!(common(&theirs.1), common(&own.1), "{what}");
    assert_eq!(theirs.0, own.0, "{what}");
    for (name, _) in files {
        assert_eq!(fs::read(a.join(name)).unwrap(), fs::read(b.join(name)).unwrap(), "{name} after {what}");
    }
    own.1
}

const GOOD: &str = "SELECT 0;SET foo hello;MULTI;SET a 1;INCR a;EXEC;#TS:1628217470;SET bar world";

#[test]
fn the_same_as_redis_about_one_file() {
    let good = file(GOOD);
    for (nth, redis) in tools().enumerate() {
        let check = |bytes: &[u8]| compare(&redis, &[("x.aof", bytes)], &["x.aof"], "");
        let said = check(&good);
        assert!(said.contains("AOF x.aof is valid") && !said.contains('['), "{said}");
        check(b"");
        for end in
            ["!!!", "*", "$", "*2\r\n$3\r\nGETxx$1\r\na\r\n", "*2\r\n$3\r\nGET\r\n$-1\r\na", "*1x\r\n", "*1\r\n*1\r\n"]
        {
            check(&[&good, end.as_bytes()].concat());
        }
        for more in
            ["MULTI;SET a 1", "MULTI;MULTI", "EXEC", "SET a b;exec", "multi;SET a b;EXEC", "#TS:1;# whatever;SET a b"]
        {
            check(&[good.clone(), file(more)].concat());
        }
        check(&[b"file".as_slice(), &good].concat());
        // Cut at every place. Half a line that begins with # is fine for Redis, which would go on writing behind it.
        for cut in (1..good.len()).filter(|_| nth == 0) {
            let rest = &good[..cut];
            let line = rest.rsplit(|&byte| byte == b'\n').next().unwrap();
            if !line.starts_with(b"#") {
                check(rest);
            }
        }
        // Arguments.
        for args in [
            &[][..],
            &["--fix"],
            &["a", "b"],
            &["--fix", "a", "b"],
            &["none"],
            &["--truncate-to-timestamp", "x", "x.aof"],
        ] {
            compare(&redis, &[("x.aof", &good)], args, "");
        }
    }
}

#[test]
fn the_same_as_redis_about_repairs() {
    let good = file(GOOD);
    let bad = [&good[..], b"*3\r\n$3\r\nSET\r\n$1\r\n"].concat();
    for redis in tools() {
        for answer in ["y\n", "Y", "yes", "n\n", "\n", "", "x"] {
            compare(&redis, &[("x.aof", &bad)], &["--fix", "x.aof"], answer);
        }
        compare(&redis, &[("x.aof", &good)], &["--fix", "x.aof"], "");
        let stamps = file("#TS:10;SET a 1;#TS:20;#TS:30;SET a 2;MULTI;SET b 2;EXEC;#TS:40;SET c 3;#TS:50");
        for until in ["5", "9", "10", "25", "30", "39", "40", "49", "50", "60", "0"] {
            compare(&redis, &[("x.aof", &stamps)], &["--truncate-to-timestamp", until, "x.aof"], "");
        }
        let damaged = [&stamps[..], b"*1"].concat();
        for until in ["10", "60"] {
            compare(&redis, &[("x.aof", &damaged)], &["--truncate-to-timestamp", until, "x.aof"], "");
        }
    }
}

#[test]
fn the_same_as_redis_about_several_files() {
    let (good, cut) = (file(GOOD), &file(GOOD)[..60]);
    let manifest = "file a.1.base.aof seq 1 type b\nfile a.1.incr.aof seq 1 type i\nfile a.2.incr.aof seq 2 type i\n";
    let stamps = file("#TS:10;SET a 1;#TS:20;SET a 2");
    for redis in tools() {
        for (base, first, second) in [
            (&good[..], &good[..], &good[..]),
            (&good, b"", &good),
            (b"", b"", b""),
            (&good, &good, cut),
            (&good, cut, &good),
            (cut, &good, &good),
            (&stamps, &stamps, &stamps),
            (b"", b"", &stamps),
        ] {
            let files = [
                ("a.manifest", manifest.as_bytes()),
                ("a.1.base.aof", base),
                ("a.1.incr.aof", first),
                ("a.2.incr.aof", second),
            ];
            compare(&redis, &files, &["a.manifest"], "");
            compare(&redis, &files, &["--fix", "a.manifest"], "y\n");
            compare(&redis, &files, &["--truncate-to-timestamp", "15", "a.manifest"], "");
            compare(&redis, &files, &["--truncate-to-timestamp", "5", "a.manifest"], "");
            for missing in 1..4 {
                let files: Vec<_> =
                    files.iter().enumerate().filter(|(n, _)| *n != missing).map(|(_, file)| *file).collect();
                compare(&redis, &files, &["a.manifest"], "");
            }
        }
        for manifest in [
            "file a seq 1 type b\n!!!\n",
            "file a/b seq 1 type b\n",
            "file x seq 1 type i\nfile x seq 1 type i\n",
            "#\nfile x seq 1 type h\n",
            "file x seq 1 type",
            "#nothing\n",
        ] {
            compare(&redis, &[("a.manifest", manifest.as_bytes()), ("x", &good)], &["a.manifest"], "");
        }
    }
}

/// A base that a real Redis wrote, an old file that begins with one, and damaged ones.
#[test]
fn the_same_as_redis_about_files_that_begin_with_an_rdb() {
    for redis in tools() {
        let dir = TempDir::new();
        let mut server = Command::new(&redis)
            .args(["--port", "0", "--save", "", "--appendonly", "yes", "--unixsocket", "s", "--dir"])
            .arg(dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let base = dir.join("appendonlydir/appendonly.aof.1.base.rdb");
        crate::support::wait_for("the first base", std::time::Duration::from_secs(20), || {
            fs::read(&base).is_ok_and(|bytes| bytes.len() > 60)
        });
        let rdb = fs::read(&base).unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
        let old = [&rdb[..], &file(GOOD)].concat();
        let said = compare(&redis, &[("x.aof", &old)], &["x.aof"], "");
        assert!(
            said.contains("RDB preamble is OK, proceeding with AOF tail...") && said.contains("is valid"),
            "{said}"
        );
        compare(&redis, &[("x.aof", &old[..old.len() - 3])], &["--fix", "x.aof"], "y");
        compare(&redis, &[("x.aof", &rdb)], &["x.aof"], "");
        let manifest = b"file b seq 1 type b\nfile i seq 1 type i\n";
        compare(&redis, &[("m", manifest), ("b", &rdb), ("i", &file(GOOD))], &["m"], "");
        compare(&redis, &[("m", manifest), ("b", &old), ("i", b"")], &["m"], "");
        // An RDB file where an increment should be is none.
        compare(&redis, &[("m", manifest), ("b", &rdb), ("i", &rdb)], &["m"], "");
        let mut damaged = old.clone();
        damaged[rdb.len() - 4] ^= 1;
        let (code, said) = ours(dir.path(), &["none"], "");
        assert!(code == Some(1) && said.contains("Cannot open file none"));
        fs::write(dir.join("x.aof"), &damaged).unwrap();
        let (code, said) = ours(dir.path(), &["x.aof"], "");
        assert!(code == Some(1) && said.contains("RDB preamble of AOF file is not sane, aborting."), "{said}");
    }
}

/// Before 7.2 Redis took this for a manifest.
#[test]
fn a_file_whose_data_looks_like_a_manifest() {
    let dir = TempDir::new();
    fs::write(dir.join("x.aof"), file("SET file file;SET x y")).unwrap();
    let (code, said) = ours(dir.path(), &["x.aof"], "");
    assert!(code == Some(0) && said.starts_with("Start checking Old-Style AOF\n"), "{said}");
}

#[test]
fn what_is_cut_off_is_kept() {
    let dir = TempDir::new();
    let bad = [&file(GOOD)[..], b"*3\r\n"].concat();
    let good = bad.len() - 4;
    for n in 1..=3 {
        fs::write(dir.join("x.aof"), &bad).unwrap();
        let (code, said) = ours(dir.path(), &["--fix", "x.aof"], "y\n");
        let kept = if n == 1 { format!("x.aof.cut-{good}") } else { format!("x.aof.cut-{good}.{n}") };
        assert!(code == Some(0) && said.contains(&format!("What is cut off is kept in {kept}\n")), "{said}");
        assert_eq!(fs::read(dir.join(&kept)).unwrap(), b"*3\r\n");
        assert_eq!(fs::read(dir.join("x.aof")).unwrap(), bad[..good]);
    }
    let stamps = file("#TS:10;SET a 1;#TS:20;SET a 2");
    fs::write(dir.join("y.aof"), &stamps).unwrap();
    let (code, said) = ours(dir.path(), &["--truncate-to-timestamp", "15", "y.aof"], "");
    let at = file("#TS:10;SET a 1").len();
    assert!(code == Some(0) && said.contains(&format!("kept in y.aof.cut-{at}\n")), "{said}");
    assert_eq!(fs::read(dir.join(&format!("y.aof.cut-{at}"))).unwrap(), stamps[at..]);
}

#[test]
fn groups_and_damage() {
    let dir = TempDir::new();
    let three = ["SELECT 3;SET a 1;SET b 2", "#TS:10;SET c 3", "MULTI;SET d 4;SET e 5;EXEC"];
    let good = groups(&three);
    let check = |bytes: &[u8], args: &[&str], input: &str| {
        fs::write(dir.join("x.aof"), bytes).unwrap();
        ours(dir.path(), &[args, &["x.aof"]].concat(), input)
    };
    let total = good.len();
    let (code, said) = check(&good, &[], "");
    let line = format!("[groups] 3 groups with a right checksum, up to offset {total}\n");
    assert!(code == Some(0) && said.contains(&line) && said.contains("diff=0"), "{said}");
    for redis in tools() {
        compare(&redis, &[("x.aof", &good)], &["x.aof"], "");
    }
    // A value within the second group is another one: Redis's tool sees nothing.
    let second = groups(&three[..1]).len();
    let third = groups(&three[..2]).len();
    let mut damaged = good.clone();
    let value = good.windows(4).position(|four| four == b"\n3\r\n").unwrap();
    let value = value + good[value + 4..].windows(4).position(|four| four == b"\n3\r\n").unwrap() + 5;
    damaged[value] = b'4';
    let (code, said) = check(&damaged, &[], "");
    for part in [
        format!("[groups] 1 groups with a right checksum, up to offset {second}\n"),
        format!(
            "[groups] Group 2: a checksum is wrong: The annotation of a group of {} bytes at offset {second}",
            8 + 27
        ),
        format!("[groups] 1 groups behind the damage are good, from offset {third} on"),
        format!("ok_up_to={second}"),
        "AOF x.aof is not valid. Use the --fix option".to_owned(),
    ] {
        assert!(code == Some(1) && said.contains(&part), "{part}: {said}");
    }
    // What is good is written to a new file, which is in order.
    let (code, said) = check(&damaged, &["--salvage", "new.aof"], "");
    let line = format!("Salvaged 4 commands from offset {third} to {total}, the first in database 3\n");
    assert!(code == Some(0) && said.contains(&line), "{said}");
    assert!(said.contains(&format!("Salvaged AOF x.aof to new.aof, without {} bytes", third - second)), "{said}");
    let want = groups(&[three[0], "SELECT 3;MULTI;SET d 4;SET e 5;EXEC"]);
    assert_eq!(fs::read(dir.join("new.aof")).unwrap(), want);
    assert_eq!(ours(dir.path(), &["new.aof"], "").0, Some(0));
    let (code, said) = check(&damaged, &["--salvage", "new.aof"], "");
    assert!(code == Some(1) && said.contains("new.aof exists already"), "{said}");
    // The SELECT is in the damaged part.
    let with_select = groups(&["SET a 1", "SELECT 5;SET b 2", "SET c 3"]);
    let mut damaged = with_select.clone();
    damaged[groups(&["SET a 1"]).len() + 23 + 20] ^= 1;
    let (_, said) = check(&damaged, &["--salvage", "new2.aof"], "");
    assert!(said.contains("the first in database 5\n"), "{said}");
    // A damaged line; zeros; half a group.
    let mut line = good.clone();
    line[second - 5] ^= 1;
    let (code, said) = check(&line, &[], "");
    assert!(code == Some(0) && said.contains("[groups] 1 lines are damaged, the first at offset "), "{said}");
    let (code, said) = check(&[&good[..], &[0; 100]].concat(), &[], "");
    assert!(code == Some(1) && said.contains("[zeros] ") && said.contains("diff=100"), "{said}");
    let (code, said) = check(&good[..total - 1], &["--fix"], "y");
    assert!(code == Some(0) && said.contains(&format!("to {third} bytes\n")), "{said}");
    assert_eq!(fs::read(dir.join("x.aof")).unwrap(), good[..third]);
}

#[test]
fn a_group_that_is_cut_at_a_time_has_a_checksum_again() {
    let dir = TempDir::new();
    fs::write(dir.join("x.aof"), groups(&["SET a 1", "#TS:10;SET b 2;#TS:20;SET c 3", "#TS:30;SET d 4"])).unwrap();
    let (code, _) = ours(dir.path(), &["--truncate-to-timestamp", "15", "x.aof"], "");
    assert_eq!(code, Some(0));
    assert_eq!(fs::read(dir.join("x.aof")).unwrap(), groups(&["SET a 1", "#TS:10;SET b 2"]));
}

#[test]
fn salvaging_several_files() {
    let dir = TempDir::new();
    let three = ["SELECT 0;SET a 1", "SET b 2", "SET c 3"];
    let mut damaged = groups(&three);
    damaged[groups(&three[..1]).len() + 25] ^= 1;
    fs::write(dir.join("b"), file("SET x y")).unwrap();
    fs::write(dir.join("i"), &damaged).unwrap();
    fs::write(dir.join("j"), b"").unwrap();
    fs::write(dir.join("m"), "file b seq 1 type b\nfile i seq 1 type i startoffset 5\nfile j seq 2 type i\n").unwrap();
    let (code, said) = ours(dir.path(), &["--salvage", "new", "m"], "");
    assert!(code == Some(0) && said.contains("Salvaged AOF i to new/i"), "{said}");
    let (code, said) = ours(&dir.join("new"), &["m"], "");
    assert!(code == Some(0) && said.contains("All AOF files and manifest are valid"), "{said}");
    assert_eq!(fs::read(dir.join("new/i")).unwrap(), groups(&["SELECT 0;SET a 1", "SELECT 0;SET c 3"]));
    assert_eq!(fs::read(dir.join("new/b")).unwrap(), file("SET x y"));
}
