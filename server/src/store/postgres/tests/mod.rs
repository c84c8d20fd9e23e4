//! What only this backend promises, and the servers that it is tested on.

pub(in crate::store) mod cluster;

use std::sync::Arc;

use self::cluster::Version;
use super::PostgresStore;
use super::jobs::Judge;
use crate::store::Store;

/// A migrated store in a schema of its own, which lets the caller choose the time.
pub(in crate::store) async fn store(version: Version, test: &str) -> Option<Arc<dyn Store>> {
    let cluster = cluster::shared(version, test)?;
    Some(Arc::new(open(&cluster.schema().await).await))
}

async fn open(url: &str) -> PostgresStore {
    PostgresStore::migrate(url).await.unwrap();
    PostgresStore::open_judged(url, 8, Judge::Caller).await.unwrap()
}
