//! Whole files exchanged with real servers: every type in every encoding, filled there and loaded here, filled here
//! and loaded there, in each version of the format that the other side reads. Both sides must name the same digest,
//! the same encodings and the same deadlines.

use crate::support::{Conn, Peer, Server, TempDir, real_servers, real_valkey, under_test};
use std::fs;
use std::path::Path;

/// Thresholds lowered so that small keys show every encoding, and lists of compressed and of plain nodes.
const SETTINGS: [&str; 16] = [
    "--list-max-listpack-size",
    "16",
    "--list-compress-depth",
    "1",
    "--hash-max-listpack-entries",
    "32",
    "--set-max-intset-entries",
    "64",
    "--zset-max-listpack-entries",
    "32",
    "--stream-node-max-entries",
    "10",
    "--save",
    "",
    "--maxmemory-policy",
    "allkeys-lfu",
];

/// What a server can do, by its version.
#[derive(Clone, Copy)]
struct Able {
    /// Fields with deadlines, since 7.4.
    field_expiry: bool,
    /// Sets as listpacks, since 7.2.
    small_sets: bool,
    /// Digests with the digits that replies have, since 7.2; before, with 17 digits.
    short_scores: bool,
    /// A hash with deadlines shows that it has some: in its encoding, and in its digest. In Valkey it does not.
    timed_hashes_differ: bool,
    /// The newest version of Redis's format that it reads.
    rdb_version: u32,
}

impl Able {
    fn of(peer: Peer) -> Self {
        let version = match peer {
            Peer::Redis(major, minor) => (major, minor),
            Peer::Valkey(major, _) => {
                return Able {
                    field_expiry: major >= 9,
                    small_sets: true,
                    short_scores: true,
                    timed_hashes_differ: false,
                    rdb_version: 11,
                };
            }
            Peer::Kvstash => panic!("not a real server"),
        };
        let rdb_version = if version >= (7, 4) { 12 } else { 10 + u32::from(version >= (7, 2)) };
        Able {
            field_expiry: version >= (7, 4),
            small_sets: version >= (7, 2),
            short_scores: version >= (7, 2),
            timed_hashes_differ: true,
            rdb_version,
        }
    }
}

fn real(binary: &Path) -> Server {
    real_in(TempDir::new(), binary)
}

fn real_in(dir: TempDir, binary: &Path) -> Server {
    let mut args = vec!["--enable-debug-command", "yes"];
    args.extend(SETTINGS);
    Server::start_in(dir, binary, &args)
}

/// Texts that do not compress, that do, numbers of every width, and what looks like a number and is none.
fn items(count: usize) -> Vec<Vec<u8>> {
    let odd: [&[u8]; 12] = [
        b"",
        b"0",
        b"-1",
        b"4095",
        b"-40000",
        b"8388608",
        b"2147483648",
        b"-9223372036854775808",
        b"007",
        b"1.50",
        b"\x00\xff\r\n",
        b"-0",
    ];
    let made = (odd.len()..count).map(|i| match i % 4 {
        0 => format!("item:{i}").into_bytes(),
        1 => (i * 7919 * i).to_string().into_bytes(),
        2 => [format!("{i}:").as_bytes(), &vec![b'y'; i % 100]].concat(),
        _ => (0..i % 70 + 4)
            .map(|at| ((i * 31 + at * at * 7 + (at << (i % 5))) % 251) as u8)
            .chain(i.to_le_bytes())
            .collect(),
    });
    odd.iter().take(count).map(|item| item.to_vec()).chain(made).collect()
}

/// Fills a server. Nothing depends on the moment or on chance, so two servers are filled alike.
fn fill(kv: &mut Conn, able: Able) {
    let run = |kv: &mut Conn, command: &[&[u8]]| {
        let reply = kv.cmd_bytes(command);
        assert!(
            !reply.is_error(),
            "{:?}: {}",
            command.iter().map(|a| a.escape_ascii().to_string()).collect::<Vec<_>>(),
            reply.text()
        );
    };
    strings(kv, run);
    let scores: &[&str] = match able.short_scores {
        true => &["-inf", "0", "-0.25", "inf", "17179869184.5", "1e300", "0.1", "-1.1e-300"],
        false => &["-inf", "0", "-0.25", "inf", "17179869184.5"],
    };
    for (size, count) in [("small", 20), ("large", 500)] {
        let items = items(count);
        let name = |kind: &str| format!("{kind}:{size}").into_bytes();
        for (i, item) in items.iter().enumerate() {
            let number = i.to_string();
            let score = scores.get(i).copied().unwrap_or(&number);
            run(kv, &[b"RPUSH", &name("list"), item]);
            run(kv, &[b"SADD", &name("set"), item]);
            run(kv, &[b"HSET", &name("hash"), item, &items[count - 1 - i]]);
            run(kv, &[b"ZADD", &name("zset"), score.as_bytes(), item]);
            if !item.is_empty() {
                let id = format!("{}-{}", 1_700_000_000_000 + i / 3 * 1000, i % 3 + 1);
                run(kv, &[b"XADD", &name("stream"), id.as_bytes(), b"field", item, b"number", number.as_bytes()]);
            }
        }
    }
    for (name, step) in [("16", 300_i64), ("32", 300_000), ("64", 300_000_000_000)] {
        for i in -15..15 {
            run(kv, &[b"SADD", format!("set:intset:{name}").as_bytes(), (i * step).to_string().as_bytes()]);
        }
    }
    run(kv, &[b"RPUSH", b"list:plain", &vec![b'p'; 100_000], b"after", &vec![b'q'; 70_000]]);
    run(kv, &[b"HSET", b"hash:long", b"field", &[b'v'; 65]]);
    run(kv, &[b"ZADD", b"zset:long", b"2", &[b'm'; 65]]);
    run(kv, &[b"SADD", b"set:long", &[b'm'; 65], b"1"]);
    for i in 0..300 {
        run(kv, &[b"PFADD", b"hll:sparse", format!("visitor:{}", i % 50).as_bytes()]);
    }
    for chunk in items(5000).chunks(100) {
        let parts: Vec<&[u8]> =
            [b"PFADD" as &[u8], b"hll:dense"].into_iter().chain(chunk.iter().map(Vec::as_slice)).collect();
        run(kv, &parts);
    }
    run(kv, &[b"GEOADD", b"geo", b"13.361389", b"38.115556", b"Palermo", b"15.087269", b"37.502669", b"Catania"]);
    run(kv, &[b"SETBIT", b"bits", b"100000", b"1"]);
    groups(kv, run);
    if able.field_expiry {
        run(kv, &[b"HPEXPIREAT", b"hash:small", b"4102444800123", b"FIELDS", b"2", b"0", b"-1"]);
        run(kv, &[b"HPEXPIREAT", b"hash:large", b"4102444800456", b"FIELDS", b"3", b"0", b"item:12", b"item:16"]);
    }
    for key in ["list:small", "set:large", "hash:large", "zset:small", "stream:small", "string:long"] {
        run(kv, &[b"PEXPIREAT", key.as_bytes(), b"4102444800789"]);
    }
    run(kv, &[b"SELECT", b"9"]);
    run(kv, &[b"RPUSH", b"elsewhere", b"1", b"2"]);
    run(kv, &[b"SELECT", b"0"]);
}

fn strings(kv: &mut Conn, run: impl Fn(&mut Conn, &[&[u8]])) {
    for (i, item) in items(100).iter().enumerate() {
        run(kv, &[b"SET", format!("string:{i}").as_bytes(), item]);
    }
    run(kv, &[b"SET", b"string:long", &b"all work and no play ".repeat(10_000)]);
    run(kv, &[b"SET", b"", b"under the empty key"]);
}

/// Consumer groups: with and without pending entries, a consumer that has none, deleted entries, a trimmed stream.
fn groups(kv: &mut Conn, run: impl Fn(&mut Conn, &[&[u8]])) {
    for line in [
        "XGROUP CREATE stream:small first 0",
        "XREADGROUP GROUP first reader COUNT 5 STREAMS stream:small >",
        "XREADGROUP GROUP first other COUNT 3 STREAMS stream:small >",
        "XACK stream:small first 1700000000000-2",
        "XGROUP CREATECONSUMER stream:small first idle",
        "XGROUP CREATE stream:small second $ ENTRIESREAD 3",
        "XGROUP CREATE stream:small none-known 1700000001000-1",
        "XDEL stream:small 1700000001000-1",
        "XGROUP CREATE stream:large only 0",
        "XREADGROUP GROUP only reader COUNT 200 STREAMS stream:large >",
        "XTRIM stream:large MAXLEN 300",
        "XADD stream:emptied 5-5 a b",
        "XDEL stream:emptied 5-5",
        "XGROUP CREATE stream:made made $ MKSTREAM",
    ] {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        run(kv, &words);
    }
}

/// What tells values apart.
fn digest(kv: &mut Conn, key: &str, able: Able) -> String {
    if key.starts_with("hash:") && !able.timed_hashes_differ {
        return format!("{:?}", kv.cmd(&["HGETALL", key]).sorted());
    }
    kv.cmd(&["DEBUG", "DIGEST-VALUE", key]).text()
}

/// What both sides have to agree on, one line each.
fn told(kv: &mut Conn, able: Able) -> Vec<String> {
    let whole = if able.timed_hashes_differ { kv.line("DEBUG DIGEST").string() } else { String::new() };
    let mut lines = vec![format!("digest {whole}")];
    for key in kv.line("KEYS *").sorted() {
        let ask = |kv: &mut Conn, before: &[&str], after: &[&str]| {
            let mut command: Vec<&[u8]> = before.iter().map(|word| word.as_bytes()).collect();
            command.push(key.as_bytes());
            command.extend(after.iter().map(|word| word.as_bytes()));
            kv.cmd_bytes(&command).text()
        };
        let encoding = ask(kv, &["OBJECT", "ENCODING"], &[]);
        // Redis 8.2 has a string beside its key, and where it ends to be an embstr depends on both.
        let encoding = encoding.replace("embstr", "raw");
        // What was a listpack there may be a table here and the other way round, where the file knows but one form.
        let either = !able.small_sets && key.starts_with("set:") && !key.contains("intset")
            || !able.timed_hashes_differ && key.starts_with("hash:");
        let digest = digest(kv, &key, able);
        lines.push(format!(
            "{key:?} {} {digest} {}",
            if either { "" } else { &encoding },
            ask(kv, &["PEXPIRETIME"], &[])
        ));
        if key.starts_with("stream:") {
            for group in kv.cmd(&["XINFO", "GROUPS", &key]).items() {
                lines.push(format!("{key} {}", group.text()));
                let name = group.field("name").string();
                lines.push(format!("{key} {name} {}", ask(kv, &["XPENDING"], &[&name])));
                for consumer in kv.cmd(&["XINFO", "CONSUMERS", &key, &name]).items() {
                    lines.push(format!(
                        "{key} {name} {} {}",
                        consumer.field("name").text(),
                        consumer.field("pending").text()
                    ));
                }
            }
            for field in
                ["length", "last-generated-id", "max-deleted-entry-id", "entries-added", "recorded-first-entry-id"]
            {
                lines.push(format!("{key} {field} {}", kv.cmd(&["XINFO", "STREAM", &key]).field(field).text()));
            }
        }
        if able.field_expiry && key.starts_with("hash:") {
            for field in ["0", "-1", "item:12"] {
                lines.push(format!("{key} {field} {}", ask(kv, &["HPEXPIRETIME"], &["FIELDS", "1", field])));
            }
        }
    }
    lines
}

fn assert_same(what: &str, filled: &[String], loaded: &[String]) {
    for (a, b) in filled.iter().skip(1).zip(loaded.iter().skip(1)) {
        assert_eq!(a, b, "{what}: filled on the left, loaded on the right");
    }
    assert_eq!(filled, loaded, "{what}");
}

#[test]
fn theirs_are_loaded_with_an_equal_digest() {
    for binary in real_servers().into_iter().chain(real_valkey()) {
        for compression in ["yes", "no"] {
            let theirs = real(&binary);
            let (mut kv, able) = (theirs.connect(), Able::of(theirs.peer));
            kv.ok(&format!("CONFIG SET rdbcompression {compression}"));
            fill(&mut kv, able);
            kv.ok("SAVE");
            let dir = TempDir::new();
            fs::copy(theirs.dir.join("dump.rdb"), dir.join("dump.rdb")).unwrap();
            let ours = Server::start_in(dir, &under_test(), &SETTINGS);
            assert_same(&format!("{:?}", theirs.peer), &told(&mut kv, able), &told(&mut ours.connect(), able));
            // The same by RESTORE, key by key.
            let mut copy = ours.connect();
            copy.ok("FLUSHALL");
            for key in kv.line("KEYS *").sorted() {
                let payload = kv.cmd(&["DUMP", &key]);
                let reply = copy.cmd_bytes(&[b"RESTORE", key.as_bytes(), b"0", payload.bytes()]);
                assert_eq!(reply.text(), "OK", "{key}");
                kv.cmd(&["PERSIST", &key]);
                assert_eq!(digest(&mut kv, &key, able), digest(&mut copy, &key, able), "{key}");
            }
        }
    }
}

#[test]
fn ours_are_loaded_with_an_equal_digest() {
    for binary in real_servers().into_iter().chain(real_valkey()) {
        let peer = real(&binary).peer;
        let able = Able::of(peer);
        for version in (10..=able.rdb_version).map(|version| version.to_string()) {
            // Versions before 12 have no form for fields with deadlines.
            let able = Able { field_expiry: able.field_expiry && version == "12", small_sets: version != "10", ..able };
            for compression in ["yes", "no"] {
                let mut args = vec!["--rdb-version", &version, "--rdbcompression", compression];
                args.extend(SETTINGS);
                let ours = Server::start(&args);
                let mut kv = ours.connect();
                fill(&mut kv, able);
                kv.ok("SAVE");
                let dir = TempDir::new();
                fs::copy(ours.dir.join("dump.rdb"), dir.join("dump.rdb")).unwrap();
                let theirs = real_in(dir, &binary);
                let what = format!("version {version}, {peer:?}");
                assert_same(&what, &told(&mut kv, able), &told(&mut theirs.connect(), able));
            }
        }
    }
}

#[test]
fn what_only_valkey_has_is_named() {
    let Some(binary) = real_valkey() else { return };
    let theirs = real(&binary);
    let mut kv = theirs.connect();
    kv.ok("SET a 1");
    kv.ok("SAVE");
    let file = fs::read(theirs.dir.join("dump.rdb")).unwrap();
    assert!(file.starts_with(b"VALKEY"), "written by Valkey 9 or later");
    for (name, damage) in [("VALKEY999", &b"VALKEY999"[..]), ("SLOT_IMPORT", b"VALKEY080\xf3")] {
        let dir = TempDir::new();
        fs::write(dir.join("dump.rdb"), damage).unwrap();
        let checked = std::process::Command::new(under_test()).arg("check-rdb").arg(dir.join("dump.rdb")).output();
        let checked = checked.unwrap();
        assert_eq!(checked.status.code(), Some(1), "{name}");
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        let wanted = if name == "VALKEY999" { "Valkey's RDB format version 999" } else { name };
        assert!(said.contains(wanted), "{said}");
    }
    let checked = std::process::Command::new(under_test()).arg("check-rdb").arg(theirs.dir.join("dump.rdb")).output();
    let checked = checked.unwrap();
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert_eq!(checked.status.code(), Some(0), "{said}");
    assert!(said.contains("AUX FIELD valkey-ver") && said.contains("[info] 1 keys read"), "{said}");
}
