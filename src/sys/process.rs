//! This process and its machine: memory and processor time used, limits, names.

use std::fs;
use std::io;
use std::path::Path;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::time::TimeVal;
use nix::unistd::SysconfVar;

/// What an instance may ask of its process, and have done to it. A simulation has another one than the real.
pub trait Process {
    /// This process's number.
    fn pid(&self) -> u32;

    /// The path of the running program; empty when unknown.
    fn executable(&self) -> String;

    /// The system's name, release and architecture.
    fn os(&self) -> String;

    /// Bytes of memory in this machine; 0 when unknown.
    fn machine_memory_bytes(&self) -> u64;

    /// Resident memory of this process, in bytes; 0 when the system does not tell.
    fn rss_bytes(&self) -> u64;

    /// Processor time used so far.
    fn cpu_time(&self) -> CpuTime;

    /// See [`oom_score`].
    fn oom_score(&self) -> io::Result<i32>;

    /// See [`set_oom_score`].
    fn set_oom_score(&self, score: i32) -> io::Result<()>;

    /// Paths that do not begin at the root begin here from now on.
    fn enter_directory(&self, directory: &Path) -> io::Result<()>;
}

/// The process that this code runs in.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealProcess;

impl Process for RealProcess {
    fn pid(&self) -> u32 {
        pid()
    }

    fn executable(&self) -> String {
        executable()
    }

    fn os(&self) -> String {
        os()
    }

    fn machine_memory_bytes(&self) -> u64 {
        machine_memory_bytes()
    }

    fn rss_bytes(&self) -> u64 {
        rss_bytes()
    }

    fn cpu_time(&self) -> CpuTime {
        cpu_time()
    }

    fn oom_score(&self) -> io::Result<i32> {
        oom_score()
    }

    fn set_oom_score(&self, score: i32) -> io::Result<()> {
        set_oom_score(score)
    }

    fn enter_directory(&self, directory: &Path) -> io::Result<()> {
        std::env::set_current_dir(directory)
    }
}

/// Processor time used, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// In the kernel, for the whole process.
    pub system_us: u64,
    /// In the program, for the whole process.
    pub user_us: u64,
    /// In the kernel, for finished children.
    pub children_system_us: u64,
    /// In the program, for finished children.
    pub children_user_us: u64,
    /// In the kernel, for the calling thread.
    pub thread_system_us: u64,
    /// In the program, for the calling thread.
    pub thread_user_us: u64,
}

/// Processor time used so far. The thread's part is that of the thread which asks.
pub fn cpu_time() -> CpuTime {
    let of = |who| getrusage(who).map_or((0, 0), |u| (micros(u.system_time()), micros(u.user_time())));
    let (system_us, user_us) = of(UsageWho::RUSAGE_SELF);
    let (children_system_us, children_user_us) = of(UsageWho::RUSAGE_CHILDREN);
    let (thread_system_us, thread_user_us) = of(UsageWho::RUSAGE_THREAD);
    CpuTime { system_us, user_us, children_system_us, children_user_us, thread_system_us, thread_user_us }
}

fn micros(time: TimeVal) -> u64 {
    time.tv_sec() as u64 * 1_000_000 + time.tv_usec() as u64
}

/// Resident memory of this process, in bytes; 0 when the system does not tell.
pub fn rss_bytes() -> u64 {
    // statm counts pages; its second number is the resident size.
    let pages = fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|s| s.split_ascii_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * page_bytes()
}

/// The most memory that was ever resident, in bytes.
pub fn rss_peak_bytes() -> u64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |u| u.max_rss() as u64 * 1024)
}

/// Bytes of a memory page.
pub fn page_bytes() -> u64 {
    sysconf(SysconfVar::PAGE_SIZE).unwrap_or(4096)
}

/// Bytes of memory in this machine; 0 when unknown.
pub fn machine_memory_bytes() -> u64 {
    sysconf(SysconfVar::_PHYS_PAGES).unwrap_or(0) * page_bytes()
}

/// Processors that may run at the same time.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

fn sysconf(name: SysconfVar) -> Option<u64> {
    nix::unistd::sysconf(name).ok().flatten().and_then(|n| u64::try_from(n).ok())
}

/// This process's number.
pub fn pid() -> u32 {
    std::process::id()
}

/// Whether there is a process of that number, ours to signal or not.
pub fn is_alive(pid: u32) -> bool {
    let Ok(number) = i32::try_from(pid) else { return false };
    // Numbers that stand for groups of processes are nobody's.
    number > 0 && nix::sys::signal::kill(nix::unistd::Pid::from_raw(number), None) != Err(nix::errno::Errno::ESRCH)
}

/// The machine's name; empty when it has none that is text.
pub fn hostname() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

/// The system's name, release and architecture, as `INFO` shows it: `Linux 6.1.0 x86_64`.
pub fn os() -> String {
    let Ok(uname) = nix::sys::utsname::uname() else { return std::env::consts::OS.to_owned() };
    let part = |s: &std::ffi::OsStr| s.to_string_lossy().into_owned();
    format!("{} {} {}", part(uname.sysname()), part(uname.release()), part(uname.machine()))
}

/// The path of the running program, as `INFO` shows it; empty when unknown.
pub fn executable() -> String {
    std::env::current_exe().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Asks for room for `wanted` open files, and says how many there may be now.
///
/// A process without privileges may raise its soft limit up to the hard one, so less than `wanted` can come out:
/// what to do then (fewer clients, a warning) is the caller's decision.
pub fn raise_nofile(wanted: u64) -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= wanted {
        return Ok(soft);
    }
    if wanted > hard && setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted).is_ok() {
        return Ok(wanted);
    }
    let reachable = wanted.min(hard);
    setrlimit(Resource::RLIMIT_NOFILE, reachable, hard)?;
    Ok(reachable)
}

/// How many files this process may have open.
pub fn nofile() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft)
}

const OOM_SCORE: &str = "/proc/self/oom_score_adj";

/// The adjustment of the score by which the kernel picks its victim when memory runs out: -1000 to 1000.
pub fn oom_score() -> io::Result<i32> {
    let text = fs::read_to_string(OOM_SCORE)?;
    text.trim().parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
}

/// Sets the adjustment. Without privileges it can be raised, and lowered to what it once was.
pub fn set_oom_score(score: i32) -> io::Result<()> {
    fs::write(OOM_SCORE, score.to_string())
}

/// Gives the calling thread a name that `top -H` and debuggers show; at most 15 bytes are kept.
pub fn name_this_thread(name: &str) {
    let end = name.floor_char_boundary(15);
    if let Ok(name) = std::ffi::CString::new(&name[..end]) {
        // A thread without its name works as well: nothing to do about a failure.
        let _ = nix::sys::prctl::set_name(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lives() {
        assert!(is_alive(pid()) && is_alive(1));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let number = child.id();
        child.wait().unwrap();
        assert!(!is_alive(number) && !is_alive(0) && !is_alive(u32::MAX));
    }

    #[test]
    fn the_score_can_be_raised() {
        let before = oom_score().unwrap();
        set_oom_score((before + 1).min(1000)).unwrap();
        assert_eq!(oom_score().unwrap(), (before + 1).min(1000));
        set_oom_score(before).unwrap();
    }

    #[test]
    fn memory_is_plausible() {
        let (rss, peak) = (rss_bytes(), rss_peak_bytes());
        assert!(rss > 100_000 && rss < machine_memory_bytes(), "{rss}");
        assert!(peak * 2 > rss, "{peak} {rss}");
    }

    #[test]
    fn cpu_time_grows() {
        let before = cpu_time();
        let mut x = 1u64;
        while cpu_time().thread_user_us + cpu_time().thread_system_us
            < before.thread_user_us + before.thread_system_us + 2000
        {
            x = std::hint::black_box(x.wrapping_mul(3));
        }
        let after = cpu_time();
        assert!(after.user_us + after.system_us > before.user_us + before.system_us);
    }

    #[test]
    fn names() {
        assert!(os().contains(std::env::consts::ARCH));
        assert!(!hostname().is_empty());
        assert!(executable().contains("kvstash"));
        assert!(pid() > 0 && processors() > 0);
        name_this_thread("a name that is too long é");
    }

    #[test]
    fn file_limit() {
        let now = nofile();
        assert_eq!(raise_nofile(1).unwrap(), now);
        let more = raise_nofile(now + 1).unwrap();
        assert!(more == now || more == now + 1);
    }
}
