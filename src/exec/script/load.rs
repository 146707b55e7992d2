//! Libraries come: by FUNCTION LOAD, in a dump, in a file. All of them, or none.

use std::sync::Arc;
use std::time::Instant;

use super::libraries::{Function, Libraries, Library};
use crate::exec::error::CommandError;
use crate::exec::instance::Instance;
use crate::observe::log::Level;
use crate::rdb::{RdbWriter, WriteOptions, opcodes, payload};
use crate::resp::{Args, Proto};
use crate::script::{Answer, BAD_NAME, Kind, LoadError, LogLevel, Server, Shebang, is_name};

/// So long the text of a library may run.
const LOAD_MS: u128 = 500;

/// What becomes of libraries that are there when others are restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// They stay, and a name that is taken is an error.
    Append,
    /// They stay, but for those whose names come again.
    Replace,
    /// They go.
    Flush,
}

/// What a library may do while it is loaded.
struct Loading<'a> {
    inst: &'a Instance,
    began: Instant,
    /// One that comes from a file or a primary has been loaded before: it takes as long as it takes.
    is_limited: bool,
}

impl Server for Loading<'_> {
    fn call(&mut self, _args: Args<'_>) -> Answer<'_> {
        Answer::Refused(b"redis.call can only be called inside a script invocation")
    }

    fn must_stop(&mut self) -> Option<&'static str> {
        (self.is_limited && self.began.elapsed().as_millis() > LOAD_MS).then_some("FUNCTION LOAD timeout")
    }

    fn abort(&mut self) -> bool {
        false
    }

    fn log(&mut self, level: LogLevel, text: &[u8]) {
        self.inst.log_script(level, text);
    }

    fn may_call(&mut self, _args: Args<'_>) -> Option<bool> {
        None
    }

    fn set_protocol(&mut self, _proto: Proto) {}

    fn set_propagation(&mut self, _targets: u8) {}

    fn count_error(&mut self, _text: &[u8]) {}
}

impl Instance {
    /// redis.log.
    pub(super) fn log_script(&self, level: LogLevel, text: &[u8]) {
        let level = match level {
            LogLevel::Debug => Level::Debug,
            LogLevel::Verbose => Level::Verbose,
            LogLevel::Notice => Level::Notice,
            LogLevel::Warning => Level::Warning,
        };
        self.log.log(level, &String::from_utf8_lossy(text), &[]);
    }

    /// FUNCTION LOAD: the name of the library comes back.
    pub fn load_library(&mut self, code: &[u8], replaces: bool, is_limited: bool) -> Result<Vec<u8>, CommandError> {
        let mut libraries = std::mem::take(&mut self.scripts.libraries);
        let loaded = self.add_library(&mut libraries, code, replaces, is_limited);
        self.scripts.libraries = libraries;
        let (name, old) = loaded?;
        self.forget_each(old);
        Ok(name)
    }

    /// Loads a library among others. What it replaces comes back. On error nothing has changed.
    fn add_library(
        &mut self,
        libraries: &mut Libraries,
        code: &[u8],
        replaces: bool,
        is_limited: bool,
    ) -> Result<(Vec<u8>, Option<Library>), CommandError> {
        let shebang = Shebang::of_library(code).map_err(CommandError::bytes)?;
        let name = shebang.name.expect("the first line of a library has a name");
        if !is_name(&name) {
            return Err(CommandError::text(format!("ERR {BAD_NAME}")));
        }
        if !shebang.engine.eq_ignore_ascii_case(b"lua") {
            return Err(CommandError::quoting("ERR Engine '", &shebang.engine, "' not found"));
        }
        if !replaces && libraries.get(&name).is_some() {
            return Err(CommandError::quoting("ERR Library '", &name, "' already exists"));
        }
        let mut engine = self.scripts.take_engine(Kind::Functions, &self.config);
        let mut server = Loading { inst: self, began: Instant::now(), is_limited };
        let loaded = engine.load(&mut server, &code[shebang.end..]);
        let functions = match loaded {
            Ok(registered) => registered.into_iter().map(Function::from).collect::<Vec<_>>(),
            Err(error) => {
                self.scripts.give_back(Kind::Functions, engine);
                let text = match error {
                    LoadError::Compiling(text) => [b"ERR Error compiling function: ", &text[..]].concat(),
                    LoadError::Running(text) => [b"ERR Error registering functions: ", &text[..]].concat(),
                };
                return Err(CommandError::bytes(text));
            }
        };
        let old = libraries.remove(&name);
        let taken = functions.iter().find(|function| libraries.function(&function.name).is_some());
        let refused = match taken {
            _ if functions.is_empty() => Some(CommandError::fixed("ERR No functions registered")),
            Some(taken) => Some(CommandError::quoting("ERR Function ", &taken.name, " already exists")),
            None => None,
        };
        if let Some(error) = refused {
            functions.iter().for_each(|function| engine.forget(function.script));
            self.scripts.give_back(Kind::Functions, engine);
            if let Some(old) = old {
                libraries.insert(name, old);
            }
            return Err(error);
        }
        self.scripts.give_back(Kind::Functions, engine);
        libraries.insert(name.clone(), Library { code: Arc::from(code), functions });
        Ok((name, old))
    }

    /// These will not be called any more.
    fn forget_each(&mut self, libraries: impl IntoIterator<Item = Library>) {
        for library in libraries {
            let mut engine = self.scripts.take_engine(Kind::Functions, &self.config);
            library.functions.iter().for_each(|function| engine.forget(function.script));
            self.scripts.give_back(Kind::Functions, engine);
        }
    }

    /// FUNCTION DELETE: false if there is no such library.
    pub fn delete_library(&mut self, name: &[u8]) -> bool {
        let removed = self.scripts.libraries.remove(name);
        let was_there = removed.is_some();
        self.forget_each(removed);
        was_there
    }

    /// FUNCTION DUMP: all libraries, as they would stand in a file.
    pub fn dump_libraries(&self) -> Vec<u8> {
        let mut out = RdbWriter::in_memory(WriteOptions::default());
        for code in self.scripts.libraries.codes() {
            out.write_function(&code).expect("memory takes what is written to it");
        }
        payload::wrap(&mut out)
    }

    /// FUNCTION RESTORE.
    pub fn restore_libraries(&mut self, dump: &[u8], policy: Policy) -> Result<(), CommandError> {
        let codes = codes_of(dump)?;
        let mut new = Libraries::default();
        for code in &codes {
            if let Err(error) = self.add_library(&mut new, code, false, false) {
                self.forget_libraries(new);
                return Err(error);
            }
        }
        if policy == Policy::Flush {
            let old = std::mem::replace(&mut self.scripts.libraries, new);
            self.forget_libraries(old);
            return Ok(());
        }
        let mut all = self.scripts.libraries.clone();
        let mut replaced = Vec::new();
        let mut collision = None;
        for (name, _) in new.iter() {
            match all.remove(name) {
                Some(old) if policy == Policy::Replace => replaced.push(old),
                Some(_) => collision = Some(CommandError::quoting("ERR Library ", name, " already exists")),
                None => {}
            }
        }
        let taken = new
            .iter()
            .flat_map(|(_, library)| &library.functions)
            .find(|function| all.function(&function.name).is_some());
        let taken = taken.map(|function| CommandError::quoting("ERR Function ", &function.name, " already exists"));
        if let Some(error) = collision.or(taken) {
            self.forget_libraries(new);
            return Err(error);
        }
        for (name, library) in new.iter() {
            all.insert(name.to_vec(), library.clone());
        }
        self.scripts.libraries = all;
        self.forget_each(replaced);
        Ok(())
    }

    /// All of these will not be called any more.
    pub fn forget_libraries(&mut self, libraries: Libraries) {
        let libraries: Vec<Library> = libraries.iter().map(|(_, library)| library.clone()).collect();
        self.forget_each(libraries);
    }
}

/// The texts of the libraries of a dump.
fn codes_of(dump: &[u8]) -> Result<Vec<Vec<u8>>, CommandError> {
    let broken = |_| CommandError::fixed("ERR failed loading the given functions payload");
    let mut body = payload::unwrap(dump, true)
        .map_err(|_| CommandError::fixed("ERR DUMP payload version or checksum are wrong"))?;
    let mut codes = Vec::new();
    while !body.at_end().map_err(broken)? {
        if body.read_u8().map_err(broken)? != opcodes::FUNCTION2 {
            return Err(CommandError::fixed("ERR given type is not a function"));
        }
        codes.push(body.read_bytes().map_err(broken)?);
    }
    Ok(codes)
}
