//! A model of an object store: objects are there whole or not at all, and calls fail as calls do.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use haulage::blob::{BlobError, Blobs, ObjectReader, Staged};
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use crate::life::Life;
use crate::node::Node;
use crate::plants::Plant;
use crate::world::{World, pause};

/// What lies in the store, by key: size and SHA-256.
#[derive(Debug, Default)]
pub struct Objects(Mutex<BTreeMap<String, (u64, String)>>);

impl Objects {
    pub fn digest(&self, key: &str) -> Option<(u64, String)> {
        self.lock().get(key).cloned()
    }

    pub fn keys(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (u64, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The objects as one process of a node reaches them.
pub struct Shelf {
    pub(crate) world: Arc<World>,
    pub(crate) node: Arc<Node>,
    pub(crate) life: Arc<Life>,
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shelf of {}", self.node)
    }
}

impl Shelf {
    /// One call: late, refused, without an answer, or with one. `None` means no answer ever.
    async fn call<T: Send + 'static>(
        &self,
        name: &'static str,
        effect: impl FnOnce(&World) -> Result<T, BlobError> + Send + 'static,
    ) -> Result<T, BlobError> {
        let (world, node, life) = (self.world.clone(), self.node.clone(), self.life.clone());
        let faults = world.swarm.objects;
        let slow = world.strikes(faults.slow);
        let late = world.late(0, if slow { 1_500 } else { 20 });
        let error = world.strikes(faults.error);
        let lost = world.strikes(faults.lost_reply);
        let (before, after) =
            (world.strikes(faults.crash_before), world.strikes(faults.crash_after));
        let (answer, answered) = oneshot::channel();
        let on = world.clone();
        self.world.send(async move {
            pause(late).await;
            if before {
                on.cover(&format!("crash before {name}"));
                node.crash(&on, &life, name);
                return;
            }
            let result = if error { Err(broken(name)) } else { effect(&on) };
            on.trace.note(format_args!(
                "{node} {name}: {}",
                if result.is_ok() { "ok" } else { "error" }
            ));
            if after {
                on.cover(&format!("crash after {name}"));
                node.crash(&on, &life, name);
                return;
            }
            if lost {
                on.cover(&format!("lost reply of {name}"));
            }
            let result = if lost { Err(broken(name)) } else { result };
            drop(answer.send(result));
        });
        answered.await.unwrap_or_else(|_| Err(broken(name)))
    }
}

fn broken(action: &'static str) -> BlobError {
    BlobError::Io { action, source: std::io::Error::other("the object store did not answer") }
}

fn digest(bytes: &[u8]) -> (u64, String) {
    (bytes.len() as u64, hex::encode(Sha256::digest(bytes)))
}

#[async_trait]
impl Blobs for Shelf {
    async fn publish(&self, staged: Staged, object_key: &str) -> Result<(), BlobError> {
        let bytes = std::fs::read(staged.path())
            .map_err(|source| BlobError::Io { action: "read a staged file", source })?;
        let (key, whole) = (object_key.to_owned(), digest(&bytes));
        if self.world.plant == Some(Plant::ObjectsGrowVisibly) {
            let half = digest(&bytes[..bytes.len() / 2]);
            self.world.objects.lock().insert(key.clone(), half);
        }
        if self.world.plant == Some(Plant::PublishedBeforeStored) {
            let world = self.world.clone();
            self.world.send(async move {
                pause(std::time::Duration::from_millis(50)).await;
                world.objects.lock().insert(key, whole);
            });
            return Ok(());
        }
        let put = move |world: &World| {
            let mut objects = world.objects.lock();
            match objects.get(&key) {
                Some(there) if *there != whole && world.plant.is_none() => {
                    Err(BlobError::Taken(key))
                }
                Some(_) | None => {
                    objects.insert(key, whole);
                    Ok(())
                }
            }
        };
        let published = self.call("publish", put).await;
        drop(staged);
        published
    }

    async fn open(&self, _: &str) -> Result<Option<ObjectReader>, BlobError> {
        // No client of the simulation plays anything.
        Ok(None)
    }

    async fn delete(&self, object_key: &str) -> Result<bool, BlobError> {
        let key = object_key.to_owned();
        let deleted = move |world: &World| {
            world.witness().judge_delete(world, &key);
            Ok(world.objects.lock().remove(&key).is_some())
        };
        self.call("delete", deleted).await
    }

    async fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, BlobError> {
        let after = after.map(str::to_owned);
        let listed = move |world: &World| {
            let keys = world.objects.keys().into_iter();
            let later = keys.filter(|key| after.as_ref().is_none_or(|after| key > after));
            Ok(later.take(limit).collect())
        };
        self.call("list", listed).await
    }

    async fn free_bytes(&self) -> Result<Option<u64>, BlobError> {
        Ok(None)
    }
}
