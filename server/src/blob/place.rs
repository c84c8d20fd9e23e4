//! Where objects are kept, as the configuration says it: a directory, or a bucket of an object
//! store that speaks the S3 protocol.
//!
//! A place holds no secret: the keys of buckets are given apart, so that a place can be shown.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use url::{Host, Url};

/// Longest prefix of a bucket's keys, in characters: an object key of ours has 39 more, and S3 and
/// OSS take 1,023 bytes.
const PREFIX_LIMIT: usize = 512;
/// Lengths of a bucket's name (S3 and OSS: 3 to 63 characters).
const BUCKET_LENGTHS: std::ops::RangeInclusive<usize> = 3..=63;
/// What AWS calls a region when nobody says which.
const DEFAULT_REGION: &str = "us-east-1";

/// Where objects are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// `file:///srv/objects`
    Directory(PathBuf),
    /// `s3://bucket/prefix?endpoint=…&region=…` or `oss://…`
    Bucket(Bucket),
}

/// A bucket, and how it is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bucket {
    pub service: Service,
    pub name: String,
    /// What keys begin with; empty, or without slashes at its ends.
    pub prefix: String,
    /// Scheme, host and port, no path.
    pub endpoint: String,
    /// As requests are signed for.
    pub region: String,
    pub style: Style,
    pub play: Play,
}

/// Which service it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    S3,
    /// Alibaba OSS by its S3-compatible interface.
    Oss,
}

/// Where the bucket's name stands in a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// `https://host/bucket/key`
    Path,
    /// `https://bucket.host/key`
    Virtual,
}

/// Who serves the bytes of a medium.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Play {
    /// The bucket: play URLs are presigned.
    Direct,
    /// This server, at `/media`.
    Proxy,
}

impl Place {
    /// `file` or the service, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Directory(_) => "file",
            Self::Bucket(bucket) => bucket.service.scheme(),
        }
    }
}

impl Service {
    fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Oss => "oss",
        }
    }
}

impl Bucket {
    /// The address that a key is put behind: scheme and host, with the bucket's name in it.
    pub fn base(&self) -> String {
        match (self.style, self.endpoint.split_once("://")) {
            (Style::Virtual, Some((scheme, host))) => format!("{scheme}://{}.{host}", self.name),
            (Style::Path | Style::Virtual, _) => format!("{}/{}", self.endpoint, self.name),
        }
    }

    /// Where its endpoint is, if it is an address and no name.
    pub fn address(&self) -> Option<SocketAddr> {
        let url = Url::parse(&self.endpoint).ok()?;
        let ip: IpAddr = match url.host()? {
            Host::Domain(_) => return None,
            Host::Ipv4(ip) => ip.into(),
            Host::Ipv6(ip) => ip.into(),
        };
        Some(SocketAddr::new(ip, url.port_or_known_default()?))
    }

    /// Whether its bytes and the signatures for it travel in the clear.
    pub fn is_plain(&self) -> bool {
        self.endpoint.starts_with("http://")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::Bucket(bucket) => bucket.fmt(f),
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, name, prefix, endpoint, .. } = self;
        let slash = if prefix.is_empty() { "" } else { "/" };
        write!(f, "{}://{name}{slash}{prefix} at {endpoint}", service.scheme())
    }
}

impl FromStr for Place {
    type Err = String;

    /// The reason never repeats the text, which somebody may have put a key into.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("file://") {
            return match path {
                "" => Err("it names no directory".to_owned()),
                path => Ok(Self::Directory(PathBuf::from(path))),
            };
        }
        let (service, rest) = match text.split_once("://") {
            Some(("s3", rest)) => (Service::S3, rest),
            Some(("oss", rest)) => (Service::Oss, rest),
            _ => return Err("it begins with none of file://, s3:// and oss://".to_owned()),
        };
        bucket(service, rest).map(Self::Bucket)
    }
}

fn bucket(service: Service, rest: &str) -> Result<Bucket, String> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if path.contains(['@', '#']) {
        return Err("keys are given in storage_keys, not in the URL".to_owned());
    }
    let (name, prefix) = path.split_once('/').unwrap_or((path, ""));
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    if !BUCKET_LENGTHS.contains(&name.len()) || !name.bytes().all(fine) {
        return Err("its bucket is not 3 to 63 lower-case letters, digits, `-` or `.`".to_owned());
    }
    let prefix = prefix.trim_end_matches('/');
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'/');
    let dots = |part: &str| part.is_empty() || part.bytes().all(|b| b == b'.');
    let bad = prefix.len() > PREFIX_LIMIT || !prefix.bytes().all(fine);
    if bad || (!prefix.is_empty() && prefix.split('/').any(dots)) {
        return Err("its prefix is not letters, digits, `-`, `.`, `_` and single `/`".to_owned());
    }
    let options = options(query)?;
    let region = match (options.get("region"), service) {
        (Some(region), _) => region.clone(),
        (None, Service::S3) => DEFAULT_REGION.to_owned(),
        (None, Service::Oss) => return Err("its region is missing".to_owned()),
    };
    if region.is_empty() || !region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err("its region is not letters, digits and `-`".to_owned());
    }
    let given = options.get("endpoint").map(|text| endpoint(text)).transpose()?;
    let style = match (options.get("style").map(String::as_str), service, &given) {
        (Some("path"), _, _) => Style::Path,
        (Some("virtual"), _, Some((_, false))) => {
            return Err("an endpoint that is an address has no virtual style".to_owned());
        }
        (Some("virtual"), _, _) | (None, Service::Oss, _) | (None, Service::S3, None) => {
            Style::Virtual
        }
        (Some(_), _, _) => return Err("its style is neither `path` nor `virtual`".to_owned()),
        (None, Service::S3, Some(_)) => Style::Path,
    };
    let play = match options.get("play").map(String::as_str) {
        None | Some("direct") => Play::Direct,
        Some("proxy") => Play::Proxy,
        Some(_) => return Err("its play is neither `direct` nor `proxy`".to_owned()),
    };
    let endpoint = match (given, service) {
        (Some((endpoint, _)), _) => endpoint,
        (None, Service::S3) => format!("https://s3.{region}.amazonaws.com"),
        (None, Service::Oss) => format!("https://s3.oss-{region}.aliyuncs.com"),
    };
    let (name, prefix) = (name.to_owned(), prefix.to_owned());
    Ok(Bucket { service, name, prefix, endpoint, region, style, play })
}

/// The query's options, each once.
fn options(query: &str) -> Result<BTreeMap<String, String>, String> {
    const KNOWN: [&str; 4] = ["endpoint", "region", "style", "play"];
    let mut options = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if !KNOWN.contains(&&*name) {
            return Err(format!("its query knows only {}", KNOWN.join(", ")));
        }
        let name = name.into_owned();
        if options.contains_key(&name) {
            return Err(format!("its query says {name} twice"));
        }
        options.insert(name, value.into_owned());
    }
    Ok(options)
}

/// An endpoint without its final slash, and whether its host is a name.
fn endpoint(text: &str) -> Result<(String, bool), String> {
    let bad = || "its endpoint is not an http or https URL of a host alone".to_owned();
    let url = Url::parse(text).map_err(|_| bad())?;
    let alone = matches!(url.scheme(), "http" | "https")
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let named = match url.host() {
        Some(Host::Domain(_)) => true,
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => false,
        None => return Err(bad()),
    };
    if alone { Ok((url.as_str().trim_end_matches('/').to_owned(), named)) } else { Err(bad()) }
}

/// The key that a bucket's requests are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct BucketKey {
    pub id: String,
    pub secret: String,
}

impl fmt::Debug for BucketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BucketKey({}, hidden)", self.id)
    }
}

impl FromStr for BucketKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, secret) = text.split_once(':').ok_or("there is no `:` between id and secret")?;
        let fine = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        if !fine(id) || !fine(secret) {
            return Err("id or secret is empty, or not printable ASCII".to_owned());
        }
        Ok(Self { id: id.to_owned(), secret: secret.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket_of(text: &str) -> Bucket {
        match text.parse() {
            Ok(Place::Bucket(bucket)) => bucket,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_bucket_of_aws_needs_its_name_and_region_alone() {
        let bucket = bucket_of("s3://media-archive/haulage/2026?region=eu-central-1");
        assert_eq!(bucket.base(), "https://media-archive.s3.eu-central-1.amazonaws.com");
        assert_eq!(bucket.prefix, "haulage/2026");
        assert_eq!((bucket.style, bucket.play), (Style::Virtual, Play::Direct));
    }

    #[test]
    fn another_s3_server_is_named_by_its_endpoint() {
        let bucket = bucket_of("s3://media?endpoint=http%3A%2F%2F127.0.0.1%3A9000&play=proxy");
        assert_eq!(bucket.base(), "http://127.0.0.1:9000/media");
        assert_eq!(bucket.region, "us-east-1");
        assert_eq!(bucket.play, Play::Proxy);
        assert!(bucket.is_plain());
        assert_eq!(bucket.address(), Some(SocketAddr::from(([127, 0, 0, 1], 9000))));
        let named = bucket_of("s3://media/?endpoint=https://minio.internal/&style=virtual");
        assert_eq!(named.base(), "https://media.minio.internal");
        assert_eq!(named.to_string(), "s3://media at https://minio.internal");
        assert_eq!(named.address(), None);
        let sixth = bucket_of("s3://media?endpoint=https://[2001:db8::5]");
        assert_eq!(sixth.address(), Some("[2001:db8::5]:443".parse().unwrap()));
    }

    #[test]
    fn oss_is_reached_by_its_s3_interface_with_the_bucket_in_the_host() {
        let bucket = bucket_of("oss://media/in?region=cn-shanghai");
        assert_eq!(bucket.base(), "https://media.s3.oss-cn-shanghai.aliyuncs.com");
        let inside = "oss://media?region=cn-shanghai&endpoint=https://s3.oss-cn-shanghai-internal.aliyuncs.com";
        assert_eq!(
            bucket_of(inside).base(),
            "https://media.s3.oss-cn-shanghai-internal.aliyuncs.com"
        );
    }

    #[test]
    fn what_is_no_place_is_refused_without_being_repeated() {
        for bad in [
            "",
            "/srv/objects",
            "file://",
            "gs://hunter2-bucket",
            "s3://",
            "s3://ab",
            "s3://Hunter2",
            "s3://hunter2:hunter2secret@bucket",
            "s3://bucket/a//b",
            "s3://bucket/a/../b",
            "s3://bucket/a b",
            "s3://bucket?secret=hunter2",
            "s3://bucket?region=",
            "s3://bucket?region=a&region=b",
            "s3://bucket?endpoint=hunter2",
            "s3://bucket?endpoint=https://hunter2:hunter2@h/",
            "s3://bucket?endpoint=https://h/path",
            "s3://bucket?endpoint=ftp://h/",
            "s3://bucket?endpoint=https://192.0.2.1&style=virtual",
            "s3://bucket?style=hunter2",
            "s3://bucket?play=hunter2",
            "oss://bucket",
        ] {
            let refused = bad.parse::<Place>();
            let reason = refused.expect_err(bad);
            assert!(!reason.is_empty() && !reason.contains("hunter2"), "{bad}: {reason}");
        }
    }

    #[test]
    fn a_bucket_key_is_never_shown_whole() {
        let key: BucketKey = "AKID:se/cr+et=:x".parse().unwrap();
        assert_eq!((key.id.as_str(), key.secret.as_str()), ("AKID", "se/cr+et=:x"));
        assert_eq!(format!("{key:?}"), "BucketKey(AKID, hidden)");
        for bad in ["", "AKID", ":x", "AKID:", "AK ID:x"] {
            assert!(bad.parse::<BucketKey>().is_err(), "{bad}");
        }
    }
}
