//! Editing a listpack, wherever its bytes lie.
//!
//! Each edit is one [`Buffer::reshape`]: the bytes behind it move once, however many elements come or go.

use super::entry;
use super::{Buffer, HEADER, Item, LIMIT, ListpackRef, MANY};
use std::ops::Range;

/// A listpack in a buffer, to be edited. What is read of it is read through [`ListpackMut::view`].
pub struct ListpackMut<'b, B: Buffer + ?Sized>(&'b mut B);

impl<'b, B: Buffer + ?Sized> ListpackMut<'b, B> {
    /// Trusts the bytes, as [`ListpackRef::new`] does.
    #[inline]
    pub fn new(buffer: &'b mut B) -> Self {
        debug_assert!(ListpackRef::validate(buffer.bytes(), super::Depth::Shallow).is_ok(), "a listpack");
        ListpackMut(buffer)
    }

    #[inline]
    pub fn view(&self) -> ListpackRef<'_> {
        ListpackRef::new(self.0.bytes())
    }

    /// Appends an element.
    #[inline]
    pub fn push_back<'a>(&mut self, item: impl Into<Item<'a>>) {
        let end = self.0.bytes().len() - 1;
        self.insert(end, item);
    }

    /// Puts an element before all others.
    #[inline]
    pub fn push_front<'a>(&mut self, item: impl Into<Item<'a>>) {
        self.insert(HEADER, item);
    }

    /// Inserts an element before the position `at` (of an entry or the end), where it then is. Returns the position
    /// behind it, where the other element now is.
    #[inline]
    pub fn insert<'a>(&mut self, at: usize, item: impl Into<Item<'a>>) -> usize {
        let item = item.into();
        let len = item.entry_len();
        entry::write(item, self.change(at, 0, len, 0, 1));
        at + len
    }

    /// Inserts elements in their order before the position `at`: one move of what is behind, for any number of them.
    /// Returns the position behind the last of them.
    pub fn insert_all<'a>(&mut self, at: usize, items: impl Iterator<Item = Item<'a>> + Clone) -> usize {
        let (len, count) = items.clone().fold((0, 0), |(len, count), item| (len + item.entry_len(), count + 1));
        let mut room = self.change(at, 0, len, 0, count);
        for item in items {
            let (now, later) = room.split_at_mut(item.entry_len());
            entry::write(item, now);
            room = later;
        }
        at + len
    }

    /// Appends elements in their order.
    pub fn extend_back<'a>(&mut self, items: impl Iterator<Item = Item<'a>> + Clone) {
        let end = self.0.bytes().len() - 1;
        self.insert_all(end, items);
    }

    /// Puts another element in the place of the one at `at`. Returns the position behind it.
    #[inline]
    pub fn replace<'a>(&mut self, at: usize, item: impl Into<Item<'a>>) -> usize {
        let item = item.into();
        let (old, len) = (entry::skip(self.0.bytes(), at) - at, item.entry_len());
        entry::write(item, self.change(at, old, len, 1, 1));
        at + len
    }

    /// Removes the element at `at`; the next one (or the end) has this position then.
    #[inline]
    pub fn remove(&mut self, at: usize) {
        self.remove_run(at, 1);
    }

    /// Removes up to `count` elements from the position `at` on (of an entry or the end); the next one has this
    /// position then. Returns how many were removed.
    pub fn remove_run(&mut self, at: usize, count: usize) -> usize {
        let bytes = self.0.bytes();
        let (mut behind, mut removed) = (at, 0);
        while removed < count && behind < bytes.len() - 1 {
            behind = entry::skip(bytes, behind);
            removed += 1;
        }
        self.change(at, behind - at, 0, removed, 0);
        removed
    }

    /// Removes the elements between two positions, of which the caller knows that they are `count`.
    pub fn remove_between(&mut self, positions: Range<usize>, count: usize) {
        self.change(positions.start, positions.len(), 0, count, 0);
    }

    /// Removes the elements with these indices, or those of them that there are. Returns how many.
    pub fn remove_indices(&mut self, indices: Range<usize>) -> usize {
        match self.view().seek(indices.start) {
            Some(at) if !indices.is_empty() => self.remove_run(at, indices.len()),
            _ => 0,
        }
    }

    /// Removes and returns the text of the last element.
    pub fn pop_back(&mut self) -> Option<Vec<u8>> {
        self.take(self.view().last()?)
    }

    /// Removes and returns the text of the first element.
    pub fn pop_front(&mut self) -> Option<Vec<u8>> {
        self.take(self.view().first()?)
    }

    fn take(&mut self, at: usize) -> Option<Vec<u8>> {
        let text = self.view().item(at).to_vec();
        self.remove(at);
        Some(text)
    }

    /// Keeps the elements (of groups of `group`: 1, or 2 for pairs) that `keep` wants; it gets the first of each group.
    /// Returns how many groups went. One pass over the bytes.
    pub fn retain(&mut self, group: usize, mut keep: impl FnMut(Item<'_>) -> bool) -> usize {
        let (mut from, mut to, mut kept, mut gone) = (HEADER, HEADER, 0, 0);
        let end = self.0.bytes().len() - 1;
        while from < end {
            let bytes = self.0.bytes();
            let wanted = keep(entry::read(bytes, from).0);
            let (mut behind, mut count) = (from, 0);
            while count < group && behind < end {
                behind = entry::skip(bytes, behind);
                count += 1;
            }
            if wanted {
                if from != to {
                    self.0.in_place().copy_within(from..behind, to);
                }
                to += behind - from;
                kept += count;
            } else {
                gone += 1;
            }
            from = behind;
        }
        if gone > 0 {
            self.0.reshape(to, end - to, 0);
            self.write_header(kept.min(MANY));
        }
        gone
    }

    /// Moves the elements from the position `at` on into a listpack of their own.
    pub fn split_off(&mut self, at: usize) -> Vec<u8> {
        let all = self.view();
        let (len, end) = (all.len(), all.end());
        let count = all.iter_from(at).count();
        let mut tail = super::new(super::EMPTY.len() + end - at);
        tail.reshape(HEADER, 0, end - at)[HEADER..HEADER + end - at].copy_from_slice(&all.bytes()[at..end]);
        ListpackMut(&mut tail).write_header(count.min(MANY));
        self.0.reshape(at, end - at, 0);
        self.write_header((len - count).min(MANY));
        tail
    }

    /// Appends all elements of another listpack.
    pub fn append(&mut self, other: ListpackRef<'_>) {
        let (end, more) = (self.0.bytes().len() - 1, other.entries());
        self.change(end, 0, more.len(), 0, other.len()).copy_from_slice(more);
    }

    /// Makes the header tell the number of elements, if it does not although it could.
    pub fn recount(&mut self) {
        if self.view().told_len().is_none() {
            let len = self.view().len();
            self.write_header(len.min(MANY));
        }
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        let end = self.0.bytes().len() - 1;
        self.0.reshape(HEADER, end - HEADER, 0);
        self.write_header(0);
    }

    /// Makes room for `added` bytes of `came` entries where `removed` bytes of `gone` ones are, and returns it.
    #[inline]
    fn change(&mut self, at: usize, removed: usize, added: usize, gone: usize, came: usize) -> &mut [u8] {
        let told = usize::from(u16::from_le_bytes([self.0.bytes()[4], self.0.bytes()[5]]));
        let count = if told == MANY { MANY } else { (told + came - gone).min(MANY) };
        let bytes = self.0.reshape(at, removed, added);
        header(bytes, count);
        &mut bytes[at..at + added]
    }

    fn write_header(&mut self, count: usize) {
        header(self.0.in_place(), count);
    }
}

#[inline]
pub(super) fn header(bytes: &mut [u8], count: usize) {
    let total = bytes.len();
    assert!(total <= LIMIT, "whoever lets a listpack grow keeps it within its limit");
    bytes[..4].copy_from_slice(&(total as u32).to_le_bytes());
    bytes[4..6].copy_from_slice(&(count as u16).to_le_bytes());
}
