use super::super::own::OwnAddress;
use super::*;

const CORPUS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpora/ssrf_urls.jsonl"));

#[derive(serde::Deserialize)]
struct Row {
    id: String,
    url: String,
    expect: String,
    tier: String,
    why: String,
}

fn guard(allow: &[&str]) -> Guard {
    Guard::new(allow.iter().map(|text| text.parse().unwrap()).collect(), Vec::new())
}

/// A machine with one public interface address, one on its loopback device, and a listener.
fn machine(listener: &str, allow: &[&str]) -> Guard {
    let own = |ip: &str, on_loopback| OwnAddress { ip: ip.parse().unwrap(), on_loopback };
    Guard {
        listeners: vec![listener.parse().unwrap()],
        own: OwnAddresses::Listed(vec![own("203.0.114.7", false), own("203.0.114.9", true)]),
        ..guard(allow)
    }
}

#[test]
fn every_row_of_the_url_corpus_gets_its_verdict() {
    let mut server = machine("203.0.114.7:8443", &[]);
    server.listeners.push("203.0.114.20:80".parse().unwrap()); // the object store, declared as ours
    let (mut denied, mut allowed, mut wrong) = (0, 0, Vec::new());
    for line in CORPUS.lines() {
        let row: Row = serde_json::from_str(line).unwrap();
        let url = row
            .url
            .replace("{SELF_API_HOST}", "203.0.114.7")
            .replace("{SELF_API_PORT}", "8443")
            .replace("{OBJECT_STORE_HOST}", "203.0.114.20")
            .replace("{SELF_PUBLIC_IP}", "203.0.114.7");
        assert!(!url.contains('{'), "{}: an unknown placeholder", row.id);
        let verdict = server.target(&url);
        match (row.expect.as_str(), verdict.is_ok()) {
            ("deny", false) => denied += 1,
            // Names are only passed on to DNS; what they resolve to is `answer`'s to judge.
            ("allow", true) => allowed += 1,
            _ => wrong.push(format!("{} {} {verdict:?}: {}", row.id, row.tier, row.why)),
        }
    }
    println!("ssrf_urls: {denied} denied, {allowed} allowed, {} wrong", wrong.len());
    assert_eq!(wrong, Vec::<String>::new());
    assert!(denied > 200 && allowed > 50, "the corpus is read");
}

#[test]
fn no_spelling_of_a_version_4_address_but_the_plain_one_passes() {
    let open = guard(&["0.0.0.0/0", "::/0"]);
    for host in
        ["8.8.8.8.", "0x8.8.8.8", "010.8.8.8", "8.8.2056", "134744072", "%38.8.8.8", "８.8.8.8"]
    {
        let verdict = open.target(&format!("http://{host}/v.mp4"));
        assert!(matches!(verdict, Err(Refusal::Spelling(_))), "{host}: {verdict:?}");
    }
    assert_eq!(open.target("http://8.8.8.8/v.mp4").unwrap().host(), "8.8.8.8");
}

#[test]
fn a_target_keeps_host_port_and_query_of_its_url() {
    let target =
        guard(&[]).target("HTTPS://Media.Example.COM.:8443/a/../b%2Fc?S=a%2Fb+c#f").unwrap();
    assert_eq!((target.host(), target.port()), ("media.example.com", 8443));
    assert!(target.is_https());
    assert_eq!(target.path_and_query(), "/b%2Fc?S=a%2Fb+c");
}

#[test]
fn credentials_in_a_url_are_refused_as_such() {
    for authority in [
        "u@media.example.com",
        "u:p@media.example.com",
        "@8.8.8.8",
        "u@[2600::1]",
        "media.example.com:80@[2600::1]:80",
    ] {
        let verdict = guard(&[]).target(&format!("http://{authority}/v.mp4"));
        assert_eq!(verdict.unwrap_err(), Refusal::UserInfo, "{authority}");
    }
}

#[test]
fn a_special_domain_is_matched_by_whole_labels() {
    let guard = guard(&[]);
    for host in ["a.b.internal", "metadata.goog", "x.metadata.goog", "nas.local", "h.lan"] {
        let verdict = guard.target(&format!("http://{host}/"));
        assert!(matches!(verdict, Err(Refusal::SpecialName { .. })), "{host}: {verdict:?}");
    }
    for host in
        ["internal.example.com", "mymetadata.goog", "localhost.com", "a.notlocal", "onion.io"]
    {
        assert!(guard.target(&format!("http://{host}/")).is_ok(), "{host}");
    }
}

#[test]
fn one_bad_address_refuses_the_whole_answer() {
    let guard = guard(&[]);
    let public: IpAddr = "93.184.216.34".parse().unwrap();
    let public6: IpAddr = "2606:2800:220:1:248:1893:25c8:1946".parse().unwrap();
    assert_eq!(guard.answer("dual.example.com", 80, &[public, public6]), Ok(()));
    for bad in ["127.0.0.1", "::1", "192.168.1.1", "::ffff:8.8.8.8", "64:ff9b::808:808"] {
        let answer = [public, public6, bad.parse().unwrap()];
        assert!(guard.answer("mix.example.com", 80, &answer).is_err(), "{bad}");
    }
}

#[test]
fn an_allow_entry_opens_what_it_names_and_nothing_beside_it() {
    let ok = |allow: &[&str], url: &str| guard(allow).target(url).is_ok();
    assert!(!ok(&[], "http://127.0.0.1:39001/"));
    assert!(ok(&["127.0.0.0/8"], "http://127.0.0.1:39001/"));
    assert!(ok(&["127.0.0.0/8:39001"], "http://127.0.0.1:39001/"));
    assert!(!ok(&["127.0.0.0/8:39002"], "http://127.0.0.1:39001/"));
    assert!(!ok(&["127.0.0.0/8"], "http://[::ffff:127.0.0.1]:80/"), "a wrapper is another address");
    assert!(!ok(&["127.0.0.0/8"], "http://localhost/"), "a network does not open a name");
    assert!(ok(&["localhost"], "http://LOCALHOST.:39001/"));
    assert!(!ok(&["localhost:80"], "http://localhost:39001/"));
    assert!(!ok(&["localhost"], "http://sub.localhost/"));
    assert!(ok(&["media.internal:8080"], "http://media.internal:8080/"));
    assert!(ok(&["nas"], "http://nas/"), "a single label can be named");
    assert!(ok(&["[fd00::1]:8080"], "http://[fd00::1]:8080/"));
    assert!(!ok(&["[fd00::1]:8080"], "http://[fd00::1]/"));

    // An odd port on a name passes on to DNS only when a network could open it, and then only
    // that network's addresses do.
    let network = guard(&["10.0.0.0/8"]);
    assert!(network.target("http://media.example.com:9999/").is_ok());
    assert!(!ok(&["10.0.0.5:443"], "http://media.example.com:9999/"));
    let answer = |ip: &str| network.answer("media.example.com", 9999, &[ip.parse().unwrap()]);
    assert_eq!(answer("10.1.2.3"), Ok(()));
    assert_eq!(answer("93.184.216.34"), Err(Refusal::Port(9999)));

    // A named host opens the addresses it resolves to, whatever they are.
    let named = guard(&["media.internal"]);
    assert_eq!(named.answer("media.internal", 80, &["10.0.0.5".parse().unwrap()]), Ok(()));
    assert!(named.answer("other.example.com", 80, &["10.0.0.5".parse().unwrap()]).is_err());
}

#[test]
fn metadata_addresses_open_by_their_exact_name_alone() {
    let to =
        |allow: &[&str], ip: &str| guard(allow).answer("h.example", 80, &[ip.parse().unwrap()]);
    let wide = ["0.0.0.0/0", "::/0", "169.254.0.0/16", "h.example"];
    for ip in [
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::254",
        "fe80::1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::",
    ] {
        assert_eq!(to(&wide, ip), Err(Refusal::Metadata), "{ip}");
        assert_eq!(to(&[ip], ip), Ok(()), "{ip}");
    }
    assert_eq!(to(&["169.254.169.254"], "::ffff:169.254.169.254"), Err(Refusal::Metadata));
    assert_eq!(to(&["169.254.169.254:8080"], "169.254.169.254"), Err(Refusal::Metadata));
    assert_eq!(to(&wide, "10.0.0.5"), Ok(()));
}

#[test]
fn our_own_listeners_open_by_their_exact_address_and_port_alone() {
    let to = |guard: &Guard, at: &str| guard.address("h.example.com", at.parse().unwrap());
    let local = machine("127.0.0.1:8710", &["127.0.0.0/8", "::/0", "0.0.0.0/0"]);
    assert_eq!(to(&local, "127.0.0.1:8710"), Err(Refusal::Own));
    assert_eq!(to(&local, "0.0.0.0:8710"), Err(Refusal::Own), "unspecified leads to loopback");
    assert_eq!(to(&local, "[::ffff:127.0.0.1]:8710"), Err(Refusal::Own));
    assert_eq!(to(&local, "127.0.0.1:8711"), Ok(()));
    assert_eq!(to(&local, "127.0.0.2:8710"), Ok(()), "nobody of ours listens there");
    let named = machine("127.0.0.1:8710", &["127.0.0.1"]);
    assert_eq!(to(&named, "127.0.0.1:8710"), Err(Refusal::Own), "the address alone is not exact");
    let named = machine("127.0.0.1:8710", &["127.0.0.1:8710"]);
    assert_eq!(to(&named, "127.0.0.1:8710"), Ok(()));

    let wildcard = machine("0.0.0.0:8080", &["0.0.0.0/0"]);
    for at in ["127.0.0.1:8080", "127.9.9.9:8080", "203.0.114.7:8080", "203.0.114.9:8080"] {
        assert_eq!(to(&wildcard, at), Err(Refusal::Own), "{at}");
    }
    assert_eq!(to(&wildcard, "203.0.114.7:80"), Ok(()), "opened by the operator");
    let wildcard = machine("[::]:8080", &[]);
    assert_eq!(to(&wildcard, "203.0.114.9:8080"), Err(Refusal::Own));
}

#[test]
fn the_machine_s_own_public_address_is_refused_at_every_port() {
    let to = |guard: &Guard, at: &str| guard.address("h.example.com", at.parse().unwrap());
    let server = machine("127.0.0.1:8710", &[]);
    assert_eq!(to(&server, "203.0.114.7:80"), Err(Refusal::Own));
    assert_eq!(to(&server, "203.0.114.9:80"), Ok(()), "a service address on the loopback device");
    assert_eq!(to(&server, "203.0.114.8:80"), Ok(()));
    let bound = machine("203.0.114.30:8443", &[]);
    assert_eq!(to(&bound, "203.0.114.30:80"), Err(Refusal::Own), "bound, though not listed");
}

#[test]
fn a_redirect_passes_the_whole_gate_anew() {
    let guard = guard(&[]);
    let from = |url: &str| guard.target(url).unwrap();
    let plain = from("http://pub4.example.com/a/start.mp4?x=1");
    let to = |location: &str| guard.redirect(&plain, location);
    for (location, host, path) in [
        ("/other/v.mp4", "pub4.example.com", "/other/v.mp4"),
        ("v.mp4", "pub4.example.com", "/a/v.mp4"),
        ("?token=1", "pub4.example.com", "/a/start.mp4?token=1"),
        ("//pub6.example.com/v.mp4", "pub6.example.com", "/v.mp4"),
        ("HTTP://PUB6.EXAMPLE.COM/v.mp4", "pub6.example.com", "/v.mp4"),
        ("http://pub6.example.com/你.mp4#t=1", "pub6.example.com", "/%E4%BD%A0.mp4"),
        ("/a b.mp4", "pub4.example.com", "/a%20b.mp4"),
        ("https://pub4.example.com/v.mp4", "pub4.example.com", "/v.mp4"),
    ] {
        let target = to(location).unwrap();
        assert_eq!((target.host(), target.path_and_query()), (host, path), "{location}");
    }
    for location in [
        "http://127.0.0.1:8080/",
        "//127.0.0.1/",
        "http://[::1]/",
        "http://0/",
        "http://localhost/",
        "//134744072/",
        "http://pub4.example.com\\@127.0.0.1/",
        "/\\127.0.0.1/",
        "http://u@pub4.example.com/",
        "http://pub4.example.com:6379/",
        "http://a b.example.com/",
        "file:///etc/passwd",
        "gopher://h/",
        "data:video/mp4;base64,AAAA",
        "javascript:alert(1)",
        "http:/pub6.example.com/",
        "jar:http://example.com!/x",
        "/a\tb",
    ] {
        let refusal = to(location).unwrap_err();
        assert_eq!(refusal.class_in_redirect(), FaultClass::ForbiddenAddress, "{location}");
    }
    for location in ["http://", "http:///", "http://h.example.com:99999/", "https://a..b/"] {
        let refusal = to(location).unwrap_err();
        assert_eq!(refusal.class_in_redirect(), FaultClass::Redirect, "{location}: {refusal:?}");
    }
    let secure = from("https://pub4.example.com/start.mp4");
    assert_eq!(
        guard.redirect(&secure, "http://pub4.example.com/v.mp4").unwrap_err(),
        Refusal::Downgrade
    );
}

#[test]
fn an_origin_is_scheme_host_and_port_together() {
    let guard = Guard::new(Vec::new(), Vec::new());
    let to = |url: &str| guard.target(url).unwrap();
    let here = to("https://h.example.com/a.mp4");
    for same in
        ["https://h.example.com/b?c", "HTTPS://H.EXAMPLE.COM:443/", "https://h.example.com."]
    {
        assert!(here.is_same_origin(&to(same)), "{same}");
    }
    for other in [
        "http://h.example.com/a.mp4",
        "http://h.example.com:443/a.mp4",
        "https://h.example.com:8443/a.mp4",
        "https://www.h.example.com/a.mp4",
    ] {
        assert!(!here.is_same_origin(&to(other)), "{other}");
    }
}
