//! Scripts: Lua 5.1 as Redis runs it, and nothing of the server but what the server lends.
//!
//! # What this is
//!
//! An [`Engine`] is one Lua state with the tables that Redis gives to scripts (`redis`, `cjson`, ...), all of them read-only.
//! It compiles scripts and libraries of functions, and runs them. While something runs, what it asks of the server goes to
//! a [`Server`] that was lent for this run: redis.call, redis.log, whether to go on.
//!
//! # What it never does
//!
//! **Architecture Invariant:** no command, no client and no key is known here. Which script may run, what it may call, what
//! becomes of its writes: that is decided in `exec/script/`.
//!
//! **Architecture Invariant:** a script sees no pointer, no file, no clock but `os.clock`, no byte code, and nothing that
//! another script has left: everything that outlives a run is read-only.
//!
//! # Unsafe
//!
//! mlua makes the state, limits its memory, and gives the libraries a safe interface. The way of a request (entering a
//! script, redis.call, the reply) and what Redis has changed in Lua itself (read-only tables, `pcall`) talk to Lua's C
//! interface directly, because each step of the safe one costs as much as a whole GET. The rules of these files:
//!
//! * A function that Lua calls keeps nothing that has a destructor on its own stack frame while it calls something of Lua
//!   that can raise an error, because an error jumps over it.
//! * Every byte slice that points into Lua is of a value that stays on the stack meanwhile.
//! * Whoever pushes has asked for room, or pushes less than the 20 values that Lua guarantees a C function.
//!
//! # Map
//!
//! | file | what |
//! | --- | --- |
//! | `server.rs` | [`Server`]: what a script asks for; lending one for a run |
//! | `engine.rs` | [`Engine`]: a Lua state; compiling and running |
//! | `sandbox.rs` | the globals, read-only tables, functions of Lua that Redis has changed |
//! | `api.rs` | the table `redis` |
//! | `calls.rs` | redis.call: arguments out of Lua, replies into it |
//! | `returned.rs` | what a script returns, as a reply |
//! | `errors.rs` | errors of scripts: where they come from |
//! | `register.rs` | redis.register_function |
//! | `stack.rs` | the few steps that all of these take |
//! | `strings.rs`, `patterns.rs` | string.find and its kin: patterns with a bound on the work |
//! | `texts.rs` | how long a text may become that is put together outside of Lua |
//! | `shebang.rs` | `#!lua name=... flags=...` |
//! | `libs/` | cjson, cmsgpack, struct, bit, math.random |
//!
//! # Read first
//!
//! `server.rs`, then `engine.rs`.
#![allow(unsafe_code)] // one of the rooms where `unsafe` may live

mod api;
mod calls;
mod engine;
#[cfg(test)]
mod engine_tests;
mod errors;
pub mod libs;
mod patterns;
mod register;
mod returned;
mod sandbox;
mod server;
mod shebang;
mod stack;
mod strings;
mod texts;

pub use api::{digest, hex};
pub use engine::{Ended, Engine, Kind, LoadError, Retired, Script};
pub use register::{BAD_NAME, Registered, is_name};
pub use server::{Answer, LogLevel, Server};
pub use shebang::{ScriptFlags, Shebang};
