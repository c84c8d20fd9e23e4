//! The heads of the lanes of ready jobs, in memory: what a claim chooses from.
//!
//! Jobs of full hosts are passed over by the database, in the index. What was passed over is not
//! remembered from claim to claim, as the embedded store does: another node may have put a job there.

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
use crate::store::line::{Entry, Lanes};

/// Most entries of one lane that are read at once.
const STRETCH: usize = 64;

type Lane = (AccountId, Priority);

/// This lane has to be read on before it can be said what is in it.
#[derive(Debug)]
pub(super) struct Short(pub(super) Lane);

/// What is known of a lane.
#[derive(Debug)]
struct Head {
    /// Those that nobody took, in order.
    entries: Vec<Entry>,
    /// Up to here it was read.
    read: (Timestamp, Key),
    /// Whether there is nothing behind that.
    is_whole: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Heads<'a> {
    lanes: BTreeMap<Lane, Head>,
    now: Timestamp,
    /// Keys that are not to be found.
    gone: &'a [i64],
}

impl<'a> Heads<'a> {
    /// Reads the first entries of all lanes of all contenders, so many that `slots` jobs are among
    /// them if accounts are served alike.
    pub(super) async fn read<C: GenericClient>(
        db: &C,
        contenders: &[Contender],
        slots: usize,
        now: Timestamp,
        full: Vec<i64>,
        gone: &'a [i64],
    ) -> Result<Self, Failure> {
        let before_all = (Timestamp(i64::MIN), Key(i64::MIN));
        let head = || Head { entries: Vec::new(), read: before_all, is_whole: false };
        let lanes_of = |contender: &Contender| {
            let account = contender.account;
            Priority::ALL.map(|priority| ((account, priority), head()))
        };
        let lanes = contenders.iter().flat_map(lanes_of).collect();
        let mut heads = Self { lanes, now, gone };
        let lanes: Vec<Lane> = heads.lanes.keys().copied().collect();
        let each = slots.div_ceil(contenders.len().max(1)).clamp(1, STRETCH);
        heads.read_lanes(db, &lanes, full, each).await?;
        Ok(heads)
    }

    /// Reads more of a lane, without jobs of the hosts that are full.
    pub(super) async fn read_on<C: GenericClient>(
        &mut self,
        db: &C,
        lane: Lane,
        full: Vec<i64>,
    ) -> Result<(), Failure> {
        self.read_lanes(db, &[lane], full, STRETCH).await
    }

    /// A job was chosen.
    pub(super) fn take(&mut self, account: AccountId, key: Key) {
        for priority in Priority::ALL {
            if let Some(head) = self.lanes.get_mut(&(account, priority)) {
                head.entries.retain(|entry| entry.key != key);
            }
        }
    }

    async fn read_lanes<C: GenericClient>(
        &mut self,
        db: &C,
        lanes: &[Lane],
        full: Vec<i64>,
        each: usize,
    ) -> Result<(), Failure> {
        if lanes.is_empty() {
            return Ok(());
        }
        let (mut accounts, mut priorities) = (Vec::new(), Vec::new());
        let (mut dues, mut keys) = (Vec::new(), Vec::new());
        for lane in lanes {
            let read =
                self.lanes.get(lane).map_or((Timestamp(i64::MIN), Key(i64::MIN)), |h| h.read);
            accounts.push(lane.0.0);
            priorities.push(row::short(lane.1 as i64));
            dues.push(read.0.0);
            keys.push(read.1.0);
        }
        let each = row::count(each);
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 8] =
            [&accounts, &priorities, &dues, &keys, &self.now.0, &full, &self.gone, &each];
        let mut found: BTreeMap<i64, Vec<Entry>> = BTreeMap::new();
        for entry in &rows(db, sql::LANES, &values).await? {
            let (due, key) = (Timestamp(row::get(entry, 1)?), Key(row::get(entry, 2)?));
            let host = HostId(row::get(entry, 3)?);
            found.entry(row::get(entry, 0)?).or_default().push(Entry { due, key, host });
        }
        for (place, lane) in (1..).zip(lanes) {
            let mut entries = found.remove(&place).unwrap_or_default();
            entries.sort_unstable_by_key(|entry| (entry.due, entry.key));
            if let Some(head) = self.lanes.get_mut(lane) {
                head.is_whole = row::count(entries.len()) < each;
                if let Some(last) = entries.last() {
                    head.read = (last.due, last.key);
                }
                head.entries.extend(entries);
            }
        }
        Ok(())
    }
}

impl Lanes for Heads<'_> {
    type Error = Short;

    fn walk(
        &mut self,
        account: AccountId,
        priority: Priority,
        after: (Timestamp, Key),
        show: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<(), Short> {
        let lane = (account, priority);
        let Some(head) = self.lanes.get(&lane) else { return Ok(()) };
        for entry in head.entries.iter().filter(|entry| (entry.due, entry.key) > after) {
            if show(*entry).is_break() {
                return Ok(());
            }
        }
        if head.is_whole { Ok(()) } else { Err(Short(lane)) }
    }
}
