//! Whether to look for work a few microseconds longer before the loop sleeps.
//!
//! A loop that sleeps has to be woken, and whoever sends the next request pays for that: on a virtual machine the
//! interrupt to the other processor takes longer than the request itself. So a server that is faster than its clients
//! sleeps more often than a slow one, and slows its clients down. Asking the kernel again after a turn with commands
//! finds the next request awake, when requests follow each other closely; it also spares the server its own way into
//! sleep and out of it, which pays for most of the time it takes. It goes on for half as long as the turn took, at
//! most for `busy-poll-us`.
//!
//! Where requests are further apart every look is for nothing. [`BusyPoll`] learns which it is, so that a client that
//! waits for each reply, or a server with little to do, costs next to nothing here.

/// A long run of successes is forgotten after as many failures.
const CONFIDENCE_MAX: u8 = 32;
/// What one success weighs in failures: it spares about as many times the processor time that a failure costs.
const SUCCESS: u8 = 2;
/// While in doubt, one of so many chances is taken.
const PROBE_EVERY: u8 = 64;

/// Remembers how often looking once more was worth it.
#[derive(Debug, Default)]
pub(super) struct BusyPoll {
    confidence: u8,
    let_pass: u8,
    /// How long the last turn took, if it ran commands.
    turn_ns: u64,
}

impl BusyPoll {
    /// A turn has come to its end.
    pub fn turned(&mut self, duration_ns: u64, ran_commands: bool) {
        self.turn_ns = if ran_commands { duration_ns } else { 0 };
    }

    /// For how long to look, at most `most_ns`. 0: not at all.
    pub fn time_ns(&self, most_ns: u64) -> u64 {
        most_ns.min(self.turn_ns / 2)
    }

    /// True if the loop should look once more now rather than sleep.
    pub fn is_worth_it(&mut self) -> bool {
        if self.confidence > 0 {
            return true;
        }
        self.let_pass = (self.let_pass + 1) % PROBE_EVERY;
        self.let_pass == 0
    }

    /// What came of it.
    pub fn learn(&mut self, found_work: bool) {
        self.confidence = if found_work {
            (self.confidence + SUCCESS).min(CONFIDENCE_MAX)
        } else {
            self.confidence.saturating_sub(1)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many chances are taken, when a look finds work as `finds` says.
    fn looks(chances: u32, finds: impl Fn(u32) -> bool) -> u32 {
        let mut busy_poll = BusyPoll::default();
        let mut looks = 0;
        for _ in 0..chances {
            if busy_poll.is_worth_it() {
                looks += 1;
                busy_poll.learn(finds(looks));
            }
        }
        looks
    }

    #[test]
    fn looks_are_shorter_than_turns() {
        let mut busy_poll = BusyPoll::default();
        assert_eq!(busy_poll.time_ns(6000), 0, "nothing happened yet");
        busy_poll.turned(5000, true);
        assert_eq!((busy_poll.time_ns(6000), busy_poll.time_ns(1000), busy_poll.time_ns(0)), (2500, 1000, 0));
        busy_poll.turned(5000, false);
        assert_eq!(busy_poll.time_ns(6000), 0, "without commands none are expected");
    }

    #[test]
    fn looks_that_find_nothing_become_rare() {
        assert_eq!(looks(64_000, |_| false), 1000);
    }

    #[test]
    fn looks_that_find_work_go_on() {
        assert_eq!(looks(64_063, |_| true), 64_000);
        // One in two is worth it, one in four is not.
        assert!(looks(64_000, |n| n.is_multiple_of(2)) > 60_000);
        assert!(looks(64_000, |n| n.is_multiple_of(4)) < 4_000);
    }

    #[test]
    fn a_change_is_noticed_soon() {
        let mut busy_poll = BusyPoll::default();
        for _ in 0..1000 {
            busy_poll.learn(true);
        }
        let mut wasted = 0;
        for _ in 0..1000 {
            if busy_poll.is_worth_it() {
                wasted += 1;
                busy_poll.learn(false);
            }
        }
        assert!(wasted <= u32::from(CONFIDENCE_MAX) + 16, "{wasted}");
    }
}
