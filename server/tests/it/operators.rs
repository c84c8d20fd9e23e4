//! Who may look at what, and change what: operators, ordinary accounts, disabled ones and
//! strangers, over the wire.

use serde_json::Value;

use crate::harness::origin::Origin;
use crate::harness::process::Process;
use crate::harness::{Answer, Client, KEY_ID, SECRET, SOON, Server, until, url_list};

/// Every call of ours that is for operators alone, with what exists and what does not.
const OPERATORS_ONLY: [(&str, &[(&str, &str)]); 11] = [
    ("ListAccounts", &[]),
    ("CreateAccount", &[("AccountName", "fresh")]),
    ("CreateAccount", &[("AccountName", "default")]),
    ("UpdateAccount", &[("AccountName", "default"), ("Enabled", "false")]),
    ("UpdateAccount", &[("AccountName", "nobody"), ("Enabled", "false")]),
    ("CreateAccessKey", &[("AccountName", "default")]),
    ("CreateAccessKey", &[("AccountName", "nobody")]),
    ("UpdateAccessKey", &[("UserAccessKeyId", KEY_ID), ("Status", "Inactive")]),
    ("DeleteAccessKey", &[("UserAccessKeyId", KEY_ID)]),
    ("DeleteAccessKey", &[("UserAccessKeyId", "nobody")]),
    ("GetConfiguration", &[]),
];

/// Refused, and nothing in the answer but the RequestId tells one refusal from another.
#[track_caller]
fn forbidden(answer: &Answer) {
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "Forbidden.RAM"),
        "{}",
        answer.text()
    );
    let message = answer.json()["Message"].as_str().unwrap().to_owned();
    assert!(message.ends_with("or this API doesn't support RAM."), "{message}");
}

fn request_id(answer: &Answer) -> String {
    answer.json()["RequestId"].as_str().unwrap().to_owned()
}

fn names<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|row| row[field].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_account_is_refused_alike_whatever_exists() {
    let server = Server::start().await;
    let other = server.other_account("other").await;
    for (action, params) in OPERATORS_ONLY {
        forbidden(&other.call(action, params).await);
    }
    for action in ["ListUrlUploadJobs", "GetUploadStatistics", "ListAccessKeys", "GetPlayInfo"] {
        for account in ["default", "nobody", "*", " other", "OTHER"] {
            forbidden(&other.call(action, &[("Account", account)]).await);
        }
    }
    let jobs = [("JobIds", "0123456789abcdef0123456789abcdef")];
    other.call("GetURLUploadInfos", &[jobs[0], ("Account", "other")]).await.ok();
    other.call("ListAccessKeys", &[("Account", "")]).await.ok();
    // Nothing of it happened.
    let accounts = server.client().call("ListAccounts", &[]).await.ok()["Accounts"].clone();
    assert_eq!(names(&accounts, "Name"), ["default", "other"]);
    assert_eq!(accounts[0]["Operator"], true);
    assert_eq!(accounts[1]["Operator"], false);
    assert_eq!(accounts[0]["Enabled"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_acts_for_an_account_that_it_names() {
    let server = Server::start_with(|c| c.transfers = 0).await;
    let operator = server.client();
    let other = server.other_account("other").await;
    let mine = operator.submit(&["http://media.example/a.mp4".to_owned()]).await;
    let theirs = other.submit(&["http://media.example/b.mp4".to_owned()]).await;
    let list = url_list(&["http://media.example/c.mp4".to_owned()]);
    let for_them = [("UploadURLs", &*list), ("Account", "other")];
    let made = operator.call("UploadMediaByURL", &for_them).await.ok();
    let made = made["UploadJobs"][0]["JobId"].as_str().unwrap().to_owned();

    let jobs = |answer: &Answer| {
        let list = answer.ok()["URLUploadInfoList"].clone();
        names(&list, "JobId").into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(jobs(&other.call("ListUrlUploadJobs", &[]).await), [&*made, &theirs[0]]);
    let listed = operator.call("ListUrlUploadJobs", &[("Account", "other")]).await;
    assert_eq!(jobs(&listed), [&*made, &theirs[0]]);
    assert_eq!(jobs(&operator.call("ListUrlUploadJobs", &[]).await), [&*mine[0]]);
    let all = operator.call("ListUrlUploadJobs", &[("Account", "*")]).await;
    let accounts = all.ok()["URLUploadInfoList"].clone();
    assert_eq!(jobs(&all), [&*made, &theirs[0], &mine[0]]);
    assert_eq!(names(&accounts, "Account"), ["other", "other", "default"]);

    // Without the name, another's job does not exist, for an operator either.
    let ids = [("JobIds", &*theirs[0])];
    let blind = operator.call("CancelUrlUploadJobs", &ids).await.ok();
    assert_eq!(blind["NonExists"][0], *theirs[0]);
    let seen = operator.call("CancelUrlUploadJobs", &[ids[0], ("Account", "other")]).await.ok();
    assert_eq!(seen["CanceledJobs"][0], *theirs[0]);
    let blind = other.call("CancelUrlUploadJobs", &[("JobIds", &*mine[0])]).await.ok();
    assert_eq!(blind["NonExists"][0], *mine[0]);

    for (action, account) in
        [("GetPlayInfo", "*"), ("UploadMediaByURL", "*"), ("ListUrlUploadJobs", "no")]
    {
        let refused = operator.call(action, &[("Account", account)]).await;
        assert_eq!(refused.code(), "InvalidParameter.Account", "{action} {account}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_and_keys_are_made_disabled_and_deleted() {
    let server = Server::start().await;
    let operator = server.client();
    let made = operator.call("CreateAccount", &[("AccountName", "press")]).await.ok();
    assert_eq!(made["Account"]["Name"], "press");
    assert_eq!(made["Account"]["Operator"], false);
    for name in ["press", "a b", "*", &"x".repeat(65)] {
        let refused = operator.call("CreateAccount", &[("AccountName", name)]).await;
        assert_eq!(refused.code(), "InvalidParameter.AccountName", "{name}");
    }
    let key = operator.call("CreateAccessKey", &[("AccountName", "press")]).await.ok();
    let (id, secret) =
        (key["AccessKeyId"].as_str().unwrap(), key["AccessKeySecret"].as_str().unwrap());
    let press = Client::new(operator.address, id, secret);
    let keys = press.call("ListAccessKeys", &[]).await.ok()["AccessKeys"].clone();
    assert_eq!(names(&keys, "AccessKeyId"), [id]);
    assert_eq!(names(&keys, "Status"), ["Active"]);
    let keys = operator.call("ListAccessKeys", &[("Account", "*")]).await;
    assert!(!keys.text().contains(secret));
    assert_eq!(names(&keys.ok()["AccessKeys"], "Account"), ["default", "press"]);

    let refused_with = |code: &'static str| {
        let press = press.clone();
        until(code, SOON, move || {
            let press = press.clone();
            async move { (press.call("ListAccessKeys", &[]).await.code() == code).then_some(()) }
        })
    };
    let set = |enabled| [("AccountName", "press"), ("Enabled", enabled)];
    let changed = operator.call("UpdateAccount", &set("false")).await.ok();
    assert_eq!(changed["Account"]["Enabled"], false);
    refused_with("Forbidden.RAM").await;
    operator.call("UpdateAccount", &set("true")).await.ok();
    refused_with("").await;
    let status = |status| [("UserAccessKeyId", id), ("Status", status)];
    operator.call("UpdateAccessKey", &status("Inactive")).await.ok();
    refused_with("InvalidAccessKeyId.Inactive").await;
    operator.call("UpdateAccessKey", &status("Active")).await.ok();
    refused_with("").await;
    operator.call("DeleteAccessKey", &[("UserAccessKeyId", id)]).await.ok();
    refused_with("InvalidAccessKeyId.NotFound").await;
    let gone = operator.call("DeleteAccessKey", &[("UserAccessKeyId", id)]).await;
    assert_eq!(gone.code(), "InvalidParameter.UserAccessKeyId");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_cannot_lock_itself_out() {
    let server = Server::start().await;
    let operator = server.client();
    let disable = [("AccountName", "default"), ("Enabled", "false")];
    // Not by way of acting for another account either.
    operator.call("CreateAccount", &[("AccountName", "press")]).await.ok();
    for account in ["", "press"] {
        let own = [disable[0], disable[1], ("Account", account)];
        let refused = operator.call("UpdateAccount", &own).await;
        assert_eq!(refused.code(), "InvalidParameter.AccountName");
        let key = ("UserAccessKeyId", KEY_ID);
        let off = [key, ("Status", "Inactive"), ("Account", account)];
        let refused = operator.call("UpdateAccessKey", &off).await;
        assert_eq!(refused.code(), "InvalidParameter.UserAccessKeyId");
        let refused = operator.call("DeleteAccessKey", &[key, ("Account", account)]).await;
        assert_eq!(refused.code(), "InvalidParameter.UserAccessKeyId");
    }
    operator
        .call("UpdateAccessKey", &[("UserAccessKeyId", KEY_ID), ("Status", "Active")])
        .await
        .ok();
    // With another operator it is one account less.
    operator.call("CreateAccount", &[("AccountName", "second"), ("Operator", "true")]).await.ok();
    let key = operator.call("CreateAccessKey", &[("AccountName", "second")]).await.ok();
    let (id, secret) = (&key["AccessKeyId"], &key["AccessKeySecret"]);
    let second = Client::new(operator.address, id.as_str().unwrap(), secret.as_str().unwrap());
    second.call("UpdateAccount", &disable).await.ok();
    let listed = || async {
        let answer = operator.call("ListAccounts", &[]).await;
        (answer.status != 200).then_some(answer)
    };
    forbidden(&until("the account is disabled", SOON, listed).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_found_by_whose_key_it_names_and_by_operators() {
    let server = Server::start().await;
    let operator = server.client();
    let (one, two) = (server.other_account("one").await, server.other_account("two").await);
    let forged = Client::new(one.address, &one.key_id, "another secret");
    let stranger = Client::new(one.address, "nokey", "nosecret");
    let asked = one.call("GetPlayInfo", &[("VideoId", "x?secret=hush")]).await;
    let wrong = forged.call("GetPlayInfo", &[("VideoId", "x?secret=hush")]).await;
    let strange = stranger.call("ListAccounts", &[]).await;
    let unsigned = one.get("/?Action=GetPlayInfo&VideoId=hush", &[]).await;

    let look = |client: &Client, id: &str| {
        let (client, id) = (client.clone(), id.to_owned());
        async move { client.call("GetRequestRecord", &[("Id", &id)]).await }
    };
    let record = look(&one, &request_id(&asked)).await.ok()["Record"].clone();
    assert_eq!(record["Operation"], "GetPlayInfo");
    assert_eq!(record["AccessKeyId"], one.key_id);
    assert_eq!(record["Account"], "one");
    assert_eq!(record["Status"], 404);
    assert_eq!(record["ErrorCode"], "InvalidVideo.NotFound");
    assert_eq!(record["SourceIp"], "127.0.0.1");
    assert_eq!(record["Scheme"], "V3");
    let record = look(&one, &request_id(&wrong)).await;
    assert_eq!(record.ok()["Record"]["ErrorCode"], "SignatureDoesNotMatch");
    assert!(!record.text().contains("hush"), "{}", record.text());

    // Another's, a stranger's and one that never was look the same.
    let never = "00000000-0000-4000-8000-000000000000".to_owned();
    let unsigned =
        unsigned.text().split("RequestId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let mut refusals = Vec::new();
    for id in [&request_id(&asked), &request_id(&wrong), &request_id(&strange), &unsigned, &never] {
        let mut answer = look(&two, id).await.json();
        answer.as_object_mut().unwrap().remove("RequestId");
        answer.as_object_mut().unwrap().remove("Recommend");
        refusals.push(answer);
    }
    assert_eq!(refusals[0]["Code"], "InvalidRequestId.NotFound");
    assert!(refusals.windows(2).all(|two| two[0] == two[1]), "{refusals:?}");

    for (id, operation, account) in [
        (request_id(&asked), "GetPlayInfo", Some("one")),
        (request_id(&strange), "ListAccounts", None),
        (unsigned, "GetPlayInfo", None),
    ] {
        let record = look(&operator, &id).await.ok()["Record"].clone();
        assert_eq!(record["Account"].as_str(), account, "{record}");
        let named = record["Operation"].as_str().unwrap();
        assert!(named == operation || named == "unknown", "{record}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_searched_by_code_url_and_time_and_tell_their_attempts() {
    let origin = Origin::start().await;
    let server = Server::start().await;
    let client = server.client();
    let good = origin.url("/good/first.mp4");
    let gone = origin.url("/gone/second.mp4");
    let ids = client.submit(&[good.clone(), gone]).await;
    for id in &ids {
        client.terminal(id).await;
    }
    let found = |params: Vec<(&'static str, String)>| {
        let client = client.clone();
        async move {
            let params: Vec<(&str, &str)> = params.iter().map(|(n, v)| (*n, &**v)).collect();
            let list =
                client.call("ListUrlUploadJobs", &params).await.ok()["URLUploadInfoList"].clone();
            names(&list, "JobId").into_iter().map(str::to_owned).collect::<Vec<_>>()
        }
    };
    let failed = client.info(&ids[1]).await;
    let code = failed["ErrorCode"].as_str().unwrap().to_owned();
    assert_eq!(found(vec![("ErrorCode", code)]).await, [&*ids[1]]);
    assert_eq!(found(vec![("ErrorCode", "InternalError.Never".to_owned())]).await, [""; 0]);
    assert_eq!(found(vec![("UploadURL", "/first.mp".to_owned())]).await, [&*ids[0]]);
    assert_eq!(found(vec![("UploadURL", "/FIRST.mp".to_owned())]).await, [""; 0]);
    let created = client.info(&ids[0]).await["CreationTime"].as_str().unwrap().to_owned();
    let before = "2001-01-01T00:00:00Z".to_owned();
    assert_eq!(
        found(vec![("EndTime", created.clone()), ("UploadURL", "/first".to_owned())]).await,
        [""; 0]
    );
    assert_eq!(
        found(vec![("StartTime", created), ("UploadURL", "/first".to_owned())]).await,
        [&*ids[0]]
    );
    assert_eq!(found(vec![("EndTime", before)]).await, [""; 0]);

    let asked = [("JobIds", ids.join(",")), ("IncludeAttempts", "true".to_owned())];
    let asked = [("JobIds", &*asked[0].1), ("IncludeAttempts", &*asked[1].1)];
    let infos = client.call("GetURLUploadInfos", &asked).await.ok()["URLUploadInfoList"].clone();
    for info in infos.as_array().unwrap() {
        let attempts = info["Attempts"].as_array().unwrap();
        let last = attempts.last().unwrap();
        let (ending, code) = if info["Status"] == "SUCCESS" {
            ("Succeeded", None)
        } else {
            ("Failed", info["ErrorCode"].as_str())
        };
        assert_eq!(last["Ending"], ending, "{info}");
        assert_eq!(last["ErrorCode"].as_str(), code, "{info}");
        assert_eq!(last["Number"], attempts.len());
    }
    assert!(client.info(&ids[0]).await.get("Attempts").is_none(), "only if asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_are_the_accounts_own_or_for_operators_everybodys() {
    let server = Server::start_with(|c| c.transfers = 0).await;
    let operator = server.client();
    let other = server.other_account("other").await;
    operator.submit(&["http://media.example/a.mp4".to_owned()]).await;
    let urls: Vec<String> = (0..3).map(|n| format!("http://media.example/{n}.mp4")).collect();
    other.submit(&urls).await;

    let accepted = |reply: &Value| {
        let points = reply["Points"].as_array().unwrap();
        points.iter().map(|point| point["Accepted"].as_u64().unwrap()).sum::<u64>()
    };
    let own = other.call("GetUploadStatistics", &[]).await.ok();
    assert_eq!(own["Queue"]["Pending"], 3);
    assert_eq!(accepted(&own), 3);
    assert_eq!(names(&own["Accounts"], "Account"), ["other"]);
    assert!(own.get("Node").is_none(), "the node is for operators");
    assert!(own.get("Nodes").is_none(), "and so are the others");
    let all =
        operator.call("GetUploadStatistics", &[("Account", "*"), ("Minutes", "5")]).await.ok();
    assert_eq!(all["Queue"]["Pending"], 4);
    assert_eq!(accepted(&all), 4);
    assert_eq!(all["Points"].as_array().unwrap().len(), 5);
    assert_eq!(names(&all["Accounts"], "Account"), ["default", "other"]);
    assert_eq!(all["Node"]["TransferLimit"], 0);
    // On a database of its own a node is alone, and there.
    let nodes = all["Nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 1);
    assert_eq!(nodes[0]["Address"], server.node().address().to_string());
    assert_eq!((&nodes[0]["State"], &nodes[0]["IsThis"]), (&"Ready".into(), &true.into()));
    assert_eq!(all["Node"]["Storage"][0]["Kind"], "file");
    assert!(all["Node"]["MemoryBytes"].as_u64().unwrap() > 1 << 20);
    let mine = operator.call("GetUploadStatistics", &[]).await.ok();
    assert_eq!(mine["Queue"]["Pending"], 1);
    // What was answered a moment ago to an operator is not shown to somebody else.
    let own = other.call("GetUploadStatistics", &[("Minutes", "5")]).await.ok();
    assert_eq!((&own["Queue"]["Pending"], own.get("Node")), (&Value::from(3), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_is_told_with_its_sources_and_without_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start_with(dir.path(), |c| {
        c.env("HAULAGE_TRANSFERS", "3");
    });
    let answer = server.client().call("GetConfiguration", &[]).await;
    assert!(!answer.text().contains(SECRET), "{}", answer.text());
    let settings = answer.ok()["Settings"].clone();
    let setting = |name: &str| {
        let rows = settings.as_array().unwrap();
        rows.iter().find(|row| row["Name"] == name).unwrap_or_else(|| panic!("{name}")).clone()
    };
    assert_eq!(setting("transfers")["Value"], "3");
    assert_eq!(setting("transfers")["From"], "environment");
    assert_eq!(setting("attempts")["From"], "default");
    assert!(setting("access_key_secret")["Value"].as_str().unwrap().contains("hidden"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_of_the_console_is_for_whoever_signs() {
    let server = Server::start().await;
    let other = server.other_account("other").await;
    let answer = other.call("CreateConsoleSession", &[]).await.ok();
    let ticket = answer["Ticket"].as_str().unwrap();
    assert!(ticket.len() > 64 && ticket.bytes().all(|b| b.is_ascii_hexdigit()), "{ticket}");
    assert!(answer["ExpireTime"].as_str().unwrap().ends_with('Z'));
}
