//! The console's pages with a million jobs behind them, over HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use crate::median;
use crate::server::{Server, fill_with_history};

const JOBS: usize = 1_000_000;
const ACCOUNTS: usize = 100;
/// Visits of each page.
const VISITS: usize = 100;
/// Every operation that the pages use, without its limit.
const UNLIMITED: &str = "ListUrlUploadJobs=0,GetURLUploadInfos=0,GetUploadStatistics=0,\
    GetPlayInfo=0,ListAccounts=0,ListAccessKeys=0,GetConfiguration=0,GetRequestRecord=0";

/// Milliseconds until a page has come whole; the goal is a p95 below 100.
pub async fn pages() {
    let dir = tempfile::tempdir().unwrap();
    let began = Instant::now();
    fill_with_history(dir.path(), ACCOUNTS, JOBS).await;
    println!(
        "\nthe console with {JOBS} jobs of {ACCOUNTS} accounts ({:.0?} to fill)",
        began.elapsed()
    );
    let server =
        Server::start(dir.path(), &[("HAULAGE_TRANSFERS", "0"), ("HAULAGE_QPS", UNLIMITED)]);
    let cookie = sign_in(&server);
    let succeeded = [("Account", "*"), ("PageSize", "1"), ("Status", "SUCCESS")];
    let listed = server.call("ListUrlUploadJobs", &succeeded);
    let job = &listed["URLUploadInfoList"][0];
    let text = |name: &str| job[name].as_str().unwrap_or_else(|| panic!("{name} of {listed}"));
    let (id, media, account) = (text("JobId"), text("MediaId"), text("Account"));
    let pages = [
        "/console".to_owned(),
        "/console?minutes=2880".to_owned(),
        "/console/jobs".to_owned(),
        "/console/jobs?status=pending".to_owned(),
        "/console/jobs?status=failed".to_owned(),
        "/console/jobs?status=running".to_owned(),
        "/console/jobs?code=StorageError".to_owned(),
        "/console/jobs?code=NoSuchCode".to_owned(),
        "/console/jobs?q=nowhere-to-be-found".to_owned(),
        "/console/jobs?status=failed&q=nowhere-to-be-found".to_owned(),
        "/console/jobs?account=account-7&q=nowhere-to-be-found".to_owned(),
        "/console/jobs?from=2020-01-01T00:00&to=2020-02-01T00:00".to_owned(),
        "/console/jobs?account=account-7&status=succeeded".to_owned(),
        format!("/console/jobs/{id}?account={account}"),
        "/console/media".to_owned(),
        "/console/media?q=nowhere-to-be-found".to_owned(),
        format!("/console/media/{media}?account={account}"),
        "/console/submit".to_owned(),
        "/console/keys".to_owned(),
        "/console/accounts".to_owned(),
        "/console/configuration".to_owned(),
        "/console/requests".to_owned(),
        "/errors".to_owned(),
        "/errors/jobs".to_owned(),
    ];
    for path in pages {
        measure(&path, || timed(&server, &path, &cookie).0);
    }
    // Every visit goes to the page that the one before calls older.
    let mut ahead = "/console/jobs".to_owned();
    measure("/console/jobs, then Older again and again", || {
        let (took, page) = timed(&server, &ahead, &cookie);
        ahead = older(&page).unwrap_or_else(|| panic!("{ahead} has an older page"));
        took
    });
}

/// Runs visits that answer their milliseconds. The first finds nothing kept from earlier ones.
fn measure(name: &str, mut visit: impl FnMut() -> f64) {
    let mut times: Vec<f64> = (0..VISITS).map(|_| visit()).collect();
    let first = times[0];
    times.sort_by(f64::total_cmp);
    let (p95, most) = (times[VISITS * 95 / 100], times[VISITS - 1]);
    let p50 = median(times);
    println!("  {name:60} p50 {p50:5.1}  p95 {p95:5.1}  first {first:5.1}  most {most:5.1} ms");
}

/// A visit that must succeed: milliseconds, and the page.
fn timed(server: &Server, path: &str, cookie: &str) -> (f64, String) {
    let began = Instant::now();
    let page = visit(server, "GET", path, cookie, "");
    let took = began.elapsed().as_secs_f64() * 1_000.0;
    assert!(page.starts_with("HTTP/1.1 200"), "{path}: {page:.300}");
    (took, page)
}

/// Where the page's link to the next one goes.
fn older(page: &str) -> Option<String> {
    let link = page.split("rel=\"next\" href=\"").nth(1)?.split('"').next()?;
    Some(link.replace("&#38;", "&").replace("&amp;", "&"))
}

/// The cookie of a new session.
fn sign_in(server: &Server) -> String {
    let reply = server.call("CreateConsoleSession", &[]);
    let ticket = reply["Ticket"].as_str().unwrap_or_else(|| panic!("{reply}"));
    let answer = visit(server, "POST", "/console/ticket", "", &format!("value={ticket}"));
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    cookie.unwrap_or_else(|| panic!("{answer}")).split(';').next().unwrap().to_owned()
}

/// One request on a connection of its own, read to its end; returns the whole answer.
fn visit(server: &Server, method: &str, path: &str, cookie: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_nodelay(true).unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {}\r\naccept: text/html\r\ncookie: {cookie}\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        server.address,
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.windows(4).any(|w| w == b"\r\n\r\n"), "a whole head");
    String::from_utf8_lossy(&answer).into_owned()
}
