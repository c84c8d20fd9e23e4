//! `ReplaceUploadUrl`, an operation of ours: another URL for a job whose source refuses the one it
//! has. The store decides by one conditional write, as it does at the job's deadline.

use wire::action::ReplaceUploadUrl;
use wire::code::{Code, Fault};
use wire::reply::{ReplaceUploadUrlReply, Reply};

use super::{Ops, store_fault};
use crate::domain::account::AccountId;
use crate::domain::job::{AWAITING_URL, StateKind};
use crate::domain::source_headers::SourceHeaders;
use crate::domain::source_url::SourceUrl;
use crate::door::sealed_headers;
use crate::store::{Replaced, Replacement};

impl Ops {
    /// Whether the new URL leads to a forbidden address is not judged here: as with
    /// UploadMediaByURL, the job's next attempt finds out, and fails.
    pub(super) async fn replace_upload_url(
        &self,
        account: AccountId,
        request: ReplaceUploadUrl,
    ) -> Result<Reply, Fault> {
        let not_found = || Fault::new(Code::InvalidJobIdNotFound);
        let key = self.codec.job_key(&request.job_id).ok_or_else(not_found)?;
        let url = SourceUrl::new(request.url.as_str());
        let sealed_headers = request.headers.map(|headers| {
            let headers = SourceHeaders::new(headers.into_pairs());
            sealed_headers::seal(&self.vault, account, &url, &headers)
        });
        let replacement = Replacement { account, key, url, sealed_headers };
        let now = self.schedule.now();
        let replaced = self.store.job_replace_url(replacement, now).await.map_err(store_fault)?;
        let repeated = match replaced {
            Replaced::Renewed => {
                tracing::info!(job = key.0, "goes on with another URL");
                self.wake.notify_one();
                false
            }
            Replaced::Repeated => true,
            Replaced::NotAwaiting(kind) => return Err(not_awaiting(kind)),
            Replaced::NotExist => return Err(not_found()),
        };
        let ReplaceUploadUrl { job_id, url: upload_url, .. } =
            ReplaceUploadUrl { headers: None, ..request };
        Ok(Reply::ReplaceUploadUrl(ReplaceUploadUrlReply { job_id, upload_url, repeated }))
    }
}

fn not_awaiting(kind: StateKind) -> Fault {
    let code = Code::IncorrectJobStatus;
    let why = match kind {
        StateKind::Pending => "It has not started; cancel it and submit the other URL.".to_owned(),
        StateKind::Running | StateKind::Waiting => {
            format!("It is in progress with the URL it has, and not {AWAITING_URL}.")
        }
        StateKind::AwaitingUrl => "Its deadline has passed.".to_owned(),
        StateKind::Succeeded => "It has succeeded.".to_owned(),
        StateKind::Failed => "It has failed.".to_owned(),
        StateKind::Canceled => "It was cancelled.".to_owned(),
    };
    Fault::with_message(code, format!("{} {why}", code.message()))
}
