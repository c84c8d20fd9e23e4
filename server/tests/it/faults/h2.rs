//! Row 94 through the whole product: origins that speak HTTP/2 over TLS and end a body, a stream or
//! the connection before its time.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::Reason;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::origin::tls_file;
use super::{compare, files, settled, submit};
use crate::harness::origin::SAMPLE;
use crate::harness::process::Process;
use crate::harness::{SOON, spawn, until};

/// Rows that are tests of this file.
pub const NUMBERS: [u32; 1] = [94];
const ATTEMPTS: usize = 3;

/// What the origin does with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    Whole,
    /// No head: the stream is reset at once.
    Refuse(Reason),
    /// The stream is reset when half of the body has arrived.
    Reset(Reason),
    /// The connection says GOAWAY and ends when half of the body has arrived.
    GoAway,
}

struct H2Origin {
    at: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl H2Origin {
    /// Does `acts[n]` with request n, the last of them again and again. Half of a body has arrived
    /// when something lies in `spool`: a reset overtakes what still waits to be sent.
    async fn start(acts: &'static [Act], spool: PathBuf) -> Self {
        let chain = vec![CertificateDer::from_pem_file(tls_file("good.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(tls_file("key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        // Nothing else is spoken, so whatever arrives came by HTTP/2.
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tls = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let requests = Arc::<AtomicUsize>::default();
        let counted = requests.clone();
        spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                spawn(serve(stream, tls.clone(), acts, counted.clone(), spool.clone()));
            }
        });
        Self { at, requests }
    }
}

async fn serve(
    stream: TcpStream,
    tls: TlsAcceptor,
    acts: &'static [Act],
    requests: Arc<AtomicUsize>,
    spool: PathBuf,
) -> Option<()> {
    let mut connection = h2::server::handshake(tls.accept(stream).await.ok()?).await.ok()?;
    let (leave, mut leaving) = tokio::sync::mpsc::channel(1);
    loop {
        let (request, mut respond) = tokio::select! {
            accepted = connection.accept() => accepted?.ok()?,
            Some(()) = leaving.recv() => {
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                continue;
            }
        };
        let n = requests.fetch_add(1, Ordering::SeqCst);
        let act = acts[n.min(acts.len() - 1)];
        if let Act::Refuse(reason) = act {
            respond.send_reset(reason);
            continue;
        }
        assert!(request.headers().get("range").is_none(), "there is no checkpoint to go on from");
        let head = http::Response::builder()
            .header("content-type", "video/mp4")
            .header("content-length", SAMPLE.len());
        let mut body = respond.send_response(head.body(()).unwrap(), false).unwrap();
        let half = SAMPLE.len() / 2;
        let sent = if act == Act::Whole { SAMPLE } else { &SAMPLE[..half] };
        body.send_data(Bytes::from_static(sent), act == Act::Whole).unwrap();
        let (spool, leave) = (spool.clone(), leave.clone());
        spawn(async move {
            if act == Act::Whole {
                return;
            }
            until("half of it has arrived", SOON, || async { arrived(&spool, half).then_some(()) })
                .await;
            match act {
                Act::Reset(reason) => body.send_reset(reason),
                _ => drop(leave.send(()).await),
            }
        });
    }
}

fn arrived(spool: &Path, bytes: usize) -> bool {
    let long = |file: &PathBuf| file.metadata().is_ok_and(|m| m.len() >= bytes as u64);
    files(spool).iter().any(long)
}

#[tokio::test(flavor = "multi_thread")]
async fn row_94_what_http2_ends_before_its_time_is_fetched_again_and_never_stored_cut() {
    let cases: [(&'static [Act], &str); 6] = [
        (&[Act::GoAway, Act::Whole], ""),
        (&[Act::Reset(Reason::INTERNAL_ERROR), Act::Reset(Reason::CANCEL), Act::Whole], ""),
        // "No error" is no end of a body of which half is missing.
        (&[Act::Reset(Reason::NO_ERROR), Act::Whole], ""),
        (&[Act::Refuse(Reason::REFUSED_STREAM), Act::Whole], ""),
        (&[Act::Reset(Reason::INTERNAL_ERROR)], "URLInvalidError.Truncated"),
        (&[Act::Refuse(Reason::REFUSED_STREAM)], "URLInvalidError.Protocol"),
    ];
    for (acts, code) in cases {
        let dir = tempfile::tempdir().unwrap();
        let origin = H2Origin::start(acts, dir.path().join("spool")).await;
        let server = Process::start_with(dir.path(), |c| {
            c.env("HAULAGE_HTTP2", "on")
                .env("HAULAGE_EXTRA_CA", tls_file("root.pem"))
                .env("HAULAGE_ATTEMPTS", ATTEMPTS.to_string());
        });
        let client = server.client();
        let job = submit(&client, &format!("https://{}/v.mp4?S=s3cret", origin.at), None).await;
        let info = settled(&client, &job).await.unwrap();
        let requests = origin.requests.load(Ordering::SeqCst);
        if code.is_empty() {
            assert_eq!(info["Status"], "SUCCESS", "{acts:?}: {info}");
            assert_eq!(compare(&client, &info, SAMPLE).await, Vec::<String>::new(), "{acts:?}");
            assert_eq!(requests, acts.len(), "{acts:?}");
        } else {
            assert_eq!(info["Status"], "DOWNLOAD_FAIL", "{acts:?}: {info}");
            assert_eq!(info["ErrorCode"], code, "{acts:?}: {info}");
            assert!((ATTEMPTS..=2 * ATTEMPTS).contains(&requests), "{acts:?}: {requests} requests");
            assert!(files(&dir.path().join("objects")).is_empty(), "{acts:?}");
        }
        until("nothing staged is left", SOON, || async {
            files(&dir.path().join("spool")).is_empty().then_some(())
        })
        .await;
    }
}
