//! The files that put Haulage on a machine say what they promise.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use haulage::config::load::{Sources, load};
use haulage::config::{Config, settings};
use serde_json::Value;

use crate::harness::{process, skip};

const COMPOSE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/compose/compose.yaml");
const PROXY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/compose/haproxy.cfg");
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

/// The compose file, with its anchors and merges resolved. `None`, said loudly, where nothing can read
/// YAML.
fn compose(test: &str) -> Option<Value> {
    let read = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)";
    let file = std::fs::File::open(COMPOSE).unwrap();
    let said = Command::new("python3").args(["-c", read]).stdin(file).output().unwrap();
    let complaint = String::from_utf8_lossy(&said.stderr);
    if complaint.contains("No module named 'yaml'") {
        skip(test, "Python has no yaml (python3-yaml)");
        return None;
    }
    assert!(said.status.success(), "{complaint}");
    Some(serde_json::from_slice(&said.stdout).unwrap())
}

/// The services that are nodes, or commands of the program.
fn ours(compose: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let services = compose["services"].as_object().unwrap().iter();
    services.filter(|(_, service)| service["image"] == "haulage:local")
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

/// `${NAME:?why}` with a value in its place; the names go into `asked`.
fn filled(text: &str, asked: &mut BTreeSet<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (variable, after) = after.split_once('}').unwrap();
        let (name, _) = variable.split_once(":?").expect("it says what is missing");
        asked.insert(name.to_owned());
        out += before;
        out += "0123456789abcdef";
        rest = after;
    }
    out + rest
}

/// The configuration that a service's environment makes.
fn configuration(service: &Value, asked: &mut BTreeSet<String>) -> Config {
    let environment = service["environment"].as_object().unwrap().iter();
    let environment = environment.map(|(name, value)| {
        let known = name.strip_prefix("HAULAGE_").map(str::to_ascii_lowercase);
        assert!(known.is_some_and(|name| settings::find(&name).is_some()), "{name}");
        (name.into(), filled(value.as_str().unwrap(), asked).into())
    });
    let sources = Sources { environment: environment.collect(), ..Sources::default() };
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
    loaded.config
}

#[test]
fn the_compose_file_sets_what_the_program_reads() {
    let Some(compose) = compose("the_compose_file_sets_what_the_program_reads") else { return };
    let (mut asked, mut roles) = (BTreeSet::new(), BTreeMap::new());
    let mut connections = 0;
    for (name, service) in ours(&compose) {
        let config = configuration(service, &mut asked);
        config.chosen_key().unwrap();
        let command = strings(&service["command"]);
        assert_eq!(command[0], "haulage", "{name}");
        // Only what the program takes is taken.
        let help =
            process::command(Path::new("/nonexistent")).arg(command[1]).arg("--help").output();
        assert!(help.unwrap().status.success(), "{name}: {command:?}");
        if command[1] != "serve" {
            continue;
        }
        let [_, _, "--roles", own] = command[..] else { panic!("{name}: {command:?}") };
        roles.insert(name.as_str(), own.split(',').collect::<BTreeSet<_>>());
        // Those of the pools, and the one that listens.
        connections += config.database_connections + 1;
        let grace = service["stop_grace_period"].as_str().unwrap().strip_suffix('s').unwrap();
        let grace = Duration::from_secs(grace.parse().unwrap());
        assert!(grace > config.drain, "{name} is given time to drain");
        assert_eq!(service["depends_on"]["migrate"]["condition"], "service_completed_successfully");
        let health = strings(&service["healthcheck"]["test"]);
        let port = config.listen.port();
        assert_eq!(*health.last().unwrap(), format!("http://127.0.0.1:{port}/livez"));
        let volumes = strings(&service["volumes"]);
        let mounted =
            |path: &Path| volumes.iter().any(|v| path.starts_with(v.split(':').nth(1).unwrap()));
        assert!(mounted(&config.data_dir) && mounted(&config.master_key_file.unwrap()), "{name}");
    }
    let all: BTreeSet<&str> = roles.values().flatten().copied().collect();
    assert_eq!((roles.len(), all), (3, BTreeSet::from(["api", "worker"])), "{roles:?}");
    let (database, head) =
        (&compose["services"]["database"], std::fs::read_to_string(COMPOSE).unwrap());
    let most = strings(&database["command"]);
    let most = most.iter().find_map(|setting| setting.strip_prefix("max_connections=")).unwrap();
    assert!(connections < most.parse().unwrap(), "{connections} of {most}");
    // What the head of the file tells to set is what the file asks for.
    for name in ["database", "store"] {
        for value in compose["services"][name]["environment"].as_object().unwrap().values() {
            filled(value.as_str().unwrap(), &mut asked);
        }
    }
    let told: BTreeSet<String> = head
        .lines()
        .find(|line| line.contains("printf"))
        .unwrap()
        .split(['\'', '\\'])
        .filter_map(|part| Some(part.trim_start_matches('n').strip_suffix("=%s")?.to_owned()))
        .collect();
    assert_eq!(told, asked);
}

#[test]
fn the_compose_file_is_whole_and_its_proxy_leads_to_nodes_that_serve() {
    let test = "the_compose_file_is_whole_and_its_proxy_leads_to_nodes_that_serve";
    let Some(compose) = compose(test) else { return };
    let services = compose["services"].as_object().unwrap();
    let volumes = compose["volumes"].as_object().unwrap();
    for (name, service) in services {
        let needed: Vec<&str> = match &service["depends_on"] {
            Value::Array(_) => strings(&service["depends_on"]),
            Value::Object(needed) => needed.keys().map(String::as_str).collect(),
            _ => Vec::new(),
        };
        assert!(needed.iter().all(|needed| services.contains_key(*needed)), "{name}: {needed:?}");
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let source = volume.as_str().unwrap().split(':').next().unwrap();
            let is_there = match source.strip_prefix("./") {
                Some(file) => Path::new(COMPOSE).with_file_name(file).exists(),
                None => volumes.contains_key(source),
            };
            assert!(is_there, "{name}: {source}");
        }
        let image = service["image"].as_str().unwrap();
        assert!(image.contains(':'), "{name}: {image} says which version");
    }
    let proxy = std::fs::read_to_string(PROXY).unwrap();
    let servers = proxy.lines().filter_map(|line| line.trim().strip_prefix("server "));
    let mut behind = BTreeSet::new();
    for server in servers {
        let (name, address) = server.split_once(' ').unwrap();
        let listen = services[name]["environment"]["HAULAGE_LISTEN"].as_str().unwrap();
        assert_eq!(address, format!("{name}:{}", listen.rsplit_once(':').unwrap().1));
        behind.insert(name);
    }
    let serving = ours(&compose).filter(|(_, service)| {
        let command = strings(&service["command"]);
        command.last().is_some_and(|roles| roles.split(',').any(|role| role == "api"))
    });
    assert_eq!(behind, serving.map(|(name, _)| name.as_str()).collect());
    assert!(proxy.contains("uri /readyz "), "a node that drains gets nothing new");
    let dockerfile = &compose["services"]["node-a"]["build"]["dockerfile"];
    let root = Path::new(COMPOSE).ancestors().nth(3).unwrap();
    assert!(root.join(dockerfile.as_str().unwrap()).exists());
}

/// The proxy's own judgement of its configuration.
#[test]
fn the_proxy_takes_its_configuration() {
    if !Path::new("/usr/sbin/haproxy").exists() {
        return skip("the_proxy_takes_its_configuration", "haproxy is missing");
    }
    let judged = Command::new("/usr/sbin/haproxy")
        .args(["-c", "-f", PROXY])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&judged.stderr);
    assert!(judged.status.success() && !said.contains("WARNING"), "{said}");
}
