//! When or how often a key was used: what eviction wants back after a restart.

/// The access data of a key in a file. Which one is there depends on the eviction policy of the writer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// The file says nothing.
    #[default]
    Unknown,
    /// Seconds since the key was used (LRU policies).
    IdleSeconds(u64),
    /// The logarithmic access counter (LFU policies).
    Frequency(u8),
}
