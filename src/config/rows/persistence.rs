//! The group `persistence`: the RDB file and the append-only file.

use super::{I32, group};
use crate::config::choice::{AppendFsync, LoadRdb, SanitizeDumpPayload};
use crate::config::names;
use crate::config::row::{Apply, Flags, Spec};
use crate::config::special::{Directory, SavePoints};
use crate::config::value::Text;

fn db_file_name(text: &[u8]) -> Result<(), String> {
    names::within(text, "dbfilename", "filename", 0)
}

/// What is added to the names of append-only files: a number, a kind, `temp-`.
const AOF_NAME_BYTES_ADDED: usize = 40;

fn append_file_name(text: &[u8]) -> Result<(), String> {
    names::within(text, "appendfilename", "filename", AOF_NAME_BYTES_ADDED)
}

fn backup_directory_name(text: &[u8]) -> Result<(), String> {
    names::within(text, "backupdirname", "dirname", 0)
}

fn append_directory_name(text: &[u8]) -> Result<(), String> {
    names::within(text, "appenddirname", "dirname", 0)
}

group! {
    /// The RDB file and the append-only file.
    Persistence in persistence of Persistence {
        /// Save when so many seconds have passed and there were so many changes. Several points may be given; an empty
        /// list never saves by itself.
        save: SavePoints = SavePoints::new(&[(3600, 1), (300, 100), (60, 10000)])
            => Spec::special("save", "pairs of `SECONDS CHANGES`").multi();

        /// Where files are written.
        dir: Directory = Directory::here()
            => Spec::special("dir", "a directory that exists").flag(Flags::PROTECTED.or(Flags::NOT_WHILE_LOADING))
                .apply(Apply::Directory);

        /// The name of the RDB file.
        dbfilename: Text = Text::from("dump.rdb")
            => Spec::checked_text("dbfilename", db_file_name).flag(Flags::PROTECTED);

        /// Refuse writes while the last save has failed.
        stop_writes_on_bgsave_error: bool = true => Spec::bool("stop-writes-on-bgsave-error");

        /// Compress strings in the RDB file.
        rdbcompression: bool = true => Spec::bool("rdbcompression");

        /// End the RDB file with a checksum, and verify it when loading.
        rdbchecksum: bool = true => Spec::bool("rdbchecksum").at_start();

        /// The version of the RDB format that is written: 10 is read by Redis 7.0, 11 by 7.2, 12
        /// by 7.4 and later.
        rdb_version: u32 = 12 => Spec::int("rdb-version", 10, 12);

        /// Delete the RDB files that replication left behind when nothing else is persistent.
        rdb_del_sync_files: bool = false => Spec::bool("rdb-del-sync-files");

        /// Write to the disk in slices while saving, rather than all at the end.
        rdb_save_incremental_fsync: bool = true => Spec::bool("rdb-save-incremental-fsync");

        /// Microseconds to wait after each key while saving; negative: keys a microsecond. For tests.
        rdb_key_save_delay: i32 = 0
            => Spec::int("rdb-key-save-delay", -I32 - 1, I32).hidden().apply(Apply::SnapshotPace);

        /// Microseconds to wait after each key while loading; negative: keys a microsecond. For tests.
        key_load_delay: i32 = 0 => Spec::int("key-load-delay", -I32 - 1, I32).hidden();

        /// How many bytes are loaded between two looks at the clients.
        loading_process_events_interval_bytes: u64 = 512 << 10
            => Spec::int("loading-process-events-interval-bytes", 1024, I32).hidden();

        /// Whether payloads of RESTORE and of replication are validated deeply.
        sanitize_dump_payload: SanitizeDumpPayload = SanitizeDumpPayload::No
            => Spec::choice("sanitize-dump-payload", SanitizeDumpPayload::WORDS)
                .no_effect("whatever this instance did not write itself is always validated");

        /// Append every write to a file.
        appendonly: bool = false => Spec::bool("appendonly").apply(Apply::AppendOnly).protects();

        /// Whether an append-only file that has to be begun takes over the data of the RDB file. While nobody has said, the
        /// server does not start where there is an RDB file with data: Redis begins empty, as with `no`.
        aof_load_rdb_on_startup: LoadRdb = LoadRdb::Ask
            => Spec::choice("aof-load-rdb-on-startup", LoadRdb::WORDS);

        /// Follow each group of writes in the append-only file by a line with its offset, length and checksum. Redis
        /// skips these lines.
        aof_annotations: bool = true => Spec::bool("aof-annotations");

        /// How much may wait to be written to the append-only file before writes are refused. 0 sets no limit.
        aof_buffer_limit: u64 = 256 << 20 => Spec::memory("aof-buffer-limit", 0);

        /// Load an append-only file whose end, of at most so many bytes, is damaged. The end is cut off, and kept beside
        /// the file. 0 refuses to start.
        aof_load_corrupt_tail_max_size: u64 = 0
            => Spec::signed_memory("aof-load-corrupt-tail-max-size", 0);

        /// The stem of the append-only files' names.
        appendfilename: Text = Text::from("appendonly.aof")
            => Spec::checked_text("appendfilename", append_file_name).at_start();

        /// The directory of the append-only files.
        appenddirname: Text = Text::from("appendonlydir")
            => Spec::checked_text("appenddirname", append_directory_name).at_start();

        /// The directory, within `dir`, that BACKUP makes its files in.
        backupdirname: Text = Text::from("backupdir")
            => Spec::checked_text("backupdirname", backup_directory_name);

        /// Remove a sealed backup after so many seconds, as BACKUP CLEANUP does. 0 keeps it.
        backup_sealed_ttl: i32 = 0 => Spec::int("backup-sealed-ttl", 0, I32);

        /// When the append-only file is forced to the disk.
        appendfsync: AppendFsync = AppendFsync::Everysec
            => Spec::choice("appendfsync", AppendFsync::WORDS);

        /// Do not force the append-only file to the disk while a snapshot or rewrite runs.
        no_appendfsync_on_rewrite: bool = false => Spec::bool("no-appendfsync-on-rewrite");

        /// Rewrite the append-only file when it has grown by so many percent. 0 never does.
        auto_aof_rewrite_percentage: u32 = 100
            => Spec::int("auto-aof-rewrite-percentage", 0, I32);

        /// But not below this size.
        auto_aof_rewrite_min_size: u64 = 64 << 20
            => Spec::signed_memory("auto-aof-rewrite-min-size", 0);

        /// Load an append-only file whose end is missing, instead of refusing to start.
        aof_load_truncated: bool = true => Spec::bool("aof-load-truncated");

        /// Begin a rewritten append-only file with an RDB snapshot.
        aof_use_rdb_preamble: bool = true => Spec::bool("aof-use-rdb-preamble");

        /// Note the time in the append-only file.
        aof_timestamp_enabled: bool = false => Spec::bool("aof-timestamp-enabled");

        /// Write to the disk in slices while rewriting.
        aof_rewrite_incremental_fsync: bool = true => Spec::bool("aof-rewrite-incremental-fsync");

        /// Keep the files that a rewrite made superfluous. For tests.
        aof_disable_auto_gc: bool = false => Spec::bool("aof-disable-auto-gc").hidden();
    }
}
