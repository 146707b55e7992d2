//! The first line of a script: `#!lua name=... flags=a,b`.

use crate::util::bit_set::named_bit_set;
use crate::util::quote::split_args;

named_bit_set! {
    /// What a script or a function says of itself. The names are Redis's, and ours at the end.
    ScriptFlags: u16 {
        /// It never writes.
        NO_WRITES = 0, "no-writes";
        /// It may run when memory is full.
        ALLOW_OOM = 1, "allow-oom";
        /// It may run on a replica without its primary.
        ALLOW_STALE = 2, "allow-stale";
        /// It does not run in a cluster.
        NO_CLUSTER = 3, "no-cluster";
        /// In a cluster, it may touch keys of several slots.
        ALLOW_CROSS_SLOT_KEYS = 4, "allow-cross-slot-keys";
        /// Its writes are taken back when it fails.
        ATOMIC = 5, "atomic";
    }
}

impl ScriptFlags {
    /// The flag of this name.
    pub fn by_name(name: &[u8]) -> Option<ScriptFlags> {
        Self::NAMES.iter().find(|(_, known)| known.as_bytes() == name).map(|(flag, _)| *flag)
    }
}

/// A first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shebang {
    /// `lua`, as it was written.
    pub engine: Vec<u8>,
    /// `name=`
    pub name: Option<Vec<u8>>,
    /// `flags=`
    pub flags: ScriptFlags,
    /// Where the line ends: what comes from there on is to be compiled.
    pub end: usize,
}

impl Shebang {
    /// The first line of a script that EVAL is given; none if it has none. The error is what its client is told.
    pub fn of_script(body: &[u8]) -> Result<Option<Shebang>, Vec<u8>> {
        if !body.starts_with(b"#!") {
            return Ok(None);
        }
        let Some(end) = body.iter().position(|byte| *byte == b'\n') else {
            return Err(b"ERR Invalid script shebang".to_vec());
        };
        let parts = split_args(&body[..end]).unwrap_or_default();
        let Some((engine, options)) = parts.split_first() else {
            return Err(b"ERR Invalid script shebang".to_vec());
        };
        if !engine.eq_ignore_ascii_case(b"#!lua") {
            return Err([b"ERR Unexpected engine in script shebang: ", &engine[..]].concat());
        }
        let mut flags = ScriptFlags::NONE;
        for option in options {
            let Some(names) = option.strip_prefix(b"flags=") else {
                return Err([b"ERR Unknown lua shebang option: ", &option[..]].concat());
            };
            for name in names.split(|byte| *byte == b',').filter(|name| !name.is_empty()) {
                let flag = ScriptFlags::by_name(name)
                    .ok_or_else(|| [b"ERR Unexpected flag in script shebang: ", name].concat())?;
                flags = flags.or(flag);
            }
        }
        Ok(Some(Shebang { engine: engine[2..].to_vec(), name: None, flags, end }))
    }

    /// The first line of a library, which must have one.
    pub fn of_library(body: &[u8]) -> Result<Shebang, Vec<u8>> {
        if !body.starts_with(b"#!") {
            return Err(b"ERR Missing library metadata".to_vec());
        }
        let Some(end) = body.iter().position(|byte| *byte == b'\n') else {
            return Err(b"ERR Invalid library metadata".to_vec());
        };
        let parts = split_args(&body[..end]).ok_or_else(|| b"ERR Invalid library metadata".to_vec())?;
        let Some((engine, options)) = parts.split_first() else {
            return Err(b"ERR Invalid library metadata".to_vec());
        };
        let mut name = None;
        for option in options {
            let Some((_, value)) = option.split_at_checked(5).filter(|(key, _)| key.eq_ignore_ascii_case(b"name="))
            else {
                return Err([b"ERR Invalid metadata value given: ", &option[..]].concat());
            };
            if name.is_some() {
                return Err(b"ERR Invalid metadata value, name argument was given multiple times".to_vec());
            }
            name = Some(value.to_vec());
        }
        let Some(name) = name else { return Err(b"ERR Library name was not given".to_vec()) };
        Ok(Shebang { engine: engine[2..].to_vec(), name: Some(name), flags: ScriptFlags::NONE, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(body: &str) -> Result<Option<ScriptFlags>, String> {
        let shebang = Shebang::of_script(body.as_bytes()).map_err(|text| String::from_utf8(text).unwrap())?;
        Ok(shebang.map(|shebang| shebang.flags))
    }

    #[test]
    fn scripts_say_what_they_do() {
        assert_eq!(script("return 1"), Ok(None));
        assert_eq!(script("#!lua\nreturn 1"), Ok(Some(ScriptFlags::NONE)));
        let both = ScriptFlags::NO_WRITES.or(ScriptFlags::ALLOW_OOM);
        assert_eq!(script("#!lua flags=no-writes,allow-oom\n"), Ok(Some(both)));
        assert_eq!(script("#!lua flags=\n"), Ok(Some(ScriptFlags::NONE)));
        for (body, error) in [
            ("#!", "ERR Invalid script shebang"),
            ("#!lua", "ERR Invalid script shebang"),
            ("#!js\n", "ERR Unexpected engine in script shebang: #!js"),
            ("#!lua name=x\n", "ERR Unknown lua shebang option: name=x"),
            ("#!lua flags=foo\n", "ERR Unexpected flag in script shebang: foo"),
        ] {
            assert_eq!(script(body), Err(error.to_owned()), "{body}");
        }
    }

    #[test]
    fn libraries_have_names() {
        let name = |body: &str| Shebang::of_library(body.as_bytes()).map(|it| (it.engine, it.name.unwrap()));
        assert_eq!(name("#!LUA NAME=lib\nx"), Ok((b"LUA".to_vec(), b"lib".to_vec())));
        let error = |body: &str| String::from_utf8(name(body).unwrap_err()).unwrap();
        assert_eq!(error("return 1"), "ERR Missing library metadata");
        assert_eq!(error("#!lua name=x"), "ERR Invalid library metadata");
        assert_eq!(error("#!lua\n"), "ERR Library name was not given");
        assert_eq!(error("#!lua foo=x\n"), "ERR Invalid metadata value given: foo=x");
        assert_eq!(
            error("#!lua name=a name=b\n"),
            "ERR Invalid metadata value, name argument was given multiple times"
        );
    }
}
