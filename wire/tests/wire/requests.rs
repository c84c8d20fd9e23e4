//! The rules of the operations' parameters (§9).

use wire::action::{
    CancelUrlUploadJobs, GetPlayInfo, ListUrlUploadJobs, MediaSelector, OutputType, Priority,
    Request, ResultType, Selector, UploadMediaByUrl,
};
use wire::code::Fault;
use wire::params::Params;
use wire::spec;

use super::refusal;

fn parse(action: &str, params: &[(&str, &str)]) -> Result<Request, Fault> {
    let operation = spec::operation(action).expect("the test names an operation");
    Request::parse(operation, &Params::from_pairs(params.iter().copied()))
}

fn upload(params: &[(&str, &str)]) -> Result<UploadMediaByUrl, Fault> {
    match parse("UploadMediaByURL", params)? {
        Request::UploadMediaByUrl(request) => Ok(request),
        other => panic!("another request: {other:?}"),
    }
}

fn cancel(params: &[(&str, &str)]) -> Result<CancelUrlUploadJobs, Fault> {
    match parse("CancelUrlUploadJobs", params)? {
        Request::CancelUrlUploadJobs(request) => Ok(request),
        other => panic!("another request: {other:?}"),
    }
}

fn play(params: &[(&str, &str)]) -> Result<GetPlayInfo, Fault> {
    match parse("GetPlayInfo", params)? {
        Request::GetPlayInfo(request) => Ok(request),
        other => panic!("another request: {other:?}"),
    }
}

fn list(params: &[(&str, &str)]) -> Result<ListUrlUploadJobs, Fault> {
    match parse("ListUrlUploadJobs", params)? {
        Request::ListUrlUploadJobs(request) => Ok(request),
        other => panic!("another request: {other:?}"),
    }
}

fn urls(selector: &Selector) -> Vec<&str> {
    match selector {
        Selector::Urls(urls) => urls.iter().map(|selected| selected.url.as_str()).collect(),
        Selector::JobIds(ids) => panic!("ids: {ids:?}"),
    }
}

// ---- selectors

#[test]
fn ids_win_over_urls_which_are_then_not_even_judged() {
    // Row 25.
    let request = cancel(&[("JobIds", "b, a,b"), ("UploadUrls", "nonsense")]).unwrap();
    assert_eq!(request.selector, Selector::JobIds(vec!["b".to_owned(), "a".to_owned()]));
    assert!(!request.include_outcomes);
    // An empty value is no value.
    let request = cancel(&[("JobIds", ""), ("UploadUrls", "http://h/a.mp4")]).unwrap();
    assert_eq!(urls(&request.selector), ["http://h/a.mp4"]);
}

#[test]
fn a_selector_with_neither_ids_nor_urls_is_refused() {
    for (action, names) in [
        ("CancelUrlUploadJobs", "JobIds or UploadUrls"),
        ("GetURLUploadInfos", "JobIds or UploadURLs"),
    ] {
        // The other operation's spelling is another parameter (§0.1.12).
        let other = if names.ends_with("Urls") { "UploadURLs" } else { "UploadUrls" };
        let fault = parse(action, &[(other, "http://h/a.mp4")]).unwrap_err();
        assert_eq!(fault.code_text(), "MissingParameter");
        assert_eq!(
            fault.message(),
            format!(
                "The input parameter \"{names}\" that is mandatory for processing this request is \
                 not supplied."
            )
        );
    }
}

#[test]
fn eleven_items_are_too_many_whatever_they_say() {
    // Row 63. Items count as sent, before duplicates are dropped.
    let items = |item: &str, count: usize| vec![item; count].join(",");
    assert!(cancel(&[("JobIds", &items("a", 10))]).is_ok());
    assert!(cancel(&[("UploadUrls", &items("http://h/a", 10))]).is_ok());
    for (name, item) in [("JobIds", "a"), ("UploadUrls", "http://h/a")] {
        let code = format!("InvalidParameter.{name}");
        assert_eq!(refusal(cancel(&[(name, &items(item, 11))])), code);
        let gap = format!("{item},,{item}");
        let blank = format!("{item}, ,{item}");
        let tail = format!("{item},");
        for list in [",", " ", &gap, &blank, &tail] {
            assert_eq!(refusal(cancel(&[(name, list)])), code, "{list}");
        }
    }
    assert_eq!(refusal(cancel(&[("JobIds", &"x".repeat(129))])), "InvalidParameter.JobIds");
    let fault = cancel(&[("UploadUrls", "http://h/a,ftp://h/b")]).unwrap_err();
    assert_eq!(
        fault.message(),
        "The specified parameter UploadUrls is not valid. Item 2: it does not begin with http:// \
         or https://."
    );
}

#[test]
fn urls_are_compared_in_their_normal_form() {
    let list = "http%3A%2F%2Fh%2Fa%20b.mp4, http://h/a b.mp4 ,http://h/A.mp4,http%3A//h/c%2Cd.mp4";
    let request = cancel(&[("UploadUrls", list), ("IncludeOutcomes", "True")]).unwrap();
    assert_eq!(urls(&request.selector), ["http://h/a b.mp4", "http://h/A.mp4", "http://h/c,d.mp4"]);
    assert!(request.include_outcomes);
}

#[test]
fn booleans_are_true_or_false_in_any_letter_case() {
    for (text, value) in [("True", true), ("true", true), ("FALSE", false), ("", false)] {
        let request = cancel(&[("JobIds", "a"), ("IncludeOutcomes", text)]).unwrap();
        assert_eq!(request.include_outcomes, value, "{text}");
    }
    for text in ["1", "yes", " true"] {
        let result = cancel(&[("JobIds", "a"), ("IncludeOutcomes", text)]);
        assert_eq!(refusal(result), "InvalidParameter.IncludeOutcomes");
    }
    let infos = parse("GetURLUploadInfos", &[("JobIds", "a"), ("IncludeProgress", "true")]);
    assert!(matches!(infos, Ok(Request::GetUrlUploadInfos(request)) if request.include_progress));
}

// ---- UploadMediaByURL

#[test]
fn every_url_becomes_a_source_in_the_order_sent_duplicates_too() {
    let list = "http://h/b.mp4,http%3A//h/a.MP3%3Fx=1,http://h/b.mp4";
    let request = upload(&[("UploadURLs", list)]).unwrap();
    let seen: Vec<_> = request
        .sources
        .iter()
        .map(|s| (s.url.as_str(), s.extension.as_str(), s.title.as_str(), s.title_given))
        .collect();
    assert_eq!(
        seen,
        [
            ("http://h/b.mp4", "mp4", "b.mp4", false),
            ("http://h/a.MP3?x=1", "mp3", "a.MP3", false),
            ("http://h/b.mp4", "mp4", "b.mp4", false),
        ]
    );
}

#[test]
fn one_unusable_url_refuses_the_whole_call() {
    // Decision 12 of the product.
    assert_eq!(refusal(upload(&[])), "MissingUploadURLs");
    assert_eq!(refusal(upload(&[("UploadURLs", "")])), "MissingUploadURLs");
    let twenty = vec!["http://h/a.mp4"; 20].join(",");
    assert_eq!(upload(&[("UploadURLs", &twenty)]).unwrap().sources.len(), 20);
    let long = format!("http://h/{}.mp4", "a".repeat(8 * 1024));
    for bad in
        [format!("{twenty},http://h/a.mp4"), ",".to_owned(), "http://h/a.exe".to_owned(), long]
    {
        let list = [("UploadURLs", bad.as_str())];
        assert_eq!(refusal(upload(&list)), "InvalidParameter.UploadURLs", "{bad:.40}");
    }
    let fault = upload(&[("UploadURLs", "http://h/a.mp4,http://h/b")]).unwrap_err();
    assert_eq!(
        fault.message(),
        "The specified parameter UploadURLs is not valid. Item 2: it does not end in a supported \
         extension."
    );
    // The firewall is not asked here: a forbidden host fails its own job.
    assert!(upload(&[("UploadURLs", "http://127.0.0.1/a.mp4")]).is_ok());
}

#[test]
fn metadata_is_found_by_the_normal_form_of_its_url_and_by_keys_in_any_letter_case() {
    // Row 62; §0.1.11.
    let metadatas = r#"[
        {"SourceUrl":"http%3A%2F%2Fh%2Fa%20b.mp4","title":"First","Description":"two\nlines",
         "FileSize":"12","CateId":100,"Tags":"x,y","CoverURL":"http%3A//h/c.jpg",
         "TemplateGroupId":"T2","WorkflowId":"W2","ReferenceId":"my_ref-1","Unknown":{"a":[1]}},
        {"SourceURL":"http://h/A b.mp4","Title":"Other case"},
        {"SourceURL":"no url","Title":"Matches nothing","FileSize":"nonsense"}]"#;
    let request = upload(&[
        ("UploadURLs", "http://h/a b.mp4,http://h/plain.mp4"),
        ("UploadMetadatas", metadatas),
        ("TemplateGroupId", "T1"),
        ("StorageLocation", "bucket"),
        ("AppId", "app-1"),
        ("UserData", r#"{"Extend":{"a":1}}"#),
        ("SessionId", "s-1"),
        ("EnableFirstFrameCover", "True"),
        ("GenerateThumbnail", "false"),
    ])
    .unwrap();
    let [first, plain] = request.sources.as_slice() else { panic!("two sources") };
    assert_eq!((first.title.as_str(), first.title_given), ("First", true));
    assert_eq!(first.description.as_deref(), Some("two\nlines"));
    assert_eq!(first.file_size, Some(12));
    assert_eq!(first.cate_id, Some(100));
    assert_eq!(first.tags.as_deref(), Some("x,y"));
    assert_eq!(first.cover_url.as_deref(), Some("http://h/c.jpg"));
    assert_eq!(first.template_group_id.as_deref(), Some("T2"));
    assert_eq!(first.workflow_id.as_deref(), Some("W2"));
    assert_eq!(first.reference_id.as_deref(), Some("my_ref-1"));
    assert_eq!(first.user_data.as_deref(), Some(r#"{"Extend":{"a":1}}"#));
    assert_eq!((plain.title.as_str(), plain.title_given), ("plain.mp4", false));
    assert_eq!(plain.template_group_id.as_deref(), Some("T1"));
    assert_eq!(plain.workflow_id, None);
    for source in &request.sources {
        assert_eq!(source.storage_location.as_deref(), Some("bucket"));
        assert_eq!(source.app_id.as_deref(), Some("app-1"));
    }
    assert_eq!(request.session_id.as_deref(), Some("s-1"));
}

#[test]
fn a_single_object_is_as_good_as_an_array() {
    let one = r#"{"SourceURL":"http://h/a.mp4","Title":"T","CateId":"7","FileSize":9}"#;
    let request = upload(&[("UploadURLs", "http://h/a.mp4"), ("UploadMetadatas", one)]).unwrap();
    let source = &request.sources[0];
    assert_eq!((source.title.as_str(), source.cate_id, source.file_size), ("T", Some(7), Some(9)));
}

#[test]
fn objects_for_one_url_are_dealt_out_to_its_occurrences() {
    let metadatas = r#"[{"SourceURL":"http://h/a.mp4","Title":"1"},
        {"SourceURL":"http://h/b.mp4","Title":"b"},{"SourceURL":"http://h/a.mp4","Title":"2"}]"#;
    let list = "http://h/a.mp4,http://h/b.mp4,http://h/a.mp4,http://h/a.mp4";
    let request = upload(&[("UploadURLs", list), ("UploadMetadatas", metadatas)]).unwrap();
    let titles: Vec<&str> = request.sources.iter().map(|s| s.title.as_str()).collect();
    assert_eq!(titles, ["1", "b", "2", "2"]);
}

#[test]
fn a_file_extension_wins_over_the_urls_own() {
    let with = |url: &str, extension: &str| {
        let metadatas =
            format!(r#"[{{"SourceURL":"{url}","Title":"T","FileExtension":"{extension}"}}]"#);
        upload(&[("UploadURLs", url), ("UploadMetadatas", &metadatas)])
            .map(|request| request.sources[0].extension.clone())
    };
    assert_eq!(with("http://h/stream", "MP4").unwrap(), "mp4");
    assert_eq!(with("http://h/a.avi", ".webm").unwrap(), "webm");
    assert_eq!(with("http://h/a.avi", "").unwrap(), "avi");
    assert_eq!(refusal(with("http://h/a.avi", "exe")), "InvalidFileName.Extension");
    assert_eq!(refusal(with("http://h/a.avi", "..mp4")), "InvalidFileName.Extension");
}

#[test]
fn metadata_that_breaks_a_limit_is_refused_by_its_own_code() {
    let with = |fields: &str| {
        let metadatas = format!(r#"[{{"SourceURL":"http://h/a.mp4",{fields}}}]"#);
        upload(&[("UploadURLs", "http://h/a.mp4"), ("UploadMetadatas", &metadatas)])
    };
    let text = |name: &str, text: &str| format!(r#""{name}":"{text}""#);
    let a = |count: usize| "a".repeat(count);
    assert!(with(&text("Title", &a(128))).is_ok());
    assert!(with(&text("Title", "\u{4e2d}\u{6587} \u{20000}\u{e9}")).is_ok());
    assert!(with(&text("Description", &a(1024))).is_ok());
    assert!(with(&text("Tags", &vec![a(32); 16].join(","))).is_ok());
    for (fields, code) in [
        (text("Title", &a(129)), "LengthExceededMax"),
        // Bytes count, not characters.
        (text("Title", &"\u{e9}".repeat(65)), "LengthExceededMax"),
        (text("Title", "\u{1f600}"), "IllegalCharacters"),
        (text("Title", "a\\u0007"), "IllegalCharacters"),
        (text("Title", "a\\nb"), "IllegalCharacters"),
        (text("Description", &a(1025)), "LengthExceededMax"),
        (text("Description", "\u{2764}\u{fe0f}"), "IllegalCharacters"),
        (text("Tags", &vec!["t"; 17].join(",")), "TagsExceededMax"),
        (text("Tags", &a(33)), "LengthExceededMax"),
        (text("Tags", "\u{1f680}"), "IllegalCharacters"),
        (text("CoverURL", "ftp://h/c.jpg"), "InvalidParameter.UploadMetadatas"),
        (text("CoverURL", &format!("http://h/{}", a(1024))), "LengthExceededMax"),
        (text("FileSize", "-1"), "InvalidParameter.UploadMetadatas"),
        (text("FileSize", "1e3"), "InvalidParameter.UploadMetadatas"),
        (text("FileSize", "+1"), "InvalidParameter.UploadMetadatas"),
        (r#""FileSize":1.5"#.to_owned(), "InvalidParameter.UploadMetadatas"),
        (r#""FileSize":18446744073709551615"#.to_owned(), "InvalidParameter.UploadMetadatas"),
        (r#""CateId":true"#.to_owned(), "InvalidParameter.UploadMetadatas"),
        (r#""CateId":9007199254740992"#.to_owned(), "InvalidParameter.UploadMetadatas"),
        (r#""Title":7"#.to_owned(), "InvalidParameter.UploadMetadatas"),
        (text("ReferenceId", "short"), "InvalidParameter.ReferenceId"),
        (text("ReferenceId", "not a word"), "InvalidParameter.ReferenceId"),
        (text("TemplateGroupId", &a(65)), "LengthExceededMax"),
        (r#""Title":"a","title":"b""#.to_owned(), "InvalidParameter.UploadMetadatas"),
        (r#""Title":"a","Title":"a""#.to_owned(), "InvalidParameter.UploadMetadatas"),
        (r#""X":1,"X":1"#.to_owned(), "InvalidParameter.UploadMetadatas"),
    ] {
        assert_eq!(refusal(with(&fields)), code, "{fields:.60}");
    }
    assert_eq!(
        with(&text("Title", &a(129))).unwrap_err().message(),
        "The specified Title length has exceeded 128 bytes."
    );
    assert_eq!(
        with(&text("Tags", "\u{1f680}")).unwrap_err().message(),
        "The specified Tags contains illegal emoticon or special characters."
    );
    // Absent in one way or another.
    assert!(!with(r#""Title":null"#).unwrap().sources[0].title_given);
    assert!(!with(r#""Title":"","FileSize":"""#).unwrap().sources[0].title_given);
}

#[test]
fn a_priority_is_one_of_three_words_in_any_letter_case() {
    let with = |field: &str| {
        let metadatas = format!(r#"[{{"SourceURL":"http://h/a.mp4",{field}}}]"#);
        let request = upload(&[("UploadURLs", "http://h/a.mp4"), ("UploadMetadatas", &metadatas)]);
        request.map(|request| request.sources[0].priority)
    };
    for (text, priority) in [
        ("\"low\"", Priority::Low),
        ("\"Normal\"", Priority::Normal),
        ("\"HIGH\"", Priority::High),
        ("\"\"", Priority::Normal),
        ("null", Priority::Normal),
    ] {
        assert_eq!(with(&format!("\"Priority\":{text}")).unwrap(), priority, "{text}");
    }
    assert_eq!(with("\"Title\":\"A\"").unwrap(), Priority::Normal);
    for text in ["\"urgent\"", "1", "true", "[\"high\"]", "\" high\""] {
        let refused = refusal(with(&format!("\"Priority\":{text}")));
        assert_eq!(refused, "InvalidParameter.UploadMetadatas", "{text}");
    }
}

#[test]
fn digests_of_a_source_are_declared_in_hexadecimal_base64_or_decimal() {
    let with = |fields: &str| {
        let metadatas = format!(r#"[{{"SourceURL":"http://h/a.mp4",{fields}}}]"#);
        let request = upload(&[("UploadURLs", "http://h/a.mp4"), ("UploadMetadatas", &metadatas)]);
        request.map(|mut request| request.sources.remove(0))
    };
    // MD5 and SHA-256 of "abc" (RFC 1321, FIPS 180-2), and Base64 of the same bytes.
    let md5 = *b"\x90\x01\x50\x98\x3c\xd2\x4f\xb0\xd6\x96\x3f\x7d\x28\xe1\x7f\x72";
    for text in [
        "900150983cd24fb0d6963f7d28e17f72",
        "900150983CD24FB0D6963F7D28E17F72",
        "kAFQmDzST7DWlj99KOF/cg==",
    ] {
        assert_eq!(with(&format!(r#""Md5":"{text}""#)).unwrap().md5, Some(md5), "{text}");
    }
    let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let base64 = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
    let declared = [hex, base64].map(|text| with(&format!(r#""sha256":"{text}""#)).unwrap().sha256);
    assert!(declared[0].is_some_and(|digest| digest.starts_with(&[0xba, 0x78])));
    assert_eq!(declared[0], declared[1]);
    for (text, crc) in [
        (r#""18446744073709551615""#, Some(u64::MAX)),
        (r#""0""#, Some(0)),
        ("9007199254740991", Some((1 << 53) - 1)),
        (r#""""#, None),
        ("null", None),
    ] {
        assert_eq!(with(&format!(r#""Crc64":{text}"#)).unwrap().crc64, crc, "{text}");
    }
    for fields in [
        r#""Md5":"900150983cd24fb0d6963f7d28e17f7""#,
        r#""Md5":"900150983cd24fb0d6963f7d28e17f7g""#,
        r#""Md5":"kAFQmDzST7DWlj99KOF/cg""#,
        r#""Md5":"ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=""#,
        r#""Sha256":"900150983cd24fb0d6963f7d28e17f72""#,
        r#""Crc64":"18446744073709551616""#,
        r#""Crc64":"-1""#,
        r#""Crc64":"+1""#,
        r#""Crc64":"0x1f""#,
        r#""Crc64":9007199254740992"#,
        r#""Crc64":1.5"#,
    ] {
        let fault = with(fields).unwrap_err();
        assert_eq!(fault.code_text(), "InvalidParameter.UploadMetadatas", "{fields}");
        assert!(fault.message().contains(" takes "), "{}", fault.message());
    }
    for fields in [r#""Md5":7"#, r#""Sha256":["x"]"#] {
        assert_eq!(refusal(with(fields)), "InvalidParameter.UploadMetadatas", "{fields}");
    }
}

#[test]
fn headers_for_a_source_are_taken_whole_or_refuse_the_call_without_being_repeated() {
    let with = |fields: &str| {
        let metadatas = format!(r#"[{{"SourceURL":"http://h/a.mp4",{fields}}}]"#);
        upload(&[("UploadURLs", "http://h/a.mp4"), ("UploadMetadatas", &metadatas)])
    };
    let both = r#""headers":{"X-Key":"CANARY"},"basicauth":{"User":"u","Password":"CANARY"}"#;
    let request = with(both).unwrap();
    assert!(!format!("{request:?}").contains("CANARY"));
    let headers = request.sources[0].headers.clone().unwrap().into_pairs();
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["X-Key", "Authorization"]);
    assert_eq!(with(r#""Headers":{}"#).unwrap().sources[0].headers, None);
    for fields in [
        r#""Headers":{"Host":"CANARY"}"#,
        r#""Headers":{"X":"CANARY\r\nY: z"}"#,
        r#""Headers":["CANARY"]"#,
        r#""BasicAuth":{"User":"CANARY"}"#,
        r#""BasicAuth":7"#,
    ] {
        let fault = with(fields).unwrap_err();
        assert_eq!(fault.code_text(), "InvalidParameter.UploadMetadatas", "{fields}");
        assert!(!fault.message().contains("CANARY"), "{}", fault.message());
    }
    // Two calls that differ in a header alone are not the same call.
    let other = with(&both.replace("CANARY\"}", "CANARZ\"}")).unwrap();
    assert_ne!(other.fingerprint, request.fingerprint);
}

#[test]
fn metadata_that_is_no_such_json_is_refused() {
    // Row 61.
    let deep = "[".repeat(10_000);
    let flood = format!("[{}]", vec!["{}"; 101].join(","));
    let huge = format!("[{}]", " ".repeat(512 * 1024));
    for text in [
        "nonsense",
        "[1]",
        "[{}]",
        r#"[{"SourceURL":7}]"#,
        r#"[{"SourceURL":""}]"#,
        r#"[{"SourceURL":"http://h/a","SourceUrl":"http://h/b"}]"#,
        r#"[{"SourceURL":"http://h/a","FileSize":1e400}]"#,
        r#"[{"SourceURL":"http://h/a","FileSize":NaN}]"#,
        r#"{"SourceURL":"http://h/a"} {}"#,
        deep.as_str(),
        &flood,
        &huge,
    ] {
        let result = upload(&[("UploadURLs", "http://h/a.mp4"), ("UploadMetadatas", text)]);
        assert_eq!(refusal(result), "InvalidParameter.UploadMetadatas", "{text:.60}");
    }
    assert!(upload(&[("UploadURLs", "http://h/a.mp4"), ("UploadMetadatas", "[]")]).is_ok());
}

#[test]
fn other_parameters_of_an_upload_are_judged_too() {
    for (name, value, code) in [
        ("SessionId", "x".repeat(51), "InvalidParameter.SessionId"),
        ("SessionId", "a b".to_owned(), "InvalidParameter.SessionId"),
        ("UserData", "[]".to_owned(), "InvalidParameter.UserData"),
        ("UserData", format!(r#"{{"Extend":"{}"}}"#, "x".repeat(513)), "LengthExceededMax"),
        ("GenerateThumbnail", "perhaps".to_owned(), "InvalidParameter.GenerateThumbnail"),
        ("EnableFirstFrameCover", "1".to_owned(), "InvalidParameter.EnableFirstFrameCover"),
        ("TemplateGroupId", "x".repeat(65), "InvalidParameter.TemplateGroupId"),
        ("StorageLocation", "a\0".to_owned(), "InvalidParameter.StorageLocation"),
    ] {
        let result = upload(&[("UploadURLs", "http://h/a.mp4"), (name, &value)]);
        assert_eq!(refusal(result), code);
    }
    let full = "x".repeat(50);
    let request = upload(&[("UploadURLs", "http://h/a.mp4"), ("SessionId", &full)]).unwrap();
    assert_eq!(request.session_id, Some(full));
    let request = upload(&[("UploadURLs", "http://h/a.mp4"), ("SessionId", "")]).unwrap();
    assert_eq!(request.session_id, None);
}

#[test]
fn a_title_taken_from_the_url_obeys_the_rules_of_titles() {
    let title = |url: &str| upload(&[("UploadURLs", url)]).unwrap().sources[0].title.clone();
    assert_eq!(title("http://h/d/a%20b%C3%A9.mp4?x=y"), "a b\u{e9}.mp4");
    assert_eq!(title("http://h/%F0%9F%98%80%07.mp4"), ".mp4");
    let long = title(&format!("http://h/{}.mp4", "%C3%A9".repeat(100)));
    assert_eq!(long, "\u{e9}".repeat(64));
    let nameless = r#"[{"SourceURL":"http://h/","FileExtension":"mp4"}]"#;
    let request = upload(&[("UploadURLs", "http://h/"), ("UploadMetadatas", nameless)]).unwrap();
    assert_eq!(request.sources[0].title, "untitled");
}

#[test]
fn the_fingerprint_is_of_what_is_asked_not_of_how() {
    let of = |params: &[(&str, &str)]| upload(params).unwrap().fingerprint;
    let base = [("UploadURLs", "http://h/a.mp4"), ("SessionId", "s")];
    let again = [
        ("SessionId", "s"),
        ("Timestamp", "2026-01-02T03:04:05Z"),
        ("TimeStamp", "2026-01-02T03:04:05Z"),
        ("SignatureNonce", "other"),
        ("Signature", "other"),
        ("AccessKeyId", "other"),
        ("SecurityToken", "renewed"),
        ("Format", "XML"),
        ("AppId", ""),
        ("UploadURLs", "http://h/a.mp4"),
    ];
    assert_eq!(of(&base), of(&again));
    for other in [
        [("UploadURLs", "http://h/b.mp4"), ("SessionId", "s")],
        [("UploadURLs", "http://h/a.mp4"), ("SessionId", "t")],
        [("UploadURLs", "http://h/a.mp4"), ("AppId", "s")],
    ] {
        assert_ne!(of(&base), of(&other));
    }
    // Lengths count: no two lists run into each other.
    assert_ne!(
        of(&[("UploadURLs", "http://h/a.mp4"), ("Xa", "b")]),
        of(&[("UploadURLs", "http://h/a.mp4"), ("X", "ab")])
    );
}

// ---- GetPlayInfo, ListUrlUploadJobs

#[test]
fn a_media_is_chosen_by_its_id_or_the_callers_own() {
    let by_id = play(&[("VideoId", "v"), ("ReferenceId", "!")]).unwrap();
    assert_eq!(by_id.media, MediaSelector::VideoId("v".to_owned()));
    let by_reference = play(&[("ReferenceId", "my_ref-1")]).unwrap();
    assert_eq!(by_reference.media, MediaSelector::ReferenceId("my_ref-1".to_owned()));
    assert_eq!(refusal(play(&[("ReferenceId", "short")])), "InvalidParameter.ReferenceId");
    assert_eq!(refusal(play(&[])), "MissingParameter");
}

#[test]
fn filters_of_streams_are_read_in_any_letter_case() {
    let request = play(&[
        ("VideoId", "v"),
        ("Formats", "MP4, m3u8,mp4"),
        ("Definition", "od,4k"),
        ("StreamType", "Audio"),
        ("OutputType", "OSS"),
        ("AuthTimeout", "3600"),
        ("ResultType", "multiple"),
        ("CodecName", "H264"),
        ("PlayConfig", "{\n}"),
        ("Trace", "x"),
    ])
    .unwrap();
    assert_eq!(request.formats, ["mp4", "m3u8"]);
    assert_eq!(request.definitions, ["OD", "4K"]);
    assert_eq!(request.stream_types, ["audio"]);
    assert_eq!(request.output_type, OutputType::Oss);
    assert_eq!(request.auth_timeout, Some(3600));
    assert_eq!(request.result_type, ResultType::Multiple);
    assert_eq!(request.codec_name.as_deref(), Some("h264"));
    let ignored: Vec<_> = request.ignored.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(ignored, [("PlayConfig", "{\n}"), ("Trace", "x")]);

    let plain = play(&[("VideoId", "v")]).unwrap();
    assert!(plain.formats.is_empty() && plain.definitions.is_empty() && plain.ignored.is_empty());
    assert_eq!(plain.stream_types, ["video", "audio"]);
    assert_eq!(plain.output_type, OutputType::Cdn);
    assert_eq!(plain.result_type, ResultType::Single);
    assert_eq!((plain.auth_timeout, plain.codec_name), (None, None));
}

#[test]
fn filters_with_unknown_values_are_refused() {
    for (name, value) in [
        ("Formats", "exe"),
        ("Formats", "mp4,"),
        ("Definition", "8K"),
        ("StreamType", "text"),
        ("OutputType", "ftp"),
        ("AuthTimeout", "0"),
        ("AuthTimeout", "-1"),
        ("AuthTimeout", "31536001"),
        ("AuthTimeout", "1.5"),
        ("AuthTimeout", "99999999999999999999"),
        ("ResultType", "All"),
    ] {
        let result = play(&[("VideoId", "v"), (name, value)]);
        assert_eq!(refusal(result), format!("InvalidParameter.{name}"), "{value}");
    }
}

#[test]
fn a_list_of_jobs_has_pages_of_twenty_and_at_most_a_hundred() {
    let plain = list(&[]).unwrap();
    assert!(plain.statuses.is_empty() && plain.next_token.is_none());
    assert_eq!(plain.page_size, 20);
    let request =
        list(&[("Status", "pending,CANCELED"), ("NextToken", "t"), ("PageSize", "100")]).unwrap();
    assert_eq!(request.statuses, ["PENDING", "CANCELED"]);
    assert_eq!((request.next_token.as_deref(), request.page_size), (Some("t"), 100));
    assert_eq!(refusal(list(&[("Status", "DONE")])), "InvalidParameter.Status");
    assert_eq!(refusal(list(&[("PageSize", "101")])), "InvalidParameter.PageSize");
    assert_eq!(refusal(list(&[("PageSize", "0")])), "InvalidParameter.PageSize");
}
