//! What INFO persistence says about saving and loading, with Redis's names.

use std::fmt::Display;

/// The state of saving at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaveStatus {
    /// Changes that are not in the file on disk.
    pub changes_since_last_save: u64,
    /// A snapshot thread runs.
    pub bgsave_in_progress: bool,
    /// Unix time of the last good save, or of the start.
    pub last_save_time: i64,
    /// The last save on the thread went well (or none was tried).
    pub last_bgsave_ok: bool,
    /// How long it took; -1: there was none.
    pub last_bgsave_seconds: i64,
    /// How long the running one takes so far; -1: there is none.
    pub current_bgsave_seconds: i64,
    /// Saves begun since the start.
    pub saves: u64,
    /// Bytes that writers copied because of the last snapshot.
    pub last_cow_bytes: u64,
    /// Bytes that writers have copied because of the running one.
    pub current_cow_bytes: u64,
    /// The most that this was during the running one.
    pub peak_cow_bytes: u64,
    /// Keys the running save has written.
    pub keys_processed: u64,
    /// Keys it has to write.
    pub keys_total: u64,
    /// Bytes it has written.
    pub bytes_written: u64,
}

impl SaveStatus {
    /// How far the running save is.
    pub fn percent(&self) -> f64 {
        if self.keys_total == 0 { 0.0 } else { self.keys_processed as f64 * 100.0 / self.keys_total as f64 }
    }

    /// The lines about a running save, which come first in the section.
    pub fn progress_fields(&self, line: &mut dyn FnMut(&'static str, &dyn Display)) {
        line("current_cow_peak", &self.peak_cow_bytes);
        line("current_cow_size", &self.current_cow_bytes);
        line("current_cow_size_age", &if self.bgsave_in_progress { self.current_bgsave_seconds } else { 0 });
        line("current_fork_perc", &format_args!("{:.2}", self.percent()));
        line("current_save_keys_processed", &self.keys_processed);
        line("current_save_keys_total", &self.keys_total);
    }

    /// The `rdb_` lines, in Redis's order; `load` is about the last load.
    pub fn rdb_fields(&self, load: &LoadCounts, line: &mut dyn FnMut(&'static str, &dyn Display)) {
        line("rdb_changes_since_last_save", &self.changes_since_last_save);
        line("rdb_bgsave_in_progress", &u8::from(self.bgsave_in_progress));
        line("rdb_last_save_time", &self.last_save_time);
        line("rdb_last_bgsave_status", &if self.last_bgsave_ok { "ok" } else { "err" });
        line("rdb_last_bgsave_time_sec", &self.last_bgsave_seconds);
        line("rdb_current_bgsave_time_sec", &self.current_bgsave_seconds);
        line("rdb_saves", &self.saves);
        line("rdb_last_cow_size", &self.last_cow_bytes);
        line("rdb_last_load_keys_expired", &load.expired);
        line("rdb_last_load_keys_loaded", &load.loaded);
    }
}

/// What the last load brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadCounts {
    /// Keys stored.
    pub loaded: u64,
    /// Keys whose time was over, left out.
    pub expired: u64,
    /// Keys whose value had no elements, left out.
    pub empty: u64,
}

/// A load under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadProgress {
    /// Bytes read so far.
    pub bytes: u64,
    /// Size of the file.
    pub total_bytes: u64,
    /// Memory the data took where the file was written, if it says so.
    pub used_memory: u64,
    /// Keys so far.
    pub counts: LoadCounts,
}

impl LoadProgress {
    /// The `loading_` lines of INFO; times are unix milliseconds.
    pub fn fields(&self, started_ms: i64, now_ms: i64, line: &mut dyn FnMut(&'static str, &dyn Display)) {
        let share = if self.total_bytes == 0 { 0.0 } else { self.bytes as f64 / self.total_bytes as f64 };
        let elapsed = (now_ms - started_ms).max(0) / 1000;
        // As Redis: one second while nothing can be said.
        let eta = match elapsed {
            0 => 1,
            _ if self.bytes == 0 => 1,
            _ => (elapsed as f64 * (1.0 - share) / share) as i64,
        };
        line("loading_start_time", &(started_ms / 1000));
        line("loading_total_bytes", &self.total_bytes);
        line("loading_rdb_used_mem", &self.used_memory);
        line("loading_loaded_bytes", &self.bytes);
        line("loading_loaded_perc", &format_args!("{:.2}", share * 100.0));
        line("loading_eta_seconds", &eta);
    }
}
