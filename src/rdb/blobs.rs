//! The compact encodings that Redis stores as one string: are they laid out as they say?
//!
//! How each is laid out is known to [`crate::collections`], and checked there to the last byte. Here it is asked
//! whether pairs are complete. Uniqueness, and the order of anything but integers, are the business of the types that
//! load them.

use crate::collections::intset::{IntsetRef, Malformed};
use crate::collections::listpack::{Depth, Item, ListpackRef};
use crate::collections::ziplist::ZiplistRef;
use crate::collections::zipmap::ZipmapRef;

type Checked = Result<(), &'static str>;

/// A listpack of items of `per_item` entries each.
pub(super) fn listpack(blob: &[u8], per_item: usize) -> Checked {
    let count = walk_listpack(blob, |_, _| {})?;
    if count.is_multiple_of(per_item) { Ok(()) } else { Err("listpack with an incomplete pair") }
}

/// A listpack of fields, values and expiries; counts the expiries that are set.
pub(super) fn listpack_with_expiries(blob: &[u8], expiries: &mut u64) -> Checked {
    let count = walk_listpack(blob, |index, entry| {
        // 0 stands for none.
        *expiries += u64::from(index % 3 == 2 && entry != Item::Int(0));
    })?;
    if count.is_multiple_of(3) { Ok(()) } else { Err("listpack with an incomplete field") }
}

fn walk_listpack(blob: &[u8], mut each: impl FnMut(usize, Item<'_>)) -> Result<usize, &'static str> {
    let mut count = 0;
    let checked = ListpackRef::validate_each(blob, Depth::Deep, |entry| {
        each(count, entry);
        count += 1;
        true
    });
    checked.map(|_| count).map_err(|_| "listpack integrity check failed")
}

/// A ziplist of items of `per_item` entries each.
pub(super) fn ziplist(blob: &[u8], per_item: usize) -> Checked {
    let list = ZiplistRef::validate(blob).map_err(|_| "ziplist integrity check failed")?;
    if list.len().is_multiple_of(per_item) { Ok(()) } else { Err("ziplist with an incomplete pair") }
}

/// An intset.
pub(super) fn intset(blob: &[u8]) -> Checked {
    match IntsetRef::validate(blob, true) {
        Ok(set) if !set.is_empty() => Ok(()),
        Err(Malformed::OutOfOrder) => Err("intset is not sorted"),
        Ok(_) | Err(_) => Err("intset integrity check failed"),
    }
}

/// A zipmap: hashes before Redis 2.6.
pub(super) fn zipmap(blob: &[u8]) -> Checked {
    ZipmapRef::validate(blob).map(drop).map_err(|_| "zipmap integrity check failed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collections::listpack;

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
        let long = [b'x'; 256];
        let blob = listpack::collect([&b"5"[..], b"abc", b"256", &long, b"64", b"-1"]);
        hammer(&blob, |b| listpack(b, 2));
        assert!(listpack(&blob, 4).is_err());
        let mut expiries = 0;
        let fields = listpack::collect([1, 2, 0, 1, 2, 9]);
        assert_eq!(listpack_with_expiries(&fields, &mut expiries), Ok(()));
        assert_eq!(expiries, 1);
        assert!(listpack_with_expiries(&listpack::collect([1, 2]), &mut expiries).is_err());
    }

    #[test]
    fn ziplists() {
        // "ab", then the number 2 in the short form.
        let blob = b"\x11\0\0\0\x0e\0\0\0\x02\0\0\x02ab\x04\xf3\xff";
        hammer(blob, |b| ziplist(b, 2));
        assert!(ziplist(blob, 3).is_err());
    }

    #[test]
    fn intsets() {
        let blob = [&4u32.to_le_bytes()[..], &3u32.to_le_bytes(), &(-70_000i32).to_le_bytes(), &[0; 4], &[1, 0, 0, 0]];
        hammer(&blob.concat(), intset);
        let unsorted = [&2u32.to_le_bytes()[..], &2u32.to_le_bytes(), &5i16.to_le_bytes(), &5i16.to_le_bytes()];
        assert_eq!(intset(&unsorted.concat()), Err("intset is not sorted"));
        assert!(intset(&[2, 0, 0, 0, 0, 0, 0, 0]).is_err(), "no set is empty");
    }

    #[test]
    fn zipmaps() {
        hammer(b"\x02\x03foo\x03\x00bar\x05hello\x05\x02world..\xff", zipmap);
        assert!(zipmap(b"\xff").is_err());
    }
}
