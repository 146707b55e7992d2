//! Does a client see what Redis says? A real server process, a file per command group, RESP2 and RESP3.
//!
//! What is expected was read off real servers: Redis 8.2 for what it has, Valkey 9.1 for SET IFEQ, DELIFEQ and MSETEX.
//! `KVSTASH_TEST_SERVER=/usr/bin/redis-server cargo test --test wire` runs the same transcripts against them.

#[path = "../support/mod.rs"]
mod support;

mod aof; // the append-only file: BGREWRITEAOF WAIT WAITAOF
mod backup; // BACKUP
mod bitmap; // GETBIT SETBIT BITCOUNT BITPOS BITOP BITFIELD BITFIELD_RO
mod blocking; // commands that wait, in general
mod check_aof; // check-aof, redis-check-aof
mod client; // CLIENT and its subcommands
mod command; // COMMAND and its subcommands
mod config; // CONFIG, configuration files, arguments
mod connection; // PING ECHO SELECT QUIT RESET HELLO AUTH
mod counter; // INCR DECR INCRBY DECRBY INCRBYFLOAT
mod defrag; // active defragmentation, memory given back
mod dump; // DUMP RESTORE
mod events; // keyspace events of every command
mod eviction; // maxmemory and its policies
mod expire; // EXPIRE PERSIST TTL and their families
mod expiry; // that keys go when their time comes
mod geo; // GEOADD GEOPOS GEODIST GEOHASH GEOSEARCH GEORADIUS and their forms
mod hash; // HSET HGET HGETALL HEXPIRE HSCAN and the rest of the hash group
mod hyperloglog; // PFADD PFCOUNT PFMERGE PFDEBUG PFSELFTEST
mod keyspace; // DEL EXISTS KEYS RENAME COPY MOVE OBJECT SCAN TOUCH TYPE ...
mod libraries; // redis-rs, redis-py, redis-cli as their users run them
mod limits; // hostile clients: bounded memory, nobody else waits
mod list; // LPUSH LPOP LRANGE LMOVE BLPOP and the rest of the list group
mod long; // long arguments, in any command
mod long_reads; // what reads much is answered from a snapshot
mod migrate; // MIGRATE
mod observe; // SLOWLOG LATENCY MONITOR MEMORY
mod owed; // clients that ask for more than they read
mod propagation; // SYNC PSYNC REPLCONF, and what writes become in the stream that replicas read
mod protocol; // requests cut, malformed, inline, pipelined
mod pubsub; // SUBSCRIBE PUBLISH PUBSUB and the rest of the group
mod push_order; // in which order pushes and replies come
mod quorum; // write-acks, CLIENT WRITEACKS, read-uncommitted, primary-lease-ms
mod rdb;
mod rdb_exchange; // SAVE BGSAVE LASTSAVE, restarts, files exchanged with real Redis
mod replay; // every write replayed elsewhere gives the same data
mod replicas; // REPLICAOF SLAVEOF ROLE, from both ends
mod restore; // kvstash restore
mod rewrite; // data as the commands of a base
mod scripts;
mod sending; // SYNC PSYNC REPLCONF: what replicas are sent, slow ones and those with two connections
mod server; // INFO TIME LOLWUT DBSIZE FLUSH SWAPDB DEBUG
mod set; // SADD SPOP SINTER SSCAN and the rest of the set group
mod shutdown; // SHUTDOWN and signals
mod sort; // SORT SORT_RO
mod sorted_set; // ZADD ZRANGE ZPOPMIN ZUNION and the rest of the group
mod startup; // the command line, the banner, supervision, crashes
mod stream; // XADD XRANGE XREAD XGROUP XREADGROUP XCLAIM XINFO and the rest of the stream group
mod string; // GET SET and the rest of the string group
mod tracking; // CLIENT TRACKING CACHING GETREDIR TRACKINGINFO
mod transactions; // MULTI EXEC DISCARD WATCH UNWATCH
