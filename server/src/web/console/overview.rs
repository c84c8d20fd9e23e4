//! `/console`: the queue, what became of jobs in the last while, who waits, and what to do.

use std::collections::BTreeSet;

use askama::Template;
use wire::reply::{AccountLoad, GetUploadStatisticsReply, NodeInfo, NodeSummary, Point, Reply};

use super::advice::{Advice, advise};
use super::causes::cause_of;
use super::chart::{Chart, Plot, Scale, Series, shares};
use super::form::link;
use super::format::{Moment, bytes, clock, count, duration, seconds, whole};
use super::page::{Answered, Frame, ok};
use super::visit::{Visit, unexpected};

/// The spans to choose from: minutes and words.
const SPANS: [(&str, &str); 4] =
    [("60", "1 hour"), ("360", "6 hours"), ("1440", "1 day"), ("2880", "2 days")];
/// Failures and accounts that are listed.
const ROWS: usize = 12;

#[derive(Template)]
#[template(path = "console/overview.html")]
struct OverviewPage {
    frame: Frame,
    spans: Vec<Span>,
    /// `the last 1 hour`.
    span: &'static str,
    all: bool,
    advice: Vec<Advice>,
    tiles: Vec<Tile>,
    charts: Vec<Chart>,
    figures: Vec<Figures>,
    failures: Vec<Failure>,
    accounts: Vec<Load>,
    node: Option<Node>,
    /// Empty where the visitor is not to see them.
    nodes: Vec<Member>,
    /// Of the nodes that are there.
    versions: usize,
}

struct Span {
    href: String,
    word: &'static str,
    current: bool,
}

struct Tile {
    href: String,
    name: &'static str,
    figure: String,
    aside: String,
}

/// A row of the table below the charts.
struct Figures {
    time: String,
    accepted: String,
    succeeded: String,
    failed: String,
    canceled: String,
    put_off: String,
    unfinished: String,
    bytes: String,
    latency: String,
}

struct Failure {
    code: String,
    jobs: String,
    put_off: String,
    cause: &'static str,
    list: String,
}

struct Load {
    name: String,
    paused: bool,
    href: String,
    pending: String,
    running: String,
    waiting: String,
    succeeded: String,
    failed: String,
    bytes: String,
    oldest: String,
    /// Start and width of what is running, waiting and pending, as shares of the largest queue.
    bars: Vec<(char, String, String)>,
}

/// A node of the database's list.
struct Member {
    info: NodeSummary,
    tone: &'static str,
    since: Moment,
    seen: Moment,
    transfers: String,
}

struct Node {
    info: NodeInfo,
    since: Moment,
    free: String,
    min_free: String,
    memory: Option<String>,
    speed: String,
}

pub(super) async fn show(visit: &Visit) -> Answered {
    let asked = visit.query.get("minutes").unwrap_or("60");
    let (minutes, span) = SPANS.iter().find(|(name, _)| *name == asked).unwrap_or(&SPANS[0]);
    let account = visit.account_or_all();
    let all = account == "*";
    let params = vec![("Account", account), ("Minutes", (*minutes).to_owned())];
    let reply = visit.call("GetUploadStatistics", params).await?;
    let Reply::GetUploadStatistics(reply) = reply else { return Err(unexpected(&reply).into()) };
    let of = visit.query.text("account");
    let spans = SPANS.iter().map(|(name, word)| Span {
        href: link("/console", [("minutes", *name), ("account", of.as_str())]),
        word,
        current: name == minutes,
    });
    ok(&OverviewPage {
        frame: Frame::new(visit, "/console"),
        spans: spans.collect(),
        span,
        all,
        advice: advise(&reply, visit.api.stop.is_draining()),
        tiles: tiles(&reply, &of),
        charts: charts(&reply.points),
        figures: reply.points.iter().rev().map(figures).collect(),
        failures: failures(&reply, &of),
        accounts: loads(&reply.accounts),
        node: reply.node.map(|info| node(info, visit.now)),
        versions: versions(&reply.nodes),
        nodes: reply.nodes.into_iter().map(|info| member(info, visit.now)).collect(),
    })
}

fn tiles(reply: &GetUploadStatisticsReply, account: &str) -> Vec<Tile> {
    let list = |status: &str| link("/console/jobs", [("status", status), ("account", account)]);
    let queue = &reply.queue;
    let slots = reply.node.as_ref().map(|node| format!("of {} places", node.transfer_limit));
    let done: u64 = reply.points.iter().map(|point| point.succeeded).sum();
    let failed: u64 = reply.points.iter().map(|point| point.failed).sum();
    let received: u64 = reply.points.iter().map(|point| point.bytes).sum();
    let oldest = queue.oldest_ready_seconds;
    let tile = |href: &str, name, figure: String, aside: String| Tile {
        href: list(href),
        name,
        figure,
        aside,
    };
    vec![
        tile(
            "pending",
            "Pending",
            count(queue.pending),
            oldest.map(|age| format!("oldest {}", duration(age))).unwrap_or_default(),
        ),
        tile("running", "Running", count(queue.running), slots.unwrap_or_default()),
        tile("running", "Waiting", count(queue.waiting), "try again after a fault".to_owned()),
        tile("succeeded", "Succeeded", count(done), bytes(received)),
        tile("failed", "Failed", count(failed), share(failed, done + failed)),
    ]
}

fn share(part: u64, of: u64) -> String {
    match of {
        0 => String::new(),
        _ => format!("{:.1} % of the finished", part as f64 * 100.0 / of as f64),
    }
}

fn charts(points: &[Point]) -> Vec<Chart> {
    let times: Vec<i64> = points.iter().map(|point| point.time).collect();
    // Minutes that a point stands for, so that rates are per minute whatever the span.
    let minutes = match times.as_slice() {
        [first, second, ..] => (second - first).max(60) as f64 / 60.0,
        _ => 1.0,
    };
    let rate = |of: fn(&Point) -> u64| -> Vec<Option<f64>> {
        points.iter().map(|point| Some(of(point) as f64 / minutes)).collect()
    };
    let total = |of: fn(&Point) -> u64| points.iter().map(of).sum::<u64>();
    let series = |name, colour, values| Series { name, colour, values };
    let depth: Vec<f64> = points.iter().map(|point| point.unfinished as f64).collect();
    let queue = Plot {
        id: "chart-queue",
        title: "Jobs in the queue",
        description: format!(
            "{} now, at most {}.",
            count(points.last().map_or(0, |point| point.unfinished)),
            count(points.iter().map(|point| point.unfinished).max().unwrap_or(0))
        ),
        times: &times,
        bars: vec![],
        line: Some(series(
            "pending, running or waiting",
            'a',
            depth.into_iter().map(Some).collect(),
        )),
        unit: short,
        scale: Scale::Decimal,
    };
    let ended = Plot {
        id: "chart-jobs",
        title: "Jobs per minute",
        description: format!(
            "{} accepted; {} succeeded, {} failed, {} were cancelled.",
            count(total(|p| p.accepted)),
            count(total(|p| p.succeeded)),
            count(total(|p| p.failed)),
            count(total(|p| p.canceled))
        ),
        times: &times,
        bars: vec![
            series("succeeded", 'e', rate(|p| p.succeeded)),
            series("failed", 'b', rate(|p| p.failed)),
            series("cancelled", 'd', rate(|p| p.canceled)),
        ],
        line: Some(series("accepted", 'a', rate(|p| p.accepted))),
        unit: short,
        scale: Scale::Decimal,
    };
    let received = Plot {
        id: "chart-bytes",
        title: "Stored per minute",
        description: format!("{} in all.", bytes(total(|p| p.bytes))),
        times: &times,
        bars: vec![series("stored", 'a', rate(|p| p.bytes))],
        line: None,
        unit: |value| bytes(whole(value)),
        scale: Scale::Decimal,
    };
    let latency: Vec<Option<f64>> =
        points.iter().map(|point| (point.succeeded > 0).then_some(point.seconds)).collect();
    let longest = latency.iter().flatten().copied().fold(0.0, f64::max);
    let time = Plot {
        id: "chart-latency",
        title: "From acceptance to success",
        description: format!("At most {} on average.", seconds(longest)),
        times: &times,
        bars: vec![],
        line: Some(series("on average", 'c', latency)),
        unit: seconds,
        scale: Scale::Time,
    };
    vec![queue.draw(4.0), ended.draw(4.0), received.draw(1_000.0), time.draw(1.0)]
}

/// A rate: whole where it can be.
fn short(value: f64) -> String {
    if value >= 10.0 || (value - value.round()).abs() < 0.005 {
        count(whole(value))
    } else {
        format!("{value:.1}")
    }
}

fn figures(point: &Point) -> Figures {
    Figures {
        time: clock(point.time),
        accepted: count(point.accepted),
        succeeded: count(point.succeeded),
        failed: count(point.failed),
        canceled: count(point.canceled),
        put_off: count(point.put_off),
        unfinished: count(point.unfinished),
        bytes: bytes(point.bytes),
        latency: if point.succeeded > 0 { seconds(point.seconds) } else { "–".to_owned() },
    }
}

fn failures(reply: &GetUploadStatisticsReply, account: &str) -> Vec<Failure> {
    let row = |failure: &wire::reply::FailureCount| Failure {
        jobs: count(failure.jobs),
        put_off: count(failure.put_off),
        cause: cause_of(&failure.error_code).map(|cause| cause.cause).unwrap_or_default(),
        list: link(
            "/console/jobs",
            [("status", "failed"), ("code", failure.error_code.as_str()), ("account", account)],
        ),
        code: failure.error_code.clone(),
    };
    reply.failures.iter().take(ROWS).map(row).collect()
}

fn loads(accounts: &[AccountLoad]) -> Vec<Load> {
    let queue = |load: &AccountLoad| load.pending + load.running + load.waiting;
    let largest = accounts.iter().map(queue).max().unwrap_or(0);
    let row = |load: &AccountLoad| {
        let parts = shares(&[load.running, load.waiting, load.pending], largest);
        Load {
            href: link("/console/jobs", [("account", load.account.as_str())]),
            name: load.account.clone(),
            paused: load.paused,
            pending: count(load.pending),
            running: count(load.running),
            waiting: count(load.waiting),
            succeeded: count(load.succeeded),
            failed: count(load.failed),
            bytes: bytes(load.bytes),
            oldest: load.oldest_ready_seconds.map_or("–".to_owned(), duration),
            bars: ['a', 'c', 'd'].into_iter().zip(parts).map(|(c, (x, w))| (c, x, w)).collect(),
        }
    };
    accounts.iter().take(ROWS).map(row).collect()
}

fn node(info: NodeInfo, now: i64) -> Node {
    Node {
        since: Moment::new(info.start_time, now),
        free: bytes(info.free_bytes),
        min_free: bytes(info.min_free_bytes),
        memory: (info.memory_bytes > 0).then(|| bytes(info.memory_bytes)),
        speed: format!("{}/s", bytes(info.receiving_bytes_per_second)),
        info,
    }
}

/// How many versions work side by side.
fn versions(nodes: &[NodeSummary]) -> usize {
    let there = nodes.iter().filter(|node| node.state != "Silent");
    there.map(|node| node.version.as_str()).collect::<BTreeSet<_>>().len()
}

fn member(info: NodeSummary, now: i64) -> Member {
    let tone = match info.state.as_str() {
        "Ready" => "good",
        "Draining" => "busy",
        _ => "bad",
    };
    Member {
        tone,
        since: Moment::new(info.start_time, now),
        seen: Moment::new(info.seen_time, now),
        transfers: count(info.running_transfers),
        info,
    }
}
