//! Names, redirects and the guard, on real connections.

use super::super::resolve::ResolveError;
use super::*;

const FORBIDDEN: (FaultClass, Retry) = (FaultClass::ForbiddenAddress, Retry::Never);

fn hop(to: &str) -> Vec<Step> {
    vec![send(format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"))]
}

fn body() -> Vec<Step> {
    vec![send(head("Content-Length: 5\r\n")), send("hello")]
}

#[tokio::test]
async fn redirects_are_followed_up_to_the_limit() {
    for (hops, limit, ok) in [(10, 10, true), (11, 10, false), (1, 0, false), (0, 0, true)] {
        let script = move |n: usize| if n < hops { hop(&format!("/{n}?a=b")) } else { body() };
        let origin = Origin::start(script).await;
        let fetcher = fetcher(FetchSettings { redirects: limit, ..settings() });
        let result = fetch(&fetcher, &origin.url("/start.mp4")).await;
        if ok {
            assert_eq!(result.as_deref(), Ok(&b"hello"[..]), "{hops} hops");
        } else {
            assert_eq!(verdict(result), (FaultClass::Redirect, Retry::Never), "{hops} hops");
            assert_eq!(origin.heads().len(), limit + 1);
        }
    }
}

#[tokio::test]
async fn each_kind_of_redirect_keeps_get_and_forgets_the_hop_before() {
    for status in [301, 302, 303, 307, 308] {
        let origin = Origin::start(move |n| match n {
            // A body that never ends is not read (R59).
            0 => vec![
                send(format!(
                    "HTTP/1.1 {status} Go\r\nLocation: v.mp4#t=1\r\nSet-Cookie: a=b\r\n\r\n"
                )),
                Step::Forever(vec![7; 10_000]),
            ],
            _ => body(),
        })
        .await;
        assert!(fetch(&fetcher(settings()), &origin.url("/a/start.mp4?secret=1")).await.is_ok());
        let second = origin.heads().remove(1).to_ascii_lowercase();
        assert!(second.starts_with("get /a/v.mp4 http/1.1\r\n"), "{second}");
        for absent in ["cookie", "referer", "authorization", "secret"] {
            assert!(!second.contains(absent), "{second}");
        }
    }
}

#[tokio::test]
async fn a_bad_location_is_a_fault_of_its_kind() {
    use FaultClass::{HttpStatus, Protocol, Redirect};
    let rows = [
        ("", HttpStatus),
        ("Location:\r\n", HttpStatus),
        ("Location: http://\r\n", Redirect),
        ("Location: /\u{fffd}\r\n", HttpStatus), // replaced below by a byte that is no UTF-8
        ("Location: /a\r\nLocation: /b\r\n", Protocol),
    ];
    for (fields, class) in rows {
        let mut answer = format!("HTTP/1.1 302 Found\r\n{fields}\r\n").into_bytes();
        let mut class = class;
        if let Some(at) = answer.windows(3).position(|w| w == "\u{fffd}".as_bytes()) {
            answer.splice(at..at + 3, [0xff]);
            class = Redirect;
        }
        let result = verdict(fetch_steps(settings(), vec![send(answer)]).await);
        assert_eq!(result, (class, Retry::Never), "{fields}");
    }
    let long = format!("HTTP/1.1 302 Found\r\nLocation: /{}\r\n\r\n", "a".repeat(1 << 16));
    let result = verdict(fetch_steps(settings(), vec![send(long)]).await);
    assert_eq!(result, (Protocol, Retry::Never), "R53");
}

#[tokio::test]
async fn a_redirect_to_a_forbidden_place_is_refused_before_any_connection() {
    let inside = Origin::start_at("127.0.0.2:0", |_| body()).await;
    let only = |origin: &Origin| FetchSettings {
        allow: vec![origin.at.to_string().parse().unwrap()],
        ..settings()
    };
    let port = inside.at.port();
    for to in [
        format!("http://127.0.0.2:{port}/"),
        format!("//127.0.0.2:{port}/"),
        format!("http://[::ffff:127.0.0.2]:{port}/"),
        format!("http://0x7f.2:{port}/"),
        "http://localhost/".to_owned(),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "gopher://127.0.0.2/".to_owned(),
    ] {
        let origin = Origin::start({
            let to = to.clone();
            move |_| hop(&to)
        })
        .await;
        let result = fetch(&fetcher(only(&origin)), &origin.url("/start.mp4")).await;
        assert_eq!(verdict(result), FORBIDDEN, "{to}");
    }
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn a_redirect_to_a_name_that_resolves_inside_is_refused_before_any_connection() {
    let inside = Origin::start_at("127.0.0.2:0", |_| body()).await;
    let to = format!("http://lo.example.com:{}/", inside.at.port());
    let origin = Origin::start(move |_| hop(&to)).await;
    // The network opens the port for a look-up; the address of the answer is not in it.
    let allow = vec!["127.0.0.1".parse().unwrap()];
    let names = Written::default().answer("lo.example.com", &["127.0.0.2"]);
    let (fetcher, names) = fetcher_with(FetchSettings { allow, ..settings() }, names);
    assert_eq!(verdict(fetch(&fetcher, &origin.url("/start.mp4")).await), FORBIDDEN);
    assert_eq!(names.asked(), ["lo.example.com"]);
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn a_name_is_looked_up_once_a_connection_and_each_answer_is_judged() {
    // 127.0.0.1 stands for the public address, 127.0.0.2 for the inside.
    let origin = Origin::start(|_| body()).await;
    let at = format!("127.0.0.2:{}", origin.at.port());
    let inside = Origin::start_at(&at, |_| body()).await;
    let names = Written::default()
        .answer("rb.example.com", &["127.0.0.1"])
        .answer("rb.example.com", &["127.0.0.2"]);
    let allow = vec!["127.0.0.1".parse().unwrap()];
    let (fetcher, names) = fetcher_with(FetchSettings { allow, ..settings() }, names);
    let url = format!("http://rb.example.com:{}/v.mp4", origin.at.port());
    assert_eq!(fetch(&fetcher, &url).await.unwrap(), b"hello");
    assert_eq!(names.asked().len(), 1, "the dialled address is from the look-up that was judged");
    assert_eq!(verdict(fetch(&fetcher, &url).await), FORBIDDEN, "rebound");
    assert_eq!((names.asked().len(), inside.connections()), (2, 0));
}

#[tokio::test]
async fn a_mixed_answer_is_refused_whole_and_a_refused_name_is_not_looked_up() {
    let origin = Origin::start(|_| body()).await;
    let names = Written::default()
        .answer("mix.example.com", &["127.0.0.1", "10.0.0.5"])
        .answer("localhost", &["127.0.0.1"]);
    let (fetcher, names) = fetcher_with(settings(), names);
    let url = |host: &str| format!("http://{host}:{}/v.mp4", origin.at.port());
    assert_eq!(verdict(fetch(&fetcher, &url("mix.example.com")).await), FORBIDDEN);
    for host in ["localhost", "intranet", "db.internal", "0x7f.1", "127.1"] {
        assert_eq!(verdict(fetch(&fetcher, &url(host)).await), FORBIDDEN, "{host}");
    }
    assert_eq!((names.asked(), origin.connections()), (vec!["mix.example.com".to_owned()], 0));
}

#[tokio::test]
async fn a_dead_address_does_not_keep_a_good_one_from_being_reached() {
    let origin = Origin::start_at("127.0.0.3:0", |_| body()).await;
    let names =
        Written::default().answer("many.example.com", &["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    let (fetcher, _) = fetcher_with(settings(), names);
    let url = format!("http://many.example.com:{}/v.mp4", origin.at.port());
    assert_eq!(fetch(&fetcher, &url).await.unwrap(), b"hello");
    let host = format!("host: many.example.com:{}", origin.at.port());
    assert!(origin.heads()[0].contains(&host), "the name travels, not the address");
}

#[tokio::test]
async fn a_name_without_answer_and_a_host_without_listener_are_tried_again() {
    let names = Written::default()
        .fail("servfail.example.com", ResolveError::Failed)
        .fail("empty.example.com", ResolveError::NoAddress)
        .fail("silent.example.com", ResolveError::TimedOut);
    let (fetcher, _) = fetcher_with(settings(), names);
    for name in ["nx", "servfail", "empty", "silent"] {
        let result = fetch(&fetcher, &format!("http://{name}.example.com/v.mp4")).await;
        assert_eq!(verdict(result), (FaultClass::Unresolvable, Retry::Backoff), "{name}");
    }
    // Bound, not listening: nobody else can take the port meanwhile.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/v.mp4", socket.local_addr().unwrap());
    let result = fetch(&fetcher, &url).await;
    assert_eq!(verdict(result), (FaultClass::Unreachable, Retry::Backoff));
}

#[tokio::test]
async fn our_own_listener_is_refused_though_its_network_is_open() {
    let api = Origin::start(|_| body()).await;
    let own = FetchSettings { own_listeners: vec![api.at], ..settings() };
    let result = fetch(&fetcher(own.clone()), &api.url("/?Action=CancelUrlUploadJobs")).await;
    assert_eq!((verdict(result), api.connections()), (FORBIDDEN, 0));
    let named = FetchSettings { allow: vec![api.at.to_string().parse().unwrap()], ..own };
    assert!(fetch(&fetcher(named), &api.url("/")).await.is_ok(), "unless it is named exactly");
}

#[tokio::test]
async fn redirects_that_take_too_long_together_are_given_up() {
    let origin =
        Origin::start(|n| [vec![Step::Pause(SHORT)], hop(&format!("/{n}"))].concat()).await;
    let times = FetchSettings { connect_timeout: SHORT, header_timeout: 2 * SHORT, ..settings() };
    let result = verdict(fetch(&fetcher(times), &origin.url("/")).await);
    assert_eq!(result, (FaultClass::Stalled, Retry::Never), "row 84");
    assert!(origin.heads().len() < 10);
}
