//! How far a group is behind: what XINFO calls `entries-read` and `lag`.
//!
//! A stream counts the entries that were ever added, and a group those it was given. That tells how many it still has to
//! be given, unless entries were deleted behind where it stands. The highest deleted id is all that is known of
//! deletions; trimming does not count, because it takes from the front.

use super::groups::Group;
use super::id::StreamId;
use super::{Facts, StreamObject};

impl StreamObject {
    /// Whether an entry at or behind `start` may have been deleted.
    pub fn has_gap_from(&self, start: StreamId) -> bool {
        let Facts { first_id, max_deleted_id, .. } = self.facts;
        !self.entries.is_empty() && !max_deleted_id.is_zero() && first_id <= max_deleted_id && start <= max_deleted_id
    }

    /// Whether a group that stands at `last_id` can go on counting: all that it is still to be given is there.
    fn counts_on(&self, last_id: StreamId) -> bool {
        last_id >= self.facts.first_id && !self.has_gap_from(last_id)
    }

    /// How many entries were added up to and with `id`, if that can be told.
    pub fn added_up_to(&self, id: StreamId) -> Option<u64> {
        let Facts { last_id, first_id, max_deleted_id, entries_added } = self.facts;
        let len = self.entries.len();
        if entries_added == 0 {
            return Some(0);
        }
        if id == last_id || (len == 0 && id < last_id) {
            return Some(entries_added);
        }
        if id > last_id {
            return None;
        }
        let no_gap = max_deleted_id.is_zero() || max_deleted_id < first_id;
        if no_gap && id <= first_id {
            // `id` may be one that never was, before the first one.
            return Some(entries_added.wrapping_sub(len).wrapping_add(u64::from(id == first_id)));
        }
        None
    }

    /// How many entries a group has still to be given, if that can be told.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        let added = self.facts.entries_added;
        if added == 0 || self.entries.is_empty() {
            return Some(0);
        }
        let read = match group.entries_read {
            Some(read) if self.counts_on(group.last_id) => read,
            _ => self.added_up_to(group.last_id)?,
        };
        Some(added.wrapping_sub(read) as i64)
    }

    /// A group is given the entry `id`, which is behind all that it was given before.
    pub fn advance(&self, group: &mut Group, id: StreamId) {
        let counts_on = self.counts_on(group.last_id);
        match &mut group.entries_read {
            Some(read) if counts_on => *read = read.wrapping_add(1),
            read if self.facts.entries_added > 0 => *read = self.added_up_to(id),
            _ => {}
        }
        group.last_id = id;
    }
}
