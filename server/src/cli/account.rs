//! `haulage account`: works on the store directly, so that it needs no key.

use serde_json::{Value, json};

use super::screen::{Ink, Screen, emit};
use super::setup::{NodeArgs, no_account, store_failure};
use super::table::{Cell, Table};
use super::{Failure, Outcome};
use crate::domain::account::{Account, NAME_LIMIT, is_valid_name};
use crate::store::Store;

/// Make, list, disable and enable accounts
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
        let store = open.store.as_ref();
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
            Verb::Disable { name } => set_enabled(store, name, false, screen).await?,
            Verb::Enable { name } => set_enabled(store, name, true, screen).await?,
        };
        if self.json {
            emit(&answer);
        }
        open.close().await
    }
}

async fn set_enabled(
    store: &dyn Store,
    name: &str,
    enabled: bool,
    screen: Screen,
) -> Result<Value, Failure> {
    if !store.account_set_enabled(name, enabled).await.map_err(store_failure)? {
        return Err(no_account(name));
    }
    screen.say(format!("account {name} is {}", status(enabled).to_lowercase()));
    Ok(json!({ "Name": name, "Status": status(enabled) }))
}

fn status(enabled: bool) -> &'static str {
    if enabled { "Enabled" } else { "Disabled" }
}

fn account_json(account: &Account) -> Value {
    json!({
        "Name": account.name,
        "Status": status(account.enabled),
        "Operator": account.operator,
        "CreationTime": wire::time::format_utc(account.created.seconds()),
    })
}

fn table(accounts: &[Account]) -> Table {
    let mut table = Table::new(&["name", "status", "operator", "created"]);
    for account in accounts {
        let ink = if account.enabled { Ink::Green } else { Ink::Yellow };
        table.row(vec![
            Cell::new(&account.name),
            Cell::new(status(account.enabled)).ink(ink),
            Cell::new(if account.operator { "yes" } else { "" }),
            Cell::new(wire::time::format_utc(account.created.seconds())),
        ]);
    }
    table
}
