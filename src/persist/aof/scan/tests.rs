//! Files of every kind, whole and damaged in every place: what is given out is never wrong, and nothing is lost unsaid.

use super::*;
use crate::persist::aof::GroupWriter;
use crate::resp::push_command;
use crate::util::rng::Rng;

type Commands = Vec<Vec<Vec<u8>>>;

fn resp(words: &str) -> Vec<u8> {
    let mut out = Vec::new();
    push_command(&mut out, words.split(' ').map(str::as_bytes).collect::<Vec<_>>().into_iter());
    out
}

/// A file as it is written, and what is in it.
#[derive(Clone, Default)]
struct File {
    bytes: Vec<u8>,
    writer: Option<GroupWriter>,
    /// Ends of groups, of their lines, and how many commands come before.
    groups: Vec<(usize, usize, usize)>,
    /// Ends of units, and how many commands come before.
    units: Vec<(usize, usize)>,
    commands: Commands,
}

impl File {
    /// Writes units; each is commands separated by `;`. A line that begins with `#` is written as it is.
    fn plain(&mut self, units: &[&str]) -> &mut Self {
        let start = self.bytes.len();
        for unit in units {
            for command in unit.split(';') {
                if command.starts_with('#') {
                    self.bytes.extend([command.as_bytes(), b"\r\n"].concat());
                } else {
                    self.bytes.extend(resp(command));
                    self.commands.push(command.split(' ').map(|word| word.as_bytes().to_vec()).collect());
                }
            }
            self.units.push((self.bytes.len(), self.commands.len()));
        }
        let writer = self.writer.get_or_insert(GroupWriter::new(0, 0));
        writer.plain([&self.bytes[start..]]);
        self
    }

    fn group(&mut self, units: &[&str]) -> &mut Self {
        let (start, mut writer) = (self.bytes.len(), self.writer.unwrap_or(GroupWriter::new(0, 0)));
        self.plain(units);
        let end = self.bytes.len();
        self.bytes.extend(writer.annotate([&self.bytes.clone()[start..]]).as_bytes());
        self.writer = Some(writer);
        self.groups.push((end, self.bytes.len(), self.commands.len()));
        self
    }

    fn scan(&self) -> Scan {
        scan(&self.bytes)
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Scan {
    /// With a checksum, and without.
    annotated: Commands,
    plain: Commands,
    stamps: Vec<Stamp>,
    ending: Ending,
}

impl Scan {
    fn commands(&self) -> Commands {
        [&self.annotated[..], &self.plain].concat()
    }

    fn kind(&self) -> Option<FaultKind> {
        self.ending.fault.map(|fault| fault.kind)
    }
}

fn scan(bytes: &[u8]) -> Scan {
    scan_sized(bytes, SIZES)
}

fn scan_sized(bytes: &[u8], sizes: Sizes) -> Scan {
    let mut scanner = Scanner::with_sizes(bytes, 0, bytes.len() as u64, sizes);
    let (mut annotated, mut plain, mut stamps, mut end) = (Vec::new(), Vec::new(), Vec::new(), 0);
    loop {
        match scanner.step().unwrap() {
            Step::Batch(batch) => {
                assert_eq!((batch.offset, &batch.bytes[..]), (end, &bytes[end as usize..batch.end() as usize]));
                end = batch.end();
                assert_eq!(batch.commands().len(), batch.len());
                for command in batch.commands() {
                    assert!(bytes[command.offset as usize] == b'*');
                    let to = if batch.annotated { &mut annotated } else { &mut plain };
                    to.push(command.args.iter().map(<[u8]>::to_vec).collect());
                }
                stamps.extend(batch.stamps());
            }
            Step::End(ending) => {
                assert_eq!(ending.delivered_to, end);
                assert_eq!(ending.plain_commands, plain.len() as u64);
                assert!(matches!(scanner.step().unwrap(), Step::End(again) if again == ending));
                return Scan { annotated, plain, stamps, ending };
            }
        }
    }
}

/// Three groups, with all that may be in one.
fn sample() -> File {
    let mut file = File::default();
    file.group(&["SELECT 0", "SET key some-value-of-thirty-two-bytes", "MULTI;SET a 1;INCR a;EXEC"]);
    file.group(&["#TS:1700000000;SET b 2"]);
    file.group(&["multi;DEL a;#TS:1700000001;DEL b;exec", "RPUSH list a b c", "SET c "]);
    file
}

#[test]
fn a_file_with_checksums() {
    let file = sample();
    let scan = file.scan();
    assert_eq!((&scan.annotated, scan.plain.len()), (&file.commands, 0));
    assert_eq!(scan.stamps.iter().map(|stamp| stamp.seconds).collect::<Vec<_>>(), [1_700_000_000, 1_700_000_001]);
    let at = scan.stamps[0].offset as usize;
    assert!(file.bytes[at..].starts_with(b"#TS:1700000000\r\n"));
    let (total, writer) = (file.bytes.len() as u64, file.writer.unwrap());
    let ending = Ending {
        good_to: total,
        verified_to: total,
        delivered_to: total,
        total,
        crc: writer.crc(),
        groups: 3,
        line: scan.ending.line,
        ..Ending::default()
    };
    assert_eq!(scan.ending, ending);
    assert_eq!(GroupWriter::new(total, ending.crc), writer);
}

#[test]
fn an_empty_file_and_one_of_lines() {
    assert_eq!(scan(b"").ending, Ending { line: 1, ..Ending::default() });
    let scan = scan(b"#TS:5\r\n# whatever\n");
    assert!(scan.ending.is_clean() && scan.commands().is_empty());
    assert_eq!(scan.ending.good_to, 18);
}

#[test]
fn a_file_of_redis() {
    let mut file = File::default();
    file.plain(&["SELECT 0", "#TS:7;SET a b", "MULTI;SET x y;SET x z;EXEC", "LPUSH l a"]);
    let scan = file.scan();
    assert_eq!((scan.annotated.len(), &scan.plain, scan.kind()), (0, &file.commands, None));
    assert_eq!(scan.ending.crc, file.writer.unwrap().crc());
    // Cut anywhere, it is read to the last whole unit.
    for cut in 0..file.bytes.len() {
        let scan = self::scan(&file.bytes[..cut]);
        let &(to, commands) = file.units.iter().rev().find(|unit| unit.0 <= cut).unwrap_or(&(0, 0));
        assert_eq!(scan.plain, file.commands[..commands], "{cut}");
        // A line that is whole stays.
        let to = if file.bytes[to..cut].ends_with(b"#TS:7\r\n") { cut } else { to };
        let to = if file.bytes[to..cut].starts_with(b"#TS:7\r\n") { to + 7 } else { to };
        assert_eq!(scan.ending.good_to, to as u64, "{cut}");
        let whole = (to == cut).then_some(FaultKind::Truncated).xor(Some(FaultKind::Truncated));
        assert_eq!(scan.kind(), whole, "{cut}");
        assert_eq!(scan.ending.crc, crc64(0, &file.bytes[..to]));
    }
}

#[test]
fn cut_anywhere_only_whole_groups_are_kept() {
    let file = sample();
    for cut in 0..file.bytes.len() {
        let scan = scan(&file.bytes[..cut]);
        let &(_, to, commands) = file.groups.iter().rev().find(|group| group.1 <= cut).unwrap_or(&(0, 0, 0));
        assert_eq!(scan.annotated, file.commands[..commands], "{cut}");
        if scan.ending.groups == 0 {
            continue; // a file without any line is Redis's
        }
        match scan.ending.fault {
            // Nothing is wrong with it, and it may be Redis's.
            None => assert!(
                cut == to || file.units.iter().any(|unit| unit.0 == cut) || file.bytes[to..cut].ends_with(b"00\r\n")
            ),
            Some(fault) => {
                assert_eq!((fault.kind, &scan.plain), (FaultKind::Truncated, &Vec::<Vec<_>>::new()), "{cut}");
                assert_eq!((scan.ending.good_to, scan.ending.verified_to), (to as u64, to as u64), "{cut}");
                assert!(!scan.ending.in_the_middle());
                let again = self::scan(&file.bytes[..to]);
                assert!(
                    again.ending.is_clean() && again.annotated == scan.annotated && again.ending.crc == scan.ending.crc
                );
            }
        }
    }
}

#[test]
fn every_flip_is_detected() {
    let file = sample();
    let mut rng = Rng::from_seed(7);
    let mut damaged_lines = 0;
    for at in 0..file.bytes.len() {
        for flip in (0..8).map(|bit| 1 << bit).chain((0..4).map(|_| rng.below(255) as u8 + 1)) {
            let mut bytes = file.bytes.clone();
            bytes[at] ^= flip;
            let scan = scan(&bytes);
            let what = format!("byte {at} ^ {flip}: {}", scan.ending);
            // What claims to be right is.
            assert_eq!(scan.annotated, file.commands[..scan.annotated.len()], "{what}");
            let hit = file.groups.iter().position(|group| at < group.1).unwrap();
            let in_line = at >= file.groups[hit].0;
            if scan.ending.is_clean() {
                assert!(
                    scan.ending.damaged_lines.is_some_and(|(n, offset)| n == 1 && offset == file.groups[hit].0 as u64),
                    "{what}"
                );
                assert!(in_line && scan.annotated == file.commands && scan.plain.is_empty(), "{what}");
                assert_eq!(scan.ending.crc, file.writer.unwrap().crc());
                damaged_lines += 1;
                continue;
            }
            assert_eq!(scan.ending.groups, hit as u64, "{what}");
            if hit > 0 {
                assert_eq!((scan.ending.good_to, scan.plain.len()), (file.groups[hit - 1].1 as u64, 0), "{what}");
            }
            // All groups behind are there; the next one only if the line before it is.
            let behind = 2 - hit as u64;
            assert_eq!(scan.ending.groups_behind, if in_line { behind.saturating_sub(1) } else { behind }, "{what}");
            assert_eq!(scan.ending.in_the_middle(), scan.ending.groups_behind > 0);
            if scan.ending.groups_behind > 0 {
                let from = file.groups[2 - scan.ending.groups_behind as usize].1 as u64;
                let ranges = scan.ending.behind.iter().map(|behind| behind.bytes.clone());
                assert!(ranges.eq(std::iter::once(from..bytes.len() as u64)), "{what}");
            }
        }
    }
    assert!(damaged_lines > 1000, "{damaged_lines}");
}

#[test]
fn zeros_at_the_end() {
    let file = sample();
    for cut in 0..file.bytes.len() {
        for zeros in [1, 16, 600] {
            let bytes = [&file.bytes[..cut], &vec![0; zeros]].concat();
            let scan = scan(&bytes);
            let whole = file.groups.iter().filter(|group| group.1 <= cut).count();
            // The zeros may stand for the end of a line: then the line is damaged, and the group is whole.
            let groups = whole + usize::from(scan.ending.damaged_lines.is_some());
            let &(_, to, commands) = groups.checked_sub(1).map_or(&(0, 0, 0), |last| &file.groups[last]);
            assert_eq!((scan.ending.groups, &scan.annotated), (groups as u64, &file.commands[..commands].to_vec()));
            if groups > 0 {
                assert_eq!(scan.ending.good_to, to as u64);
            }
            let clean = groups > whole && to == bytes.len();
            assert_eq!(scan.ending.is_clean(), clean, "{cut} {zeros}");
            if zeros == 600 {
                assert_eq!(scan.kind(), Some(FaultKind::ZeroPadded), "{cut}: {}", scan.ending);
                assert!((598..=600).contains(&scan.ending.zeros), "{cut}: {}", scan.ending.zeros);
            }
        }
    }
    // Zeros that somebody stored.
    let mut bytes = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$300\r\n".to_vec();
    bytes.extend([0; 300]);
    bytes.extend(b"\r\n");
    assert!(scan(&bytes).ending.is_clean());
    // Zeros, and something after them.
    let bytes = [&file.bytes[..], &[0; 600], b"x"].concat();
    assert_eq!(scan(&bytes).kind(), Some(FaultKind::BadFormat));
}

/// A length that is damaged leads beyond the end, as if the file were cut off there.
#[test]
fn a_length_beyond_the_end_is_damage_if_something_good_follows() {
    let (long, mut file) = (format!("SET long {}", "x".repeat(100)), File::default());
    file.group(&["SET a 1"]).group(&[&long]).group(&["SET b 2"]);
    let mut bytes = file.bytes.clone();
    let length = bytes.windows(6).position(|six| six == b"$100\r\n").unwrap();
    bytes[length + 1] = b'9';
    let scan = self::scan(&bytes);
    assert_eq!((scan.kind(), scan.ending.groups_behind), (Some(FaultKind::BadFormat), 1), "{}", scan.ending);
    assert_eq!(scan.ending.good_to, file.groups[0].1 as u64);
    // In the last group it is no more than that.
    let scan = self::scan(&bytes[..file.groups[1].1]);
    assert_eq!((scan.kind(), scan.ending.groups_behind), (Some(FaultKind::Truncated), 0));
}

#[test]
fn groups_in_the_wrong_place() {
    let file = sample();
    let ends: Vec<usize> = std::iter::once(0).chain(file.groups.iter().map(|group| group.1)).collect();
    let group = |n: usize| &file.bytes[ends[n]..ends[n + 1]];
    let mut other = File::default();
    other.group(&["SELECT 0", "SET key another-value-of-thirty--bytes", "MULTI;SET a 1;INCR a;EXEC"]);
    other.group(&["#TS:1700000000;SET b 2"]);
    assert_eq!(other.bytes.len(), ends[2]);
    for (what, pieces, kind, good, behind) in [
        ("exchanged", vec![group(0), group(2), group(1)], FaultKind::WrongPlace, 1, 0),
        ("one is missing", vec![group(0), group(2)], FaultKind::WrongPlace, 1, 0),
        ("the first is missing", vec![group(1), group(2)], FaultKind::WrongPlace, 0, 0),
        ("twice", vec![group(0), group(1), group(1), group(2)], FaultKind::WrongPlace, 2, 0),
        (
            "another file's, in its place",
            vec![group(0), &other.bytes[ends[1]..], group(2)],
            FaultKind::BadChecksum,
            1,
            0,
        ),
        ("the tail is another file's", vec![&other.bytes[..ends[1]], group(1), group(2)], FaultKind::BadChecksum, 1, 1),
    ] {
        let scan = scan(&pieces.concat());
        let ending = &scan.ending;
        assert_eq!((scan.kind(), ending.groups, ending.groups_behind), (Some(kind), good, behind), "{what}: {ending}");
        assert_eq!((ending.good_to, scan.plain.len()), (ends[good as usize] as u64, 0), "{what}");
    }
}

#[test]
fn commands_that_redis_added() {
    let mut file = sample();
    let ours = file.commands.len();
    file.plain(&["SELECT 0", "SET x y", "MULTI;SET x z;SET x w;EXEC"]);
    let scan = file.scan();
    assert_eq!((scan.annotated.len(), scan.commands(), scan.kind()), (ours, file.commands.clone(), None));
    assert_eq!((scan.ending.plain_commands, scan.ending.crc), (6, file.writer.unwrap().crc()));
    // Cut off, its whole units stay.
    let cut = scan_cut(&file, 3);
    assert_eq!((cut.kind(), cut.plain.len()), (Some(FaultKind::Truncated), 2));
    // And this server goes on: the next line covers what had none.
    let theirs = file.clone();
    file.writer = Some(GroupWriter::new(file.bytes.len() as u64, scan.ending.crc));
    file.group(&["SET x 1"]).group(&["SET x 2"]);
    let scan = file.scan();
    assert_eq!((&scan.annotated, scan.plain.len(), scan.ending.groups), (&file.commands, 0, 5));
    let mut damaged = file.bytes.clone();
    let value = damaged.windows(4).position(|four| four == b"\nz\r\n").unwrap() + 1;
    damaged[value] ^= 1; // within what Redis added
    let scan = self::scan(&damaged);
    assert_eq!((scan.kind(), scan.annotated.len()), (Some(FaultKind::BadChecksum), ours));
    assert_eq!((scan.ending.good_to, scan.ending.groups_behind), (theirs.bytes.len() as u64, 1));
    // Added by somebody else, it is not given out unless it is whole.
    let mut file = sample();
    file.plain(&["SET x y", "SET x z"]);
    assert_eq!(file.scan().plain.len(), 2);
    assert_eq!(scan_cut(&file, 3).plain.len(), 0);
}

fn scan_cut(file: &File, bytes: usize) -> Scan {
    scan(&file.bytes[..file.bytes.len() - bytes])
}

#[test]
fn a_file_that_redis_began() {
    let mut file = File::default();
    file.plain(&["SELECT 0", "SET x y"]);
    let theirs = file.bytes.len();
    file.group(&["SELECT 0", "SET x 1"]).group(&["SET x 2"]);
    let scan = file.scan();
    assert_eq!((&scan.annotated, scan.ending.groups), (&file.commands, 2));
    // The first group is damaged: what comes before it is not.
    let mut bytes = file.bytes.clone();
    bytes[file.groups[0].0 - 3] ^= 1;
    let scan = self::scan(&bytes);
    assert_eq!((scan.kind(), scan.plain.len()), (Some(FaultKind::BadChecksum), 2));
    assert_eq!((scan.ending.good_to, scan.ending.groups_behind), (theirs as u64, 1));
    assert_eq!(scan.ending.crc, crc64(0, &bytes[..theirs]));
}

#[test]
fn other_comments_are_passed_over() {
    let mut file = File::default();
    file.group(&["#HDR:whatever;SET a 1;#;SET a 2", "# GROUP:0:1:0123456789abcdef"]);
    file.plain(&["#GROUP:0:1:xyz;SET a 3"]);
    let scan = file.scan();
    assert_eq!((scan.commands(), scan.kind(), scan.ending.groups), (file.commands.clone(), None, 1));
    let long = format!("#{}\r\n*1\r\n$4\r\nPING\r\n", "x".repeat(1020));
    assert!(self::scan(long.as_bytes()).ending.is_clean());
    let long = format!("#{}\r\n*1\r\n$4\r\nPING\r\n", "x".repeat(1021));
    let fault = self::scan(long.as_bytes()).ending.fault.unwrap();
    assert_eq!((fault.kind, fault.why), (FaultKind::BadFormat, Why::LongLine));
}

#[test]
fn faults_of_the_format() {
    use FaultKind::{BadFormat, Truncated};
    let good = "*1\r\n$4\r\nPING\r\n";
    for (text, kind, at, why) in [
        ("x", BadFormat, 0, Why::Prefix { expected: b'*', got: b'x' }),
        ("*0\r\n", BadFormat, 0, Why::Count(0)),
        ("*-1\r\n", BadFormat, 0, Why::Count(-1)),
        ("*2147483648\r\n", BadFormat, 0, Why::Count(2_147_483_648)),
        ("*1\n$4", BadFormat, 0, Why::LineEnd { got: *b"\n$" }),
        ("*1\r\n*4", BadFormat, 4, Why::Prefix { expected: b'$', got: b'*' }),
        ("*1\r\n$-1\r\n", BadFormat, 4, Why::Length(-1)),
        ("*1\r\n$4\r\nPINGxy", BadFormat, 8, Why::LineEnd { got: *b"xy" }),
        ("*1\r\n$3\r\nPING\r\n", BadFormat, 8, Why::LineEnd { got: *b"G\r" }),
        ("*1\r\n$5\r\nmulti\r\n*1\r\n$5\r\nMULTI\r\n", BadFormat, 23, Why::NestedMulti),
        ("*1\r\n$4\r\nexec\r\n", BadFormat, 8, Why::LoneExec),
        ("*1\r\n$5\r\nMULTI\r\n", Truncated, 8, Why::NoExec),
        ("*1\r\n$5\r\nMULTI\r\n#GROUP:0:15:0123456789abcdef\r\n", BadFormat, 15, Why::GroupInMulti),
        ("*", Truncated, 0, Why::LineEnd { got: [0, 0] }),
        ("*1\r", Truncated, 0, Why::LineEnd { got: [b'\r', 0] }),
        ("*1\r\n", Truncated, 4, Why::End),
        ("*2\r\n$1\r\na\r\n", Truncated, 11, Why::End),
        ("*1\r\n$4\r\n", Truncated, 8, Why::Short { expected: 6, got: 0 }),
        ("*1\r\n$4\r\nPING\r", Truncated, 8, Why::Short { expected: 6, got: 5 }),
        ("*1\r\n$9223372036854775807\r\nx", Truncated, 26, Why::Short { expected: (1 << 63) + 1, got: 1 }),
        ("*2147483647\r\n$1\r\na\r\n", Truncated, 20, Why::End),
        ("#GROUP:", Truncated, 0, Why::TornLine),
    ] {
        for before in [String::new(), good.to_owned(), format!("{good}*1\r\n$5\r\nMULTI\r\n{good}*1\r\n$4\r\nEXEC\r\n")]
        {
            let (bytes, len) = ([before.as_bytes(), text.as_bytes()].concat(), before.len() as u64);
            let scan = scan(&bytes);
            let fault = Fault { kind, at: len + at, why };
            assert_eq!((scan.ending.fault, scan.ending.good_to), (Some(fault), len), "{text:?} {}", scan.ending);
            assert_eq!(scan.plain.len(), before.matches('*').count());
            assert!(scan.ending.bad_bytes() == text.len() as u64 && !scan.ending.in_the_middle());
        }
    }
}

#[test]
fn what_is_said() {
    let file = sample();
    let ending = |bytes: &[u8]| scan(bytes).ending.to_string();
    assert_eq!(ending(&file.bytes), "the file is whole");
    let mut bytes = file.bytes.clone();
    bytes[file.groups[0].1 + 40] ^= 1;
    assert_eq!(
        ending(&bytes),
        "a checksum is wrong: The annotation of a group of 43 bytes at offset 190 does not fit what stands there, at \
         offset 233 in group 2; good up to offset 190, 265 bytes follow, 1 good group among them"
    );
    assert_eq!(
        ending(b"*1\r\n$4\r\nPING\r\n*1\r\n$"),
        "the file is cut off: Expected \\r\\n, got: 0000, at offset 18; good up to offset 14, 5 bytes follow"
    );
}

/// However the file is cut into chunks and batches, what comes out is the same.
#[test]
fn sizes_do_not_matter() {
    let mut rng = Rng::from_seed(1);
    for round in 0..300 {
        let mut file = File::default();
        for _ in 0..rng.below(12) {
            let mut units: Vec<String> = Vec::new();
            for _ in 0..1 + rng.below(4) {
                let longest = if rng.below(9) == 0 { 900 } else { 40 };
                let value = "v".repeat(rng.index(longest));
                units.push(match rng.below(5) {
                    0 => format!("MULTI;SET a {value};#TS:12;SET b 1;EXEC"),
                    1 => format!("#TS:11;RPUSH {value} a b c d e f g"),
                    2 => "SELECT 1".to_owned(),
                    _ => format!("SET key {value}"),
                });
            }
            let units: Vec<&str> = units.iter().map(String::as_str).collect();
            match rng.below(3) {
                0 if round % 3 == 0 => file.plain(&units),
                1 if round % 3 == 1 => file.plain(&units),
                _ => file.group(&units),
            };
        }
        let mut bytes = file.bytes;
        match rng.below(4) {
            0 if !bytes.is_empty() => {
                let at = rng.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << rng.below(8);
            }
            1 => bytes.truncate(rng.below(bytes.len() as u64 + 1) as usize),
            2 => bytes.extend(vec![0; rng.below(50) as usize]),
            _ => {}
        }
        let want = scan(&bytes);
        for _ in 0..8 {
            let sizes = Sizes { read: 1 + rng.below(200) as usize, batch: 1 + rng.below(300) as usize, group: 1 << 20 };
            assert_eq!(scan_sized(&bytes, sizes), want, "{round} {sizes:?}");
        }
    }
}

/// Whatever is done to a file of groups: what is said to be right is the beginning of what was written, and what is not
/// all of it is said.
#[test]
fn nothing_wrong_is_called_right() {
    let mut rng = Rng::from_seed(3);
    let (whole, other) = (sample(), {
        let mut file = File::default();
        file.group(&["SELECT 0", "SET key 1"]).group(&["SET b 2", "#TS:9;DEL a"]).group(&["SET key 3"]);
        file
    });
    let mut damaged = 0;
    for round in 0..20_000 {
        let mut bytes = whole.bytes.clone();
        for _ in 0..1 + rng.index(3) {
            let (at, to) = (rng.index(bytes.len() + 1), rng.index(bytes.len() + 1));
            let (at, to) = (at.min(to), at.max(to));
            match rng.index(7) {
                0 if at < bytes.len() => bytes[at] ^= 1 << rng.index(8),
                1 if at < bytes.len() => bytes[at] = b"*$#\r\n\0:1GROUP"[rng.index(13)],
                2 => drop(bytes.drain(at..to)),
                3 => bytes[at..to].fill(0),
                4 => bytes.extend_from_within(at..to),
                5 => {
                    let piece = bytes[at..to].to_vec();
                    let place = rng.index(bytes.len() + 1);
                    bytes.splice(place..place, piece);
                }
                _ => {
                    let from = rng.index(other.bytes.len());
                    let piece = other.bytes[from..from + rng.index(other.bytes.len() - from)].to_vec();
                    let end = (at + piece.len()).min(bytes.len());
                    bytes.splice(at..end, piece);
                }
            }
        }
        let scan = scan(&bytes);
        let what = format!("round {round}: {}", scan.ending);
        // (A piece of the other file may be at its place there.)
        let is_other = scan.annotated == other.commands[..scan.annotated.len().min(other.commands.len())];
        assert!(is_other || scan.annotated == whole.commands[..scan.annotated.len()], "{what}");
        let good = scan.ending.good_to as usize;
        assert!(good <= bytes.len() && scan.ending.bad_bytes() == (bytes.len() - good) as u64, "{what}");
        if scan.ending.is_clean() && scan.ending.groups == 3 && scan.plain.is_empty() {
            assert!(scan.annotated == whole.commands || scan.annotated == other.commands, "{what}");
        }
        damaged += usize::from(!scan.ending.is_clean());
        // What may be kept is in order, and the same.
        let again = self::scan(&bytes[..good]);
        assert!(
            again.ending.is_clean() || scan.ending.delivered_to > scan.ending.good_to,
            "{what}, again {}",
            again.ending
        );
        assert_eq!(
            (again.annotated, again.plain, again.ending.crc),
            (scan.annotated, scan.plain, scan.ending.crc),
            "{what}"
        );
    }
    assert!(damaged > 15_000, "{damaged}");
}

#[test]
fn what_is_longer_than_a_group_does_not_wait() {
    let mut file = File::default();
    file.group(&["SET a 1"]);
    let units = ["SET b 2"; 100];
    file.plain(&units);
    let sizes = Sizes { read: 100, batch: 100, group: 500 };
    let mut scanner = Scanner::with_sizes(&file.bytes[..], 0, file.bytes.len() as u64, sizes);
    let mut longest = 0;
    while let Step::Batch(batch) = scanner.step().unwrap() {
        longest = longest.max(batch.bytes.len());
    }
    assert!((100..700).contains(&longest), "{longest}");
    // A line after all of that covers it; it was not waited for.
    file.group(&["SET c 3"]).group(&["SET d 4"]);
    let scan = scan_sized(&file.bytes, sizes);
    assert_eq!((scan.kind(), scan.ending.groups, scan.ending.verified_to), (None, 3, file.bytes.len() as u64));
    assert!(scan.plain.len() >= 95 && scan.annotated.len() < 8);
    // If it is wrong, what was given out may be, too: the file is good up to the first line only.
    let mut bytes = file.bytes.clone();
    bytes[file.groups[0].1 + 24] ^= 1;
    let scan = scan_sized(&bytes, sizes);
    assert_eq!(scan.kind(), Some(FaultKind::BadChecksum));
    assert!(scan.ending.delivered_to > scan.ending.verified_to);
    // One command alone is waited for, however long.
    let mut file = File::default();
    file.group(&["SET a 1"]).group(&[&format!("SET b {}", "x".repeat(3000))]).group(&["SET c 1"]);
    let scan = scan_sized(&file.bytes, sizes);
    assert_eq!((scan.kind(), scan.annotated), (None, file.commands));
}

#[test]
fn commands_behind_something_else() {
    let mut file = File { bytes: b"REDIS0011...".to_vec(), writer: Some(GroupWriter::new(12, 0)), ..File::default() };
    file.group(&["SET a 1"]).group(&["SET b 1"]);
    let mut scanner = Scanner::new(&file.bytes[12..], 12, file.bytes.len() as u64);
    let Step::Batch(batch) = scanner.step().unwrap() else { panic!() };
    assert_eq!((batch.offset, batch.len(), batch.annotated), (12, 2, true));
    assert_eq!(batch.commands().map(|command| command.offset).next(), Some(12));
    let Step::End(ending) = scanner.step().unwrap() else { panic!() };
    assert_eq!((ending.groups, ending.good_to), (2, file.bytes.len() as u64));
}

#[test]
fn a_file_that_shrinks() {
    let file = sample();
    let mut scanner = Scanner::new(&file.bytes[..file.groups[0].1 + 10], 0, file.bytes.len() as u64);
    let mut commands = 0;
    let ending = loop {
        match scanner.step().unwrap() {
            Step::Batch(batch) => commands += batch.len(),
            Step::End(ending) => break ending,
        }
    };
    assert_eq!(
        (commands, ending.good_to, ending.total),
        (file.groups[0].2, file.groups[0].1 as u64, file.groups[0].1 as u64 + 10)
    );
}

#[test]
fn places_that_no_span_can_tell() {
    let mut frames = Frames::default();
    for at in 0..6 {
        frames.commands.push(Framed { at: at * 10, spans: frames.spans.len() });
        frames.push(b"", at * 10, 0);
        frames.spans.push(crate::resp::ArgSpan { off: u32::MAX, len: at as u32 });
        frames.larges.push(vec![at as u8].into());
        frames.spans.push(crate::resp::ArgSpan { off: at as u32 * 10, len: 3 });
    }
    let rest = frames.split_off(4, 0, 40);
    assert_eq!((frames.commands.len(), frames.spans.len(), frames.larges.len()), (4, 12, 4));
    assert_eq!((rest.commands[1].at, rest.commands[1].spans, rest.larges[1].bytes()), (10, 3, &[5][..]));
    assert_eq!((rest.spans[4].len, rest.spans[5].off), (1, 10));
}
