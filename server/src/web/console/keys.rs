//! `/console/keys`: the access keys, without their secrets. A secret is shown once, in the answer
//! to the form that made it, which nothing keeps.

use askama::Template;
use wire::reply::Reply;

use super::form::Fields;
use super::format::Moment;
use super::page::{Answered, Frame, Trouble, done, ok};
use super::visit::{Visit, unexpected};

#[derive(Template)]
#[template(path = "console/keys.html")]
struct KeysPage {
    frame: Frame,
    keys: Vec<Key>,
    account: String,
}

#[derive(Template)]
#[template(path = "console/new_key.html")]
struct NewKeyPage {
    frame: Frame,
    id: String,
    secret: String,
    account: String,
}

#[derive(Template)]
#[template(path = "console/delete_key.html")]
struct DeleteKeyPage {
    frame: Frame,
    id: String,
}

struct Key {
    id: String,
    account: String,
    active: bool,
    created: Moment,
    /// The key of this session: it cannot take itself away.
    is_this: bool,
}

pub(super) async fn show(visit: &Visit) -> Answered {
    let params = vec![("Account", visit.account_or_all())];
    let reply = visit.call("ListAccessKeys", params).await?;
    let Reply::ListAccessKeys(reply) = reply else { return Err(unexpected(&reply).into()) };
    let key = |key: wire::reply::AccessKeyInfo| Key {
        is_this: key.access_key_id == visit.caller.access_key_id,
        active: key.status == "Active",
        created: Moment::new(key.creation_time, visit.now),
        account: key.account,
        id: key.access_key_id,
    };
    ok(&KeysPage {
        frame: Frame::new(visit, "/console/keys"),
        keys: reply.keys.into_iter().map(key).collect(),
        account: visit.query.get("account").unwrap_or(&visit.caller.name).to_owned(),
    })
}

pub(super) async fn create(visit: &Visit, form: &Fields) -> Answered {
    let account = form.text("account");
    let params = vec![("AccountName", account.clone())];
    let reply = visit.call("CreateAccessKey", params).await?;
    let Reply::CreateAccessKey(reply) = reply else { return Err(unexpected(&reply).into()) };
    ok(&NewKeyPage {
        frame: Frame::still(visit, "/console/keys"),
        id: reply.access_key_id,
        secret: reply.access_key_secret,
        account,
    })
}

pub(super) async fn set_status(visit: &Visit, form: &Fields) -> Answered {
    let params = vec![("UserAccessKeyId", form.text("key")), ("Status", form.text("status"))];
    visit.call("UpdateAccessKey", params).await?;
    done("/console/keys", "key-changed")
}

/// Asks once: what the key signs stops working for good.
pub(super) async fn delete(visit: &Visit, form: &Fields) -> Answered {
    let Some(id) = form.get("key") else { return Err(Trouble::NoSuchPage) };
    if form.get("sure").is_none() {
        let frame = Frame::still(visit, "/console/keys");
        return ok(&DeleteKeyPage { frame, id: id.to_owned() });
    }
    visit.call("DeleteAccessKey", vec![("UserAccessKeyId", id.to_owned())]).await?;
    done("/console/keys", "key-deleted")
}
