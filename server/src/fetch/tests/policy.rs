//! The guard against a second policy, written anew from the registries and sharing no code with it:
//! two people misread a registry in different ways.
//!
//! Sources: IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), IANA IPv6 Address
//! Space, RFC 5771 and 4291 for multicast.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::super::guard::{Guard, Refusal};

/// First and last address of what must not be dialled, by hand.
const CLOSED_4: [(&str, &str); 16] = [
    ("0.0.0.0", "0.255.255.255"),
    ("10.0.0.0", "10.255.255.255"),
    ("100.64.0.0", "100.127.255.255"),
    ("127.0.0.0", "127.255.255.255"),
    ("168.63.129.16", "168.63.129.16"), // Azure's platform address, though public by number
    ("169.254.0.0", "169.254.255.255"),
    ("172.16.0.0", "172.31.255.255"),
    ("192.0.0.0", "192.0.0.255"), // .9 and .10 are anycast inside the own network
    ("192.0.2.0", "192.0.2.255"),
    ("192.88.99.0", "192.88.99.255"),
    ("192.168.0.0", "192.168.255.255"),
    ("198.18.0.0", "198.19.255.255"),
    ("198.51.100.0", "198.51.100.255"),
    ("203.0.113.0", "203.0.113.255"),
    ("224.0.0.0", "239.255.255.255"),
    ("240.0.0.0", "255.255.255.255"),
];

/// Inside 2000::/3, the only space that is open at all.
const CLOSED_6: [(&str, &str); 4] = [
    ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
];

/// Inside 2001::/23, and reachable all the same: AMT and AS112-v6. (The anycast addresses 2001:1::1
/// to ::3 stay in the own network; ORCHIDv2 and DRIP are no locators.)
const OPEN_6: [(&str, &str); 2] = [
    ("2001:3::", "2001:3:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:4:112::", "2001:4:112:ffff:ffff:ffff:ffff:ffff"),
];

fn n4(text: &str) -> u32 {
    u32::from(text.parse::<Ipv4Addr>().unwrap())
}

fn n6(text: &str) -> u128 {
    u128::from(text.parse::<Ipv6Addr>().unwrap())
}

#[derive(Debug)]
struct Policy {
    closed_4: Vec<(u32, u32)>,
    closed_6: Vec<(u128, u128)>,
    open_6: Vec<(u128, u128)>,
}

impl Policy {
    fn new() -> Self {
        let six = |list: &[(&str, &str)]| list.iter().map(|(a, b)| (n6(a), n6(b))).collect();
        Self {
            closed_4: CLOSED_4.iter().map(|(a, b)| (n4(a), n4(b))).collect(),
            closed_6: six(&CLOSED_6),
            open_6: six(&OPEN_6),
        }
    }

    fn opens_4(&self, n: u32) -> bool {
        !self.closed_4.iter().any(|(first, last)| (*first..=*last).contains(&n))
    }

    fn opens_6(&self, n: u128) -> bool {
        let within = |list: &[(u128, u128)]| list.iter().any(|(a, b)| (*a..=*b).contains(&n));
        if within(&self.open_6) {
            return true;
        }
        // ISATAP (RFC 5214) hides a version 4 address behind any prefix.
        let isatap = matches!(n >> 32 & 0xffff_ffff, 0x0000_5efe | 0x0200_5efe);
        n >> 125 == 0b001 && !within(&self.closed_6) && !isatap
    }
}

/// A small generator whose seed makes a failure repeatable (xorshift64*, Vigna 2014).
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn wide(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % end
    }
}

#[derive(Default, Debug)]
struct Compared {
    open: usize,
    closed: usize,
    wrong: Vec<IpAddr>,
}

impl Compared {
    fn one(&mut self, guard: &Guard, ip: IpAddr, open: bool) {
        let verdict = guard.address("h.example.com", SocketAddr::new(ip, 80));
        // An interface of this very machine may have a public address.
        if verdict == Err(Refusal::Own) {
            return;
        }
        if open {
            self.open += 1
        } else {
            self.closed += 1
        }
        if verdict.is_ok() != open {
            self.wrong.push(ip);
        }
    }

    fn report(self, what: &str) {
        println!("{what}: {} open, {} closed, {} wrong", self.open, self.closed, self.wrong.len());
        self.wrong.iter().take(10).for_each(|ip| println!("wrong: {ip}"));
        assert!(self.wrong.is_empty() && self.open > 1_000 && self.closed > 1_000);
    }
}

fn guard() -> Guard {
    Guard::new(Vec::new(), Vec::new())
}

#[test]
fn every_version_4_slash_16_is_judged_as_the_registries_say() {
    let (guard, policy) = (guard(), Policy::new());
    let mut random = Random(0x4a75_6c61_6765_0001);
    let mut compared = Compared::default();
    let mut one = |n: u32| compared.one(&guard, Ipv4Addr::from(n).into(), policy.opens_4(n));
    for high in 0..=0xffffu32 {
        one(high << 16);
        one(high << 16 | u32::try_from(random.next() & 0xffff).unwrap());
    }
    // Blocks smaller than a /16: each /24 of their /16s, and both sides of every edge.
    for high in [n4("192.0.0.0"), n4("192.88.0.0"), n4("198.51.0.0"), n4("203.0.0.0")] {
        (0..=0xffu32).for_each(|third| one(high | third << 8 | 1));
    }
    for (first, last) in &policy.closed_4 {
        for n in [first.wrapping_sub(1), *first, *last, last.wrapping_add(1)] {
            one(n);
        }
    }
    compared.report("IPv4 against the second policy");
}

#[test]
fn random_version_6_addresses_are_judged_as_the_registries_say() {
    let (guard, policy) = (guard(), Policy::new());
    let seed = crate::door::random::alphanumeric(8);
    let mut random = Random(seed.bytes().fold(1, |n, b| n << 8 ^ u64::from(b) ^ n >> 56));
    println!("seed: {:#x}", random.0);
    let mut compared = Compared::default();
    let mut one = |n: u128| compared.one(&guard, Ipv6Addr::from(n).into(), policy.opens_6(n));
    let starts: Vec<u128> =
        ["::", "::ffff:0:0", "::ffff:0:0:0", "64:ff9b::", "64:ff9b:1::", "100::"]
            .into_iter()
            .chain(["2001::", "2001:1::", "2001:2::", "2001:3::", "2001:4:112::", "2001:20::"])
            .chain([
                "2001:db8::",
                "2002::",
                "2620:4f:8000::",
                "3fff::",
                "5f00::",
                "fc00::",
                "fd00:ec2::",
            ])
            .chain(["fe80::", "fec0::", "ff02::", "2606:2800:220:1::", "2a00:1450::"])
            .map(n6)
            .collect();
    for round in 0..100_000 {
        let wide = random.wide();
        one(match round % 4 {
            0 => wide,
            // Global unicast space.
            1 => wide >> 3 | 0b001 << 125,
            // The neighbourhood of a block: its prefix, cut somewhere, and anything behind.
            2 => {
                let keep = 8 + random.below(113);
                let mask = u128::MAX << (128 - keep);
                starts[random.below(starts.len())] & mask | wide & !mask
            }
            // An embedded version 4 address behind an ISATAP identifier or a near miss of it.
            _ => {
                let middle = [0x5efe, 0x0200_5efe, 0x0100_5efe, 0x5eff][random.below(4)];
                (wide >> 3 | 0b001 << 125) & !(0xffff_ffff << 32) | middle << 32
            }
        });
    }
    for (first, last) in policy.closed_6.iter().chain(&policy.open_6) {
        for n in [first - 1, *first, *last, last + 1] {
            one(n);
        }
    }
    compared.report("IPv6 against the second policy");
}

/// Ways to write a version 4 address that some reader of URLs understands (WHATWG, inet_aton).
fn spellings(ip: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = ip.octets();
    let n = u32::from(ip);
    let (low16, low24) = (n & 0xffff, n & 0xff_ffff);
    let plain = ip.to_string();
    let wide: String = plain
        .chars()
        .map(|c| c.to_digit(10).map_or(c, |d| char::from_u32(0xff10 + d).unwrap()))
        .collect();
    let encoded: String = plain.bytes().map(|b| format!("%{b:02x}")).collect();
    vec![
        format!("{plain}."),
        format!("{n}"),
        format!("{n:#x}"),
        format!("{n:#X}"),
        format!("0{n:o}"),
        format!("{n}."),
        format!("{:#x}.{:#x}.{:#x}.{:#x}", a, b, c, d),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("{a:#04x}.0{b:o}.{low16}"),
        format!("{a}.{low24}"),
        format!("{a}.{b}.{low16}"),
        format!("{a:#x}.{low24}"),
        format!("000{a:03o}.{b}.{c}.{d}"),
        format!("{a}.{b}.{c}.0x{d:08x}"),
        plain.replace('.', "\u{3002}"),
        plain.replace('.', "%2e"),
        wide,
        encoded,
        plain,
    ]
}

/// Version 6 wrappers of a version 4 address, as text.
fn wrappers(ip: Ipv4Addr) -> Vec<String> {
    let n = u32::from(ip);
    let (high, low) = (n >> 16, n & 0xffff);
    let turned = !n;
    let [a, b, c, d] = ip.octets();
    let mut all = vec![
        format!("64:ff9b:1:{a:02x}{b:02x}:{c:02x}:{d:02x}00::"),
        format!("2002:{high:x}:{low:x}::1"),
        format!("2001:0:{high:x}:{low:x}::1"),
        format!("2001::{:x}:{:x}", turned >> 16, turned & 0xffff),
    ];
    for head in [
        "::ffff:",
        "::ffff:0:",
        "::",
        "64:ff9b::",
        "64:ff9b:1::",
        "2a00:1450::5efe:",
        "2a00:1450::200:5efe:",
    ] {
        all.push(format!("{head}{ip}"));
        all.push(format!("{head}{high:x}:{low:x}"));
    }
    all.push(format!("0:0:0:0:0:ffff:{high:04X}:{low:04X}"));
    all.push(format!("0000:0000:0000:0000:0000:FFFF:{ip}"));
    all.into_iter().map(|text| format!("[{text}]")).collect()
}

#[test]
fn no_spelling_and_no_wrapper_of_a_forbidden_address_passes_the_gate() {
    let (guard, policy) = (guard(), Policy::new());
    let from = guard.target("http://pub4.example.com/a/start.mp4").unwrap();
    let positions = |host: &str| {
        [
            format!("http://{host}/v.mp4"),
            format!("HTTP://{host}:80"),
            format!("https://{host}:443/v.mp4?x=1#y"),
            format!("http://{host}:8080/"),
            format!("http://{host}?v.mp4"),
        ]
    };
    let (mut refused, mut passed) = (0, Vec::new());
    for (first, last) in CLOSED_4 {
        for ip in [first, last].map(|text| text.parse::<Ipv4Addr>().unwrap()) {
            assert!(!policy.opens_4(u32::from(ip)));
            for host in spellings(ip).into_iter().chain(wrappers(ip)) {
                for url in positions(&host) {
                    let as_redirect = url.split_once(':').unwrap().1.to_owned();
                    for (text, verdict) in [
                        (url.clone(), guard.target(&url).map(drop)),
                        (format!("-> {url}"), guard.redirect(&from, &url).map(drop)),
                        (
                            format!("-> {as_redirect}"),
                            guard.redirect(&from, &as_redirect).map(drop),
                        ),
                    ] {
                        match verdict {
                            Err(_) => refused += 1,
                            Ok(()) => passed.push(text),
                        }
                    }
                }
            }
        }
    }
    println!("forbidden addresses in the URL gate: {refused} refused, {} passed", passed.len());
    assert_eq!(passed, Vec::<String>::new());

    // The same positions with public hosts: a gate that refuses everything proves nothing.
    let public = ["93.184.216.34", "[2606:2800:220:1:248:1893:25c8:1946]", "media.example.com"];
    for url in public.iter().flat_map(|host| positions(host)) {
        assert!(guard.target(&url).is_ok() && guard.redirect(&from, &url).is_ok(), "{url}");
    }
    // And of a public address the plain spelling alone.
    let public = Ipv4Addr::new(93, 184, 216, 34);
    for host in spellings(public).into_iter().chain(wrappers(public)) {
        let passes = guard.target(&format!("http://{host}/v.mp4")).is_ok();
        assert_eq!(passes, host == "93.184.216.34", "{host}");
    }
}
