//! The files that put Haulage on a machine say what they promise.

use std::path::Path;
use std::process::Command;

use crate::harness::skip;

const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/haulage.service");

/// Tenths: the least exposed daemons of a distribution score about 20, typical ones 90.
const MOST_EXPOSURE: &str = "15";

#[test]
fn the_systemd_unit_is_sandboxed() {
    if !Path::new("/usr/bin/systemd-analyze").exists() {
        return skip("the_systemd_unit_is_sandboxed", "systemd-analyze is missing");
    }
    let judged = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", "--threshold", MOST_EXPOSURE, UNIT])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&judged.stdout);
    let verdict = said.lines().last().unwrap_or_default();
    assert!(judged.status.success() && verdict.contains("exposure"), "{said}");
}

#[test]
fn the_systemd_unit_names_settings_that_exist() {
    let unit = std::fs::read_to_string(UNIT).unwrap();
    let named = unit.split("HAULAGE_").skip(1).filter_map(|rest| {
        let name = rest.split(|c: char| !(c.is_ascii_uppercase() || c == '_')).next()?;
        (!name.is_empty()).then(|| name.to_ascii_lowercase())
    });
    let named: Vec<String> = named.collect();
    assert!(named.len() >= 2, "{named:?}");
    for name in named {
        assert!(haulage::config::settings::find(&name).is_some(), "{name}");
    }
}
