//! `GetUploadStatistics`, an operation of ours: the queue now, and what became of jobs in the last
//! minutes. A page of the console asks every second or two, so answers are kept for a moment.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wire::action::GetUploadStatistics;
use wire::code::Fault;
use wire::reply::{AccountLoad, FailureCount, GetUploadStatisticsReply, Point, QueueInfo, Reply};

use super::{Ops, store_fault};
use crate::domain::account::{Account, AccountId, Subject};
use crate::domain::time::Timestamp;
use crate::store::{AccountQueue, Counted, Tally};

/// Most points of one answer.
const POINTS: u32 = 60;
/// An answer about an hour is kept for this long, one about more hours for as many times that.
const TRUST: Duration = Duration::from_secs(1);
/// Answers kept at once; above it the memory starts anew.
const ANSWERS_KEPT: usize = 256;
const MINUTE_MS: i64 = 60_000;

/// What was answered a moment ago.
#[derive(Debug, Default)]
pub struct Answers(Mutex<HashMap<Question, (Instant, Arc<Counts>)>>);

/// Who asked about what: `None` is every account.
type Question = (Option<AccountId>, u32);

/// An answer, but for what only operators see.
#[derive(Clone, Debug, Default)]
struct Counts {
    queue: QueueInfo,
    points: Vec<Point>,
    failures: Vec<FailureCount>,
    accounts: Vec<AccountLoad>,
}

impl Ops {
    pub(super) async fn get_upload_statistics(
        &self,
        subject: &Subject,
        request: GetUploadStatistics,
    ) -> Result<Reply, Fault> {
        let question = (subject.account(), request.minutes);
        let asked = Instant::now();
        let counts = match self.answers.recent(question, asked) {
            Some(counts) => counts,
            None => {
                let counts = Arc::new(self.counts(question).await?);
                self.answers.keep(question, counts.clone(), asked);
                counts
            }
        };
        let Counts { queue, points, failures, accounts } = (*counts).clone();
        let (node, nodes) = if subject.operator {
            (Some(self.node_info()), self.node_list().await?)
        } else {
            (None, Vec::new())
        };
        Ok(Reply::GetUploadStatistics(GetUploadStatisticsReply {
            queue,
            points,
            failures,
            accounts,
            node,
            nodes,
        }))
    }

    async fn counts(&self, (account, minutes): Question) -> Result<Counts, Fault> {
        let now = self.schedule.now();
        let span = Span::of(now, minutes);
        let tallies = self.store.tallies(account, span.start).await.map_err(store_fault)?;
        let mut queues = self.store.queues().await.map_err(store_fault)?;
        queues.retain(|queue| account.is_none_or(|account| account == queue.account));
        let known = self.accounts().await?;
        let known: HashMap<AccountId, Account> =
            known.into_iter().map(|account| (account.id, account)).collect();
        let is_paused = |id: &AccountId| known.get(id).is_some_and(|account| account.paused);
        // What is paused does not wait for a place.
        queues.iter_mut().filter(|queue| is_paused(&queue.account)).for_each(|queue| {
            queue.oldest_ready = None;
        });
        let mut loads = loads(&queues, &tallies, now);
        if let Some(account) = account {
            loads.entry(account).or_default();
        }
        let queue = sum(&queues, now);
        let accounts = loads.into_iter().map(|(id, load)| AccountLoad {
            account: known.get(&id).map(|account| account.name.clone()).unwrap_or_default(),
            paused: is_paused(&id),
            ..load
        });
        Ok(Counts {
            points: with_depth(span.points(&tallies), &queue),
            queue,
            failures: failures(&tallies),
            accounts: accounts.collect(),
        })
    }
}

impl Answers {
    fn recent(&self, question: Question, now: Instant) -> Option<Arc<Counts>> {
        let trust = TRUST * question.1.div_ceil(60);
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, counts) = answers.get(&question)?;
        (now.duration_since(*at) < trust).then(|| counts.clone())
    }

    fn keep(&self, question: Question, counts: Arc<Counts>, now: Instant) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= ANSWERS_KEPT {
            answers.clear();
        }
        answers.insert(question, (now, counts));
    }
}

/// The minutes asked for, in groups of the same length; the last one is the minute of now.
struct Span {
    start: Timestamp,
    /// Minutes of one point.
    step: u32,
    points: u32,
}

impl Span {
    fn of(now: Timestamp, minutes: u32) -> Self {
        let step = minutes.div_ceil(POINTS).max(1);
        let points = minutes.div_ceil(step);
        let this_minute = now.0.div_euclid(MINUTE_MS);
        let first = this_minute - i64::from(points * step) + 1;
        Self { start: Timestamp(first * MINUTE_MS), step, points }
    }

    fn points(&self, tallies: &[Tally]) -> Vec<Point> {
        let length = i64::from(self.step) * MINUTE_MS;
        let mut millis = vec![0_u64; self.points as usize];
        let mut points: Vec<Point> = (0..i64::from(self.points))
            .map(|at| Timestamp(self.start.0 + at * length))
            .map(|time| Point { time: time.seconds(), ..Point::default() })
            .collect();
        for tally in tallies {
            // A tally of the future (the clock was set back) counts as of now.
            let place = (tally.minute.0 - self.start.0).div_euclid(length).max(0);
            let place = usize::try_from(place).unwrap_or(usize::MAX).min(points.len() - 1);
            let point = &mut points[place];
            match tally.what {
                Counted::Accepted => point.accepted += tally.jobs,
                Counted::Succeeded => {
                    point.succeeded += tally.jobs;
                    point.bytes += tally.bytes;
                    millis[place] += tally.millis;
                }
                Counted::Failed(_) => point.failed += tally.jobs,
                Counted::Canceled => point.canceled += tally.jobs,
                Counted::PutOff(_) => point.put_off += tally.jobs,
            }
        }
        for (point, millis) in points.iter_mut().zip(millis) {
            point.seconds = mean_seconds(millis, point.succeeded);
        }
        points
    }
}

/// How long the queue was at the end of each point: from now backwards, less what was accepted since,
/// plus what ended. A job's tally is written in the transaction that accepts or ends it, so that is
/// exact, but for what happens between the two reads, and before tallies began.
fn with_depth(mut points: Vec<Point>, queue: &QueueInfo) -> Vec<Point> {
    let mut depth = queue.pending + queue.running + queue.waiting + queue.halted;
    for point in points.iter_mut().rev() {
        point.unfinished = depth;
        let ended = point.succeeded + point.failed + point.canceled;
        depth = (depth + ended).saturating_sub(point.accepted);
    }
    points
}

#[expect(clippy::cast_precision_loss, reason = "a mean for people needs no 53 bits")]
fn mean_seconds(millis: u64, jobs: u64) -> f64 {
    if jobs == 0 { 0.0 } else { millis as f64 / jobs as f64 / 1_000.0 }
}

/// How long the longest has waited; `None` while nothing is ready.
fn ready_seconds(oldest: Option<Timestamp>, now: Timestamp) -> Option<u64> {
    oldest.filter(|oldest| *oldest <= now).map(|oldest| now.since(oldest).as_secs())
}

fn sum(queues: &[AccountQueue], now: Timestamp) -> QueueInfo {
    let total = |of: fn(&AccountQueue) -> u64| queues.iter().map(of).sum();
    let oldest = queues.iter().filter_map(|queue| queue.oldest_ready).min();
    QueueInfo {
        pending: total(|queue| queue.pending),
        running: total(|queue| queue.running),
        waiting: total(|queue| queue.waiting),
        halted: total(|queue| queue.awaiting),
        oldest_ready_seconds: ready_seconds(oldest, now),
    }
}

/// Most jobs first.
fn failures(tallies: &[Tally]) -> Vec<FailureCount> {
    let mut by_code: BTreeMap<&str, FailureCount> = BTreeMap::new();
    for tally in tallies {
        let (Counted::Failed(code) | Counted::PutOff(code)) = &tally.what else { continue };
        let count = by_code.entry(code).or_default();
        match tally.what {
            Counted::Failed(_) => count.jobs += tally.jobs,
            Counted::PutOff(_) => count.put_off += tally.jobs,
            Counted::Accepted | Counted::Succeeded | Counted::Canceled => {}
        }
    }
    let mut counts: Vec<FailureCount> = by_code
        .into_iter()
        .map(|(code, count)| FailureCount { error_code: code.to_owned(), ..count })
        .collect();
    counts.sort_by_key(|count| std::cmp::Reverse((count.jobs, count.put_off)));
    counts
}

/// What each account has in the queue and what became of its jobs; names are filled in later.
fn loads(
    queues: &[AccountQueue],
    tallies: &[Tally],
    now: Timestamp,
) -> BTreeMap<AccountId, AccountLoad> {
    let mut loads: BTreeMap<AccountId, AccountLoad> = BTreeMap::new();
    for queue in queues {
        let load = loads.entry(queue.account).or_default();
        load.pending = queue.pending;
        load.running = queue.running;
        load.waiting = queue.waiting;
        load.halted = queue.awaiting;
        load.oldest_ready_seconds = ready_seconds(queue.oldest_ready, now);
    }
    for tally in tallies {
        let load = loads.entry(tally.account).or_default();
        match tally.what {
            Counted::Succeeded => {
                load.succeeded += tally.jobs;
                load.bytes += tally.bytes;
            }
            Counted::Failed(_) => load.failed += tally.jobs,
            Counted::Accepted | Counted::Canceled | Counted::PutOff(_) => {}
        }
    }
    loads
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000 * MINUTE_MS + 12_345);

    fn tally(minute: i64, account: i64, what: Counted, jobs: u64) -> Tally {
        let minute = Timestamp(minute * MINUTE_MS);
        let account = AccountId(account);
        Tally { minute, account, what, jobs, bytes: 10 * jobs, millis: 3_000 * jobs }
    }

    #[test]
    fn points_are_evenly_spaced_at_most_sixty_and_end_with_this_minute() {
        for (minutes, step, count) in
            [(5, 1, 5), (60, 1, 60), (61, 2, 31), (100, 2, 50), (2_880, 48, 60)]
        {
            let points = Span::of(NOW, minutes).points(&[]);
            assert_eq!(points.len(), count, "{minutes}");
            assert!(points.windows(2).all(|two| two[1].time - two[0].time == step * 60));
            let end = points[count - 1].time + step * 60;
            assert_eq!(end, 1_001 * 60, "{minutes}: up to the end of this minute");
        }
    }

    #[test]
    fn a_tally_counts_in_the_point_of_its_minute() {
        let tallies = [
            tally(996, 1, Counted::Accepted, 7),
            tally(996, 1, Counted::Succeeded, 2),
            tally(996, 2, Counted::Succeeded, 2),
            tally(1_000, 1, Counted::Failed("A".to_owned()), 1),
            tally(1_000, 1, Counted::PutOff("B".to_owned()), 5),
            // The clock was set back.
            tally(1_003, 1, Counted::Canceled, 1),
        ];
        let points = Span::of(NOW, 5).points(&tallies);
        let first = Point {
            time: 996 * 60,
            accepted: 7,
            succeeded: 4,
            bytes: 40,
            seconds: 3.0,
            ..Point::default()
        };
        let last =
            Point { time: 1_000 * 60, failed: 1, put_off: 5, canceled: 1, ..Point::default() };
        assert_eq!((&points[0], &points[4]), (&first, &last));
        assert_eq!(points[1], Point { time: 997 * 60, ..Point::default() });
    }

    #[test]
    fn the_queues_length_is_reckoned_backwards_from_now() {
        let point = |accepted, succeeded, failed, canceled, put_off| Point {
            accepted,
            succeeded,
            failed,
            canceled,
            put_off,
            ..Point::default()
        };
        // Ten were there before: 10 + 5 - 3 = 12, nothing, then 12 + 2 - 1 - 1 - 4 = 8.
        let points = vec![point(5, 3, 0, 0, 9), point(0, 0, 0, 0, 0), point(2, 1, 1, 4, 0)];
        let depth = |queue| -> Vec<u64> {
            with_depth(points.clone(), &queue).iter().map(|point| point.unfinished).collect()
        };
        let queue = QueueInfo { pending: 5, running: 2, waiting: 1, ..QueueInfo::default() };
        assert_eq!(depth(queue), [12, 12, 8]);
        // Jobs of before the tallies: never below nothing.
        let only_accepted = vec![point(0, 0, 0, 0, 0), point(9, 0, 0, 0, 0)];
        let depth = with_depth(only_accepted, &QueueInfo { pending: 4, ..QueueInfo::default() });
        assert_eq!(depth.iter().map(|point| point.unfinished).collect::<Vec<_>>(), [0, 4]);
    }

    #[test]
    fn failures_are_counted_by_code_the_most_frequent_first() {
        let failed = |code: &str, jobs| tally(1_000, 1, Counted::Failed(code.to_owned()), jobs);
        let put_off = |code: &str, jobs| tally(1_000, 1, Counted::PutOff(code.to_owned()), jobs);
        let tallies =
            [failed("A", 1), failed("B", 2), put_off("A", 9), put_off("C", 1), failed("B", 2)];
        let counted: Vec<(String, u64, u64)> = failures(&tallies)
            .into_iter()
            .map(|count| (count.error_code, count.jobs, count.put_off))
            .collect();
        let expected = [("B", 4, 0), ("A", 1, 9), ("C", 0, 1)];
        assert_eq!(counted, expected.map(|(code, jobs, off)| (code.to_owned(), jobs, off)));
    }

    #[test]
    fn an_answer_is_kept_for_a_second_for_each_hour_and_for_its_question_alone() {
        let answers = Answers::default();
        let (mine, all) = ((Some(AccountId(1)), 60), (None, 120));
        let then = Instant::now();
        answers.keep(mine, Arc::default(), then);
        answers.keep(all, Arc::default(), then);
        assert!(answers.recent((Some(AccountId(2)), 60), then).is_none());
        assert!(answers.recent((None, 60), then).is_none());
        let kept = |after| {
            let now = then + Duration::from_millis(after);
            [mine, all].map(|question| answers.recent(question, now).is_some())
        };
        assert_eq!((kept(999), kept(1_000), kept(2_000)), ([true; 2], [false, true], [false; 2]));
        for minutes in 0..10 * u32::try_from(ANSWERS_KEPT).unwrap() {
            answers.keep((None, minutes), Arc::default(), then);
        }
        assert!(answers.0.lock().unwrap().len() <= ANSWERS_KEPT);
    }

    #[test]
    fn only_a_job_that_is_ready_has_waited() {
        let queue = |oldest_ready| AccountQueue {
            account: AccountId(1),
            pending: 1,
            running: 2,
            waiting: 3,
            awaiting: 0,
            oldest_ready,
        };
        let later = queue(Some(NOW + Duration::from_secs(5)));
        let ready = queue(Some(Timestamp(NOW.0 - 7_500)));
        assert_eq!(sum(&[later], NOW).oldest_ready_seconds, None);
        assert_eq!(sum(&[queue(None), later, ready], NOW).oldest_ready_seconds, Some(7));
        assert_eq!(sum(&[later, ready], NOW).waiting, 6);
    }
}
