//! The largest buffers of the recent past, for INFO clients.

/// Seconds that are remembered.
const SECONDS: usize = 8;

/// The largest query buffer and the largest reply buffer of each of the last seconds.
#[derive(Default, Debug)]
pub struct RecentBuffers {
    slots: [Slot; SECONDS],
}

#[derive(Clone, Copy, Default, Debug)]
struct Slot {
    second: i64,
    input_bytes: usize,
    output_bytes: usize,
}

impl RecentBuffers {
    /// A client was seen with buffers of these sizes.
    pub fn note(&mut self, now_ms: i64, input_bytes: usize, output_bytes: usize) {
        let second = now_ms / 1000;
        let slot = &mut self.slots[second.rem_euclid(SECONDS as i64) as usize];
        if slot.second != second {
            *slot = Slot { second, input_bytes: 0, output_bytes: 0 };
        }
        slot.input_bytes = slot.input_bytes.max(input_bytes);
        slot.output_bytes = slot.output_bytes.max(output_bytes);
    }

    /// The largest of each kind. Clients are looked at about once a second, so a slot that was not filled again is
    /// at most a round old.
    pub fn most(&self) -> (usize, usize) {
        let most = |of: fn(&Slot) -> usize| self.slots.iter().map(of).max().unwrap_or(0);
        (most(|s| s.input_bytes), most(|s| s.output_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_forgotten_after_a_round() {
        let mut recent = RecentBuffers::default();
        recent.note(1_000, 500, 7);
        recent.note(1_999, 20, 9);
        assert_eq!(recent.most(), (500, 9));
        for second in 2..=9 {
            assert_eq!(recent.most().0, 500);
            recent.note(second * 1000, 20, 1);
        }
        assert_eq!(recent.most(), (20, 1));
    }
}
