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
    /// N bytes.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let (gate, gate_rx) = watch::channel(false);
        let witness = seen.clone();
        super::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let (witness, gate) = (witness.clone(), gate_rx.clone());
                super::spawn(async move {
                    let _ = serve(stream, witness, gate).await;
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

async fn serve(
    mut stream: TcpStream,
    seen: Arc<Mutex<HashMap<String, usize>>>,
    mut gate: watch::Receiver<bool>,
) -> std::io::Result<()> {
    loop {
        let Some(target) = read_head(&mut stream).await? else { return Ok(()) };
        let path = target.split('?').next().unwrap_or_default().to_owned();
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
            "slow" => {
                head(&mut stream, "200 OK", "video/mp4", SAMPLE.len()).await?;
                for piece in SAMPLE.chunks(SAMPLE.len() / 20 + 1) {
                    stream.write_all(piece).await?;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
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
            _ => head(&mut stream, "404 Not Found", "text/plain", 0).await?,
        }
    }
}

/// The sample, padded by one `free` box that readers skip.
async fn large(stream: &mut TcpStream, filler: usize) -> std::io::Result<()> {
    let size = u32::try_from(filler + 8).unwrap();
    head(stream, "200 OK", "video/mp4", SAMPLE.len() + filler + 8).await?;
    stream.write_all(SAMPLE).await?;
    stream.write_all(&size.to_be_bytes()).await?;
    stream.write_all(b"free").await?;
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
