//! Row 100: a road on which small packets pass and large ones vanish without a word.
//!
//! Linux drops what comes over a veth pair and is longer than the receiving end's MTU, and tells
//! nobody. So the server's end gets a small one, and a route that makes it announce the segments of
//! a large one all the same; the origin's end may not bundle segments, which would pass.
//!
//! Needs root for the namespaces.

use std::sync::Arc;

use tokio::net::TcpListener;

use super::netns::{self, API, INSIDE, INTERNET};
use super::origin::{FaultOrigin, Speech};
use super::rows::whole;
use super::settled;
use crate::harness::{Client, KEY_ID, SECRET, count_from};

/// Rows that are tests of this file.
pub const NUMBERS: [u32; 1] = [100];
const ATTEMPTS: usize = 2;

#[test]
fn row_100_a_road_that_swallows_large_packets_is_a_stall() {
    netns::in_a_namespace(
        "row_100_a_road_that_swallows_large_packets_is_a_stall",
        "faults::black_hole::inside_a_namespace",
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs inside a network namespace: row_100_a_road_that_swallows_large_packets_is_a_stall starts it"]
async fn inside_a_namespace() {
    if count_from(INSIDE, 0) != 1 {
        return;
    }
    let keeper = netns::join();
    let listener = TcpListener::bind("[::]:80").await.unwrap();
    let origin = FaultOrigin::start_on(listener, Speech::Http, Arc::new(|_, _| whole()));
    let dir = tempfile::tempdir().unwrap();
    let server = netns::start_server(dir.path(), keeper.pid(), |c| {
        c.env("HAULAGE_STALL_TIMEOUT", "1s")
            .env("HAULAGE_HEADER_TIMEOUT", "5s")
            .env("HAULAGE_ATTEMPTS", ATTEMPTS.to_string());
    });
    let client = Client::new(API.parse().unwrap(), KEY_ID, SECRET);
    let url = format!("http://{INTERNET}/v.mp4");

    // The road is sound as long as it has one width.
    let job = client.submit(std::slice::from_ref(&url)).await;
    let info = settled(&client, &job[0]).await.unwrap();
    assert_eq!(info["Status"], "SUCCESS", "{info}");

    // Wide enough for the calls of the test, which take this road too.
    netns::run("ip link set inet gso_max_segs 1");
    keeper.run("ip link set server mtu 1280");
    keeper.run(&format!("ip route replace {INTERNET} dev server advmss 1400"));
    let before = origin.asked();
    let job = client.submit(&[url]).await;
    let info = settled(&client, &job[0]).await.unwrap();
    assert_eq!(info["Status"], "DOWNLOAD_FAIL", "{info}");
    assert_eq!(info["ErrorCode"], "URLInvalidError.Stalled", "{info}");
    assert_eq!(origin.asked() - before, ATTEMPTS, "the requests, which are small, arrived");
    drop(server);
}
