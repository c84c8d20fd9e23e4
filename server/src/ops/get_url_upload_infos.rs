//! `GetURLUploadInfos`: the state of jobs, by id or by URL.

use std::collections::{HashMap, HashSet};

use wire::action::{GetUrlUploadInfos, Selector};
use wire::code::Fault;
use wire::reply::{GetUrlUploadInfosReply, Reply, UrlUploadInfo};

use super::{Ops, QUERY_WINDOW, positions, store_fault};
use crate::domain::account::AccountId;
use crate::domain::attempt::Attempt;
use crate::domain::id::Key;
use crate::domain::source_url::SourceUrl;

impl Ops {
    pub(super) async fn get_url_upload_infos(
        &self,
        account: AccountId,
        request: GetUrlUploadInfos,
    ) -> Result<Reply, Fault> {
        let since = self.schedule.now() - QUERY_WINDOW;
        let (jobs, non_exists) = match request.selector {
            Selector::JobIds(ids) => {
                let asked: Vec<(String, Option<Key>)> =
                    ids.into_iter().map(|id| (self.codec.job_key(&id), id)).map(swap).collect();
                let keys: Vec<Key> = asked.iter().filter_map(|(_, key)| *key).collect();
                // Asked even when no id can be ours, so that the answer takes the same time.
                let jobs =
                    self.store.job_infos_by_id(account, &keys, since).await.map_err(store_fault)?;
                let found: HashSet<Key> = jobs.iter().map(|job| job.key).collect();
                let missing = asked
                    .into_iter()
                    .filter(|(_, key)| key.is_none_or(|key| !found.contains(&key)))
                    .map(|(id, _)| id)
                    .collect();
                (jobs, missing)
            }
            Selector::Urls(asked) => {
                let urls: Vec<SourceUrl> =
                    asked.into_iter().map(|u| SourceUrl::new(u.url)).collect();
                let found = self
                    .store
                    .job_infos_by_url(account, &urls, since)
                    .await
                    .map_err(store_fault)?;
                let missing = urls
                    .iter()
                    .zip(&found)
                    .filter(|(_, jobs)| jobs.is_empty())
                    .map(|(url, _)| url.expose().to_owned())
                    .collect();
                (found.into_iter().flatten().collect(), missing)
            }
        };
        let keys: Vec<Key> = jobs.iter().map(|job| job.key).collect();
        let mut past: HashMap<Key, Vec<Attempt>> = if request.include_attempts {
            self.store.job_attempts(&keys).await.map_err(store_fault)?.into_iter().collect()
        } else {
            HashMap::new()
        };
        let waiting = if request.include_position { positions::waiting(&jobs) } else { Vec::new() };
        let infos = jobs.into_iter().map(|job| {
            let attempts = request
                .include_attempts
                .then(|| self.attempts(&job, past.remove(&job.key).unwrap_or_default()));
            UrlUploadInfo { attempts, ..self.info(job, request.include_progress) }
        });
        let mut infos: Vec<UrlUploadInfo> = infos.collect();
        if request.include_digests {
            self.add_digests(&keys, &mut infos).await?;
        }
        self.add_places(&waiting, &mut infos).await?;
        Ok(Reply::GetUrlUploadInfos(GetUrlUploadInfosReply { infos, non_exists }))
    }
}

fn swap<A, B>((a, b): (A, B)) -> (B, A) {
    (b, a)
}
