//! Names of files and directories, checked as they are read: a name that no file can have would be found out by the
//! first save, or by the next start.

/// Longest path that the system takes.
const PATH_BYTES_MAX: usize = 4095;
/// Longest name within a directory.
const NAME_BYTES_MAX: usize = 255;
/// What a unix socket's address has room for.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// A path of a file; empty for none.
pub(super) fn path(text: &[u8]) -> Result<(), String> {
    directory(text)?;
    match text.rsplit(|&b| b == b'/').next() {
        _ if text.is_empty() => Ok(()),
        Some(b"" | b"." | b"..") => Err("argument must be the name of a file, not of a directory".to_owned()),
        _ => Ok(()),
    }
}

/// A path of a directory; empty for none.
pub(super) fn directory(text: &[u8]) -> Result<(), String> {
    if text.contains(&0) {
        return Err("argument must be a path, which has no NUL in it".to_owned());
    }
    if text.len() > PATH_BYTES_MAX || text.split(|&b| b == b'/').any(|part| part.len() > NAME_BYTES_MAX) {
        return Err("argument is longer than a path may be".to_owned());
    }
    Ok(())
}

/// A path of a unix socket; empty for none.
pub(super) fn socket(text: &[u8]) -> Result<(), String> {
    match text.len() {
        long if long > SOCKET_PATH_BYTES_MAX => {
            Err(format!("unix socket path too long ({long}), must be under {}", SOCKET_PATH_BYTES_MAX + 1))
        }
        _ => path(text),
    }
}

/// A name within a directory, of the parameter `name`, which takes a `kind` of name and adds up to `added` bytes to it.
pub(super) fn within(text: &[u8], name: &str, kind: &str, added: usize) -> Result<(), String> {
    if text.is_empty() {
        return Err(format!("{name} can't be empty"));
    }
    if text.contains(&b'/') || matches!(text, b"." | b"..") {
        return Err(format!("{name} can't be a path, just a {kind}"));
    }
    if text.contains(&0) {
        return Err(format!("{name} can't have a NUL in it"));
    }
    if text.len() + added > NAME_BYTES_MAX {
        return Err(format!("{name} can't be longer than {} bytes", NAME_BYTES_MAX - added));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::config::row::Kind;
    use crate::config::{Caller, Config, Flags, Row, rows};

    type Check = fn(&[u8]) -> Result<(), String>;

    /// Rows whose names say that they name a file or a directory: a new one is found, too.
    fn rows_of_files() -> impl Iterator<Item = (&'static Row, Check)> {
        rows::all().iter().filter_map(|row| {
            let name = row.name();
            let names_a_file =
                ["file", "filename", "dirname", "unixsocket", "-dir"].iter().any(|end| name.ends_with(end));
            match row.spec.kind {
                Kind::Text(check) if names_a_file => Some((*row, check)),
                _ => None,
            }
        })
    }

    #[test]
    fn what_no_file_can_be_called_is_refused_for_every_parameter_that_names_one() {
        let mut seen = Vec::new();
        for (row, check) in rows_of_files() {
            let name = row.name();
            seen.push(name);
            let within = !name.starts_with("tls-") && (name.ends_with("filename") || name.ends_with("dirname"));
            let long = "a".repeat(256);
            for bad in [&b"a\0b"[..], b"\0", long.as_bytes()] {
                assert!(check(bad).is_err(), "{name} {:?}", String::from_utf8_lossy(bad));
            }
            for bad in ["", ".", "..", "a/b", "/a", "a/"] {
                let fine = match bad {
                    "" => !within,
                    "a/b" | "/a" => !within,
                    _ => name.ends_with("-dir"),
                };
                assert_eq!(check(bad.as_bytes()).is_ok(), fine, "{name} {bad:?}");
            }
            assert!(check(b"caf\xe9 \"1\".x").is_ok(), "{name}");
        }
        for name in ["dbfilename", "appendfilename", "appenddirname", "aclfile", "logfile", "pidfile", "unixsocket"] {
            assert!(seen.contains(&name), "{name}");
        }
        assert!(seen.contains(&"tls-ca-cert-dir") && seen.contains(&"cluster-config-file"), "{seen:?}");
    }

    #[test]
    fn reasons() {
        let mut config = Config::default();
        config.server.enable_protected_configs = crate::config::choice::Allowed::Yes;
        let mut why = |value: &[u8]| match config.set(&[(b"dbfilename", value)], Caller::default()) {
            Ok(_) => "fine".to_owned(),
            Err(error) => error.to_string().rsplit(" - ").next().unwrap_or_default().to_owned(),
        };
        assert_eq!(why(b"a/b"), "dbfilename can't be a path, just a filename");
        assert_eq!(why(b".."), "dbfilename can't be a path, just a filename");
        assert_eq!(why(b""), "dbfilename can't be empty");
        assert_eq!(why(b"a\0"), "dbfilename can't have a NUL in it");
        assert_eq!(why(b"..."), "fine");
        assert!(rows::find(b"dbfilename").is_some_and(|row| row.is(Flags::PROTECTED)));
        assert_eq!(super::socket(&[b'a'; 120]).unwrap_err(), "unix socket path too long (120), must be under 108");
        assert!(super::socket(&[b'a'; 107]).is_ok());
        assert!(super::directory(b"/etc/").is_ok() && super::path(b"/etc/").is_err());
    }
}
