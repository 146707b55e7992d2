//! What replicas are sent: the file with the copy of the data set, piece by piece, and then the feed.
//!
//! Nothing is copied for a single replica: a slice of the feed is shared by the output buffers of all that follow. How far
//! a replica may fall behind is the affair of its output limit (`client-output-buffer-limit replica`).

use std::io::{self, Read};

use bytes::Bytes;

use super::Server;
use crate::exec::instance::{CloseReason, Instance};
use crate::observe::keys;
use crate::persist::SaveOutcome;
use crate::reactor::ConnId;
use crate::sys::disk::{Disk, DiskFile, RealDisk};

/// Of a file so much is read at once,
const PIECE_BYTES: usize = 64 * 1024;

/// while less than this waits to be sent.
const WAITING_BYTES_MAX: usize = 256 * 1024;

/// A file on its way to one replica.
pub(super) struct Transfer {
    conn: ConnId,
    file: Box<dyn DiskFile>,
    /// Bytes of it that were not read yet.
    left: u64,
}

impl Server {
    /// The snapshot thread has made a copy, or has failed to.
    pub(super) fn copy_is_made(&mut self, inst: &mut Instance, outcome: &SaveOutcome) {
        let waiting = inst.copy_is_made(outcome);
        if outcome.result.is_err() {
            return;
        }
        let path = inst.copy_path();
        for conn in waiting {
            let opened = RealDisk.open(&path).and_then(|file| Ok((file.len()?, file)));
            match opened {
                Ok((left, file)) => {
                    if let Some(client) = inst.clients.of_mut(conn) {
                        client.session.reply.out.bytes_mut().extend_from_slice(format!("${left}\r\n").as_bytes());
                        self.transfers.push(Transfer { conn, file, left });
                    }
                }
                Err(error) => self.cannot_send(inst, conn, &error),
            }
        }
        // It stays readable for those who have opened it.
        let _ = RealDisk.remove(&path);
    }

    fn cannot_send(&self, inst: &mut Instance, conn: ConnId, error: &io::Error) {
        inst.log.warning("Can't read the copy for a replica", &[(keys::ERROR, &error.to_string())]);
        inst.close_later(conn, CloseReason::Broken);
    }

    /// Before sleep: every replica gets what there is for it.
    pub(super) fn feed_replicas(&mut self, inst: &mut Instance) {
        if inst.replication.replicas.is_empty() {
            return;
        }
        inst.replication.ask_how_far();
        // What is kept for a replica that is still being sent a copy counts as what it has not read.
        let limit = inst.config.limits.client_output_buffer_limit.replica;
        for conn in inst.replication.too_late(limit, inst.now_ms) {
            inst.close_later(conn, CloseReason::OutputBufferFull);
        }
        let mut at = 0;
        while at < self.transfers.len() {
            if self.send_piece(inst, at) {
                self.transfers.swap_remove(at);
            } else {
                at += 1;
            }
        }
        for at in 0..inst.replication.replicas.len() {
            let conn = inst.replication.replicas[at].conn;
            let Some(client) = inst.clients.of_mut(conn) else { continue };
            let out = &mut client.session.reply.out;
            if inst.replication.read_for(at, |bytes| out.share(bytes)) {
                self.flush_later(inst, conn);
            }
        }
    }

    /// Reads on in a file, as far as its receiver keeps up. True when there is nothing more to be done for it.
    fn send_piece(&mut self, inst: &mut Instance, at: usize) -> bool {
        let Transfer { conn, file, left } = &mut self.transfers[at];
        let conn = *conn;
        let Some(client) = inst.clients.of_mut(conn) else { return true };
        while *left > 0 && client.session.reply.out.len() < WAITING_BYTES_MAX {
            let mut piece = vec![0; PIECE_BYTES.min(usize::try_from(*left).unwrap_or(PIECE_BYTES))];
            match file.read_exact(&mut piece) {
                Ok(()) => {
                    *left -= piece.len() as u64;
                    client.session.reply.out.share(Bytes::from(piece));
                }
                Err(error) => {
                    self.cannot_send(inst, conn, &error);
                    return true;
                }
            }
        }
        let is_done = *left == 0;
        self.flush_later(inst, conn);
        if is_done && !inst.copy_is_sent(conn) {
            self.close_when_sent(inst, conn);
        }
        is_done
    }

    fn close_when_sent(&self, inst: &mut Instance, conn: ConnId) {
        if let Some(client) = inst.clients.of_mut(conn) {
            client.session.close_after_reply();
        }
    }

    /// A file could be read on, because all that was read of it is sent.
    pub(super) fn has_idle_transfer(&self, inst: &Instance) -> bool {
        self.transfers
            .iter()
            .any(|transfer| inst.clients.of(transfer.conn).is_some_and(|client| client.session.reply.out.is_empty()))
    }

    /// Now and then: pings, signs of life for those that wait.
    pub(super) fn replication_cron(&mut self, inst: &mut Instance) {
        for conn in inst.replication_cron() {
            if let Some(client) = inst.clients.of_mut(conn) {
                client.session.reply.out.bytes_mut().push(b'\n');
                self.flush_later(inst, conn);
            }
        }
    }
}
