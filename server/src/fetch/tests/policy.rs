//! The guard against a second policy, written anew from the registries and sharing no code with it:
//! two people misread a registry in different ways.
//!
//! Sources: IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), IANA IPv6 Address
//! Space, RFC 5771 and 4291 for multicast.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::super::guard::Guard;

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

/// The whole IANA IPv6 special-purpose registry, the blocks of the address space registry that have
/// a use of their own, and the ways to hide a version 4 address, by hand: prefix, length, and whether
/// it may be dialled. The longest prefix decides. What the registry calls reachable stays closed here
/// where it is no locator (ORCHIDv2, DRIP), leads into the own network (the anycast addresses
/// 2001:1::1 to ::3) or to a translator (NAT64).
const SPECIAL_6: [(&str, u32, bool); 43] = [
    ("::", 8, false), // reserved by the IETF
    ("::", 96, false),
    ("::", 128, false),
    ("::1", 128, false),
    ("::ffff:0:0", 96, false),
    ("::ffff:0:0:0", 96, false),
    ("64:ff9b::", 96, false),
    ("64:ff9b:1::", 48, false),
    ("100::", 8, false),
    ("100::", 64, false),
    ("100:0:0:1::", 64, false),
    ("200::", 7, false),
    ("400::", 6, false),
    ("800::", 5, false),
    ("1000::", 4, false),
    ("2000::", 3, true), // the only space of global unicast addresses
    ("2001::", 23, false),
    ("2001::", 32, false),
    ("2001:1::1", 128, false),
    ("2001:1::2", 128, false),
    ("2001:1::3", 128, false),
    ("2001:2::", 48, false),
    ("2001:3::", 32, true),     // AMT
    ("2001:4:112::", 48, true), // AS112-v6
    ("2001:10::", 28, false),
    ("2001:20::", 28, false),
    ("2001:30::", 28, false),
    ("2001:db8::", 32, false),
    ("2002::", 16, false),
    ("2620:4f:8000::", 48, true), // AS112 by direct delegation
    ("3fff::", 20, false),
    ("4000::", 3, false),
    ("5f00::", 16, false),
    ("6000::", 3, false),
    ("8000::", 3, false),
    ("a000::", 3, false),
    ("c000::", 3, false),
    ("e000::", 4, false),
    ("f000::", 5, false),
    ("fc00::", 7, false),
    ("fe80::", 10, false),
    ("fec0::", 10, false),
    ("ff00::", 8, false),
];

/// Random version 6 addresses: a million where the build is optimised, as the full test command's is.
const ROUNDS_6: usize = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
/// Each prefix of [`SPECIAL_6`] has at least this many of them, and so do the edges of each.
const LEAST_HITS: usize = ROUNDS_6 / 2_000;

fn n4(text: &str) -> u32 {
    u32::from(text.parse::<Ipv4Addr>().unwrap())
}

fn n6(text: &str) -> u128 {
    u128::from(text.parse::<Ipv6Addr>().unwrap())
}

/// First and last address of a prefix.
fn ends(prefix: u128, length: u32) -> (u128, u128) {
    let behind = u128::MAX.checked_shr(length).unwrap_or(0);
    assert_eq!(prefix & behind, 0, "{}", Ipv6Addr::from(prefix));
    (prefix, prefix | behind)
}

#[derive(Debug)]
struct Policy {
    closed_4: Vec<(u32, u32)>,
    /// First, last, open; the longest prefix first.
    special_6: Vec<(u128, u128, bool)>,
}

impl Policy {
    fn new() -> Self {
        let mut sorted = SPECIAL_6;
        sorted.sort_by_key(|(_, length, _)| std::cmp::Reverse(*length));
        let range = |(prefix, length, open): &(&str, u32, bool)| {
            let (first, last) = ends(n6(prefix), *length);
            (first, last, *open)
        };
        Self {
            closed_4: CLOSED_4.iter().map(|(a, b)| (n4(a), n4(b))).collect(),
            special_6: sorted.iter().map(range).collect(),
        }
    }

    fn opens_4(&self, n: u32) -> bool {
        !self.closed_4.iter().any(|(first, last)| (*first..=*last).contains(&n))
    }

    fn opens_6(&self, n: u128) -> bool {
        // ISATAP (RFC 5214) hides a version 4 address behind any prefix.
        if matches!(n >> 32 & 0xffff_ffff, 0x0000_5efe | 0x0200_5efe) {
            return false;
        }
        let found = self.special_6.iter().find(|(first, last, _)| (*first..=*last).contains(&n));
        found.is_some_and(|(_, _, open)| *open)
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

#[test]
fn every_version_4_slash_16_is_judged_as_the_registries_say() {
    let (guard, policy) = (Guard::nowhere(), Policy::new());
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

/// A random address of one of the kinds that a table gets wrong.
fn candidate(round: usize, random: &mut Random, special: &[(u128, u128, bool)]) -> u128 {
    let wide = random.wide();
    let (first, last, _) = special[random.below(special.len())];
    match round % 8 {
        0 => wide,
        // Global unicast space.
        1 => wide >> 3 | 0b001 << 125,
        // Anywhere in a block.
        2 => first | wide & (last - first),
        // At an edge of a block, on either side.
        3 => [first, last][random.below(2)],
        5 => {
            let step = [1, 2, 0x100, 0x1_0000][random.below(4)];
            [first.wrapping_sub(step), last.wrapping_add(step)][random.below(2)]
        }
        // The neighbourhood of a block: its prefix, cut somewhere, and anything behind.
        4 => {
            let keep = 8 + random.below(113);
            let mask = u128::MAX << (128 - keep);
            first & mask | wide & !mask
        }
        // An embedded version 4 address behind an ISATAP identifier or a near miss of it, in global
        // unicast space or in a block.
        _ => {
            let middle = [0x5efe, 0x0200_5efe, 0x0100_5efe, 0x5eff][random.below(4)];
            let head = if random.below(2) == 0 { wide >> 3 | 0b001 << 125 } else { first | wide };
            let head = if random.below(2) == 0 { head } else { first };
            head & !(0xffff_ffff << 32) | middle << 32 | wide & 0xffff_ffff
        }
    }
}

#[test]
fn random_version_6_addresses_are_judged_as_the_registries_say() {
    let (guard, policy) = (Guard::nowhere(), Policy::new());
    let seed = crate::door::random::alphanumeric(8);
    let mut random = Random(seed.bytes().fold(1, |n, b| n << 8 ^ u64::from(b) ^ n >> 56));
    println!("seed: {:#x}", random.0);
    let mut compared = Compared::default();
    let special = &policy.special_6;
    // Inside, and exactly at either edge.
    let mut hits = vec![(0, 0); special.len()];
    let mut one = |n: u128| compared.one(&guard, Ipv6Addr::from(n).into(), policy.opens_6(n));
    for round in 0..ROUNDS_6 {
        let n = candidate(round, &mut random, special);
        for ((first, last, _), (inside, edge)) in special.iter().zip(&mut hits) {
            *inside += usize::from((*first..=*last).contains(&n));
            *edge += usize::from(n == *first || n == *last);
        }
        one(n);
    }
    for (first, last, _) in special {
        [first.wrapping_sub(1), *first, *last, last.wrapping_add(1)].into_iter().for_each(&mut one);
    }
    for ((first, ..), (inside, edge)) in special.iter().zip(hits) {
        let prefix = Ipv6Addr::from(*first);
        assert!(inside >= LEAST_HITS && edge >= LEAST_HITS, "{prefix}: {inside} inside, {edge}");
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

/// The wrappers again, each in other spellings: capital letters, written out in full, with a zone,
/// with a spelling of the version 4 address inside that some readers understand.
fn respelt(ip: Ipv4Addr) -> Vec<String> {
    let mut all = Vec::new();
    for text in wrappers(ip) {
        let inside = text.trim_matches(['[', ']']);
        let plain: Ipv6Addr = inside.parse().unwrap();
        let full: Vec<String> = plain.segments().iter().map(|s| format!("{s:04x}")).collect();
        all.push(format!("[{}]", inside.to_uppercase()));
        all.push(format!("[{}]", full.join(":")));
        all.push(format!("[{inside}%25eth0]"));
        all.push(format!("[{inside}%eth0]"));
        all.push(format!("%5B{inside}%5D"));
        all.push(inside.to_owned());
    }
    for spelling in spellings(ip).into_iter().filter(|spelling| *spelling != ip.to_string()) {
        all.push(format!("[::ffff:{spelling}]"));
        all.push(format!("[64:ff9b::{spelling}]"));
    }
    all
}

/// The third position of an address, after URLs and redirects: what DNS says of a name.
#[test]
fn no_forbidden_address_and_no_wrapper_passes_as_an_answer_of_dns() {
    let guard = Guard::nowhere();
    let open: IpAddr = "93.184.216.34".parse().unwrap();
    let mut refused = 0;
    for ip in CLOSED_4.iter().flat_map(|(first, last)| [*first, *last]) {
        let ip: Ipv4Addr = ip.parse().unwrap();
        let wrapped = wrappers(ip).into_iter().map(|text| {
            let text = text.trim_matches(['[', ']']).to_owned();
            IpAddr::V6(text.parse().unwrap())
        });
        for bad in wrapped.chain([IpAddr::V4(ip)]) {
            for answer in [vec![bad], vec![bad, open], vec![open, bad], vec![open, open, bad, open]]
            {
                assert!(guard.answer("media.example.com", 80, &answer).is_err(), "{answer:?}");
                refused += 1;
            }
        }
    }
    assert!(guard.answer("media.example.com", 80, &[open, open]).is_ok());
    println!("forbidden addresses in answers: {refused} refused");
}

#[test]
fn no_spelling_and_no_wrapper_of_a_forbidden_address_passes_the_gate() {
    let (guard, policy) = (Guard::nowhere(), Policy::new());
    let from = guard.target("http://pub4.example.com/a/start.mp4").unwrap();
    let positions = |host: &str| {
        [
            format!("http://{host}/v.mp4"),
            format!("HTTP://{host}:80"),
            format!("https://{host}:443/v.mp4?x=1#y"),
            format!("http://{host}:8080/"),
            format!("http://{host}?v.mp4"),
            format!("http://{host}#@media.example.com/v.mp4"),
            format!("http://{host}/\u{7f}@media.example.com/v.mp4"),
            format!("http://media.example.com@{host}/v.mp4"),
            format!("http://media.example.com:80@{host}/v.mp4"),
            format!("http:{host}/v.mp4"),
            format!("http:\\\\{host}\\v.mp4"),
        ]
    };
    let (mut refused, mut passed) = (0, Vec::new());
    let mut random = Random(0x4a75_6c61_6765_0002);
    for (first, last) in CLOSED_4.map(|(first, last)| (n4(first), n4(last))) {
        let inside = first + u32::try_from(random.next() % u64::from(last - first + 1)).unwrap();
        for ip in [first, inside, last].map(Ipv4Addr::from) {
            assert!(!policy.opens_4(u32::from(ip)));
            let plain = spellings(ip).into_iter().chain(wrappers(ip));
            for host in plain.chain(respelt(ip)) {
                for url in positions(&host) {
                    // Without its scheme, where that leaves a host (and not a path).
                    let as_redirect = match url.split_once(':').unwrap().1 {
                        rest if rest.starts_with("//") => rest.to_owned(),
                        _ => url.clone(),
                    };
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
    for url in public.iter().flat_map(|host| positions(host).into_iter().take(6)) {
        assert!(guard.target(&url).is_ok() && guard.redirect(&from, &url).is_ok(), "{url}");
    }
    // And of a public address the plain spelling alone.
    let public = Ipv4Addr::new(93, 184, 216, 34);
    for host in spellings(public).into_iter().chain(wrappers(public)) {
        let passes = guard.target(&format!("http://{host}/v.mp4")).is_ok();
        assert_eq!(passes, host == "93.184.216.34", "{host}");
    }
}
