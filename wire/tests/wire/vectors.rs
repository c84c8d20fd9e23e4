//! Signature vectors: published ones, and ones computed with the official SDKs (§3.1, §4.1).

use wire::sign::{v1, v3};

const TWO_URLS: &str = "http%3A%2F%2Fh.example%2Fa%20b.mp4,http://h.example/\u{e9} *~'()!+.mp4";

#[test]
fn v1_vector_of_the_vod_documents() {
    let params = [
        ("AccessKeyId", "testAccessKeyId"),
        ("Action", "GetVideoPlayAuth"),
        ("Format", "JSON"),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureNonce", "8f8a035d-6496-4268-afd4-67c22837e38d"),
        ("SignatureVersion", "1.0"),
        ("Timestamp", "2017-10-10T12:02:54Z"),
        ("Version", "2017-03-21"),
        ("VideoId", "5aed81b74ba84920be578cdfe004af4b"),
    ];
    let sts = v1::string_to_sign("GET", params.into_iter().rev());
    assert_eq!(
        sts,
        "GET&%2F&AccessKeyId%3DtestAccessKeyId%26Action%3DGetVideoPlayAuth%26Format%3DJSON%26\
         SignatureMethod%3DHMAC-SHA1%26SignatureNonce%3D8f8a035d-6496-4268-afd4-67c22837e38d%26\
         SignatureVersion%3D1.0%26Timestamp%3D2017-10-10T12%253A02%253A54Z%26Version%3D2017-03-21\
         %26VideoId%3D5aed81b74ba84920be578cdfe004af4b"
    );
    assert_eq!(v1::signature("testAccessKeySecret", &sts), "Ibgh7y8Vp47LBuAsf5Xhi1SvDss=");
}

#[test]
fn v1_vector_of_the_ecs_documents() {
    let params = [
        ("AccessKeyId", "testid"),
        ("Action", "DescribeRegions"),
        ("Format", "XML"),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureNonce", "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf"),
        ("SignatureVersion", "1.0"),
        ("Timestamp", "2016-02-23T12:46:24Z"),
        ("Version", "2014-05-26"),
    ];
    let sts = v1::string_to_sign("GET", params.into_iter());
    assert_eq!(v1::signature("testsecret", &sts), "OLeaidS1JvxuMvnyHOwuJ+uX5qY=");
}

fn classic_python<'a>() -> [(&'a str, &'a str); 11] {
    [
        ("Action", "CancelUrlUploadJobs"),
        ("Version", "2017-03-21"),
        ("UploadUrls", TWO_URLS),
        ("RegionId", "cn-shanghai"),
        ("Timestamp", "2026-01-02T03:04:05Z"),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureType", ""),
        ("SignatureVersion", "1.0"),
        ("SignatureNonce", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
        ("AccessKeyId", "testid"),
        ("Format", "JSON"),
    ]
}

#[test]
fn v1_vector_of_the_classic_python_sdk_with_everything_in_the_query() {
    let sts = v1::string_to_sign("GET", classic_python().into_iter());
    assert_eq!(
        sts,
        "GET&%2F&AccessKeyId%3Dtestid%26Action%3DCancelUrlUploadJobs%26Format%3DJSON%26RegionId\
         %3Dcn-shanghai%26SignatureMethod%3DHMAC-SHA1%26SignatureNonce%3D\
         0f1e2d3c4b5a69788796a5b4c3d2e1f0%26SignatureType%3D%26SignatureVersion%3D1.0%26Timestamp\
         %3D2026-01-02T03%253A04%253A05Z%26UploadUrls%3Dhttp%25253A%25252F%25252Fh.example%25252Fa\
         %252520b.mp4%252Chttp%253A%252F%252Fh.example%252F%25C3%25A9%2520%252A~%2527%2528%2529\
         %2521%252B.mp4%26Version%3D2017-03-21"
    );
    assert_eq!(v1::signature("testsecret", &sts), "1jTwdXJZyQoNuxRrjtq7zCyvcb8=");

    // The same, as it was sent.
    let http = super::Http::new(
        "GET",
        "Action=CancelUrlUploadJobs&Version=2017-03-21&UploadUrls=http%253A%252F%252Fh.example\
         %252Fa%2520b.mp4%2Chttp%3A%2F%2Fh.example%2F%C3%A9%20%2A~%27%28%29%21%2B.mp4&RegionId=\
         cn-shanghai&Timestamp=2026-01-02T03%3A04%3A05Z&SignatureMethod=HMAC-SHA1&SignatureType=\
         &SignatureVersion=1.0&SignatureNonce=0f1e2d3c4b5a69788796a5b4c3d2e1f0&AccessKeyId=testid\
         &Format=JSON&Signature=1jTwdXJZyQoNuxRrjtq7zCyvcb8%3D",
    );
    let envelope = http.verify("testsecret").unwrap();
    assert_eq!(envelope.operation.action, "CancelUrlUploadJobs");
    assert_eq!(envelope.credentials.timestamp(), Ok(1_767_323_045));
}

#[test]
fn v1_vector_of_the_classic_python_sdk_with_a_form_body() {
    let mut http = super::Http::new(
        "POST",
        "Action=CancelUrlUploadJobs&Version=2017-03-21&RegionId=cn-shanghai&Timestamp=\
         2026-01-02T03%3A04%3A05Z&SignatureMethod=HMAC-SHA1&SignatureType=&SignatureVersion=1.0&\
         SignatureNonce=0f1e2d3c4b5a69788796a5b4c3d2e1f0&AccessKeyId=testid&Format=JSON&\
         Signature=stb6LzblQXn5aYDbekOzyyarNjo%3D",
    )
    .with_header("content-type", "application/x-www-form-urlencoded");
    http.body = b"UploadUrls=http%253A%252F%252Fh.example%252Fa%2520b.mp4%2Chttp%3A%2F%2Fh.example\
                  %2F%C3%A9+%2A~%27%28%29%21%2B.mp4"
        .to_vec();
    assert!(http.verify("testsecret").is_ok());
    assert_eq!(
        v1::string_to_sign("POST", classic_python().into_iter())[4..],
        v1::string_to_sign("GET", classic_python().into_iter())[3..]
    );
}

#[test]
fn v3_vector_of_the_documents() {
    let empty = v3::payload_hash(b"");
    let headers = [
        ("host", "ecs.cn-shanghai.aliyuncs.com"),
        ("x-acs-action", "RunInstances"),
        ("x-acs-version", "2014-05-26"),
        ("x-acs-date", "2023-10-26T10:22:32Z"),
        ("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d"),
        ("x-acs-content-sha256", empty.as_str()),
    ];
    let query = [
        ("RegionId", "cn-shanghai"),
        ("ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"),
    ];
    let canonical = v3::canonical_request(
        "POST",
        query.into_iter(),
        &headers,
        "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version",
        &empty,
    );
    let sts = v3::string_to_sign(&canonical);
    assert_eq!(
        sts,
        "ACS3-HMAC-SHA256\n7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259"
    );
    assert_eq!(
        v3::signature("YourAccessKeySecret", &sts),
        "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    );
}

/// Headers of the two vectors that were computed with the official TEA code.
fn tea(hash: &str, authorization: &str) -> super::Http {
    super::Http::new("POST", "")
        .with_header("host", "127.0.0.1:8080")
        .with_header("x-acs-action", "CancelUrlUploadJobs")
        .with_header("x-acs-content-sha256", hash)
        .with_header("x-acs-date", "2026-01-02T03:04:05Z")
        .with_header("x-acs-signature-nonce", "0f1e2d3c4b5a69788796a5b4c3d2e1f0")
        .with_header("x-acs-version", "2017-03-21")
        .with_header("authorization", authorization)
}

#[test]
fn v3_vector_of_the_tea_code_with_a_query() {
    let empty = v3::payload_hash(b"");
    let mut http = tea(
        &empty,
        "ACS3-HMAC-SHA256 Credential=testid,SignedHeaders=host;x-acs-action;x-acs-content-sha256;\
         x-acs-date;x-acs-signature-nonce;x-acs-version,\
         Signature=1b00d6d409e271bc6d892aed2f624e4e609ef03502d29d1bc4ff0c8e81c6ddc9",
    );
    // As Python sends it: a plus for the blank.
    http.query = "UploadUrls=http%253A%252F%252Fh.example%252Fa%2520b.mp4%2Chttp%3A%2F%2Fh.example\
                  %2F%C3%A9+*~'()!%2B.mp4"
        .to_owned();
    assert!(http.verify("testsecret").is_ok());

    let headers: Vec<(&str, &str)> =
        http.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let canonical = v3::canonical_request(
        "POST",
        [("UploadUrls", TWO_URLS)].into_iter(),
        &headers,
        "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version",
        &empty,
    );
    assert_eq!(
        canonical,
        "POST\n/\nUploadUrls=http%253A%252F%252Fh.example%252Fa%2520b.mp4%2Chttp%3A%2F%2Fh.example\
         %2F%C3%A9%20%2A~%27%28%29%21%2B.mp4\nhost:127.0.0.1:8080\n\
         x-acs-action:CancelUrlUploadJobs\nx-acs-content-sha256:\
         e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n\
         x-acs-date:2026-01-02T03:04:05Z\n\
         x-acs-signature-nonce:0f1e2d3c4b5a69788796a5b4c3d2e1f0\nx-acs-version:2017-03-21\n\nhost;\
         x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version\n\
         e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    assert_eq!(
        v3::string_to_sign(&canonical),
        "ACS3-HMAC-SHA256\n3d4573c807ca78380794e7ec777d1df91e35202c10ab22779500fb284dc12e37"
    );
}

#[test]
fn v3_vector_of_the_tea_code_with_a_form_body() {
    let mut http = tea(
        "956a4f68422c1d0d11375c4a855b5145583171e284b934b0ef4aa7a7744692dc",
        "ACS3-HMAC-SHA256 Credential=testid,SignedHeaders=content-type;host;x-acs-action;\
         x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,\
         Signature=d5ffd3c9bfee7de2b93cebcecf140908d6247b2a1a7a6613ecf73871aea0830e",
    )
    .with_header("content-type", "application/x-www-form-urlencoded");
    http.body = b"JobIds=j1%2Cj2".to_vec();
    assert!(http.verify("testsecret").is_ok());
    assert_eq!(http.params().unwrap().get("JobIds"), Some("j1,j2"));

    let headers: Vec<(&str, &str)> =
        http.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let canonical = v3::canonical_request(
        "POST",
        std::iter::empty(),
        &headers,
        "content-type;host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;\
         x-acs-version",
        &v3::payload_hash(&http.body),
    );
    assert_eq!(
        v3::string_to_sign(&canonical),
        "ACS3-HMAC-SHA256\n7c9335bbd14b3e7435ea32f8318afe978b6a6604f31ea23a98778fd57255b6d4"
    );
}
