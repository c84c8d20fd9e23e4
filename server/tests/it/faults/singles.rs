//! Rows of http_faults.md that need more than one job, more than one address or a kill.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;

use super::origin::{FaultOrigin, Script, Speech, Step, send};
use super::rows::{DEADLINE, On, film, in_turn, length, whole};
use super::{Bed, compare, names, range_of, settled, submit, trap};
use crate::harness::process::Process;
use crate::harness::{SOON, until};

/// Rows that are tests of this file.
pub const NUMBERS: [u32; 5] = [60, 81, 97, 98, 99];

#[tokio::test(flavor = "multi_thread")]
async fn row_60_a_worker_killed_in_the_middle_leaves_bytes_that_another_one_continues() {
    let dir = tempfile::tempdir().unwrap();
    let object = film(&[7; 400_000]);
    let (n, bytes) = (object.len(), object.clone());
    let script: Script = Arc::new(move |_, head| match range_of(head) {
        None => vec![length(n), send(&bytes[..n * 6 / 10]), Step::Hang],
        Some(from) => vec![
            send(format!(
                "HTTP/1.1 206 P\r\nETag: \"v1\"\r\nContent-Range: bytes {from}-{}/{n}\r\nContent-Length: {}\r\n\r\n",
                n - 1,
                n - from
            )),
            send(&bytes[from..]),
        ],
    });
    let origin = FaultOrigin::start(Speech::Http, script).await;
    let start = || {
        Process::start_with(dir.path(), |c| {
            c.env("HAULAGE_CHECKPOINT_BYTES", "64KiB");
        })
    };
    let server = start();
    let job = submit(&server.client(), &format!("http://{}/v.mp4", origin.at), None).await;
    let staged = || super::files(&dir.path().join("spool"));
    until("a checkpoint was made", SOON, || async {
        staged().iter().any(|f| f.extension().is_some_and(|e| e == "mark")).then_some(())
    })
    .await;
    server.kill();
    let server = start();
    let info = settled(&server.client(), &job).await.unwrap();
    assert_eq!(info["Status"], "SUCCESS", "{info}");
    assert_eq!(compare(&server.client(), &info, &object).await, Vec::<String>::new());
    assert_eq!(origin.asked(), 2);
    let from = range_of(&origin.seen.lock().unwrap().heads[1].0).unwrap();
    assert!(from >= 64 << 10, "asked for the rest from {from}");
    until("the spool is empty", SOON, || async { staged().is_empty().then_some(()) }).await;
    assert_eq!(super::files(&dir.path().join("objects")).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_81_a_deadline_goes_on_while_no_server_runs() {
    let dir = tempfile::tempdir().unwrap();
    let script: Script = Arc::new(|_, _| vec![length(1_000_000), send([7; 100]), Step::Hang]);
    let origin = FaultOrigin::start(Speech::Http, script).await;
    let start = || {
        Process::start_with(dir.path(), |c| {
            c.env("HAULAGE_JOB_DEADLINE", format!("{}ms", DEADLINE.as_millis()));
        })
    };
    let server = start();
    let job = submit(&server.client(), &format!("http://{}/v.mp4", origin.at), None).await;
    let deadline = Instant::now() + DEADLINE;
    until("the source is asked", SOON, || async { (origin.asked() > 0).then_some(()) }).await;
    server.kill();
    tokio::time::sleep_until(deadline).await; // nothing happens meanwhile: that is the point
    let server = start();
    let info = settled(&server.client(), &job).await.unwrap();
    assert_eq!(info["Status"], "DOWNLOAD_FAIL", "{info}");
    assert_eq!(info["ErrorCode"], "URLInvalidError.Stalled", "{info}");
    assert_eq!(origin.asked(), 1, "it was not tried again");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_97_a_kept_connection_that_died_costs_no_attempt() {
    // The first connection is kept, and dies when it is asked again.
    let script = in_turn(vec![[whole(), vec![Step::KeepAlive]].concat(), vec![], whole()]);
    let origin = FaultOrigin::start(Speech::Http, script).await;
    let (trap, _) = trap().await;
    let bed = Bed::start(On::Patient, trap, None);
    for _ in 0..2 {
        let job = submit(&bed.client(), &format!("http://{}/v.mp4", origin.at), None).await;
        let info = settled(&bed.client(), &job).await.unwrap();
        assert_eq!(info["Status"], "SUCCESS", "{info}");
    }
    let seen = origin.seen.lock().unwrap();
    assert_eq!((seen.connections, seen.heads.len()), (2, 3));
    let metrics = bed.process.log();
    assert!(!metrics.contains("will try again"), "an attempt was charged");
}

/// A listener on [::1] whose queue is full: Linux drops further SYNs, as a black hole does.
async fn black_hole(port: u16) -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v6().unwrap();
    socket.bind(format!("[::1]:{port}").parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let at = listener.local_addr().unwrap();
    let mut fillers = Vec::new();
    for _ in 0..16 {
        let filler = TcpSocket::new_v6().unwrap().connect(at);
        match tokio::time::timeout(Duration::from_millis(300), filler).await {
            Ok(stream) => fillers.push(stream.unwrap()),
            Err(_) => return (listener, fillers),
        }
    }
    panic!("the queue never fills");
}

async fn by_name(ips: &[&str], dead_v6: bool) -> Duration {
    let origin = FaultOrigin::start(Speech::Http, Arc::new(|_, _| whole())).await;
    let port = origin.at.port();
    let hole = if dead_v6 { Some(black_hole(port).await) } else { None };
    let resolver = names::server(ips.iter().map(|ip| ip.parse().unwrap()).collect()).await;
    let (trap, _) = trap().await;
    let bed = Bed::start(On::Patient, trap, Some(resolver));
    let began = Instant::now();
    let url = format!("http://many.example.com:{port}/v.mp4");
    let job = submit(&bed.client(), &url, None).await;
    let info = settled(&bed.client(), &job).await.unwrap();
    assert_eq!(info["Status"], "SUCCESS", "{info}");
    assert_eq!(origin.asked(), 1);
    drop(hole);
    let asked = origin.seen.lock().unwrap().heads[0].1;
    asked - began
}

#[tokio::test(flavor = "multi_thread")]
async fn row_98_a_dead_version_6_address_hardly_delays_the_other_one() {
    let took = by_name(&["::1", "127.0.0.1"], true).await;
    // The head start is 250 ms; the rest is a submission on a busy machine.
    assert!(took >= Duration::from_millis(240), "{took:?}: the dead address was not tried");
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_99_a_third_address_is_reached_when_two_are_dead() {
    by_name(&["::1", "127.0.0.2", "127.0.0.1"], false).await;
}
