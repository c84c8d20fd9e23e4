//! The pages in a real browser: Debian's Chromium, driven by the scripts of `tests/browser`.
//!
//! The scripts start servers of their own, from the binary under test, because some of them need
//! one that is full, throttled or gone. `tests/browser/install.sh` installs what they need.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::process::BINARY;
use crate::harness::skip;
use crate::nodes::Farm;

/// Where Debian puts Chromium.
const CHROMIUM: &str = "/usr/bin/chromium";

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/browser")
}

/// Why no browser can be driven here, or nothing.
fn lacking() -> Option<&'static str> {
    if !Path::new(CHROMIUM).exists() {
        return Some("chromium is not installed");
    }
    if !scripts().join("node_modules/playwright-core").exists() {
        return Some("playwright-core is not installed; run tests/browser/install.sh");
    }
    None
}

/// Runs a script of `tests/browser`, whose own tests must all pass; shows what they said.
fn drive(test: &str, script: &str) {
    drive_with(test, script, &[]);
}

/// As [`drive`], with more in its environment.
fn drive_with(test: &str, script: &str, environment: &[(&str, String)]) {
    if let Some(why) = lacking() {
        skip(test, why);
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let output = Command::new("node")
        .arg("--test-reporter=spec")
        .arg(scripts().join(script).canonicalize().unwrap())
        .env("HAULAGE", BINARY)
        .env("CHROMIUM", CHROMIUM)
        .env("SCRATCH", scratch.path())
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    eprintln!("{text}");
    assert!(output.status.success(), "{script}: {text}{errors}");
    // A file without tests passes, too.
    let passed = text.lines().find_map(|line| line.split("pass ").nth(1)?.trim().parse().ok());
    assert!(passed.is_some_and(|count: u32| count > 0), "{script} has tests: {text}");
}

#[test]
fn what_the_explorer_signs_in_a_browser_the_server_accepts() {
    drive("what_the_explorer_signs_in_a_browser_the_server_accepts", "explorer_signing.mjs");
}

#[test]
fn nothing_typed_into_the_explorer_breaks_it() {
    drive("nothing_typed_into_the_explorer_breaks_it", "explorer_input.mjs");
}

#[test]
fn everyone_can_read_and_use_the_explorers_pages() {
    drive("everyone_can_read_and_use_the_explorers_pages", "explorer_pages.mjs");
}

#[test]
fn the_console_is_lived_in() {
    drive("the_console_is_lived_in", "console.mjs");
}

#[test]
fn nothing_that_goes_wrong_breaks_the_console() {
    drive("nothing_that_goes_wrong_breaks_the_console", "console_input.mjs");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_shows_the_nodes_of_a_database() {
    let test = "the_console_shows_the_nodes_of_a_database";
    if let Some(why) = lacking() {
        skip(test, why);
        return;
    }
    let Some(farm) = Farm::new(test).await else { return };
    let settings = serde_json::to_string(&farm.settings()).unwrap();
    drive_with(test, "console_nodes.mjs", &[("FARM", settings)]);
}
