//! The thread that writes the log, and what the loop shares with it: a queue of jobs, and a few numbers.
//!
//! # How often it wakes
//!
//! To wake a thread costs the loop more than to execute a command. So where nobody waits for the disk, the loop only
//! appends to the last job of the queue, and the thread looks by itself: every [`PACE`] while there is something to
//! write. It is woken when it rests because there was nothing, when much has gathered, and for every other job.
//!
//! Where clients wait, those whose writes were just synced send the next ones at once. When others wait already, the next
//! sync lets them come, too ([`GATHER_MAX`]): else two halves of the clients would take turns, with half a group each.

use super::annotation::GROUP_BYTES_MAX;
use super::directory::AofSizes;
use super::writer::{Job, Position, Report, SyncPolicy, Writer};
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::*};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks at what has gathered.
const PACE: Duration = Duration::from_millis(5);

/// So much does not wait for the next look.
const URGENT_BYTES: usize = 1 << 20;

/// After a sync others may join the group that waits already for a quarter of the time that the sync took, but not longer.
const GATHER_MAX: Duration = Duration::from_micros(500);

/// A buffer above this is not kept for the next group.
const KEPT_BYTES: usize = 4 << 20;

/// The time, ns: a clock that only goes forward.
pub type Clock = Box<dyn Fn() -> u64 + Send>;

/// What the thread calls with its reports.
pub type Tell = Box<dyn Fn(Report) + Send>;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Bytes of the jobs that write.
    bytes: usize,
    /// An emptied buffer, for the next exchange.
    spare: Vec<u8>,
    /// The thread waits,
    waits: bool,
    /// and not only until the next look.
    rests: bool,
    /// It is to look at once.
    is_urgent: bool,
    ends: bool,
}

/// Numbers of the writer; it alone changes them.
#[derive(Default)]
struct Numbers {
    synced: AtomicU64,
    synced_replication: AtomicU64,
    total_bytes: AtomicU64,
    base_bytes: AtomicU64,
    delayed_syncs: AtomicU64,
    syncs: AtomicU64,
    groups: AtomicU64,
    longest_write_ns: AtomicU64,
    longest_sync_ns: AtomicU64,
    is_syncing: AtomicBool,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    policy: AtomicU8,
    is_held_back: AtomicBool,
    /// Somebody waits for every sync.
    tells_syncs: AtomicBool,
    /// Bytes that wait or are being written.
    waiting: AtomicU64,
    delay_us: AtomicU64,
    numbers: Numbers,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, queue: MutexGuard<'_, Queue>) {
        let waits = queue.waits;
        drop(queue);
        if waits {
            self.changed.notify_one();
        }
    }

    fn policy(&self) -> SyncPolicy {
        match self.policy.load(Relaxed) {
            0 => SyncPolicy::Always,
            1 => SyncPolicy::EverySecond,
            _ => SyncPolicy::Never,
        }
    }
}

/// What INFO and the metrics say of the writer.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriterFacts {
    /// How large the log is.
    pub sizes: AofSizes,
    /// Bytes that are not written yet.
    pub waiting_bytes: u64,
    /// Syncs that kept writes waiting for two seconds or more.
    pub delayed_syncs: u64,
    /// Syncs so far.
    pub syncs: u64,
    /// Groups written so far.
    pub groups: u64,
    /// A sync is under way.
    pub is_syncing: bool,
}

/// The loop's end of the thread. Dropping it ends the thread, which writes what is there first.
pub struct AofThread {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl AofThread {
    /// Starts the thread.
    pub fn start(clock: Clock, tell: Tell) -> io::Result<AofThread> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            changed: Condvar::new(),
            policy: AtomicU8::new(1),
            is_held_back: AtomicBool::new(false),
            tells_syncs: AtomicBool::new(false),
            waiting: AtomicU64::new(0),
            delay_us: AtomicU64::new(0),
            numbers: Numbers::default(),
        });
        let its = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("aof".to_owned()).spawn(move || run(&its, &clock, &tell))?;
        Ok(AofThread { shared, thread: Some(thread) })
    }

    /// Sets the policy, and whether syncs that nobody waits for are held back.
    pub fn set_policy(&self, policy: SyncPolicy, is_held_back: bool) {
        let was_held_back = self.shared.is_held_back.swap(is_held_back, Relaxed);
        let before = self.shared.policy.swap(policy as u8, Relaxed);
        if before != policy as u8 || was_held_back != is_held_back {
            let mut queue = self.shared.lock();
            queue.is_urgent = true;
            self.shared.wake(queue);
        }
    }

    /// Whether every sync is reported.
    pub fn tell_syncs(&self, on: bool) {
        self.shared.tells_syncs.store(on, Relaxed);
    }

    /// Has every write come so much later: for tests of what happens meanwhile.
    pub fn delay_writes(&self, time: Duration) {
        self.shared.delay_us.store(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Hands a group over, in exchange for an empty buffer: `buffer` is empty afterwards. `is_awaited`: somebody waits
    /// until it is on the disk.
    pub fn write(&self, buffer: &mut Vec<u8>, position: Position, is_awaited: bool) {
        let mut queue = self.shared.lock();
        let bytes = buffer.len();
        self.shared.waiting.fetch_add(bytes as u64, Relaxed);
        match queue.jobs.back_mut() {
            Some(Job::Write(waiting, end)) if waiting.len() + bytes <= GROUP_BYTES_MAX => {
                waiting.append(buffer);
                *end = position;
            }
            _ => {
                let spare = std::mem::take(&mut queue.spare);
                let full = std::mem::replace(buffer, spare);
                queue.jobs.push_back(Job::Write(full, position));
            }
        }
        queue.bytes += bytes;
        queue.is_urgent |= is_awaited || queue.bytes >= URGENT_BYTES;
        if queue.rests || queue.is_urgent {
            self.shared.wake(queue);
        }
    }

    /// Asks for anything else.
    pub fn ask(&self, job: Job) {
        let mut queue = self.shared.lock();
        queue.jobs.push_back(job);
        queue.is_urgent = true;
        self.shared.wake(queue);
    }

    /// Waits until all that was asked for is done and synced.
    pub fn settle(&self) -> io::Result<()> {
        let (sender, receiver) = mpsc::channel();
        self.ask(Job::Settle(sender));
        receiver.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that writes the append-only file is gone")))
    }

    /// Waits until all that was asked for is done, but no longer than this.
    pub fn wait_until_done(&self, patience: Duration) {
        let (sender, receiver) = mpsc::channel();
        self.ask(Job::Settle(sender));
        let _ = receiver.recv_timeout(patience); // how it went is reported
    }

    /// What is on the disk, and would be loaded.
    pub fn synced(&self) -> Position {
        let numbers = &self.shared.numbers;
        let end = numbers.synced.load(Acquire);
        Position { end, replication: numbers.synced_replication.load(Relaxed) }
    }

    /// Bytes that wait or are being written.
    pub fn waiting_bytes(&self) -> u64 {
        self.shared.waiting.load(Relaxed)
    }

    /// The longest write and the longest sync since this was last asked, ns.
    pub fn take_longest_ns(&self) -> (u64, u64) {
        let numbers = &self.shared.numbers;
        (numbers.longest_write_ns.swap(0, Relaxed), numbers.longest_sync_ns.swap(0, Relaxed))
    }

    /// Its numbers.
    pub fn facts(&self) -> WriterFacts {
        let numbers = &self.shared.numbers;
        WriterFacts {
            sizes: AofSizes { total: numbers.total_bytes.load(Relaxed), base: numbers.base_bytes.load(Relaxed) },
            waiting_bytes: self.waiting_bytes(),
            delayed_syncs: numbers.delayed_syncs.load(Relaxed),
            syncs: numbers.syncs.load(Relaxed),
            groups: numbers.groups.load(Relaxed),
            is_syncing: numbers.is_syncing.load(Relaxed),
        }
    }
}

impl Drop for AofThread {
    fn drop(&mut self) {
        {
            let mut queue = self.shared.lock();
            queue.ends = true;
        }
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it has panicked: that was reported where it happened
        }
    }
}

/// A sync that took so long has kept writes waiting, ns.
const DELAYED_NS: u64 = 2_000_000_000;

fn run(shared: &Shared, clock: &Clock, tell: &Tell) {
    let mut writer = Writer::default();
    let mut reports = Vec::new();
    let (mut paced_until_ns, mut gathers_until_ns) = (0, 0);
    loop {
        writer.set_policy(shared.policy(), shared.is_held_back.load(Relaxed));
        let job = match next(shared, clock, &writer, paced_until_ns, gathers_until_ns) {
            Next::End => return,
            Next::Due => None,
            Next::Job(job) => Some(job),
        };
        let began_ns = clock();
        let numbers = &shared.numbers;
        if let Some(job) = job {
            let bytes = if let Job::Write(bytes, _) = &job { bytes.len() as u64 } else { 0 };
            let delay_us = shared.delay_us.load(Relaxed);
            if bytes > 0 && delay_us > 0 {
                std::thread::sleep(Duration::from_micros(delay_us));
            }
            let spare = writer.run(job, began_ns, &mut reports);
            if bytes > 0 {
                let ended_ns = clock();
                paced_until_ns = ended_ns + PACE.as_nanos() as u64;
                // First what it has become: whoever adds the two up misses nothing.
                numbers.publish(&writer);
                shared.waiting.fetch_sub(bytes, Relaxed);
                numbers.groups.fetch_add(1, Relaxed);
                numbers.longest_write_ns.fetch_max(ended_ns.saturating_sub(began_ns), Relaxed);
                if spare.capacity() <= KEPT_BYTES {
                    shared.lock().spare = spare;
                }
            }
        }
        let began_ns = clock();
        numbers.is_syncing.store(true, Relaxed);
        let has_synced = writer.do_what_is_due(began_ns, &mut reports);
        numbers.is_syncing.store(false, Relaxed);
        if has_synced {
            let took_ns = clock().saturating_sub(began_ns);
            numbers.syncs.fetch_add(1, Relaxed);
            if shared.policy() == SyncPolicy::Always && !shared.lock().jobs.is_empty() {
                gathers_until_ns = began_ns + took_ns + (took_ns / 4).min(GATHER_MAX.as_nanos() as u64);
            }
            numbers.longest_sync_ns.fetch_max(took_ns, Relaxed);
            let kept_waiting = took_ns >= DELAYED_NS && shared.waiting.load(Relaxed) > 0;
            numbers.delayed_syncs.fetch_add(u64::from(kept_waiting), Relaxed);
        }
        numbers.publish(&writer);
        for report in reports.drain(..) {
            if !matches!(report, Report::Synced) || shared.tells_syncs.load(Relaxed) {
                tell(report);
            }
        }
    }
}

impl Numbers {
    /// Before anybody is told of it.
    fn publish(&self, writer: &Writer) {
        let (sizes, synced) = (writer.sizes(), writer.synced());
        self.total_bytes.store(sizes.total, Relaxed);
        self.base_bytes.store(sizes.base, Relaxed);
        self.synced_replication.store(synced.replication, Relaxed);
        self.synced.store(synced.end, Release);
    }
}

enum Next {
    Job(Job),
    /// Nobody asks for anything, but it is time.
    Due,
    End,
}

/// Waits for the next thing to be done.
fn next(shared: &Shared, clock: &Clock, writer: &Writer, paced_until_ns: u64, gathers_until_ns: u64) -> Next {
    let mut queue = shared.lock();
    loop {
        let now_ns = clock();
        // While a group is stuck no other is written, but whoever waits for something else is told so.
        let at = match writer.is_stuck() {
            true => queue.jobs.iter().position(|job| !job.waits_for_writes()),
            false => Some(0),
        };
        let is_ready = match at.and_then(|at| queue.jobs.get(at)) {
            None => false,
            Some(Job::Write(..)) if queue.ends => true,
            Some(Job::Write(..)) => now_ns >= if queue.is_urgent { gathers_until_ns } else { paced_until_ns },
            Some(_) => true,
        };
        if is_ready && let Some(job) = at.and_then(|at| queue.jobs.remove(at)) {
            if let Job::Write(bytes, _) = &job {
                queue.bytes -= bytes.len();
            }
            queue.is_urgent &= !queue.jobs.is_empty();
            return Next::Job(job);
        }
        if queue.ends {
            return Next::End; // it does not wait for a full disk
        }
        if queue.jobs.is_empty() && std::mem::take(&mut queue.is_urgent) {
            return Next::Due; // the policy is another one
        }
        let deadline_ns = writer.next_deadline_ns();
        if deadline_ns.is_some_and(|deadline_ns| now_ns >= deadline_ns) {
            return Next::Due;
        }
        let looks_at_ns = if queue.is_urgent { gathers_until_ns } else { paced_until_ns };
        let paced = (!queue.jobs.is_empty() && !writer.is_stuck()).then_some(looks_at_ns);
        let until_ns = match (deadline_ns, paced) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        queue.waits = true;
        queue = match until_ns {
            Some(until_ns) => {
                let wait = Duration::from_nanos(until_ns.saturating_sub(now_ns));
                // After a rest that was short anyway there may be something to write: no need to be woken for it.
                queue.rests = wait > PACE * 4 && queue.jobs.is_empty();
                shared.changed.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                queue.rests = true;
                shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner)
            }
        };
        (queue.waits, queue.rests) = (false, false);
    }
}
