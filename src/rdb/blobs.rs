//! The compact encodings that Redis stores as one string: are they laid out as they say?
//!
//! Only the layout is checked: that headers tell the truth, that each entry ends where the next one begins, that
//! counts are right and pairs complete. Order and uniqueness are the business of the types that load them.
//!
//! ```text
//! listpack  <u32 bytes> <u16 count> (<entry> <backward length of entry>)... FF
//! ziplist   <u32 bytes> <u32 offset of last> <u16 count> (<length of previous> <entry>)... FF
//! intset    <u32 2|4|8> <u32 count> integers in ascending order
//! zipmap    <u8 count> (<len> field <len> <free> value <free bytes>)... FF
//! ```
//!
//! A count of 65535 (254 in a zipmap) means "too many to say".

type Checked = Result<(), &'static str>;

const LISTPACK_HEADER: usize = 6;
const ZIPLIST_HEADER: usize = 10;
const END: u8 = 0xFF;

fn u16_at(blob: &[u8], at: usize) -> Option<usize> {
    Some(u16::from_le_bytes(blob.get(at..at + 2)?.try_into().ok()?).into())
}

fn u32_at(blob: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(blob.get(at..at + 4)?.try_into().ok()?)).ok()
}

/// A listpack of items of `per_item` entries each.
pub(super) fn listpack(blob: &[u8], per_item: usize) -> Checked {
    let count = walk_listpack(blob, |_, _| {})?;
    if count % per_item != 0 { Err("listpack with an incomplete pair") } else { Ok(()) }
}

/// A listpack of fields, values and expiries; counts the expiries that are set.
pub(super) fn listpack_with_expiries(blob: &[u8], expiries: &mut u64) -> Checked {
    let count = walk_listpack(blob, |index, entry| {
        // An expiry is a number; 0, which takes one byte, stands for none.
        if index % 3 == 2 && entry != [0] {
            *expiries += 1;
        }
    })?;
    if count % 3 != 0 { Err("listpack with an incomplete field") } else { Ok(()) }
}

fn walk_listpack(blob: &[u8], mut each: impl FnMut(usize, &[u8])) -> Result<usize, &'static str> {
    const WRONG: &str = "listpack integrity check failed";
    if u32_at(blob, 0) != Some(blob.len()) || blob.last() != Some(&END) {
        return Err(WRONG);
    }
    let announced = u16_at(blob, 4).ok_or(WRONG)?;
    let end = blob.len() - 1;
    let (mut at, mut count) = (LISTPACK_HEADER, 0);
    while at < end {
        let len = listpack_entry_len(&blob[at..end]).ok_or(WRONG)?;
        let back = backward_len(len);
        let next = at + len + back.1;
        if next > end || blob[at + len..next] != back.0[..back.1] {
            return Err(WRONG);
        }
        each(count, &blob[at..at + len]);
        at = next;
        count += 1;
    }
    if at != end || (announced != 0xFFFF && announced != count) {
        return Err(WRONG);
    }
    Ok(count)
}

/// Bytes of the entry at the start of `rest`: encoding and data.
fn listpack_entry_len(rest: &[u8]) -> Option<usize> {
    let first = *rest.first()?;
    let len = match first {
        0x00..=0x7F => 1,
        0x80..=0xBF => 1 + usize::from(first & 0x3F),
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 2 + (usize::from(first & 0x0F) << 8 | usize::from(*rest.get(1)?)),
        0xF0 => u32_at(rest, 1)?.checked_add(5)?,
        0xF1 => 3,
        0xF2 => 4,
        0xF3 => 5,
        0xF4 => 9,
        _ => return None,
    };
    (len <= rest.len()).then_some(len)
}

/// The length of an entry as it stands behind it: seven bits a byte, last byte first, all but the first marked.
fn backward_len(len: usize) -> ([u8; 5], usize) {
    let bytes = match len {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    };
    let mut out = [0; 5];
    for (place, byte) in out[..bytes].iter_mut().enumerate() {
        let group = (len >> (7 * (bytes - 1 - place))) as u8 & 0x7F;
        *byte = if place == 0 { group } else { group | 0x80 };
    }
    (out, bytes)
}

/// A ziplist of items of `per_item` entries each.
pub(super) fn ziplist(blob: &[u8], per_item: usize) -> Checked {
    const WRONG: &str = "ziplist integrity check failed";
    if u32_at(blob, 0) != Some(blob.len()) || blob.last() != Some(&END) {
        return Err(WRONG);
    }
    let (Some(tail), Some(announced)) = (u32_at(blob, 4), u16_at(blob, 8)) else { return Err(WRONG) };
    let end = blob.len() - 1;
    let (mut at, mut last, mut last_len, mut count) = (ZIPLIST_HEADER, ZIPLIST_HEADER, 0, 0);
    while at < end {
        let (previous_len, previous_bytes) = match blob[at] {
            0xFE => (u32_at(blob, at + 1).ok_or(WRONG)?, 5),
            byte => (usize::from(byte), 1),
        };
        if previous_len != last_len {
            return Err(WRONG);
        }
        let entry = blob.get(at + previous_bytes..end).ok_or(WRONG)?;
        let len = ziplist_entry_len(entry).ok_or(WRONG)?;
        last = at;
        last_len = previous_bytes + len;
        at += last_len;
        count += 1;
    }
    if at != end || tail != last || (announced != 0xFFFF && announced != count) {
        return Err(WRONG);
    }
    if count % per_item != 0 { Err("ziplist with an incomplete pair") } else { Ok(()) }
}

fn ziplist_entry_len(rest: &[u8]) -> Option<usize> {
    let first = *rest.first()?;
    let len = match first {
        0x00..=0x3F => 1 + usize::from(first),
        0x40..=0x7F => 2 + (usize::from(first & 0x3F) << 8 | usize::from(*rest.get(1)?)),
        0x80 => (u32::from_be_bytes(rest.get(1..5)?.try_into().ok()?) as usize).checked_add(5)?,
        0xC0 => 3,
        0xD0 => 5,
        0xE0 => 9,
        0xF0 => 4,
        0xFE => 2,
        0xF1..=0xFD => 1,
        _ => return None,
    };
    (len <= rest.len()).then_some(len)
}

/// An intset.
pub(super) fn intset(blob: &[u8]) -> Checked {
    const WRONG: &str = "intset integrity check failed";
    let (Some(width @ (2 | 4 | 8)), Some(count)) = (u32_at(blob, 0), u32_at(blob, 4)) else { return Err(WRONG) };
    let integers = &blob[8..];
    if count == 0 || count.checked_mul(width) != Some(integers.len()) {
        return Err(WRONG);
    }
    let value = |bytes: &[u8]| -> i64 {
        // Sign-extend from the top: the bytes land in the high end of the word.
        let mut word = [0; 8];
        word[8 - width..].copy_from_slice(bytes);
        i64::from_le_bytes(word) >> (64 - 8 * width)
    };
    let mut previous = None;
    for bytes in integers.chunks_exact(width) {
        let next = Some(value(bytes));
        if next <= previous {
            return Err("intset is not sorted");
        }
        previous = next;
    }
    Ok(())
}

/// A zipmap: hashes before Redis 2.6.
pub(super) fn zipmap(blob: &[u8]) -> Checked {
    const WRONG: &str = "zipmap integrity check failed";
    let end = blob.len().checked_sub(1).filter(|&end| end > 0 && blob[end] == END).ok_or(WRONG)?;
    let string = |at: usize| -> Option<(usize, usize)> {
        match *blob.get(at)? {
            len @ 0..=253 => Some((at + 1, usize::from(len))),
            254 => Some((at + 5, u32_at(blob, at + 1)?)),
            _ => None,
        }
    };
    let (mut at, mut count) = (1, 0);
    while at < end {
        let (field, field_len) = string(at).ok_or(WRONG)?;
        let (value, value_len) = string(field.checked_add(field_len).ok_or(WRONG)?).ok_or(WRONG)?;
        let free = usize::from(*blob.get(value).ok_or(WRONG)?);
        at = value.checked_add(1 + free).and_then(|at| at.checked_add(value_len)).ok_or(WRONG)?;
        count += 1;
    }
    if at != end || (blob[0] < 254 && usize::from(blob[0]) != count) {
        return Err(WRONG);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listpack_of(entries: &[&[u8]]) -> Vec<u8> {
        let mut body = Vec::new();
        for entry in entries {
            body.extend_from_slice(entry);
            let (back, n) = backward_len(entry.len());
            body.extend_from_slice(&back[..n]);
        }
        let mut blob = ((LISTPACK_HEADER + body.len() + 1) as u32).to_le_bytes().to_vec();
        blob.extend_from_slice(&(entries.len() as u16).to_le_bytes());
        blob.extend_from_slice(&body);
        blob.push(END);
        blob
    }

    /// Whatever is done to the bytes: an answer, and no panic.
    fn hammer(blob: &[u8], check: impl Fn(&[u8]) -> Checked) {
        assert_eq!(check(blob), Ok(()));
        for at in 0..blob.len() {
            assert!(check(&blob[..at]).is_err(), "cut at {at}");
            for change in 1..=255 {
                let mut bad = blob.to_vec();
                bad[at] ^= change;
                let _ = check(&bad);
            }
        }
    }

    #[test]
    fn listpacks() {
        let long = [&[0xE1, 0x00][..], &[b'x'; 256]].concat();
        let blob = listpack_of(&[&[5], &[0x83, b'a', b'b', b'c'], &[0xF1, 0, 1], &long, &[0xC0, 0], &[0xF4; 9]]);
        hammer(&blob, |b| listpack(b, 2));
        assert!(listpack(&blob, 4).is_err());
        let mut expiries = 0;
        assert_eq!(listpack_with_expiries(&listpack_of(&[&[1], &[2], &[0], &[1], &[2], &[9]]), &mut expiries), Ok(()));
        assert_eq!(expiries, 1);
        let huge = listpack_of(&[&[0xF0, 0xFF, 0xFF, 0xFF, 0xFF]]);
        assert!(listpack(&huge, 1).is_err());
    }

    #[test]
    fn ziplists() {
        // "ab", then the number 2 in the short form.
        let body = [&[0, 2, b'a', b'b'][..], &[4, 0xF3]].concat();
        let mut blob = ((ZIPLIST_HEADER + body.len() + 1) as u32).to_le_bytes().to_vec();
        blob.extend_from_slice(&14u32.to_le_bytes());
        blob.extend_from_slice(&2u16.to_le_bytes());
        blob.extend_from_slice(&body);
        blob.push(END);
        hammer(&blob, |b| ziplist(b, 2));
    }

    #[test]
    fn intsets() {
        let blob = [&4u32.to_le_bytes()[..], &3u32.to_le_bytes(), &(-70_000i32).to_le_bytes(), &[0; 4], &[1, 0, 0, 0]];
        hammer(&blob.concat(), intset);
        let unsorted = [&2u32.to_le_bytes()[..], &2u32.to_le_bytes(), &5i16.to_le_bytes(), &5i16.to_le_bytes()];
        assert!(intset(&unsorted.concat()).is_err());
    }

    #[test]
    fn zipmaps() {
        hammer(b"\x02\x03foo\x03\x00bar\x05hello\x05\x02world..\xff", zipmap);
        assert!(zipmap(b"\xff").is_err());
    }
}
