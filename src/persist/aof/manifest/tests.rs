//! The rules of the manifest, one by one: what Redis 8.2 says to files made by hand, and what it writes.

use super::*;

fn parse(text: &str) -> Manifest {
    Manifest::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn text(manifest: &Manifest) -> String {
    String::from_utf8(manifest.to_bytes()).unwrap()
}

fn names() -> Names {
    Names::new(b"appendonly.aof")
}

#[test]
fn faults_have_redis_words() {
    let long = format!("file a seq 1 type b {}\n", "x".repeat(1024));
    let cases = [
        ("", ManifestFault::Empty, None),
        ("\n", ManifestFault::Format, Some((1, ""))),
        ("  \t\r\n", ManifestFault::Format, Some((1, ""))),
        ("file a seq 1 type b", ManifestFault::LongLine, None),
        ("file a\0 seq 1 type b\n", ManifestFault::LongLine, None),
        (&long, ManifestFault::LongLine, None),
        ("#\nfile a seq 1\n", ManifestFault::Format, Some((2, "file a seq 1"))),
        ("file a seq 1 type\n", ManifestFault::Format, Some((1, "file a seq 1 type"))),
        ("file \"a seq 1 type b\n", ManifestFault::Format, Some((1, "file \"a seq 1 type b"))),
        ("file a seq 0 type b\n", ManifestFault::Format, Some((1, "file a seq 0 type b"))),
        ("file a seq x type b\n", ManifestFault::Format, Some((1, "file a seq x type b"))),
        ("file a seq 1 type \"\"\n", ManifestFault::Format, Some((1, "file a seq 1 type \"\""))),
        ("file a seq 1 a b\n", ManifestFault::Format, Some((1, "file a seq 1 a b"))),
        ("seq 1 type b a b\n", ManifestFault::Format, Some((1, "seq 1 type b a b"))),
        (" file a/b seq 1 type b\n", ManifestFault::Path, Some((1, "file a/b seq 1 type b"))),
        ("file a\\b seq 1 type b\n", ManifestFault::Path, Some((1, "file a\\b seq 1 type b"))),
        ("file .. seq 1 type b\n", ManifestFault::Path, Some((1, "file .. seq 1 type b"))),
        ("file \"\" seq 1 type b\n", ManifestFault::Path, Some((1, "file \"\" seq 1 type b"))),
        ("file a seq 1 type b\nfile b seq 2 type b\n", ManifestFault::TwoBases, Some((2, "file b seq 2 type b"))),
        ("file a seq 2 type i\nfile b seq 2 type i\n", ManifestFault::Order, Some((2, "file b seq 2 type i"))),
        ("file a seq 2 type i\nfile b seq 1 type i\n", ManifestFault::Order, Some((2, "file b seq 1 type i"))),
        ("file a seq -1 type i\n", ManifestFault::Order, Some((1, "file a seq -1 type i"))),
        ("file a seq 1 type x\n", ManifestFault::UnknownType, Some((1, "file a seq 1 type x"))),
        ("file a seq 1 type B\n", ManifestFault::UnknownType, Some((1, "file a seq 1 type B"))),
    ];
    for (text, fault, line) in cases {
        let error = Manifest::parse(text.as_bytes()).unwrap_err();
        let line = line.map(|(number, line)| (number, line.as_bytes().to_vec()));
        assert_eq!((error.fault, error.line), (fault, line), "{text:?}");
    }
}

#[test]
fn what_is_logged() {
    let error = Manifest::parse(b"file a/b seq 1 type b\n").unwrap_err();
    let logged = [
        "*** FATAL AOF MANIFEST FILE ERROR ***",
        "Reading the manifest file, at line 1",
        ">>> 'file a/b seq 1 type b'",
        "File can't be a path, just a filename",
    ];
    assert_eq!(error.log_lines(), logged);
    assert_eq!(error.to_string(), "File can't be a path, just a filename, at line 1: 'file a/b seq 1 type b'");
    let error = Manifest::parse(b"").unwrap_err();
    assert_eq!(error.log_lines(), ["*** FATAL AOF MANIFEST FILE ERROR ***", "Found an empty AOF manifest"]);
}

#[test]
fn what_redis_accepts() {
    assert!(parse("# nothing yet\n").is_empty());
    assert!(parse("# nothing, and no line end").is_empty());
    let free = parse("  type base  SEQ ' +3x'\tstartoffset -1 x y FILE \"a b\\x41\" \r\n");
    let base = free.base().unwrap();
    assert_eq!((&base.name[..], base.seq, base.start_offset), (&b"a bA"[..], 3, None));
    assert_eq!(parse("file \"a\\x00b\" seq 1 type b\n").base().unwrap().name, b"a");
    // As long as a line may be.
    let end = " seq 1 type b\n";
    let longest = format!("file {}{end}", "x".repeat(1024 - 5 - end.len()));
    assert_eq!(parse(&longest).base().unwrap().name.len(), 1024 - 5 - end.len());
    // Gaps are fine, and numbers too large are the largest; the very last one leaves no successor.
    let gaps = parse("file a seq 2 type i\nfile b seq 9 type i\n");
    assert_eq!(gaps.increments().iter().map(|entry| entry.seq).collect::<Vec<_>>(), [2, 9]);
    assert!(Manifest::parse(b"file a seq 9223372036854775806 type b\n").is_ok());
    let error = Manifest::parse(b"file a seq 99999999999999999999 type b\n").unwrap_err();
    assert_eq!(error.fault, ManifestFault::Format);
}

#[test]
fn order_quoting_and_offsets_when_written() {
    let manifest = parse(concat!(
        "file \"a b\" seq 1 type i endoffset 5\n",
        "file old seq 1 type h startoffset 0 endoffset 7\n",
        "file \"\\xff\\\"\" seq 2 type i startoffset 7 endoffset 9\n",
        "file base seq 4 type b\n",
    ));
    let written = concat!(
        "file base seq 4 type b\n",
        "file old seq 1 type h startoffset 0 endoffset 7\n",
        "file \"a b\" seq 1 type i\n",
        "file \"\\xff\\\"\" seq 2 type i startoffset 7 endoffset 9\n",
    );
    assert_eq!(text(&manifest), written);
    assert_eq!(manifest.files().map(|entry| entry.seq).collect::<Vec<_>>(), [4, 1, 2]);
    assert_eq!(manifest.last_increment().unwrap().name, b"\xff\"");
}

/// What Redis 8.2 wrote with `aof-disable-auto-gc yes`.
#[test]
fn a_life() {
    let names = names();
    let mut manifest = Manifest::default();
    assert_eq!(manifest.next_base_name(&names, true), b"appendonly.aof.1.base.rdb");
    manifest.replace_base(&names, true, 0);
    assert_eq!(manifest.next_increment_name(&names), b"appendonly.aof.1.incr.aof");
    assert_eq!(manifest.add_increment(&names, Some(0)).kind, Kind::Increment);
    manifest.add_increment(&names, Some(1));
    manifest.replace_base(&names, true, 1);
    // A rewrite that failed left its increment.
    manifest.add_increment(&names, Some(2));
    manifest.add_increment(&names, Some(3));
    manifest.set_end_offset(8);
    let written = concat!(
        "file appendonly.aof.2.base.rdb seq 2 type b\n",
        "file appendonly.aof.1.incr.aof seq 1 type h startoffset 0\n",
        "file appendonly.aof.1.base.rdb seq 1 type h\n",
        "file appendonly.aof.2.incr.aof seq 2 type i startoffset 1\n",
        "file appendonly.aof.3.incr.aof seq 3 type i startoffset 2\n",
        "file appendonly.aof.4.incr.aof seq 4 type i startoffset 3 endoffset 8\n",
    );
    assert_eq!(text(&manifest), written);
    let mut manifest = parse(written);
    assert_eq!(manifest.take_end_offset(), Some(8));
    assert_eq!(manifest.take_end_offset(), None);
    assert_eq!(manifest.replace_base(&names, false, 1).name, b"appendonly.aof.3.base.aof");
    let written = concat!(
        "file appendonly.aof.3.base.aof seq 3 type b\n",
        "file appendonly.aof.2.incr.aof seq 2 type h startoffset 1\n",
        "file appendonly.aof.3.incr.aof seq 3 type h startoffset 2\n",
        "file appendonly.aof.2.base.rdb seq 2 type h\n",
        "file appendonly.aof.1.incr.aof seq 1 type h startoffset 0\n",
        "file appendonly.aof.1.base.rdb seq 1 type h\n",
        "file appendonly.aof.4.incr.aof seq 4 type i startoffset 3\n",
    );
    assert_eq!(text(&manifest), written);
    assert_eq!(manifest.take_history().len(), 5);
    assert!(manifest.history().is_empty());
    // Turned off, rewritten, turned on: numbers go on.
    manifest.replace_base(&names, true, 0);
    manifest.take_history();
    manifest.add_increment(&names, None);
    assert_eq!(
        text(&manifest),
        "file appendonly.aof.4.base.rdb seq 4 type b\nfile appendonly.aof.5.incr.aof seq 5 type i\n"
    );
    // Nothing to keep, nothing to lose.
    assert_eq!(manifest.replace_base(&names, true, 5).seq, 5);
    assert_eq!(manifest.increments().len(), 1);
}

#[test]
fn files_that_may_still_be_there_are_not_written_again() {
    let mut manifest = parse("file a.5.base.rdb seq 5 type b\nfile a.7.incr.aof seq 7 type h\n");
    let names = Names::new(b"a");
    assert_eq!(manifest.add_increment(&names, None).name, b"a.8.incr.aof");
    assert_eq!(manifest.next_base_name(&names, true), b"a.6.base.rdb");
    // A new server counts increments from 1, however far the bases are.
    let mut manifest = parse("file a.5.base.rdb seq 5 type b\n");
    assert_eq!(manifest.add_increment(&names, None).name, b"a.1.incr.aof");
}

#[test]
fn a_copy_has_the_first_files() {
    let manifest =
        parse("file b seq 2 type b\nfile h seq 1 type h\nfile i seq 4 type i startoffset 5\nfile j seq 5 type i\n");
    assert_eq!(text(&manifest.of_first(2)), "file b seq 2 type b\nfile i seq 4 type i\n");
    assert_eq!(text(&manifest.of_first(9)), "file b seq 2 type b\nfile i seq 4 type i\nfile j seq 5 type i\n");
    assert!(manifest.of_first(0).is_empty());
}

#[test]
fn an_old_file_becomes_the_base() {
    let names = names();
    let none = Manifest::default();
    let upgraded = "file appendonly.aof seq 1 type b\n";
    assert_eq!(none.old_file(&names, false, false), OldFile::Leave);
    let OldFile::Move(moved) = none.old_file(&names, true, false) else { panic!() };
    assert_eq!(text(&moved), upgraded);
    assert_eq!(none.old_file(&names, true, true), OldFile::InTheWay);
    // The manifest is there, the file was not moved yet, or was.
    assert_eq!(moved.old_file(&names, true, false), OldFile::Move(moved.clone()));
    assert_eq!(moved.old_file(&names, true, true), OldFile::Leave);
    assert_eq!(moved.old_file(&names, false, true), OldFile::Leave);
    // Other manifests win.
    for other in
        ["file appendonly.aof seq 1 type b\nfile i seq 1 type i\n", "file i seq 1 type i\n", "file b seq 1 type b\n"]
    {
        assert_eq!(parse(other).old_file(&names, true, false), OldFile::Leave, "{other}");
    }
    // History is not forgotten on the way.
    let history = parse("file h seq 4 type h\n");
    let OldFile::Move(moved) = history.old_file(&names, true, false) else { panic!() };
    assert_eq!(text(&moved), format!("{upgraded}file h seq 4 type h\n"));
}
