//! Campaign K21: two accounts. Every parameter of every operation is given everything that another
//! account owns, and beside it the like of it that nobody owns: the answers must be the same, and what
//! is owned must stay as it is.

use std::collections::BTreeSet;

use haulage::door::random;
use serde_json::Value;
use wire::spec::{Access, Kind, OPERATIONS, Operation, Parameter};

use crate::harness::origin::Origin;
use crate::harness::{Answer, Client, SOON, Server, ledger, until, url_list};

/// Something that is owned, and the like of it that nobody owns.
#[derive(Clone, Debug)]
struct Pair {
    what: &'static str,
    owned: String,
    unknown: String,
}

/// Calls that take more than one parameter to name what is owned.
const TOGETHER: [(&str, &str); 3] = [
    ("UploadMediaByURL", "SessionId"),
    ("UploadMediaByURL", "UploadMetadatas"),
    ("GetURLUploadInfos", "UploadURLs"),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_another_account_owns_is_as_unknown_as_what_nobody_owns() {
    let origin = Origin::start().await;
    let server = Server::start_with(|c| {
        c.transfers = 2;
        // One account is to have both.
        c.reserve = Some(0);
        for operation in OPERATIONS {
            c.qps.insert(operation.action.into(), 0);
        }
    })
    .await;
    let owner = server.other_account("north").await;
    let stranger = server.other_account("south").await;
    let pairs = owned_things(&owner, &origin).await;
    let before = standing(&owner, &pairs).await;
    let (mut asked, mut answered) = (0, BTreeSet::new());
    let mut differences = Vec::new();
    // What the stranger makes comes last: afterwards some of it would be its own.
    let (making, looking): (Vec<_>, Vec<_>) =
        OPERATIONS.iter().partition(|operation| operation.access == Access::Create);
    for operation in looking.into_iter().chain(making) {
        for parameter in operation.parameters {
            for pair in pairs.iter().filter(|pair| fits(pair, parameter)) {
                let owned = ask(&stranger, operation, parameter, &pair.owned).await;
                let unknown = ask(&stranger, operation, parameter, &pair.unknown).await;
                let context =
                    format!("{} {}={} of another", operation.action, parameter.name, pair.what);
                if let Some(how) = difference(pair, &owned, &unknown) {
                    differences.push(format!("{context}: {how}"));
                }
                hides(&context, &pairs, &pair.owned, &owned);
                asked += 1;
                if owned.status == 200 {
                    answered.insert((operation.action, parameter.name));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
    for (action, parameter) in TOGETHER {
        assert!(answered.contains(&(action, parameter)), "{action} {parameter} was only refused");
    }
    assert_eq!(standing(&owner, &pairs).await, before, "nothing that is owned has changed");
    ledger::enter(
        "K21",
        None,
        &[("pairs of calls", asked), ("parameters answered", answered.len())],
    );
    origin.open_gate();
}

/// One of everything that an account can own.
async fn owned_things(owner: &Client, origin: &Origin) -> Vec<Pair> {
    let stored = origin.url("/good/stored.mp4");
    let metadata = serde_json::json!([{
        "SourceURL": stored, "Title": "mine", "ReferenceId": "reference-of-mine"
    }]);
    let params = [
        ("UploadURLs", url_list(std::slice::from_ref(&stored))),
        ("UploadMetadatas", metadata.to_string()),
        ("SessionId", "session-of-mine".to_owned()),
    ];
    let params: Vec<(&str, &str)> = params.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let answer = owner.call("UploadMediaByURL", &params).await;
    let request = answer.ok()["RequestId"].as_str().unwrap().to_owned();
    let success = answer.json()["UploadJobs"][0]["JobId"].as_str().unwrap().to_owned();
    let info = owner.terminal(&success).await;
    assert_eq!(info["Status"], "SUCCESS", "{info}");
    let media = info["MediaId"].as_str().unwrap().to_owned();
    let failed_url = origin.url("/gone/failed.mp4");
    let failed = owner.submit(std::slice::from_ref(&failed_url)).await.remove(0);
    owner.terminal(&failed).await;
    // Both places are taken, so that the next one waits.
    let held = [origin.url("/held/a.mp4"), origin.url("/held/b.mp4")];
    let running = owner.submit(&held).await.remove(0);
    until("both places are taken", SOON, || async {
        (origin.seen("/held/a.mp4") + origin.seen("/held/b.mp4") == 2).then_some(())
    })
    .await;
    let waiting_url = origin.url("/good/waiting.mp4");
    let waiting = owner.submit(std::slice::from_ref(&waiting_url)).await.remove(0);
    let id = || hex::encode(random::bytes::<16>());
    let url = |name: &str| origin.url(&format!("/good/{name}.mp4"));
    let reference = |reference: &str| {
        let metadata = serde_json::json!([{ "SourceURL": url("plain"), "ReferenceId": reference }]);
        metadata.to_string()
    };
    let pair = |what, owned: &str, unknown: String| Pair { what, owned: owned.to_owned(), unknown };
    vec![
        pair("the job that waits", &waiting, id()),
        pair("the job that runs", &running, id()),
        pair("the job that is stored", &success, id()),
        pair("the job that failed", &failed, id()),
        pair("the medium", &media, id()),
        pair("the URL that waits", &waiting_url, url("unknown-1")),
        pair("the URL that is stored", &stored, url("unknown-2")),
        pair("the URL that failed", &failed_url, url("unknown-3")),
        pair("the reference", "reference-of-mine", "reference-of-none".into()),
        pair(
            "metadata with the reference",
            &reference("reference-of-mine"),
            reference("reference-of-none"),
        ),
        pair("the session", "session-of-mine", "session-of-none".into()),
        pair("the request", &request, random::request_id()),
        pair("the key", &owner.key_id, random::alphanumeric(owner.key_id.len())),
        pair("the account", "north", "nobod".into()),
    ]
}

/// What the owner is told of it.
async fn standing(owner: &Client, pairs: &[Pair]) -> Vec<Value> {
    let mut told = Vec::new();
    for pair in pairs {
        let reply = match pair.what {
            what if what.contains("job") => {
                owner.call("GetURLUploadInfos", &[("JobIds", &pair.owned)]).await.ok()
            }
            "the medium" => {
                let params = [("VideoId", pair.owned.as_str())];
                owner.call("GetPlayInfo", &params).await.ok()["VideoBase"].clone()
            }
            "the reference" => {
                let params = [("ReferenceId", pair.owned.as_str())];
                owner.call("GetPlayInfo", &params).await.ok()["VideoBase"].clone()
            }
            _ => continue,
        };
        told.push(without_request_id(reply));
    }
    told
}

fn without_request_id(mut reply: Value) -> Value {
    if let Some(object) = reply.as_object_mut() {
        object.remove("RequestId");
    }
    reply
}

/// Whether a value can be meant for a parameter: metadata are for metadata alone.
fn fits(pair: &Pair, parameter: &Parameter) -> bool {
    !pair.owned.starts_with('[') || matches!(parameter.kind, Kind::Json { .. })
}

/// The stranger's call with one parameter given and the required others as in their examples.
async fn ask(
    stranger: &Client,
    operation: &Operation,
    parameter: &Parameter,
    value: &str,
) -> Answer {
    let mut params: Vec<(&str, String)> = operation
        .parameters
        .iter()
        .filter(|other| other.required && other.name != parameter.name)
        .map(|other| (other.name, other.example.to_owned()))
        .collect();
    let value = match parameter.kind {
        Kind::Urls { .. } => wire::percent::encode(value),
        // Well-formed, or the complaint would tell the form of it.
        Kind::Json { .. } if !value.starts_with('[') => serde_json::to_string(value).unwrap(),
        Kind::Text { .. }
        | Kind::Word { .. }
        | Kind::Integer { .. }
        | Kind::Boolean
        | Kind::Json { .. }
        | Kind::OneOf(_)
        | Kind::SomeOf(_)
        | Kind::List { .. }
        | Kind::Time
        | Kind::Url { .. } => value.to_owned(),
    };
    if parameter.name == "UploadMetadatas" {
        // Metadata belong to a URL of the call.
        let source = serde_json::from_str::<Value>(&value).ok();
        let url = source.and_then(|source| source[0]["SourceURL"].as_str().map(str::to_owned));
        params.extend(url.map(|url| ("UploadURLs", wire::percent::encode(&url))));
        params.reverse();
        params.dedup_by_key(|(name, _)| *name);
    }
    params.push((parameter.name, value));
    let params: Vec<(&str, &str)> = params.iter().map(|(n, v)| (*n, v.as_str())).collect();
    stranger.call(operation.action, &params).await
}

/// How the answers differ in status and words, the value itself and what is made anew for each call
/// aside.
fn difference(pair: &Pair, owned: &Answer, unknown: &Answer) -> Option<String> {
    let words = |answer: &Answer, value: &str| {
        let encoded = serde_json::to_string(value).unwrap();
        let text = answer.text().replace(encoded.trim_matches('"'), "VALUE");
        without_ids(&text.replace(value, "VALUE").replace(&wire::percent::encode(value), "VALUE"))
    };
    let owned = (owned.status, words(owned, &pair.owned));
    let unknown = (unknown.status, words(unknown, &pair.unknown));
    (owned != unknown).then(|| format!("{owned:?}, and not {unknown:?}"))
}

/// Nothing that is owned is in the answer, but what was asked with.
#[track_caller]
fn hides(context: &str, pairs: &[Pair], asked: &str, answer: &Answer) {
    let text = answer.text();
    for pair in pairs.iter().filter(|pair| !asked.contains(&pair.owned)) {
        // Names of accounts are words of the language.
        if pair.what != "the account" {
            assert!(!text.contains(&pair.owned), "{context}: {} is in {text}", pair.what);
        }
    }
}

/// Without ids and times, which every answer has of its own: runs of more than seven digits and
/// hexadecimal letters, and the digits of times.
fn without_ids(text: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars().chain(std::iter::once(' ')) {
        if c.is_ascii_alphanumeric() || c == '-' || c == ':' {
            word.push(c);
            continue;
        }
        let digits = word.chars().filter(char::is_ascii_digit).count();
        if word.len() >= 16 && digits >= 4 {
            out.push_str("ID")
        } else {
            out.push_str(&word)
        }
        word.clear();
        out.push(c);
    }
    out
}
