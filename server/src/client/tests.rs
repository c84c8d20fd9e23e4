use super::*;

fn client(server: &str) -> Client {
    let key = Credentials {
        access_key_id: "testid".to_owned(),
        access_key_secret: "testsecret".to_owned(),
    };
    Client::new(server.parse().unwrap(), key, Clock::System)
}

#[test]
fn a_server_is_scheme_host_and_port() {
    let parse = |text: &str| text.parse::<Server>();
    assert_eq!(parse("127.0.0.1:8710").unwrap().to_string(), "http://127.0.0.1:8710");
    assert_eq!(parse("https://h.example/").unwrap().to_string(), "https://h.example");
    assert_eq!(parse("http://[::1]:1").unwrap().authority, "[::1]:1");
    for text in
        ["", "ftp://h", "http://h/path", "http://me:secret@h", "http://h/?Signature=s", "a b"]
    {
        let error = parse(text).unwrap_err().to_string();
        assert!(!error.contains("secret") && !error.contains("Signature"), "{error}");
    }
}

/// A server that answers each connection's first request with `answer`; the requests come out of
/// the receiver.
async fn canned(answer: String) -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (seen, requests) = tokio::sync::mpsc::unbounded_channel();
    crate::run::tasks::Tasks::new().spawn("canned", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            let mut buffer = [0u8; 4096];
            loop {
                let n = stream.read(&mut buffer).await.unwrap_or(0);
                request.extend_from_slice(&buffer[..n]);
                let text = String::from_utf8_lossy(&request);
                let head = text.split("\r\n\r\n").next().unwrap().to_ascii_lowercase();
                let length = head.split("content-length: ").nth(1);
                let length = length.map_or(0, |l| l.split("\r\n").next().unwrap().parse().unwrap());
                if n == 0 || (text.contains("\r\n\r\n") && text.len() >= head.len() + 4 + length) {
                    break;
                }
            }
            let _ = seen.send(String::from_utf8_lossy(&request).into_owned());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, requests)
}

fn http(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
    )
}

#[tokio::test]
async fn a_call_is_signed_and_its_answer_read() {
    let body = r#"{"RequestId":"R","CanceledJobs":["j1"],"NonExists":[],"Outcomes":[{"Input":"j1","JobId":"j1","Outcome":"Canceled"}]}"#;
    let (address, mut requests) = canned(http("200 OK", "", body)).await;
    let canceled = client(&address).cancel(&Selector::Ids(vec!["j1".to_owned()])).await.unwrap();
    assert_eq!(canceled.canceled_jobs, ["j1"]);
    assert!(canceled.outcomes[0].is_canceled());
    let request = requests.recv().await.unwrap();
    let lower = request.to_ascii_lowercase();
    assert!(request.starts_with("POST / HTTP/1.1\r\n"), "{request}");
    assert!(lower.contains("x-acs-action: cancelurluploadjobs"), "{request}");
    assert!(lower.contains("authorization: acs3-hmac-sha256 credential=testid,"), "{request}");
    assert!(lower.contains(&format!("host: {address}")), "{request}");
    assert!(request.contains("JobIds=j1") && request.contains("IncludeOutcomes=true"), "{request}");
    assert!(!request.contains("testsecret"));
}

#[tokio::test]
async fn a_refusal_tells_code_message_request_and_where_to_read_on() {
    let body = r#"{"RequestId":"R-1","HostId":"h","Code":"Throttling.User","Message":"Slow down.","Recommend":"http://h/errors/Throttling.User"}"#;
    let (address, _requests) =
        canned(http("400 Bad Request", "x-acs-retry-after: 20\r\n", body)).await;
    let error = client(&address).play_info("m").await.unwrap_err();
    assert!(error.is_transient());
    assert_eq!(
        error.to_string(),
        "Throttling.User: Slow down.\n  request R-1\n  see http://h/errors/Throttling.User"
    );
}

#[tokio::test]
async fn what_is_not_haulage_is_named_so() {
    let (address, _requests) = canned(http("502 Bad Gateway", "", "<html>")).await;
    let error = client(&address).play_info("m").await.unwrap_err();
    assert!(matches!(error, ClientError::NotOurs { status: 502, .. }), "{error:?}");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = client(&closed).play_info("m").await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("haulage serve"), "{error}");
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_limit_and_no_further() {
    let (address, _requests) = canned(http("200 OK", "", &"x".repeat(1_000))).await;
    let client = client(&address);
    let url = format!("http://{address}/media/x?Signature=s");
    assert_eq!(client.fetch(&url, None, 1_000).await.unwrap().body.len(), 1_000);
    let error = client.fetch(&url, None, 999).await.unwrap_err();
    assert!(matches!(error, ClientError::TooLarge { limit: 999 }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut client = client(&address);
    client.call_timeout = Duration::from_millis(20);
    let error = client.play_info("m").await.unwrap_err();
    assert!(matches!(error, ClientError::TooSlow { .. }), "{error:?}");
}
