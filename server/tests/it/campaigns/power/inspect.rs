//! The product after a power cut: whether everything that was told before is still so.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use haulage::blob::parse_object_key;
use serde_json::Value;
use wire::sign::client::Signed;

use super::image::Cut;
use super::record::{Place, Skipped, Told};
use crate::flow::play_path;
use crate::harness::origin::{Origin, blob, blob_filler};
use crate::harness::process::Process;
use crate::harness::{Client, SOON, until};

/// Ids of one query.
const IDS: usize = 10;
/// The newest nonces that are tried again: those that a power cut could take. With them some of
/// the older ones.
const NEW_NONCES: usize = 24;
const OLD_NONCES: usize = 8;
/// The newest objects that are also fetched by their play URLs.
const PLAYED: usize = 3;

/// What is wrong with an image.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Wrong {
    NotMounted,
    NotStarted,
    /// SQLite's integrity_check finds something.
    Corrupt,
    JobLost,
    CancelLost,
    NonceLost,
    /// An object whose success was told is not there.
    ObjectLost,
    /// An object is visible and not whole.
    Torn,
    /// A job does not come to the end that was told, or to any.
    OtherEnd,
}

/// What is wrong, with the details.
#[derive(Debug, Default)]
pub struct Damage {
    pub found: BTreeMap<Wrong, Vec<String>>,
    /// e2fsck had to mend the file system before it could be mounted, which is nothing wrong.
    pub mended: bool,
}

impl Damage {
    fn add(&mut self, wrong: Wrong, what: impl Into<String>) {
        self.found.entry(wrong).or_default().push(what.into());
    }

    pub fn kinds(&self) -> BTreeSet<Wrong> {
        self.found.keys().copied().collect()
    }
}

/// What was told up to a cut.
#[derive(Debug, Default)]
struct Promises<'a> {
    accepted: Vec<&'a str>,
    cancelled: HashSet<&'a str>,
    stored: Vec<(&'a str, usize)>,
    requests: Vec<&'a Signed>,
}

impl<'a> Promises<'a> {
    fn of(told: impl Iterator<Item = &'a Told>) -> Self {
        let mut promises = Self::default();
        for what in told {
            match what {
                Told::Answered(signed) => promises.requests.push(signed),
                Told::Accepted(id) => promises.accepted.push(id),
                Told::Cancelled(id) => drop(promises.cancelled.insert(id)),
                Told::Stored { id, filler } => promises.stored.push((id, *filler)),
            }
        }
        promises
    }
}

/// What a machine runs at its start before it mounts, and what its owner does if that finds no
/// superblock: name the second one. 1: errors were corrected.
const MEND: &str = "{ e2fsck -f -y IMAGE > /dev/null 2>&1 || [ $? -eq 1 ] \
                    || e2fsck -f -y -b 8192 -B 4096 IMAGE > /dev/null 2>&1 || [ $? -eq 1 ] ; }";

/// Mounts the images in `dir`, starts the product on them, and compares it with what was told.
pub async fn inspect(
    dir: &Path,
    disks: usize,
    cut: &Cut,
    told: impl Iterator<Item = &Told>,
    origin: &Origin,
) -> Damage {
    let promises = Promises::of(told);
    let mut damage = Damage::default();
    let mut mounted = Place::mount(dir, dir, disks, "true");
    // ext4 counts on it that its superblock, of two sectors, is not torn.
    if mounted.is_err() && cut.tears_pages() {
        mounted = Place::mount(dir, dir, disks, MEND);
        damage.mended = mounted.is_ok();
    }
    let place = match mounted {
        Ok(place) => place,
        Err(said) => {
            damage.add(Wrong::NotMounted, said);
            return damage;
        }
    };
    objects(&place.objects_seen_from_here(), &promises, &mut damage);
    match place.start(8, Skipped::Nothing) {
        Ok(server) => {
            nonces(&server.client(), &promises, &mut damage).await;
            jobs(&server, &promises, origin, &mut damage).await;
            server.kill();
        }
        Err(said) => damage.add(Wrong::NotStarted, said),
    }
    integrity(&place.data_seen_from_here().join("haulage.db"), &mut damage);
    damage
}

/// Before anything is started: what is visible is whole, and what was told is visible.
fn objects(root: &Path, promises: &Promises<'_>, damage: &mut Damage) {
    let mut whole = HashSet::new();
    for path in files(root) {
        let key = path.strip_prefix(root).unwrap().to_str().unwrap();
        // Copies that were not published have other names.
        if parse_object_key(key).is_none() {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        match blob_filler(bytes.len()) {
            Some(filler) if bytes == blob(filler) => drop(whole.insert(filler)),
            _ => damage.add(Wrong::Torn, format!("{key}: {} bytes", bytes.len())),
        }
    }
    for (id, filler) in &promises.stored {
        if !whole.contains(filler) {
            damage.add(Wrong::ObjectLost, *id);
        }
    }
}

fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(next) = todo.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            if entry.path().is_dir() { todo.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found
}

/// A request that was answered is refused when it comes again.
async fn nonces(client: &Client, promises: &Promises<'_>, damage: &mut Damage) {
    let all = &promises.requests;
    let new = all.iter().rev().take(NEW_NONCES);
    let old = all.iter().step_by(all.len() / OLD_NONCES + 1);
    for signed in new.chain(old) {
        let answer = client.send(signed).await;
        if answer.status == 200 || answer.code() != "SignatureNonceUsed" {
            damage.add(Wrong::NonceLost, format!("{} {}", answer.status, answer.text()));
        }
    }
}

/// Every job is there and comes to the end that was told.
async fn jobs(server: &Process, promises: &Promises<'_>, origin: &Origin, damage: &mut Damage) {
    let client = server.client();
    let known = infos(&client, &promises.accepted).await;
    let there: Vec<&str> =
        promises.accepted.iter().copied().filter(|id| known.contains_key(*id)).collect();
    for id in promises.accepted.iter().filter(|id| !known.contains_key(**id)) {
        damage.add(Wrong::JobLost, *id);
    }
    let last = std::sync::Mutex::new(known);
    let ended = tokio::time::timeout(SOON, async {
        until("every job has ended", SOON * 2, || async {
            let infos = infos(&client, &there).await;
            let all = infos.values().all(is_final);
            *last.lock().unwrap() = infos;
            all.then_some(())
        })
        .await;
    });
    if ended.await.is_err() {
        damage.add(Wrong::OtherEnd, format!("jobs do not end: {}", server.log()));
    }
    let infos = last.into_inner().unwrap();
    let stored: HashSet<&str> = promises.stored.iter().map(|(id, _)| *id).collect();
    for id in there {
        let status = infos[id]["Status"].as_str().unwrap();
        if promises.cancelled.contains(id) {
            if status != "CANCELED" {
                damage.add(Wrong::CancelLost, format!("{id} is {status}"));
            }
        } else if status != "SUCCESS" && (status != "CANCELED" || stored.contains(id)) {
            // A cancel that was not answered may have happened.
            damage.add(Wrong::OtherEnd, infos[id].to_string());
        }
    }
    for (id, filler) in promises.stored.iter().rev().take(PLAYED) {
        let Some(info) = infos.get(*id) else { continue };
        if !plays(&client, info, *filler).await {
            damage.add(Wrong::ObjectLost, format!("{id} of {} does not play", origin.address));
        }
    }
}

fn is_final(info: &Value) -> bool {
    let status = info["Status"].as_str().unwrap();
    status == "SUCCESS" || status == "CANCELED" || status.ends_with("FAIL")
}

async fn plays(client: &Client, info: &Value, filler: usize) -> bool {
    let Some(media) = info["MediaId"].as_str() else { return false };
    let answer = client.call("GetPlayInfo", &[("VideoId", media)]).await;
    if answer.status != 200 {
        return false;
    }
    let play = answer.json();
    let url = play["PlayInfoList"]["PlayInfo"][0]["PlayURL"].as_str().unwrap().to_owned();
    let stored = client.get(&play_path(&url), &[]).await;
    stored.status == 200 && stored.body == blob(filler)
}

/// What the server knows of jobs, by id.
async fn infos(client: &Client, ids: &[&str]) -> HashMap<String, Value> {
    let mut known = HashMap::new();
    for some in ids.chunks(IDS) {
        let reply = client.call("GetURLUploadInfos", &[("JobIds", &some.join(","))]).await.ok();
        for info in reply["URLUploadInfoList"].as_array().unwrap() {
            known.insert(info["JobId"].as_str().unwrap().to_owned(), info.clone());
        }
    }
    known
}

fn integrity(database: &Path, damage: &mut Damage) {
    let said = rusqlite::Connection::open(database)
        .and_then(|db| db.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)));
    match said {
        Ok(said) if said == "ok" => {}
        Ok(said) => damage.add(Wrong::Corrupt, said),
        Err(error) => damage.add(Wrong::Corrupt, error.to_string()),
    }
}
