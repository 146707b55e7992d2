//! A link that is driven here and now, while everybody waits: what a transaction asks for cannot be answered later.
//!
//! The socket is a plain one that the reactor knows nothing of, and is not kept.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::resolver;
use crate::exec::link::{Link, Lost, Step, Time};
use crate::util::output_buffer::OutputBuffer;

/// So much is read at once.
const READ_BYTES: usize = 16 * 1024;

/// Drives a link until it is over.
pub(super) fn drive(link: &mut dyn Link, time: impl Fn() -> Time) {
    while converse(link, &time) == Step::Reconnect {}
}

fn converse(link: &mut dyn Link, time: &impl Fn() -> Time) -> Step {
    let addresses = match resolver::numeric(link.address()) {
        Some(address) => vec![address],
        None => resolver::look_up(link.address()),
    };
    let mut lost = Lost::Unreachable;
    let mut connected = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, left(link, time)) {
            Ok(stream) => {
                connected = Some(stream);
                break;
            }
            Err(error) if is_timeout(error.kind()) => return link.on_timer(time(), &mut OutputBuffer::new()),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => lost = Lost::Refused,
            Err(_) => lost = Lost::Unreachable,
        }
    }
    let Some(stream) = connected else { return link.on_close(time(), lost) };
    let _ = stream.set_nodelay(true); // slower without, and no worse
    let mut out = OutputBuffer::new();
    let mut step = link.on_open(time(), None, &mut out);
    while step == Step::Wait {
        step = match out.is_empty() {
            false => send(link, &stream, &mut out, time),
            true => receive(link, &stream, &mut out, time),
        };
    }
    step
}

fn send(link: &mut dyn Link, mut stream: &TcpStream, out: &mut OutputBuffer, time: &impl Fn() -> Time) -> Step {
    let sent = match out.chunks().next() {
        Some(chunk) => stream.set_write_timeout(Some(left(link, time))).and_then(|()| stream.write(chunk)),
        None => Ok(0),
    };
    match sent {
        Ok(n) => {
            out.advance(n);
            link.on_sent(time(), out.len());
            Step::Wait
        }
        Err(error) => failed(link, error.kind(), time),
    }
}

fn receive(link: &mut dyn Link, mut stream: &TcpStream, out: &mut OutputBuffer, time: &impl Fn() -> Time) -> Step {
    let mut input = [0; READ_BYTES];
    match stream.set_read_timeout(Some(left(link, time))).and_then(|()| stream.read(&mut input)) {
        Ok(0) => link.on_close(time(), Lost::Closed),
        Ok(n) => link.on_bytes(time(), &input[..n], out),
        Err(error) => failed(link, error.kind(), time),
    }
}

fn failed(link: &mut dyn Link, kind: ErrorKind, time: &impl Fn() -> Time) -> Step {
    match kind {
        ErrorKind::Interrupted => Step::Wait,
        kind if is_timeout(kind) => link.on_timer(time(), &mut OutputBuffer::new()),
        _ => link.on_close(time(), Lost::Closed),
    }
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// How long a call may take; it must not be nothing, which would be for ever.
fn left(link: &dyn Link, time: &impl Fn() -> Time) -> Duration {
    let left_ns = link.next_deadline().saturating_sub(time().mono_ns);
    Duration::from_nanos(left_ns).max(Duration::from_millis(1))
}
