//! Requests for keys, as caches see them: numbers of keys, most popular first, that drift, and scans among them.

use kvstash::util::rng::Rng;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Zipf's law, over ranks that move on: each key becomes more popular until it is the first, and then the last.
    Drift,
    /// The same, with ten scans over a tenth as many keys that nobody asks for otherwise.
    Scan,
    /// The same keys for ever.
    Still,
    /// Keys that are used about seven times within a while, and never again; between them, drifting ones.
    Sessions,
    /// Each key once.
    Fresh,
}

impl Kind {
    pub fn of(name: &str) -> Option<Kind> {
        Some(match name {
            "drift" => Kind::Drift,
            "scan" => Kind::Scan,
            "still" => Kind::Still,
            "sessions" => Kind::Sessions,
            "fresh" => Kind::Fresh,
            _ => return None,
        })
    }
}

/// Requests after which the ranks move on by one.
const DRIFT: usize = 333;
const SCANS: usize = 10;

/// A law of ranks 0 to n - 1: rank r is asked for in proportion to (r + 1)^-alpha.
struct Zipf {
    sums: Vec<f64>,
}

impl Zipf {
    fn new(n: usize, alpha: f64) -> Zipf {
        let mut sum = 0.0;
        let sums = (1..=n).map(|rank| {
            sum += (rank as f64).powf(-alpha);
            sum
        });
        Zipf { sums: sums.collect() }
    }

    fn rank(&self, rng: &mut Rng) -> usize {
        let all = self.sums[self.sums.len() - 1];
        let at = rng.unit() * all;
        self.sums.partition_point(|&sum| sum < at).min(self.sums.len() - 1)
    }
}

/// `requests` numbers of keys; those of the law are below `keys`.
pub fn trace(kind: Kind, keys: usize, requests: usize, alpha: f64, seed: u64) -> Vec<u32> {
    let mut rng = Rng::from_seed(seed);
    if kind == Kind::Fresh {
        return (0..requests as u32).collect();
    }
    let zipf = Zipf::new(keys, alpha);
    let mut shuffled: Vec<u32> = (0..keys as u32).collect();
    for i in (1..keys).rev() {
        shuffled.swap(i, rng.index(i + 1));
    }
    let mut out = Vec::with_capacity(requests);
    let mut sessions = Sessions::default();
    let mut cold = keys as u32;
    for i in 0.. {
        if out.len() >= requests {
            break;
        }
        if kind == Kind::Sessions && rng.below(2) == 0 {
            out.push(keys as u32 + sessions.next(i, keys as f64 / 10.0, &mut rng));
            continue;
        }
        let moved = if kind == Kind::Still { 0 } else { i / DRIFT };
        out.push(shuffled[(zipf.rank(&mut rng) + moved) % keys]);
        if kind == Kind::Scan && i % (requests / SCANS) == requests / SCANS / 2 {
            out.extend(cold..cold + keys as u32 / 10);
            cold += keys as u32 / 10;
        }
    }
    out.truncate(requests);
    out
}

/// Keys in use: when each is due again, and how often.
#[derive(Default)]
struct Sessions {
    due: std::collections::BinaryHeap<(std::cmp::Reverse<usize>, u32, u32)>,
    made: u32,
}

impl Sessions {
    fn next(&mut self, now: usize, gap: f64, rng: &mut Rng) -> u32 {
        let mut exponential = |mean: f64| (-(1.0 - rng.unit()).ln() * mean) as usize;
        let (key, left) = match self.due.peek() {
            Some(&(at, key, left)) if at.0 <= now => {
                self.due.pop();
                (key, left)
            }
            _ => {
                self.made += 1;
                (self.made, exponential(6.0) as u32)
            }
        };
        if left > 0 {
            self.due.push((std::cmp::Reverse(now + exponential(gap)), key, left - 1));
        }
        key
    }
}
