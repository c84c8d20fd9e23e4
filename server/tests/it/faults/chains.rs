//! ssrf_redirects.jsonl on the wire: each row's hosts carry the row's id in their names, so that all
//! chains play at once and the origin knows which one a request belongs to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::origin::{Script, Step, send};
use super::rows::whole;
use crate::harness::origin::SAMPLE;

const REDIRECTS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpora/ssrf_redirects.jsonl"));
/// About continuing: `fetch/tests/ranges.rs` plays it.
const ELSEWHERE: [&str; 1] = ["R78"];
/// About callbacks, which do not exist yet.
pub const LATER: [&str; 2] = ["R79", "R80"];

/// A row: where it begins, and the `ErrorCode` it ends with (empty: bytes come).
pub struct Chain {
    pub id: String,
    pub start: String,
    pub code: &'static str,
    pub why: String,
    links: Vec<Vec<Step>>,
    repeat: bool,
}

pub fn all() -> Vec<Chain> {
    let rows = REDIRECTS.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let here = |row: &Value| {
        let id = row["id"].as_str().unwrap();
        !LATER.contains(&id) && !ELSEWHERE.contains(&id)
    };
    rows.filter(here).map(|row| chain(&row)).collect()
}

fn chain(row: &Value) -> Chain {
    let id = row["id"].as_str().unwrap().to_owned();
    let tag = id.to_lowercase();
    let text = row
        .to_string()
        .replace(".example.com", &format!("-{tag}.example.com"))
        .replace(".EXAMPLE.COM", &format!("-{id}.EXAMPLE.COM"));
    let row: Value = serde_json::from_str(&text).unwrap();
    let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let code = match text("error").as_str() {
        "" => "",
        "SSRF" => "URLInvalidError.ForbiddenAddress",
        "REDIRECT" => "URLInvalidError.Redirect",
        "HTTP_STATUS" => "URLInvalidError.HttpStatus",
        "PROTOCOL" => "URLInvalidError.Protocol",
        other => panic!("no code for {other}"),
    };
    Chain {
        start: text("start"),
        why: text("why"),
        code,
        links: row["chain"].as_array().unwrap().iter().map(link).collect(),
        repeat: row["repeat"] == true,
        id,
    }
}

fn link(link: &Value) -> Vec<Step> {
    let mut fields = String::new();
    let locations = match &link["location"] {
        Value::Array(all) => all.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    };
    for location in locations {
        fields += &format!("Location: {}\r\n", location.as_str().unwrap());
    }
    for (name, value) in link["headers"].as_object().into_iter().flatten() {
        fields += &format!("{name}: {}\r\n", value.as_str().unwrap());
    }
    if !fields.contains("Connection:") {
        fields += "Connection: close\r\n";
    }
    let body = match link["body"].as_str().unwrap_or_default() {
        "media" => SAMPLE.to_vec(),
        other => other.as_bytes().to_vec(),
    };
    let length = link["body_bytes"].as_u64().unwrap_or(body.len() as u64);
    let status = &link["status"];
    let head = format!("HTTP/1.1 {status} X\r\n{fields}Content-Length: {length}\r\n\r\n");
    match link["body_bytes"] {
        Value::Null => vec![send(head), send(body)],
        _ => vec![send(head), Step::Forever(vec![7; 10_000])],
    }
}

/// The names of a chain, as ssrf_redirects.jsonl knows them.
pub fn names(chain: &Chain) -> [(String, Vec<Value>); 5] {
    let v6 = "2606:2800:220:1:248:1893:25c8:1946";
    let public = json!({"A": ["93.184.216.34"]});
    let loopback = json!({"A": ["127.0.0.1"]});
    let name = |name: &str| format!("{name}-{}.example.com", chain.id.to_lowercase());
    [
        (name("pub4"), vec![public.clone()]),
        (name("pub6"), vec![json!({"AAAA": [v6]})]),
        (name("dual"), vec![json!({"A": ["93.184.216.34"], "AAAA": [v6]})]),
        (name("lo"), vec![loopback.clone()]),
        (name("rb1"), vec![public, loopback]),
    ]
}

/// Plays each request's chain; whoever belongs to none gets the sample.
pub fn script(chains: &[Chain]) -> Script {
    let links: HashMap<String, (Vec<Vec<Step>>, bool)> = chains
        .iter()
        .map(|c| (format!("-{}.example.com", c.id.to_lowercase()), (c.links.clone(), c.repeat)))
        .collect();
    let asked = Mutex::new(HashMap::<String, usize>::new());
    Arc::new(move |_, head| {
        let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
        let host = host.split(':').next().unwrap_or_default();
        let Some((tag, (links, repeat))) = links.iter().find(|(tag, _)| host.ends_with(*tag))
        else {
            return whole();
        };
        let mut asked = asked.lock().unwrap();
        let times = asked.entry(tag.clone()).or_default();
        let now = if *repeat { *times % links.len() } else { *times };
        *times += 1;
        links.get(now).cloned().unwrap_or_default()
    })
}
