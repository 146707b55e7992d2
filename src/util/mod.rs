//! Pure functions and small values that know no Redis server: number text, hashing, patterns, checksums,
//! quoting, seeded randomness, and the byte queue a reply is gathered in.
//!
//! # What this is
//!
//! The things that every other room would otherwise write for itself, each in one file with its tests. Where Redis
//! has an opinion about text (how a float is printed, what counts as an integer, what a pattern matches), the
//! function here has exactly that opinion, so that the rooms above never think about it.
//!
//! # What it never does
//!
//! Nothing here reads a clock, a file, an environment variable or a socket. The operating system is asked for
//! entropy in two constructors that say so in their names ([`rng::Rng::from_os`], [`hash::HashSeed::random`]);
//! both have a seeded sibling, so that a run can be repeated.
//!
//! # Map
//!
//! | file | holds |
//! | --- | --- |
//! | `bit_set` | flags: sets of a few named members |
//! | [`bits`] | bits of byte strings: parts of bytes, integers of any width |
//! | [`crc16`] | the checksum behind cluster slots, and the slot of a key |
//! | [`crc64`] | the checksum of RDB files |
//! | [`output_buffer`] | [`output_buffer::OutputBuffer`]: bytes waiting to be written, with large blobs spliced in uncopied |
//! | [`geohash`] | places on earth as numbers, and which numbers are near |
//! | [`glob`] | patterns: `KEYS`, `SCAN MATCH`, `PSUBSCRIBE` |
//! | [`hash`] | [`hash::HashSeed`]: the seeded 64-bit hash of keys |
//! | [`long_double`] | [`long_double::LongDouble`]: the 80-bit arithmetic of `INCRBYFLOAT` |
//! | [`lzf`] | the compression of strings in files, and of the inner nodes of lists |
//! | [`num`] | integers, floats (`float.rs`, `digits.rs`) and memory sizes, from text and to text |
//! | [`piece`] | [`piece::Piece`]: up to 8 KiB of a long string, shared; [`piece::PieceBuf`] |
//! | [`quote`] | quoted text: lines into arguments, bytes into something readable |
//! | [`rng`] | [`rng::Rng`]: a small seeded generator |
//! | `size_class.rs` | [`size_class()`]: what the allocator takes for so many bytes |
//! | [`text`] | a text on its way to where it is stored, lent or given away |
//!
//! # Read first
//!
//! [`output_buffer`], because every reply passes through it; then [`num`].

pub(crate) mod bit_set;
pub mod bits;
pub mod crc16;
pub mod crc64;

mod digits;
mod float;
pub mod geohash;
pub mod glob;
pub mod hash;
pub mod long_double;
pub mod lzf;
pub mod num;
pub mod output_buffer;
pub mod piece;
pub mod quote;
pub mod rng;
mod size_class;
pub mod text;

pub use size_class::size_class;
