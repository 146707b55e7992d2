//! Patterns by their literal prefix: which of them a channel may match, without trying all there are.
//!
//! `news.*` can match only channels that begin with `news.`. So patterns are kept by what stands before their first
//! wildcard, and a channel is tried against those whose prefix it begins with. These prefixes are found in a sorted map
//! from the longest to the shortest: the greatest one that is not behind the channel's name either begins it, or shows
//! how many bytes they have in common, and no prefix that begins the name and is still to be found is longer than that.
//! Patterns that begin with a wildcard have the empty prefix and are always tried.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

use super::topic::{Topic, Topics};
use crate::util::glob;

/// See the file's header.
#[derive(Default, Debug)]
pub(super) struct Patterns {
    by_name: Topics,
    by_prefix: BTreeMap<Box<[u8]>, Topics>,
}

impl Patterns {
    /// By pattern.
    pub(super) fn by_name(&self) -> &Topics {
        &self.by_name
    }

    pub(super) fn add(&mut self, topic: Rc<Topic>) {
        let prefix = literal_prefix(topic.name());
        self.by_prefix.entry(prefix).or_default().add(Rc::clone(&topic));
        self.by_name.add(topic);
    }

    pub(super) fn remove(&mut self, pattern: &[u8]) {
        if self.by_name.remove(pattern).is_none() {
            return;
        }
        let prefix = literal_prefix(pattern);
        let topics = self.by_prefix.get_mut(&prefix).expect("every pattern is in both maps");
        topics.remove(pattern);
        if topics.is_empty() {
            self.by_prefix.remove(&prefix);
        }
    }

    /// Calls `f` for every pattern that `channel` matches.
    pub(super) fn matching(&self, channel: &[u8], mut f: impl FnMut(&Topic)) {
        let mut begin = channel;
        while let Some((prefix, topics)) =
            self.by_prefix.range::<[u8], _>((Bound::Unbounded, Bound::Included(begin))).next_back()
        {
            let common = common(prefix, begin);
            if common == prefix.len() {
                topics.iter().filter(|topic| glob::matches(topic.name(), channel, false)).for_each(&mut f);
                if common == 0 {
                    return;
                }
                begin = &begin[..common - 1];
            } else {
                begin = &begin[..common];
            }
        }
    }
}

fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// What every channel that matches begins with.
pub(super) fn literal_prefix(pattern: &[u8]) -> Box<[u8]> {
    let mut prefix = Vec::new();
    let mut rest = pattern;
    loop {
        match rest {
            [] | [b'*' | b'?' | b'[', ..] => break,
            [b'\\', escaped, after @ ..] => {
                prefix.push(*escaped);
                rest = after;
            }
            [literal, after @ ..] => {
                prefix.push(*literal);
                rest = after;
            }
        }
    }
    prefix.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::rng::Rng;

    #[test]
    fn prefixes_end_at_the_first_wildcard() {
        for (pattern, prefix) in [
            ("", ""),
            ("*", ""),
            ("news.*", "news."),
            ("h?llo", "h"),
            ("a[b]c", "a"),
            ("a\\*b*", "a*b"),
            ("a\\", "a\\"),
        ] {
            assert_eq!(&*literal_prefix(pattern.as_bytes()), prefix.as_bytes(), "{pattern}");
        }
    }

    /// Whatever is added and removed, just those patterns are found that match when all are tried.
    #[test]
    fn as_if_all_were_tried() {
        let mut rng = Rng::from_seed(7);
        let text = |rng: &mut Rng, letters: &[u8], most: u64| -> Vec<u8> {
            let len = rng.below(most + 1);
            (0..len).map(|_| letters[rng.below(letters.len() as u64) as usize]).collect()
        };
        let mut patterns = Patterns::default();
        let mut all = std::collections::BTreeSet::new();
        for step in 0..20_000 {
            let pattern = text(&mut rng, b"aab*?[]\\", 6);
            if rng.below(3) == 0 || !all.insert(pattern.clone()) {
                all.remove(&pattern);
                patterns.remove(&pattern);
            } else {
                patterns.add(Topic::new(&pattern));
            }
            let channel = text(&mut rng, b"aab\\*", 6);
            let mut found = Vec::new();
            patterns.matching(&channel, |topic| found.push(topic.name().to_vec()));
            found.sort();
            let expected: Vec<_> = all.iter().filter(|p| glob::matches(p, &channel, false)).cloned().collect();
            assert_eq!(found, expected, "step {step}, channel {:?}", String::from_utf8_lossy(&channel));
            assert_eq!(patterns.by_name().len(), all.len());
        }
        for pattern in all {
            patterns.remove(&pattern);
        }
        assert!(patterns.by_prefix.is_empty() && patterns.by_name.is_empty());
    }
}
