//! What the operator opens in the egress firewall: the entries of `HAULAGE_EGRESS_ALLOW`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;

/// One entry of `HAULAGE_EGRESS_ALLOW`: a network, an address or a host name, each with an
/// optional port: `127.0.0.0/8`, `10.0.0.5:443`, `[fd00::1]:8080`, `media.internal:8080`,
/// `localhost`. Without a port it opens every port.
///
/// A host name opens that very name (no sub-names) and the addresses it resolves to. Nothing but
/// the exact address opens a metadata address, and nothing but the exact address and port one of
/// our own listeners (docs/configuration.md, `egress_allow`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EgressAllow {
    place: Place,
    port: Option<u16>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    Network(IpNet),
    /// Lower case, without the dot of the root.
    Host(String),
}

/// An entry of `HAULAGE_EGRESS_ALLOW` that says nothing usable.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadEgressAllow {
    #[error("`{0}` is no network, address or host name with an optional port")]
    Form(String),
    #[error("`{0}` has a port that is not in 1..=65535")]
    Port(String),
    #[error("`{0}` has address bits behind the network's prefix; write {1}")]
    HostBits(String, IpNet),
}

impl EgressAllow {
    /// Whether this entry names `name` and opens `port` there.
    pub(super) fn opens_name(&self, name: &str, port: u16) -> bool {
        matches!(&self.place, Place::Host(host) if host == name) && self.opens_port(port)
    }

    /// Whether this entry's network holds the address and opens the port.
    pub(super) fn opens_address(&self, address: SocketAddr) -> bool {
        matches!(&self.place, Place::Network(net) if net.contains(&address.ip()))
            && self.opens_port(address.port())
    }

    /// Whether this entry names this one address, and opens the port.
    pub(super) fn names_address(&self, address: SocketAddr) -> bool {
        self.is_single(address.ip()) && self.opens_port(address.port())
    }

    /// Whether this entry names this one address and this one port.
    pub(super) fn names_listener(&self, address: SocketAddr) -> bool {
        self.is_single(address.ip()) && self.port == Some(address.port())
    }

    /// Whether some address could be opened at `port` by this entry: then a name with that port
    /// has to be resolved before it can be judged.
    pub(super) fn may_open(&self, port: u16) -> bool {
        matches!(self.place, Place::Network(_)) && self.opens_port(port)
    }

    fn is_single(&self, ip: IpAddr) -> bool {
        matches!(&self.place, Place::Network(net)
            if net.prefix_len() == net.max_prefix_len() && net.addr() == ip)
    }

    fn opens_port(&self, port: u16) -> bool {
        self.port.is_none_or(|only| only == port)
    }
}

impl FromStr for EgressAllow {
    type Err = BadEgressAllow;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        // Version 6 goes without brackets only when no port follows: its colons would swallow one.
        if let Some(place) = network(text)? {
            return Ok(Self { place, port: None });
        }
        let (place, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((inner, "")) => (inner, None),
            Some((inner, rest)) => match rest.strip_prefix(':') {
                Some(port) => (inner, Some(port)),
                None => return Err(BadEgressAllow::Form(text.to_owned())),
            },
            None => match text.split_once(':') {
                Some((place, port)) => (place, Some(port)),
                None => (text, None),
            },
        };
        let port = port
            .map(|digits| match digits.parse::<u16>() {
                Ok(port) if port > 0 && digits.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
                _ => Err(BadEgressAllow::Port(text.to_owned())),
            })
            .transpose()?;
        let bracketed = text.starts_with('[');
        let place = match network(place)? {
            Some(place) => place,
            None if !bracketed && is_host(place) => {
                Place::Host(place.trim_end_matches('.').to_ascii_lowercase())
            }
            None => return Err(BadEgressAllow::Form(text.to_owned())),
        };
        Ok(Self { place, port })
    }
}

fn network(text: &str) -> Result<Option<Place>, BadEgressAllow> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(Some(Place::Network(IpNet::from(ip))));
    }
    match text.parse::<IpNet>() {
        Ok(net) if net.addr() == net.network() => Ok(Some(Place::Network(net))),
        Ok(net) => Err(BadEgressAllow::HostBits(text.to_owned(), net.trunc())),
        Err(_) => Ok(None),
    }
}

/// A host name as it may stand in the list: the letters-digits-hyphen rule, and not all digits at
/// the end, which would be an address misspelt.
fn is_host(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253 && name.split('.').all(label) && !last.bytes().all(|b| b.is_ascii_digit())
}

impl fmt::Display for EgressAllow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Network(net) => {
                let bracketed = net.addr().is_ipv6() && self.port.is_some();
                let (open, close) = if bracketed { ("[", "]") } else { ("", "") };
                if net.prefix_len() == net.max_prefix_len() {
                    write!(f, "{open}{}{close}", net.addr())?;
                } else {
                    write!(f, "{open}{net}{close}")?;
                }
            }
            Place::Host(name) => f.write_str(name)?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_network_an_address_or_a_name_with_an_optional_port() {
        for text in [
            "127.0.0.0/8",
            "127.0.0.0/8:8080",
            "10.0.0.5",
            "10.0.0.5:443",
            "fd00::/8",
            "fd00::1",
            "[fd00::1]:8080",
            "[fd00::/8]:443",
            "media.internal:8080",
            "localhost",
        ] {
            let entry: EgressAllow = text.parse().unwrap();
            assert_eq!(entry.to_string(), text);
            assert_eq!(entry.to_string().parse(), Ok(entry));
        }
        let same: EgressAllow = " Media.Internal. ".parse().unwrap();
        assert_eq!(same.to_string(), "media.internal");
        for bad in [
            "",
            ":80",
            "10.0.0.0/33",
            "10.0.0.5/8",
            "10.0.0.5:0",
            "10.0.0.5:65536",
            "h:+80",
            "a b",
            "http://h",
            "h/8",
            "1.2.3",
            "[h]:80",
            "[::1",
            "[::1]80",
            "a..b",
            "*.h",
            "0x7f.1",
            "2130706433",
        ] {
            assert!(bad.parse::<EgressAllow>().is_err(), "{bad}");
        }
    }
}
