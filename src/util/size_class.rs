//! The sizes in which the allocator gives out memory.

/// Beyond this, whole pages.
const PAGES_FROM: usize = 16 << 10;

/// The size of a page, as far as the allocator is concerned.
const PAGE: usize = 4096;

/// What the allocator takes for so many bytes: the next of its sizes, which are 8 bytes apart up to 64, four to a
/// doubling beyond, and whole pages in the end.
#[inline]
pub fn size_class(bytes: usize) -> usize {
    let step = if bytes > PAGES_FROM { PAGE } else { (bytes.next_power_of_two() / 8).max(8) };
    bytes.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_allocator() {
        let cases =
            [(0, 0), (1, 8), (8, 8), (9, 16), (64, 64), (65, 80), (128, 128), (129, 160), (513, 640), (641, 768)];
        let large =
            [(1024, 1024), (1025, 1280), (14_337, 16_384), (16_385, 20_480), (65_537, 69_632), (100_000, 102_400)];
        for (bytes, class) in cases.into_iter().chain(large) {
            assert_eq!(size_class(bytes), class, "{bytes}");
        }
    }
}
