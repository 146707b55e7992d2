//! `client-output-buffer-limit`: what clients of each class may leave unread. A line names some classes and leaves the
//! others as they are.

use super::row::Spec;
use super::special::{joined, nothing};
use super::value::{Field, How, memory};
use crate::util::num;

/// How much a client may leave unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimit {
    /// Above this the client is closed at once; 0 means never.
    pub hard_bytes: u64,
    /// Above this for `soft_seconds` on end, the client is closed; 0 means never.
    pub soft_bytes: u64,
    /// See `soft_bytes`.
    pub soft_seconds: u64,
}

impl OutputLimit {
    /// Whether who has so much unread, in bytes, is to be closed. `since_ms` is when it went beyond the soft limit; 0 while it
    /// is not beyond it.
    pub fn is_exceeded(&self, unread: u64, since_ms: &mut i64, now_ms: i64) -> bool {
        if self.soft_bytes == 0 || unread <= self.soft_bytes {
            *since_ms = 0;
        } else if *since_ms == 0 {
            *since_ms = now_ms;
        }
        let soft_ms = i64::try_from(self.soft_seconds).unwrap_or(i64::MAX).saturating_mul(1000);
        let over_hard = self.hard_bytes > 0 && unread > self.hard_bytes;
        over_hard || (*since_ms != 0 && now_ms - *since_ms > soft_ms)
    }
}

/// The limits for each class of clients.
#[derive(Clone, Copy, Debug)]
pub struct OutputLimits {
    /// Ordinary clients.
    pub normal: OutputLimit,
    /// Replicas.
    pub replica: OutputLimit,
    /// Subscribers.
    pub pubsub: OutputLimit,
    /// Which of them have been set, in this order: a line names some classes and leaves the others alone.
    said: [bool; 3],
}

impl PartialEq for OutputLimits {
    fn eq(&self, other: &OutputLimits) -> bool {
        (self.normal, self.replica, self.pubsub) == (other.normal, other.replica, other.pubsub)
    }
}

impl Default for OutputLimits {
    fn default() -> OutputLimits {
        OutputLimits {
            normal: OutputLimit { hard_bytes: 0, soft_bytes: 0, soft_seconds: 0 },
            replica: OutputLimit { hard_bytes: 256 << 20, soft_bytes: 64 << 20, soft_seconds: 60 },
            pubsub: OutputLimit { hard_bytes: 32 << 20, soft_bytes: 8 << 20, soft_seconds: 60 },
            said: [false; 3],
        }
    }
}

impl OutputLimits {
    /// Redis shows the class of replicas under its old name, and writes it under the new one.
    fn each(&self, replica: &'static str) -> [(&'static str, OutputLimit); 3] {
        [("normal", self.normal), (replica, self.replica), ("pubsub", self.pubsub)]
    }
}

impl Field for OutputLimits {
    fn set(&mut self, _: &Spec, args: &[Vec<u8>], _: How) -> Result<(), String> {
        if nothing(args) {
            return Ok(());
        }
        if !args.len().is_multiple_of(4) {
            return Err("Wrong number of arguments in buffer limit configuration.".to_owned());
        }
        let wrong = || "Error in hard, soft or soft_seconds setting in buffer limit configuration.".to_owned();
        for four in args.chunks_exact(4) {
            let (limit, class) = match four[0].to_ascii_lowercase().as_slice() {
                b"normal" => (&mut self.normal, 0),
                b"slave" | b"replica" => (&mut self.replica, 1),
                b"pubsub" => (&mut self.pubsub, 2),
                _ => return Err("Invalid client class specified in buffer limit configuration.".to_owned()),
            };
            self.said[class] = true;
            *limit = OutputLimit {
                hard_bytes: memory(&four[1]).ok_or_else(wrong)?,
                soft_bytes: memory(&four[2]).ok_or_else(wrong)?,
                soft_seconds: num::parse_u64(&four[3]).ok_or_else(wrong)?,
            };
        }
        Ok(())
    }

    fn show(&self, _: &Spec) -> Vec<u8> {
        joined(
            self.each("slave")
                .iter()
                .map(|(class, l)| format!("{class} {} {} {}", l.hard_bytes, l.soft_bytes, l.soft_seconds).into_bytes()),
        )
    }

    fn keep(&mut self, running: &OutputLimits, _: bool) {
        let theirs = [running.normal, running.replica, running.pubsub];
        let ours = [&mut self.normal, &mut self.replica, &mut self.pubsub];
        for ((ours, theirs), said) in ours.into_iter().zip(theirs).zip(self.said) {
            if !said {
                *ours = theirs;
            }
        }
    }

    fn items(&self, _: &Spec) -> Vec<Vec<u8>> {
        let item = |(class, l): &(&str, OutputLimit)| {
            format!("{class} {} {} {}", l.hard_bytes, l.soft_bytes, l.soft_seconds).into_bytes()
        };
        self.each("replica").iter().map(item).collect()
    }

    fn lines(&self, spec: &Spec) -> Vec<Vec<u8>> {
        self.items(spec).iter().map(|item| [spec.name.as_bytes(), b" ", item].concat()).collect()
    }
}
