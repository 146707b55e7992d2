//! The reactor against real loopback sockets. Every wait has an end, so a bug fails a test and does not hang it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::util::output_buffer::OutputBuffer;

struct Loop {
    reactor: Reactor<u32>,
    started: Instant,
    address: std::net::SocketAddr,
}

impl Loop {
    fn new() -> Self {
        let mut reactor = Reactor::new().unwrap();
        let id = reactor.listen_tcp("127.0.0.1:0".parse().unwrap(), 511).unwrap();
        let address = reactor.listener_address(id).unwrap();
        Self { reactor, started: Instant::now(), address }
    }

    fn turn(&mut self, wait_ms: u64) -> Vec<Event<u32>> {
        let mut out = Vec::new();
        let now_ns = self.started.elapsed().as_nanos() as u64;
        self.reactor.turn(now_ns, Some(Duration::from_millis(wait_ms)), &mut out).unwrap();
        out
    }

    /// Turns until `want` answers, for ten seconds at most.
    fn until<T>(&mut self, mut want: impl FnMut(&mut Reactor<u32>, Event<u32>) -> Option<T>) -> T {
        for _ in 0..1000 {
            let mut found = None;
            for event in self.turn(10) {
                found = found.or_else(|| want(&mut self.reactor, event));
            }
            if let Some(found) = found {
                return found;
            }
        }
        panic!("it never happened");
    }

    fn accepted(&mut self) -> ConnId {
        self.until(|_, event| match event {
            Event::Accepted { conn, .. } => Some(conn),
            _ => None,
        })
    }

    fn readable(&mut self, conn: ConnId) {
        self.until(|_, event| matches!(event, Event::Readable(id) if id == conn).then_some(()));
    }

    fn pair(&mut self) -> (TcpStream, ConnId) {
        let client = TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        (client, self.accepted())
    }
}

#[test]
fn a_request_and_its_reply() {
    let mut l = Loop::new();
    let (mut client, conn) = l.pair();
    assert!(l.reactor.contains(conn) && l.reactor.len() == 1 && !l.reactor.is_unix(conn));
    assert!(l.reactor.fd_number(conn) > 2);
    assert_eq!(l.reactor.peer_text(conn), client.local_addr().unwrap().to_string());
    assert_eq!(l.reactor.local_text(conn), l.address.to_string());
    client.write_all(b"hello").unwrap();
    l.readable(conn);
    let mut query = b"> ".to_vec();
    assert!(matches!(l.reactor.read(conn, &mut query, 3), ReadOutcome::Data { n: 3, drained: false }));
    assert!(matches!(l.reactor.read(conn, &mut query, 100), ReadOutcome::Data { n: 2, drained: true }));
    assert!(matches!(l.reactor.read(conn, &mut query, 100), ReadOutcome::WouldBlock));
    assert_eq!(query, b"> hello");
    let mut reply = OutputBuffer::new();
    reply.bytes_mut().extend_from_slice(b"+OK\r\n");
    assert!(matches!(l.reactor.write(conn, &mut reply, usize::MAX), WriteOutcome::Drained));
    let mut got = [0; 5];
    client.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"+OK\r\n");
    assert!(l.turn(20).is_empty(), "nothing more happened: no Writable that nobody asked for");
    l.reactor.close(conn);
    assert_eq!(client.read(&mut got).unwrap(), 0);
    assert!(l.reactor.is_empty());
}

#[test]
fn data_and_end_in_one_event_are_both_found() {
    let mut l = Loop::new();
    let (mut client, conn) = l.pair();
    client.write_all(b"PING\r\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    l.readable(conn);
    let mut query = Vec::new();
    assert!(matches!(l.reactor.read(conn, &mut query, 100), ReadOutcome::Data { n: 6, drained: false }));
    assert!(matches!(l.reactor.read(conn, &mut query, 100), ReadOutcome::Eof));
    // Half-closed: the answer still arrives.
    let mut reply = OutputBuffer::with_buffer(b"".to_vec());
    reply.bytes_mut().extend_from_slice(b"+PONG\r\n");
    assert!(matches!(l.reactor.write(conn, &mut reply, usize::MAX), WriteOutcome::Drained));
    l.reactor.close(conn);
    let mut got = Vec::new();
    client.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"+PONG\r\n");
}

#[test]
fn an_end_after_a_drained_read_raises_an_event() {
    let mut l = Loop::new();
    let (mut client, conn) = l.pair();
    client.write_all(b"a").unwrap();
    l.readable(conn);
    let mut query = Vec::new();
    assert!(matches!(l.reactor.read(conn, &mut query, 100), ReadOutcome::Data { drained: true, .. }));
    drop(client);
    l.readable(conn);
    assert!(matches!(l.reactor.read(conn, &mut query, 100), ReadOutcome::Eof));
}

#[test]
fn a_reset_is_a_failure_and_stale_ids_are_harmless() {
    let mut l = Loop::new();
    let (client, conn) = l.pair();
    let mut reply = OutputBuffer::new();
    reply.bytes_mut().extend_from_slice(b"never read");
    assert!(matches!(l.reactor.write(conn, &mut reply, usize::MAX), WriteOutcome::Drained));
    std::thread::sleep(Duration::from_millis(20));
    drop(client); // with unread data: a reset
    l.readable(conn);
    let mut query = Vec::new();
    match l.reactor.read(conn, &mut query, 100) {
        ReadOutcome::Failed(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        other => panic!("{other:?}"),
    }
    l.reactor.close(conn);
    l.reactor.close(conn);
    let (_client, next) = l.pair();
    assert_eq!(next.index, conn.index, "the slot is used again");
    assert_ne!(next, conn);
    assert!(matches!(l.reactor.read(conn, &mut query, 100), ReadOutcome::Failed(_)));
    assert!(matches!(l.reactor.write(conn, &mut reply, usize::MAX), WriteOutcome::Failed(_)));
    assert!(l.reactor.contains(next) && !l.reactor.contains(conn));
    assert_eq!(l.reactor.peer_text(conn), "?:0");
}

/// Writes far more than a socket takes, in blobs and bytes, to a client that reads it all at its own pace.
fn a_slow_reader_gets_everything(mut l: Loop, conn: ConnId, mut client: impl Read + Send + 'static) {
    let mut reply = OutputBuffer::new();
    let mut want = 0u64;
    for i in 0..200u8 {
        reply.bytes_mut().extend_from_slice(&[i; 1000]);
        reply.share(Bytes::from(vec![i; 100_000]));
        want += u64::from(i) * 101_000;
    }
    let total = reply.len();
    let reader = std::thread::spawn(move || {
        let (mut got, mut sum, mut buf) = (0, 0u64, vec![0; 50_000]);
        while got < total {
            let n = client.read(&mut buf).unwrap();
            assert!(n > 0);
            sum += buf[..n].iter().map(|b| u64::from(*b)).sum::<u64>();
            got += n;
            if got < 1_000_000 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        sum
    });
    let (mut blocked, mut more) = (0, 0);
    const AT_ONCE: usize = 10_000;
    loop {
        let before = reply.len();
        let outcome = l.reactor.write(conn, &mut reply, AT_ONCE);
        assert!(before - reply.len() <= AT_ONCE);
        match outcome {
            WriteOutcome::Drained => break,
            WriteOutcome::More => {
                more += 1;
                continue;
            }
            WriteOutcome::Blocked => blocked += 1,
            WriteOutcome::Failed(error) => panic!("{error}"),
        }
        l.until(|_, event| matches!(event, Event::Writable(id) if id == conn).then_some(()));
    }
    assert!(blocked > 0 && more > 0);
    assert_eq!(reader.join().unwrap(), want);
    assert!(!l.turn(20).iter().any(|event| matches!(event, Event::Writable(_))), "no longer wanted");
}

#[test]
fn slow_reader_over_tcp() {
    let mut l = Loop::new();
    let (client, conn) = l.pair();
    a_slow_reader_gets_everything(l, conn, client);
}

#[test]
fn slow_reader_over_unix() {
    let dir = std::env::temp_dir().join(format!("kvstash-reactor-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("kv.sock");
    let mut l = Loop::new();
    let listener = l.reactor.listen_unix(&path, Some(0o700), 16).unwrap();
    assert_eq!(l.reactor.listener_address(listener), None);
    let client = UnixStream::connect(&path).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let conn = l.accepted();
    assert!(l.reactor.is_unix(conn));
    assert_eq!(l.reactor.peer_text(conn), format!("{}:0", path.display()));
    std::fs::remove_dir_all(&dir).unwrap();
    a_slow_reader_gets_everything(l, conn, client);
}

#[test]
fn a_crowd_is_accepted_in_portions_without_sleeping() {
    let mut l = Loop::new();
    let count = ACCEPTS_PER_TURN + 20;
    let clients: Vec<_> = (0..count).map(|_| TcpStream::connect(l.address).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(50));
    let first = l.turn(1000).len();
    let began = Instant::now();
    let mut accepted = first;
    assert!(first <= ACCEPTS_PER_TURN);
    while accepted < count {
        accepted += l.turn(5000).iter().filter(|e| matches!(e, Event::Accepted { .. })).count();
    }
    assert!(began.elapsed() < Duration::from_secs(4), "a listener that is still ready is not slept on");
    assert_eq!(l.reactor.len(), count);
    drop(clients);
}

#[test]
fn mail_wakes_and_keeps_its_order() {
    let mut l = Loop::new();
    let mailbox = l.reactor.mailbox();
    let other = mailbox.clone();
    let sender = std::thread::spawn(move || (0..10_000).for_each(|i| other.send(i).unwrap()));
    let mut next = 0;
    l.until(|_, event| {
        if let Event::Mail(i) = event {
            assert_eq!(i, next);
            next += 1;
        }
        (next == 10_000).then_some(())
    });
    sender.join().unwrap();
    let began = Instant::now();
    let late = mailbox.clone();
    let sender = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        late.send(7).unwrap();
    });
    l.until(|_, event| matches!(event, Event::Mail(7)).then_some(()));
    assert!(began.elapsed() < Duration::from_secs(5));
    sender.join().unwrap();
    drop(l);
    assert_eq!(mailbox.send(1), Err(1), "the loop is gone");
}

#[test]
fn signals_are_events() {
    let mut l = Loop::new();
    l.reactor.watch_signals(&[signal_hook::consts::SIGUSR2]).unwrap();
    signal_hook::low_level::raise(signal_hook::consts::SIGUSR2).unwrap();
    let number = l.until(|_, event| match event {
        Event::Signal(number) => Some(number),
        _ => None,
    });
    assert_eq!(number, signal_hook::consts::SIGUSR2);
}

#[test]
fn connecting_out() {
    let mut l = Loop::new();
    let peer = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let conn = l.reactor.connect_tcp(peer.local_addr().unwrap(), None).unwrap();
    let connected = |wanted: ConnId| {
        move |_: &mut Reactor<u32>, event| match event {
            Event::Connected { conn, outcome } if conn == wanted => Some(outcome),
            Event::Readable(conn) | Event::Writable(conn) if conn == wanted => panic!("not before it is connected"),
            _ => None,
        }
    };
    l.until(connected(conn)).unwrap();
    // Now it is a connection as any other.
    let (mut other, _) = peer.accept().unwrap();
    other.write_all(b"hello").unwrap();
    l.until(|_, event| matches!(event, Event::Readable(id) if id == conn).then_some(()));
    let mut got = Vec::new();
    assert!(matches!(l.reactor.read(conn, &mut got, 100), ReadOutcome::Data { n: 5, .. }));
    let gone = peer.local_addr().unwrap();
    drop(peer);
    let refused = l.reactor.connect_tcp(gone, None).unwrap();
    assert_eq!(l.until(connected(refused)).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
}

/// A peer that speaks first: its greeting may arrive with the end of the handshake.
#[test]
fn what_comes_with_the_handshake_is_announced() {
    let mut l = Loop::new();
    let peer = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let conn = l.reactor.connect_tcp(peer.local_addr().unwrap(), None).unwrap();
    let (mut other, _) = peer.accept().unwrap();
    other.write_all(b"hello").unwrap();
    std::thread::sleep(Duration::from_millis(20));
    let mut is_connected = false;
    l.until(|_, event| match event {
        Event::Connected { conn: id, outcome } if id == conn => {
            outcome.unwrap();
            is_connected = true;
            None
        }
        Event::Readable(id) if id == conn => {
            assert!(is_connected);
            Some(())
        }
        _ => None,
    });
}

#[test]
fn a_closed_listener_refuses() {
    let mut l = Loop::new();
    l.reactor.close_listener(ListenerId(0));
    assert!(TcpStream::connect(l.address).is_err());
    let again = l.reactor.listen_tcp(l.address, 16).unwrap();
    assert_eq!(again, ListenerId(1), "ids are not used again");
    l.pair();
}

/// Runs itself in a process that may open few files, because the limit is the whole process's.
#[test]
fn out_of_descriptors_is_said_once_and_does_not_spin() {
    const CHILD: &str = "KVSTASH_TEST_FEW_DESCRIPTORS";
    if std::env::var_os(CHILD).is_none() {
        let name = "reactor::tests::out_of_descriptors_is_said_once_and_does_not_spin";
        let child = std::process::Command::new("sh")
            .args(["-c", "ulimit -n 40 && exec \"$0\" --exact \"$1\""])
            .args([std::env::current_exe().unwrap().as_os_str(), name.as_ref()])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        return assert!(child.status.success() && said.contains("1 passed"), "{said}");
    }
    let mut l = Loop::new();
    let mut clients = Vec::new();
    while let Ok(client) = TcpStream::connect(l.address) {
        clients.push(client);
    }
    drop(clients.drain(..clients.len() / 2 - 3)); // the other half stays connected, fewer descriptors are free
    let (mut accepted, mut failures, mut turns) = (Vec::new(), 0, 0);
    while l.started.elapsed() < Duration::from_millis(600) {
        turns += 1;
        for event in l.turn(1000) {
            match event {
                Event::Accepted { conn, .. } => accepted.push(conn),
                Event::AcceptFailed { error, suppressed, .. } => {
                    assert_eq!((error.raw_os_error(), suppressed), (Some(libc::EMFILE), 0));
                    failures += 1;
                }
                _ => (),
            }
        }
    }
    assert_eq!(failures, 1, "said once a second at most");
    assert!(turns < 100, "and it did not spin: {turns}");
    let waiting = accepted.len();
    accepted.drain(..5).for_each(|conn| l.reactor.close(conn));
    l.until(|_, event| match event {
        Event::Accepted { conn, .. } => {
            accepted.push(conn);
            (accepted.len() >= waiting).then_some(())
        }
        _ => None,
    });
}
