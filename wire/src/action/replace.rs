//! `ReplaceUploadUrl`, an operation of ours: another URL for a job whose source refuses the one it
//! has.

use serde_json::Value;

use super::json;
use super::reader::Reader;
use super::source_headers::SourceHeaders;
use crate::code::Fault;

/// Another URL for a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplaceUploadUrl {
    /// As sent; an id that cannot be one of ours simply does not exist.
    pub job_id: String,
    /// Normalised as every URL (§9.1).
    pub url: String,
    /// `Headers` and `BasicAuth`; never empty.
    pub headers: Option<SourceHeaders>,
}

impl ReplaceUploadUrl {
    /// An unusable URL is refused as by UploadMediaByURL: `InvalidParameter.UploadURLs`.
    pub(super) fn read(reader: &Reader<'_>) -> Result<Self, Fault> {
        let job_id = reader.required_text("JobId")?.to_owned();
        let url = reader.required_url("UploadURL", "UploadURLs")?;
        let (headers, basic_auth) = (value(reader, "Headers")?, value(reader, "BasicAuth")?);
        let headers = SourceHeaders::read(headers.as_ref(), basic_auth.as_ref())
            .map_err(|why| Fault::invalid_because("Headers", format_args!("{why}.")))?;
        Ok(Self { job_id, url, headers })
    }
}

fn value(reader: &Reader<'_>, name: &str) -> Result<Option<Value>, Fault> {
    let Some(text) = reader.text(name)? else { return Ok(None) };
    let value = json::parse(text).map_err(|why| Fault::invalid_because(name, why))?;
    Ok(Some(value).filter(|value| !value.is_null()))
}
