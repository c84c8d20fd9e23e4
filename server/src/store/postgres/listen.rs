//! Wake-ups from other nodes by LISTEN and NOTIFY. They are a hint and no more: a notification may be
//! lost with its connection, and what finds every job is the poll of the claim loop. So they are sent
//! outside of the transaction they tell of, at most one in [`GAP`], because PostgreSQL lets no two
//! transactions that notify commit at once.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_postgres::AsyncMessage;
use tokio_util::sync::CancellationToken;

use super::connect::Place;
use super::failure::describe;
use super::hosts::{self, Driver};
use super::link::Link;
use crate::store::{StoreError, StoreResult};

/// Name of the sessions that listen, for operators and tests.
pub(super) const LISTENER: &str = "haulage listener";
/// Shortest time between two notifications of a node.
const GAP: Duration = Duration::from_millis(20);
/// Pause before connecting anew; it doubles up to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The payload is the schema, so that two installations in one database do not wake each other.
const LISTEN: &str = "LISTEN haulage_jobs";
const NOTIFY: &str = "SELECT pg_notify('haulage_jobs', current_schema())";
const SCHEMA: &str = "SELECT current_schema()::TEXT";

/// Both directions of wake-ups.
#[derive(Clone, Debug, Default)]
pub(super) struct Wake {
    /// Told when this node has submitted.
    pub(super) outgoing: Arc<Notify>,
    /// Told when some node has.
    pub(super) incoming: Arc<Notify>,
    pub(super) stop: CancellationToken,
}

/// Listens and notifies until the store closes.
pub(super) fn start(link: &Link, place: Place, wake: Wake) {
    link.spawn("store listener", async move {
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::select! {
                outcome = session(&place, &wake, &mut pause) => {
                    if let Err(error) = outcome {
                        tracing::warn!(%error, "wake-ups from other nodes are off; jobs are polled for");
                    }
                }
                () = wake.stop.cancelled() => return,
            }
            // Whatever was missed meanwhile is found at once.
            wake.incoming.notify_one();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = wake.stop.cancelled() => return,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    });
}

/// One connection, until it ends or leads to a server that was replaced.
async fn session(place: &Place, wake: &Wake, pause: &mut Duration) -> StoreResult<()> {
    let mut primary = place.hosts().watch();
    let (client, mut driver) = place.connect(LISTENER).await?;
    let schema = OnceLock::new();
    let speak = async {
        let own: String = client.query_one(SCHEMA, &[]).await?.try_get(0)?;
        schema.get_or_init(|| own);
        client.batch_execute(LISTEN).await?;
        *pause = FIRST_PAUSE;
        loop {
            wake.outgoing.notified().await;
            client.query(NOTIFY, &[]).await?;
            tokio::time::sleep(GAP).await;
        }
    };
    tokio::select! {
        ended = speak => {
            let ended: Result<(), tokio_postgres::Error> = ended;
            ended.map_err(|error| StoreError::Engine(describe(&error)))
        }
        () = hear(&mut driver, wake, &schema) => Ok(()),
        () = hosts::moved(&mut primary) => Ok(()),
    }
}

/// Takes what the server says on its own, until the connection ends.
async fn hear(driver: &mut Driver, wake: &Wake, schema: &OnceLock<String>) {
    loop {
        match driver.message().await {
            Some(AsyncMessage::Notification(heard)) => {
                if schema.get().is_some_and(|own| own == heard.payload()) {
                    wake.incoming.notify_one();
                }
            }
            Some(_) => {}
            None => return,
        }
    }
}
