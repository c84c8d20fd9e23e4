//! `GetRequestRecord`, an operation of ours: what became of a request, by its RequestId.

use wire::action::GetRequestRecord;
use wire::code::{Code, Fault};
use wire::reply::{GetRequestRecordReply, Reply, RequestRecord};

use super::Ops;
use crate::domain::account::Subject;

impl Ops {
    /// Somebody else's request is not found, exactly as one that never was.
    pub(super) async fn get_request_record(
        &self,
        subject: &Subject,
        request: GetRequestRecord,
    ) -> Result<Reply, Fault> {
        // Looked up for everybody, so that the answer takes the same time.
        let names = self.account_names().await?;
        let found = self.records.find(&request.id);
        let visible =
            found.filter(|record| subject.operator || record.account == Some(subject.caller));
        let record = visible.ok_or_else(|| Fault::new(Code::InvalidRequestIdNotFound))?;
        let (error_code, error_message) = record.error.unzip();
        let record = RequestRecord {
            request_id: record.request_id,
            time: record.time.seconds(),
            operation: record.operation.to_owned(),
            access_key_id: record.access_key_id,
            account: record.account.and_then(|account| names.get(&account).cloned()),
            status: record.status,
            error_code,
            error_message,
            source_ip: record.source.map(|source| source.to_string()).unwrap_or_default(),
            milliseconds: u64::try_from(record.took.as_millis()).unwrap_or(u64::MAX),
            scheme: record.scheme.as_str().to_owned(),
        };
        Ok(Reply::GetRequestRecord(GetRequestRecordReply { record }))
    }
}
