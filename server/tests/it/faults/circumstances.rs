//! Rows of the address corpora that are about what is around a name, on a wire: the steps of a job, a
//! killed worker, the machine's own resolver, proxies in the environment, the operator's allow-list and
//! object store. Servers run one after the other, each in the circumstances of its rows.
//!
//! Needs root for the namespaces.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::netns::{
    self, API, DNS, DNS_SERVER, INSIDE, INTERNET, Kept, is_forbidden, outcome, start_server,
};
use super::origin::{FaultOrigin, Script, Speech, Step, send};
use super::rows::whole;
use super::zone::{self, Zone};
use super::{LOOK, settled};
use crate::harness::origin::SAMPLE;
use crate::harness::{Client, KEY_ID, SECRET, SOON, count_from, until};

/// What stands for the object store in the corpora.
const STORE: &str = "203.0.114.20";
/// The address that one allow-list opens.
const OPENED: &str = "10.0.0.5:443";
const PROXY: &str = "10.9.9.9";
/// The row that is about callbacks, which do not exist yet.
const LATER: &str = "D48";
const PROXIES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// Whether a row of ssrf_dns.jsonl is played here.
pub fn plays(row: &Value) -> bool {
    let classes = ["rebinding_phase", "resolver_env", "proxy_env", "self", "allowlist"];
    classes.contains(&row["class"].as_str().unwrap_or_default()) && row["id"] != LATER
}

#[test]
fn circumstances_open_no_forbidden_address() {
    netns::in_a_namespace(
        "circumstances_open_no_forbidden_address",
        "faults::circumstances::inside_a_namespace",
    );
}

/// The names of the rows, each answered as its row says.
fn names() -> Zone {
    let mut zone = Zone::new();
    for line in DNS.lines() {
        let row: Value = serde_json::from_str(&line.replace("{OBJECT_STORE_IP}", STORE)).unwrap();
        if plays(&row) {
            let name = row["name"].as_str().unwrap().to_owned();
            zone.insert(name, row["answers"].as_array().unwrap().clone());
        }
    }
    // Nothing is looked up when a URL is submitted: the first answer is the worker's.
    zone.insert("rb_submit.example.com".to_owned(), vec![json!({"A": ["127.0.0.1"]})]);
    // Only the hosts file has this one.
    zone.remove("hosts.example.com");
    zone
}

/// Answers whole, but for the jobs that are to break off, or to be killed, half-way.
fn script() -> Script {
    let half = |end: Step| {
        let n = SAMPLE.len();
        let head = format!("HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: {n}\r\n\r\n");
        vec![send(head), send(&SAMPLE[..n / 2]), Step::Pause(LOOK), end]
    };
    Arc::new(move |_, head| {
        let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
        match host {
            "rb_range.example.com" | "rb_retry.example.com" => half(Step::Reset),
            "rb_crash.example.com" => half(Step::Hang),
            _ => whole(),
        }
    })
}

/// Plays rows, each its id, its URL and whether bytes may come; what went wrong.
async fn play(client: &Client, rows: &[(&str, &str, bool)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (id, url, allowed) in rows {
        let code = outcome(client, url).await;
        let forbidden = code.starts_with("refused: InvalidParameter")
            || ["URLInvalidError", "URLInvalidError.ForbiddenAddress"].contains(&code.as_str());
        if *allowed != code.is_empty() || *allowed == forbidden {
            wrong.push(format!("{id}: {code:?} for {url}"));
        }
    }
    println!("{} rows in their circumstances, {} wrong", rows.len(), wrong.len());
    wrong
}

fn attempts(command: &mut Command) {
    command.env("HAULAGE_ATTEMPTS", "3");
}

/// Proxies in the environment, an object store, and the steps of a job; and the job that is under way
/// when the server is killed.
async fn usual_day(dir: &std::path::Path, keeper: &Kept, client: &Client) -> (Vec<String>, String) {
    let server = start_server(dir, keeper.pid(), |c| {
        attempts(c);
        for name in PROXIES {
            c.env(name, format!("http://{PROXY}:3128"));
        }
        c.env(
            "HAULAGE_STORAGE_LOCATIONS",
            format!("bucket=s3://media?endpoint=http://{STORE}:9000"),
        )
        .env("HAULAGE_STORAGE_KEYS", "bucket=AKID:SECRET");
    });
    let store = format!("http://{STORE}/bucket/key");
    let rows = [
        ("D42", "http://rb_submit.example.com/v.mp4", false),
        ("D43", "http://rb_head.example.com/v.mp4", true),
        ("D44", "http://rb_range.example.com/v.mp4", false),
        ("D45", "http://rb_retry.example.com/v.mp4", false),
        ("D67", "http://svcb.example.com/v.mp4", true),
        ("D68", "http://pub4.example.com/a.mp4", true),
        ("D69", "http://pub4.example.com/b.mp4", true),
        ("D70", "https://pub4.example.com/c.mp4", true),
        ("D73", "http://store.example.com/v.mp4", false),
        ("the object store", store.as_str(), false),
    ];
    let wrong = play(client, &rows).await;
    let job = client.submit(&["http://rb_crash.example.com/v.mp4".to_owned()]).await.remove(0);
    until("bytes have come", SOON, || async {
        let asked = [("JobIds", job.as_str()), ("IncludeProgress", "true")];
        let info = client.call("GetURLUploadInfos", &asked).await.ok();
        (info["URLUploadInfoList"][0]["Progress"]["BytesReceived"].as_i64() > Some(0)).then_some(())
    })
    .await;
    drop(server);
    (wrong, job)
}

/// The day after: the job of the killed server goes on, and the operator has opened one address.
async fn one_address_open(
    dir: &std::path::Path,
    keeper: &Kept,
    client: &Client,
    killed: &str,
) -> Vec<String> {
    let _server = start_server(dir, keeper.pid(), |c| {
        attempts(c);
        c.env("HAULAGE_EGRESS_ALLOW", OPENED);
    });
    let rows = [
        ("D74", "https://intra.example.com/v.mp4", true),
        ("D74, another port", "http://intra.example.com/v.mp4", false),
    ];
    let mut wrong = play(client, &rows).await;
    let end = settled(client, killed).await.unwrap_or_default();
    if end["ErrorCode"] != "URLInvalidError.ForbiddenAddress" {
        wrong.push(format!("D46: {end}"));
    }
    wrong
}

async fn everything_open(dir: &std::path::Path, keeper: &Kept, client: &Client) -> Vec<String> {
    let _server = start_server(dir, keeper.pid(), |c| {
        c.env("HAULAGE_EGRESS_ALLOW", "0.0.0.0/0");
    });
    play(client, &[("D76", "http://meta_allow.example.com/v.mp4", false)]).await
}

/// The machine's own resolver with a search list, and a hosts file.
async fn own_resolver(dir: &std::path::Path, keeper: &Kept, client: &Client) -> Vec<String> {
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (dns, _) = DNS_SERVER.split_once(':').unwrap();
    let search = "search google.internal corp.internal\noptions ndots:5";
    let resolver = write("resolv.conf", &format!("nameserver {dns}\n{search}\n"));
    let hosts = write("hosts", "127.0.0.1 hosts.example.com localhost\n");
    let mounts = format!(
        "mount --bind {resolver} /etc/resolv.conf && mount --bind {hosts} /etc/hosts && exec \"$@\""
    );
    let through = ["unshare", "-m", "sh", "-c", &mounts, "sh"];
    let _server = netns::start_through(&through, dir, keeper.pid(), |c| {
        c.env_remove("HAULAGE_RESOLVERS");
    });
    let rows = [
        ("D63", "http://metadata/v.mp4", false),
        ("D64", "http://pub4.example.com/d.mp4", true),
        ("D65", "http://hosts.example.com/v.mp4", false),
    ];
    play(client, &rows).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs inside a network namespace: circumstances_open_no_forbidden_address starts it"]
async fn inside_a_namespace() {
    if count_from(INSIDE, 0) != 1 {
        return;
    }
    let keeper = netns::join();
    let syns = netns::record();
    for port in [80, 443, 3128, 9000] {
        let listener = TcpListener::bind(format!("[::]:{port}")).await.unwrap();
        let speech = match port {
            443 => Speech::Tls { certificate: "good.pem", goodbye: true },
            _ => Speech::Http,
        };
        drop(FaultOrigin::start_on(listener, speech, script()));
    }
    let asked = zone::serve(names(), DNS_SERVER).await;
    let dir = tempfile::tempdir().unwrap();
    let client = Client::new(API.parse().unwrap(), KEY_ID, SECRET);

    let (mut wrong, killed) = usual_day(dir.path(), &keeper, &client).await;
    wrong.extend(one_address_open(dir.path(), &keeper, &client, &killed).await);
    wrong.extend(everything_open(dir.path(), &keeper, &client).await);
    wrong.extend(own_resolver(dir.path(), &keeper, &client).await);

    assert_eq!(wrong, Vec::<String>::new());
    until("every connection the servers' kernel opened was seen on the wire", SOON, || async {
        (syns.lock().unwrap().len() >= netns::active_opens(keeper.pid())).then_some(())
    })
    .await;
    let opened = netns::active_opens(keeper.pid());
    let syns = syns.lock().unwrap().clone();
    assert_eq!(opened, syns.len(), "a connection stayed inside the server's namespace");
    let places: BTreeSet<SocketAddr> = syns.iter().map(|(_, to)| *to).collect();
    // The node itself looks into its bucket; no source leads there.
    let open = [OPENED.to_owned(), DNS_SERVER.to_owned(), format!("{STORE}:9000")];
    let open = |to: &SocketAddr| open.contains(&to.to_string());
    let bad = |to: &&SocketAddr| !open(to) && (is_forbidden(to) || ![80, 443].contains(&to.port()));
    assert_eq!(places.iter().filter(bad).collect::<Vec<_>>(), Vec::<&SocketAddr>::new());
    assert!(places.iter().any(|to| to.to_string() == OPENED), "the recorder works: {places:?}");
    let asked = asked.lock().unwrap().clone();
    let searched = |(name, kind): &&(String, u8)| name.contains("internal") || *kind == 65;
    let searched: Vec<_> = asked.keys().filter(searched).collect();
    assert!(searched.is_empty(), "no search list and no hints: {searched:?}");
    assert!(asked.contains_key(&("pub4.example.com".to_owned(), 1)), "{INTERNET} was asked");
}
