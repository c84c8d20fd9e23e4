//! The envelope of a request: which operation, which format, whose, and signed how.
//!
//! Reading it and verifying the signature are two steps, because between them the server looks up
//! the key and judges the time (§8.1). Neither step looks at a clock or a store.

use std::fmt;

use crate::code::{Code, Fault};
use crate::params::Params;
use crate::sign::{v1, v3};
use crate::spec::{self, API_VERSION, Operation};
use crate::time::parse_utc;

/// Longest nonce, in bytes.
pub const NONCE_LIMIT: usize = 128;

/// Most of a string to sign that an error repeats, in bytes: the answer to a forged request must
/// not be much dearer than the request.
const STRING_SHOWN_LIMIT: usize = 128 * 1024;

/// Headers a V3 signature must cover (§4, step 3).
const MUST_BE_SIGNED: [&str; 6] = [
    "host",
    "x-acs-action",
    "x-acs-version",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-acs-content-sha256",
];

/// Every header that begins like this is obeyed, or may be one day: none passes unsigned.
const OBEYED_PREFIX: &str = "x-acs-";

/// One HTTP request as it arrived.
#[derive(Clone, Copy)]
pub struct HttpParts<'a> {
    /// Upper case.
    pub method: &'a str,
    /// As sent, without the query.
    pub path: &'a str,
    /// As sent, without the `?`.
    pub query: &'a str,
    /// Names in lower case, in the order sent.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

impl<'a> HttpParts<'a> {
    fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(other, _)| *other == name).map(|(_, value)| value.trim())
    }

    /// The one value of a header.
    fn one_header(&self, name: &str) -> Result<Option<&'a str>, Fault> {
        match self.headers.iter().filter(|(other, _)| *other == name).count() {
            0 => Ok(None),
            1 => Ok(self.header(name)),
            _ => Err(incomplete(&format!("The header {name} is given more than once."))),
        }
    }
}

/// Query, headers and body may carry secrets.
impl fmt::Debug for HttpParts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpParts({} {}, {} bytes of body)", self.method, self.path, self.body.len())
    }
}

/// Format of a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Json,
    Xml,
}

impl Format {
    /// Value of the `Content-Type` header (§7.1; §20.13).
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json;charset=utf-8",
            Self::Xml => "text/xml;charset=utf-8",
        }
    }

    /// Value of the parameter `Format`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Xml => "XML",
        }
    }

    /// In any letter case, as the clients send it (§2.1).
    fn from_name(name: &str) -> Option<Self> {
        [Self::Json, Self::Xml].into_iter().find(|format| format.name().eq_ignore_ascii_case(name))
    }
}

/// Which signature a request has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// HMAC-SHA1 in parameters (§3).
    V1,
    /// ACS3-HMAC-SHA256 in headers (§4).
    V3,
}

/// What a request is, before anybody knows whether it is true.
#[derive(Debug)]
pub struct Envelope {
    pub operation: &'static Operation,
    pub format: Format,
    pub credentials: Credentials,
}

/// Whose request it says it is, and the proof.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub scheme: Scheme,
    /// Not empty, otherwise as sent: what cannot be a key is simply not found.
    pub access_key_id: String,
    /// Not empty.
    pub security_token: Option<String>,
    /// 1 to [`NONCE_LIMIT`] bytes without control characters.
    pub nonce: String,
    timestamp: String,
    signature: String,
    /// V3: the client's list, separated by semicolons, in order, complete.
    signed_headers: String,
}

/// No token, no signature.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?}, {:?})", self.scheme, self.access_key_id)
    }
}

/// Format of the reply to a request whose envelope could not be read. Never fails: what cannot be
/// understood counts for nothing.
pub fn guess_format(parts: &HttpParts<'_>) -> Format {
    let in_body = if parts.header("content-type").is_some_and(|t| t.contains("urlencoded")) {
        parts.body
    } else {
        &[]
    };
    let asked = [parts.query.as_bytes(), in_body]
        .into_iter()
        .flat_map(|text| text.split(|byte| *byte == b'&'))
        .find_map(|segment| segment.strip_prefix(b"Format="))
        .and_then(|value| str::from_utf8(value).ok())
        .and_then(Format::from_name);
    asked.unwrap_or_else(|| default_format(parts))
}

/// Callers that put their credentials into headers read JSON, and so do those whose `Accept` names
/// it; the others, the documents say, get XML unless they ask (§7.1).
fn default_format(parts: &HttpParts<'_>) -> Format {
    let by_header = has_v3_header(parts) || parts.header("x-acs-bearer-token").is_some();
    let accepts = parts.header("accept").is_some_and(|types| types.contains("application/json"));
    if by_header || accepts { Format::Json } else { Format::Xml }
}

fn has_v3_header(parts: &HttpParts<'_>) -> bool {
    parts
        .headers
        .iter()
        .any(|(name, value)| *name == "authorization" && value.trim_start().starts_with("ACS3-"))
}

/// Reads the envelope, in the order of §8.1: method, format, signature style, version and action,
/// then the common parameters that must be there.
///
/// # Errors
/// `UnsupportedHTTPMethod`, `InvalidParameter.Format`, `UnsupportedSignatureMethod`,
/// `IncompleteSignature`, `MissingVersion`, `MissingAction`, `InvalidVersion`,
/// `InvalidAction.NotFound`, `InvalidParameter.Action` and `.Version` where header and parameter
/// differ, `Missing…` and `InvalidParameter…` of the common parameters.
pub fn read(parts: &HttpParts<'_>, params: &Params) -> Result<Envelope, Fault> {
    if !matches!(parts.method, "GET" | "POST") {
        return Err(Fault::new(Code::UnsupportedHTTPMethod));
    }
    let format = match params.get("Format").filter(|format| !format.is_empty()) {
        Some(name) => Format::from_name(name).ok_or_else(|| Fault::new(Code::InvalidFormat))?,
        None => default_format(parts),
    };
    let scheme = choose_scheme(parts, params)?;
    let operation = read_operation(scheme, parts, params)?;
    let credentials = match scheme {
        Scheme::V1 => read_v1(params)?,
        Scheme::V3 => read_v3(parts)?,
    };
    Ok(Envelope { operation, format, credentials })
}

/// As [`read`], whatever the operation: for tools that only care about the signature.
///
/// # Errors
/// Those of [`read`] that concern the signature.
pub fn read_credentials(parts: &HttpParts<'_>, params: &Params) -> Result<Credentials, Fault> {
    match choose_scheme(parts, params)? {
        Scheme::V1 => read_v1(params),
        Scheme::V3 => read_v3(parts),
    }
}

/// A request without any signature counts as V1, which then misses its parameters.
fn choose_scheme(parts: &HttpParts<'_>, params: &Params) -> Result<Scheme, Fault> {
    let has_parameter = params.get("Signature").is_some();
    match (has_v3_header(parts), has_parameter) {
        (true, true) => Err(incomplete(
            "The request has both an Authorization header and a Signature parameter.",
        )),
        (true, false) => Ok(Scheme::V3),
        (false, true) => Ok(Scheme::V1),
        (false, false) => {
            let is_bearer = parts.header("x-acs-bearer-token").is_some()
                || params.get("BearerToken").is_some()
                || params.get("SignatureType").is_some_and(|kind| !kind.is_empty());
            if is_bearer { Err(unsupported("bearer tokens")) } else { Ok(Scheme::V1) }
        }
    }
}

/// Action and version come from where the signature covers them. The other place may repeat them
/// (old SDKs send both), but not say something else.
fn read_operation(
    scheme: Scheme,
    parts: &HttpParts<'_>,
    params: &Params,
) -> Result<&'static Operation, Fault> {
    let named = |parameter: &str, header: &str| {
        let in_header = parts.one_header(header)?;
        let in_params = params.get(parameter);
        if let (Some(one), Some(other)) = (in_header, in_params)
            && one != other
        {
            let why = format!("The header {header} says otherwise.");
            return Err(Fault::invalid_because(parameter, why));
        }
        let obeyed = match scheme {
            Scheme::V1 => in_params,
            Scheme::V3 => in_header,
        };
        obeyed.filter(|text| !text.is_empty()).ok_or_else(|| Fault::missing(parameter))
    };
    let version = named("Version", "x-acs-version")?;
    let action = named("Action", "x-acs-action")?;
    if version != API_VERSION {
        return Err(Fault::new(Code::InvalidVersion));
    }
    spec::operation(action).ok_or_else(|| Fault::new(Code::InvalidActionNotFound))
}

fn read_v1(params: &Params) -> Result<Credentials, Fault> {
    let required = |name: &str| {
        let value = params.get(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| Fault::missing(name))
    };
    let access_key_id = required("AccessKeyId")?;
    let method = required("SignatureMethod")?;
    let version = required("SignatureVersion")?;
    let nonce = required("SignatureNonce")?;
    // One page of the documents spells it differently (§2.1); it is signed as it was sent.
    let timestamp = params.get("Timestamp").or(params.get("TimeStamp"));
    let timestamp =
        timestamp.filter(|time| !time.is_empty()).ok_or_else(|| Fault::missing("Timestamp"))?;
    let signature = params.get("Signature").ok_or_else(|| Fault::missing("Signature"))?;
    if !method.eq_ignore_ascii_case("HMAC-SHA1") || version != "1.0" {
        return Err(unsupported("this SignatureMethod and SignatureVersion"));
    }
    // Old SDKs send it, empty, and sign it.
    if params.get("SignatureType").is_some_and(|kind| !kind.is_empty()) {
        return Err(unsupported("this SignatureType"));
    }
    if signature.is_empty() {
        return Err(incomplete("Signature is empty."));
    }
    let token = params.get("SecurityToken").filter(|token| !token.is_empty());
    Ok(Credentials {
        scheme: Scheme::V1,
        access_key_id: access_key_id.to_owned(),
        security_token: token.map(str::to_owned),
        nonce: checked_nonce(nonce)?,
        timestamp: timestamp.to_owned(),
        signature: signature.to_owned(),
        signed_headers: String::new(),
    })
}

fn read_v3(parts: &HttpParts<'_>) -> Result<Credentials, Fault> {
    let authorization = Authorization::parse(parts.one_header("authorization")?.unwrap_or(""))?;
    let signed = SignedHeaders::parse(authorization.signed_headers, parts)?;
    if let Some(repeated) = parts.one_header("x-acs-accesskey-id")?
        && repeated != authorization.access_key_id
    {
        return Err(incomplete("The header x-acs-accesskey-id is not the signing key."));
    }
    let token = parts.one_header("x-acs-security-token")?.filter(|token| !token.is_empty());
    let nonce = parts.one_header("x-acs-signature-nonce")?.unwrap_or("");
    let date = parts.one_header("x-acs-date")?.unwrap_or("");
    Ok(Credentials {
        scheme: Scheme::V3,
        access_key_id: authorization.access_key_id.to_owned(),
        security_token: token.map(str::to_owned),
        nonce: checked_nonce(nonce)?,
        timestamp: date.to_owned(),
        signature: authorization.signature.to_owned(),
        signed_headers: signed.list.to_owned(),
    })
}

/// `ACS3-HMAC-SHA256 Credential=…,SignedHeaders=…,Signature=…`
struct Authorization<'a> {
    access_key_id: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn parse(text: &'a str) -> Result<Self, Fault> {
        let (algorithm, rest) = text.split_once(' ').unwrap_or((text, ""));
        match algorithm {
            v3::ALGORITHM => {}
            "ACS3-HMAC-SM3" | "ACS3-RSA-SHA256" => return Err(unsupported(algorithm)),
            _ => return Err(incomplete("Authorization names an unknown algorithm.")),
        }
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in rest.split(',') {
            let slot = match part.trim().split_once('=') {
                Some(("Credential", value)) => (&mut credential, value),
                Some(("SignedHeaders", value)) => (&mut signed_headers, value),
                Some(("Signature", value)) => (&mut signature, value),
                Some(_) | None => {
                    return Err(incomplete("Authorization has a part that is not known."));
                }
            };
            if slot.0.replace(slot.1).is_some() {
                return Err(incomplete("Authorization has a part twice."));
            }
        }
        let (Some(access_key_id), Some(signed_headers), Some(signature)) =
            (credential, signed_headers, signature)
        else {
            return Err(incomplete(
                "Authorization must have Credential, SignedHeaders and Signature.",
            ));
        };
        if access_key_id.is_empty() {
            return Err(Fault::missing("AccessKeyId"));
        }
        if signature.is_empty() {
            return Err(incomplete("Signature is empty."));
        }
        Ok(Self { access_key_id, signed_headers, signature })
    }
}

/// The list of signed headers, found complete: everything the gateway obeys is in it.
struct SignedHeaders<'a> {
    list: &'a str,
}

impl<'a> SignedHeaders<'a> {
    fn parse(list: &'a str, parts: &HttpParts<'_>) -> Result<Self, Fault> {
        let names: Vec<&str> = list.split(';').collect();
        if names.iter().any(|name| name.is_empty()) || names.windows(2).any(|two| two[0] >= two[1])
        {
            return Err(incomplete("SignedHeaders is not a sorted list of different names."));
        }
        let is_signed = |name: &str| names.binary_search(&name).is_ok();
        for name in MUST_BE_SIGNED {
            if !is_signed(name) {
                return Err(incomplete(&format!("SignedHeaders must contain {name}.")));
            }
        }
        for name in &names {
            if parts.header(name).is_none() {
                return Err(incomplete("SignedHeaders names a header that is not there."));
            }
        }
        for (name, _) in parts.headers {
            let is_obeyed = name.starts_with(OBEYED_PREFIX);
            // Without a body the type decides nothing, and one SDK's transport adds it unsigned.
            let decides = *name == "content-type" && !parts.body.is_empty();
            if (is_obeyed || decides) && !is_signed(name) {
                let shown = crate::params::shown(name);
                return Err(incomplete(&format!("The header {shown} is not in SignedHeaders.")));
            }
            if is_obeyed || matches!(*name, "host" | "content-type") {
                parts.one_header(name)?;
            }
        }
        Ok(Self { list })
    }
}

fn checked_nonce(nonce: &str) -> Result<String, Fault> {
    if nonce.is_empty() {
        return Err(Fault::missing("SignatureNonce"));
    }
    if nonce.len() > NONCE_LIMIT || nonce.chars().any(char::is_control) {
        let why = format!("It has 1 to {NONCE_LIMIT} bytes and no control characters.");
        return Err(Fault::invalid_because("SignatureNonce", why));
    }
    Ok(nonce.to_owned())
}

/// `what` is a text of ours, or a name that passed through [`crate::params::shown`].
fn incomplete(what: &str) -> Fault {
    let message = format!("{} {what}", Code::IncompleteSignature.message());
    Fault::with_message(Code::IncompleteSignature, message)
}

fn unsupported(what: &str) -> Fault {
    let message = format!("{} ({what})", Code::UnsupportedSignatureMethod.message());
    Fault::with_message(Code::UnsupportedSignatureMethod, message)
}

impl Credentials {
    /// When the client says it made the request, in Unix seconds. Whether that is near enough is
    /// the caller's to judge (§6).
    ///
    /// # Errors
    /// `InvalidTimeStamp.Format`.
    pub fn timestamp(&self) -> Result<i64, Fault> {
        parse_utc(&self.timestamp).ok_or_else(|| Fault::new(Code::InvalidTimeStampFormat))
    }

    /// Whether the request is what the owner of `secret` signed. The comparison takes the same
    /// time wherever the signatures differ. `parts` and `params` are those the credentials were
    /// read from.
    ///
    /// # Errors
    /// `SignatureDoesNotMatch` with the string to sign, in the form that old SDKs take apart
    /// (§0.1.4); `ContentSha256NotMatched`.
    pub fn verify(
        &self,
        parts: &HttpParts<'_>,
        params: &Params,
        secret: &str,
    ) -> Result<(), Fault> {
        match self.scheme {
            Scheme::V1 => self.verify_v1(parts, params, secret),
            Scheme::V3 => self.verify_v3(parts, params, secret),
        }
    }

    fn verify_v1(&self, parts: &HttpParts<'_>, params: &Params, secret: &str) -> Result<(), Fault> {
        let string_to_sign = v1::string_to_sign_of(parts.method, params);
        if v1::matches(secret, &string_to_sign, &self.signature) {
            return Ok(());
        }
        let beginning = Code::SignatureDoesNotMatch.message();
        let message = format!("{beginning}{}", cut(&string_to_sign));
        Err(Fault::with_message(Code::SignatureDoesNotMatch, message))
    }

    fn verify_v3(&self, parts: &HttpParts<'_>, params: &Params, secret: &str) -> Result<(), Fault> {
        let payload_hash = v3::payload_hash(parts.body);
        if parts.header("x-acs-content-sha256") != Some(&payload_hash) {
            return Err(Fault::new(Code::ContentSha256NotMatched));
        }
        let canonical = v3::canonical_request_of(
            parts.method,
            params.sorted_query(),
            parts.headers,
            &self.signed_headers,
            &payload_hash,
        );
        let string_to_sign = v3::string_to_sign(&canonical);
        if v3::matches(secret, &string_to_sign, &self.signature) {
            return Ok(());
        }
        let message = format!(
            "Specified signature does not match our calculation. server StringToSign is \
             [{string_to_sign}] server CanonicalRequest is [{}]",
            cut(&canonical)
        );
        Err(Fault::with_message(Code::SignatureDoesNotMatch, message))
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(STRING_SHOWN_LIMIT)]
}
