//! What only this backend promises, and the servers that it is tested on.

#[expect(unreachable_pub, reason = "the tests of the whole product have this file too")]
pub(in crate::store) mod cluster;
mod differential;
mod failing;
mod hosts;
mod nodes;
mod plans;
mod schema;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use self::cluster::Version;
use super::PostgresStore;
use super::jobs::Judge;
use crate::store::Store;

/// A migrated store in a schema of its own, which lets the caller choose the time.
pub(in crate::store) async fn store(version: Version, test: &str) -> Option<Arc<dyn Store>> {
    let cluster = cluster::shared(version, test)?;
    Some(Arc::new(fresh(&cluster.schema().await).await))
}

/// Migrates and opens.
async fn fresh(url: &str) -> PostgresStore {
    PostgresStore::migrate(url).await.unwrap();
    open(url).await
}

async fn open(url: &str) -> PostgresStore {
    PostgresStore::open_judged(url, 8, Judge::Caller).await.unwrap()
}

/// Waits until `condition` holds; fails after half a minute.
async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < end, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
