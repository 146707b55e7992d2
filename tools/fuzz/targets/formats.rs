//! Listpack, intset, ziplist, zipmap: any bytes are refused, or can be read from end to end. The first byte says which.
#![no_main]

use kvstash::collections::intset::{IntsetMut, IntsetRef};
use kvstash::collections::listpack::{self, Depth, Item, ListpackMut, ListpackRef};
use kvstash::collections::ziplist::ZiplistRef;
use kvstash::collections::zipmap::ZipmapRef;
use libfuzzer_sys::fuzz_target;

fn listpack(bytes: &[u8]) {
    let _ = ListpackRef::validate(bytes, Depth::Shallow);
    let Ok(list) = ListpackRef::validate(bytes, Depth::Deep) else { return };
    let items: Vec<Vec<u8>> = list.iter().map(Item::to_vec).collect();
    assert_eq!(list.len(), items.len());
    assert!(list.iter().rev().map(Item::to_vec).eq(items.iter().rev().cloned()));
    for (index, text) in items.iter().enumerate().take(20) {
        assert!(list.get(index).is_some_and(|item| item.is_text(text) && item.len() == text.len()));
        assert!(list.find(text.as_slice(), 0).is_some());
    }
    // Editing needs no more than what was checked.
    let mut buffer = bytes.to_vec();
    let mut edited = ListpackMut::new(&mut buffer);
    let mut model = items;
    edited.push_front(b"first".as_slice());
    model.insert(0, b"first".to_vec());
    if model.len() > 2 {
        let middle = model.len() / 2;
        let at = edited.view().seek(middle).expect("inside");
        edited.replace(at, b"-70000".as_slice());
        model[middle] = b"-70000".to_vec();
    }
    assert_eq!(edited.pop_back(), model.pop());
    let edited = ListpackRef::validate(&buffer, Depth::Deep).expect("still a listpack");
    assert!(edited.iter().map(Item::to_vec).eq(model));
}

fn intset(bytes: &[u8]) {
    let Ok(set) = IntsetRef::validate(bytes, true) else { return };
    let all: Vec<i64> = set.iter().collect();
    assert!(all.is_sorted_by(|a, b| a < b) && all.len() == set.len());
    assert!(all.iter().all(|n| set.contains(*n)));
    let mut buffer = bytes.to_vec();
    let mut edited = IntsetMut::new(&mut buffer);
    for n in [0, -1, i64::MIN, 40_000] {
        assert_eq!(edited.insert(n), !all.contains(&n));
    }
    assert!(IntsetRef::validate(&buffer, true).is_ok());
}

fn ziplist(bytes: &[u8]) {
    let Ok(list) = ZiplistRef::validate(bytes) else { return };
    assert_eq!(list.iter().count(), list.len());
    // What it is read for.
    let packed = listpack::collect(list);
    let packed = ListpackRef::validate(&packed, Depth::Deep).expect("made here");
    assert!(packed.iter().eq(list.iter()));
}

fuzz_target!(|data: &[u8]| {
    let Some((which, bytes)) = data.split_first() else { return };
    match which % 4 {
        0 => listpack(bytes),
        1 => intset(bytes),
        2 => ziplist(bytes),
        _ => {
            if let Ok(map) = ZipmapRef::validate(bytes) {
                assert_eq!(map.iter().count(), map.len());
            }
        }
    }
});
