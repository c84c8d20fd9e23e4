//! A model of the origins: names, connections, and HTTP/1.1 on them, spoken in bytes to the
//! product's own client. What an object is depends on its URL and its version alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use haulage::fetch::{Network, Resolve, ResolveError};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::chance::Rng;
use crate::life::Life;
use crate::node::Node;
use crate::world::{World, pause, spawn};

/// Hosts `o0.example` to `o3.example`.
pub const HOSTS: usize = 4;
/// Bytes that a connection holds.
const PIPE: usize = 32 * 1024;
const PIECE: usize = 16 * 1024;

/// What a URL leads to; the second letter of its file name says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Sound,
    Missing,
    Page,
    Empty,
    /// Whoever pulls it is killed.
    Poison,
}

impl Kind {
    pub fn letter(self) -> char {
        match self {
            Self::Sound => 's',
            Self::Missing => 'm',
            Self::Page => 'h',
            Self::Empty => 'e',
            Self::Poison => 'p',
        }
    }

    fn of(path: &str) -> Self {
        let all = [Self::Missing, Self::Page, Self::Empty, Self::Poison];
        let letter = path.chars().nth(1).unwrap_or('s');
        all.into_iter().find(|kind| kind.letter() == letter).unwrap_or(Self::Sound)
    }
}

#[derive(Debug)]
pub struct Origin {
    seed: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Paths with their query that are refused from now on.
    expired: BTreeSet<String>,
    /// By path, in its present version.
    objects: BTreeMap<String, (u32, Arc<[u8]>)>,
    /// SHA-256 of every version that was ever served, by path.
    served: BTreeMap<String, Vec<String>>,
    /// Answers under way to a process of a node (node and boot), by host.
    answering: BTreeMap<(usize, u64), BTreeMap<String, usize>>,
    requests: u64,
}

impl Origin {
    pub fn new(seed: u64) -> Self {
        Self { seed, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether these are the bytes of one version of the object.
    pub fn is_a_version(&self, url: &str, sha256: &str) -> bool {
        let path = path_of(url);
        self.lock().served.get(path).is_some_and(|all| all.iter().any(|one| one == sha256))
    }

    pub fn requests(&self) -> u64 {
        self.lock().requests
    }

    /// The object in its present version.
    fn object(&self, path: &str, change: bool) -> (u32, Arc<[u8]>) {
        let mut state = self.lock();
        let before = state.objects.get(path).cloned();
        let version = before.as_ref().map_or(0, |(version, _)| *version) + u32::from(change);
        if let Some(before) = before.filter(|_| !change) {
            return before;
        }
        let mut rng = Rng::new(self.seed, path);
        let size = match rng.below(10) {
            0..7 => rng.range(40, 6_000),
            7 | 8 => rng.range(20_000, 60_000),
            // More than lies between two checkpoints.
            _ => rng.range(70_000, 170_000),
        };
        let size = usize::try_from(size).unwrap_or(40);
        let mut bytes = b"\0\0\0\x18ftypisom\0\0\0\x01isommp41".to_vec();
        let mut rng = Rng::new(self.seed ^ u64::from(version), path);
        while bytes.len() < size {
            bytes.extend(rng.draw().to_be_bytes());
        }
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let served = state.served.entry(path.to_owned()).or_default();
        if !served.contains(&sha256) {
            served.push(sha256);
        }
        let object = (version, Arc::from(bytes));
        state.objects.insert(path.to_owned(), object.clone());
        object
    }
}

fn path_of(url: &str) -> &str {
    let path = url.splitn(4, '/').nth(3).unwrap_or(url);
    path.split_once('?').map_or(path, |(path, _)| path)
}

/// Answers of DNS.
#[derive(Debug)]
pub struct Names(pub Arc<World>);

#[async_trait]
impl Resolve for Names {
    async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        pause(self.0.late(0, 5)).await;
        if self.0.strikes(self.0.swarm.origin.no_name) {
            self.0.cover("origin: no name");
            return Err(ResolveError::Failed);
        }
        let host = name.as_bytes().get(1).map_or(0, |digit| digit.wrapping_sub(b'0'));
        Ok(vec![IpAddr::V4(Ipv4Addr::new(93, 184, 216, 10 + host))])
    }
}

/// The network as one process of a node has it.
#[derive(Debug)]
pub struct Wires {
    pub(crate) world: Arc<World>,
    pub(crate) node: Arc<Node>,
    pub(crate) life: Arc<Life>,
}

#[async_trait]
impl Network for Wires {
    async fn connect(&self, addresses: &[SocketAddr]) -> io::Result<DuplexStream> {
        let world = &self.world;
        pause(world.late(0, 20)).await;
        if addresses.is_empty() || world.strikes(world.swarm.origin.refuse) {
            world.cover("origin: refused");
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let (world, node, life) = (world.clone(), self.node.clone(), self.life.clone());
        let boot = node.boots();
        spawn(async move {
            // However a connection ends, it is the client's to notice.
            let _ = serve(&world, &node, boot, &life, theirs).await;
        });
        Ok(ours)
    }
}

async fn serve(
    world: &Arc<World>,
    node: &Arc<Node>,
    boot: u64,
    life: &Arc<Life>,
    mut stream: DuplexStream,
) -> io::Result<()> {
    let mut head = Vec::new();
    loop {
        let mut byte = [0u8; 512];
        let n = stream.read(&mut byte).await?;
        if n == 0 {
            return Ok(());
        }
        head.extend_from_slice(&byte[..n]);
        if head.ends_with(b"\r\n\r\n") {
            let asked = Asked::read(&String::from_utf8_lossy(&head));
            head.clear();
            let open = Answering::begin(world, (node.index(), boot), &asked.host);
            let done = answer(world, node, life, &mut stream, &asked).await;
            drop(open);
            if !done? {
                return Ok(());
            }
        }
    }
}

/// Counts the answers under way to a process (invariant 23).
struct Answering {
    world: Arc<World>,
    process: (usize, u64),
    host: String,
}

impl Answering {
    fn begin(world: &Arc<World>, process: (usize, u64), host: &str) -> Self {
        {
            let mut state = world.origin.lock();
            state.requests += 1;
            *state.answering.entry(process).or_default().entry(host.to_owned()).or_default() += 1;
        }
        if world.origin.beyond(world, process).is_some() {
            // A transfer that was given up a moment ago is noticed in a moment.
            let world = world.clone();
            spawn(async move {
                pause(Duration::from_millis(1)).await;
                if let Some(what) = world.origin.beyond(&world, process) {
                    world.violate(23, what);
                }
            });
        }
        Self { world: world.clone(), process, host: host.to_owned() }
    }
}

impl Origin {
    /// How a process has more transfers under way than it may, if it has.
    fn beyond(&self, world: &World, process: (usize, u64)) -> Option<String> {
        let state = self.lock();
        let hosts = state.answering.get(&process)?;
        let (all, node) = (hosts.values().sum::<usize>(), process.0);
        if all > world.swarm.transfers {
            return Some(format!("n{node} has {all} transfers under way"));
        }
        let (host, most) = hosts.iter().max_by_key(|(_, count)| **count)?;
        (*most > world.swarm.per_host)
            .then(|| format!("n{node} has {most} transfers under way from {host}"))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut state = self.world.origin.lock();
        let hosts = state.answering.get_mut(&self.process);
        if let Some(count) = hosts.and_then(|hosts| hosts.get_mut(&self.host)) {
            *count -= 1;
        }
    }
}

/// Takes its time, unless the client goes away meanwhile.
async fn dawdle(stream: &mut DuplexStream, time: Duration) -> io::Result<()> {
    // A client that has asked says no more until it was answered.
    let mut nothing = [0u8; 1];
    match tokio::time::timeout(time, stream.read(&mut nothing)).await {
        Err(_) => Ok(()),
        Ok(_) => Err(io::ErrorKind::ConnectionReset.into()),
    }
}

struct Asked {
    /// Without the query.
    path: String,
    link: String,
    host: String,
    from: Option<usize>,
    if_range: Option<String>,
}

impl Asked {
    fn read(head: &str) -> Self {
        let link = head.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
        let path = link.split('?').next().unwrap_or_default().to_owned();
        let field = |name: &str| {
            head.lines().find_map(|line| {
                let (field, value) = line.split_once(':')?;
                field.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let from = field("range")
            .and_then(|range| range.strip_prefix("bytes=")?.trim_end_matches('-').parse().ok());
        let host = field("host").unwrap_or_default();
        Self { path, link, host, from, if_range: field("if-range") }
    }
}

/// Answers one request; whether the connection may go on.
async fn answer(
    world: &Arc<World>,
    node: &Arc<Node>,
    life: &Arc<Life>,
    stream: &mut DuplexStream,
    asked: &Asked,
) -> io::Result<bool> {
    let faults = world.swarm.origin;
    let url = format!("http://{}/{}", asked.host, asked.path);
    world.trace.note(format_args!("{node} asks for {} from {:?}", asked.path, asked.from));
    if !world.witness().was_claimed(&url) {
        world.violate(6, format!("{node} asks for {url}, and nobody ever claimed a job of it"));
    }
    let kind = Kind::of(&asked.path);
    if kind == Kind::Poison {
        world.cover("origin: poison");
        node.crash(world, life, "poison");
        return Ok(false);
    }
    if world.strikes(faults.stall) {
        world.cover("origin: stall before the head");
        dawdle(stream, Duration::from_secs(30)).await?;
        return Ok(false);
    }
    let expires = world.strikes(faults.expire);
    let is_expired = {
        let mut state = world.origin.lock();
        if expires {
            state.expired.insert(asked.link.clone());
        }
        state.expired.contains(&asked.link)
    };
    if is_expired {
        world.cover("origin: expired link");
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await?;
        return Ok(true);
    }
    if world.strikes(faults.status) {
        let status =
            ["500 Internal Server Error", "503 Service Unavailable", "429 Too Many Requests"];
        let status = status[world.chance().index(status.len())];
        world.cover("origin: status");
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nRetry-After: 1\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        return Ok(true);
    }
    match kind {
        Kind::Missing => {
            let head = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
            Ok(true)
        }
        Kind::Empty => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await?;
            Ok(true)
        }
        Kind::Page => {
            let body = "<!DOCTYPE html><html><body>sign in</body></html>";
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
            stream.write_all(head.as_bytes()).await?;
            Ok(true)
        }
        Kind::Sound | Kind::Poison => {
            let change = world.strikes(faults.change);
            send_object(world, node, life, stream, asked, change).await
        }
    }
}

async fn send_object(
    world: &Arc<World>,
    node: &Arc<Node>,
    life: &Arc<Life>,
    stream: &mut DuplexStream,
    asked: &Asked,
    change: bool,
) -> io::Result<bool> {
    let faults = world.swarm.origin;
    let (version, bytes) = world.origin.object(&asked.path, change);
    let tag = format!("\"v{version}\"");
    let same = asked.if_range.as_ref().is_none_or(|wanted| *wanted == tag);
    let from = asked.from.filter(|from| same && *from < bytes.len()).unwrap_or(0);
    let head = if from > 0 {
        world.cover("origin: rest");
        format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{}/{}\r\n",
            bytes.len() - 1,
            bytes.len()
        )
    } else {
        "HTTP/1.1 200 OK\r\n".to_owned()
    };
    let head = format!(
        "{head}Content-Type: video/mp4\r\nETag: {tag}\r\nContent-Length: {}\r\n\r\n",
        bytes.len() - from
    );
    stream.write_all(head.as_bytes()).await?;
    let cut = world.strikes(faults.cut).then(|| from + world.chance().index(bytes.len() - from));
    let slow = world.strikes(faults.slow);
    let kills = world.strikes(faults.crash_of_the_puller);
    let mut at = from;
    for piece in bytes[from..].chunks(PIECE) {
        if slow {
            let a_while = world.late(50, 700);
            dawdle(stream, a_while).await?;
        }
        let end = at + piece.len();
        if let Some(cut) = cut.filter(|cut| *cut < end) {
            world.cover("origin: cut");
            stream.write_all(&piece[..cut - at]).await?;
            return Ok(false);
        }
        stream.write_all(piece).await?;
        at = end;
        if kills && at > bytes.len() / 2 {
            world.cover("crash in the middle of a transfer");
            node.crash(world, life, "transfer");
            return Ok(false);
        }
    }
    Ok(true)
}
