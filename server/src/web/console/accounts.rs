//! `/console/accounts`, for operators: the accounts, and making one.

use askama::Template;
use wire::reply::Reply;

use super::form::{Fields, link};
use super::format::Moment;
use super::page::{Answered, Frame, done, ok};
use super::visit::{Visit, unexpected};

#[derive(Template)]
#[template(path = "console/accounts.html")]
struct AccountsPage {
    frame: Frame,
    accounts: Vec<Row>,
}

struct Row {
    name: String,
    enabled: bool,
    operator: bool,
    weight: u64,
    paused: bool,
    created: Moment,
    jobs: String,
    keys: String,
    /// The visitor's own: it cannot disable itself.
    is_this: bool,
}

pub(super) async fn show(visit: &Visit) -> Answered {
    let reply = visit.call("ListAccounts", vec![]).await?;
    let Reply::ListAccounts(reply) = reply else { return Err(unexpected(&reply).into()) };
    let row = |account: wire::reply::AccountInfo| Row {
        jobs: link("/console/jobs", [("account", account.name.as_str())]),
        keys: link("/console/keys", [("account", account.name.as_str())]),
        is_this: account.name == visit.caller.name,
        enabled: account.enabled,
        operator: account.operator,
        weight: account.weight,
        paused: account.paused,
        created: Moment::new(account.creation_time, visit.now),
        name: account.name,
    };
    let accounts = reply.accounts.into_iter().map(row).collect();
    ok(&AccountsPage { frame: Frame::new(visit, "/console/accounts"), accounts })
}

pub(super) async fn create(visit: &Visit, form: &Fields) -> Answered {
    let operator = form.get("operator").map(|_| "true").unwrap_or_default();
    let params = vec![("AccountName", form.text("name")), ("Operator", operator.to_owned())];
    visit.call("CreateAccount", params).await?;
    done("/console/accounts", "account-made")
}

pub(super) async fn set_status(visit: &Visit, form: &Fields) -> Answered {
    change(visit, form, ("Enabled", "enabled")).await
}

pub(super) async fn set_weight(visit: &Visit, form: &Fields) -> Answered {
    change(visit, form, ("Weight", "weight")).await
}

pub(super) async fn set_paused(visit: &Visit, form: &Fields) -> Answered {
    change(visit, form, ("Paused", "paused")).await
}

/// Changes one thing: a parameter, from the field of that name.
async fn change(visit: &Visit, form: &Fields, what: (&'static str, &str)) -> Answered {
    let (parameter, field) = what;
    let params = vec![("AccountName", form.text("name")), (parameter, form.text(field))];
    visit.call("UpdateAccount", params).await?;
    done("/console/accounts", "account-changed")
}
