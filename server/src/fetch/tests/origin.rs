//! Origins that misbehave as they are told, on loopback, and answers to look-ups as written.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::resolve::{Resolve, ResolveError};
use crate::run::tasks::Tasks;

/// One thing an origin does after it has read a request.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Send(Vec<u8>),
    Pause(Duration),
    /// Sends these bytes for ever.
    Forever(Vec<u8>),
    /// Keeps the connection open and says nothing more.
    Hang,
    /// Ends the connection with a reset.
    Reset,
    /// Reads the next request on the same connection.
    KeepAlive,
}

pub(super) fn send(bytes: impl Into<Vec<u8>>) -> Step {
    Step::Send(bytes.into())
}

/// What an origin saw.
#[derive(Default, Debug)]
pub(super) struct Seen {
    pub(super) connections: usize,
    /// Heads of the requests, in order.
    pub(super) heads: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Origin {
    pub(super) at: SocketAddr,
    pub(super) seen: Arc<Mutex<Seen>>,
    pub(super) tasks: Tasks,
}

pub(super) type Script = Arc<dyn Fn(usize) -> Vec<Step> + Send + Sync>;

impl Origin {
    /// Answers request number n (from 0) with `script(n)`, then closes.
    pub(super) async fn start(script: impl Fn(usize) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", script).await
    }

    pub(super) async fn start_at(
        at: &str,
        script: impl Fn(usize) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let at = listener.local_addr().unwrap();
        let (seen, tasks) = (Arc::new(Mutex::new(Seen::default())), Tasks::new());
        let script: Script = Arc::new(script);
        let (all, spawner) = (Arc::clone(&seen), tasks.clone());
        drop(tasks.spawn("origin", async move {
            while let Ok((stream, _)) = listener.accept().await {
                all.lock().unwrap().connections += 1;
                let serving = serve(stream, Arc::clone(&all), Arc::clone(&script));
                drop(spawner.spawn("origin connection", serving));
            }
        }));
        Self { at, seen, tasks }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    pub(super) fn heads(&self) -> Vec<String> {
        self.seen.lock().unwrap().heads.clone()
    }
}

async fn serve(stream: TcpStream, seen: Arc<Mutex<Seen>>, script: Script) {
    let mut stream = stream;
    if play(&mut stream, &seen, &script).await == Some(Ending::Reset) {
        stream.set_zero_linger().unwrap();
    }
}

#[derive(PartialEq, Eq, Debug)]
pub(super) enum Ending {
    Close,
    Reset,
}

/// Plays the script on any stream; `None` when the other side went away.
pub(super) async fn play<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    seen: &Mutex<Seen>,
    script: &Script,
) -> Option<Ending> {
    'requests: loop {
        let head = read_head(stream).await?;
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.heads.push(head);
            seen.heads.len() - 1
        };
        for step in script(number) {
            match step {
                Step::Send(bytes) => stream.write_all(&bytes).await.ok()?,
                Step::Pause(time) => tokio::time::sleep(time).await,
                Step::Forever(bytes) => loop {
                    stream.write_all(&bytes).await.ok()?;
                },
                Step::Hang => std::future::pending().await,
                Step::Reset => return Some(Ending::Reset),
                Step::KeepAlive => continue 'requests,
            }
        }
        return Some(Ending::Close);
    }
}

async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

type Answer = Result<Vec<IpAddr>, ResolveError>;

/// A resolver that answers each name with its next written answer, and keeps to the last.
#[derive(Default, Debug)]
pub(super) struct Written {
    answers: Mutex<HashMap<String, VecDeque<Answer>>>,
    asked: Mutex<Vec<String>>,
}

impl Written {
    pub(super) fn answer(self, name: &str, ips: &[&str]) -> Self {
        self.push(name, Ok(ips.iter().map(|ip| ip.parse().unwrap()).collect()))
    }

    pub(super) fn fail(self, name: &str, error: ResolveError) -> Self {
        self.push(name, Err(error))
    }

    fn push(self, name: &str, answer: Answer) -> Self {
        self.answers.lock().unwrap().entry(name.to_owned()).or_default().push_back(answer);
        self
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Resolve for Written {
    async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        self.asked.lock().unwrap().push(name.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let answers = answers.get_mut(name).ok_or(ResolveError::NoSuchName)?;
        if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
            .ok_or(ResolveError::NoSuchName)?
    }
}
