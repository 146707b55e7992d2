//! Threads that give way: a snapshot is written by time that nobody else wants.
//!
//! With as many busy threads as processors, an ordinary background thread keeps the main thread waiting for the rest
//! of its time slice, some milliseconds, whenever that wakes up for a request. A thread of the kernel's idle class is
//! preempted at once. The price is that it gets next to nothing on a machine that is busy all the time, and a snapshot
//! that never ends holds on to memory; so a thread that finds itself starved becomes an ordinary one again.

use std::cell::Cell;
use std::time::Instant;

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

thread_local! {
    static LOOK: Cell<Option<Look>> = const { Cell::new(None) };
}

/// Makes the calling thread give way to all others, until it starves. Where the system refuses, it stays what it is.
pub fn begin_background() {
    if set_policy(libc::SCHED_IDLE) {
        LOOK.set(Some(look()));
    }
}

/// To be called by a background thread now and then, say every thousand items: ends the giving way when it starves.
/// Free for other threads.
pub fn pace() {
    let Some(before) = LOOK.get() else { return };
    let wall_s = before.at.elapsed().as_secs_f64();
    if wall_s < LOOK_EVERY_S {
        return;
    }
    let now = look();
    let starved = (now.cpu_s - before.cpu_s) / wall_s < SHARE_MIN;
    LOOK.set(if starved && set_policy(libc::SCHED_OTHER) { None } else { Some(now) });
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
    fn pacing_an_ordinary_thread_changes_nothing() {
        pace();
        assert!(LOOK.get().is_none());
    }
}
