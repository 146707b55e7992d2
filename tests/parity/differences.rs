//! Where kvstash differs from Redis 8.2 in what it reports of itself, and why.
//!
//! Each entry is the difference as the test prints it, `*` at the end standing for anything, and the reason.

/// Commands: `name: lacks fact`, `name: has fact`, `name: missing`, `name: is extra`.
pub const COMMANDS: &[(&str, &str)] = &[
    ("msetex: lacks since 9.1.0", "Valkey's number; the command is Redis's"),
    ("backup: is extra", "a command of 8.10"),
    ("client|writeacks: is extra", "quorum writes, which Redis does not have"),
    ("script|show: is extra", "a command of Valkey 8"),
    ("msetex: has since 8.4.0", "Valkey's number; the command is Redis's"),
];

/// INFO: `section name`, or `Section: field`.
pub const INFO: &[(&str, &str)] =
    &[("Server: atomicvar_api", "how Redis was compiled"), ("Server: gcc_version", "how Redis was compiled")];

/// Parameters: `name: missing`, or `name: "value", not "default"`.
pub const PARAMETERS: &[(&str, &str)] = &[
    ("activedefrag: \"yes\", not \"no\"", "moving memory costs little here"),
    ("active-defrag-ignore-bytes: \"1048576\", not \"104857600\"", "moving memory costs little here"),
];
