//! A changed configuration takes effect: for CONFIG SET, where a failure undoes everything, and for SIGHUP.

use crate::config::choice::{LogFormat, LogLevel, OomScoreAdj};
use crate::config::{Apply, Changes, Config, Place, Row};
use crate::exec::ctx::Host;
use crate::exec::instance::Instance;
use crate::observe::keys;
use crate::observe::log::{Format, Level, Shown};
use crate::sys::allocator;

/// A parameter that could not take effect, and why.
pub struct Failed {
    /// The parameter.
    pub row: &'static Row,
    /// Why.
    pub why: String,
}

/// The logger's level for a configured one.
pub fn level(config: &Config) -> Level {
    match config.observability.loglevel {
        LogLevel::Debug => Level::Debug,
        LogLevel::Verbose => Level::Verbose,
        LogLevel::Notice => Level::Notice,
        LogLevel::Warning => Level::Warning,
        LogLevel::Nothing => Level::Nothing,
    }
}

/// The logger's format for a configured one.
pub fn format(config: &Config) -> Format {
    match config.observability.log_format {
        LogFormat::Line => Format::Text,
        LogFormat::Json => Format::Json,
    }
}

impl Instance {
    /// Makes `changes`, which are in `self.config` already, take effect. When one cannot, everything is as before and
    /// the culprit is returned.
    pub fn apply(&mut self, changes: Changes, host: &mut dyn Host) -> Result<(), Failed> {
        for (what, row) in changes.applies() {
            if let Err(why) = self.apply_one(what, host) {
                let why = self.for_clients(row, why);
                let applied = changes.applies();
                self.config.roll_back(changes);
                for (what, _) in applied.iter().take_while(|(_, r)| r.name() != row.name()) {
                    let undone = self.apply_one(*what, host);
                    if let Err(why) = undone {
                        self.log.warning("Can't go back to the configuration before", &[(keys::REASON, &why)]);
                    }
                }
                self.config_changed();
                return Err(Failed { row, why });
            }
        }
        for row in changes.rows() {
            self.log.verbose(
                "Configuration changed",
                &[(keys::PARAMETER, &row.name()), (keys::VALUE, &row.loggable(&self.config))],
            );
        }
        self.config_changed();
        Ok(())
    }

    /// What a client is told of a failure. Why a socket could not be opened is for the log.
    fn for_clients(&self, row: &Row, why: String) -> String {
        let told = match row.name() {
            "port" => "Unable to listen on this port. Check server logs.",
            "bind" => "Failed to bind to specified addresses.",
            _ => return why,
        };
        self.log.warning("Can't listen as configured", &[(keys::PARAMETER, &row.name()), (keys::REASON, &why)]);
        told.to_owned()
    }

    fn apply_one(&mut self, what: Apply, host: &mut dyn Host) -> Result<(), String> {
        match what {
            Apply::Listeners => host.relisten(&self.config),
            Apply::MaxClients => host.allow_clients(u64::from(self.config.limits.maxclients)),
            Apply::Directory => host
                .process()
                .enter_directory(self.config.persistence.dir.as_path())
                .map_err(|error| format!("Can't change directory: {error}")),
            Apply::Log => {
                self.log.set_level(level(&self.config));
                self.log.set_format(format(&self.config));
                Ok(())
            }
            Apply::Observer => host.observe(&self.config, &self.metrics, &self.log),
            Apply::Identity => {
                self.tell_identity(host);
                Ok(())
            }
            Apply::Memory => {
                let (max, used) = (self.config.storage.maxmemory, self.counted_memory());
                if max > 0 && used > max {
                    self.log.warning(
                        "The new maxmemory is below what is used: keys will be evicted, or commands that need memory \
                         refused, as maxmemory-policy says",
                        &[("maxmemory", &max), ("used_memory", &used)],
                    );
                }
                self.eviction.pending = max > 0;
                Ok(())
            }
            Apply::Allocator => allocator::set_background_thread(self.config.storage.jemalloc_bg_thread)
                .map_err(|error| format!("the allocator refused: {error}")),
            Apply::OomScore => self.set_oom_score(host),
            Apply::AppendOnly => self.switch_aof(host),
            // Read where they are needed, or refreshed by config_changed().
            Apply::Nothing
            | Apply::Password
            | Apply::Hz
            | Apply::SnapshotPace
            | Apply::LatencyTracking
            | Apply::ProcessTitle => Ok(()),
        }
    }

    /// What the system has to be told of a configuration that the server starts with. Nothing of it is worth not
    /// starting for.
    pub fn apply_at_start(&mut self, host: &mut dyn Host) {
        for (what, name) in [(Apply::Allocator, "jemalloc-bg-thread"), (Apply::OomScore, "oom-score-adj")] {
            if let Err(why) = self.apply_one(what, host) {
                let place = self.sources.place_of(name).map_or_else(|| "default".to_owned(), Place::to_string);
                self.log.warning(
                    "A parameter could not be applied",
                    &[(keys::PARAMETER, &name), (keys::REASON, &why), (keys::CONFIGURED_AT, &place)],
                );
            }
        }
    }

    /// The score of the configuration, and of the role. It counts from what the process had when it was first asked for one, and that
    /// comes back when it no longer is.
    pub(super) fn set_oom_score(&mut self, host: &dyn Host) -> Result<(), String> {
        const FAILED: &str = "Failed to set current oom_score_adj. Check server logs.";
        let [primary, replica, _child] = self.config.server.oom_score_adj_values.0;
        let own = if self.is_replica() { replica } else { primary };
        let wanted = self.config.server.oom_score_adj;
        let base = match (wanted, self.oom_score_base) {
            (OomScoreAdj::No, None) => return Ok(()),
            (_, Some(base)) => base,
            (_, None) => host.process().oom_score().map_err(|error| {
                self.log.warning("Can't read the out-of-memory score", &[(keys::ERROR, &Shown(&error))]);
                FAILED.to_owned()
            })?,
        };
        let score = match wanted {
            OomScoreAdj::No => base,
            OomScoreAdj::Yes | OomScoreAdj::Relative => base + own,
            OomScoreAdj::Absolute => own,
        };
        let score = score.clamp(-1000, 1000);
        host.process().set_oom_score(score).map_err(|error| {
            self.log
                .warning("Can't set the out-of-memory score", &[(keys::ERROR, &Shown(&error)), (keys::VALUE, &score)]);
            FAILED.to_owned()
        })?;
        self.oom_score_base = (wanted != OomScoreAdj::No).then_some(base);
        Ok(())
    }

    /// SIGHUP: reads the configuration again, applies what changed and logs what needs a restart.
    pub fn reload_config(&mut self, host: &mut dyn Host) {
        self.log.notice("Received SIGHUP, reloading the configuration", &[]);
        if let Err(error) = self.log.reopen() {
            self.log.warning("Can't reopen the log file", &[(keys::ERROR, &error.to_string())]);
        }
        let reload = match self.sources.reload(&mut self.config) {
            Ok(reload) => reload,
            Err(error) => {
                let why = error.to_string();
                return self.log.warning("The configuration stays as it is: the file is wrong", &[(keys::ERROR, &why)]);
            }
        };
        for row in &reload.kept {
            self.log.warning(
                "No line sets a parameter that protects any more: its value stays, unless reload-may-unprotect allows \
                 to give it up",
                &[(keys::PARAMETER, &row.name())],
            );
        }
        for row in &reload.given_up {
            self.log.warning(
                "No line sets a parameter that protects any more: it is given up, as reload-may-unprotect allows",
                &[(keys::PARAMETER, &row.name())],
            );
        }
        for row in &reload.needs_restart {
            self.log.warning("A changed parameter needs a restart", &[(keys::PARAMETER, &row.name())]);
        }
        if reload.renamed_commands_changed {
            self.log.warning("A changed parameter needs a restart", &[(keys::PARAMETER, &"rename-command")]);
        }
        let changed = reload.changes.rows().len();
        match self.apply(reload.changes, host) {
            Ok(()) => {
                self.sources.applied(reload.seen);
                self.log.notice("Configuration reloaded", &[("changed", &changed)]);
            }
            Err(Failed { row, why }) => self
                .log
                .warning("The configuration stays as it is", &[(keys::PARAMETER, &row.name()), (keys::REASON, &why)]),
        }
    }
}
