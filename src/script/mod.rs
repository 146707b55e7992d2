//! Scripts: Lua 5.1 inside the server, and what Redis gives to scripts.
//!
//! # What this is
//!
//! The interpreter's surroundings. [`libs`] has the libraries that scripts find in their globals, answering byte for
//! byte as Redis's.
//!
//! # What it never does
//!
//! It does not reach for data: scripts get at keys through commands only.
//!
//! # Map
//!
//! | file | what |
//! | --- | --- |
//! | [`libs`] | `cjson`, `cmsgpack`, `struct`, `bit`, and `math.random` |
//!
//! # Read first
//!
//! [`libs`].

pub mod libs;
