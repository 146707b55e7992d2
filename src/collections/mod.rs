//! The structures that values are made of.
//!
//! # What this is
//!
//! Two kinds. *Formats* are runs of bytes as Redis lays them out, small enough to lie in an entry or in a node of
//! something else. *Copy-on-write structures* are what values become once they outgrow their entry: a write clones no
//! more than one bounded node a level, however large the value is.
//!
//! # What it never does
//!
//! It knows no keys, no expiry and no commands.
//!
//! # Map
//!
//! | file | holds |
//! | --- | --- |
//! | [`listpack`] | format: many small elements in one run of bytes |
//! | [`intset`] | format: integers in order |
//! | [`bitop`] | several strings become one, bit by bit |
//! | [`buffer`] | what an editor of a format asks of the bytes' owner |
//! | [`packed`] | a hash table of short elements, packed into leaves |
//! | [`hyperloglog`] | format: HyperLogLogs, which are strings to everybody else |
//! | [`ziplist`], [`zipmap`] | formats of old files, to be read |
//! | [`quicklist`] | a long list, as a sequence of listpacks |
//! | [`rope`] | a large string in pieces of 8 KiB |
//! | [`simd`] | loops over many bytes, as wide as the processor allows: counting and combining bits, checksums |
//! | [`text`] | copying a text into a node |
//! | [`tree`] | a counted B+ tree of byte leaves: sorted sets, lists, streams |
//!
//! # Read first
//!
//! [`listpack`], then [`rope`], then [`packed`].
#![allow(unsafe_code)] // one of the four rooms where `unsafe` may live

pub mod bitop;
pub mod buffer;
pub mod hyperloglog;
pub mod intset;
pub mod listpack;
pub mod packed;
pub mod quicklist;
pub mod rope;
pub mod simd;
pub mod text;
pub mod tree;
pub mod ziplist;
pub mod zipmap;
