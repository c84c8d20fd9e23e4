//! K11 as users run it: two members under Patroni, which keeps in etcd who leads. The lead is handed
//! over by `patronictl`, or the leader dies, its server alone or with its Patroni.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::Pid;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::pair::{PROGRAMS, kill_all, nobody_runs};
use super::scene::{Scene, URLS, directory};
use super::{Gap, LOAD, NODES, enter, tell};
use crate::harness::postgres::NOBODY;
use crate::harness::seeded::Seeded;
use crate::harness::{count_from, lasting_port, raw, say_skipped, skip, until};

const PATRONI: &str = "/usr/bin/patroni";
const CONTROL: &str = "/usr/bin/patronictl";
const ETCD: &str = "/usr/bin/etcd";
/// A leader of whom nothing was heard for so long is replaced, in seconds. Whoever runs machines has 30.
const TTL: u64 = 6;
/// What takes a few seconds, or those of the leader's time to live.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Switchover,
    /// PostgreSQL's processes die; their Patroni finds out.
    ServerDies,
    /// The machine of the leader dies, so to say.
    MemberDies,
}

const WAYS: [Way; 3] = [Way::Switchover, Way::ServerDies, Way::MemberDies];

/// One PostgreSQL server with its Patroni.
struct Member {
    name: &'static str,
    dir: PathBuf,
    port: u16,
    api: SocketAddr,
    patroni: Option<Child>,
}

/// Both members, and their etcd.
struct Managed {
    members: [Member; 2],
    etcd: Child,
}

impl Managed {
    async fn start(dir: &Path) -> Self {
        std::fs::create_dir(dir).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(dir, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let (clients, peers) = (local(lasting_port()), local(lasting_port()));
        let mut etcd = nobody_runs(Path::new(ETCD));
        etcd.args(["--name", "e", "--log-level", "error", "--data-dir"]).arg(dir.join("etcd"));
        for (option, value) in [
            ("--listen-client-urls", clients),
            ("--advertise-client-urls", clients),
            ("--listen-peer-urls", peers),
            ("--initial-advertise-peer-urls", peers),
        ] {
            etcd.args([option, &format!("http://{value}")]);
        }
        etcd.args(["--initial-cluster", &format!("e=http://{peers}")]);
        let etcd = logged(&mut etcd, &dir.join("etcd.log"));
        let member = |name: &'static str| Member {
            name,
            dir: dir.join(name),
            port: lasting_port(),
            api: local(lasting_port()),
            patroni: None,
        };
        let mut managed = Self { members: [member("a"), member("b")], etcd };
        for member in &mut managed.members {
            let file = member.file("json");
            std::fs::write(file, member.configuration(clients, dir).to_string()).unwrap();
            member.start();
        }
        managed.is_in_order().await;
        managed
    }

    fn url(&self) -> String {
        let [a, b] = self.members.each_ref().map(|member| member.port);
        format!(
            "postgres://haulage@127.0.0.1:{a},127.0.0.1:{b}/postgres?target_session_attrs=read-write"
        )
    }

    /// What the cluster says of its members: name, role and state.
    async fn members(&self) -> Vec<(String, String, String)> {
        for member in &self.members {
            let ask = b"GET /cluster HTTP/1.0\r\n\r\n";
            let Some(answer) = raw(member.api, ask).await else { continue };
            let Ok(said) = serde_json::from_slice::<Value>(&answer.body) else { continue };
            let text = |of: &Value, name: &str| of[name].as_str().unwrap_or_default().to_owned();
            let all = said["members"].as_array().into_iter().flatten();
            return all.map(|m| (text(m, "name"), text(m, "role"), text(m, "state"))).collect();
        }
        Vec::new()
    }

    /// Waits until one leads and the other follows it synchronously; the one that leads.
    async fn is_in_order(&self) -> usize {
        let said = until("one leads and the other follows", PATIENCE, || async {
            let members = self.members().await;
            let has = |wanted: &str| {
                members.iter().find(|(_, role, state)| {
                    role == wanted && matches!(state.as_str(), "running" | "streaming")
                })
            };
            has("sync_standby").and(has("leader")).map(|(name, ..)| name.clone())
        });
        let leader = said.await;
        self.members.iter().position(|member| member.name == leader).unwrap()
    }

    /// Waits until another than `old` leads.
    async fn is_replaced(&self, old: usize) {
        let old = self.members[old].name;
        until("another leads", PATIENCE, || async {
            let members = self.members().await;
            let leads = |(name, role, state): &&(String, String, String)| {
                name != old && role == "leader" && state == "running"
            };
            members.iter().find(leads).map(|_| ())
        })
        .await;
    }

    /// Another leads, and the one that led follows it.
    async fn switch(&mut self, scene: &Scene, n: usize, way: Way) -> Gap {
        let leader = self.is_in_order().await;
        let began = Instant::now();
        let mut probes = Vec::new();
        match way {
            Way::Switchover => {
                let [from, to] = [leader, 1 - leader].map(|member| self.members[member].name);
                let mut control = Command::new(CONTROL);
                control.arg("-c").arg(self.members[leader].file("json"));
                control.args(["switchover", "haulage", "--force"]);
                control.args(["--leader", from, "--candidate", to]);
                // Calls are made while the lead is handed over.
                probes = scene.probe(n, began);
                let said = tokio::task::spawn_blocking(move || control.output().unwrap());
                let said = said.await.unwrap();
                assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
            }
            Way::ServerDies => self.members[leader].kill_server(),
            Way::MemberDies => {
                self.members[leader].kill_patroni();
                self.members[leader].kill_server();
            }
        }
        if probes.is_empty() {
            probes = scene.probe(n, began);
        }
        self.is_replaced(leader).await;
        if way == Way::MemberDies {
            self.members[leader].start();
        }
        let times = join_all(probes).await.into_iter().map(|time| time.unwrap());
        let times: Vec<Duration> = times.collect();
        self.is_in_order().await;
        (*times.iter().min().unwrap(), *times.iter().max().unwrap())
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        for member in &mut self.members {
            member.kill_patroni();
            member.kill_server();
        }
        let _ = self.etcd.kill();
        let _ = self.etcd.wait();
    }
}

impl Member {
    fn file(&self, extension: &str) -> PathBuf {
        self.dir.with_extension(extension)
    }

    /// YAML, of which JSON is a part. As an operator would write it for a pair that may lose nothing, but
    /// for the times, which are short.
    fn configuration(&self, etcd: SocketAddr, dir: &Path) -> Value {
        let server = local(self.port).to_string();
        let user = |name: &str| json!({ "username": name, "password": "word" });
        json!({
            "scope": "haulage",
            "name": self.name,
            "restapi": { "listen": self.api.to_string(), "connect_address": self.api.to_string() },
            "etcd3": { "hosts": etcd.to_string() },
            "bootstrap": {
                "dcs": {
                    "ttl": TTL, "loop_wait": 1, "retry_timeout": 2,
                    // A server that died is not started again where it was, but replaced.
                    "primary_start_timeout": 0,
                    "synchronous_mode": true, "synchronous_mode_strict": true,
                    "postgresql": {
                        "use_pg_rewind": true,
                        "parameters": {
                            "max_connections": 200, "wal_log_hints": "on", "wal_keep_size": "64MB",
                        },
                    },
                },
                "initdb": [
                    { "encoding": "UTF8" }, { "locale": "C.UTF-8" }, { "auth": "trust" },
                ],
                "pg_hba": [
                    "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust",
                ],
            },
            "postgresql": {
                "listen": server, "connect_address": server,
                "data_dir": self.dir, "bin_dir": PROGRAMS, "pgpass": self.file("pass"),
                "authentication": {
                    "superuser": user("haulage"), "replication": user("replicator"),
                    "rewind": user("rewinder"),
                },
                "pg_hba": [
                    "local all all trust",
                    "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust",
                ],
                "parameters": {
                    "unix_socket_directories": dir, "shared_buffers": "32MB",
                    "wal_retrieve_retry_interval": "100ms",
                    // Servers are killed in this campaign, not machines.
                    "fsync": "off",
                },
            },
        })
    }

    fn start(&mut self) {
        let mut patroni = nobody_runs(Path::new(PATRONI));
        patroni.arg(self.file("json"));
        self.patroni = Some(logged(&mut patroni, &self.file("log")));
    }

    fn kill_patroni(&mut self) {
        let Some(mut patroni) = self.patroni.take() else { return };
        let _ = patroni.kill();
        let _ = patroni.wait();
    }

    fn kill_server(&self) {
        let file = self.dir.join("postmaster.pid");
        let Ok(state) = std::fs::read_to_string(file) else { return };
        let pid = state.lines().next().and_then(|line| line.trim().parse().ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            kill_all(pid);
        }
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Starts it, with all that it says in a file.
fn logged(command: &mut Command, log: &Path) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    let out = log.try_clone().unwrap();
    command.stdin(Stdio::null()).stdout(out).stderr(log).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn under_patroni_nothing_acknowledged_is_lost() {
    let name = "under_patroni_nothing_acknowledged_is_lost";
    let switches = count_from("HAULAGE_TEST_PATRONI_SWITCHES", 0);
    if switches == 0 {
        // It waits for elections for a minute or more: too long for every change.
        return say_skipped(&format!("{name}: tests/patroni/run.sh runs it"));
    }
    if ![PATRONI, CONTROL, ETCD].iter().all(|program| Path::new(program).exists()) {
        return skip(name, "Patroni or etcd is missing (patroni, etcd-server)");
    }
    let mut choices = Seeded::from_environment();
    let dir = directory();
    let mut managed = Managed::start(&dir.path().join("managed")).await;
    let scene = Scene::new(dir.path(), &managed.url(), NODES).await;
    let load = scene.begin(&mut choices);
    let mut gaps = Vec::new();
    for n in 0..switches {
        load.goes_on(URLS).await;
        // The moment of the switch is what is varied.
        tokio::time::sleep(LOAD.mul_f64(choices.fraction())).await;
        gaps.push(managed.switch(&scene, n, WAYS[n % WAYS.len()]).await);
    }
    load.goes_on(URLS).await;
    load.stop().await;
    let verdict = scene.judge().await;
    enter("K11 under Patroni", choices.seed(), switches, &verdict);
    tell("K11 under Patroni", gaps);
    verdict.sound(&format!("seed {}", choices.seed()));
    assert!(verdict.acknowledged > 0 && verdict.cancelled > 0, "{verdict:?}");
}
