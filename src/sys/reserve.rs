//! Memory set aside for the report of a crash.
//!
//! Who crashes may hold the allocator's locks, or crashes because there is no memory. So while a report is made, what
//! its thread allocates comes from here: a piece of the program's own data, untouched (and so not resident) until then.
//! Nothing is given back; what the thread frees meanwhile is left alone, wherever it came from. Other threads go on as
//! before.

use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Enough to read the symbols of this program.
const BYTES: usize = 16 << 20;

#[repr(align(4096))]
struct Reserve(UnsafeCell<[u8; BYTES]>);

// SAFETY: pieces are handed out to one thread only, the one in OWNER, and no two of them overlap.
unsafe impl Sync for Reserve {}

static RESERVE: Reserve = Reserve(UnsafeCell::new([0; BYTES]));
/// How much of it is taken.
static TAKEN: AtomicUsize = AtomicUsize::new(0);
/// The thread whose memory comes from here; 0 for nobody.
static OWNER: AtomicUsize = AtomicUsize::new(0);

fn this_thread() -> usize {
    // SAFETY: pthread_self() has no preconditions.
    unsafe { libc::pthread_self() as usize }
}

/// From now on the calling thread's memory comes from here. For good: the process is about to end.
pub(super) fn open() {
    OWNER.store(this_thread(), Relaxed);
}

/// Whether any thread's memory comes from here: the one question that every allocation asks.
#[inline]
pub(super) fn is_open() -> bool {
    OWNER.load(Relaxed) != 0
}

/// Whether it is the calling thread's that does.
#[cold]
pub(super) fn is_mine() -> bool {
    OWNER.load(Relaxed) == this_thread()
}

/// A piece of zeros; none when nothing is left. For the owner only.
pub(super) fn alloc(layout: Layout) -> Option<*mut u8> {
    debug_assert!(is_mine());
    let start = TAKEN.load(Relaxed).next_multiple_of(layout.align().min(4096));
    let end = start.checked_add(layout.size()).filter(|&end| end <= BYTES)?;
    TAKEN.store(end, Relaxed);
    // SAFETY: `start` is within the array.
    Some(unsafe { RESERVE.0.get().cast::<u8>().add(start) })
}

/// The same bytes in a piece of another size. For the owner only.
///
/// # Safety
///
/// As for [`std::alloc::GlobalAlloc::realloc`]; `pointer` may come from anywhere.
pub(super) unsafe fn realloc(pointer: *mut u8, layout: Layout, new_size: usize) -> Option<*mut u8> {
    // SAFETY: the sum is the address where the block ends, within its object.
    let is_last =
        unsafe { pointer.add(layout.size()) } == unsafe { RESERVE.0.get().cast::<u8>().add(TAKEN.load(Relaxed)) };
    if is_last {
        // It is the last piece, so that it can grow where it is. What it gives back is not zero any more: left alone.
        let end = (TAKEN.load(Relaxed) - layout.size()).checked_add(new_size).filter(|&end| end <= BYTES)?;
        TAKEN.fetch_max(end, Relaxed);
        return Some(pointer);
    }
    let new = alloc(Layout::from_size_align(new_size, layout.align()).ok()?)?;
    // SAFETY: both are at least as long as what is copied, and the new piece overlaps nothing.
    unsafe { std::ptr::copy_nonoverlapping(pointer, new, layout.size().min(new_size)) };
    Some(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The other tests' threads are not its owner and notice nothing.
    #[test]
    fn pieces_do_not_overlap_and_end() {
        let layout = |size: usize, align: usize| Layout::from_size_align(size, align).unwrap();
        std::thread::spawn(move || {
            open();
            assert!(is_open() && is_mine());
            let first = alloc(layout(10, 1)).unwrap();
            let second = alloc(layout(8, 64)).unwrap();
            assert!(second as usize >= first as usize + 10 && (second as usize).is_multiple_of(64));
            // SAFETY: eight bytes of ours, the last piece; then the same as the first piece.
            unsafe {
                second.write_bytes(7, 8);
                let grown = realloc(second, layout(8, 64), 5000).unwrap();
                assert!(grown == second && alloc(layout(1, 1)).unwrap() as usize >= second as usize + 5000);
                let moved = realloc(second, layout(5000, 64), 6000).unwrap();
                assert!(moved != second && std::slice::from_raw_parts(moved, 9) == [7, 7, 7, 7, 7, 7, 7, 7, 0]);
            }
            assert!(alloc(layout(BYTES, 1)).is_none() && alloc(layout(100, 8)).is_some());
            OWNER.store(0, Relaxed);
        })
        .join()
        .unwrap();
    }
}
