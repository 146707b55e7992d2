//! Is the house in order? Text checks over the repository, under a second, run before anything slow.
//!
//! Every rule prints all its findings at once, each as `file:line: what`. An exception is a line in the table of its
//! rule, with the reason; a new one is for review to judge, not for convenience.
//!
//! | module | rule |
//! | --- | --- |
//! | floors | a room imports only from floors below; vendor crates stay in the rooms that own them |
//! | rooms | every file opens with its header, every room's mod.rs has the four headings, no file is forgotten |
//! | code | no unwrap, no stubs, unsafe in five rooms, sizes, names |
//! | docs | links resolve, no machine's paths, scripts are executable |
//! | coverage | every command in the table has a wire test |

mod code;
mod coverage;
mod docs;
mod floors;
mod rooms;
mod source;

/// Fails with all findings of a rule, or passes.
fn report(rule: &str, findings: Vec<String>) {
    assert!(findings.is_empty(), "{rule}: {} found\n  {}\n", findings.len(), findings.join("\n  "));
}
