//! An origin of one large file that is asked for its parts by several connections.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::*;
use crate::run::tasks::Tasks;

pub(super) const PIECE: usize = 4 << 20;
/// Bytes of the file: two pieces by the first answer, five and a bit by others.
pub(super) const SIZE: usize = 7 * PIECE + 12_345;
/// What a whole answer sends before it waits for [`Seen::gate`].
pub(super) const GATED: usize = PIECE;

/// What is asked, by how many at the same time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    /// Requests for a part before this one.
    pub(super) nth: usize,
    pub(super) first: usize,
    pub(super) live: usize,
}

/// What a request for a part is answered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply {
    Part,
    Status(&'static str),
    /// The whole file, as if no part were asked for.
    Whole,
    /// With a `Content-Range` of the piece behind it.
    Lie,
    /// Fewer bytes than asked for, and saying so.
    Short,
    /// Of another version.
    Changed,
    /// The end after so many bytes.
    Cut(usize),
    /// Nothing, for ever.
    Silence,
}

type Script = Arc<dyn Fn(Ask) -> Reply + Send + Sync>;

pub(super) struct Several {
    pub(super) at: std::net::SocketAddr,
    pub(super) seen: Arc<Seen>,
}

pub(super) struct Seen {
    pub(super) file: Vec<u8>,
    /// First and last byte of each part asked for, and the condition.
    pub(super) parts: Mutex<Vec<(usize, usize, String)>>,
    pub(super) wholes: AtomicUsize,
    /// Requests that showed the headers given for this origin.
    pub(super) confided: AtomicUsize,
    pub(super) live: AtomicUsize,
    pub(super) most: AtomicUsize,
    pub(super) gate: Semaphore,
    pub(super) tag: &'static str,
}

fn file() -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut bytes = Vec::with_capacity(SIZE + 8);
    while bytes.len() < SIZE {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(SIZE);
    bytes
}

impl Several {
    pub(super) async fn start(script: impl Fn(Ask) -> Reply + Send + Sync + 'static) -> Self {
        Self::tagged("\"v1\"", script).await
    }

    pub(super) async fn tagged(
        tag: &'static str,
        script: impl Fn(Ask) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let seen = Arc::new(Seen {
            file: file(),
            parts: Mutex::default(),
            wholes: AtomicUsize::new(0),
            confided: AtomicUsize::new(0),
            live: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            gate: Semaphore::new(0),
            tag,
        });
        let (all, tasks, script) = (Arc::clone(&seen), Tasks::new(), Arc::new(script) as Script);
        let spawner = tasks.clone();
        drop(tasks.spawn("origin", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, script) = (Arc::clone(&all), Arc::clone(&script));
                drop(spawner.spawn("origin connection", async move {
                    let live = seen.live.fetch_add(1, Ordering::SeqCst) + 1;
                    seen.most.fetch_max(live, Ordering::SeqCst);
                    let _ = serve(stream, &seen, &script, live).await;
                    seen.live.fetch_sub(1, Ordering::SeqCst);
                }));
            }
        }));
        Self { at, seen }
    }

    pub(super) fn url(&self) -> SourceUrl {
        SourceUrl::new(format!("http://{}/v.mp4?Signature=s3cret", self.at))
    }

    pub(super) fn parts(&self) -> Vec<(usize, usize)> {
        self.seen.parts.lock().unwrap().iter().map(|(first, last, _)| (*first, *last)).collect()
    }
}

async fn serve(
    mut stream: TcpStream,
    seen: &Seen,
    script: &Script,
    live: usize,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    seen.confided.fetch_add(usize::from(field("x-key: ") == Some("k")), Ordering::SeqCst);
    let range = field("range: bytes=").and_then(|range| range.split_once('-'));
    let common = format!("ETag: {}\r\nConnection: close\r\n", seen.tag);
    let Some((first, last)) = range else {
        seen.wholes.fetch_add(1, Ordering::SeqCst);
        return whole(&mut stream, seen, &common).await;
    };
    let (first, last) = (first.parse().unwrap(), last.parse().unwrap_or(SIZE - 1));
    let nth = {
        let mut parts = seen.parts.lock().unwrap();
        parts.push((first, last, field("if-range: ").unwrap_or_default().to_owned()));
        parts.len() - 1
    };
    let bytes = &seen.file[first..=last];
    let part = |first: usize, last: usize, tag: &str, length: usize| {
        format!(
            "HTTP/1.1 206 Partial Content\r\nETag: {tag}\r\nConnection: close\r\nContent-Range: bytes \
             {first}-{last}/{SIZE}\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    match script(Ask { nth, first, live }) {
        Reply::Part => {
            stream.write_all(part(first, last, seen.tag, bytes.len()).as_bytes()).await?;
            stream.write_all(bytes).await
        }
        Reply::Status(status) => {
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await
        }
        Reply::Whole => {
            let head = format!("HTTP/1.1 200 OK\r\n{common}Content-Length: {SIZE}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&seen.file).await
        }
        Reply::Lie => {
            let (first, last) = (first + 1, last + 1);
            stream.write_all(part(first, last, seen.tag, bytes.len()).as_bytes()).await?;
            stream.write_all(bytes).await
        }
        Reply::Short => {
            let half = bytes.len() / 2;
            let head = part(first, first + half - 1, seen.tag, half);
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&bytes[..half]).await
        }
        Reply::Changed => {
            stream.write_all(part(first, last, "\"v2\"", bytes.len()).as_bytes()).await?;
            stream.write_all(&vec![0; bytes.len()]).await
        }
        Reply::Silence => std::future::pending().await,
        Reply::Cut(after) => {
            stream.write_all(part(first, last, seen.tag, bytes.len()).as_bytes()).await?;
            stream.write_all(&bytes[..after]).await?;
            stream.flush().await
        }
    }
}

async fn whole(stream: &mut TcpStream, seen: &Seen, common: &str) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\n{common}Content-Length: {SIZE}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&seen.file[..GATED]).await?;
    seen.gate.acquire().await.unwrap().forget();
    stream.write_all(&seen.file[GATED..]).await
}
