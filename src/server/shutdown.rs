//! The end: signals and SHUTDOWN, the last save, goodbye.
//!
//! A shutdown saves when there are save points (or SAVE was asked for), unless NOSAVE. When that save fails the
//! server goes on, as Redis does, unless FORCE: a data set that cannot be written is worth more alive. A data set
//! that is only half loaded is never saved: it would replace the whole one.

use std::sync::atomic::Ordering::Relaxed;

use super::Server;
use super::facts::{self, Milestone};
use crate::client::Attention;
use crate::exec::aof::AofState;
use crate::exec::error::CommandError;
use crate::exec::instance::{Alert, Instance, ShutdownOptions};
use crate::observe::keys;
use crate::sys::process;
use crate::sys::signals::Interrupts;

/// How far a shutdown is.
#[derive(Default)]
pub(super) struct Progress {
    asked: Option<ShutdownOptions>,
    /// A signal asked already; the second one does not wait for anything.
    signalled: bool,
}

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// The signals that come through the reactor.
pub(super) const WATCHED: [i32; 3] = [SIGHUP, SIGINT, SIGTERM];

impl Server {
    pub(super) fn on_signal(&mut self, inst: &mut Instance, number: i32) {
        let (name, configured) = match number {
            SIGHUP => return inst.reload_config(self),
            SIGINT => ("SIGINT", inst.config.server.shutdown_on_sigint),
            _ => ("SIGTERM", inst.config.server.shutdown_on_sigterm),
        };
        if self.shutdown.signalled && number == SIGINT {
            self.exit_at_once(inst);
        }
        self.shutdown.signalled = true;
        inst.log.warning("Received signal scheduling shutdown...", &[(keys::SIGNAL, &name)]);
        self.begin_shutdown(ShutdownOptions {
            save: configured.save,
            nosave: configured.nosave,
            now: configured.now,
            force: configured.force,
            by_signal: true,
        });
    }

    fn exit_at_once(&mut self, inst: &Instance) -> ! {
        inst.log.warning("You insist... exiting now.", &[]);
        self.stop_listening();
        std::process::exit(1);
    }

    /// Who began the shutdown with a signal need not wait for what it saves: the loop, which hears of signals otherwise,
    /// stands still meanwhile.
    fn save_for_the_last_time(&mut self, inst: &mut Instance, by_signal: bool) -> Result<(), String> {
        let interrupts = if by_signal { Interrupts::watch().ok() } else { None };
        if let Some(interrupts) = &interrupts {
            inst.saver.stop_at(interrupts.flag());
        }
        let saved = inst.save_now(self.wall_ms());
        if interrupts.is_some_and(|interrupts| interrupts.flag().load(Relaxed)) && saved.is_err() {
            self.exit_at_once(inst);
        }
        saved
    }

    pub(super) fn begin_shutdown(&mut self, options: ShutdownOptions) {
        self.shutdown.asked = Some(options);
    }

    pub(super) fn abort_shutdown(&mut self, inst: &mut Instance) {
        inst.log.notice("Shutdown manually aborted", &[]);
        self.shutdown = Progress::default();
        inst.end_shutdown();
        self.tell_shutdown_failed(inst);
    }

    /// Whoever asks for a shutdown in the middle of a script need not wait for its end. Half of what it does is not saved.
    pub(super) fn end_amid_script(&mut self, inst: &mut Instance) {
        if let Some(options) = &mut self.shutdown.asked {
            (options.save, options.nosave, options.now) = (false, true, true);
            if let Some(code) = self.shutdown_step(inst) {
                std::process::exit(code);
            }
        }
    }

    /// Does what a shutdown asked for needs. `Some(code)` when the process is to end.
    pub(super) fn shutdown_step(&mut self, inst: &mut Instance) -> Option<i32> {
        let options = self.shutdown.asked?;
        if !inst.may_shut_down(&options) {
            return None;
        }
        self.shutdown.asked = None;
        inst.log.notice("User requested shutdown...", &[]);
        facts::notify(&inst.config, &inst.log, Milestone::Stopping);
        let has_points = !inst.config.persistence.save.is_empty();
        inst.saver.abort_and_wait();
        if inst.aof.is_kept() && inst.aof.state == AofState::AwaitsRewrite && !options.force && !options.now {
            inst.log.warning("Writing initial AOF, can't exit.", &[]);
            self.shutdown = Progress::default();
            self.tell_shutdown_failed(inst);
            return None;
        }
        let half_loaded = inst.alert.has(Alert::LOADING);
        if (has_points || options.save) && !options.nosave && !half_loaded {
            inst.log.notice("Saving the final RDB snapshot before exiting.", &[]);
            if let Err(error) = self.save_for_the_last_time(inst, options.by_signal) {
                inst.log.warning("Error trying to save the DB, can't exit.", &[(keys::ERROR, &error)]);
                if !options.force {
                    self.shutdown = Progress::default();
                    self.tell_shutdown_failed(inst);
                    return None;
                }
                // As with Redis, who insists gets the same exit code as if all had gone well.
            }
        }
        inst.close_aof();
        inst.give_up_quorum();
        self.flush_all_now(inst);
        self.stop_listening();
        facts::remove_pidfile(&inst.config, &inst.log);
        inst.log.warning("Redis is now ready to exit, bye bye...", &[(keys::PID, &process::pid())]);
        Some(0)
    }

    /// Tells those who said SHUTDOWN that the server goes on, and runs what they sent after it.
    fn tell_shutdown_failed(&mut self, inst: &mut Instance) {
        inst.end_shutdown();
        let error = CommandError::fixed("ERR Errors trying to SHUTDOWN. Check logs.");
        inst.log.warning("Errors trying to shut down the server. Check the logs for more information.", &[]);
        let mut told = Vec::new();
        for client in inst.clients.iter_mut().filter(|c| c.session.attention.has(Attention::AWAITS_SHUTDOWN)) {
            client.session.attention.put(Attention::AWAITS_SHUTDOWN, false);
            if !client.session.attention.has(Attention::REPLY_OFF) {
                client.session.reply.error_bytes(error.as_bytes());
            }
            told.push(client.connection.conn);
        }
        for conn in told {
            inst.stats.errors.count(error.code());
            self.flush_later(inst, conn);
        }
        self.resume_all(inst);
    }
}
