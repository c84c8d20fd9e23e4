//! Lists of jobs, a page at a time.

use std::collections::BTreeSet;
use std::fmt;

use crate::domain::account::AccountId;
use crate::domain::id::Key;
use crate::domain::job::{Job, StateKind};
use crate::domain::time::Timestamp;

/// Most jobs that [`super::Store::job_page`] looks at for one page. It bounds the time of a search by a
/// part of the URL, which no index helps; everything else goes by an index that holds nothing but
/// hits.
pub const SEARCH_BUDGET: usize = 10_000;
/// The same for a search among some of the jobs only. They lie apart: to read one costs about four
/// times as much as to read one's neighbour (measured with a million jobs: 2.6 µs, and 0.7 µs).
pub const SCATTERED_BUDGET: usize = SEARCH_BUDGET / 4;

/// A page of jobs, newest first.
#[derive(Clone, Debug, Default)]
pub struct JobPage {
    pub jobs: Vec<Job>,
    /// Pass as `before` to go on; `None` at the end. When its budget ended the search, the page
    /// may be short, or empty, although there is more.
    pub next: Option<Key>,
}

/// Which jobs [`super::Store::job_page`] lists: those that every filter lets through.
#[derive(Clone, Default)]
pub struct PageRequest {
    /// `None`: of every account.
    pub account: Option<AccountId>,
    /// Empty: any state.
    pub states: Vec<StateKind>,
    /// Only jobs that failed with exactly this code.
    pub fault: Option<String>,
    /// Only jobs whose URL has this in it, upper and lower case told apart. May carry a secret.
    pub url_contains: Option<String>,
    /// Only jobs accepted at or after this. Times of acceptance are told by the key, which grows
    /// with them: a job accepted while the clock was set back counts as accepted right after the
    /// one before it.
    pub since: Option<Timestamp>,
    /// Only jobs accepted before this.
    pub until: Option<Timestamp>,
    /// Only jobs with a smaller key.
    pub before: Option<Key>,
    pub limit: usize,
}

impl PageRequest {
    /// The keys to look at: from the first on, before the second.
    pub(super) fn keys(&self) -> (Key, Key) {
        let first = self.since.map_or(Key(0), Key::first_at);
        let until = self.until.map_or(Key(i64::MAX), Key::first_at);
        (first, until.min(self.before.unwrap_or(until)))
    }

    /// Whether every job in the range of keys is looked at.
    pub(super) fn is_of_everything(&self) -> bool {
        self.account.is_none() && self.fault.is_none() && self.kinds().len() == StateKind::ALL.len()
    }

    /// How many jobs may be looked at for a page.
    pub(super) fn budget(&self) -> usize {
        if self.url_contains.is_none() || self.is_of_everything() {
            SEARCH_BUDGET
        } else {
            SCATTERED_BUDGET
        }
    }

    /// The states to look at; a fault is one of failed jobs alone.
    pub(super) fn kinds(&self) -> BTreeSet<StateKind> {
        let named = |kind: &StateKind| self.states.is_empty() || self.states.contains(kind);
        let possible = |kind: &StateKind| self.fault.is_none() || *kind == StateKind::Failed;
        StateKind::ALL.into_iter().filter(|kind| named(kind) && possible(kind)).collect()
    }
}

impl fmt::Debug for PageRequest {
    /// Without the part of the URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageRequest")
            .field("account", &self.account)
            .field("states", &self.states)
            .field("fault", &self.fault)
            .field("since", &self.since)
            .field("until", &self.until)
            .field("before", &self.before)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
