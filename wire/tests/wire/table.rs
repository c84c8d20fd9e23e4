//! The table, the parser, the replies, the errors and `openapi.json` say the same.

use std::collections::BTreeSet;

use serde_json::Value;
use wire::action::Request;
use wire::code::{Code, Fault, all_explanations, explain};
use wire::params::Params;
use wire::spec::{self, EXTENSIONS, Field, FieldKind, Kind, OPERATIONS};

use super::replies::full;

#[test]
fn every_operation_has_a_parser_that_takes_its_examples() {
    for operation in OPERATIONS {
        let examples = operation.parameters.iter().filter(|p| !p.example.is_empty());
        let params = Params::from_pairs(examples.map(|p| (p.name, p.example)));
        let request = Request::parse(operation, &params);
        assert!(request.is_ok(), "{}: {request:?}", operation.action);
        // Each parameter alone is judged, or its absence named; none is a bug of the table.
        for parameter in operation.parameters {
            let params = Params::from_pairs([(parameter.name, "\u{7}")]);
            if let Err(fault) = Request::parse(operation, &params) {
                assert!(explain(&fault.code_text()).is_some(), "{fault}");
            }
        }
    }
}

#[test]
fn every_operation_has_a_reply_with_the_fields_of_the_table() {
    for operation in OPERATIONS {
        let reply = full(operation.action);
        assert_eq!(reply.action(), operation.action);
        let body = reply.render(wire::envelope::Format::Json, "R");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let object = body.as_object().expect("an object");
        assert_eq!(object.keys().next().map(String::as_str), Some("RequestId"));
        assert!(!object.contains_key("Code"), "§0.1.5");
        let mut object = object.clone();
        object.shift_remove("RequestId");
        assert_fields(operation.action, operation.reply, &Value::Object(object));
    }
}

/// The full reply has every field of the table, of its type and list style, and no other.
fn assert_fields(at: &str, fields: &[Field], value: &Value) {
    let object = value.as_object().unwrap_or_else(|| panic!("{at} is no object"));
    let sent: Vec<&str> = object.keys().map(String::as_str).collect();
    let table: Vec<&str> = fields.iter().map(|field| field.name).collect();
    assert_eq!(sent, table, "{at}");
    for field in fields {
        let value = &object[field.name];
        let at = format!("{at}.{}", field.name);
        match field.kind {
            FieldKind::String => assert!(value.is_string(), "{at}"),
            FieldKind::Long => assert!(value.is_i64(), "{at}"),
            FieldKind::Double => assert!(value.is_f64(), "{at}"),
            FieldKind::Boolean => assert!(value.is_boolean(), "{at}"),
            FieldKind::Object(fields) => assert_fields(&at, fields, value),
            FieldKind::FlatStrings => {
                let items = value.as_array().unwrap_or_else(|| panic!("{at}"));
                assert!(!items.is_empty() && items.iter().all(Value::is_string), "{at}");
            }
            FieldKind::Flat(fields) => assert_items(&at, fields, value),
            FieldKind::Wrapped(item, fields) => assert_items(&at, fields, &value[item]),
        }
    }
}

fn assert_items(at: &str, fields: &[Field], value: &Value) {
    let items = value.as_array().unwrap_or_else(|| panic!("{at} is no list"));
    assert!(!items.is_empty(), "{at}");
    items.iter().for_each(|item| assert_fields(at, fields, item));
}

#[test]
fn the_limits_per_second_are_the_documented_ones() {
    // §12.
    let limit = |action: &str| spec::operation(action).map(|o| (o.qps, o.daily, o.ours));
    assert_eq!(limit("UploadMediaByURL"), Some((Some(100), Some(200_000), false)));
    assert_eq!(limit("GetURLUploadInfos"), Some((Some(100), None, false)));
    assert_eq!(limit("CancelUrlUploadJobs"), Some((Some(50), None, false)));
    assert_eq!(limit("GetPlayInfo"), Some((Some(360), None, false)));
    assert_eq!(limit("cancelUrlUploadJobs"), None);
}

#[test]
fn codes_are_distinct_and_fully_explained() {
    let texts: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(texts.len(), Code::ALL.len());
    for code in Code::ALL {
        assert!((400..600).contains(&code.status()), "{code:?}");
        for text in [code.message(), code.cause(), code.fix()] {
            assert!(text.len() > 10 && !text.contains("  "), "{code:?}: {text}");
        }
    }
    let all = all_explanations();
    let unique: BTreeSet<&str> = all.iter().map(|row| row.code.as_str()).collect();
    assert_eq!(unique.len(), all.len());
    for row in &all {
        assert_eq!(explain(&row.code).as_ref(), Some(row));
        assert!(Code::from_str(&row.code).is_some());
        let text = format!("{row:?}");
        assert!(!text.contains("{Param}"), "{text}");
    }
    for code in ["MissingSignature", "InvalidParameter.JobIds", "Throttling.User", "QueueFull"] {
        assert!(unique.contains(code), "{code}");
    }
}

#[test]
fn every_fault_a_table_row_can_cause_is_explained() {
    let names = spec::COMMON_PARAMETERS
        .iter()
        .chain(OPERATIONS.iter().flat_map(|operation| operation.parameters));
    for parameter in names {
        for fault in [Fault::missing(parameter.name), Fault::invalid(parameter.name)] {
            let row = explain(&fault.code_text()).expect("explained");
            assert_eq!(row.status, fault.status());
            assert_eq!(row.code, fault.code_text());
        }
    }
    for code in Code::ALL {
        let fault = Fault::new(*code).retry_after(0);
        assert_eq!(fault.retry_after_ms(), Some(1));
        assert_eq!(fault.message(), code.message());
    }
    assert_eq!(explain("InvalidParameter.Format").unwrap().status, 400);
    assert_eq!(Code::from_str("InvalidParameter.Format"), Some(Code::InvalidFormat));
    for unknown in ["", "Missing", "InvalidParameter.", "Nonsense", "Missing<script>", "missingX"] {
        assert_eq!(explain(unknown), None, "{unknown}");
    }
    assert_eq!(explain(&format!("Missing{}", "x".repeat(65))), None);
}

#[test]
fn extensions_are_those_of_the_documents() {
    assert_eq!(EXTENSIONS.len(), 41);
    assert!(
        EXTENSIONS.iter().all(|e| e.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
    );
    assert!(!EXTENSIONS.contains(&"mpd"));
    let unique: BTreeSet<_> = EXTENSIONS.iter().collect();
    assert_eq!(unique.len(), EXTENSIONS.len());
}

#[test]
fn openapi_describes_every_operation_parameter_and_field() {
    let document = spec::openapi("http://127.0.0.1:8710");
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"][0]["url"], "http://127.0.0.1:8710");
    let paths = document["paths"].as_object().expect("paths");
    assert_eq!(paths.len(), OPERATIONS.len());
    for operation in OPERATIONS {
        let item = &paths[&format!("/?Action={}", operation.action)];
        for method in ["get", "post"] {
            let method = &item[method];
            let described = method["parameters"].as_array().expect("parameters");
            for parameter in operation.parameters {
                let row = described.iter().find(|row| row["name"] == parameter.name);
                let row = row.unwrap_or_else(|| panic!("{} is missing", parameter.name));
                assert_eq!(row["required"], parameter.required);
                if let Kind::Integer { max, .. } = parameter.kind {
                    assert_eq!(row["schema"]["maximum"], max);
                }
            }
            let schema = &method["responses"]["200"]["content"]["application/json"]["schema"];
            for field in operation.reply {
                assert!(schema["properties"][field.name].is_object(), "{}", field.name);
            }
            assert_eq!(schema["properties"]["RequestId"]["type"], "string");
            assert_eq!(method["x-calls-per-second"], serde_json::json!(operation.qps));
        }
    }
    // Every reference leads somewhere.
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().expect("a pointer");
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}
