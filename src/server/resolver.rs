//! The thread that looks up the names of other instances: one at a time, in order.
//!
//! A name server may keep it waiting for many seconds. Only links to other names wait with it, each until its own deadline;
//! addresses that are numbers never come here.

use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};

use super::host::Mail;
use crate::exec::link::Address;
use crate::reactor::Mailbox;
use crate::sys::sockets;

/// The way to the thread.
#[derive(Default)]
pub(super) struct Resolver {
    queue: Option<Sender<(u64, Address)>>,
}

/// What a name means.
#[derive(Debug)]
pub struct Resolved {
    /// The link that wants to know it.
    pub(super) link: u64,
    /// None: nobody has that name.
    pub(super) addresses: Vec<SocketAddr>,
}

impl Resolver {
    /// Has the thread look up a name. False if there can be no thread.
    pub(super) fn ask(&mut self, link: u64, address: Address, mailbox: impl FnOnce() -> Mailbox<Mail>) -> bool {
        if self.queue.is_none() {
            self.queue = start(mailbox());
        }
        self.queue.as_ref().is_some_and(|queue| queue.send((link, address)).is_ok())
    }
}

/// All addresses that a name has, or the one that it is.
pub(super) fn look_up(address: &Address) -> Vec<SocketAddr> {
    sockets::resolve(&address.host, address.port).unwrap_or_default()
}

/// The address, if it is a number.
pub(super) fn numeric(address: &Address) -> Option<SocketAddr> {
    let host = std::str::from_utf8(&address.host).ok()?;
    Some(SocketAddr::new(host.parse().ok()?, address.port))
}

fn start(mailbox: Mailbox<Mail>) -> Option<Sender<(u64, Address)>> {
    let (queue, arriving) = channel::<(u64, Address)>();
    let look_up_all = move || {
        for (link, address) in arriving {
            // Nobody takes mail any more only when the process is about to end.
            let _ = mailbox.send(Mail::Resolved(Resolved { link, addresses: look_up(&address) }));
        }
    };
    std::thread::Builder::new().name("resolver".to_owned()).spawn(look_up_all).ok()?;
    Some(queue)
}
