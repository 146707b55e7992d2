//! The HELP subcommand of every container, derived from what its subcommands declare.

use crate::exec::spec::{ArgKind, ArgSpec, CommandSpec};
use crate::resp::Reply;

/// Replies with one line of syntax and one of explanation per subcommand.
pub fn reply(reply: &mut Reply, container: &CommandSpec) {
    reply.array(1 + 2 * container.subcommands.len());
    let name = container.name.to_uppercase();
    reply.simple(&format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for sub in container.subcommands {
        let mut line = sub.name.to_uppercase();
        for arg in sub.args {
            line.push(' ');
            push_arg(&mut line, arg);
        }
        reply.simple(&line);
        reply.simple(&format!("    {}", sub.summary));
    }
}

fn push_arg(line: &mut String, arg: &ArgSpec) {
    if arg.optional {
        line.push('[');
    }
    push_once(line, arg);
    if arg.multiple {
        line.push_str(" [");
        push_once(line, arg);
        line.push_str(" ...]");
    }
    if arg.optional {
        line.push(']');
    }
}

fn push_once(line: &mut String, arg: &ArgSpec) {
    if let Some(token) = arg.token {
        line.push_str(token);
        if arg.kind != ArgKind::PureToken {
            line.push(' ');
        }
    }
    match arg.kind {
        ArgKind::PureToken => {}
        ArgKind::OneOf => push_list(line, arg, "|"),
        ArgKind::Block => push_list(line, arg, " "),
        _ => {
            line.push('<');
            line.push_str(arg.display.unwrap_or(arg.name));
            line.push('>');
        }
    }
}

fn push_list(line: &mut String, arg: &ArgSpec, between: &str) {
    for (i, inner) in arg.args.iter().enumerate() {
        if i > 0 {
            line.push_str(between);
        }
        push_arg(line, inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syntax_lines_show_tokens_choices_and_repetition() {
        static MODES: [ArgSpec; 2] = [ArgSpec::word("write", "WRITE"), ArgSpec::word("all", "ALL")];
        let mut line = String::new();
        push_arg(&mut line, &ArgSpec::integer("timeout"));
        line.push(' ');
        push_arg(&mut line, &ArgSpec::one_of("mode", &MODES).optional());
        line.push(' ');
        push_arg(&mut line, &ArgSpec::integer("id").token("ID").multiple());
        assert_eq!(line, "<timeout> [WRITE|ALL] ID <id> [ID <id> ...]");
    }
}
