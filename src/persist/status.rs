//! What INFO persistence says about saving and loading.

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
    /// The part of the file that is read, from 0 to 1.
    pub fn share(&self) -> f64 {
        if self.total_bytes == 0 { 0.0 } else { self.bytes as f64 / self.total_bytes as f64 }
    }

    /// Seconds until the end, after so many. As Redis: one second while nothing can be said.
    pub fn seconds_left(&self, elapsed: i64) -> i64 {
        match elapsed {
            0 => 1,
            _ if self.bytes == 0 => 1,
            _ => (elapsed as f64 * (1.0 - self.share()) / self.share()) as i64,
        }
    }
}
