//! Unfinished files without a transfer: kept while their job can continue them, within limits.

use std::collections::HashMap;
use std::time::Duration;

use super::janitor::SweepError;
use crate::blob::{Partial, Spool};
use crate::domain::id::Key;
use crate::domain::job::StateKind;
use crate::domain::time::Timestamp;
use crate::store::Store;

/// Jobs whose states are asked for at once.
const BATCH: usize = 1_000;

/// How much may lie there for jobs between two attempts.
#[derive(Clone, Copy, Debug)]
pub struct PartialLimits {
    /// Bytes of all such files together.
    pub bytes: u64,
    /// Since the last write to one.
    pub age: Duration,
    /// Bytes that must stay free on the disk; for them such files give way.
    pub min_free: u64,
}

/// When a sweep takes place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// Before the first transfer: what has no checkpoint is nobody's.
    Start,
    /// Beside transfers: what has none may just be under way.
    Running,
}

/// What a sweep did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Swept {
    pub removed: usize,
    /// Unfinished files of jobs that wait for their next attempt.
    pub kept: usize,
}

/// When a file has to go for a limit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Turn {
    /// The oldest of these first.
    First,
    /// Of a job that awaits a URL: a person is asked to save just these bytes. Their job's deadline
    /// ends the wait, so age does not.
    Last,
}

/// Removes the staged files whose jobs have ended or are unknown, and of the others the oldest
/// until the limits hold. Files that a transfer holds stay, whatever the store says.
///
/// # Errors
/// When the directory or the jobs cannot be read, or a file not be removed.
pub async fn sweep(
    store: &dyn Store,
    spool: &Spool,
    limits: &PartialLimits,
    now: Timestamp,
    when: When,
) -> Result<Swept, SweepError> {
    let partials = spool.partials().await?;
    let states = states(store, &partials).await?;
    let state = |partial: &Partial| partial.key.and_then(|key| states.get(&key)).copied();
    let (mut doomed, mut idle) = (Vec::new(), Vec::new());
    for partial in partials {
        match state(&partial) {
            None | Some(StateKind::Succeeded | StateKind::Failed | StateKind::Canceled) => {
                doomed.push(partial);
            }
            Some(_) if !partial.marked => {
                if when == When::Start {
                    doomed.push(partial);
                }
            }
            Some(StateKind::Pending | StateKind::Waiting) => idle.push((Turn::First, partial)),
            Some(StateKind::AwaitingUrl) => idle.push((Turn::Last, partial)),
            Some(StateKind::Running) => {}
        }
    }
    let freed: u64 = doomed.iter().map(|partial| partial.bytes).sum();
    let free = spool.free_bytes()?.saturating_add(freed);
    let (over, kept) = over_limits(idle, limits, now, free);
    doomed.extend(over);
    let names = doomed.into_iter().map(|partial| partial.name).collect();
    Ok(Swept { removed: spool.remove(names).await?, kept })
}

async fn states(
    store: &dyn Store,
    partials: &[Partial],
) -> Result<HashMap<Key, StateKind>, SweepError> {
    let mut keys: Vec<Key> = partials.iter().filter_map(|partial| partial.key).collect();
    keys.dedup();
    let mut states = HashMap::new();
    for batch in keys.chunks(BATCH) {
        let found = store.job_states(batch).await?;
        states.extend(found.into_iter().map(|(key, kind, _)| (key, kind)));
    }
    Ok(states)
}

/// The files that must go, in their turn and the oldest first, and how many may stay.
fn over_limits(
    mut idle: Vec<(Turn, Partial)>,
    limits: &PartialLimits,
    now: Timestamp,
    mut free: u64,
) -> (Vec<Partial>, usize) {
    idle.sort_by_key(|(turn, partial)| (*turn, partial.modified));
    let mut bytes: u64 = idle.iter().map(|(_, partial)| partial.bytes).sum();
    let mut stay = Vec::new();
    let mut go = Vec::new();
    for (turn, partial) in idle {
        let old = turn == Turn::First && now.since(partial.modified) > limits.age;
        if old || bytes > limits.bytes || free < limits.min_free {
            bytes -= partial.bytes;
            free = free.saturating_add(partial.bytes);
            go.push(partial);
        } else {
            stay.push(partial);
        }
    }
    (go, stay.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partial(name: &str, bytes: u64, modified: i64) -> Partial {
        let modified = Timestamp(modified);
        Partial { name: name.to_owned(), key: Some(Key(1)), bytes, modified, marked: true }
    }

    #[test]
    fn the_oldest_go_first_until_age_bytes_and_free_space_are_within_limits() {
        let limits = PartialLimits { bytes: 100, age: Duration::from_secs(10), min_free: 50 };
        let three =
            || vec![partial("c", 40, 3_000), partial("a", 40, 1_000), partial("b", 40, 2_000)];
        let gone = |now, free, limits: &PartialLimits| {
            let three = three().into_iter().map(|partial| (Turn::First, partial)).collect();
            let (go, stay) = over_limits(three, limits, Timestamp(now), free);
            let names: Vec<String> = go.into_iter().map(|partial| partial.name).collect();
            assert_eq!(names.len() + stay, 3);
            names.concat()
        };
        assert_eq!(gone(3_000, 1_000, &limits), "a", "120 bytes are too many");
        let roomy = PartialLimits { bytes: 120, ..limits };
        assert_eq!(gone(3_000, 1_000, &roomy), "");
        assert_eq!(gone(12_500, 1_000, &roomy), "ab", "two are too old");
        assert_eq!(gone(3_000, 0, &roomy), "ab", "two make the room that must be free");
    }

    #[test]
    fn files_of_jobs_that_await_a_url_go_last_and_never_by_age() {
        let limits = PartialLimits { bytes: 100, age: Duration::from_secs(10), min_free: 50 };
        let gone = |now, free, limits: &PartialLimits| {
            let files = vec![
                (Turn::Last, partial("a", 40, 1_000)),
                (Turn::First, partial("b", 40, 2_000)),
                (Turn::Last, partial("c", 40, 3_000)),
            ];
            let (go, _) = over_limits(files, limits, Timestamp(now), free);
            let names: Vec<String> = go.into_iter().map(|partial| partial.name).collect();
            names.concat()
        };
        assert_eq!(gone(3_000, 1_000, &limits), "b", "120 bytes are too many");
        assert_eq!(gone(90_000, 1_000, &limits), "b", "only this one is too old");
        let tight = PartialLimits { bytes: 60, ..limits };
        assert_eq!(gone(3_000, 1_000, &tight), "ba", "the limit holds for all");
        assert_eq!(gone(3_000, 0, &limits), "ba", "and so does the free space");
    }
}
