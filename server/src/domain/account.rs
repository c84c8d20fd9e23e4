//! Accounts and their access keys.

use std::fmt;
use std::num::NonZeroU8;

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
    /// Its share of the transfer slots, beside the weights of other accounts.
    pub weight: Weight,
    /// Whether its queue is paused: jobs are taken in and can be cancelled, what runs goes on, and
    /// nothing more is started.
    pub paused: bool,
    pub created: Timestamp,
}

/// An account's weight: 1 to [`Weight::MAX`], 1 by default. Of two accounts that both have jobs
/// waiting, one with twice the weight has twice the slots.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Weight(NonZeroU8);

impl Weight {
    /// Greatest weight.
    pub const MAX: u8 = 100;

    /// `None` for what is no weight.
    pub fn new(weight: u8) -> Option<Self> {
        NonZeroU8::new(weight).filter(|weight| weight.get() <= Self::MAX).map(Self)
    }

    pub fn get(self) -> u8 {
        self.0.get()
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(NonZeroU8::MIN)
    }
}

/// What to change of an account; `None` leaves it as it is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct AccountChange {
    pub enabled: Option<bool>,
    pub weight: Option<Weight>,
    pub paused: Option<bool>,
}

impl AccountChange {
    /// Enables or disables it.
    pub fn enabled(enabled: bool) -> Self {
        Self { enabled: Some(enabled), ..Self::default() }
    }

    /// Gives it another weight.
    pub fn weight(weight: Weight) -> Self {
        Self { weight: Some(weight), ..Self::default() }
    }

    /// Pauses its queue, or lets it go on.
    pub fn paused(paused: bool) -> Self {
        Self { paused: Some(paused), ..Self::default() }
    }

    /// The account with the change in it.
    pub fn of(self, account: Account) -> Account {
        Account {
            enabled: self.enabled.unwrap_or(account.enabled),
            weight: self.weight.unwrap_or(account.weight),
            paused: self.paused.unwrap_or(account.paused),
            ..account
        }
    }
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
