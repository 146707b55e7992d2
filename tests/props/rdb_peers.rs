//! Files exchanged with real servers: theirs are read and passed over, ours satisfy their checker and load.
//!
//! Uses the `redis-server` on the PATH and those that `KVSTASH_TEST_REDIS_ALL` names (paths joined with ':'). Without
//! any, says so and passes.

use kvstash::persist::check;
use kvstash::rdb::{
    Access, Checksum, Event, FileReader, RdbReader, RdbString, RdbWriter, ReadOptions, TypeOpcode, WriteOptions,
};
use kvstash::sys::disk::RealDisk;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn real_servers() -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Some(path) = std::env::var_os("PATH") {
        found.extend(std::env::split_paths(&path).map(|dir| dir.join("redis-server")).find(|file| file.exists()));
    }
    if let Some(more) = std::env::var_os("KVSTASH_TEST_REDIS_ALL") {
        found.extend(std::env::split_paths(&more));
    }
    if found.is_empty() {
        eprintln!("skipped: no redis-server on the PATH");
    }
    found
}

/// A real server in a directory of its own; both go with it.
struct Real {
    child: Child,
    port: u16,
    dir: PathBuf,
}

impl Real {
    fn start(binary: &Path, name: &str, prepare: impl FnOnce(&Path)) -> Real {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = std::env::temp_dir().join(format!("kvstash-peer-{name}-{port}"));
        std::fs::create_dir_all(&dir).unwrap();
        prepare(&dir.join("dump.rdb"));
        let child = Command::new(binary)
            .args(["--port", &port.to_string(), "--dir", dir.to_str().unwrap(), "--save", ""])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut real = Real { child, port, dir };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", real.port)).is_err() {
            assert!(real.child.try_wait().unwrap().is_none(), "the real server refused to start");
            assert!(Instant::now() < deadline, "the real server did not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
        while real.line("PING") != "+PONG\r\n" {
            assert!(Instant::now() < deadline, "the real server did not load its file");
            std::thread::sleep(Duration::from_millis(20));
        }
        real
    }

    /// Sends inline-free requests, returns the raw replies up to a final marker.
    fn talk(&self, requests: &[Vec<Vec<u8>>]) -> Vec<u8> {
        let mut out = Vec::new();
        let marker = vec![b"ECHO".to_vec(), b"the-end".to_vec()];
        for request in requests.iter().chain([&marker]) {
            out.extend(format!("*{}\r\n", request.len()).bytes());
            for arg in request {
                out.extend(format!("${}\r\n", arg.len()).bytes());
                out.extend(arg);
                out.extend(b"\r\n");
            }
        }
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(&out).unwrap();
        let (mut reply, mut chunk) = (Vec::new(), [0; 65536]);
        while !reply.ends_with(b"$7\r\nthe-end\r\n") {
            let n = stream.read(&mut chunk).unwrap();
            assert!(n > 0, "the real server closed");
            reply.extend_from_slice(&chunk[..n]);
        }
        reply.truncate(reply.len() - b"$7\r\nthe-end\r\n".len());
        reply
    }

    fn line(&self, words: &str) -> String {
        let request = words.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        String::from_utf8_lossy(&self.talk(&[request])).into_owned()
    }

    fn save(&self) -> Vec<u8> {
        assert_eq!(self.line("SAVE"), "+OK\r\n");
        std::fs::read(self.dir.join("dump.rdb")).unwrap()
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

type Strings = BTreeMap<(u64, Vec<u8>), (Vec<u8>, Option<i64>)>;

/// Strings at every threshold of the format, in two databases, some with an expiry.
fn strings() -> Strings {
    let mut all = Strings::new();
    let numbers = [0, 1, -1, 127, 128, -128, -129, 32767, 32768, -32769, i64::from(i32::MAX), i64::from(i32::MIN) - 1];
    for number in numbers.into_iter().chain([i64::MAX, i64::MIN]) {
        all.insert((0, format!("n{number}").into_bytes()), (number.to_string().into_bytes(), None));
        all.insert((3, number.to_string().into_bytes()), (b"keyed by a number".to_vec(), Some(4_102_444_800_123)));
    }
    for len in [0, 1, 20, 21, 63, 64, 100, 16_383, 16_384, 70_000, 1_000_000] {
        let noise = |i: u32| (i.wrapping_mul(i).wrapping_mul(2_654_435_761) >> 11) as u8;
        let texts: [Vec<u8>; 3] = [vec![b'x'; len], (0..len as u32).map(noise).collect(), {
            b"all work and no play ".iter().copied().cycle().take(len).collect()
        }];
        for (kind, text) in texts.into_iter().enumerate() {
            let expiry = (len % 2 == 1).then_some(4_102_444_800_000 + len as i64);
            all.insert((0, format!("text:{kind}:{len}").into_bytes()), (text, expiry));
        }
    }
    all
}

fn read_strings(file: &[u8]) -> (Strings, u32) {
    let options = ReadOptions { input_bytes: Some(file.len() as u64), ..ReadOptions::default() };
    let mut reader = FileReader::open(RdbReader::new(file, options)).unwrap();
    let (mut all, mut db) = (Strings::new(), 0);
    loop {
        match reader.next_event().unwrap() {
            Event::SelectDb(index) => db = index,
            Event::Key(info) => {
                assert_eq!(info.kind, TypeOpcode::String);
                let key = reader.key().to_vec();
                let value = reader.body().read_string().unwrap();
                if let RdbString::Int(number) = value {
                    assert!(i32::try_from(number).is_ok());
                }
                all.insert((db, key), (value.into_bytes(), info.expire_at_ms));
            }
            Event::Eof(checksum) => {
                assert_eq!(checksum, Checksum::Verified);
                assert_eq!(reader.check_end(checksum), Ok(0));
                return (all, reader.version());
            }
            _ => {}
        }
    }
}

fn write_strings(all: &Strings, version: u32, compression: bool) -> Vec<u8> {
    let mut file = Vec::new();
    let mut out = RdbWriter::new(&mut file, WriteOptions { version, compression, checksum: true });
    out.write_header().unwrap();
    out.write_aux(b"redis-ver", b"7.4.2").unwrap();
    for db in [0, 3] {
        let keys = all.iter().filter(|((in_db, _), _)| *in_db == db);
        out.write_select_db(db as u32).unwrap();
        out.write_resize_db(keys.clone().count() as u64, 1).unwrap();
        for (number, ((_, key), (value, expiry))) in keys.enumerate() {
            let access = match number % 3 {
                0 => Access::Unknown,
                1 => Access::IdleSeconds(100_000),
                _ => Access::Frequency(9),
            };
            out.write_key_header(TypeOpcode::String, key, *expiry, access).unwrap();
            match std::str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok()) {
                Some(number) => out.write_integer(number).unwrap(),
                None => out.write_pieces(value.len() as u64, || value.chunks(65_536)).unwrap(),
            }
        }
    }
    out.write_end().unwrap();
    drop(out);
    file
}

fn check_text(file: &Path) -> (u8, String) {
    let mut out = Vec::new();
    let code = check::run(&RealDisk, file, 1_700_000_000_000, &mut out).unwrap();
    (code, String::from_utf8(out).unwrap())
}

#[test]
fn their_strings_are_read() {
    for binary in real_servers() {
        for compression in ["yes", "no"] {
            let real = Real::start(&binary, "theirs", |_| {});
            let all = strings();
            let mut requests =
                vec![vec![b"CONFIG".to_vec(), b"SET".into(), b"rdbcompression".into(), compression.into()]];
            for ((db, key), (value, expiry)) in &all {
                requests.push(vec![b"SELECT".to_vec(), db.to_string().into_bytes()]);
                let mut set = vec![b"SET".to_vec(), key.clone(), value.clone()];
                if let Some(ms) = expiry {
                    set.extend([b"PXAT".to_vec(), ms.to_string().into_bytes()]);
                }
                requests.push(set);
            }
            real.talk(&requests);
            let (found, version) = read_strings(&real.save());
            assert!(found == all, "{}: other strings than were set", binary.display());
            assert!((10..=12).contains(&version));
            assert_eq!(check_text(&real.dir.join("dump.rdb")).0, 0);
        }
    }
}

#[test]
fn ours_are_read_by_them() {
    for binary in real_servers() {
        for compression in [true, false] {
            let all = strings();
            let ours = write_strings(&all, 10, compression);
            let real = Real::start(&binary, "ours", |path| std::fs::write(path, &ours).unwrap());
            assert_eq!(real.line("DBSIZE"), format!(":{}\r\n", all.keys().filter(|(db, _)| *db == 0).count()));
            for ((db, key), (value, expiry)) in &all {
                let select = vec![b"SELECT".to_vec(), db.to_string().into_bytes()];
                let get = vec![b"GET".to_vec(), key.clone()];
                let when = vec![b"PEXPIRETIME".to_vec(), key.clone()];
                let mut expected = format!("+OK\r\n${}\r\n", value.len()).into_bytes();
                expected.extend_from_slice(value);
                expected.extend(format!("\r\n:{}\r\n", expiry.unwrap_or(-1)).bytes());
                assert!(real.talk(&[select, get, when]) == expected, "{} differs", key.escape_ascii());
            }
            // What they make of it has the same strings again.
            assert!(read_strings(&real.save()).0 == all);
        }
    }
}

/// The checker of the real thing and ours print the same lines about the same file, ours or theirs.
#[test]
fn both_checkers_agree() {
    for binary in real_servers() {
        let real = Real::start(&binary, "check", |_| {});
        let newer = real.line("COMMAND INFO HEXPIRE").contains("hexpire");
        fill_every_type(&real, newer);
        let theirs = real.save();
        let dir = &real.dir;
        // Their tool is their server under another name.
        let tool = dir.join("redis-check-rdb");
        std::os::unix::fs::symlink(std::fs::canonicalize(&binary).unwrap(), &tool).unwrap();
        let ours = write_strings(&strings(), 10, true);
        let mut damaged = ours.clone();
        let at = damaged.len() - 3;
        damaged[at] ^= 0x40;
        let unchecked = [&ours[..ours.len() - 8], &[0; 8]].concat();
        let future = [b"REDIS0099", &ours[9..]].concat();
        let files: [(&str, &[u8]); 7] = [
            ("theirs", &theirs),
            ("ours", &ours),
            ("damaged", &damaged),
            ("unchecked", &unchecked),
            ("future", &future),
            ("cut", &ours[..ours.len() - 4]),
            ("other", b"something else altogether"),
        ];
        for (name, bytes) in files {
            let path = dir.join(name);
            std::fs::write(&path, bytes).unwrap();
            let output = Command::new(&tool).arg(&path).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let (code, text) = check_text(&path);
            assert_eq!(Some(i32::from(code)), output.status.code(), "{name}: {said}\n{text}");
            let keep = |text: &str| -> Vec<String> {
                // They count a failed checksum's place after it, and name a type before there is one.
                let unlike = |line: &str| {
                    line.contains("CRC error")
                        || line.contains("Reading type")
                        || line.contains("FUNCTION")
                        || line.contains("subexpires") && !newer
                };
                text.lines().filter(|line| !unlike(line)).map(strip_error_offset).collect()
            };
            assert_eq!(keep(&text), keep(&said), "{}: {name}", binary.display());
        }
    }
}

/// The place of an error is told more exactly here; the words are the same.
fn strip_error_offset(line: &str) -> String {
    let errors = ["Can't handle", "Wrong signature", "Unexpected EOF"];
    match line.split_once("] ") {
        Some((_, words)) if errors.iter().any(|error| words.starts_with(error)) => words.to_owned(),
        _ => line.to_owned(),
    }
}

fn fill_every_type(real: &Real, newer: bool) {
    let mut lines: Vec<String> = [
        "SET string value",
        "SET expiring value EX 100000",
        "RPUSH list:small a b 1 2",
        "SADD set:ints 1 2 70000 -5",
        "SADD set:small a b c",
        "HSET hash:small f v g 1",
        "ZADD zset:small 1 a 2.5 b inf c",
        "XADD stream 1-1 f v",
        "XADD stream 1-2 f v g w",
        "XDEL stream 1-1",
        "XGROUP CREATE stream group 0",
        "XREADGROUP GROUP group consumer STREAMS stream >",
        "XGROUP CREATECONSUMER stream group idle",
        "PFADD hll a b c",
    ]
    .map(str::to_owned)
    .to_vec();
    let many: Vec<String> = (0..2000).map(|i| format!("element:{i}:{}", "y".repeat(i % 90))).collect();
    for chunk in many.chunks(100) {
        lines.push(format!("RPUSH list:large {}", chunk.join(" ")));
        lines.push(format!("SADD set:large {}", chunk.join(" ")));
        lines.push(format!("HSET hash:large {}", chunk.join(" ")));
        lines.extend(chunk.iter().map(|text| format!("ZADD zset:large {} {text}", text.len())));
        lines.extend(chunk.iter().map(|text| format!("XADD stream:large * field {text}")));
    }
    lines.push(format!("RPUSH list:plain {}", "z".repeat(20_000)));
    if newer {
        lines.push("HEXPIRE hash:small 100000 FIELDS 1 f".to_owned());
        lines.push("HEXPIRE hash:large 100000 FIELDS 1 element:0:".to_owned());
    }
    let mut requests: Vec<Vec<Vec<u8>>> =
        lines.iter().map(|line| line.split(' ').map(|word| word.as_bytes().to_vec()).collect()).collect();
    let library = "#!lua name=lib\nredis.register_function('f', function() return 1 end)";
    requests.push(vec![b"FUNCTION".to_vec(), b"LOAD".to_vec(), library.as_bytes().to_vec()]);
    let replies = real.talk(&requests);
    let text = String::from_utf8_lossy(&replies);
    assert!(!text.lines().any(|line| line.starts_with('-')), "{text}");
}

/// Values of every type, passed over: each cut, and many damaged bytes, without the checksum's help.
#[test]
fn damaged_values_of_every_type_end_in_an_error_or_an_end() {
    for binary in real_servers() {
        let real = Real::start(&binary, "damage", |_| {});
        let newer = real.line("COMMAND INFO HEXPIRE").contains("hexpire");
        fill_every_type(&real, newer);
        real.line("DEL list:large set:large hash:large zset:large stream:large list:plain");
        if newer {
            real.line("HSET hash:fields a 1 b 2");
            real.line("HEXPIRE hash:fields 100000 FIELDS 1 b");
        }
        let file = real.save();
        let pass_over = |file: &[u8]| -> Result<(), kvstash::rdb::RdbError> {
            let options =
                ReadOptions { input_bytes: Some(file.len() as u64), checksum: false, ..ReadOptions::default() };
            let mut reader = FileReader::open(RdbReader::new(file, options))?;
            loop {
                match reader.next_event()? {
                    Event::Key(info) => drop(reader.skip_value(info.kind)?),
                    Event::Eof(checksum) => return reader.check_end(checksum).map(drop),
                    _ => {}
                }
            }
        };
        assert_eq!(pass_over(&file), Ok(()));
        for at in 0..file.len() {
            assert!(pass_over(&file[..at]).is_err(), "cut at {at}");
            let mut damaged = file.clone();
            for change in [1, 2, 4, 0x10, 0x40, 0x80, 0xFF] {
                damaged[at] = file[at] ^ change;
                let _ = pass_over(&damaged);
            }
        }
    }
}
