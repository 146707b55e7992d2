//! The append buffer: what goes to the append-only file, until its writer takes it.
//!
//! The file has bytes of its own, not those of the feed: it names the database again wherever a file begins, it notes the
//! time, and it leaves out what only replicas repeat. Each is encoded from the same requests.

use super::encode::encode;
use crate::db::{Op, Target};
use crate::util::num;

/// See the module's header.
#[derive(Default)]
pub struct AppendBuffer {
    bytes: Vec<u8>,
    /// The offset behind the last byte, since the start of the process.
    end: u64,
    /// The database that the last command was for; none when the next one must name its own.
    db: Option<u32>,
    /// The second that was last noted.
    noted_s: i64,
}

impl AppendBuffer {
    /// The offset behind the last byte.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Bytes in it.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing waits to be taken.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What is there is not to wait for the end of the turn: groups do not get too long.
    pub fn is_large(&self) -> bool {
        self.bytes.len() > LARGE_BYTES
    }

    /// A file begins here: the next command names its database and, where times are noted, its time.
    pub fn begin_file(&mut self) {
        self.db = None;
        self.noted_s = 0;
    }

    /// Appends what one unit of work has done, as far as a file is to keep it. With `now_s`, the unix time, a line before
    /// the first unit of each second says so: `aof-timestamp-enabled`.
    pub fn emit<'a>(&mut self, ops: impl Iterator<Item = Op<'a>> + Clone, now_s: Option<i64>) {
        let ops = ops.filter(|op| op.target != Target::Replicas);
        if ops.clone().next().is_none() {
            return;
        }
        let AppendBuffer { bytes, end, db, noted_s } = self;
        let before = bytes.len();
        if let Some(now_s) = now_s.filter(|now_s| now_s != noted_s) {
            *noted_s = now_s;
            bytes.extend_from_slice(b"#TS:");
            num::push_i64(bytes, now_s);
            bytes.extend_from_slice(b"\r\n");
        }
        encode(ops, db, |more| bytes.extend_from_slice(more));
        *end += (bytes.len() - before) as u64;
    }

    /// What is there, for the writer, which gives an empty buffer in exchange.
    pub fn swap(&mut self, empty: &mut Vec<u8>) {
        debug_assert!(empty.is_empty(), "what is given in exchange is lost");
        std::mem::swap(&mut self.bytes, empty);
    }

    /// Forgets what nobody will write.
    pub fn clear(&mut self) {
        self.bytes = Vec::new();
    }

    /// Bytes of memory that it takes.
    pub fn memory(&self) -> usize {
        self.bytes.capacity()
    }
}

/// See [`AppendBuffer::is_large`].
const LARGE_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn op(db: u32, target: Target, text: &'static str) -> Op<'static> {
        Op { db, target, request: text.as_bytes() }
    }

    fn taken(buffer: &mut AppendBuffer) -> String {
        let mut bytes = Vec::new();
        buffer.swap(&mut bytes);
        String::from_utf8(bytes).unwrap().replace("\r\n", " ")
    }

    #[test]
    fn each_file_names_its_database_and_time() {
        let mut buffer = AppendBuffer::default();
        buffer.emit([op(0, Target::All, "A ")].into_iter(), Some(7));
        buffer.emit([op(0, Target::All, "B ")].into_iter(), Some(7));
        assert_eq!(taken(&mut buffer), "#TS:7 *2 $6 SELECT $1 0 A B ");
        buffer.emit([op(0, Target::All, "C ")].into_iter(), Some(8));
        assert_eq!(taken(&mut buffer), "#TS:8 C ");
        buffer.begin_file();
        buffer.emit([op(0, Target::All, "D ")].into_iter(), None);
        assert_eq!(taken(&mut buffer), "*2 $6 SELECT $1 0 D ");
        let end = buffer.end();
        buffer.emit([op(0, Target::All, "E ")].into_iter(), None);
        assert_eq!(buffer.end(), end + 2);
        buffer.clear();
        assert!(buffer.is_empty());
    }

    #[test]
    fn what_only_replicas_repeat_is_not_kept() {
        let mut buffer = AppendBuffer::default();
        buffer.emit([op(0, Target::Replicas, "PUBLISH ")].into_iter(), Some(1));
        assert!(buffer.is_empty() && buffer.end() == 0);
        let unit = [op(0, Target::Replicas, "PUBLISH "), op(0, Target::All, "SET "), op(0, Target::File, "GET ")];
        buffer.emit(unit[..2].iter().copied(), None);
        assert_eq!(taken(&mut buffer), "*2 $6 SELECT $1 0 SET ", "one command is no transaction");
        buffer.emit(unit.into_iter(), None);
        assert_eq!(taken(&mut buffer), "*1 $5 MULTI SET GET *1 $4 EXEC ");
    }
}
