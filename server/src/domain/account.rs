//! Accounts and their access keys.

use std::fmt;

use super::time::Timestamp;

/// An account: the unit of isolation, of fairness and of every rate limit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AccountId(pub i64);

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    pub id: AccountId,
    /// Unique, chosen by the operator: 1 to [`NAME_LIMIT`] characters of `[A-Za-z0-9._-]`.
    pub name: String,
    pub enabled: bool,
    /// Whether its keys may look at every account's things and act on them.
    pub operator: bool,
    pub created: Timestamp,
}

/// Whose things a call is about, and what its caller may do. Made where the caller is known
/// (`api::gate`); everything below goes by it.
///
/// An operator may look at and act for every account; everybody else is confined to their own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subject {
    /// The account whose things are meant; the caller's own when `all` is set.
    pub account: AccountId,
    /// Whether the caller's account is an operator.
    pub operator: bool,
    /// Whether the things of every account are meant. Only ever set for operators.
    pub all: bool,
    /// The account that calls; an operator's may differ from `account`.
    pub caller: AccountId,
    /// The access key that signed, or whose session calls; empty for calls of the server itself.
    pub access_key_id: String,
}

impl Subject {
    /// The caller's own things.
    pub fn own(account: AccountId, operator: bool) -> Self {
        Self { account, operator, all: false, caller: account, access_key_id: String::new() }
    }

    /// The account to look at; `None` means every account.
    pub fn account(&self) -> Option<AccountId> {
        (!self.all).then_some(self.account)
    }
}

/// Longest account name, in characters.
pub const NAME_LIMIT: usize = 64;

/// Whether `name` may name an account.
pub fn is_valid_name(name: &str) -> bool {
    (1..=NAME_LIMIT).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyStatus {
    Enabled,
    Disabled,
}

/// An access key as the store keeps it. The secret is sealed (see `door::vault`): whoever reads
/// the database alone cannot sign requests.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// `AccessKeyId` on the wire.
    pub id: String,
    pub account: AccountId,
    pub sealed_secret: Vec<u8>,
    pub status: KeyStatus,
    pub created: Timestamp,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessKey({}, {:?}, {:?})", self.id, self.account, self.status)
    }
}
