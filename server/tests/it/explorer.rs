//! The explorer: its pages as a reader without scripts gets them, its assets as a browser gets
//! them, and its scripts, run by Node, against the real server.
//!
//! The scripts of the tests are in `tests/explorer`; `docs/explorer.md` says what they run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use haulage::web::POLICY;
use haulage::web::assets::{ASSETS, version};
use wire::spec::{Kind, METADATA_FIELDS, OPERATIONS};

use crate::harness::origin::Origin;
use crate::harness::process::{BINARY, Process};
use crate::harness::{Answer, Client, KEY_ID, SECRET, Server, skip};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Values of an attribute, as they stand in the page.
fn attributes<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    let opening = format!(" {name}=\"");
    html.split(&opening).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// The opening tags of an element.
fn tags<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    let opening = format!("<{name}");
    html.split(&opening)
        .skip(1)
        .filter(|rest| rest.starts_with([' ', '>', '\n']))
        .filter_map(|rest| rest.split('>').next())
        .collect()
}

async fn every_page(client: &Client) -> Vec<(String, Answer)> {
    let mut pages = vec![("/explorer".to_owned(), client.get("/explorer", &[]).await)];
    for operation in OPERATIONS {
        let path = format!("/explorer/{}", operation.action);
        let page = client.get(&path, &[]).await;
        pages.push((path, page));
    }
    pages
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_has_a_page_with_a_control_for_every_parameter() {
    let server = Server::start().await;
    let client = server.client();
    let index = client.get("/explorer", &[]).await;
    for operation in OPERATIONS {
        let path = format!("/explorer/{}", operation.action);
        assert!(attributes(index.text(), "href").contains(&path.as_str()), "{path} is listed");
        let page = client.get(&path, &[]).await;
        assert_eq!(page.status, 200, "{path}");
        let html = page.text();
        assert!(html.contains(operation.access.as_str()));
        for limit in [operation.qps, operation.daily].into_iter().flatten() {
            assert!(html.contains(&format!("<dd>{limit} per account</dd>")), "{path}: {limit}");
        }
        for parameter in operation.parameters {
            let name = parameter.name;
            let opening = format!("data-param=\"{name}\"");
            let control = html.split(&opening).nth(1).expect(name);
            let control = control.split("data-problem").next().unwrap();
            let (start, _) = control.split_once('>').unwrap();
            assert_eq!(start.contains("data-required"), parameter.required, "{name}");
            let has_input = match parameter.kind {
                Kind::SomeOf(values) => attributes(control, "value") == values,
                Kind::OneOf(values) => {
                    values.iter().all(|v| control.contains(&format!("<option>{v}</option>")))
                }
                Kind::Boolean => control.contains("<option>false</option>"),
                Kind::List { .. } | Kind::Urls { .. } => control.contains("data-item"),
                Kind::Text { .. }
                | Kind::Word { .. }
                | Kind::Integer { .. }
                | Kind::Json { .. }
                | Kind::Time
                | Kind::Url { .. } => control.contains(&format!("id=\"c-{name}\"")),
            };
            assert!(has_input, "{path}: {name} has its control: {control}");
            let is_labelled = control.contains(&format!("for=\"c-{name}\""))
                || control.contains(&format!("<legend><span class=\"name\">{name}</span>"));
            assert!(is_labelled, "{path}: {name} has its label");
            assert_eq!(control.contains("data-use-example"), !parameter.example.is_empty());
        }
        if operation.parameter("UploadMetadatas").is_some() {
            for field in METADATA_FIELDS {
                assert!(html.contains(&format!("data-field=\"{}\"", field.name)), "{}", field.name);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_pages_link_to_exists_here() {
    let server = Server::start().await;
    let client = server.client();
    let mut links = BTreeSet::new();
    for (path, page) in every_page(&client).await {
        for name in ["href", "src"] {
            for target in attributes(page.text(), name) {
                let is_here = target.starts_with('/') && !target.starts_with("//");
                assert!(is_here || target.starts_with('#'), "{path} loads {target}");
                if is_here {
                    links.insert(target.split('#').next().unwrap().to_owned());
                }
                if let Some((_, id)) = target.split_once('#').filter(|(page, _)| page.is_empty()) {
                    assert!(page.text().contains(&format!("id=\"{id}\"")), "{path}: #{id}");
                }
            }
        }
        let mut ids = BTreeSet::new();
        for id in attributes(page.text(), "id") {
            assert!(ids.insert(id), "{path}: the id {id} is unique");
        }
        for name in ["for", "aria-describedby"] {
            for id in attributes(page.text(), name) {
                assert!(ids.contains(id), "{path}: {name}={id} is there");
            }
        }
    }
    assert!(links.iter().any(|link| link.starts_with("/errors/")));
    for link in links {
        // The console asks strangers to sign in.
        let status = if link == "/console" { 401 } else { 200 };
        assert_eq!(client.get(&link, &[]).await.status, status, "{link}");
    }
    for page in ["/console", "/errors", "/errors/SignatureDoesNotMatch"] {
        let page = client.get(page, &[]).await;
        assert!(attributes(page.text(), "href").contains(&"/explorer"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_inline_runs_and_nothing_foreign_loads() {
    let server = Server::start().await;
    let client = server.client();
    let mut pages = every_page(&client).await;
    let unknown = client.get("/explorer/%3Cscript%3Ealert(1)%3C%2Fscript%3E", &[]).await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().contains("alert(1)"), "it says what is unknown");
    pages.push(("the page of an unknown operation".to_owned(), unknown));
    for (path, page) in pages {
        assert_eq!(page.header("content-security-policy"), Some(POLICY), "{path}");
        assert!(!POLICY.contains("unsafe") && POLICY.starts_with("default-src 'none'"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        let html = page.text();
        let scripts = tags(html, "script");
        assert!(!scripts.is_empty(), "{path}");
        for script in scripts {
            assert!(script.contains(" src=\"/assets/"), "{path}: <script{script}>");
        }
        assert!(tags(html, "style").is_empty() && attributes(html, "style").is_empty(), "{path}");
        let handlers = html.split(" on").skip(1).filter_map(|rest| rest.split(['"', ' ']).next());
        for handler in handlers {
            assert!(!handler.ends_with('='), "{path}: on{handler}");
        }
        assert!(!html.contains("javascript:"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn assets_have_their_type_and_an_address_that_never_changes_its_meaning() {
    let server = Server::start().await;
    let client = server.client();
    for asset in ASSETS {
        let path = format!("/assets/{}/{}", version(), asset.path);
        let answer = client.get(&path, &[]).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.text(), asset.text);
        let expected = match Path::new(asset.path).extension().and_then(|e| e.to_str()) {
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "text/javascript; charset=utf-8",
        };
        assert_eq!(answer.header("content-type"), Some(expected), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(answer.header("cache-control").unwrap().contains("immutable"));
        let other = client.get(&format!("/assets/0123456789abcdef/{}", asset.path), &[]).await;
        assert_eq!(other.status, 404, "an address of another build");
    }
    for wrong in ["package.json", "nothing.js", "../Cargo.toml", "%2e%2e/Cargo.toml"] {
        let answer = client.get(&format!("/assets/{}/{wrong}", version()), &[]).await;
        assert_eq!(answer.status, 404, "{wrong}");
    }
}

#[test]
fn scripts_import_only_each_other_and_never_make_markup_from_text() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    let mut files = BTreeSet::new();
    for dir in ["", "samples"] {
        for entry in std::fs::read_dir(root.join(dir)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "js" || e == "css" || e == "svg") {
                files.insert(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let embedded: BTreeSet<String> = ASSETS.iter().map(|asset| asset.path.to_owned()).collect();
    assert_eq!(files, embedded, "every file is embedded");
    for asset in ASSETS {
        let text = asset.text;
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "DOMParser",
            "createContextualFragment",
            "setHTML",
            ".style",
            "@import",
            "url(",
        ] {
            // The console's live parts are pages of the server, already escaped.
            let is_exempt = (asset.path, word) == ("console.js", "DOMParser");
            assert!(is_exempt || !text.contains(word), "{} has {word}", asset.path);
        }
        let dir = Path::new(asset.path).parent().unwrap();
        let is_import = |line: &&str| line.starts_with("import ") || line.starts_with("} from ");
        for line in text.lines().filter(is_import).filter(|line| line.contains(" from '")) {
            let target = line.split('\'').nth(1).unwrap();
            assert!(
                target.starts_with("./") || target.starts_with("../"),
                "{}: {line}",
                asset.path
            );
            let found = root.join(dir).join(target).canonicalize().unwrap();
            let found = found.strip_prefix(root.canonicalize().unwrap()).unwrap();
            assert!(embedded.contains(found.to_str().unwrap()), "{}: {line}", asset.path);
        }
    }
}

#[test]
fn every_language_of_the_explorer_is_in_the_document() {
    let document = std::fs::read_to_string(repository().join("docs/explorer.md")).unwrap();
    let rows: Vec<&str> = document.lines().filter(|line| line.starts_with("| ")).collect();
    let modules: Vec<&str> = ASSETS
        .iter()
        .filter_map(|asset| asset.text.split_once("export const label = '"))
        .filter_map(|(_, rest)| rest.split('\'').next())
        .collect();
    assert!(modules.len() > 10);
    // Two generations of a core share the name of their language.
    for label in modules {
        let name = label.split(" (").next().unwrap();
        let is_there =
            rows.iter().any(|row| row.trim_start_matches(['|', ' ', '`']).starts_with(name));
        assert!(is_there, "{label} has a row");
    }
}

/// Runs a script of `tests/explorer`; its output is shown, and it must say that all holds.
fn node(script: &str, variables: &[(&str, &str)]) {
    let path = repository().join("tests/explorer").join(script).canonicalize().unwrap();
    let output = Command::new("node").arg(path).envs(variables.iter().copied()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    eprintln!("{text}");
    assert!(output.status.success() && text.contains("all hold"), "{script}: {errors}");
}

fn has_node(test: &str) -> bool {
    let found = Command::new("node").arg("--version").output().is_ok_and(|o| o.status.success());
    if !found {
        skip(test, "node is not installed");
    }
    found
}

#[test]
fn the_scripts_sign_every_vector_and_every_recorded_request() {
    if has_node("the_scripts_sign_every_vector_and_every_recorded_request") {
        node("pure.mjs", &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_explorer_signs_the_server_accepts() {
    if !has_node("what_the_explorer_signs_the_server_accepts") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start_with(dir.path(), |c| {
        c.env("HAULAGE_TRANSFERS", "0");
    });
    let endpoint = format!("http://{}", server.address);
    let variables =
        [("ENDPOINT", &*endpoint), ("ACCESS_KEY_ID", KEY_ID), ("ACCESS_KEY_SECRET", SECRET)];
    node("live.mjs", &variables);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_code_of_every_operation_does_what_the_form_says() {
    let name = "the_sample_code_of_every_operation_does_what_the_form_says";
    if !has_node(name) {
        return;
    }
    let clients = repository().join("tests/clients").canonicalize().unwrap();
    if !clients.join(".venv").exists() || !clients.join("node_modules").exists() {
        skip(name, "the SDKs are not installed, so only the other samples run");
    }
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let scratch = tempfile::tempdir().unwrap();
    let pulling = Process::start(dirs[0].path());
    let keeping = Process::start_with(dirs[1].path(), |c| {
        c.env("HAULAGE_TRANSFERS", "0");
    });
    let origin = Origin::start().await;
    let client = pulling.client();
    let jobs = client.submit(&[origin.url("/good/explorer.mp4")]).await;
    let media = client.terminal(&jobs[0]).await["MediaId"].as_str().unwrap().to_owned();
    let rlibs = Path::new(BINARY).parent().unwrap().join("deps");
    node(
        "samples.mjs",
        &[
            ("ENDPOINT", &format!("http://{}", keeping.address)),
            ("PLAY_ENDPOINT", &format!("http://{}", pulling.address)),
            ("MEDIA_ID", &media),
            ("ACCESS_KEY_ID", KEY_ID),
            ("ACCESS_KEY_SECRET", SECRET),
            ("DATA_DIR", dirs[1].path().to_str().unwrap()),
            ("CLIENTS", clients.to_str().unwrap()),
            ("HAULAGE", BINARY),
            ("RLIBS", rlibs.to_str().unwrap()),
            ("SCRATCH", scratch.path().to_str().unwrap()),
        ],
    );
}
