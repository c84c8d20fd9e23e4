//! `ListAccessKeys`, `CreateAccessKey`, `UpdateAccessKey` and `DeleteAccessKey`: operations of
//! ours. Everybody may look at their own keys; changing them is for operators.

use std::collections::HashMap;

use wire::action::{CreateAccessKey, DeleteAccessKey, UpdateAccessKey};
use wire::code::{Code, Fault};
use wire::reply::{AccessKeyInfo, CreateAccessKeyReply, ListAccessKeysReply, Reply};

use super::accounts::operators_only;
use super::{Ops, store_fault};
use crate::domain::account::{AccountId, KeyStatus, Subject};
use crate::run::first_key;

/// Most keys of one account that this operation makes. Lists of keys are answered whole.
const KEYS_LIMIT: usize = 100;

impl Ops {
    pub(super) async fn list_access_keys(&self, subject: &Subject) -> Result<Reply, Fault> {
        let keys = self.store.key_list(subject.account()).await.map_err(store_fault)?;
        let names = self.account_names().await?;
        let keys = keys.into_iter().map(|key| AccessKeyInfo {
            account: names.get(&key.account).cloned().unwrap_or_default(),
            access_key_id: key.id,
            status: match key.status {
                KeyStatus::Enabled => "Active".to_owned(),
                KeyStatus::Disabled => "Inactive".to_owned(),
            },
            creation_time: key.created.seconds(),
        });
        Ok(Reply::ListAccessKeys(ListAccessKeysReply { keys: keys.collect() }))
    }

    pub(super) async fn create_access_key(
        &self,
        subject: &Subject,
        request: CreateAccessKey,
    ) -> Result<Reply, Fault> {
        operators_only(subject)?;
        let account = self.account_named(&request.account).await?;
        let keys = self.store.key_list(Some(account.id)).await.map_err(store_fault)?;
        if keys.len() >= KEYS_LIMIT {
            let why = format!("The account has {KEYS_LIMIT} keys already; delete one first.");
            return Err(Fault::invalid_because("AccountName", why));
        }
        let key = first_key::generate();
        let now = self.clock.now();
        let added = first_key::add(self.store.as_ref(), &self.vault, &account, &key, now);
        if !added.await.map_err(store_fault)? {
            tracing::error!("a random access key id is taken");
            return Err(Fault::new(Code::InternalError));
        }
        tracing::info!(access_key_id = %key.access_key_id, account = %account.name, by = %subject.access_key_id, "access key made");
        Ok(Reply::CreateAccessKey(CreateAccessKeyReply {
            access_key_id: key.access_key_id,
            access_key_secret: key.access_key_secret,
        }))
    }

    pub(super) async fn update_access_key(
        &self,
        subject: &Subject,
        request: UpdateAccessKey,
    ) -> Result<Reply, Fault> {
        let status = if request.active { KeyStatus::Enabled } else { KeyStatus::Disabled };
        self.set_key(subject, &request.access_key_id, Some(status)).await?;
        Ok(Reply::UpdateAccessKey)
    }

    pub(super) async fn delete_access_key(
        &self,
        subject: &Subject,
        request: DeleteAccessKey,
    ) -> Result<Reply, Fault> {
        self.set_key(subject, &request.access_key_id, None).await?;
        Ok(Reply::DeleteAccessKey)
    }

    /// Sets a key's status; deletes it with `None`.
    async fn set_key(
        &self,
        subject: &Subject,
        id: &str,
        status: Option<KeyStatus>,
    ) -> Result<(), Fault> {
        operators_only(subject)?;
        if id == subject.access_key_id && status != Some(KeyStatus::Enabled) {
            let why = "It is the key of this very call, which would lock itself out.";
            return Err(Fault::invalid_because("UserAccessKeyId", why));
        }
        if !self.store.key_set_status(id, status).await.map_err(store_fault)? {
            return Err(Fault::invalid_because("UserAccessKeyId", "No key has this id."));
        }
        tracing::info!(access_key_id = id, ?status, by = %subject.access_key_id, "access key changed");
        Ok(())
    }

    /// Names of all accounts.
    pub(super) async fn account_names(&self) -> Result<HashMap<AccountId, String>, Fault> {
        let accounts = self.accounts().await?;
        Ok(accounts.into_iter().map(|account| (account.id, account.name)).collect())
    }
}
