//! A hundred thousand jobs of one account, and one of another.

use super::Disk;
use crate::domain::turns::Shares;
use crate::store::ClaimRequest;
use crate::store::conformance::bed::{at, failure, request};

const MANY: i64 = 100_000;

/// Jobs of account 1, pending since the start of the test, without going through the verbs.
fn fill(disk: &Disk) {
    let sql = format!(
        "INSERT INTO job (key, account, state, attempt, rescues, token, due, phase, bytes, created,
            deadline, url_hash, url, request)
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY})
        SELECT i, 1, 0, 0, 0, 0, {now}, 0, 0, {now}, {now} + 86400000, i, 'http://h/' || i, '{{}}'
        FROM n",
        now = at(0).0,
    );
    disk.foreign().execute_batch(&sql).unwrap();
}

/// The guarantee of ADR 0016, without a clock: whatever waits of another account and however many
/// of its transfers run, an account's first job is the next that is handed out.
#[tokio::test]
async fn the_first_claim_after_a_submission_hands_out_the_other_accounts_job() {
    let disk = Disk::new();
    let (_, bed) = disk.bed().await;
    assert_eq!(bed.account.0, 1);
    fill(&disk);
    let shares = Shares { per_account: 0, reserve: 8 };
    let claim = async |slots: usize, now: i64| {
        let request = ClaimRequest { shares, ..request(slots, at(now)) };
        bed.store.job_claim(request).await.unwrap()
    };
    let running = claim(64, 1).await;
    assert_eq!(running.len(), 56, "what is not kept for others");
    for round in 0..8 {
        // All slots but the reserve are taken; and when one becomes free, it is the only one.
        let late = bed.submit(bed.other, &["first"], at(2 + round)).await;
        let slots = if round % 2 == 0 { 8 } else { 1 };
        let claims = claim(slots, 2 + round).await;
        assert_eq!(claims[0].job().key, late[0], "round {round}");
        assert!(claims.iter().skip(1).all(|claim| claim.job().account == bed.account));
        for claim in claims {
            bed.finish(claim, failure(), at(9)).await;
        }
    }
    bed.store.close().await.unwrap();
}
