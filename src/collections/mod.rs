//! The structures behind large values.
//!
//! # What this is
//!
//! Copy-on-write structures that values are made of, once they outgrow their entry. A write clones no more than one
//! bounded node a level, however large the value is.
//!
//! # What it never does
//!
//! It knows no keys, no expiry and no commands.
//!
//! # Map
//!
//! | file | holds |
//! | --- | --- |
//! | [`rope`] | a large string in pieces of 64 KiB |
//!
//! # Read first
//!
//! [`rope`].
#![allow(unsafe_code)] // one of the four rooms where `unsafe` may live

pub mod rope;
