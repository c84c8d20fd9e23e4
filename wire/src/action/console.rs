//! Requests of the operations of ours: what an operator's console shows and does.

use super::owned;
use super::reader::Reader;
use crate::code::Fault;

/// Ours: a page of URL-upload jobs, newest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListUrlUploadJobs {
    /// Wire statuses, upper case; empty means all.
    pub statuses: Vec<String>,
    /// Exact code of failed jobs.
    pub error_code: Option<String>,
    /// Part of the source's URL, letter case included.
    pub upload_url: Option<String>,
    /// Created at this time or later, in Unix seconds.
    pub start_time: Option<i64>,
    /// Created before this time, in Unix seconds; not before `start_time`.
    pub end_time: Option<i64>,
    /// The `NextToken` of the page before.
    pub next_token: Option<String>,
    /// 1 to 100, 20 by default.
    pub page_size: usize,
    /// Also answer `QueuePlace` of pending jobs.
    pub include_position: bool,
}

/// Jobs of one page, unless the caller says how many.
const PAGE_SIZE: usize = 20;

impl ListUrlUploadJobs {
    pub(super) fn read(reader: &Reader<'_>) -> Result<Self, Fault> {
        let page_size = reader.integer("PageSize")?;
        let start_time = reader.time("StartTime")?;
        let end_time = reader.time("EndTime")?;
        if let (Some(start), Some(end)) = (start_time, end_time)
            && end < start
        {
            return Err(Fault::invalid_because("EndTime", "It is before StartTime."));
        }
        Ok(Self {
            statuses: owned(reader.some_of("Status")?),
            error_code: reader.text("ErrorCode")?.map(str::to_owned),
            upload_url: reader.text("UploadURL")?.map(str::to_owned),
            start_time,
            end_time,
            next_token: reader.text("NextToken")?.map(str::to_owned),
            page_size: page_size.map_or(PAGE_SIZE, |size| size.try_into().unwrap_or(PAGE_SIZE)),
            include_position: reader.boolean("IncludePosition")?,
        })
    }
}

/// Ours: counts of the last minutes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GetUploadStatistics {
    /// 5 to 2,880, 60 by default.
    pub minutes: u32,
}

/// Minutes of statistics, unless the caller says how many.
const MINUTES: u32 = 60;

impl GetUploadStatistics {
    pub(super) fn read(reader: &Reader<'_>) -> Result<Self, Fault> {
        let minutes = reader.integer("Minutes")?;
        let minutes = minutes.and_then(|minutes| minutes.try_into().ok());
        Ok(Self { minutes: minutes.unwrap_or(MINUTES) })
    }
}

/// Ours: a request of the last time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GetRequestRecord {
    /// A RequestId, as sent.
    pub id: String,
}

impl GetRequestRecord {
    pub(super) fn read(reader: &Reader<'_>) -> Result<Self, Fault> {
        Ok(Self { id: reader.required_text("Id")?.to_owned() })
    }
}

/// Ours, for operators.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreateAccount {
    /// At most 64 bytes; which characters it may have the server says.
    pub name: String,
    pub operator: bool,
}

impl CreateAccount {
    pub(super) fn read(reader: &Reader<'_>) -> Result<Self, Fault> {
        let name = reader.required_text("AccountName")?.to_owned();
        Ok(Self { name, operator: reader.boolean("Operator")? })
    }
}

/// Ours, for operators.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpdateAccount {
    pub name: String,
    /// `None` leaves it as it is; so it does below. At least one is given.
    pub enabled: Option<bool>,
    /// 1 to 100.
    pub weight: Option<u8>,
    pub paused: Option<bool>,
}

impl UpdateAccount {
    pub(super) fn read(reader: &Reader<'_>) -> Result<Self, Fault> {
        let name = reader.required_text("AccountName")?.to_owned();
        let weight = reader.integer("Weight")?.and_then(|weight| weight.try_into().ok());
        let (enabled, paused) = (reader.choice("Enabled")?, reader.choice("Paused")?);
        if enabled.is_none() && weight.is_none() && paused.is_none() {
            return Err(Fault::missing_one_of("Enabled, Weight or Paused"));
        }
        Ok(Self { name, enabled, weight, paused })
    }
}

/// Ours, for operators.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreateAccessKey {
    /// Name of the account.
    pub account: String,
}

impl CreateAccessKey {
    pub(super) fn read(reader: &Reader<'_>) -> Result<Self, Fault> {
        Ok(Self { account: reader.required_text("AccountName")?.to_owned() })
    }
}

/// Ours, for operators.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpdateAccessKey {
    pub access_key_id: String,
    pub active: bool,
}

impl UpdateAccessKey {
    pub(super) fn read(reader: &Reader<'_>) -> Result<Self, Fault> {
        let access_key_id = reader.required_text("UserAccessKeyId")?.to_owned();
        Ok(Self { access_key_id, active: reader.one_of("Status")? == Some("Active") })
    }
}

/// Ours, for operators.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeleteAccessKey {
    pub access_key_id: String,
}

impl DeleteAccessKey {
    pub(super) fn read(reader: &Reader<'_>) -> Result<Self, Fault> {
        Ok(Self { access_key_id: reader.required_text("UserAccessKeyId")?.to_owned() })
    }
}
