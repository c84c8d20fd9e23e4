//! Three nodes on one PostgreSQL under load, of which one is killed and another one is paused: jobs a
//! second before, meanwhile and after, and how exactly a limit of calls holds over all of them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use haulage::store::postgres::PostgresStore;
use rustix::process::{Pid, Signal, kill_process};

use crate::depths;
use crate::origin::Origin;
use crate::postgres::{Cluster, Version, foreign};
use crate::server::Server;

const NODES: usize = 3;
/// More than they can do in the time.
const JOBS: usize = 400_000;
const BYTES: usize = 64 << 10;
const PHASE: Duration = Duration::from_secs(15);
const LEASE: Duration = Duration::from_secs(5);
/// Calls a second of one account's cancels: the documented limit.
const LIMIT: usize = 50;
/// Callers of each node: one node alone is offered more than the limit, too.
const CALLERS: usize = 4;
const SECOND: Duration = Duration::from_secs(1);

/// The nodes that take calls at present.
type Farm = RwLock<Vec<Option<Server>>>;

/// When each call that passed was sent and answered.
type Passed = Mutex<Vec<(Instant, Instant)>>;

pub async fn three() {
    let Some(cluster) = Cluster::start(Version::Fifteen, &["fsync=on", "shared_buffers=512MB"])
    else {
        println!("!!! PostgreSQL 15 is not installed");
        return;
    };
    let url = cluster.schema().await;
    PostgresStore::migrate(&url).await.unwrap();
    let origin = Origin::start(&["--origin", &BYTES.to_string()]);
    let dir = tempfile::tempdir().unwrap();
    let start = |n: usize| node(dir.path(), n, &url);
    let farm: Arc<Farm> = Arc::new(RwLock::new((0..NODES).map(|n| Some(start(n))).collect()));
    let prefix = format!("http://{}/", origin.address);
    depths::fill_postgres(&url, JOBS, &prefix).await;

    println!(
        "\n{NODES} nodes on one PostgreSQL, files of 64 KiB, leases of 5 s, {PHASE:?} a phase"
    );
    let (over, passed) = (Arc::new(AtomicBool::new(false)), Arc::new(Passed::default()));
    let callers: Vec<_> = (0..NODES * CALLERS)
        .map(|n| {
            let (farm, over, passed) = (farm.clone(), over.clone(), passed.clone());
            std::thread::spawn(move || call(&farm, n % NODES, &over, &passed))
        })
        .collect();
    let db = foreign(&url).await;
    phase(&db, "to begin with").await;
    phase(&db, "three nodes").await;
    drop(farm.write().unwrap()[2].take());
    phase(&db, "one was killed").await;
    let paused = farm.read().unwrap()[1].as_ref().map(Server::pid).unwrap();
    let paused = Pid::from_raw(i32::try_from(paused).unwrap()).unwrap();
    kill_process(paused, Signal::STOP).unwrap();
    phase(&db, "another one is paused").await;
    phase(&db, "still").await;
    kill_process(paused, Signal::CONT).unwrap();
    phase(&db, "it goes on").await;
    let back = start(2);
    farm.write().unwrap()[2] = Some(back);
    phase(&db, "three nodes again").await;
    over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.join().unwrap();
    }
    let passed = passed.lock().unwrap().clone();
    let within = |start: Instant| {
        passed
            .iter()
            .filter(|(sent, answered)| *sent >= start && *answered < start + SECOND)
            .count()
    };
    let most = passed.iter().map(|(sent, _)| within(*sent)).max().unwrap();
    let lasted = passed.iter().map(|(_, answered)| *answered).max().unwrap()
        - passed.iter().map(|(sent, _)| *sent).min().unwrap();
    println!(
        "  of a limit of {LIMIT} calls a second {:.1} passed on average, {most} in the fullest second",
        passed.len() as f64 / lasted.as_secs_f64()
    );
    let rescued = "SELECT COUNT(*) FILTER (WHERE rescues > 0), MAX(attempt)::BIGINT FROM job";
    let row = db.query_one(rescued, &[]).await.unwrap();
    let (rescued, attempts): (i64, i64) = (row.get(0), row.get(1));
    println!("  {rescued} jobs were rescued; at most {attempts} attempts of one job");
}

fn node(dir: &Path, n: usize, url: &str) -> Server {
    let storage = format!("file://{}", dir.join("objects").display());
    let key = dir.join("master.key").display().to_string();
    let lease = format!("{}s", LEASE.as_secs());
    let environment = [
        ("HAULAGE_DATABASE_URL", url),
        ("HAULAGE_DATABASE_CONNECTIONS", "12"),
        ("HAULAGE_MASTER_KEY_FILE", &key),
        ("HAULAGE_STORAGE_URL", &storage),
        ("HAULAGE_LEASE", &lease),
        ("HAULAGE_PER_HOST", "1000"),
        ("HAULAGE_QPS", "UploadMediaByURL=0"),
    ];
    Server::start(&dir.join(format!("node-{n}")), &environment)
}

/// Lets one phase pass and says what was done in it.
async fn phase(db: &tokio_postgres::Client, name: &str) {
    let (began, before) = (Instant::now(), successes(db).await);
    let (mut last, mut moved, mut longest) = (before, began, Duration::ZERO);
    while began.elapsed() < PHASE {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = successes(db).await;
        longest = longest.max(moved.elapsed());
        if now > last {
            (last, moved) = (now, Instant::now());
        }
    }
    let per_second = (last - before) as f64 / began.elapsed().as_secs_f64();
    println!(
        "  {name:24} {per_second:6.0} jobs/s, longest time without one {} ms",
        longest.as_millis()
    );
}

async fn successes(db: &tokio_postgres::Client) -> i64 {
    let sum = "SELECT COALESCE(SUM(jobs), 0)::BIGINT FROM tally WHERE what = 1";
    db.query_one(sum, &[]).await.unwrap().get(0)
}

/// Cancels a job that is not there, at the `n`-th node, as often as it is answered, up to a hundred
/// times a second.
fn call(farm: &Farm, n: usize, over: &AtomicBool, passed: &Passed) {
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(10));
        let asked = farm.read().unwrap()[n].as_ref().map(|server| {
            (server.address, server.request("CancelUrlUploadJobs", &[("JobIds", "nobody")]))
        });
        let Some((address, request)) = asked else { continue };
        let sent = Instant::now();
        // A node that is killed or paused does not answer.
        if let Ok(status) = ask(address, &request)
            && status == *b"HTTP/1.1 200"
        {
            passed.lock().unwrap().push((sent, Instant::now()));
        }
    }
}

fn ask(address: std::net::SocketAddr, request: &[u8]) -> std::io::Result<[u8; 12]> {
    let mut stream = TcpStream::connect_timeout(&address, SECOND)?;
    stream.set_read_timeout(Some(SECOND))?;
    stream.write_all(request)?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(status)
}
