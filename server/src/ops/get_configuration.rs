//! `GetConfiguration`, an operation of ours, for operators: every setting in force, and why.

use wire::code::Fault;
use wire::reply::{GetConfigurationReply, Reply};

use super::Ops;
use super::accounts::operators_only;
use crate::domain::account::Subject;

impl Ops {
    pub(super) fn get_configuration(&self, subject: &Subject) -> Result<Reply, Fault> {
        operators_only(subject)?;
        let settings = self.node.settings.clone();
        Ok(Reply::GetConfiguration(GetConfigurationReply { settings }))
    }
}
