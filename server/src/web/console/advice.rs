//! What to do: the few situations in which an operator should act, told from the figures of the
//! overview. The worst comes first.

use wire::reply::GetUploadStatisticsReply;

use super::causes::cause_of;
use super::format::{bytes, duration};
use super::view::jobs;

/// The disk is nearly full when less than this many times `min_free` is left.
const NEARLY: u64 = 2;
/// A job that has been ready this long, in seconds, waits too long.
const LONG_WAIT: u64 = 300;
/// This many failures of one kind are a pattern.
const MANY: u64 = 5;

/// One thing to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Advice {
    /// `bad`, `warn`, or nothing.
    pub(super) tone: &'static str,
    pub(super) title: String,
    pub(super) text: String,
    /// Where to, and its words.
    pub(super) link: Option<(String, &'static str)>,
    /// A command to copy.
    pub(super) command: Option<&'static str>,
}

impl Advice {
    fn new(tone: &'static str, title: impl Into<String>, text: impl Into<String>) -> Self {
        Self { tone, title: title.into(), text: text.into(), link: None, command: None }
    }
}

pub(super) fn advise(reply: &GetUploadStatisticsReply, draining: bool) -> Vec<Advice> {
    let mut found = Vec::new();
    if draining {
        found.push(Advice::new(
            "warn",
            "The server is stopping",
            "It takes no new work and finishes what runs. Jobs that are left go on after the next \
             start.",
        ));
    }
    about_the_node(reply, &mut found);
    about_the_queue(reply, &mut found);
    found.sort_by_key(|advice| match advice.tone {
        "bad" => 0,
        "warn" => 1,
        _ => 2,
    });
    found
}

fn about_the_node(reply: &GetUploadStatisticsReply, found: &mut Vec<Advice>) {
    let Some(node) = &reply.node else { return };
    let (free, least) = (node.free_bytes, node.min_free_bytes);
    if free < least {
        found.push(Advice::new(
            "bad",
            "The disk is full: uploads are refused",
            format!(
                "{} are free, and {} must stay free (min_free). Delete media or make room; it goes \
                 on by itself.",
                bytes(free),
                bytes(least)
            ),
        ));
    } else if free < least.saturating_mul(NEARLY) {
        found.push(Advice::new(
            "warn",
            "The disk is nearly full",
            format!(
                "{} are free. Below {} (min_free) new uploads are refused.",
                bytes(free),
                bytes(least)
            ),
        ));
    }
    if node.probe != "ffprobe" {
        found.push(Advice {
            command: Some("apt install ffmpeg"),
            ..Advice::new(
                "",
                "ffprobe was not found",
                "Built-in readers tell duration and size of the common formats. With ffprobe on \
                 the server's PATH all formats are told, after a restart.",
            )
        });
    }
}

fn about_the_queue(reply: &GetUploadStatisticsReply, found: &mut Vec<Advice>) {
    let queue = &reply.queue;
    if let Some(age) = queue.oldest_ready_seconds.filter(|age| *age >= LONG_WAIT) {
        found.push(Advice {
            link: Some(("/console/configuration".to_owned(), "See transfers"))
                .filter(|_| reply.node.is_some()),
            ..Advice::new(
                "warn",
                format!("A job has been ready for {}", duration(age)),
                "All places are taken, by large files or slow sources. More transfers at once \
                 (transfers, per_account) shorten the wait where the line has room.",
            )
        });
    }
    if queue.halted > 0 {
        let one = queue.halted == 1;
        let (need, their) =
            if one { ("needs", "Its source refuses") } else { ("need", "Their sources refuse") };
        found.push(Advice {
            link: Some((super::form::link("/console/jobs", [("status", "awaiting")]), "See them")),
            command: Some("haulage jobs --status AWAITING_URL"),
            ..Advice::new(
                "warn",
                format!("{} {need} another URL", jobs(queue.halted)),
                format!(
                    "{their} the link after a part was received, mostly because it has expired. \
                     What was received is kept until the job's deadline: give it a new link."
                ),
            )
        });
    }
    about_pauses(reply, found);
    for failure in reply.failures.iter().filter(|failure| failure.jobs >= MANY).take(2) {
        let cause = cause_of(&failure.error_code);
        found.push(Advice {
            link: Some((
                super::form::link(
                    "/console/jobs",
                    [("status", "failed"), ("code", failure.error_code.as_str())],
                ),
                "See them",
            )),
            ..Advice::new(
                "warn",
                format!("{} failed with {}", jobs(failure.jobs), failure.error_code),
                cause.map(|cause| cause.fix).unwrap_or("Open one of them to see why."),
            )
        });
    }
    let nothing_queued = queue.pending + queue.running + queue.waiting + queue.halted == 0;
    if nothing_queued && reply.points.iter().all(|point| point.accepted == 0) {
        found.push(Advice {
            link: Some(("/console/submit".to_owned(), "Submit here")),
            command: Some("haulage submit https://media.example/film.mp4 --watch"),
            ..Advice::new(
                "",
                "The queue is empty",
                "Submit a URL here, from the command line, or with an SDK; the API explorer \
                 writes the call in your language.",
            )
        });
    }
}

/// Queues that an operator has paused, as long as something waits in them.
fn about_pauses(reply: &GetUploadStatisticsReply, found: &mut Vec<Advice>) {
    let paused: Vec<_> = reply.accounts.iter().filter(|a| a.paused && a.pending > 0).collect();
    if let Some(first) = paused.first() {
        let waiting: u64 = paused.iter().map(|account| account.pending).sum();
        let who = match paused.len() {
            1 => format!("The queue of {} is paused", first.account),
            some => format!("The queues of {some} accounts are paused"),
        };
        found.push(Advice {
            link: Some(("/console/accounts".to_owned(), "Accounts"))
                .filter(|_| reply.node.is_some()),
            command: reply.node.as_ref().map(|_| "haulage account resume NAME"),
            ..Advice::new(
                "warn",
                who,
                format!(
                    "{} pending there; none is started until an operator resumes it. Their \
                     deadlines go on.",
                    if waiting == 1 {
                        "1 job is".to_owned()
                    } else {
                        format!("{} are", jobs(waiting))
                    }
                ),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use wire::reply::{AccountLoad, FailureCount, NodeInfo, Point, QueueInfo};

    use super::*;

    fn node(free: u64) -> NodeInfo {
        NodeInfo {
            free_bytes: free,
            min_free_bytes: 1_000,
            probe: "ffprobe".to_owned(),
            ..NodeInfo::default()
        }
    }

    fn titles(reply: &GetUploadStatisticsReply) -> Vec<String> {
        advise(reply, false).into_iter().map(|advice| advice.title).collect()
    }

    fn busy() -> GetUploadStatisticsReply {
        GetUploadStatisticsReply {
            points: vec![Point { accepted: 1, ..Point::default() }],
            ..GetUploadStatisticsReply::default()
        }
    }

    #[test]
    fn a_healthy_node_gets_no_advice() {
        let reply = GetUploadStatisticsReply { node: Some(node(5_000)), ..busy() };
        assert_eq!(titles(&reply), Vec::<String>::new());
    }

    #[test]
    fn an_empty_queue_is_told_how_to_submit() {
        let advice = advise(&GetUploadStatisticsReply::default(), false);
        assert_eq!(advice[0].title, "The queue is empty");
        assert!(advice[0].command.is_some() && advice[0].link.is_some());
    }

    #[test]
    fn the_worst_comes_first() {
        let mut reply = GetUploadStatisticsReply { node: Some(node(999)), ..busy() };
        reply.queue = QueueInfo { oldest_ready_seconds: Some(LONG_WAIT), ..QueueInfo::default() };
        reply.failures = vec![
            FailureCount { error_code: "StorageError".to_owned(), jobs: MANY, put_off: 0 },
            FailureCount { error_code: "InternalError".to_owned(), jobs: MANY - 1, put_off: 9 },
        ];
        assert_eq!(
            titles(&reply),
            [
                "The disk is full: uploads are refused",
                "A job has been ready for 5 min",
                "5 jobs failed with StorageError",
            ]
        );
        reply.node = Some(NodeInfo { probe: "built-in readers".to_owned(), ..node(1_999) });
        assert!(titles(&reply).contains(&"The disk is nearly full".to_owned()));
        assert!(titles(&reply).contains(&"ffprobe was not found".to_owned()));
    }

    #[test]
    fn jobs_that_need_another_url_are_told_of() {
        let mut reply = busy();
        reply.queue.halted = 1;
        let advice = advise(&reply, false);
        assert_eq!(advice[0].title, "1 job needs another URL");
        assert_eq!(advice[0].link.as_ref().unwrap().0, "/console/jobs?status=awaiting");
        reply.queue.halted = 2;
        assert_eq!(titles(&reply), ["2 jobs need another URL"]);
        reply.points.clear();
        assert_eq!(titles(&reply), ["2 jobs need another URL"], "the queue is not empty");
    }

    #[test]
    fn paused_queues_with_jobs_in_them_are_named() {
        let load = |account: &str, paused, pending| AccountLoad {
            account: account.to_owned(),
            paused,
            pending,
            ..AccountLoad::default()
        };
        let mut reply = busy();
        reply.accounts = vec![load("one", true, 0), load("two", false, 9)];
        assert_eq!(titles(&reply), Vec::<String>::new(), "nothing waits there");
        reply.accounts.push(load("press", true, 1));
        assert_eq!(titles(&reply), ["The queue of press is paused"]);
        assert!(advise(&reply, false)[0].text.starts_with("1 job is pending"));
        assert_eq!(advise(&reply, false)[0].link, None, "only operators have that page");
        reply.accounts.push(load("desk", true, 2));
        assert_eq!(titles(&reply), ["The queues of 2 accounts are paused"]);
    }

    #[test]
    fn a_draining_server_says_so() {
        assert!(advise(&busy(), true).iter().any(|a| a.title == "The server is stopping"));
    }
}
