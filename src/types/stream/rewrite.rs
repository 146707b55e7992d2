//! A stream as commands: XADD for entries, XSETID for what it remembers of others, then groups, consumers and what is
//! pending, with XCLAIM.
//!
//! # Entries that are pending and gone
//!
//! An entry can have been deleted, or trimmed, while it was pending; XCLAIM takes none that does not exist, and Redis
//! forgets those when it rewrites its file. Here they are made for a moment, as [`STAND_IN`]s, and taken away again when
//! they were claimed: with XDEL up to the last one that was deleted, the others, which were trimmed, with XTRIM. What the
//! stream remembers is set once more after that.

use super::groups::Groups;
use super::id::StreamId;
use super::{Facts, StreamObject, StreamRef};
use crate::types::rewrite::CommandWriter;
use std::collections::BTreeSet;

/// The field, and the value, of an entry that is there for a moment.
const STAND_IN: &[u8] = b"x";

impl StreamRef<'_> {
    /// Writes what makes this value under a key that is not there.
    pub fn rewrite(self, key: &[u8], out: &mut CommandWriter<'_>) {
        let stream: &StreamObject = self.get();
        let gone = pending_and_gone(stream);
        write_entries(stream, &gone, key, out);
        // With the entries that are there for a moment, the stream may have to remember more than it does.
        let Facts { last_id, entries_added, .. } = *stream.facts();
        let last_id = last_id.max(gone.last().copied().unwrap_or_default());
        let entries_added = entries_added.max(stream.entries().len() + gone.len() as u64);
        write_facts(&Facts { last_id, entries_added, ..*stream.facts() }, key, out);
        if let Some(groups) = stream.groups() {
            write_groups(groups, key, out);
        }
        if !gone.is_empty() {
            take_away(stream, &gone, key, out);
            write_facts(stream.facts(), key, out);
        }
    }
}

/// Ids that are pending in some group and that the stream does not have any more.
fn pending_and_gone(stream: &StreamObject) -> BTreeSet<StreamId> {
    let mut gone = BTreeSet::new();
    for (_, group) in stream.groups().into_iter().flat_map(Groups::iter) {
        let groups = stream.groups().expect("one of them is being looked at");
        let mut finder = stream.entries().finder();
        gone.extend(
            groups
                .pending_from(&group, StreamId::MIN)
                .map(|pending| pending.id)
                .filter(|&id| finder.find(id).is_none()),
        );
    }
    gone
}

fn write_entries(stream: &StreamObject, gone: &BTreeSet<StreamId>, key: &[u8], out: &mut CommandWriter<'_>) {
    if stream.entries().is_empty() && gone.is_empty() {
        // The only way to make one without entries and without groups.
        out.command("XADD", &[key, b"MAXLEN", b"0", b"0-1", STAND_IN, STAND_IN]);
    }
    let mut id_text = Vec::new();
    let mut add = |out: &mut CommandWriter<'_>, id: StreamId, fields: usize| {
        out.begin("XADD", 2 + 2 * fields);
        out.arg(key);
        arg_id(out, id, &mut id_text);
    };
    let mut gone = gone.iter().copied().peekable();
    let mut entries = stream.entries().range(StreamId::MIN, StreamId::MAX).peekable();
    loop {
        let next = entries.peek().map_or(StreamId::MAX, |entry| entry.id);
        if let Some(id) = gone.next_if(|&id| id < next) {
            add(out, id, 1);
            out.arg(STAND_IN);
            out.arg(STAND_IN);
            continue;
        }
        let Some(entry) = entries.next() else { return };
        add(out, entry.id, entry.len);
        for (name, value) in entry.fields() {
            out.arg_item(name);
            out.arg_item(value);
        }
    }
}

/// What the stream remembers of entries that are not there any more.
fn write_facts(facts: &Facts, key: &[u8], out: &mut CommandWriter<'_>) {
    let mut id_text = Vec::new();
    out.begin("XSETID", 6);
    out.arg(key);
    arg_id(out, facts.last_id, &mut id_text);
    out.arg(b"ENTRIESADDED");
    out.arg_uint(facts.entries_added);
    out.arg(b"MAXDELETEDID");
    arg_id(out, facts.max_deleted_id, &mut id_text);
}

fn write_groups(groups: &Groups, key: &[u8], out: &mut CommandWriter<'_>) {
    let mut id_text = Vec::new();
    for (name, group) in groups.iter() {
        out.begin("XGROUP", 6);
        out.arg(b"CREATE");
        out.arg(key);
        out.arg(name);
        arg_id(out, group.last_id, &mut id_text);
        out.arg(b"ENTRIESREAD");
        match group.entries_read {
            Some(read) => out.arg_uint(read),
            None => out.arg(b"-1"),
        }
        for (consumer_name, consumer) in groups.consumers(&group) {
            if groups.owned_len(&consumer) == 0 {
                out.command("XGROUP", &[b"CREATECONSUMER", key, name, consumer_name]);
            }
            for id in groups.owned_by(&consumer, StreamId::MIN) {
                let pending = groups.pending(&group, id).expect("what a consumer has is pending in its group");
                out.begin("XCLAIM", 11);
                out.arg(key);
                out.arg(name);
                out.arg(consumer_name);
                out.arg(b"0");
                arg_id(out, id, &mut id_text);
                out.arg(b"TIME");
                out.arg_int(pending.delivered_ms);
                out.arg(b"RETRYCOUNT");
                out.arg_uint(pending.deliveries);
                out.arg(b"JUSTID");
                out.arg(b"FORCE");
            }
        }
    }
}

/// Takes the entries away that were there for a moment.
fn take_away(stream: &StreamObject, gone: &BTreeSet<StreamId>, key: &[u8], out: &mut CommandWriter<'_>) {
    let mut id_text = Vec::new();
    // What was trimmed stood before all that is left; and no deletion is known that came so far.
    let first = stream.entries().first().map(|entry| entry.id);
    let max_deleted = stream.facts().max_deleted_id;
    let is_trimmed = |id: StreamId| id > max_deleted && first.is_none_or(|first| id < first);
    let mut trimmed = None;
    for &id in gone {
        if is_trimmed(id) {
            trimmed = Some(id);
        } else {
            out.begin("XDEL", 2);
            out.arg(key);
            arg_id(out, id, &mut id_text);
        }
    }
    if let Some(end) = trimmed.and_then(|last| last.next()) {
        out.begin("XTRIM", 4);
        out.arg(key);
        out.arg(b"MINID");
        out.arg(b"=");
        arg_id(out, end, &mut id_text);
    }
}

fn arg_id(out: &mut CommandWriter<'_>, id: StreamId, text: &mut Vec<u8>) {
    text.clear();
    id.push_text(text);
    out.arg(text);
}
