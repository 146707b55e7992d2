//! Rates of the recent past for INFO: `instantaneous_ops_per_sec` and its kin, as the mean of the last samples.
//!
//! Samples are a tenth of a second apart, however often the cron runs, so that the mean is always of the same span.

/// Samples kept; at ten a second, the last 1.6 seconds.
const SAMPLES: usize = 16;

/// The least time between samples.
const SAMPLE_MS: i64 = 100;

/// What is counted.
#[derive(Clone, Copy, Default, Debug)]
pub struct Totals {
    /// Commands.
    pub commands: u64,
    /// Bytes received.
    pub input: u64,
    /// Bytes sent.
    pub output: u64,
    /// Turns of the loop.
    pub turns: u64,
    /// The time in them, µs.
    pub turns_us: u64,
}

/// Rates per second.
#[derive(Clone, Copy, Default, Debug, PartialEq)]
pub struct PerSecond {
    /// Commands.
    pub commands: f64,
    /// Bytes received.
    pub input_bytes: f64,
    /// Bytes sent.
    pub output_bytes: f64,
    /// Turns of the loop.
    pub turns: f64,
    /// Mean length of a turn, µs: no rate, but sampled with them.
    pub turn_us: f64,
}

/// A ring of rates.
#[derive(Default)]
pub struct Rates {
    last: Option<(i64, Totals)>,
    ring: [PerSecond; SAMPLES],
    next: usize,
}

impl Rates {
    /// Takes a sample of the running totals, when it is time for one.
    pub fn sample(&mut self, now_ms: i64, now: Totals) {
        if let Some((at_ms, before)) = self.last {
            if (0..SAMPLE_MS).contains(&(now_ms - at_ms)) {
                return;
            }
            let seconds = (now_ms - at_ms) as f64 / 1000.0;
            if seconds < 0.0 {
                self.last = Some((now_ms, now)); // the clock was set back
                return;
            }
            let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
            let turns = now.turns.saturating_sub(before.turns);
            self.ring[self.next] = PerSecond {
                commands: rate(now.commands, before.commands),
                input_bytes: rate(now.input, before.input),
                output_bytes: rate(now.output, before.output),
                turns: rate(now.turns, before.turns),
                turn_us: now.turns_us.saturating_sub(before.turns_us) as f64 / turns.max(1) as f64,
            };
            self.next = (self.next + 1) % SAMPLES;
        }
        self.last = Some((now_ms, now));
    }

    /// The mean of the samples.
    pub fn mean(&self) -> PerSecond {
        let mean = |field: fn(&PerSecond) -> f64| self.ring.iter().map(field).sum::<f64>() / SAMPLES as f64;
        PerSecond {
            commands: mean(|r| r.commands),
            input_bytes: mean(|r| r.input_bytes),
            output_bytes: mean(|r| r.output_bytes),
            turns: mean(|r| r.turns),
            turn_us: mean(|r| r.turn_us),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_found_after_a_full_ring() {
        let mut rates = Rates::default();
        for i in 0..=SAMPLES as u64 {
            let totals = Totals { commands: i * 50, input: i * 10, output: 0, turns: i, turns_us: i * 7 };
            rates.sample(i as i64 * 100, totals);
            rates.sample(i as i64 * 100 + 3, Totals::default()); // too early to count
        }
        let want = PerSecond { commands: 500.0, input_bytes: 100.0, output_bytes: 0.0, turns: 10.0, turn_us: 7.0 };
        assert_eq!(rates.mean(), want);
    }
}
