//! Where values change their form: the thresholds of the configuration, in one small copyable piece.

/// Up to what size which type stays compact. The defaults are the configuration's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// `hash-max-listpack-entries`
    pub hash_entries: u64,
    /// `hash-max-listpack-value`, bytes of a field or value.
    pub hash_value: u64,
    /// `list-max-listpack-size`: so many elements, or if negative, 4, 8, 16, 32 or 64 KiB for -1 to -5.
    pub list_size: i32,
    /// `list-compress-depth`: so many nodes at either end are not compressed; 0 compresses none.
    pub list_compress_depth: u32,
    /// `set-max-intset-entries`
    pub intset_entries: u64,
    /// `set-max-listpack-entries`
    pub set_entries: u64,
    /// `set-max-listpack-value`, bytes of a member.
    pub set_value: u64,
    /// `zset-max-listpack-entries`
    pub zset_entries: u64,
    /// `zset-max-listpack-value`, bytes of a member.
    pub zset_value: u64,
    /// `hll-sparse-max-bytes`: up to what size a HyperLogLog is sparse.
    pub hll_sparse_bytes: u64,
    /// `stream-node-max-bytes`; 0 sets no limit.
    pub stream_bytes: u64,
    /// `stream-node-max-entries`; 0 sets no limit.
    pub stream_entries: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            hash_entries: 512,
            hash_value: 64,
            list_size: -2,
            list_compress_depth: 0,
            intset_entries: 512,
            set_entries: 128,
            set_value: 64,
            zset_entries: 128,
            zset_value: 64,
            hll_sparse_bytes: 3000,
            stream_bytes: 4096,
            stream_entries: 100,
        }
    }
}
