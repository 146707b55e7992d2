//! Copying a text into a node.

use crate::util::text::Source;
use std::ptr;

/// Copies a text to `to`. What was given away ends meanwhile.
///
/// # Safety
/// There is room for it, in an allocation that is not the text's.
pub(super) unsafe fn write(text: Source<'_>, to: *mut u8) {
    let len = text.len();
    text.into_parts(|at, part| {
        debug_assert!(at + part.len() <= len, "a part of the text");
        // SAFETY: the caller has made room for all of the text, and this is a part of it.
        unsafe { ptr::copy_nonoverlapping(part.as_ptr(), to.add(at), part.len()) }
    });
}

/// Appends a text.
pub fn append(out: &mut Vec<u8>, text: Source<'_>) {
    let len = text.len();
    out.reserve_exact(len);
    // SAFETY: there is room for so many bytes, and all of them are initialised then.
    unsafe {
        write(text, out.as_mut_ptr().add(out.len()));
        out.set_len(out.len() + len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::piece::PieceBuf;
    use crate::util::text::Text;

    #[test]
    fn texts_are_appended_whole() {
        let text: Vec<u8> = (0..20_000).map(|i| (i * 7 + i / 251) as u8).collect();
        let mut pieces = PieceBuf::default();
        pieces.push(&text);
        for source in [(&text[..]).into_source(), text.clone().into_source(), Source::Received(pieces.into())] {
            let mut out = b"before".to_vec();
            append(&mut out, source);
            assert!(out[..6] == *b"before" && out[6..] == text);
        }
    }
}
