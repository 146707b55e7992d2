//! Whether what clients saw of lists that only grow can have happened at one moment each: a checker of linearizability,
//! complete for appends of values that are different and for reads of the whole list.
//!
//! The list at the end says in which order the appends took effect. So each operation has its place: an append where its
//! value is, a read of n values between the n-th append and the next. What is left to ask is whether moments can be found
//! for them in this order, each between its request and its answer. The earliest possible moment of each is enough: it
//! leaves the most room for what comes after.

use std::collections::HashMap;

/// A moment; all clients have the same clock.
pub type Moment = u64;

/// An operation of which nobody knows the answer may have taken effect at any time since, or never.
pub const UNKNOWN: Moment = Moment::MAX;

/// What a client did.
#[derive(Clone, Debug)]
pub enum What {
    /// It appended a value, and was told how long the list is now, if it was told.
    Append { value: String, length: Option<usize> },
    /// It read the list.
    Read { list: Vec<String> },
}

/// What a client did, and when.
#[derive(Clone, Debug)]
pub struct Operation {
    pub asked: Moment,
    pub answered: Moment,
    pub what: What,
}

/// Why this cannot be, if it cannot. `last`: the list at the end.
pub fn check(operations: &[Operation], last: &[String]) -> Result<(), String> {
    let mut place: HashMap<&str, usize> = HashMap::new();
    for (at, value) in last.iter().enumerate() {
        if place.insert(value, at).is_some() {
            return Err(format!("{value} is there twice"));
        }
    }
    let mut appends: Vec<Option<&Operation>> = vec![None; last.len()];
    let mut reads: Vec<Vec<&Operation>> = vec![Vec::new(); last.len() + 1];
    for operation in operations {
        match &operation.what {
            What::Append { value, length } => match place.get(value.as_str()) {
                Some(at) if length.is_some_and(|length| length != at + 1) => {
                    return Err(format!("{value} is number {}, not {length:?}", at + 1));
                }
                Some(at) => appends[*at] = Some(operation),
                None if operation.answered == UNKNOWN => {}
                None => return Err(format!("{value} was acknowledged, and is lost")),
            },
            What::Read { list } if last.starts_with(list) => reads[list.len()].push(operation),
            What::Read { list } => return Err(format!("{list:?} was read, and is not how {last:?} begins")),
        }
    }
    let mut now = 0;
    for length in 0..=last.len() {
        if length > 0 {
            let append = appends[length - 1].ok_or_else(|| format!("{} was never sent", last[length - 1]))?;
            now = moment(append, now)?;
        }
        let begins = now;
        for read in &reads[length] {
            now = now.max(moment(read, begins)?);
        }
    }
    Ok(())
}

/// The first moment for an operation that is not before `after`.
fn moment(operation: &Operation, after: Moment) -> Result<Moment, String> {
    match after.max(operation.asked) {
        at if at <= operation.answered => Ok(at),
        at => Err(format!(
            "{operation:?} was over before {at}, which something that it comes after has as its earliest moment"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(asked: Moment, answered: Moment, value: &str, length: usize) -> Operation {
        let length = (answered < UNKNOWN).then_some(length);
        Operation { asked, answered, what: What::Append { value: value.to_owned(), length } }
    }

    fn list(values: &str) -> Vec<String> {
        values.chars().map(String::from).collect()
    }

    fn read(asked: Moment, answered: Moment, values: &str) -> Operation {
        Operation { asked, answered, what: What::Read { list: list(values) } }
    }

    fn is_possible(operations: &[Operation], last: &str) -> bool {
        check(operations, &list(last)).is_ok()
    }

    #[test]
    fn what_can_be() {
        assert!(is_possible(&[], ""));
        assert!(is_possible(&[append(1, 2, "a", 1), read(3, 4, "a"), append(3, 9, "b", 2), read(4, 5, "a")], "ab"));
        // Two at the same time, in either order, and reads that saw the first of them before it was answered.
        let both = [append(1, 10, "a", 1), append(1, 10, "b", 2), read(2, 3, "a"), read(3, 4, "ab"), read(1, 9, "")];
        assert!(is_possible(&both, "ab"));
        // Nobody was told: it is there, or it is not, or it comes later.
        let unknown = [append(1, UNKNOWN, "a", 0), read(2, 3, ""), append(4, 5, "b", 1)];
        assert!(is_possible(&unknown, "b"));
        assert!(!is_possible(&unknown, "ab"), "its number would be two");
        let unknown = [append(1, UNKNOWN, "a", 0), read(2, 3, ""), append(4, 5, "b", 2)];
        assert!(is_possible(&unknown, "ab"));
    }

    #[test]
    fn what_cannot_be() {
        // Lost, twice, never sent, another number.
        assert!(!is_possible(&[append(1, 2, "a", 1)], ""));
        assert!(!is_possible(&[append(1, 2, "a", 1)], "aa"));
        assert!(!is_possible(&[append(1, 2, "a", 1)], "ab"));
        assert!(!is_possible(&[append(1, 2, "a", 2)], "a"));
        // Another order than that of time.
        assert!(!is_possible(&[append(1, 2, "b", 2), append(3, 4, "a", 1)], "ab"));
        // A read of what is lost, of what was there before, of what is not there yet.
        assert!(!is_possible(&[append(1, UNKNOWN, "a", 0), read(2, 3, "a")], ""));
        assert!(!is_possible(&[append(1, 2, "a", 1), read(3, 4, "")], "a"));
        assert!(!is_possible(&[read(1, 2, "a"), append(3, 4, "a", 1)], "a"));
        // Two reads, the later one of which saw less, while the append goes on.
        assert!(!is_possible(&[append(1, 9, "a", 1), read(2, 3, "a"), read(4, 5, "")], "a"));
        // An append after a read that has seen the next one.
        assert!(!is_possible(&[append(1, 20, "b", 2), read(2, 3, "ab"), append(4, 5, "a", 1)], "ab"));
        // A read of the first alone, which began when the second had been seen.
        let seen = [append(1, 2, "a", 1), append(3, 20, "b", 2), read(4, 5, "ab"), read(6, 7, "a")];
        assert!(!is_possible(&seen, "ab"));
    }

    /// Against trying all orders.
    #[test]
    fn it_finds_what_a_search_finds() {
        fn search(left: &mut Vec<&Operation>, now: Moment, state: &mut Vec<String>, last: &[String]) -> bool {
            if left.iter().all(|operation| operation.answered == UNKNOWN) && state == last {
                return true;
            }
            for at in 0..left.len() {
                let operation = left[at];
                let now = now.max(operation.asked);
                if now > operation.answered {
                    continue;
                }
                let depth = state.len();
                let fits = match &operation.what {
                    What::Read { list } => list == state,
                    What::Append { value, length } => {
                        state.push(value.clone());
                        length.is_none_or(|length| length == state.len())
                    }
                };
                left.remove(at);
                let found = fits && search(left, now, state, last);
                left.insert(at, operation);
                state.truncate(depth);
                if found {
                    return true;
                }
            }
            false
        }
        let mut dice = kvstash::util::rng::Rng::from_seed(3);
        let (mut possible, mut impossible) = (0, 0);
        for _ in 0..20_000 {
            let mut operations = Vec::new();
            let last: String = "abc"[..dice.index(4)].to_owned();
            for value in ["a", "b", "c"] {
                let asked = dice.below(8);
                let length = last.find(value).map_or(1, |at| at + 1);
                match dice.index(4) {
                    0 => operations.push(append(asked, UNKNOWN, value, 0)),
                    _ if last.contains(value) => operations.push(append(asked, asked + dice.below(6), value, length)),
                    _ => {}
                }
            }
            for _ in 0..dice.index(3) {
                let asked = dice.below(10);
                let seen = last[..dice.index(last.len() + 1)].to_owned();
                operations.push(read(asked, asked + dice.below(4), &seen));
            }
            let found = search(&mut operations.iter().collect(), 0, &mut Vec::new(), &list(&last));
            assert_eq!(is_possible(&operations, &last), found, "{operations:?}, {last}");
            *(if found { &mut possible } else { &mut impossible }) += 1;
        }
        assert!(possible > 1000 && impossible > 1000, "{possible} {impossible}");
    }
}
