//! The suite against moto, a second server that shares nothing with the first.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// A second, independent server; `None` where it is not installed.
struct Moto {
    process: Child,
    port: u16,
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Moto {
    async fn start() -> Option<Self> {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/s3/.venv/bin/moto_server");
        if !std::path::Path::new(program).exists() {
            let required = std::env::var_os("HAULAGE_TEST_REQUIRE_ALL").is_some();
            assert!(!required, "this test must run here, but tests/s3/install.sh was not run");
            // Past the capture of the test runner, which hides what a passing test prints.
            let skipped = b"SKIPPED: moto is not there; tests/s3/install.sh installs it\n";
            std::io::stderr().write_all(skipped).unwrap();
            return None;
        }
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let process = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moto = Self { process, port };
        let end = tokio::time::Instant::now() + Duration::from_secs(60);
        while !moto.makes_bucket().await {
            assert!(tokio::time::Instant::now() < end, "moto does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(moto)
    }

    #[expect(clippy::disallowed_methods, reason = "the test's own server, on loopback")]
    async fn makes_bucket(&self) -> bool {
        let Ok(mut stream) = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await else {
            return false;
        };
        let request = "PUT /media HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\n\
                       authorization: AWS4-HMAC-SHA256 Credential=a/20200101/us-east-1/s3/aws4_request\r\n\
                       connection: close\r\n\r\n";
        let mut answer = String::new();
        let asked = stream.write_all(request.as_bytes()).await.is_ok();
        asked && stream.read_to_string(&mut answer).await.is_ok() && answer.contains(" 200 ")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_kind_of_server_conforms_too() {
    let Some(moto) = Moto::start().await else { return };
    let dir = tempfile::tempdir().unwrap();
    let url = format!("s3://media/in/here?endpoint=http://127.0.0.1:{}", moto.port);
    let blobs = open(&url, dir.path(), Duration::from_secs(60));
    conforms(&blobs, LONG).await;
    blobs.examine().await.unwrap();
    // Its own list of uploads, which the first server lacks.
    let spool = Spool::open(dir.path().join("staging")).await.unwrap();
    let file = staged(&spool, "job-1", &noise(LONG)).await;
    let name = key(60, 1);
    let mut publish = Box::pin(blobs.publish(file, &name));
    let begun = loop {
        let done = tokio::time::timeout(Duration::from_millis(2), &mut publish).await;
        let begun = blobs.uploads(None, 10).await.unwrap();
        if done.is_ok() || !begun.is_empty() {
            break begun;
        }
    };
    drop(publish);
    for upload in &begun {
        assert_eq!(upload.object_key, name);
        blobs.abort(upload).await.unwrap();
    }
    assert_eq!(blobs.uploads(None, 10).await.unwrap(), []);
}
