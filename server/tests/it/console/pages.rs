//! What the pages show, to whom, and that nothing on them acts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::browser::{Browser, attributes, form};
use crate::harness::origin::Origin;
use crate::harness::{Answer, Client, SOON, Server, until, url_list};

/// Pages that everybody has, and those that operators have.
const OPEN: [&str; 6] = [
    "/console",
    "/console/jobs",
    "/console/submit",
    "/console/media",
    "/console/keys",
    "/console/requests",
];
const OPERATORS: [&str; 2] = ["/console/accounts", "/console/configuration"];
/// Most pages that a crawl opens.
const CRAWLED: usize = 400;

/// Fails where a page could run or load what is not this server's.
#[track_caller]
fn is_hardened(path: &str, page: &Answer) {
    let html = page.text();
    let policy = page.header("content-security-policy").unwrap_or_else(|| panic!("{path}"));
    assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}");
    assert!(!html.contains(" style=\"") && !html.contains("<style"), "{path}: inline style");
    for tag in html.split("<script").skip(1) {
        assert!(tag.starts_with(" type=\"module\" src=\"/assets/"), "{path}: {tag:.60}");
    }
    for handler in [" onclick=", " onerror=", " onload="] {
        // Outside of values: every second piece between quotes is one.
        let tags = html.split('<').skip(1).filter_map(|tag| tag.split('>').next());
        let acts = |tag: &str| tag.split('"').step_by(2).any(|piece| piece.contains(handler));
        assert!(!tags.into_iter().any(acts), "{path}: {handler}");
    }
    let ids = attributes(html, "id");
    let distinct: BTreeSet<&String> = ids.iter().collect();
    assert_eq!(ids.len(), distinct.len(), "{path}: an id occurs twice in {ids:?}");
    for used in ["for", "aria-labelledby", "aria-describedby"] {
        for id in attributes(html, used).iter().flat_map(|ids| ids.split(' ')) {
            assert!(distinct.contains(&id.to_owned()), "{path}: {used} names no part: {id}");
        }
    }
    let is_watched = html.contains(" data-live-from=");
    assert_eq!(is_watched, html.contains("<!--live:"), "{path}: watched where something changes");
    assert!(html.contains("<main") && html.contains("<h1"), "{path}: landmarks");
}

/// Opens everything that pages link to, beginning at the console.
async fn crawl(browser: &Browser) -> BTreeMap<String, Answer> {
    let mut seen = BTreeMap::new();
    let mut ahead = VecDeque::from(["/console".to_owned()]);
    while let Some(path) = ahead.pop_front() {
        if seen.contains_key(&path) {
            continue;
        }
        assert!(seen.len() < CRAWLED, "the crawl ends");
        let page = browser.get(&path).await;
        assert!(page.status == 200 || page.status == 303, "{path}: {}", page.status);
        if path.starts_with("/console") && page.status == 200 {
            is_hardened(&path, &page);
            assert_eq!(page.header("cache-control"), Some("no-store"), "{path}");
        }
        let is_page = page.header("content-type").is_some_and(|t| t.starts_with("text/html"));
        // The explorer and the pages of single codes have their own tests.
        let is_ours = path.starts_with("/console") || path == "/errors" || path == "/errors/jobs";
        if is_page && is_ours {
            let links =
                attributes(page.text(), "href").into_iter().chain(attributes(page.text(), "src"));
            for link in links {
                let link = link.split('#').next().unwrap_or_default().to_owned();
                let link = link
                    .strip_prefix(&format!("http://{}", browser.client.address))
                    .map(str::to_owned)
                    .unwrap_or(link);
                assert!(link.is_empty() || link.starts_with('/'), "{path} links to {link}");
                if !link.is_empty() {
                    ahead.push_back(link);
                }
            }
        }
        seen.insert(path, page);
    }
    seen
}

/// A server with a job in every state.
async fn varied() -> (Server, Origin, Vec<String>) {
    let origin = Origin::start().await;
    let server = Server::start_with(|c| c.attempts = 1).await;
    let client = server.client();
    let ids = client.submit(&[origin.url("/good/film.mp4"), origin.url("/none/missing.mp4")]).await;
    for id in &ids {
        client.terminal(id).await;
    }
    (server, origin, ids)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_of_every_page_answers() {
    let (server, _origin, ids) = varied().await;
    server.other_account("press").await;
    let browser = Browser::signed_in(&server.client()).await;
    let seen = crawl(&browser).await;
    for path in OPEN.iter().chain(&OPERATORS) {
        assert!(seen.contains_key(*path), "{path} is reached");
    }
    for id in &ids {
        assert!(seen.contains_key(&format!("/console/jobs/{id}")), "{id} is reached");
    }
    assert!(seen.keys().any(|path| path.starts_with("/console/media/")));
    assert!(seen["/console"].text().contains("This node works alone"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_account_sees_its_own_things_and_no_page_of_operators() {
    let server = Server::start_with(|c| c.transfers = 0).await;
    let other = server.other_account("press").await;
    let foreign = server.client().submit(&["http://media.example/secret.mp4".to_owned()]).await;
    let own = other.submit(&["http://media.example/own.mp4".to_owned()]).await;
    let mut browser = Browser::signed_in(&other).await;
    let seen = crawl(&browser).await;
    for (path, page) in &seen {
        assert!(!page.text().contains("secret.mp4"), "{path}");
        assert!(!OPERATORS.contains(&path.as_str()), "{path} is not offered");
    }
    assert!(seen["/console/jobs"].text().contains("own.mp4"));
    assert!(!seen["/console"].text().contains("id=\"nodes\""), "nodes are for operators");
    for path in OPERATORS {
        assert_eq!(browser.get(path).await.status, 403, "{path}");
    }
    for query in ["?account=default", "?account=*", "?account=nobody"] {
        assert_eq!(browser.get(&format!("/console/jobs{query}")).await.status, 403, "{query}");
    }
    let page = format!("/console/jobs/{}", foreign[0]);
    assert_eq!(browser.get(&page).await.status, 404);
    assert_eq!(browser.get(&format!("{page}?account=default")).await.status, 403);
    // Not by a form either.
    let submit = form(browser.get("/console/submit").await.text(), "/console/submit");
    let token = submit.fields[0].1.as_str();
    let cancel = format!("{page}/cancel");
    for (action, fields, status) in [
        (cancel.as_str(), vec![("csrf", token)], 404),
        ("/console/accounts", vec![("csrf", token), ("name", "mine")], 403),
        ("/console/keys", vec![("csrf", token), ("account", "default")], 403),
    ] {
        assert_eq!(browser.post(action, &fields).await.status, status, "{action}");
    }
    assert_eq!(server.client().status(&foreign[0]).await, "PENDING");
    assert_eq!(other.status(&own[0]).await, "PENDING");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_send_is_shown_as_text() {
    let server = Server::start_with(|c| c.transfers = 0).await;
    let client = server.client();
    let mark = "<img src=x onerror=alert(1)>\"'&";
    let url = "http://media.example/<script>alert(2)</script>\".mp4";
    let title = format!("{mark}\u{202e}gpj");
    let metadatas =
        serde_json::json!([{ "SourceURL": wire::percent::encode(url), "Title": title }]);
    let data = format!("{{\"Extend\":{:?}}}", "</pre><script>alert(3)</script>");
    let list = url_list(&[url.to_owned()]);
    let params = [
        ("UploadURLs", list.as_str()),
        ("UploadMetadatas", &metadatas.to_string()),
        ("UserData", &data),
    ];
    let reply = client.call("UploadMediaByURL", &params).await.ok();
    let id = reply["UploadJobs"][0]["JobId"].as_str().unwrap().to_owned();
    let mut browser = Browser::signed_in(&client).await;
    let query = wire::percent::encode(mark);
    for path in [
        "/console/jobs".to_owned(),
        format!("/console/jobs/{id}"),
        format!("/console/jobs?q={query}&code={query}&from={query}&account=default"),
        format!("/console/jobs/{query}"),
        format!("/console/media?q={query}"),
        format!("/console/requests?id={query}"),
        format!("/console/submit?urls={query}"),
        format!("/console/nothing/{query}"),
        format!("/console?done={query}&minutes={query}"),
    ] {
        let page = browser.get(&path).await;
        is_hardened(&path, &page);
        let html = page.text();
        assert!(!html.contains("<img src=x") && !html.contains("<script>"), "{path}");
        assert!(!html.contains('\u{202e}'), "{path}: a sign that turns the text");
    }
    let page = browser.get(&format!("/console/jobs/{id}")).await;
    assert!(page.text().contains("⟨U+202E⟩gpj"), "it is shown as what it is");
    let refused = browser
        .fill_in("/console/submit", "/console/submit", &[("urls", mark), ("title", mark)])
        .await;
    assert_eq!(refused.status, 422);
    assert!(!refused.text().contains("<img src=x"));
    assert!(super::browser::unescaped(refused.text()).contains(mark), "what was typed is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_and_pages_find_every_job_once() {
    let server = Server::start_with(|c| c.transfers = 0).await;
    let client = server.client();
    for call in 0..6 {
        let urls: Vec<String> =
            (0..20).map(|n| format!("http://media.example/{call}-{n}.mp4")).collect();
        client.submit(&urls).await;
    }
    let browser = Browser::signed_in(&client).await;
    let mut found = Vec::new();
    let mut next = Some("/console/jobs?status=pending&q=media.example".to_owned());
    while let Some(path) = next {
        let page = browser.get(&path).await;
        assert_eq!(page.status, 200, "{path}");
        let ids = attributes(page.text(), "id").into_iter();
        found.extend(ids.filter(|id| id.starts_with("pick-")));
        let link = page.text().split("rel=\"next\" href=\"").nth(1);
        next = link.and_then(|rest| rest.split('"').next()).map(super::browser::unescaped);
        if let Some(next) = &next {
            assert!(next.contains("status=pending") && next.contains("q=media.example"), "{next}");
        }
    }
    let distinct: BTreeSet<&String> = found.iter().collect();
    assert_eq!((found.len(), distinct.len()), (120, 120));

    let shown = |page: Answer| {
        attributes(page.text(), "id").iter().filter(|id| id.starts_with("pick-")).count()
    };
    assert_eq!(shown(browser.get("/console/jobs?q=/3-7.mp4").await), 1);
    assert_eq!(shown(browser.get("/console/jobs?status=failed").await), 0);
    assert_eq!(shown(browser.get("/console/jobs?to=2020-01-01T00:00").await), 0);
    assert_eq!(shown(browser.get("/console/jobs?from=2020-01-01T00:00").await), 50);
    let bad = browser.get("/console/jobs?from=yesterday").await;
    assert!(bad.status == 200 && bad.text().contains("It was left out"));
    let id = found[0].strip_prefix("pick-").unwrap();
    let moved = browser.get(&format!("/console/jobs?q={id}")).await;
    assert_eq!(moved.header("location"), Some(format!("/console/jobs/{id}").as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_tells_why_and_is_submitted_again_as_it_was() {
    let (server, _origin, ids) = varied().await;
    let mut browser = Browser::signed_in(&server.client()).await;
    let page = browser.get(&format!("/console/jobs/{}", ids[1])).await;
    for text in ["URLInvalidError.HttpStatus", "What to do.", "Attempt 1 failed", "Accepted"] {
        assert!(page.text().contains(text), "{text}");
    }
    let again = form(page.text(), &format!("/console/jobs/{}/again", ids[1]));
    let moved = browser.send(&again, &[]).await;
    let path = moved.header("location").unwrap().to_owned();
    assert_ne!(path, format!("/console/jobs/{}?done=again", ids[1]));
    let new = browser.get(&path).await;
    assert!(new.text().contains("missing.mp4") && new.text().contains("this is the new job"));

    let good = browser.get(&format!("/console/jobs/{}", ids[0])).await;
    let source = attributes(good.text(), "src").into_iter().find(|src| src.contains("/media/"));
    let base = format!("http://{}", server.node().address());
    let played = browser.get(source.unwrap().strip_prefix(&base).unwrap()).await;
    assert_eq!(played.status, 200, "the player's address plays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_sent_twice_makes_its_jobs_once() {
    let server = Server::start_with(|c| c.transfers = 0).await;
    let mut browser = Browser::signed_in(&server.client()).await;
    let submit = form(browser.get("/console/submit").await.text(), "/console/submit");
    let urls = [("urls", "http://media.example/twice.mp4")];
    let first = browser.send(&submit, &urls).await;
    let second = browser.send(&submit, &urls).await;
    assert_eq!(first.status, 303, "{}", first.text());
    assert_eq!(first.header("location"), second.header("location"));
    let listed = server.client().call("ListUrlUploadJobs", &[]).await.ok();
    assert_eq!(listed["URLUploadInfoList"].as_array().unwrap().len(), 1);
    // Back at the form that was sent, something is changed: that is said, and can be sent.
    let changed = browser.send(&submit, &[("urls", "http://media.example/other.mp4")]).await;
    assert_eq!(changed.status, 422);
    assert!(changed.text().contains("This form was sent before"), "{}", changed.text());
    let offered = form(changed.text(), "/console/submit");
    let other = browser.send(&offered, &[("urls", "http://media.example/other.mp4")]).await;
    assert_eq!(other.status, 303, "{}", other.text());
    // The form of another visit is another call.
    let again = browser.fill_in("/console/submit", "/console/submit", &urls).await;
    assert_ne!(again.header("location"), first.header("location"));
}

async fn throttled(browser: &Browser) -> Answer {
    until("a page is throttled", SOON, || async {
        let page = browser.get("/console/jobs").await;
        (page.status == 429).then_some(page)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_page_says_when_to_try_again() {
    let server = Server::start_with(|c| {
        c.qps.insert("ListUrlUploadJobs".to_owned(), 1);
    })
    .await;
    let browser = Browser::signed_in(&server.client()).await;
    let page = throttled(&browser).await;
    assert!(page.text().contains("Try again in 1 s."), "{}", page.text());
    is_hardened("throttled", &page);
    // Its RequestId leads to the record.
    let record = attributes(page.text(), "href");
    let record = record.iter().find(|href| href.starts_with("/console/requests?id=")).unwrap();
    let record = browser.get(record).await;
    assert_eq!(record.status, 200);
    assert!(record.text().contains("Throttling.User") && record.text().contains("session"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_gets_a_page_that_says_so() {
    let server = Server::start().await;
    let browser = Browser::signed_in(&server.client()).await;
    server.node().store().close().await.unwrap();
    let page = browser.get("/console/jobs").await;
    assert_eq!(page.status, 503);
    assert!(page.text().contains("What was accepted before is safe"));
    is_hardened("down", &page);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_shown_once() {
    let server = Server::start().await;
    let mut browser = Browser::signed_in(&server.client()).await;
    let made = browser.fill_in("/console/keys", "/console/keys", &[("account", "default")]).await;
    assert_eq!((made.status, made.header("cache-control")), (200, Some("no-store")));
    let code = |id: &str| {
        let rest = made.text().split(&format!("id=\"{id}\">")).nth(1).unwrap();
        rest.split('<').next().unwrap().to_owned()
    };
    let (id, secret) = (code("new-id"), code("new-secret"));
    let client = Client::new(server.node().address(), &id, &secret);
    client.call("ListUrlUploadJobs", &[]).await.ok();
    let keys = browser.get("/console/keys").await;
    assert!(keys.text().contains(&id));
    for (path, page) in crawl(&browser).await {
        assert!(!page.body.windows(secret.len()).any(|w| w == secret.as_bytes()), "{path}");
    }
    // Deleting asks first.
    let delete = form(keys.text(), "/console/keys/delete");
    let sure = browser.send(&delete, &[]).await;
    assert_eq!(sure.status, 200);
    client.call("ListUrlUploadJobs", &[]).await.ok();
    let sure = form(sure.text(), "/console/keys/delete");
    assert_eq!(browser.send(&sure, &[]).await.status, 303);
    until("the key is gone", SOON, || async {
        (client.call("ListUrlUploadJobs", &[]).await.status == 404).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_makes_and_disables_an_account() {
    let server = Server::start().await;
    let mut browser = Browser::signed_in(&server.client()).await;
    let fields = [("name", "press")];
    let made = browser.fill_in("/console/accounts", "/console/accounts\"", &fields).await;
    assert_eq!(made.header("location"), Some("/console/accounts?done=account-made"));
    let page = browser.get("/console/accounts").await;
    let disable = form(page.text(), "/console/accounts/status");
    assert!(disable.fields.contains(&("name".to_owned(), "press".to_owned())), "not oneself");
    assert_eq!(browser.send(&disable, &[]).await.status, 303);
    assert!(browser.get("/console/accounts").await.text().contains(">Disabled<"));
    // The first row is the operator's own account, the second the new one's.
    let page = browser.get("/console/accounts").await;
    let row = page.text().split("<th scope=\"row\">").nth(2).unwrap();
    let weigh = form(row, "/console/accounts/weight");
    assert_eq!(browser.send(&weigh, &[("weight", "101")]).await.status, 400);
    assert_eq!(browser.send(&weigh, &[("weight", "7")]).await.status, 303);
    assert_eq!(browser.send(&form(row, "/console/accounts/queue"), &[]).await.status, 303);
    let accounts = server.client().call("ListAccounts", &[]).await.ok()["Accounts"].clone();
    assert_eq!((&accounts[1]["Weight"], &accounts[1]["Paused"]), (&7.into(), &true.into()));
    assert_eq!((&accounts[0]["Weight"], &accounts[0]["Paused"]), (&1.into(), &false.into()));
    let page = browser.get("/console/accounts").await;
    assert!(page.text().contains(">Paused<") && page.text().contains(">Resume<"));
    let hidden = browser.get("/console/configuration").await;
    assert_eq!(hidden.status, 200);
    assert!(!hidden.text().contains(crate::harness::SECRET));
}
