//! RESP2 and RESP3: what comes in from a client, what goes out to it, and what another instance answers.
//!
//! # What this is
//!
//! Three state machines over bytes. [`RequestParser`] turns a query buffer into arguments, [`Reply`] turns results
//! into bytes in the protocol the client chose, [`ReplyParser`] reads replies back for links and tests.
//! Arguments are never copied out of the query buffer: [`Args`] is a view of spans of it.
//!
//! # What it never does
//!
//! * It owns no socket, no clock and no buffer that outlives a request; an idle connection costs 8 bytes here.
//! * It allocates nothing on the word of a header: memory follows the bytes that really came.
//! * It never looks twice at a long request that arrives in small pieces.
//! * It knows no command: `AUTH`, arity and names are other rooms' business.
//!
//! # Map
//!
//! | file | what |
//! | --- | --- |
//! | `request` | the request parser: multibulk and inline, limits, large arguments |
//! | `inline` | one inline line into arguments |
//! | `protocol_error` | what a client can do wrong, in Redis's words |
//! | `args` | the arguments of a request: borrowed view and owned copy |
//! | `large` | an argument in pieces |
//! | `encode` | the reply encoder, RESP2 and RESP3 |
//! | `reply` | the parser of replies, `Value` |
//!
//! # Read first
//!
//! `request`, its header: how a turn of the loop calls it and how a 512 MB value gets in without being copied.
//! Then `encode`.

mod args;
mod encode;
mod inline;
mod large;
mod protocol_error;
mod reply;
mod request;
#[cfg(test)]
mod request_tests;

pub use args::{ArgSpan, Args, ArgsIter, OwnedArgs};
pub use encode::{Deferred, Proto, Reply, push_array_header, push_bulk, push_bulk_header, push_command, push_request};
pub use large::LargeArg;
pub use protocol_error::ProtocolError;
pub use reply::{ReplyError, ReplyLimits, ReplyParser, Value};
pub use request::{LARGE_ARG_BYTES, Limits, Parsed, RequestParser};
