//! TLS origins: what is trusted, and where a body may end.

use std::io::Write;
use std::sync::Mutex;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::origin::{Script, Seen, play};
use super::*;
use crate::run::tasks::Tasks;

/// An https origin for tls.example.com. After the steps it closes with or without TLS's word.
async fn origin(certificate: &str, steps: Vec<Step>, close_notify: bool) -> std::net::SocketAddr {
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(pem::KEY.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let script: Script = Arc::new(move |_| steps.clone());
    let tasks = Tasks::new();
    drop(tasks.clone().spawn("tls origin", async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, script) = (acceptor.clone(), Arc::clone(&script));
            drop(tasks.spawn("tls connection", async move {
                let Ok(mut tls) = acceptor.accept(stream).await else { return };
                play(&mut tls, &Mutex::new(Seen::default()), &script).await;
                if close_notify {
                    drop(tls.shutdown().await);
                } else {
                    drop(tls.get_mut().0.shutdown().await);
                }
            }));
        }
    }));
    at
}

fn fetcher_that_trusts(root: Option<&str>, connect_timeout: Duration) -> Fetcher {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(root.unwrap_or_default().as_bytes()).unwrap();
    let extra_ca = root.is_some().then(|| file.path().to_owned());
    let names = Written::default()
        .answer("tls.example.com", &["127.0.0.1"])
        .answer("other.example.com", &["127.0.0.1"]);
    fetcher_with(FetchSettings { extra_ca, connect_timeout, ..settings() }, names).0
}

async fn get(
    trusted: bool,
    certificate: &str,
    host: &str,
    steps: Vec<Step>,
    close_notify: bool,
) -> Result<Vec<u8>, FetchError> {
    let at = origin(certificate, steps, close_notify).await;
    let fetcher = fetcher_that_trusts(trusted.then_some(pem::ROOT), Duration::from_secs(5));
    fetch(&fetcher, &format!("https://{host}:{}/v.mp4?S=s3cret", at.port())).await
}

fn whole() -> Vec<Step> {
    vec![send(head("Content-Length: 5\r\n")), send("hello")]
}

#[tokio::test]
async fn an_extra_root_makes_its_origins_trusted_and_no_others() {
    let host = "tls.example.com";
    assert_eq!(get(true, pem::LEAF, host, whole(), true).await.unwrap(), b"hello");
    let rows = [
        ("row 86, unknown", get(false, pem::LEAF, host, whole(), true).await, "nobody"),
        ("row 85, expired", get(true, pem::EXPIRED, host, whole(), true).await, "expired"),
        ("row 86, name", get(true, pem::LEAF, "other.example.com", whole(), true).await, "name"),
        ("row 87, literal", get(true, pem::LEAF, "127.0.0.1", whole(), true).await, "name"),
    ];
    for (row, result, word) in rows {
        let message = result.clone().unwrap_err().fault.message;
        assert!(message.contains(word), "{row}: {message}");
        assert_eq!(verdict(result), (FaultClass::Tls, Retry::Never), "{row}");
    }
}

#[tokio::test]
async fn a_body_that_only_the_connection_ends_needs_the_end_of_tls() {
    let host = "tls.example.com";
    let open_ended = || vec![send(head("")), send("hello")];
    assert_eq!(get(true, pem::LEAF, host, open_ended(), true).await.unwrap(), b"hello");
    let cut = get(true, pem::LEAF, host, open_ended(), false).await;
    assert_eq!(verdict(cut), (FaultClass::Truncated, Retry::Backoff), "row 9");
    let complete = get(true, pem::LEAF, host, whole(), false).await;
    assert_eq!(complete.unwrap(), b"hello", "row 10: the length was reached");
    let chunked =
        vec![send(head("Transfer-Encoding: chunked\r\n")), send("5\r\nhello\r\n0\r\n\r\n")];
    let chunked = get(true, pem::LEAF, host, chunked, false).await;
    assert_eq!(chunked.unwrap(), b"hello", "row 10: the last chunk had come");
}

#[tokio::test]
async fn a_port_that_speaks_something_else_or_nothing_is_told_apart() {
    let plain = Origin::start(|_| whole()).await;
    let fetcher = fetcher_that_trusts(Some(pem::ROOT), SHORT);
    let https = |at: std::net::SocketAddr| format!("https://tls.example.com:{}/", at.port());
    // The plain origin reads a ClientHello for a request and waits for its end.
    let result = fetch(&fetcher, &https(plain.at)).await;
    assert_eq!(verdict(result), (FaultClass::Stalled, Retry::Backoff), "row 89");

    let chatty = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = chatty.local_addr().unwrap();
    drop(plain.tasks.spawn("chatty", async move {
        let (mut stream, _) = chatty.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream.shutdown().await.unwrap();
    }));
    let result = fetch(&fetcher, &https(at)).await;
    assert_eq!(verdict(result), (FaultClass::Tls, Retry::Never), "row 90");

    let tls = origin(pem::LEAF, whole(), true).await;
    let result = fetch(&fetcher, &format!("http://tls.example.com:{}/", tls.port())).await;
    assert_eq!(verdict(result), (FaultClass::Protocol, Retry::Never), "row 90");
}

#[tokio::test]
async fn a_file_of_extra_roots_without_a_root_is_an_error_at_the_start() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    for path in [empty.path().to_owned(), "/nonexistent/roots.pem".into()] {
        let settings = FetchSettings { extra_ca: Some(path), ..settings() };
        let refused = Fetcher::with_resolver(settings, Arc::new(Written::default()), Clock::System);
        assert!(matches!(refused, Err(FetcherError::ExtraCa { .. })));
    }
}
