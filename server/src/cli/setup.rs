//! What verbs need before they can begin: the configuration, a server to talk to, or the store.

use std::collections::BTreeMap;
use std::future::Future;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use clap::{ArgMatches, FromArgMatches};
use tokio::runtime::Runtime;

use super::screen::{Ink, Screen};
use super::{Failure, Outcome};
use crate::client::{Client, Credentials, Server};
use crate::config::Config;
use crate::config::load::{Loaded, Sources, load};
use crate::config::settings::{SETTINGS, Setting};
use crate::domain::account::Account;
use crate::door::Clock;
use crate::door::vault::Vault;
use crate::run::database::{Database, Opened, open_vault};
use crate::run::first_key::CREDENTIALS_FILE;
use crate::store::{Store, StoreError};

/// Connections of a verb to a shared database: the fewest.
const CONNECTIONS: usize = 3;

/// Runs a verb that needs no more than one thread.
pub(super) fn block_on(verb: impl Future<Output = Outcome>) -> Outcome {
    runtime()?.block_on(verb)
}

pub(super) fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| Failure::Cannot(format!("cannot start: {e}")))
}

/// Every setting as a flag, made from the table of settings.
#[derive(Clone, Debug, Default)]
pub(super) struct SettingFlags(pub(super) BTreeMap<&'static str, String>);

impl clap::Args for SettingFlags {
    fn augment_args(command: clap::Command) -> clap::Command {
        let flags = SETTINGS.iter().zip(SPELLINGS.iter());
        flags.fold(command, |command, (setting, spelling)| command.arg(flag_of(setting, spelling)))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

/// Flag and value name of each setting; clap wants them to live as long as the program.
static SPELLINGS: LazyLock<Vec<(String, String)>> =
    LazyLock::new(|| SETTINGS.iter().map(|s| (s.flag(), s.name.to_ascii_uppercase())).collect());

fn flag_of(setting: &'static Setting, (flag, value): &'static (String, String)) -> clap::Arg {
    let default = match setting.default {
        "" => String::new(),
        text => format!(" [default: {text}]"),
    };
    clap::Arg::new(setting.name)
        .long(flag.as_str())
        .value_name(value.as_str())
        .help_heading(setting.group)
        .help(format!("{}{default}", setting.doc.replace('`', "")))
        .long_help(format!(
            "{} Accepts {}. [env: {}]{default}",
            setting.doc.replace('`', ""),
            setting.accepts.replace('`', ""),
            setting.variable(),
        ))
        // The loader reads and judges the value, with its source; an empty one is a value too.
        .value_parser(clap::builder::ValueParser::string())
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = SETTINGS.iter().filter_map(|setting| {
            Some((setting.name, matches.get_one::<String>(setting.name)?.clone()))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Where to find the configuration of a node on this machine.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct NodeArgs {
    /// Configuration file (TOML) [env: HAULAGE_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Data directory of the server [env: HAULAGE_DATA_DIR] [default: ./haulage-data]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) data_dir: Option<String>,
}

impl NodeArgs {
    pub(super) fn sources(&self) -> Sources {
        let mut sources = Sources::of_process();
        sources.file = self.config.clone();
        sources.flags.extend(self.data_dir.clone().map(|dir| ("data_dir", dir)));
        sources
    }

    /// The configuration; its warnings are said.
    pub(super) fn load(&self) -> Result<Loaded, Failure> {
        load_saying(&self.sources())
    }
}

/// Loads the configuration and says its warnings.
pub(super) fn load_saying(sources: &Sources) -> Result<Loaded, Failure> {
    let loaded = load(sources).map_err(|e| Failure::Usage(e.to_string()))?;
    let screen = Screen::stderr();
    for warning in &loaded.warnings {
        screen.say(format!("{} {warning}", screen.paint(Ink::Yellow, "warning:")));
    }
    Ok(loaded)
}

/// Which server to talk to, and as whom. The secret comes from the environment or a file, never
/// from the command line, which other users of the machine can read.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct ServerArgs {
    /// Address of the server [env: HAULAGE_SERVER] [default: the configured listen address]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Access key to sign with; its secret is taken from HAULAGE_ACCESS_KEY_SECRET or the data
    /// directory [env: HAULAGE_ACCESS_KEY_ID]
    #[arg(long, value_name = "ID")]
    access_key_id: Option<String>,
    #[command(flatten)]
    node: NodeArgs,
}

impl ServerArgs {
    /// A client of that server.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let mut sources = self.node.sources();
        sources.flags.extend(self.access_key_id.clone().map(|id| ("access_key_id", id)));
        let config = load_saying(&sources)?.config;
        let named = self.server.as_deref().or_else(|| sources.variable("HAULAGE_SERVER"));
        let server = match named {
            Some(text) => text.to_owned(),
            None => listen_url(&config)?,
        };
        let server: Server = server.parse().map_err(|e| Failure::Usage(format!("{e}")))?;
        Ok(Client::new(server, credentials(&config)?, Clock::System))
    }
}

impl ServerArgs {
    /// Where browsers reach that server: the configured public URL, unless the server is named.
    pub(super) fn public_url(&self) -> Result<Option<String>, Failure> {
        let sources = self.node.sources();
        if self.server.is_some() || sources.variable("HAULAGE_SERVER").is_some() {
            return Ok(None);
        }
        let config = load(&sources).map_err(|e| Failure::Usage(e.to_string()))?.config;
        Ok(config.public_url.map(|url| url.trim_end_matches('/').to_owned()))
    }
}

/// Where a node of this configuration is reached from its own machine.
fn listen_url(config: &Config) -> Result<String, Failure> {
    let mut at = config.listen;
    if at.port() == 0 {
        return Err(Failure::Usage(
            "the configured port is 0, so the server's address is not known; name it with --server"
                .to_owned(),
        ));
    }
    if at.ip().is_unspecified() {
        at.set_ip(match at.ip() {
            std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(format!("http://{at}"))
}

/// The key of the configuration, else that of the data directory.
fn credentials(config: &Config) -> Result<Credentials, Failure> {
    let chosen = (config.access_key_id.clone(), config.access_key_secret.clone());
    if let (Some(access_key_id), Some(access_key_secret)) = chosen {
        return Ok(Credentials { access_key_id, access_key_secret });
    }
    if config.access_key_secret.is_some() {
        return Err(Failure::Usage(
            "HAULAGE_ACCESS_KEY_SECRET is set but HAULAGE_ACCESS_KEY_ID is not; set both"
                .to_owned(),
        ));
    }
    let path = config.data_dir.join(CREDENTIALS_FILE);
    let kept = Credentials::read(&config.data_dir)
        .map_err(|e| Failure::Usage(format!("{} cannot be used: {e}", path.display())))?;
    match (kept, &config.access_key_id) {
        (Some(kept), None) => Ok(kept),
        (Some(kept), Some(id)) if kept.access_key_id == *id => Ok(kept),
        (_, Some(id)) => Err(Failure::Usage(format!(
            "the secret of {id} is not known; set HAULAGE_ACCESS_KEY_SECRET"
        ))),
        (None, None) => Err(Failure::Usage(format!(
            "there is no access key to sign with: set HAULAGE_ACCESS_KEY_ID and HAULAGE_ACCESS_KEY_SECRET, or run this where {} is",
            path.display()
        ))),
    }
}

/// The store of a node, for verbs that work on it directly.
#[derive(Debug)]
pub(super) struct OpenStore {
    pub(super) store: Arc<dyn Store>,
    pub(super) vault: Vault,
    pub(super) clock: Clock,
}

impl NodeArgs {
    /// Opens the store, and makes the data directory when it is not there yet.
    pub(super) async fn open(&self) -> Result<OpenStore, Failure> {
        let config = self.load()?.config;
        let dir = &config.data_dir;
        let mut builder = std::fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(dir);
        let cannot = |e: std::io::Error| {
            Failure::Cannot(format!(
                "the data directory {} cannot be used: {e}; make it writable for this user, or name another with --data-dir",
                dir.display()
            ))
        };
        made.map_err(cannot)?;
        let vault = open_vault(&config).map_err(cannot)?;
        let database = Database::of(&config).map_err(|e| Failure::Usage(e.to_string()))?;
        let few = Config { database_connections: CONNECTIONS, ..config.clone() };
        let opened = database.open(&few, &vault).await;
        let Opened { store, clock, .. } = opened.map_err(|e| Failure::Cannot(e.to_string()))?;
        Ok(OpenStore { store, vault, clock })
    }
}

impl OpenStore {
    /// The account of this name.
    pub(super) async fn account(&self, name: &str) -> Result<Account, Failure> {
        let accounts = self.store.account_list().await.map_err(store_failure)?;
        accounts.into_iter().find(|account| account.name == name).ok_or_else(|| no_account(name))
    }

    pub(super) async fn close(self) -> Outcome {
        self.store.close().await.map_err(store_failure)
    }
}

pub(super) fn no_account(name: &str) -> Failure {
    Failure::No(format!(
        "there is no account {}; `haulage account list` shows all",
        super::human::printable(name)
    ))
}

/// What the store's own failure means for the verb.
pub(super) fn store_failure(error: StoreError) -> Failure {
    Failure::Cannot(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::load;

    fn config(flags: &[(&'static str, &str)]) -> Config {
        let flags = flags.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        load(&Sources { flags, ..Sources::default() }).unwrap().config
    }

    #[test]
    fn a_server_that_listens_everywhere_is_reached_on_loopback() {
        let url = |listen: &str| listen_url(&config(&[("listen", listen)]));
        assert_eq!(url("0.0.0.0:99").unwrap(), "http://127.0.0.1:99");
        assert_eq!(url("[::]:99").unwrap(), "http://[::1]:99");
        assert_eq!(url("10.0.0.1:99").unwrap(), "http://10.0.0.1:99");
        assert!(matches!(url("127.0.0.1:0"), Err(Failure::Usage(_))));
    }

    fn data_dir_with_key() -> tempfile::TempDir {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CREDENTIALS_FILE);
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .unwrap();
        file.write_all(b"access_key_id = \"kept\"\naccess_key_secret = \"kept secret\"\n").unwrap();
        dir
    }

    #[test]
    fn the_configured_key_comes_before_the_one_of_the_data_directory() {
        let dir = data_dir_with_key();
        let dir = dir.path().to_str().unwrap();
        let key = |flags: &[(&'static str, &str)]| {
            let flags = [flags, &[("data_dir", dir)]].concat();
            credentials(&config(&flags)).map(|key| (key.access_key_id, key.access_key_secret))
        };
        let kept = ("kept".to_owned(), "kept secret".to_owned());
        assert_eq!(key(&[]).unwrap(), kept);
        assert_eq!(key(&[("access_key_id", "kept")]).unwrap(), kept);
        let given = key(&[("access_key_id", "mine"), ("access_key_secret", "12345678")]);
        assert_eq!(given.unwrap(), ("mine".to_owned(), "12345678".to_owned()));
        // A secret of one key never goes with the id of another.
        assert!(matches!(key(&[("access_key_id", "mine")]), Err(Failure::Usage(_))));
        assert!(matches!(key(&[("access_key_secret", "12345678")]), Err(Failure::Usage(_))));
    }

    #[test]
    fn without_any_key_the_verb_says_what_to_set() {
        let dir = tempfile::tempdir().unwrap();
        let failure = credentials(&config(&[("data_dir", dir.path().to_str().unwrap())]));
        let text = failure.unwrap_err().to_string();
        assert!(
            text.contains("HAULAGE_ACCESS_KEY_ID") && text.contains(CREDENTIALS_FILE),
            "{text}"
        );
    }
}
