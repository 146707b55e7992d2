//! Threads that give way: a snapshot is written, and memory is freed, by time that nobody else wants.
//!
//! # Idle: a thread that takes no locks
//!
//! With as many busy threads as processors, an ordinary background thread keeps the main thread waiting for the rest
//! of its time slice, some milliseconds, whenever that wakes up for a request. A thread of the kernel's idle class is
//! preempted at once. The price is that it gets next to nothing on a machine that is busy all the time, and a snapshot
//! that never ends holds on to memory; so a thread that finds itself starved becomes an ordinary one again.
//!
//! # Brief: a thread that takes the allocator's locks
//!
//! Freeing memory of the main thread's arena takes locks that the main thread takes too. A thread of the idle class
//! that is preempted with such a lock in hand keeps the main thread waiting for as long as the machine is busy. So this
//! one stays an ordinary thread, and sleeps after every tenth of a millisecond of work: who waits for its processor
//! waits no longer than that.

use std::cell::Cell;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// The share of a second that a background thread must get.
const SHARE_MIN: f64 = 0.05;

/// How often the share is looked at.
const LOOK_EVERY_S: f64 = 0.5;

/// When the present look began: then, and the CPU time of this thread until then, s.
#[derive(Clone, Copy)]
struct Look {
    at: Instant,
    cpu_s: f64,
}

/// How a thread gives way.
#[derive(Clone, Copy)]
enum Manner {
    /// It does not.
    Ordinary,
    /// By the scheduler's idle class, since the look.
    Idle(Look),
    /// By sleeping often; it has worked since then.
    Brief(Instant),
}

/// A brief thread works so long, and then sleeps so long.
const BRIEF: Duration = Duration::from_micros(100);

thread_local! {
    static MANNER: Cell<Manner> = const { Cell::new(Manner::Ordinary) };
}

/// Makes the calling thread give way to all others, until it starves. Where the system refuses, it stays what it is.
pub fn begin_background() {
    if set_policy(libc::SCHED_IDLE) {
        MANNER.set(Manner::Idle(look()));
    }
}

/// Makes the calling thread sleep half of the time, a tenth of a millisecond at once.
pub fn begin_brief() {
    MANNER.set(Manner::Brief(Instant::now()));
}

/// To be called by a thread that gives way every few microseconds of work. Costs a look at the clock; for other threads
/// next to nothing.
pub fn pace() {
    let before = match MANNER.get() {
        Manner::Ordinary => return,
        Manner::Brief(since) => {
            if since.elapsed() >= BRIEF {
                std::thread::sleep(BRIEF);
                MANNER.set(Manner::Brief(Instant::now()));
            }
            return;
        }
        Manner::Idle(before) => before,
    };
    let wall_s = before.at.elapsed().as_secs_f64();
    if wall_s < LOOK_EVERY_S {
        return;
    }
    let now = look();
    let starved = (now.cpu_s - before.cpu_s) / wall_s < SHARE_MIN;
    let ordinary = starved && set_policy(libc::SCHED_OTHER);
    MANNER.set(if ordinary { Manner::Ordinary } else { Manner::Idle(now) });
}

fn look() -> Look {
    // A clock that cannot be read shows no time used: the thread then becomes an ordinary one, which is safe.
    let cpu =
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(0.0, |t| t.tv_sec() as f64 + t.tv_nsec() as f64 / 1e9);
    Look { at: Instant::now(), cpu_s: cpu }
}

fn set_policy(policy: libc::c_int) -> bool {
    let param = libc::sched_param { sched_priority: 0 };
    // SAFETY: `param` outlives the call; thread 0 is the calling one.
    unsafe { libc::sched_setscheduler(0, policy, &param) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_background_thread_gets_its_work_done() {
        let worker = std::thread::spawn(|| {
            begin_background();
            let began = Instant::now();
            let mut sum = 0u64;
            while began.elapsed().as_secs_f64() < LOOK_EVERY_S * 1.5 {
                sum = sum.wrapping_add(1);
                pace();
            }
            sum
        });
        assert!(worker.join().expect("it does not panic") > 0);
    }

    #[test]
    fn a_brief_thread_sleeps_about_half_of_the_time() {
        let worker = std::thread::spawn(|| {
            begin_brief();
            let began = look();
            while began.at.elapsed().as_secs_f64() < 0.2 {
                pace();
            }
            let now = look();
            (now.cpu_s - began.cpu_s) / began.at.elapsed().as_secs_f64()
        });
        let share = worker.join().expect("it does not panic");
        assert!(share < 0.7, "{share}");
    }

    #[test]
    fn pacing_an_ordinary_thread_changes_nothing() {
        pace();
        assert!(matches!(MANNER.get(), Manner::Ordinary));
    }
}
