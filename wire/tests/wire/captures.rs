//! Requests recorded from four official SDKs (fake keys, secret `testsecret`): every one is read
//! and verified as the server does it.

use serde_json::Value;
use wire::envelope::{self, Format, Scheme};

use super::Http;

const CAPTURES: &str = include_str!("../data/sdk-captures.txt");

fn captures() -> Vec<Value> {
    let stream = serde_json::Deserializer::from_str(CAPTURES).into_iter::<Value>();
    stream.collect::<Result<_, _>>().expect("the recording is a stream of JSON objects")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("the recording has a string here")
}

fn http(capture: &Value) -> Http {
    let headers = capture["headers"].as_object().expect("headers are an object");
    Http {
        method: text(&capture["method"]).to_owned(),
        query: text(&capture["raw_query"]).to_owned(),
        headers: headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), text(value).to_owned()))
            .collect(),
        body: text(&capture["body"]).as_bytes().to_vec(),
    }
}

#[test]
fn every_recorded_request_verifies() {
    let captures = captures();
    assert_eq!(captures.len(), 100);
    for capture in &captures {
        assert_eq!(capture["verify"]["ok"], true, "the recorder verified all of them");
        let http = http(capture);
        let params = http.params().unwrap();
        http.with_parts(|parts| {
            let credentials = envelope::read_credentials(parts, &params).unwrap();
            let scheme = match text(&capture["verify"]["scheme"]) {
                "V1" => Scheme::V1,
                "V3" => Scheme::V3,
                other => panic!("unknown scheme {other}"),
            };
            assert_eq!(credentials.scheme, scheme);
            assert_eq!(credentials.access_key_id, "testid");
            assert!(credentials.timestamp().is_ok());
            credentials.verify(parts, &params, "testsecret").unwrap();

            let refused = credentials.verify(parts, &params, "othersecret").unwrap_err();
            assert_eq!(refused.code_text(), "SignatureDoesNotMatch");
            if let Some(sts) = capture["verify"]["sts"].as_str() {
                let message = "Specified signature is not matched with our calculation. server \
                               string to sign is:";
                assert_eq!(refused.message(), format!("{message}{sts}"));
                // What the classic Python SDK does with it (§0.1.4).
                assert_eq!(refused.message().split(':').nth(1), Some(sts));
            }
        });
    }
}

#[test]
fn recorded_requests_for_our_operations_have_an_envelope_and_json() {
    let mut seen = 0;
    for capture in captures() {
        let http = http(&capture);
        match http.read() {
            Ok(envelope) => {
                seen += 1;
                assert_eq!(envelope.format, Format::Json);
                assert_eq!(http.with_parts(envelope::guess_format), Format::Json);
                assert_eq!(Some(envelope.operation.action), http.header("x-acs-action"));
            }
            Err(fault) => assert_eq!(fault.code_text(), "InvalidAction.NotFound"),
        }
    }
    assert_eq!(seen, 18);
}
