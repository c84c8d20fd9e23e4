//! The address corpora on a wire: the server in one network namespace, the whole Internet in the
//! other. The Internet answers for every address, public and forbidden, and every SYN on the wire
//! between them is recorded; what would stay inside the server's namespace (loopback, its own
//! addresses) is counted by its kernel. So "never connected" is what was observed, not what an error
//! says.
//!
//! Needs root for the namespaces.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use haulage::fetch::guard::WEB_PORTS;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::circumstances;
use super::origin::{FaultOrigin, Speech};
use super::settled;
use super::zone::{self, Zone};
use crate::harness::process::command;
use crate::harness::{Client, KEY_ID, SECRET, SOON, count_from, skip, spawn, until};

const URLS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpora/ssrf_urls.jsonl"));
pub const DNS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpora/ssrf_dns.jsonl"));
/// The server's address and the Internet's own; both public by number.
const SERVER: &str = "203.0.114.7";
const SERVER_6: &str = "2a0f:1::7";
pub const INTERNET: &str = "203.0.114.1";
pub const API: &str = "203.0.114.7:8443";
pub const DNS_SERVER: &str = "203.0.114.1:53";
/// Set for the second half of the test, which changes the network it runs in.
pub const INSIDE: &str = "HAULAGE_TEST_NETNS";
const PORTS: [u16; 11] = [80, 81, 443, 8000, 8008, 8080, 8443, 8880, 8888, 6379, 22];

#[test]
fn no_packet_goes_to_a_forbidden_address() {
    let name = "no_packet_goes_to_a_forbidden_address";
    in_a_namespace(name, "faults::netns::inside_a_namespace");
}

/// Runs `second`, an ignored test, in a network namespace of its own on behalf of the test `name`.
pub fn in_a_namespace(name: &str, second: &str) {
    let can = |program: &str, args: &[&str]| {
        Command::new(program).args(args).output().is_ok_and(|o| o.status.success())
    };
    if !can("unshare", &["-n", "true"]) || !can("ip", &["-V"]) || !can("nsenter", &["-V"]) {
        return skip(name, "network namespaces need root and iproute2");
    }
    let status = Command::new("unshare")
        .arg("-n")
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, "1")
        .args(["--ignored", "--exact", "--nocapture", second])
        .status()
        .unwrap();
    assert!(status.success());
}

/// A process that is ended with its owner.
pub struct Kept(Child);

impl Kept {
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Runs a command in its network namespace.
    pub fn run(&self, line: &str) {
        run(&format!("nsenter --net=/proc/{}/ns/net {line}", self.pid()));
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn run(line: &str) {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Joins this namespace, the Internet, with a new one for the server; returns what keeps it alive.
pub fn join() -> Kept {
    let keeper = Kept(Command::new("unshare").args(["-n", "sleep", "300"]).spawn().unwrap());
    let pid = keeper.0.id();
    let ours = std::fs::read_link("/proc/self/ns/net").unwrap();
    let theirs = format!("/proc/{pid}/ns/net");
    while std::fs::read_link(&theirs).is_ok_and(|ns| ns == ours) {
        std::thread::sleep(Duration::from_millis(5));
    }
    run("ip link set lo up");
    run("ip link add inet type veth peer name server");
    run(&format!("ip link set server netns {pid}"));
    run(&format!("ip addr add {INTERNET}/24 dev inet"));
    run("ip -6 addr add 2a0f:1::1/64 dev inet nodad");
    run("ip link set inet up");
    // Whatever comes over the wire is for us, whoever it is addressed to. For version 4 the kernel
    // answers only from addresses of its local table; so the way back must be found before it.
    for line in [
        "ip -6 route add local default dev lo table 100",
        "ip -6 rule add iif inet lookup 100 pref 10",
        &format!("ip -4 rule add to {SERVER} lookup main pref 10"),
        "ip -4 rule add lookup local pref 20",
        "ip -4 rule del pref 0",
        "ip -4 route add local default dev lo table local",
    ] {
        run(line);
    }
    for line in [
        "ip link set lo up",
        &format!("ip addr add {SERVER}/24 dev server"),
        &format!("ip -6 addr add {SERVER_6}/64 dev server nodad"),
        "ip link set server up",
        &format!("ip route add default via {INTERNET}"),
        "ip -6 route add default via 2a0f:1::1",
    ] {
        keeper.run(line);
    }
    keeper
}

/// A connection attempt: source port and destination.
pub type Syn = (u16, SocketAddr);

/// Records every SYN of the server that crosses the wire.
pub fn record() -> Arc<Mutex<BTreeSet<Syn>>> {
    // ETH_P_ALL, in network byte order (packet(7)).
    let all = Protocol::from_raw(NonZeroU32::new(u32::from(3u16.to_be())).unwrap());
    let socket = rustix::net::socket_with(
        AddressFamily::PACKET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(all),
    )
    .unwrap();
    // Bodies pass here too; none may crowd out a SYN.
    rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, 64 << 20).unwrap();
    let syns = Arc::<Mutex<BTreeSet<Syn>>>::default();
    let log = syns.clone();
    let recorder = move || {
        let mut packet = vec![0u8; 64 * 1024];
        while let Ok((n, _)) = rustix::net::recv(&socket, &mut packet[..], RecvFlags::empty()) {
            log.lock().unwrap().extend(syn(&packet[..n]));
        }
    };
    std::thread::Builder::new().name("recorder".to_owned()).spawn(recorder).unwrap();
    syns
}

/// The SYN in a packet, if it is one of the server's (RFC 791, 8200, 9293).
fn syn(packet: &[u8]) -> Option<Syn> {
    let server: [IpAddr; 2] = [SERVER.parse().unwrap(), SERVER_6.parse().unwrap()];
    let (from, to, protocol, tcp): (IpAddr, IpAddr, u8, &[u8]) = match packet.first()? >> 4 {
        4 => {
            let ip = |at: usize| <[u8; 4]>::try_from(packet.get(at..at + 4)?).ok();
            let header = usize::from(packet[0] & 15) * 4;
            let (from, to) = (Ipv4Addr::from(ip(12)?), Ipv4Addr::from(ip(16)?));
            (from.into(), to.into(), *packet.get(9)?, packet.get(header..)?)
        }
        6 => {
            let ip = |at: usize| <[u8; 16]>::try_from(packet.get(at..at + 16)?).ok();
            let (from, to) = (Ipv6Addr::from(ip(8)?), Ipv6Addr::from(ip(24)?));
            (from.into(), to.into(), *packet.get(6)?, packet.get(40..)?)
        }
        _ => return None,
    };
    let port = |at: usize| Some(u16::from_be_bytes(tcp.get(at..at + 2)?.try_into().ok()?));
    const SYN_ACK: u8 = 0x12;
    const SYN: u8 = 0x02;
    let is_syn = protocol == 6 && tcp.get(13)? & SYN_ACK == SYN && server.contains(&from);
    is_syn.then_some((port(0)?, SocketAddr::new(to, port(2)?)))
}

/// How many connections a process's kernel has tried to open, in its namespace (RFC 4022).
pub fn active_opens(pid: u32) -> usize {
    let snmp = std::fs::read_to_string(format!("/proc/{pid}/net/snmp")).unwrap();
    let mut tcp = snmp.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (tcp.next().unwrap(), tcp.next().unwrap());
    let at = names.split(' ').position(|name| name == "ActiveOpens").unwrap();
    values.split(' ').nth(at).unwrap().parse().unwrap()
}

/// Starts the server in the network namespace of process `namespace`.
pub fn start_server(
    dir: &std::path::Path,
    namespace: u32,
    adjust: impl FnOnce(&mut Command),
) -> Kept {
    start_through(&[], dir, namespace, adjust)
}

/// As [`start_server`], by a command that becomes the one that its arguments say.
pub fn start_through(
    through: &[&str],
    dir: &std::path::Path,
    namespace: u32,
    adjust: impl FnOnce(&mut Command),
) -> Kept {
    let inner = command(dir);
    let mut outer = Command::new("nsenter");
    outer.arg(format!("--net=/proc/{namespace}/ns/net")).args(through);
    outer.arg(inner.get_program()).arg("serve");
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
        .env_remove("HAULAGE_EGRESS_ALLOW")
        .env("HAULAGE_LISTEN", API)
        .env("HAULAGE_RESOLVERS", DNS_SERVER)
        .env("HAULAGE_EXTRA_CA", super::origin::tls_file("root.pem"))
        .env("HAULAGE_ATTEMPTS", "2")
        .env("HAULAGE_CONNECT_TIMEOUT", "3s")
        .env("HAULAGE_PER_HOST", "1000")
        .env("HAULAGE_TRANSFERS", "200")
        .env("HAULAGE_QPS", "UploadMediaByURL=0,GetURLUploadInfos=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    adjust(&mut outer);
    let mut child = outer.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("ready"), "{line:?}");
    Kept(child)
}

/// A row of either corpus: what to submit, and what may be dialled for it.
struct Row {
    id: String,
    url: String,
    expect: String,
    why: String,
}

/// The rows and the zone, without the rows that `circumstances` plays.
fn corpora() -> (Vec<Row>, Zone, usize) {
    let (mut rows, mut zone, mut later) = (Vec::new(), Zone::new(), 0);
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    for line in URLS.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let url = text(&row, "url")
            .replace("{SELF_API_HOST}", SERVER)
            .replace("{SELF_API_PORT}", "8443")
            .replace("{SELF_PUBLIC_IP}", SERVER);
        if !url.contains('{') {
            let (id, expect, why) = (text(&row, "id"), text(&row, "expect"), text(&row, "why"));
            rows.push(Row { id, url, expect, why });
        }
    }
    for line in DNS.lines() {
        let line = line.replace("{SELF_PUBLIC_IP}", SERVER);
        let row: Value = serde_json::from_str(&line).unwrap();
        let classes = ["static", "mixed", "rebinding", "cname", "dns_error"];
        let name = text(&row, "name");
        if classes.contains(&text(&row, "class").as_str()) || name == "self.example.com" {
            zone.insert(name.to_lowercase(), row["answers"].as_array().unwrap().clone());
            let url = format!("http://{name}/v.mp4");
            let (id, expect, why) = (text(&row, "id"), text(&row, "expect"), text(&row, "why"));
            rows.push(Row { id, url, expect, why });
        } else if !circumstances::plays(&row) {
            later += 1; // about callbacks
        }
    }
    (rows, zone, later)
}

/// The `ErrorCode` a row ends with; empty for a success.
pub async fn outcome(client: &Client, url: &str) -> String {
    let metadata = json!([{"SourceURL": url, "Title": "t", "FileExtension": "mp4"}]).to_string();
    let list = wire::percent::encode(url);
    let params = [("UploadURLs", list.as_str()), ("UploadMetadatas", &metadata)];
    let reply = client.call("UploadMediaByURL", &params).await;
    if reply.status != 200 {
        return format!("refused: {}", reply.code());
    }
    let job = reply.json()["UploadJobs"][0]["JobId"].as_str().unwrap().to_owned();
    let info = settled(client, &job).await.unwrap_or_default();
    match info["Status"].as_str() {
        Some("SUCCESS") => String::new(),
        _ => info["ErrorCode"].as_str().unwrap_or("no end").to_owned(),
    }
}

/// Rows that ended as their corpus says, by what it says, and those that did not.
#[derive(Default)]
struct Counts {
    allowed: usize,
    denied: usize,
    retried: usize,
    followed: usize,
    stopped: usize,
    wrong: Vec<String>,
}

/// Plays all rows at once.
async fn play(rows: Vec<Row>, client: &Client) -> Counts {
    let tasks: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let client = client.clone();
            spawn(async move { (outcome(&client, &row.url).await, row) })
        })
        .collect();
    let mut counts = Counts::default();
    for task in tasks {
        let (code, row) = task.await.unwrap();
        let forbidden = code.starts_with("refused: InvalidParameter")
            || ["URLInvalidError", "URLInvalidError.ForbiddenAddress"].contains(&code.as_str());
        // Certificates are for *.example.com alone, and port 443 speaks TLS to everybody: a
        // handshake that fails, and an answer that is no HTTP, were connections.
        let connected = ["", "URLInvalidError.Tls", "URLInvalidError.Protocol"];
        let connected = connected.contains(&code.as_str());
        match row.expect.as_str() {
            "allow" if connected => counts.allowed += 1,
            "deny" if forbidden => counts.denied += 1,
            "retry" if code == "URLInvalidError.Unresolvable" => counts.retried += 1,
            // What is no media was fetched all the same.
            "code " if code.is_empty() || code == "URLInvalidError.NotMedia" => {
                counts.followed += 1
            }
            other if other.strip_prefix("code ") == Some(&code) && !code.is_empty() => {
                counts.stopped += 1
            }
            _ => counts
                .wrong
                .push(format!("{} {} {code:?} {}: {}", row.id, row.expect, row.url, row.why)),
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs inside a network namespace: no_packet_goes_to_a_forbidden_address starts it"]
async fn inside_a_namespace() {
    if count_from(INSIDE, 0) != 1 {
        return;
    }
    let keeper = join();
    let syns = record();
    let chains = super::chains::all();
    let script = super::chains::script(&chains);
    for port in PORTS {
        let listener = TcpListener::bind(format!("[::]:{port}")).await.unwrap();
        let speech = match port {
            443 | 8443 => Speech::Tls { certificate: "good.pem", goodbye: true },
            _ => Speech::Http,
        };
        drop(FaultOrigin::start_on(listener, speech, script.clone()));
    }
    let (mut rows, mut zone, later) = corpora();
    for chain in chains {
        zone.extend(super::chains::names(&chain));
        let expect = format!("code {}", chain.code);
        rows.push(Row { id: chain.id, url: chain.start, expect, why: chain.why });
    }
    drop(zone::serve(zone, DNS_SERVER).await);
    let dir = tempfile::tempdir().unwrap();
    let server = start_server(dir.path(), keeper.pid(), |_| {});
    let client = Client::new(API.parse().unwrap(), KEY_ID, SECRET);

    let counts = play(rows, &client).await;

    // The wire: only addresses that some allowed row names or resolves to.
    // The kernel counts every attempt to connect; the recorder has as many to read.
    until("every connection the server's kernel opened was seen on the wire", SOON, || async {
        (syns.lock().unwrap().len() >= active_opens(server.pid())).then_some(())
    })
    .await;
    let opened = active_opens(server.pid());
    let syns = syns.lock().unwrap().clone();
    let places: BTreeSet<SocketAddr> = syns.iter().map(|(_, to)| *to).collect();
    let Counts { allowed, denied, retried, followed, stopped, wrong } = counts;
    println!(
        "on the wire: {allowed} rows allowed, {denied} denied, {retried} to be retried; \
         {followed} redirects followed, {stopped} stopped; {} wrong; {} not applicable yet",
        wrong.len(),
        super::chains::LATER.len() + later,
    );
    println!(
        "{} SYNs to {} addresses; {opened} connections opened by the server's kernel",
        syns.len(),
        places.len(),
    );
    assert_eq!(wrong, Vec::<String>::new());
    let web = |to: &SocketAddr| WEB_PORTS.contains(&to.port()) || to.to_string() == DNS_SERVER;
    let forbidden: Vec<_> = places.iter().filter(|to| is_forbidden(to) || !web(to)).collect();
    assert!(forbidden.is_empty(), "SYNs to {forbidden:?}");
    assert_eq!(opened, syns.len(), "a connection stayed inside the server's namespace");
    assert!(allowed > 50 && denied > 200 && places.len() > 10, "the recorder works: {places:?}");
}

/// By hand, and coarser than the product: what no allowed row of the corpora may lead to.
pub fn is_forbidden(to: &SocketAddr) -> bool {
    match to.ip() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_documentation()
                || ip.is_multicast()
                || a == 0
                || a >= 240
                || (a == 100 && b & 0xc0 == 64)
                || (a == 198 && b & 0xfe == 18)
                || [a, b, c] == [192, 0, 0]
                || [a, b, c, d] == [168, 63, 129, 16]
                || to.ip() == SERVER.parse::<IpAddr>().unwrap()
        }
        IpAddr::V6(ip) => {
            let [a, b, ..] = ip.segments();
            a & 0xe000 != 0x2000
                || a == 0x2002
                || (a == 0x2001 && b == 0)
                || [a, b] == [0x2001, 0xdb8]
                || to.ip() == SERVER_6.parse::<IpAddr>().unwrap()
        }
    }
}
