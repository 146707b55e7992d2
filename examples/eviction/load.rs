//! A client that uses a server as a cache: batches of GETs, then SETs of what was missing.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

const BATCH: usize = 64;
const VALUE: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Prints `hits requests`, of the last three quarters.
pub fn run(port: u16, requests: &[u32], lifetime: u64) {
    let words = if lifetime == 0 { 3 } else { 5 };
    let length = lifetime.to_string().len();
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("a server listens");
    stream.set_nodelay(true).expect("a TCP socket");
    let mut replies = BufReader::with_capacity(1 << 16, stream.try_clone().expect("a socket can be cloned"));
    let mut server = stream;
    let (mut out, mut missing) = (Vec::new(), Vec::new());
    let (mut hits, mut counted) = (0u64, 0u64);
    for (i, batch) in requests.chunks(BATCH).enumerate() {
        let counts = i * BATCH >= requests.len() / 4;
        out.clear();
        batch.iter().for_each(|key| write!(out, "*2\r\n$3\r\nGET\r\n$12\r\nkey:{key:08}\r\n").expect("a Vec takes it"));
        server.write_all(&out).expect("the connection lasts");
        missing.clear();
        for &key in batch {
            let hit = is_there(&mut replies);
            if !hit {
                missing.push(key);
            }
            hits += u64::from(hit && counts);
            counted += u64::from(counts);
        }
        out.clear();
        for key in &missing {
            write!(out, "*{words}\r\n$3\r\nSET\r\n$12\r\nkey:{key:08}\r\n${}\r\n{VALUE}\r\n", VALUE.len())
                .expect("a Vec takes it");
            if lifetime > 0 {
                write!(out, "$2\r\nEX\r\n${length}\r\n{lifetime}\r\n").expect("a Vec takes it");
            }
        }
        server.write_all(&out).expect("the connection lasts");
        for _ in &missing {
            assert_eq!(line(&mut replies), "+OK");
        }
    }
    println!("{hits} {counted}");
}

fn line(replies: &mut impl BufRead) -> String {
    let mut line = String::new();
    replies.read_line(&mut line).expect("the connection lasts");
    line.trim_end().to_owned()
}

/// Reads the reply to a GET.
fn is_there(replies: &mut impl BufRead) -> bool {
    let head = line(replies);
    let length: i64 = head.strip_prefix('$').and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{head}"));
    if length < 0 {
        return false;
    }
    let mut value = [0; VALUE.len() + 2];
    assert_eq!(length as usize, VALUE.len());
    replies.read_exact(&mut value).expect("the connection lasts");
    true
}
