//! Accounts and access keys.

use deadpool_postgres::Client;

use super::failure::Failure;
use super::link::{Write, execute, first_row, rows};
use super::{row, sql};
use crate::domain::account::{AccessKey, Account, AccountChange, AccountId, KeyStatus, Weight};
use crate::domain::time::Timestamp;

pub(super) async fn create(
    write: &Write<'_>,
    name: &str,
    operator: bool,
    now: Timestamp,
) -> Result<Option<Account>, Failure> {
    let made = first_row(&write.db, sql::ACCOUNT_CREATE, &[&name, &now.0, &operator]).await?;
    let Some(made) = made else { return Ok(None) };
    Ok(Some(Account {
        id: AccountId(row::get(&made, 0)?),
        name: name.to_owned(),
        enabled: true,
        operator,
        weight: Weight::default(),
        paused: false,
        created: now,
    }))
}

pub(super) async fn change(
    write: &Write<'_>,
    name: &str,
    change: AccountChange,
) -> Result<Option<Account>, Failure> {
    let AccountChange { enabled, weight, paused } = change;
    let name = row::text(name);
    let weight = weight.map(|weight| i16::from(weight.get()));
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&name, &enabled, &weight, &paused];
    let changed = first_row(&write.db, sql::ACCOUNT_CHANGE, &values).await?;
    changed.map(|changed| row::account(&changed, 0)).transpose()
}

pub(super) async fn list(db: &Client) -> Result<Vec<Account>, Failure> {
    let found = rows(db, sql::ACCOUNT_LIST, &[]).await?;
    found.iter().map(|found| row::account(found, 0)).collect()
}

pub(super) async fn create_key(write: &Write<'_>, key: &AccessKey) -> Result<bool, Failure> {
    let enabled = key.status == KeyStatus::Enabled;
    let (id, created) = (row::text(&key.id), key.created.0);
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&id, &key.account.0, &key.sealed_secret, &enabled, &created];
    Ok(execute(&write.db, sql::KEY_CREATE, &values).await? > 0)
}

pub(super) async fn list_keys(
    db: &Client,
    account: Option<AccountId>,
) -> Result<Vec<AccessKey>, Failure> {
    let account = account.map(|account| account.0);
    let found = rows(db, sql::KEY_LIST, &[&account]).await?;
    found.iter().map(row::access_key).collect()
}

pub(super) async fn set_key_status(
    write: &Write<'_>,
    id: &str,
    status: Option<KeyStatus>,
) -> Result<bool, Failure> {
    let id = row::text(id);
    let changed = match status {
        Some(status) => {
            let enabled = status == KeyStatus::Enabled;
            execute(&write.db, sql::KEY_SET_ENABLED, &[&id, &enabled]).await?
        }
        None => execute(&write.db, sql::KEY_DELETE, &[&id]).await?,
    };
    Ok(changed > 0)
}

pub(super) async fn find_key(
    db: &Client,
    id: &str,
) -> Result<Option<(AccessKey, Account)>, Failure> {
    let found = first_row(db, sql::KEY_FIND, &[&row::text(id)]).await?;
    found.map(|found| Ok((row::access_key(&found)?, row::account(&found, 5)?))).transpose()
}

pub(super) async fn keep_master_key(
    write: &Write<'_>,
    fingerprint: &[u8; 32],
) -> Result<bool, Failure> {
    execute(&write.db, sql::MASTER_KEY_KEEP, &[&&fingerprint[..]]).await?;
    let kept = first_row(&write.db, sql::MASTER_KEY_FIND, &[]).await?;
    let kept: Option<Vec<u8>> = kept.map(|kept| row::get(&kept, 0)).transpose()?;
    Ok(kept.is_some_and(|kept| kept == fingerprint))
}
