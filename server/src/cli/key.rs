//! `haulage key`: works on the store directly, so that it needs no key.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::screen::{Ink, Screen, emit};
use super::setup::{NodeArgs, OpenStore, store_failure};
use super::table::{Cell, Table};
use super::{Failure, Outcome, human};
use crate::domain::account::{AccessKey, AccountId, KeyStatus};
use crate::run::first_key;

/// Make, list, disable, enable and delete access keys
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
    /// Machine output on standard output
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a key and show it, this once
    Create {
        /// Account that the key is for
        #[arg(long, value_name = "NAME")]
        account: String,
    },
    /// Show keys, without their secrets
    List {
        /// Only the keys of this account
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
    },
    /// Refuse every request that a key signs
    Disable { id: String },
    /// Allow what a key signs again
    Enable { id: String },
    /// Forget a key for good
    Delete { id: String },
}

impl Args {
    pub(super) async fn run(self) -> Outcome {
        let screen = Screen::stderr();
        let open = self.node.open().await?;
        let answer = match &self.verb {
            Verb::Create { account } => create(&open, account, screen, self.json).await?,
            Verb::List { account } => list(&open, account.as_deref(), screen, self.json).await?,
            Verb::Disable { id } => set(&open, id, Some(KeyStatus::Disabled), screen).await?,
            Verb::Enable { id } => set(&open, id, Some(KeyStatus::Enabled), screen).await?,
            Verb::Delete { id } => set(&open, id, None, screen).await?,
        };
        // A secret is shown only once its key is on stable storage.
        open.close().await?;
        if self.json {
            emit(&answer);
        }
        Ok(())
    }
}

async fn create(
    open: &OpenStore,
    account: &str,
    screen: Screen,
    json: bool,
) -> Result<Value, Failure> {
    let account = open.account(account).await?;
    let key = first_key::generate();
    let added =
        first_key::add(open.store.as_ref(), &open.vault, &account, &key, open.clock.now()).await;
    if !added.map_err(store_failure)? {
        return Err(Failure::Cannot(format!("account {} has just gone", account.name)));
    }
    if !json {
        screen.say(format!(
            "A key of {}, shown this once:\n  AccessKeyId      {}\n  AccessKeySecret  {}",
            account.name,
            screen.paint(Ink::Bold, &key.access_key_id),
            screen.paint(Ink::Bold, &key.access_key_secret),
        ));
    }
    Ok(json!({ "AccessKeyId": key.access_key_id, "AccessKeySecret": key.access_key_secret }))
}

async fn list(
    open: &OpenStore,
    account: Option<&str>,
    screen: Screen,
    json: bool,
) -> Result<Value, Failure> {
    let of = match account {
        Some(name) => Some(open.account(name).await?.id),
        None => None,
    };
    let keys = open.store.key_list(of).await.map_err(store_failure)?;
    let accounts = open.store.account_list().await.map_err(store_failure)?;
    let names: HashMap<AccountId, String> =
        accounts.into_iter().map(|account| (account.id, account.name)).collect();
    let name = |key: &AccessKey| names.get(&key.account).cloned().unwrap_or_default();
    if !json {
        screen.say(table(&keys, name).render(screen));
    }
    let rows = keys.iter().map(|key| {
        json!({
            "AccessKeyId": key.id,
            "Account": name(key),
            "Status": status(key.status),
            "CreationTime": wire::time::format_utc(key.created.seconds()),
        })
    });
    Ok(json!({ "Keys": rows.collect::<Vec<_>>() }))
}

async fn set(
    open: &OpenStore,
    id: &str,
    to: Option<KeyStatus>,
    screen: Screen,
) -> Result<Value, Failure> {
    if !open.store.key_set_status(id, to).await.map_err(store_failure)? {
        let id = human::printable(id);
        return Err(Failure::No(format!("there is no key {id}; `haulage key list` shows all")));
    }
    let status = to.map_or("Deleted", status);
    screen.say(format!("key {id} is {}", status.to_lowercase()));
    Ok(json!({ "AccessKeyId": id, "Status": status }))
}

fn status(status: KeyStatus) -> &'static str {
    match status {
        KeyStatus::Enabled => "Enabled",
        KeyStatus::Disabled => "Disabled",
    }
}

fn table(keys: &[AccessKey], name: impl Fn(&AccessKey) -> String) -> Table {
    let mut table = Table::new(&["id", "account", "status", "created"]);
    for key in keys {
        let ink = match key.status {
            KeyStatus::Enabled => Ink::Green,
            KeyStatus::Disabled => Ink::Yellow,
        };
        table.row(vec![
            Cell::new(&key.id),
            Cell::new(name(key)),
            Cell::new(status(key.status)).ink(ink),
            Cell::new(wire::time::format_utc(key.created.seconds())),
        ]);
    }
    table
}
