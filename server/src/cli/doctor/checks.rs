//! The checks of `haulage doctor`, one function each.

use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Access, access, statvfs};
use rustix::process::{Resource, getrlimit};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Check;
use crate::blob::place::Bucket;
use crate::blob::s3::Lack;
use crate::blob::{BlobError, Place, S3Blobs};
use crate::cli::human;
use crate::config::Config;
use crate::config::load::{Loaded, Origin};
use crate::domain::time::Timestamp;
use crate::door::random;
use crate::run::serve::{database_path, find_program};
use crate::run::storage::{bucket_settings, places};
use crate::store::sqlite::SqliteStore;

/// Blocks written and flushed to measure a disk, and their size in bytes.
const FLUSHES: usize = 21;
const FLUSH_BYTES: usize = 4 << 10;
/// No disk that keeps its word flushes in less; memory and lying caches do.
const TOO_FAST: Duration = Duration::from_micros(50);
/// Slower than this, submissions feel it.
const TOO_SLOW: Duration = Duration::from_millis(50);
/// Files a node has open besides transfers and connections: database, log, listeners.
const SPARE_FILES: u64 = 64;
/// Files of one transfer: its socket, its staging file, and the probe's pipes in turn.
const FILES_PER_TRANSFER: u64 = 3;
/// Narrowest prefixes that count as broad: a larger network is hardly one machine room.
const BROAD_V4: u8 = 16;
const BROAD_V6: u8 = 48;
/// 2026-01-01 and 2100-01-01 in Unix seconds: a clock outside is not set.
const EARLIEST: i64 = 1_767_225_600;
const LATEST: i64 = 4_102_444_800;
/// `ffprobe -version` takes milliseconds.
const VERSION_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn configuration(loaded: &Loaded) -> Vec<Check> {
    const NAME: &str = "configuration";
    let set = loaded.in_force.iter().filter(|one| one.origin != Origin::Default).count();
    let mut checks = match loaded.config.chosen_key() {
        Ok(_) => vec![Check::ok(NAME, format!("{} set, all usable", human::count(set, "value")))],
        Err(e) => vec![Check::fail(NAME, e.to_string(), "")],
    };
    let warned = loaded.warnings.iter().map(|w| Check::warn(NAME, w, "correct or remove it"));
    checks.extend(warned);
    checks
}

pub(super) fn data_dir(config: &Config) -> Vec<Check> {
    const NAME: &str = "data directory";
    let dir = &config.data_dir;
    let shown = dir.display();
    let facts = match std::fs::metadata(dir) {
        Ok(facts) if facts.is_dir() => facts,
        Ok(_) => {
            let fix = "name a directory with HAULAGE_DATA_DIR";
            return vec![Check::fail(NAME, format!("{shown} is no directory"), fix)];
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => return vec![missing_dir(dir)],
        Err(e) => {
            let fix = "make it readable for this user, or name another with HAULAGE_DATA_DIR";
            return vec![Check::fail(NAME, format!("{shown}: {e}"), fix)];
        }
    };
    if let Err(e) = access(dir, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
        let fix = format!("chown or chmod it, so that this user may write to {shown}");
        return vec![Check::fail(NAME, format!("{shown}: {e}"), fix)];
    }
    let mut checks = vec![match facts.mode() & 0o077 {
        0 => Check::ok(NAME, format!("{shown}, open to this user alone")),
        _ => Check::warn(
            NAME,
            format!("{shown} is open to other users (mode {:03o})", facts.mode() & 0o777),
            format!("chmod 700 {shown}"),
        ),
    }];
    checks.push(free_space("disk space", dir, config.min_free));
    checks.push(match flush_time(dir) {
        Ok((median, drift)) => flushing(median, drift),
        Err(e) => Check::fail("disk", format!("{shown}: {e}"), "repair the disk or choose another"),
    });
    checks
}

fn missing_dir(dir: &Path) -> Check {
    const NAME: &str = "data directory";
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let parent = absolute.ancestors().skip(1).find(|at| at.exists()).map(Path::to_owned);
    let parent: PathBuf = parent.unwrap_or_else(|| PathBuf::from("/"));
    match access(&parent, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Check::ok(NAME, format!("{} is not there yet; serve makes it", dir.display())),
        Err(e) => Check::fail(
            NAME,
            format!(
                "{} is not there and cannot be made in {}: {e}",
                dir.display(),
                parent.display()
            ),
            "make it and give it to this user, or name another with HAULAGE_DATA_DIR",
        ),
    }
}

/// Whether enough room is left at `dir`.
fn free_space(name: &'static str, dir: &Path, min_free: u64) -> Check {
    let stat = match statvfs(dir) {
        Ok(stat) => stat,
        Err(e) => return Check::warn(name, format!("{}: {e}", dir.display()), "look with df"),
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let found = format!("{} free at {}", human::bytes(free), dir.display());
    if free < min_free {
        let fix = format!("free some: below {} submissions are refused", human::bytes(min_free));
        Check::fail(name, found, fix)
    } else if free < min_free.saturating_mul(16) {
        Check::warn(name, found, "free some before large sources arrive")
    } else {
        Check::ok(name, found)
    }
}

/// Median time to write a block and have it on stable storage, and how far the disk's clock is
/// from ours.
fn flush_time(dir: &Path) -> io::Result<(Duration, Duration)> {
    let path = dir.join(format!("doctor-{}", random::alphanumeric(8)));
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let measured = (|| {
        let block = [0x5au8; FLUSH_BYTES];
        let mut times = Vec::with_capacity(FLUSHES);
        for _ in 0..FLUSHES {
            let began = Instant::now();
            file.write_all(&block)?;
            file.sync_all()?;
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let now = crate::door::Clock::System.now();
        let there = Timestamp::from_seconds(file.metadata()?.mtime());
        let drift = now.since(there).max(there.since(now));
        Ok((times[FLUSHES / 2], drift))
    })();
    std::fs::remove_file(&path)?;
    measured
}

fn flushing(median: Duration, drift: Duration) -> Check {
    const NAME: &str = "disk";
    // A file's time is cut to whole seconds here.
    const DRIFT: Duration = Duration::from_secs(3);
    let found = format!("a flush takes {median:.1?} (median)");
    if drift > DRIFT {
        let found = format!("the file system's clock is {} off", human::span(drift));
        return Check::warn(NAME, found, "synchronise the clocks of this machine and its storage");
    }
    if median < TOO_FAST {
        let fix = "no durable disk is that fast: it is memory, or a cache that loses acknowledged jobs in a power cut; use a real disk for what must not be lost";
        Check::warn(NAME, found, fix)
    } else if median > TOO_SLOW {
        Check::warn(NAME, found, "submissions wait for the disk; a faster one helps")
    } else {
        Check::ok(NAME, found)
    }
}

pub(super) fn database(config: &Config) -> Check {
    const NAME: &str = "database";
    let path = match database_path(config) {
        Ok(path) => path,
        Err(e) => return Check::fail(NAME, e.to_string(), "correct HAULAGE_DATABASE_URL"),
    };
    if !path.exists() {
        return Check::ok(NAME, format!("{} is not there yet; serve makes it", path.display()));
    }
    match SqliteStore::inspect(&path) {
        Ok(seen) if !seen.problems.is_empty() => Check::fail(
            NAME,
            format!("{} is damaged: {}", path.display(), seen.problems.join("; ")),
            "stop the server, keep a copy, and restore a backup",
        ),
        Ok(seen) if seen.schema > seen.known => Check::fail(
            NAME,
            format!("schema {} is newer than this program's {}", seen.schema, seen.known),
            "start the newer program",
        ),
        Ok(seen) if seen.schema < seen.known => Check::ok(
            NAME,
            format!("sound; schema {}, which the next start brings to {}", seen.schema, seen.known),
        ),
        Ok(seen) => Check::ok(
            NAME,
            format!("{} is sound, schema {}, SQLite {}", path.display(), seen.schema, seen.engine),
        ),
        Err(e) => Check::fail(NAME, e.to_string(), "see whether the file is a database of Haulage"),
    }
}

/// Each storage location for itself; buckets are tried with an object that is taken away again.
pub(super) async fn storage(config: &Config) -> Vec<Check> {
    let mut checks = Vec::new();
    for (location, place) in places(config) {
        checks.push(match place {
            Place::Directory(dir) => directory(config, &dir),
            Place::Bucket(bucket) => bucket_check(config, location, bucket).await,
        });
    }
    checks
}

fn directory(config: &Config, dir: &Path) -> Check {
    const NAME: &str = "storage";
    if !dir.exists() {
        return Check::ok(NAME, format!("{} is not there yet; serve makes it", dir.display()));
    }
    if let Err(e) = access(dir, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
        let fix = "chown or chmod it, so that this user may write there";
        return Check::fail(NAME, format!("{}: {e}", dir.display()), fix);
    }
    free_space(NAME, dir, config.min_free)
}

async fn bucket_check(config: &Config, location: &str, bucket: Bucket) -> Check {
    const NAME: &str = "storage";
    let (shown, plain) = (format!("{location}: {bucket}"), bucket.is_plain());
    let slots = Arc::new(Semaphore::new(1));
    let opened = match bucket_settings(config, location, bucket, slots) {
        Ok(settings) => S3Blobs::open(settings),
        Err(e) => return Check::fail(NAME, format!("{shown}: {e}"), "set HAULAGE_STORAGE_KEYS"),
    };
    let lacks = match opened {
        Ok(blobs) => blobs.examine().await,
        Err(e) => Err(e),
    };
    match lacks {
        Ok(lacks) if !lacks.is_empty() => {
            let lacks: Vec<&str> = lacks.into_iter().map(Lack::sentence).collect();
            Check::warn(NAME, format!("{shown}: works, but {}", lacks.join(", and ")), LIFECYCLE)
        }
        Ok(_) if plain => Check::warn(
            NAME,
            format!("{shown}: put, read, listed, deleted; in the clear"),
            "use an https endpoint, unless the way to it is your own",
        ),
        Ok(_) => Check::ok(NAME, format!("{shown}: put, read, listed, deleted")),
        Err(BlobError::Refused { action, said } | BlobError::Failed { action, said }) => {
            Check::fail(NAME, format!("{shown}: cannot {action}: {said}"), said.fix())
        }
        Err(e) => Check::fail(NAME, format!("{shown}: {e}"), "see docs/storage.md"),
    }
}

/// For services on which something can be left behind that no sweep finds.
const LIFECYCLE: &str =
    "give the bucket a lifecycle rule that ends unfinished uploads after a day (docs/storage.md)";

pub(super) async fn probe(config: &Config) -> Check {
    const NAME: &str = "probe";
    let install = "install FFmpeg for facts about more formats; the built-in readers know MP4, MOV, MKV, WebM and audio";
    let Some(program) = config.ffprobe.clone().or_else(|| find_program("ffprobe")) else {
        return Check::warn(NAME, "no ffprobe found", install);
    };
    let mut command = tokio::process::Command::new(&program);
    command.arg("-version").env_clear().stdin(std::process::Stdio::null()).kill_on_drop(true);
    let fix = "name a working program with HAULAGE_FFPROBE, or none";
    match tokio::time::timeout(VERSION_TIMEOUT, command.output()).await {
        Ok(Ok(output)) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            // "ffprobe version N Copyright …"
            let version = text.split_whitespace().nth(2).unwrap_or("of unknown version");
            Check::ok(NAME, format!("{} {}", program.display(), human::elided(version, 40)))
        }
        Ok(Ok(output)) => {
            Check::fail(NAME, format!("{} ends with {}", program.display(), output.status), fix)
        }
        Ok(Err(e)) => Check::fail(NAME, format!("{} does not start: {e}", program.display()), fix),
        Err(_) => Check::fail(NAME, format!("{} does not answer", program.display()), fix),
    }
}

/// Judges `HAULAGE_EGRESS_ALLOW` as it is in force.
pub(super) fn egress(allow: &str) -> Check {
    const NAME: &str = "egress";
    let items: Vec<&str> = allow.split(',').map(str::trim).filter(|i| !i.is_empty()).collect();
    if items.is_empty() {
        return Check::ok(NAME, "only public addresses may be fetched");
    }
    let broad: Vec<&str> = items.iter().copied().filter(|item| is_broad(item)).collect();
    if broad.is_empty() {
        return Check::ok(NAME, format!("public addresses, and {}", items.join(", ")));
    }
    Check::warn(
        NAME,
        format!("whoever may submit can fetch from all of {}", broad.join(", ")),
        "name the hosts that are meant, each with its port",
    )
}

fn is_broad(item: &str) -> bool {
    let Some((network, rest)) = item.split_once('/') else { return false };
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let least = if network.contains(':') { BROAD_V6 } else { BROAD_V4 };
    digits.parse().is_ok_and(|prefix: u8| prefix < least)
}

pub(super) fn clock(now: Timestamp) -> Check {
    const NAME: &str = "clock";
    let shown = wire::time::format_utc(now.seconds());
    if (EARLIEST..LATEST).contains(&now.seconds()) {
        return Check::ok(NAME, shown);
    }
    let fix = "set the clock: signed requests are valid for 15 minutes around it";
    Check::fail(NAME, format!("it shows {shown}"), fix)
}

pub(super) fn open_files(config: &Config) -> Check {
    const NAME: &str = "open files";
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let transfers = number(config.transfers).saturating_mul(FILES_PER_TRANSFER);
    let needed = transfers.saturating_add(number(config.connections)).saturating_add(SPARE_FILES);
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < needed => Check::warn(
            NAME,
            format!("this shell allows {limit}; transfers and connections may need {needed}"),
            format!(
                "ulimit -n {needed}, or LimitNOFILE={needed} in the unit; or lower HAULAGE_CONNECTIONS"
            ),
        ),
        Some(limit) => Check::ok(NAME, format!("{limit} allowed, at most {needed} needed")),
        None => Check::ok(NAME, "no limit"),
    }
}

pub(super) fn listen(config: &Config) -> Check {
    const NAME: &str = "listen";
    match std::net::TcpListener::bind(config.listen) {
        Ok(_) => Check::ok(NAME, format!("{} is free", config.listen)),
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => Check::warn(
            NAME,
            format!("{} is in use", config.listen),
            "fine if it is this server that is running; else choose another with HAULAGE_LISTEN",
        ),
        Err(e) => Check::fail(
            NAME,
            format!("{}: {e}", config.listen),
            "choose an address of this machine with HAULAGE_LISTEN",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Level;

    fn config(dir: &Path) -> Config {
        Config { data_dir: dir.to_owned(), listen: ([127, 0, 0, 1], 0).into(), ..Config::default() }
    }

    fn worst(checks: &[Check]) -> Level {
        checks.iter().map(|check| check.level).max().unwrap()
    }

    #[test]
    fn a_data_directory_open_to_others_is_worth_a_warning_and_a_file_is_none() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).unwrap();
        let checks = data_dir(&config(dir.path()));
        assert_eq!(checks[0].level, Level::Warn);
        assert!(checks[0].fix.starts_with("chmod 700"), "{:?}", checks[0]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(worst(&data_dir(&config(&file))), Level::Fail);
        assert_eq!(worst(&data_dir(&config(&file.join("below")))), Level::Fail);
        assert_eq!(worst(&data_dir(&config(&dir.path().join("new")))), Level::Ok);
    }

    #[test]
    fn a_full_disk_fails_and_a_nearly_full_one_warns() {
        let dir = tempfile::tempdir().unwrap();
        let stat = statvfs(dir.path()).unwrap();
        let free = stat.f_bavail * stat.f_frsize;
        let level = |min_free: u64| free_space("disk space", dir.path(), min_free).level;
        assert_eq!(level(free.saturating_mul(2)), Level::Fail);
        assert_eq!(level(free / 8), Level::Warn);
        assert_eq!(level(1), Level::Ok);
    }

    #[test]
    fn a_disk_that_flushes_at_once_is_suspicious() {
        let level = |micros: u64| flushing(Duration::from_micros(micros), Duration::ZERO).level;
        assert_eq!(level(49), Level::Warn);
        assert_eq!(level(50), Level::Ok);
        assert_eq!(level(50_001), Level::Warn);
        assert_eq!(flushing(Duration::from_millis(1), Duration::from_secs(60)).level, Level::Warn);
    }

    #[test]
    fn broad_holes_in_the_firewall_are_worth_a_warning() {
        assert_eq!(egress("").level, Level::Ok);
        assert_eq!(egress("10.0.0.5:443, media.internal, 10.1.0.0/16").level, Level::Ok);
        for broad in ["10.0.0.0/8", "0.0.0.0/0:80", "[fd00::]/8", "::/0"] {
            assert_eq!(egress(broad).level, Level::Warn, "{broad}");
        }
    }

    #[test]
    fn a_clock_that_was_never_set_fails() {
        assert_eq!(clock(Timestamp(0)).level, Level::Fail);
        assert_eq!(clock(Timestamp::from_seconds(EARLIEST)).level, Level::Ok);
    }

    #[test]
    fn a_port_in_use_and_an_address_of_another_machine_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listening = |at| listen(&Config { listen: at, ..config(dir.path()) }).level;
        assert_eq!(listening(taken.local_addr().unwrap()), Level::Warn);
        assert_eq!(listening(([192, 0, 2, 1], 80).into()), Level::Fail);
        assert_eq!(listening(([127, 0, 0, 1], 0).into()), Level::Ok);
    }

    #[test]
    fn a_file_that_is_no_database_fails() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        assert_eq!(database(&config).level, Level::Ok);
        std::fs::write(dir.path().join("haulage.db"), "x".repeat(8_192)).unwrap();
        assert_eq!(database(&config).level, Level::Fail);
    }

    #[tokio::test]
    async fn a_probe_that_does_not_start_fails_and_none_is_a_warning_at_most() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("ffprobe");
        std::fs::write(&program, "#!/bin/sh\nexit 3\n").unwrap();
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let check = probe(&Config { ffprobe: Some(program), ..config(dir.path()) }).await;
        assert_eq!(check.level, Level::Fail, "{check:?}");
        assert_ne!(probe(&config(dir.path())).await.level, Level::Fail);
    }
}
