//! Which server is on the other end, for the few lines that only some servers answer.
//!
//! The tests state what Redis 8 answers. An older Redis or a Valkey lacks some commands and words some errors
//! differently; a transcript guards such lines with `@redis>=8`, `@valkey` and the like. kvstash satisfies every guard:
//! it is held to all of it.

use std::path::{Path, PathBuf};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Kvstash,
    Redis(u32, u32),
    Valkey(u32, u32),
}

impl Peer {
    /// Reads `INFO server`.
    pub fn from_info(info: &str) -> Self {
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        if field("kvstash_version").is_some() {
            Peer::Kvstash
        } else if let Some(v) = field("valkey_version") {
            let (major, minor) = numbers(v);
            Peer::Valkey(major, minor)
        } else {
            let (major, minor) = numbers(field("redis_version").unwrap_or("0.0"));
            Peer::Redis(major, minor)
        }
    }

    /// Whether this server is held to lines guarded with `guard`: `kvstash`, `redis`, `valkey`, `redis>=8.2`,
    /// `redis<8.2`, alternatives separated by `,`.
    pub fn satisfies(self, guard: &str) -> bool {
        guard.split(',').any(|one| {
            let one = one.trim();
            let at = one.find(['<', '>']).unwrap_or(one.len());
            let (name, bound) = one.split_at(at);
            let within = |version: (u32, u32)| match bound.strip_prefix(">=") {
                Some(least) => version >= numbers(least),
                None => bound.strip_prefix('<').is_none_or(|limit| version < numbers(limit)),
            };
            match (self, name) {
                (Peer::Kvstash, _) => true,
                (Peer::Redis(a, b), "redis") | (Peer::Valkey(a, b), "valkey") => within((a, b)),
                (_, "kvstash" | "redis" | "valkey") => false,
                (_, other) => panic!("unknown guard: {other}"),
            }
        })
    }
}

fn numbers(version: &str) -> (u32, u32) {
    let mut numbers = version.split('.').map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// A real Redis of the reference kind, to exchange files with: `KVSTASH_TEST_REDIS`, or `redis-server` on the PATH.
pub fn real_redis() -> Option<PathBuf> {
    named_or_on_path("KVSTASH_TEST_REDIS", "redis-server")
}

fn named_or_on_path(variable: &str, program: &str) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(variable) {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| Path::new(file).exists())
}

/// A real Valkey, to exchange files with: `KVSTASH_TEST_VALKEY`, or `valkey-server` on the PATH.
pub fn real_valkey() -> Option<PathBuf> {
    let found = named_or_on_path("KVSTASH_TEST_VALKEY", "valkey-server");
    if found.is_none() {
        eprintln!("skipped: no valkey-server");
    }
    found
}

/// Every real Redis there is to exchange files with: that one, and those that `KVSTASH_TEST_REDIS_ALL` names (paths
/// joined with ':').
pub fn real_servers() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = real_redis().into_iter().collect();
    if let Some(more) = std::env::var_os("KVSTASH_TEST_REDIS_ALL") {
        found.extend(std::env::split_paths(&more));
    }
    if found.is_empty() {
        eprintln!("skipped: no redis-server");
    }
    found
}
