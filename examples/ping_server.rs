//! The smallest server on `reactor` and `resp`: it answers PING, ECHO, SET, GET (one value for every key) and QUIT.
//!
//! It shows how the two rooms are used together, and is the floor under the real server's benchmarks: what is slower
//! than this is spent above floor 1. `cargo run --release --example ping_server [port]`, then redis-benchmark.
//!
//! The order within a turn is the real server's: everybody is read, then every request is executed, then everybody
//! is written to, once.

use std::time::Instant;

use bytes::Bytes;
use kvstash::reactor::{ConnId, Event, Reactor, ReadOutcome, WriteOutcome};
use kvstash::resp::{ArgSpan, Args, Limits, OwnedArgs, Parsed, Reply, RequestParser};

/// Bytes asked for in one read.
const READ_BYTES: usize = 16 * 1024;

#[derive(Default)]
struct Client {
    conn: Option<ConnId>,
    query: Vec<u8>,
    parser: RequestParser,
    reply: Reply,
    /// Told to be readable and not drained since.
    ready: bool,
    closing: bool,
}

#[derive(Default)]
struct Server {
    clients: Vec<Client>,
    spans: Vec<ArgSpan>,
    larges: Vec<Bytes>,
    value: OwnedArgs,
}

fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|p| p.parse().ok()).unwrap_or(7777);
    let mut reactor: Reactor<()> = Reactor::new()?;
    reactor.listen_tcp(([127, 0, 0, 1], port).into(), 511)?;
    let (mut server, mut events, mut ready) = (Server::default(), Vec::new(), Vec::<usize>::new());
    let started = Instant::now();
    loop {
        let wait = (!ready.is_empty()).then_some(std::time::Duration::ZERO);
        reactor.turn(started.elapsed().as_nanos() as u64, wait, &mut events)?;
        for event in events.drain(..) {
            match event {
                Event::Accepted { conn, .. } => server.accepted(conn),
                Event::Readable(conn) => {
                    let client = &mut server.clients[conn.index as usize];
                    if !client.ready {
                        client.ready = true;
                        ready.push(conn.index as usize);
                    }
                }
                Event::Writable(conn) => server.flush(&mut reactor, conn.index as usize),
                Event::AcceptFailed { error, .. } => eprintln!("accept: {error}"),
                Event::Signal(_) | Event::Mail(()) => (),
            }
        }
        let turn = std::mem::take(&mut ready);
        for &at in &turn {
            server.read(&mut reactor, at);
            server.execute(at);
        }
        for &at in &turn {
            server.flush(&mut reactor, at);
            if server.clients[at].ready {
                ready.push(at);
            }
        }
    }
}

impl Server {
    fn accepted(&mut self, conn: ConnId) {
        let at = conn.index as usize;
        if at >= self.clients.len() {
            self.clients.resize_with(at + 1, Client::default);
        }
        self.clients[at] = Client { conn: Some(conn), ..Client::default() };
    }

    fn read(&mut self, reactor: &mut Reactor<()>, at: usize) {
        let client = &mut self.clients[at];
        let Some(conn) = client.conn else { return };
        let outcome = match client.parser.large_target() {
            Some(target) => reactor.read(conn, target.into, target.room),
            None => reactor.read(conn, &mut client.query, READ_BYTES),
        };
        match outcome {
            ReadOutcome::Data { drained, .. } => client.ready = !drained,
            ReadOutcome::WouldBlock => client.ready = false,
            ReadOutcome::Eof | ReadOutcome::Failed(_) => (client.ready, client.closing) = (false, true),
        }
    }

    fn execute(&mut self, at: usize) {
        let client = &mut self.clients[at];
        let (limits, mut start) = (Limits::default(), 0);
        loop {
            self.spans.clear();
            self.larges.clear();
            let query = &client.query[start..];
            match client.parser.parse(query, &limits, &mut self.spans, &mut self.larges) {
                Parsed::Request { consumed, argc } => {
                    let args = Args::last(query, &self.spans, &self.larges, argc);
                    call(args, &mut client.reply, &mut self.value, &mut client.closing);
                    start += consumed;
                }
                Parsed::Incomplete { consumed } => {
                    start += consumed;
                    break;
                }
                Parsed::Error(error) => {
                    client.reply.error_bytes(&error.reply_text());
                    client.closing = true;
                    break;
                }
            }
        }
        if start == client.query.len() {
            client.query.clear();
        } else {
            client.query.drain(..start);
        }
    }

    fn flush(&mut self, reactor: &mut Reactor<()>, at: usize) {
        let client = &mut self.clients[at];
        let Some(conn) = client.conn else { return };
        let outcome = match client.reply.out.is_empty() {
            true => WriteOutcome::Drained,
            false => reactor.write(conn, &mut client.reply.out),
        };
        let over = match outcome {
            WriteOutcome::Drained => client.closing,
            WriteOutcome::Blocked => false,
            WriteOutcome::Failed(_) => true,
        };
        if over {
            reactor.close(conn);
            self.clients[at] = Client::default();
        }
    }
}

fn call(args: Args<'_>, reply: &mut Reply, value: &mut OwnedArgs, closing: &mut bool) {
    match (args[0].to_ascii_lowercase().as_slice(), args.len()) {
        (b"ping", 1) => reply.simple("PONG"),
        (b"ping" | b"echo", 2) => reply.bulk(&args[1]),
        (b"set", 3) => {
            *value = args.skip(2).into();
            reply.ok();
        }
        (b"get", 2) => match (value.view().take_large(0), value.view().get(0)) {
            (Some(large), _) => reply.shared_bulk(large.len(), [large]),
            (None, Some(small)) => reply.bulk(small),
            (None, None) => reply.null(),
        },
        (b"quit", _) => {
            reply.ok();
            *closing = true;
        }
        _ => reply.error("ERR unknown command"),
    }
}
