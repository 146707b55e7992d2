//! jemalloc: the process's allocator, what it reports, and how memory is counted without counting.
//!
//! # used_memory without atomics
//!
//! Redis wraps every allocation to add its size to a counter. Here jemalloc's own statistics are the counter: it
//! keeps, for each thread, the bytes ever allocated and ever freed, in two plain words of that thread. Reading them
//! is two loads. So the figure that decides about eviction is
//!
//! ```text
//!   used now = allocated, as of the last refresh            (all threads; a refresh takes tens of microseconds)
//!            + what this thread allocated and freed since   (two loads)
//! ```
//!
//! (jemalloc's total counts what a thread has freed and keeps in its cache for the next allocation, and its words of the
//! thread do not: that is taken off, or the two would contradict each other by tens of kilobytes.)
//!
//! What other threads allocate or free shows up at the next refresh, ten times a second. The thread of the main
//! loop is the one that fills memory, so that is where [`UsedMemory`] lives.
//!
//! # Settings
//!
//! `background_thread` lets a thread of jemalloc's give unused pages back to the system, instead of whoever happens
//! to free next: the main loop never pays for `madvise`. Size classes lie 8 bytes apart up to 64 (a build option,
//! in `.cargo/config.toml`), as in Redis's own build: an entry of 38 bytes takes 40.
//!
//! `slab_sizes` makes the slabs of small objects (and of the dict's segments) 32 KiB instead of 4. jemalloc keeps the
//! slabs that have room in a pairing heap, whose cheap operations are paid for by a rare dear one: deleting many keys
//! of ten million at random put 150,000 slabs into one, and a single `free` then took 47 ms of CPU. With an eighth as
//! many slabs the worst operation of the same run took 0.8 ms, no more than doing nothing took on that busy machine.
//! A slab's pages are touched as they are needed, so an idle server is not larger for it. The pieces of long strings, of
//! 8 KiB, would each be a slab of its own, which costs as much as receiving it: four of them share one.
//!
//! # Alignment
//!
//! That option has a price: 40 bytes then lie anywhere on a multiple of 8. `tikv_jemallocator` asks for no alignment
//! up to 16, because C's `malloc` promises that much, and jemalloc so configured does not. (A hash table of the
//! standard library, whose tables want 16, crashed on it.) So [`Jemalloc`] here is an allocator of our own that lets
//! `tikv_jemallocator` do what needs 8 at most, and asks jemalloc explicitly for more.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::io;

use super::{fault, reserve};
use tikv_jemalloc_ctl::{epoch, stats, thread, version};
use tikv_jemalloc_sys as jemalloc;
use tikv_jemallocator::Jemalloc as Plain;

/// The global allocator: jemalloc, with every alignment that is asked for. See the module's header.
#[derive(Clone, Copy, Debug, Default)]
pub struct Jemalloc;

/// The alignment that every size class has.
const QUANTUM: usize = 8;

/// What tells jemalloc an alignment beyond the quantum; `None` when it needs no telling.
#[inline]
fn beyond_quantum(align: usize) -> Option<c_int> {
    (align > QUANTUM).then(|| jemalloc::MALLOCX_ALIGN(align))
}

/// Up to this size a block is moved here: the thread's cache has blocks of that size.
const MOVED_BY_HAND: usize = 4096;

impl Jemalloc {
    /// What `rallocx` does, by a shorter way: it does not know the block's size and finds it in its own records, which
    /// no cache has. Here the layout says it.
    ///
    /// # Safety
    ///
    /// As for [`GlobalAlloc::realloc`]; the alignment is not beyond the quantum.
    #[inline]
    unsafe fn move_by_hand(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the sizes are not zero. A block of the same class is also one of the new size; otherwise the new
        // block has room for what is copied, and the old one is freed with its layout.
        unsafe {
            if jemalloc::nallocx(layout.size(), 0) == jemalloc::nallocx(new_size, 0) {
                return pointer;
            }
            let new = Plain.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !new.is_null() {
                std::ptr::copy_nonoverlapping(pointer, new, layout.size().min(new_size));
                Plain.dealloc(pointer, layout);
            }
            new
        }
    }
}

/// Where the memory of a thread that reports a crash comes from; `None` for all other threads.
#[cold]
fn from_reserve(layout: Layout) -> Option<*mut u8> {
    reserve::is_mine().then(|| reserve::alloc(layout).unwrap_or_else(|| fault::reserve_exhausted()))
}

/// What an allocation gives that failed: nothing good. Reported here and not where the null arrives, because the
/// standard library's way from there wants memory and a lock, and waits for itself when it gets neither.
#[inline]
fn or_report(pointer: *mut u8, bytes: usize) -> *mut u8 {
    if pointer.is_null() {
        fault::out_of_memory(bytes);
    }
    pointer
}

// SAFETY: up to the quantum this is `tikv_jemallocator`, which relies on no more there. Beyond it, the four functions
// are jemalloc's counterparts of the trait's, always with the same alignment flag for the same layout, as `sdallocx`
// requires; sizes are not zero by the trait's contract, which is what `mallocx` and `rallocx` require. A thread that
// reports a crash gets pieces of the reserve, zeroed, and frees nothing.
unsafe impl GlobalAlloc for Jemalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if reserve::is_open()
            && let Some(pointer) = from_reserve(layout)
        {
            return pointer;
        }
        // SAFETY: see above.
        let pointer = unsafe {
            match beyond_quantum(layout.align()) {
                None => Plain.alloc(layout),
                Some(flags) => jemalloc::mallocx(layout.size(), flags).cast(),
            }
        };
        or_report(pointer, layout.size())
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if reserve::is_open()
            && let Some(pointer) = from_reserve(layout)
        {
            return pointer;
        }
        // SAFETY: see above.
        let pointer = unsafe {
            match beyond_quantum(layout.align()) {
                None => Plain.alloc_zeroed(layout),
                Some(flags) => jemalloc::mallocx(layout.size(), flags | jemalloc::MALLOCX_ZERO).cast(),
            }
        };
        or_report(pointer, layout.size())
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if reserve::is_open() && reserve::is_mine() {
            return;
        }
        // SAFETY: see above.
        unsafe {
            match beyond_quantum(layout.align()) {
                None => Plain.dealloc(pointer, layout),
                Some(flags) => jemalloc::sdallocx(pointer.cast(), layout.size(), flags),
            }
        }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if reserve::is_open() && reserve::is_mine() {
            // SAFETY: the contract is the same.
            return unsafe { reserve::realloc(pointer, layout, new_size) }
                .unwrap_or_else(|| fault::reserve_exhausted());
        }
        // SAFETY: see above.
        let new = unsafe {
            if layout.size().max(new_size) <= MOVED_BY_HAND && layout.align() <= QUANTUM {
                self.move_by_hand(pointer, layout, new_size)
            } else {
                match beyond_quantum(layout.align()) {
                    None => Plain.realloc(pointer, layout, new_size),
                    Some(flags) => jemalloc::rallocx(pointer.cast(), new_size, flags).cast(),
                }
            }
        };
        or_report(new, new_size)
    }
}

/// What jemalloc reads before the first allocation. The name is how it finds it.
#[unsafe(export_name = "_rjem_malloc_conf")]
// SAFETY: jemalloc declares this symbol weakly as `const char *`; an `Option` of a reference to the first byte of a
// NUL-terminated literal has that representation, and lives as long as the program.
pub static MALLOC_CONF: Option<&'static c_char> =
    Some(unsafe { &*c"background_thread:true,slab_sizes:8-256:8|2048-2048:8|8192-8192:8".as_ptr() });

/// What jemalloc says about the process's memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// Given to the program, in size classes; and what threads keep ready for it.
    pub allocated: u64,
    /// Of that, what threads keep ready.
    pub cached: u64,
    /// In pages that hold something allocated.
    pub active: u64,
    /// In pages that the system has physically assigned (its estimate, without other mappings of the process).
    pub resident: u64,
    /// In ranges mapped by the allocator.
    pub mapped: u64,
    /// In ranges kept for later that cost no physical memory.
    pub retained: u64,
    /// The allocator's own bookkeeping.
    pub metadata: u64,
}

/// Fresh statistics. Takes tens of microseconds: for a cron and for `INFO`, not for a command.
pub fn memory_stats() -> MemoryStats {
    let read = || -> Result<MemoryStats, tikv_jemalloc_ctl::Error> {
        epoch::advance()?;
        Ok(MemoryStats {
            allocated: stats::allocated::read()? as u64,
            cached: [c"stats.arenas.4096.tcache_bytes", c"stats.arenas.4096.tcache_stashed_bytes"]
                .map(size)
                .iter()
                .sum(),
            active: stats::active::read()? as u64,
            resident: stats::resident::read()? as u64,
            mapped: stats::mapped::read()? as u64,
            retained: stats::retained::read()? as u64,
            metadata: stats::metadata::read()? as u64,
        })
    };
    read().expect("jemalloc is built with statistics, so the names exist")
}

impl MemoryStats {
    /// Bytes that the program has asked for and not freed, in size classes.
    pub fn used(&self) -> u64 {
        self.allocated.saturating_sub(self.cached)
    }
}

/// A number of jemalloc's that has this name; 0 if there is none.
fn size(name: &CStr) -> u64 {
    let mut value = 0_usize;
    let mut length = size_of::<usize>();
    // SAFETY: the name is NUL-terminated; the value has room for the `length` bytes that may be written, and the null
    // pointer and the length of 0 say that nothing is read.
    let code =
        unsafe { jemalloc::mallctl(name.as_ptr(), (&raw mut value).cast(), &raw mut length, std::ptr::null_mut(), 0) };
    if code == 0 { value as u64 } else { 0 }
}

/// What the thread that made it has ever allocated, less what it has freed: two words of that thread, so not `Send`.
pub struct ThreadBalance {
    allocated: thread::ThreadLocal<u64>,
    freed: thread::ThreadLocal<u64>,
}

impl ThreadBalance {
    /// Of the calling thread.
    pub fn new() -> ThreadBalance {
        ThreadBalance {
            allocated: thread::allocatedp::read().expect("jemalloc is built with statistics"),
            freed: thread::deallocatedp::read().expect("jemalloc is built with statistics"),
        }
    }

    /// Bytes, in size classes. It wraps around when the thread has freed more than it has allocated.
    #[inline]
    pub fn bytes(&self) -> u64 {
        self.allocated.get().wrapping_sub(self.freed.get())
    }
}

impl Default for ThreadBalance {
    fn default() -> ThreadBalance {
        ThreadBalance::new()
    }
}

/// The thread's view of used memory. See the module's header. Not `Send`: it reads words of the thread that made it.
pub struct UsedMemory {
    thread: ThreadBalance,
    /// Process-wide allocation at the last refresh, less this thread's balance then.
    base: u64,
    peak: u64,
}

impl UsedMemory {
    /// Starts with fresh statistics.
    pub fn new() -> UsedMemory {
        let mut used = UsedMemory { thread: ThreadBalance::new(), base: 0, peak: 0 };
        used.refresh();
        used
    }

    /// Reads what all threads did. For a cron.
    pub fn refresh(&mut self) -> MemoryStats {
        let stats = memory_stats();
        self.base = stats.used().wrapping_sub(self.thread.bytes());
        self.peak = self.peak.max(stats.used());
        stats
    }

    /// Bytes allocated now, as well as this thread can know: two loads.
    #[inline]
    pub fn now(&self) -> u64 {
        let used = self.base.wrapping_add(self.thread.bytes());
        // Freeing what another thread allocated since the refresh could make it negative for a moment.
        if used > i64::MAX as u64 { 0 } else { used }
    }

    /// The present figure, as its owner counts it: it may be a peak.
    pub fn note(&mut self, used: u64) {
        self.peak = self.peak.max(used);
    }

    /// The most that a refresh or [`UsedMemory::note`] has seen.
    pub fn peak(&self) -> u64 {
        self.peak
    }

    /// Makes the present the peak (`CONFIG RESETSTAT`).
    pub fn reset_peak(&mut self) {
        self.peak = self.now();
    }
}

impl Default for UsedMemory {
    fn default() -> UsedMemory {
        UsedMemory::new()
    }
}

/// Bytes that the calling thread has ever freed, in size classes.
pub fn freed_bytes() -> u64 {
    thread::deallocatedp::read().map_or(0, |freed| freed.get())
}

/// Gives unused pages back to the system at once (`MEMORY PURGE`).
pub fn purge() -> io::Result<()> {
    control(c"thread.tcache.flush")?;
    control(c"arena.4096.purge") // 4096: all arenas
}

/// Calls a control of jemalloc that takes and gives nothing.
fn control(name: &CStr) -> io::Result<()> {
    use std::ptr::null_mut;
    // SAFETY: the name is NUL-terminated; null pointers and a length of 0 say that nothing is read or written.
    let code = unsafe { jemalloc::mallctl(name.as_ptr(), null_mut(), null_mut(), null_mut(), 0) };
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

/// The bytes that an allocation of `size` really takes.
#[inline]
pub fn size_class(size: usize) -> usize {
    if size == 0 {
        return 0;
    }
    // SAFETY: `nallocx` computes; it allocates nothing, and any non-zero size is fine.
    unsafe { jemalloc::nallocx(size, 0) }
}

/// The bytes that the allocation behind `pointer` really takes.
///
/// # Safety
///
/// `pointer` must be the start of a live allocation of the global allocator.
#[inline]
pub unsafe fn usable_size<T>(pointer: *const T) -> usize {
    // SAFETY: passed on to the caller.
    unsafe { tikv_jemallocator::usable_size(pointer) }
}

/// `jemalloc-5.3.1`, as `INFO` shows it.
pub fn name() -> String {
    let long = version::read().unwrap_or("?"); // 5.3.1-0-g81034ce...
    format!("jemalloc-{}", long.split('-').next().unwrap_or(long))
}

/// jemalloc's own report (`MEMORY MALLOC-STATS`).
pub fn report() -> String {
    unsafe extern "C" fn collect(text: *mut c_void, piece: *const c_char) {
        // SAFETY: jemalloc passes the pointer given below, to a live Vec that nobody else touches during the call,
        // and a NUL-terminated piece of text.
        let (text, piece) = unsafe { (&mut *text.cast::<Vec<u8>>(), CStr::from_ptr(piece)) };
        text.extend_from_slice(piece.to_bytes());
    }
    let mut text: Vec<u8> = Vec::new();
    // SAFETY: the callback and its argument fit each other (above); no options is the empty C string.
    unsafe { jemalloc::malloc_stats_print(Some(collect), (&raw mut text).cast(), c"".as_ptr()) };
    String::from_utf8_lossy(&text).into_owned()
}

/// Whether jemalloc's own thread gives pages back.
pub fn background_thread() -> bool {
    tikv_jemalloc_ctl::background_thread::read().unwrap_or(false)
}

/// Switches jemalloc's own thread on or off.
pub fn set_background_thread(on: bool) -> io::Result<()> {
    tikv_jemalloc_ctl::background_thread::write(on).map_err(|e| io::Error::other(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_arrived() {
        assert!(background_thread());
        assert!(name().starts_with("jemalloc-5."), "{}", name());
        // `util::size_class` says the same without asking.
        let sizes = [0, 1, 38, 41, 65, 1000, 1025, 14_337, 16_385, 65_537, 100_000];
        let classes = [0, 8, 40, 48, 80, 1024, 1280, 16_384, 20_480, 69_632, 102_400];
        assert_eq!(sizes.map(size_class), classes);
    }

    #[test]
    fn a_moved_block_keeps_its_contents() {
        let sizes = [1, 8, 9, 40, 41, 64, 65, 1000, 1024, 1025, 4095, 4096, 4097, 20_000];
        for (from, to) in sizes.iter().flat_map(|from| sizes.iter().map(move |to| (*from, *to))) {
            let layout = Layout::from_size_align(from, 8).unwrap();
            // SAFETY: the blocks are used within their sizes, and freed with the last layout.
            unsafe {
                let block = Jemalloc.alloc(layout);
                (0..from).for_each(|i| *block.add(i) = (i * 7) as u8);
                let moved = Jemalloc.realloc(block, layout, to);
                assert!((0..from.min(to)).all(|i| *moved.add(i) == (i * 7) as u8), "{from} to {to}");
                assert!(moved == block || size_class(from) != size_class(to), "{from} to {to}");
                Jemalloc.dealloc(moved, Layout::from_size_align(to, 8).unwrap());
            }
        }
    }

    #[test]
    fn alignment_is_what_was_asked_for() {
        for align in [1, 2, 4, 8, 16, 32, 64, 4096] {
            for size in (1..300).step_by(7).chain([4096, 100_000]) {
                let layout = Layout::from_size_align(size, align).unwrap();
                let larger = Layout::from_size_align(size * 3, align).unwrap();
                // SAFETY: the pointers are used within their layouts, and freed with the last one.
                unsafe {
                    let many: Vec<*mut u8> = (0..5).map(|_| Jemalloc.alloc(layout)).collect();
                    for pointer in many {
                        assert_eq!(pointer as usize % align, 0, "{layout:?}");
                        *pointer = 7;
                        let grown = Jemalloc.realloc(pointer, layout, larger.size());
                        assert_eq!((grown as usize % align, *grown), (0, 7), "{larger:?}");
                        Jemalloc.dealloc(grown, larger);
                    }
                    let zeroed = Jemalloc.alloc_zeroed(layout);
                    assert_eq!((zeroed as usize % align, *zeroed, *zeroed.add(size - 1)), (0, 0, 0));
                    Jemalloc.dealloc(zeroed, layout);
                }
            }
        }
    }

    #[test]
    fn used_memory_follows_this_thread() {
        let mut used = UsedMemory::new();
        let before = used.now();
        let big = std::hint::black_box(vec![1u8; 50_000_000]);
        let with = used.now();
        assert!(with >= before + 50_000_000, "{before} {with}");
        // SAFETY: the vector's buffer is a live allocation.
        assert!(unsafe { usable_size(big.as_ptr()) } >= big.len());
        let stats = used.refresh();
        assert!(used.peak() >= 50_000_000);
        assert!(stats.allocated <= stats.active && stats.active <= stats.resident, "{stats:?}");
        assert!(stats.resident <= stats.mapped && stats.metadata > 0, "{stats:?}");
        // Other tests allocate in other threads, so only differences between refreshes are exact.
        let with = used.now();
        drop(big);
        assert!(used.now() + 50_000_000 <= with, "{with} {stats:?}");
        used.reset_peak();
        assert_eq!(used.peak(), used.now());
    }

    #[test]
    fn what_a_thread_keeps_ready_is_not_used() {
        let boxes: Vec<Box<[u8; 48]>> = (0..1000).map(|_| Box::new([1; 48])).collect();
        drop(std::hint::black_box(boxes));
        let stats = UsedMemory::new().refresh();
        assert!(stats.cached >= 48, "{stats:?}");
        assert_eq!(stats.used() + stats.cached, stats.allocated);
        assert_eq!(size(c"stats.no_such_number"), 0);
    }

    #[test]
    fn purge_and_report() {
        purge().unwrap();
        assert!(report().contains("allocated"));
    }
}
