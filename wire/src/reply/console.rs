//! Replies of the operations of ours: types, and their fields in the order of the table.

use std::fmt;

use super::fields::{Fields, flat, long, push, text, time};
use super::node::Node;

/// What `GetUploadStatistics` answers.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct GetUploadStatisticsReply {
    pub queue: QueueInfo,
    /// Evenly spaced, oldest first, at most 60.
    pub points: Vec<Point>,
    /// Most jobs first.
    pub failures: Vec<FailureCount>,
    pub accounts: Vec<AccountLoad>,
    /// For operators.
    pub node: Option<NodeInfo>,
    /// For operators; empty otherwise.
    pub nodes: Vec<NodeSummary>,
}

/// Jobs that are not done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QueueInfo {
    pub pending: u64,
    pub running: u64,
    pub waiting: u64,
    /// That await another URL.
    pub halted: u64,
    /// Age of the job that has been ready longest.
    pub oldest_ready_seconds: Option<u64>,
}

/// What became of jobs in a few minutes.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Point {
    /// When its minutes begin, in Unix seconds.
    pub time: i64,
    pub accepted: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub canceled: u64,
    pub put_off: u64,
    /// Of the jobs that succeeded.
    pub bytes: u64,
    /// From acceptance to success, on average; 0 without a success.
    pub seconds: f64,
    /// Accepted and not ended, when its minutes end; of the last point, now.
    pub unfinished: u64,
}

/// How often one thing went wrong.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FailureCount {
    pub error_code: String,
    /// Jobs that failed with it.
    pub jobs: u64,
    /// Attempts that failed with it and are repeated.
    pub put_off: u64,
}

/// An account's jobs: the queue now, and what became of jobs in the minutes asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AccountLoad {
    /// Its name.
    pub account: String,
    /// Whether its queue is paused.
    pub paused: bool,
    pub pending: u64,
    pub running: u64,
    pub waiting: u64,
    /// That await another URL.
    pub halted: u64,
    pub succeeded: u64,
    pub failed: u64,
    /// Of the jobs that succeeded.
    pub bytes: u64,
    pub oldest_ready_seconds: Option<u64>,
}

/// The server that answers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NodeInfo {
    pub version: String,
    /// Unix seconds.
    pub start_time: i64,
    pub running_transfers: u64,
    pub transfer_limit: u64,
    pub receiving_bytes_per_second: u64,
    pub free_bytes: u64,
    pub min_free_bytes: u64,
    /// Resident; 0 where the system does not say.
    pub memory_bytes: u64,
    /// `built-in readers`, or `ffprobe` where that is asked what they cannot tell.
    pub probe: String,
    pub draining: bool,
    pub storage: Vec<StorageInfo>,
}

/// A server that works on the same database, as it last said of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NodeSummary {
    /// New with each start.
    pub id: String,
    /// `HOST:PORT` where it listens.
    pub address: String,
    /// Separated by commas.
    pub roles: String,
    pub version: String,
    /// Unix seconds.
    pub start_time: i64,
    /// Unix seconds.
    pub seen_time: i64,
    pub running_transfers: u64,
    /// `Ready`, `Draining` or `Silent`.
    pub state: String,
    /// Whether it is the one that answers.
    pub is_this: bool,
}

/// Where media are stored.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StorageInfo {
    /// Its name.
    pub location: String,
    pub kind: String,
    /// Without secrets.
    pub place: String,
}

/// What `GetRequestRecord` answers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GetRequestRecordReply {
    pub record: RequestRecord,
}

/// A request of the last time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RequestRecord {
    pub request_id: String,
    /// Unix seconds.
    pub time: i64,
    /// `unknown` if the request names none.
    pub operation: String,
    /// As named; empty if the request names none.
    pub access_key_id: String,
    /// Name of the account whose key that is.
    pub account: Option<String>,
    /// HTTP status.
    pub status: u16,
    pub error_code: Option<String>,
    /// As answered, without a string to sign.
    pub error_message: Option<String>,
    pub source_ip: String,
    pub milliseconds: u64,
    /// `V1`, `V3` or `session`.
    pub scheme: String,
}

/// What `ListAccounts` answers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListAccountsReply {
    /// Oldest first.
    pub accounts: Vec<AccountInfo>,
}

/// What `CreateAccount` and `UpdateAccount` answer: the account as it is now.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AccountReply {
    pub account: AccountInfo,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AccountInfo {
    pub name: String,
    pub enabled: bool,
    pub operator: bool,
    /// 1 to 100.
    pub weight: u64,
    /// Whether its queue is paused.
    pub paused: bool,
    /// Unix seconds.
    pub creation_time: i64,
}

/// What `ListAccessKeys` answers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListAccessKeysReply {
    /// Oldest first.
    pub keys: Vec<AccessKeyInfo>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AccessKeyInfo {
    pub access_key_id: String,
    /// Name of its account.
    pub account: String,
    /// `Active` or `Inactive`.
    pub status: String,
    /// Unix seconds.
    pub creation_time: i64,
}

/// What `CreateAccessKey` answers, once.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct CreateAccessKeyReply {
    pub access_key_id: String,
    pub access_key_secret: String,
}

/// No secret.
impl fmt::Debug for CreateAccessKeyReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CreateAccessKeyReply({})", self.access_key_id)
    }
}

/// What `GetConfiguration` answers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GetConfigurationReply {
    /// In the order of the documentation.
    pub settings: Vec<SettingInfo>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SettingInfo {
    pub name: String,
    /// A secret is `(hidden)`.
    pub value: String,
    /// `flag`, `environment`, `file` or `default`.
    pub from: String,
    pub doc: String,
}

/// What `CreateConsoleSession` answers.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct CreateConsoleSessionReply {
    /// Good for one sign-in.
    pub ticket: String,
    /// Unix seconds.
    pub expire_time: i64,
}

/// No ticket.
impl fmt::Debug for CreateConsoleSessionReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CreateConsoleSessionReply(until {})", self.expire_time)
    }
}

impl GetUploadStatisticsReply {
    pub(super) fn fields_into<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.push(("Queue", self.queue.node()));
        fields.push(("Points", flat(&self.points, Point::node)));
        fields.push(("Failures", flat(&self.failures, FailureCount::node)));
        fields.push(("Accounts", flat(&self.accounts, AccountLoad::node)));
        push(fields, "Node", self.node.as_ref().map(NodeInfo::node));
        let is_told = !self.nodes.is_empty();
        push(fields, "Nodes", is_told.then(|| flat(&self.nodes, NodeSummary::node)));
    }
}

impl QueueInfo {
    fn node(&self) -> Node<'static> {
        let mut fields = vec![
            ("Pending", long(self.pending)),
            ("Running", long(self.running)),
            ("Waiting", long(self.waiting)),
            ("AwaitingUrl", long(self.halted)),
        ];
        push(&mut fields, "OldestReadySeconds", self.oldest_ready_seconds.map(long));
        Node::Object(fields)
    }
}

impl Point {
    fn node(&self) -> Node<'_> {
        Node::Object(vec![
            ("Time", time(self.time)),
            ("Accepted", long(self.accepted)),
            ("Succeeded", long(self.succeeded)),
            ("Failed", long(self.failed)),
            ("Canceled", long(self.canceled)),
            ("PutOff", long(self.put_off)),
            ("Bytes", long(self.bytes)),
            ("Seconds", Node::Float(self.seconds)),
            ("Unfinished", long(self.unfinished)),
        ])
    }
}

impl FailureCount {
    fn node(&self) -> Node<'_> {
        Node::Object(vec![
            ("ErrorCode", text(&self.error_code)),
            ("Jobs", long(self.jobs)),
            ("PutOff", long(self.put_off)),
        ])
    }
}

impl AccountLoad {
    fn node(&self) -> Node<'_> {
        let mut fields = vec![
            ("Account", text(&self.account)),
            ("Paused", Node::Bool(self.paused)),
            ("Pending", long(self.pending)),
            ("Running", long(self.running)),
            ("Waiting", long(self.waiting)),
            ("AwaitingUrl", long(self.halted)),
            ("Succeeded", long(self.succeeded)),
            ("Failed", long(self.failed)),
            ("Bytes", long(self.bytes)),
        ];
        push(&mut fields, "OldestReadySeconds", self.oldest_ready_seconds.map(long));
        Node::Object(fields)
    }
}

impl NodeInfo {
    fn node(&self) -> Node<'_> {
        Node::Object(vec![
            ("Version", text(&self.version)),
            ("StartTime", time(self.start_time)),
            ("RunningTransfers", long(self.running_transfers)),
            ("TransferLimit", long(self.transfer_limit)),
            ("ReceivingBytesPerSecond", long(self.receiving_bytes_per_second)),
            ("FreeBytes", long(self.free_bytes)),
            ("MinFreeBytes", long(self.min_free_bytes)),
            ("MemoryBytes", long(self.memory_bytes)),
            ("Probe", text(&self.probe)),
            ("Draining", Node::Bool(self.draining)),
            ("Storage", flat(&self.storage, StorageInfo::node)),
        ])
    }
}

impl NodeSummary {
    fn node(&self) -> Node<'_> {
        Node::Object(vec![
            ("NodeId", text(&self.id)),
            ("Address", text(&self.address)),
            ("Roles", text(&self.roles)),
            ("Version", text(&self.version)),
            ("StartTime", time(self.start_time)),
            ("SeenTime", time(self.seen_time)),
            ("RunningTransfers", long(self.running_transfers)),
            ("State", text(&self.state)),
            ("IsThis", Node::Bool(self.is_this)),
        ])
    }
}

impl StorageInfo {
    fn node(&self) -> Node<'_> {
        Node::Object(vec![
            ("Location", text(&self.location)),
            ("Kind", text(&self.kind)),
            ("Place", text(&self.place)),
        ])
    }
}

impl GetRequestRecordReply {
    pub(super) fn fields_into<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.push(("Record", self.record.node()));
    }
}

impl RequestRecord {
    fn node(&self) -> Node<'_> {
        let mut fields = vec![
            ("RequestId", text(&self.request_id)),
            ("Time", time(self.time)),
            ("Operation", text(&self.operation)),
            ("AccessKeyId", text(&self.access_key_id)),
        ];
        push(&mut fields, "Account", self.account.as_deref().map(text));
        fields.push(("Status", long(self.status)));
        push(&mut fields, "ErrorCode", self.error_code.as_deref().map(text));
        push(&mut fields, "ErrorMessage", self.error_message.as_deref().map(text));
        fields.push(("SourceIp", text(&self.source_ip)));
        fields.push(("Milliseconds", long(self.milliseconds)));
        fields.push(("Scheme", text(&self.scheme)));
        Node::Object(fields)
    }
}

impl ListAccountsReply {
    pub(super) fn fields_into<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.push(("Accounts", flat(&self.accounts, AccountInfo::node)));
    }
}

impl AccountReply {
    pub(super) fn fields_into<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.push(("Account", self.account.node()));
    }
}

impl AccountInfo {
    fn node(&self) -> Node<'_> {
        Node::Object(vec![
            ("Name", text(&self.name)),
            ("Enabled", Node::Bool(self.enabled)),
            ("Operator", Node::Bool(self.operator)),
            ("Weight", long(self.weight)),
            ("Paused", Node::Bool(self.paused)),
            ("CreationTime", time(self.creation_time)),
        ])
    }
}

impl ListAccessKeysReply {
    pub(super) fn fields_into<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.push(("AccessKeys", flat(&self.keys, AccessKeyInfo::node)));
    }
}

impl AccessKeyInfo {
    fn node(&self) -> Node<'_> {
        Node::Object(vec![
            ("AccessKeyId", text(&self.access_key_id)),
            ("Account", text(&self.account)),
            ("Status", text(&self.status)),
            ("CreationTime", time(self.creation_time)),
        ])
    }
}

impl CreateAccessKeyReply {
    pub(super) fn fields_into<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.push(("AccessKeyId", text(&self.access_key_id)));
        fields.push(("AccessKeySecret", text(&self.access_key_secret)));
    }
}

impl GetConfigurationReply {
    pub(super) fn fields_into<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.push(("Settings", flat(&self.settings, SettingInfo::node)));
    }
}

impl SettingInfo {
    fn node(&self) -> Node<'_> {
        Node::Object(vec![
            ("Name", text(&self.name)),
            ("Value", text(&self.value)),
            ("From", text(&self.from)),
            ("Doc", text(&self.doc)),
        ])
    }
}

impl CreateConsoleSessionReply {
    pub(super) fn fields_into<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.push(("Ticket", text(&self.ticket)));
        fields.push(("ExpireTime", time(self.expire_time)));
    }
}
