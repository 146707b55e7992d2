//! The libraries that scripts find in their globals besides Lua's own: `cjson`, `cmsgpack`, `struct`, `bit`, and the
//! two functions of `math` that Redis replaces.
//!
//! They are Rust functions, and each answers as Redis's C function does, to the byte: results, limits, and the texts of
//! errors with the position in the script in front. One thing a Rust function cannot do is raise a string: what it
//! raises is a value of the `mlua` crate. So whatever can catch an error has to turn it back into the string
//! ([`plain`]): `pcall`, `xpcall` and `coroutine.resume` do; without it scripts would see userdata.
//!
//! Where they give up earlier than Redis: more than 7,950 results of one call, tables in each other more than 6,000 deep
//! (by default 1,000 is the end, as in Redis), texts of more than 4 GiB.
//!
//! | file | what |
//! | --- | --- |
//! | `bit.rs` | operations on 32 bits |
//! | `call.rs` | arguments, and errors as C functions raise them |
//! | `catch.rs` | errors as scripts see them when they catch them |
//! | `cjson` | JSON |
//! | `cmsgpack` | MessagePack |
//! | `random.rs` | `math.random` and `math.randomseed` |
//! | `structs.rs` | C structures as strings |

mod bit;
mod call;
mod catch;
mod cjson;
mod cmsgpack;
mod random;
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

/// The libraries against what Redis 8.2.3 was recorded to answer (`tests/data/script-libraries-redis-8.2.txt`, which
/// `tools/facts.py libraries` writes), and what no recording shows.
#[cfg(test)]
mod tests {
    use mlua::{Lua, LuaString, Table};

    use super::{install, install_catch, install_random, text_of};

    /// An interpreter with all the libraries in its globals.
    fn interpreter() -> Lua {
        let lua = Lua::new();
        for (name, table) in install(&lua).unwrap() {
            lua.globals().raw_set(name, table).unwrap();
        }
        let math: Table = lua.globals().raw_get("math").unwrap();
        install_random(&lua, &math).unwrap();
        install_catch(&lua, &lua.globals()).unwrap();
        lua
    }

    /// What a script returns, as text; or the text of its error.
    fn run(lua: &Lua, script: &str) -> String {
        let answer = lua.load(script).set_name("@user_script").eval::<LuaString>();
        match answer {
            Ok(text) => text.to_string_lossy(),
            Err(error) => format!("ERR {}", String::from_utf8_lossy(&text_of(&error))),
        }
    }

    #[test]
    fn every_recorded_answer_is_given_again() {
        let recorded = include_str!("../../../tests/data/script-libraries-redis-8.2.txt");
        let mut lines = recorded.lines();
        let script = lines.next().unwrap();
        let lua = interpreter();
        let (mut count, mut different) = (0, Vec::new());
        for line in lines {
            let (expression, answer) = line.split_once('\t').unwrap();
            let given = run(&lua, &script.replace('@', expression));
            if given != answer {
                different.push(format!("{expression}\n  Redis {answer}\n  here  {given}"));
            }
            count += 1;
        }
        assert!(count > 900, "{count} answers are recorded");
        assert!(different.is_empty(), "{} of {count}:\n{}", different.len(), different.join("\n"));
    }

    #[test]
    fn the_libraries_have_what_redis_has() {
        let lua = interpreter();
        let names = |table: &str| {
            let list = format!(
                "local all = {{}} for k, v in pairs({table}) do all[#all + 1] = k .. ':' .. type(v) end
                 table.sort(all) return table.concat(all, ' ')"
            );
            run(&lua, &list)
        };
        // decode_array_with_array_mt is newer than 8.2.
        assert_eq!(
            names("cjson"),
            "_NAME:string _VERSION:string decode:function decode_array_with_array_mt:function \
             decode_invalid_numbers:function decode_max_depth:function encode:function encode_invalid_numbers:function \
             encode_keep_buffer:function encode_max_depth:function encode_number_precision:function \
             encode_sparse_array:function new:function null:userdata"
        );
        assert_eq!(
            names("cmsgpack"),
            "_COPYRIGHT:string _DESCRIPTION:string _NAME:string _VERSION:string pack:function unpack:function \
             unpack_limit:function unpack_one:function"
        );
        assert_eq!(names("struct"), "pack:function size:function unpack:function");
        assert_eq!(
            names("bit"),
            "arshift:function band:function bnot:function bor:function bswap:function bxor:function lshift:function \
             rol:function ror:function rshift:function tobit:function tohex:function"
        );
    }

    #[test]
    fn whoever_catches_an_error_gets_a_string() {
        let lua = interpreter();
        let caught = "Cannot serialise function: type not supported";
        for script in [
            "return select(2, pcall(cjson.encode, tostring))",
            "return select(2, xpcall(function() cjson.encode(tostring) end, function(e) return e end))",
            "return select(2, coroutine.resume(coroutine.create(function() cjson.encode(tostring) end)))",
            "return select(2, pcall(error, select(2, pcall(cjson.encode, tostring)), 0))",
            "return cjson.encode(tostring)",
        ] {
            let text = run(&lua, script);
            assert!(text.ends_with(caught), "{script}: {text}");
        }
        // The position is that of the line that made the call, also of one that returns what it calls.
        assert_eq!(run(&lua, "\nreturn cjson.encode(tostring)"), format!("ERR user_script:2: {caught}"));
        assert_eq!(run(&lua, "return select(2, pcall(cjson.encode, tostring))"), caught);
        // Errors that are no strings go through as they are, and so does what is no error.
        assert_eq!(run(&lua, "local t = {} return tostring(select(2, pcall(error, t)) == t)"), "true");
        assert_eq!(run(&lua, "return tostring(select('#', pcall(function() end)))"), "1");
        assert_eq!(run(&lua, "return tostring(select('#', pcall(function() return nil, nil end)))"), "3");
    }

    #[test]
    fn objects_with_many_tables_inside_are_written_in_full() {
        let lua = interpreter();
        // More than are kept at a time, and inside of others that keep some.
        let script = "local t = {} for i = 1, 3000 do t['k' .. i] = {i} end
                      local text = cjson.encode({a = {x = t, y = {}}, b = {t}, c = 1})
                      local back = cjson.decode(text)
                      for i = 1, 3000 do
                          assert(back.a.x['k' .. i][1] == i and back.b[1]['k' .. i][1] == i)
                      end
                      assert(back.c == 1 and next(back.a.y) == nil)
                      return tostring(#text)";
        let length: usize = run(&lua, script).parse().unwrap();
        let one: usize = (1..=3000).map(|i: i32| r#""k":[],"#.len() + 2 * i.to_string().len()).sum::<usize>() + 1;
        assert_eq!(length, 2 * one + r#"{"a":{"x":,"y":{}},"b":[],"c":1}"#.len());
        // What is wrong with a value is found after what is wrong in the tables before it, whichever way is taken.
        let wrong = "local t = {} for i = 1, 3000 do t['k' .. i] = {i} end t.k7 = {tostring} return cjson.encode(t)";
        assert_eq!(run(&lua, wrong), "ERR user_script:1: Cannot serialise function: type not supported");
    }

    #[test]
    fn depth_needs_no_calls_of_lua_nor_much_stack() {
        let lua = interpreter();
        let script = "cjson.encode_max_depth(100000) cjson.decode_max_depth(100000)
                      local t = {} for i = 2, 3900 do t = {a = t, b = i} end
                      local function deep(n) if n == 0 then return cjson.encode(t) end return select(2, pcall(deep, n - 1)) end
                      local text = deep(150)
                      assert(cjson.encode(cjson.decode(text)) == text)
                      return tostring(#text > 3900 * 10)";
        assert_eq!(run(&lua, script), "true");
        let packed = "local t = {} for i = 1, 15 do t = {a = t} end
                      local function deep(n) if n == 0 then return cmsgpack.pack(t) end return select(2, pcall(deep, n - 1)) end
                      return tostring(deep(185) == cmsgpack.pack(t))";
        assert_eq!(run(&lua, packed), "true");
    }

    #[test]
    fn lengths_are_not_believed() {
        let lua = interpreter();
        for head in ["\\221\\255\\255\\255\\255", "\\223\\255\\255\\255\\255", "\\219\\255\\255\\255\\255"] {
            let script = format!("return cmsgpack.unpack('{head}' .. ('\\1'):rep(100))");
            assert_eq!(run(&lua, &script), "ERR user_script:1: Missing bytes in input.");
        }
        let script = "return struct.unpack('c2147483647', 'abc')";
        assert_eq!(run(&lua, script), "ERR user_script:1: bad argument #2 to 'unpack' (data string too short)");
    }

    #[test]
    fn arrays_can_be_told_from_objects_when_they_are_empty() {
        let lua = interpreter();
        let script = "local text = '{\"a\":[],\"o\":{}}'
                      local before = cjson.encode(cjson.decode(text))
                      cjson.decode_array_with_array_mt(true)
                      local after = cjson.encode(cjson.decode(text).a) .. cjson.encode(cjson.decode(text).o)
                      cjson.decode_array_with_array_mt(false)
                      return after .. cjson.encode(cjson.decode('[]')) .. tostring(before:find('[]', 1, true))";
        assert_eq!(run(&lua, script), "[]{}{}nil");
    }
}
