//! A block of bytes that several owners share, counted, with its count in front of it in one allocation.
//!
//! What an `Arc<[u8]>` is, with two differences. One is made by one copy, straight into its allocation: building thousands
//! of an `Arc` costs another copy of each on the stack. And every thread keeps count of what the blocks that it made take,
//! less those whose end it saw ([`balance`]).

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering, fence};

#[repr(C)]
struct Head {
    owners: AtomicUsize,
    /// Bytes behind the head.
    room: usize,
}

/// What a block takes beside its bytes.
pub const HEAD: usize = size_of::<Head>();

thread_local! {
    static BALANCE: Cell<i64> = const { Cell::new(0) };
}

/// What the blocks made by this thread take, less those that ended on it. Negative where others' blocks end.
#[inline]
pub fn balance() -> i64 {
    BALANCE.get()
}

fn count(bytes: i64) {
    // A block may end while its thread does, after the word is gone; then nobody asks for it either.
    let _ = BALANCE.try_with(|balance| balance.set(balance.get() + bytes));
}

/// See the file's header.
pub struct Block(NonNull<Head>);

// SAFETY: shared like an Arc<[u8]>: the count is atomic, and only a sole owner writes to the bytes.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

fn layout(room: usize) -> Layout {
    let bytes = HEAD.checked_add(room).expect("what is copied into it has a size");
    Layout::from_size_align(bytes, align_of::<Head>()).expect("what is copied into it has a size")
}

/// Room for a block, nothing of which was written yet.
pub struct Empty(NonNull<Head>);

// SAFETY: nobody else has the allocation.
unsafe impl Send for Empty {}
// SAFETY: through a shared reference nothing can be done.
unsafe impl Sync for Empty {}

impl Empty {
    /// Room for so many bytes.
    pub fn new(room: usize) -> Empty {
        let layout = layout(room);
        // SAFETY: the size is not zero, and the allocation has room for the head, aligned.
        unsafe {
            let Some(raw) = NonNull::new(alloc(layout)) else { handle_alloc_error(layout) };
            raw.cast::<Head>().write(Head { owners: AtomicUsize::new(1), room });
            Empty(raw.cast())
        }
    }

    /// The room.
    pub fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: the allocation has so many bytes behind its head, and they are this owner's.
        unsafe {
            let room = self.0.as_ref().room;
            std::slice::from_raw_parts_mut(self.0.as_ptr().cast::<u8>().add(HEAD).cast(), room)
        }
    }

    /// The block, with zeros behind what was written.
    ///
    /// # Safety
    /// The first `len` bytes of the room were written.
    pub unsafe fn filled(mut self, len: usize) -> Block {
        self.room()[len..].fill(MaybeUninit::new(0));
        let block = Block(ManuallyDrop::new(self).0);
        count((HEAD + block.head().room) as i64);
        block
    }
}

impl Drop for Empty {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and never given away.
        unsafe { dealloc(self.0.as_ptr().cast(), layout(self.0.as_ref().room)) }
    }
}

impl Block {
    /// A copy of `bytes`, with room for `room` or as many as there are; zero bytes behind them.
    pub fn new(bytes: &[u8], room: usize) -> Block {
        let mut block = Empty::new(room.max(bytes.len()));
        let to = block.room().as_mut_ptr().cast::<u8>();
        // SAFETY: there is room for as many bytes, in an allocation of its own.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
            block.filled(bytes.len())
        }
    }

    #[inline]
    fn head(&self) -> &Head {
        // SAFETY: the block lives as long as an owner does.
        unsafe { self.0.as_ref() }
    }

    /// Where the bytes are.
    #[inline]
    fn data(&self) -> *mut u8 {
        // SAFETY: they are behind the head, in the same allocation.
        unsafe { self.0.as_ptr().cast::<u8>().add(HEAD) }
    }

    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: all of them were written when the block was made; nobody writes while there are two owners.
        unsafe { std::slice::from_raw_parts(self.data(), self.head().room) }
    }

    /// The bytes, to be changed; `None` while somebody else has the block too.
    #[inline]
    pub fn own(&mut self) -> Option<&mut [u8]> {
        // Acquire: what other owners read, they have read before they let go of it.
        if self.head().owners.load(Ordering::Acquire) != 1 {
            return None;
        }
        // SAFETY: this is the only owner, and it is borrowed mutably, so it makes no other meanwhile.
        Some(unsafe { std::slice::from_raw_parts_mut(self.data(), self.head().room) })
    }

    /// Lets a sole owner's block lie elsewhere: `f` is told where it is and how it was allocated, and says where it is now.
    /// Nothing is done with a block that others have, too.
    ///
    /// # Safety
    /// Where `f` says there are the same bytes, allocated with the same layout, for this owner alone; and what it was
    /// told of is gone, if that is somewhere else.
    pub unsafe fn relocate(&mut self, f: impl FnOnce(NonNull<u8>, Layout) -> NonNull<u8>) {
        if self.own().is_some() {
            self.0 = f(self.0.cast(), layout(self.head().room)).cast();
        }
    }

    /// Whether two owners have the same block.
    #[inline]
    pub fn is(&self, other: &Block) -> bool {
        self.0 == other.0
    }
}

impl Clone for Block {
    #[inline]
    fn clone(&self) -> Block {
        let before = self.head().owners.fetch_add(1, Ordering::Relaxed);
        assert!(before < isize::MAX as usize, "fewer owners than there are bytes of memory");
        Block(self.0)
    }
}

impl Drop for Block {
    #[inline]
    fn drop(&mut self) {
        // Release: what this owner read or wrote is over before the block ends, wherever that is.
        if self.head().owners.fetch_sub(1, Ordering::Release) == 1 {
            self.end();
        }
    }
}

impl Block {
    #[inline(never)]
    fn end(&mut self) {
        fence(Ordering::Acquire);
        let room = self.head().room;
        // SAFETY: the last owner has let go of it; allocated with this layout.
        unsafe { dealloc(self.0.as_ptr().cast(), layout(room)) };
        count(-((HEAD + room) as i64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_share_and_the_last_one_ends_it() {
        let before = balance();
        let mut block = Block::new(b"abc", 8);
        assert_eq!((block.bytes(), balance() - before), (&b"abc\0\0\0\0\0"[..], (HEAD + 8) as i64));
        block.own().expect("alone")[0] = b'z';
        let other = block.clone();
        assert!(block.own().is_none() && block.is(&other) && !block.is(&Block::new(b"zbc", 8)));
        drop(block);
        assert_eq!((other.bytes(), balance() - before), (&b"zbc\0\0\0\0\0"[..], (HEAD + 8) as i64));
        drop(other);
        assert_eq!(balance(), before);
        assert_eq!((Block::new(b"long", 2).bytes(), Block::new(b"", 0).bytes()), (&b"long"[..], &b""[..]));
    }

    #[test]
    fn threads_share_blocks() {
        let before = balance();
        let block = Block::new(&[7; 1000], 0);
        let there: i64 = std::thread::scope(|scope| {
            let readers = (0..4).map(|_| {
                let block = block.clone();
                scope.spawn(move || {
                    for _ in 0..if cfg!(miri) { 10 } else { 1000 } {
                        let own = block.clone();
                        assert!(own.bytes().iter().all(|&b| b == 7));
                    }
                    drop(block);
                    balance()
                })
            });
            let readers: Vec<_> = readers.collect();
            drop(block);
            readers.into_iter().map(|reader| reader.join().expect("no panic")).sum()
        });
        assert_eq!(balance() - before + there, 0, "it ended once, wherever that was");
    }
}
