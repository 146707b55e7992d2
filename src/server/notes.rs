//! The log lines of this room: fixed messages, values under keys.

use crate::client::{Client, Session};
use crate::exec::instance::{CloseReason, Instance};
use crate::observe::keys;
use crate::observe::log::Shown;
use crate::reactor::ConnId;

pub(super) fn poll_failed(inst: &Instance, error: &std::io::Error) {
    inst.log.warning("Waiting for events failed", &[(keys::ERROR, &Shown(error))]);
}

pub(super) fn accept_failed(inst: &Instance, error: &std::io::Error, suppressed: u64) {
    inst.log.warning("Accepting a connection failed", &[(keys::ERROR, &Shown(error)), ("suppressed", &suppressed)]);
}

pub(super) fn accepted(inst: &Instance, conn: ConnId) {
    if let Some(client) = inst.clients.of(conn) {
        inst.log.verbose("Accepted", &[(keys::ADDRESS, &client.connection.addr), (keys::CLIENT, &client.session.id)]);
    }
}

pub(super) fn denied(inst: &Instance, address: &str) {
    inst.log.verbose("Connection denied by protected mode", &[(keys::ADDRESS, &address)]);
}

pub(super) fn protocol_error(inst: &Instance, session: &Session, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let address = inst.clients.addr_of(session);
    inst.log.verbose("Protocol error from client", &[(keys::ADDRESS, &address), (keys::ERROR, &Shown(text))]);
}

pub(super) fn closed(inst: &Instance, client: Client<'_>, reason: CloseReason) {
    let about: crate::observe::log::Values<'_> = &[
        (keys::ADDRESS, &client.connection.addr),
        (keys::CLIENT, &client.session.id),
        ("owed_bytes", &client.session.reply.out.len()),
    ];
    match reason {
        CloseReason::Served | CloseReason::Broken => inst.log.verbose("Client closed connection", about),
        CloseReason::Killed => inst.log.verbose("Client killed", about),
        CloseReason::Idle => inst.log.verbose("Closing idle client", about),
        CloseReason::Evicted => {
            let memory = client.memory();
            let about: crate::observe::log::Values<'_> = &[
                (keys::ADDRESS, &client.connection.addr),
                (keys::CLIENT, &client.session.id),
                ("memory_bytes", &memory),
            ];
            inst.log.notice("Evicting client", about);
        }
        CloseReason::QueryBufferFull => {
            inst.log.warning("Closing client that reached max query buffer length", about);
        }
        CloseReason::OutputBufferFull => {
            let class = if client.session.is_subscriber() { "pubsub" } else { "normal" };
            let about: crate::observe::log::Values<'_> = &[
                (keys::ADDRESS, &client.connection.addr),
                (keys::CLIENT, &client.session.id),
                ("class", &class),
                ("owed_bytes", &client.session.reply.out.len()),
            ];
            inst.log.warning("Closing client for overcoming of output buffer limits.", about);
        }
    }
}
