//! `cjson`: values as JSON, and back.
//!
//! | file | what |
//! | --- | --- |
//! | `config.rs` | what scripts can set |
//! | `decode.rs` | JSON to values |
//! | `encode.rs` | values to JSON |
//! | `number.rs` | numbers as C prints and reads them |

use std::cell::Cell;
use std::rc::Rc;

use mlua::{Function, Lua, Result, Table, Value};

use super::call::{function, raise, work};

mod config;
mod decode;
mod encode;
mod number;

use config::Config;

/// The field of a metatable that says of a table that it was an array.
const ARRAY_MARK: &str = "__is_cjson_array";

/// A library of its own, with its own configuration.
pub(super) fn table(lua: &Lua) -> Result<Table> {
    let table = lua.create_table_with_capacity(0, 16)?;
    let config = Rc::new(Cell::new(Config::default()));
    let shared = Rc::clone(&config);
    let buffer = Cell::new(Vec::new());
    let next: Function = lua.globals().raw_get("next")?;
    table.raw_set(
        "encode",
        function(lua, move |call| {
            if call.count() != 1 {
                return Err(call.refuse(1, "expected 1 argument"));
            }
            let text = encode::encode(call.lua, &shared.get(), &next, &buffer, call.value(1));
            text.map_err(|failure| failure.raise(call.lua))
        })?,
    )?;
    let shared = Rc::clone(&config);
    table.raw_set(
        "decode",
        function(lua, move |call| {
            if call.count() != 1 {
                return Err(call.refuse(1, "expected 1 argument"));
            }
            let text = call.bytes(1)?;
            work(text.len())?;
            decode::decode(call.lua, &shared.get(), &text).map_err(|failure| failure.raise(call.lua))
        })?,
    )?;
    config::install(lua, &table, &config)?;
    table.raw_set("new", function(lua, |call| self::table(call.lua))?)?;
    table.raw_set("null", Value::NULL)?;
    table.raw_set("_NAME", "cjson")?;
    table.raw_set("_VERSION", "2.1.0")?;
    Ok(table)
}

/// Why something could not be encoded or decoded.
#[derive(Debug)]
enum Failure {
    /// The text of the error, without the position in the script.
    Text(String),
    Lua(mlua::Error),
}

impl Failure {
    #[cold]
    fn raise(self, lua: &Lua) -> mlua::Error {
        match self {
            Failure::Text(text) => raise(lua, text),
            Failure::Lua(error) => error,
        }
    }
}

impl From<mlua::Error> for Failure {
    fn from(error: mlua::Error) -> Self {
        Failure::Lua(error)
    }
}
