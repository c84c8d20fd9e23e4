//! Accounts and access keys.

use rusqlite::{Connection, OptionalExtension, params};

use super::failure::Failure;
use super::writer::Write;
use super::{row, sql};
use crate::domain::account::{AccessKey, Account, AccountChange, AccountId, KeyStatus, Weight};
use crate::domain::time::Timestamp;

pub(super) fn create(
    write: &mut Write<'_>,
    name: &str,
    operator: bool,
    now: Timestamp,
) -> Result<Option<Account>, Failure> {
    let mut statement = write.db.prepare_cached(sql::ACCOUNT_CREATE)?;
    let id = statement.query_row(params![name, now.0, operator], |row| row.get(0)).optional()?;
    Ok(id.map(|id| Account {
        id: AccountId(id),
        name: name.to_owned(),
        enabled: true,
        operator,
        weight: Weight::default(),
        paused: false,
        created: now,
    }))
}

pub(super) fn change(
    write: &mut Write<'_>,
    name: &str,
    change: AccountChange,
) -> Result<Option<Account>, Failure> {
    let AccountChange { enabled, weight, paused } = change;
    let weight = weight.map(Weight::get);
    let mut statement = write.db.prepare_cached(sql::ACCOUNT_CHANGE)?;
    statement.execute(params![name, enabled, weight, paused])?;
    let mut statement = write.db.prepare_cached(sql::ACCOUNT_FIND)?;
    statement.query_and_then([name], |found| row::account(found, 0))?.next().transpose()
}

pub(super) fn list(db: &Connection) -> Result<Vec<Account>, Failure> {
    let mut statement = db.prepare_cached(sql::ACCOUNT_LIST)?;
    statement.query_and_then([], |found| row::account(found, 0))?.collect()
}

pub(super) fn create_key(write: &mut Write<'_>, key: &AccessKey) -> Result<bool, Failure> {
    let mut statement = write.db.prepare_cached(sql::KEY_CREATE)?;
    let enabled = key.status == KeyStatus::Enabled;
    let created = key.created.0;
    let made =
        statement.execute(params![key.id, key.account.0, key.sealed_secret, enabled, created])?;
    Ok(made > 0)
}

pub(super) fn list_keys(
    db: &Connection,
    account: Option<AccountId>,
) -> Result<Vec<AccessKey>, Failure> {
    let mut statement = db.prepare_cached(sql::KEY_LIST)?;
    statement.query_and_then([account.map(|account| account.0)], row::access_key)?.collect()
}

pub(super) fn set_key_status(
    write: &mut Write<'_>,
    id: &str,
    status: Option<KeyStatus>,
) -> Result<bool, Failure> {
    let changed = match status {
        Some(status) => {
            let enabled = status == KeyStatus::Enabled;
            write.db.prepare_cached(sql::KEY_SET_ENABLED)?.execute(params![id, enabled])?
        }
        None => write.db.prepare_cached(sql::KEY_DELETE)?.execute([id])?,
    };
    Ok(changed > 0)
}

pub(super) fn find_key(db: &Connection, id: &str) -> Result<Option<(AccessKey, Account)>, Failure> {
    let mut statement = db.prepare_cached(sql::KEY_FIND)?;
    let mut rows = statement
        .query_and_then([id], |found| Ok((row::access_key(found)?, row::account(found, 5)?)))?;
    rows.next().transpose()
}
