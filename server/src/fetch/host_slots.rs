//! Politeness: so many transfers from one host at once, and no more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hosts remembered before those without a transfer are forgotten. More are kept only while more
/// have transfers under way.
const SWEEP_AT: usize = 256;

/// One place at a host, held for as long as a transfer from it lasts.
pub(super) type Slot = OwnedSemaphorePermit;

#[derive(Debug)]
pub(super) struct HostSlots {
    per_host: usize,
    hosts: Mutex<Hosts>,
}

#[derive(Debug)]
struct Hosts {
    by_name: HashMap<String, Weak<Semaphore>>,
    sweep_at: usize,
}

impl HostSlots {
    /// `per_host` transfers from one host at once; 0 = no limit.
    pub(super) fn new(per_host: usize) -> Self {
        let per_host = if per_host == 0 { Semaphore::MAX_PERMITS } else { per_host };
        let hosts = Hosts { by_name: HashMap::new(), sweep_at: SWEEP_AT };
        Self { per_host, hosts: Mutex::new(hosts) }
    }

    /// Waits for a place at `host`, first come, first served. The wait has no end of its own:
    /// the callers are the node's transfers, whose number and deadlines are limited.
    pub(super) async fn acquire(&self, host: &str) -> Slot {
        let places = self.places(host);
        places.acquire_owned().await.expect("the places of a host are never closed")
    }

    /// A place at `host`, if one is free and nobody waits for it.
    pub(super) fn try_acquire(&self, host: &str) -> Option<Slot> {
        self.places(host).try_acquire_owned().ok()
    }

    fn places(&self, host: &str) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = hosts.by_name.get(host).and_then(Weak::upgrade) {
            return places;
        }
        if hosts.by_name.len() >= hosts.sweep_at {
            hosts.by_name.retain(|_, places| places.strong_count() > 0);
            hosts.sweep_at = SWEEP_AT.max(2 * hosts.by_name.len());
        }
        let places = Arc::new(Semaphore::new(self.per_host));
        hosts.by_name.insert(host.to_owned(), Arc::downgrade(&places));
        places
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_host_s_last_place_is_waited_for_and_other_hosts_are_free() {
        let slots = HostSlots::new(2);
        let first = slots.acquire("a").await;
        let _second = slots.acquire("a").await;
        assert!(slots.acquire("a").now_or_never().is_none(), "both places are taken");
        assert!(slots.try_acquire("a").is_none() && slots.try_acquire("c").is_some());
        assert!(slots.acquire("b").now_or_never().is_some());
        drop(first);
        assert!(slots.acquire("a").now_or_never().is_some());
    }

    #[tokio::test]
    async fn hosts_without_transfers_are_forgotten() {
        let slots = HostSlots::new(1);
        let held = slots.acquire("held").await;
        for n in 0..10 * SWEEP_AT {
            drop(slots.acquire(&format!("h{n}")).await);
        }
        assert!(slots.hosts.lock().unwrap().by_name.len() <= SWEEP_AT);
        assert!(slots.acquire("held").now_or_never().is_none(), "what is in use is kept");
        drop(held);
    }
}
