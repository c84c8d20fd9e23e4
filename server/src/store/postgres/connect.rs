//! Connecting: what the URL says, TLS, the settings of every session, and what to look at before the
//! first verb.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failure::describe;
use super::hosts::{Dial, Driver, Hosts};
use crate::store::{StoreError, StoreResult};

/// The oldest version that is tested.
const OLDEST_POSTGRES: i32 = 150_000;

/// A host that does not answer is given up for the next one after this long.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// A connection whose other end is gone without a word is found out within about this long.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);
/// How long a verb waits for a connection of its pool, and for a new one in all.
const WAIT: Duration = Duration::from_secs(10);

/// The settings of every session, whatever the server's defaults are.
///
/// A statement that takes longer than its time is ended by the server; a transaction that is left
/// alone (its node is paused) gives up its locks. What commits must be on stable storage, so a server
/// that does not wait for that by default is told to; and it must say when it gave up waiting for a
/// standby, which it does in a warning. Statistics of a queue are always old, and the
/// plans that bitmaps and whole scans are good for are never the right ones here.
pub(super) const SESSION: &str = "SET statement_timeout = '30s'; SET lock_timeout = '20s'; \
    SET idle_in_transaction_session_timeout = '10s'; \
    SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off; \
    SET client_min_messages = warning; SET jit = off; SET enable_seqscan = off; SET enable_bitmapscan = off; \
    SELECT set_config('synchronous_commit', 'on', false) \
    WHERE current_setting('synchronous_commit') = 'off'";

/// Those of sessions that only read: where rows come in the order of an index, they come by it.
pub(super) const READER: &str = "SET enable_sort = off; SET enable_incremental_sort = off";

/// What a pool's sessions do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Duty {
    Write,
    Read,
}

/// Where the database is, and how it is spoken to.
#[derive(Clone)]
pub(super) struct Place {
    config: Config,
    hosts: Hosts,
}

/// What the URL says about TLS. The server's certificate is always verified where there is TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tls {
    Off,
    Verified,
}

fn unusable(why: &str) -> StoreError {
    StoreError::Engine(format!("the database URL cannot be used: {why}"))
}

impl Place {
    /// Reads a `postgres://` URL. Complaints never repeat it: it has a password in it.
    pub(super) fn parse(url: &str) -> StoreResult<Self> {
        // A password may have a question mark in it: the query begins after the last `@`.
        let hosts = url.rfind('@').unwrap_or(0);
        let (base, query) = match url[hosts..].find('?') {
            Some(at) => (&url[..hosts + at], &url[hosts + at + 1..]),
            None => (url, ""),
        };
        let (mut mode, mut roots, mut kept) = (None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value.to_owned()),
                Some(("sslrootcert", value)) => {
                    let path = percent_decoded(value);
                    roots = Some(PathBuf::from(
                        path.ok_or_else(|| unusable("sslrootcert is not readable text"))?,
                    ));
                }
                _ => kept.push(pair),
            }
        }
        let rest =
            if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
        let mut config = Config::from_str(&rest).map_err(|_| {
            unusable(
                "it is not of the form postgres://USER:PASSWORD@HOST:PORT/DATABASE?OPTION=VALUE, or has an option that is not known; special characters are to be percent-encoded",
            )
        })?;
        if config.get_hosts().is_empty() {
            return Err(unusable("it names no host"));
        }
        let tls = tls_mode(mode.as_deref(), config.get_hosts().iter().all(is_here))?;
        config.ssl_mode(match tls {
            Tls::Off => SslMode::Disable,
            Tls::Verified => SslMode::Require,
        });
        config.connect_timeout(*config.get_connect_timeout().unwrap_or(&CONNECT_TIME));
        config.keepalives_idle(KEEPALIVE_IDLE);
        config.keepalives_interval(KEEPALIVE_INTERVAL);
        config.keepalives_retries(KEEPALIVE_RETRIES);
        config.tcp_user_timeout(*config.get_tcp_user_timeout().unwrap_or(&UNACKNOWLEDGED));
        // Of several hosts, the one that takes writes: a standby is passed over.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        if config.get_application_name().is_none() {
            config.application_name("haulage");
        }
        let tls = match tls {
            Tls::Off => None,
            Tls::Verified => Some(MakeRustlsConnect::new(tls_config(roots.as_ref())?)),
        };
        let hosts = Hosts::new(&config, tls);
        Ok(Self { config, hosts })
    }

    /// Hosts, ports and name of the database, for people.
    pub(super) fn shown(&self) -> String {
        let ports = self.config.get_ports();
        let port = |at: usize| ports.get(at).or(ports.first()).copied().unwrap_or(5432);
        let hosts = self.config.get_hosts().iter().enumerate().map(|(at, host)| match host {
            Host::Tcp(name) => format!("{name}:{}", port(at)),
            Host::Unix(path) => path.display().to_string(),
        });
        let hosts: Vec<String> = hosts.collect();
        format!("{}/{}", hosts.join(","), self.config.get_dbname().unwrap_or_default())
    }

    /// What is known of the hosts.
    pub(super) fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Must be called on the runtime that is to drive the connections.
    pub(super) fn pool(&self, size: usize, duty: Duty) -> StoreResult<Pool> {
        let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let dial = Dial::new(self.hosts.clone());
        let manager = Manager::from_connect(self.config.clone(), dial, config);
        let settings = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
            Box::pin(async move {
                client.batch_execute(SESSION).await.map_err(HookError::Backend)?;
                match duty {
                    Duty::Write => Ok(()),
                    Duty::Read => client.batch_execute(READER).await.map_err(HookError::Backend),
                }
            })
        });
        let hosts = self.hosts.clone();
        let is_of_now = Hook::sync_fn(move |_, metrics| {
            if hosts.is_of_now(metrics) {
                Ok(())
            } else {
                Err(HookError::message("it leads to a server that was replaced"))
            }
        });
        let pool = Pool::builder(manager)
            .max_size(size)
            .wait_timeout(Some(WAIT))
            .create_timeout(Some(WAIT))
            .runtime(Runtime::Tokio1)
            .post_create(settings)
            .pre_recycle(is_of_now)
            .build();
        pool.map_err(|error| StoreError::Engine(error.to_string()))
    }

    /// A connection outside of the pools; the second half is to be driven by a task.
    pub(super) async fn connect(&self, name: &str) -> StoreResult<(Client, Driver)> {
        let failed = |why: String| {
            StoreError::Engine(format!("no connection to the database {}: {why}", self.shown()))
        };
        match timeout(WAIT, self.hosts.connect(Some(name))).await {
            Ok(Ok(connected)) => Ok(connected),
            Ok(Err(error)) => Err(failed(describe(&error))),
            Err(_) => Err(failed("none of its hosts answered in time".to_owned())),
        }
    }
}

fn tls_mode(mode: Option<&str>, is_here: bool) -> StoreResult<Tls> {
    match mode {
        Some("disable") => Ok(Tls::Off),
        Some("require" | "verify-ca" | "verify-full") => Ok(Tls::Verified),
        // Over a socket or loopback there is nobody in between.
        None if is_here => Ok(Tls::Off),
        None => Ok(Tls::Verified),
        Some(_) => Err(unusable(
            "sslmode is none of disable, require, verify-ca and verify-full; the last three mean the same: TLS, with the server's certificate verified",
        )),
    }
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
    }
}

fn tls_config(roots_file: Option<&PathBuf>) -> StoreResult<ClientConfig> {
    let roots = match roots_file {
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        Some(path) => {
            let unreadable = |why: String| unusable(&format!("{}: {why}", path.display()));
            let found =
                CertificateDer::pem_file_iter(path).map_err(|e| unreadable(e.to_string()))?;
            let mut roots = RootCertStore::empty();
            for certificate in found {
                let certificate = certificate.map_err(|e| unreadable(e.to_string()))?;
                roots.add(certificate).map_err(|e| unreadable(e.to_string()))?;
            }
            if roots.is_empty() {
                return Err(unreadable("there is no certificate in it".to_owned()));
            }
            roots
        }
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Engine(format!("TLS: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let mut decoded = [0u8; 1];
            hex::decode_to_slice(digits, &mut decoded).ok()?;
            out.push(decoded[0]);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// What a look at the server shows.
#[derive(Clone, Debug)]
pub struct Server {
    /// `15.3`.
    pub version: String,
    /// What an operator should know, one sentence each.
    pub warnings: Vec<String>,
}

/// A role without `pg_monitor` is not told the state of a standby; it may be synchronous then.
const SETTINGS: &str = "SELECT current_setting('server_version_num')::INTEGER, \
    current_setting('server_version'), current_setting('server_encoding'), \
    current_setting('fsync'), current_setting('full_page_writes'), \
    (SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'), \
    current_setting('synchronous_standby_names'), \
    (SELECT COUNT(*) FROM pg_stat_replication \
    WHERE sync_state IN ('sync', 'quorum') OR sync_state IS NULL)";

/// Judges the server: an error for what cannot work, warnings for what breaks promises.
pub(super) async fn inspect(client: &Client) -> StoreResult<Server> {
    let failed = |error: tokio_postgres::Error| StoreError::Engine(describe(&error));
    let found = client.query_one(SETTINGS, &[]).await.map_err(failed)?;
    let number: i32 = found.try_get(0).map_err(failed)?;
    let text = |at: usize| found.try_get::<_, String>(at).map_err(failed);
    let version = text(1)?;
    if number < OLDEST_POSTGRES {
        return Err(StoreError::Engine(format!(
            "PostgreSQL {version} is too old; 15 is the oldest that Haulage is tested with"
        )));
    }
    if text(2)? != "UTF8" {
        return Err(StoreError::Engine(format!(
            "the database's encoding is {}; make one with ENCODING 'UTF8'",
            text(2)?
        )));
    }
    let mut warnings = Vec::new();
    for (at, name) in [(3, "fsync"), (4, "full_page_writes")] {
        if text(at)? != "on" {
            warnings.push(format!(
                "the database runs with {name} = {}: a crash of its machine can lose or damage what was acknowledged",
                text(at)?
            ));
        }
    }
    match text(5)?.as_str() {
        "off" => warnings.push(
            "the database has synchronous_commit = off; Haulage's own sessions turn it on"
                .to_owned(),
        ),
        "local" | "remote_write" => warnings.push(format!(
            "the database has synchronous_commit = {}: what was acknowledged can be lost in a failover",
            text(5)?
        )),
        _ => {}
    }
    let synchronous: i64 = found.try_get(7).map_err(failed)?;
    if !text(6)?.is_empty() && synchronous == 0 {
        warnings.push(
            "synchronous_standby_names is set but no standby is synchronous now: commits wait for one"
                .to_owned(),
        );
    }
    Ok(Server { version, warnings })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_a_complaint_never_repeats_it() {
        let place = Place::parse("postgres://me:p%40ss@a.example:6432,b.example/jobs").unwrap();
        assert_eq!(place.shown(), "a.example:6432,b.example:5432/jobs");
        for bad in [
            "postgres://me:SECRET@h:notaport/db",
            "postgres://me:SEC?RET@h/db?sslmode=allow",
            "postgres://me:SECRET@h/db?sslmode=prefer",
            "postgres://me:SECRET@h/db?nosuchoption=SECRET",
            "postgres://me:SECRET@h/db?sslmode=require&sslrootcert=%ZZ",
            "postgres:///db",
        ] {
            let error = Place::parse(bad).err().expect(bad).to_string();
            assert!(!error.contains("SEC") && !error.contains("RET"), "{error}");
        }
    }

    #[test]
    fn tls_is_verified_or_off_and_off_by_default_only_on_this_machine() {
        let tls = |url: &str| Place::parse(url).unwrap().hosts.have_tls();
        assert!(tls("postgres://u@db.example/d"));
        assert!(tls("postgres://u@db.example/d?sslmode=require"));
        assert!(!tls("postgres://u@db.example/d?sslmode=disable"));
        assert!(!tls("postgres://u@127.0.0.1:5433/d"));
        assert!(!tls("postgres://u@%2Frun%2Fpostgresql/d"));
        assert!(tls("postgres://u@localhost,db.example/d"), "one of them is elsewhere");
        assert!(tls("postgres://u@localhost/d?sslmode=verify-full"));
    }
}
