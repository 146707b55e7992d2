//! Keyspace events in a stream: who was away when something happened reads of it later.
//!
//! `notify-keyspace-stream` names a key of database 0. Every event of the classes that `notify-keyspace-events` wants is
//! appended to the stream there, as the fields `event`, `db` and `key`. The appending is a write like any other: it is
//! propagated, consumers that wait for the stream are woken, and `MAXLEN` bounds its length. It causes no event itself.

use crate::db::{Events, KeySlot, Keyspace};
use crate::types::Object;
use crate::types::TypeName;
use crate::types::place::Place;
use crate::types::stream::NewStream;
use crate::types::stream::chunk::ChunkLimits;
use crate::types::stream::entries::{References, Threshold, Trim};
use crate::types::value::NewValue;

/// Why an event could not be appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    /// The key holds something else.
    WrongType,
    /// The stream has the last possible id.
    Exhausted,
}

/// Appends events to the stream at `name`, which is made if it is missing, and shortens it to `max_len` entries; 0 keeps all.
pub(super) fn append(
    keyspace: &mut Keyspace,
    now_ms: i64,
    name: &[u8],
    max_len: u64,
    events: &Events,
) -> Result<(), Refused> {
    let mut db = keyspace.db(0, now_ms);
    let key = db.key(name);
    for event in events.iter() {
        let (number, mut text) = (event.db.to_string(), Vec::new());
        let fields = [b"event", event.name.as_bytes(), b"db", number.as_bytes(), b"key", event.key];
        let mut place = match db.entry(key) {
            KeySlot::Occupied(place) => {
                place.get().expect(TypeName::Stream).map_err(|_| Refused::WrongType)?;
                place
            }
            KeySlot::Vacant(mut vacant) => {
                let new = NewStream::empty(vacant.maker().epoch());
                vacant.insert_value(NewValue::Stream(new))
            }
        };
        let limits = place.maker().limits;
        let limits = ChunkLimits {
            bytes: usize::try_from(limits.stream_bytes).unwrap_or(usize::MAX),
            entries: limits.stream_entries,
        };
        let Some((Object::Stream(stream), heap)) = place.node_mut() else { return Err(Refused::WrongType) };
        let id = stream.choose_id(None, now_ms).map_err(|_| Refused::Exhausted)?;
        stream.add(heap, limits, id, fields.iter().copied());
        if max_len > 0 {
            let to = Threshold::Length(max_len);
            stream.trim(heap, Trim { to, approximate: true, limit: 0, references: References::Keep });
        }
        let len = stream.entries().len().to_string();
        place.changed_quietly(1);
        id.push_text(&mut text);
        if db.propagates() {
            let mut command: Vec<&[u8]> = vec![b"XADD", name];
            if max_len > 0 {
                command.extend([&b"MAXLEN"[..], b"=", len.as_bytes()]);
            }
            command.push(&text);
            command.extend(fields);
            db.propagate(&command);
        }
    }
    Ok(())
}
