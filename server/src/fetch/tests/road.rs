//! The witness of the dialler: notes every address it would try, and leads it to loopback.

use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;

/// Where the public addresses of a test live on loopback: one origin for each family and for
/// https, and a place that never answers for dead addresses.
#[derive(Debug)]
pub(in crate::fetch) struct Noted {
    pub(super) plain: [SocketAddr; 2],
    pub(super) tls: [SocketAddr; 2],
    pub(super) dead: Option<SocketAddr>,
    pub(super) dead_ips: Vec<IpAddr>,
    pub(super) dialled: Mutex<Vec<SocketAddr>>,
}

impl Noted {
    /// Called with everything one connection may try.
    pub(in crate::fetch) fn lead(&self, checked: &[SocketAddr]) -> Vec<SocketAddr> {
        self.dialled.lock().unwrap().extend(checked);
        let mut roads = Vec::new();
        for address in checked {
            let by_family = if address.port() == 443 { self.tls } else { self.plain };
            let road = if self.dead_ips.contains(&address.ip()) {
                self.dead.unwrap()
            } else {
                by_family[usize::from(address.is_ipv6())]
            };
            roads.push(road);
        }
        roads
    }

    pub(super) fn dialled(&self) -> Vec<SocketAddr> {
        self.dialled.lock().unwrap().clone()
    }
}
