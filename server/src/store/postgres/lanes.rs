//! The heads of the lanes of ready jobs, in memory: what a claim chooses from.
//!
//! The first read is of all lanes at once. Where the search wants to see more of one, it is told so,
//! and asks again once that was read.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use deadpool_postgres::GenericClient;

use super::failure::Failure;
use super::link::rows;
use super::{row, sql};
use crate::domain::account::AccountId;
use crate::domain::id::Key;
use crate::domain::priority::Priority;
use crate::domain::source_url::HostId;
use crate::domain::time::Timestamp;
use crate::domain::turns::Contender;
use crate::store::line::{Entry, Lane, Lanes, Passed, Place};

/// Most entries of one lane that are read in the first read.
const FIRST: usize = 64;
/// The entries of a lane that are read next; each time twice as many as before, at most [`MOST`].
const NEXT: usize = 64;
const MOST: usize = 512;

/// This lane has to be read on from here before it can be said what is in it.
#[derive(Debug)]
pub(super) struct Short {
    lane: Lane,
    from: Place,
}

/// What was read of a lane in one go, and behind it.
#[derive(Debug)]
struct Part {
    /// It was read from here,
    from: Place,
    /// to here,
    to: Place,
    /// and behind that there is nothing.
    is_last: bool,
    /// Those that nobody took, in order.
    entries: Vec<Entry>,
    /// How many of it are read next.
    next: usize,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Heads<'a> {
    lanes: BTreeMap<Lane, Vec<Part>>,
    now: Timestamp,
    /// Keys that are not to be found.
    gone: &'a [i64],
}

impl<'a> Heads<'a> {
    /// Reads all lanes of all contenders behind what was passed over, so many entries that `slots`
    /// jobs are among them if accounts are served alike.
    pub(super) async fn read<C: GenericClient>(
        db: &C,
        contenders: &[Contender],
        slots: usize,
        now: Timestamp,
        passed: &Passed,
        gone: &'a [i64],
    ) -> Result<Self, Failure> {
        let lanes_of = |contender: &Contender| {
            let account = contender.account;
            Priority::ALL.map(|priority| (account, priority))
        };
        let lanes = contenders.iter().flat_map(lanes_of);
        let starts: Vec<(Lane, Place)> = lanes.map(|lane| (lane, passed.up_to(lane))).collect();
        let mut heads = Self { lanes: BTreeMap::new(), now, gone };
        let each = slots.div_ceil(contenders.len().max(1)).clamp(1, FIRST);
        heads.read_parts(db, &starts, each).await?;
        Ok(heads)
    }

    /// Reads what was missing.
    pub(super) async fn read_on<C: GenericClient>(
        &mut self,
        db: &C,
        short: Short,
    ) -> Result<(), Failure> {
        let Short { lane, from } = short;
        let parts = self.lanes.get(&lane).map(Vec::as_slice).unwrap_or_default();
        let each = parts.iter().find(|part| part.to == from).map_or(NEXT, |part| part.next);
        self.read_parts(db, &[(lane, from)], each).await
    }

    /// A job was chosen.
    pub(super) fn take(&mut self, account: AccountId, key: Key) {
        for priority in Priority::ALL {
            for part in self.lanes.get_mut(&(account, priority)).into_iter().flatten() {
                part.entries.retain(|entry| entry.key != key);
            }
        }
    }

    /// Reads `each` entries of these lanes behind these places.
    async fn read_parts<C: GenericClient>(
        &mut self,
        db: &C,
        starts: &[(Lane, Place)],
        each: usize,
    ) -> Result<(), Failure> {
        if starts.is_empty() {
            return Ok(());
        }
        let accounts: Vec<i64> = starts.iter().map(|((account, _), _)| account.0).collect();
        let priorities: Vec<i16> =
            starts.iter().map(|((_, priority), _)| row::short(*priority as i64)).collect();
        let dues: Vec<i64> = starts.iter().map(|(_, (due, _))| due.0).collect();
        let keys: Vec<i64> = starts.iter().map(|(_, (_, key))| key.0).collect();
        let most = row::count(each);
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
            [&accounts, &priorities, &dues, &keys, &self.now.0, &self.gone, &most];
        let mut found: BTreeMap<i64, Vec<Entry>> = BTreeMap::new();
        for entry in &rows(db, sql::LANES, &values).await? {
            let (due, key) = (Timestamp(row::get(entry, 1)?), Key(row::get(entry, 2)?));
            let host = HostId(row::get(entry, 3)?);
            found.entry(row::get(entry, 0)?).or_default().push(Entry { due, key, host });
        }
        for (place, (lane, from)) in (1..).zip(starts) {
            let mut entries = found.remove(&place).unwrap_or_default();
            entries.sort_unstable_by_key(Entry::place);
            self.add(*lane, *from, entries, each);
        }
        Ok(())
    }

    /// Adds entries of a lane behind `from`, which were to be `each`.
    fn add(&mut self, lane: Lane, from: Place, entries: Vec<Entry>, each: usize) {
        let parts = self.lanes.entry(lane).or_default();
        let at = parts.iter().position(|part| part.to == from && !part.is_last);
        let at = at.unwrap_or_else(|| {
            let (entries, next) = (Vec::new(), NEXT);
            parts.push(Part { from, to: from, is_last: false, entries, next });
            parts.len() - 1
        });
        let part = &mut parts[at];
        if from != part.from {
            part.next = (2 * part.next).min(MOST);
        }
        part.is_last = entries.len() < each;
        part.to = entries.last().map_or(part.to, Entry::place);
        part.entries.extend(entries);
    }
}

impl Lanes for Heads<'_> {
    type Error = Short;

    fn walk(
        &mut self,
        lane: Lane,
        after: Place,
        show: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<(), Short> {
        let Some(parts) = self.lanes.get(&lane) else { return Ok(()) };
        let has_next = |part: &&Part| part.from <= after && (after < part.to || part.is_last);
        let ends_here = |part: &&Part| part.from <= after && after == part.to;
        let part = parts.iter().find(has_next).or_else(|| parts.iter().find(ends_here));
        let Some(part) = part else { return Err(Short { lane, from: after }) };
        for entry in part.entries.iter().filter(|entry| entry.place() > after) {
            if show(*entry).is_break() {
                return Ok(());
            }
        }
        if part.is_last { Ok(()) } else { Err(Short { lane, from: part.to }) }
    }
}
