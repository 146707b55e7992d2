//! Libraries that Redis gives to scripts.
use mlua::{Lua, Table};
/// All of them.
pub fn install(_lua: &Lua) -> mlua::Result<Vec<(&'static str, Table)>> {
    Ok(Vec::new())
}
/// math.random
pub fn install_random(_lua: &Lua, _math: &Table) -> mlua::Result<()> {
    Ok(())
}
