//! The first account's key: chosen by the operator, or made on the first start and written down.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::config::Config;
use crate::domain::account::{AccessKey, Account, KeyStatus};
use crate::domain::time::Timestamp;
use crate::door::random;
use crate::door::vault::Vault;
use crate::store::{Store, StoreResult};

/// The account of the first key.
pub const FIRST_ACCOUNT: &str = "default";
/// Where a generated key is written, in the data directory, mode 0600.
pub const CREDENTIALS_FILE: &str = "credentials.toml";
/// Lengths of the cloud's own access keys.
const KEY_ID_LENGTH: usize = 24;
const SECRET_LENGTH: usize = 30;

/// An access key in the clear: shown once, kept by its owner.
pub struct FirstKey {
    pub access_key_id: String,
    pub access_key_secret: String,
}

impl std::fmt::Debug for FirstKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FirstKey({})", self.access_key_id)
    }
}

/// A new random key. The prefix tells it from the cloud's at a glance.
pub fn generate() -> FirstKey {
    let prefix = "HAUL";
    FirstKey {
        access_key_id: format!("{prefix}{}", random::alphanumeric(KEY_ID_LENGTH - prefix.len())),
        access_key_secret: random::alphanumeric(SECRET_LENGTH),
    }
}

/// Adds a key to an account; `false` when its id is taken.
///
/// # Errors
/// Those of the store.
pub async fn add(
    store: &dyn Store,
    vault: &Vault,
    account: &Account,
    key: &FirstKey,
    now: Timestamp,
) -> StoreResult<bool> {
    let sealed_secret = vault.seal(&key.access_key_id, &key.access_key_secret);
    let id = key.access_key_id.clone();
    let status = KeyStatus::Enabled;
    store
        .key_create(AccessKey { id, account: account.id, sealed_secret, status, created: now })
        .await
}

/// Makes sure that there is a key to sign with: the configured one, or, in a store without any
/// key, a new one. Returns a key only when this call generated it.
///
/// # Errors
/// Those of the store, and of writing the credentials file.
pub async fn ensure(
    store: &dyn Store,
    vault: &Vault,
    config: &Config,
    now: Timestamp,
) -> Result<Option<FirstKey>, FirstKeyError> {
    let chosen = match (&config.access_key_id, &config.access_key_secret) {
        (Some(id), Some(secret)) => {
            Some(FirstKey { access_key_id: id.clone(), access_key_secret: secret.clone() })
        }
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err(FirstKeyError::HalfConfigured),
    };
    if let Some(key) = chosen {
        if store.key_find(&key.access_key_id).await?.is_none() {
            let account = first_account(store, now).await?;
            add(store, vault, &account, &key, now).await?;
        }
        return Ok(None);
    }
    if !store.key_list(None).await?.is_empty() {
        return Ok(None);
    }
    let account = first_account(store, now).await?;
    let key = generate();
    // The file first: a key that is in the store alone could never be used.
    write_credentials(&config.data_dir, &key).map_err(FirstKeyError::Credentials)?;
    add(store, vault, &account, &key, now).await?;
    Ok(Some(key))
}

async fn first_account(store: &dyn Store, now: Timestamp) -> StoreResult<Account> {
    if let Some(account) = store.account_create(FIRST_ACCOUNT, true, now).await? {
        return Ok(account);
    }
    let accounts = store.account_list().await?;
    let found = accounts.into_iter().find(|account| account.name == FIRST_ACCOUNT);
    found.ok_or_else(|| crate::store::StoreError::Corrupt("the first account is gone".to_owned()))
}

fn write_credentials(data_dir: &Path, key: &FirstKey) -> io::Result<()> {
    let path = data_dir.join(CREDENTIALS_FILE);
    // Left from a start that was killed before its key reached the store: worthless.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    writeln!(file, "# The first account's key, generated on the first start.")?;
    writeln!(file, "access_key_id = \"{}\"", key.access_key_id)?;
    writeln!(file, "access_key_secret = \"{}\"", key.access_key_secret)?;
    file.sync_all()
}

#[derive(Debug, thiserror::Error)]
pub enum FirstKeyError {
    #[error(
        "set both HAULAGE_ACCESS_KEY_ID and HAULAGE_ACCESS_KEY_SECRET, or neither to have a key generated"
    )]
    HalfConfigured,
    #[error("cannot write {CREDENTIALS_FILE} into the data directory: {0}")]
    Credentials(io::Error),
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
}
