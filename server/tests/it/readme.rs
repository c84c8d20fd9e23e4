//! What the README shows is run as it stands.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::process::Process;
use crate::harness::{KEY_ID, SECRET, skip};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    text.split(&opening)
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_snippets_of_the_readme_work_as_they_stand() {
    let clients = repository().join("tests/clients");
    let python = clients.join(".venv/bin/python");
    if !python.exists() || !clients.join("node_modules").exists() {
        skip(
            "the_sdk_snippets_of_the_readme_work_as_they_stand",
            "the SDKs are not installed; run tests/clients/install.sh",
        );
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start(dir.path());
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let port = server.address.port().to_string();
    let mut ran = 0;
    for (language, program, flag) in
        [("python", python.as_path(), "-c"), ("javascript", Path::new("node"), "-e")]
    {
        for block in blocks(&readme, language) {
            let code = block
                .replace("ACCESS_KEY_ID", KEY_ID)
                .replace("ACCESS_KEY_SECRET", SECRET)
                .replace("8710", &port);
            let output = Command::new(program)
                .arg(flag)
                .arg(&code)
                .current_dir(&clients)
                .env("NODE_PATH", clients.join("node_modules"))
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success() && text.contains("RequestId"),
                "{code}\n{text}{errors}"
            );
            ran += 1;
        }
    }
    assert_eq!(ran, 4, "one snippet for each SDK");
}

#[test]
fn the_documents_the_readme_points_at_exist() {
    let root = repository();
    for document in ["README.md", "docs/adr/README.md", "docs/compatibility.md"] {
        let path = root.join(document);
        let text = std::fs::read_to_string(&path).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let mut found = 0;
        for target in targets.filter(|t| !t.starts_with("http")) {
            let file = target.split('#').next().unwrap_or_default();
            assert!(path.parent().unwrap().join(file).exists(), "{document} points at {target}");
            found += 1;
        }
        assert!(found > 0, "{document} has links");
    }
}
