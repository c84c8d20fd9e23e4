//! A rolling restart: nodes are replaced one after the other while clients go on and transfers are
//! under way. A client knows both nodes, and asks the other where one does not answer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Farm;
use crate::harness::origin::Origin;
use crate::harness::process::Process;
use crate::harness::{Client, KEY_ID, SECRET, SOON, spawn, until, url_list};

/// Clients at the same time.
const CLIENTS: usize = 3;
/// Slots of a node.
const SLOTS: usize = 6;
/// Transfers that last over all restarts: more than one node has slots for, so that both have some;
/// fewer than both have, so that other jobs go on.
const HELD: usize = 8;

/// The nodes, as clients know them.
type Addresses = Arc<Mutex<[SocketAddr; 2]>>;

/// Submits a URL once, whatever becomes of nodes: it is the same session wherever it is sent.
async fn submit(nodes: &Addresses, first: usize, session: &str, url: &str) -> String {
    let list = url_list(&[url.to_owned()]);
    let params = [("UploadURLs", list.as_str()), ("SessionId", session)];
    let mut refusals = Vec::new();
    for turn in 0..2 {
        let address = nodes.lock().unwrap()[(first + turn) % 2];
        let client = Client::new(address, KEY_ID, SECRET);
        match client.try_send(&client.signed("UploadMediaByURL", &params)).await {
            Some(answer) if answer.status == 200 => {
                return answer.ok()["UploadJobs"][0]["JobId"].as_str().unwrap().to_owned();
            }
            Some(refused) => refusals.push(format!("{address}: {}", refused.text())),
            None => refusals.push(format!("{address}: no answer")),
        }
    }
    panic!("neither node took {session}: {refusals:?}");
}

/// Submits one after the other until told to stop; the ids.
async fn client(
    nodes: Addresses,
    origin: String,
    name: usize,
    stop: Arc<AtomicBool>,
) -> Vec<String> {
    let mut ids = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let session = format!("{name}-{}", ids.len());
        let url = format!("{origin}{session}.mp4");
        ids.push(submit(&nodes, ids.len(), &session, &url).await);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    ids
}

impl Farm {
    fn replaceable(&self, data_dir: &std::path::Path) -> Process {
        self.process(data_dir, |command| {
            command
                .env("HAULAGE_TRANSFERS", SLOTS.to_string())
                .env("HAULAGE_PER_HOST", "1000")
                .env("HAULAGE_QPS", "UploadMediaByURL=0,GetURLUploadInfos=0")
                .env("HAULAGE_DRAIN", "500ms")
                // None ends in this test: what is taken over was handed back.
                .env("HAULAGE_LEASE", "60s");
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rolling_restart_under_load_charges_loses_and_repeats_nothing() {
    let test = "a_rolling_restart_under_load_charges_loses_and_repeats_nothing";
    let Some(farm) = Farm::new(test).await else { return };
    let origin = Origin::start().await;
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut nodes = dirs.each_ref().map(|dir| Some(farm.replaceable(dir.path())));
    let addresses = nodes.each_ref().map(|node| node.as_ref().unwrap().address);
    let known: Addresses = Arc::new(Mutex::new(addresses));
    let held: Vec<String> = (0..HELD).map(|n| format!("/held/{n}.mp4")).collect();
    let mut ids = Vec::new();
    for (n, path) in held.iter().enumerate() {
        ids.push(submit(&known, n, &format!("held-{n}"), &origin.url(path)).await);
    }
    until("both nodes have transfers under way", SOON, || async {
        held.iter().all(|path| origin.seen(path) == 1).then_some(())
    })
    .await;
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| spawn(client(known.clone(), origin.url("/good/"), n, stop.clone())))
        .collect();

    for (place, dir) in dirs.iter().enumerate() {
        let before = farm.number(JOBS).await;
        until("clients go on", SOON, || async {
            (farm.number(JOBS).await > before + 5).then_some(())
        })
        .await;
        let handed_back = farm.number(HANDED_BACK).await;
        assert_eq!(nodes[place].take().unwrap().terminate(), Some(0), "it ends in order");
        assert!(farm.number(HANDED_BACK).await > handed_back, "it had transfers to hand back");
        let fresh = farm.replaceable(dir.path());
        known.lock().unwrap()[place] = fresh.address;
        nodes[place] = Some(fresh);
    }
    let nodes = nodes.map(Option::unwrap);
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        ids.extend(client.await.unwrap());
    }
    origin.open_gate();
    for id in &ids {
        let info = nodes[0].client().terminal(id).await;
        assert_eq!(info["Status"], "SUCCESS", "{info}");
    }
    // Nothing lost, nothing made twice.
    let jobs = i64::try_from(ids.len()).unwrap();
    assert_eq!(farm.number(JOBS).await, jobs);
    assert_eq!(farm.number("SELECT COUNT(*) FROM media").await, jobs);
    // Nothing charged: one attempt each, and none that ended otherwise than by success or our own
    // stop.
    let charged = "SELECT COUNT(*) FROM job WHERE attempt <> 1 OR rescues <> 0";
    assert_eq!(farm.number(charged).await, 0);
    let other = "SELECT COUNT(*) FROM attempt WHERE ending NOT IN (0, 2)";
    assert_eq!(farm.number(other).await, 0);
    assert_eq!(farm.number("SELECT COUNT(*) FROM node").await, 2, "who left said so");
    eprintln!(
        "rolling restart: {jobs} jobs over two nodes replaced under load, {} attempts handed back",
        farm.number(HANDED_BACK).await
    );
    for node in nodes {
        assert_eq!(node.terminate(), Some(0));
    }
}

const JOBS: &str = "SELECT COUNT(*) FROM job";
const HANDED_BACK: &str = "SELECT COUNT(*) FROM attempt WHERE ending = 0";
