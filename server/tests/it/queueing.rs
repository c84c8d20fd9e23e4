//! The queue from the outside: shares of accounts, pauses, priorities, places in line, and hosts
//! that are full.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::faults::origin::{FaultOrigin, Script, Speech, Step, send};
use crate::harness::origin::{Origin, SAMPLE};
use crate::harness::{Client, SOON, Server, until, url_list};

async fn change(operator: &Client, name: &str, what: &[(&str, &str)]) -> Value {
    let params = [&[("AccountName", name)], what].concat();
    operator.call("UpdateAccount", &params).await.ok()["Account"].clone()
}

/// What ListAccounts says of one.
async fn account(operator: &Client, name: &str) -> Value {
    let list = operator.call("ListAccounts", &[]).await.ok()["Accounts"].clone();
    list.as_array().unwrap().iter().find(|account| account["Name"] == name).unwrap().clone()
}

/// What GetUploadStatistics says of one account, and of the whole queue.
async fn statistics(client: &Client) -> (Value, Value) {
    let reply = client.call("GetUploadStatistics", &[]).await.ok();
    (reply["Accounts"][0].clone(), reply["Queue"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_transfers_of_one_account_leave_room_for_anothers_first_job() {
    let origin = Origin::start().await;
    let server = Server::start_with(|c| c.per_host = 1_000).await;
    let (slow, other) = (server.client(), server.other_account("other").await);
    let urls: Vec<String> = (0..64).map(|n| origin.url(&format!("/held/{n}.mp4"))).collect();
    for some in urls.chunks(20) {
        slow.submit(some).await;
    }
    let asked = || (0..64).filter(|n| origin.seen(&format!("/held/{n}.mp4")) > 0).count();
    until("all run that may", SOON, || async { (asked() == 56).then_some(()) }).await;
    let job = other.submit(&[origin.url("/good/first.mp4")]).await;
    assert_eq!(other.terminal(&job[0]).await["Status"], "SUCCESS");
    assert_eq!(asked(), 56, "none of the others came to an end for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_are_shared_by_the_weights_of_accounts() {
    let origin = Origin::start().await;
    let server = Server::start_with(|c| (c.transfers, c.per_host) = (0, 1_000)).await;
    let (one, press) = (server.client(), server.other_account("press").await);
    assert_eq!(account(&one, "press").await["Weight"], 1);
    assert_eq!(change(&one, "press", &[("Weight", "3")]).await["Weight"], 3);
    let urls = |name: &str| -> Vec<String> {
        (0..12).map(|n| origin.url(&format!("/held/{name}{n}.mp4"))).collect()
    };
    one.submit(&urls("one")).await;
    press.submit(&urls("press")).await;
    let server = server.restart_with(|c| c.transfers = 8).await;
    let asked =
        |name: &str| (0..12).filter(|n| origin.seen(&format!("/held/{name}{n}.mp4")) > 0).count();
    // Seven run; of the reserve's one slot neither may have more.
    until("all run that may", SOON, || async {
        (asked("one") + asked("press") == 7).then_some(())
    })
    .await;
    assert_eq!((asked("one"), asked("press")), (2, 5));
    drop(server);
    for (value, code) in [
        ("0", "InvalidParameter.Weight"),
        ("101", "InvalidParameter.Weight"),
        ("x", "InvalidParameter.Weight"),
    ] {
        let params = [("AccountName", "press"), ("Weight", value)];
        let fault = wire::action::Request::parse(
            wire::spec::operation("UpdateAccount").unwrap(),
            &wire::params::Params::from_pairs(params),
        );
        assert_eq!(fault.unwrap_err().code_text(), code, "{value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_takes_jobs_in_and_starts_none() {
    let origin = Origin::start().await;
    let server = Server::start().await;
    let (operator, press) = (server.client(), server.other_account("press").await);
    let held = press.submit(&[origin.url("/held/a.mp4")]).await;
    until("it runs", SOON, || async { (origin.seen("/held/a.mp4") == 1).then_some(()) }).await;
    assert_eq!(change(&operator, "press", &[("Paused", "true")]).await["Paused"], true);
    assert_eq!(account(&operator, "press").await["Paused"], true);
    assert_eq!(account(&operator, "default").await["Paused"], false);

    let urls = [origin.url("/good/b.mp4"), origin.url("/good/c.mp4")];
    let waiting = press.submit(&urls).await;
    // Others go on, and what ran before ends.
    let own = operator.submit(&[origin.url("/good/own.mp4")]).await;
    assert_eq!(operator.terminal(&own[0]).await["Status"], "SUCCESS");
    origin.open_gate();
    assert_eq!(press.terminal(&held[0]).await["Status"], "SUCCESS");
    let (load, queue) = statistics(&press).await;
    assert_eq!((&load["Paused"], &load["Pending"]), (&json!(true), &json!(2)), "{load}");
    assert!(queue.get("OldestReadySeconds").is_none(), "{queue}");
    let canceled = press.call("CancelUrlUploadJobs", &[("JobIds", &waiting[1])]).await.ok();
    assert_eq!(canceled["CanceledJobs"], json!([waiting[1]]));
    let asked = [("JobIds", waiting[0].as_str()), ("IncludePosition", "true")];
    let reply = press.call("GetURLUploadInfos", &asked).await.ok();
    let place = &reply["URLUploadInfoList"][0]["QueuePlace"];
    assert_eq!((&place["Paused"], &place["Position"]), (&json!(true), &json!(1)), "{reply}");
    assert_eq!(origin.seen("/good/b.mp4"), 0);

    change(&operator, "press", &[("Paused", "false")]).await;
    assert_eq!(press.terminal(&waiting[0]).await["Status"], "SUCCESS");
    assert_eq!(origin.seen("/good/c.mp4"), 0, "a cancelled job makes no request");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_an_operator_weighs_or_pauses() {
    let server = Server::start().await;
    let press = server.other_account("press").await;
    for what in [("Weight", "100"), ("Paused", "true"), ("Enabled", "true")] {
        let refused = press.call("UpdateAccount", &[("AccountName", "press"), what]).await;
        assert_eq!(refused.code(), "Forbidden.RAM");
    }
    let nothing = server.client().call("UpdateAccount", &[("AccountName", "press")]).await;
    assert_eq!(nothing.code(), "MissingParameter");
    // One may pause oneself: the queue alone stands still.
    let own = change(&server.client(), "default", &[("Paused", "true"), ("Weight", "7")]).await;
    assert_eq!((&own["Paused"], &own["Weight"]), (&json!(true), &json!(7)));
}

fn script(head: &str, gate: &watch::Receiver<bool>, port: u16) -> Vec<Step> {
    let whole = || {
        let fields = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: {}\r\n\r\n",
            SAMPLE.len()
        );
        vec![send(fields), send(SAMPLE)]
    };
    if head.contains("/held/") {
        [vec![Step::Gate(gate.clone())], whole()].concat()
    } else if head.contains("/leads/") {
        let fields = format!(
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.7.1:{port}/held/x.mp4\r\n\
             Content-Length: 0\r\n\r\n"
        );
        vec![send(fields)]
    } else {
        whole()
    }
}

/// An origin of many hosts: it listens on every address of the loopback network.
async fn many_hosts() -> (FaultOrigin, watch::Sender<bool>) {
    let (gate, shut) = watch::channel(false);
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let script: Script = Arc::new(move |_, head| script(head, &shut, port));
    (FaultOrigin::start_on(listener, Speech::Http, script), gate)
}

/// The paths asked for, in order.
fn paths(origin: &FaultOrigin) -> Vec<String> {
    let seen = origin.seen.lock().unwrap();
    let path = |head: &str| head.split(' ').nth(1).unwrap_or_default().to_owned();
    seen.heads.iter().map(|(head, _)| path(head)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn urgent_jobs_of_an_account_go_first() {
    let (origin, _gate) = many_hosts().await;
    let server = Server::start_with(|c| c.transfers = 0).await;
    let client = server.client();
    let url = |name: &str| format!("http://127.0.0.1:{}/{name}.mp4", origin.at.port());
    let names = ["low", "normal", "high"];
    let metadata: Vec<Value> =
        names.iter().map(|name| json!({ "SourceURL": url(name), "Priority": name })).collect();
    let urls = url_list(&names.map(url));
    let metadata = Value::from(metadata).to_string();
    let params = [("UploadURLs", urls.as_str()), ("UploadMetadatas", &metadata)];
    let reply = client.call("UploadMediaByURL", &params).await.ok();
    let ids: Vec<String> =
        (0..3).map(|n| reply["UploadJobs"][n]["JobId"].as_str().unwrap().to_owned()).collect();
    let bad = metadata.replace("\"low\"", "\"lowest\"");
    let refused =
        client.call("UploadMediaByURL", &[("UploadURLs", &urls), ("UploadMetadatas", &bad)]).await;
    assert_eq!(refused.code(), "InvalidParameter.UploadMetadatas");

    let server = server.restart_with(|c| c.transfers = 1).await;
    let client = server.client();
    for id in &ids {
        assert_eq!(client.terminal(id).await["Status"], "SUCCESS");
    }
    assert_eq!(paths(&origin), ["/high.mp4", "/normal.mp4", "/low.mp4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_in_line_tells_of_the_own_account_alone() {
    let origin = Origin::start().await;
    let server = Server::start_with(|c| c.transfers = 0).await;
    let (one, press) = (server.client(), server.other_account("press").await);
    let urls: Vec<String> = (0..20).map(|n| origin.url(&format!("/good/{n}.mp4"))).collect();
    press.submit(&urls).await;
    let ids = one.submit(&urls[..6]).await;
    let asked = [("JobIds", ids.join(",")), ("IncludePosition", "true".to_owned())];
    let asked = [("JobIds", asked[0].1.as_str()), ("IncludePosition", "true")];
    let infos = one.call("GetURLUploadInfos", &asked).await.ok()["URLUploadInfoList"].clone();
    let expected = |n: usize| json!({ "Position": n + 1, "PositionIsExact": true, "Priority": "normal", "Paused": false });
    for (n, info) in infos.as_array().unwrap().iter().enumerate() {
        assert_eq!(info["QueuePlace"], expected(n), "nothing ended yet, so there is no estimate");
    }
    assert!(one.info(&ids[0]).await.get("QueuePlace").is_none(), "only if asked for");
    let list = one.call("ListUrlUploadJobs", &[("IncludePosition", "true")]).await.ok();
    assert_eq!(list["URLUploadInfoList"][0]["QueuePlace"], expected(5), "newest first");

    // With a past there is an estimate, for the own line alone.
    let server = server.restart_with(|c| c.transfers = 4).await;
    let (one, press) = (server.client(), Client { address: server.client().address, ..press });
    for id in &ids {
        assert_eq!(one.terminal(id).await["Status"], "SUCCESS");
    }
    let done = one.call("GetURLUploadInfos", &asked).await.ok()["URLUploadInfoList"][0].clone();
    assert!(done.get("QueuePlace").is_none(), "{done}");
    let server = server.restart_with(|c| c.transfers = 0).await;
    let one = server.client();
    let id = one.submit(&[origin.url("/good/next.mp4")]).await.remove(0);
    let asked = [("JobIds", id.as_str()), ("IncludePosition", "true")];
    let reply = one.call("GetURLUploadInfos", &asked).await.ok();
    let place = &reply["URLUploadInfoList"][0]["QueuePlace"];
    assert_eq!(place["Position"], 1, "{place}");
    let seconds = place["EstimatedSeconds"].as_u64().unwrap();
    assert!(seconds <= 15 * 60, "six ended in the last minutes: {place}");
    // An operator sees each job's place in its own account's line.
    drop(press);
    let all = [("Account", "*"), ("IncludePosition", "true"), ("Status", "PENDING")];
    let list = one.call("ListUrlUploadJobs", &all).await.ok()["URLUploadInfoList"].clone();
    for info in list.as_array().unwrap().iter().filter(|info| info["Account"] == "default") {
        assert_eq!(info["QueuePlace"]["Position"], 1, "{info}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_full_host_stay_pending_and_hold_up_no_other() {
    let (origin, gate) = many_hosts().await;
    let port = origin.at.port();
    let server = Server::start_with(|c| (c.transfers, c.per_host) = (8, 1)).await;
    let client = server.client();
    let full: Vec<String> =
        (0..5).map(|n| format!("http://127.0.7.1:{port}/held/{n}.mp4")).collect();
    let full = client.submit(&full).await;
    until("the host's only place is taken", SOON, || async { (origin.asked() == 1).then_some(()) })
        .await;
    let free = client.submit(&[format!("http://127.0.7.2:{port}/free.mp4")]).await;
    assert_eq!(client.terminal(&free[0]).await["Status"], "SUCCESS");
    for id in &full[1..] {
        assert_eq!(client.status(id).await, "PENDING");
    }
    let canceled = client.call("CancelUrlUploadJobs", &[("JobIds", &full[4])]).await.ok();
    assert_eq!(canceled["CanceledJobs"], json!([full[4]]));
    gate.send_replace(true);
    for id in &full[..4] {
        assert_eq!(client.terminal(id).await["Status"], "SUCCESS");
    }
    assert_eq!(origin.asked(), 5, "nobody asked while the host was full");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_a_full_host_costs_neither_a_slot_nor_an_attempt() {
    let (origin, gate) = many_hosts().await;
    let port = origin.at.port();
    // One slot of three is the reserve's.
    let server = Server::start_with(|c| (c.transfers, c.per_host) = (3, 1)).await;
    let client = server.client();
    let held = client.submit(&[format!("http://127.0.7.1:{port}/held/a.mp4")]).await;
    until("the place is taken", SOON, || async { (origin.asked() == 1).then_some(()) }).await;
    let led = client.submit(&[format!("http://127.0.7.2:{port}/leads/b.mp4")]).await;
    let asked = [("JobIds", led[0].as_str()), ("IncludeAttempts", "true")];
    until("it was given back", SOON, || async {
        let reply = client.call("GetURLUploadInfos", &asked).await.ok();
        let attempts = reply["URLUploadInfoList"][0]["Attempts"].clone();
        (attempts[0]["Ending"] == "HandedBack").then_some(())
    })
    .await;
    let free = client.submit(&[format!("http://127.0.7.3:{port}/free.mp4")]).await;
    assert_eq!(client.terminal(&free[0]).await["Status"], "SUCCESS", "its slot is free");
    gate.send_replace(true);
    for id in [&held[0], &led[0]] {
        assert_eq!(client.terminal(id).await["Status"], "SUCCESS");
    }
    let reply = client.call("GetURLUploadInfos", &asked).await.ok();
    let attempts = reply["URLUploadInfoList"][0]["Attempts"].as_array().unwrap().clone();
    let last = attempts.last().unwrap();
    assert_eq!((&last["Number"], &last["Ending"]), (&json!(1), &json!("Succeeded")), "{reply}");
}
