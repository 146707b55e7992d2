//! Does the structure equal the obvious one? Each module runs random operations (`enum Op`) against std's collections.
//! A failing run prints its case; `QUICKCHECK_TESTS=10000` looks harder.

mod aof_manifest;
mod config_values;
mod db_expiry;
mod db_keyspace;
mod db_memory;
mod dict_flood;
mod dict_model;
mod dict_scan;
mod eviction;
mod listpack;
mod output_buffer;
mod packed_model;
mod pubsub_model;
mod quicklist;
mod rdb_peers;
mod rdb_strings;
mod resp_reply;
mod resp_request;
mod rope;
mod stream;
mod tree;
mod util_text;
