//! A replica for tests: takes the copy of the data set, then reads the stream of writes.

use super::{Conn, Value};

/// What a primary sends to one replica.
pub struct Stream {
    conn: Conn,
    /// The copy of the data set, as a file.
    pub copy: Vec<u8>,
    db: String,
}

impl Stream {
    /// Attaches by SYNC, as Redis's own suite does.
    pub fn attach(kv: &Conn) -> Stream {
        let mut conn = kv.another_plain();
        conn.raw(b"SYNC\r\n");
        let copy = conn.read_copy();
        Stream { conn, copy, db: "0".to_owned() }
    }

    /// The next command, arguments separated by blanks; SELECT is not shown but where the database changes: `[3] SET k v`.
    pub fn next(&mut self) -> String {
        loop {
            let Value::Array(args) = self.conn.read() else { panic!("a stream consists of commands") };
            let args: Vec<String> = args.iter().map(Value::string).collect();
            match args[0].to_ascii_uppercase().as_str() {
                "PING" => {}
                "SELECT" => self.db = args[1].clone(),
                name => {
                    let mut line = args[1..].iter().fold(name.to_owned(), |line, arg| line + " " + arg);
                    if self.db != "0" {
                        line = format!("[{}] {line}", self.db);
                    }
                    return line;
                }
            }
        }
    }

    /// All commands up to the one that is made for this: `kv` does a write that nothing else does.
    pub fn so_far(&mut self, kv: &mut Conn) -> Vec<String> {
        kv.line("SELECT 0");
        kv.line("SET stream:mark 1");
        let mut lines = Vec::new();
        loop {
            match self.next() {
                line if line == "SET stream:mark 1" => return lines,
                line => lines.push(line),
            }
        }
    }

    /// The connection, to be spoken to.
    pub fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }
}
