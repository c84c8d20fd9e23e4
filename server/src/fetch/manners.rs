//! What origins think of several connections for one file, remembered for a while.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Hosts remembered. When there are more, those whose time is nearest its end are forgotten first.
const HOSTS: usize = 1_000;
/// How long a host that refused or broke connections gets fewer.
const SHY: Duration = Duration::from_secs(600);
/// How long a host whose ranges are not to be trusted gets one.
const INEPT: Duration = Duration::from_secs(3_600);

/// How a piece failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Offence {
    /// Answered with a refusal: 403, 429, 503 and the like.
    Refused,
    /// Not answered, or cut off.
    Broken,
    /// Answered, but not with the part that was asked for.
    Mishandled,
    /// There is another version now.
    Changed,
}

/// How many connections a host is offered.
#[derive(Clone, Copy, Debug)]
struct Offer {
    most: usize,
    until: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Manners(Mutex<HashMap<String, Offer>>);

impl Manners {
    /// How many of `most` connections a host is to be offered.
    pub(super) fn allowed(&self, host: &str, most: usize, now: Instant) -> usize {
        let hosts = self.lock();
        let offer = hosts.get(host).filter(|offer| offer.until > now);
        offer.map_or(most, |offer| offer.most.min(most))
    }

    /// A piece failed while there were `width` connections.
    pub(super) fn note(&self, host: &str, offence: Offence, width: usize, now: Instant) {
        let (most, time) = match offence {
            Offence::Refused | Offence::Broken => ((width / 2).max(1), SHY),
            Offence::Mishandled => (1, INEPT),
            Offence::Changed => return,
        };
        let offer = Offer { most, until: now + time };
        let mut hosts = self.lock();
        if hosts.len() >= HOSTS && !hosts.contains_key(host) {
            let first = hosts.iter().min_by_key(|(_, offer)| offer.until);
            if let Some(first) = first.map(|(host, _)| host.clone()) {
                hosts.remove(&first);
            }
        }
        hosts.insert(host.to_owned(), offer);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Offer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_gets_as_many_connections_as_it_took_well_and_is_forgiven() {
        let (manners, now) = (Manners::default(), Instant::now());
        assert_eq!(manners.allowed("a", 4, now), 4);
        manners.note("a", Offence::Refused, 4, now);
        manners.note("b", Offence::Mishandled, 4, now);
        manners.note("c", Offence::Changed, 4, now);
        manners.note("d", Offence::Broken, 1, now);
        let allowed = |at| ["a", "b", "c", "d"].map(|host| manners.allowed(host, 4, at));
        assert_eq!(allowed(now), [2, 1, 4, 1]);
        assert_eq!(allowed(now + SHY), [4, 1, 4, 4]);
        assert_eq!(allowed(now + INEPT), [4, 4, 4, 4]);
        assert_eq!(manners.allowed("a", 1, now), 1, "never more than asked for");
    }

    #[test]
    fn so_many_hosts_are_remembered_and_the_oldest_are_forgotten() {
        let (manners, now) = (Manners::default(), Instant::now());
        for n in 0..=HOSTS {
            let at = now + Duration::from_millis(n as u64);
            manners.note(&format!("h{n}"), Offence::Mishandled, 2, at);
        }
        assert_eq!(manners.lock().len(), HOSTS);
        assert_eq!((manners.allowed("h0", 4, now), manners.allowed("h1", 4, now)), (4, 1));
    }
}
