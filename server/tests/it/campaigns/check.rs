//! The checker of histories. An answer that a client did not get allows both ways.

use std::collections::{HashMap, HashSet};

use super::history::{Event, Line, Verdict, is_final};

/// What is known of one job.
#[derive(Debug, Default)]
struct Job {
    token: String,
    status: String,
    attempts: u64,
    rescues: u64,
}

#[derive(Debug, Default)]
struct Call {
    tokens: Vec<String>,
    jobs: Vec<String>,
    accepted: Option<Vec<(String, String)>>,
    cancelled: Option<(Vec<String>, Vec<String>)>,
    refused: bool,
}

#[derive(Debug, Default)]
struct Joined {
    calls: HashMap<u64, Call>,
    /// By job.
    finals: HashMap<String, Job>,
    /// By token.
    requests: HashMap<String, u64>,
    objects: HashMap<String, Vec<bool>>,
    /// By client and job, in the order of that client.
    seen: HashMap<(String, String), Vec<String>>,
}

/// Compares what the witnesses wrote with the invariants. What was told after `until` is no promise
/// (a backup's mark); `None` where everything is.
pub fn check(lines: &[Line], until: Option<u64>) -> Verdict {
    let joined = join(lines, until);
    let mut verdict = Verdict::default();
    let mut by_token: HashMap<&str, Vec<&str>> = HashMap::new();
    for (id, job) in &joined.finals {
        by_token.entry(&job.token).or_default().push(id);
    }
    submissions(&joined, &by_token, &mut verdict);
    cancels(&joined, &mut verdict);
    ends(&joined, &mut verdict);
    // A restored copy is older than the origin's and the clients' memories.
    if until.is_none() {
        stories(&joined, &mut verdict);
    }
    objects(&joined, &by_token, &mut verdict);
    verdict
}

fn join(lines: &[Line], until: Option<u64>) -> Joined {
    let mut joined = Joined::default();
    for line in lines {
        let told = until.is_none_or(|until| line.at < until);
        match line.event.clone() {
            Event::Submit { call, tokens } => {
                joined.calls.entry(call).or_default().tokens = tokens;
            }
            Event::Cancel { call, jobs } => joined.calls.entry(call).or_default().jobs = jobs,
            Event::Accepted { call, jobs } if told => {
                joined.calls.entry(call).or_default().accepted = Some(jobs);
            }
            Event::Cancelled { call, jobs, unknown } if told => {
                joined.calls.entry(call).or_default().cancelled = Some((jobs, unknown));
            }
            Event::Refused { call, .. } if told => {
                joined.calls.entry(call).or_default().refused = true;
            }
            Event::Status { job, status } if told => {
                joined.seen.entry((line.who.clone(), job)).or_default().push(status);
            }
            Event::Accepted { .. }
            | Event::Cancelled { .. }
            | Event::Refused { .. }
            | Event::Status { .. } => {}
            Event::Request { token } => *joined.requests.entry(token).or_default() += 1,
            Event::Final { job, token, status, attempts, rescues } => {
                joined.finals.insert(job, Job { token, status, attempts, rescues });
            }
            Event::Object { token, whole } => joined.objects.entry(token).or_default().push(whole),
        }
    }
    joined
}

/// 1: what was accepted is there. 2: what got no answer is there entirely or not at all.
fn submissions(joined: &Joined, by_token: &HashMap<&str, Vec<&str>>, verdict: &mut Verdict) {
    let times = |token: &String| by_token.get(token.as_str()).map_or(0, Vec::len);
    for call in joined.calls.values().filter(|call| !call.tokens.is_empty()) {
        if let Some(jobs) = &call.accepted {
            verdict.acknowledged += jobs.len();
            for (token, id) in jobs {
                match joined.finals.get(id) {
                    None => verdict.violates(1, format!("job {id} of {token} is gone")),
                    Some(job) if job.token != *token => {
                        verdict.violates(1, format!("job {id} is of {}, not {token}", job.token));
                    }
                    Some(_) if times(token) != 1 => {
                        verdict.violates(2, format!("{token} has {} jobs", times(token)));
                    }
                    Some(_) => {}
                }
            }
            continue;
        }
        let there = call.tokens.iter().filter(|token| times(token) == 1).count();
        let none = call.tokens.iter().all(|token| times(token) == 0);
        if there == call.tokens.len() && !call.refused {
            verdict.unanswered.0 += 1;
        } else if none {
            verdict.unanswered.1 += 1;
        } else {
            verdict.violates(2, format!("{:?} happened in part, or though refused", call.tokens));
        }
    }
}

/// 6: a cancelled job has never been asked for, is stored nowhere, and stays cancelled. 7: a job that
/// was not cancelled, though known, had left the queue.
fn cancels(joined: &Joined, verdict: &mut Verdict) {
    let mut asked: HashMap<&str, usize> = HashMap::new();
    let mut winners: HashSet<&str> = HashSet::new();
    for call in joined.calls.values() {
        for job in &call.jobs {
            *asked.entry(job).or_default() += 1;
        }
    }
    for call in joined.calls.values() {
        let Some((cancelled, unknown)) = &call.cancelled else { continue };
        for id in cancelled {
            verdict.cancelled += 1;
            if !call.jobs.contains(id) || !winners.insert(id) {
                verdict.violates(8, format!("{id} was cancelled twice, or unasked"));
            }
            let Some(job) = joined.finals.get(id) else {
                verdict.violates(6, format!("cancelled job {id} is gone"));
                continue;
            };
            let requests = joined.requests.get(&job.token).copied().unwrap_or(0);
            if job.status != "CANCELED" || requests > 0 || joined.objects.contains_key(&job.token) {
                verdict.violates(
                    6,
                    format!("cancelled job {id} is {}, asked for {requests} times", job.status),
                );
            }
        }
        for id in unknown.iter().filter(|id| joined.finals.contains_key(*id)) {
            verdict.violates(7, format!("{id} was unknown to a cancel, and is known"));
        }
        for id in call.jobs.iter().filter(|id| !cancelled.contains(id) && asked[id.as_str()] == 1) {
            if joined.finals.get(id).is_some_and(|job| job.status == "CANCELED") {
                verdict.violates(7, format!("{id} is cancelled, and its only cancel said no"));
            }
        }
    }
}

/// 3: every job has ended. 4: as it was told to have ended. 17: nobody saw one go backwards.
fn ends(joined: &Joined, verdict: &mut Verdict) {
    for (id, job) in &joined.finals {
        if !is_final(&job.status) {
            verdict.violates(3, format!("{id} is {}", job.status));
        }
        verdict.successes += usize::from(job.status == "SUCCESS");
        verdict.rescues += usize::try_from(job.rescues).unwrap();
    }
    for ((who, id), seen) in &joined.seen {
        let Some(job) = joined.finals.get(id) else {
            verdict.violates(1, format!("job {id}, which {who} saw, is gone"));
            continue;
        };
        let mut last = 0;
        for status in seen {
            if is_final(status) && *status != job.status {
                verdict.violates(4, format!("{id} was {status} and is {}", job.status));
            }
            let rank = match status.as_str() {
                "PENDING" => 0,
                status if is_final(status) => 2,
                _ => 1,
            };
            if rank < last {
                verdict.violates(17, format!("{who} saw {id} go backwards: {seen:?}"));
            }
            last = rank;
        }
    }
}

/// 12: the origin was asked no more often than there were attempts, lost ones included.
fn stories(joined: &Joined, verdict: &mut Verdict) {
    for (id, job) in &joined.finals {
        let requests = joined.requests.get(&job.token).copied().unwrap_or(0);
        if requests > job.attempts + job.rescues {
            verdict.violates(
                12,
                format!(
                    "{id}: {requests} requests for {} attempts and {} lost ones",
                    job.attempts, job.rescues
                ),
            );
        }
    }
}

/// 9 and 10: a success has exactly one object, whole; nothing else has one.
fn objects(joined: &Joined, by_token: &HashMap<&str, Vec<&str>>, verdict: &mut Verdict) {
    for (token, found) in &joined.objects {
        if found.contains(&false) {
            verdict.violates(9, format!("the object of {token} is not whole"));
        }
        if found.len() > 1 {
            verdict.violates(10, format!("{token} has {} objects", found.len()));
        }
        let jobs = by_token.get(token.as_str()).map_or(&[][..], Vec::as_slice);
        if !jobs.iter().any(|id| joined.finals[*id].status == "SUCCESS") {
            verdict.violates(10, format!("{token} has an object and no success"));
        }
    }
    for (id, job) in joined.finals.iter().filter(|(_, job)| job.status == "SUCCESS") {
        if !joined.objects.contains_key(&job.token) {
            verdict.violates(10, format!("{id} is a success and has no object"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(events: &[Event]) -> Vec<Line> {
        let line = |(at, event): (usize, &Event)| Line {
            at: at as u64,
            who: "client".into(),
            event: event.clone(),
        };
        events.iter().enumerate().map(line).collect()
    }

    fn submit() -> Event {
        Event::Submit { call: 1, tokens: vec!["a".into(), "b".into()] }
    }

    fn accepted() -> Event {
        let jobs = vec![("a".into(), "ja".into()), ("b".into(), "jb".into())];
        Event::Accepted { call: 1, jobs }
    }

    fn ended(token: &str, status: &str) -> Event {
        Event::Final {
            job: format!("j{token}"),
            token: token.into(),
            status: status.into(),
            attempts: 1,
            rescues: 0,
        }
    }

    fn object(token: &str) -> Event {
        Event::Object { token: token.into(), whole: true }
    }

    fn request(token: &str) -> Event {
        Event::Request { token: token.into() }
    }

    fn cancel() -> Event {
        Event::Cancel { call: 2, jobs: vec!["jb".into()] }
    }

    fn cancelled(jobs: &[&str]) -> Event {
        let jobs = jobs.iter().map(|job| (*job).to_owned()).collect();
        Event::Cancelled { call: 2, jobs, unknown: Vec::new() }
    }

    fn sound() -> Vec<Event> {
        vec![
            submit(),
            accepted(),
            cancel(),
            cancelled(&["jb"]),
            Event::Status { job: "ja".into(), status: "PROCESSING".into() },
            Event::Status { job: "ja".into(), status: "SUCCESS".into() },
            request("a"),
            ended("a", "SUCCESS"),
            ended("b", "CANCELED"),
            object("a"),
        ]
    }

    #[test]
    fn a_sound_history_violates_nothing() {
        let verdict = check(&history(&sound()), None);
        assert!(verdict.violations.is_empty(), "{verdict:?}");
        assert_eq!((verdict.acknowledged, verdict.cancelled, verdict.successes), (2, 1, 1));
    }

    /// Each change of the sound history, with the invariant that it breaks.
    #[test]
    fn each_broken_invariant_is_found() {
        let status = |status: &str| Event::Status { job: "ja".into(), status: status.into() };
        let broken: [(u32, usize, Option<Event>); 10] = [
            (1, 8, None),
            (3, 7, Some(ended("a", "PROCESSING"))),
            (4, 5, Some(status("DOWNLOAD_FAIL"))),
            (6, 6, Some(request("b"))),
            (6, 8, Some(ended("b", "SUCCESS"))),
            (7, 3, Some(cancelled(&[]))),
            (8, 3, Some(cancelled(&["jb", "jb"]))),
            (9, 9, Some(Event::Object { token: "a".into(), whole: false })),
            (10, 9, None),
            (17, 5, Some(status("PENDING"))),
        ];
        for (invariant, at, instead) in broken {
            let mut events = sound();
            match instead.clone() {
                Some(event) => events[at] = event,
                None => drop(events.remove(at)),
            }
            let verdict = check(&history(&events), None);
            assert!(
                verdict.violations.contains_key(&invariant),
                "{invariant} by {instead:?} in place of {at}: {verdict:?}"
            );
        }
        let mut events = sound();
        events.extend([request("a"), request("a")]);
        assert!(check(&history(&events), None).violations.contains_key(&12));
    }

    #[test]
    fn what_got_no_answer_may_have_happened_and_not_in_part() {
        let unanswered = |rest: &[Event]| {
            let events: Vec<Event> =
                std::iter::once(submit()).chain(rest.iter().cloned()).collect();
            check(&history(&events), None)
        };
        assert_eq!(unanswered(&[]).unanswered, (0, 1));
        let both = [ended("a", "CANCELED"), ended("b", "CANCELED")];
        assert_eq!(unanswered(&both).unanswered, (1, 0));
        assert!(unanswered(&both[..1]).violations.contains_key(&2));
        let refused = Event::Refused { call: 1, code: "Throttling.User".into() };
        let happened = [both.to_vec(), vec![refused]].concat();
        assert!(unanswered(&happened).violations.contains_key(&2));
    }

    #[test]
    fn what_was_told_after_the_mark_is_no_promise() {
        let events = [submit(), accepted()];
        assert!(check(&history(&events), None).violations.contains_key(&1));
        assert!(check(&history(&events), Some(1)).violations.is_empty());
    }
}
