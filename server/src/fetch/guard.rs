//! The egress firewall: where the server may go when a caller names the place.
//!
//! The order of the gate (docs/egress.md): the raw text, one parse whose value travels on,
//! the spelling of the host, the name, the port; then, by `connect`, one look-up, every address
//! of the answer, and the address at the other end. Each redirect passes the whole gate anew.
//!
//! Nothing here decides by the text of an address: [`Guard::answer`] judges the numbers that are
//! dialled. The checks on text refuse early what could never be dialled, and refuse spellings
//! that another reader of the same URL would understand differently.

use std::net::{IpAddr, SocketAddr};

use sha2::{Digest, Sha256};
use url::{Host, Url};

use super::addresses::{is_metadata, special_block, spellings};
pub use super::allow::{BadEgressAllow, EgressAllow};
use super::own::{OwnAddresses, Present};
use crate::domain::fault::FaultClass;
use crate::domain::source_url::URL_LIMIT;

/// Ports a public source may have without an entry in `HAULAGE_EGRESS_ALLOW`: the web's own and
/// those that stand in for them. Anything else is more likely a service that must not be spoken
/// to than a media server.
pub const WEB_PORTS: [u16; 9] = [80, 81, 443, 8000, 8008, 8080, 8443, 8880, 8888];

/// Longest label and longest name, in octets (RFC 1035 §2.3.4).
const LABEL_LIMIT: usize = 63;
const NAME_LIMIT: usize = 253;

/// Domains that never name something on the public Internet, with their sources: a name in one
/// of them, or equal to one, is refused before anybody is asked about it. `test`, `example` and
/// `invalid` are not among them: they do not resolve, and saying so is the truer answer.
const SPECIAL_DOMAINS: [(&str, &str); 18] = [
    ("localhost", "RFC 6761"),
    ("localdomain", "hosts files"),
    ("localdomain6", "hosts files"),
    ("local", "RFC 6762"),
    ("internal", "ICANN resolution 2024.07.29.06"),
    ("intranet", "RFC 6762, appendix G"),
    ("private", "RFC 6762, appendix G"),
    ("corp", "RFC 6762, appendix G"),
    ("home", "RFC 6762, appendix G"),
    ("lan", "RFC 6762, appendix G"),
    ("svc", "Kubernetes"),
    ("arpa", "RFC 3172"),
    ("onion", "RFC 7686"),
    ("alt", "RFC 9476"),
    ("metadata.goog", "Google Cloud's metadata"),
    ("metadata.tencentyun.com", "Tencent Cloud's metadata"),
    ("metadata.platformequinix.com", "Equinix Metal's metadata"),
    ("api.metadata.cloud.ibm.com", "IBM Cloud's metadata"),
];

/// Decides where the server may go. See the module's words for the order.
#[derive(Clone, Debug)]
pub struct Guard {
    allow: Vec<EgressAllow>,
    listeners: Vec<SocketAddr>,
    own: OwnAddresses,
}

/// A URL that passed the gate as far as it can be judged without asking DNS. It holds the parsed
/// value: nothing later reads the text again.
#[derive(Clone, Debug)]
pub struct Target {
    url: Url,
    host: String,
    port: u16,
    https: bool,
}

/// Why the firewall refused a URL, a redirect or an address. The words are for the caller: they
/// never contain the query of a URL, nor an address that the caller did not write.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    #[error("the URL is longer than {URL_LIMIT} bytes")]
    TooLong,
    #[error("the URL contains {0}")]
    Character(&'static str),
    #[error("the URL does not begin with http:// or https://")]
    Scheme,
    #[error("the URL has no host")]
    NoHost,
    #[error("the URL carries a user name or a password")]
    UserInfo,
    #[error("the URL cannot be parsed")]
    Unparsable,
    #[error("the host is written in an unusual way; the plain form is {0}")]
    Spelling(String),
    #[error("the host is not a name that DNS could hold")]
    BadName,
    #[error("the host name has a single label; only full names are looked up")]
    SingleLabel,
    #[error("host names in {domain} are refused ({source_of_rule})")]
    SpecialName { domain: &'static str, source_of_rule: &'static str },
    #[error("port {0} is refused; it is not a web port")]
    Port(u16),
    #[error("the host is, or resolves to, an address that is not public: {0}")]
    Address(&'static str),
    #[error("the host is, or resolves to, a metadata address")]
    Metadata,
    #[error("the host is, or resolves to, an address of this server")]
    Own,
    #[error("the connection led to an address that was not asked for")]
    Peer,
    #[error("a redirect leads from https to http")]
    Downgrade,
}

impl Refusal {
    /// The class of a job's fault when its own URL was refused: either it is no usable URL, or
    /// the place is forbidden (docs/job-errors.md).
    pub fn class(&self) -> FaultClass {
        match self {
            Self::TooLong
            | Self::Character(_)
            | Self::Scheme
            | Self::NoHost
            | Self::UserInfo
            | Self::Unparsable
            | Self::BadName => FaultClass::Url,
            Self::Spelling(_)
            | Self::SingleLabel
            | Self::SpecialName { .. }
            | Self::Port(_)
            | Self::Address(_)
            | Self::Metadata
            | Self::Own
            | Self::Peer
            | Self::Downgrade => FaultClass::ForbiddenAddress,
        }
    }

    /// The class when a redirect's target was refused: what cannot be read is a bad `Location`,
    /// the rest is forbidden.
    pub fn class_in_redirect(&self) -> FaultClass {
        match self {
            Self::TooLong | Self::NoHost | Self::Unparsable | Self::BadName => FaultClass::Redirect,
            Self::Character(_)
            | Self::Scheme
            | Self::UserInfo
            | Self::Spelling(_)
            | Self::SingleLabel
            | Self::SpecialName { .. }
            | Self::Port(_)
            | Self::Address(_)
            | Self::Metadata
            | Self::Own
            | Self::Peer
            | Self::Downgrade => FaultClass::ForbiddenAddress,
        }
    }
}

impl Target {
    /// The host in its plain form: lower case, without the dot of the root and without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Whether both have the same scheme, host and port (RFC 6454 §4).
    pub(super) fn is_same_origin(&self, other: &Self) -> bool {
        (self.https, &self.host, self.port) == (other.https, &other.host, other.port)
    }

    /// What stands in the request line: path and query, as the URL has them.
    pub(super) fn path_and_query(&self) -> &str {
        &self.url[url::Position::BeforePath..url::Position::AfterQuery]
    }

    /// Which resource this is, without its query: see `domain::version::Version::place`.
    pub(super) fn place(&self) -> String {
        let (scheme, path) = (self.url.scheme(), self.url.path());
        let text = format!("{scheme}://{}:{}{path}", self.host, self.port);
        hex::encode(Sha256::digest(text.as_bytes()))
    }
}

impl Guard {
    pub fn new(allow: Vec<EgressAllow>, own_listeners: Vec<SocketAddr>) -> Self {
        Self { allow, listeners: own_listeners, own: OwnAddresses::System }
    }

    /// On a machine without addresses, so that nothing is asked of the kernel for each of a million.
    #[cfg(test)]
    pub(super) fn nowhere() -> Self {
        Self { allow: Vec::new(), listeners: Vec::new(), own: OwnAddresses::Listed(Vec::new()) }
    }

    /// Judges the text of a URL, without asking DNS.
    ///
    /// # Errors
    /// The first [`Refusal`] in the order of the gate.
    pub fn target(&self, text: &str) -> Result<Target, Refusal> {
        let raw_host = raw_host(text)?;
        let url = Url::parse(text).map_err(|_| Refusal::Unparsable)?;
        let port = url.port_or_known_default().ok_or(Refusal::Scheme)?;
        let https = url.scheme() == "https";
        let host = match url.host().ok_or(Refusal::NoHost)? {
            Host::Ipv4(ip) => {
                let plain = ip.to_string();
                if raw_host != plain {
                    return Err(Refusal::Spelling(plain));
                }
                self.answer(&plain, port, &[ip.into()])?;
                plain
            }
            Host::Ipv6(ip) => {
                let plain = ip.to_string();
                self.answer(&plain, port, &[ip.into()])?;
                plain
            }
            Host::Domain(name) => {
                // A name written in other characters must need them: circled letters that fold
                // to ASCII are a disguise, "bücher" is not.
                let same = if raw_host.is_ascii() {
                    raw_host.eq_ignore_ascii_case(name)
                } else {
                    name.split('.').any(|label| label.starts_with("xn--"))
                };
                let plain = name.strip_suffix('.').unwrap_or(name).to_owned();
                if !same {
                    return Err(Refusal::Spelling(plain));
                }
                self.name(&plain, port)?;
                plain
            }
        };
        Ok(Target { url, host, port, https })
    }

    /// Judges a redirect from `from` to a `Location`, which may be relative (RFC 9110 §10.2.2).
    ///
    /// # Errors
    /// The first [`Refusal`] in the order of the gate, which every redirect passes whole.
    pub fn redirect(&self, from: &Target, location: &str) -> Result<Target, Refusal> {
        // Spaces in paths are common in the wild and harmless once encoded; in a host they then
        // are refused as a percent sign.
        let location = location.replace(' ', "%20");
        refuse_characters(&location)?;
        let absolute = if location.starts_with("//") {
            format!("{}:{location}", from.url.scheme())
        } else if has_scheme(&location) {
            location
        } else {
            from.url.join(&location).map_err(|_| Refusal::Unparsable)?.into()
        };
        let target = self.target(&absolute)?;
        if from.https && !target.https {
            return Err(Refusal::Downgrade);
        }
        Ok(target)
    }

    /// Judges a host name and port before anybody is asked about the name.
    ///
    /// # Errors
    /// [`Refusal::BadName`], [`Refusal::SingleLabel`], [`Refusal::SpecialName`] or
    /// [`Refusal::Port`].
    pub fn name(&self, name: &str, port: u16) -> Result<(), Refusal> {
        refuse_malformed_name(name)?;
        if port == 0 {
            return Err(Refusal::Port(port));
        }
        if self.allow.iter().any(|entry| entry.opens_name(name, port)) {
            return Ok(());
        }
        for (domain, source_of_rule) in SPECIAL_DOMAINS {
            let within = name.strip_suffix(domain);
            if within.is_some_and(|rest| rest.is_empty() || rest.ends_with('.')) {
                return Err(Refusal::SpecialName { domain, source_of_rule });
            }
        }
        if !name.contains('.') {
            return Err(Refusal::SingleLabel);
        }
        // An odd port may still be opened by the network the name resolves into.
        if WEB_PORTS.contains(&port) || self.allow.iter().any(|entry| entry.may_open(port)) {
            Ok(())
        } else {
            Err(Refusal::Port(port))
        }
    }

    /// Judges all addresses of one answer; one bad address refuses the whole answer. `host` is
    /// the name that was looked up, or the address itself.
    ///
    /// # Errors
    /// The [`Refusal`] of the first address that may not be dialled.
    pub fn answer(&self, host: &str, port: u16, ips: &[IpAddr]) -> Result<(), Refusal> {
        let own = self.own.now();
        ips.iter().try_for_each(|ip| self.judge(host, SocketAddr::new(*ip, port), &own))
    }

    /// Judges one address and port that would be dialled for `host`.
    ///
    /// # Errors
    /// [`Refusal::Own`], [`Refusal::Metadata`], [`Refusal::Address`] or [`Refusal::Port`].
    pub fn address(&self, host: &str, address: SocketAddr) -> Result<(), Refusal> {
        self.judge(host, address, &self.own.now())
    }

    fn judge(&self, host: &str, address: SocketAddr, own: &Present) -> Result<(), Refusal> {
        let (ip, port) = (address.ip(), address.port());
        let any = |opens: &dyn Fn(&EgressAllow) -> bool| self.allow.iter().any(opens);
        if port == 0 {
            return Err(Refusal::Port(port));
        }
        // These two are opened by their exact names alone.
        if self.is_listener(address, own) && !any(&|entry| entry.names_listener(address)) {
            return Err(Refusal::Own);
        }
        if is_metadata(ip) && !any(&|entry| entry.names_address(address)) {
            return Err(Refusal::Metadata);
        }
        if any(&|entry| entry.opens_address(address) || entry.opens_name(host, port)) {
            return Ok(());
        }
        if let Some(block) = special_block(ip) {
            return Err(Refusal::Address(block));
        }
        let bound_here = self.listeners.iter().any(|listener| listener.ip() == ip);
        if bound_here || own.find(ip).is_some_and(|own| !own.on_loopback) {
            return Err(Refusal::Own);
        }
        if WEB_PORTS.contains(&port) { Ok(()) } else { Err(Refusal::Port(port)) }
    }

    /// Whether a connection to `address` would reach one of our own listeners, in whatever
    /// spelling: a wildcard listener is at every address of the machine, and the unspecified
    /// address leads to loopback (Linux).
    fn is_listener(&self, address: SocketAddr, own: &Present) -> bool {
        let mut same_port =
            self.listeners.iter().filter(|listener| listener.port() == address.port());
        same_port.any(|listener| {
            spellings(address.ip()).any(|ip| {
                if listener.ip().is_unspecified() {
                    ip.is_loopback() || ip.is_unspecified() || own.find(ip).is_some()
                } else {
                    ip == listener.ip() || (ip.is_unspecified() && listener.ip().is_loopback())
                }
            })
        })
    }
}

/// The raw-text refusals; what is left has the form `http(s)://authority…`, and its host as it
/// was written is returned (brackets included).
fn raw_host(text: &str) -> Result<&str, Refusal> {
    if text.len() > URL_LIMIT {
        return Err(Refusal::TooLong);
    }
    refuse_characters(text)?;
    let rest = ["http://", "https://"]
        .into_iter()
        .find_map(|scheme| {
            let (head, rest) = text.split_at_checked(scheme.len())?;
            head.eq_ignore_ascii_case(scheme).then_some(rest)
        })
        .ok_or(Refusal::Scheme)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return Err(Refusal::NoHost);
    }
    if authority.contains('@') {
        return Err(Refusal::UserInfo);
    }
    let host = match authority.find(']') {
        Some(end) if authority.starts_with('[') => &authority[..=end],
        _ => authority.split(':').next().unwrap_or_default(),
    };
    if host.is_empty() {
        return Err(Refusal::NoHost);
    }
    if host.contains('%') {
        return Err(Refusal::Spelling("without percent signs".to_owned()));
    }
    Ok(host)
}

/// Characters that parsers drop, fold or read as something else.
fn refuse_characters(text: &str) -> Result<(), Refusal> {
    for c in text.chars() {
        if c.is_control() {
            return Err(Refusal::Character("a control character"));
        }
        if c.is_whitespace() {
            return Err(Refusal::Character("a space"));
        }
        if c == '\\' {
            return Err(Refusal::Character("a backslash"));
        }
    }
    Ok(())
}

/// Whether a reference begins with a scheme (RFC 3986 §3.1).
fn has_scheme(reference: &str) -> bool {
    let head = reference.split(['/', '?', '#']).next().unwrap_or_default();
    head.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    })
}

/// Host names as sources have them: letters, digits, hyphens inside labels, and underscores, which
/// buckets use; but no label that begins with one, which marks a service (RFC 8552).
fn refuse_malformed_name(name: &str) -> Result<(), Refusal> {
    let sound = |label: &str| {
        (1..=LABEL_LIMIT).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with(['-', '_'])
            && !label.ends_with('-')
    };
    if name.len() <= NAME_LIMIT && name.split('.').all(sound) {
        Ok(())
    } else {
        Err(Refusal::BadName)
    }
}

#[cfg(test)]
mod tests;
