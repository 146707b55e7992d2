//! CRC-16/XMODEM (polynomial 0x1021, nothing reflected), which decides the cluster slot of a key.

/// The remainders of all bytes, computed by the compiler.
const TABLE: [u16; 256] = {
    let mut table = [0u16; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// How many slots a cluster has.
pub const SLOTS: u16 = 16384;

/// The checksum of `bytes`.
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, &byte| (crc << 8) ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)])
}

/// The cluster slot of `key`: of its hash tag when it has one, else of the whole.
pub fn key_slot(key: &[u8]) -> u16 {
    crc16(hash_tag(key).unwrap_or(key)) % SLOTS
}

/// What stands between the first `{` and the first `}` after it, if that is not nothing. Keys with one tag share a
/// slot, so that commands on several of them work in a cluster.
pub fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let inside = &key[memchr::memchr(b'{', key)? + 1..];
    let tag = &inside[..memchr::memchr(b'}', inside)?];
    (!tag.is_empty()).then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(crc16(b""), 0);
    }

    #[test]
    fn slots() {
        assert_eq!(key_slot(b"foo"), 12182);
        assert_eq!(key_slot(b"bar"), 5061);
        assert_eq!(key_slot(b""), 0);
        assert_eq!(key_slot(b"{user1000}.following"), key_slot(b"user1000"));
        assert_eq!(key_slot(b"x{a}{b}"), key_slot(b"a"));
        for whole in [&b"foo{}{bar}"[..], b"a{b", b"a}b{", b"{}"] {
            assert_eq!(key_slot(whole), crc16(whole) % SLOTS);
        }
        assert_eq!(key_slot(b"foo{{bar}}zap"), key_slot(b"{bar"));
    }
}
