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
//! | [`digest`] | DEBUG DIGEST |
//! | [`string`] | strings: views, encodings, storage |
//!
//! # Read first
//!
//! [`contract`], then [`string`].

pub mod contract;
pub mod digest;
pub mod object;
pub mod string;
pub mod value;

pub use contract::{DataType, Encoding, TypeName, WrongType};
pub use object::Object;
pub use value::{NewValue, ValueRef, Vetting};
