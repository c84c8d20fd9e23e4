//! `ListAccounts`, `CreateAccount` and `UpdateAccount`: operations of ours, for operators.

use wire::action::{CreateAccount, UpdateAccount};
use wire::code::{Code, Fault};
use wire::reply::{AccountInfo, AccountReply, ListAccountsReply, Reply};

use super::{Ops, store_fault};
use crate::domain::account::{Account, AccountChange, NAME_LIMIT, Subject, Weight, is_valid_name};

/// Most accounts that this operation makes. Lists of accounts are answered whole.
const ACCOUNTS_LIMIT: usize = 1_000;

impl Ops {
    pub(super) async fn list_accounts(&self, subject: &Subject) -> Result<Reply, Fault> {
        operators_only(subject)?;
        let accounts = self.accounts().await?.into_iter().map(info).collect();
        Ok(Reply::ListAccounts(ListAccountsReply { accounts }))
    }

    pub(super) async fn create_account(
        &self,
        subject: &Subject,
        request: CreateAccount,
    ) -> Result<Reply, Fault> {
        operators_only(subject)?;
        let refused = |why: String| Err(Fault::invalid_because("AccountName", why));
        if !is_valid_name(&request.name) {
            return refused(format!(
                "It takes 1 to {NAME_LIMIT} letters, digits, `.`, `_` or `-`."
            ));
        }
        if self.accounts().await?.len() >= ACCOUNTS_LIMIT {
            return refused(format!("There are {ACCOUNTS_LIMIT} accounts already."));
        }
        let made = self.store.account_create(&request.name, request.operator, self.clock.now());
        match made.await.map_err(store_fault)? {
            Some(account) => {
                tracing::info!(account = %account.name, operator = account.operator, by = %subject.access_key_id, "account made");
                Ok(Reply::CreateAccount(AccountReply { account: info(account) }))
            }
            None => refused("An account has this name already.".to_owned()),
        }
    }

    pub(super) async fn update_account(
        &self,
        subject: &Subject,
        request: UpdateAccount,
    ) -> Result<Reply, Fault> {
        operators_only(subject)?;
        let account = self.account_named(&request.name).await?;
        if account.id == subject.caller && request.enabled == Some(false) {
            let why = "It is the caller's own account, which would lock itself out.";
            return Err(Fault::invalid_because("AccountName", why));
        }
        let UpdateAccount { enabled, paused, .. } = request;
        let change =
            AccountChange { enabled, paused, weight: request.weight.and_then(Weight::new) };
        let changed =
            self.store.account_change(&account.name, change).await.map_err(store_fault)?;
        let account = changed.ok_or_else(no_account)?;
        tracing::info!(account = %account.name, ?change, by = %subject.access_key_id, "account changed");
        if paused == Some(false) {
            self.wake.notify_one();
        }
        Ok(Reply::UpdateAccount(AccountReply { account: info(account) }))
    }

    pub(super) async fn accounts(&self) -> Result<Vec<Account>, Fault> {
        self.store.account_list().await.map_err(store_fault)
    }

    /// The account that the parameter `AccountName` names.
    pub(super) async fn account_named(&self, name: &str) -> Result<Account, Fault> {
        let accounts = self.accounts().await?;
        accounts.into_iter().find(|account| account.name == name).ok_or_else(no_account)
    }
}

/// # Errors
/// `Forbidden.RAM` for everybody else, before anything of the request is looked at: what exists
/// must not show in how they are refused.
pub(super) fn operators_only(subject: &Subject) -> Result<(), Fault> {
    if subject.operator { Ok(()) } else { Err(Fault::new(Code::ForbiddenRAM)) }
}

fn no_account() -> Fault {
    Fault::invalid_because("AccountName", "No account has this name.")
}

fn info(account: Account) -> AccountInfo {
    AccountInfo {
        name: account.name,
        enabled: account.enabled,
        operator: account.operator,
        weight: u64::from(account.weight.get()),
        paused: account.paused,
        creation_time: account.created.seconds(),
    }
}
