//! The sequences of random calls that SQLite's backend is compared by, on this one.

use std::sync::Arc;

use async_trait::async_trait;

use super::cluster::{self, Version};
use super::{PostgresStore, open};
use crate::store::Store;
use crate::store::sqlite::tests::differential::{Ground, compare};

struct Schema(String);

#[async_trait]
impl Ground for Schema {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(open(&self.0).await)
    }
}

fn compare_on(version: Version, cases: u32, test: &str) {
    let Some(cluster) = cluster::shared(version, test) else { return };
    compare(cases, async || {
        let url = cluster.schema().await;
        PostgresStore::migrate(&url).await.unwrap();
        Schema(url)
    });
}

#[test]
fn version_15_answers_as_the_one_in_memory() {
    compare_on(Version::Fifteen, 40, "version_15_answers_as_the_one_in_memory");
}

#[test]
fn version_18_answers_as_the_one_in_memory() {
    compare_on(Version::Eighteen, 20, "version_18_answers_as_the_one_in_memory");
}
