//! The types of values.
//!
//! # What this is
//!
//! One folder a type: what its values are, which encodings they have in memory, how they are written to RDB, what
//! memory they take, how they are digested. [`Object`] is the sum of those values that live in a node of their own;
//! short strings and integers live inside the keyspace's entries and are only *read* through this room
//! ([`string::StringRef`]).
//!
//! # What it never does
//!
//! It knows no keys, no expiry and no clients, and it never looks at a clock. No other room switches over types.
//!
//! # Map
//!
//! | file | holds |
//! | --- | --- |
//! | [`contract`] | what every type owes ([`contract::DataType`]), the numbers of types and encodings, WRONGTYPE |
//! | [`object`] | the node behind an entry: [`Object`] |
//! | [`value`] | a value of any type: [`ValueRef`] to be read, [`NewValue`] out of a file |
//! | [`place`] | what a type sees of the entry it changes: [`Place`], [`Maker`] |
//! | [`limits`] | where a value changes its form |
//! | [`digest`] | DEBUG DIGEST |
//! | [`rewrite`] | a value as the commands that make it |
//! | [`string`] | strings: views, encodings, storage |
//! | [`list`], [`set`], [`hash`], [`zset`], [`stream`] | the collections |
//!
//! # Read first
//!
//! [`contract`], then [`string`].

pub mod contract;
pub mod digest;
pub mod hash;
pub mod limits;
pub mod list;
pub mod object;
pub mod place;
pub mod rewrite;
pub mod set;
pub mod stream;
pub mod string;
pub mod value;
pub mod zset;

pub use contract::{DataType, Encoding, TypeName, WrongType};
pub use limits::Limits;
pub use object::Object;
pub use place::{Maker, Place};
pub use value::{NewValue, Stored, ValueRef, Vetting};
