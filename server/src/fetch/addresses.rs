//! Which addresses are globally reachable: an allow-list of space, minus the blocks that the IANA
//! special-purpose registries take out of it, each with its source.
//!
//! Version 6 addresses that wrap a version 4 one are refused whatever they wrap: the wrapper is a
//! second spelling, and a translator on the way may unwrap it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

/// A version 6 network by its first four and its last two groups.
const fn v6(head: [u16; 4], tail: [u16; 2], prefix: u8) -> Ipv6Net {
    let [a, b, c, d] = head;
    let [g, h] = tail;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, g, h), prefix)
}

/// IANA IPv4 special-purpose registry (blocks not globally reachable), multicast, and one address
/// that looks public but is a cloud's inside. Of 192.0.0.0/24 the two anycast addresses are
/// registered as reachable (RFC 7723, RFC 8155); they lead to the nearest box of the own network,
/// so they stay refused.
const V4: [(Ipv4Net, &str); 18] = [
    (v4(0, 0, 0, 0, 8), "this network (RFC 791)"),
    (v4(10, 0, 0, 0, 8), "private use (RFC 1918)"),
    (v4(100, 64, 0, 0, 10), "shared address space (RFC 6598)"),
    (v4(127, 0, 0, 0, 8), "loopback (RFC 1122)"),
    (v4(168, 63, 129, 16, 32), "a cloud platform's own address (Azure WireServer)"),
    (v4(169, 254, 0, 0, 16), "link-local (RFC 3927)"),
    (v4(172, 16, 0, 0, 12), "private use (RFC 1918)"),
    (v4(192, 0, 0, 0, 24), "IETF protocol assignments (RFC 6890)"),
    (v4(192, 0, 2, 0, 24), "documentation (RFC 5737)"),
    (v4(192, 88, 99, 0, 24), "6to4 relay anycast (RFC 7526)"),
    (v4(192, 168, 0, 0, 16), "private use (RFC 1918)"),
    (v4(198, 18, 0, 0, 15), "benchmarking (RFC 2544)"),
    (v4(198, 51, 100, 0, 24), "documentation (RFC 5737)"),
    (v4(203, 0, 113, 0, 24), "documentation (RFC 5737)"),
    (v4(224, 0, 0, 0, 4), "multicast (RFC 5771)"),
    (v4(255, 255, 255, 255, 32), "limited broadcast (RFC 919)"),
    (v4(240, 0, 0, 0, 4), "reserved (RFC 1112)"),
    (v4(0, 0, 0, 0, 32), "unspecified (RFC 1122)"),
];

/// The only version 6 space assigned for global unicast (IANA IPv6 address space, RFC 4291).
const V6_GLOBAL: Ipv6Net = v6([0x2000, 0, 0, 0], [0, 0], 3);

/// Blocks of 2001::/23 that the registry calls globally reachable and that are locators: AMT
/// (RFC 7450) and AS112-v6 (RFC 7535). ORCHIDv2 and DRIP tags are identifiers, never dialled.
const V6_REACHABLE: [Ipv6Net; 2] =
    [v6([0x2001, 3, 0, 0], [0, 0], 32), v6([0x2001, 4, 0x112, 0], [0, 0], 48)];

/// IANA IPv6 special-purpose registry, and the retired blocks. The first match names the block.
const V6: [(Ipv6Net, &str); 23] = [
    (v6([0, 0, 0, 0], [0, 0], 128), "unspecified (RFC 4291)"),
    (v6([0, 0, 0, 0], [0, 1], 128), "loopback (RFC 4291)"),
    (MAPPED, "IPv4-mapped (RFC 4291)"),
    (TRANSLATED, "IPv4-translated (RFC 2765)"),
    (COMPATIBLE, "IPv4-compatible (RFC 4291)"),
    (NAT64, "NAT64 (RFC 6052)"),
    (NAT64_LOCAL, "local-use NAT64 (RFC 8215)"),
    (v6([0x100, 0, 0, 0], [0, 0], 64), "discard-only (RFC 6666)"),
    (v6([0x100, 0, 0, 1], [0, 0], 64), "dummy prefix (RFC 9780)"),
    (TEREDO, "Teredo (RFC 4380)"),
    (v6([0x2001, 2, 0, 0], [0, 0], 48), "benchmarking (RFC 5180)"),
    (v6([0x2001, 0x10, 0, 0], [0, 0], 28), "ORCHID (RFC 4843)"),
    (v6([0x2001, 0x20, 0, 0], [0, 0], 28), "ORCHIDv2 (RFC 7343)"),
    (v6([0x2001, 0x30, 0, 0], [0, 0], 28), "DRIP entity tags (RFC 9374)"),
    (v6([0x2001, 0, 0, 0], [0, 0], 23), "IETF protocol assignments (RFC 2928)"),
    (v6([0x2001, 0xdb8, 0, 0], [0, 0], 32), "documentation (RFC 3849)"),
    (SIX_TO_FOUR, "6to4 (RFC 3056)"),
    (v6([0x3fff, 0, 0, 0], [0, 0], 20), "documentation (RFC 9637)"),
    (v6([0x5f00, 0, 0, 0], [0, 0], 16), "segment routing (RFC 9602)"),
    (v6([0xfc00, 0, 0, 0], [0, 0], 7), "unique local (RFC 4193)"),
    (v6([0xfe80, 0, 0, 0], [0, 0], 10), "link-local (RFC 4291)"),
    (v6([0xfec0, 0, 0, 0], [0, 0], 10), "site-local (RFC 3879)"),
    (v6([0xff00, 0, 0, 0], [0, 0], 8), "multicast (RFC 4291)"),
];

const MAPPED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);
const TRANSLATED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96);
const COMPATIBLE: Ipv6Net = v6([0, 0, 0, 0], [0, 0], 96);
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0], [0, 0], 96);
const NAT64_LOCAL: Ipv6Net = v6([0x64, 0xff9b, 1, 0], [0, 0], 48);
const TEREDO: Ipv6Net = v6([0x2001, 0, 0, 0], [0, 0], 32);
const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0, 0], [0, 0], 16);

/// Where clouds keep what their machines may ask about themselves, credentials included. Only the
/// exact address opens one (docs/configuration.md, `egress_allow`). Link-local space counts whole:
/// clouds keep adding addresses there.
const METADATA_V4: [Ipv4Net; 4] = [
    v4(169, 254, 0, 0, 16),
    v4(100, 100, 100, 200, 32),
    v4(168, 63, 129, 16, 32),
    v4(192, 0, 0, 192, 32),
];
const METADATA_V6: [Ipv6Net; 3] = [
    v6([0xfe80, 0, 0, 0], [0, 0], 10),
    v6([0xfd00, 0xec2, 0, 0], [0, 0], 32),
    v6([0xfd20, 0xce, 0, 0], [0, 0], 32),
];

/// The block that keeps `ip` from being globally reachable; `None` when it is.
pub(super) fn special_block(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => V4.iter().find(|(net, _)| net.contains(&ip)).map(|(_, what)| *what),
        IpAddr::V6(ip)
            if isatap(ip).is_none() && V6_REACHABLE.iter().any(|net| net.contains(&ip)) =>
        {
            None
        }
        IpAddr::V6(ip) => match V6.iter().find(|(net, _)| net.contains(&ip)) {
            Some((_, what)) => Some(what),
            None if !V6_GLOBAL.contains(&ip) => Some("outside global unicast space (RFC 4291)"),
            None if isatap(ip).is_some() => Some("ISATAP (RFC 5214)"),
            None => None,
        },
    }
}

/// Whether `ip`, or a version 4 address wrapped in it, is a metadata address.
pub(super) fn is_metadata(ip: IpAddr) -> bool {
    spellings(ip).any(|ip| match ip {
        IpAddr::V4(ip) => METADATA_V4.iter().any(|net| net.contains(&ip)),
        IpAddr::V6(ip) => METADATA_V6.iter().any(|net| net.contains(&ip)),
    })
}

/// `ip` itself and every version 4 address that some mechanism would read out of it.
pub(super) fn spellings(ip: IpAddr) -> impl Iterator<Item = IpAddr> {
    let wrapped = match ip {
        IpAddr::V4(_) => [None; 2],
        IpAddr::V6(ip) => wrapped(ip),
    };
    std::iter::once(ip).chain(wrapped.into_iter().flatten().map(IpAddr::V4))
}

fn wrapped(ip: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let [_, b, c, _, _, _, g, h] = ip.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    let last = join(g, h);
    if NAT64_LOCAL.contains(&ip) {
        // RFC 6052 §2.2: behind a /48, the address straddles the byte 8 that must be zero.
        let o = ip.octets();
        return [Some(last), Some(Ipv4Addr::new(o[6], o[7], o[9], o[10]))];
    }
    if TEREDO.contains(&ip) {
        // RFC 4380 §4: the server as it is, the client with every bit turned.
        return [Some(join(ip.segments()[2], ip.segments()[3])), Some(join(!g, !h))];
    }
    if SIX_TO_FOUR.contains(&ip) {
        return [Some(join(b, c)), None];
    }
    let in_the_end = [MAPPED, TRANSLATED, COMPATIBLE, NAT64].iter().any(|net| net.contains(&ip));
    [if in_the_end { Some(last) } else { isatap(ip) }, None]
}

/// The address in an ISATAP interface identifier (RFC 5214 §6.1: 00-00-5E-FE or 02-00-5E-FE).
fn isatap(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [_, _, _, _, e, f, g, h] = ip.segments();
    (matches!(e, 0 | 0x0200) && f == 0x5efe)
        .then(|| Ipv4Addr::from(u32::from(g) << 16 | u32::from(h)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_block_ends_where_its_registry_says() {
        let edges = [
            ("9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"),
            ("100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"),
            ("126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"),
            ("168.63.129.15", "168.63.129.16", "168.63.129.16", "168.63.129.17"),
            ("169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"),
            ("172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"),
            ("191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"),
            ("192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"),
            ("192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"),
            ("192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"),
            ("198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"),
            ("198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"),
            ("203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"),
            ("223.255.255.255", "224.0.0.0", "255.255.255.255", "1.0.0.0"),
            ("2001:200::", "2001:db8::", "2001:db8:ffff:ffff::1", "2001:db9::"),
            ("2001:4:112::1", "2001::", "2001:2:0:ffff::", "2001:3::1"),
            ("2001:4:112:ffff::", "2001:4:113::", "2001:1ff:ffff::", "2001:200::"),
            ("2001:ffff::", "2002::", "2002:ffff:ffff::", "2003::"),
            ("3ffe::", "3fff::", "3fff:fff:ffff::", "3fff:1000::"),
            ("2000::", "1fff:ffff::", "4000::", "3fff:ffff::"),
        ];
        for (before, first, last, after) in edges {
            assert_eq!(special_block(ip(before)), None, "{before}");
            assert!(special_block(ip(first)).is_some(), "{first}");
            assert!(special_block(ip(last)).is_some(), "{last}");
            assert_eq!(special_block(ip(after)), None, "{after}");
        }
    }

    #[test]
    fn every_way_to_wrap_a_version_4_address_is_refused_and_read() {
        let inner = ip("169.254.169.254");
        for text in [
            "::ffff:169.254.169.254",
            "::ffff:0:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::169.254.169.254",
            "64:ff9b:1:a9fe:a9:fe00::",
            "2002:a9fe:a9fe::1",
            "2001:0:a9fe:a9fe::1",
            "2001::5601:5601",
            "2a00:1450::5efe:a9fe:a9fe",
            "2a00:1450::200:5efe:a9fe:a9fe",
        ] {
            assert!(special_block(ip(text)).is_some(), "{text}");
            assert!(spellings(ip(text)).any(|ip| ip == inner), "{text}");
            assert!(is_metadata(ip(text)), "{text}");
        }
        assert!(!is_metadata(ip("2a00:1450::a9fe:a9fe")), "no wrapper, only the same bits");
        for text in ["::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::", "2a00::5efe:808:808"] {
            assert!(special_block(ip(text)).is_some(), "{text}: a wrapper of a public address");
        }
    }

    #[test]
    fn metadata_addresses_are_known_by_every_cloud_s_number() {
        for text in [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fe80::a9fe:a9fe",
        ] {
            assert!(is_metadata(ip(text)), "{text}");
            assert!(special_block(ip(text)).is_some(), "{text}");
        }
        assert!(!is_metadata(ip("100.100.100.201")));
    }
}
