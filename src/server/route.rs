//! What happened outside goes to whom it concerns.

use super::notes;
use super::peer::Peer;
use super::{Mail, Server};
use crate::exec::instance::Instance;
use crate::reactor::Event;

impl Server {
    /// Works off what the reactor has found.
    pub(super) fn route(&mut self, inst: &mut Instance, events: &mut Vec<Event<Mail>>) {
        for event in events.drain(..) {
            match event {
                Event::Accepted { conn, .. } => self.accept(inst, conn),
                Event::Readable(conn) => match self.peer(inst, conn) {
                    Some(Peer::Client | Peer::Replica) => self.note_readable(inst, conn),
                    Some(Peer::Link) => self.link_readable(conn),
                    None => {} // it was closed after the kernel said so
                },
                Event::Writable(conn) => match self.peer(inst, conn) {
                    Some(Peer::Client | Peer::Replica) => self.flush_later(inst, conn),
                    Some(Peer::Link) => self.link_writable(conn),
                    None => {}
                },
                Event::Connected { conn, outcome } => self.link_connected(conn, &outcome),
                Event::AcceptFailed { error, suppressed, .. } => notes::accept_failed(inst, &error, suppressed),
                Event::Signal(number) => self.on_signal(inst, number),
                Event::Mail(mail) => self.on_mail(inst, mail),
            }
        }
    }
}
