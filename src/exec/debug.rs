//! What DEBUG reaches into: switches that tests turn, a crash on demand, the data set saved and loaded in place.
//!
//! DEBUG is for tests. What stands here does nothing that a server could not do anyway; it only does it now.

use crate::client::Session;
use crate::config::choice::Allowed;
use crate::db::FlushMode;
use crate::exec::ctx::Host;
use crate::exec::instance::Instance;
use crate::observe::keys;
use crate::persist::LoadSettings;

/// Switches that only DEBUG turns.
#[derive(Clone, Copy, Debug, Default)]
pub struct DebugSwitches {
    /// PAUSE-CRON: nothing is done periodically.
    pub cron_paused: bool,
    /// REPLYBUFFER RESIZING 0: pooled reply buffers are not given back to the allocator.
    pub buffers_kept: bool,
    /// SET-DISABLE-DENY-SCRIPTS 1: scripts may call what they must not.
    pub scripts_may_call_anything: bool,
}

/// DEBUG RELOAD's options.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReloadOptions {
    /// Keys of the file replace keys of the same name; else they are an error.
    pub merge: bool,
    /// The data set stays while the file is loaded.
    pub noflush: bool,
    /// The file is not written before.
    pub nosave: bool,
}

/// What failed of a reload. The log says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadError {
    /// Writing the file.
    Save,
    /// Reading it: the data set is whatever was loaded until then.
    Load,
}

/// Whether a session may use what `allowed` guards.
pub fn may(allowed: Allowed, session: &Session) -> bool {
    match allowed {
        Allowed::Yes => true,
        Allowed::Local => session.is_local,
        Allowed::No => false,
    }
}

impl Instance {
    /// How files are loaded, as the configuration has it now.
    pub fn load_settings(&self) -> LoadSettings {
        let persistence = &self.config.persistence;
        LoadSettings {
            databases: self.config.storage.databases,
            expired_before_ms: Some(self.now_ms),
            checksum: persistence.rdbchecksum && self.keyspace.options().payload_checksums,
            step_bytes: persistence.loading_process_events_interval_bytes.max(1024),
            string_bytes_max: self.config.limits.proto_max_bulk_len,
        }
    }

    /// How a file is read at the start: a replica leaves it to its primary what has expired.
    pub fn start_load_settings(&self) -> LoadSettings {
        let settings = self.load_settings();
        let expired_before_ms = settings.expired_before_ms.filter(|_| self.config.replication.replicaof.0.is_none());
        LoadSettings { expired_before_ms, ..settings }
    }

    /// DEBUG RELOAD: the data set goes to its file and comes back. Others are told meanwhile that it is being loaded.
    pub fn reload(&mut self, options: ReloadOptions, host: &mut dyn Host) -> Result<(), ReloadError> {
        if !options.nosave {
            self.save_now(host.wall_us() / 1000).map_err(|_| ReloadError::Save)?;
        }
        if !options.noflush {
            self.keyspace.flush_all(FlushMode::Sync, self.now_ms);
            self.flush_functions();
        }
        let result = self.load_within(&self.rdb_path(), options.merge, host);
        let failed = match result {
            Ok(Some(loaded)) => {
                self.load.counts = loaded.counts;
                None
            }
            Ok(None) => Some("there is no file".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = failed {
            self.log.warning("DEBUG RELOAD failed", &[(keys::ERROR, &why)]);
            return Err(ReloadError::Load);
        }
        if !options.noflush {
            self.loaded_from_disk();
        }
        self.log.warning("DB reloaded by DEBUG RELOAD", &[]);
        Ok(())
    }
}
