//! The libraries that scripts find in their globals besides Lua's own: `cjson`, `cmsgpack`, `struct`, `bit`, and the
//! two functions of `math` that Redis replaces.
//!
//! They are Rust functions, and each answers as Redis's C function does, to the byte: results, limits, and the texts of
//! errors with the position in the script in front. One thing a Rust function cannot do is raise a string: what it
//! raises is a value of the `mlua` crate. So whatever can catch an error has to turn it back into the string
//! ([`plain`]): `pcall`, `xpcall` and `coroutine.resume` do; without it scripts would see userdata.
//!
//! | file | what |
//! | --- | --- |
//! | `bit.rs` | operations on 32 bits |
//! | `call.rs` | arguments, and errors as C functions raise them |
//! | `catch.rs` | errors as scripts see them when they catch them |
//! | `cjson` | JSON |
//! | `cmsgpack` | MessagePack |
//! | `random.rs` | `math.random` and `math.randomseed` |
//! | `recorded.rs` | all of them against answers of Redis |
//! | `structs.rs` | C structures as strings |

mod bit;
mod call;
mod catch;
mod cjson;
mod cmsgpack;
mod random;
#[cfg(test)]
mod recorded;
mod structs;

pub use catch::plain;
#[cfg(test)]
pub use catch::{install_catch, text_of};
pub use random::install_random;

/// Makes the tables of the libraries, with the names under which scripts know them. They are plain tables: the caller
/// makes them read-only and puts them into the globals.
pub fn install(lua: &mlua::Lua) -> mlua::Result<Vec<(&'static str, mlua::Table)>> {
    Ok(vec![
        ("cjson", cjson::table(lua)?),
        ("cmsgpack", cmsgpack::table(lua)?),
        ("struct", structs::table(lua)?),
        ("bit", bit::table(lua)?),
    ])
}
