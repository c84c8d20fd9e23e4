//! The rows of the signature corpus that parsing, encoding and both signatures must withstand. The
//! row's number is in the test's comment.

use wire::action::Request;
use wire::code::{Code, Fault};
use wire::envelope::{self, Format, NONCE_LIMIT};
use wire::params::{BODY_LIMIT, NAME_LIMIT, PARAM_COUNT_LIMIT, Params, QUERY_LIMIT, VALUE_LIMIT};
use wire::percent::encode;
use wire::sign::client::{Moment, Signer};
use wire::sign::v1;

use super::{Http, refusal};

const SECRET: &str = "testsecret";
const FORM: &str = "application/x-www-form-urlencoded";
const AT: Moment<'static> = Moment { unix_seconds: 1_767_323_045, nonce: "n-1" };

fn signer() -> Signer<'static> {
    Signer { access_key_id: "testid", access_key_secret: SECRET, security_token: None }
}

fn owned(params: &[(&str, &str)]) -> Vec<(String, String)> {
    params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn v1_get(params: &[(&str, &str)]) -> Http {
    Http::from_signed(signer().v1("GET", "CancelUrlUploadJobs", &owned(params), Format::Json, AT))
}

fn v1_post(params: &[(&str, &str)]) -> Http {
    Http::from_signed(signer().v1("POST", "CancelUrlUploadJobs", &owned(params), Format::Json, AT))
}

fn v3(params: &[(&str, &str)]) -> Http {
    Http::from_signed(signer().v3("127.0.0.1:1", "CancelUrlUploadJobs", &owned(params), AT))
}

fn parse(query: &str) -> Result<Params, Fault> {
    Params::parse(query, None, b"")
}

#[test]
fn the_requests_that_the_attacks_start_from_are_good() {
    for http in [v1_get(&[("JobIds", "a")]), v1_post(&[("JobIds", "a")]), v3(&[("JobIds", "a")])] {
        let envelope = http.verify(SECRET).unwrap();
        assert_eq!(envelope.credentials.access_key_id, "testid");
        assert_eq!(envelope.credentials.nonce, "n-1");
        assert_eq!(envelope.credentials.timestamp(), Ok(1_767_323_045));
        assert_eq!(envelope.credentials.security_token, None);
        assert!(matches!(
            Request::parse(envelope.operation, &http.params().unwrap()),
            Ok(Request::CancelUrlUploadJobs(_))
        ));
    }
}

#[test]
fn a_temporary_credential_is_signed_with_its_token() {
    let signer = Signer { security_token: Some("tok+/="), ..signer() };
    let params = owned(&[("JobIds", "a")]);
    let query = signer.v1("GET", "CancelUrlUploadJobs", &params, Format::Xml, AT);
    let headers = signer.v3("h", "CancelUrlUploadJobs", &params, AT);
    for signed in [query, headers] {
        let mut http = Http::from_signed(signed);
        let token = http.verify(SECRET).unwrap().credentials.security_token;
        assert_eq!(token.as_deref(), Some("tok+/="));

        http.query = http.query.replace("tok%2B", "tik%2B");
        for (name, value) in &mut http.headers {
            if name == "x-acs-security-token" {
                *value = "tik+/=".to_owned();
            }
        }
        assert_eq!(refusal(http.verify(SECRET)), "SignatureDoesNotMatch");
    }
}

#[test]
fn a_parameter_given_twice_is_refused_wherever_it_stands() {
    // Rows 13, 14, 16.
    for query in ["JobIds=a&JobIds=b", "JobIds=b&JobIds=a", "Signature=x&Signature=x", "a&a="] {
        assert_eq!(refusal(parse(query)), "InvalidParameter", "{query}");
    }
    let twice = Params::parse("JobIds=a", Some(FORM), b"JobIds=a").unwrap_err();
    assert_eq!(
        twice.message(),
        "The specified parameter \"JobIds\" is not valid: it is given more than once."
    );
    let hostile = format!("{0}=1&{0}=2", "%0A%1B[31m".repeat(20));
    let message = parse(&hostile).unwrap_err().message().to_owned();
    assert!(!message.contains('\n') && !message.contains('\u{1b}') && message.len() < 600);
}

#[test]
fn an_unsigned_parameter_beside_a_signed_request_breaks_the_signature() {
    // Rows 17, 18.
    let mut in_body = v1_get(&[("JobIds", "a")]).with_header("content-type", FORM);
    in_body.method = "POST".to_owned();
    in_body.body = b"IncludeOutcomes=true".to_vec();
    assert_eq!(refusal(in_body.verify(SECRET)), "SignatureDoesNotMatch");

    let mut in_query = v1_post(&[("JobIds", "a")]);
    in_query.query = "IncludeOutcomes=true".to_owned();
    assert_eq!(refusal(in_query.verify(SECRET)), "SignatureDoesNotMatch");

    let mut beside_headers = v3(&[("JobIds", "a")]);
    beside_headers.query = "IncludeOutcomes=true".to_owned();
    assert_eq!(refusal(beside_headers.verify(SECRET)), "SignatureDoesNotMatch");
}

#[test]
fn names_that_only_resemble_a_parameter_are_other_names() {
    // Row 21.
    for name in ["JobIds[]", "JobIds.1", "jobids", "JobIds\0", "JobIds "] {
        let http = v1_get(&[(name, "a")]);
        let envelope = http.verify(SECRET).unwrap();
        let parsed = Request::parse(envelope.operation, &http.params().unwrap());
        assert_eq!(refusal(parsed), "MissingParameter", "{name:?}");
    }
}

#[test]
fn separators_and_empty_parts_are_read_one_way() {
    // Rows 22, 23.
    let pairs = |query: &str| {
        let params = parse(query).unwrap();
        params.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>()
    };
    assert_eq!(pairs("a;b=c"), ["a;b=c"]);
    assert_eq!(pairs("&&a&b=&=x&c=d=e&"), ["a=", "b=", "=x", "c=d=e"]);
    assert_eq!(pairs(""), [""; 0]);
    assert_eq!(parse("a").unwrap().get("a"), Some(""));
    assert_eq!(parse("=x").unwrap().get(""), Some("x"));
}

#[test]
fn floods_of_parameters_are_refused_by_named_limits() {
    // Row 24.
    let many = |count: usize| (0..count).map(|n| format!("p{n}=")).collect::<Vec<_>>().join("&");
    assert!(parse(&many(PARAM_COUNT_LIMIT)).is_ok());
    assert_eq!(refusal(parse(&many(PARAM_COUNT_LIMIT + 1))), "InvalidParameter");

    assert!(parse(&"n".repeat(NAME_LIMIT)).is_ok());
    assert_eq!(refusal(parse(&"n".repeat(NAME_LIMIT + 1))), "InvalidParameter");

    let value = |len: usize| format!("a={}", "v".repeat(len)).into_bytes();
    assert!(Params::parse("", Some(FORM), &value(VALUE_LIMIT)).is_ok());
    let long = Params::parse("", Some(FORM), &value(VALUE_LIMIT + 1));
    assert_eq!(refusal(long), "InvalidParameter");

    let body = vec![b'&'; BODY_LIMIT];
    assert!(Params::parse("", Some(FORM), &body).is_ok());
    let over = vec![b'&'; BODY_LIMIT + 1];
    assert_eq!(refusal(Params::parse("", Some(FORM), &over)), "RequestTooLarge");
    assert_eq!(refusal(Params::parse("", None, &over)), "RequestTooLarge");
    assert_eq!(refusal(parse(&"&".repeat(QUERY_LIMIT + 1))), "RequestTooLarge");
}

#[test]
fn every_wire_spelling_of_a_character_is_the_same_character() {
    // Rows 26, 27, 28, 30, 33.
    let http = v1_get(&[("JobIds", "a b~*/%2C")]);
    let as_signed = "JobIds=a%20b~%2A%2F%252C";
    assert!(http.query.contains(as_signed));
    for spelling in [
        "JobIds=a+b~*/%252C",
        "JobIds=a%20b%7E%2a%2f%25%32%43",
        "JobIds=%61%20%62~%2A%2f%252C",
        "%4AobIds=a+b~%2A%2F%252C",
    ] {
        let mut other = http.clone();
        other.query = http.query.replace(as_signed, spelling);
        assert!(other.verify(SECRET).is_ok(), "{spelling}");
    }
    let mut other = http.clone();
    other.query = http.query.replace(as_signed, "JobIds=a+b~*/%252c");
    assert_eq!(refusal(other.verify(SECRET)), "SignatureDoesNotMatch", "another value");
    assert_eq!(parse("a=%252C").unwrap().get("a"), Some("%2C"));

    let composed = v1_get(&[("UploadUrls", "http://h/\u{e9}.mp4")]);
    let decomposed = v1_get(&[("UploadUrls", "http://h/e\u{301}.mp4")]);
    assert!(composed.verify(SECRET).is_ok() && decomposed.verify(SECRET).is_ok());
    assert_ne!(
        composed.params().unwrap().get("UploadUrls"),
        decomposed.params().unwrap().get("UploadUrls")
    );
}

#[test]
fn a_client_that_signs_by_other_encoding_rules_is_refused() {
    // Row 29: lower-case escapes in the string to sign.
    let http = v1_get(&[("JobIds", "a/b")]);
    let params = http.params().unwrap();
    let right = v1::string_to_sign("GET", params.iter());
    let wrong = v1::signature(SECRET, &right.replace("%252F", "%252f"));
    let signature = encode(params.get("Signature").unwrap());
    let mut other = http.clone();
    other.query = http.query.replace(&signature, &encode(&wrong));
    assert_ne!(http.query, other.query);
    assert_eq!(refusal(other.verify(SECRET)), "SignatureDoesNotMatch");
}

#[test]
fn broken_escapes_and_broken_utf8_are_refused() {
    // Rows 31, 32.
    for value in ["%zz", "%", "%u4e2d", "%C0%AF", "%ED%A0%80", "%FF"] {
        for query in [format!("a={value}"), format!("{value}=a")] {
            assert_eq!(refusal(parse(&query)), "InvalidParameter", "{query}");
        }
        let body = Params::parse("", Some(FORM), format!("a={value}").as_bytes());
        assert_eq!(refusal(body), "InvalidParameter");
    }
    assert_eq!(refusal(Params::parse("", Some(FORM), b"a=\xff")), "InvalidParameter");
}

#[test]
fn twins_of_a_base64_signature_are_refused() {
    // Rows 34, 35.
    let http = v1_get(&[("JobIds", "a")]);
    let good = http.params().unwrap().get("Signature").unwrap().to_owned();
    let with = |signature: &str| {
        let mut other = http.clone();
        other.query = http.query.replace(&encode(&good), &encode(signature));
        other.verify(SECRET)
    };
    assert!(with(&good).is_ok());
    let huge = "A".repeat(50_000);
    let body = &good[..27];
    for twin in [body, &format!("{good}\n"), &format!("{good}="), &format!("A{good}"), &huge] {
        assert_eq!(refusal(with(twin)), "SignatureDoesNotMatch");
    }
    assert_eq!(refusal(with("")), "IncompleteSignature");
    let mut none = http.clone();
    none.query = http.query.replace(&format!("&Signature={}", encode(&good)), "");
    assert_eq!(refusal(none.verify(SECRET)), "MissingSignature");
}

#[test]
fn parameters_are_sorted_by_bytes() {
    // Row 36.
    let traps = [
        ("a", "1"),
        ("A", "2"),
        ("AB", "3"),
        ("A.", "4"),
        ("A_", "5"),
        ("\u{e9}", "6"),
        ("~", "7"),
    ];
    assert!(v1_get(&traps).verify(SECRET).is_ok());
    assert!(v3(&traps).verify(SECRET).is_ok());
    let params = Params::from_pairs(traps);
    let names: Vec<&str> = params.sorted().map(|(name, _)| name).collect();
    assert_eq!(names, ["A", "A.", "AB", "A_", "a", "~", "\u{e9}"]);
}

#[test]
fn the_method_is_signed_and_there_are_two() {
    // Rows 37, 38.
    for (mut http, other) in [(v1_get(&[]), "POST"), (v1_post(&[]), "GET"), (v3(&[]), "GET")] {
        http.method = other.to_owned();
        assert_eq!(refusal(http.verify(SECRET)), "SignatureDoesNotMatch");
        for method in ["HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "get", ""] {
            http.method = method.to_owned();
            let http = http.clone().with_header("x-http-method-override", "GET");
            assert_eq!(refusal(http.read()), "UnsupportedHTTPMethod");
        }
    }
}

#[test]
fn two_signature_styles_at_once_are_refused() {
    // Row 46.
    let both = v1_get(&[("JobIds", "a")])
        .with_header("authorization", v3(&[]).header("authorization").unwrap());
    assert_eq!(refusal(both.read()), "IncompleteSignature");
    let mut both = v3(&[]);
    both.query = "Signature=".to_owned();
    assert_eq!(refusal(both.read()), "IncompleteSignature");
}

#[test]
fn the_body_must_be_the_one_that_was_hashed() {
    // Row 48.
    let good = v3(&[("JobIds", "a")]);
    let empty = wire::sign::v3::payload_hash(b"");
    for hash in ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", &empty, ""] {
        let http = good.clone().replacing_header("x-acs-content-sha256", hash);
        assert_eq!(refusal(http.verify(SECRET)), "ContentSha256NotMatched", "{hash}");
    }
    let upper = good.header("x-acs-content-sha256").unwrap().to_uppercase();
    let http = good.clone().replacing_header("x-acs-content-sha256", &upper);
    assert_eq!(refusal(http.verify(SECRET)), "ContentSha256NotMatched");

    let mut absent = good.clone();
    absent.headers.retain(|(name, _)| name != "x-acs-content-sha256");
    assert_eq!(refusal(absent.verify(SECRET)), "IncompleteSignature");

    let mut other_body = good;
    other_body.body = b"JobIds=b".to_vec();
    assert_eq!(refusal(other_body.verify(SECRET)), "ContentSha256NotMatched");
}

#[test]
fn header_and_parameter_cannot_name_different_operations() {
    // Row 49.
    let mut http = v3(&[]);
    http.query = "Action=UploadMediaByURL".to_owned();
    assert_eq!(refusal(http.read()), "InvalidParameter.Action");
    http.query = "Version=2016-01-01".to_owned();
    assert_eq!(refusal(http.read()), "InvalidParameter.Version");

    // What the signature does not cover is not obeyed in the place of what it covers.
    let mut http = v3(&[]);
    http.headers.retain(|(name, _)| name != "x-acs-action");
    http.query = "Action=CancelUrlUploadJobs".to_owned();
    assert_eq!(refusal(http.read()), "MissingAction");

    // The classic SDKs send both headers, unsigned.
    let good = v1_get(&[("JobIds", "a")])
        .with_header("x-acs-action", "CancelUrlUploadJobs")
        .with_header("x-acs-version", "2017-03-21");
    assert!(good.verify(SECRET).is_ok());
    let other = good.clone().replacing_header("x-acs-action", "UploadMediaByURL");
    assert_eq!(refusal(other.read()), "InvalidParameter.Action");
    let other = good.replacing_header("x-acs-version", "2016-01-01");
    assert_eq!(refusal(other.read()), "InvalidParameter.Version");
}

#[test]
fn a_v3_signature_covers_everything_the_gateway_obeys() {
    // Decision 8 of the product; rows 42 and 50 as far as shape goes.
    let good = v3(&[("JobIds", "a")]);
    for (name, value) in [("x-acs-security-token", "t"), ("x-acs-anything", "1")] {
        let http = good.clone().with_header(name, value);
        assert_eq!(refusal(http.read()), "IncompleteSignature", "{name}");
    }
    for name in ["host", "x-acs-date", "content-type", "x-acs-action", "authorization"] {
        let value = good.header(name).unwrap().to_owned();
        let twice = good.clone().with_header(name, &value);
        assert_eq!(refusal(twice.read()), "IncompleteSignature", "{name} twice");
    }
    let authorization = good.header("authorization").unwrap();
    for name in ["host", "x-acs-action", "x-acs-version", "x-acs-date", "content-type"] {
        let without = authorization.replacen(&format!("{name};"), "", 1);
        let without = without.replacen(&format!(";{name}"), "", 1);
        let http = good.clone().replacing_header("authorization", &without);
        assert_eq!(refusal(http.read()), "IncompleteSignature", "{name} unsigned");
    }
    // One SDK's transport adds a type to an empty body, unsigned: it decides nothing.
    let typed = v3(&[]).with_header("content-type", "application/octet-stream");
    assert!(typed.verify(SECRET).is_ok());
    // Headers nobody obeys may come and go.
    assert!(good.clone().with_header("x-forwarded-host", "evil").verify(SECRET).is_ok());
    for name in ["host", "x-acs-date", "x-acs-signature-nonce"] {
        let http = good.clone().replacing_header(name, "other");
        assert_eq!(refusal(http.verify(SECRET)), "SignatureDoesNotMatch", "{name} changed");
    }
}

#[test]
fn authorization_headers_that_are_not_whole_are_refused() {
    let list = "SignedHeaders=content-type;host;x-acs-action;x-acs-content-sha256;x-acs-date;\
                x-acs-signature-nonce;x-acs-version";
    let unsorted = "SignedHeaders=host;content-type";
    for (authorization, code) in [
        ("ACS3-HMAC-SHA256", "IncompleteSignature"),
        ("ACS3-HMAC-SHA256 ", "IncompleteSignature"),
        ("ACS3-HMAC-SHA512 Credential=a", "IncompleteSignature"),
        ("ACS3-HMAC-SM3 Credential=a", "UnsupportedSignatureMethod"),
        ("ACS3-RSA-SHA256 Credential=a", "UnsupportedSignatureMethod"),
        (&format!("ACS3-HMAC-SHA256 Credential=a,{list}"), "IncompleteSignature"),
        (&format!("ACS3-HMAC-SHA256 Credential=a,{list},Signature="), "IncompleteSignature"),
        (&format!("ACS3-HMAC-SHA256 Credential=,{list},Signature=0"), "MissingAccessKeyId"),
        (
            &format!("ACS3-HMAC-SHA256 Credential=a,Credential=b,{list},Signature=0"),
            "IncompleteSignature",
        ),
        (&format!("ACS3-HMAC-SHA256 Credential=a,{list},Signature=0,X=1"), "IncompleteSignature"),
        (&format!("ACS3-HMAC-SHA256 Credential=a,{unsorted},Signature=0"), "IncompleteSignature"),
        (
            &format!("ACS3-HMAC-SHA256 Credential=a,{list};x-acs-zzz,Signature=0"),
            "IncompleteSignature",
        ),
        (&format!("ACS3-HMAC-SHA256 Credential=a,{list};,Signature=0"), "IncompleteSignature"),
    ] {
        let http = v3(&[("JobIds", "a")]).replacing_header("authorization", authorization);
        assert_eq!(refusal(http.read()), code, "{authorization}");
    }
    // Upper-case hexadecimal is not the signature.
    let good = v3(&[("JobIds", "a")]);
    let authorization = good.header("authorization").unwrap();
    let (start, signature) = authorization.split_once("Signature=").unwrap();
    let upper = format!("{start}Signature={}", signature.to_uppercase());
    let http = good.clone().replacing_header("authorization", &upper);
    assert_eq!(refusal(http.verify(SECRET)), "SignatureDoesNotMatch");
}

#[test]
fn a_v3_mismatch_shows_what_the_server_signed() {
    let fault = v3(&[("JobIds", "a")]).verify("other").unwrap_err();
    assert!(fault.message().starts_with(
        "Specified signature does not match our calculation. server StringToSign is \
         [ACS3-HMAC-SHA256\n"
    ));
    assert!(fault.message().contains("] server CanonicalRequest is [POST\n/\n\ncontent-type:"));
    assert!(!format!("{fault:?}{fault}").contains("POST"), "not for logs");
}

#[test]
fn a_forged_request_gets_no_answer_of_unbounded_size() {
    let mut http = v1_post(&[("JobIds", "a")]);
    http.body.extend_from_slice(b"&x=");
    http.body.extend(std::iter::repeat_n(b'/', 500_000));
    let fault = http.verify(SECRET).unwrap_err();
    assert_eq!(fault.code(), Code::SignatureDoesNotMatch);
    assert!(fault.message().len() < 200_000);
}

#[test]
fn the_format_is_json_or_xml() {
    // Row 58.
    let with = |format: &str| {
        let query = format!("Format={format}&Signature=x");
        Http::new("GET", &query)
    };
    for format in ["jsonp", "../x", "callback%3Dalert(1)", "JSON%20", "html"] {
        assert_eq!(refusal(with(format).read()), "InvalidParameter.Format", "{format}");
        assert_eq!(with(format).with_parts(envelope::guess_format), Format::Xml);
    }
    for (format, expected) in
        [("xml", Format::Xml), ("XML", Format::Xml), ("JSON", Format::Json), ("json", Format::Json)]
    {
        assert_eq!(refusal(with(format).read()), "MissingVersion");
        assert_eq!(with(format).with_parts(envelope::guess_format), expected);
    }
    let mut in_body = Http::new("POST", "").with_header("content-type", FORM);
    in_body.body = b"a=\xff&Format=json".to_vec();
    assert_eq!(in_body.with_parts(envelope::guess_format), Format::Json);
    assert_eq!(v3(&[]).with_parts(envelope::guess_format), Format::Json);
    assert_eq!(v3(&[]).read().unwrap().format, Format::Json);
    assert_eq!(v3(&[("Format", "xml")]).read().unwrap().format, Format::Xml);
    let plain = owned(&[("JobIds", "a")]);
    let signed = signer().v1("GET", "CancelUrlUploadJobs", &plain, Format::Json, AT);
    let mut without = Http::from_signed(signed);
    without.query = without.query.replace("&Format=JSON", "");
    assert_eq!(without.read().unwrap().format, Format::Xml);
    let without = without.with_header("accept", "application/json");
    assert_eq!(without.read().unwrap().format, Format::Json);
}

#[test]
fn the_first_common_parameter_that_is_missing_is_named() {
    let good = v1_get(&[("JobIds", "a")]);
    for (name, code) in [
        ("Action", "MissingAction"),
        ("Version", "MissingVersion"),
        ("AccessKeyId", "MissingAccessKeyId"),
        ("SignatureMethod", "MissingSignatureMethod"),
        ("SignatureVersion", "MissingSignatureVersion"),
        ("SignatureNonce", "MissingSignatureNonce"),
        ("Timestamp", "MissingTimestamp"),
    ] {
        let kept: Vec<&str> =
            good.query.split('&').filter(|s| !s.starts_with(&format!("{name}="))).collect();
        assert_eq!(refusal(Http::new("GET", &kept.join("&")).read()), code);
        let emptied = format!("{}&{name}=", kept.join("&"));
        assert_eq!(refusal(Http::new("GET", &emptied).read()), code);
    }
    assert_eq!(refusal(Http::new("GET", "").read()), "MissingVersion");
    let all = "Version=2017-03-21&Action=";
    assert_eq!(refusal(Http::new("GET", all).read()), "MissingAction");
    let unknown = Http::new("GET", "Version=2017-03-21&Action=GetUrlUploadInfos");
    assert_eq!(refusal(unknown.read()), "InvalidAction.NotFound");
    let old = Http::new("GET", "Version=2014-01-01&Action=GetPlayInfo");
    assert_eq!(refusal(old.read()), "InvalidVersion");
    let unsigned = Http::new("GET", "Version=2017-03-21&Action=GetPlayInfo&VideoId=x");
    assert_eq!(refusal(unsigned.read()), "MissingAccessKeyId");
    for (from, to) in [("HMAC-SHA1", "HMAC-MD5"), ("SignatureVersion=1.0", "SignatureVersion=2.0")]
    {
        let other = Http::new("GET", &good.query.replace(from, to));
        assert_eq!(refusal(other.read()), "UnsupportedSignatureMethod");
    }
    let lower = Http::new("GET", &good.query.replace("HMAC-SHA1", "Hmac-SHA1"));
    assert!(lower.read().is_ok());
}

#[test]
fn bearer_tokens_are_refused_by_a_code_of_their_own() {
    let bearer = Http::new("POST", "Format=json&SignatureType=BEARERTOKEN")
        .with_header("x-acs-action", "GetPlayInfo")
        .with_header("x-acs-version", "2017-03-21")
        .with_header("x-acs-bearer-token", "btok");
    assert_eq!(refusal(bearer.read()), "UnsupportedSignatureMethod");
    assert_eq!(bearer.with_parts(envelope::guess_format), Format::Json);
    let old = Http::new("GET", "BearerToken=b&SignatureType=BEARERTOKEN");
    assert_eq!(refusal(old.read()), "UnsupportedSignatureMethod");
}

#[test]
fn nonces_are_short_and_printable() {
    // Row 6.
    let with = |nonce: &str| {
        let at = Moment { nonce, ..AT };
        let v1 = signer().v1("GET", "CancelUrlUploadJobs", &[], Format::Json, at);
        let v3 = signer().v3("h", "CancelUrlUploadJobs", &[], at);
        let [v1, v3] = [v1, v3].map(|signed| Http::from_signed(signed).verify(SECRET));
        (v1.map(|_| ()), v3.map(|_| ()))
    };
    let full = "x".repeat(NONCE_LIMIT);
    for good in ["x", full.as_str(), "two words", "\u{1f600}"] {
        assert_eq!(with(good), (Ok(()), Ok(())), "{good}");
    }
    let long = "x".repeat(NONCE_LIMIT + 1);
    for bad in [long.as_str(), "a\0b", "a\u{7f}", "a\nb"] {
        let (v1, v3) = with(bad);
        assert_eq!(refusal(v1), "InvalidParameter.SignatureNonce");
        assert_eq!(refusal(v3), "InvalidParameter.SignatureNonce");
    }
    let (v1, v3) = with("");
    assert_eq!(refusal(v1), "MissingSignatureNonce");
    assert_eq!(refusal(v3), "MissingSignatureNonce");
}

#[test]
fn times_are_read_in_the_documented_form() {
    // Rows 9, 10.
    let with = |name: &str, time: &str| {
        let query = format!(
            "Action=GetPlayInfo&Version=2017-03-21&AccessKeyId=a&SignatureMethod=HMAC-SHA1&\
             SignatureVersion=1.0&SignatureNonce=n&Signature=x&{name}={}",
            encode(time)
        );
        Http::new("GET", &query).read().map(|envelope| envelope.credentials.timestamp())
    };
    for name in ["Timestamp", "TimeStamp"] {
        assert_eq!(with(name, "2026-01-02T03:04:05Z"), Ok(Ok(1_767_323_045)));
        assert_eq!(with(name, "2026-01-02T03:04:05.123456789Z"), Ok(Ok(1_767_323_045)));
    }
    for time in ["2026-01-01T00:00:00+08:00", "2026-01-01T00:00:00", "1767323045", "now"] {
        assert_eq!(refusal(with("Timestamp", time).unwrap()), "InvalidTimeStamp.Format");
    }
    assert_eq!(refusal(with("timestamp", "2026-01-02T03:04:05Z")), "MissingTimestamp");
}

#[test]
fn a_body_has_parameters_only_if_it_is_a_form_in_utf8() {
    let parse = |content_type| Params::parse("a=1", content_type, b"b=2");
    for form in [
        FORM,
        "Application/X-WWW-Form-Urlencoded; Charset=\"UTF-8\"",
        "application/x-www-form-urlencoded;charset=utf-8;x",
    ] {
        let params = parse(Some(form)).unwrap();
        assert_eq!(params.get("b"), Some("2"), "{form}");
        assert_eq!(params.query().collect::<Vec<_>>(), [("a", "1")]);
        assert_eq!(params.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
    }
    for other in [None, Some("application/octet-stream"), Some("application/json"), Some("")] {
        assert_eq!(parse(other).unwrap().get("b"), None);
    }
    let foreign = parse(Some("application/x-www-form-urlencoded; charset=gbk"));
    assert_eq!(refusal(foreign), "InvalidParameter");
}
