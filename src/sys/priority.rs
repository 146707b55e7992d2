//! Threads that give way: a snapshot is written, and memory is freed, by time that nobody else needs.
//!
//! # Background: a thread that takes no locks
//!
//! With as many busy threads as processors, an ordinary background thread keeps the main thread waiting for the rest
//! of its time slice, some milliseconds, whenever that wakes up for a request. A thread of the kernel's idle class is
//! preempted at once. The price is that it gets next to nothing on a machine that is busy all the time, and cannot even
//! notice: it does not run. So another thread watches it, a hundred times a second. Who wants to run and is not let is
//! made an ordinary thread for a while, which has its fair share, and then tries again.
//!
//! Who may not leave the idle class (without privileges that takes a limit of niceness, `RLIMIT_NICE`, of 20) never
//! enters it: a save that never ends is worse than a wait.
//!
//! # Brief: a thread that takes the allocator's locks
//!
//! Freeing memory of the main thread's arena takes locks that the main thread takes too. A thread of the idle class
//! that is preempted with such a lock in hand keeps the main thread waiting for as long as the machine is busy. So this
//! one stays an ordinary thread, and sleeps after every tenth of a millisecond of work: who waits for its processor
//! waits no longer than that.
//!
//! # Steady: a thread that somebody waits for
//!
//! The thread that answers long reads allocates, too, and its client wants the reply soon. It works for half a
//! millisecond at once and sleeps as shortly as the system can, so that it has nearly all of a processor that nobody
//! else wants, and nobody waits for longer than that half millisecond.

use std::cell::Cell;
use std::fs;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// The share of a processor that a background thread must get while it is in the idle class.
const SHARE_MIN: f64 = 0.25;

/// How often the share is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// For so many looks a thread that starved is an ordinary one. Then one look shows whether it still would.
const LOOKS_ORDINARY: u32 = 20;

/// A thread works so long, and then sleeps so long.
#[derive(Clone, Copy)]
struct Rhythm {
    work: Duration,
    rest: Duration,
}

const BRIEF: Rhythm = Rhythm { work: Duration::from_micros(100), rest: Duration::from_micros(100) };
const STEADY: Rhythm = Rhythm { work: Duration::from_micros(500), rest: Duration::from_micros(20) };

thread_local! {
    /// The rhythm of the thread, if it has one, and since when it has worked.
    static WORKS_SINCE: Cell<Option<(Rhythm, Instant)>> = const { Cell::new(None) };
}

/// The calling thread gives way to all others, unless it starves; until this is dropped, on that thread, which must be
/// its last act.
#[derive(Debug)]
pub struct Background {
    watch: Option<Arc<Watch>>,
}

/// What a background thread and the one that watches it share.
#[derive(Debug)]
struct Watch {
    thread: libc::pid_t,
    /// Its processor time.
    clock: libc::clockid_t,
    over: Mutex<bool>,
    ended: Condvar,
}

impl Background {
    /// Where the system does not allow it, the thread stays what it is.
    pub fn begin() -> Background {
        let mut clock = 0;
        // SAFETY: the calling thread lives, and `clock` outlives the call.
        if unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) } != 0 {
            return Background { watch: None };
        }
        let thread = nix::unistd::gettid().as_raw();
        let watch = Arc::new(Watch { thread, clock, over: Mutex::new(false), ended: Condvar::new() });
        let shared = Arc::clone(&watch);
        // Without it the thread is an ordinary one: nobody would free it from the idle class.
        let watcher = thread::Builder::new().name("snapshot-watch".to_owned()).spawn(move || shared.run());
        Background { watch: watcher.ok().map(|_| watch) }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            *watch.lock() = true;
            watch.ended.notify_one();
        }
    }
}

impl Watch {
    /// While this is locked the thread does not end, and its number stays its own.
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        // If there is no way back for this thread, there is none for the other.
        if !(set_policy(0, libc::SCHED_IDLE) && set_policy(0, libc::SCHED_OTHER)) {
            return;
        }
        let mut over = self.lock();
        let mut ordinary_looks = 0;
        let mut idle = !*over && set_policy(self.thread, libc::SCHED_IDLE);
        let mut before = self.look();
        while !*over {
            (over, _) = self.ended.wait_timeout(over, LOOK_EVERY).unwrap_or_else(PoisonError::into_inner);
            if *over {
                return;
            }
            let now = self.look();
            if idle && now.starves_since(before) {
                idle = !set_policy(self.thread, libc::SCHED_OTHER);
                ordinary_looks = LOOKS_ORDINARY;
            } else if !idle {
                ordinary_looks -= 1;
                idle = ordinary_looks == 0 && set_policy(self.thread, libc::SCHED_IDLE);
                ordinary_looks = ordinary_looks.max(1);
            }
            before = now;
        }
    }

    fn look(&self) -> Look {
        let time = clock_gettime(ClockId::from_raw(self.clock));
        let cpu_s = time.map_or(0.0, |t| t.tv_sec() as f64 + t.tv_nsec() as f64 / 1e9);
        Look { at: Instant::now(), cpu_s, wants: wants_to_run(self.thread) }
    }
}

/// How it is with a thread at some moment.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    /// Its processor time until then, s. A clock that cannot be read shows none: it is then taken for starved, which is
    /// safe.
    cpu_s: f64,
    wants: bool,
}

impl Look {
    fn starves_since(self, before: Look) -> bool {
        let wall_s = self.at.duration_since(before.at).as_secs_f64();
        self.wants && self.cpu_s - before.cpu_s < SHARE_MIN * wall_s
    }
}

/// Whether a thread of this process runs or waits for a processor; neither for the disk nor asleep.
fn wants_to_run(thread: libc::pid_t) -> bool {
    // The state follows the name, which is in parentheses and may contain some. What cannot be read counts as a yes.
    let stat = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map_or("R", |(_, rest)| rest.trim_start());
    state.starts_with('R')
}

/// Makes the calling thread sleep half of the time, a tenth of a millisecond at once.
pub fn begin_brief() {
    WORKS_SINCE.set(Some((BRIEF, Instant::now())));
}

/// Makes the calling thread sleep for a moment after every half millisecond of work.
pub fn begin_steady() {
    WORKS_SINCE.set(Some((STEADY, Instant::now())));
}

/// To be called by a brief or steady thread every few microseconds of work; true if it has slept. Costs a look at the
/// clock; for other threads next to nothing.
pub fn pace() -> bool {
    let Some((rhythm, since)) = WORKS_SINCE.get() else { return false };
    if since.elapsed() < rhythm.work {
        return false;
    }
    thread::sleep(rhythm.rest);
    WORKS_SINCE.set(Some((rhythm, Instant::now())));
    true
}

/// Thread 0 is the calling one.
fn set_policy(thread: libc::pid_t, policy: libc::c_int) -> bool {
    let param = libc::sched_param { sched_priority: 0 };
    // SAFETY: `param` outlives the call.
    unsafe { libc::sched_setscheduler(thread, policy, &param) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> libc::c_int {
        // SAFETY: it takes a number.
        unsafe { libc::sched_getscheduler(0) }
    }

    fn cpu_s() -> f64 {
        let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
        time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9
    }

    fn spin(how_long: Duration, mut look: impl FnMut()) {
        let began = Instant::now();
        while began.elapsed() < how_long {
            look();
        }
    }

    fn may_return() -> bool {
        thread::spawn(|| set_policy(0, libc::SCHED_IDLE) && set_policy(0, libc::SCHED_OTHER)).join().unwrap()
    }

    #[test]
    fn a_background_thread_gets_its_work_done_on_a_busy_machine() {
        let processors = thread::available_parallelism().map_or(2, usize::from);
        let stop = Arc::new(Mutex::new(false));
        let others: Vec<_> = (0..2 * processors)
            .map(|_| {
                let stop = Arc::clone(&stop);
                thread::spawn(move || {
                    while !*stop.lock().unwrap() {
                        spin(Duration::from_millis(5), || ())
                    }
                })
            })
            .collect();
        let worker = thread::spawn(|| {
            let background = Background::begin();
            let began = Instant::now();
            // In the idle class alone, beside so many others, it would take minutes.
            while cpu_s() < 0.2 {}
            drop(background);
            began.elapsed()
        });
        let took = worker.join().expect("it does not panic");
        *stop.lock().unwrap() = true;
        others.into_iter().for_each(|other| other.join().unwrap());
        assert!(took < Duration::from_secs(20), "{took:?}");
    }

    #[test]
    fn a_background_thread_is_of_the_idle_class_if_it_can_return() {
        let may_return = may_return();
        let worker = thread::spawn(move || {
            let background = Background::begin();
            // It may starve between two looks of its own, and be idle again later.
            let patience = if may_return { Duration::from_secs(20) } else { LOOK_EVERY * 10 };
            let began = Instant::now();
            while policy() != libc::SCHED_IDLE && began.elapsed() < patience {
                thread::sleep(Duration::from_millis(1));
            }
            let found = policy();
            drop(background);
            found == libc::SCHED_IDLE
        });
        assert_eq!(worker.join().expect("it does not panic"), may_return);
    }

    #[test]
    fn who_starves_wants_to_run() {
        let at = Instant::now();
        let look = |ms, cpu_s, wants| Look { at: at + Duration::from_millis(ms), cpu_s, wants };
        let before = look(0, 5.0, true);
        assert!(look(10, 5.0, true).starves_since(before));
        assert!(look(10, 5.002, true).starves_since(before));
        assert!(!look(10, 5.003, true).starves_since(before));
        assert!(!look(10, 5.0, false).starves_since(before), "it waits for the disk");
    }

    #[test]
    fn the_state_of_a_thread() {
        let me = nix::unistd::gettid().as_raw();
        assert!(wants_to_run(me));
        assert!(wants_to_run(-1), "unknown");
        let (tell, told) = std::sync::mpsc::channel();
        let sleeper = thread::spawn(move || {
            tell.send(nix::unistd::gettid().as_raw()).unwrap();
            thread::park();
        });
        let asleep = told.recv().unwrap();
        let began = Instant::now();
        while wants_to_run(asleep) && began.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(!wants_to_run(asleep));
        sleeper.thread().unpark();
        sleeper.join().unwrap();
    }

    #[test]
    fn a_brief_thread_sleeps_about_half_of_the_time() {
        let worker = thread::spawn(|| {
            begin_brief();
            let began = (Instant::now(), cpu_s());
            spin(Duration::from_millis(200), || _ = pace());
            (cpu_s() - began.1) / began.0.elapsed().as_secs_f64()
        });
        let share = worker.join().expect("it does not panic");
        assert!(share < 0.7, "{share}");
    }

    #[test]
    fn a_steady_thread_works_nearly_all_of_the_time_and_never_long() {
        let worker = thread::spawn(|| {
            begin_steady();
            let (mut rests, mut longest, mut since) = (0, Duration::ZERO, cpu_s());
            spin(Duration::from_millis(200), || {
                if pace() {
                    rests += 1;
                    longest = longest.max(Duration::from_secs_f64(cpu_s() - since));
                    since = cpu_s();
                }
            });
            (rests, longest)
        });
        let (rests, longest) = worker.join().expect("it does not panic");
        assert!(rests > 10 && longest < Duration::from_millis(5), "{rests} rests, {longest:?} without one");
    }

    #[test]
    fn pacing_an_ordinary_thread_changes_nothing() {
        assert!(!pace());
        assert!(WORKS_SINCE.get().is_none());
    }
}
