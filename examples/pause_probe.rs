//! The waits of a client while a server saves: a steady load of writes, each one timed from its send to its reply.
//!
//! ```text
//! pause_probe PORT SECONDS RATE KEYS WORD...      e.g. pause_probe 6379 30 20000 5000000 SET key:# xxxxxxxxxxxxxxxx
//! ```
//!
//! `#` in a word becomes a number below KEYS, another one in each request. After a third of the time it asks for BGSAVE,
//! and tells the waits before, during and after the save apart. The load is open: a request is sent when it is due,
//! whether or not the ones before were answered, so that a pause is seen by all who would have met it.
//!
//! On a machine with few processors the waits of this program for a processor would be mistaken for the server's; run
//! it as a real-time process (`chrt -f 10`), which two threads that mostly sleep can afford.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::{Duration, Instant};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [port, seconds, rate, keys, words @ ..] = &args[..] else {
        eprintln!("usage: pause_probe PORT SECONDS RATE KEYS WORD...");
        std::process::exit(2);
    };
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let (port, seconds, rate, keys) = (number(port) as u16, number(seconds), number(rate), number(keys));
    let started = Instant::now();
    let stop = AtomicBool::new(false);
    let (waits, save) = std::thread::scope(|scope| {
        let load = scope.spawn(|| offer(port, rate, keys, words, started, &stop));
        let save = scope.spawn(|| save(port, Duration::from_secs(seconds), started));
        let save = save.join().expect("the thread that saves ends");
        stop.store(true, Relaxed);
        (load.join().expect("the load ends"), save)
    });
    report(&waits, save);
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("a server listens");
    stream.set_nodelay(true).expect("a TCP socket");
    stream
}

/// Sends requests at their times; returns the moment (since the start) and the wait of each, ns.
fn offer(port: u16, rate: u64, keys: u64, words: &[String], started: Instant, stop: &AtomicBool) -> Vec<(u64, u64)> {
    let mut out = connect(port);
    let mut back = out.try_clone().expect("a socket can be cloned");
    let (sent, asked) = mpsc::channel::<Instant>();
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut waits = Vec::with_capacity(1 << 20);
            let mut replies = Replies::default();
            let mut buffer = [0; 1 << 16];
            loop {
                let n = back.read(&mut buffer).expect("the connection lasts");
                let now = Instant::now();
                for _ in 0..replies.count(&buffer[..n]) {
                    let at: Instant = asked.recv().expect("every reply has a request");
                    waits.push(((at - started).as_nanos() as u64, (now - at).as_nanos() as u64));
                }
                if n == 0 {
                    return waits;
                }
            }
        });
        let (mut request, mut random) = (Vec::new(), 0x9e37_79b9_7f4a_7c15_u64);
        let mut due = Instant::now();
        while !stop.load(Relaxed) {
            request.clear();
            request.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
            for word in words {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let word = word.replace('#', &(random % keys).to_string());
                request.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
            }
            sent.send(Instant::now()).expect("the reader lives");
            out.write_all(&request).expect("the connection lasts");
            due += Duration::from_nanos(1_000_000_000 / rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        out.shutdown(std::net::Shutdown::Write).expect("the connection lasts");
        reader.join().expect("the reader ends")
    })
}

/// Counts replies that are one line, or a bulk of which the second line has no line break.
#[derive(Default)]
struct Replies {
    line: Vec<u8>,
    in_bulk: bool,
}

impl Replies {
    fn count(&mut self, bytes: &[u8]) -> usize {
        let mut count = 0;
        for &byte in bytes {
            self.line.push(byte);
            if byte != b'\n' {
                continue;
            }
            let first = self.line[0];
            assert!(self.in_bulk || first != b'-', "{}", self.line.escape_ascii());
            let opens_bulk = !self.in_bulk && first == b'$' && !self.line.starts_with(b"$-1");
            self.in_bulk = opens_bulk;
            count += usize::from(!opens_bulk);
            self.line.clear();
        }
        count
    }
}

/// BGSAVE after a third of the time; when it began and ended, ns since the start.
fn save(port: u16, all: Duration, started: Instant) -> (u64, u64) {
    let mut control = connect(port);
    let mut ask = |request: &str| {
        control.write_all(request.as_bytes()).expect("the connection lasts");
        let mut reply = vec![0; 1 << 16];
        let n = control.read(&mut reply).expect("the connection lasts");
        String::from_utf8_lossy(&reply[..n]).into_owned()
    };
    std::thread::sleep(all / 3);
    let since = started.elapsed();
    let reply = ask("BGSAVE\r\n");
    assert!(reply.starts_with('+'), "{reply}");
    while ask("INFO persistence\r\n").contains("rdb_bgsave_in_progress:1") {
        std::thread::sleep(Duration::from_millis(50));
    }
    let until = started.elapsed();
    std::thread::sleep((all / 3).max(all.saturating_sub(until)));
    (since.as_nanos() as u64, until.as_nanos() as u64)
}

fn report(waits: &[(u64, u64)], (since, until): (u64, u64)) {
    let warm = 1_000_000_000;
    println!("| when | seconds | writes | 50 %, µs | 99 % | 99.9 % | 99.99 % | longest | over 1 ms | over 2 ms |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (name, from, to) in [("before", warm, since), ("during BGSAVE", since, until), ("after", until, u64::MAX)] {
        let mut here: Vec<u64> =
            waits.iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, wait)| *wait).collect();
        if here.is_empty() {
            continue;
        }
        here.sort_unstable();
        let last = waits.last().map_or(0, |(at, _)| *at).min(to);
        let part = |of: f64| here[((here.len() - 1) as f64 * of) as usize] / 1000;
        let over = |ns: u64| here.iter().filter(|wait| **wait > ns).count();
        println!(
            "| {name} | {:.1} | {} | {} | {} | {} | {} | **{}** | {} | {} |",
            last.saturating_sub(from) as f64 / 1e9,
            here.len(),
            part(0.5),
            part(0.99),
            part(0.999),
            part(0.9999),
            part(1.0),
            over(1_000_000),
            over(2_000_000),
        );
    }
}
