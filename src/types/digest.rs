//! Digests of data sets: DEBUG DIGEST and DEBUG DIGEST-VALUE, byte for byte what Redis computes.
//!
//! Two instances hold the same data if and only if (as far as SHA-1 goes) their digests are equal, whatever the order
//! of keys and the encodings of values. Two operations make that: [`Digest::xor`] for parts whose order means nothing,
//! [`Digest::mix`] for parts whose order does.

use sha1::{Digest as _, Sha1};
use std::fmt;

/// Twenty bytes, all zero at first.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest([u8; 20]);

impl Digest {
    pub const ZERO: Digest = Digest([0; 20]);

    /// Adds a part without regard to order; adding it twice takes it away.
    pub fn xor(&mut self, part: &[u8]) {
        self.xor_hash(Sha1::digest(part).into());
    }

    /// Adds a whole digest as a part without regard to order.
    pub fn xor_digest(&mut self, part: &Digest) {
        self.xor(&part.0);
    }

    /// Adds a part in order.
    pub fn mix(&mut self, part: &[u8]) {
        self.mix_pieces(std::iter::once(part));
    }

    /// Adds one part that lies in pieces, in order.
    pub fn mix_pieces<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>) {
        let mut sha = Sha1::new();
        pieces.for_each(|p| sha.update(p));
        self.xor_hash(sha.finalize().into());
        self.0 = Sha1::digest(self.0).into();
    }

    fn xor_hash(&mut self, hash: [u8; 20]) {
        self.0.iter_mut().zip(hash).for_each(|(mine, theirs)| *mine ^= theirs);
    }

    pub fn bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

/// Forty hexadecimal digits, as the replies have them.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_matters_to_mix_only() {
        let digest = |f: fn(&mut Digest)| {
            let mut d = Digest::ZERO;
            f(&mut d);
            d
        };
        assert_eq!(digest(|d| (d.xor(b"a"), d.xor(b"b")).0), digest(|d| (d.xor(b"b"), d.xor(b"a")).0));
        assert_ne!(digest(|d| (d.mix(b"a"), d.mix(b"b")).0), digest(|d| (d.mix(b"b"), d.mix(b"a")).0));
        assert_eq!(digest(|d| d.mix(b"ab")), digest(|d| d.mix_pieces([&b"a"[..], b"b"].into_iter())));
        assert_eq!(Digest::ZERO.to_string(), "0".repeat(40));
    }
}
