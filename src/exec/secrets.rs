//! What of a request must not be shown: passwords, in MONITOR and in the slow log.
//!
//! Both show requests to whoever may look, so the arguments that carry a password are shown as `(redacted)`, as Redis
//! does it: all arguments of AUTH, user and password of HELLO, the value of a parameter that is a secret. And
//! that of one which does not exist: it may be a secret's misspelt.

use crate::config::{Flags, rows};
use crate::resp::Args;

/// Stands for an argument that is not shown.
pub const REDACTED: &[u8] = b"(redacted)";

/// Whether argument `i` of a request for the command of this full name is a secret.
pub fn is_secret(full_name: &str, args: Args<'_>, i: usize) -> bool {
    match full_name {
        "auth" => i >= 1,
        "hello" => {
            let auth = (2..args.len()).find(|&at| args[at].eq_ignore_ascii_case(b"auth"));
            auth.is_some_and(|at| i == at + 1 || i == at + 2)
        }
        // CONFIG SET name value name value: values stand at odd places.
        "config|set" if i >= 3 && i % 2 == 1 => {
            rows::find(&args[i - 1]).is_none_or(|parameter| parameter.is(Flags::SENSITIVE))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;

    fn shown(full_name: &str, line: &str) -> String {
        let args = OwnedArgs::from_parts(line.split(' '));
        let view = args.view();
        let word = |i: usize| if is_secret(full_name, view, i) { REDACTED } else { &view[i] };
        let words: Vec<String> = (0..view.len()).map(|i| String::from_utf8_lossy(word(i)).into_owned()).collect();
        words.join(" ")
    }

    #[test]
    fn passwords_are_hidden_and_nothing_else() {
        for (name, line, expected) in [
            ("auth", "AUTH a b", "AUTH (redacted) (redacted)"),
            ("hello", "HELLO 3 AUTH u p SETNAME n", "HELLO 3 AUTH (redacted) (redacted) SETNAME n"),
            ("hello", "HELLO 3", "HELLO 3"),
            ("config|set", "CONFIG SET requirepass p timeout 1", "CONFIG SET requirepass (redacted) timeout 1"),
            ("config|set", "CONFIG SET timeout 1 requirepass p", "CONFIG SET timeout 1 requirepass (redacted)"),
            ("config|set", "CONFIG SET requirepas p timeout 1", "CONFIG SET requirepas (redacted) timeout 1"),
            ("config|get", "CONFIG GET requirepass x", "CONFIG GET requirepass x"),
            ("set", "SET auth b", "SET auth b"),
        ] {
            assert_eq!(shown(name, line), expected);
        }
    }
}
