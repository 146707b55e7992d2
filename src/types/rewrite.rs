//! A value as the commands that make it from nothing: what an append-only file holds that is no RDB file.
//!
//! Each type's `rewrite.rs` says which; they are those of Redis. A collection is written in commands of
//! [`ITEMS_MAX`] elements, and what is written leaves at once: neither a large value nor its commands are ever there as a
//! whole.

use crate::collections::listpack::Item;
use crate::resp::{push_array_header, push_bulk, push_bulk_header};
use crate::util::num::push_f64;
use std::io;

/// So many elements are in one command.
pub const ITEMS_MAX: usize = 64;

/// What has gathered leaves when it is as long as this.
const GATHERED_MAX: usize = 64 << 10;

/// Where commands go.
pub trait CommandSink {
    /// Bytes that follow those before. A long argument comes in pieces.
    fn take(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// The last bytes were the end of a command.
    fn between(&mut self) -> io::Result<()>;
}

/// Commands on their way to a sink. After the first error nothing is written any more, and [`CommandWriter::finish`] says
/// which it was: so that who walks through a value need not look.
pub struct CommandWriter<'a> {
    sink: &'a mut dyn CommandSink,
    gathered: Vec<u8>,
    /// A part of the command that is being written has left.
    is_long: bool,
    failed: Option<io::Error>,
}

impl<'a> CommandWriter<'a> {
    /// Writes to this sink.
    pub fn new(sink: &'a mut dyn CommandSink) -> CommandWriter<'a> {
        CommandWriter { sink, gathered: Vec::with_capacity(2 * GATHERED_MAX), is_long: false, failed: None }
    }

    /// Begins a command of this name with so many arguments, which follow. The one before is complete.
    pub fn begin(&mut self, name: &str, args: usize) {
        if self.is_long || self.gathered.len() >= GATHERED_MAX {
            self.leave();
            self.between();
        }
        push_array_header(&mut self.gathered, args + 1);
        self.arg(name.as_bytes());
    }

    /// A whole command.
    pub fn command(&mut self, name: &str, args: &[&[u8]]) {
        self.begin(name, args.len());
        args.iter().for_each(|arg| self.arg(arg));
    }

    /// The next argument.
    pub fn arg(&mut self, bytes: &[u8]) {
        if bytes.len() < GATHERED_MAX {
            return push_bulk(&mut self.gathered, bytes);
        }
        self.arg_in_pieces(bytes.len(), std::iter::once(bytes));
    }

    /// A number as argument.
    pub fn arg_int(&mut self, n: i64) {
        self.arg(itoa::Buffer::new().format(n).as_bytes());
    }

    /// A number as argument.
    pub fn arg_uint(&mut self, n: u64) {
        self.arg(itoa::Buffer::new().format(n).as_bytes());
    }

    /// A number as argument, so that exactly this one is read back.
    pub fn arg_f64(&mut self, x: f64) {
        let mut text = Vec::with_capacity(32);
        push_f64(&mut text, x);
        self.arg(&text);
    }

    /// An element as argument.
    pub fn arg_item(&mut self, item: Item<'_>) {
        match item {
            Item::Int(n) => self.arg_int(n),
            Item::Bytes(bytes) => self.arg(bytes),
        }
    }

    /// An argument of `len` bytes that is nowhere as a whole.
    pub fn arg_in_pieces<'p>(&mut self, len: usize, pieces: impl Iterator<Item = &'p [u8]>) {
        push_bulk_header(&mut self.gathered, len);
        for piece in pieces {
            self.gathered.extend_from_slice(piece);
            if self.gathered.len() >= GATHERED_MAX {
                self.leave();
                self.is_long = true;
            }
        }
        self.gathered.extend_from_slice(b"\r\n");
    }

    /// Something that is no command.
    pub fn line(&mut self, line: &[u8]) {
        self.gathered.extend_from_slice(line);
    }

    /// Whether there is no use in going on.
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// The last command is complete: the rest leaves.
    pub fn finish(mut self) -> io::Result<()> {
        if !self.gathered.is_empty() {
            self.leave();
        }
        self.between();
        self.failed.map_or(Ok(()), Err)
    }

    fn leave(&mut self) {
        if self.failed.is_none() {
            self.failed = self.sink.take(&self.gathered).err();
        }
        self.gathered.clear();
    }

    fn between(&mut self) {
        self.is_long = false;
        if self.failed.is_none() {
            self.failed = self.sink.between().err();
        }
    }
}

/// The elements of a collection, in as many commands as they need.
pub(super) struct Elements<'w, 'a> {
    out: &'w mut CommandWriter<'a>,
    name: &'static str,
    key: &'w [u8],
    /// Elements to come, and arguments of each.
    left: usize,
    args: usize,
    /// Elements to come in the command that was begun.
    open: usize,
}

impl<'w, 'a> Elements<'w, 'a> {
    pub fn new(
        out: &'w mut CommandWriter<'a>,
        name: &'static str,
        key: &'w [u8],
        len: usize,
        args: usize,
    ) -> Elements<'w, 'a> {
        Elements { out, name, key, left: len, args, open: 0 }
    }

    /// The next element's arguments are to be written there.
    pub fn next(&mut self) -> &mut CommandWriter<'a> {
        if self.open == 0 {
            self.open = self.left.min(ITEMS_MAX);
            self.left -= self.open;
            self.out.begin(self.name, 1 + self.open * self.args);
            self.out.arg(self.key);
        }
        self.open -= 1;
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps what it is given; refuses more than so many bytes.
    struct Kept {
        bytes: Vec<u8>,
        ends: Vec<usize>,
        max: usize,
    }

    impl CommandSink for Kept {
        fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
            if self.bytes.len() + bytes.len() > self.max {
                return Err(io::Error::other("full"));
            }
            self.bytes.extend_from_slice(bytes);
            Ok(())
        }

        fn between(&mut self) -> io::Result<()> {
            self.ends.push(self.bytes.len());
            Ok(())
        }
    }

    fn kept(max: usize) -> Kept {
        Kept { bytes: Vec::new(), ends: Vec::new(), max }
    }

    #[test]
    fn elements_are_written_in_commands_of_64() {
        let mut sink = kept(usize::MAX);
        let mut out = CommandWriter::new(&mut sink);
        let mut elements = Elements::new(&mut out, "RPUSH", b"k", 130, 1);
        (0..130).for_each(|n| elements.next().arg_int(n));
        out.finish().unwrap();
        let text = String::from_utf8(sink.bytes).unwrap();
        let headers: Vec<&str> = text.lines().filter(|line| line.starts_with('*')).collect();
        assert_eq!(headers, ["*66", "*66", "*4"]);
        assert!(text.ends_with("*4\r\n$5\r\nRPUSH\r\n$1\r\nk\r\n$3\r\n128\r\n$3\r\n129\r\n"));
        assert_eq!(sink.ends, [text.len()]);
    }

    #[test]
    fn what_leaves_ends_between_commands() {
        let mut sink = kept(usize::MAX);
        let mut out = CommandWriter::new(&mut sink);
        let long = vec![b'x'; 300_000];
        for n in 0..20_000 {
            out.command("SET", &[b"key", &long[..n % 40]]);
        }
        // A long one leaves in parts, and what follows is not counted to it.
        out.command("SET", &[b"long", &long]);
        out.begin("SET", 2);
        out.arg(b"pieces");
        out.arg_in_pieces(long.len(), long.chunks(1000));
        out.command("SET", &[b"short", b"1"]);
        out.finish().unwrap();
        let starts: Vec<usize> = sink.ends.iter().copied().filter(|&end| end < sink.bytes.len()).collect();
        assert!(starts.len() > 10 && starts.iter().all(|&start| sink.bytes[start..].starts_with(b"*3\r\n$3\r\nSET")));
        let lengths: Vec<usize> = sink.ends.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(lengths.iter().all(|&len| len < 2 * GATHERED_MAX || len > long.len()), "{lengths:?}");
        assert_eq!(lengths.iter().filter(|&&len| len > long.len()).count(), 2);
    }

    #[test]
    fn the_first_error_is_the_one() {
        let mut sink = kept(100_000);
        let mut out = CommandWriter::new(&mut sink);
        assert!(!out.has_failed());
        (0..10).for_each(|_| out.command("SET", &[b"key", &[b'x'; 60_000]]));
        assert!(out.has_failed());
        assert_eq!(out.finish().unwrap_err().to_string(), "full");
        assert!(sink.bytes.len() <= 100_000);
    }
}
