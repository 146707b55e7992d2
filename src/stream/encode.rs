//! What a unit of work becomes in a sequence of bytes that is executed again elsewhere.

use crate::db::Op;
use crate::resp::push_command;
use crate::util::num;

/// Appends what one unit of work has done. One command stands alone; more of them stand between MULTI and EXEC, so that
/// nobody ever sees half of them. A SELECT stands before the first command that needs it; `db` is the database that the
/// bytes before have selected, if they have, and then the one that these have.
pub(super) fn encode<'a>(
    ops: impl Iterator<Item = Op<'a>> + Clone,
    db: &mut Option<u32>,
    mut append: impl FnMut(&[u8]),
) {
    let is_transaction = ops.clone().nth(1).is_some();
    if is_transaction {
        append(b"*1\r\n$5\r\nMULTI\r\n");
    }
    for op in ops {
        if *db != Some(op.db) {
            *db = Some(op.db);
            append(&select(op.db));
        }
        append(op.request);
    }
    if is_transaction {
        append(b"*1\r\n$4\r\nEXEC\r\n");
    }
}

fn select(db: u32) -> Vec<u8> {
    let mut number = Vec::with_capacity(10);
    num::push_u64(&mut number, u64::from(db));
    let mut request = Vec::with_capacity(32);
    push_command(&mut request, [b"SELECT", &number[..]].into_iter());
    request
}
