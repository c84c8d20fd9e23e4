//! What holds for all inputs.

use proptest::prelude::*;
use quick_xml::events::Event;
use wire::action::{Request, Selector, normalise_url};
use wire::envelope::{self, Format, HttpParts};
use wire::params::Params;
use wire::percent;
use wire::reply::Node;
use wire::sign::client::{Moment, Signer};
use wire::spec;

use super::Http;

const SECRET: &str = "testsecret";
const FORM: &str = "application/x-www-form-urlencoded";

fn signed(scheme: usize, params: &[(String, String)]) -> Http {
    let signer = Signer { access_key_id: "id", access_key_secret: SECRET, security_token: None };
    let at = Moment { unix_seconds: 1_767_323_045, nonce: "n" };
    let action = "CancelUrlUploadJobs";
    Http::from_signed(match scheme {
        0 => signer.v1("GET", action, params, Format::Json, at),
        1 => signer.v1("POST", action, params, Format::Json, at),
        _ => signer.v3("h:1", action, params, at),
    })
}

/// The texts of an XML document's elements below the root, in order.
fn xml_texts(document: &[u8]) -> Vec<String> {
    let document = str::from_utf8(document).expect("UTF-8");
    let mut reader = quick_xml::Reader::from_str(document);
    let (mut texts, mut text, mut depth) = (Vec::new(), String::new(), 0);
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Start(_) => {
                depth += 1;
                text.clear();
            }
            Event::End(_) => {
                if depth == 2 {
                    texts.push(std::mem::take(&mut text));
                }
                depth -= 1;
            }
            // End-of-line handling as XML 1.0 asks of every parser (section 2.11).
            Event::Text(t) => text.push_str(&t.xml10_content()),
            Event::GeneralRef(r) => match r.resolve_char_ref().expect("a character") {
                Some(character) => text.push(character),
                None => text.push_str(
                    quick_xml::escape::resolve_predefined_entity(&r).expect("a predefined entity"),
                ),
            },
            Event::Eof => return texts,
            _ => {}
        }
    }
}

/// XML 1.0, section 2.2.
fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// Text with a good share of what is special somewhere.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        proptest::collection::vec(
            proptest::sample::select(vec![
                "&",
                "<",
                ">",
                "]]>",
                "\r\n",
                "\r",
                "\n",
                "\t",
                "\0",
                "\u{1}",
                "\u{fffe}",
                "\u{ffff}",
                "\u{7f}",
                "\"",
                "'",
                "%",
                "%2C",
                ",",
                "+",
                " ",
                "é",
                "\u{1f600}",
                "a",
            ]),
            0..12,
        )
        .prop_map(|parts| parts.concat()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn percent_encoding_round_trips(text in text()) {
        let encoded = percent::encode(&text);
        prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~%".contains(&b)));
        prop_assert_eq!(percent::decode(&encoded).unwrap(), text.as_str());
        let mut twice = String::new();
        percent::encode_twice_into(&mut twice, &text);
        prop_assert_eq!(twice, percent::encode(&encoded));
    }

    #[test]
    fn a_list_of_urls_round_trips(tails in proptest::collection::vec("[^\\\\\\p{Cc}]{0,40}", 1..=10)) {
        let mut urls: Vec<String> = Vec::new();
        for tail in &tails {
            let url = format!("http://h/{tail}");
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        let list: Vec<String> = urls.iter().map(|url| percent::encode(url)).collect();
        let operation = spec::operation("CancelUrlUploadJobs").unwrap();
        let params = Params::from_pairs([("UploadUrls", list.join(","))]);
        let Ok(Request::CancelUrlUploadJobs(request)) = Request::parse(operation, &params) else {
            return Err(TestCaseError::fail("refused"));
        };
        let Selector::Urls(selected) = request.selector else {
            return Err(TestCaseError::fail("ids"));
        };
        let selected: Vec<String> = selected.into_iter().map(|selected| selected.url).collect();
        prop_assert_eq!(selected, urls);
    }

    #[test]
    fn the_normal_form_of_a_url_is_its_own_normal_form(item in "(http(s)?(://|%3A//|%3a%2F%2f))?[ -~é]{0,40}") {
        if let Some(url) = normalise_url(&item) {
            // Blanks at the end of a decoded item are the URL's; of a plain one they are not.
            if url == url.trim_ascii() {
                prop_assert_eq!(normalise_url(&url), Some(url));
            }
        }
    }

    #[test]
    fn json_says_exactly_the_text(text in text()) {
        let node = Node::Object(vec![("T", Node::from(text.as_str()))]);
        let value: serde_json::Value = serde_json::from_slice(&node.to_json()).unwrap();
        prop_assert_eq!(value["T"].as_str(), Some(text.as_str()));
    }

    #[test]
    fn xml_is_well_formed_and_says_the_text(first in text(), second in text()) {
        let node = Node::Object(vec![
            ("T", Node::from(first.as_str())),
            ("L", Node::Flat(vec![Node::from(second.as_str())])),
        ]);
        let document = node.to_xml("R");
        prop_assert!(str::from_utf8(&document).unwrap().chars().all(is_xml_char));
        let said = |text: &str| -> String {
            text.chars().map(|c| if is_xml_char(c) { c } else { '\u{fffd}' }).collect()
        };
        prop_assert_eq!(xml_texts(&document), [said(&first), said(&second)]);
    }

    #[test]
    fn what_a_client_signs_the_server_verifies(
        scheme in 0..3usize,
        params in proptest::collection::btree_map("x[a-zA-Z0-9._é~*-]{0,8}", text(), 0..6),
    ) {
        let params: Vec<(String, String)> = params.into_iter().collect();
        let http = signed(scheme, &params);
        prop_assert!(http.verify(SECRET).is_ok(), "{:?}", http.verify(SECRET));
        let read = http.params().unwrap();
        for (name, value) in &params {
            prop_assert_eq!(read.get(name), Some(value.as_str()));
        }
        prop_assert!(http.verify("othersecret").is_err());
    }

    #[test]
    fn a_changed_byte_that_changes_the_parameters_breaks_the_signature(
        scheme in 0..3usize,
        value in text(),
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
        kind in 0..3usize,
    ) {
        let good = signed(scheme, &[("JobIds".to_owned(), value)]);
        let mut bad = good.clone();
        let mut bytes = if scheme == 0 { bad.query.clone().into_bytes() } else { bad.body.clone() };
        let at = at.index(bytes.len());
        match kind {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            _ => {
                bytes.remove(at);
            }
        }
        if scheme == 0 {
            let Ok(query) = String::from_utf8(bytes) else { return Ok(()) };
            bad.query = query;
        } else {
            bad.body = bytes;
        }
        let same = match bad.params() {
            Ok(params) => params.sorted().eq(good.params().unwrap().sorted()),
            Err(_) => false,
        };
        // V3 signs the body's bytes, V1 only what they mean.
        let is_untouched = bad.query == good.query && bad.body == good.body;
        let may_verify = if scheme == 2 { is_untouched } else { same };
        prop_assert_eq!(bad.verify(SECRET).is_ok(), may_verify);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        query in text(),
        body in proptest::collection::vec(any::<u8>(), 0..200),
        headers in proptest::collection::vec(
            (
                proptest::sample::select(vec![
                    "authorization", "content-type", "x-acs-action", "x-acs-version", "host",
                    "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256", "accept",
                ]),
                prop_oneof![
                    text(),
                    Just(FORM.to_owned()),
                    Just("GetPlayInfo".to_owned()),
                    Just("2017-03-21".to_owned()),
                    Just("ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,Signature=00".to_owned()),
                ],
            ),
            0..10,
        ),
        action in proptest::sample::select(vec![
            "UploadMediaByURL", "GetURLUploadInfos", "CancelUrlUploadJobs", "GetPlayInfo",
            "ListUrlUploadJobs",
        ]),
        name in proptest::sample::select(vec![
            "UploadURLs", "UploadMetadatas", "UserData", "JobIds", "VideoId", "AuthTimeout",
            "Formats", "Status", "SessionId",
        ]),
        value in text(),
    ) {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let parts = HttpParts { method: "POST", path: "/", query: &query, headers: &headers, body: &body };
        envelope::guess_format(&parts);
        let content_type = headers.iter().find(|(n, _)| *n == "content-type").map(|(_, v)| *v);
        if let Ok(params) = Params::parse(&query, content_type, &body) {
            let _ = envelope::read(&parts, &params);
            if let Ok(credentials) = envelope::read_credentials(&parts, &params) {
                let _ = credentials.timestamp();
                let _ = credentials.verify(&parts, &params, SECRET);
            }
        }
        let operation = spec::operation(action).unwrap();
        let list = Params::from_pairs([("UploadURLs", "http://h/a.mp4"), (name, value.as_str())]);
        let _ = Request::parse(operation, &list);
    }
}
