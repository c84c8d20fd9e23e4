//! Whether a history of overlapping operations on one object could have happened one after the
//! other (Wing, Gong: Testing and Verifying Concurrent Objects, 1993), for a specification in which
//! the object may also change by itself.

use std::collections::HashSet;

/// One operation. Its effect came at some moment between `start` and `end`.
#[derive(Clone, Debug)]
pub struct Op<T> {
    pub start: u64,
    pub end: u64,
    pub what: T,
}

/// Most operations of one history: they are bits of a word.
pub const MOST: usize = 64;

/// Looks for an order that respects time and the specification.
///
/// `States` are all states that the object may be in; `step` gives those after an operation with
/// the answer it had, `None` where no state allows that answer.
pub fn is_linearizable<T, States>(
    history: &[Op<T>],
    initial: States,
    step: impl Fn(States, &T) -> Option<States>,
) -> bool
where
    States: Copy + Eq + std::hash::Hash,
{
    assert!(history.len() <= MOST, "{} operations", history.len());
    let all = u64::MAX.checked_shr(u32::try_from(MOST - history.len()).unwrap()).unwrap_or(0);
    // Sets of done operations from which no order leads on are not tried twice.
    let mut tried = HashSet::new();
    let mut todo = vec![(0, initial)];
    while let Some((done, states)) = todo.pop() {
        if done == all {
            return true;
        }
        if !tried.insert((done, states)) {
            continue;
        }
        let open = || (0..history.len()).filter(|n| done >> n & 1 == 0);
        // Whatever began after another one ended comes after it.
        let first_end = open().map(|n| history[n].end).min().unwrap_or(0);
        for n in open().filter(|n| history[*n].start <= first_end) {
            if let Some(states) = step(states, &history[n].what) {
                todo.push((done | 1 << n, states));
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A register: `(true, v)` writes, `(false, v)` reads.
    fn linearizable(history: &[(u64, u64, bool, u8)]) -> bool {
        let ops: Vec<Op<(bool, u8)>> = history
            .iter()
            .map(|(start, end, write, value)| Op {
                start: *start,
                end: *end,
                what: (*write, *value),
            })
            .collect();
        is_linearizable(&ops, 0, |state, (write, value)| {
            if *write { Some(*value) } else { (state == *value).then_some(state) }
        })
    }

    #[test]
    fn overlapping_operations_may_have_happened_either_way_and_others_not() {
        assert!(linearizable(&[(0, 1, true, 1), (2, 3, false, 1)]));
        assert!(!linearizable(&[(0, 1, true, 1), (2, 3, false, 0)]));
        // The read overlaps the write.
        assert!(linearizable(&[(0, 3, true, 1), (1, 2, false, 0)]));
        assert!(linearizable(&[(0, 3, true, 1), (1, 2, false, 1)]));
        // Two reads after each other, of which the later sees the older value.
        assert!(!linearizable(&[(0, 9, true, 1), (1, 2, false, 1), (3, 4, false, 0)]));
        assert!(linearizable(&[]));
    }
}
