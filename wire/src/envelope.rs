//! The envelope of a request: operation, format and credentials.

use crate::code::Fault;
use crate::params::Params;
use crate::spec::Operation;

/// One HTTP request as it arrived.
#[derive(Clone, Copy)]
pub struct HttpParts<'a> {
    pub method: &'a str,
    /// As sent, without the query.
    pub path: &'a str,
    /// As sent, without the `?`.
    pub query: &'a str,
    /// Names in lower case, in the order sent.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

/// Format of a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Json,
    Xml,
}

impl Format {
    /// Value of the `Content-Type` header (§7.1).
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json;charset=utf-8",
            Self::Xml => "text/xml;charset=utf-8",
        }
    }
}

/// Which signature a request has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    V1,
    V3,
}

#[derive(Debug)]
pub struct Envelope {
    pub operation: &'static Operation,
    pub format: Format,
    pub credentials: Credentials,
}

#[derive(Debug)]
pub struct Credentials {
    pub scheme: Scheme,
    pub access_key_id: String,
    pub security_token: Option<String>,
    pub nonce: String,
}

pub fn guess_format(parts: &HttpParts<'_>) -> Format {
    let _ = parts;
    unimplemented!()
}

pub fn read(parts: &HttpParts<'_>, params: &Params) -> Result<Envelope, Fault> {
    let _ = (parts, params);
    unimplemented!()
}

impl Credentials {
    pub fn timestamp(&self) -> Result<i64, Fault> {
        unimplemented!()
    }

    pub fn verify(&self, parts: &HttpParts<'_>, params: &Params, secret: &str) -> Result<(), Fault> {
        let _ = (parts, params, secret);
        unimplemented!()
    }
}
