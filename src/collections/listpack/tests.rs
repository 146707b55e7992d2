//! Every kind of entry, edits by position, and bytes that are no listpack.

use super::*;
use crate::util::text::Text;

/// One element of every kind of entry, at its limits.
fn elements() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for shift in [0, 6, 7, 12, 13, 15, 16, 23, 24, 31, 32, 62] {
        for n in [(1i64 << shift) - 1, 1 << shift, -(1 << shift), -(1 << shift) - 1] {
            all.push(n.to_string().into_bytes());
        }
    }
    all.extend([i64::MIN, i64::MAX].map(|n| n.to_string().into_bytes()));
    let lens = [0, 1, 62, 63, 64, 125, 126, 127, 128, 4095, 4096, 16377, 16378, 16379, 16380, 70_000, 2_097_150];
    let longest = if cfg!(miri) { 4096 } else { usize::MAX };
    all.extend(lens.into_iter().filter(|len| *len <= longest).map(|len| vec![b'x'; len]));
    all.extend(["-0", "007", "1.5", "9223372036854775808", "-"].map(|text| text.as_bytes().to_vec()));
    all
}

fn texts(lp: ListpackRef<'_>) -> Vec<Vec<u8>> {
    lp.iter().map(Item::to_vec).collect()
}

#[test]
fn every_kind_of_entry_reads_back_from_both_sides() {
    let model = elements();
    let bytes = collect(model.iter().map(Vec::as_slice));
    let lp = ListpackRef::validate(&bytes, Depth::Deep).expect("well formed");
    assert_eq!(lp.len(), model.len());
    assert_eq!(texts(lp), model);
    let back: Vec<_> = lp.iter().rev().map(Item::to_vec).collect();
    assert!(back.iter().eq(model.iter().rev()));
    for (index, text) in model.iter().enumerate() {
        let item = lp.get(index).expect("there");
        assert!(item.is_text(text) && item.len() == text.len() && item == Item::of(text));
        let found = lp.find(text.as_slice(), 0).map(|at| lp.item(at).to_vec());
        assert_eq!(found.as_ref(), Some(text));
    }
    assert_eq!(lp.get(model.len()), None);
    assert_eq!(lp.find(b"absent".as_slice(), 0), None);
}

/// The bytes that a Redis server dumps after `RPUSH l 1 a 300 70000 -5`, and those of an empty one.
#[test]
fn bytes_as_redis_lays_them_out() {
    let bytes = collect([&b"1"[..], b"a", b"300", b"70000", b"-5"]);
    let expected = [
        &[23, 0, 0, 0, 5, 0][..],
        &[1, 1],
        &[0x81, b'a', 2],
        &[0xC1, 0x2C, 2],
        &[0xF2, 0x70, 0x11, 0x01, 4],
        &[0xDF, 0xFB, 2],
        &[0xFF],
    ]
    .concat();
    assert_eq!(bytes, expected);
    assert_eq!(new(0), [7, 0, 0, 0, 0, 0, 0xFF]);
}

#[test]
fn edits_by_position() {
    let mut bytes = collect([&b"a"[..], b"b", b"c"]);
    let mut lp = ListpackMut::new(&mut bytes);
    let b = lp.view().seek(1).expect("b");
    let behind = lp.replace(b, &b"a much longer text than the one before"[..]);
    assert_eq!(lp.view().item(behind).to_vec(), b"c");
    lp.insert(b, 7);
    lp.push_front(-1);
    lp.insert_all(HEADER, [Item::of(b"x"), Item::of(b"12")].into_iter());
    assert_eq!(format!("{:?}", lp.view()), r#"["x", 12, -1, "a", 7, "a much longer text than the one before", "c"]"#);
    assert_eq!(lp.remove_indices(1..3), 2);
    assert_eq!(lp.remove_indices(3..100), 2);
    assert_eq!(lp.remove_indices(3..100), 0);
    assert_eq!(lp.pop_back().as_deref(), Some(&b"7"[..]));
    assert_eq!(lp.pop_front().as_deref(), Some(&b"x"[..]));
    lp.remove(HEADER);
    assert!(lp.view().is_empty() && lp.pop_back().is_none() && lp.pop_front().is_none());
    assert_eq!(bytes, EMPTY);
}

#[test]
fn lookups_may_leave_elements_out() {
    let bytes = collect([&b"b"[..], b"a", b"a", b"1", b"1", b"b"]);
    let lp = ListpackRef::new(&bytes);
    assert_eq!(lp.find(&b"a"[..], 1), lp.seek(2));
    assert_eq!(lp.find(&b"1"[..], 1), lp.seek(4));
    assert_eq!(lp.find(1, 0), lp.seek(3));
    let from = lp.seek(1).expect("there");
    assert_eq!(lp.find_from(from, &b"b"[..], 1), lp.seek(5));
    assert_eq!(lp.find(&b"b"[..], 4), lp.seek(0));
    assert_eq!(lp.find_from(from, &b"zz"[..], 7), None);
}

#[cfg_attr(miri, ignore = "many")]
#[test]
fn many_are_counted_by_walking() {
    let mut bytes = collect((0..65534i64).map(Item::Int));
    assert_eq!(bytes[4..6], [0xFE, 0xFF]);
    let mut lp = ListpackMut::new(&mut bytes);
    for more in 0..3 {
        lp.push_back(more);
        assert_eq!(lp.view().len(), 65535 + more as usize);
    }
    assert_eq!(lp.view().get(65536), Some(Item::Int(2)));
    assert_eq!(lp.view().get(65537), None);
    lp.remove_indices(0..10);
    assert_eq!(lp.view().len(), 65527);
    assert_eq!(lp.retain(2, |item| item.as_i64().is_some_and(|n| n < 20)), 32757);
    assert_eq!(lp.view().len(), 65527 - 2 * 32757);
    assert!(ListpackRef::validate(&bytes, Depth::Deep).is_ok());
    let mut few = collect([1, 2, 3].map(Item::Int));
    few[4..6].fill(0xFF);
    let mut lp = ListpackMut::new(&mut few);
    assert_eq!(lp.view().len(), 3);
    lp.recount();
    assert_eq!(few[4..6], [3, 0]);
}

#[test]
fn parts_become_listpacks() {
    let model = elements();
    for index in (0..=model.len()).step_by(if cfg!(miri) { 10 } else { 1 }) {
        let mut head = collect(model.iter().map(Vec::as_slice));
        let mut lp = ListpackMut::new(&mut head);
        let at = lp.view().seek(index).unwrap_or(lp.view().end());
        let tail = lp.split_off(at);
        assert_eq!(texts(ListpackRef::validate(&head, Depth::Deep).expect("well formed")), model[..index]);
        let tail = ListpackRef::validate(&tail, Depth::Deep).expect("well formed");
        assert_eq!(texts(tail), model[index..]);
        let mut lp = ListpackMut::new(&mut head);
        lp.append(tail);
        assert_eq!((lp.view().len(), texts(lp.view())), (model.len(), model.clone()));
        if index % 10 == 0 {
            lp.clear();
            assert_eq!(head, EMPTY);
        }
    }
}

#[test]
fn hostile_bytes_are_refused() {
    let check = |bytes: &[u8]| ListpackRef::validate(bytes, Depth::Deep).map(|_| ());
    let with = |entries: &[u8], count: u16| {
        let mut bytes = ((entries.len() + 7) as u32).to_le_bytes().to_vec();
        bytes.extend(count.to_le_bytes());
        bytes.extend(entries);
        bytes.push(0xFF);
        bytes
    };
    assert_eq!(check(b""), Err(Malformed::Truncated));
    assert_eq!(check(&EMPTY[..6]), Err(Malformed::Truncated));
    assert_eq!(check(&EMPTY), Ok(()));
    assert_eq!(check(&with(&[1, 1], 1)), Ok(()));
    assert_eq!(check(&with(&[1, 1], 2)), Err(Malformed::WrongCount));
    assert_eq!(check(&with(&[1, 1], 0xFFFF)), Ok(()));
    assert_eq!(check(&with(&[1, 2], 1)), Err(Malformed::WrongBackLength));
    assert_eq!(check(&with(&[1], 1)), Err(Malformed::Truncated));
    assert_eq!(check(&with(&[0x85, b'a', 2], 1)), Err(Malformed::Truncated));
    assert_eq!(check(&with(&[0xC1], 1)), Err(Malformed::Truncated));
    assert_eq!(check(&with(&[0xE1], 1)), Err(Malformed::Truncated));
    assert_eq!(check(&with(&[0xEF, 0xFF, 1], 1)), Err(Malformed::Truncated));
    assert_eq!(check(&with(&[0xF0, 1, 0, 0], 1)), Err(Malformed::Truncated));
    assert_eq!(check(&with(&[0xF0, 0xFF, 0xFF, 0xFF, 0xFF, 1], 1)), Err(Malformed::Truncated));
    assert_eq!(check(&with(&[0xF4, 1, 2], 1)), Err(Malformed::Truncated));
    for head in 0xF5..0xFFu8 {
        assert_eq!(check(&with(&[head, 1], 1)), Err(Malformed::UnknownEntry));
    }
    assert_eq!(check(&with(&[0xFF], 1)), Err(Malformed::WrongEnd));
    let mut open = with(&[1, 1], 1);
    *open.last_mut().expect("not empty") = 0;
    assert_eq!(check(&open), Err(Malformed::WrongEnd));
    let mut longer = with(&[1, 1], 1);
    longer.push(0xFF);
    assert_eq!(check(&longer), Err(Malformed::WrongLength));
    // A text in a longer form than it needs is accepted, and found.
    let loose = with(&[0xE0, 1, b'a', 3, 0xF0, 1, 0, 0, 0, b'5', 6, 0xF1, 5, 0, 3], 3);
    assert_eq!(check(&loose), Ok(()));
    let lp = ListpackRef::new(&loose);
    assert_eq!((lp.find(&b"a"[..], 0), lp.find(&b"5"[..], 0), lp.find_from(17, 5, 0)), (Some(6), Some(10), Some(17)));
}

/// Whatever one byte is changed into, reading what the check lets through reads within the bytes.
#[test]
fn no_damage_gets_through_to_the_reader() {
    let good = collect(elements().iter().filter(|text| text.len() < 200).map(Vec::as_slice));
    for at in (0..good.len()).step_by(if cfg!(miri) { 61 } else { 1 }) {
        for flip in [1, 2, 0x40, 0x80, 0xFF] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            if let Ok(lp) = ListpackRef::validate(&bad, Depth::Deep) {
                assert_eq!(lp.iter().count(), lp.iter().rev().count());
            }
        }
    }
}

#[test]
fn a_long_text_is_appended_like_any_other() {
    let texts: Vec<Vec<u8>> = [0, 1, 63, 64, 127, 128, 4095, 4096, 16_382, 16_383, 40_000]
        .map(|len| (0..len).map(|i| b'a' + (i % 26) as u8).collect())
        .into_iter()
        .chain([b"17".to_vec(), b"017".to_vec()])
        .collect();
    let expected = collect(texts.iter().map(|text| Item::of(text)));
    let mut bytes = new(0);
    texts.iter().for_each(|text| push_text(&mut bytes, text.into_source()));
    assert!(bytes == expected);
    let mut many = collect((0..MANY as i64 - 1).map(Item::Int));
    for _ in 0..2 {
        push_text(&mut many, b"last".into_source());
        assert!(ListpackRef::validate(&many, Depth::Deep).is_ok());
    }
    assert_eq!(ListpackRef::new(&many).len(), MANY + 1);
}
