//! Commands: one folder per group of COMMAND DOCS, one `static` and one function per command.
//!
//! # What this is
//!
//! Thin translations: arguments to data to reply. What several families need lives in `exec/` (arguments, errors) or
//! in `types/` and `db/` (operations).
//!
//! # What it never does
//!
//! **Architecture Invariant:** a family imports no other family, and nothing here touches a socket, a clock or a
//! file.
//!
//! # Map
//!
//! | folder | group |
//! | --- | --- |
//! | `string/` | strings |
//! | `bitmap/`, `hyperloglog/` | strings as arrays of bits, and as estimates |
//! | `list/`, `set/`, `hash/`, `sorted_set/`, `stream/` | the collections |
//! | `geo/` | sorted sets of places |
//! | `generic/` | keys of any type |
//! | `connection/` | PING, HELLO, CLIENT ... |
//! | `server/` | INFO, CONFIG, SAVE, DEBUG ... |
//! | `transactions/` | MULTI and its kin |
//! | `pubsub/` | SUBSCRIBE, PUBLISH, PUBSUB |
//! | `scripting/` | EVAL, FUNCTION ... |
//!
//! # Read first
//!
//! `string/counters.rs` is the file to copy for a new family. A new command is two edits in one folder: the static
//! with its handler, and its name in the family's list.

mod bitmap;
mod connection;
mod generic;
mod geo;
mod hash;
mod hyperloglog;
mod list;
mod pubsub;
mod scripting;
mod server;
mod set;
mod sorted_set;
mod stream;
mod string;
mod transactions;

pub use server::info;

use crate::exec::spec::CommandSpec;
use crate::exec::table::{BadRename, CommandTable};

/// Every command of this program.
pub fn all() -> Vec<&'static CommandSpec> {
    let families = [
        string::COMMANDS,
        bitmap::COMMANDS,
        hyperloglog::COMMANDS,
        list::COMMANDS,
        set::COMMANDS,
        hash::COMMANDS,
        sorted_set::COMMANDS,
        geo::COMMANDS,
        stream::COMMANDS,
        generic::COMMANDS,
        connection::COMMANDS,
        server::COMMANDS,
        transactions::COMMANDS,
        pubsub::COMMANDS,
        scripting::COMMANDS,
    ];
    families.into_iter().flatten().copied().collect()
}

/// Makes the table with `rename-command` applied.
pub fn table_with_renames<'n>(
    renames: impl IntoIterator<Item = (&'n [u8], &'n [u8])>,
) -> Result<&'static CommandTable, BadRename> {
    CommandTable::renamed(all(), renames).map(CommandTable::leak)
}

/// The table of every command of this program, under their own names. Made anew by each call, and kept for ever.
pub fn table() -> &'static CommandTable {
    CommandTable::new(all()).leak()
}

#[cfg(test)]
mod tests {
    use super::table;
    use crate::exec::table::Lookup;
    use crate::resp::OwnedArgs;

    fn shown(line: &str) -> String {
        let args = OwnedArgs::from_parts(line.split(' '));
        let view = args.view();
        let Lookup::Found(command) = table().lookup(view) else { panic!("{line}: no such command") };
        let words: Vec<_> =
            (0..view.len()).map(|i| String::from_utf8_lossy(command.spec.shown(view, i)).into_owned()).collect();
        words.join(" ")
    }

    #[test]
    fn passwords_are_hidden_from_operators_and_nothing_else() {
        for (line, expected) in [
            ("AUTH a b", "AUTH (redacted) (redacted)"),
            ("HELLO 3 AUTH u p SETNAME n", "HELLO 3 AUTH (redacted) (redacted) SETNAME n"),
            ("HELLO 3", "HELLO 3"),
            ("CONFIG SET requirepass p timeout 1", "CONFIG SET requirepass (redacted) timeout 1"),
            ("CONFIG SET timeout 1 requirepass p", "CONFIG SET timeout 1 requirepass (redacted)"),
            ("CONFIG SET requirepas p timeout 1", "CONFIG SET requirepas (redacted) timeout 1"),
            ("CONFIG GET requirepass x", "CONFIG GET requirepass x"),
            ("SET auth b", "SET auth b"),
        ] {
            assert_eq!(shown(line), expected);
        }
    }
}
