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
        ("store", &["domain", "store", "door", "run"]),
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
        if file.starts_with("store/sqlite") || file.starts_with("store/postgres") {
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

/// Ways to reach another machine, and the only files that may name them.
///
/// The fetcher's dialler connects, its exchange speaks HTTP over what the dialler made (and names the
/// library for HTTP/2, which is handed such a connection), its resolver
/// asks DNS, and the list of the machine's own addresses asks the kernel. The command line's client
/// goes where its operator says, and so do the transport of the operator's own storage and of the
/// operator's own database. No way is named elsewhere, so none leads around the guard.
const DOORS: [(&str, &[&str]); 19] = [
    ("TcpStream::connect", &[]),
    ("TcpSocket", &[]),
    ("HttpConnector", &["fetch/connect.rs", "client/mod.rs", STORAGE]),
    ("hyper_util::client", &["fetch/connect.rs", "client/mod.rs", STORAGE]),
    ("client::legacy", &["fetch/connect.rs", "client/mod.rs", STORAGE]),
    ("hyper::client", &["fetch/exchange/http2.rs"]),
    ("client::conn", &["fetch/exchange/http2.rs"]),
    ("hyper_rustls", &["client/mod.rs", STORAGE]),
    ("tokio_rustls", &["fetch/connect.rs"]),
    ("hickory_resolver", &["fetch/resolve.rs"]),
    ("lookup_host", &[]),
    ("to_socket_addrs", &[]),
    ("ToSocketAddrs", &[]),
    ("UdpSocket", &["fetch/own.rs"]),
    ("UnixStream", &[]),
    ("UnixDatagram", &[]),
    ("rustix::net", &["fetch/own.rs"]),
    ("extern \"C\"", &[]),
    // Another program could dial: ffprobe's own process, and what `haulage doctor` tries.
    ("Command::new", &["probe/child.rs", "cli/doctor/checks.rs"]),
];
const STORAGE: &str = "blob/s3/transport.rs";

#[test]
fn outbound_connections_have_one_door() {
    let sources = sources("src");
    for (word, doors) in DOORS {
        for (file, text) in &sources {
            let is_door = doors.iter().any(|door| file == Path::new(door));
            // A door that nobody uses any more is to be closed.
            assert_eq!(text.contains(word), is_door, "{} and {word:?}", file.display());
        }
    }
}

/// The crates that this one names in its product code. One that is new here must be judged: whether
/// it can open connections, and if it can, who may use it ([`DOORS`]).
#[test]
fn no_dependency_dials_unseen() {
    const JUDGED: &[&str] = &[
        // These can dial; DOORS says where they may be named, or what of them.
        "tokio",
        "hyper",
        "hyper-util",
        "hyper-rustls",
        "tokio-rustls",
        "hickory-resolver",
        "rustix",
        // A server's framework, and types of HTTP.
        "axum",
        "http",
        "http-body",
        "http-body-util",
        "tower",
        "rustls",
        "webpki-roots",
        // These cannot.
        "httparse",
        "wire",
        "tokio-util",
        "futures-util",
        "async-trait",
        "bytes",
        "ipnet",
        "url",
        "rusqlite",
        "refinery",
        "re_mp4",
        "matroska",
        "lofty",
        "serde",
        "serde_json",
        "toml",
        "hmac",
        "sha1",
        "sha2",
        "md-5",
        "crc-fast",
        "subtle",
        "base64",
        "hex",
        "aes",
        "chacha20poly1305",
        "getrandom",
        "jiff",
        "clap",
        "clap_complete",
        "indicatif",
        "tracing",
        "tracing-subscriber",
        "prometheus-client",
        "askama",
        "thiserror",
        "mimalloc",
        // The operator's own storage and database: named in `blob` and `store` alone.
        "object_store",
        "quick-xml",
        "tokio-postgres",
        "deadpool-postgres",
        "tokio-postgres-rustls",
    ];
    for manifest in ["Cargo.toml", "../wire/Cargo.toml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(manifest);
        let text = std::fs::read_to_string(path).unwrap();
        let after = text.split("[dependencies]").nth(1).unwrap();
        let section = after.split("\n[").next().unwrap();
        let mut found = 0;
        for line in section.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['=', '.', ' ']).next().unwrap();
            if !name.is_empty() {
                assert!(
                    JUDGED.contains(&name),
                    "{manifest}: nobody has judged whether {name} dials"
                );
                found += 1;
            }
        }
        assert!(found > 3, "{manifest} was read");
    }
    // What speaks to the operator's own storage or database stays in its module.
    for (file, text) in sources("src") {
        for (word, home) in [
            ("object_store::", "blob"),
            ("tokio_postgres", "store"),
            ("deadpool_postgres", "store"),
        ] {
            assert!(
                file.starts_with(home) || !text.contains(word),
                "{} has {word}",
                file.display()
            );
        }
    }
}
