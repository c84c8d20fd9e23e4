//! Origins as processes of their own: one as fast as it can, one very slow.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A real MP4 of 12 KiB; readers skip the `free` box that pads it.
const SAMPLE: &[u8] = include_bytes!("../../tests/media/hevc.mp4");

#[derive(Debug)]
pub struct Origin {
    child: Child,
    pub address: SocketAddr,
}

impl Origin {
    pub fn start(args: &[&str]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: line.trim().parse().unwrap() }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    listener
}

fn read_head(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    let mut buffer = [0u8; 4096];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(n) if n > 0 => head.extend_from_slice(&buffer[..n]),
            _ => return false,
        }
    }
    true
}

fn head(length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: {length}\r\n\r\n")
}

/// Serves the sample padded to `bytes`, from memory.
pub fn serve(bytes: usize) {
    let filler = u32::try_from(bytes - SAMPLE.len()).unwrap();
    let mut front = head(bytes).into_bytes();
    front.extend_from_slice(SAMPLE);
    front.extend_from_slice(&filler.to_be_bytes());
    front.extend_from_slice(b"free");
    let piece = vec![0u8; 1 << 20];
    let mut left = bytes - SAMPLE.len() - 8;
    // A small file is one write, so that the origin is not what is measured.
    if left <= piece.len() {
        front.extend_from_slice(&piece[..std::mem::take(&mut left)]);
    }
    for stream in listen().incoming() {
        let mut stream = stream.unwrap();
        let (front, piece) = (front.clone(), piece.clone());
        std::thread::Builder::new()
            .stack_size(128 << 10)
            .spawn(move || {
                while read_head(&mut stream) {
                    let mut sent = stream.write_all(&front);
                    let mut left = left;
                    while left > 0 && sent.is_ok() {
                        let n = left.min(piece.len());
                        sent = stream.write_all(&piece[..n]);
                        left -= n;
                    }
                    if sent.is_err() {
                        return;
                    }
                }
            })
            .unwrap();
    }
}

/// Announces a megabyte and serves about 2 KiB a second of it on every connection, from one thread.
pub fn drip() {
    const BYTES: usize = 1 << 20;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        let filler = [0u8; 1_024];
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut buffer = [0u8; 1_024];
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_all(head(BYTES).as_bytes()).await;
                for piece in SAMPLE.chunks(1_024).chain(std::iter::repeat(&filler[..])) {
                    if stream.write_all(piece).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            });
        }
    });
}
