//! Digests that an origin announces of the file it sends.
//!
//! Only what describes exactly the bytes that are stored counts: the whole file, without a content
//! coding (`client` refuses answers with one). What cannot be read is passed over with a
//! line in the log: a header nobody asked for is no reason to fail a transfer.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use http::StatusCode;
use http::header::HeaderMap;

use crate::domain::digest::{Algorithm, Digest};

/// Most digests of one answer that are compared.
const ANNOUNCED_LIMIT: usize = 16;

/// Origins are known that leave the padding out, and RFC 9651 §4.2.7 lets a parser accept it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A digest, and the header field that announced it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Announced {
    /// As its standard or its vendor spells it.
    pub field: &'static str,
    pub digest: Digest,
}

/// How a field writes its digests.
#[derive(Clone, Copy)]
enum Form {
    /// Base64 of this one.
    Base64(Algorithm),
    /// CRC-64 in decimal.
    Decimal,
    /// `algorithm=Base64, …` (RFC 3230 §4.3.2, and Google's `x-goog-hash`).
    List,
    /// `algorithm=:Base64:, …`, a dictionary of byte sequences (RFC 9530 §2, RFC 9651).
    Dictionary,
}

/// What a field describes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// The whole file, also where the answer brings a part of it.
    File,
    /// What this answer brings: the file if the answer is a 200.
    Content,
}

/// The fields: `Content-MD5` (RFC 1864), `Digest` (RFC 3230 §4.3.2: of the instance), those of
/// RFC 9530 §2 and §3, and the vendors'. S3 may answer a part with the checksum of the part.
const FIELDS: [(&str, Of, Form); 10] = [
    ("Content-MD5", Of::Content, Form::Base64(Algorithm::Md5)),
    ("Digest", Of::File, Form::List),
    ("Content-Digest", Of::Content, Form::Dictionary),
    ("Repr-Digest", Of::File, Form::Dictionary),
    ("x-oss-hash-crc64ecma", Of::File, Form::Decimal),
    (GOOGLE, Of::File, Form::List),
    ("x-amz-checksum-sha256", Of::Content, Form::Base64(Algorithm::Sha256)),
    ("x-amz-checksum-crc32c", Of::Content, Form::Base64(Algorithm::Crc32c)),
    ("x-amz-checksum-crc32", Of::Content, Form::Base64(Algorithm::Crc32)),
    ("x-amz-checksum-crc64nvme", Of::Content, Form::Base64(Algorithm::Crc64Nvme)),
];

const GOOGLE: &str = "x-goog-hash";
/// How Google Cloud Storage keeps the object: where it is compressed and is unpacked on the way,
/// the hash is of the compressed bytes.
const GOOGLE_STORED_CODING: &str = "x-goog-stored-content-encoding";
/// `COMPOSITE` for a checksum of the checksums of an object's parts, which is none of its bytes.
const AMAZON_TYPE: &str = "x-amz-checksum-type";

/// The usable digests of an answer, at most [`ANNOUNCED_LIMIT`].
pub(super) fn announced(status: StatusCode, headers: &HeaderMap) -> Vec<Announced> {
    let mut found = Vec::new();
    for (field, of, form) in FIELDS {
        let covered = match status {
            StatusCode::OK => true,
            StatusCode::PARTIAL_CONTENT => of == Of::File,
            // Whoever answers so may have changed the file on the way (RFC 9110 §15.3.4).
            _ => false,
        };
        if !covered || !applies(field, headers) {
            continue;
        }
        for value in headers.get_all(field) {
            let digests = value.to_str().ok().and_then(|text| read(form, text.trim()));
            let Some(digests) = digests else {
                tracing::debug!(field, "passed over a digest of the origin: it cannot be read");
                continue;
            };
            found.extend(digests.into_iter().map(|digest| Announced { field, digest }));
        }
    }
    found.truncate(ANNOUNCED_LIMIT);
    found
}

fn applies(field: &str, headers: &HeaderMap) -> bool {
    let is = |name: &str, text: &str| {
        let mut values = headers.get_all(name).iter();
        values.all(|value| value.as_bytes().eq_ignore_ascii_case(text.as_bytes()))
    };
    match field {
        GOOGLE => is(GOOGLE_STORED_CODING, "identity"),
        _ if field.starts_with("x-amz-") => is(AMAZON_TYPE, "FULL_OBJECT"),
        _ => true,
    }
}

/// The digests of a field's value that are of a kind we compute; `None` when the value, or a
/// member of such a kind, is malformed.
fn read(form: Form, text: &str) -> Option<Vec<Digest>> {
    match form {
        Form::Base64(algorithm) => Some(vec![base64_digest(algorithm, text)?]),
        Form::Decimal => {
            let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            Some(vec![Digest::Crc64(text.parse().ok().filter(|_| is_plain)?)])
        }
        Form::List => members(text, Some),
        Form::Dictionary => members(text, |value| {
            // Parameters of a member say nothing that is known.
            let item = value.split(';').next()?.trim();
            item.strip_prefix(':')?.strip_suffix(':')
        }),
    }
}

/// `name=value` members, of which `unwrap` takes the Base64 out. No member of a known kind has a
/// string, so one with a comma in it cannot be taken for two by a field that is well-formed.
fn members<'a>(text: &'a str, unwrap: impl Fn(&'a str) -> Option<&'a str>) -> Option<Vec<Digest>> {
    let mut found: Vec<Digest> = Vec::new();
    for member in text.split(',').map(str::trim).filter(|member| !member.is_empty()) {
        let (name, value) = member.split_once('=')?;
        let Some(algorithm) = known(name.trim()) else { continue };
        let digest = base64_digest(algorithm, unwrap(value.trim())?)?;
        // Of two members of one name the last counts (RFC 9651 §4.2.2).
        found.retain(|other| other.algorithm() != algorithm);
        found.push(digest);
    }
    Some(found)
}

/// Names of the IANA registries of RFC 3230 and RFC 9530, and of Google. `SHA-512` and older ones
/// are left out: nothing else would need them computed.
fn known(name: &str) -> Option<Algorithm> {
    let names =
        [("sha-256", Algorithm::Sha256), ("md5", Algorithm::Md5), ("crc32c", Algorithm::Crc32c)];
    names.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, of)| of)
}

fn base64_digest(algorithm: Algorithm, text: &str) -> Option<Digest> {
    Digest::from_bytes(algorithm, &BASE64.decode(text).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(status: u16, fields: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let found = announced(StatusCode::from_u16(status).unwrap(), &headers);
        found.into_iter().map(|a| (a.field, format!("{:?}", a.digest))).collect()
    }

    fn names(fields: &[(&'static str, &str)]) -> Vec<&'static str> {
        of(200, fields).into_iter().map(|(field, _)| field).collect()
    }

    // Of the five bytes "hello", computed by another program.
    const MD5: &str = "XUFAKrxLKna5cZ2REBfFkg==";
    const SHA256: &str = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
    const CRC32C: &str = "mnG7TA==";

    #[test]
    fn every_field_is_read_in_its_own_form() {
        assert_eq!(of(200, &[("content-md5", MD5)])[0].0, "Content-MD5");
        assert_eq!(names(&[("digest", &format!("MD5={MD5},SHA-256={SHA256}"))]).len(), 2);
        assert_eq!(
            names(&[("digest", &format!("sha=x, unixsum=30637, sha-256={SHA256}"))]).len(),
            1
        );
        let dictionary = format!("sha-512=:AA==:, sha-256=:{SHA256}:;a=1");
        assert_eq!(names(&[("repr-digest", &dictionary)]), ["Repr-Digest"]);
        assert_eq!(names(&[("content-digest", &dictionary)]), ["Content-Digest"]);
        assert_eq!(
            of(200, &[("x-oss-hash-crc64ecma", "11051210869376104954")]),
            [("x-oss-hash-crc64ecma", "Crc64(11051210869376104954)".to_owned())]
        );
        // Google repeats the field or writes a list.
        let crc32c = format!("crc32c={CRC32C}");
        let md5 = format!("md5={MD5}");
        assert_eq!(
            names(&[("x-goog-hash", &crc32c), ("x-goog-hash", &md5)]),
            ["x-goog-hash", "x-goog-hash"]
        );
        assert_eq!(
            of(200, &[("x-goog-hash", &format!("{crc32c},{md5}"))])[0].1,
            "Crc32c(2591144780)"
        );
        for name in ["x-amz-checksum-crc32c", "x-amz-checksum-crc32"] {
            assert_eq!(names(&[(name, CRC32C)]), [name]);
        }
        assert_eq!(names(&[("x-amz-checksum-crc64nvme", "AAAAAAAAAAE=")]).len(), 1);
        assert_eq!(names(&[("x-amz-checksum-sha256", SHA256)]).len(), 1);
    }

    #[test]
    fn what_does_not_describe_the_stored_bytes_is_not_heard() {
        let file = format!("sha-256=:{SHA256}:");
        let fields = [
            ("content-md5", MD5),
            ("content-digest", &file),
            ("repr-digest", &file),
            ("x-amz-checksum-sha256", SHA256),
        ];
        let fields = |status| -> Vec<_> { of(status, &fields).into_iter().map(|f| f.0).collect() };
        assert_eq!(fields(200).len(), 4);
        assert_eq!(fields(206), ["Repr-Digest"], "the others are of the part");
        assert!(fields(203).is_empty());
        let google = format!("md5={MD5}");
        let with = |coding| {
            names(&[("x-goog-hash", &google), ("x-goog-stored-content-encoding", coding)]).len()
        };
        assert_eq!((with("identity"), with("gzip")), (1, 0));
        let with =
            |kind| names(&[("x-amz-checksum-crc32", CRC32C), ("x-amz-checksum-type", kind)]).len();
        assert_eq!((with("FULL_OBJECT"), with("COMPOSITE")), (1, 0));
        assert!(names(&[("x-amz-checksum-crc32", "mnG7TA==-3")]).is_empty());
    }

    #[test]
    fn a_malformed_digest_is_passed_over_and_the_others_are_heard() {
        for (field, value) in [
            ("content-md5", "not Base64"),
            ("content-md5", "AAAA"),
            ("content-md5", ""),
            ("content-md5", "5d41402abc4b2a76b9719d911017c592"),
            ("digest", "sha-256"),
            ("digest", "sha-256=AAAA"),
            ("repr-digest", "sha-256=AAAA"),
            ("repr-digest", "sha-256=:AAAA"),
            ("repr-digest", "sha-256=:"),
            ("repr-digest", "sha-256=1;:"),
            ("x-oss-hash-crc64ecma", "+1"),
            ("x-oss-hash-crc64ecma", "18446744073709551616"),
            ("x-goog-hash", "crc32c=AAAAAAAA"),
        ] {
            let heard = names(&[(field, value), ("x-amz-checksum-sha256", SHA256)]);
            assert_eq!(heard, ["x-amz-checksum-sha256"], "{field}: {value}");
        }
        assert_eq!(names(&[("content-md5", MD5.trim_end_matches('='))]).len(), 1);
    }

    #[test]
    fn of_two_members_of_one_name_the_last_counts_and_of_many_fields_not_all() {
        let twice = format!("sha-256=:{}=:, sha-256=:{SHA256}:", "A".repeat(43));
        let [(_, digest)] = &of(200, &[("repr-digest", &twice)])[..] else { panic!("one") };
        assert!(digest.starts_with("Sha256([44, 242, 77"), "{digest}");
        let many: Vec<_> = (0..50).map(|_| ("content-md5", MD5)).collect();
        assert_eq!(names(&many).len(), ANNOUNCED_LIMIT);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[ -~]{0,80}") {
            for (field, ..) in FIELDS {
                let _ = names(&[(field, &text)]);
            }
        }
    }
}
