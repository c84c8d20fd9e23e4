//! The addresses of this machine's interfaces: a fetch must not be turned against the machine it
//! runs on, whatever firewall stands before its public address.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink::SocketAddrNetlink,
};

/// Where the addresses of this machine are known from.
#[derive(Clone, Debug)]
pub(super) enum OwnAddresses {
    /// Asked of the kernel each time: addresses come and go.
    System,
    #[cfg(test)]
    Listed(Vec<OwnAddress>),
}

/// The addresses of this machine at one moment.
#[derive(Debug)]
pub(super) enum Present {
    Listed(Vec<OwnAddress>),
    /// A sandbox may forbid netlink. Then each address is asked about.
    Unlisted,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct OwnAddress {
    pub(super) ip: IpAddr,
    /// Set on the loopback device. Such addresses are a service's (anycast, a balancer's), not
    /// the machine's own face: only our listeners' ports are refused there.
    pub(super) on_loopback: bool,
}

impl OwnAddresses {
    pub(super) fn now(&self) -> Present {
        match self {
            Self::System => interface_addresses().map_or(Present::Unlisted, Present::Listed),
            #[cfg(test)]
            Self::Listed(all) => Present::Listed(all.clone()),
        }
    }
}

impl Present {
    /// This machine's entry for `ip`, if it is one of its addresses.
    pub(super) fn find(&self, ip: IpAddr) -> Option<OwnAddress> {
        match self {
            Self::Listed(all) => all.iter().find(|own| own.ip == ip).copied(),
            Self::Unlisted => {
                is_own_source(ip).then_some(OwnAddress { ip, on_loopback: ip.is_loopback() })
            }
        }
    }
}

/// For an address of its own the kernel chooses that very address as the source (the first of
/// the network it is in, at least); choosing one sends nothing.
#[expect(
    clippy::disallowed_methods,
    reason = "asks for the route; a datagram socket sends nothing"
)]
fn is_own_source(ip: IpAddr) -> bool {
    let any = match ip {
        IpAddr::V4(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
        IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let source = || {
        let socket = UdpSocket::bind(any)?;
        socket.connect((ip, 9))?;
        socket.local_addr()
    };
    source().is_ok_and(|source: SocketAddr| source.ip() == ip)
}

// rtnetlink(7), netlink(7): the message types, flags and attributes used here.
const RTM_GETADDR: u16 = 22;
const RTM_NEWADDR: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const REQUEST_DUMP: u16 = 0x301;
const HEADER_BYTES: usize = 16;
const ADDRESS_BYTES: usize = 8;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// Linux gives the loopback device this number in every network namespace.
const LOOPBACK_INDEX: u32 = 1;
/// Messages of a dump are at most this long (netlink(7)); one is read at a time.
const RECEIVE_BYTES: usize = 32 * 1024;
/// Longest dump that is read, in receives.
const RECEIVES: usize = 1_024;

/// Asks the kernel for all addresses of all interfaces.
fn interface_addresses() -> io::Result<Vec<OwnAddress>> {
    // Protocol 0 is NETLINK_ROUTE.
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::connect(&socket, &SocketAddrNetlink::new(0, 0))?;
    let mut request = Vec::with_capacity(HEADER_BYTES + ADDRESS_BYTES);
    request.extend(24u32.to_ne_bytes());
    request.extend(RTM_GETADDR.to_ne_bytes());
    request.extend(REQUEST_DUMP.to_ne_bytes());
    request.extend([0u8; 8]); // sequence and port: one question on a socket of its own
    request.extend([0u8; ADDRESS_BYTES]); // any family, any interface
    rustix::net::send(&socket, &request, SendFlags::empty())?;

    let mut found = Vec::new();
    let mut buffer = vec![0u8; RECEIVE_BYTES];
    for _ in 0..RECEIVES {
        let (length, _) = rustix::net::recv(&socket, &mut buffer[..], RecvFlags::empty())?;
        let mut rest = buffer.get(..length).unwrap_or_default();
        while let Some((kind, body, after)) = next_message(rest) {
            match kind {
                RTM_NEWADDR => found.extend(address_of(body)),
                NLMSG_DONE => return Ok(found),
                NLMSG_ERROR => return Err(io::Error::other("the kernel refused the question")),
                _ => {}
            }
            rest = after;
        }
    }
    Err(io::Error::other("the kernel's answer has no end"))
}

/// Cuts one message off: its type, its body, and what follows.
fn next_message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?)).ok()?;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(HEADER_BYTES..length)?;
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// The address of an RTM_NEWADDR body. On a point-to-point link IFA_LOCAL is ours and IFA_ADDRESS
/// is the other end; without IFA_LOCAL the address is ours.
fn address_of(body: &[u8]) -> Option<OwnAddress> {
    let index = u32::from_ne_bytes(body.get(4..8)?.try_into().ok()?);
    let mut rest = body.get(ADDRESS_BYTES..)?;
    let (mut local, mut address) = (None, None);
    while let Some(head) = rest.get(..4) {
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let Some(value) = rest.get(4..length) else { break };
        match u16::from_ne_bytes([head[2], head[3]]) {
            IFA_LOCAL => local = ip(value),
            IFA_ADDRESS => address = ip(value),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    local.or(address).map(|ip| OwnAddress { ip, on_loopback: index == LOOPBACK_INDEX })
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_lists_loopback_on_the_loopback_device() {
        let lo: IpAddr = "127.0.0.1".parse().unwrap();
        let all = interface_addresses().unwrap();
        assert!(all.contains(&OwnAddress { ip: lo, on_loopback: true }), "{all:?}");
        assert_eq!(
            OwnAddresses::System.now().find(lo),
            Some(OwnAddress { ip: lo, on_loopback: true })
        );
        assert_eq!(OwnAddresses::System.now().find("93.184.216.34".parse().unwrap()), None);
    }

    #[test]
    fn without_netlink_the_source_address_tells() {
        assert!(is_own_source("127.0.0.1".parse().unwrap()));
        assert!(!is_own_source("93.184.216.34".parse().unwrap()));
    }
}
