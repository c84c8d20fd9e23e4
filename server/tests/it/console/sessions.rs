//! Who gets in, for how long, and what a form must carry.

use std::time::Duration;

use haulage::web::console::COOKIE;

use super::browser::{Browser, form, ticket};
use crate::harness::{SOON, Server, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_signs_in_once_and_the_cookie_is_for_this_server_alone() {
    let server = Server::start().await;
    let mut browser = Browser::new(&server.client());
    assert_eq!(browser.get("/console").await.status, 401);
    let ticket = ticket(&server.client()).await;
    // A link alone signs nobody in: it asks.
    let asked = browser.get(&format!("/console/ticket?value={ticket}")).await;
    assert_eq!((asked.status, asked.header("set-cookie")), (200, None));
    let confirm = form(asked.text(), "/console/ticket");
    let answer = browser.send(&confirm, &[("return", "/console/jobs?status=failed")]).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("/console/jobs?status=failed"))
    );
    let cookie = answer.header("set-cookie").unwrap();
    let (pair, attributes) = cookie.split_once(';').unwrap();
    let token = pair.strip_prefix(&format!("{COOKIE}=")).unwrap();
    assert!(token.len() == 64 && token.bytes().all(|b| b.is_ascii_hexdigit()), "{token}");
    assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Strict; Max-Age=43200");
    assert_eq!(browser.get("/console/jobs").await.status, 200);

    let mut second = Browser::new(&server.client());
    let again = second.send(&confirm, &[]).await;
    assert_eq!((again.status, again.header("set-cookie")), (403, None));
    assert!(again.text().contains("not good any more"));
    let forged = second.post("/console/ticket", &[("value", "00ff")]).await;
    assert_eq!((forged.status, forged.header("set-cookie")), (403, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_is_secure_where_the_public_url_is() {
    let server = Server::start_with(|c| c.public_url = Some("https://media.example".into())).await;
    let mut browser = Browser::new(&server.client());
    let value = ticket(&server.client()).await;
    let form = [("value", value.as_str())];
    let answer = browser.post_from("https://media.example", "/console/ticket", &form).await;
    assert!(answer.header("set-cookie").unwrap().ends_with("; Secure"));
    let page = browser.get("/console").await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("media-src 'self' https://media.example;"), "{policy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_needs_the_token_of_its_session_and_a_page_of_this_server() {
    let server = Server::start_with(|c| c.transfers = 0).await;
    let client = server.client();
    let id = client.submit(&["http://media.example/a.mp4".to_owned()]).await.remove(0);
    let mut browser = Browser::signed_in(&client).await;
    let other = Browser::signed_in(&client).await;
    let action = format!("/console/jobs/{id}/cancel");
    let page = format!("/console/jobs/{id}");
    let mine = form(browser.get(&page).await.text(), &action);
    let theirs = form(other.get(&page).await.text(), &action);

    for token in ["", "00", theirs.fields[0].1.as_str()] {
        let answer = browser.post(&action, &[("csrf", token)]).await;
        assert_eq!(answer.status, 403, "{token}");
        assert!(answer.text().contains("This form is not of this session"));
    }
    let right: Vec<(&str, &str)> =
        mine.fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    for origin in ["https://evil.example", "null"] {
        let answer = browser.post_from(origin, &action, &right).await;
        assert_eq!(answer.status, 403, "{origin}");
        assert!(answer.text().contains("another site"));
    }
    assert_eq!(client.status(&id).await, "PENDING");
    assert_eq!(browser.post(&action, &right).await.status, 303);
    assert_eq!(client.status(&id).await, "CANCELED");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session_on_the_server() {
    let server = Server::start().await;
    let mut browser = Browser::signed_in(&server.client()).await;
    let stolen = browser.clone();
    assert_eq!(stolen.get("/console").await.status, 200);
    let out = browser.fill_in("/console", "/console/sign-out", &[]).await;
    assert_eq!((out.status, out.header("location")), (303, Some("/console/sign-in")));
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(stolen.get("/console").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_by_itself() {
    let server = Server::start_with(|c| c.console_session = Duration::from_secs(1)).await;
    let browser = Browser::signed_in(&server.client()).await;
    until("the session is over", SOON, || async {
        (browser.get("/console").await.status == 401).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_not_sign_any_more_takes_its_sessions_with_it() {
    let server = Server::start().await;
    let operator = server.client();
    for change in ["UpdateAccessKey", "DeleteAccessKey", "UpdateAccount"] {
        let other = server.other_account(change).await;
        let browser = Browser::signed_in(&other).await;
        assert_eq!(browser.get("/console").await.status, 200);
        let key = ("UserAccessKeyId", other.key_id.as_str());
        let params = match change {
            "UpdateAccessKey" => vec![key, ("Status", "Inactive")],
            "DeleteAccessKey" => vec![key],
            _ => vec![("AccountName", change), ("Enabled", "false")],
        };
        operator.call(change, &params).await.ok();
        until("the session has ended", SOON, || async {
            (browser.get("/console").await.status == 401).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_typed_outlives_the_session() {
    let server = Server::start_with(|c| c.transfers = 0).await;
    let mut browser = Browser::new(&server.client());
    let typed = "http://media.example/a.mp4?x=<1>&y=\"2\"\nhttp://media.example/b.mp4";
    let fields = [("csrf", "of the old session"), ("urls", typed), ("title", "Täglich & mehr")];
    let asked = browser.post("/console/submit", &fields).await;
    assert_eq!(asked.status, 401);
    assert!(asked.text().contains("what you typed is kept"));

    let value = ticket(&server.client()).await;
    let sign_in = form(asked.text(), "/console/ticket");
    let resumed = browser.send(&sign_in, &[("value", &value)]).await;
    assert_eq!(resumed.status, 200);
    let waiting = form(resumed.text(), "/console/submit");
    let held = |name: &str| waiting.fields.iter().find(|(n, _)| n == name).unwrap().1.clone();
    assert_eq!((held("urls").as_str(), held("title").as_str()), (typed, "Täglich & mehr"));
    // Nothing is sent before somebody says so.
    let listed = || async { server.client().call("ListUrlUploadJobs", &[]).await.ok() };
    assert_eq!(listed().await["URLUploadInfoList"].as_array().unwrap().len(), 0);
    assert_eq!(browser.send(&waiting, &[]).await.status, 303);
    assert_eq!(listed().await["URLUploadInfoList"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_any_size_that_may_be_sent_outlives_the_session() {
    let server = Server::start_with(|c| c.transfers = 0).await;
    let mut browser = Browser::new(&server.client());
    // Most of it is encoded once more on its way through the sign-in page: it grows beyond 1 MiB.
    let typed = format!("x{}y", "+ %\u{e9}".repeat(70_000));
    let asked = browser.post("/console/submit", &[("user_data", &typed)]).await;
    assert_eq!(asked.status, 401);
    let value = ticket(&server.client()).await;
    let sign_in = form(asked.text(), "/console/ticket");
    let carried = &sign_in.fields.iter().find(|(name, _)| name == "form").unwrap().1;
    assert!(carried.len() > 700_000, "{}", carried.len());
    let resumed = browser.send(&sign_in, &[("value", &value)]).await;
    assert_eq!(resumed.status, 200, "{:.300}", resumed.text());
    let waiting = form(resumed.text(), "/console/submit");
    let held = waiting.fields.iter().find(|(name, _)| name == "user_data").unwrap();
    assert!(held.1 == typed, "all of it");
}
