//! TLS: the server's certificate is verified, or there is no connection.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::cluster::{self, Cluster, NOBODY, Version};
use super::fresh;
use crate::store::postgres::PostgresStore;
use crate::store::{Desk, Store};

fn pem(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
}

/// A server with this certificate.
fn with_certificate(name: &str, dir: &Path) -> Option<Cluster> {
    let (certificate, key) = (dir.join("server.pem"), dir.join("server.key"));
    std::fs::copy(pem(name), &certificate).unwrap();
    std::fs::copy(pem("key.pem"), &key).unwrap();
    // The server wants its key for itself.
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    if rustix::process::getuid().is_root() {
        chown(&key, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let settings = [
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", certificate.display()),
        format!("ssl_key_file={}", key.display()),
    ];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    Cluster::start(Version::Fifteen, &settings)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_the_roots_vouch_for_is_taken_and_no_other() {
    let test = "a_certificate_that_the_roots_vouch_for_is_taken_and_no_other";
    let dir = tempfile::tempdir().unwrap();
    let Some(cluster) = with_certificate("good.pem", dir.path()) else {
        return cluster::skip(test, Version::Fifteen);
    };
    let roots =
        |name: &str| format!("sslrootcert={}", pem(name).display().to_string().replace('/', "%2F"));
    let url = format!("postgres://haulage@127.0.0.1:{}/postgres", cluster.port());
    let store = fresh(&format!("{url}?sslmode=verify-full&{}", roots("root.pem"))).await;
    let used = "SELECT COUNT(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
        WHERE application_name = 'haulage' AND ssl";
    assert_eq!(store.queues().await.unwrap(), []);
    let secured: i64 =
        cluster::foreign(&cluster.url()).await.query_one(used, &[]).await.unwrap().get(0);
    assert!(secured > 0, "the sessions of the store are encrypted");
    store.close().await.unwrap();
    // Not vouched for by these roots, by the public ones, or not for this host.
    for refused in [
        format!("{url}?sslmode=require&{}", roots("self_signed.pem")),
        format!("{url}?sslmode=require"),
    ] {
        let error = PostgresStore::open(&refused, 3).await.unwrap_err().to_string();
        assert!(error.contains("certificate"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_host_is_refused() {
    let test = "a_certificate_of_another_host_is_refused";
    let dir = tempfile::tempdir().unwrap();
    let Some(cluster) = with_certificate("elsewhere.pem", dir.path()) else {
        return cluster::skip(test, Version::Fifteen);
    };
    let root = pem("root.pem").display().to_string().replace('/', "%2F");
    let url = format!(
        "postgres://haulage@127.0.0.1:{}/postgres?sslmode=require&sslrootcert={root}",
        cluster.port()
    );
    let error = PostgresStore::open(&url, 3).await.unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
}
