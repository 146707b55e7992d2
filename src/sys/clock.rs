//! Time: the wall clock in milliseconds and microseconds, and a monotonic clock cheap enough to read per command.
//!
//! Every command is timed, so the clock is read twice or more per command. `clock_gettime` costs 20 to 40 ns even
//! without entering the kernel; reading the processor's time stamp counter costs a third of that. The counter is
//! used when three things hold: the architecture has one, it is *invariant* (it ticks at one rate in all power
//! states), and the kernel itself keeps time by it, which means that the kernel found the counters of all cores in
//! step. Otherwise `clock_gettime` it is.
//!
//! The counter's rate is measured once per process against `CLOCK_MONOTONIC`, over a few milliseconds, which makes
//! it right to a few parts in a million: far better than a latency figure needs. Readings are *durations since some
//! past moment*: comparable with each other, in every thread, and with nothing else.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A handle on the process's clocks: two words, copied freely.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    source: Source,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    #[cfg(target_arch = "x86_64")]
    Counter(&'static Counter),
    Kernel(&'static Instant),
}

/// A measured time stamp counter.
#[derive(Debug)]
struct Counter {
    /// The reading that counts as zero.
    start: u64,
    /// Nanoseconds per tick, times 2^32.
    scale: u64,
}

impl Clock {
    /// The process's clock. The first call measures the counter and takes some milliseconds.
    pub fn system() -> Clock {
        static SYSTEM: OnceLock<Clock> = OnceLock::new();
        *SYSTEM.get_or_init(|| Clock { source: Source::choose() })
    }

    /// Milliseconds since 1970, as the system's clock has it: it can jump.
    #[inline]
    pub fn wall_ms(self) -> i64 {
        wall().as_millis() as i64
    }

    /// Microseconds since 1970, as the system's clock has it: it can jump.
    #[inline]
    pub fn wall_us(self) -> i64 {
        wall().as_micros() as i64
    }

    /// Nanoseconds since some moment before this process asked first. Never jumps.
    #[inline]
    pub fn mono_ns(self) -> u64 {
        match self.source {
            #[cfg(target_arch = "x86_64")]
            Source::Counter(counter) => counter.ns(read_counter()),
            Source::Kernel(start) => start.elapsed().as_nanos() as u64,
        }
    }

    /// What [`Clock::mono_ns`] reads, for `INFO` and the start-up log: `tsc` or `clock_gettime`, and the tick rate.
    pub fn describe(self) -> String {
        match self.source {
            #[cfg(target_arch = "x86_64")]
            Source::Counter(c) => format!("X86 TSC @ {} ticks/us", (1000u64 << 32) / c.scale),
            Source::Kernel(_) => "POSIX clock_gettime".to_owned(),
        }
    }
}

#[inline]
fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() // a clock before 1970 reads as 1970
}

/// How many seconds local time is ahead of UTC at `wall_ms`, by the system's time zone.
pub fn utc_offset_seconds(wall_ms: i64) -> i32 {
    let seconds: libc::time_t = wall_ms.div_euclid(1000);
    // SAFETY: `tm` is plain data for which all zeros is valid; both pointers are live for the call; localtime_r
    // writes only through the second one. It reads the environment (TZ), which nothing in this program changes.
    unsafe {
        let mut local: libc::tm = std::mem::zeroed();
        if libc::localtime_r(&seconds, &mut local).is_null() { 0 } else { local.tm_gmtoff as i32 }
    }
}

impl Source {
    fn choose() -> Source {
        #[cfg(target_arch = "x86_64")]
        if counter_is_trusted()
            && let Some(counter) = Counter::measure()
        {
            return Source::Counter(Box::leak(Box::new(counter)));
        }
        Source::Kernel(Box::leak(Box::new(Instant::now())))
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn read_counter() -> u64 {
    // SAFETY: every x86-64 has the instruction; it only reads.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Whether the processor promises a constant rate, and the kernel relies on it.
#[cfg(target_arch = "x86_64")]
fn counter_is_trusted() -> bool {
    use core::arch::x86_64::__cpuid;
    const POWER: u32 = 0x8000_0007;
    let invariant = __cpuid(0x8000_0000).eax >= POWER && __cpuid(POWER).edx & (1 << 8) != 0;
    invariant
        && std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource")
            .is_ok_and(|source| source.trim() == "tsc")
}

#[cfg(target_arch = "x86_64")]
impl Counter {
    const MEASURE: Duration = Duration::from_millis(4);

    /// Compares the counter with the kernel's clock at two moments. `None` when the result is not believable.
    fn measure() -> Option<Counter> {
        let (start, since) = Counter::pair();
        std::thread::sleep(Counter::MEASURE);
        let (end, until) = Counter::pair();
        let ns = until.duration_since(since).as_nanos();
        let ticks = end.checked_sub(start).filter(|&t| t > 0)?;
        let scale = u64::try_from((ns << 32) / u128::from(ticks)).ok()?;
        // 100 MHz to 40 GHz; anything else is a broken measurement.
        let per_us = (1000u64 << 32).checked_div(scale)?;
        (100..40_000).contains(&per_us).then_some(Counter { start, scale })
    }

    /// The counter and the clock at the same moment: of several tries, the one that was least interrupted.
    fn pair() -> (u64, Instant) {
        (0..16)
            .map(|_| {
                let before = read_counter();
                let now = Instant::now();
                let after = read_counter();
                (after.wrapping_sub(before), before.wrapping_add(after.wrapping_sub(before) / 2), now)
            })
            .min_by_key(|&(width, ..)| width)
            .map(|(_, ticks, now)| (ticks, now))
            .expect("sixteen tries were made")
    }

    #[inline]
    fn ns(&self, reading: u64) -> u64 {
        // Another core's counter may be a few ticks behind the one that measured: not before the beginning.
        let ticks = reading.saturating_sub(self.start);
        ((u128::from(ticks) * u128::from(self.scale)) >> 32) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_and_in_step_with_the_kernel() {
        let clock = Clock::system();
        let (kernel, ours) = (Instant::now(), clock.mono_ns());
        let mut last = ours;
        while kernel.elapsed() < Duration::from_millis(50) {
            let now = clock.mono_ns();
            assert!(now >= last);
            last = now;
        }
        let (kernel, ours) = (kernel.elapsed().as_nanos() as f64, (clock.mono_ns() - ours) as f64);
        assert!((ours / kernel - 1.0).abs() < 0.02, "{}: {ours} against {kernel}", clock.describe());
    }

    #[test]
    fn wall_time_is_this_century() {
        let clock = Clock::system();
        assert!(clock.wall_ms() > 1_700_000_000_000);
        assert!((clock.wall_us() / 1000 - clock.wall_ms()).abs() < 1000);
        assert!(utc_offset_seconds(clock.wall_ms()).abs() <= 14 * 3600);
    }

    #[test]
    fn threads_agree() {
        let clock = Clock::system();
        let before = clock.mono_ns();
        let inside = std::thread::spawn(move || clock.mono_ns()).join().unwrap();
        assert!(before <= inside && inside <= clock.mono_ns());
    }
}
