//! DEBUG PROTOCOL and DEBUG ERROR: replies of every kind, for the tests of client libraries.

use crate::exec::ctx::AdminCtx;
use crate::exec::error::{CommandError, CommandResult};
use crate::resp::{Args, Proto, Reply};

const BIG: &str = "1234567999999999999999999999999999999";
const AFTER_ATTRIBUTE: &[u8] = b"Some real reply following the attribute";
const BEFORE_PUSH: &[u8] = b"Some real reply following the push reply";

fn three(reply: &mut Reply) {
    (0..3).for_each(|n| reply.int(n));
}

/// What Redis answers too; three digits of pi by accident only.
#[allow(clippy::approx_constant)] // the very number is expected
const DOUBLE: f64 = 3.141;

pub(super) fn protocol(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let kind = args[2].to_ascii_lowercase();
    let reply = ctx.reply();
    match kind.as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.int(12345),
        b"double" => reply.double(DOUBLE),
        b"bignum" => reply.big_number(BIG),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            three(reply);
        }
        b"set" => {
            reply.set(3);
            three(reply);
        }
        b"map" => {
            reply.map(3);
            for n in 0..3 {
                reply.int(n);
                reply.boolean(n == 1);
            }
        }
        b"attrib" => {
            // A client of RESP2 gets the reply alone.
            if reply.attribute(1) {
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.int(90);
            }
            reply.bulk(AFTER_ATTRIBUTE);
        }
        b"push" => {
            if reply.proto == Proto::Resp2 {
                return Err(CommandError::fixed("ERR RESP2 is not supported by this command"));
            }
            // Out of line: after the reply of the command that causes it.
            reply.bulk(BEFORE_PUSH);
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.int(42);
        }
        b"verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        _ => {
            let text = "ERR Wrong protocol type name. Please use one of the following: \
                        string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false";
            return Err(CommandError::fixed(text));
        }
    }
    Ok(())
}

/// The text is the whole error, its code included.
pub(super) fn error(_ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    Err(CommandError::quoting("", &args[2], ""))
}
