//! Handing out ready jobs, one account after the other in turn, on any number of nodes at once.
//!
//! A loose scan of the index of ready jobs finds the accounts, one seek for each; then their jobs
//! are claimed in rounds. Rows that another node is about to claim are passed over. The turn is this
//! node's own: with several nodes each goes round by itself.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};

use super::failure::Failure;
use super::link::{Write, rows};
use super::{row, sql};
use crate::domain::account::AccountId;
use crate::domain::job::{State, StateKind};
use crate::store::{Claim, ClaimRequest};

/// An account in the rounds of a claim.
struct Seat {
    account: i64,
    /// How many more of its jobs may run.
    room: i64,
}

/// The account whose job was handed out last; 0 before the first.
pub(super) type Turn = i64;

pub(super) async fn claim(
    write: &mut Write<'_>,
    request: &ClaimRequest,
    turn: Turn,
) -> Result<(Vec<Claim>, Turn), Failure> {
    if request.slots == 0 {
        return Ok((Vec::new(), turn));
    }
    if request.per_account != 0 {
        // Counted and claimed by one node at a time, or two could each take the last place.
        rows(&write.db, sql::CLAIM_LOCK, &[]).await?;
    }
    let mut seats: VecDeque<Seat> = seats(write, request, turn).await?.into();
    let mut claims = Vec::new();
    let mut turn = turn;
    while claims.len() < request.slots && !seats.is_empty() {
        let left = request.slots - claims.len();
        // As many rounds at once as every seat can have; at the end one for those whose turn it is.
        let rounds = row::count((left / seats.len()).max(1));
        let mut called: Vec<Seat> = seats.drain(..left.min(seats.len())).collect();
        let mut taken: HashMap<i64, i64> = HashMap::new();
        for (claim, account) in serve(write, request, &called, rounds).await? {
            *taken.entry(account).or_default() += 1;
            turn = account;
            claims.push(claim);
        }
        called.retain_mut(|seat| {
            let taken = taken.get(&seat.account).copied().unwrap_or(0);
            let wanted = rounds.min(seat.room);
            seat.room -= taken;
            // Who had fewer than it might have has no more.
            taken == wanted && seat.room > 0
        });
        seats.extend(called);
    }
    Ok((claims, turn))
}

/// The accounts that have something ready, from the one after the last served on.
async fn seats(
    write: &Write<'_>,
    request: &ClaimRequest,
    turn: Turn,
) -> Result<Vec<Seat>, Failure> {
    let now = request.now.0;
    let mut accounts: Vec<i64> = Vec::new();
    for (after, up_to) in [(turn, i64::MAX), (i64::MIN, turn)] {
        let limit = row::count(request.slots - accounts.len());
        if limit == 0 {
            break;
        }
        let found = rows(&write.db, sql::READY_ACCOUNTS, &[&after, &up_to, &now, &limit]).await?;
        let mut stretch =
            found.iter().map(|row| row::get(row, 0)).collect::<Result<Vec<i64>, _>>()?;
        stretch.sort_unstable();
        accounts.extend(stretch);
    }
    if request.per_account == 0 {
        return Ok(accounts.into_iter().map(|account| Seat { account, room: i64::MAX }).collect());
    }
    let mut running: HashMap<i64, i64> = HashMap::new();
    for found in &rows(&write.db, sql::RUNNING, &[&accounts]).await? {
        running.insert(row::get(found, 0)?, row::get(found, 1)?);
    }
    let seat = |account| {
        let running = running.get(&account).copied().unwrap_or(0);
        Seat { account, room: row::count(request.per_account) - running }
    };
    Ok(accounts.into_iter().map(seat).filter(|seat| seat.room > 0).collect())
}

/// Claims at most `rounds` jobs of each seat; in the order in which rounds would have given them.
async fn serve(
    write: &mut Write<'_>,
    request: &ClaimRequest,
    seats: &[Seat],
    rounds: i64,
) -> Result<Vec<(Claim, i64)>, Failure> {
    let accounts: Vec<i64> = seats.iter().map(|seat| seat.account).collect();
    let rooms: Vec<i64> = seats.iter().map(|seat| seat.room.min(rounds)).collect();
    let until = request.now + request.lease;
    let found = rows(&write.db, sql::CLAIM, &[&accounts, &rooms, &request.now.0, &until.0]).await?;
    let mut served = Vec::with_capacity(found.len());
    for found in &found {
        let job = row::job(found)?;
        let State::Running { token, .. } = job.progress.state else {
            return Err(row::corrupt("a claimed job that is not running"));
        };
        let seat: i64 = row::get(found, sql::JOB_COLUMNS)?;
        let was = row::state_kind(row::get(found, sql::JOB_COLUMNS + 1)?)?;
        let due: i64 = row::get(found, sql::JOB_COLUMNS + 2)?;
        write.counts.moved(job.account, Some(was), StateKind::Running, 1);
        served.push((seat, due, Claim::new(job, token)));
    }
    served.sort_by(|(a_seat, a_due, a), (b_seat, b_due, b)| -> Ordering {
        (a_seat, a_due, a.job().key).cmp(&(b_seat, b_due, b.job().key))
    });
    let mut of_seat: HashMap<i64, usize> = HashMap::new();
    let mut rounds: Vec<(usize, i64, Claim)> = Vec::with_capacity(served.len());
    for (seat, _, claim) in served {
        let round = of_seat.entry(seat).or_default();
        rounds.push((*round, seat, claim));
        *round += 1;
    }
    rounds.sort_by_key(|(round, seat, _)| (*round, *seat));
    let with_account = |(_, _, claim): (usize, i64, Claim)| {
        let AccountId(account) = claim.job().account;
        (claim, account)
    };
    Ok(rounds.into_iter().map(with_account).collect())
}
