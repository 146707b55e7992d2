//! `cmsgpack`: values as MessagePack, and back.
//!
//! | file | what |
//! | --- | --- |
//! | `pack.rs` | values to bytes |
//! | `unpack.rs` | bytes to values |

use mlua::{Lua, Result, Table};

use super::call::function;

mod pack;
mod unpack;

pub(super) fn table(lua: &Lua) -> Result<Table> {
    let table = lua.create_table_with_capacity(0, 8)?;
    table.raw_set("pack", function(lua, pack::pack)?)?;
    table.raw_set("unpack", function(lua, unpack::unpack)?)?;
    table.raw_set("unpack_one", function(lua, unpack::unpack_one)?)?;
    table.raw_set("unpack_limit", function(lua, unpack::unpack_limit)?)?;
    table.raw_set("_NAME", "cmsgpack")?;
    table.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    table.raw_set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    table.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(table)
}
