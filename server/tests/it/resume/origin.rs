//! An origin that answers ranges, dies where it is told to, and counts every byte it sends.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;

use crate::harness::origin::SAMPLE;
use crate::harness::spawn;

/// Bytes sent at once.
const PIECE: usize = 16 * 1024;
/// What the kernel may hold of an answer: bytes in it when a server dies count as sent.
const SEND_BUFFER: u32 = 32 * 1024;

/// Objects remembered.
const OBJECTS: usize = 64;

/// A request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    /// Requests for this path before this one.
    pub nth: usize,
    /// First byte of the range asked for, and its condition.
    pub from: Option<usize>,
    pub condition: Option<String>,
    /// What was confided for this origin, if it was by this header.
    pub key: Option<String>,
}

/// How a request is answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Which bytes the object has now; the tag follows from it.
    pub version: u8,
    /// Position in the object before which the connection ends.
    pub cut: usize,
    /// Position before which the answer waits for [`Ranged::open_gate`].
    pub gate: usize,
    /// Between two pieces.
    pub pause: Duration,
    /// Answered in place of the object.
    pub instead: Option<&'static str>,
}

impl Answer {
    /// The whole of what was asked for.
    pub fn whole() -> Self {
        Self { version: 1, cut: usize::MAX, gate: usize::MAX, pause: Duration::ZERO, instead: None }
    }
}

pub type Script = Arc<dyn Fn(&Asked) -> Answer + Send + Sync>;

pub struct Ranged {
    pub at: SocketAddr,
    seen: Arc<Seen>,
    gate: watch::Sender<bool>,
}

impl fmt::Debug for Ranged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ranged({})", self.at)
    }
}

type Objects = HashMap<(String, u8), Arc<Vec<u8>>>;

#[derive(Default)]
struct Seen {
    asked: Mutex<Vec<Asked>>,
    sent: AtomicU64,
    /// Objects made before: making one takes longer than sending it.
    objects: Mutex<Objects>,
}

impl Seen {
    fn object(&self, path: &str, version: u8) -> Arc<Vec<u8>> {
        let key = (path.to_owned(), version);
        if let Some(object) = self.objects.lock().unwrap().get(&key) {
            return object.clone();
        }
        let made = Arc::new(object(path, version));
        let mut objects = self.objects.lock().unwrap();
        if objects.len() >= OBJECTS {
            objects.clear();
        }
        objects.insert(key, made.clone());
        made
    }
}

impl Ranged {
    pub async fn start(script: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(SEND_BUFFER).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1_024).unwrap();
        let at = listener.local_addr().unwrap();
        let (seen, script): (Arc<Seen>, Script) = (Arc::default(), Arc::new(script));
        let (gate, opened) = watch::channel(false);
        let witness = seen.clone();
        spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, script, opened) = (witness.clone(), script.clone(), opened.clone());
                spawn(async move { drop(serve(stream, &seen, &script, opened).await) });
            }
        });
        Self { at, seen, gate }
    }

    /// The URL of an object of about `size` bytes.
    pub fn url(&self, size: usize, name: &str) -> String {
        format!("http://{}/{size}/{name}.mp4", self.at)
    }

    pub fn open_gate(&self) {
        self.gate.send_replace(true);
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.seen.asked.lock().unwrap().clone()
    }

    /// Bytes of bodies sent so far.
    pub fn sent(&self) -> u64 {
        self.seen.sent.load(Ordering::SeqCst)
    }
}

/// The object under a path, whatever its query: a film, then a box of noise that follows from path
/// and version.
pub fn object(path: &str, version: u8) -> Vec<u8> {
    let path = path.split('?').next().unwrap();
    let end = size(path);
    let filler = u32::try_from(end - SAMPLE.len()).unwrap();
    let mut state = path.bytes().fold(u64::from(version) + 1, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut bytes = SAMPLE.to_vec();
    bytes.extend(filler.to_be_bytes());
    bytes.extend(b"free");
    while bytes.len() < end {
        // Xorshift: any noise will do, so long as no two places look alike.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(end);
    bytes
}

async fn serve(
    mut stream: TcpStream,
    seen: &Seen,
    script: &Script,
    mut opened: watch::Receiver<bool>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let Some(head) = read_head(&mut stream).await? else { return Ok(()) };
    let asked = {
        let mut all = seen.asked.lock().unwrap();
        let asked = understand(&head, &all);
        all.push(asked.clone());
        asked
    };
    let answer = script(&asked);
    if let Some(instead) = answer.instead {
        return stream.write_all(instead.as_bytes()).await;
    }
    let (bytes, tag) =
        (seen.object(&asked.path, answer.version), format!("\"{}\"", answer.version));
    let n = bytes.len();
    let from = asked.from.filter(|from| asked.condition.as_ref() == Some(&tag) && *from < n);
    let (line, range) = match from {
        Some(from) => {
            ("206 Partial Content", format!("Content-Range: bytes {from}-{}/{n}\r\n", n - 1))
        }
        None => ("200 OK", String::new()),
    };
    let mut at = from.unwrap_or(0);
    let head = format!(
        "HTTP/1.1 {line}\r\nContent-Type: video/mp4\r\nETag: {tag}\r\n{range}Content-Length: {}\r\nConnection: close\r\n\r\n",
        n - at
    );
    stream.write_all(head.as_bytes()).await?;
    let end = n.min(answer.cut);
    while at < end {
        if at >= answer.gate {
            let _ = opened.wait_for(|open| *open).await;
        }
        let stop = if at < answer.gate { end.min(answer.gate) } else { end };
        let piece = &bytes[at..stop.min(at + PIECE)];
        stream.write_all(piece).await?;
        seen.sent.fetch_add(piece.len() as u64, Ordering::SeqCst);
        at += piece.len();
        tokio::time::sleep(answer.pause).await;
    }
    stream.shutdown().await
}

fn understand(head: &str, before: &[Asked]) -> Asked {
    let path = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let field = |name: &str| {
        let mut lines = head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::to_owned)
    };
    let range = field("range");
    let from = range.and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let nth = before.iter().filter(|other| other.path == path).count();
    Asked { path, nth, from, condition: field("if-range"), key: field("x-key") }
}

async fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0u8; 1];
        if stream.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    Ok(Some(String::from_utf8_lossy(&head).into_owned()))
}

/// The size of the object under a path.
pub fn size(path: &str) -> usize {
    let filler: usize = path.split('/').nth(1).unwrap().parse().unwrap();
    SAMPLE.len() + 8 + filler
}
