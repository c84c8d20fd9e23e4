//! What the wire promises, seen from outside: official vectors, requests recorded from the official
//! SDKs, the attacks of the signature corpus, the operations' rules, and every reply as it is sent.

mod attacks;
mod captures;
mod console;
mod properties;
mod replies;
mod requests;
mod table;
mod vectors;

use wire::code::Fault;
use wire::envelope::{self, Envelope, HttpParts};
use wire::params::Params;

/// A request as a test writes it; header names in lower case.
#[derive(Clone, Debug)]
pub struct Http {
    pub method: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Http {
    pub fn new(method: &str, query: &str) -> Self {
        Self {
            method: method.to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub fn from_signed(signed: wire::sign::client::Signed) -> Self {
        let query = signed.path_and_query.trim_start_matches("/").trim_start_matches('?');
        Self {
            method: signed.method.to_owned(),
            query: query.to_owned(),
            headers: signed.headers,
            body: signed.body,
        }
    }

    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn replacing_header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self.with_header(name, value)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub fn params(&self) -> Result<Params, Fault> {
        Params::parse(&self.query, self.header("content-type"), &self.body)
    }

    /// Runs `then` on the parts, as the server has them.
    pub fn with_parts<T>(&self, then: impl FnOnce(&HttpParts<'_>) -> T) -> T {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        then(&HttpParts {
            method: &self.method,
            path: "/",
            query: &self.query,
            headers: &headers,
            body: &self.body,
        })
    }

    pub fn read(&self) -> Result<Envelope, Fault> {
        let params = self.params()?;
        self.with_parts(|parts| envelope::read(parts, &params))
    }

    /// All the way: parameters, envelope, signature.
    pub fn verify(&self, secret: &str) -> Result<Envelope, Fault> {
        let params = self.params()?;
        self.with_parts(|parts| {
            let envelope = envelope::read(parts, &params)?;
            envelope.credentials.verify(parts, &params, secret)?;
            Ok(envelope)
        })
    }
}

/// The code of the fault a request is refused with.
pub fn refusal<T: std::fmt::Debug>(result: Result<T, Fault>) -> String {
    result.expect_err("must be refused").code_text().into_owned()
}
