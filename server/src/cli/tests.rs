use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_command_line_is_well_formed() {
    command().debug_assert();
}

#[test]
fn every_verb_of_the_documents_is_understood() {
    for line in [
        "haulage serve",
        "haulage serve --listen 127.0.0.1:0 --data-dir /srv --roles api,worker,events",
        "haulage serve --config haulage.toml --qps GetPlayInfo=0 --per-account none",
        "haulage demo --keep --json",
        "haulage submit http://h/a.mp4 http://h/b.mp4 --title A --session-id s --watch",
        "haulage submit http://h/a.mp4 --metadata - --json",
        "haulage jobs",
        "haulage jobs id http://h/a.mp4 --status PENDING,SUCCESS --watch --json",
        "haulage jobs --limit 5 --server http://h:1 --access-key-id id",
        "haulage cancel id http://h/a.mp4 --json",
        "haulage replace id http://h/a.mp4 --metadata - --watch --json",
        "haulage watch id other --json",
        "haulage account create acme",
        "haulage account list --json",
        "haulage account disable acme --data-dir /srv",
        "haulage account enable acme",
        "haulage key create --account acme --json",
        "haulage key list",
        "haulage key list --account acme --data-dir /srv --json",
        "haulage key disable id",
        "haulage key enable id",
        "haulage key delete id",
        "haulage doctor --json --verbose",
        "haulage migrate",
        "haulage completions bash",
    ] {
        assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
    }
}

#[test]
fn wrong_usage_ends_with_2_and_help_with_0() {
    for line in [
        "haulage",
        "haulage fly",
        "haulage submit",
        "haulage submit http://h/a.mp4 --title A --metadata -",
        "haulage cancel",
        "haulage replace id",
        "haulage watch",
        "haulage serve --roles api,cook",
        "haulage serve --lisen 127.0.0.1:0",
        "haulage key create",
        "haulage completions basic",
        "haulage jobs --access-key-secret s",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
    for line in ["haulage --version", "haulage help", "haulage help key create", "haulage serve -h"]
    {
        assert_eq!(parse(line).unwrap_err().exit_code(), 0, "{line}");
    }
}

#[test]
fn a_subset_of_roles_is_refused_before_anything_starts() {
    let Verb::Serve(args) = parse("haulage serve --roles api,worker").unwrap().verb else {
        panic!("serve is serve");
    };
    assert!(matches!(args.run(), Err(Failure::Usage(_))));
}

#[test]
fn the_help_of_serve_shows_every_setting_in_all_its_spellings() {
    let help = parse("haulage serve --help").unwrap_err().to_string();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for setting in crate::config::settings::SETTINGS {
        assert!(help.contains(&format!("--{} <", setting.flag())), "{}", setting.name);
        assert!(help.contains(&format!("[env: {}]", setting.variable())), "{}", setting.name);
        let default = format!("[default: {}]", setting.default);
        assert!(setting.default.is_empty() || help.contains(&default), "{}", setting.name);
    }
}

#[test]
fn flags_of_serve_arrive_as_settings() {
    let line = "haulage serve --max-bytes 1GiB --log-format json";
    let Verb::Serve(args) = parse(line).unwrap().verb else { panic!("serve is serve") };
    let flags: Vec<_> = args.settings().iter().map(|(n, t)| (*n, t.as_str())).collect();
    assert_eq!(flags, [("log_format", "json"), ("max_bytes", "1GiB")]);
}

#[test]
fn exit_codes_are_those_of_the_documents() {
    let refusal = Refusal {
        status: 400,
        code: "Throttling.User".to_owned(),
        message: "Slow down.".to_owned(),
        request_id: "R".to_owned(),
        recommend: String::new(),
        retry_after: None,
    };
    assert_eq!(Failure::from(ClientError::from(refusal)).code(), 1);
    assert_eq!(Failure::Usage(String::new()).code(), 2);
    let gone = ClientError::Unreachable { server: String::new(), reason: String::new() };
    assert_eq!(Failure::from(gone).code(), 75);
}

#[test]
fn completions_know_the_verbs_and_not_the_hidden_one() {
    let mut script = Vec::new();
    clap_complete::generate(clap_complete::Shell::Bash, &mut command(), "haulage", &mut script);
    let script = String::from_utf8(script).unwrap();
    assert!(script.contains("account") && script.contains("--max-bytes"));
    assert!(!script.contains(PROBE_CHILD));
}
