//! A text on its way into a node: lent, or given away.
//!
//! Whoever stores a text copies it into a node of some structure. A text of hundreds of megabytes would be there twice
//! while that goes on; one that is given away ends as it is copied, from its last bytes on, so that it takes its memory
//! once and a little more.

use std::borrow::Cow;
use std::ptr;

use crate::sys::allocator;

/// A text to be stored: read it as bytes; [`Into::into`] gives it to who stores it.
pub trait Text<'t>: AsRef<[u8]> + Into<Cow<'t, [u8]>> {}

impl<'t, T: AsRef<[u8]> + Into<Cow<'t, [u8]>>> Text<'t> for T {}

/// So many bytes of a text that is given away end at once.
const STEP: usize = if cfg!(miri) { 1 << 10 } else { 8 << 20 };

/// Copies a text to `to`.
///
/// # Safety
/// There is room for it, in an allocation that is not the text's.
pub(super) unsafe fn write(text: Cow<'_, [u8]>, to: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe {
        match text {
            Cow::Owned(text) if text.len() > STEP => write_and_free(text, to),
            text => ptr::copy_nonoverlapping(text.as_ptr(), to, text.len()),
        }
    }
}

#[cold]
unsafe fn write_and_free(mut text: Vec<u8>, to: *mut u8) {
    while !text.is_empty() {
        let from = text.len().saturating_sub(STEP);
        let part = &text[from..];
        // SAFETY: the caller has made room for all of the text, and `from` lies within it.
        unsafe { ptr::copy_nonoverlapping(part.as_ptr(), to.add(from), part.len()) };
        text.truncate(from);
        text.shrink_to_fit();
        let _ = allocator::purge(); // what could not be given back now goes back later
    }
}

/// Appends a text, which ends as it is copied if it was given away.
pub fn append(out: &mut Vec<u8>, text: Cow<'_, [u8]>) {
    let len = text.len();
    out.reserve_exact(len);
    // SAFETY: there is room for so many bytes, which are initialised then.
    unsafe {
        write(text, out.as_mut_ptr().add(out.len()));
        out.set_len(out.len() + len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_arrive_whole() {
        for len in [0, 5, STEP, STEP + 1, 2 * STEP + 77] {
            let text: Vec<u8> = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
            for given in [false, true] {
                let mut out = b"before".to_vec();
                append(&mut out, if given { Cow::Owned(text.clone()) } else { Cow::Borrowed(&text) });
                assert!(out[..6] == *b"before" && out[6..] == text, "{len} {given}");
            }
        }
    }
}
