//! The operations that the cloud does not have: what an operator's console shows and does. The
//! console itself has no other way in, so that whatever it can do a key can do as well.

use super::operations::{INCLUDE_POSITION, JOB_FIELDS};
use super::rows::{always, optional, our_parameter, required, sometimes};
use super::{Access, Field, FieldKind, Kind, Operation, Parameter, URL_LIMIT};
use crate::code::Code;
use crate::params::VALUE_LIMIT;

/// Calls per second of an operation of ours.
const QPS: Option<u32> = Some(50);

/// Longest account name, in bytes.
const ACCOUNT_NAME: Kind = Kind::Text { max: 64 };

/// A parameter of ours that may be left out.
const fn may(
    name: &'static str,
    kind: Kind,
    example: &'static str,
    doc: &'static str,
) -> Parameter {
    our_parameter(optional(name, kind, example, doc))
}

/// A parameter of ours that must be there.
const fn must(
    name: &'static str,
    kind: Kind,
    example: &'static str,
    doc: &'static str,
) -> Parameter {
    required(may(name, kind, example, doc))
}

/// An operation of ours; the rows fill in what differs.
const fn ours(action: &'static str, access: Access) -> Operation {
    Operation {
        action,
        summary: "",
        doc: "",
        access,
        qps: QPS,
        daily: None,
        parameters: &[],
        reply: &[],
        errors: &[],
        ours: true,
    }
}

pub(super) const LIST_URL_UPLOAD_JOBS: Operation = Operation {
    summary: "Lists URL-based upload jobs, newest first.",
    doc: "An addition of this server: the cloud can look up jobs only by id or URL. A search that \
          has looked at many jobs pauses: a page may be short or empty and still have a NextToken; \
          go on from there until there is none. With Account=* operators see the jobs of every \
          account.",
    parameters: &[
        may(
            "Status",
            Kind::SomeOf(&[
                "PENDING",
                "PROCESSING",
                "DOWNLOADING",
                "DOWNLOAD_SUCCESS",
                "DOWNLOAD_FAIL",
                "UPLOADING",
                "UPLOAD_SUCCESS",
                "UPLOAD_FAIL",
                "SUCCESS",
                "CANCELED",
                "AWAITING_URL",
            ]),
            "PENDING,PROCESSING",
            "Only jobs in these statuses.",
        ),
        may("ErrorCode", Kind::Text { max: 64 }, "", "Only jobs that failed with this code."),
        may(
            "UploadURL",
            Kind::Text { max: URL_LIMIT },
            "",
            "Only jobs whose URL contains this, letter case included.",
        ),
        may(
            "StartTime",
            Kind::Time,
            "2026-01-02T03:04:05Z",
            "Only jobs created at this time or later.",
        ),
        may("EndTime", Kind::Time, "2036-01-02T03:04:05Z", "Only jobs created before this time."),
        may("NextToken", Kind::Text { max: 256 }, "", "NextToken of the page before."),
        may(
            "PageSize",
            Kind::Integer { min: 1, max: 100 },
            "20",
            "Jobs of one page, 20 by default.",
        ),
        INCLUDE_POSITION,
    ],
    reply: &[
        always("URLUploadInfoList", FieldKind::Flat(JOB_FIELDS), "The jobs, with Progress."),
        sometimes("NextToken", FieldKind::String, "For the next page; absent on the last."),
    ],
    errors: &[Code::InvalidParameterOf],
    ..ours("ListUrlUploadJobs", Access::List)
};

const OLDEST_READY: Field = sometimes(
    "OldestReadySeconds",
    FieldKind::Long,
    "How long the job that has been ready longest waits for a free place; jobs of paused accounts \
     wait for none.",
);

const AWAITING_URL: Field =
    always("AwaitingUrl", FieldKind::Long, "Jobs that go on when they are given another URL.");

pub(super) const REPLACE_UPLOAD_URL: Operation = Operation {
    summary: "Gives a job whose URL the source refuses another URL for the same file.",
    doc: "For jobs in the status AWAITING_URL: the source answered 401, 403 or 410, or the link has \
          expired, after bytes had been received. These are kept, and the transfer goes on from \
          there if the new URL leads to the same version of the file: a strong validator and the \
          length must be equal, else it begins anew. Headers and BasicAuth that were given for the \
          URL before are not used for this one: give them again. A repeated call changes nothing. \
          Without another URL the job fails at its deadline.",
    parameters: &[
        must(
            "JobId",
            Kind::Text { max: 128 },
            "341c92e6c18dc435ee31253685f80001",
            "Id of the job, as UploadMediaByURL answers it.",
        ),
        must(
            "UploadURL",
            Kind::Url { max: URL_LIMIT },
            "http://media.example/video01.mp4",
            "The new URL; percent-encoded or plain, as an item of UploadURLs.",
        ),
        may(
            "Headers",
            Kind::Json { max: VALUE_LIMIT },
            "",
            "As in UploadMetadatas: headers for the origin of the new URL.",
        ),
        may(
            "BasicAuth",
            Kind::Json { max: VALUE_LIMIT },
            "",
            "As in UploadMetadatas: User and Password for the origin of the new URL.",
        ),
    ],
    reply: &[
        always("JobId", FieldKind::String, "The job."),
        always("UploadURL", FieldKind::String, "Its URL from now on."),
        always(
            "Outcome",
            FieldKind::String,
            "Replaced, or Repeated: the job was given this URL before, and nothing has changed.",
        ),
    ],
    errors: &[
        Code::Missing,
        Code::InvalidParameterOf,
        Code::InvalidJobIdNotFound,
        Code::IncorrectJobStatus,
    ],
    ..ours("ReplaceUploadUrl", Access::Update)
};

pub(super) const GET_UPLOAD_STATISTICS: Operation = Operation {
    summary: "Counts jobs: the queue now, and what became of jobs in the last minutes.",
    doc: "Counts are kept for 48 hours, a minute each; longer spans are answered in at most 60 \
          points. Answers may be a second old. With Account=* operators see every account.",
    parameters: &[may(
        "Minutes",
        Kind::Integer { min: 5, max: 2_880 },
        "60",
        "How far back, 60 by default.",
    )],
    reply: &[
        always(
            "Queue",
            FieldKind::Object(&[
                always("Pending", FieldKind::Long, "Jobs not yet begun."),
                always("Running", FieldKind::Long, "Jobs in transfer."),
                always("Waiting", FieldKind::Long, "Jobs that try again after a fault."),
                AWAITING_URL,
                OLDEST_READY,
            ]),
            "The queue now.",
        ),
        always(
            "Points",
            FieldKind::Flat(&[
                always("Time", FieldKind::String, "UTC; when the point's minutes begin."),
                always("Accepted", FieldKind::Long, "Jobs taken in."),
                always("Succeeded", FieldKind::Long, "Jobs that became a media."),
                always("Failed", FieldKind::Long, "Jobs that failed."),
                always("Canceled", FieldKind::Long, "Jobs cancelled."),
                always("PutOff", FieldKind::Long, "Faults after which a job tries again."),
                always("Bytes", FieldKind::Long, "Of the jobs that became a media."),
                always(
                    "Seconds",
                    FieldKind::Double,
                    "From acceptance to success, on average; 0 without a success.",
                ),
                always(
                    "Unfinished",
                    FieldKind::Long,
                    "Jobs in the queue when the point's minutes end, whether they run or wait.",
                ),
            ]),
            "Evenly spaced, oldest first.",
        ),
        always(
            "Failures",
            FieldKind::Flat(&[
                always("ErrorCode", FieldKind::String, "Why."),
                always("Jobs", FieldKind::Long, "Jobs that failed with it."),
                always("PutOff", FieldKind::Long, "Attempts that failed with it and are repeated."),
            ]),
            "Most jobs first.",
        ),
        always(
            "Accounts",
            FieldKind::Flat(&[
                always("Account", FieldKind::String, "Its name."),
                always("Paused", FieldKind::Boolean, "Whether its queue is paused."),
                always("Pending", FieldKind::Long, "Jobs not yet begun."),
                always("Running", FieldKind::Long, "Jobs in transfer."),
                always("Waiting", FieldKind::Long, "Jobs that try again after a fault."),
                AWAITING_URL,
                always("Succeeded", FieldKind::Long, "In these minutes."),
                always("Failed", FieldKind::Long, "In these minutes."),
                always("Bytes", FieldKind::Long, "Of the jobs that succeeded."),
                OLDEST_READY,
            ]),
            "The account; with Account=* each that has jobs in the queue or in these minutes.",
        ),
        sometimes("Node", FieldKind::Object(NODE_FIELDS), "This server; for operators."),
        sometimes(
            "Nodes",
            FieldKind::Flat(NODE_SUMMARY_FIELDS),
            "All servers of this database that were seen within a day, as they last said of \
             themselves: those that work first, then the newest silent ones; for operators.",
        ),
    ],
    errors: &[Code::InvalidParameterOf],
    ..ours("GetUploadStatistics", Access::Get)
};

const NODE_SUMMARY_FIELDS: &[Field] = &[
    always("NodeId", FieldKind::String, "New with each start."),
    always("Address", FieldKind::String, "Where it listens."),
    always("Roles", FieldKind::String, "What it does: api, worker, or both."),
    always("Version", FieldKind::String, "Of Haulage."),
    always("StartTime", FieldKind::String, "UTC."),
    always("SeenTime", FieldKind::String, "UTC; when it last said so."),
    always("RunningTransfers", FieldKind::Long, "Then."),
    always(
        "State",
        FieldKind::String,
        "Ready; Draining, while it stops; Silent, when it was not seen for the length of a lease.",
    ),
    always("IsThis", FieldKind::Boolean, "Whether it is the server that answers."),
];

const NODE_FIELDS: &[Field] = &[
    always("Version", FieldKind::String, "Of Haulage."),
    always("StartTime", FieldKind::String, "UTC."),
    always("RunningTransfers", FieldKind::Long, "Now."),
    always("TransferLimit", FieldKind::Long, "At once, at most."),
    always("ReceivingBytesPerSecond", FieldKind::Long, "All transfers together."),
    always("FreeBytes", FieldKind::Long, "On the disk that transfers land on."),
    always("MinFreeBytes", FieldKind::Long, "Below it submissions are refused."),
    always("MemoryBytes", FieldKind::Long, "Resident; 0 where the system does not say."),
    always(
        "Probe",
        FieldKind::String,
        "What reads media: built-in readers alone, or ffprobe where they cannot tell all.",
    ),
    always("Draining", FieldKind::Boolean, "Whether the server is stopping."),
    always(
        "Storage",
        FieldKind::Flat(&[
            always("Location", FieldKind::String, "Its name."),
            always("Kind", FieldKind::String, "What it is: file, …"),
            always("Place", FieldKind::String, "Where it is, without secrets."),
        ]),
        "Where media are stored.",
    ),
];

pub(super) const GET_REQUEST_RECORD: Operation = Operation {
    summary: "Looks up a request of the last time by its RequestId.",
    doc: "This server remembers its newest requests in memory, those it refused included, without \
          parameters. An account sees the requests of its own keys, an operator all.",
    parameters: &[must(
        "Id",
        Kind::Text { max: 64 },
        "25818875-5F78-4D5C-8C3D-D73936420000",
        "The RequestId of the answer.",
    )],
    reply: &[always(
        "Record",
        FieldKind::Object(&[
            always("RequestId", FieldKind::String, "As asked."),
            always("Time", FieldKind::String, "UTC."),
            always("Operation", FieldKind::String, "`unknown` if the request names none."),
            always("AccessKeyId", FieldKind::String, "As named; empty if it names none."),
            sometimes("Account", FieldKind::String, "Whose key that is."),
            always("Status", FieldKind::Long, "HTTP status of the answer."),
            sometimes("ErrorCode", FieldKind::String, "If it was refused."),
            sometimes("ErrorMessage", FieldKind::String, "As answered, without a string to sign."),
            always("SourceIp", FieldKind::String, "Where it came from."),
            always("Milliseconds", FieldKind::Long, "Until the answer was ready."),
            always("Scheme", FieldKind::String, "Signed how: V1, V3, or session (the console)."),
        ]),
        "The request.",
    )],
    errors: &[Code::Missing, Code::InvalidParameterOf, Code::InvalidRequestIdNotFound],
    ..ours("GetRequestRecord", Access::Get)
};

const ACCOUNT_FIELDS: &[Field] = &[
    always("Name", FieldKind::String, "Its name."),
    always("Enabled", FieldKind::Boolean, "Whether its requests are taken."),
    always("Operator", FieldKind::Boolean, "Whether it may act for every account."),
    always("Weight", FieldKind::Long, "Its share of the transfers, 1 to 100."),
    always("Paused", FieldKind::Boolean, "Whether its queue is paused."),
    always("CreationTime", FieldKind::String, "UTC."),
];

pub(super) const LIST_ACCOUNTS: Operation = Operation {
    summary: "Lists all accounts.",
    doc: "For operators.",
    reply: &[always("Accounts", FieldKind::Flat(ACCOUNT_FIELDS), "Oldest first.")],
    errors: &[Code::ForbiddenRAM],
    ..ours("ListAccounts", Access::List)
};

pub(super) const CREATE_ACCOUNT: Operation = Operation {
    summary: "Makes an account.",
    doc: "For operators. Give it a key with CreateAccessKey.",
    parameters: &[
        must(
            "AccountName",
            ACCOUNT_NAME,
            "press",
            "1 to 64 letters, digits, `.`, `_` or `-`; no account has it yet.",
        ),
        may("Operator", Kind::Boolean, "false", "Whether it may act for every account."),
    ],
    reply: &[always("Account", FieldKind::Object(ACCOUNT_FIELDS), "The account.")],
    errors: &[Code::Missing, Code::InvalidParameterOf, Code::ForbiddenRAM],
    ..ours("CreateAccount", Access::Create)
};

pub(super) const UPDATE_ACCOUNT: Operation = Operation {
    summary: "Changes an account: disables it, gives it another weight, or pauses its queue.",
    doc: "For operators. Give one of Enabled, Weight and Paused, or several; what is left out stays \
          as it is. The requests of a disabled account are refused within a second, and its jobs go \
          on; nobody disables the account of the key that signs. While its queue is paused an \
          account's jobs are taken in and can be cancelled, and those that run go on, but no other \
          is started; their deadlines are not put off.",
    parameters: &[
        must("AccountName", ACCOUNT_NAME, "press", "The account."),
        may("Enabled", Kind::Boolean, "true", "Whether its requests are taken."),
        may(
            "Weight",
            Kind::Integer { min: 1, max: 100 },
            "1",
            "Its share of the transfers beside the weights of other accounts that have jobs waiting.",
        ),
        may("Paused", Kind::Boolean, "false", "Whether its queue is paused."),
    ],
    reply: &[always("Account", FieldKind::Object(ACCOUNT_FIELDS), "The account, changed.")],
    errors: &[Code::Missing, Code::MissingParameter, Code::InvalidParameterOf, Code::ForbiddenRAM],
    ..ours("UpdateAccount", Access::Update)
};

pub(super) const LIST_ACCESS_KEYS: Operation = Operation {
    summary: "Lists access keys, without their secrets.",
    doc: "The caller's own; operators name another Account, or `*` for all.",
    reply: &[always(
        "AccessKeys",
        FieldKind::Flat(&[
            always("AccessKeyId", FieldKind::String, "Its id."),
            always("Account", FieldKind::String, "Whose it is."),
            always("Status", FieldKind::String, "Active or Inactive."),
            always("CreationTime", FieldKind::String, "UTC."),
        ]),
        "Oldest first.",
    )],
    ..ours("ListAccessKeys", Access::List)
};

pub(super) const CREATE_ACCESS_KEY: Operation = Operation {
    summary: "Makes an access key and tells its secret, this once.",
    doc: "For operators. The server keeps the secret sealed and never shows it again.",
    parameters: &[must("AccountName", ACCOUNT_NAME, "press", "The account that the key is for.")],
    reply: &[
        always("AccessKeyId", FieldKind::String, "Its id."),
        always("AccessKeySecret", FieldKind::String, "Its secret; write it down."),
    ],
    errors: &[Code::Missing, Code::InvalidParameterOf, Code::ForbiddenRAM],
    ..ours("CreateAccessKey", Access::Create)
};

/// Named so that it is not taken for the `AccessKeyId` that signs.
const USER_ACCESS_KEY_ID: Parameter =
    must("UserAccessKeyId", Kind::Text { max: 128 }, "testid", "Id of the key.");

pub(super) const UPDATE_ACCESS_KEY: Operation = Operation {
    summary: "Disables an access key, or enables it again.",
    doc: "For operators; not for the key that signs the call. What a disabled key signs is refused \
          within a second.",
    parameters: &[
        USER_ACCESS_KEY_ID,
        must("Status", Kind::OneOf(&["Active", "Inactive"]), "Active", "What it becomes."),
    ],
    errors: &[Code::Missing, Code::InvalidParameterOf, Code::ForbiddenRAM],
    ..ours("UpdateAccessKey", Access::Update)
};

pub(super) const DELETE_ACCESS_KEY: Operation = Operation {
    summary: "Deletes an access key for good.",
    doc: "For operators; not for the key that signs the call. The console's sessions of the key \
          end with it.",
    parameters: &[USER_ACCESS_KEY_ID],
    errors: &[Code::Missing, Code::InvalidParameterOf, Code::ForbiddenRAM],
    ..ours("DeleteAccessKey", Access::Delete)
};

pub(super) const GET_CONFIGURATION: Operation = Operation {
    summary: "Shows every setting of this server, and where its value comes from.",
    doc: "For operators. Secrets are shown as (hidden).",
    reply: &[always(
        "Settings",
        FieldKind::Flat(&[
            always("Name", FieldKind::String, "As in the configuration file."),
            always("Value", FieldKind::String, "In force."),
            always("From", FieldKind::String, "flag, environment, file or default."),
            always("Doc", FieldKind::String, "What it is for."),
        ]),
        "In the order of the documentation.",
    )],
    errors: &[Code::ForbiddenRAM],
    ..ours("GetConfiguration", Access::Get)
};

pub(super) const CREATE_CONSOLE_SESSION: Operation = Operation {
    summary: "Makes a ticket that signs a browser in to the console, once.",
    doc: "Open /console/ticket?value=TICKET in a browser within a minute. The session acts as the \
          access key that signed this call, and ends with it. `haulage console` does both.",
    reply: &[
        always("Ticket", FieldKind::String, "Good for one sign-in."),
        always("ExpireTime", FieldKind::String, "UTC; good until then."),
    ],
    ..ours("CreateConsoleSession", Access::Create)
};
