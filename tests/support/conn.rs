//! A client connection for tests.

use super::Peer;
use super::resp::{Value, words};
use super::transcript;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proto {
    Resp2,
    Resp3,
}

pub struct Conn {
    stream: BufReader<TcpStream>,
    pub proto: Proto,
    pub peer: Peer,
}

/// No reply takes this long; a test that waits longer has found a hang.
const REPLY_LIMIT: Duration = Duration::from_secs(30);

impl Conn {
    pub fn open(port: u16, proto: Proto, peer: Peer) -> Conn {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(REPLY_LIMIT)).unwrap();
        let mut conn = Conn { stream: BufReader::new(stream), proto, peer };
        if proto == Proto::Resp3 {
            let hello = conn.cmd(&["HELLO", "3"]);
            assert!(matches!(hello, Value::Map(_)), "HELLO 3 answered {}", hello.text());
        }
        conn
    }

    // ---- one command ----

    /// Sends a command as an array of bulks and reads its reply.
    pub fn cmd<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Value {
        self.send(args);
        self.read()
    }

    /// The same for arguments of different lengths that are not text.
    pub fn cmd_bytes(&mut self, args: &[&[u8]]) -> Value {
        self.cmd(args)
    }

    /// Sends a command written as a line, with redis-cli's quoting.
    pub fn line(&mut self, line: &str) -> Value {
        self.cmd(&words(line))
    }

    #[track_caller]
    pub fn expect(&mut self, line: &str, text: &str) {
        let reply = self.line(line).text();
        assert_eq!(reply, text, "reply to {line:?} over {:?}", self.proto);
    }

    #[track_caller]
    pub fn ok(&mut self, line: &str) {
        self.expect(line, "OK");
    }

    #[track_caller]
    pub fn int(&mut self, line: &str) -> i64 {
        match self.line(line) {
            Value::Int(n) => n,
            other => panic!("{line:?} answered {}", other.text()),
        }
    }

    /// Runs a transcript: see [`transcript`].
    #[track_caller]
    pub fn talk(&mut self, script: &str) {
        transcript::run(self, script);
    }

    /// One field of INFO, in whatever section it stands.
    pub fn info(&mut self, field: &str) -> String {
        let info = self.line("INFO everything").string();
        let found = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':').map(str::to_string));
        found.unwrap_or_else(|| panic!("INFO has no field {field}"))
    }

    // ---- the parts of a command ----

    /// Sends without reading the reply.
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        self.raw(&encode(args));
    }

    /// Sends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// Sends bytes to a server that may close the connection meanwhile.
    pub fn try_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Says that nothing more is to come; replies can still be read.
    pub fn say_no_more(&mut self) {
        self.stream.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// Reads one reply.
    #[track_caller]
    pub fn read(&mut self) -> Value {
        match Value::read(&mut self.stream) {
            Ok(value) => value,
            Err(error) => panic!("no reply: {error}"),
        }
    }

    pub fn try_read(&mut self) -> io::Result<Value> {
        Value::read(&mut self.stream)
    }

    /// The next reply's text, if one comes within `limit`.
    pub fn read_within(&mut self, limit: Duration) -> Option<Value> {
        self.stream.get_ref().set_read_timeout(Some(limit)).unwrap();
        let reply = Value::read(&mut self.stream);
        self.stream.get_ref().set_read_timeout(Some(REPLY_LIMIT)).unwrap();
        match reply {
            Ok(value) => Some(value),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => None,
            Err(e) => panic!("waiting for a reply: {e}"),
        }
    }

    /// Whether the server has closed the connection; waits for it.
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(0) => true,
            Ok(_) => false,
            Err(e) => e.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    /// Sends all commands at once, then reads all replies.
    pub fn pipeline(&mut self, lines: &[&str]) -> Vec<Value> {
        let bytes: Vec<u8> = lines.iter().flat_map(|line| encode(&words(line))).collect();
        self.raw(&bytes);
        lines.iter().map(|_| self.read()).collect()
    }

    /// Another connection of the same kind to the same server.
    pub fn another(&self) -> Conn {
        Conn::open(self.stream.get_ref().peer_addr().unwrap().port(), self.proto, self.peer)
    }

    /// As [`Conn::another`], in the protocol that every connection begins with.
    pub fn another_plain(&self) -> Conn {
        Conn::open(self.stream.get_ref().peer_addr().unwrap().port(), Proto::Resp2, self.peer)
    }

    /// Reads a copy of the data set as primaries send it: empty lines while it is made, its length, its bytes; or a mark, its
    /// bytes, and the mark again.
    pub fn read_copy(&mut self) -> Vec<u8> {
        let line = self.copy_line();
        let head = line.strip_prefix('$').unwrap_or_else(|| panic!("no copy, but {line:?}"));
        if let Some(mark) = head.strip_prefix("EOF:") {
            let mut copy = Vec::new();
            while !copy.ends_with(mark.as_bytes()) {
                let mut byte = [0];
                self.stream.read_exact(&mut byte).unwrap();
                copy.push(byte[0]);
            }
            copy.truncate(copy.len() - mark.len());
            return copy;
        }
        let mut copy = vec![0; head.parse().unwrap()];
        self.stream.read_exact(&mut copy).unwrap();
        copy
    }

    /// The first line that is not empty.
    pub fn copy_line(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            if line != "\n" {
                return line.trim_end().to_owned();
            }
        }
    }

    /// The local address, as the server sees this client.
    pub fn addr(&self) -> String {
        self.stream.get_ref().local_addr().unwrap().to_string()
    }
}

/// A command as the wire has it.
pub fn encode<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}
