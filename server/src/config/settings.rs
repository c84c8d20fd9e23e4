//! The one table of settings: the loader, `haulage help`, `docs/configuration.md` and the
//! configuration as in force are all made from it.

use super::{Config, values};

/// One setting. Its three spellings follow from `name`.
#[derive(Debug)]
pub struct Setting {
    /// Key of the file: `data_dir`.
    pub name: &'static str,
    /// Heading it stands under.
    pub group: &'static str,
    /// Text of the default; empty when the setting is not set or follows from others.
    pub default: &'static str,
    /// What values it takes, for error messages and documents.
    pub accepts: &'static str,
    /// Meaning, unit and consequences.
    pub doc: &'static str,
    pub secrecy: Secrecy,
    set: fn(&mut Config, &str) -> Result<(), String>,
}

/// How much of a value may be shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Secrecy {
    Open,
    /// A URL that may carry a password or keys: shown up to its query, without user information.
    Url,
    /// A list of `name=URL`, each URL shown as above.
    Urls,
    /// Never shown.
    Secret,
}

impl Setting {
    /// `HAULAGE_DATA_DIR`.
    pub fn variable(&self) -> String {
        format!("HAULAGE_{}", self.name.to_ascii_uppercase())
    }

    /// `data-dir`, without the dashes before it.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// `text` as it may be shown.
    pub fn shown(&self, text: &str) -> String {
        match self.secrecy {
            Secrecy::Open => text.to_owned(),
            Secrecy::Secret if text.is_empty() => String::new(),
            Secrecy::Secret => "(hidden)".to_owned(),
            Secrecy::Url => without_secrets(text),
            Secrecy::Urls => {
                text.split(',').map(named_without_secrets).collect::<Vec<_>>().join(",")
            }
        }
    }

    /// Gives `config` the value that `text` says.
    ///
    /// # Errors
    /// Why the text is unusable, without the text itself; empty when `accepts` says it all.
    pub(super) fn set(&self, config: &mut Config, text: &str) -> Result<(), String> {
        (self.set)(config, text)
    }
}

/// The setting of a file key.
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

fn named_without_secrets(item: &str) -> String {
    match item.split_once('=') {
        Some((name, url)) => format!("{name}={}", without_secrets(url)),
        None => without_secrets(item),
    }
}

fn without_secrets(url: &str) -> String {
    let (base, query) = match url.split_once('?') {
        Some((base, _)) => (base, "?(hidden)"),
        None => (url, ""),
    };
    let Some((scheme, rest)) = base.split_once("://") else {
        return if base.is_empty() { String::new() } else { "(hidden)".to_owned() };
    };
    // A password may hold any character, an `@` too: the host begins after the last one.
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://(hidden)@{host}{query}"),
        None => format!("{scheme}://{rest}{query}"),
    }
}

macro_rules! settings {
    ($($group:literal { $($name:ident ($field:ident): $kind:ident $secrecy:ident = $default:literal, $doc:literal;)* })*) => {
        /// All settings, in the order in which documents show them.
        pub static SETTINGS: &[Setting] = &[$($(Setting {
            name: stringify!($name),
            group: $group,
            default: $default,
            accepts: values::$kind::ACCEPTS,
            doc: $doc,
            secrecy: Secrecy::$secrecy,
            set: |config, text| {
                config.$field = values::$kind::parse(text)?;
                Ok(())
            },
        },)*)*];

        // A field of `Config` without a setting, or with two, does not compile.
        const _: fn(Config) = |Config { $($($field: _,)*)* }| {};
    };
}

settings! {
    "The server" {
        listen (listen): address Open = "127.0.0.1:8710",
            "Where the API, the explorer, the console and play URLs are served. Port 0 picks a free one.";
        public_url (public_url): base_url Open = "",
            "Base of play URLs and Recommend links, as clients reach this server; follows from `listen` when not set.";
        connections (connections): count Open = "4096",
            "Concurrent connections the server accepts; more wait in the listen queue.";
        console_session (console_session): duration Open = "12h",
            "How long a sign-in to the console lasts.";
        drain (drain): pause Open = "25s",
            "How long running transfers may go on after SIGTERM; what is left is handed back and continues after the next start.";
        log (log): filter Open = "info",
            "What is logged, to standard error.";
        log_format (log_json): log_format Open = "text",
            "How log lines are written.";
    }
    "Storage" {
        data_dir (data_dir): path Open = "./haulage-data",
            "The embedded database, local objects, staging, credentials and keys.";
        database_url (database_url): store_url Url = "",
            "The database; `sqlite://<data dir>/haulage.db` when not set.";
        storage_url (storage_url): place Url = "",
            "Where objects are kept; `file://<data dir>/objects` when not set. A bucket also needs a key in `storage_keys`; see docs/storage.md.";
        storage_locations (storage_locations): places Urls = "",
            "Further places, which a call chooses by `StorageLocation`; the one of `storage_url` is called `default`. In the file also a table.";
        storage_keys (storage_keys): keys Secret = "",
            "Id and secret for each location that is a bucket. Prefer the environment or the file: other users of a machine can read a program's flags. In the file also a table.";
        storage_part_bytes (storage_part_bytes): part_size Open = "16MiB",
            "Larger objects go to a bucket in parts of this size; of objects over 10,000 parts the parts are larger.";
        storage_parts (storage_parts): count Open = "16",
            "Parts that this node holds in memory and sends at once, over all transfers; one transfer sends at most 4.";
        storage_timeout (storage_timeout): duration Open = "60s",
            "Longest wait for a bucket's answer to one request, the sending of a part included, and longest pause in an answer.";
        min_free (min_free): size Open = "64MiB",
            "Bytes that must stay free on the disks of the database and the objects; below it submissions are refused, queries and cancels still answered.";
        checkpoint_bytes (checkpoint_bytes): size Open = "64MiB",
            "A transfer makes a checkpoint each time that so many bytes came; at least 64KiB. Smaller files have none.";
        checkpoint_interval (checkpoint_interval): duration Open = "10s",
            "A slow transfer makes a checkpoint after this long, once 1MiB came since the last one.";
        partial_bytes (partial_bytes): size Open = "64GiB",
            "Bytes of unfinished files kept for jobs that wait for another attempt; beyond it the oldest are dropped and their transfers begin anew.";
        partial_age (partial_age): duration Open = "24h",
            "How long such a file is kept while nobody writes to it.";
        retention (retention): duration Open = "366d",
            "How long the record of a failed or cancelled job is kept.";
    }
    "Access" {
        access_key_id (access_key_id): key_id Open = "",
            "Id of the first account's access key. When not set, one is made on the first start, written to `<data dir>/credentials.toml` (mode 0600) and shown once.";
        access_key_secret (access_key_secret): secret Secret = "",
            "Secret of that key; set both or neither. Prefer the environment or the file: other users of a machine can read a program's flags.";
        qps (qps): rates Open = "",
            "Calls a second an account may make, by operation, in place of the documented limits; 0 = no limit. In the file also a table.";
        calls_per_day (calls_per_day): limit Open = "200000",
            "`UploadMediaByURL` calls of one account in one UTC day; 0 = no limit.";
        pending_jobs (pending_jobs): limit Open = "none",
            "Jobs of one account that may wait at once; 0 = no limit.";
        auth_timeout (auth_timeout): duration Open = "1h",
            "Validity of play URLs whose caller did not say `AuthTimeout`.";
    }
    "Fetching" {
        egress_allow (egress_allow): networks Open = "",
            "Networks or hosts that may be fetched although the egress firewall would refuse them. An allowed network never opens metadata addresses or the server's own listeners unless they are named exactly.";
        resolvers (resolvers): addresses Open = "",
            "DNS servers to ask in place of the system's.";
        extra_ca (extra_ca): optional_path Open = "",
            "PEM file of additional root certificates for sources and receivers.";
        http2 (http2): switch Open = "off",
            "Whether origins that prefer it are spoken to in HTTP/2 (over TLS). HTTP/1.1 is faster for single large files; an origin that speaks nothing else needs this on.";
        connect_timeout (connect_timeout): duration Open = "10s",
            "DNS, TCP and TLS together.";
        header_timeout (header_timeout): duration Open = "30s",
            "From the request sent to the head of the response complete, absolute.";
        stall_timeout (stall_timeout): duration Open = "30s",
            "No byte for this long is a stall.";
        min_speed (min_speed): size Open = "1KiB",
            "Slower than this many bytes a second over `min_speed_window` is a stall.";
        min_speed_window (min_speed_window): duration Open = "60s",
            "Over how long `min_speed` is measured.";
        redirects (redirects): limit Open = "10",
            "Redirects followed for one source; 0 = none.";
        max_bytes (max_bytes): size Open = "20GiB",
            "Largest source.";
        md5 (md5): md5_rule Open = "asked",
            "Whether the MD5 of every file is computed and recorded (`always`), or only where the caller declared one or the origin announced one (`asked`). It costs about 1.6 CPU seconds per GiB; CRC-64 is always computed.";
        sha256_max (sha256_max): size Open = "256MiB",
            "Largest file whose SHA-256 is computed and recorded although neither the caller declared one nor the origin announced one; 0 = none. It costs about 0.6 CPU seconds per GiB.";
        ffprobe (ffprobe): optional_path Open = "",
            "The `ffprobe` program; looked up in PATH when not set. It is asked what the built-in readers cannot tell of a file.";
    }
    "Jobs" {
        transfers (transfers): limit Open = "64",
            "Concurrent transfers of this node; 0 = accept jobs and pull none.";
        per_host (per_host): count Open = "8",
            "Concurrent transfers from one source host, per node. Jobs beyond it keep their place in line, and later jobs of other hosts go first.";
        per_account (per_account): limit Open = "none",
            "Concurrent transfers of one account, per node; 0 = no limit.";
        reserve (reserve): reserve Open = "auto",
            "Transfers of this node that an account with many may not take, so that another account's first job does not wait for its transfers to end; `auto` is an eighth of `transfers`, and at least 1 of several. Otherwise an account may use what nobody else wants.";
        bandwidth (bandwidth): rate Open = "none",
            "Bytes a second that all transfers of this node may receive together; 0 = no limit.";
        account_bandwidth (account_bandwidth): rate Open = "none",
            "Bytes a second that the transfers of one account may receive together, per node; 0 = no limit.";
        attempts (attempts): count Open = "5",
            "Attempts of a job for transient failures, since it last moved on: an attempt that continues and adds at least 1MiB starts the count anew.";
        backoff (backoff): pause Open = "1s",
            "First pause between attempts; it doubles, with jitter, up to `backoff_max`.";
        backoff_max (backoff_max): pause Open = "5m",
            "Longest pause between attempts.";
        job_deadline (job_deadline): duration Open = "24h",
            "From acceptance to the end of a job, waiting for retries included.";
        lease (lease): duration Open = "30s",
            "Lease of a worker on its job, prolonged every third of it; at least 1s.";
        rescues (rescues): count Open = "20",
            "Leases of one job that may end without a word of their worker (crashes) before the job fails.";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_have_one_spelling_each() {
        for (at, setting) in SETTINGS.iter().enumerate() {
            let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            assert!(setting.name.bytes().all(fine), "{}", setting.name);
            assert!(SETTINGS[..at].iter().all(|other| other.name != setting.name));
        }
        let listen = find("listen").unwrap();
        assert_eq!(
            (listen.variable().as_str(), listen.flag().as_str()),
            ("HAULAGE_LISTEN", "listen")
        );
        assert_eq!(find("data_dir").unwrap().flag(), "data-dir");
    }

    #[test]
    fn secrets_are_hidden_where_a_value_is_shown() {
        let secret = find("access_key_secret").unwrap();
        assert_eq!(secret.shown("hunter2-hunter2"), "(hidden)");
        assert_eq!(secret.shown(""), "");
        let database = find("database_url").unwrap();
        let shown = database.shown("postgres://me:p@ss@db.example/haulage?sslpassword=x");
        assert_eq!(shown, "postgres://(hidden)@db.example/haulage?(hidden)");
        assert_eq!(database.shown("sqlite:///srv/haulage.db"), "sqlite:///srv/haulage.db");
        assert_eq!(database.shown("me:pass"), "(hidden)");
        assert_eq!(find("listen").unwrap().shown("[::]:1"), "[::]:1");
        let locations = find("storage_locations").unwrap();
        let shown = locations.shown("a=s3://k:s@b/p?x=1,b=file:///srv,c");
        assert_eq!(shown, "a=s3://(hidden)@b/p?(hidden),b=file:///srv,(hidden)");
        assert_eq!(find("storage_keys").unwrap().shown("a=k:s"), "(hidden)");
    }
}
