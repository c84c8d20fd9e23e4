//! `/console/configuration`, for operators: every setting as it is in force, and where it is from.

use askama::Template;
use wire::reply::{Reply, SettingInfo};

use super::page::{Answered, Frame, ok};
use super::visit::{Visit, unexpected};

#[derive(Template)]
#[template(path = "console/configuration.html")]
struct ConfigurationPage {
    frame: Frame,
    settings: Vec<SettingInfo>,
    /// How many are not the default.
    set: usize,
    only_set: bool,
}

pub(super) async fn show(visit: &Visit) -> Answered {
    let reply = visit.call("GetConfiguration", vec![]).await?;
    let Reply::GetConfiguration(reply) = reply else { return Err(unexpected(&reply).into()) };
    let is_set = |setting: &SettingInfo| setting.from != "default";
    let set = reply.settings.iter().filter(|setting| is_set(setting)).count();
    let only_set = visit.query.get("show") == Some("set");
    let settings =
        reply.settings.into_iter().filter(|setting| !only_set || is_set(setting)).collect();
    let frame = Frame::still(visit, "/console/configuration");
    ok(&ConfigurationPage { frame, settings, set, only_set })
}
