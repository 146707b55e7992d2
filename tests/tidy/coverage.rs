//! Every command has a wire test: some transcript in tests/wire says its name.

use crate::report;
use crate::source::{files, read};

/// The commands of the table, subcommands as `config get`.
fn commands() -> Vec<String> {
    let mut names = Vec::new();
    for command in kvstash::commands::all() {
        names.push(command.name.to_string());
        // Every container's HELP is the same derived text; one of them is tested as all.
        let subcommands = command.subcommands.iter().filter(|sub| sub.name != "help");
        names.extend(subcommands.map(|sub| format!("{} {}", command.name, sub.name)));
    }
    names
}

#[test]
fn every_command_has_a_wire_test() {
    let transcripts: String = files("tests/wire", &[".rs"]).iter().map(|p| read(p).to_lowercase()).collect();
    let words: Vec<&str> = transcripts.split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_')).collect();
    let mentioned = |name: &str| {
        let parts: Vec<&str> = name.split(' ').collect();
        words.windows(parts.len()).any(|window| window == parts)
    };
    let findings = commands().into_iter().filter(|name| !mentioned(name)).collect();
    report("commands without a wire test", findings);
}
