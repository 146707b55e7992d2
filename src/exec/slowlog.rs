//! The slow log: the latest commands that took longer than `slowlog-log-slower-than`.

use std::collections::VecDeque;

use crate::exec::spec::CommandSpec;
use crate::resp::Args;

/// Arguments kept of one entry; the last one kept then tells how many more there were.
const ARGS_MAX: usize = 32;

/// Bytes kept of one argument.
const ARG_BYTES_MAX: usize = 128;

/// One slow command.
pub struct SlowEntry {
    /// Rises by one with every entry, also across SLOWLOG RESET.
    pub id: u64,
    /// When it ran, seconds since 1970.
    pub unix_s: i64,
    /// How long it ran, µs.
    pub duration_us: u64,
    /// Its arguments, shortened.
    pub args: Vec<Vec<u8>>,
    /// Address of the client.
    pub addr: String,
    /// Name of the client.
    pub name: Vec<u8>,
}

/// The log, newest first.
#[derive(Default)]
pub struct SlowLog {
    entries: VecDeque<SlowEntry>,
    next_id: u64,
}

impl SlowLog {
    /// Adds a request, and drops the oldest entries beyond `len_max`.
    pub fn add(
        &mut self,
        unix_s: i64,
        duration_us: u64,
        (spec, args): (&CommandSpec, Args<'_>),
        (addr, name): (&str, &[u8]),
        len_max: usize,
    ) {
        if len_max == 0 {
            return; // and no id is used up
        }
        let id = self.next_id;
        self.next_id += 1;
        self.entries.push_front(SlowEntry {
            id,
            unix_s,
            duration_us,
            args: shortened(spec, args),
            addr: addr.to_owned(),
            name: name.to_owned(),
        });
        self.trim(len_max);
    }

    /// Drops the oldest entries beyond `len_max`.
    pub fn trim(&mut self, len_max: usize) {
        self.entries.truncate(len_max);
    }

    /// The newest `count` entries.
    pub fn latest(&self, count: usize) -> impl ExactSizeIterator<Item = &SlowEntry> {
        self.entries.iter().take(count)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets all; ids go on.
    pub fn reset(&mut self) {
        self.entries.clear();
    }
}

fn shortened(spec: &CommandSpec, args: Args<'_>) -> Vec<Vec<u8>> {
    let kept = args.len().min(ARGS_MAX);
    let mut out = Vec::with_capacity(kept);
    for i in 0..kept {
        if i == ARGS_MAX - 1 && args.len() > ARGS_MAX {
            out.push(format!("... ({} more arguments)", args.len() - ARGS_MAX + 1).into_bytes());
        } else if spec.is_secret(args, i) {
            out.push(spec.shown(args, i).to_vec());
        } else {
            let mut short = args.start_of(i, ARG_BYTES_MAX).into_owned();
            if args.len_of(i) > ARG_BYTES_MAX {
                short.extend_from_slice(format!("... ({} more bytes)", args.len_of(i) - ARG_BYTES_MAX).as_bytes());
            }
            out.push(short);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;

    #[test]
    fn long_requests_are_shortened() {
        let mut log = SlowLog::default();
        let many = OwnedArgs::from_parts((0..40).map(|i| vec![b'x'; if i == 1 { 200 } else { 1 }]));
        log.add(1, 2, (&CommandSpec::BASE, many.view()), ("a", b""), 10);
        let entry = log.latest(1).next().expect("one");
        assert_eq!(entry.args.len(), 32);
        assert!(entry.args[1].ends_with(b"... (72 more bytes)"));
        assert_eq!(entry.args[31], b"... (9 more arguments)");
    }

    #[test]
    fn ids_survive_a_reset() {
        let mut log = SlowLog::default();
        let args = OwnedArgs::from_parts(["get"]);
        for _ in 0..3 {
            log.add(1, 2, (&CommandSpec::BASE, args.view()), ("a", b""), 2);
        }
        assert_eq!(log.len(), 2);
        log.reset();
        log.add(1, 2, (&CommandSpec::BASE, args.view()), ("a", b""), 2);
        assert_eq!(log.latest(9).map(|e| e.id).collect::<Vec<_>>(), [3]);
    }
}
