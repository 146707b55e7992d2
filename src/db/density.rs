//! What a key is worth keeping: how often keys like it are used for the room they take.
//!
//! # Classes
//!
//! Five bits of an entry say what kind of key it is: how often it was used (0 to 3 times since it was made), and how
//! many steps it has aged since the last use (0 to 7). A use raises the first and clears the second. A step of age is
//! taken when an eviction looks at the key and spares it, at random, one and a half times while as many keys are
//! evicted as there are: so age is measured in what the cache has seen go, whether that takes a second or a week. A key
//! that is as old as can be loses one of its uses instead.
//!
//! # Density
//!
//! Which class is worth more than another depends on the data. Where few keys are always popular, one that was used
//! three times and then not for long is worth more than a new one; where keys are used for a while and never again, it
//! is worth nothing. So it is measured: each use counts for the class that it found the key in, and each look of an
//! eviction for the class it saw, which in the long run is how much room the class takes. A key that ages goes through
//! the rest of its row, so
//!
//! ```text
//! density(uses, age) = uses counted at this age and above / looks counted at this age and above
//! ```
//!
//! is what a key of the class will still bring for the room it will still take. The idea is that of LHD (Beckmann,
//! Chen, Cidon: least hit density), with ages taken by samples, so that it needs no clock finer than a second and no
//! more room than five bits. Counts fade by a fifth each time a quarter of the keys has been evicted. Until uses were seen
//! between evictions all classes are worth the same, and keys go in Redis's order.

/// Bits of a class.
pub(super) const CLASS_BITS: u32 = 5;
const CLASSES: usize = 1 << CLASS_BITS;
const CLASS_MASK: u32 = CLASSES as u32 - 1;
/// Ages; the classes of a number of uses lie together.
const AGES: u32 = 8;
/// The class of what was used often, and just now. Nothing is worth more.
const BEST: u32 = CLASS_MASK & !(AGES - 1);

/// Steps of age that a key takes while as many keys are evicted as there are.
const STEPS_PER_TURN: f64 = 1.5;
/// Evictions between two looks at the counts, at least.
const LESSON_MIN: u64 = 64;
/// Parts of a look: keys in a small database are looked at more often than others, so each look counts for less.
const WHOLE: f64 = 256.0;
/// From fewer uses there is nothing to learn.
const USES_MIN: f64 = 8.0;
/// As many times as many uses for an eviction as before are those of a time without evictions.
const USES_RATIO_MAX: f64 = 4.0;
/// Worth is a logarithm, in so many parts of a doubling.
const PER_DOUBLING: f64 = 8.0;

/// A fresh key's class, or, if it is known to have been used before, that of one with so many uses.
#[inline]
pub(super) fn class_of_uses(uses: u32) -> u32 {
    (uses * AGES).min(BEST)
}

/// The bits after a use, without their time.
#[inline(always)]
pub(super) fn used(bits: u32) -> u32 {
    ((bits & BEST) + AGES).min(BEST)
}

/// Bits of the best class, with the time of others.
#[inline]
pub(super) fn best(bits: u32) -> u32 {
    bits & !CLASS_MASK | BEST
}

/// Whether they are of the best class.
#[inline(always)]
pub(super) fn is_best(bits: u32) -> bool {
    bits & CLASS_MASK == BEST
}

/// The bits after a step of age.
#[inline]
pub(super) fn aged(bits: u32) -> u32 {
    let class = bits & CLASS_MASK;
    let older = match (class / AGES, class % AGES) {
        (_, age) if age < AGES - 1 => class + 1,
        (0, _) => class,
        (uses, _) => (uses - 1) * AGES + AGES / 2,
    };
    bits & !CLASS_MASK | older
}

/// What uses and evictions have shown of each class.
pub(super) struct Density {
    /// Uses since the last lesson.
    uses: [u64; CLASSES],
    /// Looks since the last lesson, in parts.
    looks: [u64; CLASSES],
    /// Both before that, fading.
    known: [(f64, f64); CLASSES],
    known_evictions: f64,
    worth: [i32; CLASSES],
    /// Evictions until the next lesson, and between the last one and it.
    left: u64,
    lesson: u64,
    /// Keys that may go, at the last lesson.
    population: u64,
}

impl Default for Density {
    fn default() -> Self {
        Density {
            uses: [0; CLASSES],
            looks: [0; CLASSES],
            known: [(0.0, 0.0); CLASSES],
            known_evictions: 0.0,
            worth: [0; CLASSES],
            left: 0,
            lesson: 0,
            population: 0,
        }
    }
}

/// What a class may be worth, if the mean is one: uses count for it, age against it.
fn guess(class: usize) -> f64 {
    let (uses, age) = (class as u32 / AGES, class as u32 % AGES);
    f64::from(uses + 1) / f64::from(age + 1)
}

fn worth(density: f64) -> i32 {
    (density.log2() * PER_DOUBLING).round() as i32
}

impl Density {
    /// A key with these bits was used. Those of the best class need not be told: nobody asks how much it is worth.
    #[inline(always)]
    pub fn note_use(&mut self, bits: u32) {
        let uses = &mut self.uses[(bits & CLASS_MASK) as usize];
        *uses = uses.wrapping_add(1);
    }

    /// The same, and gives the bits that the key has then; `now` has the time of the use.
    #[inline]
    pub fn used_at(&mut self, bits: u32, now: u32) -> u32 {
        self.note_use(bits);
        now & !CLASS_MASK | used(bits)
    }

    /// What a key with these bits is worth, in eighths of a doubling.
    #[inline]
    pub fn worth(&self, bits: u32) -> i32 {
        self.worth[(bits & CLASS_MASK) as usize]
    }

    /// One more eviction; it is time for a lesson.
    pub fn count_eviction(&mut self) -> bool {
        let due = self.left == 0;
        self.left = self.left.saturating_sub(1);
        due
    }

    /// How to look at keys of a database that has so many of them, `samples` at once.
    pub fn look(&self, keys: usize, samples: usize, random: u64) -> Look {
        // All databases are sampled alike. In a small one each key is looked at more often, but shall not age faster.
        let share = (keys as f64 / self.population.max(1) as f64).min(1.0);
        let steps = (STEPS_PER_TURN * share / samples as f64).min(1.0);
        Look { part: (share * WHOLE).ceil() as u64, ages_below: (steps * f64::from(u32::MAX)) as u32, random }
    }

    /// Learns from what was counted. There are so many keys that may go.
    pub fn learn(&mut self, population: usize) {
        self.population = population as u64;
        let evictions = self.lesson as f64;
        self.lesson = (self.population / 4).max(LESSON_MIN);
        self.left = self.lesson;
        self.uses[BEST as usize] = 0;
        let uses: u64 = self.uses.iter().sum();
        let (known_uses, _) = self.known_sums();
        // Uses before the first eviction, and while none was needed, are of no use: all keys were new then, or popular.
        let limit = if evictions == 0.0 {
            0.0
        } else if self.known_evictions == 0.0 || known_uses == 0.0 {
            f64::INFINITY
        } else {
            USES_RATIO_MAX * evictions * known_uses / self.known_evictions
        };
        let scale = if uses as f64 > limit { limit / uses as f64 } else { 1.0 };
        for (class, (known_uses, known_looks)) in self.known.iter_mut().enumerate() {
            *known_uses = *known_uses * 0.8 + self.uses[class] as f64 * scale;
            *known_looks = *known_looks * 0.8 + self.looks[class] as f64 / WHOLE;
        }
        self.known_evictions = self.known_evictions * 0.8 + evictions;
        self.uses = [0; CLASSES];
        self.looks = [0; CLASSES];
        self.judge();
    }

    fn known_sums(&self) -> (f64, f64) {
        self.known.iter().fold((0.0, 0.0), |sum, known| (sum.0 + known.0, sum.1 + known.1))
    }

    fn judge(&mut self) {
        let (all_uses, all_looks) = self.known_sums();
        if all_uses < USES_MIN {
            self.worth = [0; CLASSES];
            return;
        }
        let mean = all_uses / (all_looks + 1.0);
        for row in (0..CLASSES).step_by(AGES as usize) {
            let (mut uses, mut looks) = (0.0, 0.0);
            for class in (row..row + AGES as usize).rev() {
                uses += self.known[class].0;
                looks += self.known[class].1;
                // A class that was hardly seen counts as one look with what it may be worth.
                self.worth[class] = worth((uses + mean * guess(class)) / (looks + 1.0));
            }
            // Of keys that are never used again, few grow old, so that the old would seem worth more. New ones would go
            // at once then, and never show what they are worth: no key gains by growing old. (Looks at the best class are
            // counted and its uses are not, so that what was worked out for it says nothing.)
            let first = if row == BEST as usize { row + 1 } else { row };
            for class in first + 1..row + AGES as usize {
                self.worth[class] = self.worth[class].min(self.worth[class - 1]);
            }
        }
        // Whether uses of the best class are counted depends on the policy.
        let others = (0..CLASSES).filter(|&class| class != BEST as usize).map(|class| self.worth[class]);
        self.worth[BEST as usize] = others.max().unwrap_or(0) + PER_DOUBLING as i32;
    }
}

/// How an eviction looks at the keys of one database.
pub(super) struct Look {
    part: u64,
    ages_below: u32,
    random: u64,
}

impl Look {
    /// Counts a look at a key with these bits, and gives the bits that it is to have from now on.
    #[inline]
    pub fn at(&mut self, bits: u32, density: &mut Density) -> u32 {
        density.looks[(bits & CLASS_MASK) as usize] += self.part;
        // Knuth's generator: these are a handful of draws from one random start.
        self.random = self.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        if ((self.random >> 32) as u32) < self.ages_below { aged(bits) } else { bits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(uses: u32, age: u32) -> u32 {
        uses * AGES + age
    }

    #[test]
    fn use_raises_and_age_takes_back() {
        let time = 0x00ab_cdef << CLASS_BITS;
        let steps: Vec<u32> = std::iter::successors(Some(0), |&bits| Some(used(bits))).take(5).collect();
        assert_eq!(steps, [class(0, 0), class(1, 0), class(2, 0), class(3, 0), class(3, 0)]);
        assert_eq!(used(time | class(1, 6)), class(2, 0));
        let mut bits = time | class(1, 0);
        for age in 1..8 {
            bits = aged(bits);
            assert_eq!(bits, time | class(1, age));
        }
        assert_eq!(aged(bits), time | class(0, 4));
        assert_eq!(aged(time | class(0, 7)), time | class(0, 7));
        assert_eq!([0, 2, 3, 200].map(class_of_uses), [class(0, 0), class(2, 0), BEST, BEST]);
    }

    /// Lessons of a hundred evictions with five looks each.
    fn taught(uses: &[(u32, u64)], looks: &[(u32, u64)]) -> Density {
        let mut density = Density::default();
        density.learn(400);
        for _ in 0..20 {
            for &(class, n) in uses {
                (0..n).for_each(|_| density.note_use(class));
            }
            for &(class, n) in looks {
                let mut look = density.look(400, 5, 1);
                (0..n).for_each(|_| assert!(look.at(class, &mut density) & CLASS_MASK <= class + 1));
            }
            density.learn(400);
        }
        density
    }

    #[test]
    fn what_brings_more_is_worth_more() {
        let (new, old_friend) = (class(0, 0), class(3, 5));
        let popular = taught(&[(new, 10), (old_friend, 90)], &[(new, 250), (old_friend, 250)]);
        assert!(popular.worth(old_friend) > popular.worth(new) + 16);
        let fleeting = taught(&[(new, 90), (old_friend, 1)], &[(new, 250), (old_friend, 250)]);
        assert!(fleeting.worth(new) > fleeting.worth(old_friend) + 16);
        // What comes after an age belongs to what it is worth.
        let patient = taught(&[(class(0, 3), 90)], &[(new, 10), (class(0, 3), 20), (class(1, 1), 400)]);
        assert!(patient.worth(new) > patient.worth(class(1, 1)) + 16);
    }

    #[test]
    fn nothing_gains_by_growing_old() {
        let density = taught(&[(class(3, 1), 50)], &[(class(0, 0), 250), (class(0, 7), 1), (class(3, 1), 50)]);
        assert!(density.worth(class(0, 7)) <= density.worth(class(0, 0)));
        assert!(density.worth(class(3, 1)) > density.worth(class(0, 0)) + 16);
        assert!(density.worth(BEST) > density.worth(class(3, 1)));
    }

    #[test]
    fn without_uses_nothing_is_known() {
        let density = taught(&[], &[(class(0, 0), 100), (class(0, 7), 1), (class(2, 1), 30)]);
        assert!((0..CLASSES as u32).all(|class| density.worth(class) == density.worth(0)));
    }

    #[test]
    fn uses_of_a_time_without_evictions_do_not_drown_what_is_known() {
        let mut density = taught(&[(class(0, 0), 10), (class(3, 1), 90)], &[(class(0, 0), 250), (class(3, 1), 250)]);
        let before = density.worth(class(3, 1)) - density.worth(class(0, 0));
        (0..1_000_000).for_each(|_| density.note_use(class(0, 0)));
        density.looks[0] += 250 * WHOLE as u64;
        density.learn(400);
        let after = density.worth(class(0, 0)) - density.worth(class(3, 1));
        assert!(before > 16 && after < 8, "{before} {after}");
    }

    #[test]
    fn keys_age_with_what_is_evicted_wherever_they_are() {
        let mut density = Density::default();
        density.learn(10_000);
        for (keys, samples) in [(10_000, 5), (10_000, 20), (100, 5)] {
            let mut look = density.look(keys, samples, 7);
            // While ten times ten thousand keys are evicted, each key of this database is looked at so often:
            let looks = 10 * 10_000 * samples / keys;
            let mut steps = 0;
            (0..looks).for_each(|_| steps += u32::from(look.at(0, &mut density) != 0));
            assert!((5..=30).contains(&steps), "{steps} of about 15 in {looks} looks");
        }
    }
}
