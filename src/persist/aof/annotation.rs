//! TEMP: replaced by the merge.
use crate::util::crc64;
/// Ends a group.
pub fn end_group(offset: u64, crc: u64, bytes: &mut Vec<u8>) -> u64 {
    let length = bytes.len();
    let crc = crc64::crc64(crc, bytes);
    bytes.extend_from_slice(format!("#GROUP:{offset}:{length}:{crc:016x}\r\n").as_bytes());
    crc
}
