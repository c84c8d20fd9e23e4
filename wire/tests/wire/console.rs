//! The operations of ours: what their parameters may be, and what their replies show.

use insta::assert_snapshot;
use wire::action::{
    CreateAccount, GetUploadStatistics, ListUrlUploadJobs, Request, UpdateAccessKey, UpdateAccount,
};
use wire::code::Fault;
use wire::envelope::Format;
use wire::params::Params;
use wire::reply::{
    AccessKeyInfo, AccountInfo, AccountLoad, AccountReply, CreateAccessKeyReply,
    CreateConsoleSessionReply, FailureCount, GetConfigurationReply, GetRequestRecordReply,
    GetUploadStatisticsReply, ListAccessKeysReply, ListAccountsReply, NodeInfo, NodeSummary, Point,
    QueueInfo, ReplaceUploadUrlReply, Reply, RequestRecord, SettingInfo, StorageInfo,
};
use wire::spec;

use super::refusal;

/// A reply of the operation with every field that can be there.
pub(crate) fn full(action: &str) -> Reply {
    match action {
        "GetUploadStatistics" => Reply::GetUploadStatistics(statistics()),
        "GetRequestRecord" => Reply::GetRequestRecord(GetRequestRecordReply { record: record() }),
        "ListAccounts" => Reply::ListAccounts(ListAccountsReply { accounts: vec![account()] }),
        "CreateAccount" => Reply::CreateAccount(AccountReply { account: account() }),
        "UpdateAccount" => Reply::UpdateAccount(AccountReply { account: account() }),
        "ListAccessKeys" => Reply::ListAccessKeys(ListAccessKeysReply {
            keys: vec![AccessKeyInfo {
                access_key_id: "k1".to_owned(),
                account: "press".to_owned(),
                status: "Active".to_owned(),
                creation_time: 1_767_323_045,
            }],
        }),
        "CreateAccessKey" => Reply::CreateAccessKey(CreateAccessKeyReply {
            access_key_id: "k1".to_owned(),
            access_key_secret: "hush".to_owned(),
        }),
        "UpdateAccessKey" => Reply::UpdateAccessKey,
        "DeleteAccessKey" => Reply::DeleteAccessKey,
        "ReplaceUploadUrl" => Reply::ReplaceUploadUrl(ReplaceUploadUrlReply {
            job_id: "j1".to_owned(),
            upload_url: "http://h/b.mp4?x=1".to_owned(),
            repeated: false,
        }),
        "GetConfiguration" => Reply::GetConfiguration(GetConfigurationReply {
            settings: vec![SettingInfo {
                name: "transfers".to_owned(),
                value: "64".to_owned(),
                from: "default".to_owned(),
                doc: "Concurrent transfers.".to_owned(),
            }],
        }),
        "CreateConsoleSession" => Reply::CreateConsoleSession(CreateConsoleSessionReply {
            ticket: "hush".to_owned(),
            expire_time: 1_767_323_105,
        }),
        other => panic!("no full reply of {other} is written yet"),
    }
}

fn statistics() -> GetUploadStatisticsReply {
    GetUploadStatisticsReply {
        queue: QueueInfo {
            pending: 1,
            running: 2,
            waiting: 3,
            halted: 9,
            oldest_ready_seconds: Some(4),
        },
        points: vec![Point {
            time: 1_767_323_040,
            accepted: 1,
            succeeded: 2,
            failed: 3,
            canceled: 4,
            put_off: 5,
            bytes: 6,
            seconds: 1.5,
            unfinished: 7,
        }],
        failures: vec![FailureCount {
            error_code: "URLInvalidError".to_owned(),
            jobs: 1,
            put_off: 2,
        }],
        accounts: vec![AccountLoad {
            paused: true,
            account: "press".to_owned(),
            pending: 1,
            running: 2,
            waiting: 3,
            halted: 9,
            succeeded: 4,
            failed: 5,
            bytes: 6,
            oldest_ready_seconds: Some(7),
        }],
        node: Some(NodeInfo {
            version: "0.1.0".to_owned(),
            start_time: 1_767_323_045,
            running_transfers: 1,
            transfer_limit: 64,
            receiving_bytes_per_second: 2,
            free_bytes: 3,
            min_free_bytes: 4,
            memory_bytes: 5,
            probe: "ffprobe".to_owned(),
            draining: false,
            storage: vec![StorageInfo {
                location: "default".to_owned(),
                kind: "file".to_owned(),
                place: "/srv/media".to_owned(),
            }],
        }),
        nodes: vec![NodeSummary {
            id: "n1".to_owned(),
            address: "192.0.2.7:8710".to_owned(),
            roles: "api,worker".to_owned(),
            version: "0.1.0".to_owned(),
            start_time: 1_767_323_045,
            seen_time: 1_767_323_105,
            running_transfers: 2,
            state: "Ready".to_owned(),
            is_this: true,
        }],
    }
}

fn record() -> RequestRecord {
    RequestRecord {
        request_id: "R1".to_owned(),
        time: 1_767_323_045,
        operation: "CancelUrlUploadJobs".to_owned(),
        access_key_id: "k1".to_owned(),
        account: Some("press".to_owned()),
        status: 400,
        error_code: Some("SignatureDoesNotMatch".to_owned()),
        error_message: Some("no".to_owned()),
        source_ip: "192.0.2.1".to_owned(),
        milliseconds: 7,
        scheme: "V3".to_owned(),
    }
}

fn account() -> AccountInfo {
    AccountInfo {
        weight: 3,
        paused: true,
        name: "press".to_owned(),
        enabled: true,
        operator: false,
        creation_time: 1_767_323_045,
    }
}

fn parse(action: &str, params: &[(&str, &str)]) -> Result<Request, Fault> {
    let operation = spec::operation(action).expect("an operation of the table");
    Request::parse(operation, &Params::from_pairs(params.iter().copied()))
}

#[test]
fn a_search_takes_a_code_a_part_of_a_url_and_a_span_of_time() {
    let all = ListUrlUploadJobs {
        statuses: Vec::new(),
        error_code: None,
        upload_url: None,
        start_time: None,
        end_time: None,
        next_token: None,
        page_size: 20,
        include_position: false,
    };
    assert_eq!(parse("ListUrlUploadJobs", &[]), Ok(Request::ListUrlUploadJobs(all.clone())));
    let search = [
        ("ErrorCode", "URLInvalidError"),
        ("UploadURL", "/b c?"),
        ("StartTime", "2026-01-02T03:04:05Z"),
        ("EndTime", "2026-01-02T03:04:05Z"),
    ];
    let wanted = ListUrlUploadJobs {
        error_code: Some("URLInvalidError".to_owned()),
        upload_url: Some("/b c?".to_owned()),
        start_time: Some(1_767_323_045),
        end_time: Some(1_767_323_045),
        ..all
    };
    assert_eq!(parse("ListUrlUploadJobs", &search), Ok(Request::ListUrlUploadJobs(wanted)));
    for (name, value) in [
        ("ErrorCode", "x".repeat(65)),
        ("UploadURL", "x".repeat(8 * 1024 + 1)),
        ("UploadURL", "a\nb".to_owned()),
        ("StartTime", "2026-01-02".to_owned()),
        ("EndTime", "1767323045".to_owned()),
    ] {
        let refused = refusal(parse("ListUrlUploadJobs", &[(name, &value)]));
        assert_eq!(refused, format!("InvalidParameter.{name}"));
    }
    let backwards = [("StartTime", "2026-01-02T03:04:05Z"), ("EndTime", "2026-01-02T03:04:04Z")];
    assert_eq!(refusal(parse("ListUrlUploadJobs", &backwards)), "InvalidParameter.EndTime");
}

#[test]
fn statistics_reach_back_five_minutes_to_two_days() {
    let minutes = |minutes| Ok(Request::GetUploadStatistics(GetUploadStatistics { minutes }));
    assert_eq!(parse("GetUploadStatistics", &[]), minutes(60));
    assert_eq!(parse("GetUploadStatistics", &[("Minutes", "5")]), minutes(5));
    assert_eq!(parse("GetUploadStatistics", &[("Minutes", "2880")]), minutes(2_880));
    for wrong in ["4", "2881", "-60", "1.5", "hour"] {
        let refused = refusal(parse("GetUploadStatistics", &[("Minutes", wrong)]));
        assert_eq!(refused, "InvalidParameter.Minutes", "{wrong}");
    }
}

#[test]
fn changes_of_accounts_and_keys_name_what_they_change_and_how() {
    let press = || "press".to_owned();
    assert_eq!(
        parse("CreateAccount", &[("AccountName", "press")]),
        Ok(Request::CreateAccount(CreateAccount { name: press(), operator: false }))
    );
    assert_eq!(
        parse("UpdateAccount", &[("AccountName", "press"), ("Enabled", "False")]),
        Ok(Request::UpdateAccount(UpdateAccount {
            name: press(),
            enabled: Some(false),
            weight: None,
            paused: None
        }))
    );
    let flow = [("AccountName", "press"), ("Weight", "100"), ("Paused", "TRUE")];
    assert_eq!(
        parse("UpdateAccount", &flow),
        Ok(Request::UpdateAccount(UpdateAccount {
            name: press(),
            enabled: None,
            weight: Some(100),
            paused: Some(true)
        }))
    );
    assert_eq!(
        parse("UpdateAccessKey", &[("UserAccessKeyId", "k"), ("Status", "inactive")]),
        Ok(Request::UpdateAccessKey(UpdateAccessKey {
            access_key_id: "k".to_owned(),
            active: false
        }))
    );
    for (action, params, code) in [
        ("CreateAccount", &[][..], "MissingAccountName"),
        ("UpdateAccount", &[("Enabled", "true")], "MissingAccountName"),
        // Left out, it must not count as "disable".
        ("UpdateAccount", &[("AccountName", "press")], "MissingParameter"),
        ("UpdateAccount", &[("AccountName", "press"), ("Enabled", "")], "MissingParameter"),
        ("UpdateAccount", &[("AccountName", "press"), ("Weight", "0")], "InvalidParameter.Weight"),
        (
            "UpdateAccount",
            &[("AccountName", "press"), ("Weight", "101")],
            "InvalidParameter.Weight",
        ),
        ("CreateAccessKey", &[], "MissingAccountName"),
        ("UpdateAccessKey", &[("UserAccessKeyId", "k")], "MissingStatus"),
        ("UpdateAccessKey", &[("Status", "Active")], "MissingUserAccessKeyId"),
        ("DeleteAccessKey", &[("UserAccessKeyId", "")], "MissingUserAccessKeyId"),
        ("GetRequestRecord", &[], "MissingId"),
    ] {
        assert_eq!(refusal(parse(action, params)), code, "{action}");
    }
}

#[test]
fn secrets_that_are_told_once_are_in_no_debug_output() {
    for action in ["CreateAccessKey", "CreateConsoleSession"] {
        let reply = full(action);
        assert!(!format!("{reply:?}").contains("hush"), "{action}");
        let body = String::from_utf8(reply.render(Format::Json, "R")).expect("UTF-8");
        assert!(body.contains("hush"), "{action}");
    }
}

#[test]
fn replies_of_ours_in_both_formats() {
    let empty = Reply::GetUploadStatistics(GetUploadStatisticsReply::default());
    let json = |reply: &Reply| String::from_utf8(reply.render(Format::Json, "R")).expect("UTF-8");
    let xml = |reply: &Reply| String::from_utf8(reply.render(Format::Xml, "R")).expect("UTF-8");
    assert_snapshot!(json(&empty), @r#"{"RequestId":"R","Queue":{"Pending":0,"Running":0,"Waiting":0,"AwaitingUrl":0},"Points":[],"Failures":[],"Accounts":[]}"#);
    assert_snapshot!(json(&Reply::UpdateAccessKey), @r#"{"RequestId":"R"}"#);
    assert_snapshot!(xml(&full("CreateAccount")), @r#"<?xml version="1.0" encoding="UTF-8"?><CreateAccountResponse><RequestId>R</RequestId><Account><Name>press</Name><Enabled>true</Enabled><Operator>false</Operator><Weight>3</Weight><Paused>true</Paused><CreationTime>2026-01-02T03:04:05Z</CreationTime></Account></CreateAccountResponse>"#);
}
