//! A small origin on loopback: serves real media, misbehaves on request, and is a witness of every
//! connection and request it saw.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A real MP4 of a few seconds.
pub const SAMPLE: &[u8] = include_bytes!("../../media/sample.mp4");

/// The smallest of the media, for campaigns with many jobs.
const SMALL: &[u8] = include_bytes!("../../media/hevc.mp4");

/// The bytes of a path `/tiny/TOKEN.mp4`: a small file that says whose it is.
pub fn tiny(token: &str) -> Vec<u8> {
    [SMALL, &box_header(token.len()), token.as_bytes()].concat()
}

/// Whose file it is.
pub fn tiny_token(bytes: &[u8]) -> Option<String> {
    let token = bytes.get(SMALL.len() + 8..)?;
    String::from_utf8(token.to_vec()).ok()
}

/// The bytes of a path `/blob/N/…`.
pub fn blob(filler: usize) -> Vec<u8> {
    let mut bytes = SAMPLE.to_vec();
    bytes.extend_from_slice(&box_header(filler));
    bytes.resize(bytes.len() + filler, 0);
    bytes
}

/// The N of a file `/blob/N/…` by its length.
pub fn blob_filler(length: usize) -> Option<usize> {
    length.checked_sub(SAMPLE.len() + 8)
}

fn box_header(filler: usize) -> [u8; 8] {
    let [a, b, c, d] = u32::try_from(filler + 8).unwrap().to_be_bytes();
    [a, b, c, d, b'f', b'r', b'e', b'e']
}

#[derive(Debug)]
pub struct Origin {
    pub address: SocketAddr,
    seen: Arc<Mutex<HashMap<String, usize>>>,
    gate: watch::Sender<bool>,
}

impl Origin {
    /// Paths: `/good/….mp4` the sample; `/held/….mp4` the sample once [`Origin::open_gate`] was
    /// called; `/slow/….mp4` the sample over about two seconds; `/page/….mp4` an HTML page;
    /// `/gone/….mp4` 404; `/short/….mp4` cut in the middle; `/flaky/….mp4` 503 on the first
    /// request of a path, then the sample; `/blob/N/….mp4` the sample followed by a `free` box of
    /// N bytes; `/tiny/TOKEN.mp4` a small file with the token in it, with `?ms=N`
    /// over so many milliseconds.
    pub async fn start() -> Self {
        Self::start_seen(|_| {}).await
    }

    /// As [`Origin::start`], and tells the path of each request before it is answered.
    pub async fn start_seen(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let tell: Arc<Tell> = Arc::new(tell);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let (gate, gate_rx) = watch::channel(false);
        let witness = seen.clone();
        super::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let (witness, gate, tell) = (witness.clone(), gate_rx.clone(), tell.clone());
                super::spawn(async move {
                    let _ = serve(stream, witness, gate, tell).await;
                });
            }
        });
        Self { address, seen, gate }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How often a path was asked for.
    pub fn seen(&self, path: &str) -> usize {
        self.seen.lock().unwrap().get(path).copied().unwrap_or(0)
    }

    pub fn open_gate(&self) {
        self.gate.send_replace(true);
    }
}

type Tell = dyn Fn(&str) + Send + Sync;

async fn serve(
    mut stream: TcpStream,
    seen: Arc<Mutex<HashMap<String, usize>>>,
    mut gate: watch::Receiver<bool>,
    tell: Arc<Tell>,
) -> std::io::Result<()> {
    loop {
        let Some(target) = read_head(&mut stream).await? else { return Ok(()) };
        let path = target.split('?').next().unwrap_or_default().to_owned();
        tell(&path);
        let times = {
            let mut seen = seen.lock().unwrap();
            let times = seen.entry(path.clone()).or_insert(0);
            *times += 1;
            *times
        };
        let kind = path.split('/').nth(1).unwrap_or_default();
        match kind {
            "good" => whole(&mut stream, "video/mp4", SAMPLE).await?,
            "held" => {
                let _ = gate.wait_for(|open| *open).await;
                whole(&mut stream, "video/mp4", SAMPLE).await?;
            }
            "slow" => over_time(&mut stream, SAMPLE, 2_000).await?,
            "page" => {
                let page = b"<!doctype html><title>Sign in</title><p>Please sign in.";
                whole(&mut stream, "text/html", page).await?;
            }
            "short" => {
                head(&mut stream, "200 OK", "video/mp4", SAMPLE.len()).await?;
                stream.write_all(&SAMPLE[..SAMPLE.len() / 2]).await?;
                return Ok(());
            }
            "flaky" if times == 1 => {
                head(&mut stream, "503 Service Unavailable", "text/plain", 0).await?;
            }
            "flaky" => whole(&mut stream, "video/mp4", SAMPLE).await?,
            "blob" => {
                let filler: usize =
                    path.split('/').nth(2).and_then(|n| n.parse().ok()).unwrap_or(8);
                large(&mut stream, filler).await?;
            }
            "tiny" => {
                let token = path["/tiny/".len()..].trim_end_matches(".mp4");
                let over = target.split_once("?ms=").and_then(|(_, ms)| ms.parse().ok());
                over_time(&mut stream, &tiny(token), over.unwrap_or(0)).await?;
            }
            _ => head(&mut stream, "404 Not Found", "text/plain", 0).await?,
        }
    }
}

/// A body in 20 pieces over so many milliseconds; 0: at once.
async fn over_time(stream: &mut TcpStream, body: &[u8], ms: u64) -> std::io::Result<()> {
    if ms == 0 {
        return whole(stream, "video/mp4", body).await;
    }
    head(stream, "200 OK", "video/mp4", body.len()).await?;
    for piece in body.chunks(body.len() / 20 + 1) {
        stream.write_all(piece).await?;
        tokio::time::sleep(Duration::from_millis(ms / 20)).await;
    }
    Ok(())
}

/// The sample, padded by one `free` box that readers skip.
async fn large(stream: &mut TcpStream, filler: usize) -> std::io::Result<()> {
    head(stream, "200 OK", "video/mp4", SAMPLE.len() + filler + 8).await?;
    stream.write_all(SAMPLE).await?;
    stream.write_all(&box_header(filler)).await?;
    let zeros = vec![0u8; 64 * 1024];
    let mut left = filler;
    while left > 0 {
        let n = left.min(zeros.len());
        stream.write_all(&zeros[..n]).await?;
        left -= n;
    }
    Ok(())
}

async fn whole(stream: &mut TcpStream, content_type: &str, body: &[u8]) -> std::io::Result<()> {
    head(stream, "200 OK", content_type, body.len()).await?;
    stream.write_all(body).await
}

async fn head(
    stream: &mut TcpStream,
    status: &str,
    content_type: &str,
    length: usize,
) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nETag: \"v1\"\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await
}

/// The target of the next request, or `None` when the client is done.
async fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0u8; 1];
        if stream.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head);
    Ok(text.split_whitespace().nth(1).map(str::to_owned))
}
