//! One call of a library function: its arguments, checked as Lua's C interface checks them, and errors in its words.

use std::fmt;

use mlua::{
    BorrowedBytes, Either, Error, FromLua, Function, IntoLua, IntoLuaMulti, Lua, LuaString, MultiValue, Result, Table,
    Value,
};

use super::super::texts;

/// How many values Lua 5.1 lets a C function have on its stack at most. Redis's libraries keep on that stack what they
/// have not finished, so this is what limits the depth of data and the number of results.
pub(super) const STACK_SLOTS: usize = 8000;

/// How many results a function returns at most: `mlua` needs a few of the slots to return them.
pub(super) const RESULTS_MAX: usize = 7950;

/// How deep tables may lie in each other, whatever a script allows. `mlua` keeps the ones that are at work on a stack of
/// Lua's own, with as many slots, and everybody else needs some.
pub(super) const DEPTH_MAX: usize = 6000;

/// Refuses to go on with a text that is as long as this, if that is too long, or if the script has to end.
#[inline]
pub(super) fn check_length(len: usize) -> Result<()> {
    texts::check(len).map_err(raise_bare)
}

/// One call has to do with so much text: the script may have to end.
#[inline]
pub(super) fn work(len: usize) -> Result<()> {
    texts::work(len).map_err(raise_bare)
}

/// A string that was raised as an error: the text that a script sees when it catches it.
#[derive(Debug)]
pub(super) struct Raised(pub(super) Vec<u8>);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl std::error::Error for Raised {}

/// The error with just this text, without a position.
#[cold]
pub(super) fn raise_bare(text: impl Into<Vec<u8>>) -> Error {
    Error::external(Raised(text.into()))
}

/// The error that says `text`, with the line of the script that called the running function in front, if it was a
/// script that called it: called by `pcall` itself, there is no line.
///
/// Only the function that Lua called may use it: deeper, another function is the running one.
#[cold]
pub(super) fn raise(lua: &Lua, text: impl AsRef<[u8]>) -> Error {
    let position = lua.inspect_stack(1, |caller| {
        let line = caller.current_line().filter(|line| *line > 0)?;
        let source = caller.source().short_src?.into_owned();
        Some(format!("{source}:{line}: "))
    });
    let mut whole = position.flatten().unwrap_or_default().into_bytes();
    whole.extend_from_slice(text.as_ref());
    raise_bare(whole)
}

/// A call: the interpreter, and what was passed.
pub(super) struct Call<'a> {
    pub(super) lua: &'a Lua,
    args: MultiValue,
}

impl Call<'_> {
    /// How many arguments were passed.
    pub(super) fn count(&self) -> usize {
        self.args.len()
    }

    /// The argument at `position`, counted from 1; nil when there is none.
    pub(super) fn value(&self, position: usize) -> &Value {
        self.args.get(position - 1).unwrap_or(&Value::Nil)
    }

    /// All arguments.
    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        self.args.iter()
    }

    /// Whether the argument at `position` is missing or nil.
    pub(super) fn is_nil(&self, position: usize) -> bool {
        self.value(position).is_nil()
    }

    /// The number at `position`; a string that spells one is one.
    #[inline]
    pub(super) fn number(&self, position: usize) -> Result<f64> {
        match self.value(position) {
            Value::Integer(n) => Ok(*n as f64),
            Value::Number(n) => Ok(*n),
            other => match number_of(self.lua, other) {
                Some(n) => Ok(n),
                None => Err(self.wrong_type(position, "number")),
            },
        }
    }

    /// The integer at `position`: what is behind the point is dropped.
    #[inline]
    pub(super) fn integer(&self, position: usize) -> Result<i64> {
        self.number(position).map(to_i64)
    }

    /// The integer at `position`, or `default` when there is nothing or nil.
    pub(super) fn integer_or(&self, position: usize, default: i64) -> Result<i64> {
        if self.is_nil(position) { Ok(default) } else { self.integer(position) }
    }

    /// The integer at `position` in 32 bits, which is how C narrows it.
    pub(super) fn int(&self, position: usize) -> Result<i32> {
        self.integer(position).map(|n| n as i32)
    }

    /// The string at `position`; a number is its text.
    pub(super) fn bytes(&self, position: usize) -> Result<BorrowedBytes> {
        match string_of(self.lua, self.value(position))? {
            Some(string) => Ok(string.as_bytes()),
            None => Err(self.wrong_type(position, "string")),
        }
    }

    /// The error of this call that says `text`, with the position in the script.
    #[cold]
    pub(super) fn raise(&self, text: impl AsRef<[u8]>) -> Error {
        raise(self.lua, text)
    }

    /// The error that the argument at `position` is not a `wanted`.
    #[cold]
    pub(super) fn wrong_type(&self, position: usize, wanted: &str) -> Error {
        let found = if position > self.count() { "no value" } else { type_name(self.value(position)) };
        self.refuse(position, format!("{wanted} expected, got {found}"))
    }

    /// The error that the argument at `position` is no good, and why. Functions are called by the name that the calling
    /// line knows them by.
    #[cold]
    pub(super) fn refuse(&self, position: usize, why: impl AsRef<[u8]>) -> Error {
        let (name, is_method) = self
            .lua
            .inspect_stack(0, |running| {
                let names = running.names();
                (names.name.map(|n| n.into_owned()), names.name_what == Some("method"))
            })
            .unwrap_or_default();
        let name = name.as_deref().unwrap_or("?");
        // The object before the colon is the first argument, but nobody counts it.
        let mut text = if is_method && position == 1 {
            format!("calling '{name}' on bad self (").into_bytes()
        } else {
            format!("bad argument #{} to '{name}' (", position - usize::from(is_method && position > 0)).into_bytes()
        };
        text.extend_from_slice(why.as_ref());
        text.push(b')');
        self.raise(text)
    }
}

/// A library function.
pub(super) fn function<R: IntoLuaMulti>(
    lua: &Lua,
    run: impl Fn(&Call<'_>) -> Result<R> + mlua::MaybeSend + 'static,
) -> Result<Function> {
    lua.create_function(move |lua, args: MultiValue| run(&Call { lua, args }))
}

/// Hands all pairs of a table to `each`, metatables aside.
pub(super) fn each_pair<K: FromLua, V: FromLua>(table: &Table, mut each: impl FnMut(K, V) -> Result<()>) -> Result<()> {
    let mut begun = false;
    let walked = table.for_each(|key, value| {
        begun = true;
        each(key, value)
    });
    if begun || walked.is_ok() {
        return walked;
    }
    // That walk counts as a call, and a script that is deep in calls may have none left.
    for pair in table.pairs() {
        let (key, value) = pair?;
        each(key, value)?;
    }
    Ok(())
}

/// The name of a value's type, as Lua knows types.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Boolean(_) => "boolean",
        Value::Integer(_) | Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Table(_) => "table",
        Value::Function(_) => "function",
        Value::Thread(_) => "thread",
        Value::LightUserData(_) | Value::UserData(_) | Value::Error(_) | Value::Other(_) => "userdata",
    }
}

/// The number that a value is, or spells.
pub(super) fn number_of(lua: &Lua, value: &Value) -> Option<f64> {
    match value {
        Value::Integer(n) => Some(*n as f64),
        Value::Number(n) => Some(*n),
        Value::String(_) => lua.coerce_number(value.clone()).ok().flatten(),
        _ => None,
    }
}

fn string_of(lua: &Lua, value: &Value) -> Result<Option<LuaString>> {
    match value {
        Value::String(string) => Ok(Some(string.clone())),
        Value::Integer(_) | Value::Number(_) => lua.coerce_string(value.clone()),
        _ => Ok(None),
    }
}

/// Bytes on their way to Lua: what is UTF-8 takes a shorter one.
#[inline]
pub(super) fn text_of(text: &[u8]) -> Either<&str, impl IntoLua + '_> {
    match std::str::from_utf8(text) {
        Ok(text) => Either::Left(text),
        Err(_) => Either::Right(LuaString::wrap(text)),
    }
}

/// A double as a 64-bit integer, as the processor of nearly every Redis server converts it: whatever does not fit is
/// the smallest integer.
#[inline]
pub(super) fn to_i64(n: f64) -> i64 {
    // Both bounds are doubles: the upper one is the first that does not fit.
    if (-(2f64.powi(63))..2f64.powi(63)).contains(&n) { n as i64 } else { i64::MIN }
}

/// A double as an unsigned 64-bit integer, likewise.
#[inline]
pub(super) fn to_u64(n: f64) -> u64 {
    if n >= 2f64.powi(63) { to_i64(n - 2f64.powi(63)) as u64 ^ (1 << 63) } else { to_i64(n) as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_the_smallest_integer() {
        assert_eq!(to_i64(-1.9), -1);
        assert_eq!(to_i64(2f64.powi(63)), i64::MIN);
        assert_eq!(to_i64(-(2f64.powi(63))), i64::MIN);
        assert_eq!(to_i64(2f64.powi(63) - 1024.0), i64::MAX - 1023);
        assert_eq!(to_i64(f64::NAN), i64::MIN);
        assert_eq!(to_u64(2f64.powi(63)), 1 << 63);
        assert_eq!(to_u64(2f64.powi(64)), 0);
        assert_eq!(to_u64(f64::NAN), 1 << 63);
        assert_eq!(to_u64(-1.0), u64::MAX);
    }
}
