//! The list of nodes: what each says of itself, and what operators see of it.

use std::time::Duration;

use haulage::run::members::Roles;
use serde_json::Value;

use super::Farm;
use crate::console::browser::Browser;
use crate::harness::origin::Origin;
use crate::harness::{Client, SOON, until};

const LEASE: Duration = Duration::from_secs(1);

async fn listed(client: &Client) -> Vec<Value> {
    let params = [("Account", "*"), ("Minutes", "5")];
    let reply = client.call("GetUploadStatistics", &params).await.ok();
    reply["Nodes"].as_array().unwrap().clone()
}

/// Waits until the node at this address is in this state; what is told of it.
async fn in_state(client: &Client, address: &str, state: &str) -> Value {
    let what = format!("the node at {address} is {state}");
    until(&what, SOON, || async {
        let nodes = listed(client).await;
        nodes.into_iter().find(|node| node["Address"] == address && node["State"] == state)
    })
    .await
}

/// The rows of the table of nodes.
fn rows_of(page: &str) -> Vec<String> {
    let (_, section) = page.split_once("id=\"nodes\"").expect("a part with the nodes");
    let section = section.split("</section>").next().unwrap();
    section.split("<tr>").skip(2).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_which_nodes_work_drain_and_are_silent() {
    let test = "operators_see_which_nodes_work_drain_and_are_silent";
    let Some(farm) = Farm::new(test).await else { return };
    let origin = Origin::start().await;
    let answering = Roles { api: true, worker: false };
    let api = farm
        .member_as(answering, |c| {
            c.lease = LEASE;
            // It is asked until it says what is waited for.
            c.qps.insert("GetUploadStatistics".into(), 0);
        })
        .await;
    let worker = farm.member_as(Roles { api: false, worker: true }, |c| c.lease = LEASE).await;
    let dir = tempfile::tempdir().unwrap();
    let doomed = farm.process(dir.path(), |command| {
        command.env("HAULAGE_TRANSFERS", "0");
    });
    let client = api.client();
    let [here, there, gone] =
        [api.node.address(), worker.node.address(), doomed.address].map(|a| a.to_string());
    client.submit(&[origin.url("/held/a.mp4")]).await;
    let busy = until("the worker tells of its transfer", SOON, || async {
        let node = in_state(&client, &there, "Ready").await;
        (node["RunningTransfers"] == 1).then_some(node)
    })
    .await;
    assert_eq!((&busy["Roles"], &busy["IsThis"]), (&Value::from("worker"), &Value::from(false)));
    let own = in_state(&client, &here, "Ready").await;
    assert_eq!((&own["Roles"], &own["IsThis"]), (&Value::from("api"), &Value::from(true)));
    in_state(&client, &gone, "Ready").await;

    doomed.kill();
    in_state(&client, &gone, "Silent").await;
    worker.node.stop().drain();
    in_state(&client, &there, "Draining").await;
    until("metrics count those that are not silent", SOON, || async {
        let metrics = client.get("/metrics", &[]).await;
        let has = |line: &str| metrics.text().lines().any(|found| found == line);
        (has("haulage_nodes 2") && has("haulage_nodes_draining 1")).then_some(())
    })
    .await;

    let browser = Browser::signed_in(&client).await;
    let rows = until("the page tells the three states", SOON, || async {
        let rows = rows_of(browser.get("/console").await.text());
        let told = |address: &str, state: &str| {
            rows.iter().any(|row| row.contains(address) && row.contains(state))
        };
        let all = told(&here, "Ready") && told(&there, "Draining") && told(&gone, "Silent");
        all.then_some(rows)
    })
    .await;
    let this = rows.iter().filter(|row| row.contains("this one")).collect::<Vec<_>>();
    assert!(this.len() == 1 && this[0].contains(&here), "{rows:?}");
    assert!(rows[2].contains(&gone), "the silent one is last: {rows:?}");

    origin.open_gate();
    worker.node.wait().await;
    until("who leaves is not listed", SOON, || async {
        listed(&client).await.iter().all(|node| node["Address"] != *there).then_some(())
    })
    .await;
    api.stop().await;
}
