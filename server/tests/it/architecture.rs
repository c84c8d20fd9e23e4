//! The invariants of ARCHITECTURE.md that the compiler does not check: which way the arrows point,
//! and where SQL and HTTP statuses may stand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// All source files of a directory, with their text up to the first test module.
fn sources(dir: &str) -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
    let mut found = BTreeMap::new();
    let mut todo = vec![root.clone()];
    while let Some(next) = todo.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let is_for_tests = path.ends_with("tests") || path.ends_with("conformance");
            if path.is_dir() && !is_for_tests {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let product = text.split("#[cfg(test)]\nmod tests").next().unwrap();
                let product = without_comments(product);
                found.insert(path.strip_prefix(&root).unwrap().to_owned(), product);
            }
        }
    }
    assert!(!found.is_empty(), "{dir} has sources");
    found
}

fn without_comments(text: &str) -> String {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

/// The modules of this crate that a text names as `crate::x`.
fn imports(text: &str) -> Vec<String> {
    text.match_indices("crate::")
        .map(|(at, _)| {
            let rest = &text[at + "crate::".len()..];
            rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect()
        })
        .collect()
}

#[test]
fn modules_import_only_what_lies_below_them() {
    let allowed: &[(&str, &[&str])] = &[
        ("domain", &["domain"]),
        ("store", &["domain", "store", "door"]),
        ("door", &["door", "domain"]),
        ("fetch", &["domain", "fetch", "config", "door", "run"]),
        ("blob", &["domain", "blob", "door"]),
        ("probe", &["domain", "probe", "door", "blob"]),
        ("ops", &["domain", "store", "door", "blob", "worker", "api", "run", "telemetry", "ops"]),
        ("telemetry", &["domain", "store", "telemetry"]),
        ("web", &["web", "api", "door", "ops", "store"]),
        (
            "worker",
            &["domain", "store", "fetch", "blob", "probe", "door", "run", "telemetry", "worker"],
        ),
    ];
    for (module, below) in allowed {
        for (file, text) in sources(&format!("src/{module}")) {
            for import in imports(&text) {
                assert!(
                    below.contains(&import.as_str()) || import.is_empty(),
                    "{module}/{} imports crate::{import}",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn only_the_store_speaks_sql() {
    for (file, text) in sources("src") {
        if file.starts_with("store/sqlite") {
            continue;
        }
        for word in ["SELECT ", "INSERT INTO", "UPDATE job", "DELETE FROM", "rusqlite::"] {
            assert!(!text.contains(word), "{} has {word:?}", file.display());
        }
    }
}

#[test]
fn domain_and_wire_never_await_and_read_no_clock() {
    let wire = sources("../wire/src");
    for (file, text) in sources("src/domain").iter().chain(&wire) {
        for word in [".await", "async fn", "SystemTime", "Instant::now", "tokio::", "getrandom::"] {
            assert!(!text.contains(word), "{} has {word:?}", file.display());
        }
    }
}

#[test]
fn outbound_connections_have_one_door() {
    let dialling = ["TcpStream::connect", "TcpSocket", "HttpConnector", "legacy::Client"];
    for (file, text) in sources("src") {
        // The fetcher is the door; the command line's client goes where its operator says.
        if file.starts_with("fetch") || file.starts_with("client") {
            continue;
        }
        for word in dialling {
            assert!(!text.contains(word), "{} has {word:?}", file.display());
        }
    }
}
