//! Who is at the other end, where the kernel connects elsewhere than it was told.

use std::net::SocketAddr;
use std::sync::Mutex;

use super::super::connect::Road;
use super::road::Noted;
use super::*;

/// Fetches from a public address whose road leads to `to`.
async fn led(to: SocketAddr) -> Result<Vec<u8>, FetchError> {
    let noted = Noted {
        plain: [to, to],
        tls: [to, to],
        dead: None,
        dead_ips: Vec::new(),
        dialled: Mutex::default(),
    };
    let (nobody, road) = (Arc::new(Written::default()), Road::Noted(Arc::new(noted)));
    let fetcher = Fetcher::on_road(settings(), nobody, Clock::System, road).unwrap();
    fetch(&fetcher, "http://93.184.216.34/v.mp4").await
}

/// Linux connects to this machine when it is told the unspecified address (ip(7)): so the peer is
/// another than the one that was dialled, with no trick of the test's in between.
#[tokio::test]
async fn whoever_is_not_the_one_that_was_dialled_is_not_asked() {
    let body = || vec![send(head("Content-Length: 5\r\nConnection: close\r\n")), send("hello")];
    let origin = Origin::start(move |_| body()).await;
    assert_eq!(led(origin.at).await.as_deref(), Ok(&b"hello"[..]));
    let elsewhere = SocketAddr::from(([0, 0, 0, 0], origin.at.port()));
    assert_eq!(verdict(led(elsewhere).await), (FaultClass::ForbiddenAddress, Retry::Never));
    assert_eq!(origin.heads().len(), 1, "whoever was met was told nothing");
}
