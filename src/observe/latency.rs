//! The latency monitor behind the `LATENCY` command.
//!
//! Whatever took longer than `latency-monitor-threshold` is noted under the name of what it was (`command`,
//! `expire-cycle`, `aof-write`): the last 160 seconds in which it happened, the worst time in each of them, and the
//! worst ever. The monitor costs nothing while nothing is slow.
//!
//! Times come from outside: this file reads no clock.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

/// Seconds remembered for an event.
pub const SAMPLES_MAX: usize = 160;

/// The worst of one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Seconds since 1970.
    pub at_seconds: i64,
    /// How long it took.
    pub ms: u64,
}

/// All events that were ever slow.
#[derive(Debug, Default)]
pub struct Latency {
    events: BTreeMap<&'static str, History>,
}

/// What is known of one event.
#[derive(Debug, Default)]
pub struct History {
    samples: VecDeque<Sample>,
    worst_ms: u64,
}

impl Latency {
    /// Notes that `event` took `ms` at `now_seconds`, if that is worth noting. A threshold of 0 switches the
    /// monitor off.
    #[inline]
    pub fn note(&mut self, event: &'static str, ms: u64, threshold_ms: u64, now_seconds: i64) {
        if threshold_ms > 0 && ms >= threshold_ms {
            self.events.entry(event).or_default().add(Sample { at_seconds: now_seconds, ms });
        }
    }

    /// The events by name, with their histories (`LATENCY LATEST`).
    pub fn events(&self) -> impl ExactSizeIterator<Item = (&'static str, &History)> {
        self.events.iter().map(|(name, history)| (*name, history))
    }

    /// The history of one event (`LATENCY HISTORY`).
    pub fn history(&self, event: &str) -> Option<&History> {
        self.events.get(event)
    }

    /// Forgets one event; says whether there was something to forget.
    pub fn reset(&mut self, event: &str) -> bool {
        self.events.remove(event).is_some()
    }

    /// Forgets everything; says how many events there were.
    pub fn reset_all(&mut self) -> usize {
        std::mem::take(&mut self.events).len()
    }

    /// The report of `LATENCY DOCTOR`.
    pub fn doctor(&self, threshold_ms: u64, now_seconds: i64) -> String {
        doctor(self, threshold_ms, now_seconds)
    }
}

impl History {
    fn add(&mut self, sample: Sample) {
        self.worst_ms = self.worst_ms.max(sample.ms);
        match self.samples.back_mut() {
            Some(last) if last.at_seconds == sample.at_seconds => last.ms = last.ms.max(sample.ms),
            _ => {
                if self.samples.len() == SAMPLES_MAX {
                    self.samples.pop_front();
                }
                self.samples.push_back(sample);
            }
        }
    }

    /// The samples, oldest first.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = Sample> + DoubleEndedIterator {
        self.samples.iter().copied()
    }

    /// The newest sample.
    pub fn latest(&self) -> Sample {
        *self.samples.back().expect("a history begins with a sample")
    }

    /// The worst time ever, also of samples that are forgotten.
    pub fn worst_ms(&self) -> u64 {
        self.worst_ms
    }

    /// Sum of the remembered times (`LATENCY LATEST` in newer versions), and their count.
    pub fn total_ms(&self) -> u64 {
        self.samples.iter().map(|s| s.ms).sum()
    }

    /// The picture of `LATENCY GRAPH`: the samples as columns, with their ages written downwards below.
    pub fn graph(&self, event: &str, now_seconds: i64) -> String {
        const COLUMNS: usize = 80;
        let shown: Vec<Sample> = self.samples().rev().take(COLUMNS).rev().collect();
        let high = shown.iter().map(|s| s.ms).max().unwrap_or(0);
        let low = shown.iter().map(|s| s.ms).min().unwrap_or(0);
        let mut text = format!("{event} - high {high} ms, low {low} ms (all time high {} ms)\n", self.worst_ms);
        text.push_str(&"-".repeat(COLUMNS));
        text.push('\n');
        let ages: Vec<String> = shown.iter().map(|s| age(now_seconds - s.at_seconds)).collect();
        push_columns(&mut text, &shown, low, high);
        push_downwards(&mut text, &ages);
        text
    }
}

/// `15s`, `3m`, `2h`, `1d`.
fn age(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..60 => format!("{s}s"),
        s @ 60..3600 => format!("{}m", s / 60),
        s @ 3600..86400 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86400),
    }
}

/// Four rows of columns. Each row of a column has three heights, so that twelve can be told apart.
fn push_columns(text: &mut String, samples: &[Sample], low: u64, high: u64) {
    const ROWS: u64 = 4;
    const TOPS: [char; 3] = ['_', 'o', '#'];
    let heights = ROWS * TOPS.len() as u64;
    let span = (high - low).max(1);
    for row in (0..ROWS).rev() {
        let below = row * TOPS.len() as u64;
        let line = samples.iter().map(|sample| {
            let height = ((sample.ms - low) * heights / span).min(heights - 1);
            match height.checked_sub(below) {
                None => ' ',
                Some(part) => *TOPS.get(part as usize).unwrap_or(&'|'),
            }
        });
        text.extend(line);
        text.push('\n');
    }
}

/// The labels below their columns, one character a row, after an empty row.
fn push_downwards(text: &mut String, labels: &[String]) {
    let rows = labels.iter().map(String::len).max().unwrap_or(0);
    text.push('\n');
    for row in 0..rows {
        text.extend(labels.iter().map(|label| label.chars().nth(row).unwrap_or(' ')));
        text.push('\n');
    }
}

fn doctor(latency: &Latency, threshold_ms: u64, now_seconds: i64) -> String {
    if latency.events.is_empty() {
        return if threshold_ms == 0 {
            "The latency monitor is off, so nothing is known. Choose what counts as slow, for example with \
             CONFIG SET latency-monitor-threshold 100, and ask again later.\n"
                .to_owned()
        } else {
            format!("Nothing has taken {threshold_ms} milliseconds or more. All is well.\n")
        };
    }
    let mut text = String::from("Slow events seen by this instance:\n\n");
    let mut advice = Vec::new();
    for (i, (event, history)) in latency.events().enumerate() {
        let n = history.samples.len() as u64;
        let mean = history.total_ms() / n;
        let spread = history.samples().map(|s| s.ms.abs_diff(mean)).sum::<u64>() / n;
        let since = history.samples().next().map_or(0, |s| now_seconds - s.at_seconds).max(0) as u64;
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "{}. {event}: {n} slow seconds (on average {mean} ms, mean deviation {spread} ms, one every {} seconds); \
             worst ever {} ms, latest {} ago.",
            i + 1,
            since / n,
            history.worst_ms,
            age(now_seconds - history.latest().at_seconds),
        );
        for line in advice_on(event) {
            if !advice.contains(line) {
                advice.push(line);
            }
        }
    }
    if !advice.is_empty() {
        text.push_str("\nWhat may help:\n\n");
        for line in advice {
            let _ = writeln!(text, "- {line}");
        }
    }
    text
}

/// What to try, by the kind of event.
fn advice_on(event: &str) -> &'static [&'static str] {
    const SLOW_LOG: &str = "Look at SLOWLOG GET for the commands that take long, and prefer commands that touch few \
                            elements (SCAN instead of KEYS, ranges instead of whole collections).";
    const SYSTEM: &str = "Look whether the machine is overcommitted: swapping, a busy neighbour, transparent huge \
                          pages set to always.";
    const DISK: &str = "The disk is slow or shared: give the append-only file a disk of its own, or use appendfsync \
                        everysec.";
    const SPREAD: &str = "Many keys expire or are evicted at once: spread their lifetimes, or leave maxmemory some \
                          room.";
    const LARGE: &str = "Values of some hundred allocations are freed by the main loop, which adds up: set lazyfree-lazy-expire and \
                         lazyfree-lazy-eviction.";
    match event {
        "command" | "fast-command" => &[SLOW_LOG, SYSTEM],
        e if e.starts_with("aof-") || e.starts_with("rdb-") => &[DISK],
        e if e.starts_with("expire-") || e.starts_with("eviction-") => &[SPREAD, LARGE],
        "fork" => &[SYSTEM],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_keeps_its_worst() {
        let mut latency = Latency::default();
        latency.note("command", 50, 100, 1);
        latency.note("command", 500, 0, 1);
        assert_eq!(latency.events().len(), 0);
        for (ms, at) in [(100, 10), (300, 10), (200, 10), (150, 11)] {
            latency.note("command", ms, 100, at);
        }
        let history = latency.history("command").unwrap();
        let samples: Vec<_> = history.samples().map(|s| (s.at_seconds, s.ms)).collect();
        assert_eq!(samples, [(10, 300), (11, 150)]);
        assert_eq!((history.worst_ms(), history.latest().ms, history.total_ms()), (300, 150, 450));
    }

    #[test]
    fn the_ring_forgets_but_not_the_worst() {
        let mut latency = Latency::default();
        for at in 0..1000 {
            latency.note("command", 1000 - at as u64, 1, at);
        }
        let history = latency.history("command").unwrap();
        assert_eq!(history.samples().len(), SAMPLES_MAX);
        assert_eq!(history.samples().next().unwrap().at_seconds, 840);
        assert_eq!(history.worst_ms(), 1000);
        assert_eq!(history.graph("command", 1000).lines().nth(2).unwrap().len(), 80);
    }

    #[test]
    fn resets() {
        let mut latency = Latency::default();
        latency.note("a", 1, 1, 1);
        latency.note("b", 1, 1, 1);
        assert!(latency.reset("a") && !latency.reset("a"));
        assert_eq!((latency.reset_all(), latency.reset_all()), (1, 0));
    }

    #[test]
    fn the_graph() {
        let mut latency = Latency::default();
        for (ms, at) in [(100, 0), (200, 4000), (300, 7000), (500, 7055)] {
            latency.note("command", ms, 1, at);
        }
        let want = [
            "command - high 500 ms, low 100 ms (all time high 500 ms)",
            &"-".repeat(80),
            "   #",
            "  _|",
            " _||",
            "_|||",
            "",
            "1516",
            "h1ms",
            " m  ",
        ];
        let want: Vec<String> = want.iter().map(|l| l.to_string()).collect();
        let got: Vec<String> =
            latency.history("command").unwrap().graph("command", 7061).lines().map(Into::into).collect();
        // Ages: 7061s = 1h, 3061s = 51m, 61s = 1m, 6s.
        assert_eq!(got, want);
    }

    #[test]
    fn the_doctor_knows_when_there_is_nothing() {
        let mut latency = Latency::default();
        assert!(latency.doctor(0, 1).contains("latency-monitor-threshold"));
        assert!(latency.doctor(100, 1).contains("All is well"));
        latency.note("command", 120, 100, 10);
        latency.note("aof-write", 80, 50, 10);
        let text = latency.doctor(100, 20);
        assert!(text.contains("command: 1 slow") && text.contains("SLOWLOG") && text.contains("disk"), "{text}");
    }
}
