//! Politeness: so many transfers from one host at once, and no more.
//!
//! Nobody waits here. Claims go by the places that are taken and leave jobs of full hosts in their
//! line; a transfer that is led to a full host by a redirect gives its job back. So a slow host
//! holds as many slots of the node as it has places, and no more.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::source_url::HostId;

/// Hosts remembered of which it is known that they redirect to a full one.
const LEADS_LIMIT: usize = 1_024;
/// How long that is remembered after a transfer learned it.
const LEAD_KEPT: Duration = Duration::from_secs(60);

/// One place at a host, held for as long as a transfer from it lasts.
#[derive(Debug)]
pub struct Place {
    host: String,
    hosts: Arc<Mutex<Hosts>>,
}

#[derive(Debug)]
pub(super) struct HostSlots {
    /// 0 = no limit.
    per_host: usize,
    hosts: Arc<Mutex<Hosts>>,
}

#[derive(Debug, Default)]
struct Hosts {
    /// Hosts with transfers under way, so never more than there are transfers.
    taken: HashMap<String, usize>,
    /// From a host to the one that its redirects led to, and since when.
    leads: HashMap<String, (String, Instant)>,
}

impl HostSlots {
    /// `per_host` transfers from one host at once; 0 = no limit.
    pub(super) fn new(per_host: usize) -> Self {
        Self { per_host, hosts: Arc::default() }
    }

    /// A place at `host`; `None` when all are taken.
    pub(super) fn take(&self, host: &str) -> Option<Place> {
        let mut hosts = lock(&self.hosts);
        let taken = hosts.taken.get(host).copied().unwrap_or(0);
        if self.per_host != 0 && taken >= self.per_host {
            return None;
        }
        hosts.taken.insert(host.to_owned(), taken + 1);
        Some(Place { host: host.to_owned(), hosts: Arc::clone(&self.hosts) })
    }

    /// A redirect led from one host to another that was full: until further notice the first has
    /// no more places than the second.
    pub(super) fn lead(&self, from: &str, to: &str) {
        let mut hosts = lock(&self.hosts);
        let now = Instant::now();
        if hosts.leads.len() >= LEADS_LIMIT {
            hosts.leads.retain(|_, (_, since)| now.duration_since(*since) < LEAD_KEPT);
        }
        if hosts.leads.len() < LEADS_LIMIT {
            hosts.leads.insert(from.to_owned(), (to.to_owned(), now));
        }
    }

    /// The places taken, at hosts that have any.
    pub(super) fn taken(&self) -> BTreeMap<HostId, usize> {
        self.taken_at(Instant::now())
    }

    fn taken_at(&self, now: Instant) -> BTreeMap<HostId, usize> {
        let hosts = lock(&self.hosts);
        let of = |host: &String| hosts.taken.get(host).copied().unwrap_or(0);
        let mut taken: BTreeMap<HostId, usize> =
            hosts.taken.iter().map(|(host, taken)| (HostId::of(host), *taken)).collect();
        for (from, (to, since)) in &hosts.leads {
            if now.duration_since(*since) < LEAD_KEPT {
                taken.insert(HostId::of(from), of(from).max(of(to)));
            }
        }
        taken
    }

    pub(super) fn per_host(&self) -> usize {
        self.per_host
    }
}

impl Place {
    pub(super) fn is_at(&self, host: &str) -> bool {
        self.host == host
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut hosts = lock(&self.hosts);
        match hosts.taken.get_mut(&self.host) {
            Some(taken) if *taken > 1 => *taken -= 1,
            Some(_) | None => drop(hosts.taken.remove(&self.host)),
        }
    }
}

fn lock(hosts: &Mutex<Hosts>) -> MutexGuard<'_, Hosts> {
    hosts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_host_has_no_place_and_other_hosts_are_free() {
        let slots = HostSlots::new(2);
        let first = slots.take("a");
        let _second = slots.take("a");
        assert!(slots.take("a").is_none(), "both places are taken");
        assert!(slots.take("b").is_some());
        drop(first);
        assert!(slots.take("a").is_some());
        let free = HostSlots::new(0);
        let held: Vec<Place> = (0..1_000).filter_map(|_| free.take("a")).collect();
        assert_eq!(held.len(), 1_000, "no limit");
    }

    #[test]
    fn hosts_without_transfers_are_forgotten() {
        let slots = HostSlots::new(1);
        let held = slots.take("held");
        for n in 0..1_000 {
            drop(slots.take(&format!("h{n}")));
        }
        assert_eq!(slots.taken(), BTreeMap::from([(HostId::of("held"), 1)]));
        drop(held);
        assert!(slots.taken().is_empty());
    }

    #[test]
    fn a_host_that_leads_to_a_full_one_has_no_more_places_for_a_while() {
        let slots = HostSlots::new(2);
        let _held = [slots.take("cdn"), slots.take("cdn")];
        slots.lead("share", "cdn");
        assert_eq!(slots.taken()[&HostId::of("share")], 2);
        let later = slots.taken_at(Instant::now() + LEAD_KEPT);
        assert!(!later.contains_key(&HostId::of("share")));
        for n in 0..2 * LEADS_LIMIT {
            slots.lead(&format!("h{n}"), "cdn");
        }
        assert_eq!(lock(&slots.hosts).leads.len(), LEADS_LIMIT);
    }
}
