//! Handing out jobs, on any number of nodes at once: who goes next is decided by
//! [`crate::domain::turns`], which job of theirs by [`crate::store::line`].
//!
//! A claim looks first and locks then. It reads the heads of all lanes, chooses, and locks what it
//! chose; rows that another transaction holds are passed over, and it chooses again without them.
//! Turns are this node's own, and so is what was passed over: with several nodes each goes round by
//! itself. What accounts have running is counted over all of them.

use std::collections::{BTreeMap, HashMap};

use super::failure::Failure;
use super::lanes::Heads;
use super::link::{Write, rows};
use super::{row, sql};
use crate::domain::account::AccountId;
use crate::domain::id::Key;
use crate::domain::job::{State, StateKind};
use crate::domain::turns::{Contender, Turns};
use crate::store::line::{Passed, Search};
use crate::store::{Claim, ClaimRequest};

/// Times that a claim chooses. Beyond it, it is content with what it has: whoever was faster every
/// time has the others.
const ROUNDS: usize = 4;

/// What became of the jobs that were chosen so far.
#[derive(Default)]
struct Chosen {
    /// Locked, and what they are.
    held: BTreeMap<Key, StateKind>,
    /// Somebody else's.
    gone: Vec<i64>,
}

/// What claims of this node remember, beside the database.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    turns: Turns,
    passed: Passed,
}

/// Claims jobs; with the line as it is then.
pub(super) async fn claim(
    write: &mut Write<'_>,
    request: &ClaimRequest,
    before: &Line,
) -> Result<(Vec<Claim>, Line), Failure> {
    if request.slots == 0 {
        return Ok((Vec::new(), before.clone()));
    }
    if request.shares.per_account != 0 {
        // Counted and claimed by one node at a time, or two could each take the last place.
        rows(&write.db, sql::CLAIM_LOCK, &[]).await?;
    }
    let contenders = contenders(write).await?;
    let mut chosen = Chosen::default();
    let mut round = 1;
    let (mut keys, line) = loop {
        let mut line = before.clone();
        let keys = choose(write, request, &contenders, &mut line, &chosen.gone).await?;
        if chosen.hold(write, request, &keys).await? || round == ROUNDS {
            break (keys, line);
        }
        round += 1;
    };
    keys.retain(|key| chosen.held.contains_key(key));
    Ok((start(write, request, &keys, &chosen.held).await?, line))
}

/// The accounts that have something queued and are not paused; some of it may not be due yet.
async fn contenders(write: &Write<'_>) -> Result<Vec<Contender>, Failure> {
    let contender = |found: &tokio_postgres::Row| {
        let running: i64 = row::get(found, 2)?;
        Ok(Contender {
            account: AccountId(row::get(found, 0)?),
            weight: row::weight(found, 1)?,
            running: usize::try_from(running).unwrap_or(0),
        })
    };
    rows(&write.db, sql::CONTENDERS, &[]).await?.iter().map(contender).collect()
}

/// The jobs that go next, in their order, without those that are `gone`.
async fn choose(
    write: &Write<'_>,
    request: &ClaimRequest,
    contenders: &[Contender],
    line: &mut Line,
    gone: &[i64],
) -> Result<Vec<Key>, Failure> {
    let ClaimRequest { slots, spare, shares, hosts, now, .. } = request;
    line.passed.keep(contenders);
    let mut heads = Heads::read(&write.db, contenders, *slots, *now, &line.passed, gone).await?;
    let mut search = Search::new(&mut line.passed, hosts.clone(), *now);
    let mut contest =
        line.turns.contest(contenders.iter().copied(), *slots, slots + spare, *shares);
    let mut keys = Vec::new();
    while let Some(account) = contest.whose_turn() {
        match search.next(&mut heads, account) {
            Ok(Some(key)) => {
                heads.take(account, key);
                keys.push(key);
                contest.served(account);
            }
            Ok(None) => contest.out(account),
            Err(short) => heads.read_on(&write.db, short).await?,
        }
    }
    Ok(keys)
}

impl Chosen {
    /// Locks what is not locked yet; whether that was all.
    async fn hold(
        &mut self,
        write: &Write<'_>,
        request: &ClaimRequest,
        keys: &[Key],
    ) -> Result<bool, Failure> {
        let wanted: Vec<i64> =
            keys.iter().filter(|key| !self.held.contains_key(key)).map(|key| key.0).collect();
        if wanted.is_empty() {
            return Ok(true);
        }
        for found in &rows(&write.db, sql::CLAIM_HOLD, &[&wanted, &request.now.0]).await? {
            self.held.insert(Key(row::get(found, 0)?), row::state_kind(row::get(found, 1)?)?);
        }
        let before = self.gone.len();
        self.gone.extend(wanted.iter().filter(|key| !self.held.contains_key(&Key(**key))));
        Ok(self.gone.len() == before)
    }
}

/// Begins the attempts of jobs that are locked.
async fn start(
    write: &mut Write<'_>,
    request: &ClaimRequest,
    keys: &[Key],
    held: &BTreeMap<Key, StateKind>,
) -> Result<Vec<Claim>, Failure> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let numbers: Vec<i64> = keys.iter().map(|key| key.0).collect();
    let until = request.now + request.lease;
    let mut claims: HashMap<Key, Claim> = HashMap::with_capacity(keys.len());
    for found in &rows(&write.db, sql::CLAIM, &[&numbers, &request.now.0, &until.0]).await? {
        let job = row::job(found)?;
        let State::Running { token, .. } = job.progress.state else {
            return Err(row::corrupt("a claimed job that is not running"));
        };
        let was = held.get(&job.key).copied();
        write.counts.moved(job.account, was, StateKind::Running, 1);
        claims.insert(job.key, Claim::new(job, token));
    }
    let taken = keys.iter().map(|key| claims.remove(key));
    taken.collect::<Option<_>>().ok_or_else(|| row::corrupt("a ready job that cannot be claimed"))
}
