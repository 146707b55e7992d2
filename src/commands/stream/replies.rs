//! Ids and entries in replies.

use crate::collections::listpack::Item;
use crate::resp::Reply;
use crate::types::stream::chunk::Entry;
use crate::types::stream::id::StreamId;

/// Two numbers of twenty digits and what is between them.
const ID_TEXT_MAX: usize = 41;

/// An id as a bulk string.
#[inline]
pub(super) fn id(reply: &mut Reply, id: StreamId) {
    let mut text = [0; ID_TEXT_MAX];
    let (mut ms, mut seq) = (itoa::Buffer::new(), itoa::Buffer::new());
    let (ms, seq) = (ms.format(id.ms).as_bytes(), seq.format(id.seq).as_bytes());
    let len = ms.len() + 1 + seq.len();
    text[..ms.len()].copy_from_slice(ms);
    text[ms.len()] = b'-';
    text[ms.len() + 1..len].copy_from_slice(seq);
    reply.bulk(&text[..len]);
}

/// An entry: its id, and its fields and values in one array.
pub(super) fn entry(reply: &mut Reply, entry: &Entry<'_>) {
    reply.array(2);
    id(reply, entry.id);
    reply.array(2 * entry.len);
    for (field, value) in entry.fields() {
        item(reply, field);
        item(reply, value);
    }
}

#[inline]
fn item(reply: &mut Reply, item: Item<'_>) {
    match item {
        Item::Int(n) => reply.bulk_int(n),
        Item::Bytes(text) => reply.bulk(text),
    }
}

/// As many entries as there are, but at most `count`; calls `each` for every id. Returns how many.
pub(super) fn entries<'a>(
    reply: &mut Reply,
    range: impl Iterator<Item = Entry<'a>>,
    count: usize,
    mut each: impl FnMut(StreamId),
) -> usize {
    let head = reply.array_deferred();
    let mut n = 0;
    for found in range.take(count) {
        entry(reply, &found);
        each(found.id);
        n += 1;
    }
    reply.set_array_len(head, n);
    n
}

/// A count among arguments where 0 means all.
pub(super) fn limit(count: i64) -> usize {
    usize::try_from(count).ok().filter(|n| *n > 0).unwrap_or(usize::MAX)
}
