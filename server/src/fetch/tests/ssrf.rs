//! ssrf_dns.jsonl and ssrf_redirects.jsonl against the real fetcher. DNS answers as the row says;
//! what the dialler is asked for is noted last of all, below every check, and led to loopback. So
//! "never connected" is seen at the dialler, not inferred from an error.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Mutex;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::super::connect::Road;
use super::super::resolve::ResolveError;
use super::origin::{Script, Seen, play};
use super::road::Noted;
use super::*;
use crate::run::tasks::Tasks;

const DNS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpora/ssrf_dns.jsonl"));
const REDIRECTS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpora/ssrf_redirects.jsonl"));
const TLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/");
const MEDIA: &[u8] = b"media";
/// The addresses that stand for the server's own and its object store's.
const SELF_IP: &str = "203.0.114.7";
const STORE_IP: &str = "203.0.114.20";

/// The whole Internet of a row: one script behind every address, http and https, both families.
#[derive(Debug)]
struct World {
    noted: Arc<Noted>,
    seen: Arc<Mutex<Seen>>,
    /// Fill the queue of the place that never answers.
    _fillers: Vec<TcpStream>,
    _dead: Option<TcpListener>,
}

impl World {
    async fn start(script: Script, dead_ips: Vec<IpAddr>) -> Self {
        let (seen, tasks) = (Arc::new(Mutex::new(Seen::default())), Tasks::new());
        let mut places = Vec::new();
        for (ip, https) in
            [("127.0.0.1:0", false), ("[::1]:0", false), ("127.0.0.1:0", true), ("[::1]:0", true)]
        {
            let listener = TcpListener::bind(ip).await.unwrap();
            places.push(listener.local_addr().unwrap());
            serve(&tasks, listener, https.then(acceptor), &script, &seen);
        }
        let (dead, fillers) =
            if dead_ips.is_empty() { (None, Vec::new()) } else { unanswering().await };
        let noted = Noted {
            plain: [places[0], places[1]],
            tls: [places[2], places[3]],
            dead: dead.as_ref().map(|d| d.local_addr().unwrap()),
            dead_ips,
            dialled: Mutex::default(),
        };
        Self { noted: Arc::new(noted), seen, _fillers: fillers, _dead: dead }
    }

    fn fetcher(&self, names: Written, allow: &[String]) -> (Fetcher, Arc<Written>) {
        let own = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 8443);
        let settings = FetchSettings {
            allow: allow.iter().map(|entry| entry.parse().unwrap()).collect(),
            own_listeners: vec![own(SELF_IP), own(STORE_IP)],
            extra_ca: Some(Path::new(TLS).join("root.pem")),
            ..settings()
        };
        let names = Arc::new(names);
        let asked = Arc::clone(&names) as Arc<dyn Resolve>;
        let road = Road::Noted(Arc::clone(&self.noted));
        (Fetcher::on_road(settings, asked, Clock::System, road).unwrap(), names)
    }

    fn requests(&self) -> usize {
        self.seen.lock().unwrap().heads.len()
    }
}

fn serve(
    tasks: &Tasks,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    script: &Script,
    seen: &Arc<Mutex<Seen>>,
) {
    let (spawner, script, seen) = (tasks.clone(), Arc::clone(script), Arc::clone(seen));
    drop(tasks.spawn("world", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (tls, script, seen) = (tls.clone(), Arc::clone(&script), Arc::clone(&seen));
            drop(spawner.spawn("world connection", async move {
                let Some(tls) = tls else {
                    if play(&mut stream, &seen, &script).await == Some(super::origin::Ending::Reset)
                    {
                        stream.set_zero_linger().unwrap();
                    }
                    return;
                };
                let Ok(mut stream) = tls.accept(stream).await else { return };
                play(&mut stream, &seen, &script).await;
                drop(tokio::io::AsyncWriteExt::shutdown(&mut stream).await);
            }));
        }
    }));
}

fn acceptor() -> TlsAcceptor {
    let read = |name: &str| Path::new(TLS).join(name);
    let chain = vec![CertificateDer::from_pem_file(read("good.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(read("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A listener whose queue is full: Linux drops further SYNs, as a black hole does.
async fn unanswering() -> (Option<TcpListener>, Vec<TcpStream>) {
    let socket = TcpSocket::new_v6().unwrap();
    socket.bind("[::1]:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let at = listener.local_addr().unwrap();
    let mut fillers = Vec::new();
    for _ in 0..16 {
        let filler = TcpSocket::new_v6().unwrap().connect(at);
        match tokio::time::timeout(SHORT, filler).await {
            Ok(stream) => fillers.push(stream.unwrap()),
            Err(_) => return (Some(listener), fillers),
        }
    }
    panic!("the queue never fills");
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_default()
}

fn filled_in(text: &str) -> String {
    text.replace("{SELF_PUBLIC_IP}", SELF_IP).replace("{OBJECT_STORE_IP}", STORE_IP)
}

fn list(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|v| filled_in(v.as_str().unwrap())).collect()
}

/// The dialled addresses that the row forbids, with or without a port.
fn forbidden_dials(row: &Value, dialled: &[SocketAddr]) -> Vec<SocketAddr> {
    let never = list(&row["never_connect"]);
    let is_never = |at: &&SocketAddr| {
        never
            .iter()
            .any(|n| n.parse::<IpAddr>().map_or_else(|_| n.parse() == Ok(**at), |ip| ip == at.ip()))
    };
    dialled.iter().filter(is_never).copied().collect()
}

#[derive(Default, Debug)]
struct Counts {
    allowed: usize,
    denied: usize,
    retried: usize,
    allow_rows_blocked: usize,
    deny_rows_connected: usize,
    wrong: Vec<String>,
    later: Vec<&'static str>,
}

impl Counts {
    fn report(self, corpus: &str) {
        let passed = self.allowed + self.denied + self.retried;
        println!(
            "{corpus}: {} rows: {passed} passed ({} allowed, {} denied, {} to be retried), \
             {} not applicable yet {:?}; {} allow rows blocked, {} deny rows connected",
            passed + self.wrong.len() + self.later.len(),
            self.allowed,
            self.denied,
            self.retried,
            self.later.len(),
            self.later,
            self.allow_rows_blocked,
            self.deny_rows_connected,
        );
        assert_eq!(self.wrong, Vec::<String>::new());
        assert_eq!((self.allow_rows_blocked, self.deny_rows_connected), (0, 0));
        assert!(self.allowed > 10 && self.denied > 10, "the corpus is read");
    }

    fn judge(&mut self, row: &Value, problems: Vec<String>) {
        let expect = text(row, "expect");
        if !problems.is_empty() {
            self.wrong.push(format!("{} {expect}: {problems:?}: {}", row["id"], row["why"]));
            return;
        }
        match expect {
            "deny" => self.denied += 1,
            "retry" => self.retried += 1,
            _ => self.allowed += 1,
        }
    }
}

type LookedUp = Result<Vec<String>, ResolveError>;

fn looked_up(answer: &Value) -> LookedUp {
    if answer["drop"] == true {
        return Err(ResolveError::TimedOut);
    }
    match text(answer, "rcode") {
        "NXDOMAIN" => return Err(ResolveError::NoSuchName),
        "SERVFAIL" => return Err(ResolveError::Failed),
        "NOERROR" => return Err(ResolveError::NoAddress),
        _ => {}
    }
    if answer.get("CNAME").is_some() {
        // A loop has no end that could be judged.
        return answer.get("final").map_or(Err(ResolveError::Failed), looked_up);
    }
    Ok([list(&answer["A"]), list(&answer["AAAA"])].concat())
}

fn whole() -> Vec<Step> {
    vec![send(head("Content-Length: 5\r\nConnection: close\r\n")), send(MEDIA)]
}

/// One job's way through a row of ssrf_dns.jsonl: as many attempts as there are answers.
async fn dns_row(row: &Value, counts: &mut Counts) {
    let answers = row["answers"].as_array().unwrap();
    let resets: Vec<bool> = answers.iter().map(|a| a["reset_mid_body"] == true).collect();
    let dead = answers.iter().flat_map(|a| list(&a["blackhole"]));
    let script: Script = Arc::new(move |n| match resets.get(n) {
        Some(true) => vec![
            send(head("Content-Length: 5\r\nConnection: close\r\n")),
            send("me"),
            Step::Pause(SHORT / 10),
            Step::Reset,
        ],
        _ => whole(),
    });
    let world = World::start(script, dead.map(|ip| ip.parse().unwrap()).collect()).await;
    let (name, expect) = (text(row, "name"), text(row, "expect"));
    let looked_up: Vec<LookedUp> = answers.iter().map(looked_up).collect();
    let mut names = Written::default();
    for answer in &looked_up {
        names = match answer {
            Ok(ips) => names.answer(name, &ips.iter().map(String::as_str).collect::<Vec<_>>()),
            Err(error) => names.fail(name, *error),
        };
    }
    let config = text(&row["env"], "config");
    let allow: Vec<String> = config.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    let https = config.contains(":443");
    let (fetcher, names) = world.fetcher(names, &allow);
    let url = format!("{}://{name}/v.mp4", if https { "https" } else { "http" });

    let (mut problems, mut outcomes) = (Vec::new(), Vec::new());
    let never = list(&row["never_connect"]);
    for (n, answer) in looked_up.iter().enumerate() {
        let before = world.noted.dialled().len();
        let began = tokio::time::Instant::now();
        let result = fetch(&fetcher, &url).await;
        let dialled = world.noted.dialled().split_off(before);
        if began.elapsed() > Duration::from_secs(2) {
            problems.push(format!("attempt {n} took {:?}", began.elapsed()));
        }
        let bad = matches!(answer, Ok(ips) if ips.iter().any(|ip| never.contains(ip)));
        if bad && !dialled.is_empty() {
            counts.deny_rows_connected += 1;
        }
        let given = answer.as_ref().ok();
        if !dialled.iter().all(|at| given.is_some_and(|ips| ips.contains(&at.ip().to_string()))) {
            problems.push(format!("attempt {n} dialled what its look-up did not answer"));
        }
        if dialled.len() > 8 {
            problems.push(format!("{} addresses were tried", dialled.len()));
        }
        outcomes.push(result.map_err(|e| (e.fault.class, e.retry)));
    }
    if names.asked().len() > looked_up.len() {
        problems.push("more than one look-up for a connection".to_owned());
    }
    let forbidden = forbidden_dials(row, &world.noted.dialled());
    if !forbidden.is_empty() {
        problems.push(format!("dialled {forbidden:?}"));
    }
    let refused = Err((FaultClass::ForbiddenAddress, Retry::Never));
    let fits = match expect {
        // The first answer that can be had is good; a later, worse one is judged by itself.
        "allow" => {
            let first = looked_up.iter().position(Result::is_ok).unwrap();
            let rest_fits = looked_up.iter().zip(&outcomes).all(|(answer, outcome)| {
                let bad = matches!(answer, Ok(ips) if ips.iter().any(|ip| never.contains(ip)));
                !bad || *outcome == refused
            });
            if outcomes[first].is_err() {
                counts.allow_rows_blocked += 1;
            }
            outcomes[first].as_deref() == Ok(MEDIA) && rest_fits
        }
        "deny" => outcomes.contains(&refused),
        "retry" => outcomes[0] == Err((FaultClass::Unresolvable, Retry::Backoff)),
        _ => false,
    };
    if !fits {
        problems.push(format!("{outcomes:?}"));
    }
    counts.judge(row, problems);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_dns_corpus_is_dialled_or_not_as_it_says() {
    let mut counts = Counts::default();
    for line in DNS.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        if text(&row, "id") == "D48" {
            counts.later.push("D48: callbacks do not exist yet");
            continue;
        }
        dns_row(&row, &mut counts).await;
    }
    counts.report("ssrf_dns");
}

/// What the origin of a redirect row does with one request.
fn link_of_chain(link: &Value) -> Vec<Step> {
    let mut fields = String::new();
    let locations = match &link["location"] {
        Value::Array(_) => list(&link["location"]),
        Value::String(one) => vec![one.clone()],
        _ => Vec::new(),
    };
    for location in locations {
        fields += &format!("Location: {location}\r\n");
    }
    for (name, value) in link["headers"].as_object().into_iter().flatten() {
        fields += &format!("{name}: {}\r\n", value.as_str().unwrap());
    }
    let connection = if fields.contains("Connection:") { "" } else { "Connection: close\r\n" };
    let body = link["body"].as_str().unwrap_or_default().as_bytes().to_vec();
    let length = link["body_bytes"].as_u64().unwrap_or(body.len() as u64);
    let head = format!(
        "HTTP/1.1 {} X\r\n{connection}{fields}Content-Length: {length}\r\n\r\n",
        link["status"]
    );
    match link["body_bytes"] {
        Value::Null => vec![send(head), send(body)],
        _ => vec![send(head), Step::Forever(vec![7; 10_000])],
    }
}

async fn redirect_row(row: &Value, counts: &mut Counts) {
    let chain: Vec<Vec<Step>> =
        row["chain"].as_array().unwrap().iter().map(link_of_chain).collect();
    let (links, repeat) = (chain.len(), row["repeat"] == true);
    let script: Script = Arc::new(move |n| {
        let n = if repeat { n % chain.len() } else { n };
        chain.get(n).cloned().unwrap_or_default()
    });
    let world = World::start(script, Vec::new()).await;
    let v6 = "2606:2800:220:1:248:1893:25c8:1946";
    let names = Written::default()
        .answer("pub4.example.com", &["93.184.216.34"])
        .answer("pub6.example.com", &[v6])
        .answer("dual.example.com", &["93.184.216.34", v6])
        .answer("lo.example.com", &["127.0.0.1"])
        .answer("rb1.example.com", &["93.184.216.34"])
        .answer("rb1.example.com", &["127.0.0.1"]);
    let (fetcher, _) = world.fetcher(names, &[]);
    let result = fetch(&fetcher, text(row, "start")).await;

    let mut problems = Vec::new();
    let dialled = world.noted.dialled();
    let forbidden = forbidden_dials(row, &dialled);
    let public: [IpAddr; 2] = ["93.184.216.34".parse().unwrap(), v6.parse().unwrap()];
    if !forbidden.is_empty() || !dialled.iter().all(|at| public.contains(&at.ip())) {
        counts.deny_rows_connected += 1;
        problems.push(format!("dialled {dialled:?}"));
    }
    let class = match row["error"].as_str() {
        None => None,
        Some("SSRF") => Some(FaultClass::ForbiddenAddress),
        Some("REDIRECT") => Some(FaultClass::Redirect),
        Some("HTTP_STATUS") => Some(FaultClass::HttpStatus),
        Some("PROTOCOL") => Some(FaultClass::Protocol),
        Some(other) => panic!("no class for {other}"),
    };
    match (class, &result) {
        (None, Ok(bytes)) => {
            let last = row["chain"][links - 1]["body"].as_str().unwrap();
            if bytes.as_slice() != last.as_bytes() || world.requests() != links {
                problems.push(format!("{} requests, {bytes:?}", world.requests()));
            }
        }
        (Some(class), Err(e)) if e.fault.class == class && e.retry == Retry::Never => {
            if !repeat && world.requests() > links {
                problems.push(format!("{} requests", world.requests()));
            }
        }
        (None, Err(_)) => {
            counts.allow_rows_blocked += 1;
            problems.push(format!("{result:?}"));
        }
        _ => problems.push(format!("{result:?}")),
    }
    for head in &world.seen.lock().unwrap().heads {
        let head = head.to_ascii_lowercase();
        let absent = ["authorization:", "cookie:", "referer:", "proxy-authorization:", "range:"];
        if absent.iter().any(|name| head.contains(name)) || !head.starts_with("get ") {
            problems.push(format!("a request said {head}"));
        }
    }
    counts.judge(row, problems);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_redirect_corpus_is_followed_or_not_as_it_says() {
    let mut counts = Counts::default();
    for line in REDIRECTS.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        match text(&row, "id") {
            // About continuing: `ranges.rs` plays it.
            "R78" => {}
            "R79" => counts.later.push("R79: callbacks do not exist yet"),
            "R80" => counts.later.push("R80: callbacks do not exist yet"),
            _ => redirect_row(&row, &mut counts).await,
        }
    }
    counts.report("ssrf_redirects");
}
