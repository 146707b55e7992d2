//! What happened outside goes to whom it concerns.

use super::notes;
use super::{Mail, Server};
use crate::exec::instance::Instance;
use crate::reactor::Event;

impl Server {
    /// Works off what the reactor has found.
    pub(super) fn route(&mut self, inst: &mut Instance, events: &mut Vec<Event<Mail>>) {
        for event in events.drain(..) {
            match event {
                Event::Accepted { conn, .. } => self.accept(inst, conn),
                Event::Readable(conn) => self.note_readable(inst, conn),
                Event::Writable(conn) => self.flush_later(inst, conn),
                // No link to another instance exists that could have asked for it.
                Event::Connected { conn, .. } => self.reactor.close(conn),
                Event::AcceptFailed { error, suppressed, .. } => notes::accept_failed(inst, &error, suppressed),
                Event::Signal(number) => self.on_signal(inst, number),
                Event::Mail(mail) => self.on_mail(inst, mail),
            }
        }
    }
}
