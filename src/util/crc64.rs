//! The CRC-64 at the end of RDB files and of `DUMP` payloads: the Jones polynomial, reflected, starting at 0.
//!
//! This is the form with tables. `collections/simd/crc64.rs` is several times as fast where there are many bytes, and
//! ends with this one.

/// Continues the checksum `crc` over `bytes`; start with 0. `crc64(crc64(0, a), b)` is that of `a` and `b` joined.
#[inline]
pub fn crc64(crc: u64, bytes: &[u8]) -> u64 {
    ::crc64::crc64(crc, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value_and_joining() {
        assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(crc64(crc64(0, b"1234"), b"56789"), crc64(0, b"123456789"));
        assert_eq!(crc64(7, b""), 7);
    }
}
