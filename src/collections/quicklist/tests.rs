//! Nodes as Redis cuts them, and elements that come and go where nodes end.

use super::*;
use crate::collections::listpack::Item;
use crate::cow::{Heap, Unshared};
use crate::util::text::Source;
use std::ops::ControlFlow;

fn list(fill: Fill, depth: u32, texts: &[&str]) -> (Heap, Quicklist) {
    let mut heap = Heap::new();
    let mut list = Quicklist::new(heap.epoch(), Shape { fill, depth });
    texts.iter().for_each(|text| list.push(&mut heap, Side::Tail, Item::of(text.as_bytes())));
    (heap, list)
}

fn texts(list: &Quicklist) -> Vec<String> {
    let mut all = vec![];
    list.walk(0, false, |item| {
        all.push(String::from_utf8(item.to_vec()).expect("a text"));
        ControlFlow::Continue(())
    });
    all
}

/// Elements of each node.
fn nodes(list: &Quicklist) -> Vec<usize> {
    list.iter_nodes().map(node::count).collect()
}

fn end_of(mut heap: Heap, list: Quicklist) {
    list.check_invariants(&heap);
    list.discard(&mut heap);
    while heap.reclaim(10) {}
    assert_eq!(heap.stats(), Default::default());
}

#[test]
fn nodes_are_filled_from_both_ends() {
    let (mut heap, mut list) = list(Fill::Count(2), 0, &["a", "b", "c"]);
    assert_eq!(nodes(&list), [2, 1]);
    for text in ["0", "1", "2", "3"] {
        list.push(&mut heap, Side::Head, Item::of(text.as_bytes()));
    }
    assert_eq!(nodes(&list), [2, 2, 2, 1]);
    assert_eq!(texts(&list), ["3", "2", "1", "0", "a", "b", "c"]);
    for _ in 0..3 {
        list.pop(&mut heap, Side::Head);
    }
    assert_eq!((nodes(&list), list.len()), (vec![1, 2, 1], 4));
    list.pop(&mut heap, Side::Tail);
    assert_eq!(nodes(&list), [1, 2]);
    assert_eq!(list.get(2, |item| item.to_vec()), Some(b"b".to_vec()));
    assert_eq!(list.get(3, |item| item.to_vec()), None);
    for _ in 0..4 {
        list.pop(&mut heap, Side::Tail);
    }
    assert!(list.is_empty() && list.nodes() == 0);
    end_of(heap, list);
}

#[test]
fn what_is_inserted_into_a_full_node_splits_it() {
    let (mut heap, mut list) = list(Fill::Count(4), 0, &["a", "b", "c", "d", "e", "f", "g", "h", "i"]);
    assert_eq!(nodes(&list), [4, 4, 1]);
    list.insert(&mut heap, 5, true, Source::Lent(b"x"));
    assert_eq!(nodes(&list), [4, 2, 4], "the part behind was joined with the last node");
    list.insert(&mut heap, 3, true, Source::Lent(b"y"));
    assert_eq!(nodes(&list), [4, 3, 4], "the next node had room");
    list.insert(&mut heap, 0, false, Source::Lent(b"z"));
    assert_eq!(nodes(&list), [1, 4, 3, 4]);
    assert_eq!(texts(&list).concat(), "zabcdyefxghi");
    end_of(heap, list);
}

#[test]
fn large_elements_are_alone() {
    let large = "L".repeat(9000);
    let (mut heap, mut list) = list(Fill::of(-2), 0, &["a", "b", "c"]);
    list.insert(&mut heap, 1, false, Source::Lent(large.as_bytes()));
    assert_eq!((nodes(&list), list.packed_size()), (vec![1, 1, 2], None));
    list.insert(&mut heap, 3, true, Source::Lent(large.as_bytes()));
    list.insert(&mut heap, 1, true, Source::Lent(b"after"));
    assert_eq!(texts(&list), ["a", &large, "after", "b", "c", &large]);
    list.replace(&mut heap, 1, Source::Lent(b"small"));
    list.replace(&mut heap, 3, Source::Lent(large.as_bytes()));
    assert_eq!(texts(&list), ["a", "small", "after", &large, "c", &large]);
    assert_eq!(list.remove_equal(&mut heap, Item::of(large.as_bytes()), 1, true), 1);
    assert_eq!(list.remove_range(&mut heap, 3, 9), 2);
    assert_eq!(texts(&list), ["a", "small", "after"]);
    end_of(heap, list);
}

#[test]
fn inner_nodes_are_compressed() {
    let text = "abcdefgh".repeat(10);
    let all: Vec<&str> = (0..40).map(|_| text.as_str()).collect();
    for depth in 1..4 {
        let (mut heap, mut list) = list(Fill::Count(2), depth, &all);
        let compressed = |list: &Quicklist| list.iter_nodes().filter(|node| node::is_compressed(node)).count();
        list.check_invariants(&heap);
        assert_eq!(compressed(&list), 20 - 2 * depth as usize);
        assert_eq!(texts(&list), all);
        for _ in 0..10 {
            list.pop(&mut heap, Side::Head);
            list.pop(&mut heap, Side::Tail);
            list.check_invariants(&heap);
        }
        assert_eq!(compressed(&list), 10 - 2 * depth as usize);
        list.insert(&mut heap, 10, true, Source::Lent(b"12"));
        list.replace(&mut heap, 4, Source::Lent(b"13"));
        list.check_invariants(&heap);
        assert_eq!((texts(&list)[11].as_str(), texts(&list)[4].as_str()), ("12", "13"));
        end_of(heap, list);
    }
}

#[test]
fn a_range_is_cut_as_removing_one_by_one_would() {
    let large = "L".repeat(9000);
    let all: Vec<String> = (0..400).map(|n| if n % 29 == 5 { large.clone() } else { format!("{n}") }).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    for (start, end) in [(0, 400), (0, 0), (3, 4), (5, 6), (7, 390), (399, 400), (1, 399), (0, 399), (1, 400), (30, 65)]
    {
        for depth in [0, 2] {
            let (mut heap, mut list) = list(Fill::Count(4), depth, &all);
            let snapshot = list.fork(&heap);
            let ticket = heap.open_snapshot().ticket();
            let (mut other_heap, mut one_by_one) = self::list(Fill::Count(4), depth, &all);
            assert_eq!(list.remove_range(&mut heap, start, end - start), end - start);
            (start..end).for_each(|_| assert_eq!(one_by_one.remove_range(&mut other_heap, start, 1), 1));
            list.check_invariants(&heap);
            assert_eq!((texts(&list), nodes(&list)), (texts(&one_by_one), nodes(&one_by_one)));
            assert_eq!(texts(&snapshot), all, "a snapshot sees what there was");
            drop(ticket);
            heap.reap();
            list.discard(&mut heap);
            while heap.reclaim(10) {}
            assert_eq!(heap.stats().retired_nodes, 0);
            end_of(other_heap, one_by_one);
        }
    }
}

#[test]
fn a_list_is_freed_in_slices() {
    let all: Vec<String> = (0..5000).map(|n| format!("element {n}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let (_, mut list) = list(Fill::Count(10), 0, &all);
    assert_eq!(list.free_effort(), 501);
    // SAFETY: there is no snapshot.
    let proof = unsafe { Unshared::proven() };
    let mut slices = 0;
    while !list.destroy_some(&mut { 50 }, &proof) {
        slices += 1;
    }
    assert!(slices >= 4, "{slices}");
    list.destroy(&proof);
}
