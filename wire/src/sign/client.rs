//! Signs requests, as a client does.

use crate::envelope::Format;

/// Whose requests.
#[derive(Clone, Copy)]
pub struct Signer<'a> {
    pub access_key_id: &'a str,
    pub access_key_secret: &'a str,
    pub security_token: Option<&'a str>,
}

/// When, and which of the requests of that moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    pub unix_seconds: i64,
    pub nonce: &'a str,
}

/// A signed request, ready to send.
pub struct Signed {
    pub method: &'static str,
    pub path_and_query: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Signer<'_> {
    pub fn v3(&self, host: &str, action: &str, params: &[(String, String)], at: Moment<'_>) -> Signed {
        let _ = (host, action, params, at);
        unimplemented!()
    }

    pub fn v1(
        &self,
        method: &'static str,
        action: &str,
        params: &[(String, String)],
        format: Format,
        at: Moment<'_>,
    ) -> Signed {
        let _ = (method, action, params, format, at);
        unimplemented!()
    }
}
