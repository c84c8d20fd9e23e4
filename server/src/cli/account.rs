//! `haulage account`: works on the store directly, so that it needs no key.

use serde_json::{Value, json};

use super::screen::{Ink, Screen, emit};
use super::setup::{NodeArgs, no_account, store_failure};
use super::table::{Cell, Table};
use super::{Failure, Outcome};
use crate::domain::account::{Account, AccountChange, NAME_LIMIT, Weight, is_valid_name};
use crate::store::Store;

/// Make and list accounts; disable and enable, weigh, pause and resume them
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
    /// Make an account; give it a key with `haulage key create`
    Create {
        name: String,
        /// Its keys may look at every account and act for it
        #[arg(long)]
        operator: bool,
    },
    /// Show all accounts
    List,
    /// Refuse every request of an account
    Disable { name: String },
    /// Allow the requests of an account again
    Enable { name: String },
    /// Set an account's share of the transfers, beside the weights of others that have jobs waiting
    Weight {
        name: String,
        /// 1 is what an account has at first
        #[arg(value_parser = clap::value_parser!(u8).range(1..=i64::from(Weight::MAX)))]
        weight: u8,
    },
    /// Start no more jobs of an account; those that run go on, and new ones are taken in
    Pause { name: String },
    /// Start an account's jobs again
    Resume { name: String },
}

impl Args {
    pub(super) async fn run(self) -> Outcome {
        if let Verb::Create { name, .. } = &self.verb
            && !is_valid_name(name)
        {
            return Err(Failure::Usage(format!(
                "an account's name has 1 to {NAME_LIMIT} letters, digits, `.`, `_` or `-`"
            )));
        }
        let screen = Screen::stderr();
        let open = self.node.open().await?;
        let store = &open.store;
        let answer: Value = match &self.verb {
            Verb::Create { name, operator } => {
                let made = store.account_create(name, *operator, open.clock.now()).await;
                let account = made
                    .map_err(store_failure)?
                    .ok_or_else(|| Failure::No(format!("there is an account {name} already")))?;
                let what = if *operator { "operator account" } else { "account" };
                screen.say(format!("{what} {name} is made"));
                account_json(&account)
            }
            Verb::List => {
                let accounts = store.account_list().await.map_err(store_failure)?;
                if !self.json {
                    screen.say(table(&accounts).render(screen));
                }
                json!({ "Accounts": accounts.iter().map(account_json).collect::<Vec<_>>() })
            }
            Verb::Disable { name } => {
                change(store, name, AccountChange::enabled(false), "is disabled", screen).await?
            }
            Verb::Enable { name } => {
                change(store, name, AccountChange::enabled(true), "is enabled", screen).await?
            }
            Verb::Weight { name, weight } => {
                let weight = Weight::new(*weight).unwrap_or_default();
                let what = format!("has weight {}", weight.get());
                change(store, name, AccountChange::weight(weight), &what, screen).await?
            }
            Verb::Pause { name } => {
                change(store, name, AccountChange::paused(true), "is paused", screen).await?
            }
            Verb::Resume { name } => {
                change(store, name, AccountChange::paused(false), "goes on", screen).await?
            }
        };
        if self.json {
            emit(&answer);
        }
        open.close().await
    }
}

/// Changes an account; `what` says it, after the account's name.
async fn change(
    store: &dyn Store,
    name: &str,
    change: AccountChange,
    what: &str,
    screen: Screen,
) -> Result<Value, Failure> {
    let changed = store.account_change(name, change).await.map_err(store_failure)?;
    let account = changed.ok_or_else(|| no_account(name))?;
    screen.say(format!("account {name} {what}"));
    Ok(account_json(&account))
}

fn status(enabled: bool) -> &'static str {
    if enabled { "Enabled" } else { "Disabled" }
}

fn account_json(account: &Account) -> Value {
    json!({
        "Name": account.name,
        "Status": status(account.enabled),
        "Operator": account.operator,
        "Weight": account.weight.get(),
        "Paused": account.paused,
        "CreationTime": wire::time::format_utc(account.created.seconds()),
    })
}

fn table(accounts: &[Account]) -> Table {
    let mut table = Table::new(&["name", "status", "operator", "weight", "queue", "created"]);
    for account in accounts {
        let ink = if account.enabled { Ink::Green } else { Ink::Yellow };
        table.row(vec![
            Cell::new(&account.name),
            Cell::new(status(account.enabled)).ink(ink),
            Cell::new(if account.operator { "yes" } else { "" }),
            Cell::new(account.weight.get().to_string()),
            Cell::new(if account.paused { "paused" } else { "" }).ink(Ink::Yellow),
            Cell::new(wire::time::format_utc(account.created.seconds())),
        ]);
    }
    table
}
