//! Rates of the recent past for INFO: `instantaneous_ops_per_sec` and its kin, as the mean of the last samples.

/// Samples kept; at ten a second, the last 1.6 seconds.
const SAMPLES: usize = 16;

/// What is counted.
#[derive(Clone, Copy, Default)]
struct Totals {
    commands: u64,
    input: u64,
    output: u64,
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
}

/// A ring of rates.
#[derive(Default)]
pub struct Rates {
    last: Option<(i64, Totals)>,
    ring: [PerSecond; SAMPLES],
    next: usize,
}

impl Rates {
    /// Takes a sample of the running totals.
    pub fn sample(&mut self, now_ms: i64, commands: u64, input: u64, output: u64) {
        let now = Totals { commands, input, output };
        if let Some((at_ms, before)) = self.last {
            let seconds = (now_ms - at_ms) as f64 / 1000.0;
            if seconds <= 0.0 {
                return; // the clock was set back, or two samples in a millisecond
            }
            let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
            self.ring[self.next] = PerSecond {
                commands: rate(now.commands, before.commands),
                input_bytes: rate(now.input, before.input),
                output_bytes: rate(now.output, before.output),
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
            rates.sample(i as i64 * 100, i * 50, i * 10, 0);
        }
        assert_eq!(rates.mean(), PerSecond { commands: 500.0, input_bytes: 100.0, output_bytes: 0.0 });
    }
}
