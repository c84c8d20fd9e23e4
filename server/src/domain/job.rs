//! The job and its state machine.
//!
//! [`apply`] is the whole rule: which event changes which state into what. It is pure, and it is
//! the oracle: the conformance suite walks every state and event on every store backend and
//! compares with it. `docs/state-machine.md` is printed from it by a test.

use std::fmt;

use super::account::AccountId;
use super::digest::Declared;
use super::fault::JobFault;
use super::id::Key;
use super::priority::Priority;
use super::source_url::SourceUrl;
use super::time::Timestamp;

/// A fencing token: the generation of a job's lease. Each claim takes a greater one; whoever
/// writes for a job names the token it was given, and a write with any other token changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub i64);

/// Where a job stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// Accepted and never started: the only state that `CancelUrlUploadJobs` can cancel.
    Pending,
    /// A worker holds the lease: until `until`, only writes with `token` change the job.
    Running { token: Token, until: Timestamp },
    /// Was started and will start again at `due`. On the wire it is in progress, and it is not
    /// cancellable (decision 4): a request may already have been sent for it.
    Waiting { due: Timestamp },
    /// Stored, verified, probed and committed. Final.
    Succeeded,
    /// A fault ended it. Final.
    Failed(JobFault),
    /// Cancelled while pending; it never sent a request. Final.
    Canceled,
    /// The origin refuses the URL (`fault` says how), but bytes of the source are here already.
    /// They are kept until somebody gives another URL for the same file, or until `until`, the
    /// job's deadline, when the job fails. On the wire it is in progress, like [`State::Waiting`].
    AwaitingUrl { fault: JobFault, until: Timestamp },
}

/// The name of a [`State`] without its data, as the store keeps it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum StateKind {
    Pending = 0,
    Running = 1,
    Waiting = 2,
    Succeeded = 3,
    Failed = 4,
    Canceled = 5,
    AwaitingUrl = 6,
}

impl StateKind {
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Running,
        Self::Waiting,
        Self::Succeeded,
        Self::Failed,
        Self::Canceled,
        Self::AwaitingUrl,
    ];

    /// Whether no event changes a job in this state any more.
    pub fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::Running | Self::Waiting | Self::AwaitingUrl => false,
            Self::Succeeded | Self::Failed | Self::Canceled => true,
        }
    }
}

impl State {
    pub fn kind(&self) -> StateKind {
        match self {
            Self::Pending => StateKind::Pending,
            Self::Running { .. } => StateKind::Running,
            Self::Waiting { .. } => StateKind::Waiting,
            Self::Succeeded => StateKind::Succeeded,
            Self::Failed(_) => StateKind::Failed,
            Self::Canceled => StateKind::Canceled,
            Self::AwaitingUrl { .. } => StateKind::AwaitingUrl,
        }
    }
}

/// What can happen to a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A worker takes the lease at `now`.
    Claim { now: Timestamp, token: Token, until: Timestamp },
    /// The worker is alive.
    Beat { token: Token, until: Timestamp },
    /// The worker stops for a reason of ours: the job goes back at no cost, until `due`.
    HandBack { token: Token, due: Timestamp },
    /// A transient fault: try again at `due`.
    RetryLater { token: Token, due: Timestamp },
    /// Published; the medium is fixed.
    Succeed { token: Token },
    /// A permanent fault, or the attempts are used up.
    Fail { token: Token, fault: JobFault },
    /// The reaper finds the lease past its end.
    Expire { now: Timestamp },
    /// `CancelUrlUploadJobs`.
    Cancel,
    /// The origin refuses the URL while bytes of the source are here: wait for another URL, at
    /// most until `until`.
    Halt { token: Token, fault: JobFault, until: Timestamp },
    /// `ReplaceUploadUrl`: goes on at once, with a new budget of attempts.
    ReplaceUrl { now: Timestamp },
    /// The wait for another URL is over.
    Lapse { now: Timestamp },
}

impl Event {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Claim { .. } => "claim",
            Self::Beat { .. } => "beat",
            Self::HandBack { .. } => "hand_back",
            Self::RetryLater { .. } => "retry_later",
            Self::Succeed { .. } => "succeed",
            Self::Fail { .. } => "fail",
            Self::Expire { .. } => "expire",
            Self::Cancel => "cancel",
            Self::Halt { .. } => "halt",
            Self::ReplaceUrl { .. } => "replace_url",
            Self::Lapse { .. } => "lapse",
        }
    }
}

/// The part of a job that events change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    pub state: State,
    /// Attempts charged so far; the current one included while running.
    pub attempt: u32,
    /// Leases that ended without a word of their worker. Counted apart from attempts: a crash is
    /// not the source's fault, but a job that keeps killing its worker must end too.
    pub rescues: u32,
    /// How often its URL was replaced.
    pub renewals: u32,
}

impl Progress {
    /// Of a job just accepted.
    pub fn new() -> Self {
        Self { state: State::Pending, attempt: 0, rescues: 0, renewals: 0 }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

/// An event that does not apply: the job stays as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    pub state: StateKind,
    pub event: &'static str,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} does not apply to a job that is {:?}", self.event, self.state)
    }
}

impl std::error::Error for Refused {}

/// Applies `event` to a job.
///
/// # Errors
/// [`Refused`] when the event does not apply: the state does not allow it, the token is not the
/// current one, or it is not yet time.
pub fn apply(job: &Progress, event: &Event) -> Result<Progress, Refused> {
    let refused = || Refused { state: job.state.kind(), event: event.name() };
    // Everything a worker writes is fenced by the token of the lease in force.
    let fenced = |given: &Token| match &job.state {
        State::Running { token, .. } if token == given => Ok(()),
        State::Running { .. }
        | State::Pending
        | State::Waiting { .. }
        | State::Succeeded
        | State::Failed(_)
        | State::Canceled
        | State::AwaitingUrl { .. } => Err(refused()),
    };
    let with = |state: State| Progress { state, ..job.clone() };
    match event {
        Event::Claim { now, token, until } => {
            let ready = match &job.state {
                State::Pending => true,
                State::Waiting { due } => due <= now,
                State::Running { .. }
                | State::Succeeded
                | State::Failed(_)
                | State::Canceled
                | State::AwaitingUrl { .. } => false,
            };
            if !ready {
                return Err(refused());
            }
            let running = with(State::Running { token: *token, until: *until });
            Ok(Progress { attempt: job.attempt + 1, ..running })
        }
        Event::Beat { token, until } => {
            fenced(token)?;
            Ok(with(State::Running { token: *token, until: *until }))
        }
        Event::HandBack { token, due } => {
            fenced(token)?;
            let waiting = with(State::Waiting { due: *due });
            Ok(Progress { attempt: job.attempt.saturating_sub(1), ..waiting })
        }
        Event::RetryLater { token, due } => {
            fenced(token)?;
            Ok(with(State::Waiting { due: *due }))
        }
        Event::Succeed { token } => {
            fenced(token)?;
            Ok(with(State::Succeeded))
        }
        Event::Fail { token, fault } => {
            fenced(token)?;
            Ok(with(State::Failed(fault.clone())))
        }
        Event::Expire { now } => match &job.state {
            State::Running { until, .. } if until <= now => Ok(Progress {
                state: State::Waiting { due: *now },
                attempt: job.attempt.saturating_sub(1),
                rescues: job.rescues + 1,
                ..*job
            }),
            State::Running { .. }
            | State::Pending
            | State::Waiting { .. }
            | State::Succeeded
            | State::Failed(_)
            | State::Canceled
            | State::AwaitingUrl { .. } => Err(refused()),
        },
        Event::Cancel => match &job.state {
            State::Pending => Ok(with(State::Canceled)),
            State::Running { .. }
            | State::Waiting { .. }
            | State::Succeeded
            | State::Failed(_)
            | State::Canceled
            | State::AwaitingUrl { .. } => Err(refused()),
        },
        Event::Halt { token, fault, until } => {
            fenced(token)?;
            Ok(with(State::AwaitingUrl { fault: fault.clone(), until: *until }))
        }
        Event::ReplaceUrl { now } => match &job.state {
            State::AwaitingUrl { until, .. } if now < until => Ok(Progress {
                state: State::Waiting { due: *now },
                attempt: 0,
                renewals: job.renewals + 1,
                ..*job
            }),
            State::AwaitingUrl { .. }
            | State::Pending
            | State::Running { .. }
            | State::Waiting { .. }
            | State::Succeeded
            | State::Failed(_)
            | State::Canceled => Err(refused()),
        },
        Event::Lapse { now } => match &job.state {
            State::AwaitingUrl { until, fault } if until <= now => {
                Ok(with(State::Failed(fault.lapsed())))
            }
            State::AwaitingUrl { .. }
            | State::Pending
            | State::Running { .. }
            | State::Waiting { .. }
            | State::Succeeded
            | State::Failed(_)
            | State::Canceled => Err(refused()),
        },
    }
}

/// How far a running job has come, as GetURLUploadInfos shows it (contract §9.2). Written by the
/// worker under its lease; it decides nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Phase {
    Processing = 0,
    Downloading = 1,
    DownloadSuccess = 2,
    Uploading = 3,
    UploadSuccess = 4,
}

impl Phase {
    pub const ALL: [Self; 5] = [
        Self::Processing,
        Self::Downloading,
        Self::DownloadSuccess,
        Self::Uploading,
        Self::UploadSuccess,
    ];

    fn wire_status(self) -> &'static str {
        match self {
            Self::Processing => "PROCESSING",
            Self::Downloading => "DOWNLOADING",
            Self::DownloadSuccess => "DOWNLOAD_SUCCESS",
            Self::Uploading => "UPLOADING",
            Self::UploadSuccess => "UPLOAD_SUCCESS",
        }
    }
}

/// What the caller asked for, beside the URL: fixed at submission.
#[derive(Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct JobRequest {
    /// At most 128 bytes; the file name of the URL when the caller gave none.
    pub title: String,
    pub priority: Priority,
    /// The extension that names the container, lower case, without dot.
    pub extension: String,
    pub description: Option<String>,
    pub tags: Option<String>,
    pub cover_url: Option<String>,
    pub cate_id: Option<i64>,
    /// Bytes the caller expects, if it said so.
    pub file_size: Option<u64>,
    /// Digests the caller expects.
    pub declared: Declared,
    /// [`SourceHeaders`](super::source_headers::SourceHeaders), sealed, in Base64. The plain text
    /// never reaches a store.
    pub sealed_headers: Option<String>,
    pub reference_id: Option<String>,
    pub template_group_id: Option<String>,
    pub workflow_id: Option<String>,
    pub storage_location: Option<String>,
    pub app_id: Option<String>,
    /// The caller's UserData, as sent.
    pub user_data: Option<String>,
}

impl fmt::Debug for JobRequest {
    /// Shows the title alone: covers, headers and user data may carry secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobRequest({:?})", self.title)
    }
}

/// A job, whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    pub key: Key,
    pub account: AccountId,
    pub url: SourceUrl,
    pub request: JobRequest,
    pub created: Timestamp,
    /// When it was claimed last; `None` before the first claim, and for claims made before version
    /// 2 of the schema.
    pub claimed: Option<Timestamp>,
    /// Past this the job fails, waiting for retries included.
    pub deadline: Timestamp,
    pub progress: Progress,
    /// Of the current attempt.
    pub phase: Phase,
    /// Bytes received so far, as last written by the worker; the size once succeeded.
    pub bytes: u64,
    /// When the job became final.
    pub finished: Option<Timestamp>,
}

impl Job {
    /// The code of the fault that ended it.
    pub fn fault_code(&self) -> Option<&'static str> {
        match &self.progress.state {
            State::Failed(fault) => Some(fault.class.code()),
            State::Pending
            | State::Running { .. }
            | State::Waiting { .. }
            | State::Succeeded
            | State::Canceled
            | State::AwaitingUrl { .. } => None,
        }
    }

    /// The `Status` of the wire; one of the cloud's.
    pub fn wire_status(&self) -> &'static str {
        match &self.progress.state {
            State::Pending => "PENDING",
            State::Running { .. } => self.phase.wire_status(),
            // Between two attempts: started, so in progress (decision 4).
            State::Waiting { .. } | State::AwaitingUrl { .. } => "PROCESSING",
            State::Succeeded => "SUCCESS",
            State::Failed(fault) if fault.class.is_store_phase() => "UPLOAD_FAIL",
            State::Failed(_) => "DOWNLOAD_FAIL",
            State::Canceled => "CANCELED",
        }
    }

    /// As [`Job::wire_status`], for callers that asked for what this server adds: a job that waits
    /// for another URL is `AWAITING_URL`.
    pub fn full_status(&self) -> &'static str {
        match &self.progress.state {
            State::AwaitingUrl { .. } => AWAITING_URL,
            State::Pending
            | State::Running { .. }
            | State::Waiting { .. }
            | State::Succeeded
            | State::Failed(_)
            | State::Canceled => self.wire_status(),
        }
    }
}

/// A status of ours, see [`Job::full_status`].
pub const AWAITING_URL: &str = "AWAITING_URL";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fault::FaultClass;

    const NOW: Timestamp = Timestamp(1_000);
    const LATER: Timestamp = Timestamp(2_000);
    const HELD: Token = Token(7);
    /// Between the two.
    const HALTED_UNTIL: Timestamp = Timestamp(1_500);

    fn refusal() -> JobFault {
        JobFault::new(FaultClass::HttpStatus, "The origin answered 403: the link has expired.")
    }

    fn in_state(kind: StateKind) -> Progress {
        let state = match kind {
            StateKind::Pending => State::Pending,
            StateKind::Running => State::Running { token: HELD, until: NOW },
            StateKind::Waiting => State::Waiting { due: NOW },
            StateKind::Succeeded => State::Succeeded,
            StateKind::Failed => State::Failed(JobFault::new(FaultClass::Empty, "no bytes")),
            StateKind::Canceled => State::Canceled,
            StateKind::AwaitingUrl => State::AwaitingUrl { fault: refusal(), until: HALTED_UNTIL },
        };
        let attempt = u32::from(kind != StateKind::Pending && kind != StateKind::Canceled);
        Progress { state, attempt, rescues: 0, renewals: 0 }
    }

    fn events(token: Token) -> [Event; 11] {
        let fault = JobFault::new(FaultClass::Empty, "no bytes");
        [
            Event::Claim { now: NOW, token: Token(8), until: LATER },
            Event::Beat { token, until: LATER },
            Event::HandBack { token, due: NOW },
            Event::RetryLater { token, due: LATER },
            Event::Succeed { token },
            Event::Fail { token, fault },
            Event::Expire { now: NOW },
            Event::Cancel,
            Event::Halt { token, fault: refusal(), until: LATER },
            Event::ReplaceUrl { now: NOW },
            Event::Lapse { now: LATER },
        ]
    }

    /// The table of `docs/state-machine.md`, cell by cell.
    fn table() -> String {
        let mut out = String::from("| state |");
        for event in events(HELD) {
            out += &format!(" {} |", event.name());
        }
        out += "\n|---|---|---|---|---|---|---|---|---|---|---|---|\n";
        for kind in StateKind::ALL {
            out += &format!("| {kind:?} |");
            for event in events(HELD) {
                let cell = match apply(&in_state(kind), &event) {
                    Ok(next) => format!("{:?}", next.state.kind()),
                    Err(_) => "–".to_owned(),
                };
                out += &format!(" {cell} |");
            }
            out.push('\n');
        }
        out
    }

    #[test]
    fn the_printed_table_is_the_state_machine() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/state-machine.md");
        let document = std::fs::read_to_string(path).expect("docs/state-machine.md is there");
        assert!(
            document.contains(&table()),
            "docs/state-machine.md does not hold this table:\n{}",
            table()
        );
    }

    #[test]
    fn a_final_state_never_changes() {
        for kind in StateKind::ALL.into_iter().filter(|kind| kind.is_final()) {
            for event in events(HELD) {
                assert!(apply(&in_state(kind), &event).is_err(), "{kind:?} {event:?}");
            }
        }
    }

    #[test]
    fn a_worker_with_an_old_token_changes_nothing() {
        let events = events(Token(6));
        for event in events[1..6].iter().chain([&events[8]]) {
            assert!(apply(&in_state(StateKind::Running), event).is_err(), "{event:?}");
        }
    }

    #[test]
    fn only_a_pending_job_is_cancelled_even_when_handed_back() {
        let running = apply(&in_state(StateKind::Pending), &events(HELD)[0]).unwrap();
        assert_eq!(running.attempt, 1);
        let back = apply(&running, &Event::HandBack { token: Token(8), due: NOW }).unwrap();
        assert_eq!(back.attempt, 0, "our own stop costs no attempt");
        assert!(apply(&back, &Event::Cancel).is_err());
    }

    #[test]
    fn a_lease_in_force_does_not_expire_and_a_crash_is_not_charged_as_an_attempt() {
        let running = in_state(StateKind::Running);
        assert!(apply(&running, &Event::Expire { now: Timestamp(999) }).is_err());
        let rescued = apply(&running, &Event::Expire { now: NOW }).unwrap();
        assert_eq!((rescued.attempt, rescued.rescues), (0, 1));
    }

    #[test]
    fn a_waiting_job_is_not_claimed_before_it_is_due() {
        let waiting =
            Progress { state: State::Waiting { due: LATER }, attempt: 1, rescues: 0, renewals: 0 };
        assert!(apply(&waiting, &events(HELD)[0]).is_err());
    }

    #[test]
    fn a_job_that_awaits_a_url_goes_on_before_its_deadline_and_fails_at_it() {
        let halted = in_state(StateKind::AwaitingUrl);
        let at =
            |ms| (Event::ReplaceUrl { now: Timestamp(ms) }, Event::Lapse { now: Timestamp(ms) });
        // Whatever the moment, exactly one of the two applies.
        for ms in [0, 1_499, 1_500, 1_501] {
            let (replace, lapse) = at(ms);
            let (replaced, lapsed) = (apply(&halted, &replace), apply(&halted, &lapse));
            assert_eq!(replaced.is_ok(), ms < 1_500, "{ms}");
            assert_eq!(lapsed.is_ok(), ms >= 1_500, "{ms}");
        }
        let tried = Progress { attempt: 5, rescues: 2, renewals: 1, ..halted.clone() };
        let renewed = apply(&tried, &at(7).0).unwrap();
        assert_eq!(renewed.state, State::Waiting { due: Timestamp(7) });
        assert_eq!((renewed.attempt, renewed.rescues, renewed.renewals), (0, 2, 2));
        let State::Failed(fault) = apply(&halted, &at(1_500).1).unwrap().state else {
            panic!("a lapsed job has failed")
        };
        assert_eq!(fault.class, FaultClass::HttpStatus);
        assert!(fault.message.contains("the link has expired"), "{fault}");
        assert!(fault.message.ends_with("before the job's deadline."), "{fault}");
    }
}
