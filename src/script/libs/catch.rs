//! Errors as scripts see them when they catch them: the strings that were raised.
//!
//! What a Rust function raises is a value of the `mlua` crate, with a trace of the stack, which no script may see. Whatever
//! catches errors asks [`plain`] for the string.

#[cfg(test)]
use mlua::Table;
use mlua::{Error, Function, Lua, Result, Value};

use super::call::Raised;

/// The functions that catch, in a state without a sandbox: the real ones do the work, and what they caught goes through `plain`.
#[cfg(test)]
const WRAPPERS: &str = r#"
local plain, pcall, xpcall, resume, type = ...
local function caught(ok, ...)
    if not ok and type((...)) == 'userdata' then return false, plain((...)) end
    return ok, ...
end
return function(...) return caught(pcall(...)) end,
    function(f, handler, ...)
        return xpcall(f, function(e) if type(e) == 'userdata' then e = plain(e) end return handler(e) end)
    end,
    resume and function(...) return caught(resume(...)) end
"#;

/// Replaces the functions in `globals` that catch errors (`pcall`, `xpcall`, `coroutine.resume`) by ones that give
/// strings for what Rust functions raise.
#[cfg(test)]
pub fn install_catch(lua: &Lua, globals: &Table) -> Result<()> {
    let plain = plain(lua)?;
    let pcall: Value = globals.raw_get("pcall")?;
    let xpcall: Value = globals.raw_get("xpcall")?;
    let kind: Value = globals.raw_get("type")?;
    let coroutine: Option<Table> = globals.raw_get("coroutine")?;
    let resume: Value = coroutine.as_ref().map_or(Ok(Value::Nil), |table| table.raw_get("resume"))?;
    let (pcall, xpcall, resume): (Value, Value, Value) =
        lua.load(WRAPPERS).set_name("=catch").call((plain, pcall, xpcall, resume, kind))?;
    globals.raw_set("pcall", pcall)?;
    globals.raw_set("xpcall", xpcall)?;
    if let Some(table) = coroutine {
        table.raw_set("resume", resume)?;
    }
    Ok(())
}

/// A function that makes a string of what a Rust function has raised, and leaves everything else as it is.
pub fn plain(lua: &Lua) -> Result<Function> {
    lua.create_function(|lua, error: Value| match error {
        Value::Error(error) => lua.create_string(text_of(&error)).map(Value::String),
        other => Ok(other),
    })
}

/// The text of an error that a script would have caught: without the traces and wrappings of the way it took.
pub fn text_of(error: &Error) -> Vec<u8> {
    match error {
        Error::CallbackError { cause, .. } => text_of(cause),
        Error::ExternalError(inner) => match inner.downcast_ref::<Raised>() {
            Some(Raised(text)) => text.clone(),
            None => inner.to_string().into_bytes(),
        },
        // An error of Lua's that Rust came across: the trace is behind the text.
        Error::RuntimeError(text) | Error::MemoryError(text) => {
            text.split("\nstack traceback:").next().unwrap_or(text).as_bytes().to_vec()
        }
        Error::StackError => b"stack overflow".to_vec(),
        other => other.to_string().into_bytes(),
    }
}
