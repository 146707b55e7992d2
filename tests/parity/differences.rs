//! Where kvstash differs from Redis 8.2 in what it reports of itself, and why.
//!
//! Each entry is the difference as the test prints it, `*` at the end standing for anything, and the reason.

/// Commands: `name: lacks fact`, `name: has fact`, `name: missing`, `name: is extra`.
pub const COMMANDS: &[(&str, &str)] = &[];

/// INFO: `section name`, or `Section: field`.
pub const INFO: &[(&str, &str)] = &[];

/// Parameters: `name: missing`, or `name: "value", not "default"`.
pub const PARAMETERS: &[(&str, &str)] = &[];
