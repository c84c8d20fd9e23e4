//! Who calls: looks the access key up, judges the request's time, and has the signature verified.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wire::code::{Code, Fault};
use wire::envelope::Credentials;

use crate::domain::account::{Account, AccountId, KeyStatus};
use crate::domain::time::Timestamp;
use crate::door::vault::Vault;
use crate::ops::store_fault;
use crate::store::Store;

/// How far a request's time may be from ours, both ways (contract §6).
const WINDOW_SECONDS: i64 = 15 * 60;
/// How long a looked-up key is trusted: a key that is disabled stops working within this time.
const KEY_TRUST: Duration = Duration::from_millis(500);
/// Keys remembered at once; above it the memory starts anew.
const KEYS_REMEMBERED: usize = 10_000;
/// Verified against when the key is unknown, so that an unknown key takes as long as a wrong
/// signature.
const DUMMY_SECRET: &str = "no key has this secret, it only takes time";

/// An access key, ready to verify with.
#[derive(Debug)]
struct KnownKey {
    account: Account,
    status: KeyStatus,
    secret: Secret,
    read_at: Instant,
}

/// A secret in memory; never printed.
struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Who made a request: whoever signed it, or the console on behalf of a session.
#[derive(Clone, Debug)]
pub struct Caller {
    pub account: AccountId,
    /// Name of the account.
    pub name: String,
    /// Whether the account may act for every account.
    pub operator: bool,
    pub access_key_id: String,
    account_enabled: bool,
}

/// A request that was refused, and the account whose key it named, if that exists.
#[derive(Debug)]
pub struct Refusal {
    pub fault: Fault,
    pub account: Option<AccountId>,
}

impl Caller {
    /// # Errors
    /// When the account is disabled.
    pub fn check_account(&self) -> Result<(), Fault> {
        if self.account_enabled { Ok(()) } else { Err(Fault::new(Code::ForbiddenRAM)) }
    }
}

/// The checks of a key that exists, in their order.
fn judge(
    key: &KnownKey,
    credentials: &Credentials,
    now: Timestamp,
    verify: impl Fn(&Credentials, &str) -> Result<(), Fault>,
) -> Result<(), Fault> {
    if key.status == KeyStatus::Disabled {
        return Err(Fault::new(Code::InvalidAccessKeyIdInactive));
    }
    let distance = credentials.timestamp()?.abs_diff(now.seconds());
    if distance > WINDOW_SECONDS.unsigned_abs() {
        return Err(Fault::new(Code::InvalidTimeStampExpired));
    }
    verify(credentials, &key.secret.0)?;
    // All our keys are permanent ones: a token with them is somebody else's.
    if credentials.security_token.is_some() {
        return Err(Fault::new(Code::InvalidSecurityTokenMismatch));
    }
    Ok(())
}

fn caller(access_key_id: &str, key: &KnownKey) -> Caller {
    Caller {
        account: key.account.id,
        name: key.account.name.clone(),
        operator: key.account.operator,
        access_key_id: access_key_id.to_owned(),
        account_enabled: key.account.enabled,
    }
}

#[derive(Debug)]
pub struct Authenticator {
    store: Arc<dyn Store>,
    vault: Vault,
    known: Mutex<HashMap<String, Arc<KnownKey>>>,
}

impl Authenticator {
    pub fn new(store: Arc<dyn Store>, vault: Vault) -> Self {
        Self { store, vault, known: Mutex::default() }
    }

    /// Judges key, time and signature, in this order; `verify` compares the signature with the one
    /// made with the secret it is given.
    ///
    /// # Errors
    /// The fault of the first check that fails.
    pub async fn authenticate(
        &self,
        credentials: &Credentials,
        now: Timestamp,
        verify: impl Fn(&Credentials, &str) -> Result<(), Fault>,
    ) -> Result<Caller, Refusal> {
        let stranger = |fault| Refusal { fault, account: None };
        let found = self.find(&credentials.access_key_id).await.map_err(stranger)?;
        let Some(key) = found else {
            // The result does not matter, its time does.
            let _ = std::hint::black_box(verify(credentials, DUMMY_SECRET));
            return Err(stranger(Fault::new(Code::InvalidAccessKeyIdNotFound)));
        };
        match judge(&key, credentials, now, verify) {
            Ok(()) => Ok(caller(&credentials.access_key_id, &key)),
            Err(fault) => Err(Refusal { fault, account: Some(key.account.id) }),
        }
    }

    /// Who a console session acts for, by the access key that it was opened with: judged as a
    /// signed request is, without time and signature.
    ///
    /// # Errors
    /// The fault of the first check that fails: the key does not exist (any more) or is disabled,
    /// its account is disabled.
    pub async fn session_caller(&self, access_key_id: &str) -> Result<Caller, Fault> {
        let Some(key) = self.find(access_key_id).await? else {
            return Err(Fault::new(Code::InvalidAccessKeyIdNotFound));
        };
        if key.status == KeyStatus::Disabled {
            return Err(Fault::new(Code::InvalidAccessKeyIdInactive));
        }
        let caller = caller(access_key_id, &key);
        caller.check_account()?;
        Ok(caller)
    }

    async fn find(&self, id: &str) -> Result<Option<Arc<KnownKey>>, Fault> {
        if let Some(key) = self.remembered(id) {
            return Ok(Some(key));
        }
        let read_at = Instant::now();
        let Some((key, account)) = self.store.key_find(id).await.map_err(store_fault)? else {
            return Ok(None);
        };
        let secret = self.vault.open_sealed(&key.id, &key.sealed_secret).map_err(|error| {
            tracing::error!(access_key_id = id, %error, "an access key cannot be used");
            Fault::new(Code::InternalError)
        })?;
        let key =
            Arc::new(KnownKey { account, status: key.status, secret: Secret(secret), read_at });
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEYS_REMEMBERED {
            known.clear();
        }
        known.insert(id.to_owned(), key.clone());
        Ok(Some(key))
    }

    fn remembered(&self, id: &str) -> Option<Arc<KnownKey>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).filter(|key| key.read_at.elapsed() < KEY_TRUST).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::AccountChange;
    use crate::run::first_key::{self, FirstKey};
    use crate::store::memory::MemoryStore;

    /// A session acts as its key may, and no longer than that.
    #[tokio::test]
    async fn a_session_ends_with_its_key_and_its_account() {
        let (store, vault, now) = (MemoryStore::new(), Vault::new([1; 32]), Timestamp(0));
        let account = store.account_create("press", true, now).await.unwrap().unwrap();
        for id in ["one", "two"] {
            let key = FirstKey { access_key_id: id.to_owned(), access_key_secret: "s".to_owned() };
            assert!(first_key::add(&store, &vault, &account, &key, now).await.unwrap());
        }
        let store: Arc<dyn Store> = Arc::new(store);
        let judged = async |id: &str| {
            // Each time a new one, which trusts nothing that it read before.
            let auth = Authenticator::new(store.clone(), vault.clone());
            auth.session_caller(id).await.map_err(|fault| fault.code_text().into_owned())
        };
        let caller = judged("one").await.unwrap();
        assert_eq!((caller.account, &*caller.name, caller.operator), (account.id, "press", true));
        assert_eq!(caller.access_key_id, "one");
        let refused = async |id: &str| judged(id).await.err();
        assert_eq!(refused("nobody").await.as_deref(), Some("InvalidAccessKeyId.NotFound"));
        store.key_set_status("one", Some(KeyStatus::Disabled)).await.unwrap();
        assert_eq!(refused("one").await.as_deref(), Some("InvalidAccessKeyId.Inactive"));
        store.key_set_status("one", None).await.unwrap();
        assert_eq!(refused("one").await.as_deref(), Some("InvalidAccessKeyId.NotFound"));
        assert_eq!(refused("two").await, None);
        store.account_change("press", AccountChange::enabled(false)).await.unwrap();
        assert_eq!(refused("two").await.as_deref(), Some("Forbidden.RAM"));
    }
}
